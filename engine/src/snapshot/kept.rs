//! The folder of snapshots.

use std::path::{Path, PathBuf};

use scrip_protocol::Position;

use super::names::{UNFINISHED, position_of};
use super::{Snapshot, SnapshotError, unverified};
use scrip_journal::disk::{Disk, Entry};

/// How many snapshots are kept: if the newest is damaged, there is another to start from.
pub const GENERATIONS: usize = 2;

/// A snapshot in the folder of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its position, taken from its name.
    pub position: Position,
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The snapshots of a folder, the newest first; files with other names are passed over. None where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Kept>, SnapshotError> {
    Ok(kept_of(dir, &entries(disk, dir)?))
}

fn entries(disk: &dyn Disk, dir: &Path) -> Result<Vec<Entry>, SnapshotError> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(SnapshotError::Io { path: dir.to_owned(), source }),
    }
}

fn kept_of(dir: &Path, entries: &[Entry]) -> Vec<Kept> {
    let kept =
        |entry: &Entry| Some(Kept { position: position_of(&entry.name)?, path: dir.join(&entry.name), bytes: entry.bytes });
    let mut all: Vec<Kept> = entries.iter().filter_map(kept).collect();
    all.sort_by_key(|kept| std::cmp::Reverse(kept.position));
    all
}

/// Removes unfinished files and all but the newest `keep` snapshots.
///
/// # Errors
/// When the folder cannot be read, or one cannot be removed.
pub fn prune(disk: &dyn Disk, dir: &Path, keep: usize) -> Result<(), SnapshotError> {
    prune_beside(disk, dir, keep, &[])
}

/// Removes what a new snapshot replaces: damaged snapshots that were skipped, and all but the newest generations of the others.
/// A skipped snapshot that may be intact is not counted among these, and stays while it is newer than they are. Calls
/// `removing` for each damaged one.
///
/// # Errors
/// When the folder cannot be read, or one cannot be removed.
pub fn replace(
    disk: &dyn Disk,
    dir: &Path,
    written: &Path,
    passed_over: &PassedOver,
    removing: &mut dyn FnMut(&Path),
) -> Result<(), SnapshotError> {
    for path in passed_over.damaged.iter().filter(|path| *path != written) {
        removing(path);
        disk.remove(path).map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
    }
    prune_beside(disk, dir, GENERATIONS, &passed_over.unusable)
}

/// Logs that a damaged snapshot is removed.
pub(crate) fn log_removal(path: &Path) {
    tracing::warn!(path = %path.display(), "a damaged snapshot is removed: there is a newer, intact one");
}

/// Snapshots that could not be used, so that an older one or the journal was used instead.
#[derive(Debug, Default)]
pub struct PassedOver {
    /// The damaged ones.
    pub damaged: Vec<PathBuf>,
    /// The ones that may be intact.
    pub unusable: Vec<PathBuf>,
    /// Of `unusable`, the ones that the disk cannot read.
    pub unreadable: Vec<PathBuf>,
}

impl PassedOver {
    /// Reads the snapshots again that a start has skipped: since then they may have been removed or replaced.
    pub fn check(disk: &dyn Disk, paths: &[PathBuf]) -> PassedOver {
        let mut passed_over = PassedOver::default();
        for path in paths {
            let whole = Snapshot::open(disk, path).and_then(|snapshot| {
                snapshot.verify(&mut |_| {})?;
                snapshot.state().map(drop)
            });
            whole.err().into_iter().for_each(|why| passed_over.push(path.clone(), &why));
        }
        passed_over
    }

    /// Adds a snapshot that could not be used.
    pub fn push(&mut self, path: PathBuf, why: &SnapshotError) {
        if why.is_damage() {
            self.damaged.push(path);
            return;
        }
        if matches!(why, SnapshotError::Unreadable { .. }) {
            self.unreadable.push(path.clone());
        }
        self.unusable.push(path);
    }
}

fn prune_beside(disk: &dyn Disk, dir: &Path, keep: usize, unusable: &[PathBuf]) -> Result<(), SnapshotError> {
    let entries = entries(disk, dir)?;
    let mut left = keep;
    let (outdated, stay): (Vec<Kept>, Vec<Kept>) = kept_of(dir, &entries).into_iter().partition(|kept| {
        let is_outdated = left == 0;
        left -= usize::from(!is_outdated && !unusable.contains(&kept.path));
        is_outdated
    });
    let leftovers = leftovers_of(dir, &entries, &stay);
    remove_each(disk, outdated.into_iter().map(|kept| kept.path).chain(leftovers))
}

/// Removes unfinished snapshots, and start records of snapshots that no longer exist. Nobody else may be writing one.
///
/// # Errors
/// When the folder cannot be read, or one cannot be removed.
pub fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), SnapshotError> {
    let entries = entries(disk, dir)?;
    remove_each(disk, leftovers_of(dir, &entries, &kept_of(dir, &entries)))
}

/// Unfinished snapshots, and start records of snapshots that do not stay.
fn leftovers_of(dir: &Path, entries: &[Entry], stay: &[Kept]) -> impl Iterator<Item = PathBuf> {
    let is_leftover = |name: &str| match name.strip_suffix(unverified::ENDING).and_then(position_of) {
        Some(position) => !stay.iter().any(|kept| kept.position == position),
        None => name.ends_with(UNFINISHED),
    };
    entries.iter().filter(move |entry| is_leftover(&entry.name)).map(|entry| dir.join(&entry.name))
}

fn remove_each(disk: &dyn Disk, paths: impl Iterator<Item = PathBuf>) -> Result<(), SnapshotError> {
    for path in paths {
        disk.remove(&path).map_err(|source| SnapshotError::Io { path, source })?;
    }
    Ok(())
}
