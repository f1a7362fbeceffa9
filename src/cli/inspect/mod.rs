//! `scrip inspect`: the contents of a data folder's files, intact or damaged.
//!
//! Nothing here locks or writes: a damaged file stays as it was found, and the files of a running engine can be inspected.

mod journal;
mod snapshot_file;

use clap::{Args, Subcommand};

use crate::exit::Exit;

/// Inspect a journal or a snapshot, intact or damaged
///
/// Locks and changes nothing. Exits with 6 if anything is damaged.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Journal(journal::Journal),
    Snapshot(snapshot_file::Snapshot),
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
