//! Columns, cells and rows, independent of the file format.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::error::ExportError;
use crate::read_model::{AsOf, View};

/// The properties of a file, if its format has any.
pub(super) struct About {
    /// `codes` or `activations`.
    pub(super) noun: &'static str,
    pub(super) position: String,
    pub(super) history_after: String,
    pub(super) time: Timestamp,
    pub(super) organisation: String,
    pub(super) currency: String,
}

impl About {
    pub(super) fn of(noun: &'static str, view: &View<'_>) -> Result<About, ExportError> {
        let names = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        // There are no settings before the first record.
        let settings = view.connection.query_row("SELECT name, currency FROM organisation", [], names).optional()?;
        let (organisation, currency) = settings.unwrap_or_default();
        let time = i64::try_from(view.as_of.time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let time = time.unwrap_or(Timestamp::MAX);
        let AsOf { position, history_after, .. } = view.as_of;
        let (position, history_after) = (position.to_string(), history_after.to_string());
        Ok(About { noun, position, history_after, time, organisation, currency })
    }
}

/// A column: its name and its type.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, possibly untrusted.
    Text,
    /// A number that identifies something and is not used in calculations.
    Id,
    /// A count.
    Count,
    /// An amount, in minor units.
    Amount,
    /// A time, in milliseconds since 1970.
    Time,
}

/// A cell: a value of the column's type, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Blank,
    Text(&'a str),
    Id(i64),
    Count(i64),
    Amount(i64),
    Time(i64),
}

impl<'a> Cell<'a> {
    /// The cell of an optional value.
    pub(super) fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell<'a>) -> Cell<'a> {
        value.map_or(Cell::Blank, cell)
    }
}

/// A file that is being written in one of the formats.
pub(super) trait Table {
    /// Writes a row: as many cells as there are columns.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError>;

    /// Ends the file. Without this call the file is incomplete.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// The number of rows after which it is checked whether to continue.
const ASK_AFTER: u64 = 4_096;

/// The estimated size of the rows of a spreadsheet on disk.
pub(super) struct Scratch {
    pub(super) bytes: u64,
    pub(super) max: u64,
}

impl Scratch {
    /// The estimated size of a cell without its text: the markup around it, or a number in it.
    const CELL_BYTES: u64 = 64;

    fn add(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        let texts = cells.iter().map(|cell| if let Cell::Text(text) = cell { text.len() as u64 } else { 0 });
        self.bytes += texts.sum::<u64>() + cells.len() as u64 * Scratch::CELL_BYTES;
        if self.bytes > self.max { Err(ExportError::NoRoom) } else { Ok(()) }
    }
}

/// Where rows are written.
pub(super) struct Rows<'a> {
    pub(super) table: &'a mut dyn Table,
    pub(super) written: u64,
    /// The last cell of each row.
    pub(super) as_of: i64,
    /// The rows buffered on disk, if these are limited.
    pub(super) scratch: Option<Scratch>,
    pub(super) goes_on: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl Rows<'_> {
    /// Writes a row; `at` and `of` are the progress and the total.
    pub(super) fn put(&mut self, at: i64, of: i64, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        if let Some(scratch) = &mut self.scratch {
            scratch.add(cells)?;
        }
        self.table.row(cells)?;
        self.written += 1;
        if self.written.is_multiple_of(ASK_AFTER) && !(self.goes_on)(at as u64, of as u64) {
            return Err(ExportError::GivenUp);
        }
        Ok(())
    }
}
