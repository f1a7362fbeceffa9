//! `scrip loadtest` against a running engine gives what it measured, whether or not it could be audited.

use std::fs;

use scrip_client::Tailing;
use scrip_protocol::{Position, Role};

use crate::support::{Server, club, run};

/// How many tails a credential can have.
const TAILS_MAX: usize = 24;

/// A load cannot be audited while its credential has no tail left. The findings are printed and written all the same, without an audit, and the
/// command fails.
#[tokio::test(flavor = "multi_thread")]
async fn findings_without_an_audit_are_given_and_are_an_error() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    club(&operator, "Arena").await;
    let mut tails = Vec::new();
    for _ in 0..TAILS_MAX {
        let mut tail = Tailing::start(server.dial(Role::Operator), Position(1), true).await.expect("a tail");
        assert!(tail.next().await.expect("the engine runs").is_some(), "there is a record");
        tails.push(tail);
    }
    let report = server.scratch().join("report.json");
    let mut loadtest = server.scrip(Role::Operator);
    loadtest.args(["loadtest", "--data"]).arg(server.dir()).args(["--codes", "500", "--connections", "1", "--alone", "5"]);
    loadtest.args(["--no-floor", "--json", "--report"]).arg(&report);
    let ran = run(&mut loadtest, b"");
    assert!(ran.code != 0 && ran.err.contains("the load was not audited"), "{ran:?}");
    let written = fs::read_to_string(&report).expect("the report is written");
    for document in [&ran.json()[0], &serde_json::from_str(&written).expect("it is JSON")] {
        assert_eq!(document["phases"][0]["answers"]["redeemed"], 500, "{document}");
        assert!(document["audit"].is_null(), "{document}");
    }
}
