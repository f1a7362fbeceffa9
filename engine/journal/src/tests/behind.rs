//! Opening with a snapshot: what it covers is not read, later batches are, and the two must be of one history. What it covers may
//! be dropped.

use std::fs;
use std::path::Path;

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::{ONE_SEGMENT, SEGMENT_EACH, Written, open, open_from, records_of};
use crate::segment_file::{BATCHES, SEAL, SEGMENT, builder, encode_end, segment_path};
use crate::{Journal, JournalError};

/// Six batches, each a segment, at 1, 2, 4, 7, 8 and 10, and a snapshot at 9: only the last one is read.
const COVERED: u64 = 9;

/// The message without the path of the journal's folder.
fn words(written: &Written, error: &JournalError) -> String {
    error.to_string().replace(&format!("{}/", written.storage.root.path().display()), "")
}

fn end_at(written: &Written, position: u64) -> ChainEnd {
    let ends = written.ends.clone();
    *ends.iter().find(|end| end.position.0 == position).expect("a batch ends there")
}

#[test]
fn only_batches_after_a_snapshot_are_replayed() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH, 700] {
        let mut written = Written::of(segment_bytes, 9);
        for from in std::iter::once(ChainEnd::default()).chain(written.ends.clone()) {
            let (journal, stored) = open_from(&written.dir(), segment_bytes, from).expect("the journal is whole");
            assert_eq!(stored, written.stored[from.position.0 as usize..]);
            assert_eq!(journal.end(), written.end);
            let reader = journal.reader();
            reader.check_sealed(&|| true).expect("the journal is whole");
            let all = reader.read(Position(1), usize::MAX).expect("the journal is whole");
            assert_eq!(records_of(&all), written.stored, "the rest can be read as ever");
        }
        written.reopen();
        written.append(4);
        let (before, from) = (written.stored.len(), written.end);
        written.append(3);
        written.journal = None;
        let (_, stored) = open_from(&written.dir(), segment_bytes, from).expect("the journal is whole");
        assert_eq!(stored, written.stored[before..]);
    }
}

#[test]
fn a_segment_opened_with_a_snapshot_continues_to_grow() {
    // All of its batches count towards the limit, including those that are not read.
    for batches in [12, 60] {
        let segment_bytes = batches * 210;
        let mut in_one_run = Written::of(segment_bytes, batches as usize);
        let mut written = Written::of(segment_bytes, batches as usize / 2);
        let (journal, _) = open_from(&written.dir(), segment_bytes, written.end).expect("the journal is whole");
        written.journal = Some(journal);
        written.append(batches as usize - batches as usize / 2);
        let (files, expected) = (written.segment_files(), in_one_run.segment_files());
        assert_eq!(files.len(), expected.len(), "{files:?} {expected:?}");
        if batches == 12 {
            assert_eq!(files, expected, "few batches are counted exactly");
        }
        in_one_run.reopen();
        written.reopen();
    }
}

#[test]
fn a_snapshot_of_another_history_is_refused() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH] {
        let written = Written::of(segment_bytes, 6);
        let others: [fn(&mut ChainEnd); 2] = [|end| end.hash[7] ^= 1, |end| end.time_ms += 1];
        for end in written.ends.clone() {
            for other in others {
                let mut from = end;
                other(&mut from);
                let refused = open_from(&written.dir(), segment_bytes, from).err().expect("it is not the journal's");
                let named = matches!(&refused, JournalError::OtherHistory { position, .. } if *position == end.position);
                assert!(named, "{refused}");
            }
        }
        // In the middle of a batch.
        let from = ChainEnd { position: Position(5), ..written.ends[2] };
        let refused = open_from(&written.dir(), segment_bytes, from).err().expect("no batch ends there");
        let first = if segment_bytes == ONE_SEGMENT { 1 } else { 4 };
        let expected = format!(
            "journal/{first:020}.redb: the snapshot at position 5 does not match the journal: no batch with its hash and time ends there"
        );
        assert_eq!(words(&written, &refused), expected);
    }
}

#[test]
fn a_journal_that_ends_before_a_snapshot_has_lost_its_newest_batches() {
    let ends_before = |written: &Written, from: ChainEnd, end: u64| {
        let refused = open_from(&written.dir(), written.storage.segment_bytes, from).err().expect("batches are missing");
        let expected = format!(
            "journal: the journal ends at position {end}, before the snapshot at {}: the journal's newest batches are missing",
            from.position
        );
        assert_eq!(words(written, &refused), expected);
    };
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH] {
        let written = Written::of(segment_bytes, 6);
        ends_before(&written, ChainEnd { position: Position(15), ..written.end }, 12);
        let (whole, end) = (written.end, written.ends[4]);
        // Only the newest batch: nothing but the snapshot shows the loss.
        let database =
            builder().open(written.segment(*written.segment_files().last().expect("there is one"))).expect("it is whole");
        let transaction = database.begin_write().expect("the test alone has it open");
        let removed = transaction.open_table(BATCHES).expect("it has the table").remove(10).map(|row| row.is_some());
        assert!(removed.expect("the disk takes it"));
        transaction.commit().expect("the disk takes it");
        drop(database);
        assert_eq!(open(&written.dir(), segment_bytes).expect("a shorter journal is one").0.end(), end);
        ends_before(&written, whole, 9);
    }
    let written = Written::of(ONE_SEGMENT, 6);
    fs::remove_file(written.segment(1)).expect("it is there");
    ends_before(&written, written.end, 0);
    // All but the last of these were sealed. The snapshot is before the gap, after it, and in it.
    let written = Written::of(SEGMENT_EACH, 6);
    let ends = written.ends.clone();
    [8, 10].iter().for_each(|first| fs::remove_file(written.segment(*first)).expect("it is there"));
    ends_before(&written, ends[5], 7);
    ends_before(&written, ends[4], 7);
    let refused = open_from(&written.dir(), SEGMENT_EACH, ends[3]).err().expect("batches are missing");
    assert_eq!(words(&written, &refused), "journal: the segment that starts at position 8 is missing");
}

