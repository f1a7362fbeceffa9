//! Redeem: one use of a code, and its bonus, in one record (D1 to D6).

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{Activation, RedeemOutcome, RedemptionRefused};
use scrip_protocol::{ClientId, ClubId, Money, Position, Record, Stamp};

use super::holds::Hold;
use super::precedence::{Standing, refusal_of};
use super::{Campaign, CodeAt, Lookup, NormalisedCode, State};

/// A request to redeem, with its code normalised.
#[derive(Debug, Clone, Copy)]
pub struct RedeemRequest {
    /// Who receives the bonus.
    pub client: ClientId,
    /// The club.
    pub club: ClubId,
    /// The code.
    pub code: Result<NormalisedCode, InvalidCode>,
    /// The top-up during which the code was entered, 0 for none (A12).
    pub top_up: Position,
    /// Whether that is a top-up of the client, according to the journal; true without a top-up.
    pub is_their_top_up: bool,
}

pub(super) fn decide(state: &State, now_ms: u64, stamp: Stamp, request: &RedeemRequest, lookup: &impl Lookup) -> Record {
    let RedeemRequest { client, club, ref code, top_up, .. } = *request;
    match permitted(state, now_ms, request, lookup) {
        Ok(Permitted { at: CodeAt { campaign, slot }, amount, balance }) => {
            Activation { stamp, client, club, campaign, slot, amount, balance, top_up }.into()
        }
        Err(outcome) => {
            let code = code.as_ref().map_or("", NormalisedCode::as_str).to_owned();
            RedemptionRefused { stamp, client, club, code, outcome }.into()
        }
    }
}

/// A permitted use.
pub(super) struct Permitted {
    pub(super) at: CodeAt,
    pub(super) amount: Money,
    /// The client's balance after it.
    pub(super) balance: Money,
}

/// The checks of a redemption, and of a hold: the permitted use, or why it is refused.
#[inline]
pub(super) fn permitted(
    state: &State,
    now_ms: u64,
    request: &RedeemRequest,
    lookup: &impl Lookup,
) -> Result<Permitted, RedeemOutcome> {
    let code = request.code.as_ref().map_err(|why| RedeemOutcome::InvalidCode(*why))?;
    if !state.clubs.contains(request.club) {
        return Err(RedeemOutcome::UnknownClub);
    }
    if !request.is_their_top_up {
        return Err(RedeemOutcome::UnknownTopUp);
    }
    let at = lookup.find(code).ok_or(RedeemOutcome::UnknownCode)?;
    let campaign = state.campaigns.of(at.campaign).ok_or(RedeemOutcome::UnknownCode)?;
    let amount = campaign.terms.amount;
    let standing =
        standing(state, now_ms, at, campaign, (request.client, request.club), amount).ok_or(RedeemOutcome::UnknownCode)?;
    if let Some(refusal) = refusal_of(&campaign.terms, &standing) {
        return Err(refusal);
    }
    let balance = credited(state, request.client, campaign, amount).ok_or(RedeemOutcome::AmountLimit)?;
    Ok(Permitted { at, amount, balance })
}

/// The status of a code for a client at a club, with a bonus amount; `None` for a code that the campaign does not have.
#[inline]
pub(super) fn standing(
    state: &State,
    now_ms: u64,
    at: CodeAt,
    campaign: &Campaign,
    (client, club): (ClientId, ClubId),
    amount: Money,
) -> Option<Standing> {
    let mut standing = taken(now_ms, at, campaign, (client, club), amount)?;
    // The usual case: a campaign without holds needs no lookup.
    if campaign.held > 0 {
        state.holds.add_to(&mut standing, at, client, campaign);
    }
    Some(standing)
}

/// The status of an expired hold's code for its confirmation: without the hold itself, which no longer counts.
pub(super) fn standing_without(state: &State, now_ms: u64, campaign: &Campaign, hold: &Hold) -> Option<Standing> {
    let mut standing = taken(now_ms, hold.at, campaign, (hold.client, hold.club), hold.amount)?;
    if campaign.held > 0 {
        state.holds.add_others_to(&mut standing, campaign, hold);
    }
    Some(standing)
}

/// The status of a code by its activations alone.
#[inline]
fn taken(now_ms: u64, at: CodeAt, campaign: &Campaign, (client, club): (ClientId, ClubId), amount: Money) -> Option<Standing> {
    Some(Standing {
        code_archived: campaign.is_code_archived(at.slot),
        campaign_archived: campaign.is_archived(),
        now_ms,
        club: Some(club),
        code_uses: *campaign.activations_of.get(at.slot)?,
        client_uses: campaign.client_uses(client),
        campaign_uses: campaign.activations,
        committed: campaign.issued,
        amount,
    })
}

/// A client's balance after a bonus of a campaign; `None` if the balance or the campaign's sum would overflow.
pub(super) fn credited(state: &State, client: ClientId, campaign: &Campaign, amount: Money) -> Option<Money> {
    let balance = state.clients.bonus(client).unwrap_or(Money(0)).checked_add(amount)?;
    campaign.issued.checked_add(amount)?;
    Some(balance)
}

pub(super) fn apply(state: &mut State, record: &Activation) {
    state.clients.set_bonus(record.client, record.balance);
    if state.campaigns.of(record.campaign).is_some_and(|campaign| campaign.held > 0) {
        let at = CodeAt { campaign: record.campaign, slot: record.slot };
        state.holds.make_room(&mut state.campaigns, at, record.client, record.amount, state.now_ms);
    }
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    if !campaign.set_activations(record.slot, |activations| activations.saturating_add(1)) {
        return;
    }
    campaign.activations += 1;
    campaign.issued = campaign.issued.checked_add(record.amount).unwrap_or(campaign.issued);
    if let Some(clients) = &mut campaign.clients {
        clients.change(record.client, |uses| uses.saturating_add(1));
    }
}
