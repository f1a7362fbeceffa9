//! Search: what became of a code, of a request, of an activation, and one search that guesses which of these is meant.
//!
//! Nothing is found by looking through a table, but for parts of names: those of campaigns, which are few, and those of clients in an index.

pub(crate) mod changes;
mod request;

pub use changes::{Changed, Changes, changes};
pub use request::{Coverage, Did, RequestFound, by_request, coverage};

use rusqlite::Row;
use scrip_protocol::{CampaignId, ClientId, Position, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::figures::activations::{self, Activation, Before};
use crate::figures::campaign_list::{self, Campaign};
use crate::figures::codes::{CodeStatus, Use, Uses, is_archived, status};
use crate::history::{self, ClientCard};
use crate::read_model::{AsOf, View, code_form, folded};
use crate::refusals::{self, Refusal, RefusalFilter};
use crate::shown;

/// How many campaigns, refusals or clients are told of one search.
const FOUND_MAX: usize = 20;

/// What became of a code, in every campaign that has it or had it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CodeFound {
    /// As it is compared.
    pub code: String,
    /// Every campaign that has it or had it, the newest first, 20 at the most.
    pub campaigns: Vec<CodePlace>,
    /// The campaign that holds it now.
    pub held_by: Option<u32>,
    /// Refused attempts, the newest first, 20 at the most.
    pub refusals: Vec<Refusal>,
    /// What this is as of.
    pub as_of: AsOf,
}

/// A code in a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CodePlace {
    /// The campaign.
    pub campaign: u32,
    /// The campaign's name.
    pub campaign_name: String,
    /// Which of its codes.
    pub slot: u32,
    /// As it was written there.
    pub code: String,
    /// Whether it is archived there.
    pub status: CodeStatus,
    /// How often it is activated there, refunded activations taken off.
    pub activations: u64,
    /// Its first activation there.
    pub first: Option<Use>,
    /// Its last activation there, where that is another one.
    pub last: Option<Use>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Found {
    /// The code, where any campaign has it or had it, or attempts at it were refused.
    pub code: Option<CodeFound>,
    /// Clients of this id or with this in their names, 20 at the most; those first whose names begin so.
    pub clients: Vec<ClientCard>,
    /// Campaigns of this number or with this in their names, archived ones too, 20 at the most.
    pub campaigns: Vec<Campaign>,
    /// The request of this id.
    pub request: Option<RequestFound>,
    /// The activation of this id.
    pub activation: Option<Activation>,
    /// Whether there may be a request or an activation of this id that is not shown: one from before the history in here begins or
    /// after its newest record, or one that is not for the caller to see.
    pub may_exist: bool,
    /// What this is as of.
    pub as_of: AsOf,
}

/// What became of a code; none where nobody ever had it or tried it.
///
/// # Errors
/// When SQLite fails.
pub fn by_code(view: &View<'_>, text: &str) -> rusqlite::Result<Option<CodeFound>> {
    let Ok(code) = code_form(view.connection)?.normalise(text) else { return Ok(None) };
    let code = code.as_str();
    let mut uses = Uses::new(view)?;
    let mut statement = view.connection.prepare_cached(PLACES)?;
    let place = |row: &Row<'_>| {
        let campaign = row.get(0)?;
        let status = status(row.get(4)?, is_archived(view, CampaignId(campaign))?);
        let (first, last) = uses.first_and_last(shown::whole_or_none(row, 6)?, shown::whole_or_none(row, 7)?)?;
        Ok(CodePlace {
            campaign,
            campaign_name: row.get(1)?,
            slot: row.get(2)?,
            code: row.get(3)?,
            status,
            activations: shown::whole_or_none(row, 5)?.unwrap_or(0),
            first,
            last,
        })
    };
    let campaigns: Vec<_> = statement.query_map((code, FOUND_MAX as i64), place)?.collect::<rusqlite::Result<_>>()?;
    let held_by = campaigns.iter().find(|place| place.status == CodeStatus::Active).map(|place| place.campaign);
    let filter = RefusalFilter { code: Some(code.to_owned()), ..RefusalFilter::default() };
    let refusals = refusals::list(view, &filter, Before { before: None, limit: FOUND_MAX }, &|_| true)?.refusals;
    let found = !campaigns.is_empty() || !refusals.is_empty();
    Ok(found.then(|| CodeFound { code: code.to_owned(), campaigns, held_by, refusals, as_of: view.as_of }))
}

// The one that holds it now comes first: more campaigns may have had it than are told.
pub(crate) const PLACES: &str = "SELECT code.campaign, campaign.name, code.slot, code.code, code.archived, u.activations, \
     u.first_activation, u.last_activation \
     FROM code JOIN campaign ON campaign.campaign = code.campaign \
     LEFT JOIN code_use u ON u.campaign = code.campaign AND u.slot = code.slot \
     WHERE code.value = ?1 ORDER BY code.archived = 0 AND campaign.archived_ms IS NULL DESC, code.campaign DESC LIMIT ?2";

/// What a text may mean: a code, the id of a client, of a request, of an activation or of a campaign, a part of the name of a client or a
/// campaign. Those who may not see codes are not told of codes, activations and campaigns.
///
/// # Errors
/// When SQLite fails.
pub fn guess(view: &View<'_>, text: &str, sees_codes: bool) -> rusqlite::Result<Found> {
    let text = text.trim();
    let activation = match text.parse() {
        Ok(position) if sees_codes => activations::one(view, Position(position))?,
        Ok(_) | Err(_) => None,
    };
    let by_id = match text.parse::<ClientId>() {
        Ok(client) => history::card(view, client)?,
        Err(_) => None,
    };
    let by_name = history::with_name(view, text, FOUND_MAX)?;
    let of_id = by_id.as_ref().map(|card| card.client);
    let by_name = by_name.into_iter().filter(|card| Some(card.client) != of_id);
    let mut clients: Vec<_> = by_id.clone().into_iter().chain(by_name).collect();
    clients.truncate(FOUND_MAX);
    let (mut request, mut may_exist) = (None, false);
    if let Ok(id) = text.parse::<RequestId>() {
        request = by_request(view, id)?;
        may_exist = request.is_none() && coverage(view, id)? != Coverage::Whole;
    }
    if let Ok(position) = text.parse::<u64>() {
        may_exist |= sees_codes && activation.is_none() && !view.as_of.covers(Position(position));
    }
    let code = if sees_codes { by_code(view, text)? } else { None };
    let campaigns = if sees_codes { campaigns_of(view, text)? } else { Vec::new() };
    Ok(Found { code, clients, campaigns, request, activation, may_exist, as_of: view.now() })
}

/// The campaigns of a number or with a text in their names.
fn campaigns_of(view: &View<'_>, text: &str) -> rusqlite::Result<Vec<Campaign>> {
    let (number, text) = (text.parse::<u32>().ok(), folded(text));
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // Letter case is folded here: SQLite folds that of ASCII alone.
    let mut names = view.connection.prepare_cached("SELECT campaign, name FROM campaign ORDER BY campaign")?;
    let names = names.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))?;
    let mut found = Vec::new();
    for row in names {
        let (campaign, name) = row?;
        if number == Some(campaign) {
            found.insert(0, campaign);
        } else if folded(&name).contains(&text) {
            found.push(campaign);
        }
    }
    let mut one = view.connection.prepare_cached(&campaign_list::select("campaign = ?1"))?;
    let found = found.into_iter().take(FOUND_MAX);
    found.map(|campaign| one.query_row([campaign], |row| campaign_list::of_row(view, row))).collect()
}

#[cfg(test)]
mod tests;
