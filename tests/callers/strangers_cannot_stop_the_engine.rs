//! Strangers with all the resources they can hold without a token stop nothing: silent connections to the HTTP ports leave the
//! journal its file descriptors, and endless handshakes keep no caller out.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quinn::Endpoint;
use scrip_client::{Client, client_config};
use scrip_protocol::command::{AddCodes, AddCodesOutcome, OnConflict};
use scrip_protocol::{ClubId, RequestId, Role};
use scrip_transport::endpoint;
use tokio::net::UdpSocket;

use crate::support::metrics::{get, samples};
use crate::support::sidecar::{Sidecar, sidecar};
use crate::support::{DEADLINE, FileLimit, Server, campaign, club, run, scrip, terms, wait_until};

const FEW: FileLimit = FileLimit { soft: 256, hard: Some(256) };

/// Connections that send nothing, held for as long as they live.
fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).expect("it is listening")).collect()
}

/// Imports codes until the journal has `more` more files.
async fn rotate(server: &Server, operator: &Client, more: usize) {
    let before = server.journal_files().len();
    let of = campaign(operator, terms(&format!("Rotating {before}"), None, 1), &["FIRST".to_owned() + &before.to_string()]).await;
    let mut part = 0;
    while server.journal_files().len() < before + more {
        assert!(part < 45, "the journal did not rotate");
        let lines = (0..1_000).map(|code| format!("A-CODE-THAT-IS-RATHER-LONG-SO-THAT-SEGMENTS-END-{before}-{part}-{code}"));
        let lines: Vec<_> = lines.collect();
        let command = AddCodes { campaign: of, lines: lines.iter().collect(), first_line: 1, on_conflict: OnConflict::Reject };
        let outcome = operator.call(RequestId::now(), &command).await.expect("the engine keeps working");
        assert!(matches!(outcome, AddCodesOutcome::Added(_)), "{outcome}");
        part += 1;
    }
}

