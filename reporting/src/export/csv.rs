//! CSV, as RFC 4180 has it: UTF-8, commas, lines that end with CR LF, quotes where they are needed, a head.
//!
//! Spreadsheet programs run a cell as a formula if it begins as one. Text that does so gets an apostrophe before it, which they take for "this
//! is text" (pain 31); amounts are ours, and a negative one stays a number. For the rest a code stands as it is, as in `0012` or `219E01BE`:
//! a program that opens the file at a double click reads these as numbers (pain 30). Either the columns are imported as text, or
//! XLSX is asked for, where they are.

use std::fmt::Write as _;
use std::io::Write;

use ::csv::{ByteRecord, Terminator, Writer, WriterBuilder};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use scrip_protocol::Money;

use super::{Cell, Column, ExportError, Table};

/// To the millisecond, all of the same length, so that their order as texts is that of the times.
const TIMES: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

pub(super) struct Csv<W: Write> {
    out: Writer<W>,
    record: ByteRecord,
    text: String,
    /// The time that was written last: many follow that are the same.
    time: (i64, String),
}

impl<W: Write> Csv<W> {
    pub(super) fn begin(mut sink: W, columns: &[Column], byte_order_mark: bool) -> Result<Csv<W>, ExportError> {
        if byte_order_mark {
            sink.write_all("\u{feff}".as_bytes()).map_err(ExportError::Sink)?;
        }
        let mut out = WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(1 << 16).from_writer(sink);
        out.write_record(columns.iter().map(|column| column.name)).map_err(failed)?;
        Ok(Csv { out, record: ByteRecord::new(), text: String::new(), time: (i64::MIN, String::new()) })
    }

    fn push_time(&mut self, ms: i64) {
        if self.time.0 != ms {
            self.time.0 = ms;
            self.time.1.clear();
            // A number that is no time would be a defect of the read model; it is to be seen, not hidden.
            let _ = match Timestamp::from_millisecond(ms) {
                Ok(time) => TIMES.print_timestamp(&time, &mut self.time.1).map_err(|_| std::fmt::Error),
                Err(_) => write!(self.time.1, "{ms}"),
            };
        }
        self.record.push_field(self.time.1.as_bytes());
    }

    fn push(&mut self, value: impl std::fmt::Display) {
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}");
        self.record.push_field(self.text.as_bytes());
    }
}

impl<W: Write> Table for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        self.record.clear();
        for cell in cells {
            match *cell {
                Cell::Blank => self.record.push_field(b""),
                Cell::Text(text) if is_run(text) => {
                    self.text.clear();
                    self.text.push('\'');
                    self.text.push_str(text);
                    self.record.push_field(self.text.as_bytes());
                }
                Cell::Text(text) => self.record.push_field(text.as_bytes()),
                Cell::Id(number) | Cell::Count(number) => self.push(number),
                Cell::Amount(minor) => self.push(Money(minor)),
                Cell::Time(ms) => self.push_time(ms),
            }
        }
        self.out.write_byte_record(&self.record).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.out.flush().map_err(ExportError::Sink)
    }
}

/// Whether a spreadsheet program runs a cell with this text, or takes it apart. The wide forms are the signs as East Asian keyboards have them.
fn is_run(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// All rows have the same number of cells, so that only the sink fails.
fn failed(error: ::csv::Error) -> ExportError {
    ExportError::Sink(error.into())
}
