//! What can be wrong with a list: everything that is said about a file that cannot be used, in one place.
//!
//! Each answer is one line that says what is the matter and, where somebody can mend it, how. A place in the file (a line, a cell) is
//! kept beside it; the file's name is put before both by whoever opened it.

use std::io;

use crate::exit::InputError;

/// What is shown of what stands in a file: it may be anything, of any length.
const PLACE_CHARS_MAX: usize = 100;
const WHY_CHARS_MAX: usize = 1_000;

/// A text for one line, cut to so many characters.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let visible = text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character });
    let mut line: String = visible.take(chars_max).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

/// Something wrong, and its place in the file where it has one.
#[derive(Debug)]
pub(super) struct Fault {
    at: Option<String>,
    why: Why,
}

impl Fault {
    /// The same as a person sees it.
    pub(super) fn in_file(self, name: &str) -> InputError {
        let place = match self.at {
            Some(at) => format!("{name}: {}", one_line(&at, PLACE_CHARS_MAX)),
            None => name.to_owned(),
        };
        InputError { place, why: one_line(&self.why.to_string(), WHY_CHARS_MAX) }
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

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("{0} is for spreadsheets, and this is text")]
    OnlyForSpreadsheets(&'static str),

    #[error("this is not UTF-8")]
    NotUtf8,
    #[error("this text is in UTF-16: save it as UTF-8")]
    Utf16,
    #[error("this line is longer than {max_kib} KiB")]
    LineTooLong { max_kib: u64 },
    #[error("there are more lines than can be counted")]
    TooManyLines,

    #[error("this is named like a spreadsheet, but does not begin like one: it is damaged, or something else")]
    NotWhatItsNameSays,
    #[error("this spreadsheet is protected by a password: save it without one")]
    PasswordProtected,
    #[error("this is a spreadsheet of the old kind (.xls), or another document of its time: save it as .xlsx")]
    OldKind,
    #[error("this is a binary spreadsheet (.xlsb): save it as .xlsx")]
    BinaryKind,
    #[error("this is an OpenDocument file: save it as .xlsx")]
    OpenDocument,
    #[error("this is a ZIP archive, but no spreadsheet (.xlsx)")]
    NotASpreadsheet,
    #[error("a spreadsheet that is not read from a file of its own may have {max_mib} MiB")]
    StreamTooLong { max_mib: u64 },
    #[error("the file is damaged or cut off: {0}")]
    Archive(zip::result::ZipError),
    #[error("the file is damaged: {part} is missing in it")]
    PartMissing { part: String },
    #[error("the file is damaged: {part} ends in the middle")]
    PartCutOff { part: String },
    #[error("the file is damaged: {part}: {source}")]
    PartDamaged { part: String, source: quick_xml::Error },
    #[error("the file is damaged: {part}: {what}")]
    PartWrong { part: String, what: &'static str },
    #[error("{part} unpacks to more than {max_mib} MiB, which is too much for a list of codes")]
    PartTooLarge { part: String, max_mib: u64 },
    #[error("{part} has a text of more than {max_kib} KiB, as no spreadsheet has")]
    TextTooLong { part: String, max_kib: usize },
    #[error("{part} is nested more than {max} deep, as no spreadsheet is")]
    NestedTooDeep { part: String, max: u32 },

    #[error("there is no sheet {asked:?}; there are: {sheets}")]
    NoSuchSheet { asked: String, sheets: String },
    #[error("no visible sheet has a cell with anything in it; the sheets are: {sheets}")]
    NothingInSheets { sheets: String },
    #[error("no cell has anything in it")]
    NothingInSheet,
    #[error("the codes could be in any of these columns: {columns}; say in which, as in --column {example}")]
    SeveralColumns { columns: String, example: String },
    #[error("no column is {asked:?}, by its letters or its header; there are: {columns}")]
    NoSuchColumn { asked: String, columns: String },
    #[error("several columns have the header {asked:?}: {columns}; say which by its letters, as in --column {example}")]
    SameHeader { asked: String, columns: String, example: String },

    #[error("the file is damaged: its rows or cells are not in order")]
    OutOfOrder,
    #[error("the file is damaged: {0:?} is no cell of a spreadsheet")]
    NoCell(String),
    #[error("the file is damaged: the cell's text is not in its table of texts")]
    NoSuchText,
    #[error("the file is damaged: the cell's style is not in its table of styles")]
    NoSuchStyle,
    #[error("the file is damaged: {0:?} is not a number")]
    NotANumber(String),
    #[error("the file is damaged: {0:?} is no type of cell")]
    UnknownType(String),
    #[error("this is a date or time (format {format}), not a code: format the column as text and enter its codes again")]
    Date { format: String },
    #[error("this is a truth value ({0}), not a code: format the column as text and enter its codes again")]
    Truth(&'static str),
    #[error("this is an error value ({0}), not a code")]
    ErrorValue(String),
    #[error(
        "the file has no value for this formula: open it in a spreadsheet program and save it there, or put in the value itself"
    )]
    NotCalculated,
    #[error(
        "the number {0} has more than the 15 digits that a spreadsheet keeps, so the code may have been another: format the column \
         as text and enter its codes again"
    )]
    TooManyDigits(String),
    #[error(
        "the number {number} is shown in the format {format}, so the code may have been another: format the column as text and \
         enter its codes again"
    )]
    ShownDifferently { number: String, format: String },
}

impl Why {
    /// The same with its place.
    pub(super) fn at(self, place: impl Into<String>) -> Fault {
        Fault { at: Some(place.into()), why: self }
    }
}
