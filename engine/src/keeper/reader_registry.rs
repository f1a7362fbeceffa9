//! The registry of the journal's readers, as the snapshotter needs it.

use scrip_protocol::Position;

/// The readers of the journal that are registered with a running engine.
pub trait ReaderRegistry: Send + Sync {
    /// From here on no reader is registered that needs a record before `first`, until the registry is opened again. Returns how far each
    /// reader has read that was registered before, once all of them are durable; asks `stops` whether to give up.
    ///
    /// # Errors
    /// When the engine stops, or gives no answer. The registry stays closed.
    fn close_before(&self, first: Position, stops: &dyn Fn() -> bool) -> Result<Vec<Position>, RegistryError>;

    /// Opens the registry: what is not kept is gone.
    fn open(&self);
}

/// Why the registered readers are not known.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The engine stops.
    #[error("the engine stops")]
    Stopping,
    /// The operating system gives nothing to wait with.
    #[error("waiting for the list of readers: {0}")]
    Runtime(#[source] std::io::Error),
    /// The list cannot be read.
    #[error("the list of readers: {0}")]
    Reply(#[source] scrip_protocol::frame::Malformed),
}
