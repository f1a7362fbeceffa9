//! Opens a snapshot: loads what is small, and maps the rest.
//!
//! What is loaded or checked is read at offsets, so that bytes that the disk cannot read yield an error. Only tables that are
//! read in place are mapped.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{self, PAGE};
use super::names::position_of;
use super::{Header, Section, SnapshotError};
use scrip_core::rows::Ground;
use scrip_core::state::State;
use scrip_core::state::frozen::{Base, Part};
use scrip_core::state::requests::Forgotten;
use scrip_journal::disk::{Disk, Mapped, ReadableFile};

/// How many bytes are read at a time for checking.
const CHECKED_AT_ONCE: usize = 1 << 20;

/// The sections that a start reads, checks and decodes. All others are read in place.
const LOADED: [Part; 5] = [Part::Small, Part::Forgotten, Part::CodeForm, Part::ReaderOwners, Part::RevokedHolders];

/// An opened snapshot.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    header: Header,
    file: Box<dyn ReadableFile>,
}

impl Snapshot {
    /// Opens a snapshot. Checks its header only; [`Snapshot::verify`] checks the rest.
    ///
    /// # Errors
    /// If it cannot be read, its header is damaged, or its name has another position.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Snapshot, SnapshotError> {
        let io = |source| SnapshotError::Io { path: path.to_owned(), source };
        let file = disk.open(path).map_err(io)?;
        let bytes = file.bytes().map_err(io)?;
        let mut page = vec![0; bytes.min(PAGE as u64) as usize];
        read(file.as_ref(), 0, &mut page).map_err(|(offset, source)| SnapshotError::Unreadable {
            path: path.to_owned(),
            offset,
            source,
        })?;
        let header = layout::decode(path, &page, bytes)?;
        let named = path.file_name().and_then(|name| position_of(&name.to_string_lossy()));
        if named.is_some_and(|named| named != header.end.position) {
            return Err(SnapshotError::Misnamed { path: path.to_owned(), found: header.end.position });
        }
        Ok(Snapshot { path: path.to_owned(), header, file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the whole file and checks every section against its hash. `progress` receives the bytes done.
    ///
    /// # Errors
    /// If a section is damaged; the error names its place in the file.
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

    /// Checks one section against its hash. `progress` receives the bytes of each step.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn check(&self, section: &Section, progress: &mut dyn FnMut(u64)) -> Result<(), SnapshotError> {
        let mut go_on = |bytes| {
            progress(bytes);
            true
        };
        self.check_while(section, &mut go_on).map(|_| ())
    }

    /// Verifies the snapshot while `goes_on` returns true. Returns whether it was verified to the end.
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
        let mut piece = vec![0; section.bytes.min(CHECKED_AT_ONCE as u64) as usize];
        let mut done = 0;
        while done < section.bytes {
            let length = (section.bytes - done).min(piece.len() as u64) as usize;
            self.read(section, done, &mut piece[..length])?;
            hasher.update(&piece[..length]);
            done += length as u64;
            if !go_on(length as u64) {
                return Ok(false);
            }
        }
        if hasher.finalize() == section.hash { Ok(true) } else { Err(self.damaged(section)) }
    }

    /// Reads bytes of a section, not through the map: an unreadable byte then yields an error, and does not end the process.
    fn read(&self, section: &Section, at: u64, out: &mut [u8]) -> Result<(), SnapshotError> {
        read(self.file.as_ref(), section.offset + at, out).map_err(|(offset, source)| {
            // A file that ends early was truncated after it was opened.
            match source.kind() == ErrorKind::UnexpectedEof {
                true => self.damaged(section),
                false => SnapshotError::Unreadable { path: self.path.clone(), offset, source },
            }
        })
    }

    fn damaged(&self, section: &Section) -> SnapshotError {
        SnapshotError::Damaged {
            path: self.path.clone(),
            section: section.name,
            offset: section.offset,
            end: section.offset + section.bytes,
        }
    }

    /// Reads a section into memory and checks it.
    pub(super) fn load(&self, section: &Section) -> Result<Mapped, SnapshotError> {
        let length = usize::try_from(section.bytes).map_err(|_| self.damaged(section))?;
        let mut words = vec![0_u128; length.div_ceil(size_of::<u128>())];
        let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..length];
        self.read(section, 0, bytes)?;
        match blake3::hash(bytes) == section.hash {
            true => Ok(Mapped::Memory(words, length)),
            false => Err(self.damaged(section)),
        }
    }

    /// The state, whose large tables are read in place.
    ///
    /// # Errors
    /// If a loaded section is damaged, or the sections contradict each other.
    pub fn state(&self) -> Result<State, SnapshotError> {
        let inconsistent = |what| SnapshotError::Inconsistent { path: self.path.clone(), what };
        let base = {
            let mut loaded = Vec::new();
            for part in LOADED.into_iter().filter(|part| !part.is_lacking(self.header.version)) {
                let section = self.section(part).ok_or(inconsistent("a section is missing"))?;
                loaded.push((part, Arc::new(self.load(section)?) as Ground));
            }
            let map = self.file.map().map_err(|source| SnapshotError::Io { path: self.path.clone(), source })?;
            let map: Ground = Arc::new(map);
            Base::read(self.header.version, |part| match loaded.iter().find(|(of, _)| *of == part) {
                Some((_, ground)) => Some((ground.clone(), 0..ground.len() as u64)),
                None => {
                    let section = self.section(part)?;
                    Some((map.clone(), section.offset..section.offset + section.bytes))
                }
            })
        };
        Ok(State::over(base.map_err(inconsistent)?, self.header.end.position))
    }

    /// The times of the forgotten requests; `None` for a snapshot of version 1, which does not contain them.
    ///
    /// # Errors
    /// If that section is damaged.
    pub(crate) fn forgotten(&self) -> Result<Option<Forgotten>, SnapshotError> {
        let section = self.section(Part::Forgotten);
        let ground = section.map(|section| Ok::<Ground, SnapshotError>(Arc::new(self.load(section)?))).transpose()?;
        let forgotten =
            Forgotten::read(self.header.version, |_| ground.as_ref().map(|ground| (ground.clone(), 0..ground.len() as u64)));
        forgotten.map_err(|what| SnapshotError::Inconsistent { path: self.path.clone(), what })
    }

    fn section(&self, part: Part) -> Option<&Section> {
        self.header.sections.iter().find(|section| section.is(part))
    }
}

/// Reads bytes of a file. If some cannot be read, the error has the offset of the first unreadable page.
fn read(file: &dyn ReadableFile, offset: u64, out: &mut [u8]) -> Result<(), (u64, io::Error)> {
    let Err(whole) = file.read_at(offset, out) else { return Ok(()) };
    let pages = (offset..).step_by(PAGE).zip(out.chunks_mut(PAGE));
    let mut failed = pages.filter_map(|(offset, page)| Some((offset, file.read_at(offset, page).err()?)));
    Err(failed.next().unwrap_or((offset, whole)))
}
