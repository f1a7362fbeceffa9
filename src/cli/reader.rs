//! `scrip reader`: who reads the journal, and how far each has come.

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::Position;
use scrip_protocol::command::{ForgetReaderOutcome, KeepReaderOutcome, Reader};

use crate::exit::Exit;
use crate::print;
use crate::reach::{Asking, Reach};

/// Say how far the readers of the journal have come
///
/// Where scrip.toml says that only what is needed of the journal is kept, what a registered reader has not read is. A reader belongs to the
/// credential that registered it: only that credential moves or forgets it, and operators.
#[derive(Debug, Args)]
pub(crate) struct ReaderCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a reader, or move it ahead
    ///
    /// It has read everything up to a position, and has put away what it needs of it. It never goes back.
    Keep {
        /// Its name
        name: String,
        /// The newest record that it has read; 0 where it has read none
        #[arg(long)]
        position: Position,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        reach: Reach,
    },
    /// Forget a reader: nothing is kept for it any more
    Forget {
        /// Its name
        name: String,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the readers, with how far behind each is
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

impl ReaderCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Keep { name, position, asking, reach } => {
                let call = async |client: &Client, request| client.keep_reader(request, &name, position).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                reach.answer(request, &outcome);
                Ok(if matches!(outcome, KeepReaderOutcome::Kept { .. }) { Exit::Done } else { Exit::Refused })
            }
            Command::Forget { name, asking, reach } => {
                let call = async |client: &Client, request| client.forget_reader(request, &name).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                reach.answer(request, &outcome);
                Ok(if outcome == ForgetReaderOutcome::Forgotten { Exit::Done } else { Exit::Refused })
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
