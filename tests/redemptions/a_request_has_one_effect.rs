//! A request has one effect, however often it is sent, and gets the same reply each time, byte for byte (Z3; pain 27).

use std::collections::HashMap;

use scrip_client::ClientError;
use scrip_protocol::command::{
    AddCodes, ArchiveRule, BonusOutcome, Confirm, CreateCampaign, CreateRule, CreditBonus, ForgetReader, HOLD_TTL_DEFAULT_MS,
    Hold, HoldOutcome, KeepReader, Note, OnConflict, PaidFor, PaidFrom, PayBonus, RecordPurchase, RecordSession, Redeem,
    RedeemOutcome, RefundBonus, RefundTopUp, RegisterClient, RegisterClub, RegisterGroup, Release, RestoreRule, RuleChanges,
    SwitchCampaign, SwitchRule, TopUp, TopUpOutcome, UpdateRule, WriteOffBonus,
};
use scrip_protocol::frame::{REFUSAL, set_correlation};
use scrip_protocol::{
    Accounts, CampaignId, ClientId, ClientNetwork, ClubId, Money, Position, Refusal, RequestId, Role, RuleId, unix_time_ms,
};

use crate::support::{Lane, Server, accounts, balance, campaign, club, create_rule, redemption, request, rule, terms, top_up};

const HOUR_MS: u64 = 3_600_000;