/// Damages what a snapshot covers: the journal opens, and the background check reports the damage.
#[track_caller]
fn check_covered(damage: impl FnOnce(&Written), expected: &str) {
    let written = Written::of(SEGMENT_EACH, 6);
    let from = end_at(&written, COVERED);
    damage(&written);
    for _ in 0..2 {
        let (journal, stored) = open_from(&written.dir(), SEGMENT_EACH, from).expect("what is read is whole");
        assert_eq!(stored, written.stored[COVERED as usize..]);
        let found = journal.reader().check_sealed(&|| true);
        assert_eq!(found.map_err(|error| words(&written, &error)).err().unwrap_or_default(), expected);
    }
}

/// Z11: missing segments are noticed even if the start does not read them.
#[test]
fn a_covered_segment_missing_swapped_or_duplicated_is_named() {
    let rename = |from: &Path, to: &Path| fs::rename(from, to).expect("it is there");
    let missing = |position| format!("journal: the segment that starts at position {position} is missing");
    let elsewhere =
        |first: u64| format!("journal/{first:020}.redb: the segment does not match its file name: it starts at another position");
    check_covered(|_| {}, "");
    // Without the oldest one: it was dropped.
    check_covered(|w| fs::remove_file(w.segment(1)).expect("it is there"), "");
    check_covered(|w| fs::remove_file(w.segment(4)).expect("it is there"), &missing(4));
    check_covered(|w| fs::remove_file(w.segment(8)).expect("it is there"), &missing(8));
    check_covered(|w| [4, 7, 8].iter().for_each(|first| fs::remove_file(w.segment(*first)).expect("it is there")), &missing(4));
    check_covered(
        |w| {
            let aside = w.dir().join("aside");
            rename(&w.segment(4), &aside);
            rename(&w.segment(7), &w.segment(4));
            rename(&aside, &w.segment(7));
        },
        &elsewhere(4),
    );
    check_covered(|w| assert!(fs::copy(w.segment(8), w.segment(9)).expect("the disk takes it") > 0), &elsewhere(9));
    check_covered(|w| rename(&w.segment(2), &w.segment(3)), &elsewhere(3));
    // One of the right name and another history.
    let other = |w: &Written| {
        let other = Written::of(SEGMENT_EACH, 6);
        fs::copy(other.segment(4), w.segment(4)).expect("the disk takes it");
    };
    check_covered(other, "");
    let other = |w: &Written| {
        with_end(&w.segment(2), "start", ChainEnd { position: Position(1), hash: [3; 32], time_ms: 0 });
    };
    let foreign = "the segment does not match its file name: it does not continue the segment before it";
    check_covered(other, &format!("journal/00000000000000000002.redb: {foreign}"));
}

