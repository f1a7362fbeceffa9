//! What lanes can see of a campaign.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use scrip_protocol::CampaignId;
use scrip_protocol::command::Terms;

use super::slot_set::SlotSet;
use crate::rows::Rows;
use crate::slot_table::prefetch;
use crate::state::{Campaign, FreeFrom, State};

/// What lanes can see of a campaign.
pub(super) struct Face {
    pub(super) terms: Arc<Terms>,
    /// Whether the campaign is archived.
    pub(super) archived: bool,
    /// The codes that are archived by themselves, by slot.
    pub(super) archived_codes: SlotSet,
    /// How often each code was activated, by slot, in blocks that never move.
    blocks: Vec<OnceLock<Block>>,
    /// The same in the snapshot; applies to blocks that do not exist.
    base: Rows<u32>,
    /// Whether uses of its codes are held.
    pub(super) has_holds: AtomicBool,
    /// The campaign-wide limits; none if it has none. Locked while one of its codes is updated or read.
    pub(super) in_all: Option<Mutex<FreeFrom>>,
}

type Block = Box<[AtomicU32; BLOCK]>;

/// Counters per block.
const BLOCK: usize = 1024;

impl Face {
    pub(super) fn of(state: &State, id: CampaignId, campaign: &Campaign) -> Face {
        let mut face = Face {
            terms: campaign.terms.clone(),
            archived: campaign.is_archived(),
            archived_codes: SlotSet::of(campaign.archived_codes.keys().copied()),
            blocks: Vec::new(),
            base: campaign.activations_of.base().clone(),
            has_holds: AtomicBool::new(false),
            in_all: in_all(state, id, campaign),
        };
        face.reach(campaign);
        for (first, activations) in campaign.activations_of.changed() {
            (first..).zip(activations).for_each(|(slot, activations)| face.set(slot, *activations));
        }
        face
    }

    /// Makes room for every code of the campaign.
    pub(super) fn reach(&mut self, campaign: &Campaign) {
        let blocks = campaign.activations_of.len().div_ceil(BLOCK);
        self.blocks.resize_with(blocks, OnceLock::new);
    }

    /// Whether its codes fill more than one block of counters.
    pub(super) fn has_many_codes(&self) -> bool {
        self.blocks.len() > 1
    }

    pub(super) fn set(&self, slot: usize, activations: u32) {
        let Some(block) = self.blocks.get(slot / BLOCK) else { return };
        // A block is created only to differ from the snapshot; a missing block without a snapshot means never activated.
        if block.get().is_some() || self.in_base(slot) != activations {
            block.get_or_init(|| self.block(slot / BLOCK * BLOCK))[slot % BLOCK].store(activations, Ordering::Release);
        }
    }

    fn block(&self, first: usize) -> Block {
        let block = Box::new([const { AtomicU32::new(0) }; BLOCK]);
        let base = self.base.get(first..self.base.len().min(first + BLOCK)).unwrap_or_default();
        block.iter().zip(base).for_each(|(counter, activations)| counter.store(*activations, Ordering::Relaxed));
        block
    }

    fn in_base(&self, slot: usize) -> u32 {
        self.base.get(slot).copied().unwrap_or(0)
    }

    pub(super) fn activations(&self, slot: u32) -> u32 {
        let block = self.blocks.get(slot as usize / BLOCK).and_then(OnceLock::get);
        block.map_or_else(|| self.in_base(slot as usize), |block| block[slot as usize % BLOCK].load(Ordering::Acquire))
    }

    /// Prefetches the counter of a code.
    pub(super) fn touch(&self, slot: u32) {
        match self.blocks.get(slot as usize / BLOCK).and_then(OnceLock::get) {
            Some(block) => prefetch(&block[slot as usize % BLOCK]),
            None => self.base.get(slot as usize).into_iter().for_each(|counter| prefetch(counter)),
        }
    }

    /// Whether another has the same contents.
    pub(super) fn agrees_with(&self, other: &Face) -> bool {
        let counts = |face: &Face| (0..(face.blocks.len() * BLOCK) as u32).map(|slot| face.activations(slot)).collect::<Vec<_>>();
        let has_holds = |face: &Face| face.has_holds.load(Ordering::Acquire);
        let in_all = |face: &Face| face.in_all.as_ref().map(|in_all| *in_all.lock());
        self.terms == other.terms
            && self.archived == other.archived
            && self.archived_codes == other.archived_codes
            && counts(self) == counts(other)
            && has_holds(self) == has_holds(other)
            && in_all(self) == in_all(other)
    }
}

/// The campaign-wide limits of a campaign; none if it has none.
pub(super) fn in_all(state: &State, id: CampaignId, campaign: &Campaign) -> Option<Mutex<FreeFrom>> {
    let is_limited = campaign.terms.activations_max.is_some() || campaign.terms.budget.is_some();
    is_limited.then(|| Mutex::new(state.holds.free_from(id, campaign)))
}
