//! The engine thread: it alone owns the state, and finishes each request before the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Select, Sender, TryRecvError, TrySendError};
use parking_lot::Mutex;
use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::command::{
    Confirm, ConfirmOutcome, Hold, HoldOutcome, HoldRefused, LOCKOUTS_PER_PAGE, LiftLockoutsOutcome, ListLockouts,
    ListLockoutsOutcome, RedeemOutcome, WhichLockouts,
};
use scrip_protocol::frame::{REFUSAL, push_bytes, push_value};
use scrip_protocol::{Command, CredentialId, Kind, Record, Refusal, Stamp, wire};

use super::clock::{EngineClock, Now};
use super::commit::{Commit, Replies};
use super::journal_thread::Committer;
use super::pages::{Turn, Turns};
use super::registrations::KeptFrom;
use super::request_budget::RequestBudget;
use super::tally::Tally;
use super::window_budget::WindowBudget;
use super::{Attempt, BUSY, Call, Change, Limits, Read, Request, StoredReply, batch_time};
use scrip_core::guard::{Asker, FailedCode, Guard, Reason};
use scrip_core::index::Index;
use scrip_core::state::requests::{Admission, ClockRange, Remembered};
use scrip_core::state::{KeepReaderRequest, Mutation, State};

/// How many requests are decided before the engine thread looks again whether the journal thread is idle: some tens of
/// microseconds.
const REQUESTS_PER_LOOK: usize = 64;

pub(super) struct EngineThread {
    pub(super) state: State,
    pub(super) guard: Guard,
    pub(super) tally: Tally,
    pub(super) index: Arc<Index>,
    pub(super) clock: EngineClock,
    pub(super) kept_from: Arc<KeptFrom>,
    pub(super) reader_budget: RequestBudget,
    pub(super) creation_budget: RequestBudget,
    pub(super) window_budget: WindowBudget,
    pub(super) limits: Limits,
    pub(super) turns: Turns,
    pub(super) hand_over: Sender<Commit>,
    /// How many commits the journal thread has taken.
    pub(super) handed: u64,
    /// How many of them it has finished.
    pub(super) finished: Arc<AtomicU64>,
    /// Used by this thread only while the journal thread is idle.
    pub(super) committer: Arc<Mutex<Committer>>,
}

/// What is known about a request without executing it.
enum Looked {
    /// Executed before; gets the same reply.
    Answered,
    /// Refused; `Busy` if it may be executed later.
    Refused(Refusal),
}

/// The journal thread has ended: nothing more becomes durable.
struct JournalGone;

impl EngineThread {
    /// Runs until every intake is dropped or the journal fails. Returns the state.
    pub(super) fn run(mut self) -> State {
        loop {
            let turn = match self.turns.next() {
                Ok(turn) => turn,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => match self.turns.inbox().recv() {
                    Ok(chunk) => self.turns.taken(chunk),
                    // A page may remain.
                    Err(_) => continue,
                },
            };
            // An empty chunk announces a page.
            if !turn.chunk.requests.is_empty() && self.fill_and_hand_over(turn).is_err() {
                break;
            }
        }
        self.state
    }

    /// Opens a commit with a chunk, fills it with the waiting chunks, then with further ones until the journal thread takes it.
    fn fill_and_hand_over(&mut self, turn: Turn) -> Result<(), JournalGone> {
        let mut open = Some(self.take(turn, None)?);
        while let Some(mut commit) = open.take() {
            let is_page_due = self.turns.is_page_due();
            if is_page_due && self.is_journal_idle() {
                return self.hand_to_idle(commit);
            }
            if is_page_due || commit.answers >= REQUESTS_PER_LOOK {
                let Some(kept) = self.offer(commit)? else { return Ok(()) };
                commit = kept;
            }
            // While the journal thread writes the previous commit, one page is served; then the others pause.
            let turn = if is_page_due { self.turns.next() } else { self.turns.next_chunk() };
            open = match turn {
                Ok(turn) => Some(self.take(turn, Some(commit))?),
                Err(TryRecvError::Disconnected) => return self.send(commit),
                Err(TryRecvError::Empty) if self.is_journal_idle() => return self.hand_to_idle(commit),
                Err(TryRecvError::Empty) => match self.offer(commit)? {
                    Some(commit) => self.wait(commit)?,
                    None => None,
                },
            };
        }
        Ok(())
    }

