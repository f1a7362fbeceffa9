//! Lint findings of a rule, reported when it is saved (Z12, A18). They never prevent the rule from being saved.
//!
//! - [`Finding::NeverHolds`]: its conditions contradict each other, or no possible value meets them. No other findings are then
//!   reported.
//! - [`Finding::Overlaps`]: another active rule can fire on the same top-up. Ranges, sources and clubs are independent, so two
//!   rules can fire together exactly if they intersect in each.
//! - The other findings include a top-up as an example (`witness`), and are reported only if one was found: every finding is
//!   true, but not everything true is found.
//! - `stacked`: what all rules credit together, at amounts where that changes.
//!
//! The caller passes the *other* active rules, without the earlier version of a changed rule.

use scrip_protocol::command::{Finding, Lint, OVERLAPS_NAMED_MAX, Overlap};
use scrip_protocol::{Money, RuleId, Variable};

use crate::compiled::Compiled;
use crate::ranges::{Axis, Range};

mod stacked;
mod witness;

/// Another rule, with its name.
#[derive(Clone, Copy)]
struct Other<'a> {
    rule: RuleId,
    name: &'a str,
    compiled: &'a Compiled,
}

/// Lints a rule as if it were active; its number is 0 if it has none yet.
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

/// The variables whose conditions no value can meet.
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

/// Whether the two rules have a club in common. Both lists are ascending.
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
