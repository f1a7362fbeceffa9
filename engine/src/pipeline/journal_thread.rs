//! The journal thread: makes commits durable, one after the other, and releases the replies that waited for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::Receiver;
use scrip_protocol::Position;
use tokio::sync::watch;

use super::engine_thread::Commit;
use crate::journal::{Journal, JournalError};

pub(super) struct JournalThread {
    pub(super) journal: Box<dyn Journal>,
    pub(super) commits: Receiver<Commit>,
    pub(super) durable: watch::Sender<Position>,
    pub(super) failed: watch::Sender<Option<Arc<JournalError>>>,
    pub(super) under_way: Arc<AtomicUsize>,
}

impl JournalThread {
    /// Runs until the engine thread has ended, or an append fails. After that nothing is released: replies that wait are
    /// dropped with their commit, and the engine thread finds nobody to hand the next one to.
    pub(super) fn run(mut self) -> Result<(), Arc<JournalError>> {
        while let Ok(mut commit) = self.commits.recv() {
            commit.batches.retain(|batch| !batch.is_empty());
            if !commit.batches.is_empty() {
                match self.journal.append(commit.batches) {
                    Ok(end) => self.durable.send_replace(end.position),
                    Err(error) => {
                        let error = Arc::new(error);
                        self.failed.send_replace(Some(error.clone()));
                        return Err(error);
                    }
                };
            }
            debug_assert!(commit.seen <= self.journal.end().position, "a reply is a promise that survives power loss");
            let mut answers = 0;
            for replies in commit.replies {
                answers += replies.answers;
                replies.outbox.deliver(replies.frames, replies.answers);
            }
            self.under_way.fetch_sub(answers, Ordering::Relaxed);
        }
        Ok(())
    }
}
