//! The cells of one sheet, in file order, one at a time.
//!
//! A sheet is read as it is unpacked and never held in memory. Rows and cells must be in order, as every spreadsheet program
//! writes them: a file with rows or cells out of order is treated as damaged, not sorted.

use super::fault::{Fault, Why};
use super::package::{Node, Xml};
use super::strings::{Strings, rich_text, unescape};

/// The last row and the last column of a sheet.
const ROWS_MAX: u32 = 1_048_576;
const COLUMNS_MAX: u32 = 16_384;

/// A cell.
#[derive(Debug, PartialEq)]
pub(super) struct Cell<'s> {
    /// Its row, from 1.
    pub(super) row: u32,
    /// Its column, from 1.
    pub(super) column: u32,
    /// The number of its style.
    pub(super) style: usize,
    /// What is in it.
    pub(super) value: Value<'s>,
}

/// The content of a cell. For a formula, the value that the file stores for it.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'s> {
    Nothing,
    /// A text in the file's string table.
    Shared(&'s str),
    Text(String),
    /// A number as it is written; possibly a date, depending on its format.
    Number(String),
    Truth(&'static str),
    /// A date as it is written.
    Date(String),
    Error(String),
    /// A formula without a stored value.
    NotCalculated,
}

impl Value<'_> {
    /// Whether the cell looks empty.
    pub(super) fn is_blank(&self) -> bool {
        match self {
            Value::Nothing => true,
            Value::Shared(text) => text.trim().is_empty(),
            Value::Text(text) => text.trim().is_empty(),
            Value::Number(_) | Value::Truth(_) | Value::Date(_) | Value::Error(_) | Value::NotCalculated => false,
        }
    }
}

/// The cells of a sheet.
pub(super) struct Cells<'a> {
    xml: Xml<'a>,
    strings: &'a Strings,
    sheet: &'a str,
    /// Whether the file requests that its formulas be calculated when it is opened.
    to_calculate: bool,
    row: u32,
    column: u32,
    ended: bool,
}

impl<'a> Cells<'a> {
    /// Reads up to the first row.
    pub(super) fn open(mut xml: Xml<'a>, strings: &'a Strings, sheet: &'a str, to_calculate: bool) -> Result<Cells<'a>, Fault> {
        loop {
            let deep = xml.depth() + 1;
            match xml.next()? {
                Node::Start(tag) if deep == 2 && tag.name() == "sheetData" => break,
                Node::Start(_) | Node::End | Node::Text(_) | Node::Aside => {}
                Node::Done => return Err(Why::PartWrong { part: xml.part().to_owned(), what: "it has no rows" }.into()),
            }
        }
        Ok(Cells { xml, strings, sheet, to_calculate, row: 0, column: 0, ended: false })
    }

    /// The next cell in the file, including empty ones.
    pub(super) fn next(&mut self) -> Result<Option<Cell<'a>>, Fault> {
        while !self.ended {
            // Depths: the sheet, its data, a row, a cell.
            let deep = self.xml.depth() + 1;
            match self.xml.next()? {
                Node::Start(tag) if deep == 3 && tag.name() == "row" => {
                    let given = tag.attribute("r")?.map(|row| row.parse().map_err(|_| Why::NoCell(row.into_owned())));
                    let given = given.transpose()?;
                    self.begin_row(given)?;
                }
                Node::Start(tag) if deep == 4 && tag.name() == "c" => {
                    let given = tag.attribute("r")?.map(|place| parse(&place).ok_or_else(|| Why::NoCell(place.into_owned())));
                    let style = tag.attribute("s")?.map_or(Some(0), |style| style.parse().ok());
                    let kind = tag.attribute("t")?.map_or_else(|| "n".to_owned(), |kind| kind.into_owned());
                    let given = given.transpose()?;
                    self.begin_cell(given)?;
                    let value = self.value(&kind)?;
                    let style = style.ok_or(Why::NoSuchStyle).map_err(|why| self.fault(why))?;
                    return Ok(Some(Cell { row: self.row, column: self.column, style, value }));
                }
                Node::Start(_) => self.xml.skip()?,
                Node::End => self.ended = self.xml.depth() < 2,
                Node::Text(_) | Node::Aside => {}
                Node::Done => self.ended = true,
            }
        }
        self.xml.finish()?;
        Ok(None)
    }

