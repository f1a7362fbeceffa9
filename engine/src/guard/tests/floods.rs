//! What a flood of clients does to the guard: it stays within its limit, and lets nobody off.

use super::*;

/// Of clients alone: 10 misses a minute, by default.
fn of_clients(buckets_max: usize) -> Guard {
    Guard::with_buckets_max(GuardLimits { client: GuardLimits::CLIENT, ..GuardLimits::OFF }, buckets_max)
}

fn client(client: u128) -> Asker {
    asker(1, client, "-")
}

/// Bounded everything: whatever comes, a lock-out ends early only where all that are remembered are locked out, and then the one that
/// ends first.
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
            let before: Vec<_> = guard.locked(now_ms).collect();
            // Half of the time hardly anyone stops before his lock-out.
            let misses = if step % 1_000 < 500 { random.u32(1..12) } else { 10 };
            guard.missed(now_ms, client(random.u128(..3 * limit as u128)), Misses::guessed(misses));
            assert!(guard.len() <= limit, "seed {seed}");
            let after: Vec<_> = guard.locked(now_ms).collect();
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

/// Z9: nobody gets off his lock-out by inventing clients: the gateway's own budget is spent first.
#[test]
fn a_gateway_cannot_fill_the_guard_with_invented_clients() {
    for (misses_each, until_ms) in [(1, START + HOUR / 6), (10, START + 2 * HOUR)] {
        let mut guard = Guard::new(GuardLimits::default());
        let guesser = asker(1, 1, "203.0.113.7");
        guard.missed(START, guesser, Misses::guessed(5_000));
        let (mut now_ms, mut invented, mut most) = (START, 1 << 48, 0);
        while now_ms < until_ms {
            // As fast as the gateway may: a hundred misses a second.
            now_ms += 10 * u64::from(misses_each);
            invented += 1;
            let another = Asker { client: Some(ClientId(invented)), network: ClientNetwork(invented as u64), ..guesser };
            assert_eq!(guard.refuses(now_ms, another), None);
            guard.missed(now_ms, another, Misses::guessed(misses_each));
            most = most.max(guard.len());
            assert_eq!(guard.refuses(now_ms, guesser).is_some(), now_ms < START + HOUR);
        }
        // How long an invented client and its network are remembered, and the three of the guesser himself.
        let remembered_ms = if misses_each == 1 { 6_000 + 1_000 } else { 30_000 + HOUR + 10_000 };
        let expected = (remembered_ms / 10) as usize / misses_each as usize + 3;
        assert!((expected - 10..=expected).contains(&most), "{most} of {expected}");
    }
}
