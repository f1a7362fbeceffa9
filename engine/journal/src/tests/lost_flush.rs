//! A failed flush: what it was to make durable is still in the page cache, but not on the disk. The next run builds on the disk,
//! and what it acknowledges survives a power cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::next_batch;
use crate::disk::Disk;
use crate::disk::double::{Crash, Done, Double, EIO, Faults};
use crate::{Journal, JournalError, Segments, walk};

/// A segment ends after two or three batches.
const SEGMENT_BYTES: u64 = 700;

fn dir() -> PathBuf {
    PathBuf::from("/data/journal")
}

fn open(disk: &Double) -> Result<Segments, JournalError> {
    Segments::open(Arc::new(disk.clone()), &dir(), SEGMENT_BYTES, ChainEnd::default(), &mut |_, _| {}, &mut |_| {})
}

/// A disk with a journal of that many batches, and the journal.
fn with_batches(batches: usize) -> (Double, Segments) {
    let disk = Double::default();
    disk.create_folder(Path::new("/data")).expect("the disk takes it");
    disk.sync_folder(Path::new("/")).expect("the disk takes it");
    let mut journal = open(&disk).expect("a new journal");
    (0..batches).for_each(|number| append(&mut journal, number).expect("the disk takes it"));
    (disk, journal)
}

fn append(journal: &mut Segments, number: usize) -> Result<(), JournalError> {
    journal.append(vec![next_batch(number, journal.end())]).map(drop)
}

/// Every flush of an append fails in turn, also with those of a rotation. All that the next run acknowledges is there after a
/// power cut that keeps nothing but what was flushed.
#[test]
fn what_is_acknowledged_after_a_failed_flush_survives_a_power_cut() {
    let mut failed_flushes = 0;
    for batches in 1..=5 {
        let (disk, journal) = with_batches(batches);
        drop(journal);
        let image = disk.image();
        let mut journal = open(&disk).expect("it is whole");
        let before = disk.operations();
        append(&mut journal, batches).expect("the disk takes it");
        let operations = disk.operations() - before;
        drop(journal);
        for operation in 0..operations {
            let disk = image.clone().disk();
            let mut journal = open(&disk).expect("it is whole");
            let at = disk.operations() + operation;
            disk.set_faults(Faults { at: Some((at, EIO)), lasting: false, capacity: None });
            // A rotation may succeed although the sealed segment is not closed.
            let acknowledged = append(&mut journal, batches).map_or(ChainEnd::default(), |()| journal.end());
            drop(journal);
            disk.set_faults(Faults::default());
            if !disk.log().iter().any(|done| matches!(done, Done::FailedSync { .. })) {
                continue;
            }
            failed_flushes += 1;

            let walked = walk(&disk, &dir(), Position(0), &mut |_, _, _| std::ops::ControlFlow::Continue(()));
            let mut journal = open(&disk).expect("a failed flush damages nothing");
            assert_eq!(walked.expect("it is whole"), journal.end(), "an inspection reads what the next run starts on");
            assert!(journal.end().position >= acknowledged.position, "{batches} batches, operation {operation}");
            for number in batches..batches + 3 {
                append(&mut journal, number).expect("the disk takes it");
            }
            let end = journal.end();
            let image = disk.image();
            drop(journal);
            let after = image.after(Crash::AllLost, &mut fastrand::Rng::with_seed(1)).disk();
            let journal = open(&after).unwrap_or_else(|error| panic!("{batches} batches, operation {operation}: {error}"));
            assert_eq!(journal.end(), end, "{batches} batches, operation {operation}");
        }
    }
    assert!(failed_flushes > 5, "{failed_flushes}");
}
