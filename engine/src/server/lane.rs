//! One lane: frames in, chunks of requests to the pipeline, replies out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use scrip_protocol::frame::{FrameBuffer, REFUSAL, REQUEST_BYTES_MAX, push_value};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{CredentialId, Kind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::closing::Closing;
use super::sorting::{Alone, Lookup, Sorted, Stream, sort};
use super::weight::list_bytes;
use super::{LARGE_FRAME_BYTES, Shared, generating, rehearsal, snapshot_command, stored, tail, watching};
use crate::counters::{One, RefusalCounts, count_refusals};
use crate::pipeline::{BUSY, Call, Chunk, InboxFull, Outbox, Request, Reserved, Share, Unwritten};
use scrip_core::index::{AT_ONCE, Holder, Index};

/// How many pieces of a stream are taken at once. In packets of Ethernet's size they are some 1,200 redemptions: enough to share a hand-over,
/// and few enough that the chunk is still in the processor's cache when the engine thread comes to it.
const PIECES: usize = 64;

/// About what a redemption's frame has, by which the room for a chunk's requests is made at once.
const REDEEM_FRAME_BYTES: usize = 88;

/// Maximum number of requests of a chunk for which room is made at once: more than one read brings in.
const EXPECTED_MAX: usize = 4096;

/// How long a drained lane waits for its caller to have received the last reply.
const FAREWELL: Duration = Duration::from_secs(2);

/// A lane, with what of its bytes was read already.
pub(super) struct Lane {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    pub(super) frames: FrameBuffer,
}

/// Serves a lane to its end, or until the server stops; then waits for its answers. An error closes the connection.
pub(super) async fn serve(lane: Lane, caller: Arc<Holder>, share: Arc<Share>, shared: Arc<Shared>) -> Result<(), Closing> {
    let Lane { connection, send, receive, frames } = lane;
    let counters = shared.counters.clone();
    let _one = One::of(&counters.server.lanes);
    let outbox = Arc::new(Outbox::new(share));
    // In a set of its own, so that it ends when this task is dropped.
    let mut writer = JoinSet::new();
    writer.spawn(write(send, outbox.clone(), caller.credential, shared.clone()));
    let read = Reader { receive, frames, caller, shared, outbox: outbox.clone(), large: None }.run().await;
    match read {
        Ok(()) => {
            outbox.room(0, 0).await;
            outbox.finish();
            if let Some(Ok(Ok(mut send))) = writer.join_next().await {
                let _ = send.finish();
                let _ = timeout(FAREWELL, send.stopped()).await;
            }
            Ok(())
        }
        Err(closing) => {
            // Before the writer is dropped, which ends its stream: a caller must not take that for the end of a lane that is well.
            closing.close(&connection);
            outbox.close();
            Err(closing)
        }
    }
}

/// Writes what the outbox receives until the outbox is finished, or the caller no longer takes it.
async fn write(
    mut send: SendStream,
    outbox: Arc<Outbox>,
    caller: CredentialId,
    shared: Arc<Shared>,
) -> Result<SendStream, quinn::WriteError> {
    while let Some(pieces) = outbox.take().await {
        let mut pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::from).collect();
        if let Err(error) = send.write_all_chunks(&mut pieces).await {
            outbox.close();
            return Err(error);
        }
        while let Some(reply) = outbox.take_stored() {
            let made = shared.stored_replies.make(caller, || stored::frame(reply, &shared)).await;
            let sent = match &made {
                Some(made) => send.write_all(&made.reply).await,
                None => send.write_all(&stored::busy(reply)).await,
            };
            if let Err(error) = sent {
                outbox.close();
                return Err(error);
            }
        }
    }
    Ok(send)
}

struct Reader {
    receive: RecvStream,
    frames: FrameBuffer,
    caller: Arc<Holder>,
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    /// The share of the memory for large frames that the incomplete frame holds, and until when it may.
    large: Option<([OwnedSemaphorePermit; 2], Instant)>,
}

impl Reader {
    async fn run(mut self) -> Result<(), Closing> {
        let mut stopping = self.shared.stopping.clone();
        let mut pieces: Vec<Bytes> = vec![Bytes::new(); PIECES];
        loop {
            self.answer_frames().await?;
            let limits = &self.shared.limits;
            let read = async {
                room(&self.outbox, &self.shared).await;
                self.receive.read_chunks(&mut pieces).await
            };
            let late = async {
                match &self.large {
                    Some((_, until)) => tokio::time::sleep_until(*until).await,
                    None => std::future::pending().await,
                }
            };
            let read = tokio::select! {
                read = read => read,
                () = late => {
                    let reason = format!("a frame above {LARGE_FRAME_BYTES} bytes must be whole {:?} after its begin", limits.large_frame);
                    return Err(Closing { code: CloseCode::FrameTimeout, reason });
                }
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            };
            if self.outbox.is_closed() {
                return Ok(());
            }
            match read {
                Ok(Some(count)) => pieces[..count].iter_mut().for_each(|piece| self.frames.extend(&std::mem::take(piece))),
                Ok(None) => return Ok(self.frames.end()?),
                // The caller gave the lane up, or the connection ended.
                Err(_) => {
                    self.outbox.close();
                    return Ok(());
                }
            }
        }
    }

