//! A journal and a snapshot that were written in format version 1 are read as they were then (Z4, Z10, Z11).
//!
//! They are stored in `tests/data/v1`: `journal/` with sealed segments and the live one, as a stopped engine leaves it;
//! `snapshots/` with one from the middle of it; `records.jsonl`, every record as `scrip tail` printed it; `snapshot.json`, the
//! contents of the snapshot. They contain something of every kind of record and of every section that existed.
//!
//! Do not regenerate them: their purpose is to be old. When a format gets a new version, its files go into a folder beside them,
//! which [`the_files_are_written`] creates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_client::Client;
use scrip_core::guard::GuardLimits;
use scrip_core::state::requests::{Admission, Remembered};
use scrip_core::state::{CodeAt, Lookup, NormalisedCode, State, reply_of};
use scrip_engine::folder::{Config, Folder};
use scrip_engine::snapshot::{self, Snapshot, look};
use scrip_engine::{Start, recover};
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::{Journal, SEGMENT_BYTES, walk};
use scrip_protocol::codes::{CodeForm, RecordedForm};
use scrip_protocol::command::{
    CodeFilter, ListCodes, ListCredentials, ListGroups, ListRules, RuleFilter, ShowCampaign, ShowClient, UsageFilter,
};
use scrip_protocol::frame::Malformed;
use scrip_protocol::record::JournalLine;
use scrip_protocol::{CampaignId, CredentialId, GroupId, Kind, Position, Record, Refusal, Role, Settings, Stamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{run, scrip, start_on};

/// The command that a request's record belongs to.
fn kind_of(at: Position, record: &Record) -> Kind {
    let reply = reply_of(at, record).expect("a request's record has its reply");
    Kind::from_number(reply.kind()).expect("the command exists")
}

/// How many kinds of records, and of sections, existed.
const KINDS: usize = 34;
const SECTIONS: usize = 18;

/// The path of a stored file.
fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1").join(name)
}

/// A copy of the stored journal and snapshots, so that nothing writes to the originals.
fn copied() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().expect("a folder");
    for part in ["journal", "snapshots"] {
        copy(&stored(part), &dir.path().join(part));
    }
    let folder = Folder::at(dir.path());
    (dir, folder)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is writable");
    for (path, _) in crate::support::files(from) {
        let name = path.file_name().expect("a file has a name");
        if name != "lock" {
            fs::copy(&path, to.join(name)).expect("it is writable");
        }
    }
}

/// The records of a journal, with their times and positions.
fn records(folder: &Folder) -> Vec<(Position, u64, Record)> {
    let mut found = Vec::new();
    let walked = walk(&OsDisk, &folder.journal_path(), Position(0), &mut |_, batch, _| {
        for item in batch.records() {
            let (position, record) = item.expect("it was checked");
            found.push((position, batch.time_ms, record));
        }
        ControlFlow::Continue(())
    });
    walked.expect("it is intact");
    found
}

fn replayed(records: &[(Position, u64, Record)], up_to: Position) -> State {
    let mut state = State::default();
    records.iter().filter(|(at, ..)| *at <= up_to).for_each(|(_, time_ms, record)| {
        state.apply(*time_ms, record);
    });
    state
}

/// The one snapshot of a folder.
fn the_snapshot(folder: &Folder) -> Snapshot {
    let stored = snapshot::list(&OsDisk, &folder.snapshots_path()).expect("it can be listed");
    assert_eq!(stored.len(), 1);
    Snapshot::open(&OsDisk, &stored[0].path).expect("it is intact")
}

