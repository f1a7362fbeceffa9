//! An engine as a process runs it: recovers a data folder and serves it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::Position;

use crate::clock_file::{ClockFile, ClockNoter};
use crate::error::EngineError;
use crate::folder::Folder;
use crate::keeper::{Keeper, KeeperSettings};
use crate::pipeline::{Beginning, Finished, Limits, Pipeline, SystemClock};
use crate::recover::{Recovered, recover, states_less_than_kept};
use crate::server::{Bound, Server, ServerError, ServerLimits};
use crate::snapshot::{self, Pace, PassedOver};
use crate::verifier::Verifier;
use crate::vitals::{LagLooks, Vitals};
use scrip_core::state::State;
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::{ReplayProgress, SEGMENT_BYTES};

/// A running engine.
pub struct Engine {
    pipeline: Pipeline,
    keeper: Keeper,
    server: Server,
    address: SocketAddr,
    disk: Arc<dyn Disk>,
    snapshots: PathBuf,
    /// The snapshots that the start could not use.
    passed_over: Vec<PathBuf>,
    start: Started,
    verifier: Verifier,
    vitals: Arc<Vitals>,
    clock_noter: ClockNoter,
}

/// How an engine recovered its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The newest record of the snapshot that it started from; 0 for none.
    pub snapshot: Position,
    /// The newest record of the journal, where the replay ended.
    pub replayed: Position,
}

/// Options for starting an engine.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// The address to listen on instead of the configured one.
    pub listen: Option<SocketAddr>,
    /// The size of batches at which a segment of the journal ends.
    pub segment_bytes: u64,
    /// Limits of the pipeline.
    pub limits: Limits,
    /// Limits for callers.
    pub server_limits: ServerLimits,
    /// Start although the machine's clock is implausible compared with the newest record ([`ClockError`](crate::pipeline::ClockError)), and check later starts
    /// against this clock.
    pub accept_clock: bool,
}

impl Default for Start {
    fn default() -> Start {
        let (limits, server_limits) = (Limits::default(), ServerLimits::default());
        Start { listen: None, segment_bytes: SEGMENT_BYTES, limits, server_limits, accept_clock: false }
    }
}

impl Engine {
    /// Descriptors reserved for the engine: its journal, snapshots and readers, its sockets and the runtime.
    pub const DESCRIPTORS_RESERVED: usize = 128;

