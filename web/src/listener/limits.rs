//! The limits of a listener.

use std::time::Duration;

/// The limits and timeouts of a listener's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once. Each uses a file descriptor.
    pub connections_max: usize,
    /// Connections of one address at once (an IPv6 address counts as its /64). Loopback addresses have no such limit: a reverse
    /// proxy connects from there on behalf of every caller.
    pub connections_per_address_max: usize,
    /// How long the head of a request may take, from the moment when the connection is ready for one; so also how long a
    /// connection may be idle.
    pub header: Duration,
    /// How long a response keeps its connection from being closed for a new one while it is being sent. Without that limit, slow
    /// readers of one token could use up all connections. A body that is produced while it is sent, such as an export, has limits of
    /// its own.
    pub sending: Duration,
    /// How long a response may wait for its reader to read anything.
    pub stalled: Duration,
}

impl ListenerLimits {
    /// Limits for probes: a few supervisors and scrapers.
    pub const PROBES: ListenerLimits = ListenerLimits {
        connections_max: 64,
        connections_per_address_max: 16,
        header: Duration::from_secs(15),
        sending: Duration::from_secs(10),
        stalled: Duration::from_secs(90),
    };

    /// The same limits, with at most as many connections as there are descriptors.
    #[must_use]
    pub fn within(self, descriptors: usize) -> ListenerLimits {
        ListenerLimits { connections_max: self.connections_max.min(descriptors).max(1), ..self }
    }
}
