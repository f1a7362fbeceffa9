//! A disk that cannot read some of a snapshot.

use super::full_disk::Bench;
use super::*;

/// The snapshotter begins with an older one, keeps that, and leaves the unreadable one alone as long as it is newer than the two whole ones.
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
