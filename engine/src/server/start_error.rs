//! Errors of starting the server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use scrip_protocol::private::SecretError;

use crate::folder::FolderError;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The authority of callers' certificates is unusable.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The server's key is unreadable, or readable by others.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// A certificate or key is unusable.
    #[error("{path}: {cause}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The server cannot listen on the address.
    #[error("cannot listen on {address} (UDP): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
