//! `scrip club`: the organisation's clubs.

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::command::RegisterClubOutcome;

use crate::exit::Exit;
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// Register and list clubs
#[derive(Debug, Args)]
pub(crate) struct Club {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a club
    Add {
        /// Name of the club
        name: String,
        #[command(flatten)]
        request_args: RequestArgs,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the clubs
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

impl Club {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add { name, request_args, reach } => {
                let call = async |client: &Client, request| client.register_club(request, &name).await;
                reach.carry_out(&request_args, call, |outcome| matches!(outcome, RegisterClubOutcome::Registered(_))).await
            }
            Command::List { reach } => {
                let clubs = reach.client().await?.all_clubs().await?;
                match reach.json {
                    true => clubs.iter().for_each(print::json),
                    false => {
                        let rows: Vec<_> = clubs.into_iter().map(|club| vec![club.club.to_string(), club.name]).collect();
                        print::table(&[">ID", "NAME"], &rows);
                    }
                }
                Ok(Exit::Done)
            }
        }
    }
}
