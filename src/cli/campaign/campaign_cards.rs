//! Campaigns printed for people: a table of all, and the card of one.
//!
//! Two questions are answered separately (A1): the status, which follows from the switch and the period, and whether codes are
//! accepted, which a period alone does not prevent.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use scrip_client::{Client, ClientError};
use scrip_protocol::command::{CampaignCard, CampaignFilter, ListCampaigns, ShowCampaignOutcome, utilisation};
use scrip_protocol::{CampaignId, ClubId};

use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// How many characters of a campaign's name a table shows.
const NAME_CHARS_MAX: usize = 40;

/// How many additions of codes a card shows.
const ADDED_SHOWN: usize = 5;

/// Filters of the list.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Filter by status; `present` is every campaign that is not archived
    #[arg(long, value_enum, default_value = "present")]
    status: Status,
    /// Only campaigns whose name contains this text, ignoring case
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    /// Only campaigns whose codes are accepted at this club, by number
    #[arg(long, default_value = "0", hide_default_value = true)]
    club: ClubId,
    /// Only campaigns that are low on codes, by their own limit
    #[arg(long)]
    low_stock: bool,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Present,
    Active,
    Inactive,
    Archived,
    All,
}

impl From<Status> for CampaignFilter {
    fn from(status: Status) -> CampaignFilter {
        match status {
            Status::Present => CampaignFilter::Present,
            Status::Active => CampaignFilter::Active,
            Status::Inactive => CampaignFilter::Inactive,
            Status::Archived => CampaignFilter::Archived,
            Status::All => CampaignFilter::All,
        }
    }
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let client = self.reach.client().await?;
        let head = [">ID", "NAME", "STATUS", ">AMOUNT", ">CODES", ">ACTIVATED", ">AVAILABLE", ">ACTIVATIONS", ">ISSUED"];
        let mut table = print::Table::new(&head);
        let is_filtered = self.status != Status::Present || !self.text.is_empty() || self.club != ClubId(0) || self.low_stock;
        let mut query = ListCampaigns {
            after: CampaignId(0),
            status: self.status.into(),
            text: self.text,
            club: self.club,
            low_stock: self.low_stock,
        };
        let mut is_empty = true;
        loop {
            let page = client.list_campaigns(&query).await?;
            is_empty &= page.campaigns.is_empty();
            match self.reach.json {
                true => page.campaigns.iter().for_each(print::json),
                false if page.campaigns.is_empty() => {}
                false => table.rows(&page.campaigns.iter().map(row).collect::<Vec<_>>()),
            }
            match page.next {
                Some(next) => query.after = next,
                None => break,
            }
        }
        if is_empty && !self.reach.json {
            print::line(if is_filtered { "no campaign matches" } else { "there are no campaigns" });
        }
        Ok(Exit::Done)
    }
}

fn row(card: &CampaignCard) -> Vec<String> {
    let low = if card.low_stock { ", low on codes" } else { "" };
    vec![
        card.campaign.to_string(),
        print::cut(&card.terms.name, NAME_CHARS_MAX),
        format!("{}{low}", status(card)),
        card.terms.amount.to_string(),
        print::grouped(card.codes),
        print::grouped(card.codes_activated),
        print::grouped(card.codes_available),
        print::grouped(card.activations),
        card.issued.to_string(),
    ]
}

/// The status in a few words, including the effect of the period (C6, C8, A1).
fn status(card: &CampaignCard) -> &'static str {
    let has_ended = card.terms.ends_ms.is_some_and(|ends| ends < card.as_of_ms);
    match (card.archived_ms, card.terms.active, card.status_active) {
        (Some(_), _, _) => "archived",
        (None, false, _) => "inactive",
        (None, true, true) => "active",
        (None, true, false) => match (has_ended, card.redeemable) {
            (true, true) => "inactive (ended, codes still accepted)",
            (true, false) => "inactive (ended)",
            (false, true) => "inactive (not begun, codes already accepted)",
            (false, false) => "inactive (not begun)",
        },
    }
}

/// Shows one campaign.
pub(super) async fn show(reach: &Reach, campaign: CampaignId) -> anyhow::Result<Exit> {
    show_by(&reach.client().await?, reach, campaign).await
}

/// Shows one campaign, by a client that is connected already.
pub(super) async fn show_by(client: &Client, reach: &Reach, campaign: CampaignId) -> anyhow::Result<Exit> {
    let outcome = client.show_campaign(campaign).await?;
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
                let names = if card.terms.clubs.is_empty() { HashMap::new() } else { club_names(client).await? };
                print_card(&card, &names, reach.codes_per_campaign_max());
            }
            Ok(Exit::Done)
        }
    }
}

