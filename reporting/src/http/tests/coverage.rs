//! Answers about requests and activations that the history may not cover.

use scrip_protocol::RequestId;

use super::*;
use crate::search::{Coverage, coverage};

const DAY_MS: u64 = 86_400_000;
const SKEW_MS: u64 = 60_000;
/// When the history of the sample begins, once it begins with a snapshot: ten days before its newest batch.
const BEGINS_MS: u64 = sample::NOW_MS - 10 * DAY_MS;

/// The sample, begun from a snapshot that ended with position 150.
fn begun(sqlite: &Connection) {
    sample::fill(sqlite);
    sqlite.execute("UPDATE beginning SET position = 150, time_ms = ?1", [BEGINS_MS as i64]).expect("there is a beginning");
}

/// A request id with a time, which is not in the sample.
fn request_of(time_ms: u64) -> RequestId {
    RequestId::from_parts(time_ms, [7; 10])
}

/// Z3: a request is `not-found` only if the history covers all of the time in which the engine may execute it: from the skew
/// before the time in its id to the idempotency window after it. Otherwise a caller would send it again under another id, and it
/// would be executed twice.
#[tokio::test]
async fn not_found_is_only_for_requests_that_cannot_have_been_executed() {
    let (whole, begun) = (Server::new(sample::fill), Server::new(begun));
    let not_yet = sample::NOW_MS - DAY_MS;
    let begins = BEGINS_MS + SKEW_MS;
    let (none, unknown) = (StatusCode::NOT_FOUND, StatusCode::CONFLICT);
    for (time_ms, of_whole, of_begun) in [
        (1, none, unknown),
        (BEGINS_MS - DAY_MS, none, unknown),
        (BEGINS_MS, none, unknown),
        (begins, none, unknown),
        (begins + 1, none, none),
        (not_yet - 1, none, none),
        (not_yet, unknown, unknown),
        (sample::NOW_MS, unknown, unknown),
        (sample::NOW_MS + DAY_MS, unknown, unknown),
        (u64::MAX >> 16, unknown, unknown),
    ] {
        let path = format!("/v1/requests/{}", request_of(time_ms));
        for (server, expected, after) in [(&whole, of_whole, 0), (&begun, of_begun, 150)] {
            for token in ["gateway", "gateway-without", "cashier", "operator"] {
                let answer = server.get(token, &path).await;
                answer.is_problem(expected);
                let problem = answer.json();
                let kind = if expected == none { "not-found" } else { "not-known-here" };
                assert_eq!(problem["type"], format!("urn:scrip:problem:{kind}"), "{time_ms} {token}");
                assert_eq!((&problem["position"], &problem["history_after"]), (&sample::POSITION.into(), &after.into()));
            }
            let search = server.get("operator", &format!("/v1/search?q={}", request_of(time_ms))).await.json();
            assert_eq!((&search["request"], &search["may_exist"]), (&Value::Null, &(expected == unknown).into()), "{time_ms}");
        }
    }
    // The engine never executes an id of another UUID version than 7.
    begun.get("gateway", "/v1/requests/0190b6a0-7c1e-4d43-9a52-3f8d2f0b6c11").await.is_problem(none);
}

/// Z3: records may have dates from a time when the engine's clock was ahead; the engine accepts ids by its current clock. Such an
/// id is never `not-found`, whatever the date of the newest record: neither while the engine's clock is unknown, nor if this
/// machine's clock, which may be the same one, shows an earlier time than the last report.
#[tokio::test]
async fn not_found_is_never_for_a_request_that_the_engines_clock_still_admits() {
    let right = sample::NOW_MS - 30 * 3_600_000;
    let behind = || sample::NOW_MS - 30 * 3_600_000;
    for (covered_ms, clock, expected) in [
        (right, (|| u64::MAX) as fn() -> u64, StatusCode::CONFLICT),
        (sample::NOW_MS, behind, StatusCode::CONFLICT),
        (0, || u64::MAX, StatusCode::CONFLICT),
        (sample::NOW_MS, || u64::MAX, StatusCode::NOT_FOUND),
    ] {
        let server = Server::with_clock(sample::fill, clock);
        server.standing.send_modify(|standing| standing.requests = RequestClock::covering(covered_ms));
        let request = request_of(right);
        server.get("gateway", &format!("/v1/requests/{request}")).await.is_problem(expected);
        let search = server.get("operator", &format!("/v1/search?q={request}")).await.json();
        assert_eq!(search["may_exist"], expected == StatusCode::CONFLICT, "{covered_ms}");
    }
}

