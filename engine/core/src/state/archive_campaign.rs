//! Archive and restore campaigns (X1, X4 to X6, A4 to A6).
//!
//! An archived campaign keeps its codes and their history; their values are free. Restoring it restores the codes whose values
//! are still free. The others stay archived because of the campaign, and restoring it again restores those that have become free
//! meanwhile.

use std::collections::BTreeMap;

use scrip_protocol::command::{
    ArchiveCampaign, ArchiveCampaignOutcome, ArchiveCause, CONFLICTS_SHOWN, CampaignArchived, CampaignRestored, CodeConflict,
    RestoreCampaign, RestoreCampaignOutcome,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::code_list::shown;
use super::tables::{Archived, ArchivedCode};
use super::{Campaign, CodeAt, Lookup, State, refused};

pub(super) fn decide_archive(state: &State, stamp: Stamp, campaign: CampaignId) -> Record {
    let refuse = |outcome| refused::<ArchiveCampaign>(stamp, &outcome);
    let Some(of) = state.campaigns.of(campaign) else { return refuse(ArchiveCampaignOutcome::UnknownCampaign) };
    if of.is_archived() {
        return refuse(ArchiveCampaignOutcome::AlreadyArchived);
    }
    CampaignArchived { stamp, campaign, codes: of.codes.len() as u32 - of.archived_codes.len() as u32 }.into()
}

pub(super) fn apply_archive(state: &mut State, record: &CampaignArchived) {
    let archived = Archived { at_ms: state.now_ms, position: state.position };
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        campaign.archived = Some(archived);
        campaign.note_switched();
    }
}

pub(super) fn decide_restore(state: &State, stamp: Stamp, campaign: CampaignId, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: RestoreCampaignOutcome| refused::<RestoreCampaign>(stamp, &outcome);
    let Some(of) = state.campaigns.of(campaign) else { return refuse(RestoreCampaignOutcome::UnknownCampaign) };
    let slots = archived_with(of);
    if slots.is_empty() && !of.is_archived() {
        return refuse(RestoreCampaignOutcome::NotArchived);
    }
    let holders = holders(state, campaign, of, &slots, lookup);
    let conflict = |(slot, holder): (&u32, &Option<CampaignId>)| Some((*slot, (*holder)?));
    let conflicts: Vec<(u32, CampaignId)> = slots.iter().zip(&holders).filter_map(conflict).collect();
    // A record of a restore lists every code in conflict, so it is not repeated without an effect.
    if !of.is_archived() && conflicts.len() == slots.len() {
        return refuse(RestoreCampaignOutcome::StillHeld { codes: slots.len() as u32 });
    }
    let conflict = |(slot, held_by): &(u32, CampaignId)| CodeConflict {
        slot: *slot,
        code: shown(of.codes.of(*slot as usize).unwrap_or_default()).to_owned(),
        held_by: *held_by,
    };
    CampaignRestored {
        stamp,
        campaign,
        restored: (slots.len() - conflicts.len()) as u32,
        first: conflicts.iter().take(CONFLICTS_SHOWN).map(conflict).collect(),
        conflicts: conflicts.into_iter().map(|(slot, _)| slot).collect(),
    }
    .into()
}

/// The codes that are archived because of the campaign, by slot.
fn archived_with(campaign: &Campaign) -> Vec<u32> {
    let alone = |slot: &u32| campaign.archived_codes.get(slot).is_some_and(|code| code.cause == ArchiveCause::Alone);
    if campaign.is_archived() {
        return (0..campaign.codes.len() as u32).filter(|slot| !alone(slot)).collect();
    }
    campaign.archived_codes.keys().copied().filter(|slot| !alone(slot)).collect()
}

/// Codes normalised before each lookup: some 16 KiB of them.
const NORMALISED_AT_ONCE: usize = 256;

/// The other campaign that holds the value of each of a campaign's archived codes; `None` if the value is free.
pub(super) fn holders(
    state: &State,
    campaign: CampaignId,
    of: &Campaign,
    slots: &[u32],
    lookup: &impl Lookup,
) -> Vec<Option<CampaignId>> {
    let form = state.code_form();
    let mut holders = Vec::with_capacity(slots.len());
    // Few at a time: what is written and read again stays in the processor's cache, and no fresh memory is needed.
    let mut codes = Vec::with_capacity(NORMALISED_AT_ONCE);
    for slots in slots.chunks(NORMALISED_AT_ONCE) {
        codes.clear();
        // A code in the state was normalised when it was decided upon.
        codes.extend(slots.iter().filter_map(|slot| form.normalise(of.codes.of(*slot as usize)?).ok()));
        lookup.find_all(&codes, |at| {
            let holder = at.filter(|at| at.campaign != campaign && state.campaigns.is_live(*at));
            holders.push(holder.map(|at: CodeAt| at.campaign));
        });
    }
    holders
}

pub(super) fn apply_restore(state: &mut State, record: &CampaignRestored) {
    state.campaigns.note_restored(record.campaign);
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    let freed_with_it = campaign.archived.take().map(|archived| archived.position);
    let mut left: BTreeMap<u32, ArchivedCode> = BTreeMap::new();
    let codes = campaign.codes.len();
    for slot in record.conflicts.iter().filter(|slot| (**slot as usize) < codes) {
        let freed = campaign.archived_codes.get(slot).map(|code| code.freed).or(freed_with_it);
        let freed = freed.unwrap_or(state.position);
        left.insert(*slot, ArchivedCode { cause: ArchiveCause::ByCampaign, freed });
    }
    // Codes left over from an earlier restore.
    let mut changed: Vec<u32> = Vec::new();
    campaign.archived_codes.retain(|slot, code| {
        let stays = code.cause == ArchiveCause::Alone;
        if !stays {
            changed.push(*slot);
        }
        stays
    });
    campaign.archived_codes.append(&mut left);
    campaign.note_switched();
    campaign.recount();
    let changed = changed.into_iter().chain(record.conflicts.iter().copied());
    state.holds.recount_codes(&state.campaigns, record.campaign, changed);
}
