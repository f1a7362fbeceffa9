//! What can be wrong with a list: every message about an unusable file, in one place.
//!
//! Each message is one line that names the problem and, if the user can fix it, how. The location in the file (a line, a cell) is
//! kept beside it; the caller that opened the file puts its name before both.

use std::io;

/// Limits of what is shown from a file, which may contain anything, of any length.
const PLACE_CHARS_MAX: usize = 100;
const WHY_CHARS_MAX: usize = 1_000;

/// A text on one line, cut to a number of characters.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let visible = text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character });
    let mut line: String = visible.take(chars_max).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

/// A list that is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{why}", .location.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
pub struct ListError {
    /// The name of the file for people.
    pub file: String,
    /// The location in the file, such as `line 7` or `Sheet1!B7`, if the error has one.
    pub location: Option<String>,
    /// What is wrong there, on one line.
    pub why: String,
}

/// A problem, and its location in the file if it has one.
#[derive(Debug)]
pub(super) struct Fault {
    at: Option<String>,
    why: Why,
}

impl Fault {
    /// The error for people.
    pub(super) fn in_file(self, name: &str) -> ListError {
        let location = self.at.map(|at| one_line(&at, PLACE_CHARS_MAX));
        ListError { file: name.to_owned(), location, why: one_line(&self.why.to_string(), WHY_CHARS_MAX) }
    }
}

impl From<Why> for Fault {
    fn from(why: Why) -> Fault {
        Fault { at: None, why }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Why::Unreadable(error).into()
    }
}

/// The problem.
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("{0} applies to spreadsheets, but this is text")]
    OnlyForSpreadsheets(&'static str),

    #[error("this is not UTF-8")]
    NotUtf8,
    #[error("this text is in UTF-16: save it as UTF-8")]
    Utf16,
    #[error("this line is longer than {max_kib} KiB")]
    LineTooLong { max_kib: u64 },
    #[error("too many lines")]
    TooManyLines,

    #[error("this is named like a spreadsheet but is not one; it may be damaged")]
    NotWhatItsNameSays,
    #[error("this spreadsheet is protected by a password: save it without one")]
    PasswordProtected,
    #[error("this is an old spreadsheet (.xls) or another old Office document: save it as .xlsx")]
    OldKind,
    #[error("this is a binary spreadsheet (.xlsb): save it as .xlsx")]
    BinaryKind,
    #[error("this is an OpenDocument file: save it as .xlsx")]
    OpenDocument,
    #[error("this is a ZIP archive, but not a spreadsheet (.xlsx)")]
    NotASpreadsheet,
    #[error("a spreadsheet from a stream can have at most {max_mib} MiB; pass it as a file")]
    StreamTooLong { max_mib: u64 },
    #[error("the file is damaged or cut off: {0}")]
    Archive(zip::result::ZipError),
    #[error("the file is damaged: {part} is missing")]
    PartMissing { part: String },
    #[error("the file is damaged: {part} is truncated")]
    PartCutOff { part: String },
    #[error("the file is damaged: {part}: {source}")]
    PartDamaged { part: String, source: quick_xml::Error },
    #[error("the file is damaged: {part}: {what}")]
    PartWrong { part: String, what: &'static str },
    #[error("{part} unpacks to more than {max_mib} MiB, too much for a list of codes")]
    PartTooLarge { part: String, max_mib: u64 },
    #[error("{part} has a text of more than {max_kib} KiB, too long for a spreadsheet")]
    TextTooLong { part: String, max_kib: usize },
    #[error("{part} is nested more than {max} levels deep, too deep for a spreadsheet")]
    NestedTooDeep { part: String, max: u32 },

    #[error("there is no sheet {name:?}; the sheets are: {sheets}")]
    NoSuchSheet { name: String, sheets: String },
    #[error("all visible sheets are empty; the sheets are: {sheets}")]
    NothingInSheets { sheets: String },
    #[error("the sheet is empty")]
    NothingInSheet,
    #[error("the codes could be in any of these columns: {columns}; choose one, for example {example}")]
    SeveralColumns { columns: String, example: String },
    #[error("no column has the letters or the header {column:?}; the columns are: {columns}")]
    NoSuchColumn { column: String, columns: String },
    #[error("several columns have the header {header:?}: {columns}; choose one by its letters, for example {example}")]
    SameHeader { header: String, columns: String, example: String },

    #[error("the file is damaged: its rows or cells are out of order")]
    OutOfOrder,
    #[error("the file is damaged: {0:?} is not a cell of a spreadsheet")]
    NoCell(String),
    #[error("the file is damaged: the cell's text is not in the string table")]
    NoSuchText,
    #[error("the file is damaged: the cell's style is not in the style table")]
    NoSuchStyle,
    #[error("the file is damaged: {0:?} is not a number")]
    NotANumber(String),
    #[error("the file is damaged: {0:?} is not a cell type")]
    UnknownType(String),
    #[error("this is a date or time (format {format}), not a code: format the column as text and enter its codes again")]
    Date { format: String },
    #[error("this is a logical value ({0}), not a code: format the column as text and enter its codes again")]
    Truth(&'static str),
    #[error("this is an error value ({0}), not a code")]
    ErrorValue(String),
    #[error(
        "the file has no value for this formula: open it in a spreadsheet program and save it there, or enter the value itself"
    )]
    NotCalculated,
    #[error(
        "the number {0} has more than the 15 digits that a spreadsheet stores, so the code may have been different: format the column \
         as text and enter its codes again"
    )]
    TooManyDigits(String),
    #[error(
        "the number {number} is shown in the format {format}, so the code may have been different: format the column as text and \
         enter its codes again"
    )]
    ShownDifferently { number: String, format: String },
}

impl Why {
    /// The problem at a location.
    pub(super) fn at(self, place: impl Into<String>) -> Fault {
        Fault { at: Some(place.into()), why: self }
    }
}
