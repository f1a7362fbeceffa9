//! Errors of exports.

use std::io;

use scrip_protocol::CampaignId;

use crate::read_model::ReadModelError;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The campaign does not exist.
    #[error("there is no campaign {0}")]
    NoCampaign(CampaignId),
    /// The limit of exports, in total or of this credential, is reached.
    #[error("too many exports are in progress, in total or for this credential")]
    Busy,
    /// Building it takes too long.
    #[error("the export was not built within {} s", .0.as_secs())]
    TooLong(std::time::Duration),
    /// The read model's log has grown too large for the view to be held longer.
    #[error("the read model changes too fast for an export")]
    LogFull,
    /// There is not enough disk space.
    #[error(
        "not enough space for the export: on the disk of the read model, or within the 4 GiB for all exports and 2 GiB per credential"
    )]
    NoRoom,
    /// The read model.
    #[error(transparent)]
    View(#[from] ReadModelError),
    /// SQLite.
    #[error("reading the read model failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The tables of the read model disagree about the activations of a code.
    #[error("the read model has {found} of the {expected} activations of code {slot} of campaign {campaign}; rebuild it")]
    Missing {
        /// The campaign.
        campaign: CampaignId,
        /// The slot of the code.
        slot: i64,
        /// The number of activations that the code should have.
        expected: i64,
        /// The number of activations found.
        found: i64,
    },
    /// Writing the bytes failed.
    #[error("writing the export failed")]
    Sink(#[source] io::Error),
    /// Building the spreadsheet failed.
    #[error("building the spreadsheet failed")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
    /// Writing the file that buffers the rows of a spreadsheet failed.
    #[error("writing the temporary file of the spreadsheet failed; is there room in its folder?")]
    Scratch,
    /// Building the Parquet file failed.
    #[error("building the Parquet file failed")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// The caller no longer waits for it.
    #[error("the export was cancelled")]
    GivenUp,
}

impl ExportError {
    /// Maps an error of the disk.
    pub(super) fn from_disk(why: io::Error) -> ExportError {
        let is_full = matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full { ExportError::NoRoom } else { ExportError::Sink(why) }
    }
}
