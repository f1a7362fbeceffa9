//! Lists of codes on the command line: where they come from, and how they are sent.
//!
//! A list is a file that [`crate::lists`] reads, or codes given as arguments. It can have any length: it is sent in [`parts`]
//! that fit a request, each read when it is due, so the list is never held in memory as a whole. [`adding`] adds a list to a
//! campaign; [`report`] prints the results for its lines.

pub(crate) mod adding;
pub(crate) mod parts;
pub(crate) mod progress;
pub(crate) mod report;
mod trial;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Args, ValueEnum};
use scrip_engine::folder::Folder;
use scrip_protocol::Settings;
use scrip_protocol::command::{CodeLimit, OnConflict};
use tempfile::NamedTempFile;

use crate::exit::InputError;
use crate::lists::{Line, List, ListOptions, Places};
use crate::print;

/// A list of codes to add to a campaign.
#[derive(Debug, Args)]
pub(crate) struct CodeList {
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    #[arg(help = "List of codes: a text or XLSX file [default: standard input]", long_help = LIST_HELP.as_str())]
    file: PathBuf,
    #[command(flatten)]
    options: ListOptions,
}

/// K2: names the organisation's limit if the data folder of SCRIP_DATA is on this machine, otherwise the default.
static LIST_HELP: LazyLock<String> = LazyLock::new(|| {
    let folder = Folder::at(std::env::var_os("SCRIP_DATA").map_or_else(|| PathBuf::from("scrip-data"), PathBuf::from));
    let limit = match folder.config() {
        Ok(config) => print::count(config.settings.codes_per_campaign_max, "code"),
        Err(_) => {
            let usual = print::count(Settings::default().codes_per_campaign_max, "code");
            format!("{usual} (the organisation may set another limit)")
        }
    };
    format!(
        "List of codes: text with one code per line (UTF-8), or a spreadsheet (XLSX) with one per row [default: standard input]. \
         A campaign holds at most {limit}, archived ones included"
    )
});

/// How to handle lines with a code of another campaign, or with an invalid code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conflict {
    /// Add nothing
    Reject,
    /// Skip the line
    Skip,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> OnConflict {
        match conflict {
            Conflict::Reject => OnConflict::Reject,
            Conflict::Skip => OnConflict::Skip,
        }
    }
}

impl CodeList {
    /// The source of the list.
    pub(crate) fn source(&self) -> Result<Source, InputError> {
        Source::of(&self.file, &self.options)
    }
}

/// Codes given as arguments or as a list.
#[derive(Debug, Args)]
pub(crate) struct SomeCodes {
    /// Codes; letter case is ignored
    #[arg(value_name = "CODE", required_unless_present = "file", conflicts_with = "file")]
    codes: Vec<String>,
    /// List of codes instead: text with one code per line (UTF-8), or a spreadsheet (XLSX) with one per row; - for standard input
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: ListOptions,
}

/// The codes that were given.
pub(crate) enum Given {
    Arguments(Vec<String>),
    Listed(Box<List>),
}

impl SomeCodes {
    /// Opens the list, if there is one. The whole list is read first, so that no part is sent of a list that cannot be read.
    pub(crate) fn open(&self) -> Result<Given, InputError> {
        match &self.file {
            None => Ok(Given::Arguments(self.codes.clone())),
            Some(file) => {
                let source = Source::of(file, &self.options)?;
                let mut list = source.open()?;
                announce_header(&list);
                list.lines()?.try_for_each(|line| line.map(drop))?;
                Ok(Given::Listed(Box::new(source.open()?)))
            }
        }
    }
}

/// Lines, one at a time.
pub(crate) type GivenLines<'a> = Box<dyn Iterator<Item = Result<Line, InputError>> + 'a>;

impl Given {
    /// How people name the location of a line; `None` for arguments, which are in front of them.
    pub(crate) fn places(&self) -> Option<Places> {
        match self {
            Given::Arguments(_) => None,
            Given::Listed(list) => Some(list.places()),
        }
    }

    /// Its lines.
    pub(crate) fn lines(&mut self) -> Result<GivenLines<'_>, InputError> {
        Ok(match self {
            Given::Arguments(codes) => {
                Box::new((1..).zip(codes.iter()).map(|(number, code)| Ok(Line { number, text: code.clone() })))
            }
            Given::Listed(list) => Box::new(list.lines()?),
        })
    }
}

/// A file with a list that can be read more than once: a pipe is copied into a temporary file.
pub(crate) struct Source {
    name: String,
    path: PathBuf,
    options: ListOptions,
    _copy: Option<NamedTempFile>,
}

impl Source {
    fn of(file: &Path, options: &ListOptions) -> Result<Source, InputError> {
        let is_standard_input = file.to_str() == Some("-");
        let name = if is_standard_input { "standard input".to_owned() } else { file.display().to_string() };
        let is_stream = is_standard_input || file.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
        let copied = match is_stream {
            true => Some(copy(file, is_standard_input).map_err(|why| InputError { place: name.clone(), why: why.to_string() })?),
            false => None,
        };
        let path = copied.as_ref().map_or_else(|| file.to_owned(), |copy| copy.path().to_owned());
        Ok(Source { name, path, options: options.clone(), _copy: copied })
    }

    /// Its name for people: the file, or standard input.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Opens it, from the beginning.
    pub(crate) fn open(&self) -> Result<List, InputError> {
        List::open(&self.name, &self.path, &self.options)
    }

    /// Prints how many codes were recognised in a spreadsheet (K5), so that people can see whether that is all of them.
    pub(crate) fn announce_recognised(&self, places: &Places, codes: u64, last_line: u32) {
        let found = match (places, codes) {
            (Places::Lines, _) => return,
            (Places::Cells { .. }, 0) => "no code recognised".to_owned(),
            (Places::Cells { .. }, 1) => format!("1 code recognised, in {}", places.of(last_line)),
            (Places::Cells { .. }, codes) => {
                format!("{} codes recognised, the last in {}", print::grouped(codes), places.of(last_line))
            }
        };
        print::complain(&format!("{}: {found}", self.name));
    }
}

/// The refusal of a list that exceeds the limit of a campaign (K1, A2).
pub(crate) fn past_limit(limit: &CodeLimit) -> String {
    format!(
        "refused: a campaign holds at most {}, archived ones included; this one has {}, and the list would add {}",
        print::count(limit.limit, "code"),
        print::grouped(limit.current),
        print::grouped(limit.would_add)
    )
}

/// Prints which line was read as a header.
fn announce_header(list: &List) {
    if let Some(header) = list.header() {
        let (name, place) = (list.name(), list.places().of(header.number));
        print::complain(&format!("{name}: {place}: {:?} is read as a header; --header no reads it as a code", header.text));
    }
}

fn copy(file: &Path, is_standard_input: bool) -> io::Result<NamedTempFile> {
    let mut copy = NamedTempFile::new()?;
    match is_standard_input {
        true => io::copy(&mut io::stdin().lock(), &mut copy)?,
        false => io::copy(&mut File::open(file)?, &mut copy)?,
    };
    Ok(copy)
}
