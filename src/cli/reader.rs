//! `scrip reader`: registered readers of the journal, and their lag.

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::Position;
use scrip_protocol::command::{ForgetReaderOutcome, KeepReaderOutcome, Reader};

use crate::exit::Exit;
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// Manage journal readers (consumers) and show their lag
///
/// With `journal = "needed"` in scrip.toml, the engine keeps every segment that a registered reader has not read. A reader
/// belongs to the credential that registered it: only that credential and operators can move or remove it.
#[derive(Debug, Args)]
pub(crate) struct ReaderCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a reader, or move it forward
    ///
    /// Declares that the reader has stored everything up to this position. The position never moves backwards.
    Keep {
        /// Name of the reader
        name: String,
        /// Newest record that it has read; 0 if none
        #[arg(long)]
        position: Position,
        #[command(flatten)]
        request_args: RequestArgs,
        #[command(flatten)]
        reach: Reach,
    },
    /// Remove a reader; the engine no longer keeps segments for it
    Forget {
        /// Name of the reader
        name: String,
        #[command(flatten)]
        request_args: RequestArgs,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the readers and how far behind each is
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

impl ReaderCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Keep { name, position, request_args, reach } => {
                let call = async |client: &Client, request| client.keep_reader(request, &name, position).await;
                reach.carry_out(&request_args, call, |outcome| matches!(outcome, KeepReaderOutcome::Kept { .. })).await
            }
            Command::Forget { name, request_args, reach } => {
                let call = async |client: &Client, request| client.forget_reader(request, &name).await;
                reach.carry_out(&request_args, call, |outcome| *outcome == ForgetReaderOutcome::Forgotten).await
            }
            Command::List { reach } => {
                let listed = reach.client().await?.list_readers().await?;
                match reach.json {
                    true => print::json(&listed),
                    false if listed.readers.is_empty() => print::line("there are no readers"),
                    false => {
                        let row = |reader: &Reader| {
                            let Reader { name, position, moved_ms, credential } = reader;
                            let behind = listed.as_of.0.saturating_sub(position.0);
                            let credential = credential.map_or("-".to_owned(), |credential| credential.to_string());
                            let (position, behind) = (print::grouped(position.0), print::grouped(behind));
                            vec![name.clone(), position, behind, print::time(*moved_ms), credential]
                        };
                        let rows: Vec<_> = listed.readers.iter().map(row).collect();
                        print::table(&["NAME", ">POSITION", ">BEHIND", "MOVED", ">CREDENTIAL"], &rows);
                    }
                }
                Ok(Exit::Done)
            }
        }
    }
}
