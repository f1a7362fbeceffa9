//! A code in its normalised form.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::CODE_BYTES_MAX;

/// A normalised code: 1 to [`CODE_BYTES_MAX`] bytes of UTF-8, stored inline so that no command allocates for it. Created by
/// [`normalise`](super::normalise).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NormalisedCode {
    length: u8,
    bytes: [u8; CODE_BYTES_MAX],
}

impl NormalisedCode {
    /// Wraps a text that is normalised already; `None` if it is empty or too long.
    #[inline]
    pub fn from_normalised(text: &str) -> Option<NormalisedCode> {
        if text.is_empty() || text.len() > CODE_BYTES_MAX {
            return None;
        }
        let mut bytes = [0; CODE_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(NormalisedCode { length: text.len() as u8, bytes })
    }

    /// Lowercases the ASCII letters.
    #[inline]
    pub(super) fn make_ascii_lowercase(&mut self) {
        self.bytes.make_ascii_lowercase();
    }

    /// The bytes of the text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("it was made from a text")
    }
}

/// Compares the text alone: the bytes after it are always the same.
impl Hash for NormalisedCode {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for NormalisedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
