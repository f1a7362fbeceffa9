//! Limits the requests of a credential to move or remove readers of the journal.
//!
//! They are the only commands of read-only roles that leave records. A record takes space in the journal and in the shared
//! idempotency window, so each credential except an operator's has a budget, which also applies to requests that change nothing.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use scrip_protocol::CredentialId;

/// Requests that a credential may make at once, and per minute from then on.
pub(super) const READER_REQUESTS_PER_MINUTE: u64 = 60;

const MINUTE_MS: u64 = 60_000;

/// The cost of a request, in milliseconds.
const COST_MS: u64 = MINUTE_MS / READER_REQUESTS_PER_MINUTE;

/// The budgets, owned by the engine thread; a restart fills them.
#[derive(Default)]
pub(super) struct ReaderBudget {
    /// When each used budget is full again.
    full_ms: HashMap<CredentialId, u64, RandomState>,
}

impl ReaderBudget {
    /// Takes a request from a credential's budget, or returns how long to wait, in milliseconds. The time is by a clock that is
    /// never set.
    pub(super) fn take(&mut self, elapsed_ms: u64, credential: CredentialId) -> Result<(), u32> {
        let full_ms = self.full_ms.entry(credential).or_default();
        let next_ms = (*full_ms).max(elapsed_ms) + COST_MS;
        match next_ms.saturating_sub(elapsed_ms) {
            used if used <= MINUTE_MS => {
                *full_ms = next_ms;
                Ok(())
            }
            used => Err(u32::try_from(used - MINUTE_MS).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_has_its_budget_and_nobody_else_s() {
        let (mut budget, now) = (ReaderBudget::default(), 1_790_000_000_000);
        let (one, other) = (CredentialId(1), CredentialId(2));
        for _ in 0..READER_REQUESTS_PER_MINUTE {
            assert_eq!(budget.take(now, one), Ok(()));
        }
        assert_eq!((budget.take(now, one), budget.take(now, other)), (Err(1_000), Ok(())));
        assert_eq!(budget.take(now + 999, one), Err(1));
        assert_eq!((budget.take(now + 1_000, one), budget.take(now + 1_000, one)), (Ok(()), Err(1_000)));
        // Over an hour, as many as the minutes allow, however often they are tried.
        let taken = (0..3_600_000).step_by(100).filter(|at_ms| budget.take(now + 100_000 + at_ms, one).is_ok()).count() as u64;
        assert!((60 * READER_REQUESTS_PER_MINUTE..=61 * READER_REQUESTS_PER_MINUTE).contains(&taken), "{taken}");
    }
}
