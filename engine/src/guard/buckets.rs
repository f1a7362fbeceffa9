//! The buckets of one budget, one for each key that has missed lately, and never more than a given number.
//!
//! A bucket that is quiet ([`Bucket::quiet_from_ms`]) differs in nothing from none, and is dropped when misses come, a few each
//! time; so that neither a miss nor a look-up ever walks through the table. At the limit a new key takes the place of another one: of that
//! which would have been quiet first among those that are not locked out; only where all are, of that which is free first.
//!
//! Invariant: below the limit, what was dropped and which ended lock-outs were noted changes no answer.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::bucket::{Bucket, Pace};
use super::chunked::Chunked;
use crate::state::shards::Shards;

/// How many ended lock-outs one miss notes, and how many quiet buckets it drops. It adds one at the most, so that both shrink.
const SWEPT_PER_MISS: usize = 8;

/// The buckets of one budget.
pub(super) struct Buckets {
    pace: Pace,
    limit: usize,
    rows: Chunked<Row>,
    /// Rows that no key has.
    free: Vec<u32>,
    index: Shards,
    /// Rows that are not locked out, by the time from which they are quiet.
    open: BTreeSet<(u64, u32)>,
    /// The other rows, by the end of their lock-out. Some of them may have ended.
    locked: BTreeSet<(u64, u32)>,
    /// See [`Buckets::last_end_ms`].
    last_end_ms: u64,
}

struct Row {
    key: u128,
    bucket: Bucket,
    /// Which of the two sets it is in.
    locked: bool,
}

/// What a bucket costs in memory, beside 11 to 16 bytes of the index and some 30 of its set.
const _: () = assert!(size_of::<Row>() == 64);

