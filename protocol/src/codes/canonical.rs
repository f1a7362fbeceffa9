//! The canonical form: codes that look the same, or differ by letter case, are one code (K4, K9).
//!
//! 1. White space and invisible characters around the text are trimmed.
//! 2. A text with one of these inside is refused, with the position; so is a text with a character that Unicode 16.0 does not
//!    assign, or with a character whose compatibility decomposition contains a space, such as U+00B4.
//! 3. The rest is decomposed (NFKD) and case is folded (CaseFolding.txt, statuses C and F; dotless `ı` folds to `i`, as its capital
//!    does), twice, and decomposed again: what Unicode calls a compatibility caseless match (D146), with which full-width forms,
//!    ligatures and composed letters become plain ones.
//! 4. A single dot above a letter that already has a dot (U+0307 after a `Soft_Dotted` letter, unless another mark above comes first)
//!    is dropped: so `İ`, `I`, `ı` and `i` are one letter, in every spelling. Two or more dots in a row are all kept: such a
//!    letter looks different, and dropping one of them would make the form depend on how often it is computed.
//! 5. The result is composed (NFC), and has at most [`CODE_BYTES_MAX`] bytes.
//!
//! Normalising twice changes nothing. Nothing here allocates.

use std::iter::Peekable;
use std::sync::LazyLock;

use caseless::Caseless;
use unicode_normalization::char::{canonical_combining_class, decompose_compatible};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::characters::{is_assigned, is_invisible, is_soft_dotted, is_white_space};
use super::{CODE_BYTES_MAX, CharacterAt, InvalidCode, NormalisedCode, TEXT_BYTES_MAX};

const DOT_ABOVE: char = '\u{307}';

/// The combining class of marks above a letter.
const ABOVE: u8 = 230;

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| is_white_space(c) || is_invisible(c))
}

pub(super) fn normalise(text: &str) -> Result<NormalisedCode, InvalidCode> {
    if let Some(code) = letter_by_letter(text) {
        return Ok(code);
    }
    let text = trim(text);
    if text.is_empty() {
        return Err(InvalidCode::Empty);
    }
    // Work is bounded, and a character's position fits its field.
    if text.len() > TEXT_BYTES_MAX {
        return Err(InvalidCode::TooLong { bytes: u32::try_from(text.len()).unwrap_or(u32::MAX) });
    }
    if let Some(why) = (1..).zip(text.chars()).find_map(|(at, c)| verdict(c, at)) {
        return Err(why);
    }
    compose(text)
}

/// Why a character cannot be inside a code.
fn verdict(c: char, at: u32) -> Option<InvalidCode> {
    if c.is_ascii_graphic() {
        return None;
    }
    if is_invisible(c) {
        return Some(InvalidCode::Invisible(CharacterAt::new(c, at)));
    }
    if is_white_space(c) {
        return Some(InvalidCode::InnerWhiteSpace { at });
    }
    if !is_assigned(c) {
        return Some(InvalidCode::Unassigned(CharacterAt::new(c, at)));
    }
    let mut has_space = false;
    decompose_compatible(c, |part| has_space |= is_white_space(part));
    has_space.then(|| InvalidCode::HasSpace(CharacterAt::new(c, at)))
}

/// Steps 3 to 5.
fn compose(text: &str) -> Result<NormalisedCode, InvalidCode> {
    let folded = fold(fold(text.chars().nfkd()).nfkd()).nfkd();
    let (mut bytes, mut length) = ([0; CODE_BYTES_MAX], 0);
    let composed = WithoutDots { inner: folded.peekable(), has_dot: false }.nfc();
    for c in composed {
        if let Some(room) = bytes.get_mut(length..length + c.len_utf8()) {
            c.encode_utf8(room);
        }
        length += c.len_utf8();
    }
    let whole = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    whole.and_then(NormalisedCode::from_normalised).ok_or(InvalidCode::TooLong { bytes: length as u32 })
}

fn fold(chars: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    chars.map(|c| if c == 'ı' { 'i' } else { c }).default_case_fold()
}

/// Decomposed text without the dots that its letters already have.
struct WithoutDots<I: Iterator> {
    inner: Peekable<I>,
    /// Whether a dot above at this point would duplicate that of the letter before.
    has_dot: bool,
}

impl<I: Iterator<Item = char>> Iterator for WithoutDots<I> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            let c = self.inner.next()?;
            if c == DOT_ABOVE && self.has_dot && self.inner.peek() != Some(&DOT_ABOVE) {
                self.has_dot = false;
                continue;
            }
            match canonical_combining_class(c) {
                0 => self.has_dot = is_soft_dotted(c),
                ABOVE => self.has_dot = false,
                _ => {}
            }
            return Some(c);
        }
    }
}

/// The non-ASCII characters for which [`letter_by_letter`] has a table: Latin, Greek, Cyrillic and Armenian letters.
const FIRST: u32 = 0x80;
const END: u32 = 0x590;

