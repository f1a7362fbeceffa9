//! The folder of snapshots.

use std::path::{Path, PathBuf};

use scrip_protocol::Position;

use super::SnapshotError;
use scrip_journal::disk::{Disk, Entry};

/// What the name of a snapshot ends with, and what that of one which is being written does.
const ENDING: &str = ".snapshot";
const UNFINISHED: &str = ".snapshot.new";

/// How many snapshots are kept: should the newest be damaged, there is one more to begin with.
pub const GENERATIONS: usize = 2;

/// A snapshot in the folder of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Up to which record, as its name says.
    pub position: Position,
    /// The file.
    pub path: PathBuf,
    /// How many bytes it has.
    pub bytes: u64,
}

/// The file of a snapshot that stands at a position, and the one under whose name it is written first.
pub(super) fn paths(dir: &Path, position: Position) -> (PathBuf, PathBuf) {
    let of = |ending: &str| dir.join(format!("{:020}{ending}", position.0));
    (of(ENDING), of(UNFINISHED))
}

/// The position in a snapshot's name.
pub(super) fn position_of(name: &str) -> Option<Position> {
    let digits =
        name.strip_suffix(ENDING).filter(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().map(Position)
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

/// Removes all but the newest so many snapshots, and what was begun and not finished.
///
/// # Errors
/// When the folder cannot be read, or one cannot be removed.
pub fn prune(disk: &dyn Disk, dir: &Path, keep: usize) -> Result<(), SnapshotError> {
    let entries = entries(disk, dir)?;
    let outdated = kept_of(dir, &entries).into_iter().skip(keep).map(|kept| kept.path);
    remove_each(disk, outdated.chain(unfinished_of(dir, &entries)))
}

/// Removes what was begun and not finished: nobody else is writing one.
///
/// # Errors
/// When the folder cannot be read, or one cannot be removed.
pub fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), SnapshotError> {
    remove_each(disk, unfinished_of(dir, &entries(disk, dir)?))
}

fn unfinished_of(dir: &Path, entries: &[Entry]) -> impl Iterator<Item = PathBuf> {
    entries.iter().filter(|entry| entry.name.ends_with(UNFINISHED)).map(|entry| dir.join(&entry.name))
}

fn remove_each(disk: &dyn Disk, paths: impl Iterator<Item = PathBuf>) -> Result<(), SnapshotError> {
    for path in paths {
        disk.remove(&path).map_err(|source| SnapshotError::Io { path, source })?;
    }
    Ok(())
}
