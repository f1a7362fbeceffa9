//! Measurements of a phase: the latency of each answer, once, in intervals of time.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::report::Interval;

/// How many intervals are kept; later answers count in the last.
const INTERVALS_MAX: usize = 36_000;

/// For times from a nanosecond to an hour, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order")
}

/// The measurements of one phase, shared by its connections. Each answer is recorded in one histogram, which is added to the
/// total at the end of each stretch.
pub struct Recorder {
    started: Instant,
    interval: Duration,
    tally: Mutex<Tally>,
}

struct Tally {
    current: Histogram<u64>,
    whole: Histogram<u64>,
    series: Vec<Interval>,
    answered: u64,
    busy: u64,
    busy_before: u64,
    last_ns: u64,
}

/// The progress of a phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoFar {
    /// Answers, without busy.
    pub answered: u64,
    /// Busy.
    pub busy: u64,
    /// Since the start.
    pub elapsed: Duration,
    /// The 99th percentile of the latencies.
    pub p99: Duration,
}

impl Recorder {
    /// Of a phase that starts now.
    pub fn new(interval: Duration) -> Recorder {
        let tally = Tally {
            current: histogram(),
            whole: histogram(),
            series: Vec::new(),
            answered: 0,
            busy: 0,
            busy_before: 0,
            last_ns: 0,
        };
        Recorder { started: Instant::now(), interval: interval.max(Duration::from_millis(1)), tally: Mutex::new(tally) }
    }

    /// When the phase started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Nanoseconds since the start.
    pub(crate) fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Records answers that were read together: their latencies, and how many were busy.
    pub(crate) fn record(&self, now_ns: u64, latencies_ns: &[u64], busy: u64) {
        let interval_ns = self.interval.as_nanos() as u64;
        let mut tally = self.tally.lock();
        while now_ns >= (tally.series.len() as u64 + 1) * interval_ns && tally.series.len() < INTERVALS_MAX {
            tally.close(interval_ns, interval_ns);
        }
        for latency_ns in latencies_ns {
            tally.current.saturating_record(*latency_ns);
        }
        tally.answered += latencies_ns.len() as u64;
        tally.busy += busy;
        if !latencies_ns.is_empty() {
            tally.last_ns = tally.last_ns.max(now_ns);
        }
    }

    /// The progress so far.
    pub fn so_far(&self) -> SoFar {
        let tally = self.tally.lock();
        let of = if tally.whole.is_empty() { &tally.current } else { &tally.whole };
        SoFar {
            answered: tally.answered,
            busy: tally.busy,
            elapsed: self.started.elapsed(),
            p99: Duration::from_nanos(of.value_at_quantile(0.99)),
        }
    }

    /// Ends it: returns the total histogram, the stretches, and the time of the last answer.
    pub(crate) fn finish(&self) -> (Histogram<u64>, Vec<Interval>, Duration) {
        let interval_ns = self.interval.as_nanos() as u64;
        let mut tally = self.tally.lock();
        let last_ns = tally.last_ns;
        if !tally.current.is_empty() || tally.busy > tally.busy_before {
            let open_ns = last_ns.saturating_sub(tally.series.len() as u64 * interval_ns).clamp(1, interval_ns);
            tally.close(interval_ns, open_ns);
        }
        (tally.whole.clone(), tally.series.clone(), Duration::from_nanos(last_ns))
    }
}

impl Tally {
    fn close(&mut self, interval_ns: u64, length_ns: u64) {
        let from_ns = self.series.len() as u64 * interval_ns;
        let us = |quantile: f64| self.current.value_at_quantile(quantile) as f64 / 1e3;
        let interval = Interval {
            from_ms: from_ns as f64 / 1e6,
            to_ms: (from_ns + length_ns) as f64 / 1e6,
            answered: self.current.len(),
            busy: self.busy - self.busy_before,
            p50_us: us(0.5),
            p99_us: us(0.99),
            max_us: self.current.max() as f64 / 1e3,
        };
        self.series.push(interval);
        self.busy_before = self.busy;
        if !self.current.is_empty() {
            self.whole.add(&self.current).expect("both histograms have the same bounds");
            self.current.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_contain_their_answers_and_a_stall_shows_as_empty_ones() {
        let recorder = Recorder::new(Duration::from_millis(100));
        let ms = |ms: u64| ms * 1_000_000;
        recorder.record(ms(10), &[1_000, 3_000], 0);
        recorder.record(ms(99), &[2_000], 4);
        recorder.record(ms(350), &[ms(300)], 1);
        let (whole, series, elapsed) = recorder.finish();
        assert_eq!((whole.len(), elapsed), (4, Duration::from_millis(350)));
        let answered: Vec<_> = series.iter().map(|interval| (interval.answered, interval.busy)).collect();
        assert_eq!(answered, [(3, 4), (0, 0), (0, 0), (1, 1)]);
        assert_eq!((series[3].from_ms, series[3].to_ms), (300.0, 350.0));
        assert!(series[0].p50_us >= 2.0 && series[0].max_us < 3.1, "{series:?}");
        assert!(series[3].max_us >= 300_000.0, "{series:?}");
    }
}
