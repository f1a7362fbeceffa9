//! Release: a held use becomes free again (Z1; pain 9, pain 10).

use scrip_protocol::command::{HoldReleased, Release, ReleaseOutcome};
use scrip_protocol::{Record, Stamp};

use super::holds::End;
use super::{NamedHold, State, refused};

pub(super) fn decide(state: &State, now_ms: u64, stamp: Stamp, request: &NamedHold) -> Record {
    let refuse = |outcome| refused::<Release>(stamp, &outcome);
    let Some(hold) = request.of(state, now_ms, &stamp) else { return refuse(ReleaseOutcome::UnknownHold) };
    match hold.end() {
        Some(End::Confirmed { activation, balance }) => {
            refuse(ReleaseOutcome::AlreadyConfirmed(hold.activated(activation, balance)))
        }
        Some(End::Released) => refuse(ReleaseOutcome::AlreadyReleased),
        None => HoldReleased { stamp, hold: request.hold }.into(),
    }
}

pub(super) fn apply(state: &mut State, record: &HoldReleased) {
    state.holds.end(&mut state.campaigns, record.hold, End::Released, state.now_ms);
}
