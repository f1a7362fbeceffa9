//! Names and ids in cells.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use scrip_protocol::RequestId;

/// The maximum number of cached names. Clubs and credentials are few; if there are more campaigns, names are read again.
const REMEMBERED: usize = 16_384;

/// Looks up names by number.
pub(super) struct Names<'c> {
    find: CachedStatement<'c>,
    known: HashMap<i64, Option<String>>,
}

impl<'c> Names<'c> {
    /// Names returned by a query whose parameter is the number.
    pub(super) fn by(connection: &'c Connection, query: &str) -> rusqlite::Result<Names<'c>> {
        Ok(Names { find: connection.prepare_cached(query)?, known: HashMap::new() })
    }

    /// The name of a number, if it is known and not empty.
    pub(super) fn of(&mut self, number: i64) -> rusqlite::Result<Option<&str>> {
        if self.known.len() == REMEMBERED && !self.known.contains_key(&number) {
            self.known.clear();
        }
        let name = match self.known.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let found: Option<String> = self.find.query_row([number], |row| row.get(0)).optional()?;
                place.insert(found.filter(|name| !name.is_empty()))
            }
        };
        Ok(name.as_deref())
    }
}

/// The id of a client as text; the table has a number or a text.
pub(super) fn client<'a>(id: ValueRef<'a>, text: &'a mut String) -> rusqlite::Result<&'a str> {
    match id {
        ValueRef::Integer(number) => {
            text.clear();
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}");
            Ok(text)
        }
        ValueRef::Text(_) | ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Ok(id.as_str()?),
    }
}

/// The id of a request as text.
pub(super) fn request<'a>(id: ValueRef<'_>, text: &'a mut String) -> rusqlite::Result<&'a str> {
    let bytes = id.as_blob()?;
    let id: [u8; 16] =
        bytes.try_into().map_err(|_| FromSqlError::InvalidBlobSize { expected_size: 16, blob_size: bytes.len() })?;
    text.clear();
    let _ = write!(text, "{}", RequestId(u128::from_be_bytes(id)));
    Ok(text)
}
