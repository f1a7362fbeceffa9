//! Every byte of a small journal changed in turn: the change is reported or harmless.
//!
//! A file of redb has large areas of equal bytes. Some of those are changed, and every byte elsewhere.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scrip_protocol::batch::{BatchTime, ChainEnd};
use scrip_protocol::{Position, Record};

use crate::conformance::{Stored, next_batch};
use crate::disk::Disk;
use crate::disk::double::Double;
use crate::disk::double::each;
use crate::segment_file::segment_path;
use crate::{Journal, JournalError, Segments, walk};

/// Each batch fills a segment: the first is sealed, the second live.
const SEGMENT_EACH: u64 = 1;

fn dir() -> PathBuf {
    PathBuf::from("/journal")
}

fn open(disk: &Double, segment_bytes: u64) -> Result<(Segments, Stored), JournalError> {
    let mut stored = Vec::new();
    let mut apply =
        |time: BatchTime, records: &[Record]| stored.extend(records.iter().map(|record| (time.record_ms(), record.clone())));
    let none = ChainEnd::default();
    let journal = Segments::open(Arc::new(disk.clone()), &dir(), segment_bytes, none, &mut apply, &mut |_| {})?;
    Ok((journal, stored))
}

/// Z11: a change of any byte is noticed where it matters, and none causes a panic.
#[test]
fn any_byte_changed_is_named_or_harmless() {
    let disk = Double::default();
    disk.create_folder(&dir()).expect("the disk takes it");
    let (mut journal, _) = open(&disk, SEGMENT_EACH).expect("a new journal");
    for number in 0..2 {
        journal.append(vec![next_batch(number, journal.end())]).expect("the disk takes it");
    }
    drop(journal);
    let (journal, stored) = open(&disk, SEGMENT_EACH).expect("it was closed");
    drop(journal);
    let image = disk.image();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for first in [1, 2] {
        let path = segment_path(&dir(), Position(first));
        let bytes = disk.contents(&path);
        // A byte surrounded by equal bytes is in empty space, or in redb's maps of it.
        let holds = |at: usize| {
            let around = &bytes[at.saturating_sub(8)..(at + 9).min(bytes.len())];
            around.iter().any(|byte| *byte != around[0])
        };
        let mut places: Vec<usize> = (0..bytes.len()).filter(|at| holds(*at)).collect();
        println!("{} of {} bytes hold something", places.len(), bytes.len());
        places.extend((0..300).map(|_| random.usize(..bytes.len())));
        each(places.len(), seed, |number, random| {
            let at = places[number];
            let disk = image.clone().disk();
            disk.tamper(&path, |bytes| bytes[at] ^= random.u8(1..));
            if number % 8 == 0 {
                check_walk(&disk);
            }
            check(&disk, &path, at, &stored);
        });
    }
}

fn named(error: &JournalError) {
    assert!(error.to_string().starts_with("/journal"), "{error}");
}

fn check_walk(disk: &Double) {
    let changes = disk.changes();
    if let Err(error) = walk(disk, &dir(), Position(0), &mut |_, _, _| ControlFlow::Continue(())) {
        named(&error);
    }
    assert_eq!(disk.changes(), changes, "walking writes nothing");
}

fn check(disk: &Double, path: &Path, at: usize, stored: &Stored) {
    match open(disk, u64::MAX) {
        Ok((mut journal, found)) => {
            assert_eq!(found, *stored, "byte {at} of {}", path.display());
            // redb may notice its damaged list of free pages only when it needs one.
            let end = journal.end();
            if let Err(error) = journal.append(vec![next_batch(2, end)]) {
                named(&error);
            }
        }
        Err(error) => named(&error),
    }
}
