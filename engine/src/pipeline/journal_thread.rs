//! The journal thread: makes batches durable, one after the other, and releases the replies that waited for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::Receiver;
use scrip_protocol::Position;
use tokio::sync::watch;

use super::engine_thread::OpenBatch;
use crate::journal::{Journal, JournalError};

pub(super) struct JournalThread {
    pub(super) journal: Box<dyn Journal>,
    pub(super) batches: Receiver<OpenBatch>,
    pub(super) durable: watch::Sender<Position>,
    pub(super) failed: watch::Sender<Option<Arc<JournalError>>>,
    pub(super) under_way: Arc<AtomicUsize>,
}

impl JournalThread {
    /// Runs until the engine thread has ended, or an append fails. After that nothing is released: replies that wait are
    /// dropped with their batch, and the engine thread finds nobody to hand the next one to.
    pub(super) fn run(mut self) -> Result<(), Arc<JournalError>> {
        while let Ok(batch) = self.batches.recv() {
            if !batch.records.is_empty() {
                match self.journal.append(batch.records) {
                    Ok(end) => self.durable.send_replace(end.position),
                    Err(error) => {
                        let error = Arc::new(error);
                        self.failed.send_replace(Some(error.clone()));
                        return Err(error);
                    }
                };
            }
            debug_assert!(batch.seen <= self.journal.end().position, "a reply is a promise that survives power loss");
            let mut answers = 0;
            for replies in batch.replies {
                replies.outbox.deliver(&replies.frames, replies.answers);
                answers += replies.answers;
            }
            self.under_way.fetch_sub(answers, Ordering::Relaxed);
        }
        Ok(())
    }
}
