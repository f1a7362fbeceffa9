//! Register a client, or give one another name.

use scrip_protocol::command::{ClientRegistered, NAME_BYTES_MAX, RegisterClient, RegisterClientOutcome};
use scrip_protocol::{Record, Stamp};

use super::{State, refused};

pub(super) fn decide(state: &State, stamp: Stamp, asked: &RegisterClient) -> Record {
    if asked.name.len() > NAME_BYTES_MAX {
        return refused::<RegisterClient>(stamp, &RegisterClientOutcome::InvalidName);
    }
    let new = !state.clients.contains(asked.client);
    ClientRegistered { stamp, client: asked.client, name: asked.name.clone(), new }.into()
}
