//! Takes a snapshot from the newest undamaged one and the journal since, then drops what is no longer needed.
//!
//! The previous snapshot is first read in full and checked: otherwise its damage would be copied under a new, valid hash.
//! The journal is read a little at a time, each batch checked against the chain, and applied as a restart does.
//!
//! A snapshot of version 1 does not state which request ids were forgotten. A state that starts from one reads them from the
//! journal, and the journal is retained for as long as such a snapshot is.
//!
//! The order, if nothing fails: the snapshot becomes durable, then older ones are removed, and only then, with `journal = "needed"`,
//! segments of the journal that both snapshots and every reader have passed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;
use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchError, ChainEnd};
use scrip_protocol::command::SnapshotTaken;
use tokio::sync::watch;

use super::reader_registry::{ReaderRegistry, RegistryError};
use super::stoppable::{Stoppable, Stopping};
use crate::folder::Retention;
use crate::recover;
use crate::snapshot::{self, GENERATIONS, Kept, Pace, PassedOver, Snapshot, SnapshotError};
use scrip_core::state::State;
use scrip_journal::disk::Disk;
use scrip_journal::{JournalError, JournalReader};

/// How many bytes of batches are read and applied at once: a few milliseconds' worth.
const BYTES_PER_READ: usize = 1 << 20;

/// Everything needed to take a snapshot.
pub(super) struct Taking {
    pub(super) disk: Arc<dyn Disk>,
    /// The folder of snapshots.
    pub(super) dir: PathBuf,
    pub(super) reader: Arc<dyn JournalReader>,
    /// The registered readers; retention keeps what they have not read.
    pub(super) registry: Arc<dyn ReaderRegistry>,
    /// The position up to which the journal is durable.
    pub(super) durable: watch::Receiver<Position>,
    pub(super) retention: Retention,
    pub(super) stopping: Stopping,
}

/// Why a snapshot could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    #[error("the engine stops")]
    Stopping,
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the batch of the journal after position {after}: {cause}")]
    Batch { after: Position, cause: BatchError },
    #[error("durable position {0} is missing from the journal")]
    Missing(Position),
    #[error("the journal begins at position {first}, and no readable snapshot reaches it")]
    NoBeginning { first: Position },
    #[error("the snapshotter panicked: {0}")]
    Panicked(String),
}

/// The state that a snapshot starts from.
struct Beginning {
    state: State,
    end: ChainEnd,
    /// The snapshot that it was loaded from; none if it is the start of the journal.
    of: Option<PathBuf>,
    /// Newer snapshots, which cannot be used.
    passed_over: PassedOver,
}

impl Taking {
    /// Takes a snapshot up to a durable position, and returns its end; none if one exists there already.
    pub(super) fn take(&self, up_to: Position) -> Result<Option<(SnapshotTaken, ChainEnd)>, TakeError> {
        let Beginning { mut state, mut end, of, mut passed_over } = self.beginning()?;
        if end.position >= up_to {
            return Ok(None);
        }
        self.find_executed(&mut state)?;
        self.make_room(of.as_deref(), &mut passed_over, 0)?;
        self.replay(&mut state, &mut end, up_to)?;
        let disk = Stoppable { disk: self.disk.clone(), stopping: self.stopping.clone() };
        let mut written = snapshot::write(&disk, &self.dir, &state, end, Pace::Gentle, &mut |_, _| {});
        if let Err(SnapshotError::NoRoom { bytes, .. }) = written {
            // It is larger than the one that it starts from.
            let is_removed = self.remove_damaged(&mut passed_over)? | self.remove_unreadable(&mut passed_over)?;
            if is_removed | self.make_room(of.as_deref(), &mut passed_over, bytes)? {
                written = snapshot::write(&disk, &self.dir, &state, end, Pace::Gentle, &mut |_, _| {});
            }
        }
        let written = written.map_err(|error| if self.stopping.is_set() { TakeError::Stopping } else { error.into() })?;
        let codes = Snapshot::open(self.disk.as_ref(), &written.path)?.header().counts.codes;
        snapshot::replace(self.disk.as_ref(), &self.dir, &written.path, &passed_over, &mut snapshot::log_removal)?;
        let Kept { position, bytes, .. } = written;
        match self.retention {
            Retention::All => {}
            Retention::Needed => match self.drop_passed(&state, of) {
                Ok(0) => {}
                Ok(segments) => {
                    tracing::info!(segments, first = %self.reader.first(), "segments of the journal were dropped that nobody needs")
                }
                Err(error) => tracing::error!(%error, "no segment of the journal was dropped"),
            },
        }
        Ok(Some((SnapshotTaken { position, bytes, codes, milliseconds: 0 }, end)))
    }

