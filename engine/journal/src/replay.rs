//! Opens a journal: reads the batches after a snapshot, checks them against the chain, and passes them on. Repairs nothing.
//!
//! What a snapshot covers is not read: [`check_sealed`] handles the segments that end at or before it, and the segment that
//! contains its end is read from the first batch after it. The batch with which the snapshot ends proves that both are of one
//! history.
//!
//! A separate thread reads the rows, hashes them and decodes the records; the caller's thread applies them. The queue between the
//! two is bounded, and an error is returned once everything before it was applied.
//!
//! [`check_sealed`]: super::JournalReader::check_sealed

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crossbeam_channel::Sender;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use scrip_protocol::batch::{Batch, BatchError, BatchTime, ChainEnd};
use scrip_protocol::{Position, Record};

use super::JournalError;
use super::segment_file::{self, BATCHES, Live, SEAL, check_start, guarded, read_end, unreadable};
use crate::disk::Disk;

/// The progress of a replay.
#[derive(Debug, Clone, Copy)]
pub struct ReplayProgress {
    /// The newest record replayed.
    pub position: Position,
    /// How many bytes of the segments to read are done.
    pub bytes_done: u64,
    /// Their total.
    pub bytes_total: u64,
}

/// The files of a journal's folder.
pub(super) struct Listing {
    /// By first position.
    pub(super) segments: Vec<Found>,
    /// Unfinished segments.
    pub(super) unfinished: Vec<PathBuf>,
}

pub(super) struct Found {
    pub(super) first: Position,
    pub(super) path: PathBuf,
    bytes: u64,
}

pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Listing, JournalError> {
    let mut listing = Listing { segments: Vec::new(), unfinished: Vec::new() };
    for entry in disk.list(dir).map_err(|source| JournalError::Io { path: dir.to_owned(), source })? {
        let path = dir.join(&entry.name);
        if entry.name.ends_with(".redb.new") {
            listing.unfinished.push(path);
        } else if let Some(stem) = entry.name.strip_suffix(".redb") {
            let first = Position(stem.parse().unwrap_or(0));
            // Each position has exactly one name, so that two files cannot be the same segment.
            if first == Position(0) || path != segment_file::segment_path(dir, first) {
                return Err(JournalError::NotThatSegment { path, why: "its name is not a position" });
            }
            listing.segments.push(Found { first, bytes: entry.bytes, path });
        }
    }
    listing.segments.sort_by_key(|found| found.first);
    Ok(listing)
}

/// The result of a replay.
pub(super) struct Replayed {
    /// The end of the journal.
    pub(super) end: ChainEnd,
    /// Number of segments, from the oldest, that were not read.
    pub(super) unread: usize,
    /// The last segment, open for writing, and the size of its batches; none if it is sealed.
    pub(super) live: Option<(Live, u64)>,
}

/// Passes on every batch after `from`, on the caller's thread. Calls `report` with the progress from time to time.
pub(super) fn replay(
    disk: &dyn Disk,
    dir: &Path,
    listing: &Listing,
    from: ChainEnd,
    apply: &mut dyn FnMut(BatchTime, &[Record]),
    report: &mut dyn FnMut(ReplayProgress),
) -> Result<Replayed, JournalError> {
    let (say, heard) = crossbeam_channel::bounded(GROUPS_AHEAD);
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read(disk, dir, listing, from, say));
        for group in heard {
            for batch in &group.batches {
                apply(batch.time, &batch.records);
            }
            report(group.progress);
        }
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Groups of decoded batches that may wait to be applied: enough that the threads do not wait for each other's every step; some
/// megabytes at most.
const GROUPS_AHEAD: usize = 4;
/// Records per group. A batch is not divided.
const GROUP_RECORDS: usize = 2048;

struct Decoded {
    time: BatchTime,
    records: Vec<Record>,
}

struct Group {
    batches: Vec<Decoded>,
    records: usize,
    progress: ReplayProgress,
}

