//! The language of formulas, by example.

use scrip_protocol::{FormulaFailure, Money, TopUpSource, Variable, Variables};

use super::*;

/// A client with 120.50 and 30 on the accounts tops up 500.
const TOP_UP: Variables = Variables {
    amount: Money(50_000),
    source: TopUpSource::Cash,
    gaming: Money(12_050),
    bonus: Money(3_000),
    spent: Money(234_560),
    sessions: 7,
};

/// A text, and either `canonical text = result, rounded`, or the problem.
fn check(text: &str, expected: &str) {
    let found = match Formula::parse(text) {
        Err(problem) => problem.to_string(),
        Ok(formula) => {
            let printed = formula.to_string();
            assert_eq!(Formula::parse(&printed).as_ref(), Ok(&formula), "{printed}");
            match formula.evaluate(&TOP_UP) {
                Err(failure) => format!("{printed} = {failure}"),
                Ok(exact) => format!("{printed} = {exact}, {:?}", exact.round()),
            }
        }
    };
    assert_eq!(found, expected, "{text:?}");
}

/// U5, U6: every formula of the sources, with what it gives for a top-up of 500.
#[test]
fn the_formulas_of_the_sources() {
    check("{{topupAmountMajor}} * 0.1", "{{topupAmountMajor}} * 0.1 = 50, Some(50)");
    check("{{topupAmountMajor}} * 0.10", "{{topupAmountMajor}} * 0.1 = 50, Some(50)");
    check("{{topupAmountMajor}} * 0.15", "{{topupAmountMajor}} * 0.15 = 75, Some(75)");
    check("{{topupAmountMajor}} * 0.20", "{{topupAmountMajor}} * 0.2 = 100, Some(100)");
    check("{{topupAmountMajor}} * 0.12", "{{topupAmountMajor}} * 0.12 = 60, Some(60)");
    check("{{topupAmountMajor}} * 0.05", "{{topupAmountMajor}} * 0.05 = 25, Some(25)");
    check("{{topupAmountMajor}} * 0.05 + 50", "{{topupAmountMajor}} * 0.05 + 50 = 75, Some(75)");
}

/// A20: only this formula fails, with a reason.
#[test]
fn division_by_zero_fails() {
    let formula = Formula::parse("{{bonusBalanceMajor}}/(30-{{bonusBalanceMajor}})").expect("a formula");
    assert_eq!(formula.evaluate(&TOP_UP), Err(FormulaFailure::DivisionByZero));
    assert_eq!(formula.variables().collect::<Vec<_>>(), [Variable::BonusBalanceMajor]);
}
