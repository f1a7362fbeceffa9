//! The records as they were read, and the journal up to a position.

use scrip_protocol::batch::{Batch, BatchError, ChainEnd};
use scrip_protocol::{Position, Record, RequestId};

/// A record with its position.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) position: u64,
    /// The time of its batch.
    pub(crate) at_ms: u64,
    pub(crate) record: Record,
}

/// Everything read from a journal.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    chain: ChainEnd,
    records: Vec<Recorded>,
    /// The end of each batch.
    ends: Vec<ChainEnd>,
}

/// The journal up to a position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'a> {
    pub(crate) records: &'a [Recorded],
    /// The last batch.
    pub(crate) end: ChainEnd,
}

impl Recount {
    /// The recount of a whole journal.
    pub(crate) fn of(batches: &[Vec<u8>]) -> Recount {
        let mut recount = Recount::default();
        batches.iter().for_each(|batch| recount.read(batch).expect("the batch comes next"));
        recount
    }

    /// The recount of a journal that is read from a position on.
    pub(crate) fn from(beginning: ChainEnd) -> Recount {
        Recount { chain: beginning, ..Recount::default() }
    }

    /// Reads the next batch.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), BatchError> {
        let batch = Batch::parse(bytes)?;
        let mut chain = self.chain;
        batch.follow(&mut chain)?;
        for item in batch.records() {
            let (position, record) = item?;
            self.records.push(Recorded { position: position.0, at_ms: batch.time_ms, record });
        }
        self.chain = chain;
        self.ends.push(chain);
        Ok(())
    }

    /// Where the journal ends.
    pub(crate) fn end(&self) -> ChainEnd {
        self.chain
    }

    /// The end of each batch.
    pub(crate) fn ends(&self) -> &[ChainEnd] {
        &self.ends
    }

    /// The whole journal.
    pub(crate) fn now(&self) -> Past<'_> {
        Past { records: &self.records, end: self.chain }
    }

    /// The journal up to the end of a batch.
    pub(crate) fn at(&self, position: Position) -> Past<'_> {
        let end = match position {
            Position(0) => ChainEnd::default(),
            position => *self.ends.iter().find(|end| end.position == position).expect("a batch ends there"),
        };
        let records = &self.records[..self.records.partition_point(|recorded| recorded.position <= position.0)];
        Past { records, end }
    }
}

impl<'a> Past<'a> {
    /// The record at a position.
    pub(crate) fn record(&self, position: Position) -> Option<&'a Recorded> {
        self.records.iter().find(|recorded| recorded.position == position.0)
    }

    /// The position of the record of a request (Z3).
    pub(crate) fn request(&self, request: RequestId) -> Option<u64> {
        let of = |recorded: &&Recorded| recorded.record.stamp().is_some_and(|stamp| stamp.request == request);
        self.records.iter().find(of).map(|recorded| recorded.position)
    }
}
