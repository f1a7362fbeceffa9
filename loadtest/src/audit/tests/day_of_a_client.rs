//! A day of a client, exact to the cent, and faults injected into it.

use scrip_protocol::command::{
    Action, BonusChanged, BonusOperation, PaidFor, PaidFrom, RuleArchived, RuleEvent, RuleFailed, RuleFired, RuleRestored,
    RuleSaved, RuleSwitched, RuleTerms, Spent, SpentOn, TopUpGivenBack, TopUpRefunded, ToppedUp,
};
use scrip_protocol::{
    Accounts, ClientId, ClubId, CredentialId, Executor, FormulaFailure, GroupId, Money, Position, Record, RequestId, RuleId,
    Stamp, TopUpSource, Variables,
};

use crate::accounts::share;
use crate::audit::Recount;
use crate::difference::{AccountSums, RuleSums};

const CLIENT: ClientId = ClientId(1);

fn stamp() -> Stamp {
    Stamp { request: RequestId(0), body: 0, credential: CredentialId(1) }
}

fn rule(rule: u32, clubs: &[u32], active: bool, group: Option<u32>) -> Record {
    let mut actions = vec![Action::AddBonus { formula: "{{topupAmountMajor}} * 0.1".into() }];
    actions.extend(group.map(|group| Action::AssignGroup { group: GroupId(group) }));
    let terms = RuleTerms {
        name: format!("rule {rule}"),
        description: String::new(),
        active,
        clubs: clubs.iter().copied().map(ClubId).collect(),
        event: RuleEvent::BalanceToppedUp,
        conditions: String::new(),
        actions,
        tags: group.iter().map(|_| "gold".to_owned()).collect(),
    };
    RuleSaved { stamp: stamp(), rule: RuleId(rule), new: true, terms, lint: Default::default() }.into()
}

/// A top-up on which rule 1 fires with a result. `had` is what the client had before it.
fn topped_up(club: u32, amount: i64, had: Accounts, result: i64) -> ToppedUp {
    let fired = RuleFired {
        rule: RuleId(1),
        result: Some(result),
        assigned: vec![GroupId(1)],
        unassigned: Vec::new(),
        push: None,
        push_too_long: false,
        tags: vec!["gold".into()],
    };
    let Accounts { gaming, bonus, spent, sessions } = had;
    ToppedUp {
        stamp: stamp(),
        executor: Executor::system(),
        client: CLIENT,
        club: ClubId(club),
        variables: Variables { amount: Money(amount), source: TopUpSource::Cash, gaming, bonus, spent, sessions },
        fired: vec![fired],
        failed: Vec::new(),
        beyond: 0,
        gaming: Money(gaming.0 + amount),
        bonus: Money(bonus.0 + 100 * result),
        comment: String::new(),
        tags: Vec::new(),
    }
}

fn changed(operation: BonusOperation, amount: i64, balance: i64) -> Record {
    let (amount, balance) = (Money(amount), Money(balance));
    let (executor, comment, tags) = (Executor::system(), String::new(), Vec::new());
    let club = Some(ClubId(1));
    BonusChanged { stamp: stamp(), operation, executor, client: CLIENT, club, amount, balance, comment, tags }.into()
}

fn spent(on: SpentOn, price: i64, paid_from: PaidFrom, after: Accounts) -> Record {
    let (executor, comment, tags) = (Executor::system(), String::new(), Vec::new());
    let (club, price) = (ClubId(1), Money(price));
    Spent { stamp: stamp(), on, executor, client: CLIENT, club, price, paid_from, after, comment, tags }.into()
}

/// A refund of the top-up at position 4: amount, gaming, clawed, uncollected, bonus. It claws back unless nothing was due.
fn given_back(done: [i64; 5]) -> Record {
    given_back_as(done, done[2] + done[3] != 0)
}

fn given_back_as(done: [i64; 5], claw_back: bool) -> Record {
    let [amount, gaming, clawed, uncollected, bonus] = done.map(Money);
    TopUpRefunded {
        stamp: stamp(),
        top_up: Position(4),
        executor: Executor::system(),
        client: CLIENT,
        club: ClubId(1),
        claw_back,
        given_back: TopUpGivenBack { amount, gaming, clawed, uncollected, bonus },
        comment: String::new(),
        tags: Vec::new(),
    }
    .into()
}

