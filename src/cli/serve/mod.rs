//! `scrip serve`: runs the engine.

mod metrics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use scrip_engine::folder::Folder;
use scrip_engine::{Engine, Start};
use scrip_journal::SEGMENT_BYTES;
use scrip_protocol::Position;
use scrip_web::listener::descriptors;
use serde_json::json;

use crate::exit::Exit;
use crate::print;
use crate::progress::Progress;
use crate::stop::{Starting, Stops};
use metrics::Probed;

/// Run the engine on a data folder until SIGINT or SIGTERM
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Data folder
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR")]
    data: PathBuf,
    /// Address to listen on (UDP); overrides scrip.toml
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Size at which a segment of the journal ends, in MiB
    #[arg(long, default_value_t = SEGMENT_BYTES >> 20, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=4096))]
    segment_mib: u64,
    /// Address for probes and metrics (TCP, HTTP); overrides scrip.toml [default: none]
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Start although this machine's clock seems wrong
    ///
    /// The engine refuses to start if the clock is implausible. Pass this once, after checking that the clock is right: later starts
    /// are compared with this clock until it is set again. If the newest record is from the future, the times of new records continue
    /// from there at half speed until the clock has caught up: holds and lockouts last up to twice as long, and reports show those
    /// times. Requests are judged by the current clock, and none is executed twice.
    #[arg(long)]
    accept_clock: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let mut stops = Stops::new()?;
        let starting = Starting::new(self.json)?;
        let start = Start {
            listen: self.listen,
            segment_bytes: self.segment_mib << 20,
            accept_clock: self.accept_clock,
            ..Start::default()
        };
        let folder = Folder::at(&self.data);
        let descriptors = descriptors::for_connections(Engine::DESCRIPTORS_RESERVED)?;
        let metrics = match self.metrics {
            Some(listen) => Some(listen),
            None => {
                let config = tokio::task::block_in_place(|| folder.config());
                config.with_context(|| folder.dir().display().to_string())?.metrics.listen
            }
        };
        // Before the engine writes anything: a start that fails changes nothing.
        let metrics = metrics.map(Probed::listen).transpose()?;
        let began = Instant::now();
        let engine = start_engine(&folder, start)?;
        drop(starting);
        let (took, started) = (began.elapsed(), engine.started());
        let probed = match metrics {
            Some(listener) => match Probed::start(listener, engine.vitals(), descriptors) {
                Ok(probed) => Some(probed),
                Err(error) => {
                    engine.stop().await?;
                    return Err(error);
                }
            },
            None => None,
        };
        let metrics = probed.as_ref().map(Probed::address);
        match self.json {
            true => print::json(&json!({
                "listening": engine.address(),
                "position": started.replayed,
                "snapshot": started.snapshot,
                "replayed": started.replayed.0 - started.snapshot.0,
                "milliseconds": took.as_millis() as u64,
                "metrics": metrics,
            })),
            false => print::line(format_args!("listening on {} (UDP); {}", engine.address(), came_to(&engine, took))),
        }
        if let Some(metrics) = metrics.filter(|_| !self.json) {
            print::line(format_args!("metrics on http://{metrics}/metrics"));
        }
        let why = tokio::select! {
            () = stops.stopped() => "the engine is stopping",
            () = engine.failed() => "the engine has failed; see its log",
        };
        if let Some(probed) = &probed {
            probed.not_ready(why);
        }
        engine.stop().await?;
        if !self.json {
            print::line("stopped; every accepted request was answered");
        }
        Ok(Exit::Done)
    }
}

/// Starts an engine, with a progress bar if the replay takes over a second.
pub(crate) fn start_engine(folder: &Folder, start: Start) -> anyhow::Result<Engine> {
    let mut progress = Progress::new("replaying the journal");
    let engine = tokio::task::block_in_place(|| Engine::start(folder, start, &mut |so_far| progress.replayed(so_far)));
    drop(progress);
    engine.with_context(|| folder.dir().display().to_string())
}

/// How an engine recovered its state, in words, and how long that took.
pub(crate) fn came_to(engine: &Engine, took: Duration) -> String {
    let started = engine.started();
    let (all, Position(snapshot)) = (print::count(started.replayed.0, "record"), started.snapshot);
    let replayed = print::grouped(started.replayed.0 - snapshot);
    let took = print::time_us(took.as_micros() as f64);
    match (snapshot, started.replayed) {
        (_, Position(0)) => "a new journal".to_owned(),
        (0, _) => format!("{all} replayed in {took}"),
        (snapshot, _) => format!("{all}: {} from a snapshot, {replayed} replayed, in {took}", print::grouped(snapshot)),
    }
}
