//! What was not verified before the start is verified while the engine runs: damage there stops it, with an error. On real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::command::ClientRegistered;
use scrip_protocol::{ClientId, CredentialId, Position, RequestId, Settings, Stamp};
use tempfile::TempDir;

use super::{Recovered, recover};
use crate::engine::{Engine, Start};
use crate::error::EngineError;
use crate::folder::{Config, Folder};
use crate::snapshot::{self, Pace, Snapshot, SnapshotError};
use crate::verifier::Damage;
use scrip_core::guard::GuardLimits;
use scrip_core::state::State;
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::{Journal, JournalError};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Each batch is a segment.
fn segment_each() -> Start {
    Start { segment_bytes: 1, ..Start::default() }
}

/// A data folder whose engine is stopped, with a snapshot at the end of its journal.
struct Data {
    _root: TempDir,
    folder: Folder,
    /// The last position of each segment.
    ends: Vec<Position>,
}

impl Data {
    /// Snapshots of up to that many MiB are verified at the start.
    async fn new(verify_at_open_mib: u64) -> Data {
        let root = tempfile::tempdir().expect("there is room for temporary files");
        let folder = Folder::at(root.path().join("data"));
        let listen = "127.0.0.1:0".parse().expect("an address");
        let mut config = Config::new(listen, Settings::default(), GuardLimits::default());
        config.snapshots.verify_at_open_mib = verify_at_open_mib;
        folder.init(&config, &[]).expect("the disk takes it");
        // The first records of an engine: the settings and the credentials.
        let mut data = Data { _root: root, folder, ends: Vec::new() };
        let state = data.start().stop().await.expect("nothing fails");
        data.ends.push(state.position());
        data.write(6);
        data
    }

    fn start(&self) -> Engine {
        Engine::start(&self.folder, segment_each(), &mut |_| {}).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Writes batches of one client each, and a snapshot.
    fn write(&mut self, batches: u64) {
        let (state, end) = self.append(batches);
        let dir = self.folder.snapshots_path();
        snapshot::write(&OsDisk, &dir, &state, end, Pace::Full, &mut |_, _| {}).expect("the disk takes it");
    }

    /// Writes batches of a client each. Returns the state and the end of the journal.
    fn append(&mut self, batches: u64) -> (State, ChainEnd) {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let recovered = recover(&disk, &self.folder, 1, u64::MAX, &mut |_| {}).expect("it was just written");
        let Recovered { mut state, mut journal, .. } = recovered;
        for number in 1..=batches {
            let request = RequestId::from_parts(state.now_ms(), [number as u8; 10]);
            let stamp = Stamp { request, body: number, credential: CredentialId(1) };
            let client = ClientRegistered { stamp, client: ClientId(number.into()), name: "Ann".into(), new: true };
            let mut batch = BatchBuilder::new(state.now_ms() + 1);
            batch.push(&client.clone().into());
            state.apply(state.now_ms() + 1, &client.into());
            self.ends.push(journal.append(vec![batch]).expect("the disk takes it").position);
        }
        (state, journal.end())
    }

    /// The n-th segment, counted from 0.
    fn segment(&self, number: usize) -> PathBuf {
        let before = number.checked_sub(1).map_or(0, |before| self.ends[before].0);
        self.folder.journal_path().join(format!("{:020}.redb", before + 1))
    }

    fn snapshots(&self) -> Vec<PathBuf> {
        let kept = snapshot::list(&OsDisk, &self.folder.snapshots_path()).expect("it can be read");
        kept.into_iter().map(|kept| kept.path).collect()
    }

    /// Starts an engine, which finds the damage while it runs, and stops.
    async fn damage_found(&self) -> Arc<Damage> {
        let before = self.snapshots();
        let engine = self.start();
        assert_eq!(engine.started().snapshot, *self.ends.last().expect("there is one"));
        tokio::time::timeout(DEADLINE, engine.failed()).await.expect("what is damaged is found");
        let stopped = engine.stop().await.expect_err("what it started on is damaged");
        assert_eq!(self.snapshots(), before, "no snapshot is taken of damaged data");
        let EngineError::Damaged(damage) = &stopped else { panic!("{stopped:?}") };
        damage.clone()
    }

    async fn journal_damage(&self) -> String {
        match &*self.damage_found().await {
            Damage::Journal(error) => error.to_string().replace(&format!("{}/", self.folder.dir().display()), ""),
            other @ Damage::Snapshot(_) => panic!("{other:?}"),
        }
    }
}

/// Changes a byte of a file by replacing the file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("it is there");
    bytes[at] ^= 1;
    let other = path.with_extension("other");
    fs::write(&other, bytes).expect("the disk takes it");
    fs::rename(other, path).expect("the disk takes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_on_valid_data_runs_and_stops_with_a_snapshot() {
    for verify_at_open_mib in [0, 256] {
        let mut data = Data::new(verify_at_open_mib).await;
        let engine = data.start();
        let end = *data.ends.last().expect("there is one");
        assert_eq!((engine.started().snapshot, engine.started().replayed), (end, end));
        let state: State = engine.stop().await.expect("all is whole");
        assert_eq!((state.position(), state.clients.len()), (end, 6));
        assert_eq!(data.snapshots().len(), 2, "nothing is new, and none is written");
        fs::remove_file(&data.snapshots()[0]).expect("it is there");
        let engine = data.start();
        assert_eq!((engine.started().snapshot, engine.started().replayed), (data.ends[0], end));
        data.ends.clear();
        engine.stop().await.expect("all is whole");
    }
}

/// Z11: a segment that the snapshot covers is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_covered_segment_that_is_missing_stops_the_engine() {
    let data = Data::new(256).await;
    fs::remove_file(data.segment(3)).expect("it is there");
    let first = data.ends[2].0 + 1;
    assert_eq!(data.journal_damage().await, format!("journal: the segment that starts at position {first} is missing"));
}

