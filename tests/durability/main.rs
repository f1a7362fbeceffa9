//! What was acknowledged survives kills, damage, backups, snapshots and wrong clocks.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod a_backup_restores_what_was_acknowledged;
mod a_damaged_file_is_read_and_not_changed;
mod a_demo_killed_in_the_middle_goes_on;
mod a_journal_recomputes_what_is_said_of_it;
mod a_start_is_stopped_by_signals;
mod a_start_that_fails_changes_nothing;
mod a_wrong_clock_is_named_and_gone_on_from;
mod files_of_version_1_are_read;
mod nothing_acknowledged_is_lost_after_kill;
mod snapshots_are_taken_listed_and_verified;
mod two_thousand_rotations_leave_no_gap;
