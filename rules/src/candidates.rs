//! Finding the rules that a top-up may fire without trying each of them (U7, U8: there may be any number).
//!
//! A rule is stored under the variable in which its range is narrowest, in an interval tree over all values of that variable. The
//! tree has a fixed shape: a node represents an aligned block of 2^level values, and a rule is stored at the smallest block that
//! contains its whole range. Its range therefore includes the middle of that block, so that for a value in the lower half only
//! the start of the range decides, and in the upper half only its end; each node keeps its rules in both orders. A search visits
//! one node per level in use, and then only rules whose range contains the value. Inserting or removing a rule changes one node.
//!
//! Rules of other clubs are not visited, except rules that name very many clubs. [`Compiled::matches`] decides the rest of a
//! rule's conditions.
//!
//! The invariant: the structure depends only on which rules it contains, not on the order of insertions and removals.

use std::collections::{BTreeMap, BTreeSet};

use scrip_protocol::{ClubId, RuleId, Variables};

use crate::compiled::Compiled;
use crate::ranges::{Axis, Range};

/// A rule with more clubs than this is stored once, with the rules of all clubs, instead of once per club: 10,000 rules that name
/// 1,000 clubs each would take 10 million entries.
const CLUBS_APART_MAX: usize = 64;

/// The active rules, indexed so that few that do not match are visited.
///
/// - [`Candidates::insert`] and [`Candidates::remove`] must get the same rule in the same form: to change a rule, remove the
///   old form first.
/// - [`Candidates::at`] searches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    everywhere: Scope,
    clubs: BTreeMap<ClubId, Scope>,
}

/// The rules of a club, or of all clubs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Scope {
    /// Rules that accept any number in each variable.
    unbounded: BTreeSet<RuleId>,
    /// The other rules, by the variable in which their range is narrowest, in the order of [`Axis::ALL`].
    trees: [Tree; 5],
}

/// Rules by their ranges in one variable. No level and no node is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tree {
    levels: BTreeMap<u32, BTreeMap<u64, Node>>,
}

/// The rules whose ranges include the middle of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    by_begin: BTreeSet<(i64, RuleId)>,
    by_end: BTreeSet<(i64, RuleId)>,
}

impl Candidates {
    /// Inserts a rule. Does nothing if it is present.
    pub fn insert(&mut self, rule: RuleId, compiled: &Compiled) {
        let Some(place) = Place::of(compiled) else { return };
        if is_everywhere(compiled) {
            self.everywhere.insert(rule, place);
        } else {
            for club in &compiled.clubs {
                self.clubs.entry(*club).or_default().insert(rule, place);
            }
        }
    }

    /// Removes a rule, given in the form in which it was inserted. Does nothing if it is absent.
    pub fn remove(&mut self, rule: RuleId, compiled: &Compiled) {
        let Some(place) = Place::of(compiled) else { return };
        if is_everywhere(compiled) {
            self.everywhere.remove(rule, place);
        } else {
            for club in &compiled.clubs {
                if let Some(scope) = self.clubs.get_mut(club) {
                    scope.remove(rule, place);
                    if scope.is_empty() {
                        self.clubs.remove(club);
                    }
                }
            }
        }
    }

    /// The rules that may match a top-up at this club, ascending: all that do, and few that do not.
    pub fn at(&self, club: ClubId, variables: &Variables) -> Vec<RuleId> {
        let mut found = Vec::new();
        self.everywhere.find(variables, &mut found);
        if let Some(scope) = self.clubs.get(&club) {
            scope.find(variables, &mut found);
        }
        found.sort_unstable();
        found
    }
}

fn is_everywhere(compiled: &Compiled) -> bool {
    compiled.clubs.is_empty() || compiled.clubs.len() > CLUBS_APART_MAX
}

/// Where a rule is stored in a scope.
#[derive(Debug, Clone, Copy)]
enum Place {
    Unbounded,
    In { axis: Axis, from: i64, to: i64 },
}

impl Place {
    /// For a rule that nothing can match.
    fn of(compiled: &Compiled) -> Option<Place> {
        let bounded = |axis: &Axis| !compiled.ranges.at(*axis).is_unbounded();
        let width = |axis: &Axis| width(*axis, compiled.ranges.at(*axis));
        if Axis::ALL.iter().any(|axis| compiled.ranges.at(*axis).from > compiled.ranges.at(*axis).to) {
            return None;
        }
        let Some(axis) = Axis::ALL.into_iter().filter(bounded).min_by_key(width) else { return Some(Place::Unbounded) };
        let range = compiled.ranges.at(axis);
        Some(Place::In { axis, from: range.from, to: range.to })
    }
}

