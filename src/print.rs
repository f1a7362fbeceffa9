//! Standard output: text for people, JSON for scripts, tables.
//!
//! The exit code depends on what a command did, not on whether it could be printed. So nothing here ends the program. The first
//! failed write is reported on standard error and remembered, later writes are dropped, and `exit::after_output` decides at the
//! end. A closed pipe, such as in `scrip tail | head`, is not a failure, except for secrets that are shown only once
//! ([`ensure_shown`]).

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::hash::Hash;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
pub(crate) use scrip_loadtest::numbers::{bytes, grouped, time_us};
use scrip_protocol::RequestId;
use serde::Serialize;

/// Why standard output failed: the error of the first failed write.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// The request whose outcome the command prints, if a retry would print it again.
static REQUEST: OnceLock<RequestId> = OnceLock::new();

/// Standard output failed.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
pub(crate) struct NotShown(&'static io::Error);

/// Prints a line on standard output.
pub(crate) fn line(text: impl Display) {
    out(|out| writeln!(out, "{text}"));
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) {
    line(serde_json::to_string(value).expect("everything printed is serializable"));
}

/// Prints a line of JSON whose middle is read from a file, because it may be long.
pub(crate) fn json_around(before: &str, middle: &mut File, after: &str) {
    out(|out| {
        out.write_all(before.as_bytes())?;
        io::copy(middle, out)?;
        writeln!(out, "{after}")
    });
}

/// Prints several lines in one write.
pub(crate) fn lines(text: &str) {
    out(|out| out.write_all(text.as_bytes()));
}

fn out(write: impl FnOnce(&mut io::StdoutLock) -> io::Result<()>) {
    if is_over() {
        return;
    }
    let mut out = io::stdout().lock();
    if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
        drop(out);
        failed(error);
    }
}

/// Records that standard output failed, for callers that found out themselves.
pub(crate) fn failed(error: io::Error) {
    if FAILED.set(error).is_ok()
        && let Some(error) = failure()
    {
        complain(&format!("scrip: standard output cannot be written: {error}"));
    }
}

/// Records the request whose outcome is printed from here on. If the output fails, [`complain_of_lost_outcome`] names it.
pub(crate) fn outcome_of(request: RequestId) {
    // A command sends one request; the parts of a list derive their ids from it.
    let _ = REQUEST.set(request);
}

/// Reports on standard error how to print the outcome again, if the command's request has one.
pub(crate) fn complain_of_lost_outcome() {
    if let Some(request) = REQUEST.get() {
        complain(&format!("scrip: the same command with --request-id {request} prints the outcome again"));
    }
}

/// Whether printing more is pointless: the pipe was closed, or the output failed.
pub(crate) fn is_over() -> bool {
    FAILED.get().is_some()
}

/// Why standard output failed, if it did. A closed pipe is not a failure.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// Checks that everything printed so far was written. For secrets that are shown only once, a closed pipe is a failure too.
pub(crate) fn ensure_shown() -> Result<(), NotShown> {
    FAILED.get().map_or(Ok(()), |error| Err(NotShown(error)))
}

/// Prints a line on standard error.
pub(crate) fn complain(text: &str) {
    // If standard error fails too, there is nowhere left to report it.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints rows under a header, in columns as wide as their widest cell. Columns whose header begins with `>` are right-aligned.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    Table::new(head).rows(rows);
}

/// A table that is printed piece by piece: a column is as wide as its widest cell so far.
pub(crate) struct Table<'a> {
    head: &'a [&'a str],
    widths: Vec<usize>,
    begun: bool,
}

impl<'a> Table<'a> {
    /// A table with this head; nothing is printed yet.
    pub(crate) fn new(head: &'a [&'a str]) -> Table<'a> {
        Table {
            head,
            widths: head.iter().map(|name| shown(name.trim_start_matches('>')).chars().count()).collect(),
            begun: false,
        }
    }

    /// Prints more rows, preceded the first time by the head, unless it is blank.
    pub(crate) fn rows(&mut self, rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let names: Vec<String> = self.head.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        let mut text = String::new();
        if !self.begun && names.iter().any(|name| !name.is_empty()) {
            self.write(&mut text, &names);
        }
        self.begun = true;
        rows.iter().for_each(|row| self.write(&mut text, row));
        lines(&text);
    }

    fn write(&self, text: &mut String, cells: &[String]) {
        let padded = cells.iter().zip(&self.widths).zip(self.head).map(|((cell, width), name)| match name.starts_with('>') {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        let row = padded.collect::<Vec<_>>().join("  ");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

/// A cell on one line of a terminal, with control characters replaced by visible ones.
fn shown(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A name, cut to a number of characters.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.chars().count() > chars_max {
        true => text.chars().take(chars_max - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// A number with its noun: `1 code`, `2,000 codes`.
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Ids as people know them: by name, each with its number.
pub(crate) fn named<Id: Copy + Eq + Hash + Display>(ids: &[Id], names: &HashMap<Id, String>) -> String {
    let name = |id: &Id| names.get(id).map_or_else(|| id.to_string(), |name| format!("{name} ({id})"));
    ids.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A journal time for people: to the second, in UTC.
pub(crate) fn time(ms: u64) -> String {
    timestamp(ms).map_or("-".into(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// The start of a period: only the day, if it is the first moment of one.
pub(crate) fn start(ms: u64) -> String {
    day_that(ms, ms).unwrap_or_else(|| time(ms))
}

/// The end of a period: only the day, if it is the last millisecond of one.
pub(crate) fn end(ms: u64) -> String {
    ms.checked_add(1).and_then(|next| day_that(ms, next)).unwrap_or_else(|| time(ms))
}

/// The day of `ms`, if `midnight` is a midnight (UTC).
fn day_that(ms: u64, midnight: u64) -> Option<String> {
    let at = timestamp(midnight)?.to_zoned(TimeZone::UTC);
    let is_midnight = at.round(Unit::Day).is_ok_and(|day| day == at);
    is_midnight.then(|| timestamp(ms).map(|day| day.strftime("%Y-%m-%d").to_string()))?
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_to_the_second_or_the_day() {
        let midnight = 1_798_675_200_000;
        assert_eq!(time(midnight + 999), "2026-12-31 00:00:00 UTC");
        assert_eq!((start(midnight), end(midnight + 86_399_999)), ("2026-12-31".into(), "2026-12-31".into()));
        assert_eq!(
            (start(midnight + 1_000), end(midnight)),
            ("2026-12-31 00:00:01 UTC".into(), "2026-12-31 00:00:00 UTC".into())
        );
        assert_eq!((time(u64::MAX), start(u64::MAX), end(u64::MAX)), ("-".into(), "-".into(), "-".into()));
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        assert_eq!([count(0_u32, "code"), count(1_u32, "code"), count(2_000_u64, "code")], ["0 codes", "1 code", "2,000 codes"]);
        assert_eq!((cut("Frühling", 8), cut("Frühling", 4)), ("Frühling".into(), "Frü…".into()));
    }

    #[test]
    fn a_cell_cannot_move_the_cursor() {
        assert_eq!(shown("A\x1b[2JB\nC"), "A\u{fffd}[2JB\u{fffd}C");
    }
}
