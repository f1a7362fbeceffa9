//! Errors of an engine as a whole.

use std::sync::Arc;

use scrip_journal::JournalError;
use scrip_protocol::codes::RecordedForm;

use crate::folder::FolderError;
use crate::pipeline::ClockError;
use crate::server::start_error::ServerError;
use crate::snapshot::SnapshotError;
use crate::verifier::Damage;

/// Why an engine does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An error of the data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal could not be opened.
    #[error("the journal was not opened")]
    Recovery(#[source] JournalError),
    /// A snapshot that the journal needs, or the folder of snapshots, could not be read.
    #[error("no snapshot was opened, and the journal does not go back to its beginning")]
    Snapshot(#[source] SnapshotError),
    /// The machine's clock is implausible compared with the newest record.
    #[error("the engine was not started")]
    Clock(#[source] ClockError),
    /// The data that the engine started on is damaged, as found while it ran.
    #[error("the engine stopped because the data that it started on is damaged")]
    Damaged(#[source] Arc<Damage>),
    /// The form of the journal's codes is unknown to this program.
    #[error(
        "the journal compares codes in {0}, which this program does not know; start the engine with the newer program that wrote it"
    )]
    CodeForm(RecordedForm),
    /// Writing to the journal failed.
    #[error("the journal failed, and the engine stopped")]
    Journal(#[source] Arc<JournalError>),
    /// An error of the server.
    #[error(transparent)]
    Server(#[from] ServerError),
}
