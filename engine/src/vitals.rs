//! How a running engine is: its [`Status`], put together from what its threads have published, without asking any of them.
//!
//! Whoever has this may look as often as he likes, while the engine serves and while it stops. A look reads the time of one batch of the
//! journal for each reader that is behind, and blocks that long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scrip_protocol::batch::Batch;
use scrip_protocol::command::{HoldOutcome, JournalStatus, Load, Reader, ReaderStatus, RedeemOutcome, Status};
use scrip_protocol::{Position, Refusal};

use crate::attempts::Attempts;
use crate::counters::{Counters, RULE_FAILURES};
use crate::journal::JournalReader;
use crate::keeper::Newest;
use crate::pipeline::{ClockStatus, EngineClock};

/// How a running engine is.
pub struct Vitals {
    pub(crate) started_ms: u64,
    pub(crate) clock: EngineClock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) reader: Arc<dyn JournalReader>,
    pub(crate) newest: Newest,
    pub(crate) under_way: Arc<AtomicUsize>,
    pub(crate) under_way_max: usize,
    pub(crate) connections_max: usize,
}

impl Vitals {
    /// How the machine's clock has behaved.
    pub fn clock(&self) -> ClockStatus {
        self.clock.status()
    }

    /// Why requests whose ids have the time of this machine are refused, while they are.
    pub fn clock_fault(&self) -> Option<String> {
        self.clock.fault()
    }

    /// How it is now. Blocks; see above.
    pub fn status(&self) -> Status {
        let Counters { requests, refusals, redemptions, holds, repeated, lockouts, sizes, readers, journal, server, .. } =
            &*self.counters;
        let durable = Position(journal.durable.load(Ordering::Relaxed));
        let time_ms = journal.time_ms.load(Ordering::Relaxed);
        let now_ms = self.clock.now().record_ms.max(time_ms);
        let written = journal.written();
        let readers = readers.lock().clone();
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        Status {
            now_ms,
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
            readers: readers.into_iter().map(|reader| self.reader_status(reader, durable, now_ms)).collect(),
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

    fn reader_status(&self, reader: Reader, durable: Position, now_ms: u64) -> ReaderStatus {
        let Reader { name, position, moved_ms } = reader;
        let lag_records = durable.0.saturating_sub(position.0);
        let lag_ms = match lag_records {
            0 => Some(0),
            _ => self.time_of(Position(position.0 + 1)).map(|oldest_ms| now_ms.saturating_sub(oldest_ms)),
        };
        ReaderStatus { name, position, moved_ms, lag_records, lag_ms }
    }

    /// The time of the batch that holds a durable record, where that is kept and can be read.
    fn time_of(&self, position: Position) -> Option<u64> {
        let batches = self.reader.read(position, 1).ok()?;
        Batch::parse(batches.first()?).ok().map(|batch| batch.time_ms)
    }
}
