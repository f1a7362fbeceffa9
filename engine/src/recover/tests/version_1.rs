//! A start on a snapshot of version 1 that was taken while the machine's clock was ahead: the journal shows which ids were
//! executed.

use std::sync::Arc;

use scrip_protocol::batch::{BatchBuilder, BatchTime};
use scrip_protocol::command::{ClientRegistered, TakeSnapshotOutcome};
use scrip_protocol::record::SettingsApplied;
use scrip_protocol::{ClientId, CredentialId, Kind, Position, Record, Refusal, RequestId, Settings, Stamp, unix_time_ms};

use super::{Recovered, files, folder, new_disk, recovered};
use crate::backup;
use crate::engine::keep;
use crate::folder::Retention;
use crate::keeper::{Keeper, KeeperSettings, ReaderRegistry, RegistryError};
use crate::pipeline::Finished;
use crate::snapshot::tests::version_1::as_version_1;
use crate::snapshot::{self, Pace};
use scrip_core::state::requests::Admission;
use scrip_core::state::{State, first_difference};
use scrip_journal::disk::double::Double;
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::{Journal, JournalError, JournalReader};

/// Each batch is a segment.
const SEGMENT_EACH: u64 = 1;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn stamp(id_ms: u64, n: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Stamp { request: RequestId::from_parts(id_ms, random), body: n, credential: CredentialId(1) }
}

/// The time in a request's id, and its number.
type TimeAndNumber = (u64, u64);

fn admit(state: &State, now_ms: u64, (id_ms, n): TimeAndNumber) -> Admission<'_> {
    state.admit(now_ms, &stamp(id_ms, n), || Kind::RegisterClient)
}

/// A folder of an engine of version 1 whose clock jumped ahead by 30 days, an hour before `now_ms`; its snapshot has forgotten
/// what was executed by the right clock. Returns the requests by the right clock, and those by the other, by their times and
/// numbers.
fn upgraded(now_ms: u64) -> (Double, [TimeAndNumber; 3], [TimeAndNumber; 2]) {
    let disk = new_disk();
    let right = [(now_ms - 9 * DAY, 2), (now_ms - 3 * DAY, 3), (now_ms - 2 * HOUR, 4)];
    let wrong = [(now_ms + 30 * DAY, 5), (now_ms + 30 * DAY + HOUR, 6)];
    let mut journal = recovered(&disk, SEGMENT_EACH).expect("it is empty").journal;
    let mut append = |at_ms: u64, record: Record| {
        let mut batch = BatchBuilder::new(at_ms);
        batch.push(&record);
        journal.append(vec![batch]).expect("the disk takes it")
    };
    let mut end = append(now_ms - 10 * DAY, SettingsApplied { settings: Settings::default() }.into());
    for (at_ms, n) in right.into_iter().chain(wrong) {
        let record = ClientRegistered { stamp: stamp(at_ms, n), client: ClientId(n.into()), name: "Ann".into(), new: true };
        end = append(at_ms, record.into());
    }
    drop(journal);
    let state = recovered(&disk, SEGMENT_EACH).expect("it is whole").state;
    assert_eq!(state.requests.len(), 2, "those by the right clock are forgotten");
    let kept = snapshot::write(&disk, &folder().snapshots_path(), &state, end, Pace::Full, &mut |_, _| {});
    as_version_1(&disk, &kept.expect("the disk takes it"), 0);
    (disk, right, wrong)
}

/// Writes a snapshot of the current version and starts from it.
fn again(disk: &Double, state: &State) -> State {
    let journal = recovered(disk, SEGMENT_EACH).expect("it is whole").journal;
    snapshot::write(disk, &folder().snapshots_path(), state, journal.end(), Pace::Full, &mut |_, _| {})
        .expect("the disk takes it");
    drop(journal);
    recovered(disk, SEGMENT_EACH).expect("it is whole").state
}

/// Executed requests are not executed again, and new requests by the right clock are executed, even if the first records were
/// dropped.
#[test]
fn a_snapshot_of_version_1_from_a_time_ahead_locks_out_nobody_and_repeats_nothing() {
    for dropped in [0, 1, 2] {
        let now_ms = unix_time_ms();
        let (disk, right, wrong) = upgraded(now_ms);
        let mut state = recovered(&disk, SEGMENT_EACH).expect("it is whole").state;
        if dropped > 0 {
            let journal = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal;
            journal.reader().drop_through(Position(dropped)).expect("they can be removed");
            drop(journal);
            state = recovered(&disk, SEGMENT_EACH).expect("the snapshot has what was dropped").state;
        }
        for generation in 0..3 {
            for new_ms in [now_ms, now_ms - HOUR, now_ms + 30_000, now_ms + DAY] {
                let admitted = admit(&state, new_ms, (new_ms, 100));
                assert_eq!(admitted, Admission::New, "{dropped} dropped, generation {generation}");
            }
            for request in right {
                // By any clock that would not refuse it as older than the window.
                let refused = admit(&state, request.0, request);
                assert!(matches!(refused, Admission::Refused(Refusal::RequestTooOld { .. })), "{request:?}: {refused:?}");
            }
            for request in wrong {
                assert!(matches!(admit(&state, request.0, request), Admission::Repeated(_)), "{request:?}");
            }
            let mut replayed = State::default();
            if dropped == 0 {
                let reader = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal.reader();
                for bytes in reader.read(Position(1), usize::MAX).expect("it is whole") {
                    let batch = scrip_protocol::batch::Batch::parse(&bytes).expect("it is whole");
                    batch.records().for_each(|item| {
                        replayed.apply(batch.time(), &item.expect("it is whole").1);
                    });
                }
                assert_eq!(first_difference(&replayed, &state), None);
            }
            state = again(&disk, &state);
        }
    }
}