    /// The newest undamaged snapshot, or the start of the journal.
    fn beginning(&self) -> Result<Beginning, TakeError> {
        let mut passed_over = PassedOver::default();
        let kept = snapshot::list(self.disk.as_ref(), &self.dir)?;
        for Kept { path, .. } in kept {
            match self.whole(&path).and_then(|snapshot| Ok((snapshot.state()?, snapshot.header().end))) {
                Ok((state, end)) => return self.joined(Beginning { state, end, of: Some(path), passed_over }),
                Err(error) => {
                    tracing::error!(%error, "a snapshot cannot be used and is skipped");
                    passed_over.push(path, &error);
                }
            }
            if self.stopping.is_set() {
                return Err(TakeError::Stopping);
            }
        }
        self.joined(Beginning { state: State::default(), end: ChainEnd::default(), of: None, passed_over })
    }

    /// Checks that there is room for another snapshot of at least `bytes`, or as large as the one it starts from. If there is
    /// none, removes damaged snapshots, then those that the disk cannot read, and then older ones if that makes enough room.
    /// The snapshot that it starts from was just verified, and the journal since then is retained, so removing an unreadable
    /// one loses nothing. With `journal = "needed"` segments are dropped only after a new snapshot, and without one the journal
    /// would fill the disk. Returns whether any was removed.
    fn make_room(&self, of: Option<&Path>, passed_over: &mut PassedOver, bytes: u64) -> Result<bool, TakeError> {
        snapshot::remove_unfinished(self.disk.as_ref(), &self.dir)?;
        let kept = snapshot::list(self.disk.as_ref(), &self.dir)?;
        let base = kept.iter().find(|kept| Some(kept.path.as_path()) == of);
        // If it starts from the journal alone, the size of a damaged or unreadable one is an estimate.
        let PassedOver { damaged, unreadable, .. } = &*passed_over;
        let like = base.or_else(|| kept.iter().find(|kept| damaged.contains(&kept.path) || unreadable.contains(&kept.path)));
        let Some(bytes) = like.map(|like| like.bytes.max(bytes)) else { return Ok(false) };
        let check = || snapshot::check_room(self.disk.as_ref(), &self.dir, bytes);
        let mut is_removed = false;
        if let Err(SnapshotError::NoRoom { .. }) = check() {
            is_removed |= self.remove_damaged(passed_over)?;
        }
        if let Err(SnapshotError::NoRoom { .. }) = check() {
            is_removed |= self.remove_unreadable(passed_over)?;
        }
        let older = || kept.iter().filter(|kept| base.is_some_and(|base| kept.position < base.position));
        if let Err(SnapshotError::NoRoom { bytes, free, reserve, .. }) = check()
            && free + older().map(|older| older.bytes).sum::<u64>() >= bytes + reserve
        {
            for older in older() {
                tracing::warn!(path = %older.path.display(), "an older snapshot is removed: there is no room for the next");
                self.disk.remove(&older.path).map_err(|source| SnapshotError::Io { path: older.path.clone(), source })?;
                is_removed = true;
            }
        }
        check()?;
        Ok(is_removed)
    }

    /// Removes damaged snapshots. Returns whether there were any.
    fn remove_damaged(&self, passed_over: &mut PassedOver) -> Result<bool, SnapshotError> {
        let are_any = !passed_over.damaged.is_empty();
        for path in passed_over.damaged.drain(..) {
            tracing::warn!(path = %path.display(), "a damaged snapshot is removed: there is no room for the next");
            self.disk.remove(&path).map_err(|source| SnapshotError::Io { path, source })?;
        }
        Ok(are_any)
    }

    /// Removes snapshots that the disk cannot read. Returns whether there were any.
    fn remove_unreadable(&self, passed_over: &mut PassedOver) -> Result<bool, SnapshotError> {
        let are_any = !passed_over.unreadable.is_empty();
        for path in passed_over.unreadable.drain(..) {
            tracing::warn!(path = %path.display(), "an unreadable snapshot is removed: there is no room for the next");
            self.disk.remove(&path).map_err(|source| SnapshotError::Io { path, source })?;
        }
        Ok(are_any)
    }

