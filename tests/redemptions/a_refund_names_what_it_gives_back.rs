//! Refunds name an operation by its position: exactly that operation is refunded, and only for callers that are allowed to.

use std::collections::HashMap;

use scrip_client::Client;
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, BonusOutcome, Grant, Note, PaidFor, PayBonus, Refund, RefundBonus, RefundBonusOutcome,
    RefundOutcome, RefundTopUp, RefundTopUpOutcome, TopUpOutcome,
};
use scrip_protocol::{ClientId, Command, Money, Position, RequestId, Role};

use crate::support::{Server, accounts, club, create_rule, rule, top_up};

async fn call<C: Command>(client: &Client, command: &C) -> C::Outcome {
    client.call(RequestId::now(), command).await.expect("a reply")
}

fn refund_top_up(top_up: Position, amount: i64) -> RefundTopUp {
    RefundTopUp { top_up, amount: Some(Money(amount)), claw_back: false, note: Note::default() }
}

fn refund_payment(payment: Position, amount: i64) -> RefundBonus {
    RefundBonus { payment, amount: Some(Money(amount)), note: Note::default() }
}

/// A29, B3, Z2: only a top-up, a payment or an activation at the named position can be refunded as one; not position 0, and not
/// one in the future. Positions are easily guessed, so all of these get the same reply.
#[tokio::test(flavor = "multi_thread")]
async fn other_records_cannot_be_refunded() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    create_rule(&operator, rule("Half", "", "{{topupAmountMajor}} * 0.5")).await;
    let TopUpOutcome::ToppedUp(topped_up) = call(&operator, &top_up(1, arena, 10_000)).await else {
        panic!("the top-up succeeds")
    };
    let pay = PayBonus { client: ClientId(1), club: arena, amount: Money(900), paid_for: PaidFor::Order, note: Note::default() };
    let BonusOutcome::Done(paid) = call(&operator, &pay).await else { panic!("there is enough") };
    let BonusOutcome::Overdraft { .. } = call(&operator, &PayBonus { amount: Money(90_000), ..pay }).await else {
        panic!("there is not enough")
    };
    let RefundBonusOutcome::Done(given_back) = call(&operator, &refund_payment(paid.operation, 100)).await else {
        panic!("it is a payment")
    };
    let end = server.audited(&HashMap::new()).await.position;
    let elsewhere = [Position(0), Position(end.0 + 1), Position(end.0 + 1_000_000), Position(u64::MAX)];
    for round in 0..2 {
        let operator = server.client(Role::Operator).await;
        for position in (1..=end.0).map(Position).chain(elsewhere) {
            if position != topped_up.top_up {
                let outcome = call(&operator, &refund_top_up(position, 1)).await;
                assert_eq!(outcome, RefundTopUpOutcome::UnknownTopUp, "{position}");
            }
            // A refund, a credit and a refused payment are not payments.
            if position != paid.operation {
                let outcome = call(&operator, &refund_payment(position, 1)).await;
                assert_eq!(outcome, RefundBonusOutcome::UnknownPayment, "{position}");
            }
            let outcome = call(&operator, &Refund { activation: position, force: true }).await;
            assert_eq!(outcome, RefundOutcome::UnknownActivation, "{position}");
        }
        let has = accounts(&operator, ClientId(1)).await;
        assert_eq!((has.gaming, has.bonus), (Money(10_000), given_back.balance), "nothing was refunded");
        if round == 0 {
            // The same with a journal that was read from disk at the start. Positions that were in the future before are refusals
            // now.
            server.kill();
            server.restart();
        }
    }
    let operator = server.client(Role::Operator).await;
    let outcome = call(&operator, &refund_top_up(topped_up.top_up, 1)).await;
    assert!(matches!(outcome, RefundTopUpOutcome::Refunded(_)), "{outcome}");
    server.audited(&HashMap::new()).await;
}

/// A gateway refunds its own operations, a till everybody's. Another gateway's operation looks as if it did not exist.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_refunds_its_own_operations_and_a_till_everybodys() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    create_rule(&operator, rule("Half", "", "{{topupAmountMajor}} * 0.5")).await;
    let token = new_token(Role::Gateway);
    let secret = secret_of_token(&token);
    let grant = Grant { name: "other".into(), role: Role::Gateway, clubs: Vec::new(), reasons: true, secret };
    let AddCredentialOutcome::Added(_) = call(&operator, &AddCredential { grant }).await else { panic!("it is new") };
    let other = Client::connect(server.dial(Role::Gateway).with_token(&token)).await.expect("the new token works at once");
    let (gateway, till) = (server.client(Role::Gateway).await, server.client(Role::Cashier).await);

    let TopUpOutcome::ToppedUp(done) = call(&gateway, &top_up(1, arena, 10_000)).await else { panic!("the top-up succeeds") };
    let pay = PayBonus { client: ClientId(1), club: arena, amount: Money(900), paid_for: PaidFor::Order, note: Note::default() };
    let BonusOutcome::Done(paid) = call(&gateway, &pay).await else { panic!("there is enough") };
    assert_eq!(call(&other, &refund_top_up(done.top_up, 1)).await, RefundTopUpOutcome::UnknownTopUp);
    assert_eq!(call(&other, &refund_payment(paid.operation, 1)).await, RefundBonusOutcome::UnknownPayment);
    for may in [&gateway, &till, &operator] {
        let outcome = call(may, &refund_top_up(done.top_up, 1)).await;
        assert!(matches!(outcome, RefundTopUpOutcome::Refunded(_)), "{outcome}");
        let outcome = call(may, &refund_payment(paid.operation, 1)).await;
        assert!(matches!(outcome, RefundBonusOutcome::Done(_)), "{outcome}");
    }
    server.audited(&HashMap::new()).await;
}
