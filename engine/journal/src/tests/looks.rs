//! A closed journal: it is read without changing it, and another one is built from its batches.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchBuilder, BatchError, ChainEnd};

use super::{ONE_SEGMENT, SEGMENT_EACH, Written, next_batch, open, open_from, records_of};
use crate::disk::OsDisk;
use crate::segment_file::unfinished_path;
use crate::{Journal, JournalError, Segments, walk};

/// The batches of a journal from a position, and its end.
fn walked(dir: &Path, from: u64) -> Result<(Vec<Vec<u8>>, ChainEnd), JournalError> {
    let mut batches = Vec::new();
    let mut visit = |path: &Path, batch: &Batch<'_>, bytes: &[u8]| {
        assert!(path.starts_with(dir));
        assert_eq!(Batch::parse(bytes).map(|parsed| parsed.hash), Ok(batch.hash));
        batches.push(bytes.to_vec());
        ControlFlow::Continue(())
    };
    let end = walk(&OsDisk, dir, Position(from), &mut visit)?;
    Ok((batches, end))
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("the folder is there").map(|entry| entry.expect("the folder can be read"));
    let read =
        |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("it can be read"));
    entries.map(read).collect()
}

/// Z11: a walk checks all of a journal, and leaves it unchanged.
#[test]
fn an_unclosed_journal_is_walked_and_stays_unchanged() {
    for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH, 700] {
        let mut written = Written::new(segment_bytes);
        written.append(9);
        // What a killed process leaves.
        let image = tempfile::tempdir().expect("there is room for temporary files");
        for (name, bytes) in files(&written.dir()) {
            fs::write(image.path().join(name), bytes).expect("the disk takes it");
        }
        written.journal = None;
        for dir in [image.path(), &written.dir()] {
            let before = files(dir);
            for from in 0..=written.end.position.0 + 1 {
                let (batches, end) = walked(dir, from).expect("the journal is whole");
                assert_eq!(end, written.end);
                let holder = written.firsts.iter().rfind(|first| **first <= from.max(1)).expect("the first batch starts at 1");
                let after = if from > end.position.0 { written.stored.len() } else { *holder as usize - 1 };
                assert_eq!(records_of(&batches), written.stored[after..], "from {from}");
            }
            assert!(files(dir) == before, "it was written to");
        }
    }
}

#[test]
fn a_walk_can_be_stopped_and_is_refused_while_the_journal_is_open() {
    let mut written = Written::new(700);
    written.append(9);
    let refused = walked(&written.dir(), 0).expect_err("it is open");
    assert!(matches!(&refused, JournalError::Locked { dir } if *dir == written.dir()), "{refused}");
    written.journal = None;
    let ends = written.ends.clone();
    for end in ends {
        let mut seen = ChainEnd::default();
        let mut visit = |_: &Path, batch: &Batch<'_>, _: &[u8]| {
            seen = batch.end();
            if seen == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert_eq!(walk(&OsDisk, &written.dir(), Position(0), &mut visit).expect("the journal is whole"), end);
        assert_eq!(seen, end);
    }
    // A copy without a lock file gets none.
    fs::remove_file(written.dir().join("lock")).expect("it is there");
    walked(&written.dir(), 0).expect("the journal is whole");
    assert!(!written.dir().join("lock").exists());
    written.reopen();
}

#[test]
fn a_walk_from_a_dropped_position_is_refused() {
    let mut written = Written::of(SEGMENT_EACH, 6);
    written.reopen();
    written.journal.as_ref().expect("it is open").reader().drop_through(Position(3)).expect("it can be removed");
    written.journal = None;
    let (batches, end) = walked(&written.dir(), 0).expect("the rest is whole");
    assert_eq!((records_of(&batches), end), (written.stored[3..].to_vec(), written.end));
    let refused = walked(&written.dir(), 3).expect_err("it was dropped");
    assert!(matches!(refused, JournalError::MissingSegment { expected: Position(3), .. }), "{refused}");
    let none = tempfile::tempdir().expect("there is room for temporary files");
    assert_eq!(walked(none.path(), 0).expect("a journal without a batch"), (Vec::new(), ChainEnd::default()));
    assert!(walked(none.path(), 5).is_err());
    assert!(matches!(walked(&none.path().join("none"), 0), Err(JournalError::Io { .. })));
}

#[test]
fn a_walk_accepts_a_journal_killed_during_a_rotation() {
    // Everything that a rotation leaves between the seal and the rename.
    let written = Written::of(SEGMENT_EACH, 6);
    fs::remove_file(written.segment(10)).expect("it is there");
    let refused = walked(&written.dir(), 0).expect_err("the newest segment is missing");
    assert!(matches!(refused, JournalError::MissingSegment { expected: Position(10), .. }), "{refused}");
    let end = open_from(&written.dir(), SEGMENT_EACH, ChainEnd::default()).err().expect("just as when it is opened");
    assert_eq!(end.to_string(), refused.to_string());

    let other = tempfile::tempdir().expect("there is room for temporary files");
    let (batches, at) = (walked_until(&written.dir(), 9), Written::of(SEGMENT_EACH, 5).end);
    drop(Segments::begin(Arc::new(OsDisk), other.path(), SEGMENT_EACH, at).expect("an empty folder"));
    let path = written.segment(10);
    fs::copy(other.path().join(path.file_name().expect("it has one")), unfinished_path(&path)).expect("the disk takes it");
    let before = files(&written.dir());
    let (found, end) = walked(&written.dir(), 0).expect("the journal is whole");
    assert_eq!((found, end), (batches, at));
    assert!(files(&written.dir()) == before);
    assert_eq!(open(&written.dir(), SEGMENT_EACH).expect("the journal is whole").0.end(), at);
}

