//! The read model: what the journal says, in the tables of `schema.sql`.
//!
//! One writer applies whole batches, and moves the cursor in the same transaction: whatever moment the process is killed at, a batch is
//! in it once or not at all. Batches that have come meanwhile share a transaction, so that it keeps up with an engine under load; what
//! is in the tables does not depend on which. Whoever reads does so in a transaction of their own, and sees one position. A read model
//! of another version of the tables is not migrated but built anew.
//!
//! `project` says what each record writes; `gathered` what is added up over a transaction before it is written.

mod campaigns;
mod gathered;
mod held;
mod log;
mod project;
mod rows;
pub mod seed;
mod uses;
mod views;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use scrip_protocol::batch::{Batch, BatchError, ChainEnd};
use scrip_protocol::codes::{CodeForm, RecordedForm, UnknownForm};
use scrip_protocol::{Position, Record};

use crate::store::make_private;

pub(crate) use gathered::HISTORY_BITS;
pub(crate) use held::LENGTHS as HELD_LENGTHS;
pub use log::log_bytes;
pub(crate) use log::log_of;
pub use rows::client_value;
pub(crate) use rows::folded;
pub use seed::{Seed, beginning};
pub use views::{AsOf, Readers, View, ViewTime};

/// The version of the tables. It changes with them, and with what is put into them.
pub const VERSION: i64 = 2;

/// The form in which the organisation compares codes.
///
/// # Errors
/// When SQLite fails, or this program does not know the form.
pub(crate) fn code_form(connection: &Connection) -> rusqlite::Result<CodeForm> {
    let mut statement = connection.prepare_cached("SELECT code_form FROM organisation")?;
    let known = |number: u8| {
        let unknown = || UnknownForm(RecordedForm { form: number, ..RecordedForm::of(CodeForm::CURRENT) });
        let unknown = || rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, unknown().into());
        CodeForm::from_number(number).ok_or_else(unknown)
    };
    let form = statement.query_row([], |row| known(row.get(0)?)).optional()?;
    // Before there are settings there are no codes.
    Ok(form.unwrap_or(CodeForm::CURRENT))
}

/// The tables.
pub const SCHEMA: &str = include_str!("schema.sql");

/// How many KiB of the file the writer keeps in memory: what a transaction changes all over the file is found there again.
const CACHE_KIB: i64 = 256 << 10;

/// How long a writer or reader waits for another's lock, which each holds for a moment.
const BUSY: Duration = Duration::from_secs(10);

/// Why the read model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// SQLite.
    #[error("{path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// A file or folder.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// Another process writes to it.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The tables are of another version of the program.
    #[error(
        "{path} has tables of version {found}, and this program reads version {VERSION}; scrip sidecar rebuilds them from the journal when \
         it starts"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The settings name a form of codes that this program does not know.
    #[error("the settings at position {position}")]
    CodeForm {
        /// The record.
        position: Position,
        /// Which form.
        source: UnknownForm,
    },
    /// A batch does not come next, or is damaged.
    #[error("the batch after position {after}: {cause}")]
    Batch {
        /// The newest position in the read model.
        after: Position,
        /// What is wrong.
        cause: BatchError,
    },
}

impl ReadModelError {
    fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> ReadModelError {
        let path = path.to_owned();
        move |source| ReadModelError::Sqlite { path, source }
    }
}

/// The one that writes. Owns the file as long as it lives, by the convention of who opens it; others read.
pub struct ReadModel {
    path: PathBuf,
    connection: Connection,
    cursor: ChainEnd,
    known: project::Known,
    log: log::Log,
}

impl ReadModel {
    /// Opens the read model of a file, or begins one. One of another version is left alone: `None`.
    ///
    /// # Errors
    /// When it cannot be opened, or is no read model.
    pub fn open(path: &Path) -> Result<Option<ReadModel>, ReadModelError> {
        make_private(path)?;
        ReadModel::try_open(path).map_err(ReadModelError::sqlite(path))
    }

