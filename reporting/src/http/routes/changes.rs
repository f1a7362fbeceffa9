//! What was changed: of all, and of a campaign.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::CampaignId;
use scrip_web::problem::Problem;

use crate::figures::activations::Before;
use crate::http::answer::Api;
use crate::http::caller::CAMPAIGNS;
use crate::http::parameters::{Asked, Asks, Parameters};
use crate::search::{self, Changes};
use crate::sight::Subject;

/// The changes of a campaign are asked for.
pub(crate) struct OfCampaign(CampaignId, Before);

impl Asks for OfCampaign {
    fn read(from: &mut Parameters) -> Result<OfCampaign, Problem> {
        Ok(OfCampaign(from.campaign()?, Before::read(from)?))
    }
}

/// Who changed what
///
/// Campaigns, codes, clubs, groups, rules, credentials, readers and settings, the newest change first. A role sees changes of what its commands
/// are about. A page may be short, or empty, and still have a next one.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", params(Asked<Before>),
    responses((status = 200, description = "A page of them.", body = Changes)))]
pub(crate) async fn changes(State(api): State<Api>, asked: Asked<Before>) -> Result<Response, Problem> {
    let before = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "page", move |view, caller| {
        let sight = caller.sight();
        search::changes(view, None, before, &|kind| sight.sees(Subject::of_record(kind)))
    })
    .await
}

/// Who changed what of a campaign
///
/// The newest change first.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/changes", tag = "changes", params(Asked<OfCampaign>),
    operation_id = "changes_of_campaign",
    responses((status = 200, description = "A page of them.", body = Changes)))]
pub(crate) async fn of_campaign(State(api): State<Api>, asked: Asked<OfCampaign>) -> Result<Response, Problem> {
    let OfCampaign(campaign, before) = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "campaign", move |view, caller| {
        let sight = caller.sight();
        search::changes(view, Some(campaign), before, &|kind| sight.sees(Subject::of_record(kind)))
    })
    .await
}
