//! `scrip campaign`: campaigns.

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use scrip_protocol::command::{
    CampaignCard, CreateCampaign, CreateCampaignOutcome, ListCampaigns, ShowCampaignOutcome, SwitchCampaignOutcome, Terms,
};
use scrip_protocol::{CampaignId, ClubId, Money};
use serde_json::json;

use super::lists::{CodeList, Conflict, print_skipped};
use crate::exit::Exit;
use crate::print;
use crate::reach::{Asking, Reach};

/// Create, list, show and switch campaigns
#[derive(Debug, Args)]
pub(crate) struct Campaign {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a campaign with its codes
    Create(Create),
    /// List the campaigns
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Show a campaign with its counters
    Show {
        /// The campaign's number
        campaign: CampaignId,
        #[command(flatten)]
        reach: Reach,
    },
    /// Switch a campaign on: its codes are taken
    Activate(Switch),
    /// Switch a campaign off: its codes are refused
    Deactivate(Switch),
}

#[derive(Debug, Args)]
struct Create {
    /// A label for your own use
    #[arg(long)]
    name: String,
    /// The bonus for each activation, as in 500 or 12.50
    #[arg(long)]
    amount: Money,
    /// How often one code may be activated; without it, without limit
    #[arg(long, value_name = "TIMES")]
    cap: Option<u32>,
    /// A club where the codes are taken, by number; may be given several times; without it, every club
    #[arg(long = "club", value_name = "CLUB")]
    clubs: Vec<ClubId>,
    /// When the period starts: a day (2026-12-01, in UTC) or a moment (2026-12-01T09:00:00+01:00). For your information: codes are
    /// taken whenever the campaign is active
    #[arg(long, value_name = "WHEN", value_parser = starts)]
    starts: Option<u64>,
    /// When the period ends: a day, which belongs to it, or a moment
    #[arg(long, value_name = "WHEN", value_parser = ends)]
    ends: Option<u64>,
    /// Create it switched off
    #[arg(long)]
    inactive: bool,
    /// What to do with codes that another campaign has, and lines that cannot be codes
    #[arg(long, value_enum, default_value = "reject")]
    on_conflict: Conflict,
    #[command(flatten)]
    codes: CodeList,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct Switch {
    /// The campaign's number
    campaign: CampaignId,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Campaign {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Create(create) => create.run().await,
            Command::List { reach } => list(&reach).await,
            Command::Show { campaign, reach } => show(&reach, campaign).await,
            Command::Activate(switch) => switch.run(true).await,
            Command::Deactivate(switch) => switch.run(false).await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<Exit> {
        let terms = Terms {
            clubs: self.clubs,
            starts_ms: self.starts,
            ends_ms: self.ends,
            activations_per_code_max: self.cap,
            active: !self.inactive,
            ..Terms::new(self.name, self.amount)
        };
        let (lines, places) = self.codes.read()?;
        let asked = CreateCampaign { terms, lines: lines.iter().collect(), on_conflict: self.on_conflict.into() };
        let request = self.asking.id();
        let outcome = self.reach.client().await?.create_campaign(request, &asked).await?;
        self.reach.answer(request, &outcome);
        if !self.reach.json {
            match &outcome {
                CreateCampaignOutcome::Created { codes, .. } => print_skipped(&places, &codes.skipped),
                CreateCampaignOutcome::Conflicts(lines) => print_skipped(&places, lines),
                CreateCampaignOutcome::InvalidTerms(_)
                | CreateCampaignOutcome::CodesMissing
                | CreateCampaignOutcome::TooManyLines
                | CreateCampaignOutcome::TooManyCodes(_) => {}
            }
        }
        Ok(if matches!(outcome, CreateCampaignOutcome::Created { .. }) { Exit::Done } else { Exit::Refused })
    }
}

impl Switch {
    async fn run(self, active: bool) -> anyhow::Result<Exit> {
        let request = self.asking.id();
        let outcome = self.reach.client().await?.switch_campaign(request, self.campaign, active).await?;
        match self.reach.json {
            true => print::json(&json!({ "request": request, "outcome": outcome })),
            false => print::line(format_args!("campaign {}: {outcome}", self.campaign)),
        }
        Ok(if matches!(outcome, SwitchCampaignOutcome::Switched { .. }) { Exit::Done } else { Exit::Refused })
    }
}

async fn list(reach: &Reach) -> anyhow::Result<Exit> {
    let client = reach.client().await?;
    let mut campaigns = Vec::new();
    let mut asked = ListCampaigns::default();
    loop {
        let page = client.list_campaigns(&asked).await?;
        campaigns.extend(page.campaigns);
        match page.next {
            Some(next) => asked.after = next,
            None => break,
        }
    }
    if reach.json {
        campaigns.iter().for_each(print::json);
        return Ok(Exit::Done);
    }
    let row = |card: &CampaignCard| {
        vec![
            card.campaign.to_string(),
            card.terms.name.clone(),
            status(card).into(),
            card.terms.amount.to_string(),
            print::grouped(card.codes),
            print::grouped(card.codes_activated),
            print::grouped(card.activations),
            card.issued.to_string(),
        ]
    };
    let head = [">ID", "NAME", "STATUS", ">AMOUNT", ">CODES", ">ACTIVATED", ">ACTIVATIONS", ">ISSUED"];
    print::table(&head, &campaigns.iter().map(row).collect::<Vec<_>>());
    Ok(Exit::Done)
}

/// The toggle and the period in one word, and whether codes are taken all the same (A1).
fn status(card: &CampaignCard) -> &'static str {
    match (card.status_active, card.redeemable) {
        (true, _) => "active",
        (false, true) => "inactive (outside its period, still accepting)",
        (false, false) => "inactive",
    }
}

async fn show(reach: &Reach, campaign: CampaignId) -> anyhow::Result<Exit> {
    let outcome = reach.client().await?.show_campaign(campaign).await?;
    if reach.json {
        print::json(&outcome);
    }
    match outcome {
        ShowCampaignOutcome::UnknownCampaign => {
            if !reach.json {
                print::line(format_args!("there is no campaign {campaign}"));
            }
            Ok(Exit::Refused)
        }
        ShowCampaignOutcome::Campaign(card) => {
            if !reach.json {
                print_card(&card);
            }
            Ok(Exit::Done)
        }
    }
}

fn print_card(card: &CampaignCard) {
    let terms = &card.terms;
    let clubs = match terms.clubs.as_slice() {
        [] => "all".to_owned(),
        clubs => clubs.iter().map(ClubId::to_string).collect::<Vec<_>>().join(", "),
    };
    let period = match (terms.starts_ms, terms.ends_ms) {
        (None, None) => "none".to_owned(),
        (starts, ends) => format!("{} to {}", starts.map_or("-".into(), print::time), ends.map_or("-".into(), print::time)),
    };
    // T2: what was activated of what there is; there is always something.
    let utilisation = f64::from(card.codes_activated) * 100.0 / f64::from(card.codes.max(1));
    let added = card.added.last().map_or("-".into(), |batch| print::time(batch.at_ms));
    let rows = [
        ("campaign", format!("{} {}", card.campaign, terms.name)),
        ("status", status(card).to_owned()),
        ("amount", terms.amount.to_string()),
        ("activations per code", terms.activations_per_code_max.map_or("no limit".into(), |cap| cap.to_string())),
        ("clubs", clubs),
        ("period", period),
        ("created", print::time(card.created_ms)),
        ("total codes", format!("{} (last added {added})", print::grouped(card.codes))),
        ("activated", format!("{} ({utilisation:.1} %)", print::grouped(card.codes_activated))),
        ("available", print::grouped(card.codes - card.codes_activated)),
        ("activations", print::grouped(card.activations)),
        ("bonus amount", card.issued.to_string()),
        ("as of position", card.as_of.to_string()),
    ];
    print::table(&["", ""], &rows.map(|(name, value)| vec![name.to_owned(), value]));
}

fn starts(text: &str) -> Result<u64, String> {
    moment(text, |day| day.to_zoned(TimeZone::UTC).map(|start| start.timestamp()))
}

/// A day belongs to the period to its last millisecond.
fn ends(text: &str) -> Result<u64, String> {
    moment(text, |day| day.tomorrow()?.to_zoned(TimeZone::UTC)?.timestamp().checked_sub(1.millisecond()))
}

fn moment(text: &str, of_day: impl Fn(Date) -> Result<Timestamp, jiff::Error>) -> Result<u64, String> {
    let wrong = || format!("{text:?} is neither a day, as in 2026-12-31, nor a moment, as in 2026-12-31T18:00:00+01:00");
    let moment = match text.parse::<Timestamp>() {
        Ok(moment) => moment,
        Err(_) => of_day(text.parse().map_err(|_| wrong())?).map_err(|_| wrong())?,
    };
    u64::try_from(moment.as_millisecond()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_day_belongs_to_the_period() {
        assert_eq!(starts("2026-12-31"), Ok(1_798_675_200_000));
        assert_eq!(ends("2026-12-31"), Ok(1_798_675_200_000 + 86_400_000 - 1));
        assert_eq!(ends("2026-12-31T00:00:00Z"), Ok(1_798_675_200_000));
        assert_eq!(starts("2026-12-31T01:00:00+01:00"), Ok(1_798_675_200_000));
        for text in ["", "tomorrow", "2026-13-01", "31.12.2026", "1900-01-01"] {
            assert!(starts(text).is_err(), "{text}");
        }
    }
}
