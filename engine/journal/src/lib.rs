//! The journal: batches of records on disk, each of which continues the one before.
//!
//! [`Journal`] is the trait that the engine needs; [`Segments`] implements it in redb files of a [`Disk`](crate::disk::Disk).
//! [`scrip_protocol::batch`] describes batches and their chain of hashes.
//!
//! - `segments` draws the files; it opens, appends and rotates. `segment` is one file.
//! - `recovery` replays what follows a snapshot and checks it. [`walk`] does the same without changing the journal.
//! - `catalogue` reads while the journal is written, and drops the oldest segments. A [`Cursor`] continues reading from call to call.
//! - [`disk`] has the file operations, and the simulated disk of the tests. [`salvage`] reads what it can of a damaged segment.
//!
//! Invariants: an append that returned is durable; after a failed append, none succeeds. Reading never repairs: a [`JournalError`]
//! names the file and position of damage, and the engine refuses to start.

mod catalogue;
mod cursor;
pub mod disk;
mod recovery;
pub mod salvage;
mod segment;
mod segments;
#[cfg(test)]
mod tests;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::batch::{BatchBuilder, BatchError, ChainEnd};

pub use catalogue::SEALED_READS_MAX;
pub use cursor::Cursor;
pub use recovery::ReplayProgress;
pub use segments::{ROW_BYTES, SEGMENT_BYTES, Segments};
pub use walk::{Visit, walk};

/// Where batches become durable. One thread owns it.
pub trait Journal: Send {
    /// The newest durable batch.
    fn end(&self) -> ChainEnd;

    /// Appends batches after the newest; returns when all are durable, with the new end.
    ///
    /// # Errors
    /// When they are not known to be durable. They may be, all of them; never some. Every later append fails as well.
    fn append(&mut self, batches: Vec<BatchBuilder>) -> Result<ChainEnd, JournalError>;

    /// A reader that may be used while batches are appended.
    fn reader(&self) -> Arc<dyn JournalReader>;
}

/// Reads durable batches, on any thread.
pub trait JournalReader: Send + Sync {
    /// The batches from the one that holds `from` on, in order, until their bytes pass `bytes_max` (one batch at least).
    /// None when `from` is past the end. They are consecutive, as far as their headers state it; their own hashes are not checked.
    ///
    /// # Errors
    /// When they cannot be read, were dropped, or one is missing or of another history.
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError>;

    /// How many bytes the journal has on disk.
    fn bytes(&self) -> u64;

    /// The position of the oldest record that is kept; of the first there will be, where there is none.
    fn first(&self) -> Position;

    /// The position of the oldest record that would be kept if everything were dropped up to a position.
    fn first_behind(&self, position: Position) -> Position;

    /// Drops the segments all of whose records are at or before a position, the oldest first, each for good before the next. The
    /// live one stays. Whoever is reading one reads on. Returns how many were dropped.
    ///
    /// # Errors
    /// When one cannot be removed, or is not known to be.
    fn drop_through(&self, position: Position) -> Result<usize, JournalError>;

    /// Checks the segments that were not read when the journal was opened, because a snapshot covers them: that all are there, that
    /// each starts where its name says and the one before it ends, and ends with the batch that it says. Its other batches are not read.
    /// Before each it is asked whether to go on.
    ///
    /// # Errors
    /// When one is missing, another, or damaged where it was looked at.
    fn check_sealed(&self, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError>;
}

/// Why a journal cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has the journal open.
    #[error("{dir}: another process has this journal open")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A segment's file is not one that redb can read.
    #[error("{path}: the segment cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What redb says.
        cause: String,
    },
    /// A segment's file has another name, format or beginning than it should.
    #[error("{path}: this is not the segment that its name says: {why}")]
    NotThatSegment {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: &'static str,
    },
    /// The newest batch is cut off or changed.
    #[error("{path}: the journal's last batch, at position {position}, is torn: {cause}")]
    TornEnd {
        /// The file.
        path: PathBuf,
        /// Where the batch starts.
        position: Position,
        /// What is wrong with it.
        cause: BatchError,
    },
    /// A batch with others after it is cut off or changed.
    #[error("{path}: the batch at position {position} is damaged: {cause}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the batch starts.
        position: Position,
        /// What is wrong with it.
        cause: BatchError,
    },
    /// Positions are missing within a segment.
    #[error("{path}: there is a gap: position {expected} comes next, and {found} is there")]
    Gap {
        /// The file.
        path: PathBuf,
        /// What comes next.
        expected: Position,
        /// What is there.
        found: Position,
    },
    /// A batch does not continue the one before it.
    #[error("{path}: the chain of hashes is broken at position {position}")]
    BrokenChain {
        /// The file.
        path: PathBuf,
        /// Where the batch starts that does not fit.
        position: Position,
    },
    /// A whole segment is missing.
    #[error("{dir}: the segment that starts at position {expected} is missing")]
    MissingSegment {
        /// The folder.
        dir: PathBuf,
        /// Where it should start.
        expected: Position,
    },
    /// A snapshot is of another history than the journal.
    #[error("{path}: the snapshot at position {position} does not meet the journal: no batch with its hash and time ends there")]
    OtherHistory {
        /// The file in which it should.
        path: PathBuf,
        /// Where the snapshot stands.
        position: Position,
    },
    /// The journal has less than a snapshot.
    #[error(
        "{dir}: the journal ends at position {end}, and a snapshot was taken at {from}: the journal's newest batches are missing"
    )]
    EndsBefore {
        /// The folder.
        dir: PathBuf,
        /// The newest record that is there.
        end: Position,
        /// Where the snapshot stands.
        from: Position,
    },
    /// What is to be read was dropped.
    #[error("{dir}: the record at position {position} was dropped: the journal begins at {first}")]
    Dropped {
        /// The folder.
        dir: PathBuf,
        /// What was to be read.
        position: Position,
        /// The oldest record that is kept.
        first: Position,
    },
    /// A record that is durable is not in the journal.
    #[error("the journal does not hold position {position}, which is durable")]
    Missing {
        /// The position.
        position: Position,
    },
    /// A batch does not continue what was read before it.
    #[error("the batch that was read for position {position} does not continue what was read before: {cause}")]
    Discontinuous {
        /// The position that comes next.
        position: Position,
        /// What is wrong.
        cause: BatchError,
    },
    /// A journal was to be begun where there is one.
    #[error("{dir}: there is a journal already")]
    AlreadyThere {
        /// The folder.
        dir: PathBuf,
    },
    /// A batch that was sealed elsewhere does not continue this journal.
    #[error("{dir}: the batch for position {position} does not continue this journal: {cause}")]
    NotNext {
        /// The folder.
        dir: PathBuf,
        /// What comes next.
        position: Position,
        /// What is wrong with it.
        cause: BatchError,
    },
    /// A segment has a successor but was not finished.
    #[error("{path}: the segment was not finished, but another follows it")]
    Unsealed {
        /// The file.
        path: PathBuf,
    },
    /// A segment ends elsewhere than it says.
    #[error("{path}: the segment says that it ends at position {sealed}, and it ends at {found}")]
    SealBroken {
        /// The file.
        path: PathBuf,
        /// What it says.
        sealed: Position,
        /// What is there.
        found: Position,
    },
    /// A batch could not be made durable, or an earlier one could not.
    #[error("{path}: a batch could not be made durable: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What redb says.
        cause: String,
    },
}
