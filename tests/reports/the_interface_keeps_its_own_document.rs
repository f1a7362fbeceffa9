//! The HTTP interface against its own OpenAPI document: schemathesis reads the document and sends thousands of requests, valid
//! and invalid ones, to a sidecar that follows a real engine. No response is a server error, and each conforms to the document.
//!
//! `tests/openapi/hooks.py` describes the organisation to it. The path of the live counters is left out, because its response
//! never ends; the tests of `reporting` read it. It sends from one thread, because some versions of CPython parse wrongly in
//! several, and so that its seed reproduces the same requests.

use std::path::Path;
use std::process::Command;

use scrip_client::Client;
use scrip_protocol::command::{
    ArchiveCodes, CreditBonus, Hold, HoldOutcome, Note, PaidFor, PaidFrom, PayBonus, RecordPurchase, RecordSession,
    RedeemOutcome, TopUpOutcome,
};
use scrip_protocol::{ClientId, ClubId, Money, Position, RequestId, Role};
use serde_json::{Value, json};

use crate::support::{Server, Sidecar, campaign, club, create_rule, redemption, rule, run, say, seed, terms, top_up};

/// How long a use is held, in milliseconds.
const HELD_MS: u64 = 600_000;
/// The path whose responses have no end.
const ENDLESS: &str = "/v1/campaigns/{campaign}/live";

/// Creates a little of everything that the interface reports. Returns the values to query, by the names of the parameters.
async fn organisation(server: &Server) -> Value {
    let (operator, gateway) = (server.client(Role::Operator).await, server.client(Role::Gateway).await);
    let (arena, forum) = (club(&operator, "Arena").await, club(&operator, "Forum, \"East\"").await);
    let id = RequestId::now;
    for (client, name) in [(ClientId(1), "Ann"), (ClientId(u128::MAX), "=Bob")] {
        operator.register_client(id(), client, name).await.expect("a reply");
    }
    create_rule(&operator, rule("Tenth", "", "{{topupAmountMajor}} * 0.1")).await;
    let first: Vec<_> = (0..12).map(|n| format!("First-{n}")).collect();
    let first = campaign(&operator, terms("First", Some(2), 500), &first).await;
    let second = campaign(&operator, terms("Second", None, 250), &["=SUM".to_owned(), "0012".to_owned()]).await;
    let third = campaign(&operator, terms("Third", Some(1), 100), &["gone".to_owned()]).await;
    let codes = ["first-10", "first-11"].into_iter().collect();
    operator.archive_codes(id(), &ArchiveCodes { campaign: first, codes }).await.expect("a reply");
    operator.archive_campaign(id(), third).await.expect("a reply");

    let (mut activations, mut requests) = (Vec::new(), Vec::new());
    for (client, at, code) in [
        (1, arena, "FIRST-0"),
        (2, arena, "first-0"),
        (3, forum, "first-0"),
        (u128::MAX, forum, "0012"),
        (2, forum, "=sum"),
        (4, arena, "first-10"),
        (4, arena, "gone"),
        (4, arena, "nothing"),
    ] {
        let request = id();
        requests.push(request.to_string());
        let outcome = gateway.redeem(request, &redemption(client, at, code)).await.expect("a reply");
        if let RedeemOutcome::Redeemed(activated) = outcome {
            activations.push(activated.activation);
        }
    }
    operator.refund(id(), activations[1], false).await.expect("a reply");
    holds(&gateway, arena).await;
    requests.push(money(&operator, arena).await);
    let position = operator.show_status().await.expect("a reply").journal.durable;
    json!({
        "position": position,
        "campaign": [first, second, third, 9],
        "slot": [0, 1, 10, 4_000_000],
        "activation": activations,
        "client": ["1", "2", "4", ClientId(u128::MAX).to_string()],
        "code": ["first-0", "0012", "GONE", "nothing"],
        "q": ["ann", "first-0", "1", activations[0].to_string(), requests[0]],
        "name": ["a", "=bob"],
        "request": requests,
    })
}

