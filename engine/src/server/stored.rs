//! Replies to duplicate requests that are too long to be kept in memory: each is rebuilt from its record.
//!
//! One is built at a time, because it may take some MiB while its record is read. It is sent after that, so that a slow caller
//! delays nobody. A credential has at most [`UNSENT_MAX`] of them built or not yet sent, one per lane; further lanes are `Busy`.
//! So its lanes fill neither the memory nor the queue.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use scrip_protocol::frame::{REFUSAL, push_bytes, push_value};
use scrip_protocol::{CredentialId, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Shared, refund};
use crate::pipeline::{BUSY, StoredReply};
use scrip_core::state::reply_of;
use scrip_core::state::requests::Remembered;

/// The reply as a frame. A record that cannot be read now can be retried later; one that is no longer retained, after a restore
/// from a backup that begins after it, makes the request older than the idempotency window.
pub(super) fn frame(stored: StoredReply, shared: &Shared) -> Vec<u8> {
    let StoredReply { correlation, kind, position } = stored;
    let mut frame = Vec::new();
    let refusal = match refund::record_at(position, shared) {
        Ok(kept) => match kept.record.and_then(|record| reply_of(position, &record)) {
            Some(Remembered::Other(reply)) if reply.0 == kind => {
                push_bytes(&mut frame, kind, correlation, &reply.1);
                return frame;
            }
            Some(_) | None => Refusal::RequestTooOld { oldest_ms: shared.clock.now().requests.latest_ms },
        },
        Err(refund::Unreadable) => BUSY,
    };
    push_value(&mut frame, REFUSAL, correlation, &refusal);
    frame
}

/// Long replies that a credential may have built but not fully sent.
const UNSENT_MAX: usize = 16;

/// The answer to a lane whose credential has reached that limit.
pub(super) fn busy(stored: StoredReply) -> Vec<u8> {
    let mut frame = Vec::new();
    push_value(&mut frame, REFUSAL, stored.correlation, &BUSY);
    frame
}

/// Builds one reply at a time, for callers below the limit.
pub(super) struct Maker {
    one: Semaphore,
    /// The permits of each credential with any replies.
    room: Mutex<HashMap<CredentialId, Weak<Semaphore>>>,
}

/// A reply, with its permit until it is sent.
pub(super) struct Made<T> {
    pub(super) reply: T,
    _room: OwnedSemaphorePermit,
}

impl Default for Maker {
    fn default() -> Maker {
        Maker { one: Semaphore::new(1), room: Mutex::default() }
    }
}

impl Maker {
    /// Waits for a caller's turn and builds a reply; none if its credential has no permit left.
    pub(super) async fn make<T>(&self, caller: CredentialId, make: impl FnOnce() -> T) -> Option<Made<T>> {
        let room = self.room_of(caller).try_acquire_owned().ok()?;
        let _one = self.one.acquire().await;
        Some(Made { reply: make(), _room: room })
    }

    fn room_of(&self, caller: CredentialId) -> Arc<Semaphore> {
        let mut rooms = self.room.lock();
        if let Some(room) = rooms.get(&caller).and_then(Weak::upgrade) {
            return room;
        }
        // Only credentials with replies remain: at most as many as there are connections.
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(UNSENT_MAX));
        rooms.insert(caller, Arc::downgrade(&room));
        room
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(making: Pin<&mut F>) -> Poll<F::Output> {
        making.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A credential with a thousand lanes that receive nothing can have a few replies, and no other credential waits for it.
    #[test]
    fn a_caller_that_receives_no_replies_fills_neither_memory_nor_queue() {
        let maker = Maker::default();
        let made = |caller: u32| match poll(pin!(maker.make(CredentialId(caller), || caller))) {
            Poll::Ready(made) => made,
            Poll::Pending => panic!("nobody makes one at the moment"),
        };
        let held: Vec<_> = (0..1_000).filter_map(|_| made(1)).collect();
        assert_eq!(held.len(), UNSENT_MAX);
        assert_eq!(made(2).map(|made| made.reply), Some(2));
        drop(held);
        assert_eq!(made(1).map(|made| made.reply), Some(1), "what is sent takes no room");
        drop(made(3));
        assert_eq!(maker.room.lock().len(), 1, "a credential without replies is forgotten");
    }

    /// Few lanes of one credential wait for their turn, so that the turn of another comes soon.
    #[test]
    fn the_turn_of_another_credential_comes_soon() {
        let maker = Maker::default();
        let turn = maker.one.try_acquire().expect("nobody has it");
        let mut waiting = Vec::new();
        for _ in 0..1_000 {
            let mut making = Box::pin(maker.make(CredentialId(1), || 1));
            match poll(making.as_mut()) {
                Poll::Pending => waiting.push(making),
                Poll::Ready(made) => assert!(made.is_none(), "it is not its turn"),
            }
        }
        assert_eq!(waiting.len(), UNSENT_MAX);
        let mut other = pin!(maker.make(CredentialId(2), || 2));
        assert!(poll(other.as_mut()).is_pending());
        drop(turn);
        for making in &mut waiting {
            assert!(poll(making.as_mut()).is_ready(), "in their order");
        }
        assert!(poll(other).is_ready());
    }
}
