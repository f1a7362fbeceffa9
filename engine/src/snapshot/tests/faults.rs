//! Every operation of writing a snapshot failing in turn: the file or folder is named, and what was there before still is.

use std::path::{Path, PathBuf};

use super::{GENERATIONS, Kept, Sample, Snapshot, SnapshotError, dir, list, new_disk, prune, replayed, written};
use scrip_core::state::State;
use scrip_journal::disk::double::each;
use scrip_journal::disk::double::{Crash, Double, EIO, ENOSPC, Faults};

/// A disk with two snapshots, of earlier states.
fn with_two(sample: &Sample) -> (Double, [State; 2], Vec<Kept>) {
    let disk = new_disk();
    let before = [&sample.records[..10], &sample.records[..20]].map(replayed);
    before.iter().for_each(|state| drop(written(&disk, &dir(), state).expect("the disk takes it")));
    let kept = list(&disk, &dir()).expect("it can be read");
    (disk, before, kept)
}

fn take(disk: &Double, state: &State) -> Result<(), SnapshotError> {
    written(disk, &dir(), state)?;
    prune(disk, &dir(), GENERATIONS)
}

/// The snapshots that are whole, by position.
fn whole(disk: &Double) -> Vec<(u64, State)> {
    let kept = list(disk, &dir()).expect("it can be read");
    let open = |kept: &Kept| {
        let snapshot = Snapshot::open(disk, &kept.path).expect("what has its name is whole");
        snapshot.verify(&mut |_| {}).expect("what has its name is whole");
        (kept.position.0, snapshot.state().expect("what has its name is whole"))
    };
    kept.iter().map(open).collect()
}

fn named(error: &SnapshotError) -> PathBuf {
    let SnapshotError::Io { path, .. } = error else { panic!("{error:?}") };
    path.clone()
}

/// Z4: a snapshot that cannot be written names its file, takes nothing away, also when the machine goes down then, and the next one goes well.
#[test]
fn any_operation_that_fails_is_told_and_takes_nothing_away() {
    let sample = Sample::new();
    let (disk, ..) = with_two(&sample);
    let before = disk.operations();
    take(&disk, &sample.state).expect("nothing fails");
    let operations = (disk.operations() - before) as usize;
    each(operations * 4, fastrand::u64(..), |number, random| {
        let (at, lasting, error) = (number / 4, number % 2 == 0, if number % 4 < 2 { EIO } else { ENOSPC });
        println!("operation {at} of {operations}, {error}, lasting: {lasting}");
        let (disk, before, kept) = with_two(&sample);
        disk.set_faults(Faults { at: Some((disk.operations() + at as u64, error)), lasting, ..Faults::default() });
        match take(&disk, &sample.state) {
            Ok(()) => panic!("every operation is needed"),
            Err(error) => assert!(named(&error).starts_with("/data"), "{error}"),
        }
        disk.set_faults(Faults::default());
        let check = |disk: &Double, found: Vec<(u64, State)>| {
            // Older ones go only when the newer one is there for good.
            let newest = sample.state.position().0;
            for (kept, state) in kept.iter().zip(before.iter().rev()) {
                let there = found.iter().find(|(position, _)| *position == kept.position.0);
                match there {
                    Some((_, found)) => assert_eq!(found, state),
                    None => assert!(found.len() == 2 && found[0].0 == newest, "{} is gone", kept.position),
                }
            }
            take(disk, &sample.state).expect("the fault is gone");
            let now = whole(disk);
            assert_eq!((now.len(), &now[0].1), (2, &sample.state));
            assert_eq!(leftovers(disk), [""; 0]);
        };
        let crashed = disk.image().after(Crash::ALL[random.usize(..Crash::ALL.len())], random).disk();
        check(&crashed, whole(&crashed));
        check(&disk, whole(&disk));
    });
}

fn leftovers(disk: &Double) -> Vec<String> {
    use scrip_journal::disk::Disk;
    let entries = disk.list(&dir()).expect("it can be read");
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".new")).collect()
}

/// A disk without room for it: the file that could not be written is named, and goes with the next one.
#[test]
fn a_disk_that_is_full_is_told_with_the_file_that_it_had_no_room_for() {
    let sample = Sample::new();
    for room in (0..sample.kept.bytes).step_by(3000) {
        let (disk, _, kept) = with_two(&sample);
        disk.set_faults(Faults { capacity: Some(disk.bytes() + room), ..Faults::default() });
        let error = take(&disk, &sample.state).expect_err("there is no room");
        let file = sample.kept.path.with_extension("snapshot.new");
        assert_eq!(named(&error), file);
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(list(&disk, &dir()).expect("it can be read"), kept);
        disk.set_faults(Faults::default());
        take(&disk, &sample.state).expect("there is room again");
        assert_eq!((whole(&disk).len(), leftovers(&disk)), (2, Vec::new()));
    }
    assert_eq!(sample.kept.path.parent(), Some(Path::new("/data/snapshots")));
}
