//! How many requests of each credential were executed in the last minute.
//!
//! An executed request stays in the idempotency window for at least a minute. While the window is nearly full of such requests, a credential
//! that has more than an eighth of it is refused, so that the others are not. See [`Requests::share`](scrip_core::state::requests::Requests::share).
//!
//! The minute is one by a clock that is never set. The time of records runs at half speed after the machine's clock was set back.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use scrip_core::state::requests::KEPT_AT_LEAST_MS;
use scrip_protocol::CredentialId;

/// The minute and the part of it that is being counted.
const PARTS: u64 = 7;

const PART_MS: u64 = KEPT_AT_LEAST_MS / (PARTS - 1);

/// The counts. Owned by the engine thread; after a restart they begin at 0.
#[derive(Default)]
pub(super) struct WindowBudget {
    executed: HashMap<CredentialId, Executed, RandomState>,
}

/// How many requests of a credential were executed in each of the newest parts.
#[derive(Default)]
struct Executed {
    newest: u64,
    parts: [u32; PARTS as usize],
}

impl Executed {
    /// The count of the part that a time is in; it begins at 0.
    fn part(&mut self, elapsed_ms: u64) -> &mut u32 {
        let part = elapsed_ms / PART_MS;
        for passed in 1..=part.saturating_sub(self.newest).min(PARTS) {
            self.parts[((self.newest + passed) % PARTS) as usize] = 0;
        }
        // Where many have passed, all are 0.
        self.newest = self.newest.max(part);
        &mut self.parts[(self.newest % PARTS) as usize]
    }
}

impl WindowBudget {
    /// A request of a credential was executed.
    #[inline]
    pub(super) fn count(&mut self, elapsed_ms: u64, credential: CredentialId) {
        *self.executed.entry(credential).or_default().part(elapsed_ms) += 1;
    }

    /// How many requests of a credential were executed in the last minute, or in up to ten seconds more.
    pub(super) fn executed(&mut self, elapsed_ms: u64, credential: CredentialId) -> usize {
        let Some(executed) = self.executed.get_mut(&credential) else { return 0 };
        executed.part(elapsed_ms);
        executed.parts.iter().map(|count| *count as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    #[test]
    fn requests_count_for_a_minute_and_for_their_credential_alone() {
        let (mut budget, one, other) = (WindowBudget::default(), CredentialId(1), CredentialId(2));
        for second in 0..60 {
            budget.count(NOW_MS + second * 1_000, one);
        }
        budget.count(NOW_MS, other);
        assert_eq!((budget.executed(NOW_MS + 59_000, one), budget.executed(NOW_MS + 59_000, other)), (60, 1));
        assert_eq!(budget.executed(NOW_MS + 59_000 + KEPT_AT_LEAST_MS + PART_MS, one), 0);
        assert_eq!(budget.executed(NOW_MS + 3_600_000, other), 0);
        assert_eq!(budget.executed(NOW_MS, CredentialId(3)), 0);
    }

    /// No request is left out before its minute is over.
    #[test]
    fn no_request_is_left_out_in_its_first_minute() {
        for offset in (0..PART_MS).step_by(997) {
            let (mut budget, credential) = (WindowBudget::default(), CredentialId(1));
            budget.count(NOW_MS + offset, credential);
            assert_eq!(budget.executed(NOW_MS + offset + KEPT_AT_LEAST_MS - 1, credential), 1, "{offset}");
            assert_eq!(budget.executed(NOW_MS + offset + KEPT_AT_LEAST_MS + PART_MS, credential), 0, "{offset}");
        }
    }
}
