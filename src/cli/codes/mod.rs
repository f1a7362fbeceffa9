//! `scrip codes`: the codes of campaigns.

mod archive;
mod check;
mod generate;
mod list;

use clap::{Args, Subcommand};
use scrip_protocol::CampaignId;

use super::lists::adding::{Adding, Target};
use super::lists::{CodeList, Conflict};
use crate::exit::Exit;
use crate::reach::{Asking, Reach};

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
    Check(check::Check),
    List(list::List),
    Archive(archive::Archive),
    Restore(archive::Restore),
}

/// Add codes to a campaign
///
/// Codes that the campaign has already are skipped, and so are duplicates in the list; what was skipped is listed with its line or cell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes add 7 codes.txt
  scrip codes add 7 codes.xlsx --dry-run
  scrip codes add 7 codes.xlsx --sheet May --column \"Promo code\" \\
      --on-conflict reject

A list of more than 65,536 lines is sent in parts, after all of it was tried. If it breaks off in the middle, the same command with \
--request-id and the id that it names goes on where it stopped.")]
struct Add {
    /// The campaign's number
    campaign: CampaignId,
    #[command(flatten)]
    codes: CodeList,
    /// What to do when the list has codes that another campaign has, or lines that cannot be codes: skip these lines, or add nothing
    #[arg(long, value_enum, default_value = "skip", hide_possible_values = true, value_name = "skip|reject")]
    on_conflict: Conflict,
    /// Say what would be added, and change nothing
    #[arg(long, conflicts_with = "request_id")]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
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
        let adding = Adding {
            reach: &self.reach,
            asking: &self.asking,
            source: self.codes.source()?,
            on_conflict: self.on_conflict,
            target: Target::Campaign(self.campaign),
            dry_run: self.dry_run,
        };
        adding.run().await
    }
}
