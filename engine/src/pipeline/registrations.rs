//! Orders registrations of readers and retention.
//!
//! A registration promises that everything after a position is retained. Before segments are dropped, the registry is therefore
//! closed for them ([`ReaderRegistry::close_before`]): from then on, the engine thread refuses every registration that would need
//! one of these records. A registered reader can still move: retention keeps what it needs. Then the engine thread lists the
//! readers, as for any request: the list contains every reader that was accepted before, and arrives once all of them are
//! durable.
//!
//! Invariant: an accepted reader is either in the list, or needs nothing of what is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scrip_protocol::Position;
use scrip_protocol::command::ListReaders;
use scrip_protocol::frame::{FrameBuffer, Malformed, REPLY_BYTES_MAX};
use tokio::runtime::Builder;

use super::{Call, Chunk, InboxFull, Intake, Outbox, RETRY_AFTER_MS, Read, Request};
use crate::keeper::reader_registry::{ReaderRegistry, RegistryError};
use scrip_journal::JournalReader;

/// How long it waits for the list before it checks whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The positions from which the journal is retained, and promised to new readers.
pub(super) struct KeptFrom {
    reader: Arc<dyn JournalReader>,
    /// Everything before it is about to be dropped; 0 if nothing is.
    closed_before: AtomicU64,
}

impl KeptFrom {
    pub(super) fn new(reader: Arc<dyn JournalReader>) -> KeptFrom {
        KeptFrom { reader, closed_before: AtomicU64::new(0) }
    }

    /// The first retained position.
    pub(super) fn first(&self) -> Position {
        self.reader.first()
    }

    /// The first position that a new reader can have; [`KeptFrom::first`] may be later. Call it before that one: segments may be
    /// dropped, and the registry opened again, in between.
    pub(super) fn open_from(&self) -> Position {
        Position(self.closed_before.load(Ordering::SeqCst))
    }
}

/// The readers of a running engine.
pub(super) struct Registry {
    pub(super) kept_from: Arc<KeptFrom>,
    pub(super) intake: Intake,
}

impl ReaderRegistry for Registry {
    fn close_before(&self, first: Position, stops: &dyn Fn() -> bool) -> Result<Vec<Position>, RegistryError> {
        self.kept_from.closed_before.store(first.0, Ordering::SeqCst);
        let outbox = Arc::new(Outbox::default());
        let request = || Request { correlation: 0, call: Call::Read(Read::ListReaders) };
        loop {
            outbox.expect(1);
            let chunk = Chunk { outbox: outbox.clone(), requests: vec![request()], budget: None, reserved: None };
            match self.intake.offer(chunk) {
                Ok(()) => break,
                Err(InboxFull(_)) if stops() => return Err(RegistryError::Stopping),
                Err(InboxFull(_)) => std::thread::sleep(Duration::from_millis(RETRY_AFTER_MS.into())),
            }
        }
        let runtime = Builder::new_current_thread().enable_time().build().map_err(RegistryError::Runtime)?;
        loop {
            let taken = runtime.block_on(async { tokio::time::timeout(LOOK_EVERY, outbox.take()).await });
            match taken {
                Ok(Some(pieces)) => return positions(&pieces.concat()).map_err(RegistryError::Reply),
                // The engine's journal failed.
                Ok(None) => return Err(RegistryError::Stopping),
                Err(_) if stops() => return Err(RegistryError::Stopping),
                Err(_) => {}
            }
        }
    }

    fn open(&self) {
        self.kept_from.closed_before.store(0, Ordering::SeqCst);
    }
}

fn positions(frames: &[u8]) -> Result<Vec<Position>, Malformed> {
    let mut buffer = FrameBuffer::default();
    buffer.extend(frames);
    let mut positions = Vec::new();
    while let Some(frame) = buffer.next(REPLY_BYTES_MAX)? {
        // A read is never refused.
        if let Ok(listed) = frame.reply::<ListReaders>()? {
            positions.extend(listed.readers.iter().map(|reader| reader.position));
        }
    }
    buffer.end()?;
    Ok(positions)
}
