//! Which slots of a campaign are archived, one bit for each.

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

    pub(super) fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (slot % 64);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever was inserted and removed before, equal sets are equal.
    #[test]
    fn a_set_is_what_was_inserted_and_not_removed() {
        let mut set = SlotSet::of([1, 700].into_iter());
        [3, 64, 50_000].into_iter().for_each(|slot| set.insert(slot));
        assert_eq!(set, SlotSet::of([1, 3, 64, 700, 50_000].into_iter()));
        [50_000, 700, 64, 9, 1_000_000].into_iter().for_each(|slot| set.remove(slot));
        assert_eq!(set, SlotSet::of([1, 3].into_iter()));
        [1, 3].into_iter().for_each(|slot| set.remove(slot));
        assert_eq!(set, SlotSet::default());
    }

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
