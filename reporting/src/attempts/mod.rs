//! Refused attempts that left no record in the journal, as the engine tells them beside it (Z13): a file of their own.
//!
//! What is kept is the newest [`ATTEMPTS_MAX`]. It is not durable where it comes from: attempts that were refused while nobody listened to
//! the engine may be lost, which is counted. The file is no part of the read model, because no journal gives it back: it is never rebuilt
//! and outlives every rebuild. Each attempt is in it once, by its run and its number.
//!
//! [`Attempts`] owns the file; [`following`] fills it.

pub mod following;

use std::path::{Path, PathBuf};

use crate::read_model::client_value;
use parking_lot::Mutex;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use scrip_protocol::ClientId;
use scrip_protocol::command::{Attempt, Attempts as Frame, RunId};

/// How many attempts are kept; the oldest go first.
pub const ATTEMPTS_MAX: u64 = 1_000_000;

/// The version of the tables.
const VERSION: i64 = 1;

/// The tables.
const SCHEMA: &str = include_str!("attempts.sql");

/// Why the attempts cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum AttemptsError {
    /// SQLite.
    #[error("{path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// The file is of another version of this program.
    #[error("{path}: its version is {found}, and this program keeps version {VERSION}; move the file away to begin another one")]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// The attempts of a file. One connection, used in turn: what is asked of it is short.
pub struct Attempts {
    path: PathBuf,
    connection: Mutex<Connection>,
    kept_max: u64,
}

/// Which attempts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptsOf<'a> {
    /// All of them.
    Anybody,
    /// A client's.
    Client(ClientId),
    /// At a code, as codes are compared.
    Code(&'a str),
}

/// An attempt as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeptAttempt {
    /// Its place in the order in which attempts came; a page goes on before it.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The newest durable record at that time.
    pub after_position: u64,
    /// The word of the command.
    pub command: String,
    /// Who asked.
    pub credential: u32,
    /// The request's id; none for a command without one.
    pub request: Option<String>,
    /// For whom, where the command named one.
    pub client: Option<String>,
    /// Where, likewise.
    pub club: Option<u32>,
    /// The code as it is compared, likewise.
    pub code: Option<String>,
    /// The network that the client called from; none where it is not known.
    pub network: Option<String>,
    /// The refusal's word.
    pub reason: String,
    /// The condition that decided.
    pub decided: String,
}

/// Attempts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttemptsPage {
    /// The attempts.
    pub attempts: Vec<KeptAttempt>,
    /// Where the next page goes on, if there is more.
    pub before: Option<u64>,
    /// How many attempts were not told, in all time.
    pub lost: u64,
}

impl Attempts {
    /// Opens a file, or begins one.
    ///
    /// # Errors
    /// When it cannot be opened, or is of another version.
    pub fn open(path: &Path) -> Result<Attempts, AttemptsError> {
        Attempts::open_with(path, ATTEMPTS_MAX)
    }

    fn open_with(path: &Path, kept_max: u64) -> Result<Attempts, AttemptsError> {
        let sqlite = |source| AttemptsError::Sqlite { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        let begin = |connection: &mut Connection| {
            connection.pragma_update(None, "journal_mode", "wal")?;
            // What a power cut takes is told again, or is as lost as what the engine's end takes.
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

    /// How far the newest run was listened to; of no run, where there was none yet.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn heard(&self) -> Result<(RunId, u64), AttemptsError> {
        self.with(|connection| {
            let newest = "SELECT run, through FROM run ORDER BY number DESC LIMIT 1";
            let heard = connection.query_row(newest, [], |row| Ok((RunId(number_of(row.get(0)?)), whole(row, 1)?))).optional()?;
            Ok(heard.unwrap_or_default())
        })
    }

    /// Keeps what the engine told, in one transaction. What is there already stays as it is.
    ///
    /// # Errors
    /// When SQLite fails; nothing of it is kept then.
    pub fn keep(&self, told: &Frame) -> Result<(), AttemptsError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let run = told.run.0.to_be_bytes();
            transaction.execute("INSERT OR IGNORE INTO run (run, through, lost) VALUES (?1, 0, 0)", [run])?;
            let heard: u64 = transaction.query_row("SELECT through FROM run WHERE run = ?1", [run], |row| whole(row, 0))?;
            if told.through > heard {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO attempt (run, sequence, at_ms, after_position, command, credential, request, client, club, code, \
                     network, reason, decided) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                )?;
                let fresh = told.attempts.iter().filter(|attempt| attempt.sequence > heard);
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
                let lost = (told.through - heard).saturating_sub(kept);
                let heard = "UPDATE run SET through = ?2, lost = lost + ?3 WHERE run = ?1";
                transaction.execute(heard, params![run, stored(told.through), stored(lost)])?;
                let passed = "DELETE FROM attempt WHERE number <= (SELECT max(number) FROM attempt) - ?1";
                transaction.execute(passed, [stored(self.kept_max)])?;
            }
            transaction.commit()
        })
    }

    /// A page of attempts, newest first, from before a number where one is given.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn find(&self, of: AttemptsOf<'_>, before: Option<u64>, limit: usize) -> Result<AttemptsPage, AttemptsError> {
        let (condition, value) = match of {
            AttemptsOf::Anybody => ("?1 IS NULL", Value::Null),
            AttemptsOf::Client(client) => ("client = ?1", client_value(client)),
            AttemptsOf::Code(code) => ("code = ?1", Value::Text(code.to_owned())),
        };
        let before = before.map_or(i64::MAX, stored);
        // One more than asked for says whether there is more.
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

