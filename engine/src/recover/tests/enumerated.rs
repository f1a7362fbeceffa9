//! Every disk operation in turn: a crash after it, a process killed after it, and its failure. After each crash every
//! acknowledged record is there, nothing is incomplete, and nothing is ever refused.
//!
//! The workload has rotations of small segments, snapshots and retention by the snapshotter, stops that end with a snapshot, and
//! one that does not.

use std::ops::Range;
use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::command::TakeSnapshotOutcome as Outcome;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::{Recovered, commit, files, folder, new_disk, recovered, state_at, take};
use crate::folder::Retention;
use crate::keeper::{Keeper, KeeperSettings, ReaderRegistry, RegistryError};
use crate::snapshot::{self, GENERATIONS};
use scrip_journal::disk::double::each;
use scrip_journal::disk::double::{Crash, Done, Double, EIO, ENOSPC, Faults, Image};
use scrip_journal::{Journal, Segments};

/// A segment ends after two or three commits.
const SEGMENT_BYTES: u64 = 900;

/// What the workload has done and had acknowledged, each with the number of disk changes at that time.
#[derive(Debug, Default)]
struct Progress {
    /// Ends of commits that were started.
    begun: Vec<(usize, Position)>,
    /// Ends of commits that were acknowledged.
    acknowledged: Vec<(usize, Position)>,
    snapshots: usize,
}

/// The newest of these after that many changes.
fn newest(ends: &[(usize, Position)], changes: usize) -> Position {
    ends.iter().rfind(|(at, _)| *at <= changes).map_or(Position(0), |(_, position)| *position)
}

impl Progress {
    fn append(&mut self, disk: &Double, journal: &mut Segments) {
        let batches = 1 + self.begun.len() % 2;
        let mut end = journal.end().position;
        (0..batches).for_each(|_| end.0 += super::batch_behind(end.0).1 as u64);
        self.begun.push((disk.changes(), end));
        assert_eq!(commit(journal, batches).expect("nothing fails").position, end);
        self.acknowledged.push((disk.changes(), end));
    }

    /// Where a recovery after that many changes may end.
    fn ends(&self, changes: usize) -> [Position; 2] {
        [newest(&self.acknowledged, changes), newest(&self.begun, changes)]
    }
}

/// No reader is registered.
struct Nobody;

impl ReaderRegistry for Nobody {
    fn close_before(&self, _first: Position, _stops: &dyn Fn() -> bool) -> Result<Vec<Position>, RegistryError> {
        Ok(Vec::new())
    }

    fn open(&self) {}
}

/// A snapshotter beside a journal.
struct Beside {
    keeper: Keeper,
    durable: watch::Sender<Position>,
    runtime: Runtime,
}

impl Beside {
    fn start(disk: &Double, journal: &Segments, retention: Retention) -> Beside {
        let settings = KeeperSettings { journal_bytes: 0, retention };
        let (durable, reader) = (watch::Sender::new(journal.end().position), journal.reader());
        let (disk, dir) = (Arc::new(disk.clone()), folder().snapshots_path());
        let keeper = Keeper::start(disk, dir, settings, reader, Arc::new(Nobody), durable.subscribe(), None);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        Beside { keeper, durable, runtime }
    }

    fn take(&self, journal: &Segments) -> Outcome {
        self.durable.send_replace(journal.end().position);
        self.runtime.block_on(self.keeper.handle().take())
    }
}

/// The workload of an engine, as far as its disk is concerned.
fn work(disk: &Double, progress: &mut Progress) {
    for run in 0..3 {
        let Recovered { mut journal, state, .. } = recovered(disk, SEGMENT_BYTES).expect("nothing fails");
        assert!(state == *state_at(journal.end().position));
        let beside = Beside::start(disk, &journal, Retention::Needed);
        for step in 0..4 {
            progress.append(disk, &mut journal);
            if step % 2 == run % 2 {
                let taken = beside.take(&journal);
                assert!(matches!(taken, Outcome::Taken(_)), "{taken}");
                progress.snapshots += 1;
            }
        }
        beside.keeper.stop();
        if run != 1 {
            take(disk, journal.end()).expect("nothing fails");
            progress.snapshots += 1;
        }
    }
    assert!(progress.snapshots > 6 && progress.acknowledged.len() == 12);
}

