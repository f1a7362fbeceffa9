//! Opening a snapshot: what is small is loaded, everything else stays in the map.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout;
use super::{Header, Section, SnapshotError};
use scrip_core::state::State;
use scrip_core::state::frozen::{Base, Ground, Part};
use scrip_core::state::requests::Forgotten;
use scrip_journal::disk::{Disk, Mapped};

/// How many bytes are read at once to be checked.
const CHECKED_AT_ONCE: usize = 1 << 20;

/// An opened snapshot.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    header: Header,
    map: Arc<Mapped>,
}

impl Snapshot {
    /// Opens a snapshot: its header is checked, the rest is not read ([`Snapshot::verify`]).
    ///
    /// # Errors
    /// When it cannot be read, is damaged where it was looked at, or has a name that says another position.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Snapshot, SnapshotError> {
        let map = disk.map(path).map_err(|source| SnapshotError::Io { path: path.to_owned(), source })?;
        let header = layout::decode(path, &map)?;
        let named = path.file_name().and_then(|name| super::kept::position_of(&name.to_string_lossy()));
        if named.is_some_and(|named| named != header.end.position) {
            return Err(SnapshotError::Misnamed { path: path.to_owned(), found: header.end.position });
        }
        Ok(Snapshot { path: path.to_owned(), header, map: Arc::new(map) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the whole file and checks every section against its hash. `progress` is told the bytes done.
    ///
    /// # Errors
    /// When a section is damaged, named with its place.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<(), SnapshotError> {
        let mut done = 0;
        for section in &self.header.sections {
            self.check(section, &mut |bytes| {
                done += bytes;
                progress(done);
            })?;
        }
        Ok(())
    }

    /// Checks one section against its hash. `progress` is told each number of bytes that is done.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn check(&self, section: &Section, progress: &mut dyn FnMut(u64)) -> Result<(), SnapshotError> {
        let mut go_on = |bytes| {
            progress(bytes);
            true
        };
        self.check_while(section, &mut go_on).map(|_| ())
    }

    /// Verifies it for as long as it is to go on. Returns whether that was to the end.
    pub(crate) fn verify_while(&self, goes_on: &dyn Fn() -> bool) -> Result<bool, SnapshotError> {
        for section in &self.header.sections {
            if !self.check_while(section, &mut |_| goes_on())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check_while(&self, section: &Section, go_on: &mut dyn FnMut(u64) -> bool) -> Result<bool, SnapshotError> {
        let mut hasher = blake3::Hasher::new();
        for bytes in self.bytes_of(section).chunks(CHECKED_AT_ONCE) {
            hasher.update(bytes);
            if !go_on(bytes.len() as u64) {
                return Ok(false);
            }
        }
        match hasher.finalize() == section.hash {
            true => Ok(true),
            false => Err(SnapshotError::Damaged {
                path: self.path.clone(),
                section: section.name,
                offset: section.offset,
                end: section.offset + section.bytes,
            }),
        }
    }

    /// The state, its large tables read in place.
    ///
    /// # Errors
    /// When what is loaded at once is damaged, or the sections contradict one another.
    pub fn state(&self) -> Result<State, SnapshotError> {
        let small = self.section(Part::Small)?;
        self.check(small, &mut |_| {})?;
        let inconsistent = |what| SnapshotError::Inconsistent { path: self.path.clone(), what };
        // What decides which codes are the same, and which requests are new, is small enough to be checked at once.
        for part in [Part::Forgotten, Part::CodeForm].into_iter().filter(|part| !part.is_lacking(self.header.version)) {
            self.check(self.section(part)?, &mut |_| {})?;
        }
        let base = Base::read(self.header.version, |part| self.ground(part));
        Ok(State::over(base.map_err(inconsistent)?, self.header.end.position))
    }

    /// The times of the forgotten requests; `None` for a snapshot of version 1, which does not state them.
    ///
    /// # Errors
    /// When that section is damaged.
    pub(crate) fn forgotten(&self) -> Result<Option<Forgotten>, SnapshotError> {
        if let Ok(section) = self.section(Part::Forgotten) {
            self.check(section, &mut |_| {})?;
        }
        let forgotten = Forgotten::read(self.header.version, |part| self.ground(part));
        forgotten.map_err(|what| SnapshotError::Inconsistent { path: self.path.clone(), what })
    }

    /// The map, and where in it the section of a part lies.
    fn ground(&self, part: Part) -> Option<(Ground, Range<u64>)> {
        let section = self.header.sections.iter().find(|section| section.is(part))?;
        Some((self.map.clone(), section.offset..section.offset + section.bytes))
    }

    fn section(&self, part: Part) -> Result<&Section, SnapshotError> {
        let missing = || SnapshotError::Inconsistent { path: self.path.clone(), what: "a section is missing" };
        self.header.sections.iter().find(|section| section.is(part)).ok_or_else(missing)
    }

    pub(super) fn bytes_of(&self, section: &Section) -> &[u8] {
        &self.map[section.offset as usize..(section.offset + section.bytes) as usize]
    }
}
