//! Rules of top-ups: finding and firing the matching ones, of few and of many; adding and removing one; linting one among many.
//!
//! Cases are defined by the conditions of the n-th rule and by the top-up. Their names state the number of rules and of matches.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
// For the allocator of the program.
use scrip_benches as _;
use scrip_protocol::command::{Action, RuleTerms};
use scrip_protocol::{ClubId, Money, RuleId, TopUpSource, Variables};
use scrip_rules::formula::FORMULA_BYTES_MAX;
use scrip_rules::{Candidates, Compiled, Fired, fire_all, lint};

/// Number of rules in the cases with many.
const MANY: u32 = 10_000;

const PERCENT: &str = "{{topupAmountMajor}} * 0.05 + 50";

/// Rules by their numbers, from 1.
struct Rules {
    compiled: Vec<Compiled>,
    candidates: Candidates,
}

impl Rules {
    fn of(rules: u32, conditions: impl Fn(u32) -> String) -> Rules {
        let compiled: Vec<Compiled> = (0..rules).map(|n| rule(&conditions(n), PERCENT)).collect();
        let mut candidates = Candidates::default();
        numbered(&compiled).for_each(|(rule, compiled)| candidates.insert(rule, compiled));
        Rules { compiled, candidates }
    }

    /// Fires the rules as the engine does on a top-up.
    fn fire(&self, variables: &Variables) -> Fired {
        let club = ClubId(1);
        let found = self.candidates.at(club, variables);
        let found = found.iter().map(|rule| (*rule, &self.compiled[rule.0 as usize - 1]));
        fire_all(found.filter(|(_, compiled)| compiled.matches(club, variables)), variables)
    }
}

fn numbered(compiled: &[Compiled]) -> impl Iterator<Item = (RuleId, &Compiled)> {
    (1..).map(RuleId).zip(compiled)
}

fn rule(conditions: &str, formula: &str) -> Compiled {
    let terms = RuleTerms {
        name: "Rule".into(),
        description: String::new(),
        active: true,
        clubs: Vec::new(),
        event: Default::default(),
        conditions: conditions.into(),
        actions: vec![Action::AddBonus { formula: formula.into() }],
        tags: Vec::new(),
    };
    Compiled::of(&terms).expect("a rule")
}

/// A top-up of that many major units.
fn top_up(major: i64) -> Variables {
    Variables {
        amount: Money(major * 100),
        source: TopUpSource::Acquiring,
        gaming: Money(12_300),
        bonus: Money(4_500),
        spent: Money(678_900),
        sessions: 7,
    }
}

/// The n-th of ranges of 20 that start 10 apart: two of them match an amount.
fn brackets(n: u32) -> String {
    format!("topupAmountMajor >= {} AND topupAmountMajor < {}", n * 10, n * 10 + 20)
}

fn fire(c: &mut Criterion) {
    let mut group = c.benchmark_group("rules: find and fire");
    let mut case = |name: &str, rules: u32, matching: usize, conditions: fn(u32) -> String, variables: Variables| {
        let rules = Rules::of(rules, conditions);
        let fired = rules.fire(&variables);
        assert_eq!(fired.fired.len() + fired.beyond as usize, matching, "{name}");
        let id = BenchmarkId::new(name, format!("{matching} of {}", rules.compiled.len()));
        group.bench_function(id, |b| b.iter(|| rules.fire(black_box(&variables))));
    };
    case("brackets", 1, 1, brackets, top_up(10));
    for rules in [10, 1_000, MANY] {
        case("brackets", rules, 2, brackets, top_up(i64::from(rules) * 5));
    }
    case("tiers, from below only", MANY, 2, |n| format!("topupAmountMajor >= {}", n * 10), top_up(19));
    case("sessionsCount = n", MANY, 1, |n| format!("sessionsCount = {n}"), top_up(500));
    case("no conditions", MANY, MANY as usize, |_| String::new(), top_up(500));
    let nested = |n| format!("topupAmountMajor >= {n} AND topupAmountMajor <= {}", 2 * MANY - n);
    case("nested", MANY, 2, nested, top_up(1));
    case("nested", MANY, MANY as usize, nested, top_up(MANY.into()));
    // The worst case: the narrowest variable is the same in all of them, and another one distinguishes them.
    let alike = |n| format!("topupAmountMajor < 1000 AND bonusBalanceMajor >= {}", n + 44);
    case("alike where they are narrowest", MANY, 2, alike, top_up(500));
    group.finish();
}

fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("rules: take out and put in");
    let mut case = |name: &str, conditions: fn(u32) -> String| {
        let Rules { compiled, mut candidates } = Rules::of(MANY, conditions);
        let mut at = 0;
        group.bench_function(BenchmarkId::new(name, MANY), |b| {
            b.iter(|| {
                at = (at + 6_113) % compiled.len();
                let rule = RuleId(at as u32 + 1);
                candidates.remove(rule, &compiled[at]);
                candidates.insert(rule, &compiled[at]);
            });
        });
    };
    case("brackets", brackets);
    case("tiers, from below only", |n| format!("topupAmountMajor >= {}", n * 10));
    case("no conditions", |_| String::new());
    group.finish();
}

fn lints(c: &mut Criterion) {
    let mut group = c.benchmark_group("rules: lint among 10,000");
    let mut case = |name: &str, linted: Compiled, conditions: fn(u32) -> String| {
        let others: Vec<Compiled> = (0..MANY).map(|n| rule(&conditions(n), PERCENT)).collect();
        let others = || numbered(&others).map(|(rule, compiled)| (rule, "Rule", compiled));
        group.bench_function(name, |b| b.iter(|| lint(RuleId(0), black_box(&linted), others())));
    };
    case("brackets", rule("topupAmountMajor >= 500 AND topupAmountMajor < 510", PERCENT), brackets);
    case("all overlap, begin at amounts of their own", rule("", PERCENT), |n| format!("topupAmountMajor >= {n}"));
    case("all overlap and fire", rule("", PERCENT), |_| String::new());
    let five = "{{topupAmountMajor}} + {{gamingBalanceMajor}} * {{bonusBalanceMajor}} - {{totalSpentMajor}} / {{sessionsCount}}";
    case("a formula of five variables", rule("topupAmountMajor < 1", five), brackets);
    let mut long = String::from("1/{{sessionsCount}}+1/{{gamingBalanceMajor}}");
    for term in (3..).step_by(2).map(|n| format!("+1/{n}")).take(200) {
        if long.len() + term.len() <= FORMULA_BYTES_MAX {
            long.push_str(&term);
        }
    }
    case("a formula as dear as there is", rule("topupAmountMajor < 1", &long), brackets);
    group.finish();
}

criterion_group!(benches, fire, change, lints);
criterion_main!(benches);
