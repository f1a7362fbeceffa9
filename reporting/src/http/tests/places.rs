//! Limits on what a caller may do at once, so that no caller uses up the share of others.

use futures_util::FutureExt;

use super::*;
use crate::http::answer::{QUERIES_OF_ONE, QUEUED_MAX, RUNNING_MAX, RUNNING_OF_ONE, STREAMS_MAX, STREAMS_OF_ONE};

/// Queries of consecutive credentials from this one on, which take every place and end when the sender is dropped.
struct Crowd {
    release: std::sync::mpsc::Sender<()>,
    queries: Vec<futures_util::future::BoxFuture<'static, Result<bool, Problem>>>,
}

impl Crowd {
    fn new(server: &Server, credentials: impl Iterator<Item = u32>) -> Crowd {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(parking_lot::Mutex::new(held));
        let mut queries: Vec<_> = credentials
            .map(|credential| {
                let (held, api) = (Arc::clone(&held), server.api.clone());
                async move { api.read(credential, move |_| Ok(held.lock().recv().is_err())).await }.boxed()
            })
            .collect();
        for query in &mut queries {
            assert!(query.now_or_never().is_none());
        }
        Crowd { release, queries }
    }

    async fn ends(self) {
        drop(self.release);
        for query in self.queries {
            assert_eq!(query.await, Ok(true));
        }
    }
}

const ALL: usize = RUNNING_MAX + QUEUED_MAX;

/// Running and waiting queries have limits, at which callers get `busy`; live streams are not affected.
#[tokio::test]
async fn too_many_queries_are_refused_and_streams_continue() {
    let server = Server::new(sample::fill);
    let crowd = Crowd::new(&server, (0..ALL).map(|n| 100 + n as u32));
    server.get("operator", "/v1/campaigns").await.is_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stream(&server, "operator").await.status(), StatusCode::OK);
    crowd.ends().await;
    assert_eq!(server.get("operator", "/v1/campaigns").await.status, StatusCode::OK);
}

/// A caller without a valid token is refused as unauthorised even under load, and takes no place.
#[tokio::test]
async fn strangers_take_no_places() {
    let server = Server::new(sample::fill);
    let crowd = Crowd::new(&server, (0..ALL).map(|n| 100 + n as u32));
    for path in PATHS.into_iter().chain(["/v1/campaigns/1/live", "/v1/campaigns/1/codes/export"]) {
        for token in ["nobody", "revoked"] {
            server.get(token, path).await.is_problem(StatusCode::UNAUTHORIZED);
        }
        server.send(Method::GET, path, &[]).await.is_problem(StatusCode::UNAUTHORIZED);
        server.get("gateway", path).now_or_never();
    }
    server.get("gateway", "/v1/campaigns").await.is_problem(StatusCode::FORBIDDEN);
    crowd.ends().await;
}

/// A request without a token is refused without a lookup, even while the limit of concurrent lookups is reached.
#[tokio::test]
async fn a_request_without_a_token_is_refused_without_a_lookup() {
    let server = Server::new(sample::fill);
    let all = u32::try_from(server.api.looked_up.available_permits()).expect("a few");
    let _taken = Arc::clone(&server.api.looked_up).acquire_many_owned(all).await.expect("it is never closed");
    for path in PATHS.into_iter().chain(["/v1/campaigns/1/live", "/v1/campaigns/1/codes/export"]) {
        let refused = server.send(Method::GET, path, &[]).now_or_never().expect("it waits for nothing");
        refused.is_problem(StatusCode::UNAUTHORIZED);
    }
}

/// One credential gets only some of the places, whatever it sends; others are answered meanwhile.
#[tokio::test]
async fn one_credential_leaves_queries_to_others() {
    let server = Server::new(sample::fill);
    let operator = 1;
    let crowd = Crowd::new(&server, (0..QUERIES_OF_ONE).map(|_| operator));
    server.get("operator", "/v1/campaigns").await.is_problem(StatusCode::SERVICE_UNAVAILABLE);
    const { assert!(RUNNING_OF_ONE < RUNNING_MAX && QUERIES_OF_ONE < RUNNING_MAX + QUEUED_MAX) }
    assert_eq!(server.get("marketing", "/v1/campaigns").await.status, StatusCode::OK);
    crowd.ends().await;
}

async fn stream(server: &Server, token: &str) -> Response {
    let request = Request::get("/v1/campaigns/1/live").header("authorization", format!("Bearer {token}"));
    server.router.clone().oneshot(request.body(Body::empty()).expect("it is a request")).await.expect("a router answers")
}

/// Live streams are limited in total and per credential, and queries are answered even at the limit.
#[tokio::test]
async fn streams_leave_queries_alone() {
    let server = Server::new(sample::fill);
    let mut streams = Vec::new();
    for _ in 0..STREAMS_OF_ONE {
        let opened = stream(&server, "operator").await;
        assert_eq!(opened.status(), StatusCode::OK);
        streams.push(opened);
    }
    assert_eq!(stream(&server, "operator").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    server.get("operator", "/v1/campaigns/1/live").await.is_problem(StatusCode::SERVICE_UNAVAILABLE);
    let others: Vec<_> = (STREAMS_OF_ONE..STREAMS_MAX).map(|n| server.api.streams.take(100 + n as u32)).collect();
    assert!(others.iter().all(Option::is_some));
    assert_eq!(stream(&server, "marketing").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    server.get("marketing", "/v1/campaigns/1/live").await.is_problem(StatusCode::SERVICE_UNAVAILABLE);
    // The places for reads of streams are taken, as if many streams read at once.
    let reads: Vec<_> = (0..4).map(|n| server.api.stream_reads.take(100 + n)).collect();
    assert!(reads.iter().all(Option::is_some) && server.api.stream_reads.take(99).is_none());
    assert_eq!(server.get("operator", "/v1/campaigns").await.status, StatusCode::OK);
    drop((streams, others, reads));
    assert_eq!(stream(&server, "marketing").await.status(), StatusCode::OK);
}

/// Pain 42: a stream tells proxies not to buffer or store it.
#[tokio::test]
async fn a_stream_passes_proxies() {
    let server = Server::new(sample::fill);
    let opened = stream(&server, "reporter").await;
    let header = |name: &str| opened.headers()[name].to_str().expect("it is text");
    assert_eq!((header("x-accel-buffering"), header("content-type")), ("no", "text/event-stream"));
    assert!(header("cache-control").contains("no-cache"));
}
