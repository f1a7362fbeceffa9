//! The codes of the snapshot that the state began with: where each is, or was last. What has come or moved since stands in the map, which is
//! asked first.

use std::sync::Arc;

use scrip_protocol::codes::CodeForm;

use crate::state::frozen::FrozenCodes;
use crate::state::{CodeAt, NormalisedCode};

/// How many codes are looked up at once: enough that the processor always has as many fetches from memory under way as it can, and few
/// enough that what was fetched first is still in its nearest cache when it is needed.
pub const AT_ONCE: usize = 32;

/// How many of a snapshot's codes cannot be looked up, because their texts are no codes in a form; `None` where `goes_on` put an end to it.
/// Goes through all of them.
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

    /// How many rows there are: at least as many as values.
    pub(super) fn len(&self) -> usize {
        self.0.ends.len()
    }

    fn hash_of(&self, code: &NormalisedCode) -> u64 {
        self.0.index.key.hash(code.as_bytes())
    }

    pub(super) fn find(&self, code: &NormalisedCode) -> Option<CodeAt> {
        if self.is_empty() { None } else { self.find_hashed(self.hash_of(code), code) }
    }

    /// A row whose hash is alike is told from the one that is looked for by its text.
    fn find_hashed(&self, hash: u64, code: &NormalisedCode) -> Option<CodeAt> {
        let at = |row: u32| self.0.at(row).filter(|(text, _)| self.1.normalise(text).is_ok_and(|other| other == *code));
        let row = self.0.index.find(hash, |row| at(row).is_some())?;
        self.0.at(row).map(|(_, at)| at)
    }

    /// Finds those codes that have no place yet, at most [`AT_ONCE`]. A lookup waits for memory three times, for the slot, for where the text
    /// ends, and for the text; here all are asked for before the first is waited for.
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

    /// The codes that there are, normalised. Of a value that stands in several campaigns each of them is given.
    pub(super) fn iter(&self) -> impl Iterator<Item = NormalisedCode> {
        self.codes().map(|(code, _)| code)
    }

    /// The same, each with where it is.
    pub(super) fn codes(&self) -> impl Iterator<Item = (NormalisedCode, CodeAt)> {
        let rows = (0..self.0.ends.len() as u32).filter_map(|row| self.0.at(row));
        rows.filter_map(|(text, at)| Some((self.1.normalise(text).ok()?, at)))
    }
}
