//! Refused attempts without a record in the journal (Z13): the engine reports them, and this module stores them in a file of
//! their own.
//!
//! The file has the newest [`ATTEMPTS_MAX`]. The engine does not store attempts durably: those refused while no sidecar listened
//! may be lost, which is counted. The file is not part of the read model, because it cannot be rebuilt from the journal: it
//! survives every rebuild. It has each attempt once, identified by run and number.
//!
//! [`Attempts`] owns the file; [`receive`] fills it.

pub mod receive;

use std::path::{Path, PathBuf};

use crate::read_model::client_value;
use parking_lot::Mutex;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use scrip_protocol::ClientId;
use scrip_protocol::command::{Attempt, Attempts as Frame, RunId};

/// The maximum number of stored attempts; the oldest are deleted first.
pub const ATTEMPTS_MAX: u64 = 1_000_000;

/// The version of the tables.
const VERSION: i64 = 1;

/// The tables.
const SCHEMA: &str = include_str!("attempts.sql");

/// Why attempts cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum AttemptsError {
    /// SQLite.
    #[error("{path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error.
        source: rusqlite::Error,
    },
    /// The file is of another version of this program.
    #[error(
        "{path}: the file has version {found}, and this program uses version {VERSION}; move the file away to begin a new one"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        found: i64,
    },
}

/// The attempts in a file. Callers share one connection, because all queries are short.
pub struct Attempts {
    path: PathBuf,
    connection: Mutex<Connection>,
    kept_max: u64,
}

/// Selects attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptsOf<'a> {
    /// All attempts.
    Anybody,
    /// Those of a client.
    Client(ClientId),
    /// Those at a code, in the form used for comparison.
    Code(&'a str),
}

/// A stored attempt.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeptAttempt {
    /// The number in the order of arrival, by which pages continue.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The newest durable record at that time.
    pub after_position: u64,
    /// The word of the command.
    pub command: String,
    /// The credential that sent the request.
    pub credential: u32,
    /// The id of the request; none for a command without one.
    pub request: Option<String>,
    /// The client, if the command named one.
    pub client: Option<String>,
    /// The club, if the command named one.
    pub club: Option<u32>,
    /// The code in the form used for comparison, if the command named one.
    pub code: Option<String>,
    /// The network of the client; none if unknown.
    pub network: Option<String>,
    /// The refusal's word.
    pub reason: String,
    /// The condition that caused the refusal.
    pub decided: String,
}

/// Attempts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttemptsPage {
    /// The attempts.
    pub attempts: Vec<KeptAttempt>,
    /// The `before` of the next page; none on the last page.
    pub before: Option<u64>,
    /// The number of attempts that were never received.
    pub lost: u64,
}

impl Attempts {
    /// Opens or creates a file.
    ///
    /// # Errors
    /// If it cannot be opened, or has another version.
    pub fn open(path: &Path) -> Result<Attempts, AttemptsError> {
        Attempts::open_with(path, ATTEMPTS_MAX)
    }

