//! Queues a lane's replies for its writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use scrip_protocol::Position;
use tokio::sync::Notify;

use super::share::{Reserved, Share, Unwritten};

/// The replies of one lane. The journal thread fills it once per batch; the lane's writer task empties it.
///
/// The lane bounds it: it stops reading at the limit of unanswered requests or unwritten bytes. Bytes count until they are
/// written to the stream, here and in the share of the lane's credential.
pub struct Outbox {
    share: Arc<Share>,
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
    /// Accepted requests without an answer in `waiting`.
    unanswered: AtomicUsize,
    /// Whether nobody will empty it.
    closed: AtomicBool,
    /// Whether nothing more will be added.
    finished: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    /// Whole frames each.
    pieces: Vec<Vec<u8>>,
    /// The bytes of the pieces.
    bytes: Bytes,
    /// The bytes of the pieces that the writer took last.
    in_hand: Bytes,
    stored: VecDeque<StoredReply>,
}

/// Unwritten bytes.
#[derive(Default, Clone, Copy)]
struct Bytes {
    replies: usize,
    streams: usize,
}

impl Bytes {
    fn sum(self) -> usize {
        self.replies + self.streams
    }

    fn written(self, share: &Share) {
        share.sub(Unwritten::Replies, self.replies);
        share.sub(Unwritten::Streams, self.streams);
    }
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

impl Default for Outbox {
    /// An outbox without a credential's share.
    fn default() -> Outbox {
        Outbox::new(Share::of_nobody())
    }
}

impl Drop for Outbox {
    /// Pending bytes and answers will never be written.
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut();
        waiting.bytes.written(&self.share);
        waiting.in_hand.written(&self.share);
        self.share.answer(*self.unanswered.get_mut());
    }
}

impl Outbox {
    /// An empty outbox, charged to the share of a credential.
    pub fn new(share: Arc<Share>) -> Outbox {
        Outbox {
            share,
            waiting: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            unanswered: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        }
    }

    /// The share that is charged.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// Counts accepted requests that will be answered.
    pub fn expect(&self, answers: usize) {
        self.share.take(answers);
        self.unanswered.fetch_add(answers, Ordering::Relaxed);
    }

    /// The same, unless the credential has too many requests in progress.
    pub fn try_expect(&self, answers: usize) -> bool {
        let is_room = self.share.try_take(answers);
        if is_room {
            self.unanswered.fetch_add(answers, Ordering::Relaxed);
        }
        is_room
    }

    /// Adds reply frames that answer a number of requests.
    pub fn deliver(&self, frames: Vec<u8>, answers: usize) {
        self.deliver_with(frames, Vec::new(), answers);
    }

    /// Adds a part of a stream, which answers nothing that is expected.
    pub fn deliver_part(&self, frame: Vec<u8>) {
        if !self.is_closed() {
            let mut waiting = self.waiting.lock();
            self.share.add(Unwritten::Streams, frame.len());
            waiting.bytes.streams += frame.len();
            waiting.pieces.push(frame);
        }
        self.filled.notify_one();
    }

    /// The same, with replies that the writer reads from the journal: see [`Outbox::take_stored`].
    pub fn deliver_with(&self, frames: Vec<u8>, stored: Vec<StoredReply>, answers: usize) {
        let is_empty = frames.is_empty() && stored.is_empty();
        if !self.is_closed() && !is_empty {
            let mut waiting = self.waiting.lock();
            self.share.add(Unwritten::Replies, frames.len());
            waiting.bytes.replies += frames.len();
            if !frames.is_empty() {
                waiting.pieces.push(frames);
            }
            waiting.stored.extend(stored);
        }
        self.share.answer(answers);
        self.unanswered.fetch_sub(answers, Ordering::Release);
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    /// Takes everything there is; waits if there is nothing. Empty if there are only stored replies. `None` once nothing more
    /// will be added. The caller must have written what it took before, which no longer counts from here on.
    pub async fn take(&self) -> Option<Vec<Vec<u8>>> {
        loop {
            let finished = self.finished.load(Ordering::Acquire);
            let (pieces, is_any_stored) = {
                let mut waiting = self.waiting.lock();
                let taken = std::mem::take(&mut waiting.bytes);
                let written = std::mem::replace(&mut waiting.in_hand, taken);
                written.written(&self.share);
                if written.sum() > 0 {
                    self.emptied.notify_one();
                }
                (std::mem::take(&mut waiting.pieces), !waiting.stored.is_empty())
            };
            if !pieces.is_empty() || is_any_stored {
                return Some(pieces);
            }
            if finished {
                return None;
            }
            self.filled.notified().await;
        }
    }

    /// Takes the next reply that must be read from the journal. There are at most as many as the lane may have unanswered
    /// requests, 24 bytes each.
    pub fn take_stored(&self) -> Option<StoredReply> {
        let stored = self.waiting.lock().stored.pop_front();
        self.emptied.notify_one();
        stored
    }

    /// Marks the end: nothing more will be added.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    /// Waits until nobody will empty it.
    pub async fn closed(&self) {
        while !self.is_closed() {
            self.emptied.notified().await;
        }
    }

    /// Waits until no more than that many requests are unanswered and bytes unwritten, or nobody reads.
    pub async fn room(&self, unanswered_max: usize, bytes_max: usize) {
        loop {
            let unanswered = self.unanswered.load(Ordering::Acquire);
            let is_room = {
                let waiting = self.waiting.lock();
                waiting.bytes.sum() + waiting.in_hand.sum() <= bytes_max && unanswered + waiting.stored.len() <= unanswered_max
            };
            if self.is_closed() || is_room {
                return;
            }
            self.emptied.notified().await;
        }
    }

    /// Whether the share of the lane's credential permits more unwritten bytes.
    pub fn has_share(&self, what: Unwritten) -> bool {
        self.share.has_room(what) || self.is_empty() && self.share.has_room_for_empty_lane(what)
    }

    fn is_empty(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.bytes.sum() + waiting.in_hand.sum() == 0
    }

    /// Waits for that, or until nobody reads.
    pub async fn share_room(&self, what: Unwritten) {
        while !self.has_share(what) && !self.is_closed() {
            tokio::select! {
                () = self.share.room(what, || self.has_share(what)) => {}
                () = self.emptied.notified() => {}
            }
        }
    }

    /// Reserves reply bytes. All lanes of a credential may have read a request before the first of them gets a reply, so the
    /// room for unwritten replies is checked again when the lane's turn comes. The credential's reservations limit what is
    /// delivered beyond it.
    pub async fn reserve(&self, bytes: usize, is_page: bool) -> Reserved {
        let (room, has_room) =
            (|| self.share_room(Unwritten::Replies), || self.has_share(Unwritten::Replies) || self.is_closed());
        self.share.reserve_with(bytes, is_page, room, has_room).await
    }

    /// Marks that nobody will empty it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let dropped = std::mem::take(&mut *self.waiting.lock());
        dropped.bytes.written(&self.share);
        dropped.in_hand.written(&self.share);
        self.emptied.notify_one();
    }

    /// Whether nobody will empty it.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
