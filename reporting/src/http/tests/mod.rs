//! The interface from outside: requests through the router, on the sample in a file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use rusqlite::Connection;
use scrip_protocol::Position;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

use super::*;
mod connections;
mod coverage;
mod places;
mod seen_by_role;

use crate::read_model::Readers;
use crate::sample::{self, REQUEST};
use crate::standing::{Following, Newest, RequestClock, Standing};

/// A deadline for anything that must happen, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A read model in a file, the router that serves it, and the publisher of its progress.
struct Server {
    _folder: tempfile::TempDir,
    path: PathBuf,
    api: Api,
    router: Router,
    standing: watch::Sender<Standing>,
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

fn standing(applied: u64) -> Standing {
    Standing {
        applied: Position(applied),
        applied_ms: 0,
        changed: Position(applied),
        newest: None,
        engine_ms: 0,
        requests: RequestClock::covering(sample::NOW_MS),
        following: Following::Tailing,
    }
}

impl Server {
    fn new(fill: fn(&Connection)) -> Server {
        Server::with_clock(fill, || u64::MAX)
    }

    /// A server on a machine with another clock.
    fn with_clock(fill: fn(&Connection), clock: fn() -> u64) -> Server {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("read-model.sqlite");
        fill(&Connection::open(&path).expect("SQLite opens"));
        let (sender, receiver) = watch::channel(standing(sample::POSITION));
        let mut api = Api::new(Arc::new(Readers::new(&path)), receiver);
        api.clock = clock;
        Server { _folder: folder, path, router: router(api.clone()), api, standing: sender }
    }

    async fn send(&self, method: Method, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let request = headers
            .iter()
            .fold(Request::builder().method(method).uri(uri), |request, (name, value)| request.header(*name, *value));
        let request = request.body(Body::empty()).expect("it is a request");
        let response = self.router.clone().oneshot(request).await.expect("a router answers");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 24).await.expect("the body ends").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, token: &str, uri: &str) -> Answer {
        self.send(Method::GET, uri, &[("authorization", &format!("Bearer {token}"))]).await
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are texts"))
    }

    #[track_caller]
    fn is_problem(&self, status: StatusCode) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        let problem = self.json();
        assert_eq!(problem["status"], status.as_u16());
        assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:scrip:problem:")), "{problem}");
    }
}

/// Every path, with values that exist.
const PATHS: [&str; 20] = [
    "/v1/campaigns",
    "/v1/campaigns/1",
    "/v1/campaigns/1/figures",
    "/v1/campaigns/1/days",
    "/v1/campaigns/1/clubs",
    "/v1/campaigns/1/codes",
    "/v1/campaigns/1/codes/0/activations",
    "/v1/campaigns/1/activations",
    "/v1/activations",
    "/v1/activations/101",
    "/v1/changes",
    "/v1/campaigns/1/changes",
    "/v1/rules/1",
    "/v1/codes/abc",
    "/v1/clients",
    "/v1/clients/7",
    "/v1/clients/7/operations",
    "/v1/refusals",
    "/v1/search?q=ann",
    "/v1/requests/0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11",
];

