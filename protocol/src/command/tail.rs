//! Tail: the journal from a position, as the very bytes that are stored.

use crate::ids::Position;

/// The request for the journal's batches from a position on. It is answered by many frames, each a [`TailOutcome`].
#[wire_format(serde::Deserialize)]
pub struct Tail {
    /// The first record wanted. The first batch sent is the one that holds it.
    pub from: Position,
    /// Whether to stay and send what is written from now on.
    pub follow: bool,
}

/// One part of the answer to [`Tail`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TailOutcome {
    /// A batch as it is stored, for [`Batch::parse`](crate::batch::Batch::parse).
    Batch(Vec<u8>) = 0,
    /// All that was durable when this was sent has been sent, and nothing follows.
    End {
        /// The position to continue from.
        next: Position,
    } = 1,
    /// The position asked for is past the end of the journal.
    BeyondEnd {
        /// The position after the newest durable record.
        next: Position,
    } = 2,
    /// The journal could not be read; the engine's log says why.
    Unreadable = 3,
    /// The position asked for is not kept any more: what every reader and the snapshots had passed was dropped.
    Dropped {
        /// The first position that is kept.
        first: Position,
    } = 4,
}
