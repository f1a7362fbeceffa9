//! The journal on disk: what was appended is read back completely, or refused with an error that names the damage.
//!
//! This module: appending, reopening, reading during writes. `damage`: each kind of damage has its error. `crash`: killing the
//! process at each step of a rotation. `closing`: a slow disk while a sealed segment is closed. `behind`: opening with a
//! snapshot, and dropping what it covers. `looks`: reading a closed journal, and building one from another's batches. `enumerated`: a crash after every disk operation, and a failure of each.
//! `flips`: every byte changed. `lost_flush`: a failed flush whose data is only in the page cache.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

mod behind;
mod closing;
mod crash;
mod damage;
pub(crate) mod enumerated;
mod flips;
mod looks;
mod lost_flush;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::batch::{Batch, BatchBuilder, BatchTime, ChainEnd};
use scrip_protocol::command::ClubRegistered;
use scrip_protocol::{ClubId, CredentialId, Position, Record, RequestId, Stamp};
use tempfile::TempDir;

use super::segment::segment_path;
use super::{Journal, JournalError, ReplayProgress, Segments, walk};
use crate::disk::OsDisk;

const START_MS: u64 = 1_790_000_000_000;

/// Larger than everything that a test writes: one segment.
const ONE_SEGMENT: u64 = 1 << 20;
/// Each batch fills a segment.
const SEGMENT_EACH: u64 = 1;

/// Records with the times of their batches.
type Stored = Vec<(u64, Record)>;

/// A journal in its own folder, with what was appended to it.
struct Written {
    root: TempDir,
    segment_bytes: u64,
    /// `None` when it is closed.
    journal: Option<Segments>,
    stored: Stored,
    /// The first position of each batch.
    firsts: Vec<u64>,
    end: ChainEnd,
}

impl Written {
    fn new(segment_bytes: u64) -> Written {
        let root = tempfile::tempdir().expect("there is room for temporary files");
        let (stored, firsts) = (Vec::new(), Vec::new());
        let mut written = Written { root, segment_bytes, journal: None, stored, firsts, end: ChainEnd::default() };
        written.reopen();
        written
    }

    /// A closed journal with that many batches.
    fn of(segment_bytes: u64, batches: usize) -> Written {
        let mut written = Written::new(segment_bytes);
        written.append(batches);
        written.journal = None;
        written
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("journal")
    }

    fn segment(&self, first: u64) -> PathBuf {
        segment_path(&self.dir(), Position(first))
    }

    /// Appends batches of 1, 2, 3, 1, 2, 3, ... records: they start at positions 1, 2, 4, 7, 8, 10, 13, ...
    fn append(&mut self, batches: usize) {
        for _ in 0..batches {
            let batch = next_batch(self.firsts.len(), self.end);
            self.firsts.push(self.end.next().0);
            let position = self.end.position.0 + u64::from(batch.count());
            self.stored.extend((self.end.next().0..=position).map(|at| (batch.time_ms(), record(at))));
            let journal = self.journal.as_mut().expect("the test has not closed it");
            self.end = journal.append(vec![batch]).expect("the disk takes it");
            assert_eq!((self.end.position.0, self.end), (position, journal.end()));
        }
    }

    /// Opens it after the previous run ended, and checks that everything is there.
    fn reopen(&mut self) {
        self.journal = None;
        let (journal, stored) = open(&self.dir(), self.segment_bytes).expect("the journal is whole");
        assert_eq!(stored, self.stored);
        assert_eq!(journal.end(), self.end);
        self.journal = Some(journal);
    }

