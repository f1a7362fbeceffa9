//! How long a restart takes and how much memory codes take: the real program on organisations of different sizes.
//!
//! `cargo build --release && cargo bench -p scrip-benches --bench restart -- 1000000 10000000 50000000`
//!
//! For each number of codes (12 characters, 50,000 per campaign) this writes a journal. `scrip serve` then replays it from the
//! beginning, checks every code, and stops, which writes a snapshot. It is started on that snapshot several times, each time
//! until it answers the first redemption. Then every code is checked, which touches every page, and every tenth code is redeemed.
//! Memory is what the kernel reports for the process: the resident size, and the anonymous part of it (the rest are pages of
//! files, which the kernel can reclaim).

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scrip_client::{Client, Dial};
use scrip_core::guard::GuardLimits;
use scrip_engine::folder::{Config, Folder};
use scrip_journal::disk::OsDisk;
use scrip_journal::{Journal, SEGMENT_BYTES, Segments};
use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::command::{CampaignCreated, ClubRegistered, CodeTexts, Redeem, Terms};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Record, RequestId, Role, Settings, Stamp};

const CODES_PER_CAMPAIGN: u64 = 50_000;

/// Starts on a snapshot; the median counts.
const STARTS: usize = 5;

/// Codes of one check.
const AT_ONCE: usize = 8_000;

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    // Cargo's own tests of benches, and a run of all benches, give no size.
    if sizes.is_empty() {
        println!("restart: give the numbers of codes, as in: cargo bench -p scrip-benches --bench restart -- 1000000");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    for codes in sizes {
        runtime.block_on(measure(codes));
    }
}

/// The text of a code: 12 characters, not predictable from one another.
fn code(n: u64) -> String {
    const SIGNS: &[u8; 32] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ0";
    // The number itself makes each code unique; the other bits look random.
    let bits = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34) << 30 | u128::from(n);
    (0..12).map(|at| SIGNS[(bits >> (5 * at)) as usize % 32] as char).collect()
}

async fn measure(codes: u64) {
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    let folder = Folder::at(dir.path().join("data"));
    let settings = Settings { codes_per_campaign_max: CODES_PER_CAMPAIGN as u32, ..Settings::default() };
    let config = Config::new("127.0.0.1:0".parse().expect("an address"), settings.clone(), GuardLimits::default());
    let issued = folder.init(&config, &[]).expect("the disk takes it");
    let token = issued.iter().find(|token| token.credential.role == Role::Operator).expect("each role has one").token.clone();
    write_journal(&folder, settings, codes);

    println!("{codes} codes");
    let replayed = Running::start(&folder);
    println!("  replayed from the journal in {}, first line printed", ms(replayed.took));
    let client = replayed.client(&folder, &token).await;
    check_all(&client, codes).await;
    replayed.print_memory("all in the live index, every code checked", codes);
    let stopping = Instant::now();
    replayed.stop();
    println!(
        "  stopped, with a snapshot, in {}; the snapshot has {} bytes a code",
        ms(stopping.elapsed()),
        snapshot_bytes(&folder) / codes
    );

    let mut took = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let running = Running::start(&folder);
        let client = running.client(&folder, &token).await;
        redeem(&client, 1).await;
        took.push(began.elapsed());
        if took.len() == STARTS {
            running.print_memory("just started on the snapshot", codes);
            check_all(&client, codes).await;
            running.print_memory("on the snapshot, every code checked", codes);
            let redeemed = codes / 10;
            redeem_each_tenth(&client, codes).await;
            running.print_memory("on the snapshot, each tenth code redeemed since", codes);
            println!("    (of which each of the {redeemed} redemptions is remembered)");
        }
        running.stop();
    }
    took.sort_unstable();
    println!("  from the start of the process to the first redemption answered: {} (of {took:.0?})", ms(took[STARTS / 2]));
}

fn ms(took: Duration) -> String {
    format!("{:.0} ms", took.as_secs_f64() * 1e3)
}