/// The contents of a snapshot.
fn contents(snapshot: &Snapshot, records: &[(Position, u64, Record)]) -> Value {
    let (header, state) = (snapshot.header(), snapshot.state().expect("it is intact"));
    let campaigns = state.campaigns.after(CampaignId(0)).map(|(campaign, _)| {
        let query = ListCodes { campaign, from_slot: 0, status: CodeFilter::All, usage: UsageFilter::All };
        let (card, codes) = (state.show_campaign(state.now_ms(), &ShowCampaign { campaign }), state.list_codes(&query, &Nowhere));
        json!({ "card": of(&card), "codes": of(&codes) })
    });
    let rules = [RuleFilter::Present, RuleFilter::Archived].map(|filter| {
        let query = ListRules { filter, ..ListRules::default() };
        of(&state.list_rules(&query))
    });
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let repeated = records.iter().take_while(|(at, ..)| *at <= header.end.position).filter_map(|(at, _, record)| {
        let stamp = record.stamp()?;
        let reply = match state.admit(state.now_ms(), stamp, || kind_of(*at, record)) {
            Admission::Repeated(reply) => match reply.into_owned() {
                Remembered::Redeem(outcome) => json!({ "redeem": outcome }),
                Remembered::Other(other) => json!({ "kind": other.0, "reply": hexadecimal(&other.1) }),
                Remembered::Stored { kind, position } => json!({ "kind": kind, "record": position }),
            },
            Admission::New => json!("it would be executed"),
            Admission::Refused(refusal) => json!(refusal.to_string()),
        };
        Some(json!({ "request": stamp.request, "answer": reply }))
    });
    let small = look(snapshot.path()).expect("it is readable").small.expect("it is intact");
    json!({
        "position": header.end.position,
        "at_ms": header.end.time_ms,
        "hash": hexadecimal(&header.end.hash),
        "counts": header.counts,
        "small": small,
        "settings": state.settings(),
        "campaigns": campaigns.collect::<Vec<_>>(),
        "clients": state.clients.iter().map(|(client, _)| of(&state.show_client(&ShowClient { client }))).collect::<Vec<_>>(),
        "names": state.clients.names().map(|(client, name)| json!([client, name])).collect::<Vec<_>>(),
        "groups": of(&state.list_groups(&ListGroups { after: GroupId(0) })),
        "rules": rules,
        "readers": of(&state.list_readers()),
        "credentials": of(&state.list_credentials(&ListCredentials { after: CredentialId(0) })),
        "repeated": repeated.collect::<Vec<_>>(),
    })
}

/// As JSON.
fn of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("everything printed is serializable")
}

/// An empty index: nothing is looked up.
struct Nowhere;

impl Lookup for Nowhere {
    fn find(&self, _code: &NormalisedCode) -> Option<CodeAt> {
        None
    }
}

/// Every expected value is still there. The current version may have more.
#[track_caller]
fn holds(place: &str, expected: &Value, found: &Value) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                holds(&format!("{place}.{name}"), value, found.get(name).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "{place}");
            expected
                .iter()
                .zip(found)
                .enumerate()
                .for_each(|(at, (ours, theirs))| holds(&format!("{place}[{at}]"), ours, theirs));
        }
        (expected, found) => assert_eq!(expected, found, "{place}"),
    }
}

/// Z4: the journal is replayed record for record.
#[test]
fn the_journal_is_read_record_for_record() {
    let (_dir, folder) = copied();
    let expected = fs::read_to_string(stored("records.jsonl")).expect("it is stored");
    let records = records(&folder);
    let found = records.iter().map(|(position, at_ms, record)| {
        let line = JournalLine { position: *position, at_ms: *at_ms, record };
        let line = serde_json::to_string(&line).expect("a record has a form in JSON");
        // The line was printed under a key that it already has.
        line.replace("\"read_up_to\":", "\"position\":")
    });
    for (found, expected) in found.zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(records.len(), expected.lines().count());
    let kinds: BTreeSet<u16> = records.iter().map(|(.., record)| record.kind()).collect();
    assert_eq!(kinds.len(), KINDS);
    let segments = crate::support::files(&folder.journal_path());
    assert!(segments.len() >= 2, "{segments:?}");
}

/// Z10: the snapshot equals the state that its records yield, in each of its sections, and its contents are as stored.
#[test]
fn the_snapshot_equals_the_replayed_journal() {
    let (_dir, folder) = copied();
    let (records, snapshot) = (records(&folder), the_snapshot(&folder));
    snapshot.verify(&mut |_| {}).expect("it is intact");
    let header = snapshot.header();
    assert_eq!((header.version, header.sections.len()), (1, SECTIONS));
    let empty: Vec<_> = header.sections.iter().filter(|section| section.bytes == 0).map(|section| section.name).collect();
    assert!(empty.is_empty(), "{empty:?}");
    assert!(replayed(&records, header.end.position) == snapshot.state().expect("it is intact"));
    let expected = fs::read(stored("snapshot.json")).expect("it is stored");
    let expected: Value = serde_json::from_slice(&expected).expect("it is JSON");
    holds("", &expected, &contents(&snapshot, &records));
    let counted = |word: &str| expected["small"][word].as_u64();
    assert!(counted("holds") > Some(1) && expected["small"]["readers"].as_array().is_some_and(|readers| !readers.is_empty()));
    let answers = expected["repeated"].as_array().expect("they are listed");
    assert!(answers.len() > 30 && answers.iter().all(|one| one["answer"].is_object()), "each retry gets its original outcome");
}

