//! Fingerprints of codes: four bytes, enough to recognise that the same wrong code is tried again.

use std::hash::{BuildHasher, RandomState};

/// Computes fingerprints under a key that each process draws: nobody can search for codes with equal fingerprints and try them
/// for the price of one.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints(RandomState);

/// The fingerprint of a refused code. Two codes of one key collide by chance once in four billion times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u32);

impl Fingerprints {
    /// The fingerprint of a normalised code.
    pub fn of(&self, code: &str) -> Fingerprint {
        let hash = self.0.hash_one(code);
        Fingerprint((hash ^ hash >> 32) as u32)
    }
}

/// The last wrong codes of one key, the most recent first. Trying one of them again is not another guess.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent<const N: usize> {
    codes: [Fingerprint; N],
    count: u8,
}

impl<const N: usize> Recent<N> {
    pub(super) const NONE: Recent<N> = Recent { codes: [Fingerprint(0); N], count: 0 };

    /// Notes a code. Returns whether it is new.
    pub(super) fn note(&mut self, code: Fingerprint) -> bool {
        let known = self.codes[..usize::from(self.count)].iter().position(|known| *known == code);
        let last = match known {
            Some(at) => at,
            None => {
                self.count = (self.count + 1).min(N as u8);
                usize::from(self.count) - 1
            }
        };
        self.codes[..=last].rotate_right(1);
        self.codes[0] = code;
        known.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_recent_codes_are_remembered() {
        let mut recent = Recent::<3>::NONE;
        for (code, is_new) in [(0, true), (0, false), (1, true), (2, true), (0, false), (3, true), (0, false), (1, true)] {
            assert_eq!(recent.note(Fingerprint(code)), is_new, "{code}");
        }
    }

    #[test]
    fn each_process_has_its_own_fingerprints() {
        let (one, other) = (Fingerprints::default(), Fingerprints::default());
        let codes: Vec<_> = (0..8).map(|number| format!("code-{number}")).collect();
        assert!(codes.iter().all(|code| one.of(code) == one.clone().of(code)));
        assert!(codes.iter().any(|code| one.of(code) != other.of(code)));
    }
}
