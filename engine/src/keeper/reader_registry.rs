//! The registry of the journal's readers, as the snapshotter needs it.

use scrip_protocol::Position;

/// The readers of the journal that are registered with a running engine.
pub trait ReaderRegistry: Send + Sync {
    /// From now on refuses any reader that would need a record before `first`, until the registry is opened again. Returns the
    /// positions of the readers that were registered before, once these are durable. Calls `stops` to learn whether to give up.
    ///
    /// # Errors
    /// If the engine stops or does not reply. The registry stays closed.
    fn close_before(&self, first: Position, stops: &dyn Fn() -> bool) -> Result<Vec<Position>, RegistryError>;

    /// Opens the registry. Dropped records are gone.
    fn open(&self);
}

/// Why the registered readers cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The engine stops.
    #[error("the engine stops")]
    Stopping,
    /// The operating system cannot provide a runtime to wait with.
    #[error("waiting for the list of readers: {0}")]
    Runtime(#[source] std::io::Error),
    /// The list cannot be read.
    #[error("the list of readers: {0}")]
    Reply(#[source] scrip_protocol::frame::Malformed),
}
