//! Money and bonuses: spent once, refunded once, credited once, and to the cent.

use scrip_client::Client;
use scrip_protocol::command::{
    BonusOutcome, CreditBonus, Note, PaidFor, PaidFrom, PayBonus, RecordPurchase, RecordSession, RefundBonus, RefundBonusOutcome,
    RefundTopUp, RefundTopUpOutcome, SpendOutcome, TopUp, TopUpOutcome, WriteOffBonus,
};
use scrip_protocol::{Accounts, ClientId, ClubId, Command, Money, Position, RequestId, Role};
use tokio::task::JoinSet;

use super::{begin, client, hold};
use crate::support::{Server, accounts, balance, campaign, create_rule, request, rule, terms, top_up};

async fn call<C: Command>(client: &Client, command: &C) -> C::Outcome {
    client.call(RequestId::now(), command).await.expect("a reply")
}

/// Sends the same request `count` times from four connections at once, each time under an id of its own.
async fn many<C: Command + Clone + Send + Sync + 'static>(
    server: &Server,
    role: Role,
    command: &C,
    times: usize,
) -> Vec<C::Outcome> {
    let mut tasks = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(server.client(role).await);
    }
    for n in 0..times {
        let (client, command) = (clients[n % clients.len()].clone(), command.clone());
        tasks.spawn(async move { call(&client, &command).await });
    }
    tasks.join_all().await
}

fn credit(of: u128, amount: i64) -> CreditBonus {
    CreditBonus { client: client(of), club: None, amount: Money(amount), note: Note::default() }
}

/// Registers a client and credits bonuses.
async fn give(operator: &Client, of: u128, amount: i64) {
    operator.register_client(RequestId::now(), client(of), "").await.expect("a reply");
    let outcome = call(operator, &credit(of, amount)).await;
    assert!(matches!(outcome, BonusOutcome::Done(_)), "{outcome}");
}

fn pay(of: u128, club: ClubId, amount: i64) -> PayBonus {
    PayBonus { client: client(of), club, amount: Money(amount), paid_for: PaidFor::Order, note: Note::default() }
}

/// Pays, and returns the payment's id.
async fn paid(client: &Client, command: &PayBonus) -> Position {
    let outcome = call(client, command).await;
    let BonusOutcome::Done(done) = outcome else { panic!("{outcome}") };
    done.operation
}

fn refund(payment: Position, amount: Option<i64>) -> RefundBonus {
    RefundBonus { payment, amount: amount.map(Money), note: Note::default() }
}

async fn audited(server: &Server) {
    server.audited(&std::collections::HashMap::new()).await;
}

/// Pain 25: twenty gifts of 100 points at once made 2,000 of 100. Here, of twenty payments of 100 from 100 at once, by the app
/// and at the till, one succeeds (A30).
#[tokio::test(flavor = "multi_thread")]
async fn pain_25_a_hundred_is_paid_once() {
    let (server, operator, arena) = begin().await;
    for (of, role) in [(1, Role::Gateway), (2, Role::Cashier)] {
        give(&operator, of, 10_000).await;
        let outcomes = many(&server, role, &pay(of, arena, 10_000), 20).await;
        let done = |outcome: &&BonusOutcome| matches!(outcome, BonusOutcome::Done(_));
        assert_eq!(outcomes.iter().filter(done).count(), 1, "{outcomes:?}");
        let refused = BonusOutcome::Overdraft { balance: Money(0) };
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count(), 19, "{outcomes:?}");
        assert_eq!(balance(&operator, client(of)).await, Money(0));
    }
    // A balance that is enough for seven pays seven; bonuses written off meanwhile can no longer be paid with.
    give(&operator, 3, 70_099).await;
    let write_off = WriteOffBonus { client: client(3), club: None, amount: Money(10_000), note: Note::default() };
    let command = pay(3, arena, 10_000);
    let (paid, written_off) =
        tokio::join!(many(&server, Role::Gateway, &command, 20), many(&server, Role::Cashier, &write_off, 20));
    let done = paid.iter().chain(&written_off).filter(|outcome| matches!(outcome, BonusOutcome::Done(_)));
    assert_eq!(done.count(), 7);
    assert_eq!(balance(&operator, client(3)).await, Money(99));
    audited(&server).await;
}

