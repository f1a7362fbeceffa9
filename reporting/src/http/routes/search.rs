//! What became of a code or a request, why attempts were refused, and a search that guesses what is meant.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::{CampaignId, RequestId, Role};

use crate::figures::activations::Before;
use crate::http::answer::{Api, Follows};
use crate::http::caller::{CAMPAIGNS, CLIENTS, REQUESTS};
use crate::http::parameters::{Asked, Asks, Parameters};
use crate::http::problem::Problem;
use crate::refusals::{self, ATTEMPTS_MAX, RefusalFilter, Refusals};
use crate::search::{self, CodeFound, Found, RequestFound};

/// Refusals are asked for.
pub(crate) struct RefusalsAsked(RefusalFilter, Before);

impl Asks for RefusalsAsked {
    fn read(from: &mut Parameters) -> Result<RefusalsAsked, Problem> {
        let client = from.text("client", "Only of this client: a decimal number or a UUID.")?;
        let client = client.map(|client| client.parse()).transpose().map_err(|_| Problem::no_such("client"))?;
        let code = from.text("code", "Only of this code, in any letter case.")?;
        let campaign = from.number("campaign", 0, u32::MAX.into(), "Only of codes that this campaign has or had.")?;
        let campaign = campaign.and_then(|campaign| u32::try_from(campaign).ok()).map(CampaignId);
        Ok(RefusalsAsked(RefusalFilter { client, code, campaign }, Before::read(from)?))
    }
}

/// What became of a code is asked.
pub(crate) struct CodeAsked(String);

impl Asks for CodeAsked {
    fn read(from: &mut Parameters) -> Result<CodeAsked, Problem> {
        Ok(CodeAsked(from.text_in_path("code", "The code, in any letter case.")?.unwrap_or_default()))
    }
}

/// What became of a request is asked.
pub(crate) struct RequestAsked(RequestId);

impl Asks for RequestAsked {
    fn read(from: &mut Parameters) -> Result<RequestAsked, Problem> {
        let request = from.name_in_path("request", "The id of the request: a UUID.")?;
        Ok(RequestAsked(request.unwrap_or(RequestId(0))))
    }
}

/// Something is searched.
pub(crate) struct Searched(String);

impl Asks for Searched {
    fn read(from: &mut Parameters) -> Result<Searched, Problem> {
        from.text_needed("q", "A code, the id of a client, a request or an activation, or the beginning of a client's name.")
            .map(Searched)
    }
}

/// Refused attempts
///
/// The newest first, each with the condition that decided it. A page may be short, as only so many are looked at for one.
#[utoipa::path(get, path = "/v1/refusals", tag = "refusals", params(Asked<RefusalsAsked>),
    responses((status = 200, description = "A page of them.", body = Refusals)))]
pub(crate) async fn refusals(State(api): State<Api>, asked: Asked<RefusalsAsked>) -> Result<Response, Problem> {
    let RefusalsAsked(filter, before) = asked.asked;
    let attempts = api.attempts.clone().filter(|_| before.before.is_none());
    let follows = if api.attempts.is_some() { Follows::FromMore } else { Follows::FromPosition };
    let read = move |view: &crate::read_model::View<'_>| {
        let attempts = attempts.map(|attempts| attempts(&filter, ATTEMPTS_MAX)).unwrap_or_default();
        Ok(Some(Refusals { attempts, ..refusals::list(view, &filter, before)? }))
    };
    api.answer_that(follows, asked.arrival, CLIENTS, "page", move |view, _| read(view)).await
}

/// What became of a code
///
/// Every campaign that has it or had it, who activated it there, and which attempts were refused.
#[utoipa::path(get, path = "/v1/codes/{code}", tag = "codes", params(Asked<CodeAsked>),
    operation_id = "code",
    responses((status = 200, description = "The code.", body = CodeFound)))]
pub(crate) async fn code(State(api): State<Api>, asked: Asked<CodeAsked>) -> Result<Response, Problem> {
    let CodeAsked(code) = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "code", move |view, _| search::by_code(view, &code)).await
}

/// What became of a request
///
/// Which record it made and what that did, however old it is. A gateway sees its own requests.
#[utoipa::path(get, path = "/v1/requests/{request}", tag = "requests", params(Asked<RequestAsked>),
    responses((status = 200, description = "The request.", body = RequestFound)))]
pub(crate) async fn request(State(api): State<Api>, asked: Asked<RequestAsked>) -> Result<Response, Problem> {
    let RequestAsked(request) = asked.asked;
    api.answer(asked.arrival, REQUESTS, "request", move |view, caller| {
        let found = search::by_request(view, request)?;
        let may_see = |found: &RequestFound| caller.role != Role::Gateway || found.credential == caller.credential;
        Ok(found.filter(may_see))
    })
    .await
}

/// Search
///
/// Guesses what a text means, and answers all that it may. Codes and activations are left out for those who may not see campaigns.
#[utoipa::path(get, path = "/v1/search", tag = "search", params(Asked<Searched>),
    responses((status = 200, description = "What was found.", body = Found)))]
pub(crate) async fn search(State(api): State<Api>, asked: Asked<Searched>) -> Result<Response, Problem> {
    let Searched(text) = asked.asked;
    let found = move |view: &crate::read_model::View<'_>, sees_codes| search::guess(view, &text, sees_codes).map(Some);
    api.answer(asked.arrival, CLIENTS, "page", move |view, caller| found(view, search::sees_codes(caller.role))).await
}
