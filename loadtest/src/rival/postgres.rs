//! PostgreSQL as a rival: a PL/pgSQL function for each request, in a transaction of its own unless an offer puts more in one call.
//!
//! A connection's transactions run one after another, each with a flush of its own; those of several connections share flushes.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use scrip_protocol::RequestId;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};
use uuid::Uuid;

use super::books::{Books, Row};
use super::error::RivalError;
use super::offer::{Answered, Answers, Offer, Terms, gather};
use super::process::{Folders, Server, command, find, run, server_command, usual_folders};
use crate::plan::Planned;

const PROGRAM: &str = "postgres";
const PACKAGE: &str = "postgresql";
const SCHEMA: &str = include_str!("schema.sql");
const USER: &str = "scrip";

/// Its settings, besides the defaults: every commit is flushed before it is answered, and no checkpoint runs during a
/// measurement.
pub(super) const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
];

/// How many codes an import sends in one statement.
const CODES_PER_STATEMENT: usize = 50_000;

/// One request per call, and any number per call.
const REDEEM: &str = "SELECT redeem($1, $2, $3, $4)";
const REDEEM_ALL: &str = "SELECT redeem(request, code, client, club)
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::integer[]) AS requests (request, code, client, club)";

/// A running PostgreSQL.
pub struct Postgres {
    control: Client,
    // Stopped before its folders are removed.
    _server: Server,
    folders: Folders,
    version: String,
}

impl Postgres {
    pub(super) async fn start(dir: &Path, programs: Option<&Path>, terms: Terms) -> Result<Postgres, RivalError> {
        let looked = programs.map_or_else(places, |folder| vec![folder.to_owned()]);
        let program = find(PROGRAM, PACKAGE, &looked)?;
        // These three belong to the same version.
        let beside = [program.parent().unwrap_or(Path::new("/")).to_owned()];
        let initdb = find("initdb", PACKAGE, &beside)?;
        let pg_ctl = find("pg_ctl", PACKAGE, &beside)?;
        let folders = Folders::make(dir)?;
        let user = folders.give_away()?;
        let data = folders.data().join("data");

        let mut init = command(&initdb, folders.data(), user);
        init.args(["--auth=trust", "--no-locale", "--encoding=UTF8", "--username", USER]).arg("-D").arg(&data);
        run("initdb", init).await?;
        let mut serve = server_command(&program, folders.data(), user);
        serve.arg("-D").arg(&data).arg("-k").arg(folders.sockets()).args(["-c", "listen_addresses="]);
        serve.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        // If it were killed, it would leave its shared memory behind.
        let mut stop = command(&pg_ctl, folders.data(), user);
        stop.args(["stop", "-m", "immediate", "-w", "-t", "30"]).arg("-D").arg(&data);
        let mut server = Server::start(PROGRAM, serve, folders.data(), Some(stop))?;

        let control = server.ready(async || connect(&folders).await).await?;
        control.batch_execute(SCHEMA).await?;
        let (cap, amount) = (i32::try_from(terms.cap).unwrap_or(i32::MAX), terms.amount);
        control.execute("INSERT INTO terms VALUES ($1, $2)", &[&cap, &amount]).await?;
        let version: String = control.query_one("SHOW server_version", &[]).await?.try_get(0)?;
        let version = format!("PostgreSQL {}", version.split(' ').next().unwrap_or("unknown"));
        Ok(Postgres { control, _server: server, folders, version })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) async fn import(&mut self, codes: &[String]) -> Result<(), RivalError> {
        for codes in codes.chunks(CODES_PER_STATEMENT) {
            self.control.execute("INSERT INTO codes SELECT unnest($1::text[]), 0", &[&codes]).await?;
        }
        // So that it has nothing left to do during the run.
        Ok(self.control.batch_execute("VACUUM ANALYZE").await?)
    }

    pub(super) async fn run(&self, offer: Offer, lists: Vec<Vec<Planned>>) -> Result<Answers, RivalError> {
        let lists = match offer.per_call {
            1 => lists,
            // Calls that wait for each other's clients would deadlock, so each client's requests use one connection.
            _ => by_client(lists),
        };
        let mut ready = Vec::new();
        for list in lists {
            let client = connect(&self.folders).await?;
            let one = client.prepare(REDEEM).await?;
            let all = client.prepare(REDEEM_ALL).await?;
            ready.push((Caller { client, one, all }, list));
        }
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for (caller, list) in ready {
            tasks.spawn(async move {
                let until = started + offer.time_max;
                match offer.per_call {
                    1 => pump(list.iter().map(|planned| caller.redeem(planned)), offer.window, until).await,
                    many => pump(list.chunks(many).map(|planned| caller.redeem_all(planned)), offer.window, until).await,
                }
            });
        }
        gather(tasks, started).await
    }

