//! Checkpoints of the write-ahead log: a separate thread copies the log into the file and flushes it while the writer
//! continues.
//!
//! SQLite restarts a log from its beginning only when all of it was checkpointed and nobody reads it. To get there:
//!
//! - After every [`RECORDS`] the thread checkpoints what it can, without blocking the writer or readers.
//! - When nothing was written for [`QUIET`], the thread checkpoints the rest and frees the disk space.
//! - If the writer never pauses, it does so itself once the log has [`BYTES_MAX`], waiting at most [`WAIT`] for readers. If a
//!   reader takes longer, it tries again when the log has grown by a quarter, or by [`AGAIN_BYTES`].
//! - Overlapping queries may leave no moment without readers. From [`AWAITED_BYTES`] on, the writer waits for readers for up to
//!   [`PATIENCE`]. Meanwhile no query starts, and queries older than some seconds end
//!   ([`Readers::beside`](super::Readers::beside)); exports also end at that size. Only another process can hold the log for
//!   longer.
//!
//! A restarted log keeps [`KEPT_BYTES`] of its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

/// The number of records after which the thread does a checkpoint.
const RECORDS: u64 = 1 << 16;

/// The size of the log at which the writer does a checkpoint.
const BYTES_MAX: u64 = 128 << 20;

/// How much the log grows between two attempts of the writer.
const AGAIN_BYTES: u64 = 32 << 20;

/// How much of its file a restarted log keeps.
pub(super) const KEPT_BYTES: i64 = 32 << 20;

/// How long nothing must have been written before the disk space is freed.
const QUIET: Duration = Duration::from_secs(1);

/// The time that the writer waits for readers of the log.
const WAIT: Duration = Duration::from_secs(1);

/// The size of the log at which the writer waits until readers are done. Exports may let it grow that large.
pub(crate) const AWAITED_BYTES: u64 = 512 << 20;

/// How long the writer waits then. Meanwhile the read model lags behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// The size of a read model's log on disk, in bytes; 0 if there is none.
pub fn log_bytes(file: &Path) -> u64 {
    std::fs::metadata(log_of(file)).map_or(0, |log| log.len())
}

/// The log of a read model.
pub(crate) fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// The checkpoints of a log, for its writer.
#[derive(Debug)]
pub(super) struct Log {
    shared: Arc<Shared>,
    /// The size of the log from which the writer does a checkpoint.
    limit: u64,
    /// The size from which it waits until readers are done.
    awaited_bytes: u64,
    /// Whether it is waiting for that.
    awaits: watch::Sender<bool>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    connection: Mutex<Connection>,
    /// Records since the last checkpoint.
    records: AtomicU64,
    /// Whether the log has anything to checkpoint, or uses more disk space than it keeps.
    is_dirty: AtomicBool,
}

