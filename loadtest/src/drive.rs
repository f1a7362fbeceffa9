//! A phase under way: its connections, the pacer, storms, and the end.
//!
//! Everything that a phase sends is written before its clock starts. Each connection is driven by one task ([`crate::caller`]); what
//! waits, waits here and is counted: a request that is due stays due however long the engine takes no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use scrip_client::{ConnectError, Dial};
use scrip_protocol::RequestId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::caller::{Caller, Gate, Heard, Hearing, Told};
use crate::lane::LaneError;
use crate::mix::{Script, Shape};
use crate::pace::{Pacer, Released};
use crate::processor::ProcessorTime;
use crate::recorder::Recorder;
use crate::report::{Interval, Model, Particulars, Phase};

/// How often the coordinator looks whether anything moves.
const LOOK: Duration = Duration::from_millis(100);

/// What a busy answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// The request is sent again after the time it is told, twice as long each time it is told so again; its latency counts from when
    /// it was due first.
    #[default]
    Retry,
    /// That was the answer.
    Refused,
}

/// Connections that are closed and opened again in the middle of requests. What is unanswered then is sent again under the same ids.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Storm {
    /// How often, in milliseconds.
    pub every_ms: u64,
    /// Which share of the connections each time.
    pub share: f64,
}

/// How a phase is driven.
#[derive(Debug, Clone)]
pub struct Drive {
    /// What becomes of busy answers.
    pub on_busy: OnBusy,
    /// Reconnects, if any.
    pub storm: Option<Storm>,
    /// What storms and waiting times are drawn from.
    pub seed: u64,
    /// Nothing new is sent after so long, though there be more.
    pub sending_max: Option<Duration>,
    /// Busy requests are not tried again, nor due ones sent, so long after the last was due or sending was over.
    pub drain_max: Duration,
    /// With nothing answered for so long, the phase is broken off.
    pub patience: Duration,
    /// Ends it early, once true.
    pub stop: watch::Receiver<bool>,
}

impl Drive {
    /// Retries, no storms, a minute to drain, half a minute of patience; nobody stops it.
    pub fn new() -> Drive {
        Drive {
            on_busy: OnBusy::Retry,
            storm: None,
            seed: 1,
            sending_max: None,
            drain_max: Duration::from_secs(60),
            patience: Duration::from_secs(30),
            // A sender that is gone has said all it will say.
            stop: watch::channel(false).1,
        }
    }
}

impl Default for Drive {
    fn default() -> Drive {
        Drive::new()
    }
}

/// How the requests of each connection are offered.
#[derive(Debug)]
pub enum Offer {
    /// So many in flight on each connection.
    Window(usize),
    /// Each at its time, in nanoseconds from the start: one list for each connection.
    Due(Vec<Vec<u64>>),
}

/// Why a phase ended early.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] ConnectError),
    /// A lane ended.
    #[error("a lane ended: {0}")]
    Lane(#[from] LaneError),
}

/// How far a phase is. It only ever goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Requests are sent.
    Sending = 0,
    /// Nothing new is sent.
    NothingNew = 1,
    /// Nothing that was busy is sent again either.
    NothingAgain = 2,
    /// Answers are not waited for any more.
    Over = 3,
}

/// What the coordinator and the connections share.
pub(crate) struct Control {
    stage: AtomicU8,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) on_busy: OnBusy,
    pub(crate) patience: Duration,
}

impl Control {
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Sending,
            1 => Stage::NothingNew,
            2 => Stage::NothingAgain,
            _ => Stage::Over,
        }
    }
}

/// What came of each request id.
pub type Outcomes = HashMap<RequestId, Came>;

/// What came of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Came {
    /// What the request is.
    pub shape: Shape,
    /// The answer; `None` where none came.
    pub told: Option<Told>,
    /// An answer that differs from it, if there was one.
    pub otherwise: Option<Box<Told>>,
}

