//! Rules on top-ups: which ones fire, what they credit, and what is clawed back (U2 to U9, U12, A12, A19 to A23, A29, A31).
//! `rules` tests how rules as such are saved and listed.
//!
//! Positions: the settings are at 1, so that the club is at 2 and the first rule at 3.

use scrip_protocol::command::{FIRED_MAX, Note, TopUp};
use scrip_protocol::{ClientId, ClubId, Money, Position, Record, RuleId, Settings, TopUpSource};

use super::rules::{save, terms_of};
use super::script::{check, check_with, printed};
use super::{Answer, START_MS, stamp};
use crate::state::Mutation;
use crate::state::refund::activation_of;

/// Top-ups of clients with empty balances: the amount, what rules credit, and how many fire.
#[track_caller]
fn check_credits(rules: &[&str], top_ups: &[(&str, &str, u32)]) {
    let (mut script, mut expected) = (vec!["club Arena".to_owned()], vec!["registered as club 1".to_owned()]);
    for (rule, number) in rules.iter().zip(1..) {
        script.push(format!("rule {rule}"));
        expected.push(format!("created rule {number}"));
    }
    for ((amount, credit, fired), client) in top_ups.iter().zip(1..) {
        script.push(format!("top-up {client} {amount} CASH"));
        let credited = if *credit == "0.00" { String::new() } else { format!(", {credit} credited") };
        let top_up = 2 + rules.len() + client;
        let after = format!("bonus balance {credit}, rules fired {fired}, top-up {top_up}");
        expected.push(format!("topped up: gaming balance {amount}{credited}, {after}"));
    }
    check(&script.join("\n"), &expected.join("\n"));
}

