//! How a running engine is: its [`Status`], put together from what its threads have published, without asking any of them.
//!
//! Whoever has this may look as often as he likes, while the engine serves and while it stops. A look reads one batch of the journal for
//! each reader that is behind, or a few where these say nothing but how far readers are, and blocks that long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scrip_protocol::batch::{Link, stated_kinds};
use scrip_protocol::command::{HoldOutcome, JournalStatus, Load, Reader, ReaderStatus, RedeemOutcome, Status};
use scrip_protocol::record::is_about_readers;
use scrip_protocol::{Position, Refusal};

use crate::attempts::Attempts;
use crate::counters::{Counters, RULE_FAILURES};
use crate::keeper::Newest;
use crate::pipeline::{ClockStatus, EngineClock};
use scrip_journal::{Cursor, JournalError, JournalReader};

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
        let now = self.clock.now();
        let now_ms = now.record_ms.max(time_ms);
        let written = journal.written();
        let readers = readers.lock().clone();
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
        let Reader { name, position, moved_ms, .. } = reader;
        let (lag_records, lag_ms) = match first_unread(&*self.reader, position, durable) {
            Ok(None) => (0, Some(0)),
            Ok(Some(Unread { first, time_ms })) => (durable.0 - first.0 + 1, Some(now_ms.saturating_sub(time_ms))),
            // Dropped, or unreadable.
            Err(_) => (durable.0.saturating_sub(position.0), None),
        };
        ReaderStatus { name, position, moved_ms, lag_records, lag_ms }
    }
}

/// How many bytes of batches are looked through for one reader. They hold thousands of records about readers.
const LOOKED_THROUGH: usize = 1 << 20;

/// The first record that a reader has not read and that it would want to.
#[derive(Debug, PartialEq, Eq)]
struct Unread {
    first: Position,
    /// The time of its batch.
    time_ms: u64,
}

/// The first durable record behind a position that says anything but how far readers are: a reader that has everything else is up to date,
/// although it never reads the record of its own last move before it moves again.
fn first_unread(journal: &dyn JournalReader, position: Position, durable: Position) -> Result<Option<Unread>, JournalError> {
    let mut cursor = Cursor::from(Position(position.0 + 1));
    let mut bytes = 0;
    while cursor.next() <= durable {
        for batch in cursor.read(journal, 1)? {
            bytes += batch.len();
            let time_ms = Link::stated(&batch).map_or(0, |link| link.time_ms);
            let behind = stated_kinds(&batch).filter(|(at, _)| (position.0 + 1..=durable.0).contains(&at.0));
            let mut unread = behind.filter(|(_, kind)| !is_about_readers(*kind) || bytes > LOOKED_THROUGH);
            if let Some((first, _)) = unread.next() {
                return Ok(Some(Unread { first, time_ms }));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use scrip_protocol::batch::{BatchBuilder, ChainEnd};
    use scrip_protocol::command::{ReaderForgotten, ReaderKept, ReaderRegistered};
    use scrip_protocol::record::SettingsSet;
    use scrip_protocol::{CredentialId, Record, RequestId, Settings, Stamp};

    use super::*;
    use scrip_journal::disk::OsDisk;
    use scrip_journal::{Journal, Segments};

    /// Z10: on a quiet shop a reader that has read everything is not behind, whatever readers say of themselves; and one that has
    /// not is behind since the first record that it lacks.
    #[test]
    fn records_about_readers_put_no_reader_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
        // Every batch is a segment.
        let mut journal = Segments::open(disk, dir.path(), 1, none, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let mut append = |time_ms, records: &[Record]| {
            let mut batch = BatchBuilder::new(time_ms);
            records.iter().for_each(|record| batch.push(record));
            journal.append(vec![batch]).expect("the disk takes it");
        };
        let stamp = Stamp { request: RequestId(1), body: 1, credential: CredentialId(1) };
        let settings: Record = SettingsSet::new(Settings::default()).into();
        let registered: Record = ReaderRegistered { stamp, name: "a".into(), read_up_to: Position(1) }.into();
        let kept: Record = ReaderKept { stamp, name: "a".into(), position: Position(1) }.into();
        let forgotten: Record = ReaderForgotten { stamp, name: "b".into() }.into();
        append(10, std::slice::from_ref(&settings));
        append(20, &[registered, kept.clone()]);
        append(30, &[kept.clone(), forgotten]);
        append(40, &[kept.clone(), settings, kept.clone()]);
        append(50, &[kept]);
        let reader = journal.reader();
        let unread = |position, durable| {
            let unread = first_unread(&*reader, Position(position), Position(durable)).expect("the journal is whole");
            unread.map(|Unread { first, time_ms }| (first.0, time_ms))
        };
        assert_eq!(unread(0, 9), Some((1, 10)));
        assert_eq!([unread(1, 1), unread(1, 3), unread(1, 5), unread(3, 6)], [None; 4], "all that comes is about readers");
        assert_eq!([unread(1, 9), unread(4, 9), unread(6, 9)], [Some((7, 40)); 3]);
        assert_eq!([unread(7, 9), unread(8, 9), unread(9, 9)], [None; 3]);
        reader.drop_through(Position(3)).expect("it can be removed");
        assert!(first_unread(&*reader, Position(1), Position(9)).is_err(), "what it lacks was dropped");
    }
}