/// The clubs' names.
pub(in crate::cli) async fn club_names(client: &Client) -> Result<HashMap<ClubId, String>, ClientError> {
    Ok(client.all_clubs().await?.into_iter().map(|club| (club.club, club.name)).collect())
}

fn print_card(card: &CampaignCard, clubs: &HashMap<ClubId, String>, codes_max: Option<u32>) {
    let terms = &card.terms;
    let club = |club: &ClubId| clubs.get(club).map_or_else(|| club.to_string(), |name| format!("{name} ({club})"));
    let clubs =
        if terms.clubs.is_empty() { "all".to_owned() } else { terms.clubs.iter().map(club).collect::<Vec<_>>().join(", ") };
    let most = |limit: Option<u64>| limit.map_or("no limit".into(), print::grouped);
    let utilisation = utilisation(card.codes_activated.into(), card.codes.into());
    let until = terms.ends_ms.map_or(String::new(), |ends| format!(" (until {})", print::end(ends)));
    let codes_max = codes_max.map_or(String::new(), |max| format!(" of at most {}", print::grouped(max)));
    let mut rows = vec![
        ("campaign", format!("{} {}", card.campaign, terms.name)),
        ("status", archived(card).unwrap_or_else(|| status(card).to_owned())),
        ("codes accepted", if card.redeemable { "yes" } else { "no" }.to_owned()),
        ("amount", terms.amount.to_string()),
        ("limit per code", most(terms.activations_per_code_max.map(u64::from))),
        ("limit per client", per_client(card)),
        ("limit in total", most(terms.activations_max)),
        ("budget", terms.budget.map_or("no limit".into(), |budget| budget.to_string())),
        ("clubs", clubs),
        ("period", period(card)),
        ("created", print::time(card.created_ms)),
        ("total codes", format!("{}{codes_max}{}", print::grouped(card.codes), last_added(card))),
        ("activated", format!("{} ({utilisation} %)", print::grouped(card.codes_activated))),
        ("available", format!("{}{until}", print::grouped(card.codes_available))),
        ("archived codes", print::grouped(card.codes_archived)),
        ("can be activated", format!("{}{}", print::grouped(card.codes_redeemable), low_stock(card))),
        ("activations", print::grouped(card.activations)),
        ("held for payments", print::grouped(card.held)),
        ("bonus amount", card.issued.to_string()),
        ("refunded", refunded(card)),
    ];
    let earlier = card.added.iter().rev().take(ADDED_SHOWN).filter(|_| card.added.len() > 1);
    rows.extend(
        earlier
            .zip([&["codes added"][..], &[""; ADDED_SHOWN - 1]].concat())
            .map(|(batch, name)| (name, format!("{} on {}", print::grouped(batch.codes), print::time(batch.at_ms)))),
    );
    rows.push(("as of position", format!("{}, {}", card.as_of, print::time(card.as_of_ms))));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print::table(&["", ""], &rows);
}

fn archived(card: &CampaignCard) -> Option<String> {
    card.archived_ms.map(|at| format!("archived on {}", print::time(at)))
}

fn per_client(card: &CampaignCard) -> String {
    match (card.terms.activations_per_client_max, card.clients_counted_from_ms) {
        (None, _) => "no limit".to_owned(),
        (Some(max), Some(from)) if from > card.created_ms => {
            format!("{} (counted from {})", print::grouped(max), print::time(from))
        }
        (Some(max), _) => print::grouped(max),
    }
}

fn period(card: &CampaignCard) -> String {
    let enforced = if card.terms.enforce_period { "codes are refused outside it" } else { "for information" };
    match (card.terms.starts_ms, card.terms.ends_ms) {
        (None, None) => "none".to_owned(),
        (Some(starts), None) => format!("from {} ({enforced})", print::start(starts)),
        (None, Some(ends)) => format!("to {} ({enforced})", print::end(ends)),
        (Some(starts), Some(ends)) => format!("{} to {} ({enforced})", print::start(starts), print::end(ends)),
    }
}

/// K9: the date is printed beside the total.
fn last_added(card: &CampaignCard) -> String {
    card.added.last().map_or(String::new(), |batch| format!(" (last added {})", print::time(batch.at_ms)))
}

fn low_stock(card: &CampaignCard) -> String {
    match card.terms.low_stock {
        None => String::new(),
        Some(limit) if card.low_stock => format!(" (low: fewer than {})", print::grouped(limit)),
        Some(limit) => format!(" (low when fewer than {})", print::grouped(limit)),
    }
}

fn refunded(card: &CampaignCard) -> String {
    let uncollected = match card.uncollected {
        scrip_protocol::Money(0) => String::new(),
        uncollected => format!("; {uncollected} of the bonuses could not be collected"),
    };
    format!("{}{uncollected}", print::count(card.refunds, "activation"))
}
