//! Activations: one, those of a code, of a campaign, and of all, the newest first.
//!
//! No index says where the activations of a campaign are. Those of a code: `code_use` says where the first is, and an index has what came
//! after it. Those of a campaign: `campaign_stretch` says in which stretches of 4,096 positions there are any, and these are looked
//! through.

use rusqlite::{OptionalExtension, Row};
use scrip_protocol::{CampaignId, Position};
use serde::Serialize;
use utoipa::ToSchema;

use super::activity::exists;
use super::{Page, page};
use crate::read_model::{AsOf, View};
use crate::shown::{self, Amount, At, Client, Request};

/// How many positions a stretch has.
const STRETCH: u64 = 4_096;
/// How many stretches are looked through for a page.
const STRETCHES_MAX: usize = 64;

/// An activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activation {
    /// Its id: its position in the journal.
    pub activation: u64,
    /// When.
    pub at: At,
    /// Who.
    pub client: Client,
    /// The client's name.
    pub client_name: Option<String>,
    /// Where.
    pub club: u32,
    /// The club's name.
    pub club_name: Option<String>,
    /// The campaign.
    pub campaign: u32,
    /// The campaign's name.
    pub campaign_name: Option<String>,
    /// Which of its codes.
    pub slot: u32,
    /// The code as it was written.
    pub code: Option<String>,
    /// The how-manieth activation of its code, from 1.
    pub nth: u64,
    /// The bonus credited.
    pub amount: Amount,
    /// The client's bonus balance after it.
    pub balance: Amount,
    /// Through which credential.
    pub credential: u32,
    /// The name of that credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Request,
    /// The hold that it confirmed.
    pub hold: Option<u64>,
    /// The top-up during which the code was typed.
    pub top_up: Option<u64>,
    /// Its refund.
    pub refund: Option<Refund>,
}

/// The refund of an activation (Z2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refund {
    /// The record.
    pub refund: u64,
    /// When.
    pub at: At,
    /// The bonus taken back.
    pub taken: Amount,
    /// The bonus that was spent already.
    pub uncollected: Amount,
}

/// A page of activations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activations {
    /// The newest first.
    pub activations: Vec<Activation>,
    /// The next page is of those before this position; none where this is the last.
    pub next: Option<u64>,
    /// What this is as of.
    pub as_of: AsOf,
}

/// An activation, and what this is as of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OneActivation {
    /// The activation.
    pub activation: Activation,
    /// What this is as of.
    pub as_of: AsOf,
}

/// The activations that are asked for: those before a position, and how many at the most.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// Only those before this position; none for the newest.
    pub before: Option<u64>,
    /// How many at the most.
    pub limit: usize,
}

impl Before {
    pub(crate) fn bound(&self) -> i64 {
        self.before.map_or(i64::MAX, shown::bound)
    }
}

/// All activations.
///
/// # Errors
/// When SQLite fails.
pub fn of_all(view: &View<'_>, asked: Before) -> rusqlite::Result<Activations> {
    let mut statement = view.connection.prepare_cached(&select(OF_ALL))?;
    let rows = statement.query_map([asked.bound()], keyed)?;
    let Page { rows: activations, next } = page(rows, asked.limit, usize::MAX)?;
    Ok(Activations { activations, next, as_of: view.as_of })
}

/// An activation; none where there is no such activation.
///
/// # Errors
/// When SQLite fails.
pub fn one(view: &View<'_>, activation: Position) -> rusqlite::Result<Option<Activation>> {
    view.connection.prepare_cached(&select(ONE))?.query_row([shown::bound(activation.0)], of_row).optional()
}

/// The activations of a campaign; none where there is no such campaign.
///
/// # Errors
/// When SQLite fails.
pub fn of_campaign(view: &View<'_>, campaign: CampaignId, asked: Before) -> rusqlite::Result<Option<Activations>> {
    if !exists(view, campaign)? {
        return Ok(None);
    }
    let bound = asked.bound();
    let mut stretches = view.connection.prepare_cached(STRETCHES)?;
    let mut statement = view.connection.prepare_cached(&select(OF_STRETCH))?;
    let mut stretches = stretches.query((campaign.0, bound.saturating_sub(1).max(0) / STRETCH as i64))?;
    let mut activations: Vec<Activation> = Vec::new();
    let mut looked_through = 0;
    let mut first_of_last = None;
    while let Some(stretch) = stretches.next()? {
        let first = shown::whole(stretch, 0)?.saturating_mul(STRETCH);
        if looked_through == STRETCHES_MAX {
            return Ok(Some(Activations { activations, next: first_of_last, as_of: view.as_of }));
        }
        let end = shown::bound(first.saturating_add(STRETCH)).min(bound);
        for row in statement.query_map((campaign.0, shown::bound(first), end), of_row)? {
            if activations.len() >= asked.limit {
                let next = activations.last().map(|activation| activation.activation);
                return Ok(Some(Activations { activations, next, as_of: view.as_of }));
            }
            activations.push(row?);
        }
        looked_through += 1;
        first_of_last = Some(first);
    }
    Ok(Some(Activations { activations, next: None, as_of: view.as_of }))
}