    /// Answers every whole frame that is there, then makes sure that there is room for the one that is not whole yet.
    async fn answer_frames(&mut self) -> Result<(), Closing> {
        loop {
            let expected = (self.frames.pending() / REDEEM_FRAME_BYTES).min(EXPECTED_MAX);
            let (mut whole, mut is_all) = (false, true);
            let mut lists = Vec::new();
            let mut sorted = Sorted::with_room(expected);
            while sorted.is_open()
                && let Some((frame, length)) = self.frames.peek(REQUEST_BYTES_MAX)?
            {
                // The memory for a list is counted before it is decoded. What was sorted before it does not wait for that.
                let is_permitted = Kind::from_number(frame.kind).is_some_and(|kind| kind.permits(self.caller.role));
                if let Some(bytes) = list_bytes(&frame).filter(|_| is_permitted) {
                    let share = self.outbox.share();
                    if !whole && self.large.is_none() {
                        // Without room for its reply, it would wait with memory that others need.
                        room(&self.outbox, &self.shared).await;
                    }
                    match if whole { share.try_list(bytes) } else { Some(share.list(bytes).await) } {
                        Some(room) => lists.extend(room),
                        None => {
                            is_all = false;
                            break;
                        }
                    }
                }
                sort(frame, &self.caller, self.outbox.share(), &self.shared, &mut sorted)?;
                self.frames.skip(length);
                whole = true;
            }
            is_all &= sorted.is_open();
            self.shared.counters.requests.add(&sorted.counts);
            if !sorted.refusals.is_empty() {
                self.shared.counters.refusals.take(&mut sorted.refused);
                self.shared.attempts.add(&mut sorted.waiting);
            }
            if !sorted.refusals.is_empty() {
                self.outbox.expect(1);
                self.outbox.deliver(sorted.refusals, 1);
            }
            if !sorted.requests.is_empty() {
                let lists = if sorted.alone.is_none() { std::mem::take(&mut lists) } else { Vec::new() };
                self.hand_over(sorted.requests, sorted.reply_bytes, false, lists).await;
            }
            match sorted.alone {
                Some(Alone { request, reply_bytes, is_page }) => {
                    self.hand_over(vec![request], reply_bytes, is_page, lists).await;
                }
                // Lists that were refused: nothing below waits with their memory.
                None => drop(lists),
            }
            if let Some(lookup) = sorted.lookup {
                self.look_up(lookup).await;
            }
            if whole {
                // The frame that was not whole yet is the first that is now; if it was refused, its share goes back here.
                self.large = None;
            }
            for (correlation, mutation) in sorted.rehearsals {
                rehearsal::begin(correlation, mutation, &self.shared, &self.outbox);
            }
            for correlation in sorted.snapshots {
                snapshot_command::begin(correlation, &self.shared, &self.outbox);
            }
            for generation in sorted.generations {
                generating::begin(generation, &self.shared, &self.outbox);
            }
            match sorted.stream {
                None if is_all => break,
                None => {}
                Some((correlation, Stream::Tail(mutation))) => {
                    tail::serve(correlation, &mutation, &self.shared, &self.outbox).await
                }
                Some((correlation, Stream::Watch(mutation))) => {
                    watching::serve(correlation, &mutation, &self.shared, &self.outbox).await
                }
            }
            // A read may bring in more than the lane may have under way.
            room(&self.outbox, &self.shared).await;
            if self.outbox.is_closed() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        // A frame counts as large once so much of it is here: announcing one costs a caller nothing, and holds nothing.
        if self.large.is_none() && self.frames.pending() > LARGE_FRAME_BYTES {
            let length = self.frames.announced().unwrap_or(REQUEST_BYTES_MAX);
            // Its own first: frames that wait for other requests of their credential leave room for those of others.
            let own = self.outbox.share().large_frame(length).await;
            let room = self.shared.large_frames.clone().acquire_many_owned((length >> 10) as u32).await;
            let room = room.expect("the room for large frames is never closed");
            self.large = Some(([own, room], Instant::now() + self.shared.limits.large_frame));
        }
        Ok(())
    }

    /// Hands requests over, after the bytes of their replies were reserved, with the memory that is counted for their lists.
    async fn hand_over(&mut self, requests: Vec<Request>, reply_bytes: usize, is_page: bool, lists: Vec<OwnedSemaphorePermit>) {
        match self.reserve(reply_bytes, is_page, !lists.is_empty()).await {
            Ok(reserved) => self.hand_over_with(reserved, requests, is_page, lists).await,
            Err(Elapsed { .. }) => self.refuse(requests.iter().map(|request| request.correlation)),
        }
    }

    /// Reserves reply bytes. Lists and large frames use memory that others need: they do not wait for long until their caller reads
    /// other replies.
    async fn reserve(&mut self, bytes: usize, is_page: bool, has_lists: bool) -> Result<Option<Reserved>, Elapsed> {
        if bytes == 0 {
            return Ok(None);
        }
        let reserve = self.outbox.reserve(bytes, is_page);
        if !has_lists && self.large.is_none() {
            return Ok(Some(reserve.await));
        }
        let reserved = timeout(self.shared.limits.large_frame, reserve).await;
        if reserved.is_err() {
            self.large = None;
        }
        reserved.map(Some)
    }

    /// Hands requests over. Waits until a long change is decided, so that later requests come after it.
    async fn hand_over_with(
        &mut self,
        reserved: Option<Reserved>,
        mut requests: Vec<Request>,
        is_page: bool,
        lists: Vec<OwnedSemaphorePermit>,
    ) {
        requests.chunks_mut(AT_ONCE).for_each(|requests| look_up(requests, &self.shared.index));
        let mut budget = lists;
        budget.extend(self.large.take().into_iter().flat_map(|(room, _)| room));
        let is_change = is_page && requests.iter().any(|request| matches!(request.call, Call::Change(_)));
        let decided = is_change.then(|| Arc::new(Semaphore::new(1)));
        budget.extend(decided.iter().filter_map(|decided| decided.clone().try_acquire_owned().ok()));
        let budget = (!budget.is_empty()).then_some(budget);
        let chunk = Chunk { outbox: self.outbox.clone(), requests, budget, reserved };
        let (count, intake) = (chunk.requests.len(), &self.shared.intake);
        let refused = match self.outbox.try_expect(count) {
            true if is_page => intake.offer_page(chunk).err(),
            true => intake.offer(chunk).err(),
            false => {
                self.outbox.expect(count);
                Some(InboxFull(chunk))
            }
        };
        if let Some(InboxFull(chunk)) = refused {
            self.answer_busy(chunk.requests.iter().map(|request| request.correlation));
        }
        let Some(decided) = decided else { return };
        tokio::select! {
            _ = decided.acquire() => {}
            () = self.outbox.closed() => {}
        }
    }

    /// Answers requests with `Busy`.
    fn refuse(&self, correlations: impl ExactSizeIterator<Item = u64>) {
        self.outbox.expect(correlations.len());
        self.answer_busy(correlations);
    }

    /// The same for requests that the outbox expects.
    fn answer_busy(&self, correlations: impl ExactSizeIterator<Item = u64>) {
        let count = correlations.len();
        let mut refused = RefusalCounts::default();
        count_refusals(&mut refused, &BUSY, count as u64);
        self.shared.counters.refusals.take(&mut refused);
        let mut frames = Vec::new();
        correlations.for_each(|correlation| push_value(&mut frames, REFUSAL, correlation, &BUSY));
        self.outbox.deliver(frames, count);
    }

    /// Hands a request over after files were read for it.
    async fn look_up(&mut self, Lookup { correlation, reply_bytes, read }: Lookup) {
        // Before the turn, which is everybody's, and before a reply exists.
        let Ok(reserved) = self.reserve(reply_bytes, false, false).await else {
            return self.refuse(std::iter::once(correlation));
        };
        let turn = self.outbox.share().lookup().await;
        let shared = self.shared.clone();
        let call = tokio::task::spawn_blocking(move || read(&shared)).await;
        drop(turn);
        match call {
            Ok(call) => {
                let requests = vec![Request { correlation, call }];
                self.hand_over_with(reserved, requests, false, Vec::new()).await;
            }
            Err(error) => {
                tracing::error!(%error, "reading for a request failed");
                self.refuse(std::iter::once(correlation));
            }
        }
    }
}

/// Waits until the lane, its credential and all of them together may have more requests and replies; or nobody reads those any longer.
async fn room(outbox: &Outbox, shared: &Shared) {
    outbox.room(shared.limits.lane_requests_max as usize, shared.limits.lane_reply_bytes_max).await;
    outbox.share_room(Unwritten::Replies).await;
}

/// Looks up the codes of redemptions and holds, so that the engine thread need not.
fn look_up(requests: &mut [Request], index: &Index) {
    let mut hints = [None; AT_ONCE];
    let mut given = hints.iter_mut();
    let codes = requests.iter().map(|request| request.call.change()?.mutation.redemption()?.code.as_ref().ok());
    index.hint_each(codes, |hint| *given.next().expect("there are at most as many hints as requests") = hint);
    for (request, hint) in requests.iter_mut().zip(hints) {
        if let Call::Change(change) = &mut request.call {
            change.hint = hint;
        }
    }
}
