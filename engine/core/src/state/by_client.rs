//! A map by client in parts. A growing table moves everything it holds, and with millions of entries callers would feel the
//! stall. Here one of 256 parts moves at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use scrip_protocol::ClientId;

/// Number of parts of a large map.
const PARTS: usize = 256;

/// Number of entries up to which a map is not divided.
const WHOLE_MAX: usize = 4_096;

/// Values by client.
#[derive(Debug)]
pub(super) struct ByClient<V> {
    /// One, or [`PARTS`]; none before the first entry.
    parts: Vec<HashMap<ClientId, V, RandomState>>,
    /// Distributes clients over the parts.
    seed: RandomState,
}

impl<V> Default for ByClient<V> {
    fn default() -> ByClient<V> {
        ByClient { parts: Vec::new(), seed: RandomState::default() }
    }
}

impl<V> ByClient<V> {
    fn part(&self, client: ClientId) -> usize {
        match self.parts.len() {
            0 | 1 => 0,
            parts => self.seed.hash_one(client.0) as usize % parts,
        }
    }

    pub(super) fn get(&self, client: &ClientId) -> Option<&V> {
        self.parts.get(self.part(*client))?.get(client)
    }

    pub(super) fn contains_key(&self, client: &ClientId) -> bool {
        self.get(client).is_some()
    }

    pub(super) fn insert(&mut self, client: ClientId, value: V) {
        if self.parts.is_empty() {
            self.parts.push(HashMap::default());
        }
        let part = self.part(client);
        match self.parts[part].entry(client) {
            Entry::Occupied(mut entry) => *entry.get_mut() = value,
            Entry::Vacant(entry) => {
                entry.insert(value);
                if self.parts.len() == 1 && self.parts[0].len() > WHOLE_MAX {
                    self.divide();
                }
            }
        }
    }

    fn divide(&mut self) {
        let whole = std::mem::take(&mut self.parts);
        self.parts.resize_with(PARTS, HashMap::default);
        for (client, value) in whole.into_iter().flatten() {
            let part = self.part(client);
            self.parts[part].insert(client, value);
        }
    }

    pub(super) fn remove(&mut self, client: &ClientId) {
        let part = self.part(*client);
        if let Some(part) = self.parts.get_mut(part) {
            part.remove(client);
        }
    }

    /// All entries, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ClientId, &V)> {
        self.parts.iter().flatten()
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_a_plain_map() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut parts, mut plain) = (ByClient::default(), HashMap::new());
        for step in 0..100_000 {
            let client = ClientId(random.u128(..20_000));
            match random.u8(..4) {
                0 => {
                    parts.remove(&client);
                    plain.remove(&client);
                }
                _ => {
                    parts.insert(client, step);
                    plain.insert(client, step);
                }
            }
            let client = ClientId(random.u128(..20_000));
            assert_eq!((parts.get(&client), parts.contains_key(&client)), (plain.get(&client), plain.contains_key(&client)));
        }
        assert_eq!(parts.parts.len(), PARTS);
        assert_eq!(parts.iter().collect::<std::collections::BTreeMap<_, _>>(), plain.iter().collect());
    }

    /// No step moves more than the largest part.
    #[test]
    fn a_large_map_grows_a_small_part_at_a_time() {
        let mut parts = ByClient::default();
        let (mut largest, count) = (0, 300_000);
        for client in 0..count {
            let room: usize = parts.parts.iter().map(HashMap::capacity).sum();
            parts.insert(ClientId(client as u128), ());
            let grown = parts.parts.iter().map(HashMap::capacity).sum::<usize>().saturating_sub(room);
            largest = largest.max(if client as usize <= WHOLE_MAX { 0 } else { grown });
        }
        assert!(largest > 0 && largest < count as usize / 50, "{largest} places were made at once");
    }
}
