//! What is printed: text for people, JSON for scripts, tables. A reader that goes away ends the program quietly.

use std::io::{self, Write};

pub(crate) use scrip_loadtest::words::grouped;
use serde::Serialize;

/// Prints a line on standard output.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        // Nobody reads any more, as in `scrip tail | head`.
        std::process::exit(0);
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) {
    line(serde_json::to_string(value).expect("what is printed has a form in JSON"));
}

/// Prints a line on standard error.
pub(crate) fn complain(text: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints rows under a head, in columns as wide as they need to be. Columns whose head begins with `>` are set to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    let names: Vec<&str> = head.iter().map(|name| name.trim_start_matches('>')).collect();
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([names[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width_of).collect();
    let show = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).zip(head).map(|((cell, width), name)| match name.starts_with('>') {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    if names.iter().any(|name| !name.is_empty()) {
        show(&names);
    }
    for row in rows {
        show(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A time of the journal, for people.
pub(crate) fn time(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or("-".into(), |time| format!("{time:.0}"))
}
