//! What all rules credit together, at amounts where that changes (A18: tiers with lower bounds only come to 0.37 of a large top-up).
//!
//! The client is one without balances and history. The source is, for each amount, that by which most is credited, of those that the rule
//! takes. The club is the first of the rule's clubs; for a rule of all clubs the first club that an overlapping rule names, so that what is
//! stacked there shows. Only amounts on which the rule itself fires are told.

use std::collections::BTreeSet;

use scrip_protocol::command::{FIRED_MAX, StackedRate};
use scrip_protocol::{ClubId, Money, RuleId, TopUpSource, Variables};

use super::Other;
use super::witness::{TYPICAL, new_client};
use crate::compiled::Compiled;
use crate::ranges::Axis;

/// How many amounts are told at the most: those at the rule's own bounds and the typical ones, and then the least at which other rules begin
/// or end.
const AMOUNTS_MAX: usize = 16;

/// How often rules are tried for it all at the most, so that among thousands that overlap a rule is saved in some milliseconds: then fewer
/// amounts are told, the least ones.
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

    // One that has no number yet gets the next.
    let place = if rule == RuleId(0) { there.len() } else { there.partition_point(|other| other.rule < rule) };
    let (before, after) = there.split_at(place);
    let all = || before.iter().map(|other| other.compiled).chain([compiled]).chain(after.iter().map(|other| other.compiled));
    let rate = |minor, source| {
        let top_up = top_up(minor, source);
        stacked(all().filter(|rule| rule.matches(club, &top_up)), &top_up)
    };
    // Of several that are the greatest, the last is taken: so the first comes last.
    let most = |minor| sources.iter().rev().map(|source| rate(minor, *source)).max_by_key(|rate| rate.credited);
    let told = (TRIED_MAX / sources.len() / (there.len() + 1)).max(1);
    amounts.into_iter().take(told).filter_map(most).collect()
}

/// Where a rule's range of amounts begins and ends, and the amounts on the other side of that.
fn bounds(compiled: &Compiled) -> [i64; 4] {
    let range = compiled.ranges.at(Axis::Amount);
    [range.from.saturating_sub(1), range.from, range.to, range.to.saturating_add(1)]
        .map(|bound| if bound == i64::MAX || bound <= 0 { 0 } else { bound })
}

/// What rules that match credit together: what [`fire_all`](crate::fire_all) would, without what else they do.
fn stacked<'a>(matching: impl Iterator<Item = &'a Compiled>, variables: &Variables) -> StackedRate {
    let mut rate = StackedRate { amount: variables.amount, source: variables.source, credited: Money(0), rules: 0 };
    for compiled in matching.take(FIRED_MAX) {
        let Ok(result) = compiled.result(variables) else { continue };
        let credit = Money(result.unwrap_or(0).max(0) * 100);
        if let Some(credited) = rate.credited.checked_add(credit) {
            rate.credited = credited;
            rate.rules += 1;
        }
    }
    rate
}
