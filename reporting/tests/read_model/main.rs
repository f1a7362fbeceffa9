//! Compares the read model with an independent recount of the journal, however it was built: in other groups of batches, after a
//! kill, after a power loss, and after refused damage.
//!
//! All tests are one program, because each would link the engine and SQLite.

#[path = "../support/mod.rs"]
mod support;

mod a_damaged_batch_is_refused;
mod a_journal_of_version_1_is_applied;
mod a_killed_sidecar_goes_on;
mod a_revocation_ends_holds;
mod holds_are_added_up;
mod refusals_say_what_they_were_about;
mod the_read_model_equals_a_recount;
mod the_recount_agrees_with_the_engine;
