//! Cases of the guard as a whole: whose misses count for whom, at which moments, and what is remembered of whom.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod floods;
mod guessing;
mod model;

use super::*;

const START: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn asker(credential: u32, client: u128, network: &str) -> Asker {
    Asker {
        credential: CredentialId(credential),
        client: (client > 0).then_some(ClientId(client)),
        network: network.parse().expect("a network"),
    }
}

/// Of one try at a time: whether it was looked at, and missed.
fn tries(guard: &mut Guard, now_ms: u64, who: Asker) -> bool {
    let looked_at = guard.refuses(now_ms, who).is_none();
    if looked_at {
        guard.missed(now_ms, who, Misses::guessed(1));
    }
    looked_at
}

/// Budgets of 3, 5 and 7 misses, of which one comes back in a minute.
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

/// Z9, pain 20: the lock-out ends at its exact time, without anything happening then.
#[test]
fn a_lockout_is_refused_until_its_last_millisecond() {
    let mut guard = Guard::new(GuardLimits::default());
    let ann = asker(1, 1, "203.0.113.7");
    for _ in 0..10 {
        assert_eq!(guard.refuses(START, ann), None);
        guard.missed(START, ann, Misses::guessed(1));
    }
    for (after_ms, refused) in [(0, Some(30_000)), (0, Some(30_000)), (1, Some(29_999)), (29_999, Some(1)), (30_000, None)] {
        assert_eq!(guard.refuses(START + after_ms, ann), refused, "{after_ms}");
    }
    // What was remembered says that it is the second time.
    (0..5).for_each(|_| assert!(tries(&mut guard, START + 30_000, ann)));
    assert_eq!(guard.refuses(START + 30_000, ann), Some(60_000));
}

/// Z9: a refused attempt counts as nothing, even if it is told.
#[test]
fn what_comes_during_a_lockout_changes_nothing() {
    let mut guard = Guard::new(GuardLimits::default());
    let (ann, alone) = (asker(1, 1, "-"), Asker { client: None, ..asker(1, 1, "-") });
    guard.missed(START, ann, Misses::guessed(10));
    for after_ms in 0..30_000 {
        assert_eq!(guard.refuses(START + after_ms, ann), Some(30_000 - after_ms as u32));
        assert_eq!(guard.refuses(START + after_ms, alone), None);
    }
    guard.missed(START + 29_999, ann, Misses::guessed(1));
    assert_eq!(guard.refuses(START + 30_000, ann), None);
}

/// Z9: per credential, per client and per network, each for itself.
#[test]
fn each_budget_is_counted_for_itself() {
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
    // The network has two left, whoever's they are.
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
    // Each ends at its own time, and the attempt is looked at when all have.
    for (after_ms, refused) in [(100_000, Some(200_000)), (299_999, Some(1)), (300_000, None)] {
        assert_eq!(guard.refuses(START + after_ms, asker(1, 1, here)), refused);
    }
    assert_eq!(guard.refuses(START + 100_000, asker(2, 1, "-")), None);
    assert_eq!(guard.refuses(START + 200_000, asker(2, 9, here)), None);
}

/// Z9: a client's and a network's number may be the same, and no client or network is not one client or network.
#[test]
fn equal_numbers_of_different_kinds_are_different() {
    let mut guard = Guard::new(small());
    guard.missed(
        START,
        Asker { credential: CredentialId(9), client: Some(ClientId(0)), network: ClientNetwork(7) },
        Misses::guessed(3),
    );
    let of = |credential, client: Option<u128>, network| Asker {
        credential: CredentialId(credential),
        client: client.map(ClientId),
        network: ClientNetwork(network),
    };
    assert_eq!(guard.refuses(START, of(1, Some(0), 1)), Some(100_000));
    assert_eq!(guard.refuses(START, of(9, Some(7), 1)), None);
    assert_eq!(guard.refuses(START, of(9, None, 1)), None);
    guard.missed(START, of(2, None, 0), Misses::guessed(6));
    assert_eq!(guard.refuses(START, of(3, None, 0)), None);
    assert_eq!(guard.refuses(START, of(3, Some(1), 0)), None);
}

