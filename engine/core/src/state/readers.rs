//! The readers of the journal and their positions. With retention, the engine keeps every segment that a reader has not passed.
//!
//! A reader belongs to the credential that registered it: only that credential and operators can move or remove it. A reader that
//! was registered before this was recorded belongs to operators alone.

use std::collections::BTreeMap;

use scrip_protocol::command::{
    ForgetReader, ForgetReaderOutcome, KeepReader, KeepReaderOutcome as Outcome, READERS_MAX, READERS_PER_CREDENTIAL_MAX,
    ReaderForgotten, ReaderKept, ReaderRegistered,
};
use scrip_protocol::{CredentialId, Position, Record, Stamp};

use super::frozen::ReaderOwnerRow;
use super::{State, is_name, refused};

/// A request to register or move a reader.
#[derive(Debug, Clone)]
pub struct KeepReaderRequest {
    /// The request.
    pub request: KeepReader,
    /// The first position that the journal retains. The engine thread sets it, because segments may be dropped while the request
    /// waits.
    pub kept_from: Position,
    /// The first position that a newly registered reader can have: earlier segments are about to be dropped. Does not apply to a
    /// registered reader, because retention keeps what it needs. The engine thread sets it.
    pub open_from: Position,
    /// Whether the caller may move the readers of other credentials.
    pub anyones: bool,
}

/// A request to remove a reader.
#[derive(Debug, Clone)]
pub struct ForgetReaderRequest {
    /// The request.
    pub request: ForgetReader,
    /// Whether the caller may remove the readers of other credentials.
    pub anyones: bool,
}

/// The readers by name.
#[derive(Debug, Default, PartialEq)]
pub struct Readers {
    rows: BTreeMap<String, ReaderRow>,
    /// The owners of readers. A reader that is not listed belongs to none.
    owners: BTreeMap<String, CredentialId>,
}

/// The position of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ReaderRow {
    /// The newest record that it has read.
    pub position: Position,
    /// When it reported that.
    pub moved_ms: u64,
}

impl Readers {
    /// The readers of a snapshot.
    pub(super) fn over(rows: Vec<(String, ReaderRow)>, owners: &[ReaderOwnerRow]) -> Readers {
        let owned = owners.iter().filter_map(|owner| {
            let (name, _) = rows.get(usize::try_from(owner.reader).ok()?)?;
            Some((name.clone(), CredentialId(u32::try_from(owner.credential).ok()?)))
        });
        Readers { owners: owned.collect(), rows: rows.into_iter().collect() }
    }

    /// The owners of readers, which are numbered in the order of their names.
    pub fn owner_rows(&self) -> impl Iterator<Item = ReaderOwnerRow> {
        let numbered = (0..).zip(self.rows.keys());
        numbered.filter_map(|(reader, name)| Some(ReaderOwnerRow { reader, credential: self.owner_of(name)?.0.into() }))
    }

    /// The owner of a reader.
    pub fn owner_of(&self, name: &str) -> Option<CredentialId> {
        self.owners.get(name).copied()
    }

    /// The reader with this name.
    pub fn of(&self, name: &str) -> Option<ReaderRow> {
        self.rows.get(name).copied()
    }

    /// All readers in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ReaderRow)> {
        self.rows.iter().map(|(name, row)| (name.as_str(), *row))
    }

    /// The position that all readers have reached; `None` without readers.
    pub fn all_passed(&self) -> Option<Position> {
        self.rows.values().map(|row| row.position).min()
    }

    /// Registers a reader, or moves it.
    pub(crate) fn keep(&mut self, name: &str, row: ReaderRow) {
        self.rows.insert(name.to_owned(), row);
    }
}

pub(super) fn decide_keep(state: &State, stamp: Stamp, request: &KeepReaderRequest) -> Record {
    let refuse = |outcome| refused::<KeepReader>(stamp, &outcome);
    let KeepReaderRequest { request: KeepReader { name, position }, kept_from, open_from, anyones } = request;
    if !is_name(name) {
        return refuse(Outcome::InvalidName);
    }
    // First, before any answer that reveals where the reader is.
    if !may_change(state, stamp, name, *anyones) {
        return refuse(Outcome::OtherCredential);
    }
    if *position > state.position() {
        return refuse(Outcome::BeyondEnd { newest: state.position() });
    }
    let reader = state.readers.of(name);
    if let Some(ReaderRow { position: further, .. }) = reader.filter(|reader| reader.position > *position) {
        return refuse(Outcome::AlreadyFurther { position: further });
    }
    let first = if reader.is_some() { *kept_from } else { *kept_from.max(open_from) };
    if position.0 + 1 < first.0 {
        return refuse(Outcome::NotKept { first });
    }
    if reader.is_none() && state.readers.rows.len() >= READERS_MAX {
        return refuse(Outcome::TooManyReaders);
    }
    let owned = || state.readers.owners.values().filter(|owner| **owner == stamp.credential).count();
    if reader.is_none() && !anyones && owned() >= READERS_PER_CREDENTIAL_MAX {
        return refuse(Outcome::TooManyOfCredential);
    }
    match reader {
        Some(_) => ReaderKept { stamp, name: name.clone(), position: *position }.into(),
        None => ReaderRegistered { stamp, name: name.clone(), read_up_to: *position }.into(),
    }
}

/// Whether a request may move or remove a reader: it does not exist, it belongs to the credential, or the caller is an operator.
fn may_change(state: &State, stamp: Stamp, name: &str, anyones: bool) -> bool {
    anyones || state.readers.of(name).is_none() || state.readers.owner_of(name) == Some(stamp.credential)
}

pub(super) fn apply_registered(state: &mut State, record: &ReaderRegistered, time_ms: u64) {
    state.readers.keep(&record.name, ReaderRow { position: record.read_up_to, moved_ms: time_ms });
    state.readers.owners.insert(record.name.clone(), record.stamp.credential);
}

pub(super) fn apply_kept(state: &mut State, record: &ReaderKept, time_ms: u64) {
    state.readers.keep(&record.name, ReaderRow { position: record.position, moved_ms: time_ms });
}

pub(super) fn decide_forget(state: &State, stamp: Stamp, request: &ForgetReaderRequest) -> Record {
    let ForgetReaderRequest { request, anyones } = request;
    if state.readers.of(&request.name).is_none() {
        return refused::<ForgetReader>(stamp, &ForgetReaderOutcome::UnknownReader);
    }
    if !may_change(state, stamp, &request.name, *anyones) {
        return refused::<ForgetReader>(stamp, &ForgetReaderOutcome::OtherCredential);
    }
    ReaderForgotten { stamp, name: request.name.clone() }.into()
}

pub(super) fn apply_forgotten(state: &mut State, record: &ReaderForgotten) {
    state.readers.rows.remove(&record.name);
    state.readers.owners.remove(&record.name);
}