/// Z15: each route admits its roles; a missing, unknown or revoked token opens none.
#[tokio::test]
async fn routes_are_for_their_roles() {
    let server = Server::new(sample::fill);
    for (at, path) in PATHS.into_iter().enumerate() {
        for (role, up_to) in [("marketing", 20), ("reporter", 20), ("operator", 20)] {
            let answer = server.get(role, path).await;
            assert_eq!((answer.status, at < up_to), (StatusCode::OK, true), "{role} {path}");
        }
        let cashier = server.get("cashier", path).await;
        // The request created an activation, which a cashier may not look up by request.
        if at < 14 || path.starts_with("/v1/requests/") {
            cashier.is_problem(StatusCode::FORBIDDEN)
        } else {
            assert_eq!(cashier.status, StatusCode::OK, "{path}")
        }
        let gateway = server.get("gateway", path).await;
        if at < 19 {
            gateway.is_problem(StatusCode::FORBIDDEN)
        } else {
            assert_eq!(gateway.status, StatusCode::OK, "{path}")
        }
        for token in ["", "nobody", "revoked", "ä"] {
            let answer = server.get(token, path).await;
            answer.is_problem(StatusCode::UNAUTHORIZED);
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
        server.send(Method::GET, path, &[]).await.is_problem(StatusCode::UNAUTHORIZED);
        server.send(Method::GET, path, &[("authorization", "Basic b3BlcmF0b3I6")]).await.is_problem(StatusCode::UNAUTHORIZED);
    }
}

/// Z3, Z15: a gateway can look up its own requests. For another credential's request it learns only that it may not see it:
/// `not-found` would make it send the request again.
#[tokio::test]
async fn a_gateway_sees_its_own_requests() {
    let server = Server::new(sample::fill);
    let own = server.get("gateway", &format!("/v1/requests/{REQUEST}")).await;
    assert_eq!(own.json()["position"], 101);
    let (others, nobodys) = ("0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c12", "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c99");
    let others = server.get("gateway", &format!("/v1/requests/{others}")).await;
    let nobodys = server.get("gateway", &format!("/v1/requests/{nobodys}")).await;
    others.is_problem(StatusCode::FORBIDDEN);
    nobodys.is_problem(StatusCode::NOT_FOUND);
}

/// Z3: a malformed id is never answered with `not-found`, which is final: it may be the garbled id of an executed request.
#[tokio::test]
async fn an_unreadable_request_id_is_not_a_request_that_was_never_executed() {
    let server = Server::new(sample::fill);
    let short = &REQUEST[..REQUEST.len() - 1];
    let upper = REQUEST.to_uppercase();
    let garbled = ["%0A", "%20", "%0D%0A", "/", "/x", "%2F", ","].map(|end| format!("{REQUEST}{end}"));
    let others = [format!("%20{REQUEST}"), short.to_owned(), String::new(), "/".to_owned(), "null".to_owned()];
    for text in garbled.into_iter().chain(others) {
        for role in ["gateway", "operator"] {
            let answer = server.get(role, &format!("/v1/requests/{text}")).await;
            answer.is_problem(StatusCode::BAD_REQUEST);
            assert_eq!(answer.json()["type"], "urn:scrip:problem:bad-parameter", "{text:?}");
        }
    }
    server.get("gateway", "/v1/requests").await.is_problem(StatusCode::BAD_REQUEST);
    // Nor is a path garbled by a proxy or a base address.
    for path in [format!("//v1/requests/{REQUEST}"), format!("/scrip/v1/requests/{REQUEST}"), format!("/v2/requests/{REQUEST}")] {
        let answer = server.get("gateway", &path).await;
        answer.is_problem(StatusCode::NOT_FOUND);
        assert_eq!(answer.json()["type"], "urn:scrip:problem:no-such-route", "{path}");
    }
    assert_eq!(server.get("gateway", &format!("/v1/requests/{upper}")).await.json()["position"], 101);
}

/// An empty read model knows no credentials: it asks the caller to retry.
#[tokio::test]
async fn an_empty_read_model_asks_for_a_retry() {
    let server = Server::new(sample::empty);
    server.standing.send_replace(standing(0));
    for token in ["operator", ""] {
        let answer = server.get(token, "/v1/campaigns").await;
        answer.is_problem(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "1");
    }
}

/// Z10, A36: every answer has its position in the body, a header and the entity tag; an unchanged answer is not sent again.
#[tokio::test]
async fn answers_name_their_position() {
    let server = Server::new(sample::fill);
    for path in PATHS {
        let answer = server.get("operator", path).await;
        let position = answer.json()["as_of"]["position"].clone();
        assert_eq!((position, answer.header("scrip-position")), (sample::POSITION.into(), "2000000"), "{path}");
        assert_eq!((&answer.json()["as_of"]["history_after"], answer.header("scrip-history-after")), (&0.into(), "0"), "{path}");
        assert_eq!(answer.json()["as_of"]["time"], "2026-09-21T14:13:20Z");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        let tag = answer.header("etag").to_owned();
        // Holds, periods and days depend on the time.
        let at = if FOLLOW_TIME.contains(&path) { "-t1790000000000" } else { "" };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(tag, format!("\"p2000000-00000000-h0-c1-v{version}{at}\""));
        for known in [&tag, &format!("W/\"x\", W/{tag}"), "*"] {
            let headers = [("authorization", "Bearer operator"), ("if-none-match", known)];
            let unchanged = server.send(Method::GET, path, &headers).await;
            assert_eq!((unchanged.status, unchanged.body.len(), unchanged.header("etag")), (StatusCode::NOT_MODIFIED, 0, &*tag));
        }
        let headers = [("authorization", "Bearer operator"), ("if-none-match", "\"p1-00000000\"")];
        assert_eq!(server.send(Method::GET, path, &headers).await.status, StatusCode::OK);
    }
}

/// Paths whose answers depend on the time.
const FOLLOW_TIME: [&str; 6] = [
    "/v1/campaigns",
    "/v1/campaigns/1",
    "/v1/campaigns/1/figures",
    "/v1/campaigns/1/days",
    "/v1/clients/7/operations",
    "/v1/search?q=ann",
];

/// A1, C6, Z1: while no records arrive, answers that depend on the time follow the engine's clock, and show its time; the others
/// do not change.
#[tokio::test]
async fn answers_follow_the_engines_clock_while_no_records_arrive() {
    let server = Server::new(sample::fill);
    for path in PATHS {
        server.standing.send_replace(standing(sample::POSITION));
        let before = server.get("operator", path).await;
        server.standing.send_modify(|standing| {
            standing.report(Newest {
                position: Position(sample::POSITION),
                now_ms: sample::NOW_MS + 60_000,
                requests_ms: sample::NOW_MS + 60_000,
            });
            // A missing record may change the answer, so this time does not count.
            standing.report(Newest {
                position: Position(sample::POSITION + 1),
                now_ms: sample::NOW_MS + 120_000,
                requests_ms: sample::NOW_MS + 120_000,
            });
        });
        let after = server.get("operator", path).await;
        let changed = after.header("etag") != before.header("etag");
        assert_eq!(changed, FOLLOW_TIME.contains(&path), "{path}");
        let time = if changed { "2026-09-21T14:14:20Z" } else { "2026-09-21T14:13:20Z" };
        assert_eq!(after.json()["as_of"]["time"], time, "{path}");
        assert_eq!(after.json()["as_of"]["position"], sample::POSITION, "{path}");
    }
    let held = server.get("operator", "/v1/campaigns/1/figures").await.json()["held"].clone();
    assert_eq!(held, 0, "the hold that was open has expired");
}

/// A1, Z1: after a restart with a corrected clock that was ahead, the engine reports an earlier time, and answers follow it back
/// at once, whether its newest record is already here or not.
#[tokio::test]
async fn answers_go_back_with_the_engines_clock() {
    let server = Server::new(sample::fill);
    let path = "/v1/campaigns/1/figures";
    let reported = |position, now_ms| {
        server.standing.send_modify(|standing| {
            standing.report(Newest { position: Position(position), now_ms, requests_ms: now_ms });
        });
    };
    let held_and_time = async || {
        let answer = server.get("operator", path).await.json();
        (answer["held"].clone(), answer["as_of"]["time"].clone())
    };
    let right = held_and_time().await;
    for newest in [sample::POSITION, sample::POSITION + 1] {
        reported(sample::POSITION, sample::NOW_MS + 20 * 86_400_000);
        assert_eq!(held_and_time().await, (0.into(), "2026-10-11T14:13:20Z".into()));
        reported(newest, sample::NOW_MS);
        assert_eq!(held_and_time().await, right);
        // Never before the newest record in the read model.
        reported(newest, sample::NOW_MS - 1_000);
        assert_eq!(held_and_time().await, right);
    }
    assert_ne!(right.0, 0, "the hold is open");
}

/// A36: amounts are strings in major units.
#[tokio::test]
async fn figures_are_strings_in_major_units() {
    let server = Server::new(sample::fill);
    let figures = server.get("marketing", "/v1/campaigns/1/figures").await.json();
    assert_eq!((&figures["issued"], &figures["utilisation"]), (&"10.00".into(), &"25.00".into()));
    let codes = server.get("marketing", "/v1/campaigns/1/codes?status=active&usage=used&limit=1").await.json();
    assert_eq!(codes["codes"][0]["first"]["client_name"], "Ann");
    let days = server.get("marketing", "/v1/campaigns/1/days?zone=Europe/Berlin&last=2026-09-21&days=2").await.json();
    assert_eq!(days["days"][1]["happened"]["activations"], 2);
}

/// A caller that waits for a position is answered as soon as the read model reaches it, or gets the current position after a
/// timeout.
#[tokio::test]
async fn a_caller_reads_what_it_wrote() {
    let server = Server::new(sample::fill);
    let late = sample::POSITION + 5;
    let path = format!("/v1/campaigns/1/figures?wait_for={late}&wait_ms=30000");
    let answered = server.get("operator", &path);
    let comes = async {
        tokio::task::yield_now().await;
        server.standing.send_replace(standing(late));
    };
    assert_eq!(tokio::join!(answered, comes).0.status, StatusCode::OK);
    let behind = server.get("operator", &format!("/v1/campaigns?wait_for={}&wait_ms=1", late + 1)).await;
    behind.is_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((behind.json()["position"].clone(), behind.header("retry-after")), (late.into(), "1"));
    // A caller without permission does not wait.
    server.get("nobody", &format!("/v1/campaigns?wait_for={}", late + 1)).await.is_problem(StatusCode::UNAUTHORIZED);
}

/// A caller can wait for a position before the first records arrive: a sidecar that has just started is catching up.
#[tokio::test]
async fn a_caller_waits_for_the_first_records() {
    let server = Server::new(sample::empty);
    server.standing.send_replace(standing(0));
    let waited = server.get("operator", "/v1/campaigns?wait_for=1&wait_ms=1").await;
    waited.is_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(waited.json()["type"], "urn:scrip:problem:behind");
}

/// Hostile parameters never cause a 500, and every refusal is a problem.
#[tokio::test]
async fn hostile_parameters_are_refused_or_find_nothing() {
    let server = Server::new(sample::fill);
    let values = [
        "",
        "-1",
        "%2B1",
        "0x1",
        "1.0",
        "1e3",
        "NaN",
        "null",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
        "%00",
        "a%00b",
        "%FF",
        "%C3%28",
        "%",
        "%zz",
        "%F0%9F%92%A9",
        "%E2%80%AE",
        "'%3B--",
        "..%2F..",
        "%2F",
        "true%20",
        "Europe%2FNowhere",
        "2026-02-30",
        "20260228",
        "9999-12-31",
        "0000-01-01",
        "1.234",
    ];
    let names = [
        "limit",
        "after",
        "before",
        "status",
        "usage",
        "redeemable",
        "low_stock",
        "club",
        "text",
        "zone",
        "last",
        "days",
        "name",
        "kind",
        "label",
        "from",
        "to",
        "amount_min",
        "amount_max",
        "client",
        "code",
        "campaign",
        "q",
        "wait_ms",
        "unknown",
        "%00",
        "",
    ];
    let fine = [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::CONFLICT];
    let check = |uri: String, answer: Answer| {
        assert!(fine.contains(&answer.status), "{uri}: {}", answer.status);
        if answer.status != StatusCode::OK {
            answer.is_problem(answer.status);
        }
    };
    for path in PATHS {
        let (path, and) = path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("&{query}")));
        for name in names {
            for value in values {
                let uri = format!("{path}?{name}={value}{and}");
                let answer = server.get("operator", &uri).await;
                check(uri, answer);
            }
        }
    }
    let long = "9".repeat(5_000);
    for value in values.into_iter().chain([&*long]) {
        for (before, after) in [
            ("/v1/campaigns/", ""),
            ("/v1/campaigns/", "/codes"),
            ("/v1/campaigns/1/codes/", "/activations"),
            ("/v1/activations/", ""),
            ("/v1/clients/", ""),
            ("/v1/clients/", "/operations"),
            ("/v1/codes/", ""),
            ("/v1/requests/", ""),
        ] {
            let uri = format!("{before}{value}{after}");
            let answer = server.get("operator", &uri).await;
            check(uri, answer);
        }
    }
}

