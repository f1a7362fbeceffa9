//! The program on the command line, as staff and scripts use it.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod long_lists_have_one_outcome;
mod marketing_staff_can_do_their_work;
mod outcomes_decide_the_exit_code;
mod rules_are_written_and_mended_by_staff;
mod spreadsheets_are_read_to_the_cell;
mod staff_keep_the_ledger;
mod the_command_line_does_what_it_says;
