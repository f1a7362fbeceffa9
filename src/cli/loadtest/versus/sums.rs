//! Replies and totals of one subject, by which two subjects are compared.

use scrip_loadtest::plan::Plan;

/// The replies to the requests that test the rules.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Rules {
    /// Requests that were redeemed.
    pub(super) redeemed: usize,
    /// Requests for a code without a use left.
    pub(super) exhausted: usize,
    /// Requests for a code that does not exist.
    pub(super) unknown: usize,
    /// Retries with the same outcome.
    pub(super) repeats_alike: usize,
    /// Retries with another outcome.
    pub(super) repeats_unlike: usize,
}

impl Rules {
    /// The replies that a plan must get.
    pub(super) fn of(plan: &Plan) -> Rules {
        Rules {
            redeemed: plan.codes,
            exhausted: plan.spent,
            unknown: plan.misses,
            repeats_alike: plan.repeats,
            repeats_unlike: 0,
        }
    }
}

/// The totals of one subject at the end, recounted from its rows or its journal, in minor units.
#[derive(Debug, serde::Serialize)]
pub(super) struct Sums {
    pub(super) system: String,
    pub(super) activations: u64,
    /// How many request ids got the reply "redeemed".
    pub(super) answered_redeemed: u64,
    /// The sum of the activations' bonuses.
    pub(super) bonuses: i128,
    /// The sum of all clients' balances.
    pub(super) balances: i128,
    pub(super) codes_over_cap: usize,
    /// How many other differences there are.
    pub(super) differences: usize,
    pub(super) rules: Rules,
    /// Whether everything agrees and the rules held.
    pub(super) agree: bool,
}
