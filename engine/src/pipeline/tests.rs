//! The pipeline over a journal in memory, whose appends a test can delay or fail.
//!
//! `clock`: what happens when the machine's clock is set. `release`: what leaves, and when. `batches`: what is written together,
//! and under which time. `callers`: what depends on the caller. `creations`: the budget for what is never removed. `full_disk`: a real journal whose disk is full. `registrations`:
//! readers that register while segments are dropped. `memory` is the journal, which conforms to the trait. Every test that ends normally compares the final state with a replay of what
//! was written.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod batches;
mod callers;
mod clock;
mod counted;
mod creations;
mod full_disk;
mod memory;
mod registrations;
mod release;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::command::{ListClubs, OnConflict, RegisterClub, Terms};
use scrip_protocol::frame::{Frame, FrameBuffer, REPLY_BYTES_MAX};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{ClientId, ClubId, Command, CredentialId, Money, Position, Record, Refusal, RequestId, Settings, Stamp};

use memory::{Gate, Held, Kept, Memory, gate, parsed};

use super::{Beginning, Call, Change, Chunk, Clock, InboxFull, Limits, Outbox, Pipeline, Read, Reading, Request};
use scrip_core::guard::GuardLimits;
use scrip_core::index::{Index, normalise, trim};
use scrip_core::state::{CodeList, CreateCampaignRequest, Mutation, RedeemRequest, State};
use scrip_journal::Journal;

const START_MS: u64 = 1_790_000_000_000;

/// Far longer than anything here takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A clock set by the test.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>, Arc<AtomicU64>);

impl Hands {
    fn at(wall_ms: u64) -> Hands {
        Hands(Arc::new(AtomicU64::new(wall_ms)), Arc::default())
    }

    /// Lets time pass. To set the clock, a test stores another time in the first field.
    fn pass(&self, ms: u64) {
        self.1.fetch_add(ms, Ordering::SeqCst);
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    /// Time passes only when the test sets it.
    fn read(&mut self) -> Reading {
        Reading { wall_ms: self.0.load(Ordering::SeqCst), elapsed_ms: self.1.load(Ordering::SeqCst) }
    }
}

/// A running pipeline on a state with the default settings, the first record of its journal.
struct Run {
    pipeline: Pipeline,
    kept: Kept,
    hands: Hands,
}

impl Run {
    fn new(limits: Limits) -> Run {
        Run::start(limits, None, None)
    }

    fn gated(limits: Limits) -> (Run, Gate) {
        Run::gated_failing(limits, None)
    }

    fn gated_failing(limits: Limits, fails_at: Option<usize>) -> (Run, Gate) {
        let (held, gate) = gate();
        // With a gate, the journal thread appends everything, so that the engine thread continues to decide.
        let limits = Limits { alone_max: 0, ..limits };
        (Run::start(limits, Some(held), fails_at), gate)
    }

    fn start(limits: Limits, held: Option<Held>, fails_at: Option<usize>) -> Run {
        let beginning = Beginning { guard: GuardLimits::OFF, ..Beginning::default() };
        Run::begin(&beginning, limits, held, fails_at)
    }

    fn begin(beginning: &Beginning, limits: Limits, held: Option<Held>, fails_at: Option<usize>) -> Run {
        let kept = Kept::default();
        let mut journal = Memory::over(kept.clone());
        let mut first = BatchBuilder::new(START_MS);
        first.push(&SettingsSet::new(Settings::default()).into());
        journal.append(vec![first]).expect("memory takes it");
        let journal = journal.with(held, fails_at);
        let hands = Hands::at(START_MS);
        let pipeline = Pipeline::start(kept.replay(), Box::new(journal), beginning, Box::new(hands.clone()), limits)
            .expect("memory takes what is written at the start");
        Run { pipeline, kept, hands }
    }

    /// A restart on a journal, at a time.
    fn again(kept: Kept, wall_ms: u64) -> Run {
        let journal = Memory::over(kept.clone());
        let hands = Hands::at(wall_ms);
        let beginning = Beginning { guard: GuardLimits::OFF, ..Beginning::default() };
        let pipeline = Pipeline::start(kept.replay(), Box::new(journal), &beginning, Box::new(hands.clone()), Limits::default());
        Run { pipeline: pipeline.expect("memory takes it"), kept, hands }
    }

    #[track_caller]
    fn offer(&self, lane: &Lane, requests: Vec<Request>) {
        assert!(self.try_offer(lane, requests).is_ok(), "there is room in the inbox");
    }

    /// Offers a request that is served like a page.
    #[track_caller]
    fn offer_page(&self, lane: &Lane, request: Request) {
        lane.0.expect(1);
        let chunk = Chunk { outbox: lane.0.clone(), requests: vec![request], budget: None, reserved: None };
        assert!(self.pipeline.intake().offer_page(chunk).is_ok(), "there is room");
    }

    fn try_offer(&self, lane: &Lane, requests: Vec<Request>) -> Result<(), InboxFull> {
        let count = requests.len();
        lane.0.expect(count);
        let chunk = Chunk { outbox: lane.0.clone(), requests, budget: None, reserved: None };
        self.pipeline.intake().offer(chunk)
    }

    /// Waits until the engine thread has applied that many records.
    #[track_caller]
    fn wait_until_applied(&self, position: u64) {
        let since = Instant::now();
        while self.pipeline.index().shown() < Position(position) {
            assert!(since.elapsed() < DEADLINE, "applied up to {}", self.pipeline.index().shown());
            std::thread::yield_now();
        }
    }

