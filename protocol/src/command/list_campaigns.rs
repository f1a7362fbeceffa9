//! Showing campaigns: one, or a page of them (C1, C6).

use crate::command::{CodesBatch, Terms};
use crate::ids::{CampaignId, ClubId, Position};
use crate::money::Money;

/// The request for a page of the campaigns that pass a filter, in the order of their numbers. A page ends after
/// [`CAMPAIGNS_PER_PAGE`] campaigns, or after examining [`CAMPAIGNS_LOOKED_AT`].
#[wire_format(Default, serde::Deserialize)]
pub struct ListCampaigns {
    /// The campaign to continue after; 0 to start from the first.
    pub after: CampaignId,
    /// Filter by status.
    pub status: CampaignFilter,
    /// Only campaigns whose name contains this text, ignoring case; empty for all.
    pub text: String,
    /// Only campaigns whose codes are accepted at this club; 0 for all.
    pub club: ClubId,
    /// Only campaigns that are low on stock (Z16).
    pub low_stock: bool,
}

/// Which campaigns are shown.
#[wire_format(Copy, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CampaignFilter {
    /// Those that are not archived.
    #[default]
    Present = 0,
    /// Those whose status is active: switched on, within their period, not archived (C6, A1).
    Active = 1,
    /// Those that are not archived, and not active.
    Inactive = 2,
    /// Those that are archived.
    Archived = 3,
    /// All.
    All = 4,
}

/// Maximum number of campaigns in an answer to [`ListCampaigns`].
pub const CAMPAIGNS_PER_PAGE: usize = 100;

/// How many campaigns are examined for one answer, so that a filter that few pass does not delay other requests.
pub const CAMPAIGNS_LOOKED_AT: usize = 2_048;

/// The answer to [`ListCampaigns`].
#[wire_format]
pub struct ListCampaignsOutcome {
    /// The page. It may be short, or empty, without being the last.
    pub campaigns: Vec<CampaignCard>,
    /// Where the next page continues; none on the last page.
    pub next: Option<CampaignId>,
    /// The journal position of this result.
    pub as_of: Position,
}

/// The request for one campaign.
#[wire_format(serde::Deserialize)]
pub struct ShowCampaign {
    /// The campaign.
    pub campaign: CampaignId,
}

/// The answer to [`ShowCampaign`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one is created per request, and lives until it is written")]
#[repr(u8)]
pub enum ShowCampaignOutcome {
    /// The campaign.
    Campaign(CampaignCard) = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
}

/// A campaign with its counters. Refunded activations are subtracted, but bonuses that could not be collected stay counted (Z2).
#[wire_format]
pub struct CampaignCard {
    /// Its number.
    pub campaign: CampaignId,
    /// Its terms.
    pub terms: Terms,
    /// Whether it is switched on, within its period, and not archived (C6).
    pub status_active: bool,
    /// Whether its codes are accepted (A1).
    pub redeemable: bool,
    /// When it was archived, in milliseconds since 1970.
    pub archived_ms: Option<u64>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// How many codes it has, archived ones included (A10).
    pub codes: u32,
    /// How many of them are archived, by themselves or with the campaign.
    pub codes_archived: u32,
    /// How many of them were activated at least once (A7).
    pub codes_activated: u32,
    /// How many were never activated and are not archived (A9).
    pub codes_available: u32,
    /// How many codes could be activated, one use each ([`Stock::codes_redeemable`]).
    pub codes_redeemable: u32,
    /// Whether that is below the terms' threshold (Z16).
    pub low_stock: bool,
    /// How many activations there are.
    pub activations: u64,
    /// How many uses are held now (Z1).
    pub held: u32,
    /// The sum of the bonuses credited (A8), less what refunds collected.
    pub issued: Money,
    /// How many activations were refunded.
    pub refunds: u64,
    /// What refunds could not collect, because it was spent.
    pub uncollected: Money,
    /// Since when activations are counted per client, in milliseconds since 1970; none if there never was a limit per client.
    pub clients_counted_from_ms: Option<u64>,
    /// The latest additions of codes, newest last, at most 100 (K9).
    pub added: Vec<CodesBatch>,
    /// The journal position of this result.
    pub as_of: Position,
    /// The engine's time of this result, in milliseconds since 1970. It advances even while no records are written.
    pub as_of_ms: u64,
}