    /// Makes a commit durable, or hands it to the idle journal thread.
    fn hand_to_idle(&mut self, mut commit: Commit) -> Result<(), JournalGone> {
        if commit.answers > self.limits.alone_max || !self.turns.inbox().is_empty() {
            return self.send(commit);
        }
        self.tally.settle(&self.state, &self.guard, &mut commit.counts);
        self.committer.lock().commit(commit).map_err(|_| JournalGone)
    }

    /// Whether the journal thread has finished everything it was given: it then touches nothing until it gets more.
    fn is_journal_idle(&self) -> bool {
        self.finished.load(Ordering::Acquire) == self.handed
    }

    /// Waits until either the journal thread takes the commit or another chunk arrives for it.
    fn wait(&mut self, commit: Commit) -> Result<Option<Commit>, JournalGone> {
        let mut select = Select::new();
        let taken = select.send(&self.hand_over);
        let inbox = self.turns.inbox().clone();
        select.recv(&inbox);
        let ready = select.select();
        if ready.index() == taken {
            ready.send(&self.hand_over, commit).map_err(|_| JournalGone)?;
            self.handed += 1;
            return Ok(None);
        }
        match ready.recv(&inbox) {
            Ok(chunk) => {
                let turn = self.turns.taken(chunk);
                self.take(turn, Some(commit)).map(Some)
            }
            Err(_) => self.send(commit).map(|()| None),
        }
    }

    /// Gives the commit to the journal thread if that is idle; otherwise returns the commit.
    fn offer(&mut self, mut commit: Commit) -> Result<Option<Commit>, JournalGone> {
        self.tally.settle(&self.state, &self.guard, &mut commit.counts);
        match self.hand_over.try_send(commit) {
            Ok(()) => {
                self.handed += 1;
                Ok(None)
            }
            Err(TrySendError::Full(commit)) => Ok(Some(commit)),
            Err(TrySendError::Disconnected(_)) => Err(JournalGone),
        }
    }

    /// Gives the commit to the journal thread as soon as that accepts it.
    fn send(&mut self, mut commit: Commit) -> Result<(), JournalGone> {
        self.tally.settle(&self.state, &self.guard, &mut commit.counts);
        self.hand_over.send(commit).map_err(|_| JournalGone)?;
        self.handed += 1;
        Ok(())
    }

    /// Decides a chunk into a commit. Hands over commits that are full, or that the idle journal thread can take.
    fn take(&mut self, Turn { mut chunk, is_page }: Turn, open: Option<Commit>) -> Result<Commit, JournalGone> {
        let mut commit = match open {
            Some(mut commit) => {
                // It may have been opened long ago, where the journal thread waits for the disk: the ids of new requests are not ahead.
                let now = self.clock.now();
                commit.clock.latest_ms = commit.clock.latest_ms.max(now.requests.latest_ms);
                commit.elapsed_ms = now.elapsed_ms;
                commit
            }
            None => self.open(),
        };
        if chunk.requests.is_empty() {
            return Ok(commit);
        }
        let began = is_page.then(Instant::now);
        commit.address(&chunk.outbox);
        let mut groups = chunk.requests.chunks(REQUESTS_PER_LOOK).peekable();
        while let Some(requests) = groups.next() {
            self.touch(requests);
            for request in requests {
                if self.is_full(commit.batch()) {
                    if commit.batches.len() >= self.limits.commit_batches_max {
                        self.send(commit)?;
                        commit = self.open();
                        commit.address(&chunk.outbox);
                    } else {
                        let now = self.clock.now();
                        (commit.clock, commit.elapsed_ms) = (now.requests, now.elapsed_ms);
                        commit.batches.push(BatchBuilder::with_room(batch_time(now), self.limits.batch_bytes_max));
                    }
                }
                self.answer(request, &mut commit);
            }
            if groups.peek().is_none() {
                break;
            }
            commit = match self.offer(commit)? {
                Some(commit) => commit,
                None => {
                    let mut commit = self.open();
                    commit.address(&chunk.outbox);
                    commit
                }
            };
        }
        if let Some(reserved) = chunk.reserved.take() {
            commit.replies.last_mut().expect("a commit is addressed before it is filled").reserved.push(reserved);
        }
        if let Some(began) = began {
            self.turns.served(began.elapsed());
        }
        Ok(commit)
    }

