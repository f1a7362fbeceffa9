//! `scrip client`: the organisation's clients.

use clap::{Args, Subcommand};
use scrip_protocol::ClientId;
use scrip_protocol::command::{RegisterClientOutcome, ShowClientOutcome};

use crate::exit::Exit;
use crate::print;
use crate::reach::{Asking, Reach};

/// Register and show clients
#[derive(Debug, Args)]
pub(crate) struct ClientCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a client, or set a client's name. A redemption registers its client by itself
    Add {
        /// The client's id: a UUID or a decimal number
        client: ClientId,
        /// A name for people to read
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show a client's bonus balance
    Show {
        /// The client's id
        client: ClientId,
        #[command(flatten)]
        reach: Reach,
    },
}

impl ClientCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add { client, name, asking, reach } => {
                let request = asking.id();
                let outcome = reach.client().await?.register_client(request, client, &name).await?;
                reach.answer(request, &outcome);
                Ok(if matches!(outcome, RegisterClientOutcome::Registered { .. }) { Exit::Done } else { Exit::Refused })
            }
            Command::Show { client, reach } => {
                let outcome = reach.client().await?.show_client(client).await?;
                if reach.json {
                    print::json(&outcome);
                }
                match outcome {
                    ShowClientOutcome::Client(card) => {
                        if !reach.json {
                            let name = if card.name.is_empty() { String::new() } else { format!(" ({})", card.name) };
                            print::line(format_args!("client {}{name}: bonus balance {}", card.client, card.balance));
                        }
                        Ok(Exit::Done)
                    }
                    ShowClientOutcome::UnknownClient => {
                        if !reach.json {
                            print::line(format_args!("nobody is registered as client {client}"));
                        }
                        Ok(Exit::Refused)
                    }
                }
            }
        }
    }
}
