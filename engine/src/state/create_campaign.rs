//! Create a campaign with its first codes (C2, C3).

use scrip_protocol::command::{
    CLUBS_PER_CAMPAIGN_MAX, CampaignCreated, CreateCampaign, CreateCampaignOutcome as Outcome, OnConflict, Terms,
};
use scrip_protocol::{Money, Record, Stamp};

use super::add_codes::{Line, TakeError, take};
use super::tables::Campaign;
use super::{Lookup, State, is_name, refused};

/// A request to create a campaign, with its codes normalised.
#[derive(Debug, Clone)]
pub struct AskedCreateCampaign {
    /// The terms.
    pub terms: Terms,
    /// The lines that are not blank.
    pub lines: Vec<Line>,
    /// What is to become of the others when a line cannot be added.
    pub on_conflict: OnConflict,
}

pub(super) fn decide(state: &State, stamp: Stamp, asked: &AskedCreateCampaign, lookup: &impl Lookup) -> Record {
    let refuse = |outcome: Outcome| refused::<CreateCampaign>(stamp, &outcome);
    let mut terms = asked.terms.clone();
    terms.clubs.sort_unstable();
    terms.clubs.dedup();

    if !is_name(&terms.name) {
        return refuse(Outcome::InvalidName);
    }
    if terms.amount <= Money(0) {
        return refuse(Outcome::InvalidAmount);
    }
    if terms.activations_per_code_max == Some(0) {
        return refuse(Outcome::InvalidCap);
    }
    if let (Some(starts), Some(ends)) = (terms.starts_ms, terms.ends_ms)
        && ends < starts
    {
        return refuse(Outcome::PeriodReversed);
    }
    if terms.clubs.len() > CLUBS_PER_CAMPAIGN_MAX {
        return refuse(Outcome::TooManyClubs);
    }
    if let Some(club) = terms.clubs.iter().find(|club| !state.clubs.contains(**club)) {
        return refuse(Outcome::UnknownClub(*club));
    }
    match take(state, None, &asked.lines, asked.on_conflict, lookup) {
        Ok(taken) if taken.codes.is_empty() => refuse(Outcome::Conflicts(taken.skipped)),
        Ok(taken) => {
            let campaign = state.campaigns.next();
            CampaignCreated { stamp, campaign, terms, codes: taken.codes, skipped: taken.skipped }.into()
        }
        Err(TakeError::NoCodes) => refuse(Outcome::CodesMissing),
        Err(TakeError::Conflicts(lines)) => refuse(Outcome::Conflicts(lines)),
        Err(TakeError::TooMany(limit)) => refuse(Outcome::TooManyCodes(limit)),
    }
}

pub(super) fn apply(state: &mut State, record: &CampaignCreated) {
    let mut campaign = Campaign::new(record.terms.clone(), state.now_ms);
    campaign.add_codes(&record.codes, state.now_ms, state.position);
    state.campaigns.add(campaign);
}
