//! How values are stored in the tables.

use std::io::Write as _;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use scrip_protocol::{ClientId, RequestId};

use crate::shown::Client;

/// A client's id as stored in the tables: an integer up to 2^63 - 1, or else the id's text.
pub fn client_value(client: ClientId) -> Value {
    Client(client).into()
}

/// The same, for binding without allocation.
#[derive(Debug, Clone, Copy)]
pub(super) enum ClientKey {
    Number(i64),
    Text { bytes: [u8; 36], length: usize },
}

impl ClientKey {
    pub(super) fn of(client: ClientId) -> ClientKey {
        if let Ok(number) = i64::try_from(client.0) {
            return ClientKey::Number(number);
        }
        let mut bytes = [0; 36];
        let mut rest = &mut bytes[..];
        write!(rest, "{client}").expect("a UUID has 36 characters, and no number has as many");
        let left = rest.len();
        ClientKey::Text { bytes, length: bytes.len() - left }
    }
}

impl ToSql for ClientKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            ClientKey::Number(number) => ValueRef::Integer(*number),
            ClientKey::Text { bytes, length } => ValueRef::Text(&bytes[..*length]),
        }))
    }
}

/// The number in the tables for the club of an activation before the history begins. No club has it.
pub(crate) const UNKNOWN_CLUB: u32 = 0;

/// A name in the form that searches compare.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// The 16 bytes of a request's id, in the order of the ids.
pub(super) fn request_bytes(request: RequestId) -> [u8; 16] {
    request.0.to_be_bytes()
}

/// A number as SQLite stores it; larger ones become the largest that it can store.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A list as JSON.
pub(super) fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("lists and records are JSON")
}

/// The client that is stored as this value.
pub(super) fn client_of(value: &Value) -> Option<ClientId> {
    match value {
        Value::Integer(number) => u128::try_from(*number).ok().map(ClientId),
        Value::Text(text) => text.parse().ok(),
        Value::Null | Value::Real(_) | Value::Blob(_) => None,
    }
}
