//! A reader that is registered while the journal is being dropped: it is known to whoever drops, or refused.

use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::command::{KeepReader, KeepReaderOutcome};

use super::{Lane, Reply, Request, Run, change, club};
use crate::keeper::RegistryError;
use crate::pipeline::Limits;
use scrip_core::state::{Asked, AskedKeepReader};

/// A registration as a lane hands it over, which saw the journal begin at its first record.
fn registration(request: u64, position: u64) -> Request {
    let asked = KeepReader { name: format!("reader {request}"), position: Position(position) };
    change(
        request,
        Asked::KeepReader(Box::new(AskedKeepReader { asked, kept_from: Position(1), open_from: Position(1), anyones: false })),
    )
}

fn outcome(reply: &Reply) -> KeepReaderOutcome {
    reply.read::<KeepReader>().expect("it is not refused before it is decided")
}

/// Every interleaving of one registration with the closing of the registry: decided before it, the reader is in the list, which does not
/// come before the registration is durable; decided after it, the reader is refused what is about to go.
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
    // Whatever is decided from here on is decided after the list was asked for: the count says that it is there.
    let since = std::time::Instant::now();
    while run.pipeline.requests_under_way() < 5 {
        assert!(since.elapsed() < super::DEADLINE, "the list is not asked for");
        std::thread::yield_now();
    }
    run.offer(&lanes[1], vec![registration(5, 2), registration(6, 3)]);
    run.wait_until_applied(7);
    assert!(!closing.is_finished(), "the list came before the registration was durable");
    drop(gate);
    let listed = closing.join().expect("it does not panic").expect("the engine runs");
    assert!(listed.contains(&Position(1)) && !listed.contains(&Position(2)), "{listed:?}");
    assert_eq!(outcome(&lanes[0].replies(4)[3]), KeepReaderOutcome::Kept { position: Position(1) });
    let late = lanes[1].replies(2);
    assert_eq!(outcome(&late[0]), KeepReaderOutcome::NotKept { first: Position(4) });
    assert_eq!(outcome(&late[1]), KeepReaderOutcome::Kept { position: Position(3) });
    // A reader that is registered already holds back what it needs, and moves within it.
    let moved = KeepReader { name: "reader 4".into(), position: Position(2) };
    let moved = AskedKeepReader { asked: moved, kept_from: Position(1), open_from: Position(1), anyones: false };
    run.offer(&lanes[1], vec![change(8, Asked::KeepReader(Box::new(moved)))]);
    assert_eq!(outcome(&lanes[1].replies(1)[0]), KeepReaderOutcome::Kept { position: Position(2) });
    // Once it is open again, only what was dropped is refused.
    registry.open();
    run.offer(&lanes[1], vec![registration(7, 2)]);
    assert_eq!(outcome(&lanes[1].replies(1)[0]), KeepReaderOutcome::Kept { position: Position(2) });
    drop(registry);
    run.finish();
}

/// An engine whose journal has failed gives no list; whoever waits for it stops waiting when it is told to.
#[test]
fn no_list_comes_of_a_journal_that_failed() {
    let run = Run::start(Limits::default(), None, Some(1));
    run.offer(&Lane::default(), vec![club(1)]);
    let registry = run.pipeline.registry();
    let looks = std::cell::Cell::new(0);
    let stops = || looks.replace(looks.get() + 1) > 1;
    assert!(matches!(registry.close_before(Position(1), &stops), Err(RegistryError::Stopping)));
    drop(registry);
    assert!(run.pipeline.finish().is_err(), "the journal has failed");
}
