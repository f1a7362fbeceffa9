//! An independent recount of the journal: every figure as the requirements define it, from the list of all records.
//!
//! [`Recount`] stores only the records as they were read. [`Recount::at`] is the journal up to a position, and every question
//! scans that list again: no sum is stored between questions, so that a counting error cannot be the same as one in the read
//! model's counters. The recount follows the definitions of the records, and was written without regard to the code of the read
//! model.
//!
//! The questions are in `campaign_state.rs`, `uses.rs`, `client_records.rs` and `recorded_refusals.rs`.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about a few kinds of records")]

mod campaign_state;
mod client_records;
mod past;
mod recorded_refusals;
mod uses;

pub(crate) use campaign_state::{Archived, CodeLine, Status, Usage};
pub(crate) use client_records::{Client, Movement};
pub(crate) use past::{Past, Recorded, Recount};
pub(crate) use recorded_refusals::Refusal;
pub(crate) use uses::{Hold, Refund, Tally, Use};
