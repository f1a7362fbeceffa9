//! `scrip loadtest` against a running engine gives what it measured, whether or not it could be audited.

mod support;

use std::fs;

use scrip_protocol::Role;
use scrip_protocol::command::TakeSnapshotOutcome;
use support::{DEADLINE, Server, campaign, club, run, terms};

/// So many codes of such a length are more than a MiB of journal: a segment.
const CODES_OF_A_MIB: usize = 20_000;

/// An engine that has dropped the beginning of its journal cannot be audited. The findings of the load are printed and written all the same,
/// without an audit, and the command fails.
#[tokio::test(flavor = "multi_thread")]
async fn findings_without_an_audit_are_given_and_are_an_error() {
    let mut server = Server::start_with(&["--segment-mib", "1"]);
    assert!(server.terminate().success());
    let path = server.dir().join("scrip.toml");
    let text = fs::read_to_string(&path).expect("init has made it");
    fs::write(&path, text.replace("journal = \"all\"", "journal = \"needed\"")).expect("it can be written");
    server.restart();
    let operator = server.client(Role::Operator).await;
    for name in ["One", "Two"] {
        let codes: Vec<String> = (0..CODES_OF_A_MIB).map(|n| format!("{name}-LONG-ENOUGH-{n:048}")).collect();
        campaign(&operator, terms(name, None, 1), &codes).await;
        club(&operator, &format!("After {name}")).await;
        let taken = operator.take_snapshot(DEADLINE).await.expect("an answer");
        assert!(matches!(taken, TakeSnapshotOutcome::Taken(_)), "{taken}");
    }
    let tail = run(server.scrip(Role::Reporter).args(["tail", "--from", "1"]), b"").exits(1);
    assert!(tail.err.contains("the journal begins at position"), "the beginning was dropped: {tail:?}");
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
