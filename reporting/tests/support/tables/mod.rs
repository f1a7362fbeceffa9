//! Compares the read model with the recount: the expected rows of each table of `schema.sql`.
//!
//! [`compare`] checks every existing table; one without a recount is a difference too. Lists and terms in JSON are compared as
//! values. Sums beyond 64 bits are clamped.

mod campaign_rows;
mod client_rows;
mod expected;
mod organisation;

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::types::Value;

use self::expected::{Row, Table, text};
use super::model_files;
use super::recount::Past;

/// Lists the differences between the read model and the recount.
pub(crate) fn differences(connection: &Connection, past: &Past<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    let tables = [campaign_rows::tables(past), client_rows::tables(past), organisation::tables(past)].into_iter().flatten();
    let mut left: BTreeSet<String> = model_files::tables(connection).into_iter().collect();
    for Table { name, rows } in tables {
        left.remove(name);
        let mut found = model_files::rows(connection, &format!("SELECT * FROM {name}"));
        // The texts of refusals and changes are for people: the test compares only that they exist and are of the right kind.
        match name {
            "refusal" => found.iter_mut().for_each(|row| said(&mut row[11], |text| !text.trim().is_empty())),
            // Of rows of times that are over some may be left.
            "held" => found.retain(|row| is_later(row, past.end.time_ms)),
            "change" => found.iter_mut().for_each(|row| said(&mut row[6], |text| text.starts_with('{') && is_json(text))),
            _ => {}
        }
        let (expected, found) = (shown(name, &rows), shown(name, &found));
        let missing: Vec<_> = expected.difference(&found).take(3).collect();
        let surplus: Vec<_> = found.difference(&expected).take(3).collect();
        if !missing.is_empty() || !surplus.is_empty() {
            differences.push(format!("{name}: expected {missing:#?}, found {surplus:#?}"));
        } else if rows.len() != expected.len() {
            differences.push(format!("{name}: a row is there twice"));
        }
    }
    if !left.is_empty() {
        differences.push(format!("nobody recounts these tables: {left:?}"));
    }
    differences
}

/// Checks that the read model equals the recount.
#[track_caller]
pub(crate) fn compare(connection: &Connection, past: &Past<'_>, what: &str) {
    let differences = differences(connection, past);
    assert!(differences.is_empty(), "{what}, at position {}:\n{}", past.end.position, differences.join("\n"));
}

/// Rows as texts, so that they can be sorted and read. JSON is normalised.
fn shown(name: &str, rows: &[Row]) -> BTreeSet<String> {
    let value = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::Text(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json @ (serde_json::Value::Array(_) | serde_json::Value::Object(_))) => format!("{json:?}"),
            Ok(_) | Err(_) => format!("{text:?}"),
        },
    };
    let row = |row: &Row| row.iter().map(value).collect::<Vec<_>>().join(" | ");
    rows.iter().map(|of| format!("{name}: {}", row(of))).collect()
}

/// Whether a row of sums of holds is about a later time.
fn is_later(row: &Row, now_ms: u64) -> bool {
    let [_, Value::Integer(length), Value::Integer(stretch), ..] = &row[..] else { panic!("{row:?}") };
    *stretch << *length > i64::try_from(now_ms).expect("a time of this age")
}

/// Puts one word for any text of a kind.
fn said(value: &mut Value, is_of_kind: impl Fn(&str) -> bool) {
    if matches!(value, Value::Text(text) if is_of_kind(text)) {
        *value = text("said");
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}
