//! Restores a data folder from a backup, completely, or as of a position or a time.
//!
//! Every batch is checked against the chain as it is copied. If the last position is inside a batch, that batch is sealed again
//! with the records up to there: from this batch on, the chain of hashes differs from that of the backup. A backup of the
//! restored folder is therefore of another history.
//!
//! The configuration is copied last: its presence means that the folder is complete. Meanwhile a file `restoring` marks the
//! folder, so that an interrupted restore is recognised and started over.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};
use scrip_protocol::private;

use super::{BackupError, COMMIT_BYTES, FILES, Manifest, copy, copy_snapshot, io_at, remove, write};
use crate::folder::{Folder, FolderError};
use crate::snapshot::{self, Kept, Snapshot, SnapshotError};
use scrip_journal::disk::Disk;
use scrip_journal::{Journal, SEGMENT_BYTES, Segments};

/// The file that marks a folder during a restore.
const UNDER_WAY: &str = "restoring";

/// The point to restore to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The end.
    End,
    /// Up to and including this record.
    Position(Position),
    /// Every batch whose time is at or before this, in milliseconds since 1970.
    Time(u64),
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The end of the journal.
    pub end: ChainEnd,
    /// Number of omitted records of the backup.
    pub left_out: u64,
    /// The batch that was sealed again, if the end is inside one.
    pub resealed: Option<Position>,
    /// The restored snapshot.
    pub snapshot: Option<Position>,
    /// Files that an engine needs but the backup lacks.
    pub missing: Vec<&'static str>,
}

/// Restores a data folder from a backup. Calls `progress` with the position reached and the last one.
///
/// # Errors
/// If the backup is incomplete, the folder is not empty, or it cannot be written.
pub fn restore(
    disk: &Arc<dyn Disk>,
    from: &Path,
    folder: &Folder,
    until: Until,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    let manifest = Manifest::of(from)?.ok_or_else(|| BackupError::NoBackup { dir: from.to_owned() })?;
    for needed in ["scrip.toml", "credentials.json"] {
        if !from.join(needed).exists() {
            return Err(BackupError::Missing { path: from.join(needed) });
        }
    }
    make_room(&**disk, from, folder)?;
    private::folder(folder.dir()).map_err(io_at(folder.dir()))?;
    let snapshots = snapshot::list(&**disk, &from.join("snapshots"))?;
    let mut copying = Copying::new(disk.clone(), from, folder, until, &snapshots, manifest.end());
    let mut failed = None;
    let end = scrip_journal::walk(&**disk, &from.join("journal"), Position(0), &mut |_, batch, bytes| {
        progress(batch.end().position.0, manifest.position.0);
        match copying.batch(batch, bytes) {
            Ok(flow) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let end = end?;
    if !copying.is_full && end.position < manifest.position {
        return Err(BackupError::Incomplete { dir: from.to_owned(), stated: manifest.position, found: end.position });
    }
    let mut restored = copying.finish(end)?;
    for (name, is_key) in FILES {
        match from.join(name).exists() {
            true => copy(&**disk, &from.join(name), &folder.dir().join(name))?,
            false if is_key && name == "tls/ca.key" => {}
            false => restored.missing.push(name),
        }
    }
    remove(&folder.dir().join(UNDER_WAY))?;
    Ok(restored)
}

/// Ensures that the folder exists and contains nothing but the mark of a restore.
fn make_room(disk: &dyn Disk, from: &Path, folder: &Folder) -> Result<(), BackupError> {
    let dir = folder.dir();
    if folder.exists() {
        return Err(FolderError::Exists(dir.to_owned()).into());
    }
    let under_way = dir.join(UNDER_WAY);
    if under_way.exists() {
        // Nothing in it was ever used: the restore starts over.
        for made in ["journal", "snapshots", "tls"].map(|name| dir.join(name)) {
            match std::fs::remove_dir_all(&made) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_at(&made)(error)),
                Ok(()) | Err(_) => {}
            }
        }
        remove(&dir.join("credentials.json"))?;
        return Ok(());
    }
    disk.create_folder(dir).map_err(io_at(dir))?;
    if std::fs::read_dir(dir).map_err(io_at(dir))?.next().is_some() {
        return Err(BackupError::NotEmpty { dir: dir.to_owned() });
    }
    let text = format!("{}\n", from.display());
    write(disk, &under_way, &mut text.as_bytes())
}

/// The journal being restored.
struct Copying<'a> {
    disk: Arc<dyn Disk>,
    from: PathBuf,
    dir: PathBuf,
    until: Until,
    snapshots: &'a [Kept],
    /// The end according to the manifest.
    stated: ChainEnd,
    /// None before the first batch.
    journal: Option<Segments>,
    /// The record before the first of the restored journal.
    begins_after: Position,
    end: ChainEnd,
    waiting: Vec<Vec<u8>>,
    waiting_bytes: usize,
    resealed: Option<Position>,
    /// Something after the end was read: nothing more is needed.
    is_full: bool,
    /// The ends of batches with snapshots.
    ends: HashMap<Position, ChainEnd>,
}

