//! The HTTP interface: JSON, described by its own OpenAPI document under `/openapi.json`.
//!
//! It reads and changes nothing. Every route is under `/v1`, needs a bearer token ([`credentials`]), answers from one view ([`answer`]) and
//! reports what is wrong as problem details ([`problems`]). An unknown parameter is refused, so that a mistyped filter is never taken for
//! none. Bodies of requests are not read.
//!
//! [`scrip_web`] has what is not particular to reporting; [`INTERFACE`] states what is. [`router`] has the routes,
//! [`listener::serve`](scrip_web::listener::serve) drives them; other modules merge theirs into it.

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

/// What paths begin with that ask what became of a request.
const REQUESTS: &str = "/v1/requests";

/// What holds for all routes here.
pub const INTERFACE: Interface = Interface {
    title: "Scrip reporting",
    version: env!("CARGO_PKG_VERSION"),
    description: "Statistics, history and search over what the journal says. Every answer says which position of the journal it is as of, and \
                  follows from that alone; `wait_for` reads one's own writes. Amounts are texts of major units, times are in UTC. Pages continue \
                  behind `next`: a page may be short, or empty, and still have a next one.",
    kinds: &problems::KINDS,
    members: &[problems::POSITION, problems::HISTORY_AFTER],
    headers: &[AnswerHeader { name: "Scrip-Position", description: "What the answer is as of." }],
    entity_tag: Some("For `If-None-Match`; not where refused attempts go in that have no position."),
    no_route: |path| match path.starts_with(REQUESTS) {
        // Never `not-found`, which is the final answer about a request, whatever a proxy makes of its path.
        true => Problem::new(Kind::BAD_PARAMETER, "this path names no request: its id is a UUID, and nothing comes after it"),
        false => interface::no_such_route(),
    },
    methods: "everything here is read with GET",
};

/// The routes that are described, and their description.
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

/// All of it: the routes, the document, and what is answered where nothing is.
pub fn router(api: Api) -> Router {
    let (router, document) = described(api);
    INTERFACE.finish(router, &document)
}

#[cfg(test)]
mod tests;
