//! Lists of codes as people have them: spreadsheets written by other programs, and texts, through the real binary. Every code is
//! read to its last digit, or the error names its cell.
//!
//! `tests/lists/write.py` writes the spreadsheets, with the packages that `tests/run` installs under `target/python`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scrip_protocol::Role;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, Server, run, scrip};

fn python() -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(python.exists(), "{} is missing, which writes the spreadsheets: tests/run installs it", python.display());
    Command::new(python)
}

/// A folder with groups of spreadsheets.
struct Spreadsheets(TempDir);

impl Spreadsheets {
    fn write(groups: &[&str]) -> Spreadsheets {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lists/write.py");
        run(python().arg(script).arg(folder.path()).args(groups), b"").exits(0);
        Spreadsheets(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("it was written")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("temporary folders are writable");
    }

    /// The error for an unusable list: one line, after its name. No request is sent, so no engine is needed.
    #[track_caller]
    fn refusal(&self, name: &str, options: &[&str]) -> String {
        let ran = run(scrip().args(["codes", "add", "1"]).arg(self.path(name)).args(options), b"").exits(9);
        let text = ran.err.strip_prefix(&format!("scrip: {}: ", self.path(name).display()));
        let text = text.and_then(|text| text.strip_suffix('\n')).unwrap_or_else(|| panic!("{ran:?}"));
        assert!(!text.contains('\n'), "{text}");
        text.to_owned()
    }
}

/// Creates a campaign from a list, skipping conflicts and invalid lines.
fn create(server: &Server, name: &str, list: &Path, options: &[&str]) -> Ran {
    let mut command = server.scrip(Role::Marketing);
    command.args(["campaign", "create", "--name", name, "--amount", "1", "--on-conflict", "skip"]);
    run(command.args(options).arg(list), b"")
}

/// The codes of the journal's last record, as they were written.
fn codes_of_the_last_record(server: &Server) -> Value {
    let tail = run(server.scrip(Role::Reporter).args(["tail", "--json"]), b"").exits(0).json();
    tail.last().map_or(Value::Null, |line| line["codes"].clone())
}

/// K3, K5, K9, Z14, A15, pain 13, pain 17, pain 30: every kind of cell, with the number recognised, the duplicates, and the
/// location of each skipped cell.
#[test]
fn a_campaign_is_created_from_a_spreadsheet() {
    let (server, sheets) = (Server::start(), Spreadsheets::write(&["codes"]));
    let list = sheets.path("codes.xlsx");
    let ran = create(&server, "Spring", &list, &[]).exits(0);
    assert_eq!(
        ran.out,
        "created campaign 1: added 9, skipped 2\n  recognised in the list   11\n  duplicates in the list    1\n  \
         already in the campaign   0\n  held by other campaigns   0\n  invalid                   1\n  \
         Sheet1!B9: \"SPRING-1\": duplicate of Sheet1!B8\n  Sheet1!B12: \"no good\": invalid: character 3 is white space\n"
    );
    let name = list.display();
    assert_eq!(
        ran.err,
        format!(
            "{name}: Sheet1!B1: \"Promo Code\" is read as a header; --header no reads it as a code\n\
             {name}: 11 codes recognised, the last in Sheet1!B13\n"
        )
    );
    assert_eq!(
        codes_of_the_last_record(&server),
        json!(["0012", "219E01BE", "spaced", "12345678901", "0007", "spring-1", "=SPRING", "Б&<_x0041_>", "12345"])
    );
}

/// K3, K6: `codes add` accepts a spreadsheet as `campaign create` does, also from standard input, and its verdicts name cells.
#[test]
fn codes_are_added_from_a_spreadsheet() {
    let (server, sheets) = (Server::start(), Spreadsheets::write(&["written", "good"]));
    create(&server, "Spring", &sheets.path("good.xlsx"), &[]).exits(0);
    let add = |args: &[&str], stdin: &[u8]| run(server.scrip(Role::Marketing).args(["codes", "add", "1"]).args(args), stdin);
    let ran = add(&[], &sheets.bytes("good.xlsx")).exits(0);
    assert_eq!(
        ran.out,
        "added 0, skipped 2\n  recognised in the list   2\n  duplicates in the list   0\n  already in the campaign  2\n  \
         held by other campaigns  0\n  invalid                  0\n  Sheet1!A2: \"GOOD-1\": already in this campaign\n  \
         Sheet1!A3: \"GOOD-2\": already in this campaign\n"
    );
    assert!(ran.err.ends_with("standard input: 2 codes recognised, the last in Sheet1!A3\n"), "{}", ran.err);
    // With a header that is a code, and JSON output, in which lines are the sheet's rows.
    let ran = add(&["--header", "no", "--json"], &sheets.bytes("good.xlsx")).exits(0);
    let skipped = json!([
        { "line": 2, "code": "GOOD-1", "why": "already_in_campaign" },
        { "line": 3, "code": "GOOD-2", "why": "already_in_campaign" },
    ]);
    assert_eq!(ran.json()[0]["outcome"]["added"], json!({ "added": 1, "skipped": skipped }));
    assert_eq!(codes_of_the_last_record(&server), json!(["code"]));

    let written = sheets.path("written.xlsx");
    let ran = create(&server, "Other writer", &written, &[]).exits(0);
    assert!(ran.out.starts_with("created campaign 2: added 5, skipped 0\n"), "{}", ran.out);
    assert_eq!(codes_of_the_last_record(&server), json!(["0012", "00012", "123456789012345", "FORMULA-1", "RICH-1"]));
    let ran = add(&[written.to_str().expect("temporary folders have plain names")], b"").exits(0);
    assert!(ran.out.contains("\n  List!A7: \"RICH-1\": held by campaign 2\n"), "{}", ran.out);
}

/// K1, K3: as many codes as a campaign can hold, in one file.
#[test]
fn a_spreadsheet_can_hold_all_codes_of_a_campaign() {
    let (server, sheets) = (Server::start(), Spreadsheets::write(&["bulk"]));
    let ran = create(&server, "Bulk", &sheets.path("fifty_thousand.xlsx"), &[]).exits(0);
    assert_eq!(ran.out, "created campaign 1: added 50,000, skipped 0\n");
    let codes = codes_of_the_last_record(&server);
    assert_eq!((&codes[0], &codes[49_999]), (&json!("BULK-00000"), &json!("BULK-49999")));
}

/// K3: the first visible sheet that is not empty is read, or the named one, hidden or not; merged cells have their value once.
#[test]
fn sheets_are_chosen() {
    let (server, sheets) = (Server::start(), Spreadsheets::write(&["sheets"]));
    let list = sheets.path("sheets.xlsx");
    let ran = create(&server, "Autumn", &list, &[]).exits(0);
    assert!(ran.err.ends_with(": 3 codes recognised, the last in 'It''s autumn'!C7\n"), "{}", ran.err);
    assert_eq!(codes_of_the_last_record(&server), json!(["AUTUMN-1", "AUTUMN-2", "AUTUMN-3"]));
    for (sheet, codes) in [("winter", json!(["WINTER-1"])), ("Old", json!(["HIDDEN-1"]))] {
        create(&server, sheet, &list, &["--sheet", sheet]).exits(0);
        assert_eq!(codes_of_the_last_record(&server), codes, "{sheet}");
    }
    let names = r#""Old" (hidden), "Empty", "It's autumn", "Winter""#;
    let refusal = |options: &[&str]| sheets.refusal("sheets.xlsx", options);
    assert_eq!(refusal(&["--sheet", "Summer"]), format!("there is no sheet \"Summer\"; the sheets are: {names}"));
    assert_eq!(refusal(&["--sheet", "Empty"]), "Empty: the sheet is empty");
    let none = "all visible sheets are empty; the sheets are: \"Sheet1\"";
    assert_eq!(sheets.refusal("empty.xlsx", &[]), none);
}

/// K3: if several columns are possible, they are listed, and nothing is read.
#[test]
fn columns_are_chosen() {
    let (server, sheets) = (Server::start(), Spreadsheets::write(&["columns"]));
    let list = sheets.path("columns.xlsx");
    let all = r#"A "Name", B "Number", D "When""#;
    assert_eq!(
        sheets.refusal("columns.xlsx", &[]),
        format!("Sheet1: the codes could be in any of these columns: {all}; choose one, for example --column A")
    );
    assert_eq!(
        sheets.refusal("columns.xlsx", &["--column", "C"]),
        format!("Sheet1: no column has the letters or the header \"C\"; the columns are: {all}")
    );
    assert_eq!(
        sheets.refusal("twice.xlsx", &[]),
        r#"Sheet1: the codes could be in any of these columns: A "code", B "Code"; choose one, for example --column A"#
    );
    for (name, options, codes) in [
        ("by header", ["--column", "NUMBER", "--header", "auto"], json!(["1001", "1002"])),
        ("by letter", ["--column", "d", "--header", "yes"], json!(["today"])),
        ("without header", ["--column", "A", "--header", "no"], json!(["Name", "first", "second"])),
    ] {
        create(&server, name, &list, &options).exits(0);
        assert_eq!(codes_of_the_last_record(&server), codes, "{name}");
    }
    let ran = create(&server, "bare", &sheets.path("bare.xlsx"), &[]).exits(0);
    assert!(ran.err.ends_with(": 2 codes recognised, the last in Sheet1!A3\n"), "{}", ran.err);
}

/// Z14, pain 30: a value that a spreadsheet may have changed is never guessed at: the error names its cell, and the remedy.
#[test]
fn cells_that_may_have_been_another_code_are_refused() {
    let sheets = Spreadsheets::write(&["refused", "written"]);
    let fix = "format the column as text and enter its codes again";
    let other = format!("so the code may have been different: {fix}");
    let value =
        "the file has no value for this formula: open it in a spreadsheet program and save it there, or enter the value itself";
    for (name, why) in [
        ("date.xlsx", format!("Sheet1!B3: this is a date or time (format yyyy-mm-dd), not a code: {fix}")),
        ("truth.xlsx", format!("Sheet1!B3: this is a logical value (TRUE), not a code: {fix}")),
        ("error.xlsx", "Sheet1!B3: this is an error value (#N/A), not a code".to_owned()),
        ("formula.xlsx", format!("Sheet1!B3: {value}")),
        (
            "long.xlsx",
            format!("Sheet1!B3: the number 1.234567890123457e+16 has more than the 15 digits that a spreadsheet stores, {other}"),
        ),
        ("power.xlsx", format!("Sheet1!B3: the number 2190 is shown in the format 0.00E+00, {other}")),
        ("day.xlsx", format!("Sheet1!A1: this is a date or time (format d-mmm), not a code: {fix}")),
        ("zero.xlsx", format!("Sheet1!A2: {value}")),
    ] {
        assert_eq!(sheets.refusal(name, &[]), why, "{name}");
    }
}

/// A file that is damaged, protected, or of another kind gets an error of one line.
#[test]
fn files_that_are_not_spreadsheets_are_refused() {
    let sheets = Spreadsheets::write(&["damaged"]);
    let good = sheets.bytes("good.xlsx");
    sheets.put("cut_off.xlsx", &good[..good.len() / 2]);
    sheets.put("empty.xlsx", b"");
    sheets.put("text.xlsx", b"CODE-1\n");
    let old = [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), &[0; 1_500]].concat();
    let encrypted: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    sheets.put("locked.xlsx", &[old.as_slice(), &encrypted].concat());
    sheets.put("old.xls", &old);
    let sheet = "xl/worksheets/sheet1.xml";
    for (name, why) in [
        ("cut_sheet.xlsx", format!("the file is damaged: {sheet} is truncated")),
        ("no_sheet.xlsx", "the file is damaged: xl/worksheets/sheet9.xml is missing".to_owned()),
        ("no_text.xlsx", "Sheet1!A3: the file is damaged: the cell's text is not in the string table".to_owned()),
        ("order.xlsx", "Sheet1, row 2: the file is damaged: its rows or cells are out of order".to_owned()),
        ("archive.zip", "this is a ZIP archive, but not a spreadsheet (.xlsx)".to_owned()),
        ("document.docx", "this is a ZIP archive, but not a spreadsheet (.xlsx)".to_owned()),
        ("calc.ods", "this is an OpenDocument file: save it as .xlsx".to_owned()),
        ("locked.xlsx", "this spreadsheet is protected by a password: save it without one".to_owned()),
        ("old.xls", "this is an old spreadsheet (.xls) or another old Office document: save it as .xlsx".to_owned()),
        ("text.xlsx", "this is named like a spreadsheet but is not one; it may be damaged".to_owned()),
        ("empty.xlsx", "this is named like a spreadsheet but is not one; it may be damaged".to_owned()),
    ] {
        assert_eq!(sheets.refusal(name, &[]), why, "{name}");
    }
    let why = sheets.refusal("cut_off.xlsx", &[]);
    assert!(why.starts_with("the file is damaged or cut off: "), "{why}");
    assert!(sheets.refusal("none.xlsx", &[]).contains("No such file"));
}

