//! Statistics (T1 to T6, with A7 to A10): pure functions of a view.
//!
//! This module has the counters of one campaign; [`campaign_list`] lists campaigns and shows one, [`activity`] has its days and
//! clubs, [`code_table`] its codes, and [`activation_list`] its activations, newest first. Each answer states what it is as of, and
//! depends only on the tables and the time of the view. A page continues after a key and examines a bounded number of rows, so
//! that it can be short or empty and still name the key after which the next begins.

pub mod activation_list;
pub mod activity;
pub mod campaign_list;
pub mod code_table;
mod pages;
pub mod rule_card;

pub(crate) use pages::{Page, page, page_within};

use rusqlite::{OptionalExtension, Row};
use scrip_protocol::command::{Stock, Terms, utilisation};
use scrip_protocol::{CampaignId, Money};

use crate::read_model::{AsOf, HELD_LENGTHS, View};
use crate::shown;

/// The counters of a campaign (T1). Refunded activations are excluded, except for the part of their bonuses that could not be
/// collected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct CampaignFigures {
    /// The number of codes, including archived ones (A10).
    pub codes: u64,
    /// The number of archived codes, individually or with the campaign.
    pub codes_archived: u64,
    /// The number of codes that were activated at least once (A7).
    pub codes_activated: u64,
    /// The number of codes that were never activated and are not archived (A9).
    pub codes_available: u64,
    /// The number of codes that could be activated, one use each: not archived, with a use left that is neither activated nor
    /// held, up to the campaign's limit and budget (A9).
    pub codes_redeemable: u64,
    /// The number of activations.
    pub activations: u64,
    /// The number of uses held at the time of `as_of` (Z1).
    pub held: u64,
    /// The bonuses credited in total, in minor units: the sum over activations (A8), less refunds (T3).
    #[serde(serialize_with = "shown::amount")]
    #[schema(value_type = shown::Amount)]
    pub issued: i64,
    /// The number of refunded activations.
    pub refunds: u64,
    /// What refunds took back; none if the history begins after some of them.
    pub taken_back: Option<shown::Amount>,
    /// What refunds could not take back, in minor units.
    #[serde(serialize_with = "shown::amount")]
    #[schema(value_type = shown::Amount)]
    pub uncollected: i64,
    /// The percentage of codes that were activated, with two decimals, such as `12.50`; `-` if there are no codes (T2).
    #[schema(pattern = r"^(-|[0-9]+\.[0-9]{2})$")]
    pub utilisation: String,
    /// Whether fewer codes are redeemable than the threshold in the terms (Z16).
    pub low_stock: bool,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// The counters of a campaign; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn of_campaign(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<Option<CampaignFigures>> {
    let counters = view
        .connection
        .prepare_cached(&format!("SELECT {} FROM campaign WHERE campaign = ?1", Counters::COLUMNS))?
        .query_row([campaign.0], |row| Counters::of(row, 0))
        .optional()?;
    let Some(counters) = counters else { return Ok(None) };
    let held = Held::of(view, campaign.0)?;
    Ok(Some(CampaignFigures {
        codes: counters.codes,
        codes_archived: counters.archived(),
        codes_activated: counters.codes_activated,
        codes_available: counters.available(),
        codes_redeemable: counters.redeemable(&held),
        activations: counters.activations,
        held: held.uses,
        issued: counters.issued,
        refunds: counters.refunds,
        taken_back: counters.taken_back,
        uncollected: counters.uncollected,
        utilisation: utilisation(counters.codes_activated, counters.codes),
        low_stock: counters.is_low_on_stock(&held),
        as_of: view.now(),
    }))
}

/// The counters as stored in the table, and what follows from them.
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
    taken_back: Option<shown::Amount>,
    uncollected: i64,
    is_archived: bool,
    /// The terms by which the stock is measured; the other terms have the values of a campaign without limits.
    terms: Terms,
}

