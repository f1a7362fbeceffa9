//! The HTTP interface: JSON, described by its own OpenAPI document under `/openapi.json`.
//!
//! It is read-only. Every route is under `/v1`, needs a bearer token ([`credentials`]), answers from one view ([`answer`]) and
//! reports errors as problem details ([`problems`]). An unknown parameter is refused, so that a misspelt filter is never
//! ignored. Request bodies are not read.
//!
//! [`scrip_web`] has the code that is not specific to reporting; [`INTERFACE`] states what is. [`router`] has the routes,
//! [`listener::serve`](scrip_web::listener::serve) serves them; other modules merge their routes into it.

pub mod answer;
pub mod credentials;
mod live;
pub mod problems;
mod routes;

use axum::Router;
use scrip_web::interface::{self, AnswerHeader, Interface};
use scrip_web::problem::{Kind, Problem};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use answer::{Api, Attempts};

/// The prefix of the paths that look up requests.
const REQUESTS: &str = "/v1/requests";

/// What all routes have in common.
pub const INTERFACE: Interface = Interface {
    title: "Scrip reporting",
    version: env!("CARGO_PKG_VERSION"),
    description: "Statistics, history and search over the journal. Every answer states the journal position that it is as of; use `wait_for` \
                  to read your own writes. Amounts are decimal strings in major units, times are in UTC. Pass the `next` of a page to get the \
                  following page; a page can be short or empty and still have a `next`.",
    kinds: &problems::KINDS,
    members: &[problems::POSITION, problems::HISTORY_AFTER],
    headers: &[AnswerHeader { name: "Scrip-Position", description: "The journal position that the answer is as of." }],
    entity_tag: Some("For `If-None-Match`. Missing if the answer includes refused attempts without a position."),
    no_route: |path| match path.starts_with(REQUESTS) {
        // Never `not-found`, which is the final answer about a request, even if a proxy mangles its path.
        true => Problem::new(Kind::BAD_PARAMETER, "this path does not end in a request id, which is a UUID"),
        false => interface::no_such_route(),
    },
    methods: "all routes are read-only; use GET",
};

/// The documented routes, and their OpenAPI document.
pub fn described(api: Api) -> (Router, OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(INTERFACE.begin())
        .routes(routes!(routes::campaigns::campaigns))
        .routes(routes!(routes::campaigns::campaign))
        .routes(routes!(routes::campaigns::figures))
        .routes(routes!(routes::campaigns::days))
        .routes(routes!(routes::campaigns::clubs))
        .routes(routes!(routes::campaigns::codes))
        .routes(routes!(live::live))
        .routes(routes!(routes::activations::of_campaign))
        .routes(routes!(routes::activations::of_code))
        .routes(routes!(routes::activations::activations))
        .routes(routes!(routes::activations::activation))
        .routes(routes!(routes::exports::codes))
        .routes(routes!(routes::exports::of_campaign))
        .routes(routes!(routes::exports::all))
        .routes(routes!(routes::changes::changes))
        .routes(routes!(routes::changes::of_campaign))
        .routes(routes!(routes::clients::clients))
        .routes(routes!(routes::clients::client_card))
        .routes(routes!(routes::clients::operations))
        .routes(routes!(routes::rules::rule))
        .routes(routes!(routes::search::refusals))
        .routes(routes!(routes::search::code))
        .routes(routes!(routes::search::request))
        .routes(routes!(routes::search::search))
        .routes(routes!(routes::metrics::metrics))
        .with_state(api)
        .split_for_parts();
    (router, INTERFACE.complete(document))
}

/// The routes, the document, and the fallbacks.
pub fn router(api: Api) -> Router {
    let (router, document) = described(api);
    INTERFACE.finish(router, &document)
}

#[cfg(test)]
mod tests;