/// The limit of open files of a process: soft and hard.
fn files_of(process: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("it is running");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("Linux reports it");
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(u64::MAX));
    (numbers.next().expect("the soft one"), numbers.next().expect("the hard one"))
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_leave_the_journal_its_descriptors() {
    let mut server = Server::start_with(&["--metrics", "127.0.0.1:0", "--segment-mib", "1"]);
    server.terminate();
    server.restart_with_files(FEW);
    let metrics = server.metrics().expect("metrics were enabled");
    let operator = server.client(Role::Operator).await;
    rotate(&server, &operator, 1).await;
    let held = silent(metrics, 300);
    rotate(&server, &operator, 2).await;
    assert!(get(metrics, "/readyz").0.contains("200"), "an honest supervisor gets a reply");
    assert!(samples(metrics).contains_key("scrip_engine_journal_position"));

    // The sidecar keeps applying the journal, too.
    let command = sidecar(&server, Role::Reporter, &server.scratch().join("few"));
    let mut process = FEW.wrap(&command);
    let log = std::fs::File::create(server.scratch().join("few.log")).expect("a log");
    let mut running =
        crate::support::Running(process.stdout(std::process::Stdio::piped()).stderr(log).spawn().expect("it starts"));
    let first = running.lines().recv_timeout(DEADLINE).expect("it prints its address");
    let line: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    let address = line["listening"].as_str().and_then(|address| address.parse().ok()).expect("an address");
    let held_too = silent(address, 300);
    rotate(&server, &operator, 1).await;
    let newest = samples(metrics)["scrip_engine_journal_position"];
    wait_until(DEADLINE, "the sidecar has applied the imports", || {
        (samples(address)["scrip_sidecar_position"] >= newest).then_some(())
    });
    assert!(running.0.try_wait().expect("its status is available").is_none());
    drop((held, held_too));
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn the_limit_of_open_files_is_raised_and_checked() {
    let mut server = Server::start_with(&["--metrics", "127.0.0.1:0"]);
    server.terminate();
    server.restart_with_files(FileLimit { soft: 150, hard: None });
    let (soft, hard) = files_of(server.process().0.id());
    assert!(soft == hard && soft > 150, "{soft} of {hard}");
    let sidecar = Sidecar::start(&server);
    let (soft, hard) = files_of(sidecar.process().0.id());
    assert_eq!(soft, hard);
    server.terminate();
    let mut serve = scrip();
    serve.arg("serve").arg("--data").arg(server.dir());
    let ran = run(&mut FileLimit { soft: 100, hard: Some(100) }.wrap(&serve), b"");
    assert!(
        ran.code != 0 && ran.err.contains("may open 100 files but needs 144") && ran.err.contains("ulimit -n"),
        "{}",
        ran.err
    );
}

/// Forwards packets from a client to the engine, but returns only those that make the client prove its address. So the client
/// proves its address, but its handshake never completes, while it keeps retransmitting.
struct Stall {
    address: SocketAddr,
    retries: Arc<AtomicUsize>,
    _passing: tokio::task::JoinSet<()>,
}

impl Stall {
    async fn before(engine: SocketAddr, from: &str) -> Stall {
        let socket = Arc::new(UdpSocket::bind((from, 0)).await.expect("a port"));
        let address = socket.local_addr().expect("it is bound");
        let retries = Arc::new(AtomicUsize::new(0));
        let mut passing = tokio::task::JoinSet::new();
        let counted = retries.clone();
        passing.spawn(async move {
            let (mut packet, mut client) = (vec![0; 65_536], None);
            loop {
                let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
                // RFC 9000, section 17.2: a long header of the type Retry.
                let is_retry = packet[0] & 0xf0 == 0xf0;
                if from != engine {
                    client = Some(from);
                    let _ = socket.send_to(&packet[..length], engine).await;
                } else if let Some(client) = client
                    && is_retry
                {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let _ = socket.send_to(&packet[..length], client).await;
                }
            }
        });
        Stall { address, retries, _passing: passing }
    }
}

/// An honest caller that connects, sends a request, and leaves.
async fn call(server: &Server) -> Duration {
    let began = Instant::now();
    let client = server.client(Role::Operator).await;
    client.list_clubs(ClubId(0)).await.expect("a reply");
    began.elapsed()
}

async fn flood(server: &Server, from: &str) {
    let stall = Stall::before(server.address(), from).await;
    let flooding = endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    let config = client_config(&server.authority()).expect("the authority is valid");
    let begin = |endpoint: &Endpoint| endpoint.connect_with(config.clone(), stall.address, "127.0.0.1").expect("an address");
    let mut handshakes = Vec::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..11 {
        handshakes.extend((0..100).map(|_| tokio::spawn(begin(&flooding))));
        // Nobody waits for them to end: an honest caller arrives in between.
        slowest = slowest.max(call(server).await);
    }
    let retries = || (stall.retries.load(Ordering::Relaxed) >= 900).then_some(());
    tokio::task::block_in_place(|| wait_until(DEADLINE, "the flood proves its address", retries));
    for _ in 0..5 {
        slowest = slowest.max(call(server).await);
    }
    crate::support::say(&format!("flooded from {from}: the slowest of 16 honest callers took {slowest:?}"));
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    handshakes.iter().for_each(tokio::task::JoinHandle::abort);
}

/// More endless handshakes than there may be connections, each from a proven address, keep no honest caller out, neither from
/// elsewhere nor from the very same address. They do not cost a log line each.
#[tokio::test(flavor = "multi_thread")]
async fn endless_handshakes_keep_nobody_out() {
    let server = Server::start_with(&["--metrics", "127.0.0.1:0"]);
    let metrics = server.metrics().expect("metrics were enabled");
    let operator = server.client(Role::Operator).await;
    club(&operator, "Arena").await;
    for from in ["127.0.0.9", "127.0.0.1"] {
        flood(&server, from).await;
    }
    let counted = samples(metrics);
    assert!(counted["scrip_engine_handshakes_evicted_total"] > 100.0, "{counted:?}");
    assert!(counted["scrip_engine_retries_total"] > 1_000.0, "{counted:?}");
    assert_eq!(counted["scrip_engine_connections_refused_total"], 0.0);
    // The rest of them end by themselves, although their packets keep arriving.
    wait_until(DEADLINE, "all handshakes have ended", || (samples(metrics)["scrip_engine_connections"] <= 2.0).then_some(()));
    assert!(server.log().lines().count() < 20, "{}", server.log());
    assert!(operator.list_clubs(ClubId(0)).await.is_ok(), "an existing client was not affected");
}