fn write_journal(folder: &Folder, settings: Settings, codes: u64) {
    let open =
        Segments::open(Arc::new(OsDisk), &folder.journal_path(), SEGMENT_BYTES, ChainEnd::default(), &mut |_, _| {}, &mut |_| {});
    let mut journal = open.expect("a new journal");
    let now_ms = scrip_protocol::unix_time_ms();
    let mut mutation = 0;
    let mut append = |record: Record| {
        let mut batch = BatchBuilder::new(now_ms);
        batch.push(&record);
        journal.append(vec![batch]).expect("the disk takes it");
    };
    append(SettingsSet::new(settings).into());
    let mut stamp = || {
        mutation += 1;
        Stamp { request: RequestId::from_parts(now_ms, [mutation as u8; 10]), body: mutation, credential: CredentialId(1) }
    };
    append(ClubRegistered { stamp: stamp(), club: ClubId(1), name: "Club".into() }.into());
    for (campaign, first) in (1..).map(CampaignId).zip((0..codes).step_by(CODES_PER_CAMPAIGN as usize)) {
        let codes: CodeTexts = (first..codes.min(first + CODES_PER_CAMPAIGN)).map(code).collect();
        let stamp = Stamp { request: RequestId::now(), ..stamp() };
        append(
            CampaignCreated {
                stamp,
                campaign,
                terms: Terms::new(format!("Campaign {campaign}"), Money(100)),
                codes,
                skipped: Vec::new(),
            }
            .into(),
        );
    }
}

fn snapshot_bytes(folder: &Folder) -> u64 {
    let entries = std::fs::read_dir(folder.snapshots_path()).expect("there is one");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |metadata| metadata.len())).max().unwrap_or(0)
}

/// `scrip serve`.
struct Running {
    child: Child,
    address: String,
    took: Duration,
}

impl Running {
    fn start(folder: &Folder) -> Running {
        let began = Instant::now();
        let mut child = Command::new(program())
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.dir())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo build --profile dist has made the program");
        let mut line = String::new();
        let printed = child.stdout.take().expect("it is piped");
        BufReader::new(printed).read_line(&mut line).expect("it prints a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("it prints JSON");
        let address = said["listening"].as_str().expect("it prints its address").to_owned();
        Running { child, address, took: began.elapsed() }
    }

    async fn client(&self, folder: &Folder, token: &str) -> Client {
        let authority = std::fs::read(folder.ca_path()).expect("the folder has one");
        let dial = Dial::new(&self.address, authority, token).expect("an address");
        Client::connect(dial).await.expect("it listens")
    }

    fn print_memory(&self, when: &str, codes: u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let bytes = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).expect("the kernel reports it");
            line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
        };
        let (resident, anonymous) = (bytes("VmRSS:"), bytes("RssAnon:"));
        let each = |bytes: u64| bytes as f64 / codes as f64;
        println!(
            "  {when}: {} MiB resident, {:.1} bytes a code ({:.1} anonymous)",
            resident >> 20,
            each(resident),
            each(anonymous)
        );
    }

    fn stop(mut self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill is installed");
        assert!(killed.success());
        assert!(self.child.wait().expect("it was started here").success());
    }
}

fn program() -> PathBuf {
    // This runs from the `deps` folder of its profile, such as target/dist/deps.
    let own = std::env::current_exe().expect("it runs");
    own.parent().and_then(Path::parent).expect("cargo's folders").join("scrip")
}

async fn redeem(client: &Client, n: u64) {
    let mutation = Redeem::new(ClientId(1), ClubId(1), code(n));
    client.redeem(RequestId::now(), &mutation).await.expect("an answer");
}

async fn check_all(client: &Client, codes: u64) {
    for first in (0..codes).step_by(AT_ONCE) {
        let codes = (first..codes.min(first + AT_ONCE as u64)).map(code).collect();
        client.check(ClubId(1), codes).await.expect("an answer");
    }
}

async fn redeem_each_tenth(client: &Client, codes: u64) {
    let all: Vec<u64> = (0..codes).step_by(10).collect();
    for some in all.chunks(4_096) {
        let ask = |n: &u64| (RequestId::now(), Redeem::new(ClientId(u128::from(n % 100_000)), ClubId(1), code(*n)));
        let some: Vec<_> = some.iter().map(ask).collect();
        client.redeem_all(&some).await;
    }
}
