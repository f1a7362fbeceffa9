//! Reads: from any position, up to a limit, on any thread, and while the journal grows.

use std::sync::mpsc;
use std::thread;

use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, ChainEnd};

use super::{Storage, Written};
use crate::{Cursor, JournalReader};

/// A read begins with the batch that contains its position, and ends with the batch with which its bytes exceed the limit: one
/// batch at least, and none after the end.
pub fn a_read_begins_with_the_batch_of_its_position_and_ends_over_its_limit<S: Storage>(make: impl Fn() -> S) {
    let written = Written::with(make(), 12);
    let reader = written.reader();
    for from in 1..=written.end.position.0 {
        let holder = written.firsts.partition_point(|first| *first <= from) - 1;
        let all = reader.read(Position(from), usize::MAX).expect("nothing is damaged");
        assert_eq!(all, written.batches[holder..], "from {from}");
        let one = reader.read(Position(from), 0).expect("nothing is damaged");
        assert_eq!(one, all[..1], "a batch is read however small the limit is");
        for count in 1..all.len() {
            let bytes = all[..count].iter().map(Vec::len).sum::<usize>();
            let some = reader.read(Position(from), bytes - 1).expect("nothing is damaged");
            assert_eq!(some, all[..count], "from {from}, {count} batches");
        }
    }
    let read = |from| reader.read(from, usize::MAX).expect("nothing is damaged");
    assert_eq!(read(Position(0)), written.batches, "positions begin at 1");
    assert!(read(written.end.next()).is_empty() && read(Position(u64::MAX)).is_empty());
}

/// Readers on other threads read every acknowledged batch while others are appended.
pub fn readers_on_other_threads_read_what_is_durable_while_batches_are_appended<S: Storage>(make: impl Fn() -> S) {
    let mut written = Written::begin(make());
    let follow = |reader: &dyn JournalReader, durable: &mpsc::Receiver<Position>, bytes_max: usize| {
        let (mut all, mut chain) = (Vec::new(), ChainEnd::default());
        for durable in durable {
            while chain.position < durable {
                let batches = reader.read(chain.next(), bytes_max).expect("a durable batch can be read");
                assert!(!batches.is_empty(), "{durable} is durable, {} is read", chain.position);
                for bytes in &batches {
                    Batch::parse(bytes).and_then(|batch| batch.follow(&mut chain)).expect("it comes next");
                }
                all.extend(batches);
            }
        }
        all
    };
    thread::scope(|threads| {
        let readers = [0, 300, usize::MAX].map(|bytes_max| {
            let (reader, (sender, receiver)) = (written.reader(), mpsc::channel());
            (sender, threads.spawn(move || follow(&*reader, &receiver, bytes_max)))
        });
        for number in 0..60 {
            written.append_together(1 + number % 2);
            readers.iter().for_each(|(sender, _)| sender.send(written.end.position).expect("the reader is there"));
        }
        for (sender, reader) in readers {
            drop(sender);
            assert_eq!(reader.join().expect("the reader found nothing wrong"), written.batches);
        }
    });
    written.reopen();
}

/// Cursors that lag by different numbers of batches read each batch once, whatever ends between two reads.
pub fn a_cursor_misses_no_batch_of_a_growing_journal<S: Storage>(make: impl Fn() -> S) {
    for lag in 0..4 {
        let mut written = Written::with(make(), lag + 1);
        let reader = written.reader();
        let (mut cursor, mut read) = (Cursor::from(Position(1)), Vec::new());
        for _ in 0..20 {
            read.extend(cursor.read(&*reader, 0).expect("the next batch is durable"));
            written.append(1);
        }
        assert_eq!(read, written.batches[..20], "one by one");
        let rest = cursor.read(&*reader, usize::MAX).expect("the next batch is durable");
        assert_eq!(rest, written.batches[20..]);
        assert_eq!(cursor.next(), written.end.next());
        assert!(cursor.read(&*reader, usize::MAX).is_err(), "nothing comes after the end");
    }
}
