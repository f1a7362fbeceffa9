//! What callers, the engine and the journal exchange: commands, outcomes, records, frames, and the ledger.
//!
//! - [`command`] has the table of commands, and one file for each group of commands with its requests, outcomes and records.
//! - [`frame`] defines the bytes on a lane, [`batch`] those in the journal and on a tail, and [`wire`] how a value becomes bytes.
//! - [`hello`] identifies the caller and defines the close codes; [`refusal`] has the refusals that any command can receive.
//! - [`ledger`] maps each record to the entries it makes; [`variables`] defines the variables that a rule can use.
//! - [`strangers`] has what listeners need against unknown callers.
//!
//! The crate opens no socket, and its derive is the only crate of the workspace that it uses. Two invariants: received bytes are
//! checked before they are used, and the number of a command, outcome, record or close code never changes its meaning.

#![expect(missing_docs, reason = "rkyv's derive leaves the fields of archived struct variants without documentation")]

#[macro_use]
extern crate scrip_protocol_derive;

pub mod batch;
pub mod codes;
pub mod command;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod ledger;
mod malformed;
pub mod money;
pub mod network;
pub mod private;
pub mod problem;
pub mod record;
pub mod refusal;
pub mod role;
pub mod strangers;
pub mod time;
pub mod variables;
pub mod wire;

pub use command::{AnyCommand, Command, Kind};
pub use ids::{CampaignId, ClientId, ClubId, CredentialId, GroupId, InvalidId, Position, RequestId, RuleId, unix_time_ms};
pub use ledger::{Account, Accounts, Entry, Executor, Label};
pub use money::Money;
pub use network::ClientNetwork;
pub use problem::{FormulaFailure, TextProblem};
pub use record::{Record, Settings, Stamp};
pub use refusal::Refusal;
pub use role::Role;
pub use time::UtcTime;
pub use variables::{TopUpSource, Variable, Variables};
