//! The results of a run as data: the source of the terminal's table, the JSON document and the HTML page.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::difference::Differences;
use crate::machine::Machine;
use crate::memory::Resident;
use crate::numbers::{grouped, rate};
use crate::probe::Floor;
use crate::processor::ProcessorTime;
use crate::ramp::{Step, Verdict};
use crate::upkeep::Taken;

/// The results of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The version of the program.
    pub scrip: String,
    /// The commit that it was built from, with "-dirty" if the sources differed. None if unknown.
    pub commit: Option<String>,
    /// When the run began.
    pub started: jiff::Timestamp,
    /// The machine.
    pub machine: Machine,
    /// The command line.
    pub command: Vec<String>,
    /// Every option of the run, defaults included.
    pub configuration: serde_json::Value,
    /// The floor of the machine, measured in the same run.
    pub floor: Option<Floor>,
    /// The measurements.
    pub phases: Vec<Phase>,
    /// The steps of a ramp. None if the load was no ramp.
    pub climb: Option<Climb>,
    /// The load of the engine. None if it runs in another process.
    pub engine: Option<Engine>,
    /// The audit of the run. None if there was none.
    pub audit: Option<Audit>,
    /// The memory of the process from the run's start. Empty if it was not sampled.
    pub memory: Vec<Resident>,
}

/// One measured part of a run.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How the load was offered.
    pub model: Model,
    /// Over how many connections.
    pub connections: usize,
    /// How many requests were sent, each attempt counted.
    pub sent: u64,
    /// How many requests had each answer, by its word; "busy" is excluded.
    pub answers: BTreeMap<&'static str, u64>,
    /// How often the engine was busy.
    pub busy: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// In nanoseconds: from the time at which the request was due if the model has one, else from its sending.
    pub latency: Histogram<u64>,
    /// The same over time.
    pub series: Vec<Interval>,
    /// How many requests activated a code, each counted once however often it was retried.
    pub activations: u64,
    /// The processor time of the process: the load generator's, and the engine's if it is in the same process. None if the system
    /// does not report it.
    pub processor: Option<ProcessorTime>,
    /// Other findings.
    pub particulars: Particulars,
}

/// Findings of a phase other than its answers and their latencies.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Particulars {
    /// Requests that were not sent in time.
    pub unsent: u64,
    /// Requests that followed holds; they are not part of an offered rate.
    pub followed: u64,
    /// Requests that were sent and never answered.
    pub unanswered: u64,
    /// Requests whose final answer was busy.
    pub refused_busy: u64,
    /// The shortest and the longest wait that busy answers named, in milliseconds.
    pub retry_after_ms: Option<(u32, u32)>,
    /// Reconnects.
    pub reconnects: u64,
    /// Requests that were sent again over them.
    pub resent: u64,
    /// Retries with the same answer as the request they retry.
    pub repeats_alike: u64,
    /// How late the pacer released requests, in microseconds: 99th percentile and maximum. `None` without a pacer.
    pub pacing_late_us: Option<(f64, f64)>,
    /// From when the last request was due to the last answer, in milliseconds. None if requests have no due time.
    pub drained_ms: Option<f64>,
    /// The upkeep of campaigns during the phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upkeep: Vec<Taken>,
}

/// The results of a ramp. Each step is a phase as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Climb {
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

impl Climb {
    /// The last rate that held, per second.
    pub fn rate_held(&self) -> Option<f64> {
        self.steps.iter().rev().find(|step| step.verdict == Verdict::Held).map(|step| step.per_second)
    }
}

/// The load of an engine in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Engine {
    /// The most requests under way in any sample.
    pub requests_under_way_max: usize,
    /// The limit, beyond which the engine answers busy.
    pub requests_limit: usize,
}

impl Phase {
    /// How many requests were answered.
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Answers per second, over the whole phase; 0 if it took no time.
    pub fn per_second(&self) -> f64 {
        match self.elapsed.is_zero() {
            true => 0.0,
            false => self.answered() as f64 / self.elapsed.as_secs_f64(),
        }
    }

    /// Activations per second, over the whole phase; 0 if it took no time.
    pub fn activations_per_second(&self) -> f64 {
        match self.elapsed.is_zero() {
            true => 0.0,
            false => self.activations as f64 / self.elapsed.as_secs_f64(),
        }
    }

