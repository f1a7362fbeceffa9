//! Campaigns: the list with its filters (C1, C6), and the page of one campaign.
//!
//! Status and redeemability are two values (A1): when its period ends, a campaign becomes inactive, but its codes are still
//! accepted unless the period is enforced. Both are as of the time of the view.

use rusqlite::{OptionalExtension, Row};
use scrip_protocol::CampaignId;
use scrip_protocol::command::utilisation;
use serde::Serialize;
use utoipa::ToSchema;

use super::{CampaignFigures, Counters, Held, Page, of_campaign, page_within};
use crate::read_model::{AsOf, View};
use crate::shown::{self, Amount, At, Json, Request};

/// The maximum number of campaigns examined for a page.
const LOOKED_AT_MAX: usize = 4_096;
/// The maximum number of additions of codes, and of changes, on the page of a campaign.
const LATEST: i64 = 100;

/// Selects campaigns.
#[derive(Debug, Clone, Default)]
pub struct CampaignFilter {
    /// By status; `None` for those that are not archived.
    pub status: Option<StatusFilter>,
    /// By whether their codes can be redeemed.
    pub redeemable: Option<bool>,
    /// Only campaigns that run at this club.
    pub club: Option<u32>,
    /// Only campaigns whose name contains this text, ignoring case.
    pub text: Option<String>,
    /// By whether they are low on stock (Z16).
    pub low_stock: Option<bool>,
    /// Only campaigns after this number.
    pub after: u32,
    /// The maximum number of campaigns.
    pub limit: usize,
}

/// Selects campaigns by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Campaigns with this status.
    Only(Status),
    /// All campaigns.
    All,
}

/// The status of a campaign (C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Switched on, and within the period.
    Active,
    /// Switched off, or outside the period.
    Inactive,
    /// Archived.
    Archived,
}

/// A campaign: its terms and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Campaign {
    /// The number.
    pub campaign: u32,
    /// The name.
    pub name: String,
    /// The bonus of an activation.
    pub amount: Amount,
    /// The numbers of the clubs at which the campaign runs; empty for all clubs.
    pub clubs: Vec<u32>,
    /// When the period starts.
    pub starts_at: Option<At>,
    /// When the period ends, inclusive.
    pub ends_at: Option<At>,
    /// Whether codes are accepted only within the period.
    pub enforce_period: bool,
    /// The maximum number of activations of a code; none for no limit.
    pub activations_per_code_max: Option<u64>,
    /// The maximum number of activations of a client.
    pub activations_per_client_max: Option<u64>,
    /// The maximum number of activations of the campaign.
    pub activations_max: Option<u64>,
    /// The budget for bonuses.
    pub budget: Option<Amount>,
    /// The campaign is low on stock if fewer codes than this are redeemable.
    pub low_stock_below: Option<u64>,
    /// Whether the campaign is switched on.
    pub switched_on: bool,
    /// The status, by the switch and the period (C6).
    pub status: Status,
    /// Whether codes can be redeemed (A1).
    pub redeemable: bool,
    /// Whether the period is over but codes can still be redeemed (A1).
    pub ended_still_accepting: bool,
    /// When the campaign was created.
    pub created_at: At,
    /// When the campaign was archived.
    pub archived_at: Option<At>,
    /// The number of codes.
    pub codes: u64,
    /// The number of codes that were activated (A7).
    pub codes_activated: u64,
    /// The number of codes that were never activated and are not archived (A9).
    pub codes_available: u64,
    /// The number of codes that could be activated, one use each: not archived, with a use left that is neither activated nor
    /// held, up to the campaign's limit and budget.
    pub codes_redeemable: u64,
    /// The percentage of codes that were activated; `-` if there are no codes (T2).
    pub utilisation: String,
    /// The number of activations.
    pub activations: u64,
    /// The bonuses credited, less refunds.
    pub issued: Amount,
    /// Whether the campaign is low on stock (Z16).
    pub low_stock: bool,
}

/// A page of campaigns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Campaigns {
    /// By number.
    pub campaigns: Vec<Campaign>,
    /// The `after` of the next page; none on the last page.
    pub next: Option<u32>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// A campaign in full.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CampaignPage {
    /// The terms and the state.
    pub campaign: Campaign,
    /// The counters.
    pub figures: CampaignFigures,
    /// When and how codes were added, newest first, at most 100 (K9).
    pub added: Vec<Added>,
    /// Changes by staff, newest first, at most 100.
    pub changes: Vec<Change>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// Codes added at one time (K9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Added {
    /// The slot of the first code.
    pub first_slot: u64,
    /// The number of codes.
    pub codes: u64,
    /// When.
    pub at: At,
    /// The record.
    pub position: u64,
    /// `created` with the campaign, `added` or `generated`; `unknown` for codes from before this history begins.
    pub how: String,
}

/// A change by staff.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Change {
    /// The record.
    pub position: u64,
    /// When.
    pub at: At,
    /// Its kind, as in `campaign_updated`.
    pub kind: String,
    /// The credential that sent the request; 0 for the engine itself.
    pub credential: u32,
    /// The name of the credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Option<Request>,
    /// The change.
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
}

