//! How the snapshotter changes a folder while the journal is being written.
//!
//! In these journals every batch is a segment of its own, so that tests can check exactly which records are dropped.

mod full_disk;
mod unreadable;

use std::fmt::Debug;
use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redb::StorageBackend;
use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};
use scrip_protocol::command::{ClientRegistered, CodeTexts, CodesAdded, LineVerdict, ReaderForgotten, ReaderKept, SkippedLine};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, CredentialId, Record, RequestId, Settings, Stamp};

use super::*;
use crate::snapshot::{self, Kept, Snapshot};
use scrip_core::state::State;
use scrip_journal::disk::{Access, DiskFile, Entry, OsDisk, ReadableFile, Space};
use scrip_journal::{Journal, Segments};

const DEADLINE: Duration = Duration::from_secs(30);

const START_MS: u64 = 1_790_000_000_000;

/// A journal, its writer, and a folder for snapshots.
struct Bench {
    dir: tempfile::TempDir,
    journal: Segments,
    durable: watch::Sender<Position>,
    registry: Arc<Registered>,
    runtime: tokio::runtime::Runtime,
}

/// The registry of an engine: the readers in its state, and an event during the query.
#[derive(Default)]
struct Registered {
    readers: Mutex<std::collections::BTreeMap<String, Position>>,
    closed_before: Mutex<Vec<Position>>,
    /// Registered by a request that is decided after the registry was closed and before it replies: it is in the list.
    meanwhile: Mutex<Vec<(String, Position)>>,
    fails: AtomicBool,
}

impl ReaderRegistry for Registered {
    fn close_before(&self, first: Position, _stops: &dyn Fn() -> bool) -> Result<Vec<Position>, RegistryError> {
        self.closed_before.lock().push(first);
        self.readers.lock().extend(self.meanwhile.lock().drain(..));
        match self.fails.load(Ordering::SeqCst) {
            true => Err(RegistryError::Stopping),
            false => Ok(self.readers.lock().values().copied().collect()),
        }
    }

    fn open(&self) {
        self.closed_before.lock().push(Position(0));
    }
}

impl Bench {
    /// With the settings as the first record.
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        let journal =
            Segments::open(Arc::new(OsDisk), &dir.path().join("journal"), 1, ChainEnd::default(), &mut |_, _| {}, &mut |_| {})
                .expect("a new journal");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (durable, registry) = (watch::Sender::new(Position(0)), Arc::default());
        let mut bench = Bench { dir, journal, durable, registry, runtime };
        bench.append(vec![SettingsSet::new(Settings::default()).into()]);
        bench
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    fn keeper_on(&self, disk: Arc<dyn Disk>, retention: Retention, journal_bytes: u64) -> Keeper {
        let settings = KeeperSettings { journal_bytes, retention };
        let last = self.listed().first().map(|kept| ChainEnd { position: kept.position, ..ChainEnd::default() });
        let (reader, registry, durable) = (self.journal.reader(), self.registry.clone(), self.durable.subscribe());
        Keeper::start(disk, self.snapshots(), settings, reader, registry, durable, last)
    }

    fn keeper(&self, retention: Retention) -> Keeper {
        self.keeper_on(Arc::new(OsDisk), retention, 0)
    }

    /// Writes a batch of records and marks it durable. Returns its end.
    fn append(&mut self, records: Vec<Record>) -> Position {
        let mut batch = BatchBuilder::new(START_MS + self.journal.end().position.0);
        records.iter().for_each(|record| batch.push(record));
        let end = self.journal.append(vec![batch]).expect("the disk takes it").position;
        self.durable.send_replace(end);
        end
    }

    /// Writes batches of one client each.
    fn clients(&mut self, count: u64) -> Position {
        for _ in 0..count {
            let (stamp, number) = (self.stamp(), self.journal.end().position.0);
            let client = ClientRegistered { stamp, client: ClientId(number.into()), name: "Ann".into(), new: true };
            self.append(vec![client.into()]);
        }
        self.journal.end().position
    }

    fn reader(&mut self, name: &str, position: Position) {
        self.registry.readers.lock().insert(name.to_owned(), position);
        let record = ReaderKept { stamp: self.stamp(), name: name.to_owned(), position };
        self.append(vec![record.into()]);
    }

