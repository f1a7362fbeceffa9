//! How a read is answered: authentication, a wait for the read model to reach a position, and one view for all queries.
//!
//! An answer depends on its position alone, or on its position and the engine's time, so that its entity tag is made of those:
//! `"p<position>-<of the chain's hash>"`, with `-t<milliseconds>` at its end where the time matters. Between them are the position after which
//! the history begins, the credential, and the version of the program: answers at one position differ by these.
//!
//! A caller is authenticated first, on threads that do nothing else, so that a stranger never takes a place from a caller.
//! Queries run on threads that may block: [`RUNNING_MAX`] at once, [`QUEUED_MAX`] more wait, and further ones are refused as
//! busy. One credential may use a part of these. Live streams read on their own threads. A query is interrupted if its caller
//! disconnects or the writer waits for it.

use std::fmt;
use std::future::Future;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use parking_lot::Mutex;
use rusqlite::InterruptHandle;
use scrip_protocol::Role;
use scrip_protocol::codes::CodeForm;
use scrip_web::caller::{Authority, Caller, Token, unauthorised};
use scrip_web::listener::RequestConnection;
use scrip_web::parameters::{self, FromArrival, Parameters, WHOLE_MAX};
use scrip_web::places::{Place, Places};
use scrip_web::problem::{Kind, Problem};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::credentials;
use super::problems::{AsOfProblem, BEHIND, EMPTY};
use crate::export::Export;
use crate::export::download::{DOWNLOADS_MAX, Downloads};
use crate::read_model::{AsOf, Readers, View, ViewTime};
use crate::refusals::{Attempt, RefusalFilter};
use crate::standing::Standing;

/// The maximum number of queries that run at once.
pub const RUNNING_MAX: usize = 8;
/// The maximum number of queries that wait.
pub const QUEUED_MAX: usize = 32;
/// The maximum number of queries of one credential that run at once.
pub const RUNNING_OF_ONE: usize = 6;
/// The maximum number of queries of one credential that run or wait.
pub const QUERIES_OF_ONE: usize = 24;
/// The maximum number of requests that wait for a position: in total, and per credential.
const WAITING_MAX: (usize, usize) = (96, 48);
/// The maximum number of live streams.
pub const STREAMS_MAX: usize = 256;
/// The maximum number of live streams of one credential.
pub const STREAMS_OF_ONE: usize = 64;
/// The maximum number of requests in progress that take long: streams, exports, queries and waits.
pub(crate) const REQUESTS_MAX: usize = STREAMS_MAX + DOWNLOADS_MAX + RUNNING_MAX + QUEUED_MAX + WAITING_MAX.0;
/// The maximum number of reads of streams that run at once: in total, and per credential.
const STREAM_READS: (usize, usize) = (4, 2);
/// The maximum number of concurrent token lookups.
const LOOKED_UP: usize = 4;
/// The timeout of a query, including the time it waits.
const QUERY_MAX: Duration = Duration::from_secs(20);
/// A query older than this is interrupted if the writer waits for it.
const QUERY_OLD: Duration = Duration::from_secs(5);
/// How long a request waits for a position, in milliseconds: the default and the maximum.
const WAIT_MS: (u64, u64) = (5_000, 30_000);

/// The response header with the position of an answer.
pub(crate) const SCRIP_POSITION: HeaderName = HeaderName::from_static("scrip-position");
/// The response header with the position after which the read model's history begins.
pub(crate) const SCRIP_HISTORY_AFTER: HeaderName = HeaderName::from_static("scrip-history-after");

/// Used as the credential before the first records, when none is known yet.
const NOBODY: u32 = 0;

/// Returns refused attempts without a record that match a filter, newest first, up to a number.
pub type Attempts = Arc<dyn Fn(&RefusalFilter, CodeForm, usize) -> Vec<Attempt> + Send + Sync>;

