//! The guard as a whole: whose failed attempts count for whom, at which times, and what is remembered.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod floods;
mod guessing;
mod model;

use std::sync::atomic::{AtomicU32, Ordering};

use scrip_protocol::command::LockoutKind;

use super::*;

const START: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

const BOUNDS: Bounds =
    Bounds { buckets_max: BUCKETS_MAX, share_max: SHARE_MAX, share_here_max: SHARE_MAX, lockouts_max: LOCKOUTS_MAX };

fn asker(credential: u32, client: u128, network: &str) -> Asker {
    Asker {
        credential: CredentialId(credential),
        client: (client > 0).then_some(ClientId(client)),
        network: network.parse().expect("a network"),
    }
}

/// Codes that were not tried before.
pub(super) fn fresh(number: u32) -> Vec<FailedCode> {
    refused(number, Reason::Unknown)
}

/// Codes that were not tried before, and why they are refused.
fn refused(number: u32, reason: Reason) -> Vec<FailedCode> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let first = NEXT.fetch_add(number, Ordering::Relaxed);
    let of = |fingerprint| FailedCode { fingerprint, reason };
    (0..number).map(|more| of(Fingerprint(first.wrapping_add(more)))).collect()
}

/// Current lockouts with their ends.
fn locked(guard: &Guard, now_ms: u64) -> Vec<(LockoutKey, u64)> {
    let all: Vec<_> = guard.lockouts(now_ms).collect();
    for kind in [None, Some(LockoutKind::Credential), Some(LockoutKind::Client), Some(LockoutKind::Network)] {
        let of_kind = || all.iter().filter(|lockout| kind.is_none_or(|kind| lockout.key.kind() == kind));
        let first = (of_kind().take(2).copied().collect(), of_kind().count() as u64);
        assert_eq!(guard.first_lockouts(now_ms, kind, 2), first, "the list of {kind:?}");
    }
    all.into_iter().map(|lockout| (lockout.key, lockout.until_ms)).collect()
}

/// One attempt: returns whether it was processed, and refused.
fn tries(guard: &mut Guard, now_ms: u64, who: Asker) -> bool {
    let looked_at = guard.refuses(now_ms, who).is_none();
    if looked_at {
        guard.failed(now_ms, who, &fresh(1));
    }
    looked_at
}

/// Budgets of 3, 5 and 7 failed attempts, which regain one a minute.
fn small() -> GuardLimits {
    let of = |misses_at_once, lockout_first_ms| BudgetLimits {
        misses_per_minute: 1,
        misses_at_once,
        lockout_first_ms,
        lockout_longest_ms: 8 * lockout_first_ms,
        quiet_ms: 3_600_000,
    };
    GuardLimits { client: of(3, 100_000), network: of(5, 200_000), credential: of(7, 300_000) }
}

/// Z9, pain 20: the lockout ends exactly on time, without any event.
#[test]
fn a_lockout_is_refused_until_its_last_millisecond() {
    let mut guard = Guard::new(GuardLimits::default());
    let ann = asker(1, 1, "203.0.113.7");
    for _ in 0..10 {
        assert_eq!(guard.refuses(START, ann), None);
        guard.failed(START, ann, &fresh(1));
    }
    for (after_ms, refused) in [(0, Some(30_000)), (0, Some(30_000)), (1, Some(29_999)), (29_999, Some(1)), (30_000, None)] {
        assert_eq!(guard.refuses(START + after_ms, ann), refused, "{after_ms}");
    }
    // The guard remembers that this is the second lockout.
    (0..5).for_each(|_| assert!(tries(&mut guard, START + 30_000, ann)));
    assert_eq!(guard.refuses(START + 30_000, ann), Some(60_000));
}

/// Z9: an attempt during a lockout is not counted, even if it is reported.
#[test]
fn attempts_during_a_lockout_change_nothing() {
    let mut guard = Guard::new(GuardLimits::default());
    let (ann, alone) = (asker(1, 1, "-"), Asker { client: None, ..asker(1, 1, "-") });
    guard.failed(START, ann, &fresh(10));
    for after_ms in 0..30_000 {
        assert_eq!(guard.refuses(START + after_ms, ann), Some(30_000 - after_ms as u32));
        assert_eq!(guard.refuses(START + after_ms, alone), None);
    }
    guard.failed(START + 29_999, ann, &fresh(1));
    assert_eq!(guard.refuses(START + 30_000, ann), None);
}

