//! Counters and limits.

use scrip_protocol::command::{ListCampaigns, RedeemOutcome, Terms};
use scrip_protocol::{CampaignId, Money, RequestId, Role};

use super::{at_once, begin, card, hold, numbered, redeem, redeemed};
use crate::support::{Lane, campaign, redemption, request, terms};

/// Pain 1: a limit of 1,000 was exceeded by half, and the counter showed less than either. Here in two rounds, with a kill
/// between them.
#[tokio::test(flavor = "multi_thread")]
async fn pain_1_a_limit_of_a_thousand_is_a_thousand_and_so_is_the_counter() {
    let (mut server, operator, arena) = begin().await;
    let limited = Terms { activations_max: Some(1_000), ..terms("A thousand", None, 100) };
    let id = campaign(&operator, limited, &["THOUSAND".to_owned()]).await;
    let commands = |from: u128| (from..from + 800).map(|n| redemption(n, arena, "thousand")).collect::<Vec<_>>();
    let first = at_once(&server, commands(1)).await;
    server.kill();
    server.restart();
    let second = at_once(&server, commands(801)).await;
    assert_eq!((redeemed(&first), redeemed(&second)), (800, 200));
    assert!(second.iter().all(|answer| matches!(answer, RedeemOutcome::Redeemed(_) | RedeemOutcome::CampaignExhausted)));
    let operator = server.client(Role::Operator).await;
    let card = card(&operator, id).await;
    assert_eq!((card.activations, card.issued), (1_000, Money(100_000)));
}

/// Pain 4: requests that arrived in one packet raced past the check. Here they are one write on one lane, under different ids.
#[tokio::test(flavor = "multi_thread")]
async fn pain_4_requests_that_arrive_in_one_packet_share_one_use() {
    let (server, operator, arena) = begin().await;
    campaign(&operator, terms("Once", Some(1), 100), &["ONCE".to_owned()]).await;
    let mut lane: Lane = server.lane(Role::Gateway).await;
    let frames = (0..40).map(|n| request(n, RequestId::now(), &redemption(n.into(), arena, "ONCE")));
    lane.write(&frames.flatten().collect::<Vec<u8>>()).await;
    let replies = lane.replies(40).await;
    let outcomes = replies.iter().map(|reply| reply.outcome::<scrip_protocol::command::Redeem>().expect("an outcome"));
    let outcomes: Vec<RedeemOutcome> = outcomes.collect();
    assert_eq!(redeemed(&outcomes), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == RedeemOutcome::CodeExhausted).count(), 39);
}

