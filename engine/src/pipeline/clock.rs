//! Time at the rim: taken once per batch, never running backwards.

use std::time::{Duration, Instant};

/// A source of time, in milliseconds since 1970.
pub trait Clock: Send {
    /// The present time. It may jump either way; the pipeline holds it to the newest.
    fn now_ms(&mut self) -> u64;
}

/// The machine's clock, read once; from then on the monotonic clock counts. Setting the machine's clock while the engine runs
/// therefore changes nothing, and a wrong second cannot push the engine's time ahead for good. Copies tell the same time.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started_ms: u64,
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock { started_ms: scrip_protocol::unix_time_ms(), started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ms(&mut self) -> u64 {
        self.started_ms + Duration::as_millis(&self.started.elapsed()) as u64
    }
}

/// A clock held to the newest time that was given out or stands in the journal.
pub(super) struct Forward {
    clock: Box<dyn Clock>,
    newest_ms: u64,
}

impl Forward {
    pub(super) fn new(clock: Box<dyn Clock>, newest_ms: u64) -> Forward {
        Forward { clock, newest_ms }
    }

    pub(super) fn now_ms(&mut self) -> u64 {
        self.newest_ms = self.newest_ms.max(self.clock.now_ms());
        self.newest_ms
    }
}
