//! Reading a journal while it is written, and dropping its oldest segments.
//!
//! Readers open the files of sealed segments for as long as they read them. The live segment they read through the writer's own handle,
//! as of its newest commit. What a reader has open stays open to it, whatever the writer seals and retention drops meanwhile.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redb::{DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable};
use scrip_protocol::Position;
use scrip_protocol::batch::{self, Batch, ChainEnd};

use super::segment::{self, BATCHES, Live, SEAL, guarded, no_panic, read_end, start_of, sync_folder, unreadable};
use super::{JournalError, JournalReader, recovery};
use crate::disk::Disk;

/// The segments that there are. Shared by the writer, which adds to it, and readers.
pub(super) struct Catalogue {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// By first position. The last is the one being written.
    segments: RwLock<Vec<Arc<Listed>>>,
    /// The segments that begin before this were not read when the journal was opened.
    unread_before: Position,
    dropping: Mutex<Dropping>,
}

/// One thread at a time drops segments.
#[derive(Default)]
struct Dropping {
    /// A removal is not known to last. Were a later segment's to last and this one's not, there would be a gap after a crash.
    failed: bool,
}

pub(super) struct Listed {
    first: Position,
    path: PathBuf,
    open: Mutex<Open>,
}

enum Open {
    Live(Arc<Live>),
    Sealed(Weak<ReadOnlyDatabase>),
}

impl Listed {
    pub(super) fn live(first: Position, path: PathBuf, live: Arc<Live>) -> Arc<Listed> {
        Arc::new(Listed { first, path, open: Mutex::new(Open::Live(live)) })
    }

    pub(super) fn sealed(first: Position, path: PathBuf) -> Arc<Listed> {
        Arc::new(Listed { first, path, open: Mutex::new(Open::Sealed(Weak::new())) })
    }

    fn begin_read(&self, disk: &dyn Disk) -> Result<(ReadTransaction, Held), DatabaseError> {
        let failed = |cause: redb::TransactionError| DatabaseError::Storage(redb::StorageError::Corrupted(cause.to_string()));
        let mut open = self.open.lock();
        match &mut *open {
            Open::Live(database) => Ok((database.begin_read().map_err(failed)?, Held::Live(database.clone()))),
            Open::Sealed(weak) => {
                let database = match weak.upgrade() {
                    Some(database) => database,
                    // Nobody may have read it since the run that wrote it ended.
                    None => Arc::new(segment::open_sealed(disk, &self.path)?),
                };
                *weak = Arc::downgrade(&database);
                Ok((database.begin_read().map_err(failed)?, Held::Sealed(database)))
            }
        }
    }
}

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
    Live(Arc<Live>),
    Sealed(Arc<ReadOnlyDatabase>),
}

impl Catalogue {
    /// Segments by first position, the live one last.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, segments: Vec<Arc<Listed>>, unread_before: Position) -> Catalogue {
        Catalogue { disk, dir: dir.to_owned(), segments: RwLock::new(segments), unread_before, dropping: Mutex::default() }
    }

    /// The live segment was sealed, and this one follows it.
    pub(super) fn rotated(&self, next: Arc<Listed>) {
        let mut segments = self.segments.write();
        if let Some(sealed) = segments.last_mut() {
            *sealed.open.lock() = Open::Sealed(Weak::new());
        }
        segments.push(next);
    }

    /// A view of the segment that a position belongs to.
    fn view_at(&self, position: Position) -> Result<View, JournalError> {
        // A segment that has just been sealed stays locked until its last reader has finished: milliseconds.
        let mut tries = 0;
        loop {
            let segments = self.segments.read();
            let Some(listed) = segments.iter().rev().find(|listed| listed.first <= position).cloned() else {
                let first = segments.first().map_or(position, |oldest| oldest.first);
                return Err(JournalError::Dropped { dir: self.dir.clone(), position, first });
            };
            // Not while it is opened: redb may have to finish it, and the writer would wait with its rotation.
            drop(segments);
            match no_panic(|| listed.begin_read(&*self.disk)) {
                Ok(Ok((transaction, held))) => {
                    return Ok(View { first: listed.first, path: listed.path.clone(), transaction, _held: held });
                }
                Ok(Err(DatabaseError::DatabaseAlreadyOpen)) if tries < 1000 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Dropped since it was looked up.
                Ok(Err(_)) if !self.has(listed.first) => {}
                Ok(Err(cause)) => return Err(unreadable(&listed.path, cause)),
                Err(panic) => return Err(unreadable(&listed.path, panic)),
            }
        }
    }

    fn has(&self, first: Position) -> bool {
        self.segments.read().iter().any(|listed| listed.first == first)
    }

    /// The segment after another.
    fn after(&self, first: Position) -> Option<Position> {
        self.segments.read().iter().map(|listed| listed.first).find(|other| *other > first)
    }
}