/// A small file with large contents is refused, and takes little memory.
#[test]
fn the_unpacked_size_of_a_spreadsheet_is_bounded() {
    const MEMORY_KIB_MAX: u64 = 96 * 1024;
    let sheets = Spreadsheets::write(&["bombs"]);
    let (sheet, strings) = ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml");
    let measure = "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; \
                   print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)";
    for (name, why) in [
        ("bomb_of_texts.xlsx", format!("{strings} unpacks to more than 128 MiB, too much for a list of codes")),
        ("bomb_of_blanks.xlsx", format!("{sheet} unpacks to more than 512 MiB, too much for a list of codes")),
        ("bomb_of_one_text.xlsx", format!("{strings} has a text of more than 1024 KiB, too long for a spreadsheet")),
        ("bomb_of_depth.xlsx", format!("{sheet} is nested more than 64 levels deep, too deep for a spreadsheet")),
        (
            "bomb_that_lies.xlsx",
            format!("the file is damaged: {strings}: I/O error: File is larger than its declared uncompressed size"),
        ),
    ] {
        let mut command = python();
        command.args(["-c", measure]).arg(env!("CARGO_BIN_EXE_scrip")).args(["codes", "add", "1"]).arg(sheets.path(name));
        let ran = run(&mut command, b"").exits(9);
        assert_eq!(ran.err, format!("scrip: {}: {why}\n", sheets.path(name).display()));
        let memory_kib: u64 = ran.out.trim().parse().expect("a number");
        assert!(memory_kib < MEMORY_KIB_MAX, "{name} took {memory_kib} KiB");
    }
}

