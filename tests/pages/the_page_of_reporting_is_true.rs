//! The page for operators and callers of the sidecar, docs/reporting.md, has every route with the roles that may call it, every
//! kind of problem, every metric of both processes, every option of `scrip sidecar`, and the limits that the program has.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::command::{CampaignCreated, CredentialAdded, Grant, Secret, Terms};
use scrip_protocol::{CampaignId, CredentialId, Money, Position, RequestId, Role, Stamp};
use scrip_reporting::export::ExportError;
use scrip_reporting::export::download::{
    BUILD_MAX, BUILDS_MAX, DOWNLOADS_MAX, DOWNLOADS_OF_ONE, FILES_BYTES_MAX, FILES_BYTES_OF_ONE, LOG_BYTES_MAX, PACE,
    SCRATCH_BYTES_MAX, TURN_MAX,
};
use scrip_reporting::figures::activity::DAYS_MAX;
use scrip_reporting::http::answer::{QUERIES_OF_ONE, QUEUED_MAX, RUNNING_MAX, RUNNING_OF_ONE, STREAMS_MAX, STREAMS_OF_ONE};
use scrip_reporting::http::problems::KINDS;
use scrip_reporting::http::{Api, described};
use scrip_reporting::read_model::{ReadModel, Readers};
use scrip_reporting::sidecar::LISTENER_LIMITS;
use scrip_reporting::sight::{Sight, Subject};
use scrip_reporting::standing::{Following, Standing};
use scrip_web::listener::{ListenerLimits, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::support::{run, scrip};

const PAGE: &str = include_str!("../../docs/reporting.md");

/// The cells of the table rows on the page whose first column begins with this text.
fn rows(beginning: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect();
    PAGE.lines().filter(|line| line.starts_with(&format!("| `{beginning}"))).map(cells).collect()
}

/// A read model with a credential of each role, whose token is the role's word, and with campaign 1.
fn model(path: &Path) {
    let mut batch = BatchBuilder::new(1_795_161_600_000);
    for (role, number) in Role::ALL.into_iter().zip(1..) {
        let secret = Secret::Token(*blake3::hash(role.word().as_bytes()).as_bytes());
        let grant = Grant { name: role.word().into(), role, clubs: Vec::new(), reasons: true, secret };
        batch.push(&CredentialAdded { stamp: None, credential: CredentialId(number), grant }.into());
    }
    let stamp = Stamp { request: RequestId::from_parts(1, [0; 10]), body: 1, credential: CredentialId(1) };
    let (terms, codes) = (Terms::new("Autumn", Money(500)), ["AUTUMN"].iter().collect());
    batch.push(&CampaignCreated { stamp, campaign: CampaignId(1), terms, codes, skipped: Vec::new() }.into());
    let mut model = ReadModel::open(path).expect("it is new").expect("it is of this version");
    model.apply(&[batch.seal(&mut ChainEnd::default())]).expect("the chain is intact");
    model.close().expect("it can be closed");
}

/// An API on that read model.
fn api(path: &Path) -> (Api, watch::Sender<Standing>) {
    let standing = Standing {
        applied: Position(1),
        applied_ms: 0,
        changed: Position(1),
        newest: None,
        engine_ms: 0,
        requests: Default::default(),
        following: Following::Tailing,
    };
    let (standing, watched) = watch::channel(standing);
    (Api::new(Arc::new(Readers::new(path)), watched), standing)
}

/// T1 to T7, B5, Z13: every route is on the page, and no other.
#[test]
fn every_route_is_on_the_page() {
    let (_, document) = described(api(Path::new("nowhere")).0);
    let document = serde_json::to_value(&document).expect("the document is JSON");
    let paths = document["paths"].as_object().expect("there are paths").iter();
    let routes: BTreeSet<String> = paths
        .flat_map(|(path, item)| {
            item.as_object().expect("methods").keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let documented: BTreeSet<String> = rows("GET /v1").into_iter().map(|mut cells| cells.swap_remove(0)).collect();
    assert_eq!(documented, routes);
}

/// Z15: the roles of each route are those on the page; others are forbidden.
#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_each_route_are_on_the_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    model(&path);
    let (api, _standing) = api(&path);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is listening");
    let (stop, stopped) = oneshot::channel::<()>();
    let (router, limits) = (scrip_reporting::http::router(api), LISTENER_LIMITS);
    let serving = tokio::spawn(serve(listener, router, limits, async move { drop(stopped.await) }));
    let routes = rows("GET /v1");
    assert!(!routes.is_empty());
    for cells in routes {
        let route = cells[0].trim_start_matches("GET ");
        let filled = [
            ("{campaign}", "1"),
            ("{slot}", "0"),
            ("{activation}", "1"),
            ("{client}", "7"),
            ("{code}", "autumn"),
            ("{rule}", "1"),
        ];
        let path = filled.iter().fold(route.to_owned(), |route, (name, value)| route.replace(name, value));
        let path = path.replace("{request}", "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11");
        let path = if route == "/v1/search" { format!("{path}?q=a") } else { path };
        for role in Role::ALL {
            let mut stream = TcpStream::connect(address).await.expect("it is listening");
            let word = role.word();
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: page\r\nAuthorization: Bearer {word}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it is accepted");
            // The status alone: the stream of live events has no end.
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.expect("a reply");
            let status = String::from_utf8_lossy(&status[9..]).into_owned();
            assert!(["200", "403", "404", "409"].contains(&status.as_str()), "{path} as {word}: {status}");
            let may = cells[1].split(", ").any(|of| of == word);
            assert_eq!(status != "403", may, "{route} as {word}: {status}");
        }
    }
    drop(stop);
    serving.await.expect("it does not panic");
}

/// Z15: the table of what each role sees is what the program shows.
#[test]
fn what_each_role_sees_is_on_the_page() {
    const ROLES: [Role; 4] = [Role::Cashier, Role::Marketing, Role::Reporter, Role::Operator];
    assert!(PAGE.contains("\n| about | cashier | marketing | reporter | operator |\n"));
    for subject in Subject::ALL {
        let seen = ROLES.map(|role| Sight { credential: 1, role, reasons: true }.sees(Some(subject)));
        let cells = seen.map(|is_seen| if is_seen { "yes" } else { "no" });
        let row = format!("\n| {} | {} |\n", subject.words(), cells.join(" | "));
        assert!(PAGE.contains(&row), "{row}");
    }
}

/// Every kind of problem is on the page with its status.
#[test]
fn every_problem_is_on_the_page() {
    for kind in KINDS {
        let cells = rows(&format!("{}`", kind.word()));
        let documented: Vec<&str> = cells.iter().map(|cells| cells[1].as_str()).collect();
        assert_eq!(documented, [kind.status().as_str()], "{}", kind.word());
    }
}

/// Every metric of both processes is on the page with its kind, in order.
#[test]
fn every_metric_is_on_the_page() {
    let sources = [include_str!("../../src/cli/serve/metrics.rs"), include_str!("../../reporting/src/sidecar_metrics.rs")];
    let literals = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    let names: Vec<&str> = literals.filter(|text| text.starts_with("scrip_")).collect();
    let documented = rows("scrip_");
    assert_eq!(documented.iter().map(|cells| cells[0].as_str()).collect::<Vec<_>>(), names);
    for cells in documented {
        let is_counter = cells[0].ends_with("_total");
        assert_eq!(is_counter, cells[1] == "counter", "{}", cells[0]);
        assert!(["counter", "gauge", "histogram"].contains(&cells[1].as_str()), "{}", cells[0]);
    }
}

/// Every option that only `scrip sidecar` has is on the page.
#[test]
fn every_option_is_on_the_page() {
    let help = run(scrip().args(["sidecar", "--help"]), b"").exits(0).out;
    let shared = run(scrip().args(["tail", "--help"]), b"").exits(0).out;
    let options = |help: &str| -> BTreeSet<String> {
        let names = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        names.map(|name| name.trim_end_matches(|end: char| !end.is_ascii_alphanumeric()).to_owned()).collect()
    };
    for option in options(&help).difference(&options(&shared)) {
        assert!(PAGE.contains(&format!("| `--{option}` |")), "--{option}");
    }
}

/// Z14 and the bounds: the limits on the page are those of the program.
#[test]
fn the_limits_are_on_the_page() {
    let page = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
    let on_page = |words: String| assert!(page.contains(&words), "{words}");
    on_page(format!("| {RUNNING_MAX} run, {QUEUED_MAX} more wait, then `busy` |"));
    on_page(format!("| {RUNNING_OF_ONE} run, {QUERIES_OF_ONE} with those that wait, then `busy` |"));
    on_page(format!("| streams of live events | {STREAMS_MAX}, of one credential {STREAMS_OF_ONE}, then `busy` |"));
    on_page(format!("| exports over HTTP at once | {DOWNLOADS_MAX}, of one credential {DOWNLOADS_OF_ONE}, then `busy` |"));
    on_page(format!("| {BUILDS_MAX}, of one credential 1; others wait up to {} s, then `busy` |", TURN_MAX.as_secs()));
    let (build, log) = (BUILD_MAX.as_secs(), LOG_BYTES_MAX >> 20);
    on_page(format!("| {build} s, then `too-slow`; `busy` where SQLite's log reaches {log} MiB |"));
    let (all, of_one) = (FILES_BYTES_MAX >> 30, FILES_BYTES_OF_ONE >> 30);
    on_page(format!("| {all} GiB together, of one credential {of_one} GiB, then `no-room` |"));
    assert!(ExportError::NoRoom.to_string().ends_with(&format!("{all} GiB for all exports and {of_one} GiB per credential")));
    on_page(format!("| about {} GiB, then `no-room` |", SCRATCH_BYTES_MAX >> 30));
    let (speed, grace, hours) = (PACE.bytes_per_second >> 10, PACE.grace.as_secs(), PACE.total.as_secs() / 3_600);
    on_page(format!("| {speed} KiB/s on average after {grace} s, and {hours} h; then it is cut |"));
    on_page(format!("averages less than {speed} KiB/s after its first minute, or is not done after {hours} h"));
    on_page(format!("up to {DAYS_MAX} days"));
    let answer = include_str!("../../reporting/src/http/answer.rs");
    let live = include_str!("../../reporting/src/http/live.rs");
    let listener = include_str!("../../web/src/listener/mod.rs");
    let slots = include_str!("../../web/src/listener/slots.rs");
    let metrics = include_str!("../../reporting/src/sidecar_metrics.rs");
    let log_file = include_str!("../../reporting/src/read_model/log.rs");
    for (source, constant, documented) in [
        (answer, "WAITING_MAX: (usize, usize) = (96, 48);", "| 96, of one credential 48, then `busy` |"),
        (answer, "QUERY_MAX: Duration = Duration::from_secs(20);", "| a query, including its wait | 20 s,"),
        (answer, "WAIT_MS: (u64, u64) = (5_000, 30_000);", "It waits 5,000 ms, or `wait_ms`, up to 30,000;"),
        (live, "APART: Duration = Duration::from_millis(250);", "at most four per second"),
        (live, "KEEP_ALIVE: Duration = Duration::from_secs(10);", "every 10 s"),
        (slots, "IDLE_PART: usize = 8;", "| of these, not busy | an eighth, else"),
        (listener, "DRAIN: Duration = Duration::from_secs(3);", "| 3 s, then they are cut off |"),
        (log_file, "BYTES_MAX: u64 = 128 << 20;", "or at 128 MiB;"),
        (log_file, "QUIET: Duration = Duration::from_secs(1);", "when nothing is written for 1 s,"),
        (metrics, "READY_LAG_MS: u64 = 10_000;", "at most 10 s behind"),
        (include_str!("../../reporting/src/refusals.rs"), "ATTEMPTS_MAX: usize = 100;", "at most 100 of the newest"),
        (include_str!("../../reporting/src/attempts/mod.rs"), "ATTEMPTS_MAX: u64 = 1_000_000;", "the newest 1,000,000"),
        (include_str!("../../reporting/src/export/xlsx.rs"), "SHEET_ROWS: u32 = 1 << 20;", "up to 1,048,576 rows"),
    ] {
        assert!(source.contains(constant), "{constant}");
        on_page(documented.to_owned());
    }
    let ListenerLimits { connections_max, connections_per_address_max, header, sending, stalled } = LISTENER_LIMITS;
    on_page(format!("| connections; of one address | {connections_max}; {connections_per_address_max},"));
    on_page(format!("| the head of a request; a connection without one | {} s,", header.as_secs()));
    on_page(format!("| a response being sent | {} s,", sending.as_secs()));
    on_page(format!("| a response that its reader does not accept | {} s,", stalled.as_secs()));
    let (_, document) = described(api(Path::new("nowhere")).0);
    let document = serde_json::to_value(&document).expect("the document is JSON");
    let limits = |path: &str| -> Option<u64> {
        let parameters = document["paths"][path]["get"]["parameters"].as_array()?;
        parameters.iter().find(|of| of["name"] == "limit").map(|of| &of["schema"]["maximum"]).and_then(Value::as_u64)
    };
    on_page("| rows of a page | 1,000; 200 campaigns or clients, 500 operations |".to_owned());
    let paths = document["paths"].as_object().expect("there are paths").keys();
    let all: BTreeSet<u64> = paths.filter_map(|path| limits(path)).collect();
    assert_eq!(all, BTreeSet::from([200, 500, 1_000]));
    assert_eq!(
        [limits("/v1/campaigns"), limits("/v1/clients"), limits("/v1/clients/{client}/operations")],
        [Some(200), Some(200), Some(500)]
    );
}
