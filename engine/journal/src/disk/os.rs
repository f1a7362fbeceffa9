//! The machine's own disk.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use redb::StorageBackend;
use redb::backends::FileBackend;
use scrip_protocol::private;

use super::{Access, Disk, DiskFile, Entry, Mapped, ReadableFile, Space};

/// Files of the operating system. Folders are created with mode 0700 and files with 0600; an overwritten file gets that mode as
/// well.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// Drops the clean pages of a file from the page cache, so that reads return what the disk stores.
#[cfg(target_os = "linux")]
fn drop_cached(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

#[cfg(not(target_os = "linux"))]
fn drop_cached(_: &File) -> io::Result<()> {
    Ok(())
}

impl Disk for OsDisk {
    fn create_folder(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => {
                    entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), bytes: metadata.len() });
                }
                Ok(_) => {}
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        let file = private::file(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }

    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>> {
        let file = match how {
            Access::Read => File::open(path)?,
            Access::ReadFromDisk => {
                let file = File::open(path)?;
                drop_cached(&file)?;
                file
            }
            Access::Write => {
                let file = options().open(path)?;
                // Only clean pages can be dropped.
                file.sync_data()?;
                drop_cached(&file)?;
                file
            }
            Access::Create => private::file(path)?,
        };
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = private::file(path)?;
        file.set_len(0)?;
        Ok(Box::new(OsFile(file)))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let of = rustix::fs::statvfs(dir)?;
        // Space reserved for the administrator does not count.
        let bytes = |blocks: u64| blocks.saturating_mul(of.f_frsize);
        Ok(Space { free: bytes(of.f_bavail), total: bytes(of.f_blocks) })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>> {
        Ok(Box::new(OsFile(File::open(path)?)))
    }
}

#[derive(Debug)]
struct OsFile(File);

impl DiskFile for OsFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    /// Linux starts to write changed pages when advised that they will not be needed.
    #[cfg(target_os = "linux")]
    fn write_out(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, offset, std::num::NonZeroU64::new(bytes), rustix::fs::Advice::DontNeed)?)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl ReadableFile for OsFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn map(&self) -> io::Result<Mapped> {
        // SAFETY: a mapped file must not change. Mapped files are written once, under another name, and are only removed
        // afterwards, which leaves the map intact.
        #[expect(unsafe_code, reason = "a file that is read in place can be had in no other way")]
        let map = unsafe { memmap2::Mmap::map(&self.0)? };
        Ok(Mapped::File(map))
    }
}
