//! The engine thread: it alone owns the state, and runs every request to its end before the next.

use std::sync::Arc;

use crossbeam_channel::{Select, Sender, TryRecvError, TrySendError};
use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::frame::{REFUSAL, push_bytes, push_value};
use scrip_protocol::{Kind, Position};

use super::clock::Forward;
use super::{Call, Chunk, Chunks, Limits, Outbox, Read, Request};
use crate::index::Index;
use crate::state::requests::{Admission, Remembered};
use crate::state::{Asked, State};

/// How many requests are decided before the journal thread is asked again whether it is idle: some tens of microseconds.
const REQUESTS_PER_LOOK: usize = 64;

pub(super) struct EngineThread {
    pub(super) state: State,
    pub(super) index: Arc<Index>,
    pub(super) now: Forward,
    pub(super) limits: Limits,
    pub(super) chunks: Chunks,
    pub(super) hand_over: Sender<OpenBatch>,
}

/// A batch being filled, with the replies that wait for it.
pub(super) struct OpenBatch {
    pub(super) records: BatchBuilder,
    pub(super) replies: Vec<Replies>,
    /// The newest position that a reply of it may have seen.
    pub(super) seen: Position,
}

/// Reply frames for one lane.
pub(super) struct Replies {
    pub(super) outbox: Arc<Outbox>,
    pub(super) frames: Vec<u8>,
    pub(super) answers: usize,
}

/// The journal thread has ended: nothing more can become durable.
struct JournalGone;

impl EngineThread {
    /// Runs until every way in is gone, or the journal is. Returns the state.
    pub(super) fn run(mut self) -> State {
        while let Ok(chunk) = self.chunks.recv() {
            if self.fill_and_hand_over(chunk).is_err() {
                break;
            }
        }
        self.state
    }

    /// Opens a batch with a chunk, and fills it until the journal thread takes it.
    fn fill_and_hand_over(&mut self, chunk: Chunk) -> Result<(), JournalGone> {
        let mut open = Some(self.take(chunk, None)?);
        while let Some(batch) = open.take() {
            let Some(batch) = self.offer(batch)? else { return Ok(()) };
            if batch.records.count() >= self.limits.batch_records_max || batch.records.len() >= self.limits.batch_bytes_max {
                return self.hand_over.send(batch).map_err(|_| JournalGone);
            }
            open = match self.chunks.try_recv() {
                Ok(chunk) => Some(self.take(chunk, Some(batch))?),
                Err(TryRecvError::Disconnected) => return self.hand_over.send(batch).map_err(|_| JournalGone),
                Err(TryRecvError::Empty) => self.wait(batch)?,
            };
        }
        Ok(())
    }

    /// Waits until either the journal thread takes the batch or another chunk is there for it.
    fn wait(&mut self, batch: OpenBatch) -> Result<Option<OpenBatch>, JournalGone> {
        let mut select = Select::new();
        let taken = select.send(&self.hand_over);
        select.recv(&self.chunks);
        let ready = select.select();
        if ready.index() == taken {
            return ready.send(&self.hand_over, batch).map(|()| None).map_err(|_| JournalGone);
        }
        match ready.recv(&self.chunks) {
            Ok(chunk) => self.take(chunk, Some(batch)).map(Some),
            Err(_) => self.hand_over.send(batch).map(|()| None).map_err(|_| JournalGone),
        }
    }

