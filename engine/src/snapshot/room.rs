//! The disk space that a snapshot may use. A snapshot only saves time, but without the journal nothing can be acknowledged. So
//! a snapshot leaves a reserve to the journal, and an abandoned one leaves no file.

use std::path::Path;

use super::SnapshotError;
use scrip_journal::disk::{Disk, Space};

/// What a snapshot leaves free, in bytes: two segments of the journal. On a small disk it is a tenth of the disk.
const RESERVE_BYTES: u64 = 512 << 20;

/// How many bytes of a snapshot are written before the free space is checked again.
const WRITTEN_PER_CHECK: u64 = 4 << 20;

/// Checks that a disk has room for a snapshot of that size beside the reserve of the journal.
///
/// # Errors
/// [`SnapshotError::NoRoom`], or when the disk does not report its free space.
pub fn check_room(disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<(), SnapshotError> {
    let space = disk.space(dir).map_err(|source| SnapshotError::Io { path: dir.to_owned(), source })?;
    let Space { free, total } = space;
    let reserve = RESERVE_BYTES.min(total / 10);
    match bytes.saturating_add(reserve) <= free {
        true => Ok(()),
        false => Err(SnapshotError::NoRoom { dir: dir.to_owned(), bytes, free, reserve }),
    }
}

/// The free space of a disk while a snapshot is written to it.
pub(crate) struct Room<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    checked_at: u64,
}

impl<'a> Room<'a> {
    /// Checks that there is room for a snapshot of that estimated size.
    ///
    /// # Errors
    /// See [`check_room`].
    pub(crate) fn new(disk: &'a dyn Disk, dir: &'a Path, likely: u64) -> Result<Room<'a>, SnapshotError> {
        check_room(disk, dir, likely)?;
        Ok(Room { disk, dir, checked_at: 0 })
    }

    /// Checks from time to time that the reserve is left when `next` bytes are written after the first `written`.
    ///
    /// # Errors
    /// See [`check_room`].
    pub(crate) fn check(&mut self, written: u64, next: u64) -> Result<(), SnapshotError> {
        if written < self.checked_at.saturating_add(WRITTEN_PER_CHECK) {
            return Ok(());
        }
        self.checked_at = written;
        check_room(self.disk, self.dir, next.max(WRITTEN_PER_CHECK))
    }
}

/// A file that is being written. Dropping this removes the file unless it was finished, so that no error or panic leaves it
/// behind.
pub(crate) struct Unfinished<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    is_finished: bool,
}

impl<'a> Unfinished<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, path: &'a Path) -> Unfinished<'a> {
        Unfinished { disk, path, is_finished: false }
    }

    /// Marks the file as finished: it stays.
    pub(crate) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        match self.disk.remove(self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.path.display(), "an unfinished file could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
