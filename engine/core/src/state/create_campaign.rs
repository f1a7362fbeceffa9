//! Create a campaign with its first codes (C2 to C5).

use scrip_protocol::command::{
    CAMPAIGNS_MAX, CLUBS_PER_CAMPAIGN_MAX, CampaignCreated, CreateCampaign, CreateCampaignOutcome as Outcome, InvalidTerms,
    OnConflict, Terms,
};
use scrip_protocol::{Money, Record, Stamp};

use super::add_codes::{TakeError, take};
use super::tables::Campaign;
use super::{CodeList, Lookup, State, is_name, refused};

/// A request to create a campaign, with its codes prepared.
#[derive(Debug, Clone)]
pub struct CreateCampaignRequest {
    /// The terms.
    pub terms: Terms,
    /// The codes.
    pub list: CodeList,
    /// What to do with the other lines if a line cannot be added.
    pub on_conflict: OnConflict,
}

pub(super) fn decide(state: &State, stamp: Stamp, request: &CreateCampaignRequest, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: Outcome| refused::<CreateCampaign>(stamp, &outcome);
    let terms = match in_order(state, request.terms.clone()) {
        Ok(terms) => terms,
        Err(why) => return refuse(Outcome::InvalidTerms(why)),
    };
    match take(state, None, &request.list, request.on_conflict, lookup) {
        Ok(taken) if taken.codes.is_empty() => refuse(Outcome::Conflicts(taken.skipped)),
        Ok(_) if !state.campaigns.are_below(state.credentials.limit_of(stamp.credential, CAMPAIGNS_MAX)) => {
            refuse(Outcome::TooManyCampaigns)
        }
        Ok(taken) => {
            let campaign = state.campaigns.next();
            CampaignCreated { stamp, campaign, terms, codes: taken.codes, skipped: taken.skipped }.into()
        }
        Err(TakeError::NoCodes) => refuse(Outcome::CodesMissing),
        Err(TakeError::TooManyLines) => refuse(Outcome::TooManyLines),
        Err(TakeError::Conflicts(lines)) => refuse(Outcome::Conflicts(lines)),
        Err(TakeError::TooMany(limit)) => refuse(Outcome::TooManyCodes(limit)),
    }
}

/// Terms with their clubs in order, if they are valid (C3).
pub(super) fn in_order(state: &State, mut terms: Terms) -> Result<Terms, InvalidTerms> {
    // A much longer list is too long, whatever it repeats; it is not sorted.
    if terms.clubs.len() <= 2 * CLUBS_PER_CAMPAIGN_MAX {
        terms.clubs.sort_unstable();
        terms.clubs.dedup();
    }
    if !is_name(&terms.name) {
        return Err(InvalidTerms::Name);
    }
    if terms.amount <= Money(0) {
        return Err(InvalidTerms::Amount);
    }
    let caps = [terms.activations_per_code_max, terms.activations_per_client_max];
    if caps.contains(&Some(0)) || terms.activations_max == Some(0) {
        return Err(InvalidTerms::Cap);
    }
    if terms.budget.is_some_and(|budget| budget <= Money(0)) {
        return Err(InvalidTerms::Budget);
    }
    if let (Some(starts), Some(ends)) = (terms.starts_ms, terms.ends_ms)
        && ends < starts
    {
        return Err(InvalidTerms::PeriodReversed);
    }
    if terms.enforce_period && terms.starts_ms.is_none() && terms.ends_ms.is_none() {
        return Err(InvalidTerms::PeriodMissing);
    }
    if terms.clubs.len() > CLUBS_PER_CAMPAIGN_MAX {
        return Err(InvalidTerms::TooManyClubs);
    }
    match terms.clubs.iter().find(|club| !state.clubs.contains(**club)) {
        Some(club) => Err(InvalidTerms::UnknownClub(*club)),
        None => Ok(terms),
    }
}

pub(super) fn apply(state: &mut State, record: &CampaignCreated) {
    let mut campaign = Campaign::new(record.terms.clone(), state.now_ms);
    campaign.add_codes(&record.codes, state.now_ms, state.position);
    state.campaigns.add(campaign);
}
