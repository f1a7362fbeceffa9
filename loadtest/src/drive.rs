//! Drives a phase: its connections, the pacer, storms, and the end.
//!
//! All requests of a phase are encoded before its clock starts. One task drives each connection ([`crate::caller`]). A request that
//! is due stays due while the engine accepts nothing, and its latency counts from then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use scrip_client::Dial;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::answer::{Exchange, Exchanges};
use crate::caller::{Caller, CallerReport, Gate, Reading, Signals};
use crate::control::{Control, DriveError, OnBusy, Stage};
use crate::mix::Script;
use crate::pace::{Pacer, Released};
use crate::processor::ProcessorTime;
use crate::recorder::Recorder;
use crate::report::{Interval, Model, Particulars, Phase};

/// How often the coordinator checks for progress.
const LOOK: Duration = Duration::from_millis(100);

/// Connections that are closed and reopened with requests under way. Unanswered requests are retried under the same ids.
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
    /// How busy answers are handled.
    pub on_busy: OnBusy,
    /// Reconnects, if any.
    pub storm: Option<Storm>,
    /// The seed of storms and waiting times.
    pub seed: u64,
    /// After this time nothing new is sent.
    pub sending_max: Option<Duration>,
    /// This long after the last request was due, or after sending ended, busy requests are no longer retried and due ones no longer
    /// sent.
    pub drain_max: Duration,
    /// The phase is aborted if nothing is answered for this long.
    pub patience: Duration,
    /// Ends the phase early when it becomes true.
    pub stop: watch::Receiver<bool>,
}

impl Drive {
    /// Retries, no storms, a minute to drain, half a minute of patience, and no early end.
    pub fn new() -> Drive {
        Drive {
            on_busy: OnBusy::Retry,
            storm: None,
            seed: 1,
            sending_max: None,
            drain_max: Duration::from_secs(60),
            patience: Duration::from_secs(30),
            // Its sender is dropped, so the value never changes.
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
    /// At most so many in flight on each connection.
    Window(usize),
    /// Each at its time, in nanoseconds from the start: one list for each connection.
    Due(Vec<Vec<u64>>),
}

/// The results of a phase.
#[derive(Debug)]
pub struct Driven {
    /// The exchange of each request id that was sent.
    pub exchanges: Exchanges,
    /// Requests of the scripts that were not sent in time.
    pub unsent: usize,
    /// Requests that followed holds, in addition to the planned ones.
    pub followed: u64,
    /// How many requests were sent, each attempt counted.
    pub sent: u64,
    /// How often the engine was busy.
    pub busy: u64,
    /// The shortest and the longest wait that the engine then named, in milliseconds.
    pub retry_after_ms: Option<(u32, u32)>,
    /// Requests that were retried over another connection.
    pub resent: u64,
    /// Reconnects.
    pub reconnects: u64,
    /// Requests without any answer.
    pub unanswered: usize,
    /// Retries with the same answer as the request they retry.
    pub repeats_alike: usize,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// Over time.
    pub series: Vec<Interval>,
    /// How late the pacer released requests, in nanoseconds; empty without one.
    pub pacing: Histogram<u64>,
    /// Answers by their words, retries included.
    pub words: BTreeMap<&'static str, u64>,
    /// Requests that activated a code, each counted once however often it was retried.
    pub activations: u64,
    /// The processor time of the process from the start to the end. `None` if the system does not report it.
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

/// Connects, sends each script over a connection of its own as the offer determines, and waits for the answers. Calls `begin` for the
/// recorder when all are connected: the clock starts there.
///
/// # Errors
/// When a connection cannot be opened within the patience, or is closed for a reason that a retry does not cure.
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
    let readings: Vec<_> =
        (0..).zip(&scripts).map(|(n, script)| Reading::new(script.len() + script.follows(), drive.seed ^ n)).collect();
    let processor = ProcessorTime::now();
    let recorder = begin();
    let control = Arc::new(Control::new(recorder.clone(), drive.on_busy, drive.patience));
    let mut tasks = JoinSet::new();
    let mut wakes = Vec::new();
    for (((script, gate), dialled), reading) in scripts.into_iter().zip(gates).zip(dialled).zip(readings) {
        let caller = Caller::new(dial.clone(), script, gate, control.clone());
        wakes.push(caller.signals());
        tasks.spawn(caller.run(dialled, reading));
    }
    let pacer = (!released.is_empty()).then(|| {
        let wakes = wakes.clone();
        Pacer::start(recorder.started(), released, move |at| wakes[at].wake())
    });
    let raise = |stage: Stage| {
        control.advance(stage);
        wakes.iter().for_each(|signals| signals.stage_changed());
    };

    let started = recorder.started();
    // When sending ends by itself or by the clock; the time to drain counts from there.
    let mut sending_until = [last_due, drive.sending_max].into_iter().flatten().min();
    let mut weather = fastrand::Rng::with_seed(drive.seed ^ 0x5704);
    let mut next_storm = drive.storm.map(|storm| Duration::from_millis(storm.every_ms.max(1)));
    let mut moved = (0, started);
    let mut look = tokio::time::interval(LOOK.min(next_storm.unwrap_or(LOOK)));
    let mut stop = drive.stop.clone();
    let mut stoppable = true;
    let mut reports = Vec::new();
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => reports.push(ended.expect("a caller does not panic")?),
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
                let received = so_far.answered + so_far.busy;
                if received > moved.0 || !waiting(&wakes) {
                    moved = (received, Instant::now());
                } else if moved.1.elapsed() >= drive.patience {
                    raise(Stage::Over);
                }
            }
        }
    }
    let pacing = pacer.map_or_else(crate::recorder::histogram, Pacer::stop);
    let processor = ProcessorTime::now().zip(processor).map(|(now, before)| now.since(before));
    Ok(Driven { processor, ..gather(reports, planned, &recorder, pacing) })
}

