//! A sealed segment whose file is still being closed: its readers wait for a slow disk, however long that takes.

use std::fmt::Debug;
use std::fs::TryLockError;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use redb::{BackendError, StorageBackend};
use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::{SEGMENT_EACH, next_batch, records_of};
use crate::disk::{Access, Disk, DiskFile, Entry, OsDisk, ReadableFile, Space};
use crate::{Journal, Segments};

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The segment that is sealed: its flushes wait once its successor has its name.
    sealed: PathBuf,
    is_shut: bool,
    is_waiting: bool,
}

/// The machine's disk. It does not flush a segment whose successor has its name before the gate is open.
#[derive(Debug)]
struct SlowDisk(Arc<Gate>);

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn StorageBackend>,
    path: PathBuf,
    gate: Arc<Gate>,
}

impl Disk for SlowDisk {
    fn create_folder(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_folder(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        OsDisk.list(dir)
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_folder(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.is_shut = !state.sealed.as_os_str().is_empty();
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        OsDisk.lock(path)
    }

    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>> {
        let file = OsDisk.storage(path, how)?;
        // The first segment is opened under its unfinished name.
        Ok(Box::new(SlowFile { file, path: path.with_extension("").with_extension("redb"), gate: self.0.clone() }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsDisk.create(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        OsDisk.space(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>> {
        OsDisk.open(path)
    }
}

impl StorageBackend for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.gate.state.lock();
        while state.is_shut && state.sealed == self.path {
            state.is_waiting = true;
            self.gate.changed.wait(&mut state);
        }
        drop(state);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// Opens the gate, also if the test fails: the other threads would wait for good.
struct Opening(Arc<Gate>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.state.lock().is_shut = false;
        self.0.changed.notify_all();
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_reader_waits_for_a_sealed_segment_until_it_is_closed() {
    let root = tempfile::tempdir().expect("there is room for temporary files");
    let dir = root.path().join("journal");
    let gate = Arc::new(Gate::default());
    let disk = Arc::new(SlowDisk(gate.clone()));
    let mut journal =
        Segments::open(disk, &dir, SEGMENT_EACH, ChainEnd::default(), &mut |_, _| {}, &mut |_| {}).expect("a new journal");
    journal.append(vec![next_batch(0, journal.end())]).expect("the disk takes it");
    gate.state.lock().sealed = crate::segment_file::segment_path(&dir, Position(1));
    let catalogue = journal.catalogue().clone();
    let reader = journal.reader();
    std::thread::scope(|threads| {
        threads.spawn(|| journal.append(vec![next_batch(1, journal.end())]).expect("the disk takes it"));
        let opening = Opening(gate.clone());
        wait_until("the first segment is closed", || gate.state.lock().is_waiting);
        let read = threads.spawn(|| reader.read(Position(1), usize::MAX));
        wait_until("the reader waits", || catalogue.waiting_for_close() == 1 || read.is_finished());
        drop(opening);
        let batches = read.join().expect("no panic").expect("every byte is whole");
        assert_eq!(records_of(&batches)[0].1, super::record(1));
    });
}
