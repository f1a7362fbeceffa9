use scrip_protocol::command::{Action, Push, PushPart, RuleTerms};
use scrip_protocol::{ClubId, TopUpSource, Variables};

use super::*;
use crate::compiled::fire_all;
use crate::sample::{Sample, compiled, terms, top_up};

const DRAFT: RuleId = RuleId(0);

fn lint_among(rule: &Compiled, others: &[Compiled]) -> Lint {
    lint(DRAFT, rule, others.iter().enumerate().map(|(at, other)| (RuleId(at as u32 + 1), "Other", other)))
}

fn alone(conditions: &str, formula: &str) -> Vec<Finding> {
    lint_among(&compiled(conditions, formula), &[]).findings
}

fn overlaps(rule: &Compiled, others: &[Compiled]) -> Vec<(u32, i64, Option<i64>)> {
    let findings = lint_among(rule, others).findings;
    let overlap = |finding: &Finding| match finding {
        Finding::Overlaps(Overlap { rule, from, to, .. }) => Some((rule.0, from.0, to.map(|to| to.0))),
        Finding::NeverHolds { .. }
        | Finding::MoreOverlaps(_)
        | Finding::NotPositive { .. }
        | Finding::RoundsToNothing { .. }
        | Finding::DividesByZero { .. }
        | Finding::PushTooLong { .. } => None,
    };
    findings.iter().filter_map(overlap).collect()
}

fn with_push(conditions: &str, title: &str, body: &str) -> Compiled {
    let push = Action::SendPush(Push { title: title.into(), body: body.into() });
    Compiled::of(&RuleTerms { actions: vec![push], ..terms(conditions, "") }).expect("a rule")
}

/// Z12: conditions that nothing can meet are reported by variable, and then nothing else is.
#[test]
fn conditions_that_can_never_hold_are_reported() {
    for (conditions, expected) in [
        ("topupAmountMajor >= 1000 AND topupAmountMajor < 500", &[Variable::TopupAmountMajor][..]),
        ("topupAmountMajor > 5 AND topupAmountMajor < 6", &[]),
        ("sessionsCount > 5 AND sessionsCount < 6", &[Variable::SessionsCount]),
        ("topupAmountMajor = 5 AND topupAmountMajor != 5", &[Variable::TopupAmountMajor]),
        ("topUpSource = CASH AND topUpSource = ACQUIRING", &[Variable::TopUpSource]),
        ("topUpSource != CASH AND topUpSource != ACQUIRING", &[]),
        // No top-up has an amount of 0, and no balance is below 0.
        ("topupAmountMajor <= 0", &[Variable::TopupAmountMajor]),
        ("bonusBalanceMajor < 0 AND gamingBalanceMajor <= 0", &[Variable::BonusBalanceMajor]),
        ("sessionsCount > 4294967295", &[Variable::SessionsCount]),
        ("sessionsCount >= 0 AND sessionsCount < 2 AND sessionsCount != 0 AND sessionsCount != 1", &[Variable::SessionsCount]),
        (
            "totalSpentMajor = 1 AND totalSpentMajor = 2 AND gamingBalanceMajor > 92233720368547759",
            &[Variable::GamingBalanceMajor, Variable::TotalSpentMajor],
        ),
    ] {
        let lint = lint_among(&compiled(conditions, "1"), &[compiled("", "1")]);
        let never: Vec<Finding> = expected.iter().map(|variable| Finding::NeverHolds { variable: *variable }).collect();
        if expected.is_empty() {
            assert!(matches!(lint.findings[..], [Finding::Overlaps(_)]), "{conditions}: {lint:?}");
        } else {
            assert_eq!(lint, Lint { findings: never, stacked: Vec::new() }, "{conditions}");
        }
    }
}

