//! Normalising codes, and why a text is not a valid code.

mod canonical;
mod case_folded;
mod characters;
mod form;
mod normalised;

use std::fmt;

pub use form::{CodeForm, RecordedForm, UnknownForm};
pub use normalised::NormalisedCode;

/// The most bytes that a code has after normalisation (UTF-8).
pub const CODE_BYTES_MAX: usize = 64;

/// The most bytes of a code as it is written (UTF-8), after trimming. Compatibility characters have at most four bytes for each
/// byte of their normalised form. Lists store codes as they are written, so this bounds the cost of a stored code.
pub const TEXT_BYTES_MAX: usize = 4 * CODE_BYTES_MAX;

/// The normalised form of a text, in the form of a new organisation; [`CodeForm::normalise`] does it for any organisation.
///
/// # Errors
/// When it is not a valid code, with the reason and the position.
#[inline]
pub fn normalise(text: &str) -> Result<NormalisedCode, InvalidCode> {
    CodeForm::CURRENT.normalise(text)
}

/// Trims a code, in the form of a new organisation; see [`CodeForm::trim`].
pub fn trim(text: &str) -> &str {
    CodeForm::CURRENT.trim(text)
}

/// Why a text is not a valid code. Positions count characters from 1, after trimming.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidCode {
    /// Nothing is left after trimming.
    Empty = 0,
    /// It contains a control or other invisible character. Only reported in the form [`CodeForm::CaseFolded`].
    ControlCharacter {
        /// Where.
        at: u32,
    } = 1,
    /// It contains white space.
    InnerWhiteSpace {
        /// Where.
        at: u32,
    } = 2,
    /// It is longer than [`CODE_BYTES_MAX`] after normalisation, or than [`TEXT_BYTES_MAX`] before it.
    TooLong {
        /// Its length in bytes of UTF-8.
        bytes: u32,
    } = 3,
    /// It contains an invisible character.
    Invisible(CharacterAt) = 4,
    /// It contains a character that is unassigned, or for private use: programs do not agree on what it is.
    Unassigned(CharacterAt) = 5,
    /// It contains a space with a mark, such as U+00B4: normalised, it would be two words.
    HasSpace(CharacterAt) = 6,
}

/// These are stored in lines of records: a larger row would make older journals unreadable.
const _: () = assert!(size_of::<ArchivedInvalidCode>() == 5);

impl fmt::Display for InvalidCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidCode::Empty => f.write_str("it is empty"),
            InvalidCode::ControlCharacter { at } => write!(f, "character {at} is a control or invisible character"),
            InvalidCode::InnerWhiteSpace { at } => write!(f, "character {at} is white space"),
            InvalidCode::TooLong { bytes } => write!(f, "it has {bytes} bytes; at most {CODE_BYTES_MAX} are allowed"),
            InvalidCode::Invisible(which) => write!(f, "{which} is invisible"),
            InvalidCode::Unassigned(which) => write!(f, "{which} is not an assigned Unicode character"),
            InvalidCode::HasSpace(which) => write!(f, "{which} contains a space"),
        }
    }
}

/// A character of a text and its position, in four bytes.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(into = "ShownCharacter", try_from = "ShownCharacter")]
pub struct CharacterAt(u32);

/// How many bits of a [`CharacterAt`] the character takes; the rest is its position.
const CHARACTER_BITS: u32 = 21;

impl CharacterAt {
    /// A character and its position, counted from 1. Positions above [`TEXT_BYTES_MAX`] saturate at 2,047.
    pub const fn new(c: char, at: u32) -> CharacterAt {
        let at = if at < 1 << (32 - CHARACTER_BITS) { at } else { (1 << (32 - CHARACTER_BITS)) - 1 };
        CharacterAt(at << CHARACTER_BITS | c as u32)
    }

    /// The character's number.
    pub const fn character(self) -> u32 {
        self.0 & ((1 << CHARACTER_BITS) - 1)
    }

    /// Its position, counted from 1.
    pub const fn at(self) -> u32 {
        self.0 >> CHARACTER_BITS
    }
}

/// `character 3 (U+200B)`
impl fmt::Display for CharacterAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {} (U+{:04X})", self.at(), self.character())
    }
}

/// The JSON form.
#[derive(serde::Serialize, serde::Deserialize)]
struct ShownCharacter {
    at: u32,
    character: String,
}

impl From<CharacterAt> for ShownCharacter {
    fn from(which: CharacterAt) -> ShownCharacter {
        ShownCharacter { at: which.at(), character: format!("U+{:04X}", which.character()) }
    }
}

impl TryFrom<ShownCharacter> for CharacterAt {
    type Error = &'static str;

    fn try_from(shown: ShownCharacter) -> Result<CharacterAt, &'static str> {
        let number = shown.character.strip_prefix("U+").and_then(|number| u32::from_str_radix(number, 16).ok());
        let c = number.and_then(char::from_u32).ok_or("a character is written as U+200B")?;
        Ok(CharacterAt::new(c, shown.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_and_its_position_round_trip() {
        for (c, at) in [('\u{0}', 1), ('\u{200b}', 3), (char::MAX, TEXT_BYTES_MAX as u32)] {
            let which = CharacterAt::new(c, at);
            assert_eq!((which.character(), which.at()), (c.into(), at));
            let json = serde_json::to_string(&which).expect("it has a form in JSON");
            assert_eq!(serde_json::from_str::<CharacterAt>(&json).expect("it comes back"), which);
        }
        let why = InvalidCode::Invisible(CharacterAt::new('\u{200b}', 3));
        assert_eq!(why.to_string(), "character 3 (U+200B) is invisible");
        let json = serde_json::to_value(why).expect("it has a form in JSON");
        assert_eq!(json, serde_json::json!({ "invisible": { "at": 3, "character": "U+200B" } }));
    }
}
