//! Files that only their owner may use.

use std::io;
use std::path::{Path, PathBuf};

use scrip_protocol::private;

use super::unusable::ReadModelError;

/// Makes a database that only its owner may use, or closes one that is there to others. What stands beside it SQLite makes with its mode.
pub(crate) fn make_private(path: &Path) -> Result<(), ReadModelError> {
    if !path.exists() {
        private::file(path).map_err(|source| ReadModelError::File { path: path.to_owned(), source })?;
    }
    close_to_others(path)
}

/// Gives a database and what stands beside it mode 0600, where they are there. By their names: to close a file that SQLite has open
/// would take its locks away.
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