impl Group {
    fn take(&mut self) -> Group {
        self.records = 0;
        Group { batches: std::mem::take(&mut self.batches), records: 0, progress: self.progress }
    }
}

fn read(disk: &dyn Disk, dir: &Path, listing: &Listing, from: ChainEnd, groups: Sender<Group>) -> Result<Replayed, JournalError> {
    let unread = first_to_read(dir, &listing.segments, from)?;
    let segments = &listing.segments[unread..];
    let bytes_total = segments.iter().map(|found| found.bytes).sum();
    let progress = ReplayProgress { position: from.position, bytes_done: 0, bytes_total };
    let mut group = Group { batches: Vec::new(), records: 0, progress };
    let mut chain = Chain { dir, end: from };
    let (mut live, mut bytes_done) = (None, 0);
    let replayed = segments.iter().enumerate().try_for_each(|(at, found)| {
        let is_last = at + 1 == segments.len();
        let begins = match at {
            0 if found.first <= from.position => Begins::Before,
            0 if from.position > Position(0) => Begins::AtSnapshot,
            _ => Begins::Next,
        };
        let mut visit = |row: Row<'_>| {
            let records = records_of(&row.batch)?;
            group.records += records.len();
            group.batches.push(Decoded { time: row.batch.time(), records });
            group.progress.position = row.batch.end().position;
            group.progress.bytes_done = bytes_done + (row.part * found.bytes as f64) as u64;
            if group.records < GROUP_RECORDS {
                return Ok(ControlFlow::Continue(()));
            }
            // Sending fails only if applying panicked.
            Ok(if groups.send(group.take()).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        live = guarded(&found.path, || match is_last {
            false => {
                let database = segment_file::open_sealed(disk, &found.path).map_err(|cause| unreadable(&found.path, cause))?;
                let transaction = database.begin_read().map_err(|cause| unreadable(&found.path, cause))?;
                chain.segment(&transaction, found, begins, false, &mut visit)?;
                Ok(None)
            }
            true => {
                let database = Live::new(segment_file::open(disk, &found.path).map_err(|cause| unreadable(&found.path, cause))?);
                let transaction = database.begin_read().map_err(|cause| unreadable(&found.path, cause))?;
                let read = chain.segment(&transaction, found, begins, true, &mut visit)?;
                let bytes = bytes_in(&transaction, &read).map_err(|cause| unreadable(&found.path, cause))?;
                drop(transaction);
                Ok((!read.is_sealed).then_some((database, bytes)))
            }
        })?;
        bytes_done += found.bytes;
        group.progress.bytes_done = bytes_done;
        Ok(())
    });
    // Also if the replay ends with an error: everything before it is applied. Sending fails only if applying panicked.
    let _ = groups.send(group.take());
    replayed.map(|()| Replayed { end: chain.end, unread, live })
}

/// The segment that contains what follows a snapshot.
fn first_to_read(dir: &Path, segments: &[Found], from: ChainEnd) -> Result<usize, JournalError> {
    match segments.iter().rposition(|found| found.first <= from.next()) {
        Some(at) => Ok(at),
        None if !segments.is_empty() => Err(JournalError::MissingSegment { dir: dir.to_owned(), expected: from.next() }),
        None if from.position > Position(0) => {
            Err(JournalError::EndsBefore { dir: dir.to_owned(), end: Position(0), from: from.position })
        }
        None => Ok(0),
    }
}

pub(super) fn records_of(batch: &Batch<'_>) -> Result<Vec<Record>, BatchError> {
    // No more capacity than its bytes can fill, whatever count it states.
    let mut records = Vec::with_capacity((batch.count as usize).min(4096));
    for record in batch.records() {
        records.push(record?.1);
    }
    Ok(records)
}

/// The size of a segment's batches. Unread ones are estimated from some of them, so that opening does not read them.
fn bytes_in(transaction: &ReadTransaction, read: &Read) -> Result<u64, redb::Error> {
    const SAMPLES: u64 = 32;
    let table = transaction.open_table(BATCHES)?;
    let rows_before = table.len()?.saturating_sub(read.rows);
    if rows_before == 0 {
        return Ok(read.bytes);
    }
    let before = read.behind.0;
    if rows_before <= SAMPLES {
        return table.range(..=before)?.try_fold(read.bytes, |bytes, row| Ok(bytes + row?.1.value().len() as u64));
    }
    let first = table.first()?.map_or(before, |(key, _)| key.value());
    let (mut bytes, mut rows) = (0, 0);
    for sample in 0..SAMPLES {
        let at = first + (before - first) / SAMPLES * sample;
        if let Some(row) = table.range(at..=before)?.next() {
            (bytes, rows) = (bytes + row?.1.value().len() as u64, rows + 1);
        }
    }
    Ok(read.bytes + bytes * rows_before / rows.max(1))
}

/// The next batch in the chain.
pub(super) struct Row<'a> {
    pub(super) batch: Batch<'a>,
    pub(super) bytes: &'a [u8],
    /// The share of its segment that is done after it.
    pub(super) part: f64,
}

