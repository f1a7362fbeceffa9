//! How many attempts a guesser gets: the numbers in the guard's documentation.

use super::*;

/// Attempts that each budget permits by default in 24 hours.
const CLIENT_TRIES: u64 = 14_410;
const NETWORK_TRIES: u64 = 86_460;
const CREDENTIAL_TRIES: u64 = 8_646_000;

/// Attempts up to and including a time by a caller that waits `wait_ms` after each and, when refused, for as long as the guard
/// requires. `who` returns the caller of each attempt.
fn tries_until(end_ms: u64, who: impl Fn(u64) -> Asker, mut wait_ms: impl FnMut(u64) -> u64) -> u64 {
    let mut guard = Guard::new(GuardLimits::default());
    let (mut now_ms, mut count) = (START, 0);
    while now_ms <= end_ms {
        match guard.refuses(now_ms, who(count)) {
            Some(retry_after_ms) => now_ms += u64::from(retry_after_ms),
            None => {
                guard.failed(now_ms, who(count), &fresh(1));
                count += 1;
                assert!(count <= CREDENTIAL_TRIES, "nothing ever locks out");
                now_ms += wait_ms(count);
            }
        }
    }
    count
}

/// A guesser that knows the limits: makes all but the last attempt at once, then each as it is regained, and the last at the end.
fn patient(at_once: u64, one_in_ms: u64, end_ms: u64) -> impl FnMut(u64) -> u64 {
    let in_time = at_once - 1 + (end_ms - START) / one_in_ms;
    move |count| if count < at_once - 1 || count == in_time { 0 } else { one_in_ms }
}

/// Z9, pain 20: one client that continues whenever it may, and one that knows the limits.
#[test]
fn a_client_that_guesses_for_a_day_gets_no_more_than_documented() {
    let client = |_| asker(1, 1, "203.0.113.7");
    let day = START + DAY;
    assert_eq!(tries_until(day, client, |_| 0), 295);
    assert_eq!(tries_until(day, client, patient(10, 6_000, day)), CLIENT_TRIES);
    let budget = GuardLimits::CLIENT;
    assert_eq!(CLIENT_TRIES, u64::from(budget.misses_at_once) + u64::from(budget.misses_per_minute) * 24 * 60);
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for guesser in 0..50 {
        let (pause_ms, paused_in) = (random.u64(1..20_000), random.u64(1..20));
        let tried = tries_until(day, client, |_| if random.u64(..paused_in) == 0 { random.u64(..=pause_ms) } else { 0 });
        assert!(tried <= CLIENT_TRIES, "seed {seed}, guesser {guesser}: {tried}");
    }
}

/// Z9: a new client for each attempt does not help within one network.
#[test]
fn a_network_that_guesses_for_a_day_gets_no_more_than_documented() {
    let network = |count| asker(1, u128::from(count) + 1, "203.0.113.7");
    let day = START + DAY;
    assert_eq!(tries_until(day, network, |_| 0), 5_970);
    assert_eq!(tries_until(day, network, patient(60, 1_000, day)), NETWORK_TRIES);
}

/// Z9: nor does a new network for each attempt, through one gateway. Ten minutes represent the rest of the day.
#[test]
fn a_credential_gets_no_more_than_documented() {
    let gateway = |count: u64| Asker { network: ClientNetwork(1 << 48 | count << 8), ..asker(1, u128::from(count) + 1, "-") };
    let soon = START + HOUR / 6;
    let budget = GuardLimits::CREDENTIAL;
    let of_minutes = |minutes| u64::from(budget.misses_at_once) + u64::from(budget.misses_per_minute) * minutes;
    assert_eq!(tries_until(soon, gateway, patient(6_000, 10, soon)), of_minutes(10));
    assert_eq!(CREDENTIAL_TRIES, of_minutes(24 * 60));
}

/// Z9: a player with an occasional failed attempt is never locked out, however long it continues.
#[test]
fn a_player_who_mistypes_is_never_locked_out() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut guard = Guard::new(GuardLimits::default());
    let mut now_ms = START;
    for visit in 0..1_000 {
        for _ in 0..random.u32(1..=5) {
            now_ms += random.u64(500..20_000);
            assert!(tries(&mut guard, now_ms, asker(1, 1, "203.0.113.7")), "seed {seed}, visit {visit}");
        }
        now_ms += random.u64(30_000..10 * HOUR);
    }
}
