//! Changes by staff: all of them, or those of a campaign.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::CampaignId;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::Problem;

use crate::figures::activation_list::Before;
use crate::http::answer::Api;
use crate::http::answer::Query;
use crate::http::credentials::CAMPAIGNS;
use crate::search::{self, Changes};
use crate::sight::{Sight, Subject};

/// Selects changes of a campaign.
pub(crate) struct CampaignChangesQuery(CampaignId, Before);

impl FromParameters for CampaignChangesQuery {
    fn read(from: &mut Parameters) -> Result<CampaignChangesQuery, Problem> {
        Ok(CampaignChangesQuery(from.campaign()?, Before::read(from)?))
    }
}

/// List changes
///
/// Changes of campaigns, codes, clubs, groups, rules, credentials, readers and settings, newest first. A role sees changes on the
/// subjects of its commands. A page can be short or empty and still have a `next`.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", params(Query<Before>),
    responses((status = 200, description = "A page of changes.", body = Changes)))]
pub(crate) async fn changes(State(api): State<Api>, query: Query<Before>) -> Result<Response, Problem> {
    let before = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "page", move |view, caller| {
        let sight = Sight::of(caller);
        search::changes(view, None, before, &|kind| sight.sees(Subject::of_record(kind)))
    })
    .await
}

/// List the changes of a campaign
///
/// Newest first.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/changes", tag = "changes", params(Query<CampaignChangesQuery>),
    operation_id = "changes_of_campaign",
    responses((status = 200, description = "A page of changes.", body = Changes)))]
pub(crate) async fn of_campaign(State(api): State<Api>, query: Query<CampaignChangesQuery>) -> Result<Response, Problem> {
    let CampaignChangesQuery(campaign, before) = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "campaign", move |view, caller| {
        let sight = Sight::of(caller);
        search::changes(view, Some(campaign), before, &|kind| sight.sees(Subject::of_record(kind)))
    })
    .await
}
