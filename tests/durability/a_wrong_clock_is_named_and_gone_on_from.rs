//! A wrong clock does not lock the engine out for good, nor lets it start at an implausible time (Z3, Z11, pain 33).

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use scrip_client::ClientError;
use scrip_engine::folder::Folder;
use scrip_engine::{Engine, Start, recover};
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::{Journal, SEGMENT_BYTES};
use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::command::RedeemOutcome;
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{Refusal, RequestId, Role, Settings, UtcTime, unix_time_ms};

use crate::support::{Server, campaign, club, http, redemption, run, scrip, terms};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Appends a record with a given time to the journal of a folder, like an engine whose clock showed that time.
fn append_at(dir: &Path, time_ms: u64) {
    let (disk, folder): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), Folder::at(dir));
    let mut recovered = recover(&disk, &folder, SEGMENT_BYTES, u64::MAX, &mut |_| {}).expect("the folder is well");
    let settings = match recovered.state.position().0 {
        0 => Settings::default(),
        _ => recovered.state.settings().clone(),
    };
    let mut batch = BatchBuilder::new(time_ms);
    batch.push(&SettingsSet::new(settings).into());
    recovered.journal.append(vec![batch]).expect("the disk accepts it");
}

/// A free port for TCP on this machine.
fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("there is one").to_string()
}

/// The newest record is 25 hours, or a year, ahead: the engine names both times and refuses to start. With the flag it starts,
/// redeems each code once, and is ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_from_the_future_needs_a_flag() {
    for ahead_ms in [25 * HOUR_MS, 366 * DAY_MS] {
        let metrics = free_port();
        let mut server = Server::start_with(&["--metrics", &metrics]);
        let client = server.client(Role::Operator).await;
        let arena = club(&client, "Arena").await;
        campaign(&client, terms("Once", Some(1), 100), &["A".to_owned(), "B".to_owned()]).await;
        let before = RequestId::now();
        let first = client.redeem(before, &redemption(1, arena, "A")).await.expect("a reply");
        assert!(matches!(first, RedeemOutcome::Redeemed(_)), "{first}");
        drop(client);
        assert!(server.terminate().success());
        let future_ms = unix_time_ms() + ahead_ms;
        append_at(&server.dir(), future_ms);

        let refused = run(scrip().arg("serve").arg("--data").arg(server.dir()), b"").exits(10);
        let newest = UtcTime(future_ms).to_string();
        assert!(refused.err.contains(&newest) && refused.err.contains("--accept-clock"), "{}", refused.err);

        server.restart_with(&["--accept-clock", "--metrics", &metrics]);
        let client = server.client(Role::Operator).await;
        let again = client.redeem(before, &redemption(1, arena, "A")).await;
        assert_eq!(again.expect("a reply"), first, "earlier requests are remembered");
        let id = RequestId::now();
        let second = client.redeem(id, &redemption(2, arena, "B")).await.expect("a reply");
        assert!(matches!(second, RedeemOutcome::Redeemed(_)), "{second}");
        assert_eq!(client.redeem(id, &redemption(2, arena, "B")).await.expect("a reply"), second);
        let refused = client.redeem(RequestId::from_parts(unix_time_ms() + HOUR_MS, [7; 10]), &redemption(2, arena, "B")).await;
        let Err(ClientError::Refused(refusal @ Refusal::RequestFromFuture { .. })) = refused else { panic!("{refused:?}") };
        assert!(refusal.to_string().contains(&UtcTime(unix_time_ms()).to_string()[..11]), "{refusal}");
        assert_eq!(http(metrics.parse().expect("an address"), "/readyz", "").status, 200);
        let text = http(metrics.parse().expect("an address"), "/metrics", "").text();
        let lead = text.lines().find_map(|line| line.strip_prefix("scrip_engine_clock_lead_seconds "));
        let lead_s: f64 = lead.and_then(|lead| lead.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        assert!(lead_s > (ahead_ms / 1_000) as f64 - 120.0, "{lead_s}");
        drop(client);

        // The flag was needed once, although the records are still ahead.
        server.kill();
        server.restart_with(&[]);
        let client = server.client(Role::Operator).await;
        assert_eq!(client.redeem(id, &redemption(2, arena, "B")).await.expect("a reply"), second);
        assert_eq!(client.redeem(before, &redemption(1, arena, "A")).await.expect("a reply"), first);
        drop(client);
        assert!(server.terminate().success());
        server.restart();
        assert!(server.terminate().success());

        // A backup is for any machine: the clock is accepted where it is restored.
        let (backup, restored) = (server.scratch().join("backup"), server.scratch().join("restored"));
        run(scrip().args(["backup", "--offline", "--to"]).arg(&backup).arg("--data").arg(server.dir()), b"").exits(0);
        run(scrip().arg("restore").arg("--from").arg(&backup).arg("--data").arg(&restored), b"").exits(0);
        let refused = run(scrip().arg("serve").arg("--data").arg(&restored), b"").exits(10);
        assert!(refused.err.contains("the newest record is of"), "{}", refused.err);

        // The clock is set back again, as if it had been accepted half an hour ahead of now.
        shift_followed(&server.dir(), HOUR_MS / 2);
        let refused = run(scrip().arg("serve").arg("--data").arg(server.dir()), b"").exits(10);
        assert!(refused.err.contains("it was set back since then"), "{}", refused.err);
        server.restart_with(&["--accept-clock"]);
        server.kill();
        server.restart_with(&[]);
        assert!(server.terminate().success());
    }
}

