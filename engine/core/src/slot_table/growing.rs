//! A slot table that grows.
//!
//! The table exists for one feature that a general one lacks: it can prefetch the slots of many keys before reading any of them
//! ([`GrowingTable::touch`]). A table with ten million keys is in no cache, so that each lookup would otherwise wait for memory.
//! An absent key, such as a new request id, costs one such wait and never reads a row.
//!
//! Growing moves every slot of a shard by the hash bits that the slot has, without reading rows. With 256 shards each move is
//! short; the shards start at different sizes, so that they do not all grow at the same moment.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::{EMPTY, Slot, home_of, prefetch, probe, slot_of, tag_in, tag_of};

const SHARDS: usize = 256;

/// Homes of the smallest shard at the start; the largest has nearly half as many more. Each grows by half.
const HOMES_MIN: usize = 64;

/// Finds the number of a row by a 128-bit key that the row itself contains; the index stores only the number. Each process draws
/// its own hash seed, so that callers cannot choose ids that collide.
pub(crate) struct GrowingTable {
    shards: Vec<Shard>,
    seed: RandomState,
}

/// Used slots are in ascending order; an empty one is between two of them only if the second is at its home.
struct Shard {
    /// As many slots as homes, at most three quarters of them used, and an overflow after them for what does not fit into the
    /// last homes. None before the first key.
    slots: Vec<Slot>,
    homes: usize,
    taken: usize,
    /// Initial number of homes.
    homes_first: usize,
}

/// Slots after the homes.
const TAIL: usize = 32;

impl Default for GrowingTable {
    fn default() -> GrowingTable {
        GrowingTable::new()
    }
}

impl GrowingTable {
    pub(crate) fn new() -> GrowingTable {
        GrowingTable {
            shards: (0..SHARDS).map(|at| Shard::beginning_with(HOMES_MIN + HOMES_MIN * at / (2 * SHARDS))).collect(),
            seed: RandomState::default(),
        }
    }

    /// The row with this key. `key_of` reads the key of a row.
    #[inline]
    pub(crate) fn find(&self, key: u128, key_of: impl Fn(u32) -> u128) -> Option<u32> {
        let (shard, tag) = self.place(key);
        shard.probe(tag).find(|(_, row)| key_of(*row) == key).map(|(_, row)| row)
    }

    /// Prefetches the slot at which a search for this key starts.
    pub(crate) fn touch(&self, key: u128) {
        let (shard, tag) = self.place(key);
        shard.slots.get(home_of(tag, shard.homes as u64)).into_iter().for_each(|slot| prefetch(slot));
    }

    /// A row with the hash tag of this key; once in thousands it is another row. For prefetching.
    pub(crate) fn likely(&self, key: u128) -> Option<u32> {
        let (shard, tag) = self.place(key);
        shard.probe(tag).next().map(|(_, row)| row)
    }

    /// Adds a row whose key no other row has.
    #[inline]
    pub(crate) fn insert(&mut self, key: u128, row: u32) {
        let (at, tag) = locate(self.seed.hash_one(key));
        self.shards[at].insert(tag, row);
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, key: u128, row: u32) {
        let (at, tag) = locate(self.seed.hash_one(key));
        let shard = &mut self.shards[at];
        let found = shard.probe(tag).find(|(_, other)| *other == row);
        if let Some((at, _)) = found {
            shard.clear(at);
        }
    }

    #[inline]
    fn place(&self, key: u128) -> (&Shard, u32) {
        let (at, tag) = locate(self.seed.hash_one(key));
        (&self.shards[at], tag)
    }
}

/// The shard and the tag of a hash.
#[inline]
fn locate(hash: u64) -> (usize, u32) {
    (hash as usize % SHARDS, tag_of(hash))
}

impl Shard {
    fn beginning_with(homes_first: usize) -> Shard {
        Shard { slots: Vec::new(), homes: 0, taken: 0, homes_first }
    }

    /// The slots and rows with this tag, in search order.
    #[inline]
    fn probe(&self, tag: u32) -> impl Iterator<Item = (usize, u32)> {
        probe(&self.slots, tag, self.homes as u64)
    }

    #[inline]
    fn insert(&mut self, tag: u32, row: u32) {
        if (self.taken + 1) * 4 > self.homes * 3 {
            self.grow();
        }
        let mut slot = slot_of(tag, row);
        while let Some(last) = self.put(slot) {
            self.grow();
            slot = last;
        }
        self.taken += 1;
    }

