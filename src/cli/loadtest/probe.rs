//! `scrip loadtest probe`: the limits of this machine, without an engine.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use scrip_loadtest::machine::Machine;
use scrip_loadtest::probe::{Floor, Probe};

use super::document::print_floor;
use crate::exit::Exit;
use crate::print;

/// Measure the limits of this machine, without an engine
///
/// Measures appends and flushes of the disk, commits of redb, and a raw QUIC echo. Writes a few hundred MiB into a temporary folder and removes them. Rates are medians over the rounds.
#[derive(Debug, Args)]
pub(crate) struct ProbeCommand {
    /// Parent of the temporary folder, on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Number of rounds; each repeats every measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Appends, commits and single echoes in each round; fewer for large or slow ones (over two seconds)
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,
    /// Frames to echo in each round, with 1,024, 4,096 and 16,384 in flight
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    frames: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The results as JSON.
#[derive(serde::Serialize)]
struct Found<'a> {
    machine: &'a Machine,
    floor: &'a Floor,
}

impl ProbeCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let temporary =
            tempfile::tempdir_in(&dir).with_context(|| format!("cannot create a temporary folder in {}", dir.display()))?;
        let (rounds, times, frames) = (self.rounds as usize, self.times as usize, self.frames as usize);
        let probe = Probe { rounds, times, frames, ..Probe::full() };
        let mut say = |step: &str| match self.json {
            true => {}
            false => print::complain(step),
        };
        let floor = probe.run(temporary.path(), &mut say).await?;
        let machine = Machine::of(temporary.path());
        match self.json {
            true => print::json(&Found { machine: &machine, floor: &floor }),
            false => {
                let facts: Vec<Vec<String>> =
                    machine.facts().into_iter().map(|(about, what)| vec![about.to_owned(), what]).collect();
                print::table(&["", ""], &facts);
                print::line("");
                print_floor(&floor);
            }
        }
        Ok(Exit::Done)
    }
}
