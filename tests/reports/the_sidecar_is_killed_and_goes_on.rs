//! The real sidecar beside the real engine: killed at random moments while codes are redeemed, stopped, wiped and rebuilt, it
//! reports over HTTP the engine's figures, and the engine is not affected.

use std::path::Path;

use scrip_client::Client;
use scrip_protocol::command::RedeemOutcome;
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, RequestId, Role};
use serde_json::Value;

use crate::support::{DEADLINE, Server, Sidecar, balance, campaign, club, redemption, run, seed, terms, wait_until};

/// How many codes the campaign has.
const CODES: usize = 20_000;
/// How often the sidecar is killed meanwhile.
const KILLS: usize = 8;

fn codes() -> Vec<String> {
    (0..CODES).map(|n| format!("CODE-{n:05}")).collect()
}

/// Redeems these codes, a hundred at a time, each by one of 50 clients. Returns the position of the last activation.
async fn redeem(gateway: &Client, at: ClubId, codes: &[String]) -> u64 {
    let mut last = 0;
    for hundred in codes.chunks(100) {
        let commands: Vec<_> =
            hundred.iter().zip(1..).map(|(code, n)| (RequestId::now(), redemption(n % 50 + 1, at, code))).collect();
        for outcome in gateway.redeem_all(&commands).await {
            let RedeemOutcome::Redeemed(activated) = outcome.expect("the engine runs") else { panic!("each is redeemed once") };
            last = last.max(activated.activation.0);
        }
    }
    last
}

/// Every figure of the campaign over HTTP equals the engine's.
fn agrees(server: &Server, sidecar: &Sidecar, id: CampaignId, position: u64) -> Value {
    let shown = run(server.scrip(Role::Operator).args(["campaign", "show", "--json", &id.to_string()]), b"").exits(0);
    let engine = &shown.json()[0];
    let figures = sidecar.get(&format!("/v1/campaigns/{id}/figures?wait_for={position}&wait_ms=30000")).json();
    assert!(figures["as_of"]["position"].as_u64() >= Some(position), "{figures}");
    for counter in
        ["codes", "codes_activated", "codes_archived", "codes_available", "codes_redeemable", "activations", "held", "refunds"]
    {
        assert!(figures[counter].is_u64(), "{counter}: {figures}");
        assert_eq!(figures[counter], engine["campaign"][counter], "{counter}: {figures}\n{engine}");
    }
    let issued = engine["campaign"]["issued"].as_i64().map(|minor| Money(minor).to_string());
    assert_eq!(figures["issued"].as_str(), issued.as_deref());
    figures
}

fn export(server: &Server, sidecar: &Sidecar, what: &[&str]) -> Vec<u8> {
    let mut command = server.scrip(Role::Operator);
    command.arg("export").arg("--store").arg(sidecar.store()).args(["--out", "-"]).args(what);
    run(&mut command, b"").exits(0).out.into_bytes()
}

/// Z10, A36: killed at random moments, the sidecar continues where it was and ends with the engine's figures; a caller reads its
/// own writes; a rebuild and a start from a backup give the same figures and the same file. T7: a download equals the output of
/// `scrip export`, to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn figures_equal_the_engines_after_every_kill() {
    let mut random = fastrand::Rng::with_seed(seed());
    let server = Server::start();
    let (operator, gateway) = (server.client(Role::Operator).await, server.client(Role::Gateway).await);
    let arena = club(&operator, "Arena").await;
    let codes = codes();
    let id = campaign(&operator, terms("Large", Some(1), 250), &codes).await;
    let mut sidecar = Sidecar::start(&server);
    let (under_way, rest) = codes.split_at(CODES - 500);
    let redeeming = tokio::spawn({
        let (gateway, codes) = (server.client(Role::Gateway).await, under_way.to_vec());
        async move { redeem(&gateway, arena, &codes).await }
    });
    let mut before = 0;
    for _ in 0..KILLS {
        // Somewhere in the middle: a number of records after the previous kill.
        let until = before + random.u64(1..2_000);
        tokio::task::block_in_place(|| {
            wait_until(DEADLINE, "the sidecar moves on", || {
                let applied = metric(&sidecar, "scrip_sidecar_position");
                (applied >= until).then_some(())
            });
            before = metric(&sidecar, "scrip_sidecar_position");
            sidecar.kill();
            sidecar.restart(&server, &[]);
            assert!(metric(&sidecar, "scrip_sidecar_position") >= before, "applied records survive a kill");
        });
    }
    redeeming.await.expect("no redemption fails");
    // While it is stopped, the engine is not affected: codes are redeemed as before, and it catches up.
    assert!(sidecar.terminate().success());
    let last = redeem(&gateway, arena, rest).await;
    sidecar.restart(&server, &[]);
    tokio::task::block_in_place(|| {
        let figures = agrees(&server, &sidecar, id, last);
        assert_eq!((figures["activations"].as_u64(), &figures["issued"]), (Some(CODES as u64), &"50000.00".into()));
        // From now on nothing is written, not even the position of the sidecar.
        assert!(sidecar.terminate().success());
    });
    let durable = operator.show_status().await.expect("a reply").journal.durable;
    tokio::task::block_in_place(|| compare_rebuilt(&server, &mut sidecar, id, durable.0));
    let card = sidecar.get("/v1/clients/7").json();
    assert_eq!(card["bonus"], balance(&operator, ClientId(7)).await.to_string());
}

