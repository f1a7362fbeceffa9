//! `scrip inspect` reads what is left of a damaged journal or snapshot, and changes no byte of it (Z11).

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use scrip_engine::snapshot::{Fault, look};
use scrip_protocol::{RequestId, Role};
use serde_json::Value;

use crate::support::{Ran, Server, campaign, club, redemption, run, say, scrip, seed, terms};

/// An engine after `redemptions` redemptions, one after the other: batches of one record each.
async fn busy(redemptions: u128) -> Server {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let at = club(&client, "Arena").await;
    campaign(&client, terms("Summer", None, 200), &["SUMMER".to_owned()]).await;
    for n in 0..redemptions {
        client.redeem(RequestId::now(), &redemption(n + 1, at, "SUMMER")).await.expect("a reply");
    }
    server
}

fn segment(server: &Server) -> PathBuf {
    server.dir().join("journal/00000000000000000001.redb")
}

fn inspect(path: &Path, options: &[&str]) -> Ran {
    run(scrip().args(["inspect", "journal"]).arg(path).args(options), b"")
}

/// The JSON of a single segment, after a check that its file did not change.
fn inspected(path: &Path, options: &[&str], code: i32) -> Value {
    let before = fs::read(path).expect("it exists");
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).expect("it exists");
    let time = modified(path);
    let mut all = vec!["--json"];
    all.extend(options);
    let ran = inspect(path, &all).exits(code);
    assert!(fs::read(path).expect("it exists") == before && modified(path) == time, "the file was changed");
    ran.json().remove(0)
}

fn firsts(found: &Value) -> Vec<u64> {
    let batches = found["found"].as_array().expect("they are listed");
    batches.iter().filter(|batch| batch["whole"] == true).map(|batch| batch["first"].as_u64().expect("a number")).collect()
}

/// A journal is reported correctly while an engine has it open, after a kill, and after a stop; its records are those of a tail.
#[tokio::test(flavor = "multi_thread")]
async fn an_intact_journal_is_reported_in_full() {
    let mut server = busy(20).await;
    let tailed = run(server.scrip(Role::Operator).arg("tail"), b"").exits(0);
    let path = segment(&server);
    let printed = inspect(&server.dir(), &["--records"]).exits(0);
    assert_eq!(printed.out, tailed.out, "the engine runs, and has the file");
    server.kill();
    let killed = inspected(&path, &["--batches"], 0);
    assert_eq!((killed["read"].as_str(), killed["records"].as_u64()), (Some("rows"), Some(tailed.json().len() as u64)));
    assert_eq!(killed["kinds"]["activation"].as_u64(), Some(20), "{killed}");
    assert_eq!((killed["start"]["position"].as_u64(), &killed["seal"]), (Some(0), &Value::Null));
    let some = inspect(&path, &["--records", "--from", "5", "--limit", "2"]).exits(0);
    assert_eq!(some.json(), tailed.json()[4..6]);
    // The search finds each batch once, whatever old pages contain.
    let searched = inspected(&path, &["--search"], 0);
    assert_eq!((searched["read"].as_str(), firsts(&searched)), (Some("searched"), firsts(&killed)));
    assert_eq!(searched["end"], killed["end"]);
    let text = inspect(&server.dir(), &[]).exits(0);
    assert!(text.out.contains("activation 20") && !text.out.contains("DAMAGED"), "{}", text.out);
    server.restart();
    server.terminate();
    let stopped = inspected(&path, &["--batches"], 0);
    assert_eq!(stopped["end"], killed["end"]);
}

/// A file that is cut off anywhere is read up to that point.
#[tokio::test(flavor = "multi_thread")]
async fn everything_before_a_torn_end_is_read() {
    let mut server = busy(200).await;
    server.kill();
    let path = segment(&server);
    let whole = fs::read(&path).expect("it exists");
    let all = inspected(&path, &["--search"], 0);
    let places: Vec<(u64, u64, u64)> = all["found"]
        .as_array()
        .expect("they are listed")
        .iter()
        .map(|batch| {
            let number = |name: &str| batch[name].as_u64().expect("a number");
            (number("first"), number("offset"), number("bytes"))
        })
        .collect();
    let last = places.iter().map(|(_, offset, bytes)| offset + bytes).max().expect("there are some") as usize;
    let torn = server.scratch().join("torn.redb");
    for cut in [0, 10, 4_096, last / 3, last / 2 + 13, last - 1, whole.len() - 1] {
        fs::write(&torn, &whole[..cut]).expect("it is writable");
        let found = inspected(&torn, &[], 6);
        let there: Vec<u64> =
            places.iter().filter(|(_, offset, bytes)| offset + bytes <= cut as u64).map(|(first, ..)| *first).collect();
        // A batch that also had an older copy elsewhere may still be found.
        assert!(there.iter().all(|first| firsts(&found).contains(first)), "cut at {cut}: {there:?}, {found}");
        assert_eq!(found["cause"], found["cause"].as_str().map_or(Value::Null, Into::into), "redb reports the cause");
    }
}

