//! Reading lists from bytes in memory: each of these spreadsheets differs in one detail from one that every program writes.
//! Integration tests read spreadsheets written by other programs.

use std::io::{Cursor, Write};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

/// The lines of a list as `7 CODE`, after the header, if any, as `(1 Code)`; or the error.
fn read(bytes: &[u8], options: &ListOptions) -> Result<Vec<String>, String> {
    let text = |fault: Fault| fault.in_file("list").to_string();
    let kind = Kind::of_stream(Cursor::new(bytes.to_vec()), options).map_err(text)?;
    let mut list = List { name: "list".to_owned(), kind };
    let header = list.header().map(|header| format!("({} {})", header.number, header.text));
    let lines = list.lines().map_err(|wrong| wrong.to_string())?;
    let lines = lines.map(|line| line.map(|line| format!("{} {}", line.number, line.text)).map_err(|wrong| wrong.to_string()));
    header.into_iter().map(Ok).chain(lines).collect()
}

#[track_caller]
fn check(bytes: &[u8], options: &ListOptions, expected: Result<&[&str], &str>) {
    let found = read(bytes, options);
    match expected {
        Ok(lines) => assert_eq!(found.as_deref(), Ok(lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>().as_slice())),
        Err(why) => assert_eq!(found.as_ref().map_err(String::as_str), Err(why)),
    }
}

fn column(name: &str) -> ListOptions {
    ListOptions { column: Some(name.to_owned()), ..ListOptions::default() }
}

fn header(header: Header) -> ListOptions {
    ListOptions { header, ..ListOptions::default() }
}

const AUTO: ListOptions = ListOptions { sheet: None, column: None, header: Header::Auto, names: OptionNames::DEFAULT };

