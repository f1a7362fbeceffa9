//! The limits of a listener.

use std::time::Duration;

/// How many connections a listener takes, and how long it waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once. Each costs a file descriptor.
    pub connections_max: usize,
    /// Connections of one address at once (an IPv6 address counts as its /64). Loopback addresses have no limit of their own: a reverse
    /// proxy calls from there, for everybody.
    pub connections_per_address_max: usize,
    /// How long the head of a request may take, counted from the moment that the connection could carry one; so also how long a
    /// connection may be idle.
    pub header: Duration,
    /// How long a response may wait for its reader to take anything at all.
    pub stalled: Duration,
}

impl ListenerLimits {
    /// For probes: a few supervisors and scrapers.
    pub const PROBES: ListenerLimits = ListenerLimits {
        connections_max: 64,
        connections_per_address_max: 16,
        header: Duration::from_secs(15),
        stalled: Duration::from_secs(90),
    };

    /// The same, with no more connections than there are descriptors for.
    #[must_use]
    pub fn within(self, descriptors: usize) -> ListenerLimits {
        ListenerLimits { connections_max: self.connections_max.min(descriptors).max(1), ..self }
    }
}
