//! Snapshots on command: the state as it is, in a file beside the journal, so that the next start replays only what came after.

use std::fmt;

use crate::ids::Position;

/// The request for a snapshot, up to the newest record that is durable. It changes nothing of the state, and is answered when the
/// snapshot is durable itself.
#[wire_format(serde::Deserialize)]
pub struct TakeSnapshot {}

/// The answer to [`TakeSnapshot`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TakeSnapshotOutcome {
    /// There is one more.
    Taken(SnapshotTaken) = 0,
    /// The newest snapshot holds everything already.
    NothingNew {
        /// Up to which record.
        since: Position,
    } = 1,
    /// There is none more, for this reason; the engine's log has all of it. The snapshots that there were are there still.
    Failed(String) = 2,
}

/// A snapshot that was taken.
#[wire_format(Copy, serde::Deserialize)]
pub struct SnapshotTaken {
    /// Up to which record.
    pub position: Position,
    /// How many bytes its file has.
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
