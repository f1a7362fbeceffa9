//! Reads a closed journal without writing a byte of it.

use std::ops::ControlFlow;
use std::path::Path;

use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, ChainEnd};

use super::JournalError;
use super::replay::{self, Begins, Chain, Row, records_of};
use super::segment_file::{self, check_empty, guarded, segment_path, start_of, unfinished_path, unreadable};
use super::segments::{LOCK, take_lock};
use crate::disk::Disk;

/// Receives the batches of a walk: the segment's file, the batch, its bytes. Can end the walk.
pub type Visit<'a> = dyn FnMut(&Path, &Batch<'_>, &[u8]) -> ControlFlow<()> + 'a;

/// Reads the journal of a folder from the segment that contains `from` (0: from the oldest), and checks everything that opening
/// it checks: batches, their records, the chain, the segments' ends. Writes no file, not even if redb would have to repair one
/// that was not closed. Passes every batch that ends at or after `from` to `visit`, with its file and bytes, until `visit`
/// breaks. Returns the end of the journal, or of the walk.
///
/// Holds the journal's lock, if there is a lock file: a copy that was never opened has none, and gets none.
///
/// # Errors
/// If another process has the journal open, or any of it is missing, damaged or out of order. Everything before that was visited.
pub fn walk(disk: &dyn Disk, dir: &Path, from: Position, visit: &mut Visit<'_>) -> Result<ChainEnd, JournalError> {
    let entries = disk.list(dir).map_err(|source| JournalError::Io { path: dir.to_owned(), source })?;
    let has_lock = entries.iter().any(|entry| entry.name == LOCK);
    let _lock = if has_lock { Some(take_lock(disk, dir)?) } else { None };
    // Listed again: the previous holder of the lock may have changed something.
    let listing = replay::list(disk, dir)?;
    let Some(oldest) = listing.segments.first() else {
        return match from > Position(1) {
            true => Err(JournalError::MissingSegment { dir: dir.to_owned(), expected: from }),
            false => Ok(ChainEnd::default()),
        };
    };
    let from = if from == Position(0) { oldest.first } else { from };
    let Some(begin) = listing.segments.iter().rposition(|found| found.first <= from) else {
        return Err(JournalError::MissingSegment { dir: dir.to_owned(), expected: from });
    };
    let segments = &listing.segments[begin..];
    let mut chain = Chain { dir, end: ChainEnd::default() };
    for (at, found) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        let path = &found.path;
        let mut visit = |row: Row<'_>| {
            records_of(&row.batch)?;
            match row.batch.end().position < from {
                true => Ok(ControlFlow::Continue(())),
                false => Ok(visit(path, &row.batch, row.bytes)),
            }
        };
        let read = guarded(path, || {
            let database = segment_file::open_untouched(disk, path).map_err(|cause| unreadable(path, cause))?;
            let transaction = database.begin_read().map_err(|cause| unreadable(path, cause))?;
            if at == 0 {
                chain.end = start_of(&transaction, path, found.first)?;
            }
            chain.segment(&transaction, found, Begins::Next, is_last, &mut visit)
        })?;
        if read.is_broken_off {
            return Ok(chain.end);
        }
        if is_last && read.is_sealed {
            check_next(disk, dir, &listing.unfinished, chain.end)?;
        }
    }
    Ok(chain.end)
}

/// Checks that the successor of a sealed segment exists under its unfinished name.
fn check_next(disk: &dyn Disk, dir: &Path, unfinished: &[std::path::PathBuf], end: ChainEnd) -> Result<(), JournalError> {
    let path = unfinished_path(&segment_path(dir, end.next()));
    if !unfinished.contains(&path) {
        return Err(JournalError::MissingSegment { dir: dir.to_owned(), expected: end.next() });
    }
    guarded(&path, || {
        let database = segment_file::open_untouched(disk, &path).map_err(|cause| unreadable(&path, cause))?;
        let transaction = database.begin_read().map_err(|cause| unreadable(&path, cause))?;
        check_empty(&transaction, &path, end)
    })
}
