//! An open commit: batches that become durable together, and the replies that wait for them.

use std::sync::Arc;

use scrip_core::state::requests::ClockRange;
use scrip_protocol::Position;
use scrip_protocol::batch::BatchBuilder;

use super::tally::Counts;
use super::{Outbox, Reserved, StoredReply};

/// Batches being filled, which become durable together, with the replies that wait for that.
pub(super) struct Commit {
    /// At least one; the last is being filled.
    pub(super) batches: Vec<BatchBuilder>,
    /// The times against which request ids are checked in the batch being filled.
    pub(super) clock: ClockRange,
    /// Milliseconds since an arbitrary moment, for what is counted per minute.
    pub(super) elapsed_ms: u64,
    pub(super) replies: Vec<Replies>,
    /// The number of answers in them.
    pub(super) answers: usize,
    /// The newest position that one of these replies may have seen.
    pub(super) seen: Position,
    /// What was counted of the requests. Boxed, so that a commit is cheap to move.
    pub(super) counts: Box<Counts>,
}

/// Reply frames for one lane.
pub(super) struct Replies {
    pub(super) outbox: Arc<Outbox>,
    pub(super) frames: Vec<u8>,
    /// Replies that the lane reads from the journal.
    pub(super) stored: Vec<StoredReply>,
    pub(super) answers: usize,
    /// The memory reserved for them.
    pub(super) reserved: Vec<Reserved>,
}

impl Commit {
    /// The batch being filled.
    pub(super) fn batch(&self) -> &BatchBuilder {
        self.batches.last().expect("a commit is opened with a batch")
    }

    /// Adds a lane's replies after the others.
    pub(super) fn address(&mut self, outbox: &Arc<Outbox>) {
        if self.replies.last().is_none_or(|replies| !Arc::ptr_eq(&replies.outbox, outbox)) {
            self.replies.push(Replies {
                outbox: outbox.clone(),
                frames: Vec::new(),
                stored: Vec::new(),
                answers: 0,
                reserved: Vec::new(),
            });
        }
    }
}
