//! The history of a request, however old (Z3): the record that it created, and the effects of that record.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row};
use scrip_protocol::{Record, RequestId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::read_model::{AsOf, View};
use crate::shown::{self, Amount, At, Request};

/// The history of a request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RequestFound {
    /// The request.
    pub request: Request,
    /// The record that it created.
    pub position: u64,
    /// The kind of the record, such as `hold-released`.
    pub record: String,
    /// The credential that sent the request.
    pub credential: u32,
    /// The effects of the record; empty if it has none with a row of its own.
    pub did: Vec<Did>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// An effect of a record.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Did {
    /// The kind of effect: `activation`, `entry`, `rule_failure`, `spending`, `refund`, `hold`, `refusal` or `change`.
    pub what: String,
    /// The fields, as stored in the read model.
    #[schema(value_type = Object)]
    pub fields: Value,
}

/// The tables that may have a row of a record, each with the column for its position.
const TABLES: [(&str, &str); 8] = [
    ("activation", "activation"),
    ("entry", "position"),
    ("rule_failure", "position"),
    ("spending", "position"),
    ("refund", "refund"),
    ("hold", "hold"),
    ("refusal", "position"),
    ("change", "position"),
];

/// The history of a request; none if no record in the read model has this id: see [`coverage`] for what that means.
///
/// # Errors
/// If SQLite fails.
pub fn by_request(view: &View<'_>, request: RequestId) -> rusqlite::Result<Option<RequestFound>> {
    let of_row = |row: &Row<'_>| Ok((shown::whole(row, 0)?, row.get::<_, u16>(1)?, row.get(2)?));
    let found = view.connection.prepare_cached(POSITION)?.query_row([Request(request)], of_row).optional()?;
    let Some((position, kind, credential)) = found else { return Ok(None) };
    let record = Record::word_of(kind).unwrap_or("unknown").to_owned();
    let mut did = Vec::new();
    for (table, column) in TABLES {
        let mut statement = view.connection.prepare_cached(&select(table, column))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([shown::bound(position)])?;
        while let Some(row) = rows.next()? {
            let mut fields = Map::new();
            for (at, name) in names.iter().enumerate() {
                let (name, value) = field(name, row.get_ref(at)?)?;
                fields.insert(name, value);
            }
            did.push(Did { what: table.to_owned(), fields: Value::Object(fields) });
        }
    }
    Ok(Some(RequestFound { request: Request(request), position, record, credential, did, as_of: view.as_of }))
}

/// Whether a request without a record here is known not to have been executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// It was not executed: every record that it could have created would be here.
    Whole,
    /// It may have been executed before this history begins.
    BeforeHistory,
    /// It may have been executed after the newest record here, or may still be.
    NotYet,
}

/// Whether this history covers all of the time in which a request could be executed. The engine executes a request until
/// `request_window_ms` after the time in its id, by the clock of its machine: [`View::requests_ms`]. The time of records may be
/// ahead of that clock, and behind the clock by which ids from the future are refused.
///
/// # Errors
/// If SQLite fails.
pub fn coverage(view: &View<'_>, request: RequestId) -> rusqlite::Result<Coverage> {
    if !request.is_version_7() {
        // The engine never executes it.
        return Ok(Coverage::Whole);
    }
    let bounds = |row: &Row<'_>| Ok((shown::whole(row, 0)?, shown::whole(row, 1)?));
    let bounds = view.connection.prepare_cached(BOUNDS)?.query_row([], bounds).optional()?;
    let (window_ms, skew_ms) = bounds.unwrap_or((u64::MAX, u64::MAX));
    let (time_ms, as_of) = (request.time_ms(), view.as_of);
    let begins_ms = as_of.history_after_time.map(|At(time_ms)| time_ms);
    let executed_ms = view.connection.prepare_cached(EXECUTED)?.query_row([], |row| shown::whole(row, 0)).optional()?;
    let is_before = |begins_ms: u64| time_ms <= begins_ms.saturating_add(skew_ms).max(executed_ms.unwrap_or(0));
    Ok(if begins_ms.is_some_and(is_before) {
        Coverage::BeforeHistory
    } else if as_of.time_ms.min(view.requests_ms) <= time_ms.saturating_add(window_ms) {
        Coverage::NotYet
    } else {
        Coverage::Whole
    })
}

pub(crate) const BOUNDS: &str = "SELECT request_window_max_ms, request_skew_max_ms FROM organisation";

pub(crate) const EXECUTED: &str = "SELECT requests_ms FROM beginning";

pub(crate) const POSITION: &str = "SELECT position, kind, credential FROM request WHERE request = ?1";

pub(crate) fn select(table: &str, column: &str) -> String {
    format!("SELECT * FROM \"{table}\" WHERE {column} = ?1")
}

/// A column as a field: amounts, times and ids as everywhere, JSON as it is.
fn field(name: &str, value: ValueRef<'_>) -> rusqlite::Result<(String, Value)> {
    let number = match value {
        ValueRef::Integer(number) => Some(number),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    };
    let text = || value.as_str().unwrap_or_default().to_owned();
    let shown = match (name, number) {
        ("amount" | "balance" | "price" | "taken" | "uncollected", Some(number)) => json!(Amount(number)),
        (name, Some(number)) if name.ends_with("_ms") => {
            let name = name.trim_end_matches("ms").to_owned() + "at";
            // `at_ms` is `at`, as everywhere.
            let name = if name == "at_at" { "at".to_owned() } else { name };
            return Ok((name, json!(At(u64::try_from(number).unwrap_or(0)))));
        }
        ("client", _) if value != ValueRef::Null => json!(value.as_i64().map_or_else(|_| text(), |number| number.to_string())),
        ("request", _) => match value.as_blob().ok().and_then(|blob| <[u8; 16]>::try_from(blob).ok()) {
            Some(bytes) => json!(Request(RequestId(u128::from_be_bytes(bytes)))),
            None => Value::Null,
        },
        ("body" | "tags" | "reply", _) => serde_json::from_str(&text()).unwrap_or(Value::Null),
        (_, Some(number)) => json!(number),
        (_, None) if value == ValueRef::Null => Value::Null,
        (_, None) => json!(text()),
    };
    Ok((name.to_owned(), shown))
}
