//! `scrip campaign`: campaigns.

mod campaign_cards;
mod campaign_options;
mod restored_codes;

use clap::{Args, Subcommand};
use scrip_client::{Client, ClientError};
use scrip_lists::Target;
use scrip_protocol::CampaignId;
use scrip_protocol::command::{ArchiveCampaignOutcome, SwitchCampaignOutcome, UpdateCampaign, UpdateCampaignOutcome};
use serde_json::json;

use super::lists::adding::Addition;
use super::lists::{CodeList, Conflict};
use crate::exit::{Exit, words_of};
use crate::print;
use crate::reach::{Reach, RequestArgs};
pub(super) use campaign_cards::club_names;
use campaign_options::{ChangedTerms, NewTerms};
pub(super) use campaign_options::{ends, starts};

/// Create, change, show, switch, archive and restore campaigns
///
/// A campaign is a set of promo codes with one bonus amount. Its codes can be redeemed at every club, or only at the clubs that
/// the campaign names. A campaign does not deliver codes to clients.
#[derive(Debug, Args)]
pub(crate) struct Campaign {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<Create>),
    Update(Box<Update>),
    /// List the campaigns
    List(campaign_cards::List),
    /// Show a campaign's terms and counters
    Show {
        /// Number of the campaign
        campaign: CampaignId,
        #[command(flatten)]
        reach: Reach,
    },
    /// Switch a campaign on; its codes can be redeemed
    Activate(Named),
    /// Switch a campaign off; its codes are refused until it is switched on again
    Deactivate(Named),
    /// Archive a campaign; its codes stop working at once
    ///
    /// Other campaigns can then reuse the codes. Nothing is lost: the codes and all activations remain, and `scrip campaign
    /// restore` restores the campaign.
    Archive(Named),
    /// Restore an archived campaign
    ///
    /// Codes that another campaign has taken meanwhile stay archived, and are listed with the campaign that holds them. To
    /// restore them, archive them there and restore this campaign again. Codes that were archived one by one stay archived;
    /// `scrip codes restore` restores them.
    Restore(Named),
}

/// Create a campaign with its codes
///
/// Each code must be free: a code belongs to one campaign at a time. `scrip codes check` shows which codes are free.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip campaign create --name Spring --amount 5 --cap 1 codes.txt
  scrip campaign create --name Easter --amount 12.50 \\
      --starts 2027-03-26 --ends 2027-03-29 --club 1 --club 2 codes.xlsx
  scrip campaign create --name Welcome --amount 5 --cap 1 --per-client 1 \\
      --budget 10000 --low-stock 500 codes.xlsx

A list of more than 65,536 lines is checked as a whole, then sent in parts. If sending is interrupted, run the same command with \
--request-id and the id that it printed to continue where it stopped.")]
struct Create {
    #[command(flatten)]
    terms: NewTerms,
    /// How to handle codes of another campaign and invalid lines: create nothing, or skip these lines
    #[arg(long, value_enum, default_value = "reject", hide_possible_values = true, value_name = "reject|skip")]
    on_conflict: Conflict,
    #[command(flatten)]
    codes: CodeList,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Change a campaign's terms; terms that are not given stay
///
/// Existing activations keep their bonus.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip campaign update 7 --amount 10 --ends 2027-01-31
  scrip campaign update 7 --cap none --ends none --club all")]
struct Update {
    /// Number of the campaign
    campaign: CampaignId,
    #[command(flatten)]
    changes: ChangedTerms,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct Named {
    /// Number of the campaign
    campaign: CampaignId,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Campaign {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Create(create) => create.run().await,
            Command::Update(update) => update.run().await,
            Command::List(list) => list.run().await,
            Command::Show { campaign, reach } => campaign_cards::show(&reach, campaign).await,
            Command::Activate(named) => named.switch(true).await,
            Command::Deactivate(named) => named.switch(false).await,
            Command::Archive(named) => named.archive().await,
            Command::Restore(named) => named.restore().await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<Exit> {
        let addition = Addition {
            reach: &self.reach,
            request_args: &self.request_args,
            source: self.codes.source().map_err(|error| self.reach.unsent(&self.request_args, error))?,
            on_conflict: self.on_conflict,
            target: Target::New(Box::new(self.terms.into())),
            dry_run: false,
        };
        addition.run().await
    }
}

impl Update {
    async fn run(self) -> anyhow::Result<Exit> {
        let changes = self.changes.of(self.campaign);
        if changes == (UpdateCampaign { campaign: self.campaign, ..UpdateCampaign::default() }) {
            let why = "nothing to change: give a new term, such as --amount 10 or --ends none\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why).exit();
        }
        let call = async |client: &Client, request| {
            let outcome = client.update_campaign(request, &changes).await?;
            Ok::<_, ClientError>((client.clone(), outcome))
        };
        let (request, (client, outcome)) = self.reach.change(&self.request_args, call).await?;
        if self.reach.json {
            print::json(&json!({ "request": request, "outcome": outcome }));
        } else {
            print::line(format_args!("campaign {}: {outcome}", self.campaign));
        }
        match outcome {
            UpdateCampaignOutcome::Updated(_) if self.reach.json => Ok(Exit::Done),
            UpdateCampaignOutcome::Updated(_) => {
                // The update is done, so a failed lookup does not fail the command.
                if let Err(error) = campaign_cards::show_by(&client, &self.reach, self.campaign).await {
                    print::complain(&format!("scrip: the campaign cannot be shown: {}", words_of(&error)));
                }
                Ok(Exit::Done)
            }
            UpdateCampaignOutcome::UnknownCampaign | UpdateCampaignOutcome::InvalidTerms(_) => Ok(Exit::Refused),
        }
    }
}

impl Named {
    async fn switch(self, active: bool) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.switch_campaign(request, self.campaign, active).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
        match self.reach.json {
            true => print::json(&json!({ "request": request, "outcome": outcome })),
            false => print::line(format_args!("campaign {}: {outcome}", self.campaign)),
        }
        Ok(if matches!(outcome, SwitchCampaignOutcome::Switched { .. }) { Exit::Done } else { Exit::Refused })
    }

    async fn archive(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.archive_campaign(request, self.campaign).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
        match (self.reach.json, outcome) {
            (true, outcome) => print::json(&json!({ "request": request, "outcome": outcome })),
            (false, ArchiveCampaignOutcome::Archived { codes }) => {
                print::line(format_args!("campaign {}: archived with {}", self.campaign, print::count(codes, "code")));
            }
            (false, outcome @ (ArchiveCampaignOutcome::UnknownCampaign | ArchiveCampaignOutcome::AlreadyArchived)) => {
                print::line(format_args!("campaign {}: {outcome}", self.campaign));
            }
        }
        Ok(if matches!(outcome, ArchiveCampaignOutcome::Archived { .. }) { Exit::Done } else { Exit::Refused })
    }
}
