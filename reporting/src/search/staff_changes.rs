//! Changes by staff of campaigns, codes, clubs, groups, rules, credentials, readers and settings (Z15).

use rusqlite::Row;
use scrip_protocol::CampaignId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::figures::activation_list::Before;
use crate::figures::{Page, page_within};
use crate::read_model::{AsOf, View};
use crate::shown::{self, At, Json, Request};

/// A change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Changed {
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
    /// The campaign, if the change is about one.
    pub campaign: Option<u32>,
    /// The current name of the campaign.
    pub campaign_name: Option<String>,
    /// The change. Lists of codes are replaced by their length; secrets are omitted.
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
}

/// A page of changes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Changes {
    /// Newest first. Can be empty even if there is a next page.
    pub changes: Vec<Changed>,
    /// The `before` of the next page; none on the last page.
    pub next: Option<u64>,
    /// What the page is as of.
    pub as_of: AsOf,
}

/// The maximum number of changes examined for a page of those that a caller sees.
const LOOKED_AT_MAX: usize = 16_384;

/// A page of the changes of all campaigns or of one, of the kinds that a caller sees; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn changes(
    view: &View<'_>,
    campaign: Option<CampaignId>,
    page: Before,
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
            view.connection.prepare_cached(&select(OF_ALL))?.query_map([page.bound()], of_row)?,
            page.limit,
            LOOKED_AT_MAX,
        )?,
        Some(CampaignId(campaign)) => {
            if !view.connection.prepare_cached("SELECT 1 FROM campaign WHERE campaign = ?1")?.exists([campaign])? {
                return Ok(None);
            }
            let mut statement = view.connection.prepare_cached(&select(OF_CAMPAIGN))?;
            page_within(statement.query_map((page.bound(), campaign), of_row)?, page.limit, LOOKED_AT_MAX)?
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
