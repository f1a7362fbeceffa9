//! The formats preserve every digit, every row, and the position.
//!
//! These tests parse the spreadsheets directly; `tests/` of the program shows that other programs can read them.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use bytes::Bytes;
use parquet::basic::LogicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::handwritten::{AS_OF, Full, Model, NOW_MS, codes, export, log};
use crate::export::{Export, ExportError, Format, What};

const FORMATS: [Format; 3] = [Format::Csv, Format::Xlsx, Format::Parquet];

/// Codes that other programs truncate or misread.
const DIGITS: [&str; 7] = ["0012", "219E01BE", "12345678901234567890", "1E5", "2026-01-01", "=1+1", "A;=1+1"];

fn written(model: &Model, what: What, format: Format) -> Vec<u8> {
    model.export(&export(what, format)).expect("it is exported").0
}

/// A part of a package.
fn part(package: &[u8], name: &str) -> String {
    let mut package = zip::ZipArchive::new(Cursor::new(package)).expect("it is a package");
    let mut text = String::new();
    package.by_name(name).expect("it has the part").read_to_string(&mut text).expect("the part is whole");
    text
}

/// The cells of a sheet by reference: the value, and whether it is text.
fn cells(package: &[u8], sheet: usize) -> HashMap<String, (String, bool)> {
    let sheet = part(package, &format!("xl/worksheets/sheet{sheet}.xml"));
    let between = |text: &str, from: &str, to: &str| -> Option<String> {
        let (_, rest) = text.split_once(from)?;
        rest.split_once(to).map(|(found, _)| found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    };
    let cell = |cell: &str| {
        let place = between(cell, "r=\"", "\"").expect("cells have places");
        let (from, to) = if cell.contains("t=\"inlineStr\"") { ("<t>", "</t>") } else { ("<v>", "</v>") };
        (place, (between(cell, from, to).expect("cells hold something"), from == "<t>"))
    };
    sheet.split("<c ").skip(1).map(cell).collect()
}

/// The rows of a Parquet file.
fn records(file: Vec<u8>) -> (SerializedFileReader<Bytes>, Vec<Vec<Field>>) {
    let reader = SerializedFileReader::new(Bytes::from(file)).expect("it is a file");
    let rows = reader.get_row_iter(None).expect("it has rows");
    let fields = rows.map(|row| row.expect("it is whole").get_column_iter().map(|(_, field)| field.clone()).collect());
    let rows = fields.collect();
    (reader, rows)
}

/// Pain 30, Z14: codes and ids keep every digit: in a spreadsheet as text cells, in the other formats unchanged.
#[test]
fn every_digit_stays() {
    let model = Model::new();
    model.campaign(1, "Winter", &DIGITS);
    model.activate_by(10, 1, 0, &i64::MAX, 1);
    model.client(&i64::MAX, "0007");
    let rows = model.rows(codes(1));
    let file = written(&model, codes(1), Format::Xlsx);
    let cells = cells(&file, 1);
    let (_, records) = records(written(&model, codes(1), Format::Parquet));
    for (at, code) in DIGITS.into_iter().enumerate() {
        let in_csv = code.replace("=1+1", "'=1+1");
        assert_eq!(rows[at].split(',').nth(2), Some(&*in_csv));
        assert_eq!(cells[&format!("C{}", at + 2)], (code.to_owned(), true));
        assert_eq!(records[at][2], Field::Str(code.into()));
    }
    let client = i64::MAX.to_string();
    assert_eq!(rows[0].split(',').skip(8).take(2).collect::<Vec<_>>(), [&client, "0007"]);
    assert_eq!((&cells["I2"], &cells["J2"]), (&(client.clone(), true), &("0007".to_owned(), true)));
    assert_eq!(records[0][8..10], [Field::Str(client), Field::Str("0007".into())]);
}

/// T7: amounts can be added up and times sorted: in a spreadsheet both are formatted numbers, in Parquet they have types.
#[test]
fn amounts_and_times_have_their_types() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE"]);
    model.activate(10, 1, 0);
    model.put("UPDATE activation SET balance = -1050", &[]);
    let file = written(&model, log(None), Format::Xlsx);
    let found = cells(&file, 1);
    let day: f64 = found["B2"].0.parse().expect("a number");
    assert!((day - (46_387.0 + 10.0 / 86_400.0)).abs() < 1e-9, "{day} is ten seconds into 2026-12-31");
    assert_eq!((&found["J2"], &found["K2"]), (&("5".to_owned(), false), &("-10.5".to_owned(), false)));
    assert!(!found.contains_key("Q2"), "what was not refunded has an empty cell");
    let styles = part(&file, "xl/styles.xml");
    assert!(styles.contains("yyyy-mm-dd hh:mm:ss.000&quot;Z&quot;") && styles.contains("formatCode=\"0.00\""), "{styles}");
    assert!(
        part(&file, "xl/worksheets/sheet1.xml")
            .contains("<pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/>")
    );

    // More digits than a spreadsheet preserves.
    model.put("UPDATE activation SET balance = 1234567890123456789", &[]);
    let found = cells(&written(&model, log(None), Format::Xlsx), 1);
    assert_eq!(found["K2"], ("12345678901234567.89".to_owned(), true));

    let (reader, rows) = records(written(&model, log(None), Format::Parquet));
    assert_eq!((&rows[0][0], &rows[0][1]), (&Field::Long(10), &Field::TimestampMillis(NOW_MS + 10_000)));
    assert!(
        matches!(&rows[0][9], Field::Decimal(five) if five.scale() == 2 && five.data() == 500_i64.to_be_bytes()),
        "{:?}",
        rows[0][9]
    );
    assert_eq!(rows[0][16], Field::Null);
    let schema = reader.metadata().file_metadata().schema_descr();
    let types: Vec<_> = (0..3).map(|at| schema.column([1, 4, 9][at]).logical_type_ref().cloned()).collect();
    let expected =
        [LogicalType::timestamp(true, parquet::basic::TimeUnit::MILLIS), LogicalType::String, LogicalType::decimal(2, 18)];
    assert_eq!(types, expected.map(Some));
}