/// Z11: two of them have each other's names.
#[tokio::test(flavor = "multi_thread")]
async fn covered_segments_that_are_swapped_stop_the_engine() {
    let data = Data::new(256).await;
    let (one, two, aside) = (data.segment(2), data.segment(4), data.segment(2).with_extension("aside"));
    for (from, to) in [(&one, &aside), (&two, &one), (&aside, &two)] {
        fs::rename(from, to).expect("it is there");
    }
    let name = one.file_name().expect("it has one").to_string_lossy().into_owned();
    let expected = format!("journal/{name}: the segment does not match its file name: it starts at another position");
    assert_eq!(data.journal_damage().await, expected);
}

/// Z11: the newest batch of one of them has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_covered_segment_that_is_damaged_stops_the_engine() {
    let data = Data::new(256).await;
    let path = data.segment(3);
    let mut bytes = fs::read(&path).expect("it is there");
    let places: Vec<usize> = (0..bytes.len() - 3).filter(|at| bytes[*at..].starts_with(b"Ann")).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at] = b'B');
    fs::write(&path, bytes).expect("the disk takes it");
    let expected = format!(
        "journal/{}: the batch at position {} is damaged: its bytes do not match its hash",
        path.file_name().expect("it has one").to_string_lossy(),
        data.ends[2].0 + 1
    );
    assert_eq!(data.journal_damage().await, expected);
}

/// A large snapshot is damaged where it is read in place: the running engine finds that. One that is fully read at the start is
/// skipped.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_damaged_in_an_unread_part_stops_the_engine() {
    for verify_at_open_mib in [0, 256] {
        let data = Data::new(verify_at_open_mib).await;
        let newest = data.snapshots().remove(0);
        let sections = Snapshot::open(&OsDisk, &newest).expect("it is whole").header().sections.clone();
        let clients = sections.iter().find(|section| section.name == "clients").expect("there is one");
        flip(&newest, clients.offset as usize + 20);
        if verify_at_open_mib > 0 {
            let engine = data.start();
            assert_eq!(engine.started().snapshot, data.ends[0]);
            let state = engine.stop().await.expect("the rest is whole");
            assert_eq!(state.clients.len(), 6);
            // The stop rewrites the damaged part.
            Snapshot::open(&OsDisk, &newest).and_then(|written| written.verify(&mut |_| {})).expect("it was just written");
            continue;
        }
        let damage = data.damage_found().await;
        let Damage::Snapshot(SnapshotError::Damaged { path, section, .. }) = &*damage else { panic!("{damage:?}") };
        assert_eq!((path, *section), (&newest, "clients"));
        let said = std::error::Error::source(&EngineError::Damaged(damage.clone())).map(ToString::to_string);
        assert_eq!(said, Some(damage.to_string()));
        let engine = data.start();
        assert_eq!(engine.started().snapshot, data.ends[0], "the older one, although neither is verified first");
        engine.stop().await.expect("it is whole");
    }
}

/// A start on the older snapshot and a stop: the damaged one goes, and the whole one stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_replaces_the_damaged_snapshot_that_the_start_passed_over() {
    let mut data = Data::new(256).await;
    data.append(1);
    let [newest, older] = data.snapshots().try_into().expect("there are two");
    flip(&newest, 4096);
    data.start().stop().await.expect("the rest is whole");
    let left = data.snapshots();
    assert_eq!((left.len(), left.contains(&older), left.contains(&newest)), (2, true, false), "{left:?}");
}

/// Damage at the start itself is refused there, by the same names.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_the_start_reads_is_refused_there() {
    let data = Data::new(256).await;
    fs::remove_file(data.segment(6)).expect("it is there");
    let refused = Engine::start(&data.folder, segment_each(), &mut |_| {}).err().expect("the newest batch is missing");
    let EngineError::Recovery(JournalError::EndsBefore { end, from, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!((*end, *from), (data.ends[5], data.ends[6]));
}