/// Z4, Z11: a start finds the snapshot, replays the journal after it, and has the state of all records.
#[test]
fn an_engine_starts_from_the_old_files() {
    let (_dir, folder) = copied();
    let records = records(&folder);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let recovered = recover(&disk, &folder, SEGMENT_BYTES, u64::MAX, &mut |_| {}).expect("it is intact");
    let last = records.last().expect("there are some").0;
    assert_eq!(recovered.journal.end().position, last);
    let from = recovered.snapshot.as_ref().expect("there is one").header().end.position;
    assert!(Position(0) < from && from < last, "{from} of {last}");
    assert!(recovered.state == replayed(&records, last));
    recovered.journal.reader().check_sealed(&|| true).expect("they are intact");
}

/// K4, Z3: an organisation keeps the code form it began with, so that its codes stay the same; and a remembered request keeps its
/// outcome, though requests are hashed differently now.
#[tokio::test(flavor = "multi_thread")]
async fn its_codes_stay_what_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Folder::at(dir.path().join("data"));
    let settings = Settings { codes_per_campaign_max: 49_999, ..Settings::default() };
    let issued = folder.init(&Config::new(([127, 0, 0, 1], 0).into(), settings, GuardLimits::OFF), &[]).expect("an empty folder");
    for part in ["journal", "snapshots"] {
        copy(&stored(part), &folder.dir().join(part));
    }
    // The credentials are in the journal.
    fs::write(folder.dir().join("credentials.json"), "[]").expect("it is writable");
    let old = records(&folder);
    let token = &issued.first().expect("a token for each role").token;
    for _ in 0..2 {
        let (engine, _) = start_on(&folder, Start::default(), token);
        let state = engine.stop().await.expect("the engine stops");
        assert_eq!(state.code_form(), CodeForm::CaseFolded);
        assert_eq!(state.recorded_form(), Some(RecordedForm::of(CodeForm::CaseFolded)));
        let new = &records(&folder)[old.len()..];
        assert!(matches!(new, [(.., Record::SettingsSet(_))]), "the form is recorded once: {new:?}");
        let now_ms = old.last().expect("there are some").1;
        for (at, _, record) in &old {
            let Some(stamp) = record.stamp() else { continue };
            let (other, kind) = (Stamp { body: !stamp.body, ..*stamp }, kind_of(*at, record));
            let repeated = matches!(state.admit(now_ms, &other, || kind), Admission::Repeated(_));
            assert!(repeated, "{stamp:?} is neither executed again nor mistaken for another");
            for another in Kind::ALL.iter().filter(|another| **another != kind) {
                let admitted = state.admit(now_ms, &other, || *another);
                assert_eq!(admitted, Admission::Refused(Refusal::RequestIdReused), "{another:?} under the id of a {kind:?}");
            }
        }
        // The newest snapshot contains the same.
        let newest = snapshot::list(&OsDisk, &folder.snapshots_path()).expect("it can be listed").remove(0);
        assert!(Snapshot::open(&OsDisk, &newest.path).and_then(|newest| newest.state()).expect("it is intact") == state);
        // Neither this snapshot nor that of version 1 differs from the journal.
        let verify = || run(scrip().args(["verify", "--json", "--data"]).arg(folder.dir()), b"").exits(0).json();
        let verified = tokio::task::block_in_place(verify);
        assert_eq!((&verified[0]["snapshots_compared"], &verified[0]["difference"]), (&2.into(), &Value::Null));
    }
}

/// The script: one command of `scrip` a line. `name=` before a command names the position of its record, `$name` after it is that
/// position; `<` precedes its input, one word a line. A line with `no:` is refused.
const SCRIPT: &str = r#"
    club add "Arena North"
    no: club add "Arena North"
    client add 7 --name Ann
    campaign create --name Summer --amount 5 --cap 2 --per-client 9 --uses 500 --budget 900 < A B C D E
    codes add 1 < F G
    codes generate 1 --count 3 --prefix SUN- --length 8
    campaign deactivate 1
    campaign activate 1
    campaign update 1 --name "High summer" --budget 1000
    redeem A --client 7 --club 1
    redeem A --client 8 --club 1
    no: redeem A --client 9 --club 1
    taken-back=redeem B --client 7 --club 1
    refund $taken-back
    hold C --client 8 --club 1 --for 7d
    confirmed=hold D --client 8 --club 1
    confirm $confirmed
    no: confirm $confirmed
    released=hold E --client 8 --club 1
    release $released
    no: hold NONE --client 8 --club 1
    codes archive 1 F G
    codes restore 1 F
    campaign create --name Winter --amount 1.50 < X Y
    campaign archive 2
    campaign restore 2
    campaign create --name Spring --amount 2 < Z
    campaign archive 3
    group add VIP
    rule create --name "Ten per cent" --when "topupAmountMajor >= 50" --add-bonus "{{topupAmountMajor}} * 0.1" --assign-group 1 --push-title Thanks --push-body "{{topupAmountMajor}} more"
    rule create --name "A little" --add-bonus 1 --inactive
    rule activate 2
    rule update 2 --add-bonus 2
    rule archive 2
    rule restore 2
    top-up=top-up 100 --client 7 --club 1 --source CASH --comment "at the till" --tag late
    refund-top-up $top-up --amount 1 --claw-back
    bonus credit 5 --client 7 --comment "for the wait"
    paid=bonus pay 1 --client 7 --club 1 --for order
    bonus refund $paid --amount 0.50
    bonus write-off 0.25 --client 7
    spend session 3 --client 7 --club 1
    spend purchase 2.50 --client 7 --club 1 --directly
    token add --name "Till 3" --role gateway --club 1 --no-reasons
    token revoke 6
    reader keep reports --position 12
    reader keep crm --position 3
    reader forget crm
    snapshot create
    redeem X --client 9 --club 1
    hold Y --client 7 --club 1 --for 7d
    codes archive 2 X
    top-up 60 --client 11 --club 1 --source POS_TERMINAL
    reader keep reports --position 40
