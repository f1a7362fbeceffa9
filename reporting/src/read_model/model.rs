//! The writer: batches applied in order, with the cursor in the same transaction.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use scrip_protocol::Record;
use scrip_protocol::batch::{Batch, ChainEnd};

use super::private::make_private;
use super::seed::Seed;
use super::tables::{BUSY, SCHEMA, VERSION, code_form, read_cursor, write_cursor};
use super::unusable::ReadModelError;
use super::{log, project};

/// The KiB of the file that the writer caches: transactions change pages all over the file, and find them here again.
const CACHE_KIB: i64 = 256 << 10;

/// Takes the write lock at the beginning: SQLite does not wait for it in a transaction that has read before it writes, and a
/// checkpoint that frees the log holds it for a moment.
const WRITES: TransactionBehavior = TransactionBehavior::Immediate;

/// The writer of a read model. It owns the file as long as it lives; by convention, all others only read.
pub struct ReadModel {
    path: PathBuf,
    pub(super) connection: Connection,
    cursor: ChainEnd,
    known: project::Known,
    pub(super) log: log::Log,
}

impl ReadModel {
    /// Opens the read model in a file, or creates one. Returns `None` for one of another version, and leaves it unchanged.
    ///
    /// # Errors
    /// When it cannot be opened, or is not a read model.
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
        // A power loss may undo the newest transactions with the cursor; the journal still has them.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // A thread of its own copies the log into the file.
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

    /// The cursor: everything up to it is applied.
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
    /// When one does not continue the chain, the settings name an unknown form of codes, or SQLite fails. Nothing is applied then.
    /// Open the read model again: its memory may be ahead of the tables.
    pub fn apply(&mut self, batches: &[impl AsRef<[u8]>]) -> Result<(), ReadModelError> {
        let path = &self.path;
        let failed = |source| ReadModelError::Sqlite { path: path.clone(), source };
        let mut chain = self.cursor;
        let transaction = self.connection.transaction_with_behavior(WRITES).map_err(failed)?;
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

    /// Fills an empty read model from a snapshot, in one transaction with the cursor. Everything before the snapshot's position is in
    /// counters and balances only.
    ///
    /// # Errors
    /// When SQLite fails, here or in `fill`. The read model is then still empty.
    pub fn seed(
        &mut self,
        end: ChainEnd,
        fill: impl FnOnce(&mut Seed<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), ReadModelError> {
        let path = &self.path;
        let failed = |source| ReadModelError::Sqlite { path: path.clone(), source };
        let transaction = self.connection.transaction_with_behavior(WRITES).map_err(failed)?;
        let mut seed = Seed::begin(&transaction, end);
        fill(&mut seed).and_then(|()| seed.finish()).map_err(failed)?;
        write_cursor(&transaction, &end).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.known = project::Known::load(&self.connection, end.time_ms).map_err(failed)?;
        self.cursor = end;
        Ok(())
    }

    /// Ends the writing, and copies the part of the write-ahead log that nobody reads into the file.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn close(self) -> Result<(), ReadModelError> {
        let failed = ReadModelError::sqlite(&self.path);
        let bring = || self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).optional();
        bring().map(drop).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use scrip_protocol::batch::BatchBuilder;
    use scrip_protocol::command::Activation;
    use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, RequestId, Stamp};

    use super::*;

    /// Has the write lock until the writer waits for it.
    static HOLDER: Mutex<Option<Connection>> = Mutex::new(None);

    /// A checkpoint has the write lock for a moment: a batch waits for it, though its first statement only reads.
    #[test]
    fn a_batch_waits_for_the_write_lock() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("read-model.sqlite");
        let mut model = ReadModel::open(&path).expect("it is new").expect("it is of this version");
        let holder = Connection::open(&path).expect("it is there");
        holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
        *HOLDER.lock() = Some(holder);
        model.connection.busy_handler(Some(|_| HOLDER.lock().take().is_some())).expect("it is a setting");

        let stamp = Stamp { request: RequestId(1), body: 1, credential: CredentialId(1) };
        let mut batch = BatchBuilder::new(1);
        batch.push(
            &Activation {
                stamp,
                client: ClientId(7),
                club: ClubId(1),
                campaign: CampaignId(1),
                slot: 0,
                amount: Money(500),
                balance: Money(500),
                top_up: Position(0),
            }
            .into(),
        );
        model.apply(&[batch.seal(&mut ChainEnd::default())]).expect("it waits for the lock");
        assert!(HOLDER.lock().is_none(), "the lock was waited for");
    }
}
