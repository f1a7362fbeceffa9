//! Offers of requests to a rival, and its answers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use scrip_protocol::RequestId;

use super::error::RivalError;

/// The terms of a rival's campaign.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How often each code may be used.
    pub cap: u32,
    /// The bonus, in minor units.
    pub amount: i64,
}

/// How requests are offered: a closed loop over several connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// How many connections there are.
    pub connections: usize,
    /// How many requests, or calls of several requests, each of them has in flight.
    pub window: usize,
    /// How many requests one call, with its one transaction, contains. Only PostgreSQL supports more than one.
    pub per_call: usize,
    /// The time after which no request is sent.
    pub time_max: Duration,
}

/// The answer of a rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Redeemed, with the client's balance after it, in minor units.
    Redeemed(i64),
    /// The code has no use left.
    CodeExhausted,
    /// The code does not exist.
    UnknownCode,
}

impl Answer {
    /// From the number that a rival's script or function returns.
    pub(super) fn of(number: i64) -> Result<Answer, RivalError> {
        match number {
            0.. => Ok(Answer::Redeemed(number)),
            -1 => Ok(Answer::CodeExhausted),
            -2 => Ok(Answer::UnknownCode),
            _ => Err(RivalError::Meaningless(number)),
        }
    }

    /// Its word, the same as that of an engine's outcome.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Redeemed(_) => "redeemed",
            Answer::CodeExhausted => "code_exhausted",
            Answer::UnknownCode => "unknown_code",
        }
    }
}

/// The answers on one connection: ids, the numbers returned, and the times from sending to answer, in nanoseconds.
pub(super) struct Answered {
    pub(super) answers: Vec<(RequestId, i64)>,
    latency: Histogram<u64>,
}

impl Answered {
    pub(super) fn none() -> Answered {
        let latency = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order");
        Answered { answers: Vec::new(), latency }
    }

    pub(super) fn note(&mut self, request: RequestId, answer: i64, took: Duration) {
        self.answers.push((request, answer));
        self.latency.saturating_record(took.as_nanos() as u64);
    }
}

/// The answers to an offer.
pub struct Answers {
    /// The answer of each request id.
    pub outcomes: HashMap<RequestId, Answer>,
    /// How many retries had the same answer.
    pub repeats_alike: usize,
    /// How many had another answer. There must be none.
    pub repeats_unlike: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Times from sending to answer, in nanoseconds, of a closed loop.
    pub latency: Histogram<u64>,
}

impl Answers {
    /// Combines the answers of all connections.
    fn of(lists: Vec<Answered>, elapsed: Duration) -> Result<Answers, RivalError> {
        let latency = Answered::none().latency;
        let mut all = Answers { outcomes: HashMap::new(), repeats_alike: 0, repeats_unlike: 0, elapsed, latency };
        for list in lists {
            all.latency.add(&list.latency).expect("all histograms have the same bounds");
            for (request, number) in list.answers {
                let answer = Answer::of(number)?;
                match all.outcomes.get(&request) {
                    Some(before) if *before == answer => all.repeats_alike += 1,
                    Some(_) => all.repeats_unlike += 1,
                    None => drop(all.outcomes.insert(request, answer)),
                }
            }
        }
        Ok(all)
    }

    /// How many answers there were, retries included.
    pub fn answered(&self) -> usize {
        self.outcomes.len() + self.repeats_alike + self.repeats_unlike
    }

    /// How many request ids had this answer.
    pub fn with_word(&self, word: &str) -> usize {
        self.outcomes.values().filter(|answer| answer.word() == word).count()
    }
}

/// Waits for all connections, and combines their answers.
pub(super) async fn gather(
    mut tasks: tokio::task::JoinSet<Result<Answered, RivalError>>,
    started: Instant,
) -> Result<Answers, RivalError> {
    let mut lists = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        lists.push(ended.expect("a sender does not panic")?);
    }
    let elapsed = started.elapsed();
    Answers::of(lists, elapsed)
}
