//! Why there is no export.

use std::io;

use scrip_protocol::CampaignId;

use crate::read_model::ReadModelError;

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
    pub(super) fn from_disk(why: io::Error) -> ExportError {
        let is_full = matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full { ExportError::NoRoom } else { ExportError::Sink(why) }
    }
}
