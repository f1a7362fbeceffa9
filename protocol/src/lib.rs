//! What travels between Scrip's engine and those who call it: commands, outcomes, records, frames, and the client.
//!
//! - [`command`] has the table of commands, and one file for each group of them with its requests, outcomes and records.
//! - [`frame`] has the bytes on a lane; [`batch`] the bytes in the journal and on a tail; [`wire`] how a value becomes bytes.
//! - [`hello`] says who calls, and why a connection ended; [`refusal`] what any command may be answered instead.
//! - [`ledger`] says of each record which accounts it moved; [`variables`] what a rule knows of a top-up.
//! - [`client`] calls an engine; [`endpoint`] and [`tls`] are what both sides are connected with; [`strangers`] what listeners need
//!   against callers that they do not know.
//!
//! Knows no other crate of ours. The one invariant: bytes from outside are checked before they are looked at, and a number
//! once given to a command, outcome, record or close code never means anything else.

#![expect(missing_docs, reason = "rkyv's derive leaves the fields of archived struct variants without documentation")]

pub mod batch;
pub mod codes;
pub mod command;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod ledger;
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
