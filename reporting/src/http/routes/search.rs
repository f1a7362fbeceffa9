//! The history of a code or a request, refused attempts, and a search that guesses what the text means.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::{CampaignId, RequestId};
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::{Kind, Problem};

use crate::figures::activation_list::Before;
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
        let client = from
            .name("client", "Only of this client: a decimal number without leading zeros, or a lowercase UUID with hyphens.")?;
        let code = from.text("code", "Only of this code, ignoring case.")?;
        let campaign = from.number("campaign", 0, u32::MAX.into(), "Only of codes that belong or belonged to this campaign.")?;
        let campaign = campaign.and_then(|campaign| u32::try_from(campaign).ok()).map(CampaignId);
        Ok(RefusalsQuery(RefusalFilter { client, code, campaign }, Before::read(from)?))
    }
}

/// Selects a code.
pub(crate) struct CodeQuery(String);

impl FromParameters for CodeQuery {
    fn read(from: &mut Parameters) -> Result<CodeQuery, Problem> {
        Ok(CodeQuery(from.text_in_path("code", "The code, ignoring case.")?.unwrap_or_default()))
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
            "A code; the id of a client, request, activation or campaign; or a part of the name of a client or campaign.",
        )
        .map(SearchQuery)
    }
}

/// List refused attempts
///
/// Newest first, each with the condition that caused the refusal. A page may be short, because it examines a limited number of
/// attempts.
#[utoipa::path(get, path = "/v1/refusals", tag = "refusals", params(Query<RefusalsQuery>),
    responses((status = 200, description = "A page of refusals.", body = Refusals)))]
pub(crate) async fn refusals(State(api): State<Api>, query: Query<RefusalsQuery>) -> Result<Response, Problem> {
    let RefusalsQuery(filter, before) = query.parameters;
    let by_campaign = filter.campaign.is_some();
    let attempts = api.attempts.clone().filter(|_| before.before.is_none());
    let follows = if api.attempts.is_some() { Follows::More } else { Follows::Position };
    api.answer_or_problem(follows, query.arrival, CLIENTS, move |view, caller| {
        let sight = Sight::of(caller);
        if by_campaign && !sight.reasons {
            // The campaign of a code is a reason.
            return Ok(Err(Problem::new(Kind::FORBIDDEN, "this credential may not see the campaign of a refused code")));
        }
        let form = crate::read_model::code_form(view.connection)?;
        let attempts = attempts.map(|attempts| attempts(&filter, form, ATTEMPTS_MAX)).unwrap_or_default();
        let page = refusals::list(view, &filter, before, &|command| sight.sees(Subject::of_command(command)))?;
        let (refusals, attempts) = (sight.refusals(page.refusals), sight.attempts(attempts));
        Ok(Ok(Refusals { refusals, attempts, ..page }))
    })
    .await
}

/// Look up a code
///
/// Every campaign that has or had the code, who activated it there, and refused attempts.
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

/// Look up a request
///
/// The record that it created and its effects, however old it is. A gateway sees its own requests; other roles see requests on
/// the subjects of their commands. `not-found` means that the request was not executed and never will be: it is returned only if
/// this history covers all of the time in which the engine may execute it. Otherwise a request without a record is
/// `not-known-here`.
#[utoipa::path(get, path = "/v1/requests/{request}", tag = "requests", params(Query<RequestQuery>),
    responses((status = 200, description = "The request.", body = RequestFound)))]
pub(crate) async fn request(State(api): State<Api>, query: Query<RequestQuery>) -> Result<Response, Problem> {
    let RequestQuery(request) = query.parameters;
    api.answer_or_problem(Follows::Position, query.arrival, REQUESTS, move |view, caller| {
        let as_of = view.as_of;
        if let Some(found) = search::by_request(view, request)? {
            // Never `not-found`: the caller would send the request again under another id.
            let not_seen = || Problem::new(Kind::FORBIDDEN, "the request exists, but this credential may not see it");
            return Ok(Sight::of(caller).request(found).ok_or_else(not_seen));
        }
        let detail = match search::coverage(view, request)? {
            Coverage::Whole => return Ok(Err(Problem::no_such("request").at_view(as_of))),
            Coverage::BeforeHistory => "the request may have been executed before this history begins",
            Coverage::NotYet => {
                "this request has no record up to this position; the engine may have executed it since, or may still execute it"
            }
        };
        Ok(Err(Problem::new(NOT_KNOWN_HERE, detail).at_view(as_of)))
    })
    .await
}

/// Search
///
/// Guesses what a text means, and returns everything that it may mean. Omits codes, activations and campaigns if the caller may
/// not see campaigns, and a request if the caller may not see its subject.
#[utoipa::path(get, path = "/v1/search", tag = "search", params(Query<SearchQuery>),
    responses((status = 200, description = "The results.", body = Found)))]
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