/// A misspelt filter is never ignored, and a repeated one is refused.
#[tokio::test]
async fn parameters_are_known_and_given_once() {
    let server = Server::new(sample::fill);
    for uri in [
        "/v1/campaigns?staus=active",
        "/v1/campaigns?limit=1&limit=2",
        "/v1/campaigns?limit=201",
        "/v1/campaigns?status=gone",
        "/v1/campaigns/1/figures?x",
        "/v1/search",
        "/v1/campaigns/1/days?days=401",
        "/v1/campaigns/1/days?zone=europe/berlin",
        "/v1/campaigns/1/codes?limit=1001",
        "/v1/clients?name=%FF",
    ] {
        server.get("operator", uri).await.is_problem(StatusCode::BAD_REQUEST);
    }
    let long = "ä".repeat(201).bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    server.get("operator", &format!("/v1/campaigns?text={long}")).await.is_problem(StatusCode::BAD_REQUEST);
    assert_eq!(server.get("operator", &format!("/v1/campaigns?text={}", &long[..1_200])).await.status, StatusCode::OK);
}

/// A request without a valid token is refused as unauthorised, whatever else is wrong with it.
#[tokio::test]
async fn a_request_without_a_token_is_refused_before_its_parameters_are_read() {
    let server = Server::new(sample::fill);
    for uri in ["/v1/clients/007", "/v1/refusals?client=007", "/v1/campaigns?limit=many", "/v1/campaigns?unheard=of"] {
        for role in ["", "nobody"] {
            server.get(role, uri).await.is_problem(StatusCode::UNAUTHORIZED);
        }
        assert_ne!(server.get("operator", uri).await.status, StatusCode::UNAUTHORIZED, "{uri}");
    }
}

