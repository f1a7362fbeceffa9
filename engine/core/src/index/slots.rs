//! The archived slots of a campaign, one bit for each: rebuilding the set for a campaign of 50,000 codes takes a few
//! microseconds, for which checks wait.

/// A set of slots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SlotSet {
    /// Ends with the word of the greatest slot.
    words: Vec<u64>,
}

impl SlotSet {
    /// The set of some ascending slots.
    pub(super) fn of(slots: impl DoubleEndedIterator<Item = u32> + Clone) -> SlotSet {
        let words = slots.clone().next_back().map_or(0, |last| last as usize / 64 + 1);
        let mut set = SlotSet { words: vec![0; words] };
        slots.for_each(|slot| set.words[slot as usize / 64] |= 1 << (slot % 64));
        set
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_its_slots() {
        let slots = [0, 1, 63, 64, 127, 49_999];
        let set = SlotSet::of(slots.into_iter());
        let found: Vec<u32> = (0..60_000).filter(|slot| set.contains(*slot)).collect();
        assert_eq!(found, slots);
        assert!(!set.contains(u32::MAX) && !SlotSet::default().contains(0));
        assert_eq!(SlotSet::of([].into_iter()), SlotSet::default());
    }
}