/// The state of every route: the read model, and its position.
#[derive(Clone)]
pub struct Api {
    pub(crate) readers: Arc<Readers>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) attempts: Option<Attempts>,
    pub(crate) streams: Places,
    pub(crate) downloads: Arc<Downloads>,
    /// Running and waiting queries.
    queries: Places,
    running: Places,
    pub(crate) stream_reads: Places,
    pub(crate) looked_up: Arc<Semaphore>,
    pub(crate) waiting: Places,
    /// A query older than this is interrupted if the writer waits for it.
    pub(crate) query_old: Duration,
    /// This machine's clock.
    pub(crate) clock: fn() -> u64,
}

/// What every request has in addition to the parameters of its route.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) token: Option<Token>,
    pub(crate) last_event: Option<EventId>,
    if_none_match: Option<String>,
    wait_for: Option<u64>,
    wait: Duration,
    connection: RequestConnection,
}

/// The parameters of a route, and those of every request.
pub(crate) type Query<T> = parameters::Query<T, Arrival>;

impl FromArrival for Arrival {
    fn read(from: &mut Parameters, headers: &HeaderMap, connection: &RequestConnection) -> Result<Arrival, Problem> {
        let described = "Wait until the read model reaches this position, so that a caller reads its own writes.";
        let wait_for = from.number("wait_for", 0, WHOLE_MAX, described)?;
        let (default, max) = WAIT_MS;
        let described = "How long `wait_for` waits, in milliseconds. Default: 5000.";
        let wait = Duration::from_millis(from.number("wait_ms", 0, max, described)?.unwrap_or(default));
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let last_event = text(HeaderName::from_static("last-event-id")).and_then(|id| id.parse().ok());
        let if_none_match = text(header::IF_NONE_MATCH).map(str::to_owned);
        let connection = connection.clone();
        Ok(Arrival { token: Token::of(headers), last_event, if_none_match, wait_for, wait, connection })
    }
}

impl Arrival {
    /// Whether `If-None-Match` contains this tag (RFC 9110, section 13.1.2).
    fn has(&self, tag: &str) -> bool {
        let tags = self.if_none_match.as_deref().unwrap_or_default();
        tags.split(',').map(str::trim).any(|of| of.strip_prefix("W/").unwrap_or(of) == tag)
    }

    /// Whether `If-None-Match` is `*`.
    fn has_any(&self) -> bool {
        self.if_none_match.as_deref().is_some_and(|tags| tags.trim() == "*")
    }
}

/// The id of an event of a stream: the position and time of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) position: u64,
    pub(crate) now_ms: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.position, self.now_ms)
    }
}

impl FromStr for EventId {
    type Err = ParseIntError;

    /// An id without a time has the time 0, which no event has.
    fn from_str(text: &str) -> Result<EventId, ParseIntError> {
        let (position, now_ms) = text.split_once('-').unwrap_or((text, "0"));
        Ok(EventId { position: position.parse()?, now_ms: now_ms.parse()? })
    }
}

/// The result of a read.
struct Seen {
    as_of: AsOf,
    /// None if the answer can change at the same position.
    tag: Option<String>,
    /// None if the caller already has it.
    body: Option<Vec<u8>>,
}

/// What an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    /// The position alone.
    Position,
    /// The position and the engine's time: holds expire, periods begin and end.
    PositionAndTime,
    /// Something else as well.
    More,
}

impl Api {
    /// Serves this read model.
    pub fn new(readers: Arc<Readers>, standing: watch::Receiver<Standing>) -> Api {
        let downloads = Arc::new(Downloads::new(Arc::clone(&readers)));
        Api {
            downloads,
            readers,
            standing,
            attempts: None,
            streams: Places::new(STREAMS_MAX, STREAMS_OF_ONE),
            queries: Places::new(RUNNING_MAX + QUEUED_MAX, QUERIES_OF_ONE),
            running: Places::new(RUNNING_MAX, RUNNING_OF_ONE),
            stream_reads: Places::new(STREAM_READS.0, STREAM_READS.1),
            looked_up: Arc::new(Semaphore::new(LOOKED_UP)),
            waiting: Places::new(WAITING_MAX.0, WAITING_MAX.1),
            query_old: QUERY_OLD,
            clock: scrip_protocol::unix_time_ms,
        }
    }

