//! An engine as a process runs it: a data folder recovered, and served.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::folder::{Folder, FolderError};
use crate::journal::{JournalError, ReplayProgress, SEGMENT_BYTES, Segments};
use crate::pipeline::{Beginning, Limits, Pipeline, SystemClock};
use crate::server::{Server, ServerError, ServerLimits};
use crate::state::State;

/// A running engine.
pub struct Engine {
    pipeline: Pipeline,
    server: Server,
    address: SocketAddr,
}

/// How an engine is to start.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Where to listen instead of where the configuration says.
    pub listen: Option<SocketAddr>,
    /// The bytes of batches after which a segment of the journal ends.
    pub segment_bytes: u64,
    /// What may be under way at once.
    pub limits: Limits,
    /// What callers may take.
    pub server_limits: ServerLimits,
}

impl Default for Start {
    fn default() -> Start {
        Start { listen: None, segment_bytes: SEGMENT_BYTES, limits: Limits::default(), server_limits: ServerLimits::default() }
    }
}

/// Why an engine does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal, on opening it.
    #[error("the journal was not opened")]
    Recovery(#[source] JournalError),
    /// The journal, on writing to it.
    #[error("the journal failed, and the engine stopped")]
    Journal(#[source] Arc<JournalError>),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Engine {
    /// Recovers the state of a folder from its journal, and serves it. `progress` is told how far the replay is. Must be called
    /// within a tokio runtime, on a thread that may block.
    ///
    /// # Errors
    /// When anything of the folder is missing, damaged or in use.
    pub fn start(folder: &Folder, start: Start, progress: &mut dyn FnMut(ReplayProgress)) -> Result<Engine, EngineError> {
        let config = folder.config()?;
        let mut state = State::default();
        let mut apply = |time_ms, record: &_| state.apply(time_ms, record);
        let journal =
            Segments::open(&folder.journal_path(), start.segment_bytes, &mut apply, progress).map_err(EngineError::Recovery)?;
        let behind_ms = state.now_ms().saturating_sub(scrip_protocol::unix_time_ms());
        if behind_ms > 60_000 {
            tracing::warn!(behind_ms, "this machine's clock is behind the journal; time stands still until it has caught up");
        }
        let clock = SystemClock::default();
        let credentials = folder.credentials_unknown_to(&state.credentials)?;
        let beginning = Beginning { settings: config.settings, credentials, guard: config.guard };
        let pipeline = Pipeline::start(state, Box::new(journal), &beginning, Box::new(clock), start.limits)
            .map_err(|error| EngineError::Journal(Arc::new(error)))?;
        let listen = start.listen.unwrap_or(config.listen);
        let server = Server::start(&pipeline, clock, folder, listen, start.server_limits)?;
        let address = server.address().map_err(|source| ServerError::Listen { address: listen, source })?;
        Ok(Engine { pipeline, server, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes the journal has on disk.
    pub fn journal_bytes(&self) -> u64 {
        self.pipeline.reader().bytes()
    }

    /// How many requests are under way ([`Pipeline::requests_under_way`]).
    pub fn requests_under_way(&self) -> usize {
        self.pipeline.requests_under_way()
    }

    /// Why the journal failed, once it has. [`Engine::stop`] is to be called then.
    pub fn failed(&self) -> watch::Receiver<Option<Arc<JournalError>>> {
        self.pipeline.failed()
    }

    /// Stops: takes nothing more, answers what was taken, and ends. Returns the state as it is then.
    ///
    /// # Errors
    /// When the journal failed, before or meanwhile.
    pub async fn stop(self) -> Result<State, EngineError> {
        let failed = self.pipeline.failed();
        let already = failed.borrow().clone();
        match already {
            Some(error) => self.server.fail(&error.to_string()).await,
            None => {
                let mut failed_meanwhile = failed.clone();
                tokio::select! {
                    () = self.server.stop() => {}
                    // Lanes wait for answers that will not come; their tasks end with the runtime.
                    _ = failed_meanwhile.wait_for(Option::is_some) => {}
                }
            }
        }
        let finished = tokio::task::spawn_blocking(move || self.pipeline.finish()).await;
        finished.expect("the pipeline's threads do not panic").map_err(EngineError::Journal)
    }
}