/// Z9: budgets per credential, per client and per network are separate.
#[test]
fn budgets_are_counted_separately() {
    let mut guard = Guard::new(small());
    let missed = |guard: &mut Guard, who, times: u32| (0..times).for_each(|_| assert!(tries(guard, START, who)));
    let here = "203.0.113.7";
    missed(&mut guard, asker(1, 1, here), 3);
    assert_eq!(guard.refuses(START, asker(1, 1, here)), Some(100_000));
    for same_client in [asker(1, 1, "-"), asker(1, 1, "2001:db8::1"), asker(2, 1, here)] {
        assert_eq!(guard.refuses(START, same_client), Some(100_000));
    }
    for other in [asker(1, 2, here), asker(1, 0, here), asker(1, 2, "-"), asker(1, 0, "-")] {
        assert_eq!(guard.refuses(START, other), None);
    }
    // The network has two left, for any client.
    missed(&mut guard, asker(1, 2, here), 1);
    missed(&mut guard, asker(2, 0, "203.0.113.250"), 1);
    assert_eq!(guard.refuses(START, asker(1, 1, here)), Some(200_000), "the longer of two");
    for same_network in [asker(1, 2, here), asker(3, 9, here), asker(3, 0, "::ffff:203.0.113.1")] {
        assert_eq!(guard.refuses(START, same_network), Some(200_000));
    }
    assert_eq!(guard.refuses(START, asker(1, 2, "203.0.114.7")), None);
    // And the first credential has three.
    missed(&mut guard, asker(1, 0, "-"), 3);
    assert_eq!(guard.refuses(START, asker(1, 1, here)), Some(300_000), "the longest of three");
    assert_eq!(guard.refuses(START, asker(1, 8, "-")), Some(300_000));
    assert_eq!(guard.refuses(START, asker(2, 8, "-")), None);
    // Each ends at its own time, and the attempt is processed when all have ended.
    for (after_ms, refused) in [(100_000, Some(200_000)), (299_999, Some(1)), (300_000, None)] {
        assert_eq!(guard.refuses(START + after_ms, asker(1, 1, here)), refused);
    }
    assert_eq!(guard.refuses(START + 100_000, asker(2, 1, "-")), None);
    assert_eq!(guard.refuses(START + 200_000, asker(2, 9, here)), None);
}

/// Z9: a client and a network may have the same number, and attempts without a client or network share no budget.
#[test]
fn equal_numbers_of_different_kinds_are_different() {
    let mut guard = Guard::new(small());
    guard.failed(START, Asker { credential: CredentialId(9), client: Some(ClientId(0)), network: ClientNetwork(7) }, &fresh(3));
    let of = |credential, client: Option<u128>, network| Asker {
        credential: CredentialId(credential),
        client: client.map(ClientId),
        network: ClientNetwork(network),
    };
    assert_eq!(guard.refuses(START, of(1, Some(0), 1)), Some(100_000));
    assert_eq!(guard.refuses(START, of(9, Some(7), 1)), None);
    assert_eq!(guard.refuses(START, of(9, None, 1)), None);
    guard.failed(START, of(2, None, 0), &fresh(6));
    assert_eq!(guard.refuses(START, of(3, None, 0)), None);
    assert_eq!(guard.refuses(START, of(3, Some(1), 0)), None);
}

/// Z9: each budget can be turned off.
#[test]
fn a_budget_of_0_is_off() {
    let on = small();
    let off = |limits: BudgetLimits| BudgetLimits { misses_per_minute: 0, ..limits };
    let ann = asker(1, 1, "203.0.113.7");
    let (credential, client, network) =
        (LockoutKey::Credential(ann.credential), LockoutKey::Client(ClientId(1)), LockoutKey::Network(ann.network));
    for (limits, locked) in [
        (on, vec![credential, client, network]),
        (GuardLimits { credential: off(on.credential), ..on }, vec![client, network]),
        (GuardLimits { client: off(on.client), ..on }, vec![credential, network]),
        (GuardLimits { network: off(on.network), ..on }, vec![credential, client]),
        (GuardLimits::OFF, vec![]),
    ] {
        let mut guard = Guard::new(limits);
        guard.failed(START, ann, &fresh(7));
        assert_eq!(guard.lockouts(START).map(|lockout| lockout.key).collect::<Vec<_>>(), locked);
        assert_eq!((guard.len(), guard.refuses(START, ann).is_some()), (locked.len(), !locked.is_empty()));
    }
}

