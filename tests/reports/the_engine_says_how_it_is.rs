//! The engine's reports about itself: its metrics and its readiness over HTTP, its status over QUIC, and the refused attempts
//! that left no record (Z13). A reader of the journal that stops reading costs it nothing.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;

use scrip_client::{Client, ClientError, Dial, TailError, Tailing, Watching};
use scrip_protocol::command::{KeepReaderOutcome, RunId, Status, TakeSnapshotOutcome};
use scrip_protocol::{Position, Refusal, RequestId, Role};
use scrip_reporting::attempts::receive::follow_attempts;
use scrip_reporting::attempts::{Attempts, AttemptsOf};

use crate::support::{BEGUN, DEADLINE, Running, Server, campaign, club, redemption, run, scrip, terms, wait_until};

/// An engine that answers probes.
struct Probed {
    folder: tempfile::TempDir,
    running: Running,
    address: SocketAddr,
    metrics: SocketAddr,
    operator: String,
}

impl Probed {
    /// Creates an organisation whose engine keeps only journal that is needed.
    fn start() -> Probed {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let ran = run(scrip().arg("init").arg(&data).args(["--json", "--listen", "127.0.0.1:0"]), b"").exits(0);
        let operator = ran.json()[0]["tokens"]["operator"].as_str().expect("init prints a token for each role").to_owned();
        let path = data.join("scrip.toml");
        let text = std::fs::read_to_string(&path).expect("init created it");
        assert!(!text.contains("[metrics]"), "{text}");
        let text = text.replace("journal = \"all\"", "journal = \"needed\"");
        // In the file, as the command line does not set it.
        std::fs::write(&path, format!("{text}\n[metrics]\nlisten = \"127.0.0.1:0\"\n")).expect("it is writable");
        let mut command = scrip();
        command.args(["serve", "--json", "--segment-mib", "1", "--data"]).arg(&data).env("SCRIP_LOG", "error");
        let mut running = Running(command.stdout(Stdio::piped()).spawn().expect("it starts"));
        let first = running.lines().recv_timeout(DEADLINE).expect("the engine prints its address");
        let first: serde_json::Value = serde_json::from_str(&first).expect("the first line is JSON");
        let address = |name: &str| first[name].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let (address, metrics) = (address("listening"), address("metrics"));
        Probed { folder, running, address, metrics, operator }
    }

    fn dial(&self) -> Dial {
        let authority = std::fs::read(self.folder.path().join("data/tls/ca.pem")).expect("init created it");
        Dial::new(&self.address.to_string(), authority, self.operator.as_str()).expect("an address")
    }

    /// The status and the body of a response.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.metrics).expect("it is listening");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").expect("it is accepted");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a reply");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if path == "/metrics" {
            assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
        }
        (status, body.to_owned())
    }

    /// The samples by their names and labels.
    fn samples(&self) -> HashMap<String, f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        parse(&text)
    }
}

/// Parses the exposition format: each family once, with its help and its type before its samples, and no sample twice.
fn parse(text: &str) -> HashMap<String, f64> {
    let (mut samples, mut types) = (HashMap::new(), HashMap::new());
    let (mut helped, mut typed) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a help");
            assert!(!help.is_empty() && name.starts_with("scrip_engine_"), "{line}");
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert_eq!(name, helped, "the help comes before the type");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}: a family appears once");
            typed = name.to_owned();
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            let name = sample.split('{').next().expect("a name");
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(name == typed || (family == typed && types[&typed] == "histogram"), "{line} is not of {typed}");
            let value = value.parse().expect("a number");
            assert!(samples.insert(sample.to_owned(), value).is_none(), "{line}: a sample appears once");
        }
    }
    samples
}

