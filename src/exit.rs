//! Exit codes. Scripts rely on them: a number never changes its meaning.

use std::path::PathBuf;
use std::process::ExitCode;

use scrip_client::{ClientError, ConnectError, PartError, TailError};
use scrip_engine::EngineError;
use scrip_engine::backup::BackupError;
use scrip_engine::folder::FolderError;
use scrip_engine::snapshot::SnapshotError;
use scrip_journal::JournalError;
use scrip_lists::ListError;
use scrip_loadtest::rival::RivalError;
use scrip_protocol::codes::UnknownForm;
use scrip_protocol::hello::CloseCode;
use scrip_protocol::private::SecretError;
use scrip_protocol::{Refusal, RequestId};
use scrip_reporting::attempts::AttemptsError;
use scrip_reporting::export::ExportError;
use scrip_reporting::follow::FollowError;
use scrip_reporting::read_model::ReadModelError;
use scrip_reporting::sidecar::SidecarError;

use crate::print::NotShown;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The engine refused: a code was refused, a name was taken, a list had conflicts.
    Refused = 1,
    /// The arguments are invalid, or help was printed instead of running the command.
    Usage = 2,
    /// The engine is unreachable, does not reply, is busy, or has locked the caller out after too many failed attempts.
    /// Nothing was executed. Or a rival for a load test is not installed or cannot be run.
    Unreachable = 3,
    /// There is no token, the token is unknown or revoked, or its role does not allow the command.
    Denied = 4,
    /// The request may have been executed, by this command or by an earlier one with the same `--request-id`, but its outcome
    /// is unknown. Running the same command with that request id finds out.
    Unknown = 5,
    /// The data folder, the journal, a snapshot or a backup is unusable, and nothing was started from it. Or the inspected
    /// file is damaged.
    Data = 6,
    /// The journal failed while the engine ran, or the data the engine started from is damaged; the engine stopped.
    JournalFailed = 7,
    /// An audit or a verification found a difference.
    Mismatch = 8,
    /// An input file is unusable.
    Input = 9,
    /// The clock of this machine or of the engine is wrong: nothing was executed, or the engine did not start.
    Clock = 10,
    /// The command was executed, but standard output could not be written. Or a secret could not be printed, and was
    /// therefore not created.
    Output = 11,
    /// Any other error.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An input file that is unusable.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub(crate) struct InputError {
    /// The file, and the location in it.
    pub(crate) place: String,
    /// What is wrong there.
    pub(crate) why: String,
}

/// There is no read model to export from.
#[derive(Debug, thiserror::Error)]
#[error("{} does not exist: scrip sidecar creates it", file.display())]
pub(crate) struct NoReadModel {
    /// Where it was expected.
    pub(crate) file: PathBuf,
}

/// The caller has no credential.
#[derive(Debug, thiserror::Error)]
#[error("no token: set SCRIP_TOKEN, or give --token-file, or --cert and --key")]
pub(crate) struct NoToken;

/// The address for probes and metrics cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (TCP) for metrics")]
pub(crate) struct MetricsAddressError {
    /// The address.
    pub(crate) address: std::net::SocketAddr,
    /// Why.
    pub(crate) source: std::io::Error,
}

/// The command was executed, but its result could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MadeNotShown(pub(crate) String);

/// The outcome of a request is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{why}; the outcome of request {request} is unknown: run the same command with --request-id {request} to find out")]
pub(crate) struct Unknown {
    /// The request.
    pub(crate) request: RequestId,
    /// Why there is no outcome.
    pub(crate) why: String,
}

/// Reports an error on standard error and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    crate::print::complain(&format!("scrip: {}", words_of(error)));
    of(error)
}

/// The exit code of a command whose output may have failed. The command's own code has precedence. If an outcome was lost with
/// the output, standard error names the request id that prints it again.
pub(crate) fn after_output(exit: Exit) -> Exit {
    let is_lost = crate::print::failure().is_some();
    if is_lost && matches!(exit, Exit::Done | Exit::Refused) {
        crate::print::complain_of_lost_outcome();
    }
    if is_lost && matches!(exit, Exit::Done) { Exit::Output } else { exit }
}

