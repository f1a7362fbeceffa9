//! Exports (T7, A14): the code list of a campaign, and the log of activations, as CSV, XLSX or Parquet.
//!
//! - [`Export`] says what is wanted, and [`Export::run`] writes it into whatever takes bytes; [`download`] does so for a reader over HTTP.
//! - `codes` and `activations` read the rows, in one transaction and in an order that SQLite has them in anyway, so that memory does not
//!   grow with their number; `names` are looked up on the way.
//! - `csv`, `xlsx` and `parquet` write them. A row is a slice of `Cell`s, for which nothing is allocated.
//!
//! A file is whole or it is an error: whatever fails on the way is told, never passed over. Every file says which position it is as of: in
//! its name, in each row, and in its properties where the format has such (Z10). So does one whose history begins later than the journal.

mod activations;
mod codes;
mod csv;
pub mod download;
mod names;
mod parquet;
#[cfg(test)]
mod tests;
mod words;
mod xlsx;

use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::OptionalExtension;
use scrip_protocol::CampaignId;

use crate::read_model::{AsOf, ReadModelError, View};
pub use words::{Format, Status, UnknownWord, Usage};

/// An export that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its rows.
    pub what: What,
    /// The format of the file.
    pub format: Format,
    /// Whether a CSV begins with a byte order mark, by which old spreadsheet programs know UTF-8. The other formats have none.
    pub byte_order_mark: bool,
    /// The folder where XLSX keeps rows until all are there; none for the folder of the read model. The file in it has no name, and is
    /// gone with the process at the latest.
    pub scratch: Option<PathBuf>,
    /// How many bytes such rows may have, about; none for no limit.
    pub scratch_bytes_max: Option<u64>,
}

/// The rows of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The codes of a campaign, in the order of adding: a row for each activation that a code ever had, in their order, and one
    /// without activation for a code that had none. Archived codes are among them (X3).
    Codes {
        /// Whose codes.
        campaign: CampaignId,
        /// Which, by what they are.
        status: Status,
        /// Which, by what was done with them.
        usage: Usage,
    },
    /// Activations in the order in which they happened, refunded ones as well.
    Activations {
        /// Of one campaign, or of all.
        campaign: Option<CampaignId>,
        /// At this time or later, in milliseconds since 1970.
        from_ms: Option<u64>,
        /// Before this time, in milliseconds since 1970.
        to_ms: Option<u64>,
    },
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// How many rows, the head not counted.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
    /// What all of it is as of.
    pub as_of: AsOf,
}

/// What can be said of an export before its first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it is called, as in `campaign-1-codes-p12345.csv`; `campaign-1-codes-after-p900-p12345.csv` where the history begins later.
    pub file_name: String,
    /// What it is as of.
    pub as_of: AsOf,
}

/// Why there is no export, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no such campaign.
    #[error("there is no campaign {0}")]
    NoCampaign(CampaignId),
    /// As many exports as may be are under way, in all or of this credential.
    #[error("too many exports are under way, in all or of this credential")]
    Busy,
    /// It takes too long to make it.
    #[error("the export was not made within {} s", .0.as_secs())]
    TooLong(std::time::Duration),
    /// So much is written to the read model that it must not be held any longer.
    #[error("the read model changes too fast for an export")]
    LogFull,
    /// There is no room on disk for it.
    #[error(
        "there is no room for the export: in the folder of the read model, or of the 4 GiB for all exports and 2 GiB for those of one credential"
    )]
    NoRoom,
    /// The read model.
    #[error(transparent)]
    View(#[from] ReadModelError),
    /// SQLite.
    #[error("the read model")]
    Sqlite(#[from] rusqlite::Error),
    /// The read model says in one place that a code was activated, and in another that it was not.
    #[error(
        "the read model has {found} of the {expected} activations of code {slot} of campaign {campaign}: it is to be rebuilt"
    )]
    Missing {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which of its codes.
        slot: i64,
        /// How many activations there should be.
        expected: i64,
        /// How many there are.
        found: i64,
    },
    /// What takes the bytes takes no more.
    #[error("the export cannot be written")]
    Sink(#[source] io::Error),
    /// The spreadsheet cannot be made.
    #[error("the spreadsheet cannot be made")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
    /// The file that keeps the rows of a spreadsheet takes no more.
    #[error("the temporary file of the spreadsheet cannot be written: is there room in its folder?")]
    Scratch,
    /// The Parquet file cannot be made.
    #[error("the Parquet file cannot be made")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// Whoever waited for it does so no longer.
    #[error("the export was given up")]
    GivenUp,
}

impl ExportError {
    /// What a disk says that does not take an export.
    fn from_disk(why: io::Error) -> ExportError {
        let is_full = matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full { ExportError::NoRoom } else { ExportError::Sink(why) }
    }
}

impl Export {
    /// What it is called and as of.
    ///
    /// # Errors
    /// When there is no such campaign, or SQLite fails.
    pub fn head(&self, view: &View<'_>) -> Result<Head, ExportError> {
        let position = view.as_of.position;
        let mut of = String::new();
        if let Some(campaign) = self.what.campaign() {
            known(view, campaign)?;
            of = format!("campaign-{campaign}-");
        }
        let mut whole = String::new();
        if view.as_of.history_after.0 > 0 {
            whole = format!("after-p{}-", view.as_of.history_after);
        }
        let file_name = format!("{of}{}-{whole}p{position}.{}", self.what.noun(), self.format);
        Ok(Head { file_name, as_of: view.as_of })
    }