/// U5, U6, A20: the formulas of the sources, rounded to whole units, ties away from zero.
#[test]
fn formulas_of_the_sources_credit_what_they_say() {
    for percent in ["0.1", "0.10"] {
        let rule = format!(r#"bonus="{{{{topupAmountMajor}}}} * {percent}""#);
        check_credits(
            &[&rule],
            &[
                ("500.00", "50.00", 1),
                ("1000.00", "100.00", 1),
                ("4.99", "0.00", 1),
                ("5.00", "1.00", 1),
                ("14.99", "1.00", 1),
                ("15.00", "2.00", 1),
            ],
        );
    }
    check_credits(
        &[r#"bonus="{{topupAmountMajor}} * 0.05 + 50""#],
        &[
            ("1000.00", "100.00", 1),
            ("0.01", "50.00", 1),
            ("9.99", "50.00", 1),
            ("10.00", "51.00", 1),
            ("29.99", "51.00", 1),
            ("30.00", "52.00", 1),
        ],
    );
    check_credits(
        &[r#"bonus="{{topupAmountMajor}} * 0.15""#],
        &[("1000.00", "150.00", 1), ("3.33", "0.00", 1), ("3.34", "1.00", 1)],
    );
}

/// U4, U7, U14, A18, A19: the tiers of the table, for an average of 100, have only lower bounds: from the highest on all three
/// fire.
#[test]
fn tiers_with_lower_bounds_alone_stack() {
    check_credits(
        &[
            r#"if="topupAmountMajor >= 130" bonus="{{topupAmountMajor}} * 0.05""#,
            r#"if="topupAmountMajor >= 250" bonus="{{topupAmountMajor}} * 0.12""#,
            r#"if="topupAmountMajor >= 500" bonus="{{topupAmountMajor}} * 0.20""#,
        ],
        &[
            ("129.99", "0.00", 0),
            // 6.5
            ("130.00", "7.00", 1),
            // 12.4995
            ("249.99", "12.00", 1),
            // 12.5 and 30
            ("250.00", "43.00", 2),
            // 24.9995 and 59.9988
            ("499.99", "85.00", 2),
            // 0.37 in all
            ("500.00", "185.00", 3),
            ("1000.00", "370.00", 3),
        ],
    );
}

/// U4, U7, A19: half-open ranges do not overlap, and have no gap of a cent.
#[test]
fn tiers_of_half_open_ranges_do_not_stack() {
    check_credits(
        &[
            r#"if="topupAmountMajor >= 130 AND topupAmountMajor < 250" bonus="{{topupAmountMajor}} * 0.05""#,
            r#"if="topupAmountMajor >= 250 AND topupAmountMajor < 500" bonus="{{topupAmountMajor}} * 0.12""#,
            r#"if="topupAmountMajor >= 500" bonus="{{topupAmountMajor}} * 0.20""#,
        ],
        &[
            ("129.99", "0.00", 0),
            ("130.00", "7.00", 1),
            ("249.99", "12.00", 1),
            ("250.00", "30.00", 1),
            ("499.99", "60.00", 1),
            ("500.00", "100.00", 1),
            ("1000.00", "200.00", 1),
        ],
    );
}

/// U7, A18: "from 500" and "from 1000" both fire at 1000, independently.
#[test]
fn from_500_and_from_1000_both_fire_at_1000() {
    check_credits(
        &[r#"if="topupAmountMajor >= 500" bonus=50"#, r#"if="topupAmountMajor >= 1000" bonus=120"#],
        &[
            ("499.99", "0.00", 0),
            ("500.00", "50.00", 1),
            ("999.99", "50.00", 1),
            ("1000.00", "170.00", 2),
            ("92233720368547758.07", "170.00", 2),
        ],
    );
}

/// A23, U7: a top-up on which two rules fire is one record with one movement of money, and counts for each of the rules.
#[test]
fn two_rules_on_one_top_up_are_two_firings_of_one_top_up() {
    check(
        r#"
        club Arena
        rule bonus=50
        rule bonus=120
        top-up 7 1000.00 CASH
        top-up 8 10.00 CASH
        entries 5
        rule-card 1
        rule-card 2
        accounts 7
        "#,
        r#"
        registered as club 1
        created rule 1
        created rule 2
        topped up: gaming balance 1000.00, 170.00 credited, bonus balance 170.00, rules fired 2, top-up 5
        topped up: gaming balance 10.00, 170.00 credited, bonus balance 170.00, rules fired 2, top-up 6
        7 gaming 1000.00: Top-Up / System 1; 7 bonus 50.00: Bonus Credit / System, of rule 1; 7 bonus 120.00: Bonus Credit / System, of rule 2
        "a rule" active, all clubs, fired 2, failed 0, 100.00 credited
        "a rule" active, all clubs, fired 2, failed 0, 240.00 credited
        gaming 1000.00, bonus 170.00, 0.00 spent, sessions 0
        "#,
    );
}

/// U2, U4: a rule fires on top-ups of every source, unless it names one.
#[test]
fn rules_fire_by_source() {
    check(
        r#"
        club Arena
        rule bonus=1
        rule if="topUpSource = ACQUIRING" bonus=10
        rule if="topUpSource != CASH AND topupAmountMajor >= 5" bonus=100
        top-up 1 5.00 ACQUIRING
        top-up 2 5.00 POS_TERMINAL
        top-up 3 5.00 CASH
        top-up 4 4.99 ACQUIRING
        "#,
        r#"
        registered as club 1
        created rule 1
        created rule 2
        created rule 3
        topped up: gaming balance 5.00, 111.00 credited, bonus balance 111.00, rules fired 3, top-up 6
        topped up: gaming balance 5.00, 101.00 credited, bonus balance 101.00, rules fired 2, top-up 7
        topped up: gaming balance 5.00, 1.00 credited, bonus balance 1.00, rules fired 1, top-up 8
        topped up: gaming balance 4.99, 11.00 credited, bonus balance 11.00, rules fired 2, top-up 9
        "#,
    );
}

/// U1: a rule fires at the clubs that it names; without any, at all of them, including those registered later.
#[test]
fn rules_fire_at_their_clubs() {
    check(
        r#"
        club Arena
        club Base
        rule bonus=1
        rule clubs=2,1,2 bonus=10
        rule clubs=2 bonus=100
        club Cave
        top-up 7 1.00 CASH club=1
        top-up 7 1.00 CASH club=2
        top-up 7 1.00 CASH club=3
        "#,
        r#"
        registered as club 1
        registered as club 2
        created rule 1
        created rule 2
        created rule 3
        registered as club 3
        topped up: gaming balance 1.00, 11.00 credited, bonus balance 11.00, rules fired 2, top-up 8
        topped up: gaming balance 2.00, 111.00 credited, bonus balance 122.00, rules fired 3, top-up 9
        topped up: gaming balance 3.00, 1.00 credited, bonus balance 123.00, rules fired 1, top-up 10
        "#,
    );
}

/// U3, A22: every variable has its value from before the top-up, whatever other rules credit; the top-up itself is not spending.
#[test]
fn variables_are_read_once_before_any_effect() {
    check(
        r#"
        club Arena
        rule bonus="{{bonusBalanceMajor}} + 10"
        rule if="bonusBalanceMajor = 0" bonus="{{bonusBalanceMajor}} + 20"
        rule bonus="{{gamingBalanceMajor}} * 1000"
        rule if="totalSpentMajor = 0" bonus="100000 + {{totalSpentMajor}}"
        rule if="totalSpentMajor > 0" bonus="200000 + {{totalSpentMajor}}"
        rule if="sessionsCount >= 1" bonus="1000000 * {{sessionsCount}}"
        top-up 7 3.00 CASH
        fired 9
        top-up 7 4.00 CASH
        fired 10
        session 7 2.00
        top-up 7 1.00 CASH
        fired 12
        "#,
        r#"
        registered as club 1
        created rule 1
        created rule 2
        created rule 3
        created rule 4
        created rule 5
        created rule 6
        topped up: gaming balance 3.00, 100030.00 credited, bonus balance 100030.00, rules fired 4, top-up 9
        rule 1: 10; rule 2: 20; rule 3: 0; rule 4: 100000
        topped up: gaming balance 7.00, 203040.00 credited, bonus balance 303070.00, rules fired 3, top-up 10
        rule 1: 100040; rule 3: 3000; rule 4: 100000
        recorded: gaming balance 5.00, 2.00 spent in total, sessions 1, operation 11
        topped up: gaming balance 6.00, 1508082.00 credited, bonus balance 1811152.00, rules fired 4, top-up 12
        rule 1: 303080; rule 3: 5000; rule 5: 200002; rule 6: 1000000
        "#,
    );
}

/// U3: spending and sessions are fed by sessions and purchases, from the balance or not; not by top-ups, refunds, or payments
/// with bonuses.
#[test]
fn sessions_and_purchases_feed_the_variables_and_top_ups_do_not() {
    check(
        r#"
        club Arena
        rule bonus="{{totalSpentMajor}} * 1000 + {{sessionsCount}}"
        top-up 7 100.00 CASH
        top-up 7 1.00 CASH
        fired 5
        session 7 2.00
        purchase 7 5.00
        session 7 3.00 directly
        purchase 7 7.00 directly
        session 7 0
        top-up 7 1.00 CASH
        fired 11
        pay 7 10.00
        pay 7 10.00 order
        refund-payment 12
        write-off 7 1.00
        refund-top-up 5
        session 7 1000.00
        top-up 7 1.00 CASH
        fired 18
        accounts 7
        "#,
        r#"
        registered as club 1
        created rule 1
        topped up: gaming balance 100.00, bonus balance 0.00, rules fired 1, top-up 4
        topped up: gaming balance 101.00, bonus balance 0.00, rules fired 1, top-up 5
        rule 1: 0
        recorded: gaming balance 99.00, 2.00 spent in total, sessions 1, operation 6
        recorded: gaming balance 94.00, 7.00 spent in total, sessions 1, operation 7
        recorded: gaming balance 94.00, 10.00 spent in total, sessions 2, operation 8
        recorded: gaming balance 94.00, 17.00 spent in total, sessions 2, operation 9
        recorded: gaming balance 94.00, 17.00 spent in total, sessions 3, operation 10
        topped up: gaming balance 95.00, 17003.00 credited, bonus balance 17003.00, rules fired 1, top-up 11
        rule 1: 17003
        Bonus Payment: 10.00, bonus balance 16993.00, operation 12
        Bonus Payment: 10.00, bonus balance 16983.00, operation 13
        Bonus Refund: 10.00, bonus balance 16993.00, operation 14
        Bonus Write-Off: 1.00, bonus balance 16992.00, operation 15
        refunded: 1.00, gaming balance 94.00, bonus balance 16992.00
        refused: the gaming balance is only 94.00
        topped up: gaming balance 95.00, 17003.00 credited, bonus balance 33995.00, rules fired 1, top-up 18
        rule 1: 17003
        gaming 95.00, bonus 33995.00, 17.00 spent, sessions 3
        "#,
    );
}

/// A20: a rule that cannot be evaluated has no effect, and the others fire; the top-up is done.
#[test]
fn a_rule_that_fails_fails_alone() {
    check(
        r#"
        club Arena
        group VIP
        rule bonus=1
        rule bonus="100 / {{sessionsCount}}" assign=1 title=Hello body=there
        rule bonus=20
        rule bonus="{{topupAmountMajor}} * 100000000000000000" assign=1
        rule bonus=92233720368547758 assign=1
        rule bonus=300
        top-up 7 1.00 CASH
        fired 10
        entries 10
        accounts 7
        rule-card 2
        rule-card 3
        rule-card 5
        # What no balance can hold, and what this one cannot on top of the others, was an overflow. Smaller, and alone, both are had.
        switch-rule 5 off
        top-up 8 0.01 CASH
        fired 12
        session 7 0
        top-up 7 0.10 CASH
        fired 14
        "#,
        r#"
        registered as club 1
        registered as group 1
        created rule 1
        created rule 2
        created rule 3
        created rule 4
        created rule 5
        created rule 6
        topped up: gaming balance 1.00, 321.00 credited, bonus balance 321.00, rules fired 3, failed 3, top-up 10
        rule 1: 1; rule 3: 20; rule 6: 300; rule 2 failed: division_by_zero; rule 4 failed: overflow; rule 5 failed: overflow
        7 gaming 1.00: Top-Up / System 1; 7 bonus 1.00: Bonus Credit / System, of rule 1; 7 bonus 20.00: Bonus Credit / System, of rule 3; 7 bonus 300.00: Bonus Credit / System, of rule 6
        gaming 1.00, bonus 321.00, 0.00 spent, sessions 0
        "a rule" active, all clubs, fired 0, failed 1, 0.00 credited
        "a rule" active, all clubs, fired 1, failed 0, 20.00 credited
        "a rule" active, all clubs, fired 0, failed 1, 0.00 credited
        inactive: it does not fire
        topped up: gaming balance 0.01, 1000000000000321.00 credited, bonus balance 1000000000000321.00, rules fired 4, failed 1, top-up 12
        rule 1: 1; rule 3: 20; rule 4: 1000000000000000, assigned 1; rule 6: 300; rule 2 failed: division_by_zero
        recorded: gaming balance 1.00, 0.00 spent in total, sessions 1, operation 13
        topped up: gaming balance 1.10, 10000000000000421.00 credited, bonus balance 10000000000000742.00, rules fired 5, top-up 14
        rule 1: 1; rule 2: 100, assigned 1, push "Hello" "there"; rule 3: 20; rule 4: 10000000000000000, assigned 1; rule 6: 300
        "#,
    );
}

/// A20, A21: a bonus balance is filled to its maximum, and then credits fail while top-ups continue.
#[test]
fn a_full_bonus_balance_does_not_prevent_top_ups() {
    check(
        r#"
        club Arena
        rule bonus=92233720368547758
        rule bonus=-1
        rule bonus=0.4
        client 8
        credit 8 0.07
        top-up 8 1.00 CASH
        fired 8
        top-up 8 1.00 CASH
        fired 9
        credit 8 0.01
        pay 8 0.99
        switch-rule 1 off
        rule bonus=1
        top-up 8 1.00 CASH
        pay 8 0.01
        top-up 8 1.00 CASH
        accounts 8
        rule-card 1
        rule-card 2
        "#,
        r#"
        registered as club 1
        created rule 1
        created rule 2
        created rule 3
        registered
        Bonus Credit: 0.07, bonus balance 0.07, operation 7
        topped up: gaming balance 1.00, 92233720368547758.00 credited, bonus balance 92233720368547758.07, rules fired 3, top-up 8
        rule 1: 92233720368547758; rule 2: -1; rule 3: 0
        topped up: gaming balance 2.00, bonus balance 92233720368547758.07, rules fired 2, failed 1, top-up 9
        rule 2: -1; rule 3: 0; rule 1 failed: overflow
        refused: the amount would overflow the bonus balance
        Bonus Payment: 0.99, bonus balance 92233720368547757.08, operation 11
        inactive: it does not fire
        created rule 4
        topped up: gaming balance 3.00, bonus balance 92233720368547757.08, rules fired 2, failed 1, top-up 14
        Bonus Payment: 0.01, bonus balance 92233720368547757.07, operation 15
        topped up: gaming balance 4.00, 1.00 credited, bonus balance 92233720368547758.07, rules fired 3, top-up 16
        gaming 4.00, bonus 92233720368547758.07, 0.00 spent, sessions 0
        "a rule" inactive, all clubs, fired 1, failed 1, 92233720368547758.00 credited
        "a rule" active, all clubs, fired 4, failed 0, 0.00 credited
        "#,
    );
}

/// A20: a rule with a result of 0 or less has fired, is recorded, and credits nothing; its other actions are done.
#[test]
fn a_result_of_nothing_is_recorded_and_credits_nothing() {
    check(
        r#"
        club Arena
        group VIP
        rule bonus="{{topupAmountMajor}} - 10" assign=1 title=Hello body="you have {{gamingBalanceMajor}}"
        top-up 7 9.50 CASH
        fired 5
        entries 5
        top-up 8 9.51 CASH
        fired 6
        entries 6
        accounts 8
        top-up 9 4.00 CASH
        fired 7
        top-up 7 10.50 CASH
        fired 8
        rule-card 1
        groups
        "#,
        r#"
        registered as club 1
        registered as group 1
        created rule 1
        topped up: gaming balance 9.50, bonus balance 0.00, rules fired 1, top-up 5
        rule 1: -1, assigned 1, push "Hello" "you have 0"
        7 gaming 9.50: Top-Up / System 1
        topped up: gaming balance 9.51, bonus balance 0.00, rules fired 1, top-up 6
        rule 1: 0, assigned 1, push "Hello" "you have 0"
        8 gaming 9.51: Top-Up / System 1
        gaming 9.51, bonus 0.00, 0.00 spent, sessions 0, in group 1
        topped up: gaming balance 4.00, bonus balance 0.00, rules fired 1, top-up 7
        rule 1: -6, assigned 1, push "Hello" "you have 0"
        topped up: gaming balance 20.00, 1.00 credited, bonus balance 1.00, rules fired 1, top-up 8
        rule 1: 1, assigned 1, push "Hello" "you have 9.50"
        "a rule" active, all clubs, fired 4, failed 0, 1.00 credited
        1 VIP has 3
        "#,
    );
}

/// U12: groups alone, without a credit; being added to a group wins over being removed from it, whichever rule comes first.
#[test]
fn being_added_to_a_group_wins() {
    check(
        r#"
        club Arena
        group VIP
        group New
        group Old
        rule name=puts if="topupAmountMajor < 10" assign=1,2
        rule name=takes if="topupAmountMajor >= 5" unassign=1,2
        rule name=puts if="topupAmountMajor >= 100" assign=1
        rule name=moves if="topupAmountMajor = 7" assign=3 unassign=1
        top-up 7 1.00 CASH
        accounts 7
        # Taken out of one is put into it by the rule before.
        top-up 7 5.00 CASH
        accounts 7
        top-up 7 10.00 CASH
        accounts 7
        # The rule after it puts the client into one of both.
        top-up 7 100.00 CASH
        accounts 7
        top-up 7 7.00 CASH
        accounts 7
        fired 14
        top-up 8 20.00 CASH
        groups
        "#,
        r#"
        registered as club 1
        registered as group 1
        registered as group 2
        registered as group 3
        created rule 1
        created rule 2
        created rule 3
        created rule 4
        topped up: gaming balance 1.00, bonus balance 0.00, rules fired 1, top-up 10
        gaming 1.00, bonus 0.00, 0.00 spent, sessions 0, in group 1, in group 2
        topped up: gaming balance 6.00, bonus balance 0.00, rules fired 2, top-up 11
        gaming 6.00, bonus 0.00, 0.00 spent, sessions 0, in group 1, in group 2
        topped up: gaming balance 16.00, bonus balance 0.00, rules fired 1, top-up 12
        gaming 16.00, bonus 0.00, 0.00 spent, sessions 0
        topped up: gaming balance 116.00, bonus balance 0.00, rules fired 2, top-up 13
        gaming 116.00, bonus 0.00, 0.00 spent, sessions 0, in group 1
        topped up: gaming balance 123.00, bonus balance 0.00, rules fired 3, top-up 14
        gaming 123.00, bonus 0.00, 0.00 spent, sessions 0, in group 1, in group 2, in group 3
        rule 1:, assigned 1, assigned 2; rule 2:, unassigned 1, unassigned 2; rule 4:, assigned 3, unassigned 1
        topped up: gaming balance 20.00, bonus balance 0.00, rules fired 1, top-up 15
        1 VIP has 1; 2 New has 1; 3 Old has 1
        "#,
    );
}

/// U12, U13, B6, A31: all four actions in one rule, its tags on the credit; a push notification that is too long with its
/// variables filled in is not sent, and everything else is done.
#[test]
fn a_rule_performs_all_its_actions_at_once() {
    let title = "t".repeat(36);
    let script = format!(
        r#"
        club Arena
        group VIP
        group New
        rule bonus=5 unassign=2 assign=1 tags=b,a,b title="{title}{{{{topupAmountMajor}}}}" body="by {{{{topUpSource}}}}, {{{{sessionsCount}}}} sessions"
        top-up 7 9999.00 POS_TERMINAL tags=till
        fired 6
        entries 6
        top-up 7 10.00 CASH
        fired 7
        top-up 7 10.01 CASH
        fired 8
        accounts 7
        "#
    );
    let expected = format!(
        r#"
        registered as club 1
        registered as group 1
        registered as group 2
        created rule 1
        topped up: gaming balance 9999.00, 5.00 credited, bonus balance 5.00, rules fired 1, top-up 6
        rule 1: 5, assigned 1, unassigned 2, push "{title}9999" "by POS_TERMINAL, 0 sessions"
        7 gaming 9999.00: Top-Up / System 1 #till; 7 bonus 5.00: Bonus Credit / System, of rule 1 #a #b
        topped up: gaming balance 10009.00, 5.00 credited, bonus balance 10.00, rules fired 1, top-up 7
        rule 1: 5, assigned 1, unassigned 2, push "{title}10" "by CASH, 0 sessions"
        topped up: gaming balance 10019.01, 5.00 credited, bonus balance 15.00, rules fired 1, top-up 8
        rule 1: 5, assigned 1, unassigned 2, push too long
        gaming 10019.01, bonus 15.00, 0.00 spent, sessions 0, in group 1
        "#
    );
    check(&script, &expected);
}

/// A12: a redemption may name the top-up during which it was entered, and is not one itself: no rule fires on it, nor on a manual
/// credit.
#[test]
fn a_redemption_is_no_top_up() {
    let bench = check_with(
        Settings::default(),
        r#"
        club Arena
        rule bonus=50
        campaign amount=5.00 codes=A
        redeem client=7 code=A
        hold client=7 code=A
        top-up 7 1.00 CASH
        redeem client=7 code=A top-up=7
        confirm 6 top-up=7
        credit 7 1.00
        accounts 7
        rule-card 1
        "#,
        r#"
        registered as club 1
        created rule 1
        created campaign 1: added 1, skipped 0
        campaign 1: 5.00 credited, balance 5.00
        hold 6: campaign 1, 5.00, until 900000
        topped up: gaming balance 1.00, 50.00 credited, bonus balance 55.00, rules fired 1, top-up 7
        campaign 1: 5.00 credited, balance 60.00
        campaign 1: 5.00 credited, balance 65.00
        Bonus Credit: 1.00, bonus balance 66.00, operation 10
        gaming 1.00, bonus 66.00, 0.00 spent, sessions 0
        "a rule" active, all clubs, fired 1, failed 0, 50.00 credited
        "#,
    );
    let top_ups = bench.records.iter().filter_map(|(_, record)| activation_of(record.clone())).map(|done| done.top_up);
    assert_eq!(top_ups.collect::<Vec<_>>(), [Position(0), Position(7), Position(7)]);
}

/// A12: the top-up that a redemption or a confirmation names must be one of the client, and still in the journal.
#[test]
fn a_code_is_entered_during_a_top_up_of_the_same_client() {
    check(
        r#"
        club Arena
        campaign amount=5.00 codes=A
        top-up 7 1.00 CASH
        top-up 8 1.00 CASH
        redeem client=7 code=A top-up=5 request=50
        redeem client=7 code=A top-up=3
        redeem client=7 code=A top-up=99
        redeem client=7 code=A top-up=4 kept-from=5
        redeem client=7 club=9 code=A top-up=5
        redeem client=7 code=none top-up=5
        redeem client=7 code=A top-up=5 request=50
        hold client=8 code=A
        confirm 12 top-up=4
        confirm 12 top-up=5 kept-from=6
        confirm 99 top-up=4
        confirm 12 top-up=5
        confirm 12 top-up=4
        redeem client=7 code=A top-up=4
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        topped up: gaming balance 1.00, bonus balance 0.00, rules fired 0, top-up 4
        topped up: gaming balance 1.00, bonus balance 0.00, rules fired 0, top-up 5
        unknown_top_up
        unknown_top_up
        unknown_top_up
        unknown_top_up
        unknown_club
        unknown_top_up
        again: unknown_top_up
        hold 12: campaign 1, 5.00, until 900000
        refused: the client has no such top-up, or the journal no longer has it
        refused: the client has no such top-up, or the journal no longer has it
        refused: there is no such hold, it ended long ago, or it is not yours
        campaign 1: 5.00 credited, balance 5.00
        refused: the hold was already confirmed: 5.00 credited, bonus balance 5.00 at the time, campaign 1, activation 16
        campaign 1: 5.00 credited, balance 5.00
        "#,
    );
}

/// A29: a refund leaves the bonus alone, unless a claw-back is requested. Clawed back in parts, the parts add up to it.
#[test]
fn a_claw_back_in_parts_adds_up() {
    check(
        r#"
        club Arena
        rule bonus=1
        rule bonus="{{topupAmountMajor}} / 10"
        rule bonus=-5
        # 2.00 of bonus on 10.00.
        top-up 7 10.00 CASH
        refund-top-up 6 amount=3.33 claw-back
        refund-top-up 6 amount=3.33 claw-back
        refund-top-up 6 amount=0.01 claw-back
        refund-top-up 6 amount=0.01 claw-back
        refund-top-up 6 claw-back
        entries 7
        accounts 7
        top-up 8 10.00 CASH
        refund-top-up 12 amount=5.00
        entries 13
        refund-top-up 12 claw-back
        refund-top-up 12 claw-back
        accounts 8
        "#,
        r#"
        registered as club 1
        created rule 1
        created rule 2
        created rule 3
        topped up: gaming balance 10.00, 2.00 credited, bonus balance 2.00, rules fired 3, top-up 6
        refunded: 3.33, gaming balance 6.67, 0.67 of the bonus debited, bonus balance 1.33
        refunded: 3.33, gaming balance 3.34, 0.66 of the bonus debited, bonus balance 0.67
        refunded: 0.01, gaming balance 3.33, bonus balance 0.67
        refunded: 0.01, gaming balance 3.32, 0.01 of the bonus debited, bonus balance 0.66
        refunded: 3.32, gaming balance 0.00, 0.66 of the bonus debited, bonus balance 0.00
        7 gaming -3.33: Top-Up Refund / System 1, of top-up 6; 7 bonus -0.67: Bonus Write-Off / System, of top-up 6 #claw-back
        gaming 0.00, bonus 0.00, 0.00 spent, sessions 0
        topped up: gaming balance 10.00, 2.00 credited, bonus balance 2.00, rules fired 3, top-up 12
        refunded: 5.00, gaming balance 5.00, bonus balance 2.00
        8 gaming -5.00: Top-Up Refund / System 1, of top-up 12
        refunded: 5.00, gaming balance 0.00, 1.00 of the bonus debited, bonus balance 1.00
        refused: the top-up was already refunded in full
        gaming 0.00, bonus 1.00, 0.00 spent, sessions 0
        "#,
    );
}

/// A29: a claw-back debits what there is, and reports the rest, which is never debited later.
#[test]
fn a_claw_back_debits_what_is_available() {
    check(
        r#"
        club Arena
        rule bonus=10
        top-up 7 10.00 CASH
        pay 7 7.00
        refund-top-up 4 amount=5.00 claw-back
        credit 7 100.00
        refund-top-up 4 amount=4.00 claw-back
        pay 7 96.00
        refund-top-up 4 claw-back
        entries 10
        accounts 7
        rule-card 1
        "#,
        r#"
        registered as club 1
        created rule 1
        topped up: gaming balance 10.00, 10.00 credited, bonus balance 10.00, rules fired 1, top-up 4
        Bonus Payment: 7.00, bonus balance 3.00, operation 5
        refunded: 5.00, gaming balance 5.00, 3.00 of the bonus debited, 2.00 of the bonus uncollected, bonus balance 0.00
        Bonus Credit: 100.00, bonus balance 100.00, operation 7
        refunded: 4.00, gaming balance 1.00, 4.00 of the bonus debited, bonus balance 96.00
        Bonus Payment: 96.00, bonus balance 0.00, operation 9
        refunded: 1.00, gaming balance 0.00, 1.00 of the bonus uncollected, bonus balance 0.00
        7 gaming -1.00: Top-Up Refund / System 1, of top-up 4
        gaming 0.00, bonus 0.00, 0.00 spent, sessions 0
        "a rule" active, all clubs, fired 1, failed 0, 10.00 credited
        "#,
    );
}

/// A29, A21: shares of extreme amounts are exact.
#[test]
fn a_claw_back_of_the_largest_amounts_is_exact() {
    check(
        r#"
        club Arena
        rule bonus=92233720368547758
        top-up 7 92233720368547758.07 CASH
        refund-top-up 4 amount=0.01 claw-back
        refund-top-up 4 amount=46116860184273879.03 claw-back
        refund-top-up 4 claw-back
        accounts 7
        "#,
        r#"
        registered as club 1
        created rule 1
        topped up: gaming balance 92233720368547758.07, 92233720368547758.00 credited, bonus balance 92233720368547758.00, rules fired 1, top-up 4
        refunded: 0.01, gaming balance 92233720368547758.06, 0.01 of the bonus debited, bonus balance 92233720368547757.99
        refunded: 46116860184273879.03, gaming balance 46116860184273879.03, 46116860184273878.99 of the bonus debited, bonus balance 46116860184273879.00
        refunded: 46116860184273879.03, gaming balance 0.00, 46116860184273879.00 of the bonus debited, bonus balance 0.00
        gaming 0.00, bonus 0.00, 0.00 spent, sessions 0
        "#,
    );
}

/// U8: the number of rules is unlimited; if more fire than a record can contain, those with the lowest numbers do, and the others
/// count as failed.
#[test]
fn more_rules_than_can_fire_at_once_are_counted() {
    let mut bench = check_with(
        Settings::default(),
        r#"
        club Arena
        rule bonus="1 / {{sessionsCount}}"
        rule bonus=1
        "#,
        r#"
        registered as club 1
        created rule 1
        created rule 2
        "#,
    );
    let terms = terms_of(&bench, 2);
    (2..FIRED_MAX + 3).for_each(|_| save(&mut bench, &terms));
    let mutation =
        TopUp { client: ClientId(7), club: ClubId(1), amount: Money(100), source: TopUpSource::Cash, note: Note::default() };
    let fired = FIRED_MAX - 1;
    let Answer::New(reply) = bench.run(stamp(START_MS, 9, 9), &Mutation::TopUp(Box::new(mutation))) else { panic!("it is new") };
    let after = format!("bonus balance {fired}.00, rules fired {fired}, failed 4, top-up {}", FIRED_MAX + 6);
    assert_eq!(printed(&reply), format!("topped up: gaming balance 1.00, {fired}.00 credited, {after}"));
    for (rule, fired, failed) in [(1, 0, 1), (2, 1, 0), (FIRED_MAX, 1, 0), (FIRED_MAX + 1, 0, 0), (FIRED_MAX + 3, 0, 0)] {
        let rule = bench.state.rules.of(RuleId(rule as u32)).expect("it is there");
        assert_eq!((rule.fired, rule.failed, rule.credited), (fired, failed, Money(100 * fired as i64)));
    }
    bench.compare_with_replay();
    let Some((_, Record::ToppedUp(record))) = bench.records.last() else { panic!("the top-up came last") };
    assert_eq!((record.fired.len(), record.failed.len(), record.beyond), (FIRED_MAX - 1, 1, 3));
}
