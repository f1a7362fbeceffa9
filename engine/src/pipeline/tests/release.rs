//! What leaves, and when: nothing before the records that it could have seen are durable, and nothing after a failure (Z4).

use scrip_protocol::command::{Check, CheckOutcome, ListClubs, Redeem, RedeemOutcome, RegisterClub};
use scrip_protocol::command::{ListClubsOutcome, RegisterClubOutcome};
use scrip_protocol::{ClubId, Kind, Position};

use super::{DEADLINE, Lane, Reply, Run, answered, block_on, campaign, club, gate, list_clubs, redeem};
use crate::pipeline::Limits;
use scrip_journal::JournalError;

/// The newest position that a reply shows; 0 for none.
fn shown_by(reply: &Reply) -> Position {
    match Kind::from_number(reply.kind) {
        Some(Kind::Redeem) => match reply.read::<Redeem>() {
            Ok(RedeemOutcome::Redeemed(done)) => done.activation,
            Ok(_) | Err(_) => Position(0),
        },
        Some(Kind::ListClubs) => reply.read::<ListClubs>().expect("a list is never refused").as_of,
        Some(Kind::Check) => match reply.read::<Check>() {
            Ok(CheckOutcome::Checked { as_of, .. }) => as_of,
            other => panic!("{other:?}"),
        },
        _ => Position(0),
    }
}

#[test]
fn no_reply_leaves_before_what_it_could_have_seen_is_durable() {
    let (run, gate) = Run::gated(Limits::default());
    let lanes: [Lane; 4] = Default::default();
    let [writer, reader, checker, second] = &lanes;
    let nothing_has_left = |lanes: &[&Lane]| lanes.iter().for_each(|lane| assert_eq!(lane.replies_now(), []));

    run.offer(writer, vec![club(1)]);
    assert_eq!(gate.entered(), 1);
    // The first club is being written. These read it, and the last one changes something more.
    run.offer(reader, vec![list_clubs(2)]);
    run.offer(checker, vec![answered(3, &run.pipeline.index())]);
    run.offer(second, vec![club(4), list_clubs(5)]);
    run.wait_until_applied(3);
    nothing_has_left(&[writer, reader, checker, second]);

    gate.let_go();
    let replies = writer.replies(1);
    assert_eq!(replies[0].read::<RegisterClub>(), Ok(RegisterClubOutcome::Registered(ClubId(1))));
    // What arrived meanwhile is one batch, and waits for the record in it.
    assert_eq!(gate.entered(), 1);
    assert_eq!(*run.pipeline.durable().borrow(), Position(2));
    nothing_has_left(&[reader, checker, second]);

    gate.let_go();
    let clubs_of = |reply: &Reply| -> ListClubsOutcome { reply.read::<ListClubs>().expect("a list is never refused") };
    let read = clubs_of(&reader.replies(1)[0]);
    assert_eq!((read.clubs.len(), read.as_of), (1, Position(2)));
    assert_eq!(shown_by(&checker.replies(1)[0]), Position(2));
    let replies = second.replies(2);
    assert_eq!(replies.iter().map(|reply| reply.correlation).collect::<Vec<_>>(), [4, 5], "in the order of the requests");
    assert_eq!((clubs_of(&replies[1]).clubs.len(), clubs_of(&replies[1]).as_of), (2, Position(3)));
    drop(gate);
    run.finish();
}

#[test]
fn a_reply_without_a_record_waits_for_those_before_it() {
    let (run, gate) = Run::gated(Limits::default());
    let lanes: [Lane; 3] = Default::default();
    let [writer, reader, repeater] = &lanes;
    run.offer(writer, vec![club(1)]);
    gate.entered();
    // A query, a refusal and a retry write nothing themselves, but they have seen what is being written.
    run.offer(reader, vec![list_clubs(2)]);
    run.offer(repeater, vec![club(1)]);
    assert_eq!(reader.replies_now(), []);
    assert_eq!(repeater.replies_now(), []);
    assert_eq!(run.kept.end().position, Position(1));
    gate.let_go();
    assert_eq!(shown_by(&reader.replies(1)[0]), Position(2));
    assert_eq!(repeater.replies(1), writer.replies(1));
    // With nothing in progress a query is answered at once: it needs no append.
    run.offer(reader, vec![list_clubs(3)]);
    assert_eq!(shown_by(&reader.replies(1)[0]), Position(2));
    assert!(gate.is_quiet());
    drop(gate);
    run.finish();
}

/// The requests that represent pages leave a record each, so that the appends show which commit they are in.
#[test]
fn decided_requests_are_handed_over_before_the_pages_that_wait() {
    for count in [1, 20] {
        let (held, gate) = gate();
        let run = Run::start(Limits::default(), Some(held), None);
        let [lane, reporter]: [Lane; 2] = Default::default();
        // The engine thread itself writes this one, and decides nothing until it is released.
        run.offer(&lane, vec![club(1)]);
        assert_eq!(gate.entered(), 1);
        run.offer(&lane, (100..100 + count).map(club).collect());
        (200..210).for_each(|request| run.offer_page(&reporter, club(request)));
        gate.let_go();
        assert_eq!(u64::from(gate.entered()), count, "pages are in the commit");
        drop(gate);
        lane.replies(1 + count as usize);
        reporter.replies(10);
        run.finish();
    }
}

