//! Files that `scrip export` writes: everything requested, as of the position in their names, or nothing.
//!
//! The read model is written by hand; other tests cover the sidecar. What spreadsheet programs see in an XLSX is read with
//! openpyxl, which `tests/run` installs under `target/python`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use scrip_reporting::read_model::{SCHEMA, VERSION};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, run, scrip};

/// A folder with a read model of position 12,345, as working directory.
struct Office(TempDir);

impl Office {
    fn new() -> Office {
        let office = Office(tempfile::tempdir().expect("a temporary folder"));
        let store = office.path("store");
        fs::create_dir(&store).expect("temporary folders are writable");
        let connection = Connection::open(store.join("read-model.sqlite")).expect("a new file");
        connection.execute_batch(SCHEMA).expect("the schema is one");
        connection.pragma_update(None, "user_version", VERSION).expect("it can be set");
        connection
            .execute_batch(
                "INSERT INTO cursor VALUES (1, 12345, zeroblob(32), 1798675200000);
                 INSERT INTO beginning VALUES (1, 0, 0, 0);
                 INSERT INTO organisation VALUES (1, 'Arena', 'EUR', 50000, 2, 1, 1, 86400000, 60000);
                 INSERT INTO club VALUES (1, 'Arena North', 0);
                 INSERT INTO credential VALUES (3, 'Kiosk', 'gateway', '[]', 1, 'token', x'00', 0, NULL);
                 INSERT INTO client VALUES (7, '=Ann', 0, 0, 0, 0, 0, 0, '=ann');
                 INSERT INTO campaign VALUES (1, 'Winter', 500, '[]', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1, 0, NULL,
                                              3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL);
                 INSERT INTO codes_added VALUES (1, 0, 3, 1798675200000, 1, 'created');
                 INSERT INTO code VALUES (1, 0, '0012', '0012', 0, 1), (1, 1, '219E01BE', '219E01BE', 2, 1), (1, 2, '1E5', '1E5', 0, 1);
                 INSERT INTO code_use VALUES (1, 0, 1, 1, 20, 20);
                 INSERT INTO activation VALUES (20, 1798675220000, 7, 1, 1, 0, 1, 500, 1500, 3, zeroblob(16), NULL, NULL);
                 INSERT INTO campaign_stretch VALUES (1, 0, 1);",
            )
            .expect("it goes into the tables");
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn export(&self, arguments: &[&str]) -> Ran {
        run(scrip().current_dir(self.0.path()).args(["export", "--store", "store"]).args(arguments), b"")
    }

    /// The files in the folder besides the read model.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("it exists");
        let names = entries.map(|entry| entry.expect("it is readable").file_name().into_string().expect("it is text"));
        let mut names: Vec<String> = names.filter(|name| name != "store").collect();
        names.sort();
        names
    }
}

/// T7, Z10: a file is named after its position, and its contents match. No file is overwritten without --force, and nothing is
/// left beside it.
#[test]
fn a_file_is_named_after_its_position() {
    let office = Office::new();
    let ran = office.export(&["codes", "1"]).exits(0);
    assert_eq!(ran.out, "campaign-1-codes-p12345.csv: 3 rows, 434 bytes, as of position 12,345, 2026-12-31 00:00:00 UTC\n");
    let text = fs::read_to_string(office.path("campaign-1-codes-p12345.csv")).expect("it was written");
    assert_eq!(text.len(), 434);
    assert!(
        text.contains(
            "\r\n1,\"Winter\",\"0012\",\"active\",2026-12-31T00:00:00.000Z,1,20,2026-12-31T00:00:20.000Z,\"7\",\"'=Ann\",1,"
        ),
        "{text}"
    );

    let refused = office.export(&["codes", "1"]).exits(9);
    assert_eq!(refused.err, "scrip: campaign-1-codes-p12345.csv: this file exists; --force overwrites it\n");
    let ran = office.export(&["codes", "1", "--force", "--usage", "unused", "--status", "active", "--json"]).exits(0).json();
    let as_of = json!({
        "position": 12_345,
        "time": "2026-12-31T00:00:00Z",
        "history_after": 0,
        "history_after_time": null
    });
    let bytes = fs::metadata(office.path("campaign-1-codes-p12345.csv")).expect("it was written").len();
    assert_eq!(ran, [json!({ "file": "campaign-1-codes-p12345.csv", "rows": 1, "bytes": bytes, "as_of": as_of })]);

    for format in ["csv", "xlsx", "parquet"] {
        office.export(&["activations", "--format", format]).exits(0);
        office.export(&["activations", "--campaign", "1", "--out", &format!("log.{format}"), "--format", format]).exits(0);
    }
    let expected = [
        "activations-p12345.csv",
        "activations-p12345.parquet",
        "activations-p12345.xlsx",
        "campaign-1-codes-p12345.csv",
        "log.csv",
        "log.parquet",
        "log.xlsx",
    ];
    assert_eq!(office.files(), expected);
}

