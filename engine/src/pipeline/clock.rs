//! The engine's time: the machine's clock, read at the I/O boundary and limited to what records may show.
//!
//! Each reading yields two times. The time of records never runs backwards. It follows the machine's clock forward, by up to
//! [`CLOCK_AHEAD_MS_MAX`] at once. If the clock is set back, the time of records runs at half speed until the clock has caught
//! up: holds and lockouts still expire, and the difference shrinks. Request ids are checked against the clock itself
//! ([`ClockRange`]), so that a clock that was once ahead and was set right does not lock out callers: the remembered ids, not the
//! clock, prevent a second execution.
//!
//! A clock that is too far ahead is not followed. Time continues as if it had not moved, ids by that clock are refused, and
//! [`EngineClock::fault`] returns the reason, until the clock is set right or a restart accepts it.

mod start;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scrip_protocol::UtcTime;

pub use start::ClockError;
pub(crate) use start::{FollowedClock, check_start};

use scrip_core::state::requests::ClockRange;

/// How far the machine's clock may be ahead of the newest record, or jump while the engine runs: 31 days. A shop may close or a
/// machine sleep for weeks, but a clock that is wrong by months must not date records.
const CLOCK_AHEAD_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1000;

/// How far the machine's clock may be behind the newest record at a start: 10 minutes. Beyond that, either this clock has not
/// been set yet, or another one was ahead when that record was written.
const CLOCK_BEHIND_MS_MAX: u64 = 10 * 60 * 1000;

/// A difference between the machine's clock and its monotonic one that counts as a step.
const STEP_MS: u64 = 1_000;

/// A reading of a machine's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The machine's clock, in milliseconds since 1970. It may jump either way.
    pub wall_ms: u64,
    /// Milliseconds since an arbitrary moment, by a clock that is never set.
    pub elapsed_ms: u64,
}

/// A source of time.
pub trait Clock: Send {
    /// Reads both clocks.
    fn read(&mut self) -> Reading;
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn read(&mut self) -> Reading {
        Reading { wall_ms: scrip_protocol::unix_time_ms(), elapsed_ms: Duration::as_millis(&self.0.elapsed()) as u64 }
    }
}

/// The current time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The time of records, in milliseconds since 1970. Never runs backwards.
    pub record_ms: u64,
    /// The times against which request ids are checked.
    pub requests: ClockRange,
    /// See [`Reading::elapsed_ms`]: for what is counted per minute, however the clock is set.
    pub elapsed_ms: u64,
}

/// The behaviour of the machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStatus {
    /// The time of records.
    pub record_ms: u64,
    /// The machine's clock.
    pub wall_ms: u64,
    /// How often it was set forward by more than a second, or the machine slept.
    pub steps_forward: u64,
    /// How often it was set back by more than a second.
    pub steps_back: u64,
    /// Whether it is followed.
    pub is_followed: bool,
}

/// The clock of a running engine. Clones return the same time; a reading takes a lock for some nanoseconds.
#[derive(Clone)]
pub struct EngineClock(Arc<Mutex<Inner>>);

struct Inner {
    clock: Box<dyn Clock>,
    timeline: Timeline,
}

impl EngineClock {
    /// Starts after the newest record, whatever the clock shows: see [`ClockError`].
    pub fn new(mut clock: Box<dyn Clock>, newest_ms: u64) -> EngineClock {
        let timeline = Timeline::new(newest_ms, clock.read());
        EngineClock(Arc::new(Mutex::new(Inner { clock, timeline })))
    }

    /// The current time.
    pub fn now(&self) -> Now {
        let mut inner = self.0.lock();
        let reading = inner.clock.read();
        inner.timeline.advance(reading)
    }

    /// The behaviour of the machine's clock.
    pub fn status(&self) -> ClockStatus {
        self.now();
        let Timeline { record_ms, last, steps_forward, steps_back, is_followed, .. } = self.0.lock().timeline;
        ClockStatus { record_ms, wall_ms: last.wall_ms, steps_forward, steps_back, is_followed }
    }

    /// The reason while requests with ids by this machine's clock are refused.
    pub fn fault(&self) -> Option<String> {
        let ClockStatus { record_ms, wall_ms, is_followed, .. } = self.status();
        let why = || {
            let (wall, record) = (UtcTime(wall_ms), UtcTime(record_ms));
            format!("this machine's clock shows {wall}, over 31 days after the engine's time, {record}; it is not followed")
        };
        (!is_followed).then(why)
    }
}

impl fmt::Debug for EngineClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineClock").field(&self.0.lock().timeline).finish()
    }
}

