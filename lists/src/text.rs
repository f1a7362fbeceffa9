//! Lists as text: one code per line, UTF-8 with or without a byte order mark, lines that end in LF or CRLF.
//!
//! The text is read line by line, so a list of any length, including from standard input, takes the memory of its longest line.
//! The white space around a code is left to the engine, which trims it; blank lines are skipped but counted.

use std::io::{BufRead, Read};

use super::fault::{Fault, Why};
use super::line::Line;
use super::options::Header;

/// The longest line. The longest code has 64 bytes; the engine reports a longer one with its line number, up to this length.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The lines of a text.
pub(super) struct TextLines {
    reader: Box<dyn BufRead + Send>,
    number: u32,
    bytes: Vec<u8>,
    header: Option<Line>,
    /// The first line that is not blank, if it is not a header: it was read to find out.
    first: Option<Line>,
}

impl TextLines {
    /// Starts to read.
    pub(super) fn open(reader: Box<dyn BufRead + Send>, header: Header) -> Result<TextLines, Fault> {
        let mut lines = TextLines { reader, number: 0, bytes: Vec::new(), header: None, first: None };
        let first = lines.read()?;
        match first {
            Some(line) if header.is_meant_by(&line.text) => lines.header = Some(line),
            first => lines.first = first,
        }
        Ok(lines)
    }

    /// The header line, if there is one.
    pub(super) fn header(&self) -> Option<&Line> {
        self.header.as_ref()
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Fault> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<Line>, Fault> {
        loop {
            self.bytes.clear();
            if (&mut self.reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            self.number = self.number.checked_add(1).ok_or(Why::TooManyLines)?;
            let text = self.text()?;
            if !text.trim().is_empty() {
                return Ok(Some(Line { number: self.number, text: text.to_owned() }));
            }
        }
    }

    /// The line that was read, without its line end.
    fn text(&self) -> Result<&str, Fault> {
        if self.number == 1 && (self.bytes.starts_with(b"\xff\xfe") || self.bytes.starts_with(b"\xfe\xff")) {
            return Err(Why::Utf16.into());
        }
        if self.bytes.len() as u64 > LINE_BYTES_MAX {
            return Err(Why::LineTooLong { max_kib: LINE_BYTES_MAX / 1024 }.at(format!("line {}", self.number)));
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|wrong| {
            let byte = wrong.valid_up_to() + 1;
            Why::NotUtf8.at(format!("line {}, byte {byte}", self.number))
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let mark = if self.number == 1 { text.strip_prefix('\u{feff}') } else { None };
        Ok(mark.unwrap_or(text))
    }
}
