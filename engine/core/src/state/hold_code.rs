//! Hold: sets one use of a code aside for a client during a payment (Z1).

use scrip_protocol::command::{CodeHeld, HOLD_TTL_MAX_MS, HOLD_TTL_MIN_MS, HoldOutcome, HoldRefused};
use scrip_protocol::{Record, Stamp};

use super::holds::Hold;
use super::redeem::permitted;
use super::{CodeAt, Lookup, NormalisedCode, RedeemRequest, State};

/// A request to hold a code, normalised.
#[derive(Debug, Clone, Copy)]
pub struct HoldRequest {
    /// The redemption that the hold is for.
    pub redeem: RedeemRequest,
    /// Duration of the hold, in milliseconds.
    pub ttl_ms: u64,
}

pub(super) fn decide(state: &State, now_ms: u64, stamp: Stamp, request: &HoldRequest, lookup: &impl Lookup) -> Record {
    let RedeemRequest { client, club, ref code, .. } = request.redeem;
    let refused = |outcome| {
        let code = code.as_ref().map_or("", NormalisedCode::as_str).to_owned();
        HoldRefused { stamp, client, club, code, outcome }.into()
    };
    if !(HOLD_TTL_MIN_MS..=HOLD_TTL_MAX_MS).contains(&request.ttl_ms) {
        return refused(HoldOutcome::InvalidTtl);
    }
    let permitted = match permitted(state, now_ms, &request.redeem, lookup) {
        Ok(permitted) => permitted,
        Err(why) => return refused(HoldOutcome::Refused(why)),
    };
    if state.holds.is_full(stamp.credential, now_ms) {
        return refused(HoldOutcome::TooManyHolds);
    }
    let CodeAt { campaign, slot } = permitted.at;
    let expires_ms = now_ms.saturating_add(request.ttl_ms);
    CodeHeld { stamp, client, club, campaign, slot, amount: permitted.amount, expires_ms }.into()
}

pub(super) fn apply(state: &mut State, record: &CodeHeld) {
    let at = CodeAt { campaign: record.campaign, slot: record.slot };
    let credential = record.stamp.credential;
    // The engine executes no request of a revoked credential; if a journal contains one, the hold has expired.
    let revoked_ms = state.credentials.of(credential).and_then(|credential| credential.revoked_ms);
    let expires_ms = revoked_ms.map_or(record.expires_ms, |revoked_ms| record.expires_ms.min(revoked_ms));
    let hold = Hold::given(at, record.client, record.club, credential, record.amount, expires_ms);
    state.holds.give(&mut state.campaigns, state.position, hold, state.now_ms);
}
