//! What became of a code or a request, why attempts were refused, and a search that guesses what is meant.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::{CampaignId, RequestId};
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::{Kind, Problem};

use crate::figures::activations::Before;
use crate::http::answer::Query;
use crate::http::answer::{Api, Follows};
use crate::http::credentials::{CAMPAIGNS, CLIENTS, REQUESTS};
use crate::http::problems::{AsOfProblem, NOT_KNOWN_HERE};
use crate::refusals::{self, ATTEMPTS_MAX, RefusalFilter, Refusals};
use crate::search::{self, CodeFound, Coverage, Found, RequestFound};
use crate::sight::{Sight, Subject};

/// Selects refusals.
pub(crate) struct RefusalsQuery(RefusalFilter, Before);

impl FromParameters for RefusalsQuery {
    fn read(from: &mut Parameters) -> Result<RefusalsQuery, Problem> {
        let client = from.name(
            "client",
            "Only of this client: a decimal number without leading zeros, or a UUID in lower case with hyphens.",
        )?;
        let code = from.text("code", "Only of this code, in any letter case.")?;
        let campaign = from.number("campaign", 0, u32::MAX.into(), "Only of codes that this campaign has or had.")?;
        let campaign = campaign.and_then(|campaign| u32::try_from(campaign).ok()).map(CampaignId);
        Ok(RefusalsQuery(RefusalFilter { client, code, campaign }, Before::read(from)?))
    }
}

/// Selects a code.
pub(crate) struct CodeQuery(String);

impl FromParameters for CodeQuery {
    fn read(from: &mut Parameters) -> Result<CodeQuery, Problem> {
        Ok(CodeQuery(from.text_in_path("code", "The code, in any letter case.")?.unwrap_or_default()))
    }
}

/// Selects a request.
pub(crate) struct RequestQuery(RequestId);

impl FromParameters for RequestQuery {
    fn read(from: &mut Parameters) -> Result<RequestQuery, Problem> {
        from.request_in_path("request", "The id of the request: a UUID.").map(RequestQuery)
    }
}

/// A text to search for.
pub(crate) struct SearchQuery(String);

impl FromParameters for SearchQuery {
    fn read(from: &mut Parameters) -> Result<SearchQuery, Problem> {
        from.text_needed(
            "q",
            "A code, the id of a client, a request, an activation or a campaign, or a part of a client's or a campaign's name.",
        )
        .map(SearchQuery)
    }
}

/// Refused attempts
///
/// The newest first, each with the condition that decided it. A page may be short, as only so many are looked at for one.
#[utoipa::path(get, path = "/v1/refusals", tag = "refusals", params(Query<RefusalsQuery>),
    responses((status = 200, description = "A page of them.", body = Refusals)))]
pub(crate) async fn refusals(State(api): State<Api>, query: Query<RefusalsQuery>) -> Result<Response, Problem> {
    let RefusalsQuery(filter, before) = query.parameters;
    let by_campaign = filter.campaign.is_some();
    let attempts = api.attempts.clone().filter(|_| before.before.is_none());
    let follows = if api.attempts.is_some() { Follows::More } else { Follows::Position };
    api.answer_or_problem(follows, query.arrival, CLIENTS, move |view, caller| {
        let sight = Sight::of(caller);
        if by_campaign && !sight.reasons {
            // Which campaign had a code is a reason.
            return Ok(Err(Problem::new(Kind::FORBIDDEN, "this credential does not learn which campaign a refused code is of")));
        }
        let form = crate::read_model::code_form(view.connection)?;
        let attempts = attempts.map(|attempts| attempts(&filter, form, ATTEMPTS_MAX)).unwrap_or_default();
        let page = refusals::list(view, &filter, before, &|command| sight.sees(Subject::of_command(command)))?;
        let (refusals, attempts) = (sight.refusals(page.refusals), sight.attempts(attempts));
        Ok(Ok(Refusals { refusals, attempts, ..page }))
    })
    .await
}

/// What became of a code
///
/// Every campaign that has it or had it, who activated it there, and which attempts were refused.
#[utoipa::path(get, path = "/v1/codes/{code}", tag = "codes", params(Query<CodeQuery>),
    operation_id = "code",
    responses((status = 200, description = "The code.", body = CodeFound)))]
pub(crate) async fn code(State(api): State<Api>, query: Query<CodeQuery>) -> Result<Response, Problem> {
    let CodeQuery(code) = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "code", move |view, caller| {
        let sight = Sight::of(caller);
        Ok(search::by_code(view, &code)?.and_then(|found| sight.code(found)))
    })
    .await
}

/// What became of a request
///
/// Which record it made and what that did, however old it is. A gateway sees its own requests; others see requests about what their
/// commands are about. `not-found` says that the request was never executed, and never will be: it is answered only where the history in
/// here covers all of the time in which the engine may execute it. Otherwise a request without a record is `not-known-here`.
#[utoipa::path(get, path = "/v1/requests/{request}", tag = "requests", params(Query<RequestQuery>),
    responses((status = 200, description = "The request.", body = RequestFound)))]
pub(crate) async fn request(State(api): State<Api>, query: Query<RequestQuery>) -> Result<Response, Problem> {
    let RequestQuery(request) = query.parameters;
    api.answer_or_problem(Follows::Position, query.arrival, REQUESTS, move |view, caller| {
        let as_of = view.as_of;
        if let Some(found) = search::by_request(view, request)? {
            // Never as if there were none: whoever has the id would send the request again under another one.
            let not_seen = || Problem::new(Kind::FORBIDDEN, "there is such a request, and this credential may not see it");
            return Ok(Sight::of(caller).request(found).ok_or_else(not_seen));
        }
        let detail = match search::coverage(view, request)? {
            Coverage::Whole => return Ok(Err(Problem::no_such("request").at_view(as_of))),
            Coverage::BeforeHistory => "the request may have been executed before the history in here begins",
            Coverage::NotYet => {
                "no record up to this position is of this request; the engine may have executed it since, or still may"
            }
        };
        Ok(Err(Problem::new(NOT_KNOWN_HERE, detail).at_view(as_of)))
    })
    .await
}

/// Search
///
/// Guesses what a text means, and answers all that it may. Codes, activations and campaigns are left out for those who may not see campaigns,
/// and requests for those who may not see what they are about.
#[utoipa::path(get, path = "/v1/search", tag = "search", params(Query<SearchQuery>),
    responses((status = 200, description = "What was found.", body = Found)))]
pub(crate) async fn search(State(api): State<Api>, query: Query<SearchQuery>) -> Result<Response, Problem> {
    let SearchQuery(text) = query.parameters;
    api.answer_that(Follows::PositionAndTime, query.arrival, CLIENTS, "page", move |view, caller| {
        let sight = Sight::of(caller);
        let found = search::guess(view, &text, sight.sees_codes())?;
        let code = found.code.and_then(|code| sight.code(code));
        let is_found = found.request.is_some();
        let request = found.request.and_then(|request| sight.request(request));
        let may_exist = found.may_exist || (is_found && request.is_none());
        Ok(Some(Found { code, request, may_exist, ..found }))
    })
    .await
}
