//! The order of checks: why a known code would be refused, check by check. This is the only code that states their precedence;
//! the variants of [`RedeemOutcome`] are in the same order, and a test compares both with one table.
//!
//! A redemption and a hold stop at the first check that fails; a check command reports all of them (Z6).

use std::ops::ControlFlow;

use scrip_protocol::command::{RedeemOutcome, Terms};
use scrip_protocol::{ClubId, Money};

/// The status of a code for one request. Held uses count as taken (Z1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// Whether the code is archived while its campaign is not.
    pub code_archived: bool,
    /// Whether the campaign is archived.
    pub campaign_archived: bool,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The club of the request; `None` for any.
    pub club: Option<ClubId>,
    /// Uses taken of the code.
    pub code_uses: u32,
    /// Uses taken by the client in the campaign; only read if the campaign limits them.
    pub client_uses: u32,
    /// Uses taken in the campaign; likewise.
    pub campaign_uses: u64,
    /// The sum of the bonuses credited and held; likewise.
    pub committed: Money,
    /// The bonus that would be added.
    pub amount: Money,
}

/// Reports why a code would be refused, in order of precedence, until `report` breaks.
#[inline]
pub(super) fn check_in_order(
    terms: &Terms,
    standing: &Standing,
    mut report: impl FnMut(RedeemOutcome) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if standing.code_archived {
        report(RedeemOutcome::CodeArchived)?;
    }
    if standing.campaign_archived {
        report(RedeemOutcome::CampaignArchived)?;
    }
    if !terms.active {
        report(RedeemOutcome::CampaignInactive)?;
    }
    if terms.enforce_period && !terms.is_in_period(standing.now_ms) {
        report(RedeemOutcome::OutsidePeriod)?;
    }
    if let Some(club) = standing.club
        && !terms.clubs.is_empty()
        && terms.clubs.binary_search(&club).is_err()
    {
        report(RedeemOutcome::ClubExcluded)?;
    }
    // The counter has 32 bits, which limits a code without a cap as well.
    if standing.code_uses >= terms.activations_per_code_max.unwrap_or(u32::MAX) {
        report(RedeemOutcome::CodeExhausted)?;
    }
    if terms.activations_per_client_max.is_some_and(|max| standing.client_uses >= max) {
        report(RedeemOutcome::ClientExhausted)?;
    }
    if terms.activations_max.is_some_and(|max| standing.campaign_uses >= max) {
        report(RedeemOutcome::CampaignExhausted)?;
    }
    if let Some(budget) = terms.budget
        && standing.committed.checked_add(standing.amount).is_none_or(|sum| sum > budget)
    {
        report(RedeemOutcome::BudgetExhausted)?;
    }
    ControlFlow::Continue(())
}

/// The first check that fails.
#[inline]
pub(super) fn refusal_of(terms: &Terms, standing: &Standing) -> Option<RedeemOutcome> {
    let mut first = None;
    let _ = check_in_order(terms, standing, |why| {
        first = Some(why);
        ControlFlow::Break(())
    });
    first
}

/// Every check that fails, in order of precedence.
pub fn refusals_of(terms: &Terms, standing: &Standing) -> Vec<RedeemOutcome> {
    let mut all = Vec::new();
    let _ = check_in_order(terms, standing, |why| {
        all.push(why);
        ControlFlow::Continue(())
    });
    all
}