/// Z9: each budget can be switched off.
#[test]
fn a_budget_of_0_is_off() {
    let on = small();
    let off = |limits: BudgetLimits| BudgetLimits { misses_per_minute: 0, ..limits };
    let ann = asker(1, 1, "203.0.113.7");
    let (credential, client, network) =
        (Whose::Credential(ann.credential), Whose::Client(ClientId(1)), Whose::Network(ann.network));
    for (limits, locked) in [
        (on, vec![credential, client, network]),
        (GuardLimits { credential: off(on.credential), ..on }, vec![client, network]),
        (GuardLimits { client: off(on.client), ..on }, vec![credential, network]),
        (GuardLimits { network: off(on.network), ..on }, vec![credential, client]),
        (GuardLimits::OFF, vec![]),
    ] {
        let mut guard = Guard::new(limits);
        guard.missed(START, ann, Misses::guessed(7));
        assert_eq!(guard.locked(START).map(|(whose, _)| whose).collect::<Vec<_>>(), locked);
        assert_eq!((guard.len(), guard.refuses(START, ann).is_some()), (locked.len(), !locked.is_empty()));
    }
}

/// Z6, Z9: the misses of a check count one by one.
#[test]
fn a_check_may_spend_all_three_budgets_at_once() {
    let mut guard = Guard::new(GuardLimits::default());
    let ann = asker(1, 1, "203.0.113.7");
    guard.missed(START, ann, Misses::guessed(0));
    assert!(guard.is_empty());
    guard.missed(START, ann, Misses::guessed(8_192));
    let locked = [
        (Whose::Credential(ann.credential), START + 21_930),
        (Whose::Client(ClientId(1)), START + HOUR),
        (Whose::Network(ann.network), START + HOUR / 4),
    ];
    assert!(guard.locked(START).eq(locked));
    assert_eq!(guard.refuses(START, ann), Some(HOUR as u32));
    assert_eq!(guard.refuses(START, asker(1, 2, "-")), Some(21_930));
}

#[test]
fn who_is_locked_out_is_told_in_the_order_of_becoming_free() {
    let mut guard = Guard::new(GuardLimits { client: GuardLimits::CLIENT, ..GuardLimits::OFF });
    assert_eq!(guard.locked(START).count(), 0);
    for client in [3, 1, 2] {
        guard.missed(START + client as u64, asker(1, client, "-"), Misses::guessed(10));
    }
    guard.missed(START + 4, asker(1, 4, "-"), Misses::guessed(9));
    let locked = |now_ms| guard.locked(now_ms).map(|(whose, ends_ms)| (whose, ends_ms - START)).collect::<Vec<_>>();
    let client = |client| (Whose::Client(ClientId(client)), 30_000 + client as u64);
    assert_eq!(locked(START + 4), [client(1), client(2), client(3)]);
    assert_eq!(locked(START + 30_001), [client(2), client(3)]);
    assert_eq!(locked(START + 30_003), []);
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let ann = asker(u32::MAX, u128::MAX, "ffff:ffff:ffff:ffff::");
    let mut guard = Guard::new(GuardLimits::default());
    assert_eq!(guard.refuses(0, ann), None);
    guard.missed(0, ann, Misses::guessed(u32::MAX));
    assert_eq!(guard.refuses(0, ann), Some(HOUR as u32));
    assert_eq!(guard.refuses(u64::MAX, ann), None);
    guard.missed(u64::MAX - 1, ann, Misses::guessed(u32::MAX));
    assert_eq!(guard.refuses(u64::MAX - 1, ann), Some(1), "time ends before the lock-out");
    assert_eq!((guard.refuses(u64::MAX, ann), guard.locked(u64::MAX).count()), (None, 0));
    guard.missed(u64::MAX, ann, Misses::guessed(1));
    assert_eq!(guard.refuses(u64::MAX, ann), None);
}

/// A code that everybody knows is used up: its refusals are counted for clients and networks, and do not lock out the gateway that
/// asks for all of them.
#[test]
fn a_credential_is_charged_with_guesses_alone() {
    let mut guard = Guard::new(GuardLimits::default());
    for client in 0..20_000 {
        let who =
            Asker { credential: CredentialId(1), client: Some(ClientId(client)), network: ClientNetwork(1 + client as u64) };
        assert_eq!(guard.refuses(START, who), None, "client {client}");
        guard.missed(START, who, Misses::one(false));
    }
    let one = Asker { credential: CredentialId(1), client: Some(ClientId(7)), network: ClientNetwork::default() };
    for _ in 0..9 {
        guard.missed(START, one, Misses::one(false));
    }
    assert!(guard.refuses(START, one).is_some(), "the client has missed ten times");
}
