//! Damage: each kind has an error that names its file and position; none is repaired, and none causes a panic.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use redb::{ReadableTable, Table};
use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};

use super::{ONE_SEGMENT, SEGMENT_EACH, Written, next_batch, open, record};
use crate::disk::OsDisk;
use crate::segment_file::{BATCHES, SEAL, SEGMENT, START, builder, encode_end, unfinished_path};
use crate::{Journal, JournalError, walk};

/// Six batches in one segment, at 1, 2, 4, 7, 8 and 10.
const FIRST: &str = "journal/00000000000000000001.redb: ";

/// Damages a journal of six batches and checks the error. The message is compared without the path of the folder.
#[track_caller]
fn check(segment_bytes: u64, damage: impl FnOnce(&Written), expected: &str) {
    let written = Written::of(segment_bytes, 6);
    damage(&written);
    assert_eq!(refusal(&written), expected);
    assert_eq!(refusal(&written), expected, "reading repairs nothing");
}

fn refusal(written: &Written) -> String {
    let walked = walk(&OsDisk, &written.dir(), Position(1), &mut |_, _, _| ControlFlow::Continue(()));
    let error = open(&written.dir(), written.storage.segment_bytes).err().expect("a damaged journal is refused");
    // A walk reports the same error. redb's messages about a file may differ.
    match (walked.expect_err("a damaged journal is refused"), &error) {
        (JournalError::Unreadable { path: found, .. }, JournalError::Unreadable { path, .. }) => assert_eq!(found, *path),
        (found, error) => assert_eq!(found.to_string(), error.to_string()),
    }
    error.to_string().replace(&format!("{}/", written.storage.root.path().display()), "")
}

