//! A request has one effect, however often it is sent, and gets the same reply each time, byte for byte (Z3; pain 27).

mod support;

use std::collections::HashMap;

use scrip_protocol::command::{
    AddCodes, Confirm, CreateCampaign, HOLD_TTL_DEFAULT_MS, Hold, HoldOutcome, OnConflict, Redeem, RedeemOutcome, RegisterClient,
    RegisterClub, Release, SwitchCampaign,
};
use scrip_protocol::frame::{REFUSAL, set_correlation};
use scrip_protocol::{ClientId, ClubId, Money, Position, Refusal, RequestId, Role, unix_time_ms};
use support::{Lane, Server, balance, campaign, club, redemption, request, terms};

const HOUR_MS: u64 = 3_600_000;

/// The position of the newest record.
async fn position(server: &Server) -> Position {
    server.audited(&HashMap::new()).await.position
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// Sends the same frames once more, with other correlation numbers, and compares the replies with the first ones.
async fn ask_again(lane: &mut Lane, asked: &[(&str, Vec<u8>)], first: &[(u16, Vec<u8>)], when: &str) {
    for (at, ((what, frame), first)) in asked.iter().zip(first).enumerate() {
        let correlation = 1_000 + at as u64;
        let mut frame = frame.clone();
        set_correlation(&mut frame, correlation);
        lane.write(&frame).await;
        let reply = lane.next().await.expect("a reply");
        assert_eq!(reply.correlation, correlation);
        assert_eq!(reply.bytes(), (first.0, first.1.as_slice()), "{what}, again {when}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_answered_with_the_same_bytes_again() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    let id = campaign(&client, terms("Once", Some(1), 300), &codes(&["SPRING", "SUMMER"])).await;
    // What is held here is confirmed and released below.
    let few = campaign(&client, terms("Held", Some(2), 300), &codes(&["HELD"])).await;
    let hold = |of: u128, code: &str, ttl_ms| Hold::new(ClientId(of), arena, code, ttl_ms);
    let mut holds = Vec::new();
    for of in [6, 7] {
        let outcome = client.hold(RequestId::now(), &hold(of, "HELD", HOLD_TTL_DEFAULT_MS)).await.expect("an answer");
        let HoldOutcome::Held(held) = outcome else { panic!("{outcome}") };
        assert_eq!((held.campaign, held.amount), (few, Money(300)));
        holds.push(held.hold);
    }
    let [confirmed, released] = holds[..] else { panic!("two were held") };
    drop(client);

    let create = |name: &str, lines: &[&str]| CreateCampaign {
        terms: terms(name, None, 100),
        lines: lines.iter().collect(),
        on_conflict: OnConflict::Reject,
    };
    let add = AddCodes {
        campaign: id,
        lines: ["SUMMER", "autumn", "AUTUMN", "a b"].iter().collect(),
        first_line: 1,
        on_conflict: OnConflict::Skip,
    };
    let now = RequestId::now;
    let asked = [
        ("a redemption", request(0, now(), &redemption(1, arena, "spring"))),
        ("a redemption of a spent code", request(0, now(), &redemption(2, arena, "SPRING"))),
        ("a redemption of an unknown code", request(0, now(), &redemption(2, arena, "WINTER"))),
        ("a redemption of what is no code", request(0, now(), &redemption(2, arena, "a b"))),
        ("a redemption at an unknown club", request(0, now(), &redemption(2, ClubId(77), "SUMMER"))),
        ("a hold", request(0, now(), &hold(3, "summer", HOLD_TTL_DEFAULT_MS))),
        ("a hold of a code that is held", request(0, now(), &hold(4, "SUMMER", HOLD_TTL_DEFAULT_MS))),
        ("a hold of what is no code", request(0, now(), &hold(4, "a b", HOLD_TTL_DEFAULT_MS))),
        ("a hold for no time", request(0, now(), &hold(4, "SUMMER", 0))),
        ("a confirmation", request(0, now(), &Confirm { hold: confirmed })),
        ("a confirmation of a confirmed hold", request(0, now(), &Confirm { hold: confirmed })),
        ("a confirmation of no hold", request(0, now(), &Confirm { hold: Position(1) })),
        ("a release", request(0, now(), &Release { hold: released })),
        ("a release of a released hold", request(0, now(), &Release { hold: released })),
        ("a release of a confirmed hold", request(0, now(), &Release { hold: confirmed })),
        ("a club", request(0, now(), &RegisterClub { name: "South".into() })),
        ("a club whose name is taken", request(0, now(), &RegisterClub { name: "Arena".into() })),
        ("a client", request(0, now(), &RegisterClient { client: ClientId(1 << 100), name: "Ann".into() })),
        ("a client that is known", request(0, now(), &RegisterClient { client: ClientId(1), name: "Bob".into() })),
        ("a campaign", request(0, now(), &create("Second", &["X1", "x1", "X2"]))),
        ("a campaign with another's codes", request(0, now(), &create("Third", &["X1", "SPRING"]))),
        ("a campaign without codes", request(0, now(), &create("Third", &[" "]))),
        ("codes", request(0, now(), &add)),
        ("codes for an unknown campaign", {
            request(0, now(), &AddCodes { campaign: scrip_protocol::CampaignId(99), ..add.clone() })
        }),
        ("a switch", request(0, now(), &SwitchCampaign { campaign: id, active: false })),
    ];
    let mut lane = server.lane(Role::Operator).await;
    let mut first = Vec::new();
    for (what, frame) in &asked {
        lane.write(frame).await;
        let reply = lane.next().await.expect("a reply");
        assert_ne!(reply.kind, REFUSAL, "{what} is not refused without an outcome");
        first.push((reply.kind, reply.body));
    }
    let after_first = position(&server).await;

    ask_again(&mut lane, &asked, &first, "on the same lane").await;
    let mut second = lane.another().await;
    ask_again(&mut second, &asked, &first, "on another lane").await;
    ask_again(&mut server.lane(Role::Operator).await, &asked, &first, "on another connection").await;
    assert!(server.terminate().success());
    server.restart();
    ask_again(&mut server.lane(Role::Operator).await, &asked, &first, "after a restart").await;
    server.kill();
    server.restart();
    ask_again(&mut server.lane(Role::Operator).await, &asked, &first, "after a kill").await;
    assert_eq!(position(&server).await, after_first, "nothing was done by asking again");
    let client = server.client(Role::Operator).await;
    assert_eq!(balance(&client, ClientId(1)).await, Money(300));
    assert_eq!(balance(&client, ClientId(6)).await, Money(300), "confirmed once");
    assert_eq!(balance(&client, ClientId(7)).await, Money(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_arrive_together_are_one_request() {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Ever", None, 100), &codes(&["EVER"])).await;
    let before = position(&server).await;

    // In one write on one lane, and at the same time on further lanes and connections.
    let (copies, id, asked) = (300, RequestId::now(), redemption(5, arena, "EVER"));
    let written: Vec<u8> = (0..copies).flat_map(|correlation| request(correlation, id, &asked)).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let lane = server.lane(Role::Gateway).await;
        for mut lane in [lane.another().await, lane] {
            let written = written.clone();
            tasks.spawn(async move {
                lane.write(&written).await;
                lane.replies(copies as usize).await
            });
        }
    }
    let mut bodies = Vec::new();
    while let Some(replies) = tasks.join_next().await {
        let replies = replies.expect("every copy is answered");
        let numbers: Vec<u64> = replies.iter().map(|reply| reply.correlation).collect();
        assert_eq!(numbers, (0..copies).collect::<Vec<_>>(), "each copy is answered once, in order");
        bodies.extend(replies.into_iter().map(|reply| (reply.kind, reply.body)));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "every copy has the same answer");
    assert_eq!(balance(&client, ClientId(5)).await, Money(100));
    assert_eq!(position(&server).await.0, before.0 + 1, "one record");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_used_for_another_body_is_refused() {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    let one = campaign(&client, terms("Once", Some(1), 100), &codes(&["A", "B"])).await;
    let mut lane = server.lane(Role::Operator).await;
    let id = RequestId::now();
    let asked = redemption(1, arena, "A");
    let first = lane.ask(1, id, &asked).await;
    assert!(matches!(first.outcome::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    let after_first = position(&server).await;

    let others = [redemption(1, arena, "B"), redemption(2, arena, "A"), redemption(1, ClubId(2), "A"), redemption(1, arena, "a")];
    for other in &others {
        assert_eq!(lane.ask(2, id, other).await.outcome::<Redeem>(), Err(Refusal::RequestIdReused), "{other:?}");
    }
    let switch = SwitchCampaign { campaign: one, active: false };
    assert_eq!(lane.ask(3, id, &switch).await.outcome::<SwitchCampaign>(), Err(Refusal::RequestIdReused));
    assert_eq!(lane.ask(4, id, &asked).await.bytes(), first.bytes(), "what the id was used for first stays");
    // Two bodies under one id in one write: the first is done.
    let id = RequestId::now();
    let (mut both, second) = (request(5, id, &redemption(3, arena, "B")), request(6, id, &redemption(3, arena, "A")));
    both.extend(second);
    lane.write(&both).await;
    let replies = lane.replies(2).await;
    assert!(matches!(replies[0].outcome::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    assert_eq!(replies[1].outcome::<Redeem>(), Err(Refusal::RequestIdReused));
    assert_eq!(position(&server).await.0, after_first.0 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_out_of_the_window_are_refused_and_nothing_is_done() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Once", Some(1), 100), &codes(&["A"])).await;
    let before = position(&server).await;
    let mut lane = server.lane(Role::Gateway).await;
    let asked = redemption(1, arena, "A");
    let now_ms = unix_time_ms();
    let of = |time_ms| RequestId::from_parts(time_ms, [9; 10]);

    let refusal = lane.ask(1, of(now_ms - 25 * HOUR_MS), &asked).await.outcome::<Redeem>();
    let Err(Refusal::RequestTooOld { oldest_ms }) = refusal else { panic!("{refusal:?}") };
    // A journal that began later than a day ago remembers from there on.
    assert!((now_ms - 24 * HOUR_MS - 1_000..=now_ms).contains(&oldest_ms), "{oldest_ms} at {now_ms}");
    let oldest_taken = of(oldest_ms.max(now_ms - 23 * HOUR_MS));
    let refusal = lane.ask(2, of(now_ms + HOUR_MS), &asked).await.outcome::<Redeem>();
    let Err(Refusal::RequestFromFuture { now_ms: told }) = refusal else { panic!("{refusal:?}") };
    // The engine counts its milliseconds from its own start, so that they need not be the very same as here.
    assert!((now_ms - 1_000..=unix_time_ms() + 1_000).contains(&told), "{told} is not near {now_ms}");
    let wrong_version = RequestId(RequestId::now().0 ^ (0b11 << 76));
    let wrong_variant = RequestId(RequestId::now().0 ^ (0b10 << 62));
    for id in [RequestId(0), RequestId(u128::MAX), wrong_version, wrong_variant] {
        assert_eq!(lane.ask(3, id, &asked).await.outcome::<Redeem>(), Err(Refusal::RequestIdInvalid), "{id}");
    }
    assert_eq!(position(&server).await, before, "a refusal is not recorded");
    let outcome = lane.ask(4, oldest_taken, &asked).await.outcome::<Redeem>();
    assert!(matches!(outcome, Ok(RedeemOutcome::Redeemed(_))), "an id within the window is taken: {outcome:?}");
    server.kill();
    server.restart();
    let mut lane = server.lane(Role::Gateway).await;
    assert_eq!(lane.ask(5, oldest_taken, &asked).await.outcome::<Redeem>(), outcome, "and remembered");
    let refusal = lane.ask(6, of(now_ms - 25 * HOUR_MS), &asked).await.outcome::<Redeem>();
    assert!(matches!(refusal, Err(Refusal::RequestTooOld { .. })), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_redemption_stays_refused_under_its_id() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    let one = campaign(&client, terms("Once", Some(1), 100), &codes(&["A"])).await;
    client.switch_campaign(RequestId::now(), one, false).await.expect("an answer");
    let asked = redemption(1, arena, "A");
    let refused = RequestId::now();
    assert_eq!(client.redeem(refused, &asked).await.expect("an answer"), RedeemOutcome::CampaignInactive);
    client.switch_campaign(RequestId::now(), one, true).await.expect("an answer");
    assert_eq!(client.redeem(refused, &asked).await.expect("an answer"), RedeemOutcome::CampaignInactive);
    server.kill();
    server.restart();
    let client = server.client(Role::Gateway).await;
    assert_eq!(client.redeem(refused, &asked).await.expect("an answer"), RedeemOutcome::CampaignInactive);
    let taken = RequestId::now();
    let outcome = client.redeem(taken, &asked).await.expect("an answer");
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome}");
    assert_eq!(client.redeem(refused, &asked).await.expect("an answer"), RedeemOutcome::CampaignInactive);
    let told = HashMap::from([(refused, RedeemOutcome::CampaignInactive), (taken, outcome)]);
    assert_eq!(server.audited(&told).await.activations, 1);
}
