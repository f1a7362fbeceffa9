//! Refunds name an operation by its position: what stands there is what is given back, to whom may have it, and nothing else is.

mod support;

use std::collections::HashMap;

use scrip_client::Client;
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, BonusOutcome, Grant, Note, PaidFor, PayBonus, Refund, RefundBonus, RefundBonusOutcome,
    RefundOutcome, RefundTopUp, RefundTopUpOutcome, TopUpOutcome,
};
use scrip_protocol::{ClientId, Command, Money, Position, RequestId, Role};
use support::{Server, accounts, club, create_rule, rule, top_up};

async fn call<C: Command>(client: &Client, asked: &C) -> C::Outcome {
    client.call(RequestId::now(), asked).await.expect("an answer")
}

fn top_up_back(top_up: Position, amount: i64) -> RefundTopUp {
    RefundTopUp { top_up, amount: Some(Money(amount)), claw_back: false, note: Note::default() }
}

fn payment_back(payment: Position, amount: i64) -> RefundBonus {
    RefundBonus { payment, amount: Some(Money(amount)), note: Note::default() }
}

/// A29, B3, Z2: whatever stands at a position is no top-up, no payment and no activation but what is one; neither is 0, nor what has not
/// happened yet. A position is easily guessed, so that all of this is one answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_elsewhere_is_not_given_back() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    create_rule(&operator, rule("Half", "", "{{topupAmountMajor}} * 0.5")).await;
    let TopUpOutcome::ToppedUp(topped_up) = call(&operator, &top_up(1, arena, 10_000)).await else { panic!("it is taken") };
    let pay = PayBonus { client: ClientId(1), club: arena, amount: Money(900), paid_for: PaidFor::Order, note: Note::default() };
    let BonusOutcome::Done(paid) = call(&operator, &pay).await else { panic!("there is enough") };
    let BonusOutcome::Overdraft { .. } = call(&operator, &PayBonus { amount: Money(90_000), ..pay }).await else {
        panic!("there is not enough")
    };
    let RefundBonusOutcome::Done(given_back) = call(&operator, &payment_back(paid.operation, 100)).await else {
        panic!("it is a payment")
    };
    let end = server.audited(&HashMap::new()).await.position;
    let elsewhere = [Position(0), Position(end.0 + 1), Position(end.0 + 1_000_000), Position(u64::MAX)];
    for round in 0..2 {
        let operator = server.client(Role::Operator).await;
        for position in (1..=end.0).map(Position).chain(elsewhere) {
            if position != topped_up.top_up {
                let outcome = call(&operator, &top_up_back(position, 1)).await;
                assert_eq!(outcome, RefundTopUpOutcome::UnknownTopUp, "{position}");
            }
            // A refund, a credit and a refused payment are no payments.
            if position != paid.operation {
                let outcome = call(&operator, &payment_back(position, 1)).await;
                assert_eq!(outcome, RefundBonusOutcome::UnknownPayment, "{position}");
            }
            let outcome = call(&operator, &Refund { activation: position, force: true }).await;
            assert_eq!(outcome, RefundOutcome::UnknownActivation, "{position}");
        }
        let has = accounts(&operator, ClientId(1)).await;
        assert_eq!((has.gaming, has.bonus), (Money(10_000), given_back.balance), "nothing was given back");
        if round == 0 {
            // The same of a journal that was read from disk at the start. What was not yet then is a refusal now.
            server.kill();
            server.restart();
        }
    }
    let operator = server.client(Role::Operator).await;
    let outcome = call(&operator, &top_up_back(topped_up.top_up, 1)).await;
    assert!(matches!(outcome, RefundTopUpOutcome::Refunded(_)), "{outcome}");
    server.audited(&HashMap::new()).await;
}

/// A gateway gives back what it took itself; a till what anybody took. What is another's is as if it were not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_gives_back_its_own_and_a_till_anybodys() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    create_rule(&operator, rule("Half", "", "{{topupAmountMajor}} * 0.5")).await;
    let token = new_token(Role::Gateway);
    let secret = secret_of_token(&token);
    let grant = Grant { name: "other".into(), role: Role::Gateway, clubs: Vec::new(), reasons: true, secret };
    let AddCredentialOutcome::Added(_) = call(&operator, &AddCredential { grant }).await else { panic!("it is new") };
    let other = Client::connect(server.dial(Role::Gateway).with_token(&token)).await.expect("it works at once");
    let (gateway, till) = (server.client(Role::Gateway).await, server.client(Role::Cashier).await);

    let TopUpOutcome::ToppedUp(done) = call(&gateway, &top_up(1, arena, 10_000)).await else { panic!("it is taken") };
    let pay = PayBonus { client: ClientId(1), club: arena, amount: Money(900), paid_for: PaidFor::Order, note: Note::default() };
    let BonusOutcome::Done(paid) = call(&gateway, &pay).await else { panic!("there is enough") };
    assert_eq!(call(&other, &top_up_back(done.top_up, 1)).await, RefundTopUpOutcome::UnknownTopUp);
    assert_eq!(call(&other, &payment_back(paid.operation, 1)).await, RefundBonusOutcome::UnknownPayment);
    for may in [&gateway, &till, &operator] {
        let outcome = call(may, &top_up_back(done.top_up, 1)).await;
        assert!(matches!(outcome, RefundTopUpOutcome::Refunded(_)), "{outcome}");
        let outcome = call(may, &payment_back(paid.operation, 1)).await;
        assert!(matches!(outcome, RefundBonusOutcome::Done(_)), "{outcome}");
    }
    server.audited(&HashMap::new()).await;
}