/// Recovers from a disk, and checks that it ends at one of these positions, with the state of the records up to there; and, if
/// `goes_on` is set, that it continues.
fn check(disk: &Double, ends: &[Position], goes_on: bool) {
    let Recovered { state, mut journal, passed_over, .. } = recovered(disk, SEGMENT_BYTES).expect("nothing was lost");
    let end = journal.end().position;
    assert!(ends.contains(&end), "it ends at {end}, not at one of {ends:?}");
    assert!(state == *state_at(end), "the state at {end} differs");
    assert_eq!(passed_over.len(), 0, "no snapshot is damaged by a crash");
    let reader = journal.reader();
    reader.check_sealed(&|| true).expect("nothing was lost");
    reader.read(reader.first(), usize::MAX).expect("nothing was lost");
    if !goes_on {
        return;
    }
    commit(&mut journal, 2).expect("the disk takes it");
    take(disk, journal.end()).expect("the disk takes it");
    let more = commit(&mut journal, 1).expect("the disk takes it");
    drop((journal, reader));
    let Recovered { state, snapshot, .. } = recovered(disk, SEGMENT_BYTES).expect("it was closed");
    assert!(state == *state_at(more.position));
    assert!(snapshot.is_some_and(|snapshot| snapshot.header().end.position > end));
    let kept = snapshot::list(disk, &folder().snapshots_path()).expect("it can be read");
    assert!(kept.len() <= GENERATIONS);
}

/// A process that is killed, and one after it that works on what it left and has not flushed; then the power fails.
///
/// A process killed between renames is the worst case: the next one appends, and everything not durable is lost.
fn check_killed(left: &Image, ends: &[Position], amid_names: bool, random: &mut fastrand::Rng) {
    let disk = left.clone().disk();
    let before = disk.changes();
    let Recovered { state, mut journal, .. } = recovered(&disk, SEGMENT_BYTES).expect("nothing was lost");
    let mut end = journal.end();
    assert!(ends.contains(&end.position) && state == *state_at(end.position));
    let mut acknowledged = vec![(0, Position(0)), (disk.changes(), end.position)];
    if end.position > Position(0) && !amid_names && random.bool() {
        take(&disk, end).expect("the disk takes it");
    }
    // The first process's acknowledgements count from the beginning.
    acknowledged[0].1 = ends[0];
    let mut begun = acknowledged.clone();
    for _ in 0..if amid_names { 1 } else { random.usize(..3) } {
        let next = Position(end.position.0 + super::batch_behind(end.position.0).1 as u64);
        begun.push((disk.changes(), next));
        end = commit(&mut journal, 1).expect("the disk takes it");
        acknowledged.push((disk.changes(), end.position));
    }
    drop(journal);
    let log = disk.log();
    let cut = if amid_names || random.u8(..4) > 0 { log.len() } else { random.usize(..=log.len()) };
    let mut image = left.clone();
    log[..cut].iter().for_each(|done| image.apply(done));
    let changes = before + cut;
    let crash = if amid_names { Crash::AllLost } else { Crash::ALL[random.usize(..Crash::ALL.len())] };
    println!("killed, and after {cut} of {} more changes a crash: {crash:?}", log.len());
    // What the second process found, and did not write itself, was acknowledged to nobody before it had recovered.
    let mut may = vec![newest(&acknowledged, changes), newest(&begun, changes)];
    may.extend(ends.iter().filter(|_| changes < acknowledged[1].0));
    check(&image.after(crash, random).disk(), &may, false);
}

/// Pain 29, Z4: no crash undoes what was acknowledged, leaves half of a commit, or causes a refusal.
#[test]
fn recovery_succeeds_after_a_crash_at_any_operation() {
    let disk = new_disk();
    let (before, first) = (disk.image(), disk.changes());
    let mut progress = Progress::default();
    work(&disk, &mut progress);
    let log = disk.log().split_off(first);
    println!("{} changes", log.len());
    // One part after the other, so that not all images are kept in memory.
    const PARTS: usize = 16;
    each(PARTS, fastrand::u64(..), |part, random| {
        let of: Range<usize> = (log.len() + 1) * part / PARTS..(log.len() + 1) * (part + 1) / PARTS;
        let mut image = before.clone();
        log[..of.start].iter().for_each(|done| image.apply(done));
        for number in of {
            let ends = progress.ends(first + number);
            // Two kinds of crashes: more than half of all images in three runs.
            for turn in [number, number + random.usize(1..Crash::ALL.len())] {
                let crash = Crash::ALL[turn % Crash::ALL.len()];
                println!("a crash after change {number}: {crash:?}");
                let left = image.after(crash, random);
                match random.u8(..4) {
                    0 => check_again(left, &ends, random),
                    _ => check(&left.disk(), &ends, random.u8(..3) == 0),
                }
            }
            println!("killed after change {number}");
            let amid_names = number > 0 && matches!(log[number - 1], Done::Name(_));
            check_killed(&image, &ends, amid_names, random);
            if let Some(done) = log.get(number) {
                image.apply(done);
            }
        }
    });
}