/// A history that begins with a snapshot covers only ids later than every id executed before, even by a clock that was ahead of
/// the records.
#[tokio::test]
async fn a_history_covers_no_id_as_early_as_one_that_was_executed_before_it() {
    let server = Server::new(|sqlite| {
        begun(sqlite);
        sqlite.execute("UPDATE beginning SET requests_ms = ?1", [(BEGINS_MS + DAY_MS) as i64]).expect("there is a beginning");
    });
    for (time_ms, expected) in [(BEGINS_MS + DAY_MS, StatusCode::CONFLICT), (BEGINS_MS + DAY_MS + 1, StatusCode::NOT_FOUND)] {
        server.get("gateway", &format!("/v1/requests/{}", request_of(time_ms))).await.is_problem(expected);
    }
}

/// The longest window and skew ever configured count, and before the settings are known nothing is covered.
#[test]
fn the_bounds_are_those_of_the_settings() {
    sample::view(|view| {
        let old = request_of(sample::NOW_MS - 2 * DAY_MS);
        assert_eq!(coverage(view, old)?, Coverage::Whole);
        view.connection.execute("UPDATE organisation SET request_window_max_ms = ?1", [2 * DAY_MS as i64])?;
        assert_eq!(coverage(view, old)?, Coverage::NotYet);
        view.connection.execute("DELETE FROM organisation", [])?;
        assert_eq!(coverage(view, request_of(1))?, Coverage::NotYet);
        Ok(())
    });
}

/// Pain 18: every answer states where its history begins; an activation before that, or after the newest record, is
/// `not-known-here`.
#[tokio::test]
async fn answers_say_where_their_history_begins() {
    let server = Server::new(begun);
    for path in PATHS.into_iter().filter(|path| !path.starts_with("/v1/activations/")) {
        let answer = server.get("operator", path).await;
        let as_of = answer.json()["as_of"].clone();
        assert_eq!((&as_of["history_after"], answer.header("scrip-history-after")), (&150.into(), "150"), "{path}");
        assert_eq!(as_of["history_after_time"], "2026-09-11T14:13:20Z");
    }
    // Days before the history begins, and the day on which it begins, are not whole.
    let days = server.get("operator", "/v1/campaigns/1/days?last=2026-09-13&days=4").await.json();
    let whole: Vec<_> = days["days"].as_array().expect("days").iter().map(|day| day["is_whole"].as_bool()).collect();
    assert_eq!(whole, [Some(false), Some(false), Some(true), Some(true)]);
    // A known activation is shown; for others the answer states whether they can exist.
    for (activation, expected) in [(99, StatusCode::CONFLICT), (150, StatusCode::CONFLICT), (151, StatusCode::NOT_FOUND)] {
        server.get("operator", &format!("/v1/activations/{activation}")).await.is_problem(expected);
    }
    let newer = format!("/v1/activations/{}", sample::POSITION + 1);
    server.get("operator", &newer).await.is_problem(StatusCode::CONFLICT);
    let exported = server.get("operator", "/v1/campaigns/1/activations/export").await;
    assert_eq!((exported.status, exported.header("scrip-history-after")), (StatusCode::OK, "150"));
    assert!(exported.header("content-disposition").contains("campaign-1-activations-after-p150-p2000000.csv"));
    assert_eq!(exported.header("content-length"), exported.body.len().to_string());
}

/// Z10: the tag of an answer of a whole history is no tag of the answer of one that begins later, nor of another caller's: 304 means unchanged.
#[tokio::test]
async fn answers_that_may_differ_have_different_tags() {
    let (whole, begun) = (Server::new(sample::fill), Server::new(begun));
    for path in PATHS {
        let answer = whole.get("operator", path).await;
        let tag = answer.header("etag").to_owned();
        assert!(!tag.is_empty(), "{path}");
        let headers = |token| [("authorization", token), ("if-none-match", tag.as_str())];
        let unchanged = whole.send(Method::GET, path, &headers("Bearer operator")).await;
        assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED, "{path}");
        for (server, token) in [(&begun, "Bearer operator"), (&whole, "Bearer operator-without"), (&whole, "Bearer marketing")] {
            let other = server.send(Method::GET, path, &headers(token)).await;
            assert_ne!(other.status, StatusCode::NOT_MODIFIED, "{path} {token}");
            assert_ne!(other.header("etag"), tag, "{path} {token}");
        }
    }
}