/// Z14: a text can have a header as well; text that is not UTF-8 is reported; options for spreadsheets are not silently ignored.
#[test]
fn texts_are_read_by_the_same_rules() {
    let server = Server::start();
    let create = |name: &str, options: &[&str], text: &[u8]| {
        let mut command = server.scrip(Role::Marketing);
        run(command.args(["campaign", "create", "--name", name, "--amount", "1"]).args(options), text)
    };
    let ran = create("Header", &[], b"\xef\xbb\xbf\r\nPromo code\r\n0012\r\n219E01BE\r\n").exits(0);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        (
            "created campaign 1: added 2, skipped 0\n",
            "standard input: line 2: \"Promo code\" is read as a header; --header no reads it as a code\n"
        )
    );
    assert_eq!(codes_of_the_last_record(&server), json!(["0012", "219E01BE"]));
    let ran = create("None", &["--header", "no"], b"codes\n").exits(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("created campaign 2: added 1, skipped 0\n", ""));

    let utf_16: Vec<u8> = "\u{feff}CODE-1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ran = create("UTF-16", &[], &utf_16).exits(9);
    assert_eq!(ran.err, "scrip: standard input: this text is in UTF-16: save it as UTF-8\n");
    for option in ["--sheet", "--column"] {
        let ran = create("Option", &[option, "A"], b"A\n").exits(9);
        assert_eq!(ran.err, format!("scrip: standard input: {option} applies to spreadsheets, but this is text\n"));
    }
}
