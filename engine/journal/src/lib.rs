//! The journal: batches of records on disk, each of which continues the one before.
//!
//! [`Journal`] is the trait that the engine needs; [`Segments`] implements it in redb files of a [`Disk`](crate::disk::Disk).
//! [`scrip_protocol::batch`] describes batches and their chain of hashes.
//!
//! - `segments` documents the files; it opens, appends and rotates. `segment_file` is one file.
//! - `replay` reads what follows a snapshot and checks it. [`walk`] does the same without changing the journal.
//! - `catalogue` reads while the journal is written, and drops the oldest segments. A [`Cursor`] continues reading from call to
//!   call.
//! - `conformance` tests what [`Journal`] promises; every implementation runs it.
//! - [`disk`] has the file operations, and the simulated disk of the tests. [`salvage`] reads what it can of a damaged segment.
//!
//! Invariants: an append that returned is durable; after a failed append, none succeeds. Reading never repairs: a
//! [`JournalError`] names the file and position of damage, and the engine refuses to start.

mod catalogue;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod cursor;
pub mod disk;
mod replay;
pub mod salvage;
mod segment_file;
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
pub use replay::ReplayProgress;
pub use segments::{JournalLock, ROW_BYTES, SEGMENT_BYTES, Segments};
pub use walk::{Visit, walk};

/// Where batches become durable. One thread owns it.
pub trait Journal: Send {
    /// The newest durable batch.
    fn end(&self) -> ChainEnd;

    /// Appends batches after the newest one; returns the new end once all are durable.
    ///
    /// # Errors
    /// If they may not be durable. Then all of them may be, or none; never some. Every later append fails as well.
    fn append(&mut self, batches: Vec<BatchBuilder>) -> Result<ChainEnd, JournalError>;

    /// A reader that can be used while batches are appended.
    fn reader(&self) -> Arc<dyn JournalReader>;
}

/// Reads durable batches, on any thread.
pub trait JournalReader: Send + Sync {
    /// The batches from the one that contains `from`, in order, until their size exceeds `bytes_max` (at least one batch). None
    /// if `from` is after the end. They are consecutive according to their headers; their own hashes are not checked.
    ///
    /// # Errors
    /// If they cannot be read, were dropped, or one is missing or of another history.
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError>;

    /// The size of the journal on disk, in bytes.
    fn bytes(&self) -> u64;

    /// The position of the oldest retained record; if there is none, of the first future one.
    fn first(&self) -> Position;

    /// The position of the oldest record that would remain after dropping everything up to a position.
    fn first_behind(&self, position: Position) -> Position;

    /// Drops the segments whose records are all at or before a position, the oldest first, each durably before the next. The live
    /// one stays. Readers of a dropped segment can finish. Returns the number of dropped segments.
    ///
    /// # Errors
    /// If one cannot be removed, or may not be removed durably.
    fn drop_through(&self, position: Position) -> Result<usize, JournalError>;

    /// Checks the segments that were not read when the journal was opened because a snapshot covers them: that all exist, that
    /// each starts where its name says and where the one before it ends, and that it ends with the batch that its seal names.
    /// Other batches are not read. Calls `goes_on` before each segment, and stops if it returns false.
    ///
    /// # Errors
    /// If one is missing, from another journal, or damaged in the checked places.
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
    /// The operating system returned an error.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// redb cannot read a segment's file.
    #[error("{path}: the segment cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The message of redb.
        cause: String,
    },
    /// A segment's file has a name, format or beginning that does not fit.
    #[error("{path}: the segment does not match its file name: {why}")]
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
    /// A batch that is followed by others is cut off or changed.
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
    #[error("{path}: there is a gap: expected position {expected}, found {found}")]
    Gap {
        /// The file.
        path: PathBuf,
        /// The next position.
        expected: Position,
        /// The position found.
        found: Position,
    },
    /// A batch does not continue the one before it.
    #[error("{path}: the chain of hashes is broken at position {position}")]
    BrokenChain {
        /// The file.
        path: PathBuf,
        /// The start of the batch that does not fit.
        position: Position,
    },
    /// A whole segment is missing.
    #[error("{dir}: the segment that starts at position {expected} is missing")]
    MissingSegment {
        /// The folder.
        dir: PathBuf,
        /// The position at which it should start.
        expected: Position,
    },
    /// A snapshot is of another history than the journal.
    #[error("{path}: the snapshot at position {position} does not match the journal: no batch with its hash and time ends there")]
    OtherHistory {
        /// The file that should contain its end.
        path: PathBuf,
        /// The snapshot's position.
        position: Position,
    },
    /// The journal ends before a snapshot.
    #[error("{dir}: the journal ends at position {end}, before the snapshot at {from}: the journal's newest batches are missing")]
    EndsBefore {
        /// The folder.
        dir: PathBuf,
        /// The newest existing record.
        end: Position,
        /// The snapshot's position.
        from: Position,
    },
    /// The requested record was dropped.
    #[error("{dir}: the record at position {position} was dropped: the journal begins at {first}")]
    Dropped {
        /// The folder.
        dir: PathBuf,
        /// The requested position.
        position: Position,
        /// The oldest retained record.
        first: Position,
    },
    /// A durable record is not in the journal.
    #[error("durable position {position} is missing from the journal")]
    Missing {
        /// The position.
        position: Position,
    },
    /// A batch does not continue what was read before it.
    #[error("the batch that was read for position {position} does not continue what was read before: {cause}")]
    Discontinuous {
        /// The next position.
        position: Position,
        /// What is wrong.
        cause: BatchError,
    },
    /// A new journal was to be started where one exists.
    #[error("{dir}: a journal already exists here")]
    AlreadyThere {
        /// The folder.
        dir: PathBuf,
    },
    /// A batch that was sealed elsewhere does not continue this journal.
    #[error("{dir}: the batch for position {position} does not continue this journal: {cause}")]
    NotNext {
        /// The folder.
        dir: PathBuf,
        /// The next position.
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
    /// A segment does not end where its seal says.
    #[error("{path}: the segment is sealed at position {sealed}, but ends at {found}")]
    SealBroken {
        /// The file.
        path: PathBuf,
        /// The position in the seal.
        sealed: Position,
        /// The position found.
        found: Position,
    },
    /// A batch could not be made durable, or an earlier one could not.
    #[error("{path}: a batch could not be made durable: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The message of redb.
        cause: String,
    },
}