/// The parts of a small spreadsheet; a test changes one.
#[derive(Clone)]
struct Parts(Vec<(&'static str, String)>);

/// A spreadsheet with one sheet of these rows. Its texts are `code`, `0012` and `TWO`, its styles General, `0000` and a date.
fn sheet(rows: &str) -> Parts {
    let types = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let relation =
        |id: &str, kind: &str, target: &str| format!(r#"<Relationship Id="{id}" Type="{types}/{kind}" Target="{target}"/>"#);
    let relations = |all: &[String]| format!("<Relationships>{}</Relationships>", all.concat());
    Parts(vec![
        ("_rels/.rels", relations(&[relation("r", "officeDocument", "xl/workbook.xml")])),
        ("xl/workbook.xml", r#"<workbook><sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets><calcPr/></workbook>"#.into()),
        (
            "xl/_rels/workbook.xml.rels",
            relations(&[
                relation("r1", "worksheet", "worksheets/sheet1.xml"),
                relation("r2", "sharedStrings", "/xl/sharedStrings.xml"),
                relation("r3", "styles", "../xl/./styles.xml"),
            ]),
        ),
        ("xl/sharedStrings.xml", "<sst><si><t>code</t></si><si><t>0012</t></si><si><r><t>TW</t></r><r><t>O</t></r></si></sst>".into()),
        (
            "xl/styles.xml",
            r#"<styleSheet><numFmts><numFmt numFmtId="164" formatCode="0000"/></numFmts><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs>
            <cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="16"/></cellXfs></styleSheet>"#
                .into(),
        ),
        ("xl/worksheets/sheet1.xml", format!(r#"<worksheet><cols/><sheetData>{rows}</sheetData><pageMargins/></worksheet>"#)),
    ])
}

impl Parts {
    fn with(mut self, part: &str, change: impl Fn(&str) -> String) -> Parts {
        let found = self.0.iter_mut().find(|(name, _)| *name == part).expect("there is such a part");
        found.1 = change(&found.1);
        self
    }

    fn zip(&self) -> Vec<u8> {
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        self.zip_with(stored, |_, content| content.to_vec())
    }

    fn zip_with(&self, options: SimpleFileOptions, content_of: impl Fn(&str, &[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in &self.0 {
            archive.start_file(*name, options).expect("memory can be written");
            archive.write_all(&content_of(name, content.as_bytes())).expect("memory can be written");
        }
        archive.finish().expect("memory can be written").into_inner()
    }
}

#[track_caller]
fn check_rows(rows: &str, expected: Result<&[&str], &str>) {
    check(&sheet(rows).zip(), &AUTO, expected);
}

/// K9, Z14: byte order marks and both kinds of line ends are accepted; blank lines are skipped but counted; codes are not trimmed
/// here.
#[test]
fn common_text_files_are_accepted() {
    check("\u{feff}A\r\nB\n\n \t\n  C \nD".as_bytes(), &AUTO, Ok(&["1 A", "2 B", "5   C ", "6 D"]));
    check(b"", &AUTO, Ok(&[]));
    check(b"\n\r\n", &AUTO, Ok(&[]));
    check("\u{feff}".as_bytes(), &AUTO, Ok(&[]));
}

/// Z14: an error about text that is not UTF-8 names its location, or its encoding.
#[test]
fn text_that_is_not_utf_8_is_refused() {
    check(b"ABC\nDE\xffF", &AUTO, Err("list: line 2, byte 3: this is not UTF-8"));
    check(b"\xff\xfeA\0\n\0", &AUTO, Err("list: this text is in UTF-16: save it as UTF-8"));
    check(b"\xfe\xff\0A\0\n", &AUTO, Err("list: this text is in UTF-16: save it as UTF-8"));
    let long = [b"A\n".as_slice(), &[b'B'; 70_000], b"\nC\n"].concat();
    check(&long, &AUTO, Err("list: line 2: this line is longer than 64 KiB"));
}

/// A text is read only as far as its lines are consumed, so an endless list takes no more memory than one line.
#[test]
fn text_is_not_held_in_memory() {
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            for byte in into.iter_mut() {
                *byte = b"ABCDEFGH\n"[self.0 % 9];
                self.0 += 1;
            }
            Ok(into.len())
        }
    }
    let kind = Kind::of_stream(Endless(0), &AUTO).unwrap_or_else(|fault| panic!("{fault:?}"));
    let mut list = List { name: "endless".to_owned(), kind };
    let last = list.lines().ok().and_then(|mut lines| lines.nth(999_999)).and_then(Result::ok);
    assert_eq!(last, Some(Line { number: 1_000_000, text: "ABCDEFGH".to_owned() }));
}

/// K3: a header is recognised by its words, in a text as in a spreadsheet, unless an option says whether there is one.
#[test]
fn headers_are_recognised_by_their_words() {
    for word in ["code", "Codes", "PROMO CODE", " promo_code ", "Promo-Codes", "promocode"] {
        check(format!("\n{word}\nA\n").as_bytes(), &AUTO, Ok(&[&format!("(2 {word})"), "3 A"]));
    }
    for word in ["Promo", "CODE1", "encode"] {
        check(format!("{word}\nA\n").as_bytes(), &AUTO, Ok(&[&format!("1 {word}"), "2 A"]));
    }
    check(b"code\nA\n", &header(Header::No), Ok(&["1 code", "2 A"]));
    check(b"My list\nA\n", &header(Header::Yes), Ok(&["(1 My list)", "2 A"]));
    let rows =
        r#"<row><c t="inlineStr"><is><t>Mine</t></is></c></row><row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row>"#;
    check_rows(rows, Ok(&["1 Mine", "2 code", "3 0012"]));
    check(&sheet(rows).zip(), &header(Header::Yes), Ok(&["(1 Mine)", "2 code", "3 0012"]));
}

/// K5, Z14: texts are read unchanged, numbers with every digit and with the leading zeros that are shown.
#[test]
fn cells_are_read_as_people_see_them() {
    check_rows(
        r#"<row r="2"><c r="B2" t="s"><v>0</v></c></row>
        <row r="3"><c r="B3" t="s"><v>1</v></c></row>
        <row r="4"><c r="B4" t="s"><v>2</v></c></row>
        <row r="5"><c r="B5"/></row>
        <row r="6"><c r="B6"><v>12345678901</v></c></row>
        <row r="7"><c r="B7" s="1"><v>12</v></c></row>
        <row r="8"><c r="B8" t="n"><v>1.2345678901E10</v></c></row>
        <row r="9"><c r="B9" t="inlineStr"><is><t xml:space="preserve">  =A&amp;&#66; </t></is></c></row>
        <row r="10"><c r="B10" t="inlineStr"><is><t>219E01BE</t><rPh><t>x</t></rPh></is></c></row>
        <row r="11"><c r="B11" t="inlineStr"><is><t>A_x0042__x005F_x0043_</t></is></c></row>
        <row r="12"><c r="B12" t="inlineStr"><is><t>  </t></is></c></row>
        <row r="1048576"><c r="B1048576" t="str"><f>X()</f><v>LAST</v></c></row>"#,
        Ok(&[
            "(2 code)",
            "3 0012",
            "4 TWO",
            "6 12345678901",
            "7 0012",
            "8 12345678901",
            "9   =A&B ",
            "10 219E01BE",
            "11 AB_x0043_",
            "1048576 LAST",
        ]),
    );
    // Without the references of rows and cells, which a writer may leave out, and with prefixes.
    check_rows("<row><c/><c><v>1</v></c></row><row><c/><c><v>2</v></c></row>", Ok(&["1 1", "2 2"]));
    let prefixed = |xml: &str| xml.replace("</", "</x:").replace("<", "<x:").replace("<x:/x:", "</x:");
    let parts = sheet("<row><c><v>7</v></c></row>").with("xl/worksheets/sheet1.xml", prefixed);
    check(&parts.with("xl/workbook.xml", prefixed).zip(), &AUTO, Ok(&["1 7"]));
}

/// Z14, pain 30: values that a spreadsheet may have changed are refused, and the error names the cell.
#[test]
fn cells_that_may_have_been_another_code_are_refused() {
    let fix = "format the column as text and enter its codes again";
    for (cell, why) in [
        (r#"s="2"><v>46054</v>"#, format!("this is a date or time (format d-mmm), not a code: {fix}")),
        (r#"t="d"><v>2026-02-01</v>"#, format!("this is a date or time (format 2026-02-01), not a code: {fix}")),
        (r#"t="b"><v>1</v>"#, format!("this is a logical value (TRUE), not a code: {fix}")),
        (
            "><v>1234567890123456</v>",
            format!(
                "the number 1234567890123456 has more than the 15 digits that a spreadsheet stores, so the code may have been \
                 different: {fix}"
            ),
        ),
        (r#"t="e"><v>#N/A</v>"#, "this is an error value (#N/A), not a code".to_owned()),
        ("><v>x</v>", r#"the file is damaged: "x" is not a number"#.to_owned()),
        (r#"s="9"><v>1</v>"#, "the file is damaged: the cell's style is not in the style table".to_owned()),
        (r#"t="s"><v>9</v>"#, "the file is damaged: the cell's text is not in the string table".to_owned()),
        (r#"t="z"><v>9</v>"#, r#"the file is damaged: "z" is not a cell type"#.to_owned()),
    ] {
        let rows = format!(r#"<row r="1"><c r="C1"><v>1</v></c></row><row r="7"><c r="C7" {cell}</c></row>"#);
        check_rows(&rows, Err(&format!("list: Sheet1!C7: {why}")));
    }
    // In a header, or in another column, anything is allowed.
    check_rows(
        r#"<row><c s="2"><v>46054</v></c><c t="s"><v>0</v></c></row><row><c/><c><v>7</v></c></row>"#,
        Ok(&["(1 code)", "2 7"]),
    );
    let rows = r#"<row><c s="2"><v>46054</v></c></row><row><c><v>7</v></c></row>"#;
    check(&sheet(rows).zip(), &header(Header::Yes), Ok(&["(1 46054)", "2 7"]));
}

/// Z14: the stored value of a formula is used, if there is one.
#[test]
fn formulas_have_their_stored_value() {
    let none = "list: Sheet1!A1: the file has no value for this formula: open it in a spreadsheet program and save it there, or enter \
                the value itself";
    check_rows("<row><c><f>1</f><v>12</v></c></row>", Ok(&["1 12"]));
    check_rows(r#"<row><c t="s"><f>1</f><v>1</v></c></row>"#, Ok(&["1 0012"]));
    check_rows(r#"<row><c><v>1</v></c></row><row><c t="str"><f>1</f><v></v></c></row>"#, Ok(&["1 1"]));
    check_rows("<row><c><f>1</f><v/></c></row>", Err(none));
    check_rows("<row><c><f>1</f></c></row>", Err(none));
    // Some programs write a zero for a value that they leave to be calculated.
    let to_calculate = |xml: &str| xml.replace("<calcPr", r#"<calcPr fullCalcOnLoad="1""#);
    check_rows("<row><c><f>1</f><v>0</v></c></row>", Ok(&["1 0"]));
    let zero = sheet("<row><c><f>1</f><v>0</v></c></row>").with("xl/workbook.xml", to_calculate);
    check(&zero.zip(), &AUTO, Err(none));
    let kept = sheet("<row><c><f>1</f><v>12</v></c></row><row><c><v>0</v></c></row>").with("xl/workbook.xml", to_calculate);
    check(&kept.zip(), &AUTO, Ok(&["1 12", "2 0"]));
}

/// K3: a column is chosen by its letters or its header; without that option there must be only one candidate.
#[test]
fn ambiguous_columns_must_be_chosen() {
    let text = |text: &str| format!(r#"<c t="inlineStr"><is><t>{text}</t></is></c>"#);
    let row = |texts: &[&str]| format!("<row>{}</row>", texts.iter().map(|one| text(one)).collect::<String>());
    let rows = row(&["Name", "Number", "SKU"]) + &row(&["first", "N-1", "S-1"]);
    let of = |options: &ListOptions, expected: Result<&[&str], &str>| check(&sheet(&rows).zip(), options, expected);
    let all = r#"A "Name", B "Number", C "SKU""#;
    of(&AUTO, Err(&format!("list: Sheet1: the codes could be in any of these columns: {all}; choose one, for example column A")));
    of(&column("B"), Ok(&["1 Number", "2 N-1"]));
    of(&column("b"), Ok(&["1 Number", "2 N-1"]));
    of(&column("number"), Ok(&["(1 Number)", "2 N-1"]));
    // These are also valid letters, but of an empty column.
    of(&column("sku"), Ok(&["(1 SKU)", "2 S-1"]));
    of(&ListOptions { header: Header::Yes, ..column("C") }, Ok(&["(1 SKU)", "2 S-1"]));
    let none = |name: &str| format!("list: Sheet1: no column has the letters or the header {name:?}; the columns are: {all}");
    of(&column("D"), Err(&none("D")));
    of(&column("Price"), Err(&none("Price")));
    of(&ListOptions { header: Header::No, ..column("SKU") }, Err(&none("SKU")));

    let twice = row(&["Code", "code", "other"]);
    let either = r#"A "Code", B "code""#;
    check_rows(
        &twice,
        Err(&format!("list: Sheet1: the codes could be in any of these columns: {either}; choose one, for example column A")),
    );
    let same = format!(
        "list: Sheet1: several columns have the header \"CODE\": {either}; choose one by its letters, for example column A"
    );
    check(&sheet(&twice).zip(), &column("CODE"), Err(&same));
    check_rows(&(row(&["Name", "Promo code"]) + &row(&["first", "P-1"])), Ok(&["(1 Promo code)", "2 P-1"]));

    let many: Vec<String> = (0..20).map(|column| format!("H{column}")).collect();
    let many = row(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let why = read(&sheet(&many).zip(), &AUTO).expect_err("there are twenty");
    assert!(why.contains(r#"L "H11", and 8 more; choose one"#), "{why}");
}

/// An error names the options as the interface calls them that takes them.
#[test]
fn errors_name_options_in_the_words_of_the_interface() {
    let names = OptionNames { sheet: "--sheet", column: "--column" };
    let rows = r#"<row><c><v>1</v></c><c><v>2</v></c></row>"#;
    let why = read(&sheet(rows).zip(), &ListOptions { names, ..AUTO }).expect_err("there are two columns");
    assert!(why.ends_with("choose one, for example --column A"), "{why}");
    for (options, expected) in [
        (ListOptions { names, ..column("A") }, "list: --column applies to spreadsheets, but this is text"),
        (ListOptions { names, sheet: Some("May".to_owned()), ..AUTO }, "list: --sheet applies to spreadsheets, but this is text"),
        (column("A"), "list: column applies to spreadsheets, but this is text"),
    ] {
        check(b"A\n", &options, Err(expected));
    }
}

/// An error has the file, the location and the problem apart, for an interface that does not print them on one line.
#[test]
fn an_error_has_its_location_apart() {
    let mut source = ListSource::copy_of(&mut &b"A\nB\xff\n"[..], "upload".to_owned(), &AUTO).and_then(|source| source.open());
    let wrong = source.as_mut().map(|list| list.lines().map(|lines| lines.last()));
    let Ok(Ok(Some(Err(error)))) = wrong else { panic!("the second line is not UTF-8") };
    let ListError { file, location, why } = &error;
    let parts = (file.as_str(), location.as_deref(), why.as_str());
    assert_eq!(parts, ("upload", Some("line 2, byte 2"), "this is not UTF-8"));
    assert_eq!(error.to_string(), "upload: line 2, byte 2: this is not UTF-8");
}

/// A stream can be read more than once: to be tried, and to be sent.
#[test]
fn a_stream_can_be_read_twice() {
    let source = ListSource::copy_of(&mut &b"A\nB\n"[..], "standard input".to_owned(), &AUTO).expect("it can be copied");
    for _ in 0..2 {
        let mut list = source.open().expect("it is text");
        let lines: Vec<_> = list.lines().expect("it can be read").map(|line| line.expect("it is text").text).collect();
        assert_eq!((list.name(), lines), ("standard input", vec!["A".to_owned(), "B".to_owned()]));
    }
}

/// Damage to the container or to a part is reported in one line.
#[test]
fn damage_is_reported() {
    let good = "<row><c><v>1</v></c></row>";
    let of = |part: &str, change: &dyn Fn(&str) -> String, why: &str| {
        check(&sheet(good).with(part, change).zip(), &AUTO, Err(&format!("list: {why}")));
    };
    let (sheet_part, strings) = ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml");
    of(sheet_part, &|xml| xml[..xml.len() - 30].to_owned(), &format!("the file is damaged: {sheet_part} is truncated"));
    of(sheet_part, &|_| String::new(), &format!("the file is damaged: {sheet_part}: it has no rows"));
    of(strings, &|xml| xml.replace("0012", "&bogus;"), &format!("the file is damaged: {strings}: it has an unknown reference"));
    of(
        strings,
        &|xml| format!("<!DOCTYPE x>{xml}"),
        &format!("the file is damaged: {strings}: it declares its own document type"),
    );
    of(strings, &|_| "<a>".repeat(65), &format!("{strings} is nested more than 64 levels deep, too deep for a spreadsheet"));
    let long = |xml: &str| xml.replace("0012", &"1".repeat(1024 * 1024 + 1));
    of(strings, &long, &format!("{strings} has a text of more than 1024 KiB, too long for a spreadsheet"));
    let pieces = |xml: &str| xml.replace("0012", &"&lt;1".repeat(600 * 1024));
    of(strings, &pieces, &format!("{strings} has a text of more than 1024 KiB, too long for a spreadsheet"));
    of(
        "xl/_rels/workbook.xml.rels",
        &|xml| xml.replace("sheet1", "sheet2"),
        "the file is damaged: xl/worksheets/sheet2.xml is missing",
    );
    of(
        "_rels/.rels",
        &|xml| xml.replace("workbook.xml", "workbook.bin"),
        "this is a binary spreadsheet (.xlsb): save it as .xlsx",
    );
    of("_rels/.rels", &|_| "<Relationships/>".to_owned(), "this is a ZIP archive, but not a spreadsheet (.xlsx)");
    of("xl/workbook.xml", &|_| "<document/>".to_owned(), "this is a ZIP archive, but not a spreadsheet (.xlsx)");

    let order = "the file is damaged: its rows or cells are out of order";
    for (rows, why) in [
        (r#"<row r="2"/><row r="1"/>"#, format!("Sheet1, row 1: {order}")),
        (r#"<row r="1"><c r="B1"/><c r="A1"/></row>"#, format!("Sheet1!A1: {order}")),
        (r#"<row r="1"><c r="A1"/><c r="A1"/></row>"#, format!("Sheet1!A1: {order}")),
        (r#"<row r="1"><c r="A2"/></row>"#, format!("Sheet1!A2: {order}")),
        (r#"<row r="1048577"/>"#, "Sheet1: the file is damaged: \"1048577\" is not a cell of a spreadsheet".to_owned()),
        (r#"<row r="x"/>"#, "the file is damaged: \"x\" is not a cell of a spreadsheet".to_owned()),
        (r#"<row><c r="XFE1"/></row>"#, "the file is damaged: \"XFE1\" is not a cell of a spreadsheet".to_owned()),
        (r#"<row><c r="XFD1"/><c/></row>"#, "Sheet1: the file is damaged: \"XFE\" is not a cell of a spreadsheet".to_owned()),
    ] {
        check_rows(rows, Err(&format!("list: {why}")));
    }
}

/// Bytes from outside never panic, and a changed byte is noticed: whichever byte of a file is changed, and wherever it is cut
/// off, the result is the original lines or an error.
#[test]
fn a_changed_byte_never_changes_a_code() {
    let parts = sheet(r#"<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row><row><c s="1"><v>7</v></c></row>"#);
    let written = ["(1 code)", "2 0012", "3 0007"].map(str::to_owned);
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let whole = parts.zip_with(SimpleFileOptions::default().compression_method(method), |_, content| content.to_vec());
        assert_eq!(read(&whole, &AUTO).as_deref(), Ok(written.as_slice()));
        for at in 0..whole.len() {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                // The first four bytes identify an archive: without them it is read as text, as it should be.
                match read(&bytes, &AUTO) {
                    Ok(lines) if at >= 4 => assert_eq!(lines, written, "byte {at} changed by {change:#x}"),
                    Ok(_) => {}
                    Err(why) => assert!(!why.contains('\n'), "{why}"),
                }
            }
            if at >= 4 {
                assert!(read(&whole[..at], &AUTO).is_err(), "cut off at {at}");
            }
        }
    }
}

/// Bytes from outside never panic, not even intact parts with contents that no spreadsheet has.
#[test]
fn no_content_of_a_part_panics() {
    let parts =
        sheet(r#"<row r="1"><c r="A1" s="1" t="s"><f>1</f><v>1</v></c><c r="B1" t="inlineStr"><is><t>x&amp;</t></is></c></row>"#);
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (part, content) in &parts.0 {
        for at in 0..content.len() {
            for change in ["", "<", ">", "&", "\"", "/", "9", "-", "\0", "\u{1}", "_x", "\u{10ffff}"] {
                let changed = |name: &str, content: &[u8]| match name == *part {
                    true => [&content[..at], change.as_bytes(), &content[at + 1..]].concat(),
                    false => content.to_vec(),
                };
                if let Err(why) = read(&parts.zip_with(stored, changed), &column("A")) {
                    assert!(!why.contains('\n') && why.chars().count() < 1_500, "{why}");
                }
            }
        }
    }
}

/// An old document is distinguished from a new one that is encrypted in an old container.
#[test]
fn old_and_protected_documents_are_distinguished() {
    let magic = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
    let old = [magic.as_slice(), &[0; 200_000]].concat();
    check(&old, &AUTO, Err("list: this is an old spreadsheet (.xls) or another old Office document: save it as .xlsx"));
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // Also if the name crosses the boundary of two reads.
    for before in [0, 504, 64 * 1024 - 8 - 7, 100_000] {
        let locked = [magic.as_slice(), &vec![0; before], &name, &[0; 600]].concat();
        check(&locked, &AUTO, Err("list: this spreadsheet is protected by a password: save it without one"));
    }
}

/// Locations are formatted the way people write them.
#[test]
fn locations_are_formatted_for_people() {
    let of = |sheet: &str, column| Places::Cells { sheet: sheet.to_owned(), column }.of(7);
    assert_eq!(Places::Lines.of(7), "line 7");
    assert_eq!(of("Sheet1", 2), "Sheet1!B7");
    assert_eq!(of("Лист1", 26), "Лист1!Z7");
    assert_eq!(of("It's autumn", 27), "'It''s autumn'!AA7");
    for (number, letters) in [(1, "A"), (26, "Z"), (27, "AA"), (702, "ZZ"), (703, "AAA"), (16_384, "XFD")] {
        assert_eq!((cells::name(number).as_str(), cells::column(letters)), (letters, Some(number)));
    }
    for letters in ["", "XFE", "ZZZ", "AAAA", "A1", "Ä"] {
        assert_eq!(cells::column(letters), None, "{letters}");
    }
}