impl JournalReader for Catalogue {
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut from = from.0.max(1);
        loop {
            let view = self.view_at(Position(from))?;
            guarded(&view.path, || {
                read_batches(&view.transaction, from, bytes_max, &mut bytes, &mut batches)
                    .map_err(|cause| unreadable(&view.path, cause))
            })?;
            match self.after(view.first) {
                Some(next) if bytes <= bytes_max => from = next.0,
                _ => return Ok(batches),
            }
        }
    }

    fn bytes(&self) -> u64 {
        let entries = self.disk.list(&self.dir).unwrap_or_default();
        let segments = self.segments.read();
        let is_segment = |name: &str| segments.iter().any(|listed| listed.path.file_name().is_some_and(|file| file == name));
        entries.iter().filter(|entry| is_segment(&entry.name)).map(|entry| entry.bytes).sum()
    }

    fn first(&self) -> Position {
        self.segments.read().first().map_or(Position(1), |oldest| oldest.first)
    }

    fn drop_through(&self, position: Position) -> Result<usize, JournalError> {
        let mut dropping = self.dropping.lock();
        let io = |path: &Path, source| JournalError::Io { path: path.to_owned(), source };
        if dropping.failed {
            return Err(io(&self.dir, std::io::Error::other("an earlier removal in it is not known to last")));
        }
        let mut dropped = 0;
        loop {
            let mut segments = self.segments.write();
            // Its last record is the one before the next segment's first. The live one has no next.
            if segments.get(1).is_none_or(|next| next.first.0 - 1 > position.0) {
                return Ok(dropped);
            }
            // Nobody may look it up once its file is gone.
            let oldest = segments.remove(0);
            drop(segments);
            if let Err(source) = self.disk.remove(&oldest.path)
                && source.kind() != std::io::ErrorKind::NotFound
            {
                let error = io(&oldest.path, source);
                self.segments.write().insert(0, oldest);
                return Err(error);
            }
            // One after the other: a crash leaves the newest of them, without a gap.
            if let Err(error) = sync_folder(&*self.disk, &self.dir) {
                dropping.failed = true;
                return Err(error);
            }
            dropped += 1;
        }
    }

    fn check_sealed(&self, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
        let unread = self.segments.read().iter().take_while(|listed| listed.first < self.unread_before).count();
        if unread == 0 {
            return Ok(());
        }
        let segments: Vec<Position> = self.segments.read().iter().take(unread + 1).map(|listed| listed.first).collect();
        let mut before: Option<ChainEnd> = None;
        for first in segments.into_iter().take_while(|_| goes_on()) {
            let view = match self.view_at(first) {
                // Dropped meanwhile.
                Err(JournalError::Dropped { .. }) => continue,
                view => view?,
            };
            before = guarded(&view.path, || self.check_ends(&view, before, first < self.unread_before))?;
        }
        Ok(())
    }
}

impl Catalogue {
    /// Checks where a segment starts, and, where it was not read, that it ends with the batch that its seal names. Returns its seal.
    fn check_ends(&self, view: &View, before: Option<ChainEnd>, is_unread: bool) -> Result<Option<ChainEnd>, JournalError> {
        let (transaction, path) = (&view.transaction, &view.path);
        let start = start_of(transaction, path, view.first)?;
        match before {
            Some(seal) if seal.position < start.position => {
                return Err(JournalError::MissingSegment { dir: self.dir.clone(), expected: seal.next() });
            }
            Some(seal) if seal != start => {
                return Err(JournalError::NotThatSegment {
                    path: path.clone(),
                    why: "it does not continue the segment before it",
                });
            }
            _ => {}
        }
        if !is_unread {
            return Ok(None);
        }
        let seal = read_end(transaction, path, SEAL)?.ok_or_else(|| JournalError::Unsealed { path: path.clone() })?;
        let newest = || -> Result<_, redb::Error> {
            let table = transaction.open_table(BATCHES)?;
            Ok(table.last()?.map(|(key, row)| (key.value(), row.value().to_vec())))
        };
        let end = match newest().map_err(|cause| unreadable(path, cause))? {
            None => start,
            Some((position, row)) => {
                let batch = Batch::parse(&row);
                batch.map_err(|cause| recovery::name(path, Position(position), cause, false))?.end()
            }
        };
        match end == seal {
            true => Ok(Some(seal)),
            false => Err(JournalError::SealBroken { path: path.clone(), sealed: seal.position, found: end.position }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;
    use crate::journal::{Journal, Segments};
    use scrip_protocol::batch::BatchBuilder;
    use scrip_protocol::{Record, Settings, record::SettingsApplied};

    #[test]
    fn what_is_being_read_stays_open_when_the_writer_moves_on_and_when_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a folder");
        // Every batch fills a segment.
        let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
        let mut journal = Segments::open(disk, dir.path(), 1, none, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let record = Record::from(SettingsApplied { settings: Settings::default() });
        let mut append = || {
            let mut batch = BatchBuilder::new(1);
            batch.push(&record);
            journal.append(vec![batch]).expect("the disk takes it");
            journal.catalogue().clone()
        };
        let catalogue = append();
        let view = catalogue.view_at(Position(1)).expect("it can be read");
        append();
        append();
        let read = |view: &View| {
            let (mut bytes, mut batches) = (0, Vec::new());
            read_batches(&view.transaction, 1, usize::MAX, &mut bytes, &mut batches).expect("it is still open");
            batches.len()
        };
        assert_eq!(read(&view), 1);
        drop(view);
        assert_eq!(catalogue.read(Position(1), usize::MAX).expect("they can be read").len(), 3);
        let view = catalogue.view_at(Position(1)).expect("it can be read");
        assert_eq!(catalogue.drop_through(Position(1)).expect("it can be removed"), 1);
        assert_eq!(read(&view), 1);
    }
}
