//! Opening a journal: every batch is read, checked against the chain, and handed on. Nothing is mended.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use scrip_protocol::batch::{Batch, BatchError, ChainEnd};
use scrip_protocol::{Position, Record};

use super::JournalError;
use super::segments::{BATCHES, SEAL, SEGMENT, START, builder, decode_end};

/// How far a replay is.
#[derive(Debug, Clone, Copy)]
pub struct ReplayProgress {
    /// The newest record replayed.
    pub position: Position,
    /// How many bytes of segments are done.
    pub bytes_done: u64,
    /// How many there are.
    pub bytes_total: u64,
}

/// The files of a journal's folder.
pub(super) struct Listing {
    /// By first position.
    pub(super) segments: Vec<Found>,
    /// Segments that were being made.
    pub(super) unfinished: Vec<PathBuf>,
}

pub(super) struct Found {
    pub(super) first: Position,
    pub(super) path: PathBuf,
    bytes: u64,
}

pub(super) fn list(dir: &Path) -> Result<Listing, JournalError> {
    let io = |source| JournalError::Io { path: dir.to_owned(), source };
    let mut listing = Listing { segments: Vec::new(), unfinished: Vec::new() };
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".redb.new") {
            listing.unfinished.push(path);
        } else if let Some(stem) = name.strip_suffix(".redb") {
            let Ok(first) = stem.parse() else {
                return Err(JournalError::NotThatSegment { path, why: "its name is not a position" });
            };
            listing.segments.push(Found { first: Position(first), bytes: entry.metadata().map_err(io)?.len(), path });
        }
    }
    listing.segments.sort_by_key(|found| found.first);
    Ok(listing)
}

/// Reads segments in order.
pub(super) struct Replay<'a> {
    dir: &'a Path,
    chain: ChainEnd,
    progress: ReplayProgress,
    apply: &'a mut dyn FnMut(u64, &Record),
    report: &'a mut dyn FnMut(ReplayProgress),
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        dir: &'a Path,
        listing: &Listing,
        apply: &'a mut dyn FnMut(u64, &Record),
        report: &'a mut dyn FnMut(ReplayProgress),
    ) -> Replay<'a> {
        let bytes_total = listing.segments.iter().map(|found| found.bytes).sum();
        let progress = ReplayProgress { position: Position(0), bytes_done: 0, bytes_total };
        Replay { dir, chain: ChainEnd::default(), progress, apply, report }
    }

    /// Replays a segment. Returns the bytes of its batches; and, open for writing, the last one if it is not sealed.
    pub(super) fn segment(&mut self, found: &Found, is_last: bool) -> Result<(u64, Option<Database>), JournalError> {
        if found.first != self.chain.next() {
            return Err(JournalError::MissingSegment { dir: self.dir.to_owned(), expected: self.chain.next() });
        }
        let path = &found.path;
        let unreadable = |cause: String| JournalError::Unreadable { path: path.clone(), cause };
        let replayed = guarded(path, || {
            if !is_last {
                match builder().open_read_only(path) {
                    Ok(database) => return Ok((self.database(&database, found, false)?.0, None)),
                    // It was not closed: the last run ended just after sealing it. Opening it for writing lets redb finish.
                    Err(redb::DatabaseError::RepairAborted) => {}
                    Err(cause) => return Err(unreadable(cause.to_string())),
                }
            }
            let database = builder().open(path).map_err(|cause| unreadable(cause.to_string()))?;
            let (bytes, sealed) = self.database(&database, found, is_last)?;
            Ok((bytes, (!sealed).then_some(database)))
        })?;
        self.progress.bytes_done += found.bytes;
        (self.report)(self.progress);
        Ok(replayed)
    }

    /// Replays an open segment. Returns the bytes of its batches, and whether it is sealed.
    fn database(&mut self, database: &impl ReadableDatabase, found: &Found, is_last: bool) -> Result<(u64, bool), JournalError> {
        let path = &found.path;
        let bytes = self.batches(database, path, found.bytes, is_last)?;
        let seal = read_end(database, SEAL)
            .map_err(|cause| JournalError::Unreadable { path: path.to_owned(), cause: cause.to_string() })?;
        match seal {
            Some(seal) if seal != self.chain => {
                Err(JournalError::SealBroken { path: path.clone(), sealed: seal.position, found: self.chain.position })
            }
            None if !is_last => Err(JournalError::Unsealed { path: path.to_owned() }),
            seal => Ok((bytes, seal.is_some())),
        }
    }

    fn batches(
        &mut self,
        database: &impl ReadableDatabase,
        path: &Path,
        file_bytes: u64,
        is_last: bool,
    ) -> Result<u64, JournalError> {
        let unreadable = |cause: redb::Error| JournalError::Unreadable { path: path.to_owned(), cause: cause.to_string() };
        check_start(database, path, self.chain)?;
        let transaction = database.begin_read().map_err(|cause| unreadable(cause.into()))?;
        let table = transaction.open_table(BATCHES).map_err(|cause| unreadable(cause.into()))?;
        // A file has room for more than is in it: how far this is, is told by positions, and said in bytes of the file.
        let last = table.last().map_err(|cause| unreadable(cause.into()))?.map_or(0, |(key, _)| key.value());
        let (before, span) = (self.chain.position.0, last.saturating_sub(self.chain.position.0).max(1));
        let mut rows = table.iter().map_err(|cause| unreadable(cause.into()))?.peekable();
        let mut bytes = 0;
        while let Some(row) = rows.next() {
            let (key, value) = row.map_err(|cause| unreadable(cause.into()))?;
            let position = Position(key.value());
            let newest = is_last && rows.peek().is_none();
            self.batch(position, value.value()).map_err(|cause| name(path, position, cause, newest))?;
            bytes += value.value().len() as u64;
            self.progress.position = self.chain.position;
            let part = position.0.saturating_sub(before).min(span) as f64 / span as f64;
            let bytes_done = self.progress.bytes_done + (part * file_bytes as f64) as u64;
            (self.report)(ReplayProgress { bytes_done, ..self.progress });
        }
        Ok(bytes)
    }

    fn batch(&mut self, key: Position, bytes: &[u8]) -> Result<(), BatchError> {
        if key != self.chain.next() {
            return Err(BatchError::Gap { expected: self.chain.next(), found: key });
        }
        let batch = Batch::parse(bytes)?;
        batch.follow(&mut self.chain)?;
        for record in batch.records() {
            (self.apply)(batch.time_ms, &record?.1);
        }
        Ok(())
    }

    /// Where the journal ends.
    pub(super) fn end(&self) -> ChainEnd {
        self.chain
    }
}

