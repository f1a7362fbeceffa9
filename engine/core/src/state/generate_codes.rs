//! Generate codes (Z8). The lane draws the codes: for the state, the random choices are part of the request.

use scrip_protocol::command::{
    CodeLimit, CodeTexts, CodesGenerated, GUESSES_PER_HIT_MIN, GenerateCodes, GenerateCodesOutcome as Outcome, InvalidPattern,
    LINES_MAX,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::{CodeList, Lookup, State, refused};

/// A request to generate codes, with the drawn codes.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The campaign.
    pub campaign: CampaignId,
    /// The number requested.
    pub count: u32,
    /// The codes drawn from the pattern, or what is wrong with the pattern.
    pub drawn: Result<Drawn, InvalidPattern>,
}

/// Codes drawn from a pattern.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The number of codes of the pattern, capped at the maximum of the type.
    pub space: u128,
    /// An upper bound for the number of codes that campaigns hold and the pattern could draw, as of the index when the request
    /// was read.
    pub existing: u64,
    /// Some of them, a few more than requested, because some may already exist.
    pub list: CodeList,
}

/// The average number of attempts per hit of any campaign's code, for a guesser who knows the pattern: counts existing codes and
/// `count` more.
pub fn guesses_per_hit(space: u128, existing: u64, count: u32) -> u64 {
    let hit = u128::from(existing) + u128::from(count);
    u64::try_from(space / hit.max(1)).unwrap_or(u64::MAX)
}

pub(super) fn decide(state: &State, stamp: Stamp, request: &GenerateRequest, lookup: &impl Lookup) -> Record {
    let refuse = |outcome| refused::<GenerateCodes>(stamp, &outcome);
    let Some(campaign) = state.campaigns.of(request.campaign) else { return refuse(Outcome::UnknownCampaign) };
    if campaign.is_archived() {
        return refuse(Outcome::CampaignArchived);
    }
    if !(1..=LINES_MAX).contains(&(request.count as usize)) {
        return refuse(Outcome::InvalidCount);
    }
    let drawn = match &request.drawn {
        Ok(drawn) => drawn,
        Err(why) => return refuse(Outcome::InvalidPattern(*why)),
    };
    let (limit, current) = (state.settings().codes_per_campaign(), campaign.codes.len());
    if current + request.count as usize > limit as usize {
        return refuse(Outcome::TooManyCodes(CodeLimit { limit, current: current as u32, would_add: request.count }));
    }
    let guesses_per_hit = guesses_per_hit(drawn.space, drawn.existing, request.count);
    if guesses_per_hit < GUESSES_PER_HIT_MIN {
        return refuse(Outcome::SpaceTooSmall { guesses_per_hit });
    }
    // Archived codes count as existing, so that a new one never prevents a restore.
    let mut exists = Vec::with_capacity(drawn.list.codes().len());
    lookup.find_all(drawn.list.normalised(), |at| exists.push(at.is_some()));
    let new = drawn.list.codes().iter().zip(&exists).filter(|(_, exists)| !**exists).map(|(code, _)| code);
    let codes: CodeTexts = new.take(request.count as usize).collect();
    if codes.len() < request.count as usize {
        return refuse(Outcome::Collisions);
    }
    CodesGenerated { stamp, campaign: request.campaign, first_slot: current as u32, codes, guesses_per_hit }.into()
}

pub(super) fn apply(state: &mut State, record: &CodesGenerated) {
    let (now_ms, position) = (state.now_ms, state.position);
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        campaign.add_codes(&record.codes, now_ms, position);
    }
}
