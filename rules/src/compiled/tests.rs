use scrip_protocol::command::{InvalidTags, TAG_BYTES_MAX, TAGS_MAX, ToppedUp};
use scrip_protocol::{ClientId, CredentialId, Executor, RequestId, Stamp, TopUpSource, Variable, wire};

use super::*;
use crate::ranges::Axis;
use crate::sample::{Sample, compiled, fired, terms, top_up};

const NO_RULE: RuleId = RuleId(0);

fn checked(terms: &RuleTerms) -> Result<(RuleTerms, Compiled), InvalidRule> {
    check(terms, |club| club.0 <= 9, |group| group.0 <= 9)
}

fn with(change: impl FnOnce(&mut RuleTerms)) -> RuleTerms {
    let mut terms = terms("topupAmountMajor >= 500", "{{topupAmountMajor}} * 0.1");
    change(&mut terms);
    terms
}

fn push(title: &str, body: &str) -> Action {
    Action::SendPush(Push { title: title.into(), body: body.into() })
}

fn credited(rules: &[Compiled], minor: i64) -> Vec<(u32, i64)> {
    let fired = fired(rules, &top_up(minor));
    assert_eq!((fired.failed, fired.beyond), (Vec::new(), 0));
    fired.fired.iter().map(|fired| (fired.rule.0, fired.credited().0 / 100)).collect()
}

/// U1, U4, U12, U13, B6: each limit has its own error, and the first in the order of the enum is returned.
#[test]
fn errors_are_returned_in_order_of_precedence() {
    type Worsen = fn(&mut RuleTerms);
    type Is = fn(&InvalidRule) -> bool;
    let group = |group| Action::AssignGroup { group: GroupId(group) };
    assert_eq!(checked(&with(|terms| terms.actions = vec![group(1); 2])).err(), Some(InvalidRule::SecondAction(2)));
    // Each step breaks the rule in one way and repairs the previous one: from the last check to the first.
    let steps: [(Worsen, Is); 10] = [
        (|terms| terms.tags = vec!["a".into(), " ".into()], |why| *why == InvalidRule::Tags(InvalidTags::Tag(2))),
        (
            |terms| terms.actions.push(push(&"t".repeat(41), "b")),
            |why| *why == InvalidRule::PushTooLong { part: PushPart::Title, chars: 41 },
        ),
        (
            |terms| terms.actions[1] = push(&"t".repeat(41), "{{nobody}}"),
            |why| matches!(why, InvalidRule::Push { part: PushPart::Body, problem } if problem.at == 3),
        ),
        (|terms| terms.actions[1] = push("{{", " "), |why| *why == InvalidRule::PushEmpty(PushPart::Body)),
        (
            |terms| terms.actions.push(Action::UnassignGroup { group: GroupId(10) }),
            |why| *why == InvalidRule::UnknownGroup(GroupId(10)),
        ),
        (
            |terms| terms.actions[0] = Action::AddBonus { formula: "topupAmountMajor * 2".into() },
            |why| matches!(why, InvalidRule::Formula(problem) if problem.at == 1),
        ),
        (|terms| terms.actions.push(Action::AssignGroup { group: GroupId(10) }), |why| *why == InvalidRule::SecondAction(4)),
        (
            |terms| terms.actions.extend((11..20).map(|group| Action::AssignGroup { group: GroupId(group) })),
            |why| *why == InvalidRule::Actions,
        ),
        (
            |terms| terms.conditions = "topupAmountMajor >= 1.5".into(),
            |why| matches!(why, InvalidRule::Conditions(problem) if problem.at == 21),
        ),
        (|terms| terms.clubs = vec![ClubId(12), ClubId(1), ClubId(10)], |why| *why == InvalidRule::UnknownClub(ClubId(10))),
    ];
    let mut terms = with(|_| {});
    for (at, (worsen, is)) in steps.into_iter().enumerate() {
        worsen(&mut terms);
        let why = checked(&terms).expect_err("it was made worse");
        assert!(is(&why), "step {at}: {why:?}");
    }
    terms.clubs = (0..=CLUBS_PER_RULE_MAX as u32).map(ClubId).collect();
    assert_eq!(checked(&terms).err(), Some(InvalidRule::TooManyClubs));
    terms.description = "d".repeat(DESCRIPTION_BYTES_MAX + 1);
    assert_eq!(checked(&terms).err(), Some(InvalidRule::Description));
    terms.name = " ".into();
    assert_eq!(checked(&terms).err(), Some(InvalidRule::Name));
    terms.name = "n".repeat(NAME_BYTES_MAX + 1);
    assert_eq!(checked(&terms).err(), Some(InvalidRule::Name));
}

