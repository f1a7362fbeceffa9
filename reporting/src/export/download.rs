//! Exports over HTTP: the file is first built on disk, then sent.
//!
//! Building it needs a view of the read model, which prevents the write-ahead log from being checkpointed. So it is built at the
//! speed of the disk, independent of its reader, within [`BUILD_MAX`] and while the log is at most [`LOG_BYTES_MAX`].
//! [`BUILDS_MAX`] are built at once, one per credential; others wait for their turn. The file has no name, and disappears with
//! the process at the latest. All files together take at most [`FILES_BYTES_MAX`], those of one credential
//! [`FILES_BYTES_OF_ONE`].
//!
//! The response has a length, so that a truncated file never looks complete, not even over HTTP/1.0 (pain 18, pain 42). A reader
//! must keep up with [`Pace`]: a slow connection is not cut, but a reader that reads nothing does not hold its file forever.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use scrip_web::places::{Place, Places};

use super::{Done, Export, ExportError, Head};
use crate::read_model::{AWAITED_BYTES, Readers, View, log_bytes};

/// The maximum number of exports, each from the request to the last byte.
pub const DOWNLOADS_MAX: usize = 32;

/// The maximum number of exports of one credential.
pub const DOWNLOADS_OF_ONE: usize = 4;

/// The maximum number built at once, each for another credential: each uses a thread and a view.
pub const BUILDS_MAX: usize = 2;

/// How long an export waits for its turn to be built.
pub const TURN_MAX: Duration = Duration::from_secs(60);

/// The timeout for building an export.
pub const BUILD_MAX: Duration = Duration::from_secs(180);

/// The maximum size of all files together, in bytes.
pub const FILES_BYTES_MAX: u64 = 4 << 30;

/// The maximum size of all files of one credential, in bytes: half, so that there is room for others.
pub const FILES_BYTES_OF_ONE: u64 = FILES_BYTES_MAX / 2;

/// The maximum size of the rows that a spreadsheet buffers on disk until it is written, in bytes.
pub const SCRATCH_BYTES_MAX: u64 = 2 << 30;

/// The maximum size of the write-ahead log while an export is built, in bytes.
pub const LOG_BYTES_MAX: u64 = AWAITED_BYTES;

/// The number of bytes sent at once.
const CHUNK_BYTES: u64 = 64 << 10;

/// The number of bytes written to disk at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The headers with the position that an answer is as of, and the position after which its history begins.
const POSITION: HeaderName = HeaderName::from_static("scrip-position");
const HISTORY_AFTER: HeaderName = HeaderName::from_static("scrip-history-after");

/// The minimum speed of a reader.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes per second, on average since the first byte.
    pub bytes_per_second: u64,
    /// The grace period at the beginning.
    pub grace: Duration,
    /// The maximum time for the whole file.
    pub total: Duration,
}

/// The pace that readers must keep. Bytes in the system's buffers count as read, so that a slow reader is never behind because of
/// them.
pub const PACE: Pace =
    Pace { bytes_per_second: 4 << 10, grace: Duration::from_secs(60), total: Duration::from_secs(6 * 60 * 60) };

/// How often the pace of readers is checked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Pace {
    /// Whether a reader that has read so many bytes in this time may continue.
    pub fn allows(&self, elapsed: Duration, taken: u64) -> bool {
        let expected = elapsed.saturating_sub(self.grace).as_secs().saturating_mul(self.bytes_per_second);
        elapsed <= self.total && taken >= expected
    }
}

/// The limits of a process's exports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) build: Duration,
    pub(super) turn: Duration,
    pub(super) files_bytes: u64,
    pub(super) files_bytes_of_one: u64,
    pub(super) log_bytes: u64,
    pub(super) pace: Pace,
    pub(super) look_every: Duration,
}

/// The limits in production.
pub(super) const LIMITS: Limits = Limits {
    build: BUILD_MAX,
    turn: TURN_MAX,
    files_bytes: FILES_BYTES_MAX,
    files_bytes_of_one: FILES_BYTES_OF_ONE,
    log_bytes: LOG_BYTES_MAX,
    pace: PACE,
    look_every: LOOK_EVERY,
};

/// The exports in progress over HTTP.
pub struct Downloads {
    readers: Arc<Readers>,
    pub(crate) places: Places,
    builds: Places,
    room: Room,
    limits: Limits,
}

