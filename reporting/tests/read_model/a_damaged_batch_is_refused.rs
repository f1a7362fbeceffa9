//! A batch that is out of order or does not match its hash is refused by name (Z11): neither it nor any batch of its group is
//! applied, and the read model continues with the right ones. One that cannot be written halts the sidecar at once.

use scrip_protocol::batch::{BatchBuilder, BatchError, ChainEnd, HEADER_BYTES};
use scrip_protocol::codes::{CodeForm, RecordedForm, UnknownForm};
use scrip_protocol::command::ClubRegistered;
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{ClubId, Position, Record, Settings};
use scrip_reporting::follow::{FollowError, follow};
use scrip_reporting::read_model::{ReadModel, ReadModelError};
use scrip_reporting::standing::{Following, RequestClock, Standing};
use tokio::sync::watch;

use crate::support::recount::Recount;
use crate::support::workload::Workload;
use crate::support::{DEADLINE, model_files, synthetic, tables};

/// Twenty clubs, two in each batch.
fn clubs() -> Vec<Vec<u8>> {
    let mut journal = synthetic::Journal::default();
    for batch in 0..10_u32 {
        let club = |club: u32| -> Record {
            ClubRegistered { stamp: synthetic::stamp(club.into()), club: ClubId(club), name: format!("Club {club}") }.into()
        };
        journal.batch(batch.into(), &[club(2 * batch + 1), club(2 * batch + 2)]);
    }
    journal.batches
}

/// Applies four batches, then a group with a bad one; checks the error, and that nothing has changed.
#[track_caller]
fn check(damage: impl FnOnce(&mut Vec<Vec<u8>>), after: u64, is_it: impl Fn(&BatchError) -> bool) {
    let batches = clubs();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    let mut model = model_files::open(&path);
    model.apply(&batches[..4]).expect("batches that come next");
    let before = model_files::dump(&path);
    let mut damaged = batches[4..7].to_vec();
    damage(&mut damaged);
    let refused = model.apply(&damaged).expect_err("one of them is not in order");
    let ReadModelError::Batch { after: found, cause } = refused else { panic!("{refused}") };
    assert!(is_it(&cause), "{cause:?}");
    assert_eq!(found, Position(after));
    drop(model);
    model_files::same(&before, &model_files::dump(&path), "nothing is applied");
    let mut model = model_files::open(&path);
    assert_eq!(model.cursor().position, Position(8));
    model_files::apply(&mut model, &batches, || 2, |_| true);
    tables::compare(&model_files::look(&path), &Recount::of(&batches).now(), "the right batches");
}

/// K9: settings with an unknown code form stop the read model, instead of being read as another form; so does a read model that
/// began with such settings.
#[test]
fn an_unknown_form_of_codes_is_refused() {
    let settings = |form: RecordedForm| -> Record { SettingsSet { settings: Settings::default(), codes: form }.into() };
    let canonical = RecordedForm::of(CodeForm::Canonical);
    for unknown in [RecordedForm { form: 3, ..canonical }, RecordedForm { unicode: [99, 0, 0], ..canonical }] {
        let mut journal = synthetic::Journal::default();
        journal.batch(0, &[settings(canonical)]);
        journal.batch(1, &[settings(canonical), settings(unknown)]);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("read-model.sqlite");
        let mut model = model_files::open(&path);
        model.apply(&journal.batches[..1]).expect("a batch that comes next");
        let refused = model.apply(&journal.batches[1..]).expect_err("the form is not known");
        let ReadModelError::CodeForm { position, source } = refused else { panic!("{refused}") };
        assert_eq!((position, source, model.cursor().position), (Position(3), UnknownForm(unknown), Position(1)));
        drop(model);
        assert_eq!(model_files::open(&path).cursor().position, Position(1));
        let sql = rusqlite::Connection::open(&path).expect("a database");
        sql.execute("UPDATE organisation SET code_form = 3", []).expect("there are settings");
        drop(sql);
        assert!(matches!(ReadModel::open(&path), Err(ReadModelError::Sqlite { .. })));
    }
}

