//! What a run found, as data: the terminal's table, the JSON document and the HTML page are made from it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// One measured part of a run.
#[derive(Debug, Clone)]
pub struct Phase {
    /// What it is called.
    pub name: String,
    /// How the load was offered.
    pub model: Model,
    /// Over how many connections.
    pub connections: usize,
    /// How many requests were sent, each again for every time that the engine was busy.
    pub sent: u64,
    /// How many requests had each answer, by its word; "busy" is not among them.
    pub answers: BTreeMap<&'static str, u64>,
    /// How often the engine was busy.
    pub busy: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// In nanoseconds: from the time at which the request was due where the model has one, else from its sending.
    pub latency: Histogram<u64>,
    /// The same over time.
    pub series: Vec<Interval>,
}

/// How load is offered.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Model {
    /// At a rate, whatever the answers do. Latency counts from the time a request was due.
    Open {
        /// Requests per second over all connections.
        per_second: f64,
    },
    /// So many in flight on each connection: a slow answer delays the next question. Latency counts from sending.
    Closed {
        /// Requests in flight on each connection.
        window: usize,
    },
    /// All at once: every request is due at the start. Latency counts from the start.
    Burst,
}

/// What happened in one stretch of a phase.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Its begin and end, in milliseconds from the phase's start.
    pub from_ms: f64,
    /// Its end.
    pub to_ms: f64,
    /// Answers received, without busy.
    pub answered: u64,
    /// Busy received.
    pub busy: u64,
    /// The median latency of the answers, in microseconds; 0 where there was none.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
}
