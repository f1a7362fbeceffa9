//! Activations: of a campaign, of a code, of all, and one of them.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::{CampaignId, Position};
use scrip_web::problem::Problem;

use crate::figures::activations::{self, Activations, Before, OneActivation};
use crate::http::answer::{Api, Follows};
use crate::http::caller::CAMPAIGNS;
use crate::http::parameters::{Asked, Asks, Parameters, WHOLE_MAX};
use crate::http::problems::{AsOfProblem, NOT_KNOWN_HERE};
use crate::read_model::AsOf;

impl Asks for Before {
    fn read(from: &mut Parameters) -> Result<Before, Problem> {
        Ok(Before { before: from.before()?, limit: from.limit(100, 1_000)? })
    }
}

/// The activations of a campaign are asked for.
pub(crate) struct OfCampaign(CampaignId, Before);

impl Asks for OfCampaign {
    fn read(from: &mut Parameters) -> Result<OfCampaign, Problem> {
        Ok(OfCampaign(from.campaign()?, Before::read(from)?))
    }
}

/// The activations of a code are asked for.
pub(crate) struct OfCode {
    campaign: CampaignId,
    slot: u32,
    before: Before,
}

impl Asks for OfCode {
    fn read(from: &mut Parameters) -> Result<OfCode, Problem> {
        let campaign = from.campaign()?;
        let slot =
            from.number_in_path("slot", u32::MAX.into(), "Which of its codes: its place in the order of adding, from 0.")?;
        let slot = u32::try_from(slot).map_err(|_| Problem::no_such("code"))?;
        Ok(OfCode { campaign, slot, before: Before::read(from)? })
    }
}

/// An activation is asked for.
pub(crate) struct OneAsked(Position);

impl Asks for OneAsked {
    fn read(from: &mut Parameters) -> Result<OneAsked, Problem> {
        from.number_in_path("activation", WHOLE_MAX, "The activation's id: its position.").map(|id| OneAsked(Position(id)))
    }
}

/// The activations of a campaign
///
/// The newest first: who, when, where, which code, how much, and what became of it.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/activations", tag = "activations", params(Asked<OfCampaign>),
    responses((status = 200, description = "A page of them.", body = Activations)))]
pub(crate) async fn of_campaign(State(api): State<Api>, asked: Asked<OfCampaign>) -> Result<Response, Problem> {
    let OfCampaign(campaign, before) = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "campaign", move |view, _| activations::of_campaign(view, campaign, before)).await
}

/// The activations of a code
///
/// The newest first.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/codes/{slot}/activations", tag = "activations", params(Asked<OfCode>),
    operation_id = "activations_of_code",
    responses((status = 200, description = "A page of them.", body = Activations)))]
pub(crate) async fn of_code(State(api): State<Api>, asked: Asked<OfCode>) -> Result<Response, Problem> {
    let OfCode { campaign, slot, before } = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "code", move |view, _| activations::of_code(view, campaign, slot, before)).await
}

/// All activations
///
/// The newest first.
#[utoipa::path(get, path = "/v1/activations", tag = "activations", params(Asked<Before>),
    responses((status = 200, description = "A page of them.", body = Activations)))]
pub(crate) async fn activations(State(api): State<Api>, asked: Asked<Before>) -> Result<Response, Problem> {
    let before = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "page", move |view, _| activations::of_all(view, before).map(Some)).await
}

fn not_known_here(as_of: AsOf) -> Problem {
    let AsOf { position, history_after, .. } = as_of;
    let detail = format!("the history in here begins after position {history_after}, and goes to position {position}");
    Problem::new(NOT_KNOWN_HERE, detail).as_of(as_of)
}

/// An activation
///
/// One before the beginning of the history in here, or after its newest record, is not known here.
#[utoipa::path(get, path = "/v1/activations/{activation}", tag = "activations", params(Asked<OneAsked>),
    responses((status = 200, description = "The activation.", body = OneActivation)))]
pub(crate) async fn activation(State(api): State<Api>, asked: Asked<OneAsked>) -> Result<Response, Problem> {
    let OneAsked(id) = asked.asked;
    api.answer_or_problem(Follows::Position, asked.arrival, CAMPAIGNS, move |view, _| {
        let as_of = view.as_of;
        let found = activations::one(view, id)?.map(|activation| OneActivation { activation, as_of });
        Ok(found.ok_or_else(|| match as_of.covers(id) {
            true => Problem::no_such("activation").as_of(as_of),
            false => not_known_here(as_of),
        }))
    })
    .await
}
