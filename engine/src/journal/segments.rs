//! The journal in redb files, one after the other.
//!
//! ```text
//! journal/lock                       held by the process that writes
//! journal/00000000000000000001.redb  a segment, named by the position of its first record
//!   table "batches"   first position of a batch -> its bytes
//!   table "segment"   "start" -> the end of the chain before the segment
//!                     "seal"  -> the end of the chain with it, once nothing is added any more
//! ```
//! The end of a chain is written as position (8 bytes), time (8) and hash (32), numbers little-endian.
//!
//! After a crash redb walks a whole file before it opens it again, so a segment ends at [`SEGMENT_BYTES`]. The next one is made
//! beside it under another name, then this one is sealed, then the next is renamed. A sealed segment without a successor,
//! finished or ready to be renamed, is therefore a journal whose newest part has been taken away, and is refused.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition};
use scrip_protocol::Position;
use scrip_protocol::batch::{self, BatchBuilder, ChainEnd};

use super::recovery::{self, ReplayProgress};
use super::{Journal, JournalError, JournalReader};

/// The bytes of batches after which a segment ends.
pub const SEGMENT_BYTES: u64 = 256 << 20;

/// redb's cache for one file. Batches are written once and read in order, so that more would not help.
const CACHE_BYTES: usize = 16 << 20;

pub(super) const BATCHES: TableDefinition<u64, &[u8]> = TableDefinition::new("batches");
pub(super) const SEGMENT: TableDefinition<&str, &[u8]> = TableDefinition::new("segment");
pub(super) const START: &str = "start";
pub(super) const SEAL: &str = "seal";

/// The journal of a folder. Owned by the journal thread.
pub struct Segments {
    catalogue: Arc<Catalogue>,
    live: Arc<Database>,
    path: PathBuf,
    bytes: u64,
    segment_bytes: u64,
    end: ChainEnd,
    failed: bool,
    _lock: File,
}

/// The segments that there are. Shared by the writer, which adds to it, and readers.
pub(super) struct Catalogue {
    dir: PathBuf,
    /// By first position. The last is the one being written.
    segments: RwLock<Vec<Listed>>,
}

struct Listed {
    first: Position,
    path: PathBuf,
    open: Mutex<Open>,
}

enum Open {
    Live(Arc<Database>),
    Sealed(Weak<ReadOnlyDatabase>),
}

impl Segments {
    /// Opens the journal of a folder, or begins one. Every record is handed to `apply` with the time of its batch; `progress` is
    /// told now and then how far that is.
    ///
    /// # Errors
    /// When anything of it is missing, damaged or out of order.
    pub fn open(
        dir: &Path,
        segment_bytes: u64,
        apply: &mut dyn FnMut(u64, &scrip_protocol::Record),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<Segments, JournalError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(io(dir))?;
        let lock_path = dir.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::Locked { dir: dir.to_owned() }),
            Err(fs::TryLockError::Error(source)) => return Err(JournalError::Io { path: lock_path, source }),
        }

        let listing = recovery::list(dir)?;
        let mut replay = recovery::Replay::new(dir, &listing, apply, progress);
        let mut listed = Vec::new();
        let mut newest = None;
        for (at, found) in listing.segments.iter().enumerate() {
            let is_last = at + 1 == listing.segments.len();
            match replay.segment(found, is_last)? {
                (bytes, Some(database)) => newest = Some((Arc::new(database), found.path.clone(), bytes)),
                (_, None) => {
                    let open = Mutex::new(Open::Sealed(Weak::new()));
                    listed.push(Listed { first: found.first, path: found.path.clone(), open });
                }
            }
        }
        let end = replay.end();
        // What was being made when the last run stopped is of use only if the segment before it was sealed.
        let next_path = segment_path(dir, end.next());
        for path in &listing.unfinished {
            if newest.is_none() && !listed.is_empty() && *path == unfinished_path(&next_path) {
                continue;
            }
            fs::remove_file(path).map_err(io(path))?;
        }
        let (live, path, bytes) = match newest {
            Some(newest) => newest,
            None => {
                if !listed.is_empty() && !unfinished_path(&next_path).exists() {
                    return Err(JournalError::MissingSegment { dir: dir.to_owned(), expected: end.next() });
                }
                if listed.is_empty() {
                    make_segment(dir, &next_path, end)?;
                    sync_folder(dir.parent().unwrap_or(dir))?;
                }
                (publish_segment(dir, &next_path, end)?, next_path, 0)
            }
        };
        let first = listing.segments.last().filter(|last| last.path == path).map_or(end.next(), |last| last.first);
        listed.push(Listed { first, path: path.clone(), open: Mutex::new(Open::Live(live.clone())) });
        let catalogue = Arc::new(Catalogue { dir: dir.to_owned(), segments: RwLock::new(listed) });
        Ok(Segments { catalogue, live, path, bytes, segment_bytes, end, failed: false, _lock: lock })
    }

    /// Writes batches with one commit. Returns the new end, and how many bytes they have.
    fn write(&self, batches: Vec<BatchBuilder>) -> Result<(ChainEnd, u64), redb::Error> {
        let (mut end, mut written) = (self.end, 0);
        let transaction = self.live.begin_write()?;
        let mut table = transaction.open_table(BATCHES)?;
        for batch in batches {
            let first = end.next();
            // Inserted as soon as it is hashed, while it is in the processor's cache.
            let bytes = batch.seal(&mut end);
            table.insert(first.0, bytes.as_slice())?;
            written += bytes.len() as u64;
        }
        drop(table);
        transaction.commit()?;
        Ok((end, written))
    }

    fn rotate_and_write(&mut self, batches: Vec<BatchBuilder>) -> Result<ChainEnd, JournalError> {
        if self.bytes >= self.segment_bytes {
            self.rotate()?;
        }
        let (end, written) = self.write(batches).map_err(|cause| write_error(&self.path, &cause))?;
        self.bytes += written;
        self.end = end;
        Ok(end)
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        let dir = self.catalogue.dir.clone();
        let first = self.end.next();
        let path = segment_path(&dir, first);
        make_segment(&dir, &path, self.end)?;
        seal(&self.live, self.end).map_err(|cause| write_error(&self.path, &cause))?;
        let live = publish_segment(&dir, &path, self.end)?;
        let mut segments = self.catalogue.segments.write();
        if let Some(sealed) = segments.last_mut() {
            *sealed.open.lock() = Open::Sealed(Weak::new());
        }
        segments.push(Listed { first, path: path.clone(), open: Mutex::new(Open::Live(live.clone())) });
        drop(segments);
        (self.live, self.path, self.bytes) = (live, path, 0);
        Ok(())
    }
}

