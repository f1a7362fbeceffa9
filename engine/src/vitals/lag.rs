//! The lag of registered readers: for each the first durable record that is unread and relevant to it.
//!
//! A record that only reports the positions of readers does not make a reader lag: one that has read everything else is up to
//! date, although it never reads the record of its own last move before it moves again. So the records after a reader's position
//! are scanned up to the first other one. Scanned records never change and are remembered: no later reading scans them again, and
//! each reading costs one read per reader, and a fixed number of bytes for all of them together.

use std::collections::HashMap;

use scrip_protocol::Position;
use scrip_protocol::batch::{Link, stated_kinds};
use scrip_protocol::command::Reader;
use scrip_protocol::record::is_about_readers;

use scrip_journal::{Cursor, JournalError, JournalReader};

/// Bytes of batches per read.
const READ_BYTES: usize = 64 << 10;

/// Bytes that one reading of all readers scans, besides one read for each.
const FURTHER_BYTES: usize = 1 << 20;

/// The first unread record that is relevant to a reader. In a range that is not scanned yet, its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) first: Position,
    /// The time of its batch; in a range that is not scanned yet, that of the batch before it.
    pub(super) time_ms: u64,
}

/// The scanned range of a reader: no record after `from` and up to `to` makes a reader lag.
#[derive(Debug, Clone, Copy)]
struct Look {
    from: Position,
    to: Position,
    /// The time of the newest scanned batch.
    time_ms: u64,
    /// The next record, if it is known to make a reader lag.
    unread: Option<Unread>,
}

impl Look {
    /// Whether the scanned range applies to a reader at a position.
    fn is_of(&self, position: Position) -> bool {
        (self.from..=self.to).contains(&position)
    }

    /// Scans on, up to `durable` at most. Returns the number of bytes read.
    fn read_on(&mut self, journal: &dyn JournalReader, durable: Position) -> Result<usize, JournalError> {
        let mut bytes = 0;
        for batch in Cursor::from(Position(self.to.0 + 1)).read(journal, READ_BYTES)? {
            bytes += batch.len();
            self.time_ms = Link::stated(&batch).map_or(self.time_ms, |link| link.time_ms);
            let wanted = self.to.0 + 1..=durable.0;
            for (at, kind) in stated_kinds(&batch).filter(|(at, _)| wanted.contains(&at.0)) {
                if !is_about_readers(kind) {
                    self.unread = Some(Unread { first: at, time_ms: self.time_ms });
                    return Ok(bytes);
                }
                self.to = at;
            }
        }
        Ok(bytes)
    }
}

/// The scanned range of each registered reader.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<String, Look>);

