//! What recovery falls back to if a snapshot is damaged, and what it refuses, with the error.

use std::path::PathBuf;

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::{Recovered, commit, files, folder, new_disk, recovered, segment_path, snapshot_path, state_at, take};
use crate::error::EngineError;
use crate::snapshot::{self, Pace, SnapshotError};
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::{Double, EIO};
use scrip_journal::{Journal, JournalError};

/// Larger than everything that a test writes: one segment.
const ONE_SEGMENT: u64 = 1 << 20;
/// Each commit fills a segment.
const SEGMENT_EACH: u64 = 1;

/// A closed folder.
struct Written {
    disk: Double,
    segment_bytes: u64,
    /// The end of the chain after each commit; before the first it is the default.
    ends: Vec<ChainEnd>,
}

impl Written {
    /// With that many commits, and snapshots after some of them.
    fn of(segment_bytes: u64, commits: usize, snapshots: &[usize]) -> Written {
        let written = Written { disk: new_disk(), segment_bytes, ends: vec![ChainEnd::default()] };
        written.and(commits, snapshots)
    }

    /// The same with more commits.
    fn and(mut self, commits: usize, snapshots: &[usize]) -> Written {
        let mut journal = recovered(&self.disk, self.segment_bytes).expect("it is whole").journal;
        for _ in 0..commits {
            self.ends.push(commit(&mut journal, 1).expect("the disk takes it"));
            if snapshots.contains(&(self.ends.len() - 1)) {
                take(&self.disk, journal.end()).expect("the disk takes it");
            }
        }
        self
    }

    fn position(&self, commits: usize) -> Position {
        self.ends[commits].position
    }

    fn snapshot(&self, commits: usize) -> PathBuf {
        snapshot_path(self.position(commits).0)
    }

    /// The segment that starts with a commit, if each fills one.
    fn segment(&self, commits: usize) -> PathBuf {
        segment_path(self.position(commits - 1).0 + 1)
    }

    fn damage(&self, snapshots: &[usize]) {
        // A byte of the first section.
        snapshots.iter().for_each(|of| self.disk.tamper(&self.snapshot(*of), |bytes| bytes[4096] ^= 1));
    }

    fn remove(&self, path: PathBuf) {
        self.disk.remove(&path).expect("it is there");
    }

    /// Recovers it with all its commits, from the snapshot after that many.
    #[track_caller]
    fn recovers_on(&self, snapshot: Option<usize>, passed_over: &[usize]) {
        let found = recovered(&self.disk, self.segment_bytes).unwrap_or_else(|error| panic!("{error:?}"));
        let Recovered { state, journal, snapshot: on, unverified, passed_over: passed } = found;
        let end = self.ends.last().expect("there is one").position;
        assert_eq!((state.position(), journal.end().position), (end, end));
        assert!(state == *state_at(end));
        assert_eq!(on.map(|on| on.header().end), snapshot.map(|of| self.ends[of]));
        assert_eq!(passed, passed_over.iter().map(|of| self.snapshot(*of)).collect::<Vec<_>>());
        assert!(unverified.is_none());
        journal.reader().check_sealed(&|| true).expect("it is whole");
    }

    /// Refuses it, twice: an attempt repairs nothing.
    #[track_caller]
    fn refusal(&self) -> EngineError {
        let before = (files(&self.disk, &folder().snapshots_path()), self.segment_names());
        let first = recovered(&self.disk, self.segment_bytes).err().expect("it is refused");
        let second = recovered(&self.disk, self.segment_bytes).err().expect("it is refused again");
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert!(before == (files(&self.disk, &folder().snapshots_path()), self.segment_names()));
        first
    }

    fn segment_names(&self) -> Vec<String> {
        let entries = self.disk.list(&folder().journal_path()).expect("it can be read");
        entries.into_iter().map(|entry| entry.name).filter(|name| name != "lock").collect()
    }

    #[track_caller]
    fn ends_before(&self, expected_end: Position, expected_from: Position) {
        let refused = self.refusal();
        let EngineError::Recovery(JournalError::EndsBefore { dir, end, from }) = &refused else { panic!("{refused:?}") };
        assert_eq!((dir, *end, *from), (&folder().journal_path(), expected_end, expected_from));
    }
}

