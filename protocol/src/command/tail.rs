//! Tail: the journal from a position, byte for byte as it is stored.

use crate::ids::Position;

/// The request for the journal's batches from a position on. It is answered by many frames, each a [`TailOutcome`].
#[wire_format(serde::Deserialize)]
pub struct Tail {
    /// The first record wanted. The first batch sent is the one that contains it.
    pub from: Position,
    /// Whether to stay connected and send new batches.
    pub follow: bool,
}

/// One part of the answer to [`Tail`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TailOutcome {
    /// A batch as it is stored, for [`Batch::parse`](crate::batch::Batch::parse).
    Batch(Vec<u8>) = 0,
    /// Everything that was durable at this moment has been sent, and nothing follows.
    End {
        /// The position to continue from.
        next: Position,
    } = 1,
    /// The requested position is past the end of the journal.
    BeyondEnd {
        /// The position after the newest durable record.
        next: Position,
    } = 2,
    /// The journal could not be read; see the engine's log.
    Unreadable = 3,
    /// The requested position is no longer kept: the engine dropped what every reader and the snapshots had passed.
    Dropped {
        /// The first position that is kept.
        first: Position,
    } = 4,
}
