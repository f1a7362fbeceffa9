//! The ranges that conditions define: for each numeric variable a range with holes, and a set of sources (U4, A17, A19).
//!
//! Amounts are counted in minor units and sessions one by one, so that thresholds in whole major units are compared exactly. A
//! threshold times 100 may not fit an `i64`: such a condition holds for every amount or for none, and the range is all or empty.
//!
//! A range does not know which values are possible. [`Axis::there_can_be`] does: an amount is more than 0 and a balance never
//! below it. It is used to find out whether conditions can be met at all.

use scrip_protocol::{Money, TopUpSource, Variable, Variables};

use crate::conditions::{Comparison, Condition, Conditions, Value};

/// A numeric variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Axis {
    Amount,
    Gaming,
    Bonus,
    Spent,
    Sessions,
}

impl Axis {
    /// All of them, in the order of their variables.
    pub(crate) const ALL: [Axis; 5] = [Axis::Amount, Axis::Gaming, Axis::Bonus, Axis::Spent, Axis::Sessions];

    /// The axis of a variable; none for the source, which is a word.
    pub(crate) const fn of(variable: Variable) -> Option<Axis> {
        match variable {
            Variable::TopupAmountMajor => Some(Axis::Amount),
            Variable::TopUpSource => None,
            Variable::GamingBalanceMajor => Some(Axis::Gaming),
            Variable::BonusBalanceMajor => Some(Axis::Bonus),
            Variable::TotalSpentMajor => Some(Axis::Spent),
            Variable::SessionsCount => Some(Axis::Sessions),
        }
    }

    /// How many units one unit of a threshold has: minor units per major unit.
    pub(crate) const fn units(self) -> i64 {
        match self {
            Axis::Amount | Axis::Gaming | Axis::Bonus | Axis::Spent => 100,
            Axis::Sessions => 1,
        }
    }

    /// Its value for a top-up.
    pub(crate) fn value(self, variables: &Variables) -> i64 {
        match self {
            Axis::Amount => variables.amount.0,
            Axis::Gaming => variables.gaming.0,
            Axis::Bonus => variables.bonus.0,
            Axis::Spent => variables.spent.0,
            Axis::Sessions => variables.sessions.into(),
        }
    }

    /// Sets its value for a top-up. A number of sessions that is too large saturates.
    pub(crate) fn put(self, variables: &mut Variables, value: i64) {
        match self {
            Axis::Amount => variables.amount = Money(value),
            Axis::Gaming => variables.gaming = Money(value),
            Axis::Bonus => variables.bonus = Money(value),
            Axis::Spent => variables.spent = Money(value),
            Axis::Sessions => variables.sessions = u32::try_from(value.max(0)).unwrap_or(u32::MAX),
        }
    }

    /// The possible values: a top-up is more than 0, and nothing else is below 0.
    pub(crate) const fn there_can_be(self) -> Range {
        let (from, to) = match self {
            Axis::Amount => (1, i64::MAX),
            Axis::Gaming | Axis::Bonus | Axis::Spent => (0, i64::MAX),
            Axis::Sessions => (0, u32::MAX as i64),
        };
        Range { from, to, except: Vec::new() }
    }
}

/// The values from one to another, both included, except some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Ascending, each once; not necessarily between the ends.
    except: Vec<i64>,
}

impl Range {
    /// Every value.
    pub(crate) const ALL: Range = Range { from: i64::MIN, to: i64::MAX, except: Vec::new() };

    pub(crate) fn contains(&self, value: i64) -> bool {
        self.from <= value && value <= self.to && !self.except.contains(&value)
    }

    /// Whether it excludes nothing but single values.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.from == i64::MIN && self.to == i64::MAX
    }

    /// The least value in it; none if it is empty.
    pub(crate) fn least(&self) -> Option<i64> {
        let mut least = self.from;
        for hole in self.except.iter().skip_while(|hole| **hole < self.from) {
            if *hole != least {
                break;
            }
            least = least.checked_add(1)?;
        }
        (least <= self.to).then_some(least)
    }

    /// The greatest value in it; none if it is empty.
    pub(crate) fn greatest(&self) -> Option<i64> {
        let mut greatest = self.to;
        for hole in self.except.iter().rev().skip_while(|hole| **hole > self.to) {
            if *hole != greatest {
                break;
            }
            greatest = greatest.checked_sub(1)?;
        }
        (greatest >= self.from).then_some(greatest)
    }

    /// The intersection.
    pub(crate) fn and(&self, other: &Range) -> Range {
        let mut except = [self.except.as_slice(), &other.except].concat();
        except.sort_unstable();
        except.dedup();
        Range { from: self.from.max(other.from), to: self.to.min(other.to), except }
    }

    /// Whether they intersect.
    pub(crate) fn meets(&self, other: &Range) -> bool {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        if from > to {
            return false;
        }
        // Holes can only fill a range that has no more values than holes, so the intersection is hardly ever computed.
        let holes = (self.except.len() + other.except.len()) as u64;
        from.abs_diff(to) >= holes || self.and(other).least().is_some()
    }

    fn narrow(&mut self, comparison: Comparison, threshold: i128) {
        let none = (i64::MAX.into(), i64::MIN.into());
        let (least, greatest): (i128, i128) = match comparison {
            Comparison::Eq => (threshold, threshold),
            Comparison::Ne => {
                if let Ok(hole) = i64::try_from(threshold)
                    && let Err(at) = self.except.binary_search(&hole)
                {
                    self.except.insert(at, hole);
                }
                return;
            }
            Comparison::Lt => (i128::MIN, threshold - 1),
            Comparison::Le => (i128::MIN, threshold),
            Comparison::Gt => (threshold + 1, i128::MAX),
            Comparison::Ge => (threshold, i128::MAX),
        };
        let beyond = least > i64::MAX.into() || greatest < i64::MIN.into();
        let (least, greatest) = if beyond { none } else { (least, greatest) };
        self.from = self.from.max(least.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
        self.to = self.to.min(greatest.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
    }
}

/// Sources of top-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sources(u8);

impl Sources {
    pub(crate) const ALL: Sources = {
        let [a, b, c] = TopUpSource::ALL;
        Sources(Sources::of(a).0 | Sources::of(b).0 | Sources::of(c).0)
    };

    const fn of(source: TopUpSource) -> Sources {
        Sources(1 << source as u8)
    }

    pub(crate) fn contains(self, source: TopUpSource) -> bool {
        self.0 & Sources::of(source).0 != 0
    }

    pub(crate) fn meets(self, other: Sources) -> bool {
        self.0 & other.0 != 0
    }

    /// The sources in it, in the order of their numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = TopUpSource> {
        TopUpSource::ALL.into_iter().filter(move |source| self.contains(*source))
    }
}

