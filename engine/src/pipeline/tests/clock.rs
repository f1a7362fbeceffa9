//! What happens to requests when the machine's clock is set, by a clock that the test controls.

use std::sync::atomic::Ordering;

use scrip_protocol::command::{Redeem, RedeemOutcome};
use scrip_protocol::{ClientId, ClubId, CredentialId, Position, Refusal, RequestId, Stamp};

use super::{Lane, Mutation, Reply, Run, START_MS, campaign, club, normalise};
use crate::pipeline::{Call, Change, Limits, Request};
use scrip_core::state::RedeemRequest;

const HOUR: u64 = 3_600_000;

/// A redemption whose id has a time, numbered by its client.
fn redeem_at(id_ms: u64, client: u128, code: &str) -> Request {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&(1_000 + client as u64).to_be_bytes());
    let request = RequestId::from_parts(id_ms, random);
    let stamp = Stamp { request, body: client as u64, credential: CredentialId(1) };
    let mutation = RedeemRequest {
        client: ClientId(client),
        club: ClubId(1),
        code: normalise(code),
        top_up: Position(0),
        is_their_top_up: true,
    };
    Request { correlation: client as u64, call: Call::Change(Change::new(stamp, Mutation::Redeem(mutation))) }
}

struct Shop {
    run: Run,
    lane: Lane,
}

impl Shop {
    /// A club and a campaign whose codes can be used twice.
    fn open(run: Run, codes: &[&str]) -> Shop {
        let lane = Lane::default();
        run.offer(&lane, vec![club(1), campaign(2, codes)]);
        lane.replies(2);
        Shop { run, lane }
    }

    fn set_clock(&self, wall_ms: u64) {
        self.run.hands.0.store(wall_ms, Ordering::SeqCst);
    }

    fn ask(&self, request: Request) -> Reply {
        self.run.offer(&self.lane, vec![request]);
        self.lane.replies(1).remove(0)
    }

    #[track_caller]
    fn redeems(&self, id_ms: u64, client: u128, code: &str) -> Reply {
        let reply = self.ask(redeem_at(id_ms, client, code));
        let outcome = reply.read::<Redeem>();
        assert!(matches!(outcome, Ok(RedeemOutcome::Redeemed(_))), "{outcome:?}");
        reply
    }

    fn is_refused(&self, id_ms: u64, client: u128, code: &str) -> Option<Refusal> {
        self.ask(redeem_at(id_ms, client, code)).read::<Redeem>().err()
    }
}

/// After a machine slept for a weekend, or its clock was set just after boot, the engine continues without a restart.
#[test]
fn a_step_forward_does_not_lock_out_callers() {
    let shop = Shop::open(Run::new(Limits::default()), &["A", "B"]);
    let later = START_MS + 60 * HOUR;
    shop.set_clock(later);
    shop.redeems(later, 1, "A");
    assert_eq!(shop.run.pipeline.clock().status().steps_forward, 1);
    assert_eq!(shop.run.pipeline.clock().fault(), None);
    let kept = shop.run.kept.clone();
    shop.run.finish();
    assert_eq!(kept.end().time_ms, later);
}

/// A step that is implausibly large is not followed, and the engine reports it; once the clock is set right, it is followed
/// again.
#[test]
fn a_step_above_the_limit_is_refused_with_the_engines_time_until_it_is_set_right() {
    let shop = Shop::open(Run::new(Limits::default()), &["A", "B"]);
    let wrong = START_MS + 24 * HOUR * 366;
    shop.set_clock(wrong);
    let refusal = shop.is_refused(wrong, 1, "A").expect("it is from the future");
    assert_eq!(refusal, Refusal::RequestFromFuture { now_ms: START_MS });
    assert!(refusal.to_string().contains("2026-09-21T14:13:20.000Z"), "{refusal}");
    let fault = shop.run.pipeline.clock().fault().expect("writes are refused");
    assert!(fault.contains("2027-09-22T14:13:20.000Z") && fault.contains("2026-09-21T14:13:20.000Z"), "{fault}");
    shop.redeems(START_MS, 2, "A");
    shop.set_clock(START_MS + 10);
    assert_eq!(shop.run.pipeline.clock().fault(), None);
    shop.redeems(START_MS + 10, 1, "A");
    let kept = shop.run.kept.clone();
    shop.run.finish();
    assert_eq!(kept.end().time_ms, START_MS + 10, "no record has the wrong date");
}

