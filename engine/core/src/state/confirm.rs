//! Confirm: turns a hold into an activation (Z1).

use scrip_protocol::command::{Activation, ConfirmOutcome as Outcome, ConfirmationRefused, HoldConfirmed};
use scrip_protocol::{ClientId, Position, Record, Stamp};

use super::State;
use super::holds::{End, Hold};
use super::precedence::refusal_of;
use super::redeem::{self, credited, standing_without};

/// A hold named by a request to confirm or release it.
#[derive(Debug, Clone, Copy)]
pub struct NamedHold {
    /// The hold.
    pub hold: Position,
    /// Whether it may be of any credential, as for operators, or only the caller's own.
    pub anyones: bool,
}

/// A request to confirm a hold.
#[derive(Debug, Clone, Copy)]
pub struct ConfirmRequest {
    /// The hold.
    pub hold: NamedHold,
    /// The top-up during which the code was entered, 0 for none (A12).
    pub top_up: Position,
    /// The client of that top-up, as the journal has it; none without a top-up.
    pub top_up_of: Option<ClientId>,
}

impl From<NamedHold> for ConfirmRequest {
    /// Without a top-up.
    fn from(hold: NamedHold) -> ConfirmRequest {
        ConfirmRequest { hold, top_up: Position(0), top_up_of: None }
    }
}

impl NamedHold {
    /// The hold, if it exists and the caller may name it.
    pub(super) fn of<'a>(&self, state: &'a State, now_ms: u64, stamp: &Stamp) -> Option<&'a Hold> {
        let hold = state.holds.known(self.hold, now_ms)?;
        (self.anyones || hold.credential == stamp.credential).then_some(hold)
    }
}

pub(super) fn decide(state: &State, now_ms: u64, stamp: Stamp, request: &ConfirmRequest) -> Record {
    let ConfirmRequest { hold: named, top_up, top_up_of } = request;
    let refused = |outcome| ConfirmationRefused { stamp, hold: named.hold, outcome }.into();
    let Some(hold) = named.of(state, now_ms, &stamp) else { return refused(Outcome::UnknownHold) };
    match hold.end() {
        Some(End::Confirmed { activation, balance }) => {
            return refused(Outcome::AlreadyConfirmed(hold.activated(activation, balance)));
        }
        Some(End::Released) => return refused(Outcome::Released),
        None => {}
    }
    let Some(campaign) = state.campaigns.of(hold.at.campaign) else { return refused(Outcome::UnknownHold) };
    if *top_up != Position(0) && *top_up_of != Some(hold.client) {
        return refused(Outcome::UnknownTopUp);
    }
    // Until it expires, a hold is a promise, whatever happens to the campaign and its limits. After that the use must meet the
    // conditions of a redemption, except for the amount; its own use is no longer held and does not count against it.
    if state.holds.expires_ms(hold) <= now_ms {
        let Some(standing) = standing_without(state, now_ms, campaign, hold) else { return refused(Outcome::UnknownHold) };
        if let Some(why) = refusal_of(&campaign.terms, &standing) {
            return refused(Outcome::Expired(why));
        }
    }
    let Some(balance) = credited(state, hold.client, campaign, hold.amount) else { return refused(Outcome::AmountLimit) };
    let activation = Activation {
        stamp,
        client: hold.client,
        club: hold.club,
        campaign: hold.at.campaign,
        slot: hold.at.slot,
        amount: hold.amount,
        balance,
        top_up: *top_up,
    };
    HoldConfirmed { hold: named.hold, activation }.into()
}

pub(super) fn apply(state: &mut State, record: &HoldConfirmed) {
    let end = End::Confirmed { activation: state.position, balance: record.activation.balance };
    // First, so that the hold does not count against its own activation.
    state.holds.end(&mut state.campaigns, record.hold, end, state.now_ms);
    redeem::apply(state, &record.activation);
}
