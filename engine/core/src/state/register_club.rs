//! Register a club.

use scrip_protocol::command::{ClubRegistered, RegisterClub, RegisterClubOutcome};
use scrip_protocol::{Record, Stamp};

use super::{State, is_name, refused};

pub(super) fn decide(state: &State, stamp: Stamp, request: &RegisterClub) -> Record {
    if !is_name(&request.name) {
        return refused::<RegisterClub>(stamp, &RegisterClubOutcome::InvalidName);
    }
    if let Some(club) = state.clubs.named(&request.name) {
        return refused::<RegisterClub>(stamp, &RegisterClubOutcome::NameTaken(club));
    }
    if !state.clubs.has_room() {
        return refused::<RegisterClub>(stamp, &RegisterClubOutcome::TooManyClubs);
    }
    ClubRegistered { stamp, club: state.clubs.next(), name: request.name.clone() }.into()
}
