//! Files that are not snapshots, are of another version, or contradict themselves under valid hashes.

use std::fs;
use std::path::Path;

use super::flips::use_all;
use super::{Sample, Snapshot, SnapshotError, written};
use crate::snapshot::layout::{self, PAGE};
use crate::snapshot::{Header, Section};
use scrip_journal::disk::OsDisk;

/// Writes bytes under a snapshot's name, and returns the error of opening it.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("the disk takes it");
    words(dir.path(), Snapshot::open(&OsDisk, &path))
}

fn words(dir: &Path, opened: Result<Snapshot, SnapshotError>) -> String {
    let error = opened.expect_err("it is none").to_string();
    error.replace(&format!("{}/", dir.display()), "")
}

const NAME: &str = "00000000000000000005.snapshot";

#[test]
fn what_is_no_snapshot_is_refused_by_name() {
    let none = |what: &str| format!("{NAME}: the snapshot cannot be read: {what}");
    assert_eq!(refusal(NAME, b""), none("it is shorter than a header"));
    assert_eq!(refusal(NAME, b"SCRIPSNP"), none("it is shorter than a header"));
    assert_eq!(refusal(NAME, &[0; 3 * PAGE]), none("it does not begin like a snapshot"));
    let text = "This is a text, and a long one. ".repeat(400);
    assert_eq!(refusal(NAME, text.as_bytes()), none("it does not begin like a snapshot"));

    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join(NAME)).expect("the disk takes it");
    let refused = words(dir.path(), Snapshot::open(&OsDisk, &dir.path().join(NAME)));
    assert!(refused.starts_with(&format!("{NAME}: ")), "{refused}");
    let refused = words(dir.path(), Snapshot::open(&OsDisk, &dir.path().join("none.snapshot")));
    assert!(refused.starts_with("none.snapshot: No such file"), "{refused}");
}

#[test]
fn another_version_is_refused_by_its_number() {
    let sample = Sample::new();
    let mut bytes = sample.disk.contents(&sample.kept.path);
    bytes[8] = 3;
    let name = sample.kept.path.file_name().expect("it has one").to_string_lossy().into_owned();
    let expected = format!("{name}: the snapshot's format version is 3, and this program reads 1 to 2");
    assert_eq!(refusal(&name, &bytes), expected);
    // Even if the rest of the header differs.
    bytes[12..PAGE].fill(0xff);
    assert_eq!(refusal(&name, &bytes), expected);
}

#[test]
fn a_name_that_says_another_position_is_refused() {
    let sample = Sample::new();
    let bytes = sample.disk.contents(&sample.kept.path);
    let position = sample.records.len();
    let expected = format!("{NAME}: the snapshot is at position {position}, but its name has another");
    assert_eq!(refusal(NAME, &bytes), expected);
    // A file name without a position is accepted.
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("copy");
    fs::write(&path, &bytes).expect("the disk takes it");
    let opened = Snapshot::open(&OsDisk, &path).expect("it is whole");
    assert_eq!(opened.state().expect("it is whole"), sample.state);
}

/// Changes a snapshot and recomputes its hashes, so that only its contents can reveal the change.
fn resealed(sample: &Sample, change: impl FnOnce(&mut Header, &mut Vec<u8>)) -> Result<Snapshot, SnapshotError> {
    let mut header = sample.open().header().clone();
    let disk = sample.disk.image().disk();
    disk.tamper(&sample.kept.path, |bytes| {
        change(&mut header, bytes);
        header.bytes = bytes.len() as u64;
        for section in &mut header.sections {
            if let Some(part) = bytes.get(section.offset as usize..section.offset.saturating_add(section.bytes) as usize) {
                section.hash = blake3::hash(part).into();
            }
        }
        bytes[..PAGE].copy_from_slice(&layout::encode(&header)[..]);
    });
    Snapshot::open(&disk, &sample.kept.path)
}

fn section<'a>(header: &'a mut Header, name: &str) -> &'a mut Section {
    header.sections.iter_mut().find(|section| section.name == name).expect("there is one")
}