/// Flipped bytes never end the inspection: every intact batch is found, the others are named, and the rest is reported.
#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_cost_only_their_batches() {
    let mut server = busy(60).await;
    server.kill();
    let path = segment(&server);
    let whole = fs::read(&path).expect("it exists");
    let all = inspected(&path, &["--search"], 0);
    let batches = all["found"].as_array().expect("they are listed").clone();
    let flipped = server.scratch().join("flipped.redb");
    let mut random = Rng::with_seed(seed());
    for _ in 0..20 {
        let mut bytes = whole.clone();
        let batch = random.choice(&batches).expect("there are some");
        let number = |name: &str| batch[name].as_u64().expect("a number") as usize;
        // In its records, or in its hash.
        let at = number("offset") + random.usize(56..number("bytes"));
        bytes[at] ^= 1 << random.u8(..8);
        fs::write(&flipped, &bytes).expect("it is writable");
        let ran = inspect(&flipped, &["--json", "--search"]);
        let (found, first, expected) = (ran.json().remove(0), number("first") as u64, firsts(&all));
        let others: Vec<u64> = expected.iter().copied().filter(|other| *other != first).collect();
        let left = firsts(&found);
        // An old page may contain the batch a second time: then nothing is lost, whether or not the damaged copy is reported.
        let is_reported = (ran.code == 6 && left == others) || ([0, 6].contains(&ran.code) && left == expected);
        assert!(is_reported, "batch {first} at {at}: {found}");
        // And through redb.
        inspect(&flipped, &["--json"]);
        assert!(fs::read(&flipped).expect("it exists") == bytes);
    }
    // The pages at the beginning of a redb file, and any others.
    for _ in 0..40 {
        let mut bytes = whole.clone();
        let count = random.usize(1..200);
        for _ in 0..count {
            let within = if random.bool() { 4_096 } else { bytes.len() };
            let at = random.usize(..within);
            bytes[at] ^= 1 << random.u8(..8);
        }
        fs::write(&flipped, &bytes).expect("it is writable");
        let ran = inspect(&flipped, &["--json"]);
        assert!([0, 6].contains(&ran.code), "{ran:?}");
        assert!(!ran.err.contains("panicked") && ran.json().len() == 1, "{ran:?}");
        assert!(fs::read(&flipped).expect("it exists") == bytes, "the file was changed");
    }
    say("all of them were read");
}

/// A file that is not a journal is reported as such, and so is one that is not a snapshot.
#[test]
fn other_files_are_reported_as_such() {
    let dir = tempfile::tempdir().expect("a folder");
    let none = inspect(dir.path(), &[]).exits(9);
    assert!(none.err.contains("no journal segment found here"), "{none:?}");
    let letter = dir.path().join("letter.redb");
    fs::write(&letter, "Dear all").expect("it is writable");
    let found = inspected(&letter, &[], 6);
    assert_eq!((found["batches"].as_u64(), found["bytes"].as_u64()), (Some(0), Some(8)));
}

/// The length of a snapshot's header, in bytes.
const HEADER: usize = 4_096;

/// The snapshot of a stopped engine, and its bytes.
async fn snapshot() -> (Server, PathBuf, Vec<u8>) {
    let mut server = busy(20).await;
    run(server.scrip(Role::Reporter).args(["reader", "keep", "reports", "--position", "9"]), b"").exits(0);
    server.terminate();
    let (path, _) = crate::support::files(&server.dir().join("snapshots")).remove(0);
    let bytes = fs::read(&path).expect("it exists");
    (server, path, bytes)
}

/// The JSON of a snapshot, after a check that its file did not change.
fn inspected_snapshot(path: &Path, code: i32) -> Value {
    let before = fs::read(path).expect("it exists");
    let ran = run(scrip().args(["inspect", "snapshot", "--json"]).arg(path), b"").exits(code);
    assert!(fs::read(path).expect("it exists") == before, "the file was changed");
    ran.json().remove(0)
}

fn faults(found: &Value) -> Vec<&str> {
    found["faults"].as_array().expect("they are listed").iter().map(|fault| fault.as_str().expect("words")).collect()
}

