//! An independent recount of the journal: every figure as the requirements put it, from the list of all records.
//!
//! [`Recount`] keeps the records as they were read, and nothing else. [`Recount::at`] is the journal up to a position, and every
//! question goes through that list anew: no sum is kept from one question to the next, so that a mistake in counting cannot
//! be the same as one in the read model's counters. What an activation, a campaign or a client is follows from the definitions of the
//! records; how the read model is made was not looked at.
//!
//! The questions stand in `campaigns.rs`, `uses.rs`, `clients.rs` and `refusals.rs`.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about a few kinds of records")]

mod campaigns;
mod clients;
mod past;
mod refusals;
mod uses;

pub(crate) use campaigns::{Archived, CodeLine, Status, Usage};
pub(crate) use clients::{Client, Movement};
pub(crate) use past::{Past, Recorded, Recount};
pub(crate) use refusals::Refusal;
pub(crate) use uses::{Hold, Refund, Tally, Use};
