//! Proposed rules: three tiers computed from the average check (U14), and a safe rate (U15).
//!
//! The source's table has tiers with lower bounds only, so that a top-up of the third fires all three and is credited 0.37 of its
//! amount (A18). [`Bounds::HalfOpen`] ends each tier where the next begins, so that exactly one fires. The caller chooses; the
//! lint shows the difference.

use scrip_protocol::Money;
use scrip_protocol::command::{Action, RuleEvent, RuleTerms};

use crate::formula::Exact;

/// A tier of top-ups, credited at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Its name.
    pub name: &'static str,
    /// The share of a top-up that is credited, as a decimal.
    pub rate: &'static str,
    /// Its least top-up, in whole major units.
    pub from: i64,
    /// Where the next tier begins; none for the last.
    pub below: Option<i64>,
}

/// How the rules of tiers are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Lower bounds only, as in the source's table: a top-up of one tier also fires the tiers below.
    Lower,
    /// From where a tier begins to where the next one does: a top-up fires one.
    HalfOpen,
}

/// The three tiers of an average check: from 1.3, 2.5 (the anchor) and 5 times as much (U14). Thresholds are rounded to whole
/// major units, half away from zero (A19), and saturate at the largest amount. For an average check below one major unit they may
/// be equal; a half-open rule between them then never holds, which the lint reports.
pub fn tiers(average_check: Money) -> [Tier; 3] {
    let [first, second, third] = [13, 25, 50].map(|tenths| threshold(average_check, tenths));
    [
        Tier { name: "Tier 1", rate: "0.05", from: first, below: Some(second) },
        Tier { name: "Tier 2 (anchor)", rate: "0.12", from: second, below: Some(third) },
        Tier { name: "Tier 3 (large)", rate: "0.20", from: third, below: None },
    ]
}

/// So many tenths of an average check, in whole major units.
fn threshold(average_check: Money, tenths: i128) -> i64 {
    let thousandths = i128::from(average_check.0) * tenths;
    let half = if thousandths < 0 { -500 } else { 500 };
    ((thousandths + half) / 1_000).clamp((i64::MIN / 100).into(), (i64::MAX / 100).into()) as i64
}

impl Tier {
    /// A rule of this tier, for all clubs. It is switched off, so that it can be reviewed before it costs anything.
    pub fn terms(&self, bounds: Bounds) -> RuleTerms {
        let from = format!("topupAmountMajor >= {}", self.from);
        let conditions = match (bounds, self.below) {
            (Bounds::HalfOpen, Some(below)) => format!("{from} AND topupAmountMajor < {below}"),
            (Bounds::HalfOpen, None) | (Bounds::Lower, _) => from,
        };
        RuleTerms {
            name: self.name.to_owned(),
            description: String::new(),
            active: false,
            clubs: Vec::new(),
            event: RuleEvent::BalanceToppedUp,
            conditions,
            actions: vec![Action::AddBonus { formula: format!("{{{{topupAmountMajor}}}} * {}", self.rate) }],
            tags: Vec::new(),
        }
    }
}

/// The share of a top-up that can be credited without a loss, in percent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeRate {
    /// The rate that uses up the margin.
    pub ceiling: Exact,
    /// A third of the ceiling: the low end of the healthy range.
    pub healthy_from: Exact,
    /// Half of the ceiling: the high end.
    pub healthy_to: Exact,
}

/// The safe rate for the margin on gaming time and the share of gaming time in the average check, both in percent (U15).
pub fn safe_rate(margin_percent: Exact, gaming_share_percent: Exact) -> SafeRate {
    let part = |of: &Exact, parts: i64| of.clone().checked_div(Exact::from(parts)).expect("the divisor is a number above zero");
    let ceiling = part(&(margin_percent * gaming_share_percent), 100);
    SafeRate { healthy_from: part(&ceiling, 3), healthy_to: part(&ceiling, 2), ceiling }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiled::{Compiled, check};
    use crate::sample::{fired, top_up};

    fn rules(average_check: i64, bounds: Bounds) -> Vec<Compiled> {
        let terms = tiers(Money(average_check)).map(|tier| tier.terms(bounds));
        terms.iter().map(|terms| check(terms, |_| false, |_| false).expect("a rule").1).collect()
    }

    fn credited(rules: &[Compiled], minor: i64) -> Vec<(u32, i64)> {
        fired(rules, &top_up(minor)).fired.iter().map(|fired| (fired.rule.0, fired.credited().0 / 100)).collect()
    }

    /// U14, A18: for an average check of 400 the source's table fires all three rules at 2,000: 0.37 of the top-up.
    #[test]
    fn the_table_of_the_source_overlaps() {
        let rules = rules(40_000, Bounds::Lower);
        assert_eq!(credited(&rules, 51_999), []);
        assert_eq!(credited(&rules, 52_000), [(1, 26)]);
        assert_eq!(credited(&rules, 100_000), [(1, 50), (2, 120)]);
        assert_eq!(credited(&rules, 200_000), [(1, 100), (2, 240), (3, 400)]);
        assert_eq!(fired(&rules, &top_up(200_000)).bonus, Money(200_000 * 37 / 100));
    }

    /// U7, U14: half-open tiers fire one rule each, whatever the amount.
    #[test]
    fn half_open_tiers_fire_exactly_one() {
        let rules = rules(40_000, Bounds::HalfOpen);
        for (minor, expected) in
            [(52_000, (1, 26)), (99_999, (1, 50)), (100_000, (2, 120)), (199_999, (2, 240)), (200_000, (3, 400))]
        {
            assert_eq!(credited(&rules, minor), [expected], "{minor}");
        }
        assert_eq!(credited(&rules, 51_999), []);
    }

    /// U14, A19: thresholds are whole, halves are rounded away from zero, and they stay within possible amounts.
    #[test]
    fn thresholds_are_rounded_to_whole_units() {
        let thresholds = |average_check| tiers(Money(average_check)).map(|tier| tier.from);
        assert_eq!(thresholds(40_000), [520, 1_000, 2_000]);
        assert_eq!(thresholds(34_500), [449, 863, 1_725]);
        assert_eq!(thresholds(33_333), [433, 833, 1_667]);
        assert_eq!(thresholds(500), [7, 13, 25]);
        assert_eq!(thresholds(0), [0, 0, 0]);
        assert_eq!(thresholds(i64::MAX), [i64::MAX / 100; 3]);
        assert_eq!(thresholds(-500), [-7, -13, -25]);
        let terms = tiers(Money(40_000))[1].terms(Bounds::HalfOpen);
        assert_eq!(terms.conditions, "topupAmountMajor >= 1000 AND topupAmountMajor < 2000");
        assert!(!terms.active);
    }

    /// U15: the ceiling is the margin times the share of gaming time, and a healthy rate is 2 to 3 times below it.
    #[test]
    fn a_safe_rate_is_worked_out_exactly() {
        let rates = |margin, share| {
            let percent = |text: &str| Exact::from(text.parse::<Money>().expect("an amount"));
            let SafeRate { ceiling, healthy_from, healthy_to } = safe_rate(percent(margin), percent(share));
            [ceiling, healthy_from, healthy_to].map(|rate| rate.to_string())
        };
        assert_eq!(rates("60", "70"), ["42", "14", "21"]);
        assert_eq!(rates("62.5", "33.33"), ["20.83125", "6.94375", "10.415625"]);
        assert_eq!(rates("50", "50"), ["25", "25/3", "12.5"]);
        assert_eq!(rates("0", "70"), ["0", "0", "0"]);
    }
}