/// The activations of a code; none where the campaign has no such code.
///
/// # Errors
/// When SQLite fails.
pub fn of_code(view: &View<'_>, campaign: CampaignId, slot: u32, asked: Before) -> rusqlite::Result<Option<Activations>> {
    let is_there =
        view.connection.prepare_cached("SELECT 1 FROM code WHERE campaign = ?1 AND slot = ?2")?.exists((campaign.0, slot))?;
    if !is_there {
        return Ok(None);
    }
    let mut again = view.connection.prepare_cached(&select(AGAIN))?;
    let again = again.query_map((campaign.0, slot, asked.bound()), keyed)?;
    let first = first_of_code(view, campaign, slot)?.filter(|first| shown::bound(first.activation) < asked.bound());
    let rows = again.chain(first.map(|first| Ok((first.activation, Some(first)))));
    let Page { rows: activations, next } = page(rows, asked.limit, usize::MAX)?;
    Ok(Some(Activations { activations, next, as_of: view.as_of }))
}

fn first_of_code(view: &View<'_>, campaign: CampaignId, slot: u32) -> rusqlite::Result<Option<Activation>> {
    let first = view
        .connection
        .prepare_cached("SELECT first_activation FROM code_use WHERE campaign = ?1 AND slot = ?2")?
        .query_row((campaign.0, slot), |row| shown::whole(row, 0))
        .optional()?;
    first.map_or(Ok(None), |first| one(view, Position(first)))
}

pub(super) const OF_ALL: &str = "a.activation < ?1 ORDER BY a.activation DESC";
pub(super) const ONE: &str = "a.activation = ?1";
// Without the sign, an index on the campaign would be preferred to the range of positions: there is one for the nth > 1 alone, but
// which index is taken is not left to chance.
pub(super) const OF_STRETCH: &str = "+a.campaign = ?1 AND a.activation >= ?2 AND a.activation < ?3 ORDER BY a.activation DESC";
pub(super) const AGAIN: &str = "a.campaign = ?1 AND a.slot = ?2 AND a.nth > 1 AND a.activation < ?3 ORDER BY a.activation DESC";
pub(super) const STRETCHES: &str =
    "SELECT stretch FROM campaign_stretch WHERE campaign = ?1 AND stretch <= ?2 ORDER BY stretch DESC";

/// Activations with all the names that belong to them.
pub(super) fn select(which: &str) -> String {
    format!(
        "SELECT a.activation, a.at_ms, a.client, client.name, a.club, club.name, a.campaign, campaign.name, a.slot, code.code, a.nth, \
         a.amount, a.balance, a.credential, credential.name, a.request, a.hold, a.top_up, \
         refund.refund, refund.at_ms, refund.taken, refund.uncollected \
         FROM activation a \
         LEFT JOIN client ON client.client = a.client \
         LEFT JOIN club ON club.club = a.club \
         LEFT JOIN campaign ON campaign.campaign = a.campaign \
         LEFT JOIN code ON code.campaign = a.campaign AND code.slot = a.slot \
         LEFT JOIN credential ON credential.credential = a.credential \
         LEFT JOIN refund ON refund.activation = a.activation \
         WHERE {which}"
    )
}

fn keyed(row: &Row<'_>) -> rusqlite::Result<(u64, Option<Activation>)> {
    of_row(row).map(|activation| (activation.activation, Some(activation)))
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Activation> {
    let refund = match shown::whole_or_none(row, 18)? {
        None => None,
        Some(refund) => Some(Refund { refund, at: row.get(19)?, taken: row.get(20)?, uncollected: row.get(21)? }),
    };
    Ok(Activation {
        activation: shown::whole(row, 0)?,
        at: row.get(1)?,
        client: row.get(2)?,
        client_name: row.get(3)?,
        club: row.get(4)?,
        club_name: row.get(5)?,
        campaign: row.get(6)?,
        campaign_name: row.get(7)?,
        slot: row.get(8)?,
        code: row.get(9)?,
        nth: shown::whole(row, 10)?,
        amount: row.get(11)?,
        balance: row.get(12)?,
        credential: row.get(13)?,
        credential_name: row.get(14)?,
        request: row.get(15)?,
        hold: shown::whole_or_none(row, 16)?,
        top_up: shown::whole_or_none(row, 17)?,
        refund,
    })
}
