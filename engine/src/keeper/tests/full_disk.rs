//! A disk with room for the journal but not for a snapshot: the journal continues.

use super::*;
use scrip_journal::SEGMENT_BYTES;
use scrip_journal::disk::double::{Double, Faults};

/// A journal on a disk in memory.
pub(super) struct Bench {
    pub(super) disk: Double,
    pub(super) journal: Segments,
    durable: watch::Sender<Position>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with_segments(SEGMENT_BYTES)
    }

    /// With segments of so many bytes.
    fn with_segments(segment_bytes: u64) -> Bench {
        let disk = Double::default();
        disk.create_folder(Path::new("/data")).and_then(|()| disk.sync_folder(Path::new("/"))).expect("the disk takes it");
        // Makes the reserve some MiB.
        disk.create(Path::new("/data/ballast")).and_then(|mut file| file.write_at(40 << 20, &[0])).expect("the disk takes it");
        let (shared, dir, none) = (Arc::new(disk.clone()), Path::new("/data/journal"), ChainEnd::default());
        let journal = Segments::open(shared, dir, segment_bytes, none, &mut |_, _| {}, &mut |_| {}).expect("a new journal");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut bench = Bench { disk, journal, durable: watch::Sender::new(Position(0)), runtime };
        bench.append(SettingsSet::new(Settings::default()).into());
        bench
    }

    pub(super) fn keeper(&self, retention: Retention) -> Keeper {
        let settings = KeeperSettings { journal_bytes: 0, retention };
        let (reader, registry, durable) = (self.journal.reader(), Arc::<Registered>::default(), self.durable.subscribe());
        Keeper::start(Arc::new(self.disk.clone()), self.dir(), settings, reader, registry, durable, None)
    }

    pub(super) fn dir(&self) -> PathBuf {
        PathBuf::from("/data/snapshots")
    }

    pub(super) fn append(&mut self, record: Record) {
        let mut batch = BatchBuilder::new(START_MS + self.journal.end().position.0);
        batch.push(&record);
        let end = self.journal.append(vec![batch]).expect("the disk takes it").position;
        self.durable.send_replace(end);
    }

    pub(super) fn clients(&mut self, count: u64) {
        for _ in 0..count {
            let position = self.journal.end().position.0;
            let stamp = Stamp { request: RequestId(position.into()), body: position, credential: CredentialId(1) };
            self.append(ClientRegistered { stamp, client: ClientId(position.into()), name: "Ann".into(), new: true }.into());
        }
    }

    fn tamper_newest(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let newest = self.dir().join(self.files().pop().expect("there is one"));
        self.disk.tamper(&newest, change);
    }

    /// Leaves that many bytes beside the reserve, which is a tenth of the disk: too few for a snapshot.
    pub(super) fn leave(&self, bytes: u64) {
        let capacity = (self.disk.bytes() + bytes) * 10 / 9 + 1;
        self.disk.set_faults(Faults { capacity: Some(capacity), ..Faults::default() });
    }

    pub(super) fn take(&self, keeper: &Keeper) -> Outcome {
        self.runtime.block_on(keeper.handle().take())
    }

    /// Takes a snapshot after each of these numbers of new clients.
    pub(super) fn take_after(&mut self, keeper: &Keeper, clients: &[u64]) {
        for count in clients {
            self.clients(*count);
            assert!(matches!(self.take(keeper), Outcome::Taken(_)));
        }
    }

    pub(super) fn files(&self) -> Vec<String> {
        self.disk.list(&self.dir()).map(|entries| entries.into_iter().map(|entry| entry.name).collect()).unwrap_or_default()
    }
}

/// Pain 29: failed snapshots never use up the space that the journal needs, however often they are tried.
#[test]
fn a_snapshot_without_room_takes_none_from_the_journal() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    bench.clients(10);
    // First without an earlier snapshot, then with one.
    for snapshots in 0..2 {
        let files = bench.files();
        bench.leave(50_000);
        for _ in 0..3 {
            let before = bench.disk.bytes();
            let outcome = bench.take(&keeper);
            let Outcome::Failed(why) = outcome else { panic!("{outcome}") };
            assert!(why.contains("/data/snapshots: no room for a snapshot"), "{why}");
            assert_eq!((bench.disk.bytes(), bench.files()), (before, files.clone()));
            bench.clients(10);
        }
        bench.disk.set_faults(Faults::default());
        let outcome = bench.take(&keeper);
        assert!(matches!(outcome, Outcome::Taken(_)), "{outcome}");
        assert_eq!(bench.files().len(), snapshots + 1);
        bench.clients(10);
    }
    keeper.stop();
}

