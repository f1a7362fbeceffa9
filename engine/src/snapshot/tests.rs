//! Snapshots as files: damage is reported, unverified bytes are harmless, and a failed write leaves the existing files.
//!
//! This module: the sample, names and generations, and that a snapshot depends only on the state. `flips`: every byte changed,
//! every page cut. `refused`: files that are not snapshots or contradict themselves. `faults`: every operation of a write
//! failing. `version_1`: snapshots of the earlier engine. The tests of the state show that a snapshot holds the whole state:
//! they take one after every script.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod faults;
mod flips;
mod refused;
pub(crate) mod version_1;

use std::path::{Path, PathBuf};

use scrip_protocol::batch::ChainEnd;
use scrip_protocol::{Position, Record};

use super::{GENERATIONS, Kept, Pace, Snapshot, SnapshotError, list, prune, write};
use scrip_core::slot_table::HashKey;
use scrip_core::state::State;
use scrip_core::state::frozen::{Homes, Small};
use scrip_core::state::tests::recorded;
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::Double;

/// Some of everything that a snapshot contains, with texts that have more bytes than letters.
pub(crate) const SCRIPT: &str = r#"
    club Arena
    club Zentrum
    client 7 Ann
    client 8 Łukasz
    client 9
    at 90000000
    credential cashier Till
    campaign name=Summer amount=2.00 cap=3 codes=A,B,C,ŁÓDŹ-25,E per-client=3
    campaign amount=1 codes=X,Y
    redeem client=7 club=1 code=A
    redeem client=8 club=1 code=a
    redeem client=8 club=2 code=B
    redeem client=8 club=1 code=none
    hold code=B client=8 club=1
    hold code=E client=9 club=1
    confirm 14
    release 15
    hold code=C client=9 club=1
    refund 11
    archive-codes 1 codes=C
    archive 2
    restore 2
    group VIP
    group New
    rule bonus="{{topupAmountMajor}} * 0.1" assign=1
    rule bonus=5 assign=2 unassign=1 if="topupAmountMajor >= 500"
    top-up 7 100.00 CASH
    top-up 8 600.00 CASH
    top-up 9 50.00 CASH
    refund-top-up 27 amount=10.00 operator
    credit 7 5.00
    pay 7 1.00 order
    refund-payment 32 amount=0.40
    session 7 1.00
    reader reports 10
"#;

fn dir() -> PathBuf {
    PathBuf::from("/data/snapshots")
}

/// A disk with an empty data folder.
fn new_disk() -> Double {
    let disk = Double::default();
    disk.create_folder(Path::new("/data")).expect("the disk takes it");
    disk.sync_folder(Path::new("/")).expect("the disk takes it");
    disk
}

fn replayed(records: &[(u64, Record)]) -> State {
    let mut state = State::default();
    records.iter().for_each(|(time_ms, record)| {
        state.apply(*time_ms, record);
    });
    state
}

/// The end of the journal that yields a state.
fn end_of(state: &State) -> ChainEnd {
    ChainEnd { position: state.position(), hash: [7; 32], time_ms: state.now_ms() }
}

fn written(disk: &dyn Disk, dir: &Path, state: &State) -> Result<Kept, SnapshotError> {
    write(disk, dir, state, end_of(state), Pace::Full, &mut |_, _| {})
}

/// A snapshot of the script, and its source.
struct Sample {
    records: Vec<(u64, Record)>,
    state: State,
    disk: Double,
    kept: Kept,
}

impl Sample {
    fn new() -> Sample {
        let records = recorded(SCRIPT);
        let state = replayed(&records);
        let disk = new_disk();
        let kept = written(&disk, &dir(), &state).expect("the disk takes it");
        Sample { records, state, disk, kept }
    }

    fn open(&self) -> Snapshot {
        Snapshot::open(&self.disk, &self.kept.path).expect("it was just written")
    }
}

/// The script leaves no table empty: otherwise the tests would not cover it.
#[test]
fn the_sample_has_something_of_everything() {
    let sample = Sample::new();
    let snapshot = sample.open();
    let empty: Vec<_> = snapshot.header().sections.iter().filter(|section| section.bytes == 0).map(|of| of.name).collect();
    // Filled only while thousands of holds of a revoked credential expire; the tests of credentials compare that.
    assert_eq!(empty, ["revoked-holders"]);
    assert_eq!(snapshot.state().expect("it was just written"), sample.state);
    let counts = snapshot.header().counts;
    assert_eq!((counts.campaigns, counts.codes, counts.clients), (2, 7, 3));
    assert_eq!(sample.kept.bytes, sample.disk.contents(&sample.kept.path).len() as u64);
}

