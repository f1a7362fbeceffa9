//! A tail, backups and rehearsals run beside a loaded engine through two thousand rotations of its journal, and none of them
//! misses a batch.
//!
//! Every commit ends a segment here, so that readers meet a segment being filled, sealed or replaced at nearly every read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scrip_client::{Client, Dial, Tailing};
use scrip_core::guard::GuardLimits;
use scrip_engine::backup::Manifest;
use scrip_engine::folder::{Config, Folder};
use scrip_engine::{Engine, Start};
use scrip_protocol::batch::Batch;
use scrip_protocol::command::{ClubRegistered, Rehearsal, RehearseRule, RehearseRuleOutcome, ToppedUp};
use scrip_protocol::{ClubId, Position, RequestId, Role, RuleId, Settings, unix_time_ms};

use crate::support::{club, rule, run, scrip, start_on, top_up};

/// How often the journal moves on to another segment.
const ROTATIONS: usize = 2_000;
/// How many callers top up at once.
const CALLERS: u128 = 6;
/// The club that is registered once everybody has stopped.
const LAST: &str = "Last";

/// What a tail has seen.
#[derive(Default)]
struct Seen {
    end: Position,
    batches: u64,
    /// The position of each top-up, and the time of its batch.
    top_ups: Vec<(Position, u64)>,
}

/// Follows the journal from its first record until the last club is registered.
async fn follow(dial: Dial) -> Seen {
    let mut tailing = Tailing::start(dial, Position(1), true).await.expect("a tail");
    let mut seen = Seen::default();
    loop {
        let bytes = crate::support::within(tailing.next()).await.expect("no batch is missing").expect("it follows");
        let batch = Batch::parse(&bytes).expect("it was checked");
        assert_eq!(batch.first, Position(seen.end.0 + 1));
        seen.top_ups.extend(batch.records_of::<ToppedUp>().map(|item| (item.expect("it is valid").0, batch.time_ms)));
        (seen.end, seen.batches) = (batch.end().position, seen.batches + 1);
        if batch.records_of::<ClubRegistered>().any(|item| item.expect("it is valid").1.name == LAST) {
            return seen;
        }
    }
}

/// Tops up, one request after the other, until it must stop.
async fn load(client: Client, club: ClubId, caller: u128, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        client.call(RequestId::now(), &top_up(caller, club, 10_000)).await.expect("a reply");
    }
}

/// Rehearses a rule over the last second, repeatedly, and once over everything at the end. Returns each start with its result.
async fn rehearse(client: Client, stop: Arc<AtomicBool>) -> Vec<(u64, Rehearsal)> {
    let terms = rule("Draft", "", "{{topupAmountMajor}} * 0.1");
    let mut done = Vec::new();
    let mut stopped = false;
    while !stopped {
        stopped = stop.load(Ordering::SeqCst);
        let from_ms = if stopped { 0 } else { unix_time_ms() - 1_000 };
        let query = RehearseRule { terms: terms.clone(), replaces: RuleId(0), from_ms, to_ms: u64::MAX };
        match client.call(RequestId(0), &query).await {
            Ok(RehearseRuleOutcome::Rehearsed(rehearsal)) => done.push((from_ms, rehearsal)),
            other => panic!("{other:?}"),
        }
    }
    done
}

/// A folder that need not survive a power cut: in memory if the system has such a place, because every rotation flushes several
/// files.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is room for temporary files")
}

/// Brings a backup up to date with the program, as the engine's operator.
fn back_up(server: &str, authority: &Path, token: &str, to: &Path) {
    let mut program = scrip();
    program.env("SCRIP_SERVER", server).env("SCRIP_CA", authority).env("SCRIP_TOKEN", token);
    run(program.args(["backup", "--to"]).arg(to), b"").exits(0);
}

fn segments(folder: &Folder) -> usize {
    let files = std::fs::read_dir(folder.journal_path()).expect("the folder is there");
    files.filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|kind| kind == "redb"))).count()
}

/// Z11, Z12: whatever a rotation does to the file being read, the next batch is the one after the last that was read.
#[tokio::test(flavor = "multi_thread")]
async fn readers_of_every_kind_miss_no_batch() {
    let dir = in_memory();
    let (folder, backup) = (Folder::at(dir.path().join("data")), dir.path().join("backup"));
    let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
    let issued = folder.init(&config, &[]).expect("an empty folder");
    let operator = issued.into_iter().find(|issued| issued.credential.role == Role::Operator).expect("a token for each role");
    let start = Start { segment_bytes: 1, ..Start::default() };
    let (engine, dial): (Engine, Dial) = start_on(&folder, start, &operator.token);
    let client = Client::connect(dial.clone()).await.expect("it is listening");
    let arena = club(&client, "Arena").await;

    let stop = Arc::new(AtomicBool::new(false));
    let tail = tokio::spawn(follow(dial.clone()));
    let callers: Vec<_> = (1..=CALLERS).map(|caller| tokio::spawn(load(client.clone(), arena, caller, stop.clone()))).collect();
    let rehearsing = tokio::spawn(rehearse(client.clone(), stop.clone()));
    let mut backups = 0;
    while segments(&folder) <= ROTATIONS {
        assert!(callers.iter().all(|caller| !caller.is_finished()) && !rehearsing.is_finished(), "somebody has stopped");
        let server = dial.address();
        tokio::task::block_in_place(|| back_up(server, &folder.ca_path(), &operator.token, &backup));
        backups += 1;
    }
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.expect("it got its replies");
    }
    let rehearsals = rehearsing.await.expect("it got its replies");
    club(&client, LAST).await;
    let end = Client::connect(dial.clone()).await.expect("it is listening").welcome().durable;
    let seen = tail.await.expect("it saw every batch");
    assert_eq!(seen.end, end);
    tokio::task::block_in_place(|| back_up(dial.address(), &folder.ca_path(), &operator.token, &backup));

    assert!(rehearsals.len() > 1 && backups > 1, "{} rehearsals, {backups} backups", rehearsals.len());
    for (from_ms, rehearsal) in &rehearsals {
        let within = |(position, time_ms): &&(Position, u64)| time_ms >= from_ms && *position <= rehearsal.as_of;
        let expected = seen.top_ups.iter().filter(within).count() as u64;
        assert_eq!(rehearsal.top_ups, expected, "from {from_ms} up to position {}", rehearsal.as_of);
    }
    let manifest = Manifest::of(&backup).expect("it is readable").expect("it is finished");
    assert_eq!(manifest.position, end);
    // Every batch, its records and its place in the chain, and everything that the engine reports about them.
    let verify = || {
        let mut program = scrip();
        program.env("SCRIP_SERVER", dial.address());
        program.env("SCRIP_CA", folder.ca_path()).env("SCRIP_TOKEN", &operator.token);
        run(program.args(["verify", "--live"]), b"").exits(0);
    };
    tokio::task::block_in_place(verify);
    drop(client);
    engine.stop().await.expect("the engine stops cleanly");
    assert!(segments(&folder) > ROTATIONS && seen.batches as usize >= segments(&folder));
}
