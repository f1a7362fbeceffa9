//! One segment: a redb file of a [`Disk`] and its contents. See [`super::segments`] for its layout.
//!
//! All file access of redb goes through the handles opened here. redb may panic on a file that was modified: [`no_panic`] and
//! [`guarded`] wrap all of its work on files that may be damaged, including the close of a file ([`Live`]).

use std::io;
use std::ops::{Bound, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use redb::{
    BackendError, Builder, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTableMetadata,
    StorageBackend, TableDefinition,
};
use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::JournalError;
use crate::disk::{Access, Disk, Overlay};

/// redb's cache for one file. Batches are written once and read in order, so that a larger one would not help.
const CACHE_BYTES: usize = 16 << 20;

pub(super) const BATCHES: TableDefinition<u64, &[u8]> = TableDefinition::new("batches");
pub(super) const SEGMENT: TableDefinition<&str, &[u8]> = TableDefinition::new("segment");
pub(super) const START: &str = "start";
pub(super) const SEAL: &str = "seal";

pub(super) fn segment_path(dir: &Path, first: Position) -> PathBuf {
    dir.join(format!("{:020}.redb", first.0))
}

pub(super) fn unfinished_path(path: &Path) -> PathBuf {
    path.with_extension("redb.new")
}

pub(super) fn encode_end(end: ChainEnd) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..8].copy_from_slice(&end.position.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&end.time_ms.to_le_bytes());
    bytes[16..].copy_from_slice(&end.hash);
    bytes
}

fn decode_end(bytes: &[u8]) -> Option<ChainEnd> {
    let bytes: &[u8; 48] = bytes.try_into().ok()?;
    let number = |at: usize| bytes[at..].first_chunk().copied().map(u64::from_le_bytes);
    Some(ChainEnd { position: Position(number(0)?), time_ms: number(8)?, hash: *bytes[16..].first_chunk()? })
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Opens a segment for reading and writing, as the disk stores it: if the last flush of an earlier run failed, its commit may
/// still be in the page cache, and a power cut would take it away from under later commits.
pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Database, DatabaseError> {
    opened(disk.storage(path, Access::Write)?)
}

/// Opens a segment for reading, as it is. Refuses one that was not closed: [`DatabaseError::RepairAborted`].
pub(super) fn open_read_only(disk: &dyn Disk, path: &Path) -> Result<ReadOnlyDatabase, DatabaseError> {
    builder().open_read_only_with_backend(Stored(disk.storage(path, Access::Read)?))
}

/// Opens a segment for reading. If it was not closed, because the process that wrote it ended just after sealing it, redb repairs
/// it first.
pub(super) fn open_sealed(disk: &dyn Disk, path: &Path) -> Result<ReadOnlyDatabase, DatabaseError> {
    match open_read_only(disk, path) {
        Err(DatabaseError::RepairAborted) => {
            open(disk, path)?.close()?;
            open_read_only(disk, path)
        }
        opened => opened,
    }
}

/// Opens a segment for reading without changing its file: redb repairs it in memory if necessary.
pub(super) fn open_untouched(disk: &dyn Disk, path: &Path) -> Result<Untouched, DatabaseError> {
    match open_read_only(disk, path) {
        Ok(database) => Ok(Untouched::Closed(database)),
        Err(DatabaseError::RepairAborted) => {
            let overlay = Overlay::over(disk.storage(path, Access::ReadFromDisk)?)?;
            Ok(Untouched::Finished(Live::new(opened(Box::new(overlay))?)))
        }
        Err(cause) => Err(cause),
    }
}

/// redb turns an empty file into a database, which is never wanted for an existing file.
fn opened(storage: Box<dyn StorageBackend>) -> Result<Database, DatabaseError> {
    if storage.len()? == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty").into());
    }
    builder().create_with_backend(Stored(storage))
}

/// Creates an empty segment under its unfinished name, and replaces an existing file.
pub(super) fn make(disk: &dyn Disk, dir: &Path, path: &Path, start: ChainEnd) -> Result<(), JournalError> {
    let unfinished = unfinished_path(path);
    if let Err(source) = disk.remove(&unfinished)
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(JournalError::Io { path: unfinished, source });
    }
    let make = || -> Result<(), redb::Error> {
        let database = builder().create_with_backend(Stored(disk.storage(&unfinished, Access::Create)?))?;
        let transaction = database.begin_write()?;
        transaction.open_table(BATCHES)?;
        transaction.open_table(SEGMENT)?.insert(START, &encode_end(start)[..])?;
        transaction.commit()?;
        database.close()?;
        Ok(())
    };
    make().map_err(|cause| write_error(&unfinished, &cause))?;
    // Before its predecessor is sealed: a crash that kept the seal and lost this file would look like a loss of batches.
    sync_folder(disk, dir)
}