/// Changes the clock file as if the clock had been ahead by `ahead_ms` when it was written.
fn shift_followed(dir: &Path, ahead_ms: u64) {
    let path = dir.join("clock.json");
    let mut noted: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("it is JSON");
    let wall_ms = noted["wall_ms"].as_u64().expect("a time");
    noted["wall_ms"] = (wall_ms + ahead_ms).into();
    std::fs::write(&path, noted.to_string()).expect("written");
}

/// Z12: a rehearsal without an end covers every top-up, also those with a time that the caller's clock has not reached.
#[test]
fn a_rehearsal_without_an_end_covers_records_that_are_ahead_of_the_caller() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    append_at(&server.dir(), unix_time_ms() + HOUR_MS);
    server.restart_with(&["--accept-clock"]);
    let done = |args: &[&str]| run(server.scrip(Role::Operator).args(args), b"").exits(0).out;
    done(&["club", "add", "Arena"]);
    done(&["top-up", "100", "--client", "1", "--club", "1", "--source", "CASH"]);
    let rehearse = ["rule", "rehearse", "--add-bonus", "5", "--from", "2020-01-01"];
    let whole = done(&rehearse);
    assert!(whole.starts_with("would have fired on 1 of 1 top-ups "), "{whole}");
    let now = UtcTime(unix_time_ms()).to_string();
    let until_now = done(&[&rehearse[..], &["--to", now.as_str()]].concat());
    assert!(until_now.starts_with("would have fired on 0 of 0 top-ups "), "{until_now}");
}

/// After its clock was set back under it, an engine starts again by the clock that it followed.
#[test]
fn a_clock_that_was_set_back_under_a_running_engine_needs_no_flag_after_a_crash() {
    let mut server = Server::start();
    server.kill();
    let now_ms = unix_time_ms();
    append_at(&server.dir(), now_ms + HOUR_MS);
    run(scrip().arg("serve").arg("--data").arg(server.dir()), b"").exits(10);
    // What the engine notes within a second of the step.
    let noted = serde_json::json!({ "wall_ms": now_ms, "record_ms": now_ms + HOUR_MS, "position": 1, "is_accepted": false });
    std::fs::write(server.dir().join("clock.json"), noted.to_string()).expect("written");
    server.restart();
    assert!(server.log().contains("is behind the newest record"), "{}", server.log());
    assert!(server.terminate().success());
}

/// The demo has the flag too.
#[test]
fn a_demo_accepts_the_clock_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("demo");
    let demo = |flags: &[&str]| run(scrip().args(["demo", "--once", "--codes", "10", "--data"]).arg(&dir).args(flags), b"");
    demo(&[]).exits(0);
    append_at(&dir, unix_time_ms() + HOUR_MS);
    demo(&[]).exits(10);
    demo(&["--accept-clock"]).exits(0);
    demo(&[]).exits(0);
}

/// A journal that is implausibly old is refused too, but not that of a shop that was closed for weeks.
#[tokio::test(flavor = "multi_thread")]
async fn an_implausibly_old_journal_needs_a_flag() {
    for (days, is_plausible) in [(29, true), (40, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("data");
        run(scrip().arg("init").arg(&dir).args(["--json", "--listen", "127.0.0.1:0"]), b"").exits(0);
        append_at(&dir, unix_time_ms() - days * DAY_MS);
        if !is_plausible {
            let refused = run(scrip().arg("serve").arg("--data").arg(&dir), b"").exits(10);
            assert!(refused.err.contains("more than 31 days after the newest record"), "{days} days: {refused:?}");
        }
        for accept_clock in [!is_plausible, false] {
            let start = Start { accept_clock, ..Start::default() };
            let engine = Engine::start(&Folder::at(&dir), start, &mut |_| {}).expect("it starts");
            engine.stop().await.expect("it stops");
        }
    }
}
