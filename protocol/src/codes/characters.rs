//! The characters that can be in a code, from the Unicode character database.
//!
//! The sets are written as expressions over Unicode properties and expanded once per process. All of them are cut to the characters
//! that Unicode 16.0 has ([`UNICODE`]). Unicode's stability policies keep the normalisation and the case folding of a character that
//! is assigned, so newer data in a dependency does not change what an older journal means.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// The version of Unicode whose characters can be in a code.
pub(super) const UNICODE: [u8; 3] = [16, 0, 0];

const _: () = assert!(caseless::UNICODE_VERSION.0 == 16 && unicode_normalization::UNICODE_VERSION.0 >= 16);

/// What leaves no mark on paper: controls, format characters and default-ignorable code points. No property covers the blank
/// characters after these: the Braille pattern without dots, the object replacement character, a note without a head, and the
/// fillers of Khitan and Egyptian writing.
const INVISIBLE: &str = r"[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\x{2800}\x{FFFC}\x{1D159}\x{16FE4}\x{13441}\x{13442}]";

/// Assigned, and neither for private use nor a noncharacter.
const ASSIGNED: &str = r"[\p{Age:16.0}--[\p{Cn}\p{Co}]]";

/// Letters such as i and j, which lose their dot under another mark.
const SOFT_DOTTED: &str = r"[\p{Soft_Dotted}&&\p{Age:16.0}]";

static SETS: LazyLock<Sets> =
    LazyLock::new(|| Sets { invisible: ranges(INVISIBLE), assigned: ranges(ASSIGNED), soft_dotted: ranges(SOFT_DOTTED) });

/// Ranges of characters, ascending, both ends included.
struct Sets {
    invisible: Vec<(char, char)>,
    assigned: Vec<(char, char)>,
    soft_dotted: Vec<(char, char)>,
}

/// Whether a character is invisible.
pub(super) fn is_invisible(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_control() } else { contains(&SETS.invisible, c) }
}

/// Whether a character has a meaning that all programs agree on.
pub(super) fn is_assigned(c: char) -> bool {
    c.is_ascii() || contains(&SETS.assigned, c)
}

/// Whether a dot above a letter is there already.
pub(super) fn is_soft_dotted(c: char) -> bool {
    if c.is_ascii() { matches!(c, 'i' | 'j') } else { contains(&SETS.soft_dotted, c) }
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
    fn the_sets_have_what_their_names_say() {
        let invisible = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200d}\u{200e}\u{202e}\u{2060}\u{2066}\
                         \u{2069}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffc}\u{e0001}\u{e0100}\u{1d173}\u{7f}\u{85}";
        assert_eq!(invisible.chars().filter(|c| !is_invisible(*c)).collect::<String>(), "");
        assert_eq!("aÄж9-_★\u{301}😀々".chars().filter(|c| is_invisible(*c) || !is_assigned(*c)).collect::<String>(), "");
        // A private character, a noncharacter, one that is not assigned, and one that Unicode 17.0 was the first to have.
        assert_eq!("\u{e000}\u{fdd0}\u{378}\u{20c1}".chars().filter(|c| is_assigned(*c)).collect::<String>(), "");
        assert!("ij\u{12f}\u{456}".chars().all(is_soft_dotted) && !"ıaİ".chars().any(is_soft_dotted));
    }

    #[test]
    fn ascii_is_as_its_properties_say() {
        for c in (0..0x80_u8).map(char::from) {
            assert_eq!(is_invisible(c), contains(&SETS.invisible, c), "{c:?}");
            assert_eq!(is_soft_dotted(c), contains(&SETS.soft_dotted, c), "{c:?}");
            assert!(contains(&SETS.assigned, c), "{c:?}");
        }
    }
}
