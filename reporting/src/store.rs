//! The sidecar's folder: what is in it, who has it, and how a read model is built anew.
//!
//! ```text
//! lock                      held by the sidecar that runs here
//! read-model.sqlite         the read model, with -wal and -shm beside it while it is open
//! read-model.sqlite.new     one being built; what is left of it after a crash is thrown away
//! attempts.sqlite           refused attempts that left no record
//! ```
//! The folder has mode 0700 and its files 0600, whatever they had before: they hold codes and the data of players.
//! All of it may be deleted while no sidecar runs: the read model is built again from the journal, and the attempts are hearsay.

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

/// How many bytes of batches a read model that is being built is given at once, at the most.
const BYTES_AT_ONCE: usize = 64 << 20;

/// The folder, locked: one sidecar has it.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    _lock: File,
}

/// Where the read model of a folder is, for those who only read it.
pub fn read_model_path(dir: &Path) -> PathBuf {
    dir.join(READ_MODEL)
}

impl Store {
    /// Takes a folder, and makes it if it is not there. Nobody but its owner may use it from then on.
    ///
    /// # Errors
    /// When another process has it, it cannot be made, or it belongs to somebody else.
    pub fn open(dir: &Path) -> Result<Store, ReadModelError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ReadModelError::File { path, source }
        };
        // A folder may be on another disk, behind a link that only its owner can have made.
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

    /// The read model's file.
    pub fn read_model(&self) -> PathBuf {
        read_model_path(&self.dir)
    }

    /// The file of the attempts that left no record.
    pub fn attempts(&self) -> PathBuf {
        self.dir.join(ATTEMPTS)
    }

    /// Begins a read model beside the one that is there, which stays until [`Building::finish`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn build(&self) -> Result<Building<'_>, ReadModelError> {
        let path = self.dir.join(NEW);
        remove(&path)?;
        let model = ReadModel::open(&path)?.expect("a read model that was just begun is of this version");
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
    /// How far it has come, with what is waiting to be applied.
    pub fn cursor(&self) -> ChainEnd {
        self.model.cursor()
    }

    /// Begins with a snapshot that stands at `end`: see [`ReadModel::seed`]. Before any batch.
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

    /// Takes the next batch.
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

    /// Puts it in the place of the one that was there. Returns up to which record it goes.
    ///
    /// # Errors
    /// When it cannot be written or renamed. The one that was there is there still.
    pub fn finish(mut self) -> Result<Position, ReadModelError> {
        self.apply()?;
        let position = self.model.cursor().position;
        self.model.close()?;
        let (new, path) = (self.store.dir.join(NEW), self.store.read_model());
        let failed = |source| ReadModelError::File { path: path.clone(), source };
        File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
        // Without its log first: a log beside another file than its own would be taken for that file's.
        remove_beside(&path)?;
        fs::rename(&new, &path).map_err(failed)?;
        remove_beside(&new)?;
        File::open(&self.store.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(position)
    }
}

/// Removes a database that nobody has open, with what stands beside it.
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
