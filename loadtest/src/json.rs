//! A report as a JSON document.
//!
//! ```text
//! {
//!   "format": 1,                         raised when a field changes its meaning or goes; new fields do not raise it
//!   "scrip": "0.1.0",                    the program's version
//!   "commit": "0123456789ab-dirty",      or null; "-dirty": built from sources that differ from it
//!   "started": "2026-11-22T01:55:16Z",   RFC 3339, UTC
//!   "machine": {"cpu", "cores", "memory_bytes", "system", "kernel", "file_system",
//!               "disk": {"name", "model", "bytes", "is_rotational", "write_cache"}},
//!   "command": ["scrip", "loadtest"],    as given
//!   "configuration": {…},                every option, defaults included
//!   "floor": {                           or null; a spread is {"median", "lowest", "highest"} of the rounds
//!     "rounds": 3,
//!     "appends": [{"bytes", "times", "p50_us", "p99_us", "bytes_per_second": spread}],
//!     "commits": [{"records", "row_bytes", "times", "p50_us", "p99_us", "records_per_second": spread}],
//!     "echo": {"payload_bytes", "times", "alone_p50_us", "alone_p99_us",
//!              "pipelined": [{"window", "frames_per_second": spread}]}},
//!   "phases": [{
//!     "name": "pipelined",
//!     "load": {"model": "open", "per_second": 50000.0} | {"model": "closed", "window": 1024} | {"model": "burst"},
//!     "connections", "sent", "busy",
//!     "answers": {"redeemed": 1000000},  by the word of the outcome; busy is not among them
//!     "elapsed_ms", "answers_per_second",
//!     "activations": 1000000,            requests that activated a code, repeats not counted
//!     "activations_per_second",
//!     "share_of_echo_rate": 0.15,        or null if the comparison is meaningless
//!     "activations_of_echo_rate": 0.15,  the same, of the activations
//!     "p50_by_floor": 1.37,              the same, by echo alone + commit of one record
//!     "processor": {"user_s", "system_s"},   of the process, all cores; or null
//!     "processor_us_per_answer": 1.4,    or null
//!     "particulars": {"unsent", "followed", "unanswered", "refused_busy",
//!                     "retry_after_ms": [5, 40],         minimum and maximum; or null
//!                     "reconnects", "resent", "repeats_alike",
//!                     "pacing_late_us": [38.0, 410.0],   99th percentile and maximum; or null
//!                     "drained_ms": 1.5,                 from the last request's time to the last answer; or null
//!                     "upkeep": [{"step", "times", "median_ms", "max_ms", "reply_bytes_max"}]},   left out without --upkeep
//!     "latency": {"count", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us",
//!                 "histogram": "HISTFAAA…"},
//!     "series": [{"from_ms", "to_ms", "answered", "busy", "p50_us", "p99_us", "max_us"}]
//!   }],
//!   "ramp": {"steps": [{"per_second", "answered_per_second", "p99_ms", "verdict": "held" | "too_slow" | "rate_not_kept"}],
//!            "rate_held": 20000.0},      or null if none held; all of it null if the load is no ramp
//!   "engine": {"requests_under_way_max", "requests_limit"},   or null if the engine runs in another process
//!   "audit": {"counts": {"records": 1000005, …}, "differences": 0, "first_differences": []},   or null
//!   "memory": [{"at_ms", "bytes"}]       resident bytes of the process; empty if they were not sampled
//! }
//! ```
//! `histogram` is the whole histogram, in nanoseconds: HdrHistogram's V2 encoding, deflated, in base64, as in the logs that
//! HdrHistogram's tools read and write. Histograms of several runs can be added up from it; percentiles cannot.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::memory::Resident;
use crate::probe::Floor;
use crate::processor::ProcessorTime;
use crate::ramp::Step;
use crate::report::{Audit, Climb, Engine as EngineSeen, Interval, Model, Particulars, Phase, Report, Shares};

/// The version of the document format.
pub const FORMAT: u32 = 1;

/// A report as it is written. Its fields are described above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are described above, once")]
pub struct Document {
    pub format: u32,
    pub scrip: String,
    pub commit: Option<String>,
    pub started: String,
    pub machine: Machine,
    pub command: Vec<String>,
    pub configuration: serde_json::Value,
    pub floor: Option<Floor>,
    pub phases: Vec<PhaseDocument>,
    pub ramp: Option<ClimbDocument>,
    pub engine: Option<EngineSeen>,
    pub audit: Option<Audit>,
    pub memory: Vec<Resident>,
}

/// A ramp as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are described above, once")]
pub struct ClimbDocument {
    pub steps: Vec<Step>,
    pub rate_held: Option<f64>,
}

/// A phase as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are described above, once")]
pub struct PhaseDocument {
    pub name: String,
    pub load: Model,
    pub connections: usize,
    pub sent: u64,
    pub busy: u64,
    pub answers: BTreeMap<String, u64>,
    pub elapsed_ms: f64,
    pub answers_per_second: f64,
    pub activations: u64,
    pub activations_per_second: f64,
    pub share_of_echo_rate: Option<f64>,
    pub activations_of_echo_rate: Option<f64>,
    pub p50_by_floor: Option<f64>,
    pub processor: Option<ProcessorTime>,
    pub processor_us_per_answer: Option<f64>,
    pub particulars: Particulars,
    pub latency: Latency,
    pub series: Vec<Interval>,
}

