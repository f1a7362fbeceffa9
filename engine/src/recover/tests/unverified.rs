//! Starts on snapshots that are too large to be verified first. A process that ends without a trace forgets what it recovered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scrip_protocol::Position;
use scrip_protocol::codes::CodeForm;

use super::{Recovered, commit, files, folder, new_disk, recover, snapshot_path, state_at, take};
use crate::engine::keep;
use crate::error::EngineError;
use crate::pipeline::Finished;
use crate::snapshot::{self, Pace, Snapshot, SnapshotError, UnverifiedUse};
use crate::verifier::{Damage, Verifier};
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::{Crash, Double, EIO};
use scrip_journal::{Journal, JournalError};

/// Each commit gets a segment of its own.
const SEGMENT_BYTES: u64 = 1;

const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with two snapshots and a record behind the newer one.
struct Written {
    disk: Double,
    older: Position,
    newer: Position,
}

impl Written {
    fn new() -> Written {
        let disk = new_disk();
        let mut journal = recovered(&disk, 0).journal;
        let [older, newer] = [0; 2].map(|_| {
            let end = commit(&mut journal, 2).expect("the disk takes it");
            take(&disk, end).expect("the disk takes it").position
        });
        commit(&mut journal, 1).expect("the disk takes it");
        Written { disk, older, newer }
    }

    /// Changes a byte of the newer snapshot that a start does not look at.
    fn damage(&self) {
        let at = self.clients();
        self.disk.tamper(&snapshot_path(self.newer.0), |bytes| bytes[at as usize] ^= 1);
    }

    /// Lets the disk fail to read that byte.
    fn make_unreadable(&self) {
        self.disk.make_unreadable(&snapshot_path(self.newer.0), self.clients()..self.clients() + 1);
    }

    /// Where the clients stand in the newer snapshot.
    fn clients(&self) -> u64 {
        let snapshot = Snapshot::open(&self.disk, &snapshot_path(self.newer.0)).expect("it is whole");
        snapshot.header().sections.iter().find(|section| section.name == "clients").expect("there is one").offset
    }

    /// Starts, and returns on which snapshot and whether that was verified.
    #[track_caller]
    fn start(&self) -> (Position, Option<UnverifiedUse>) {
        let Recovered { state, snapshot, unverified, .. } = recovered(&self.disk, 0);
        let on = snapshot.expect("there is one").header().end.position;
        assert!(state == *state_at(state.position()) && state.position() > self.newer);
        (on, unverified)
    }

    /// Starts, and ends without a trace.
    #[track_caller]
    fn start_and_die(&self, on: Position) {
        let (found, unverified) = self.start();
        assert_eq!(found, on);
        std::mem::forget(unverified.expect("it is not verified"));
    }

    /// Starts on a snapshot that is verified first.
    #[track_caller]
    fn start_verified(&self, on: Position) {
        let (found, unverified) = self.start();
        assert_eq!((found, unverified.is_none()), (on, true));
    }

    /// The names in the folder of snapshots.
    fn names(&self) -> Vec<String> {
        let entries = self.disk.list(&folder().snapshots_path()).expect("it can be read");
        entries.into_iter().map(|entry| entry.name).collect()
    }

    fn snapshots(&self) -> Vec<Position> {
        let kept = snapshot::list(&self.disk, &folder().snapshots_path()).expect("it can be read");
        kept.into_iter().map(|kept| kept.position).collect()
    }

    /// Starts, and lets the verification find what is wrong.
    fn damage_found(&self) -> Arc<Damage> {
        let Recovered { state, journal, snapshot, unverified, .. } = recovered(&self.disk, 0);
        let codes = (state.campaigns.base().clone(), CodeForm::CURRENT);
        let verifier = Verifier::start(snapshot.zip(unverified), journal.reader(), codes);
        let (damage, began) = (verifier.damage(), Instant::now());
        while damage.borrow().is_none() {
            assert!(began.elapsed() < DEADLINE, "nothing was found");
            std::thread::yield_now();
        }
        verifier.stop().expect_err("something was found")
    }
}

fn recovered(disk: &Double, verify_bytes: u64) -> Recovered {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    recover(&disk, &folder(), SEGMENT_BYTES, verify_bytes, &mut |_| {}).expect("the journal is whole")
}

/// A page that the disk cannot read ends the process before anything is found: not for more than two starts.
#[test]
fn a_snapshot_whose_starts_end_without_a_trace_is_verified_at_the_third() {
    let written = Written::new();
    written.start_and_die(written.newer);
    written.start_and_die(written.newer);
    written.make_unreadable();
    let (on, unverified) = written.start();
    assert_eq!((on, unverified.is_some()), (written.older, true));
    drop(unverified);
    // For as long as it cannot be read, and also where the older one ends without a trace.
    written.start_and_die(written.older);
    written.start_and_die(written.older);
    written.start_verified(written.older);
}

/// Whatever was recorded of a snapshot that is whole, it is used, and may be used unverified again.
#[test]
fn a_snapshot_that_is_whole_is_used_whatever_its_starts_ended_with() {
    let written = Written::new();
    for _ in 0..2 {
        written.start_and_die(written.newer);
        written.start_and_die(written.newer);
        written.start_verified(written.newer);
        assert_eq!(written.snapshots().len(), written.names().len(), "nothing is on record");
    }
    // A process that ends by itself leaves nothing behind.
    for _ in 0..4 {
        let (on, unverified) = written.start();
        assert_eq!((on, unverified.is_some()), (written.newer, true));
    }
    assert_eq!(written.snapshots().len(), written.names().len());
    // A record that nobody can read is no reason to trust the snapshot, nor to refuse it.
    let record = folder().snapshots_path().join(format!("{:020}.snapshot.unverified", written.newer.0));
    for text in [&b""[..], b"starts: ", b"starts: 1 or 2", &[0xff; 99]] {
        written.disk.create(&record).and_then(|mut file| file.write_at(0, text)).expect("the disk takes it");
        written.start_verified(written.newer);
    }
}

