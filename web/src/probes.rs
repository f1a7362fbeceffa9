//! Probes: what a supervisor asks a process over HTTP, and what it counts, for Prometheus.
//!
//! Three routes, the same for every process: `/healthz` answers 200 while the process runs, `/readyz` 200 while it serves and
//! 503 with the reason otherwise, `/metrics` the text exposition format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Whoever can reach the address is answered: nothing in here is about
//! a person, and no name of a client or code.
//!
//! [`Exposition`] writes that format. It does not know what is counted, and keeps nothing between two looks.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The media type of the text exposition format.
pub const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a process serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not, for this reason.
    NotReady(String),
}

struct Probes<R, M> {
    readiness: R,
    metrics: M,
}

/// The three routes. `metrics` is called on a thread that may block.
pub fn router<R, M>(readiness: R, metrics: M) -> Router
where
    R: Fn() -> Readiness + Send + Sync + 'static,
    M: Fn() -> String + Send + Sync + 'static,
{
    Router::new()
        .route("/healthz", get(async || "running\n"))
        .route("/readyz", get(ready::<R, M>))
        .route("/metrics", get(metrics_text::<R, M>))
        .with_state(Arc::new(Probes { readiness, metrics }))
}

async fn ready<R: Fn() -> Readiness, M>(State(probes): State<Arc<Probes<R, M>>>) -> Response {
    match (probes.readiness)() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn metrics_text<R, M>(State(probes): State<Arc<Probes<R, M>>>) -> Response
where
    R: Send + Sync + 'static,
    M: Fn() -> String + Send + Sync + 'static,
{
    match tokio::task::spawn_blocking(move || (probes.metrics)()).await {
        Ok(text) => ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be put together");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, from 0 at the start of the process. Its name ends in `_total`.
    Counter,
    /// It goes both ways.
    Gauge,
    /// It counts how often something was so large at the most.
    Histogram,
}

impl MetricKind {
    const fn word(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// A text in the exposition format, as it grows: a family at a time, with its samples.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// A family of it, which takes samples.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Begins a family. Its name is of letters, digits and `_`, and used once; its help is one sentence.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: MetricKind, help: &str) -> Family<'a> {
        debug_assert!(
            (kind == MetricKind::Counter) == name.ends_with("_total"),
            "{name}: counters, and they alone, end in _total"
        );
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let text = &mut self.text;
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.word()));
        Family { text, name }
    }

    /// A family of one sample.
    pub fn one(&mut self, name: &str, kind: MetricKind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample: a number, with labels that no other sample of the family has.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, value)
    }

    /// Adds the samples of a histogram: how often each bound was not passed but the one before it was, in the order of the bounds; how
    /// often the last was; and the sum of all.
    pub fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        steps: impl IntoIterator<Item = (f64, u64)>,
        larger: u64,
        sum: f64,
    ) -> &mut Self {
        let mut count = 0;
        let mut bucket = |family: &mut Self, bound: &str, more: u64| {
            count += more;
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            family.line("_bucket", &labels, count);
            count
        };
        for (bound, more) in steps {
            bucket(self, &bound.to_string(), more);
        }
        let all = bucket(self, "+Inf", larger);
        self.line("_sum", labels, sum).line("_count", labels, all)
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let (text, name) = (&mut *self.text, self.name);
        text.push_str(name);
        text.push_str(suffix);
        for (at, (label, of)) in labels.iter().enumerate() {
            text.push_str(if at == 0 { "{" } else { "," });
            let of = of.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            text.push_str(&format!("{label}=\"{of}\""));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        writeln!(text, " {value}").expect("a text takes everything");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_their_samples() {
        let mut exposition = Exposition::default();
        exposition.one("scrip_records", MetricKind::Gauge, "Records, of all kinds.", 7);
        let mut family = exposition.family("scrip_requests_total", MetricKind::Counter, r"A \ line.");
        family.sample(&[("command", "redeem")], 3).sample(&[("command", "a \"b\"\n"), ("by", r"\")], 4);
        let steps = [(0.001, 2), (0.5, 0), (1.0, 1)];
        exposition.family("scrip_flush_seconds", MetricKind::Histogram, "Flushes.").histogram(&[("of", "x")], steps, 4, 9.25);
        let expected = r##"# HELP scrip_records Records, of all kinds.
# TYPE scrip_records gauge
scrip_records 7
# HELP scrip_requests_total A \\ line.
# TYPE scrip_requests_total counter
scrip_requests_total{command="redeem"} 3
scrip_requests_total{command="a \"b\"\n",by="\\"} 4
# HELP scrip_flush_seconds Flushes.
# TYPE scrip_flush_seconds histogram
scrip_flush_seconds_bucket{of="x",le="0.001"} 2
scrip_flush_seconds_bucket{of="x",le="0.5"} 2
scrip_flush_seconds_bucket{of="x",le="1"} 3
scrip_flush_seconds_bucket{of="x",le="+Inf"} 7
scrip_flush_seconds_sum{of="x"} 9.25
scrip_flush_seconds_count{of="x"} 7
"##;
        assert_eq!(exposition.into_text(), expected);
    }
}