/// The id of a client has one spelling: another spelling of the same number or UUID is invalid, and the answer explains why.
#[tokio::test]
async fn the_ids_of_clients_are_read_only_as_they_are_written() {
    let server = Server::new(sample::fill);
    for uri in ["/v1/clients/7", "/v1/clients/7/operations", "/v1/clients?after=7", "/v1/refusals?client=7"] {
        assert_eq!(server.get("operator", uri).await.status, StatusCode::OK, "{uri}");
        for (sent, text) in
            [("007", "007"), ("%2B7", "+7"), ("00000000000000000000000000000007", "00000000000000000000000000000007")]
        {
            let answer = server.get("operator", &uri.replace('7', sent)).await;
            answer.is_problem(StatusCode::NOT_FOUND);
            let detail = answer.json()["detail"].as_str().expect("a text").to_owned();
            assert!(detail.starts_with(&format!("{text:?} is not a client id: a decimal number up to")), "{uri}: {detail}");
        }
    }
}

/// Unknown paths and unsupported methods are problems like any other.
#[tokio::test]
async fn other_paths_and_methods_are_problems() {
    let server = Server::new(sample::fill);
    for uri in ["/", "/v1", "/v1/", "/v1/campaigns/", "//v1/campaigns", "/v2/campaigns", "/v1/campaigns/1/2/3", "/%00", "/%FF"] {
        server.get("operator", uri).await.is_problem(StatusCode::NOT_FOUND);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
        for path in PATHS.into_iter().chain(["/openapi.json"]) {
            let method = Method::from_bytes(method.as_bytes()).expect("it is a method");
            let answer = server.send(method, path, &[]).await;
            answer.is_problem(StatusCode::METHOD_NOT_ALLOWED);
            assert!(answer.header("allow").contains("GET"), "{path}");
        }
    }
    assert_eq!(server.send(Method::HEAD, "/v1/campaigns", &[("authorization", "Bearer operator")]).await.status, StatusCode::OK);
}

