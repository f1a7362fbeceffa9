//! `scrip codes list`: the codes of a campaign (T5, X3, X4).

use clap::{Args, ValueEnum};
use scrip_protocol::CampaignId;
use scrip_protocol::command::{CodeFilter, CodeRow, ListCodes, ListCodesOutcome, UsageFilter};
use serde_json::json;

use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// List the codes of a campaign, in the order they were added
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes list 7 --status active --usage unused
  scrip codes list 7 --status conflicting   # also held by another campaign")]
pub(super) struct List {
    /// Number of the campaign
    campaign: CampaignId,
    /// Filter by status; `conflicting` is archived and now held by another campaign
    #[arg(long, value_enum, default_value = "all")]
    status: Status,
    /// Filter by usage
    #[arg(long, value_enum, default_value = "all")]
    usage: Usage,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    All,
    Active,
    Archived,
    Conflicting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Usage {
    All,
    Used,
    Unused,
}

impl From<Status> for CodeFilter {
    fn from(status: Status) -> CodeFilter {
        match status {
            Status::All => CodeFilter::All,
            Status::Active => CodeFilter::Active,
            Status::Archived => CodeFilter::Archived,
            Status::Conflicting => CodeFilter::Conflicting,
        }
    }
}

impl From<Usage> for UsageFilter {
    fn from(usage: Usage) -> UsageFilter {
        match usage {
            Usage::All => UsageFilter::All,
            Usage::Used => UsageFilter::Used,
            Usage::Unused => UsageFilter::Unused,
        }
    }
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let client = self.reach.client().await?;
        let mut query = ListCodes { campaign: self.campaign, from_slot: 0, status: self.status.into(), usage: self.usage.into() };
        let mut table = print::Table::new(&["CODE", "STATUS", ">ACTIVATIONS", "HELD BY"]);
        let mut is_empty = true;
        loop {
            let ListCodesOutcome::Codes { codes, next, .. } = client.list_codes(&query).await? else {
                match self.reach.json {
                    true => print::json(&json!(ListCodesOutcome::UnknownCampaign)),
                    false => print::line(format_args!("there is no campaign {}", self.campaign)),
                }
                return Ok(Exit::Refused);
            };
            is_empty &= codes.is_empty();
            match self.reach.json {
                true => print::lines(&codes.iter().map(|row| format!("{}\n", json!(row))).collect::<String>()),
                false if codes.is_empty() => {}
                false => table.rows(&codes.iter().map(row).collect::<Vec<_>>()),
            }
            match next {
                _ if print::is_over() => break,
                Some(next) => query.from_slot = next,
                None => break,
            }
        }
        if is_empty && !self.reach.json {
            print::line(format_args!("campaign {} has no matching codes", self.campaign));
        }
        Ok(Exit::Done)
    }
}

fn row(code: &CodeRow) -> Vec<String> {
    let status = code.archived.map_or("active".to_owned(), |cause| format!("archived {cause}"));
    let held_by = code.held_by.map_or("-".to_owned(), |campaign| format!("campaign {campaign}"));
    vec![code.code.clone(), status, print::grouped(code.activations), held_by]
}