    fn is_full(&self, batch: &BatchBuilder) -> bool {
        batch.count() >= self.limits.batch_records_max || batch.len() >= self.limits.batch_bytes_max
    }

    /// Prefetches what some redemptions are about to need. Deciding them one after the other, the processor would wait for each
    /// memory access.
    fn touch(&self, requests: &[Request]) {
        let place_of = |request: &Request| request.call.change()?.hint?.place();
        let redemptions = requests.iter().filter_map(|request| {
            let Change { stamp, mutation, .. } = request.call.change()?;
            mutation.redemption().map(|mutation| (stamp.request, mutation.client, place_of(request)))
        });
        self.state.touch(redemptions);
        self.index.touch(requests.iter().filter_map(place_of));
    }

    fn open(&mut self) -> Commit {
        let now = self.clock.now();
        Commit {
            batches: vec![BatchBuilder::new(batch_time(now))],
            clock: now.requests,
            elapsed_ms: now.elapsed_ms,
            replies: Vec::new(),
            answers: 0,
            seen: self.state.position(),
            counts: Box::default(),
        }
    }

    /// Executes one request and adds its reply to the newest replies of the commit.
    fn answer(&mut self, request: &Request, commit: &mut Commit) {
        let batch = commit.batches.last_mut().expect("a commit is opened with a batch");
        let now_ms = batch.time_ms();
        let replies = commit.replies.last_mut().expect("a commit is addressed before it is filled");
        replies.answers += 1;
        commit.answers += 1;
        let correlation = request.correlation;
        match &request.call {
            Call::Answered { frame, attempt } => match attempt.as_ref().and_then(|attempt| self.guarded(now_ms, attempt)) {
                Some(refusal) => push_value(&mut replies.frames, REFUSAL, correlation, &refusal),
                None => replies.frames.extend_from_slice(frame),
            },
            Call::Read(read) => self.read(now_ms, read, correlation, &mut replies.frames),
            Call::Lift { by, which } => {
                push_value(&mut replies.frames, Kind::LiftLockouts as u16, correlation, &self.lift(now_ms, *by, *which));
            }
            Call::Look { kind, stamp } => {
                if let Looked::Refused(refusal) = self.look(commit.clock, *kind, stamp, correlation, replies) {
                    push_value(&mut replies.frames, REFUSAL, correlation, &refusal);
                }
            }
            Call::Busy { kind, stamp } => self.busy((now_ms, commit.clock), *kind, stamp, correlation, replies),
            Call::Change(change) => {
                let now = Now { record_ms: now_ms, requests: commit.clock, elapsed_ms: commit.elapsed_ms };
                self.change(now, change, batch, correlation, replies);
            }
        }
        commit.seen = self.state.position();
    }

    /// Charges the failed attempts of a check, or refuses it if its caller is locked out.
    fn guarded(&mut self, now_ms: u64, attempt: &Attempt) -> Option<Refusal> {
        if let Some(retry_after_ms) = self.guard.refuses(now_ms, attempt.asker) {
            let refusal = Refusal::TooManyMisses { retry_after_ms };
            self.tally.check_refused(now_ms, attempt.asker, refusal);
            return Some(refusal);
        }
        self.guard.failed(now_ms, attempt.asker, &attempt.failed);
        None
    }

