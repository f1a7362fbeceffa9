//! The form of the first journals: ignores letter case and nothing else. It never changes, because it decides which codes of
//! these journals are the same.
//!
//! White space and some invisible characters around a code are trimmed; Unicode's full case folding (CaseFolding.txt, statuses C
//! and F) makes letter case not matter. Control and these invisible characters, and white space inside, are refused.

use super::characters::is_white_space;
use super::{InvalidCode, NormalisedCode};

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| is_white_space(c) || is_invisible(c))
}

pub(super) fn normalise(text: &str) -> Result<NormalisedCode, InvalidCode> {
    let text = trim(text);
    if text.is_empty() {
        return Err(InvalidCode::Empty);
    }
    let folded = |text: &str| match NormalisedCode::from_normalised(text) {
        Some(code) => Ok(code),
        None => Err(InvalidCode::TooLong { bytes: u32::try_from(text.len()).unwrap_or(u32::MAX) }),
    };
    for (c, at) in text.chars().zip(1..) {
        if c.is_control() || is_invisible(c) {
            return Err(InvalidCode::ControlCharacter { at });
        }
        if is_white_space(c) {
            return Err(InvalidCode::InnerWhiteSpace { at });
        }
    }
    folded(&caseless::default_case_fold_str(text))
}

/// Format characters that are not visible: soft hyphen, zero-width spaces and joiners, direction marks, byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::{CODE_BYTES_MAX, CodeForm};
    use super::*;

    fn check(text: &str, expected: Result<&str, InvalidCode>) {
        let found = CodeForm::CaseFolded.normalise(text);
        assert_eq!(found.as_ref().map(NormalisedCode::as_str).map_err(|why| *why), expected, "{text:?}");
    }

    #[test]
    fn letter_case_and_surrounding_characters_do_not_matter() {
        check("SUMMER-25", Ok("summer-25"));
        check(" \tsummer-25\u{a0}\r\n", Ok("summer-25"));
        check("\u{feff}SUMMER-25\u{200b}", Ok("summer-25"));
        check("ЛЕТО", Ok("лето"));
        check("STRASSE", Ok("strasse"));
        check("Straße", Ok("strasse"));
        check("ΌΔΟΣ", Ok("όδοσ"));
        check("όδος", Ok("όδοσ"));
        check("0012", Ok("0012"));
        check("219E01BE", Ok("219e01be"));
    }

    #[test]
    fn invalid_characters_are_reported_with_their_position() {
        check("", Err(InvalidCode::Empty));
        check(" \u{200b} ", Err(InvalidCode::Empty));
        check("AB CD", Err(InvalidCode::InnerWhiteSpace { at: 3 }));
        check("ÄB\u{3000}CD", Err(InvalidCode::InnerWhiteSpace { at: 3 }));
        check("A\u{0}B", Err(InvalidCode::ControlCharacter { at: 2 }));
        check("AB\u{200b}C", Err(InvalidCode::ControlCharacter { at: 3 }));
        check("A\nB", Err(InvalidCode::ControlCharacter { at: 2 }));
        check(&"X".repeat(CODE_BYTES_MAX), Ok(&"x".repeat(CODE_BYTES_MAX)));
        check(&"x".repeat(65), Err(InvalidCode::TooLong { bytes: 65 }));
        // 32 letters of two bytes each fit; folding may lengthen: one letter of two bytes becomes three of one.
        check(&"Ж".repeat(32), Ok(&"ж".repeat(32)));
        check(&"ΐ".repeat(11), Err(InvalidCode::TooLong { bytes: 66 }));
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in ["SUMMER-25", "Straße", "ΌΔΟΣ", "İSTANBUL", "ǅ", "ﬃ"] {
            let once = CodeForm::CaseFolded.normalise(text).expect("a code");
            assert_eq!(CodeForm::CaseFolded.normalise(once.as_str()), Ok(once), "{text}");
        }
    }
}
