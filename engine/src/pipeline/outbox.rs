//! Where a lane's replies wait for its writer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use scrip_protocol::Position;
use tokio::sync::Notify;

/// The replies of one lane. The journal thread fills it, once per batch; the lane's writer task empties it.
///
/// Bounded by its lane: that stops reading while as many requests are unanswered, or as many bytes unwritten, as it may have.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
    /// Requests taken and not yet answered into `waiting`.
    unanswered: AtomicUsize,
    /// Nobody will empty it any more.
    closed: AtomicBool,
    /// Nothing more will come.
    finished: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    /// Whole frames each.
    pieces: Vec<Vec<u8>>,
    bytes: usize,
    stored: VecDeque<StoredReply>,
}

/// The reply to a duplicate request that is too long to be kept in memory. Its record is durable when this is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredReply {
    /// The caller's number for the request.
    pub correlation: u64,
    /// The number of the command's kind.
    pub kind: u16,
    /// The record that the reply is made from.
    pub position: Position,
}

impl Outbox {
    /// Says that requests were taken for which answers will come.
    pub fn expect(&self, answers: usize) {
        self.unanswered.fetch_add(answers, Ordering::Relaxed);
    }

    /// Adds reply frames that answer a number of requests.
    pub fn deliver(&self, frames: Vec<u8>, answers: usize) {
        self.deliver_with(frames, Vec::new(), answers);
    }

    /// The same, with replies that the writer reads from the journal: see [`Outbox::take_stored`].
    pub fn deliver_with(&self, frames: Vec<u8>, stored: Vec<StoredReply>, answers: usize) {
        let is_empty = frames.is_empty() && stored.is_empty();
        if !self.is_closed() && !is_empty {
            let mut waiting = self.waiting.lock();
            waiting.bytes += frames.len();
            if !frames.is_empty() {
                waiting.pieces.push(frames);
            }
            waiting.stored.extend(stored);
        }
        self.unanswered.fetch_sub(answers, Ordering::Release);
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    /// Takes what there is; waits for it if there is nothing. Empty where only stored replies are there. `None` once nothing more will come.
    pub async fn take(&self) -> Option<Vec<Vec<u8>>> {
        loop {
            let finished = self.finished.load(Ordering::Acquire);
            let (pieces, is_any_stored) = {
                let mut waiting = self.waiting.lock();
                waiting.bytes = 0;
                (std::mem::take(&mut waiting.pieces), !waiting.stored.is_empty())
            };
            if !pieces.is_empty() || is_any_stored {
                self.emptied.notify_one();
                return Some(pieces);
            }
            if finished {
                return None;
            }
            self.filled.notified().await;
        }
    }

    /// Takes the next reply that is to be read from the journal. There are at most as many as the lane may have unanswered requests, 24 bytes each.
    pub fn take_stored(&self) -> Option<StoredReply> {
        let stored = self.waiting.lock().stored.pop_front();
        self.emptied.notify_one();
        stored
    }

    /// Says that nothing more will come.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    /// Waits until nobody will empty it any more.
    pub async fn closed(&self) {
        while !self.is_closed() {
            self.emptied.notified().await;
        }
    }

    /// Waits until at most so many requests are unanswered and so many bytes unwritten, or nobody reads any more.
    pub async fn room(&self, unanswered_max: usize, bytes_max: usize) {
        loop {
            let unanswered = self.unanswered.load(Ordering::Acquire);
            let is_room = {
                let waiting = self.waiting.lock();
                waiting.bytes <= bytes_max && unanswered + waiting.stored.len() <= unanswered_max
            };
            if self.is_closed() || is_room {
                return;
            }
            self.emptied.notified().await;
        }
    }

    /// Says that nobody will empty it any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        *self.waiting.lock() = Waiting::default();
        self.emptied.notify_one();
    }

    /// Whether nobody empties it any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
