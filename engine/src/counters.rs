//! Counters of the engine since its process began, for status and metrics.
//!
//! Nothing is counted here per request: lanes, the engine thread and the journal thread count in plain fields of their own, and
//! add these here once per chunk or commit. Counts of the engine thread appear here once their commit is durable, so that no
//! number reports what a crash can undo (Z4). Numbers are read one by one, so that two of them may be from slightly different
//! moments. They influence no decision.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use scrip_protocol::command::{Counted, DurationStep, Durations, HoldOutcome, Reader, RedeemOutcome, StateSizes};
use scrip_protocol::{FormulaFailure, Kind, Position, Refusal};

/// Upper bounds of flush times, in microseconds: from a disk with a power-safe cache up to one that hangs.
const FLUSH_STEPS_US: [u32; 14] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

/// All counters.
#[derive(Default)]
pub(crate) struct Counters {
    /// Received requests, counted by lanes.
    pub(crate) requests: Requests,
    /// Counted by lanes and the engine thread.
    pub(crate) refusals: Refusals,
    /// Durable counts of the engine thread; likewise below.
    pub(crate) redemptions: Words<{ RedeemOutcome::WORDS.len() }>,
    pub(crate) holds: Words<{ HoldOutcome::WORDS.len() }>,
    pub(crate) repeated: AtomicU64,
    pub(crate) lockouts: AtomicU64,
    pub(crate) rule_failures: Words<{ RULE_FAILURES.len() }>,
    pub(crate) pushes_too_long: AtomicU64,
    pub(crate) sizes: Mutex<StateSizes>,
    pub(crate) readers: Mutex<Vec<Reader>>,
    /// Counted by the thread that appends to the journal.
    pub(crate) journal: JournalCounters,
    /// Counted by the server.
    pub(crate) server: ServerCounters,
}

/// Why rules that matched a top-up did nothing: the words of [`FormulaFailure`], after the one for too many rules.
pub(crate) const RULE_FAILURES: [&str; FormulaFailure::WORDS.len() + 1] =
    ["too_many", FormulaFailure::WORDS[0], FormulaFailure::WORDS[1]];