"#;

/// The segment size in bytes: so small that there are several segments.
const SMALL_SEGMENT: u64 = 4 << 10;

/// Writes the files of this version into the folder that SCRIP_TEST_DATA names:
/// `SCRIP_TEST_DATA=tests/data/v2 cargo test --test durability files_of_version_1_are_read:: -- --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the files of a new format version"]
async fn the_files_are_written() {
    let to = PathBuf::from(std::env::var_os("SCRIP_TEST_DATA").expect("SCRIP_TEST_DATA names a folder"));
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Folder::at(dir.path().join("data"));
    let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
    let issued = folder.init(&config, &[]).expect("an empty folder");
    let operator = issued.into_iter().find(|issued| issued.credential.role == Role::Operator).expect("a token for each role");
    let (engine, dial) = start_on(&folder, Start { segment_bytes: SMALL_SEGMENT, ..Start::default() }, &operator.token);
    let program = || {
        let mut program = scrip();
        let server = dial.address().to_string();
        program.env("SCRIP_SERVER", server).env("SCRIP_CA", folder.ca_path()).env("SCRIP_TOKEN", &operator.token);
        program
    };
    let mut named = BTreeMap::new();
    for line in SCRIPT.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (words, input) = words_of(line, &named);
        let (code, words) = if words[0] == "no:" { (1, &words[1..]) } else { (0, &words[..]) };
        let (name, first) = words[0].split_once('=').map_or((None, words[0].as_str()), |(name, first)| (Some(name), first));
        tokio::task::block_in_place(|| run(program().arg(first).args(&words[1..]), input.as_bytes())).exits(code);
        let durable = Client::connect(dial.clone()).await.expect("the engine runs").welcome().durable;
        named.extend(name.map(|name| (name.to_owned(), durable)));
    }
    let tail = tokio::task::block_in_place(|| run(program().arg("tail"), b"")).exits(0);
    engine.stop().await.expect("the engine stops");
    for part in ["journal", "snapshots"] {
        let _ = fs::remove_dir_all(to.join(part));
        copy(&folder.dir().join(part), &to.join(part));
    }
    // The snapshot of the stop is removed, leaving the one before it.
    let newest = snapshot::list(&OsDisk, &to.join("snapshots")).expect("it can be listed").remove(0);
    fs::remove_file(newest.path).expect("it was just written");
    let written = Folder::at(&to);
    let records = records(&written);
    let kinds: BTreeSet<u16> = records.iter().map(|(.., record)| record.kind()).collect();
    // Settings are now written with the code form.
    let retired = 1;
    let known = |kind: &u16| *kind != retired && !matches!(Record::decode(*kind, &[]), Err(Malformed::UnknownKind(_)));
    assert_eq!(kinds, (0..=u16::MAX).filter(known).collect(), "there is something of every kind");
    let snapshot = the_snapshot(&written);
    assert!(snapshot.header().sections.iter().all(|section| section.bytes > 0), "and of every section: {:?}", snapshot.header());
    fs::write(to.join("records.jsonl"), tail.out).expect("it is writable");
    let text = serde_json::to_string_pretty(&contents(&snapshot, &records)).expect("it is JSON");
    fs::write(to.join("snapshot.json"), text + "\n").expect("it is writable");
}

/// The words of a line of the script, and the input that it gives.
fn words_of(line: &str, named: &BTreeMap<String, Position>) -> (Vec<String>, String) {
    let (line, input) = line.split_once(" < ").unwrap_or((line, ""));
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("there is one from the start").push(c),
        }
    }
    let meant = |word: String| match word.strip_prefix('$') {
        Some(name) => named[name].to_string(),
        None => word,
    };
    (words.into_iter().map(meant).collect(), input.replace(' ', "\n"))
}