/// Z12, A18: rules that can fire on the same top-up are named, with the amounts on which they can; half-open ranges do not
/// overlap.
#[test]
fn rules_that_can_fire_on_the_same_top_up_are_named() {
    let from_500 = compiled("topupAmountMajor >= 500", "50");
    let from_1000 = compiled("topupAmountMajor >= 1000", "120");
    assert_eq!(overlaps(&from_500, std::slice::from_ref(&from_1000)), [(1, 100_000, None)]);
    assert_eq!(overlaps(&from_1000, &[from_500]), [(1, 100_000, None)]);
    let half_open = compiled("topupAmountMajor >= 500 AND topupAmountMajor < 1000", "50");
    assert_eq!(overlaps(&half_open, &[from_1000]), []);
    assert_eq!(overlaps(&half_open, &[compiled("topupAmountMajor <= 700", "1")]), [(1, 50_000, Some(70_000))]);
    assert_eq!(overlaps(&half_open, &[compiled("", "1")]), [(1, 50_000, Some(99_999))]);
    // Other variables, sources and clubs keep rules apart as well.
    let apart = |one: &str, other: &str| overlaps(&compiled(one, "1"), &[compiled(other, "1")]).is_empty();
    assert!(apart("topUpSource = CASH", "topUpSource = ACQUIRING"));
    assert!(!apart("topUpSource = CASH", "topUpSource != ACQUIRING"));
    assert!(apart("sessionsCount = 0", "sessionsCount >= 1"));
    assert!(!apart("sessionsCount = 1", "sessionsCount >= 1"));
    assert!(apart("topupAmountMajor = 5", "topupAmountMajor != 5"));
    // With the source that credits most.
    let any = compiled("topupAmountMajor >= 5000", "1");
    let lint = lint_among(&any, &[compiled("topUpSource = CASH", "1"), compiled("topUpSource = POS_TERMINAL", "2")]);
    assert_eq!((rates(&lint), lint.stacked[0].source), (vec![(500_000, 3, 2)], TopUpSource::PosTerminal));
    assert_eq!(lint_among(&any, &[]).stacked[0].source, TopUpSource::Acquiring);
    let of = |clubs: &[u32]| Compiled { clubs: clubs.iter().copied().map(ClubId).collect(), ..compiled("", "1") };
    assert_eq!(overlaps(&of(&[1, 3]), &[of(&[2, 4]), of(&[3]), of(&[]), of(&[5, 6, 7])]), [(2, 1, None), (3, 1, None)]);
}

/// Z12: of very many overlaps the first are named, in the order of their numbers, and the rest is counted.
#[test]
fn of_very_many_overlaps_the_first_are_named() {
    let mut others = vec![compiled("", "1"); OVERLAPS_NAMED_MAX + 7];
    others[2] = compiled("topupAmountMajor < 1", "1");
    let rule = compiled("topupAmountMajor >= 500", "50");
    let named = overlaps(&rule, &others);
    let expected = (1..).filter(|rule| *rule != 3).take(OVERLAPS_NAMED_MAX);
    assert_eq!(named.iter().map(|overlap| overlap.0).collect::<Vec<_>>(), expected.collect::<Vec<u32>>());
    assert_eq!(lint_among(&rule, &others).findings.last(), Some(&Finding::MoreOverlaps(6)));
    let backwards = others.iter().enumerate().rev().map(|(at, other)| (RuleId(at as u32 + 1), "Other", other));
    assert_eq!(lint(DRAFT, &rule, backwards), lint_among(&rule, &others));
}

/// Z12, A20: what can go wrong with a formula is reported with a top-up as an example.
#[test]
fn suspicious_formula_results_are_reported_with_an_example() {
    let result = |text: &str| text.to_owned();
    assert_eq!(alone("topupAmountMajor >= 500", "{{topupAmountMajor}} * 0.05 + 50"), []);
    assert_eq!(alone("", "0"), [Finding::NotPositive { at: top_up(10_000), result: result("0") }]);
    assert_eq!(alone("", "{{topupAmountMajor}} * 0.1"), [Finding::RoundsToNothing { at: top_up(100), result: result("0.1") }]);
    assert_eq!(
        alone("topupAmountMajor >= 200", "{{topupAmountMajor}} * 0.001"),
        [Finding::RoundsToNothing { at: top_up(20_000), result: result("0.2") }]
    );
    assert_eq!(
        alone("topupAmountMajor >= 10", "{{topupAmountMajor}} - 500"),
        [
            Finding::NotPositive { at: top_up(10_000), result: result("-400") },
            Finding::RoundsToNothing { at: top_up(50_001), result: result("0.01") }
        ]
    );
    assert_eq!(
        alone("topupAmountMajor >= 500", "{{topupAmountMajor}} / {{sessionsCount}}"),
        [
            Finding::RoundsToNothing { at: Variables { sessions: 5_000, ..top_up(50_000) }, result: result("0.1") },
            Finding::DividesByZero { at: top_up(50_000) }
        ]
    );
    assert_eq!(
        alone("sessionsCount >= 1 AND sessionsCount < 10 AND topupAmountMajor > 9", "{{topupAmountMajor}} / {{sessionsCount}}"),
        []
    );
    // Zero at a quotient of the formula's numbers, and where two variables are equal.
    let divides = |formula: &str| {
        let findings = alone("", formula);
        findings.iter().any(|finding| matches!(finding, Finding::DividesByZero { .. }))
    };
    assert!(divides("100 / ({{topupAmountMajor}} * 2 - 1246)"));
    assert!(divides("100 / ({{topupAmountMajor}} - {{bonusBalanceMajor}})"));
    assert!(!divides("100 / ({{topupAmountMajor}} + 1)"));
}

