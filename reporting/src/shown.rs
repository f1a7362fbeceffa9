//! Values as they appear in JSON: amounts as decimal strings in major units, times as RFC 3339 strings in UTC, ids of clients and
//! requests as strings.
//!
//! In Rust they are the minor units and milliseconds of the tables. Each of these types can be read from a column and describes
//! itself in the OpenAPI document. An invalid value in a column is an error, never another value.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use scrip_protocol::{ClientId, Money, RequestId};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// An amount in minor units; in JSON a string in major units, such as `5.00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub i64);

/// A time in milliseconds since 1970; in JSON an RFC 3339 string in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub u64);

/// The id of a client as stored in the tables: an integer up to 2^63 - 1, otherwise a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub ClientId);

/// The id of a request: 16 bytes in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request(pub RequestId);

/// A JSON value stored in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Money(self.0))
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&timestamp(self.0))
    }
}

impl Serialize for Client {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Serializes a field in minor units.
pub(crate) fn amount<S: Serializer>(minor: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    Amount(*minor).serialize(serializer)
}

/// Serializes a field in milliseconds since 1970.
pub(crate) fn time<S: Serializer>(milliseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    At(*milliseconds).serialize(serializer)
}

/// RFC 3339 ends with the year 9999; later times are clamped to its last moment.
fn timestamp(milliseconds: u64) -> Timestamp {
    i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

impl FromSql for Amount {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Amount> {
        i64::column_result(value).map(Amount)
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<At> {
        let ms = i64::column_result(value)?;
        u64::try_from(ms).map(At).map_err(|_| FromSqlError::OutOfRange(ms))
    }
}

impl FromSql for Client {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Client> {
        match value {
            ValueRef::Integer(number) => {
                u64::try_from(number).map(|id| Client(ClientId(id.into()))).map_err(|_| FromSqlError::OutOfRange(number))
            }
            ValueRef::Text(_) => value.as_str()?.parse().map(Client).map_err(FromSqlError::other),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Err(FromSqlError::InvalidType),
        }
    }
}

impl From<Client> for Value {
    fn from(client: Client) -> Value {
        i64::try_from(client.0.0).map_or_else(|_| Value::Text(client.0.to_string()), Value::Integer)
    }
}

impl ToSql for Client {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned((*self).into()))
    }
}

impl FromSql for Request {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Request> {
        <[u8; 16]>::column_result(value).map(|bytes| Request(RequestId(u128::from_be_bytes(bytes))))
    }
}

impl ToSql for Request {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Blob(self.0.0.to_be_bytes().to_vec())))
    }
}

impl<T: serde::de::DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Json<T>> {
        serde_json::from_str(value.as_str()?).map(Json).map_err(FromSqlError::other)
    }
}

/// An integer from a column.
pub(crate) fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// An integer from a nullable column.
pub(crate) fn whole_or_none(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<At>>(column)?.map(|At(number)| number))
}

/// A number to compare columns with, clamped to the range of SQLite's integers.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Describes a type that is a string in JSON.
macro_rules! a_text {
    ($name:ident, $description:literal, $with:expr) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($description));
                let with: fn(ObjectBuilder) -> ObjectBuilder = $with;
                with(text).into()
            }
        }
        impl ToSchema for $name {}
    };
}

a_text!(Amount, "An amount of the organisation's currency, in major units with two decimals.", |text| {
    text.pattern(Some(r"^-?[0-9]+\.[0-9]{2}$")).examples(["5.00"])
});
a_text!(At, "A time, in UTC.", |text| text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))));
a_text!(Client, "The id of a client: a decimal number without leading zeros, or a lowercase UUID with hyphens.", |text| text
    .examples(["1042"]));
a_text!(Request, "The id of a request.", |text| text.format(Some(SchemaFormat::Custom("uuid".into()))));

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: impl Serialize) -> String {
        serde_json::to_string(&value).expect("it is JSON")
    }

    #[test]
    fn values_leave_as_people_write_them() {
        assert_eq!(json(Amount(500)), r#""5.00""#);
        assert_eq!(json(Amount(-1)), r#""-0.01""#);
        assert_eq!(json(Amount(i64::MIN)), r#""-92233720368547758.08""#);
        assert_eq!(json(At(1_790_000_000_123)), r#""2026-09-21T14:13:20.123Z""#);
        assert_eq!(json(At(u64::MAX)), json(At(u64::MAX - 1)));
        assert_eq!(json(Client(ClientId(u128::from(u64::MAX)))), r#""18446744073709551615""#);
    }

    #[test]
    fn clients_are_read_as_they_were_written() {
        let sqlite = rusqlite::Connection::open_in_memory().expect("SQLite opens");
        for id in [0, 42, u128::from(u64::MAX >> 1), u128::from(u64::MAX), u128::MAX] {
            let client = Client(ClientId(id));
            let read = sqlite.query_row("SELECT ?1", [client], |row| row.get::<_, Client>(0));
            assert_eq!(read, Ok(client));
        }
        assert!(sqlite.query_row("SELECT -1", [], |row| row.get::<_, Client>(0)).is_err());
        assert!(sqlite.query_row("SELECT 'Ann'", [], |row| row.get::<_, Client>(0)).is_err());
    }
}
