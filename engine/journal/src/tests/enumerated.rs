//! Every disk operation in turn: a crash after it, and its failure. Afterwards every acknowledged batch is there, and all or
//! nothing of a commit in progress; or an error names what failed.
//!
//! The journal is written with rotations, reopened with a snapshot, and loses its oldest segments meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::batch::{BatchTime, ChainEnd};
use scrip_protocol::{Position, Record};

use crate::conformance::{Stored, next_batch, records_of};
use crate::disk::Disk;
use crate::disk::double::{Crash, Double, EIO, ENOSPC, Faults, each};
use crate::{Journal, JournalError, Segments, walk};

/// A segment ends after two or three commits.
const SEGMENT_BYTES: u64 = 700;

fn dir() -> PathBuf {
    PathBuf::from("/data/journal")
}

/// A disk with an empty data folder.
fn new_disk() -> Double {
    let disk = Double::default();
    disk.create_folder(Path::new("/data")).expect("the disk takes it");
    disk.sync_folder(Path::new("/")).expect("the disk takes it");
    disk
}

/// What the workload has done and had acknowledged, each with the number of disk changes at that time.
#[derive(Debug, Default)]
struct Progress {
    /// Ends of commits that were started.
    begun: Vec<(usize, ChainEnd)>,
    /// Ends of commits that were acknowledged.
    acknowledged: Vec<(usize, ChainEnd)>,
    /// Retained snapshots, with which the journal is opened.
    snapshots: Vec<(usize, ChainEnd)>,
    /// Everything to be written, with the times of its batches.
    stored: Stored,
    batches: usize,
}

/// The newest of these after that many changes.
fn newest(ends: &[(usize, ChainEnd)], changes: usize) -> ChainEnd {
    ends.iter().rfind(|(at, _)| *at <= changes).map_or(ChainEnd::default(), |(_, end)| *end)
}

impl Progress {
    fn snapshot(&self) -> ChainEnd {
        newest(&self.snapshots, usize::MAX)
    }

    /// Appends a commit of one or two batches, and notes the result.
    fn append(&mut self, disk: &Double, journal: &mut Segments) -> Result<(), JournalError> {
        let (mut end, mut commit) = (journal.end(), Vec::new());
        for _ in 0..1 + self.batches % 2 {
            let batch = next_batch(self.batches, end);
            let _ = next_batch(self.batches, end).seal(&mut end);
            let kept = self.stored.len() as u64;
            self.stored.extend((kept + 1..=end.position.0).map(|at| (batch.time_ms(), crate::conformance::record(at))));
            commit.push(batch);
            self.batches += 1;
        }
        self.begun.push((disk.changes(), end));
        let acknowledged = journal.append(commit)?;
        assert_eq!(acknowledged, end);
        self.acknowledged.push((disk.changes(), end));
        Ok(())
    }
}

fn open(disk: &Double, from: ChainEnd) -> Result<(Segments, Stored), JournalError> {
    let mut stored = Vec::new();
    let mut apply =
        |time: BatchTime, records: &[Record]| stored.extend(records.iter().map(|record| (time.record_ms(), record.clone())));
    let journal = Segments::open(Arc::new(disk.clone()), &dir(), SEGMENT_BYTES, from, &mut apply, &mut |_| {})?;
    Ok((journal, stored))
}

/// The workload of a journal. Ends at the first error.
fn work(disk: &Double, progress: &mut Progress) -> Result<(), JournalError> {
    for round in 0..3 {
        let (mut journal, _) = open(disk, progress.snapshot())?;
        for commit in 0..3 {
            if let Err(error) = progress.append(disk, &mut journal) {
                let begun = progress.begun.len();
                assert!(progress.append(disk, &mut journal).is_err(), "after one failure none succeeds");
                progress.begun.truncate(begun);
                return Err(error);
            }
            if (round, commit) == (1, 1) {
                let snapshot = progress.acknowledged[progress.acknowledged.len() - 2].1;
                progress.snapshots.push((disk.changes(), snapshot));
                journal.reader().drop_through(snapshot.position)?;
            }
        }
        journal.reader().check_sealed(&|| true)?;
    }
    Ok(())
}