    fn open_with(path: &Path, kept_max: u64) -> Result<Attempts, AttemptsError> {
        let sqlite = |source| AttemptsError::Sqlite { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        let begin = |connection: &mut Connection| {
            connection.pragma_update(None, "journal_mode", "wal")?;
            // Attempts lost in a power cut are reported again, or are as lost as those at the end of the engine's process.
            connection.pragma_update(None, "synchronous", "normal")?;
            let transaction = connection.transaction()?;
            let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found == 0 {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            transaction.commit()?;
            Ok(if found == 0 { VERSION } else { found })
        };
        match begin(&mut connection).map_err(sqlite)? {
            VERSION => Ok(Attempts { path: path.to_owned(), connection: Mutex::new(connection), kept_max }),
            found => Err(AttemptsError::OtherVersion { path: path.to_owned(), found }),
        }
    }

    /// The newest run, and its newest attempt that was received or reported lost; zeros if there was no run yet.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn heard(&self) -> Result<(RunId, u64), AttemptsError> {
        self.with(|connection| {
            let newest = "SELECT run, through FROM run ORDER BY number DESC LIMIT 1";
            let heard = connection.query_row(newest, [], |row| Ok((RunId(number_of(row.get(0)?)), whole(row, 1)?))).optional()?;
            Ok(heard.unwrap_or_default())
        })
    }

    /// Stores what the engine reported, in one transaction. Attempts that are already stored stay as they are.
    ///
    /// # Errors
    /// If SQLite fails; nothing is stored then.
    pub fn keep(&self, frame: &Frame) -> Result<(), AttemptsError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let run = frame.run.0.to_be_bytes();
            transaction.execute("INSERT OR IGNORE INTO run (run, through, lost) VALUES (?1, 0, 0)", [run])?;
            let heard: u64 = transaction.query_row("SELECT through FROM run WHERE run = ?1", [run], |row| whole(row, 0))?;
            if frame.through > heard {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO attempt (run, sequence, at_ms, after_position, command, credential, request, client, club, code, \
                     network, reason, decided) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                )?;
                let fresh = frame.attempts.iter().filter(|attempt| attempt.sequence > heard);
                let mut kept = 0;
                for attempt in fresh {
                    let Attempt { sequence, at_ms, after, command, credential, request, .. } = attempt;
                    insert.execute(params![
                        run,
                        stored(*sequence),
                        stored(*at_ms),
                        stored(after.0),
                        command,
                        credential.0,
                        request.0.to_be_bytes(),
                        attempt.client.map(client_value),
                        attempt.club.map(|club| club.0),
                        attempt.code,
                        attempt.network.to_string(),
                        attempt.refusal.word(),
                        attempt.refusal.to_string(),
                    ])?;
                    kept += 1;
                }
                drop(insert);
                let lost = (frame.through - heard).saturating_sub(kept);
                let heard = "UPDATE run SET through = ?2, lost = lost + ?3 WHERE run = ?1";
                transaction.execute(heard, params![run, stored(frame.through), stored(lost)])?;
                let passed = "DELETE FROM attempt WHERE number <= (SELECT max(number) FROM attempt) - ?1";
                transaction.execute(passed, [stored(self.kept_max)])?;
            }
            transaction.commit()
        })
    }

    /// A page of attempts, newest first, before a number if one is given.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn find(&self, of: AttemptsOf<'_>, before: Option<u64>, limit: usize) -> Result<AttemptsPage, AttemptsError> {
        let (condition, value) = match of {
            AttemptsOf::Anybody => ("?1 IS NULL", Value::Null),
            AttemptsOf::Client(client) => ("client = ?1", client_value(client)),
            AttemptsOf::Code(code) => ("code = ?1", Value::Text(code.to_owned())),
        };
        let before = before.map_or(i64::MAX, stored);
        // One more than `limit` shows whether there is a next page.
        let more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let mut query = transaction.prepare_cached(&format!(
                "SELECT number, at_ms, after_position, command, credential, request, client, club, code, network, reason, decided \
                 FROM attempt WHERE {condition} AND number < ?2 ORDER BY number DESC LIMIT ?3"
            ))?;
            let rows = query.query_map(params![value, before, more], kept_attempt)?;
            let mut attempts = rows.collect::<Result<Vec<_>, _>>()?;
            drop(query);
            let is_more = attempts.len() > limit;
            attempts.truncate(limit);
            let before = attempts.last().map(|last| last.number).filter(|_| is_more);
            let lost = transaction.query_row("SELECT coalesce(sum(lost), 0) FROM run", [], |row| whole(row, 0))?;
            Ok(AttemptsPage { attempts, before, lost })
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, AttemptsError> {
        let sqlite = |source| AttemptsError::Sqlite { path: self.path.clone(), source };
        act(&mut self.connection.lock()).map_err(sqlite)
    }
}

/// A number as SQLite stores it: no number here comes near the limit.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0))
}

fn number_of(bytes: [u8; 16]) -> u128 {
    u128::from_be_bytes(bytes)
}

fn kept_attempt(row: &Row<'_>) -> rusqlite::Result<KeptAttempt> {
    let request = scrip_protocol::RequestId(number_of(row.get(5)?));
    let client = match row.get(6)? {
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Null | Value::Real(_) | Value::Blob(_) => None,
    };
    Ok(KeptAttempt {
        number: whole(row, 0)?,
        at_ms: whole(row, 1)?,
        after_position: whole(row, 2)?,
        command: row.get(3)?,
        credential: row.get(4)?,
        request: (request.0 != 0).then(|| request.to_string()),
        client,
        club: row.get(7)?,
        code: row.get(8)?,
        network: Some(row.get::<_, String>(9)?).filter(|network| network != "-"),
        reason: row.get(10)?,
        decided: row.get(11)?,
    })
}

#[cfg(test)]
mod tests {
    use scrip_protocol::{ClientNetwork, ClubId, CredentialId, Position, Refusal, RequestId};

    use super::*;

    const RUN: RunId = RunId(7 << 100);

    /// Client `n % 3` at code `code-{n % 2}`.
    fn attempt(sequence: u64) -> Attempt {
        Attempt {
            sequence,
            at_ms: 1_000 + sequence,
            after: Position(9),
            command: "redeem".into(),
            credential: CredentialId(2),
            request: RequestId(sequence.into()),
            client: Some(ClientId((sequence % 3).into())),
            club: Some(ClubId(1)),
            code: Some(format!("code-{}", sequence % 2)),
            network: ClientNetwork::UNKNOWN,
            refusal: Refusal::TooManyMisses { retry_after_ms: 30_000 },
        }
    }

    fn report(run: RunId, numbers: &[u64], through: u64) -> Frame {
        let attempts: Vec<_> = numbers.iter().copied().map(attempt).collect();
        Frame { run, lost: 0, through, attempts }
    }

    fn store(kept_max: u64) -> (tempfile::TempDir, Attempts) {
        let dir = tempfile::tempdir().expect("a folder");
        let attempts = Attempts::open_with(&dir.path().join("attempts.sqlite"), kept_max).expect("a new file");
        (dir, attempts)
    }