/// Counts by word.
pub(crate) struct Words<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Words<N> {
    fn default() -> Words<N> {
        Words(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Words<N> {
    /// Adds counts from elsewhere, and resets them.
    pub(crate) fn take(&self, counts: &mut [u64; N]) {
        for (sum, count) in self.0.iter().zip(counts) {
            if *count > 0 {
                sum.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
    }

    /// The nonzero counts with their words.
    pub(crate) fn counted(&self, words: &[&str; N]) -> Vec<Counted> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        let counted = words.iter().zip(counts).filter(|(_, count)| *count > 0);
        counted.map(|(word, count)| Counted { word: (*word).to_owned(), count }).collect()
    }
}

/// Refusals by the words in [`Refusal::WORDS`].
pub(crate) type Refusals = Words<{ Refusal::WORDS.len() }>;

/// Counts of refusals by kind.
pub(crate) type RefusalCounts = [u64; Refusal::WORDS.len()];

/// Counts refusals of one kind.
pub(crate) fn count_refusals(counts: &mut RefusalCounts, refusal: &Refusal, number: u64) {
    counts[refusal.number() - 1] += number;
}

/// One more than the highest number of a command.
const KINDS: usize = 128;

/// Requests by command.
pub(crate) struct Requests([AtomicU64; KINDS]);

impl Default for Requests {
    fn default() -> Requests {
        Requests(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Requests {
    /// Adds the counts of a chunk.
    pub(crate) fn add(&self, chunk: &RequestCounts) {
        let mut seen = chunk.seen;
        while seen != 0 {
            let number = seen.trailing_zeros() as usize;
            self.0[number].fetch_add(u64::from(chunk.counts[number]), Ordering::Relaxed);
            seen &= seen - 1;
        }
    }

    /// The nonzero counts with their words.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        let count = |kind: &Kind| self.0[*kind as usize].load(Ordering::Relaxed);
        let counted = Kind::ALL.iter().map(|kind| Counted { word: kind.word().to_owned(), count: count(kind) });
        counted.filter(|counted| counted.count > 0).collect()
    }
}

/// The requests of one chunk by command.
pub(crate) struct RequestCounts {
    /// One bit per nonzero count, to find them quickly.
    seen: u128,
    counts: [u32; KINDS],
}

impl Default for RequestCounts {
    fn default() -> RequestCounts {
        RequestCounts { seen: 0, counts: [0; KINDS] }
    }
}

impl RequestCounts {
    pub(crate) fn count(&mut self, kind: Kind) {
        let number = kind as usize;
        self.seen |= 1 << number;
        self.counts[number] += 1;
    }
}

/// What became durable.
#[derive(Default)]
pub(crate) struct JournalCounters {
    /// The newest durable position.
    pub(crate) durable: AtomicU64,
    /// The time of its batch.
    pub(crate) time_ms: AtomicU64,
    batches: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    /// The last is for longer times.
    flushes: [AtomicU64; FLUSH_STEPS_US.len() + 1],
    flush_us: AtomicU64,
}

/// Batches, with their records and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Written {
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl JournalCounters {
    /// Sets the end of the journal.
    pub(crate) fn ends(&self, position: Position, time_ms: u64) {
        self.durable.store(position.0, Ordering::Relaxed);
        self.time_ms.store(time_ms, Ordering::Relaxed);
    }

    /// Adds what one flush made durable.
    pub(crate) fn flushed(&self, written: Written, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let step = FLUSH_STEPS_US.partition_point(|us_max| u64::from(*us_max) < us);
        for (sum, more) in [
            (&self.batches, written.batches),
            (&self.records, written.records),
            (&self.bytes, written.bytes),
            (&self.flushes[step], 1),
            (&self.flush_us, us),
        ] {
            sum.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(crate) fn written(&self) -> Written {
        let load = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        Written { batches: load(&self.batches), records: load(&self.records), bytes: load(&self.bytes) }
    }

    pub(crate) fn flushes(&self) -> Durations {
        let counts = self.flushes.each_ref().map(|count| count.load(Ordering::Relaxed));
        let steps = FLUSH_STEPS_US.iter().zip(counts).map(|(us_max, count)| DurationStep { us_max: *us_max, count });
        let longer = counts[FLUSH_STEPS_US.len()];
        Durations { steps: steps.collect(), longer, sum_us: self.flush_us.load(Ordering::Relaxed) }
    }
}

/// Connections.
#[derive(Default)]
pub(crate) struct ServerCounters {
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_taken: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    /// Connections closed before their hello to make room, as of the newest connection attempt.
    pub(crate) handshakes_evicted: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) lanes: AtomicUsize,
    pub(crate) tails: AtomicUsize,
    pub(crate) watchers: AtomicUsize,
}

/// Counts as one while it exists.
pub(crate) struct One<'a>(&'a AtomicUsize);

impl One<'_> {
    pub(crate) fn of(count: &AtomicUsize) -> One<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        One(count)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_place() {
        let (requests, mut chunk) = (Requests::default(), RequestCounts::default());
        Kind::ALL.iter().for_each(|kind| chunk.count(*kind));
        chunk.count(Kind::Redeem);
        requests.add(&chunk);
        let counted = requests.counted();
        assert_eq!(counted.len(), Kind::ALL.len());
        assert_eq!(counted[0], Counted { word: "redeem".into(), count: 2 });
        assert!(counted[1..].iter().all(|counted| counted.count == 1));
    }

    #[test]
    fn a_flush_is_counted_under_the_first_bound_that_it_does_not_exceed() {
        let counters = JournalCounters::default();
        let written = Written { batches: 1, records: 2, bytes: 3 };
        [50, 51, 1_000_000, 1_000_001].iter().for_each(|us| counters.flushed(written, Duration::from_micros(*us)));
        let flushes = counters.flushes();
        let counts: Vec<_> = flushes.steps.iter().map(|step| step.count).collect();
        assert_eq!((&counts[..3], counts[13], flushes.longer, flushes.count()), (&[1, 1, 0][..], 1, 1, 4));
        assert_eq!((flushes.sum_us, counters.written()), (2_000_102, Written { batches: 4, records: 8, bytes: 12 }));
    }

    #[test]
    fn counts_that_were_taken_start_at_0() {
        let (words, mut counts) = (Words::<2>::default(), [3, 0]);
        words.take(&mut counts);
        words.take(&mut counts);
        assert_eq!((words.counted(&["a", "b"]), counts), (vec![Counted { word: "a".into(), count: 3 }], [0, 0]));
    }
}
