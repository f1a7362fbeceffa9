//! Crashes: a process killed at any step loses nothing that was appended, and the next one continues.

use std::fs;
use std::path::Path;

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::{ONE_SEGMENT, SEGMENT_EACH, Written, open};
use crate::JournalError;
use crate::segment_file::{BATCHES, SEAL, SEGMENT, START, builder, encode_end, segment_path, unfinished_path};

/// Creates the next segment under its unfinished name, the first step of a rotation.
fn make_unfinished(written: &Written, start: ChainEnd) {
    let path = unfinished_path(&segment_path(&written.dir(), start.next()));
    let database = builder().create(path).expect("the disk takes it");
    let transaction = database.begin_write().expect("the test alone has it open");
    transaction.open_table(BATCHES).expect("the disk takes it");
    let mut ends = transaction.open_table(SEGMENT).expect("the disk takes it");
    ends.insert(START, &encode_end(start)[..]).expect("the disk takes it");
    drop(ends);
    transaction.commit().expect("the disk takes it");
}

/// Seals a segment, the second step of a rotation.
fn seal(path: &Path, end: ChainEnd) {
    let database = builder().open(path).expect("the test has just written it");
    let transaction = database.begin_write().expect("the test alone has it open");
    let mut ends = transaction.open_table(SEGMENT).expect("every segment has the table");
    ends.insert(SEAL, &encode_end(end)[..]).expect("the disk takes it");
    drop(ends);
    transaction.commit().expect("the disk takes it");
}

fn unfinished_files(written: &Written) -> usize {
    let entries = fs::read_dir(written.dir()).expect("the folder is there");
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "new"))).count()
}

#[test]
fn a_flush_cut_short_by_power_loss_is_kept_completely_or_not_at_all() {
    const PAGE: usize = 4096;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut written = Written::new(ONE_SEGMENT);
    written.append(3);
    for _ in 0..30 {
        let before = fs::read(written.segment(1)).expect("it is there");
        let kept = written.stored.len();
        written.append(1);
        // Until the flush is done, the disk may contain any of its pages, in any order. The file is only truncated after it.
        let after = fs::read(written.segment(1)).expect("it is there");
        let mut torn = before;
        torn.resize(torn.len().max(after.len()), 0);
        for (page, new) in torn.chunks_mut(PAGE).zip(after.chunks(PAGE)) {
            if random.bool() {
                page[..new.len()].copy_from_slice(new);
            }
        }
        let image = tempfile::tempdir().expect("there is room for temporary files");
        fs::write(segment_path(image.path(), Position(1)), torn).expect("the disk takes it");
        let (_, stored) = open(image.path(), ONE_SEGMENT).expect("what was durable before is untouched");
        assert!(stored == written.stored || stored == written.stored[..kept], "{} records, {kept} before", stored.len());
    }
}

#[test]
fn a_rotation_that_had_only_begun_is_forgotten() {
    let mut written = Written::of(ONE_SEGMENT, 4);
    make_unfinished(&written, written.end);
    written.reopen();
    assert_eq!((written.segment_files(), unfinished_files(&written)), (vec![1], 0));
    written.append(3);
    written.reopen();
}

#[test]
fn a_rotation_killed_while_it_made_the_next_segment_is_forgotten() {
    let mut written = Written::of(ONE_SEGMENT, 4);
    let path = unfinished_path(&segment_path(&written.dir(), written.end.next()));
    for left_behind in [&b""[..], b"redb\x1a\x0a\xa9\x0d\x0a", &[0xa5; 10_000]] {
        fs::write(&path, left_behind).expect("the disk takes it");
        written.reopen();
        assert_eq!(unfinished_files(&written), 0);
    }
    written.append(3);
    written.reopen();
}

#[test]
fn a_rotation_that_had_sealed_is_finished() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH] {
        let mut written = Written::of(segment_bytes, 4);
        make_unfinished(&written, written.end);
        seal(&written.segment(*written.segment_files().last().expect("there is one")), written.end);
        let before = written.segment_files().len();
        written.reopen();
        assert_eq!((written.segment_files().len(), unfinished_files(&written)), (before + 1, 0));
        written.append(3);
        written.reopen();
    }
}

#[test]
fn a_rotation_that_had_renamed_needs_nothing() {
    let mut written = Written::of(SEGMENT_EACH, 4);
    make_unfinished(&written, written.end);
    seal(&written.segment(7), written.end);
    let next = written.segment(8);
    fs::rename(unfinished_path(&next), &next).expect("it is there");
    written.reopen();
    written.reopen();
    written.append(3);
    assert_eq!(written.segment_files(), written.firsts);
    written.reopen();
}

#[test]
fn an_unfinished_segment_that_does_not_continue_the_journal_is_no_successor() {
    // Of another position: it is not the successor.
    let written = Written::of(ONE_SEGMENT, 4);
    make_unfinished(&written, ChainEnd { position: Position(50), ..written.end });
    seal(&written.segment(1), written.end);
    let refused = open(&written.dir(), ONE_SEGMENT).err().expect("the newest part is gone");
    assert!(matches!(&refused, JournalError::MissingSegment { expected: Position(8), .. }), "{refused}");

    // Of the right position and another history.
    let written = Written::of(ONE_SEGMENT, 4);
    make_unfinished(&written, ChainEnd { hash: [1; 32], ..written.end });
    seal(&written.segment(1), written.end);
    for _ in 0..2 {
        let refused = open(&written.dir(), ONE_SEGMENT).err().expect("it has another beginning");
        assert!(matches!(&refused, JournalError::NotThatSegment { .. }), "{refused}");
    }
}

/// The sealed segment is missing, and is put back after the refusal.
#[test]
fn a_refused_start_removes_nothing() {
    let mut written = Written::of(SEGMENT_EACH, 4);
    make_unfinished(&written, written.end);
    let (sealed, aside) = (written.segment(7), written.storage.root.path().join("aside"));
    seal(&sealed, written.end);
    fs::rename(&sealed, &aside).expect("it is there");
    let refused = open(&written.dir(), SEGMENT_EACH).err().expect("the newest segment is missing");
    assert!(matches!(&refused, JournalError::MissingSegment { expected: Position(7), .. }), "{refused}");
    assert_eq!(unfinished_files(&written), 1);
    fs::rename(&aside, &sealed).expect("the disk takes it");
    written.reopen();
    written.append(3);
    written.reopen();
}

#[test]
fn an_unfinished_segment_that_cannot_be_read_is_named() {
    for left_behind in [&b""[..], b"redb\x1a\x0a\xa9\x0d\x0a", &[0xa5; 10_000]] {
        let written = Written::of(ONE_SEGMENT, 4);
        fs::write(unfinished_path(&written.segment(8)), left_behind).expect("the disk takes it");
        seal(&written.segment(1), written.end);
        for _ in 0..2 {
            let refused = open(&written.dir(), ONE_SEGMENT).err().expect("the next segment is no segment");
            assert!(matches!(&refused, JournalError::Unreadable { .. }), "{refused}");
        }
    }
}