    fn stamp(&self) -> Stamp {
        let position = self.journal.end().position.0;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&position.to_be_bytes());
        Stamp { request: RequestId::from_parts(START_MS + position, random), body: position, credential: CredentialId(1) }
    }

    fn take(&self, keeper: &Keeper) -> Outcome {
        self.runtime.block_on(keeper.handle().take())
    }

    #[track_caller]
    fn taken(&self, keeper: &Keeper) -> SnapshotTaken {
        let outcome = self.take(keeper);
        let Outcome::Taken(taken) = outcome else { panic!("{outcome}") };
        taken
    }

    fn listed(&self) -> Vec<Kept> {
        snapshot::list(&OsDisk, &self.snapshots()).expect("the folder can be read")
    }

    fn positions(&self) -> Vec<u64> {
        self.listed().iter().map(|kept| kept.position.0).collect()
    }

    /// Checks that the newest snapshot is intact and contains the state of the journal up to its position (Z10).
    fn compare_newest(&self, whole_journal: bool) {
        let newest = self.listed().remove(0);
        let snapshot = Snapshot::open(&OsDisk, &newest.path).expect("it was just written");
        snapshot.verify(&mut |_| {}).expect("as was all of it");
        assert_eq!(snapshot.header().end.position, newest.position);
        if !whole_journal {
            return;
        }
        let mut state = State::default();
        let mut end = ChainEnd::default();
        let batches = self.journal.reader().read(Position(1), usize::MAX).expect("it is whole");
        for bytes in batches.iter().take_while(|bytes| Batch::parse(bytes).is_ok_and(|batch| batch.first <= newest.position)) {
            let batch = Batch::parse(bytes).expect("it was looked at");
            batch.follow(&mut end).expect("it is in order");
            batch.records().for_each(|record| {
                state.apply(batch.time(), &record.expect("it is one").1);
            });
        }
        assert_eq!(snapshot.header().end, end);
        assert!(snapshot.state().expect("it is whole") == state, "the snapshot differs from the journal");
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for this: {what}");
        std::thread::yield_now();
    }
}

/// Z10: a snapshot equals the state of the journal, whatever it started from; two are kept; without new records none is taken.
#[test]
fn each_snapshot_is_what_the_journal_has_made_and_two_are_kept() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::All);
    let mut taken = Vec::new();
    for round in 1..=4 {
        let end = bench.clients(round * 3);
        bench.reader("reports", Position(round));
        let position = bench.taken(&keeper).position;
        assert_eq!(position.0, end.0 + 1);
        bench.compare_newest(true);
        assert_eq!(bench.take(&keeper), Outcome::NothingNew { since: position });
        taken.insert(0, position.0);
        taken.truncate(2);
        assert_eq!(bench.positions(), taken);
    }
    assert_eq!(bench.journal.reader().first(), Position(1), "by default nothing of the journal is dropped");
    keeper.stop();
}

/// The reported outcome matches the file.
#[test]
fn the_answer_says_what_was_written() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::All);
    let end = bench.clients(5);
    let taken = bench.taken(&keeper);
    let kept = bench.listed().remove(0);
    assert_eq!((taken.position, taken.bytes, taken.codes), (end, kept.bytes, 0));
    assert_eq!(kept.bytes, fs::metadata(&kept.path).expect("it is there").len());
    // Another snapshotter starts from the files alone.
    keeper.stop();
    bench.clients(2);
    let keeper = bench.keeper(Retention::All);
    bench.taken(&keeper);
    bench.compare_newest(true);
    keeper.stop();
}

/// A snapshot is taken when the journal has grown by the configured size, and the count then starts again.
#[test]
fn it_is_taken_by_itself_when_the_journal_has_grown() {
    let mut bench = Bench::new();
    let least = bench.journal.reader().bytes();
    let keeper = bench.keeper_on(Arc::new(OsDisk), Retention::All, 3 * least);
    for count in 1..=2 {
        let before = bench.journal.reader().bytes();
        while bench.journal.reader().bytes() < before + 3 * least {
            bench.clients(1);
        }
        wait_until("the keeper takes a snapshot", || bench.positions().len() == count);
    }
    keeper.stop();
    bench.compare_newest(true);
}

/// The bytes written after a snapshot are not recorded; they are estimated as a share of the journal.
#[test]
fn growth_is_counted_from_the_newest_snapshot() {
    let mut bench = Bench::new();
    let end = bench.clients(9);
    let reader = bench.journal.reader();
    let bytes = reader.bytes();
    let from = |last: Option<u64>| Growth::since(last.map(Position), 1, reader.as_ref(), end).from;
    assert_eq!((from(None), from(Some(end.0)), from(Some(end.0 / 2))), (0, bytes, bytes / 2));
    let mut growth = Growth::since(Some(end), 1, reader.as_ref(), end);
    assert!(!growth.is_due(reader.as_ref(), end), "nothing came after it");
    bench.clients(1);
    assert!(growth.is_due(bench.journal.reader().as_ref(), bench.journal.end().position));
    growth.begins(bench.journal.reader().bytes());
    assert!(!growth.is_due(bench.journal.reader().as_ref(), bench.journal.end().position));
}

