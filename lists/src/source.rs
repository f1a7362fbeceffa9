//! A list that can be opened more than once: it is read once to be tried, and again to be sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{List, ListError, ListOptions};

/// A file with a list, or a copy of a stream in a temporary file.
#[derive(Debug)]
pub struct ListSource {
    name: String,
    path: PathBuf,
    options: ListOptions,
    _copy: Option<NamedTempFile>,
}

impl ListSource {
    /// A file. A pipe or a device is copied into a temporary file.
    ///
    /// # Errors
    /// When a pipe or a device cannot be copied.
    pub fn of_file(path: &Path, options: &ListOptions) -> Result<ListSource, ListError> {
        let name = path.display().to_string();
        let is_stream = path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
        if !is_stream {
            return Ok(ListSource { name, path: path.to_owned(), options: options.clone(), _copy: None });
        }
        let mut stream = File::open(path).map_err(|error| unreadable(&name, &error))?;
        ListSource::copy_of(&mut stream, name, options)
    }

    /// A stream under a name for people, copied into a temporary file.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy_of(stream: &mut dyn Read, name: String, options: &ListOptions) -> Result<ListSource, ListError> {
        let copied = NamedTempFile::new().and_then(|mut copy| io::copy(stream, &mut copy).map(|_| copy));
        let copy = copied.map_err(|error| unreadable(&name, &error))?;
        Ok(ListSource { name, path: copy.path().to_owned(), options: options.clone(), _copy: Some(copy) })
    }

    /// Its name for people: the file, or the name of the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens it, from the beginning.
    ///
    /// # Errors
    /// When it cannot be read, or is not a list.
    pub fn open(&self) -> Result<List, ListError> {
        List::open(&self.name, &self.path, &self.options)
    }
}

fn unreadable(name: &str, error: &io::Error) -> ListError {
    ListError { file: name.to_owned(), location: None, why: error.to_string() }
}
