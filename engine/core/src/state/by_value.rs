//! The archived codes of a campaign by value.
//!
//! A lookup returns the campaign that had a value last. If that is another campaign, the requested one may still have the value
//! among its archived codes. These are hashed when a command first needs them, and later ones when they are archived. The cost of
//! a command therefore depends only on the length of its own list, except for the first after the campaign was archived or
//! restored.
//!
//! Equal states may differ in what is hashed; it changes no answer.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use scrip_protocol::codes::NormalisedCode;

use super::texts::Texts;

/// The archived codes of a campaign by value: some 10 bytes each, once they are needed.
#[derive(Debug, Default)]
pub(super) struct ByValue {
    hasher: RandomState,
    /// Hash and slot of each. Some codes may have been restored since.
    slots: OnceLock<BTreeSet<(u32, u32)>>,
}

/// Returns the normalised form of a code.
type Normalise<'a> = &'a dyn Fn(&str) -> Option<NormalisedCode>;

impl ByValue {
    /// Finds the slot of a value. `archived` returns the slots of all archived codes, if they are not hashed yet.
    pub(super) fn find<I: Iterator<Item = u32>>(
        &self,
        value: &NormalisedCode,
        codes: &Texts,
        archived: impl FnOnce() -> I,
        normalise: Normalise<'_>,
    ) -> Option<u32> {
        let slots = self.slots.get_or_init(|| self.hashed(codes, archived(), normalise));
        let hash = self.hash(value);
        let mut alike = slots.range((hash, 0)..=(hash, u32::MAX)).map(|(_, slot)| *slot);
        alike.find(|slot| codes.of(*slot as usize).and_then(normalise).is_some_and(|code| code == *value))
    }

    /// Adds newly archived codes.
    pub(super) fn add(&mut self, codes: &Texts, archived: impl Iterator<Item = u32>, normalise: Normalise<'_>) {
        let Some(mut slots) = self.slots.take() else { return };
        let mut added = self.hashed(codes, archived, normalise);
        // Appending rebuilds the whole set, which is worth it for many codes only.
        match added.len() * 16 > slots.len() {
            true => slots.append(&mut added),
            false => slots.extend(added),
        }
        self.slots = slots.into();
    }

    /// Discards the hashes: other codes are archived now.
    pub(super) fn clear(&mut self) {
        self.slots.take();
    }

    fn hashed(&self, codes: &Texts, archived: impl Iterator<Item = u32>, normalise: Normalise<'_>) -> BTreeSet<(u32, u32)> {
        let hashed = |slot: u32| Some((self.hash(&normalise(codes.of(slot as usize)?)?), slot));
        archived.filter_map(hashed).collect()
    }

    fn hash(&self, value: &NormalisedCode) -> u32 {
        self.hasher.hash_one(value) as u32
    }
}

impl PartialEq for ByValue {
    fn eq(&self, _: &ByValue) -> bool {
        true
    }
}
