//! Takes a snapshot from the newest undamaged one and the journal since, then drops what is no longer needed.
//!
//! The previous snapshot is read whole and checked first: damage would otherwise be copied, under a hash that matches it.
//! The journal is read a little at a time, each batch checked against the chain, and applied as a restart does.
//!
//! A snapshot of version 1 does not state which request ids were forgotten. A state that begins with one reads them from the journal, and
//! the journal is kept for as long as such a snapshot is.
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

/// What is needed to take a snapshot.
pub(super) struct Taking {
    pub(super) disk: Arc<dyn Disk>,
    /// The folder of snapshots.
    pub(super) dir: PathBuf,
    pub(super) reader: Arc<dyn JournalReader>,
    /// The journal's readers, which need what they have not read.
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
    #[error("the journal does not hold position {0}, which is said to be durable")]
    Missing(Position),
    #[error("the journal is kept from position {first} on, and no snapshot that can be read reaches up to it")]
    NoBeginning { first: Position },
    #[error("reading what there is failed: {0}")]
    Panicked(String),
}

/// What a snapshot begins with.
struct Beginning {
    state: State,
    end: ChainEnd,
    /// The snapshot that it is from; none if it is the beginning of the journal.
    of: Option<PathBuf>,
    /// Newer snapshots, which cannot be used.
    passed_over: PassedOver,
}

impl Taking {
    /// Takes a snapshot up to a durable position, and returns where it ends; none if there is one already.
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
            // It is larger than the one that it begins with.
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
                    tracing::info!(segments, first = %self.reader.first(), "what everybody has passed of the journal was dropped")
                }
                Err(error) => tracing::error!(%error, "nothing of the journal was dropped"),
            },
        }
        Ok(Some((SnapshotTaken { position, bytes, codes, milliseconds: 0 }, end)))
    }

    /// The newest undamaged snapshot, or the beginning of the journal.
    fn beginning(&self) -> Result<Beginning, TakeError> {
        let mut passed_over = PassedOver::default();
        let kept = snapshot::list(self.disk.as_ref(), &self.dir)?;
        for Kept { path, .. } in kept {
            match self.whole(&path).and_then(|snapshot| Ok((snapshot.state()?, snapshot.header().end))) {
                Ok((state, end)) => return self.joined(Beginning { state, end, of: Some(path), passed_over }),
                Err(error) => {
                    tracing::error!(%error, "a snapshot cannot be used, and is passed over");
                    passed_over.push(path, &error);
                }
            }
            if self.stopping.is_set() {
                return Err(TakeError::Stopping);
            }
        }
        self.joined(Beginning { state: State::default(), end: ChainEnd::default(), of: None, passed_over })
    }

    /// Checks that there is room for another snapshot of at least `bytes`, or like the one that this one begins with. Without room,
    /// damaged ones are removed, then those that the disk cannot read, and then, if that makes enough room, older ones. The one that this
    /// one begins with was just verified, and the journal since then is kept, so nothing is lost with an unreadable one. With `journal = "needed"` only a new snapshot lets segments go, and without one the journal would fill the disk. Returns whether
    /// any was removed.
    fn make_room(&self, of: Option<&Path>, passed_over: &mut PassedOver, bytes: u64) -> Result<bool, TakeError> {
        snapshot::remove_unfinished(self.disk.as_ref(), &self.dir)?;
        let kept = snapshot::list(self.disk.as_ref(), &self.dir)?;
        let base = kept.iter().find(|kept| Some(kept.path.as_path()) == of);
        // If it begins with the journal, a damaged or unreadable one shows about how many bytes it takes.
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

    /// A beginning, if the journal goes on where it ends.
    fn joined(&self, beginning: Beginning) -> Result<Beginning, TakeError> {
        let first = self.reader.first();
        if first > beginning.end.next() { Err(TakeError::NoBeginning { first }) } else { Ok(beginning) }
    }

    fn whole(&self, path: &Path) -> Result<Snapshot, SnapshotError> {
        let snapshot = Snapshot::open(self.disk.as_ref(), path)?;
        snapshot.verify(&mut |_| {})?;
        Ok(snapshot)
    }

    /// Replaces the forgotten range of a snapshot of version 1 by the ids that the journal has, whatever the clock shows now: it may be
    /// ahead and be set right later, when the journal has been dropped.
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
            tracing::error!(%error, "the journal does not give the ids of executed requests; those of the first version stay refused");
        }
        rested
    }

    /// Applies the journal up to a durable position, where a batch ends.
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

    /// Rests for as long as it has worked, so that the engine has at least half of what both use: memory, the disk, a processor that others
    /// keep busy.
    fn rest(&self, began: Instant) -> Result<(), TakeError> {
        match self.stopping.0.recv_timeout(began.elapsed()) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(TakeError::Stopping),
        }
    }

    /// Drops the segments that every kept snapshot and every reader have passed. Returns how many. Nothing, where there is one snapshot
    /// only. `state` is that of the newest snapshot; the one at `verified` was read whole already.
    fn drop_passed(&self, state: &State, verified: Option<PathBuf>) -> Result<usize, TakeError> {
        let kept = snapshot::list(self.disk.as_ref(), &self.dir)?;
        if kept.len() < GENERATIONS {
            return Ok(0);
        }
        for Kept { path, .. } in &kept {
            // What is dropped is gone: what is to stand in for it is read again first.
            let snapshot = match Some(path) == verified.as_ref() {
                true => Snapshot::open(self.disk.as_ref(), path)?,
                false => self.whole(path)?,
            };
            // A start on a snapshot that states less of the forgotten ids than this state needs the records that this state was made from.
            let unknown_before_ms = snapshot.forgotten()?.map_or(u64::MAX, |forgotten| forgotten.unknown_before_ms());
            if unknown_before_ms > state.requests.unknown_before_ms() {
                return Ok(0);
            }
        }
        let Some(snapshots) = kept.iter().map(|kept| kept.position).min() else { return Ok(0) };
        // What a duplicate request is answered from stays as long as its id is remembered.
        let replies = state.requests.first_stored().map(|first| Position(first.0.saturating_sub(1)));
        let first = self.reader.first_behind(replies.map_or(snapshots, |replies| replies.min(snapshots)));
        if first <= self.reader.first() {
            return Ok(0);
        }
        // In this order: a reader that is accepted from here on needs nothing of what goes, and the list has all the others.
        let _closed = Closed(self.registry.as_ref());
        let readers = self.registry.close_before(first, &|| self.stopping.is_set())?;
        // Not more than the registry was closed for, although more may have been sealed meanwhile.
        let passed = readers.into_iter().fold(Position(first.0 - 1), Position::min);
        Ok(self.reader.drop_through(passed)?)
    }
}

/// A registry that is closed, or about to be; it is opened whatever becomes of the dropping.
struct Closed<'a>(&'a dyn ReaderRegistry);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}
