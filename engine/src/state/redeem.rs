//! Redeem: one use of a code, and its bonus, in one record (D1 to D6).

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{Activation, RedeemOutcome, RedemptionRefused, Terms};
use scrip_protocol::{ClientId, ClubId, Money, Record, Stamp};

use super::{Campaign, Lookup, NormalisedCode, State};

/// A request to redeem, with its code normalised.
#[derive(Debug, Clone, Copy)]
pub struct AskedRedeem {
    /// Who receives the bonus.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The code.
    pub code: Result<NormalisedCode, InvalidCode>,
}

pub(super) fn decide(state: &State, stamp: Stamp, asked: &AskedRedeem, lookup: &impl Lookup) -> Record {
    let refused = |outcome| {
        let code = asked.code.as_ref().map_or("", NormalisedCode::as_str).to_owned();
        RedemptionRefused { stamp, client: asked.client, club: asked.club, code, outcome }.into()
    };
    let code = match &asked.code {
        Ok(code) => code,
        Err(why) => return refused(RedeemOutcome::InvalidCode(*why)),
    };
    if !state.clubs.contains(asked.club) {
        return refused(RedeemOutcome::UnknownClub);
    }
    let Some(at) = lookup.find(code) else { return refused(RedeemOutcome::UnknownCode) };
    let Some((campaign, activations)) = standing(state, at) else { return refused(RedeemOutcome::UnknownCode) };
    if let Some(outcome) = refusal_of(&campaign.terms, activations, Some(asked.club)) {
        return refused(outcome);
    }
    let amount = campaign.terms.amount;
    let balance = state.clients.balance(asked.client).unwrap_or(Money(0)).checked_add(amount);
    let (Some(balance), Some(_)) = (balance, campaign.issued.checked_add(amount)) else {
        return refused(RedeemOutcome::AmountLimit);
    };
    Activation { stamp, client: asked.client, club: asked.club, campaign: at.campaign, slot: at.slot, amount, balance }.into()
}

fn standing(state: &State, at: super::CodeAt) -> Option<(&Campaign, u32)> {
    let campaign = state.campaigns.of(at.campaign)?;
    Some((campaign, *campaign.activations_of.get(at.slot as usize)?))
}

/// Why a known code would be refused at a club, or at any, given how often it was activated: the part of the ladder that a check shares.
pub fn refusal_of(terms: &Terms, activations: u32, club: Option<ClubId>) -> Option<RedeemOutcome> {
    if !terms.active {
        return Some(RedeemOutcome::CampaignInactive);
    }
    if let Some(club) = club
        && !terms.clubs.is_empty()
        && terms.clubs.binary_search(&club).is_err()
    {
        return Some(RedeemOutcome::ClubExcluded);
    }
    // The counter has 32 bits: a code without a cap ends there as well.
    if activations >= terms.activations_per_code_max.unwrap_or(u32::MAX) {
        return Some(RedeemOutcome::CodeExhausted);
    }
    None
}

pub(super) fn apply(state: &mut State, record: &Activation) {
    state.clients.set_balance(record.client, record.balance);
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    let Some(activations) = campaign.activations_of.get_mut(record.slot as usize) else { return };
    campaign.codes_activated += u32::from(*activations == 0);
    *activations = activations.saturating_add(1);
    campaign.activations += 1;
    campaign.issued = campaign.issued.checked_add(record.amount).unwrap_or(campaign.issued);
}
