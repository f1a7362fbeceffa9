//! Rules and groups as such: created, changed, switched, archived, restored, listed (U1, U7 to U12, A16, A32). `top_ups` tests
//! what rules do on top-ups; invalid texts are tested where they are parsed.
//!
//! Positions: the settings are at 1, so that the club is at 2.

use scrip_protocol::command::{
    Action, CredentialAdded, GROUPS_MAX, Grant, GroupRegistered, Lint, LintRule, LintRuleOutcome, ListGroups, ListRules,
    NAME_BYTES_MAX, Note, RULES_PER_PAGE, RuleArchived, RuleFailed, RuleFilter, RuleRestored, RuleSaved, RuleSwitched, RuleTerms,
    Secret, ShowRule, ShowRuleOutcome, TopUp,
};
use scrip_protocol::{ClientId, ClubId, CredentialId, GroupId, Money, Record, Role, RuleId, Settings, TopUpSource};
use scrip_rules::{Conditions, Formula, PushText};

use super::script::{check, check_with};
use super::{Bench, START_MS, stamp};
use crate::state::Mutation;

/// The terms of a rule as written.
pub(super) fn terms_of(bench: &Bench, rule: u32) -> RuleTerms {
    let ShowRuleOutcome::Rule(card) = bench.state.show_rule(&ShowRule { rule: RuleId(rule) }) else { panic!("it is there") };
    card.terms
}

/// Saves one more rule by its record alone: with thousands of rules, linting each against all others is not needed.
pub(super) fn save(bench: &mut Bench, terms: &RuleTerms) {
    let rule = bench.state.rules.next();
    let stamp = stamp(START_MS, 2_000_000_000 + u64::from(rule.0), 0);
    bench.follow(RuleSaved { stamp, rule, new: true, terms: terms.clone(), lint: Lint::default() }.into());
}

