//! `scrip inspect`: what stands in the files of a data folder, whole or damaged.
//!
//! Nothing here locks, and nothing writes: a damaged file stays as it was found, and that of a running engine can be looked at.

mod journal;
mod snapshot;

use clap::{Args, Subcommand};

use crate::exit::Exit;

/// Look into a journal or a snapshot, whole or damaged; nothing is locked or changed. Exits with 6 where something is damaged
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Journal(journal::Journal),
    Snapshot(snapshot::Snapshot),
}

impl Inspect {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Journal(command) => command.run(),
            Command::Snapshot(command) => command.run(),
        }
    }
}

/// A hash in hexadecimal.
fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