/// Another crash while the result of the first one is recovered, and the stop after it.
fn check_again(left: Image, ends: &[Position], random: &mut fastrand::Rng) {
    let disk = left.clone().disk();
    let journal = recovered(&disk, SEGMENT_BYTES).expect("nothing was lost").journal;
    if journal.end().position > Position(0) {
        take(&disk, journal.end()).expect("the disk takes it");
    }
    drop(journal);
    let (mut again, log) = (left, disk.log());
    log.iter().take(random.usize(..=log.len())).for_each(|done| again.apply(done));
    let crash = Crash::ALL[random.usize(..Crash::ALL.len())];
    println!("and another: {crash:?}");
    check(&again.after(crash, random).disk(), ends, false);
}

/// A disk after some work of an engine, with its journal open and records for a snapshot.
fn under_way() -> (Double, Segments) {
    let disk = new_disk();
    let mut journal = recovered(&disk, SEGMENT_BYTES).expect("it is empty").journal;
    for _ in 0..3 {
        for _ in 0..2 {
            commit(&mut journal, 2).expect("the disk takes it");
        }
        take(&disk, journal.end()).expect("the disk takes it");
    }
    commit(&mut journal, 2).expect("the disk takes it");
    (disk, journal)
}

/// Z4: whatever disk operation of the snapshotter fails, the file is named, the journal and the older snapshots are unchanged,
/// the engine continues, and the next snapshot succeeds.
#[test]
fn any_failed_operation_of_the_keeper_costs_at_most_one_snapshot() {
    let (disk, journal) = under_way();
    let beside = Beside::start(&disk, &journal, Retention::All);
    let before = disk.operations();
    assert!(matches!(beside.take(&journal), Outcome::Taken(_)));
    let operations = (disk.operations() - before) as usize;
    beside.keeper.stop();
    each(operations * 2, fastrand::u64(..), |number, random| {
        let (at, lasting, error) = (number / 2, number % 2 == 0, if random.bool() { EIO } else { ENOSPC });
        println!("operation {at} of {operations}, {error}, lasting: {lasting}");
        let (disk, mut journal) = under_way();
        let (journal_before, kept) = (files(&disk, &folder().journal_path()), files(&disk, &folder().snapshots_path()));
        let beside = Beside::start(&disk, &journal, Retention::All);
        disk.set_faults(Faults { at: Some((disk.operations() + at as u64, error)), lasting, ..Faults::default() });
        let outcome = beside.take(&journal);
        disk.set_faults(Faults::default());
        match outcome {
            Outcome::Failed(why) => assert!(why.starts_with("/data/"), "{why}"),
            // It began with the older one, or had everything that it needs.
            Outcome::Taken(_) => {}
            Outcome::NothingNew { .. } => panic!("there is something new"),
        }
        assert!(files(&disk, &folder().journal_path()) == journal_before, "the journal is only read");
        let now = files(&disk, &folder().snapshots_path());
        let whole = |files: &[(String, Vec<u8>)]| files.iter().filter(|(name, _)| name.ends_with(".snapshot")).count();
        assert!(whole(&now) >= GENERATIONS && kept.iter().skip(1).all(|file| now.contains(file)));

        let crash = Crash::ALL[random.usize(..Crash::ALL.len())];
        check(&disk.image().after(crash, random).disk(), &[journal.end().position], false);
        commit(&mut journal, 1).expect("the fault is gone");
        let outcome = beside.take(&journal);
        assert!(matches!(outcome, Outcome::Taken(_)), "{outcome}");
        beside.keeper.stop();
        drop(journal);
        let Recovered { state, snapshot, .. } = recovered(&disk, SEGMENT_BYTES).expect("the fault is gone");
        assert_eq!(snapshot.map(|snapshot| snapshot.header().end.position), Some(state.position()));
    });
}

/// Z4: a disk that fails during a recovery is reported, or an older snapshot is used; and nothing is lost by it.
#[test]
fn any_operation_that_fails_a_recovery_is_named_and_loses_nothing() {
    let (disk, journal) = under_way();
    let end = journal.end().position;
    drop(journal);
    let image = disk.image();
    let count = {
        let disk = image.clone().disk();
        drop(recovered(&disk, SEGMENT_BYTES).expect("nothing fails"));
        disk.operations() as usize
    };
    each(count * 2, fastrand::u64(..), |number, random| {
        let disk = image.clone().disk();
        let (at, lasting) = ((number / 2) as u64, number % 2 == 0);
        println!("operation {at} of {count}, lasting: {lasting}");
        disk.set_faults(Faults { at: Some((at, if random.bool() { EIO } else { ENOSPC })), lasting, ..Faults::default() });
        match recovered(&disk, SEGMENT_BYTES) {
            Ok(Recovered { state, .. }) => assert!(state == *state_at(end)),
            Err(error) => {
                let source = std::error::Error::source(&error).expect("it has a cause").to_string();
                assert!(source.starts_with("/data/"), "{source}");
            }
        }
        disk.set_faults(Faults::default());
        let crash = Crash::ALL[random.usize(..Crash::ALL.len())];
        check(&disk.image().after(crash, random).disk(), &[end], random.bool());
    });
}