/// Pain 5: a code for three uses was redeemed five times.
#[tokio::test(flavor = "multi_thread")]
async fn pain_5_three_uses_are_three() {
    let (server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Three", Some(3), 100), &["THREE".to_owned()]).await;
    let answers = at_once(&server, (0..60).map(|n| redemption(n, arena, "Three")).collect()).await;
    assert_eq!(redeemed(&answers), 3);
    assert_eq!(card(&operator, id).await.activations, 3);
}

/// Pain 6: different codes of one promotion exceeded its common limit, because locks were per code; and elsewhere the last use
/// was refused one short of it.
#[tokio::test(flavor = "multi_thread")]
async fn pain_6_different_codes_share_the_limit_of_their_campaign_to_the_last_use() {
    let (server, operator, arena) = begin().await;
    let codes = numbered("SHARED", 100);
    for (name, limited) in [
        ("uses", Terms { activations_max: Some(37), ..terms("Shared", Some(1), 100) }),
        ("budget", Terms { budget: Some(Money(3_799)), ..terms("Shared", Some(1), 100) }),
    ] {
        let codes: Vec<String> = codes.iter().map(|code| format!("{code}-{name}")).collect();
        let id = campaign(&operator, limited, &codes).await;
        let answers = at_once(&server, codes.iter().zip(0..).map(|(code, n)| redemption(n, arena, code)).collect()).await;
        assert_eq!(redeemed(&answers), 37, "{name}");
        let card = card(&operator, id).await;
        assert_eq!((card.activations, card.codes_activated, card.issued), (37, 37, Money(3_700)), "{name}");
    }
}

/// Pain 7: the counter of a code used by nearly every order was a row that all of them waited for. Here all use it at once, none
/// is refused and none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn pain_7_everybody_uses_one_code_at_once() {
    let (server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Everybody", None, 1), &["EVERYBODY".to_owned()]).await;
    let answers = at_once(&server, (0..4_000).map(|n| redemption(n % 97, arena, "everybody")).collect()).await;
    assert_eq!(redeemed(&answers), 4_000);
    let card = card(&operator, id).await;
    assert_eq!((card.activations, card.codes_activated, card.issued), (4_000, 1, Money(4_000)));
}

/// Pain 8: a lock was held for as long as the payment took. Here a hold reserves its use, and everybody else proceeds.
#[tokio::test(flavor = "multi_thread")]
async fn pain_8_a_slow_payment_delays_nobody() {
    let (server, operator, arena) = begin().await;
    campaign(&operator, terms("Two", Some(2), 100), &["TWO".to_owned(), "OTHER".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    let slow = hold(&gateway, 1, arena, "TWO", 60_000).await.expect("a use is free");
    let others =
        at_once(&server, vec![redemption(2, arena, "TWO"), redemption(3, arena, "OTHER"), redemption(4, arena, "OTHER")]);
    assert_eq!(redeemed(&others.await), 3);
    assert_eq!(redeem(&gateway, &redemption(5, arena, "TWO")).await, RedeemOutcome::CodeExhausted);
    let confirmed = gateway.confirm(RequestId::now(), slow).await.expect("a reply");
    assert!(confirmed.to_string().starts_with("confirmed"), "{confirmed}");
}

/// Pain 11: a use was counted though the order was refused.
#[tokio::test(flavor = "multi_thread")]
async fn pain_11_a_refusal_uses_nothing_up() {
    let (server, operator, arena) = begin().await;
    let elsewhere = crate::support::club(&operator, "Elsewhere").await;
    let here = Terms { clubs: vec![arena], activations_max: Some(1), ..terms("Here", Some(1), 100) };
    let id = campaign(&operator, here, &["HERE".to_owned()]).await;
    for _ in 0..5 {
        assert_eq!(redeem(&operator, &redemption(1, elsewhere, "HERE")).await, RedeemOutcome::ClubExcluded);
    }
    operator.switch_campaign(RequestId::now(), id, false).await.expect("a reply");
    assert_eq!(redeem(&operator, &redemption(1, arena, "HERE")).await, RedeemOutcome::CampaignInactive);
    operator.switch_campaign(RequestId::now(), id, true).await.expect("a reply");
    assert_eq!(card(&operator, id).await.activations, 0);
    let answers = at_once(&server, vec![redemption(1, arena, "HERE")]).await;
    assert_eq!(redeemed(&answers), 1);
}

/// Pain 19: counting by query took down shops with many promotions. Here the counters of 350 campaigns are read in pages while
/// their codes are redeemed, and each is right in the end.
#[tokio::test(flavor = "multi_thread")]
async fn pain_19_the_counters_of_many_campaigns_are_read_while_codes_are_redeemed() {
    const CAMPAIGNS: u32 = 350;
    let (server, operator, arena) = begin().await;
    for n in 0..CAMPAIGNS {
        campaign(&operator, terms(&format!("Number {n}"), Some(1), 100), &[format!("MANY-{n:03}")]).await;
    }
    let lists = async {
        let mut seen = 0;
        for _ in 0..20 {
            let mut query = ListCampaigns::default();
            let mut cards = 0;
            loop {
                let page = operator.list_campaigns(&query).await.expect("a reply");
                assert!(page.campaigns.iter().all(|card| u64::from(card.codes_activated) == card.activations));
                cards += page.campaigns.len();
                match page.next {
                    Some(next) => query.after = next,
                    None => break,
                }
            }
            assert_eq!(cards, CAMPAIGNS as usize);
            seen += 1;
        }
        seen
    };
    let commands = (0..CAMPAIGNS).map(|n| redemption(n.into(), arena, &format!("many-{n:03}"))).collect();
    let (seen, answers) = tokio::join!(lists, at_once(&server, commands));
    assert_eq!((seen, redeemed(&answers)), (20, CAMPAIGNS as usize));
    for n in [1, 100, 101, CAMPAIGNS] {
        assert_eq!(card(&operator, CampaignId(n)).await.activations, 1);
    }
}

/// Pain 29: a crash between two writes left a player locked out without a bonus. Here there is one write: after a kill in the
/// middle of a burst, every retried request either was executed in full or is executed now.
#[tokio::test(flavor = "multi_thread")]
async fn pain_29_a_crash_leaves_nothing_half_done() {
    let (mut server, operator, arena) = begin().await;
    let codes = numbered("HALF", 300);
    let id = campaign(&operator, terms("Half", Some(1), 100), &codes).await;
    let commands: Vec<_> = codes.iter().zip(0..).map(|(code, n)| (RequestId::now(), redemption(n, arena, code))).collect();
    let mut lane = server.lane(Role::Gateway).await;
    lane.write(&commands.iter().flat_map(|(id, redeem)| request(0, *id, redeem)).collect::<Vec<u8>>()).await;
    // When the first replies arrive, others are on their way to the disk.
    lane.replies(20).await;
    server.kill();
    server.restart();
    let gateway = server.client(Role::Gateway).await;
    let answers: Vec<RedeemOutcome> =
        gateway.redeem_all(&commands).await.into_iter().map(|answer| answer.expect("a reply")).collect();
    assert_eq!(redeemed(&answers), 300);
    let operator = server.client(Role::Operator).await;
    let card = card(&operator, id).await;
    assert_eq!((card.activations, card.issued), (300, Money(30_000)));
    server.audited(&commands.iter().map(|(id, _)| *id).zip(answers).collect()).await;
}
