//! Refund: reverses an activation (Z2; pain 10).

use scrip_protocol::command::{Activation, ActivationRefunded, Refund, RefundOutcome as Outcome, Refunded};
use scrip_protocol::{Money, Position, Record, Stamp};

use super::{CodeAt, State, refused};

/// A request to refund an activation, with the activation as the journal has it.
#[derive(Debug, Clone)]
pub struct RefundRequest {
    /// The position of the activation in the request.
    pub activation: Position,
    /// The activation at that position, if there is one.
    pub found: Option<Activation>,
    /// The first position that the journal retains: earlier records are no longer known.
    pub kept_from: Position,
    /// Whether the activation may be of any credential, as for operators, or only the caller's own.
    pub anyones: bool,
    /// Whether to refund even if the bonus was spent.
    pub force: bool,
}

/// The activation in a record, if there is one: of a redemption, or of a confirmed hold.
pub fn activation_of(record: Record) -> Option<Activation> {
    if let Record::Activation(activation) = record {
        return Some(activation);
    }
    if let Record::HoldConfirmed(confirmed) = record { Some(confirmed.activation) } else { None }
}

/// Whether the record at a position was dropped from the journal. There is no record at 0.
pub(super) fn is_dropped(position: Position, kept_from: Position) -> bool {
    position > Position(0) && position < kept_from
}

pub(super) fn decide(state: &State, stamp: Stamp, request: &RefundRequest) -> Record {
    let refuse = |outcome| refused::<Refund>(stamp, &outcome);
    if is_dropped(request.activation, request.kept_from) {
        return refuse(Outcome::NotKept { first: request.kept_from });
    }
    let own = request.found.as_ref().filter(|found| request.anyones || found.stamp.credential == stamp.credential);
    let Some(found) = own else { return refuse(Outcome::UnknownActivation) };
    if state.given_back.is_refunded(request.activation) {
        return refuse(Outcome::AlreadyRefunded);
    }
    let balance = state.clients.bonus(found.client).unwrap_or(Money(0));
    if balance < found.amount && !request.force {
        return refuse(Outcome::BonusSpent { balance });
    }
    // A balance below 0 occurs only in a damaged snapshot that is not verified yet.
    let taken = balance.clamp(Money(0), found.amount.max(Money(0)));
    let refunded = Refunded {
        client: found.client,
        taken,
        uncollected: Money(found.amount.0 - taken.0),
        balance: Money(balance.0.saturating_sub(taken.0)),
    };
    ActivationRefunded { stamp, activation: request.activation, campaign: found.campaign, slot: found.slot, refunded }.into()
}

pub(super) fn apply(state: &mut State, record: &ActivationRefunded) {
    let Refunded { client, taken, uncollected, balance } = record.refunded;
    state.given_back.refund(record.activation);
    state.clients.set_bonus(client, balance);
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    if !campaign.set_activations(record.slot, |activations| activations.saturating_sub(1)) {
        return;
    }
    if campaign.held > 0 {
        state.holds.touch(CodeAt { campaign: record.campaign, slot: record.slot });
    }
    campaign.activations = campaign.activations.saturating_sub(1);
    campaign.refunds += 1;
    campaign.issued = Money(campaign.issued.0.saturating_sub(taken.0));
    campaign.uncollected = campaign.uncollected.checked_add(uncollected).unwrap_or(campaign.uncollected);
    // An activation from before clients were counted is not among a client's uses, so that its refund returns none.
    if let Some(clients) = &mut campaign.clients
        && record.activation > clients.from
    {
        clients.change(client, |uses| uses.saturating_sub(1));
    }
}
