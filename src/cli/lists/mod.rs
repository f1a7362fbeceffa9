//! Lists of codes on the command line: arguments and output. The crate `scrip_lists` reads and sends them.
//!
//! A list is a file, or codes given as arguments. [`adding`] adds a list to a campaign; [`results`] prints the results for its
//! lines.

pub(crate) mod adding;
pub(crate) mod results;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Args, ValueEnum};
use scrip_engine::folder::Folder;
use scrip_lists::{Header, Line, List, ListError, ListOptions, ListSource, OptionNames, Places};
use scrip_protocol::Settings;
use scrip_protocol::command::{CodeLimit, OnConflict};

use crate::print;

/// A list of codes to add to a campaign.
#[derive(Debug, Args)]
pub(crate) struct CodeList {
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    #[arg(help = "List of codes: a text or XLSX file [default: standard input]", long_help = LIST_HELP.as_str())]
    file: PathBuf,
    #[command(flatten)]
    options: ListArgs,
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

/// How to read a list.
#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Sheet with the codes, for a spreadsheet
    ///
    /// By default the first visible sheet that is not empty. Hidden rows of the sheet are read as well.
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Column with the codes, for a spreadsheet
    ///
    /// Its letters or its header. By default the column with the header "code" or "promo code", or the only column.
    #[arg(long, value_name = "LETTERS|HEADER")]
    column: Option<String>,
    /// Whether the first line that is not blank is a header
    ///
    /// With `auto` it is a header if it reads "code", "codes" or "promo code".
    #[arg(long, value_enum, default_value_t)]
    header: HeaderArg,
}

/// Whether a list has a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum HeaderArg {
    /// Decide by the first line
    #[default]
    Auto,
    /// There is a header
    Yes,
    /// There is no header
    No,
}

impl From<&ListArgs> for ListOptions {
    fn from(args: &ListArgs) -> ListOptions {
        let header = match args.header {
            HeaderArg::Auto => Header::Auto,
            HeaderArg::Yes => Header::Yes,
            HeaderArg::No => Header::No,
        };
        let names = OptionNames { sheet: "--sheet", column: "--column" };
        ListOptions { sheet: args.sheet.clone(), column: args.column.clone(), header, names }
    }
}

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
    pub(crate) fn source(&self) -> Result<ListSource, ListError> {
        source(&self.file, &self.options)
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
    options: ListArgs,
}

/// The codes that were given.
pub(crate) enum Given {
    Arguments(Vec<String>),
    Listed(Box<List>),
}

impl SomeCodes {
    /// Opens the list, if there is one. The whole list is read first, so that no part is sent of a list that cannot be read.
    pub(crate) fn open(&self) -> Result<Given, ListError> {
        match &self.file {
            None => Ok(Given::Arguments(self.codes.clone())),
            Some(file) => {
                let source = source(file, &self.options)?;
                let mut list = source.open()?;
                announce_header(&list);
                list.lines()?.try_for_each(|line| line.map(drop))?;
                Ok(Given::Listed(Box::new(source.open()?)))
            }
        }
    }
}

/// The file of a list; `-` is standard input.
fn source(file: &Path, args: &ListArgs) -> Result<ListSource, ListError> {
    match file.to_str() {
        Some("-") => ListSource::copy_of(&mut io::stdin().lock(), "standard input".to_owned(), &args.into()),
        Some(_) | None => ListSource::of_file(file, &args.into()),
    }
}

/// Lines, one at a time.
pub(crate) type GivenLines<'a> = Box<dyn Iterator<Item = Result<Line, ListError>> + 'a>;

impl Given {
    /// How people name the location of a line; `None` for arguments, which are in front of them.
    pub(crate) fn places(&self) -> Option<Places> {
        match self {
            Given::Arguments(_) => None,
            Given::Listed(list) => Some(list.places()),
        }
    }

    /// Its lines.
    pub(crate) fn lines(&mut self) -> Result<GivenLines<'_>, ListError> {
        Ok(match self {
            Given::Arguments(codes) => {
                Box::new((1..).zip(codes.iter()).map(|(number, code)| Ok(Line { number, text: code.clone() })))
            }
            Given::Listed(list) => Box::new(list.lines()?),
        })
    }
}

/// Prints how many codes were recognised in a spreadsheet (K5), so that people can see whether that is all of them.
fn announce_recognised(name: &str, places: &Places, codes: u64, last_line: u32) {
    let found = match (places, codes) {
        (Places::Lines, _) => return,
        (Places::Cells { .. }, 0) => "no code recognised".to_owned(),
        (Places::Cells { .. }, 1) => format!("1 code recognised, in {}", places.of(last_line)),
        (Places::Cells { .. }, codes) => {
            format!("{} codes recognised, the last in {}", print::grouped(codes), places.of(last_line))
        }
    };
    print::complain(&format!("{name}: {found}"));
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
