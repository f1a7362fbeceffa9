//! What the engine thread counts, and which refused attempts it reports (Z13).

use std::sync::atomic::Ordering;

use scrip_protocol::command::{Attempt, Counted, HoldOutcome, Reader, RedeemOutcome, StateSizes};
use scrip_protocol::{ClientId, ClubId, CredentialId, Position, Refusal, RequestId};

use super::callers::{TILL, ask, begun, by, guess, hold, locked_out, redeem, redemption, strict};
use super::{DEADLINE, Lane, Run, START_MS, block_on, campaign, change, club, redeem as redeem_by_anybody, stamp};
use crate::pipeline::{Limits, Pipeline};
use scrip_core::guard::GuardLimits;
use scrip_core::state::{KeepReaderRequest, Mutation};

fn counted(words: &[(&str, u64)]) -> Vec<Counted> {
    words.iter().map(|(word, count)| Counted { word: (*word).to_owned(), count: *count }).collect()
}

fn attempts(pipeline: &Pipeline) -> Vec<Attempt> {
    pipeline.attempts().after(0).attempts
}

/// Outcomes, retries and sizes are counted by the time the reply is there.
#[test]
fn executed_requests_are_counted_by_outcome() {
    let (run, lane) = begun(GuardLimits::OFF);
    for (request, code) in [(10, "A"), (11, "A"), (12, "A"), (13, "guess"), (10, "A")] {
        ask(&run, &lane, redeem(TILL, request, 1, code));
    }
    ask(&run, &lane, hold(TILL, 20, 1, "B"));
    ask(&run, &lane, hold(TILL, 21, 1, "A"));
    let counters = run.pipeline.counters();
    let redemptions = counted(&[("redeemed", 2), ("unknown_code", 1), ("code_exhausted", 1)]);
    assert_eq!(counters.redemptions.counted(&RedeemOutcome::WORDS), redemptions);
    assert_eq!(counters.holds.counted(&HoldOutcome::WORDS), counted(&[("held", 1), ("code_exhausted", 1)]));
    assert_eq!(counters.repeated.load(Ordering::Relaxed), 1);
    let sizes = *counters.sizes.lock();
    assert_eq!((sizes.clients, sizes.campaigns, sizes.codes, sizes.holds), (1, 1, 3, 1));
    assert_eq!(counters.journal.durable.load(Ordering::Relaxed), 6 + 4 + 2);
    assert_eq!(counters.journal.written().records, 2 + 4 + 2, "what this process has written itself, after the start");
    assert_eq!(counters.journal.flushes().count(), counters.journal.written().batches, "each request came alone");
    assert!(attempts(&run.pipeline).is_empty(), "a request that leaves a record is not reported as an attempt");
    run.finish();
}

/// Z13: a request refused before it is decided leaves no record, and is reported as an attempt with the reason.
#[test]
fn a_refusal_without_a_record_is_reported_as_an_attempt() {
    let (run, lane) = begun(strict());
    let lockouts = || run.pipeline.counters().lockouts.load(Ordering::Relaxed);
    for request in 10..13 {
        assert_eq!(lockouts(), 0);
        ask(&run, &lane, redeem(TILL, request, 1, &guess(request)));
    }
    let durable = Position(6 + 3);
    locked_out(&ask(&run, &lane, redeem(TILL, 13, 1, "A")));
    assert_eq!(lockouts(), 1);
    ask(&run, &lane, redeem(TILL, 13, 1, "A"));
    // The same id for another body, and an id from before the window.
    let mut reused = by(TILL, 10, Mutation::Redeem(redemption(2, "B")), 7);
    if let crate::pipeline::Call::Change(change) = &mut reused.call {
        change.stamp.body += 1;
    }
    ask(&run, &lane, reused);
    let mut old = by(TILL, 14, Mutation::Redeem(redemption(3, "no code")), 0);
    if let crate::pipeline::Call::Change(change) = &mut old.call {
        change.stamp.request = RequestId::from_parts(1, [0; 10]);
    }
    ask(&run, &lane, old);

    let reported = attempts(&run.pipeline);
    let refusals: Vec<_> = reported.iter().map(|attempt| attempt.refusal.word()).collect();
    assert_eq!(refusals, ["too_many_misses", "too_many_misses", "request_id_reused", "request_too_old"]);
    let expected = Attempt {
        sequence: 1,
        at_ms: START_MS,
        after: durable,
        command: "redeem".to_owned(),
        credential: TILL,
        request: stamp(13).request,
        client: Some(ClientId(1)),
        club: Some(ClubId(1)),
        code: Some("a".to_owned()),
        network: scrip_protocol::ClientNetwork::UNKNOWN,
        refusal: Refusal::TooManyMisses { retry_after_ms: 60_000 },
    };
    assert_eq!(reported[0], expected);
    assert_eq!((reported[1].sequence, reported[2].client, reported[2].network.0), (2, Some(ClientId(2)), 7));
    assert_eq!((reported[3].client, reported[3].code.as_deref()), (Some(ClientId(3)), None), "an invalid code is not stored");
    assert_eq!(run.pipeline.counters().refusals.counted(&Refusal::WORDS).iter().map(|counted| counted.count).sum::<u64>(), 4);
    assert_eq!(run.finish().position(), durable, "nothing of it is in the journal");
}

