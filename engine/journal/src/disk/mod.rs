//! What the engine does to files: all of it, for the journal and the snapshots, goes through a [`Disk`].
//!
//! So a crash after any write, a torn page and a disk without room can be made by the tests, as the machine's own disk makes them; the
//! product knows one disk, [`OsDisk`]. An [`Overlay`] is over a file that is only looked at.
//!
//! Invariants that callers keep: a file is flushed before its name is made to last, and a name lasts only once its folder is flushed.

#[cfg(any(test, feature = "double"))]
#[expect(missing_docs, reason = "the fields of what was done to a disk have its arguments' names")]
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
    /// Makes a folder, and those above it, where they are not there yet.
    ///
    /// # Errors
    /// As the operating system gives them; here and below.
    fn create_folder(&self, dir: &Path) -> io::Result<()>;

    /// The files of a folder, in no order; folders in it are left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes the names in a folder last.
    ///
    /// # Errors
    /// When they are not known to last.
    fn sync_folder(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of what had it.
    ///
    /// # Errors
    /// When it keeps its name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it is still there, or was not.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Locks a file against every other process until what is returned is dropped; makes it where it is not there.
    ///
    /// # Errors
    /// When another holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError>;

    /// Opens a file for redb to read and write.
    ///
    /// # Errors
    /// When it is not there, or, where it is to be made, cannot be.
    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>>;

    /// Makes a file to be written from its beginning; one of that name is replaced.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// How much room there is on the disk that a folder is on.
    ///
    /// # Errors
    /// When the disk does not say.
    fn space(&self, dir: &Path) -> io::Result<Space>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>>;
}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// How many bytes files may still take.
    pub free: u64,
    /// How many bytes the disk has.
    pub total: u64,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What redb may do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    Write,
    /// Make it, and read and write it.
    Create,
}

/// A file that is being written.
pub trait DiskFile: Send {
    /// Writes bytes at an offset, which may be past the end.
    ///
    /// # Errors
    /// When not all of them are written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Begins to write some bytes of it to the disk, and waits for nothing. Where the disk is asked to make another file last meanwhile, that
    /// one waits for what is on its way, and for no more. A disk that knows no such thing does nothing.
    ///
    /// # Errors
    /// When the disk refuses.
    fn write_out(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let _ = (offset, bytes);
        Ok(())
    }

    /// Makes everything written last.
    ///
    /// # Errors
    /// When it is not known to last.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is open for reading. It stays the same file when its name is removed or given to another one.
pub trait ReadableFile: Debug + Send + Sync {
    /// Returns the length of the file.
    ///
    /// # Errors
    /// When the disk does not report it.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads bytes from an offset, exactly as many as there is room for.
    ///
    /// # Errors
    /// When not all of them can be read.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Maps the file into memory. A page of the map that the disk cannot read, or that is no longer part of the file, ends the process
    /// by SIGBUS: bytes that have to be checked are read with [`ReadableFile::read_at`].
    ///
    /// # Errors
    /// When it cannot be mapped.
    fn map(&self) -> io::Result<Mapped>;
}

/// The bytes of a file, beginning at an address that a page may begin at.
#[derive(Debug)]
pub enum Mapped {
    /// As the operating system maps them.
    File(memmap2::Mmap),
    /// In memory, as words, so that they are aligned; and how many bytes count.
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
