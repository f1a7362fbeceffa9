//! Register a client, or rename one.

use scrip_protocol::command::{ClientRegistered, NAME_BYTES_MAX, RegisterClient, RegisterClientOutcome};
use scrip_protocol::{Record, Stamp};

use super::{State, refused};

pub(super) fn decide(state: &State, stamp: Stamp, request: &RegisterClient) -> Record {
    if request.name.len() > NAME_BYTES_MAX {
        return refused::<RegisterClient>(stamp, &RegisterClientOutcome::InvalidName);
    }
    let new = !state.clients.contains(request.client);
    ClientRegistered { stamp, client: request.client, name: request.name.clone(), new }.into()
}
