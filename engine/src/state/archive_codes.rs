//! Archive and restore of single codes (X2, A5, A6).

use std::collections::HashMap;

use foldhash::fast::RandomState;
use scrip_protocol::command::{
    ArchiveCause, ArchiveCodes, ArchiveCodesOutcome, CodesArchived, CodesRestored, LineVerdict, RestoreCodes,
    RestoreCodesOutcome, SkippedLine,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::archive_campaign::holders;
use super::tables::ArchivedCode;
use super::{Campaign, CodeList, Lookup, NormalisedCode, State, refused};

/// A request about single codes of a campaign.
#[derive(Debug, Clone)]
pub struct AskedCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// The codes.
    pub list: CodeList,
}

pub(super) fn decide_archive(state: &State, stamp: Stamp, asked: &AskedCodes, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: ArchiveCodesOutcome| refused::<ArchiveCodes>(stamp, &outcome);
    let Some(of) = state.campaigns.of(asked.campaign) else { return refuse(ArchiveCodesOutcome::UnknownCampaign) };
    if asked.list.is_too_long() {
        return refuse(ArchiveCodesOutcome::TooManyLines);
    }
    if asked.list.is_blank() {
        return refuse(ArchiveCodesOutcome::CodesMissing);
    }
    let is_alone = |slot| of.archived_codes.get(&slot).is_some_and(|code| code.cause == ArchiveCause::Alone);
    let verdict = |slot: Option<u32>| match slot {
        None => Err(LineVerdict::NotInCampaign),
        Some(slot) if is_alone(slot) => Err(LineVerdict::AlreadyArchived),
        Some(slot) => Ok(slot),
    };
    let found = slots(asked.campaign, of, asked.list.normalised(), lookup);
    let (slots, skipped) = sorted(&asked.list, found.into_iter().map(verdict));
    CodesArchived { stamp, campaign: asked.campaign, slots, skipped }.into()
}

pub(super) fn apply_archive(state: &mut State, record: &CodesArchived) {
    let position = state.position;
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    for slot in record.slots.iter().filter(|slot| (**slot as usize) < campaign.codes.len()) {
        let freed = campaign.freed(*slot).unwrap_or(position);
        campaign.archived_codes.insert(*slot, ArchivedCode { cause: ArchiveCause::Alone, freed });
    }
    campaign.recount();
}

pub(super) fn decide_restore(state: &State, stamp: Stamp, asked: &AskedCodes, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: RestoreCodesOutcome| refused::<RestoreCodes>(stamp, &outcome);
    let Some(of) = state.campaigns.of(asked.campaign) else { return refuse(RestoreCodesOutcome::UnknownCampaign) };
    if of.is_archived() {
        return refuse(RestoreCodesOutcome::CampaignArchived);
    }
    if asked.list.is_too_long() {
        return refuse(RestoreCodesOutcome::TooManyLines);
    }
    if asked.list.is_blank() {
        return refuse(RestoreCodesOutcome::CodesMissing);
    }
    let verdict = |slot: Option<u32>| match slot {
        None => Err(LineVerdict::NotInCampaign),
        Some(slot) if !of.is_code_archived(slot) => Err(LineVerdict::NotArchived),
        Some(slot) => match holders(state, asked.campaign, of, &[slot], lookup).first() {
            Some(Some(holder)) => Err(LineVerdict::HeldBy(*holder)),
            Some(None) | None => Ok(slot),
        },
    };
    let found = slots(asked.campaign, of, asked.list.normalised(), lookup);
    let (slots, skipped) = sorted(&asked.list, found.into_iter().map(verdict));
    CodesRestored { stamp, campaign: asked.campaign, slots, skipped }.into()
}

pub(super) fn apply_restore(state: &mut State, record: &CodesRestored) {
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    for slot in &record.slots {
        campaign.archived_codes.remove(slot);
    }
    campaign.recount();
}

/// Sorts a list's codes into the slots that are changed, ascending, and the lines that are not, in order.
fn sorted(list: &CodeList, verdicts: impl Iterator<Item = Result<u32, LineVerdict>>) -> (Vec<u32>, Vec<SkippedLine>) {
    let (mut slots, mut skipped) = (Vec::new(), list.skipped().to_vec());
    for (at, verdict) in verdicts.enumerate() {
        match verdict {
            Ok(slot) => slots.push(slot),
            Err(why) => skipped.push(list.skip(at, why)),
        }
    }
    slots.sort_unstable();
    skipped.sort_by_key(|skip| skip.line);
    (slots, skipped)
}

/// Where a campaign has each of some codes, by slot.
fn slots(campaign: CampaignId, of: &Campaign, codes: &[NormalisedCode], lookup: &impl Lookup) -> Vec<Option<u32>> {
    let mut slots = Vec::with_capacity(codes.len());
    lookup.find_all(codes, |at| slots.push(at.filter(|at| at.campaign == campaign).map(|at| at.slot)));
    // A value that the campaign has not got by itself, but has had since before another one, is found among its archived codes only.
    if slots.contains(&None) && (of.is_archived() || !of.archived_codes.is_empty()) {
        let mut missing: HashMap<&NormalisedCode, usize, RandomState> = HashMap::default();
        missing.extend(codes.iter().zip(0..).filter(|(_, at)| slots[*at].is_none()));
        let archived = (0..of.codes.len() as u32).filter(|slot| of.freed(*slot).is_some());
        let found: Vec<_> =
            archived.filter_map(|slot| Some((*missing.get(&lookup.normalised(of.codes.of(slot as usize)?)?)?, slot))).collect();
        found.into_iter().for_each(|(at, slot)| slots[at] = Some(slot));
    }
    slots
}
