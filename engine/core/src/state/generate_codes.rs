//! Generate codes (Z8). The codes are drawn by the lane: to the state, what chance has brought is a part of the request.

use scrip_protocol::command::{
    CodeLimit, CodeTexts, CodesGenerated, GUESSES_PER_HIT_MIN, GenerateCodes, GenerateCodesOutcome as Outcome, InvalidPattern,
    LINES_MAX,
};
use scrip_protocol::{CampaignId, Record, Stamp};

use super::{CodeList, Lookup, State, refused};

/// A request to generate codes, with the codes that were drawn.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The campaign.
    pub campaign: CampaignId,
    /// How many are wanted.
    pub count: u32,
    /// What was drawn to the pattern; or what is wrong with it.
    pub drawn: Result<Drawn, InvalidPattern>,
}

/// Codes drawn to a pattern.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// How many codes the pattern has; the highest number there is where they are more.
    pub space: u128,
    /// How many codes that campaigns hold the pattern could draw, as the index had them when the request was read; or more than that.
    pub existing: u64,
    /// Some of them, a few more than are wanted, so that some may exist already.
    pub list: CodeList,
}

/// The attempts of a guesser who knows a pattern, for each that hits a code of any campaign, on average: of those that exist, and of some more.
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
    // Archived codes exist as well, so that none stands in the way of a restoring.
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
