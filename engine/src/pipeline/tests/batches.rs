//! What is written together, under which time, and the limits of that.

use std::sync::atomic::Ordering;

use scrip_protocol::command::RegisterClub;
use scrip_protocol::{CampaignId, Position, Refusal};

use super::{Call, Lane, Mutation, Run, START_MS, campaign, club, list_clubs, parsed, redeem, stamp};
use crate::pipeline::{Change, InboxFull, Limits, Request};

#[test]
fn requests_that_arrive_during_a_flush_are_one_batch() {
    let (run, gate) = Run::gated(Limits::default());
    let lanes: Vec<Lane> = std::iter::repeat_with(Lane::default).take(5).collect();
    run.offer(&lanes[0], vec![club(1)]);
    assert_eq!(gate.entered(), 1, "a lone request waits for nothing but its own flush");
    for (lane, request) in lanes.iter().zip(2..) {
        run.offer(lane, vec![club(request)]);
    }
    run.wait_until_applied(7);
    gate.let_go();
    assert_eq!(gate.entered(), 5);
    gate.let_go();
    assert_eq!(lanes[0].replies(2).len(), 2);
    lanes[1..].iter().for_each(|lane| assert_eq!(lane.replies(1).len(), 1));
    // And without a timer: the next lone request is alone again.
    run.offer(&lanes[0], vec![club(7)]);
    assert_eq!(gate.entered(), 1);
    gate.let_go();
    drop(gate);
    let kept = run.kept.clone();
    run.finish();
    assert_eq!(kept.extents().iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1, 1, 5, 1]);
}

#[test]
fn a_duplicate_request_is_executed_once_and_gets_the_same_answer() {
    let (run, gate) = Run::gated(Limits::default());
    let lanes: [Lane; 3] = Default::default();
    let [one, two, three] = &lanes;
    let again = |correlation: u64, request: Request| Request { correlation, ..request };
    let coded = |request| campaign(request, &["A", "B"]);
    // A redemption, a command with a long reply and a refused one: each twice in its chunk.
    let chunk = |from: u64| {
        let requests = [club(1), club(1), coded(2), coded(2), redeem(3, "a"), redeem(3, "a"), redeem(4, "?"), redeem(4, "?")];
        (from..).zip(requests).map(|(correlation, request)| again(correlation, request)).collect::<Vec<_>>()
    };
    // Delayed, so that the second lane's requests are in the same batch as the first's, and the third's in a later one.
    run.offer(one, vec![list_clubs(0), club(9)]);
    gate.entered();
    run.offer(one, chunk(100));
    run.offer(two, chunk(200));
    run.wait_until_applied(6);
    gate.let_go();
    assert_eq!(gate.entered(), 4, "one record for each request");
    gate.let_go();
    let first = one.replies(10).split_off(2);
    run.offer(three, chunk(300));
    let (second, third) = (two.replies(8), three.replies(8));
    for at in 0..8 {
        let same = |other: &super::Reply| (other.kind, &other.body) == (first[at].kind, &first[at].body);
        assert!(same(&first[at ^ 1]) && same(&second[at]) && same(&third[at]), "reply {at}");
        let correlations = [&first, &second, &third].map(|replies| replies[at].correlation);
        assert_eq!(correlations, [100, 200, 300].map(|from| from + at as u64));
    }

    let other_body = Call::Change(Change::new(
        scrip_protocol::Stamp { body: 77, ..stamp(1) },
        Mutation::RegisterClub(RegisterClub { name: "another".into() }),
    ));
    run.offer(one, vec![Request { correlation: 500, call: other_body }]);
    assert_eq!(one.replies(1)[0].read::<RegisterClub>(), Err(Refusal::RequestIdReused));
    drop(gate);
    let state = run.finish();
    assert_eq!(state.position(), Position(6));
    assert_eq!(state.clubs.next().0, 3);
}

#[test]
fn above_the_limit_of_requests_nothing_of_a_chunk_is_accepted() {
    let (run, gate) = Run::gated(Limits { requests_max: 4, ..Limits::default() });
    let lane = Lane::default();
    run.offer(&lane, vec![club(1), club(2), list_clubs(3)]);
    gate.entered();
    let Err(InboxFull(chunk)) = run.try_offer(&lane, vec![club(4), club(5)]) else { panic!("three and two are five") };
    assert_eq!(chunk.requests.iter().map(|request| request.correlation).collect::<Vec<_>>(), [4, 5]);
    // A smaller chunk fits; then there is no more room.
    run.offer(&lane, vec![club(6)]);
    assert!(run.try_offer(&lane, vec![list_clubs(7)]).is_err());
    gate.let_go();
    assert_eq!(lane.replies(3).len(), 3);
    assert_eq!(gate.entered(), 1);
    gate.let_go();
    assert_eq!(lane.replies(1)[0].correlation, 6);
    drop(gate);
    // The replies leave a moment before their room is free. A chunk above the limit is accepted when it is alone.
    let since = std::time::Instant::now();
    while run.try_offer(&lane, (10..20).map(club).collect()).is_err() {
        assert!(since.elapsed() < super::DEADLINE, "what was answered gives its room back");
        std::thread::yield_now();
    }
    assert_eq!(lane.replies(10).len(), 10);
    let state = run.finish();
    assert!([4, 5].iter().all(|refused| state.clubs.named(&format!("club {refused}")).is_none()));
    assert_eq!(state.clubs.next().0 - 1, 3 + 10);
}

