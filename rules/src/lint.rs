//! What is odd about a rule, told when it is saved (Z12, A18). None of it keeps a rule from being saved.
//!
//! - [`Finding::NeverHolds`]: its conditions exclude each other, or no value that there can be meets them. Of such a rule nothing else is told.
//! - [`Finding::Overlaps`]: another active rule can fire on the same top-up. Ranges, sources and clubs are independent of each other, so
//!   that two rules can fire together exactly if they have something of each in common.
//! - The others name a top-up on which they are so (`witness`), and are not told where none was found: what is told is true, and not all that is
//!   true is told.
//! - `stacked`: what all rules credit together, at amounts where that changes.
//!
//! The rule is given with the *other* active rules: whoever changes a rule leaves out what it was.

use scrip_protocol::command::{Finding, Lint, OVERLAPS_NAMED_MAX, Overlap};
use scrip_protocol::{Money, RuleId, Variable};

use crate::compiled::Compiled;
use crate::ranges::{Axis, Range};

mod stacked;
mod witness;

/// Another rule, under its name.
#[derive(Clone, Copy)]
struct Other<'a> {
    rule: RuleId,
    name: &'a str,
    compiled: &'a Compiled,
}

/// Says what is odd about a rule, as if it were active: 0 for one that has no number yet.
pub fn lint<'a>(rule: RuleId, compiled: &Compiled, others: impl Iterator<Item = (RuleId, &'a str, &'a Compiled)>) -> Lint {
    let possible = Axis::ALL.map(|axis| compiled.ranges.at(axis).and(&axis.there_can_be()));
    let never = never_holds(compiled, &possible);
    if !never.is_empty() {
        return Lint { findings: never, stacked: Vec::new() };
    }
    let mut overlapping: Vec<Other<'_>> = others
        .map(|(rule, name, compiled)| Other { rule, name, compiled })
        .filter(|other| can_both_fire(compiled, &possible, other.compiled))
        .collect();
    overlapping.sort_by_key(|other| other.rule);
    let mut findings: Vec<Finding> = overlapping.iter().take(OVERLAPS_NAMED_MAX).map(|other| overlap(&possible, other)).collect();
    if overlapping.len() > OVERLAPS_NAMED_MAX {
        findings.push(Finding::MoreOverlaps((overlapping.len() - OVERLAPS_NAMED_MAX) as u32));
    }
    witness::of_formula(compiled, &possible, &mut findings);
    witness::of_push(compiled, &possible, &mut findings);
    Lint { findings, stacked: stacked::rates(rule, compiled, &overlapping) }
}

/// The variables whose conditions nothing meets.
fn never_holds(compiled: &Compiled, possible: &[Range; 5]) -> Vec<Finding> {
    let never = |variable: &Variable| match Axis::of(*variable) {
        Some(axis) => possible[axis as usize].least().is_none(),
        None => compiled.ranges.sources.iter().next().is_none(),
    };
    Variable::ALL.into_iter().filter(never).map(|variable| Finding::NeverHolds { variable }).collect()
}

fn can_both_fire(compiled: &Compiled, possible: &[Range; 5], other: &Compiled) -> bool {
    Axis::ALL.iter().all(|axis| possible[*axis as usize].meets(other.ranges.at(*axis)))
        && compiled.ranges.sources.meets(other.ranges.sources)
        && have_club_in_common(compiled, other)
}

/// Whether there is a club of both. Both lists are ascending.
fn have_club_in_common(one: &Compiled, other: &Compiled) -> bool {
    if one.clubs.is_empty() || other.clubs.is_empty() {
        return true;
    }
    let (short, long) = if one.clubs.len() <= other.clubs.len() { (one, other) } else { (other, one) };
    short.clubs.iter().any(|club| long.is_of(*club))
}

fn overlap(possible: &[Range; 5], other: &Other<'_>) -> Finding {
    let amounts = possible[Axis::Amount as usize].and(other.compiled.ranges.at(Axis::Amount));
    let (from, to) = amounts.least().zip(amounts.greatest()).expect("both can fire on some amount");
    let to = (to < i64::MAX).then_some(Money(to));
    Finding::Overlaps(Overlap { rule: other.rule, name: other.name.to_owned(), from: Money(from), to })
}

#[cfg(test)]
mod tests;