/// The normal form of each, if that is one character whatever surrounds it; otherwise 0.
static LETTERS: LazyLock<[u16; (END - FIRST) as usize]> = LazyLock::new(|| {
    std::array::from_fn(|at| {
        let letter = char::from_u32(FIRST + at as u32).and_then(|c| {
            verdict(c, 1).is_none().then_some(())?;
            let form = compose(c.encode_utf8(&mut [0; 4])).ok()?;
            let mut chars = form.as_str().chars();
            let (only, None) = (chars.next()?, chars.next()) else { return None };
            stands_alone(only).then_some(only)
        });
        letter.and_then(|letter| u16::try_from(u32::from(letter)).ok()).unwrap_or(0)
    })
});

/// A fast path for what most codes are made of: letters that are normalised one by one.
fn letter_by_letter(text: &str) -> Option<NormalisedCode> {
    if text.len() > 2 * CODE_BYTES_MAX {
        return None;
    }
    let (mut bytes, mut length) = ([0; CODE_BYTES_MAX], 0);
    for c in text.chars() {
        let form = match u32::from(c) {
            _ if c.is_ascii_graphic() => c.to_ascii_lowercase(),
            number @ FIRST..END => match LETTERS[(number - FIRST) as usize] {
                0 => return None,
                form => char::from_u32(u32::from(form))?,
            },
            _ => return None,
        };
        form.encode_utf8(bytes.get_mut(length..length + form.len_utf8())?);
        length += form.len_utf8();
    }
    NormalisedCode::from_normalised(std::str::from_utf8(&bytes[..length]).ok()?)
}

