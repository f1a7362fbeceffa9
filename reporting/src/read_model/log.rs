//! The write-ahead log. A thread of its own copies it into the file and flushes while the writer continues.
//!
//! A log starts over only when all of it is in the file and nobody reads it. Four things ensure that this happens:
//!
//! - After every [`RECORDS`] the thread copies as much as it can, beside the writer and the readers.
//! - When nothing was written for [`QUIET`], the thread copies the rest and frees the disk space.
//! - Under a writer that never rests, the writer itself does so once the log has [`BYTES_MAX`], and waits at most [`WAIT`] for
//!   readers. If a reader takes longer, it tries again when the log has grown by a quarter, or by [`AGAIN_BYTES`].
//! - Queries that overlap leave no such moment. From [`AWAITED_BYTES`] on, the writer waits up to [`PATIENCE`] for readers.
//!   Meanwhile no query begins, and queries that are older than some seconds end ([`Readers::beside`](super::Readers::beside));
//!   exports end at that size as well. Only another process can hold the log for longer.
//!
//! A log that starts over keeps [`KEPT_BYTES`] of its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

/// The number of records after which the thread runs.
const RECORDS: u64 = 1 << 16;

/// The size of the log at which the writer copies it into the file.
const BYTES_MAX: u64 = 128 << 20;

/// The growth of the log from one attempt of the writer to the next.
const AGAIN_BYTES: u64 = 32 << 20;

/// The size that a log's file keeps when the log starts over.
pub(super) const KEPT_BYTES: i64 = 32 << 20;

/// The time without writes after which the disk space is freed.
const QUIET: Duration = Duration::from_secs(1);

/// The time that the writer waits for readers of the log.
const WAIT: Duration = Duration::from_secs(1);

/// The size of the log at which the writer waits until readers are done. Exports can let it grow to this size.
pub(crate) const AWAITED_BYTES: u64 = 512 << 20;

/// The time that the writer waits then. The read model lags behind for that long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a read model's log on disk; 0 if there is none.
pub fn log_bytes(file: &Path) -> u64 {
    std::fs::metadata(log_of(file)).map_or(0, |log| log.len())
}

/// The log of a read model.
pub(crate) fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// The log of a read model, beside its writer.
#[derive(Debug)]
pub(super) struct Log {
    shared: Arc<Shared>,
    /// The size of the log from which the writer copies it into the file.
    limit: u64,
    /// The size from which it waits until readers are done.
    awaited_bytes: u64,
    /// Whether it is waiting for readers.
    awaits: watch::Sender<bool>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    connection: Mutex<Connection>,
    /// Records since the last run of the thread.
    records: AtomicU64,
    /// Whether the log has anything that is not in the file, or more disk space than it keeps.
    is_dirty: AtomicBool,
}

impl Log {
    pub(super) fn beside(path: &Path) -> rusqlite::Result<Log> {
        let connection = Connection::open(path)?;
        let shared = Arc::new(Shared {
            file: path.to_owned(),
            connection: Mutex::new(connection),
            records: AtomicU64::new(0),
            // An earlier process may have left a log.
            is_dirty: AtomicBool::new(true),
        });
        // At most one run waits: it copies everything.
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
        // Lets the thread look for a log of an earlier process.
        let _ = wake.try_send(());
        let (awaits, _) = watch::channel(false);
        Ok(Log { shared, limit: BYTES_MAX, awaited_bytes: AWAITED_BYTES, awaits, wake: Some(wake), thread: Some(thread) })
    }

    /// Whether the writer waits until readers are done.
    pub(super) fn awaits(&self) -> watch::Receiver<bool> {
        self.awaits.subscribe()
    }

    /// Notes that a transaction of this many records was written.
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
            // If it is full, a run is already due.
            let _ = wake.try_send(());
        }
    }
}

impl Shared {
    /// Copies the part that nobody reads into the file, beside the writer.
    fn bring_in_beside(&self) {
        self.records.store(0, Ordering::Relaxed);
        self.checkpoint("PASSIVE", Duration::ZERO);
    }

    /// Copies all of it into the file and truncates the log, if no reader is in the way.
    fn give_back(&self, wait: Duration) {
        self.is_dirty.store(false, Ordering::Relaxed);
        self.records.store(0, Ordering::Relaxed);
        if !self.checkpoint("TRUNCATE", wait) {
            self.is_dirty.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether all of it was copied, after waiting this long for readers. A failure is retried later and loses nothing.
    fn checkpoint(&self, how: &str, wait: Duration) -> bool {
        let connection = self.connection.lock();
        let waits = connection.busy_timeout(wait);
        let done =
            waits.and_then(|()| connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0)));
        match done {
            Ok(busy) => busy == 0,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log was not brought into the read model's file");
                false
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed, and nothing depends on the thread.
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

    /// A read model's file with its log, and a writer that writes much.
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

    /// Pain 43: the disk is given back while the process runs, soon after the last transaction.
    #[test]
    fn the_log_is_given_back_when_nothing_is_written() {
        let mut site = Site::new();
        site.log.grew(1);
        site.is_given_back();
        site.write();
        site.log.grew(1);
        site.is_given_back();
    }

    /// A reader keeps the log, and it is given back when the reader is done.
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

    /// A writer that never rests brings the log in itself where it is large, and goes on where a reader is in the way.
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

    /// What a log keeps of its file when it begins again is a part of what it may have.
    #[test]
    fn a_log_that_begins_again_keeps_little() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let model = ReadModel::open(&folder.path().join("read-model.sqlite")).expect("it can be made").expect("it is new");
        let limit = model.connection.pragma_query_value(None, "journal_size_limit", |row| row.get::<_, i64>(0));
        assert_eq!(limit, Ok(KEPT_BYTES));
        const { assert!((KEPT_BYTES as u64) < BYTES_MAX) }
    }

    /// A read model with a log that is large enough for its writer to wait, and what answers queries from it.
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

        /// A query that says that it began, with the bytes of the log at that moment, and goes on until it is released.
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

    /// Pain 43: queries that overlap leave no moment without a reader. Past a size of the log the writer makes one: no query begins
    /// until those that read are done and the log was given back.
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

    /// A query that is older than some seconds ends when the writer waits for it, and its caller may retry.
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
