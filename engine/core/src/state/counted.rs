//! The counted holds of each scope: of a code, of a client in a campaign, of a campaign.
//!
//! A scope answers from which time enough of it is free, if nothing but time passes. Holds are ordered by expiry, so that the
//! answer is the expiry of one of them: of the first, if a limit is just reached; of a later one, if a limit was lowered under
//! open holds, or if more is needed than each of them holds. The holds of a large scope are added up in runs, so that the search
//! takes thousands of steps and not millions.

use std::collections::BTreeMap;

use scrip_protocol::{Money, Position};

/// Maximum number of holds in a run. A scope that never had more has no runs.
const RUN: u32 = 2_048;

/// Data of a hold in addition to its expiry.
pub(super) trait Known: Copy {
    /// A hold without an amount.
    const NOTHING: Self;
    /// A hold of the smallest amount.
    const UNIT: Self;

    /// The amount, in minor units.
    fn amount(self) -> i128;
}

impl Known for () {
    const NOTHING: () = ();
    const UNIT: () = ();

    fn amount(self) -> i128 {
        0
    }
}

impl Known for Money {
    const NOTHING: Money = Money(0);
    const UNIT: Money = Money(1);

    fn amount(self) -> i128 {
        self.0.into()
    }
}

/// The sum of consecutive holds of a scope.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    count: u32,
    amount: i128,
}

impl Run {
    fn add<V: Known>(&mut self, value: V) {
        self.count += 1;
        self.amount += value.amount();
    }

    fn weight<V: Known>(self, weight: impl Fn(V) -> i128) -> i128 {
        let each = weight(V::NOTHING);
        i128::from(self.count) * each + self.amount * (weight(V::UNIT) - each)
    }
}

/// The counted holds of each scope in the order of expiry, with their data.
#[derive(Debug)]
pub(super) struct Counted<K: Ord, V> {
    holds: BTreeMap<(K, u64, Position), V>,
    /// Number of holds; only scopes that have some.
    count_of: BTreeMap<K, u32>,
    /// The runs of large scopes by their start; each ends where the next one starts. The first starts before any hold.
    runs: BTreeMap<(K, u64, Position), Run>,
}

/// Which runs exist depends on the history, and changes no answer.
impl<K: Ord, V: PartialEq> PartialEq for Counted<K, V> {
    fn eq(&self, other: &Counted<K, V>) -> bool {
        (&self.holds, &self.count_of) == (&other.holds, &other.count_of)
    }
}

