//! Makes commits durable, one after the other, and releases the replies that wait for each.
//!
//! The journal thread does this for the commits that it receives. The engine thread makes the commit of a lone request itself if
//! the journal thread is idle: waking another thread takes a good part of the time of a flush.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use scrip_protocol::Position;
use scrip_protocol::batch::BatchBuilder;
use tokio::sync::watch;

use super::commit::Commit;
use crate::attempts::Attempts;
use crate::counters::{Counters, Written};
use scrip_journal::{Journal, JournalError};

/// The journal and the replies that wait for it. One of the two threads uses it at a time; the engine thread decides which.
pub(super) struct Committer {
    pub(super) journal: Box<dyn Journal>,
    pub(super) durable: watch::Sender<Position>,
    pub(super) failed: watch::Sender<Option<Arc<JournalError>>>,
    pub(super) under_way: Arc<AtomicUsize>,
    pub(super) counters: Arc<Counters>,
    pub(super) attempts: Arc<Attempts>,
}

impl Committer {
    /// Makes a commit durable, publishes its counts, and releases its replies. After a failed append nothing is released: counts
    /// and replies are dropped with their commit.
    pub(super) fn commit(&mut self, mut commit: Commit) -> Result<(), Arc<JournalError>> {
        commit.batches.retain(|batch| !batch.is_empty());
        if !commit.batches.is_empty() {
            let written = written(&commit.batches);
            let began = Instant::now();
            match self.journal.append(commit.batches) {
                Ok(end) => {
                    self.counters.journal.ends(end.position, end.time_ms);
                    self.counters.journal.flushed(written, began.elapsed());
                    self.durable.send_replace(end.position)
                }
                Err(error) => {
                    let error = Arc::new(error);
                    self.failed.send_replace(Some(error.clone()));
                    return Err(error);
                }
            };
        }
        debug_assert!(commit.seen <= self.journal.end().position, "a reply is a promise that survives power loss");
        // Before the replies: a caller that has one finds it counted.
        commit.counts.publish(&self.counters, &self.attempts);
        for replies in commit.replies {
            replies.outbox.deliver_with(replies.frames, replies.stored, replies.answers);
        }
        self.under_way.fetch_sub(commit.answers, Ordering::Relaxed);
        Ok(())
    }
}

fn written(batches: &[BatchBuilder]) -> Written {
    batches.iter().fold(Written::default(), |sum, batch| Written {
        batches: sum.batches + 1,
        records: sum.records + u64::from(batch.count()),
        bytes: sum.bytes + batch.len() as u64,
    })
}

pub(super) struct JournalThread {
    pub(super) committer: Arc<Mutex<Committer>>,
    pub(super) commits: Receiver<Commit>,
    /// How many of its commits it has finished.
    pub(super) finished: Arc<AtomicU64>,
}

impl JournalThread {
    /// Runs until the engine thread has ended, or an append fails: then the engine thread cannot send the next commit.
    pub(super) fn run(self) -> Result<(), Arc<JournalError>> {
        while let Ok(commit) = self.commits.recv() {
            self.committer.lock().commit(commit)?;
            // Release pairs with the Acquire of the engine thread, which may use the journal from here on.
            self.finished.fetch_add(1, Ordering::Release);
        }
        // The engine thread also ends when a commit of its own fails.
        self.committer.lock().failed.borrow().clone().map_or(Ok(()), Err)
    }
}
