//! The progress of the read model, for callers that wait for a position or monitor the lag.

use std::time::{Duration, Instant};

use scrip_protocol::Position;

/// The positions of the read model and the engine, published through a `tokio::sync::watch` channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The newest record that can be read from the read model.
    pub applied: Position,
    /// The time of its batch, in milliseconds since 1970.
    pub applied_ms: u64,
    /// The newest of these records that does not only move journal readers.
    pub changed: Position,
    /// The engine's newest durable record, as last reported.
    pub newest: Option<Newest>,
    /// The newest engine time at which no durable record was missing here, in milliseconds since 1970. It advances while no
    /// records arrive, and goes back if the engine's clock was ahead and was corrected.
    pub engine_ms: u64,
    /// The time by which the engine judges the age of a request id.
    pub requests: RequestClock,
    /// The state of the follower.
    pub following: Following,
}

/// The engine's last report about its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The newest durable record.
    pub position: Position,
    /// The engine's time at the moment of the report, in milliseconds since 1970.
    pub now_ms: u64,
    /// The time by which the engine then judged the age of a request id, in milliseconds since 1970. It may be behind the
    /// engine's time.
    pub requests_ms: u64,
}

/// The state of the follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// Not connected, for this reason; it keeps retrying.
    Apart(String),
    /// Connected, and applying batches as they arrive.
    Tailing,
    /// Stopped, for this reason; an operator must decide.
    Halted(String),
}

/// The lag of the read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// In records.
    pub records: u64,
    /// In milliseconds: the maximum age of the oldest missing record. 0 if none is missing.
    pub milliseconds: u64,
}

impl Standing {
    /// Takes a report of the engine. Returns whether anything changed.
    pub fn report(&mut self, newest: Newest) -> bool {
        self.requests.report(newest);
        // Reports arrive in the order in which the engine made them, so an earlier time means that its clock went back.
        self.engine_ms = match newest.position <= self.applied {
            true => newest.now_ms,
            false => self.engine_ms.min(newest.now_ms),
        };
        self.newest.replace(newest) != Some(newest)
    }

    /// Notes that batches were applied up to a position and its time.
    pub fn apply(&mut self, position: Position, time_ms: u64) {
        (self.applied, self.applied_ms) = (position, time_ms);
        self.requests.apply(time_ms);
    }

    /// The lag of the read model; none until the engine was reached.
    pub fn lag(&self) -> Option<Lag> {
        let newest = self.newest?;
        let records = newest.position.0.saturating_sub(self.applied.0);
        let milliseconds = if records == 0 { 0 } else { newest.now_ms.saturating_sub(self.applied_ms) };
        Some(Lag { records, milliseconds })
    }
}

/// For how long a report of the engine's clock is valid: some reports may fail to arrive.
const REPORT_MAX: Duration = Duration::from_secs(5);

/// The time by which the engine judges the age of a request id, as far as the read model covers it.
///
/// The engine refuses an id that is older than the idempotency window by its machine's clock. That clock may be far behind the
/// time of records, after it was ahead and was set back. So neither the time of the newest record nor the engine's time shows
/// that an id is too old. A report of the clock does, once a record with a later time than the engine's at the report is applied:
/// then every record decided before the report is applied too. The clock may have been set back since, so the latest report
/// limits the time as well, and no report older than `REPORT_MAX` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestClock {
    /// The covered time.
    covered_ms: Option<u64>,
    /// Reports that are not covered yet: the earliest and the latest.
    pending: Option<(Newest, Newest)>,
    reported: Option<(Instant, u64)>,
}

impl RequestClock {
    /// A clock that covers a time for a while.
    #[cfg(test)]
    pub(crate) fn covering(covered_ms: u64) -> RequestClock {
        let reported = Some((Instant::now() + Duration::from_secs(3_600), covered_ms));
        RequestClock { covered_ms: Some(covered_ms), pending: None, reported }
    }

