//! A backup: a folder with a copy of a journal, and everything else that a data folder needs ([`restore`]).
//!
//! ```text
//! journal/            the batches as they are, a journal of its own
//! snapshots/          a snapshot, if there was one, so that a restored folder opens fast
//! scrip.toml, credentials.json, tls/
//!                     as in the data folder, if that was accessible
//! backup.toml         when, and up to which record; written last, so that it is true
//! ```
//! A backup is taken batch by batch; each is checked against the chain of hashes as it is written ([`Taking`]). A later run
//! continues where the previous one ended, and only on the same history: the journal must contain exactly the batch with which
//! the backup ends.
//!
//! Invariant: at every moment the folder contains what `backup.toml` states, during a run and after an interrupted one as well.

mod restore;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchError, ChainEnd, Hash};

use crate::folder::{Folder, FolderError};
use crate::snapshot::{self, Kept, Snapshot, SnapshotError, Unfinished};
use scrip_journal::disk::{Disk, ReadableFile};
use scrip_journal::{Journal, JournalError, SEGMENT_BYTES, Segments};

pub use restore::{Restored, Until, restore};

/// Size of the batches that are written with one flush.
const COMMIT_BYTES: usize = 4 << 20;

/// How much of a file is copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// The files of a data folder besides the journal and the snapshots, and which of them are private keys. The configuration is
/// last: its presence means that a data folder is complete.
const FILES: [(&str, bool); 6] = [
    ("tls/ca.pem", false),
    ("tls/ca.key", true),
    ("tls/server.pem", false),
    ("tls/server.key", true),
    ("credentials.json", false),
    ("scrip.toml", false),
];

/// Why a backup cannot be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// An error of the backup's journal, or of the journal that is read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An error of a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An error of the data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The operating system returned an error.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest of the backup is unreadable.
    #[error("{path}: {cause}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The folder contains no finished backup.
    #[error("{dir}: there is no finished backup here")]
    NoBackup {
        /// The folder.
        dir: PathBuf,
    },
    /// The data read is not the next batch.
    #[error("the batch after position {after}: {cause}")]
    Batch {
        /// The newest valid position.
        after: Position,
        /// What is wrong.
        cause: BatchError,
    },
    /// The backup is of another organisation, or of another history of this one.
    #[error(
        "{dir}: this is a backup of another organisation, or of another history of this one: the journal does not contain the batch with which the backup ends, at position {position}; nothing was changed"
    )]
    OtherHistory {
        /// The backup.
        dir: PathBuf,
        /// Where it ends.
        position: Position,
    },
    /// The journal ends before the backup.
    #[error(
        "{dir}: this backup reaches position {backup}, but the journal ends at position {journal}: its newest records are missing, or it belongs to another organisation; nothing was changed"
    )]
    Shorter {
        /// The backup.
        dir: PathBuf,
        /// Where it ends.
        backup: Position,
        /// Where the journal ends.
        journal: Position,
    },
    /// The backup's journal ends before the position in its manifest.
    #[error("{dir}: the backup should reach position {stated}, but its journal ends at position {found}")]
    Incomplete {
        /// The backup.
        dir: PathBuf,
        /// The position in the manifest.
        stated: Position,
        /// Where it ends.
        found: Position,
    },
    /// The first records were dropped from the journal, and no snapshot covers them.
    #[error(
        "the journal begins at position {first}, and there is no valid snapshot of the records before it; create one with `scrip snapshot create`, and give the backup access to the data folder"
    )]
    NoSnapshot {
        /// The first retained record.
        first: Position,
    },
    /// The records that follow the backup were dropped from the journal.
    #[error(
        "{dir}: this backup reaches position {backup}, but the journal begins at position {first}: the records between were dropped; take a new backup in another folder"
    )]
    NotKept {
        /// The backup.
        dir: PathBuf,
        /// Where it ends.
        backup: Position,
        /// The first retained record.
        first: Position,
    },
    /// The requested point is before the first record that can be restored.
    #[error("{dir}: the backup begins with position {first}: the requested point is before it")]
    Before {
        /// The backup.
        dir: PathBuf,
        /// The first position that can be restored to.
        first: Position,
        /// Its time.
        first_ms: u64,
    },
    /// The requested point is after the end of the backup.
    #[error("{dir}: the backup ends at position {last}, before position {position}")]
    Beyond {
        /// The backup.
        dir: PathBuf,
        /// Where it ends.
        last: Position,
        /// The position that was requested.
        position: Position,
    },
    /// The folder is not empty.
    #[error("{dir}: the folder is not empty; nothing was changed")]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// A file that a data folder needs is not in the backup.
    #[error(
        "{path}: this file is missing, because the backup was taken without access to the data folder; add it, and restore again"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
}

