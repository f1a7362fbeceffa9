//! The index: which campaign holds a code, and what a lane may know of it without asking the engine thread.
//!
//! The engine thread alone writes it, by [`Index::follow`] with each record it has applied; it asks it, as the state's
//! [`Lookup`], where a code is. Lanes read it to answer checks.
//!
//! Invariant: [`Index::follow`] announces a record's position before it shows the record's effect. Whoever has seen an effect
//! therefore finds its position in [`Index::shown`], and can wait until that is durable before it answers (Z4).

mod normalise;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use compact_str::CompactString;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use scrip_protocol::command::{CheckOutcome, CodeChecked, CodeStanding, CodeTexts, RedeemOutcome, Terms};
use scrip_protocol::{CampaignId, ClubId, Position, Record};

pub use normalise::{normalise, trim};

use crate::state::{CodeAt, Lookup, NormalisedCode, State, refusal_of};

/// More shards than processors: a table that grows holds up its own shard only, and the shorter the fewer codes it has.
const SHARDS: usize = 256;

/// The index. Shared by the engine thread, which writes, and the lanes, which read.
pub struct Index {
    codes: DashMap<CompactString, Live, RandomState>,
    /// By number, from 1.
    campaigns: RwLock<Vec<Arc<Terms>>>,
    clubs: AtomicU32,
    shown: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Live {
    campaign: CampaignId,
    slot: u32,
    activations: u32,
}

impl Index {
    /// The index of a state.
    pub fn of(state: &State) -> Index {
        let codes = state.campaigns.after(CampaignId(0)).map(|(_, campaign)| campaign.codes.len()).sum();
        let index = Index {
            codes: DashMap::with_capacity_and_hasher_and_shard_amount(codes, RandomState::default(), SHARDS),
            campaigns: RwLock::new(Vec::new()),
            clubs: AtomicU32::new(state.clubs.next().0 - 1),
            shown: AtomicU64::new(state.position().0),
        };
        for (id, campaign) in state.campaigns.after(CampaignId(0)) {
            index.campaigns.write().push(campaign.terms.clone());
            for ((code, activations), slot) in campaign.codes.iter().zip(&campaign.activations_of).zip(0..) {
                index.insert(code, Live { campaign: id, slot, activations: *activations });
            }
        }
        index
    }

    /// Shows what a record did to the state.
    pub fn follow(&self, state: &State, record: &Record) {
        // Announce before showing; see the module's invariant. Release pairs with the Acquire in `shown`.
        self.shown.store(state.position().0, Ordering::Release);
        match record {
            Record::Activation(record) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                let slot = record.slot as usize;
                let start = slot.checked_sub(1).map_or(0, |before| campaign.codes.ends[before]) as usize;
                let Some(code) = campaign.codes.text.get(start..campaign.codes.ends[slot] as usize) else { return };
                self.set_activations(code, campaign.activations_of[slot]);
            }
            Record::CampaignCreated(record) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                self.campaigns.write().push(campaign.terms.clone());
                self.insert_all(record.campaign, 0, &record.codes);
            }
            Record::CodesAdded(record) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                self.insert_all(record.campaign, campaign.codes.len() - record.codes.len(), &record.codes);
            }
            Record::CampaignSwitched(record) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                self.campaigns.write()[record.campaign.0 as usize - 1] = campaign.terms.clone();
            }
            Record::ClubRegistered(record) => self.clubs.store(record.club.0, Ordering::Release),
            Record::SettingsApplied(_) | Record::Refused(_) | Record::RedemptionRefused(_) | Record::ClientRegistered(_) => {}
        }
    }

    /// The newest position whose effect a reader may have seen, if it asks after reading.
    pub fn shown(&self) -> Position {
        Position(self.shown.load(Ordering::Acquire))
    }

    /// How many codes there are.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// What redemptions of these codes would answer at a club, or at any for club 0. Each verdict holds at some moment of the
    /// call; the answer may leave once the position that it names is durable.
    pub fn check<'a>(&self, club: ClubId, codes: impl Iterator<Item = &'a str>) -> CheckOutcome {
        let codes = codes.map(|code| self.check_one(club, code)).collect();
        CheckOutcome::Checked { codes, as_of: self.shown() }
    }

    fn check_one(&self, club: ClubId, code: &str) -> CodeChecked {
        let code = match normalise(code) {
            Ok(code) => code,
            Err(why) => return CodeChecked::Free { outcome: RedeemOutcome::InvalidCode(why) },
        };
        let at_club = (club != ClubId(0)).then_some(club);
        if at_club.is_some_and(|club| club.0 > self.clubs.load(Ordering::Acquire)) {
            return CodeChecked::Free { outcome: RedeemOutcome::UnknownClub };
        }
        let unknown = CodeChecked::Free { outcome: RedeemOutcome::UnknownCode };
        let Some(live) = self.codes.get(code.as_str()).map(|entry| *entry) else { return unknown };
        let Some(terms) = self.campaigns.read().get(live.campaign.0 as usize - 1).cloned() else { return unknown };
        let code = CodeStanding {
            campaign: live.campaign,
            amount: terms.amount,
            activations: live.activations,
            activations_max: terms.activations_per_code_max,
        };
        match refusal_of(&terms, live.activations, at_club) {
            None => CodeChecked::Redeemable(code),
            Some(outcome) => CodeChecked::Refused { outcome, code },
        }
    }

    fn insert_all(&self, campaign: CampaignId, first_slot: usize, codes: &CodeTexts) {
        for (code, slot) in codes.iter().zip(first_slot as u32..) {
            self.insert(code, Live { campaign, slot, activations: 0 });
        }
    }

    fn insert(&self, code: &str, live: Live) {
        // A code in the state was normalised when it was decided upon.
        if let Ok(code) = normalise(code) {
            self.codes.insert(CompactString::new(code.as_str()), live);
        }
    }

    fn set_activations(&self, code: &str, activations: u32) {
        if let Ok(code) = normalise(code)
            && let Some(mut live) = self.codes.get_mut(code.as_str())
        {
            live.activations = activations;
        }
    }

    /// Whether two indexes say the same of every code.
    pub fn agrees_with(&self, other: &Index) -> bool {
        self.codes.len() == other.codes.len()
            && self.codes.iter().all(|entry| other.codes.get(entry.key()).is_some_and(|there| *there == *entry.value()))
            && *self.campaigns.read() == *other.campaigns.read()
    }
}

impl Lookup for Index {
    fn find(&self, code: &NormalisedCode) -> Option<CodeAt> {
        self.codes.get(code.as_str()).map(|live| CodeAt { campaign: live.campaign, slot: live.slot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_protocol::codes::InvalidCode;

    #[test]
    fn an_empty_index_says_why_a_code_is_free() {
        let index = Index::of(&State::default());
        let checked = index.check(ClubId(0), ["a", " ", "a b"].into_iter());
        let free = |outcome| CodeChecked::Free { outcome };
        let codes = vec![
            free(RedeemOutcome::UnknownCode),
            free(RedeemOutcome::InvalidCode(InvalidCode::Empty)),
            free(RedeemOutcome::InvalidCode(InvalidCode::InnerWhiteSpace { at: 2 })),
        ];
        assert_eq!(checked, CheckOutcome::Checked { codes, as_of: Position(0) });
    }
}
