//! A burst: the requests of a plan over several connections, as fast as the engine answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use scrip_client::Dial;
use scrip_protocol::command::RedeemOutcome;
use scrip_protocol::{Refusal, RequestId};

use crate::answer::Answer;
use crate::control::DriveError;
use crate::drive::{self, Drive, Offer};
use crate::mix::Script;
use crate::plan::Planned;
use crate::recorder::Recorder;

/// The answers to a burst.
pub struct Answers {
    /// The outcome of each request id.
    pub outcomes: HashMap<RequestId, RedeemOutcome>,
    /// Retries with the same outcome as the request they retry.
    pub repeats_alike: usize,
    /// Requests whose retry had another outcome. There must be none.
    pub repeats_unlike: Vec<RequestId>,
    /// Requests refused without an outcome, other than busy, with the refusal.
    pub refused: Vec<(RequestId, Refusal)>,
    /// How often the engine was busy.
    pub busy: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Times from sending to answer, in nanoseconds, of a closed loop.
    pub latency: Histogram<u64>,
}

impl Answers {
    /// How many answers with an outcome there were, including those to repeats.
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

/// Sends each list over a connection of its own, with at most `window` requests of it in flight. `answered` is updated with the number of
/// answers.
///
/// # Errors
/// When a connection cannot be opened or is lost.
pub async fn run(
    dial: &Dial,
    lists: Vec<Vec<Planned>>,
    window: usize,
    answered: &Arc<AtomicUsize>,
) -> Result<Answers, DriveError> {
    let scripts = lists.iter().map(|list| Script::of(list)).collect();
    drop(lists);
    let recorder = tokio::sync::OnceCell::new();
    let begin = || {
        let made = Arc::new(Recorder::new(Duration::from_millis(100)));
        // Nothing else sets it.
        let _ = recorder.set(made.clone());
        made
    };
    let how = Drive::new();
    let follow = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Some(recorder) = recorder.get() {
                answered.store(recorder.so_far().answered as usize, Ordering::Relaxed);
            }
        }
    };
    let driven = tokio::select! {
        driven = drive::drive(dial, scripts, Offer::Window(window), &how, begin) => driven?,
        () = follow => unreachable!("it follows for as long as the burst runs"),
    };
    answered.store(driven.latency.len() as usize, Ordering::Relaxed);
    let mut answers = Answers {
        outcomes: HashMap::with_capacity(driven.exchanges.len()),
        repeats_alike: driven.repeats_alike,
        repeats_unlike: Vec::new(),
        refused: Vec::new(),
        busy: driven.busy,
        elapsed: driven.elapsed,
        latency: driven.latency,
    };
    for (request, exchange) in driven.exchanges {
        if exchange.other.is_some() {
            answers.repeats_unlike.push(request);
        }
        match exchange.answer {
            Some(Answer::Redeem(outcome)) => drop(answers.outcomes.insert(request, outcome)),
            Some(Answer::Refused(refusal)) => answers.refused.push((request, refusal)),
            Some(Answer::Hold(_) | Answer::Confirm(_) | Answer::Release(_) | Answer::Codes(_) | Answer::TopUp(_)) => {}
            Some(Answer::Busy { .. } | Answer::Checked { .. } | Answer::TooManyChecked) | None => {}
        }
    }
    Ok(answers)
}
