//! One bucket of failed attempts and the lockouts that it caused: arithmetic on times, without a table around it.
//!
//! A bucket is written only on a failed attempt. What it holds at another time, and how far its level has decayed by then, is
//! computed from that one moment in whole numbers, so that nothing is rounded and nothing drifts.

use super::costs::TENTHS;
use super::limits::{BudgetLimits, MISSES_MAX, TIME_MAX_MS};

/// Parts of one attempt: as many as a minute has milliseconds, so that a bucket regains `misses_per_minute` parts per
/// millisecond.
const ATTEMPT: u64 = 60_000;

/// A budget's limits, in the units that buckets count in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    capacity: u64,
    /// The most that can be missing: so much that the longest lockout regains one attempt.
    spent_max: u64,
    regained_per_ms: u64,
    first_ms: u64,
    longest_ms: u64,
    quiet_ms: u64,
    /// The level from which a lockout has the maximum length.
    level_max: u32,
}

impl Pace {
    /// `None` for a budget that is off. Clamps numbers that [`super::GuardLimits::check`] would refuse to their range.
    pub(super) fn of(limits: &BudgetLimits) -> Option<Pace> {
        let misses = |misses: u32| u64::from(misses.clamp(1, MISSES_MAX));
        let time_ms = |time_ms: u32| u64::from(time_ms.clamp(1, TIME_MAX_MS));
        let (capacity, regained_per_ms) = (misses(limits.misses_at_once) * ATTEMPT, misses(limits.misses_per_minute));
        let first_ms = time_ms(limits.lockout_first_ms);
        let longest_ms = time_ms(limits.lockout_longest_ms).max(first_ms);
        (limits.misses_per_minute > 0).then(|| Pace {
            capacity,
            spent_max: capacity.max(capacity - ATTEMPT + longest_ms * regained_per_ms),
            regained_per_ms,
            first_ms,
            longest_ms,
            quiet_ms: time_ms(limits.quiet_ms),
            level_max: (0..32).find(|level| first_ms << level >= longest_ms).unwrap_or(32),
        })
    }
}

/// What is left of a budget. A default bucket is full and was never locked out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    /// Parts that were missing at `counted_ms`. Many attempts at once can have taken more than there was.
    spent: u64,
    counted_ms: u64,
    /// When the newest lockout ends: the first moment at which attempts are processed again.
    ends_ms: u64,
    /// How many times the length of a lockout that starts at `ends_ms` would be doubled.
    level: u32,
}

impl Bucket {
    /// When the newest lockout ends or has ended; 0 before the first.
    pub(super) fn ends_ms(&self) -> u64 {
        self.ends_ms
    }

    /// Charges failed attempts, in tenths. If less than one whole attempt is left, a lockout begins and lasts at least until one
    /// is regained, but never longer than the longest lockout, after which the rest is forgiven. Attempts during a lockout are
    /// not counted.
    pub(super) fn charge(&mut self, now_ms: u64, tenths: u32, pace: &Pace) {
        if now_ms < self.ends_ms || tenths == 0 {
            return;
        }
        let parts = u64::from(tenths) * (ATTEMPT / u64::from(TENTHS));
        self.spent = (self.spent_at(now_ms, pace) + parts).min(pace.spent_max);
        self.counted_ms = now_ms;
        if self.spent + ATTEMPT <= pace.capacity {
            return;
        }
        let until_one_is_left_ms = (self.spent + ATTEMPT - pace.capacity).div_ceil(pace.regained_per_ms);
        let level = self.level_at(now_ms, pace);
        let length_ms = (pace.first_ms << level).max(until_one_is_left_ms).min(pace.longest_ms);
        self.ends_ms = now_ms.saturating_add(length_ms);
        self.level = (level + 1).min(pace.level_max);
    }

    /// The time from which it equals a default bucket, unless a failed attempt comes first: it is full, and its level is 0.
    pub(super) fn quiet_from_ms(&self, pace: &Pace) -> u64 {
        let full_ms = self.counted_ms.saturating_add(self.spent.div_ceil(pace.regained_per_ms));
        full_ms.max(self.ends_ms.saturating_add(u64::from(self.level) * pace.quiet_ms))
    }

