//! A hash index over rows that stand elsewhere, in shards.
//!
//! Growing a hash table moves every entry. With ten million clients in one table that would stop the engine for a second; in
//! 256 shards each move is that much shorter, and they do not fall on the same moment.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

const SHARDS: usize = 256;

/// Finds the number of a row by a 128-bit key that the row itself holds; the index stores only the number.
/// The hash is seeded anew in each process, so that callers cannot choose ids that collide.
pub(crate) struct Shards {
    tables: Vec<HashTable<u32>>,
    seed: RandomState,
}

impl Shards {
    pub(crate) fn new() -> Shards {
        Shards { tables: (0..SHARDS).map(|_| HashTable::new()).collect(), seed: RandomState::default() }
    }

    /// The row with this key. `key_of` reads the key of a row.
    pub(crate) fn find(&self, key: u128, key_of: impl Fn(u32) -> u128) -> Option<u32> {
        let hash = self.seed.hash_one(key);
        self.tables[shard_of(hash)].find(hash, |row| key_of(*row) == key).copied()
    }

    /// Adds a row whose key no other row has.
    pub(crate) fn insert(&mut self, key: u128, row: u32, key_of: impl Fn(u32) -> u128) {
        let hash = self.seed.hash_one(key);
        self.tables[shard_of(hash)].insert_unique(hash, row, |other| self.seed.hash_one(key_of(*other)));
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, key: u128, row: u32) {
        let hash = self.seed.hash_one(key);
        if let Ok(found) = self.tables[shard_of(hash)].find_entry(hash, |other| *other == row) {
            found.remove();
        }
    }
}

/// The table takes the hash's lowest bits for the place and its highest seven for the tag; these are between them.
fn shard_of(hash: u64) -> usize {
    (hash >> 48) as usize % SHARDS
}
