//! What is wrong with a text of a rule, and why a formula has no result.

use std::fmt;

/// What is wrong with a formula, a condition or a push text, and where.
#[wire_format(serde::Deserialize)]
pub struct TextProblem {
    /// The position: a character of the text, counted from 1. One past the end if the text ends too early.
    pub at: u32,
    /// What was found there, in a few words; empty at the end of the text.
    pub found: String,
    /// What was expected there, or the limit.
    pub expected: String,
    /// The known name nearest to what was found, if one is close.
    pub nearest: Option<String>,
}

impl fmt::Display for TextProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: expected {}", self.at, self.expected)?;
        match self.found.as_str() {
            "" => f.write_str(", found the end of the text")?,
            found => write!(f, ", found {found}")?,
        }
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}

/// Why a formula has no result for a top-up (A20). The rule fails; other rules are unaffected.
#[wire_format(Copy, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FormulaFailure {
    /// The formula divides by a value that is zero for this top-up.
    DivisionByZero = 1,
    /// The result, or the client's balance with it, would overflow.
    Overflow = 2,
}

impl FormulaFailure {
    /// The words of all failures, by number from 1.
    pub const WORDS: [&str; 2] = ["division_by_zero", "overflow"];

    /// The number of this failure, from 1.
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The word of this failure, as in reports.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self.number() - 1]
    }
}

impl fmt::Display for FormulaFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormulaFailure::DivisionByZero => "division by zero",
            FormulaFailure::Overflow => "more than an amount can hold",
        })
    }
}
