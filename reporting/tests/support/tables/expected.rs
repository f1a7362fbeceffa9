//! An expected table: rows of values.

use rusqlite::types::Value;
use scrip_protocol::{ClientId, Stamp};

/// A row, its columns in the order of the schema.
pub(super) type Row = Vec<Value>;

/// The expected contents of a table or a view.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A number, clamped to 64 bits.
pub(super) fn number<N: TryInto<i128>>(number: N) -> Value {
    let wide: i128 = number.try_into().unwrap_or_else(|_| panic!("a number of at most 64 bits"));
    let most = i128::from(i64::MAX);
    Value::Integer(wide.clamp(-most - 1, most) as i64)
}

pub(super) fn optional<N: TryInto<i128>>(some: Option<N>) -> Value {
    some.map_or(Value::Null, number)
}

pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

pub(super) fn json(value: &impl serde::Serialize) -> Value {
    text(serde_json::to_string(value).expect("it can be JSON"))
}

pub(super) fn client(client: ClientId) -> Value {
    match i64::try_from(client.0) {
        Ok(number) => Value::Integer(number),
        Err(_) => text(client.to_string()),
    }
}

pub(super) fn credential(stamp: &Stamp) -> Value {
    number(stamp.credential.0)
}

pub(super) fn request(stamp: &Stamp) -> Value {
    Value::Blob(stamp.request.0.to_be_bytes().to_vec())
}
