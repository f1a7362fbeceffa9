//! A rule is rehearsed on the top-ups of a past period before it is live: to the millisecond, to the cent, and without any effect
//! (Z12).

use std::collections::HashMap;
use std::time::Instant;

use scrip_client::{Client, ClientError, Tailing};
use scrip_protocol::batch::Batch;
use scrip_protocol::command::{
    InvalidRule, Rehearsal, RehearseRule, RehearseRuleOutcome, RuleTerms, StackedWith, TopUpOutcome, ToppedUp,
};
use scrip_protocol::{ClubId, Money, Position, Refusal, RequestId, Role, RuleId, unix_time_ms};

use crate::support::{DEADLINE, Lane, Server, club, create_rule, request, rule, top_up, wait_until};

async fn topped_up(client: &Client, of: u128, club: ClubId, amount: i64) -> scrip_protocol::command::TopUpDone {
    let outcome = client.call(RequestId::now(), &top_up(of, club, amount)).await.expect("a reply");
    let TopUpOutcome::ToppedUp(done) = outcome else { panic!("{outcome}") };
    done
}

fn rehearsal_of(terms: RuleTerms, from_ms: u64, to_ms: u64) -> RehearseRule {
    RehearseRule { terms, replaces: RuleId(0), from_ms, to_ms }
}

async fn rehearsed(client: &Client, rehearsal_of: &RehearseRule) -> Rehearsal {
    let outcome = client.call(RequestId(0), rehearsal_of).await.expect("a reply");
    let RehearseRuleOutcome::Rehearsed(done) = outcome else { panic!("{outcome}") };
    done
}

/// The same, once no other rehearsal is running.
async fn rehearsed_in_turn(client: &Client, rehearsal_of: &RehearseRule) -> Rehearsal {
    let began = Instant::now();
    loop {
        match client.call(RequestId(0), rehearsal_of).await {
            Ok(RehearseRuleOutcome::Rehearsed(done)) => return done,
            Err(ClientError::Refused(Refusal::Busy { .. })) => assert!(began.elapsed() < DEADLINE, "its turn never came"),
            other => panic!("{other:?}"),
        }
    }
}

/// Every top-up of the journal with its position and its batch's time, and the newest position.
async fn top_ups(server: &Server) -> (Vec<(Position, u64, ToppedUp)>, Position) {
    let mut tailing = Tailing::start(server.dial(Role::Reporter), Position(1), false).await.expect("a tail");
    let (mut found, mut end) = (Vec::new(), Position(0));
    while let Some(bytes) = crate::support::within(tailing.next()).await.expect("it is readable") {
        let batch = Batch::parse(&bytes).expect("it was checked");
        let of_it = batch.records_of::<ToppedUp>().map(|item| item.expect("it is valid"));
        found.extend(of_it.map(|(position, record)| (position, batch.time_ms, record)));
        end = batch.end().position;
    }
    (found, end)
}