/// Z13: refused attempts without a record are listed separately, and an answer with them has no entity tag.
#[tokio::test]
async fn attempts_without_a_record_are_separate() {
    let server = Server::new(sample::fill);
    let attempt = |_: &crate::refusals::RefusalFilter, _, _| {
        vec![crate::refusals::Attempt {
            at: crate::shown::At(1),
            command: "check".into(),
            credential: 4,
            client: None,
            club: None,
            code: Some("abc".into()),
            campaign: None,
            reason: "code_exhausted".into(),
            decided: "activated 2 of 2".into(),
        }]
    };
    let server = Server { router: router(server.api.clone().with_attempts(Arc::new(attempt))), ..server };
    let first = server.get("cashier", "/v1/refusals?code=abc").await;
    assert_eq!((first.json()["attempts"].as_array().map(Vec::len), first.header("etag")), (Some(1), ""));
    let next = server.get("cashier", "/v1/refusals?code=abc&before=400").await;
    assert_eq!(next.json()["attempts"].as_array().map(Vec::len), Some(0));
}

/// Every `$ref` of the document resolves, every parameter has bounds, and every operation declares its security and its
/// responses.
#[tokio::test]
async fn the_document_says_what_is_valid() {
    let server = Server::new(sample::fill);
    let answer = server.send(Method::GET, "/openapi.json", &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let document = answer.json();
    let (mut refs, mut ids) = (Vec::new(), BTreeSet::new());
    find_refs(&document, &mut refs);
    for reference in refs {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} does not resolve");
    }
    let paths = document["paths"].as_object().expect("there are paths");
    assert_eq!(paths.len(), PATHS.len() + 5, "each path, the stream, the exports and the metrics");
    for (path, item) in paths {
        let operation = &item["get"];
        assert!(ids.insert(operation["operationId"].to_string()), "{operation}");
        assert!(operation["security"][0]["token"].is_array(), "{path}");
        for status in ["200", "400", "401", "403", "404", "405", "409", "500", "503", "504", "507"] {
            assert!(!operation["responses"][status].is_null(), "{path} {status}");
        }
        let parameters = operation["parameters"].as_array().expect("each has parameters");
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            assert!(parameters.iter().any(|of| of["name"] == name && of["in"] == "path" && of["required"] == true), "{path}");
        }
        for parameter in parameters {
            let schema = &parameter["schema"];
            let is_bound = match schema["type"].as_str() {
                Some("integer") => schema["minimum"].is_number() && schema["maximum"].is_number(),
                Some("string") => ["maxLength", "enum", "format", "pattern"].iter().any(|bound| !schema[*bound].is_null()),
                Some("boolean") => true,
                _ => false,
            };
            assert!(is_bound, "{path} {parameter}");
            if parameter["name"] == "zone" {
                for zone in schema["enum"].as_array().expect("zones are enumerated") {
                    let zone = zone.as_str().expect("zones have names").replace('+', "%2B");
                    let uri = format!("/v1/campaigns/1/days?days=1&zone={zone}");
                    assert_eq!(server.get("operator", &uri).await.status, StatusCode::OK, "{zone}");
                }
            }
        }
    }
}