/// U1, U12: the limits themselves are allowed.
#[test]
fn limits_are_within() {
    let terms = with(|terms| {
        terms.name = "n".repeat(NAME_BYTES_MAX);
        terms.description = "d".repeat(DESCRIPTION_BYTES_MAX);
        terms.clubs = (0..2 * CLUBS_PER_RULE_MAX as u32).map(|n| ClubId(n / 2)).collect();
        terms.actions.push(push(&"ä".repeat(40), &"\u{1f600}".repeat(120)));
        terms.actions.extend((1..=6).map(|group| Action::AssignGroup { group: GroupId(group) }));
        terms.tags = (0..TAGS_MAX).map(|n| n.to_string()).collect();
    });
    assert_eq!(terms.actions.len(), ACTIONS_MAX);
    assert!(check(&terms, |_| true, |_| true).is_ok());
    assert_eq!(checked(&with(|terms| terms.actions.clear())).err(), Some(InvalidRule::Actions));
    let two = |action: Action| checked(&with(|terms| terms.actions = vec![action.clone(), action])).err();
    assert_eq!(two(push("t", "b")), Some(InvalidRule::SecondAction(2)));
    assert_eq!(two(Action::AddBonus { formula: "1".into() }), Some(InvalidRule::SecondAction(2)));
}

/// U1, B6: lists are sorted, and terms in canonical form compile to the same rule.
#[test]
fn lists_are_kept_in_order() {
    let terms = with(|terms| {
        terms.clubs = [3, 1, 3].map(ClubId).into();
        terms.tags = ["b", "a", "b"].map(String::from).into();
    });
    let (kept, compiled) = checked(&terms).expect("a rule");
    assert_eq!(kept.clubs, [ClubId(1), ClubId(3)]);
    assert_eq!(kept.tags, ["a", "b"]);
    assert_eq!(RuleTerms { clubs: terms.clubs.clone(), tags: terms.tags.clone(), ..kept.clone() }, terms);
    assert_eq!(checked(&kept), Ok((kept.clone(), compiled.clone())));
    assert_eq!(Compiled::of(&kept), Some(compiled));
    assert_eq!(Compiled::of(&with(|terms| terms.conditions = "later >= 1".into())), None);
}

/// U1, U4, A19: clubs and conditions decide, amounts to the minor unit.
#[test]
fn clubs_and_conditions_decide() {
    let mut rule = compiled("topupAmountMajor >= 500 AND topupAmountMajor < 1000", "1");
    let matches = |rule: &Compiled, club, minor| rule.matches(ClubId(club), &top_up(minor));
    for (minor, expected) in [(49_999, false), (50_000, true), (99_999, true), (100_000, false)] {
        assert_eq!(matches(&rule, 7, minor), expected, "{minor}");
    }
    rule.clubs = vec![ClubId(1), ClubId(3)];
    assert_eq!([1, 2, 3, 4].map(|club| matches(&rule, club, 50_000)), [true, false, true, false]);
}