/// The manifest of a backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// When it was taken, for people to read.
    pub made: String,
    /// Up to which record.
    pub position: Position,
    /// The time of that record, in milliseconds since 1970.
    pub time_ms: u64,
    /// The hash of the batch that ends with it, in hexadecimal.
    pub hash: String,
    /// The position before the first record: 0, or that of the oldest snapshot of the backup.
    pub begins_after: Position,
    /// Whether private keys are among its files.
    pub keys: bool,
}

impl Manifest {
    /// Reads the manifest; `None` if there is none yet.
    ///
    /// # Errors
    /// If it is unreadable.
    pub fn of(dir: &Path) -> Result<Option<Manifest>, BackupError> {
        let path = dir.join("backup.toml");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| BackupError::Io { path: path.clone(), source })?,
        };
        let manifest: Manifest =
            toml::from_str(&text).map_err(|cause| BackupError::Manifest { path: path.clone(), cause: cause.to_string() })?;
        match hash_of(&manifest.hash) {
            Some(_) => Ok(Some(manifest)),
            None => Err(BackupError::Manifest { path, cause: "hash: this is not a hash in hexadecimal".to_owned() }),
        }
    }

    /// The end of its chain.
    pub fn end(&self) -> ChainEnd {
        ChainEnd { position: self.position, time_ms: self.time_ms, hash: hash_of(&self.hash).unwrap_or_default() }
    }
}

