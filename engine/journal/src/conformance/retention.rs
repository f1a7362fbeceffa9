//! Retention: what a drop leaves, what readers see of it, and the check of what a snapshot covers.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::{Storage, Written};
use crate::{Cursor, Journal, JournalError};

const BATCHES: usize = 9;

/// A drop removes no record after its position, and leaves what `first_behind` has reported; a second one removes nothing. Dropped
/// records are refused by name, and the others are read as before.
pub fn a_drop_leaves_every_record_after_its_position<S: Storage>(make: impl Fn() -> S) {
    let mut before = Position(1);
    for position in (0..=16).chain([u64::MAX]).map(Position) {
        let written = Written::with(make(), BATCHES);
        let reader = written.reader();
        let first = reader.first_behind(position);
        assert!(first >= before && first.0 - 1 <= position.0, "{first} remains of a drop through {position}, after {before}");
        before = first;
        let dropped = reader.drop_through(position).expect("it can be removed");
        assert_eq!((reader.first(), dropped > 0), (first, first > Position(1)), "through {position}");
        assert_eq!(reader.first_behind(Position(0)), first);
        assert_eq!(reader.drop_through(position).expect("nothing is removed"), 0);
        for lost in 1..first.0 {
            let refused = reader.read(Position(lost), 0).expect_err("it was dropped");
            let named = matches!(refused, JournalError::Dropped { position, first: kept, .. }
                if (position, kept) == (Position(lost), first));
            assert!(named, "{refused}");
        }
        written.check(written.journal.as_ref().expect("it is open"), BATCHES);
    }
}

/// After a drop a journal continues, and opens with a snapshot that covers what was dropped.
pub fn a_journal_continues_after_a_drop<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::with(make(), BATCHES);
    for covered in [2, 5, 11, 14] {
        let from = written.end_of(covered);
        let reader = written.reader();
        reader.drop_through(from.position).expect("it can be removed");
        let first = reader.first();
        drop(reader);
        written.append(1);
        written.reopen_with(from);
        assert_eq!(written.reader().first(), first, "an opening drops nothing");
        written.append_together(2);
    }
    written.reader().drop_through(Position(u64::MAX)).expect("it can be removed");
    written.append(1);
    written.reopen_with(written.end);
    written.append(1);
}

/// A crash after a drop, or during it, leaves the newest records without a gap.
pub fn a_crash_beside_a_drop_leaves_the_newest_records_without_a_gap<S: Storage>(make: impl Fn() -> S) {
    let written = Written::with(make(), BATCHES);
    let from = written.end_of(6);
    let reader = written.reader();
    for batches in 1..=6 {
        reader.drop_through(written.end_of(batches).position).expect("it can be removed");
        for crashed in written.storage.crashed() {
            let journal = crashed.open(from);
            written.check(&journal, BATCHES);
            assert!(journal.reader().first() >= reader.first(), "a drop is durable");
        }
    }
}

/// A reader beside a drop reads what comes next, or learns that it was dropped; what it reads has no gap.
pub fn a_reader_beside_a_drop_continues_or_is_refused<S: Storage>(make: impl Fn() -> S) {
    let written = Written::with(make(), 30);
    let (reader, end) = (written.reader(), written.end);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|threads| {
        let following = threads.spawn(|| {
            let mut cursor = Cursor::from(Position(1));
            for () in receiver {
                if cursor.next() > end.position {
                    continue;
                }
                match cursor.read(&*reader, 200) {
                    Ok(_) => {}
                    Err(JournalError::Dropped { position, first, .. }) => {
                        assert!(position >= cursor.next() && first > position, "{position} was dropped up to {first}");
                        cursor = Cursor::from(first);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for end in &written.ends {
            sender.send(()).expect("the reader is there");
            reader.drop_through(end.position).expect("it can be removed");
            sender.send(()).expect("the reader is there");
        }
        drop(sender);
        following.join().expect("the reader found nothing wrong");
    });
    assert!(reader.first() <= written.end.next());
}

/// The reported size includes every batch, and shrinks with what is dropped.
pub fn the_size_includes_every_batch_and_shrinks_with_drops<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::begin(make());
    let reader = written.reader();
    for _ in 0..BATCHES {
        written.append(1);
        let (bytes, least) = (reader.bytes(), written.batches.iter().map(Vec::len).sum::<usize>());
        assert!(bytes >= least as u64, "{bytes} bytes with batches of {least}");
    }
    let before = reader.bytes();
    let dropped = reader.drop_through(Position(u64::MAX)).expect("it can be removed");
    assert_eq!(reader.bytes() < before, dropped > 0, "{dropped} dropped: {} bytes after {before}", reader.bytes());
}

/// The check of a whole journal finds nothing, whatever snapshot it was opened with, and ends when it is told to.
pub fn a_check_of_a_whole_journal_finds_nothing_and_can_be_stopped<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::with(make(), BATCHES);
    for covered in 0..=BATCHES {
        written.reopen_with(written.end_of(covered));
        let reader = written.reader();
        for limit in 0..4 {
            let calls = Cell::new(0);
            let goes_on = || {
                calls.set(calls.get() + 1);
                calls.get() <= limit
            };
            reader.check_sealed(&goes_on).expect("nothing is damaged");
            assert!(calls.get() <= limit + 1, "it was stopped");
        }
    }
}

/// What is dropped during a check is not damage.
pub fn records_dropped_during_a_check_are_not_missing<S: Storage>(make: impl Fn() -> S) {
    for at in 1..BATCHES {
        let mut written = Written::with(make(), BATCHES);
        written.reopen_with(written.end_of(BATCHES - 1));
        let reader = written.reader();
        let calls = Cell::new(0);
        let goes_on = || {
            calls.set(calls.get() + 1);
            if calls.get() == at {
                let through: ChainEnd = written.end_of((at + 2).min(BATCHES));
                reader.drop_through(through.position).expect("it can be removed");
            }
            true
        };
        reader.check_sealed(&goes_on).expect("nothing is damaged");
    }
}