    fn spent_at(&self, now_ms: u64, pace: &Pace) -> u64 {
        let regained = now_ms.saturating_sub(self.counted_ms).saturating_mul(pace.regained_per_ms);
        self.spent.saturating_sub(regained)
    }

    /// One level less for each quiet period since the newest lockout.
    fn level_at(&self, now_ms: u64, pace: &Pace) -> u32 {
        let periods = now_ms.saturating_sub(self.ends_ms) / pace.quiet_ms;
        self.level - u32::try_from(periods).unwrap_or(u32::MAX).min(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::GuardLimits;

    const START: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn pace() -> Pace {
        Pace::of(&GuardLimits::CLIENT).expect("it is on")
    }

    impl Bucket {
        fn fail(&mut self, now_ms: u64, attempts: u32, pace: &Pace) {
            self.charge(now_ms, attempts.saturating_mul(TENTHS), pace);
        }
    }

    /// The length of the lockout that a failed attempt starts; 0 if it starts none.
    fn lockout_ms(bucket: &mut Bucket, now_ms: u64, misses: u32, pace: &Pace) -> u64 {
        bucket.fail(now_ms, misses, pace);
        bucket.ends_ms.saturating_sub(now_ms)
    }

    /// Z9: the last failed attempt that a budget allows starts the lockout.
    #[test]
    fn the_tenth_failed_attempt_locks_out_for_half_a_minute() {
        let mut bucket = Bucket::default();
        for _ in 0..9 {
            assert_eq!(lockout_ms(&mut bucket, START, 1, &pace()), 0);
        }
        assert_eq!(lockout_ms(&mut bucket, START, 1, &pace()), 30_000);
    }

    #[test]
    fn an_attempt_is_regained_after_exactly_its_time() {
        // One per 6,000 ms: nine are taken, and a millisecond earlier the tenth is not yet regained.
        for (wait_ms, locked_out_ms) in [(5_999, 30_000), (6_000, 0), (6_001, 0)] {
            let mut bucket = Bucket::default();
            bucket.fail(START, 9, &pace());
            assert_eq!(lockout_ms(&mut bucket, START + wait_ms, 1, &pace()), locked_out_ms, "{wait_ms}");
        }
    }

    /// Seven a minute is one per 8,571.43 ms. A million of them take exactly as long as they should, at whatever times they are
    /// charged.
    #[test]
    fn regaining_does_not_drift() {
        let pace = Pace::of(&BudgetLimits { misses_per_minute: 7, ..GuardLimits::CLIENT }).expect("it is on");
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bucket = Bucket::default();
        bucket.fail(START, 9, &pace);
        for miss in 1..=1_000_000_u64 {
            let exact_ms = START + (miss * 60_000).div_ceil(7);
            if random.u8(..4) == 0 {
                let mut early = bucket;
                assert_ne!(lockout_ms(&mut early, exact_ms - 1, 1, &pace), 0, "seed {seed}, miss {miss}");
            }
            assert_eq!(lockout_ms(&mut bucket, exact_ms, 1, &pace), 0, "seed {seed}, miss {miss}");
        }
    }

    #[test]
    fn each_lockout_is_twice_as_long_up_to_the_longest() {
        let mut bucket = Bucket::default();
        let mut now_ms = START;
        for expected_s in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
            assert_eq!(lockout_ms(&mut bucket, now_ms, 10, &pace()), expected_s * 1000);
            now_ms = bucket.ends_ms + 30_000;
        }
    }

    #[test]
    fn the_level_decays_by_one_at_the_end_of_each_quiet_period() {
        let mut hardened = Bucket::default();
        for _ in 0..3 {
            hardened.fail(hardened.ends_ms.max(START), 10, &pace());
        }
        // The next one would last 240 s.
        for (quiet_ms, expected_s) in [
            (HOUR - 1, 240),
            (HOUR, 120),
            (2 * HOUR - 1, 120),
            (2 * HOUR, 60),
            (3 * HOUR, 30),
            (4 * HOUR, 30),
            (u64::MAX / 2, 30),
        ] {
            let mut bucket = hardened;
            let now_ms = bucket.ends_ms + quiet_ms;
            assert_eq!(lockout_ms(&mut bucket, now_ms, 10, &pace()), expected_s * 1000, "{quiet_ms}");
        }
        assert_eq!(hardened.quiet_from_ms(&pace()), hardened.ends_ms + 3 * HOUR);
    }

    #[test]
    fn failed_attempts_during_a_lockout_are_not_counted_and_do_not_prolong_it() {
        let mut bucket = Bucket::default();
        bucket.fail(START, 10, &pace());
        for now_ms in [START, START + 1, START + 29_999] {
            bucket.fail(now_ms, 1_000, &pace());
            assert_eq!(bucket.ends_ms, START + 30_000);
        }
        // Half a minute regains five: the fourth leaves one, the fifth none.
        assert_eq!(lockout_ms(&mut bucket, START + 30_000, 4, &pace()), 0);
        assert_eq!(lockout_ms(&mut bucket, START + 30_000, 1, &pace()), 60_000);
    }

    /// Z9: failed codes of one `check` are paid off, but no lockout exceeds the maximum.
    #[test]
    fn many_failed_attempts_at_once_lock_out_until_one_is_regained() {
        let mut bucket = Bucket::default();
        assert_eq!(lockout_ms(&mut bucket, START, 20, &pace()), 66_000);
        assert_eq!(lockout_ms(&mut bucket, START + 66_000, 1, &pace()), 60_000);
        let mut bucket = Bucket::default();
        assert_eq!(lockout_ms(&mut bucket, START, 8_192, &pace()), HOUR);
        // The part that could not be paid off by then is forgiven.
        assert_eq!(lockout_ms(&mut bucket, START + HOUR, 1, &pace()), 60_000);
        let gateway = Pace::of(&GuardLimits::CREDENTIAL).expect("it is on");
        assert_eq!(lockout_ms(&mut Bucket::default(), START, 8_192, &gateway), 21_930);
    }

    #[test]
    fn a_bucket_is_quiet_when_it_is_full_and_its_level_is_0() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.quiet_from_ms(&pace()), 0);
        bucket.fail(START, 1, &pace());
        assert_eq!(bucket.quiet_from_ms(&pace()), START + 6_000);
        bucket.fail(START + 6_000, 3, &pace());
        assert_eq!(bucket.quiet_from_ms(&pace()), START + 24_000);
        bucket.fail(START + 6_000, 7, &pace());
        assert_eq!(bucket.quiet_from_ms(&pace()), START + 6_000 + 30_000 + HOUR);
        let flat = Pace::of(&BudgetLimits { lockout_longest_ms: 30_000, ..GuardLimits::CLIENT }).expect("it is on");
        let mut bucket = Bucket::default();
        bucket.fail(START, 10, &flat);
        assert_eq!(bucket.quiet_from_ms(&flat), START + 60_000, "with one length for all there is no level");
    }

    #[test]
    fn extreme_numbers_are_harmless() {
        let most = BudgetLimits {
            misses_per_minute: u32::MAX,
            misses_at_once: u32::MAX,
            lockout_first_ms: u32::MAX,
            lockout_longest_ms: u32::MAX,
            quiet_ms: u32::MAX,
        };
        let least =
            BudgetLimits { misses_per_minute: 1, misses_at_once: 0, lockout_first_ms: 0, lockout_longest_ms: 0, quiet_ms: 0 };
        let widest = BudgetLimits { lockout_first_ms: 1, lockout_longest_ms: u32::MAX, ..least };
        for limits in [most, least, widest, GuardLimits::CLIENT] {
            let pace = Pace::of(&limits).expect("it is on");
            assert!(pace.first_ms << pace.level_max >= pace.longest_ms, "{pace:?}");
            let mut bucket = Bucket::default();
            for now_ms in [0, 0, 1, START, START, u64::MAX - 1, u64::MAX, u64::MAX] {
                for misses in [0, 1, u32::MAX] {
                    bucket.fail(now_ms, misses, &pace);
                    assert!(bucket.ends_ms <= now_ms.saturating_add(pace.longest_ms));
                    assert!(bucket.quiet_from_ms(&pace) >= bucket.ends_ms);
                }
            }
            assert_eq!(bucket.ends_ms, u64::MAX, "{limits:?}");
        }
    }
}