fn hash_of(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

fn text_of(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A backup in progress. Order of calls: [`Taking::open`]; [`Taking::begin_with`] if the journal's first records are gone;
/// [`Taking::take`] for each batch; [`Taking::finish`].
pub struct Taking {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// None before the first batch of a new backup.
    journal: Option<Segments>,
    /// The end of the chain before the first batch of the backup.
    begins_after: ChainEnd,
    /// The end of the chain with the newest batch passed in.
    end: ChainEnd,
    waiting: Vec<Vec<u8>>,
    waiting_bytes: usize,
    /// Number of records that this run added.
    added: u64,
}

impl Taking {
    /// Opens the backup in a folder, or starts one.
    ///
    /// # Errors
    /// If there is one that is damaged.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Taking, BackupError> {
        let manifest = Manifest::of(dir)?;
        let journal = dir.join("journal");
        let first = first_segment(&**disk, &journal)?;
        // A first run that was cut short has left no manifest. Its journal continues the snapshot that it began with.
        let begins_after = match (&manifest, first) {
            (Some(manifest), _) => manifest.begins_after,
            (None, first) => first.map_or(Position(0), |first| Position(first.0.saturating_sub(1))),
        };
        let mut base = ChainEnd::default();
        if begins_after > Position(0) {
            let snapshots = snapshot::list(&**disk, &dir.join("snapshots"))?;
            let snapshot = snapshots.iter().find(|snapshot| snapshot.position == begins_after);
            let snapshot = snapshot.ok_or(BackupError::NoSnapshot { first: Position(begins_after.0 + 1) })?;
            base = Snapshot::open(&**disk, &snapshot.path)?.header().end;
        }
        let stated = manifest.as_ref().map_or(base, Manifest::end);
        let begun = manifest.is_some() || first.is_some();
        let opened = begun.then(|| Segments::open(disk.clone(), &journal, SEGMENT_BYTES, stated, &mut |_, _| {}, &mut |_| {}));
        let journal = opened.transpose()?;
        let end = journal.as_ref().map(Journal::end).unwrap_or_default();
        if end.position < stated.position {
            return Err(BackupError::Incomplete { dir: dir.to_owned(), stated: stated.position, found: end.position });
        }
        snapshot::remove_unfinished(&**disk, &dir.join("snapshots"))?;
        Ok(Taking {
            disk: disk.clone(),
            dir: dir.to_owned(),
            journal,
            begins_after: base,
            end,
            waiting: Vec::new(),
            waiting_bytes: 0,
            added: 0,
        })
    }

    /// The position to read batches from: that of the newest batch in the backup, so that it can be recognised, or the first.
    pub fn from(&self) -> Position {
        match self.end == self.begins_after {
            true => self.end.next(),
            false => self.end.position,
        }
    }

    /// The position to read batches from in a journal that begins at `first`; none if its first records are gone and the backup
    /// must begin with a snapshot ([`Taking::begin_with`]). The next batch also states which one precedes it.
    ///
    /// # Errors
    /// If the next batch was dropped.
    pub fn from_within(&self, first: Position) -> Result<Option<Position>, BackupError> {
        let (from, backup) = (self.from(), self.end.position);
        match first {
            first if first <= from => Ok(Some(from)),
            first if backup == Position(0) && first > Position(1) => Ok(None),
            first if first == self.end.next() => Ok(Some(first)),
            first => Err(BackupError::NotKept { dir: self.dir.clone(), backup, first }),
        }
    }

    /// The end of the backup with everything passed in so far.
    pub fn end(&self) -> ChainEnd {
        self.end
    }

    /// Number of records that this run added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Starts a new backup of a journal whose first records are gone, with a valid snapshot from a folder: the oldest one, so
    /// that the backup contains everything that is still retained. A snapshot of version 1 is used only if there is no other,
    /// because the records before it, which show what it has forgotten, are not part of the backup. Returns its position.
    ///
    /// # Errors
    /// If no snapshot reaches the first retained record.
    pub fn begin_with(&mut self, snapshots: &Path, first: Position) -> Result<Position, BackupError> {
        let meets = |snapshot: &&Kept| snapshot.position.0 + 1 >= first.0;
        let mut kept: Vec<Kept> = snapshot::list(&*self.disk, snapshots)?.into_iter().rev().filter(|kept| meets(&kept)).collect();
        // Stable: the oldest stays first of each. An unreadable one is skipped below.
        let is_version_1 = |snapshot: Snapshot| snapshot.forgotten().is_ok_and(|forgotten| forgotten.is_none());
        kept.sort_by_key(|kept| Snapshot::open(&*self.disk, &kept.path).is_ok_and(is_version_1));
        for snapshot in &kept {
            if let Some(end) = self.copy_snapshot(snapshot, |_| true)? {
                (self.begins_after, self.end) = (end, end);
                return Ok(end.position);
            }
        }
        Err(BackupError::NoSnapshot { first })
    }

    /// Adds the next batch. Skips one that the backup has.
    ///
    /// # Errors
    /// If it is not the next one, or cannot be written.
    pub fn take(&mut self, bytes: Vec<u8>) -> Result<(), BackupError> {
        let wrong = |cause| BackupError::Batch { after: self.end.position, cause };
        let batch = Batch::parse(&bytes).map_err(wrong)?;
        let is_known = batch.end().position <= self.end.position;
        if is_known && (batch.end().position < self.end.position || batch.hash == self.end.hash) {
            return Ok(());
        }
        let is_new = self.end == ChainEnd::default();
        if is_new && batch.first > self.end.next() {
            return Err(BackupError::NoSnapshot { first: batch.first });
        }
        let mut end = self.end;
        if let Err(cause) = batch.follow(&mut end) {
            return Err(match self.added {
                0 if !is_new => BackupError::OtherHistory { dir: self.dir.clone(), position: self.end.position },
                _ => wrong(cause),
            });
        }
        self.added += u64::from(batch.count);
        self.end = end;
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes >= COMMIT_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), BackupError> {
        let begins_after = self.begins_after;
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => {
                let dir = self.dir.join("journal");
                self.disk.create_folder(&dir).map_err(io_at(&dir))?;
                none.insert(Segments::begin(self.disk.clone(), &dir, SEGMENT_BYTES, begins_after)?)
            }
        };
        if !self.waiting.is_empty() {
            journal.adopt(std::mem::take(&mut self.waiting))?;
            self.waiting_bytes = 0;
        }
        Ok(())
    }

    /// Finishes: writes pending batches, copies the files of the data folder and its newest snapshot if it is accessible, and
    /// then writes the manifest. `made` is the human-readable time of the backup.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn finish(
        mut self,
        made: String,
        folder: Option<&Folder>,
        keys: bool,
    ) -> Result<(Manifest, Option<Position>), BackupError> {
        self.write()?;
        let mut snapshot = self.newest_snapshot()?;
        if let Some(folder) = folder {
            snapshot = self.take_snapshot(&folder.dir().join("snapshots"))?.or(snapshot);
            for (name, is_key) in FILES {
                let (from, to) = (folder.dir().join(name), self.dir.join(name));
                match is_key && !keys {
                    true => remove(&to)?,
                    false if from.exists() => copy(&*self.disk, &from, &to)?,
                    false => {}
                }
            }
        }
        let manifest = Manifest {
            made,
            position: self.end.position,
            time_ms: self.end.time_ms,
            hash: text_of(&self.end.hash),
            begins_after: self.begins_after.position,
            keys: FILES.iter().any(|(name, is_key)| *is_key && self.dir.join(name).exists()),
        };
        // Closed before the manifest claims that it is complete.
        drop(self.journal.take());
        let text = toml::to_string(&manifest).expect("what a backup says of itself is plain values");
        write(&*self.disk, &self.dir.join("backup.toml"), &mut text.as_bytes())?;
        Ok((manifest, snapshot))
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    fn newest_snapshot(&self) -> Result<Option<Position>, BackupError> {
        Ok(snapshot::list(&*self.disk, &self.snapshots())?.first().map(|snapshot| snapshot.position))
    }

    /// Copies the newest snapshot that matches the backup, and removes others, except the one that the backup begins with.
    fn take_snapshot(&self, from: &Path) -> Result<Option<Position>, BackupError> {
        let have = self.newest_snapshot()?;
        let within = |snapshot: &&Kept| {
            (self.begins_after.position..=self.end.position).contains(&snapshot.position) && Some(snapshot.position) > have
        };
        for snapshot in snapshot::list(&*self.disk, from)?.iter().filter(within) {
            match self.copy_snapshot(snapshot, |end| self.holds(end)) {
                Ok(Some(_)) => {}
                Ok(None) => continue,
                // The journal of the backup contains all of its data.
                Err(BackupError::Snapshot(error @ SnapshotError::NoRoom { .. })) => {
                    tracing::warn!(%error, "the newest snapshot was not copied");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            let stays = [snapshot.position, self.begins_after.position];
            for other in snapshot::list(&*self.disk, &self.snapshots())?.iter().filter(|other| !stays.contains(&other.position)) {
                remove(&other.path)?;
            }
            return Ok(Some(snapshot.position));
        }
        Ok(None)
    }

    /// Whether a batch of the backup has exactly this end.
    fn holds(&self, end: ChainEnd) -> bool {
        let read = self.journal.as_ref().map(|journal| journal.reader().read(end.position, 0));
        let Some(Ok(batches)) = read else { return false };
        batches.first().is_some_and(|bytes| Batch::parse(bytes).is_ok_and(|batch| batch.end() == end))
    }

    /// Copies a snapshot under another name, verifies it, and renames it. `None` if it is missing or invalid.
    fn copy_snapshot(&self, snapshot: &Kept, fits: impl FnOnce(ChainEnd) -> bool) -> Result<Option<ChainEnd>, BackupError> {
        let dir = self.snapshots();
        self.disk.create_folder(&dir).map_err(io_at(&dir))?;
        copy_snapshot(&*self.disk, snapshot, &dir, fits)
    }
}

/// The first position of a journal's oldest segment; none if there is no segment.
fn first_segment(disk: &dyn Disk, dir: &Path) -> Result<Option<Position>, BackupError> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed.map_err(io_at(dir))?,
    };
    let first = |name: &str| name.strip_suffix(".redb")?.parse().ok().map(Position);
    Ok(entries.iter().filter_map(|entry| first(&entry.name)).min())
}

