//! The journal as a sequence of redb files.
//!
//! ```text
//! journal/lock                       held by the process that writes
//! journal/00000000000000000001.redb  a segment, named by the position of its first record
//!   table "batches"   first position of a batch -> its bytes
//!   table "segment"   "start" -> the end of the chain before the segment
//!                     "seal"  -> the end of the chain with it, once the segment is complete
//! ```
//! The end of a chain is written as position (8 bytes), time (8) and hash (32), numbers little-endian.
//!
//! After a crash redb reads a whole file before it opens it again, so a segment ends at [`SEGMENT_BYTES`]. The next segment is
//! created beside it under another name, then the current one is sealed, then the next one is renamed. A sealed segment without a
//! successor, finished or ready to be renamed, therefore means that the newest part of the journal was removed, and is refused.
//! The oldest segments may be dropped, one after the other ([`JournalReader::drop_through`]): such a journal is opened with a
//! snapshot that covers them.

use std::fmt::Debug;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::batch::{Batch, BatchBuilder, BatchError, BatchTime, ChainEnd};
use scrip_protocol::{Position, Record};

use super::catalogue::{Catalogue, Listed};
use super::replay::{self, ReplayProgress};
use super::segment_file::{self, BATCHES, Live, no_panic, segment_path, sync_folder, unfinished_path, write_error};
use super::{Journal, JournalError, JournalReader};
use crate::disk::Disk;

/// The size of batches at which a segment ends.
pub const SEGMENT_BYTES: u64 = 256 << 20;

/// Maximum size of a row that fills a page of redb. Page sizes are powers of two, and such a page has 16 bytes before the row
/// (kind, number of entries, end of the value, key).
pub const ROW_BYTES: usize = (128 << 10) - 16;

/// The journal of a folder, owned by the journal thread.
pub struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    catalogue: Arc<Catalogue>,
    live: Arc<Live>,
    path: PathBuf,
    bytes: u64,
    segment_bytes: u64,
    end: ChainEnd,
    failed: bool,
    _lock: JournalLock,
}

impl Segments {
    /// Opens the journal of a folder, or starts one. The records after `from`, the end of a snapshot (or the default, for none),
    /// are passed to `apply`, batch by batch, each with its time; `progress` is called from time to time. Of what is at or before
    /// `from`, only the batch that ends there is checked: [`JournalReader::check_sealed`] checks the rest.
    ///
    /// # Errors
    /// If any of it is missing, damaged or out of order, or of another history than `from`.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes: u64,
        from: ChainEnd,
        apply: &mut dyn FnMut(BatchTime, &[Record]),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<Segments, JournalError> {
        Segments::open_reaching(JournalLock::take(disk, dir)?, segment_bytes, from, Position(0), apply, progress)
    }

