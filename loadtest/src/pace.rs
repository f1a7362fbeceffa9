//! When requests are due: evenly, or at random like independent callers; and the thread that releases them.
//!
//! tokio's timer counts whole milliseconds, in which a hundred requests may be due; so an operating-system thread does the
//! timing. It sleeps between one due request and the next, and never spins: the cores belong to the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How requests of a rate are spread in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal intervals.
    #[default]
    Even,
    /// As a Poisson process: random intervals with an exponential distribution.
    Poisson,
}

/// The shortest time between releases: requests due meanwhile are released together, late by at most this.
pub(crate) const TICK: Duration = Duration::from_micros(150);

impl Arrivals {
    /// When each of so many requests is due, in nanoseconds from the start, ascending.
    pub fn times(self, per_second: f64, count: usize, seed: u64) -> Vec<u64> {
        let gap_ns = 1e9 / per_second.max(1e-3);
        match self {
            Arrivals::Even => (0..count).map(|n| (n as f64 * gap_ns) as u64).collect(),
            Arrivals::Poisson => {
                let mut random = fastrand::Rng::with_seed(seed ^ 0x0090_1550);
                let mut at_ns = 0.0;
                let next = |_| {
                    at_ns -= gap_ns * (1.0 - random.f64()).ln();
                    at_ns as u64
                };
                (0..count).map(next).collect()
            }
        }
    }
}

/// How many requests of ascending due times are due at a time.
pub fn due_at(times: &[u64], now_ns: u64) -> usize {
    times.partition_point(|time| *time <= now_ns)
}

/// What the pacer releases on one connection.
pub(crate) struct Released {
    /// When each is due, in nanoseconds from the start.
    pub(crate) times: Vec<u64>,
    due: AtomicUsize,
}

impl Released {
    pub(crate) fn new(times: Vec<u64>) -> Released {
        Released { times, due: AtomicUsize::new(0) }
    }

    /// How many have been released.
    pub(crate) fn due(&self) -> usize {
        self.due.load(Ordering::Acquire)
    }

    /// Releases what is due. Returns when the first of it was due.
    fn release(&self, now_ns: u64) -> Option<u64> {
        let before = self.due.load(Ordering::Relaxed);
        let newly = due_at(&self.times[before..], now_ns);
        if newly == 0 {
            return None;
        }
        self.due.store(before + newly, Ordering::Release);
        Some(self.times[before])
    }

    /// When the next is due.
    fn next_ns(&self) -> Option<u64> {
        self.times.get(self.due.load(Ordering::Relaxed)).copied()
    }
}

/// The thread that keeps the time. Ends when everything is released, or when this is dropped.
pub(crate) struct Pacer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Histogram<u64>>>,
}

impl Pacer {
    /// Starts to release on each connection; `wake` is called with the connection's number after each release.
    pub(crate) fn start(started: Instant, lanes: Vec<Arc<Released>>, wake: impl Fn(usize) + Send + 'static) -> Pacer {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let run = move || {
            let mut late = crate::recorder::histogram();
            while !ended.load(Ordering::Relaxed) {
                let now_ns = started.elapsed().as_nanos() as u64;
                let mut next_ns = None;
                for (at, lane) in lanes.iter().enumerate() {
                    if let Some(first_ns) = lane.release(now_ns) {
                        wake(at);
                        late.saturating_record(now_ns.saturating_sub(first_ns));
                    }
                    next_ns = [next_ns, lane.next_ns()].into_iter().flatten().min();
                }
                let Some(next_ns) = next_ns else { break };
                let until = Duration::from_nanos(next_ns).saturating_sub(started.elapsed());
                // In pieces, so that a pacer whose run is over ends soon.
                std::thread::sleep(until.clamp(TICK, Duration::from_millis(100)));
            }
            late
        };
        let thread = std::thread::Builder::new().name("pacer".to_owned()).spawn(run);
        Pacer { over, thread: Some(thread.expect("the operating system gives us one more thread")) }
    }

    /// Ends it. Returns how late releases were, in nanoseconds: the generator's own share of the latencies.
    pub(crate) fn stop(mut self) -> Histogram<u64> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is taken here alone");
        thread.join().expect("the pacer does not panic")
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_a_function_of_time() {
        let times = Arrivals::Even.times(1_000.0, 10, 1);
        for (now_us, due) in [(0, 1), (999, 1), (1_000, 2), (5_500, 6), (9_000, 10), (1_000_000, 10)] {
            assert_eq!(due_at(&times, now_us * 1_000), due, "{now_us}");
        }
        assert_eq!(due_at(&[], 5), 0);
        // A burst: everything is due at once.
        assert_eq!(due_at(&[0; 7], 0), 7);
    }

    #[test]
    fn even_arrivals_keep_their_rate_to_the_end() {
        let times = Arrivals::Even.times(100_000.0, 1_000_000, 1);
        assert_eq!((times[0], times[1], times[999_999]), (0, 10_000, 9_999_990_000));
        assert!(times.is_sorted());
    }

    #[test]
    fn poisson_arrivals_are_seeded_and_keep_rate_and_spread() {
        const COUNT: usize = 100_000;
        let times = Arrivals::Poisson.times(50_000.0, COUNT, 3);
        assert_eq!(times, Arrivals::Poisson.times(50_000.0, COUNT, 3));
        assert_ne!(times, Arrivals::Poisson.times(50_000.0, COUNT, 4));
        assert!(times.is_sorted());
        let rate = COUNT as f64 / (times[COUNT - 1] as f64 / 1e9);
        assert!((rate - 50_000.0).abs() < 1_000.0, "{rate}");
        // The intervals of a Poisson process have a standard deviation equal to their mean.
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((deviation / mean - 1.0).abs() < 0.05, "{}", deviation / mean);
    }

    #[test]
    fn what_is_late_is_released_all_the_same() {
        let lane = Released::new(vec![0, 10, 20, 30]);
        assert_eq!((lane.release(15), lane.due(), lane.next_ns()), (Some(0), 2, Some(20)));
        assert_eq!((lane.release(15), lane.due()), (None, 2));
        assert_eq!((lane.release(1_000), lane.due(), lane.next_ns()), (Some(20), 4, None));
    }
}
