//! Update some of a campaign's terms. They apply to later activations; earlier ones stay as they were (A8), and holds stay
//! promised. A limit can be lowered below what is taken already; then nothing more is granted until enough has become free.

use std::sync::Arc;

use scrip_protocol::command::{CampaignUpdated, UpdateCampaign, UpdateCampaignOutcome as Outcome};
use scrip_protocol::{Record, Stamp};

use super::create_campaign::in_order;
use super::{State, refused};

pub(super) fn decide(state: &State, stamp: Stamp, request: &UpdateCampaign) -> Record {
    let refuse = |outcome: Outcome| refused::<UpdateCampaign>(stamp, &outcome);
    let Some(campaign) = state.campaigns.of(request.campaign) else { return refuse(Outcome::UnknownCampaign) };
    match in_order(state, request.applied_to(&campaign.terms)) {
        Ok(terms) => CampaignUpdated { stamp, campaign: request.campaign, terms }.into(),
        Err(why) => refuse(Outcome::InvalidTerms(why)),
    }
}

pub(super) fn apply(state: &mut State, record: &CampaignUpdated) {
    let (now_ms, position) = (state.now_ms, state.position);
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        let cap = campaign.terms.activations_per_code_max;
        campaign.terms = Arc::new(record.terms.clone());
        campaign.count_clients_from(now_ms, position);
        if cap != record.terms.activations_per_code_max {
            campaign.recount();
            state.holds.recount(&state.campaigns, record.campaign);
        }
    }
}