    /// Processor time for each answer, in microseconds. Two cores provide two seconds per second: if the answers of a second use
    /// nearly that, the processor is the limit.
    pub fn processor_us(&self) -> Option<f64> {
        let answered = self.answered();
        self.processor.filter(|_| answered > 0).map(|used| used.seconds() * 1e6 / answered as f64)
    }

    /// The latency in microseconds that this share of the answers did not exceed.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The slowest answer's latency, in microseconds.
    pub fn max_us(&self) -> f64 {
        self.latency.max() as f64 / 1e3
    }

    /// Compares the phase with the floor.
    pub fn shares(&self, floor: &Floor) -> Shares {
        let (rate, p50) = match self.model {
            Model::Open { .. } => (true, true),
            Model::Closed { window: 0 | 1 } => (false, true),
            Model::Closed { .. } | Model::Burst => (true, false),
        };
        let part = |is_meant: bool, of: f64, limit: f64| (is_meant && self.answered() > 0 && limit > 0.0).then(|| of / limit);
        Shares {
            rate: part(rate, self.per_second(), floor.echo.limit_per_second()),
            activations: part(rate, self.activations_per_second(), floor.echo.limit_per_second()),
            p50: part(p50, self.quantile_us(0.5), floor.alone_us()),
        }
    }
}

/// A phase compared with the floor, where the comparison is meaningful: requests sent one at a time do not show a rate, and the
/// latency of a request among thousands does not show how long one takes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shares {
    /// Its rate relative to that of the echo: 1 is the limit.
    pub rate: Option<f64>,
    /// Its activations, relative to the same.
    pub activations: Option<f64>,
    /// Its median latency relative to that of an echo and a commit alone: 1 is the limit.
    pub p50: Option<f64>,
}

/// How load is offered.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Model {
    /// At a rate, whatever the answers do. Latency counts from the time a request was due.
    Open {
        /// Requests per second over all connections.
        per_second: f64,
    },
    /// At most so many in flight on each connection: a slow answer delays the next request. Latency counts from sending.
    Closed {
        /// Requests in flight on each connection.
        window: usize,
    },
    /// All at once: every request is due at the start. Latency counts from the start.
    Burst,
}

impl Model {
    /// The load in a few words, for a heading or a cell.
    pub fn words(self) -> String {
        match self {
            Model::Open { per_second } => format!("open loop, {}", rate(per_second)),
            Model::Closed { window } => format!("closed loop, {} in flight", grouped(window as u64)),
            Model::Burst => "all at once".to_owned(),
        }
    }

    /// What its latency does and does not show.
    pub fn meaning(self) -> &'static str {
        match self {
            Model::Open { .. } => {
                "Requests are due at a fixed rate, whatever the answers do. Latency counts from the time a request was due, \
                 so that a stall is charged to every request that it held up. Callers with their own rate see this latency."
            }
            Model::Closed { window: 0 | 1 } => {
                "Each connection sends the next request when it has its answer. Latency counts from sending: how long one \
                 request takes with no other in flight on its connection. A stall delays the next request, and is counted once."
            }
            Model::Closed { .. } => {
                "Each connection keeps a fixed number of requests in flight and sends the next when it receives an answer. The rate \
                 is the engine's own; latency counts from sending and is mostly the wait behind the others in flight. A stall delays \
                 the next requests, so callers with their own rate would see other times."
            }
            Model::Burst => {
                "Every request is due at the start. Latency counts from the start: how long each request of a crowd waits; \
                 the last one waits as long as the whole burst takes."
            }
        }
    }
}

/// What happened in one stretch of a phase.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Its start, in milliseconds from the phase's start.
    pub from_ms: f64,
    /// Its end.
    pub to_ms: f64,
    /// Answers received, without busy.
    pub answered: u64,
    /// Busy received.
    pub busy: u64,
    /// The median latency of the answers, in microseconds; 0 if there was none.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
}

impl Interval {
    /// Answers per second; 0 if it took no time.
    pub fn per_second(&self) -> f64 {
        match self.to_ms > self.from_ms {
            true => self.answered as f64 * 1e3 / (self.to_ms - self.from_ms),
            false => 0.0,
        }
    }
}

/// What the audit of a run counted, and the differences that it found.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Audit {
    /// What was counted.
    pub counts: Counts,
    /// The differences.
    #[serde(flatten)]
    pub differences: Differences,
}