/// Z12, A31: a push notification that can be too long is reported with a top-up as an example.
#[test]
fn a_push_that_can_be_too_long_is_reported_with_an_example() {
    let title = format!("{}{{{{topupAmountMajor}}}}", "é".repeat(35));
    let expected = Finding::PushTooLong { part: PushPart::Title, at: top_up(99_999), chars: 41 };
    assert_eq!(lint_among(&with_push("", &title, "b"), &[]).findings, [expected]);
    assert_eq!(lint_among(&with_push("topupAmountMajor < 100", &title, "b"), &[]).findings, []);
    let body = format!("{}{{{{topUpSource}}}}", "b".repeat(109));
    let at = Variables { source: TopUpSource::PosTerminal, ..top_up(10_000) };
    assert_eq!(
        lint_among(&with_push("", "t", &body), &[]).findings,
        [Finding::PushTooLong { part: PushPart::Body, at, chars: 121 }]
    );
    assert_eq!(lint_among(&with_push("topUpSource != POS_TERMINAL", "t", &body), &[]).findings, []);
    let sessions = format!("{}{{{{sessionsCount}}}}", "t".repeat(31));
    let at = Variables { sessions: 4_294_967_295, ..top_up(10_000) };
    assert_eq!(
        lint_among(&with_push("", &sessions, "b"), &[]).findings,
        [Finding::PushTooLong { part: PushPart::Title, at, chars: 41 }]
    );
}

fn rates(lint: &Lint) -> Vec<(i64, i64, u32)> {
    lint.stacked.iter().map(|rate| (rate.amount.0, rate.credited.0 / 100, rate.rules)).collect()
}

/// Z12, A18: what all rules credit together is shown where it changes: the table of the source reaches 0.37 at 2,000.
#[test]
fn stacked_rates_show_where_they_change() {
    let tiers = ["520", "1000", "2000"].map(|from| format!("topupAmountMajor >= {from}"));
    let [first, second, third] = [(0, "0.05"), (1, "0.12"), (2, "0.20")]
        .map(|(at, rate): (usize, _)| compiled(&tiers[at], &format!("{{{{topupAmountMajor}}}} * {rate}")));
    let expected =
        [(52_000, 26, 1), (99_999, 50, 1), (100_000, 170, 2), (199_999, 340, 2), (200_000, 740, 3), (500_000, 1_850, 3)];
    assert_eq!(rates(&lint_among(&first, &[second.clone(), third.clone()])), expected);
    assert_eq!(rates(&lint_among(&third, &[first, second])), [(200_000, 740, 3), (500_000, 1_850, 3)]);
    // For a client without history, at the first club: rules that match neither are excluded.
    let newcomers = compiled("sessionsCount = 0 AND topupAmountMajor < 100", "10");
    assert_eq!(rates(&lint_among(&newcomers, &[compiled("sessionsCount >= 1", "1")])), [(9_999, 10, 1)]);
    assert_eq!(rates(&lint_among(&compiled("sessionsCount >= 1", "1"), &[newcomers])), []);
    // With the source that credits most.
    let any = compiled("topupAmountMajor >= 5000", "1");
    let lint = lint_among(&any, &[compiled("topUpSource = CASH", "1"), compiled("topUpSource = POS_TERMINAL", "2")]);
    assert_eq!((rates(&lint), lint.stacked[0].source), (vec![(500_000, 3, 2)], TopUpSource::PosTerminal));
    assert_eq!(lint_among(&any, &[]).stacked[0].source, TopUpSource::Acquiring);
    let of = |clubs: &[u32]| Compiled {
        clubs: clubs.iter().copied().map(ClubId).collect(),
        ..compiled("topupAmountMajor >= 5000", "1")
    };
    assert_eq!(rates(&lint_among(&of(&[]), &[of(&[7]), of(&[8])])), [(500_000, 2, 2)]);
    assert_eq!(rates(&lint_among(&of(&[8, 9]), &[of(&[7, 8]), of(&[9])])), [(500_000, 2, 2)]);
}

/// Of many amounts 16 are reported, the rule's own and the typical ones among them.
#[test]
fn of_many_amounts_a_few_are_reported() {
    let others: Vec<Compiled> = (600..700).map(|from| compiled(&format!("topupAmountMajor >= {from}"), "1")).collect();
    let lint = lint_among(&compiled("topupAmountMajor >= 500 AND topupAmountMajor < 8000", "1"), &others);
    let amounts: Vec<i64> = lint.stacked.iter().map(|rate| rate.amount.0).collect();
    assert_eq!(amounts.len(), 16);
    assert!(amounts.is_sorted());
    assert!([50_000, 100_000, 500_000, 799_999, 59_999, 60_000].iter().all(|amount| amounts.contains(amount)), "{amounts:?}");
}

