//! Adds a list of codes to the map: an import of 50,000 must delay redemptions as little as possible.
//!
//! One after the other, each code would wait for memory twice, for the map's tags and for its entry, and lock a shard. Here some
//! thousands are sorted by shard first. Each shard is locked once, and the places of a group are prefetched before the first
//! wait.

use std::sync::atomic::Ordering;

use compact_str::CompactString;
use dashmap::SharedValue;

use super::{AT_ONCE, Index, Key, SHARDS};
use crate::slot_table::prefetch;
use crate::state::{CodeAt, NormalisedCode};

/// A code as the map stores it.
type Entry = (Key, SharedValue<CodeAt>);

impl Index {
    /// Adds codes with their places; a code that exists gets the new place.
    pub(super) fn put_all(&self, codes: impl Iterator<Item = (NormalisedCode, CodeAt)>) {
        let mut hashed: Vec<(u64, Key, CodeAt)> = Vec::with_capacity(codes.size_hint().1.unwrap_or(0));
        hashed.extend(codes.map(|(code, at)| (self.hash_of(&code), Key(CompactString::new(code.as_str())), at)));
        // Counting sort: where the codes of each shard begin and, as they are placed, end.
        let mut ends = [0_u32; SHARDS];
        hashed.iter().for_each(|(hash, ..)| ends[self.shard_of(*hash)] += 1);
        let mut before = 0;
        for end in &mut ends {
            (*end, before) = (before, before + *end);
        }
        let mut sorted = vec![0_u32; hashed.len()];
        for ((hash, ..), at) in hashed.iter().zip(0..) {
            let end = &mut ends[self.shard_of(*hash)];
            sorted[*end as usize] = at;
            *end += 1;
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut begin = 0;
        for (shard, end) in ends.into_iter().enumerate() {
            let of_shard = &sorted[begin as usize..end as usize];
            begin = end;
            if !of_shard.is_empty() {
                self.put_into(shard, of_shard, &mut hashed);
            }
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds codes to the index, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn put_codes(&self, codes: impl Iterator<Item = (NormalisedCode, CodeAt)>) {
        self.put_all(codes);
    }

    /// Adds codes to their shard. Takes their keys out of the list.
    fn put_into(&self, shard: usize, codes: &[u32], hashed: &mut [(u64, Key, CodeAt)]) {
        let hash_of = |(key, _): &Entry| self.codes.hash_usize(key) as u64;
        let mut table = self.codes.shards()[shard].write();
        table.reserve(codes.len(), hash_of);
        for group in codes.chunks(AT_ONCE) {
            for code in group {
                // The tags start where the entries end, and both are counted from there.
                let home = hashed[*code as usize].0 as usize & (table.buckets() - 1);
                let entries: *const Entry = table.data_end().as_ptr().cast_const();
                prefetch(entries.cast::<u8>().wrapping_add(home));
                prefetch(entries.wrapping_sub(home + 1));
            }
            for code in group {
                let (hash, key, at) = &mut hashed[*code as usize];
                match table.get_mut(*hash, |(other, _)| other == key) {
                    Some((_, place)) => *place.get_mut() = *at,
                    None => {
                        let key = Key(std::mem::take(&mut key.0));
                        table.insert(*hash, (key, SharedValue::new(*at)), hash_of);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use scrip_protocol::CampaignId;

    use super::*;
    use crate::index::normalise;
    use crate::state::{Lookup, State};

    #[test]
    fn added_codes_are_found_at_their_newest_place() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let (index, mut plain) = (Index::of(&State::default()), HashMap::new());
        for campaign in (1..=60).map(CampaignId) {
            // Of different lengths, so that some are stored in place and some are not.
            let some = |slot: u32| {
                let text = format!("{:0width$}", random.u32(..20_000), width = random.usize(5..8) * 5);
                (normalise(&text).expect("a code"), CodeAt { campaign, slot })
            };
            let codes: Vec<_> = (0..(campaign.0 * campaign.0)).map(some).collect();
            plain.extend(codes.iter().copied());
            index.put_all(codes.into_iter());
        }
        assert_eq!(index.value_count(), plain.len(), "seed {seed}");
        for (code, at) in &plain {
            assert_eq!(index.find(code), Some(*at), "seed {seed}, {code:?}");
            assert_eq!(index.codes.get(&Key(CompactString::new(code.as_str()))).map(|at| *at), Some(*at), "as the map finds it");
        }
    }
}
