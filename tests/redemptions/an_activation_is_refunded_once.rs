//! An activation is refunded once, however many callers try and however often the engine is killed, and its use can be taken once
//! more (Z2, Z3; pain 10).

use std::collections::HashMap;
use std::sync::Arc;

use scrip_client::Client;
use scrip_protocol::command::{
    ArchiveCampaign, ArchiveCampaignOutcome, ConfirmOutcome, HOLD_TTL_DEFAULT_MS, Hold, HoldOutcome, RedeemOutcome, Refund,
    RefundOutcome, Refunded, RestoreCampaign, RestoreCampaignOutcome, ShowCampaignOutcome,
};
use scrip_protocol::frame::{REFUSAL, set_correlation};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, Refusal, RequestId, Role};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Server, balance, campaign, club, redemption, request, terms};

const TASKS: usize = 40;
const AMOUNT: i64 = 300;

async fn redeem(client: &Client, of: u128, club: ClubId, code: &str) -> Result<Position, RedeemOutcome> {
    let outcome = client.redeem(RequestId::now(), &redemption(of, club, code)).await.expect("a reply");
    if let RedeemOutcome::Redeemed(done) = outcome { Ok(done.activation) } else { Err(outcome) }
}

async fn refund(client: &Client, activation: Position, force: bool) -> RefundOutcome {
    client.call(RequestId::now(), &Refund { activation, force }).await.expect("a reply")
}

async fn refunds_of(client: &Client, of: CampaignId) -> (u64, u64, Money) {
    let ShowCampaignOutcome::Campaign(card) = client.show_campaign(of).await.expect("a reply") else {
        panic!("the campaign exists")
    };
    (card.activations, card.refunds, card.issued)
}

/// Z2, D5: of many refunds of one activation one takes effect, and of many clients that then want the use one gets it; round
/// after round, across kills.
#[tokio::test(flavor = "multi_thread")]
async fn many_refunds_of_one_activation_free_one_use() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let limited = scrip_protocol::command::Terms {
        activations_per_client_max: Some(1),
        activations_max: Some(1),
        budget: Some(Money(AMOUNT)),
        ..terms("once", Some(1), AMOUNT)
    };
    let once = campaign(&operator, limited, &["ONCE".to_owned(), "OTHER".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    let mut activation = redeem(&gateway, 1, arena, "once").await.expect("it is free");
    for round in 1..=3 {
        let start = Arc::new(Barrier::new(TASKS));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (client, start) = (server.client(Role::Gateway).await, start.clone());
            tasks.spawn(async move {
                start.wait().await;
                let refunded = refund(&client, activation, false).await;
                // Through either code, by any client: one use in total.
                let code = if task % 2 == 0 { "once" } else { "other" };
                (refunded, redeem(&client, 1 + task as u128 % 3, arena, code).await)
            });
        }
        let answers = tasks.join_all().await;
        let done = answers.iter().filter(|(refunded, _)| matches!(refunded, RefundOutcome::Refunded(_))).count();
        let before = answers.iter().filter(|(refunded, _)| *refunded == RefundOutcome::AlreadyRefunded).count();
        assert_eq!((done, before), (1, TASKS - 1), "round {round}");
        let had: Vec<Position> = answers.iter().filter_map(|(_, redeemed)| redeemed.ok()).collect();
        assert_eq!(had.len(), 1, "round {round}: {answers:?}");
        activation = had[0];
        server.kill();
        server.restart();
        let operator = server.client(Role::Operator).await;
        assert_eq!(refunds_of(&operator, once).await, (1, round, Money(AMOUNT)));
        server.audited(&HashMap::new()).await;
    }
}