/// Opens the journal on a disk, and checks that it ends with one of these commits, is complete, and accepts more.
fn check(disk: &Double, progress: &Progress, from: ChainEnd, ends: [ChainEnd; 2]) {
    let changes = disk.changes();
    let walked =
        disk.list(&dir()).ok().map(|_| walk(disk, &dir(), Position(0), &mut |_, _, _| std::ops::ControlFlow::Continue(())));
    assert_eq!(disk.changes(), changes, "a walk writes nothing");

    let (journal, stored) = open(disk, from).expect("nothing was lost");
    let end = journal.end();
    assert!(ends.contains(&end), "it ends at {}, not at {} or {}", end.position, ends[0].position, ends[1].position);
    assert_eq!(stored, progress.stored[from.position.0 as usize..end.position.0 as usize]);
    if let Some(walked) = walked {
        assert_eq!(walked.expect("nothing was lost"), end);
    }
    let reader = journal.reader();
    reader.check_sealed(&|| true).expect("nothing was lost");
    let kept = reader.read(reader.first(), usize::MAX).expect("nothing was lost");
    assert_eq!(records_of(&kept), progress.stored[reader.first().0 as usize - 1..end.position.0 as usize]);

    let mut again = Progress { stored: progress.stored[..end.position.0 as usize].to_vec(), ..Progress::default() };
    let mut journal = journal;
    (0..3).for_each(|_| again.append(disk, &mut journal).expect("the disk takes it"));
    drop((journal, reader));
    let (journal, stored) = open(disk, from).expect("it was closed");
    assert_eq!(
        (journal.end(), &stored[..]),
        (newest(&again.acknowledged, usize::MAX), &again.stored[from.position.0 as usize..])
    );
}

/// Pain 29, Z4: no crash undoes what was acknowledged, or leaves half of a commit.
#[test]
fn a_crash_after_any_operation_undoes_nothing() {
    let disk = new_disk();
    let mut progress = Progress::default();
    let before = disk.image();
    let first = disk.changes();
    work(&disk, &mut progress).expect("nothing fails");
    let log = disk.log();
    let mut images = vec![before];
    for done in &log[first..] {
        let mut image = images.last().expect("there is the first").clone();
        image.apply(done);
        images.push(image);
    }
    let names: BTreeSet<u64> = progress.acknowledged.iter().map(|(_, end)| end.position.0).collect();
    assert!(names.len() > 8, "{names:?}");
    each(images.len(), fastrand::u64(..), |number, random| {
        let changes = first + number;
        let ends = [newest(&progress.acknowledged, changes), newest(&progress.begun, changes)];
        let from = newest(&progress.snapshots, changes);
        for crash in Crash::ALL {
            let image = images[number].after(crash, random);
            println!("a crash after change {changes}: {crash:?}");
            check(&image.clone().disk(), &progress, from, ends);
            if crash == Crash::Torn(512) {
                // And another crash while that is opened.
                let disk = image.clone().disk();
                drop(open(&disk, from).expect("just tried"));
                let (mut again, log) = (image, disk.log());
                log.iter().take(random.usize(..=log.len())).for_each(|done| again.apply(done));
                let crash = Crash::ALL[random.usize(..Crash::ALL.len())];
                println!("and another: {crash:?}");
                check(&again.after(crash, random).disk(), &progress, from, ends);
            }
        }
    });
}

/// Runs the workload on a disk with faults, and checks the result once they are gone.
fn with_faults(faults: Faults, random: &mut fastrand::Rng) {
    println!("{faults:?}");
    let disk = new_disk();
    let first = disk.operations();
    disk.set_faults(Faults { at: faults.at.map(|(at, error)| (first + at, error)), ..faults });
    let mut progress = Progress::default();
    if let Err(error) = work(&disk, &mut progress) {
        use JournalError as E;
        let named = matches!(error, E::Io { .. } | E::Write { .. } | E::Unreadable { .. });
        assert!(named, "{error:?}");
        assert!(error.to_string().starts_with("/data"), "{error}");
    }
    let ends = [newest(&progress.acknowledged, usize::MAX), newest(&progress.begun, usize::MAX)];
    let from = progress.snapshot();
    disk.set_faults(Faults::default());
    let image = disk.image();
    check(&disk, &progress, from, ends);
    // The machine may crash as well.
    let crash = Crash::ALL[random.usize(..Crash::ALL.len())];
    println!("then a crash: {crash:?}");
    check(&image.after(crash, random).disk(), &progress, from, ends);
}

fn operations() -> usize {
    let disk = new_disk();
    let before = disk.operations();
    work(&disk, &mut Progress::default()).expect("nothing fails");
    (disk.operations() - before) as usize
}

/// Z4: an operation that fails, once or permanently, is reported, and nothing is acknowledged after it.
#[test]
fn any_operation_that_fails_is_reported_and_loses_nothing() {
    each(operations(), fastrand::u64(..), |number, random| {
        let error = if random.bool() { EIO } else { ENOSPC };
        with_faults(Faults { at: Some((number as u64, error)), lasting: random.bool(), ..Faults::default() }, random);
    });
}

#[test]
fn a_disk_that_fills_up_anywhere_loses_nothing() {
    let disk = new_disk();
    work(&disk, &mut Progress::default()).expect("nothing fails");
    let most = disk.bytes();
    each(40, fastrand::u64(..), |_, random| {
        with_faults(Faults { capacity: Some(random.u64(..most)), ..Faults::default() }, random);
    });
}