/// What was read of a segment.
pub(super) struct Read {
    /// The batches after this position were read.
    behind: Position,
    /// Number of batches.
    rows: u64,
    /// Size of these.
    bytes: u64,
    pub(super) is_sealed: bool,
    /// Reading stopped before its end.
    pub(super) is_broken_off: bool,
}

/// How a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// With the next batch in the chain.
    Next,
    /// With the next batch after a snapshot that may not belong to this journal.
    AtSnapshot,
    /// Before that: it contains the chain's end.
    Before,
}

/// Follows segments in order, and checks each batch against the one before it.
pub(super) struct Chain<'a> {
    pub(super) dir: &'a Path,
    /// The end so far: the newest checked batch, or what the first batch must continue.
    pub(super) end: ChainEnd,
}

impl Chain<'_> {
    /// Reads what a segment has after the chain's end. A segment that contains that end must have the batch that ends there.
    pub(super) fn segment(
        &mut self,
        transaction: &ReadTransaction,
        found: &Found,
        begins: Begins,
        is_last: bool,
        visit: &mut dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, BatchError>,
    ) -> Result<Read, JournalError> {
        let path = &found.path;
        let other_history = || Err(JournalError::OtherHistory { path: path.clone(), position: self.end.position });
        let from = match begins {
            Begins::Next if found.first != self.end.next() => {
                return Err(JournalError::MissingSegment { dir: self.dir.to_owned(), expected: self.end.next() });
            }
            Begins::AtSnapshot if segment_file::start_of(transaction, path, found.first)? != self.end => return other_history(),
            Begins::AtSnapshot => Position(0),
            Begins::Next => {
                check_start(transaction, path, self.end)?;
                Position(0)
            }
            Begins::Before => {
                self.check_meeting(transaction, found, is_last)?;
                self.end.next()
            }
        };
        let read = self.batches(transaction, path, from, is_last, visit)?;
        if read.is_broken_off {
            return Ok(read);
        }
        match read_end(transaction, path, SEAL)? {
            Some(seal) if seal != self.end => {
                Err(JournalError::SealBroken { path: path.clone(), sealed: seal.position, found: self.end.position })
            }
            None if !is_last => Err(JournalError::Unsealed { path: path.to_owned() }),
            seal => Ok(Read { is_sealed: seal.is_some(), ..read }),
        }
    }

    /// Checks that a segment contains the batch with which the chain ends.
    fn check_meeting(&self, transaction: &ReadTransaction, found: &Found, is_last: bool) -> Result<(), JournalError> {
        let (path, from) = (&found.path, self.end);
        segment_file::start_of(transaction, path, found.first)?;
        let unreadable = |cause: redb::Error| unreadable(path, cause);
        let table = transaction.open_table(BATCHES).map_err(|cause| unreadable(cause.into()))?;
        let row = |range| -> Result<_, redb::Error> { Ok(table.range::<u64>(range)?.next_back().transpose()?) };
        let newest = row((std::ops::Bound::Unbounded, std::ops::Bound::Included(from.position.0))).map_err(unreadable)?;
        let next = table.range(from.next().0..).and_then(|mut rows| rows.next().transpose());
        let next = next.map_err(|cause| unreadable(cause.into()))?.map(|(key, _)| Position(key.value()));
        let end = match newest {
            None => ChainEnd { position: Position(found.first.0 - 1), ..ChainEnd::default() },
            Some((key, value)) => {
                let position = Position(key.value());
                let newest = is_last && next.is_none();
                let batch = Batch::parse(value.value()).map_err(|cause| name(path, position, cause, newest))?;
                if batch.first != position {
                    return Err(JournalError::Gap { path: path.clone(), expected: position, found: batch.first });
                }
                batch.end()
            }
        };
        if end == from {
            return Ok(());
        }
        if end.position >= from.position {
            return Err(JournalError::OtherHistory { path: path.clone(), position: from.position });
        }
        match (next, read_end(transaction, path, SEAL)?) {
            (Some(found), _) => Err(JournalError::Gap { path: path.clone(), expected: end.next(), found }),
            (None, Some(seal)) if seal.position != end.position => {
                Err(JournalError::SealBroken { path: path.clone(), sealed: seal.position, found: end.position })
            }
            (None, _) if is_last => {
                Err(JournalError::EndsBefore { dir: self.dir.to_owned(), end: end.position, from: from.position })
            }
            (None, Some(_)) => Err(JournalError::MissingSegment { dir: self.dir.to_owned(), expected: end.next() }),
            (None, None) => Err(JournalError::Unsealed { path: path.clone() }),
        }
    }

    fn batches(
        &mut self,
        transaction: &ReadTransaction,
        path: &Path,
        from: Position,
        is_last: bool,
        visit: &mut dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, BatchError>,
    ) -> Result<Read, JournalError> {
        let unreadable = |cause: redb::Error| unreadable(path, cause);
        let table = transaction.open_table(BATCHES).map_err(|cause| unreadable(cause.into()))?;
        // A file has unused space, so that progress is measured by positions.
        let last = table.last().map_err(|cause| unreadable(cause.into()))?.map_or(0, |(key, _)| key.value());
        let behind = self.end.position;
        let span = last.saturating_sub(behind.0).max(1);
        let mut read = Read { behind, rows: 0, bytes: 0, is_sealed: false, is_broken_off: false };
        let mut rows = table.range(from.0..).map_err(|cause| unreadable(cause.into()))?.peekable();
        while let Some(row) = rows.next() {
            let (key, value) = row.map_err(|cause| unreadable(cause.into()))?;
            let (position, bytes) = (Position(key.value()), value.value());
            let newest = is_last && rows.peek().is_none();
            let batch = self.next(position, bytes).map_err(|cause| name(path, position, cause, newest))?;
            (read.rows, read.bytes) = (read.rows + 1, read.bytes + bytes.len() as u64);
            let part = position.0.saturating_sub(behind.0).min(span) as f64 / span as f64;
            let going_on = visit(Row { batch, bytes, part }).map_err(|cause| name(path, position, cause, newest))?;
            if going_on.is_break() {
                read.is_broken_off = true;
                break;
            }
        }
        Ok(read)
    }

    fn next<'a>(&mut self, key: Position, bytes: &'a [u8]) -> Result<Batch<'a>, BatchError> {
        if key != self.end.next() {
            return Err(BatchError::Gap { expected: self.end.next(), found: key });
        }
        let batch = Batch::parse(bytes)?;
        batch.follow(&mut self.end)?;
        Ok(batch)
    }
}

/// Turns a batch that does not fit into an error of the journal.
pub(super) fn name(path: &Path, position: Position, cause: BatchError, newest: bool) -> JournalError {
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