impl Log {
    pub(super) fn beside(path: &Path) -> rusqlite::Result<Log> {
        let connection = Connection::open(path)?;
        let shared = Arc::new(Shared {
            file: path.to_owned(),
            connection: Mutex::new(connection),
            records: AtomicU64::new(0),
            // The log of an earlier process.
            is_dirty: AtomicBool::new(true),
        });
        // At most one request waits: a checkpoint covers everything.
        let (wake, turns) = sync_channel(1);
        let run = {
            let shared = Arc::clone(&shared);
            move || loop {
                let quiet = if shared.is_dirty.load(Ordering::Relaxed) { QUIET } else { Duration::MAX };
                match turns.recv_timeout(quiet) {
                    Ok(()) if shared.records.load(Ordering::Relaxed) >= RECORDS => shared.bring_in_beside(),
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) => shared.give_back(Duration::ZERO),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("read-model-log".into()).spawn(run).expect("a thread can be started");
        // So that the thread looks at the log of an earlier process.
        let _ = wake.try_send(());
        let (awaits, _) = watch::channel(false);
        Ok(Log { shared, limit: BYTES_MAX, awaited_bytes: AWAITED_BYTES, awaits, wake: Some(wake), thread: Some(thread) })
    }

    /// Whether the writer waits until readers are done.
    pub(super) fn awaits(&self) -> watch::Receiver<bool> {
        self.awaits.subscribe()
    }

    /// Notes that a transaction of that many records was written.
    pub(super) fn grew(&mut self, records: u64) {
        self.shared.records.fetch_add(records, Ordering::Relaxed);
        self.shared.is_dirty.store(true, Ordering::Relaxed);
        let bytes = log_bytes(&self.shared.file);
        if bytes > self.limit {
            if bytes > self.awaited_bytes {
                self.awaits.send_replace(true);
                self.shared.give_back(PATIENCE);
                self.awaits.send_replace(false);
            } else {
                self.shared.give_back(WAIT);
            }
            let left = log_bytes(&self.shared.file);
            self.limit = BYTES_MAX.max(left + AGAIN_BYTES.max(left / 4));
            return;
        }
        if bytes <= BYTES_MAX {
            self.limit = BYTES_MAX;
        }
        if let Some(wake) = &self.wake {
            // If the channel is full, a checkpoint is already due.
            let _ = wake.try_send(());
        }
    }
}

impl Shared {
    /// Checkpoints what nobody reads, without blocking the writer.
    fn bring_in_beside(&self) {
        self.records.store(0, Ordering::Relaxed);
        self.checkpoint("PASSIVE", Duration::ZERO);
    }

    /// Checkpoints everything and truncates the log's file, if no reader is in the way.
    fn give_back(&self, wait: Duration) {
        self.is_dirty.store(false, Ordering::Relaxed);
        self.records.store(0, Ordering::Relaxed);
        if !self.checkpoint("TRUNCATE", wait) {
            self.is_dirty.store(true, Ordering::Relaxed);
        }
    }

    /// Whether everything was checkpointed, waiting at most that long for readers. A failure is retried, and loses nothing.
    fn checkpoint(&self, how: &str, wait: Duration) -> bool {
        let connection = self.connection.lock();
        let waits = connection.busy_timeout(wait);
        let done =
            waits.and_then(|()| connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0)));
        match done {
            Ok(busy) => busy == 0,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log could not be checkpointed");
                false
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed, and nothing depends on the thread.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use scrip_protocol::Position;
    use scrip_web::problem::{Kind, Problem};

    use super::*;
    use crate::http::Api;
    use crate::read_model::{ReadModel, Readers, View};
    use crate::standing::{Following, RequestClock, Standing};

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A read model's file with its log, and a writer that writes a lot.
    struct Site {
        _folder: tempfile::TempDir,
        path: PathBuf,
        writer: Connection,
        log: Log,
    }

    impl Site {
        fn new() -> Site {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("read-model.sqlite");
            let writer = Connection::open(&path).expect("a new file");
            writer.pragma_update(None, "journal_mode", "wal").expect("it is on disk");
            writer.pragma_update(None, "wal_autocheckpoint", 0).expect("it is a setting");
            writer.execute_batch("CREATE TABLE t (bytes BLOB)").expect("it can be made");
            let log = Log::beside(&path).expect("it can be opened");
            let site = Site { _folder: folder, path, writer, log };
            site.write();
            site
        }

        fn write(&self) {
            self.writer.execute("INSERT INTO t VALUES (zeroblob(1048576))", []).expect("it can be written");
        }

        fn is_given_back(&self) {
            let began = Instant::now();
            while log_bytes(&self.path) > 0 {
                assert!(began.elapsed() < DEADLINE, "{} bytes are left", log_bytes(&self.path));
                std::thread::yield_now();
            }
        }
    }

    /// Pain 43: the disk space is freed while the process runs, soon after the last transaction.
    #[test]
    fn the_log_is_given_back_when_nothing_is_written() {
        let mut site = Site::new();
        site.log.grew(1);
        site.is_given_back();
        site.write();
        site.log.grew(1);
        site.is_given_back();
    }

    /// A reader holds the log, which is truncated once the reader is done.
    #[test]
    fn a_reader_keeps_the_log_only_while_it_reads() {
        let mut site = Site::new();
        let reader = Connection::open(&site.path).expect("it is there");
        reader.execute_batch("BEGIN").expect("it can begin");
        let count = || reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).expect("it can be read");
        assert_eq!(count(), 1);
        site.write();
        site.log.shared.give_back(Duration::ZERO);
        assert!(log_bytes(&site.path) > 0 && site.log.shared.is_dirty.load(Ordering::Relaxed));
        assert_eq!(count(), 1);
        site.log.grew(1);
        reader.execute_batch("COMMIT").expect("it was begun");
        site.is_given_back();
    }

    /// A writer that never pauses checkpoints a large log itself, and continues if a reader is in the way.
    #[test]
    fn a_writer_that_never_rests_brings_the_log_in() {
        let mut site = Site::new();
        site.log.limit = 1;
        site.log.grew(1);
        assert_eq!(log_bytes(&site.path), 0);
        let reader = Connection::open(&site.path).expect("it is there");
        reader.execute_batch("BEGIN; SELECT count(*) FROM t;").expect("it can be read");
        site.write();
        site.log.limit = 1;
        site.log.grew(1);
        assert!(log_bytes(&site.path) > 0 && site.log.limit >= BYTES_MAX);
    }

    /// The part of its file that a restarted log keeps is smaller than its maximum.
    #[test]
    fn a_log_that_begins_again_keeps_little() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let model = ReadModel::open(&folder.path().join("read-model.sqlite")).expect("it can be made").expect("it is new");
        let limit = model.connection.pragma_query_value(None, "journal_size_limit", |row| row.get::<_, i64>(0));
        assert_eq!(limit, Ok(KEPT_BYTES));
        const { assert!((KEPT_BYTES as u64) < BYTES_MAX) }
    }

