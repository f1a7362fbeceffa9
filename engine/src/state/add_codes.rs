//! Add codes to a campaign: what becomes of each line (K3 to K9, A2, A3, Z7).

use std::collections::HashMap;

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome as Outcome, CodeLimit, CodeTexts, CodesAdded, LineVerdict, OnConflict, SkippedLine,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::{Lookup, NormalisedCode, State, refused};

/// A line of a list of codes that is not blank.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number in the list, from 1, blank lines counted.
    pub number: u32,
    /// What stands in it, without surrounding white space.
    pub text: String,
    /// The same, normalised.
    pub code: Result<NormalisedCode, InvalidCode>,
}

/// A request to add codes, with the codes normalised.
#[derive(Debug, Clone)]
pub struct AskedAddCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// The lines that are not blank.
    pub lines: Vec<Line>,
    /// What is to become of the others when a line cannot be added.
    pub on_conflict: OnConflict,
}

pub(super) fn decide(state: &State, stamp: Stamp, asked: &AskedAddCodes, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: Outcome| refused::<AddCodes>(stamp, &outcome);
    if state.campaigns.of(asked.campaign).is_none() {
        return refuse(Outcome::UnknownCampaign);
    }
    match take(state, Some(asked.campaign), &asked.lines, asked.on_conflict, lookup) {
        Ok(taken) => CodesAdded { stamp, campaign: asked.campaign, codes: taken.codes, skipped: taken.skipped }.into(),
        Err(TakeError::NoCodes) => refuse(Outcome::CodesMissing),
        Err(TakeError::Conflicts(lines)) => refuse(Outcome::Conflicts(lines)),
        Err(TakeError::TooMany(limit)) => refuse(Outcome::TooManyCodes(limit)),
    }
}

pub(super) fn apply(state: &mut State, record: &CodesAdded) {
    let (now_ms, position) = (state.now_ms, state.position);
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        campaign.add_codes(&record.codes, now_ms, position);
    }
}

/// A list sorted into what is added and what is not.
pub(super) struct Taken {
    pub(super) codes: CodeTexts,
    pub(super) skipped: Vec<SkippedLine>,
}

/// Why nothing of a list is taken, in order of precedence.
pub(super) enum TakeError {
    NoCodes,
    Conflicts(Vec<SkippedLine>),
    TooMany(CodeLimit),
}

/// Sorts a list for a campaign, or for one to be created.
pub(super) fn take(
    state: &State,
    campaign: Option<CampaignId>,
    lines: &[Line],
    on_conflict: OnConflict,
    lookup: &impl Lookup,
) -> Result<Taken, TakeError> {
    if lines.is_empty() {
        return Err(TakeError::NoCodes);
    }
    let mut codes = CodeTexts::default();
    let mut skipped = Vec::new();
    let mut in_conflict = Vec::new();
    let mut line_of: HashMap<&str, u32, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(lines.len(), Default::default());
    for line in lines {
        let why = match verdict(campaign, line, &mut line_of, lookup) {
            None => {
                codes.push(&line.text);
                continue;
            }
            Some(why) => why,
        };
        let text = line.text.char_indices().nth(64).map_or(line.text.as_str(), |(end, _)| &line.text[..end]);
        let skip = SkippedLine { line: line.number, code: text.to_owned(), why };
        if matches!(why, LineVerdict::Invalid(_) | LineVerdict::HeldBy(_)) {
            in_conflict.push(skip.clone());
        }
        skipped.push(skip);
    }
    if on_conflict == OnConflict::Reject && !in_conflict.is_empty() {
        return Err(TakeError::Conflicts(in_conflict));
    }
    let current = campaign.and_then(|campaign| state.campaigns.of(campaign)).map_or(0, |campaign| campaign.codes.len());
    let limit = state.settings().codes_per_campaign_max;
    if current + codes.len() > limit as usize {
        return Err(TakeError::TooMany(CodeLimit { limit, current: current as u32, would_add: codes.len() as u32 }));
    }
    Ok(Taken { codes, skipped })
}

/// Why a line is not added; `None` if it is.
fn verdict<'a>(
    campaign: Option<CampaignId>,
    line: &'a Line,
    line_of: &mut HashMap<&'a str, u32, foldhash::fast::RandomState>,
    lookup: &impl Lookup,
) -> Option<LineVerdict> {
    let code = match &line.code {
        Ok(code) => code,
        Err(why) => return Some(LineVerdict::Invalid(*why)),
    };
    if let Some(of_line) = line_of.get(code.as_str()) {
        return Some(LineVerdict::DuplicateInList { of_line: *of_line });
    }
    line_of.insert(code.as_str(), line.number);
    match lookup.find(code) {
        Some(at) if Some(at.campaign) == campaign => Some(LineVerdict::AlreadyInCampaign),
        Some(at) => Some(LineVerdict::HeldBy(at.campaign)),
        None => None,
    }
}
