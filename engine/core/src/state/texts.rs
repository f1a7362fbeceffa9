//! The codes of a campaign as written: those in a snapshot, and those added since.

use std::sync::Arc;

use scrip_protocol::command::CodeTexts;

use super::frozen::{FrozenCodes, Places};
use crate::rows::Rows;

/// The codes of a campaign, by slot.
#[derive(Debug, Default)]
pub struct Texts {
    base_text: Rows<u8>,
    base_ends: Rows<u32>,
    added: CodeTexts,
}

impl Texts {
    /// The codes of a campaign in a snapshot.
    pub(super) fn over(codes: &Arc<FrozenCodes>, places: &Places) -> Texts {
        let bytes = places.text as usize..(places.text + places.text_bytes) as usize;
        Texts { base_text: codes.texts.part(bytes), base_ends: codes.ends.part(places.rows()), added: CodeTexts::default() }
    }

    /// The number of codes.
    #[inline]
    pub fn len(&self) -> usize {
        self.base_ends.len() + self.added.len()
    }

    /// Whether there are no codes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of codes in the snapshot.
    pub fn base_len(&self) -> usize {
        self.base_ends.len()
    }

    /// The code in a slot.
    pub fn of(&self, slot: usize) -> Option<&str> {
        match slot.checked_sub(self.base_ends.len()) {
            Some(slot) => self.added.of(slot),
            None => {
                let start = slot.checked_sub(1).map_or(Some(0), |before| self.base_ends.get(before).copied())?;
                let text = self.base_text.get(start as usize..*self.base_ends.get(slot)? as usize)?;
                std::str::from_utf8(text).ok()
            }
        }
    }

    /// Adds codes, in order.
    pub(super) fn append(&mut self, codes: &CodeTexts) {
        self.added.append(codes);
    }

    /// The codes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let base = (0..self.base_ends.len()).map_while(|slot| self.of(slot));
        base.chain(self.added.iter())
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Texts) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
