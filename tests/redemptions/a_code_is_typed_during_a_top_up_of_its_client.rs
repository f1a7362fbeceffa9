//! A12: the top-up that a redemption or a confirmation names is looked up in the journal. It must be one of the same client;
//! otherwise the request is refused and credits nothing.

use std::collections::HashMap;

use scrip_protocol::command::{Confirm, ConfirmOutcome, Hold, HoldOutcome, Redeem, RedeemOutcome, TopUpOutcome};
use scrip_protocol::{ClientId, Command, Money, Position, RequestId, Role};

use crate::support::{Server, accounts, campaign, club, redemption, terms, top_up};

async fn call<C: Command>(client: &scrip_client::Client, request: RequestId, command: &C) -> C::Outcome {
    client.call(request, command).await.expect("a reply")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_top_up_must_be_the_clients_own() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", None, 100), &["A".to_owned()]).await;
    let mut top_ups = Vec::new();
    for client in [7, 8] {
        let outcome = call(&operator, RequestId::now(), &top_up(client, arena, 10_000)).await;
        let TopUpOutcome::ToppedUp(done) = outcome else { panic!("the top-up succeeds: {outcome}") };
        top_ups.push(done.top_up);
    }
    let held = call(&operator, RequestId::now(), &Hold::new(ClientId(7), arena, "A", 600_000)).await;
    let HoldOutcome::Held(held) = held else { panic!("its use is free: {held}") };
    let (request, next) = (RequestId::now(), Position(held.hold.0 + 1));
    let during = |top_up| Redeem { top_up, ..redemption(7, arena, "A") };

    // A top-up that has not happened yet does not count, even if it exists by the time the request is retried.
    let early = during(Position(next.0 + 1));
    assert_eq!(call(&operator, request, &early).await, RedeemOutcome::UnknownTopUp);
    let outcome = call(&operator, RequestId::now(), &top_up(7, arena, 10_000)).await;
    assert!(matches!(&outcome, TopUpOutcome::ToppedUp(done) if done.top_up == early.top_up), "{outcome}");
    assert_eq!(call(&operator, request, &early).await, RedeemOutcome::UnknownTopUp);

    let end = server.audited(&HashMap::new()).await.position;
    let theirs = [top_ups[0], early.top_up];
    let elsewhere = [Position(end.0 + 1_000_000), Position(u64::MAX)];
    for round in 0..2 {
        let operator = server.client(Role::Operator).await;
        for position in (1..=end.0).map(Position).chain(elsewhere).filter(|position| !theirs.contains(position)) {
            assert_eq!(call(&operator, RequestId::now(), &during(position)).await, RedeemOutcome::UnknownTopUp, "{position}");
            let confirm = Confirm { hold: held.hold, top_up: position };
            assert_eq!(call(&operator, RequestId::now(), &confirm).await, ConfirmOutcome::UnknownTopUp, "{position}");
        }
        assert_eq!(accounts(&operator, ClientId(7)).await.bonus, Money(0), "nothing was credited");
        if round == 0 {
            // The same with a journal that was read from disk at the start.
            server.kill();
            server.restart();
        }
    }
    let operator = server.client(Role::Operator).await;
    assert_eq!(call(&operator, request, &early).await, RedeemOutcome::UnknownTopUp);
    let id = RequestId::now();
    let redeemed = call(&operator, id, &during(top_ups[0])).await;
    assert!(matches!(redeemed, RedeemOutcome::Redeemed(_)), "{redeemed}");
    assert_eq!(call(&operator, id, &during(top_ups[0])).await, redeemed);
    let confirmed = call(&operator, RequestId::now(), &Confirm { hold: held.hold, top_up: early.top_up }).await;
    assert!(matches!(confirmed, ConfirmOutcome::Confirmed(_)), "{confirmed}");
    server.audited(&HashMap::new()).await;
}
