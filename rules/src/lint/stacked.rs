//! What all rules credit together, at amounts where that changes (A18: tiers with lower bounds only add up to 0.37 of a large top-up).
//!
//! Assumes a client without balances and history. The source is, for each amount, the one that credits most among those that the
//! rule accepts. The club is the first of the rule's clubs; for a rule of all clubs it is the first club that an overlapping rule
//! names, so that stacking there shows. Reports only amounts on which the rule itself fires.

use std::collections::BTreeSet;

use scrip_protocol::command::StackedRate;
use scrip_protocol::{ClubId, Money, RuleId, TopUpSource, Variables};

use super::Other;
use super::witness::{TYPICAL, new_client};
use crate::compiled::{Compiled, Room};
use crate::ranges::Axis;

/// Maximum number of amounts reported: those at the rule's own bounds and the typical ones, then the least at which other rules
/// begin or end.
const AMOUNTS_MAX: usize = 16;

/// Maximum number of rule evaluations in total, so that a rule which overlaps thousands is saved within some milliseconds: then
/// only the least amounts are reported.
const TRIED_MAX: usize = 16_384;

/// The rates, by amount.
pub(super) fn rates(rule: RuleId, compiled: &Compiled, overlapping: &[Other<'_>]) -> Vec<StackedRate> {
    let sources: Vec<TopUpSource> = compiled.ranges.sources.iter().collect();
    let Some(first) = sources.first() else { return Vec::new() };
    let named = || overlapping.iter().filter_map(|other| other.compiled.clubs.first()).min();
    let club = compiled.clubs.first().or_else(named).copied().unwrap_or(ClubId(1));
    let top_up = |minor: i64, source| Variables { amount: Money(minor), ..new_client(source) };
    let fires = |minor: &i64| *minor > 0 && compiled.matches(club, &top_up(*minor, *first));

    let mut amounts: BTreeSet<i64> = bounds(compiled).into_iter().chain(TYPICAL.map(|major| major * 100)).filter(fires).collect();
    let there: Vec<&Other<'_>> = overlapping.iter().filter(|other| other.compiled.is_of(club)).collect();
    let changes: BTreeSet<i64> = there.iter().flat_map(|other| bounds(other.compiled)).filter(fires).collect();
    for change in changes {
        if amounts.len() >= AMOUNTS_MAX {
            break;
        }
        amounts.insert(change);
    }

    // A rule without a number will get the next one.
    let place = if rule == RuleId(0) { there.len() } else { there.partition_point(|other| other.rule < rule) };
    let (before, after) = there.split_at(place);
    let all = || before.iter().map(|other| other.compiled).chain([compiled]).chain(after.iter().map(|other| other.compiled));
    let rate = |minor, source| {
        let top_up = top_up(minor, source);
        stacked(all().filter(|rule| rule.matches(club, &top_up)), &top_up)
    };
    // `max_by_key` returns the last of several maxima, so reverse the order to get the first.
    let most = |minor| sources.iter().rev().map(|source| rate(minor, *source)).max_by_key(|rate| rate.credited);
    let amounts_max = (TRIED_MAX / sources.len() / (there.len() + 1)).max(1);
    amounts.into_iter().take(amounts_max).filter_map(most).collect()
}

/// The ends of a rule's range of amounts, and the amounts just outside.
fn bounds(compiled: &Compiled) -> [i64; 4] {
    let range = compiled.ranges.at(Axis::Amount);
    [range.from.saturating_sub(1), range.from, range.to, range.to.saturating_add(1)]
        .map(|bound| if bound == i64::MAX || bound <= 0 { 0 } else { bound })
}

/// What matching rules credit together: the same as [`fire_all`](crate::fire_all), without the other actions.
fn stacked<'a>(matching: impl Iterator<Item = &'a Compiled>, variables: &Variables) -> StackedRate {
    let mut rate = StackedRate { amount: variables.amount, source: variables.source, credited: Money(0), rules: 0 };
    let mut room = Room::default();
    for compiled in matching.take_while(|compiled| room.takes(compiled)) {
        let Ok(result) = compiled.result(variables) else { continue };
        let credit = Money(result.unwrap_or(0).max(0) * 100);
        if let Some(credited) = rate.credited.checked_add(credit) {
            rate.credited = credited;
            rate.rules += 1;
        }
    }
    rate
}