/// Pain 25: a rollback refunded more than was debited. Here refunds of one payment at once, in full and in parts, add up to the
/// payment and no more.
#[tokio::test(flavor = "multi_thread")]
async fn pain_25_refunds_of_a_payment_never_exceed_it() {
    let (server, operator, arena) = begin().await;
    give(&operator, 1, 10_000).await;
    let gateway = server.client(Role::Gateway).await;

    let whole = paid(&gateway, &pay(1, arena, 10_000)).await;
    let outcomes = many(&server, Role::Gateway, &refund(whole, None), 20).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, RefundBonusOutcome::Done(_))).count(), 1, "{outcomes:?}");
    let nothing_left = RefundBonusOutcome::MoreThanLeft { left: Money(0) };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == nothing_left).count(), 19, "{outcomes:?}");
    assert_eq!(balance(&operator, client(1)).await, Money(10_000));

    let in_parts = paid(&gateway, &pay(1, arena, 10_000)).await;
    let outcomes = many(&server, Role::Gateway, &refund(in_parts, Some(3_000)), 20).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, RefundBonusOutcome::Done(_))).count(), 3, "{outcomes:?}");
    let refused = RefundBonusOutcome::MoreThanLeft { left: Money(1_000) };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count(), 17, "{outcomes:?}");
    assert_eq!(balance(&operator, client(1)).await, Money(9_000));
    // The rest is refunded if no amount is given; and a refund is not a payment that could be refunded in turn.
    let RefundBonusOutcome::Done(last) = call(&gateway, &refund(in_parts, None)).await else { panic!("a tenth is left") };
    assert_eq!((last.amount, last.balance), (Money(1_000), Money(10_000)));
    assert_eq!(call(&operator, &refund(last.operation, None)).await, RefundBonusOutcome::UnknownPayment);
    audited(&server).await;
}

/// Pain 25: the same for a top-up: it is refunded once, and never so that the balance becomes negative (A30).
#[tokio::test(flavor = "multi_thread")]
async fn pain_25_refunds_of_a_top_up_never_exceed_it() {
    let (server, operator, arena) = begin().await;
    create_rule(&operator, rule("Tenth", "", "{{topupAmountMajor}} * 0.1")).await;
    let gateway = server.client(Role::Gateway).await;
    let TopUpOutcome::ToppedUp(done) = call(&gateway, &top_up(1, arena, 100_000)).await else { panic!("the top-up succeeds") };
    assert_eq!((done.gaming, done.bonus), (Money(100_000), Money(10_000)));
    let back = RefundTopUp { top_up: done.top_up, amount: Some(Money(30_000)), claw_back: true, note: Note::default() };
    let outcomes = many(&server, Role::Gateway, &back, 20).await;
    let given: Vec<_> = outcomes.iter().filter(|outcome| matches!(outcome, RefundTopUpOutcome::Refunded(_))).collect();
    assert_eq!(given.len(), 3, "{outcomes:?}");
    let refused = RefundTopUpOutcome::MoreThanLeft { left: Money(10_000) };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count(), 17, "{outcomes:?}");
    let has = accounts(&operator, client(1)).await;
    assert_eq!(
        (has.gaming, has.bonus),
        (Money(10_000), Money(1_000)),
        "three tenths of the bonus went with three tenths, thrice"
    );

    // Money that was spent cannot be refunded.
    let spent = RecordPurchase {
        client: client(1),
        club: arena,
        price: Money(9_999),
        paid_from: PaidFrom::GamingBalance,
        note: Note::default(),
    };
    let outcomes = many(&server, Role::Gateway, &spent, 20).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, SpendOutcome::Recorded { .. })).count(), 1, "{outcomes:?}");
    let rest = RefundTopUp { amount: None, ..back };
    assert_eq!(call(&gateway, &rest).await, RefundTopUpOutcome::Overdraft { balance: Money(1) });
    assert_eq!(accounts(&operator, client(1)).await.gaming, Money(1));
    audited(&server).await;
}

/// Pain 25: a hold did not prevent spending, and the balance was -20. Here a held bonus cannot be spent, and a refund of a spent
/// bonus never makes the balance negative.
#[tokio::test(flavor = "multi_thread")]
async fn pain_25_a_held_bonus_cannot_be_spent() {
    let (server, operator, arena) = begin().await;
    campaign(&operator, terms("Points", Some(1), 2_000), &["POINTS".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    give(&operator, 1, 1_000).await;
    let held = hold(&gateway, 1, arena, "POINTS", 60_000).await.expect("the use is free");
    let overdraft = BonusOutcome::Overdraft { balance: Money(1_000) };
    assert_eq!(call(&gateway, &pay(1, arena, 3_000)).await, overdraft, "the bonus is promised, but not credited yet");
    gateway.confirm(RequestId::now(), held).await.expect("a reply");
    let outcomes = many(&server, Role::Gateway, &pay(1, arena, 3_000), 20).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, BonusOutcome::Done(_))).count(), 1, "{outcomes:?}");
    assert_eq!(balance(&operator, client(1)).await, Money(0));
    audited(&server).await;
}

