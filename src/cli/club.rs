//! `scrip club`: the organisation's clubs.

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::ClubId;
use scrip_protocol::command::{CLUBS_PER_PAGE, RegisterClubOutcome};

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
                let (request, outcome) = reach.change(&request_args, call).await?;
                reach.answer(request, &outcome);
                Ok(if matches!(outcome, RegisterClubOutcome::Registered(_)) { Exit::Done } else { Exit::Refused })
            }
            Command::List { reach } => {
                let client = reach.client().await?;
                let mut clubs = Vec::new();
                let mut after = ClubId(0);
                loop {
                    let page = client.list_clubs(after).await?.clubs;
                    after = page.last().map_or(after, |club| club.club);
                    let last = page.len() < CLUBS_PER_PAGE;
                    clubs.extend(page);
                    if last {
                        break;
                    }
                }
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
