//! A caller: one connection at a time, the requests of one script over it, and what each was told.
//!
//! Writer and reader of a connection are one task. When the connection is cut or lost, another is opened, and what is unanswered
//! goes first there, under the same ids.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{RecvStream, SendStream, VarInt};
use scrip_client::{ConnectError, Dial, Dialled};
use scrip_protocol::command::{
    Activated, AddCodes, AddCodesOutcome, Check, CheckOutcome, Confirm, ConfirmOutcome, Hold, HoldOutcome, Redeem, RedeemOutcome,
    Release, ReleaseOutcome, TopUp, TopUpOutcome,
};
use scrip_protocol::frame::{Frame, FrameBuffer, Malformed, REPLY_BYTES_MAX};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{Position, Refusal};
use tokio::sync::Notify;

use crate::drive::{Control, DriveError, OnBusy, Stage};
use crate::lane::{LaneError, WRITTEN_AT_ONCE};
use crate::mix::{Script, Shape};
use crate::pace::Released;

/// How often a busy request's waiting time is doubled: beyond, more waiting helps nobody.
const DOUBLINGS_MAX: u32 = 5;

/// For how many requests that follow holds there is memory from the start; the widest window has no more.
const FOLLOWS_AT_ONCE: usize = 32_768;

/// For how many answers that are read at once there is memory from the start.
const LATENCIES_AT_ONCE: usize = 32_768;

/// Between tries to connect again.
const REDIAL: Duration = Duration::from_millis(20);

/// What a request was told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The outcome of a redemption.
    Redeem(RedeemOutcome),
    /// The outcome of a hold.
    Hold(HoldOutcome),
    /// The outcome of a confirmation.
    Confirm(ConfirmOutcome),
    /// The outcome of a release.
    Release(ReleaseOutcome),
    /// The outcome of an import.
    Codes(Box<AddCodesOutcome>),
    /// The outcome of a top-up.
    TopUp(TopUpOutcome),
    /// A check's verdicts.
    Checked {
        /// How many.
        verdicts: u32,
        /// Of which position.
        as_of: Position,
    },
    /// More codes were checked than may be.
    TooManyChecked,
    /// A refusal other than busy.
    Refused(Refusal),
    /// Busy, to the end.
    Busy {
        /// Whether it was sent over a connection that ended before its answer: then it may have been done all the same.
        uncertain: bool,
    },
}

