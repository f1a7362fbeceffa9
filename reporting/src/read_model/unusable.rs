//! Why a read model cannot be used.

use std::path::{Path, PathBuf};

use scrip_protocol::Position;
use scrip_protocol::batch::BatchError;
use scrip_protocol::codes::UnknownForm;

use super::tables::VERSION;

/// Why the read model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// SQLite failed.
    #[error("{path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// A file or folder cannot be used.
    #[error("{path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Another process writes to the read model.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The tables are of another version.
    #[error(
        "{path} has tables of version {found}, and this program reads version {VERSION}; scrip sidecar rebuilds them from the journal when \
         it starts"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The settings name a form of codes that this program does not know.
    #[error("the settings at position {position}")]
    CodeForm {
        /// The record.
        position: Position,
        /// The form.
        source: UnknownForm,
    },
    /// A batch does not continue the read model, or is damaged.
    #[error("the batch after position {after}: {cause}")]
    Batch {
        /// The newest position in the read model.
        after: Position,
        /// The reason.
        cause: BatchError,
    },
}

impl ReadModelError {
    pub(super) fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> ReadModelError {
        let path = path.to_owned();
        move |source| ReadModelError::Sqlite { path, source }
    }
}
