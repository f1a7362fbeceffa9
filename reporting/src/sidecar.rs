//! The sidecar as a process runs it: locks its folder, follows the journal, and serves HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use scrip_client::{Dial, TailError, Tailing};
use scrip_protocol::Position;
use scrip_protocol::codes::CodeForm;
use scrip_web::listener::{self, ListenerLimits};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::attempts::receive::follow_attempts;
use crate::attempts::{Attempts, AttemptsError, AttemptsOf, AttemptsPage, KeptAttempt};
use crate::follow::{FollowError, follow};
use crate::http::{self, Api};
use crate::read_model::{ReadModel, ReadModelError, Readers, VERSION};
use crate::refusals::{Attempt, RefusalFilter};
use crate::shown::{At, Client};
use crate::sidecar_metrics;
use crate::standing::{Following, RequestClock, Standing};
use crate::store::Store;
use crate::watch::watch_engine;

/// The limits on connections of a sidecar. With as many, all live streams, exports, queries and waits for a position together fit
/// the seven eighths that busy connections keep, so that none of them is cut for another.
pub const LISTENER_LIMITS: ListenerLimits =
    ListenerLimits { connections_max: 512, connections_per_address_max: 128, ..ListenerLimits::PROBES };

const _: () = assert!(8 * http::answer::REQUESTS_MAX <= 7 * LISTENER_LIMITS.connections_max);

/// File descriptors reserved for the sidecar: three for each concurrent query and export of SQLite, and those of the runtime.
pub const DESCRIPTORS_RESERVED: usize = 160;

/// The settings of a sidecar.
#[derive(Clone)]
pub struct SidecarSettings {
    /// The engine, with a reporter's credential.
    pub dial: Dial,
    /// The sidecar's folder.
    pub store: PathBuf,
    /// The HTTP address (TCP).
    pub listen: SocketAddr,
    /// The limits on connections to that address.
    pub connections: ListenerLimits,
    /// The name of the sidecar as a journal reader; none to not register.
    pub reader: Option<String>,
    /// Whether to rebuild an existing read model.
    pub rebuild: bool,
}

/// Why a sidecar does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// The read model.
    #[error("the read model")]
    ReadModel(#[from] ReadModelError),
    /// The tail.
    #[error("the sidecar stopped")]
    Follow(#[from] FollowError),
    /// The tail, while a read model was built.
    #[error("building the read model failed")]
    Build(#[source] TailError),
    /// The refused attempts without a record.
    #[error("the file of refused attempts")]
    Attempts(#[from] AttemptsError),
    /// The address.
    #[error("listening on {address} (TCP)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error.
        source: std::io::Error,
    },
}

/// A running sidecar.
pub struct Sidecar {
    address: SocketAddr,
    standing: watch::Receiver<Standing>,
    stop: watch::Sender<bool>,
    following: JoinHandle<Result<(), FollowError>>,
    serving: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// Rebuilds the read model of a folder from the engine's journal up to its current end. Calls `progress` with each position.
///
/// # Errors
/// If the engine cannot be reached, no longer has the beginning of its journal, or the read model cannot be written. The old read
/// model is unchanged then.
pub async fn rebuild(dial: Dial, store: &Store, progress: &mut (dyn FnMut(Position) + Send)) -> Result<Position, SidecarError> {
    let mut building = store.build()?;
    let mut tailing = Tailing::resume(dial, building.cursor(), false).await.map_err(SidecarError::Build)?;
    while let Some(batch) = tailing.next().await.map_err(SidecarError::Build)? {
        tokio::task::block_in_place(|| building.take(batch))?;
        progress(building.cursor().position);
    }
    Ok(tokio::task::block_in_place(|| building.finish())?)
}

impl Sidecar {
    /// Locks the folder, rebuilds the read model if it has another version or the settings require it, and follows the engine.
    /// Must be called on a multi-threaded runtime.
    ///
    /// # Errors
    /// If the folder or the address is not available, or building the read model fails.
    pub async fn start(settings: SidecarSettings, progress: &mut (dyn FnMut(Position) + Send)) -> Result<Sidecar, SidecarError> {
        let store = Store::open(&settings.store)?;
        let opened = if settings.rebuild { None } else { ReadModel::open(&store.read_model())? };
        let model = match opened {
            Some(model) => model,
            None => {
                if !settings.rebuild {
                    tracing::warn!(
                        file = %store.read_model().display(),
                        version = VERSION,
                        "the tables of the read model have another version than this program's; rebuilding them from the journal"
                    );
                }
                rebuild(settings.dial.clone(), &store, progress).await?;
                ReadModel::open(&store.read_model())?.expect("it was just built with this version")
            }
        };
        let cursor = model.cursor();
        let (standing, watched) = watch::channel(Standing {
            applied: cursor.position,
            applied_ms: cursor.time_ms,
            changed: cursor.position,
            newest: None,
            engine_ms: 0,
            requests: RequestClock::default(),
            following: Following::Apart("not yet connected".into()),
        });
        let listen = |source| SidecarError::Listen { address: settings.listen, source };
        let listener = tokio::net::TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopping) = watch::channel(false);
        let attempts = Arc::new(Attempts::open(&store.attempts())?);
        let readers = Arc::new(Readers::beside(&model));
        let api = Api::new(readers, watched.clone()).with_attempts(found_in(&attempts));
        let router = http::router(api).merge(probes(&watched));
        let stopped = {
            let mut stopping = stopping.clone();
            // An error means that the sender is gone, which stops it too.
            async move { drop(stopping.wait_for(|stop| *stop).await) }
        };
        let serving = tokio::spawn(listener::serve(listener, router, settings.connections, stopped));
        let tasks = vec![
            tokio::spawn(watch_engine(settings.dial.clone(), store.read_model(), settings.reader, standing.clone())),
            tokio::spawn(follow_attempts(settings.dial.clone(), attempts, stopping.clone())),
        ];
        let following = tokio::spawn(async move {
            let ended = follow(settings.dial, model, standing, stopping).await;
            // Unlock the folder only when nothing writes to it.
            drop(store);
            ended
        });
        Ok(Sidecar { address, standing: watched, stop, following, serving, tasks })
    }

    /// The HTTP address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The progress of the read model.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Resolves when the follower has halted; [`Sidecar::stop`] returns the reason.
    pub async fn halted(&self) {
        let mut standing = self.standing.clone();
        // An error means that the follower has ended.
        let _ = standing.wait_for(|standing| matches!(standing.following, Following::Halted(_))).await;
    }

    /// Stops the sidecar: applies the batches received, and gives responses in progress the listener's time to end.
    ///
    /// # Errors
    /// The reason if it had halted.
    pub async fn stop(self) -> Result<(), SidecarError> {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.abort();
        }
        let following = self.following.await.expect("following does not panic");
        self.serving.await.expect("serving does not panic");
        Ok(following?)
    }
}

/// Health, readiness and metrics of a sidecar.
fn probes(standing: &watch::Receiver<Standing>) -> axum::Router {
    let (ready, counted) = (standing.clone(), standing.clone());
    let readiness = move || sidecar_metrics::readiness(&ready.borrow().clone());
    scrip_web::probes::router(readiness, move || sidecar_metrics::text(&counted.borrow().clone()))
}

/// Queries refused attempts for the HTTP interface. Their campaigns are unknown, so a filter by campaign finds none.
fn found_in(attempts: &Arc<Attempts>) -> http::Attempts {
    let attempts = Arc::clone(attempts);
    Arc::new(move |filter: &RefusalFilter, form: CodeForm, limit| {
        let code = filter.code.as_deref().map(|code| form.normalise(code).map(|code| code.as_str().to_owned()));
        let of = match (filter.client, &code, filter.campaign) {
            (_, _, Some(_)) | (_, Some(Err(_)), _) => return Vec::new(),
            (Some(client), _, None) => AttemptsOf::Client(client),
            (None, Some(Ok(code)), None) => AttemptsOf::Code(code),
            (None, None, None) => AttemptsOf::Anybody,
        };
        let found = attempts.find(of, None, limit).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "reading refused attempts failed");
            AttemptsPage { attempts: Vec::new(), before: None, lost: 0 }
        });
        let wanted = code.and_then(Result::ok);
        let is_wanted = |attempt: &KeptAttempt| wanted.is_none() || attempt.code == wanted;
        found.attempts.into_iter().filter(is_wanted).map(shown).collect()
    })
}

