//! Every file operation of the engine, for the journal and the snapshots, goes through a [`Disk`].
//!
//! Tests can therefore simulate a crash after any write, torn pages and a full disk. The program uses one disk, [`OsDisk`]. An
//! [`Overlay`] wraps a file that must not be changed.
//!
//! Invariants that callers maintain: a file is flushed before its name is made durable, and a name is durable only once its
//! folder is flushed.

#[cfg(any(test, feature = "testing"))]
#[expect(missing_docs, reason = "the fields of a logged operation are its arguments")]
pub mod double;
mod os;
mod overlay;

use std::fmt::Debug;
use std::fs::TryLockError;
use std::io;
use std::ops::Deref;
use std::path::Path;

use redb::StorageBackend;

pub use os::OsDisk;
pub use overlay::Overlay;

/// Files and folders.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Creates a folder and its parents if they do not exist.
    ///
    /// # Errors
    /// The error of the operating system; likewise below.
    fn create_folder(&self, dir: &Path) -> io::Result<()>;

    /// The files of a folder, in any order, without folders.
    ///
    /// # Errors
    /// If the folder cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// If they may not be durable.
    fn sync_folder(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, and replaces an existing one.
    ///
    /// # Errors
    /// If it keeps its name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// If it still exists, or did not exist.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Locks a file against all other processes until the returned value is dropped. Creates it if it does not exist.
    ///
    /// # Errors
    /// If another process holds the lock.
    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError>;

    /// Opens a file for redb to read and write.
    ///
    /// # Errors
    /// If it does not exist or cannot be created.
    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>>;

    /// Creates a file to be written from its beginning; replaces an existing one.
    ///
    /// # Errors
    /// If it cannot be created.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The free and total space of the disk that contains a folder.
    ///
    /// # Errors
    /// If the operating system does not report it.
    fn space(&self, dir: &Path) -> io::Result<Space>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>>;
}

/// The space of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Space that files can still take.
    pub free: u64,
    /// Size of the disk.
    pub total: u64,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// How redb may access a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read it as the disk stores it. A failed flush leaves bytes in the page cache that the disk does not have; they count as
    /// clean, so that no later flush writes them. Cached pages are dropped first.
    ReadFromDisk,
    /// Read and write it. What is dirty is flushed first, and cached pages are dropped as for [`Access::ReadFromDisk`].
    Write,
    /// Create it, and read and write it.
    Create,
}

/// A file that is being written.
pub trait DiskFile: Send {
    /// Writes bytes at an offset, which may be past the end.
    ///
    /// # Errors
    /// If they are not all written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Starts to write some bytes to the disk, without waiting. A flush of another file then waits only for these. Does nothing
    /// on disks without this operation.
    ///
    /// # Errors
    /// If the disk refuses.
    fn write_out(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let _ = (offset, bytes);
        Ok(())
    }

    /// Makes all written data durable.
    ///
    /// # Errors
    /// If it may not be durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is open for reading. It stays the same file even if its name is removed or given to another file.
pub trait ReadableFile: Debug + Send + Sync {
    /// Returns the length of the file.
    ///
    /// # Errors
    /// If the disk does not report it.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads bytes from an offset, enough to fill the buffer.
    ///
    /// # Errors
    /// If not all of them can be read.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Maps the file into memory. Reading a page that the disk cannot read, or that is no longer part of the file, ends the
    /// process with SIGBUS: use [`ReadableFile::read_at`] for bytes that must be checked.
    ///
    /// # Errors
    /// If it cannot be mapped.
    fn map(&self) -> io::Result<Mapped>;
}

/// The bytes of a file, starting at a page-aligned address.
#[derive(Debug)]
pub enum Mapped {
    /// Mapped by the operating system.
    File(memmap2::Mmap),
    /// In memory, as words for alignment; with the number of bytes.
    Memory(Vec<u128>, usize),
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Mapped::File(map) => map,
            Mapped::Memory(words, bytes) => &bytemuck::cast_slice(words)[..*bytes],
        }
    }
}