/// A rebuild, and a start from a backup, end with the same contents.
fn compare_rebuilt(server: &Server, sidecar: &mut Sidecar, id: CampaignId, last: u64) {
    sidecar.restart(server, &["--reader", "none"]);
    // The time of a response is the engine's, which moves on.
    let timeless = |mut figures: Value| {
        figures["as_of"]["time"].take();
        figures
    };
    let figures = timeless(agrees(server, sidecar, id, last));
    let of_codes = format!("/v1/campaigns/{id}/codes/export");
    let (list, log) = (sidecar.get(&of_codes), sidecar.get("/v1/activations/export"));
    assert_eq!((list.status, log.status), (200, 200));
    assert!(list.body == export(server, sidecar, &["codes", &id.to_string()]), "a download equals the file of the command");
    assert!(log.body == export(server, sidecar, &["activations"]), "a download equals the file of the command");
    assert_eq!(log.text().lines().count(), CODES + 1);
    let backup = server.scratch().join("backup");
    run(server.scrip(Role::Operator).args(["backup", "--json", "--to"]).arg(&backup), b"").exits(0);
    let backup = backup.to_str().expect("temporary folders have plain names").to_owned();
    for options in [["--reader", "none", "--rebuild"].to_vec(), ["--reader", "none", "--from-backup", &backup].to_vec()] {
        assert!(sidecar.terminate().success());
        sidecar.restart(server, &options);
        sidecar.ready();
        assert_eq!(timeless(agrees(server, sidecar, id, last)), figures, "{options:?}");
        assert!(sidecar.get(&of_codes).body == list.body, "{options:?}: the same list");
        assert!(sidecar.get("/v1/activations/export").body == log.body, "{options:?}: the same log");
    }
}

/// A sample of the sidecar's metrics; 0 if it is missing. Every line of them is parsed.
fn metric(sidecar: &Sidecar, name: &str) -> u64 {
    let answer = sidecar.get_openly("/metrics");
    assert!(answer.status == 200 && answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let mut found = 0.0;
    for line in answer.text().lines().filter(|line| !line.starts_with("# ")) {
        let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
        let value: f64 = value.parse().expect("a number");
        assert!(sample.starts_with("scrip_sidecar_"), "{line}");
        found = if sample == name { value } else { found };
    }
    found as u64
}

/// Z4, Z10: an engine that was restored to an earlier state has another history: the sidecar halts and reports that, and a
/// rebuild fixes it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_history_halts_it_and_a_rebuild_fixes_it() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let id = campaign(&operator, terms("Small", Some(1), 250), &codes()[..100]).await;
    let gateway = server.client(Role::Gateway).await;
    redeem(&gateway, arena, &codes()[..20]).await;
    let backup = server.scratch().join("backup");
    tokio::task::block_in_place(|| run(server.scrip(Role::Operator).args(["backup", "--json", "--to"]).arg(&backup), b""))
        .exits(0);
    let last = redeem(&gateway, arena, &codes()[20..100]).await;
    let mut sidecar = Sidecar::start(&server);
    agrees(&server, &sidecar, id, last);

    server.kill();
    let why = wait_until(DEADLINE, "the sidecar is no longer ready", || {
        let answer = sidecar.get_openly("/readyz");
        (answer.status == 503).then(|| answer.text())
    });
    assert!(why.starts_with("not ready: no connection to the engine: "), "{why}");
    assert_eq!(sidecar.get_openly("/healthz").status, 200);
    assert_eq!(sidecar.get("/v1/campaigns").status, 200, "what it has is served without the engine");

    restore(&server, &backup);
    server.restart();
    assert_eq!(sidecar.ended().code(), Some(6), "{}", sidecar.log());
    let log = sidecar.log();
    assert!(log.contains("the engine was restored to an earlier state") && log.contains("rebuild the read model"), "{log}");
    sidecar.restart(&server, &["--rebuild"]);
    sidecar.ready();
    let figures = agrees(&server, &sidecar, id, 1);
    assert_eq!(figures["activations"], 20);
    // Later records are followed.
    let last = redeem(&server.client(Role::Gateway).await, arena, &codes()[20..30]).await;
    assert_eq!(agrees(&server, &sidecar, id, last)["activations"], 30);
}