/// A number as SQLite has it: none that is counted in here comes near what that holds.
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

    fn told(run: RunId, numbers: &[u64], through: u64) -> Frame {
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
        attempts.find(AttemptsOf::Anybody, None, 100).expect("it can be read")
    }

    /// Z13: each refused attempt is kept once with the condition that decided it, and what was lost is counted once.
    #[test]
    fn what_is_told_twice_is_kept_once() {
        let (dir, attempts) = store(100);
        assert_eq!(attempts.heard().expect("it can be read"), (RunId(0), 0));
        attempts.keep(&told(RUN, &[], 0)).expect("it can be written");
        attempts.keep(&told(RUN, &[1, 2, 5], 6)).expect("it can be written");
        for _ in 0..2 {
            attempts.keep(&told(RUN, &[5, 7], 8)).expect("it can be written");
            attempts.keep(&told(RUN, &[1, 2], 2)).expect("it can be written");
        }
        drop(attempts);
        let attempts = Attempts::open(&dir.path().join("attempts.sqlite")).expect("it was closed");
        let page = all(&attempts);
        let sequences: Vec<_> = page.attempts.iter().map(|attempt| attempt.at_ms - 1_000).collect();
        assert_eq!((sequences, page.lost, page.before), (vec![7, 5, 2, 1], 4, None), "3, 4, 6 and 8 were not told");
        assert_eq!(attempts.heard().expect("it can be read"), (RUN, 8));
        let first = &page.attempts[3];
        assert_eq!(
            (first.reason.as_str(), first.client.as_deref(), first.network.as_deref()),
            ("too_many_misses", Some("1"), None)
        );
        assert_eq!(first.decided, "too many failed attempts; try again in 30s");
    }

    /// Z13: another run of the engine numbers its attempts anew, and they are others.
    #[test]
    fn another_run_begins_anew() {
        let (_dir, attempts) = store(100);
        attempts.keep(&told(RUN, &[1, 2], 2)).expect("it can be written");
        attempts.keep(&told(RunId(1), &[1], 1)).expect("it can be written");
        assert_eq!((all(&attempts).attempts.len(), attempts.heard().expect("it can be read")), (3, (RunId(1), 1)));
    }

    /// Z13: found by client and by code, newest first, page after page.
    #[test]
    fn attempts_are_found_by_client_and_by_code() {
        let (_dir, attempts) = store(100);
        attempts.keep(&told(RUN, &(1..=20).collect::<Vec<_>>(), 20)).expect("it can be written");
        let of_two = |before| attempts.find(AttemptsOf::Client(ClientId(2)), before, 3).expect("it can be read");
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
        let of_code = attempts.find(AttemptsOf::Code("code-1"), None, 100).expect("it can be read");
        assert_eq!(of_code.attempts.len(), 10);
        assert!(attempts.find(AttemptsOf::Code("code-3"), None, 100).expect("it can be read").attempts.is_empty());
    }

    /// A client whose id is no number is found as well, and a check has no request.
    #[test]
    fn whatever_id_a_client_has_it_is_found() {
        let (_dir, attempts) = store(100);
        let client = ClientId(u128::MAX - 1);
        let check = Attempt { command: "check".into(), request: RequestId(0), client: Some(client), code: None, ..attempt(1) };
        let frame = Frame { attempts: vec![check], ..told(RUN, &[], 1) };
        attempts.keep(&frame).expect("it can be written");
        let found = attempts.find(AttemptsOf::Client(client), None, 10).expect("it can be read");
        assert_eq!((requests(&found), found.attempts[0].client.clone()), (vec![String::new()], Some(client.to_string())));
    }

    /// Bounded everything: the newest stay.
    #[test]
    fn the_oldest_make_room() {
        let (_dir, attempts) = store(5);
        for number in 1..=12 {
            attempts.keep(&told(RUN, &[number], number)).expect("it can be written");
        }
        let numbers: Vec<_> = all(&attempts).attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!((numbers, all(&attempts).lost), (vec![12, 11, 10, 9, 8], 0));
    }

    #[test]
    fn a_file_of_another_version_is_left_alone() {
        let (dir, attempts) = store(5);
        attempts.with(|connection| connection.pragma_update(None, "user_version", 2)).expect("it can be written");
        drop(attempts);
        let opened = Attempts::open(&dir.path().join("attempts.sqlite"));
        assert!(matches!(opened, Err(AttemptsError::OtherVersion { found: 2, .. })));
    }
}