    fn try_open(path: &Path) -> rusqlite::Result<Option<ReadModel>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A power loss may take the newest transactions, cursor and all: the journal has them still.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // The log is brought into the file by a thread of its own.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", log::KEPT_BYTES)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        let begun = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? > 0;
        if !begun {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            let none = ChainEnd::default();
            let cursor = params![none.position.0 as i64, none.hash, none.time_ms as i64];
            transaction.execute("INSERT INTO cursor VALUES (1, ?, ?, ?)", cursor)?;
            transaction.execute("INSERT INTO beginning VALUES (1, 0, 0, 0)", [])?;
            transaction.commit()?;
        }
        if connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? != VERSION {
            return Ok(None);
        }
        let cursor = read_cursor(&connection)?;
        code_form(&connection)?;
        let known = project::Known::load(&connection, cursor.time_ms)?;
        let log = log::Log::beside(path)?;
        Ok(Some(ReadModel { path: path.to_owned(), connection, cursor, known, log }))
    }

    /// How far it has come.
    pub fn cursor(&self) -> ChainEnd {
        self.cursor
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Applies batches that continue the chain, in one transaction with the cursor.
    ///
    /// # Errors
    /// When one does not continue the chain, the settings name a form of codes that is not known here, or SQLite fails. Nothing is applied then, and the read model is to be opened again: what
    /// it remembers of its tables may be ahead of them.
    pub fn apply(&mut self, batches: &[impl AsRef<[u8]>]) -> Result<(), ReadModelError> {
        let path = &self.path;
        let failed = |source| ReadModelError::Sqlite { path: path.clone(), source };
        let mut chain = self.cursor;
        let transaction = self.connection.transaction().map_err(failed)?;
        let mut writing = project::Writing::begin(&transaction, &mut self.known).map_err(failed)?;
        for bytes in batches {
            let after = chain.position;
            let wrong = |cause| ReadModelError::Batch { after, cause };
            let batch = Batch::parse(bytes.as_ref()).map_err(wrong)?;
            batch.follow(&mut chain).map_err(wrong)?;
            for item in batch.records() {
                let (position, record) = item.map_err(wrong)?;
                if let Record::SettingsSet(set) = &record {
                    set.codes.known().map_err(|source| ReadModelError::CodeForm { position, source })?;
                }
                writing.record(position, batch.time_ms, &record).map_err(failed)?;
            }
        }
        writing.finish().map_err(failed)?;
        write_cursor(&transaction, &chain).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.log.grew(chain.position.0 - self.cursor.position.0);
        self.cursor = chain;
        Ok(())
    }

    /// Begins with what a snapshot says of everything up to a position: an empty read model is filled, in one transaction with the cursor. What
    /// came before that position is in counters and balances only.
    ///
    /// # Errors
    /// When SQLite fails, here or in `fill`. Nothing is in it then.
    pub fn seed(
        &mut self,
        end: ChainEnd,
        fill: impl FnOnce(&mut Seed<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), ReadModelError> {
        let path = &self.path;
        let failed = |source| ReadModelError::Sqlite { path: path.clone(), source };
        let transaction = self.connection.transaction().map_err(failed)?;
        let mut seed = Seed::begin(&transaction, end);
        fill(&mut seed).and_then(|()| seed.finish()).map_err(failed)?;
        write_cursor(&transaction, &end).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.known = project::Known::load(&self.connection, end.time_ms).map_err(failed)?;
        self.cursor = end;
        Ok(())
    }

    /// Ends the writing: what is in the write-ahead log is brought into the file, as far as nobody reads it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn close(self) -> Result<(), ReadModelError> {
        let failed = ReadModelError::sqlite(&self.path);
        let bring = || self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).optional();
        bring().map(drop).map_err(failed)
    }
}

fn read_cursor(connection: &Connection) -> rusqlite::Result<ChainEnd> {
    connection.prepare_cached("SELECT position, hash, time_ms FROM cursor")?.query_row([], |row| {
        Ok(ChainEnd {
            position: Position(row.get::<_, i64>(0)? as u64),
            hash: row.get(1)?,
            time_ms: row.get::<_, i64>(2)? as u64,
        })
    })
}

fn write_cursor(connection: &Connection, chain: &ChainEnd) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE cursor SET position = ?, hash = ?, time_ms = ?")?;
    statement.execute(params![chain.position.0 as i64, chain.hash, chain.time_ms as i64])?;
    Ok(())
}