/// Z15: requests of a revoked credential are counted, and not reported: the journal has its revocation.
#[test]
fn requests_of_a_revoked_credential_are_counted() {
    let (run, lane) = begun(GuardLimits::OFF);
    let revoke = scrip_protocol::command::RevokeCredential { credential: TILL };
    ask(&run, &lane, by(CredentialId(1), 10, Mutation::RevokeCredential(revoke), 0));
    ask(&run, &lane, redeem(TILL, 11, 1, "A"));
    assert_eq!(run.pipeline.counters().refusals.counted(&Refusal::WORDS), counted(&[("revoked", 1)]));
    assert!(attempts(&run.pipeline).is_empty());
    run.finish();
}

/// Everything that metrics and attempts report of a state.
#[derive(Debug, Clone, PartialEq)]
struct Published {
    redemptions: Vec<Counted>,
    refusals: Vec<Counted>,
    repeated: u64,
    sizes: StateSizes,
    readers: Vec<Reader>,
    attempts: Vec<Attempt>,
}

fn published(run: &Run) -> Published {
    let counters = run.pipeline.counters();
    Published {
        redemptions: counters.redemptions.counted(&RedeemOutcome::WORDS),
        refusals: counters.refusals.counted(&Refusal::WORDS),
        repeated: counters.repeated.load(Ordering::Relaxed),
        sizes: *counters.sizes.lock(),
        readers: counters.readers.lock().clone(),
        attempts: attempts(&run.pipeline),
    }
}

/// Requests that change every number, and the number of records that they leave: a retry and a reused id leave none.
fn counted_requests() -> (Vec<super::Request>, u64) {
    let mut reused = redeem_by_anybody(12, "B");
    if let crate::pipeline::Call::Change(change) = &mut reused.call {
        change.stamp.body += 1;
    }
    let reader = scrip_protocol::command::KeepReader { name: "reports".into(), position: Position(1) };
    let reader = Mutation::KeepReader(Box::new(KeepReaderRequest {
        request: reader,
        kept_from: Position(1),
        open_from: Position(1),
        anyones: false,
    }));
    let requests = vec![
        campaign(10, &["A", "B"]),
        redeem_by_anybody(12, "A"),
        redeem_by_anybody(13, "none"),
        redeem_by_anybody(12, "A"),
        reused,
        change(14, reader),
    ];
    (requests, 4)
}

/// Z4: what is decided and not yet durable is in no metric and in no attempt, and is in all of them once the reply is there.
#[test]
fn nothing_is_counted_or_reported_before_it_is_durable() {
    let (run, gate) = Run::gated(Limits::default());
    let lanes: [Lane; 2] = Default::default();
    run.offer(&lanes[0], vec![club(1)]);
    gate.entered();
    let before = published(&run);
    // The second commit is filled while the first one is written, and both are delayed.
    let (requests, records) = counted_requests();
    let answers = requests.len();
    run.offer(&lanes[1], requests);
    run.wait_until_applied(2 + records);
    assert_eq!(published(&run), before);
    gate.let_go();
    lanes[0].replies(1);
    assert_eq!(u64::from(gate.entered()), records);
    let with_the_club = Published { sizes: StateSizes { requests: 1, ..before.sizes }, ..before };
    assert_eq!(published(&run), with_the_club, "the request of the club, which is durable now");
    gate.let_go();
    lanes[1].replies(answers);
    let counters = run.pipeline.counters();
    assert_eq!(counters.redemptions.counted(&RedeemOutcome::WORDS), counted(&[("redeemed", 1), ("unknown_code", 1)]));
    assert_eq!(counters.repeated.load(Ordering::Relaxed), 1);
    assert_eq!((counters.sizes.lock().codes, counters.readers.lock().len()), (2, 1));
    assert_eq!(attempts(&run.pipeline).len(), 1);
    drop(gate);
    run.finish();
}

/// Z4: counts of a failed append are never published.
#[test]
fn counts_of_a_failed_append_are_never_published() {
    // By the journal thread, and by the engine thread.
    for alone_max in [0, 100] {
        let run = Run::start(Limits { alone_max, ..Limits::default() }, None, Some(1));
        let (before, lane) = (published(&run), Lane::default());
        let mut failed = run.pipeline.failed();
        run.offer(&lane, counted_requests().0);
        let wait = async { tokio::time::timeout(DEADLINE, failed.wait_for(Option::is_some)).await.map(|seen| seen.is_ok()) };
        assert_eq!(block_on(wait), Ok(true), "the failure is reported");
        assert_eq!(published(&run), before);
        assert!(run.pipeline.finish().is_err(), "the journal has failed");
    }
}
