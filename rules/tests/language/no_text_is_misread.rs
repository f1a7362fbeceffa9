//! Any text is either refused, with a position within it, or printed and parsed again as the same.

use std::fmt::{Debug, Display};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use scrip_protocol::{TextProblem, Variables};
use scrip_rules::conditions::CONDITIONS_BYTES_MAX;
use scrip_rules::formula::FORMULA_BYTES_MAX;
use scrip_rules::text::PUSH_TEXT_BYTES_MAX;
use scrip_rules::{Conditions, Formula, PushText};

use crate::chance::{run, variables};

/// Fragments of rule texts, and some that no rule has.
const PIECES: [&str; 52] = [
    "{{topupAmountMajor}}",
    "{{ sessionsCount }}",
    "{{topUpSource}}",
    "{{",
    "}}",
    "{",
    "}",
    "topupAmountMajor",
    "topUpAmountMajor",
    "gamingBalanceMajor",
    "bonusBalanceMajor",
    "totalSpentMajor",
    "sessionsCount",
    "topUpSource",
    "ACQUIRING",
    "POS_TERMINAL",
    "CASH",
    "cash",
    "AND",
    "and",
    "OR",
    "||",
    "+",
    "-",
    "*",
    "/",
    "(",
    ")",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "≥",
    "0",
    "1",
    "500",
    "0.10",
    "9223372036854775808",
    "999999999999999999",
    ".",
    ",",
    "e3",
    "×",
    "%",
    " ",
    " ",
    "\u{a0}",
    "\n",
    "é",
];

fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..24).prop_map(|pieces| pieces.concat());
    let likely = prop::collection::vec(prop::sample::select(&PIECES[22..40]), 0..16).prop_map(|pieces| pieces.concat());
    // Nearly valid: a text of the sources with a fragment inserted, or truncated.
    let nearly = (
        prop::sample::select(
            [
                "{{topupAmountMajor}} * 0.05 + 50",
                "-({{bonusBalanceMajor}} - 0.50) / (2 - -{{sessionsCount}})",
                "topupAmountMajor >= 500 AND topupAmountMajor < 1000 AND topUpSource = ACQUIRING",
                "Bonus for {{topupAmountMajor}}!",
            ]
            .as_slice(),
        ),
        any::<prop::sample::Index>(),
        prop::sample::select(PIECES.as_slice()),
        prop::bool::ANY,
    )
        .prop_map(|(text, at, piece, is_cut)| {
            let (before, after) = text.split_at(at.index(text.len() + 1));
            if is_cut { before.to_owned() } else { format!("{before}{piece}{after}") }
        });
    prop_oneof![3 => pieces, 1 => likely, 3 => nearly, 2 => any::<String>(), 1 => "[0-9(){}*/+. -]{0,40}"]
}

/// Properties of every text in one of the languages.
fn check<T: Display + Debug + PartialEq>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, TextProblem>,
    bytes_max: usize,
    work_out: impl FnOnce(&T),
) -> TestCaseResult {
    match parse(text) {
        Ok(parsed) => {
            let printed = parsed.to_string();
            prop_assert!(printed.len() <= bytes_max, "{} bytes printed", printed.len());
            work_out(&parsed);
            prop_assert_eq!(parse(&printed), Ok(parsed), "printed as {}", printed);
        }
        Err(problem) => {
            let chars = u32::try_from(text.chars().count()).expect("a short text");
            prop_assert!((1..=chars + 1).contains(&problem.at), "{}", problem);
            prop_assert!(!problem.expected.is_empty());
            prop_assert_eq!(problem.found.is_empty(), problem.at == chars + 1, "{}", &problem);
            let rest: String = text.chars().skip(problem.at as usize - 1).collect();
            let is_shown_otherwise = problem.found.contains("U+") || problem.found.ends_with('…') || problem.found.contains(' ');
            prop_assert!(is_shown_otherwise || rest.starts_with(&problem.found), "{}", problem);
        }
    }
    Ok(())
}

fn check_all(text: &str, variables: &Variables) -> TestCaseResult {
    let formula = |formula: &Formula| drop(formula.evaluate(variables));
    check(text, Formula::parse, FORMULA_BYTES_MAX, formula)?;
    let conditions = |conditions: &Conditions| {
        conditions.hold(variables);
    };
    check(text, Conditions::parse, CONDITIONS_BYTES_MAX, conditions)?;
    let rendered = |text: &PushText| assert!(text.render(variables).chars().count() >= text.chars_min(), "{text}");
    check(text, PushText::parse, PUSH_TEXT_BYTES_MAX, rendered)
}

/// A16, U4, U5, U13: no text panics a parser, and none is read as something that it does not print as.
#[test]
fn any_text_is_refused_or_read_again_as_the_same() {
    run(16_384, (soup(), variables()), |(text, variables)| check_all(&text, &variables));
}

/// U5: 500 bytes of anything, over and over.
#[test]
fn texts_of_maximum_length() {
    let long = (
        prop::collection::vec(prop::sample::select(PIECES.as_slice()), 1..4),
        prop::sample::select([500_usize, 1_000].as_slice()),
    )
        .prop_map(|(pieces, bytes)| {
            let piece = pieces.concat();
            piece.repeat(bytes / piece.len())
        });
    run(2_048, (long, variables()), |(text, variables)| check_all(&text, &variables));
}