/// Z10: each file states the position that it is as of, in every row and in its properties.
#[test]
fn each_file_says_what_it_is_as_of() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE"]);
    model.activate(10, 1, 0);
    for what in [codes(1), log(None)] {
        assert!(model.rows(what.clone())[0].ends_with(&format!(",{AS_OF}")));
        let file = written(&model, what.clone(), Format::Xlsx);
        let last = if matches!(what, What::Codes { .. }) { "P" } else { "T" };
        assert_eq!(cells(&file, 1)[&format!("{last}2")], (AS_OF.to_string(), true));
        let properties = part(&file, "docProps/custom.xml");
        assert!(properties.contains(&format!("<vt:lpwstr>{AS_OF}</vt:lpwstr>")), "{properties}");
        assert!(properties.contains("<vt:lpwstr>2026-12-31T00:00:00Z</vt:lpwstr>"), "{properties}");
        assert_eq!(written(&model, what.clone(), Format::Xlsx), file, "the same position gives the same bytes");

        let (reader, rows) = records(written(&model, what, Format::Parquet));
        assert_eq!(rows[0].last(), Some(&Field::Long(AS_OF as i64)));
        let metadata = reader.metadata().file_metadata().key_value_metadata().expect("it has some");
        let metadata: Vec<_> = metadata.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap_or(""))).collect();
        let position = AS_OF.to_string();
        let expected = [
            ("scrip.position", position.as_str()),
            ("scrip.history_after", "0"),
            ("scrip.time", "2026-12-31T00:00:00Z"),
            ("scrip.organisation", "Arena"),
            ("scrip.currency", "EUR"),
        ];
        assert_eq!(metadata, expected);
    }
}

