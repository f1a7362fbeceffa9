//! Switch a campaign on or off (C7).

use std::sync::Arc;

use scrip_protocol::command::{CampaignSwitched, SwitchCampaign, SwitchCampaignOutcome};
use scrip_protocol::{Record, Stamp};

use super::{State, refused};

pub(super) fn decide(state: &State, stamp: Stamp, asked: &SwitchCampaign) -> Record {
    if state.campaigns.of(asked.campaign).is_none() {
        return refused::<SwitchCampaign>(stamp, &SwitchCampaignOutcome::UnknownCampaign);
    }
    CampaignSwitched { stamp, campaign: asked.campaign, active: asked.active }.into()
}

pub(super) fn apply(state: &mut State, record: &CampaignSwitched) {
    if let Some(campaign) = state.campaigns.of_mut(record.campaign) {
        Arc::make_mut(&mut campaign.terms).active = record.active;
    }
}
