//! Who may call and how much: strangers, hostile bytes, limits, lost connections.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod an_ended_command_leaves_no_connection;
mod an_engine_on_all_addresses_is_reached;
mod credentials_come_and_go_while_the_engine_runs;
mod hostile_bytes_close_only_their_connection;
mod limits_are_kept_and_said;
mod one_caller_does_not_hold_up_the_others;
mod secrets_are_their_owners_alone;
mod strangers_are_refused;
mod strangers_cannot_stop_the_engine;
mod what_may_have_been_sent_is_unknown_until_answered;
