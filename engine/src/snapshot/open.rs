//! Opening a snapshot: what is small is loaded, everything else stays in the map.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Pod;
use scrip_protocol::wire;

use super::layout::{self, Part};
use super::{Header, Section, SnapshotError};
use crate::disk::{Disk, Mapped};
use crate::state::State;
use crate::state::frozen::{Base, CampaignBase, FormRow, Frozen, FrozenCodes, Ground, Rows, Small};
use crate::state::requests::Forgotten;

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
        let small: Small = wire::decode("small", self.bytes_of(small)).map_err(|_| inconsistent("its small part is not one"))?;
        let (key, homes) = (small.key, small.homes);
        let index = |part, homes| Ok(Frozen::new(self.rows(part)?, homes, key));
        let codes = FrozenCodes {
            texts: self.rows(Part::CodeTexts)?,
            ends: self.rows(Part::CodeEnds)?,
            activations: self.rows(Part::CodeActivations)?,
            index: index(Part::CodeSlots, homes.codes)?,
            places: small.campaigns.iter().map(|campaign| campaign.places).collect(),
        };
        let forgotten = self.forgotten()?.unwrap_or_else(|| {
            // Version 1 forgot ids that had passed by the time of records, and did not move the horizon.
            let passed_ms = small.now_ms.saturating_sub(small.window.window_ms);
            Forgotten::before(small.window.horizon_ms.max(passed_ms))
        });
        let base = Base {
            clients: self.rows(Part::Clients)?,
            counts: self.rows(Part::ClientCounts)?,
            clients_index: index(Part::ClientSlots, homes.clients)?,
            names: self.rows(Part::ClientNames)?,
            name_texts: self.rows(Part::ClientNameTexts)?,
            members: self.rows(Part::Members)?,
            uses: self.rows(Part::Uses)?,
            uses_index: index(Part::UsesSlots, homes.uses)?,
            requests: self.rows(Part::Requests)?,
            replies: self.rows(Part::Replies)?,
            requests_index: index(Part::RequestSlots, homes.requests)?,
            forgotten,
            refunded: self.rows(Part::Refunded)?,
            given_back: self.rows(Part::GivenBack)?,
            reader_owners: self.rows(Part::ReaderOwners)?,
            revoked_holders: self.rows(Part::RevokedHolders)?,
            form: self.form()?,
            codes: Arc::new(codes),
            small,
        };
        check_places(&base).map_err(inconsistent)?;
        Ok(State::over(base, self.header.end.position))
    }

    /// The times of the forgotten requests; `None` for a snapshot of version 1, which does not state them.
    ///
    /// # Errors
    /// When that section is damaged.
    pub(crate) fn forgotten(&self) -> Result<Option<Forgotten>, SnapshotError> {
        if Part::Forgotten.is_lacking(self.header.version) {
            return Ok(None);
        }
        self.check(self.section(Part::Forgotten)?, &mut |_| {})?;
        let what = "the times of its forgotten requests are not in order";
        let forgotten = Forgotten::from_rows(&self.rows(Part::Forgotten)?);
        forgotten.map(Some).ok_or_else(|| SnapshotError::Inconsistent { path: self.path.clone(), what })
    }

    /// The row of the form of codes; none in a snapshot of the first version of the settings.
    fn form(&self) -> Result<Option<FormRow>, SnapshotError> {
        // It decides which codes are the same.
        if !Part::CodeForm.is_lacking(self.header.version) {
            self.check(self.section(Part::CodeForm)?, &mut |_| {})?;
        }
        Ok(self.rows(Part::CodeForm)?.first().copied())
    }

    fn section(&self, part: Part) -> Result<&Section, SnapshotError> {
        let missing = || SnapshotError::Inconsistent { path: self.path.clone(), what: "a section is missing" };
        self.header.sections.iter().find(|section| section.is(part)).ok_or_else(missing)
    }

    pub(super) fn bytes_of(&self, section: &Section) -> &[u8] {
        &self.map[section.offset as usize..(section.offset + section.bytes) as usize]
    }

    fn rows<T: Pod>(&self, part: Part) -> Result<Rows<T>, SnapshotError> {
        debug_assert_eq!(size_of::<T>(), part.row_bytes(), "{}", part.word());
        let section = match self.section(part) {
            Err(_) if part.is_lacking(self.header.version) => return Ok(Rows::default()),
            section => section?,
        };
        let ground: Ground = self.map.clone();
        let not_whole =
            || SnapshotError::Inconsistent { path: self.path.clone(), what: "a section does not end with a whole row" };
        Rows::over(&ground, section.offset..section.offset + section.bytes).ok_or_else(not_whole)
    }
}

/// Checks that whatever names rows names some that there are.
fn check_places(base: &Base) -> Result<(), &'static str> {
    let codes = &base.codes;
    if codes.ends.len() != codes.activations.len() || base.clients.len() != base.counts.len() {
        return Err("tables of the same rows have different lengths");
    }
    let (mut rows, mut text) = (0, 0);
    let follows = |campaign: &CampaignBase| {
        let places = &campaign.places;
        let (first, text_first) = (rows, text);
        rows += places.count as usize;
        text += places.text_bytes;
        let uses_within = campaign.clients.is_none_or(|(_, _, (first, end))| first <= end && end <= base.uses.len() as u64);
        places.first as usize == first && places.text == text_first && uses_within
    };
    if !base.small.campaigns.iter().all(follows) || rows != codes.ends.len() || text != codes.texts.len() as u64 {
        return Err("its campaigns do not have the codes that there are");
    }
    Ok(())
}
