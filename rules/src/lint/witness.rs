//! Finding a top-up that shows what can go wrong with a formula or a push notification.
//!
//! Formulas are tried at values where they tend to change: typical top-ups, the formula's own numbers and their quotients, the
//! ends of the ranges of the conditions, and small values. That finds most problems, not all. The first example found is
//! reported, so typical values are tried before the ends of ranges.
//!
//! The length of a push notification grows with the digits of its variables, so amounts of increasing length are tried: the least
//! that is too long is reported.

use scrip_protocol::command::Finding;
use scrip_protocol::{FormulaFailure, Money, TopUpSource, Variables};

use crate::compiled::Compiled;
use crate::formula::{Exact, Formula};
use crate::ranges::{Axis, Range};

/// Typical amounts of top-ups, in major units.
pub(super) const TYPICAL: [i64; 4] = [100, 500, 1_000, 5_000];

/// How many numbers of a formula are used as values at which it may change.
const NUMBERS_TRIED_MAX: usize = 6;

/// Maximum number of top-ups that a formula is tried on: the longest takes some microseconds to evaluate, and other requests wait
/// while a rule is saved.
const TRIED_MAX: usize = 600;

/// Adds what can go wrong with the rule's formula.
pub(super) fn of_formula(compiled: &Compiled, possible: &[Range; 5], findings: &mut Vec<Finding>) {
    let Some(formula) = &compiled.formula else { return };
    let Some(plain) = plain(compiled, possible) else { return };
    let axes: Vec<Axis> = formula.variables().filter_map(Axis::of).collect();
    let changes = changes(formula);
    let values = |axis: &Axis| values(*axis, &possible[*axis as usize], &changes);
    let mut values: Vec<Vec<i64>> = axes.iter().map(values).collect();
    let each_max = root(TRIED_MAX, axes.len() as u32);
    values.iter_mut().for_each(|values| values.truncate(each_max));

    let (mut not_positive, mut rounds_to_nothing, mut divides_by_zero) = (None, None, None);
    for number in 0..values.iter().map(Vec::len).product() {
        let mut at = plain;
        let mut rest = number;
        for (axis, values) in axes.iter().zip(&values).rev() {
            axis.put(&mut at, values[rest % values.len()]);
            rest /= values.len();
        }
        if !compiled.ranges.contain(&at) {
            continue;
        }
        match formula.evaluate(&at) {
            Ok(result) if !result.is_positive() => {
                not_positive.get_or_insert_with(|| Finding::NotPositive { at, result: result.to_string() });
            }
            Ok(result) if result.round() == Some(0) => {
                rounds_to_nothing.get_or_insert_with(|| Finding::RoundsToNothing { at, result: result.to_string() });
            }
            Err(FormulaFailure::DivisionByZero) => {
                divides_by_zero.get_or_insert(Finding::DividesByZero { at });
            }
            Ok(_) | Err(FormulaFailure::Overflow) => {}
        }
    }
    findings.extend([not_positive, rounds_to_nothing, divides_by_zero].into_iter().flatten());
}

/// Adds which parts of the rule's push notification can be too long.
pub(super) fn of_push(compiled: &Compiled, possible: &[Range; 5], findings: &mut Vec<Finding>) {
    let Some(push) = &compiled.push else { return };
    let Some(plain) = plain(compiled, possible) else { return };
    let longest = compiled.ranges.sources.iter().max_by_key(|source| source.word().len());
    for (part, text) in push.parts() {
        let too_long = digits().find_map(|(amount, count)| {
            let mut at = plain;
            for variable in text.variables() {
                match Axis::of(variable) {
                    Some(axis) => {
                        let value = if axis.units() == 1 { count } else { amount };
                        let possible = &possible[axis as usize];
                        axis.put(&mut at, nearest(possible, value)?);
                    }
                    None => at.source = longest?,
                }
            }
            let chars = text.render(&at).chars().count();
            let is_met = compiled.ranges.contain(&at);
            (is_met && chars > part.chars_max()).then_some(Finding::PushTooLong { part, at, chars: chars as u32 })
        });
        findings.extend(too_long);
    }
}

