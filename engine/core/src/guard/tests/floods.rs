//! A flood of clients: the guard stays within its limits, and no lockout ends early.

use super::*;

/// Only budgets of clients: 10 failed attempts a minute by default.
fn of_clients(buckets_max: usize) -> Guard {
    let bounds = Bounds { buckets_max, share_max: buckets_max + 1, share_here_max: 0, lockouts_max: u32::MAX };
    Guard::with_bounds(GuardLimits { client: GuardLimits::CLIENT, ..GuardLimits::OFF }, bounds)
}

fn client(client: u128) -> Asker {
    asker(1, client, "-")
}

/// A lockout ends early only if all remembered clients are locked out, and then the one that would end first.
#[test]
fn a_flood_of_clients_stays_within_the_limit() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ended_early = 0;
    for limit in [1, 2, 5, 40] {
        let mut guard = of_clients(limit);
        let mut now_ms = START;
        for step in 0..5_000 {
            if random.u8(..3) == 0 {
                now_ms += random.u64(..20_000);
            }
            let before: Vec<_> = locked(&guard, now_ms);
            // Half of the time hardly any client stops before its lockout.
            let attempts = if step % 1_000 < 500 { random.u32(1..12) } else { 10 };
            guard.failed(now_ms, client(random.u128(..3 * limit as u128)), &fresh(attempts));
            assert!(guard.len() <= limit, "seed {seed}");
            let after: Vec<_> = locked(&guard, now_ms);
            let gone: Vec<_> = before.iter().filter(|locked| !after.contains(locked)).collect();
            if !gone.is_empty() {
                ended_early += 1;
                assert_eq!(before.len(), limit, "seed {seed}, step {step}");
                assert_eq!((gone.len(), gone[0].1), (1, before[0].1), "seed {seed}, step {step}");
            }
        }
    }
    assert!(ended_early > 0, "seed {seed}: a flood that never fills the guard has not tested it");
}

/// Z9: no client ends its lockout by inventing clients: the gateway's share and its own budget limit that.
#[test]
fn a_gateway_cannot_fill_the_guard_with_invented_clients() {
    for (attempts_each, until_ms) in [(1, START + HOUR / 6), (10, START + 2 * HOUR)] {
        let mut guard = Guard::new(GuardLimits::default());
        let guesser = asker(1, 1, "203.0.113.7");
        guard.failed(START, guesser, &fresh(5_000));
        let (mut now_ms, mut invented, mut most) = (START, 1 << 48, 0);
        while now_ms < until_ms {
            // As fast as the gateway may: a hundred failed attempts a second.
            now_ms += 10 * u64::from(attempts_each);
            invented += 1;
            let another = Asker { client: Some(ClientId(invented)), network: ClientNetwork(invented as u64), ..guesser };
            if guard.refuses(now_ms, another).is_none() {
                guard.failed(now_ms, another, &fresh(attempts_each));
            }
            most = most.max(guard.len());
            let elsewhere = Asker { credential: CredentialId(2), ..guesser };
            assert_eq!(guard.refuses(now_ms, elsewhere).is_some(), now_ms < START + HOUR);
        }
        // Clients with one attempt are remembered for six seconds, their networks for one; of the others only those within the
        // allowance.
        let bound = if attempts_each == 1 { 700 + 3 } else { 2 * (6_000 / 10 + 120 + 2 * 60 * 2 + 10) };
        assert!(most <= bound, "{most} of {bound}");
    }
}