/// The position of the newest record.
async fn position(server: &Server) -> Position {
    server.audited(&HashMap::new()).await.position
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// Sends the same frames again, with other correlation numbers, and compares the replies with the first ones.
async fn retry(lane: &mut Lane, requests: &[(&str, Vec<u8>)], first: &[(u16, Vec<u8>)], when: &str) {
    for (at, ((what, frame), first)) in requests.iter().zip(first).enumerate() {
        let correlation = 1_000 + at as u64;
        let mut frame = frame.clone();
        set_correlation(&mut frame, correlation);
        lane.write(&frame).await;
        let reply = lane.next().await.expect("a reply");
        assert_eq!(reply.correlation, correlation);
        assert_eq!(reply.bytes(), (first.0, first.1.as_slice()), "{what}, again {when}");
    }
}

/// Sends every request, and retries it over every path, across a restart and a kill: the replies are the same, and the retries
/// have no effect.
async fn each_is_executed_once(server: &mut Server, requests: &[(&str, Vec<u8>)]) {
    let mut lane = server.lane(Role::Operator).await;
    let mut first = Vec::new();
    for (what, frame) in requests {
        lane.write(frame).await;
        let reply = lane.next().await.expect("a reply");
        assert_ne!(reply.kind, REFUSAL, "{what} is not refused without an outcome");
        first.push((reply.kind, reply.body));
    }
    let after_first = position(server).await;

    retry(&mut lane, requests, &first, "on the same lane").await;
    let mut second = lane.another().await;
    retry(&mut second, requests, &first, "on another lane").await;
    retry(&mut server.lane(Role::Operator).await, requests, &first, "on another connection").await;
    assert!(server.terminate().success());
    server.restart();
    retry(&mut server.lane(Role::Operator).await, requests, &first, "after a restart").await;
    server.kill();
    server.restart();
    retry(&mut server.lane(Role::Operator).await, requests, &first, "after a kill").await;
    assert_eq!(position(server).await, after_first, "the retries had no effect");
}

/// Z3: a retry is recognised by its meaning. How a code is written and where the client calls from do not change it.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_the_same_meaning_gets_the_same_reply() {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Once", Some(9), 300), &codes(&["CAFÉ", "OTHER"])).await;
    let network: ClientNetwork = "203.0.113.7".parse().expect("a network");
    let redeem = Redeem::new(ClientId(7), arena, "CAFÉ");
    let hold = Hold::new(ClientId(7), arena, "CAFÉ", HOLD_TTL_DEFAULT_MS);
    let (id, hold_id, add_id) = (RequestId::now(), RequestId::now(), RequestId::now());
    let redeemed = client.redeem(id, &redeem).await.expect("a reply");
    let held = client.hold(hold_id, &hold).await.expect("a reply");
    let lines = |lines: &[&str]| AddCodes {
        campaign: CampaignId(1),
        lines: lines.iter().collect(),
        first_line: 1,
        on_conflict: OnConflict::Skip,
    };
    let added = client.add_codes(add_id, &lines(&["Ж-1", "", "new"])).await.expect("a reply");
    let before = position(&server).await;
    for code in ["café", " CAFÉ\u{200b}", "CAFE\u{301}", "ＣＡＦÉ"] {
        let again = Redeem { code: code.to_owned(), network, ..redeem.clone() };
        assert_eq!(client.redeem(id, &again).await.expect("a reply"), redeemed, "{code:?}");
        let again = Hold { code: code.to_owned(), network, ..hold.clone() };
        assert_eq!(client.hold(hold_id, &again).await.expect("a reply"), held, "{code:?}");
    }
    assert_eq!(client.add_codes(add_id, &lines(&["ж-1 ", " ", "NEW"])).await.expect("a reply"), added);
    assert_eq!(position(&server).await, before, "nothing was executed again");

    // A request with another meaning is another request.
    let others = [
        Redeem { code: "OTHER".to_owned(), ..redeem.clone() },
        Redeem { code: "CAFE".to_owned(), ..redeem.clone() },
        Redeem { client: ClientId(8), ..redeem.clone() },
        Redeem { top_up: Position(1), ..redeem.clone() },
        Redeem { code: "A B".to_owned(), ..redeem.clone() },
    ];
    for other in others {
        let refused = client.redeem(id, &other).await.expect_err("it is another request");
        assert!(matches!(refused, ClientError::Refused(Refusal::RequestIdReused)), "{refused}");
    }
    let refused = client.add_codes(add_id, &lines(&["Ж-1", "new", ""])).await.expect_err("its lines are elsewhere");
    assert!(matches!(refused, ClientError::Refused(Refusal::RequestIdReused)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_gets_the_same_bytes_on_a_retry() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    let id = campaign(&client, terms("Once", Some(1), 300), &codes(&["SPRING", "SUMMER"])).await;
    // These holds are confirmed and released below.
    let few = campaign(&client, terms("Held", Some(2), 300), &codes(&["HELD"])).await;
    let hold = |of: u128, code: &str, ttl_ms| Hold::new(ClientId(of), arena, code, ttl_ms);
    let mut holds = Vec::new();
    for of in [6, 7] {
        let outcome = client.hold(RequestId::now(), &hold(of, "HELD", HOLD_TTL_DEFAULT_MS)).await.expect("a reply");
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
    let requests = [
        ("a redemption", request(0, now(), &redemption(1, arena, "spring"))),
        ("a redemption of a spent code", request(0, now(), &redemption(2, arena, "SPRING"))),
        ("a redemption of an unknown code", request(0, now(), &redemption(2, arena, "WINTER"))),
        ("a redemption of an invalid code", request(0, now(), &redemption(2, arena, "a b"))),
        ("a redemption at an unknown club", request(0, now(), &redemption(2, ClubId(77), "SUMMER"))),
        ("a hold", request(0, now(), &hold(3, "summer", HOLD_TTL_DEFAULT_MS))),
        ("a hold of a code that is held", request(0, now(), &hold(4, "SUMMER", HOLD_TTL_DEFAULT_MS))),
        ("a hold of an invalid code", request(0, now(), &hold(4, "a b", HOLD_TTL_DEFAULT_MS))),
        ("a hold for no time", request(0, now(), &hold(4, "SUMMER", 0))),
        ("a confirmation", request(0, now(), &Confirm::new(confirmed))),
        ("a confirmation of a confirmed hold", request(0, now(), &Confirm::new(confirmed))),
        ("a confirmation of an unknown hold", request(0, now(), &Confirm::new(Position(1)))),
        ("a release", request(0, now(), &Release { hold: released })),
        ("a release of a released hold", request(0, now(), &Release { hold: released })),
        ("a release of a confirmed hold", request(0, now(), &Release { hold: confirmed })),
        ("a club", request(0, now(), &RegisterClub { name: "South".into() })),
        ("a club whose name is taken", request(0, now(), &RegisterClub { name: "Arena".into() })),
        ("a client", request(0, now(), &RegisterClient { client: ClientId(1 << 100), name: "Ann".into() })),
        ("a registered client", request(0, now(), &RegisterClient { client: ClientId(1), name: "Bob".into() })),
        ("a campaign", request(0, now(), &create("Second", &["X1", "x1", "X2"]))),
        ("a campaign with another's codes", request(0, now(), &create("Third", &["X1", "SPRING"]))),
        ("a campaign without codes", request(0, now(), &create("Third", &[" "]))),
        ("codes", request(0, now(), &add)),
        ("codes, with a reply too long for memory", {
            request(0, now(), &AddCodes { lines: std::iter::repeat_n("A", 500).collect(), ..add.clone() })
        }),
        ("codes for an unknown campaign", { request(0, now(), &AddCodes { campaign: CampaignId(99), ..add.clone() }) }),
        ("a switch", request(0, now(), &SwitchCampaign { campaign: id, active: false })),
    ];
    each_is_executed_once(&mut server, &requests).await;
    let client = server.client(Role::Operator).await;
    assert_eq!(balance(&client, ClientId(1)).await, Money(300));
    assert_eq!(balance(&client, ClientId(6)).await, Money(300), "confirmed once");
    assert_eq!(balance(&client, ClientId(7)).await, Money(0));
}

/// Z3, pain 27: covers every command that moves an account or changes a rule, executed or refused.
#[tokio::test(flavor = "multi_thread")]
async fn every_ledger_operation_gets_the_same_bytes_on_a_retry() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let tenth = create_rule(&operator, rule("Tenth", "topupAmountMajor >= 100", "{{topupAmountMajor}} * 0.1")).await;
    let other = create_rule(&operator, rule("Other", "topupAmountMajor >= 1000000", "1")).await;
    let archived = create_rule(&operator, rule("Archived", "", "1")).await;
    operator.call(RequestId::now(), &ArchiveRule { rule: archived }).await.expect("a reply");
    // These are refunded below.
    let outcome = operator.call(RequestId::now(), &top_up(1, arena, 100_000)).await.expect("a reply");
    let TopUpOutcome::ToppedUp(topped_up) = outcome else { panic!("{outcome}") };
    let note = Note::default;
    let (client, club) = (ClientId(1), Some(arena));
    let pay = |amount| PayBonus { client, club: arena, amount: Money(amount), paid_for: PaidFor::GamingTime, note: note() };
    let outcome = operator.call(RequestId::now(), &pay(2_000)).await.expect("a reply");
    let BonusOutcome::Done(paid) = outcome else { panic!("{outcome}") };
    drop(operator);

    let back = |top_up, amount: Option<i64>| RefundTopUp { top_up, amount: amount.map(Money), claw_back: true, note: note() };
    let refund = |payment, amount: Option<i64>| RefundBonus { payment, amount: amount.map(Money), note: note() };
    let credit = |client: u128, amount| CreditBonus { client: ClientId(client), club, amount: Money(amount), note: note() };
    let write_off = |amount| WriteOffBonus { client, club, amount: Money(amount), note: note() };
    let (gaming, directly) = (PaidFrom::GamingBalance, PaidFrom::Directly);
    let session = |price, paid_from| RecordSession { client, club: arena, price: Money(price), paid_from, note: note() };
    let purchase = |price, paid_from| RecordPurchase { client, club: arena, price: Money(price), paid_from, note: note() };
    let update = |rule, formula: &str| {
        let changes = RuleChanges::whole(crate::support::rule("Other", "topUpSource = CASH", formula));
        UpdateRule { rule, changes }
    };
    let now = RequestId::now;
    let requests = [
        ("a top-up", request(0, now(), &top_up(1, arena, 50_000))),
        ("a top-up of an unregistered client", request(0, now(), &top_up(2, arena, 10_050))),
        ("a top-up of nothing", request(0, now(), &top_up(1, arena, 0))),
        ("a top-up at an unknown club", request(0, now(), &top_up(1, ClubId(77), 100))),
        ("a top-up that overflows the balance", request(0, now(), &top_up(1, arena, i64::MAX))),
        ("a top-up with an overlong note", {
            let note = Note { comment: "x".repeat(501), ..note() };
            request(0, now(), &TopUp { note, ..top_up(1, arena, 100) })
        }),
        ("a refund of a top-up", request(0, now(), &back(topped_up.top_up, Some(40_000)))),
        ("a refund of more than is left", request(0, now(), &back(topped_up.top_up, Some(60_001)))),
        ("a refund of an unknown top-up", request(0, now(), &back(paid.operation, None))),
        ("a credit", request(0, now(), &credit(1, 700))),
        ("a negative credit", request(0, now(), &credit(1, -700))),
        ("a credit to an unknown client", request(0, now(), &credit(99, 700))),
        ("a write-off", request(0, now(), &write_off(300))),
        ("a write-off of more than there is", request(0, now(), &write_off(1_000_000))),
        ("a payment", request(0, now(), &pay(1_000))),
        ("a payment of more than there is", request(0, now(), &pay(1_000_000))),
        ("a refund of a payment", request(0, now(), &refund(paid.operation, Some(1_500)))),
        ("a refund of more than is left of it", request(0, now(), &refund(paid.operation, Some(501)))),
        ("a refund of an unknown payment", request(0, now(), &refund(Position(1), None))),
        ("a session", request(0, now(), &session(10_000, gaming))),
        ("a session of more than there is", request(0, now(), &session(10_000_000, gaming))),
        ("a free session", request(0, now(), &session(0, directly))),
        ("a purchase", request(0, now(), &purchase(5_000, directly))),
        ("a purchase of nothing", request(0, now(), &purchase(0, directly))),
        ("a group", request(0, now(), &RegisterGroup { name: "Gold".into() })),
        ("a group whose name is taken", request(0, now(), &RegisterGroup { name: "Gold".into() })),
        ("a rule", request(0, now(), &CreateRule { terms: rule("New", "", "{{topupAmountMajor}} * 0.05") })),
        ("an invalid rule", request(0, now(), &CreateRule { terms: rule("New", "", "topupAmountMajor * 0.05") })),
        ("a change of a rule", request(0, now(), &update(other, "2"))),
        ("an invalid change", request(0, now(), &update(other, "2 *"))),
        ("a change of an archived rule", request(0, now(), &update(archived, "2"))),
        ("a rule switched off", request(0, now(), &SwitchRule { rule: tenth, active: false })),
        ("no rule switched off", request(0, now(), &SwitchRule { rule: RuleId(99), active: false })),
        ("a rule archived", request(0, now(), &ArchiveRule { rule: tenth })),
        ("an archived rule archived", request(0, now(), &ArchiveRule { rule: tenth })),
        ("a rule restored", request(0, now(), &RestoreRule { rule: archived })),
        ("a restored rule restored", request(0, now(), &RestoreRule { rule: archived })),
        ("a reader", request(0, now(), &KeepReader { name: "reports".into(), position: Position(9) })),
        ("a reader that moves back", request(0, now(), &KeepReader { name: "reports".into(), position: Position(8) })),
        ("a reader beyond the end", { request(0, now(), &KeepReader { name: "reports".into(), position: Position(1_000_000) }) }),
        ("a reader forgotten", request(0, now(), &ForgetReader { name: "reports".into() })),
        ("a forgotten reader forgotten", request(0, now(), &ForgetReader { name: "reports".into() })),
    ];
    each_is_executed_once(&mut server, &requests).await;
    let operator = server.client(Role::Operator).await;
    // 100,000 and 50,000 less 40,000 and 10,000; 10,000 and 5,000 of bonus, less 2,000, 4,000 of 40,000, 300 and 1,000, and 700 and 1,500.
    let has = Accounts { gaming: Money(100_000), bonus: Money(9_900), spent: Money(15_000), sessions: 2 };
    assert_eq!(accounts(&operator, client).await, has);
    assert_eq!(accounts(&operator, ClientId(2)).await.bonus, Money(1_000), "a tenth of 100.50 is ten");
    // The rule that was created and the one that was changed are active, the others are not.
    let outcome = operator.call(RequestId::now(), &top_up(3, arena, 50_000)).await.expect("a reply");
    let TopUpOutcome::ToppedUp(last) = outcome else { panic!("{outcome}") };
    assert_eq!((last.fired, last.credited), (2, Money(2_700)));
    server.audited(&HashMap::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_arrive_together_are_one_request() {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Ever", None, 100), &codes(&["EVER"])).await;
    let before = position(&server).await;

    // In one write on one lane, and at the same time on further lanes and connections.
    let (copies, id, command) = (300, RequestId::now(), redemption(5, arena, "EVER"));
    let written: Vec<u8> = (0..copies).flat_map(|correlation| request(correlation, id, &command)).collect();
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
    assert_eq!(bodies.len(), 1, "every copy gets the same reply");
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
    let command = redemption(1, arena, "A");
    let first = lane.call(1, id, &command).await;
    assert!(matches!(first.outcome::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    let after_first = position(&server).await;

    let others =
        [redemption(1, arena, "B"), redemption(2, arena, "A"), redemption(1, ClubId(2), "A"), redemption(1, arena, "a b")];
    for other in &others {
        assert_eq!(lane.call(2, id, other).await.outcome::<Redeem>(), Err(Refusal::RequestIdReused), "{other:?}");
    }
    let switch = SwitchCampaign { campaign: one, active: false };
    assert_eq!(lane.call(3, id, &switch).await.outcome::<SwitchCampaign>(), Err(Refusal::RequestIdReused));
    assert_eq!(lane.call(4, id, &command).await.bytes(), first.bytes(), "the id keeps its first outcome");
    // Two bodies under one id in one write: the first is executed.
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
async fn ids_outside_the_window_are_refused_without_effect() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Once", Some(1), 100), &codes(&["A"])).await;
    let before = position(&server).await;
    let mut lane = server.lane(Role::Gateway).await;
    let command = redemption(1, arena, "A");
    let now_ms = unix_time_ms();
    let of = |time_ms| RequestId::from_parts(time_ms, [9; 10]);

    let refusal = lane.call(1, of(now_ms - 25 * HOUR_MS), &command).await.outcome::<Redeem>();
    let Err(Refusal::RequestTooOld { oldest_ms }) = refusal else { panic!("{refusal:?}") };
    // A journal that began less than a day ago remembers ids from its beginning on.
    assert!((now_ms - 24 * HOUR_MS - 1_000..=now_ms).contains(&oldest_ms), "{oldest_ms} at {now_ms}");
    let oldest_taken = of(oldest_ms.max(now_ms - 23 * HOUR_MS));
    let refusal = lane.call(2, of(now_ms + HOUR_MS), &command).await.outcome::<Redeem>();
    let Err(Refusal::RequestFromFuture { now_ms: reported }) = refusal else { panic!("{refusal:?}") };
    // The engine counts its milliseconds from its own start, so they can differ slightly from this process's.
    assert!((now_ms - 1_000..=unix_time_ms() + 1_000).contains(&reported), "{reported} is not near {now_ms}");
    let wrong_version = RequestId(RequestId::now().0 ^ (0b11 << 76));
    let wrong_variant = RequestId(RequestId::now().0 ^ (0b10 << 62));
    for id in [RequestId(0), RequestId(u128::MAX), wrong_version, wrong_variant] {
        assert_eq!(lane.call(3, id, &command).await.outcome::<Redeem>(), Err(Refusal::RequestIdInvalid), "{id}");
    }
    assert_eq!(position(&server).await, before, "a refusal is not recorded");
    let outcome = lane.call(4, oldest_taken, &command).await.outcome::<Redeem>();
    assert!(matches!(outcome, Ok(RedeemOutcome::Redeemed(_))), "an id within the window is accepted: {outcome:?}");
    server.kill();
    server.restart();
    let mut lane = server.lane(Role::Gateway).await;
    assert_eq!(lane.call(5, oldest_taken, &command).await.outcome::<Redeem>(), outcome, "and remembered");
    let refusal = lane.call(6, of(now_ms - 25 * HOUR_MS), &command).await.outcome::<Redeem>();
    assert!(matches!(refusal, Err(Refusal::RequestTooOld { .. })), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_redemption_stays_refused_under_its_id() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    let one = campaign(&client, terms("Once", Some(1), 100), &codes(&["A"])).await;
    client.switch_campaign(RequestId::now(), one, false).await.expect("a reply");
    let command = redemption(1, arena, "A");
    let refused = RequestId::now();
    assert_eq!(client.redeem(refused, &command).await.expect("a reply"), RedeemOutcome::CampaignInactive);
    client.switch_campaign(RequestId::now(), one, true).await.expect("a reply");
    assert_eq!(client.redeem(refused, &command).await.expect("a reply"), RedeemOutcome::CampaignInactive);
    server.kill();
    server.restart();
    let client = server.client(Role::Gateway).await;
    assert_eq!(client.redeem(refused, &command).await.expect("a reply"), RedeemOutcome::CampaignInactive);
    let taken = RequestId::now();
    let outcome = client.redeem(taken, &command).await.expect("a reply");
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome}");
    assert_eq!(client.redeem(refused, &command).await.expect("a reply"), RedeemOutcome::CampaignInactive);
    let replied = HashMap::from([(refused, RedeemOutcome::CampaignInactive), (taken, outcome)]);
    assert_eq!(server.audited(&replied).await.activations, 1);
}
