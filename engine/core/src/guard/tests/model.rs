//! The guard against a slow model without formulas, which simulates every millisecond of every budget.

use std::collections::BTreeMap;

use super::*;

/// One budget of one key, as documented.
#[derive(Clone, Copy)]
struct SlowBudget {
    limits: BudgetLimits,
    /// In 60,000ths of an attempt; negative while attempts made at once are paid off.
    left: i64,
    locked_out_for_ms: u32,
    quiet_for_ms: u32,
    level: u32,
}

const MISS: i64 = 60_000;

impl SlowBudget {
    fn new(limits: BudgetLimits) -> SlowBudget {
        let left = i64::from(limits.misses_at_once) * MISS;
        SlowBudget { limits, left, locked_out_for_ms: 0, quiet_for_ms: 0, level: 0 }
    }

    fn a_millisecond_passes(&mut self) {
        self.left = (self.left + i64::from(self.limits.misses_per_minute)).min(i64::from(self.limits.misses_at_once) * MISS);
        if self.locked_out_for_ms > 0 {
            self.locked_out_for_ms -= 1;
            return;
        }
        self.quiet_for_ms += 1;
        if self.quiet_for_ms == self.limits.quiet_ms {
            self.quiet_for_ms = 0;
            self.level = self.level.saturating_sub(1);
        }
    }

    fn miss(&mut self, misses: u32) {
        if misses == 0 || self.locked_out_for_ms > 0 || self.limits.misses_per_minute == 0 {
            return;
        }
        self.left -= i64::from(misses) * MISS;
        if self.left >= MISS {
            return;
        }
        let mut length_ms = self.limits.lockout_first_ms;
        (0..self.level).for_each(|_| length_ms *= 2);
        if length_ms < self.limits.lockout_longest_ms {
            self.level += 1;
        }
        while self.left + i64::from(length_ms) * i64::from(self.limits.misses_per_minute) < MISS {
            length_ms += 1;
        }
        if length_ms > self.limits.lockout_longest_ms {
            length_ms = self.limits.lockout_longest_ms;
            // The rest is forgiven, except for what every exhausted budget lacks.
            let paid = i64::from(length_ms) * i64::from(self.limits.misses_per_minute);
            self.left = self.left.max((MISS - paid).min(0));
        }
        self.locked_out_for_ms = length_ms;
        self.quiet_for_ms = 0;
    }
}

struct SlowGuard(BTreeMap<LockoutKey, SlowBudget>);

impl SlowGuard {
    fn new(limits: GuardLimits) -> SlowGuard {
        let credentials = (1..4).map(|id| (LockoutKey::Credential(CredentialId(id)), SlowBudget::new(limits.credential)));
        let clients = (1..6).map(|id| (LockoutKey::Client(ClientId(id)), SlowBudget::new(limits.client)));
        let networks = (1..5).map(|id| (LockoutKey::Network(ClientNetwork(id)), SlowBudget::new(limits.network)));
        SlowGuard(credentials.chain(clients).chain(networks).collect())
    }

    fn budgets_of(who: Asker) -> Vec<LockoutKey> {
        let network = (who.network.0 > 0).then_some(LockoutKey::Network(who.network));
        [LockoutKey::Credential(who.credential)].into_iter().chain(who.client.map(LockoutKey::Client)).chain(network).collect()
    }

    fn refuses(&self, who: Asker) -> Option<u32> {
        let longest = SlowGuard::budgets_of(who).into_iter().map(|whose| self.0[&whose].locked_out_for_ms).max();
        longest.filter(|wait_ms| *wait_ms > 0)
    }

    fn missed(&mut self, who: Asker, misses: u32) {
        for whose in SlowGuard::budgets_of(who) {
            self.0.get_mut(&whose).expect("all that ask are in it").miss(misses);
        }
    }
}

fn some_limits(random: &mut fastrand::Rng) -> BudgetLimits {
    let lockout_first_ms = random.u32(1..20);
    BudgetLimits {
        // From one per six minutes of the model to seventeen per millisecond.
        misses_per_minute: [0, 1, 7, 600, 6_000, 59_999, 60_000, 60_001, 1_000_000][random.usize(..9)],
        misses_at_once: random.u32(1..8),
        lockout_first_ms,
        lockout_longest_ms: lockout_first_ms + random.u32(..100),
        quiet_ms: random.u32(1..150),
    }
}

fn everyone() -> Vec<Asker> {
    let of = |credential, client, network| Asker {
        credential: CredentialId(credential),
        client: (client > 0).then_some(ClientId(client)),
        network: ClientNetwork(network),
    };
    let networks_of = |credential, client| (0..5).map(move |network| of(credential, client, network));
    (1..4).flat_map(|credential| (0..6).flat_map(move |client| networks_of(credential, client))).collect()
}

/// Z9: the guard refuses the same attempts, for the same time, as the simulation of every millisecond.
#[test]
fn random_failed_attempts_agree_with_the_slow_guard() {
    let first_seed = fastrand::u64(..);
    println!("seeds from {first_seed}");
    let everyone = everyone();
    let (mut refused, mut longest) = (0, 0);
    for seed in (0..100).map(|more| first_seed.wrapping_add(more)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let limits = GuardLimits {
            client: some_limits(&mut random),
            network: some_limits(&mut random),
            credential: some_limits(&mut random),
        };
        limits.check().expect("they are in their ranges");
        // The model ignores the limits of what one credential can do to others.
        let bounds = Bounds { buckets_max: 100, share_max: 100, share_here_max: 100, lockouts_max: u32::MAX };
        let (mut guard, mut slow) = (Guard::with_bounds(limits, bounds), SlowGuard::new(limits));
        let mut now_ms = if random.bool() { START } else { 0 };
        for step in 0..300 {
            let pause_ms = match random.u8(..10) {
                0..5 => 0,
                5..9 => random.u64(1..10),
                _ => random.u64(1..400),
            };
            for _ in 0..pause_ms {
                slow.0.values_mut().for_each(SlowBudget::a_millisecond_passes);
            }
            now_ms += pause_ms;
            for who in (0..8).map(|_| everyone[random.usize(..everyone.len())]) {
                let (found, expected) = (guard.refuses(now_ms, who), slow.refuses(who));
                assert_eq!(found, expected, "seed {seed}, step {step}: {who:?}, {limits:?}");
                refused += usize::from(found.is_some());
            }
            let mut locked = locked(&guard, now_ms);
            locked.sort();
            let slow_locked = slow.0.iter().filter(|(_, budget)| budget.locked_out_for_ms > 0);
            let slow_locked = slow_locked.map(|(whose, budget)| (*whose, now_ms + u64::from(budget.locked_out_for_ms)));
            assert_eq!(locked, slow_locked.collect::<Vec<_>>(), "seed {seed}, step {step}");
            longest = longest.max(locked.len());
            // Includes keys that are locked out: those attempts are not counted.
            let who = everyone[random.usize(..everyone.len())];
            let misses = if random.u8(..10) == 0 { random.u32(..100) } else { 1 };
            guard.failed(now_ms, who, &fresh(misses));
            slow.missed(who, misses);
        }
    }
    assert!(refused > 1_000 && longest == 12, "seeds from {first_seed}: {refused}, {longest}");
}
