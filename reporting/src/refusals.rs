//! Refused attempts (Z13), by client, by code, by campaign, newest first, each with the condition that caused the refusal.
//!
//! Refusals with a record are in the tables. The engine reports others outside the journal; they have no record and no position.
//! Their store provides them as [`Attempt`]s, and an answer lists them separately.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};
use scrip_protocol::{CampaignId, ClientId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::figures::activation_list::Before;
use crate::figures::{Page, page_within};
use crate::read_model::{AsOf, View, code_form};
use crate::shown::{self, At, Client, Json, Request};

/// The maximum number of refusals examined for a page: no index covers a combination of filters.
const LOOKED_AT_MAX: usize = 16_384;

/// The maximum number of attempts without a record in an answer.
pub const ATTEMPTS_MAX: usize = 100;

/// Selects refusals. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalFilter {
    /// Only of this client.
    pub client: Option<ClientId>,
    /// Only of this code, ignoring case.
    pub code: Option<String>,
    /// Only of codes that this campaign has, or was the last to have.
    pub campaign: Option<CampaignId>,
}

/// A refused attempt.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Refusal {
    /// The record.
    pub position: u64,
    /// When.
    pub at: At,
    /// The command, such as `redeem`.
    pub command: String,
    /// The credential that sent the request.
    pub credential: u32,
    /// The name of the credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Request,
    /// The client.
    pub client: Option<Client>,
    /// The name of the client.
    pub client_name: Option<String>,
    /// The club.
    pub club: Option<u32>,
    /// The name of the club.
    pub club_name: Option<String>,
    /// The code, in the form used for comparison.
    pub code: Option<String>,
    /// The campaign named in the request, or the one that had the code.
    pub campaign: Option<u32>,
    /// The name of the campaign.
    pub campaign_name: Option<String>,
    /// The position of the activation, top-up, payment or hold named in the request.
    pub operation: Option<u64>,
    /// The outcome, such as `code_exhausted`.
    pub reason: String,
    /// The condition that caused the refusal, such as `activated 1 of 1`.
    pub decided: String,
    /// The reply. Lists of codes are replaced by their length.
    #[schema(value_type = Value)]
    pub reply: serde_json::Value,
}

/// A refused attempt that left no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attempt {
    /// When.
    pub at: At,
    /// The command, such as `redeem`.
    pub command: String,
    /// The credential that sent the request.
    pub credential: u32,
    /// The client.
    pub client: Option<Client>,
    /// The club.
    pub club: Option<u32>,
    /// The code, in the form used for comparison.
    pub code: Option<String>,
    /// The campaign that had the code.
    pub campaign: Option<u32>,
    /// The outcome.
    pub reason: String,
    /// The condition that caused the refusal.
    pub decided: String,
}

/// A page of refusals.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Refusals {
    /// Newest first. Can be empty even if there is a next page.
    pub refusals: Vec<Refusal>,
    /// The `before` of the next page; none on the last page.
    pub next: Option<u64>,
    /// Refused attempts without a record, newest first, at most 100; only on the first page. The engine reports them outside the
    /// journal: the list may be incomplete, and is not as of a position.
    pub attempts: Vec<Attempt>,
    /// What `refusals` is as of.
    pub as_of: AsOf,
}

/// A page of the refusals that match a filter, of the commands that the caller sees, without `attempts`.
///
/// # Errors
/// If SQLite fails.
pub fn list(view: &View<'_>, filter: &RefusalFilter, before: Before, sees: &dyn Fn(&str) -> bool) -> rusqlite::Result<Refusals> {
    let none = || Refusals { refusals: Vec::new(), next: None, attempts: Vec::new(), as_of: view.as_of };
    let form = code_form(view.connection)?;
    let code = match filter.code.as_deref().map(|code| form.normalise(code)) {
        Some(Ok(code)) => Some(code.as_str().to_owned()),
        // An input that cannot be a code was never compared with any.
        Some(Err(_)) => return Ok(none()),
        None => None,
    };
    let campaign = filter.campaign.map(|campaign| campaign.0);
    let (which, bound) = match (filter.client, &code, campaign) {
        // A client has few refusals; a code may have many, if everybody tries it.
        (Some(client), _, _) => (OF_CLIENT, vec![Client(client).into()]),
        (None, Some(code), _) => (OF_CODE, vec![Value::Text(code.clone())]),
        (None, None, Some(campaign)) => (OF_CAMPAIGN, vec![Value::Integer(campaign.into())]),
        (None, None, None) => (OF_ALL, Vec::new()),
    };
    let mut statement = view.connection.prepare_cached(&select(which))?;
    let bound = [Value::Integer(before.bound())].into_iter().chain(bound);
    let rows = statement.query_map(params_from_iter(bound), |row| {
        let position = shown::whole(row, 0)?;
        // Checked before the refusal is built, because most rows examined may be hidden from the caller.
        let is_seen = sees(row.get_ref(2)?.as_str()?);
        let of_code = code.is_none() || row.get::<_, Option<String>>(10)? == code;
        let of_campaign = campaign.is_none() || row.get::<_, Option<u32>>(11)? == campaign;
        if !(is_seen && of_code && of_campaign) {
            return Ok((position, None));
        }
        let bytes = row.get_ref(14)?.as_bytes()?.len() + row.get_ref(15)?.as_bytes()?.len();
        Ok((position, Some((of_row(row)?, bytes))))
    })?;
    let Page { rows: refusals, next } = page_within(rows, before.limit, LOOKED_AT_MAX)?;
    Ok(Refusals { refusals, next, ..none() })
}

pub(crate) const ONE: &str = "r.position = ?1";
pub(crate) const OF_ALL: &str = "r.position < ?1 ORDER BY r.position DESC";
pub(crate) const OF_CLIENT: &str = "r.client = ?2 AND r.position < ?1 ORDER BY r.position DESC";
pub(crate) const OF_CODE: &str = "r.code = ?2 AND r.position < ?1 ORDER BY r.position DESC";
pub(crate) const OF_CAMPAIGN: &str = "r.campaign = ?2 AND r.position < ?1 ORDER BY r.position DESC";

/// Refusals with all related names.
pub(crate) fn select(which: &str) -> String {
    format!(
        "SELECT r.position, r.at_ms, r.command, r.credential, credential.name, r.request, r.client, client.name, r.club, club.name, \
         r.code, r.campaign, campaign.name, r.reason, r.decided, r.reply, r.operation \
         FROM refusal r \
         LEFT JOIN credential ON credential.credential = r.credential \
         LEFT JOIN client ON client.client = r.client \
         LEFT JOIN club ON club.club = r.club \
         LEFT JOIN campaign ON campaign.campaign = r.campaign \
         WHERE {which}"
    )
}

/// Reads a refusal from columns as in [`select`].
pub(crate) fn of_row(row: &Row<'_>) -> rusqlite::Result<Refusal> {
    let Json(reply) = row.get(15)?;
    Ok(Refusal {
        position: shown::whole(row, 0)?,
        at: row.get(1)?,
        command: row.get(2)?,
        credential: row.get(3)?,
        credential_name: row.get(4)?,
        request: row.get(5)?,
        client: row.get(6)?,
        client_name: row.get(7)?,
        club: row.get(8)?,
        club_name: row.get(9)?,
        code: row.get(10)?,
        campaign: row.get(11)?,
        campaign_name: row.get(12)?,
        reason: row.get(13)?,
        decided: row.get(14)?,
        reply,
        operation: shown::whole_or_none(row, 16)?,
    })
}
