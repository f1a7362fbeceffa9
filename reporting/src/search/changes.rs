//! Who changed what, and when: campaigns, codes, clubs, groups, rules, credentials, readers, settings (Z15).

use rusqlite::Row;
use scrip_protocol::CampaignId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::figures::activations::Before;
use crate::figures::{Page, page_within};
use crate::read_model::{AsOf, View};
use crate::shown::{self, At, Json, Request};

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Changed {
    /// The record.
    pub position: u64,
    /// When.
    pub at: At,
    /// Its kind, as in `campaign_updated`.
    pub kind: String,
    /// Whose request it was; 0 for the engine itself.
    pub credential: u32,
    /// The name of that credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Option<Request>,
    /// The campaign, where it is about one.
    pub campaign: Option<u32>,
    /// The campaign's name, as it is now.
    pub campaign_name: Option<String>,
    /// What was changed. Of lists of codes there is their length, of secrets nothing.
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
}

/// A page of changes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Changes {
    /// The newest first. There may be none though a next page has some.
    pub changes: Vec<Changed>,
    /// The next page is of those before this position; none where this is the last.
    pub next: Option<u64>,
    /// What this is as of.
    pub as_of: AsOf,
}

/// How many changes are looked at for a page of those that a caller sees.
const LOOKED_AT_MAX: usize = 16_384;

/// A page of all changes, or of those of a campaign, of the kinds that a caller sees; none where there is no such campaign.
///
/// # Errors
/// When SQLite fails.
pub fn changes(
    view: &View<'_>,
    campaign: Option<CampaignId>,
    asked: Before,
    sees: &dyn Fn(&str) -> bool,
) -> rusqlite::Result<Option<Changes>> {
    let of_row = |row: &Row<'_>| {
        let position = shown::whole(row, 0)?;
        // The tables have words as JSON has them.
        if !sees(&row.get_ref(2)?.as_str()?.replace('_', "-")) {
            return Ok((position, None));
        }
        let bytes = row.get_ref(8)?.as_bytes()?.len();
        Ok((position, Some((of_row(row)?, bytes))))
    };
    let Page { rows: changes, next } = match campaign {
        None => page_within(
            view.connection.prepare_cached(&select(OF_ALL))?.query_map([asked.bound()], of_row)?,
            asked.limit,
            LOOKED_AT_MAX,
        )?,
        Some(CampaignId(campaign)) => {
            if !view.connection.prepare_cached("SELECT 1 FROM campaign WHERE campaign = ?1")?.exists([campaign])? {
                return Ok(None);
            }
            let mut statement = view.connection.prepare_cached(&select(OF_CAMPAIGN))?;
            page_within(statement.query_map((asked.bound(), campaign), of_row)?, asked.limit, LOOKED_AT_MAX)?
        }
    };
    Ok(Some(Changes { changes, next, as_of: view.as_of }))
}

pub(crate) const OF_ALL: &str = "c.position < ?1 ORDER BY c.position DESC";
pub(crate) const OF_CAMPAIGN: &str = "c.campaign = ?2 AND c.position < ?1 ORDER BY c.position DESC";

pub(crate) fn select(which: &str) -> String {
    format!(
        "SELECT c.position, c.at_ms, c.kind, c.credential, credential.name, c.request, c.campaign, campaign.name, c.body \
         FROM change c \
         LEFT JOIN credential ON credential.credential = c.credential \
         LEFT JOIN campaign ON campaign.campaign = c.campaign \
         WHERE {which}"
    )
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Changed> {
    let Json(body) = row.get(8)?;
    Ok(Changed {
        position: shown::whole(row, 0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        credential: row.get(3)?,
        credential_name: row.get(4)?,
        request: row.get(5)?,
        campaign: row.get(6)?,
        campaign_name: row.get(7)?,
        body,
    })
}