/// Changes the batches of a segment, as a faulty program that knows redb could.
fn with_batches(path: &Path, change: impl FnOnce(&mut Table<'_, u64, &[u8]>)) {
    let database = builder().open(path).expect("the test has just written it");
    let transaction = database.begin_write().expect("the test alone has it open");
    change(&mut transaction.open_table(BATCHES).expect("every segment has the table"));
    transaction.commit().expect("the disk takes it");
}

fn with_ends(path: &Path, change: impl FnOnce(&mut Table<'_, &'static str, &[u8]>)) {
    let database = builder().open(path).expect("the test has just written it");
    let transaction = database.begin_write().expect("the test alone has it open");
    change(&mut transaction.open_table(SEGMENT).expect("every segment has the table"));
    transaction.commit().expect("the disk takes it");
}

fn change_batch(path: &Path, position: u64, change: impl FnOnce(&mut Vec<u8>)) {
    with_batches(path, |table| {
        let mut bytes = batch_at(table, position);
        change(&mut bytes);
        table.insert(position, bytes.as_slice()).expect("the disk takes it");
    });
}

fn batch_at(table: &Table<'_, u64, &[u8]>, position: u64) -> Vec<u8> {
    let row = table.get(position).expect("the file is whole").expect("a batch starts there");
    row.value().to_vec()
}

/// Another batch with a valid hash.
fn forged(mut after: ChainEnd, records: u64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(crate::conformance::START_MS);
    (100..100 + records).for_each(|other| batch.push(&record(other)));
    batch.seal(&mut after)
}

fn end_before(table: &Table<'_, u64, &[u8]>, position: u64) -> ChainEnd {
    let before = table.range(..position).expect("the file is whole").next_back();
    let (_, bytes) = before.expect("a batch comes before").expect("the file is whole");
    Batch::parse(bytes.value()).expect("it is whole").end()
}

const CHANGED: &str = "its bytes do not match its hash";

#[test]
fn the_last_batch_cut_or_changed_is_a_torn_end() {
    let torn = |why: &str| format!("{FIRST}the journal's last batch, at position 10, is torn: {why}");
    let path = |written: &Written| written.segment(1);
    let cut_to = |length| move |bytes: &mut Vec<u8>| bytes.truncate(length);
    check(ONE_SEGMENT, |w| change_batch(&path(w), 10, cut_to(0)), &torn("it has 0 bytes, fewer than a header"));
    check(ONE_SEGMENT, |w| change_batch(&path(w), 10, cut_to(87)), &torn("it has 87 bytes, fewer than a header"));
    check(ONE_SEGMENT, |w| change_batch(&path(w), 10, cut_to(88)), &torn(CHANGED));
    check(ONE_SEGMENT, |w| change_batch(&path(w), 10, |bytes| bytes.truncate(bytes.len() - 1)), &torn(CHANGED));
    check(ONE_SEGMENT, |w| change_batch(&path(w), 10, |bytes| bytes.push(0)), &torn(CHANGED));
    // In the reserved bytes, the count, the position, the time, both hashes, the records.
    for at in [2, 4, 8, 16, 24, 56, 88, 120] {
        check(ONE_SEGMENT, |w| change_batch(&path(w), 10, |bytes| bytes[at] ^= 1), &torn(CHANGED));
    }
}

#[test]
fn a_batch_with_others_after_it_cut_or_changed_is_damaged() {
    let damaged = |why: &str| format!("{FIRST}the batch at position 4 is damaged: {why}");
    check(
        ONE_SEGMENT,
        |w| change_batch(&w.segment(1), 4, |bytes| bytes.truncate(50)),
        &damaged("it has 50 bytes, fewer than a header"),
    );
    check(ONE_SEGMENT, |w| change_batch(&w.segment(1), 4, |bytes| bytes[100] ^= 64), &damaged(CHANGED));
    // Also if it is the last of its segment: that was finished, so that no crash can have torn it.
    let damaged = format!("journal/00000000000000000004.redb: the batch at position 4 is damaged: {CHANGED}");
    check(SEGMENT_EACH, |w| change_batch(&w.segment(4), 4, |bytes| bytes[100] ^= 64), &damaged);
}

#[test]
fn a_batch_of_another_format_is_named_wherever_it_is() {
    let version = |position| {
        format!("{FIRST}the batch at position {position} is damaged: its format version is 2; this program reads version 1")
    };
    for position in [4, 10] {
        check(ONE_SEGMENT, |w| change_batch(&w.segment(1), position, |bytes| bytes[0] = 2), &version(position));
    }
}

#[test]
fn a_batch_that_is_missing_leaves_a_gap() {
    let remove = |path: &Path, position: u64| {
        with_batches(path, |table| assert!(table.remove(position).expect("the disk takes it").is_some()));
    };
    let gap = |expected, found| format!("{FIRST}there is a gap: expected position {expected}, found {found}");
    check(ONE_SEGMENT, |w| remove(&w.segment(1), 1), &gap(1, 2));
    check(ONE_SEGMENT, |w| remove(&w.segment(1), 4), &gap(4, 7));
    check(ONE_SEGMENT, |w| remove(&w.segment(1), 8), &gap(8, 10));
    check(
        SEGMENT_EACH,
        |w| remove(&w.segment(4), 4),
        "journal/00000000000000000004.redb: the segment is sealed at position 6, but ends at 3",
    );
}

#[test]
fn a_batch_in_another_ones_place_leaves_a_gap() {
    let moved = |written: &Written| {
        with_batches(&written.segment(1), |table| {
            let other = batch_at(table, 7);
            table.insert(4, other.as_slice()).expect("the disk takes it");
        });
    };
    check(ONE_SEGMENT, moved, &format!("{FIRST}there is a gap: expected position 4, found 7"));
}

#[test]
fn a_batch_replaced_by_another_whole_one_breaks_the_chain() {
    let broken = |position: u64| format!("{FIRST}the chain of hashes is broken at position {position}");
    let replace = |written: &Written, after: fn(ChainEnd) -> ChainEnd| {
        with_batches(&written.segment(1), |table| {
            let batch = forged(after(end_before(table, 4)), 3);
            table.insert(4, batch.as_slice()).expect("the disk takes it");
        });
    };
    // One that continues its predecessor is noticed by its successor.
    check(ONE_SEGMENT, |w| replace(w, |end| end), &broken(7));
    check(ONE_SEGMENT, |w| replace(w, |end| ChainEnd { hash: [9; 32], ..end }), &broken(4));
    // One of another length leaves a gap first.
    check(
        ONE_SEGMENT,
        |w| {
            with_batches(&w.segment(1), |table| {
                let batch = forged(end_before(table, 4), 2);
                table.insert(4, batch.as_slice()).expect("the disk takes it");
            });
        },
        &format!("{FIRST}there is a gap: expected position 6, found 7"),
    );
}

#[test]
fn the_last_batch_of_a_finished_segment_replaced_breaks_its_seal() {
    let replace = |written: &Written| {
        with_batches(&written.segment(4), |table| {
            let before = Batch::parse(&batch_at(table, 4)).expect("it is whole").previous;
            let end = ChainEnd { position: Position(3), hash: before, time_ms: 0 };
            let batch = forged(end, 3);
            table.insert(4, batch.as_slice()).expect("the disk takes it");
        });
    };
    let broken = "journal/00000000000000000004.redb: the segment is sealed at position 6, but ends at 6";
    check(SEGMENT_EACH, replace, broken);
}

#[test]
fn a_segment_that_is_missing_is_named_by_where_it_should_start() {
    let missing = |position| format!("journal: the segment that starts at position {position} is missing");
    let remove = |written: &Written, first| fs::remove_file(written.segment(first)).expect("it is there");
    check(SEGMENT_EACH, |w| remove(w, 1), &missing(1));
    check(SEGMENT_EACH, |w| remove(w, 4), &missing(4));
    // The newest: the one before it is sealed, so that another one must follow.
    check(SEGMENT_EACH, |w| remove(w, 10), &missing(10));
    check(SEGMENT_EACH, |w| [8, 10].iter().for_each(|first| remove(w, *first)), &missing(8));
}

#[test]
fn a_segment_under_another_name_is_noticed() {
    let rename = |from: &Path, to: &Path| fs::rename(from, to).expect("it is there");
    let not_that = |first: u64, why: &str| format!("journal/{first:020}.redb: the segment does not match its file name: {why}");
    let foreign = "it does not continue the segment before it";
    check(
        SEGMENT_EACH,
        |w| {
            let aside = w.dir().join("aside");
            rename(&w.segment(4), &aside);
            rename(&w.segment(7), &w.segment(4));
            rename(&aside, &w.segment(7));
        },
        &not_that(4, foreign),
    );
    check(SEGMENT_EACH, |w| rename(&w.segment(7), &w.segment(9)), "journal: the segment that starts at position 7 is missing");
    check(
        SEGMENT_EACH,
        |w| rename(&w.segment(7), &w.dir().join("seven.redb")),
        "journal/seven.redb: the segment does not match its file name: its name is not a position",
    );
    check(
        SEGMENT_EACH,
        |w| assert!(fs::copy(w.segment(8), w.segment(9)).expect("the disk takes it") > 0),
        "journal: the segment that starts at position 10 is missing",
    );
    // Its batches would be lost if it were treated as unfinished.
    check(
        SEGMENT_EACH,
        |w| rename(&w.segment(10), &unfinished_path(&w.segment(10))),
        &not_that(10, "it contains batches but was not in use yet").replace(".redb:", ".redb.new:"),
    );
    check(SEGMENT_EACH, |w| with_ends(&w.segment(4), |ends| drop(ends.remove(START))), &not_that(4, foreign));
    check(
        SEGMENT_EACH,
        |w| {
            // As in another organisation's journal.
            let end = ChainEnd { position: Position(3), hash: [7; 32], time_ms: 0 };
            with_ends(&w.segment(4), |ends| drop(ends.insert(START, &encode_end(end)[..])));
        },
        &not_that(4, foreign),
    );
}

#[test]
fn an_unfinished_segment_with_others_after_it_is_named() {
    check(
        SEGMENT_EACH,
        |w| with_ends(&w.segment(4), |ends| drop(ends.remove(SEAL))),
        "journal/00000000000000000004.redb: the segment was not finished, but another follows it",
    );
}

#[test]
fn a_file_that_redb_cannot_read_is_named_without_a_panic() {
    let unreadable = |segment_bytes, first, damage: &dyn Fn(&Path)| {
        let written = Written::of(segment_bytes, 6);
        damage(&written.segment(first));
        let refusal = refusal(&written);
        let expected = format!("journal/{first:020}.redb: the segment cannot be read: ");
        assert!(refusal.starts_with(&expected), "{refusal}");
    };
    let cut_to = |share: u64| {
        move |path: &Path| {
            let file = fs::File::options().write(true).open(path).expect("it is there");
            let length = file.metadata().expect("it is there").len();
            file.set_len(length * share / 100).expect("the disk takes it");
        }
    };
    for share in [0, 1, 10, 50, 90] {
        unreadable(ONE_SEGMENT, 1, &cut_to(share));
        unreadable(SEGMENT_EACH, 4, &cut_to(share));
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(100_000).collect();
    unreadable(ONE_SEGMENT, 1, &|path| fs::write(path, &garbage).expect("the disk takes it"));
    unreadable(SEGMENT_EACH, 4, &|path| fs::write(path, b"").expect("the disk takes it"));
    unreadable(SEGMENT_EACH, 10, &|path| fs::write(path, [0; 4096]).expect("the disk takes it"));
    // A valid beginning, and garbage after it.
    unreadable(ONE_SEGMENT, 1, &|path| {
        let mut bytes = fs::read(path).expect("it is there");
        bytes[512..].fill(0xa5);
        fs::write(path, bytes).expect("the disk takes it");
    });
    unreadable(ONE_SEGMENT, 1, &|path| {
        builder().open(path).expect("whole").begin_write().expect("alone").commit().expect("the disk takes it");
        let database = builder().open(path).expect("whole");
        let transaction = database.begin_write().expect("the test alone has it open");
        assert!(transaction.delete_table(BATCHES).expect("the disk takes it"));
        transaction.commit().expect("the disk takes it");
    });
}

#[test]
fn a_record_changed_within_the_file_is_noticed_though_redb_does_not() {
    let written = Written::of(ONE_SEGMENT, 6);
    let mut bytes = fs::read(written.segment(1)).expect("it is there");
    let name = b"a club at 000004";
    let places: Vec<usize> = (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    assert!(!places.is_empty());
    // redb leaves old copies of a page behind: change them all, because one of them is in use.
    places.iter().for_each(|at| bytes[*at] = b'A');
    fs::File::create(written.segment(1)).and_then(|mut file| file.write_all(&bytes)).expect("the disk takes it");
    assert_eq!(refusal(&written), format!("{FIRST}the batch at position 4 is damaged: {CHANGED}"));
}

#[test]
fn a_flipped_bit_anywhere_is_harmless_or_refused() {
    let written = Written::of(ONE_SEGMENT, 6);
    let path = written.segment(1);
    let whole = fs::read(&path).expect("it is there");
    // redb's own header, and everything that is not empty space.
    let places: Vec<usize> = (0..whole.len()).filter(|at| *at < 512 || whole[*at] != 0).collect();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        let at = places[random.usize(..places.len())];
        bytes[at] ^= 1 << random.u32(..8);
        fs::write(&path, &bytes).expect("the disk takes it");
        let Ok((mut journal, stored)) = open(&written.dir(), ONE_SEGMENT) else { continue };
        assert_eq!(stored, written.stored, "byte {at}");
        // redb may notice its damaged list of free pages only when it needs one: refused, but no panic.
        let (before, batch) = (journal.end(), next_batch(6, journal.end()));
        if journal.append(vec![batch]).is_err() {
            assert_eq!(journal.end(), before);
            assert!(journal.append(vec![next_batch(6, before)]).is_err(), "after one failure none succeeds");
        }
        // Closing writes that list as well. By then everything is durable or refused.
        drop(journal);
    }
}
