//! An interface as a whole: its OpenAPI document, generated from the routes and their types and completed with what all routes
//! have in common, and the response to paths without a route.
//!
//! [`Interface`] holds what is specific to one. Call [`Interface::begin`] for a document, let the routes describe themselves in
//! it, call [`Interface::complete`] on it, then [`Interface::finish`] on the router.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::{Details, Kind, Member, Problem};

/// The name of the only security scheme.
const TOKEN: &str = "token";

/// The description of an interface, and what all its routes have in common.
#[derive(Debug, Clone, Copy)]
pub struct Interface {
    /// The title.
    pub title: &'static str,
    /// The version of the program.
    pub version: &'static str,
    /// The purpose, and what all responses have in common.
    pub description: &'static str,
    /// Every kind of problem that the routes return.
    pub kinds: &'static [Kind],
    /// The members that problems may have in addition to those of RFC 9457.
    pub members: &'static [Member],
    /// The headers of every JSON response.
    pub headers: &'static [AnswerHeader],
    /// The description of entity tags, if JSON responses have them; a response may then be 304.
    pub entity_tag: Option<&'static str>,
    /// The problem for a path that no route has.
    pub no_route: fn(&str) -> Problem,
    /// The detail of the problem for a method that a route does not support.
    pub methods: &'static str,
}

/// A response header with an integer value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHeader {
    /// The name.
    pub name: &'static str,
    /// The description.
    pub description: &'static str,
}

impl Interface {
    /// An OpenAPI document with title, version and description.
    pub fn begin(&self) -> OpenApi {
        let info = InfoBuilder::new().title(self.title).version(self.version).description(Some(self.description)).build();
        OpenApiBuilder::new().info(info).build()
    }

    /// Adds what all routes have in common: security, problems and headers.
    pub fn complete(&self, mut document: OpenApi) -> OpenApi {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The token of a credential.")).build();
        components.security_schemes.insert(TOKEN.to_owned(), SecurityScheme::Http(token).into());
        components.schemas.insert(Details::name().into_owned(), self.details());
        for &kind in self.kinds {
            components.responses.insert(response_name(kind), self.problem(kind).into());
        }
        for item in document.paths.paths.values_mut() {
            let reads = item.get.as_mut().map(|operation| (operation, self.entity_tag));
            let writes = [&mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            let writes = writes.into_iter().flatten().map(|operation| (operation, None));
            for (operation, entity_tag) in reads.into_iter().chain(writes) {
                operation.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
                let responses = &mut operation.responses.responses;
                for &kind in self.kinds {
                    let named = Ref::from_response_name(response_name(kind));
                    responses.insert(kind.status().as_str().to_owned(), RefOr::Ref(named));
                }
                let Some(RefOr::T(found)) = responses.get_mut("200") else { continue };
                if !found.content.contains_key("application/json") {
                    continue;
                }
                let header = |kind, text: &str| {
                    let schema = ObjectBuilder::new().schema_type(kind);
                    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build())
                };
                for AnswerHeader { name, description } in self.headers {
                    found.headers.insert((*name).to_owned(), header(Type::Integer, description));
                }
                if let Some(described) = entity_tag {
                    found.headers.insert("ETag".to_owned(), header(Type::String, described));
                    let unchanged =
                        ResponseBuilder::new().description("Not modified: `If-None-Match` contains the current `ETag`.");
                    responses.insert("304".to_owned(), unchanged.build().into());
                }
            }
        }
        document
    }

    /// Adds `/openapi.json`, the fallbacks and common headers to a router, which may be merged from several.
    pub fn finish(&'static self, router: Router, document: &OpenApi) -> Router {
        let document = Bytes::from(serde_json::to_vec(document).expect("the document is JSON"));
        let document = move || async move { ([(header::CONTENT_TYPE, "application/json")], document).into_response() };
        router
            .route("/openapi.json", get(document))
            .fallback(async |request: Request| (self.no_route)(request.uri().path()))
            .method_not_allowed_fallback(async || Problem::new(Kind::METHOD_NOT_ALLOWED, self.methods))
            .layer(from_fn(async |request: Request, next: Next| -> Response {
                let mut response = next.run(request).await;
                let kind = response.extensions().get::<Kind>();
                debug_assert!(kind.is_none_or(|kind| self.kinds.contains(kind)), "the document lacks {kind:?}");
                response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response
            }))
    }

    /// The schema of problems, with the members of this interface.
    fn details(&self) -> RefOr<Schema> {
        let mut details = Details::schema();
        if let RefOr::T(Schema::Object(object)) = &mut details {
            for Member { name, description } in self.members {
                let mut schema = u64::schema();
                if let RefOr::T(Schema::Object(of)) = &mut schema {
                    of.description = Some((*description).to_owned());
                }
                object.properties.insert((*name).to_owned(), schema);
            }
        }
        details
    }

    fn problem(&self, kind: Kind) -> utoipa::openapi::Response {
        let of_status: Vec<_> = self.kinds.iter().filter(|of| of.status() == kind.status()).map(|of| of.title()).collect();
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Details::name()))).build();
        ResponseBuilder::new().description(of_status.join("; or: ")).content("application/problem+json", content).build()
    }
}

/// The problem that most interfaces return for a path without a route.
pub fn no_such_route() -> Problem {
    Problem::new(Kind::NO_SUCH_ROUTE, "no route has this path; see /openapi.json")
}

/// Problems of one status share a response.
fn response_name(kind: Kind) -> String {
    format!("Problem{}", kind.status().as_str())
}
