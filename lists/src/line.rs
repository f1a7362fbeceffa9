//! What every kind of list consists of.

/// A line of a list: a code, with the white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of the text's line, or of the sheet's row, from 1.
    pub number: u32,
    /// Its text.
    pub text: String,
}
