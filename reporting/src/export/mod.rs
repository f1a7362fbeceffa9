//! Exports (T7, A14): the code list of a campaign, and the log of activations, as CSV, XLSX or Parquet.
//!
//! - [`Export`] describes an export, and [`Export::run`] writes it to any sink; [`download`] does so for an HTTP reader.
//! - `codes` and `activations` read the rows, in one transaction and in the order in which SQLite stores them, so that memory
//!   does not grow with their number; `names` looks up related names.
//! - `csv`, `xlsx` and `parquet` write them. A row is a slice of `Cell`s and needs no allocation.
//!
//! A file is complete, or the export fails: no error is ignored. Every file states the position that it is as of: in its name, in
//! each row, and in its properties if the format has any (Z10). If its history begins later than the journal, it states that too.

mod activation_log;
mod code_list;
mod columns;
mod csv;
pub mod download;
mod error;
mod names;
mod parquet;
#[cfg(test)]
mod tests;
mod words;
mod xlsx;

use std::io::{self, Write};
use std::path::PathBuf;

use rusqlite::OptionalExtension;
use scrip_protocol::CampaignId;

use self::columns::{About, Rows, Scratch, Table};
use crate::read_model::{AsOf, View};
pub use error::ExportError;
pub use words::{Format, Status, UnknownWord, Usage};

/// An export to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The rows.
    pub what: What,
    /// The format of the file.
    pub format: Format,
    /// Whether a CSV begins with a byte order mark, by which old spreadsheet programs recognise UTF-8. Other formats ignore this.
    pub byte_order_mark: bool,
    /// The folder where XLSX buffers rows until it has all; none for the folder of the read model. The file in it has no name,
    /// and disappears with the process at the latest.
    pub scratch: Option<PathBuf>,
    /// The approximate maximum size of the buffered rows, in bytes; none for no limit.
    pub scratch_bytes_max: Option<u64>,
}

/// The rows of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The codes of a campaign, in the order in which they were added, including archived codes (X3): one row for each activation
    /// that a code ever had, in order, and one row for a code without any.
    Codes {
        /// The campaign.
        campaign: CampaignId,
        /// The status of the codes.
        status: Status,
        /// The usage of the codes.
        usage: Usage,
    },
    /// Activations in the order in which they happened, including refunded ones.
    Activations {
        /// Only of this campaign; none for all.
        campaign: Option<CampaignId>,
        /// Only at this time or later, in milliseconds since 1970.
        from_ms: Option<u64>,
        /// Only before this time, in milliseconds since 1970.
        to_ms: Option<u64>,
    },
}

/// A summary of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The number of rows, without the header.
    pub rows: u64,
    /// The size in bytes.
    pub bytes: u64,
    /// What the file is as of.
    pub as_of: AsOf,
}

/// What is known of an export before its first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The file name, such as `campaign-1-codes-p12345.csv`, or `campaign-1-codes-after-p900-p12345.csv` if the history begins
    /// later.
    pub file_name: String,
    /// What the file is as of.
    pub as_of: AsOf,
}

impl Export {
    /// The name of the file, and what it is as of.
    ///
    /// # Errors
    /// If the campaign does not exist, or SQLite fails.
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

    /// Writes the export. Calls `goes_on` from time to time with the progress and the total, both in the unit by which rows are
    /// counted; if it returns false, the export ends with [`ExportError::GivenUp`]. Blocks.
    ///
    /// # Errors
    /// If anything fails. What was written until then is not an export.
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
        // Each format wraps the error of the sink in its own way.
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
            What::Codes { .. } => code_list::COLUMNS,
            What::Activations { .. } => activation_log::COLUMNS,
        };
        let mut table: Box<dyn Table + '_> = match self.format {
            Format::Csv => Box::new(csv::Csv::begin(&mut *sink, columns, self.byte_order_mark)?),
            Format::Xlsx => Box::new(xlsx::Xlsx::begin(&mut *sink, columns, about, &self.scratch(view))?),
            Format::Parquet => Box::new(parquet::Parquet::begin(&mut *sink, columns, about)?),
        };
        let scratch = self.scratch_bytes_max.filter(|_| self.format == Format::Xlsx).map(|max| Scratch { bytes: 0, max });
        let mut rows = Rows { table: &mut *table, written: 0, as_of: view.as_of.position.0 as i64, scratch, goes_on };
        match self.what {
            What::Codes { campaign, status, usage } => code_list::write(view, campaign, status, usage, &mut rows)?,
            What::Activations { campaign, from_ms, to_ms } => activation_log::write(view, campaign, from_ms, to_ms, &mut rows)?,
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

/// The sink of the bytes: counts them, and remembers the first error. Later bytes are discarded, because buffers flush when they
/// are dropped, and would block and fail again.
struct Counted<W> {
    sink: W,
    bytes: u64,
    failed: Option<io::Error>,
}

impl<W> Counted<W> {
    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
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
        let written = self.remember(written)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        let flushed = self.sink.flush();
        self.remember(flushed)
    }
}
