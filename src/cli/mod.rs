//! The subcommands.

mod backup;
mod bonus;
mod campaign;
mod check;
mod client;
mod club;
mod codes;
mod demo;
pub(crate) mod export;
mod group;
mod hold;
mod init;
mod inspect;
mod lists;
mod loadtest;
mod lockouts;
mod note;
mod pushes;
mod reader;
mod redeem;
mod refund;
mod restore;
mod rule;
mod serve;
mod sidecar;
mod snapshot;
mod spend;
mod tail;
mod token;
mod top_up;
mod verify;

use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Redeem promo codes exactly as often as allowed, durably before each reply.
///
/// Most commands talk to a running engine: by default the one whose data folder is given with --data (on the same machine),
/// otherwise the one at --server, with --ca. They authenticate with the token in SCRIP_TOKEN or --token-file, or with --cert and
/// --key. Set SCRIP_LOG to warn, info or debug to choose what is logged.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Exit codes, as `scrip --help` lists them; `exit.rs` defines them.
const EXIT_CODES: &str = "Exit codes:
   0  done
   1  the engine refused the request
   2  invalid arguments, or help was printed instead of running the command
   3  the engine is unreachable or busy, or the caller is locked out after too
      many failed attempts
   4  no token or certificate, an unknown or revoked one, or a role that does
      not allow the command
   5  the request may have been executed, but its outcome is unknown: run the
      same command with --request-id
   6  the data folder, journal, snapshot or backup is unusable, or the inspected
      file is damaged
   7  the journal failed, and the engine stopped
   8  an audit or a verification found a difference
   9  an input file is unusable
  10  the clock of this machine or of the engine is wrong
  11  the command was executed, but standard output could not be written
  70  any other error";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    Sidecar(sidecar::SidecarCommand),
    Club(club::Club),
    Client(client::ClientCommand),
    Group(group::GroupCommand),
    Campaign(campaign::Campaign),
    Codes(codes::Codes),
    Redeem(redeem::Redeem),
    Refund(refund::Refund),
    Hold(hold::Hold),
    Confirm(hold::Confirm),
    Release(hold::Release),
    Check(check::Check),
    TopUp(top_up::TopUp),
    RefundTopUp(top_up::RefundTopUp),
    Bonus(bonus::Bonus),
    Spend(spend::Spend),
    Rule(rule::Rule),
    Pushes(pushes::Pushes),
    Token(token::Token),
    Snapshot(snapshot::SnapshotCommand),
    Reader(reader::ReaderCommand),
    Lockouts(lockouts::Lockouts),
    Tail(tail::Tail),
    Verify(verify::Verify),
    Inspect(inspect::Inspect),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Loadtest(loadtest::Loadtest),
    Export(export::ExportCommand),
}

impl Cli {
    /// Runs the subcommand.
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Demo(command) => command.run().await,
            Command::Init(command) => command.run(),
            Command::Serve(command) => command.run().await,
            Command::Sidecar(command) => command.run().await,
            Command::Club(command) => command.run().await,
            Command::Client(command) => command.run().await,
            Command::Group(command) => command.run().await,
            Command::Campaign(command) => command.run().await,
            Command::Codes(command) => command.run().await,
            Command::Redeem(command) => command.run().await,
            Command::Refund(command) => command.run().await,
            Command::Hold(command) => command.run().await,
            Command::Confirm(command) => command.run().await,
            Command::Release(command) => command.run().await,
            Command::Check(command) => command.run().await,
            Command::TopUp(command) => command.run().await,
            Command::RefundTopUp(command) => command.run().await,
            Command::Bonus(command) => command.run().await,
            Command::Spend(command) => command.run().await,
            Command::Rule(command) => command.run().await,
            Command::Pushes(command) => command.run().await,
            Command::Token(command) => command.run().await,
            Command::Snapshot(command) => command.run().await,
            Command::Reader(command) => command.run().await,
            Command::Lockouts(command) => command.run().await,
            Command::Tail(command) => command.run().await,
            Command::Verify(command) => command.run().await,
            Command::Inspect(command) => command.run(),
            Command::Backup(command) => command.run().await,
            Command::Restore(command) => command.run(),
            Command::Loadtest(command) => command.run().await,
            Command::Export(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
