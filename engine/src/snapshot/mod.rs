//! Snapshots: the state as it was at one position of the journal, in a file that is read in place.
//!
//! ```text
//! snapshots/00000000000000012345.snapshot   named by its position; two generations are kept
//!
//! offset  size
//!      0     8  "SCRIPSNP"
//!      8     4  format version, 2; version 1 is read as well
//!     12     4  number of sections
//!     16     8  position of the newest record that is in it
//!     24     8  time of that record's batch, milliseconds since 1970
//!     32    32  hash of that batch
//!     64    32  how many campaigns, codes, clients, and remembered requests, 8 bytes each
//!     96     8  bytes of the file
//!    104     8  zero
//!    112  64 n  sections, each: 4 bytes number, 4 zero, 8 offset, 8 bytes, 8 zero, 32 BLAKE3 of its bytes
//!   4064    32  BLAKE3 of everything before
//!   4096        the sections, each at a multiple of 4096
//! ```
//! Numbers are little-endian. The section `small` is an rkyv archive of what is loaded at once. The others are rows of fixed
//! size ([`scrip_core::state::frozen`]), texts, and the slots of hash indexes; these are read in place, so that opening a
//! snapshot takes as long for a hundred million codes as for a hundred.
//!
//! A snapshot contains nothing that the journal before its position does not. It is written under a temporary name, flushed and
//! renamed, and its folder is flushed. A file with a snapshot's name is therefore complete unless the disk has damaged it.
//! Damage is reported, never repaired.
//!
//! Invariant: a file is never written again once it has its final name, because engines read it in place.

mod kept;
mod layout;
mod look;
mod names;
mod open;
mod room;
#[cfg(test)]
pub(crate) mod tests;
mod unverified;
mod write;

use std::path::PathBuf;

use scrip_protocol::batch::ChainEnd;

pub(crate) use kept::log_removal;
pub use kept::{GENERATIONS, Kept, PassedOver, list, prune, remove_unfinished, replace};
pub use layout::{VERSION, VERSION_OLDEST};
pub use look::{Fault, Looked, SectionLooked, SmallLooked, Verdict, look};
pub use open::Snapshot;
pub(crate) use room::Unfinished;
pub use room::check_room;
pub use unverified::UnverifiedUse;
pub(crate) use unverified::forget;
pub use write::{Pace, write};

/// A snapshot's header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Header {
    /// The format version.
    pub version: u32,
    /// The end of the chain that it covers.
    #[serde(skip)]
    pub end: ChainEnd,
    /// The number of campaigns, codes, clients and remembered requests.
    pub counts: Counts,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Its sections, in the order of the file.
    pub sections: Vec<Section>,
}

/// The numbers of the most frequent contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Campaigns, archived ones included.
    pub campaigns: u64,
    /// Codes of all campaigns.
    pub codes: u64,
    /// Clients.
    pub clients: u64,
    /// Remembered requests.
    pub requests: u64,
}

/// A section of a snapshot's file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Section {
    /// Its number, which never changes.
    pub number: u32,
    /// The name of its contents.
    pub name: &'static str,
    /// Its start, in bytes from the start of the file.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    #[serde(skip)]
    pub hash: [u8; 32],
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system returned an error.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The disk cannot read some of its bytes. They may be intact.
    #[error("{path}: byte {offset} of the snapshot cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The first byte of the first page that cannot be read.
        offset: u64,
        /// The reason.
        source: std::io::Error,
    },
    /// The header is damaged, or the file is not a snapshot.
    #[error("{path}: the snapshot cannot be read: {what}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It was written in another format.
    #[error("{path}: the snapshot's format version is {version}, and this program reads {VERSION_OLDEST} to {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version.
        version: u32,
    },
    /// A section does not match its hash.
    #[error("{path}: the snapshot is damaged in its section {section}, bytes {offset} to {end}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which section.
        section: &'static str,
        /// Its start, in bytes from the start of the file.
        offset: u64,
        /// Its end.
        end: u64,
    },
    /// Its sections contradict each other.
    #[error("{path}: the snapshot contradicts itself: {what}")]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The position in its name differs from the one in its header.
    #[error("{path}: the snapshot is at position {found}, but its name has another")]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The position in its header.
        found: scrip_protocol::Position,
    },
    /// There are more codes, clients or requests than a snapshot can number.
    #[error("{path}: a snapshot can hold at most 4294967295 {what}")]
    TooMany {
        /// The file.
        path: PathBuf,
        /// The name of the contents.
        what: &'static str,
    },
    /// The disk has too little space for a snapshot beside the reserve of the journal.
    #[error(
        "{dir}: no room for a snapshot: about {bytes} more bytes are needed, {free} are free, and {reserve} of these are kept for the journal"
    )]
    NoRoom {
        /// The folder of snapshots.
        dir: PathBuf,
        /// About how many more bytes are needed.
        bytes: u64,
        /// How many are free.
        free: u64,
        /// How many of these are reserved for the journal.
        reserve: u64,
    },
}

impl SnapshotError {
    /// Whether the snapshot is certainly damaged. One that the disk cannot read, or that another release wrote, may be intact.
    pub fn is_damage(&self) -> bool {
        match self {
            SnapshotError::Header { .. }
            | SnapshotError::Damaged { .. }
            | SnapshotError::Inconsistent { .. }
            | SnapshotError::Misnamed { .. } => true,
            SnapshotError::Io { .. }
            | SnapshotError::Unreadable { .. }
            | SnapshotError::Version { .. }
            | SnapshotError::TooMany { .. }
            | SnapshotError::NoRoom { .. } => false,
        }
    }
}