/// Pain 27: a wallet was topped up two or three times on a retry, and webhooks arrived up to 46 times. Here one request id is one
/// top-up: written twice in one packet, sent at once over several connections, and again after a kill.
#[tokio::test(flavor = "multi_thread")]
async fn pain_27_a_top_up_that_is_delivered_forty_six_times_is_credited_once() {
    let (mut server, operator, arena) = begin().await;
    let tenth = create_rule(&operator, rule("Tenth", "topupAmountMajor >= 100", "{{topupAmountMajor}} * 0.1")).await;
    let command = TopUp { note: Note { comment: "once".into(), ..Note::default() }, ..top_up(1, arena, 50_000) };
    let frame = request(7, RequestId::now(), &command);
    let mut first: Option<Vec<u8>> = None;
    for copies in [10, 12, 24] {
        // All of them at once, over three connections, half of them doubled in one packet.
        let mut tasks = JoinSet::new();
        for connection in 0..3 {
            let mut lane = server.lane(Role::Gateway).await;
            let (frame, copies) = (frame.clone(), copies / 3 + usize::from(connection < copies % 3));
            tasks.spawn(async move {
                lane.write(&frame.repeat(copies)).await;
                lane.replies(copies).await
            });
        }
        for reply in tasks.join_all().await.into_iter().flatten() {
            let outcome = reply.outcome::<TopUp>();
            assert!(matches!(outcome, Ok(TopUpOutcome::ToppedUp(_))), "{outcome:?}");
            assert_eq!(*first.get_or_insert_with(|| reply.body.clone()), reply.body);
        }
        server.kill();
        server.restart();
    }
    let operator = server.client(Role::Operator).await;
    let has = accounts(&operator, client(1)).await;
    assert_eq!((has.gaming, has.bonus), (Money(50_000), Money(5_000)));
    let recount = server.audited(&std::collections::HashMap::new()).await;
    assert_eq!((recount.top_up_outcomes.len(), recount.firings_of(tenth).fired), (1, 1));
}

/// Pain 27: a form that was posted twice took effect twice. Here every command that moves an account is executed once under its
/// id.
#[tokio::test(flavor = "multi_thread")]
async fn pain_27_a_double_post_takes_effect_once() {
    async fn twice<C: Command>(gateway: &Client, again: &Client, command: &C) -> C::Outcome
    where
        C::Outcome: PartialEq,
    {
        let id = RequestId::now();
        let (one, other) = tokio::join!(gateway.call(id, command), again.call(id, command));
        let (one, other) = (one.expect("a reply"), other.expect("a reply"));
        assert_eq!(one, other);
        one
    }
    let (server, operator, arena) = begin().await;
    let (one, other) = (server.client(Role::Operator).await, server.client(Role::Operator).await);
    let note = Note::default();
    let TopUpOutcome::ToppedUp(topped_up) = twice(&one, &other, &top_up(1, arena, 50_000)).await else {
        panic!("the top-up succeeds")
    };
    twice(&one, &other, &credit(1, 4_000)).await;
    let BonusOutcome::Done(payment) = twice(&one, &other, &pay(1, arena, 1_500)).await else { panic!("there is enough") };
    twice(&one, &other, &refund(payment.operation, Some(500))).await;
    let write_off = WriteOffBonus { client: client(1), club: Some(arena), amount: Money(100), note: note.clone() };
    twice(&one, &other, &write_off).await;
    let (price, paid_from) = (Money(2_000), PaidFrom::GamingBalance);
    twice(&one, &other, &RecordSession { client: client(1), club: arena, price, paid_from, note: note.clone() }).await;
    twice(&one, &other, &RecordPurchase { client: client(1), club: arena, price, paid_from, note: note.clone() }).await;
    let back = RefundTopUp { top_up: topped_up.top_up, amount: Some(Money(6_000)), claw_back: false, note };
    twice(&one, &other, &back).await;
    let has = accounts(&operator, client(1)).await;
    let once = Accounts { gaming: Money(40_000), bonus: Money(2_900), spent: Money(4_000), sessions: 1 };
    assert_eq!(has, once);
    audited(&server).await;
}

