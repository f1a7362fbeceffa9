//! `scrip codes`: the codes of campaigns.

mod archive;
mod check_free;
mod generate;
mod list;

use clap::{Args, Subcommand};
use scrip_lists::Target;
use scrip_protocol::CampaignId;

use super::lists::adding::Addition;
use super::lists::{CodeList, Conflict};
use crate::exit::Exit;
use crate::reach::{Reach, RequestArgs};

/// Add, generate, check, list, archive and restore codes
#[derive(Debug, Args)]
pub(crate) struct Codes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    Generate(generate::Generate),
    Check(check_free::Check),
    List(list::List),
    Archive(archive::Archive),
    Restore(archive::Restore),
}

/// Add codes to a campaign
///
/// Codes that the campaign already has and duplicates in the list are skipped. Each skipped line is listed with its line number
/// or cell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes add 7 codes.txt
  scrip codes add 7 codes.xlsx --dry-run
  scrip codes add 7 codes.xlsx --sheet May --column \"Promo code\" \\
      --on-conflict reject

A list of more than 65,536 lines is checked as a whole, then sent in parts. If sending is interrupted, run the same command with \
--request-id and the id that it printed to continue where it stopped.")]
struct Add {
    /// Number of the campaign
    campaign: CampaignId,
    #[command(flatten)]
    codes: CodeList,
    /// How to handle codes of another campaign and invalid lines: skip these lines, or add nothing
    #[arg(long, value_enum, default_value = "skip", hide_possible_values = true, value_name = "skip|reject")]
    on_conflict: Conflict,
    /// Show what would be added, and change nothing
    #[arg(long, conflicts_with = "request_id")]
    dry_run: bool,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Codes {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add(add) => add.run().await,
            Command::Generate(generate) => generate.run().await,
            Command::Check(check) => check.run().await,
            Command::List(list) => list.run().await,
            Command::Archive(archive) => archive.run().await,
            Command::Restore(restore) => restore.run().await,
        }
    }
}

impl Add {
    async fn run(self) -> anyhow::Result<Exit> {
        let addition = Addition {
            reach: &self.reach,
            request_args: &self.request_args,
            source: self.codes.source().map_err(|error| self.reach.unsent(&self.request_args, error))?,
            on_conflict: self.on_conflict,
            target: Target::Campaign(self.campaign),
            dry_run: self.dry_run,
        };
        addition.run().await
    }
}