/// If the journal begins after the clock jumped ahead, nobody knows which ids were executed: all that may have been are refused.
#[test]
fn without_the_journal_every_possibly_executed_id_is_refused() {
    let now_ms = unix_time_ms();
    let (disk, ..) = upgraded(now_ms);
    let journal = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal;
    journal.reader().drop_through(Position(5)).expect("they can be removed");
    drop(journal);
    let state = recovered(&disk, SEGMENT_EACH).expect("the snapshot has what was dropped").state;
    let refused = admit(&state, now_ms, (now_ms, 100));
    assert_eq!(refused, Admission::Refused(Refusal::RequestTooOld { oldest_ms: now_ms + 29 * DAY + HOUR }));
}

/// No reader is registered.
struct NoReaders;

impl ReaderRegistry for NoReaders {
    fn close_before(&self, _first: Position, _stops: &dyn Fn() -> bool) -> Result<Vec<Position>, RegistryError> {
        Ok(Vec::new())
    }

    fn open(&self) {}
}

/// Starts on a folder, executes a request by the right clock, takes a snapshot as the running engine does, and crashes. Returns
/// the first retained position of the journal.
fn run_and_crash(disk: &Double, now_ms: u64, n: u64) -> Position {
    run(disk, &mut recovered(disk, SEGMENT_EACH).expect("it is whole"), now_ms, n)
}