/// Z6, Z9: the failed codes of a check are counted one by one.
#[test]
fn a_check_may_spend_all_three_budgets_at_once() {
    let mut guard = Guard::new(GuardLimits::default());
    let ann = asker(1, 1, "203.0.113.7");
    guard.failed(START, ann, &fresh(0));
    assert!(guard.is_empty());
    guard.failed(START, ann, &fresh(8_192));
    let locked = [
        (LockoutKey::Credential(ann.credential), START + 21_930),
        (LockoutKey::Client(ClientId(1)), START + HOUR),
        (LockoutKey::Network(ann.network), START + HOUR / 4),
    ];
    assert_eq!(tests::locked(&guard, START), locked);
    assert_eq!(guard.refuses(START, ann), Some(HOUR as u32));
    assert_eq!(guard.refuses(START, asker(1, 2, "-")), Some(21_930));
}

#[test]
fn lockouts_are_listed_in_the_order_in_which_they_end() {
    let mut guard = Guard::new(GuardLimits { client: GuardLimits::CLIENT, ..GuardLimits::OFF });
    assert_eq!(guard.lockouts(START).count(), 0);
    for client in [3, 1, 2] {
        guard.failed(START + client as u64, asker(1, client, "-"), &fresh(10));
    }
    guard.failed(START + 4, asker(1, 4, "-"), &fresh(9));
    let locked = |now_ms| locked(&guard, now_ms).into_iter().map(|(key, ends_ms)| (key, ends_ms - START)).collect::<Vec<_>>();
    let client = |client| (LockoutKey::Client(ClientId(client)), 30_000 + client as u64);
    assert_eq!(locked(START + 4), [client(1), client(2), client(3)]);
    assert_eq!(locked(START + 30_001), [client(2), client(3)]);
    assert!(locked(START + 30_003).is_empty());
}

#[test]
fn extreme_times_are_harmless() {
    let ann = asker(u32::MAX, u128::MAX, "ffff:ffff:ffff:ffff::");
    let mut guard = Guard::new(GuardLimits::default());
    assert_eq!(guard.refuses(0, ann), None);
    guard.failed(0, ann, &fresh(8_192));
    assert_eq!(guard.refuses(0, ann), Some(HOUR as u32));
    assert_eq!(guard.refuses(u64::MAX, ann), None);
    guard.failed(u64::MAX - 1, ann, &fresh(8_192));
    assert_eq!(guard.refuses(u64::MAX - 1, ann), Some(1), "time ends before the lockout");
    assert_eq!((guard.refuses(u64::MAX, ann), guard.lockouts(u64::MAX).count()), (None, 0));
    guard.failed(u64::MAX, ann, &fresh(1));
    assert_eq!(guard.refuses(u64::MAX, ann), None);
}

/// A code that everybody knows is used up: it is one wrong code, whichever client tries it and however often, and locks out
/// neither the gateway of these clients nor a client that tries it again.
#[test]
fn the_same_wrong_code_is_charged_once() {
    let mut guard = Guard::new(GuardLimits::default());
    let used_up = fresh(1);
    for client in 0..20_000 {
        let network = ClientNetwork(1 + client as u64 / 100);
        let who = Asker { credential: CredentialId(1), client: Some(ClientId(client)), network };
        for _ in 0..3 {
            assert_eq!(guard.refuses(START, who), None, "client {client}");
            guard.failed(START, who, &used_up);
        }
    }
    let one = asker(1, 7, "-");
    for _ in 0..9 {
        assert!(tries(&mut guard, START, one));
    }
    assert!(guard.refuses(START, one).is_some(), "with ten different codes the client is locked out");
}

