//! Activations: one, those of a code, of a campaign, or all, newest first.
//!
//! Activations have no index by campaign. For a code, `code_use` has the position of its first activation, and an index has the
//! later ones. For a campaign, `campaign_stretch` lists the stretches of 4,096 positions that contain any, and these are scanned.

use rusqlite::{OptionalExtension, Row};
use scrip_protocol::{CampaignId, Position};
use serde::Serialize;
use utoipa::ToSchema;

use super::activity::exists;
use super::{Page, page};
use crate::read_model::{AsOf, View};
use crate::shown::{self, Amount, At, Client, Request};

/// The number of positions in a stretch.
const STRETCH: u64 = 4_096;
/// The maximum number of stretches scanned for a page.
const STRETCHES_MAX: usize = 64;

/// An activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activation {
    /// The id: the journal position.
    pub activation: u64,
    /// When.
    pub at: At,
    /// The client.
    pub client: Client,
    /// The name of the client.
    pub client_name: Option<String>,
    /// The club.
    pub club: u32,
    /// The name of the club.
    pub club_name: Option<String>,
    /// The campaign.
    pub campaign: u32,
    /// The name of the campaign.
    pub campaign_name: Option<String>,
    /// The slot of the code in the campaign.
    pub slot: u32,
    /// The code as the campaign spells it.
    pub code: Option<String>,
    /// The number of this activation among those of the code, from 1.
    pub nth: u64,
    /// The bonus credited.
    pub amount: Amount,
    /// The client's bonus balance after the activation.
    pub balance: Amount,
    /// The credential that sent the request.
    pub credential: u32,
    /// The name of the credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Request,
    /// The hold that was confirmed.
    pub hold: Option<u64>,
    /// The top-up during which the code was entered.
    pub top_up: Option<u64>,
    /// The refund.
    pub refund: Option<Refund>,
}

/// The refund of an activation (Z2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refund {
    /// The record.
    pub refund: u64,
    /// When.
    pub at: At,
    /// The bonus debited.
    pub taken: Amount,
    /// The part of the bonus that was already spent.
    pub uncollected: Amount,
}

/// A page of activations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activations {
    /// Newest first.
    pub activations: Vec<Activation>,
    /// The `before` of the next page; none on the last page.
    pub next: Option<u64>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// An activation, and what the answer is as of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OneActivation {
    /// The activation.
    pub activation: Activation,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// Selects a page: the position before which it begins, and its size.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// Only items before this position; none for the newest.
    pub before: Option<u64>,
    /// The maximum number of items.
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
/// If SQLite fails.
pub fn of_all(view: &View<'_>, before: Before) -> rusqlite::Result<Activations> {
    let mut statement = view.connection.prepare_cached(&select(OF_ALL))?;
    let rows = statement.query_map([before.bound()], keyed)?;
    let Page { rows: activations, next } = page(rows, before.limit, usize::MAX)?;
    Ok(Activations { activations, next, as_of: view.as_of })
}

/// An activation; none if it does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn one(view: &View<'_>, activation: Position) -> rusqlite::Result<Option<Activation>> {
    view.connection.prepare_cached(&select(ONE))?.query_row([shown::bound(activation.0)], of_row).optional()
}

/// The activations of a campaign; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn of_campaign(view: &View<'_>, campaign: CampaignId, before: Before) -> rusqlite::Result<Option<Activations>> {
    if !exists(view, campaign)? {
        return Ok(None);
    }
    let bound = before.bound();
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
            if activations.len() >= before.limit {
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

/// The activations of a code; none if the campaign has no such code.
///
/// # Errors
/// If SQLite fails.
pub fn of_code(view: &View<'_>, campaign: CampaignId, slot: u32, before: Before) -> rusqlite::Result<Option<Activations>> {
    let is_there =
        view.connection.prepare_cached("SELECT 1 FROM code WHERE campaign = ?1 AND slot = ?2")?.exists((campaign.0, slot))?;
    if !is_there {
        return Ok(None);
    }
    let mut again = view.connection.prepare_cached(&select(AGAIN))?;
    let again = again.query_map((campaign.0, slot, before.bound()), keyed)?;
    let first = first_of_code(view, campaign, slot)?.filter(|first| shown::bound(first.activation) < before.bound());
    let rows = again.chain(first.map(|first| Ok((first.activation, Some(first)))));
    let Page { rows: activations, next } = page(rows, before.limit, usize::MAX)?;
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
// Without the `+`, SQLite would prefer an index on the campaign to the range of positions: there is one only for nth > 1,
// but which index is taken is not left to chance.
pub(super) const OF_STRETCH: &str = "+a.campaign = ?1 AND a.activation >= ?2 AND a.activation < ?3 ORDER BY a.activation DESC";
pub(super) const AGAIN: &str = "a.campaign = ?1 AND a.slot = ?2 AND a.nth > 1 AND a.activation < ?3 ORDER BY a.activation DESC";
pub(super) const STRETCHES: &str =
    "SELECT stretch FROM campaign_stretch WHERE campaign = ?1 AND stretch <= ?2 ORDER BY stretch DESC";

/// Activations with all related names.
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
