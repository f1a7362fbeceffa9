//! Reads a journal while it is being written, and drops its oldest segments.
//!
//! Readers keep the files of sealed segments open while they read them. They read the live segment through the writer's own
//! handle, as of its newest commit. An open file stays readable, whatever the writer seals and retention drops meanwhile.
//!
//! A view of the live segment may be older than the segment's end: batches may be appended, and the segment sealed, while it is
//! read. A reader therefore continues at the position after the last batch that it read, never at the start of the next segment.
//!
//! A view of a sealed segment has a file open. At the limit of [`SEALED_READS_MAX`] further readers wait, so that readers never
//! take the descriptor that the writer needs for its next segment.
//!
//! Invariant: the batches of one read are consecutive, in position and in the chain of hashes, or the read fails.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use redb::{DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable};
use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchError, ChainEnd, Link};

use super::segment_file::{self, BATCHES, Closing, Live, SEAL, guarded, no_panic, read_end, start_of, sync_folder, unreadable};
use super::{JournalError, JournalReader, replay};
use crate::disk::Disk;

/// Maximum number of views of sealed segments at once, each with an open file. The descriptors that a process reserves for its
/// engine include them.
pub const SEALED_READS_MAX: usize = 16;

/// The existing segments, shared by the writer, which adds to them, and readers.
pub(super) struct Catalogue {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// By first position. The last is the live one.
    segments: RwLock<Vec<Arc<Listed>>>,
    /// Segments that begin before this were not read when the journal was opened.
    unread_before: Position,
    dropping: Mutex<Dropping>,
    sealed_reads: Arc<SealedReads>,
}

/// Limits the views of sealed segments.
#[derive(Default)]
struct SealedReads {
    places: Mutex<Places>,
    one_less: Condvar,
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Places {
    taken: usize,
    /// Readers waiting for a view.
    waiting: usize,
}

/// One permitted view.
struct Place(Arc<SealedReads>);

impl SealedReads {
    /// Waits for a permitted view.
    fn place(self: &Arc<SealedReads>) -> Place {
        let mut places = self.places.lock();
        places.waiting += 1;
        while places.taken >= SEALED_READS_MAX {
            self.one_less.wait(&mut places);
        }
        places.waiting -= 1;
        places.taken += 1;
        Place(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.lock().taken -= 1;
        self.0.one_less.notify_one();
    }
}

/// Only one thread at a time drops segments.
#[derive(Default)]
struct Dropping {
    /// A removal may not be durable. If a later one were durable and this one not, a crash would leave a gap.
    failed: bool,
}

pub(super) struct Listed {
    first: Position,
    path: PathBuf,
    open: Mutex<Open>,
}

enum Open {
    Live(Arc<Live>),
    /// Sealed by this run. The writer or the last reader of the live segment closes its file.
    Closing(Arc<Closing>),
    Sealed(Weak<ReadOnlyDatabase>),
}

impl Listed {
    pub(super) fn live(first: Position, path: PathBuf, live: Arc<Live>) -> Arc<Listed> {
        Arc::new(Listed { first, path, open: Mutex::new(Open::Live(live)) })
    }

    pub(super) fn sealed(first: Position, path: PathBuf) -> Arc<Listed> {
        Arc::new(Listed { first, path, open: Mutex::new(Open::Sealed(Weak::new())) })
    }

    /// Whether it is sealed. Waits while its file is being closed, however long the disk takes: it cannot be opened until then.
    fn is_sealed(&self) -> bool {
        let closing = match &*self.open.lock() {
            Open::Live(_) => return false,
            Open::Sealed(_) => return true,
            Open::Closing(closing) => closing.clone(),
        };
        // Not locked: others find it in the same state, and wait as well.
        closing.wait();
        let mut open = self.open.lock();
        if matches!(*open, Open::Closing(_)) {
            *open = Open::Sealed(Weak::new());
        }
        true
    }

    fn seal(&self) {
        let mut open = self.open.lock();
        if let Open::Live(live) = &*open {
            let closing = live.closing();
            *open = Open::Closing(closing);
        }
    }

