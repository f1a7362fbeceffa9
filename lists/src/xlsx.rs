//! Lists as spreadsheets: which sheet and which column hold the codes, and the codes of that column.
//!
//! The sheet is the first visible one that is not empty, unless an option names another; a hidden sheet is read only if it is
//! named. The column is the one with a matching header (`code`, `promo code` and the like), or else the only one that is not
//! empty. If several columns remain, they are listed and nothing is read. Hidden rows are in the file, so they are read. A merged
//! cell has its value in its first row, as in the file; its other rows are blank.
//!
//! A sheet is read twice: once to choose the column and check each of its cells, so that a list is refused before its first code
//! is returned, and again to return them. Only the string table is held in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::cells::{self, Cells, Value};
use super::fault::{Fault, Why, one_line};
use super::formats::{Format, Formats};
use super::line::Line;
use super::options::{Header, ListOptions};
use super::package::{MIB, Node, PART_BYTES_MAX, Package, RELATIONS_MAX, ReadSeek, Relation};
use super::strings::Strings;

/// The largest unpacked size of a sheet: a full one of several columns. It is not held in memory; this bounds the time.
const SHEET_BYTES_MAX: u64 = 512 * MIB;

/// How many columns or sheets an error lists, and how many characters of each header or name.
const LISTED_MAX: usize = 12;
const LISTED_CHARS_MAX: usize = 40;

/// How many characters of the first cell of each column are kept.
const HEADER_CHARS_MAX: usize = 255;

/// A spreadsheet, and its column of codes.
pub(super) struct Xlsx {
    package: Package,
    strings: Strings,
    formats: Formats,
    workbook: Workbook,
    /// The sheet's index in the workbook.
    sheet: usize,
    column: u32,
    header: Option<Line>,
}

/// The file's description of itself.
struct Workbook {
    sheets: Vec<Sheet>,
    /// Whether formulas are to be calculated when the file is opened: a stored value may then be a mere zero.
    to_calculate: bool,
}

/// A sheet.
struct Sheet {
    name: String,
    hidden: bool,
    part: String,
}

/// The survey of a column that is not empty.
struct Column {
    number: u32,
    /// Its first cell, which may be a header, and the fault if it is not.
    first: Line,
    first_fault: Option<Fault>,
    /// The first fault below.
    fault: Option<Fault>,
}

impl Xlsx {
    /// Chooses the column and checks its cells.
    pub(super) fn open(source: Box<dyn ReadSeek>, options: &ListOptions) -> Result<Xlsx, Fault> {
        let mut package = Package::open(source)?;
        let part = workbook_part(&mut package)?;
        let relations = package.relations_of(&part)?;
        let first = |kind: &str| relations.iter().find(|relation| relation.kind == kind).map(|relation| relation.part.as_str());
        let strings = first("sharedStrings").map_or(Ok(Strings::default()), |part| Strings::read(&mut package, part))?;
        let formats = first("styles").map_or(Ok(Formats::default()), |part| Formats::read(&mut package, part))?;
        let workbook = Workbook::read(&mut package, &part, &relations)?;
        let (sheet, columns) = match &options.sheet {
            Some(name) => {
                let sheet = workbook.named(name)?;
                (sheet, survey(&mut package, &strings, &formats, &workbook, sheet)?)
            }
            None => {
                let visible = (0..workbook.sheets.len()).filter(|sheet| !workbook.sheets[*sheet].hidden);
                let mut surveys = visible.map(|sheet| (sheet, survey(&mut package, &strings, &formats, &workbook, sheet)));
                let found = surveys.find(|(_, columns)| !matches!(columns, Ok(columns) if columns.is_empty()));
                let (sheet, columns) = found.ok_or_else(|| Why::NothingInSheets { sheets: workbook.listed() })?;
                (sheet, columns?)
            }
        };
        let name = workbook.sheets[sheet].name.as_str();
        let (column, has_header) = choose(columns, options).map_err(|why| why.at(name))?;
        let first_fault = if has_header { None } else { column.first_fault };
        if let Some(fault) = first_fault.or(column.fault) {
            return Err(fault);
        }
        let header = has_header.then_some(column.first);
        Ok(Xlsx { package, strings, formats, sheet, column: column.number, header, workbook })
    }

    /// The sheet's name.
    pub(super) fn sheet(&self) -> &str {
        &self.workbook.sheets[self.sheet].name
    }

    /// The column, from 1.
    pub(super) fn column(&self) -> u32 {
        self.column
    }

    /// The header cell, if there is one.
    pub(super) fn header(&self) -> Option<&Line> {
        self.header.as_ref()
    }