/// Only records that both snapshots and every reader have passed are dropped; with a single snapshot none are.
#[test]
fn what_everybody_has_passed_is_dropped_and_nothing_else() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    let first_kept = |bench: &Bench| bench.journal.reader().first().0;
    bench.clients(4);
    let one = bench.taken(&keeper).position.0;
    assert_eq!(first_kept(&bench), 1, "there is one snapshot only");
    bench.clients(4);
    let two = bench.taken(&keeper).position.0;
    assert_eq!(first_kept(&bench), one + 1);
    bench.compare_newest(false);

    // A reader behind the snapshots retains the rest, and so does one that has read nothing.
    bench.reader("slow", Position(one + 2));
    bench.reader("fast", Position(two));
    bench.clients(4);
    bench.taken(&keeper);
    bench.clients(4);
    let last = bench.taken(&keeper).position.0;
    assert_eq!(first_kept(&bench), one + 3);
    bench.reader("slow", Position(two));
    bench.taken(&keeper);
    assert_eq!(first_kept(&bench), two + 1);

    // Without readers, the older snapshot determines what is retained.
    for name in ["slow", "fast"] {
        bench.registry.readers.lock().remove(name);
        let record = ReaderForgotten { stamp: bench.stamp(), name: name.to_owned() };
        bench.append(vec![record.into()]);
    }
    let before = bench.positions()[0];
    assert!(before > last);
    bench.taken(&keeper);
    assert_eq!(first_kept(&bench), before + 1);
    bench.compare_newest(false);
    keeper.stop();
}

/// The record of a reply that is too long for memory stays for as long as its request is remembered.
#[test]
fn what_a_remembered_reply_is_made_from_is_not_dropped() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    let settings = Settings { request_window_ms: 10, ..Settings::default() };
    bench.append(vec![SettingsSet::new(settings).into()]);
    bench.clients(2);
    let skip = |line| SkippedLine { line, code: "A".into(), why: LineVerdict::AlreadyInCampaign };
    let skipped = (1..100).map(skip).collect();
    let added = CodesAdded { stamp: bench.stamp(), campaign: CampaignId(1), codes: CodeTexts::default(), skipped };
    let long = bench.append(vec![added.into()]);
    let first_kept = |bench: &Bench| bench.journal.reader().first();
    for _ in 0..2 {
        bench.clients(3);
        bench.taken(&keeper);
        assert!(first_kept(&bench) <= long);
    }
    assert_eq!(first_kept(&bench), long, "what is before it was dropped");
    bench.clients(1);
    bench.taken(&keeper);
    assert_eq!(first_kept(&bench), long);
    // In this test a position is a millisecond: after ten, the request is forgotten.
    bench.clients(20);
    bench.taken(&keeper);
    assert!(first_kept(&bench) > long);
    bench.compare_newest(false);
    keeper.stop();
}

/// A reader that is accepted while segments are about to be dropped keeps them: the registry is closed before its readers are listed.
#[test]
fn a_reader_that_is_accepted_during_the_dropping_keeps_what_it_needs() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    let first_kept = |bench: &Bench| bench.journal.reader().first().0;
    bench.clients(4);
    let one = bench.taken(&keeper).position.0;
    bench.clients(4);
    assert_eq!(*bench.registry.closed_before.lock(), [], "nothing was to be dropped");
    bench.registry.meanwhile.lock().push(("late".to_owned(), Position(one - 2)));
    let two = bench.taken(&keeper).position.0;
    assert_eq!(first_kept(&bench), one - 1, "the reader at {} needs what comes after", one - 2);
    assert_eq!(
        *bench.registry.closed_before.lock(),
        [Position(one + 1), Position(0)],
        "closed for what could go, and opened again"
    );

    // If the list does not arrive, nothing is dropped, and the registry is opened again.
    bench.registry.readers.lock().clear();
    bench.registry.closed_before.lock().clear();
    bench.registry.fails.store(true, Ordering::SeqCst);
    bench.clients(4);
    bench.taken(&keeper);
    assert_eq!(first_kept(&bench), one - 1);
    assert_eq!(*bench.registry.closed_before.lock(), [Position(two + 1), Position(0)]);
    bench.registry.fails.store(false, Ordering::SeqCst);
    let three = bench.positions()[0];
    bench.clients(4);
    bench.taken(&keeper);
    assert_eq!(first_kept(&bench), three + 1);
    keeper.stop();
}

