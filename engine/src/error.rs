//! Errors of an engine as a whole.

use std::sync::Arc;

use scrip_journal::JournalError;
use scrip_protocol::codes::RecordedForm;

use crate::folder::FolderError;
use crate::pipeline::ClockError;
use crate::server::error::ServerError;
use crate::snapshot::SnapshotError;
use crate::verifier::Damage;

/// Why an engine does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal, on opening it.
    #[error("the journal was not opened")]
    Recovery(#[source] JournalError),
    /// A snapshot, without which the journal cannot be read, or the folder of snapshots.
    #[error("no snapshot was opened, and the journal does not go back to its beginning")]
    Snapshot(#[source] SnapshotError),
    /// The machine's clock, beside the newest record.
    #[error("the engine was not started")]
    Clock(#[source] ClockError),
    /// What the engine started on is damaged, as was found while it ran.
    #[error("the engine stopped because the data that it started on is damaged")]
    Damaged(#[source] Arc<Damage>),
    /// The journal's codes are in a form that this program does not know.
    #[error(
        "the journal compares codes in {0}, which this program does not know; start the engine with the newer program that wrote it"
    )]
    CodeForm(RecordedForm),
    /// The journal, on writing to it.
    #[error("the journal failed, and the engine stopped")]
    Journal(#[source] Arc<JournalError>),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
}
