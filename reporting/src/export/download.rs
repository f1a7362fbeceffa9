//! Exports over HTTP: a blocking thread writes, and a body passes on what it wrote.
//!
//! Between them are at most [`CHUNKS`] chunks of [`CHUNK_BYTES`]: the thread waits for the reader. A reader that takes nothing for
//! [`STALLED`] has lost its export, and one that goes away ends it, because an export holds a view of the read model.
//!
//! The answer begins before the last row is read. If something fails then, the body ends with an error and without its last chunk, by
//! which every client of HTTP sees that it has a part only (pain 18).

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{Done, Export, ExportError, Head};
use crate::read_model::{ReadModelError, Readers, View};

/// How many exports may be under way: each has a thread, and a view that keeps the write-ahead log from being taken over.
pub const AT_ONCE: usize = 4;

/// How many bytes are passed on at once.
pub const CHUNK_BYTES: usize = 64 << 10;

/// How many chunks may wait for the reader.
pub const CHUNKS: usize = 16;

/// How long a reader may take nothing.
pub const STALLED: Duration = Duration::from_secs(60);

/// The position that an answer is as of.
const POSITION: HeaderName = HeaderName::from_static("scrip-position");

/// Those exports that are under way over HTTP.
pub struct Downloads {
    readers: Arc<Readers>,
    pub(super) room: Arc<Semaphore>,
}

impl Downloads {
    /// None yet.
    pub fn new(readers: Arc<Readers>) -> Downloads {
        Downloads { readers, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins an export, and answers with it.
    ///
    /// # Errors
    /// When too many are under way ([`ExportError::Busy`]), there is no such campaign, or the read model fails before the answer has begun.
    pub async fn begin(&self, export: Export) -> Result<Response, ExportError> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| ExportError::Busy(AT_ONCE))?;
        let readers = Arc::clone(&self.readers);
        answer(export, room, STALLED, move |read| {
            readers.view(|view| {
                read(view);
                Ok(())
            })
        })
        .await
    }
}

/// Answers with an export of what `look` gives a view of.
pub(super) async fn answer(
    export: Export,
    room: OwnedSemaphorePermit,
    stalled: Duration,
    look: impl FnOnce(&mut dyn FnMut(&View<'_>)) -> Result<(), ReadModelError> + Send + 'static,
) -> Result<Response, ExportError> {
    let media_type = export.format.media_type();
    let (say, said) = oneshot::channel();
    let (send, receive) = mpsc::channel(CHUNKS);
    let whole = Arc::new(AtomicBool::new(false));
    let is_whole = Arc::clone(&whole);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _room = room;
        let mut say = Some(say);
        let looked = look(&mut |view| {
            let Some(say) = say.take() else { return };
            match export.head(view) {
                // Whoever asked may be gone, which the first chunk will tell.
                Ok(head) => drop(say.send(Ok(head))),
                Err(error) => return drop(say.send(Err(error))),
            }
            let mut chunks = Chunks { send: send.clone(), handle: handle.clone(), stalled, chunk: BytesMut::new() };
            match export.run(view, &mut chunks, &mut |_, _| !send.is_closed()) {
                Ok(Done { rows, bytes, as_of }) => {
                    whole.store(true, Ordering::Release);
                    tracing::debug!(rows, bytes, position = as_of.position.0, "exported");
                }
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "an export ended before its end"),
            }
        });
        if let (Err(error), Some(say)) = (looked, say) {
            let _ = say.send(Err(error.into()));
        }
    });
    let Head { file_name, as_of } = said.await.unwrap_or(Err(ExportError::GivenUp))?;
    let chunks = stream::unfold(Some(receive), move |receive| {
        let whole = Arc::clone(&is_whole);
        async move {
            let mut receive = receive?;
            match receive.recv().await {
                Some(chunk) => Some((Ok(chunk), Some(receive))),
                // The thread is done. Whether it came to its end is what it says; it may have panicked as well.
                None if whole.load(Ordering::Acquire) => None,
                None => Some((Err(io::Error::other("the export ended before its end")), None)),
            }
        }
    });
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")),
        (POSITION, as_of.position.to_string()),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// What is written, in chunks.
struct Chunks {
    send: mpsc::Sender<Bytes>,
    handle: Handle,
    stalled: Duration,
    chunk: BytesMut,
}

impl Chunks {
    fn pass_on(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, BytesMut::with_capacity(CHUNK_BYTES)).freeze();
        self.handle.block_on(self.send.send_timeout(chunk, self.stalled)).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing"),
            SendTimeoutError::Closed(_) => io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone"),
        })
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.chunk.is_empty() {
            true => Ok(()),
            false => self.pass_on(),
        }
    }
}
