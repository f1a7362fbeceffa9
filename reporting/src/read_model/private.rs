//! Files that only their owner can use.

use std::io;
use std::path::{Path, PathBuf};

use scrip_protocol::private;

use super::unusable::ReadModelError;

/// Creates a database that only its owner can use, or restricts an existing one. SQLite gives the files beside it the same
/// mode.
pub(crate) fn make_private(path: &Path) -> Result<(), ReadModelError> {
    if !path.exists() {
        private::file(path).map_err(|source| ReadModelError::File { path: path.to_owned(), source })?;
    }
    close_to_others(path)
}

/// Gives a database and the files beside it mode 0600, if they exist. By name: closing a file that SQLite has open would
/// release its locks.
pub(crate) fn close_to_others(path: &Path) -> Result<(), ReadModelError> {
    for end in ["", "-wal", "-shm"] {
        let mut path = path.as_os_str().to_owned();
        path.push(end);
        let path = PathBuf::from(path);
        match private::tighten_path(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(ReadModelError::File { path, source }),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
