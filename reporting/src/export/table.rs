//! A file as its rows are put into it: columns and cells, whatever the format.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::error::ExportError;
use crate::read_model::{AsOf, View};

/// What a file says of itself, where its format has a place for it.
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

/// A column: what it is called, and what is in it.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, which may be anybody's.
    Text,
    /// The number of a thing, with which nobody calculates.
    Id,
    /// How many.
    Count,
    /// An amount, in minor units.
    Amount,
    /// A time, in milliseconds since 1970.
    Time,
}

/// What a row has in a column, which is of the column's kind or nothing.
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
    /// The cell of what there may be.
    pub(super) fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell<'a>) -> Cell<'a> {
        value.map_or(Cell::Blank, cell)
    }
}

/// A file that is being written in one of the formats.
pub(super) trait Table {
    /// Writes a row: as many cells as there are columns.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError>;

    /// Ends the file. One that is not ended is not whole.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// After how many rows it is asked whether to go on.
const ASK_AFTER: u64 = 4_096;

/// Rows of a spreadsheet on disk, by what they are estimated to need.
pub(super) struct Scratch {
    pub(super) bytes: u64,
    pub(super) max: u64,
}

impl Scratch {
    /// What stands around each cell, or is a number in it.
    const CELL_BYTES: u64 = 64;

    fn add(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        let texts = cells.iter().map(|cell| if let Cell::Text(text) = cell { text.len() as u64 } else { 0 });
        self.bytes += texts.sum::<u64>() + cells.len() as u64 * Scratch::CELL_BYTES;
        if self.bytes > self.max { Err(ExportError::NoRoom) } else { Ok(()) }
    }
}

/// Where rows are put.
pub(super) struct Rows<'a> {
    pub(super) table: &'a mut dyn Table,
    pub(super) written: u64,
    /// The last cell of each row.
    pub(super) as_of: i64,
    /// The rows that wait on disk, where these are limited.
    pub(super) scratch: Option<Scratch>,
    pub(super) goes_on: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl Rows<'_> {
    /// Writes a row, which is at this place of so many.
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