impl Told {
    /// The answer's word; none for busy.
    pub fn word(&self) -> Option<&'static str> {
        Some(match self {
            Told::Redeem(outcome) => outcome.word(),
            Told::Hold(outcome) => match outcome {
                HoldOutcome::Held(_) => "held",
                HoldOutcome::InvalidTtl => "hold_invalid_ttl",
                HoldOutcome::Refused(_) => "hold_refused",
                HoldOutcome::TooManyHolds => "hold_too_many",
            },
            Told::Confirm(outcome) => match outcome {
                ConfirmOutcome::Confirmed(_) => "confirmed",
                ConfirmOutcome::UnknownHold => "confirm_unknown_hold",
                ConfirmOutcome::AlreadyConfirmed(_) => "confirm_already_confirmed",
                ConfirmOutcome::Released => "confirm_released",
                ConfirmOutcome::UnknownTopUp => "confirm_unknown_top_up",
                ConfirmOutcome::Expired(_) => "confirm_expired",
                ConfirmOutcome::AmountLimit => "confirm_amount_limit",
            },
            Told::Release(outcome) => match outcome {
                ReleaseOutcome::Released => "released",
                ReleaseOutcome::UnknownHold => "release_unknown_hold",
                ReleaseOutcome::AlreadyConfirmed(_) => "release_already_confirmed",
                ReleaseOutcome::AlreadyReleased => "release_already_released",
            },
            Told::Codes(outcome) => match **outcome {
                AddCodesOutcome::Added(_) => "codes_added",
                AddCodesOutcome::UnknownCampaign => "codes_unknown_campaign",
                AddCodesOutcome::CampaignArchived => "add_codes_campaign_archived",
                AddCodesOutcome::TooManyLines => "add_codes_too_many_lines",
                AddCodesOutcome::CodesMissing => "codes_missing",
                AddCodesOutcome::Conflicts(_) => "codes_conflicts",
                AddCodesOutcome::TooManyCodes(_) => "codes_too_many",
            },
            Told::TopUp(outcome) => match outcome {
                TopUpOutcome::ToppedUp(_) => "topped_up",
                TopUpOutcome::InvalidAmount => "top_up_invalid_amount",
                TopUpOutcome::InvalidNote(_) => "top_up_invalid_note",
                TopUpOutcome::UnknownClub => "top_up_unknown_club",
                TopUpOutcome::AmountLimit => "top_up_amount_limit",
            },
            Told::Checked { .. } => "checked",
            Told::TooManyChecked => "check_too_many",
            Told::Refused(refusal) => match refusal {
                Refusal::Forbidden { .. } => "refused_forbidden",
                Refusal::ClubForbidden { .. } => "refused_club_forbidden",
                Refusal::Busy { .. } => return None,
                Refusal::Revoked => "refused_revoked",
                Refusal::RequestIdInvalid => "refused_id_invalid",
                Refusal::RequestTooOld { .. } => "refused_too_old",
                Refusal::RequestFromFuture { .. } => "refused_from_future",
                Refusal::RequestIdReused => "refused_id_reused",
                Refusal::TooManyMisses { .. } => "refused_too_many_misses",
            },
            Told::Busy { .. } => return None,
        })
    }

    /// The activation that it tells of as done by its request.
    pub fn activated(&self) -> Option<&Activated> {
        match self {
            Told::Redeem(RedeemOutcome::Redeemed(activated)) | Told::Confirm(ConfirmOutcome::Confirmed(activated)) => {
                Some(activated)
            }
            Told::Redeem(_) | Told::Confirm(_) | Told::Hold(_) | Told::Release(_) => None,
            Told::Codes(_) | Told::TopUp(_) => None,
            Told::Checked { .. } | Told::TooManyChecked | Told::Refused(_) | Told::Busy { .. } => None,
        }
    }

    fn read(shape: Shape, frame: &Frame<'_>) -> Result<Told, Malformed> {
        let told = match shape {
            Shape::Check => frame.reply::<Check>()?.map(|outcome| match outcome {
                CheckOutcome::Checked { codes, as_of } => Told::Checked { verdicts: codes.len() as u32, as_of },
                CheckOutcome::TooManyCodes => Told::TooManyChecked,
            }),
            Shape::Hold => frame.reply::<Hold>()?.map(Told::Hold),
            Shape::Confirm => frame.reply::<Confirm>()?.map(Told::Confirm),
            Shape::Release => frame.reply::<Release>()?.map(Told::Release),
            Shape::Import => frame.reply::<AddCodes>()?.map(|outcome| Told::Codes(Box::new(outcome))),
            Shape::TopUp => frame.reply::<TopUp>()?.map(Told::TopUp),
            Shape::Distinct | Shape::Hot | Shape::Capped | Shape::Miss | Shape::Spent | Shape::Any => {
                frame.reply::<Redeem>()?.map(Told::Redeem)
            }
        };
        Ok(told.unwrap_or_else(Told::Refused))
    }
}

/// What lets requests go.
pub(crate) enum Gate {
    /// So many in flight.
    Window {
        window: usize,
        /// When each was first sent, in nanoseconds from the start.
        sent_at: Vec<AtomicU64>,
    },
    /// What the pacer has released.
    Due(Arc<Released>),
}

impl Gate {
    pub(crate) fn window(window: usize, count: usize) -> Gate {
        // Not zeros, which the system would only promise: the memory is there before the clock starts.
        Gate::Window { window: window.max(1), sent_at: (0..count).map(|_| AtomicU64::new(u64::MAX)).collect() }
    }

    pub(crate) fn released(&self) -> Option<Arc<Released>> {
        match self {
            Gate::Window { .. } => None,
            Gate::Due(released) => Some(released.clone()),
        }
    }

    /// From when the latency of a request counts.
    fn origin_ns(&self, n: usize) -> u64 {
        match self {
            Gate::Window { sent_at, .. } => sent_at[n].load(Ordering::Relaxed),
            Gate::Due(released) => released.times[n],
        }
    }
}

/// How a caller is told that something has changed.
#[derive(Default)]
pub(crate) struct Signals {
    writer: Notify,
    reader: Notify,
    cut: Notify,
    waiting: AtomicBool,
}