/// Puts the contents of a backup in place of the data folder, while no engine runs.
fn restore(server: &Server, backup: &Path) {
    std::fs::rename(server.dir(), server.scratch().join("old")).expect("it exists");
    let mut command = crate::support::scrip();
    command.args(["restore", "--json", "--from"]).arg(backup).arg("--data").arg(server.dir());
    run(&mut command, b"").exits(0);
}

/// Z15: a gateway's token cannot tail the journal: the sidecar refuses to run with one, and reports why.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_token_is_refused() {
    let server = Server::start();
    let store = server.scratch().join("reporting");
    let ran = tokio::task::block_in_place(|| run(&mut crate::support::sidecar(&server, Role::Gateway, &store), b"")).exits(4);
    assert!(ran.err.contains("gateway"), "{}", ran.err);
}

/// Z13: a refused attempt is found by its code and by its client, with what decided; attempts that the guard refused, without a
/// record, are listed beside these.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_report_what_decided() {
    let server = Server::guarded("[guard.client]\nmisses_at_once = 2\nmisses_per_minute = 1\nlockout_first_ms = 600000\n");
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let id = campaign(&operator, terms("Small", Some(1), 250), &["REAL".to_owned()]).await;
    let gateway = server.client(Role::Gateway).await;
    let sidecar = Sidecar::start(&server);
    redeem(&gateway, arena, &["real".to_owned()]).await;
    let again = gateway.redeem(RequestId::now(), &redemption(9, arena, "Real")).await.expect("a reply");
    assert_eq!(again, RedeemOutcome::CodeExhausted);
    for guess in ["a", "b"] {
        gateway.redeem(RequestId::now(), &redemption(8, arena, guess)).await.expect("a reply");
    }
    gateway.redeem(RequestId::now(), &redemption(8, arena, "REAL")).await.expect_err("the client is locked out");
    let position = operator.show_status().await.expect("a reply").journal.durable.0;

    tokio::task::block_in_place(|| {
        for path in [
            format!("/v1/refusals?code=REAL&wait_for={position}"),
            "/v1/refusals?client=9".to_owned(),
            format!("/v1/refusals?campaign={id}"),
        ] {
            let found = sidecar.get(&path).json();
            let refusals = found["refusals"].as_array().expect("there is a list");
            assert_eq!(refusals.len(), 1, "{path}: {found}");
            assert_eq!(refusals[0]["reason"], "code_exhausted", "{path}");
            let decided = refusals[0]["decided"].as_str().expect("it reports what decided");
            assert!(decided.starts_with("1 of 1 activations of the code are used"), "{path}: {decided}");
        }
        let attempt = wait_until(DEADLINE, "the lockout is reported", || {
            let found = sidecar.get("/v1/refusals?client=8").json();
            found["attempts"].as_array().and_then(|attempts| attempts.first().cloned())
        });
        assert_eq!(
            (&attempt["reason"], &attempt["code"], &attempt["client"]),
            (&"too_many_misses".into(), &"real".into(), &"8".into())
        );
    });
}