/// Copies a snapshot into a folder under a temporary name, checks it, and renames it. `None` if it is missing or invalid: a
/// snapshot only saves time. An unfinished copy is removed, and none is started unless there is room for it beside the
/// journal's reserve.
fn copy_snapshot(
    disk: &dyn Disk,
    snapshot: &Kept,
    dir: &Path,
    fits: impl FnOnce(ChainEnd) -> bool,
) -> Result<Option<ChainEnd>, BackupError> {
    let to = dir.join(format!("{:020}.snapshot", snapshot.position.0));
    let unfinished = to.with_extension("snapshot.new");
    let mut source = match disk.open(&snapshot.path) {
        Ok(file) => Source { file, at: 0, failed: None },
        Err(error) => {
            tracing::warn!(%error, path = %snapshot.path.display(), "a snapshot is gone, and was not copied");
            return Ok(None);
        }
    };
    snapshot::check_room(disk, dir, snapshot.bytes)?;
    let guard = Unfinished::new(disk, &unfinished);
    let copied = write_as(disk, &mut source, &unfinished);
    if let Some(error) = source.failed {
        tracing::warn!(%error, path = %snapshot.path.display(), "this snapshot cannot be read, and was not copied");
        return Ok(None);
    }
    copied?;
    let looked_through = Snapshot::open(disk, &unfinished).and_then(|copied| {
        copied.verify(&mut |_| {})?;
        Ok(copied.header().end)
    });
    match looked_through {
        Ok(end) if end.position == snapshot.position && fits(end) => {
            disk.rename(&unfinished, &to).map_err(io_at(&to))?;
            guard.finish();
            disk.sync_folder(dir).map_err(io_at(&to))?;
            return Ok(Some(end));
        }
        Ok(_) => tracing::warn!(path = %snapshot.path.display(), "a snapshot of another journal was not copied"),
        Err(error) => tracing::warn!(%error, path = %snapshot.path.display(), "a damaged snapshot was not copied"),
    }
    Ok(None)
}

