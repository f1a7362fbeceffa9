//! The readers of the journal: how far each has come. What none of them has passed is kept, where the journal is not kept whole.

use std::collections::BTreeMap;

use scrip_protocol::command::{
    ForgetReader, ForgetReaderOutcome, KeepReader as Asked, KeepReaderOutcome as Outcome, READERS_MAX, ReaderForgotten,
    ReaderKept,
};
use scrip_protocol::{Position, Record, Stamp};

use super::{State, is_name, refused};

/// A request to register or move a reader.
#[derive(Debug, Clone)]
pub struct AskedKeepReader {
    /// What was asked.
    pub asked: Asked,
    /// The first position that the journal keeps.
    pub kept_from: Position,
}

/// The readers, by their names.
#[derive(Debug, Default, PartialEq)]
pub struct Readers {
    rows: BTreeMap<String, ReaderRow>,
}

/// How far a reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ReaderRow {
    /// The newest record that it has read.
    pub position: Position,
    /// When it said so.
    pub moved_ms: u64,
}

impl Readers {
    /// Those of a snapshot.
    pub(super) fn over(rows: Vec<(String, ReaderRow)>) -> Readers {
        Readers { rows: rows.into_iter().collect() }
    }

    /// A reader of this name.
    pub fn of(&self, name: &str) -> Option<ReaderRow> {
        self.rows.get(name).copied()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ReaderRow)> {
        self.rows.iter().map(|(name, row)| (name.as_str(), *row))
    }

    /// How far all of them have come; `None` where there are none.
    pub fn all_passed(&self) -> Option<Position> {
        self.rows.values().map(|row| row.position).min()
    }

    /// Registers a reader, or moves it.
    pub(crate) fn keep(&mut self, name: &str, row: ReaderRow) {
        self.rows.insert(name.to_owned(), row);
    }
}

pub(super) fn decide_keep(state: &State, stamp: Stamp, asked: &AskedKeepReader) -> Record {
    let refuse = |outcome| refused::<Asked>(stamp, &outcome);
    let AskedKeepReader { asked: Asked { name, position }, kept_from } = asked;
    if !is_name(name) {
        return refuse(Outcome::InvalidName);
    }
    if *position > state.position() {
        return refuse(Outcome::BeyondEnd { newest: state.position() });
    }
    let reader = state.readers.of(name);
    if let Some(ReaderRow { position: further, .. }) = reader.filter(|reader| reader.position > *position) {
        return refuse(Outcome::AlreadyFurther { position: further });
    }
    if position.0 + 1 < kept_from.0 {
        return refuse(Outcome::NotKept { first: *kept_from });
    }
    if reader.is_none() && state.readers.rows.len() >= READERS_MAX {
        return refuse(Outcome::TooManyReaders);
    }
    ReaderKept { stamp, name: name.clone(), position: *position }.into()
}

pub(super) fn apply_kept(state: &mut State, record: &ReaderKept, time_ms: u64) {
    state.readers.keep(&record.name, ReaderRow { position: record.position, moved_ms: time_ms });
}

pub(super) fn decide_forget(state: &State, stamp: Stamp, asked: &ForgetReader) -> Record {
    if state.readers.of(&asked.name).is_none() {
        return refused::<ForgetReader>(stamp, &ForgetReaderOutcome::UnknownReader);
    }
    ReaderForgotten { stamp, name: asked.name.clone() }.into()
}

pub(super) fn apply_forgotten(state: &mut State, record: &ReaderForgotten) {
    state.readers.rows.remove(&record.name);
}
