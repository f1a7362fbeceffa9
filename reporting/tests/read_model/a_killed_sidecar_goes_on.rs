//! Exactly once, whenever the process ends: after a kill while it applies batches, or with the newest writes lost as after a
//! power loss, the read model opens at the end of a batch, equals the recount at that position, and continues to the same
//! content.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scrip_protocol::batch::Batch;

use crate::support::recount::Recount;
use crate::support::workload::Workload;
use crate::support::{model_files, seed, tables};

/// The environment variable with the folder of the journal that a child process must apply.
const FOLDER: &str = "SCRIP_APPLIES_BATCHES_OF";

/// The number of kills.
const KILLS: usize = 40;

/// Runs in a process of its own, which is killed: applies the missing batches, and prints a sign before each group. Without the
/// folder from the other test, it does nothing.
#[test]
fn the_child_that_applies_batches() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let dir = Path::new(&dir);
    let batches = read_journal(&dir.join("journal"));
    let mut model = model_files::open(&dir.join("read-model.sqlite"));
    let mut random = fastrand::Rng::new();
    let said = || std::io::stdout().write_all(b"@").and_then(|()| std::io::stdout().flush());
    said().expect("somebody listens");
    model_files::apply(&mut model, &batches, || random.usize(1..9), |_| said().is_ok());
}

fn write_journal(path: &Path, batches: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend((batch.len() as u64).to_le_bytes());
        bytes.extend(batch);
    }
    std::fs::write(path, bytes).expect("it can be written");
}

fn read_journal(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).expect("the parent has written it");
    let (mut rest, mut batches) = (&bytes[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let (batch, after) = after.split_at(u64::from_le_bytes(*length) as usize);
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

/// Kills the child if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn journal(seed: u64) -> (Vec<Vec<u8>>, Recount) {
    let mut workload = Workload::start(seed).await;
    workload.go(70).await;
    workload.tail().await;
    workload.stop().await
}

/// Checks an interrupted read model: the file is intact, and equals the recount at its position.
fn check_left(path: &Path, recount: &Recount, what: &str) {
    let model = model_files::open(path);
    let cursor = model.cursor();
    let past = recount.at(cursor.position);
    assert_eq!(cursor, past.end, "{what}: the cursor is not at the end of a batch");
    let connection = model_files::look(path);
    assert!(model_files::is_in_order(&connection), "{what}");
    if cursor.position.0 > 0 {
        tables::compare(&connection, &past, what);
    }
}

/// Z4, Z10: kill -9 at random moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sidecar_goes_on() {
    let seed = seed();
    let (batches, recount) = journal(seed).await;
    tokio::task::block_in_place(|| kill_again_and_again(seed, &batches, &recount));
}

fn kill_again_and_again(seed: u64, batches: &[Vec<u8>], recount: &Recount) {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    write_journal(&dir.path().join("journal"), batches);
    let whole = dir.path().join("whole.sqlite");
    model_files::apply(&mut model_files::open(&whole), batches, || 3, |_| true);
    let whole = model_files::dump(&whole);
    let (mut kills, mut in_the_middle) = (0, 0);
    while kills < KILLS {
        let mut child = Command::new(std::env::current_exe().expect("it runs"));
        child.args(["--exact", "a_killed_sidecar_goes_on::the_child_that_applies_batches", "--nocapture"]);
        let mut child = Running(child.env(FOLDER, dir.path()).stdout(Stdio::piped()).spawn().expect("it runs"));
        // It prints one sign before each group, and is killed within the group after some of them.
        let mut out = child.0.stdout.take().expect("it is piped");
        let (mut signs, until) = (0, random.usize(1..8));
        let mut sign = [0];
        while signs < until && out.read(&mut sign).expect("it is piped") == 1 {
            signs += usize::from(sign == *b"@");
        }
        let (began, within) = (Instant::now(), Duration::from_micros(random.u64(..3_000)));
        while began.elapsed() < within {
            std::hint::spin_loop();
        }
        child.0.kill().expect("it is ours");
        child.0.wait().expect("it is ours");
        kills += 1;
        check_left(&path, recount, &format!("kill {kills}"));
        let position = model_files::open(&path).cursor().position;
        in_the_middle += usize::from(position.0 > 0 && position < recount.end().position);
        if position == recount.end().position {
            model_files::same(&whole, &model_files::dump(&path), "after having been killed");
            remove(&path);
        }
    }
    model_files::apply(&mut model_files::open(&path), batches, || 4, |_| true);
    model_files::same(&whole, &model_files::dump(&path), "after having been killed");
    assert!(in_the_middle > KILLS / 4, "{in_the_middle} of {kills} kills came in the middle");
}

fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
}

/// Z10: after a power loss the newest transactions may be gone, and the rest is consistent. The write-ahead log is truncated at
/// any length, or one of its bytes is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_end_of_the_log_is_read_again() {
    let seed = seed();
    let (batches, recount) = journal(seed).await;
    tokio::task::block_in_place(|| lose_power(seed, &batches, &recount));
}

fn lose_power(seed: u64, batches: &[Vec<u8>], recount: &Recount) {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let (path, copy) = (dir.path().join("read-model.sqlite"), dir.path().join("copy.sqlite"));
    let whole = dir.path().join("whole.sqlite");
    model_files::apply(&mut model_files::open(&whole), batches, || 5, |_| true);
    let whole = model_files::dump(&whole);
    // One part is in the file itself, another in the log.
    let mut model = model_files::open(&path);
    let half = batches.len() / 2;
    let middle = Batch::parse(&batches[half]).expect("whole").end().position;
    model_files::apply(&mut model, &batches[..=half], || 2, |_| true);
    model.close().expect("nobody reads it");
    // A reader that begins while the log is empty prevents all of the log from being checkpointed. It begins before the log has a
    // writer: otherwise the pages added by opening the writer could be checkpointed, and a log truncated before them would no
    // longer belong to the file.
    let reader = model_files::look(&path);
    reader.execute_batch("BEGIN; SELECT position FROM cursor;").expect("it can be read");
    let file = std::fs::read(&path).expect("it can be read");
    let mut model = model_files::open(&path);
    model_files::apply(&mut model, batches, || random.usize(1..6), |_| true);
    assert!(std::fs::read(&path).expect("it can be read") == file, "the log was brought into the file under a reader");
    let log = std::fs::read(format!("{}-wal", path.display())).expect("it is open");
    let mut earlier = std::collections::BTreeSet::new();
    for round in 0..24 {
        remove(&copy);
        std::fs::write(&copy, &file).expect("it can be written");
        let mut kept = log[..random.usize(..=log.len())].to_vec();
        if round % 3 == 2 && !kept.is_empty() {
            let at = random.usize(..kept.len());
            kept[at] ^= 1 << random.u32(..8);
        }
        std::fs::write(format!("{}-wal", copy.display()), &kept).expect("it can be written");
        let what = format!("{} of {} bytes of the log", kept.len(), log.len());
        check_left(&copy, recount, &what);
        let position = model_files::open(&copy).cursor().position;
        assert!(position >= middle, "{what}: what was brought into the file is lost");
        earlier.insert(position);
        model_files::apply(&mut model_files::open(&copy), batches, || 7, |_| true);
        model_files::same(&whole, &model_files::dump(&copy), &what);
    }
    assert!(earlier.len() > 3, "the log was cut at {earlier:?} only");
    drop((model, reader));
}
