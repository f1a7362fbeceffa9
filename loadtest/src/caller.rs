//! A caller: one connection at a time, the requests of one script over it, and the answer to each.
//!
//! Writer and reader of a connection are one task. When the connection is closed or lost, the caller opens another and first sends
//! the unanswered requests again, under the same ids.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{RecvStream, SendStream, VarInt};
use scrip_client::{ConnectError, Dial, Dialled};
use scrip_protocol::command::HoldOutcome;
use scrip_protocol::frame::{Frame, FrameBuffer, REPLY_BYTES_MAX};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{Position, Refusal};
use tokio::sync::Notify;

use crate::answer::Answer;
use crate::control::{Control, DriveError, OnBusy, Stage};
use crate::lane::{LaneError, WRITTEN_AT_ONCE};
use crate::mix::Script;
use crate::pace::Released;

/// How often the waiting time of a busy request is doubled at most.
const DOUBLINGS_MAX: u32 = 5;

/// Requests that follow holds for which memory is reserved at the start: as many as the widest window has.
const FOLLOWS_AT_ONCE: usize = 32_768;

/// Answers read at once for which memory is reserved at the start.
const LATENCIES_AT_ONCE: usize = 32_768;

/// The time between attempts to reconnect.
const REDIAL: Duration = Duration::from_millis(20);

/// Determines when requests may be sent.
pub(crate) enum Gate {
    /// At most so many in flight.
    Window {
        window: usize,
        /// When each was first sent, in nanoseconds from the start.
        sent_at: Vec<AtomicU64>,
    },
    /// Those that the pacer has released.
    Due(Arc<Released>),
}

impl Gate {
    pub(crate) fn window(window: usize, count: usize) -> Gate {
        // Not zeros, for which the system would only reserve pages: they must exist before the clock starts.
        Gate::Window { window: window.max(1), sent_at: (0..count).map(|_| AtomicU64::new(u64::MAX)).collect() }
    }

    pub(crate) fn released(&self) -> Option<Arc<Released>> {
        match self {
            Gate::Window { .. } => None,
            Gate::Due(released) => Some(released.clone()),
        }
    }

    /// The time from which the latency of a request counts.
    fn origin_ns(&self, n: usize) -> u64 {
        match self {
            Gate::Window { sent_at, .. } => sent_at[n].load(Ordering::Relaxed),
            Gate::Due(released) => released.times[n],
        }
    }
}

/// Notifies a caller of changes.
#[derive(Default)]
pub(crate) struct Signals {
    writer: Notify,
    reader: Notify,
    cut: Notify,
    waiting: AtomicBool,
}

impl Signals {
    /// Wakes the writer: there may be something to write.
    pub(crate) fn wake(&self) {
        self.writer.notify_one();
    }

    /// The phase has entered another stage.
    pub(crate) fn stage_changed(&self) {
        self.writer.notify_one();
        self.reader.notify_one();
    }

    /// Makes the caller close its connection and open another.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Whether an answer is outstanding, or a request waits to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The answers that a caller received, and how it received them.
pub(crate) struct CallerReport {
    pub(crate) script: Script,
    /// By the request's number in the script.
    pub(crate) answers: Vec<Option<Answer>>,
    /// The requests that were sent and never answered.
    pub(crate) unanswered: Vec<u32>,
    /// How many requests of the script were sent, without those that follow holds.
    pub(crate) begun: usize,
    /// Holds that were placed too late to be followed by a request.
    pub(crate) unfollowed: usize,
    /// How many requests followed holds.
    pub(crate) followed: usize,
    /// How many requests were sent, each attempt counted.
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
    /// The requests that follow holds, as the script numbers them.
    follows: Vec<Follow>,
    /// How many requests of the script have been sent, without those that follow holds.
    begun: AtomicUsize,
    /// How many requests that follow holds were sent or queued.
    followed: AtomicUsize,
    /// How many of all these have their final answer.
    done: AtomicUsize,
    sent: AtomicU64,
}

/// A request that follows a hold.
struct Follow {
    /// The hold; 0, which is no position of a record, until it is placed.
    hold: AtomicU64,
    /// When it was placed, in nanoseconds from the start: its follow-up is due then.
    due_ns: AtomicU64,
}

impl Follow {
    fn hold(&self) -> Option<Position> {
        Some(Position(self.hold.load(Ordering::Relaxed))).filter(|hold| hold.0 != 0)
    }
}

/// The state of the reader, which nothing else uses.
pub(crate) struct Reading {
    /// The final answer to each request, by its number in the script.
    answers: Vec<Option<Answer>>,
    /// How many of them there are.
    answered: usize,
    unfollowed: usize,
    /// Every request before this number has its final answer.
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