    /// Inserts a slot in order, and shifts later ones up to the next empty one. Returns the last of these if there is none.
    #[inline]
    fn put(&mut self, mut slot: Slot) -> Option<Slot> {
        let home = home_of(tag_in(slot), self.homes as u64);
        for other in &mut self.slots[home..] {
            if *other == EMPTY {
                *other = slot;
                return None;
            }
            if *other > slot {
                std::mem::swap(other, &mut slot);
            }
        }
        Some(slot)
    }

    /// Grows by half, so that between a half and three quarters of the homes are used.
    #[cold]
    fn grow(&mut self) {
        self.homes = (self.homes + self.homes / 2).max(self.homes_first);
        let before = std::mem::replace(&mut self.slots, vec![EMPTY; self.homes + TAIL]);
        let mut next = 0;
        // They are in order: each is at its home, or after the one before.
        for slot in before.into_iter().filter(|slot| *slot != EMPTY) {
            let at = next.max(home_of(tag_in(slot), self.homes as u64));
            // What fitted before also fits into half as many more: there are fewer slots per home.
            self.slots[at] = slot;
            next = at + 1;
        }
    }

    /// Empties a slot, and moves down later ones that are not at their home: there are no tombstones.
    fn clear(&mut self, at: usize) {
        let away = |(at, slot): (usize, &Slot)| *slot != EMPTY && home_of(tag_in(*slot), self.homes as u64) < at;
        let after = at + 1;
        let moving = (after..).zip(&self.slots[after..]).take_while(|(at, slot)| away((*at, slot))).count();
        self.slots.copy_within(after..after + moving, at);
        self.slots[at + moving] = EMPTY;
        self.taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// In tests the rows are their keys.
    fn key_of(rows: &[u128]) -> impl Fn(u32) -> u128 {
        |row| rows[row as usize]
    }

    #[test]
    fn a_table_agrees_with_a_plain_map() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut shards, mut plain, mut rows) = (GrowingTable::new(), HashMap::new(), Vec::new());
        for _ in 0..200_000 {
            let key = u128::from(random.u64(..20_000));
            match plain.get(&key).copied() {
                None if random.u8(..3) > 0 => {
                    let row = rows.len() as u32;
                    rows.push(key);
                    shards.insert(key, row);
                    plain.insert(key, row);
                }
                Some(row) if random.bool() => {
                    shards.remove(key, row);
                    plain.remove(&key);
                }
                _ => {}
            }
            let key = u128::from(random.u64(..20_000));
            assert_eq!(shards.find(key, key_of(&rows)), plain.get(&key).copied(), "seed {seed}");
        }
        assert_eq!(shards.shards.iter().map(|shard| shard.taken).sum::<usize>(), plain.len());
    }

    #[test]
    fn many_slots_of_the_last_home_follow_it() {
        let mut shard = Shard::beginning_with(HOMES_MIN);
        let last = u32::MAX;
        (0..30).for_each(|row| shard.insert(last, row));
        assert_eq!(shard.probe(last).map(|(_, row)| row).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
        for row in 0..30 {
            let (at, _) = shard.probe(last).find(|(_, other)| *other == row).expect("it is there");
            shard.clear(at);
            assert_eq!(shard.probe(last).count(), 29 - row as usize);
        }
        assert!(shard.slots.iter().all(|slot| *slot == EMPTY));
    }

    /// More slots of the last homes than fit after them, although the shard has room elsewhere: it grows, and loses none of them.
    #[test]
    fn slots_without_room_make_the_shard_grow() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let home = u32::MAX / HOMES_MIN as u32;
        let mut tags: Vec<u32> = (0..40).map(|at| u32::MAX - at * (home / 40)).collect();
        for _ in 0..200 {
            random.shuffle(&mut tags);
            let mut shard = Shard::beginning_with(HOMES_MIN);
            (0..).zip(&tags).for_each(|(row, tag)| shard.insert(*tag, row));
            assert!(shard.homes > HOMES_MIN && shard.taken == tags.len(), "seed {seed}");
            for (row, tag) in (0..).zip(&tags) {
                assert_eq!(shard.probe(*tag).map(|(_, row)| row).collect::<Vec<_>>(), [row], "seed {seed}");
            }
        }
    }

    #[test]
    fn a_table_without_keys_finds_nothing() {
        let mut shards = GrowingTable::new();
        assert_eq!((shards.find(7, |_| 7), shards.likely(7)), (None, None));
        shards.remove(7, 0);
        shards.insert(7, u32::MAX);
        assert_eq!((shards.find(7, |_| 7), shards.likely(7)), (Some(u32::MAX), Some(u32::MAX)));
    }
}
