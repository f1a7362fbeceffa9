//! CSV as specified in RFC 4180: UTF-8, commas, lines that end with CR LF, a header. Every text is quoted; numbers, amounts and
//! times are not. An empty cell contains nothing, unlike an empty text.
//!
//! Spreadsheet programs run a cell that begins like a formula. Such a text gets an apostrophe in front, which marks it as text
//! (pain 31). Where a cell begins depends on the program: in many countries Excel splits a line at semicolons, even inside
//! quotes, and LibreOffice at the separators that its user selects. So the apostrophe is also inserted before a formula that
//! follows any of the [separators](is_separator) inside a text. Amounts are not user input, so a negative one stays a number.
//! Otherwise codes are unchanged, such as `0012` or `219E01BE`: a program that opens the file by double click reads these as
//! numbers (pain 30). To avoid that, import the columns as text, or export XLSX.

use std::fmt::Write as _;
use std::io::Write;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use scrip_protocol::Money;

use super::columns::{Cell, Column, Table};
use super::error::ExportError;

/// Milliseconds, all of the same length, so that they sort as text in the order of the times.
const TIMES: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The size of the buffer before the sink, in bytes.
const BUFFER_BYTES: usize = 1 << 16;

pub(super) struct Csv<W: Write> {
    sink: W,
    lines: String,
    /// The last time written: rows often repeat it.
    time: (i64, String),
}

impl<W: Write> Csv<W> {
    pub(super) fn begin(sink: W, columns: &[Column], byte_order_mark: bool) -> Result<Csv<W>, ExportError> {
        let mut lines = String::with_capacity(BUFFER_BYTES + 4096);
        if byte_order_mark {
            lines.push('\u{feff}');
        }
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                lines.push(',');
            }
            // Column names need no quoting.
            lines.push_str(column.name);
        }
        lines.push_str("\r\n");
        Ok(Csv { sink, lines, time: (i64::MIN, String::new()) })
    }

    fn push_time(&mut self, ms: i64) {
        if self.time.0 != ms {
            self.time.0 = ms;
            self.time.1.clear();
            // A number that is not a time would be a defect of the read model; show it instead of hiding it.
            let _ = match Timestamp::from_millisecond(ms) {
                Ok(time) => TIMES.print_timestamp(&time, &mut self.time.1).map_err(|_| std::fmt::Error),
                Err(_) => write!(self.time.1, "{ms}"),
            };
        }
        self.lines.push_str(&self.time.1);
    }

    fn push(&mut self, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.lines, "{value}");
    }

    fn pass_on(&mut self) -> Result<(), ExportError> {
        let passed = self.sink.write_all(self.lines.as_bytes()).map_err(ExportError::Sink);
        self.lines.clear();
        passed
    }
}

impl<W: Write> Table for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                self.lines.push(',');
            }
            match *cell {
                Cell::Blank => {}
                Cell::Text(text) => push_text(&mut self.lines, text),
                Cell::Id(number) | Cell::Count(number) => self.push(number),
                Cell::Amount(minor) => self.push(Money(minor)),
                Cell::Time(ms) => self.push_time(ms),
            }
        }
        self.lines.push_str("\r\n");
        if self.lines.len() >= BUFFER_BYTES { self.pass_on() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.pass_on()?;
        self.sink.flush().map_err(ExportError::Sink)
    }
}

/// Adds a quoted text, with an apostrophe before anything that a spreadsheet program may run.
fn push_text(out: &mut String, text: &str) {
    out.push('"');
    // A program that trims the beginning of a cell, such as a tab, finds a formula behind it.
    let mut begins = true;
    if text.starts_with(is_separator) {
        out.push('\'');
    }
    for sign in text.chars() {
        if begins && is_run(sign) {
            out.push('\'');
        }
        begins = is_separator(sign) || (begins && is_skipped(sign));
        if sign == '"' {
            out.push('"');
        }
        out.push(sign);
    }
    out.push('"');
}

/// Whether a cell that begins with this character runs as a formula. The full-width forms are those of East Asian keyboards.
fn is_run(sign: char) -> bool {
    matches!(sign, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}

/// Whether a program may begin a new cell after this character.
fn is_separator(sign: char) -> bool {
    matches!(sign, ',' | ';' | '|' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a program may skip this character at the beginning of a cell: white space, and the quotes of another cell.
fn is_skipped(sign: char) -> bool {
    sign.is_whitespace() || sign.is_control() || matches!(sign, '"' | '\u{feff}' | '\u{200b}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pain 31: no cell begins with a formula, wherever the program begins cells.
    #[test]
    fn nothing_that_is_run_begins_a_cell() {
        for (text, expected) in [
            ("Ann", r#""Ann""#),
            ("", r#""""#),
            ("0012", r#""0012""#),
            ("=1+1", r#""'=1+1""#),
            ("-5", r#""'-5""#),
            ("Anne-Marie", r#""Anne-Marie""#),
            ("a@b", r#""a@b""#),
            ("x;=1+1", r#""x;'=1+1""#),
            ("x; =1+1", r#""x; '=1+1""#),
            ("x,@SUM(A1)", r#""x,'@SUM(A1)""#),
            ("x\t+1", "\"x\t'+1\""),
            ("x\r\n=1", "\"x\r\n'=1\""),
            ("x\u{2028}=1", "\"x\u{2028}'=1\""),
            ("x|-1", r#""x|'-1""#),
            ("x;＝1", r#""x;'＝1""#),
            (r#"x";"=1"#, r#""x"";""'=1""#),
            (r#""=1"#, r#""""'=1""#),
            (" =1", r#"" '=1""#),
            ("\t1", "\"'\t1\""),
            (";1", r#""';1""#),
            ("x;y=1", r#""x;y=1""#),
            ("==1", r#""'==1""#),
        ] {
            let mut out = String::new();
            push_text(&mut out, text);
            assert_eq!(out, expected, "{text:?}");
        }
    }

    /// Pain 31: no text of significant characters leaves a formula at the beginning of a cell, however programs split lines.
    /// Tests all texts of up to five such characters.
    #[test]
    fn no_text_leaves_a_formula_at_the_beginning_of_a_cell() {
        const SIGNS: [char; 8] = ['=', '-', ';', ',', '\t', '"', ' ', 'a'];
        for number in 0..SIGNS.len().pow(5) {
            let text: String = (0..5).map(|digit| SIGNS[number / SIGNS.len().pow(digit) % SIGNS.len()]).collect();
            let mut out = String::new();
            push_text(&mut out, &text);
            let formula = |cell: &str| cell.trim_start_matches(is_skipped).starts_with(is_run);
            for separator in [';', ',', '\t'] {
                assert!(!out.split(separator).any(formula), "{text:?} became {out:?}");
            }
            // A CSV reader gets the text back, except for apostrophes.
            let inner = out[1..out.len() - 1].replace("\"\"", "\"");
            assert_eq!(inner.replace('\'', ""), text);
        }
    }
}