    /// The codes of the column.
    pub(super) fn lines(&mut self) -> Result<SheetLines<'_>, Fault> {
        let first = self.header.as_ref().map_or(1, |header| header.number + 1);
        let sheet = &self.workbook.sheets[self.sheet];
        let xml = self.package.part(&sheet.part, SHEET_BYTES_MAX)?;
        let cells = Cells::open(xml, &self.strings, &sheet.name, self.workbook.to_calculate)?;
        Ok(SheetLines { cells, formats: &self.formats, sheet: &sheet.name, column: self.column, first })
    }
}

/// The codes of a column.
pub(super) struct SheetLines<'a> {
    cells: Cells<'a>,
    formats: &'a Formats,
    sheet: &'a str,
    column: u32,
    /// The first row that may have a code.
    first: u32,
}

impl SheetLines<'_> {
    /// The next code.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Fault> {
        while let Some(cell) = self.cells.next()? {
            if cell.column != self.column || cell.row < self.first || cell.value.is_blank() {
                continue;
            }
            let code = code_of(&cell.value, self.formats.at(cell.style));
            let code = code.map_err(|why| why.at(cells::place(self.sheet, cell.row, cell.column)))?;
            return Ok(Some(Line { number: cell.row, text: code.into_owned() }));
        }
        Ok(None)
    }
}

/// The code in a cell that is not blank.
fn code_of<'v>(value: &'v Value<'_>, format: Option<&Format>) -> Result<Cow<'v, str>, Why> {
    match value {
        Value::Nothing => Ok("".into()),
        Value::Shared(text) => Ok((*text).into()),
        Value::Text(text) => Ok(text.into()),
        Value::Number(written) => format.ok_or(Why::NoSuchStyle)?.code_of(written).map(Cow::from),
        Value::Truth(word) => Err(Why::Truth(word)),
        Value::Date(written) => Err(Why::Date { format: written.clone() }),
        Value::Error(word) => Err(Why::ErrorValue(word.clone())),
        Value::NotCalculated => Err(Why::NotCalculated),
    }
}

/// The part that names the sheets.
fn workbook_part(package: &mut Package) -> Result<String, Fault> {
    if !package.has("_rels/.rels") {
        return Err(if package.has("mimetype") { Why::OpenDocument } else { Why::NotASpreadsheet }.into());
    }
    let main = package.relations_of("")?.into_iter().find(|relation| relation.kind == "officeDocument");
    let part = main.ok_or(Why::NotASpreadsheet)?.part;
    if part.ends_with(".bin") { Err(Why::BinaryKind.into()) } else { Ok(part) }
}

impl Workbook {
    /// Reads the list of sheets, each with the reference to its part.
    fn read(package: &mut Package, part: &str, relations: &[Relation]) -> Result<Workbook, Fault> {
        let mut workbook = Workbook { sheets: Vec::new(), to_calculate: false };
        let mut xml = package.part(part, PART_BYTES_MAX)?;
        loop {
            let deep = xml.depth() + 1;
            match xml.next()? {
                Node::Start(tag) if deep == 1 && tag.name() != "workbook" => return Err(Why::NotASpreadsheet.into()),
                Node::Start(tag) if deep == 2 && tag.name() == "calcPr" => {
                    workbook.to_calculate = matches!(tag.attribute("fullCalcOnLoad")?.as_deref(), Some("1" | "true"));
                }
                Node::Start(tag) if deep == 3 && tag.name() == "sheet" => {
                    let id = tag.attribute("id")?.unwrap_or_default();
                    let sheet = relations.iter().find(|relation| relation.kind == "worksheet" && relation.id == id);
                    // A sheet of another kind, with a chart, has no cells.
                    if let Some(Relation { part, .. }) = sheet {
                        let name = tag.attribute("name")?.unwrap_or_default().into_owned();
                        let hidden = tag.attribute("state")?.is_some_and(|state| state != "visible");
                        workbook.sheets.push(Sheet { name, hidden, part: part.clone() });
                    }
                    if workbook.sheets.len() > RELATIONS_MAX {
                        return Err(Why::PartWrong { part: part.to_owned(), what: "it has too many sheets" }.into());
                    }
                }
                Node::Start(_) | Node::End | Node::Text(_) | Node::Aside => {}
                Node::Done => return Ok(workbook),
            }
        }
    }

    /// The sheet with that name; letter case matters only if two names differ in nothing else.
    fn named(&self, name: &str) -> Result<usize, Why> {
        let exact = self.sheets.iter().position(|sheet| sheet.name == name);
        let alike = || self.sheets.iter().position(|sheet| sheet.name.to_lowercase() == name.to_lowercase());
        exact.or_else(alike).ok_or_else(|| Why::NoSuchSheet { name: name.to_owned(), sheets: self.listed() })
    }

