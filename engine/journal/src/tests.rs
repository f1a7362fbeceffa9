//! The journal on disk: what was appended is read back completely, or refused with an error that names the damage.
//!
//! `conforms`: what the trait promises, on the disk of the machine and on the simulated one. This module: segments and their opening.
//! `damage`: each kind of damage has its error. `crash`: killing the process at each step of a rotation. `closing`: a slow disk
//! while a sealed segment is closed. `behind`: opening with a snapshot, and dropping what it covers. `looks`: reading a closed
//! journal, and building one from another's batches. `enumerated`: a crash after every disk operation, and a failure of each.
//! `flips`: every byte changed. `lost_flush`: a failed flush whose data is only in the page cache.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod behind;
mod closing;
mod conforms;
mod crash;
mod damage;
pub(crate) mod enumerated;
mod flips;
mod looks;
mod lost_flush;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::batch::{BatchTime, ChainEnd};
use scrip_protocol::{Position, Record};
use tempfile::TempDir;

use super::segment_file::{segment_path, unfinished_path};
use super::{Journal, JournalError, ReplayProgress, Segments};
use crate::conformance::{self, Storage, Stored, next_batch, record, records_of};
use crate::disk::OsDisk;

/// Larger than everything that a test writes: one segment.
const ONE_SEGMENT: u64 = 1 << 20;
/// Each batch fills a segment.
const SEGMENT_EACH: u64 = 1;

/// A folder for a journal, on the disk of the machine.
struct OnDisk {
    root: TempDir,
    segment_bytes: u64,
}

impl OnDisk {
    fn new(segment_bytes: u64) -> OnDisk {
        OnDisk { root: tempfile::tempdir().expect("there is room for temporary files"), segment_bytes }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("journal")
    }

    /// The folder that is in the way of the next segment of a journal with this end.
    fn in_the_way(&self, end: ChainEnd) -> PathBuf {
        unfinished_path(&segment_path(&self.dir(), end.next()))
    }
}

impl Storage for OnDisk {
    type Journal = Segments;

    fn open(&self, from: ChainEnd) -> Segments {
        let (journal, replayed) = open_from(&self.dir(), self.segment_bytes, from).expect("nothing is damaged");
        check_replayed(&journal, from, &replayed);
        journal
    }

    /// What a killed process leaves to the operating system: a copy of the folder.
    fn crashed(&self) -> Vec<OnDisk> {
        let image = OnDisk::new(self.segment_bytes);
        fs::create_dir(image.dir()).expect("the disk takes it");
        for entry in fs::read_dir(self.dir()).expect("the folder is there") {
            let entry = entry.expect("the folder can be read");
            fs::copy(entry.path(), image.dir().join(entry.file_name())).expect("the disk takes it");
        }
        vec![image]
    }

    /// Only a rotation can be made to fail.
    fn faults(&self) -> u64 {
        u64::from(self.segment_bytes == SEGMENT_EACH)
    }

    fn break_append(&self, end: ChainEnd, _fault: u64) {
        fs::create_dir(self.in_the_way(end)).expect("the disk takes it");
    }

    fn mend(&self, end: ChainEnd) {
        fs::remove_dir(self.in_the_way(end)).expect("it is there");
    }
}

/// Checks that an opening passed on every record after a snapshot.
fn check_replayed(journal: &Segments, from: ChainEnd, replayed: &Stored) {
    let all = journal.reader().read(from.next(), usize::MAX).expect("nothing is damaged");
    assert_eq!(records_of(&all), *replayed);
}

/// A journal in a folder of its own, with what was appended to it.
type Written = conformance::Written<OnDisk>;

impl Written {
    fn new(segment_bytes: u64) -> Written {
        Written::begin(OnDisk::new(segment_bytes))
    }

    /// A closed journal with that many batches.
    fn of(segment_bytes: u64, batches: usize) -> Written {
        let mut written = Written::with(OnDisk::new(segment_bytes), batches);
        written.journal = None;
        written
    }

    fn dir(&self) -> PathBuf {
        self.storage.dir()
    }

    fn segment(&self, first: u64) -> PathBuf {
        segment_path(&self.dir(), Position(first))
    }

    fn segment_files(&self) -> Vec<u64> {
        let positions = fs::read_dir(self.dir()).expect("the folder is there").filter_map(|entry| {
            let name = entry.expect("the folder can be read").file_name();
            name.to_str()?.strip_suffix(".redb")?.parse().ok()
        });
        let mut positions: Vec<u64> = positions.collect();
        positions.sort_unstable();
        positions
    }
}

fn open(dir: &Path, segment_bytes: u64) -> Result<(Segments, Stored), JournalError> {
    open_from(dir, segment_bytes, ChainEnd::default())
}

/// Opens a journal with a snapshot.
fn open_from(dir: &Path, segment_bytes: u64, from: ChainEnd) -> Result<(Segments, Stored), JournalError> {
    let mut stored = Vec::new();
    let mut apply =
        |time: BatchTime, records: &[Record]| stored.extend(records.iter().map(|record| (time.record_ms(), record.clone())));
    let journal = Segments::open(Arc::new(OsDisk), dir, segment_bytes, from, &mut apply, &mut |_| {})?;
    Ok((journal, stored))
}

#[test]
fn segments_follow_one_another_and_are_named_by_their_first_position() {
    for segment_bytes in [SEGMENT_EACH, 400, 600] {
        let mut written = Written::new(segment_bytes);
        for batches in [1, 2, 9] {
            written.append(batches);
            written.reopen();
        }
        let files = written.segment_files();
        assert!(files.len() > 2, "{files:?}");
        assert!(files.iter().all(|first| written.firsts.contains(first)), "{files:?} {:?}", written.firsts);
        match segment_bytes {
            SEGMENT_EACH => assert_eq!(files, written.firsts),
            _ => assert!(files.len() < written.firsts.len(), "{files:?}"),
        }
    }
}

#[test]
fn a_reopened_segment_continues_to_grow() {
    // Batches count towards the limit, whichever run wrote them.
    let mut written = Written::new(700);
    for _ in 0..12 {
        written.append(1);
        written.reopen();
    }
    let mut in_one_run = Written::new(700);
    in_one_run.append(12);
    assert_eq!(written.segment_files(), in_one_run.segment_files());
    assert_eq!(written.end, in_one_run.end);
}

#[test]
fn opening_reports_progress() {
    let written = Written::of(500, 9);
    let mut reported: Vec<ReplayProgress> = Vec::new();
    let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
    Segments::open(disk, &written.dir(), 500, none, &mut |_, _| {}, &mut |progress| reported.push(progress))
        .expect("the journal is whole");
    assert!(reported.iter().all(|progress| progress.bytes_done <= progress.bytes_total), "{reported:?}");
    assert!(reported.is_sorted_by_key(|progress| (progress.position, progress.bytes_done)), "{reported:?}");
    let last = reported.last().expect("progress was reported");
    assert_eq!((last.position, last.bytes_done), (written.end.position, last.bytes_total));
}

#[test]
fn a_journal_is_open_once() {
    let mut written = Written::new(ONE_SEGMENT);
    written.append(2);
    let second = open(&written.dir(), ONE_SEGMENT).err().expect("the first run has it");
    assert!(matches!(&second, JournalError::Locked { dir } if *dir == written.dir()), "{second}");
    // The refused attempt has damaged nothing.
    written.append(2);
    written.reopen();
}
