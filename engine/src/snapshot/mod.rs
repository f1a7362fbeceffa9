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
//! Numbers are little-endian. The section `small` is an rkyv archive of what is loaded at once; the others are rows of fixed size
//! ([`scrip_core::state::frozen`]), texts, and the slots of hash indexes, which stay where they are: opening costs as much for a hundred million
//! codes as for a hundred.
//!
//! A snapshot contains nothing that the journal before its position does not. It is written under another name, flushed, renamed, and
//! its folder flushed, so that a file of that name is whole unless the disk has damaged it; damage is named, never mended.
//!
//! Invariant: a file is never written again once it has its name, as engines read it in place.

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
    /// Up to which record.
    #[serde(skip)]
    pub end: ChainEnd,
    /// How many campaigns, codes, clients and remembered requests it has.
    pub counts: Counts,
    /// The bytes of the file.
    pub bytes: u64,
    /// Its parts, in the order of the file.
    pub sections: Vec<Section>,
}

/// How many there are of what a snapshot holds most of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Campaigns, archived ones included.
    pub campaigns: u64,
    /// Codes of all campaigns.
    pub codes: u64,
    /// Clients.
    pub clients: u64,
    /// Requests remembered.
    pub requests: u64,
}

/// A part of a snapshot's file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Section {
    /// Its number, which never changes.
    pub number: u32,
    /// What it holds.
    pub name: &'static str,
    /// Where it begins, in bytes of the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    #[serde(skip)]
    pub hash: [u8; 32],
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The disk cannot read some of its bytes. They may be intact.
    #[error("{path}: byte {offset} of the snapshot cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The first byte of the first page that cannot be read.
        offset: u64,
        /// Why.
        source: std::io::Error,
    },
    /// The beginning of the file is not that of a snapshot, or damaged.
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
    /// The bytes of a section are not those that were written.
    #[error("{path}: the snapshot is damaged in its section {section}, bytes {offset} to {end}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which section.
        section: &'static str,
        /// Where it begins, in bytes of the file.
        offset: u64,
        /// Where it ends.
        end: u64,
    },
    /// Its sections contradict one another.
    #[error("{path}: the snapshot is not what a snapshot is: {what}")]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The position in its name is not its own.
    #[error("{path}: the snapshot stands at position {found}, and its name says another")]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// Its own position.
        found: scrip_protocol::Position,
    },
    /// There are more codes, clients or requests than a snapshot can number.
    #[error("{path}: a snapshot numbers at most 4294967295 {what}")]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
    },
    /// The disk has no room for one, beside what stays free for the journal.
    #[error(
        "{dir}: no room for a snapshot: about {bytes} more bytes are needed, {free} are free, and {reserve} of these are kept for the journal"
    )]
    NoRoom {
        /// The folder of snapshots.
        dir: PathBuf,
        /// About how many bytes are needed.
        bytes: u64,
        /// How many are free.
        free: u64,
        /// How many of these stay free.
        reserve: u64,
    },
}

impl SnapshotError {
    /// Whether a snapshot is known to be damaged. One that the disk cannot read, or that another release wrote, may be intact.
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
