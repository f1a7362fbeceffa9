//! Recovery: opens the newest undamaged snapshot of a data folder, and replays the journal after it.
//!
//! A snapshot of version 1 does not state which request ids were forgotten. If it was taken while the machine's clock was ahead, ids by
//! the right clock would be refused for long, so the executed ids are read from the journal.
//!
//! If a snapshot is damaged or cannot be read, recovery falls back to the one before it, and finally to the beginning of the journal, if
//! the journal still has it: a snapshot contains nothing that the journal does not. But its name is a high-water mark: a journal that
//! ends before the position of any snapshot has lost its newest batches, and is refused.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use scrip_protocol::batch::{Batch, ChainEnd};
use scrip_protocol::{Position, unix_time_ms};

use crate::error::EngineError;
use crate::folder::Folder;
use crate::snapshot::{self, Snapshot, SnapshotError, UnverifiedUse};
use scrip_core::state::State;
use scrip_core::state::requests::KEPT_AT_LEAST_MS;
use scrip_journal::disk::Disk;
use scrip_journal::{Journal, JournalError, JournalLock, JournalReader, ReplayProgress, Segments};

/// A data folder as it is on disk.
pub struct Recovered {
    /// The state.
    pub state: State,
    /// Its journal, which nobody else has open.
    pub journal: Segments,
    /// The snapshot that the state is based on; none if the journal was replayed from its beginning.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The record of this start beside that snapshot, if the snapshot was not checked as a whole.
    pub unverified: Option<UnverifiedUse>,
    /// Newer snapshots that are damaged or unreadable.
    pub passed_over: Vec<PathBuf>,
}

/// How many bytes of the journal are read at once.
const BYTES_PER_READ: usize = 1 << 20;