/// How long answers took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are described above, once")]
pub struct Latency {
    pub count: u64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub p9999_us: f64,
    pub max_us: f64,
    pub histogram: String,
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not such a document.
    #[error("not a report of a load test: {0}")]
    Json(#[from] serde_json::Error),
    /// It has another format version.
    #[error("a report of format {found}; this program reads format {FORMAT}")]
    Format {
        /// The format of the document.
        found: u32,
    },
    /// A histogram is not in base64.
    #[error("the histogram is not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// A histogram is not in HdrHistogram's encoding.
    #[error("the histogram cannot be read: {0}")]
    Histogram(#[from] DeserializeError),
}

impl Document {
    /// The document of a report.
    pub fn of(report: &Report) -> Document {
        Document {
            format: FORMAT,
            scrip: report.scrip.clone(),
            commit: report.commit.clone(),
            started: report.started.to_string(),
            machine: report.machine.clone(),
            command: report.command.clone(),
            configuration: report.configuration.clone(),
            floor: report.floor.clone(),
            phases: report.phases.iter().map(|phase| PhaseDocument::of(phase, report.floor.as_ref())).collect(),
            ramp: report.climb.as_ref().map(ClimbDocument::of),
            engine: report.engine,
            audit: report.audit.clone(),
            memory: report.memory.clone(),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When it is none, or of another format.
    pub fn read(text: &str) -> Result<Document, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        // First: a document of another format may lack other fields.
        let Head { format: found } = serde_json::from_str(text)?;
        match found == FORMAT {
            true => Ok(serde_json::from_str(text)?),
            false => Err(DocumentError::Format { found }),
        }
    }
}

impl ClimbDocument {
    fn of(climb: &Climb) -> ClimbDocument {
        ClimbDocument { steps: climb.steps.clone(), rate_held: climb.rate_held() }
    }
}

impl PhaseDocument {
    fn of(phase: &Phase, floor: Option<&Floor>) -> PhaseDocument {
        let shares = floor.map_or(Shares::default(), |floor| phase.shares(floor));
        PhaseDocument {
            name: phase.name.clone(),
            load: phase.model,
            connections: phase.connections,
            sent: phase.sent,
            busy: phase.busy,
            answers: phase.answers.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
            elapsed_ms: phase.elapsed.as_secs_f64() * 1e3,
            answers_per_second: phase.per_second(),
            activations: phase.activations,
            activations_per_second: phase.activations_per_second(),
            share_of_echo_rate: shares.rate,
            activations_of_echo_rate: shares.activations,
            p50_by_floor: shares.p50,
            processor: phase.processor,
            processor_us_per_answer: phase.processor_us(),
            particulars: phase.particulars.clone(),
            latency: Latency::of(&phase.latency),
            series: phase.series.clone(),
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        let mut encoded = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut encoded)
            .expect("a histogram in memory is not too large to be encoded into memory");
        Latency {
            count: histogram.len(),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: histogram.max() as f64 / 1e3,
            histogram: BASE64_STANDARD.encode(encoded),
        }
    }

    /// The whole histogram, in nanoseconds.
    ///
    /// # Errors
    /// When it is not in the encoding described above.
    pub fn decode(&self) -> Result<Histogram<u64>, DocumentError> {
        let encoded = BASE64_STANDARD.decode(&self.histogram)?;
        Ok(Deserializer::new().deserialize(&mut encoded.as_slice())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_document_reads_back() {
        let report = samples::report();
        let document = Document::of(&report);
        let text = serde_json::to_string(&document).expect("a report has a form in JSON");
        let read = Document::read(&text).expect("it was just written");
        assert!(read == document, "{text}");
        assert_eq!((read.phases.len(), read.started.as_str()), (report.phases.len(), "2026-11-22T01:55:16Z"));
        for (written, phase) in read.phases.iter().zip(&report.phases) {
            assert_eq!(written.latency.decode().expect("it was just written"), phase.latency, "{}", phase.name);
            assert!(written.latency.histogram.starts_with("HISTFAAA"), "as HdrHistogram's own logs begin");
        }
        assert_eq!(read.phases[0].latency.count, report.phases[0].answered());
        for (written, phase) in read.phases.iter().zip(&report.phases) {
            let particulars = (&written.particulars, written.activations, written.processor);
            assert_eq!(particulars, (&phase.particulars, phase.activations, phase.processor));
        }
        assert_eq!(read.phases[0].processor_us_per_answer, Some(3.0));
        let ramp = read.ramp.expect("the sample has one");
        assert_eq!((Some(ramp.steps), ramp.rate_held), (report.climb.map(|climb| climb.steps), Some(20_000.0)));
        assert_eq!(read.engine, report.engine);
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_reason() {
        let refused = |text: &str| Document::read(text).expect_err("it is no report").to_string();
        assert_eq!(refused(r#"{"format": 9}"#), "a report of format 9; this program reads format 1");
        assert!(refused("{}").contains("missing field `format`"));
        let mut latency = Latency::of(&samples::report().phases[0].latency);
        for broken in ["?", "AAAA", ""] {
            latency.histogram = broken.to_owned();
            assert!(latency.decode().is_err(), "{broken:?}");
        }
    }
}
