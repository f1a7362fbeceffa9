//! `scrip serve`: the engine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use scrip_engine::folder::Folder;
use scrip_engine::journal::{ReplayProgress, SEGMENT_BYTES};
use scrip_engine::{Engine, Start};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::print;

/// Run the engine on a data folder, until SIGINT or SIGTERM
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The data folder
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR")]
    data: PathBuf,
    /// Where to listen, instead of where the configuration says (UDP)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// After how many MiB a segment of the journal ends
    #[arg(long, default_value_t = SEGMENT_BYTES >> 20, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=4096))]
    segment_mib: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let start = Start { listen: self.listen, segment_bytes: self.segment_mib << 20, ..Start::default() };
        let folder = Folder::at(&self.data);
        let started = Instant::now();
        let (engine, position) = start_engine(&folder, start)?;
        match self.json {
            true => print::json(&serde_json::json!({ "listening": engine.address(), "position": position })),
            false => print::line(format_args!(
                "listening on {} (UDP); {} records replayed in {:.2?}",
                engine.address(),
                print::grouped(position),
                started.elapsed()
            )),
        }
        let mut failed = engine.failed();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = failed.wait_for(Option::is_some) => {}
        }
        engine.stop().await?;
        if !self.json {
            print::line("stopped: everything taken was answered");
        }
        Ok(Exit::Done)
    }
}

/// Starts an engine, with a progress bar when the replay takes over a second. Returns it with the position it was replayed to.
pub(crate) fn start_engine(folder: &Folder, start: Start) -> anyhow::Result<(Engine, u64)> {
    let began = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    let mut position = 0;
    let mut progress = |so_far: ReplayProgress| {
        position = so_far.position.0;
        if began.elapsed() < Duration::from_secs(1) {
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("replaying the journal {bar:40} {bytes}/{total_bytes} {eta} left, at {msg}");
            ProgressBar::new(so_far.bytes_total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(so_far.bytes_done);
        bar.set_message(print::grouped(so_far.position.0));
    };
    let engine = tokio::task::block_in_place(|| Engine::start(folder, start, &mut progress));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let engine = engine.with_context(|| folder.dir().display().to_string())?;
    Ok((engine, position))
}