impl Journal for Segments {
    fn end(&self) -> ChainEnd {
        self.end
    }

    fn append(&mut self, batches: Vec<BatchBuilder>) -> Result<ChainEnd, JournalError> {
        if self.failed {
            let cause = "an earlier write failed, and what is on disk is unknown since".to_owned();
            return Err(JournalError::Write { path: self.path.clone(), cause });
        }
        // Set until all is well: whatever returns early, or unwinds, leaves the journal refusing.
        self.failed = true;
        let appended = recovery::no_panic(|| self.rotate_and_write(batches));
        let end = appended.unwrap_or_else(|cause| Err(JournalError::Write { path: self.path.clone(), cause }))?;
        self.failed = false;
        Ok(end)
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        self.catalogue.clone()
    }
}

impl JournalReader for Catalogue {
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut from = from.0.max(1);
        while let Some(view) = self.view_at(Position(from))? {
            read_batches(&view.transaction, from, bytes_max, &mut bytes, &mut batches)
                .map_err(|cause| JournalError::Unreadable { path: view.path.clone(), cause: cause.to_string() })?;
            let next = self.segments.read().iter().map(|listed| listed.first).find(|other| *other > view.first);
            match next {
                Some(next) if bytes <= bytes_max => from = next.0,
                _ => break,
            }
        }
        Ok(batches)
    }

    fn bytes(&self) -> u64 {
        let size = |listed: &Listed| fs::metadata(&listed.path).map_or(0, |metadata| metadata.len());
        self.segments.read().iter().map(size).sum()
    }
}

impl Catalogue {
    /// A view of the segment that a position belongs to.
    fn view_at(&self, position: Position) -> Result<Option<View>, JournalError> {
        // A segment that has just been sealed stays locked until its last reader has finished: milliseconds.
        let mut tries = 0;
        loop {
            let segments = self.segments.read();
            let Some(listed) = segments.iter().rev().find(|listed| listed.first <= position) else { return Ok(None) };
            let (first, path) = (listed.first, listed.path.clone());
            let opened = listed.begin_read();
            drop(segments);
            match opened {
                Ok((transaction, held)) => return Ok(Some(View { first, path, transaction, _held: held })),
                Err(DatabaseError::DatabaseAlreadyOpen) if tries < 1000 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(cause) => return Err(JournalError::Unreadable { path, cause: cause.to_string() }),
            }
        }
    }
}

/// The most bytes of a row that fills a page of redb, which come in powers of two: before the row such a page holds 16 (kind, number of
/// entries, end of the value, key).
pub const ROW_BYTES: usize = (128 << 10) - 16;

/// What a reader sees of a segment.
struct View {
    first: Position,
    path: PathBuf,
    transaction: ReadTransaction,
    /// Kept open for as long as it is read: the writer may seal and leave the segment meanwhile.
    _held: Held,
}

#[expect(dead_code, reason = "what is held is only held")]
enum Held {
    Live(Arc<Database>),
    Sealed(Arc<ReadOnlyDatabase>),
}

