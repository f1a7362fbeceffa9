//! The read model laid beside the recount: what must stand in each table of `schema.sql`, row by row.
//!
//! [`compare`] asks every table there is; one that nobody recounts is a difference as well. Lists and terms in JSON are compared
//! as values. Counters of 64 bits that a sum would pass stand at their end.

mod campaigns;
mod clients;
mod staff;
mod table;

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::types::Value;

use self::table::{Row, Table, text};
use super::read_model;
use super::recount::Past;

/// Says in what the read model differs from the recount: nothing, if it does not.
pub(crate) fn differences(connection: &Connection, past: &Past<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    let tables = [campaigns::tables(past), clients::tables(past), staff::tables(past)].into_iter().flatten();
    let mut left: BTreeSet<String> = read_model::tables(connection).into_iter().collect();
    for Table { name, rows } in tables {
        left.remove(name);
        let mut found = read_model::rows(connection, &format!("SELECT * FROM {name}"));
        // What is said of a refusal or a change is for people: that it is said is compared, and that it is a text of its kind.
        match name {
            "refusal" => found.iter_mut().for_each(|row| said(&mut row[11], |text| !text.trim().is_empty())),
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

/// Checks that the read model is what the recount says.
#[track_caller]
pub(crate) fn compare(connection: &Connection, past: &Past<'_>, what: &str) {
    let differences = differences(connection, past);
    assert!(differences.is_empty(), "{what}, at position {}:\n{}", past.end.position, differences.join("\n"));
}

/// Rows as texts, so that they can be sorted and read. What is JSON is written in one way.
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

/// Puts one word for any text of a kind.
fn said(value: &mut Value, is_of_kind: impl Fn(&str) -> bool) {
    if matches!(value, Value::Text(text) if is_of_kind(text)) {
        *value = text("said");
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}
