//! `scrip client`: the organisation's clients.

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::ClientId;
use scrip_protocol::command::{ClientCard, RegisterClientOutcome, ShowClientOutcome};

use super::group;
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
    /// Register a client, or set a client's name. A redemption or a top-up registers its client by itself
    Add {
        /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
        client: ClientId,
        /// A name for people to read
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show a client: both balances, what was spent, the groups
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
                let call = async |engine: &Client, request| engine.register_client(request, client, &name).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                reach.answer(request, &outcome);
                Ok(if matches!(outcome, RegisterClientOutcome::Registered { .. }) { Exit::Done } else { Exit::Refused })
            }
            Command::Show { client, reach } => {
                let asked = reach.client().await?;
                let outcome = asked.show_client(client).await?;
                if reach.json {
                    print::json(&outcome);
                }
                match outcome {
                    ShowClientOutcome::Client(card) => {
                        if !reach.json {
                            let groups = match card.groups.as_slice() {
                                [] => "none".to_owned(),
                                of => print::named(of, &group::names(&asked).await?),
                            };
                            print_card(card, groups);
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

fn print_card(card: ClientCard, groups: String) {
    let name = if card.name.is_empty() { String::new() } else { format!(" ({})", card.name) };
    let rows = [
        ("client", format!("{}{name}", card.client)),
        ("bonus balance", card.accounts.bonus.to_string()),
        ("gaming balance", card.accounts.gaming.to_string()),
        ("spent in all", card.accounts.spent.to_string()),
        ("sessions", print::grouped(card.accounts.sessions)),
        ("groups", groups),
        ("as of position", card.as_of.to_string()),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print::table(&["", ""], &rows);
}
