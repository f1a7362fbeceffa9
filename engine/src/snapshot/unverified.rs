//! Records starts on a snapshot that is too large to be verified first; it is verified while the engine runs.
//!
//! A mapped page that the disk cannot read ends the process with SIGBUS, and a changed page makes replies wrong. A restart
//! would use the same file again. So a file beside the snapshot records each start on it, until the process ends normally or
//! the verification is complete. Damage is recorded permanently:
//!
//! ```text
//! snapshots/00000000000000012345.snapshot.unverified   "starts: 1", or "damaged: " and why
//! ```
//! A snapshot that was found damaged, or whose last two starts left their record, is verified before it is used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SnapshotError;
use scrip_journal::disk::Disk;

/// The ending appended to the name of the snapshot.
pub(super) const ENDING: &str = ".unverified";

/// The maximum number of starts in a row on an unverified snapshot. A single one may simply have been killed.
const STARTS_MAX: u32 = 2;

/// How many bytes of the record are read.
const READ_BYTES: u64 = 64;

/// The use of an unverified snapshot. Dropping this removes the record of the start.
#[derive(Debug)]
pub struct UnverifiedUse {
    disk: Arc<dyn Disk>,
    record: PathBuf,
    is_damaged: bool,
}

fn record_of(snapshot: &Path) -> PathBuf {
    let mut path = snapshot.as_os_str().to_owned();
    path.push(ENDING);
    path.into()
}

impl UnverifiedUse {
    /// Records a start on a snapshot. Returns `None` if the snapshot must be verified first.
    pub(crate) fn begin(disk: &Arc<dyn Disk>, snapshot: &Path) -> Option<UnverifiedUse> {
        let record = record_of(snapshot);
        let starts = starts(disk.as_ref(), &record).filter(|starts| *starts < STARTS_MAX)?;
        let begun = UnverifiedUse { disk: disk.clone(), record, is_damaged: false };
        // Not flushed: the record survives the end of a process, and a crash of the machine says nothing about the snapshot.
        if let Err(error) = begun.write(&format!("starts: {}\n", starts + 1)).map(drop) {
            tracing::warn!(%error, path = %begun.record.display(), "the start on an unverified snapshot could not be recorded");
        }
        Some(begun)
    }

    /// Records permanently that the snapshot is damaged or cannot be read.
    pub(crate) fn found_damaged(&mut self, why: &SnapshotError) {
        self.is_damaged = true;
        let dir = self.record.parent().unwrap_or(&self.record);
        let written = self.write(&format!("damaged: {why}\n")).and_then(|mut file| file.sync());
        if let Err(error) = written.and_then(|()| self.disk.sync_folder(dir)) {
            tracing::warn!(%error, path = %self.record.display(), "the damage to a snapshot could not be recorded");
        }
    }

    fn write(&self, text: &str) -> io::Result<Box<dyn scrip_journal::disk::DiskFile>> {
        let mut file = self.disk.create(&self.record)?;
        file.write_at(0, text.as_bytes())?;
        Ok(file)
    }
}

impl Drop for UnverifiedUse {
    fn drop(&mut self) {
        if self.is_damaged || std::thread::panicking() {
            return;
        }
        if let Err(error) = remove_if_there(self.disk.as_ref(), &self.record) {
            tracing::warn!(%error, path = %self.record.display(), "the record of a start on a snapshot could not be removed");
        }
    }
}

/// The number of starts in a row on an unverified snapshot; `None` if it was found damaged or the record cannot be read.
fn starts(disk: &dyn Disk, record: &Path) -> Option<u32> {
    let file = match disk.open(record) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(0),
        Err(_) => return None,
    };
    let mut text = vec![0; file.bytes().ok()?.min(READ_BYTES) as usize];
    file.read_at(0, &mut text).ok()?;
    std::str::from_utf8(&text).ok()?.strip_prefix("starts: ")?.trim_end().parse().ok()
}

/// Removes the record of a snapshot whose file is known to be intact.
pub(crate) fn forget(disk: &dyn Disk, snapshot: &Path) -> Result<(), SnapshotError> {
    let path = record_of(snapshot);
    remove_if_there(disk, &path).map_err(|source| SnapshotError::Io { path, source })
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