    /// Ends the pipeline, and compares its final state, and the index, with a replay.
    fn finish(self) -> State {
        let index = self.pipeline.index();
        let state = self.pipeline.finish().expect("the journal has not failed").state;
        let replayed = self.kept.replay();
        assert_eq!(state, replayed);
        assert!(Index::of(&replayed).agrees_with(&index));
        state
    }
}

/// A lane's outbox.
#[derive(Default)]
struct Lane(Arc<Outbox>);

/// A reply as it left.
#[derive(Debug, Clone, PartialEq)]
struct Reply {
    correlation: u64,
    kind: u16,
    body: Vec<u8>,
}

impl Reply {
    fn read<C: Command>(&self) -> Result<C::Outcome, Refusal> {
        let frame = Frame { kind: self.kind, correlation: self.correlation, body: &self.body };
        frame.reply::<C>().expect("the reply is to that command")
    }
}

impl Lane {
    /// The replies that are there now.
    fn replies_now(&self) -> Vec<Reply> {
        block_on(async { tokio::time::timeout(Duration::ZERO, self.0.take()).await })
            .map_or(Vec::new(), |bytes| frames(&bytes.expect("no test finishes an outbox").concat()))
    }

    /// Waits for that many replies.
    #[track_caller]
    fn replies(&self, count: usize) -> Vec<Reply> {
        let mut replies = Vec::new();
        while replies.len() < count {
            let taken = block_on(async { tokio::time::timeout(DEADLINE, self.0.take()).await });
            let bytes = taken.unwrap_or_else(|_| panic!("{} of {count} replies came", replies.len()));
            replies.extend(frames(&bytes.expect("no test finishes an outbox").concat()));
        }
        assert_eq!(replies.len(), count);
        replies
    }
}

fn frames(bytes: &[u8]) -> Vec<Reply> {
    let mut buffer = FrameBuffer::default();
    buffer.extend(bytes);
    let mut replies = Vec::new();
    while let Some(frame) = buffer.next(REPLY_BYTES_MAX).expect("the frames are well formed") {
        replies.push(Reply { correlation: frame.correlation, kind: frame.kind, body: frame.body.to_vec() });
    }
    buffer.end().expect("the frames are whole");
    replies
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("the operating system gives us a timer").block_on(future)
}

fn stamp(request: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&request.to_be_bytes());
    Stamp { request: RequestId::from_parts(START_MS, random), body: request, credential: CredentialId(1) }
}

/// A request with this number as correlation, request id and body.
fn change(request: u64, mutation: Mutation) -> Request {
    Request { correlation: request, call: Call::Change(Change::new(stamp(request), mutation)) }
}

fn club(request: u64) -> Request {
    change(request, Mutation::RegisterClub(RegisterClub { name: format!("club {request}") }))
}

fn campaign(request: u64, codes: &[&str]) -> Request {
    let terms = Terms { activations_per_code_max: Some(2), ..Terms::new(format!("campaign {request}"), Money(500)) };
    let list = CodeList::prepare(&codes.iter().collect(), 1, trim, normalise);
    change(request, Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject })))
}

fn redeem(request: u64, code: &str) -> Request {
    let client = ClientId((request % 7).into());
    change(
        request,
        Mutation::Redeem(RedeemRequest {
            client,
            club: ClubId(1),
            code: normalise(code),
            top_up: Position(0),
            is_their_top_up: true,
        }),
    )
}

fn list_clubs(correlation: u64) -> Request {
    Request { correlation, call: Call::Read(Read::ListClubs(ListClubs { after: ClubId(0) })) }
}

/// A reply that a lane made itself.
fn answered(correlation: u64, index: &Index) -> Request {
    let mut frame = Vec::new();
    let outcome = index.check(START_MS, ClubId(0), ["A"].into_iter());
    scrip_protocol::frame::push_value(&mut frame, scrip_protocol::Kind::Check as u16, correlation, &outcome);
    Request { correlation, call: Call::Answered { frame, attempt: None } }
}

#[test]
fn changed_settings_are_written_first() {
    let kept = Kept::default();
    let start = |settings: &Settings| {
        let journal = Memory::over(kept.clone());
        let hands = Hands::at(START_MS);
        let beginning = Beginning { settings: settings.clone(), ..Beginning::default() };
        let pipeline = Pipeline::start(kept.replay(), Box::new(journal), &beginning, Box::new(hands), Limits::default());
        pipeline.expect("memory takes it").finish().expect("memory takes it").state
    };
    let other = Settings { codes_per_campaign_max: 3, ..Settings::default() };
    for (settings, position) in [(&Settings::default(), 1), (&Settings::default(), 1), (&other, 2), (&Settings::default(), 3)] {
        let state = start(settings);
        assert_eq!((state.settings(), state.position()), (settings, Position(position)));
        assert_eq!(state, kept.replay());
    }
    let mut journal = Memory::over(Kept::default()).failing_at(1);
    let record: Record = SettingsSet::new(other.clone()).into();
    let mut batch = BatchBuilder::new(1);
    batch.push(&record);
    assert!(journal.append(vec![batch]).is_err(), "the double fails on demand");
    let hands = Hands::at(START_MS);
    let beginning = Beginning { settings: other, ..Beginning::default() };
    let refused = Pipeline::start(State::default(), Box::new(journal), &beginning, Box::new(hands), Limits::default());
    assert!(refused.is_err(), "an engine whose settings are not durable does not start");
}