    /// The end of the chain after each batch. The journal must be closed.
    fn ends(&self) -> Vec<ChainEnd> {
        let mut ends = Vec::new();
        let mut visit = |_: &Path, batch: &Batch<'_>, _: &[u8]| {
            ends.push(batch.end());
            ControlFlow::Continue(())
        };
        walk(&OsDisk, &self.dir(), Position(0), &mut visit).expect("the journal is whole");
        ends
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

/// The record that a test writes at a position.
fn record(position: u64) -> Record {
    let stamp = Stamp { request: RequestId(position.into()), body: position, credential: CredentialId(1) };
    ClubRegistered { stamp, club: ClubId(position as u32), name: format!("a club at {position:06}") }.into()
}

fn next_batch(number: usize, end: ChainEnd) -> BatchBuilder {
    let mut batch = BatchBuilder::new(START_MS + 10 * number as u64);
    (end.next().0..).take(1 + number % 3).for_each(|position| batch.push(&record(position)));
    batch
}

/// Checks batches against each other and against what was written; returns their records.
fn records_of(batches: &[Vec<u8>]) -> Stored {
    let mut stored = Vec::new();
    for bytes in batches {
        let batch = Batch::parse(bytes).expect("a stored batch is whole");
        stored.extend(batch.records().map(|item| (batch.time_ms, item.expect("a stored record is whole").1)));
    }
    stored
}

#[test]
fn appended_batches_are_read_back() {
    let mut written = Written::new(ONE_SEGMENT);
    for batches in [1, 5, 0, 40] {
        written.append(batches);
        written.reopen();
    }
    assert_eq!(written.segment_files(), [1]);
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
fn a_reader_reads_from_every_position_across_segments() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH, 700] {
        let mut written = Written::new(segment_bytes);
        written.append(12);
        let reader = written.journal.as_ref().expect("it is open").reader();
        for from in 1..=written.end.position.0 {
            let holder = *written.firsts.iter().rfind(|first| **first <= from).expect("the first batch starts at 1");
            let all = reader.read(Position(from), usize::MAX).expect("the journal is whole");
            assert_eq!(records_of(&all), written.stored[holder as usize - 1..], "from {from}");

            let one = reader.read(Position(from), 0).expect("the journal is whole");
            assert_eq!(one.as_slice(), &all[..1], "a batch is read however small the limit is");

            // Only the batch that exceeds the limit ends a read.
            for count in 1..all.len() {
                let bytes = all[..count].iter().map(Vec::len).sum::<usize>();
                let some = reader.read(Position(from), bytes - 1).expect("the journal is whole");
                assert_eq!(some, all[..count], "from {from}, {count} batches");
            }
        }
        assert_eq!(reader.read(Position(0), 0).expect("whole"), reader.read(Position(1), 0).expect("whole"));
        assert!(reader.read(written.end.next(), usize::MAX).expect("whole").is_empty());
        assert!(reader.read(Position(u64::MAX), usize::MAX).expect("whole").is_empty());
        assert!(reader.bytes() > 0);
    }
}

#[test]
fn an_empty_journal_has_nothing_to_read() {
    let written = Written::new(ONE_SEGMENT);
    let reader = written.journal.as_ref().expect("it is open").reader();
    assert!(reader.read(Position(1), usize::MAX).expect("the journal is whole").is_empty());
}

#[test]
fn readers_read_while_batches_are_appended() {
    let mut written = Written::new(900);
    let reader = written.journal.as_ref().expect("it is open").reader();
    let (say, heard) = std::sync::mpsc::channel::<Position>();
    let tail = std::thread::spawn(move || {
        let (mut stored, mut chain) = (Vec::new(), ChainEnd::default());
        for durable in heard {
            while chain.position < durable {
                let batches = reader.read(chain.next(), 300).expect("a durable batch can be read");
                assert!(!batches.is_empty(), "{durable} is durable, {} is read", chain.position);
                for bytes in &batches {
                    Batch::parse(bytes).and_then(|batch| batch.follow(&mut chain)).expect("it comes next");
                }
                stored.extend(records_of(&batches));
            }
        }
        stored
    });
    for _ in 0..60 {
        written.append(1);
        say.send(written.end.position).expect("the reader is there");
    }
    drop(say);
    assert_eq!(tail.join().expect("the reader found nothing wrong"), written.stored);
    assert!(written.segment_files().len() > 5);
    written.reopen();
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
