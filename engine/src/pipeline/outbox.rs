//! Where a lane's replies wait for its writer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
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
}

impl Outbox {
    /// Says that requests were taken for which answers will come.
    pub fn expect(&self, answers: usize) {
        self.unanswered.fetch_add(answers, Ordering::Relaxed);
    }

    /// Adds reply frames that answer a number of requests.
    pub fn deliver(&self, frames: Vec<u8>, answers: usize) {
        if !self.is_closed() && !frames.is_empty() {
            let mut waiting = self.waiting.lock();
            waiting.bytes += frames.len();
            waiting.pieces.push(frames);
        }
        self.unanswered.fetch_sub(answers, Ordering::Release);
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    /// Takes what there is; waits for it if there is nothing. `None` once nothing more will come.
    pub async fn take(&self) -> Option<Vec<Vec<u8>>> {
        loop {
            let finished = self.finished.load(Ordering::Acquire);
            let pieces = std::mem::take(&mut *self.waiting.lock()).pieces;
            if !pieces.is_empty() {
                self.emptied.notify_one();
                return Some(pieces);
            }
            if finished {
                return None;
            }
            self.filled.notified().await;
        }
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
            if self.is_closed() || (unanswered <= unanswered_max && self.waiting.lock().bytes <= bytes_max) {
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