/// A damaged snapshot is neither used nor counted; the previous one is used.
#[test]
fn a_damaged_snapshot_is_passed_over_and_removed() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    bench.clients(3);
    let one = bench.taken(&keeper).position.0;
    bench.clients(3);
    let two = bench.taken(&keeper).position.0;
    damage(&bench.listed()[0].path);
    let three = bench.clients(3).0;
    assert_eq!(bench.taken(&keeper).position.0, three);
    assert_eq!(bench.positions(), [three, one], "{two} is damaged");
    bench.compare_newest(false);
    assert_eq!(bench.journal.reader().first().0, one + 1);

    // Without any, the dropped records cannot be recovered, and the snapshotter does not guess.
    bench.listed().iter().for_each(|kept| damage(&kept.path));
    bench.clients(1);
    let Outcome::Failed(why) = bench.take(&keeper) else { panic!("there is nothing to begin with") };
    assert!(why.contains(&format!("the journal begins at position {}, and no readable snapshot", one + 1)), "{why}");
    assert_eq!(bench.positions(), [three, one], "they are left as they are");
    keeper.stop();
}

/// Flips a bit in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    // Zeros may lie between sections, where nothing is checked.
    let middle = (bytes.len() / 2..bytes.len()).find(|at| bytes[*at] != 0).expect("a section lies behind the middle");
    bytes[middle] ^= 1;
    // Under another name first, because the file may be mapped.
    let other = path.with_extension("damaged");
    fs::write(&other, bytes).expect("it can be written");
    fs::rename(other, path).expect("it can be renamed");
}

/// The operating system's disk, except for writes to new files.
#[derive(Debug, Default)]
struct Trying {
    full: AtomicBool,
    /// A write that announces its start and waits for permission.
    gate: Option<(Sender<()>, Receiver<()>)>,
}

struct TryingFile(Box<dyn DiskFile>, bool, Option<(Sender<()>, Receiver<()>)>);

impl DiskFile for TryingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some((entered, leave)) = &self.2 {
            // Does not wait if the test no longer listens.
            let _ = entered.send(());
            let _ = leave.recv();
        }
        self.0.write_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Disk for Trying {
    fn create_folder(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_folder(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        OsDisk.list(dir)
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_folder(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        OsDisk.lock(path)
    }

    fn storage(&self, path: &Path, how: Access) -> io::Result<Box<dyn StorageBackend>> {
        OsDisk.storage(path, how)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = TryingFile(OsDisk.create(path)?, self.full.load(Ordering::Relaxed), self.gate.clone());
        Ok(Box::new(file))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        OsDisk.space(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadableFile>> {
        OsDisk.open(path)
    }
}

/// On a full disk a snapshot fails with an error and leaves the existing files; the next one succeeds once there is space.
#[test]
fn a_failure_is_answered_and_the_next_one_goes_well() {
    let mut bench = Bench::new();
    let disk = Arc::new(Trying::default());
    let keeper = bench.keeper_on(disk.clone(), Retention::Needed, 0);
    bench.clients(3);
    bench.taken(&keeper);
    let before = bench.positions();
    bench.clients(3);
    disk.full.store(true, Ordering::Relaxed);
    let Outcome::Failed(why) = bench.take(&keeper) else { panic!("there is no room") };
    assert!(why.contains("no storage space"), "{why}");
    assert_eq!(bench.positions(), before);
    let files = fs::read_dir(bench.snapshots()).expect("a folder").count();
    assert_eq!(files, before.len(), "nothing is left of it");
    disk.full.store(false, Ordering::Relaxed);
    bench.taken(&keeper);
    bench.compare_newest(false);
    assert_eq!(bench.positions().len(), 2);
    keeper.stop();
}

/// A stop in the middle of writing abandons the snapshot: waiting callers get the outcome, no partial file has a snapshot's name, and the
/// next run continues from the previous one.
#[test]
fn a_stop_gives_up_what_is_being_written() {
    let mut bench = Bench::new();
    bench.clients(3);
    let (entered, enters) = crossbeam_channel::unbounded();
    let (leaves, leave) = crossbeam_channel::unbounded();
    let disk = Trying { gate: Some((entered, leave)), ..Trying::default() };
    let keeper = bench.keeper_on(Arc::new(disk), Retention::All, 0);
    let handle = keeper.handle();
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(handle.take())
    });
    enters.recv_timeout(DEADLINE).expect("something is being written");
    let Keeper { stop, thread, .. } = keeper;
    drop(stop);
    drop(leaves);
    thread.join().expect("it ends");
    assert_eq!(waiting.join().expect("it is answered"), Outcome::Failed("the engine stops".to_owned()));
    assert_eq!(bench.positions(), Vec::<u64>::new());

    let keeper = bench.keeper(Retention::All);
    bench.taken(&keeper);
    bench.compare_newest(true);
    let files: Vec<_> = fs::read_dir(bench.snapshots()).expect("a folder").filter_map(Result::ok).collect();
    assert_eq!(files.len(), 1, "what was given up is gone: {files:?}");
    keeper.stop();
}