/// The open holds of a campaign at the time of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Held {
    /// The number of uses (Z1).
    uses: u64,
    /// The sum of their amounts, in minor units.
    sum: i128,
    /// The number of codes that are not archived whose remaining uses are all held.
    codes_full: u64,
}

/// The sums of a campaign's rows of a length whose stretches lie between two.
pub(crate) const HELD: &str = "SELECT coalesce(sum(uses), 0), coalesce(sum(amount_high), 0), coalesce(sum(amount_low), 0), \
     coalesce(sum(codes_full), 0) FROM held WHERE campaign = ?1 AND length = ?2 AND stretch > ?3 AND stretch < ?4";

impl Held {
    fn of(view: &View<'_>, campaign: u32) -> rusqlite::Result<Held> {
        let mut held = Held::default();
        let mut statement = view.connection.prepare_cached(HELD)?;
        for (length, from, end) in stretches(shown::bound(view.now_ms)) {
            let sums = statement.query_row((campaign, length, from, end), |row| {
                let amount = (i128::from(row.get::<_, i64>(1)?) << 32) + i128::from(row.get::<_, i64>(2)?);
                Ok((shown::whole(row, 0)?, amount, shown::whole(row, 3)?))
            });
            let (uses, sum, codes_full) = sums?;
            (held.uses, held.sum, held.codes_full) = (held.uses + uses, held.sum + sum, held.codes_full + codes_full);
        }
        Ok(held)
    }
}

/// The stretches that together are all of the time after a moment: of each length those between two.
fn stretches(now_ms: i64) -> impl Iterator<Item = (u32, i64, i64)> {
    let longer = HELD_LENGTHS.into_iter().skip(1).map(Some).chain([None]);
    HELD_LENGTHS.into_iter().zip(longer).map(move |(length, longer)| {
        let end = longer.map(|longer| (i128::from(now_ms >> longer) + 1) << (longer - length));
        (length, now_ms >> length, end.and_then(|end| i64::try_from(end).ok()).unwrap_or(i64::MAX))
    })
}

impl Counters {
    const COLUMNS: &str = "codes, codes_archived, codes_activated, codes_exhausted, archived_activated, archived_exhausted, \
         activations, issued, refunds, taken_back, uncollected, archived_ms IS NOT NULL, amount, activations_per_code_max, \
         activations_max, budget, low_stock";

    /// Reads them from the columns that begin at an index.
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
            is_archived: row.get(at + 11)?,
            terms: Terms {
                amount: Money(row.get(at + 12)?),
                activations_per_code_max: row.get(at + 13)?,
                activations_max: shown::whole_or_none(row, at + 14)?,
                budget: row.get::<_, Option<i64>>(at + 15)?.map(Money),
                low_stock: row.get(at + 16)?,
                ..Terms::new("", Money(0))
            },
        })
    }

    fn archived(&self) -> u64 {
        if self.is_archived { self.codes } else { self.codes_archived }
    }

    fn available(&self) -> u64 {
        self.live_without(self.codes_activated, self.archived_activated)
    }

    fn redeemable(&self, held: &Held) -> u64 {
        self.stock(held).codes_redeemable(&self.terms)
    }

    fn stock(&self, held: &Held) -> Stock {
        Stock {
            codes_free: self.live_without(self.codes_exhausted, self.archived_exhausted).saturating_sub(held.codes_full),
            activations: self.activations,
            held: held.uses,
            issued: self.issued.into(),
            held_sum: held.sum,
        }
    }

    /// The number of codes that are neither archived nor of some kind; `of_kind_archived` of that kind are archived.
    fn live_without(&self, of_kind: u64, of_kind_archived: u64) -> u64 {
        let live = self.codes.saturating_sub(self.codes_archived);
        if self.is_archived { 0 } else { live.saturating_sub(of_kind.saturating_sub(of_kind_archived)) }
    }

    fn is_low_on_stock(&self, held: &Held) -> bool {
        !self.is_archived && self.stock(held).is_low(&self.terms)
    }
}

#[cfg(test)]
mod tests;
