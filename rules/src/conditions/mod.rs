//! Conditions: when a rule fires (U4, A17, A19).
//!
//! `topupAmountMajor >= 500 AND topupAmountMajor < 1000 AND topUpSource = ACQUIRING`: comparisons of variables, joined by AND.
//! All must hold; a rule without conditions always fires. Unlike in formulas, names have no braces. The page docs/formulas.md has
//! the whole language; a test holds it against this code.
//!
//! Thresholds are whole major units; amounts compare with them exactly, in minor units. [`Conditions`] print a canonical text,
//! which parses to the same conditions again.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

use scrip_protocol::{TextProblem, TopUpSource, Variable, Variables};

use crate::cursor::{Cursor, problem};
use crate::known::{Known, is_number};
use crate::nearest::{nearest, one_of};

/// The most bytes of the conditions' text.
pub const CONDITIONS_BYTES_MAX: usize = 1_000;

/// The most conditions of a rule.
pub const CONDITIONS_MAX: usize = 32;

/// The word between two conditions, in any letter case.
const AND: &str = "AND";

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Comparison {
    /// Every operator.
    pub const ALL: [Comparison; 6] =
        [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];

    /// Its spelling.
    pub const fn sign(self) -> &'static str {
        match self {
            Comparison::Eq => "=",
            Comparison::Ne => "!=",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        }
    }

    /// Whether it holds for this ordering of the two sides.
    pub const fn holds(self, found: Ordering) -> bool {
        match self {
            Comparison::Eq => found.is_eq(),
            Comparison::Ne => found.is_ne(),
            Comparison::Lt => found.is_lt(),
            Comparison::Le => found.is_le(),
            Comparison::Gt => found.is_gt(),
            Comparison::Ge => found.is_ge(),
        }
    }

    /// Whether it applies to words, which have no order.
    pub const fn is_for_words(self) -> bool {
        match self {
            Comparison::Eq | Comparison::Ne => true,
            Comparison::Lt | Comparison::Le | Comparison::Gt | Comparison::Ge => false,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.sign())
    }
}

/// The right side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// A number: whole major units, or a number of sessions.
    Whole(i64),
    /// A source, for `topUpSource`.
    Source(TopUpSource),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(number) => number.fmt(f),
            Value::Source(source) => source.fmt(f),
        }
    }
}

/// One condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The variable.
    pub variable: Variable,
    /// The operator.
    pub comparison: Comparison,
    /// The right side: a source exactly for `topUpSource`, and then the operator is one for words.
    pub value: Value,
}

impl Condition {
    /// Whether the condition holds for a top-up: amounts to the minor unit (A19).
    pub fn holds(&self, variables: &Variables) -> bool {
        let found = match (Known::of(self.variable, variables), self.value) {
            (Known::Amount(money), Value::Whole(threshold)) => i128::from(money.0).cmp(&(i128::from(threshold) * 100)),
            (Known::Count(count), Value::Whole(threshold)) => i64::from(count).cmp(&threshold),
            (Known::Source(source), Value::Source(other)) => source.cmp(&other),
            // No text parses to this: a number is never a word.
            (Known::Amount(_) | Known::Count(_), Value::Source(_)) | (Known::Source(_), Value::Whole(_)) => return false,
        };
        self.comparison.holds(found)
    }

    fn text(&self, space: &str) -> String {
        format!("{}{space}{}{space}{}", self.variable, self.comparison, self.value)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text(" "))
    }
}

/// The conditions of a rule, in the order in which they were written: at most [`CONDITIONS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    conditions: Vec<Condition>,
}

impl Conditions {
    /// Reads conditions. An empty text has none.
    ///
    /// # Errors
    /// The first problem of the text, with its position and what was expected there.
    pub fn parse(text: &str) -> Result<Conditions, TextProblem> {
        let mut cursor = Cursor::new(text, CONDITIONS_BYTES_MAX)?;
        let mut conditions = Vec::new();
        cursor.skip_white_space();
        while cursor.peek().is_some() || !conditions.is_empty() {
            if conditions.len() == CONDITIONS_MAX {
                return Err(cursor.problem(format!("at most {CONDITIONS_MAX} conditions")));
            }
            conditions.push(take_condition(&mut cursor)?);
            cursor.skip_white_space();
            if cursor.peek().is_none() {
                break;
            }
            take_and(&mut cursor)?;
            cursor.skip_white_space();
        }
        Ok(Conditions { conditions })
    }

    /// Whether all of them hold for a top-up.
    pub fn hold(&self, variables: &Variables) -> bool {
        self.conditions.iter().all(|condition| condition.holds(variables))
    }

    /// The conditions one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Condition> {
        self.conditions.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.conditions.len()
    }

    fn text(&self, space: &str) -> String {
        let texts: Vec<String> = self.iter().map(|condition| condition.text(space)).collect();
        texts.join(&format!(" {AND} "))
    }
}

impl<'a> IntoIterator for &'a Conditions {
    type Item = &'a Condition;
    type IntoIter = std::slice::Iter<'a, Condition>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Conditions {
    /// With spaces around operators, unless that exceeds the length limit. Without spaces the text never does: the parsed text
    /// had every remaining character.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaced = self.text(" ");
        if spaced.len() <= CONDITIONS_BYTES_MAX { f.pad(&spaced) } else { f.pad(&self.text("")) }
    }
}