/// Pain 18: 70,001 codes, and as many activations, are 70,001 rows in every format, over several row groups; the last row is the
/// last code.
#[test]
fn nothing_is_cut_off() {
    const CODES: usize = 70_001;
    let model = Model::new();
    let texts: Vec<String> = (0..CODES).map(|n| format!("CODE{n:05}")).collect();
    model.put("BEGIN", &[]);
    model.campaign(1, "Winter", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    (0..CODES).for_each(|n| model.activate(n as i64 + 10, 1, n as u32));
    model.put("COMMIT", &[]);
    assert_eq!(model.rows(log(Some(1))).len(), CODES);
    for (what, column) in [(codes(1), 2), (log(None), 4)] {
        let rows = model.rows(what.clone());
        assert_eq!(rows.len(), CODES);
        assert!(rows.iter().zip(&texts).all(|(row, code)| row.split(',').nth(column) == Some(code)));
        let (file, done) = model.export(&export(what.clone(), Format::Parquet)).expect("it is exported");
        let (reader, rows) = records(file);
        assert_eq!((reader.num_row_groups(), rows.len(), done.rows), (2, CODES, CODES as u64));
        assert!(rows.iter().zip(&texts).all(|(row, code)| row[column] == Field::Str(code.clone())));
    }
    let (file, done) = model.export(&export(codes(1), Format::Xlsx)).expect("it is exported");
    let found = cells(&file, 1);
    assert_eq!(done.rows, CODES as u64);
    assert!((0..CODES).all(|at| found[&format!("C{}", at + 2)].0 == texts[at]));
    assert!(!found.contains_key(&format!("C{}", CODES + 2)));
}

/// Pain 18: a sink that fails after any number of bytes is an error, never a shorter file.
#[test]
fn a_sink_that_fails_is_an_error() {
    let model = Model::new();
    let texts: Vec<String> = (0..2_000).map(|n| format!("CODE{n}")).collect();
    model.campaign(1, "Winter", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    for format in FORMATS {
        let wanted = export(codes(1), format);
        let (bytes, _) = model.export(&wanted).expect("it is exported");
        let steps = [0, 1, 2, 100, bytes.len() / 2, bytes.len() - 100, bytes.len() - 1];
        for room in steps {
            let failed = wanted.run(&model.view(), Full(room), &mut |_, _| true).expect_err("there is too little room");
            let ExportError::Sink(why) = &failed else { panic!("{format} {room}: {failed:?}") };
            assert_eq!(why.kind(), std::io::ErrorKind::StorageFull);
        }
        let whole = wanted.run(&model.view(), Full(bytes.len()), &mut |_, _| true);
        assert_eq!(whole.expect("there is room for all").bytes, bytes.len() as u64);
    }
}

/// An export whose caller no longer waits ends, and leaves no file.
#[test]
fn an_export_can_be_cancelled() {
    let model = Model::new();
    let texts: Vec<String> = (0..10_000).map(|n| format!("CODE{n}")).collect();
    model.campaign(1, "Winter", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    for format in FORMATS {
        let mut progress = Vec::new();
        let failed = export(codes(1), format).run(&model.view(), Vec::new(), &mut |at, of| {
            progress.push((at, of));
            progress.len() < 2
        });
        assert!(matches!(failed, Err(ExportError::GivenUp)), "{failed:?}");
        assert_eq!(progress, [(4_095, 10_000), (8_191, 10_000)]);
    }
}

/// The rows of a spreadsheet are buffered in files without names: nothing is left in the folder, whether it succeeds or not.
#[test]
fn a_spreadsheet_leaves_nothing_behind() {
    let model = Model::new();
    let texts: Vec<String> = (0..2_000).map(|n| format!("CODE{n}")).collect();
    model.campaign(1, "Winter", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let left = || std::fs::read_dir(folder.path()).expect("it is there").count();
    let wanted = Export { scratch: Some(folder.path().into()), ..export(codes(1), Format::Xlsx) };
    wanted.run(&model.view(), Vec::new(), &mut |_, _| true).expect("it is exported");
    assert!(wanted.run(&model.view(), Full(1_000), &mut |_, _| true).is_err());
    assert_eq!(left(), 0);

    let nowhere = Export { scratch: Some(folder.path().join("nowhere")), ..wanted };
    let failed = nowhere.run(&model.view(), Vec::new(), &mut |_, _| true);
    assert!(matches!(failed, Err(ExportError::Xlsx(_))), "{failed:?}");
}
