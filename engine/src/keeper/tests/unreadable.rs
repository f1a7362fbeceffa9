//! A disk that cannot read parts of a snapshot.

use super::full_disk::Bench;
use super::*;
use crate::snapshot::{PassedOver, SnapshotError};
use scrip_journal::disk::double::Faults;

/// The snapshotter starts from an older snapshot and keeps it, and leaves the unreadable one in place while it is newer than
/// the two intact ones.
#[test]
fn an_unreadable_snapshot_is_passed_over_and_costs_no_whole_one() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    let taken = |bench: &mut Bench| {
        bench.clients(10);
        let outcome = bench.take(&keeper);
        let Outcome::Taken(taken) = outcome else { panic!("{outcome}") };
        taken.position
    };
    let [first, second] = [0; 2].map(|_| taken(&mut bench));
    let listed = |bench: &Bench| snapshot::list(&bench.disk, &bench.dir()).expect("it can be read");
    let positions = |bench: &Bench| listed(bench).iter().map(|kept| kept.position).collect::<Vec<_>>();
    let newest = listed(&bench).remove(0);
    bench.disk.make_unreadable(&newest.path, newest.bytes - 4096..newest.bytes);
    let third = taken(&mut bench);
    assert_eq!(positions(&bench), [third, second, first]);
    let written = Snapshot::open(&bench.disk, &listed(&bench)[0].path).expect("it was just written");
    written.verify(&mut |_| {}).expect("it was just written");
    assert_eq!(bench.journal.reader().first(), Position(1), "nothing is dropped while a snapshot cannot be read");
    let fourth = taken(&mut bench);
    assert_eq!(positions(&bench), [fourth, third]);
    keeper.stop();
}

/// An unreadable snapshot is removed for the next before any intact one: otherwise no further snapshot would be taken, and
/// `needed` would drop nothing from the journal until the disk is full.
#[test]
fn an_unreadable_snapshot_makes_room_for_the_next() {
    // With an intact one before it, and with the journal alone. The next one is about as large, or several times larger.
    for (whole, more) in [(1, 10), (0, 10), (1, 2_000), (0, 2_000)] {
        let mut bench = Bench::new();
        let keeper = bench.keeper(Retention::Needed);
        bench.take_after(&keeper, &vec![1_000; whole + 1]);
        let listed = snapshot::list(&bench.disk, &bench.dir()).expect("the folder can be read");
        let [newest, older @ ..] = &listed[..] else { panic!("{listed:?}") };
        let damage = if more > 1_000 { newest.bytes - 4096..newest.bytes } else { 8192..8193 };
        bench.disk.make_unreadable(&newest.path, damage);
        bench.clients(more);
        bench.leave(if more > 1_000 { newest.bytes / 2 * 3 } else { 50_000 });
        let outcome = bench.take(&keeper);
        assert!(matches!(outcome, Outcome::Taken(_)), "{whole}, {more}: {outcome}");
        let left = snapshot::list(&bench.disk, &bench.dir()).expect("the folder can be read");
        assert_eq!(left[1..], *older, "{whole}, {more}: the whole ones stay");
        assert!(left[0].position > newest.position);

        // With room again, everything continues as before.
        bench.disk.set_faults(Faults::default());
        bench.clients(10);
        let outcome = bench.take(&keeper);
        assert!(matches!(outcome, Outcome::Taken(_)), "{whole}, {more}: {outcome}");
        assert_eq!(bench.files().len(), 2);
        keeper.stop();
    }
}

/// An unreadable snapshot is also removed if the next one turns out, while it is written, to be larger than estimated.
#[test]
fn an_unreadable_snapshot_makes_room_for_one_that_is_larger_than_estimated() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Retention::Needed);
    bench.clients(10);
    assert!(matches!(bench.take(&keeper), Outcome::Taken(_)));
    let older = bench.files();
    for client in 1..=120 {
        let stamp = Stamp { request: RequestId(client), body: 0, credential: CredentialId(1) };
        let name = "A".repeat(100_000);
        bench.append(ClientRegistered { stamp, client: ClientId(1_000 + client), name, new: true }.into());
    }
    assert!(matches!(bench.take(&keeper), Outcome::Taken(_)));
    let newest = snapshot::list(&bench.disk, &bench.dir()).expect("the folder can be read").remove(0);
    assert!(newest.bytes > 12_000_000, "the names are in it");
    bench.disk.make_unreadable(&newest.path, newest.bytes - 4096..newest.bytes);
    bench.clients(10);
    // More than the estimate, and more than is checked at once.
    bench.leave(newest.bytes / 2);
    let outcome = bench.take(&keeper);
    assert!(matches!(outcome, Outcome::Taken(_)), "{outcome}");
    let left = bench.files();
    assert_eq!((left.len(), &left[..1]), (2, &older[..]));
    keeper.stop();
}

/// A snapshot that could not be used for another reason, such as its permissions, is not removed for room.
#[test]
fn only_an_unreadable_snapshot_is_given_up_for_room() {
    let mut passed_over = PassedOver::default();
    let path = PathBuf::from("/data/snapshots/1");
    passed_over.push(path.clone(), &SnapshotError::Io { path: path.clone(), source: io::ErrorKind::PermissionDenied.into() });
    assert_eq!((passed_over.unusable.len(), passed_over.unreadable.len()), (1, 0));
    let source = io::Error::other("the disk");
    passed_over.push(path.clone(), &SnapshotError::Unreadable { path: path.clone(), offset: 1, source });
    assert_eq!((passed_over.unusable.len(), passed_over.unreadable, passed_over.damaged), (2, vec![path], Vec::new()));
}