/// Waits until the engine's clock has moved on, so that later top-ups are in a later batch.
fn later() {
    let now_ms = unix_time_ms();
    tokio::task::block_in_place(|| wait_until(DEADLINE, "the clock moves on", || (unix_time_ms() > now_ms + 1).then_some(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_begins_and_ends_to_the_millisecond() {
    // Small segments, so that the start of the period is searched for across several of them.
    let mut server = Server::start_with(&["--segment-mib", "1"]);
    let operator = server.client(Role::Operator).await;
    let (arena, north) = (club(&operator, "Arena").await, club(&operator, "North").await);
    let twentieth = create_rule(&operator, rule("Twentieth", "topupAmountMajor >= 300", "{{topupAmountMajor}} * 0.05")).await;
    for n in 0..40 {
        topped_up(&operator, n % 7, if n % 3 == 0 { north } else { arena }, (n as i64 + 1) * 1_050).await;
        later();
    }
    let (all, end) = top_ups(&server).await;
    assert_eq!(all.len(), 40);
    let marketing = server.client(Role::Marketing).await;
    let draft =
        RuleTerms { clubs: vec![arena], active: false, ..rule("Draft", "topupAmountMajor >= 100", "{{topupAmountMajor}} * 0.1") };
    // By hand, in hundredths: a tenth of n and a half times 10.50, to the nearest hundred.
    let expected = |from_ms: u64, to_ms: u64| {
        let in_period = all.iter().filter(|(_, time_ms, _)| (from_ms..=to_ms).contains(time_ms));
        let would: Vec<_> =
            in_period.clone().filter(|(_, _, of)| of.club == arena && of.variables.amount >= Money(10_000)).collect();
        let credited: i64 = would.iter().map(|(_, _, of)| (of.variables.amount.0 + 500) / 1_000 * 100).sum();
        let stacked = would.iter().filter(|(_, _, of)| !of.fired.is_empty()).count() as u64;
        (in_period.count() as u64, would.len() as u64, Some(Money(credited)), stacked)
    };
    let found = |done: &Rehearsal| (done.top_ups, done.fired, done.credited, done.stacked);
    for round in 0..2 {
        for (first, last) in [(0, 39), (0, 0), (39, 39), (5, 20), (13, 13), (20, 39)] {
            let (from_ms, to_ms) = (all[first].1, all[last].1);
            let done = rehearsed(&marketing, &rehearsal_of(draft.clone(), from_ms, to_ms)).await;
            assert_eq!(found(&done), expected(from_ms, to_ms), "from {first} to {last}, round {round}");
            assert!((all[last].0..=end).contains(&done.as_of), "{done:?}");
            let inside = rehearsed(&marketing, &rehearsal_of(draft.clone(), from_ms + 1, to_ms.max(from_ms + 2) - 1)).await;
            assert_eq!(found(&inside), expected(from_ms + 1, to_ms.max(from_ms + 2) - 1), "within {first} and {last}");
        }
        let whole = rehearsed(&marketing, &rehearsal_of(draft.clone(), 0, u64::MAX)).await;
        assert_eq!((found(&whole), whole.as_of), (expected(0, u64::MAX), end));
        assert!(whole.stacked > 0 && whole.stacked < whole.fired, "{whole:?}");
        assert_eq!(whole.stacked_with, [StackedWith { rule: twentieth, top_ups: whole.stacked }]);
        let replacing = RehearseRule { replaces: twentieth, ..rehearsal_of(draft.clone(), 0, u64::MAX) };
        assert_eq!(rehearsed(&marketing, &replacing).await.stacked, 0, "it would replace the rule that it stacked with");
        // Before the journal begins, and after it ends.
        for (from_ms, to_ms) in [(0, 1), (unix_time_ms() + 3_600_000, u64::MAX)] {
            assert_eq!(
                found(&rehearsed(&marketing, &rehearsal_of(draft.clone(), from_ms, to_ms)).await),
                (0, 0, Some(Money(0)), 0)
            );
        }
        assert_eq!(top_ups(&server).await.1, end, "a rehearsal leaves no record");
        if round == 0 {
            server.kill();
            server.restart();
        }
    }
}

/// A19, A22: a rule costs exactly what its rehearsal predicted.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_does_what_its_rehearsal_predicted() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let amounts = [1, 9_999, 10_000, 10_001, 33_333, 49_950, 50_000, 123_456];
    for (of, amount) in (0..).zip(amounts) {
        topped_up(&operator, of, arena, amount).await;
    }
    let terms = rule("Tiers", "topupAmountMajor >= 100 AND gamingBalanceMajor = 0", "{{topupAmountMajor}} * 0.12 - 10");
    let rehearsal = rehearsed(&operator, &rehearsal_of(terms.clone(), 0, u64::MAX)).await;
    create_rule(&operator, terms).await;
    let mut happened = Vec::new();
    for (of, amount) in (1_000..).zip(amounts) {
        happened.push(topped_up(&operator, of, arena, amount).await);
    }
    let fired = happened.iter().map(|done| u64::from(done.fired)).sum::<u64>();
    let credited = Some(Money(happened.iter().map(|done| done.credited.0).sum()));
    assert_eq!((rehearsal.fired, rehearsal.credited, rehearsal.clients), (fired, credited, fired));
    assert_eq!(rehearsal.topped_up, Some(Money(amounts.iter().filter(|amount| **amount >= 10_000).sum())));
    server.audited(&HashMap::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_rehearsals_are_refused() {
    let server = Server::start();
    let marketing = server.client(Role::Marketing).await;
    let well = rule("Draft", "", "1");
    let outcome = marketing.call(RequestId(0), &rehearsal_of(well.clone(), 2, 1)).await.expect("a reply");
    assert_eq!(outcome, RehearseRuleOutcome::PeriodReversed);
    for (terms, period) in [(rule("Draft", "", "topupAmountMajor"), (0, 1)), (rule("Draft", "amount > 1", "1"), (1, 1))] {
        let outcome = marketing.call(RequestId(0), &rehearsal_of(terms, period.0, period.1)).await.expect("a reply");
        let wrong = matches!(outcome, RehearseRuleOutcome::InvalidRule(InvalidRule::Formula(_) | InvalidRule::Conditions(_)));
        assert!(wrong, "{outcome}");
    }
    // Unknown clubs and groups had no top-ups.
    let nowhere = RuleTerms { clubs: vec![ClubId(77)], ..well };
    assert_eq!(rehearsed(&marketing, &rehearsal_of(nowhere, 0, u64::MAX)).await.fired, 0);
}

/// One rehearsal runs at a time, and the others get Busy. Meanwhile the engine serves all other requests, and a caller that gives
/// up makes room for the next.
#[tokio::test(flavor = "multi_thread")]
async fn rehearsals_take_turns_and_delay_no_other_requests() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    for of in 0..200 {
        topped_up(&operator, of, arena, 10_000).await;
    }
    let rehearsal_of = rehearsal_of(rule("Draft", "", "{{topupAmountMajor}} * 0.1"), 0, u64::MAX);
    let many: Vec<u8> = (0..100).flat_map(|correlation| request(correlation, RequestId(0), &rehearsal_of)).collect();
    let mut lane = server.lane(Role::Marketing).await;
    let mut given_up: Vec<Lane> = Vec::new();
    for _ in 0..4 {
        let mut lane = server.lane(Role::Marketing).await;
        lane.write(&many).await;
        given_up.push(lane);
    }
    lane.write(&many).await;
    for lane in &given_up {
        lane.connection.close(0_u32.into(), b"");
    }
    let mut answered = [false; 100];
    let mut done = 0;
    for reply in lane.replies(100).await {
        assert!(!std::mem::replace(&mut answered[reply.correlation as usize], true), "each is answered once");
        match reply.outcome::<RehearseRule>() {
            Ok(RehearseRuleOutcome::Rehearsed(rehearsal)) => {
                assert_eq!((rehearsal.fired, rehearsal.credited), (200, Some(Money(200_000))));
                done += 1;
            }
            other => assert!(matches!(other, Err(Refusal::Busy { .. })), "{other:?}"),
        }
    }
    crate::support::say(&format!("{done} of 100 were rehearsed at once"));
    topped_up(&operator, 1, arena, 10_000).await;
    assert_eq!(rehearsed_in_turn(&operator, &rehearsal_of).await.fired, 201, "it gets its turn in the end");
    // An engine that is stopping does not wait for rehearsals in progress.
    lane.write(&many).await;
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(rehearsed(&server.client(Role::Marketing).await, &rehearsal_of).await.fired, 201);
}