/// Recovers a data folder that no engine runs on. Snapshots of up to `verify_bytes` are checked whole first. `progress` receives
/// the progress of the journal's replay.
///
/// # Errors
/// When anything of the journal is missing, damaged or in use, or does not meet the snapshots.
pub fn recover(
    disk: &Arc<dyn Disk>,
    folder: &Folder,
    segment_bytes: u64,
    verify_bytes: u64,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Recovered, EngineError> {
    // Before the snapshots, whose records of starts belong to the engine that has the lock. Released after the record of this start is
    // removed, if this start fails.
    let lock = JournalLock::take(disk.clone(), &folder.journal_path()).map_err(EngineError::Recovery)?;
    let kept = snapshot::list(disk.as_ref(), &folder.snapshots_path()).map_err(EngineError::Snapshot)?;
    let witness = kept.first().map_or(Position(0), |newest| newest.position);
    let (mut passed_over, mut found, mut why) = (Vec::new(), None, None);
    for kept in kept {
        match open(disk, &kept, verify_bytes) {
            Ok(opened) => {
                found = Some(opened);
                break;
            }
            Err(error) => {
                tracing::warn!(%error, "a snapshot cannot be used and is skipped");
                passed_over.push(kept.path);
                why = Some(error);
            }
        }
    }
    let (mut state, snapshot, unverified) = match found {
        Some((snapshot, state, unverified)) => (state, Some(Arc::new(snapshot)), unverified),
        None => (State::default(), None, None),
    };
    let from = snapshot.as_ref().map_or(ChainEnd::default(), |snapshot| snapshot.header().end);
    let mut apply = |time_ms, records: &[_]| state.replay(time_ms, records);
    let opened = Segments::open_reaching(lock.clone(), segment_bytes, from, witness, &mut apply, progress);
    let journal = opened.map_err(|error| match (error, why) {
        // If no snapshot can be read, that is the error to report: the journal alone may lack its beginning.
        (JournalError::MissingSegment { expected, .. }, Some(why)) if expected == from.next() => EngineError::Snapshot(why),
        (error, _) => EngineError::Recovery(error),
    })?;
    if state.requests.unknown_before_ms() > unix_time_ms().saturating_sub(KEPT_AT_LEAST_MS) {
        tracing::warn!(
            "a snapshot of version 1 would have requests refused by its clock; the journal is read for those that were executed"
        );
        find_executed(&mut state, journal.reader().as_ref(), &mut |_| true).map_err(EngineError::Recovery)?;
    }
    Ok(Recovered { state, journal, snapshot, unverified, passed_over })
}

/// Reads the ids of executed requests from the whole retained journal, so that no other ids are refused as forgotten. The first
/// record limits the times of ids whose records were dropped. `goes_on` is called after each read with the time at which that
/// read began, and decides whether to continue; if it returns false, the state is unfinished.
///
/// # Errors
/// When the journal cannot be read, or a batch is damaged. Then the state is as it was.
pub(crate) fn find_executed(
    state: &mut State,
    reader: &dyn JournalReader,
    goes_on: &mut dyn FnMut(Instant) -> bool,
) -> Result<(), JournalError> {
    let before = state.requests.forgotten().clone();
    let found = read_executed(state, reader, goes_on);
    if found.is_err() {
        state.requests.set_forgotten(before);
    }
    found
}

fn read_executed(
    state: &mut State,
    reader: &dyn JournalReader,
    goes_on: &mut dyn FnMut(Instant) -> bool,
) -> Result<(), JournalError> {
    let mut next = reader.first();
    let mut is_first = true;
    while next <= state.position() {
        let began = Instant::now();
        let batches = reader.read(next, BYTES_PER_READ)?;
        if batches.is_empty() {
            break;
        }
        for bytes in batches {
            let damaged = |cause| JournalError::Damaged { path: "the journal".into(), position: next, cause };
            let batch = Batch::parse(&bytes).map_err(damaged)?;
            if batch.first > state.position() {
                // The state ends before these batches.
                return Ok(());
            }
            if std::mem::take(&mut is_first) {
                let unknown_before_ms = state.requests.unknown_before_ms();
                state.requests.begin_executed((batch.first > Position(1)).then_some(batch.time_ms));
                if state.requests.unknown_before_ms() == unknown_before_ms {
                    // The range that the state has already covers everything the journal could add to it.
                    return Ok(());
                }
            }
            for item in batch.records() {
                if let Some(stamp) = item.map_err(damaged)?.1.stamp() {
                    state.requests.add_executed(batch.time_ms, stamp.request);
                }
            }
            next = batch.end().next();
        }
        if !goes_on(began) {
            break;
        }
    }
    Ok(())
}

/// Whether a state refuses a longer range of unknown ids, because of a snapshot of version 1, than the state of a retained
/// snapshot.
pub(crate) fn states_less_than_kept(disk: &dyn Disk, dir: &Path, state: &State) -> bool {
    let unknown_before_ms = state.requests.unknown_before_ms();
    if unknown_before_ms <= 1 {
        return false;
    }
    let is_less = |kept: &snapshot::Kept| {
        let forgotten = Snapshot::open(disk, &kept.path).and_then(|snapshot| snapshot.forgotten());
        matches!(forgotten, Ok(Some(forgotten)) if forgotten.unknown_before_ms() < unknown_before_ms)
    };
    snapshot::list(disk, dir).is_ok_and(|kept| kept.iter().any(is_less))
}

/// Opens a snapshot with its state. A large one is verified only if an earlier start on it ended badly.
fn open(
    disk: &Arc<dyn Disk>,
    kept: &snapshot::Kept,
    verify_bytes: u64,
) -> Result<(Snapshot, State, Option<UnverifiedUse>), SnapshotError> {
    let snapshot = Snapshot::open(disk.as_ref(), &kept.path)?;
    let is_large = kept.bytes > verify_bytes;
    let unverified = if is_large { UnverifiedUse::begin(disk, &kept.path) } else { None };
    if unverified.is_none() {
        if is_large {
            tracing::warn!(path = %kept.path.display(), "earlier starts on this snapshot failed; it is verified before it is used");
        }
        snapshot.verify(&mut |_| {})?;
    }
    let state = snapshot.state()?;
    if is_large && unverified.is_none() {
        snapshot::forget(disk.as_ref(), &kept.path)?;
    }
    Ok((snapshot, state, unverified))
}
