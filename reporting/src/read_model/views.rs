//! Views: one position of the read model, for queries.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use scrip_protocol::Position;
use tokio::sync::watch;

use super::model::ReadModel;
use super::tables::{BUSY, VERSION, read_cursor};
use super::unusable::ReadModelError;
use crate::shown::{self, At};

/// The cache of a reader in KiB.
const CACHE_KIB: i64 = 16 << 10;

/// How much of the file is memory-mapped: 2 GiB, the maximum of SQLite. Without the map, exports take half as long again.
const MAPPED_BYTES: i64 = 0x7fff_0000;

/// How many idle connections are kept for the next readers.
const IDLE_MAX: usize = 24;

/// The readers: connections to a read model that blocking threads use in turn.
pub struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    awaited: watch::Receiver<bool>,
}

/// The state that an answer is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct AsOf {
    /// The newest applied record of the journal.
    #[schema(value_type = u64)]
    pub position: Position,
    /// The time of that record's batch; for answers that depend on the time, such as those with holds and periods, the engine's
    /// time, which advances even if no record arrives. In milliseconds since 1970 here, a string in JSON.
    #[serde(rename = "time", serialize_with = "shown::time")]
    #[schema(value_type = At)]
    pub time_ms: u64,
    /// History begins after this record; what happened up to it is in counters and balances only. 0 if the history is complete.
    #[schema(value_type = u64)]
    pub history_after: Position,
    /// The time of that record's batch; none if the history is complete.
    pub history_after_time: Option<At>,
}

/// One position of the read model: a read transaction. While it lives, everything written stays in the write-ahead log, so it
/// must not live long.
pub struct View<'a> {
    /// For queries that change nothing.
    pub connection: &'a Connection,
    /// What answers are as of if they do not depend on the time.
    pub as_of: AsOf,
    /// The time for open holds, periods and "today", in milliseconds since 1970: that of the newest batch, or later.
    pub now_ms: u64,
    /// The time by which the engine refuses request ids as too old, such that every record of an id that it accepted before is
    /// included, in milliseconds since 1970; 0 while none is known.
    pub requests_ms: u64,
}

/// The engine's time as far as known, in milliseconds since 1970; 0 if unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct ViewTime {
    /// See [`View::now_ms`].
    pub now_ms: u64,
    /// See [`View::requests_ms`].
    pub requests_ms: u64,
}

impl From<u64> for ViewTime {
    fn from(now_ms: u64) -> ViewTime {
        ViewTime { now_ms, requests_ms: 0 }
    }
}

impl View<'_> {
    /// What answers are as of if they depend on the time.
    pub fn now(&self) -> AsOf {
        AsOf { time_ms: self.now_ms, ..self.as_of }
    }
}

impl AsOf {
    /// The state of a read model with the complete history.
    pub fn whole(position: Position, time_ms: u64) -> AsOf {
        AsOf { position, time_ms, history_after: Position(0), history_after_time: None }
    }

    /// Whether this position is part of the history.
    pub fn covers(&self, position: Position) -> bool {
        // No record is at position 0.
        position.0 == 0 || (self.history_after < position && position <= self.position)
    }

    /// Reads what a transaction sees.
    fn read(connection: &Connection) -> rusqlite::Result<AsOf> {
        let cursor = read_cursor(connection)?;
        let mut beginning = connection.prepare_cached("SELECT position, time_ms FROM beginning")?;
        let beginning = beginning.query_row([], |row| Ok((shown::whole(row, 0)?, row.get(1)?))).optional()?;
        let (after, time) = beginning.filter(|(after, _)| *after > 0).unzip();
        Ok(AsOf {
            position: cursor.position,
            time_ms: cursor.time_ms,
            history_after: Position(after.unwrap_or(0)),
            history_after_time: time,
        })
    }
}

impl Readers {
    /// Readers of a file that [`ReadModel::open`](super::ReadModel::open) has made.
    pub fn new(path: &Path) -> Readers {
        Readers { path: path.to_owned(), idle: Mutex::new(Vec::new()), awaited: watch::channel(false).1 }
    }

    /// Readers in the writer's process, which know when the writer waits for them.
    pub fn beside(model: &ReadModel) -> Readers {
        Readers { awaited: model.log.awaits(), ..Readers::new(model.path()) }
    }

    /// Whether the writer waits for readers because the write-ahead log is large.
    pub fn awaited(&self) -> watch::Receiver<bool> {
        self.awaited.clone()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `read` with a view of the newest position, at the time of its batch. Blocks.
    ///
    /// # Errors
    /// If SQLite fails, here or in `read`.
    pub fn view<T>(&self, read: impl FnOnce(&View<'_>) -> rusqlite::Result<T>) -> Result<T, ReadModelError> {
        self.view_at(ViewTime::default(), read)
    }

    /// The same at a given time, if that is later than the newest batch's.
    ///
    /// # Errors
    /// See [`Readers::view`].
    pub fn view_at<T>(
        &self,
        time: impl Into<ViewTime>,
        read: impl FnOnce(&View<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ReadModelError> {
        let mut connection = self.connection()?;
        let found = in_one_transaction(&mut connection, time.into(), read).map_err(ReadModelError::sqlite(&self.path))?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(found)
    }

    fn connection(&self) -> Result<Connection, ReadModelError> {
        // Taken out first: a guard in the pattern would be held while a new one is opened.
        let idle = self.idle.lock().pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let (connection, found) = self.open().map_err(ReadModelError::sqlite(&self.path))?;
        match found {
            VERSION => Ok(connection),
            found => Err(ReadModelError::OtherVersion { path: self.path.clone(), found }),
        }
    }

    /// A connection, and the version of the tables.
    fn open(&self) -> rusqlite::Result<(Connection, i64)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
        let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, found))
    }
}

fn in_one_transaction<T>(
    connection: &mut Connection,
    time: ViewTime,
    read: impl FnOnce(&View<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction()?;
    let as_of = AsOf::read(&transaction)?;
    let (now_ms, requests_ms) = (as_of.time_ms.max(time.now_ms), time.requests_ms);
    let found = read(&View { connection: &transaction, as_of, now_ms, requests_ms })?;
    transaction.commit()?;
    Ok(found)
}
