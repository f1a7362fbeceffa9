//! Statistics (T1 to T6, with A7 to A10): pure functions of a view.
//!
//! Here are the counters of one campaign; [`campaigns`] lists campaigns and shows one, [`activity`] has its days and clubs, [`codes`]
//! its codes, and [`activations`] what was activated, newest first. Each answer says what it is as of, and depends on nothing but the
//! tables: the present is the time of the newest batch. Pages continue behind a key and look at a bounded number of rows, so that
//! one may be short, or empty, and still name the key where the next begins.

pub mod activations;
pub mod activity;
pub mod campaigns;
pub mod codes;
mod pages;

pub(crate) use pages::{Page, page};

use rusqlite::{OptionalExtension, Row};
use scrip_protocol::CampaignId;

use crate::read_model::{AsOf, View};
use crate::shown;

/// The counters of a campaign (T1). Refunded activations are taken off, but for what could not be collected of their bonuses.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct CampaignFigures {
    /// How many codes it has, archived ones included (A10).
    pub codes: u64,
    /// How many of them are archived, by themselves or with the campaign.
    pub codes_archived: u64,
    /// How many were activated at least once (A7).
    pub codes_activated: u64,
    /// How many were never activated and are not archived (A9).
    pub codes_available: u64,
    /// How many are not archived and were activated less often than they may be (A9).
    pub codes_redeemable: u64,
    /// How many activations there are.
    pub activations: u64,
    /// How many uses are held at the time that this is as of (Z1).
    pub held: u64,
    /// The bonuses credited in all, in minor units: the sum over activations (A8), less what was taken back (T3).
    #[serde(serialize_with = "shown::amount")]
    #[schema(value_type = shown::Amount)]
    pub issued: i64,
    /// How many activations were refunded.
    pub refunds: u64,
    /// What refunds took back, in minor units.
    #[serde(serialize_with = "shown::amount")]
    #[schema(value_type = shown::Amount)]
    pub taken_back: i64,
    /// What refunds could not take back, in minor units.
    #[serde(serialize_with = "shown::amount")]
    #[schema(value_type = shown::Amount)]
    pub uncollected: i64,
    /// Activated codes of all codes, in per cent with two decimals, as in `12.50`; `-` where there is no code (T2).
    #[schema(pattern = r"^(-|[0-9]+\.[0-9]{2})$")]
    pub utilisation: String,
    /// Whether fewer codes are redeemable than the threshold of its terms (Z16).
    pub low_stock: bool,
    /// What this is as of.
    pub as_of: AsOf,
}

/// The counters of a campaign; none where there is no such campaign.
///
/// # Errors
/// When SQLite fails.
pub fn of_campaign(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<Option<CampaignFigures>> {
    let counters = view
        .connection
        .prepare_cached(&format!("SELECT {} FROM campaign WHERE campaign = ?1", Counters::COLUMNS))?
        .query_row([campaign.0], |row| Counters::of(row, 0))
        .optional()?;
    let Some(counters) = counters else { return Ok(None) };
    let held = view
        .connection
        .prepare_cached("SELECT count(*) FROM hold WHERE campaign = ?1 AND ended IS NULL AND expires_ms > ?2")?
        .query_row((campaign.0, shown::bound(view.as_of.time_ms)), |row| shown::whole(row, 0))?;
    Ok(Some(CampaignFigures {
        codes: counters.codes,
        codes_archived: counters.archived(),
        codes_activated: counters.codes_activated,
        codes_available: counters.available(),
        codes_redeemable: counters.redeemable(),
        activations: counters.activations,
        held,
        issued: counters.issued,
        refunds: counters.refunds,
        taken_back: counters.taken_back,
        uncollected: counters.uncollected,
        utilisation: utilisation(counters.codes_activated, counters.codes),
        low_stock: counters.is_low_on_stock(),
        as_of: view.as_of,
    }))
}

/// The counters as the table has them, and what follows from them.
struct Counters {
    codes: u64,
    codes_archived: u64,
    codes_activated: u64,
    codes_exhausted: u64,
    archived_activated: u64,
    archived_exhausted: u64,
    activations: u64,
    issued: i64,
    refunds: u64,
    taken_back: i64,
    uncollected: i64,
    low_stock: Option<u64>,
    is_archived: bool,
}

impl Counters {
    const COLUMNS: &str = "codes, codes_archived, codes_activated, codes_exhausted, archived_activated, archived_exhausted, \
         activations, issued, refunds, taken_back, uncollected, low_stock, archived_ms IS NOT NULL";

    /// Reads them from the columns that begin there.
    fn of(row: &Row<'_>, at: usize) -> rusqlite::Result<Counters> {
        Ok(Counters {
            codes: shown::whole(row, at)?,
            codes_archived: shown::whole(row, at + 1)?,
            codes_activated: shown::whole(row, at + 2)?,
            codes_exhausted: shown::whole(row, at + 3)?,
            archived_activated: shown::whole(row, at + 4)?,
            archived_exhausted: shown::whole(row, at + 5)?,
            activations: shown::whole(row, at + 6)?,
            issued: row.get(at + 7)?,
            refunds: shown::whole(row, at + 8)?,
            taken_back: row.get(at + 9)?,
            uncollected: row.get(at + 10)?,
            low_stock: shown::whole_or_none(row, at + 11)?,
            is_archived: row.get(at + 12)?,
        })
    }

    fn archived(&self) -> u64 {
        if self.is_archived { self.codes } else { self.codes_archived }
    }

    fn available(&self) -> u64 {
        self.live_without(self.codes_activated, self.archived_activated)
    }

    fn redeemable(&self) -> u64 {
        self.live_without(self.codes_exhausted, self.archived_exhausted)
    }

    /// The codes that are not archived, without those of some kind, of which some are archived.
    fn live_without(&self, of_kind: u64, of_kind_archived: u64) -> u64 {
        let live = self.codes.saturating_sub(self.codes_archived);
        if self.is_archived { 0 } else { live.saturating_sub(of_kind.saturating_sub(of_kind_archived)) }
    }

    fn is_low_on_stock(&self) -> bool {
        !self.is_archived && self.low_stock.is_some_and(|least| self.redeemable() < least)
    }
}

/// T2: in per cent with two decimals, half away from zero; `-` of nothing.
fn utilisation(activated: u64, codes: u64) -> String {
    if codes == 0 {
        return "-".to_owned();
    }
    let (activated, codes) = (u128::from(activated), u128::from(codes));
    let hundredths = (activated * 10_000 * 2 + codes) / (codes * 2);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests;
