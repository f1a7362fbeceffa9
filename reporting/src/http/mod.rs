//! The HTTP interface: JSON, described by its own OpenAPI document under `/openapi.json`.
//!
//! It reads and changes nothing. Every route is under `/v1`, needs a bearer token ([`caller`]), answers from one view ([`answer`]) and says what
//! is wrong as problem details ([`problem`]). [`parameters`] reads what is asked and describes it in one. What goes into an address that is
//! not known is refused, so that a mistyped filter is never taken for none. Bodies of requests are not read.
//!
//! [`router`] has the routes, [`listener::serve`](crate::listener::serve) drives them; other modules merge theirs into it and ask [`Caller::of`] who calls.

pub mod answer;
pub mod caller;
mod document;
mod live;
pub mod parameters;
pub mod problem;
mod routes;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use answer::{Api, Attempts};
pub use caller::{Caller, Token};
pub use problem::{Kind, Problem};

/// What paths begin with that ask what became of a request.
const REQUESTS: &str = "/v1/requests";

/// The routes that are described, and their description.
pub fn described(api: Api) -> (Router, OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(document::begun())
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
    (router, document::completed(document))
}

/// All of it: the routes, the document, and what is answered where nothing is.
pub fn router(api: Api) -> Router {
    let (router, document) = described(api);
    finished(router, &document)
}

/// Adds the document, and what holds for every answer, to routes that may have come from several places.
pub fn finished(router: Router, document: &OpenApi) -> Router {
    let document = Bytes::from(serde_json::to_vec(document).expect("the document is JSON"));
    let document = move || async move { ([(header::CONTENT_TYPE, "application/json")], document).into_response() };
    router
        .route("/openapi.json", get(document))
        .fallback(async |request: Request| match request.uri().path().starts_with(REQUESTS) {
            // Never `not-found`, which is the final answer about a request, whatever a proxy makes of its path.
            true => Problem::new(Kind::BadParameter, "this path names no request: its id is a UUID, and nothing comes after it"),
            false => Problem::new(Kind::NoSuchRoute, "no route has this path; /openapi.json has those there are"),
        })
        .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed, "everything here is read with GET"))
        .layer(from_fn(async |request: Request, next: Next| -> Response {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }))
}

#[cfg(test)]
mod tests;