fn take_condition(cursor: &mut Cursor<'_>) -> Result<Condition, TextProblem> {
    let variable = take_variable(cursor)?;
    cursor.skip_white_space();
    let begin = cursor.clone();
    let comparison = take_comparison(cursor)?;
    let is_word = !is_number(variable);
    if is_word && !comparison.is_for_words() {
        return Err(problem(begin.at(), comparison.sign(), format!("= or !=: {variable} is a word, without an order")));
    }
    cursor.skip_white_space();
    let value = if is_word { Value::Source(take_source(cursor)?) } else { Value::Whole(take_whole(cursor, variable)?) };
    Ok(Condition { variable, comparison, value })
}

fn take_variable(cursor: &mut Cursor<'_>) -> Result<Variable, TextProblem> {
    let begin = cursor.clone();
    if let Some(variable) = Variable::named(cursor.take_word()) {
        return Ok(variable);
    }
    let names = || Variable::ALL.iter().map(|variable| variable.word());
    Err(match begin.peek() {
        Some('{') => begin.problem("a name without braces: names in conditions have none"),
        Some('(') => begin.problem("no parentheses: conditions are joined by AND alone"),
        Some(c) if c.is_ascii_digit() || c == '-' => begin.problem("the variable first, as in topupAmountMajor >= 500"),
        _ => {
            let mut problem = begin.problem(format!("the name of a variable: {}", one_of(names())));
            problem.nearest = nearest(begin.found(), names()).map(str::to_owned);
            problem
        }
    })
}

fn take_comparison(cursor: &mut Cursor<'_>) -> Result<Comparison, TextProblem> {
    // Operators of other languages. Tried before ours, because some of them begin the same.
    const FOREIGN: [(&str, Comparison); 9] = [
        ("==", Comparison::Eq),
        ("=>", Comparison::Ge),
        ("=<", Comparison::Le),
        ("<>", Comparison::Ne),
        ("≥", Comparison::Ge),
        ("≤", Comparison::Le),
        ("≠", Comparison::Ne),
        ("⩾", Comparison::Ge),
        ("⩽", Comparison::Le),
    ];
    if let Some((foreign, ours)) = FOREIGN.into_iter().find(|(foreign, _)| cursor.is_next(foreign)) {
        return Err(problem(cursor.at(), foreign, ours.sign()));
    }
    // Two-character operators first: `<` is the beginning of `<=`.
    for length in [2, 1] {
        let found =
            Comparison::ALL.into_iter().find(|comparison| comparison.sign().len() == length && cursor.is_next(comparison.sign()));
        if let Some(comparison) = found {
            cursor.accept(comparison.sign());
            return Ok(comparison);
        }
    }
    Err(cursor.problem(format!("a comparison: {}", one_of(Comparison::ALL.iter().map(|comparison| comparison.sign())))))
}

fn take_source(cursor: &mut Cursor<'_>) -> Result<TopUpSource, TextProblem> {
    let begin = cursor.clone();
    if let Some(source) = TopUpSource::named(cursor.take_word()) {
        return Ok(source);
    }
    let words = || TopUpSource::ALL.iter().map(|source| source.word());
    let without_quotes = match begin.peek() {
        Some('"' | '\'' | '`' | '“' | '”' | '„' | '«' | '‘' | '’') => " without quotes",
        _ => "",
    };
    let mut problem = begin.problem(format!("a source{without_quotes}: {}", one_of(words())));
    problem.nearest = nearest(begin.found(), words()).map(str::to_owned);
    Err(problem)
}

/// Takes a whole number, for this variable.
fn take_whole(cursor: &mut Cursor<'_>, variable: Variable) -> Result<i64, TextProblem> {
    let begin = cursor.clone();
    cursor.accept("-");
    let digits = cursor.clone();
    cursor.take_word();
    // Decimals are consumed as well, to be shown.
    while let Some('.' | ',') = cursor.peek() {
        let mut ahead = cursor.clone();
        ahead.take();
        if ahead.take_word().is_empty() {
            break;
        }
        *cursor = ahead;
    }
    let number = cursor.since(&begin);
    let first = digits.peek();
    let refused = |expected: &str| Err(problem(begin.at(), number, expected));
    if !first.is_some_and(|c| c.is_ascii_digit()) {
        return match first {
            _ if digits.at() > begin.at() => Err(digits.problem("a digit after the minus sign")),
            Some('−' | '–' | '—') => Err(digits.problem("the minus sign of the keyboard, -")),
            Some('{') => Err(digits.problem("a whole number: a variable is not compared with another")),
            _ if Variable::named(digits.found()).is_some() => {
                Err(digits.problem("a whole number: a variable is not compared with another"))
            }
            _ => Err(digits.problem(format!("a whole number, which {variable} is compared with"))),
        };
    }
    if number.contains(['.', ',']) {
        return refused("a whole number: thresholds are whole major units");
    }
    if !cursor.since(&digits).bytes().all(|byte| byte.is_ascii_digit()) {
        return refused("a whole number, with white space after it");
    }
    number.parse().or_else(|_| refused(&format!("a whole number from {} to {}", i64::MIN, i64::MAX)))
}

fn take_and(cursor: &mut Cursor<'_>) -> Result<(), TextProblem> {
    let begin = cursor.clone();
    let word = cursor.take_word();
    if word.eq_ignore_ascii_case(AND) {
        return Ok(());
    }
    if word.eq_ignore_ascii_case("or") || begin.is_next("||") {
        let found = if word.is_empty() { "||" } else { word };
        return Err(problem(begin.at(), found, "AND: what is joined by OR makes two rules"));
    }
    Err(match begin.peek() {
        Some('&') => problem(begin.at(), if begin.is_next("&&") { "&&" } else { "&" }, "AND between conditions"),
        Some(',' | ';' | '+') => begin.problem("AND between conditions"),
        _ => begin.problem("AND or the end of the conditions"),
    })
}