/// Whether any connection waits for an answer or has something to send. Before the next request is due, silence is no standstill.
fn waiting(wakes: &[Arc<Signals>]) -> bool {
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

fn gather(reports: Vec<CallerReport>, planned: usize, recorder: &Recorder, pacing: Histogram<u64>) -> Driven {
    let (latency, series, elapsed) = recorder.finish();
    let mut driven = Driven {
        exchanges: HashMap::with_capacity(reports.iter().map(|report| report.answers.len()).sum()),
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
    for report in reports {
        driven.unsent -= report.begun;
        driven.unsent += report.unfollowed;
        driven.followed += report.followed as u64;
        driven.sent += report.sent;
        driven.resent += report.resent;
        driven.reconnects += report.reconnects;
        if let Some((low, high)) = report.retry_after_ms {
            let (lowest, highest) = driven.retry_after_ms.unwrap_or((low, high));
            driven.retry_after_ms = Some((lowest.min(low), highest.max(high)));
        }
        driven.unanswered += report.unanswered.len();
        for (n, answer) in report.answers.into_iter().enumerate() {
            let Some(answer) = answer else { continue };
            if let Some(word) = answer.word() {
                *driven.words.entry(word).or_default() += 1;
            }
            let (id, shape) = (report.script.id(n), report.script.shape(n));
            let exchange = driven.exchanges.entry(id).or_insert_with(|| Exchange::new(shape));
            driven.repeats_alike += usize::from(exchange.add(answer));
        }
        for n in report.unanswered {
            let (id, shape) = (report.script.id(n as usize), report.script.shape(n as usize));
            driven.exchanges.entry(id).or_insert_with(|| Exchange::new(shape));
        }
    }
    let activates = |exchange: &&Exchange| exchange.answer.as_ref().is_some_and(|answer| answer.activated().is_some());
    driven.activations = driven.exchanges.values().filter(activates).count() as u64;
    driven
}