    fn begin_row(&mut self, given: Option<u32>) -> Result<(), Fault> {
        let row = given.unwrap_or(self.row + 1);
        if row <= self.row {
            return Err(Why::OutOfOrder.at(format!("{}, row {row}", self.sheet)));
        }
        if row > ROWS_MAX {
            return Err(Why::NoCell(row.to_string()).at(self.sheet));
        }
        (self.row, self.column) = (row, 0);
        Ok(())
    }

    fn begin_cell(&mut self, given: Option<(u32, u32)>) -> Result<(), Fault> {
        let (row, column) = given.unwrap_or((self.row, self.column + 1));
        if row != self.row || column <= self.column {
            return Err(Why::OutOfOrder.at(place(self.sheet, row, column)));
        }
        if column > COLUMNS_MAX {
            return Err(Why::NoCell(name(column)).at(self.sheet));
        }
        self.column = column;
        Ok(())
    }

    fn fault(&self, why: Why) -> Fault {
        why.at(place(self.sheet, self.row, self.column))
    }

    /// The content of the cell that was just started.
    fn value(&mut self, kind: &str) -> Result<Value<'a>, Fault> {
        let (mut formula, mut written, mut text) = (false, String::new(), None);
        let outside = self.xml.depth() - 1;
        while self.xml.depth() > outside {
            match self.xml.next()? {
                Node::Start(tag) => match tag.name() {
                    "v" => {
                        written.clear();
                        self.xml.text(&mut written)?;
                    }
                    "is" => {
                        let mut inline = String::new();
                        rich_text(&mut self.xml, &mut inline)?;
                        text = Some(inline);
                    }
                    inside => {
                        formula |= inside == "f";
                        self.xml.skip()?;
                    }
                },
                Node::End | Node::Text(_) | Node::Aside | Node::Done => {}
            }
        }
        if formula && kind != "str" && (written.is_empty() || (self.to_calculate && kind == "n" && written == "0")) {
            // Some programs write formulas without a value, others with a zero, and leave the calculation to the program that
            // opens the file.
            return Ok(Value::NotCalculated);
        }
        Ok(match kind {
            "inlineStr" => text.map_or(Value::Nothing, Value::Text),
            "str" => {
                unescape(&mut written);
                Value::Text(written)
            }
            _ if written.is_empty() => Value::Nothing,
            "n" => Value::Number(written),
            "s" => {
                let text = written.trim().parse().ok().and_then(|number| self.strings.at(number));
                Value::Shared(text.ok_or(Why::NoSuchText).map_err(|why| self.fault(why))?)
            }
            "b" => Value::Truth(if written.trim() == "0" { "FALSE" } else { "TRUE" }),
            "e" => Value::Error(written),
            "d" => Value::Date(written),
            _ => return Err(self.fault(Why::UnknownType(kind.to_owned()))),
        })
    }
}

/// The location of a cell as people write it: `Sheet1!B7`. As in a formula, a sheet name with more than letters and digits is
/// quoted.
pub(super) fn place(sheet: &str, row: u32, column: u32) -> String {
    format!("{}!{}{row}", quoted(sheet), name(column))
}

fn quoted(sheet: &str) -> String {
    let plain = sheet.chars().all(|character| character.is_alphanumeric() || matches!(character, '_' | '.'));
    if plain { sheet.to_owned() } else { format!("'{}'", sheet.replace('\'', "''")) }
}

/// A column's letters.
pub(super) fn name(column: u32) -> String {
    let (mut letters, mut left) = (Vec::new(), column);
    while left > 0 {
        left -= 1;
        letters.push(char::from(b'A' + (left % 26) as u8));
        left /= 26;
    }
    letters.iter().rev().collect()
}

/// A column by its letters.
pub(super) fn column(letters: &str) -> Option<u32> {
    if !(1..=3).contains(&letters.len()) || !letters.bytes().all(|letter| letter.is_ascii_alphabetic()) {
        return None;
    }
    let column = letters.bytes().fold(0, |column, letter| column * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1);
    (column <= COLUMNS_MAX).then_some(column)
}

/// The row and the column of a cell reference such as `B7`.
fn parse(place: &str) -> Option<(u32, u32)> {
    let digits = place.find(|character: char| character.is_ascii_digit())?;
    let (letters, digits) = place.split_at(digits);
    let row = digits.parse().ok().filter(|row| (1..=ROWS_MAX).contains(row))?;
    Some((row, column(letters)?))
}
