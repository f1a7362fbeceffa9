//! A simulated disk for tests: data that was not flushed may be lost, in part and in any order, and operations may fail.
//!
//! Every operation is counted, including reads. Changes are logged in order, so that a test can replay them one by one and
//! compute what a crash after each would leave ([`Crash`]): of a file its flushed bytes and a part of the others; of a folder its
//! flushed names and a part of the others.
//!
//! The size of a file changes in the order of the operations; its bytes reach the disk in any order. In a torn write, some
//! sectors reach the disk and others do not.
//!
//! A failed flush behaves as on Linux: the disk has none of the data, reads still return all of it from the page cache, and no
//! later flush writes it. Only opening a file from the disk ([`Access::ReadFromDisk`], [`Access::Write`]) drops such pages.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::TryLockError;
use std::io;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use redb::{BackendError, StorageBackend};

use super::{Access, Disk, DiskFile, Entry, Mapped, ReadableFile, Space};

/// A disk with faults. Clones share the disk.
#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    image: Image,
    /// The log of changes.
    log: Vec<Done>,
    faults: Faults,
    /// The bytes of files that cannot be read.
    unreadable: BTreeMap<usize, Range<u64>>,
    /// The capacity was reached.
    is_full: bool,
    /// Number of operations, including reads.
    operations: u64,
    locks: BTreeMap<PathBuf, ()>,
    /// Number of readers by file, or -1 for a writer.
    storages: BTreeMap<usize, isize>,
}

/// Faults of a disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The operation with this number, from 0, fails with this error of the operating system.
    pub at: Option<(u64, i32)>,
    /// All later operations fail as well.
    pub lasting: bool,
    /// Maximum size of all files together. At the limit nothing can be written until it is raised.
    pub capacity: Option<u64>,
}

/// "Input/output error".
pub const EIO: i32 = 5;
/// "No space left on device".
pub const ENOSPC: i32 = 28;

/// A change of a disk.
#[derive(Debug, Clone)]
pub enum Done {
    Name(Rename),
    Write { file: usize, offset: u64, bytes: Vec<u8> },
    Resize { file: usize, len: u64 },
    Sync { file: usize },
    FailedSync { file: usize },
    SyncFolder { dir: PathBuf },
}

/// A change of names: for each path, its file afterwards.
#[derive(Debug, Clone)]
pub struct Rename(Vec<(PathBuf, Option<Node>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

/// What a crash leaves of data that was not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    AllLost,
    /// Everything.
    AllKept,
    /// All writes, no names.
    NamesLost,
    /// All names, no writes.
    WritesLost,
    /// Some writes and names.
    Some,
    /// Some sectors of so many bytes, of each write, and some names.
    Torn(usize),
}

impl Crash {
    pub const ALL: [Crash; 7] =
        [Crash::AllLost, Crash::AllKept, Crash::NamesLost, Crash::WritesLost, Crash::Some, Crash::Torn(512), Crash::Torn(4096)];
}

/// The contents of a disk at a moment.
#[derive(Debug, Clone, Default)]
pub struct Image {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Node>,
    flushed_names: BTreeMap<PathBuf, Node>,
    unflushed_names: Vec<Rename>,
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    flushed: Vec<u8>,
    unflushed: Vec<Done>,
    /// A flush failed since the cache was last dropped: `bytes` has pages that neither `flushed` nor `unflushed` have.
    has_lost: bool,
}

/// What a flush writes at once.
const PAGE_BYTES: usize = 4096;

fn write_into(bytes: &mut Vec<u8>, offset: u64, new: &[u8]) {
    let end = offset as usize + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset as usize..end].copy_from_slice(new);
}