impl Signals {
    /// There may be something to write.
    pub(crate) fn wake(&self) {
        self.writer.notify_one();
    }

    /// The phase has come to another stage.
    pub(crate) fn stage_changed(&self) {
        self.writer.notify_one();
        self.reader.notify_one();
    }

    /// The connection is to be closed and opened again.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Whether an answer is outstanding, or a request waits to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// What a caller was told, and what it cost.
pub(crate) struct Heard {
    pub(crate) script: Script,
    /// By the request's number in the script.
    pub(crate) told: Vec<Option<Told>>,
    /// Those sent and never answered.
    pub(crate) unanswered: Vec<u32>,
    /// How many requests of the script were sent, but for those that follow holds.
    pub(crate) begun: usize,
    /// Holds that were given, and for whose follow-up there was no time.
    pub(crate) unfollowed: usize,
    /// How many requests followed holds.
    pub(crate) followed: usize,
    /// How many were sent, each as often as it was.
    pub(crate) sent: u64,
    pub(crate) resent: u64,
    pub(crate) reconnects: u64,
    pub(crate) retry_after_ms: Option<(u32, u32)>,
}

/// Requests to be sent again.
#[derive(Default)]
struct Again {
    /// Now, because their connection ended.
    now: VecDeque<u32>,
    /// At a time, because the engine was busy: nanoseconds from the start.
    later: BinaryHeap<Reverse<(u64, u32)>>,
}

pub(crate) struct Caller {
    dial: Dial,
    script: Script,
    gate: Gate,
    control: Arc<Control>,
    signals: Arc<Signals>,
    again: Mutex<Again>,
    /// What follows holds, as the script numbers it.
    follows: Vec<Follow>,
    /// How many requests of the script have been sent, but for those that follow holds.
    begun: AtomicUsize,
    /// How many requests have followed holds, or are about to.
    followed: AtomicUsize,
    /// How many of all these have their last answer.
    done: AtomicUsize,
    sent: AtomicU64,
}

/// A request that follows a hold.
struct Follow {
    /// The hold; 0, where nothing stands in a journal, before it was given.
    hold: AtomicU64,
    /// When it was given, in nanoseconds from the start: its follow-up is due then.
    due_ns: AtomicU64,
}

impl Follow {
    fn hold(&self) -> Option<Position> {
        Some(Position(self.hold.load(Ordering::Relaxed))).filter(|hold| hold.0 != 0)
    }
}

/// What the reader alone keeps.
pub(crate) struct Hearing {
    /// The last answer to each request, by its number in the script.
    told: Vec<Option<Told>>,
    /// How many there are.
    told_count: usize,
    unfollowed: usize,
    /// No request before this number is open.
    none_open_before: usize,
    /// How often each was busy.
    refusals: HashMap<u32, u32>,
    /// Those whose connection ended before their answer.
    uncertain: HashSet<u32>,
    retry_after_ms: Option<(u32, u32)>,
    random: fastrand::Rng,
    latencies_ns: Vec<u64>,
    resent: u64,
}

impl Caller {
    pub(crate) fn new(dial: Dial, script: Script, gate: Gate, control: Arc<Control>) -> Caller {
        let follow = || Follow { hold: AtomicU64::new(0), due_ns: AtomicU64::new(u64::MAX) };
        let again = Again { now: VecDeque::with_capacity(script.follows().min(FOLLOWS_AT_ONCE)), ..Again::default() };
        Caller {
            dial,
            follows: (0..script.follows()).map(|_| follow()).collect(),
            script,
            gate,
            control,
            signals: Arc::default(),
            again: Mutex::new(again),
            followed: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        }
    }

    pub(crate) fn signals(&self) -> Arc<Signals> {
        self.signals.clone()
    }

