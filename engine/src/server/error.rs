//! Errors of starting the server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use scrip_protocol::private::SecretError;

use crate::folder::FolderError;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The authority that callers' certificates are signed by cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The server's key cannot be read, or others may read it.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// A certificate or key cannot be used.
    #[error("{path}: {cause}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (UDP): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
