//! `scrip client`: the organisation's clients.

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::ClientId;
use scrip_protocol::command::{ClientCard, RegisterClientOutcome, ShowClientOutcome};

use super::group;
use crate::exit::Exit;
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// Register and show clients
#[derive(Debug, Args)]
pub(crate) struct ClientCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a client, or set a client's name
    ///
    /// A redemption or a top-up registers its client automatically.
    Add {
        /// Client id: a decimal number or a UUID
        ///
        /// Decimal numbers have no leading zeros; UUIDs are in lower case with hyphens.
        client: ClientId,
        /// Display name
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        request_args: RequestArgs,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show a client's balances, spending and groups
    Show {
        /// Client id
        client: ClientId,
        #[command(flatten)]
        reach: Reach,
    },
}

impl ClientCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add { client, name, request_args, reach } => {
                let call = async |engine: &Client, request| engine.register_client(request, client, &name).await;
                reach.carry_out(&request_args, call, |outcome| matches!(outcome, RegisterClientOutcome::Registered { .. })).await
            }
            Command::Show { client, reach } => {
                let engine = reach.client().await?;
                let outcome = engine.show_client(client).await?;
                if reach.json {
                    print::json(&outcome);
                }
                match outcome {
                    ShowClientOutcome::Client(card) => {
                        if !reach.json {
                            let groups = match card.groups.as_slice() {
                                [] => "none".to_owned(),
                                of => print::named(of, &group::names(&engine).await?),
                            };
                            print_card(card, groups);
                        }
                        Ok(Exit::Done)
                    }
                    ShowClientOutcome::UnknownClient => {
                        if !reach.json {
                            print::line(format_args!("unknown client {client}"));
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
        ("spent in total", card.accounts.spent.to_string()),
        ("sessions", print::grouped(card.accounts.sessions)),
        ("groups", groups),
        ("as of position", card.as_of.to_string()),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print::table(&["", ""], &rows);
}
