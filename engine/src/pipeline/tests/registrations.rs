//! A reader that registers while segments are dropped: retention knows it, or it is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use scrip_protocol::command::{ForgetReader, ForgetReaderOutcome, KeepReader, KeepReaderOutcome};
use scrip_protocol::{Position, Refusal};

use super::{Lane, Reply, Request, Run, START_MS, change, club};
use crate::keeper::RegistryError;
use crate::pipeline::Limits;
use scrip_core::state::{ForgetReaderRequest, KeepReaderRequest, Mutation};

/// A registration as a lane hands it over, after reading that the journal begins at its first record.
fn registration(request: u64, position: u64) -> Request {
    keep(request, format!("reader {request}"), position, false)
}

fn keep(request: u64, name: String, position: u64, anyones: bool) -> Request {
    let (kept_from, open_from) = (Position(1), Position(1));
    let keep = KeepReader { name, position: Position(position) };
    change(request, Mutation::KeepReader(Box::new(KeepReaderRequest { request: keep, kept_from, open_from, anyones })))
}

fn outcome(reply: &Reply) -> KeepReaderOutcome {
    reply.read::<KeepReader>().expect("it is not refused before it is decided")
}

/// Every interleaving of one registration with the closing of the registry. Decided before it, the reader is in the list, which
/// does not arrive before the registration is durable; decided after it, the reader is refused the records about to be dropped.
#[test]
fn an_accepted_reader_is_known_before_anything_is_dropped() {
    let (run, gate) = Run::gated(Limits::default());
    let lanes: [Lane; 2] = Default::default();
    run.offer(&lanes[0], vec![club(1), club(2), club(3), registration(4, 1)]);
    assert_eq!(gate.entered(), 4, "the registration is decided and not yet durable");
    let registry = run.pipeline.registry();
    let closing = {
        let registry = Arc::clone(&registry);
        std::thread::spawn(move || registry.close_before(Position(4), &|| false))
    };
    // Everything decided from here on is decided after the request for the list: the count includes it.
    let since = std::time::Instant::now();
    while run.pipeline.requests_under_way() < 5 {
        assert!(since.elapsed() < super::DEADLINE, "the list was requested");
        std::thread::yield_now();
    }
    run.offer(&lanes[1], vec![registration(5, 2), registration(6, 3)]);
    run.wait_until_applied(7);
    assert!(!closing.is_finished(), "the list arrived before the registration was durable");
    drop(gate);
    let listed = closing.join().expect("it does not panic").expect("the engine runs");
    assert!(listed.contains(&Position(1)) && !listed.contains(&Position(2)), "{listed:?}");
    assert_eq!(outcome(&lanes[0].replies(4)[3]), KeepReaderOutcome::Kept { position: Position(1) });
    let late = lanes[1].replies(2);
    assert_eq!(outcome(&late[0]), KeepReaderOutcome::NotKept { first: Position(4) });
    assert_eq!(outcome(&late[1]), KeepReaderOutcome::Kept { position: Position(3) });
    // A registered reader retains what it needs, and can move within it.
    let moved = KeepReader { name: "reader 4".into(), position: Position(2) };
    let moved = KeepReaderRequest { request: moved, kept_from: Position(1), open_from: Position(1), anyones: false };
    run.offer(&lanes[1], vec![change(8, Mutation::KeepReader(Box::new(moved)))]);
    assert_eq!(outcome(&lanes[1].replies(1)[0]), KeepReaderOutcome::Kept { position: Position(2) });
    // Once it is open again, only what was dropped is refused.
    registry.open();
    run.offer(&lanes[1], vec![registration(7, 2)]);
    assert_eq!(outcome(&lanes[1].replies(1)[0]), KeepReaderOutcome::Kept { position: Position(2) });
    drop(registry);
    run.finish();
}

/// An engine whose journal has failed returns no list; a caller that waits for it can be stopped.
#[test]
fn a_journal_that_failed_returns_no_list() {
    let run = Run::start(Limits::default(), None, Some(1));
    run.offer(&Lane::default(), vec![club(1)]);
    let registry = run.pipeline.registry();
    let looks = std::cell::Cell::new(0);
    let stops = || looks.replace(looks.get() + 1) > 1;
    assert!(matches!(registry.close_before(Position(1), &stops), Err(RegistryError::Stopping)));
    drop(registry);
    assert!(run.pipeline.finish().is_err(), "the journal has failed");
}

/// A caller with a read-only role fills neither the journal nor the idempotency window: each credential has a budget, also for
/// requests that change nothing. Within it every request leaves a record, so that a retry gets the first answer whatever has
/// changed since.
#[test]
fn a_reader_s_requests_leave_a_bounded_number_of_records() {
    let (run, lane) = (Run::new(Limits::default()), Lane::default());
    let keep = |request, position, anyones| keep(request, "reports".into(), position, anyones);
    let forget = |request| {
        let mutation = ForgetReader { name: "reports".into() };
        change(request, Mutation::ForgetReader(ForgetReaderRequest { request: mutation, anyones: false }))
    };
    let forgotten = |reply: &Reply| reply.read::<ForgetReader>();
    // There is no reader to remove, then there is one.
    run.offer(&lane, vec![forget(50), keep(1, 1, false), forget(50), keep(2, 1, false)]);
    let first = lane.replies(4);
    assert_eq!(forgotten(&first[0]), Ok(ForgetReaderOutcome::UnknownReader));
    assert_eq!(forgotten(&first[2]), Ok(ForgetReaderOutcome::UnknownReader), "a retry has the first answer");
    assert_eq!(outcome(&first[3]), KeepReaderOutcome::Kept { position: Position(1) });
    // Time stands still on a test's clock.
    run.offer(&lane, (100..200).map(|request| keep(request, 1, false)).collect());
    let refused = lane.replies(100);
    let is_decided = |reply: &&Reply| reply.read::<KeepReader>().is_ok();
    assert_eq!(refused.iter().filter(is_decided).count(), 57, "three of the budget were spent before");
    assert_eq!(refused[57].read::<KeepReader>(), Err(Refusal::Busy { retry_after_ms: 1_000 }));
    // A retry gets its first answer, and an operator has no budget.
    run.offer(&lane, vec![keep(1, 1, false), keep(600, 9_999, true)]);
    let others = lane.replies(2);
    assert_eq!(outcome(&others[0]), KeepReaderOutcome::Kept { position: Position(1) });
    assert!(matches!(outcome(&others[1]), KeepReaderOutcome::BeyondEnd { .. }));
    assert_eq!(run.finish().requests.len(), 61);
}

/// The budget for changes to readers is one a second by a clock that is never set: the time of records may run at half speed.
#[test]
fn a_reader_s_budget_is_one_a_second_after_the_clock_was_set_back() {
    let (run, lane) = (Run::new(Limits::default()), Lane::default());
    run.hands.0.store(START_MS - 3_600_000, Ordering::SeqCst);
    let is_decided = |reply: &&Reply| reply.read::<KeepReader>().is_ok();
    for (seconds, expected) in [(0, 60), (10, 10)] {
        run.hands.pass(seconds * 1_000);
        let first = 1_000 * (seconds + 1);
        run.offer(&lane, (first..first + 100).map(|request| registration(request, 1)).collect());
        assert_eq!(lane.replies(100).iter().filter(is_decided).count(), expected, "after {seconds} s");
    }
    assert_eq!(run.finish().now_ms(), START_MS + 5_000, "the time of records ran at half speed");
}
