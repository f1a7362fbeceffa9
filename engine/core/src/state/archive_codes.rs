//! Archive and restore single codes (X2, A5, A6).

use scrip_protocol::codes::CodeForm;
use scrip_protocol::command::{
    ArchiveCause, ArchiveCodes, ArchiveCodesOutcome, CodesArchived, CodesRestored, LineVerdict, RestoreCodes,
    RestoreCodesOutcome, SkippedLine,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::{Campaign, CodeAt, CodeList, Lookup, NormalisedCode, State, refused};

/// A request about single codes of a campaign.
#[derive(Debug, Clone)]
pub struct CodesRequest {
    /// The campaign.
    pub campaign: CampaignId,
    /// The codes.
    pub list: CodeList,
}

pub(super) fn decide_archive(state: &State, stamp: Stamp, request: &CodesRequest, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: ArchiveCodesOutcome| refused::<ArchiveCodes>(stamp, &outcome);
    let Some(of) = state.campaigns.of(request.campaign) else { return refuse(ArchiveCodesOutcome::UnknownCampaign) };
    if request.list.is_too_long() {
        return refuse(ArchiveCodesOutcome::TooManyLines);
    }
    if request.list.is_blank() {
        return refuse(ArchiveCodesOutcome::CodesMissing);
    }
    let is_alone = |slot| of.archived_codes.get(&slot).is_some_and(|code| code.cause == ArchiveCause::Alone);
    let verdict = |found: Found| match found.slot {
        None => Err(LineVerdict::NotInCampaign),
        Some(slot) if is_alone(slot) => Err(LineVerdict::AlreadyArchived),
        Some(slot) => Ok(slot),
    };
    let found = find(state.code_form(), request.campaign, of, request.list.normalised(), lookup);
    let (slots, skipped) = sorted(&request.list, found.into_iter().map(verdict));
    CodesArchived { stamp, campaign: request.campaign, slots, skipped }.into()
}

pub(super) fn apply_archive(state: &mut State, record: &CodesArchived) {
    let (position, form) = (state.position, state.code_form());
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    let codes = campaign.codes.len();
    for slot in record.slots.iter().filter(|slot| (**slot as usize) < codes) {
        campaign.archive_code(*slot, position);
    }
    campaign.note_archived(&record.slots, form);
    state.holds.recount_codes(&state.campaigns, record.campaign, record.slots.iter().copied());
}

pub(super) fn decide_restore(state: &State, stamp: Stamp, request: &CodesRequest, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: RestoreCodesOutcome| refused::<RestoreCodes>(stamp, &outcome);
    let Some(of) = state.campaigns.of(request.campaign) else { return refuse(RestoreCodesOutcome::UnknownCampaign) };
    if of.is_archived() {
        return refuse(RestoreCodesOutcome::CampaignArchived);
    }
    if request.list.is_too_long() {
        return refuse(RestoreCodesOutcome::TooManyLines);
    }
    if request.list.is_blank() {
        return refuse(RestoreCodesOutcome::CodesMissing);
    }
    let verdict = |found: Found| match (found.slot, found.elsewhere.filter(|at| state.campaigns.is_live(*at))) {
        (None, _) => Err(LineVerdict::NotInCampaign),
        (Some(slot), _) if !of.is_code_archived(slot) => Err(LineVerdict::NotArchived),
        (Some(_), Some(holder)) => Err(LineVerdict::HeldBy(holder.campaign)),
        (Some(slot), None) => Ok(slot),
    };
    let found = find(state.code_form(), request.campaign, of, request.list.normalised(), lookup);
    let (slots, skipped) = sorted(&request.list, found.into_iter().map(verdict));
    CodesRestored { stamp, campaign: request.campaign, slots, skipped }.into()
}

pub(super) fn apply_restore(state: &mut State, record: &CodesRestored) {
    state.campaigns.note_restored(record.campaign);
    let Some(campaign) = state.campaigns.of_mut(record.campaign) else { return };
    record.slots.iter().for_each(|slot| campaign.restore_code(*slot));
    state.holds.recount_codes(&state.campaigns, record.campaign, record.slots.iter().copied());
}

/// Divides the codes of a list into the slots to change, ascending, and the skipped lines, in order.
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

/// Where a requested code of a campaign is.
#[derive(Clone, Copy)]
struct Found {
    /// Its slot in the campaign; none if the campaign does not have the code.
    slot: Option<u32>,
    /// Its place in another campaign, which has had it since.
    elsewhere: Option<CodeAt>,
}

/// Finds codes for a campaign.
fn find(form: CodeForm, campaign: CampaignId, of: &Campaign, codes: &[NormalisedCode], lookup: &impl Lookup) -> Vec<Found> {
    let mut found = Vec::with_capacity(codes.len());
    lookup.find_all(codes, |at| {
        let (ours, elsewhere) = (at.filter(|at| at.campaign == campaign), at.filter(|at| at.campaign != campaign));
        found.push(Found { slot: ours.map(|at| at.slot), elsewhere });
    });
    // If another campaign has had a value since, a lookup returns that one: the code is then among this campaign's archived
    // codes.
    for (code, found) in codes.iter().zip(&mut found).filter(|(_, found)| found.elsewhere.is_some()) {
        found.slot = of.archived_slot(code, &|code| form.normalise(code).ok());
    }
    found
}
