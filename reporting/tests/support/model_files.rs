//! Builds and inspects the read model in tests.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use scrip_protocol::batch::Batch;
use scrip_reporting::read_model::ReadModel;

/// Opens or creates a read model.
pub(crate) fn open(path: &Path) -> ReadModel {
    ReadModel::open(path).expect("a file that can be opened").expect("a read model of this version")
}

/// A connection that reads.
pub(crate) fn look(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).expect("a read model")
}

/// Applies the batches that it does not have yet, in groups whose size is `group`. After each, `applied` decides whether to
/// continue.
pub(crate) fn apply(
    model: &mut ReadModel,
    batches: &[Vec<u8>],
    mut group: impl FnMut() -> usize,
    mut applied: impl FnMut(&ReadModel) -> bool,
) {
    let is_missing = |batch: &Vec<u8>| Batch::parse(batch).expect("whole").first > model.cursor().position;
    let mut rest = &batches[batches.partition_point(|batch| !is_missing(batch))..];
    while !rest.is_empty() {
        let (some, others) = rest.split_at(group().clamp(1, rest.len()));
        model.apply(some).expect("batches that come next");
        rest = others;
        if !applied(model) {
            return;
        }
    }
}

/// The names of all tables.
pub(crate) fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(sql).expect("SQLite has this table");
    let names = statement.query_map([], |row| row.get(0)).expect("it can be read");
    names.map(|name| name.expect("a name is text")).collect()
}

/// The result of a query.
pub(crate) fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap_or_else(|why| panic!("{sql}: {why}"));
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.expect("it takes no parameters").map(|row| row.expect("a row can be read")).collect()
}

/// The contents, table by table, sorted by columns.
pub(crate) fn dump(path: &Path) -> Vec<(String, Vec<Vec<Value>>)> {
    let connection = look(path);
    let table = |name: String| {
        let columns = rows(&connection, &format!("SELECT * FROM pragma_table_info('{name}')")).len();
        let order = (1..=columns).map(|column| column.to_string()).collect::<Vec<_>>().join(", ");
        let all = rows(&connection, &format!("SELECT * FROM {name} ORDER BY {order}"));
        (name, all)
    };
    tables(&connection).into_iter().map(table).collect()
}

/// Checks that two dumps are equal.
#[track_caller]
pub(crate) fn same(one: &[(String, Vec<Vec<Value>>)], other: &[(String, Vec<Vec<Value>>)], what: &str) {
    let names = |dump: &[(String, Vec<Vec<Value>>)]| dump.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(one), names(other), "{what}");
    for ((name, one), (_, other)) in one.iter().zip(other) {
        let differ = one.iter().zip(other).find(|(one, other)| one != other);
        assert!(
            differ.is_none() && one.len() == other.len(),
            "{what}: {name} differs: {differ:?}, {} and {} rows",
            one.len(),
            other.len()
        );
    }
}

/// Runs SQLite's integrity check.
pub(crate) fn is_in_order(connection: &Connection) -> bool {
    rows(connection, "PRAGMA integrity_check") == [[Value::Text("ok".into())]]
}