impl Looks {
    /// The first unread record of each reader, or `None` if it has read all durable ones; in the order of the readers.
    pub(super) fn first_unread(
        &mut self,
        journal: &dyn JournalReader,
        readers: &[Reader],
        durable: Position,
    ) -> Vec<Result<Option<Unread>, JournalError>> {
        let mut further = FURTHER_BYTES;
        let (first, mut before) = (journal.first(), std::mem::take(&mut self.0));
        let of_reader = |Reader { name, position, .. }: &Reader| {
            let is_kept = first.0 <= position.0 + 1;
            let begun = before.remove(name).filter(|look| is_kept && look.is_of(*position));
            let mut look = begun.unwrap_or(Look { from: *position, to: *position, time_ms: 0, unread: None });
            let mut is_first = true;
            while look.unread.is_none() && look.to < durable && (is_first || further > 0) {
                let bytes = look.read_on(journal, durable)?;
                if !is_first {
                    further = further.saturating_sub(bytes);
                }
                is_first = false;
            }
            let not_looked_through =
                (look.to < durable).then(|| Unread { first: Position(look.to.0 + 1), time_ms: look.time_ms });
            self.0.insert(name.clone(), look);
            Ok(look.unread.or(not_looked_through))
        };
        readers.iter().map(of_reader).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use scrip_protocol::batch::{BatchBuilder, ChainEnd};
    use scrip_protocol::command::{READERS_PER_CREDENTIAL_MAX, ReaderForgotten, ReaderKept, ReaderRegistered};
    use scrip_protocol::record::SettingsSet;
    use scrip_protocol::{CredentialId, Record, RequestId, Settings, Stamp};

    use super::*;
    use scrip_journal::disk::OsDisk;
    use scrip_journal::{Journal, Segments};

    const STAMP: Stamp = Stamp { request: RequestId(1), body: 1, credential: CredentialId(1) };

    fn settings() -> Record {
        SettingsSet::new(Settings::default()).into()
    }

    fn kept(position: u64) -> Record {
        ReaderKept { stamp: STAMP, name: "a".into(), position: Position(position) }.into()
    }

    fn reader(name: &str, position: u64) -> Reader {
        Reader { name: name.to_owned(), position: Position(position), moved_ms: 0, credential: None }
    }

    fn append(journal: &mut impl Journal, batches: &[(u64, Vec<Record>)]) {
        let batch = |(time_ms, records): &(u64, Vec<Record>)| {
            let mut batch = BatchBuilder::new(*time_ms);
            records.iter().for_each(|record| batch.push(record));
            batch
        };
        journal.append(batches.iter().map(batch).collect()).expect("the disk takes it");
    }

    /// Z10: in a quiet shop a reader that has read everything has no lag, whatever readers report about themselves; another one
    /// lags since the first record that it lacks.
    #[test]
    fn records_about_readers_make_no_reader_lag() {
        let dir = tempfile::tempdir().expect("a folder");
        let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
        // Every batch is a segment.
        let mut journal = Segments::open(disk, dir.path(), 1, none, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let registered: Record = ReaderRegistered { stamp: STAMP, name: "a".into(), read_up_to: Position(1) }.into();
        let forgotten: Record = ReaderForgotten { stamp: STAMP, name: "b".into() }.into();
        append(&mut journal, &[(10, vec![settings()])]);
        append(&mut journal, &[(20, vec![registered, kept(1)])]);
        append(&mut journal, &[(30, vec![kept(1), forgotten])]);
        append(&mut journal, &[(40, vec![kept(1), settings(), kept(1)])]);
        append(&mut journal, &[(50, vec![kept(1)])]);
        let journal = journal.reader();
        let mut looks = Looks::default();
        // Whatever was scanned before, for this reader or another one of its name, at the same position or not.
        let mut unread = |position, durable| {
            let found = [&mut Looks::default(), &mut looks].map(|looks| {
                let found = looks.first_unread(&*journal, &[reader("a", position)], Position(durable));
                let unread = found.into_iter().next().expect("there is one reader").expect("the journal is whole");
                unread.map(|Unread { first, time_ms }| (first.0, time_ms))
            });
            assert_eq!(found[0], found[1], "from {position} to {durable}");
            found[0]
        };
        assert_eq!(unread(0, 9), Some((1, 10)));
        assert_eq!([unread(1, 1), unread(1, 3), unread(1, 5), unread(3, 6)], [None; 4], "all that comes is about readers");
        assert_eq!([unread(1, 9), unread(4, 9), unread(6, 9)], [Some((7, 40)); 3]);
        assert_eq!([unread(7, 9), unread(8, 9), unread(9, 9)], [None; 3]);
        assert_eq!([unread(0, 9), unread(1, 9), unread(6, 9)], [Some((1, 10)), Some((7, 40)), Some((7, 40))]);
        journal.drop_through(Position(3)).expect("it can be removed");
        for mut looks in [Looks::default(), looks] {
            let dropped = looks.first_unread(&*journal, &[reader("a", 1)], Position(9));
            assert!(dropped[0].is_err(), "what it lacks was dropped");
        }
    }

    /// A journal that logs what is read of it.
    struct Noted {
        journal: Arc<dyn JournalReader>,
        reads: Mutex<Vec<(Position, usize)>>,
    }

    impl JournalReader for Noted {
        fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
            let batches = self.journal.read(from, bytes_max)?;
            self.reads.lock().push((from, batches.iter().map(Vec::len).sum()));
            Ok(batches)
        }

        fn bytes(&self) -> u64 {
            self.journal.bytes()
        }

        fn first(&self) -> Position {
            self.journal.first()
        }

        fn first_behind(&self, position: Position) -> Position {
            self.journal.first_behind(position)
        }

        fn drop_through(&self, position: Position) -> Result<usize, JournalError> {
            self.journal.drop_through(position)
        }

        fn check_sealed(&self, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
            self.journal.check_sealed(goes_on)
        }
    }

    /// Whatever one caller reports for readers, a status reads a bounded part of the journal, and none of it twice for the same
    /// reader.
    #[test]
    fn a_reading_of_lag_reads_a_bounded_part_of_the_journal_and_none_of_it_twice() {
        const MOVES: u64 = 20_000;
        const READERS: usize = READERS_PER_CREDENTIAL_MAX;
        let dir = tempfile::tempdir().expect("a folder");
        let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
        let mut journal = Segments::open(disk, dir.path(), 256 << 20, none, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let moves: Vec<_> = (0..MOVES).map(|number| (number, vec![kept(number)])).collect();
        append(&mut journal, &[(1, vec![settings()])]);
        moves.chunks(4_096).for_each(|moves| append(&mut journal, moves));
        let noted = Noted { journal: journal.reader(), reads: Mutex::default() };
        let readers: Vec<_> = (0..READERS).map(|number| reader(&number.to_string(), 1)).collect();
        let mut looks = Looks::default();
        let mut all = Vec::new();
        let mut look = |durable| {
            let unread = looks.first_unread(&noted, &readers, Position(durable));
            let reads = std::mem::take(&mut *noted.reads.lock());
            all.extend(reads.iter().map(|(from, _)| *from));
            let bytes: usize = reads.iter().map(|(_, bytes)| bytes).sum();
            // A read ends with the batch that exceeds its size.
            let once = READ_BYTES + 4_096;
            assert!(bytes <= READERS * once + FURTHER_BYTES + once, "{bytes} bytes in one look");
            assert!(reads.len() <= READERS + FURTHER_BYTES / READ_BYTES + 1 + READERS, "{} reads in one look", reads.len());
            let behind = unread.into_iter().map(|unread| unread.expect("the journal is whole")).filter(Option::is_some).count();
            (behind, reads.len())
        };
        let durable = MOVES + 1;
        let mut behind: Vec<usize> = (0..200).map(|_| look(durable)).take_while(|look| look.1 > 0).map(|look| look.0).collect();
        assert_eq!(behind.pop(), Some(0), "in the end all is looked through, and nobody is behind");
        assert!(behind.len() > 2, "one look does not go through it all");
        assert_eq!(look(durable), (0, 0), "and then nothing is read");
        append(&mut journal, &[(2, vec![kept(1), settings()])]);
        assert_eq!(look(durable + 2), (READERS, READERS), "what is new is read once for each reader");
        assert_eq!(look(durable + 2), (READERS, 0), "what a reader lacks is remembered");
        let counted = |at: &Position| all.iter().filter(|other| *other == at).count();
        assert!(all.iter().all(|at| counted(at) <= READERS), "nothing is read twice for a reader");
    }
}
