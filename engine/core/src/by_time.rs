//! Sums by time: the total, and the part at or before a time.
//!
//! Each value is added at its millisecond and in the intervals around it, each 64 times as long as the one before. The sum at or
//! before a time then consists of at most 63 intervals of each length, however many values there are.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

/// An interval is longer by this many bits than its parts.
const BITS: u32 = 6;

/// Number of interval lengths: the longest lasts 4.7 hours, so that the longest hold spans 37 of them.
const LENGTHS: usize = 5;

/// Sums by time.
#[derive(Debug, PartialEq)]
pub(crate) struct ByTime<V> {
    /// The sums of the non-empty intervals of each length, by the number of the interval.
    stretches: [BTreeMap<u64, V>; LENGTHS],
    total: V,
}

impl<V: Default> Default for ByTime<V> {
    fn default() -> ByTime<V> {
        ByTime { stretches: Default::default(), total: V::default() }
    }
}

impl<V: Copy + Default + PartialEq + AddAssign + SubAssign> ByTime<V> {
    /// Whether all sums are zero.
    pub(crate) fn is_empty(&self) -> bool {
        self.stretches.iter().all(BTreeMap::is_empty)
    }

    pub(crate) fn add(&mut self, at_ms: u64, value: V) {
        self.change(at_ms, |sum| *sum += value);
    }

    /// Removes what was added at a time.
    pub(crate) fn take(&mut self, at_ms: u64, value: V) {
        self.change(at_ms, |sum| *sum -= value);
    }

    fn change(&mut self, at_ms: u64, change: impl Fn(&mut V)) {
        change(&mut self.total);
        for (length, sums) in (0..).zip(&mut self.stretches) {
            let stretch = at_ms >> (BITS * length);
            let sum = sums.entry(stretch).or_default();
            change(sum);
            if *sum == V::default() {
                sums.remove(&stretch);
            }
        }
    }

    /// The sum after a time.
    pub(crate) fn after(&self, now_ms: u64) -> V {
        let mut left = self.total;
        self.until(now_ms).for_each(|sum| left -= *sum);
        left
    }

    /// The sums that make up the sum at or before a time.
    fn until(&self, now_ms: u64) -> impl Iterator<Item = &V> {
        let (at_once, longer) = (self.stretches[0].get(&now_ms), (0..).zip(&self.stretches));
        // Of each length, the intervals before the one that contains the time, unless a longer completed interval includes them.
        let over = longer.flat_map(move |(length, sums)| {
            let now = now_ms >> (BITS * length);
            let first = if length as usize == LENGTHS - 1 { 0 } else { now >> BITS << BITS };
            sums.range(first..now).map(|(_, sum)| sum)
        });
        at_once.into_iter().chain(over)
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
mod tests {
    use super::*;

    /// The sum after a time is the one that a full walk finds, whatever was added and removed.
    #[test]
    fn sums_by_time_agree_with_a_full_walk() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let (mut sums, mut all) = (ByTime::default(), Vec::new());
            let (from, spread) = (random.u64(..1 << 41), 1 << random.u32(1..30));
            let some_time = |random: &mut fastrand::Rng| from + random.u64(..spread);
            for _ in 0..random.usize(..300) {
                if !all.is_empty() && random.u32(..3) == 0 {
                    let (at_ms, value) = all.swap_remove(random.usize(..all.len()));
                    sums.take(at_ms, value);
                } else {
                    let (at_ms, value) = (some_time(&mut random), random.i64(1..100));
                    sums.add(at_ms, value);
                    all.push((at_ms, value));
                }
                let walked = |now_ms: u64| all.iter().filter(|(at_ms, _)| *at_ms > now_ms).map(|(_, value)| value).sum::<i64>();
                let near = all.first().map_or(from, |(at_ms, _)| *at_ms);
                for now_ms in [some_time(&mut random), near - 1, near, near + 1, 0, u64::MAX] {
                    assert_eq!(sums.after(now_ms), walked(now_ms), "at {now_ms} of {all:?}");
                }
            }
            all.drain(..).for_each(|(at_ms, value)| sums.take(at_ms, value));
            assert!(sums.is_empty() && sums == ByTime::default());
        }
    }

    /// The cost of a query does not grow with the number of values: here one in every few milliseconds of seven days.
    #[test]
    fn a_query_reads_only_a_few_sums() {
        const DAYS_MS: u64 = 7 * 24 * 3_600_000;
        let (mut sums, from) = (ByTime::default(), 1_700_000_000_000);
        (0..DAYS_MS).step_by(1_009).for_each(|at_ms| sums.add(from + at_ms, 1_i64));
        assert!(sums.total > 500_000);
        for now_ms in (0..=DAYS_MS).step_by(1_000_003).map(|at_ms| from + at_ms) {
            let looked_at = sums.until(now_ms).count();
            assert!(looked_at <= 64 * LENGTHS, "{looked_at} sums");
        }
    }
}