impl Buckets {
    pub(super) fn new(pace: Pace, limit: usize) -> Buckets {
        Buckets {
            pace,
            limit: limit.clamp(1, u32::MAX as usize),
            rows: Chunked::new(),
            free: Vec::new(),
            index: Shards::new(),
            open: BTreeSet::new(),
            locked: BTreeSet::new(),
            last_end_ms: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.locked.len()
    }

    /// The end of the lock-out that ends last; 0 without any. It may have ended.
    pub(super) fn last_end_ms(&self) -> u64 {
        self.last_end_ms
    }

    /// When the newest lock-out of a key ends or has ended; 0 if none is remembered.
    pub(super) fn ends_ms(&self, key: u128) -> u64 {
        self.find(key).map_or(0, |at| self.row(at).bucket.ends_ms())
    }

    /// Those that are locked out, in the order in which they will be free, each with that time.
    pub(super) fn locked(&self, now_ms: u64) -> impl Iterator<Item = (u128, u64)> {
        let not_over = self.locked.range((Bound::Excluded((now_ms, u32::MAX)), Bound::Unbounded));
        not_over.map(|(ends_ms, at)| (self.row(*at).key, *ends_ms))
    }

    /// Counts misses of a key. Returns whether a lock-out begins with them.
    pub(super) fn miss(&mut self, now_ms: u64, key: u128, misses: u32) -> bool {
        self.sweep(now_ms);
        let at = self.find(key).unwrap_or_else(|| self.add(key));
        self.take_from_its_set(at);
        let pace = self.pace;
        let row = self.row_mut(at);
        let was_locked = now_ms < row.bucket.ends_ms();
        row.bucket.miss(now_ms, misses, &pace);
        row.locked = now_ms < row.bucket.ends_ms();
        let begins = row.locked && !was_locked;
        self.put_in_its_set(at);
        self.last_end_ms = self.locked.last().map_or(0, |(ends_ms, _)| *ends_ms);
        begins
    }

    /// Notes a few lock-outs that have ended, and drops a few buckets that are quiet.
    fn sweep(&mut self, now_ms: u64) {
        for _ in 0..SWEPT_PER_MISS {
            let Some((_, at)) = self.locked.first().copied().filter(|(ends_ms, _)| *ends_ms <= now_ms) else { break };
            self.take_from_its_set(at);
            self.row_mut(at).locked = false;
            self.put_in_its_set(at);
        }
        for _ in 0..SWEPT_PER_MISS {
            let Some((_, at)) = self.open.first().copied().filter(|(quiet_ms, _)| *quiet_ms <= now_ms) else { break };
            self.drop_row(at);
        }
    }

    fn add(&mut self, key: u128) -> u32 {
        if self.len() >= self.limit {
            let (_, at) = *self.open.first().or(self.locked.first()).expect("a limit is 1 at the least, and so many there are");
            self.drop_row(at);
        }
        let row = Row { key, bucket: Bucket::default(), locked: false };
        let at = match self.free.pop() {
            Some(at) => {
                *self.row_mut(at) = row;
                at
            }
            None => {
                self.rows.push(row);
                self.rows.len() as u32 - 1
            }
        };
        self.index.insert(key, at);
        self.put_in_its_set(at);
        at
    }

    fn drop_row(&mut self, at: u32) {
        self.take_from_its_set(at);
        self.index.remove(self.row(at).key, at);
        self.free.push(at);
    }

    fn put_in_its_set(&mut self, at: u32) {
        let row = self.row(at);
        match row.locked {
            true => self.locked.insert((row.bucket.ends_ms(), at)),
            false => self.open.insert((row.bucket.quiet_from_ms(&self.pace), at)),
        };
    }

    fn take_from_its_set(&mut self, at: u32) {
        let row = self.row(at);
        match row.locked {
            true => self.locked.remove(&(row.bucket.ends_ms(), at)),
            false => self.open.remove(&(row.bucket.quiet_from_ms(&self.pace), at)),
        };
    }

    fn find(&self, key: u128) -> Option<u32> {
        self.index.find(key, |at| self.row(at).key)
    }

    fn row(&self, at: u32) -> &Row {
        self.rows.get(at).expect("index and sets name rows that there are")
    }

    fn row_mut(&mut self, at: u32) -> &mut Row {
        self.rows.get_mut(at).expect("index and sets name rows that there are")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::GuardLimits;

    const START: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn of_clients(limit: usize) -> Buckets {
        Buckets::new(Pace::of(&GuardLimits::CLIENT).expect("it is on"), limit)
    }

    #[test]
    fn quiet_buckets_are_dropped_a_few_with_each_miss() {
        let mut buckets = of_clients(10_000);
        (1..=1_000).for_each(|key| assert!(!buckets.miss(START, key, 1)));
        buckets.miss(START + 5_999, 1_001, 1);
        assert_eq!(buckets.len(), 1_001, "they are quiet after 6,000 ms");
        for more in 1..=125 {
            buckets.miss(START + 6_000, 1_001, 1);
            assert_eq!(buckets.len(), 1_001 - 8 * more);
        }
        assert_eq!(buckets.rows.len(), 1_001);
        (2_000..3_000).for_each(|key| assert!(!buckets.miss(START + 6_000, key, 1)));
        assert_eq!(buckets.rows.len(), 1_001, "rows are used again");
    }

    #[test]
    fn a_lockout_is_remembered_until_its_level_has_decayed() {
        let mut buckets = of_clients(10);
        buckets.miss(START, 1, 10);
        let quiet_ms = START + 30_000 + HOUR;
        buckets.miss(quiet_ms - 1, 2, 1);
        assert!(buckets.find(1).is_some());
        buckets.miss(quiet_ms, 2, 1);
        assert!(buckets.find(1).is_none() && buckets.find(2).is_some());
    }

    /// Z9, and bounded everything: at the limit the one goes that would be quiet first; one that is locked out, last.
    #[test]
    fn at_the_limit_those_who_missed_least_are_forgotten_first() {
        let mut buckets = of_clients(4);
        for (key, misses) in [(1, 10), (2, 5), (3, 2), (4, 9)] {
            buckets.miss(START, key, misses);
        }
        for (newcomer, misses, forgotten) in
            [(5, 6, 3), (6, 10, 2), (7, 1, 5), (8, 1, 7), (9, 20, 8), (10, 30, 4), (11, 1, 1), (12, 1, 11)]
        {
            assert!(buckets.find(forgotten).is_some(), "{newcomer}");
            buckets.miss(START, newcomer, misses);
            assert!(buckets.find(forgotten).is_none() && buckets.find(newcomer).is_some(), "{newcomer}");
            assert_eq!(buckets.len(), 4);
        }
        // Client 1, locked out for as long as 6, was forgotten when all four were locked out.
        assert!(buckets.locked(START).eq([(6, START + 30_000), (9, START + 66_000), (10, START + 126_000)]));
        assert_eq!((buckets.ends_ms(1), buckets.last_end_ms()), (0, START + 126_000));
    }

    /// A lock-out that has ended is forgotten before one that lasts, even if nothing has taken note of its end.
    #[test]
    fn at_the_limit_ended_lockouts_go_before_others() {
        let mut buckets = of_clients(20);
        (1..=20).for_each(|key| assert!(buckets.miss(START, key, if key <= 19 { 10 } else { 8_192 })));
        // Eight of them are noted with this miss, and the first of those makes room.
        buckets.miss(START + 30_000, 21, 10);
        assert_eq!((buckets.len(), buckets.locked.len(), buckets.open.len()), (20, 13, 7));
        (22..=40).for_each(|key| assert!(buckets.miss(START + 30_000, key, 10)));
        assert!(buckets.find(20).is_some() && buckets.find(21).is_none());
    }
}
