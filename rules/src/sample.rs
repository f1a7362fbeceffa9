//! Rules and top-ups for tests: short constructors, and random ones that match each other often.

use std::ops::RangeBounds;

use scrip_protocol::command::{Action, RuleTerms};
use scrip_protocol::{ClubId, Money, RuleId, TopUpSource, Variable, Variables};

use crate::candidates::Candidates;
use crate::compiled::{Compiled, Fired, fire_all};
use crate::conditions::Comparison;

/// An active rule of all clubs that credits by a formula.
pub(crate) fn terms(conditions: &str, formula: &str) -> RuleTerms {
    RuleTerms {
        name: "Rule".into(),
        description: String::new(),
        active: true,
        clubs: Vec::new(),
        event: Default::default(),
        conditions: conditions.into(),
        actions: vec![Action::AddBonus { formula: formula.into() }],
        tags: Vec::new(),
    }
}

/// The same, ready to fire.
pub(crate) fn compiled(conditions: &str, formula: &str) -> Compiled {
    Compiled::of(&terms(conditions, formula)).expect("a rule")
}

/// A top-up of so many minor units, through the app, of a client without balances and history.
pub(crate) fn top_up(minor: i64) -> Variables {
    let none = Money(0);
    Variables { amount: Money(minor), source: TopUpSource::Acquiring, gaming: none, bonus: none, spent: none, sessions: 0 }
}

/// What rules, numbered from 1, do on a top-up at club 1: found and fired as in the engine.
pub(crate) fn fired(rules: &[Compiled], variables: &Variables) -> Fired {
    let mut candidates = Candidates::default();
    for (at, compiled) in rules.iter().enumerate() {
        candidates.insert(RuleId(at as u32 + 1), compiled);
    }
    let found = candidates.at(ClubId(1), variables);
    let found = found.iter().map(|rule| (*rule, &rules[rule.0 as usize - 1]));
    fire_all(found.filter(|(_, compiled)| compiled.matches(ClubId(1), variables)), variables)
}

/// Random rules and top-ups. Thresholds and values are few and small, so that they often match; some are extreme values.
pub(crate) struct Sample(fastrand::Rng);

impl Sample {
    pub(crate) fn of(seed: u64) -> Sample {
        Sample(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    pub(crate) fn shuffle<T>(&mut self, them: &mut [T]) {
        self.0.shuffle(them);
    }

    pub(crate) fn club(&mut self) -> ClubId {
        ClubId(self.0.u32(1..=4))
    }

    /// A rule of some clubs with some conditions.
    pub(crate) fn rule(&mut self) -> Compiled {
        self.rule_on(&Variable::ALL)
    }

    /// The same, with conditions on some variables only.
    pub(crate) fn rule_on(&mut self, variables: &[Variable]) -> Compiled {
        let (conditions, formula) = (self.conditions_on(variables), self.formula());
        let mut terms = terms(&conditions, &formula);
        terms.clubs = (1..=4).filter(|_| self.0.u8(..3) == 0).map(ClubId).collect();
        Compiled::of(&terms).expect("a rule")
    }

    /// The text of some conditions.
    pub(crate) fn conditions(&mut self) -> String {
        self.conditions_on(&Variable::ALL)
    }

    /// The same, on some variables only.
    pub(crate) fn conditions_on(&mut self, variables: &[Variable]) -> String {
        let conditions: Vec<String> = (0..self.0.usize(..5)).map(|_| self.condition(variables)).collect();
        conditions.join(" AND ")
    }

    fn condition(&mut self, variables: &[Variable]) -> String {
        let variable = self.one_of(variables);
        if variable == Variable::TopUpSource {
            let comparison = self.one_of(&[Comparison::Eq, Comparison::Ne]);
            return format!("{variable} {comparison} {}", self.one_of(&TopUpSource::ALL));
        }
        let threshold = match self.0.u8(..40) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => i64::MAX / 100 + 1,
            3 => i64::MIN / 100,
            _ => self.small(-1..12),
        };
        format!("{variable} {} {threshold}", self.one_of(&Comparison::ALL))
    }

    fn formula(&mut self) -> String {
        let (a, b) = (self.numeric(), self.numeric());
        let n = self.small(0..9);
        let formulas = [
            format!("{{{{{a}}}}} * 0.{n}"),
            format!("{{{{{a}}}}} - {{{{{b}}}}}"),
            format!("{n} / ({{{{{a}}}}} - {n})"),
            format!("{{{{{a}}}}} * {{{{{b}}}}} * 0.01 + {n}"),
        ];
        let at = self.below(formulas.len());
        formulas[at].clone()
    }

    fn numeric(&mut self) -> Variable {
        loop {
            let variable = self.one_of(&Variable::ALL);
            if variable != Variable::TopUpSource {
                return variable;
            }
        }
    }

    /// A possible top-up.
    pub(crate) fn variables(&mut self) -> Variables {
        Variables {
            amount: Money(self.minor().max(1)),
            source: self.one_of(&TopUpSource::ALL),
            gaming: Money(self.minor()),
            bonus: Money(self.minor()),
            spent: Money(self.minor()),
            sessions: if self.0.u8(..20) == 0 { u32::MAX } else { self.0.u32(..13) },
        }
    }

    fn minor(&mut self) -> i64 {
        match self.0.u8(..20) {
            0 => i64::MAX,
            1 => i64::MAX - 1,
            _ => (self.small(0..13) * 100 + self.small(-1..2)).max(0),
        }
    }

    fn small(&mut self, range: impl RangeBounds<i64>) -> i64 {
        self.0.i64(range)
    }

    fn one_of<T: Copy>(&mut self, them: &[T]) -> T {
        them[self.0.usize(..them.len())]
    }
}
