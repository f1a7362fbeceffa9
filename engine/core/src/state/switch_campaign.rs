//! Switch a campaign on or off (C7).

use std::sync::Arc;

use scrip_protocol::command::{CampaignSwitched, SwitchCampaign, SwitchCampaignOutcome};
use scrip_protocol::{Record, Stamp};

use super::{State, refused};

pub(super) fn decide(state: &State, stamp: Stamp, request: &SwitchCampaign) -> Record {
    if state.campaigns.of(request.campaign).is_none() {
        return refused::<SwitchCampaign>(stamp, &SwitchCampaignOutcome::UnknownCampaign);
    }
    CampaignSwitched { stamp, campaign: request.campaign, active: request.active }.into()
}

pub(super) fn apply(state: &mut State, record: &CampaignSwitched) {
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        Arc::make_mut(&mut campaign.terms).active = record.active;
    }
}