impl File {
    /// What the disk has once all dirty pages are written: without what a failed flush lost, unless its page was written again.
    fn written_back(&self) -> Vec<u8> {
        if !self.has_lost {
            return self.bytes.clone();
        }
        let mut bytes = self.flushed.clone();
        for done in &self.unflushed {
            if let Done::Resize { len, .. } = done {
                bytes.truncate(*len as usize);
            }
        }
        // The size is not part of the page cache.
        bytes.resize(self.bytes.len(), 0);
        for done in &self.unflushed {
            if let Done::Write { offset, bytes: new, .. } = done {
                let from = (*offset as usize / PAGE_BYTES * PAGE_BYTES).min(bytes.len());
                let to = (*offset as usize + new.len()).next_multiple_of(PAGE_BYTES).min(bytes.len());
                bytes[from..to].copy_from_slice(&self.bytes[from..to]);
            }
        }
        bytes
    }

    fn flush(&mut self) {
        if !self.unflushed.is_empty() {
            self.flushed = self.written_back();
            self.unflushed.clear();
        }
    }

    /// The data counts as clean, although the disk does not have it.
    fn fail_to_flush(&mut self) {
        self.has_lost |= !self.unflushed.is_empty();
        self.unflushed.clear();
    }

    /// Drops what is clean from the cache.
    fn drop_cached(&mut self) {
        self.bytes = self.written_back();
        self.has_lost = false;
    }

    /// The contents after a crash.
    fn after(&self, crash: Crash, random: &mut fastrand::Rng) -> Vec<u8> {
        match crash {
            Crash::AllLost | Crash::WritesLost => return self.flushed.clone(),
            Crash::AllKept | Crash::NamesLost => return self.bytes.clone(),
            Crash::Some | Crash::Torn(_) => {}
        }
        let sizes_kept = random.usize(..=self.unflushed.len());
        let mut bytes = self.flushed.clone();
        let (mut len, mut writes) = (bytes.len(), Vec::new());
        for (at, done) in self.unflushed.iter().enumerate() {
            match done {
                Done::Write { offset, bytes: new, .. } => {
                    writes.push((*offset, new));
                    if at < sizes_kept {
                        len = len.max(*offset as usize + new.len());
                    }
                }
                Done::Resize { len: new, .. } if at < sizes_kept => {
                    len = *new as usize;
                    // Truncated bytes are gone, even if the file grows again.
                    bytes.truncate(len);
                }
                Done::Resize { .. } | Done::Name(_) | Done::Sync { .. } | Done::FailedSync { .. } | Done::SyncFolder { .. } => {}
            }
        }
        bytes.resize(len, 0);
        random.shuffle(&mut writes);
        for (offset, new) in writes {
            let sector = match crash {
                Crash::Torn(sector) => sector,
                Crash::AllLost | Crash::AllKept | Crash::NamesLost | Crash::WritesLost | Crash::Some => usize::MAX,
            };
            let mut done = 0;
            while done < new.len() {
                let at = offset as usize + done;
                let part = (sector - at % sector).min(new.len() - done);
                let there = len.saturating_sub(at).min(part);
                if there > 0 && random.bool() {
                    bytes[at..at + there].copy_from_slice(&new[done..done + there]);
                }
                done += part;
            }
        }
        bytes
    }
}

impl Image {
    /// Repeats an operation that was logged on another disk.
    pub fn apply(&mut self, done: &Done) {
        match done {
            Done::Name(rename) => {
                for (path, node) in &rename.0 {
                    if let Some(Node::File(file)) = node
                        && *file == self.files.len()
                    {
                        self.files.push(File::default());
                    }
                    set_name(&mut self.names, path, *node);
                }
                self.unflushed_names.push(rename.clone());
            }
            Done::Write { file, offset, bytes } => {
                let file = &mut self.files[*file];
                write_into(&mut file.bytes, *offset, bytes);
                file.unflushed.push(done.clone());
            }
            Done::Resize { file, len } => {
                let file = &mut self.files[*file];
                file.bytes.resize(*len as usize, 0);
                file.unflushed.push(done.clone());
            }
            Done::Sync { file } => self.files[*file].flush(),
            Done::FailedSync { file } => self.files[*file].fail_to_flush(),
            Done::SyncFolder { dir } => {
                let (synced, left) = std::mem::take(&mut self.unflushed_names)
                    .into_iter()
                    .partition::<Vec<_>, _>(|rename| rename.0.iter().any(|(path, _)| path.parent() == Some(dir)));
                for (path, node) in synced.iter().flat_map(|rename| &rename.0) {
                    set_name(&mut self.flushed_names, path, *node);
                }
                self.unflushed_names = left;
            }
        }
    }