/// A clock that was once a day and an hour ahead locks out nobody when it is set right, neither at once nor after a restart; and
/// requests executed by either clock are executed once.
#[test]
fn a_clock_that_was_ahead_and_is_set_right_locks_out_nobody_and_repeats_nothing() {
    let shop = Shop::open(Run::new(Limits::default()), &["A", "B", "C"]);
    let before = shop.redeems(START_MS, 1, "A");
    let ahead = START_MS + 25 * HOUR;
    shop.set_clock(ahead);
    let meanwhile = shop.redeems(ahead, 2, "A");
    let right = START_MS + 2 * HOUR;
    shop.set_clock(right);
    let after = shop.redeems(right, 3, "B");
    assert!(matches!(before.read::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    for (id_ms, client, code, first) in [(right, 3, "B", &after), (ahead, 2, "A", &meanwhile)] {
        assert_eq!(shop.ask(redeem_at(id_ms, client, code)).body, first.body, "the retry of {client}");
    }
    let kept = shop.run.kept.clone();
    assert_eq!(kept.end().time_ms, ahead, "time in records does not run backwards");
    shop.run.finish();

    // A restart after the clock was set right.
    let run = Run::again(kept.clone(), right + HOUR);
    let shop = Shop { run, lane: Lane::default() };
    let restarted = shop.redeems(right + HOUR, 4, "C");
    for (id_ms, client, code, first) in [(right + HOUR, 4, "C", &restarted), (right, 3, "B", &after)] {
        assert_eq!(shop.ask(redeem_at(id_ms, client, code)).body, first.body, "the retry of {client}");
    }
    // A day had passed by the clock that was ahead: the first one was forgotten, and is refused.
    assert!(matches!(shop.is_refused(START_MS, 1, "A"), Some(Refusal::RequestTooOld { .. })));
    // The one from the time ahead is remembered, and so are its times: a new one from there is from the future.
    assert_eq!(shop.ask(redeem_at(ahead, 2, "A")).body, meanwhile.body);
    assert!(matches!(shop.is_refused(ahead, 5, "D"), Some(Refusal::RequestFromFuture { .. })));
    shop.set_clock(ahead);
    assert_eq!(shop.ask(redeem_at(ahead, 2, "A")).body, meanwhile.body);
    let state = shop.run.finish();
    assert_eq!(state.position(), Position(7), "four redemptions, and no record of a retry");
}

/// A clock that was ahead for longer than the window, so that ids from the time ahead were forgotten, locks out no request by the
/// right clock when it is set right, neither at once nor after a restart; and the forgotten ids are never executed again.
#[test]
fn a_clock_that_was_ahead_for_longer_than_the_window_locks_out_nobody_and_repeats_nothing() {
    for ahead in [25 * HOUR, 30 * 24 * HOUR] {
        let shop = Shop::open(Run::new(Limits::default()), &["A", "B", "C", "D"]);
        shop.redeems(START_MS, 1, "A");
        let wrong = START_MS + ahead;
        for (n, at_ms) in [(2, wrong), (3, wrong + 1), (4, wrong + 25 * HOUR)] {
            shop.set_clock(at_ms);
            shop.redeems(at_ms, n, "ABC".split_at(n as usize - 2).1.split_at(1).0);
        }
        let right = START_MS + 24 * HOUR;
        shop.set_clock(right);
        let after = shop.redeems(right, 5, "D");
        assert_eq!(shop.ask(redeem_at(right, 5, "D")).body, after.body);
        let forgotten = |shop: &Shop| {
            for (n, id_ms) in [(2, wrong), (3, wrong + 1)] {
                let code = "ABC".split_at(n as usize - 2).1.split_at(1).0;
                let refusal = shop.is_refused(id_ms, n, code);
                let is_refused = matches!(refusal, Some(Refusal::RequestTooOld { .. } | Refusal::RequestFromFuture { .. }));
                assert!(is_refused, "{n}: {refusal:?}");
            }
        };
        forgotten(&shop);
        let kept = shop.run.kept.clone();
        shop.run.finish();

        let shop = Shop { run: Run::again(kept, right + 1), lane: Lane::default() };
        forgotten(&shop);
        shop.redeems(right + 1, 6, "D");
        // Once that time has been reached.
        shop.set_clock(wrong + 2);
        forgotten(&shop);
        shop.run.finish();
    }
}

/// A clock that is set back by mistake does not refuse callers whose clocks are right.
#[test]
fn a_clock_set_back_by_mistake_refuses_nobody() {
    let shop = Shop::open(Run::new(Limits::default()), &["A", "B"]);
    shop.redeems(START_MS, 1, "A");
    shop.set_clock(0);
    let reply = shop.redeems(START_MS + 20, 2, "A");
    assert_eq!(shop.ask(redeem_at(START_MS + 20, 2, "A")).body, reply.body);
    shop.set_clock(START_MS + 30);
    shop.redeems(START_MS + 30, 3, "B");
    assert_eq!(shop.run.pipeline.clock().fault(), None);
    shop.run.finish();
}

/// While a flush hangs for minutes, requests by clocks that are right are executed: into the commit that was opened when it began.
#[test]
fn a_flush_that_hangs_makes_no_request_one_from_the_future() {
    const MINUTE: u64 = 60_000;
    let (run, gate) = Run::gated(Limits::default());
    let lane = Lane::default();
    run.offer(&lane, vec![club(1)]);
    gate.entered();
    run.offer(&lane, vec![campaign(2, &["A", "B"])]);
    run.wait_until_applied(3);
    for (minutes, client) in [(2, 1), (5, 2)] {
        let now_ms = START_MS + minutes * MINUTE;
        run.hands.0.store(now_ms, Ordering::SeqCst);
        // An id ahead of every clock is still refused. It is decided before what is waited for.
        run.offer(&lane, vec![redeem_at(now_ms + MINUTE + 1, 10 + client, "A")]);
        run.offer(&lane, vec![redeem_at(now_ms, client, "A")]);
        run.wait_until_applied(3 + client as u64);
    }
    drop(gate);
    let replies = lane.replies(6);
    for (client, at) in [(1, 2), (2, 4)] {
        let refusal = replies[at].read::<Redeem>();
        assert!(matches!(refusal, Err(Refusal::RequestFromFuture { .. })), "{client}: {refusal:?}");
        let outcome = replies[at + 1].read::<Redeem>();
        assert!(matches!(outcome, Ok(RedeemOutcome::Redeemed(_))), "{client}: {outcome:?}");
    }
    // What was executed is remembered.
    assert_eq!(run.kept.extents().last().map(|(_, time_ms)| *time_ms), Some(START_MS));
    let lane = Lane::default();
    run.offer(&lane, vec![redeem_at(START_MS + 5 * MINUTE, 2, "A")]);
    assert_eq!(lane.replies(1)[0].body, replies[5].body);
    run.finish();
}