/// What a phase found.
#[derive(Debug)]
pub struct Driven {
    /// The answer to each id that was sent.
    pub outcomes: Outcomes,
    /// Requests of the scripts that were never sent: there was no time for them.
    pub unsent: usize,
    /// Requests that followed holds, beside those that were planned.
    pub followed: u64,
    /// How many requests were sent, each again for every time that it was.
    pub sent: u64,
    /// How often the engine was busy.
    pub busy: u64,
    /// How long callers were told to wait then, at the least and at the most, in milliseconds.
    pub retry_after_ms: Option<(u32, u32)>,
    /// Requests that were sent again over another connection.
    pub resent: u64,
    /// Connections opened anew.
    pub reconnects: u64,
    /// Requests without any answer.
    pub unanswered: usize,
    /// Repeats that were answered as what they repeat.
    pub repeats_alike: usize,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// Over time.
    pub series: Vec<Interval>,
    /// How late the pacer released what was due, in nanoseconds; empty without one.
    pub pacing: Histogram<u64>,
    /// Answers by their words, repeats counted.
    pub words: BTreeMap<&'static str, u64>,
    /// Requests that activated a code; however often each was repeated.
    pub activations: u64,
    /// The processor time of the process from the start to the end. None where the system does not tell.
    pub processor: Option<ProcessorTime>,
}

impl Driven {
    /// As a phase of a report.
    pub fn phase(&self, name: &str, model: Model, connections: usize, particulars: Particulars) -> Phase {
        Phase {
            name: name.to_owned(),
            model,
            connections,
            sent: self.sent,
            answers: self.words.clone(),
            busy: self.busy,
            elapsed: self.elapsed,
            latency: self.latency.clone(),
            series: self.series.clone(),
            activations: self.activations,
            processor: self.processor,
            particulars,
        }
    }
}

/// Connects, sends each script over a connection of its own as the offer says, and waits for the answers. `begin` makes the recorder,
/// once all are connected: the clock starts there.
///
/// # Errors
/// When a connection cannot be had within the patience, or is closed for a reason that trying again will not mend.
pub async fn drive(
    dial: &Dial,
    scripts: Vec<Script>,
    offer: Offer,
    drive: &Drive,
    begin: impl FnOnce() -> Arc<Recorder>,
) -> Result<Driven, DriveError> {
    let mut dialled = Vec::with_capacity(scripts.len());
    for _ in &scripts {
        dialled.push(dial.connect().await?);
    }
    let planned: usize = scripts.iter().map(Script::len).sum();
    let (gates, last_due) = gates(offer, &scripts);
    let released: Vec<_> = gates.iter().filter_map(Gate::released).collect();
    let hearings: Vec<_> =
        (0..).zip(&scripts).map(|(n, script)| Hearing::new(script.len() + script.follows(), drive.seed ^ n)).collect();
    let processor = ProcessorTime::now();
    let recorder = begin();
    let control = Arc::new(Control {
        stage: AtomicU8::new(Stage::Sending as u8),
        recorder: recorder.clone(),
        on_busy: drive.on_busy,
        patience: drive.patience,
    });
    let mut tasks = JoinSet::new();
    let mut wakes = Vec::new();
    for (((script, gate), dialled), hearing) in scripts.into_iter().zip(gates).zip(dialled).zip(hearings) {
        let caller = Caller::new(dial.clone(), script, gate, control.clone());
        wakes.push(caller.signals());
        tasks.spawn(caller.run(dialled, hearing));
    }
    let pacer = (!released.is_empty()).then(|| {
        let wakes = wakes.clone();
        Pacer::start(recorder.started(), released, move |at| wakes[at].wake())
    });
    let raise = |stage: Stage| {
        control.stage.fetch_max(stage as u8, Ordering::AcqRel);
        wakes.iter().for_each(|signals| signals.stage_changed());
    };

    let started = recorder.started();
    // When sending is over by itself or by the clock; the time to drain counts from there.
    let mut sending_until = [last_due, drive.sending_max].into_iter().flatten().min();
    let mut weather = fastrand::Rng::with_seed(drive.seed ^ 0x5704);
    let mut next_storm = drive.storm.map(|storm| Duration::from_millis(storm.every_ms.max(1)));
    let mut moved = (0, started);
    let mut look = tokio::time::interval(LOOK.min(next_storm.unwrap_or(LOOK)));
    let mut stop = drive.stop.clone();
    let mut stoppable = true;
    let mut heard = Vec::new();
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => heard.push(ended.expect("a caller does not panic")?),
                None => break,
            },
            stopped = stop.wait_for(|stop| *stop), if stoppable => {
                stoppable = false;
                if stopped.is_ok() {
                    raise(Stage::NothingAgain);
                }
            }
            _ = look.tick() => {
                let elapsed = started.elapsed();
                if let (Some(storm), Some(due)) = (drive.storm, next_storm)
                    && elapsed >= due
                {
                    next_storm = Some(due + Duration::from_millis(storm.every_ms.max(1)));
                    wakes.iter().filter(|_| weather.f64() < storm.share).for_each(|signals| signals.cut());
                }
                if drive.sending_max.is_some_and(|max| elapsed >= max) {
                    raise(Stage::NothingNew);
                }
                if sending_until.is_some_and(|until| elapsed >= until + drive.drain_max) {
                    raise(Stage::NothingAgain);
                    sending_until = None;
                }
                let so_far = recorder.so_far();
                let told = so_far.answered + so_far.busy;
                if told > moved.0 || !waiting(&wakes) {
                    moved = (told, Instant::now());
                } else if moved.1.elapsed() >= drive.patience {
                    raise(Stage::Over);
                }
            }
        }
    }
    let pacing = pacer.map_or_else(crate::recorder::histogram, Pacer::stop);
    let processor = ProcessorTime::now().zip(processor).map(|(now, before)| now.since(before));
    Ok(Driven { processor, ..gather(heard, planned, &recorder, pacing) })
}

