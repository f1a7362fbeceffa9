//! Lists of codes on the command line: where they come from, and how they are sent.
//!
//! A list is a file that [`crate::lists`] reads, or codes given as arguments. It may be of any length: it is sent in [`parts`] that
//! a request can carry, each read when its turn comes, so that the whole of it is never held in memory. [`adding`] is the way of a list
//! into a campaign, [`report`] what is said of its lines.

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

/// A list of codes that is to be added to a campaign.
#[derive(Debug, Args)]
pub(crate) struct CodeList {
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true, help = LIST_HELP.as_str())]
    file: PathBuf,
    #[command(flatten)]
    options: ListOptions,
}

/// K2: with the limit of the organisation, where the data folder that the environment names has one; without it, with the usual one.
static LIST_HELP: LazyLock<String> = LazyLock::new(|| {
    let folder = Folder::at(std::env::var_os("SCRIP_DATA").map_or_else(|| PathBuf::from("scrip-data"), PathBuf::from));
    let limit = match folder.config() {
        Ok(config) => print::grouped(config.settings.codes_per_campaign_max),
        Err(_) => {
            format!("{} (or what the organisation has set)", print::grouped(Settings::default().codes_per_campaign_max))
        }
    };
    format!(
        "The list of codes: text with one code per line (UTF-8), or a spreadsheet (XLSX) with one per row; without it, or with -, \
         standard input. A campaign holds at most {limit} codes, archived ones included"
    )
});

/// What to do with lines that hold a code which another campaign has, or no possible code.
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
    /// The file.
    pub(crate) fn source(&self) -> Result<Source, InputError> {
        Source::of(&self.file, &self.options)
    }
}

/// Codes that a campaign has, or any: arguments, or a list.
#[derive(Debug, Args)]
pub(crate) struct SomeCodes {
    /// The codes; letter case does not matter
    #[arg(value_name = "CODE", required_unless_present = "file", conflicts_with = "file")]
    codes: Vec<String>,
    /// A list of codes instead: text with one code per line (UTF-8), or a spreadsheet (XLSX) with one per row; - for standard input
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: ListOptions,
}

/// Codes that were given one way or the other.
pub(crate) enum Given {
    Arguments(Vec<String>),
    Listed(Box<List>),
}

impl SomeCodes {
    /// Opens the list, if there is one.
    pub(crate) fn open(&self) -> Result<Given, InputError> {
        match &self.file {
            None => Ok(Given::Arguments(self.codes.clone())),
            Some(file) => {
                let list = Source::of(file, &self.options)?.open()?;
                say_header(&list);
                Ok(Given::Listed(Box::new(list)))
            }
        }
    }
}

/// Lines, one at a time.
pub(crate) type GivenLines<'a> = Box<dyn Iterator<Item = Result<Line, InputError>> + 'a>;

impl Given {
    /// How people say where its lines are; none for arguments, which they see before them.
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

/// A file with a list, which can be read more than once: what comes through a pipe is kept in a temporary file meanwhile.
pub(crate) struct Source {
    name: String,
    path: PathBuf,
    options: ListOptions,
    _kept: Option<NamedTempFile>,
}

impl Source {
    fn of(file: &Path, options: &ListOptions) -> Result<Source, InputError> {
        let is_standard_input = file.to_str() == Some("-");
        let name = if is_standard_input { "standard input".to_owned() } else { file.display().to_string() };
        let is_stream = is_standard_input || file.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
        let kept = match is_stream {
            true => Some(kept(file, is_standard_input).map_err(|why| InputError { place: name.clone(), why: why.to_string() })?),
            false => None,
        };
        let path = kept.as_ref().map_or_else(|| file.to_owned(), |kept| kept.path().to_owned());
        Ok(Source { name, path, options: options.clone(), _kept: kept })
    }

    /// How people call it: its file, or standard input.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Opens it, from the beginning.
    pub(crate) fn open(&self) -> Result<List, InputError> {
        List::open(&self.name, &self.path, &self.options)
    }

    /// Says how many codes a spreadsheet was found to hold (K5), so that it is seen whether that is all of them.
    pub(crate) fn say_recognised(&self, places: &Places, codes: u64, last_line: u32) {
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

/// That a campaign cannot hold so many codes (K1, A2).
pub(crate) fn past_limit(limit: &CodeLimit) -> String {
    format!(
        "refused: a campaign holds at most {}, archived ones included; this one has {}, and {} more would be added",
        print::count(limit.limit, "code"),
        print::grouped(limit.current),
        print::grouped(limit.would_add)
    )
}

/// Says what was taken for a header.
fn say_header(list: &List) {
    if let Some(header) = list.header() {
        let (name, place) = (list.name(), list.places().of(header.number));
        print::complain(&format!("{name}: {place}: {:?} is read as a header; --header no reads it as a code", header.text));
    }
}

fn kept(file: &Path, is_standard_input: bool) -> io::Result<NamedTempFile> {
    let mut kept = NamedTempFile::new()?;
    match is_standard_input {
        true => io::copy(&mut io::stdin().lock(), &mut kept)?,
        false => io::copy(&mut File::open(file)?, &mut kept)?,
    };
    Ok(kept)
}
