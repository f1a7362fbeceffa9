//! The slot table: a hash index over rows that are stored elsewhere, made for more rows than any cache holds.
//!
//! A slot is one word: 31 bits of the key's hash and a 1, and below them the row's number. It is not the slot of a code, which is a
//! number within a campaign. Slots are in ascending order, each at its home or after it, and an empty one, which is 0, is
//! between two of them only if the second is at its home. So a search begins at the home of the hash and ends at the first slot
//! that is empty or greater: nearly always within one cache line, also for an absent key, for which no row is read.
//!
//! - `GrowingTable` accepts and removes rows: clients, request ids, the buckets of the guard.
//! - [`FixedTable`] is read in place in a snapshot. `freeze` lays it out.
//! - `prefetch` announces a memory location. Both tables can prefetch the slots of many keys before any of them is read.
//!
//! State, index and guard use this module; it uses none of them.

mod fixed;
mod growing;
mod prefetch;

pub use fixed::{FixedTable, HashKey};
pub(crate) use fixed::{freeze, leave_prevailing};
pub(crate) use growing::GrowingTable;
pub(crate) use prefetch::prefetch;

/// The upper half is the tag: 31 bits of hash and a 1, so that a used slot is never 0. The lower half is the row's number.
type Slot = u64;

const EMPTY: Slot = 0;

/// The tag of a hash.
#[inline]
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[inline]
fn slot_of(tag: u32, row: u32) -> Slot {
    u64::from(tag) << 32 | u64::from(row)
}

/// The tag in a used slot.
#[inline]
fn tag_in(slot: Slot) -> u32 {
    (slot >> 32) as u32
}

/// Where a search for a tag starts with this number of homes. Homes are in the order of tags, whatever their number.
#[inline]
fn home_of(tag: u32, homes: u64) -> usize {
    ((u64::from(tag) * homes) >> 32) as usize
}

/// The slots with a tag, in search order: the number and the row of each.
#[inline]
fn probe(slots: &[Slot], tag: u32, homes: u64) -> impl Iterator<Item = (usize, u32)> {
    let home = home_of(tag, homes);
    let from_home = slots.get(home..).unwrap_or_default();
    let used = from_home.iter().take_while(move |slot| **slot != EMPTY && tag_in(**slot) <= tag);
    (home..).zip(used).filter(move |(_, slot)| tag_in(**slot) == tag).map(|(at, slot)| (at, *slot as u32))
}
