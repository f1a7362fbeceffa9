//! The budgets of clients or of networks: one across all credentials, and one per credential.
//!
//! A lockout at all credentials harms the players of other gateways, so that a credential needs an allowance to start one. A
//! lockout at one credential needs none. The second budget continues to work where the first may not lock out.

use std::hash::{BuildHasher, RandomState};

use scrip_protocol::CredentialId;

use super::allowance::Allowances;
use super::bucket::Pace;
use super::bucket_table::{Buckets, Charged};
use super::costs::{Costs, FailedCode};

/// Remembered wrong codes of a client or network: with ten attempts at once, all but two of those that lead to a lockout.
const CODES_OF_CLIENT: usize = 8;

/// How much the guard remembers, and how much one credential can do to others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) buckets_max: usize,
    pub(super) share_max: usize,
    pub(super) share_here_max: usize,
    pub(super) lockouts_max: u32,
}

pub(super) struct Budget {
    everywhere: Buckets<CODES_OF_CLIENT>,
    /// By the key, masked for the credential: the row of a key at a credential has that credential in `by`.
    here: Buckets<CODES_OF_CLIENT>,
    costs_everywhere: Costs,
    costs_here: Costs,
    masks: RandomState,
}

/// A current lockout of a budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locked {
    pub(super) key: u128,
    pub(super) until_ms: u64,
    pub(super) caused_by: CredentialId,
    pub(super) everywhere: bool,
}

impl Budget {
    pub(super) fn new(pace: Pace, bounds: Bounds, costs_everywhere: Costs, costs_here: Costs) -> Budget {
        Budget {
            everywhere: Buckets::new(pace, bounds.buckets_max, bounds.share_max),
            here: Buckets::new(pace, bounds.buckets_max, bounds.share_here_max),
            costs_everywhere,
            costs_here,
            masks: RandomState::new(),
        }
    }

    /// When the caller's newest lockout ends or ended; 0 if none is remembered.
    pub(super) fn ends_ms(&self, now_ms: u64, key: u128, by: CredentialId) -> u64 {
        let everywhere = if now_ms < self.everywhere.last_end_ms() { self.everywhere.ends_ms(key) } else { 0 };
        let here = if now_ms < self.here.last_end_ms() { self.here.ends_ms(masked(&self.masks, key, by)) } else { 0 };
        everywhere.max(here)
    }

    /// Charges failed attempts. Returns whether a lockout begins.
    pub(super) fn charge(
        &mut self,
        now_ms: u64,
        key: u128,
        by: CredentialId,
        codes: &[FailedCode],
        allowances: &mut Allowances,
    ) -> bool {
        let may_lock = allowances.has_one(now_ms, by);
        match self.everywhere.charge(now_ms, key, by, codes, self.costs_everywhere, may_lock) {
            Charged::LockedOut => {
                allowances.take(now_ms, by);
                true
            }
            Charged::During => false,
            Charged::Counted | Charged::Withheld => {
                let key = masked(&self.masks, key, by);
                self.here.charge(now_ms, key, by, codes, self.costs_here, true) == Charged::LockedOut
            }
        }
    }

    /// Current lockouts: first those at all credentials, then those at one, each in the order in which they end.
    pub(super) fn locked(&self, now_ms: u64) -> impl Iterator<Item = Locked> {
        let row = |everywhere| move |(key, until_ms, caused_by)| Locked { key, until_ms, caused_by, everywhere };
        let here = self.here.locked(now_ms).map(row(false));
        let unmasked = here.map(|row| Locked { key: masked(&self.masks, row.key, row.caused_by), ..row });
        self.everywhere.locked(now_ms).map(row(true)).chain(unmasked)
    }

    /// The number of current lockouts.
    pub(super) fn locked_count(&self, now_ms: u64) -> u64 {
        self.everywhere.locked_count(now_ms) + self.here.locked_count(now_ms)
    }

    /// Gives a key a full budget at every credential.
    pub(super) fn forget(&mut self, key: u128) {
        self.everywhere.forget(key);
        let at: Vec<_> = self.here.credentials().map(|by| masked(&self.masks, key, by)).collect();
        at.into_iter().for_each(|key| self.here.forget(key));
    }

    /// Gives every key a full budget.
    pub(super) fn clear(&mut self) {
        self.everywhere.clear();
        self.here.clear();
    }

    pub(super) fn last_end_ms(&self) -> u64 {
        self.everywhere.last_end_ms().max(self.here.last_end_ms())
    }

    /// The number of keys remembered across all credentials.
    pub(super) fn len(&self) -> usize {
        self.everywhere.len()
    }
}

/// The key of a client or network at one credential; the same operation unmasks it. Each process draws its masks, so that nobody
/// can choose clients whose masked keys are equal.
fn masked(masks: &RandomState, key: u128, by: CredentialId) -> u128 {
    let half = |number: u8| u128::from(masks.hash_one((number, by.0)));
    key ^ (half(0) << 64 | half(1))
}