    pub(super) async fn books(&mut self) -> Result<Books, RivalError> {
        let mut books = Books::default();
        let none: [i32; 0] = [];
        let rows = self.control.query_raw("SELECT request, code, client, amount, answer FROM redemptions", none).await?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.next().await.transpose()? {
            let request: Uuid = row.try_get(0)?;
            let row = Row { code: row.try_get(1)?, client: row.try_get(2)?, amount: row.try_get(3)?, answer: row.try_get(4)? };
            books.row(RequestId(request.as_u128()), row);
        }
        for row in self.control.query("SELECT client, balance FROM balances", &[]).await? {
            books.balance(row.try_get(0)?, row.try_get(1)?);
        }
        let rows = self.control.query_raw("SELECT code, uses FROM codes", none).await?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.next().await.transpose()? {
            books.uses(row.try_get(0)?, u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(u32::MAX));
        }
        Ok(books)
    }
}

/// Where the server's programs are: distributions keep them out of the PATH, each version in its own folder. Uses the newest.
fn places() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> =
        versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))).collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, bin)| bin).chain(usual_folders()).collect()
}

/// Connects; the connection lives for as long as the client.
async fn connect(folders: &Folders) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = Config::new().host_path(folders.sockets()).user(USER).dbname("postgres").connect(NoTls).await?;
    // A call that waits for an answer returns the error.
    tokio::spawn(async { drop(connection.await) });
    Ok(client)
}

/// Splits requests into this many lists, all of a client's in the same one.
fn by_client(lists: Vec<Vec<Planned>>) -> Vec<Vec<Planned>> {
    let count = lists.len();
    let mut sorted: Vec<Vec<Planned>> = vec![Vec::new(); count];
    for planned in lists.into_iter().flatten() {
        sorted[(planned.redeem.client.0 % count as u128) as usize].push(planned);
    }
    sorted
}

/// The numbers that a call returned, each with its request; and how long it took.
type Called = Result<(Vec<(RequestId, i64)>, Duration), RivalError>;

struct Caller {
    client: Client,
    one: Statement,
    all: Statement,
}

impl Caller {
    /// Retries as long as another transaction is answering the same request id, or the two conflict.
    async fn call(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        const AGAIN: [SqlState; 2] = [SqlState::UNIQUE_VIOLATION, SqlState::T_R_DEADLOCK_DETECTED];
        loop {
            match self.client.query(statement, parameters).await {
                Err(error) if error.code().is_some_and(|code| AGAIN.contains(code)) => {}
                ended => return ended,
            }
        }
    }

    async fn redeem(&self, planned: &Planned) -> Called {
        let (request, code, client, club) = parameters(planned);
        let sent = Instant::now();
        let rows = self.call(&self.one, &[&request, &code, &client, &club]).await?;
        let row = rows.first().ok_or(RivalError::Rows { expected: 1, found: 0 })?;
        Ok((vec![(planned.request, row.try_get(0)?)], sent.elapsed()))
    }

    /// All in one transaction: none is answered before all are done, and a failure rolls all of them back.
    async fn redeem_all(&self, planned: &[Planned]) -> Called {
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        columns.extend(planned.iter().map(parameters));
        let (requests, codes, clients, clubs) = columns;
        let sent = Instant::now();
        let rows = self.call(&self.all, &[&requests, &codes, &clients, &clubs]).await?;
        let took = sent.elapsed();
        if rows.len() != planned.len() {
            return Err(RivalError::Rows { expected: planned.len(), found: rows.len() });
        }
        let numbers = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        Ok((planned.iter().map(|planned| planned.request).zip(numbers).collect(), took))
    }
}

fn parameters(planned: &Planned) -> (Uuid, &str, i64, i32) {
    let Planned { request, redeem } = planned;
    let client = i64::try_from(redeem.client.0).expect("a plan counts its clients");
    let club = i32::try_from(redeem.club.0).expect("a plan's clubs are those of an engine that was just begun");
    (Uuid::from_u128(request.0), redeem.code.as_str(), client, club)
}

/// Makes calls with at most `window` in flight, and starts none after `until`.
async fn pump<F: Future<Output = Called>>(
    mut calls: impl Iterator<Item = F>,
    window: usize,
    until: Instant,
) -> Result<Answered, RivalError> {
    let mut answered = Answered::none();
    let mut under_way = FuturesUnordered::new();
    loop {
        if Instant::now() < until {
            under_way.extend(calls.by_ref().take(window - under_way.len()));
        }
        let Some(called) = under_way.next().await else { return Ok(answered) };
        let (answers, took) = called?;
        for (request, answer) in answers {
            answered.note(request, answer, took);
        }
    }
}
