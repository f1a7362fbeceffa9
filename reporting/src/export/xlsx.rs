//! XLSX: as many sheets as the rows need, each with a frozen header.
//!
//! Codes, ids and names are always text cells, so that every digit is preserved (pain 30, Z14) and no formula runs. Amounts are
//! numbers with two decimals, and times are dates (in UTC, as their format shows), because people sort, filter and add these up.
//! A number with more digits than a spreadsheet preserves is text too.
//!
//! Rows are buffered in a file until all are known, because the package begins with the number of sheets. That file has no name:
//! it disappears with the process that has it open.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use jiff::tz::TimeZone;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, IgnoreError, Workbook, Worksheet, XlsxError};
use scrip_protocol::Money;

use super::columns::{About, Cell, Column, Kind, Table};
use super::error::ExportError;

/// The maximum number of rows of a sheet, including the header.
const SHEET_ROWS: u32 = 1 << 20;

/// The largest integer of 15 digits, which is the precision of a spreadsheet.
const EXACT: u64 = 999_999_999_999_999;

/// The compression level of the package, of 9.
const COMPRESSION: u8 = 1;

pub(super) struct Xlsx<W> {
    sink: W,
    book: Workbook,
    columns: &'static [Column],
    noun: &'static str,
    /// The maximum number of rows of a sheet.
    sheet_rows: u32,
    sheets: usize,
    /// The next row of the newest sheet.
    row: u32,
    head: Format,
    amount: Format,
    time: Format,
}

impl<W: Write + Send> Xlsx<W> {
    pub(super) fn begin(sink: W, columns: &'static [Column], about: &About, scratch: &Path) -> Result<Xlsx<W>, ExportError> {
        let mut book = Workbook::new();
        book.set_tempdir(scratch)?;
        book.set_zip_compression_level(COMPRESSION);
        book.set_properties(&properties(about)?);
        let mut xlsx = Xlsx {
            sink,
            book,
            columns,
            noun: about.noun,
            sheet_rows: SHEET_ROWS,
            sheets: 0,
            row: 0,
            head: Format::new().set_bold(),
            amount: Format::new().set_num_format("0.00"),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000\"Z\""),
        };
        xlsx.next_sheet()?;
        Ok(xlsx)
    }

    fn next_sheet(&mut self) -> Result<(), ExportError> {
        self.sheets += 1;
        let sheet = self.book.add_worksheet_with_constant_memory()?;
        match self.sheets {
            1 => sheet.set_name(self.noun)?,
            n => sheet.set_name(format!("{} {n}", self.noun))?,
        };
        let last = self.columns.len() as u16 - 1;
        for (at, column) in (0..).zip(self.columns) {
            let width = match column.kind {
                Kind::Text => 20.0,
                Kind::Time => 24.0,
                Kind::Id | Kind::Count | Kind::Amount => 14.0,
            };
            sheet.set_column_width(at, width)?;
            // On the column, not on each cell: looking up a format compares all its properties.
            match column.kind {
                Kind::Amount => sheet.set_column_format(at, &self.amount)?,
                Kind::Time => sheet.set_column_format(at, &self.time)?,
                Kind::Text | Kind::Id | Kind::Count => sheet,
            };
            sheet.write_string_with_format(0, at, column.name, &self.head)?;
        }
        sheet.set_freeze_panes(1, 0)?;
        // Otherwise the program marks each text cell of digits as an error.
        sheet.ignore_error_range(0, 0, SHEET_ROWS - 1, last, IgnoreError::NumberStoredAsText)?;
        self.row = 1;
        Ok(())
    }

    fn write_row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        if self.row == self.sheet_rows {
            self.next_sheet()?;
        }
        let sheet = self.book.worksheet_from_index(self.sheets - 1)?;
        for (column, cell) in (0..).zip(cells) {
            write_cell(sheet, self.row, column, *cell)?;
        }
        self.row += 1;
        Ok(())
    }
}

impl<W: Write + Send> Table for Xlsx<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        whole(|| self.write_row(cells))
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        whole(|| Ok(self.book.save_to_writer(&mut self.sink)?))
    }
}

