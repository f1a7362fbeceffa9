//! The conformance suite of [`Journal`]: each promise of the trait is a test that every implementation runs.
//!
//! An implementation describes where it stores a journal ([`Storage`]), and expands [`journal_conformance!`] in a module of its
//! tests, in this crate or in another one:
//!
//! ```text
//! scrip_journal::journal_conformance!(|| InMyStorage::new());
//! ```
//!
//! [`appends`]: order, durability, and the end after a failure. [`reads`]: what a reader returns, also while the journal grows.
//! [`retention`]: what dropping leaves, and the check of what a snapshot covers. The suite writes through the trait alone: which
//! damage an implementation finds, and how it names it, is up to its own tests.
//!
//! [`journal_conformance!`]: crate::journal_conformance

pub mod appends;
pub mod reads;
pub mod retention;

use std::sync::Arc;

use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};
use scrip_protocol::command::ClubRegistered;
use scrip_protocol::{ClubId, CredentialId, Position, Record, RequestId, Stamp};

use crate::{Journal, JournalReader};

/// Makes a test of each promise. The argument is an expression of a function that returns an empty [`Storage`].
#[macro_export]
macro_rules! journal_conformance {
    ($make:expr) => {
        $crate::journal_conformance! { $make;
            appends::a_new_journal_is_empty
            appends::batches_are_stored_in_order_and_without_gaps
            appends::an_append_without_batches_changes_nothing
            appends::a_reopened_journal_continues_where_it_ended
            appends::an_acknowledged_batch_survives_a_crash
            appends::a_failed_append_is_the_last_and_is_kept_completely_or_not_at_all
            reads::a_read_begins_with_the_batch_of_its_position_and_ends_over_its_limit
            reads::readers_on_other_threads_read_what_is_durable_while_batches_are_appended
            reads::a_cursor_misses_no_batch_of_a_growing_journal
            retention::a_drop_leaves_every_record_after_its_position
            retention::a_journal_continues_after_a_drop
            retention::a_crash_beside_a_drop_leaves_the_newest_records_without_a_gap
            retention::a_reader_beside_a_drop_continues_or_is_refused
            retention::the_size_includes_every_batch_and_shrinks_with_drops
            retention::a_check_of_a_whole_journal_finds_nothing_and_can_be_stopped
            retention::records_dropped_during_a_check_are_not_missing
        }
    };
    ($make:expr; $($group:ident::$promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::conformance::$group::$promise($make);
            }
        )*
    };
}

/// Where an implementation stores one journal.
pub trait Storage: Sized {
    /// The implementation.
    type Journal: Journal;

    /// Opens the journal that is stored here, or begins one. No other is open. Records up to `from`, the end of a snapshot, may
    /// have been dropped; the default stands for no snapshot.
    fn open(&self, from: ChainEnd) -> Self::Journal;

    /// What a crash at this moment can leave. The journal may be open.
    fn crashed(&self) -> Vec<Self>;

    /// In how many ways an append can be made to fail; 0 if it cannot.
    fn faults(&self) -> u64;

    /// Makes the next append to a journal with this end fail in one of these ways, unless that append does not need what fails.
    fn break_append(&self, end: ChainEnd, fault: u64);

    /// Removes the fault again.
    fn mend(&self, end: ChainEnd);
}

/// Records with the times of their batches.
pub type Stored = Vec<(u64, Record)>;

pub(crate) const START_MS: u64 = 1_790_000_000_000;

/// A journal under test, with what was appended to it.
pub struct Written<S: Storage> {
    /// Where it is stored.
    pub storage: S,
    /// `None` while it is closed.
    pub journal: Option<S::Journal>,
    /// The appended records.
    pub stored: Stored,
    /// The bytes of each batch.
    pub batches: Vec<Vec<u8>>,
    /// The first position of each batch.
    pub firsts: Vec<u64>,
    /// The end of the chain after each batch.
    pub ends: Vec<ChainEnd>,
    /// The end of the chain.
    pub end: ChainEnd,
}

