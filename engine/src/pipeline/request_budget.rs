//! Limits how many requests of some kinds a credential makes. Operators have no such limit.
//!
//! - Requests to move or remove readers of the journal: the only commands of read-only roles that leave records. A record takes
//!   space in the journal and in the shared idempotency window.
//! - Requests to create a campaign, a rule or a group: none of these is ever removed, and the organisation has a limit of each.
//!
//! Requests that change nothing count as well.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use scrip_protocol::CredentialId;

/// Requests about readers that a credential may make at once.
pub(super) const READER_REQUESTS_AT_ONCE: u64 = 60;

/// Requests to create a campaign, a rule or a group that a credential may make at once.
pub(super) const CREATIONS_AT_ONCE: u64 = 1_000;

/// The cost of a request, in milliseconds: a used budget allows one a second.
const COST_MS: u64 = 1_000;

/// The budgets of all credentials for one kind of request. Owned by the engine thread; a restart fills them.
pub(super) struct RequestBudget {
    at_once: u64,
    /// When each used budget is full again.
    full_ms: HashMap<CredentialId, u64, RandomState>,
}

impl RequestBudget {
    /// Full budgets for that many requests at once.
    pub(super) fn new(at_once: u64) -> RequestBudget {
        RequestBudget { at_once, full_ms: HashMap::default() }
    }

    /// Takes a request from a credential's budget, or returns how long to wait, in milliseconds. The time is by a clock that is
    /// never set.
    pub(super) fn take(&mut self, elapsed_ms: u64, credential: CredentialId) -> Result<(), u32> {
        let whole_ms = self.at_once * COST_MS;
        let full_ms = self.full_ms.entry(credential).or_default();
        let next_ms = (*full_ms).max(elapsed_ms) + COST_MS;
        match next_ms.saturating_sub(elapsed_ms) {
            used if used <= whole_ms => {
                *full_ms = next_ms;
                Ok(())
            }
            used => Err(u32::try_from(used - whole_ms).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_has_its_budget_and_nobody_else_s() {
        for at_once in [READER_REQUESTS_AT_ONCE, CREATIONS_AT_ONCE] {
            let (mut budget, now) = (RequestBudget::new(at_once), 1_790_000_000_000);
            let (one, other) = (CredentialId(1), CredentialId(2));
            for _ in 0..at_once {
                assert_eq!(budget.take(now, one), Ok(()));
            }
            assert_eq!((budget.take(now, one), budget.take(now, other)), (Err(1_000), Ok(())));
            assert_eq!(budget.take(now + 999, one), Err(1));
            assert_eq!((budget.take(now + 1_000, one), budget.take(now + 1_000, one)), (Ok(()), Err(1_000)));
            // Over an hour, one a second and what had been left, however often they are tried.
            let taken =
                (0..3_600_000).step_by(100).filter(|at_ms| budget.take(now + 100_000 + at_ms, one).is_ok()).count() as u64;
            assert!((3_600..=3_600 + at_once.min(100)).contains(&taken), "{taken}");
        }
    }
}