/// A turn to build an export.
#[derive(Debug)]
pub struct Turn {
    place: Place,
    build: Place,
}

impl Downloads {
    /// None yet.
    pub fn new(readers: Arc<Readers>) -> Downloads {
        Downloads::with_limits(readers, LIMITS)
    }

    pub(super) fn with_limits(readers: Arc<Readers>, limits: Limits) -> Downloads {
        Downloads {
            readers,
            places: Places::new(DOWNLOADS_MAX, DOWNLOADS_OF_ONE),
            builds: Places::new(BUILDS_MAX, 1),
            room: Room { used: Arc::default(), max: limits.files_bytes, max_of_one: limits.files_bytes_of_one },
            limits,
        }
    }

    #[cfg(test)]
    pub(super) fn pace(&self) -> Pace {
        self.limits.pace
    }

    /// The size of all files together, in bytes.
    #[cfg(test)]
    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.room.used.lock().all
    }

    /// Waits for the turn of a credential.
    ///
    /// # Errors
    /// If too many exports are in progress, or the turn does not come in time ([`ExportError::Busy`]).
    pub async fn turn(&self, credential: u32) -> Result<Turn, ExportError> {
        let place = self.places.take(credential).ok_or(ExportError::Busy)?;
        let build = tokio::time::timeout(self.limits.turn, self.builds.wait(credential)).await;
        Ok(Turn { place, build: build.map_err(|_| ExportError::Busy)? })
    }

    /// Builds an export, and returns it as a response.
    ///
    /// # Errors
    /// If it cannot be built: nothing has been sent then.
    pub async fn begin(&self, turn: Turn, export: Export) -> Result<Response, ExportError> {
        let Turn { place, build } = turn;
        let media_type = export.format.media_type();
        let going = Going::default();
        let making = Making {
            readers: Arc::clone(&self.readers),
            export,
            room: self.room.clone(),
            credential: place.credential(),
            limits: self.limits,
            gone: Arc::clone(&going.0),
        };
        // If the caller disconnects, `going` is dropped, and the thread ends at its next check.
        let made = tokio::task::spawn_blocking(move || {
            let _held_until_it_is_made = build;
            making.run()
        });
        let Made { head: Head { file_name, as_of }, file } = made.await.unwrap_or(Err(ExportError::GivenUp))?;
        drop(going);
        let length = file.bytes;
        let headers = [
            (CONTENT_TYPE, media_type.to_owned()),
            (CONTENT_LENGTH, length.to_string()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")),
            (POSITION, as_of.position.to_string()),
            (HISTORY_AFTER, as_of.history_after.to_string()),
        ];
        Ok((headers, Body::from_stream(sent(file, place, self.limits))).into_response())
    }
}

/// The caller that waits for an export. Dropped when the caller is gone.
#[derive(Debug, Default)]
struct Going(Arc<AtomicBool>);

impl Drop for Going {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An export to build.
struct Making {
    readers: Arc<Readers>,
    export: Export,
    room: Room,
    credential: u32,
    limits: Limits,
    gone: Arc<AtomicBool>,
}

/// An export on disk.
struct Made {
    head: Head,
    file: Spool,
}

impl Making {
    fn run(self) -> Result<Made, ExportError> {
        let mut made = Err(ExportError::GivenUp);
        self.readers.view(|view| {
            made = self.make(view);
            Ok(())
        })?;
        made
    }