/// Whether any connection waits for an answer or has something to send: silence between requests that are not due yet is none.
fn waiting(wakes: &[Arc<crate::caller::Signals>]) -> bool {
    wakes.iter().any(|signals| signals.is_waiting())
}

fn gates(offer: Offer, scripts: &[Script]) -> (Vec<Gate>, Option<Duration>) {
    match offer {
        Offer::Window(window) => (scripts.iter().map(|script| Gate::window(window, script.len())).collect(), None),
        Offer::Due(times) => {
            let last = times.iter().filter_map(|times| times.last()).max().copied().unwrap_or(0);
            let gates = times.into_iter().map(|times| Gate::Due(Arc::new(Released::new(times)))).collect();
            (gates, Some(Duration::from_nanos(last)))
        }
    }
}

fn gather(heard: Vec<Heard>, planned: usize, recorder: &Recorder, pacing: Histogram<u64>) -> Driven {
    let (latency, series, elapsed) = recorder.finish();
    let mut driven = Driven {
        outcomes: HashMap::with_capacity(heard.iter().map(|heard| heard.told.len()).sum()),
        unsent: planned,
        followed: 0,
        sent: 0,
        busy: recorder.so_far().busy,
        retry_after_ms: None,
        resent: 0,
        reconnects: 0,
        unanswered: 0,
        repeats_alike: 0,
        elapsed,
        latency,
        series,
        pacing,
        words: BTreeMap::new(),
        activations: 0,
        processor: None,
    };
    for heard in heard {
        driven.unsent -= heard.begun;
        driven.unsent += heard.unfollowed;
        driven.followed += heard.followed as u64;
        driven.sent += heard.sent;
        driven.resent += heard.resent;
        driven.reconnects += heard.reconnects;
        if let Some((low, high)) = heard.retry_after_ms {
            let (lowest, highest) = driven.retry_after_ms.unwrap_or((low, high));
            driven.retry_after_ms = Some((lowest.min(low), highest.max(high)));
        }
        driven.unanswered += heard.unanswered.len();
        for (n, told) in heard.told.into_iter().enumerate() {
            let Some(told) = told else { continue };
            if let Some(word) = told.word() {
                *driven.words.entry(word).or_default() += 1;
            }
            let (id, shape) = (heard.script.id(n), heard.script.shape(n));
            let came = driven.outcomes.entry(id).or_insert(Came { shape, told: None, otherwise: None });
            match (&came.told, told) {
                (None, told) => came.told = Some(told),
                // Whatever is known more exactly is kept: an answer rather than that there was none.
                (Some(Told::Busy { .. }), told) => came.told = Some(told),
                (Some(_), Told::Busy { .. }) => {}
                (Some(before), told) if *before == told => driven.repeats_alike += 1,
                (Some(_), told) => came.otherwise = Some(Box::new(told)),
            }
        }
        for n in heard.unanswered {
            let (id, shape) = (heard.script.id(n as usize), heard.script.shape(n as usize));
            driven.outcomes.entry(id).or_insert(Came { shape, told: None, otherwise: None });
        }
    }
    let activates = |came: &&Came| came.told.as_ref().is_some_and(|told| told.activated().is_some());
    driven.activations = driven.outcomes.values().filter(activates).count() as u64;
    driven
}
