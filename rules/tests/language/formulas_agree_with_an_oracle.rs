//! Formulas give the result of a plain evaluation in big fractions, and print an equivalent text.
//!
//! The oracle shares nothing with the parser: it reads a text by splitting it at the operator that is evaluated last.

use std::cell::Cell;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use proptest::prelude::*;
use scrip_protocol::{FormulaFailure, Money, Variable, Variables};
use scrip_rules::Formula;
use scrip_rules::formula::FORMULA_BYTES_MAX;

use crate::chance::{run, space, variables};

/// The result of a text without white space, or `None` if something is divided by zero.
fn oracle(text: &str, variables: &Variables) -> Option<BigRational> {
    for signs in ["+-", "*/"] {
        if let Some(at) = last_outside(text, signs) {
            let (left, right) = (oracle(&text[..at], variables)?, oracle(&text[at + 1..], variables)?);
            return match &text[at..=at] {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                _ if right.is_zero() => None,
                _ => Some(left / right),
            };
        }
    }
    let money = |money: Money| Some(BigRational::new(money.0.into(), 100.into()));
    if let Some(negated) = text.strip_prefix('-') {
        return Some(-oracle(negated, variables)?);
    }
    if let Some(inside) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return oracle(inside, variables);
    }
    if let Some(name) = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        return match name {
            "topupAmountMajor" => money(variables.amount),
            "gamingBalanceMajor" => money(variables.gaming),
            "bonusBalanceMajor" => money(variables.bonus),
            "totalSpentMajor" => money(variables.spent),
            _ => Some(BigRational::from_integer(variables.sessions.into())),
        };
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits: BigInt = format!("{whole}{decimals}").parse().expect("only digits are left");
    Some(BigRational::new(digits, (0..decimals.len()).fold(BigInt::one(), |unit, _| unit * 10)))
}

/// The position of the last of these signs that is a binary operator outside all parentheses.
fn last_outside(text: &str, signs: &str) -> Option<usize> {
    let mut depth = 0;
    let mut last = None;
    let mut before = '(';
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && signs.contains(c) && !"+-*/(".contains(before) => last = Some(at),
            _ => {}
        }
        before = c;
    }
    last
}

/// Rounds half away from zero, via the floor of the absolute value plus a half.
fn rounded(exact: &BigRational) -> Option<i64> {
    let half = BigRational::new(BigInt::one(), BigInt::from(2));
    let size = (exact.abs() + half).floor().to_integer();
    if exact.is_negative() { (-size).to_i64() } else { size.to_i64() }
}

/// Texts of formulas: operands side by side and nested.
fn formula() -> impl Strategy<Value = String> {
    let numbers = Variable::ALL.into_iter().filter(|variable| *variable != Variable::TopUpSource).collect::<Vec<_>>();
    let variable = (space(), prop::sample::select(numbers), space())
        .prop_map(|(before, variable, after)| format!("{{{{{before}{variable}{after}}}}}"));
    let digits = |most: usize| prop::collection::vec(prop::char::range('0', '9'), 1..=most).prop_map(String::from_iter);
    let leaf = prop_oneof![
        4 => variable,
        2 => (0_u32..4).prop_map(|number| number.to_string()),
        2 => (digits(2), digits(3)).prop_map(|(whole, decimals)| format!("{whole}.{decimals}")),
        1 => (digits(18), digits(18)).prop_map(|(whole, decimals)| format!("{whole}.{decimals}")),
        1 => Just("999999999999999999".to_owned()),
    ];
    leaf.prop_recursive(8, 24, 3, |inner| {
        let sign = prop::sample::select(["+", "-", "*", "/"].as_slice());
        prop_oneof![
            6 => (inner.clone(), space(), sign, space(), inner.clone())
                .prop_map(|(left, before, sign, after, right)| format!("{left}{before}{sign}{after}{right}")),
            2 => (space(), inner.clone(), space()).prop_map(|(before, inside, after)| format!("({before}{inside}{after})")),
            1 => (space(), inner).prop_map(|(after, negated)| format!("-{after}{negated}")),
        ]
    })
    .prop_filter("too long", |text| text.len() <= FORMULA_BYTES_MAX)
}

