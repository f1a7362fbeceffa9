//! The OpenAPI document: made from the routes and their types, and completed with what holds for all of them.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Details, Kind};

/// The name of the one way in which a caller is known.
const TOKEN: &str = "token";

/// What it begins with.
pub(super) fn begun() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Scrip reporting")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Statistics, history and search over what the journal says. Every answer says which position of the journal it is as of, and \
             follows from that alone; `wait_for` reads one's own writes. Amounts are texts of major units, times are in UTC. Pages continue \
             behind `next`: a page may be short, or empty, and still have a next one.",
        ))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Adds what holds for all routes: who may call, what else may come, which headers there are.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The token of a credential.")).build();
    components.security_schemes.insert(TOKEN.to_owned(), SecurityScheme::Http(token).into());
    components.schemas.insert(Details::name().into_owned(), Details::schema());
    for kind in Kind::ALL {
        components.responses.insert(response_name(kind), problem(kind).into());
    }
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get].into_iter().flatten() {
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
            let responses = &mut operation.responses.responses;
            for kind in Kind::ALL {
                let named = Ref::from_response_name(response_name(kind));
                responses.insert(kind.status().as_str().to_owned(), RefOr::Ref(named));
            }
            let Some(RefOr::T(found)) = responses.get_mut("200") else { continue };
            if found.content.contains_key("application/json") {
                let header = |kind, text: &str| {
                    let schema = ObjectBuilder::new().schema_type(kind);
                    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build())
                };
                found.headers.insert("Scrip-Position".to_owned(), header(Type::Integer, "What the answer is as of."));
                let described = "For `If-None-Match`; not where refused attempts go in that have no position.";
                found.headers.insert("ETag".to_owned(), header(Type::String, described));
                let unchanged = ResponseBuilder::new().description("The caller has it: `If-None-Match` has its `ETag`.");
                responses.insert("304".to_owned(), unchanged.build().into());
            }
        }
    }
    document
}

/// Problems of one status share a response.
fn response_name(kind: Kind) -> String {
    format!("Problem{}", kind.status().as_str())
}

fn problem(kind: Kind) -> utoipa::openapi::Response {
    let of_status: Vec<_> = Kind::ALL.into_iter().filter(|of| of.status() == kind.status()).map(Kind::title).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Details::name()))).build();
    ResponseBuilder::new().description(of_status.join("; or: ")).content("application/problem+json", content).build()
}