/// Z12: two rules overlap if some top-up fires both; the amounts reported are the least and the greatest such.
#[test]
fn overlaps_are_those_of_brute_force() {
    let seed = fastrand::u64(..);
    let mut sample = Sample::of(seed);
    let mut amounts: Vec<i64> =
        (0..13).flat_map(|major| [major * 100 - 1, major * 100, major * 100 + 1]).filter(|minor| *minor > 0).collect();
    amounts.push(i64::MAX);
    let sessions: Vec<u32> = (0..14).chain([u32::MAX]).collect();
    let on = [Variable::TopupAmountMajor, Variable::SessionsCount, Variable::TopUpSource];
    for round in 0..200 {
        let (one, other) = (sample.rule_on(&on), sample.rule_on(&on));
        let both = |amount: i64| {
            let top_ups = sessions
                .iter()
                .flat_map(|sessions| TopUpSource::ALL.map(|source| Variables { sessions: *sessions, source, ..top_up(amount) }));
            let mut places = top_ups.flat_map(|at| (1..=4).map(move |club| (ClubId(club), at)));
            places.any(|(club, at)| one.matches(club, &at) && other.matches(club, &at))
        };
        let both: Vec<i64> = amounts.iter().copied().filter(|amount| both(*amount)).collect();
        let expected = both.first().zip(both.last()).map(|(from, to)| (1, *from, (*to < i64::MAX).then_some(*to)));
        let found = overlaps(&one, std::slice::from_ref(&other));
        assert_eq!(found, Vec::from_iter(expected), "seed {seed}, round {round}: {one:?}, {other:?}");
    }
}

/// Z12: the rule fires on the example of every finding, which shows what the finding claims; and stacked rates are the result of
/// firing.
#[test]
fn findings_and_rates_are_true() {
    let seed = fastrand::u64(..);
    let mut sample = Sample::of(seed);
    let mut reported = [0; 3];
    for round in 0..200 {
        let rules: Vec<Compiled> = (0..8).map(|_| sample.rule()).collect();
        let rule = &rules[0];
        let lint =
            lint(RuleId(1), rule, rules.iter().enumerate().skip(1).map(|(at, other)| (RuleId(at as u32 + 1), "Other", other)));
        let formula = rule.formula.as_ref().expect("it has one");
        let evaluate = |at: &Variables| {
            let club = rule.clubs.first().copied().unwrap_or(ClubId(9));
            assert!(rule.matches(club, at), "seed {seed}, round {round}: {rule:?}, {at:?}");
            formula.evaluate(at)
        };
        for finding in &lint.findings {
            let is_true = match finding {
                Finding::NotPositive { at, result } => {
                    reported[0] += 1;
                    evaluate(at).is_ok_and(|found| !found.is_positive() && found.to_string() == *result)
                }
                Finding::RoundsToNothing { at, result } => {
                    reported[1] += 1;
                    evaluate(at)
                        .is_ok_and(|found| found.is_positive() && found.round() == Some(0) && found.to_string() == *result)
                }
                Finding::DividesByZero { at } => {
                    reported[2] += 1;
                    evaluate(at).is_err()
                }
                Finding::NeverHolds { .. } => (0..500).all(|_| !rule.ranges.contain(&sample.variables())),
                Finding::Overlaps(overlap) => overlap.rule != RuleId(1),
                Finding::MoreOverlaps(_) | Finding::PushTooLong { .. } => false,
            };
            assert!(is_true, "seed {seed}, round {round}: {finding:?}");
        }
        for rate in &lint.stacked {
            let fired_at = |club, source| {
                let at = Variables { source, ..top_up(rate.amount.0) };
                let matching = rules.iter().enumerate().filter(|(_, rule)| rule.matches(club, &at));
                let fired = fire_all(matching.map(|(at, rule)| (RuleId(at as u32 + 1), rule)), &at);
                (fired.bonus, fired.fired.len() as u32)
            };
            let is_rate = |club| {
                let by_others = rule.ranges.sources.iter().map(|source| fired_at(club, source).0);
                fired_at(club, rate.source) == (rate.credited, rate.rules) && by_others.max() == Some(rate.credited)
            };
            let is_true = match rule.clubs.first() {
                Some(club) => is_rate(*club),
                None => (1..=4).map(ClubId).any(is_rate),
            };
            assert!(is_true, "seed {seed}, round {round}: {rate:?} of {rules:?}");
        }
    }
    assert!(reported.iter().all(|count| *count > 0), "seed {seed}: {reported:?}");
}