impl<S: Storage> Written<S> {
    /// Begins a journal.
    pub fn begin(storage: S) -> Written<S> {
        let (stored, batches, firsts, ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut written = Written { storage, journal: None, stored, batches, firsts, ends, end: ChainEnd::default() };
        written.reopen();
        written
    }

    /// Begins a journal, and appends so many batches one by one.
    pub fn with(storage: S, batches: usize) -> Written<S> {
        let mut written = Written::begin(storage);
        written.append(batches);
        written
    }

    /// The open journal.
    pub fn journal(&mut self) -> &mut S::Journal {
        self.journal.as_mut().expect("the test has not closed it")
    }

    /// A reader of the open journal.
    pub fn reader(&self) -> Arc<dyn JournalReader> {
        self.journal.as_ref().expect("the test has not closed it").reader()
    }

    /// Appends batches of 1, 2, 3, 1, 2, 3, ... records, each with an append of its own: they start at positions 1, 2, 4, 7, 8,
    /// 10, 13, ...
    pub fn append(&mut self, batches: usize) {
        (0..batches).for_each(|_| self.append_together(1));
    }

    /// Appends batches with one append.
    pub fn append_together(&mut self, batches: usize) {
        let commit = self.next(batches);
        let end = self.end;
        let journal = self.journal();
        assert_eq!(journal.append(commit).expect("the storage takes it"), end);
        assert_eq!(journal.end(), end);
    }

    /// The next batches, which from then on count as appended.
    pub fn next(&mut self, batches: usize) -> Vec<BatchBuilder> {
        let next = |_| {
            let (number, first) = (self.firsts.len(), self.end.next().0);
            let batch = next_batch(number, self.end);
            self.batches.push(next_batch(number, self.end).seal(&mut self.end));
            self.firsts.push(first);
            self.ends.push(self.end);
            self.stored.extend((first..=self.end.position.0).map(|at| (batch.time_ms(), record(at))));
            batch
        };
        (0..batches).map(next).collect()
    }

    /// Opens it after the previous run ended, and checks that everything is there.
    pub fn reopen(&mut self) {
        self.reopen_with(ChainEnd::default());
    }

    /// Opens it with a snapshot that has this end.
    pub fn reopen_with(&mut self, from: ChainEnd) {
        self.journal = None;
        let journal = self.storage.open(from);
        self.check(&journal, self.batches.len());
        self.journal = Some(journal);
    }

    /// Checks that a journal ends with the first so many batches, and has all of them that were not dropped.
    pub fn check(&self, journal: &S::Journal, batches: usize) {
        assert_eq!(journal.end(), self.end_of(batches));
        let reader = journal.reader();
        let first = reader.first();
        let dropped = self.firsts.partition_point(|begins| *begins < first.0);
        let next = if dropped == batches { self.end_of(batches).next().0 } else { self.firsts[dropped] };
        assert_eq!(first, Position(next), "what is kept begins with a batch");
        assert_eq!(reader.read(first, usize::MAX).expect("nothing is damaged"), self.batches[dropped..batches]);
        reader.check_sealed(&|| true).expect("nothing is damaged");
    }

    /// The end of the chain after the first so many batches.
    pub fn end_of(&self, batches: usize) -> ChainEnd {
        batches.checked_sub(1).map_or(ChainEnd::default(), |last| self.ends[last])
    }
}

/// The record that a test writes at a position.
pub fn record(position: u64) -> Record {
    let stamp = Stamp { request: RequestId(position.into()), body: position, credential: CredentialId(1) };
    ClubRegistered { stamp, club: ClubId(position as u32), name: format!("a club at {position:06}") }.into()
}

/// The batch with this number, counted from 0.
pub fn next_batch(number: usize, end: ChainEnd) -> BatchBuilder {
    let mut batch = BatchBuilder::new(START_MS + 10 * number as u64);
    (end.next().0..).take(1 + number % 3).for_each(|position| batch.push(&record(position)));
    batch
}

/// Checks batches, and returns their records.
pub fn records_of(batches: &[Vec<u8>]) -> Stored {
    let mut stored = Vec::new();
    for bytes in batches {
        let batch = Batch::parse(bytes).expect("a stored batch is whole");
        stored.extend(batch.records().map(|item| (batch.time_ms, item.expect("a stored record is whole").1)));
    }
    stored
}

#[cfg(test)]
mod tests {
    /// A promise that the macro does not list would be tested nowhere.
    #[test]
    fn the_macro_lists_every_promise() {
        let listed = include_str!("mod.rs");
        let files = [
            ("appends", include_str!("appends.rs")),
            ("reads", include_str!("reads.rs")),
            ("retention", include_str!("retention.rs")),
        ];
        for (group, text) in files {
            let promises = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('<').next());
            let mut count = 0;
            for promise in promises {
                assert!(listed.contains(&format!(" {group}::{promise}\n")), "{group}::{promise} is not listed");
                count += 1;
            }
            assert!(count >= 3, "{count} promises in {group}");
        }
    }
}