/// The error and its causes, without causes that an earlier error already names and without a location that the next one repeats.
pub(crate) fn words_of(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() || cause.starts_with(&words) {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Internal)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if cause.is::<Unknown>() {
        return Some(Exit::Unknown);
    }
    if cause.is::<NotShown>() || cause.is::<MadeNotShown>() {
        return Some(Exit::Output);
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(match error {
            ClientError::Refused(refusal) => of_refusal(refusal),
            ClientError::Unknown { .. } => Exit::Unknown,
            ClientError::NoAnswer { .. } => Exit::Unreachable,
            ClientError::Connect(error) => of_connect(error),
            ClientError::TooLarge(_) => Exit::Input,
            ClientError::Reply(_) => Exit::Internal,
        });
    }
    if cause.is::<ReadModelError>()
        || cause.is::<AttemptsError>()
        || cause.is::<UnknownForm>()
        || cause.is::<MetricsAddressError>()
        || matches!(cause.downcast_ref(), Some(FollowError::Behind { .. }))
        || matches!(cause.downcast_ref(), Some(SidecarError::Listen { .. }))
    {
        return Some(Exit::Data);
    }
    if let Some(error) = cause.downcast_ref::<TailError>() {
        return Some(match error {
            TailError::Connect(error) => of_connect(error),
            TailError::Refused(refusal) => of_refusal(refusal),
            TailError::BeyondEnd { .. } | TailError::Dropped { .. } => Exit::Refused,
            TailError::Forked { .. } => Exit::Data,
            TailError::Unreadable | TailError::Malformed(_) | TailError::Batch { .. } => Exit::Internal,
        });
    }
    if let Some(error) = cause.downcast_ref::<PartError>() {
        return Some(match error {
            PartError::Connect(error) => of_connect(error),
            PartError::Refused(refusal) => of_refusal(refusal),
            PartError::Malformed(_) => Exit::Internal,
        });
    }
    if let Some(error) = cause.downcast_ref::<EngineError>() {
        return Some(match error {
            EngineError::Folder(_)
            | EngineError::Recovery(_)
            | EngineError::Snapshot(_)
            | EngineError::CodeForm(_)
            | EngineError::Server(_) => Exit::Data,
            EngineError::Clock(_) => Exit::Clock,
            EngineError::Journal(_) | EngineError::Damaged(_) => Exit::JournalFailed,
        });
    }
    if let Some(error) = cause.downcast_ref::<BackupError>() {
        return Some(match error {
            BackupError::OtherHistory { .. }
            | BackupError::Shorter { .. }
            | BackupError::NotKept { .. }
            | BackupError::Before { .. }
            | BackupError::Beyond { .. } => Exit::Refused,
            BackupError::Journal(_)
            | BackupError::Snapshot(_)
            | BackupError::Folder(_)
            | BackupError::Io { .. }
            | BackupError::Manifest { .. }
            | BackupError::Batch { .. }
            | BackupError::Incomplete { .. }
            | BackupError::NoSnapshot { .. }
            | BackupError::Missing { .. }
            | BackupError::NotEmpty { .. }
            | BackupError::NoBackup { .. } => Exit::Data,
        });
    }
    if let Some(error) = cause.downcast_ref::<ExportError>() {
        return Some(match error {
            ExportError::NoCampaign(_) => Exit::Refused,
            ExportError::Busy | ExportError::LogFull | ExportError::TooLong(_) => Exit::Unreachable,
            ExportError::View(_) | ExportError::Sqlite(_) | ExportError::Missing { .. } => Exit::Data,
            ExportError::Sink(_) | ExportError::NoRoom => Exit::Input,
            ExportError::Xlsx(_) | ExportError::Scratch | ExportError::Parquet(_) | ExportError::GivenUp => Exit::Internal,
        });
    }
    if cause.is::<NoReadModel>() {
        return Some(Exit::Data);
    }
    if let Some(error) = cause.downcast_ref::<ConnectError>() {
        return Some(of_connect(error));
    }
    if cause.is::<RivalError>() {
        return Some(Exit::Unreachable);
    }
    if cause.is::<SecretError>() {
        return Some(Exit::Input);
    }
    if cause.is::<NoToken>() {
        return Some(Exit::Denied);
    }
    if cause.is::<FolderError>() || cause.is::<JournalError>() || cause.is::<SnapshotError>() {
        return Some(Exit::Data);
    }
    (cause.is::<InputError>() || cause.is::<ListError>()).then_some(Exit::Input)
}

/// The exit code of a refusal, whatever was refused: a request, a tail or a watch.
fn of_refusal(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::Forbidden { .. } | Refusal::ClubForbidden { .. } | Refusal::Revoked => Exit::Denied,
        Refusal::Busy { .. } | Refusal::TooManyMisses { .. } => Exit::Unreachable,
        Refusal::RequestIdInvalid | Refusal::RequestIdReused => Exit::Refused,
        // For a freshly generated id. With --request-id the outcome is unknown instead, and never gets here.
        Refusal::RequestTooOld { .. } | Refusal::RequestFromFuture { .. } => Exit::Clock,
    }
}

fn of_connect(error: &ConnectError) -> Exit {
    match error {
        ConnectError::Closed { code: CloseCode::Unauthenticated | CloseCode::Revoked, .. } => Exit::Denied,
        ConnectError::Certificate(_) => Exit::Denied,
        ConnectError::Authority(_) | ConnectError::Identity(_) => Exit::Input,
        ConnectError::Closed { .. }
        | ConnectError::Address { .. }
        | ConnectError::Socket(_)
        | ConnectError::Unreachable(_)
        | ConnectError::Protocol
        | ConnectError::Handshake { .. }
        | ConnectError::Lost(_) => Exit::Unreachable,
    }
}