/// Gives a finished segment its name, durably, and returns it open.
pub(super) fn publish(disk: &dyn Disk, dir: &Path, path: &Path, start: ChainEnd) -> Result<Arc<Live>, JournalError> {
    // Checked before the rename: a file that is not the next segment stays unchanged.
    let unfinished = unfinished_path(path);
    let database = guarded(&unfinished, || {
        let database = Live::new(open(disk, &unfinished).map_err(|cause| unreadable(&unfinished, cause))?);
        check_empty(&database.begin_read().map_err(|cause| unreadable(&unfinished, cause))?, &unfinished, start)?;
        Ok(database)
    })?;
    disk.rename(&unfinished, path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    // Before a batch in it is acknowledged: if a crash undid the rename, the batch would be lost.
    sync_folder(disk, dir)?;
    Ok(Arc::new(database))
}

/// Checks that a segment is unused: it starts where the chain ends, and has no batch.
pub(super) fn check_empty(transaction: &ReadTransaction, path: &Path, start: ChainEnd) -> Result<(), JournalError> {
    check_start(transaction, path, start)?;
    let is_empty = || transaction.open_table(BATCHES)?.is_empty().map_err(redb::Error::from);
    match is_empty().map_err(|cause| unreadable(path, cause))? {
        true => Ok(()),
        false => Err(JournalError::NotThatSegment { path: path.to_owned(), why: "it contains batches but was not in use yet" }),
    }
}

/// Checks that a segment continues a chain.
pub(super) fn check_start(transaction: &ReadTransaction, path: &Path, start: ChainEnd) -> Result<(), JournalError> {
    match read_end(transaction, path, START)? == Some(start) {
        true => Ok(()),
        false => Err(JournalError::NotThatSegment { path: path.to_owned(), why: "it does not continue the segment before it" }),
    }
}

/// Where a segment starts, which must agree with its name.
pub(super) fn start_of(transaction: &ReadTransaction, path: &Path, first: Position) -> Result<ChainEnd, JournalError> {
    let not_that = |why| JournalError::NotThatSegment { path: path.to_owned(), why };
    let start = read_end(transaction, path, START)?.ok_or_else(|| not_that("its start is missing"))?;
    match start.position.0.checked_add(1) == Some(first.0) && (first.0 > 1 || start == ChainEnd::default()) {
        true => Ok(start),
        false => Err(not_that("it starts at another position")),
    }
}

/// One of the two ends stored in a segment; `None` if it is not stored.
pub(super) fn read_end(transaction: &ReadTransaction, path: &Path, key: &str) -> Result<Option<ChainEnd>, JournalError> {
    let read = || -> Result<Option<ChainEnd>, redb::Error> {
        let table = match transaction.open_table(SEGMENT) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(cause) => return Err(cause.into()),
        };
        Ok(table.get(key)?.and_then(|value| decode_end(value.value())))
    };
    read().map_err(|cause| unreadable(path, cause))
}

/// Stores the end of a segment, for good.
pub(super) fn seal(database: &Database, end: ChainEnd) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(SEGMENT)?.insert(SEAL, &encode_end(end)[..])?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn sync_folder(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    disk.sync_folder(dir).map_err(|source| JournalError::Io { path: dir.to_owned(), source })
}

pub(super) fn write_error(path: &Path, cause: &redb::Error) -> JournalError {
    JournalError::Write { path: path.to_owned(), cause: cause.to_string() }
}

pub(super) fn unreadable(path: &Path, cause: impl std::fmt::Display) -> JournalError {
    JournalError::Unreadable { path: path.to_owned(), cause: cause.to_string() }
}

/// Runs redb on a file for reading. A panic of redb makes the file unreadable.
pub(super) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    no_panic(read).unwrap_or_else(|cause| Err(unreadable(path, cause)))
}

/// Runs redb on a file. If it panics, returns its message.
pub(super) fn no_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words_of(panic.as_ref()))
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    words.unwrap_or("redb could not make sense of it").to_owned()
}

/// A segment open for writing. The last holder closes it: redb then writes its list of free pages, and may find that damaged. At
/// that point every batch is durable or refused, so that this is only logged.
pub(super) struct Live(Option<Database>, Arc<Closing>);

impl Live {
    pub(super) fn new(database: Database) -> Live {
        Live(Some(database), Arc::default())
    }

    /// When its file is closed.
    pub(super) fn closing(&self) -> Arc<Closing> {
        self.1.clone()
    }
}

/// Whether the file of a [`Live`] segment is closed. Closing takes several flushes, and until then nobody can open the file.
#[derive(Default)]
pub(super) struct Closing {
    is_done: Mutex<bool>,
    done: Condvar,
}

impl Closing {
    /// Waits until the file is closed.
    pub(super) fn wait(&self) {
        let mut is_done = self.is_done.lock();
        while !*is_done {
            self.done.wait(&mut is_done);
        }
    }
}

impl Deref for Live {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is taken out only when this is dropped")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Err(cause) = no_panic(|| drop(self.0.take())) {
            tracing::warn!(cause, "redb could not close a segment; what was acknowledged is durable");
        }
        *self.1.is_done.lock() = true;
        self.1.done.notify_all();
    }
}

/// A segment open for reading whose file stays unchanged.
pub(super) enum Untouched {
    /// It was closed after the last write.
    Closed(ReadOnlyDatabase),
    /// It was not closed: redb repaired it in memory.
    Finished(Live),
}

impl Untouched {
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, redb::TransactionError> {
        match self {
            Untouched::Closed(database) => database.begin_read(),
            Untouched::Finished(database) => database.begin_read(),
        }
    }
}

/// Removes a batch from a segment that is not open.
#[cfg(test)]
pub(super) fn remove_batch(disk: &dyn Disk, path: &Path, first: Position) {
    let database = open(disk, path).expect("the segment can be opened");
    let transaction = database.begin_write().expect("nobody writes");
    let was_there =
        transaction.open_table(BATCHES).expect("it has batches").remove(first.0).expect("it can be changed").is_some();
    assert!(was_there, "there is no batch at {first}");
    transaction.commit().expect("the disk takes it");
    database.close().expect("nobody reads");
}

/// A file of a disk as a storage of redb.
#[derive(Debug)]
struct Stored(Box<dyn StorageBackend>);

impl StorageBackend for Stored {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
