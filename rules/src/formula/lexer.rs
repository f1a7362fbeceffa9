//! The tokens of a formula: numbers, variables and signs, each with its position.
//!
//! Everything else is a problem. If staff are known to use another spelling (a decimal comma, `×`, a name without braces), the
//! problem names the right one.

use scrip_protocol::{TextProblem, Variable};

use super::{DIGITS_MAX, Decimal, FORMULA_BYTES_MAX, Operator};
use crate::cursor::{Cursor, is_of_word};
use crate::known::is_number;
use crate::nearest::nearest;

/// The expected tokens of an operand.
pub(super) const OPERAND: &str = "a number, a variable such as {{topupAmountMajor}}, ( or -";

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Number(Decimal),
    Variable(Variable),
    Sign(Operator),
    Open,
    Close,
    End,
}

/// Takes the next token. The cursor left behind is at the token, after white space.
pub(super) fn take_token(cursor: &mut Cursor<'_>) -> Result<Token, TextProblem> {
    let begin = cursor.clone();
    let Some(c) = cursor.peek() else { return Ok(Token::End) };
    if c.is_ascii_digit() {
        return take_number(cursor).map(Token::Number);
    }
    if is_of_word(c) {
        return Err(bare_word(&begin));
    }
    if cursor.accept("{{") {
        return take_variable(cursor).map(Token::Variable);
    }
    cursor.take();
    Ok(match c {
        '+' => Token::Sign(Operator::Plus),
        '-' => Token::Sign(Operator::Minus),
        '*' => Token::Sign(Operator::Times),
        '/' => Token::Sign(Operator::Over),
        '(' => Token::Open,
        ')' => Token::Close,
        unknown => return Err(begin.problem(instead_of(unknown))),
    })
}

/// The position of a formula's first token.
pub(super) fn begin(text: &str) -> Result<Cursor<'_>, TextProblem> {
    let mut cursor = Cursor::new(text, FORMULA_BYTES_MAX)?;
    cursor.skip_white_space();
    Ok(cursor)
}

fn take_number(cursor: &mut Cursor<'_>) -> Result<Decimal, TextProblem> {
    let whole = take_digits(cursor, "before")?;
    let mut decimals = "";
    if cursor.accept(".") {
        decimals = take_digits(cursor, "after")?;
        if cursor.is_next(".") {
            return Err(cursor.problem("one point in a number at most"));
        }
        if decimals.is_empty() {
            return Err(cursor.problem("a digit after the point, as in 5.0"));
        }
    }
    match cursor.peek() {
        Some('e' | 'E') if is_exponent(cursor.found()) => Err(cursor.problem("all digits of the number, as in 1000 for 1e3")),
        _ => Ok(Decimal::new(whole, decimals)),
    }
}

fn take_digits<'t>(cursor: &mut Cursor<'t>, side: &str) -> Result<&'t str, TextProblem> {
    let begin = cursor.clone();
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    if digits.len() > DIGITS_MAX {
        return Err(begin.problem(format!("at most {DIGITS_MAX} digits {side} the point")));
    }
    Ok(digits)
}

/// Whether a word is a power of ten in exponent notation: `e3`.
fn is_exponent(word: &str) -> bool {
    word.get(1..).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn take_variable(cursor: &mut Cursor<'_>) -> Result<Variable, TextProblem> {
    let numbers: Vec<Variable> = Variable::ALL.into_iter().filter(|variable| is_number(*variable)).collect();
    let mut ahead = cursor.clone();
    ahead.skip_white_space();
    if let Some(problem) = source_problem(&ahead) {
        return Err(problem);
    }
    cursor.take_variable(&numbers).map(|(_, variable)| variable)
}

/// The problem of the source's name, in any letter case, if it is here.
fn source_problem(cursor: &Cursor<'_>) -> Option<TextProblem> {
    let word = Variable::TopUpSource.word();
    let expected = || format!("a number: {word} is a word; use it in conditions and push texts");
    cursor.found().eq_ignore_ascii_case(word).then(|| cursor.problem(expected()))
}

/// The problem of a word without braces.
fn bare_word(cursor: &Cursor<'_>) -> TextProblem {
    let word = cursor.found();
    if let Some(problem) = source_problem(cursor) {
        return problem;
    }
    // The letter, and its lookalike on a Cyrillic keyboard.
    if matches!(word, "x" | "X" | "х" | "Х") {
        return cursor.problem("* for multiplication");
    }
    let numbers = Variable::ALL.into_iter().filter(|variable| is_number(*variable)).map(Variable::word);
    match nearest(word, numbers) {
        Some(name) if name == word => cursor.problem(format!("{{{{{name}}}}}: names need double braces")),
        Some(name) => {
            let mut problem = cursor.problem("a name in double braces, as in {{topupAmountMajor}}");
            problem.nearest = Some(name.to_owned());
            problem
        }
        None => cursor.problem(OPERAND),
    }
}

/// What to write instead of a character that no formula has.
fn instead_of(c: char) -> &'static str {
    match c {
        '×' | '·' | '⋅' | '∙' | '•' | '✕' | '✖' | '∗' => "* for multiplication",
        '÷' | ':' | '∶' | '∕' | '⁄' | '\\' => "/ for division",
        '−' | '–' | '—' | '‐' | '‑' => "the minus sign of the keyboard, -",
        '%' => "a division by 100, as in {{topupAmountMajor}} * 10 / 100",
        '^' => "* for each factor, as powers are written out",
        ',' => "a point before decimals, as in 0.5, and nothing between thousands",
        '.' => "a digit before the point, as in 0.5",
        '{' | '}' => "double braces, as in {{topupAmountMajor}}",
        '[' | ']' => "( or )",
        '<' | '>' | '=' | '!' | '≤' | '≥' | '≠' => "no comparison: those belong in conditions",
        _ => "numbers, {{variables}}, + - * / ( ) and nothing else",
    }
}
