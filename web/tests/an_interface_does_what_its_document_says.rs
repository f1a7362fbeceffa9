//! An interface made from this crate alone: its document describes what its routes read and answer, and strangers learn nothing
//! of it.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::IntoResponse;
use axum::{Json, Router};
use scrip_protocol::Role;
use scrip_web::caller::{Authority, Caller, Token, unauthorised};
use scrip_web::interface::{AnswerHeader, Interface, no_such_route};
use scrip_web::listener::RequestConnection;
use scrip_web::parameters::{FromArrival, FromParameters, Parameters, Query};
use scrip_web::problem::{Kind, Member, Problem};
use serde::Serialize;
use serde_json::Value;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const CLOSED: Kind = Kind::new("closed", "The shop is closed", StatusCode::SERVICE_UNAVAILABLE).temporary();
const OPENS: Member = Member { name: "opens", description: "When it opens." };

const SHOP: Interface = Interface {
    title: "Shop",
    version: "1.0.0",
    description: "Sells and counts.",
    kinds: &[
        Kind::BAD_PARAMETER,
        Kind::UNAUTHORISED,
        Kind::FORBIDDEN,
        Kind::NO_SUCH_ROUTE,
        Kind::METHOD_NOT_ALLOWED,
        Kind::BUSY,
        CLOSED,
    ],
    members: &[OPENS],
    headers: &[AnswerHeader { name: "Count", description: "How many there are." }],
    entity_tag: Some("For `If-None-Match`."),
    no_route: |_| no_such_route(),
    methods: "this is not sold here",
};

/// An authority with one caller, whose token is `gateway`.
#[derive(Clone)]
struct Shop;

impl Authority for Shop {
    async fn authenticate(&self, token: Option<Token>, roles: &'static [Role]) -> Result<Caller, Problem> {
        let known = Token::of(&headers("gateway"));
        let caller = Caller { credential: 1, role: Role::Gateway, reasons: true };
        if token == known { caller.permitted(roles) } else { Err(unauthorised()) }
    }
}

fn headers(token: &str) -> HeaderMap {
    [(axum::http::header::AUTHORIZATION, format!("Bearer {token}").parse().expect("it is visible"))].into_iter().collect()
}

struct Arrival(Option<Token>);

impl FromArrival for Arrival {
    fn read(_: &mut Parameters, headers: &HeaderMap, _: &RequestConnection) -> Result<Arrival, Problem> {
        Ok(Arrival(Token::of(headers)))
    }
}

#[derive(Serialize, ToSchema)]
struct Count {
    goods: u64,
}

struct Goods(u64);

impl FromParameters for Goods {
    fn read(from: &mut Parameters) -> Result<Goods, Problem> {
        Ok(Goods(from.number("goods", 1, 9, "How many.")?.unwrap_or(1)))
    }
}

#[utoipa::path(get, path = "/goods", params(Query<Goods, Arrival>), responses((status = 200, body = Count)))]
async fn count(State(shop): State<Shop>, query: Query<Goods, Arrival>) -> Result<Json<Count>, Problem> {
    shop.authenticate(query.arrival.0, &[Role::Gateway]).await?;
    Ok(Json(Count { goods: query.parameters.0 }))
}

#[utoipa::path(post, path = "/goods", params(Query<Goods, Arrival>), responses((status = 200, body = Count)))]
async fn sell(State(shop): State<Shop>, query: Query<Goods, Arrival>) -> Result<Json<Count>, Problem> {
    shop.authenticate(query.arrival.0, &[Role::Operator]).await?;
    Err(Problem::new(CLOSED, "it is night").with(OPENS, 7).with(OPENS, 8))
}

fn shop() -> Router {
    let routes = OpenApiRouter::with_openapi(SHOP.begin()).routes(routes!(count, sell)).with_state(Shop);
    let (router, document) = routes.split_for_parts();
    SHOP.finish(router, &SHOP.complete(document))
}

async fn send(method: Method, uri: &str, token: &str) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(uri);
    request.headers_mut().expect("it is a request").extend(headers(token));
    let request = request.body(Body::empty()).expect("it is a request");
    let response = shop().oneshot(request).await.expect("a router answers");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("the body ends");
    (status, serde_json::from_slice(&body).expect("the body is JSON"))
}

/// Z15: a caller without a valid token is refused as such, whatever is wrong with the request.
#[tokio::test]
async fn a_stranger_learns_nothing_of_parameters() {
    for uri in ["/goods", "/goods?goods=0", "/goods?goods=1&goods=2", "/goods?good=1", "/goods?goods=%FF"] {
        assert_eq!(send(Method::GET, uri, "nobody").await.0, StatusCode::UNAUTHORIZED, "{uri}");
        let expected = if uri == "/goods" { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        assert_eq!(send(Method::GET, uri, "gateway").await.0, expected, "{uri}");
    }
    assert_eq!(send(Method::POST, "/goods", "gateway").await.0, StatusCode::FORBIDDEN);
}

/// Every operation of any method declares its security, its problems, and its parameters with their bounds.
#[tokio::test]
async fn the_document_describes_every_operation() {
    let (status, document) = send(Method::GET, "/openapi.json", "nobody").await;
    assert_eq!((status, &document["info"]["title"]), (StatusCode::OK, &"Shop".into()));
    for method in ["get", "post"] {
        let operation = &document["paths"]["/goods"][method];
        assert!(operation["security"][0]["token"].is_array(), "{method}");
        let statuses: BTreeSet<_> = operation["responses"].as_object().expect("responses").keys().map(String::as_str).collect();
        let unchanged = (method == "get").then_some("304");
        let expected = ["200", "400", "401", "403", "404", "405", "503"].into_iter().chain(unchanged).collect();
        assert_eq!(statuses, expected, "{method}");
        let schema = &operation["parameters"][0]["schema"];
        assert_eq!((&schema["minimum"], &schema["maximum"]), (&1.into(), &9.into()), "{method}");
    }
    assert_eq!(
        document["components"]["responses"]["Problem503"]["description"],
        "Too many requests at once; or: The shop is closed"
    );
    assert_eq!(document["components"]["schemas"]["Problem"]["properties"]["opens"]["description"], "When it opens.");
}

/// RFC 9457: the members that an interface adds to a problem are beside the standard ones, each name once.
#[tokio::test]
async fn a_problem_has_the_members_of_its_interface() {
    let problem = Problem::new(CLOSED, "it is night").with(OPENS, 7).with(OPENS, 8);
    let response = problem.into_response();
    assert_eq!(response.headers()["retry-after"], "1");
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("the body ends");
    let expected =
        r#"{"type":"urn:scrip:problem:closed","title":"The shop is closed","status":503,"detail":"it is night","opens":8}"#;
    assert_eq!(String::from_utf8_lossy(&body), expected);
}
