//! The tables, and those with a single row: the cursor, the form of codes.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::codes::{CodeForm, RecordedForm, UnknownForm};

/// The version of the tables. It changes with them, and with the meaning of their contents.
pub const VERSION: i64 = 3;

/// The tables.
pub const SCHEMA: &str = include_str!("schema.sql");

/// How long a writer or reader waits for another's lock, which each holds for a moment.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// The form in which the organisation compares codes.
///
/// # Errors
/// When SQLite fails, or this program does not know the form.
pub(crate) fn code_form(connection: &Connection) -> rusqlite::Result<CodeForm> {
    let mut statement = connection.prepare_cached("SELECT code_form FROM organisation")?;
    let known = |number: u8| {
        let unknown = || UnknownForm(RecordedForm { form: number, ..RecordedForm::of(CodeForm::CURRENT) });
        let unknown = || rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, unknown().into());
        CodeForm::from_number(number).ok_or_else(unknown)
    };
    let form = statement.query_row([], |row| known(row.get(0)?)).optional()?;
    // There are no codes before the settings.
    Ok(form.unwrap_or(CodeForm::CURRENT))
}

/// The position up to which the tables are filled.
pub(super) fn read_cursor(connection: &Connection) -> rusqlite::Result<ChainEnd> {
    connection.prepare_cached("SELECT position, hash, time_ms FROM cursor")?.query_row([], |row| {
        Ok(ChainEnd {
            position: Position(row.get::<_, i64>(0)? as u64),
            hash: row.get(1)?,
            time_ms: row.get::<_, i64>(2)? as u64,
        })
    })
}

/// Moves it forward.
pub(super) fn write_cursor(connection: &Connection, chain: &ChainEnd) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE cursor SET position = ?, hash = ?, time_ms = ?")?;
    statement.execute(params![chain.position.0 as i64, chain.hash, chain.time_ms as i64])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program rebuilds files of another version and reads those of its own: tables that changed need a new version.
    #[test]
    fn changed_tables_have_a_new_version() {
        let statements =
            SCHEMA.lines().map(|line| line.split("--").next().unwrap_or_default().trim()).filter(|line| !line.is_empty());
        let digest = blake3::hash(statements.collect::<Vec<_>>().join("\n").as_bytes()).to_hex();
        assert_eq!((VERSION, &digest[..16]), (3, "4f0bac3b0961ae6c"), "give the tables a new version, and state both here");
    }
}
