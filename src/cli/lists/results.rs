//! Printing the results of a list: the counts (K5, K6, A15), and the lines that changed nothing, each with its location and the
//! reason.
//!
//! For people only the first of these lines are printed, for scripts all of them.

use std::env::temp_dir;
use std::io;

use scrip_lists::{Counts, Places, Skipped};
use scrip_protocol::command::LineVerdict;

use crate::print;

/// Prints the counts, unless every line was added.
pub(crate) fn print_counts(counts: &Counts) {
    if counts.skipped() == 0 {
        return;
    }
    let rows = [
        ("recognised in the list", counts.recognised),
        ("duplicates in the list", counts.duplicates_in_list),
        ("already in the campaign", counts.already_in_campaign),
        ("held by other campaigns", counts.held_elsewhere),
        ("invalid", counts.invalid),
    ];
    let row = |(what, number): (&str, u64)| vec![format!("  {what}"), print::grouped(number)];
    print::table(&["", ">"], &rows.map(row));
}

/// Prints the first lines for people.
pub(crate) fn print_skipped(skipped: &Skipped, places: Option<&Places>) {
    for skip in skipped.first() {
        let why = match (skip.why, places) {
            (LineVerdict::DuplicateInList { of_line }, Some(places)) => format!("duplicate of {}", places.of(of_line)),
            (LineVerdict::DuplicateInList { .. }, None) => "given twice".to_owned(),
            (
                why @ (LineVerdict::Invalid(_)
                | LineVerdict::AlreadyInCampaign
                | LineVerdict::HeldBy(_)
                | LineVerdict::NotInCampaign
                | LineVerdict::AlreadyArchived
                | LineVerdict::NotArchived),
                _,
            ) => why.to_string(),
        };
        match places {
            Some(places) => print::line(format_args!("  {}: {:?}: {why}", places.of(skip.line), skip.code)),
            None => print::line(format_args!("  {:?}: {why}", skip.code)),
        }
    }
    let more = skipped.number() - skipped.first().len() as u64;
    if more > 0 {
        print::line(format_args!("  and {} more; --json lists all of them", print::grouped(more)));
    }
}

/// Prints one line of JSON: all lines as an array between two texts. Lines that could not be buffered are output that could not
/// be printed.
pub(crate) fn print_skipped_json(skipped: Skipped, before: &str, after: &str) {
    match skipped.into_json_items() {
        Ok(mut all) => print::json_around(&format!("{before}["), &mut all, &format!("]{after}")),
        Err(error) => {
            let why = format!("the results cannot be buffered in {}: {error}", temp_dir().display());
            print::failed(io::Error::new(error.kind(), why));
        }
    }
}