/// U4: the ranges of a rule agree with its conditions, whatever the conditions.
#[test]
fn ranges_agree_with_the_conditions() {
    let seed = fastrand::u64(..);
    let mut sample = Sample::of(seed);
    for _ in 0..3_000 {
        let text = sample.conditions();
        let (conditions, compiled) = (Conditions::parse(&text).expect("conditions"), compiled(&text, "1"));
        for _ in 0..20 {
            let variables = sample.variables();
            let matches = compiled.matches(ClubId(1), &variables);
            assert_eq!(matches, conditions.hold(&variables), "seed {seed}: {text}, {variables:?}");
        }
    }
}

/// U2, U4: `topUpSource = ACQUIRING` leaves the other two out; without it every source fires.
#[test]
fn a_condition_on_the_source_leaves_the_others_out() {
    let sources = |conditions| {
        let rule = compiled(conditions, "1");
        TopUpSource::ALL.map(|source| rule.matches(ClubId(1), &Variables { source, ..top_up(100) }))
    };
    assert_eq!(sources("topUpSource = ACQUIRING"), [true, false, false]);
    assert_eq!(sources("topUpSource != ACQUIRING"), [false, true, true]);
    assert_eq!(sources(""), [true, true, true]);
    assert_eq!(sources("topUpSource = CASH AND topUpSource = ACQUIRING"), [false, false, false]);
}

/// U5, U6, A21: the formulas of the sources, in major units and rounded to whole units.
#[test]
fn formulas_of_the_sources_credit_their_results() {
    let credit = |formula, minor| credited(&[compiled("", formula)], minor)[0].1;
    assert_eq!(credit("{{topupAmountMajor}} * 0.1", 100_000), 100);
    assert_eq!(credit("{{topupAmountMajor}} * 0.10", 100_000), 100);
    assert_eq!(credit("{{topupAmountMajor}} * 0.15", 100_000), 150);
    assert_eq!(credit("{{topupAmountMajor}} * 0.05 + 50", 100_000), 100);
    assert_eq!(credit("{{topupAmountMajor}} * 0.05", 1_000), 1);
    assert_eq!(credit("{{topupAmountMajor}} * 0.05", 999), 0);
}

/// U7: the rules "from 500" and "from 1000" both fire at 1000 and above, and their credits add up.
#[test]
fn rules_that_match_stack() {
    let rules = [("topupAmountMajor >= 500", "50"), ("topupAmountMajor >= 1000", "120")].map(|(c, f)| compiled(c, f));
    assert_eq!(credited(&rules, 49_999), []);
    assert_eq!(credited(&rules, 99_999), [(1, 50)]);
    assert_eq!(credited(&rules, 100_000), [(1, 50), (2, 120)]);
    assert_eq!(fired(&rules, &top_up(100_000)).bonus, Money(17_000));
}

/// U12: all four actions in one rule, and tags on its credit (B6).
#[test]
fn a_rule_runs_all_its_actions() {
    let terms = with(|terms| {
        terms.actions.extend([
            Action::AssignGroup { group: GroupId(7) },
            Action::AssignGroup { group: GroupId(2) },
            Action::UnassignGroup { group: GroupId(5) },
            push("Thank you", "{{topupAmountMajor}} by {{topUpSource}}"),
        ]);
        terms.tags = vec!["vip".into()];
    });
    let (_, rule) = checked(&terms).expect("a rule");
    let expected = RuleFired {
        rule: RuleId(1),
        result: Some(50),
        assigned: vec![GroupId(2), GroupId(7)],
        unassigned: vec![GroupId(5)],
        push: Some(Push { title: "Thank you".into(), body: "500 by ACQUIRING".into() }),
        push_too_long: false,
        tags: vec!["vip".into()],
    };
    assert_eq!(rule.fire(RuleId(1), &top_up(50_000)), Ok(expected));
}