    /// `None` if the segment is being closed, or is sealed and the caller has no `place`.
    fn begin_read(&self, disk: &dyn Disk, place: Option<Place>) -> Result<Option<(ReadTransaction, Held)>, DatabaseError> {
        let failed = |cause: redb::TransactionError| DatabaseError::Storage(redb::StorageError::Corrupted(cause.to_string()));
        let mut open = self.open.lock();
        match &mut *open {
            Open::Live(database) => Ok(Some((database.begin_read().map_err(failed)?, Held::Live(database.clone())))),
            Open::Closing(_) => Ok(None),
            Open::Sealed(weak) => {
                let Some(place) = place else { return Ok(None) };
                let database = match weak.upgrade() {
                    Some(database) => database,
                    // It may not have been read since the run that wrote it.
                    None => Arc::new(segment_file::open_sealed(disk, &self.path)?),
                };
                *weak = Arc::downgrade(&database);
                Ok(Some((database.begin_read().map_err(failed)?, Held::Sealed(database, place))))
            }
        }
    }
}

/// A reader's view of a segment.
struct View {
    first: Position,
    path: PathBuf,
    transaction: ReadTransaction,
    /// Kept open while it is read: the writer may seal and close the segment meanwhile.
    held: Held,
}

impl View {
    /// Whether the view contains every batch that the segment will ever have.
    fn is_complete(&self) -> bool {
        matches!(self.held, Held::Sealed(..))
    }
}

#[expect(dead_code, reason = "what is held is only held")]
enum Held {
    Live(Arc<Live>),
    Sealed(Arc<ReadOnlyDatabase>, Place),
}

impl Catalogue {
    /// Segments by first position, the live one last.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, segments: Vec<Arc<Listed>>, unread_before: Position) -> Catalogue {
        Catalogue {
            disk,
            dir: dir.to_owned(),
            segments: RwLock::new(segments),
            unread_before,
            dropping: Mutex::default(),
            sealed_reads: Arc::default(),
        }
    }

    /// Notes that the live segment was sealed and that this one follows it.
    pub(super) fn rotated(&self, next: Arc<Listed>) {
        let mut segments = self.segments.write();
        if let Some(sealed) = segments.last() {
            sealed.seal();
        }
        segments.push(next);
    }

    /// A view of the segment that contains a position.
    fn view_at(&self, position: Position) -> Result<View, JournalError> {
        // Redb may be closing a segment that it has repaired.
        let mut tries = 0;
        loop {
            let segments = self.segments.read();
            let Some(listed) = segments.iter().rev().find(|listed| listed.first <= position).cloned() else {
                let first = segments.first().map_or(position, |oldest| oldest.first);
                return Err(JournalError::Dropped { dir: self.dir.clone(), position, first });
            };
            // Not held while the file is opened: redb may have to repair it, which would block the writer's rotation.
            drop(segments);
            // No deadlock: a reader has at most one view.
            let place = listed.is_sealed().then(|| self.sealed_reads.place());
            match no_panic(|| listed.begin_read(&*self.disk, place)) {
                Ok(Ok(Some((transaction, held)))) => {
                    return Ok(View { first: listed.first, path: listed.path.clone(), transaction, held });
                }
                // Sealed since the lookup.
                Ok(Ok(None)) => {}
                Ok(Err(DatabaseError::DatabaseAlreadyOpen)) if tries < 1000 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Dropped since the lookup.
                Ok(Err(_)) if !self.has(listed.first) => {}
                Ok(Err(cause)) => return Err(unreadable(&listed.path, cause)),
                Err(panic) => return Err(unreadable(&listed.path, panic)),
            }
        }
    }

    /// Readers that wait until a sealed segment is closed.
    #[cfg(test)]
    pub(super) fn waiting_for_close(&self) -> usize {
        let waiting = |listed: &Arc<Listed>| match &*listed.open.lock() {
            // Besides the segment itself and the list.
            Open::Closing(closing) => Arc::strong_count(closing).saturating_sub(2),
            Open::Live(_) | Open::Sealed(_) => 0,
        };
        self.segments.read().iter().map(waiting).sum()
    }

    fn has(&self, first: Position) -> bool {
        self.segments.read().iter().any(|listed| listed.first == first)
    }