async fn refused(client: &Client, command: &scrip_protocol::command::Redeem) -> Refusal {
    match client.redeem(RequestId::now(), command).await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn count(counts: &[scrip_protocol::command::Counted], word: &str) -> u64 {
    counts.iter().find(|counted| counted.word == word).map_or(0, |counted| counted.count)
}

/// Pain 2: redemptions, refusals and what is left are counted as they happen, in a form that a supervisor reads.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_done() {
    let engine = Probed::start();
    let operator = Client::connect(engine.dial()).await.expect("the engine runs");
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Small", Some(1), 100), &["ONE".to_owned(), "TWO".to_owned()]).await;
    for (client, code) in [(1, "one"), (2, "ONE"), (3, "nothing")] {
        operator.redeem(RequestId::now(), &redemption(client, arena, code)).await.expect("a reply");
    }
    let moved = operator.keep_reader(RequestId::now(), "re\"ports", Position(BEGUN)).await.expect("a reply");
    assert!(matches!(moved, KeepReaderOutcome::Kept { .. }), "{moved}");
    let snapshot = operator.take_snapshot(DEADLINE).await.expect("a reply");
    let TakeSnapshotOutcome::Taken(taken) = snapshot else { panic!("{snapshot}") };

    let samples = engine.samples();
    let durable = BEGUN + 2 + 3 + 1;
    for (sample, value) in [
        ("scrip_engine_journal_position", durable),
        ("scrip_engine_journal_records_total", durable - BEGUN),
        ("scrip_engine_journal_first_position", 1),
        ("scrip_engine_snapshot_position", taken.position.0),
        ("scrip_engine_requests_total{command=\"redeem\"}", 3),
        ("scrip_engine_requests_total{command=\"register-club\"}", 1),
        ("scrip_engine_redemptions_total{outcome=\"redeemed\"}", 1),
        ("scrip_engine_redemptions_total{outcome=\"not_accepted\"}", 2),
        ("scrip_engine_codes", 2),
        ("scrip_engine_campaigns", 1),
        ("scrip_engine_clients", 1),
        ("scrip_engine_connections", 1),
        ("scrip_engine_lanes", 1),
        ("scrip_engine_requests_under_way", 0),
        ("scrip_engine_reader_lag_records{reader=\"re\\\"ports\"}", durable - BEGUN),
        ("scrip_engine_slowest_reader_lag_records", durable - BEGUN),
    ] {
        assert_eq!(samples.get(sample), Some(&(value as f64)), "{sample} of {samples:#?}");
    }
    let lag = samples["scrip_engine_slowest_reader_lag_seconds"];
    assert!((0.0..60.0).contains(&lag), "the first unread record is {lag} seconds old");
    let flushes = samples["scrip_engine_journal_flush_duration_seconds_count"];
    assert_eq!(flushes, samples["scrip_engine_journal_flush_duration_seconds_bucket{le=\"+Inf\"}"]);
    assert!(flushes >= 1.0 && samples["scrip_engine_journal_flush_duration_seconds_sum"] > 0.0);
    assert_eq!(engine.get("/healthz").0, 200);
    assert_eq!(engine.get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(engine.get("/nothing").0, 404);
}

/// Z15: a reporter may query the status, a gateway may not; and a reader that has read everything has no lag.
#[tokio::test(flavor = "multi_thread")]
async fn a_reporter_is_shown_the_status() {
    let server = Server::start();
    let (reporter, gateway) = (server.client(Role::Reporter).await, server.client(Role::Gateway).await);
    let operator = server.client(Role::Operator).await;
    club(&operator, "Arena").await;
    let refused = gateway.show_status().await.expect_err("a gateway may not query it");
    assert!(matches!(refused, ClientError::Refused(Refusal::Forbidden { role: Role::Gateway })), "{refused}");
    reporter.keep_reader(RequestId::now(), "reports", Position(BEGUN + 1)).await.expect("a reply");
    let status: Status = reporter.show_status().await.expect("a reply");
    assert_eq!((status.journal.first, status.journal.durable), (Position(1), Position(BEGUN + 2)));
    assert!(status.started_ms <= status.now_ms && status.journal.time_ms <= status.now_ms);
    let reader = &status.readers[0];
    assert_eq!((reader.name.as_str(), reader.position), ("reports", Position(BEGUN + 1)));
    // It has not read the record of its own move, which does not count.
    assert_eq!((reader.lag_records, reader.lag_ms), (0, Some(0)));
    // The gateway's, and this one itself.
    assert_eq!((count(&status.requests, "show-status"), count(&status.refusals, "forbidden")), (2, 1));
    assert_eq!((status.load.connections, status.snapshot, status.lockouts), (3, None, 0));
}

/// Z13: an attempt that is refused without a record is reported beside the journal, can be found by client and by code in the
/// file that stores it, and is stored once, though the engine is killed and numbers from the start again.
#[tokio::test(flavor = "multi_thread")]
async fn refused_attempts_without_a_record_are_reported_and_stored() {
    let mut server = Server::guarded("[guard.client]\nmisses_at_once = 2\nmisses_per_minute = 1\nlockout_first_ms = 600000\n");
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Small", Some(1), 100), &["REAL".to_owned()]).await;
    let dir = tempfile::tempdir().expect("a folder");
    let attempts = Arc::new(Attempts::open(&dir.path().join("attempts.sqlite")).expect("a new file"));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(follow_attempts(server.dial(Role::Reporter), attempts.clone(), stopped));
    let stored = |of, many: usize| {
        wait_until(DEADLINE, "the attempts are stored", || {
            let page = attempts.find(of, None, 100).expect("they are readable");
            (page.attempts.len() >= many).then_some(page)
        })
    };
    let lock_out = async |server: &Server, client: u128| {
        let gateway = server.client(Role::Gateway).await;
        for guess in ["a", "b"] {
            gateway.redeem(RequestId::now(), &redemption(client, arena, guess)).await.expect("a reply");
        }
        refused(&gateway, &redemption(client, arena, " Real ")).await
    };
    let refusal = lock_out(&server, 7).await;
    assert!(matches!(refusal, Refusal::TooManyMisses { .. }), "{refusal}");
    let marketing = server.client(Role::Marketing).await;
    assert_eq!(refused(&marketing, &redemption(8, arena, "REAL")).await, Refusal::Forbidden { role: Role::Marketing });

    let page = stored(AttemptsOf::Anybody, 2);
    assert_eq!(
        (page.attempts[0].reason.as_str(), page.attempts[0].client.as_deref()),
        ("forbidden", None),
        "it is not looked up"
    );
    let found = tokio::task::block_in_place(|| stored(AttemptsOf::Code("real"), 1));
    assert_eq!(found.attempts.len(), 1);
    let found = &found.attempts[0];
    assert_eq!(
        (found.client.as_deref(), found.command.as_str(), found.reason.as_str()),
        (Some("7"), "redeem", "too_many_misses")
    );
    assert_eq!((found.decided.as_str(), found.club), (refusal.to_string().as_str(), Some(arena.0)));

    // A watcher without --follow gets what there is, and the end.
    let lines = run(server.scrip(Role::Reporter).args(["tail", "--attempts"]), b"").exits(0).json();
    let reasons: Vec<_> = lines.iter().map(|line| line["refusal"].clone()).collect();
    assert_eq!((lines.len(), &lines[0]["code"], &reasons[1]["forbidden"]["role"]), (2, &"real".into(), &"marketing".into()));
    run(server.scrip(Role::Gateway).args(["tail", "--attempts"]), b"").exits(4);

    server.kill();
    server.restart();
    let mut watching = Watching::start(server.dial(Role::Reporter), RunId(0), 0, false).await.expect("the engine runs again");
    let first = crate::support::within(watching.next()).await.expect("a reply").expect("the first part names the run");
    assert_eq!((first.attempts.len(), first.lost), (0, 0), "they are gone with the process");
    lock_out(&server, 9).await;
    let page = tokio::task::block_in_place(|| stored(AttemptsOf::Anybody, 3));
    let clients: Vec<_> = page.attempts.iter().map(|attempt| attempt.client.as_deref()).collect();
    assert_eq!((clients, page.lost), (vec![Some("9"), None, Some("7")], 0));

    // The file fails for a while, as on a full disk. What was reported meanwhile is stored after that.
    let file = rusqlite::Connection::open(dir.path().join("attempts.sqlite")).expect("it is there");
    file.busy_timeout(DEADLINE).expect("it is set");
    file.execute_batch("CREATE TRIGGER fails BEFORE INSERT ON attempt BEGIN SELECT RAISE(ABORT, 'full'); END")
        .expect("a trigger");
    lock_out(&server, 10).await;
    lock_out(&server, 11).await;
    file.execute_batch("DROP TRIGGER fails").expect("it exists");
    lock_out(&server, 12).await;
    let page = tokio::task::block_in_place(|| stored(AttemptsOf::Anybody, 6));
    let clients: Vec<_> = page.attempts.iter().take(3).map(|attempt| attempt.client.as_deref()).collect();
    assert_eq!((clients, page.lost), (vec![Some("12"), Some("11"), Some("10")], 0));
    stop.send_replace(true);
    following.await.expect("it does not panic");
}

/// How many codes of 64 bytes fill a segment of 1 MiB and more.
const CODES_OF_A_SEGMENT: usize = 30_000;

/// A reader that does not read holds nothing open and blocks nobody: the journal is written, its segments end and are dropped,
/// redemptions get replies, other readers get everything. When it reads again, it learns what it has missed.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_have_stopped_cost_nothing() {
    const READERS: usize = 12;
    let engine = Probed::start();
    let operator = Client::connect(engine.dial()).await.expect("the engine runs");
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Small", None, 100), &["SMALL".to_owned()]).await;
    let mut stopped = Vec::new();
    for _ in 0..READERS {
        let mut tailing = Tailing::start(engine.dial(), Position(1), true).await.expect("a tail");
        crate::support::within(tailing.next()).await.expect("the journal can be read");
        stopped.push(tailing);
    }
    // More than can be on its way to a reader: 8 MiB wait in the engine, and 8 MiB in its window.
    let mut positions = Vec::new();
    for mark in 0..12 {
        let codes: Vec<_> = (0..CODES_OF_A_SEGMENT).map(|n| format!("{mark:02}-LONG-ENOUGH-{n:048}")).collect();
        campaign(&operator, terms(&format!("Campaign {mark}"), None, 1), &codes).await;
        let outcome = operator.redeem(RequestId::now(), &redemption(7, arena, "SMALL")).await.expect("a reply");
        let scrip_protocol::command::RedeemOutcome::Redeemed(activated) = outcome else { panic!("{outcome}") };
        positions.push(activated.activation);
    }
    let status = operator.show_status().await.expect("a reply");
    assert_eq!(status.load.tails, READERS as u64, "all of them are connected");

    // Retention drops what two snapshots have passed, even if a reader was in the middle of it.
    for _ in 0..2 {
        operator.redeem(RequestId::now(), &redemption(7, arena, "SMALL")).await.expect("a reply");
        let outcome = operator.take_snapshot(DEADLINE).await.expect("a reply");
        assert!(matches!(outcome, TakeSnapshotOutcome::Taken(_)), "{outcome}");
    }
    let first = operator.show_status().await.expect("a reply").journal.first;
    assert!(first > positions[8], "the journal begins at {first}, and was written to {positions:?}");
    let fds = format!("/proc/{}/fd", engine.running.0.id());
    let open = std::fs::read_dir(fds).expect("it is running").filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let deleted: Vec<_> = open.filter(|path| path.to_string_lossy().ends_with("(deleted)")).collect();
    assert_eq!(deleted, Vec::<std::path::PathBuf>::new(), "no reader holds a dropped segment open");

    // A reader that continues reaches the point where the engine stopped sending, and gets the error.
    let mut last = stopped.pop().expect("there are some");
    let ended = loop {
        match crate::support::within(last.next()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it does not end by itself"),
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, TailError::Dropped { first: begins } if begins == first), "{ended}");
    // Stopping waits a while for readers that do not read; meanwhile the engine reports that it is not ready.
    engine.running.signal("TERM");
    let why = wait_until(DEADLINE, "the engine reports that it is stopping", || {
        let (status, body) = engine.get("/readyz");
        (status == 503).then_some(body)
    });
    assert_eq!(why, "not ready: the engine is stopping\n");
    assert_eq!(engine.get("/healthz").0, 200);
}
