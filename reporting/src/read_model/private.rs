//! Files that only their owner may use.

use std::io;
use std::path::{Path, PathBuf};

use scrip_protocol::private;

use super::unusable::ReadModelError;

/// Creates a database that only its owner can use, or removes the access of others to an existing one. SQLite creates the files
/// beside it with the same mode.
pub(crate) fn make_private(path: &Path) -> Result<(), ReadModelError> {
    if !path.exists() {
        private::file(path).map_err(|source| ReadModelError::File { path: path.to_owned(), source })?;
    }
    close_to_others(path)
}

/// Sets mode 0600 on a database and the files beside it, if they exist. By name, because closing a file that SQLite has open would
/// release SQLite's locks.
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