impl<'a> Copying<'a> {
    fn new(
        disk: Arc<dyn Disk>,
        from: &Path,
        folder: &Folder,
        until: Until,
        snapshots: &'a [Kept],
        stated: ChainEnd,
    ) -> Copying<'a> {
        Copying {
            disk,
            from: from.to_owned(),
            dir: folder.dir().to_owned(),
            until,
            snapshots,
            stated,
            journal: None,
            begins_after: Position(0),
            end: ChainEnd::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            resealed: None,
            is_full: false,
            ends: HashMap::new(),
        }
    }

    fn batch(&mut self, batch: &Batch<'_>, bytes: &[u8]) -> Result<ControlFlow<()>, BackupError> {
        if self.journal.is_none() {
            self.begin(batch.first, batch.time_ms)?;
        }
        let end = batch.end();
        if self.snapshots.iter().any(|snapshot| snapshot.position == end.position) {
            self.ends.insert(end.position, end);
        }
        if end.position <= self.end.position {
            // Before the snapshot that the restored journal begins with.
            return Ok(ControlFlow::Continue(()));
        }
        let is_past = match self.until {
            Until::End => false,
            Until::Position(last) => end.position > last,
            Until::Time(last_ms) => batch.time_ms > last_ms,
        };
        if is_past {
            self.is_full = true;
            self.write()?;
            if let Until::Position(last) = self.until
                && batch.first <= last
            {
                self.reseal(batch, last)?;
            }
            return Ok(ControlFlow::Break(()));
        }
        self.end = end;
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes.to_vec());
        if self.waiting_bytes >= COMMIT_BYTES {
            self.write()?;
        }
        self.is_full = matches!(self.until, Until::Position(last) if last == end.position);
        Ok(if self.is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Starts the journal: with the first record, or with the oldest snapshot that reaches the first retained one.
    fn begin(&mut self, first: Position, first_ms: u64) -> Result<(), BackupError> {
        let mut at = ChainEnd::default();
        if first > Position(1) {
            let meets = |snapshot: &&Kept| snapshot.position.0 + 1 >= first.0;
            let oldest = self.snapshots.iter().rev().find(meets).ok_or(BackupError::NoSnapshot { first })?;
            at = Snapshot::open(&*self.disk, &oldest.path)?.header().end;
            self.ends.insert(at.position, at);
        }
        let lies_before = match self.until {
            Until::End => false,
            Until::Position(last) => last < at.position,
            Until::Time(last_ms) if at.position == Position(0) => last_ms < first_ms,
            Until::Time(last_ms) => last_ms < at.time_ms,
        };
        if lies_before {
            let (first, first_ms) = match at.position {
                Position(0) => (first, first_ms),
                position => (position, at.time_ms),
            };
            return Err(BackupError::Before { dir: self.from.clone(), first, first_ms });
        }
        let dir = self.dir.join("journal");
        self.disk.create_folder(&dir).map_err(io_at(&dir))?;
        self.journal = Some(Segments::begin(self.disk.clone(), &dir, SEGMENT_BYTES, at)?);
        (self.begins_after, self.end) = (at.position, at);
        Ok(())
    }

    fn write(&mut self) -> Result<(), BackupError> {
        if !self.waiting.is_empty() {
            let journal = self.journal.as_mut().expect("the first batch started it");
            journal.adopt(std::mem::take(&mut self.waiting))?;
            self.waiting_bytes = 0;
        }
        Ok(())
    }

    /// Seals a batch again, with its records up to one of them.
    fn reseal(&mut self, batch: &Batch<'_>, last: Position) -> Result<(), BackupError> {
        let mut builder = BatchBuilder::new(batch.time());
        for item in batch.records() {
            let (position, record) = item.map_err(|cause| BackupError::Batch { after: self.end.position, cause })?;
            if position <= last {
                builder.push(&record);
            }
        }
        let journal = self.journal.as_mut().expect("the first batch started it");
        self.end = journal.append(vec![builder])?;
        self.resealed = Some(batch.first);
        Ok(())
    }

    fn finish(mut self, walked: ChainEnd) -> Result<Restored, BackupError> {
        let last = walked.position.max(self.stated.position);
        // A backup that begins with a snapshot and has no later records yet.
        if self.journal.is_none() && walked.position > Position(0) {
            self.begin(walked.next(), walked.time_ms)?;
        }
        if let Until::Position(request) = self.until
            && request > self.end.position
        {
            return Err(BackupError::Beyond { dir: self.from, last, position: request });
        }
        self.write()?;
        // Closed before anything claims that it is complete.
        drop(self.journal.take());
        let mut snapshot = None;
        for candidate in self.snapshots.iter().filter(|candidate| candidate.position <= self.end.position) {
            let Some(end) = self.ends.get(&candidate.position) else { continue };
            let dir = self.dir.join("snapshots");
            self.disk.create_folder(&dir).map_err(io_at(&dir))?;
            match copy_snapshot(&*self.disk, candidate, &dir, |found| found == *end) {
                Ok(Some(_)) => {
                    snapshot = Some(candidate.position);
                    break;
                }
                Ok(None) => {}
                Err(BackupError::Snapshot(error @ SnapshotError::NoRoom { .. })) if self.begins_after == Position(0) => {
                    tracing::warn!(%error, "a snapshot was not restored; the journal contains all of its data");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Restored {
            end: self.end,
            left_out: last.0.saturating_sub(self.end.position.0),
            resealed: self.resealed,
            snapshot,
            missing: Vec::new(),
        })
    }
}