/// What the audit of a run counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Activations of the run's campaigns.
    pub activations: u64,
    /// Requests of the run with an answer.
    pub answered: u64,
    /// Campaigns compared with what the engine reports.
    #[serde(rename = "campaigns compared")]
    pub campaigns: u64,
    /// Clients compared with what the engine reports.
    #[serde(rename = "clients compared")]
    pub clients: u64,
    /// Requests of the run with a record.
    pub recorded: u64,
    /// Records of the journal, from the first after the run began to the newest.
    pub records: u64,
    /// Requests of the run whose final answer was busy.
    #[serde(rename = "refused busy")]
    pub refused_busy: u64,
    /// Different requests of the run.
    pub requests: u64,
    /// Requests of the run without any answer.
    pub unanswered: u64,
}

impl Counts {
    /// Each count with its name.
    pub fn rows(&self) -> [(&'static str, u64); 9] {
        let Counts { activations, answered, campaigns, clients, recorded, records, refused_busy, requests, unanswered } = *self;
        [
            ("activations", activations),
            ("answered", answered),
            ("campaigns compared", campaigns),
            ("clients compared", clients),
            ("recorded", recorded),
            ("records", records),
            ("refused busy", refused_busy),
            ("requests", requests),
            ("unanswered", unanswered),
        ]
    }
}

impl Audit {
    /// The verdict, in a line.
    pub fn verdict(&self) -> String {
        let found = match self.differences.count() {
            0 => "no difference between them, the answers and the engine".to_owned(),
            1 => "1 DIFFERENCE".to_owned(),
            count => format!("{} DIFFERENCES", grouped(count as u64)),
        };
        format!("{} records recounted: {found}", grouped(self.counts.records))
    }

    /// What was counted, in a line.
    pub fn counted(&self) -> String {
        let counts = self.counts.rows().into_iter().filter(|(word, _)| *word != "records");
        counts.map(|(word, count)| format!("{} {word}", grouped(count))).collect::<Vec<_>>().join(", ")
    }
}

/// Sample reports for tests.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::probe::{AppendFloor, CommitFloor, EchoFloor, PipelinedEcho, Spread};

    /// A floor of round figures: 6,000,000 echoes a second, 300 us for a request alone.
    pub(crate) fn floor() -> Floor {
        let spread = |median: f64| Spread { median, lowest: median * 0.9, highest: median * 1.1 };
        Floor {
            rounds: 3,
            appends: vec![AppendFloor { bytes: 4096, times: 600, p50_us: 150.0, p99_us: 400.0, bytes_per_second: spread(2.5e7) }],
            commits: vec![
                CommitFloor {
                    records: 1,
                    row_bytes: 64,
                    times: 600,
                    p50_us: 200.0,
                    p99_us: 500.0,
                    records_per_second: spread(4_500.0),
                },
                CommitFloor {
                    records: 8_192,
                    row_bytes: 524_288,
                    times: 90,
                    p50_us: 2_700.0,
                    p99_us: 5_000.0,
                    records_per_second: spread(2.8e6),
                },
            ],
            echo: EchoFloor {
                payload_bytes: 56,
                times: 600,
                alone_p50_us: 100.0,
                alone_p99_us: 180.0,
                pipelined: vec![
                    PipelinedEcho { window: 1_024, frames_per_second: spread(5.0e6) },
                    PipelinedEcho { window: 16_384, frames_per_second: spread(6.0e6) },
                ],
            },
        }
    }

    /// A phase of so many answers, with latencies around `us` that have a tail, and a stretch in which nothing was answered.
    pub(crate) fn phase(name: &str, model: Model, answered: u64, us: f64) -> Phase {
        let mut random = fastrand::Rng::with_seed(7);
        let mut latency = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order");
        for _ in 0..answered {
            let stretch = 1.0 / (1.0 - random.f64()).powf(0.35);
            latency.saturating_record((us * 1e3 * (0.7 + 0.3 * stretch)) as u64);
        }
        let intervals = 60;
        let series = (0..intervals).map(|n| {
            let (is_still, wave) = (n == 20, (f64::from(n) * 0.7).sin());
            let times = |factor: f64| if is_still { 0.0 } else { us * factor * (1.0 + 0.1 * wave) };
            Interval {
                from_ms: f64::from(n) * 20.0,
                to_ms: f64::from(n + 1) * 20.0,
                answered: if is_still { 0 } else { ((answered / 59) as f64 * (1.0 + 0.1 * wave)) as u64 },
                busy: u64::from(n % 30 == 5) * 40,
                p50_us: times(1.0),
                p99_us: times(2.2),
                max_us: times(if n == 40 { 60.0 } else { 4.0 }),
            }
        });
        Phase {
            name: name.to_owned(),
            model,
            connections: 2,
            sent: answered,
            answers: BTreeMap::from([("redeemed", answered - answered / 10), ("code exhausted", answered / 10)]),
            busy: 80,
            elapsed: Duration::from_millis(1_200),
            latency,
            series: series.collect(),
            activations: answered - answered / 10,
            processor: Some(ProcessorTime { user_s: 1.5, system_s: 0.3 }),
            particulars: Particulars {
                unsent: 3,
                retry_after_ms: Some((5, 40)),
                reconnects: 4,
                resent: 170,
                repeats_alike: 1_200,
                pacing_late_us: matches!(model, Model::Open { .. }).then_some((120.0, 1_700.0)),
                ..Particulars::default()
            },
        }
    }

