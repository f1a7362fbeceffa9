//! `scrip codes`: the codes of a campaign.

use clap::{Args, Subcommand};
use scrip_protocol::CampaignId;
use scrip_protocol::command::{AddCodes, AddCodesOutcome};

use super::lists::{CodeList, Conflict, print_skipped};
use crate::exit::Exit;
use crate::reach::{Asking, Reach};

/// Add codes to a campaign
#[derive(Debug, Args)]
pub(crate) struct Codes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add codes: those that the campaign has already are skipped, and what was skipped is listed
    Add(Add),
}

#[derive(Debug, Args)]
struct Add {
    /// The campaign's number
    campaign: CampaignId,
    #[command(flatten)]
    codes: CodeList,
    /// What to do with codes that another campaign has, and lines that cannot be codes
    #[arg(long, value_enum, default_value = "skip")]
    on_conflict: Conflict,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Codes {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let Command::Add(add) = self.command;
        let (lines, places) = add.codes.read()?;
        let asked = AddCodes {
            campaign: add.campaign,
            lines: lines.iter().collect(),
            first_line: 1,
            on_conflict: add.on_conflict.into(),
        };
        let request = add.asking.id();
        let outcome = add.reach.client().await?.add_codes(request, &asked).await?;
        add.reach.answer(request, &outcome);
        if !add.reach.json {
            match &outcome {
                AddCodesOutcome::Added(report) => print_skipped(&places, &report.skipped),
                AddCodesOutcome::Conflicts(lines) => print_skipped(&places, lines),
                AddCodesOutcome::UnknownCampaign
                | AddCodesOutcome::CampaignArchived
                | AddCodesOutcome::CodesMissing
                | AddCodesOutcome::TooManyLines
                | AddCodesOutcome::TooManyCodes(_) => {}
            }
        }
        Ok(if matches!(outcome, AddCodesOutcome::Added(_)) { Exit::Done } else { Exit::Refused })
    }
}