fn agrees(text: &str, variables: &Variables) -> Result<Option<BigRational>, TestCaseError> {
    let formula = match Formula::parse(text) {
        Ok(formula) => formula,
        Err(problem) => return Err(TestCaseError::fail(format!("{text:?}: {problem}"))),
    };
    let printed = formula.to_string();
    prop_assert!(printed.len() <= FORMULA_BYTES_MAX);
    let again = Formula::parse(&printed);
    prop_assert_eq!(again.as_ref(), Ok(&formula), "printed as {}", printed);
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let expected = oracle(&dense, variables);
    match (formula.evaluate(variables), &expected) {
        (Ok(found), Some(exact)) => {
            prop_assert_eq!(&found.to_ratio(), exact);
            prop_assert_eq!(found.round(), rounded(exact));
            prop_assert_eq!(found.is_positive(), exact.is_positive());
            let printed = found.to_string();
            let read = match printed.split_once('/') {
                Some((numerator, denominator)) => {
                    BigRational::new(numerator.parse().expect("a number"), denominator.parse().expect("a number"))
                }
                None => match printed.strip_prefix('-') {
                    Some(size) => -oracle(size, variables).expect("a number"),
                    None => oracle(&printed, variables).expect("a number"),
                },
            };
            prop_assert_eq!(&read, exact, "printed as {}", printed);
        }
        (Err(failure), None) => prop_assert_eq!(failure, FormulaFailure::DivisionByZero),
        (found, expected) => prop_assert!(false, "found {:?}, expected {:?}", found, expected),
    }
    Ok(expected)
}

/// U5, U6, A20, A21, pain 28: parsing, precedence, arithmetic, rounding and printing.
#[test]
fn formulas_agree_with_fractions() {
    let failed = Cell::new(0);
    run(4_096, (formula(), variables()), |(text, variables)| {
        failed.set(failed.get() + u32::from(agrees(&text, &variables)?.is_none()));
        Ok(())
    });
    assert!((1..4_000).contains(&failed.get()), "{} of 4,096 divide by zero", failed.get());
}

/// A20: numbers far beyond 128 bits, in between or at the end.
#[test]
fn formulas_beyond_128_bits_agree_as_well() {
    let beyond = Cell::new(0);
    let factors = prop::collection::vec((prop::sample::select(["*", "/", "-", "+"].as_slice()), formula()), 4..12);
    let long = (formula(), factors).prop_map(|(first, rest)| {
        rest.into_iter().fold(format!("({first})"), |text, (sign, next)| {
            let longer = format!("{text}{sign}999999999999.123456789*({next})");
            if longer.len() <= FORMULA_BYTES_MAX { longer } else { text }
        })
    });
    run(512, (long, variables()), |(text, variables)| {
        if let Some(exact) = agrees(&text, &variables)? {
            beyond.set(beyond.get() + u32::from(exact.numer().bits() > 127 || exact.denom().bits() > 127));
        }
        Ok(())
    });
    assert!(beyond.get() > 20, "only {} passed 128 bits", beyond.get());
}

/// A20, pain 28: ties, at every size, for both signs.
#[test]
fn ties_go_away_from_zero_at_every_size() {
    let ties = (any::<i32>(), 1_u32..1_000_000, prop::bool::ANY);
    run(2_048, (ties, variables()), |((whole, factor, is_negative), variables)| {
        let sign = if is_negative { "-" } else { "" };
        let whole = whole.unsigned_abs();
        let text = format!("{sign}({whole}.5 * {factor} / {factor})");
        let away = i64::from(whole) + 1;
        let found = Formula::parse(&text).expect("a formula").evaluate(&variables).expect("not by zero");
        prop_assert_eq!(found.round(), Some(if is_negative { -away } else { away }));
        Ok(())
    });
}
