//! Texts of push notifications, with variables (U12, U13, A31).
//!
//! `{{topupAmountMajor}} came in, thank you!`: every variable may be used, in double braces, and everything else is literal. A
//! title has at most 40 characters and a body at most 120, which is only certain after variables are filled in: saving a rule
//! compares [`PushText::chars_min`] with the limit, and sending compares the rendered text.
//!
//! Control characters are refused, because they come from a bad paste and are shown as nothing or as a box. A body may contain
//! line feeds ([`PushText::parse`]), a title may not ([`PushText::parse_line`]).

use std::fmt::{self, Write as _};

use scrip_protocol::{Money, TextProblem, TopUpSource, Variable, Variables};

use crate::cursor::{Cursor, problem};
use crate::known::{Known, is_number};

/// The most bytes of a text. No body that fits is longer: 120 variables of at most 22 characters each.
pub const PUSH_TEXT_BYTES_MAX: usize = 4_096;

/// The most bytes of a variable's value: an amount, with its sign and decimals.
const VARIABLE_BYTES_MAX: usize = "-92233720368547758.08".len();

/// A text with variables. Printed as it was written, without white space inside braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushText {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Literal text: not empty, and never next to another.
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
    /// As [`PushText::parse`]; a line feed is a problem as well.
    pub fn parse_line(text: &str) -> Result<PushText, TextProblem> {
        parse(text, |_| false)
    }

    /// The text for a top-up: amounts in major units, with decimals only if they are not whole.
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

    /// The fewest characters (Unicode scalar values) that the rendered text can have.
    pub fn chars_min(&self) -> usize {
        let source_min = TopUpSource::ALL.iter().map(|source| source.word().len()).min().unwrap_or(0);
        let chars = |part: &Part| match part {
            Part::Literal(literal) => literal.chars().count(),
            Part::Variable(variable) if is_number(*variable) => 1,
            Part::Variable(_) => source_min,
        };
        self.parts.iter().map(chars).sum()
    }

    /// The most bytes that the rendered text can have.
    pub(crate) fn bytes_max(&self) -> usize {
        let bytes = |part: &Part| match part {
            Part::Literal(literal) => literal.len(),
            Part::Variable(_) => VARIABLE_BYTES_MAX,
        };
        self.parts.iter().map(bytes).sum()
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

    const TOP_UP: Variables = Variables {
        amount: Money(50_000),
        source: TopUpSource::PosTerminal,
        gaming: Money(12_050),
        bonus: Money(-307),
        spent: Money(i64::MIN),
        sessions: u32::MAX,
    };

    /// The result for a text: what it prints, its fewest characters, and what it renders to; or the problem.
    fn check(text: &str, expected: &str) {
        let found = match PushText::parse(text) {
            Err(problem) => problem.to_string(),
            Ok(parsed) => {
                let printed = parsed.to_string();
                assert_eq!(PushText::parse(&printed).as_ref(), Ok(&parsed), "{printed}");
                let rendered = parsed.render(&TOP_UP);
                assert!(rendered.chars().count() >= parsed.chars_min(), "{rendered}");
                format!("{printed} | {} | {rendered}", parsed.chars_min())
            }
        };
        assert_eq!(found, expected, "{text:?}");
    }

    /// U3, U13: every variable, as players read it.
    #[test]
    fn variables_are_rendered() {
        check("{{topupAmountMajor}}", "{{topupAmountMajor}} | 1 | 500");
        check("{{ topUpSource\u{a0}}}", "{{topUpSource}} | 4 | POS_TERMINAL");
        check("{{gamingBalanceMajor}}", "{{gamingBalanceMajor}} | 1 | 120.50");
        check("{{bonusBalanceMajor}}", "{{bonusBalanceMajor}} | 1 | -3.07");
        check("{{totalSpentMajor}}", "{{totalSpentMajor}} | 1 | -92233720368547758.08");
        check("{{sessionsCount}}", "{{sessionsCount}} | 1 | 4294967295");
        check("+{{topupAmountMajor}}! {{sessionsCount}}", "+{{topupAmountMajor}}! {{sessionsCount}} | 5 | +500! 4294967295");
        check("{{topupAmountMajor}}{{topupAmountMajor}}", "{{topupAmountMajor}}{{topupAmountMajor}} | 2 | 500500");
        let text = PushText::parse("{{sessionsCount}}{{topUpSource}}{{sessionsCount}}").expect("a text");
        assert_eq!(text.variables().collect::<Vec<_>>(), [Variable::TopUpSource, Variable::SessionsCount]);
    }

    /// U13, A31: everything else is literal, and counted in Unicode scalar values.
    #[test]
    fn all_else_is_literal() {
        check("", " | 0 | ");
        check("Спасибо, 10% 👍", "Спасибо, 10% 👍 | 14 | Спасибо, 10% 👍");
        check("{ } }} { {x} 5 * 2", "{ } }} { {x} 5 * 2 | 18 | { } }} { {x} 5 * 2");
        check("topupAmountMajor", "topupAmountMajor | 16 | topupAmountMajor");
        check(" a\nb ", " a\nb  | 5 |  a\nb ");
        check("{{topupAmountMajor}}}", "{{topupAmountMajor}}} | 2 | 500}");
        let family = "👨\u{200d}👩\u{200d}👧";
        check(family, &format!("{family} | 5 | {family}"));
    }

    /// A16, U13: braces contain a known name.
    #[test]
    fn problems_of_names() {
        let names = "topupAmountMajor, topUpSource, gamingBalanceMajor, bonusBalanceMajor, totalSpentMajor or sessionsCount";
        check(
            "hi {{topUpAmountMajor}}",
            &format!(
                "character 6: expected the name of a variable: {names}, found topUpAmountMajor; did you mean topupAmountMajor?"
            ),
        );
        check(
            "{{topupSource}}",
            &format!("character 3: expected the name of a variable: {names}, found topupSource; did you mean topUpSource?"),
        );
        check("{{name}}, hi", &format!("character 3: expected the name of a variable: {names}, found name"));
        check("hi {{", &format!("character 6: expected the name of a variable: {names}, found the end of the text"));
        check("{{}}", &format!("character 3: expected the name of a variable: {names}, found }}"));
        check("{{{topUpSource}}}", &format!("character 3: expected the name of a variable: {names}, found {{"));
        check("é {{topUpSource}", "character 16: expected }} after topUpSource, found }");
        check("{{topUpSource", "character 14: expected }} after topUpSource, found the end of the text");
        check("{{topUpSource * 2}}", "character 15: expected }} after topUpSource, found *");
    }

    /// U13: characters that would be shown as nothing or as a box are refused with their position. Only bodies may have several
    /// lines.
    #[test]
    fn problems_of_control_characters() {
        check("a\0", "character 2: expected no control characters, found U+0000");
        check("é\tb", "character 2: expected no control characters, found U+0009");
        check("a\r\nb", "character 2: expected no control characters, found U+000D");
        check("{{topUpSource}}\u{85}", "character 16: expected no control characters, found U+0085");
        check("a\u{2028}", "character 2: expected no control characters, found U+2028");
        assert_eq!(
            PushText::parse_line("{{topUpSource}}\nb").expect_err("two lines").to_string(),
            "character 16: expected a single line, found U+000A"
        );
        assert_eq!(PushText::parse_line("a {{topUpSource}}"), PushText::parse("a {{topUpSource}}"));
    }

    /// A31: the longest texts that can fit, and hostile texts.
    #[test]
    fn limits() {
        let most = "{{gamingBalanceMajor}}".repeat(120);
        assert_eq!(PushText::parse(&most).expect("within the limit").chars_min(), 120);
        check(&"{".repeat(4_096), &PushText::parse("{{{").expect_err("no name").to_string());
        check(&"x".repeat(4_097), "character 4097: expected at most 4096 bytes, found a text of 4097 bytes");
    }
}