/// T7: standard output gets the same bytes, and the summary goes to standard error.
#[test]
fn an_export_can_go_to_standard_output() {
    let office = Office::new();
    office
        .export(&["activations", "--from", "2026-12-31T00:00:20Z", "--to", "2026-12-31T00:00:21Z", "--out", "log.csv"])
        .exits(0);
    let ran = office.export(&["activations", "--out", "-"]).exits(0);
    assert_eq!(ran.out, fs::read_to_string(office.path("log.csv")).expect("it was written"));
    assert_eq!(ran.out.lines().count(), 2);
    assert!(ran.err.starts_with("standard output: 1 row, "), "{}", ran.err);
    let before = office.export(&["activations", "--to", "2026-12-31T00:00:20Z", "--out", "-"]).exits(0);
    assert_eq!(before.out.lines().count(), 1);
}

/// Pain 18: a failed export leaves no file.
#[test]
fn a_failed_export_leaves_no_file() {
    let office = Office::new();
    assert_eq!(office.export(&["codes", "9"]).exits(1).err, "scrip: there is no campaign 9\n");
    office.export(&["activations", "--campaign", "9"]).exits(1);
    let late = office.export(&["codes", "1", "--wait-for", "12346", "--wait-seconds", "0"]).exits(3);
    assert_eq!(late.err, "scrip: the read model did not reach position 12346 within 0 s\n");
    let nowhere = office.export(&["codes", "1", "--out", "nowhere/codes.csv"]).exits(9);
    assert!(nowhere.err.starts_with("scrip: nowhere/codes.csv: "), "{}", nowhere.err);
    let none = run(scrip().current_dir(office.path("store")).args(["export", "codes", "1"]), b"").exits(6);
    assert_eq!(none.err, "scrip: scrip-data/reporting/read-model.sqlite does not exist: scrip sidecar creates it\n");
    for arguments in [["codes", "1", "--format", "doc"], ["codes", "1", "--status", "gone"], ["codes", "1", "--usage", "some"]] {
        office.export(&arguments).exits(2);
    }
    // Makes the last row unreadable.
    let connection = Connection::open(office.path("store/read-model.sqlite")).expect("it exists");
    connection.execute_batch("UPDATE code_use SET ever = 2").expect("it is writable");
    for format in ["csv", "xlsx", "parquet"] {
        office.export(&["codes", "1", "--format", format]).exits(6);
    }
    assert_eq!(office.files(), [""; 0]);
    office.export(&["activations", "--wait-for", "12345"]).exits(0);
}

/// Pain 30, Z14: a spreadsheet program sees codes and ids as text with every digit, amounts as numbers, times as times.
#[test]
fn a_spreadsheet_program_reads_every_cell() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(python.exists(), "{} is missing, which reads the spreadsheets: tests/run installs it", python.display());
    let office = Office::new();
    office.export(&["codes", "1", "--format", "xlsx", "--out", "codes.xlsx"]).exits(0);
    let script = "import json, openpyxl, sys
book = openpyxl.load_workbook(sys.argv[1])
sheet = book.active
rows = [[cell if isinstance(cell, (str, int, float, type(None))) else cell.isoformat() for cell in row] for row in sheet.values]
about = {p.name: p.value for p in book.custom_doc_props.props}
print(json.dumps({'sheet': sheet.title, 'frozen': sheet.freeze_panes, 'rows': rows, 'about': about}))";
    let read = run(Command::new(python).args(["-c", script]).arg(office.path("codes.xlsx")), b"").exits(0).json();
    let added = "2026-12-31T00:00:00";
    let n = Value::Null;
    let head = [
        "campaign",
        "campaign_name",
        "code",
        "status",
        "added_at",
        "activations",
        "activation",
        "activated_at",
        "client",
        "client_name",
        "club",
        "club_name",
        "amount",
        "refunded_at",
        "refunded_amount",
        "as_of_position",
    ];
    let rows = json!([
        head,
        [
            "1",
            "Winter",
            "0012",
            "active",
            added,
            1,
            "20",
            "2026-12-31T00:00:20",
            "7",
            "=Ann",
            "1",
            "Arena North",
            5,
            n,
            n,
            "12345"
        ],
        ["1", "Winter", "219E01BE", "archived", added, 0, n, n, n, n, n, n, n, n, n, "12345"],
        ["1", "Winter", "1E5", "active", added, 0, n, n, n, n, n, n, n, n, n, "12345"],
    ]);
    let about = json!({ "as_of_position": "12345", "history_after": "0", "as_of_time": "2026-12-31T00:00:00Z" });
    assert_eq!(read, [json!({ "sheet": "codes", "frozen": "A2", "rows": rows, "about": about })]);
}

/// An export that standard output does not accept fails, even if only its buffered end is lost.
#[test]
fn an_export_to_a_full_disk_fails() {
    let office = Office::new();
    for format in ["csv", "xlsx", "parquet"] {
        let mut command = scrip();
        command.current_dir(office.0.path()).args(["export", "--store", "store", "--format", format, "--out", "-", "codes", "1"]);
        let full = fs::File::options().write(true).open("/dev/full").expect("Linux has one");
        let ran = command.stdout(full).output().expect("it starts");
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(11), "{format}: {err}");
        assert!(err.contains("standard output cannot be written"), "{format}: {err}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(command.stdout(writer).output().expect("it starts").status.code(), Some(0), "{format}");
    }
}