/// A20: ties are rounded away from zero; a result of 0 or less is recorded, credits nothing, and the other actions still run.
#[test]
fn what_is_not_positive_credits_nothing() {
    let group = Action::AssignGroup { group: GroupId(1) };
    for (formula, result) in [("2.5", 3), ("0.5", 1), ("0.49", 0), ("0", 0), ("-2.5", -3), ("0 - {{topupAmountMajor}}", -500)] {
        let rule = Compiled::of(&with(|terms| terms.actions = vec![group.clone(), Action::AddBonus { formula: formula.into() }]));
        let fired = fired(&[rule.expect("a rule")], &Variables { bonus: Money(7), ..top_up(50_000) });
        assert_eq!(fired.fired[0].result, Some(result), "{formula}");
        assert_eq!(fired.fired[0].assigned, [GroupId(1)]);
        assert_eq!(fired.bonus, Money(7 + result.max(0) * 100), "{formula}");
    }
    // Less than 0 by more than an amount in minor units can express.
    let rule = compiled("", "0 - 100000000000000000");
    assert_eq!(
        rule.fire(NO_RULE, &top_up(1)).map(|fired| (fired.result, fired.credited())),
        Ok((Some(-(10_i64.pow(17))), Money(0)))
    );
}

/// A20: a result below the smallest 64-bit number credits nothing, in both forms of exact numbers, and the other actions still
/// run.
#[test]
fn a_result_below_every_amount_credits_nothing() {
    let group = Action::AssignGroup { group: GroupId(1) };
    let huge = vec!["{{topupAmountMajor}}"; 23].join("*");
    let smallest = "0 - 922337203685477580 * 10 - 8";
    for formula in [smallest, &format!("{smallest} - 0.5"), &format!("{smallest} - 1"), &format!("0 - {huge}")] {
        let rule = Compiled::of(&with(|terms| terms.actions = vec![group.clone(), Action::AddBonus { formula: formula.into() }]));
        let fired = fired(&[rule.expect("a rule")], &Variables { bonus: Money(7), ..top_up(50_000) });
        assert_eq!(fired.failed, [], "{formula}");
        assert_eq!(
            (fired.fired[0].result, fired.fired[0].credited(), fired.bonus),
            (Some(i64::MIN), Money(0), Money(7)),
            "{formula}"
        );
        assert_eq!(fired.fired[0].assigned, [GroupId(1)], "{formula}");
    }
}

/// A20: a rule whose formula fails runs none of its actions, and the other rules still run.
#[test]
fn a_rule_that_fails_does_nothing_and_others_go_on() {
    let failing = |formula: &str| {
        let group = Action::AssignGroup { group: GroupId(1) };
        Compiled::of(&with(|terms| terms.actions = vec![group, Action::AddBonus { formula: formula.into() }])).expect("a rule")
    };
    let rules = [
        failing("1 / {{sessionsCount}}"),
        compiled("", "10"),
        failing("{{topupAmountMajor}} * 1000000000000000"),
        failing("92233720368547759"),
        compiled("", "20"),
    ];
    let fired = fired(&rules, &top_up(100_000));
    assert_eq!(fired.fired.iter().map(|fired| fired.rule.0).collect::<Vec<_>>(), [2, 5]);
    let failed = |rule, why| RuleFailed { rule: RuleId(rule), why };
    let overflow = FormulaFailure::Overflow;
    assert_eq!(fired.failed, [failed(1, FormulaFailure::DivisionByZero), failed(3, overflow), failed(4, overflow)]);
    assert_eq!((fired.beyond, fired.bonus), (0, Money(3_000)));
}

