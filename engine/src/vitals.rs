//! The [`Status`] of a running engine, composed of what its threads have published, without involving them.
//!
//! Callers may read it at any rate, while the engine serves and while it stops. A reading reads a bounded part of the journal to
//! compute the lag of the readers ([`lag`]), and blocks for that time.

mod lag;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lag::{Looks, Unread};
use parking_lot::Mutex;

use scrip_protocol::command::{HoldOutcome, JournalStatus, Load, Reader, ReaderStatus, RedeemOutcome, Status};
use scrip_protocol::{Position, Refusal};

use crate::attempts::Attempts;
use crate::counters::{Counters, RULE_FAILURES};
use crate::keeper::Newest;
use crate::pipeline::{ClockStatus, EngineClock};
use scrip_journal::{JournalError, JournalReader};

/// The status of a running engine.
pub struct Vitals {
    pub(crate) started_ms: u64,
    pub(crate) clock: EngineClock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) reader: Arc<dyn JournalReader>,
    pub(crate) looks: LagLooks,
    pub(crate) newest: Newest,
    pub(crate) under_way: Arc<AtomicUsize>,
    pub(crate) under_way_max: usize,
    pub(crate) connections_max: usize,
}

/// What was read of the journal to compute the lag of its readers. Only used by [`Vitals`].
#[derive(Debug, Default)]
pub(crate) struct LagLooks(Mutex<Looks>);

impl Vitals {
    /// The behaviour of the machine's clock.
    pub fn clock(&self) -> ClockStatus {
        self.clock.status()
    }

    /// The reason while requests with ids by this machine's clock are refused.
    pub fn clock_fault(&self) -> Option<String> {
        self.clock.fault()
    }

    /// The current status. Blocks; see above.
    pub fn status(&self) -> Status {
        let Counters { requests, refusals, redemptions, holds, repeated, lockouts, sizes, readers, journal, server, .. } =
            &*self.counters;
        let durable = Position(journal.durable.load(Ordering::Relaxed));
        let time_ms = journal.time_ms.load(Ordering::Relaxed);
        let now = self.clock.now();
        let now_ms = now.record_ms.max(time_ms);
        let written = journal.written();
        let readers = readers.lock().clone();
        let unread = self.looks.0.lock().first_unread(&*self.reader, &readers, durable);
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        Status {
            now_ms,
            requests_ms: now.requests.earliest_ms,
            started_ms: self.started_ms,
            journal: JournalStatus {
                first: self.reader.first(),
                durable,
                time_ms,
                disk_bytes: self.reader.bytes(),
                batches: written.batches,
                records: written.records,
                bytes: written.bytes,
                flushes: journal.flushes(),
            },
            snapshot: self.newest.of(),
            readers: readers.into_iter().zip(unread).map(|(reader, unread)| status_of(reader, unread, durable, now_ms)).collect(),
            sizes: *sizes.lock(),
            requests: requests.counted(),
            redemptions: redemptions.counted(&RedeemOutcome::WORDS),
            holds: holds.counted(&HoldOutcome::WORDS),
            refusals: refusals.counted(&Refusal::WORDS),
            repeated: repeated.load(Ordering::Relaxed),
            lockouts: lockouts.load(Ordering::Relaxed),
            rule_failures: self.counters.rule_failures.counted(&RULE_FAILURES),
            pushes_too_long: self.counters.pushes_too_long.load(Ordering::Relaxed),
            load: Load {
                connections: count(&server.connections),
                connections_max: self.connections_max as u64,
                connections_taken: server.connections_taken.load(Ordering::Relaxed),
                connections_refused: server.connections_refused.load(Ordering::Relaxed),
                handshakes_evicted: server.handshakes_evicted.load(Ordering::Relaxed),
                retries: server.retries.load(Ordering::Relaxed),
                lanes: count(&server.lanes),
                tails: count(&server.tails),
                watchers: count(&server.watchers),
                requests_under_way: count(&self.under_way),
                requests_under_way_max: self.under_way_max as u64,
            },
            attempts: self.attempts.counts(),
        }
    }
}

fn status_of(reader: Reader, unread: Result<Option<Unread>, JournalError>, durable: Position, now_ms: u64) -> ReaderStatus {
    let Reader { name, position, moved_ms, .. } = reader;
    let (lag_records, lag_ms) = match unread {
        Ok(None) => (0, Some(0)),
        Ok(Some(Unread { first, time_ms })) => (durable.0 - first.0 + 1, Some(now_ms.saturating_sub(time_ms))),
        // Dropped, or unreadable.
        Err(_) => (durable.0.saturating_sub(position.0), None),
    };
    ReaderStatus { name, position, moved_ms, lag_records, lag_ms }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::batch::ChainEnd;

    use super::*;
    use crate::pipeline::{Clock, Reading};
    use scrip_journal::disk::OsDisk;
    use scrip_journal::{Journal, Segments};

    const RIGHT_MS: u64 = 1_790_000_000_000;
    const AHEAD_MS: u64 = 25 * 3_600_000;

    /// A clock that was set right.
    struct Right;

    impl Clock for Right {
        fn read(&mut self) -> Reading {
            Reading { wall_ms: RIGHT_MS, elapsed_ms: 0 }
        }
    }

    /// Z3: a status reports the clock by which the engine refuses old request ids. The time of records may be ahead of it: a
    /// reader that used that time would report an executed request as never executed.
    #[test]
    fn a_status_reports_the_clock_that_request_ids_are_checked_against() {
        let dir = tempfile::tempdir().expect("a folder");
        let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
        let journal = Segments::open(disk, dir.path(), 1, none, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let vitals = Vitals {
            started_ms: RIGHT_MS,
            clock: EngineClock::new(Box::new(Right), RIGHT_MS + AHEAD_MS),
            counters: Arc::default(),
            attempts: Arc::new(Attempts::new()),
            reader: journal.reader(),
            looks: LagLooks::default(),
            newest: Newest::begin(None),
            under_way: Arc::default(),
            under_way_max: 1,
            connections_max: 1,
        };
        let status = vitals.status();
        assert_eq!((status.now_ms, status.requests_ms), (RIGHT_MS + AHEAD_MS, RIGHT_MS));
    }
}
