//! What depends on the caller: revoked credentials, callers with too many failed attempts, and callers that do not learn reasons
//! (Z9, Z15).

use std::sync::atomic::Ordering;

use scrip_protocol::command::{
    Check, CheckOutcome, Confirm, ConfirmOutcome, Grant, Hold, HoldOutcome, Redeem, RedeemOutcome, RegisterClub,
    RevokeCredential, RevokeCredentialOutcome, Secret,
};
use scrip_protocol::{ClientId, ClientNetwork, ClubId, CredentialId, Kind, Position, Refusal, RequestId, Role, Settings, Stamp};

use super::{Lane, Mutation, Reply, Run, START_MS, campaign, club, normalise, stamp};
use crate::pipeline::{Attempt, Beginning, Call, Change, Limits, RETRY_AFTER_MS, Request};
use scrip_core::guard::{Asker, BudgetLimits, FailedCode, Fingerprint, GuardLimits, Reason};
use scrip_core::state::{HoldRequest, NamedHold, RedeemRequest};

pub(super) const OPERATOR: CredentialId = CredentialId(1);
/// A gateway that learns reasons.
pub(super) const TILL: CredentialId = CredentialId(2);
/// A gateway that does not.
const SHOP: CredentialId = CredentialId(3);

pub(super) fn grant(role: Role, number: u8, reasons: bool) -> Grant {
    Grant { name: format!("{role} {number}"), role, clubs: Vec::new(), reasons, secret: Secret::Token([number; 32]) }
}

/// A club and a campaign with A, B and C, two uses of each, under a guard.
pub(super) fn begun(guard: GuardLimits) -> (Run, Lane) {
    let grants = [(OPERATOR, Role::Operator, true), (TILL, Role::Gateway, true), (SHOP, Role::Gateway, false)];
    let credentials = grants.map(|(id, role, reasons)| (id, grant(role, id.0 as u8, reasons))).to_vec();
    let beginning = Beginning { credentials, guard, ..Beginning::default() };
    let run = Run::begin(&beginning, Limits::default(), None, None);
    let lane = Lane::default();
    run.offer(&lane, vec![club(1), campaign(2, &["A", "B", "C"])]);
    lane.replies(2);
    assert_eq!(*run.pipeline.durable().borrow(), Position(6), "the settings, three credentials, the club, the campaign");
    (run, lane)
}

/// Three failed attempts at once, then one a minute.
pub(super) fn strict() -> GuardLimits {
    let client = BudgetLimits { misses_at_once: 3, misses_per_minute: 1, lockout_first_ms: 60_000, ..GuardLimits::CLIENT };
    GuardLimits { client, network: BudgetLimits { misses_at_once: 6, ..client }, ..GuardLimits::OFF }
}

pub(super) fn by(credential: CredentialId, request: u64, mutation: Mutation, network: u64) -> Request {
    let stamp = Stamp { credential, ..stamp(request) };
    let change = Change { network: ClientNetwork(network), ..Change::new(stamp, mutation) };
    Request { correlation: request, call: Call::Change(change) }
}

pub(super) fn redemption(client: u128, code: &str) -> RedeemRequest {
    RedeemRequest { client: ClientId(client), club: ClubId(1), code: normalise(code), top_up: Position(0), is_their_top_up: true }
}

pub(super) fn redeem(credential: CredentialId, request: u64, client: u128, code: &str) -> Request {
    by(credential, request, Mutation::Redeem(redemption(client, code)), 0)
}

pub(super) fn hold(credential: CredentialId, request: u64, client: u128, code: &str) -> Request {
    let mutation = HoldRequest { redeem: redemption(client, code), ttl_ms: 1_000 };
    by(credential, request, Mutation::Hold(Box::new(mutation)), 0)
}

/// A different wrong code for each request.
pub(super) fn guess(request: u64) -> String {
    format!("guess-{request}")
}

pub(super) fn ask(run: &Run, lane: &Lane, request: Request) -> Reply {
    run.offer(lane, vec![request]);
    lane.replies(1).remove(0)
}

#[track_caller]
pub(super) fn locked_out(reply: &Reply) -> u32 {
    match reply.read::<Redeem>() {
        Err(Refusal::TooManyMisses { retry_after_ms }) => retry_after_ms,
        other => panic!("{other:?}"),
    }
}