/// The same for an engine that keeps running.
fn run(disk: &Double, Recovered { state, journal, .. }: &mut Recovered, now_ms: u64, n: u64) -> Position {
    let mut batch = BatchBuilder::new(BatchTime::new(now_ms + 31 * DAY, now_ms));
    let record = ClientRegistered { stamp: stamp(now_ms, n), client: ClientId(n.into()), name: "Ann".into(), new: true };
    let record = record.into();
    batch.push(&record);
    state.apply(batch.time(), &record);
    let end = journal.append(vec![batch]).expect("the disk takes it").position;
    let settings = KeeperSettings { journal_bytes: 0, retention: Retention::Needed };
    let (reader, durable) = (journal.reader(), tokio::sync::watch::Sender::new(end));
    let (disk, snapshots) = (Arc::new(disk.clone()), folder().snapshots_path());
    let keeper = Keeper::start(disk, snapshots, settings, reader.clone(), Arc::new(NoReaders), durable.subscribe(), None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let outcome = runtime.block_on(keeper.handle().take());
    assert!(matches!(outcome, TakeSnapshotOutcome::Taken(taken) if taken.position == end), "{outcome}");
    keeper.stop();
    reader.first()
}

/// Whatever a running engine has dropped of its journal, the next start admits new requests and executes none again; also if the
/// newest snapshot is damaged, and if the clock was set right only after the snapshots were taken.
#[test]
fn snapshots_of_a_running_engine_replace_the_journal_before_it_is_dropped() {
    for ahead in [0, 30 * DAY + 2 * HOUR] {
        let now_ms = unix_time_ms() - ahead;
        let (disk, right, wrong) = upgraded(now_ms);
        let mut firsts = Vec::new();
        for n in 200..204 {
            firsts.push(run_and_crash(&disk, now_ms, n));
            let newest = snapshot::list(&disk, &folder().snapshots_path()).expect("it can be listed").remove(0);
            let sound = disk.contents(&newest.path);
            for is_damaged in [false, true] {
                if is_damaged {
                    disk.tamper(&newest.path, |bytes| bytes.truncate(100));
                }
                let when = format!("{ahead} ahead, {n}, damaged: {is_damaged}");
                let state = recovered(&disk, SEGMENT_EACH).expect("it is whole").state;
                let unknown_before_ms = state.requests.unknown_before_ms();
                // With a clock that is ahead, a start from a snapshot of version 1 has no reason to read the journal yet.
                if ahead == 0 || !is_damaged || n > 200 {
                    assert_eq!(unknown_before_ms, 1, "{when}");
                    for new_ms in [now_ms, now_ms - HOUR, now_ms + DAY] {
                        assert_eq!(admit(&state, new_ms, (new_ms, 100)), Admission::New, "{when}");
                    }
                }
                for request in right {
                    let refused = admit(&state, request.0, request);
                    assert!(matches!(refused, Admission::Refused(Refusal::RequestTooOld { .. })), "{when}: {refused:?}");
                }
                for request in wrong {
                    assert!(matches!(admit(&state, request.0, request), Admission::Repeated(_)), "{when}: {request:?}");
                }
                disk.tamper(&newest.path, |bytes| bytes.clone_from(&sound));
            }
        }
        assert_eq!(firsts[0], Position(1), "a snapshot of version 1 is kept, and the journal with it");
        assert!(firsts[1] > Position(6) && firsts[3] > firsts[1], "later, what is not needed is dropped: {firsts:?}");
    }
}

/// An engine started while the clock was still ahead refuses ids by the right clock until it is restarted: its last snapshot does
/// not replace those of the snapshotter, by which the next start admits them.
#[test]
fn the_last_snapshot_of_an_engine_started_with_a_clock_ahead_locks_out_nobody() {
    let now_ms = unix_time_ms() - 30 * DAY - 2 * HOUR;
    for keeps in [0, 1, 3] {
        let (disk, right, _) = upgraded(now_ms);
        let mut up = recovered(&disk, SEGMENT_EACH).expect("it is whole");
        let first = (0..keeps).map(|n| run(&disk, &mut up, now_ms, 200 + n)).last();
        assert!(up.state.requests.unknown_before_ms() > 1 && (keeps < 3 || first > Some(Position(6))), "{keeps} snapshots");
        let Recovered { state, journal, .. } = up;
        keep(&disk, &folder().snapshots_path(), &Finished { state, journal: Box::new(journal) }, &[]);
        let state = recovered(&disk, SEGMENT_EACH).expect("it is whole").state;
        assert_eq!(state.requests.unknown_before_ms() > 1, keeps == 0, "{keeps} snapshots, the journal begins at {first:?}");
        assert!(keeps == 0 || admit(&state, now_ms, (now_ms, 100)) == Admission::New, "{keeps} snapshots");
        for request in right {
            assert!(matches!(admit(&state, request.0, request), Admission::Refused(_)), "{keeps} snapshots: {request:?}");
        }
    }
}

/// A backup begins with the oldest snapshot that states what was forgotten; with one of version 1 only if there is no other.
#[test]
fn a_backup_begins_with_a_snapshot_of_version_1_only_if_there_is_no_other() {
    let now_ms = unix_time_ms();
    let (disk, ..) = upgraded(now_ms);
    let dir = tempfile::tempdir().expect("a folder");
    let snapshots = dir.path().join("snapshots");
    std::fs::create_dir(&snapshots).expect("a folder");
    let os: Arc<dyn Disk> = Arc::new(OsDisk);
    for (round, expected) in [Position(6), Position(7)].into_iter().enumerate() {
        for (name, bytes) in files(&disk, &folder().snapshots_path()) {
            std::fs::write(snapshots.join(name), bytes).expect("the disk takes it");
        }
        let mut taking = backup::Taking::open(&os, &dir.path().join(format!("backup-{round}"))).expect("a folder");
        assert_eq!(taking.begin_with(&snapshots, Position(4)).expect("there is one"), expected);
        run_and_crash(&disk, now_ms, 200);
    }
}

/// If the journal cannot be read to its end, the state stays as it was: what the first version may have forgotten stays refused.
#[test]
fn a_journal_that_cannot_be_read_leaves_the_range_of_version_1() {
    /// The journal, up to a position.
    struct ReadableUpTo(Arc<dyn JournalReader>, Position);

    impl JournalReader for ReadableUpTo {
        fn read(&self, from: Position, _: usize) -> Result<Vec<Vec<u8>>, JournalError> {
            if from > self.1 { Err(JournalError::Missing { position: from }) } else { self.0.read(from, 1) }
        }

        fn bytes(&self) -> u64 {
            self.0.bytes()
        }

        fn first(&self) -> Position {
            self.0.first()
        }

        fn first_behind(&self, position: Position) -> Position {
            self.0.first_behind(position)
        }

        fn drop_through(&self, position: Position) -> Result<usize, JournalError> {
            self.0.drop_through(position)
        }

        fn check_sealed(&self, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
            self.0.check_sealed(goes_on)
        }
    }

    let (disk, ..) = upgraded(unix_time_ms());
    let kept = snapshot::list(&disk, &folder().snapshots_path()).expect("it can be listed");
    let mut state = snapshot::Snapshot::open(&disk, &kept[0].path).and_then(|snapshot| snapshot.state()).expect("it is intact");
    let before = state.requests.forgotten().clone();
    let reader = recovered(&disk, SEGMENT_EACH).expect("it is intact").journal.reader();
    let found = crate::recover::find_executed(&mut state, &ReadableUpTo(reader, Position(2)), &mut |_| true);
    assert!(matches!(found, Err(JournalError::Missing { .. })), "{found:?}");
    assert_eq!(*state.requests.forgotten(), before);
}
