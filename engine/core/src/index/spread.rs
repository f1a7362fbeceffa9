//! Hashes that give the shards of a map different shares of its keys.
//!
//! A shard's table doubles when it is full, which moves all its keys at once. If all shards had the same share, they would all be
//! full at the same moment, and the import at that moment would wait until the whole map is moved. So the last shard gets twice
//! the share of the first, with the others in between, and the tables double one after the other while the map doubles.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::{FoldHasher, RandomState};

/// The number of bits of a hash that select the shard.
pub(super) const SHARD_BITS: u32 = 8;

/// Dashmap takes the bits of the shard below these, which the tables use as tags.
const TAG_BITS: u32 = 7;

/// The position of the shard's bits.
const SHIFT: u32 = u64::BITS - TAG_BITS - SHARD_BITS;

/// Creates such hashes.
#[derive(Clone, Default)]
pub(super) struct Spread(RandomState);

pub(super) struct SpreadHasher<'a>(FoldHasher<'a>);

impl BuildHasher for Spread {
    type Hasher = SpreadHasher<'static>;

    fn build_hasher(&self) -> SpreadHasher<'static> {
        SpreadHasher(self.0.build_hasher())
    }
}

impl Hasher for SpreadHasher<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn write_usize(&mut self, number: usize) {
        self.0.write_usize(number);
    }

    fn finish(&self) -> u64 {
        spread(self.0.finish())
    }
}

/// Replaces the evenly distributed bits of the shard by uneven ones: `u` of 16 such bits becomes `u + u (1 - u) / 3`, whose slope
/// falls from 4/3 to 2/3, so that the first values occur half as often as the last.
fn spread(hash: u64) -> u64 {
    const ONE: u64 = 1 << 16;
    let u = (hash >> (SHIFT + SHARD_BITS - 16)) % ONE;
    let uneven = u + ((u * (ONE - u)) >> 16) / 3;
    let shard = uneven >> (16 - SHARD_BITS);
    hash & !(((1 << SHARD_BITS) - 1) << SHIFT) | shard << SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashmap::DashMap;

    const SHARDS: usize = 1 << SHARD_BITS;

    #[test]
    fn shares_of_shards_differ_by_up_to_a_factor_of_two() {
        let map: DashMap<u64, (), Spread> = DashMap::with_hasher_and_shard_amount(Spread::default(), SHARDS);
        for key in 0..1_000_000 {
            map.insert(key, ());
        }
        let shares: Vec<usize> = map.shards().iter().map(|shard| shard.read().len()).collect();
        assert_eq!(shares.iter().sum::<usize>(), 1_000_000);
        let of = |part: &[usize]| part.iter().sum::<usize>() as f64 / part.len() as f64 / (1_000_000.0 / SHARDS as f64);
        let (first, last) = (of(&shares[..16]), of(&shares[SHARDS - 16..]));
        assert!((0.7..0.85).contains(&first) && (1.3..1.5).contains(&last), "{first} and {last} of an even share");
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    }

    #[test]
    fn tables_do_not_all_grow_at_once() {
        const STEP: u64 = 4_000;
        let map: DashMap<u64, (), Spread> = DashMap::with_hasher_and_shard_amount(Spread::default(), SHARDS);
        let capacities = || map.shards().iter().map(|shard| shard.read().buckets()).collect::<Vec<_>>();
        let mut most = 0;
        for step in 0..100 {
            let before = capacities();
            for key in step * STEP..(step + 1) * STEP {
                map.insert(key, ());
            }
            // The last step adds a hundredth of the keys, one in the middle a fiftieth.
            if step >= 50 {
                let grown = before.iter().zip(capacities()).filter(|(before, after)| **before != *after).count();
                most = most.max(grown);
            }
        }
        assert!(most <= SHARDS / 8, "{most} of {SHARDS} tables grew while the keys became a fiftieth more");
    }
}
