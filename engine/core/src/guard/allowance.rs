//! Lockouts of clients and networks that a credential may start: a number at once, and one more after each period.

use std::collections::HashMap;

use scrip_protocol::CredentialId;

/// Number of remembered allowances above which full ones are dropped.
const SWEPT_AT: usize = 1_024;

/// A credential's lockouts, as time: each costs `regained_ms`, which passing time pays off.
#[derive(Debug, Clone, Copy)]
struct Spent {
    ms: u64,
    at_ms: u64,
}

impl Spent {
    fn at(self, now_ms: u64) -> u64 {
        self.ms.saturating_sub(now_ms.saturating_sub(self.at_ms))
    }
}

pub(super) struct Allowances {
    lockouts_max: u64,
    regained_ms: u64,
    /// Credentials not in it have a full allowance.
    spent: HashMap<CredentialId, Spent>,
    sweep_at: usize,
}

impl Allowances {
    pub(super) fn new(lockouts_max: u32, regained_ms: u64) -> Allowances {
        Allowances { lockouts_max: lockouts_max.into(), regained_ms, spent: HashMap::new(), sweep_at: SWEPT_AT }
    }

    /// Whether a credential may start one more lockout.
    pub(super) fn has_one(&self, now_ms: u64, credential: CredentialId) -> bool {
        let spent = self.spent.get(&credential).map_or(0, |spent| spent.at(now_ms));
        spent.saturating_add(self.regained_ms) <= self.lockouts_max.saturating_mul(self.regained_ms)
    }

    /// Uses one.
    pub(super) fn take(&mut self, now_ms: u64, credential: CredentialId) {
        if self.spent.len() >= self.sweep_at {
            self.spent.retain(|_, spent| spent.at(now_ms) > 0);
            self.sweep_at = SWEPT_AT.max(2 * self.spent.len());
        }
        let spent = self.spent.entry(credential).or_insert(Spent { ms: 0, at_ms: now_ms });
        *spent = Spent { ms: spent.at(now_ms).saturating_add(self.regained_ms), at_ms: now_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_regained_over_time() {
        let mut allowances = Allowances::new(3, 1_000);
        let (one, other) = (CredentialId(1), CredentialId(2));
        for _ in 0..3 {
            assert!(allowances.has_one(5_000, one));
            allowances.take(5_000, one);
        }
        assert!(!allowances.has_one(5_999, one) && allowances.has_one(5_999, other));
        assert!(allowances.has_one(6_000, one));
        allowances.take(6_000, one);
        assert!(!allowances.has_one(6_000, one) && allowances.has_one(9_000, one));
    }

    #[test]
    fn full_allowances_are_dropped() {
        let mut allowances = Allowances::new(3, 1_000);
        (0..100_000).for_each(|number| allowances.take(u64::from(number) * 2_000, CredentialId(number)));
        assert!(allowances.spent.len() <= SWEPT_AT);
    }
}