/// Z2, Z15: a gateway refunds its own activations, an operator any, and only an operator may force. All other positions get the
/// same reply.
#[tokio::test(flavor = "multi_thread")]
async fn callers_see_only_activations_that_they_may_refund() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let many = campaign(&operator, terms("many", None, AMOUNT), &["MANY".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    let (ours, theirs) = (
        redeem(&gateway, 1, arena, "many").await.expect("it is free"),
        redeem(&operator, 1, arena, "many").await.expect("it is free"),
    );
    let command = Hold::new(ClientId(1), arena, "many", HOLD_TTL_DEFAULT_MS);
    let HoldOutcome::Held(held) = gateway.hold(RequestId::now(), &command).await.expect("a reply") else { panic!("it is free") };
    let ConfirmOutcome::Confirmed(confirmed) = gateway.confirm(RequestId::now(), held.hold).await.expect("a reply") else {
        panic!("it is held")
    };
    let newest = server.audited(&HashMap::new()).await.position;
    let none = [Position(0), Position(1), held.hold, Position(newest.0 + 1_000), Position(u64::MAX)];
    for client in [&gateway, &operator] {
        for activation in none {
            assert_eq!(refund(client, activation, false).await, RefundOutcome::UnknownActivation, "{activation}");
        }
    }
    assert_eq!(refund(&gateway, theirs, false).await, RefundOutcome::UnknownActivation);
    let refunded = |balance: i64| {
        let (client, taken, uncollected, balance) = (ClientId(1), Money(AMOUNT), Money(0), Money(balance * AMOUNT));
        RefundOutcome::Refunded(Refunded { client, taken, uncollected, balance })
    };
    // Force is refused before anything is looked up, and leaves no record.
    let mut lane = server.lane(Role::Gateway).await;
    for activation in [ours, theirs, Position(0)] {
        let reply = lane.call(1, RequestId::now(), &Refund { activation, force: true }).await;
        assert_eq!(reply.kind, REFUSAL);
        assert_eq!(reply.outcome::<Refund>(), Err(Refusal::Forbidden { role: Role::Gateway }));
    }
    for role in [Role::Marketing, Role::Cashier, Role::Reporter] {
        let reply = server.lane(role).await.call(1, RequestId::now(), &Refund { activation: ours, force: false }).await;
        assert_eq!(reply.outcome::<Refund>(), Err(Refusal::Forbidden { role }));
    }
    assert_eq!(refund(&gateway, ours, false).await, refunded(2));
    assert_eq!(refund(&operator, theirs, true).await, refunded(1));
    assert_eq!(refund(&operator, confirmed.activation, false).await, refunded(0));
    for activation in [ours, theirs, confirmed.activation] {
        assert_eq!(refund(&operator, activation, true).await, RefundOutcome::AlreadyRefunded);
    }
    assert_eq!(refunds_of(&operator, many).await, (0, 3, Money(0)));
    assert_eq!(balance(&operator, ClientId(1)).await, Money(0));
    server.audited(&HashMap::new()).await;
}

/// Z3: a retry gets the same bytes on other lanes, after a restart and after a kill, whatever has happened to the campaign and
/// the code since. Archived codes are refunded like others (X1).
#[tokio::test(flavor = "multi_thread")]
async fn a_retried_refund_gets_the_same_bytes() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let codes = ["SPRING".to_owned(), "SUMMER".to_owned()];
    let few = campaign(&operator, terms("few", Some(1), AMOUNT), &codes).await;
    let spring = redeem(&operator, 1, arena, "spring").await.expect("it is free");
    let summer = redeem(&operator, 2, arena, "summer").await.expect("it is free");
    let archived = operator.call(RequestId::now(), &ArchiveCampaign { campaign: few }).await.expect("a reply");
    assert!(matches!(archived, ArchiveCampaignOutcome::Archived { .. }), "{archived}");

    let now = RequestId::now;
    let requests = [
        ("a refund", request(0, now(), &Refund { activation: spring, force: false })),
        ("a refund under another request", request(0, now(), &Refund { activation: spring, force: false })),
        ("a forced one", request(0, now(), &Refund { activation: summer, force: true })),
        ("one of nothing", request(0, now(), &Refund { activation: Position(u64::MAX), force: false })),
    ];
    let mut lane = server.lane(Role::Operator).await;
    let mut first = Vec::new();
    for (what, frame) in &requests {
        lane.write(frame).await;
        let reply = lane.next().await.expect("a reply");
        assert_ne!(reply.kind, REFUSAL, "{what}");
        first.push((reply.kind, reply.body));
    }
    let restored = operator.call(RequestId::now(), &RestoreCampaign { campaign: few }).await.expect("a reply");
    assert!(matches!(restored, RestoreCampaignOutcome::Restored { .. }), "{restored}");
    // Another client takes the freed use, and no retry takes it back.
    redeem(&operator, 3, arena, "spring").await.expect("it is free again");
    assert_eq!(redeem(&operator, 4, arena, "spring").await, Err(RedeemOutcome::CodeExhausted));
    drop(operator);
    let position = server.audited(&HashMap::new()).await.position;
    for when in ["on another lane", "after a restart", "after a kill"] {
        let mut lane = server.lane(Role::Operator).await;
        for (at, ((what, frame), first)) in requests.iter().zip(&first).enumerate() {
            let mut frame = frame.clone();
            set_correlation(&mut frame, at as u64);
            lane.write(&frame).await;
            let reply = lane.next().await.expect("a reply");
            assert_eq!(reply.bytes(), (first.0, first.1.as_slice()), "{what}, again {when}");
        }
        match when {
            "on another lane" => assert!(server.terminate().success()),
            _ => server.kill(),
        }
        server.restart();
    }
    assert_eq!(server.audited(&HashMap::new()).await.position, position, "the retries had no effect");
    let operator = server.client(Role::Operator).await;
    assert_eq!(refunds_of(&operator, few).await, (1, 2, Money(AMOUNT)));
    for (client, expected) in [(1, 0), (2, 0), (3, AMOUNT)] {
        assert_eq!(balance(&operator, ClientId(client)).await, Money(expected), "client {client}");
    }
}