    /// Also serves refused attempts without a record.
    pub fn with_attempts(self, attempts: Attempts) -> Api {
        Api { attempts: Some(attempts), ..self }
    }

    /// Answers with what `read` returns; if that is none, with `not-found`, where `what` names the resource, such as `campaign`.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        arrival: Arrival,
        roles: &'static [Role],
        what: &'static str,
        read: impl FnOnce(&View<'_>, &Caller) -> rusqlite::Result<Option<T>> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.answer_that(Follows::Position, arrival, roles, what, read).await
    }

    /// The same, for an answer that may depend on more than the position.
    pub(crate) async fn answer_that<T: Serialize>(
        &self,
        follows: Follows,
        arrival: Arrival,
        roles: &'static [Role],
        what: &'static str,
        read: impl FnOnce(&View<'_>, &Caller) -> rusqlite::Result<Option<T>> + Send + 'static,
    ) -> Result<Response, Problem> {
        let read = move |view: &View<'_>, caller: &Caller| {
            let found = read(view, caller)?;
            Ok(found.ok_or_else(|| Problem::no_such(what).at_view(view.as_of)))
        };
        self.answer_or_problem(follows, arrival, roles, read).await
    }

    /// The same, but `read` chooses the problem.
    pub(crate) async fn answer_or_problem<T: Serialize>(
        &self,
        follows: Follows,
        arrival: Arrival,
        roles: &'static [Role],
        read: impl FnOnce(&View<'_>, &Caller) -> rusqlite::Result<Result<T, Problem>> + Send + 'static,
    ) -> Result<Response, Problem> {
        let credential = self.admit(&arrival, roles).await?;
        let seen = self
            .read(credential, move |view| {
                // Again, in the view of the answer: the token may have been revoked in the meantime.
                let caller = match credentials::caller(view, arrival.token, roles)? {
                    Ok(caller) => caller,
                    Err(problem) => return Ok(Err(problem)),
                };
                let as_of = view.as_of;
                let tag = match follows {
                    Follows::Position => Some(tag(view, &caller, "")?),
                    Follows::PositionAndTime => Some(tag(view, &caller, &format!("-t{}", view.now_ms))?),
                    Follows::More => None,
                };
                if tag.as_deref().is_some_and(|tag| arrival.has(tag)) {
                    return Ok(Ok(Seen { as_of, tag, body: None }));
                }
                let found = match read(view, &caller)? {
                    Ok(found) => found,
                    Err(problem) => return Ok(Err(problem)),
                };
                let body = serde_json::to_vec(&found).expect("answers have string keys and no floating-point numbers");
                Ok(Ok(Seen { as_of, tag, body: Some(body).filter(|_| !arrival.has_any()) }))
            })
            .await??;
        Ok(response(seen))
    }

    /// Answers with an export.
    pub(crate) async fn export(&self, arrival: Arrival, roles: &'static [Role], export: Export) -> Result<Response, Problem> {
        let credential = self.admit(&arrival, roles).await?;
        arrival.connection.spare();
        let turn = self.downloads.turn(credential).await?;
        // Again: it may have waited for its turn.
        self.authenticate(arrival.token, roles).await?;
        let mut response = self.downloads.begin(turn, export).await?;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("authorization"));
        Ok(response)
    }

    /// Runs a query of a credential: calls `read` with a view at the last known engine time, on a thread that may block.
    ///
    /// # Errors
    /// If too many queries run at once, the query takes too long, or SQLite fails, which is logged here.
    pub async fn read<T: Send + 'static>(
        &self,
        credential: u32,
        read: impl FnOnce(&View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || {
            let all = RUNNING_MAX + QUEUED_MAX;
            Problem::new(
                Kind::BUSY,
                format!("the limit of {all} concurrent queries, or {QUERIES_OF_ONE} per credential, is reached"),
            )
        };
        let place = self.queries.take(credential).ok_or_else(busy)?;
        let turn = async { (place, self.running.wait(credential).await) };
        self.read_in_turn(turn, read).await
    }