/// U9, U11, A32: a rule that is on applies to the next top-up; one that is off or archived does not fire and is kept unchanged; a
/// restored one is off.
#[test]
fn a_rule_fires_exactly_while_it_is_live() {
    let topped_up = |gaming: u32, bonus: u32, fired: u32, top_up: u32| {
        let credited = if fired > 0 { ", 1.00 credited" } else { "" };
        format!("topped up: gaming balance {gaming}.00{credited}, bonus balance {bonus}.00, rules fired {fired}, top-up {top_up}")
    };
    let steps = [
        ("club Arena", "registered as club 1".to_owned()),
        ("rule bonus=1 off", "created rule 1".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(1, 0, 0, 4)),
        ("switch-rule 1 on", "active: it fires on the next matching top-up".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(2, 1, 1, 6)),
        ("switch-rule 1 on", "active: it fires on the next matching top-up".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(3, 2, 1, 8)),
        ("switch-rule 1 off", "inactive: it does not fire".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(4, 2, 0, 10)),
        ("switch-rule 1 off", "inactive: it does not fire".to_owned()),
        ("switch-rule 1 on", "active: it fires on the next matching top-up".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(5, 3, 1, 13)),
        ("archive-rule 1", "archived: it no longer fires".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(6, 3, 0, 15)),
        ("rule-card 1", r#""a rule" archived, all clubs, fired 3, failed 0, 3.00 credited"#.to_owned()),
        ("restore-rule 1", "restored, switched off".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(7, 3, 0, 17)),
        ("rule-card 1", r#""a rule" inactive, all clubs, fired 3, failed 0, 3.00 credited"#.to_owned()),
        ("switch-rule 1 on", "active: it fires on the next matching top-up".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(8, 4, 1, 19)),
        // Archived while it is off: the restore does not turn it on.
        ("switch-rule 1 off", "inactive: it does not fire".to_owned()),
        ("archive-rule 1", "archived: it no longer fires".to_owned()),
        ("restore-rule 1", "restored, switched off".to_owned()),
        ("top-up 7 1.00 CASH", topped_up(9, 4, 0, 23)),
    ];
    let (script, expected): (Vec<_>, Vec<_>) = steps.iter().map(|(line, answer)| (*line, answer.as_str())).unzip();
    check(&script.join("\n"), &expected.join("\n"));
}

/// U10: a changed rule applies to the next top-up as a whole: its clubs, conditions, actions and switch.
#[test]
fn a_changed_rule_applies_to_the_next_top_up() {
    check(
        r#"
        club Arena
        club Base
        group VIP
        rule name=ten if="topupAmountMajor >= 10" bonus=10 tags=a
        top-up 7 10.00 CASH
        update-rule 1 name=twenty if="topupAmountMajor < 10" clubs=2 bonus=20 assign=1 tags=b
        top-up 7 10.00 CASH club=2
        top-up 7 9.99 CASH club=1
        top-up 7 9.99 CASH club=2
        entries 10
        rule-card 1
        update-rule 1 bonus=30 off
        top-up 7 9.99 CASH club=2
        switch-rule 1 on
        top-up 7 10.00 CASH
        fired 14
        update-rule 1 bonus=30 assign=2
        update-rule 1 bonus=30 clubs=3
        top-up 7 10.00 CASH
        rule-card 1
        "#,
        r#"
        registered as club 1
        registered as club 2
        registered as group 1
        created rule 1
        topped up: gaming balance 10.00, 10.00 credited, bonus balance 10.00, rules fired 1, top-up 6
        updated
        topped up: gaming balance 20.00, bonus balance 10.00, rules fired 0, top-up 8
        topped up: gaming balance 29.99, bonus balance 10.00, rules fired 0, top-up 9
        topped up: gaming balance 39.98, 20.00 credited, bonus balance 30.00, rules fired 1, top-up 10
        7 gaming 9.99: Top-Up / System 1; 7 bonus 20.00: Bonus Credit / System, of rule 1 #b
        "twenty" active, clubs 2, fired 2, failed 0, 30.00 credited
        updated
        topped up: gaming balance 49.97, bonus balance 30.00, rules fired 0, top-up 12
        active: it fires on the next matching top-up
        topped up: gaming balance 59.97, 30.00 credited, bonus balance 60.00, rules fired 1, top-up 14
        rule 1: 30
        refused: the organisation has no group 2
        refused: the organisation has no club 3
        topped up: gaming balance 69.97, 30.00 credited, bonus balance 90.00, rules fired 1, top-up 17
        "a rule" active, all clubs, fired 4, failed 0, 90.00 credited
        "#,
    );
}

/// U9, U10: an update changes what it names, so that updates of different parts keep each other; none switches a rule on again that
/// was switched off after the update was written.
#[test]
fn an_update_undoes_no_other_change() {
    check(
        r#"
        club Arena
        rule name=ten if="topupAmountMajor >= 10" bonus=10
        update-rule 1 only name=renamed
        update-rule 1 only clubs=1
        switch-rule 1 off
        update-rule 1 only if="topupAmountMajor >= 20"
        rule-card 1
        update-rule 1 name=whole bonus=1
        update-rule 1 name= bonus=1
        rule-card 1
        update-rule 1 name=whole bonus=1 off
        rule-card 1
        switch-rule 1 on
        update-rule 1 name=again bonus=1
        update-rule 1 name=again bonus=1 off
        rule-card 1
        "#,
        r#"
        registered as club 1
        created rule 1
        updated
        updated
        inactive: it does not fire
        updated
        "renamed" inactive, clubs 1, fired 0, failed 0, 0.00 credited
        refused: the rule is inactive, and an update does not activate it; activate it first, or update it as inactive
        refused: a rule's name has 1 to 200 bytes
        "renamed" inactive, clubs 1, fired 0, failed 0, 0.00 credited
        updated
        "whole" inactive, all clubs, fired 0, failed 0, 0.00 credited
        active: it fires on the next matching top-up
        updated
        updated
        "again" inactive, all clubs, fired 0, failed 0, 0.00 credited
        "#,
    );
}

/// U9, U10, U11: each request has the defect that it is refused for, and all that come after it.
#[test]
fn refusals_of_rules_come_in_order_of_precedence() {
    check(
        r#"
        rule bonus=1
        update-rule 0 name=
        update-rule 2 name=
        switch-rule 0 on
        switch-rule 2 on
        archive-rule 0
        archive-rule 2
        restore-rule 0
        restore-rule 2
        restore-rule 1
        archive-rule 1
        archive-rule 1
        switch-rule 1 on
        switch-rule 1 off
        update-rule 1 name=
        restore-rule 1
        restore-rule 1
        update-rule 1 name=
        switch-rule 1 on
        rule-card 0
        rule-card 2
        "#,
        r#"
        created rule 1
        refused: there is no such rule
        refused: there is no such rule
        refused: there is no such rule
        refused: there is no such rule
        refused: there is no such rule
        refused: there is no such rule
        refused: there is no such rule
        refused: there is no such rule
        refused: the rule is not archived
        archived: it no longer fires
        refused: the rule is already archived
        refused: the rule is archived; restore it first
        refused: the rule is archived; restore it first
        refused: the rule is archived; restore it first
        restored, switched off
        refused: the rule is not archived
        refused: a rule's name has 1 to 200 bytes
        active: it fires on the next matching top-up
        unknown
        unknown
        "#,
    );
}

/// U1, U4, U5, U12, U13, A16, A31, B6: an invalid rule is refused with its reason, and takes no number.
#[test]
fn invalid_rules_are_refused() {
    // With the messages of the parsers.
    let (conditions, formula, body) = ("topupAmountMajor >= 499.5", "topupAmountMajor * 0.1", "for {{nobody}}");
    let of_conditions = Conditions::parse(conditions).expect_err("thresholds are whole");
    let of_formula = Formula::parse(formula).expect_err("a name stands in braces");
    let of_body = PushText::parse(body).expect_err("there is no such variable");
    let title = "t".repeat(41);
    let refused = [
        (r#"name=" " bonus="#.to_owned(), "a rule's name has 1 to 200 bytes".to_owned()),
        (r#"bonus=1 clubs=1,2"#.to_owned(), "the organisation has no club 2".to_owned()),
        (format!(r#"if="{conditions}" bonus=1"#), format!("the conditions, {of_conditions}")),
        (String::new(), "a rule has 1 to 8 actions".to_owned()),
        (
            "assign=1 unassign=1".to_owned(),
            "action 2: a rule has at most one ADD_BONUS and one SEND_PUSH, and one action for each group".to_owned(),
        ),
        (format!(r#"bonus="{formula}""#), format!("the formula, {of_formula}")),
        ("bonus=1 assign=1,2".to_owned(), "the organisation has no group 2".to_owned()),
        ("bonus=1 unassign=0".to_owned(), "the organisation has no group 0".to_owned()),
        ("title=Hello".to_owned(), "the push notification's body is empty".to_owned()),
        (format!(r#"title=Hello body="{body}""#), format!("the push notification's body, {of_body}")),
        (
            format!("title={title} body=there"),
            "the push notification's title has 41 characters; at most 40 are allowed".to_owned(),
        ),
        ("bonus=1 tags=a,".to_owned(), "tag 2: a tag has 1 to 50 bytes, and no control characters".to_owned()),
    ];
    let mut script = vec!["club Arena".to_owned(), "group VIP".to_owned()];
    let mut expected = vec!["registered as club 1".to_owned(), "registered as group 1".to_owned()];
    for (rule, why) in &refused {
        script.push(format!("rule {rule}"));
        expected.push(format!("refused: {why}"));
    }
    script.extend(["rules present".to_owned(), "rule bonus=1 clubs=1 assign=1".to_owned()]);
    expected.extend(["none".to_owned(), "created rule 1".to_owned()]);
    for (rule, why) in &refused {
        script.push(format!("update-rule 1 {rule}"));
        expected.push(format!("refused: {why}"));
    }
    script.extend(["rule-card 1".to_owned(), "top-up 7 1.00 CASH".to_owned()]);
    let position = 1 + 2 + 2 * refused.len() + 2;
    expected.push(r#""a rule" active, clubs 1, fired 0, failed 0, 0.00 credited"#.to_owned());
    expected.push(format!("topped up: gaming balance 1.00, 1.00 credited, bonus balance 1.00, rules fired 1, top-up {position}"));
    check(&script.join("\n"), &expected.join("\n"));
}

/// U10: a rule's card has everything as written, to fill the form with, its lists in order, and the times of creation, change and
/// archiving.
#[test]
fn a_card_has_all_of_a_rule() {
    let bench = check_with(
        Settings::default(),
        r#"
        club Arena
        club Base
        group VIP
        rule name="10% on top-ups" about="for a quiet month" clubs=2,1,2 if="topupAmountMajor>=10  and topUpSource = CASH" bonus=" {{ topupAmountMajor }}*0.10" unassign=1 title=Hi body=there tags=z,a,z
        at 1000
        update-rule 1 name="10% on top-ups" about="for a quiet month" clubs=2,1,2 if="topupAmountMajor>=10  and topUpSource = CASH" bonus=" {{ topupAmountMajor }}*0.10" unassign=1 title=Hi body=there tags=z,a,z
        at 2000
        switch-rule 1 off
        at 3000
        archive-rule 1
        "#,
        r#"
        registered as club 1
        registered as club 2
        registered as group 1
        created rule 1
        updated
        inactive: it does not fire
        archived: it no longer fires
        "#,
    );
    let ShowRuleOutcome::Rule(card) = bench.state.show_rule(&ShowRule { rule: RuleId(1) }) else { panic!("it is there") };
    let expected = RuleTerms {
        name: "10% on top-ups".into(),
        description: "for a quiet month".into(),
        active: false,
        clubs: vec![ClubId(1), ClubId(2)],
        event: scrip_protocol::command::RuleEvent::BalanceToppedUp,
        conditions: "topupAmountMajor>=10  and topUpSource = CASH".into(),
        actions: vec![
            Action::AddBonus { formula: " {{ topupAmountMajor }}*0.10".into() },
            Action::UnassignGroup { group: GroupId(1) },
            Action::SendPush(scrip_protocol::command::Push { title: "Hi".into(), body: "there".into() }),
        ],
        tags: vec!["a".into(), "z".into()],
    };
    assert_eq!(card.terms, expected);
    let times = (card.created_ms - START_MS, card.changed_ms - START_MS, card.archived_ms.map(|at_ms| at_ms - START_MS));
    assert_eq!((times, card.as_of), ((0, 1_000, Some(3_000)), bench.state.position()));
    let Some((_, Record::RuleSaved(record))) = bench.records.get(5) else { panic!("the change is the sixth record") };
    assert_eq!((record.new, &record.terms), (false, &RuleTerms { active: true, ..expected }));
}

/// U10, U11: the list shows rules by their switch and their clubs, archived ones separately.
#[test]
fn rules_are_listed_by_status_and_club() {
    check(
        r#"
        club Arena
        club Base
        rule bonus=1
        rule bonus=1 clubs=2 off
        rule bonus=1 clubs=1
        rule bonus=1 off
        rule bonus=1 clubs=1,2
        archive-rule 3
        archive-rule 4
        rules present
        rules active
        rules inactive
        rules archived
        rules present club=1
        rules active club=2
        rules inactive club=1
        rules archived club=2
        rules present club=9
        restore-rule 3
        rules inactive
        rules archived
        "#,
        r#"
        registered as club 1
        registered as club 2
        created rule 1
        created rule 2
        created rule 3
        created rule 4
        created rule 5
        archived: it no longer fires
        archived: it no longer fires
        1; 2; 5
        1; 5
        2
        3; 4
        1; 5
        1; 5
        none
        4
        1
        restored, switched off
        2; 3
        4
        "#,
    );
}

/// U8, U10: all rules are listed, page by page, however many there are.
#[test]
fn rules_are_listed_page_by_page() {
    let rules = 2 * RULES_PER_PAGE + 1;
    let mut bench = check_with(Settings::default(), "rule bonus=1", "created rule 1");
    let terms = terms_of(&bench, 1);
    (1..rules).for_each(|_| save(&mut bench, &terms));
    let (mut listed, mut after) = (Vec::new(), Some(RuleId(0)));
    while let Some(from) = after {
        let page = bench.state.list_rules(&ListRules { after: from, filter: RuleFilter::Present, club: ClubId(0) });
        assert!(page.rules.len() <= RULES_PER_PAGE && page.as_of == bench.state.position());
        listed.extend(page.rules.iter().map(|card| card.rule.0 as usize));
        after = page.next;
    }
    assert!(listed.into_iter().eq(1..=rules));
    bench.compare_with_replay();
}

/// Z12: a draft is checked like a saved rule, and leaves nothing behind.
#[test]
fn a_draft_is_checked_and_not_saved() {
    let bench = check_with(Settings::default(), "rule bonus=1", "created rule 1");
    let terms = terms_of(&bench, 1);
    let lint =
        |replaces, terms: &RuleTerms| bench.state.lint_rule(&LintRule { terms: terms.clone(), replaces: RuleId(replaces) });
    for replaces in [0, 1] {
        let LintRuleOutcome::Lint { as_of, .. } = lint(replaces, &terms) else { panic!("it is a rule") };
        assert_eq!(as_of, bench.state.position());
    }
    let nameless = RuleTerms { name: String::new(), ..terms };
    assert_eq!(lint(2, &nameless), LintRuleOutcome::UnknownRule);
    assert_eq!(lint(1, &nameless), LintRuleOutcome::InvalidRule(scrip_protocol::command::InvalidRule::Name));
    assert_eq!((bench.state.position().0, bench.state.rules.next()), (2, RuleId(2)));
}

/// U12: a group's name is unique and of limited length; the number of groups is limited.
#[test]
fn groups_have_unique_names() {
    let (long, too_long) = ("n".repeat(NAME_BYTES_MAX), "n".repeat(NAME_BYTES_MAX + 1));
    let mut bench = check_with(
        Settings::default(),
        &format!("group VIP\ngroup\ngroup \" \"\ngroup {too_long}\ngroup VIP\ngroup vip\ngroup {long}\ngroups"),
        &format!(
            r#"
            registered as group 1
            refused: a group's name has 1 to 200 bytes
            refused: a group's name has 1 to 200 bytes
            refused: a group's name has 1 to 200 bytes
            refused: group 1 already has that name
            registered as group 2
            registered as group 3
            1 VIP has 0; 2 vip has 0; 3 {long} has 0
            "#
        ),
    );
    let secret = Secret::Token([1; 32]);
    let grant = Grant { name: "Operator".into(), role: Role::Operator, clubs: Vec::new(), reasons: true, secret };
    bench.follow(CredentialAdded { stamp: None, credential: CredentialId(1), grant }.into());
    for number in 4..GROUPS_MAX as u32 {
        let stamp = stamp(START_MS, u64::from(number), 0);
        bench.follow(GroupRegistered { stamp, group: GroupId(number), name: number.to_string() }.into());
    }
    let register = |bench: &mut Bench, number: u64, name: &str| {
        let request = Mutation::RegisterGroup(scrip_protocol::command::RegisterGroup { name: name.to_owned() });
        let super::Answer::New(reply) = bench.run(stamp(START_MS, 1_000_000_000 + number, 0), &request) else {
            panic!("it is new")
        };
        super::script::printed(&reply)
    };
    assert_eq!(register(&mut bench, 1, "last"), "registered as group 10000");
    // A duplicate name, or none, is reported first.
    assert_eq!(register(&mut bench, 2, ""), "refused: a group's name has 1 to 200 bytes");
    assert_eq!(register(&mut bench, 3, "last"), "refused: group 10000 already has that name");
    assert_eq!(
        register(&mut bench, 4, "one more"),
        "refused: at most 10000 groups are allowed; the last tenth is reserved for operators"
    );
    let (mut listed, mut after) = (Vec::new(), GroupId(0));
    loop {
        let page = bench.state.list_groups(&ListGroups { after });
        let Some(last) = page.groups.last() else { break };
        after = last.group;
        listed.extend(page.groups.iter().map(|group| group.group.0));
    }
    assert!(listed.into_iter().eq(1..=GROUPS_MAX as u32));
    bench.compare_with_replay();
}

/// A journal from elsewhere cannot stop the engine: references to missing rules or groups have no effect, an invalid rule never
/// fires, and nothing else in those records is lost.
#[test]
fn records_with_missing_references_are_harmless() {
    let mut bench = check_with(
        Settings::default(),
        "club Arena\ngroup VIP\nrule bonus=1 assign=1\ntop-up 7 1.00 CASH\nrule bonus=1 off",
        "registered as club 1\nregistered as group 1\ncreated rule 1\n\
         topped up: gaming balance 1.00, 1.00 credited, bonus balance 1.00, rules fired 1, top-up 5\ncreated rule 2",
    );
    let terms = terms_of(&bench, 1);
    let torn = RuleTerms { conditions: "later >= 1".into(), ..terms.clone() };
    let stamp = |number: u64| stamp(START_MS, 3_000_000_000 + number, 0);
    let saved = |number, rule, new, terms: &RuleTerms| RuleSaved {
        stamp: stamp(number),
        rule: RuleId(rule),
        new,
        terms: terms.clone(),
        lint: Lint::default(),
    };
    // Neither a missing rule, nor one far ahead of the existing ones.
    bench.follow(saved(1, 0, true, &terms).into());
    bench.follow(saved(2, 9, true, &terms).into());
    bench.follow(RuleSwitched { stamp: stamp(3), rule: RuleId(9), active: true }.into());
    bench.follow(RuleArchived { stamp: stamp(4), rule: RuleId(0) }.into());
    bench.follow(RuleRestored { stamp: stamp(5), rule: RuleId(9) }.into());
    // The second is no longer valid, and the third never was.
    bench.follow(saved(6, 2, false, &torn).into());
    bench.follow(saved(7, 3, true, &torn).into());
    bench.follow(RuleSwitched { stamp: stamp(8), rule: RuleId(3), active: true }.into());
    assert_eq!((bench.state.rules.next(), terms_of(&bench, 3)), (RuleId(4), torn));
    let Record::ToppedUp(mut top_up) = bench.records[4].1.clone() else { panic!("the top-up stands at 5") };
    top_up.stamp = stamp(9);
    (top_up.gaming, top_up.bonus) = (Money(300), Money(200));
    top_up.fired[0].rule = RuleId(9);
    (top_up.fired[0].assigned, top_up.fired[0].unassigned) = (vec![GroupId(0), GroupId(9)], vec![GroupId(0), GroupId(9)]);
    top_up.failed = vec![RuleFailed { rule: RuleId(0), why: scrip_protocol::FormulaFailure::Overflow }];
    bench.follow(top_up.into());
    let has = bench.state.clients.accounts(ClientId(7)).map(|has| (has.gaming, has.bonus));
    assert_eq!(has, Some((Money(300), Money(200))));
    assert_eq!(*bench.state.groups.of_client(ClientId(7)), [GroupId(1)]);
    // One fires as it did before.
    let request =
        TopUp { client: ClientId(8), club: ClubId(1), amount: Money(100), source: TopUpSource::Cash, note: Note::default() };
    let super::Answer::New(reply) = bench.run(stamp(10), &Mutation::TopUp(Box::new(request))) else { panic!("it is new") };
    let expected = "topped up: gaming balance 1.00, 1.00 credited, bonus balance 1.00, rules fired 1, top-up 16";
    assert_eq!(super::script::printed(&reply), expected);
    bench.compare_with_replay();
}
