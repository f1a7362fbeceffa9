//! The form in which an organisation compares codes. It is recorded with the settings and never changes for an organisation:
//! under another form a spent code could be taken for an unspent one, and players could no longer type the codes they hold.

use std::fmt;

use super::characters::UNICODE;
use super::{CODE_BYTES_MAX, InvalidCode, NormalisedCode, canonical, case_folded};

/// A form in which codes are compared. The numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CodeForm {
    /// Ignores letter case and nothing else. The form of journals whose settings do not name one.
    CaseFolded = 1,
    /// Codes that look the same are one code.
    Canonical = 2,
}

impl CodeForm {
    /// The form of new organisations.
    pub const CURRENT: CodeForm = CodeForm::Canonical;

    /// The form with this number.
    pub const fn from_number(number: u8) -> Option<CodeForm> {
        match number {
            1 => Some(CodeForm::CaseFolded),
            2 => Some(CodeForm::Canonical),
            _ => None,
        }
    }

    /// Trims white space and invisible characters around a code.
    pub fn trim(self, text: &str) -> &str {
        match self {
            CodeForm::CaseFolded => case_folded::trim(text),
            CodeForm::Canonical => canonical::trim(text),
        }
    }

    /// The normalised form of a text.
    ///
    /// # Errors
    /// When it is not a valid code, with the reason and the position.
    #[inline]
    pub fn normalise(self, text: &str) -> Result<NormalisedCode, InvalidCode> {
        // Fast path for nearly every code, the same in all forms: nothing to trim, and each byte a letter.
        if text.len() <= CODE_BYTES_MAX
            && text.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic())
            && let Some(mut code) = NormalisedCode::from_normalised(text)
        {
            code.make_ascii_lowercase();
            return Ok(code);
        }
        match self {
            CodeForm::CaseFolded => case_folded::normalise(text),
            CodeForm::Canonical => canonical::normalise(text),
        }
    }

    /// Whether texts that are valid codes by themselves can be concatenated without interacting: no mark of `text` moves to, or
    /// merges with, what is before it.
    pub fn stands_alone(self, text: &str) -> bool {
        match self {
            CodeForm::CaseFolded => true,
            CodeForm::Canonical => text.chars().all(canonical::stands_alone),
        }
    }
}

/// A form as it is recorded, with the version of Unicode that defines the characters of a code.
#[wire_format(Copy)]
pub struct RecordedForm {
    /// The form's number.
    pub form: u8,
    /// The version of Unicode.
    #[serde(serialize_with = "dotted")]
    pub unicode: [u8; 3],
}

fn dotted<S: serde::Serializer>([major, minor, update]: &[u8; 3], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{major}.{minor}.{update}"))
}

impl RecordedForm {
    /// How this program records a form.
    pub const fn of(form: CodeForm) -> RecordedForm {
        RecordedForm { form: form as u8, unicode: UNICODE }
    }

    /// The form.
    ///
    /// # Errors
    /// When this program does not know it. It must not guess: spent codes could be taken for others.
    pub fn known(self) -> Result<CodeForm, UnknownForm> {
        self.supported().ok_or(UnknownForm(self))
    }

    /// The form, if this program knows it and every character that a code may have in it.
    pub fn supported(self) -> Option<CodeForm> {
        CodeForm::from_number(self.form).filter(|_| self.unicode <= UNICODE)
    }
}

/// A form that this program does not know, or knows with fewer characters only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("codes are compared in {0}, which this program does not know; use the version of scrip that the engine has")]
pub struct UnknownForm(pub RecordedForm);

impl fmt::Display for RecordedForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, update] = self.unicode;
        write!(f, "code form {} with Unicode {major}.{minor}.{update}", self.form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_found_by_its_number() {
        for form in [CodeForm::CaseFolded, CodeForm::Canonical] {
            assert_eq!(CodeForm::from_number(form as u8), Some(form));
            assert_eq!(RecordedForm::of(form).supported(), Some(form));
        }
        assert_eq!(RecordedForm { form: 3, unicode: UNICODE }.supported(), None);
        let unknown = RecordedForm { form: 3, unicode: [17, 0, 0] }.known().expect_err("there is no such form").to_string();
        assert!(unknown.contains("code form 3 with Unicode 17.0.0"), "{unknown}");
        assert_eq!(RecordedForm { form: 2, unicode: [17, 0, 0] }.supported(), None);
        assert_eq!(RecordedForm { form: 2, unicode: [15, 1, 0] }.supported(), Some(CodeForm::Canonical));
    }

    /// Everything that a form does with every character: alone, after an i, and before a dot above.
    fn digest(form: CodeForm) -> String {
        let (mut hasher, mut bytes, mut text) = (blake3::Hasher::new(), Vec::new(), String::new());
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            for (before, after) in [("", ""), ("i", ""), ("", "\u{307}")] {
                text.clear();
                text.extend([before, c.encode_utf8(&mut [0; 4]), after]);
                match form.normalise(&text) {
                    Ok(code) => {
                        bytes.push(code.as_bytes().len() as u8);
                        bytes.extend_from_slice(code.as_bytes());
                    }
                    Err(why) => {
                        let (number, at) = match why {
                            InvalidCode::Empty => (0, 0),
                            InvalidCode::ControlCharacter { at } => (1, at),
                            InvalidCode::InnerWhiteSpace { at } => (2, at),
                            InvalidCode::TooLong { bytes } => (3, bytes),
                            InvalidCode::Invisible(which) => (4, which.at()),
                            InvalidCode::Unassigned(which) => (5, which.at()),
                            InvalidCode::HasSpace(which) => (6, which.at()),
                        };
                        bytes.push(0xf0 | number);
                        bytes.extend_from_slice(&at.to_le_bytes());
                    }
                }
            }
            if bytes.len() > 1 << 16 {
                hasher.update(&bytes);
                bytes.clear();
            }
        }
        hasher.update(&bytes);
        hasher.finalize().to_hex().to_string()
    }

    /// K9: the normal forms of codes never change under a recorded form, or spent codes could be taken for others. If this test
    /// fails after an update of the compiler or a dependency, that has other Unicode data: make the difference a form of its own,
    /// and leave these digests as they are.
    #[test]
    fn the_canonical_form_of_every_character_never_changes() {
        assert_eq!(digest(CodeForm::Canonical), "23c2e4737c07c6a808a4b13cbc81eff0b3baafa865d694a42b40b0ead235811a");
    }

    /// K9: the same for the form of the first journals.
    #[test]
    fn the_case_folded_form_of_every_character_never_changes() {
        assert_eq!(digest(CodeForm::CaseFolded), "5ea3f6ee84cd52f89e11c1d7be479865592965f3bb1da69efe60407a2b31a14f");
    }
}