/// The library panics if it cannot write the file of the rows, for example on a full disk. The workbook is not used after that.
fn whole(write: impl FnOnce() -> Result<(), ExportError>) -> Result<(), ExportError> {
    catch_unwind(AssertUnwindSafe(write)).unwrap_or(Err(ExportError::Scratch))
}

fn write_cell(sheet: &mut Worksheet, row: u32, column: u16, cell: Cell<'_>) -> Result<(), XlsxError> {
    match cell {
        Cell::Blank => {}
        Cell::Text(text) => drop(sheet.write_string(row, column, text)?),
        Cell::Id(number) => drop(sheet.write_string(row, column, number.to_string())?),
        Cell::Count(number) => drop(sheet.write_number(row, column, number as f64)?),
        Cell::Amount(minor) if minor.unsigned_abs() > EXACT => drop(sheet.write_string(row, column, Money(minor).to_string())?),
        Cell::Amount(minor) => drop(sheet.write_number(row, column, minor as f64 / 100.0)?),
        Cell::Time(ms) => drop(sheet.write_number(row, column, day_of(ms))?),
    }
    Ok(())
}

/// A time as stored in spreadsheets: in days since 1899-12-30.
fn day_of(ms: i64) -> f64 {
    const BEFORE_1970: f64 = 25_569.0;
    ms as f64 / 86_400_000.0 + BEFORE_1970
}

fn properties(about: &About) -> Result<DocProperties, XlsxError> {
    let made = about.time.to_zoned(TimeZone::UTC);
    let (year, month, day) = (made.year() as u16, made.month() as u8, made.day() as u8);
    let (hour, minute, second) = (made.hour() as u16, made.minute() as u8, made.second() as u8);
    let made = ExcelDateTime::from_ymd(year, month, day)?.and_hms(hour, minute, second)?;
    Ok(DocProperties::new()
        .set_title(format!("{} as of position {}", about.noun, about.position))
        .set_company(&about.organisation)
        .set_comment(format!("As of position {}, {}. Amounts in {}, times in UTC.", about.position, about.time, about.currency))
        // A file depends only on its position, not on when it was built.
        .set_creation_datetime(&made)
        .set_custom_property("as_of_position", about.position.as_str())
        .set_custom_property("history_after", about.history_after.as_str())
        .set_custom_property("as_of_time", about.time.to_string().as_str()))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use jiff::Timestamp;

    use super::*;

    /// Pain 18: rows that do not fit on a sheet are on the next one, under their own header.
    #[test]
    fn rows_go_on_on_further_sheets() {
        const COLUMNS: &[Column] = &[Column { name: "code", kind: Kind::Text }];
        let about = About {
            noun: "codes",
            position: "1".into(),
            history_after: "0".into(),
            time: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365 * 50),
            organisation: String::new(),
            currency: "EUR".into(),
        };
        let mut bytes = Vec::new();
        let mut xlsx = Xlsx::begin(&mut bytes, COLUMNS, &about, &std::env::temp_dir()).expect("a temporary file");
        xlsx.sheet_rows = 3;
        for code in ["A", "B", "C", "D", "E"] {
            xlsx.row(&[Cell::Text(code)]).expect("it is written");
        }
        Table::finish(Box::new(xlsx)).expect("it is written");
        let mut package = zip::ZipArchive::new(Cursor::new(bytes)).expect("it is a package");
        let mut part = |name: &str| {
            let mut text = String::new();
            package.by_name(name).expect("it has the part").read_to_string(&mut text).expect("the part is whole");
            text
        };
        let workbook = part("xl/workbook.xml");
        let names = ["name=\"codes\"", "name=\"codes 2\"", "name=\"codes 3\""];
        assert!(names.iter().all(|name| workbook.contains(name)), "{workbook}");
        for (sheet, codes) in [(1, ["A", "B"].as_slice()), (2, &["C", "D"]), (3, &["E"])] {
            let sheet = part(&format!("xl/worksheets/sheet{sheet}.xml"));
            let texts: Vec<_> =
                sheet.split("<t>").skip(1).filter_map(|text| text.split_once('<')).map(|(text, _)| text).collect();
            assert_eq!(texts, [&["code"], codes].concat());
        }
    }
}