    fn lift(&mut self, now_ms: u64, by: CredentialId, which: WhichLockouts) -> LiftLockoutsOutcome {
        if self.state.credentials.is_revoked(by) {
            // Its connections are being closed: nothing that they have sent since then is executed.
            return LiftLockoutsOutcome { lifted: 0 };
        }
        let lifted = self.guard.lift(now_ms, which);
        // Logged, because no record contains lockouts. A long list takes one line.
        if let Some(first) = lifted.first() {
            tracing::warn!(%by, lifted = lifted.len(), first = %first.key, "lockouts lifted");
        }
        LiftLockoutsOutcome { lifted: lifted.len() as u64 }
    }

    fn list_lockouts(&self, now_ms: u64, ListLockouts { kind }: &ListLockouts) -> ListLockoutsOutcome {
        let (lockouts, total) = self.guard.first_lockouts(now_ms, *kind, LOCKOUTS_PER_PAGE);
        ListLockoutsOutcome { lockouts, total, now_ms }
    }

    /// Executes a request, unless it was executed before, and replies.
    #[inline]
    fn change(&mut self, now: Now, change: &Change, batch: &mut BatchBuilder, correlation: u64, replies: &mut Replies) {
        let Now { record_ms: now_ms, requests: clock, elapsed_ms } = now;
        let Change { stamp, mutation, hint, network } = change;
        if self.state.credentials.is_revoked(stamp.credential) {
            // Its connections are being closed: nothing that they have sent since then is executed.
            return self.refuse(now_ms, change, Refusal::Revoked, correlation, &mut replies.frames);
        }
        match self.state.admit(clock, stamp, || mutation.kind()) {
            Admission::Refused(refusal) => return self.refuse(now_ms, change, refusal, correlation, &mut replies.frames),
            Admission::Repeated(reply) => {
                self.tally.repeated();
                return push_reply(&reply, || self.state.credentials.is_told_reasons(stamp.credential), correlation, replies);
            }
            Admission::New => {}
        }
        if let Some((share, retry_after_ms)) = self.state.requests.share(clock.earliest_ms)
            && self.window_budget.executed(elapsed_ms, stamp.credential) > share
        {
            return self.refuse(now_ms, change, Refusal::Busy { retry_after_ms }, correlation, &mut replies.frames);
        }
        let asker = mutation.redemption().map(|mutation| Asker {
            credential: stamp.credential,
            client: Some(mutation.client),
            network: *network,
        });
        if let Some(asker) = asker
            && let Some(retry_after_ms) = self.guard.refuses(now_ms, asker)
        {
            return self.refuse(now_ms, change, Refusal::TooManyMisses { retry_after_ms }, correlation, &mut replies.frames);
        }
        if let Mutation::KeepReader(_)
        | Mutation::ForgetReader(_)
        | Mutation::CreateCampaign(_)
        | Mutation::CreateRule(_)
        | Mutation::RegisterGroup(_) = mutation
            && self.is_over_budget(now, change, correlation, &mut replies.frames)
        {
            return;
        }
        let registration = if let Mutation::KeepReader(mutation) = mutation {
            // According to the journal now, not when the lane looked: more of it may have been dropped since.
            let open_from = self.kept_from.open_from();
            let kept_from = mutation.kept_from.max(self.kept_from.first());
            Some(Mutation::KeepReader(Box::new(KeepReaderRequest { kept_from, open_from, ..KeepReaderRequest::clone(mutation) })))
        } else {
            None
        };
        let mutation = registration.as_ref().unwrap_or(mutation);
        let record = self.state.decide(now_ms, *stamp, mutation, &self.index.with_hint(*hint));
        if let (Some(asker), Some(refusal)) = (asker, refusal_of(&record))
            && refusal.is_miss()
            && let Some(Ok(code)) = mutation.redemption().map(|mutation| mutation.code.as_ref())
        {
            let with_reasons = self.state.credentials.is_told_reasons(stamp.credential);
            let reason = Reason::new(matches!(refusal, RedeemOutcome::UnknownCode), with_reasons);
            let fingerprint = self.guard.fingerprints().of(code.as_str());
            self.guard.failed(now_ms, asker, &[FailedCode { fingerprint, reason }]);
        }
        self.tally.executed(&record);
        self.window_budget.count(elapsed_ms, stamp.credential);
        batch.push(&record);
        let with_reasons = matches!(record, Record::Activation(_)) || self.state.credentials.is_told_reasons(stamp.credential);
        let reply = self.state.apply(batch.time(), &record).expect("a request's record has a reply");
        push_reply(&reply, || with_reasons, correlation, replies);
        self.index.follow(&self.state, &record);
    }