    /// A phase in which nothing happened.
    pub(crate) fn nothing(name: &str) -> Phase {
        let latency = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order");
        Phase {
            name: name.to_owned(),
            model: Model::Closed { window: 1 },
            connections: 0,
            sent: 0,
            answers: BTreeMap::new(),
            busy: 0,
            elapsed: Duration::ZERO,
            latency,
            series: Vec::new(),
            activations: 0,
            processor: None,
            particulars: Particulars::default(),
        }
    }

    /// A run with every kind of phase, one of which is empty.
    pub(crate) fn report() -> Report {
        Report {
            scrip: "0.1.0".to_owned(),
            commit: Some("0123456789ab-dirty".to_owned()),
            started: "2026-11-22T01:55:16Z".parse().expect("a time"),
            machine: Machine { cpu: Some("A <fast> CPU & more".to_owned()), cores: 2, ..Machine::default() },
            command: vec!["scrip".to_owned(), "loadtest".to_owned(), "--dir".to_owned(), "/tmp/a b".to_owned()],
            configuration: serde_json::json!({"codes": 1_000_000, "club": "</pre><script>"}),
            floor: Some(floor()),
            phases: vec![
                phase("pipelined", Model::Closed { window: 16_384 }, 600_000, 17_000.0),
                phase("alone", Model::Closed { window: 1 }, 3_000, 360.0),
                phase("steady", Model::Open { per_second: 50_000.0 }, 60_000, 450.0),
                phase("crowd", Model::Burst, 100_000, 60_000.0),
                nothing("nothing <yet>"),
            ],
            climb: Some(Climb {
                steps: vec![
                    Step { per_second: 20_000.0, answered_per_second: 19_990.0, p99_ms: 3.25, verdict: Verdict::Held },
                    Step { per_second: 40_000.0, answered_per_second: 39_000.0, p99_ms: 31.5, verdict: Verdict::TooSlow },
                ],
            }),
            engine: Some(Engine { requests_under_way_max: 16_384, requests_limit: 65_536 }),
            audit: Some(Audit {
                counts: Counts { records: 763_005, activations: 686_700, ..Counts::default() },
                differences: Differences::default(),
            }),
            memory: (0..50).map(|n| Resident { at_ms: f64::from(n) * 100.0, bytes: (100 + 3 * n as u64) << 20 }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_compared_with_the_floor_where_that_means_something() {
        let floor = samples::floor();
        let shares = |model| samples::phase("", model, 60_000, 450.0).shares(&floor);
        let (rate, p50) = (50_000.0 / 6e6, 1.5);
        let near = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found / expected - 1.0).abs() < 0.2);
        let closed = shares(Model::Closed { window: 1_024 });
        assert!(near(closed.rate, rate) && closed.p50.is_none(), "{closed:?}");
        let open = shares(Model::Open { per_second: 50_000.0 });
        assert!(near(open.rate, rate) && near(open.p50, p50), "{open:?}");
        let alone = shares(Model::Closed { window: 1 });
        assert!(alone.rate.is_none() && near(alone.p50, p50), "{alone:?}");
        assert_eq!(samples::nothing("").shares(&floor), Shares::default());
    }

    #[test]
    fn a_verdict_has_the_number_of_differences() {
        let mut audit = samples::report().audit.expect("the sample has one");
        assert_eq!(audit.verdict(), "763,005 records recounted: no difference between them, the answers and the engine");
        audit.differences = Differences::read(1, Vec::new());
        assert_eq!(audit.verdict(), "763,005 records recounted: 1 DIFFERENCE");
    }
}
