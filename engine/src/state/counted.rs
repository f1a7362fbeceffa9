//! The holds that count of each scope: of a code, of a client in a campaign, of a campaign.
//!
//! What is asked of a scope is from when on enough of it is free, if nothing but time passes. Holds expire in the order in which they
//! stand here, so that the answer is the expiry of one of them: where a limit is just full, of the first; where a limit was lowered
//! under open holds, or more is asked for than each of them holds, of one further on, which is counted to from the nearer end.

use std::collections::BTreeMap;

use scrip_protocol::Position;

/// The holds that count, of each scope in the order of expiry; each with what is to be known of it.
#[derive(Debug, PartialEq)]
pub(super) struct Counted<K: Ord, V> {
    holds: BTreeMap<(K, u64, Position), V>,
    /// How many there are; only scopes that have some.
    count_of: BTreeMap<K, u32>,
}

impl<K: Ord, V> Default for Counted<K, V> {
    fn default() -> Counted<K, V> {
        Counted { holds: BTreeMap::new(), count_of: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, V: Copy> Counted<K, V> {
    pub(super) fn insert(&mut self, of: K, expires_ms: u64, hold: Position, value: V) {
        *self.count_of.entry(of).or_default() += 1;
        self.holds.insert((of, expires_ms, hold), value);
    }

    pub(super) fn remove(&mut self, of: K, expires_ms: u64, hold: Position) {
        self.holds.remove(&(of, expires_ms, hold));
        let count = self.count_of.get_mut(&of).expect("a scope of which a hold counts has a count");
        *count -= 1;
        if *count == 0 {
            self.count_of.remove(&of);
        }
    }

    /// How many count; `None` for none.
    pub(super) fn count(&self, of: K) -> Option<u32> {
        self.count_of.get(&of).copied()
    }

    /// The scopes of which holds count, in order.
    pub(super) fn scopes(&self) -> &BTreeMap<K, u32> {
        &self.count_of
    }

    /// The expiries of those that count, ascending.
    pub(super) fn expiries(&self, of: K) -> impl Iterator<Item = u64> {
        self.range(of).map(|((_, expires_ms, _), _)| *expires_ms)
    }

    /// The first to expire, and when.
    pub(super) fn first(&self, of: K) -> Option<(u64, Position)> {
        self.range(of).next().map(|((_, expires_ms, hold), _)| (*expires_ms, *hold))
    }

    /// From when on what counts weighs at most so much, where all of it weighs `sum`: 0 for at once, the end of time for never.
    pub(super) fn at_most_from(&self, of: K, sum: i128, most: i128, weight: impl Fn(V) -> i128) -> u64 {
        if sum <= most {
            return 0;
        }
        if most < 0 {
            return u64::MAX;
        }
        let mut holds = self.range(of).map(|((_, expires_ms, _), value)| (*expires_ms, weight(*value)));
        // The hold with whose expiry it is enough: those up to it weigh what is too much, those from it on more than may be.
        let found = if sum - most <= most {
            let mut left = sum;
            holds.find(|(_, weight)| {
                left -= weight;
                left <= most
            })
        } else {
            let mut open = 0;
            holds.rfind(|(_, weight)| {
                open += weight;
                open > most
            })
        };
        found.map_or(u64::MAX, |(expires_ms, _)| expires_ms)
    }

    fn range(&self, of: K) -> impl DoubleEndedIterator<Item = (&(K, u64, Position), &V)> {
        self.holds.range((of, 0, Position(0))..=(of, u64::MAX, Position(u64::MAX)))
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
mod tests {
    use super::*;

    /// Z1: the moment is the first at which what is open weighs no more, found by going through all of them at every moment.
    #[test]
    fn enough_is_free_from_the_first_moment_on_at_which_it_is() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let mut counted = Counted::default();
            let holds: Vec<(u64, i128)> = (0..random.u32(..12)).map(|_| (random.u64(1..6), random.i128(1..5))).collect();
            for (hold, (expires_ms, weight)) in (1..).zip(&holds) {
                counted.insert(7, *expires_ms, Position(hold), *weight);
            }
            // Neighbours that are not to be looked at.
            counted.insert(6, 9, Position(100), 100);
            counted.insert(8, 0, Position(101), 100);
            let open = |now_ms: u64| holds.iter().filter(|hold| now_ms < hold.0).map(|hold| hold.1).sum::<i128>();
            for most in -2..40 {
                let expected = (0..=6).find(|now_ms| open(*now_ms) <= most).unwrap_or(u64::MAX);
                assert_eq!(counted.at_most_from(7, open(0), most, |weight| weight), expected, "{holds:?}, {most}");
            }
            assert_eq!(counted.count(7), (!holds.is_empty()).then_some(holds.len() as u32));
        }
    }
}
