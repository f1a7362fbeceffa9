//! Uses and bonuses that are refunded, taken twice, or promised.

use scrip_protocol::command::{ConfirmOutcome, HoldOutcome, RedeemOutcome, Refund, RefundOutcome, ReleaseOutcome, Terms};
use scrip_protocol::{ClientId, Money, RequestId, Role};
use tokio::task::JoinSet;

use super::{begin, card, client, hold, numbered, redeem};
use crate::support::{DEADLINE, balance, campaign, redemption, request, run, terms, wait_until};

/// Pain 9: the payment failed after the use was taken: the voucher was lost, or blocked until somebody noticed. Here the use is
/// held, and free again as soon as it is released, or when the hold expires.
#[tokio::test(flavor = "multi_thread")]
async fn pain_9_a_payment_that_fails_costs_no_use() {
    let (_server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Pay", Some(1), 100), &["PAY".to_owned()]).await;
    let failed = hold(&operator, 1, arena, "PAY", 60_000).await.expect("the use is free");
    assert_eq!(redeem(&operator, &redemption(2, arena, "PAY")).await, RedeemOutcome::CodeExhausted);
    assert_eq!(operator.release(RequestId::now(), failed).await.expect("a reply"), ReleaseOutcome::Released);
    hold(&operator, 3, arena, "PAY", 1_000).await.expect("the use is free again");
    // Nobody releases this one: a second later it is free.
    let handle = tokio::runtime::Handle::current();
    let mut others = 4..;
    let again = tokio::task::spawn_blocking(move || {
        wait_until(DEADLINE, "the hold expires", || {
            let other = others.next().expect("there is no last one");
            let outcome = handle.block_on(redeem(&operator, &redemption(other, arena, "PAY")));
            if let RedeemOutcome::Redeemed(done) = outcome {
                return Some((operator.clone(), done));
            }
            assert_eq!(outcome, RedeemOutcome::CodeExhausted);
            None
        })
    });
    let (operator, done) = again.await.expect("it was redeemed");
    assert_eq!((done.balance, card(&operator, id).await.activations), (Money(100), 1));
}

/// Pain 10: a cancelled order did not free its use; and, conversely, a refunded one freed it for a second person, who had it
/// besides the first.
#[tokio::test(flavor = "multi_thread")]
async fn pain_10_a_refund_frees_the_use_once_and_debits_the_bonus() {
    let (server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Back", Some(1), 100), &["BACK".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    let RedeemOutcome::Redeemed(first) = redeem(&gateway, &redemption(1, arena, "BACK")).await else { panic!("it is free") };
    let refund = Refund { activation: first.activation, force: false };
    // Twenty at once, under twenty ids: one of them succeeds.
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (gateway, refund) = (gateway.clone(), refund.clone());
        tasks.spawn(async move { gateway.call(RequestId::now(), &refund).await.expect("a reply") });
    }
    let outcomes = tasks.join_all().await;
    let count = |is: fn(&RefundOutcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, RefundOutcome::Refunded(_))), 1);
    assert_eq!(count(|outcome| *outcome == RefundOutcome::AlreadyRefunded), 19);
    assert_eq!(balance(&operator, client(1)).await, Money(0));
    let RedeemOutcome::Redeemed(_) = redeem(&gateway, &redemption(2, arena, "BACK")).await else { panic!("it is free again") };
    assert_eq!(redeem(&gateway, &redemption(3, arena, "BACK")).await, RedeemOutcome::CodeExhausted);
    let card = card(&operator, id).await;
    assert_eq!((card.activations, card.refunds, card.issued), (1, 1, Money(100)));
}