    /// Writes it. `goes_on` is told from time to time how far it has got, in whatever rows are counted by, and of how much; where it
    /// answers no, the export ends with [`ExportError::GivenUp`]. Blocks.
    ///
    /// # Errors
    /// When anything fails. What was written until then is not an export.
    pub fn run(
        &self,
        view: &View<'_>,
        sink: impl Write + Send,
        goes_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Done, ExportError> {
        if let Some(campaign) = self.what.campaign() {
            known(view, campaign)?;
        }
        let about = About::of(self, view)?;
        let mut sink = Counted { sink, bytes: 0, failed: None };
        let written = self.write(view, &about, &mut sink, goes_on);
        // The formats wrap what the sink said, each in its own way.
        match (sink.failed, written) {
            (Some(failed), _) => Err(ExportError::Sink(failed)),
            (None, Err(error)) => Err(error),
            (None, Ok(rows)) => Ok(Done { rows, bytes: sink.bytes, as_of: view.as_of }),
        }
    }

    fn write(
        &self,
        view: &View<'_>,
        about: &About,
        sink: &mut (impl Write + Send),
        goes_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<u64, ExportError> {
        let columns = match self.what {
            What::Codes { .. } => codes::COLUMNS,
            What::Activations { .. } => activations::COLUMNS,
        };
        let mut table: Box<dyn Table + '_> = match self.format {
            Format::Csv => Box::new(csv::Csv::begin(&mut *sink, columns, self.byte_order_mark)?),
            Format::Xlsx => Box::new(xlsx::Xlsx::begin(&mut *sink, columns, about, &self.scratch(view))?),
            Format::Parquet => Box::new(parquet::Parquet::begin(&mut *sink, columns, about)?),
        };
        let scratch = self.scratch_bytes_max.filter(|_| self.format == Format::Xlsx).map(|max| Scratch { bytes: 0, max });
        let mut rows = Rows { table: &mut *table, written: 0, as_of: view.as_of.position.0 as i64, scratch, goes_on };
        match self.what {
            What::Codes { campaign, status, usage } => codes::write(view, campaign, status, usage, &mut rows)?,
            What::Activations { campaign, from_ms, to_ms } => activations::write(view, campaign, from_ms, to_ms, &mut rows)?,
        }
        let written = rows.written;
        table.finish()?;
        sink.flush().map_err(ExportError::Sink)?;
        Ok(written)
    }

    fn scratch(&self, view: &View<'_>) -> PathBuf {
        let beside = || {
            // A database in memory has an empty path.
            let file = view.connection.path().map(PathBuf::from)?;
            file.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Into::into)
        };
        self.scratch.clone().or_else(beside).unwrap_or_else(std::env::temp_dir)
    }
}

impl What {
    fn campaign(&self) -> Option<CampaignId> {
        match self {
            What::Codes { campaign, .. } => Some(*campaign),
            What::Activations { campaign, .. } => *campaign,
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            What::Codes { .. } => "codes",
            What::Activations { .. } => "activations",
        }
    }
}

fn known(view: &View<'_>, campaign: CampaignId) -> Result<(), ExportError> {
    let found = view.connection.query_row("SELECT 1 FROM campaign WHERE campaign = ?1", [campaign.0], |_| Ok(())).optional()?;
    found.ok_or(ExportError::NoCampaign(campaign))
}

/// What a file says of itself, where its format has a place for it.
struct About {
    /// `codes` or `activations`.
    noun: &'static str,
    position: String,
    history_after: String,
    time: Timestamp,
    organisation: String,
    currency: String,
}

impl About {
    fn of(export: &Export, view: &View<'_>) -> Result<About, ExportError> {
        let names = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        // There are no settings before the first record.
        let settings = view.connection.query_row("SELECT name, currency FROM organisation", [], names).optional()?;
        let (organisation, currency) = settings.unwrap_or_default();
        let time = i64::try_from(view.as_of.time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let time = time.unwrap_or(Timestamp::MAX);
        let AsOf { position, history_after, .. } = view.as_of;
        let (position, history_after) = (position.to_string(), history_after.to_string());
        Ok(About { noun: export.what.noun(), position, history_after, time, organisation, currency })
    }
}

/// A column: what it is called, and what is in it.
struct Column {
    name: &'static str,
    kind: Kind,
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
enum Cell<'a> {
    Blank,
    Text(&'a str),
    Id(i64),
    Count(i64),
    Amount(i64),
    Time(i64),
}

impl<'a> Cell<'a> {
    /// The cell of what there may be.
    fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell<'a>) -> Cell<'a> {
        value.map_or(Cell::Blank, cell)
    }
}

/// A file that is being written in one of the formats.
trait Table {
    /// Writes a row: as many cells as there are columns.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError>;

    /// Ends the file. One that is not ended is not whole.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// After how many rows it is asked whether to go on.
const ASK_AFTER: u64 = 4_096;

/// Rows of a spreadsheet on disk, by what they are estimated to need.
struct Scratch {
    bytes: u64,
    max: u64,
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
struct Rows<'a> {
    table: &'a mut dyn Table,
    written: u64,
    /// The last cell of each row.
    as_of: i64,
    /// The rows that wait on disk, where these are limited.
    scratch: Option<Scratch>,
    goes_on: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl Rows<'_> {
    /// Writes a row, which is at this place of so many.
    fn put(&mut self, at: i64, of: i64, cells: &[Cell<'_>]) -> Result<(), ExportError> {
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

/// What takes the bytes: it counts them, and remembers what was wrong. What comes after that is dropped, because buffers that end try to be
/// rid of what they have, and would wait and complain again.
struct Counted<W> {
    sink: W,
    bytes: u64,
    failed: Option<io::Error>,
}

impl<W> Counted<W> {
    fn told<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Ok(bytes.len());
        }
        let written = self.sink.write(bytes);
        let written = self.told(written)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        let flushed = self.sink.flush();
        self.told(flushed)
    }
}
