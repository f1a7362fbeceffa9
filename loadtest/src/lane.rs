//! Frames over a lane with a window: at most so many in flight, each timed from its sending to its reply.
//!
//! This is a closed loop: a slow reply delays the next request, so callers with their own rate would see other times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use scrip_protocol::frame::{Frame, FrameBuffer, Malformed, REPLY_BYTES_MAX};
use tokio::sync::Semaphore;

/// How many frames are written at once at most.
pub(crate) const WRITTEN_AT_ONCE: usize = 512;

/// Why a lane ended before its last reply.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// It could not be written to.
    #[error("the lane cannot be written to: {0}")]
    Write(#[from] quinn::WriteError),
    /// It could not be read.
    #[error("the lane cannot be read: {0}")]
    Read(#[from] quinn::ReadError),
    /// It ended.
    #[error("the lane ended after {answered} of {requests} replies")]
    Ended {
        /// Replies received.
        answered: usize,
        /// Requests to be sent.
        requests: usize,
    },
    /// A reply is malformed.
    #[error("malformed reply: {0}")]
    Malformed(#[from] Malformed),
    /// A reply to no open request.
    #[error("a reply to no open request: correlation {correlation}")]
    Unrequested {
        /// The correlation of the reply.
        correlation: u64,
    },
}

/// Sends `count` requests with at most `window` in flight. `make` appends the frame of a number with that number as its
/// correlation; `answered` is given each reply and the time it took.
///
/// # Errors
/// When the lane ends before the last reply, or a reply is malformed.
pub async fn pump(
    send: &mut SendStream,
    receive: &mut RecvStream,
    count: usize,
    window: usize,
    mut make: impl FnMut(usize, &mut Vec<u8>),
    mut answered: impl FnMut(Frame<'_>, Duration) -> Result<(), Malformed>,
) -> Result<(), LaneError> {
    let room = Semaphore::new(window);
    let started = Instant::now();
    let sent_at: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
    let write = async {
        let mut next = 0;
        while next < count {
            // At least one, and what else there is room for: a reply that frees one slot must not wait for more.
            room.acquire().await.expect("the semaphore is never closed").forget();
            let more = room.available_permits().min(WRITTEN_AT_ONCE - 1).min(count - next - 1);
            let more = match more {
                0 => 0,
                more => room.try_acquire_many(more as u32).map_or(0, |permits| {
                    permits.forget();
                    more
                }),
            };
            let mut frames = Vec::with_capacity((more + 1) * 96);
            let now = started.elapsed().as_nanos() as u64;
            let after = next + more + 1;
            for (n, sent) in (next..after).zip(&sent_at[next..after]) {
                sent.store(now, Ordering::Relaxed);
                make(n, &mut frames);
            }
            next = after;
            send.write_chunk(Bytes::from(frames)).await?;
        }
        Ok::<_, LaneError>(())
    };
    let read = async {
        let mut frames = FrameBuffer::default();
        let mut pieces = vec![Bytes::new(); 256];
        let mut replies = 0;
        while replies < count {
            let Some(read) = receive.read_chunks(&mut pieces).await? else {
                return Err(LaneError::Ended { answered: replies, requests: count });
            };
            pieces[..read].iter_mut().for_each(|piece| frames.extend(&std::mem::take(piece)));
            let now = started.elapsed().as_nanos() as u64;
            let before = replies;
            while let Some(frame) = frames.next(REPLY_BYTES_MAX)? {
                let sent = sent_at.get(frame.correlation as usize).map_or(now, |sent| sent.load(Ordering::Relaxed));
                answered(frame, Duration::from_nanos(now.saturating_sub(sent)))?;
                replies += 1;
            }
            room.add_permits(replies - before);
        }
        Ok(())
    };
    tokio::try_join!(write, read).map(|_| ())
}