#[test]
fn a_damaged_newest_snapshot_is_skipped_for_the_older_one() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH] {
        let written = Written::of(segment_bytes, 8, &[3, 6]);
        written.recovers_on(Some(6), &[]);
        written.damage(&[6]);
        written.recovers_on(Some(3), &[6]);
        // Truncated, of a later release, and garbage.
        let changes: [fn(&mut Vec<u8>); 3] = [|bytes| bytes.truncate(9000), |bytes| bytes[8] = 2, Vec::clear];
        for change in changes {
            written.disk.tamper(&written.snapshot(6), change);
            written.recovers_on(Some(3), &[6]);
        }
    }
}

/// Bytes that the disk cannot read are an error that names them, whatever they are.
#[test]
fn the_newest_snapshot_unreadable_is_passed_over_for_the_older_one() {
    let written = Written::of(SEGMENT_EACH, 8, &[3, 6]);
    let bytes = written.disk.contents(&written.snapshot(6)).len() as u64;
    for page in (0..bytes).step_by(4096) {
        written.disk.make_unreadable(&written.snapshot(6), page..page + 1);
        written.recovers_on(Some(3), &[6]);
    }
    let journal = recovered(&written.disk, SEGMENT_EACH).expect("it is whole").journal;
    journal.reader().drop_through(written.position(3)).expect("they can be removed");
    drop(journal);
    written.disk.make_unreadable(&written.snapshot(3), 8192..8193);
    let refused = written.refusal();
    let EngineError::Snapshot(SnapshotError::Unreadable { path, offset, source }) = &refused else { panic!("{refused:?}") };
    assert_eq!((path, *offset, source.raw_os_error()), (&written.snapshot(3), 8192, Some(EIO)));
}

#[test]
fn a_damaged_older_snapshot_does_not_matter() {
    let written = Written::of(SEGMENT_EACH, 8, &[3, 6]);
    written.damage(&[3]);
    written.recovers_on(Some(6), &[]);
}

#[test]
fn with_both_snapshots_damaged_the_journal_is_replayed_from_its_beginning() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH] {
        let written = Written::of(segment_bytes, 8, &[3, 6]);
        written.damage(&[3, 6]);
        written.recovers_on(None, &[6, 3]);
    }
}

