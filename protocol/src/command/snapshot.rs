//! Snapshots on command: the current state in a file beside the journal, so that the next start replays only what follows.

use std::fmt;

use crate::ids::Position;

/// The request for a snapshot up to the newest durable record. It does not change the state. The engine answers when the snapshot
/// itself is durable.
#[wire_format(serde::Deserialize)]
pub struct TakeSnapshot {}

/// The answer to [`TakeSnapshot`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TakeSnapshotOutcome {
    /// A snapshot was taken.
    Taken(SnapshotTaken) = 0,
    /// The newest snapshot is up to date already.
    NothingNew {
        /// Its newest record.
        since: Position,
    } = 1,
    /// Taking the snapshot failed, for this reason; see the engine's log for details. Existing snapshots remain.
    Failed(String) = 2,
}

/// A snapshot that was taken.
#[wire_format(Copy, serde::Deserialize)]
pub struct SnapshotTaken {
    /// The newest record in it.
    pub position: Position,
    /// The size of its file in bytes.
    pub bytes: u64,
    /// How many codes are in it.
    pub codes: u64,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

impl fmt::Display for TakeSnapshotOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeSnapshotOutcome::Taken(SnapshotTaken { position, bytes, codes, milliseconds }) => {
                let seconds = *milliseconds as f64 / 1000.0;
                write!(f, "taken up to position {position}: {codes} codes, {bytes} bytes, in {seconds:.1} s")
            }
            TakeSnapshotOutcome::NothingNew { since } => write!(f, "nothing new since the snapshot of position {since}"),
            TakeSnapshotOutcome::Failed(why) => write!(f, "no snapshot was taken: {why}"),
        }
    }
}
