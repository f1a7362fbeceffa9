//! Every figure is a pure function of the journal (Z10): the tables, and the answers from them, equal an independent recount at
//! many positions, in whatever groups the batches were applied.

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;
use scrip_reporting::read_model::Readers;

use crate::support::recount::Recount;
use crate::support::workload::Workload;
use crate::support::{compare_answers, model_files, seed, synthetic, tables};

/// T1 to T7, B1 to B5, Z16, X1 to X6, Z1 to Z3, Z10, Z13: every table and every figure, at many positions of a random workload
/// with archives, restores, refunds, amount edits and holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_equals_a_recount_at_many_positions() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut workload = Workload::start(seed).await;
    workload.go(50).await;
    workload.tail().await;
    workload.until_holds_expire().await;
    workload.go(50).await;
    workload.tail().await;
    let (batches, recount) = workload.stop().await;
    tokio::task::block_in_place(|| check(&mut random, &batches, &recount));
}

fn check(random: &mut fastrand::Rng, batches: &[Vec<u8>], recount: &Recount) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    let mut model = model_files::open(&path);
    let mut sizes = random.fork();
    model_files::apply(
        &mut model,
        batches,
        || [1, 1, 2, 5, 20][sizes.usize(..5)],
        |model| {
            let position = model.cursor().position;
            if random.u32(..4) == 0 || position == recount.end().position {
                let past = recount.at(position);
                tables::compare(&model_files::look(&path), &past, "the tables");
                // Now, and later, while no records arrive.
                for now_ms in [0, past.end.time_ms.saturating_add(random.u64(..4_000))] {
                    let checked = Readers::new(&path).view_at(now_ms, |view| compare_answers::check(view, &past, random));
                    checked.unwrap_or_else(|why| panic!("at position {position}: {why:?}"));
                }
            }
            true
        },
    );
    assert_eq!(model.cursor(), recount.end());
}

/// Z10: extreme amounts and times are counted like any other, or clamped to 64 bits; nothing stops the sidecar.
#[test]
fn extreme_values_are_counted() {
    let batches = synthetic::extremes();
    check(&mut fastrand::Rng::with_seed(seed()), &batches, &Recount::of(&batches));
}

/// B5: where a stretch of positions ends, nothing is lost or counted twice. The cursor of the read model is moved so that it
/// looks as if it had applied so much already.
#[test]
fn positions_past_a_stretch_are_counted() {
    let mut random = fastrand::Rng::with_seed(seed());
    for stretch in [1 << 12, 1 << 17, 1 << 20, 1 << 32] {
        let before = ChainEnd { position: Position(stretch - 7), hash: [7; 32], time_ms: 1_789_000_000_000 };
        let batches = synthetic::around(before);
        let mut recount = Recount::from(before);
        batches.iter().for_each(|batch| recount.read(batch).expect("the batch comes next"));
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("read-model.sqlite");
        drop(model_files::open(&path));
        let cursor = (before.position.0 as i64, before.hash, before.time_ms as i64);
        let connection = rusqlite::Connection::open(&path).expect("it was made");
        connection.execute("UPDATE cursor SET position = ?, hash = ?, time_ms = ?", cursor).expect("a cursor is there");
        drop(connection);
        model_files::apply(&mut model_files::open(&path), &batches, || 3, |_| true);
        tables::compare(&model_files::look(&path), &recount.now(), "around a stretch");
        let checked = Readers::new(&path).view(|view| compare_answers::check(view, &recount.now(), &mut random));
        checked.unwrap_or_else(|why| panic!("around position {stretch}: {why:?}"));
    }
}

/// A rebuild has the same result: the tables do not depend on which batches shared a transaction, nor on whether the file was
/// reopened between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_batches_do_not_matter() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut workload = Workload::start(seed).await;
    workload.go(60).await;
    workload.tail().await;
    let (batches, recount) = workload.stop().await;
    for batches in [batches, synthetic::extremes()] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        model_files::apply(&mut model_files::open(&path("at once")), &batches, || usize::MAX, |_| true);
        model_files::apply(&mut model_files::open(&path("one by one")), &batches, || 1, |_| true);
        let (at_once, one_by_one) = (model_files::dump(&path("at once")), model_files::dump(&path("one by one")));
        model_files::same(&at_once, &one_by_one, "all batches at once, and one by one");
        while model_files::open(&path("again")).cursor().position < Recount::of(&batches).end().position {
            let mut model = model_files::open(&path("again"));
            let mut groups = random.usize(1..6);
            let mut sizes = random.fork();
            model_files::apply(
                &mut model,
                &batches,
                || sizes.usize(1..12),
                |_| {
                    groups -= 1;
                    groups > 0
                },
            );
        }
        model_files::same(&at_once, &model_files::dump(&path("again")), "opened again and again");
    }
    assert!(recount.end().position.0 > 0);
}
