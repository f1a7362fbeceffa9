//! The codes of the snapshot that the state started with: where each one is, or was last. The map has the codes that were added
//! or moved since, and is searched first.

use std::sync::Arc;

use scrip_protocol::codes::CodeForm;

use crate::state::frozen::FrozenCodes;
use crate::state::{CodeAt, NormalisedCode};

/// Codes per lookup: enough to keep the processor's memory fetches busy, and few enough that what was fetched first is still in
/// the nearest cache when it is needed.
pub const AT_ONCE: usize = 32;

/// The number of codes in a snapshot that cannot be looked up, because their texts are not valid codes of the form; `None` if
/// `goes_on` ended the search. Visits all codes.
pub fn not_codes(codes: &FrozenCodes, form: CodeForm, goes_on: &dyn Fn() -> bool) -> Option<u64> {
    const ROWS_AT_ONCE: usize = 1 << 16;
    let (mut count, rows) = (0, codes.ends.len() as u32);
    for first in (0..rows).step_by(ROWS_AT_ONCE) {
        if !goes_on() {
            return None;
        }
        let some = (first..rows).take(ROWS_AT_ONCE).filter_map(|row| codes.at(row));
        count += some.filter(|(text, _)| form.normalise(text).is_err()).count() as u64;
    }
    Some(count)
}

/// The codes of a snapshot, and the form in which they are compared.
pub(super) struct BaseCodes(Arc<FrozenCodes>, CodeForm);

impl BaseCodes {
    pub(super) fn of(codes: &Arc<FrozenCodes>, form: CodeForm) -> BaseCodes {
        BaseCodes(codes.clone(), form)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of rows: at least as many as values.
    pub(super) fn len(&self) -> usize {
        self.0.ends.len()
    }

    fn hash_of(&self, code: &NormalisedCode) -> u64 {
        self.0.index.key.hash(code.as_bytes())
    }

    pub(super) fn find(&self, code: &NormalisedCode) -> Option<CodeAt> {
        if self.is_empty() { None } else { self.find_hashed(self.hash_of(code), code) }
    }

    /// The text distinguishes rows with equal hashes.
    fn find_hashed(&self, hash: u64, code: &NormalisedCode) -> Option<CodeAt> {
        let at = |row: u32| self.0.at(row).filter(|(text, _)| self.1.normalise(text).is_ok_and(|other| other == *code));
        let row = self.0.index.find(hash, |row| at(row).is_some())?;
        self.0.at(row).map(|(_, at)| at)
    }

    /// Finds the codes that have no place yet, at most [`AT_ONCE`]. A lookup waits for memory three times: for the slot, for the
    /// end of the text, and for the text. Here all are prefetched before the first wait.
    pub(super) fn find_each<'a>(
        &self,
        codes: impl Iterator<Item = Option<&'a NormalisedCode>> + Clone,
        places: &mut [Option<CodeAt>],
    ) {
        let mut hashes = [None; AT_ONCE];
        for (code, (hash, place)) in codes.clone().zip(hashes.iter_mut().zip(places.iter())) {
            *hash = code.filter(|_| place.is_none()).map(|code| self.hash_of(code));
            hash.iter().for_each(|hash| self.0.index.touch(*hash));
        }
        let likely = |hash: &Option<u64>| hash.and_then(|hash| self.0.index.likely(hash));
        hashes.iter().filter_map(likely).for_each(|row| self.0.touch_end(row));
        hashes.iter().filter_map(likely).for_each(|row| self.0.touch_text(row));
        for (code, (hash, place)) in codes.zip(hashes.iter().zip(places)) {
            if let (Some(code), Some(hash)) = (code, hash) {
                *place = self.find_hashed(*hash, code);
            }
        }
    }

    /// All codes, normalised. A value in several campaigns occurs once for each.
    pub(super) fn iter(&self) -> impl Iterator<Item = NormalisedCode> {
        self.codes().map(|(code, _)| code)
    }

    /// All codes, normalised, each with its place.
    pub(super) fn codes(&self) -> impl Iterator<Item = (NormalisedCode, CodeAt)> {
        let rows = (0..self.0.ends.len() as u32).filter_map(|row| self.0.at(row));
        rows.filter_map(|(text, at)| Some((self.1.normalise(text).ok()?, at)))
    }
}