    /// The contents after a crash at this moment.
    pub fn after(&self, crash: Crash, random: &mut fastrand::Rng) -> Image {
        let mut names = self.flushed_names.clone();
        for rename in &self.unflushed_names {
            let lasts = match crash {
                Crash::AllLost | Crash::NamesLost => false,
                Crash::AllKept | Crash::WritesLost => true,
                Crash::Some | Crash::Torn(_) => random.bool(),
            };
            if lasts {
                rename.0.iter().for_each(|(path, node)| set_name(&mut names, path, *node));
            }
        }
        // Files in a folder that does not exist are lost.
        let roots: Vec<_> = names.clone().into_iter().collect();
        for (path, _) in roots {
            let is_there = |dir: &Path| dir.parent().is_none() || names.get(dir) == Some(&Node::Folder);
            if !path.ancestors().skip(1).all(is_there) {
                names.remove(&path);
            }
        }
        let named: Vec<usize> =
            names.values().filter_map(|node| if let Node::File(file) = node { Some(*file) } else { None }).collect();
        let files = self.files.iter().enumerate().map(|(at, file)| {
            let bytes = if named.contains(&at) { file.after(crash, random) } else { Vec::new() };
            File { flushed: bytes.clone(), bytes, unflushed: Vec::new(), has_lost: false }
        });
        Image { files: files.collect(), flushed_names: names.clone(), names, unflushed_names: Vec::new() }
    }

    /// A disk with these contents. Unflushed data stays unflushed: there is none after a crash, and some after a process was
    /// killed.
    pub fn disk(self) -> Double {
        Double(Arc::new(Mutex::new(Shared { image: self, ..Shared::default() })))
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn bytes(&self) -> u64 {
        let file = |node: &Node| if let Node::File(file) = node { self.files[*file].bytes.len() as u64 } else { 0 };
        self.names.values().map(file).sum()
    }
}

fn set_name(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => drop(names.insert(path.to_owned(), node)),
        None => drop(names.remove(path)),
    }
}

