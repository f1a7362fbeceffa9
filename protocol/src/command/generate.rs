//! Generate codes for a campaign (Z8).

use std::fmt;

use super::archive::UNKNOWN_CAMPAIGN;
use crate::command::{CodeLimit, CodeTexts};
use crate::ids::CampaignId;
use crate::record::Stamp;

/// The request to generate codes and add them to a campaign. The engine draws them from the operating system's generator.
#[wire_format(serde::Deserialize)]
pub struct GenerateCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// How many: 1 to [`LINES_MAX`](crate::command::LINES_MAX).
    pub count: u32,
    /// The pattern of a code: `*` is any character of the alphabet, `#` any digit of it, `@` any letter of it, `\` escapes the
    /// character after it, and everything else is literal. 1 to [`PATTERN_BYTES_MAX`] bytes.
    pub pattern: String,
    /// The characters to draw from, each once, ignoring case, at most [`ALPHABET_SIGNS_MAX`]; empty for [`ALPHABET`].
    pub alphabet: String,
}

/// The default alphabet: digits and capital letters, without those that are easily confused (0 and O; 1, I and L).
pub const ALPHABET: &str = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// The most characters of an alphabet.
pub const ALPHABET_SIGNS_MAX: usize = 256;

/// The default pattern: 16 characters.
pub const PATTERN: &str = "****************";

/// The most bytes of a pattern.
pub const PATTERN_BYTES_MAX: usize = 200;

/// Minimum number of guesses that it must take on average to hit a code by chance. With fewer, generation is refused.
pub const GUESSES_PER_HIT_MIN: u64 = 1_000_000;

/// The answer to [`GenerateCodes`], in order of precedence. A refusal adds nothing.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GenerateCodesOutcome {
    /// The codes are added; read them with [`ListCodes`](crate::command::ListCodes).
    Generated {
        /// The first code's slot.
        first_slot: u32,
        /// How many there are.
        codes: u32,
        /// How many guesses at this pattern it takes on average to hit a code: one of these, or any code that the pattern could
        /// draw of a campaign that is not archived. Codes archived by themselves do not count. Saturates at the largest number.
        /// For an organisation with very many codes this is a lower bound: it assumes that the pattern could draw all of them.
        guesses_per_hit: u64,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// The campaign is archived.
    CampaignArchived = 2,
    /// The count is 0 or too high.
    InvalidCount = 3,
    /// The pattern or the alphabet cannot be used.
    InvalidPattern(InvalidPattern) = 4,
    /// The campaign would exceed the maximum number of codes (A2).
    TooManyCodes(CodeLimit) = 5,
    /// The pattern has too few possible codes for this count: a code could be hit by chance within this number of guesses, below
    /// the minimum of [`GUESSES_PER_HIT_MIN`].
    SpaceTooSmall {
        /// How many guesses it would take on average.
        guesses_per_hit: u64,
    } = 6,
    /// Too many of the drawn codes exist already. Another request draws others.
    Collisions = 7,
}

/// Why a pattern cannot be used. Positions count characters from 1.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidPattern {
    /// It is empty, or longer than [`PATTERN_BYTES_MAX`].
    Length = 0,
    /// Its codes would be longer than [`CODE_BYTES_MAX`](crate::codes::CODE_BYTES_MAX).
    CodeTooLong = 1,
    /// It has no placeholder, so nothing is drawn.
    NothingDrawn = 2,
    /// Nothing follows a `\`.
    EscapeOpen {
        /// The position of the `\`.
        at: u32,
    } = 3,
    /// A character that no code can contain.
    Sign {
        /// Where.
        at: u32,
    } = 4,
    /// The alphabet has no character for the placeholder here.
    AlphabetLacks {
        /// Where.
        at: u32,
    } = 5,
    /// A character of the alphabet that no code can contain, or that normalises to several letters.
    AlphabetSign {
        /// Where.
        at: u32,
    } = 6,
    /// A character that the alphabet has twice, ignoring case.
    AlphabetRepeats {
        /// Where.
        at: u32,
    } = 7,
    /// The alphabet has more than [`ALPHABET_SIGNS_MAX`] characters.
    AlphabetLength = 8,
}

/// The record of generated codes.
#[wire_format]
pub struct CodesGenerated {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// The first code's slot.
    pub first_slot: u32,
    /// The codes.
    pub codes: CodeTexts,
    /// As answered.
    pub guesses_per_hit: u64,
}

impl CodesGenerated {
    /// The reply that this record produces.
    pub fn outcome(&self) -> GenerateCodesOutcome {
        GenerateCodesOutcome::Generated {
            first_slot: self.first_slot,
            codes: self.codes.len() as u32,
            guesses_per_hit: self.guesses_per_hit,
        }
    }
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidPattern::Length => write!(f, "a pattern has 1 to {PATTERN_BYTES_MAX} bytes"),
            InvalidPattern::CodeTooLong => {
                write!(f, "codes of this pattern are longer than {} bytes", crate::codes::CODE_BYTES_MAX)
            }
            InvalidPattern::NothingDrawn => f.write_str("the pattern needs at least one *, # or @"),
            InvalidPattern::EscapeOpen { at } => write!(f, "nothing follows the \\ at character {at} of the pattern"),
            InvalidPattern::Sign { at } => write!(f, "character {at} of the pattern is not allowed in a code"),
            InvalidPattern::AlphabetLacks { at } => {
                write!(f, "the alphabet has no character to draw for character {at} of the pattern")
            }
            InvalidPattern::AlphabetSign { at } => {
                write!(f, "character {at} of the alphabet is not allowed in a code, or normalises to several characters")
            }
            InvalidPattern::AlphabetRepeats { at } => {
                write!(f, "character {at} of the alphabet is listed twice (letter case is ignored)")
            }
            InvalidPattern::AlphabetLength => write!(f, "an alphabet has at most {ALPHABET_SIGNS_MAX} characters"),
        }
    }
}

impl fmt::Display for GenerateCodesOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GenerateCodesOutcome::Generated { codes, guesses_per_hit, .. } => {
                write!(f, "generated {codes} codes; guessing one takes {guesses_per_hit} attempts on average")
            }
            GenerateCodesOutcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            GenerateCodesOutcome::CampaignArchived => f.write_str("refused: the campaign is archived"),
            GenerateCodesOutcome::InvalidCount => {
                write!(f, "refused: 1 to {} codes can be generated at once", crate::command::LINES_MAX)
            }
            GenerateCodesOutcome::InvalidPattern(why) => write!(f, "refused: {why}"),
            GenerateCodesOutcome::TooManyCodes(limit) => write!(f, "refused: {limit}"),
            GenerateCodesOutcome::SpaceTooSmall { guesses_per_hit } => write!(
                f,
                "refused: the pattern allows too few codes: one in {guesses_per_hit} guesses would hit, and at least {GUESSES_PER_HIT_MIN} are required; \
                 use a longer pattern"
            ),
            GenerateCodesOutcome::Collisions => {
                f.write_str("refused: too many of the generated codes already exist; use a longer pattern")
            }
        }
    }
}
