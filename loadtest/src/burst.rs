//! A burst: the requests of a plan over several connections, as fast as the engine answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use scrip_protocol::client::{ConnectError, Dial};
use scrip_protocol::command::{Redeem, RedeemOutcome};
use scrip_protocol::frame::{push_request, set_correlation};
use scrip_protocol::{Refusal, RequestId};

use crate::lane::{LaneError, pump};
use crate::plan::Planned;

/// How often requests that the engine was too busy for are sent again.
const ROUNDS: usize = 100;

/// What a burst was answered.
pub struct Answers {
    /// The outcome of each request id.
    pub outcomes: HashMap<RequestId, RedeemOutcome>,
    /// How many requests were sent under an id that was answered already, or was answered meanwhile, with the very same outcome.
    pub repeats_alike: usize,
    /// Ids that were answered differently at different times: there must be none.
    pub repeats_unlike: Vec<RequestId>,
    /// Requests that were refused without an outcome, other than busy; and how.
    pub refused: Vec<(RequestId, Refusal)>,
    /// How often the engine was busy.
    pub busy: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Times from sending to answer, in nanoseconds, of a closed loop.
    pub latency: Histogram<u64>,
}

impl Answers {
    /// How many answers with an outcome there were, repeats included.
    pub fn answered(&self) -> usize {
        self.outcomes.len() + self.repeats_alike + self.repeats_unlike.len()
    }

    /// How many requests had each outcome, by its word, repeats not counted.
    pub fn by_word(&self) -> std::collections::BTreeMap<&'static str, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for outcome in self.outcomes.values() {
            *counts.entry(outcome.word()).or_default() += 1;
        }
        counts
    }
}

/// Why a burst ended early.
#[derive(Debug, thiserror::Error)]
pub enum BurstError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A lane ended.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The engine stayed too busy.
    #[error("the engine was still too busy for {0} requests after {ROUNDS} rounds")]
    Busy(usize),
}

/// Of times from a nanosecond to an hour, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order")
}

type Answer = Result<RedeemOutcome, Refusal>;

/// Sends each list over a connection of its own, with at most `window` requests of it in flight. `answered` counts along.
///
/// # Errors
/// When a connection cannot be had or is lost.
pub async fn run(
    dial: &Dial,
    lists: Vec<Vec<Planned>>,
    window: usize,
    answered: &Arc<AtomicUsize>,
) -> Result<Answers, BurstError> {
    let mut lanes = Vec::new();
    for list in lists {
        lanes.push((dial.connect().await?, Written::of(list)));
    }
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (dialled, list) in lanes {
        tasks.spawn(send_list(dialled, list, window, answered.clone()));
    }
    let mut answers = Answers {
        outcomes: HashMap::new(),
        repeats_alike: 0,
        repeats_unlike: Vec::new(),
        refused: Vec::new(),
        busy: 0,
        elapsed: Duration::ZERO,
        latency: histogram(),
    };
    let mut lists = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        lists.push(ended.expect("a sender does not panic")?);
    }
    answers.elapsed = started.elapsed();
    for list in lists {
        answers.busy += list.busy;
        answers.latency.add(&list.latency).expect("both histograms have the same bounds");
        for (request, answer) in list.answers {
            match (answer, answers.outcomes.get(&request)) {
                (Err(refusal), _) => answers.refused.push((request, refusal)),
                (Ok(outcome), Some(before)) if *before == outcome => answers.repeats_alike += 1,
                (Ok(_), Some(_)) => answers.repeats_unlike.push(request),
                (Ok(outcome), None) => drop(answers.outcomes.insert(request, outcome)),
            }
        }
    }
    Ok(answers)
}

/// A list of requests, written before the clock starts: what is measured is not how fast they are made up.
struct Written {
    ids: Vec<RequestId>,
    frames: Vec<u8>,
    ends: Vec<usize>,
}

impl Written {
    fn of(list: Vec<Planned>) -> Written {
        let mut written =
            Written { ids: Vec::with_capacity(list.len()), frames: Vec::new(), ends: Vec::with_capacity(list.len()) };
        for planned in list {
            push_request(&mut written.frames, 0, planned.request, &planned.redeem);
            written.ids.push(planned.request);
            written.ends.push(written.frames.len());
        }
        written
    }

    /// Appends the frame of a request, with a correlation number.
    fn push(&self, at: usize, correlation: u64, out: &mut Vec<u8>) {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let begin = out.len();
        out.extend_from_slice(&self.frames[start..self.ends[at]]);
        set_correlation(&mut out[begin..], correlation);
    }
}

struct ListAnswers {
    answers: Vec<(RequestId, Answer)>,
    busy: usize,
    latency: Histogram<u64>,
}

async fn send_list(
    mut dialled: scrip_protocol::client::Dialled,
    list: Written,
    window: usize,
    count: Arc<AtomicUsize>,
) -> Result<ListAnswers, BurstError> {
    let mut latency = histogram();
    let mut answers = Vec::with_capacity(list.ids.len());
    let mut busy = 0;
    let mut asked: Vec<usize> = (0..list.ids.len()).collect();
    for _ in 0..ROUNDS {
        let mut again = Vec::new();
        let mut wait_ms = 0;
        let make = |n: usize, frames: &mut Vec<u8>| list.push(asked[n], n as u64, frames);
        let answered = |frame: scrip_protocol::frame::Frame<'_>, took: Duration| {
            let at = asked[frame.correlation as usize % asked.len()];
            match frame.reply::<Redeem>()? {
                Err(Refusal::Busy { retry_after_ms }) => {
                    wait_ms = wait_ms.max(retry_after_ms);
                    again.push(at);
                }
                answer => {
                    count.fetch_add(1, Ordering::Relaxed);
                    latency.saturating_record(took.as_nanos() as u64);
                    answers.push((list.ids[at], answer));
                }
            }
            Ok(())
        };
        pump(&mut dialled.send, &mut dialled.receive, asked.len(), window, make, answered).await?;
        if again.is_empty() {
            return Ok(ListAnswers { answers, busy, latency });
        }
        busy += again.len();
        asked = again;
        tokio::time::sleep(Duration::from_millis(wait_ms.into())).await;
    }
    Err(BurstError::Busy(asked.len()))
}