impl<K: Ord, V> Default for Counted<K, V> {
    fn default() -> Counted<K, V> {
        Counted { holds: BTreeMap::new(), count_of: BTreeMap::new(), runs: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, V: Known> Counted<K, V> {
    pub(super) fn insert(&mut self, of: K, expires_ms: u64, hold: Position, value: V) {
        let count = self.count_of.entry(of).or_default();
        *count += 1;
        let is_large = *count > RUN;
        self.holds.insert((of, expires_ms, hold), value);
        match self.run_mut(of, expires_ms, hold) {
            Some((begin, run)) => {
                run.add(value);
                if run.count > RUN {
                    self.split(begin);
                }
            }
            None if is_large => {
                let begin = (of, 0, Position(0));
                let mut run = Run::default();
                self.range(of).for_each(|(_, value)| run.add(*value));
                self.runs.insert(begin, run);
                self.split(begin);
            }
            None => {}
        }
    }

    /// The run that contains a hold.
    fn run_mut(&mut self, of: K, expires_ms: u64, hold: Position) -> Option<((K, u64, Position), &mut Run)> {
        let run = self.runs.range_mut((of, 0, Position(0))..=(of, expires_ms, hold)).next_back();
        run.map(|(begin, run)| (*begin, run))
    }

    /// Divides a run into two.
    fn split(&mut self, begin: (K, u64, Position)) {
        let Some(whole) = self.runs.get(&begin).copied() else { return };
        let (mut first, mut holds) = (Run::default(), self.holds.range(begin..));
        holds.by_ref().take((whole.count / 2) as usize).for_each(|(_, value)| first.add(*value));
        let Some((second, _)) = holds.next() else { return };
        let rest = Run { count: whole.count - first.count, amount: whole.amount - first.amount };
        self.runs.insert(*second, rest);
        self.runs.insert(begin, first);
    }

    fn leave_run(&mut self, of: K, expires_ms: u64, hold: Position, value: V) {
        let Some((begin, run)) = self.run_mut(of, expires_ms, hold) else { return };
        run.count -= 1;
        run.amount -= value.amount();
        // The first run covers everything before the others.
        if run.count == 0 && begin != (of, 0, Position(0)) {
            self.runs.remove(&begin);
        }
    }

    pub(super) fn remove(&mut self, of: K, expires_ms: u64, hold: Position) {
        if let Some(value) = self.holds.remove(&(of, expires_ms, hold)) {
            self.leave_run(of, expires_ms, hold, value);
        }
        let count = self.count_of.get_mut(&of).expect("a scope with a counted hold has a count");
        *count -= 1;
        if *count == 0 {
            self.count_of.remove(&of);
            self.runs.remove(&(of, 0, Position(0)));
        }
    }

    /// The number of counted holds; `None` for none.
    pub(super) fn count(&self, of: K) -> Option<u32> {
        self.count_of.get(&of).copied()
    }

    /// The scopes with counted holds, in order.
    pub(super) fn scopes(&self) -> &BTreeMap<K, u32> {
        &self.count_of
    }

    /// The expiries of the counted holds, ascending.
    pub(super) fn expiries(&self, of: K) -> impl Iterator<Item = u64> {
        self.range(of).map(|((_, expires_ms, _), _)| *expires_ms)
    }

    /// The first hold to expire, and when.
    pub(super) fn first(&self, of: K) -> Option<(u64, Position)> {
        self.range(of).next().map(|((_, expires_ms, hold), _)| (*expires_ms, *hold))
    }

    /// The time from which the counted holds weigh at most `most`, if all of them weigh `sum`: 0 for at once, the end of time for
    /// never. `weight` is linear: a constant for each hold, and a factor for each unit of its amount.
    pub(super) fn at_most_from(&self, of: K, sum: i128, most: i128, weight: impl Fn(V) -> i128) -> u64 {
        if sum <= most {
            return 0;
        }
        if most < 0 {
            return u64::MAX;
        }
        let (begin, end) = ((of, 0, Position(0)), (of, u64::MAX, Position(u64::MAX)));
        // Find the run with the hold whose expiry frees enough.
        let (mut from, mut left) = (begin, sum);
        for (begin, run) in self.runs.range(begin..=end) {
            from = *begin;
            let after = left - run.weight(&weight);
            if after <= most {
                break;
            }
            left = after;
        }
        let mut holds = self.holds.range(from..=end);
        let found = holds.find(|(_, value)| {
            left -= weight(**value);
            left <= most
        });
        found.map_or(u64::MAX, |((_, expires_ms, _), _)| *expires_ms)
    }

    /// Number of steps of the longest search in a scope.
    #[cfg(test)]
    pub(super) fn steps(&self, of: K) -> usize {
        let (begin, end) = ((of, 0, Position(0)), (of, u64::MAX, Position(u64::MAX)));
        let runs = self.runs.range(begin..=end);
        let (count, longest) = runs.fold((0, None), |(count, longest), (_, run)| (count + 1, longest.max(Some(run.count))));
        count + longest.or(self.count(of)).unwrap_or(0) as usize
    }

    fn range(&self, of: K) -> impl DoubleEndedIterator<Item = (&(K, u64, Position), &V)> {
        self.holds.range((of, 0, Position(0))..=(of, u64::MAX, Position(u64::MAX)))
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
mod tests {
    use super::*;

    /// Limits that change under open holds: the answer is exact, and needs no walk over all of them (Z1, pain 29).
    #[test]
    fn the_time_is_found_in_few_steps_in_a_large_scope() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut counted = Counted::default();
        let mut holds: Vec<(u64, u64, i64)> =
            (1..=60_000).map(|hold| (random.u64(1_000..50_000) / 7, hold, random.i64(0..5))).collect();
        for (expires_ms, hold, amount) in &holds {
            counted.insert(7, *expires_ms, Position(*hold), Money(*amount));
            counted.insert(8, *expires_ms, Position(*hold), Money(1));
        }
        random.shuffle(&mut holds);
        for left in [60_000, 59_999, 30_000, 2_100, 2_000, 1, 0] {
            for (expires_ms, hold, _) in holds.drain(left..) {
                counted.remove(7, expires_ms, Position(hold));
            }
            let runs = 60_000 / (RUN as usize / 2) + 1;
            assert!(counted.steps(7) <= runs + RUN as usize, "{} steps for {left}", counted.steps(7));
            let mut sorted = holds.clone();
            sorted.sort_unstable();
            let sum = sorted.iter().map(|hold| i128::from(hold.2)).sum::<i128>();
            for most in [0, 1, 999, left as i128 / 2, left as i128 - 1, sum - 1] {
                let after = |weight: &dyn Fn(i64) -> i128, mut left: i128| {
                    let is_enough = |hold: &&(u64, u64, i64)| {
                        left -= weight(hold.2);
                        left <= most
                    };
                    sorted.iter().find(is_enough).map_or(u64::MAX, |hold| hold.0)
                };
                if 0 <= most && most < left as i128 {
                    assert_eq!(counted.at_most_from(7, left as i128, most, |_| 1), after(&|_| 1, left as i128), "{left}, {most}");
                }
                if 0 <= most && most < sum {
                    let found = counted.at_most_from(7, sum, most, |amount: Money| amount.0.into());
                    assert_eq!(found, after(&|amount| amount.into(), sum), "{left}, {most}");
                }
            }
        }
        assert!(counted.runs.keys().all(|(of, ..)| *of == 8), "a scope without holds has no runs");
    }

    /// Z1: the time is the first at which the open holds weigh no more than that, found by a walk over all of them at every time.
    #[test]
    fn the_time_is_the_first_at_which_enough_is_free() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let mut counted = Counted::default();
            let holds: Vec<(u64, i128)> = (0..random.u32(..12)).map(|_| (random.u64(1..6), random.i128(1..5))).collect();
            for (hold, (expires_ms, weight)) in (1..).zip(&holds) {
                counted.insert(7, *expires_ms, Position(hold), Money(*weight as i64));
            }
            // Holds of neighbouring scopes, which must not matter.
            counted.insert(6, 9, Position(100), Money(100));
            counted.insert(8, 0, Position(101), Money(100));
            let open = |now_ms: u64| holds.iter().filter(|hold| now_ms < hold.0).map(|hold| hold.1).sum::<i128>();
            for most in -2..40 {
                let expected = (0..=6).find(|now_ms| open(*now_ms) <= most).unwrap_or(u64::MAX);
                assert_eq!(
                    counted.at_most_from(7, open(0), most, |amount: Money| amount.0.into()),
                    expected,
                    "{holds:?}, {most}"
                );
            }
            assert_eq!(counted.count(7), (!holds.is_empty()).then_some(holds.len() as u32));
        }
    }
}