/// An older snapshot is removed for the next, so that with `journal = "needed"` segments can be dropped again.
#[test]
fn the_older_snapshot_makes_room_for_the_next() {
    for retention in [Retention::All, Retention::Needed] {
        let mut bench = Bench::new();
        let keeper = bench.keeper(retention);
        bench.take_after(&keeper, &[10, 10]);
        let files = bench.files();
        bench.clients(10);
        bench.leave(50_000);
        let outcome = bench.take(&keeper);
        assert!(matches!(outcome, Outcome::Taken(_)), "{outcome}");
        let left = bench.files();
        assert_eq!((left.len(), left.contains(&files[0])), (2, false));
        keeper.stop();
    }
}

/// The older snapshot stays if removing it would not make enough room: it may be needed if the newer one is damaged.
#[test]
fn the_older_snapshot_stays_where_it_makes_too_little_room() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    bench.take_after(&keeper, &[10, 5_000]);
    let files = bench.files();
    bench.clients(10);
    bench.leave(50_000);
    let outcome = bench.take(&keeper);
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome}");
    assert_eq!(bench.files(), files);
    keeper.stop();
}

/// A damaged snapshot is removed for the next before any intact one: it is useless, and would prevent every later one.
#[test]
fn a_damaged_snapshot_makes_room_for_the_next() {
    // With an intact one before it, and with the journal alone. The next one is about as large, or several times larger.
    for (whole, more) in [(1, 10), (0, 10), (1, 2_000), (0, 2_000)] {
        let mut bench = Bench::new();
        let keeper = bench.keeper(Retention::Needed);
        bench.take_after(&keeper, &vec![1_000; whole + 1]);
        let mut expected = bench.files();
        let damaged = expected.pop().expect("there is one");
        bench.tamper_newest(|bytes| {
            // Zeros may lie between sections, where nothing is checked.
            let at = (bytes.len() / 2..bytes.len()).find(|at| bytes[*at] != 0).expect("a section lies behind the middle");
            bytes[at] ^= 1;
        });
        bench.clients(more);
        let size = bench.disk.contents(&bench.dir().join(&damaged)).len() as u64;
        bench.leave(if more > 1_000 { size / 2 * 3 } else { 50_000 });
        let outcome = bench.take(&keeper);
        assert!(matches!(outcome, Outcome::Taken(_)), "{whole}, {more}: {outcome}");
        let left = bench.files();
        assert_eq!(left[..left.len() - 1], expected, "{whole}, {more}: the whole ones stay");
        assert!(!left.contains(&damaged));
        keeper.stop();
    }
}

/// The last intact snapshot is never removed for room if the journal begins after position 1: nothing else could replace the
/// dropped records.
#[test]
fn the_only_whole_snapshot_stays_whatever_the_room() {
    for retention in [Retention::All, Retention::Needed] {
        let mut bench = Bench::with_segments(1);
        // The folder that `needed` leaves, whatever is configured now.
        let keeper = bench.keeper(Retention::Needed);
        for _ in 0..3 {
            bench.clients(3);
            assert!(matches!(bench.take(&keeper), Outcome::Taken(_)));
        }
        keeper.stop();
        assert!(bench.journal.reader().first() > Position(1), "segments were dropped");
        let keeper = bench.keeper(retention);
        let whole = bench.files()[0].clone();
        // So that removing the damaged one makes too little room.
        bench.tamper_newest(|bytes| bytes.truncate(bytes.len() / 2));
        bench.clients(1);
        bench.leave(0);
        let outcome = bench.take(&keeper);
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome}");
        assert_eq!(bench.files(), [whole]);
        keeper.stop();
    }
}