/// Whether a normalised character neither moves nor merges with the character before it.
pub(super) fn stands_alone(c: char) -> bool {
    let still = |c: char| canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) == IsNormalized::Yes;
    still(c) && std::iter::once(c).nfd().next().is_some_and(still)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, InvalidCode>) {
        let found = normalise(text);
        assert_eq!(found.as_ref().map(NormalisedCode::as_str).map_err(|why| *why), expected, "{text:?}");
    }

    /// All spellings in each row are one code.
    #[test]
    fn codes_that_look_the_same_are_one_code() {
        for same in [
            &["SUMMER-25", " \tsummer-25\u{a0}\r\n", "\u{feff}Summer-25\u{200b}", "ＳＵＭＭＥＲ－２５"][..],
            &["CAFÉ", "café", "CAFE\u{301}", "cafe\u{301}", "ＣＡＦÉ"],
            &["INDIRIM", "indirim", "İNDİRİM", "ındırım", "I\u{307}NDI\u{307}RI\u{307}M", "i\u{307}ndirim"],
            &["i\u{323}x", "I\u{323}X", "İ\u{323}X", "I\u{307}\u{323}x", "i\u{323}\u{307}X"],
            &["STRASSE", "Straße", "STRAẞE"],
            &["ΌΔΟΣ", "όδος", "ο\u{301}δοσ"],
            &["ЙОД", "йод", "И\u{306}од"],
            &["각", "\u{1100}\u{1161}\u{11a8}"],
            &["ﬁn", "FIN"],
            &["①②", "12"],
        ] {
            let first = normalise(same[0]).expect("a code");
            same.iter().for_each(|text| check(text, Ok(first.as_str())));
        }
        check("ЛЕТО", Ok("лето"));
        check("0012", Ok("0012"));
        check("İSTANBUL", Ok("istanbul"));
        check("í", Ok("í"));
        assert_ne!(normalise("cafe"), normalise("café"));
        assert_ne!(normalise("лето"), normalise("nето"));
    }

    /// A letter with two dots above looks different from one with its own dot, and every dot counts towards the length of the code.
    #[test]
    fn only_a_single_dot_above_an_i_is_dropped() {
        let dots = |count| "\u{307}".repeat(count);
        for letter in ["i", "I", "ı", "j", "\u{456}"] {
            let plain = normalise(letter).expect("a code");
            check(&format!("{letter}{}", dots(1)), Ok(plain.as_str()));
            check(&format!("{letter}\u{323}{}", dots(1)), Ok(normalise(&format!("{letter}\u{323}")).expect("a code").as_str()));
            for count in 2..=30 {
                check(&format!("{letter}{}", dots(count)), Ok(&format!("{}{}", plain.as_str(), dots(count))));
            }
        }
        check(&format!("İ{}", dots(1)), Ok(&format!("i{}", dots(2))));
        check("İ\u{301}", Ok("í"));
        check(&format!("i{}", dots(40)), Err(InvalidCode::TooLong { bytes: 81 }));
    }

    /// However a code is written, it has at most [`TEXT_BYTES_MAX`] bytes: 64 letters that each take four bytes instead of one.
    #[test]
    fn a_written_code_has_at_most_256_bytes() {
        assert_eq!(TEXT_BYTES_MAX, 4 * CODE_BYTES_MAX);
        check(&"\u{1d54f}".repeat(CODE_BYTES_MAX), Ok(&"x".repeat(CODE_BYTES_MAX)));
        check(&"I\u{307}".repeat(CODE_BYTES_MAX), Ok(&"i".repeat(CODE_BYTES_MAX)));
        let dotted = "\u{1d456}\u{307}";
        check(&dotted.repeat(42), Ok(&"i".repeat(42)));
        check(&dotted.repeat(43), Err(InvalidCode::TooLong { bytes: 258 }));
    }

    /// Invisible characters around a code are trimmed; inside it they are reported with their position.
    #[test]
    fn invisible_characters_are_trimmed_around_a_code_and_refused_within() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_invisible(*c) && !is_white_space(*c)) {
            check(&format!("{c}{c}AB{c}"), Ok("ab"));
            check(&format!("A{c}B"), Err(InvalidCode::Invisible(CharacterAt::new(c, 2))));
            check(&format!("Ж\u{301}{c}B"), Err(InvalidCode::Invisible(CharacterAt::new(c, 3))));
        }
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_white_space(*c)) {
            check(&format!("{c}AB{c}"), Ok("ab"));
        }
    }

    #[test]
    fn invalid_characters_are_reported_with_their_position() {
        check("", Err(InvalidCode::Empty));
        check(" \u{200b}\u{2800} ", Err(InvalidCode::Empty));
        check("AB CD", Err(InvalidCode::InnerWhiteSpace { at: 3 }));
        check(" ÄB\u{3000}CD", Err(InvalidCode::InnerWhiteSpace { at: 3 }));
        check("A\nB", Err(InvalidCode::Invisible(CharacterAt::new('\n', 2))));
        check("A\u{378}", Err(InvalidCode::Unassigned(CharacterAt::new('\u{378}', 2))));
        check("A\u{b4}", Err(InvalidCode::HasSpace(CharacterAt::new('\u{b4}', 2))));
        check("\u{fdfa}", Err(InvalidCode::HasSpace(CharacterAt::new('\u{fdfa}', 1))));
        check(&"X".repeat(CODE_BYTES_MAX), Ok(&"x".repeat(CODE_BYTES_MAX)));
        check(&"x".repeat(65), Err(InvalidCode::TooLong { bytes: 65 }));
        check(&"Ｘ".repeat(64), Ok(&"x".repeat(64)));
        check(&"Ж".repeat(33), Err(InvalidCode::TooLong { bytes: 66 }));
        check(&"x".repeat(TEXT_BYTES_MAX + 1), Err(InvalidCode::TooLong { bytes: TEXT_BYTES_MAX as u32 + 1 }));
        let far = format!("{}\u{200b}x", "x".repeat(TEXT_BYTES_MAX - 4));
        check(&far, Err(InvalidCode::Invisible(CharacterAt::new('\u{200b}', TEXT_BYTES_MAX as u32 - 3))));
    }

    /// Every character, by itself, after a letter with a dot, and before marks.
    #[test]
    fn normalising_twice_changes_nothing() {
        let mut codes = 0;
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_assigned(*c)) {
            for text in [
                format!("{c}"),
                format!("i{c}\u{307}"),
                format!("İ{c}\u{307}"),
                format!("{c}\u{301}\u{323}\u{307}"),
                format!("\u{1100}{c}\u{345}"),
            ] {
                let Ok(once) = normalise(&text) else { continue };
                assert_eq!(normalise(once.as_str()), Ok(once), "{text:?}");
                codes += 1;
            }
        }
        assert!(codes > 500_000, "{codes}");
    }

    /// Texts of characters that interact: normalising twice is normalising once, every spelling of a text is the same code, and
    /// the table of letters agrees with the full algorithm.
    #[test]
    fn random_texts_have_one_form_in_every_spelling() {
        const SIGNS: &[char] = &[
            'a', 'I', 'i', 'ı', 'İ', 'J', 'ß', 'Σ', 'ς', 'é', 'Å', 'й', 'Ж', '\u{212b}', '\u{307}', '\u{301}', '\u{323}',
            '\u{345}', '\u{327}', 'ﬃ', 'Ａ', '½', '\u{1100}', '\u{1161}', '\u{11a8}', '가', 'ǆ', 'ᾳ', '9', '-', 'Ⅸ', '\u{1f80}',
            'ẞ', '\u{456}', 'ĳ', '\u{3099}', 'か',
        ];
        let seed = u64::from(std::process::id()) | 1;
        let mut state = seed;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        for _ in 0..40_000 {
            let text: String = (0..1 + below(8)).map(|_| SIGNS[below(SIGNS.len())]).collect();
            let once = normalise(&text).unwrap_or_else(|why| panic!("seed {seed}: {text:?}: {why}"));
            assert_eq!(normalise(once.as_str()), Ok(once), "seed {seed}: {text:?}");
            for other in [text.nfc().collect::<String>(), text.nfd().collect(), text.nfkc().collect(), text.to_lowercase()] {
                assert_eq!(normalise(&other), Ok(once), "seed {seed}: {text:?} written {other:?}");
            }
            assert_eq!(compose(&text), Ok(once), "seed {seed}: {text:?}");
        }
    }
}