    /// Gives the batch to the journal thread if that is idle; otherwise it comes back.
    fn offer(&self, batch: OpenBatch) -> Result<Option<OpenBatch>, JournalGone> {
        match self.hand_over.try_send(batch) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(batch)) => Ok(Some(batch)),
            Err(TrySendError::Disconnected(_)) => Err(JournalGone),
        }
    }

    /// Decides a chunk into a batch. On the way batches that are full, or that the idle journal thread takes, are handed over.
    fn take(&mut self, chunk: Chunk, open: Option<OpenBatch>) -> Result<OpenBatch, JournalGone> {
        let mut batch = match open {
            Some(batch) => batch,
            None => self.open(),
        };
        batch.address(&chunk.outbox);
        let mut requests = chunk.requests.into_iter();
        loop {
            let ahead = requests.as_slice();
            self.touch(&ahead[..ahead.len().min(REQUESTS_PER_LOOK)]);
            for request in requests.by_ref().take(REQUESTS_PER_LOOK) {
                if batch.records.count() >= self.limits.batch_records_max || batch.records.len() >= self.limits.batch_bytes_max {
                    self.hand_over.send(batch).map_err(|_| JournalGone)?;
                    batch = self.open();
                    batch.address(&chunk.outbox);
                }
                self.answer(request, &mut batch);
            }
            if requests.len() == 0 {
                return Ok(batch);
            }
            batch = match self.offer(batch)? {
                Some(batch) => batch,
                None => {
                    let mut batch = self.open();
                    batch.address(&chunk.outbox);
                    batch
                }
            };
        }
    }

    /// Reads what some redemptions are about to need, and does nothing with it. Their places in memory have nothing to do with one
    /// another, so that here the processor fetches many at once; deciding one after the other, it waits for each.
    fn touch(&self, requests: &[Request]) {
        let place_of = |request: &Request| match &request.call {
            Call::Change(_, _, hint) => hint.and_then(|hint| hint.place()),
            Call::Read(_) | Call::Answered(_) => None,
        };
        for request in requests {
            if let Call::Change(stamp, Asked::Redeem(asked), _) = &request.call {
                std::hint::black_box(self.state.touch(stamp, asked.client, place_of(request)));
            }
        }
        std::hint::black_box(self.index.touch(requests.iter().filter_map(place_of)));
    }

    fn open(&mut self) -> OpenBatch {
        OpenBatch { records: BatchBuilder::new(self.now.now_ms()), replies: Vec::new(), seen: self.state.position() }
    }

    /// Executes one request and adds its reply to the newest replies of the batch.
    fn answer(&mut self, request: Request, batch: &mut OpenBatch) {
        let now_ms = batch.records.time_ms();
        let replies = batch.replies.last_mut().expect("a batch is addressed before it is filled");
        replies.answers += 1;
        let (frames, correlation) = (&mut replies.frames, request.correlation);
        match request.call {
            Call::Answered(frame) => frames.extend_from_slice(&frame),
            Call::Read(read) => self.read(now_ms, read, correlation, frames),
            Call::Change(stamp, asked, hint) => match self.state.admit(now_ms, &stamp) {
                Admission::Refused(refusal) => push_value(frames, REFUSAL, correlation, &refusal),
                Admission::Repeated(reply) => push_reply(frames, correlation, reply),
                Admission::New => {
                    let record = self.state.decide(now_ms, stamp, &asked, &self.index.with_hint(hint));
                    batch.records.push(&record);
                    self.state.apply(now_ms, &record);
                    let reply = self.state.requests.newest().expect("a request's record has just been remembered with its reply");
                    push_reply(frames, correlation, reply);
                    self.index.follow(&self.state, &record);
                }
            },
        }
        batch.seen = self.state.position();
    }

    fn read(&self, now_ms: u64, read: Read, correlation: u64, frames: &mut Vec<u8>) {
        match read {
            Read::ListClubs(asked) => {
                push_value(frames, Kind::ListClubs as u16, correlation, &self.state.list_clubs(&asked));
            }
            Read::ShowClient(asked) => {
                push_value(frames, Kind::ShowClient as u16, correlation, &self.state.show_client(&asked));
            }
            Read::ListCampaigns(asked) => {
                push_value(frames, Kind::ListCampaigns as u16, correlation, &self.state.list_campaigns(now_ms, &asked));
            }
            Read::ShowCampaign(asked) => {
                push_value(frames, Kind::ShowCampaign as u16, correlation, &self.state.show_campaign(now_ms, &asked));
            }
        }
    }
}

fn push_reply(frames: &mut Vec<u8>, correlation: u64, reply: &Remembered) {
    match reply {
        Remembered::Redeem(outcome) => push_value(frames, Kind::Redeem as u16, correlation, outcome),
        Remembered::Other(reply) => push_bytes(frames, reply.0, correlation, &reply.1),
    }
}

impl OpenBatch {
    /// Makes a lane's replies the newest ones.
    fn address(&mut self, outbox: &Arc<Outbox>) {
        if self.replies.last().is_none_or(|replies| !Arc::ptr_eq(&replies.outbox, outbox)) {
            self.replies.push(Replies { outbox: outbox.clone(), frames: Vec::new(), answers: 0 });
        }
    }
}