/// What a campaign has left at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// How many codes are not archived, by themselves or with the campaign, and have a use left: their activations and held uses
    /// are fewer than the limit per code.
    pub codes_free: u64,
    /// How many activations there are, less refunded ones.
    pub activations: u64,
    /// How many uses are held.
    pub held: u64,
    /// The bonuses credited, less what refunds collected, in minor units.
    pub issued: i128,
    /// The bonuses of the held uses, in minor units.
    pub held_sum: i128,
}

impl Stock {
    /// How many codes could be activated, one use each, by clients who have used none: the codes that have a use left, capped by
    /// what the campaign's limit and budget allow. Held uses count as used. The switch, the period and the clubs do not matter:
    /// they decide when and where codes are accepted, not how many there are. Low stock (Z16) is measured by this number.
    pub fn codes_redeemable(&self, terms: &Terms) -> u64 {
        let by_limit = terms.activations_max.map(|max| max.saturating_sub(self.activations).saturating_sub(self.held));
        let by_budget = terms.budget.filter(|_| terms.amount.0 > 0).map(|budget| {
            let left = i128::from(budget.0) - self.issued - self.held_sum;
            u64::try_from((left / i128::from(terms.amount.0)).max(0)).unwrap_or(u64::MAX)
        });
        self.codes_free.min(by_limit.unwrap_or(u64::MAX)).min(by_budget.unwrap_or(u64::MAX))
    }

    /// Whether a campaign that is not archived is low on stock (Z16).
    pub fn is_low(&self, terms: &Terms) -> bool {
        terms.low_stock.is_some_and(|least| self.codes_redeemable(terms) < u64::from(least))
    }
}

/// The share of a campaign's codes that were activated, in percent with two decimals, rounded half away from zero (T2); `-` if it has
/// no codes.
pub fn utilisation(activated: u64, codes: u64) -> String {
    if codes == 0 {
        return "-".to_owned();
    }
    let (activated, codes) = (u128::from(activated), u128::from(codes));
    let hundredths = (activated * 10_000 * 2 + codes) / (codes * 2);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Z16, A9: the minimum of what codes, limit and budget leave, and 0 if one of them is exceeded.
    #[test]
    fn the_stock_is_the_least_of_codes_limit_and_budget() {
        let stock = Stock { codes_free: 10, activations: 3, held: 2, issued: 1_500, held_sum: 1_000 };
        let none = Terms::new("Autumn", Money(500));
        let limit = |max| Terms { activations_max: Some(max), ..none.clone() };
        let budget = |budget| Terms { budget: Some(Money(budget)), ..none.clone() };
        let redeemable = |terms: &Terms| stock.codes_redeemable(terms);
        assert_eq!(redeemable(&none), 10);
        assert_eq!([5, 6, 14, 15, 16, 2, u64::MAX].map(|max| redeemable(&limit(max))), [0, 1, 9, 10, 10, 0, 10]);
        assert_eq!(
            [2_500, 2_999, 3_000, 7_499, 7_500, 100, i64::MAX].map(|most| redeemable(&budget(most))),
            [0, 0, 1, 9, 10, 0, 10]
        );
        let low = |least| stock.is_low(&Terms { low_stock: Some(least), ..limit(9) });
        assert!(low(5) && !low(4) && !stock.is_low(&limit(5)));
    }

    /// T2: two decimals, rounded half away from zero, for any number of codes.
    #[test]
    fn utilisation_is_exact() {
        for (activated, codes, expected) in [
            (0, 0, "-"),
            (1, 16, "6.25"),
            (1, 3, "33.33"),
            (2, 3, "66.67"),
            (1, 20_000, "0.01"),
            (1, 20_001, "0.00"),
            (3, 3, "100.00"),
            (u64::MAX, u64::MAX, "100.00"),
        ] {
            assert_eq!(utilisation(activated, codes), expected);
        }
    }
}
