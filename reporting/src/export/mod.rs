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
mod error;
mod names;
mod parquet;
mod table;
#[cfg(test)]
mod tests;
mod words;
mod xlsx;

use std::io::{self, Write};
use std::path::PathBuf;

use rusqlite::OptionalExtension;
use scrip_protocol::CampaignId;

use self::table::{About, Rows, Scratch, Table};
use crate::read_model::{AsOf, View};
pub use error::ExportError;
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
        let about = About::of(self.what.noun(), view)?;
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
