//! One lane: frames in, chunks of requests to the pipeline, replies out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use scrip_protocol::codes::{CodeForm, NormalisedCode};
use scrip_protocol::command::{
    CHECK_CODES_MAX, Check, CheckFreeOutcome, CheckOutcome, CodeChecked, CodeTexts, LINES_MAX, Redeem, RehearseRule, Tail,
    WatchAttempts, redeem_meaning,
};
use scrip_protocol::frame::{Frame, FrameBuffer, Malformed, REFUSAL, REQUEST_BYTES_MAX, RequestFrame, push_value};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{
    AnyCommand, ClientId, ClientNetwork, ClubId, CredentialId, Kind, Position, Refusal, RequestId, Role, Stamp, wire,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::closing::Closing;
use super::generating::Generation;
use super::weight::{Reply, is_long_change, list_bytes};
use super::{LARGE_FRAME_BYTES, Shared, generating, refund, rehearsal, snapshot, stored, tail, watching};
use crate::attempts::{About, Refused, Waiting};
use crate::counters::{One, RefusalCounts, RequestCounts, count_refusals};
use crate::pipeline::{Attempt, BUSY, Call, Change, Chunk, InboxFull, Outbox, Read, Request, Share, Unwritten};
use scrip_core::guard::{Asker, FailedCode, Reason};
use scrip_core::index::{AT_ONCE, Holder, Index};
use scrip_core::state::{
    AddCodesRequest, CodeList, CodesRequest, ConfirmRequest, CreateCampaignRequest, ForgetReaderRequest, HoldRequest,
    KeepReaderRequest, Mutation, NamedHold, RedeemRequest,
};

/// How many pieces of a stream are taken at once. In packets of Ethernet's size they are some 1,200 redemptions: enough to share a hand-over,
/// and few enough that the chunk is still in the processor's cache when the engine thread comes to it.
const PIECES: usize = 64;

/// About what a redemption's frame has, by which the room for a chunk's requests is made at once.
const REDEEM_FRAME_BYTES: usize = 88;

/// For how many requests of a chunk room is made at once, at the most: more than one read brings in such packets.
const EXPECTED_MAX: usize = 4096;

/// How many codes a lane looks at on the worker that other lanes' tasks share: some hundred microseconds.
const CODES_ON_WORKER: usize = 4096;

/// After how many bytes of requests other than redemptions a lane hands over what it has, and lets other tasks go on.
const BYTES_BETWEEN_YIELDS: usize = 64 << 10;

/// How many of these bytes each such request counts for at least.
const REQUEST_BYTES: usize = 128;

/// How long a drained lane waits for its caller to have received the last reply.
const FAREWELL: Duration = Duration::from_secs(2);

/// A lane, with what of its bytes was read already.
pub(super) struct Lane {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    pub(super) frames: FrameBuffer,
}

/// What some frames of one read amount to.
#[derive(Default)]
struct Sorted {
    requests: Vec<Request>,
    /// How many bytes their replies may have, but for small ones.
    reply_bytes: usize,
    /// About what it took to sort them, in bytes; redemptions take nothing.
    costs: usize,
    /// A request whose reply waits for its bytes without the others. It ends what is sorted at once.
    alone: Option<Alone>,
    /// So does a request for which files are read.
    lookup: Option<Lookup>,
    /// Reply frames that show nothing of the state and may leave at once.
    refusals: Vec<u8>,
    /// A stream ends what is read at once: the lane serves it before it reads on.
    stream: Option<(u64, Stream)>,
    /// They are answered when they are done.
    rehearsals: Vec<(u64, RehearseRule)>,
    /// As are these.
    snapshots: Vec<u64>,
    /// And these.
    generations: Vec<Generation>,
    /// What is counted of them.
    counts: RequestCounts,
    refused: RefusalCounts,
    waiting: Waiting,
}

/// A request for a page, or a change that takes as long, or whose reply does not fit the small reservation of its chunk.
struct Alone {
    request: Request,
    /// How many bytes its reply may have.
    reply_bytes: usize,
    is_page: bool,
}

/// A request that is whole once files were read for it, on a thread for that.
struct Lookup {
    correlation: u64,
    read: Box<dyn FnOnce(&Shared) -> Call + Send>,
}

/// What is answered by many frames.
enum Stream {
    Tail(Tail),
    Watch(WatchAttempts),
}

impl Sorted {
    /// Whether another frame may be sorted before what is there is handed over.
    fn is_open(&self) -> bool {
        self.stream.is_none() && self.alone.is_none() && self.lookup.is_none() && self.costs < BYTES_BETWEEN_YIELDS
    }

    fn look_up(&mut self, correlation: u64, read: impl FnOnce(&Shared) -> Call + Send + 'static) -> Result<(), Malformed> {
        self.lookup = Some(Lookup { correlation, read: Box::new(read) });
        Ok(())
    }

    /// Refuses a request, without a look at the state. Nothing is recorded of it.
    fn refuse(&mut self, correlation: u64, refusal: &Refusal) -> Result<(), Malformed> {
        push_value(&mut self.refusals, REFUSAL, correlation, refusal);
        count_refusals(&mut self.refused, refusal, 1);
        Ok(())
    }

    /// The same for who may not ask this, which is told beside the journal where it would have changed something, or said something of codes.
    fn forbid(
        &mut self,
        request: &RequestFrame<'_>,
        correlation: u64,
        caller: &Holder,
        shared: &Shared,
        about: About,
        refusal: Refusal,
    ) -> Result<(), Malformed> {
        if request.kind.mutates() || request.kind == Kind::Check {
            self.waiting.push(Refused {
                at_ms: shared.clock.now().record_ms,
                after: *shared.durable.borrow(),
                kind: request.kind,
                credential: caller.credential,
                request: request.request.unwrap_or(RequestId(0)),
                about,
                network: ClientNetwork::UNKNOWN,
                refusal,
            });
        }
        self.refuse(correlation, &refusal)
    }
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
                let _ = tokio::time::timeout(FAREWELL, send.stopped()).await;
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

/// Writes what the outbox is given until that is finished, or the caller does not take it any more.
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
            let mut sorted = Sorted { requests: Vec::with_capacity(expected), ..Sorted::default() };
            while sorted.is_open()
                && let Some((frame, length)) = self.frames.peek(REQUEST_BYTES_MAX)?
            {
                // The memory for a list is counted before it is decoded. What was sorted before it does not wait for that.
                let is_permitted = Kind::from_number(frame.kind).is_some_and(|kind| kind.permits(self.caller.role));
                if let Some(bytes) = list_bytes(&frame).filter(|_| is_permitted) {
                    let share = self.outbox.share();
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
                snapshot::begin(correlation, &self.shared, &self.outbox);
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

    /// Hands requests over, after the bytes of their replies were reserved. Waits until a long change is decided, so that the next are after it.
    async fn hand_over(
        &mut self,
        mut requests: Vec<Request>,
        reply_bytes: usize,
        is_page: bool,
        lists: Vec<OwnedSemaphorePermit>,
    ) {
        let reserved = match reply_bytes {
            0 => None,
            bytes => Some(self.outbox.share().reserve(bytes, is_page).await),
        };
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
            let mut refused = RefusalCounts::default();
            count_refusals(&mut refused, &BUSY, count as u64);
            self.shared.counters.refusals.take(&mut refused);
            let mut frames = Vec::new();
            for request in &chunk.requests {
                push_value(&mut frames, REFUSAL, request.correlation, &BUSY);
            }
            self.outbox.deliver(frames, count);
        }
        let Some(decided) = decided else { return };
        tokio::select! {
            _ = decided.acquire() => {}
            () = self.outbox.closed() => {}
        }
    }

    /// Hands a request over after files were read for it.
    async fn look_up(&mut self, Lookup { correlation, read }: Lookup) {
        let turn = self.outbox.share().lookup().await;
        let shared = self.shared.clone();
        let call = tokio::task::spawn_blocking(move || read(&shared)).await;
        // Before the wait for the bytes of the reply: the turn is everybody's.
        drop(turn);
        match call {
            Ok(call) => {
                let reply_bytes = made_bytes(&call);
                self.hand_over(vec![Request { correlation, call }], reply_bytes, false, Vec::new()).await;
            }
            Err(error) => {
                tracing::error!(%error, "reading for a request failed");
                let mut frame = Vec::new();
                push_value(&mut frame, REFUSAL, correlation, &BUSY);
                self.outbox.expect(1);
                self.outbox.deliver(frame, 1);
            }
        }
    }
}

/// Waits until the lane, its credential and all of them together may have more requests and replies; or nobody reads those any longer.
async fn room(outbox: &Outbox, shared: &Shared) {
    outbox.room(shared.limits.lane_requests_max as usize, shared.limits.lane_reply_bytes_max).await;
    outbox.share_room(Unwritten::Replies).await;
}

/// The bytes of a reply that the lane has made.
fn made_bytes(call: &Call) -> usize {
    if let Call::Answered { frame, .. } = call { frame.len() } else { 0 }
}

/// Looks up the codes of redemptions and holds, so that the engine thread need not.
fn look_up(requests: &mut [Request], index: &Index) {
    let mut hints = [None; AT_ONCE];
    let mut given = hints.iter_mut();
    let codes = requests.iter().map(|request| match &request.call {
        Call::Change(change) => change.mutation.redemption().and_then(|mutation| mutation.code.as_ref().ok()),
        Call::Read(_) | Call::Lift { .. } | Call::Look { .. } | Call::Busy { .. } | Call::Answered { .. } => None,
    });
    index.hint_each(codes, |hint| *given.next().expect("there are as many hints as requests at the most") = hint);
    for (request, hint) in requests.iter_mut().zip(hints) {
        if let Call::Change(change) = &mut request.call {
            change.hint = hint;
        }
    }
}

/// Checks and decodes one frame, and puts it where it belongs.
fn sort(frame: Frame<'_>, caller: &Arc<Holder>, share: &Share, shared: &Shared, sorted: &mut Sorted) -> Result<(), Malformed> {
    let request = frame.request()?;
    let (correlation, form) = (frame.correlation, shared.index.form());
    sorted.counts.count(request.kind);
    if !request.kind.permits(caller.role) {
        // The payload is not looked at: whoever may not ask learns nothing from asking wrongly.
        let refusal = Refusal::Forbidden { role: caller.role };
        return sorted.forbid(&request, correlation, caller, shared, About::default(), refusal);
    }
    if request.kind == Kind::Redeem {
        let (mut command, network, body) = redeem(&request, form)?;
        if !caller.may_ask_for(command.club) {
            let about =
                About { client: Some(command.client), club: Some(command.club), code: command.code.as_ref().ok().copied() };
            let refusal = Refusal::ClubForbidden { club: command.club };
            return sorted.forbid(&request, correlation, caller, shared, about, refusal);
        }
        let stamp = stamp(&request, caller, body);
        let top_up = command.top_up;
        if top_up != Position(0) {
            return sorted.look_up(correlation, move |shared| match refund::client_of(top_up, shared) {
                Ok(client) => {
                    command.is_their_top_up = client == Some(command.client);
                    Call::Change(Change { network, ..Change::new(stamp, Mutation::Redeem(command)) })
                }
                // What was executed before is answered from the window, even if the journal cannot be read now.
                Err(refund::Unreadable) => Call::Busy { kind: Kind::Redeem, stamp },
            });
        }
        // The code is looked up later, with others.
        let call = Call::Change(Change { network, ..Change::new(stamp, Mutation::Redeem(command)) });
        sorted.requests.push(Request { correlation, call });
        return Ok(());
    }
    sorted.costs += REQUEST_BYTES + request.payload.len();
    let named = |hold| NamedHold { hold, anyones: caller.role == Role::Operator };
    let command = AnyCommand::decode(request.kind, request.payload)?;
    whole_list(request.kind, &command)?;
    let reply = Reply::of(request.kind, list_of(&command));
    let reply = if is_long_change(request.kind, &command, lines_of(&command)) { reply.apart() } else { reply };
    if let Some(club) = command.club().filter(|club| !caller.may_ask_for(*club)) {
        let about = About { client: client_of(&command), club: Some(club), code: code_of(&command, form) };
        return sorted.forbid(&request, correlation, caller, shared, about, Refusal::ClubForbidden { club });
    }
    // It may take its time with a list, as preparing that does.
    let stamp =
        stamp(&request, caller, if request.kind.mutates() { aside(lines_of(&command), || command.meaning(form)) } else { 0 });
    let change = move |command| Call::Change(Change::new(stamp, command));
    // What was executed before is answered from the window, even if the journal cannot be read now.
    let kind = request.kind;
    let busy = move || Call::Busy { kind, stamp };
    let call = match command {
        AnyCommand::Redeem(_) => unreachable!("redeem was taken above, without decoding it to the heap"),
        AnyCommand::Tail(command) => {
            sorted.stream = Some((correlation, Stream::Tail(command)));
            return Ok(());
        }
        AnyCommand::WatchAttempts(command) => {
            sorted.stream = Some((correlation, Stream::Watch(command)));
            return Ok(());
        }
        AnyCommand::ShowStatus(_) => {
            return sorted.look_up(correlation, move |shared| {
                let mut frame = Vec::new();
                push_value(&mut frame, Kind::ShowStatus as u16, correlation, &shared.vitals.status());
                Call::Answered { frame, attempt: None }
            });
        }
        AnyCommand::Hold(command) => {
            let redeem = RedeemRequest {
                client: command.client,
                club: command.club,
                code: form.normalise(&command.code),
                top_up: Position(0),
                is_their_top_up: true,
            };
            let hold = Mutation::Hold(Box::new(HoldRequest { redeem, ttl_ms: command.ttl_ms }));
            Call::Change(Change { network: command.network, ..Change::new(stamp, hold) })
        }
        AnyCommand::Confirm(command) if command.top_up == Position(0) => {
            change(Mutation::Confirm(ConfirmRequest { hold: named(command.hold), top_up: command.top_up, top_up_of: None }))
        }
        AnyCommand::Confirm(command) => {
            let hold = named(command.hold);
            return sorted.look_up(correlation, move |shared| match refund::client_of(command.top_up, shared) {
                Ok(top_up_of) => change(Mutation::Confirm(ConfirmRequest { hold, top_up: command.top_up, top_up_of })),
                Err(refund::Unreadable) => busy(),
            });
        }
        AnyCommand::Release(command) => change(Mutation::Release(named(command.hold))),
        AnyCommand::Check(command) => check(&command, correlation, caller, shared),
        AnyCommand::RegisterClub(command) => change(Mutation::RegisterClub(command)),
        AnyCommand::RegisterClient(command) => change(Mutation::RegisterClient(command)),
        AnyCommand::SwitchCampaign(command) => change(Mutation::SwitchCampaign(command)),
        AnyCommand::CreateCampaign(command) => change(Mutation::CreateCampaign(Box::new(CreateCampaignRequest {
            list: list(form, &command.lines, 1),
            terms: command.terms,
            on_conflict: command.on_conflict,
        }))),
        AnyCommand::AddCodes(command) => change(Mutation::AddCodes(Box::new(AddCodesRequest {
            campaign: Some(command.campaign),
            list: list(form, &command.lines, command.first_line),
            on_conflict: command.on_conflict,
        }))),
        AnyCommand::TryCodes(command) => Call::Read(Read::TryCodes(Box::new(AddCodesRequest {
            campaign: command.campaign,
            list: list(form, &command.lines, command.first_line).after(command.earlier),
            on_conflict: command.on_conflict,
        }))),
        AnyCommand::UpdateCampaign(command) => change(Mutation::UpdateCampaign(Box::new(command))),
        AnyCommand::ArchiveCampaign(command) => change(Mutation::ArchiveCampaign(command.campaign)),
        AnyCommand::RestoreCampaign(command) => change(Mutation::RestoreCampaign(command.campaign)),
        AnyCommand::ArchiveCodes(command) => change(Mutation::ArchiveCodes(Box::new(CodesRequest {
            campaign: command.campaign,
            list: list(form, &command.codes, 1),
        }))),
        AnyCommand::RestoreCodes(command) => change(Mutation::RestoreCodes(Box::new(CodesRequest {
            campaign: command.campaign,
            list: list(form, &command.codes, 1),
        }))),
        AnyCommand::GenerateCodes(command) => match share.generation() {
            Some(place) => {
                sorted.generations.push(Generation { correlation, stamp, request: command, place });
                return Ok(());
            }
            None => busy(),
        },
        AnyCommand::CheckFree(command) => {
            let outcome = match command.codes.len() > LINES_MAX {
                true => CheckFreeOutcome::TooManyLines,
                false => aside(command.codes.len(), || shared.index.check_free(command.codes.iter())),
            };
            let mut frame = Vec::new();
            push_value(&mut frame, Kind::CheckFree as u16, correlation, &outcome);
            Call::Answered { frame, attempt: None }
        }
        AnyCommand::Refund(command) => {
            if command.force && caller.role != Role::Operator {
                let refusal = Refusal::Forbidden { role: caller.role };
                return sorted.forbid(&request, correlation, caller, shared, About::default(), refusal);
            }
            let caller = caller.clone();
            return sorted.look_up(correlation, move |shared| match refund::activation(&command, &caller, shared) {
                Ok(command) => change(Mutation::Refund(Box::new(command))),
                Err(refund::Unreadable) => busy(),
            });
        }
        AnyCommand::RefundTopUp(command) => {
            let caller = caller.clone();
            return sorted.look_up(correlation, move |shared| match refund::top_up(command, &caller, shared) {
                Ok(command) => change(Mutation::RefundTopUp(Box::new(command))),
                Err(refund::Unreadable) => busy(),
            });
        }
        AnyCommand::RefundBonus(command) => {
            let caller = caller.clone();
            return sorted.look_up(correlation, move |shared| match refund::bonus(command, &caller, shared) {
                Ok(command) => change(Mutation::RefundBonus(Box::new(command))),
                Err(refund::Unreadable) => busy(),
            });
        }
        AnyCommand::TopUp(command) => change(Mutation::TopUp(Box::new(command))),
        AnyCommand::PayBonus(command) => change(Mutation::PayBonus(Box::new(command))),
        AnyCommand::RecordSession(command) => change(Mutation::RecordSession(Box::new(command))),
        AnyCommand::RecordPurchase(command) => change(Mutation::RecordPurchase(Box::new(command))),
        AnyCommand::CreditBonus(command) => change(Mutation::CreditBonus(Box::new(command))),
        AnyCommand::WriteOffBonus(command) => change(Mutation::WriteOffBonus(Box::new(command))),
        AnyCommand::RegisterGroup(command) => change(Mutation::RegisterGroup(command)),
        AnyCommand::CreateRule(command) => change(Mutation::CreateRule(Box::new(command))),
        AnyCommand::UpdateRule(command) => change(Mutation::UpdateRule(Box::new(command))),
        AnyCommand::SwitchRule(command) => change(Mutation::SwitchRule(command)),
        AnyCommand::ArchiveRule(command) => change(Mutation::ArchiveRule(command.rule)),
        AnyCommand::RestoreRule(command) => change(Mutation::RestoreRule(command.rule)),
        AnyCommand::ListGroups(command) => Call::Read(Read::ListGroups(command)),
        AnyCommand::ListRules(command) => Call::Read(Read::ListRules(command)),
        AnyCommand::ShowRule(command) => Call::Read(Read::ShowRule(command)),
        AnyCommand::LintRule(command) => Call::Read(Read::LintRule(Box::new(command))),
        AnyCommand::RehearseRule(command) => {
            sorted.rehearsals.push((correlation, command));
            return Ok(());
        }
        AnyCommand::TakeSnapshot(_) => {
            sorted.snapshots.push(correlation);
            return Ok(());
        }
        AnyCommand::KeepReader(command) => {
            let (kept_from, anyones) = (shared.reader.first(), caller.role == Role::Operator);
            change(Mutation::KeepReader(Box::new(KeepReaderRequest {
                request: command,
                kept_from,
                open_from: kept_from,
                anyones,
            })))
        }
        AnyCommand::ForgetReader(command) => {
            change(Mutation::ForgetReader(ForgetReaderRequest { request: command, anyones: caller.role == Role::Operator }))
        }
        AnyCommand::ListLockouts(command) => Call::Read(Read::ListLockouts(command)),
        AnyCommand::LiftLockouts(command) => Call::Lift { by: caller.credential, which: command.which },
        AnyCommand::ListReaders(_) => Call::Read(Read::ListReaders),
        AnyCommand::AddCredential(command) => change(Mutation::AddCredential(Box::new(command))),
        AnyCommand::RevokeCredential(command) => change(Mutation::RevokeCredential(command)),
        AnyCommand::ListCredentials(command) => Call::Read(Read::ListCredentials(command)),
        AnyCommand::ListCodes(command) => Call::Read(Read::ListCodes(command)),
        AnyCommand::ListClubs(command) => Call::Read(Read::ListClubs(command)),
        AnyCommand::ShowClient(command) => Call::Read(Read::ShowClient(command)),
        AnyCommand::ListCampaigns(command) => Call::Read(Read::ListCampaigns(command)),
        AnyCommand::ShowCampaign(command) => Call::Read(Read::ShowCampaign(command)),
    };
    let request = Request { correlation, call };
    let (reply_bytes, is_page) = match reply {
        Reply::Page(bytes) => (bytes, true),
        Reply::Long(bytes) => (bytes, false),
        Reply::Small | Reply::MadeByLane => (made_bytes(&request.call), false),
    };
    // A chunk with a long reply waits behind those of other credentials, and redemptions must not wait with it.
    match is_page || !share.is_small(sorted.reply_bytes + reply_bytes) {
        true => sorted.alone = Some(Alone { request, reply_bytes, is_page }),
        false => {
            sorted.reply_bytes += reply_bytes;
            sorted.requests.push(request);
        }
    }
    Ok(())
}

/// Whom a command is about that is bound to a club.
fn client_of(command: &AnyCommand) -> Option<ClientId> {
    if let AnyCommand::Check(command) = command {
        return command.client;
    }
    if let AnyCommand::Hold(command) = command {
        return Some(command.client);
    }
    if let AnyCommand::TopUp(command) = command {
        return Some(command.client);
    }
    if let AnyCommand::PayBonus(command) = command {
        return Some(command.client);
    }
    if let AnyCommand::RecordSession(command) = command {
        return Some(command.client);
    }
    if let AnyCommand::RecordPurchase(command) = command { Some(command.client) } else { None }
}

/// The code that a command is about that is bound to a club.
fn code_of(command: &AnyCommand, form: CodeForm) -> Option<NormalisedCode> {
    if let AnyCommand::Hold(command) = command { form.normalise(&command.code).ok() } else { None }
}

fn stamp(request: &RequestFrame<'_>, caller: &Holder, body: u64) -> Stamp {
    Stamp { request: request.request.unwrap_or(RequestId(0)), body, credential: caller.credential }
}

/// Reads a redemption in place, with the hash of what it means: this is the hot path, and nothing on it allocates.
fn redeem(request: &RequestFrame<'_>, form: CodeForm) -> Result<(RedeemRequest, ClientNetwork, u64), Malformed> {
    let command = wire::access::<Redeem>(Kind::Redeem.word(), request.payload)?;
    let text = command.code.as_str();
    let network = ClientNetwork(command.network.0.to_native());
    let command = RedeemRequest {
        client: ClientId(command.client.0.to_native()),
        club: ClubId(command.club.0.to_native()),
        code: form.normalise(text),
        top_up: Position(command.top_up.0.to_native()),
        is_their_top_up: true,
    };
    let body = redeem_meaning((command.client, command.club, command.top_up), &command.code, text, form);
    Ok((command, network, body))
}

/// A list of codes, prepared for the engine thread.
fn list(form: CodeForm, lines: &CodeTexts, first_line: u32) -> CodeList {
    match lines.len() > LINES_MAX {
        true => CodeList::too_long(),
        false => aside(lines.len(), || CodeList::prepare(lines, first_line, |text| form.trim(text), |text| form.normalise(text))),
    }
}

/// Does what takes its time with so many codes; where they are many, so that the tasks of other lanes need not wait for it.
fn aside<T>(codes: usize, work: impl FnOnce() -> T) -> T {
    if codes > CODES_ON_WORKER { tokio::task::block_in_place(work) } else { work() }
}

/// The list of codes that a command brings.
fn list_of(command: &AnyCommand) -> Option<&CodeTexts> {
    if let AnyCommand::CreateCampaign(command) = command {
        return Some(&command.lines);
    }
    if let AnyCommand::AddCodes(command) = command {
        return Some(&command.lines);
    }
    if let AnyCommand::TryCodes(command) = command {
        return Some(&command.lines);
    }
    if let AnyCommand::ArchiveCodes(command) = command {
        return Some(&command.codes);
    }
    if let AnyCommand::RestoreCodes(command) = command {
        return Some(&command.codes);
    }
    if let AnyCommand::CheckFree(command) = command { Some(&command.codes) } else { None }
}

fn lines_of(command: &AnyCommand) -> usize {
    list_of(command).map_or(0, CodeTexts::len)
}

/// Before anything is done with a list, its ends are known to lie within it.
fn whole_list(kind: Kind, command: &AnyCommand) -> Result<(), Malformed> {
    let torn = || Malformed::Payload { what: kind.word(), cause: "the ends of its texts are not in order".to_owned() };
    list_of(command).is_none_or(CodeTexts::is_whole).then_some(()).ok_or_else(torn)
}

/// A check's reply, made here from the index, with what the guard is to know of it.
fn check(command: &Check, correlation: u64, caller: &Holder, shared: &Shared) -> Call {
    let mut outcome = match command.codes.len() > CHECK_CODES_MAX {
        true => CheckOutcome::TooManyCodes,
        false => {
            let now_ms = shared.clock.now().record_ms;
            aside(command.codes.len(), || shared.index.check(now_ms, command.club, command.codes.iter().map(String::as_str)))
        }
    };
    let mut attempt = None;
    if let CheckOutcome::Checked { codes, .. } = &mut outcome {
        // A credential that may not redeem acts for no client: whomever it names, it is charged alone.
        let (client, network) = match Kind::Redeem.permits(caller.role) {
            true => (command.client, command.network),
            false => (None, ClientNetwork::UNKNOWN),
        };
        let asker = Asker { credential: caller.credential, client, network };
        let mut failed = Vec::new();
        for (verdict, code) in codes.iter_mut().zip(&command.codes).filter(|(verdict, _)| verdict.is_miss()) {
            let reason = Reason::new(verdict.is_unknown(), caller.reasons);
            let fingerprint = shared.index.form().normalise(code).ok().map(|code| shared.fingerprints.of(code.as_str()));
            failed.extend(fingerprint.map(|fingerprint| FailedCode { fingerprint, reason }));
            if !caller.reasons {
                *verdict = CodeChecked::NotAccepted;
            }
        }
        attempt = Some(Attempt { asker, failed });
    }
    let mut frame = Vec::new();
    push_value(&mut frame, Kind::Check as u16, correlation, &outcome);
    Call::Answered { frame, attempt }
}
