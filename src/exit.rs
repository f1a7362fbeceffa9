//! Exit codes. They are part of what scripts rely on: a number never changes its meaning.

use std::process::ExitCode;

use scrip_engine::EngineError;
use scrip_engine::backup::BackupError;
use scrip_engine::folder::FolderError;
use scrip_engine::journal::JournalError;
use scrip_engine::snapshot::SnapshotError;
use scrip_loadtest::rival::RivalError;
use scrip_protocol::Refusal;
use scrip_protocol::client::{ClientError, ConnectError, PartError, TailError};
use scrip_protocol::hello::CloseCode;
use scrip_reporting::attempts::AttemptsError;
use scrip_reporting::export::ExportError;
use scrip_reporting::follow::FollowError;
use scrip_reporting::read_model::ReadModelError;
use scrip_reporting::sidecar::SidecarError;

use crate::cli::export::NoReadModel;

/// How the program ended. (2 is clap's: the arguments cannot be understood.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The engine answered no: a code was refused, a name was taken, a list had conflicts.
    Refused = 1,
    /// The engine cannot be reached, or says that it may be asked again later: it is too busy, or too many codes were not accepted. Or a rival of a load test is not installed, or cannot be run.
    Unreachable = 3,
    /// There is no token, it is unknown, or its role may not do this.
    Denied = 4,
    /// No answer came: whether it was done is unknown. The same request id may be sent again.
    Unknown = 5,
    /// The data folder, the journal, a snapshot or a backup cannot be used, and nothing was started on it or made of it. Or what was inspected is damaged.
    Data = 6,
    /// The journal failed while the engine ran, or what it started on was found to be damaged, and the engine stopped.
    JournalFailed = 7,
    /// An audit or a verification found that something does not agree.
    Mismatch = 8,
    /// A file given as input cannot be used.
    Input = 9,
    /// The clock of this machine or of the engine's is wrong: nothing was executed, or the engine was not started.
    Clock = 10,
    /// Anything else.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An input file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub(crate) struct InputError {
    /// The file, and the place in it.
    pub(crate) place: String,
    /// What is wrong there.
    pub(crate) why: String,
}

/// Nobody said who calls.
#[derive(Debug, thiserror::Error)]
#[error("no token: set SCRIP_TOKEN, or give --token-file, or --cert and --key")]
pub(crate) struct NoToken;

/// Says what went wrong, on standard error, and returns the code for it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    crate::print::complain(&format!("scrip: {}", words_of(error)));
    of(error).into()
}

/// The error and its causes, but for those that an error before them has named already, and for a place that the next one names as well.
fn words_of(error: &anyhow::Error) -> String {
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
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(match error {
            ClientError::Refused(Refusal::Forbidden { .. } | Refusal::ClubForbidden { .. } | Refusal::Revoked) => Exit::Denied,
            ClientError::Refused(Refusal::Busy { .. } | Refusal::TooManyMisses { .. }) => Exit::Unreachable,
            ClientError::Refused(Refusal::RequestIdInvalid | Refusal::RequestTooOld { .. } | Refusal::RequestIdReused) => {
                Exit::Refused
            }
            ClientError::Refused(Refusal::RequestFromFuture { .. }) => Exit::Clock,
            ClientError::NoAnswer { .. } => Exit::Unknown,
            ClientError::Connect(error) => of_connect(error),
            ClientError::TooLarge(_) => Exit::Input,
            ClientError::Reply(_) => Exit::Internal,
        });
    }
    if cause.is::<ReadModelError>()
        || cause.is::<AttemptsError>()
        || matches!(cause.downcast_ref(), Some(FollowError::Behind { .. }))
        || matches!(cause.downcast_ref(), Some(SidecarError::Listen { .. }))
    {
        return Some(Exit::Data);
    }
    if let Some(error) = cause.downcast_ref::<TailError>() {
        return Some(match error {
            TailError::Connect(error) => of_connect(error),
            TailError::Refused(_) => Exit::Denied,
            TailError::BeyondEnd { .. } | TailError::Dropped { .. } => Exit::Refused,
            TailError::Forked { .. } => Exit::Data,
            TailError::Unreadable | TailError::Malformed(_) | TailError::Batch { .. } => Exit::Internal,
        });
    }
    if let Some(error) = cause.downcast_ref::<PartError>() {
        return Some(match error {
            PartError::Connect(error) => of_connect(error),
            PartError::Refused(_) => Exit::Denied,
            PartError::Malformed(_) => Exit::Internal,
        });
    }
    if let Some(error) = cause.downcast_ref::<EngineError>() {
        return Some(match error {
            EngineError::Folder(_) | EngineError::Recovery(_) | EngineError::Snapshot(_) | EngineError::Server(_) => Exit::Data,
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
    if cause.is::<NoToken>() {
        return Some(Exit::Denied);
    }
    if cause.is::<FolderError>() || cause.is::<JournalError>() || cause.is::<SnapshotError>() {
        return Some(Exit::Data);
    }
    cause.is::<InputError>().then_some(Exit::Input)
}

fn of_connect(error: &ConnectError) -> Exit {
    match error {
        ConnectError::Closed { code: CloseCode::Unauthenticated | CloseCode::Revoked, .. } => Exit::Denied,
        ConnectError::Certificate(_) => Exit::Denied,
        ConnectError::Identity(_) => Exit::Input,
        ConnectError::Closed { .. }
        | ConnectError::Address { .. }
        | ConnectError::Authority(_)
        | ConnectError::Socket(_)
        | ConnectError::Unreachable(_)
        | ConnectError::Protocol
        | ConnectError::Handshake { .. }
        | ConnectError::Lost(_) => Exit::Unreachable,
    }
}