#[test]
fn times_never_run_backwards_and_are_those_of_the_decisions() {
    const HOUR: u64 = 3_600_000;
    let (run, gate) = Run::gated(Limits::default());
    let lane = Lane::default();
    let (start, end) = (START_MS, START_MS + 5 * HOUR);
    let shown = [start, start - HOUR, start + 1, start + 5 * HOUR, 0, start + 2 * HOUR, end + 1];
    let held_to = [start, start, start + 1, end, end, end, end + 1];
    for (request, now_ms) in (1..).zip(shown) {
        run.hands.0.store(now_ms, Ordering::SeqCst);
        run.offer(&lane, vec![campaign(request, &[&format!("code-{request}")])]);
        gate.entered();
        gate.let_go();
        assert_eq!(lane.replies(1).len(), 1);
    }
    drop(gate);
    let kept = run.kept.clone();
    let state = run.finish();
    let times: Vec<u64> = kept.extents().iter().map(|(_, time_ms)| *time_ms).collect();
    assert_eq!(times[1..], held_to);
    for (campaign, time_ms) in (1..).map(CampaignId).zip(held_to) {
        let campaign = state.campaigns.of(campaign).expect("it was created");
        assert_eq!((campaign.created_ms, campaign.added[0].at_ms), (time_ms, time_ms));
    }
}

#[test]
fn a_batch_has_one_time_however_long_it_is_filled() {
    let (run, gate) = Run::gated(Limits::default());
    let lane = Lane::default();
    run.offer(&lane, vec![club(1)]);
    gate.entered();
    run.hands.0.store(START_MS + 10, Ordering::SeqCst);
    run.offer(&lane, vec![campaign(2, &["A"])]);
    run.wait_until_applied(3);
    run.hands.0.store(START_MS + 20, Ordering::SeqCst);
    run.offer(&lane, vec![campaign(3, &["B"])]);
    run.wait_until_applied(4);
    gate.let_go();
    assert_eq!(gate.entered(), 2);
    drop(gate);
    lane.replies(3);
    let kept = run.kept.clone();
    let state = run.finish();
    assert_eq!(kept.extents()[2], (2, START_MS + 10));
    assert_eq!(state.campaigns.of(CampaignId(2)).map(|campaign| campaign.created_ms), Some(START_MS + 10));
}

#[test]
fn a_batch_is_closed_at_its_limits() {
    let lane = Lane::default();
    let run = Run::new(Limits { batch_records_max: 3, ..Limits::default() });
    run.offer(&lane, (1..=400).map(club).collect());
    lane.replies(400);
    let kept = run.kept.clone();
    run.finish();
    let counts: Vec<u32> = kept.extents().iter().map(|(count, _)| *count).collect();
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
    assert_eq!(counts.iter().sum::<u32>(), 401);

    let run = Run::new(Limits { batch_bytes_max: 1_000, ..Limits::default() });
    run.offer(&lane, (1..=400).map(club).collect());
    lane.replies(400);
    let kept = run.kept.clone();
    run.finish();
    for bytes in kept.batches.lock().iter().skip(1) {
        // A club's record has less than 150 bytes, and only the last of a batch may exceed the limit.
        assert!(bytes.len() < 1_000 + 150, "{} bytes, {} records", bytes.len(), parsed(bytes).count);
    }
    assert_eq!(kept.end().position, Position(401));
}

#[test]
fn accepted_requests_are_finished_before_it_ends() {
    let (run, gate) = Run::gated(Limits::default());
    let lane = Lane::default();
    run.offer(&lane, vec![club(1)]);
    gate.entered();
    run.offer(&lane, (2..300).map(club).chain([list_clubs(300)]).collect());
    // Nobody waits for the answers; the gate opens, and the pipeline ends at once.
    drop(gate);
    let state = run.finish();
    assert_eq!(state.position(), Position(300));
    assert_eq!(lane.replies(300).len(), 300);
}

/// The reply to a duplicate request that is too long for memory is left to the lane, by the position of its record, once that is
/// durable. Built from the record it equals the first one byte for byte.
#[test]
fn a_long_reply_to_a_duplicate_request_is_made_from_its_record() {
    let (run, gate) = Run::gated(Limits::default());
    let (lane, other) = (Lane::default(), Lane::default());
    let codes: Vec<String> = (0..100).map(|n| format!("CODE-{}", n % 50)).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    run.offer(&lane, vec![club(1)]);
    gate.entered();
    run.offer(&lane, vec![campaign(2, &codes)]);
    run.offer(&other, vec![Request { correlation: 77, ..campaign(2, &codes) }]);
    run.wait_until_applied(3);
    assert_eq!(other.0.take_stored(), None, "the record is not durable");
    gate.let_go();
    assert_eq!(gate.entered(), 1);
    drop(gate);
    let first = lane.replies(2).remove(1);
    assert!(first.body.len() > scrip_core::state::requests::REPLY_BYTES_KEPT_MAX, "{} bytes", first.body.len());
    let since = std::time::Instant::now();
    let stored = loop {
        if let Some(stored) = other.0.take_stored() {
            break stored;
        }
        assert!(since.elapsed() < super::DEADLINE, "the duplicate is answered");
        std::thread::yield_now();
    };
    assert_eq!((stored.correlation, stored.kind, stored.position), (77, first.kind, Position(3)));
    let batches = run.kept.batches.lock().clone();
    let record = batches.iter().flat_map(|bytes| {
        let records: Vec<_> = parsed(bytes).records().map(|record| record.expect("it was just written")).collect();
        records
    });
    let (_, record) = record.into_iter().find(|(at, _)| *at == Position(3)).expect("the record is durable");
    let reply = scrip_core::state::reply_of(Position(3), &record);
    let expected = scrip_core::state::requests::Remembered::Other(Box::new((first.kind, first.body.clone())));
    assert_eq!(reply, Some(expected));
    run.finish();
}
