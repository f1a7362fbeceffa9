//! `scrip group`: groups of clients.

use std::collections::HashMap;

use clap::{Args, Subcommand};
use scrip_client::{Client, ClientError};
use scrip_protocol::GroupId;
use scrip_protocol::command::{Group, RegisterGroupOutcome};

use crate::exit::Exit;
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// Register and list groups of clients
///
/// Rules add clients to groups and remove them.
#[derive(Debug, Args)]
pub(crate) struct GroupCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a group
    Add {
        /// Name of the group
        name: String,
        #[command(flatten)]
        request_args: RequestArgs,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the groups and how many clients each has
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

impl GroupCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add { name, request_args, reach } => {
                let call = async |client: &Client, request| client.register_group(request, &name).await;
                reach.carry_out(&request_args, call, |outcome| matches!(outcome, RegisterGroupOutcome::Registered(_))).await
            }
            Command::List { reach } => {
                let groups = reach.client().await?.all_groups().await?;
                match reach.json {
                    true => groups.iter().for_each(print::json),
                    false if groups.is_empty() => print::line("there are no groups"),
                    false => {
                        let row = |group: Group| vec![group.group.to_string(), group.name, print::grouped(group.clients)];
                        let rows: Vec<_> = groups.into_iter().map(row).collect();
                        print::table(&[">ID", "NAME", ">CLIENTS"], &rows);
                    }
                }
                Ok(Exit::Done)
            }
        }
    }
}

/// The names of all groups.
pub(super) async fn names(client: &Client) -> Result<HashMap<GroupId, String>, ClientError> {
    Ok(client.all_groups().await?.into_iter().map(|group| (group.group, group.name)).collect())
}