/// Makes a use that is held, one that was confirmed and one that was released.
async fn holds(gateway: &Client, at: ClubId) {
    let mut held = Vec::new();
    for code in ["first-1", "first-2", "first-3"] {
        let command = Hold::new(ClientId(1), at, code, HELD_MS);
        let outcome = gateway.hold(RequestId::now(), &command).await.expect("a reply");
        let HoldOutcome::Held(hold) = outcome else { panic!("{outcome}") };
        held.push(hold.hold);
    }
    gateway.confirm(RequestId::now(), held[0]).await.expect("a reply");
    gateway.release(RequestId::now(), held[1]).await.expect("a reply");
    gateway.confirm(RequestId::now(), Position(1)).await.expect("a reply");
}

/// Makes a top-up on which a rule fires, and the operations that follow. Returns the request id of the top-up.
async fn money(operator: &Client, at: ClubId) -> String {
    let (id, client, note) = (RequestId::now, ClientId(1), Note::default);
    let request = id();
    let outcome = operator.top_up(request, &top_up(1, at, 10_000)).await.expect("a reply");
    assert!(matches!(outcome, TopUpOutcome::ToppedUp { .. }), "{outcome}");
    let credit = CreditBonus { client, club: Some(at), amount: Money(300), note: note() };
    operator.credit_bonus(id(), &credit).await.expect("a reply");
    let payment = PayBonus { client, club: at, amount: Money(200), paid_for: PaidFor::Order, note: note() };
    operator.pay_bonus(id(), &payment).await.expect("a reply");
    let session = RecordSession { client, club: at, price: Money(400), paid_from: PaidFrom::GamingBalance, note: note() };
    operator.record_session(id(), &session).await.expect("a reply");
    let purchase = RecordPurchase { client, club: at, price: Money(150), paid_from: PaidFrom::Directly, note: note() };
    operator.record_purchase(id(), &purchase).await.expect("a reply");
    request.to_string()
}

/// T1 to T7, B5, Z3, Z13, Z14: every response conforms to the document, and no request breaks the interface. Pain 24: a missing
/// or unknown thing is a refusal, never a failure.
#[tokio::test(flavor = "multi_thread")]
async fn every_response_conforms_to_the_document() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin");
    let schemathesis = python.join("schemathesis");
    assert!(schemathesis.exists(), "{} is missing, which sends the requests: tests/run installs it", schemathesis.display());
    let server = Server::start();
    let known = organisation(&server).await;
    let sidecar = Sidecar::start(&server);
    sidecar.ready();
    assert_eq!(sidecar.get(&format!("/v1/campaigns?wait_for={}", known["position"])).status, 200);

    let seed = seed() & u64::from(u32::MAX);
    let report = server.scratch().join("report.json");
    let mut command = Command::new(schemathesis);
    command.current_dir(server.scratch()).env("SCHEMATHESIS_HOOKS", "hooks").env("SCRIP_KNOWN", known.to_string());
    command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg("run").arg(format!("http://{}/openapi.json", sidecar.address()));
    command.args(["--header", &format!("Authorization: Bearer {}", server.token(Role::Operator))]);
    command.args(["--checks", "all", "--exclude-path", ENDLESS, "--workers", "1", "--max-examples", "20"]);
    command.args(["--seed", &seed.to_string(), "--continue-on-failure", "--no-color"]);
    command.args(["--report", "json", "--report-json-path"]).arg(&report);
    let ran = tokio::task::block_in_place(|| run(&mut command, b""));
    assert_eq!(ran.code, 0, "{}\n{}\n{}", ran.out, ran.err, sidecar.log());

    let report: Value = serde_json::from_slice(&std::fs::read(report).expect("it was written")).expect("it is JSON");
    let (operations, cases) = (&report["operations"], &report["test_cases"]);
    let paths = sidecar.get_openly("/openapi.json").json()["paths"].as_object().map(|paths| paths.len());
    assert_eq!(operations["tested"].as_u64(), paths.map(|paths| paths as u64 - 1), "all but the endless one: {operations}");
    assert!(report["complete"] == true && cases["generated"].as_u64() > Some(1_000), "{cases}");
    // Queries without results prove little: everything was there to be found.
    assert_eq!(report["warnings"]["missing_test_data"], json!([]), "{}", ran.out);
    assert_eq!(report["warnings"]["low_valid_rate"], json!([]), "{}", ran.out);
    say(&format!("{} requests, in {} s", cases["generated"], report["running_time"]));
    assert_eq!(sidecar.get_openly("/readyz").status, 200);
    assert_eq!(sidecar.log(), "", "nothing went wrong without a response");
}