/// The credits of a rule for top-ups of some amounts, each by a new client without balances.
async fn credited(operator: &Client, gateway: &Client, club: ClubId, formula: &str, amounts: &[i64]) -> Vec<i64> {
    let rule = create_rule(operator, rule("Rounding", "", formula)).await;
    let mut credited = Vec::new();
    for amount in amounts {
        let command = TopUp { client: ClientId(fastrand::u128(..)), ..top_up(0, club, *amount) };
        let outcome = call(gateway, &command).await;
        let TopUpOutcome::ToppedUp(done) = outcome else { panic!("{amount}: {outcome}") };
        assert_eq!((done.credited, done.gaming), (done.bonus, Money(*amount)), "{formula} of {amount}");
        credited.push(done.credited.0);
    }
    let off = scrip_protocol::command::SwitchRule { rule, active: false };
    call(operator, &off).await;
    credited
}

/// Pain 28: a noise of 1e-14 made a coupon invalid, and points were rounded here and truncated there. Here a formula is exact
/// until it is rounded once: to the nearest whole unit, halves away from zero (U6, A20, A21).
#[tokio::test(flavor = "multi_thread")]
async fn pain_28_a_tenth_is_a_tenth_and_a_half_is_rounded_away_from_zero() {
    let (server, operator, arena) = begin().await;
    let gateway = server.client(Role::Gateway).await;
    // Amounts and credits are in hundredths. A double has 0.1 as a little more than that.
    let tenth = "{{topupAmountMajor}} * 0.1";
    let amounts = [1, 499, 500, 501, 1_499, 1_500, 2_500, 3_500, 4_499, 4_500, 50_000, 100_499, 100_500];
    let expected = [0, 0, 100, 100, 100, 200, 300, 400, 400, 500, 5_000, 10_000, 10_100];
    assert_eq!(credited(&operator, &gateway, arena, tenth, &amounts).await, expected);
    // 1.005 * 100 is 100.49999999999999 in doubles, 1.1 * 1.1 * 50 is 60.50000000000001, and 0.1 + 0.2 more than 0.3.
    assert_eq!(credited(&operator, &gateway, arena, "{{topupAmountMajor}} * 1.005", &[10_000, 30_000]).await, [10_100, 30_200]);
    assert_eq!(credited(&operator, &gateway, arena, "{{topupAmountMajor}} * 1.1 * 1.1", &[5_000]).await, [6_100]);
    let half = "({{topupAmountMajor}} * (0.1 + 0.2) - {{topupAmountMajor}} * 0.3) * 100000000000000000 + 0.5";
    assert_eq!(credited(&operator, &gateway, arena, half, &[777]).await, [100], "the difference is nothing, and a half is one");
    // Three times a third is a whole: nothing is rounded on the way.
    assert_eq!(credited(&operator, &gateway, arena, "{{topupAmountMajor}} / 3 * 3 - 0.5", &[10_000]).await, [10_000]);
    // Negative results are rounded away from zero too, and credit nothing.
    assert_eq!(credited(&operator, &gateway, arena, "{{topupAmountMajor}} * 0 - 0.5", &[10_000]).await, [0]);
    audited(&server).await;
}

/// Pain 28: the shares of a bonus that are debited with parts of a top-up add up to the bonus, however it is divided.
#[tokio::test(flavor = "multi_thread")]
async fn pain_28_thirds_of_a_bonus_add_up_to_it() {
    let (server, operator, arena) = begin().await;
    create_rule(&operator, rule("One", "", "1")).await;
    let gateway = server.client(Role::Gateway).await;
    let TopUpOutcome::ToppedUp(done) = call(&gateway, &top_up(1, arena, 300)).await else { panic!("the top-up succeeds") };
    assert_eq!(done.bonus, Money(100));
    let mut clawed = Vec::new();
    for _ in 0..3 {
        let back = RefundTopUp { top_up: done.top_up, amount: Some(Money(100)), claw_back: true, note: Note::default() };
        let RefundTopUpOutcome::Refunded(back) = call(&gateway, &back).await else { panic!("a third is left") };
        clawed.push(back.clawed.0);
    }
    assert_eq!((clawed.iter().sum::<i64>(), accounts(&operator, client(1)).await), (100, Accounts::default()), "{clawed:?}");
    audited(&server).await;
}
