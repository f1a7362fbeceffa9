//! Reads a journal in order, across calls.

use scrip_protocol::Position;
use scrip_protocol::batch::{BatchError, ChainEnd, Link};

use super::{JournalError, JournalReader};

/// The progress of a reader. The next batch starts one position after the last batch read, and continues its hash.
///
/// Only the headers of batches are checked: callers that use the contents check the hash
/// ([`Batch::parse`](scrip_protocol::batch::Batch::parse)).
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    next: Position,
    /// The end of the chain; none before the first batch of a reader that starts at any position.
    chain: Option<ChainEnd>,
}

impl Cursor {
    /// Reads from the batch that contains a position.
    pub fn from(position: Position) -> Cursor {
        Cursor { next: position.max(Position(1)), chain: None }
    }

    /// Reads what continues a chain.
    pub fn after(end: ChainEnd) -> Cursor {
        Cursor { next: end.next(), chain: Some(end) }
    }

    /// The next position.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Reads the next batches, at least one, until their bytes pass `bytes_max`. The next position must be durable.
    ///
    /// # Errors
    /// If they cannot be read or are not the next ones. The cursor does not move then.
    pub fn read(&mut self, reader: &dyn JournalReader, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let batches = reader.read(self.next, bytes_max)?;
        if batches.is_empty() {
            return Err(JournalError::Missing { position: self.next });
        }
        let mut moved = *self;
        for bytes in &batches {
            moved.pass(bytes).map_err(|cause| JournalError::Discontinuous { position: moved.next, cause })?;
        }
        *self = moved;
        Ok(batches)
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), BatchError> {
        let link = Link::stated(bytes).ok_or(BatchError::Short(bytes.len()))?;
        match &mut self.chain {
            Some(chain) => link.follow(chain)?,
            None if link.holds(self.next) => self.chain = Some(link.end()),
            None => return Err(BatchError::Gap { expected: self.next, found: link.first }),
        }
        self.next = Position(link.end().position.0.saturating_add(1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::batch::BatchBuilder;
    use scrip_protocol::record::SettingsSet;
    use scrip_protocol::{Record, Settings};

    use super::*;

    /// Answers reads with scripted batches.
    struct Scripted(parking_lot::Mutex<std::collections::VecDeque<Vec<Vec<u8>>>>);

    impl JournalReader for Scripted {
        fn read(&self, _from: Position, _bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
            Ok(self.0.lock().pop_front().unwrap_or_default())
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn first(&self) -> Position {
            Position(1)
        }

        fn first_behind(&self, _position: Position) -> Position {
            Position(1)
        }

        fn drop_through(&self, _position: Position) -> Result<usize, JournalError> {
            Ok(0)
        }

        fn check_sealed(&self, _goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
            Ok(())
        }
    }

    /// Batches of two records each.
    fn batches(time_ms: u64, count: usize) -> Vec<Vec<u8>> {
        let mut chain = ChainEnd::default();
        let sealed = |_| {
            let mut batch = BatchBuilder::new(time_ms);
            (0..2).for_each(|_| batch.push(&Record::from(SettingsSet::new(Settings::default()))));
            batch.seal(&mut chain)
        };
        (0..count).map(sealed).collect()
    }

    fn read(mut cursor: Cursor, reads: &[&[&Vec<u8>]]) -> Result<Position, JournalError> {
        let script = reads.iter().map(|read| read.iter().map(|bytes| (*bytes).clone()).collect());
        let reader = Scripted(parking_lot::Mutex::new(script.collect()));
        for _ in reads {
            cursor.read(&reader, 1)?;
        }
        Ok(cursor.next())
    }

    #[test]
    fn every_batch_is_read_once_and_in_order() {
        let (ours, theirs) = (batches(1, 4), batches(2, 4));
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| &ours[at]);
        let from = |position| Cursor::from(Position(position));
        assert_eq!(read(from(0), &[&[a, b], &[c], &[d]]).expect("they are consecutive"), Position(9));
        assert_eq!(read(from(4), &[&[b], &[c, d]]).expect("the first one holds position 4"), Position(9));
        let refused = |cursor, reads: &[&[&Vec<u8>]]| read(cursor, reads).expect_err("it is not the next one").to_string();
        let gap = |expected, found| {
            let cause = BatchError::Gap { expected: Position(expected), found: Position(found) };
            JournalError::Discontinuous { position: Position(expected), cause }.to_string()
        };
        assert_eq!(refused(from(1), &[&[b]]), gap(1, 3));
        assert_eq!(refused(from(1), &[&[a], &[c]]), gap(3, 5), "a batch is missing between two reads");
        assert_eq!(refused(from(1), &[&[a, b], &[b]]), gap(5, 3), "a batch comes twice");
        let broken = JournalError::Discontinuous { position: Position(3), cause: BatchError::BrokenChain }.to_string();
        assert_eq!(refused(from(1), &[&[a], &[&theirs[1]]]), broken);
        let end = Link::stated(a).expect("it has a header").end();
        assert_eq!(refused(Cursor::after(end), &[&[&theirs[1]]]), broken);
        assert_eq!(refused(from(1), &[&[a], &[]]), JournalError::Missing { position: Position(3) }.to_string());
    }
}
