//! Every operation of writing a snapshot fails in turn: the error names the file or folder, and the existing files stay.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use scrip_protocol::command::{CampaignCreated, CodeTexts, Terms};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, CredentialId, Money, RequestId, Settings, Stamp};

use super::{
    GENERATIONS, Kept, Pace, Sample, Snapshot, SnapshotError, dir, end_of, list, new_disk, prune, replayed, write, written,
};
use scrip_core::state::State;
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::each;
use scrip_journal::disk::double::{Crash, Double, EIO, ENOSPC, Faults};

/// A disk with two snapshots of earlier states.
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

/// The intact snapshots, by position.
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

/// Z4: an error about a failed snapshot names its file. Nothing that existed is lost, even if the machine crashes then, and the
/// next snapshot succeeds.
#[test]
fn any_operation_that_fails_is_reported_and_takes_nothing_away() {
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
        if !lasting {
            assert_eq!(leftovers(&disk), [""; 0], "nothing is left of one that failed");
        }
        let check = |disk: &Double, found: Vec<(u64, State)>| {
            // Older ones are removed only once the newer one is durable.
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
    let entries = disk.list(&dir()).expect("it can be read");
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".new")).collect()
}

/// A disk without enough space beside the reserve: the error names the folder, and no attempt leaves anything on the disk.
#[test]
fn a_snapshot_without_room_is_given_up_before_it_takes_any() {
    let sample = Sample::new();
    for room in (0..sample.kept.bytes).step_by(3000) {
        let (disk, _, kept) = with_two(&sample);
        let before = disk.bytes();
        disk.create(&dir().join("00000000000000000001.snapshot.new"))
            .and_then(|mut file| file.write_at(0, &[7; 5000]))
            .expect("there is room");
        disk.set_faults(Faults { capacity: Some(before + room), ..Faults::default() });
        let error = take(&disk, &sample.state).expect_err("there is no room");
        let SnapshotError::NoRoom { dir: named, free, .. } = &error else { panic!("{error:?}") };
        assert_eq!((named, *free, disk.bytes()), (&dir(), room, before));
        assert_eq!(list(&disk, &dir()).expect("it can be read"), kept);
        assert_eq!(leftovers(&disk), [""; 0]);
        disk.set_faults(Faults::default());
        take(&disk, &sample.state).expect("there is room again");
        assert_eq!((whole(&disk).len(), leftovers(&disk)), (2, Vec::new()));
    }
}

/// A state whose snapshot is written in many steps: about 10 MB.
fn large_state() -> State {
    let mut codes = CodeTexts::default();
    (0..150_000).for_each(|number| codes.push(&format!("A-CODE-OF-FORTY-BYTES-WITH-A-NUMBER-{number:09}")));
    let (terms, stamp) = (Terms::new("Large", Money(100)), Stamp { request: RequestId(1), body: 0, credential: CredentialId(1) });
    let created = CampaignCreated { stamp, campaign: CampaignId(1), terms, codes, skipped: Vec::new() };
    let mut state = State::default();
    state.apply(1, &SettingsSet::new(Settings::default()).into());
    state.apply(1, &created.into());
    state
}

/// If others use up the space while a snapshot is written, the snapshot is abandoned before the reserve is touched, and its
/// space is freed.
#[test]
fn a_snapshot_is_given_up_while_the_journal_still_has_its_reserve() {
    let (state, disk) = (large_state(), new_disk());
    let mut taken = 0;
    let free = 30 << 20;
    disk.set_faults(Faults { capacity: Some(free), ..Faults::default() });
    let error = write(&disk, &dir(), &state, end_of(&state), Pace::Full, &mut |done, _| {
        // Everything but the reserve and a little more.
        taken = disk.bytes();
        assert!(done < 9 << 20, "{done} bytes are written");
        let room = if done < 3 << 20 { free } else { taken + (4 << 20) };
        disk.set_faults(Faults { capacity: Some(room), ..Faults::default() });
    })
    .expect_err("there is no room");
    let SnapshotError::NoRoom { free, reserve, .. } = &error else { panic!("{error:?}") };
    assert!(*free > *reserve && taken > 3 << 20, "{error}");
    assert_eq!((disk.bytes(), leftovers(&disk)), (0, Vec::new()));
}

#[test]
fn a_panic_while_a_snapshot_is_written_leaves_no_file() {
    let sample = Sample::new();
    let (disk, _, kept) = with_two(&sample);
    let before = disk.bytes();
    let end = end_of(&sample.state);
    let taken = catch_unwind(AssertUnwindSafe(|| {
        write(&disk, &dir(), &sample.state, end, Pace::Full, &mut |_, _| panic!("a test's own"))
    }));
    assert!(taken.is_err() && disk.bytes() == before, "{} bytes", disk.bytes());
    assert_eq!(list(&disk, &dir()).expect("it can be read"), kept);
}