#[test]
fn a_changed_byte_is_refused() {
    check(|batches| batches[1][HEADER_BYTES + 20] ^= 1, 10, |cause| *cause == BatchError::Changed);
    check(|batches| batches[0][60] ^= 1, 8, |cause| *cause == BatchError::Changed);
    check(|batches| batches[2][0] ^= 2, 12, |cause| matches!(cause, BatchError::Version(_)));
}

#[test]
fn a_cut_batch_is_refused() {
    check(|batches| batches[1].truncate(HEADER_BYTES - 1), 10, |cause| matches!(cause, BatchError::Short(_)));
    check(|batches| batches[1].truncate(HEADER_BYTES + 9), 10, |cause| *cause == BatchError::Changed);
}

#[test]
fn a_missing_swapped_or_repeated_batch_is_refused() {
    let gap = |expected, found| BatchError::Gap { expected: Position(expected), found: Position(found) };
    check(|batches| drop(batches.remove(0)), 8, |cause| *cause == gap(9, 11));
    check(|batches| batches.swap(1, 2), 10, |cause| *cause == gap(11, 13));
    check(|batches| batches.insert(1, batches[0].clone()), 10, |cause| *cause == gap(11, 9));
}

/// A batch of another journal, with a valid hash, at the same position.
#[test]
fn a_batch_of_another_journal_is_refused() {
    let another = |position| {
        let mut chain = ChainEnd { position: Position(position), hash: [7; 32], time_ms: 0 };
        let mut batch = BatchBuilder::new(1);
        let name = "Another".to_owned();
        batch.push(&ClubRegistered { stamp: synthetic::stamp(1), club: ClubId(9), name }.into());
        batch.seal(&mut chain)
    };
    check(|batches| batches[0] = another(8), 8, |cause| *cause == BatchError::BrokenChain);
    check(|batches| batches[1] = another(10), 10, |cause| *cause == BatchError::BrokenChain);
}

/// An unknown record in an otherwise valid batch: written by a later release.
#[test]
fn a_record_of_a_later_release_is_refused() {
    let later = |batch: &mut Vec<u8>| {
        batch[HEADER_BYTES + 4..HEADER_BYTES + 6].copy_from_slice(&9_999_u16.to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&batch[..HEADER_BYTES - 32]).update(&batch[HEADER_BYTES..]);
        let hash = hasher.finalize();
        batch[HEADER_BYTES - 32..HEADER_BYTES].copy_from_slice(hash.as_bytes());
    };
    check(|batches| later(&mut batches[2]), 12, |cause| matches!(cause, BatchError::Record { index: 0, .. }));
}

/// A read model that cannot be written, because its disk is full for example, halts the follower at once, although no further batch
/// arrives, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_that_fails_halts_a_follower_that_reads_nothing_more() {
    let mut workload = Workload::start(1).await;
    workload.tail().await;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    let mut model = model_files::open(&path);
    let (_last, before) = workload.batches.split_last().expect("there are some");
    model.apply(before).expect("batches that come next");
    let full = "CREATE TRIGGER full BEFORE UPDATE ON cursor BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    rusqlite::Connection::open(&path).and_then(|disk| disk.execute_batch(full)).expect("nobody writes");
    let cursor = model.cursor();
    let (standing, seen) = watch::channel(Standing {
        applied: cursor.position,
        applied_ms: cursor.time_ms,
        changed: cursor.position,
        newest: None,
        engine_ms: 0,
        requests: RequestClock::default(),
        following: Following::Apart(String::new()),
    });
    let (_go_on, stop) = watch::channel(false);
    let followed = tokio::time::timeout(DEADLINE, follow(workload.dial.clone(), model, standing, stop)).await;
    let halted = followed.expect("it ends without a further batch");
    assert!(matches!(halted, Err(FollowError::ReadModel(ReadModelError::Sqlite { .. }))), "{halted:?}");
    let Following::Halted(why) = &seen.borrow().following else { panic!("{:?}", seen.borrow().following) };
    assert!(why.contains("disk is full"), "{why}");
    workload.stop().await;
}
