//! Segments keep what the trait promises: on the disk of the machine and on the simulated one, with segments of one batch, of a few
//! and of all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scrip_protocol::Record;
use scrip_protocol::batch::{BatchTime, ChainEnd};

use super::{ONE_SEGMENT, OnDisk, SEGMENT_EACH, check_replayed};
use crate::Segments;
use crate::conformance::Storage;
use crate::disk::Disk;
use crate::disk::double::{Crash, Double, EIO, ENOSPC, Faults};

/// A few batches fill a segment.
const SEGMENT_OF_SOME: u64 = 700;

mod on_disk_with_one_segment {
    crate::journal_conformance!(|| super::OnDisk::new(super::ONE_SEGMENT));
}

mod on_disk_with_segments_of_some_batches {
    crate::journal_conformance!(|| super::OnDisk::new(super::SEGMENT_OF_SOME));
}

mod on_disk_with_segments_of_one_batch {
    crate::journal_conformance!(|| super::OnDisk::new(super::SEGMENT_EACH));
}

mod simulated_with_one_segment {
    crate::journal_conformance!(|| super::Simulated::new(super::ONE_SEGMENT));
}

mod simulated_with_segments_of_some_batches {
    crate::journal_conformance!(|| super::Simulated::new(super::SEGMENT_OF_SOME));
}

mod simulated_with_segments_of_one_batch {
    crate::journal_conformance!(|| super::Simulated::new(super::SEGMENT_EACH));
}

/// A folder for a journal, on a simulated disk.
struct Simulated {
    disk: Double,
    segment_bytes: u64,
    /// Where the next crash begins its random choices.
    seed: AtomicU64,
}

impl Simulated {
    fn new(segment_bytes: u64) -> Simulated {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let disk = Double::default();
        disk.create_folder(Path::new("/data")).expect("the disk takes it");
        disk.sync_folder(Path::new("/")).expect("the disk takes it");
        Simulated { disk, segment_bytes, seed: AtomicU64::new(seed) }
    }
}

impl Storage for Simulated {
    type Journal = Segments;

    fn open(&self, from: ChainEnd) -> Segments {
        let mut replayed = Vec::new();
        let mut apply = |time: BatchTime, records: &[Record]| {
            replayed.extend(records.iter().map(|record| (time.record_ms(), record.clone())));
        };
        let (disk, dir) = (Arc::new(self.disk.clone()), PathBuf::from("/data/journal"));
        let opened = Segments::open(disk, &dir, self.segment_bytes, from, &mut apply, &mut |_| {});
        let journal = opened.expect("nothing is damaged");
        check_replayed(&journal, from, &replayed);
        journal
    }

    fn crashed(&self) -> Vec<Simulated> {
        let image = self.disk.image();
        let crashed = |crash| {
            let seed = self.seed.fetch_add(1, Ordering::Relaxed);
            let disk = image.after(crash, &mut fastrand::Rng::with_seed(seed)).disk();
            Simulated { disk, segment_bytes: self.segment_bytes, seed: AtomicU64::new(seed) }
        };
        Crash::ALL.map(crashed).into()
    }

    /// Each of so many operations from now on, which is more than an append with a rotation needs.
    fn faults(&self) -> u64 {
        40
    }

    fn break_append(&self, _end: ChainEnd, fault: u64) {
        let error = if fault.is_multiple_of(2) { EIO } else { ENOSPC };
        let at = Some((self.disk.operations() + fault, error));
        self.disk.set_faults(Faults { at, lasting: fault.is_multiple_of(3), ..Faults::default() });
    }

    fn mend(&self, _end: ChainEnd) {
        self.disk.set_faults(Faults::default());
    }
}
