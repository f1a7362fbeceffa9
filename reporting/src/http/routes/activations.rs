//! Activations: of a campaign, of a code, all of them, or one.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::{CampaignId, Position};
use scrip_web::parameters::{FromParameters, Parameters, WHOLE_MAX};
use scrip_web::problem::Problem;

use super::before;
use crate::figures::activation_list::{self, Activations, Before, OneActivation};
use crate::http::answer::Query;
use crate::http::answer::{Api, Follows};
use crate::http::credentials::CAMPAIGNS;
use crate::http::problems::{AsOfProblem, NOT_KNOWN_HERE};
use crate::read_model::AsOf;

impl FromParameters for Before {
    fn read(from: &mut Parameters) -> Result<Before, Problem> {
        Ok(Before { before: before(from)?, limit: from.limit(100, 1_000)? })
    }
}

/// Selects activations of a campaign.
pub(crate) struct CampaignActivationsQuery(CampaignId, Before);

impl FromParameters for CampaignActivationsQuery {
    fn read(from: &mut Parameters) -> Result<CampaignActivationsQuery, Problem> {
        Ok(CampaignActivationsQuery(from.campaign()?, Before::read(from)?))
    }
}

/// Selects activations of a code.
pub(crate) struct CodeActivationsQuery {
    campaign: CampaignId,
    slot: u32,
    before: Before,
}

impl FromParameters for CodeActivationsQuery {
    fn read(from: &mut Parameters) -> Result<CodeActivationsQuery, Problem> {
        let campaign = from.campaign()?;
        let slot = from.number_in_path(
            "slot",
            u32::MAX.into(),
            "The slot of the code in the campaign: codes are numbered from 0 in the order in which they were added.",
        )?;
        let slot = u32::try_from(slot).map_err(|_| Problem::no_such("code"))?;
        Ok(CodeActivationsQuery { campaign, slot, before: Before::read(from)? })
    }
}

/// Selects an activation.
pub(crate) struct ActivationQuery(Position);

impl FromParameters for ActivationQuery {
    fn read(from: &mut Parameters) -> Result<ActivationQuery, Problem> {
        from.number_in_path("activation", WHOLE_MAX, "The id of the activation: its journal position.")
            .map(|id| ActivationQuery(Position(id)))
    }
}

/// List the activations of a campaign
///
/// Newest first: client, time, club, code, bonus, and refund.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/activations", tag = "activations", params(Query<CampaignActivationsQuery>),
    responses((status = 200, description = "A page of activations.", body = Activations)))]
pub(crate) async fn of_campaign(State(api): State<Api>, query: Query<CampaignActivationsQuery>) -> Result<Response, Problem> {
    let CampaignActivationsQuery(campaign, before) = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "campaign", move |view, _| activation_list::of_campaign(view, campaign, before)).await
}

/// List the activations of a code
///
/// Newest first.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/codes/{slot}/activations", tag = "activations", params(Query<CodeActivationsQuery>),
    operation_id = "activations_of_code",
    responses((status = 200, description = "A page of activations.", body = Activations)))]
pub(crate) async fn of_code(State(api): State<Api>, query: Query<CodeActivationsQuery>) -> Result<Response, Problem> {
    let CodeActivationsQuery { campaign, slot, before } = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "code", move |view, _| activation_list::of_code(view, campaign, slot, before)).await
}

/// List all activations
///
/// Newest first.
#[utoipa::path(get, path = "/v1/activations", tag = "activations", params(Query<Before>),
    responses((status = 200, description = "A page of activations.", body = Activations)))]
pub(crate) async fn activations(State(api): State<Api>, query: Query<Before>) -> Result<Response, Problem> {
    let before = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "page", move |view, _| activation_list::of_all(view, before).map(Some)).await
}

fn not_known_here(as_of: AsOf) -> Problem {
    let AsOf { position, history_after, .. } = as_of;
    let detail = format!("this history covers positions after {history_after} up to {position}");
    Problem::new(NOT_KNOWN_HERE, detail).at_view(as_of)
}

/// Get an activation
///
/// An id before this history begins, or after its newest record, is `not-known-here`.
#[utoipa::path(get, path = "/v1/activations/{activation}", tag = "activations", params(Query<ActivationQuery>),
    responses((status = 200, description = "The activation.", body = OneActivation)))]
pub(crate) async fn activation(State(api): State<Api>, query: Query<ActivationQuery>) -> Result<Response, Problem> {
    let ActivationQuery(id) = query.parameters;
    api.answer_or_problem(Follows::Position, query.arrival, CAMPAIGNS, move |view, _| {
        let as_of = view.as_of;
        let found = activation_list::one(view, id)?.map(|activation| OneActivation { activation, as_of });
        Ok(found.ok_or_else(|| match as_of.covers(id) {
            true => Problem::no_such("activation").at_view(as_of),
            false => not_known_here(as_of),
        }))
    })
    .await
}