#[test]
fn with_both_snapshots_damaged_and_the_journals_beginning_dropped_the_snapshot_is_named() {
    let written = Written::of(SEGMENT_EACH, 8, &[3, 6]);
    let journal = recovered(&written.disk, SEGMENT_EACH).expect("it is whole").journal;
    assert_eq!(journal.reader().drop_through(written.position(3)).expect("they can be removed"), 3);
    drop(journal);
    written.recovers_on(Some(6), &[]);
    written.damage(&[6]);
    written.recovers_on(Some(3), &[6]);
    written.damage(&[3]);
    let refused = written.refusal();
    let EngineError::Snapshot(SnapshotError::Damaged { path, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*path, written.snapshot(3));
}

/// The newest segment's file is gone: a snapshot shows it, even a damaged one.
#[test]
fn a_journal_without_its_newest_segment_ends_before_the_snapshot() {
    let written = Written::of(SEGMENT_EACH, 8, &[3, 8]);
    written.remove(written.segment(8));
    written.ends_before(written.position(7), written.position(8));
    written.damage(&[8]);
    written.ends_before(written.position(7), written.position(8));
    written.damage(&[3]);
    written.ends_before(written.position(7), written.position(8));

    // If no snapshot is after its end, the seal of the previous segment shows it.
    let written = Written::of(SEGMENT_EACH, 8, &[3, 6]);
    written.remove(written.segment(8));
    let refused = written.refusal();
    let EngineError::Recovery(JournalError::MissingSegment { expected, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(expected.0, written.position(7).0 + 1);
}

/// The newest batches are gone from the unfinished segment, as if an older copy of it had been put back: only the snapshot shows
/// it.
#[test]
fn a_journal_without_its_newest_batches_ends_before_the_snapshot() {
    for damaged in [&[][..], &[8], &[3, 8]] {
        let written = Written::of(ONE_SEGMENT, 6, &[3]);
        let older = written.disk.contents(&segment_path(1));
        let written = written.and(2, &[8]);
        written.damage(damaged);
        written.disk.tamper(&segment_path(1), |bytes| *bytes = older);
        written.ends_before(written.position(6), written.position(8));
    }
}

/// All of the journal is gone: no new one is started in its place.
#[test]
fn an_emptied_journal_ends_before_the_snapshot_and_stays_empty() {
    for damaged in [&[][..], &[6], &[3, 6]] {
        let written = Written::of(SEGMENT_EACH, 8, &[3, 6]);
        for name in written.segment_names().into_iter().chain(["lock".to_owned()]) {
            written.remove(folder().journal_path().join(name));
        }
        written.damage(damaged);
        written.ends_before(Position(0), written.position(6));
        assert_eq!(written.segment_names(), [""; 0]);
    }
}

/// The name of a snapshot is a high-water mark as well.
#[test]
fn a_snapshot_named_after_a_later_position_proves_that_records_are_missing() {
    let written = Written::of(SEGMENT_EACH, 4, &[3]);
    written.disk.rename(&written.snapshot(3), &snapshot_path(9)).expect("it is there");
    written.ends_before(written.position(4), Position(9));
    // With a lower position in its name, it is skipped.
    written.disk.rename(&snapshot_path(9), &snapshot_path(2)).expect("it is there");
    let Recovered { state, passed_over, .. } = recovered(&written.disk, SEGMENT_EACH).expect("the journal is whole");
    assert!(state == *state_at(written.position(4)));
    assert_eq!(passed_over, [snapshot_path(2)]);
}

#[test]
fn a_snapshot_of_another_history_is_refused() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH] {
        for at in [3, 6, 8] {
            let written = Written::of(segment_bytes, 8, &[]);
            let other = ChainEnd { hash: [5; 32], ..written.ends[at] };
            let (dir, state) = (folder().snapshots_path(), state_at(other.position));
            snapshot::write(&written.disk, &dir, state, other, Pace::Full, &mut |_, _| {}).expect("the disk takes it");
            let refused = written.refusal();
            let EngineError::Recovery(JournalError::OtherHistory { position, .. }) = &refused else { panic!("{refused:?}") };
            assert_eq!(*position, other.position);
        }
    }
}

/// Wherever it is: within a segment, at its very end, which is the beginning of the next one, and at the end of all.
#[test]
fn recovery_succeeds_from_a_snapshot_after_any_commit() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH, 700] {
        for at in 1..=8 {
            let written = Written::of(segment_bytes, 8, &[at]);
            written.recovers_on(Some(at), &[]);
            // The next run starts from it and continues.
            written.and(2, &[]).recovers_on(Some(at), &[]);
        }
    }
    Written::of(SEGMENT_EACH, 8, &[]).recovers_on(None, &[]);
    Written::of(SEGMENT_EACH, 0, &[]).recovers_on(None, &[]);
}

/// A snapshot ends with the last batch of a sealed segment, and the process was killed while it created the next segment.
#[test]
fn a_snapshot_at_the_end_of_a_segment_before_the_next_is_finished() {
    let written = Written::of(SEGMENT_EACH, 3, &[3]);
    let before = written.disk.image();
    let disk = before.clone().disk();
    let mut journal = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal;
    let next = commit(&mut journal, 1).expect("the disk takes it");
    let log = disk.log();
    for changes in 0..=log.len() {
        let mut image = before.clone();
        log[..changes].iter().for_each(|done| image.apply(done));
        let Recovered { state, snapshot, .. } = recovered(&image.disk(), SEGMENT_EACH).expect("nothing was lost");
        assert!([written.position(3), next.position].contains(&state.position()));
        assert!(state == *state_at(state.position()));
        assert_eq!(snapshot.map(|snapshot| snapshot.header().end), Some(written.ends[3]));
    }
}