fn find_refs(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| find_refs(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| find_refs(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// T4, A36: a stream sends the counters, sends them again when they change, and ends when its token is revoked.
#[tokio::test]
async fn a_stream_sends_changes_and_ends_with_its_token() {
    use futures_util::StreamExt;
    let server = Server::new(sample::fill);
    let request = Request::get("/v1/campaigns/1/live").header("authorization", "Bearer reporter");
    let request = request.body(Body::empty()).expect("it is a request");
    let response = server.router.clone().oneshot(request).await.expect("a router answers");
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &HeaderValue::from_static("text/event-stream"))
    );
    let mut events = response.into_body().into_data_stream();
    let sqlite = Connection::open(&server.path).expect("SQLite opens");
    let change = |sql: &str, position: u64| {
        sqlite.execute_batch(sql).expect("the row is there");
        sqlite.execute("UPDATE cursor SET position = ?1", [position as i64]).expect("there is a cursor");
        server.standing.send_replace(standing(position));
    };
    let mut next = async || loop {
        let event = timeout(DEADLINE, events.next()).await.expect("an event, or the end, within the deadline")?;
        let event = String::from_utf8(event.expect("the stream holds").to_vec()).expect("events are texts");
        // A comment keeps the connection alive.
        if !event.starts_with(':') {
            return Some(event);
        }
    };
    let first = next().await.expect("the counters are sent first");
    assert!(first.contains("event: figures") && first.contains("id: 2000000") && first.contains("\"activations\":2"), "{first}");
    change("UPDATE club SET name = 'Other'", sample::POSITION + 1);
    change("UPDATE campaign SET activations = 3 WHERE campaign = 1", sample::POSITION + 2);
    let second = next().await.expect("they have changed");
    assert!(second.contains("id: 2000002") && second.contains("\"activations\":3"), "{second}");
    // A hold expires while no records arrive.
    server.standing.send_modify(|standing| {
        standing.report(Newest {
            position: standing.applied,
            now_ms: sample::NOW_MS + 1_000,
            requests_ms: sample::NOW_MS + 1_000,
        });
    });
    let third = next().await.expect("they have changed");
    assert!(third.contains("id: 2000002-1790000001000") && third.contains("\"held\":0"), "{third}");
    change("UPDATE credential SET revoked_ms = 1", sample::POSITION + 3);
    assert_eq!(next().await, None);
}

/// A query whose caller is gone ends, and the next one on its connection is answered.
#[tokio::test]
async fn a_query_is_interrupted_when_nobody_waits() {
    let server = Server::new(sample::fill);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (ended, ends) = tokio::sync::oneshot::channel();
    let endless = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n";
    let mut task = Box::pin(server.api.read(1, move |view| {
        begun.send(()).expect("the test waits");
        let found: rusqlite::Result<i64> = view.connection.query_row(endless, [], |row| row.get(0));
        ended.send(found.is_err()).expect("the test waits");
        found
    }));
    tokio::select! {
        _ = &mut task => panic!("it never ends by itself"),
        begins = timeout(DEADLINE, begins) => begins.expect("in time").expect("it begins"),
    }
    drop(task);
    assert_eq!(timeout(DEADLINE, ends).await.expect("it is interrupted in time"), Ok(true));
    assert_eq!(server.get("operator", "/v1/campaigns").await.status, StatusCode::OK);
}