    /// A possible start, if the journal continues where it ends.
    fn joined(&self, beginning: Beginning) -> Result<Beginning, TakeError> {
        let first = self.reader.first();
        if first > beginning.end.next() { Err(TakeError::NoBeginning { first }) } else { Ok(beginning) }
    }

    fn whole(&self, path: &Path) -> Result<Snapshot, SnapshotError> {
        let snapshot = Snapshot::open(self.disk.as_ref(), path)?;
        snapshot.verify(&mut |_| {})?;
        Ok(snapshot)
    }

    /// Replaces the forgotten range of a version 1 snapshot with the ids in the journal, whatever the clock shows now: it may
    /// be ahead and be corrected later, when the journal has been dropped.
    fn find_executed(&self, state: &mut State) -> Result<(), TakeError> {
        // A range that ends at 1 has been replaced already.
        if state.requests.unknown_before_ms() <= 1 {
            return Ok(());
        }
        let mut rested = Ok(());
        let found = recover::find_executed(state, self.reader.as_ref(), &mut |began| {
            rested = self.rest(began);
            rested.is_ok()
        });
        if let Err(error) = found {
            tracing::error!(%error, "the ids of executed requests cannot be read from the journal; those of version 1 stay refused");
        }
        rested
    }

    /// Applies the journal up to a durable position at which a batch ends.
    fn replay(&self, state: &mut State, end: &mut ChainEnd, up_to: Position) -> Result<(), TakeError> {
        while end.position < up_to {
            let began = Instant::now();
            let batches = self.reader.read(end.next(), BYTES_PER_READ)?;
            if batches.is_empty() {
                return Err(TakeError::Missing(end.next()));
            }
            for bytes in batches {
                if end.position >= up_to {
                    break;
                }
                let after = end.position;
                let wrong = |cause| TakeError::Batch { after, cause };
                let batch = Batch::parse(&bytes).map_err(wrong)?;
                batch.follow(end).map_err(wrong)?;
                for record in batch.records() {
                    state.apply(batch.time(), &record.map_err(wrong)?.1);
                }
            }
            self.rest(began)?;
        }
        Ok(())
    }

    /// Pauses for as long as it has worked, so that the engine gets at least half of the memory bandwidth, the disk and a busy
    /// processor.
    fn rest(&self, began: Instant) -> Result<(), TakeError> {
        match self.stopping.0.recv_timeout(began.elapsed()) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(TakeError::Stopping),
        }
    }

    /// Drops the segments that every retained snapshot and every reader have passed, and returns their number. Drops nothing if
    /// there is only one snapshot. `state` is the state of the newest snapshot; the snapshot at `verified` was already read in
    /// full.
    fn drop_passed(&self, state: &State, verified: Option<PathBuf>) -> Result<usize, TakeError> {
        let kept = snapshot::list(self.disk.as_ref(), &self.dir)?;
        if kept.len() < GENERATIONS {
            return Ok(0);
        }
        for Kept { path, .. } in &kept {
            // Dropped records cannot be recovered, so the snapshots that replace them are read again first.
            let snapshot = match Some(path) == verified.as_ref() {
                true => Snapshot::open(self.disk.as_ref(), path)?,
                false => self.whole(path)?,
            };
            // A start on a snapshot that lists fewer forgotten ids than this state needs the records from which this state was
            // made.
            let unknown_before_ms = snapshot.forgotten()?.map_or(u64::MAX, |forgotten| forgotten.unknown_before_ms());
            if unknown_before_ms > state.requests.unknown_before_ms() {
                return Ok(0);
            }
        }
        let Some(snapshots) = kept.iter().map(|kept| kept.position).min() else { return Ok(0) };
        // The record of a reply too long for memory is retained for as long as its request id is remembered.
        let replies = state.requests.first_stored().map(|first| Position(first.0.saturating_sub(1)));
        let first = self.reader.first_behind(replies.map_or(snapshots, |replies| replies.min(snapshots)));
        if first <= self.reader.first() {
            return Ok(0);
        }
        // In this order: a reader accepted from here on needs none of the dropped records, and the list contains all others.
        let _closed = Closed(self.registry.as_ref());
        let readers = self.registry.close_before(first, &|| self.stopping.is_set())?;
        // No more than the registry was closed for, although more segments may have been sealed meanwhile.
        let passed = readers.into_iter().fold(Position(first.0 - 1), Position::min);
        Ok(self.reader.drop_through(passed)?)
    }
}

/// A registry that is closed or about to be. Dropping this opens it, whatever the outcome.
struct Closed<'a>(&'a dyn ReaderRegistry);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}