/// Says what a batch that does not fit means for the journal.
fn name(path: &Path, position: Position, cause: BatchError, newest: bool) -> JournalError {
    let path = path.to_owned();
    match cause {
        BatchError::Gap { expected, found } => JournalError::Gap { path, expected, found },
        BatchError::BrokenChain => JournalError::BrokenChain { path, position },
        BatchError::Short(_) | BatchError::Changed if newest => JournalError::TornEnd { path, position, cause },
        BatchError::Short(_)
        | BatchError::Changed
        | BatchError::Version(_)
        | BatchError::Layout { .. }
        | BatchError::Record { .. } => JournalError::Damaged { path, position, cause },
    }
}

/// Opens a segment that was made and not used: it starts where the chain ends, and has no batch yet.
pub(super) fn open_empty(path: &Path, start: ChainEnd) -> Result<Database, JournalError> {
    let unreadable = |cause: redb::Error| JournalError::Unreadable { path: path.to_owned(), cause: cause.to_string() };
    guarded(path, || {
        let database = builder().open(path).map_err(|cause| unreadable(cause.into()))?;
        check_start(&database, path, start)?;
        let is_empty = || database.begin_read()?.open_table(BATCHES)?.is_empty().map_err(redb::Error::from);
        match is_empty().map_err(unreadable)? {
            true => Ok(database),
            false => Err(JournalError::NotThatSegment { path: path.to_owned(), why: "it holds batches, and was not in use yet" }),
        }
    })
}

fn check_start(database: &impl ReadableDatabase, path: &Path, start: ChainEnd) -> Result<(), JournalError> {
    let found = read_end(database, START)
        .map_err(|cause| JournalError::Unreadable { path: path.to_owned(), cause: cause.to_string() })?;
    match found == Some(start) {
        true => Ok(()),
        false => Err(JournalError::NotThatSegment { path: path.to_owned(), why: "it does not continue the segment before it" }),
    }
}

fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    no_panic(read).unwrap_or_else(|cause| Err(JournalError::Unreadable { path: path.to_owned(), cause }))
}

/// Runs what redb does to a file. It was not written for files that somebody has changed, and may panic on one: then its words
/// are returned.
pub(super) fn no_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words_of(panic.as_ref()))
}

fn read_end(database: &impl ReadableDatabase, key: &str) -> Result<Option<ChainEnd>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(SEGMENT) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(cause) => return Err(cause.into()),
    };
    Ok(table.get(key)?.and_then(|value| decode_end(value.value())))
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    words.unwrap_or("redb could not make sense of it").to_owned()
}