/// The contents of a snapshot depend only on the state, however it was reached, and on the key of its hashes, which is random.
#[test]
fn two_snapshots_of_the_same_state_are_equal_in_all_but_their_keys() {
    let sample = Sample::new();
    let first = sample.open();
    let hashed = |part: &str| part.ends_with("-slots") || part == "small";
    let from_records = replayed(&sample.records);
    let from_a_snapshot = first.state().expect("it was just written");
    // A part in the snapshot, the rest applied since.
    let disk = new_disk();
    let half = written(&disk, &dir(), &replayed(&sample.records[..20])).expect("the disk takes it");
    let mut over_another = Snapshot::open(&disk, &half.path).and_then(|half| half.state()).expect("it was just written");
    sample.records[20..].iter().for_each(|(time_ms, record)| {
        over_another.apply(*time_ms, record);
    });
    for state in [from_records, from_a_snapshot, over_another] {
        let disk = new_disk();
        let kept = written(&disk, &dir(), &state).expect("the disk takes it");
        let other = Snapshot::open(&disk, &kept.path).expect("it was just written");
        assert_eq!((other.header().end, other.header().counts), (first.header().end, first.header().counts));
        for (ours, theirs) in first.header().sections.iter().zip(&other.header().sections) {
            assert_eq!(ours.number, theirs.number);
            // The number of slots after the last home depends on the hashes.
            assert!(hashed(ours.name) || (ours.bytes, ours.hash) == (theirs.bytes, theirs.hash), "{} differs", ours.name);
        }
        let (ours, theirs) = (small_of(&first), small_of(&other));
        assert_ne!(ours.key, theirs.key);
        let without_key = |small: Small| format!("{:?}", Small { key: HashKey::default(), homes: Homes::default(), ..small });
        assert_eq!(without_key(ours), without_key(theirs));
    }
}

fn small_of(snapshot: &Snapshot) -> Small {
    let small = snapshot.header().sections.iter().find(|section| section.name == "small").expect("there is one");
    let small = snapshot.load(small).expect("it was just written");
    scrip_protocol::wire::decode("small", &small).expect("it was just written")
}

#[test]
fn other_names_are_passed_over_and_leftovers_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let disk = scrip_journal::disk::OsDisk;
    assert_eq!(list(&disk, &dir.join("none")).expect("no folder is an empty one"), []);
    let make = |name: &str| std::fs::write(dir.join(name), b"x").expect("the disk takes it");
    let named = |position: u64| format!("{position:020}.snapshot");
    [3, 20, 100].iter().for_each(|position| make(&named(*position)));
    let others =
        ["7.snapshot", "0000000000000000007x.snapshot", "99999999999999999999.snapshot", "00000000000000000008.snapshots"];
    others.iter().for_each(|name| make(name));
    std::fs::create_dir(dir.join(named(500))).expect("the disk takes it");
    let unfinished = [format!("{:020}.snapshot.new", 9), "any.snapshot.new".to_owned()];
    unfinished.iter().for_each(|name| make(name));
    let listed = || list(&disk, dir).expect("it can be read").iter().map(|kept| kept.position.0).collect::<Vec<_>>();
    assert_eq!(listed(), [100, 20, 3]);
    prune(&disk, dir, GENERATIONS).expect("they can be removed");
    assert_eq!(listed(), [100, 20]);
    assert!(others.iter().all(|name| dir.join(name).exists()) && dir.join(named(500)).is_dir(), "what is not ours stays");
    assert!(unfinished.iter().all(|name| !dir.join(name).exists()));
    prune(&disk, dir, 0).expect("they can be removed");
    assert_eq!(listed(), [0; 0]);
}

/// A snapshot at the same position replaces the other; a process that has the old one open can still read it.
#[test]
fn a_snapshot_is_replaced_and_never_written_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = scrip_journal::disk::OsDisk;
    let sample = Sample::new();
    let first = written(&disk, dir.path(), &sample.state).expect("the disk takes it");
    let open = Snapshot::open(&disk, &first.path).expect("it was just written");
    let second = written(&disk, dir.path(), &sample.state).expect("the disk takes it");
    assert_eq!(first, second);
    open.verify(&mut |_| {}).expect("its file is its own");
    let other = Snapshot::open(&disk, &second.path).expect("it was just written");
    assert_ne!(small_of(&open).key, small_of(&other).key);
    prune(&disk, dir.path(), 0).expect("it can be removed");
    assert_eq!(open.state().expect("it is still mapped"), sample.state);
    assert_eq!(open.header().end.position, Position(sample.records.len() as u64));
}
