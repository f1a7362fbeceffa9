//! Recovery of a data folder: its snapshots and its journal together.
//!
//! `enumerated`: a crash after every operation on the disk, and the failure of each. `refused`: what is fallen back to, and what is refused, by
//! name. `unverified`: starts on snapshots that are not verified first, one after the other. `running`: damage that is found while the engine runs, on real files. `version_1`: snapshots of the earlier engine from a time ahead.
//!
//! The records are those of the sample of snapshots, in batches of one and two, so that each position has one state, with which
//! the recovered one is compared.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod enumerated;
mod refused;
mod running;
mod unverified;
mod version_1;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::{Position, Record};

use super::{Recovered, recover};
use crate::error::EngineError;
use crate::folder::Folder;
use crate::snapshot::{self, Kept, Pace, SnapshotError};
use scrip_core::state::State;
use scrip_core::state::tests::recorded;
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::Double;
use scrip_journal::{Journal, Segments};

/// Every record that a journal here can contain.
static RECORDS: LazyLock<Vec<Record>> =
    LazyLock::new(|| recorded(snapshot::tests::SCRIPT).into_iter().map(|(_, record)| record).collect());

/// The state after the records up to each position, from none on.
static STATES: LazyLock<Vec<State>> = LazyLock::new(|| (0..=RECORDS.len()).map(replayed).collect());

const START_MS: u64 = 1_790_000_000_000;

/// The time of the batch that begins after a position, and its number of records.
fn batch_behind(position: u64) -> (u64, usize) {
    (START_MS + position, if position % 3 == 1 { 2 } else { 1 })
}

/// The batch that follows a position.
fn next_batch(position: u64) -> BatchBuilder {
    let (time_ms, count) = batch_behind(position);
    let mut batch = BatchBuilder::new(time_ms);
    let at = position as usize;
    RECORDS.get(at..at + count).expect("the test has so many records").iter().for_each(|record| batch.push(record));
    batch
}

fn replayed(position: usize) -> State {
    let (mut state, mut end) = (State::default(), 0);
    while end < position {
        let (time_ms, count) = batch_behind(end as u64);
        RECORDS[end..position.min(end + count)].iter().for_each(|record| {
            state.apply(time_ms, record);
        });
        end += count;
    }
    state
}

fn state_at(position: Position) -> &'static State {
    &STATES[position.0 as usize]
}

fn folder() -> Folder {
    Folder::at("/data")
}

/// A disk with an empty data folder.
fn new_disk() -> Double {
    let disk = Double::default();
    disk.create_folder(folder().dir()).expect("the disk takes it");
    disk.sync_folder(Path::new("/")).expect("the disk takes it");
    disk
}

/// Recovers from a disk; snapshots are fully verified.
fn recovered(disk: &Double, segment_bytes: u64) -> Result<Recovered, EngineError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    recover(&disk, &folder(), segment_bytes, u64::MAX, &mut |_| {})
}

/// Appends that many batches with one commit.
fn commit(journal: &mut Segments, batches: usize) -> Result<ChainEnd, scrip_journal::JournalError> {
    let (mut position, mut builders) = (journal.end().position.0, Vec::new());
    for _ in 0..batches {
        builders.push(next_batch(position));
        position += batch_behind(position).1 as u64;
    }
    journal.append(builders)
}

fn take(disk: &dyn Disk, end: ChainEnd) -> Result<Kept, SnapshotError> {
    let (dir, state) = (folder().snapshots_path(), state_at(end.position));
    let kept = snapshot::write(disk, &dir, state, end, Pace::Full, &mut |_, _| {})?;
    snapshot::prune(disk, &dir, snapshot::GENERATIONS)?;
    Ok(kept)
}

fn snapshot_path(position: u64) -> PathBuf {
    folder().snapshots_path().join(format!("{position:020}.snapshot"))
}

fn segment_path(first: u64) -> PathBuf {
    folder().journal_path().join(format!("{first:020}.redb"))
}

/// The names and bytes of the files in a folder.
fn files(disk: &Double, dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = disk.list(dir).unwrap_or_default();
    entries.into_iter().map(|entry| (entry.name.clone(), disk.contents(&dir.join(&entry.name)))).collect()
}