    /// A read model whose log is large enough for its writer to wait, and the readers that answer queries from it.
    struct Overlapping {
        _folder: tempfile::TempDir,
        _standing: watch::Sender<Standing>,
        model: ReadModel,
        api: Api,
    }

    impl Overlapping {
        fn new() -> Overlapping {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut model =
                ReadModel::open(&folder.path().join("read-model.sqlite")).expect("it can be made").expect("it is new");
            (model.log.limit, model.log.awaited_bytes) = (0, 0);
            let (standing, watched) = watch::channel(Standing {
                applied: Position(0),
                applied_ms: 0,
                changed: Position(0),
                newest: None,
                engine_ms: 0,
                requests: RequestClock::default(),
                following: Following::Tailing,
            });
            let api = Api::new(Arc::new(Readers::beside(&model)), watched);
            Overlapping { _folder: folder, _standing: standing, model, api }
        }

        /// A query that reports its start, with the size of the log at that moment, and continues until it is released.
        fn query(&self) -> Query {
            let (began, begins) = sync_channel(1);
            let (release, released) = sync_channel::<()>(0);
            let (api, path) = (self.api.clone(), self.model.path().to_owned());
            let read = move |_: &View<'_>| {
                let _ = began.send(log_bytes(&path));
                Ok(released.recv().is_err())
            };
            let answered = tokio::spawn(async move { api.read(1, read).await });
            Query { begins, release, answered }
        }
    }

    struct Query {
        begins: std::sync::mpsc::Receiver<u64>,
        release: SyncSender<()>,
        answered: tokio::task::JoinHandle<Result<bool, Problem>>,
    }

    impl Query {
        async fn ends(self) {
            drop(self.release);
            assert_eq!(self.answered.await.expect("it does not panic"), Ok(true));
        }
    }

    /// Pain 43: overlapping queries leave no moment without a reader. Above a certain size of the log the writer creates one:
    /// no query starts until the running ones are done and the log was truncated.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn queries_that_overlap_do_not_keep_the_log() {
        let mut site = Overlapping::new();
        let first = site.query();
        first.begins.recv_timeout(DEADLINE).expect("it begins");
        site.model
            .connection
            .execute_batch("CREATE TABLE t (bytes BLOB); INSERT INTO t VALUES (zeroblob(1048576));")
            .expect("it fits");
        let mut awaits = site.model.log.awaits();
        let path = site.model.path().to_owned();
        let mut log = std::mem::replace(&mut site.model.log, Log::beside(&path).expect("it can be opened"));
        let giving = tokio::task::spawn_blocking(move || {
            log.grew(1);
            (log_bytes(&log.shared.file), log)
        });
        tokio::time::timeout(DEADLINE, awaits.wait_for(|awaits| *awaits)).await.expect("it waits").expect("it is there");
        let second = site.query();
        let began = second.begins.recv_timeout(Duration::from_millis(200));
        assert!(began.is_err(), "a query began while the writer waits: {began:?}");
        first.ends().await;
        let (left, _log) = giving.await.expect("it does not panic");
        assert_eq!(left, 0, "the log was given back");
        assert_eq!(second.begins.recv_timeout(DEADLINE), Ok(0), "the second query is answered, after that");
        second.ends().await;
    }

    /// A query older than some seconds ends when the writer waits for it, and its caller may retry.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn an_old_query_ends_when_the_writer_waits_for_it() {
        const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let mut site = Overlapping::new();
        site.api.query_old = Duration::ZERO;
        let api = site.api.clone();
        let (began, begins) = sync_channel(1);
        let endless = move |view: &View<'_>| {
            let _ = began.send(());
            view.connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))
        };
        let answered = tokio::spawn(async move { api.read(1, endless).await });
        begins.recv_timeout(DEADLINE).expect("it begins");
        site.model.connection.execute_batch("CREATE TABLE t (i INTEGER)").expect("it can be made");
        tokio::task::block_in_place(|| site.model.log.grew(1));
        assert_eq!(log_bytes(site.model.path()), 0, "the log was given back");
        assert_eq!(answered.await.expect("it does not panic").map_err(|problem| problem.kind), Err(Kind::BUSY));
    }
}