/// Z11: a snapshot is reported in full; with one section damaged, that section is named and everything else is reported as
/// before.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_reported_as_far_as_possible() {
    let (server, path, whole) = snapshot().await;
    let well = inspected_snapshot(&path, 0);
    let last = well["position"].as_u64().expect("a position");
    assert_eq!(
        (&well["position_in_name"], &well["header_good"], &well["faults"]),
        (&last.into(), &true.into(), &Value::Array(vec![]))
    );
    let small = &well["small"];
    assert_eq!(
        (small["campaigns"].as_u64(), small["clubs"].as_u64(), small["credentials"].as_u64()),
        (Some(1), Some(1), Some(5))
    );
    assert_eq!((&small["readers"], small["organisation"].as_str()), (&serde_json::json!([["reports", 9]]), Some("Organisation")));
    let text = run(scrip().args(["inspect", "snapshot"]).arg(&path), b"").exits(0).out;
    assert!(text.contains("reports at 9") && text.contains("code-texts") && !text.contains("DAMAGED"), "{text}");

    let other = server.scratch().join(path.file_name().expect("a file"));
    let with_byte = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&other, bytes).expect("it is writable");
    };
    // Whichever byte of the header is damaged, the sections, which have their own hashes, are reported unchanged.
    for (at, what) in
        [(0, "does not begin like a snapshot"), (8, "format version is 18"), (16, "its name says"), (97, "its header gives")]
    {
        with_byte(at);
        let found = inspected_snapshot(&other, 6);
        assert_eq!(found["header_good"], false, "{found}");
        assert!(faults(&found).iter().any(|fault| fault.contains(what)), "byte {at}: {found}");
        assert!(faults(&found).iter().any(|fault| fault.contains("its values may be wrong")), "byte {at}: {found}");
        assert_eq!((&found["sections"], &found["small"]), (&well["sections"], small), "byte {at}");
    }
    let sections = well["sections"].as_array().expect("they are listed").clone();
    let number = |section: &Value, name: &str| section[name].as_u64().expect("a number") as usize;
    for (nth, section) in sections.iter().enumerate().filter(|(_, section)| number(section, "bytes") > 0) {
        with_byte(number(section, "offset") + number(section, "bytes") / 2);
        let found = inspected_snapshot(&other, 6);
        let bad: Vec<usize> = (0..sections.len()).filter(|at| found["sections"][at]["good"] == false).collect();
        assert_eq!((bad, faults(&found).len(), &found["header_good"]), (vec![nth], 1, &true.into()), "{found}");
        assert_eq!(found["small"].is_null(), section["name"] == "small");
        let text = run(scrip().args(["inspect", "snapshot"]).arg(&other), b"").exits(6).out;
        assert!(text.contains("DAMAGED  its section ") && text.contains(section["name"].as_str().expect("a name")), "{text}");
    }
    // Cut off anywhere: everything before the cut is reported.
    for cut in [0, 7, HEADER - 1, HEADER, whole.len() / 2, whole.len() - 1] {
        fs::write(&other, &whole[..cut]).expect("it is writable");
        let found = inspected_snapshot(&other, 6);
        assert_eq!(found["bytes"].as_u64(), Some(cut as u64));
        for (at, section) in sections.iter().enumerate().filter(|_| cut >= HEADER) {
            let within = number(section, "offset") + number(section, "bytes") <= cut;
            assert_eq!(
                (&found["sections"][at]["within"], &found["sections"][at]["good"]),
                (&within.into(), &within.into()),
                "{found}"
            );
        }
        assert_eq!(found["header_good"], cut >= HEADER, "cut at {cut}");
    }
    let renamed = server.scratch().join("00000000000000000099.snapshot");
    fs::write(&renamed, &whole).expect("it is writable");
    let found = inspected_snapshot(&renamed, 6);
    assert_eq!((&found["named_otherwise"], &found["position_in_name"], &found["small"]), (&true.into(), &99.into(), small));
    let letter = server.scratch().join("letter.txt");
    fs::write(&letter, "Dear all ".repeat(1_000)).expect("it is writable");
    let found = inspected_snapshot(&letter, 6);
    assert_eq!((faults(&found), &found["position"]), (vec!["it does not begin like a snapshot"], &Value::Null));
    run(scrip().args(["inspect", "snapshot"]).arg(server.scratch().join("nothing")), b"").exits(70);
}

/// Z11: no changed byte of a header goes unnoticed, and none hides the sections.
#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_header_changes_unnoticed() {
    let (server, path, whole) = snapshot().await;
    let well = look(&path).expect("it exists");
    let other = server.scratch().join(path.file_name().expect("a file"));
    let mut random = Rng::with_seed(seed());
    for at in 0..HEADER {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.u8(..8);
        fs::write(&other, bytes).expect("it is writable");
        let looked = look(&other).expect("it is readable");
        assert!(looked.faults.contains(&Fault::Header), "byte {at}: {:?}", looked.faults);
        let is_of_the_table = (12..16).contains(&at) || (112..112 + 64 * well.sections.len()).contains(&at);
        assert!(is_of_the_table || looked.small == well.small, "byte {at}: {looked:?}");
    }
}