    /// Sends the script and reads the answers, over as many connections as necessary.
    pub(crate) async fn run(self, first: Dialled, mut reading: Reading) -> Result<CallerReport, DriveError> {
        let mut reconnects = 0;
        let mut next = Some(first);
        while let Some(mut dialled) = next.take() {
            let ended = tokio::select! {
                biased;
                written = self.write(&mut dialled.send) => written.map(|()| false),
                read = self.read(&mut dialled.receive, &mut reading) => read.map(|()| true),
                () = self.signals.cut.notified() => Ok(false),
            };
            let why = dialled.connection.close_reason().map(|why| ConnectError::of(&why, dialled.address));
            dialled.connection.close(VarInt::from_u32(CloseCode::Done as u32), b"");
            match ended {
                Ok(true) => break,
                Ok(false) => {}
                Err(wrong @ (LaneError::Malformed(_) | LaneError::Unrequested { .. })) => return Err(wrong.into()),
                // The connection was lost; its close reason tells whether a retry can help.
                Err(LaneError::Write(_) | LaneError::Read(_) | LaneError::Ended { .. }) => {
                    if let Some(error) = why
                        && !error.is_passing()
                    {
                        return Err(error.into());
                    }
                }
            }
            drop(dialled);
            self.send_unanswered_again(&mut reading);
            next = self.redial().await?;
            reconnects += 1;
        }
        let begun = self.begun.load(Ordering::Relaxed);
        let unanswered = self.unanswered(&reading).collect();
        Ok(CallerReport {
            unfollowed: reading.unfollowed,
            followed: self.followed.load(Ordering::Relaxed),
            answers: reading.answers,
            unanswered,
            begun,
            sent: self.sent.load(Ordering::Relaxed),
            resent: reading.resent,
            reconnects,
            retry_after_ms: reading.retry_after_ms,
            script: self.script,
        })
    }

    /// Opens another connection; returns `None` if the phase is over.
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

    fn send_unanswered_again(&self, reading: &mut Reading) {
        let mut again = self.again.lock();
        let waiting: HashSet<u32> = again.later.iter().map(|Reverse((_, n))| *n).collect();
        again.now = self.unanswered(reading).filter(|n| !waiting.contains(n)).collect();
        reading.resent += again.now.len() as u64;
        reading.uncertain.extend(&again.now);
    }

    /// The requests that were sent and have no final answer.
    fn unanswered<'a>(&'a self, reading: &'a Reading) -> impl Iterator<Item = u32> + 'a {
        let begun = self.begun.load(Ordering::Relaxed);
        let follows = self.script.len()..self.script.len() + self.script.follows();
        let numbers = (reading.none_open_before..begun).chain(follows);
        numbers.filter(|n| self.is_open(*n, reading)).map(|n| n as u32)
    }