    /// The start of the segment after another.
    fn after(&self, first: Position) -> Option<Position> {
        self.segments.read().iter().map(|listed| listed.first).find(|other| *other > first)
    }
}

impl Catalogue {
    /// Reads batches. Calls `viewed` after taking each view of a segment and before reading it.
    fn read_viewing(&self, from: Position, bytes_max: usize, viewed: &dyn Fn()) -> Result<Vec<Vec<u8>>, JournalError> {
        let mut reading = Reading { next: from.max(Position(1)), chain: None, bytes: 0, bytes_max, batches: Vec::new() };
        loop {
            let view = self.view_at(reading.next)?;
            viewed();
            guarded(&view.path, || reading.take(&view))?;
            match self.after(view.first) {
                Some(_) if reading.is_full() => return Ok(reading.batches),
                None => return Ok(reading.batches),
                // A complete segment ends where the next one begins.
                Some(following) if following > reading.next && view.is_complete() => {
                    return Err(JournalError::Gap { path: view.path, expected: reading.next, found: following });
                }
                // Either the next segment, or the rest of this one: batches appended after the view was taken.
                Some(_) => {}
            }
        }
    }
}

impl JournalReader for Catalogue {
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.read_viewing(from, bytes_max, &|| {})
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

    fn first_behind(&self, position: Position) -> Position {
        let segments = self.segments.read();
        // The last record of a segment precedes the first of the next segment.
        let kept = segments.iter().skip(1).take_while(|next| next.first.0 - 1 <= position.0).last();
        kept.or(segments.first()).map_or(Position(1), |oldest| oldest.first)
    }

    fn drop_through(&self, position: Position) -> Result<usize, JournalError> {
        let mut dropping = self.dropping.lock();
        let io = |path: &Path, source| JournalError::Io { path: path.to_owned(), source };
        if dropping.failed {
            return Err(io(&self.dir, std::io::Error::other("an earlier removal in it may not be durable")));
        }
        let mut dropped = 0;
        loop {
            let mut segments = self.segments.write();
            // Its last record precedes the first of the next segment. The live one has no next segment.
            if segments.get(1).is_none_or(|next| next.first.0 - 1 > position.0) {
                return Ok(dropped);
            }
            // Removed from the list before its file is deleted.
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
        let segments: Vec<Position> = {
            let listed = self.segments.read();
            let unread = listed.iter().take_while(|listed| listed.first < self.unread_before).count();
            // Including the first one that was read, which must continue the last of them.
            let checked = if unread == 0 { 0 } else { unread + 1 };
            listed.iter().take(checked).map(|listed| listed.first).collect()
        };
        let mut before: Option<ChainEnd> = None;
        for first in segments.into_iter().take_while(|_| goes_on()) {
            let view = match self.view_at(first) {
                // Dropped meanwhile, so that the next one cannot be compared with it.
                Err(JournalError::Dropped { .. }) => {
                    before = None;
                    continue;
                }
                view => view?,
            };
            before = guarded(&view.path, || self.check_ends(&view, before, first < self.unread_before))?;
        }
        Ok(())
    }
}

impl Catalogue {
    /// Checks where a segment starts and, if it was not read, that it ends with the batch that its seal names. Returns its seal.
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
                batch.map_err(|cause| replay::name(path, Position(position), cause, false))?.end()
            }
        };
        match end == seal {
            true => Ok(Some(seal)),
            false => Err(JournalError::SealBroken { path: path.clone(), sealed: seal.position, found: end.position }),
        }
    }
}

/// A read in progress, one segment after the other.
struct Reading {
    /// The next position.
    next: Position,
    /// The end of the chain so far; none before the first batch.
    chain: Option<ChainEnd>,
    bytes: usize,
    bytes_max: usize,
    batches: Vec<Vec<u8>>,
}

