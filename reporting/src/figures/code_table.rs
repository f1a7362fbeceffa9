//! The code table of a campaign (T5, T6): every code with its status, its usage, and its first and last activation.

use rusqlite::{OptionalExtension, Row, Statement};
use scrip_protocol::CampaignId;
use serde::Serialize;
use utoipa::ToSchema;

use super::activity::exists;
use super::{Page, page};
use crate::read_model::{AsOf, View};
use crate::shown::{self, At, Client};

/// The maximum number of codes examined for a page.
const LOOKED_AT_MAX: usize = 16_384;

/// Selects codes.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeFilter {
    /// By whether they are archived, individually or with the campaign; none for all (X3).
    pub archived: Option<bool>,
    /// By whether they are activated; none for all.
    pub used: Option<bool>,
    /// Only codes after this slot.
    pub after: Option<u32>,
    /// The maximum number of codes.
    pub limit: usize,
}

/// Whether a code is archived, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeStatus {
    /// Not archived.
    Active,
    /// Archived individually (X2): restoring the campaign does not restore it (A5).
    Archived,
    /// The campaign is archived (X1).
    ArchivedWithCampaign,
    /// Another campaign had the code when this campaign was restored (X5).
    ArchivedLeftBehind,
}

impl CodeStatus {
    /// The word in answers and exports. A code whose word begins with `archived` cannot be redeemed, and matches the filter
    /// `archived`.
    pub const fn word(self) -> &'static str {
        match self {
            CodeStatus::Active => "active",
            CodeStatus::Archived => "archived",
            CodeStatus::ArchivedWithCampaign => "archived_with_campaign",
            CodeStatus::ArchivedLeftBehind => "archived_left_behind",
        }
    }
}

/// A code of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Code {
    /// The slot: codes are numbered from 0 in the order in which they were added.
    pub slot: u32,
    /// The code as the campaign spells it.
    pub code: String,
    /// Whether and how the code is archived.
    pub status: CodeStatus,
    /// The number of activations, without refunded ones.
    pub activations: u64,
    /// The first activation; none if it is before this history begins.
    pub first: Option<Use>,
    /// The last activation, if that is another one.
    pub last: Option<Use>,
}

/// An activation of a code (T6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Use {
    /// The activation.
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
    /// Whether the activation was refunded.
    pub refunded: bool,
}

/// A page of the codes of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Codes {
    /// In the order in which they were added. Can be empty even if there is a next page.
    pub codes: Vec<Code>,
    /// The `after` of the next page; none on the last page.
    pub next: Option<u32>,
    /// What the page is as of.
    pub as_of: AsOf,
}

/// A page of the codes of a campaign that match a filter; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn list(view: &View<'_>, campaign: CampaignId, filter: &CodeFilter) -> rusqlite::Result<Option<Codes>> {
    if !exists(view, campaign)? {
        return Ok(None);
    }
    let campaign_archived = is_archived(view, campaign)?;
    let mut statement = view.connection.prepare_cached(LIST)?;
    let mut uses = Uses::new(view)?;
    let after = filter.after.map_or(-1, i64::from);
    let rows = statement.query_map((campaign.0, after, LOOKED_AT_MAX as i64 + 1), |row| {
        let (slot, status) = (row.get(0)?, status(row.get(2)?, campaign_archived));
        let activations = shown::whole_or_none(row, 3)?.unwrap_or(0);
        let of_status = filter.archived.is_none_or(|archived| archived == (status != CodeStatus::Active));
        let of_usage = filter.used.is_none_or(|used| used == (activations > 0));
        if !of_status || !of_usage {
            return Ok((slot, None));
        }
        let (first, last) = uses.first_and_last(shown::whole_or_none(row, 4)?, shown::whole_or_none(row, 5)?)?;
        Ok((slot, Some(Code { slot, code: row.get(1)?, status, activations, first, last })))
    })?;
    let Page { rows: codes, next } = page(rows, filter.limit, LOOKED_AT_MAX)?;
    Ok(Some(Codes { codes, next, as_of: view.as_of }))
}

pub(super) const LIST: &str = "SELECT code.slot, code.code, code.archived, u.activations, u.first_activation, u.last_activation \
     FROM code LEFT JOIN code_use u ON u.campaign = code.campaign AND u.slot = code.slot \
     WHERE code.campaign = ?1 AND code.slot > ?2 ORDER BY code.slot LIMIT ?3";

/// Whether a campaign is archived.
pub(crate) fn is_archived(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<bool> {
    let mut statement = view.connection.prepare_cached("SELECT archived_ms IS NOT NULL FROM campaign WHERE campaign = ?1")?;
    Ok(statement.query_row([campaign.0], |row| row.get(0)).optional()?.unwrap_or(false))
}

/// Decodes the number in the table. A code that was archived individually stays archived, whatever happens to its campaign; a
/// code that was left behind is restored with its campaign like the others.
pub(crate) fn status(archived: i64, campaign_archived: bool) -> CodeStatus {
    match (archived, campaign_archived) {
        (0, false) => CodeStatus::Active,
        (0 | 1, true) => CodeStatus::ArchivedWithCampaign,
        (1, false) => CodeStatus::ArchivedLeftBehind,
        (_, _) => CodeStatus::Archived,
    }
}

/// Looks up activations of codes.
pub(crate) struct Uses<'v> {
    statement: rusqlite::CachedStatement<'v>,
}

impl<'v> Uses<'v> {
    pub(crate) fn new(view: &View<'v>) -> rusqlite::Result<Uses<'v>> {
        Ok(Uses { statement: view.connection.prepare_cached(USE)? })
    }

    /// The first activation of a code, and the last if that is another one.
    pub(crate) fn first_and_last(
        &mut self,
        first: Option<u64>,
        last: Option<u64>,
    ) -> rusqlite::Result<(Option<Use>, Option<Use>)> {
        let last = last.filter(|last| first != Some(*last));
        let mut found = |activation: Option<u64>| activation.map_or(Ok(None), |at| use_of(&mut self.statement, at));
        Ok((found(first)?, found(last)?))
    }
}

pub(super) const USE: &str = "SELECT a.activation, a.at_ms, a.client, client.name, a.club, club.name, refund.refund IS NOT NULL \
     FROM activation a \
     LEFT JOIN client ON client.client = a.client \
     LEFT JOIN club ON club.club = a.club \
     LEFT JOIN refund ON refund.activation = a.activation \
     WHERE a.activation = ?1";

fn use_of(statement: &mut Statement<'_>, activation: u64) -> rusqlite::Result<Option<Use>> {
    let of_row = |row: &Row<'_>| {
        Ok(Use {
            activation: shown::whole(row, 0)?,
            at: row.get(1)?,
            client: row.get(2)?,
            client_name: row.get(3)?,
            club: row.get(4)?,
            club_name: row.get(5)?,
            refunded: row.get(6)?,
        })
    };
    statement.query_row([shown::bound(activation)], of_row).optional()
}