/// The ranges and sources of all conditions of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// In the order of [`Axis::ALL`].
    axes: [Range; 5],
    pub(crate) sources: Sources,
}

impl Ranges {
    pub(crate) fn of(conditions: &Conditions) -> Ranges {
        let mut ranges = Ranges { axes: [Range::ALL; 5], sources: Sources::ALL };
        for condition in conditions {
            ranges.narrow(condition);
        }
        ranges
    }

    pub(crate) fn at(&self, axis: Axis) -> &Range {
        &self.axes[axis as usize]
    }

    /// Whether a top-up is in all of them.
    pub(crate) fn contain(&self, variables: &Variables) -> bool {
        self.sources.contains(variables.source) && Axis::ALL.iter().all(|axis| self.at(*axis).contains(axis.value(variables)))
    }

    fn narrow(&mut self, condition: &Condition) {
        match (Axis::of(condition.variable), condition.value) {
            (Some(axis), Value::Whole(threshold)) => {
                self.axes[axis as usize].narrow(condition.comparison, i128::from(threshold) * i128::from(axis.units()));
            }
            (None, Value::Source(source)) => {
                let holds = |other: &TopUpSource| condition.comparison.holds(other.cmp(&source));
                let held = TopUpSource::ALL.into_iter().filter(holds).fold(0, |held, source| held | Sources::of(source).0);
                self.sources = Sources(self.sources.0 & held);
            }
            // No text parses to this, and it holds for nothing.
            (Some(_), Value::Source(_)) | (None, Value::Whole(_)) => self.sources = Sources(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(text: &str) -> Range {
        Ranges::of(&Conditions::parse(text).expect("conditions")).at(Axis::Amount).clone()
    }

    fn between(from: i64, to: i64) -> Range {
        Range { from, to, except: Vec::new() }
    }

    /// U4, A17, A19: thresholds are whole major units, and ranges count minor units.
    #[test]
    fn conditions_become_ranges_of_minor_units() {
        assert_eq!(amounts("topupAmountMajor >= 500 AND topupAmountMajor < 1000"), between(50_000, 99_999));
        assert_eq!(amounts("topupAmountMajor > 500 AND topupAmountMajor <= 1000"), between(50_001, 100_000));
        assert_eq!(amounts("topupAmountMajor = 5 AND topupAmountMajor != 7"), Range { from: 500, to: 500, except: vec![700] });
        assert_eq!(amounts("topUpSource = CASH"), Range::ALL);
        let sessions = Ranges::of(&Conditions::parse("sessionsCount >= 5").expect("conditions"));
        assert_eq!(*sessions.at(Axis::Sessions), between(5, i64::MAX));
    }

    /// A19: a threshold that no amount can reach is beyond all of them, and never wraps around.
    #[test]
    fn thresholds_beyond_all_amounts_hold_for_all_or_none() {
        for beyond in [i64::MAX, i64::MAX / 100 + 1] {
            for (comparison, holds) in [("<", true), ("<=", true), ("!=", true), (">", false), (">=", false), ("=", false)] {
                let above = amounts(&format!("topupAmountMajor {comparison} {beyond}"));
                assert_eq!(above.contains(i64::MAX) && above.contains(0), holds, "{comparison} {beyond}");
                assert_eq!(above.least().is_some(), holds, "{comparison} {beyond}");
            }
        }
        assert_eq!(amounts(&format!("topupAmountMajor > {}", i64::MIN)), Range::ALL);
        assert_eq!(amounts(&format!("topupAmountMajor < {}", i64::MIN)).least(), None);
    }

    #[test]
    fn holes_make_a_range_empty_only_where_there_is_nothing_else() {
        let range = Range { from: 1, to: 4, except: vec![0, 1, 2, 4, 9] };
        assert_eq!((range.least(), range.greatest()), (Some(3), Some(3)));
        assert!(range.meets(&between(2, 3)) && !range.meets(&between(1, 2)) && !range.meets(&between(5, 9)));
        assert!(!range.meets(&Range { from: 3, to: 7, except: vec![3] }));
        let all = Range { from: i64::MIN, to: i64::MAX, except: vec![i64::MIN, i64::MAX] };
        assert_eq!((all.least(), all.greatest()), (Some(i64::MIN + 1), Some(i64::MAX - 1)));
        let last = Range { from: i64::MAX, to: i64::MAX, except: vec![i64::MAX] };
        assert_eq!((last.least(), last.greatest()), (None, None));
    }
}
