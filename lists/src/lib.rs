//! Lists of promo codes from files: text with one code per line, or a spreadsheet (XLSX) with one code per row. This crate reads
//! a list and adds it to a campaign, and leaves it to its caller to print.
//!
//! Text and spreadsheets yield the same: numbered lines, in order, one at a time, so that a list of any length is read in bounded
//! memory. A line's number is that of the text's line or of the sheet's row, as people see it; [`Places`] formats it for people.
//! Blank lines and cells are left out but counted. Whether a line is a valid code is not decided here: the engine does that, line
//! by line.
//!
//! The kind of a file follows from its first bytes. Bytes from outside never panic, and the unpacked size of a file is bounded:
//! `package.rs` handles the container, `strings.rs`, `formats.rs` and `cells.rs` its contents, `xlsx.rs` the choice of a column.
//!
//! - [`ListSource`] is a file, or a copy of a stream, that can be opened more than once; [`List`] is the opened list.
//! - [`Parts`] divides a list into parts that fit a request.
//! - [`Adding`] adds a list to a campaign: it tries a long list as a whole, then sends it part by part.
//! - [`Counts`] and [`Skipped`] are the results for its lines.

mod adding;
mod cells;
mod fault;
mod formats;
mod line;
mod options;
mod package;
mod parts;
mod results;
mod source;
mod strings;
#[cfg(test)]
mod tests;
mod text;
mod trial;
mod xlsx;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;

pub use adding::{Added, Adding, Interrupted, NotAdded, SoFar, Target};
pub use fault::ListError;
pub use line::Line;
pub use options::{Header, ListOptions, OptionNames};
pub use parts::{Part, Parts};
pub use results::{Counts, FIRST_SKIPPED, Skipped};
pub use source::ListSource;
pub use trial::{AddError, Step};

use fault::{Fault, Why};
use package::{MIB, ReadSeek};
use text::TextLines;
use xlsx::{SheetLines, Xlsx};

/// The largest spreadsheet accepted from a pipe: a spreadsheet is read from its end, so it is held in memory.
const STREAM_BYTES_MAX: u64 = 256 * MIB;

/// How people refer to the location of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// `line 7`
    Lines,
    /// `Sheet1!B7`
    Cells {
        /// The sheet's name.
        sheet: String,
        /// The column, from 1.
        column: u32,
    },
}

impl Places {
    /// The location of a line, by its number.
    pub fn of(&self, line: u32) -> String {
        match self {
            Places::Lines => format!("line {line}"),
            Places::Cells { sheet, column } => cells::place(sheet, line, *column),
        }
    }
}

/// A list that was recognised, and can be read.
pub struct List {
    name: String,
    kind: Kind,
}

enum Kind {
    Text(TextLines),
    Sheet(Box<Xlsx>),
}

impl List {
    /// Opens a list under a name for people. For a spreadsheet, every cell of the column is checked before this returns.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a list.
    pub fn open(name: &str, file: &Path, options: &ListOptions) -> Result<List, ListError> {
        match Kind::of_file(file, options) {
            Ok(kind) => Ok(List { name: name.to_owned(), kind }),
            Err(fault) => Err(fault.in_file(name)),
        }
    }

    /// Its name for people: the file, or standard input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How people refer to the locations of its lines.
    pub fn places(&self) -> Places {
        match &self.kind {
            Kind::Text(_) => Places::Lines,
            Kind::Sheet(xlsx) => Places::Cells { sheet: xlsx.sheet().to_owned(), column: xlsx.column() },
        }
    }

    /// The line that was read as a header.
    pub fn header(&self) -> Option<&Line> {
        match &self.kind {
            Kind::Text(lines) => lines.header(),
            Kind::Sheet(xlsx) => xlsx.header(),
        }
    }

    /// Its lines, without blank ones and the header. The lines of a text can be read once. An error ends them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&mut self) -> Result<Lines<'_>, ListError> {
        let lines = match &mut self.kind {
            Kind::Text(lines) => LinesOf::Text(lines),
            Kind::Sheet(xlsx) => LinesOf::Sheet(Box::new(xlsx.lines().map_err(|fault| fault.in_file(&self.name))?)),
        };
        Ok(Lines { name: &self.name, lines: Some(lines) })
    }
}