fn has(gaming: i64, bonus: i64, spent: i64, sessions: u32) -> Accounts {
    Accounts { gaming: Money(gaming), bonus: Money(bonus), spent: Money(spent), sessions }
}

/// A correct day. The record at position n is the n-th.
fn day() -> Vec<Record> {
    let failed = RuleFailed { rule: RuleId(2), why: FormulaFailure::DivisionByZero };
    vec![
        rule(1, &[], true, Some(1)),
        rule(2, &[2], true, None),
        rule(3, &[], false, None),
        // 4
        topped_up(1, 50_000, has(0, 0, 0, 0), 50).into(),
        changed(BonusOperation::Credit, 500, 5_500),
        changed(BonusOperation::Payment(PaidFor::Order), 2_000, 3_500),
        changed(BonusOperation::Refund { payment: Position(6) }, 1_500, 5_000),
        // 8
        spent(SpentOn::Session, 10_000, PaidFrom::GamingBalance, has(40_000, 5_000, 10_000, 1)),
        spent(SpentOn::Purchase, 700, PaidFrom::Directly, has(40_000, 5_000, 10_700, 1)),
        // Two fifths of the top-up, and two fifths of its bonus.
        given_back([20_000, 20_000, 2_000, 0, 3_000]),
        changed(BonusOperation::WriteOff, 2_500, 500),
        // 12: as much again; only a quarter of its bonus is left.
        given_back([20_000, 0, 500, 1_500, 0]),
        // A result below 0 credits nothing.
        ToppedUp { failed: vec![failed], bonus: Money(0), ..topped_up(2, 100, has(0, 0, 10_700, 1), -3) }.into(),
    ]
}

fn recounted(records: &[Record]) -> Recount {
    let mut recount = Recount::default();
    for (position, record) in (1..).map(Position).zip(records) {
        let mut record = record.clone();
        // Each record has its own request.
        *stamp_of(&mut record) = Stamp { request: RequestId(position.0.into()), ..stamp() };
        recount.add(position, 0, &record);
    }
    recount
}

fn stamp_of(record: &mut Record) -> &mut Stamp {
    if let Record::ToppedUp(record) = record {
        return &mut record.stamp;
    }
    if let Record::TopUpRefunded(record) = record {
        return &mut record.stamp;
    }
    if let Record::BonusChanged(record) = record {
        return &mut record.stamp;
    }
    if let Record::Spent(record) = record {
        return &mut record.stamp;
    }
    if let Record::RuleSwitched(record) = record {
        return &mut record.stamp;
    }
    if let Record::RuleArchived(record) = record {
        return &mut record.stamp;
    }
    if let Record::RuleRestored(record) = record {
        return &mut record.stamp;
    }
    let Record::RuleSaved(record) = record else { panic!("the day has no such record") };
    &mut record.stamp
}

/// The differences in a modified day.
#[track_caller]
fn differs(doctor: impl FnOnce(&mut Vec<Record>), kinds: &[&str]) {
    let mut records = day();
    doctor(&mut records);
    let recount = recounted(&records);
    let found: Vec<_> = recount.differences().by_kind().keys().copied().collect();
    assert_eq!(found, kinds, "{:#?}", recount.differences().first());
}

macro_rules! change {
    ($records:ident[$at:literal] as $kind:ident, $change:expr) => {{
        let Record::$kind(record) = &mut $records[$at - 1] else { panic!("a record of another kind") };
        ($change)(record);
    }};
}

/// B1, B5: correct records have no difference and add up to the client's accounts.
#[test]
fn a_day_that_is_right_agrees() {
    differs(|_| {}, &[]);
    let recount = recounted(&day());
    assert_eq!(recount.accounts_of(CLIENT), AccountSums::from(has(100, 0, 10_700, 1)));
    assert_eq!(recount.firings_of(RuleId(1)), RuleSums { fired: 2, failed: 0, credited: 5_000 });
    assert_eq!(recount.firings_of(RuleId(2)), RuleSums { fired: 0, failed: 1, credited: 0 });
}