    /// Recovers the state of a folder from its journal, and serves it. Calls `progress` during the replay. Must be called within
    /// a tokio runtime, on a thread that may block.
    ///
    /// # Errors
    /// If anything in the folder is missing, damaged or in use.
    pub fn start(folder: &Folder, start: Start, progress: &mut dyn FnMut(ReplayProgress)) -> Result<Engine, EngineError> {
        let config = folder.config()?;
        let (disk, snapshots): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), folder.snapshots_path());
        let verify_bytes = config.snapshots.verify_at_open_mib << 20;
        let recovered = recover(&disk, folder, start.segment_bytes, verify_bytes, progress)?;
        let Recovered { state, journal, snapshot, unverified, passed_over, .. } = recovered;
        if let Err(error) = snapshot::remove_unfinished(disk.as_ref(), &snapshots) {
            tracing::warn!(%error, "an unfinished snapshot could not be removed");
        }
        if let Some(recorded) = state.recorded_form().filter(|recorded| recorded.supported().is_none()) {
            return Err(EngineError::CodeForm(recorded));
        }
        let last = snapshot.as_ref().map(|snapshot| snapshot.header().end);
        let started = Started { snapshot: last.map_or(Position(0), |last| last.position), replayed: state.position() };
        let credentials = folder.credentials_unknown_to(&state.credentials)?;
        // Before anything is written that later starts go by: a start that fails here has changed nothing.
        let listen = start.listen.unwrap_or(config.listen);
        let bound = Bound::new(folder, listen, start.server_limits)?;
        let address = bound.address().map_err(|source| ServerError::Listen { address: listen, source })?;
        let clock_file = ClockFile::at(folder.clock_path());
        let wall_ms = scrip_protocol::unix_time_ms();
        let followed = clock_file.judge_start(state.now_ms(), state.position(), wall_ms, start.accept_clock)?;
        let clock = SystemClock::default();
        let keeping = KeeperSettings::from(&config);
        let beginning = Beginning { settings: config.settings, credentials, guard: config.guard };
        let codes = (state.campaigns.base().clone(), state.code_form());
        let pipeline = Pipeline::start(state, Box::new(journal), &beginning, Box::new(clock), start.limits)
            .map_err(|error| EngineError::Journal(Arc::new(error)))?;
        let (reader, durable) = (pipeline.reader(), pipeline.durable());
        let verifier = Verifier::start(snapshot.zip(unverified), reader.clone(), codes);
        let keeper = Keeper::start(disk.clone(), snapshots.clone(), keeping, reader, pipeline.registry(), durable, last);
        let vitals = Arc::new(Vitals {
            started_ms: scrip_protocol::unix_time_ms(),
            clock: pipeline.clock(),
            counters: pipeline.counters(),
            attempts: pipeline.attempts(),
            reader: pipeline.reader(),
            looks: LagLooks::default(),
            newest: keeper.handle().newest(),
            under_way: pipeline.under_way(),
            under_way_max: start.limits.requests_max,
            connections_max: start.server_limits.connections_max,
        });
        let clock_noter = ClockNoter::start(clock_file, followed, pipeline.clock(), pipeline.counters());
        let server = Server::start(bound, &pipeline, keeper.handle(), vitals.clone());
        Ok(Engine {
            pipeline,
            keeper,
            server,
            address,
            disk,
            snapshots,
            passed_over,
            start: started,
            verifier,
            vitals,
            clock_noter,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The size of the journal on disk, in bytes.
    pub fn journal_bytes(&self) -> u64 {
        self.pipeline.reader().bytes()
    }

    #[cfg(test)]
    pub(crate) fn totals(&self) -> &Arc<crate::pipeline::Totals> {
        self.server.totals()
    }

    #[cfg(test)]
    pub(crate) fn index(&self) -> Arc<scrip_core::index::Index> {
        self.pipeline.index()
    }

    /// The number of requests in progress ([`Pipeline::requests_under_way`]).
    pub fn requests_under_way(&self) -> usize {
        self.pipeline.requests_under_way()
    }

    /// Its status. Remains usable while the engine stops.
    pub fn vitals(&self) -> Arc<Vitals> {
        self.vitals.clone()
    }

    /// How it recovered its state.
    pub fn started(&self) -> Started {
        self.start
    }

    /// Waits until the journal fails, or the data that the engine started on is found to be damaged. Then call [`Engine::stop`],
    /// which returns the reason.
    pub fn failed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut failed, mut damage) = (self.pipeline.failed(), self.verifier.damage());
        async move {
            let damaged = async {
                if damage.wait_for(Option::is_some).await.is_err() {
                    // Everything was checked and is valid.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = failed.wait_for(Option::is_some) => {}
                () = damaged => {}
            }
        }
    }

    /// Stops: accepts no more requests, answers the accepted ones, writes a snapshot, and ends. Returns the final state.
    ///
    /// # Errors
    /// If the journal failed, before or meanwhile, or the data that the engine started on is damaged.
    pub async fn stop(self) -> Result<State, EngineError> {
        let failed = self.pipeline.failed();
        let already = failed.borrow().clone();
        match already {
            Some(error) => self.server.fail(&error.to_string()).await,
            None => {
                let mut failed_meanwhile = failed.clone();
                tokio::select! {
                    () = self.server.stop() => {}
                    // Lanes wait for answers that will not arrive; their tasks end with the runtime.
                    _ = failed_meanwhile.wait_for(Option::is_some) => {}
                }
            }
        }
        let Engine { pipeline, keeper, disk, snapshots, passed_over, start, verifier, clock_noter, .. } = self;
        let finish = move || {
            keeper.stop();
            clock_noter.stop();
            // Whatever the pipeline ends with: a verification that is stopped leaves nothing on record.
            let verified = verifier.stop();
            let finished = pipeline.finish().map_err(EngineError::Journal)?;
            let is_verified = verified.map_err(EngineError::Damaged)?;
            if finished.journal.end().position > start.snapshot {
                // A snapshot of unverified data would have a new, valid hash.
                match is_verified {
                    true => keep(disk.as_ref(), &snapshots, &finished, &passed_over),
                    false => tracing::warn!("no snapshot is written: the one that the engine started on was not yet verified"),
                }
            }
            Ok(finished.state)
        };
        tokio::task::spawn_blocking(finish).await.expect("the pipeline's threads do not panic")
    }
}

/// Writes a snapshot of the state that an engine ends with, so that the next start has nothing to replay. It replaces the damaged ones that the
/// start has passed over. Where that fails the next start replays the journal, and nothing is lost.
pub(crate) fn keep(disk: &dyn Disk, dir: &Path, finished: &Finished, passed_over: &[PathBuf]) {
    // A start by a clock that was ahead left a range of version 1 as it was. The keeper has read what it stands for, and may have dropped it.
    if states_less_than_kept(disk, dir, &finished.state) {
        tracing::info!(
            "no snapshot is written: the newest one has more information about forgotten requests; the next start replays the journal"
        );
        return;
    }
    let written = snapshot::write(disk, dir, &finished.state, finished.journal.end(), Pace::Full, &mut |_, _| {});
    let replaced = written.and_then(|written| {
        let passed_over = PassedOver::check(disk, passed_over);
        snapshot::replace(disk, dir, &written.path, &passed_over, &mut snapshot::log_removal)
    });
    if let Err(error) = replaced {
        tracing::warn!(%error, "no snapshot was written; the next start replays the journal");
    }
}
