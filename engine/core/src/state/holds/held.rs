//! What is held: of a code, of a campaign, and how much of each limit may be.

use std::ops::{AddAssign, SubAssign};

use scrip_protocol::{ClientId, Money};

use crate::state::tables::Campaign;

/// How many of a code's earliest expiries readers outside the state get: as many as one record may drop.
pub(super) const EARLIEST: usize = 8;

/// How many uses of a code are held, for readers outside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldUses {
    pub(super) count: u32,
    /// The uses of the code that its activations leave.
    pub(super) room: u32,
    /// When one of these becomes free.
    pub(super) free_from_ms: u64,
    /// The earliest expiries of the counted holds, ascending, padded with the latest time of the type.
    pub(super) earliest: [u64; EARLIEST],
}

impl HeldUses {
    /// The uses held at a time: exact if that decides whether a use is free, even after changes of the cap. Otherwise it may
    /// include expired holds that the state still counts, if there are more than a few.
    pub fn at(&self, now_ms: u64) -> u32 {
        let expired = self.earliest.partition_point(|expires_ms| *expires_ms <= now_ms) as u32;
        match self.free_from_ms <= now_ms {
            true => (self.count - expired).min(self.room.saturating_sub(1)),
            false => self.count - expired,
        }
    }
}

/// Totals of a campaign's holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldOfCampaign {
    /// Held uses.
    pub uses: u32,
    /// The sum of their amounts, in minor units.
    pub sum: i128,
    /// The codes, not archived, whose activations leave uses but all of these are held.
    pub codes_full: u32,
}

/// Sums by time for a campaign: holds by their expiry, full codes by the time at which one of their uses becomes free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::state) struct HeldSum {
    pub(super) uses: u32,
    pub(super) sum: i128,
    pub(super) codes_full: u32,
}

impl HeldSum {
    pub(super) const CODE: HeldSum = HeldSum { uses: 0, sum: 0, codes_full: 1 };

    pub(super) fn of(amount: Money) -> HeldSum {
        HeldSum { uses: 1, sum: amount.0.into(), codes_full: 0 }
    }
}

impl AddAssign for HeldSum {
    fn add_assign(&mut self, other: HeldSum) {
        self.uses += other.uses;
        self.sum += other.sum;
        self.codes_full += other.codes_full;
    }
}

impl SubAssign for HeldSum {
    fn sub_assign(&mut self, other: HeldSum) {
        self.uses -= other.uses;
        self.sum -= other.sum;
        self.codes_full -= other.codes_full;
    }
}

/// From when one more use fits the campaign-wide limits, if nothing but time passes: 0 for at once, the end of time for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreeFrom {
    /// The limit of activations.
    pub uses_ms: u64,
    /// The budget.
    pub budget_ms: u64,
}

/// How much of each limit may be held so that one more use is free; below 0 if none is. `None` for no limit.
pub(super) struct Most {
    pub(super) code: i128,
    pub(super) client: Option<i128>,
    pub(super) uses: Option<i128>,
    pub(super) budget: Option<i128>,
}

impl Most {
    pub(super) fn of(campaign: &Campaign, slot: u32, client: ClientId, amount: Money) -> Most {
        let code = i128::from(campaign.room(slot)) - 1;
        let client_max = campaign.terms.activations_per_client_max;
        let client = client_max.map(|max| i128::from(max) - i128::from(campaign.client_uses(client)) - 1);
        Most { code, client, uses: most_uses(campaign), budget: most_budget(campaign, amount) }
    }
}

pub(super) fn most_uses(campaign: &Campaign) -> Option<i128> {
    campaign.terms.activations_max.map(|max| i128::from(max) - i128::from(campaign.activations) - 1)
}

pub(super) fn most_budget(campaign: &Campaign, amount: Money) -> Option<i128> {
    campaign.terms.budget.map(|budget| i128::from(budget.0) - i128::from(campaign.issued.0) - i128::from(amount.0))
}

/// What is held at a time: exact if so much is held that no use is free; below that it may include expired holds.
pub(super) fn held(sum: i128, most: i128, free_from_ms: u64, now_ms: u64) -> i128 {
    if free_from_ms <= now_ms { sum.min(most) } else { sum }
}