/// B5, A30: a recorded balance that is not the sum, and one below 0.
#[test]
fn wrong_balances_are_named() {
    differs(|day| change!(day[5] as BonusChanged, |of: &mut BonusChanged| of.balance.0 += 1), &["balance"]);
    differs(|day| change!(day[7] as BonusChanged, |of: &mut BonusChanged| of.balance.0 -= 1), &["balance"]);
    differs(|day| change!(day[8] as Spent, |of: &mut Spent| of.after.gaming.0 += 1), &["balance"]);
    differs(|day| change!(day[8] as Spent, |of: &mut Spent| of.after.bonus.0 += 1), &["balance"]);
    differs(|day| change!(day[10] as TopUpRefunded, |of: &mut TopUpRefunded| of.given_back.gaming.0 += 1), &["balance"]);
    differs(|day| change!(day[13] as ToppedUp, |of: &mut ToppedUp| of.gaming.0 += 1), &["balance"]);
    differs(
        |day| {
            change!(day[11] as BonusChanged, |of: &mut BonusChanged| (of.amount, of.balance) = (Money(3_100), Money(-100)));
            day.truncate(11);
        },
        &["below_zero"],
    );
    differs(
        |day| {
            change!(day[8] as Spent, |of: &mut Spent| (of.price, of.after) = (Money(50_001), has(-1, 5_000, 50_001, 1)));
            day.truncate(8);
        },
        &["below_zero"],
    );
}

/// U3: a client's counters feed the rules.
#[test]
fn wrong_sums_of_spending_are_named() {
    differs(|day| change!(day[8] as Spent, |of: &mut Spent| of.after.sessions = 2), &["spending"]);
    differs(|day| change!(day[9] as Spent, |of: &mut Spent| of.after.sessions = 2), &["spending"]);
    differs(|day| change!(day[9] as Spent, |of: &mut Spent| of.after.spent.0 -= 700), &["spending"]);
}

/// A22: rules see all balances and counters of the client from before the top-up.
#[test]
fn a_wrong_snapshot_is_named() {
    let changes: [fn(&mut ToppedUp); 3] =
        [|of| of.variables.gaming.0 += 1, |of| of.variables.spent.0 += 100, |of| of.variables.sessions = 0];
    for wrong in changes {
        differs(|day| change!(day[13] as ToppedUp, wrong), &["snapshot"]);
    }
    differs(|day| change!(day[13] as ToppedUp, |of: &mut ToppedUp| of.variables.bonus.0 += 1), &["credits", "snapshot"]);
}

/// U6, U7, A20, A21: the credits of rules add up, and results are in whole major units.
#[test]
fn wrong_credits_are_named() {
    differs(|day| change!(day[13] as ToppedUp, |of: &mut ToppedUp| of.bonus.0 = 100), &["balance", "credits"]);
    differs(|day| change!(day[13] as ToppedUp, |of: &mut ToppedUp| of.fired[0].result = Some(1)), &["balance", "credits"]);
    let minor = |of: &mut ToppedUp| of.bonus = Money(50);
    differs(
        |day| {
            change!(day[4] as ToppedUp, minor);
            day.truncate(4);
        },
        &["balance", "credits"],
    );
}

/// Operations of 0 or less are invalid, and so are operations of clients that are not registered.
#[test]
fn operations_that_cannot_be_are_named() {
    differs(
        |day| change!(day[13] as ToppedUp, |of: &mut ToppedUp| (of.variables.amount, of.gaming) = (Money(0), Money(0))),
        &["amount"],
    );
    differs(
        |day| {
            change!(day[9] as Spent, |of: &mut Spent| (of.price, of.after.spent) = (Money(0), Money(10_000)));
            day.truncate(9);
        },
        &["amount"],
    );
    differs(
        |day| {
            change!(day[5] as BonusChanged, |of: &mut BonusChanged| (of.client, of.balance) = (ClientId(9), Money(500)));
            day.truncate(5);
        },
        &["no_client"],
    );
}

