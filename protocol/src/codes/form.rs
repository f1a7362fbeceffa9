//! The form in which an organisation compares codes. It is recorded with the settings, and never changes for an organisation: under
//! another form a code that is spent could be read as one that is not, and one that players hold could no longer be typed.

use std::fmt;

use super::characters::UNICODE;
use super::{CODE_BYTES_MAX, InvalidCode, NormalisedCode, canonical, case_folded};

/// A form in which codes are compared. The numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CodeForm {
    /// Letter case does not matter, all else does. That of journals whose settings do not name a form.
    CaseFolded = 1,
    /// Codes that look the same are one code.
    Canonical = 2,
}

impl CodeForm {
    /// That of a new organisation.
    pub const CURRENT: CodeForm = CodeForm::Canonical;

    /// The form of a number.
    pub const fn from_number(number: u8) -> Option<CodeForm> {
        match number {
            1 => Some(CodeForm::CaseFolded),
            2 => Some(CodeForm::Canonical),
            _ => None,
        }
    }

    /// Takes off what surrounds a code: white space and invisible characters.
    pub fn trim(self, text: &str) -> &str {
        match self {
            CodeForm::CaseFolded => case_folded::trim(text),
            CodeForm::Canonical => canonical::trim(text),
        }
    }

    /// The normalised form of a text.
    ///
    /// # Errors
    /// When it cannot be a code, with the reason and the place.
    #[inline]
    pub fn normalise(self, text: &str) -> Result<NormalisedCode, InvalidCode> {
        // Nearly every code there is, in all forms alike: nothing to take off, and each byte a letter.
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

    /// Whether texts of which each is a code by itself make one of these parts in a row when they follow one another: no mark of `text`
    /// moves to, or merges with, what is before it.
    pub fn stands_alone(self, text: &str) -> bool {
        match self {
            CodeForm::CaseFolded => true,
            CodeForm::Canonical => text.chars().all(canonical::stands_alone),
        }
    }
}

/// A form as it is recorded, with the version of Unicode whose characters can be in a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
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

    /// The form, if this program knows it and every character that a code may have in it.
    pub fn supported(self) -> Option<CodeForm> {
        CodeForm::from_number(self.form).filter(|_| self.unicode <= UNICODE)
    }
}

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
    fn a_form_comes_back_from_its_number() {
        for form in [CodeForm::CaseFolded, CodeForm::Canonical] {
            assert_eq!(CodeForm::from_number(form as u8), Some(form));
            assert_eq!(RecordedForm::of(form).supported(), Some(form));
        }
        assert_eq!(RecordedForm { form: 3, unicode: UNICODE }.supported(), None);
        assert_eq!(RecordedForm { form: 2, unicode: [17, 0, 0] }.supported(), None);
        assert_eq!(RecordedForm { form: 2, unicode: [15, 1, 0] }.supported(), Some(CodeForm::Canonical));
    }
}