/// Z9: a credential cannot lock out clients at will: above a limit it locks them out at itself alone.
#[test]
fn a_credential_locks_out_a_bounded_number_of_clients() {
    let mut guard = Guard::new(GuardLimits::default());
    let elsewhere = |client| asker(2, client, "-");
    for client in 1..=500 {
        guard.failed(START, asker(1, client, "-"), &fresh(10));
        assert!(guard.refuses(START, asker(1, client, "-")).is_some(), "at this credential client {client} is locked out");
        assert_eq!(guard.refuses(START, elsewhere(client)).is_some(), client <= u128::from(LOCKOUTS_MAX), "client {client}");
    }
    let lockouts: Vec<_> = guard.lockouts(START).collect();
    assert_eq!((lockouts.len(), guard.begun()), (500, 500));
    assert!(lockouts.iter().all(|lockout| lockout.caused_by == CredentialId(1)));
    assert_eq!(lockouts.iter().filter(|lockout| lockout.everywhere).count() as u32, LOCKOUTS_MAX);
    // Another credential has a separate allowance.
    guard.failed(START, elsewhere(501), &fresh(10));
    assert!(guard.refuses(START, asker(1, 501, "-")).is_some());
    // An hour regains that many, but never more than the full allowance.
    let later = START + HOUR;
    let more = (1_000..1_300).filter(|client| {
        guard.failed(later, asker(1, *client, "-"), &fresh(10));
        guard.refuses(later, elsewhere(*client)).is_some()
    });
    assert_eq!(more.count() as u32, LOCKOUTS_MAX);
}

/// A player whose lockout is withheld is locked out at the gateway, which pays only for his guesses.
#[test]
fn one_player_cannot_lock_out_the_gateway() {
    let mut guard = Guard::new(GuardLimits::default());
    for client in 1..=u128::from(LOCKOUTS_MAX) {
        guard.failed(START, asker(1, client, "-"), &fresh(10));
    }
    let (guesser, other) = (asker(1, 999, "203.0.113.7"), asker(1, 5_555, "203.0.113.8"));
    let mut tried = 0;
    for now_ms in (START..START + HOUR).step_by(100) {
        tried += u32::from(tries(&mut guard, now_ms, guesser));
        assert_eq!(guard.refuses(now_ms, other), None, "after {tried} guesses");
    }
    assert!(tried < 100, "{tried} guesses in an hour");
}

/// After a campaign of single-use codes ends, with a player behind each code, known codes lock out nobody.
#[test]
fn codes_of_an_ended_campaign_lock_out_neither_gateway_nor_network() {
    let mut guard = Guard::new(GuardLimits::default());
    for attempt in 0..120_000 {
        let now_ms = START + attempt / 2;
        let hall = asker(1, 1 + u128::from(attempt) / 3, "203.0.113.7");
        assert_eq!(guard.refuses(now_ms, hall), None, "attempt {attempt}");
        guard.failed(now_ms, hall, &refused(1, Reason::Known));
    }
    assert_eq!((guard.begun(), guard.refuses(START, asker(1, 0, "-"))), (0, None));
    // A client that tries many such codes is locked out at that credential, and nowhere else.
    guard.failed(START, asker(1, 1 << 80, "-"), &refused(10, Reason::Known));
    assert!(guard.refuses(START, asker(1, 1 << 80, "-")).is_some());
    assert_eq!(guard.refuses(START, asker(2, 1 << 80, "-")), None);
}

/// Without reasons, hundreds of refused codes a second are permitted as well, and a thousand are not, whatever the codes are.
#[test]
fn a_busy_gateway_without_reasons_is_permitted_up_to_a_limit() {
    for (a_second, is_locked) in [(300, false), (999, false), (2_000, true)] {
        let mut guard = Guard::new(GuardLimits::default());
        let mut refusals = 0;
        for attempt in 0..60 * a_second {
            let now_ms = START + attempt * 1_000 / a_second;
            let network = ClientNetwork(1 << 48 | attempt << 8);
            let player = Asker { network, ..asker(1, 1 + u128::from(attempt), "-") };
            match guard.refuses(now_ms, player) {
                Some(_) => refusals += 1,
                None => guard.failed(now_ms, player, &refused(1, Reason::Hidden)),
            }
        }
        assert_eq!(refusals > 0, is_locked, "{a_second} a second: {refusals}");
    }
}

