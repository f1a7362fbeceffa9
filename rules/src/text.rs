//! Texts of push notifications, with variables (U12, U13, A31).
//!
//! `{{topupAmountMajor}} came in, thank you!`: every variable may stand in it, in double braces, and all else is as it is written. A title
//! has at most 40 characters and a body at most 120, which can be told for certain only after variables are filled in; whoever
//! saves a rule compares [`PushText::chars_min`] with the limit, whoever sends compares what was rendered.
//!
//! Control characters are refused, because they arrive from a bad paste and show as nothing or as a box. A line feed may stand in a
//! body ([`PushText::parse`]), and not in a title ([`PushText::parse_line`]).

use std::fmt::{self, Write as _};

use scrip_protocol::{Money, TextProblem, TopUpSource, Variable, Variables};

use crate::cursor::{Cursor, problem};
use crate::known::{Known, is_number};

/// The most bytes of a text. A body that fits has no more: 120 variables of at most 22 characters each.
pub const PUSH_TEXT_BYTES_MAX: usize = 4_096;

/// A text with variables. Printed as it was written, with no white space within braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushText {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// As it is written: not empty, and never beside another.
    Literal(String),
    Variable(Variable),
}

impl PushText {
    /// Reads a text, which may have several lines.
    ///
    /// # Errors
    /// The first problem of the text: a control character other than a line feed, an unknown name, braces without a name.
    pub fn parse(text: &str) -> Result<PushText, TextProblem> {
        parse(text, |c| c == '\n')
    }

    /// Reads a text of one line: a title.
    ///
    /// # Errors
    /// As [`PushText::parse`]; and a line feed is one as well.
    pub fn parse_line(text: &str) -> Result<PushText, TextProblem> {
        parse(text, |_| false)
    }

    /// The text for a top-up: amounts in major units, with decimals only where they are not whole.
    pub fn render(&self, variables: &Variables) -> String {
        let mut rendered = String::new();
        for part in &self.parts {
            let written = match part {
                Part::Literal(literal) => rendered.write_str(literal),
                Part::Variable(variable) => match Known::of(*variable, variables) {
                    Known::Amount(Money(minor)) if minor % 100 == 0 => write!(rendered, "{}", minor / 100),
                    Known::Amount(money) => write!(rendered, "{money}"),
                    Known::Count(count) => write!(rendered, "{count}"),
                    Known::Source(source) => write!(rendered, "{source}"),
                },
            };
            written.expect("a String takes whatever is written to it");
        }
        rendered
    }

    /// The fewest characters (Unicode scalar values) that it can have when rendered.
    pub fn chars_min(&self) -> usize {
        let source_min = TopUpSource::ALL.iter().map(|source| source.word().len()).min().unwrap_or(0);
        let chars = |part: &Part| match part {
            Part::Literal(literal) => literal.chars().count(),
            Part::Variable(variable) if is_number(*variable) => 1,
            Part::Variable(_) => source_min,
        };
        self.parts.iter().map(chars).sum()
    }

    /// The variables that the text names, each once.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        Variable::ALL.into_iter().filter(|variable| self.parts.contains(&Part::Variable(*variable)))
    }
}

impl fmt::Display for PushText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(literal) => f.write_str(literal),
            Part::Variable(variable) => write!(f, "{{{{{variable}}}}}"),
        })
    }
}

fn parse(text: &str, is_line_end: impl Fn(char) -> bool) -> Result<PushText, TextProblem> {
    let mut cursor = Cursor::new(text, PUSH_TEXT_BYTES_MAX)?;
    let mut parts = Vec::new();
    let mut begin = cursor.clone();
    loop {
        let here = cursor.clone();
        let is_variable = cursor.accept("{{");
        let next = if is_variable { None } else { cursor.take() };
        if let Some(c) = next {
            if is_refused(c) && !is_line_end(c) {
                let lines = if c == '\n' { "a single line" } else { "no control characters" };
                return Err(problem(here.at(), here.found(), lines));
            }
            continue;
        }
        let literal = here.since(&begin);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        if !is_variable {
            return Ok(PushText { parts });
        }
        let (_, variable) = cursor.take_variable(&Variable::ALL)?;
        parts.push(Part::Variable(variable));
        begin = cursor.clone();
    }
}

/// Control characters, and the two that separate lines and paragraphs without being control characters.
fn is_refused(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_rendered() {
        let text = PushText::parse("{{topupAmountMajor}} came in by {{ topUpSource }}").expect("a text");
        assert_eq!(text.to_string(), "{{topupAmountMajor}} came in by {{topUpSource}}");
        assert_eq!(text.chars_min(), 17);
    }
}
