//! The snapshotter: takes snapshots beside the running engine, on its own thread, and drops journal segments that nobody needs.
//!
//! A snapshot is built from the previous one and the journal since (in `taking`), so that the engine thread takes no part and no lock
//! is held. One is taken on request, and when the journal has grown by so much since the newest. The thread has the lowest
//! priority there is, rests as long as it works, and writes at a gentle pace: redemptions go on meanwhile.
//!
//! A failure is logged, returned to waiting callers, and tried again after the next growth; the engine keeps running.
//!
//! Owned by the engine, which starts it when the pipeline runs and stops it before the pipeline is finished.

pub mod reader_registry;
mod stoppable;
mod taking;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, after, never, select};
use parking_lot::Mutex;
use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::command::{SnapshotStatus, SnapshotTaken, TakeSnapshotOutcome as Outcome};
use tokio::sync::{oneshot, watch};

use crate::folder::{Config, Retention};
pub use reader_registry::{ReaderRegistry, RegistryError};
use scrip_journal::JournalReader;
use scrip_journal::disk::Disk;
use stoppable::Stopping;
use taking::{TakeError, Taking};

/// How often the journal's growth is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many requests may wait for a snapshot. All that wait when one begins get its outcome; further requests fail.
const WAITING_MAX: usize = 64;

/// When snapshots are taken automatically, and the journal's retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeeperSettings {
    /// A snapshot is taken when the journal has grown by so many bytes since the newest; 0 for never automatically.
    pub journal_bytes: u64,
    /// The journal's retention.
    pub retention: Retention,
}

impl From<&Config> for KeeperSettings {
    fn from(config: &Config) -> KeeperSettings {
        KeeperSettings { journal_bytes: config.snapshots.journal_mib << 20, retention: config.retention.journal }
    }
}

/// Takes snapshots until it is stopped. If it is dropped instead, its thread ends soon.
pub struct Keeper {
    handle: KeeperHandle,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A handle for requesting snapshots.
#[derive(Debug, Clone)]
pub struct KeeperHandle {
    sender: Sender<oneshot::Sender<Outcome>>,
    newest: Newest,
}

/// The status of the newest snapshot, shared.
#[derive(Debug, Clone)]
pub(crate) struct Newest(Arc<Mutex<Option<SnapshotStatus>>>);

impl Newest {
    pub(crate) fn begin(end: Option<ChainEnd>) -> Newest {
        Newest(Arc::new(Mutex::new(end.map(status_of))))
    }

    /// The newest snapshot; none if there is none yet.
    pub(crate) fn of(&self) -> Option<SnapshotStatus> {
        *self.0.lock()
    }
}

fn status_of(end: ChainEnd) -> SnapshotStatus {
    SnapshotStatus { position: end.position, time_ms: end.time_ms }
}

impl KeeperHandle {
    /// The newest snapshot.
    pub(crate) fn newest(&self) -> Newest {
        self.newest.clone()
    }

    /// Takes a snapshot up to what is durable now.
    pub async fn take(&self) -> Outcome {
        let stops = || Outcome::Failed("the engine stops".to_owned());
        let (reply, outcome) = oneshot::channel();
        match self.sender.try_send(reply) {
            Ok(()) => outcome.await.unwrap_or_else(|_| stops()),
            Err(TrySendError::Full(_)) => Outcome::Failed(format!("{WAITING_MAX} requests wait for one already")),
            Err(TrySendError::Disconnected(_)) => stops(),
        }
    }
}

impl Keeper {
    /// Starts it on the snapshots of a folder, the newest of which ends with `last`, and on a journal that is durable up to `durable`.
    ///
    /// # Panics
    /// If the operating system cannot start a thread.
    pub fn start(
        disk: Arc<dyn Disk>,
        snapshots: PathBuf,
        settings: KeeperSettings,
        reader: Arc<dyn JournalReader>,
        registry: Arc<dyn ReaderRegistry>,
        durable: watch::Receiver<Position>,
        last: Option<ChainEnd>,
    ) -> Keeper {
        let (sender, requests) = crossbeam_channel::bounded(WAITING_MAX);
        let (stop, stopping) = crossbeam_channel::bounded(0);
        let stopping = Stopping(stopping);
        let newest = *durable.borrow();
        let growth = Growth::since(last.map(|last| last.position), settings.journal_bytes, reader.as_ref(), newest);
        let taking = Taking { disk, dir: snapshots, reader, registry, durable, retention: settings.retention, stopping };
        let latest = Newest::begin(last);
        let handle = KeeperHandle { sender, newest: latest.clone() };
        let thread = crate::background::spawn("keeper", move || run(&taking, &requests, growth, &latest));
        Keeper { handle, stop, thread }
    }