/// How wide a range is within the possible values; one session counts as much as one major unit. A range without an upper end is
/// wider than any with one: the largest possible number of sessions is no indication of how many there are.
fn width(axis: Axis, range: &Range) -> u128 {
    let possible = axis.there_can_be();
    let from = i128::from(range.from.max(possible.from));
    let width = (i128::from(range.to) - from).max(0) as u128;
    width * (100 / axis.units() as u128)
}

impl Scope {
    fn insert(&mut self, rule: RuleId, place: Place) {
        match place {
            Place::Unbounded => {
                self.unbounded.insert(rule);
            }
            Place::In { axis, from, to } => self.trees[axis as usize].insert(rule, from, to),
        }
    }

    fn remove(&mut self, rule: RuleId, place: Place) {
        match place {
            Place::Unbounded => {
                self.unbounded.remove(&rule);
            }
            Place::In { axis, from, to } => self.trees[axis as usize].remove(rule, from, to),
        }
    }

    fn is_empty(&self) -> bool {
        self.unbounded.is_empty() && self.trees.iter().all(|tree| tree.levels.is_empty())
    }

    fn find(&self, variables: &Variables, found: &mut Vec<RuleId>) {
        found.extend(&self.unbounded);
        for axis in Axis::ALL {
            self.trees[axis as usize].find(axis.value(variables), found);
        }
    }
}

/// The rank of a value among all values, the least first.
fn rank(value: i64) -> u64 {
    value as u64 ^ (1 << 63)
}

/// The number of the block of 2^level values that a rank is in.
fn block(rank: u64, level: u32) -> u64 {
    rank.checked_shr(level).unwrap_or(0)
}

/// The level of the smallest block that both ends are in.
fn level(from: i64, to: i64) -> u32 {
    u64::BITS - (rank(from) ^ rank(to)).leading_zeros()
}

impl Tree {
    fn insert(&mut self, rule: RuleId, from: i64, to: i64) {
        let level = level(from, to);
        let node = self.levels.entry(level).or_default().entry(block(rank(from), level)).or_default();
        node.by_begin.insert((from, rule));
        node.by_end.insert((to, rule));
    }

    fn remove(&mut self, rule: RuleId, from: i64, to: i64) {
        let level = level(from, to);
        let Some(nodes) = self.levels.get_mut(&level) else { return };
        let Some(node) = nodes.get_mut(&block(rank(from), level)) else { return };
        node.by_begin.remove(&(from, rule));
        node.by_end.remove(&(to, rule));
        if node.by_begin.is_empty() {
            nodes.remove(&block(rank(from), level));
        }
        if nodes.is_empty() {
            self.levels.remove(&level);
        }
    }