/// The result of the readings so far.
#[derive(Debug, Clone, Copy)]
struct Timeline {
    last: Reading,
    record_ms: u64,
    /// The time if the clock had never been set back while the engine runs. The time before the change may have been the wrong
    /// one.
    unstepped_ms: u64,
    /// The machine's clock if it had not moved since it was last followed. The time of records may be ahead of it.
    followed_ms: u64,
    /// While the clock is behind the time of records: that time, and the elapsed time, at the beginning.
    slowed: Option<(u64, u64)>,
    is_followed: bool,
    steps_forward: u64,
    steps_back: u64,
}

impl Timeline {
    fn new(newest_ms: u64, first: Reading) -> Timeline {
        let record_ms = newest_ms.max(first.wall_ms);
        let behind_ms = newest_ms.saturating_sub(first.wall_ms);
        if behind_ms > STEP_MS {
            tracing::warn!(behind_ms, "{BEHIND}");
        }
        Timeline {
            last: first,
            record_ms,
            // If it is further behind, an operator has accepted this clock, or the engine followed it when it was set back.
            unstepped_ms: if behind_ms <= CLOCK_BEHIND_MS_MAX { record_ms } else { first.wall_ms },
            followed_ms: first.wall_ms,
            slowed: (behind_ms > 0).then_some((record_ms, first.elapsed_ms)),
            is_followed: true,
            steps_forward: 0,
            steps_back: 0,
        }
    }

    fn advance(&mut self, reading: Reading) -> Now {
        let elapsed_ms = reading.elapsed_ms;
        let passed_ms = elapsed_ms.saturating_sub(self.last.elapsed_ms);
        let expected_ms = self.last.wall_ms.saturating_add(passed_ms);
        let wall_ms = reading.wall_ms;
        self.last = reading;
        self.unstepped_ms = self.unstepped_ms.saturating_add(passed_ms);
        self.followed_ms = self.followed_ms.saturating_add(passed_ms);
        let unmoved_ms = match self.slowed {
            Some((since_ms, from_ms)) => {
                since_ms.saturating_add(reading.elapsed_ms.saturating_sub(from_ms) / 2).max(self.record_ms)
            }
            None => self.record_ms,
        };
        let limit_ms = self.record_ms.saturating_add(passed_ms).saturating_add(CLOCK_AHEAD_MS_MAX);
        let was_followed = std::mem::replace(&mut self.is_followed, wall_ms <= limit_ms);
        if wall_ms > expected_ms.saturating_add(STEP_MS) {
            self.steps_forward += 1;
            if self.is_followed {
                tracing::warn!(by_ms = wall_ms - expected_ms, "{FORWARD}");
            }
        } else if wall_ms.saturating_add(STEP_MS) < expected_ms {
            self.steps_back += 1;
            tracing::warn!(by_ms = expected_ms - wall_ms, "this machine's clock was set back");
        }
        if !self.is_followed {
            if was_followed {
                tracing::error!(wall = %UtcTime(wall_ms), engine = %UtcTime(self.record_ms), "{NOT_FOLLOWED}");
            }
            // As in the other case, with the clock as if it had not moved.
            if self.followed_ms >= unmoved_ms {
                self.record_ms = self.followed_ms;
                self.slowed = None;
            } else {
                self.record_ms = unmoved_ms;
            }
            let requests = ClockRange { earliest_ms: self.followed_ms, latest_ms: self.unstepped_ms };
            return Now { record_ms: self.record_ms, requests, elapsed_ms };
        }
        if !was_followed {
            tracing::info!("this machine's clock is followed again");
        }
        if wall_ms >= unmoved_ms {
            self.record_ms = wall_ms;
            self.slowed = None;
        } else {
            if self.slowed.is_none() {
                if unmoved_ms - wall_ms > STEP_MS {
                    tracing::warn!(behind_ms = unmoved_ms - wall_ms, "{BEHIND}");
                }
                self.slowed = Some((unmoved_ms, reading.elapsed_ms));
            }
            self.record_ms = unmoved_ms;
        }
        self.followed_ms = wall_ms;
        self.unstepped_ms = self.unstepped_ms.max(wall_ms);
        let requests = ClockRange { earliest_ms: wall_ms, latest_ms: self.unstepped_ms };
        Now { record_ms: self.record_ms, requests, elapsed_ms }
    }
}

/// Logged for a step forward.
const FORWARD: &str = "this machine's clock was set forward, or the machine slept; the engine follows it";

/// Logged if the clock is behind the time of records.
const BEHIND: &str =
    "this machine's clock is behind the newest record; the time of records runs at half speed until the clock has caught up";

/// Logged if the clock is too far ahead.
const NOT_FOLLOWED: &str =
    "this machine's clock is over 31 days ahead of the engine's time and is not followed; requests by that clock are refused";