/// A page of the campaigns that match a filter.
///
/// # Errors
/// If SQLite fails.
pub fn list(view: &View<'_>, filter: &CampaignFilter) -> rusqlite::Result<Campaigns> {
    let text = filter.text.as_deref().map(str::to_lowercase);
    let passes = |campaign: &Campaign| {
        let of_status = match filter.status {
            None => campaign.status != Status::Archived,
            Some(StatusFilter::Only(status)) => campaign.status == status,
            Some(StatusFilter::All) => true,
        };
        of_status
            && filter.redeemable.is_none_or(|redeemable| campaign.redeemable == redeemable)
            && filter.low_stock.is_none_or(|low| campaign.low_stock == low)
            && filter.club.is_none_or(|club| campaign.clubs.is_empty() || campaign.clubs.contains(&club))
            && text.as_deref().is_none_or(|text| campaign.name.to_lowercase().contains(text))
    };
    let mut statement = view.connection.prepare_cached(&select("campaign > ?1 ORDER BY campaign LIMIT ?2"))?;
    let rows = statement.query_map((filter.after, LOOKED_AT_MAX as i64 + 1), |row| {
        let bytes = row.get_ref(3)?.as_bytes()?.len();
        let campaign = of_row(view, row)?;
        Ok((campaign.campaign, Some(campaign).filter(passes).map(|campaign| (campaign, bytes))))
    })?;
    let Page { rows: campaigns, next } = page_within(rows, filter.limit, LOOKED_AT_MAX)?;
    Ok(Campaigns { campaigns, next, as_of: view.now() })
}

/// The page of a campaign; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn show(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<Option<CampaignPage>> {
    let mut statement = view.connection.prepare_cached(&select("campaign = ?1"))?;
    let found = statement.query_row([campaign.0], |row| of_row(view, row)).optional()?;
    let (Some(found), Some(figures)) = (found, of_campaign(view, campaign)?) else { return Ok(None) };
    let added = added(view, campaign)?;
    let changes = changes(view, campaign)?;
    Ok(Some(CampaignPage { campaign: found, figures, added, changes, as_of: view.now() }))
}

fn added(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<Vec<Added>> {
    view.connection
        .prepare_cached(
            "SELECT first_slot, codes, at_ms, position, how FROM codes_added WHERE campaign = ?1 ORDER BY first_slot DESC LIMIT ?2",
        )?
        .query_map((campaign.0, LATEST), |row| {
            Ok(Added {
                first_slot: shown::whole(row, 0)?,
                codes: shown::whole(row, 1)?,
                at: row.get(2)?,
                position: shown::whole(row, 3)?,
                how: row.get(4)?,
            })
        })?
        .collect()
}

pub(super) const CHANGES: &str = "SELECT position, at_ms, change.kind, change.credential, credential.name, request, body \
     FROM change LEFT JOIN credential ON credential.credential = change.credential \
     WHERE campaign = ?1 ORDER BY position DESC LIMIT ?2";

fn changes(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<Vec<Change>> {
    view.connection.prepare_cached(CHANGES)?.query_map((campaign.0, LATEST), change_of)?.collect()
}

/// Reads a change from columns as in [`CHANGES`].
fn change_of(row: &Row<'_>) -> rusqlite::Result<Change> {
    let Json(body) = row.get(6)?;
    Ok(Change {
        position: shown::whole(row, 0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        credential: row.get(3)?,
        credential_name: row.get(4)?,
        request: row.get(5)?,
        body,
    })
}

/// Campaigns with their counters.
pub(crate) fn select(which: &str) -> String {
    const TERMS: &str = "campaign, name, amount, clubs, starts_ms, ends_ms, enforce_period, activations_per_code_max, \
         activations_per_client_max, activations_max, budget, low_stock, active, created_ms, archived_ms";
    format!("SELECT {TERMS}, {} FROM campaign WHERE {which}", Counters::COLUMNS)
}

/// Reads a campaign from columns as in [`select`].
pub(crate) fn of_row(view: &View<'_>, row: &Row<'_>) -> rusqlite::Result<Campaign> {
    let counters = Counters::of(row, 15)?;
    let number: u32 = row.get(0)?;
    let held = Held::of(view, number)?;
    let (starts_at, ends_at): (Option<At>, Option<At>) = (row.get(4)?, row.get(5)?);
    let (enforce_period, switched_on): (bool, bool) = (row.get(6)?, row.get(12)?);
    let archived_at: Option<At> = row.get(14)?;
    let Json(clubs) = row.get(3)?;
    let now = At(view.now_ms);
    let ended = ends_at.is_some_and(|ends| ends < now);
    let in_period = starts_at.is_none_or(|starts| starts <= now) && !ended;
    let status = match archived_at {
        Some(_) => Status::Archived,
        None if switched_on && in_period => Status::Active,
        None => Status::Inactive,
    };
    let redeemable = switched_on && archived_at.is_none() && (!enforce_period || in_period);
    Ok(Campaign {
        campaign: number,
        name: row.get(1)?,
        amount: row.get(2)?,
        clubs,
        starts_at,
        ends_at,
        enforce_period,
        activations_per_code_max: shown::whole_or_none(row, 7)?,
        activations_per_client_max: shown::whole_or_none(row, 8)?,
        activations_max: shown::whole_or_none(row, 9)?,
        budget: row.get(10)?,
        low_stock_below: shown::whole_or_none(row, 11)?,
        switched_on,
        status,
        redeemable,
        ended_still_accepting: redeemable && ended,
        created_at: row.get(13)?,
        archived_at,
        codes: counters.codes,
        codes_activated: counters.codes_activated,
        codes_available: counters.available(),
        codes_redeemable: counters.redeemable(&held),
        utilisation: utilisation(counters.codes_activated, counters.codes),
        activations: counters.activations,
        issued: Amount(counters.issued),
        low_stock: counters.is_low_on_stock(&held),
    })
}