#[test]
fn a_covered_segment_damaged_at_an_end_is_named() {
    let sealed_at = |end| move |w: &Written| with_end(&w.segment(4), SEAL, end);
    let foreign = "the segment does not match its file name: it does not continue the segment before it";
    let written = Written::of(SEGMENT_EACH, 6);
    let end = end_at(&written, 6);
    check_covered(
        sealed_at(ChainEnd { position: Position(5), ..end }),
        "journal/00000000000000000004.redb: the segment is sealed at position 5, but ends at 6",
    );
    check_covered(
        |w| {
            // The seal and the next start agree, but the batch is another one.
            let other = ChainEnd { hash: [4; 32], ..end };
            with_end(&w.segment(4), SEAL, other);
            with_end(&w.segment(7), "start", other);
        },
        "journal/00000000000000000004.redb: the segment is sealed at position 6, but ends at 6",
    );
    check_covered(
        |w| with_end(&w.segment(7), "start", ChainEnd { time_ms: 0, ..end }),
        &format!("journal/00000000000000000007.redb: {foreign}"),
    );
    check_covered(
        |w| {
            let mut bytes = fs::read(w.segment(4)).expect("it is there");
            let name = b"a club at 000006";
            let places: Vec<usize> = (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
            places.iter().for_each(|at| bytes[*at] = b'A');
            fs::write(w.segment(4), bytes).expect("the disk takes it");
        },
        "journal/00000000000000000004.redb: the batch at position 4 is damaged: its bytes do not match its hash",
    );
}

fn with_end(path: &Path, key: &str, end: ChainEnd) {
    let database = builder().open(path).expect("the test has just written it");
    let transaction = database.begin_write().expect("the test alone has it open");
    transaction.open_table(SEGMENT).expect("it has the table").insert(key, &encode_end(end)[..]).expect("the disk takes it");
    transaction.commit().expect("the disk takes it");
}

#[test]
fn a_sealed_segment_that_was_not_closed_is_finished_by_its_first_reader() {
    let written = Written::of(SEGMENT_EACH, 6);
    let from = end_at(&written, COVERED);
    let path = written.segment(4);
    let database = builder().open(&path).expect("it is whole");
    let transaction = database.begin_write().expect("the test alone has it open");
    transaction.open_table(SEGMENT).expect("it has the table").insert("other", &b""[..]).expect("the disk takes it");
    transaction.commit().expect("the disk takes it");
    let killed = fs::read(&path).expect("it is there");
    drop(database);
    fs::write(&path, killed).expect("the disk takes it");
    assert!(matches!(builder().open_read_only(&path), Err(redb::DatabaseError::RepairAborted)));
    let (journal, _) = open_from(&written.dir(), SEGMENT_EACH, from).expect("what is read is whole");
    let all = journal.reader().read(Position(1), usize::MAX).expect("redb finishes it");
    assert_eq!(records_of(&all), written.stored);
    journal.reader().check_sealed(&|| true).expect("the journal is whole");
    assert!(builder().open_read_only(&path).is_ok());
}

#[test]
fn an_unreadable_covered_segment_is_named_by_its_reader_without_a_panic() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for damage in 0..12 {
        let written = Written::of(SEGMENT_EACH, 6);
        let from = end_at(&written, COVERED);
        let mut bytes = fs::read(written.segment(4)).expect("it is there");
        match damage {
            0 => bytes.clear(),
            1 => bytes.truncate(5000),
            _ => {
                let at = random.usize(..bytes.len().min(40_000));
                let end = (at + 3000).min(bytes.len());
                bytes[at..end].fill_with(|| random.u8(..));
            }
        }
        fs::write(written.segment(4), bytes).expect("the disk takes it");
        let (journal, _) = open_from(&written.dir(), SEGMENT_EACH, from).expect("what is read is whole");
        let reader = journal.reader();
        let read = reader.read(Position(4), 0);
        let checked = reader.check_sealed(&|| true);
        if damage < 2 {
            assert!(matches!(&read, Err(JournalError::Unreadable { path, .. }) if *path == written.segment(4)), "{read:?}");
            assert!(matches!(&checked, Err(JournalError::Unreadable { path, .. }) if *path == written.segment(4)), "{checked:?}");
        }
    }
}

#[test]
fn dropped_segments_are_gone_and_the_journal_opens_with_what_covers_them() {
    let mut written = Written::of(SEGMENT_EACH, 6);
    let ends = written.ends.clone();
    written.reopen();
    let reader = written.journal.as_ref().expect("it is open").reader();
    assert_eq!(reader.first(), Position(1));
    assert_eq!(reader.drop_through(Position(0)).expect("nothing is removed"), 0);
    // The segment at 4 has records up to 6.
    assert_eq!(reader.drop_through(Position(5)).expect("they can be removed"), 2);
    assert_eq!((reader.first(), written.segment_files()), (Position(4), vec![4, 7, 8, 10]));
    let refused = reader.read(Position(3), 0).expect_err("it was dropped");
    assert_eq!(words(&written, &refused), "journal: the record at position 3 was dropped: the journal begins at 4");
    let kept = reader.read(Position(4), usize::MAX).expect("they were kept");
    assert_eq!(records_of(&kept), written.stored[3..]);

    written.append(2);
    written.journal = None;
    drop(reader);
    let refused = open(&written.dir(), SEGMENT_EACH).err().expect("the first segments are missing");
    assert_eq!(words(&written, &refused), "journal: the segment that starts at position 1 is missing");
    let refused = open_from(&written.dir(), SEGMENT_EACH, ends[0]).err().expect("the second segment is missing");
    assert_eq!(words(&written, &refused), "journal: the segment that starts at position 2 is missing");
    for from in &ends[1..] {
        let (journal, stored) = open_from(&written.dir(), SEGMENT_EACH, *from).expect("the rest is whole");
        assert_eq!(stored, written.stored[from.position.0 as usize..]);
        journal.reader().check_sealed(&|| true).expect("the rest is whole");
    }
    // The live one always stays.
    let (journal, _) = open_from(&written.dir(), SEGMENT_EACH, written.end).expect("the rest is whole");
    assert_eq!(journal.reader().drop_through(Position(u64::MAX)).expect("they can be removed"), 5);
    assert_eq!(written.segment_files(), [13 + 1]);
    assert_eq!(journal.reader().first(), Position(14));
    assert!(!segment_path(&written.dir(), Position(13)).exists());
}
