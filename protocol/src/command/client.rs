//! Clients: the players whose bonus balance is credited.

use std::fmt;

use crate::command::NAME_BYTES_MAX;
use crate::ids::{ClientId, GroupId, Position};
use crate::ledger::Accounts;
use crate::record::Stamp;

/// The request to register a client, or to rename a registered one.
#[wire_format(serde::Deserialize)]
pub struct RegisterClient {
    /// The client's id, as its owner knows it.
    pub client: ClientId,
    /// A name for people to read; empty for none; at most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
}

/// The answer to [`RegisterClient`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RegisterClientOutcome {
    /// The client is registered under that name.
    Registered {
        /// Whether the client was unknown before.
        new: bool,
    } = 0,
    /// The name is too long.
    InvalidName = 1,
}

impl fmt::Display for RegisterClientOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterClientOutcome::Registered { new: true } => f.write_str("registered"),
            RegisterClientOutcome::Registered { new: false } => f.write_str("already registered; the name was set"),
            RegisterClientOutcome::InvalidName => write!(f, "refused: a client's name has at most {NAME_BYTES_MAX} bytes"),
        }
    }
}

/// The record of a registered or renamed client.
#[wire_format]
pub struct ClientRegistered {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The client.
    pub client: ClientId,
    /// The name, or empty.
    pub name: String,
    /// Whether the client was unknown before.
    pub new: bool,
}

impl ClientRegistered {
    /// The reply that this record produces.
    pub fn outcome(&self) -> RegisterClientOutcome {
        RegisterClientOutcome::Registered { new: self.new }
    }
}

/// The request to show a client's card.
#[wire_format(serde::Deserialize)]
pub struct ShowClient {
    /// The client.
    pub client: ClientId,
}

/// The answer to [`ShowClient`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ShowClientOutcome {
    /// The card.
    Client(ClientCard) = 0,
    /// Unknown client.
    UnknownClient = 1,
}

/// A client's card.
#[wire_format]
pub struct ClientCard {
    /// The client.
    pub client: ClientId,
    /// The name, or empty.
    pub name: String,
    /// The client's balances and counters (B1, B5).
    pub accounts: Accounts,
    /// The groups that the client is in, ascending.
    pub groups: Vec<GroupId>,
    /// The journal position of this result.
    pub as_of: Position,
}
