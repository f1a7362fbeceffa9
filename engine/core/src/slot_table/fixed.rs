//! A slot table that never changes, read in place in a snapshot, and the layout of one.
//!
//! The hash is SipHash-1-3 under a key that is drawn for each snapshot, so that callers cannot choose ids that collide. It is the
//! same on every machine and in every release, because it is stored in files.

use std::cmp::Ordering;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{EMPTY, Slot, home_of, prefetch, probe, slot_of, tag_in, tag_of};
use crate::rows::Rows;

/// The key of a snapshot's hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// The hash of a text or of an id's bytes.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.finish()
    }

    /// The hash of an id.
    #[inline]
    pub fn hash_id(&self, id: u128) -> u64 {
        self.hash(&id.to_le_bytes())
    }
}

/// The table.
#[derive(Debug, Clone, Default)]
pub struct FixedTable {
    /// As many slots as homes, and an overflow after them for what does not fit into the last homes.
    slots: Rows<Slot>,
    homes: u64,
    /// The key of its hashes.
    pub key: HashKey,
}

impl FixedTable {
    /// The table with these slots.
    pub fn new(slots: Rows<Slot>, homes: u64, key: HashKey) -> FixedTable {
        FixedTable { slots, homes, key }
    }

    /// The row with this hash that `is` accepts.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(hash).find(|row| is(*row))
    }

    /// A row with this hash tag; once in thousands it is another row. For prefetching.
    pub fn likely(&self, hash: u64) -> Option<u32> {
        self.probe(hash).next()
    }

    /// Prefetches the slot at which a search for this hash starts.
    pub fn touch(&self, hash: u64) {
        self.slots.get(home_of(tag_of(hash), self.homes)).into_iter().for_each(|slot| prefetch(slot));
    }

    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = u32> {
        probe(&self.slots, tag_of(hash), self.homes).map(|(_, row)| row)
    }
}

/// Emits the slots of a table over rows with these hashes, in order. Returns the number of homes. If two or more rows share a
/// tag, `contest` is called once with all of them, and only those that it leaves are emitted.
pub(crate) fn freeze(
    rows: impl Iterator<Item = (u64, u32)>,
    contest: impl FnMut(&mut Vec<u32>),
    mut give: impl FnMut(Slot),
) -> u64 {
    let mut taken: Vec<Slot> = rows.map(|(hash, row)| slot_of(tag_of(hash), row)).collect();
    taken.sort_unstable();
    leave_out(&mut taken, contest);
    let count = taken.len() as u64;
    let homes = count + count.div_ceil(7);
    let mut next = 0;
    for slot in taken {
        let home = home_of(tag_in(slot), homes);
        (next..home).for_each(|_| give(EMPTY));
        give(slot);
        next = next.max(home) + 1;
    }
    // An empty slot ends the search of the last home.
    (next..=homes as usize).for_each(|_| give(EMPTY));
    homes
}

/// Removes the slots that lose against others of the same tag.
fn leave_out(slots: &mut Vec<Slot>, mut contest: impl FnMut(&mut Vec<u32>)) {
    let (mut begin, mut left, mut rows) = (0, 0, Vec::new());
    while begin < slots.len() {
        let tag = tag_in(slots[begin]);
        let count = slots[begin..].iter().take_while(|slot| tag_in(**slot) == tag).count();
        rows.clear();
        rows.extend(slots[begin..begin + count].iter().map(|slot| *slot as u32));
        if count > 1 {
            contest(&mut rows);
            rows.sort_unstable();
        }
        // Never past `begin`: rows are only removed.
        for (slot, row) in slots[left..].iter_mut().zip(&rows) {
            *slot = slot_of(tag, *row);
        }
        (begin, left) = (begin + count, left + rows.len());
    }
    slots.truncate(left);
}