impl Reading {
    fn is_full(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// Continues in a segment, to the end of the view or until the limit is exceeded.
    fn take(&mut self, view: &View) -> Result<(), JournalError> {
        let path = &view.path;
        let unreadable = |cause: redb::Error| unreadable(path, cause);
        let table = view.transaction.open_table(BATCHES).map_err(|cause| unreadable(cause.into()))?;
        let holder = || table.range(..=self.next.0)?.next_back().transpose();
        let holder = holder().map_err(|cause| unreadable(cause.into()))?.map_or(self.next.0, |(key, _)| key.value());
        for row in table.range(holder..).map_err(|cause| unreadable(cause.into()))? {
            if self.is_full() {
                break;
            }
            let (key, value) = row.map_err(|cause| unreadable(cause.into()))?;
            let position = Position(key.value());
            self.push(position, value.value()).map_err(|cause| replay::name(path, position, cause, false))?;
        }
        Ok(())
    }

    /// Adds a row, unless it ends before the requested position: the newest batch before a position may end before it.
    fn push(&mut self, key: Position, bytes: &[u8]) -> Result<(), BatchError> {
        let link = Link::stated(bytes).ok_or(BatchError::Short(bytes.len()))?;
        if link.first != key {
            return Err(BatchError::Gap { expected: key, found: link.first });
        }
        if link.end().position < self.next {
            return Ok(());
        }
        match &mut self.chain {
            Some(chain) => link.follow(chain)?,
            None if link.holds(self.next) => self.chain = Some(link.end()),
            None => return Err(BatchError::Gap { expected: self.next, found: key }),
        }
        self.next = Position(link.end().position.0.saturating_add(1));
        self.bytes += bytes.len();
        self.batches.push(bytes.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::disk::OsDisk;
    use crate::{Journal, Segments};
    use scrip_protocol::batch::BatchBuilder;
    use scrip_protocol::{Record, Settings, record::SettingsSet};

    /// The writer of a journal with segments of that size.
    struct Writer(Segments);

    impl Writer {
        fn new(dir: &Path, segment_bytes: u64) -> Writer {
            let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
            let opened = Segments::open(disk, dir, segment_bytes, none, &mut |_, _| {}, &mut |_| {});
            Writer(opened.expect("a new journal"))
        }

        /// Appends a batch of one record.
        fn append(&mut self) -> Arc<Catalogue> {
            let mut batch = BatchBuilder::new(1);
            batch.push(&Record::from(SettingsSet::new(Settings::default())));
            self.0.append(vec![batch]).expect("the disk takes it");
            self.0.catalogue().clone()
        }
    }

    /// The first positions of batches, after checking that each continues the one before.
    fn firsts(batches: &[Vec<u8>]) -> Vec<u64> {
        let mut chain = None;
        let mut first = |bytes: &Vec<u8>| {
            let batch = Batch::parse(bytes).expect("a stored batch is whole");
            batch
                .follow(chain.get_or_insert(ChainEnd { position: Position(batch.first.0 - 1), hash: batch.previous, time_ms: 1 }))
                .expect("it continues the one before");
            batch.first.0
        };
        batches.iter().map(&mut first).collect()
    }

    fn read_view(view: &View) -> usize {
        let mut reading = Reading { next: Position(1), chain: None, bytes: 0, bytes_max: usize::MAX, batches: Vec::new() };
        reading.take(view).expect("it is still open");
        reading.batches.len()
    }

    #[test]
    fn a_segment_being_read_stays_open_after_rotation_and_retention() {
        let dir = tempfile::tempdir().expect("a folder");
        // Every batch fills a segment.
        let mut writer = Writer::new(dir.path(), 1);
        let catalogue = writer.append();
        let view = catalogue.view_at(Position(1)).expect("it can be read");
        writer.append();
        writer.append();
        assert_eq!(read_view(&view), 1);
        drop(view);
        assert_eq!(catalogue.read(Position(1), usize::MAX).expect("they can be read").len(), 3);
        let view = catalogue.view_at(Position(1)).expect("it can be read");
        assert_eq!(catalogue.drop_through(Position(1)).expect("it can be removed"), 1);
        assert_eq!(read_view(&view), 1);
    }

    /// At the limit of open files, further readers of sealed segments wait; the live segment remains readable.
    #[test]
    fn sealed_segments_are_open_to_a_bounded_number_of_readers() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::new(dir.path(), 1);
        (0..=SEALED_READS_MAX).for_each(|_| drop(writer.append()));
        let catalogue = writer.append();
        let open_files = || {
            let files = std::fs::read_dir("/proc/self/fd").expect("Linux lists them").filter_map(Result::ok);
            files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.starts_with(dir.path()))).count()
        };
        let before = open_files();
        let view = |position: usize| catalogue.view_at(Position(position as u64)).expect("it can be read");
        let mut views: Vec<_> = (1..=SEALED_READS_MAX).map(view).collect();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|threads| {
            let catalogue = &catalogue;
            threads.spawn(move || {
                let view = catalogue.view_at(Position(SEALED_READS_MAX as u64 + 1)).expect("it can be read");
                sender.send(view.first).expect("somebody waits");
            });
            assert_eq!(view(SEALED_READS_MAX + 2).first, Position(SEALED_READS_MAX as u64 + 2), "the live one does not count");
            assert!(open_files() - before <= SEALED_READS_MAX, "{} files, and {before} before", open_files());
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            while *catalogue.sealed_reads.places.lock() != (Places { taken: SEALED_READS_MAX, waiting: 1 }) {
                assert!(std::time::Instant::now() < deadline, "the limit is not reached");
                std::thread::yield_now();
            }
            assert!(receiver.try_recv().is_err(), "the limit is reached");
            views.pop();
            receiver.recv_timeout(Duration::from_secs(60)).expect("one was closed");
        });
        assert_eq!(*catalogue.sealed_reads.places.lock(), Places { taken: views.len(), waiting: 0 });
    }

    /// A reader that straddles a rotation: it takes a view of the live segment, further batches fill the segment, the next append
    /// rotates, and only then is the view read. Covers every number of batches before and after the view, and every start
    /// position.
    #[test]
    fn a_reader_that_straddles_a_rotation_misses_no_batch() {
        for before in 1..=3_u64 {
            for filling in 1..=3_u64 {
                for from in 1..=before + 1 {
                    let dir = tempfile::tempdir().expect("a folder");
                    let mut writer = Writer::new(dir.path(), u64::MAX);
                    (1..before).for_each(|_| drop(writer.append()));
                    let catalogue = writer.append();
                    let (writer, is_first) = (RefCell::new(writer), RefCell::new(true));
                    let straddle = || {
                        if is_first.replace(false) {
                            let mut writer = writer.borrow_mut();
                            (0..filling).for_each(|_| drop(writer.append()));
                            writer.0.fill();
                            (0..2).for_each(|_| drop(writer.append()));
                        }
                    };
                    let batches = catalogue.read_viewing(Position(from), usize::MAX, &straddle).expect("the journal is whole");
                    let expected: Vec<u64> = (from..=before + filling + 2).collect();
                    assert_eq!(firsts(&batches), expected, "{before} before the view, {filling} behind it, from {from}");
                }
            }
        }
    }

    /// A missing batch is an error, within a segment, at its end, and at the start of the next one.
    #[test]
    fn a_missing_batch_is_named_and_never_skipped() {
        for missing in 2..=5_u64 {
            let dir = tempfile::tempdir().expect("a folder");
            let mut writer = Writer::new(dir.path(), u64::MAX);
            (0..3).for_each(|_| drop(writer.append()));
            writer.0.fill();
            // Segments that start at positions 1 and 4.
            (0..3).for_each(|_| drop(writer.append()));
            drop(writer);
            let first = if missing < 4 { 1 } else { 4 };
            segment_file::remove_batch(&OsDisk, &segment_file::segment_path(dir.path(), Position(first)), Position(missing));
            let listed =
                [1, 4].map(|first| Listed::sealed(Position(first), segment_file::segment_path(dir.path(), Position(first))));
            let catalogue = Catalogue::new(Arc::new(OsDisk), dir.path(), listed.to_vec(), Position(0));
            for from in 1..=missing {
                let read = catalogue.read(Position(from), usize::MAX);
                let named = matches!(read, Err(JournalError::Gap { expected, .. }) if expected == Position(missing));
                assert!(named, "{missing} is missing, read from {from}: {read:?}");
            }
        }
    }

    /// A batch that does not have the hash of the one before it breaks the chain, also across segments.
    #[test]
    fn a_batch_of_another_history_is_named() {
        let dirs = [1, 2].map(|_| tempfile::tempdir().expect("a folder"));
        for (time_ms, dir) in (1..).zip(&dirs) {
            let mut writer = Writer::new(dir.path(), 1);
            for _ in 0..3 {
                let mut batch = BatchBuilder::new(time_ms);
                batch.push(&Record::from(SettingsSet::new(Settings::default())));
                writer.0.append(vec![batch]).expect("the disk takes it");
            }
        }
        let name = segment_file::segment_path(Path::new(""), Position(2));
        std::fs::copy(dirs[1].path().join(&name), dirs[0].path().join(&name)).expect("a segment of the other history");
        let listed =
            [1, 2, 3].map(|first| Listed::sealed(Position(first), segment_file::segment_path(dirs[0].path(), Position(first))));
        let catalogue = Catalogue::new(Arc::new(OsDisk), dirs[0].path(), listed.to_vec(), Position(0));
        let read = catalogue.read(Position(1), usize::MAX);
        assert!(matches!(read, Err(JournalError::BrokenChain { position: Position(2), .. })), "{read:?}");
    }
}