/// A29, pain 25: a refund belongs to an existing payment and its client, and all refunds of it never exceed it.
#[test]
fn wrong_refunds_are_named() {
    differs(|day| change!(day[10] as TopUpRefunded, |of: &mut TopUpRefunded| of.top_up = Position(5)), &["no_top_up"]);
    differs(|day| change!(day[10] as TopUpRefunded, |of: &mut TopUpRefunded| of.club = ClubId(2)), &["given_back_unlike"]);
    let refund = |of| move |record: &mut BonusChanged| record.operation = BonusOperation::Refund { payment: Position(of) };
    for of in [0, 5, 7, 99] {
        differs(|day| change!(day[7] as BonusChanged, refund(of)), &["no_payment"]);
    }
    differs(|day| change!(day[7] as BonusChanged, |of: &mut BonusChanged| of.club = None), &["given_back_unlike"]);
    let more = |of: &mut BonusChanged| (of.amount, of.balance) = (Money(2_001), Money(5_501));
    differs(
        |day| {
            change!(day[7] as BonusChanged, more);
            day.truncate(7);
        },
        &["over_given_back"],
    );
    // All of the 50,000 except 10,000 was refunded.
    let again = |amount: i64| {
        move |day: &mut Vec<Record>| {
            change!(day[13] as ToppedUp, |of: &mut ToppedUp| (of.variables.amount, of.gaming) = (Money(20_000), Money(20_000)));
            day.push(given_back([amount, 20_000 - amount, 0, 0, 0]));
        }
    };
    differs(again(10_000), &[]);
    differs(again(10_001), &["over_given_back"]);
}

/// A29: the bonus clawed back and the uncollected rest add up to its share, and nothing is uncollected that was still there.
#[test]
fn wrong_claw_backs_are_named() {
    for (clawed, uncollected) in [(1_999, 0), (2_001, 0), (1_999, 1), (2_001, -1)] {
        differs(
            |day| {
                day[9] = given_back([20_000, 20_000, clawed, uncollected, 5_000 - clawed]);
                day.truncate(10);
            },
            &["claw_back"],
        );
    }
    // No claw-back; a claw-back that collects nothing; and a claw-back that was not requested.
    for (clawed, claw_back, found) in [(0, false, &[][..]), (0, true, &["claw_back"]), (2_000, false, &["claw_back"])] {
        differs(
            |day| {
                day[9] = given_back_as([20_000, 20_000, clawed, 0, 5_000 - clawed], claw_back);
                day.truncate(10);
            },
            found,
        );
    }
}

/// U1, U7, U9, U11, A32: rules that are off, archived, of other clubs or unknown do nothing; every other rule does its actions,
/// once.
#[test]
fn wrong_firings_are_named() {
    let failed =
        |of| move |record: &mut ToppedUp| record.failed.push(RuleFailed { rule: RuleId(of), why: FormulaFailure::Overflow });
    for of in [0, 3, 9] {
        differs(|day| change!(day[13] as ToppedUp, failed(of)), &["rule_not_live"]);
    }
    differs(|day| change!(day[4] as ToppedUp, failed(2)), &["rule_not_live"]);
    let (rule, stamp) = (RuleId(1), stamp());
    differs(|day| day[2] = RuleSwitched { stamp, rule, active: false }.into(), &["rule_not_live"]);
    differs(|day| day[2] = RuleArchived { stamp, rule }.into(), &["rule_not_live"]);
    let restored = |day: &mut Vec<Record>| {
        (day[1], day[2]) = (RuleArchived { stamp, rule }.into(), RuleRestored { stamp, rule }.into());
    };
    differs(restored, &["rule_not_live"]);
    differs(|day| change!(day[13] as ToppedUp, failed(2)), &["rule_twice"]);
    let again = |of: &mut ToppedUp| of.fired.push(of.fired[0].clone());
    differs(|day| change!(day[13] as ToppedUp, again), &["rule_twice"]);
    let unlike: [fn(&mut RuleFired); 5] = [
        |fired| fired.assigned.clear(),
        |fired| fired.unassigned.push(GroupId(2)),
        |fired| fired.tags.clear(),
        |fired| fired.push_too_long = true,
        |fired| fired.result = None,
    ];
    for wrong in unlike {
        differs(|day| change!(day[13] as ToppedUp, |of: &mut ToppedUp| wrong(&mut of.fired[0])), &["fired_unlike"]);
    }
}

/// Pain 28: shares are rounded to the nearest cent, and add up however a whole is divided.
#[test]
fn shares_are_to_the_nearest_cent_and_add_up() {
    assert_eq!([1, 2, 3].map(|part| share(100, 3, part)), [33, 67, 100]);
    assert_eq!([1, 2].map(|part| share(1, 2, part)), [1, 1]);
    let most = i128::from(i64::MAX);
    assert_eq!(share(most, most, most), most);
    assert_eq!(share(5, 0, 1), 0);
}