    fn find(&self, value: i64, found: &mut Vec<RuleId>) {
        for (level, nodes) in &self.levels {
            let Some(node) = nodes.get(&block(rank(value), *level)) else { continue };
            // A block of one value has no halves, and every range in it is that value.
            let in_lower_half = *level > 0 && block(rank(value), level - 1) & 1 == 0;
            if in_lower_half {
                found.extend(node.by_begin.range(..=(value, RuleId(u32::MAX))).map(|(_, rule)| *rule));
            } else {
                found.extend(node.by_end.range((value, RuleId(0))..).map(|(_, rule)| *rule));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::Money;

    use super::*;
    use crate::sample::{Sample, compiled, top_up};

    const CLUB: ClubId = ClubId(1);

    fn candidates(rules: &[Compiled]) -> Candidates {
        let mut candidates = Candidates::default();
        for (at, compiled) in rules.iter().enumerate() {
            candidates.insert(RuleId(at as u32 + 1), compiled);
        }
        candidates
    }

    /// U7: every matching rule is found, and narrow rules that do not match are not visited.
    #[test]
    fn rules_are_found_by_the_variable_in_which_they_are_narrowest() {
        let rules: Vec<Compiled> = [
            "",
            "topupAmountMajor >= 500",
            "topupAmountMajor >= 500 AND topupAmountMajor < 1000",
            "sessionsCount = 3 AND topupAmountMajor >= 500",
            "sessionsCount >= 1 AND topupAmountMajor >= 700",
            "topupAmountMajor > 5 AND topupAmountMajor < 5",
            "bonusBalanceMajor = 0 AND topUpSource = CASH",
        ]
        .map(|conditions| compiled(conditions, "1"))
        .into();
        let candidates = candidates(&rules);
        let found = |amount, sessions| {
            let found = candidates.at(CLUB, &Variables { sessions, ..top_up(amount) });
            found.into_iter().map(|rule| rule.0).collect::<Vec<_>>()
        };
        assert_eq!(found(49_999, 0), [1, 7]);
        assert_eq!(found(50_000, 0), [1, 2, 3, 7]);
        assert_eq!(found(99_999, 3), [1, 2, 3, 4, 5, 7]);
        assert_eq!(found(100_000, 3), [1, 2, 4, 5, 7]);
        assert_eq!(found(70_000, 0), [1, 2, 3, 5, 7]);
    }

    /// U1: rules of other clubs are not even visited.
    #[test]
    fn rules_of_other_clubs_are_left_out() {
        let of = |clubs: std::ops::Range<u32>| Compiled { clubs: clubs.map(ClubId).collect(), ..compiled("", "1") };
        let candidates = candidates(&[of(0..0), of(1..2), of(1..4), of(2..3), of(10..10 + CLUBS_APART_MAX as u32 + 1)]);
        let found = |club| candidates.at(ClubId(club), &top_up(100)).into_iter().map(|rule| rule.0).collect::<Vec<_>>();
        assert_eq!(found(1), [1, 2, 3, 5]);
        assert_eq!(found(2), [1, 3, 4, 5]);
        assert_eq!(found(9), [1, 5]);
    }

    /// The ends of what an amount can hold are values like others.
    #[test]
    fn ranges_reach_to_the_ends() {
        let mut tree = Tree::default();
        let ranges =
            [(i64::MIN, i64::MAX - 1), (i64::MIN, i64::MIN), (i64::MAX, i64::MAX), (-1, 0), (0, i64::MAX), (i64::MIN, -1)];
        for (at, (from, to)) in ranges.into_iter().enumerate() {
            tree.insert(RuleId(at as u32), from, to);
        }
        for value in [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            let mut found = Vec::new();
            tree.find(value, &mut found);
            found.sort_unstable();
            let expected = ranges.iter().enumerate().filter(|(_, (from, to))| (*from..=*to).contains(&value));
            assert_eq!(found, expected.map(|(at, _)| RuleId(at as u32)).collect::<Vec<_>>(), "{value}");
        }
        for (at, (from, to)) in ranges.into_iter().enumerate() {
            tree.remove(RuleId(at as u32), from, to);
        }
        assert_eq!(tree, Tree::default());
    }

    /// U8: among any number of rules, a search visits only those whose narrowest range contains the value.
    #[test]
    fn two_of_many_rules_are_found_without_trying_the_others() {
        let many = 2_000;
        let brackets = |n| compiled(&format!("topupAmountMajor >= {} AND topupAmountMajor < {}", n * 10, n * 10 + 20), "1");
        let nested = |n| compiled(&format!("bonusBalanceMajor >= {n} AND bonusBalanceMajor <= {}", 2 * many - n), "1");
        let visits = |n| compiled(&format!("sessionsCount = {n}"), "1");
        let candidates = candidates(&(0..many).flat_map(|n| [brackets(n), nested(n), visits(n)]).collect::<Vec<_>>());
        let variables = Variables { sessions: 1_999, bonus: Money(100), ..top_up(1_000_000) };
        let found = candidates.at(CLUB, &variables);
        assert_eq!(found, [2, 5, 999 * 3 + 1, 1_000 * 3 + 1, 1_999 * 3 + 3].map(RuleId));
    }

    /// U7, U8: no match among random rules is missed, and only which rules are present matters, not the order of changes.
    #[test]
    fn no_match_is_missed_and_order_does_not_matter() {
        let seed = fastrand::u64(..);
        let mut sample = Sample::of(seed);
        for round in 0..60 {
            let rules: Vec<Compiled> = (0..sample.below(60)).map(|_| sample.rule()).collect();
            let all = candidates(&rules);
            for _ in 0..40 {
                let (club, variables) = (sample.club(), sample.variables());
                let found = all.at(club, &variables);
                assert!(found.is_sorted_by(|a, b| a < b), "seed {seed}, round {round}: {found:?}");
                for (at, compiled) in rules.iter().enumerate() {
                    let rule = RuleId(at as u32 + 1);
                    let matches = compiled.matches(club, &variables);
                    assert!(!matches || found.contains(&rule), "seed {seed}, round {round}: {compiled:?}, {variables:?}");
                }
            }
            let mut order: Vec<usize> = (0..rules.len()).collect();
            sample.shuffle(&mut order);
            let mut other = Candidates::default();
            let mut kept = Candidates::default();
            for at in &order {
                other.insert(RuleId(*at as u32 + 1), &rules[*at]);
            }
            assert_eq!(all, other, "seed {seed}, round {round}");
            sample.shuffle(&mut order);
            let (gone, stay) = order.split_at(order.len() / 2);
            gone.iter().for_each(|at| other.remove(RuleId(*at as u32 + 1), &rules[*at]));
            stay.iter().for_each(|at| kept.insert(RuleId(*at as u32 + 1), &rules[*at]));
            assert_eq!(other, kept, "seed {seed}, round {round}");
            stay.iter().for_each(|at| other.remove(RuleId(*at as u32 + 1), &rules[*at]));
            assert_eq!(other, Candidates::default(), "seed {seed}, round {round}");
        }
    }
}