    /// Opens a locked journal that is known to have reached a position. One that ends before it is left unchanged.
    ///
    /// # Errors
    /// Also if it ends before that position.
    pub fn open_reaching(
        lock: JournalLock,
        segment_bytes: u64,
        from: ChainEnd,
        reached: Position,
        apply: &mut dyn FnMut(BatchTime, &[Record]),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<Segments, JournalError> {
        let (disk, dir) = (lock.disk.clone(), lock.dir.as_path());
        // A killed process may have left names that are not durable: an acknowledged batch would be lost with them.
        sync_folder(&*disk, dir)?;
        let listing = replay::list(&*disk, dir)?;
        let replayed = replay::replay(&*disk, dir, &listing, from, apply, progress).map_err(|mut error| {
            if let JournalError::EndsBefore { from, .. } = &mut error {
                *from = reached.max(*from);
            }
            error
        })?;
        let (end, is_new) = (replayed.end, listing.segments.is_empty());
        if end.position < reached {
            return Err(JournalError::EndsBefore { dir: dir.to_owned(), end: end.position, from: reached });
        }
        // An unfinished segment of the last run is only useful if the segment before it was sealed.
        let next_path = segment_path(dir, end.next());
        let is_next = |path: &PathBuf| replayed.live.is_none() && *path == unfinished_path(&next_path);
        if replayed.live.is_none() && !is_new && !listing.unfinished.iter().any(is_next) {
            return Err(JournalError::MissingSegment { dir: dir.to_owned(), expected: end.next() });
        }
        let not_next: Vec<PathBuf> = listing.unfinished.iter().filter(|path| !is_next(path)).cloned().collect();
        let unread_before = listing.segments.get(replayed.unread).map_or(Position(0), |first_read| first_read.first);
        let mut found = listing.segments;
        let (live, first, path, bytes) = match replayed.live {
            Some((live, bytes)) => {
                let last = found.pop().expect("a segment that is open was found");
                (Arc::new(live), last.first, last.path, bytes)
            }
            None if is_new => (Segments::make_first(&*disk, dir, end)?, end.next(), next_path, 0),
            None => (segment_file::publish(&*disk, dir, &next_path, end)?, end.next(), next_path, 0),
        };
        // Only now: a refused start removes nothing, because the missing files may be put back.
        for path in not_next {
            disk.remove(&path).map_err(|source| JournalError::Io { path, source })?;
        }
        let mut listed: Vec<_> = found.into_iter().map(|found| Listed::sealed(found.first, found.path)).collect();
        listed.push(Listed::live(first, path.clone(), live.clone()));
        let catalogue = Arc::new(Catalogue::new(disk.clone(), dir, listed, unread_before));
        let dir = dir.to_owned();
        Ok(Segments { disk, dir, catalogue, live, path, bytes, segment_bytes, end, failed: false, _lock: lock })
    }

    /// Starts an empty journal that continues a chain that ended elsewhere: a restored or copied journal whose first segments
    /// were dropped. Removes an unfinished segment of an earlier, interrupted run.
    ///
    /// # Errors
    /// If a journal exists, or none can be created.
    pub fn begin(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64, at: ChainEnd) -> Result<Segments, JournalError> {
        let lock = JournalLock::take(disk.clone(), dir)?;
        let listing = replay::list(&*disk, dir)?;
        if !listing.segments.is_empty() {
            return Err(JournalError::AlreadyThere { dir: dir.to_owned() });
        }
        for path in listing.unfinished {
            disk.remove(&path).map_err(|source| JournalError::Io { path, source })?;
        }
        let live = Segments::make_first(&*disk, dir, at)?;
        let path = segment_path(dir, at.next());
        let listed = vec![Listed::live(at.next(), path.clone(), live.clone())];
        let catalogue = Arc::new(Catalogue::new(disk.clone(), dir, listed, Position(0)));
        let dir = dir.to_owned();
        Ok(Segments { disk, dir, catalogue, live, path, bytes: 0, segment_bytes, end: at, failed: false, _lock: lock })
    }

    fn make_first(disk: &dyn Disk, dir: &Path, at: ChainEnd) -> Result<Arc<Live>, JournalError> {
        let path = segment_path(dir, at.next());
        segment_file::make(disk, dir, &path, at)?;
        sync_folder(disk, dir.parent().unwrap_or(dir))?;
        segment_file::publish(disk, dir, &path, at)
    }

    /// Appends batches as they were sealed elsewhere. Before writing, checks that each continues the chain, with all its records.
    /// Returns the new end once all are durable.
    ///
    /// # Errors
    /// If one does not continue the chain: nothing was written, and the journal remains usable. Or if they may not be durable:
    /// any number of them, from the first, may be; every later append fails as well.
    pub fn adopt(&mut self, batches: Vec<Vec<u8>>) -> Result<ChainEnd, JournalError> {
        self.check_not_failed()?;
        let (mut end, mut ends) = (self.end, Vec::with_capacity(batches.len()));
        for bytes in &batches {
            let position = end.next();
            let not_next = |cause| JournalError::NotNext { dir: self.dir.clone(), position, cause };
            let batch = Batch::parse(bytes).map_err(not_next)?;
            batch.follow(&mut end).map_err(not_next)?;
            // A batch without records would have the same position as the next one.
            if replay::records_of(&batch).map_err(not_next)?.is_empty() {
                return Err(not_next(BatchError::Layout { index: 0 }));
            }
            ends.push(end);
        }
        self.or_fail(|journal| {
            let mut batches = batches.into_iter().zip(ends).peekable();
            while batches.peek().is_some() {
                journal.rotate_if_full()?;
                // As many as fit into the segment.
                let (mut room, mut rows) = (journal.segment_bytes.saturating_sub(journal.bytes).max(1), Vec::new());
                while let Some((bytes, end)) = batches.next_if(|_| room > 0) {
                    room = room.saturating_sub(bytes.len() as u64);
                    rows.push((bytes, end));
                }
                journal.write(rows.into_iter().map(|row| move |_: &mut ChainEnd| row))?;
            }
            Ok(())
        })
    }

    /// Writes batches with one commit. `batch` returns each one's bytes and the end of the chain with it.
    fn write<M>(&mut self, batches: impl Iterator<Item = M>) -> Result<(), JournalError>
    where
        M: FnOnce(&mut ChainEnd) -> (Vec<u8>, ChainEnd),
    {
        let (mut end, mut written) = (self.end, 0);
        let commit = || -> Result<(), redb::Error> {
            let transaction = self.live.begin_write()?;
            let mut table = transaction.open_table(BATCHES)?;
            for batch in batches {
                let first = end.next();
                // Inserted as soon as it is hashed, while it is in the processor's cache.
                let (bytes, after) = batch(&mut end);
                end = after;
                table.insert(first.0, bytes.as_slice())?;
                written += bytes.len() as u64;
            }
            drop(table);
            transaction.commit()?;
            Ok(())
        };
        commit().map_err(|cause| write_error(&self.path, &cause))?;
        (self.end, self.bytes) = (end, self.bytes + written);
        Ok(())
    }

    fn rotate_if_full(&mut self) -> Result<(), JournalError> {
        if self.bytes < self.segment_bytes {
            return Ok(());
        }
        let path = segment_path(&self.dir, self.end.next());
        segment_file::make(&*self.disk, &self.dir, &path, self.end)?;
        segment_file::seal(&self.live, self.end).map_err(|cause| write_error(&self.path, &cause))?;
        let live = segment_file::publish(&*self.disk, &self.dir, &path, self.end)?;
        self.catalogue.rotated(Listed::live(self.end.next(), path.clone(), live.clone()));
        (self.live, self.path, self.bytes) = (live, path, 0);
        Ok(())
    }

    fn check_not_failed(&self) -> Result<(), JournalError> {
        if !self.failed {
            return Ok(());
        }
        let cause = "an earlier write failed; the state on disk is unknown since then".to_owned();
        Err(JournalError::Write { path: self.path.clone(), cause })
    }

    /// Writes; refuses all writes after a failure.
    fn or_fail(&mut self, write: impl FnOnce(&mut Segments) -> Result<(), JournalError>) -> Result<ChainEnd, JournalError> {
        self.check_not_failed()?;
        // Set until the write succeeds, so that an early return or a panic leaves the journal refusing.
        self.failed = true;
        let written = no_panic(|| write(self));
        written.unwrap_or_else(|cause| Err(JournalError::Write { path: self.path.clone(), cause }))?;
        self.failed = false;
        Ok(self.end)
    }

    #[cfg(test)]
    pub(super) fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Makes the next append rotate.
    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.bytes = self.segment_bytes;
    }
}