    /// A handle for requesting snapshots.
    pub fn handle(&self) -> KeeperHandle {
        self.handle.clone()
    }

    /// Stops the thread, and waits until it has ended. An unfinished snapshot is abandoned, and its file is removed when the next one is
    /// taken; waiting callers get the outcome.
    ///
    /// # Panics
    /// If its thread panicked.
    pub fn stop(self) {
        let Keeper { handle, stop, thread } = self;
        drop((handle, stop));
        thread.join().expect("what a snapshot can panic with is caught");
    }
}

fn run(taking: &Taking, requests: &Receiver<oneshot::Sender<Outcome>>, mut growth: Growth, latest: &Newest) {
    let Taking { reader, durable, stopping, .. } = taking;
    loop {
        let look = if growth.every == 0 { never() } else { after(LOOK_EVERY) };
        let mut waiting = Vec::new();
        select! {
            recv(stopping.0) -> _ => return,
            recv(requests) -> request => match request {
                Ok(request) => waiting.push(request),
                Err(_) => return,
            },
            recv(look) -> _ => {
                let newest = *durable.borrow();
                if !growth.is_due(reader.as_ref(), newest) {
                    continue;
                }
            }
        }
        waiting.extend(requests.try_iter());
        // Growth while the snapshot is being taken counts for the next one.
        let bytes = reader.bytes();
        // Read after the last waiting request: its snapshot covers at least what was durable then. The borrow is released at once,
        // because nothing becomes durable while it lasts.
        let up_to = *durable.borrow();
        let outcome = take(taking, up_to, latest);
        if stopping.is_set() {
            return;
        }
        // The journal may have become shorter.
        growth.begins(bytes.min(reader.bytes()));
        // A caller that no longer waits needs no outcome.
        waiting.into_iter().for_each(|waiting| drop(waiting.send(outcome.clone())));
    }
}

/// Takes a snapshot, and logs the outcome.
fn take(taking: &Taking, up_to: Position, latest: &Newest) -> Outcome {
    let began = Instant::now();
    // The journal is read with redb, which may panic on a file that somebody has changed.
    let taken = catch_unwind(AssertUnwindSafe(|| taking.take(up_to)))
        .unwrap_or_else(|panic| Err(TakeError::Panicked(words_of(panic.as_ref()))));
    match taken {
        Ok(Some((taken, end))) => {
            *latest.0.lock() = Some(status_of(end));
            let milliseconds = began.elapsed().as_millis() as u64;
            tracing::info!(position = %taken.position, bytes = taken.bytes, milliseconds, "a snapshot was taken");
            Outcome::Taken(SnapshotTaken { milliseconds, ..taken })
        }
        Ok(None) => Outcome::NothingNew { since: up_to },
        Err(TakeError::Stopping) => Outcome::Failed(TakeError::Stopping.to_string()),
        Err(error) => {
            tracing::error!(%error, %up_to, "no snapshot was taken; the engine runs on, and tries again when the journal has grown");
            Outcome::Failed(error.to_string())
        }
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    words.unwrap_or("no words").to_owned()
}

/// The growth of the journal.
struct Growth {
    /// The number of bytes after which a snapshot is due; 0 for never.
    every: u64,
    /// The journal's bytes when counting began.
    from: u64,
    /// The durable position at the last check.
    seen: Position,
}

impl Growth {
    /// The growth since the newest snapshot. The bytes written since are not recorded anywhere, so they are estimated from the positions.
    fn since(last: Option<Position>, every: u64, reader: &dyn JournalReader, durable: Position) -> Growth {
        let before = u128::from(reader.first().0.saturating_sub(1));
        let (last, durable) = (u128::from(last.map_or(0, |last| last.0)), u128::from(durable.0));
        let (passed, all) = (last.saturating_sub(before), durable.saturating_sub(before));
        let from = u128::from(reader.bytes()) * passed.min(all) / all.max(1);
        Growth { every, from: u64::try_from(from).expect("a part of a u64"), seen: Position(0) }
    }

    /// Whether a snapshot is due. Looks at the files only if something was written since the last check.
    fn is_due(&mut self, reader: &dyn JournalReader, durable: Position) -> bool {
        if self.seen == durable {
            return false;
        }
        self.seen = durable;
        reader.bytes().saturating_sub(self.from) >= self.every
    }

    /// Starts counting from a journal of that size.
    fn begins(&mut self, bytes: u64) {
        self.from = bytes;
    }
}
