//! A disk whose writes fail once the snapshotter must stop, so that a large snapshot is abandoned in the middle.

use std::fmt::Debug;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};
use redb::StorageBackend;

use scrip_journal::disk::{Access, Disk, DiskFile, Entry, ReadableFile, Space};

/// Set once its other end is dropped. Nothing is ever sent.
#[derive(Debug, Clone)]
pub(super) struct Stopping(pub(super) Receiver<()>);

impl Stopping {
    pub(super) fn is_set(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }
}

/// A disk that refuses to write, flush or rename anything once the snapshotter must stop.
#[derive(Debug)]
pub(super) struct Stoppable {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) stopping: Stopping,
}

struct StoppableFile {
    file: Box<dyn DiskFile>,
    stopping: Stopping,
}

fn unless(stopping: &Stopping) -> io::Result<()> {
    if stopping.is_set() { Err(io::Error::other("the engine stops")) } else { Ok(()) }
}

impl Disk for Stoppable {
    fn create_folder(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_folder(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_folder(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        unless(&self.stopping)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        self.disk.lock(path)
    }

    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>> {
        self.disk.storage(path, how)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(StoppableFile { file: self.disk.create(path)?, stopping: self.stopping.clone() }))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.disk.space(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>> {
        self.disk.open(path)
    }
}

impl DiskFile for StoppableFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        unless(&self.stopping)?;
        self.file.write_at(offset, bytes)
    }

    fn write_out(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        unless(&self.stopping)?;
        self.file.write_out(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        unless(&self.stopping)?;
        self.file.sync()
    }
}
