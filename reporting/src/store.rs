//! The sidecar's folder: its files, its lock, and the rebuild of a read model.
//!
//! ```text
//! lock                      held by the sidecar that runs here
//! read-model.sqlite         the read model, with -wal and -shm beside it while it is open
//! read-model.sqlite.new     one being built; discarded after a crash
//! attempts.sqlite           refused attempts without a record
//! ```
//! The folder always gets mode 0700 and its files 0600: they contain codes and the data of players. All of it can be deleted
//! while no sidecar runs: the read model is rebuilt from the journal, and the attempts are not durable data.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::private;

use crate::follow::RECORDS_AT_ONCE;
use crate::read_model::{ReadModel, ReadModelError, Seed, close_to_others, make_private};

const READ_MODEL: &str = "read-model.sqlite";
const NEW: &str = "read-model.sqlite.new";
const ATTEMPTS: &str = "attempts.sqlite";
const LOCK: &str = "lock";

/// The maximum size of the batches applied at once to a read model that is being built, in bytes.
const BYTES_AT_ONCE: usize = 64 << 20;

/// The locked folder: one sidecar uses it at a time.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    _lock: File,
}

/// The path of the read model of a folder, for programs that only read it.
pub fn read_model_path(dir: &Path) -> PathBuf {
    dir.join(READ_MODEL)
}

impl Store {
    /// Locks a folder, creating it if needed, and restricts it to its owner.
    ///
    /// # Errors
    /// If another process has locked it, it cannot be created, or it belongs to another user.
    pub fn open(dir: &Path) -> Result<Store, ReadModelError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ReadModelError::File { path, source }
        };
        // The folder may be on another disk, behind a link that only its owner can have created.
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        private::folder(&real).map_err(failed(dir))?;
        let path = dir.join(LOCK);
        let lock = private::file(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(ReadModelError::InUse { path }),
            Err(fs::TryLockError::Error(source)) => return Err(ReadModelError::File { path, source }),
        }
        let store = Store { dir: dir.to_owned(), _lock: lock };
        make_private(&store.attempts())?;
        close_to_others(&store.read_model())?;
        Ok(store)
    }

    /// The path of the read model.
    pub fn read_model(&self) -> PathBuf {
        read_model_path(&self.dir)
    }

    /// The path of the refused attempts without a record.
    pub fn attempts(&self) -> PathBuf {
        self.dir.join(ATTEMPTS)
    }

    /// Begins to build a read model beside the current one, which stays until [`Building::finish`].
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn build(&self) -> Result<Building<'_>, ReadModelError> {
        let path = self.dir.join(NEW);
        remove(&path)?;
        let model = ReadModel::open(&path)?.expect("a new read model has this version");
        Ok(Building { store: self, model, waiting: Vec::new(), bytes: 0, records: 0 })
    }
}

/// A read model that is being built.
pub struct Building<'a> {
    store: &'a Store,
    model: ReadModel,
    waiting: Vec<Vec<u8>>,
    bytes: usize,
    records: usize,
}

impl Building<'_> {
    /// Its position, including the batches waiting to be applied.
    pub fn cursor(&self) -> ChainEnd {
        self.model.cursor()
    }

    /// Begins with a snapshot that ends at `end`: see [`ReadModel::seed`]. Call it before any batch.
    ///
    /// # Errors
    /// As [`ReadModel::seed`].
    pub fn seed(
        &mut self,
        end: ChainEnd,
        fill: impl FnOnce(&mut Seed<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), ReadModelError> {
        self.model.seed(end, fill)
    }

    /// Adds the next batch.
    ///
    /// # Errors
    /// As [`ReadModel::apply`].
    pub fn take(&mut self, batch: Vec<u8>) -> Result<(), ReadModelError> {
        self.bytes += batch.len();
        self.records += scrip_protocol::batch::stated_extent(&batch).map_or(0, |(_, count)| count as usize);
        self.waiting.push(batch);
        if self.bytes >= BYTES_AT_ONCE || self.records >= RECORDS_AT_ONCE { self.apply() } else { Ok(()) }
    }

    fn apply(&mut self) -> Result<(), ReadModelError> {
        self.model.apply(&self.waiting)?;
        self.waiting.clear();
        (self.bytes, self.records) = (0, 0);
        Ok(())
    }

    /// Replaces the current read model. Returns the position of the last record.
    ///
    /// # Errors
    /// If it cannot be written or renamed. The old read model is unchanged then.
    pub fn finish(mut self) -> Result<Position, ReadModelError> {
        self.apply()?;
        let position = self.model.cursor().position;
        self.model.close()?;
        let (new, path) = (self.store.dir.join(NEW), self.store.read_model());
        let failed = |source| ReadModelError::File { path: path.clone(), source };
        File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
        // The old log is removed first: SQLite would take it for the log of the new file.
        remove_beside(&path)?;
        fs::rename(&new, &path).map_err(failed)?;
        remove_beside(&new)?;
        File::open(&self.store.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(position)
    }
}

/// Removes a database that is not open, with the files that belong to it.
fn remove(path: &Path) -> Result<(), ReadModelError> {
    remove_file(path)?;
    remove_beside(path)
}

fn remove_beside(path: &Path) -> Result<(), ReadModelError> {
    ["-wal", "-shm"].into_iter().try_for_each(|end| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(end);
        remove_file(Path::new(&beside))
    })
}

fn remove_file(path: &Path) -> Result<(), ReadModelError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ReadModelError::File { path: path.to_owned(), source }),
        Ok(()) | Err(_) => Ok(()),
    }
}