    /// Sends the script and hears the answers, over as many connections as it takes.
    pub(crate) async fn run(self, first: Dialled, mut hearing: Hearing) -> Result<Heard, DriveError> {
        let mut reconnects = 0;
        let mut next = Some(first);
        while let Some(mut dialled) = next.take() {
            let ended = tokio::select! {
                biased;
                written = self.write(&mut dialled.send) => written.map(|()| false),
                read = self.read(&mut dialled.receive, &mut hearing) => read.map(|()| true),
                () = self.signals.cut.notified() => Ok(false),
            };
            let why = dialled.connection.close_reason();
            dialled.connection.close(VarInt::from_u32(CloseCode::Done as u32), b"");
            match ended {
                Ok(true) => break,
                Ok(false) => {}
                Err(wrong @ (LaneError::Malformed(_) | LaneError::Unasked { .. })) => return Err(wrong.into()),
                // The connection was lost. Whether trying again may help, it knows itself.
                Err(LaneError::Write(_) | LaneError::Read(_) | LaneError::Ended { .. }) => {
                    if let Some(error) = why.map(|why| ConnectError::of(&why, self.dial.address()))
                        && !error.is_passing()
                    {
                        return Err(error.into());
                    }
                }
            }
            drop(dialled);
            self.send_unanswered_again(&mut hearing);
            next = self.redial().await?;
            reconnects += 1;
        }
        let begun = self.begun.load(Ordering::Relaxed);
        let unanswered = self.unanswered(&hearing).collect();
        Ok(Heard {
            unfollowed: hearing.unfollowed,
            followed: self.followed.load(Ordering::Relaxed),
            told: hearing.told,
            unanswered,
            begun,
            sent: self.sent.load(Ordering::Relaxed),
            resent: hearing.resent,
            reconnects,
            retry_after_ms: hearing.retry_after_ms,
            script: self.script,
        })
    }

