//! Appends: batches are stored in order and without gaps; an acknowledged one is durable; a failed append is the last.

use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, ChainEnd};

use super::{Storage, Written, records_of};
use crate::Journal;

/// A new journal ends before the first position, and has nothing to read or to drop.
pub fn a_new_journal_is_empty<S: Storage>(make: impl Fn() -> S) {
    let written = Written::begin(make());
    let reader = written.reader();
    assert_eq!(reader.first(), Position(1));
    for position in [0, 1, 2, u64::MAX].map(Position) {
        assert!(reader.read(position, usize::MAX).expect("nothing is damaged").is_empty());
        assert_eq!(reader.first_behind(position), Position(1));
        assert_eq!(reader.drop_through(position).expect("nothing is removed"), 0);
    }
    reader.check_sealed(&|| true).expect("nothing is damaged");
}

/// A reader returns the bytes of every batch as they were hashed, so that positions and chain continue from batch to batch.
pub fn batches_are_stored_in_order_and_without_gaps<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::begin(make());
    let reader = written.reader();
    for together in [1, 3, 2, 1, 7] {
        written.append_together(together);
        // A reader of before reads them as soon as they are acknowledged.
        let all = reader.read(Position(1), usize::MAX).expect("nothing is damaged");
        assert_eq!(all, written.batches);
        assert_eq!(records_of(&all), written.stored);
        let mut chain = ChainEnd::default();
        for bytes in &all {
            Batch::parse(bytes).and_then(|batch| batch.follow(&mut chain)).expect("it continues the one before");
        }
        assert_eq!(Some(chain), written.journal.as_ref().map(Journal::end));
    }
}

/// An append without batches succeeds and moves nothing.
pub fn an_append_without_batches_changes_nothing<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::begin(make());
    for _ in 0..3 {
        written.append_together(0);
        written.append_together(2);
        written.append_together(0);
        written.reopen();
    }
}

/// A journal that was closed is opened at its end, with everything in it, and continues.
pub fn a_reopened_journal_continues_where_it_ended<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::begin(make());
    for batches in [1, 0, 5, 1, 12] {
        written.append(batches);
        written.reopen();
    }
}

/// Once `append` has returned, no crash undoes the batches (Z4).
pub fn an_acknowledged_batch_survives_a_crash<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::begin(make());
    for together in [1, 2, 1, 1, 3] {
        written.append_together(together);
        written.storage.crashed().iter().for_each(|crashed| check_opened(&written, crashed, &[written.batches.len()]));
    }
    written.reopen();
    written.storage.crashed().iter().for_each(|crashed| check_opened(&written, crashed, &[written.batches.len()]));
}

/// After a failed append none succeeds, also once the cause is gone. What failed is in the journal completely or not at all, for
/// readers, after the next start and after a crash; the next start continues from there.
pub fn a_failed_append_is_the_last_and_is_kept_completely_or_not_at_all<S: Storage>(make: impl Fn() -> S) {
    let mut failures = 0;
    for fault in 0..make().faults() {
        // A rotation is due after some numbers of batches only.
        let before = 1 + fault as usize / 6 % 3;
        let mut written = Written::with(make(), before);
        let end = written.end;
        written.storage.break_append(end, fault);
        let commit = written.next(2);
        let failed = written.journal().append(commit).is_err();
        written.storage.mend(end);
        let ends = [before, before + 2];
        if failed {
            failures += 1;
            for number in [before, before + 2] {
                let next = super::next_batch(number, written.journal().end());
                assert!(written.journal().append(vec![next]).is_err(), "after one failure none succeeds");
            }
            // A reader may fail as well.
            if let Ok(read) = written.reader().read(Position(1), usize::MAX) {
                assert!(ends.iter().any(|batches| read == written.batches[..*batches]), "{} batches", read.len());
            }
        }
        let ends = if failed { &ends[..] } else { &ends[1..] };
        written.storage.crashed().iter().for_each(|crashed| check_opened(&written, crashed, ends));
        written.journal = None;
        check_opened(&written, &written.storage, ends);
    }
    assert!(failures > 0 || make().faults() == 0, "no append failed");
}

/// Opens a journal, and checks that it ends after one of these numbers of batches, has all of them, and continues.
#[track_caller]
fn check_opened<S: Storage>(written: &Written<S>, storage: &S, ends: &[usize]) {
    let mut journal = storage.open(ChainEnd::default());
    let end = journal.end();
    let batches = ends.iter().find(|batches| written.end_of(**batches) == end);
    let batches = *batches.unwrap_or_else(|| panic!("it ends at {}, and not after {ends:?} batches", end.position));
    written.check(&journal, batches);
    let next = super::next_batch(batches, end);
    let end = journal.append(vec![next]).expect("the storage takes it");
    drop(journal);
    let journal = storage.open(ChainEnd::default());
    assert_eq!(journal.end(), end);
    assert_eq!(journal.reader().read(Position(1), usize::MAX).map(|all| all.len()).ok(), Some(batches + 1));
}