    fn report(&mut self, newest: Newest) {
        self.reported = Some((Instant::now(), newest.requests_ms));
        self.covered_ms = self.covered_ms.map(|covered_ms| covered_ms.min(newest.requests_ms));
        let first = self.pending.map_or(newest, |(first, _)| first);
        let requests_ms = first.requests_ms.min(newest.requests_ms);
        self.pending = Some((Newest { requests_ms, ..first }, newest));
    }

    fn apply(&mut self, time_ms: u64) {
        let Some((first, last)) = self.pending else { return };
        if last.now_ms < time_ms {
            (self.covered_ms, self.pending) = (Some(last.requests_ms), None);
        } else if first.now_ms < time_ms {
            (self.covered_ms, self.pending) = (Some(first.requests_ms), Some((last, last)));
        }
    }

    /// A time by which the engine refuses ids as too old, such that every record of an id that it accepted before is in the read
    /// model. 0 while none is known.
    pub fn covered_ms(&self) -> u64 {
        let is_recent = |(at, _): &(Instant, u64)| at.elapsed() <= REPORT_MAX;
        let reported = self.reported.filter(is_recent);
        reported.and_then(|(_, reported_ms)| Some(self.covered_ms?.min(reported_ms))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn report(now_ms: u64, requests_ms: u64) -> Newest {
        Newest { position: Position(1), now_ms, requests_ms }
    }

    /// A report of the engine's clock is covered once a record is applied that was decided after the report.
    #[test]
    fn a_clock_is_covered_when_a_later_record_is_applied() {
        let mut clock = RequestClock::default();
        clock.apply(10);
        assert_eq!(clock.covered_ms(), 0, "nothing was reported");
        clock.report(report(20, 20));
        clock.apply(20);
        assert_eq!(clock.covered_ms(), 0, "a record with that time may have been decided before");
        clock.apply(21);
        assert_eq!(clock.covered_ms(), 20);
        // A lagging read model first covers the earliest report.
        for now_ms in [30, 40, 50] {
            clock.report(report(now_ms, now_ms));
        }
        clock.apply(35);
        assert_eq!(clock.covered_ms(), 30);
        clock.apply(51);
        assert_eq!(clock.covered_ms(), 50);
    }

    /// A clock that was ahead and is set back counts from its first report, whatever the time of records.
    #[test]
    fn a_clock_that_was_set_back_covers_no_later_time_than_it_shows() {
        let mut clock = RequestClock::default();
        let wrong = 30 * HOUR;
        clock.report(report(wrong, wrong));
        clock.apply(wrong + 1);
        assert_eq!(clock.covered_ms(), wrong);
        clock.report(report(wrong + 2, 5));
        assert_eq!(clock.covered_ms(), 5);
        clock.apply(wrong + 3);
        clock.report(report(wrong + 4, 7));
        assert_eq!(clock.covered_ms(), 5);
        clock.apply(wrong + 5);
        assert_eq!(clock.covered_ms(), 7);
    }

    /// Later times of a clock that was set back are covered once a record is applied that was decided after the report.
    #[test]
    fn later_times_of_a_clock_that_was_set_back_are_covered_by_a_later_record() {
        let mut clock = RequestClock::default();
        let wrong = 30 * HOUR;
        clock.report(report(wrong, wrong));
        clock.apply(wrong + 1);
        clock.report(report(wrong + 2, 5));
        clock.report(report(wrong + 3, 7));
        assert_eq!(clock.covered_ms(), 5, "requests executed in between may be missing");
        clock.apply(wrong + 4);
        assert_eq!(clock.covered_ms(), 7);
    }

    /// Without a recent report, nothing is covered: the clock may have been set back since.
    #[test]
    fn without_a_recent_report_nothing_is_covered() {
        let recent = RequestClock::covering(20);
        let reported = Instant::now().checked_sub(REPORT_MAX + Duration::from_millis(1)).map(|at| (at, 20));
        assert_eq!((recent.covered_ms(), RequestClock { reported, ..recent }.covered_ms()), (20, 0));
    }
}