    /// Another connection; none when the phase is over.
    async fn redial(&self) -> Result<Option<Dialled>, ConnectError> {
        let began = Instant::now();
        while self.control.stage() < Stage::Over {
            match self.dial.connect().await {
                Ok(dialled) => return Ok(Some(dialled)),
                Err(error) if error.is_passing() && began.elapsed() < self.control.patience => tokio::time::sleep(REDIAL).await,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn send_unanswered_again(&self, hearing: &mut Hearing) {
        let mut again = self.again.lock();
        let waiting: HashSet<u32> = again.later.iter().map(|Reverse((_, n))| *n).collect();
        again.now = self.unanswered(hearing).filter(|n| !waiting.contains(n)).collect();
        hearing.resent += again.now.len() as u64;
        hearing.uncertain.extend(&again.now);
    }

    /// The requests that were sent and have no last answer.
    fn unanswered<'a>(&'a self, hearing: &'a Hearing) -> impl Iterator<Item = u32> + 'a {
        let begun = self.begun.load(Ordering::Relaxed);
        let follows = self.script.len()..self.script.len() + self.script.follows();
        let numbers = (hearing.none_open_before..begun).chain(follows);
        numbers.filter(|n| self.is_open(*n, hearing)).map(|n| n as u32)
    }

    /// Whether a request was sent, or is about to be sent, and has no last answer.
    fn is_open(&self, n: usize, hearing: &Hearing) -> bool {
        let is_sent = match n.checked_sub(self.script.len()) {
            None => n < self.begun.load(Ordering::Relaxed),
            Some(follow) => self.follows.get(follow).is_some_and(|follow| follow.hold().is_some()),
        };
        is_sent && hearing.told[n].is_none()
    }

    async fn write(&self, send: &mut SendStream) -> Result<(), LaneError> {
        loop {
            let mut frames = Vec::new();
            let mut count = self.take_again(&mut frames);
            count += self.take_new(WRITTEN_AT_ONCE.saturating_sub(count), &mut frames);
            self.note_waiting();
            if count == 0 {
                self.wait().await;
                continue;
            }
            self.sent.fetch_add(count as u64, Ordering::Relaxed);
            send.write_chunk(Bytes::from(frames)).await?;
        }
    }

    /// Waits until there may be something to write.
    async fn wait(&self) {
        let retry_ns = self.again.lock().later.peek().map(|Reverse((at_ns, _))| *at_ns);
        match retry_ns {
            None => self.signals.writer.notified().await,
            Some(at_ns) => {
                let until = self.control.recorder.started() + Duration::from_nanos(at_ns);
                tokio::select! {
                    () = self.signals.writer.notified() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                }
            }
        }
    }

    fn note_waiting(&self) {
        let begun = self.begun.load(Ordering::Relaxed);
        let due = match &self.gate {
            Gate::Window { .. } => begun,
            Gate::Due(released) => released.due(),
        };
        let due = due.max(begun) + self.followed.load(Ordering::Relaxed);
        self.signals.waiting.store(due > self.done.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Appends what is to be sent again by now. Returns how many.
    fn take_again(&self, frames: &mut Vec<u8>) -> usize {
        let mut again = self.again.lock();
        if again.now.is_empty() && again.later.is_empty() {
            return 0;
        }
        let now_ns = self.control.recorder.now_ns();
        let mut count = 0;
        while count < WRITTEN_AT_ONCE {
            let next = match again.now.pop_front() {
                Some(n) => n,
                None => match again.later.peek() {
                    Some(Reverse((at_ns, n))) if *at_ns <= now_ns => {
                        let n = *n;
                        again.later.pop();
                        n
                    }
                    Some(_) | None => break,
                },
            };
            let next = next as usize;
            match next.checked_sub(self.script.len()).and_then(|follow| self.follows[follow].hold()) {
                None => self.script.push_frame(next, frames),
                Some(hold) => self.script.push_follow(next, hold, frames),
            }
            count += 1;
        }
        count
    }

    /// Appends what may be sent for the first time. Returns how many.
    fn take_new(&self, most: usize, frames: &mut Vec<u8>) -> usize {
        let begun = self.begun.load(Ordering::Relaxed);
        let open = match &self.gate {
            Gate::Window { window, .. } => {
                let in_flight = begun + self.followed.load(Ordering::Relaxed) - self.done.load(Ordering::Relaxed);
                window.saturating_sub(in_flight).min(self.script.len() - begun)
            }
            Gate::Due(released) => released.due() - begun,
        };
        let count = open.min(most);
        if count == 0 || self.control.stage() >= Stage::NothingNew {
            return 0;
        }
        frames.reserve(count * 96);
        if let Gate::Window { sent_at, .. } = &self.gate {
            let now_ns = self.control.recorder.now_ns();
            sent_at[begun..begun + count].iter().for_each(|sent| sent.store(now_ns, Ordering::Relaxed));
        }
        (begun..begun + count).for_each(|n| self.script.push_frame(n, frames));
        self.begun.store(begun + count, Ordering::Relaxed);
        count
    }

    /// Hears answers until the last is there, or is not waited for any more.
    async fn read(&self, receive: &mut RecvStream, hearing: &mut Hearing) -> Result<(), LaneError> {
        let mut frames = FrameBuffer::default();
        let mut pieces = vec![Bytes::new(); 256];
        loop {
            if self.control.stage() >= Stage::NothingAgain {
                self.give_up_busy(hearing);
            }
            if self.is_finished() {
                return Ok(());
            }
            let read = tokio::select! {
                biased;
                read = receive.read_chunks(&mut pieces) => read?,
                () = self.signals.reader.notified() => continue,
            };
            let Some(read) = read else {
                let (answered, asked) = (self.done.load(Ordering::Relaxed), self.script.len());
                return Err(LaneError::Ended { answered, asked });
            };
            pieces[..read].iter_mut().for_each(|piece| frames.extend(&std::mem::take(piece)));
            let now_ns = self.control.recorder.now_ns();
            let (mut busy, before) = (0, hearing.told_count);
            while let Some(frame) = frames.next(REPLY_BYTES_MAX)? {
                busy += u64::from(self.hear(&frame, now_ns, hearing)?);
            }
            self.control.recorder.record(now_ns, &hearing.latencies_ns, busy);
            hearing.latencies_ns.clear();
            self.done.fetch_add(hearing.told_count - before, Ordering::Relaxed);
            self.signals.wake();
        }
    }

    fn is_finished(&self) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        let stage = self.control.stage();
        let nothing_new = begun == self.script.len() || stage >= Stage::NothingNew;
        let sent = begun + self.followed.load(Ordering::Relaxed);
        stage == Stage::Over || (nothing_new && self.done.load(Ordering::Relaxed) == sent)
    }

    /// Takes one answer. Returns whether it was busy.
    fn hear(&self, frame: &Frame<'_>, now_ns: u64, hearing: &mut Hearing) -> Result<bool, LaneError> {
        let n = frame.correlation as usize;
        if !self.is_open(n, hearing) {
            return Err(LaneError::Unasked { correlation: frame.correlation });
        }
        let number = n as u32;
        let told = Told::read(self.script.shape(n), frame)?;
        if let Told::Refused(Refusal::Busy { retry_after_ms }) = told {
            self.hear_busy(number, retry_after_ms, now_ns, hearing);
            return Ok(true);
        }
        let uncertain = hearing.uncertain.contains(&number);
        // The guard of a running engine refuses as a busy one does, but waiting for it would only measure the waiting. A refusal of a
        // retry says nothing about the first attempt.
        if matches!(told, Told::Refused(Refusal::TooManyMisses { .. })) || (uncertain && matches!(told, Told::Refused(_))) {
            hearing.tell(number, Told::Busy { uncertain });
            return Ok(true);
        }
        let origin_ns = match n.checked_sub(self.script.len()) {
            None => self.gate.origin_ns(n),
            Some(follow) => self.follows[follow].due_ns.load(Ordering::Relaxed),
        };
        hearing.latencies_ns.push(now_ns.saturating_sub(origin_ns));
        if let Told::Hold(HoldOutcome::Held(held)) = &told
            && let Some(follow) = self.script.follow_of(n)
        {
            self.follow(follow, held.hold, now_ns, hearing);
        }
        hearing.tell(number, told);
        Ok(false)
    }

    /// Has what follows a hold sent, ahead of what is new: so there are never more of them than holds were in flight.
    fn follow(&self, n: usize, hold: Position, now_ns: u64, hearing: &mut Hearing) {
        if self.control.stage() >= Stage::NothingAgain {
            hearing.unfollowed += 1;
            return;
        }
        let follow = &self.follows[n - self.script.len()];
        follow.due_ns.store(now_ns, Ordering::Relaxed);
        follow.hold.store(hold.0, Ordering::Relaxed);
        self.followed.fetch_add(1, Ordering::Relaxed);
        self.again.lock().now.push_back(n as u32);
    }

    fn hear_busy(&self, number: u32, retry_after_ms: u32, now_ns: u64, hearing: &mut Hearing) {
        let (low, high) = hearing.retry_after_ms.unwrap_or((retry_after_ms, retry_after_ms));
        hearing.retry_after_ms = Some((low.min(retry_after_ms), high.max(retry_after_ms)));
        if self.control.on_busy == OnBusy::Refused || self.control.stage() >= Stage::NothingAgain {
            let uncertain = hearing.uncertain.contains(&number);
            return hearing.tell(number, Told::Busy { uncertain });
        }
        let refusals = hearing.refusals.entry(number).or_default();
        let wait_ns = (u64::from(retry_after_ms) * 1_000_000) << (*refusals).min(DOUBLINGS_MAX);
        *refusals += 1;
        // Not all at once: those who were refused together would only meet again.
        let at_ns = now_ns + wait_ns + hearing.random.u64(..=wait_ns / 2);
        self.again.lock().later.push(Reverse((at_ns, number)));
    }

    /// What waits to be sent again after a busy answer is not: that was the answer.
    fn give_up_busy(&self, hearing: &mut Hearing) {
        let later = std::mem::take(&mut self.again.lock().later);
        self.done.fetch_add(later.len(), Ordering::Relaxed);
        for Reverse((_, n)) in later {
            let uncertain = hearing.uncertain.contains(&n);
            hearing.tell(n, Told::Busy { uncertain });
        }
    }
}

impl Hearing {
    /// Of a script of so many requests. Its memory is touched here, before the clock starts: the pages that the operating system has to
    /// find for it are not the engine's affair.
    pub(crate) fn new(count: usize, seed: u64) -> Hearing {
        let mut latencies_ns = vec![u64::MAX; LATENCIES_AT_ONCE];
        latencies_ns.clear();
        Hearing {
            told: vec![None; count],
            told_count: 0,
            unfollowed: 0,
            none_open_before: 0,
            refusals: HashMap::new(),
            uncertain: HashSet::new(),
            retry_after_ms: None,
            random: fastrand::Rng::with_seed(seed),
            latencies_ns,
            resent: 0,
        }
    }

    fn tell(&mut self, n: u32, told: Told) {
        self.told[n as usize] = Some(told);
        self.told_count += 1;
        while self.told.get(self.none_open_before).is_some_and(Option::is_some) {
            self.none_open_before += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each request of a load before its clock starts.
    #[test]
    fn an_answer_takes_little_memory() {
        assert!(size_of::<Option<Told>>() <= 56, "{}", size_of::<Option<Told>>());
    }
}
