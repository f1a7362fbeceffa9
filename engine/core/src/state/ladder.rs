//! The ladder: why a known code would be refused, rule by rule. The one place where their precedence is written down in code; the
//! variants of [`RedeemOutcome`] stand in the same order, and a test holds both to one table.
//!
//! A redemption and a hold stop at the first rule that fails, a check is told all of them (Z6).

use std::ops::ControlFlow;

use scrip_protocol::command::{RedeemOutcome, Terms};
use scrip_protocol::{ClubId, Money};

/// How a code stands when it is asked for. Uses that are held count as taken (Z1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// Whether the code is archived while its campaign is not.
    pub code_archived: bool,
    /// Whether the campaign is archived.
    pub campaign_archived: bool,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Where it is asked for; `None` for anywhere.
    pub club: Option<ClubId>,
    /// How many uses of the code are taken.
    pub code_uses: u32,
    /// How many uses in the campaign the client has taken; only looked at where the campaign limits that.
    pub client_uses: u32,
    /// How many uses in the campaign are taken; as above.
    pub campaign_uses: u64,
    /// The sum of the bonuses credited and held; as above.
    pub committed: Money,
    /// The bonus that comes to it.
    pub amount: Money,
}

/// Tells why a code would be refused, first things first, for as long as `tell` goes on.
#[inline]
pub(super) fn ladder(
    terms: &Terms,
    standing: &Standing,
    mut tell: impl FnMut(RedeemOutcome) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if standing.code_archived {
        tell(RedeemOutcome::CodeArchived)?;
    }
    if standing.campaign_archived {
        tell(RedeemOutcome::CampaignArchived)?;
    }
    if !terms.active {
        tell(RedeemOutcome::CampaignInactive)?;
    }
    if terms.enforce_period && !terms.is_in_period(standing.now_ms) {
        tell(RedeemOutcome::OutsidePeriod)?;
    }
    if let Some(club) = standing.club
        && !terms.clubs.is_empty()
        && terms.clubs.binary_search(&club).is_err()
    {
        tell(RedeemOutcome::ClubExcluded)?;
    }
    // The counter has 32 bits: a code without a cap ends there as well.
    if standing.code_uses >= terms.activations_per_code_max.unwrap_or(u32::MAX) {
        tell(RedeemOutcome::CodeExhausted)?;
    }
    if terms.activations_per_client_max.is_some_and(|max| standing.client_uses >= max) {
        tell(RedeemOutcome::ClientExhausted)?;
    }
    if terms.activations_max.is_some_and(|max| standing.campaign_uses >= max) {
        tell(RedeemOutcome::CampaignExhausted)?;
    }
    if let Some(budget) = terms.budget
        && standing.committed.checked_add(standing.amount).is_none_or(|sum| sum > budget)
    {
        tell(RedeemOutcome::BudgetExhausted)?;
    }
    ControlFlow::Continue(())
}

/// The first rule that fails.
#[inline]
pub(super) fn refusal_of(terms: &Terms, standing: &Standing) -> Option<RedeemOutcome> {
    let mut first = None;
    let _ = ladder(terms, standing, |why| {
        first = Some(why);
        ControlFlow::Break(())
    });
    first
}

/// Every rule that fails, in order of precedence.
pub fn refusals_of(terms: &Terms, standing: &Standing) -> Vec<RedeemOutcome> {
    let mut all = Vec::new();
    let _ = ladder(terms, standing, |why| {
        all.push(why);
        ControlFlow::Continue(())
    });
    all
}
