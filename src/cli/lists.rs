//! Lists of codes from a file or standard input, and the report on what became of their lines.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use scrip_protocol::command::{LineVerdict, OnConflict, SkippedLine};

use crate::exit::InputError;
use crate::lists::{List, ListOptions, Places};
use crate::print;

/// How many skipped lines are shown, unless JSON is asked for, which has them all.
const SKIPPED_SHOWN: usize = 20;

/// A list of codes.
#[derive(Debug, Args)]
pub(crate) struct CodeList {
    /// The list of codes: text with one per line (UTF-8), or a spreadsheet (XLSX) with one per row; - for standard input. At most
    /// 50,000 codes fit a campaign, unless its organisation is set up otherwise
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    options: ListOptions,
}

/// What to do with lines that hold a code which another campaign has, or no possible code.
#[derive(Debug, Clone, Copy, ValueEnum)]
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
    /// The lines, with an empty one for each that holds nothing or is a header, and how people say where they are. What a spreadsheet
    /// was found to hold is said on standard error (K5).
    pub(crate) fn read(&self) -> Result<(Vec<String>, Places), InputError> {
        let mut list = List::open(&self.file, &self.options)?;
        let places = list.places();
        let (mut texts, mut codes): (Vec<String>, u32) = (Vec::new(), 0);
        for line in list.lines()? {
            let line = line?;
            texts.resize(line.number as usize - 1, String::new());
            texts.push(line.text);
            codes += 1;
        }
        if matches!(places, Places::Cells { .. }) {
            let said = match (codes, u32::try_from(texts.len())) {
                (0, _) | (_, Err(_)) => "no code recognised".to_owned(),
                (1, Ok(last)) => format!("1 code recognised, in {}", places.of(last)),
                (_, Ok(last)) => format!("{codes} codes recognised, the last in {}", places.of(last)),
            };
            print::complain(&format!("{}: {said}", list.name()));
        }
        if let Some(header) = list.header() {
            let place = places.of(header.number);
            print::complain(&format!(
                "{}: {place}: {:?} is read as a header; --header no reads it as a code",
                list.name(),
                header.text
            ));
        }
        Ok((texts, places))
    }
}

/// Prints the lines that added nothing.
pub(crate) fn print_skipped(places: &Places, skipped: &[SkippedLine]) {
    let duplicates = skipped.iter().filter(|skip| matches!(skip.why, LineVerdict::DuplicateInList { .. })).count();
    if matches!(places, Places::Cells { .. }) && duplicates > 0 {
        print::line(format_args!("  duplicates in the file: {duplicates}"));
    }
    for skip in skipped.iter().take(SKIPPED_SHOWN) {
        let why = match skip.why {
            LineVerdict::DuplicateInList { of_line } => format!("duplicate of {}", places.of(of_line)),
            why @ (LineVerdict::Invalid(_)
            | LineVerdict::AlreadyInCampaign
            | LineVerdict::HeldBy(_)
            | LineVerdict::NotInCampaign
            | LineVerdict::AlreadyArchived
            | LineVerdict::NotArchived) => why.to_string(),
        };
        print::line(format_args!("  {}: {:?}: {why}", places.of(skip.line), skip.code));
    }
    if skipped.len() > SKIPPED_SHOWN {
        print::line(format_args!("  and {} more; --json lists them all", skipped.len() - SKIPPED_SHOWN));
    }
}