impl Journal for Segments {
    fn end(&self) -> ChainEnd {
        self.end
    }

    fn append(&mut self, batches: Vec<BatchBuilder>) -> Result<ChainEnd, JournalError> {
        self.or_fail(|journal| {
            journal.rotate_if_full()?;
            journal.write(batches.into_iter().map(|batch| {
                |end: &mut ChainEnd| {
                    let bytes = batch.seal(end);
                    (bytes, *end)
                }
            }))
        })
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        self.catalogue.clone()
    }
}

/// The lock of a journal: no other process has it open. It is released when all clones are dropped.
#[derive(Debug, Clone)]
pub struct JournalLock {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    _held: Arc<dyn Debug + Send + Sync>,
}

impl JournalLock {
    /// Locks the journal in a folder. Creates the folder if there is none.
    ///
    /// # Errors
    /// If another process has the journal open, or the disk returns an error.
    pub fn take(disk: Arc<dyn Disk>, dir: &Path) -> Result<JournalLock, JournalError> {
        disk.create_folder(dir).map_err(|source| JournalError::Io { path: dir.to_owned(), source })?;
        let held = take_lock(&*disk, dir)?;
        Ok(JournalLock { disk, dir: dir.to_owned(), _held: held.into() })
    }
}

/// Takes the lock of a journal's folder.
pub(super) fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Debug + Send + Sync>, JournalError> {
    let path = dir.join(LOCK);
    disk.lock(&path).map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked { dir: dir.to_owned() },
        TryLockError::Error(source) => JournalError::Io { path, source },
    })
}

/// The name of the locked file.
pub(super) const LOCK: &str = "lock";
