//! Add codes to a campaign: the result of each line (K3 to K9, A2, A3, Z7).

use scrip_protocol::command::{
    AddCodes, AddCodesOutcome as Outcome, CodeLimit, CodeTexts, CodesAdded, CodesReport, LineVerdict, OnConflict, SkippedLine,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::{CodeList, Lookup, NormalisedCode, State, refused};

/// A request to add codes, or to try what adding them would do.
#[derive(Debug, Clone)]
pub struct AddCodesRequest {
    /// The campaign. None only for a try on behalf of a campaign that does not exist yet.
    pub campaign: Option<CampaignId>,
    /// The codes.
    pub list: CodeList,
    /// What to do with the other lines if a line cannot be added.
    pub on_conflict: OnConflict,
}

pub(super) fn decide(state: &State, stamp: Stamp, request: &AddCodesRequest, lookup: &impl Lookup) -> Record {
    match sort(state, request, lookup) {
        Ok(Taken { codes, skipped }) => {
            let campaign = request.campaign.unwrap_or_default();
            CodesAdded { stamp, campaign, codes, skipped }.into()
        }
        Err(outcome) => refused::<AddCodes>(stamp, &outcome),
    }
}

/// The outcome that adding codes would have.
pub(super) fn preview(state: &State, request: &AddCodesRequest, lookup: &impl Lookup) -> Outcome {
    match sort(state, request, lookup) {
        // A campaign that does not exist yet cannot be created without codes.
        Ok(Taken { codes, skipped }) if request.campaign.is_none() && codes.is_empty() => Outcome::Conflicts(skipped),
        Ok(Taken { codes, skipped }) => Outcome::Added(CodesReport { added: codes.len() as u32, skipped }),
        Err(outcome) => outcome,
    }
}

fn sort(state: &State, request: &AddCodesRequest, lookup: &impl Lookup) -> Result<Taken, Outcome> {
    if let Some(campaign) = request.campaign {
        let campaign = state.campaigns.of(campaign).ok_or(Outcome::UnknownCampaign)?;
        if campaign.is_archived() {
            return Err(Outcome::CampaignArchived);
        }
    }
    take(state, request.campaign, &request.list, request.on_conflict, lookup).map_err(|error| match error {
        TakeError::NoCodes => Outcome::CodesMissing,
        TakeError::TooManyLines => Outcome::TooManyLines,
        TakeError::Conflicts(lines) => Outcome::Conflicts(lines),
        TakeError::TooMany(limit) => Outcome::TooManyCodes(limit),
    })
}

pub(super) fn apply(state: &mut State, record: &CodesAdded) {
    let (now_ms, position) = (state.now_ms, state.position);
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        campaign.add_codes(&record.codes, now_ms, position);
    }
}

/// A list divided into added and skipped lines.
pub(super) struct Taken {
    pub(super) codes: CodeTexts,
    pub(super) skipped: Vec<SkippedLine>,
}

/// Why nothing of a list is added, in order of precedence.
pub(super) enum TakeError {
    NoCodes,
    TooManyLines,
    Conflicts(Vec<SkippedLine>),
    TooMany(CodeLimit),
}

/// Divides a list for a campaign, existing or new.
pub(super) fn take(
    state: &State,
    campaign: Option<CampaignId>,
    list: &CodeList,
    on_conflict: OnConflict,
    lookup: &impl Lookup,
) -> Result<Taken, TakeError> {
    if list.is_too_long() {
        return Err(TakeError::TooManyLines);
    }
    if list.is_blank() {
        return Err(TakeError::NoCodes);
    }
    let verdicts = verdicts(state, campaign, list.normalised(), lookup);
    let mut skipped = list.skipped().to_vec();
    let codes = match verdicts.iter().all(Option::is_none) {
        true => list.codes().clone(),
        false => list.codes().iter().zip(&verdicts).filter(|(_, why)| why.is_none()).map(|(code, _)| code).collect(),
    };
    skipped.extend(verdicts.iter().enumerate().filter_map(|(at, why)| Some(list.skip(at, (*why)?))));
    skipped.sort_by_key(|skip| skip.line);
    if on_conflict == OnConflict::Reject {
        let in_conflict = |skip: &&SkippedLine| matches!(skip.why, LineVerdict::Invalid(_) | LineVerdict::HeldBy(_));
        let conflicts: Vec<_> = skipped.iter().filter(in_conflict).cloned().collect();
        if !conflicts.is_empty() {
            return Err(TakeError::Conflicts(conflicts));
        }
    }
    let current = campaign.and_then(|campaign| state.campaigns.of(campaign)).map_or(0, |campaign| campaign.codes.len());
    let limit = state.settings().codes_per_campaign();
    let would_add = codes.len() + list.earlier() as usize;
    if current + would_add > limit as usize {
        let would_add = u32::try_from(would_add).unwrap_or(u32::MAX);
        return Err(TakeError::TooMany(CodeLimit { limit, current: current as u32, would_add }));
    }
    Ok(Taken { codes, skipped })
}

/// Why each code cannot be added to a campaign, existing or new; `None` if it can.
fn verdicts(
    state: &State,
    campaign: Option<CampaignId>,
    codes: &[NormalisedCode],
    lookup: &impl Lookup,
) -> Vec<Option<LineVerdict>> {
    let mut verdicts = Vec::with_capacity(codes.len());
    // Codes that the campaign has but does not hold.
    let mut freed = Vec::new();
    lookup.find_all(codes, |at| {
        verdicts.push(match at {
            Some(at) if Some(at.campaign) == campaign => Some(LineVerdict::AlreadyInCampaign),
            Some(at) if state.campaigns.is_live(at) => Some(LineVerdict::HeldBy(at.campaign)),
            Some(_) => {
                freed.push(verdicts.len());
                None
            }
            None => None,
        });
    });
    // A campaign's own archived code whose value another campaign has had since: a lookup returns that one.
    if let Some(of) = campaign.and_then(|campaign| state.campaigns.of(campaign)) {
        let form = state.code_form();
        let ours = freed.into_iter().filter(|at| of.archived_slot(&codes[*at], &|code| form.normalise(code).ok()).is_some());
        ours.for_each(|at| verdicts[at] = Some(LineVerdict::AlreadyInCampaign));
    }
    verdicts
}