    /// Returns the first reply to a request that was executed before.
    #[cold]
    fn look(&mut self, clock: ClockRange, kind: Kind, stamp: &Stamp, correlation: u64, replies: &mut Replies) -> Looked {
        if self.state.credentials.is_revoked(stamp.credential) {
            return Looked::Refused(Refusal::Revoked);
        }
        match self.state.admit(clock, stamp, || kind) {
            Admission::Repeated(reply) => {
                self.tally.repeated();
                push_reply(&reply, || self.state.credentials.is_told_reasons(stamp.credential), correlation, replies);
                Looked::Answered
            }
            Admission::Refused(refusal) => Looked::Refused(refusal),
            Admission::New => Looked::Refused(BUSY),
        }
    }

    /// Refuses a request about a reader, or one to create something, if its credential has used up its budget; operators have
    /// none. Returns whether it did.
    #[cold]
    fn is_over_budget(&mut self, now: Now, change: &Change, correlation: u64, frames: &mut Vec<u8>) -> bool {
        let credential = change.stamp.credential;
        let (is_operator, budget) = if let Mutation::KeepReader(mutation) = &change.mutation {
            (mutation.anyones, &mut self.reader_budget)
        } else if let Mutation::ForgetReader(mutation) = &change.mutation {
            (mutation.anyones, &mut self.reader_budget)
        } else {
            (self.state.credentials.is_operator(credential), &mut self.creation_budget)
        };
        if is_operator {
            return false;
        }
        let Err(retry_after_ms) = budget.take(now.elapsed_ms, credential) else { return false };
        self.refuse(now.record_ms, change, Refusal::Busy { retry_after_ms }, correlation, frames);
        true
    }

    /// Replies to a request that cannot be executed now: with its first reply, if it was executed before.
    #[cold]
    fn busy(&mut self, (now_ms, clock): (u64, ClockRange), kind: Kind, stamp: &Stamp, correlation: u64, replies: &mut Replies) {
        let refusal = match self.look(clock, kind, stamp, correlation, replies) {
            Looked::Answered => return,
            Looked::Refused(refusal) => refusal,
        };
        self.tally.busy(now_ms, kind, stamp, refusal);
        push_value(&mut replies.frames, REFUSAL, correlation, &refusal);
    }

    /// Refuses a request without leaving a record.
    fn refuse(&mut self, now_ms: u64, change: &Change, refusal: Refusal, correlation: u64, frames: &mut Vec<u8>) {
        self.tally.refused(now_ms, change, refusal);
        push_value(frames, REFUSAL, correlation, &refusal);
    }