/// Z9: a lockout at one credential does not affect what others know of the client.
#[test]
fn a_client_locked_out_at_one_credential_is_limited_at_others() {
    let mut guard = Guard::with_bounds(GuardLimits::default(), Bounds { lockouts_max: 1, ..BOUNDS });
    guard.failed(START, asker(1, 1, "-"), &fresh(10));
    guard.failed(START, asker(1, 2, "-"), &fresh(20));
    assert_eq!((guard.refuses(START, asker(1, 2, "-")), guard.refuses(START, asker(2, 2, "-"))), (Some(66_000), None));
    guard.failed(START, asker(2, 2, "-"), &fresh(10));
    assert_eq!(guard.refuses(START, asker(3, 2, "-")), Some(30_000));
    // After the lift, the client has a full budget at all of them.
    let client = WhichLockouts::Of(LockoutKey::Client(ClientId(2)));
    let lifted: Vec<_> = guard.lift(START, client).iter().map(|lockout| (lockout.caused_by.0, lockout.everywhere)).collect();
    assert_eq!(lifted, [(2, true), (1, false)]);
    for credential in [1, 3] {
        assert_eq!(guard.refuses(START, asker(credential, 2, "-")), None);
    }
    (0..9).for_each(|_| assert!(tries(&mut guard, START, asker(1, 2, "-"))));
    assert_eq!(guard.refuses(START, asker(1, 2, "-")), None);
}

/// One credential takes only a share of what the guard remembers, even with one wrong code per client.
#[test]
fn one_credential_cannot_fill_the_guard() {
    let bounds = Bounds { buckets_max: 1_000, share_max: 100, share_here_max: 100, lockouts_max: LOCKOUTS_MAX };
    let mut guard = Guard::with_bounds(GuardLimits::default(), bounds);
    let (known, used_up) = (asker(2, 1 << 70, "198.51.100.1"), fresh(1));
    guard.failed(START, known, &fresh(9));
    for client in 0..10_000 {
        let who = Asker { network: ClientNetwork(1 << 48 | client), ..asker(1, u128::from(client), "-") };
        guard.failed(START, who, &used_up);
    }
    assert_eq!(guard.len(), 3 + 1 + 100 + 100);
    assert!(tries(&mut guard, START, known));
    assert!(guard.refuses(START, known).is_some(), "no client was forgotten");
}

/// Operators list lockouts with their causes and lift them, which resets everything.
#[test]
fn lockouts_are_listed_and_lifted() {
    let mut guard = Guard::new(small());
    let here = "203.0.113.7";
    let (client, network) = (LockoutKey::Client(ClientId(1)), LockoutKey::Network(asker(1, 1, here).network));
    guard.failed(START, asker(1, 1, here), &fresh(5));
    guard.failed(START, asker(2, 2, "-"), &fresh(3));
    let listed: Vec<_> = guard.lockouts(START).collect();
    let of = |key, until_ms, by| Lockout { key, until_ms, caused_by: CredentialId(by), everywhere: true };
    let expected = [
        of(LockoutKey::Client(ClientId(2)), START + 100_000, 2),
        of(client, START + 180_000, 1),
        of(network, START + 200_000, 1),
    ];
    assert_eq!(listed, expected);
    let one = WhichLockouts::Of(client);
    assert_eq!(guard.lift(START, WhichLockouts::Of(LockoutKey::Client(ClientId(9)))), []);
    assert_eq!(guard.lift(START, one), [expected[1]]);
    assert_eq!(guard.lift(START, one), []);
    assert_eq!(guard.refuses(START, asker(3, 1, "-")), None);
    assert_eq!(guard.refuses(START, asker(3, 1, here)), Some(200_000), "the network is still locked out");
    assert_eq!(guard.lift(START, WhichLockouts::AllOf(LockoutKind::Network)), [expected[2]]);
    assert_eq!(guard.lift(START, WhichLockouts::AllOf(LockoutKind::Client)), [expected[0]]);
    // Without lockouts one comparison is enough again; a lifted client has a full budget and level 0.
    assert_eq!((guard.locked_until_ms, guard.lockouts(START).count()), (0, 0));
    guard.failed(START, asker(3, 1, "-"), &fresh(3));
    assert_eq!(guard.refuses(START, asker(3, 1, "-")), Some(100_000));
}
