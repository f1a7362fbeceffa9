//! Readers of the journal: their positions.
//!
//! The engine can be configured to drop journal segments that every registered reader and the kept snapshots have passed.
//! Registering a reader keeps what it has not read. An unregistered reader may find that segments are gone.
//!
//! A reader belongs to the credential that registered it. Only that credential and operators can move or remove it.

use std::fmt;

use crate::command::NAME_BYTES_MAX;
use crate::ids::{CredentialId, Position};
use crate::record::Stamp;

/// How many readers there may be.
pub const READERS_MAX: usize = 64;

/// How many readers a credential may have unless it is an operator's, so that none fills the table alone.
pub const READERS_PER_CREDENTIAL_MAX: usize = 16;

/// The request to register a reader, or to move it: it has read everything up to a position and needs only what follows.
#[wire_format(serde::Deserialize)]
pub struct KeepReader {
    /// Its name, 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The newest record that it has read; 0 for none.
    pub position: Position,
}

/// The answer to [`KeepReader`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum KeepReaderOutcome {
    /// The engine keeps everything after this position for it.
    Kept {
        /// The position.
        position: Position,
    } = 0,
    /// The name is empty or too long.
    InvalidName = 1,
    /// The reader belongs to another credential.
    OtherCredential = 6,
    /// No such record exists yet, so it cannot have been read.
    BeyondEnd {
        /// The newest record.
        newest: Position,
    } = 2,
    /// The reader is already past this position, and positions never move backwards: what is before may be dropped.
    AlreadyFurther {
        /// Its position.
        position: Position,
    } = 3,
    /// The journal begins after this position, so the engine cannot keep what follows it. An unregistered reader starts before
    /// the first position.
    NotKept {
        /// The first position that is kept.
        first: Position,
    } = 5,
    /// There are [`READERS_MAX`] readers, and this one is not registered.
    TooManyReaders = 4,
    /// The credential has [`READERS_PER_CREDENTIAL_MAX`] readers, and this one is not registered.
    TooManyOfCredential = 7,
}

const OTHER_CREDENTIAL: &str = "refused: the reader belongs to another credential; an operator can remove it, so that it can be \
                                registered again";

impl fmt::Display for KeepReaderOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepReaderOutcome::Kept { position } => {
                write!(f, "kept: the journal after position {position} is kept for this reader")
            }
            KeepReaderOutcome::InvalidName => write!(f, "refused: a reader's name has 1 to {NAME_BYTES_MAX} bytes"),
            KeepReaderOutcome::OtherCredential => f.write_str(OTHER_CREDENTIAL),
            KeepReaderOutcome::BeyondEnd { newest } => write!(f, "refused: the newest record is at position {newest}"),
            KeepReaderOutcome::AlreadyFurther { position } => {
                write!(f, "refused: the reader is already at position {position} and cannot move back")
            }
            KeepReaderOutcome::NotKept { first } => {
                write!(
                    f,
                    "refused: the journal begins at position {first} and no longer has everything after the reader's position"
                )
            }
            KeepReaderOutcome::TooManyReaders => write!(f, "refused: there are already {READERS_MAX} readers"),
            KeepReaderOutcome::TooManyOfCredential => {
                write!(f, "refused: this credential already has {READERS_PER_CREDENTIAL_MAX} readers")
            }
        }
    }
}

/// The record of a registered reader. The reader belongs to the credential of the request.
#[wire_format]
pub struct ReaderRegistered {
    /// The request that registered it.
    pub stamp: Stamp,
    /// Its name.
    pub name: String,
    /// The newest record that it has read.
    pub read_up_to: Position,
}

impl ReaderRegistered {
    /// The reply that this record produces.
    pub fn outcome(&self) -> KeepReaderOutcome {
        KeepReaderOutcome::Kept { position: self.read_up_to }
    }
}

/// The record of a moved reader. Without an earlier [`ReaderRegistered`] it also registered the reader, in a journal from before
/// readers belonged to credentials: only operators move or remove such a reader.
#[wire_format]
pub struct ReaderKept {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// Its name.
    pub name: String,
    /// The newest record that it has read. In JSON, `position` is the position of the record itself.
    #[serde(rename = "read_up_to")]
    pub position: Position,
}

impl ReaderKept {
    /// The reply that this record produces.
    pub fn outcome(&self) -> KeepReaderOutcome {
        KeepReaderOutcome::Kept { position: self.position }
    }
}

/// The request to remove a reader. The engine no longer keeps segments for it.
#[wire_format(serde::Deserialize)]
pub struct ForgetReader {
    /// Its name.
    pub name: String,
}

/// The answer to [`ForgetReader`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ForgetReaderOutcome {
    /// It is removed.
    Forgotten = 0,
    /// There is no reader of that name.
    UnknownReader = 1,
    /// The reader belongs to another credential.
    OtherCredential = 2,
}

impl fmt::Display for ForgetReaderOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ForgetReaderOutcome::Forgotten => "removed: segments are no longer kept for it",
            ForgetReaderOutcome::UnknownReader => "refused: there is no reader of that name",
            ForgetReaderOutcome::OtherCredential => {
                "refused: the reader belongs to another credential; an operator can remove it"
            }
        })
    }
}

/// The record of a removed reader.
#[wire_format]
pub struct ReaderForgotten {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// Its name.
    pub name: String,
}

/// The request for the readers, in the order of their names.
#[wire_format(serde::Deserialize)]
pub struct ListReaders {}

/// The answer to [`ListReaders`]: all of them, at most [`READERS_MAX`].
#[wire_format]
pub struct ListReadersOutcome {
    /// The readers.
    pub readers: Vec<Reader>,
    /// The journal position of this result.
    pub as_of: Position,
}

/// One reader.
#[wire_format]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// The newest record that it has read.
    pub position: Position,
    /// When it reported that position, in milliseconds since 1970.
    pub moved_ms: u64,
    /// The credential that it belongs to; none for a reader that only operators can move.
    pub credential: Option<CredentialId>,
}