impl Shared {
    /// Counts an operation, and fails it if a fault applies.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.faults.at {
            Some((at, error)) if number == at || (self.faults.lasting && number > at) => Err(io::Error::from_raw_os_error(error)),
            _ => Ok(()),
        }
    }

    fn done(&mut self, done: Done) {
        self.image.apply(&done);
        self.log.push(done);
    }

    /// Reserves space for a file of that size.
    fn grow(&mut self, file: usize, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.image.files[file].bytes.len() as u64);
        self.is_full |= self.faults.capacity.is_some_and(|capacity| more > 0 && self.image.bytes() + more > capacity);
        if self.is_full { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    }

    fn write(&mut self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.begin() {
            // Part of it is written nevertheless.
            let half = bytes.len() / 2 / 512 * 512;
            if self.grow(file, offset + half as u64).is_ok() {
                self.done(Done::Write { file, offset, bytes: bytes[..half].to_vec() });
            }
            return Err(error);
        }
        self.grow(file, offset + bytes.len() as u64)?;
        self.done(Done::Write { file, offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn resize(&mut self, file: usize, len: u64) -> io::Result<()> {
        self.begin()?;
        self.grow(file, len)?;
        self.done(Done::Resize { file, len });
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        let begun = self.begin();
        self.done(if begun.is_ok() { Done::Sync { file } } else { Done::FailedSync { file } });
        begun
    }

    fn read(&mut self, file: usize, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.begin()?;
        let end = offset + out.len() as u64;
        if self.unreadable.get(&file).is_some_and(|bad| offset < bad.end && bad.start < end) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let bytes = self.image.files[file].bytes.get(offset as usize..).and_then(|bytes| bytes.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// The file at a path; created if it does not exist.
    fn make(&mut self, path: &Path) -> io::Result<usize> {
        if let Ok(file) = self.image.file(path) {
            return Ok(file);
        }
        match path.parent().and_then(|dir| self.image.names.get(dir)) {
            Some(Node::Folder) => {}
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        let file = self.image.files.len();
        self.done(Done::Name(Rename(vec![(path.to_owned(), Some(Node::File(file)))])));
        Ok(file)
    }
}

impl Double {
    fn lock_shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock()
    }

    /// Number of operations, including reads.
    pub fn operations(&self) -> u64 {
        self.lock_shared().operations
    }

    /// Number of changes.
    pub fn changes(&self) -> usize {
        self.lock_shared().log.len()
    }

    /// The changes of this disk since it was created, in order.
    pub fn log(&self) -> Vec<Done> {
        self.lock_shared().log.clone()
    }

    /// Sets the faults from here on; a full disk has space again.
    pub fn set_faults(&self, faults: Faults) {
        let mut shared = self.lock_shared();
        (shared.faults, shared.is_full) = (faults, false);
    }

    /// Makes reads of some bytes of a file fail, whatever its name becomes. A memory map of the file still has them.
    pub fn make_unreadable(&self, path: &Path, bytes: Range<u64>) {
        let mut shared = self.lock_shared();
        let file = shared.image.file(path).expect("the test has written it");
        shared.unreadable.insert(file, bytes);
    }

    /// The current contents.
    pub fn image(&self) -> Image {
        self.lock_shared().image.clone()
    }

    /// The size of all files together.
    pub fn bytes(&self) -> u64 {
        self.lock_shared().image.bytes()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let shared = self.lock_shared();
        shared.image.files[shared.image.file(path).expect("the test has written it")].bytes.clone()
    }

    /// Changes a file without any operation being counted or logged.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut shared = self.lock_shared();
        let file = shared.image.file(path).expect("the test has written it");
        let file = &mut shared.image.files[file];
        change(&mut file.bytes);
        file.flushed = file.bytes.clone();
        file.has_lost = false;
    }
}

impl Debug for Double {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shared = self.lock_shared();
        f.debug_struct("Double").field("names", &shared.image.names).field("operations", &shared.operations).finish()
    }
}

impl Disk for Double {
    fn create_folder(&self, dir: &Path) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        let mut above: Vec<&Path> = dir.ancestors().filter(|dir| !shared.image.names.contains_key(*dir)).collect();
        while let Some(dir) = above.pop() {
            shared.done(Done::Name(Rename(vec![(dir.to_owned(), Some(Node::Folder))])));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        if shared.image.names.get(dir) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut entries = Vec::new();
        for (path, node) in &shared.image.names {
            if let (Node::File(file), Some(name)) = (node, path.file_name())
                && path.parent() == Some(dir)
            {
                let bytes = shared.image.files[*file].bytes.len() as u64;
                entries.push(Entry { name: name.to_string_lossy().into_owned(), bytes });
            }
        }
        Ok(entries)
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        shared.done(Done::SyncFolder { dir: dir.to_owned() });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        let file = shared.image.file(from)?;
        shared.done(Done::Name(Rename(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(file)))])));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        shared.image.file(path)?;
        shared.done(Done::Name(Rename(vec![(path.to_owned(), None)])));
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        let mut shared = self.lock_shared();
        shared.begin().map_err(TryLockError::Error)?;
        shared.make(path).map_err(TryLockError::Error)?;
        if shared.locks.insert(path.to_owned(), ()).is_some() {
            return Err(TryLockError::WouldBlock);
        }
        Ok(Box::new(HeldLock { disk: self.clone(), path: path.to_owned() }))
    }

    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        let file = match how {
            Access::Read | Access::ReadFromDisk | Access::Write => shared.image.file(path)?,
            Access::Create => shared.make(path)?,
        };
        if how == Access::Write {
            shared.sync(file)?;
        }
        if matches!(how, Access::ReadFromDisk | Access::Write) {
            shared.image.files[file].drop_cached();
        }
        Ok(Box::new(Opened {
            disk: self.clone(),
            file,
            writes: matches!(how, Access::Write | Access::Create),
            locked: Mutex::new(0),
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        let file = shared.make(path)?;
        shared.done(Done::Resize { file, len: 0 });
        Ok(Box::new(Opened { disk: self.clone(), file, writes: true, locked: Mutex::new(0) }))
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        let total = shared.faults.capacity.unwrap_or(u64::MAX);
        let free = if shared.is_full { 0 } else { total.saturating_sub(shared.image.bytes()) };
        Ok(Space { free, total })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>> {
        let mut shared = self.lock_shared();
        shared.begin()?;
        let file = shared.image.file(path)?;
        Ok(Box::new(Opened { disk: self.clone(), file, writes: false, locked: Mutex::new(0) }))
    }
}

#[derive(Debug)]
struct HeldLock {
    disk: Double,
    path: PathBuf,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.lock_shared().locks.remove(&self.path);
    }
}

/// An open file. It remains usable after its name is removed.
#[derive(Debug)]
struct Opened {
    disk: Double,
    file: usize,
    writes: bool,
    /// Like [`Shared::storages`], for this handle.
    locked: Mutex<isize>,
}

impl Opened {
    fn lock_whole(&self, start: Bound<u64>, end: Bound<u64>, exclusive: bool) -> Result<bool, BackendError> {
        if !matches!(start, Bound::Unbounded | Bound::Included(0)) || end != Bound::Unbounded {
            return Err(BackendError::Unsupported);
        }
        let mut shared = self.disk.lock_shared();
        let others = shared.storages.entry(self.file).or_default();
        let free = if exclusive { *others == 0 } else { *others >= 0 };
        if free {
            let mine = if exclusive { -1 } else { 1 };
            *others += mine;
            *self.locked.lock() = mine;
        }
        Ok(free)
    }

    fn unlock(&self) {
        let mine = std::mem::take(&mut *self.locked.lock());
        *self.disk.lock_shared().storages.entry(self.file).or_default() -= mine;
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writes { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl StorageBackend for Opened {
    fn len(&self) -> io::Result<u64> {
        let mut shared = self.disk.lock_shared();
        shared.begin()?;
        Ok(shared.image.files[self.file].bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.lock_shared().read(self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.lock_shared().resize(self.file, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_writable()?;
        self.disk.lock_shared().sync(self.file)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        self.disk.lock_shared().write(self.file, offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.unlock();
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock_whole(start, end, true)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock_whole(start, end, false)
    }
}

impl DiskFile for Opened {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.lock_shared().write(self.file, offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.lock_shared().sync(self.file)
    }
}

impl ReadableFile for Opened {
    fn bytes(&self) -> io::Result<u64> {
        StorageBackend::len(self)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.lock_shared().read(self.file, offset, out)
    }

    fn map(&self) -> io::Result<Mapped> {
        let mut shared = self.disk.lock_shared();
        shared.begin()?;
        let bytes = &shared.image.files[self.file].bytes;
        let mut words = vec![0_u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Ok(Mapped::Memory(words, bytes.len()))
    }
}

/// Does something for each number, on as many threads as the machine has cores, with a random sequence of its own.
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
pub fn each(count: usize, seed: u64, each: impl Fn(usize, &mut fastrand::Rng) + Sync) {
    println!("seed {seed}, {count} in all");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    each(number, &mut fastrand::Rng::with_seed(seed ^ number as u64));
                }
            });
        }
    });
}