/// Z15: in the order of the journal, nothing of a credential follows its revocation, whatever was handed over before.
#[test]
fn requests_of_a_revoked_credential_are_not_executed() {
    let (run, lane) = begun(GuardLimits::OFF);
    let register = |request| by(TILL, request, Mutation::RegisterClub(RegisterClub { name: "late".into() }), 0);
    let revoke = Mutation::RevokeCredential(RevokeCredential { credential: TILL });
    run.offer(&lane, vec![redeem(TILL, 10, 1, "A"), by(OPERATOR, 11, revoke, 0), register(12), redeem(TILL, 10, 1, "A")]);
    let replies = lane.replies(4);
    assert!(matches!(replies[0].read::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    assert_eq!(replies[1].read::<RevokeCredential>(), Ok(RevokeCredentialOutcome::Revoked));
    assert_eq!(replies[2].read::<RegisterClub>(), Err(Refusal::Revoked));
    assert_eq!(replies[3].read::<Redeem>(), Err(Refusal::Revoked), "it does not get its earlier answer either");
    // Another credential can find out the answer.
    assert_eq!(ask(&run, &lane, redeem(OPERATOR, 10, 1, "A")).read::<Redeem>(), replies[0].read::<Redeem>());
    assert_eq!(run.finish().position(), Position(8));
}

/// Z3: if there is no room for a request, a retry of an executed one still gets the first answer.
#[test]
fn a_retry_is_answered_from_the_window_before_it_is_refused_as_busy() {
    let (run, lane) = begun(GuardLimits::OFF);
    let busy = |credential, request| {
        let stamp = Stamp { credential, ..stamp(request) };
        Request { correlation: request, call: Call::Busy { kind: Kind::Redeem, stamp } }
    };
    assert_eq!(ask(&run, &lane, busy(TILL, 10)).read::<Redeem>(), Err(Refusal::Busy { retry_after_ms: RETRY_AFTER_MS }));
    let first = ask(&run, &lane, redeem(TILL, 10, 1, "A")).read::<Redeem>();
    assert!(matches!(first, Ok(RedeemOutcome::Redeemed(_))), "a busy answer leaves the request new: {first:?}");
    assert_eq!(ask(&run, &lane, busy(TILL, 10)).read::<Redeem>(), first);
    let other_body = Stamp { body: 11, credential: TILL, ..stamp(10) };
    let reused = Request { correlation: 10, call: Call::Busy { kind: Kind::Redeem, stamp: other_body } };
    assert_eq!(ask(&run, &lane, reused).read::<Redeem>(), Err(Refusal::RequestIdReused));
    ask(&run, &lane, by(OPERATOR, 12, Mutation::RevokeCredential(RevokeCredential { credential: TILL }), 0));
    assert_eq!(ask(&run, &lane, busy(TILL, 10)).read::<Redeem>(), Err(Refusal::Revoked));
    assert_eq!(run.finish().position(), Position(8), "nothing but the redemption and the revocation is recorded");
}

/// Z9, pain 20: a caller that is locked out gets the same answer for every code until the time is up; nothing is recorded.
#[test]
fn a_caller_that_is_locked_out_is_not_answered_for_a_while() {
    let (run, lane) = begun(strict());
    for request in 10..13 {
        let reply = ask(&run, &lane, redeem(TILL, request, 1, &guess(request)));
        assert_eq!(reply.read::<Redeem>(), Ok(RedeemOutcome::UnknownCode), "request {request}");
    }
    for (request, code) in [(13, "guess"), (14, "A"), (15, "no code")] {
        assert_eq!(locked_out(&ask(&run, &lane, redeem(TILL, request, 1, code))), 60_000);
    }
    assert_eq!(ask(&run, &lane, hold(TILL, 16, 1, "A")).read::<Hold>(), Err(Refusal::TooManyMisses { retry_after_ms: 60_000 }));
    // A retry gets its first answer during a lockout; and nobody else is locked out.
    assert_eq!(ask(&run, &lane, redeem(TILL, 10, 1, &guess(10))).read::<Redeem>(), Ok(RedeemOutcome::UnknownCode));
    assert!(matches!(ask(&run, &lane, redeem(TILL, 17, 2, "A")).read::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    // The same request, refused before, is executed once the time is up.
    run.hands.0.store(START_MS + 60_000, Ordering::SeqCst);
    assert!(matches!(ask(&run, &lane, redeem(TILL, 14, 1, "A")).read::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    assert_eq!(run.finish().position(), Position(6 + 3 + 2));
}

/// Z9: an invalid code, and an unknown club, reveal nothing about a code.
#[test]
fn refusals_that_reveal_nothing_about_a_code_are_no_failed_attempts() {
    let (run, lane) = begun(strict());
    let elsewhere = RedeemRequest { club: ClubId(9), ..redemption(1, "guess") };
    for request in 0..20 {
        ask(&run, &lane, redeem(TILL, 100 + request, 1, "no code"));
        ask(&run, &lane, by(TILL, 200 + request, Mutation::Redeem(elsewhere), 0));
        let short = HoldRequest { redeem: redemption(1, "guess"), ttl_ms: 0 };
        ask(&run, &lane, by(TILL, 300 + request, Mutation::Hold(Box::new(short)), 0));
    }
    for request in [400, 401, 402] {
        let reply = ask(&run, &lane, hold(TILL, request, 1, &guess(request))).read::<Hold>();
        assert_eq!(reply, Ok(HoldOutcome::Refused(RedeemOutcome::UnknownCode)), "request {request}");
    }
    locked_out(&ask(&run, &lane, redeem(TILL, 403, 1, "A")));
    run.finish();
}

/// Z9: a network of many clients; and the failed attempts of a check, which a lane collects.
#[test]
fn networks_and_checks_are_counted() {
    let (run, lane) = begun(strict());
    let from_network = |request, client| by(TILL, request, Mutation::Redeem(redemption(client, &guess(request))), 7);
    for request in 10..16 {
        let reply = ask(&run, &lane, from_network(request, request.into()));
        assert_eq!(reply.read::<Redeem>(), Ok(RedeemOutcome::UnknownCode));
    }
    locked_out(&ask(&run, &lane, from_network(16, 99)));
    assert_eq!(ask(&run, &lane, redeem(TILL, 17, 99, "guess")).read::<Redeem>(), Ok(RedeemOutcome::UnknownCode));

    let unknown = |number| FailedCode { fingerprint: Fingerprint(number), reason: Reason::Unknown };
    let check = |correlation, client, failed: std::ops::Range<u32>| {
        let mut frame = Vec::new();
        let outcome = CheckOutcome::Checked { codes: Vec::new(), as_of: Position(0) };
        scrip_protocol::frame::push_value(&mut frame, Kind::Check as u16, correlation, &outcome);
        let asker = Asker { credential: TILL, client: Some(ClientId(client)), network: ClientNetwork::UNKNOWN };
        Request {
            correlation,
            call: Call::Answered { frame, attempt: Some(Attempt { asker, failed: failed.map(unknown).collect() }) },
        }
    };
    for (correlation, failed) in [(20, 0..0), (21, 1..3), (22, 1..3), (23, 3..500)] {
        assert!(ask(&run, &lane, check(correlation, 5, failed)).read::<Check>().is_ok(), "{correlation}");
    }
    for failed in [0..0, 0..1] {
        let refused = ask(&run, &lane, check(24, 5, failed)).read::<Check>();
        assert!(matches!(refused, Err(Refusal::TooManyMisses { .. })), "{refused:?}");
    }
    assert!(ask(&run, &lane, check(25, 6, 0..0)).read::<Check>().is_ok());
    locked_out(&ask(&run, &lane, redeem(TILL, 26, 5, "A")));
    run.finish();
}

/// Z9: callers without reasons get the same answer for all codes, byte for byte; the journal and the remembered answers contain
/// the reason.
#[test]
fn reasons_are_recorded_and_given_only_to_callers_that_may_know() {
    let (run, lane) = begun(GuardLimits::OFF);
    for request in [10, 11] {
        ask(&run, &lane, redeem(SHOP, request, 1, "A"));
    }
    let body = |reply: Reply| (reply.kind, reply.body);
    let unknown = body(ask(&run, &lane, redeem(SHOP, 20, 1, "guess")));
    assert_eq!(body(ask(&run, &lane, redeem(SHOP, 21, 1, "A"))), unknown);
    assert_eq!(body(ask(&run, &lane, redeem(SHOP, 21, 1, "A"))), unknown, "and so again");
    let answer = ask(&run, &lane, redeem(TILL, 21, 1, "A")).read::<Redeem>();
    assert_eq!(answer, Ok(RedeemOutcome::CodeExhausted), "a caller that may know gets the remembered answer");
    assert_eq!(ask(&run, &lane, redeem(SHOP, 21, 1, "A")).read::<Redeem>(), Ok(RedeemOutcome::NotAccepted));
    // All callers learn about their own mistakes.
    assert!(matches!(ask(&run, &lane, redeem(SHOP, 22, 1, "a b")).read::<Redeem>(), Ok(RedeemOutcome::InvalidCode(_))));

    let refused = body(ask(&run, &lane, hold(SHOP, 30, 1, "guess")));
    assert_eq!(body(ask(&run, &lane, hold(SHOP, 31, 1, "A"))), refused);
    let answer = ask(&run, &lane, hold(TILL, 31, 1, "A")).read::<Hold>();
    assert_eq!(answer, Ok(HoldOutcome::Refused(RedeemOutcome::CodeExhausted)));
    assert_eq!(ask(&run, &lane, hold(SHOP, 31, 1, "A")).read::<Hold>(), Ok(HoldOutcome::Refused(RedeemOutcome::NotAccepted)));

    // An expired hold whose use was taken.
    let Ok(HoldOutcome::Held(held)) = ask(&run, &lane, hold(SHOP, 40, 1, "B")).read::<Hold>() else { panic!("B has two uses") };
    run.hands.0.store(START_MS + 1_000, Ordering::SeqCst);
    for request in [41, 42] {
        assert!(matches!(ask(&run, &lane, redeem(TILL, request, 1, "B")).read::<Redeem>(), Ok(RedeemOutcome::Redeemed(_))));
    }
    let confirm = |credential, anyones| by(credential, 43, Mutation::Confirm(NamedHold { hold: held.hold, anyones }.into()), 0);
    let answer = ask(&run, &lane, confirm(SHOP, false)).read::<Confirm>();
    assert_eq!(answer, Ok(ConfirmOutcome::Expired(RedeemOutcome::NotAccepted)));
    let answer = ask(&run, &lane, confirm(OPERATOR, true)).read::<Confirm>();
    assert_eq!(answer, Ok(ConfirmOutcome::Expired(RedeemOutcome::CodeExhausted)));
    run.finish();
}

/// A credential that fills the window is refused before the others are, for as long as what it has executed cannot be forgotten.
#[test]
fn a_credential_that_fills_the_window_leaves_room_for_the_others() {
    let credentials = [TILL, SHOP].map(|id| (id, grant(Role::Gateway, id.0 as u8, true))).to_vec();
    let settings = Settings { requests_max: 80, ..Settings::default() };
    let beginning = Beginning { settings, credentials, guard: GuardLimits::OFF };
    let run = Run::begin(&beginning, Limits::default(), None, None);
    let lane = Lane::default();
    let redeemed = |credential, request| ask(&run, &lane, redeem(credential, request, 1, "A")).read::<Redeem>();
    let unknown = Ok(RedeemOutcome::UnknownClub);
    // Up to seven eighths nobody is refused.
    assert!((0..70).all(|request| redeemed(TILL, request) == unknown));
    assert_eq!(redeemed(TILL, 70), Err(Refusal::Busy { retry_after_ms: 60_000 }));
    assert_eq!(redeemed(TILL, 69), unknown, "a retry is answered");
    for request in 100..110 {
        assert_eq!(redeemed(SHOP, request), unknown, "request {request}");
    }
    assert!(matches!(redeemed(SHOP, 110), Err(Refusal::Busy { .. })), "the window is full");
    // Once the oldest may be forgotten, it is not refused.
    run.hands.0.store(START_MS + 60_000, Ordering::SeqCst);
    assert_eq!(redeemed(TILL, 70), unknown);
    run.finish();
}

/// What a credential has executed counts against its share for a minute, also while the time of records runs at half speed.
#[test]
fn a_share_of_the_window_is_that_of_a_minute_after_the_clock_was_set_back() {
    /// After half of the time that passes, whole minutes: as a batch records it.
    const BACK_MS: u64 = 3_600_000 + PASSED_MS / 2;
    const PASSED_MS: u64 = 75_000;
    let credentials = [TILL, SHOP].map(|id| (id, grant(Role::Gateway, id.0 as u8, true))).to_vec();
    let settings = Settings { requests_max: 80, request_window_ms: 60_000, ..Settings::default() };
    let beginning = Beginning { settings, credentials, guard: GuardLimits::OFF };
    let run = Run::begin(&beginning, Limits::default(), None, None);
    let lane = Lane::default();
    run.hands.0.store(START_MS - BACK_MS, Ordering::SeqCst);
    let redeemed = |credential, number: u64| {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let request = RequestId::from_parts(run.hands.0.load(Ordering::SeqCst), random);
        let stamp = Stamp { request, body: number, credential };
        let call = Call::Change(Change::new(stamp, Mutation::Redeem(redemption(1, "A"))));
        ask(&run, &lane, Request { correlation: number, call }).read::<Redeem>()
    };
    let unknown = Ok(RedeemOutcome::UnknownClub);
    assert!((0..20).all(|number| redeemed(TILL, number) == unknown));
    run.hands.pass(PASSED_MS);
    // The others fill seven eighths of the window. What was executed before is forgotten.
    assert!((100..170).all(|number| redeemed(SHOP, number) == unknown));
    assert!(matches!(redeemed(SHOP, 170), Err(Refusal::Busy { .. })));
    assert_eq!(redeemed(TILL, 20), unknown);
    let state = run.finish();
    assert_eq!(state.now_ms(), START_MS + PASSED_MS / 2, "the time of records ran at half speed");
    assert_eq!(state.requests.len(), 71);
}