    fn read(&self, now_ms: u64, read: &Read, correlation: u64, frames: &mut Vec<u8>) {
        match read {
            Read::ListClubs(mutation) => {
                push_value(frames, Kind::ListClubs as u16, correlation, &self.state.list_clubs(mutation));
            }
            Read::ShowClient(mutation) => {
                push_value(frames, Kind::ShowClient as u16, correlation, &self.state.show_client(mutation));
            }
            Read::ListCampaigns(mutation) => {
                push_value(frames, Kind::ListCampaigns as u16, correlation, &self.state.list_campaigns(now_ms, mutation));
            }
            Read::ShowCampaign(mutation) => {
                push_value(frames, Kind::ShowCampaign as u16, correlation, &self.state.show_campaign(now_ms, mutation));
            }
            Read::ListCodes(mutation) => {
                push_value(frames, Kind::ListCodes as u16, correlation, &self.state.list_codes(mutation, &*self.index));
            }
            Read::TryCodes(mutation) => {
                push_value(frames, Kind::TryCodes as u16, correlation, &self.state.try_codes(mutation, &*self.index));
            }
            Read::ListCredentials(mutation) => {
                push_value(frames, Kind::ListCredentials as u16, correlation, &self.state.list_credentials(mutation));
            }
            Read::ListGroups(mutation) => {
                push_value(frames, Kind::ListGroups as u16, correlation, &self.state.list_groups(mutation));
            }
            Read::ListRules(mutation) => {
                push_value(frames, Kind::ListRules as u16, correlation, &self.state.list_rules(mutation));
            }
            Read::ShowRule(mutation) => {
                push_value(frames, Kind::ShowRule as u16, correlation, &self.state.show_rule(mutation));
            }
            Read::LintRule(mutation) => {
                push_value(frames, Kind::LintRule as u16, correlation, &self.state.lint_rule(mutation));
            }
            Read::ListLockouts(mutation) => {
                push_value(frames, Kind::ListLockouts as u16, correlation, &self.list_lockouts(now_ms, mutation));
            }
            Read::ListReaders => {
                push_value(frames, Kind::ListReaders as u16, correlation, &self.state.list_readers());
            }
        }
    }
}

/// Adds the reply to a request. A caller without reasons gets the same reply for every reason, in a frame of the same length;
/// the remembered reply keeps the reason.
#[inline]
fn push_reply(reply: &Remembered, with_reasons: impl Fn() -> bool, correlation: u64, replies: &mut Replies) {
    let frames = &mut replies.frames;
    match reply {
        Remembered::Redeem(outcome) if outcome.is_miss() && !with_reasons() => {
            push_value(frames, Kind::Redeem as u16, correlation, &outcome.without_reason());
        }
        Remembered::Redeem(outcome) => push_value(frames, Kind::Redeem as u16, correlation, outcome),
        Remembered::Other(reply) if reply.0 == Kind::Hold as u16 && !with_reasons() => {
            push_without::<Hold>(frames, correlation, &reply.1, HoldOutcome::without_reason);
        }
        Remembered::Other(reply) if reply.0 == Kind::Confirm as u16 && !with_reasons() => {
            push_without::<Confirm>(frames, correlation, &reply.1, ConfirmOutcome::without_reason);
        }
        Remembered::Other(reply) => push_bytes(frames, reply.0, correlation, &reply.1),
        Remembered::Stored { kind, position } => {
            replies.stored.push(StoredReply { correlation, kind: *kind, position: *position });
        }
    }
}

/// Adds a remembered reply without its reason.
fn push_without<C: Command>(frames: &mut Vec<u8>, correlation: u64, bytes: &[u8], without: fn(C::Outcome) -> C::Outcome) {
    match wire::decode::<C::Outcome>(C::KIND.word(), bytes) {
        Ok(outcome) => push_value(frames, C::KIND as u16, correlation, &without(outcome)),
        // From a journal of elsewhere; a caller could not read it either.
        Err(_) => push_bytes(frames, C::KIND as u16, correlation, bytes),
    }
}

/// The reason why a redemption or a hold was refused, as an outcome of a redemption.
fn refusal_of(record: &Record) -> Option<RedeemOutcome> {
    if let Record::RedemptionRefused(refused) = record {
        return Some(refused.outcome);
    }
    if let Record::HoldRefused(HoldRefused { outcome: HoldOutcome::Refused(why), .. }) = record { Some(*why) } else { None }
}