    fn listed(&self) -> String {
        let hidden = |sheet: &Sheet| if sheet.hidden { " (hidden)" } else { "" };
        listed(self.sheets.iter().map(|sheet| format!("{:?}{}", one_line(&sheet.name, LISTED_CHARS_MAX), hidden(sheet))))
    }
}

/// The first few of a list, and how many more there are.
fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(LISTED_MAX);
    let mut some: Vec<String> = all.take(LISTED_MAX).collect();
    some.extend((more > 0).then(|| format!("and {more} more")));
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// The columns of a sheet that are not empty.
fn survey(
    package: &mut Package,
    strings: &Strings,
    formats: &Formats,
    workbook: &Workbook,
    sheet: usize,
) -> Result<Vec<Column>, Fault> {
    let sheet = &workbook.sheets[sheet];
    let mut cells = Cells::open(package.part(&sheet.part, SHEET_BYTES_MAX)?, strings, &sheet.name, workbook.to_calculate)?;
    let mut columns: BTreeMap<u32, Column> = BTreeMap::new();
    while let Some(cell) = cells.next()? {
        if cell.value.is_blank() {
            continue;
        }
        let place = || cells::place(&sheet.name, cell.row, cell.column);
        let fault = code_of(&cell.value, formats.at(cell.style)).err().map(|why| why.at(place()));
        match columns.get_mut(&cell.column) {
            Some(column) => column.fault = column.fault.take().or(fault),
            None => {
                let first = Line { number: cell.row, text: shown(&cell.value) };
                columns.insert(cell.column, Column { number: cell.column, first, first_fault: fault, fault: None });
            }
        }
    }
    Ok(columns.into_values().collect())
}

/// The approximate text of a cell, for a header.
fn shown(value: &Value<'_>) -> String {
    let text = match value {
        Value::Nothing | Value::NotCalculated => "",
        Value::Shared(text) => text,
        Value::Truth(word) => word,
        Value::Text(text) | Value::Number(text) | Value::Date(text) | Value::Error(text) => text,
    };
    one_line(text.trim(), HEADER_CHARS_MAX)
}

/// The column with the codes, and whether it has a header.
fn choose(columns: Vec<Column>, options: &ListOptions) -> Result<(Column, bool), Why> {
    if columns.is_empty() {
        return Err(Why::NothingInSheet);
    }
    let headed = options.header != Header::No;
    let example = |at: usize| format!("{} {}", options.names.column, cells::name(columns[at].number));
    let (at, by_header) = if let Some(wanted) = &options.column {
        let letters = cells::column(wanted);
        let alike = |column: &Column| headed && column.first.text.to_lowercase() == wanted.trim().to_lowercase();
        match (columns.iter().position(|column| Some(column.number) == letters), positions(&columns, alike).as_slice()) {
            (Some(at), _) => (at, false),
            (None, [at]) => (*at, true),
            (None, []) => return Err(Why::NoSuchColumn { column: wanted.clone(), columns: headers(&columns, |_| true) }),
            (None, [at, ..]) => {
                let columns = headers(&columns, alike);
                return Err(Why::SameHeader { header: wanted.clone(), columns, example: example(*at) });
            }
        }
    } else {
        let matches = |column: &Column| headed && Header::is_word(&column.first.text);
        match (positions(&columns, matches).as_slice(), columns.len()) {
            ([at], _) => (*at, true),
            ([], 1) => (0, false),
            ([], _) => return Err(Why::SeveralColumns { columns: headers(&columns, |_| true), example: example(0) }),
            ([at, ..], _) => {
                return Err(Why::SeveralColumns { columns: headers(&columns, matches), example: example(*at) });
            }
        }
    };
    let column = columns.into_iter().nth(at).expect("the index is within the columns");
    let has_header = by_header || options.header.is_meant_by(&column.first.text);
    Ok((column, has_header))
}

fn positions(columns: &[Column], which: impl Fn(&Column) -> bool) -> Vec<usize> {
    (0..columns.len()).filter(|at| which(&columns[*at])).collect()
}

/// Columns with their headers, for people to choose from.
fn headers(columns: &[Column], which: impl Fn(&Column) -> bool) -> String {
    let chosen: Vec<&Column> = columns.iter().filter(|column| which(column)).collect();
    let one = |column: &Column| format!("{} {:?}", cells::name(column.number), one_line(&column.first.text, LISTED_CHARS_MAX));
    listed(chosen.into_iter().map(one))
}
