//! Probes: health and readiness of a process for a supervisor, and its metrics for Prometheus.
//!
//! Three routes, the same for every process: `/healthz` answers 200 while the process runs, `/readyz` 200 while it serves and 503
//! with the reason otherwise, `/metrics` the text exposition format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). No token is needed: the responses contain nothing about a
//! person, no name of a client and no code.
//!
//! [`Exposition`] writes that format. It knows no metric and keeps no state between scrapes.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The media type of the text exposition format.
pub const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a process is ready to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// It is not, for this reason.
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
            tracing::error!(%error, "collecting the metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The kind of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from 0 at the start of the process. The name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by upper bound.
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

/// Builds a text in the exposition format, family by family.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// A metric family, to which samples are added.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Begins a family. The name consists of letters, digits and `_`, and is used once; the help is one sentence.
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

    /// Adds a family with one sample.
    pub fn one(&mut self, name: &str, kind: MetricKind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample: a number, with labels that are unique within the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, value)
    }

    /// Adds the samples of a histogram: for each bound in ascending order, the number of observations up to it and above the
    /// previous bound; the number above the last bound; and the sum of all observations.
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