/// Copies a file so that its name appears only once it is complete.
fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), BackupError> {
    write(disk, to, &mut File::open(from).map_err(io_at(from))?)
}

/// Writes a file so that its name appears only once it is complete.
fn write(disk: &dyn Disk, to: &Path, from: &mut dyn Read) -> Result<(), BackupError> {
    let dir = to.parent().unwrap_or(to);
    disk.create_folder(dir).map_err(io_at(dir))?;
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let guard = Unfinished::new(disk, &unfinished);
    write_as(disk, from, &unfinished)?;
    disk.rename(&unfinished, to).map_err(io_at(to))?;
    guard.finish();
    disk.sync_folder(dir).map_err(io_at(to))
}

/// A file that is copied from its beginning, and why it cannot be read.
struct Source {
    file: Box<dyn ReadableFile>,
    at: u64,
    failed: Option<String>,
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.bytes().and_then(|bytes| {
            let length = bytes.saturating_sub(self.at).min(out.len() as u64) as usize;
            self.file.read_at(self.at, &mut out[..length])?;
            Ok(length)
        });
        match &read {
            Ok(length) => self.at += *length as u64,
            Err(error) => self.failed = Some(error.to_string()),
        }
        read
    }
}

fn write_as(disk: &dyn Disk, from: &mut dyn Read, to: &Path) -> Result<(), BackupError> {
    let mut write = || {
        let (mut file, mut piece, mut offset) = (disk.create(to)?, vec![0; PIECE_BYTES], 0);
        loop {
            let length = from.read(&mut piece)?;
            if length == 0 {
                return file.sync();
            }
            file.write_at(offset, &piece[..length])?;
            offset += length as u64;
        }
    };
    write().map_err(io_at(to))
}

/// Removes a file if it exists.
fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}
