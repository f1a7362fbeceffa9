//! The buckets of one budget: one for each key with a recent failed attempt, up to a limit.
//!
//! A quiet bucket ([`Bucket::quiet_from_ms`]) equals a missing one. Each charge drops a few quiet buckets, so that neither an
//! attempt nor a lookup ever walks the table. At the limit a new key replaces another one: among keys that are not locked out,
//! the one that would be quiet first; if all are locked out, the one that is free first. A credential that has used up its share
//! adds no more keys.
//!
//! Invariant: below the limit, neither dropping buckets nor noting ended lockouts changes an answer.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use scrip_protocol::CredentialId;

use super::bucket::{Bucket, Pace};
use super::chunked::Chunked;
use super::costs::{Costs, FailedCode};
use super::fingerprint::Recent;
use crate::by_time::ByTime;
use crate::slot_table::GrowingTable;

/// Ended lockouts noted, and quiet buckets dropped, per charge. A charge adds at most one, so that both shrink.
const SWEPT_PER_CHARGE: usize = 8;

/// The result of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charged {
    /// Nobody is newly locked out.
    Counted,
    /// A lockout begins.
    LockedOut,
    /// A lockout would begin but is not permitted: nothing was charged.
    Withheld,
    /// During a lockout: nothing was charged.
    During,
}

/// The buckets of one budget. Remembers `N` codes per key.
pub(super) struct Buckets<const N: usize> {
    pace: Pace,
    limit: usize,
    /// Rows that one credential may have added.
    share_max: usize,
    /// Rows that each has added.
    shares: HashMap<CredentialId, usize>,
    rows: Chunked<Row<N>>,
    /// Unused rows.
    free: Vec<u32>,
    index: GrowingTable,
    /// Rows that are not locked out, by the time at which they become quiet.
    open: BTreeSet<(u64, u32)>,
    /// The other rows, by the end of their lockout, which may have passed.
    locked: BTreeSet<(u64, u32)>,
    /// Their number, by the end of their lockout.
    locked_by_end: ByTime<u64>,
    /// See [`Buckets::last_end_ms`].
    last_end_ms: u64,
}

struct Row<const N: usize> {
    key: u128,
    bucket: Bucket,
    /// The wrong codes tried most recently.
    recent: Recent<N>,
    /// The credential that added the row.
    by: CredentialId,
    /// The credential whose attempt started the newest lockout.
    caused_by: CredentialId,
    /// Which of the two sets it is in.
    locked: bool,
}

/// Memory of a client's bucket, in addition to 11 to 16 bytes of the index and some 30 of its set.
const _: () = assert!(size_of::<Row<8>>() == 96);