/// The lines of a list.
pub struct Lines<'a> {
    name: &'a str,
    lines: Option<LinesOf<'a>>,
}

enum LinesOf<'a> {
    Text(&'a mut TextLines),
    Sheet(Box<SheetLines<'a>>),
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match self.lines.as_mut()? {
            LinesOf::Text(lines) => lines.next(),
            LinesOf::Sheet(lines) => lines.next(),
        };
        if !matches!(next, Ok(Some(_))) {
            self.lines = None;
        }
        next.map_err(|fault| fault.in_file(self.name)).transpose()
    }
}

/// The kind of a file, by its first bytes.
enum Like {
    Text,
    Archive,
    /// A document from before 2007, or a newer one protected by a password.
    OldDocument,
}

/// How many bytes decide.
const BEGINNING: usize = 8;

/// Reads the first bytes.
fn begin(reader: &mut impl Read) -> io::Result<(Vec<u8>, Like)> {
    let mut bytes = Vec::new();
    reader.take(BEGINNING as u64).read_to_end(&mut bytes)?;
    let like = match bytes.as_slice() {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Like::Archive,
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1] => Like::OldDocument,
        _ => Like::Text,
    };
    Ok((bytes, like))
}

impl Kind {
    fn of_file(path: &Path, options: &ListOptions) -> Result<Kind, Fault> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Kind::of_stream(file, options);
        }
        let (bytes, like) = begin(&mut file)?;
        let named_so = path.extension().and_then(|name| name.to_str()).map(str::to_lowercase);
        match like {
            Like::Text if matches!(named_so.as_deref(), Some("xlsx" | "xlsm")) => Err(Why::NotWhatItsNameSays.into()),
            Like::Text | Like::OldDocument => Kind::of_rest(bytes, like, file, options),
            Like::Archive => {
                file.rewind()?;
                Kind::sheet(Box::new(BufReader::new(file)), options)
            }
        }
    }

    fn of_stream(mut stream: impl Read + Send + 'static, options: &ListOptions) -> Result<Kind, Fault> {
        let (bytes, like) = begin(&mut stream)?;
        Kind::of_rest(bytes, like, stream, options)
    }

    /// A kind from the first bytes, which were already read, and the rest.
    fn of_rest(bytes: Vec<u8>, like: Like, rest: impl Read + Send + 'static, options: &ListOptions) -> Result<Kind, Fault> {
        let mut all = BufReader::new(Cursor::new(bytes).chain(rest));
        match like {
            Like::Text => {
                let given = [(options.names.sheet, &options.sheet), (options.names.column, &options.column)];
                match given.iter().find(|(_, value)| value.is_some()) {
                    Some((option, _)) => Err(Why::OnlyForSpreadsheets(option).into()),
                    None => Ok(Kind::Text(TextLines::open(Box::new(all), options.header)?)),
                }
            }
            Like::Archive => {
                let mut bytes = Vec::new();
                (&mut all).take(STREAM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > STREAM_BYTES_MAX {
                    return Err(Why::StreamTooLong { max_mib: STREAM_BYTES_MAX / MIB }.into());
                }
                Kind::sheet(Box::new(Cursor::new(bytes)), options)
            }
            Like::OldDocument => Err(if has_an_encrypted_package(all)? { Why::PasswordProtected } else { Why::OldKind }.into()),
        }
    }

    fn sheet(source: Box<dyn ReadSeek>, options: &ListOptions) -> Result<Kind, Fault> {
        Ok(Kind::Sheet(Box::new(Xlsx::open(source, options)?)))
    }
}

/// Whether an old document contains a new one that is encrypted: its directory then has a stream of this name, in UTF-16.
fn has_an_encrypted_package(document: impl Read) -> io::Result<bool> {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut document = document.take(STREAM_BYTES_MAX);
    let mut window = Vec::new();
    loop {
        let kept = window.len().saturating_sub(name.len());
        window.drain(..kept);
        if (&mut document).take(64 * 1024).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
        if window.windows(name.len()).any(|bytes| bytes == name) {
            return Ok(true);
        }
    }
}
