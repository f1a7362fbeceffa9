//! The characters that can be in a code, from the Unicode character database.
//!
//! All sets are those of Unicode 16.0 ([`UNICODE`]), whatever data the compiler and the dependencies have: a newer version must
//! not change which codes of an older journal are the same. Properties that Unicode may change for a character are written out.
//! Unicode's stability policies guarantee which characters a version has, and their normalisation and case folding.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// The version of Unicode whose characters can be in a code.
pub(super) const UNICODE: [u8; 3] = [16, 0, 0];

const _: () = assert!(caseless::UNICODE_VERSION.0 == 16 && unicode_normalization::UNICODE_VERSION.0 >= 16);

/// Characters that are not visible: controls (`Cc`), format characters (`Cf`) and `Default_Ignorable_Code_Point`, including code
/// points reserved for more of these. No property covers the other blank characters: the Braille pattern without dots, the object
/// replacement character, a note without a head, and the fillers of Khitan and Egyptian writing.
#[rustfmt::skip]
const INVISIBLE: &[(char, char)] = &[
    ('\u{0}', '\u{1f}'), ('\u{7f}', '\u{9f}'), ('\u{ad}', '\u{ad}'), ('\u{34f}', '\u{34f}'), ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'), ('\u{6dd}', '\u{6dd}'), ('\u{70f}', '\u{70f}'), ('\u{890}', '\u{891}'), ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'), ('\u{17b4}', '\u{17b5}'), ('\u{180b}', '\u{180f}'), ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'), ('\u{2060}', '\u{206f}'), ('\u{2800}', '\u{2800}'), ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'), ('\u{feff}', '\u{feff}'), ('\u{ffa0}', '\u{ffa0}'), ('\u{fff0}', '\u{fffc}'),
    ('\u{110bd}', '\u{110bd}'), ('\u{110cd}', '\u{110cd}'), ('\u{13430}', '\u{1343f}'), ('\u{13441}', '\u{13442}'),
    ('\u{16fe4}', '\u{16fe4}'), ('\u{1bca0}', '\u{1bca3}'), ('\u{1d159}', '\u{1d159}'), ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// `White_Space`.
#[rustfmt::skip]
const WHITE_SPACE: &[(char, char)] = &[
    ('\u{9}', '\u{d}'), ('\u{20}', '\u{20}'), ('\u{85}', '\u{85}'), ('\u{a0}', '\u{a0}'), ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'), ('\u{2028}', '\u{2029}'), ('\u{202f}', '\u{202f}'), ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];

/// `Soft_Dotted`: letters such as i and j, which lose their dot under another mark.
#[rustfmt::skip]
const SOFT_DOTTED: &[(char, char)] = &[
    ('\u{69}', '\u{6a}'), ('\u{12f}', '\u{12f}'), ('\u{249}', '\u{249}'), ('\u{268}', '\u{268}'), ('\u{29d}', '\u{29d}'),
    ('\u{2b2}', '\u{2b2}'), ('\u{3f3}', '\u{3f3}'), ('\u{456}', '\u{456}'), ('\u{458}', '\u{458}'), ('\u{1d62}', '\u{1d62}'),
    ('\u{1d96}', '\u{1d96}'), ('\u{1da4}', '\u{1da4}'), ('\u{1da8}', '\u{1da8}'), ('\u{1e2d}', '\u{1e2d}'),
    ('\u{1ecb}', '\u{1ecb}'), ('\u{2071}', '\u{2071}'), ('\u{2148}', '\u{2149}'), ('\u{2c7c}', '\u{2c7c}'),
    ('\u{1d422}', '\u{1d423}'), ('\u{1d456}', '\u{1d457}'), ('\u{1d48a}', '\u{1d48b}'), ('\u{1d4be}', '\u{1d4bf}'),
    ('\u{1d4f2}', '\u{1d4f3}'), ('\u{1d526}', '\u{1d527}'), ('\u{1d55a}', '\u{1d55b}'), ('\u{1d58e}', '\u{1d58f}'),
    ('\u{1d5c2}', '\u{1d5c3}'), ('\u{1d5f6}', '\u{1d5f7}'), ('\u{1d62a}', '\u{1d62b}'), ('\u{1d65e}', '\u{1d65f}'),
    ('\u{1d692}', '\u{1d693}'), ('\u{1df1a}', '\u{1df1a}'), ('\u{1e04c}', '\u{1e04d}'), ('\u{1e068}', '\u{1e068}'),
];

/// Assigned, and neither for private use nor a noncharacter.
const ASSIGNED: &str = r"[\p{Age:16.0}--[\p{Cn}\p{Co}]]";

static ASSIGNED_RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(ASSIGNED));

/// Whether a character is invisible.
pub(super) fn is_invisible(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_control() } else { contains(INVISIBLE, c) }
}

/// Whether a character is white space.
pub(super) fn is_white_space(c: char) -> bool {
    if c.is_ascii() { matches!(c, '\t'..='\r' | ' ') } else { contains(WHITE_SPACE, c) }
}

/// Whether all programs agree on what a character means.
pub(super) fn is_assigned(c: char) -> bool {
    c.is_ascii() || contains(&ASSIGNED_RANGES, c)
}

/// Whether a letter already has a dot above.
pub(super) fn is_soft_dotted(c: char) -> bool {
    if c.is_ascii() { matches!(c, 'i' | 'j') } else { contains(SOFT_DOTTED, c) }
}

fn contains(ranges: &[(char, char)], c: char) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after.checked_sub(1).is_some_and(|at| c <= ranges[at].1)
}

fn ranges(expression: &str) -> Vec<(char, char)> {
    let parsed = regex_syntax::parse(expression).expect("the expression names properties that the pinned version knows");
    let HirKind::Class(Class::Unicode(class)) = parsed.into_kind() else { return Vec::new() };
    class.ranges().iter().map(|range| (range.start(), range.end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The characters that the sets must have, whatever properties they are built from.
    #[test]
    fn the_sets_match_their_names() {
        let invisible = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200d}\u{200e}\u{202e}\u{2060}\u{2066}\
                         \u{2069}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffc}\u{e0001}\u{e0100}\u{1d173}\u{7f}\u{85}";
        assert_eq!(invisible.chars().filter(|c| !is_invisible(*c)).collect::<String>(), "");
        assert_eq!("aÄж9-_★\u{301}😀々".chars().filter(|c| is_invisible(*c) || !is_assigned(*c)).collect::<String>(), "");
        // A private character, a noncharacter, one that is not assigned, and one that Unicode 17.0 was the first to have.
        assert_eq!("\u{e000}\u{fdd0}\u{378}\u{20c1}".chars().filter(|c| is_assigned(*c)).collect::<String>(), "");
        assert!(
            " \t\u{85}\u{a0}\u{2003}\u{3000}".chars().all(is_white_space) && !"a\u{200b}\u{180e}_".chars().any(is_white_space)
        );
        assert!("ij\u{12f}\u{456}".chars().all(is_soft_dotted) && !"ıaİ".chars().any(is_soft_dotted));
    }

    #[test]
    fn ascii_is_as_its_properties_say() {
        for c in (0..0x80_u8).map(char::from) {
            assert_eq!(is_invisible(c), contains(INVISIBLE, c), "{c:?}");
            assert_eq!(is_soft_dotted(c), contains(SOFT_DOTTED, c), "{c:?}");
            assert_eq!(is_white_space(c), contains(WHITE_SPACE, c), "{c:?}");
            assert!(contains(&ASSIGNED_RANGES, c), "{c:?}");
        }
    }
}