/// Leaves the contender of the highest rank for each value. Takes O(n log n), however many share a value: a value may have been
/// in any number of campaigns.
pub(crate) fn leave_prevailing<T>(
    contenders: &mut Vec<T>,
    value: impl Fn(&T, &T) -> Ordering,
    rank: impl Fn(&T, &T) -> Ordering,
) {
    contenders.sort_unstable_by(|a, b| value(a, b).then_with(|| rank(b, a)));
    contenders.dedup_by(|next, kept| value(next, kept).is_eq());
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;
    use std::sync::Arc;

    use super::*;
    use crate::rows::Ground;

    struct Words(Vec<u64>);

    impl Deref for Words {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }

    fn index_of(rows: impl Iterator<Item = (u64, u32)>, contest: impl FnMut(&mut Vec<u32>)) -> FixedTable {
        let mut slots = Vec::new();
        let homes = freeze(rows, contest, |slot| slots.push(slot));
        frozen(slots, homes)
    }

    fn frozen(slots: Vec<u64>, homes: u64) -> FixedTable {
        let bytes = slots.len() as u64 * 8;
        let ground: Ground = Arc::new(Words(slots));
        FixedTable::new(Rows::over(&ground, 0..bytes).expect("they are words"), homes, HashKey(1, 2))
    }

    #[test]
    fn every_row_is_found_and_nothing_else() {
        for count in [0_u32, 1, 2, 7, 100, 20_000] {
            let key = HashKey(1, 2);
            let rows = (0..count).map(|row| (key.hash_id(row.into()), row));
            let index = index_of(rows, |_| {});
            for row in 0..count {
                assert_eq!(index.find(key.hash_id(row.into()), |found| found == row), Some(row), "{row} of {count}");
            }
            assert!((count..count + 1_000).all(|row| index.find(key.hash_id(row.into()), |found| found == row).is_none()));
        }
    }

    #[test]
    fn equal_hashes_follow_their_home_and_losers_are_left_out() {
        let hash = u64::MAX;
        let rows = (0..40).map(|row| (hash, row)).chain([(1, 99)]);
        let index = index_of(rows, |rows| rows.retain(|row| row % 4 != 1));
        let found: Vec<u32> = index.probe(hash).collect();
        assert_eq!(found, (0..40).filter(|row| row % 4 != 1).collect::<Vec<_>>());
        assert_eq!((index.likely(1), index.likely(hash)), (Some(99), Some(0)));
    }

    /// A value that many campaigns have had is decided once, with all of its rows: the test counts the work and does not time it.
    #[test]
    fn rows_of_one_value_are_contested_once_and_in_n_log_n() {
        let (values, campaigns) = (50_u32, 365_u32);
        let key = HashKey(1, 2);
        let rows = (0..campaigns).flat_map(|_| 0..values).map(|value| key.hash_id(value.into())).zip(0..);
        let (mut contests, mut contested) = (0, 0);
        let comparisons = std::cell::Cell::new(0_u64);
        let count = |ordering| {
            comparisons.set(comparisons.get() + 1);
            ordering
        };
        let index = index_of(rows, |rows| {
            (contests, contested) = (contests + 1, contested + rows.len());
            // The campaign in the middle holds it.
            let rank = |row: &u32| (row / values).abs_diff(campaigns / 2);
            leave_prevailing(rows, |a, b| count((a % values).cmp(&(b % values))), |a, b| count(rank(b).cmp(&rank(a))));
        });
        let all = u64::from(values * campaigns);
        assert_eq!((contests, contested as u64), (values, all));
        let logarithm = u64::from(campaigns.ilog2()) + 1;
        assert!(comparisons.get() <= 4 * all * logarithm, "{} comparisons of {all} rows", comparisons.get());
        for value in 0..values {
            let found: Vec<u32> = index.probe(key.hash_id(value.into())).collect();
            assert_eq!(found, [campaigns / 2 * values + value]);
        }
    }

    #[test]
    fn each_value_keeps_its_highest_rank() {
        let mut contenders = vec![("b", 1), ("a", 2), ("b", 3), ("a", 1), ("c", 0), ("b", 2)];
        leave_prevailing(&mut contenders, |a, b| a.0.cmp(b.0), |a, b| a.1.cmp(&b.1));
        assert_eq!(contenders, [("a", 2), ("b", 3), ("c", 0)]);
    }

    /// The format: later releases read tables built from these hashes.
    #[test]
    fn the_hash_is_the_one_in_existing_files() {
        let key = HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(key.hash(b""), 0xabac_0158_050f_c4dc);
        assert_eq!(key.hash(b"summer-25"), key.hash(b"summer-25"));
    }

    #[test]
    fn damaged_slots_find_nothing_and_are_harmless() {
        let index = frozen(vec![u64::MAX; 10], 1 << 40);
        assert_eq!(index.find(5, |_| true), None);
        let index = frozen(vec![u64::MAX; 10], 8);
        assert_eq!(index.find(5, |row| row < 4), None);
        index.touch(u64::MAX);
    }
}