/// Texts are checked when they are used, not at the start, which would read all of them.
#[test]
fn texts_that_are_not_utf8_are_no_texts_and_harm_nobody() {
    let sample = Sample::new();
    for name in ["code-texts", "client-name-texts", "replies"] {
        let changed = resealed(&sample, |header, bytes| {
            let section = section(header, name);
            bytes[section.offset as usize..(section.offset + section.bytes) as usize].fill(0xff);
        });
        let changed = changed.expect("its header is right");
        changed.verify(&mut |_| {}).expect("its hashes are right");
        let state = changed.state().expect("nothing contradicts it");
        assert_ne!(state, sample.state);
        use_all(&sample.state, state, &sample.records);
    }
}

/// Files of version 1 have no section for the owners of readers: their readers have no owner.
#[test]
fn a_snapshot_without_the_owners_of_readers_is_read() {
    let sample = Sample::new();
    assert!(sample.state.list_readers().readers.iter().any(|reader| reader.credential.is_some()));
    let older = resealed(&sample, |header, _| {
        header.version = 1;
        header.sections.retain(|section| section.name != "reader-owners");
    });
    let state = older.and_then(|older| older.state()).expect("it is whole");
    let readers = |state: &scrip_core::state::State| {
        let readers = state.list_readers().readers.into_iter();
        readers.map(|reader| (reader.name, reader.position, reader.moved_ms)).collect::<Vec<_>>()
    };
    assert_eq!(readers(&state), readers(&sample.state));
    assert!(state.list_readers().readers.iter().all(|reader| reader.credential.is_none()));
}

#[test]
fn sections_that_contradict_one_another_are_refused() {
    let sample = Sample::new();
    let check = |change: &dyn Fn(&mut Header), expected: &str| {
        let opened = resealed(&sample, |header, _| change(header));
        let refused = opened.and_then(|opened| opened.state()).expect_err(expected).to_string();
        let path = sample.kept.path.display();
        assert!(refused == format!("{path}: the snapshot contradicts itself: {expected}"), "{refused}");
    };
    for section in 0..sample.open().header().sections.len() {
        let without = |header: &mut Header| {
            header.sections.remove(section);
        };
        check(&without, "a section is missing");
    }
    let shorten = |name: &'static str, by: u64| move |header: &mut Header| section(header, name).bytes -= by;
    for name in ["code-ends", "clients", "uses", "request-slots", "refunded"] {
        check(&shorten(name, 1), "a section does not end with a whole row");
    }
    for (name, row) in [("code-ends", 4), ("clients", 32)] {
        check(&shorten(name, row), "tables of the same rows have different lengths");
    }
    check(&shorten("uses", 32), "its campaigns do not have the codes that there are");
    let fewer_codes = |header: &mut Header| {
        for name in ["code-ends", "code-activations"] {
            section(header, name).bytes -= 4;
        }
    };
    check(&fewer_codes, "its campaigns do not have the codes that there are");

    let passes = |change: &dyn Fn(&mut Header)| {
        let refused = resealed(&sample, |header, _| change(header)).expect_err("it passes the end").to_string();
        assert!(refused.ends_with("a section extends past its end"), "{refused}");
    };
    passes(&|header| header.sections[3].bytes = u64::MAX);
    passes(&|header| header.sections[3].offset = header.bytes + PAGE as u64);
    passes(&|header| header.sections[3].offset += 16);
}

/// Loaded sections are checked like any bytes from outside, even if their hashes match.
#[test]
fn a_small_part_of_any_bytes_is_refused_or_taken_without_a_panic() {
    let sample = Sample::new();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut refused = 0;
    for _ in 0..2_000 {
        let changed = resealed(&sample, |header, bytes| {
            let section = section(header, "small");
            for _ in 0..random.u8(1..4) {
                bytes[section.offset as usize + random.usize(..section.bytes as usize)] = random.u8(..);
            }
        });
        match changed.expect("its header is right").state() {
            Ok(_) => {}
            Err(SnapshotError::Inconsistent { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 100, "{refused} of them");
    // The next snapshot that is written is intact.
    written(&sample.disk, &super::dir(), &sample.state).expect("the disk takes it");
}