/// The batches up to a position of a journal that is damaged after it.
fn walked_until(dir: &Path, position: u64) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let mut visit = |_: &Path, batch: &Batch<'_>, bytes: &[u8]| {
        batches.push(bytes.to_vec());
        if batch.end().position.0 == position { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    walk(&OsDisk, dir, Position(0), &mut visit).expect("it is whole up to there");
    batches
}

fn begin(dir: &Path, segment_bytes: u64, at: ChainEnd) -> Result<Segments, JournalError> {
    Segments::begin(Arc::new(OsDisk), dir, segment_bytes, at)
}

#[test]
fn a_journal_built_from_anothers_batches_equals_it_from_any_batch_on() {
    let written = Written::of(700, 9);
    let (all, _) = walked(&written.dir(), 0).expect("the journal is whole");
    for (at, rest) in std::iter::once(ChainEnd::default()).chain(written.ends.clone()).zip(0..) {
        for segment_bytes in [ONE_SEGMENT, SEGMENT_EACH, 700] {
            let copy = tempfile::tempdir().expect("there is room for temporary files");
            let mut journal = begin(copy.path(), segment_bytes, at).expect("an empty folder");
            assert_eq!((journal.end(), journal.reader().first()), (at, at.next()));
            let rest = all[rest..].to_vec();
            // All at once, or in parts.
            match segment_bytes {
                700 => journal.adopt(rest.clone()).expect("they come next"),
                _ => rest.chunks(2).fold(at, |_, some| journal.adopt(some.to_vec()).expect("they come next")),
            };
            assert_eq!(journal.end(), written.end);
            let next = next_batch(9, written.end);
            let end = journal.append(vec![next]).expect("the disk takes it");
            drop(journal);
            let (journal, stored) = open_from(copy.path(), segment_bytes, at).expect("it is whole");
            assert_eq!(journal.end(), end);
            assert_eq!(stored[..stored.len() - 1], written.stored[at.position.0 as usize..]);
            if segment_bytes == 700 && at == ChainEnd::default() {
                let names = |dir: &Path| files(dir).into_keys().collect::<Vec<_>>();
                assert_eq!(names(copy.path()), names(&written.dir()), "it rotates as it does when it is appended to");
            }
        }
    }
}

/// Batches, and whether they are refused with the expected error.
type Case = (Vec<Vec<u8>>, fn(&BatchError) -> bool);

#[test]
fn a_batch_that_is_not_next_is_refused_and_damages_nothing() {
    let written = Written::of(ONE_SEGMENT, 6);
    let (all, _) = walked(&written.dir(), 0).expect("the journal is whole");
    let copy = tempfile::tempdir().expect("there is room for temporary files");
    let mut journal = begin(copy.path(), SEGMENT_EACH, ChainEnd::default()).expect("an empty folder");
    journal.adopt(all[..2].to_vec()).expect("they come next");
    let changed = |at: usize| {
        let mut bytes = all[2].clone();
        bytes[at] ^= 1;
        bytes
    };
    let empty = BatchBuilder::new(1).seal(&mut journal.end());
    let mut other = ChainEnd { hash: [1; 32], ..journal.end() };
    let others = next_batch(2, journal.end()).seal(&mut other);
    let cases: [Case; 6] = [
        (vec![all[3].clone()], |cause| matches!(cause, BatchError::Gap { .. })),
        (vec![all[1].clone()], |cause| matches!(cause, BatchError::Gap { .. })),
        (vec![others], |cause| matches!(cause, BatchError::BrokenChain)),
        (vec![changed(100)], |cause| matches!(cause, BatchError::Changed)),
        (vec![all[2][..50].to_vec()], |cause| matches!(cause, BatchError::Short(50))),
        (vec![empty], |cause| matches!(cause, BatchError::Layout { .. })),
    ];
    let before = (files(copy.path()), journal.end());
    for (batches, expected) in cases {
        let refused = journal.adopt(batches).expect_err("it does not come next");
        assert!(matches!(&refused, JournalError::NotNext { position: Position(4), cause, .. } if expected(cause)), "{refused}");
    }
    let refused = journal.adopt(vec![all[2].clone(), all[4].clone()]).expect_err("the second does not come next");
    assert!(matches!(refused, JournalError::NotNext { position: Position(7), .. }), "{refused}");
    assert!((files(copy.path()), journal.end()) == before, "something of it was written");
    assert_eq!(journal.adopt(all[2..].to_vec()).expect("they come next"), written.end);
    assert_eq!(journal.adopt(Vec::new()).expect("nothing is nothing"), written.end);
}

#[test]
fn a_new_journal_does_not_replace_an_existing_one() {
    let written = Written::of(ONE_SEGMENT, 2);
    let refused = begin(&written.dir(), ONE_SEGMENT, ChainEnd::default()).err().expect("there is one");
    assert_eq!(refused.to_string(), format!("{}: a journal already exists here", written.dir().display()));
    assert_eq!(open(&written.dir(), ONE_SEGMENT).expect("it is whole").1, written.stored);
}