    fn requests(page: &AttemptsPage) -> Vec<String> {
        page.attempts.iter().map(|attempt| attempt.request.clone().unwrap_or_default()).collect()
    }

    fn all(attempts: &Attempts) -> AttemptsPage {
        attempts.find(AttemptsOf::Anybody, None, 100).expect("reading succeeds")
    }

    /// Z13: each refused attempt is stored once with the condition that caused the refusal, and lost ones are counted once.
    #[test]
    fn what_is_reported_twice_is_stored_once() {
        let (dir, attempts) = store(100);
        assert_eq!(attempts.heard().expect("reading succeeds"), (RunId(0), 0));
        attempts.keep(&report(RUN, &[], 0)).expect("writing succeeds");
        attempts.keep(&report(RUN, &[1, 2, 5], 6)).expect("writing succeeds");
        for _ in 0..2 {
            attempts.keep(&report(RUN, &[5, 7], 8)).expect("writing succeeds");
            attempts.keep(&report(RUN, &[1, 2], 2)).expect("writing succeeds");
        }
        drop(attempts);
        let attempts = Attempts::open(&dir.path().join("attempts.sqlite")).expect("it was closed");
        let page = all(&attempts);
        let sequences: Vec<_> = page.attempts.iter().map(|attempt| attempt.at_ms - 1_000).collect();
        assert_eq!((sequences, page.lost, page.before), (vec![7, 5, 2, 1], 4, None), "3, 4, 6 and 8 were not received");
        assert_eq!(attempts.heard().expect("reading succeeds"), (RUN, 8));
        let first = &page.attempts[3];
        assert_eq!(
            (first.reason.as_str(), first.client.as_deref(), first.network.as_deref()),
            ("too_many_misses", Some("1"), None)
        );
        assert_eq!(first.decided, "too many failed attempts; try again in 30s");
    }

    /// Z13: a new run of the engine numbers its attempts from 1 again, and they are others.
    #[test]
    fn another_run_begins_from_1() {
        let (_dir, attempts) = store(100);
        attempts.keep(&report(RUN, &[1, 2], 2)).expect("writing succeeds");
        attempts.keep(&report(RunId(1), &[1], 1)).expect("writing succeeds");
        assert_eq!((all(&attempts).attempts.len(), attempts.heard().expect("reading succeeds")), (3, (RunId(1), 1)));
    }

    /// Z13: found by client and by code, newest first, page after page.
    #[test]
    fn attempts_are_found_by_client_and_by_code() {
        let (_dir, attempts) = store(100);
        attempts.keep(&report(RUN, &(1..=20).collect::<Vec<_>>(), 20)).expect("writing succeeds");
        let of_two = |before| attempts.find(AttemptsOf::Client(ClientId(2)), before, 3).expect("reading succeeds");
        let mut page = of_two(None);
        let mut found = Vec::new();
        while let Some(before) = page.before {
            assert_eq!(page.attempts.len(), 3);
            found.extend(page.attempts);
            page = of_two(Some(before));
        }
        found.extend(page.attempts);
        let sequences: Vec<_> = found.iter().map(|attempt| attempt.at_ms - 1_000).collect();
        assert_eq!(sequences, [20, 17, 14, 11, 8, 5, 2]);
        let of_code = attempts.find(AttemptsOf::Code("code-1"), None, 100).expect("reading succeeds");
        assert_eq!(of_code.attempts.len(), 10);
        assert!(attempts.find(AttemptsOf::Code("code-3"), None, 100).expect("reading succeeds").attempts.is_empty());
    }

    /// A client whose id is not a number is found too, and a check has no request.
    #[test]
    fn a_client_with_any_id_is_found() {
        let (_dir, attempts) = store(100);
        let client = ClientId(u128::MAX - 1);
        let check = Attempt { command: "check".into(), request: RequestId(0), client: Some(client), code: None, ..attempt(1) };
        let frame = Frame { attempts: vec![check], ..report(RUN, &[], 1) };
        attempts.keep(&frame).expect("writing succeeds");
        let found = attempts.find(AttemptsOf::Client(client), None, 10).expect("reading succeeds");
        assert_eq!((requests(&found), found.attempts[0].client.clone()), (vec![String::new()], Some(client.to_string())));
    }

    /// The number of stored attempts is bounded: the newest stay.
    #[test]
    fn the_oldest_make_room() {
        let (_dir, attempts) = store(5);
        for number in 1..=12 {
            attempts.keep(&report(RUN, &[number], number)).expect("writing succeeds");
        }
        let numbers: Vec<_> = all(&attempts).attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!((numbers, all(&attempts).lost), (vec![12, 11, 10, 9, 8], 0));
    }

    #[test]
    fn a_file_of_another_version_is_left_alone() {
        let (dir, attempts) = store(5);
        attempts.with(|connection| connection.pragma_update(None, "user_version", 2)).expect("writing succeeds");
        drop(attempts);
        let opened = Attempts::open(&dir.path().join("attempts.sqlite"));
        assert!(matches!(opened, Err(AttemptsError::OtherVersion { found: 2, .. })));
    }
}