    /// Whether a request was sent, or is about to be sent, and has no final answer.
    fn is_open(&self, n: usize, reading: &Reading) -> bool {
        let is_sent = match n.checked_sub(self.script.len()) {
            None => n < self.begun.load(Ordering::Relaxed),
            Some(follow) => self.follows.get(follow).is_some_and(|follow| follow.hold().is_some()),
        };
        is_sent && reading.answers[n].is_none()
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

    /// Appends the retries that are due. Returns how many.
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

    /// Appends requests that may be sent for the first time. Returns how many.
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

    /// Reads answers until the last one, or until the phase is over.
    async fn read(&self, receive: &mut RecvStream, reading: &mut Reading) -> Result<(), LaneError> {
        let mut frames = FrameBuffer::default();
        let mut pieces = vec![Bytes::new(); 256];
        loop {
            if self.control.stage() >= Stage::NothingAgain {
                self.give_up_busy(reading);
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
                let (answered, requests) = (self.done.load(Ordering::Relaxed), self.script.len());
                return Err(LaneError::Ended { answered, requests });
            };
            pieces[..read].iter_mut().for_each(|piece| frames.extend(&std::mem::take(piece)));
            let now_ns = self.control.recorder.now_ns();
            let (mut busy, before) = (0, reading.answered);
            while let Some(frame) = frames.next(REPLY_BYTES_MAX)? {
                busy += u64::from(self.take_answer(&frame, now_ns, reading)?);
            }
            self.control.recorder.record(now_ns, &reading.latencies_ns, busy);
            reading.latencies_ns.clear();
            self.done.fetch_add(reading.answered - before, Ordering::Relaxed);
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
    fn take_answer(&self, frame: &Frame<'_>, now_ns: u64, reading: &mut Reading) -> Result<bool, LaneError> {
        let n = frame.correlation as usize;
        if !self.is_open(n, reading) {
            return Err(LaneError::Unrequested { correlation: frame.correlation });
        }
        let number = n as u32;
        let answer = Answer::read(self.script.shape(n), frame)?;
        if let Answer::Refused(Refusal::Busy { retry_after_ms }) = answer {
            self.take_busy(number, retry_after_ms, now_ns, reading);
            return Ok(true);
        }
        let uncertain = reading.uncertain.contains(&number);
        // A lockout counts as busy: waiting for its end would only measure the lockout. A refusal of a retry does not reveal the outcome
        // of the first attempt.
        if matches!(answer, Answer::Refused(Refusal::TooManyMisses { .. })) || (uncertain && matches!(answer, Answer::Refused(_)))
        {
            reading.set_answer(number, Answer::Busy { uncertain });
            return Ok(true);
        }
        let origin_ns = match n.checked_sub(self.script.len()) {
            None => self.gate.origin_ns(n),
            Some(follow) => self.follows[follow].due_ns.load(Ordering::Relaxed),
        };
        reading.latencies_ns.push(now_ns.saturating_sub(origin_ns));
        if let Answer::Hold(HoldOutcome::Held(held)) = &answer
            && let Some(follow) = self.script.follow_of(n)
        {
            self.follow(follow, held.hold, now_ns, reading);
        }
        reading.set_answer(number, answer);
        Ok(false)
    }

    /// Queues the request that follows a hold, ahead of new ones: there are never more of them than holds were in flight.
    fn follow(&self, n: usize, hold: Position, now_ns: u64, reading: &mut Reading) {
        if self.control.stage() >= Stage::NothingAgain {
            reading.unfollowed += 1;
            return;
        }
        let follow = &self.follows[n - self.script.len()];
        follow.due_ns.store(now_ns, Ordering::Relaxed);
        follow.hold.store(hold.0, Ordering::Relaxed);
        self.followed.fetch_add(1, Ordering::Relaxed);
        self.again.lock().now.push_back(n as u32);
    }

    fn take_busy(&self, number: u32, retry_after_ms: u32, now_ns: u64, reading: &mut Reading) {
        let (low, high) = reading.retry_after_ms.unwrap_or((retry_after_ms, retry_after_ms));
        reading.retry_after_ms = Some((low.min(retry_after_ms), high.max(retry_after_ms)));
        if self.control.on_busy == OnBusy::Refused || self.control.stage() >= Stage::NothingAgain {
            let uncertain = reading.uncertain.contains(&number);
            return reading.set_answer(number, Answer::Busy { uncertain });
        }
        let refusals = reading.refusals.entry(number).or_default();
        let wait_ns = (u64::from(retry_after_ms) * 1_000_000) << (*refusals).min(DOUBLINGS_MAX);
        *refusals += 1;
        // Spread out: requests that were refused together would otherwise be sent together again.
        let at_ns = now_ns + wait_ns + reading.random.u64(..=wait_ns / 2);
        self.again.lock().later.push(Reverse((at_ns, number)));
    }

    /// Gives up the retries of busy requests: busy is their answer.
    fn give_up_busy(&self, reading: &mut Reading) {
        let later = std::mem::take(&mut self.again.lock().later);
        self.done.fetch_add(later.len(), Ordering::Relaxed);
        for Reverse((_, n)) in later {
            let uncertain = reading.uncertain.contains(&n);
            reading.set_answer(n, Answer::Busy { uncertain });
        }
    }
}

impl Reading {
    /// For a script of `count` requests. Touches its memory before the clock starts: the page faults are not the engine's time.
    pub(crate) fn new(count: usize, seed: u64) -> Reading {
        let mut latencies_ns = vec![u64::MAX; LATENCIES_AT_ONCE];
        latencies_ns.clear();
        Reading {
            answers: vec![None; count],
            answered: 0,
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

    fn set_answer(&mut self, n: u32, answer: Answer) {
        self.answers[n as usize] = Some(answer);
        self.answered += 1;
        while self.answers.get(self.none_open_before).is_some_and(Option::is_some) {
            self.none_open_before += 1;
        }
    }
}
