//! The write-ahead log, brought into the file beside the writing: a thread of its own copies and flushes while the writer goes on.
//!
//! A log begins anew only when all of it was brought into the file and nobody reads it. Under a writer that never rests the thread alone would
//! never come to that; at [`PAGES_MAX`] the writer brings in the rest itself, which is what came since the thread's last turn.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;

/// After how many records the thread takes its turn.
const RECORDS: u64 = 1 << 16;

/// From how many pages of 4 KiB on the writer brings the log in: 512 MiB.
const PAGES_MAX: u64 = 128 << 10;

/// The log of a read model, beside its writer.
#[derive(Debug)]
pub(super) struct Log {
    connection: Arc<Mutex<Connection>>,
    /// How many pages it had after the last turn.
    pages: Arc<AtomicU64>,
    records: u64,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    pub(super) fn beside(path: &Path) -> rusqlite::Result<Log> {
        let connection = Arc::new(Mutex::new(Connection::open(path)?));
        let pages = Arc::new(AtomicU64::new(0));
        // One turn waits at the most: it brings in all that there is.
        let (wake, turns) = sync_channel(1);
        let run = {
            let (connection, pages) = (connection.clone(), pages.clone());
            move || turns.iter().for_each(|()| turn(&connection, &pages))
        };
        let thread = std::thread::Builder::new().name("read-model-log".into()).spawn(run).expect("a thread can be started");
        Ok(Log { connection, pages, records: 0, wake: Some(wake), thread: Some(thread) })
    }

    /// A transaction of so many records was written.
    pub(super) fn grew(&mut self, records: u64) {
        self.records += records;
        if self.records < RECORDS {
            return;
        }
        self.records = 0;
        if self.pages.load(Ordering::Relaxed) > PAGES_MAX {
            turn(&self.connection, &self.pages);
        } else if let Some(wake) = &self.wake {
            // If it is full, a turn is due already.
            let _ = wake.try_send(());
        }
    }
}

/// Brings the log in as far as nobody reads it. What fails here is tried again at the next turn, and nothing is lost by it.
fn turn(connection: &Mutex<Connection>, pages: &AtomicU64) {
    let connection = connection.lock();
    match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1)) {
        Ok(there) => pages.store(u64::try_from(there).unwrap_or(0), Ordering::Relaxed),
        Err(error) => tracing::warn!(%error, "the write-ahead log was not brought into the read model's file"),
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