impl<const N: usize> Buckets<N> {
    pub(super) fn new(pace: Pace, limit: usize, share_max: usize) -> Buckets<N> {
        Buckets {
            pace,
            limit: limit.clamp(1, u32::MAX as usize),
            share_max,
            shares: HashMap::new(),
            rows: Chunked::new(),
            free: Vec::new(),
            index: GrowingTable::new(),
            open: BTreeSet::new(),
            locked: BTreeSet::new(),
            locked_by_end: ByTime::default(),
            last_end_ms: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.locked.len()
    }

    /// The end of the lockout that ends last; 0 without any. It may have passed.
    pub(super) fn last_end_ms(&self) -> u64 {
        self.last_end_ms
    }

    /// When the newest lockout of a key ends or ended; 0 if none is remembered.
    pub(super) fn ends_ms(&self, key: u128) -> u64 {
        self.find(key).map_or(0, |at| self.row(at).bucket.ends_ms())
    }

    /// Current lockouts in the order in which they end, each with that time and the credential that caused it.
    pub(super) fn locked(&self, now_ms: u64) -> impl Iterator<Item = (u128, u64, CredentialId)> {
        let not_over = self.locked.range((Bound::Excluded((now_ms, u32::MAX)), Bound::Unbounded));
        not_over.map(|(ends_ms, at)| (self.row(*at).key, *ends_ms, self.row(*at).caused_by))
    }

    /// The number of current lockouts. Takes constant time.
    pub(super) fn locked_count(&self, now_ms: u64) -> u64 {
        self.locked_by_end.after(now_ms)
    }

    /// Charges a key for failed attempts, one for each code that was not tried recently, through a credential that may or may not
    /// start a lockout.
    pub(super) fn charge(
        &mut self,
        now_ms: u64,
        key: u128,
        by: CredentialId,
        codes: &[FailedCode],
        costs: Costs,
        may_lock: bool,
    ) -> Charged {
        let codes = codes.iter().map(|code| (code.fingerprint, costs.of(code.reason))).filter(|(_, cost)| *cost > 0);
        if codes.clone().next().is_none() {
            return Charged::Counted;
        }
        self.sweep(now_ms);
        let Some(at) = self.find(key).or_else(|| self.add(key, by)) else { return Charged::Counted };
        let pace = self.pace;
        let row = self.row_mut(at);
        if now_ms < row.bucket.ends_ms() {
            return Charged::During;
        }
        let (mut bucket, mut recent) = (row.bucket, row.recent);
        let tenths = codes.map(|(code, cost)| if recent.note(code) { cost } else { 0 }).sum();
        bucket.charge(now_ms, tenths, &pace);
        let is_locked = now_ms < bucket.ends_ms();
        if is_locked && !may_lock {
            // The codes count as tried: they are not charged a second time.
            self.row_mut(at).recent = recent;
            return Charged::Withheld;
        }
        self.take_from_its_set(at);
        let row = self.row_mut(at);
        (row.bucket, row.recent, row.locked) = (bucket, recent, is_locked);
        if is_locked {
            row.caused_by = by;
        }
        self.put_in_its_set(at);
        self.note_last_end();
        if is_locked { Charged::LockedOut } else { Charged::Counted }
    }

    /// Forgets a key: it has a full budget and was never locked out.
    pub(super) fn forget(&mut self, key: u128) {
        if let Some(at) = self.find(key) {
            self.drop_row(at);
            self.note_last_end();
        }
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        *self = Buckets::new(self.pace, self.limit, self.share_max);
    }

    /// The credentials that added the remembered keys.
    pub(super) fn credentials(&self) -> impl Iterator<Item = CredentialId> {
        self.shares.keys().copied()
    }

    fn note_last_end(&mut self) {
        self.last_end_ms = self.locked.last().map_or(0, |(ends_ms, _)| *ends_ms);
    }

    /// Notes a few ended lockouts and drops a few quiet buckets.
    fn sweep(&mut self, now_ms: u64) {
        for _ in 0..SWEPT_PER_CHARGE {
            let Some((_, at)) = self.locked.first().copied().filter(|(ends_ms, _)| *ends_ms <= now_ms) else { break };
            self.take_from_its_set(at);
            self.row_mut(at).locked = false;
            self.put_in_its_set(at);
        }
        for _ in 0..SWEPT_PER_CHARGE {
            let Some((_, at)) = self.open.first().copied().filter(|(quiet_ms, _)| *quiet_ms <= now_ms) else { break };
            self.drop_row(at);
        }
    }

    /// Adds a key, unless its credential has used up its share.
    fn add(&mut self, key: u128, by: CredentialId) -> Option<u32> {
        if self.shares.get(&by).copied().unwrap_or(0) >= self.share_max {
            return None;
        }
        if self.len() >= self.limit {
            let (_, at) = *self.open.first().or(self.locked.first()).expect("a limit is at least 1, and so many there are");
            self.drop_row(at);
        }
        *self.shares.entry(by).or_default() += 1;
        let row = Row { key, bucket: Bucket::default(), recent: Recent::NONE, by, caused_by: by, locked: false };
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
        Some(at)
    }

    fn drop_row(&mut self, at: u32) {
        self.take_from_its_set(at);
        let (key, by) = (self.row(at).key, self.row(at).by);
        self.index.remove(key, at);
        self.free.push(at);
        if let Some(share) = self.shares.get_mut(&by) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&by);
            }
        }
    }

    fn put_in_its_set(&mut self, at: u32) {
        let row = self.row(at);
        match row.locked {
            true => {
                let ends_ms = row.bucket.ends_ms();
                self.locked_by_end.add(ends_ms, 1);
                self.locked.insert((ends_ms, at))
            }
            false => self.open.insert((row.bucket.quiet_from_ms(&self.pace), at)),
        };
    }

    fn take_from_its_set(&mut self, at: u32) {
        let row = self.row(at);
        match row.locked {
            true => {
                let ends_ms = row.bucket.ends_ms();
                self.locked_by_end.take(ends_ms, 1);
                self.locked.remove(&(ends_ms, at))
            }
            false => self.open.remove(&(row.bucket.quiet_from_ms(&self.pace), at)),
        };
    }

    fn find(&self, key: u128) -> Option<u32> {
        self.index.find(key, |at| self.row(at).key)
    }

    fn row(&self, at: u32) -> &Row<N> {
        self.rows.get(at).expect("index and sets name existing rows")
    }

    fn row_mut(&mut self, at: u32) -> &mut Row<N> {
        self.rows.get_mut(at).expect("index and sets name existing rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::tests::fresh;
    use crate::guard::{Fingerprint, GuardLimits, Reason};

    const START: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;

    const BY: CredentialId = CredentialId(1);

    fn unknown(number: u32) -> FailedCode {
        FailedCode { fingerprint: Fingerprint(number), reason: Reason::Unknown }
    }

    fn of_clients(limit: usize) -> Buckets<8> {
        Buckets::new(Pace::of(&GuardLimits::CLIENT).expect("it is on"), limit, limit + 1)
    }

    impl Buckets<8> {
        /// Charges attempts with a new code each. Returns whether a lockout begins.
        fn fails(&mut self, now_ms: u64, key: u128, attempts: u32) -> bool {
            self.charge(now_ms, key, BY, &fresh(attempts), Costs::CLIENT, true) == Charged::LockedOut
        }
    }

    #[test]
    fn quiet_buckets_are_dropped_a_few_with_each_charge() {
        let mut buckets = of_clients(10_000);
        (1..=1_000).for_each(|key| assert!(!buckets.fails(START, key, 1)));
        buckets.fails(START + 5_999, 1_001, 1);
        assert_eq!(buckets.len(), 1_001, "they are quiet after 6,000 ms");
        for more in 1..=125 {
            buckets.fails(START + 6_000, 1_001, 1);
            assert_eq!(buckets.len(), 1_001 - 8 * more);
        }
        assert_eq!(buckets.rows.len(), 1_001);
        (2_000..3_000).for_each(|key| assert!(!buckets.fails(START + 6_000, key, 1)));
        assert_eq!(buckets.rows.len(), 1_001, "rows are used again");
    }

    #[test]
    fn a_lockout_is_remembered_until_its_level_has_decayed() {
        let mut buckets = of_clients(10);
        buckets.fails(START, 1, 10);
        let quiet_ms = START + 30_000 + HOUR;
        buckets.fails(quiet_ms - 1, 2, 1);
        assert!(buckets.find(1).is_some());
        buckets.fails(quiet_ms, 2, 1);
        assert!(buckets.find(1).is_none() && buckets.find(2).is_some());
    }

    /// Z9: at the limit, the key that would be quiet first is dropped; one that is locked out, last.
    #[test]
    fn at_the_limit_those_with_the_fewest_failed_attempts_are_forgotten_first() {
        let mut buckets = of_clients(4);
        for (key, attempts) in [(1, 10), (2, 5), (3, 2), (4, 9)] {
            buckets.fails(START, key, attempts);
        }
        for (newcomer, attempts, forgotten) in
            [(5, 6, 3), (6, 10, 2), (7, 1, 5), (8, 1, 7), (9, 20, 8), (10, 30, 4), (11, 1, 1), (12, 1, 11)]
        {
            assert!(buckets.find(forgotten).is_some(), "{newcomer}");
            buckets.fails(START, newcomer, attempts);
            assert!(buckets.find(forgotten).is_none() && buckets.find(newcomer).is_some(), "{newcomer}");
            assert_eq!(buckets.len(), 4);
        }
        // Client 1, locked out until the same time as 6, was dropped when all four were locked out.
        assert!(buckets.locked(START).eq([(6, START + 30_000, BY), (9, START + 66_000, BY), (10, START + 126_000, BY)]));
        assert_eq!((buckets.ends_ms(1), buckets.last_end_ms()), (0, START + 126_000));
    }

    /// An ended lockout is dropped before a current one, even if nothing has noted its end.
    #[test]
    fn at_the_limit_ended_lockouts_are_dropped_first() {
        let mut buckets = of_clients(20);
        (1..=20).for_each(|key| assert!(buckets.fails(START, key, if key <= 19 { 10 } else { 8_192 })));
        // This charge notes eight of them, and the first of those makes room.
        buckets.fails(START + 30_000, 21, 10);
        assert_eq!((buckets.len(), buckets.locked.len(), buckets.open.len()), (20, 13, 7));
        (22..=40).for_each(|key| assert!(buckets.fails(START + 30_000, key, 10)));
        assert!(buckets.find(20).is_some() && buckets.find(21).is_none());
    }

    /// The same wrong code again is not another guess.
    #[test]
    fn a_recently_tried_code_is_not_charged_again() {
        let mut buckets = of_clients(10);
        let code = |number| [unknown(number)];
        for _ in 0..1_000 {
            assert_eq!(buckets.charge(START, 1, BY, &code(7), Costs::CLIENT, true), Charged::Counted);
        }
        for number in 8..16 {
            assert_eq!(buckets.charge(START, 1, BY, &code(number), Costs::CLIENT, true), Charged::Counted);
        }
        assert_eq!(buckets.charge(START, 1, BY, &code(99), Costs::CLIENT, true), Charged::LockedOut, "the tenth other code");
        let all: Vec<_> = (0..10).map(|number| unknown(number / 2)).collect();
        assert_eq!(buckets.charge(START, 2, BY, &all, Costs::CLIENT, true), Charged::Counted, "five codes, each twice");
    }

    #[test]
    fn a_withheld_lockout_leaves_the_key_at_its_limit() {
        let mut buckets = of_clients(10);
        assert!(!buckets.fails(START, 1, 9));
        let other = CredentialId(2);
        for (code, may_lock, expected) in [
            (1, false, Charged::Withheld),
            (1, false, Charged::Counted),
            (2, false, Charged::Withheld),
            (2, true, Charged::Counted),
        ] {
            assert_eq!(buckets.charge(START, 1, other, &[unknown(code)], Costs::CLIENT, may_lock), expected);
        }
        assert_eq!((buckets.ends_ms(1), buckets.locked(START).count()), (0, 0));
        assert_eq!(buckets.charge(START, 1, other, &[unknown(3)], Costs::CLIENT, true), Charged::LockedOut);
        assert!(buckets.locked(START).eq([(1, START + 30_000, other)]), "it names the credential that started it");
    }

    /// One credential cannot displace the clients of others.
    #[test]
    fn a_credential_adds_no_more_than_its_share() {
        let mut buckets: Buckets<8> = Buckets::new(Pace::of(&GuardLimits::CLIENT).expect("it is on"), 100, 10);
        (0..50).for_each(|key| assert!(!buckets.fails(START, key, 1)));
        assert_eq!(buckets.len(), 10);
        let other = CredentialId(2);
        assert_eq!(buckets.charge(START, 77, other, &fresh(10), Costs::CLIENT, true), Charged::LockedOut);
        // Quiet keys are returned to the share.
        assert!(!buckets.fails(START + 6_000, 60, 1) && buckets.find(60).is_some());
        buckets.forget(77);
        assert_eq!((buckets.ends_ms(77), buckets.last_end_ms(), buckets.shares.len()), (0, 0, 1));
    }
}