#[test]
fn after_a_failed_append_nothing_is_released() {
    let (run, gate) = Run::gated_failing(Limits::default(), Some(2));
    let lanes: [Lane; 3] = Default::default();
    let [writer, reader, late] = &lanes;
    run.offer(writer, vec![club(1)]);
    gate.entered();
    gate.let_go();
    assert_eq!(writer.replies(1).len(), 1);
    let mut failed = run.pipeline.failed();
    assert!(failed.borrow().is_none());

    run.offer(writer, vec![club(2)]);
    gate.entered();
    run.offer(reader, vec![list_clubs(3)]);
    run.offer(writer, vec![club(4)]);
    run.wait_until_applied(4);
    gate.let_go();
    let wait = async { tokio::time::timeout(DEADLINE, failed.wait_for(Option::is_some)).await.map(|seen| seen.is_ok()) };
    assert_eq!(block_on(wait), Ok(true), "the failure is reported");
    let why = failed.borrow().clone().expect("it was reported");
    assert!(matches!(*why, JournalError::Write { .. }), "{why}");

    // Whether the inbox still accepts it or not, it has no effect.
    for request in 5..50 {
        let _ = run.try_offer(late, vec![list_clubs(request), club(request), answered(request, &run.pipeline.index())]);
    }
    let kept = run.kept.clone();
    let error = run.pipeline.finish().err().expect("the journal has failed");
    assert_eq!(error.to_string(), why.to_string());
    for lane in [writer, reader, late] {
        assert_eq!(lane.replies_now(), []);
    }
    assert_eq!(kept.end().position, Position(2));
    assert_eq!(failed.borrow().as_deref().map(ToString::to_string), Some(why.to_string()));
}

#[test]
fn after_a_failed_append_of_a_lone_request_nothing_is_released() {
    // By the engine thread, and by the journal thread.
    for alone_max in [1, 0] {
        let run = Run::start(Limits { alone_max, ..Limits::default() }, None, Some(3));
        let lane = Lane::default();
        for request in 1..3 {
            run.offer(&lane, vec![club(request)]);
            assert_eq!(lane.replies(1).len(), 1);
        }
        let mut failed = run.pipeline.failed();
        run.offer(&lane, vec![club(3)]);
        let wait = async { tokio::time::timeout(DEADLINE, failed.wait_for(Option::is_some)).await.map(|seen| seen.is_ok()) };
        assert_eq!(block_on(wait), Ok(true), "the failure is reported");
        let _ = run.try_offer(&lane, vec![club(4)]);
        let kept = run.kept.clone();
        let error = run.pipeline.finish().err().expect("the journal has failed");
        assert!(matches!(*error, JournalError::Write { .. }), "{error}");
        assert_eq!((lane.replies_now(), kept.end().position), (vec![], Position(3)));
    }
}

#[test]
fn every_reply_is_durable_when_it_leaves() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let limits =
        Limits { requests_max: 300, batch_records_max: 40, batch_bytes_max: 6_000, commit_batches_max: 2, ..Limits::default() };
    let run = Run::new(limits);
    let index = run.pipeline.index();
    let lanes: Vec<Lane> = std::iter::repeat_with(Lane::default).take(4).collect();
    let setup = Lane::default();
    run.offer(&setup, vec![club(1), campaign(2, &["A", "B", "C"])]);
    setup.replies(2);
    let (mut mutation, mut answers, mut request) = (0, 0, 3);
    let take = |answers: &mut usize| {
        for lane in &lanes {
            for reply in lane.replies_now() {
                assert!(shown_by(&reply) <= run.kept.end().position, "{reply:?}");
                *answers += 1;
            }
        }
    };
    while request < 4_000 {
        let mut requests = Vec::new();
        for _ in 0..random.usize(1..30) {
            request += 1;
            requests.push(match random.u32(..10) {
                0 => club(request),
                1 => campaign(request, &["D", "E"]),
                2..6 => redeem(request, ["A", "b", "C", "D", "E", "none"][random.usize(..6)]),
                6 => redeem(random.u64(3..=request), "A"),
                7 | 8 => list_clubs(request),
                _ => answered(request, &index),
            });
        }
        let count = requests.len();
        match run.try_offer(&lanes[random.usize(..lanes.len())], requests) {
            Ok(()) => mutation += count,
            // The inbox is full: nothing of the chunk counts.
            Err(_) => take(&mut answers),
        }
        if random.bool() {
            take(&mut answers);
        }
    }
    let since = std::time::Instant::now();
    while answers < mutation {
        take(&mut answers);
        assert!(since.elapsed() < DEADLINE, "{answers} of {mutation} replies came");
    }
    assert_eq!(answers, mutation, "each request is answered once");
    run.finish();
}
