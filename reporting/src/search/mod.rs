//! Search: the history of a code, a request or an activation, and a search that guesses which of these a text means.
//!
//! No search scans a table, except for parts of names: of campaigns, which are few, and of clients, in an index.

mod request;
pub(crate) mod staff_changes;

pub use request::{Coverage, Did, RequestFound, by_request, coverage};
pub use staff_changes::{Changed, Changes, changes};

use rusqlite::Row;
use scrip_protocol::{CampaignId, ClientId, Position, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::figures::activation_list::{self, Activation, Before};
use crate::figures::campaign_list::{self, Campaign};
use crate::figures::code_table::{CodeStatus, Use, Uses, is_archived, status};
use crate::history::{self, ClientCard};
use crate::read_model::{AsOf, View, code_form, folded};
use crate::refusals::{self, Refusal, RefusalFilter};
use crate::shown;

/// The maximum number of campaigns, refusals or clients in the result of a search.
const FOUND_MAX: usize = 20;

/// The history of a code, in every campaign that has or had it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CodeFound {
    /// The code in the form used for comparison.
    pub code: String,
    /// Every campaign that has or had the code, newest first, at most 20.
    pub campaigns: Vec<CodePlace>,
    /// The campaign that has the code now.
    pub held_by: Option<u32>,
    /// Refused attempts, newest first, at most 20.
    pub refusals: Vec<Refusal>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// A code in a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CodePlace {
    /// The campaign.
    pub campaign: u32,
    /// The name of the campaign.
    pub campaign_name: String,
    /// The slot of the code in the campaign.
    pub slot: u32,
    /// The code as the campaign spells it.
    pub code: String,
    /// Whether the code is archived in the campaign.
    pub status: CodeStatus,
    /// The number of activations in the campaign, without refunded ones.
    pub activations: u64,
    /// The first activation in the campaign.
    pub first: Option<Use>,
    /// The last activation in the campaign, if that is another one.
    pub last: Option<Use>,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Found {
    /// The code, if any campaign has or had it, or attempts at it were refused.
    pub code: Option<CodeFound>,
    /// Clients with this id or with this text in their name, at most 20; those whose name begins with the text come first.
    pub clients: Vec<ClientCard>,
    /// Campaigns with this number or with this text in their name, including archived ones, at most 20.
    pub campaigns: Vec<Campaign>,
    /// The request with this id.
    pub request: Option<RequestFound>,
    /// The activation with this id.
    pub activation: Option<Activation>,
    /// Whether a request or an activation with this id may exist that is not shown: from before this history begins or after its
    /// newest record, or one that the caller may not see.
    pub may_exist: bool,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// The history of a code; none if no campaign ever had it and no attempt at it was refused.
///
/// # Errors
/// If SQLite fails.
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

// The campaign that has it now comes first: more campaigns may have had it than are returned.
pub(crate) const PLACES: &str = "SELECT code.campaign, campaign.name, code.slot, code.code, code.archived, u.activations, \
     u.first_activation, u.last_activation \
     FROM code JOIN campaign ON campaign.campaign = code.campaign \
     LEFT JOIN code_use u ON u.campaign = code.campaign AND u.slot = code.slot \
     WHERE code.value = ?1 ORDER BY code.archived = 0 AND campaign.archived_ms IS NULL DESC, code.campaign DESC LIMIT ?2";

/// Searches for everything that a text may mean: a code; the id of a client, request, activation or campaign; a part of the name
/// of a client or campaign. Omits codes, activations and campaigns if the caller may not see codes.
///
/// # Errors
/// If SQLite fails.
pub fn guess(view: &View<'_>, text: &str, sees_codes: bool) -> rusqlite::Result<Found> {
    let text = text.trim();
    let activation = match text.parse() {
        Ok(position) if sees_codes => activation_list::one(view, Position(position))?,
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

/// The campaigns with a number, or with a text in their name.
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