/// Pain 22: a disabled code still worked in a cart that was already open. Here earlier promises are kept, and no new ones are
/// made.
#[tokio::test(flavor = "multi_thread")]
async fn pain_22_a_campaign_that_is_switched_off_makes_no_new_promises() {
    let (_server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Off", None, 100), &["OFF".to_owned()]).await;
    let promised = hold(&operator, 1, arena, "OFF", 60_000).await.expect("it is on");
    operator.switch_campaign(RequestId::now(), id, false).await.expect("a reply");
    assert_eq!(redeem(&operator, &redemption(2, arena, "OFF")).await, RedeemOutcome::CampaignInactive);
    let refused = hold(&operator, 2, arena, "OFF", 60_000).await;
    assert_eq!(refused, Err(HoldOutcome::Refused(RedeemOutcome::CampaignInactive)));
    let confirmed = operator.confirm(RequestId::now(), promised).await.expect("a reply");
    assert!(matches!(confirmed, ConfirmOutcome::Confirmed(_)), "{confirmed}");
    assert_eq!(card(&operator, id).await.activations, 1);
}

/// Pain 23: the limit per user was circumvented with another spelling of the account; and nobody knew whether it counted per code
/// or per promotion. Here it counts per campaign, whichever code, and a client's id has exactly one spelling.
#[tokio::test(flavor = "multi_thread")]
async fn pain_23_a_client_has_the_uses_of_one_client_and_one_spelling() {
    let (server, operator, arena) = begin().await;
    let once_each = Terms { activations_per_client_max: Some(1), ..terms("Once each", Some(1), 100) };
    campaign(&operator, once_each, &numbered("EACH", 5)).await;
    for at in 0..3 {
        let outcome = redeem(&operator, &redemption(42, arena, &format!("EACH-{at:05}"))).await;
        let redeemed = matches!(outcome, RedeemOutcome::Redeemed(_));
        assert!(redeemed == (at == 0) && (redeemed || outcome == RedeemOutcome::ClientExhausted), "{at}: {outcome}");
    }
    assert_eq!("42".parse(), Ok(ClientId(42)));
    let spellings = [
        "0042",
        "+42",
        "00000000-0000-0000-0000-00000000002a",
        "0000000000000000000000000000002a",
        "0000000000000000000000000000002A",
    ];
    for spelling in spellings {
        let code = ["redeem", "EACH-00003", "--client", spelling, "--club", "1"];
        let refused = run(server.scrip(Role::Operator).args(code), b"").exits(2).err;
        assert!(refused.contains(&format!("{spelling:?} is not a client id")), "{refused}");
    }
    let other = redeem(&operator, &redemption(43, arena, "EACH-00004")).await;
    assert!(matches!(other, RedeemOutcome::Redeemed(_)), "{other}");
}

/// Pain 25: points were given twenty times by twenty requests at once, and a hold did not prevent spending. Here twenty
/// confirmations of one hold credit once, whatever else is tried at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn pain_25_twenty_at_once_credit_once() {
    let (server, operator, arena) = begin().await;
    campaign(&operator, terms("Points", Some(1), 10_000), &["POINTS".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    let held = hold(&gateway, 7, arena, "POINTS", 60_000).await.expect("the use is free");
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let gateway = gateway.clone();
        tasks.spawn(async move {
            match n % 2 {
                0 => matches!(gateway.confirm(RequestId::now(), held).await.expect("a reply"), ConfirmOutcome::Confirmed(_)),
                _ => matches!(redeem(&gateway, &redemption(7, arena, "POINTS")).await, RedeemOutcome::Redeemed(_)),
            }
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|credited| *credited).count(), 1);
    assert_eq!(balance(&operator, client(7)).await, Money(10_000));
}

/// Pain 27: an event that was delivered again was credited again; webhooks arrived up to 46 times.
#[tokio::test(flavor = "multi_thread")]
async fn pain_27_an_event_delivered_forty_six_times_is_credited_once() {
    let (mut server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Again", None, 500), &["AGAIN".to_owned()]).await;
    let frame = request(7, RequestId::now(), &redemption(1, arena, "AGAIN"));
    let mut bytes = None;
    for round in 0..2 {
        for connection in 0..2 {
            let mut lane = server.lane(Role::Gateway).await;
            let copies = if (round, connection) == (0, 0) { 10 } else { 12 };
            lane.write(&frame.repeat(copies)).await;
            for reply in lane.replies(copies).await {
                let first = bytes.get_or_insert_with(|| reply.body.clone());
                assert_eq!(*first, reply.body);
            }
        }
        server.kill();
        server.restart();
    }
    let operator_again = server.client(Role::Operator).await;
    drop(operator);
    let card = card(&operator_again, id).await;
    assert_eq!((card.activations, balance(&operator_again, client(1)).await), (1, Money(500)));
}