fn shown(kept: KeptAttempt) -> Attempt {
    Attempt {
        at: At(kept.at_ms),
        command: kept.command,
        credential: kept.credential,
        client: kept.client.and_then(|client| client.parse().ok()).map(Client),
        club: kept.club,
        code: kept.code,
        campaign: None,
        reason: kept.reason,
        decided: kept.decided,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::sample;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A stop does not cut off an active reader: a response larger than the socket buffers, whose head was already read when the
    /// sidecar stops, arrives complete.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_response_in_progress_is_whole_after_a_stop() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let store = Store::open(folder.path()).expect("it can be made");
        let sqlite = rusqlite::Connection::open(store.read_model()).expect("SQLite opens");
        sample::fill(&sqlite);
        sqlite
            .execute("UPDATE refusal SET reply = '\"' || printf('%.*c', 30000000, 'x') || '\"' WHERE position = 400", [])
            .expect("it fits");
        drop((sqlite, store));
        let key = rcgen::KeyPair::generate().expect("keys can be made");
        let authority =
            rcgen::CertificateParams::new(vec!["engine".into()]).and_then(|of| of.self_signed(&key)).expect("it is signed");
        let settings = SidecarSettings {
            // Nobody answers there.
            dial: Dial::new("127.0.0.1:9", authority.pem(), "token").expect("it is an address"),
            store: folder.path().to_owned(),
            listen: "127.0.0.1:0".parse().expect("an address"),
            connections: LISTENER_LIMITS,
            reader: None,
            rebuild: false,
        };
        let sidecar = Sidecar::start(settings, &mut |_| {}).await.expect("it starts");
        let mut stream = TcpStream::connect(sidecar.address()).await.expect("it listens");
        let request = "GET /v1/refusals?limit=1000 HTTP/1.1\r\nhost: sidecar\r\nauthorization: Bearer operator\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("it is taken");
        let mut received = vec![0; 4_096];
        let some = tokio::time::timeout(DEADLINE, stream.read(&mut received)).await.expect("it answers").expect("it can be read");
        received.truncate(some);
        let head = String::from_utf8_lossy(&received).into_owned();
        let (head, _) = head.split_once("\r\n\r\n").expect("the head comes first");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it has a length");
        let whole = head.len() + 4 + length.parse::<usize>().expect("a number");
        let rest = tokio::spawn(async move { stream.read_to_end(&mut received).await.map(|_| received.len()) });
        let stopped = tokio::time::timeout(DEADLINE, sidecar.stop()).await.expect("it stops");
        stopped.expect("it had not halted");
        let received = rest.await.expect("it does not panic").expect("it can be read");
        assert_eq!(received, whole, "the response was cut");
    }
}