    fn make(&self, view: &View<'_>) -> Result<Made, ExportError> {
        let head = self.export.head(view)?;
        let folder = self.readers.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file = Spool::new(folder, self.room.clone(), self.credential).map_err(ExportError::from_disk)?;
        let began = Instant::now();
        let mut ended = None;
        let mut goes_on = |_, _| {
            let why = if self.gone.load(Ordering::Relaxed) {
                ExportError::GivenUp
            } else if began.elapsed() > self.limits.build {
                ExportError::TooLong(self.limits.build)
            } else if log_bytes(self.readers.path()) > self.limits.log_bytes {
                ExportError::LogFull
            } else {
                return true;
            };
            ended = Some(why);
            false
        };
        let mut buffer = BufWriter::with_capacity(BUFFER_BYTES, &mut file);
        let done = self.export.run(view, &mut buffer, &mut goes_on);
        drop(buffer);
        let Done { rows, bytes, as_of } = match (done, ended) {
            (Err(ExportError::GivenUp), Some(why)) => return Err(why),
            (Err(ExportError::Sink(why)), _) => return Err(ExportError::from_disk(why)),
            (done, _) => done?,
        };
        tracing::debug!(rows, bytes, position = as_of.position.0, seconds = began.elapsed().as_secs_f64(), "export built");
        Ok(Made { head, file })
    }
}

/// The disk space that all files share.
#[derive(Debug, Clone)]
struct Room {
    used: Arc<Mutex<Used>>,
    max: u64,
    max_of_one: u64,
}

/// The sizes of files, in bytes.
#[derive(Debug, Default)]
struct Used {
    all: u64,
    /// By credential, without zeros.
    of: HashMap<u32, u64>,
}

impl Room {
    /// Reserves space for so many bytes of a credential's file. Returns whether there is enough.
    fn take(&self, credential: u32, bytes: u64) -> bool {
        let mut used = self.used.lock();
        let all = used.all.saturating_add(bytes);
        let of_one = used.of.get(&credential).copied().unwrap_or(0).saturating_add(bytes);
        let is_room = all <= self.max && of_one <= self.max_of_one;
        if is_room {
            used.all = all;
            used.of.insert(credential, of_one);
        }
        is_room
    }

    /// Releases the space.
    fn give_back(&self, credential: u32, bytes: u64) {
        let mut used = self.used.lock();
        used.all = used.all.saturating_sub(bytes);
        if let Some(of_one) = used.of.get_mut(&credential) {
            *of_one = of_one.saturating_sub(bytes);
            if *of_one == 0 {
                used.of.remove(&credential);
            }
        }
    }
}

/// A file without a name, and its reserved space.
struct Spool {
    file: Arc<File>,
    bytes: u64,
    room: Room,
    credential: u32,
}

impl Spool {
    fn new(folder: &Path, room: Room, credential: u32) -> io::Result<Spool> {
        Ok(Spool { file: Arc::new(tempfile::tempfile_in(folder)?), bytes: 0, room, credential })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let more = bytes.len() as u64;
        if !self.room.take(self.credential, more) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes += more;
        self.file.write_all_at(bytes, self.bytes - more)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.room.give_back(self.credential, self.bytes);
    }
}

/// A file that is being sent, with its place among the downloads. Both are dropped when the reader is too slow.
struct Source {
    open: Mutex<Option<(Spool, Place)>>,
    taken: AtomicU64,
}

/// The part of a file that is still to be sent.
fn sent(file: Spool, place: Place, limits: Limits) -> impl Stream<Item = io::Result<Bytes>> {
    let length = file.bytes;
    let source = Arc::new(Source { open: Mutex::new(Some((file, place))), taken: AtomicU64::new(0) });
    let (watched, began) = (Arc::downgrade(&source), tokio::time::Instant::now());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(limits.look_every).await;
            let Some(source) = watched.upgrade() else { return };
            let (elapsed, taken) = (began.elapsed(), source.taken.load(Ordering::Relaxed));
            if !limits.pace.allows(elapsed, taken) {
                tracing::warn!(
                    taken,
                    length,
                    seconds = elapsed.as_secs(),
                    "the reader of an export is too slow; the download is cut off"
                );
                drop(source.open.lock().take());
                return;
            }
        }
    });
    stream::unfold(Some((source, 0)), move |state| async move {
        let (source, at) = state.filter(|(_, at)| *at < length)?;
        let open = source.open.lock().as_ref().map(|(spool, _)| Arc::clone(&spool.file));
        let Some(file) = open else {
            return Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the reader was too slow")), None));
        };
        let size = usize::try_from(CHUNK_BYTES.min(length - at)).unwrap_or(0);
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; size];
            file.read_exact_at(&mut chunk, at).map(|()| Bytes::from(chunk))
        });
        match read.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(chunk) => {
                let at = at + chunk.len() as u64;
                source.taken.store(at, Ordering::Relaxed);
                Some((Ok(chunk), Some((source, at))))
            }
            Err(error) => {
                tracing::error!(%error, "reading the file of an export failed");
                Some((Err(error), None))
            }
        }
    })
}