    /// The same for a stream, which already has its place.
    ///
    /// # Errors
    /// See [`Api::read`].
    pub(crate) async fn read_for_stream<T: Send + 'static>(
        &self,
        credential: u32,
        read: impl FnOnce(&View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.read_in_turn(self.stream_reads.wait(credential), read).await
    }

    /// Calls `read` when it is its turn.
    async fn read_in_turn<T: Send + 'static, Turn: Send + 'static>(
        &self,
        turn: impl Future<Output = Turn>,
        read: impl FnOnce(&View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let too_slow = || Problem::new(Kind::TOO_SLOW, format!("the query did not finish within {} s", QUERY_MAX.as_secs()));
        let answered = tokio::time::timeout(QUERY_MAX, async {
            let turn = turn.await;
            let mut awaited = self.readers.awaited();
            // An error means that the writer has ended.
            let _ = awaited.wait_for(|awaited| !*awaited).await;
            let time = {
                let standing = self.standing.borrow();
                // Also bounded by this machine's clock: it may be the engine's, and may have been corrected since the last
                // report.
                let requests_ms = standing.requests.covered_ms().min((self.clock)());
                ViewTime { now_ms: standing.engine_ms, requests_ms }
            };
            let (readers, running) = (Arc::clone(&self.readers), Arc::new(Running::default()));
            let _interrupts_when_dropped = Interrupts(Arc::clone(&running));
            let read = move || {
                let _held_until_it_ends = turn;
                readers.view_at(time, |view| {
                    // SQLite forgets an interruption while no statement is open. This statement stays open, so that an
                    // interruption between two queries reaches the second.
                    let mut open = view.connection.prepare_cached("SELECT 1")?;
                    let mut open = open.query([])?;
                    open.next()?;
                    if !running.begins(view.connection.get_interrupt_handle()) {
                        return Ok(None);
                    }
                    let found = read(view);
                    running.ends();
                    found.map(Some)
                })
            };
            let internal = || Problem::new(Kind::INTERNAL, "reading the read model failed; see the sidecar's log");
            let read = tokio::task::spawn_blocking(read);
            let old_and_awaited = async {
                tokio::time::sleep(self.query_old).await;
                if awaited.wait_for(|awaited| *awaited).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let read = tokio::select! {
                read = read => read,
                () = old_and_awaited => {
                    return Err(Problem::new(Kind::BUSY, "the query was interrupted to truncate SQLite's log; request less, or retry"));
                }
            };
            match read {
                Ok(Ok(Some(found))) => Ok(found),
                Ok(Ok(None)) => Err(too_slow()),
                Ok(Err(why)) => {
                    tracing::error!(error = &why as &dyn std::error::Error, "a query failed");
                    Err(internal())
                }
                Err(why) => {
                    tracing::error!(error = &why as &dyn std::error::Error, "a query ended without an answer");
                    Err(internal())
                }
            }
        });
        answered.await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// Authenticates a caller, charges it for its connection, and waits until the read model reaches the requested position. Returns
    /// the credential.
    ///
    /// # Errors
    /// If the caller is not authenticated or not permitted, or the position is not reached in time.
    pub(crate) async fn admit(&self, arrival: &Arrival, roles: &'static [Role]) -> Result<u32, Problem> {
        let authenticate = async || {
            let Caller { credential, .. } = self.authenticate(arrival.token, roles).await?;
            arrival.connection.charge(credential);
            Ok(credential)
        };
        match (authenticate().await, arrival.wait_for) {
            (Ok(credential), Some(position)) => {
                self.wait(credential, arrival, position).await?;
                Ok(credential)
            }
            // Credentials arrive with the first records, so the token is looked up again after the wait.
            (Err(Problem { kind: EMPTY, .. }), Some(position)) => {
                self.wait(NOBODY, arrival, position).await?;
                authenticate().await
            }
            (admitted, _) => admitted,
        }
    }

    async fn wait(&self, credential: u32, arrival: &Arrival, position: u64) -> Result<(), Problem> {
        let has_come = |standing: &Standing| standing.applied.0 >= position;
        let mut standing = self.standing.clone();
        if has_come(&standing.borrow()) {
            return Ok(());
        }
        let busy = || {
            let (all, of_one) = WAITING_MAX;
            Problem::new(
                Kind::BUSY,
                format!("the limit of {all} requests that wait for a position, or {of_one} per credential, is reached"),
            )
        };
        let _place: Place = self.waiting.take(credential).ok_or_else(busy)?;
        // The follower of the journal may have ended; then no more records arrive.
        let reached = matches!(tokio::time::timeout(arrival.wait, standing.wait_for(has_come)).await, Ok(Ok(_)));
        if reached {
            return Ok(());
        }
        let applied = self.standing.borrow().applied;
        Err(Problem::new(BEHIND, format!("the read model is at position {applied}, not yet at {position}")).at(applied))
    }
}

impl Authority for Api {
    /// Looks the token up in the newest view.
    async fn authenticate(&self, token: Option<Token>, roles: &'static [Role]) -> Result<Caller, Problem> {
        if token.is_none() {
            let is_empty = self.standing.borrow().applied.0 == 0;
            return Err(if is_empty { credentials::empty() } else { unauthorised() });
        }
        let turn = async { Arc::clone(&self.looked_up).acquire_owned().await };
        self.read_in_turn(turn, move |view| credentials::caller(view, token, roles)).await?
    }
}

/// The entity tag of everything that a caller reads at this position. The hash differs between journals; and answers at one position differ
/// where the history begins later, between callers, and between versions of the program.
fn tag(view: &View<'_>, caller: &Caller, end: &str) -> rusqlite::Result<String> {
    let hash: Vec<u8> = view.connection.prepare_cached("SELECT hash FROM cursor")?.query_row([], |row| row.get(0))?;
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let AsOf { position, history_after, .. } = view.as_of;
    let (credential, version) = (caller.credential, env!("CARGO_PKG_VERSION"));
    Ok(format!("\"p{position}-{hash}-h{history_after}-c{credential}-v{version}{end}\""))
}

fn response(seen: Seen) -> Response {
    let unchanged = seen.body.is_none();
    let mut response = Response::new(seen.body.map_or_else(Body::empty, Body::from));
    let headers = response.headers_mut();
    headers.insert(SCRIP_POSITION, HeaderValue::from(seen.as_of.position.0));
    headers.insert(SCRIP_HISTORY_AFTER, HeaderValue::from(seen.as_of.history_after.0));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    if let Some(tag) = seen.tag {
        headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("digits and hexadecimals are visible"));
    }
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// A handle to interrupt a query: only while it runs, not after its connection was reused for another.
#[derive(Default)]
struct Running(Mutex<Stage>);

#[derive(Default)]
enum Stage {
    #[default]
    NotBegun,
    Runs(InterruptHandle),
    Over,
}

impl Running {
    /// Whether a caller still waits for it.
    fn begins(&self, handle: InterruptHandle) -> bool {
        let mut stage = self.0.lock();
        let begins = matches!(*stage, Stage::NotBegun);
        if begins {
            *stage = Stage::Runs(handle);
        }
        begins
    }

    fn ends(&self) {
        *self.0.lock() = Stage::Over;
    }
}

/// Interrupts a query when dropped: then no caller waits for it.
struct Interrupts(Arc<Running>);

impl Drop for Interrupts {
    fn drop(&mut self) {
        let mut stage = self.0.0.lock();
        if let Stage::Runs(handle) = &*stage {
            handle.interrupt();
        }
        *stage = Stage::Over;
    }
}