/// Damage that is found while the engine runs is remembered: the next start is on the older snapshot.
#[test]
fn a_snapshot_found_damaged_while_the_engine_runs_is_passed_over_by_the_next_start() {
    let harms: [fn(&Written); 2] = [Written::damage, Written::make_unreadable];
    for harm in harms {
        let written = Written::new();
        harm(&written);
        let damage = written.damage_found();
        match &*damage {
            Damage::Snapshot(SnapshotError::Damaged { path, section, .. }) => {
                assert_eq!((path, *section), (&snapshot_path(written.newer.0), "clients"));
            }
            Damage::Snapshot(SnapshotError::Unreadable { path, offset, source }) => {
                let expected = (&snapshot_path(written.newer.0), written.clients(), Some(EIO));
                assert_eq!((path, *offset, source.raw_os_error()), expected);
            }
            other @ (Damage::Snapshot(_) | Damage::Journal(_)) => panic!("{other:?}"),
        }
        // Also after the power failed.
        let image = written.disk.image().after(Crash::AllLost, &mut fastrand::Rng::with_seed(1));
        let crashed = Written { disk: image.disk(), ..written };
        if let Damage::Snapshot(SnapshotError::Unreadable { .. }) = &*damage {
            crashed.make_unreadable();
        }
        for _ in 0..3 {
            let (on, unverified) = crashed.start();
            assert_eq!((on, unverified.is_some()), (crashed.older, true));
        }
    }
}

/// A stop after such a start writes a snapshot, and lets go of the damaged one, not of the whole one before it.
#[test]
fn a_stop_removes_damaged_snapshots_and_keeps_whole_ones() {
    let written = Written::new();
    written.damage();
    written.damage_found();
    let Recovered { state, journal, passed_over, unverified, .. } = recovered(&written.disk, 0);
    drop(unverified);
    let end = journal.end().position;
    let finished = Finished { state, journal: Box::new(journal) };
    keep(&written.disk, &folder().snapshots_path(), &finished, &passed_over);
    assert_eq!(written.snapshots(), [end, written.older]);
    assert_eq!(written.names().len(), 2, "nothing is on record of what is gone");
}

/// One that the disk cannot read may be intact: it stays, and none of the whole ones goes for its sake.
#[test]
fn a_stop_keeps_unreadable_snapshots_beside_two_whole_ones() {
    let written = Written::new();
    written.make_unreadable();
    let Recovered { state, journal, passed_over, .. } = recovered(&written.disk, u64::MAX);
    assert_eq!(passed_over, [snapshot_path(written.newer.0)]);
    let end = journal.end();
    let mut finished = Finished { state, journal: Box::new(journal) };
    keep(&written.disk, &folder().snapshots_path(), &finished, &passed_over);
    assert_eq!(written.snapshots(), [end.position, written.newer, written.older]);
    // The next one makes it the third.
    finished.journal.append(vec![super::next_batch(end.position.0)]).expect("the disk takes it");
    finished.state = super::replayed(finished.journal.end().position.0 as usize);
    keep(&written.disk, &folder().snapshots_path(), &finished, &passed_over);
    assert_eq!(written.snapshots(), [finished.journal.end().position, end.position]);
}

/// A snapshot that was removed in the meantime, or replaced by one that is whole, is not touched.
#[test]
fn a_stop_leaves_snapshots_alone_that_have_been_replaced_since_the_start() {
    let written = Written::new();
    written.damage();
    let Recovered { state, journal, passed_over, .. } = recovered(&written.disk, u64::MAX);
    written.disk.remove(&snapshot_path(written.older.0)).expect("it is there");
    let (dir, end) = (folder().snapshots_path(), journal.reader().read(written.newer, 0).expect("it is there"));
    let end = scrip_protocol::batch::Batch::parse(&end[0]).expect("it is one").end();
    snapshot::write(&written.disk, &dir, state_at(written.newer), end, Pace::Full, &mut |_, _| {}).expect("the disk takes it");
    let finished = Finished { state, journal: Box::new(journal) };
    keep(&written.disk, &dir, &finished, &[passed_over, vec![snapshot_path(written.older.0)]].concat());
    assert_eq!(written.snapshots(), [finished.journal.end().position, written.newer]);
}

/// A start on a folder in use fails before it looks at the snapshots, and leaves the running engine's record of its start as it was.
#[test]
fn a_start_on_a_folder_in_use_leaves_the_record_of_the_running_engine() {
    let written = Written::new();
    for starts in 1..=2 {
        // The one before ended without a trace.
        let running = recovered(&written.disk, 0);
        let before = files(&written.disk, &folder().snapshots_path());
        let record = before.iter().find(|(name, _)| name.ends_with(".unverified")).expect("the start is recorded");
        assert_eq!(record.1, format!("starts: {starts}\n").into_bytes());
        for verify_bytes in [0, u64::MAX] {
            let disk: Arc<dyn Disk> = Arc::new(written.disk.clone());
            let second = recover(&disk, &folder(), SEGMENT_BYTES, verify_bytes, &mut |_| {});
            assert!(matches!(second, Err(EngineError::Recovery(JournalError::Locked { .. }))), "the folder is in use");
            assert!(files(&written.disk, &folder().snapshots_path()) == before, "the folder of snapshots has changed");
        }
        let Recovered { journal, unverified, .. } = running;
        std::mem::forget(unverified);
        drop(journal);
    }
    written.start_verified(written.newer);
}