/// A top-up that the rule fires on, of a client that is as new as its conditions allow.
fn plain(compiled: &Compiled, possible: &[Range; 5]) -> Option<Variables> {
    let source = compiled.ranges.sources.iter().next()?;
    let mut plain = new_client(source);
    for axis in Axis::ALL {
        axis.put(&mut plain, possible[axis as usize].least()?);
    }
    let typical = Money(TYPICAL[0] * 100);
    if possible[Axis::Amount as usize].contains(typical.0) {
        plain.amount = typical;
    }
    Some(plain)
}

/// A top-up without an amount, of a client without balances and history.
pub(super) fn new_client(source: TopUpSource) -> Variables {
    let none = Money(0);
    Variables { amount: none, source, gaming: none, bonus: none, spent: none, sessions: 0 }
}

/// How many values each of so many variables can have to stay within this number of combinations.
fn root(combinations: usize, variables: u32) -> usize {
    (1..=combinations)
        .take_while(|values| values.checked_pow(variables).is_some_and(|tried| tried <= combinations))
        .last()
        .unwrap_or(1)
}

/// The numbers of a formula, and their quotients: a divisor such as `{{sessionsCount}} * 2 - 10` is zero at one of them.
fn changes(formula: &Formula) -> Vec<Exact> {
    let mut numbers: Vec<Exact> = formula.numbers().collect();
    numbers.sort();
    numbers.dedup();
    numbers.truncate(NUMBERS_TRIED_MAX);
    let quotients =
        |number: &Exact| numbers.iter().filter_map(|divisor| number.clone().checked_div(divisor.clone())).collect::<Vec<_>>();
    let quotients: Vec<Exact> = numbers.iter().flat_map(quotients).collect();
    numbers.extend(quotients);
    numbers
}

/// The values of a variable that are tried, the likeliest first.
fn values(axis: Axis, possible: &Range, changes: &[Exact]) -> Vec<i64> {
    let units = axis.units();
    let counted = |number: &Exact| (number.clone() * Exact::from(units)).round();
    let changes: Vec<i64> = changes.iter().filter_map(counted).collect();
    let there_can_be = axis.there_can_be();
    // A new client has zero balances, but hardly any top-up has the least possible amount.
    let least = possible.least().filter(|least| axis != Axis::Amount || *least > there_can_be.from);
    let greatest = possible.greatest().filter(|greatest| *greatest < there_can_be.to);
    let ends = || least.into_iter().chain(greatest);
    let beside = |value: i64| [value.saturating_sub(1), value.saturating_add(1)];
    let many = [2, 5, 10, 20, 50, 10_000, 100_000, 1_000_000].map(|major| major * units);

    let mut values = Vec::new();
    let mut add = |value: i64| {
        if possible.contains(value) && !values.contains(&value) {
            values.push(value);
        }
    };
    ends().filter(|_| axis != Axis::Amount).for_each(&mut add);
    add(TYPICAL[0] * units);
    ends().for_each(&mut add);
    add(units);
    changes.iter().copied().for_each(&mut add);
    TYPICAL.into_iter().for_each(|major| add(major * units));
    changes.iter().copied().chain(ends()).flat_map(beside).for_each(&mut add);
    many.into_iter().chain([1, there_can_be.from, there_can_be.to]).for_each(&mut add);
    values
}

/// Amounts in minor units, and counts, with more and more digits.
fn digits() -> impl Iterator<Item = (i64, i64)> {
    let more = (1..=16).map(|digits| 10_i64.pow(digits)).map(|end| (end * 100 - 1, end - 1));
    more.chain([(i64::MAX, u32::MAX.into())])
}

/// The value of a range that is nearest to a given one, or next to that.
fn nearest(possible: &Range, value: i64) -> Option<i64> {
    let value = value.max(possible.from).min(possible.to);
    if possible.contains(value) { Some(value) } else { possible.least() }
}