impl Listed {
    fn begin_read(&self) -> Result<(ReadTransaction, Held), DatabaseError> {
        let failed = |cause: redb::TransactionError| DatabaseError::Storage(redb::StorageError::Corrupted(cause.to_string()));
        let mut open = self.open.lock();
        match &mut *open {
            Open::Live(database) => Ok((database.begin_read().map_err(failed)?, Held::Live(database.clone()))),
            Open::Sealed(weak) => {
                let database = match weak.upgrade() {
                    Some(database) => database,
                    None => Arc::new(builder().open_read_only(&self.path)?),
                };
                *weak = Arc::downgrade(&database);
                Ok((database.begin_read().map_err(failed)?, Held::Sealed(database)))
            }
        }
    }
}

fn read_batches(
    transaction: &ReadTransaction,
    from: u64,
    bytes_max: usize,
    bytes: &mut usize,
    batches: &mut Vec<Vec<u8>>,
) -> Result<(), redb::Error> {
    let table = transaction.open_table(BATCHES)?;
    let holder = table.range(..=from)?.next_back().transpose()?.map_or(from, |(key, _)| key.value());
    for row in table.range(holder..)? {
        let (key, value) = row?;
        let stored = value.value();
        // The newest batch before `from` need not reach it.
        let count = batch::stated_extent(stored).map_or(u32::MAX, |(_, count)| count);
        if key.value().saturating_add(u64::from(count)) <= from {
            continue;
        }
        batches.push(stored.to_vec());
        *bytes += stored.len();
        if *bytes > bytes_max {
            break;
        }
    }
    Ok(())
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

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

pub(super) fn decode_end(bytes: &[u8]) -> Option<ChainEnd> {
    let bytes: &[u8; 48] = bytes.try_into().ok()?;
    let number = |at: usize| bytes[at..].first_chunk().copied().map(u64::from_le_bytes);
    Some(ChainEnd { position: Position(number(0)?), time_ms: number(8)?, hash: *bytes[16..].first_chunk()? })
}

/// Makes an empty segment under its unfinished name.
fn make_segment(dir: &Path, path: &Path, start: ChainEnd) -> Result<(), JournalError> {
    let unfinished = unfinished_path(path);
    if let Err(source) = fs::remove_file(&unfinished)
        && source.kind() != std::io::ErrorKind::NotFound
    {
        return Err(JournalError::Io { path: unfinished, source });
    }
    let make = || -> Result<(), redb::Error> {
        let database = builder().create(&unfinished)?;
        let transaction = database.begin_write()?;
        transaction.open_table(BATCHES)?;
        transaction.open_table(SEGMENT)?.insert(START, &encode_end(start)[..])?;
        transaction.commit()?;
        database.close()?;
        Ok(())
    };
    make().map_err(|cause| write_error(&unfinished, &cause))?;
    // Before its predecessor is sealed: a crash that kept the seal and lost this file would look like a loss of batches.
    sync_folder(dir)
}

/// Gives a segment that was made its name, for good, and returns it open.
fn publish_segment(dir: &Path, path: &Path, start: ChainEnd) -> Result<Arc<Database>, JournalError> {
    // Looked at before it is renamed: what is not the next segment stays as it was found.
    let database = recovery::open_empty(&unfinished_path(path), start)?;
    fs::rename(unfinished_path(path), path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    // Before a batch in it is acknowledged: a name that a crash takes back would take the batch with it.
    sync_folder(dir)?;
    Ok(Arc::new(database))
}

fn sync_folder(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| JournalError::Io { path: dir.to_owned(), source })
}

fn seal(database: &Database, end: ChainEnd) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(SEGMENT)?.insert(SEAL, &encode_end(end)[..])?;
    transaction.commit()?;
    Ok(())
}

fn write_error(path: &Path, cause: &redb::Error) -> JournalError {
    JournalError::Write { path: path.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_protocol::{Record, Settings, record::SettingsApplied};

    #[test]
    fn what_is_being_read_stays_open_when_the_writer_moves_on() {
        let dir = tempfile::tempdir().expect("a folder");
        // Every batch fills a segment.
        let mut journal = Segments::open(dir.path(), 1, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let record = Record::from(SettingsApplied { settings: Settings::default() });
        let mut append = || {
            let mut batch = BatchBuilder::new(1);
            batch.push(&record);
            journal.append(vec![batch]).expect("the disk takes it");
            journal.catalogue.clone()
        };
        let catalogue = append();
        let view = catalogue.view_at(Position(1)).expect("it can be read").expect("it is there");
        append();
        append();
        let (mut bytes, mut batches) = (0, Vec::new());
        read_batches(&view.transaction, 1, usize::MAX, &mut bytes, &mut batches).expect("it is still open");
        assert_eq!(batches.len(), 1);
        drop(view);
        assert_eq!(catalogue.read(Position(1), usize::MAX).expect("they can be read").len(), 3);
    }
}