/// A20: a rule fails if its credit would overflow the balance; a later credit that fits is made.
#[test]
fn a_credit_that_passes_the_balance_fails_alone() {
    let rules = [compiled("", "5"), compiled("", "6"), compiled("", "4")];
    let full = Variables { bonus: Money(i64::MAX - 900), ..top_up(100) };
    let fired = fired(&rules, &full);
    assert_eq!(fired.fired.iter().map(|fired| fired.rule.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(fired.failed, [RuleFailed { rule: RuleId(2), why: FormulaFailure::Overflow }]);
    assert_eq!(fired.bonus, Money(i64::MAX));
}

/// A31: a push notification that is too long once its variables are filled in is not sent, and nothing else fails.
#[test]
fn a_push_that_is_too_long_is_not_sent() {
    let title = format!("{}{{{{topupAmountMajor}}}}", "é".repeat(36));
    let rule = Compiled::of(&with(|terms| terms.actions.push(push(&title, "b")))).expect("at least 38 characters");
    let fire = |minor| rule.fire(NO_RULE, &top_up(minor)).expect("it has a result");
    let sent = fire(999_900);
    assert_eq!((sent.push.map(|push| push.title.chars().count()), sent.push_too_long), (Some(40), false));
    let too_long = fire(999_901);
    assert_eq!((too_long.result, too_long.push, too_long.push_too_long), (Some(1_000), None, true));
}

/// The size of a record is bounded: after this many rules the rest is only counted.
#[test]
fn rules_beyond_the_limit_are_counted() {
    let mut rules = vec![compiled("", "1"); FIRED_MAX + 5];
    rules[0] = compiled("", "1 / 0");
    let fired = fired(&rules, &top_up(100));
    assert_eq!((fired.fired.len(), fired.failed.len(), fired.beyond), (FIRED_MAX - 1, 1, 5));
    assert_eq!(fired.bonus, Money((FIRED_MAX as i64 - 1) * 100));
    assert_eq!(fired.fired.last().map(|fired| fired.rule), Some(RuleId(FIRED_MAX as u32)));
}

/// A rule that adds as much as possible to a record, in letters of four bytes: the longest tags and texts, and groups.
fn heavy(formula: &str) -> Compiled {
    let letters = |count: usize| "\u{1d54f}".repeat(count);
    let terms = with(|terms| {
        terms.conditions.clear();
        terms.tags = (0..TAGS_MAX).map(|tag| format!("{tag:0>TAG_BYTES_MAX$}")).collect();
        terms.actions = vec![Action::AddBonus { formula: formula.to_owned() }, push(&letters(40), &letters(120))];
        terms.actions.extend((1..=6).map(|group| Action::AssignGroup { group: GroupId(group) }));
    });
    Compiled::of(&terms).expect("a rule")
}

/// The bytes of a top-up's record, with what these rules did.
fn record_bytes(fired: Fired) -> usize {
    let Fired { fired, failed, beyond, bonus } = fired;
    let record = ToppedUp {
        stamp: Stamp { request: RequestId(1), body: 2, credential: CredentialId(3) },
        executor: Executor::system(),
        client: ClientId(1),
        club: ClubId(1),
        variables: top_up(1),
        fired,
        failed,
        beyond,
        gaming: Money(0),
        bonus,
        comment: String::new(),
        tags: Vec::new(),
    };
    let mut bytes = Vec::new();
    wire::encode(&record, &mut bytes);
    bytes.len()
}

/// The record of a top-up and the work that it is stay small whatever rules there are: those that match after the bytes of their
/// formulas, groups, texts and tags are used up are only counted, also a small one.
#[test]
fn rules_beyond_the_bytes_of_a_top_up_are_counted() {
    let longest = format!("{:>500}", '1');
    for (heavy, least) in [(heavy("1"), 1_000), (compiled("", &longest), 500)] {
        let fit = FIRED_BYTES_MAX / heavy.weight;
        assert!(heavy.weight >= least && fit + 3 < FIRED_MAX, "{}", heavy.weight);
        let rules = [vec![heavy; fit + 2], vec![compiled("", "1")]].concat();
        let fired = fired(&rules, &top_up(100));
        assert_eq!((fired.fired.len(), fired.failed.len(), fired.beyond), (fit, 0, 3));
        assert!(record_bytes(fired) < 128 << 10);
    }
    // As many as can fire, which fill the bytes.
    let (small, heavy) = (compiled("", "1"), heavy("1"));
    let most = (FIRED_BYTES_MAX - FIRED_MAX) / heavy.weight;
    let rules = [vec![heavy; most], vec![small; FIRED_MAX - most]].concat();
    let fired = fired(&rules, &top_up(100));
    assert_eq!((fired.fired.len(), fired.beyond), (FIRED_MAX, 0));
    assert!(record_bytes(fired) < 128 << 10);
}

/// What a rule weighs is no less than what it adds to the record beside the row that each has, for any values of the variables.
#[test]
fn a_rule_weighs_at_least_what_it_adds_to_the_record() {
    let numbers: String = Variable::ALL.iter().map(|variable| format!("{{{{{}}}}}", variable.word())).collect();
    let texts = with(|terms| terms.actions.push(push("{{topupAmountMajor}}", &numbers)));
    let untagged = with(|terms| terms.actions = vec![Action::UnassignGroup { group: GroupId(1) }]);
    let longest = Variables { amount: Money(i64::MAX), bonus: Money(0), ..top_up(1) };
    let none = record_bytes(fired(&[], &longest));
    let row = record_bytes(fired(&[compiled("", "1")], &longest)) - none;
    for rule in [heavy("1"), Compiled::of(&texts).expect("a rule"), Compiled::of(&untagged).expect("a rule")] {
        for variables in [longest, Variables { amount: Money(50_001), ..longest }] {
            let adds = record_bytes(fired(std::slice::from_ref(&rule), &variables)) - none;
            assert!(adds <= row + rule.weight, "{adds} bytes, weight {}: {rule:?}", rule.weight);
        }
    }
}

/// A22: each rule sees the balances before the top-up, so the order of rules does not affect what is credited.
#[test]
fn the_order_of_rules_does_not_matter() {
    let seed = fastrand::u64(..);
    let mut sample = Sample::of(seed);
    for _ in 0..300 {
        let mut rules: Vec<Compiled> = (0..12).map(|_| sample.rule()).collect();
        let variables = Variables { bonus: Money(0), ..sample.variables() };
        let sorted = |rules: &[Compiled]| {
            let fired = fired(rules, &variables);
            let mut results: Vec<Option<i64>> = fired.fired.iter().map(|fired| fired.result).collect();
            results.sort_unstable();
            (results, fired.failed.len(), fired.bonus)
        };
        let before = sorted(&rules);
        sample.shuffle(&mut rules);
        let after = sorted(&rules);
        // Near the largest balance, the order does matter.
        let is_near = |bonus: Money| bonus.0 > i64::MAX / 2;
        assert!(before == after || is_near(before.2) || is_near(after.2), "seed {seed}: {variables:?}, {before:?}, {after:?}");
    }
    let doubling = [compiled("", "{{bonusBalanceMajor}} + 10"), compiled("bonusBalanceMajor = 0", "{{bonusBalanceMajor}} + 10")];
    assert_eq!(credited(&doubling, 100), [(1, 10), (2, 10)]);
}

/// U3: every variable but the source is a number, and has a range of its own.
#[test]
fn every_variable_but_the_source_is_a_number() {
    let axes: Vec<Axis> = Variable::ALL.into_iter().filter_map(Axis::of).collect();
    assert_eq!(axes, Axis::ALL);
    assert_eq!(Axis::of(Variable::TopUpSource), None);
    let mut at = top_up(0);
    for (place, axis) in Axis::ALL.into_iter().enumerate() {
        axis.put(&mut at, place as i64 + 1);
    }
    assert_eq!(Axis::ALL.map(|axis| axis.value(&at)), [1, 2, 3, 4, 5]);
    Axis::Sessions.put(&mut at, i64::MAX);
    assert_eq!(at.sessions, u32::MAX);
}
