//! The results of a list: the counts (K5, K6, A15), and the lines that changed nothing, each with its location and the reason.
//!
//! For people only the first of these lines are printed. For scripts all of them are: as there may be as many as the list has
//! lines, they are buffered in a temporary file until the counts that come before them are known.

use std::env::temp_dir;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use anyhow::Context;
use scrip_protocol::command::{LineVerdict, SkippedLine};
use serde::Serialize;

use crate::lists::Places;
use crate::print;

/// How many lines are printed for people.
const SHOWN: usize = 20;

/// The counts of a list that is added to a campaign: every line that is not blank is in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    /// How many lines are not blank.
    pub(crate) recognised: u64,
    /// How many codes were added, or would be.
    pub(crate) added: u64,
    /// How many lines repeat a code of an earlier line.
    pub(crate) duplicates_in_list: u64,
    /// How many lines have a code that the campaign already had.
    pub(crate) already_in_campaign: u64,
    /// How many lines have a code of another campaign.
    pub(crate) held_elsewhere: u64,
    /// How many lines are not valid codes.
    pub(crate) invalid: u64,
}

impl Counts {
    /// Counts added codes.
    pub(crate) fn add(&mut self, codes: u64) {
        self.recognised += codes;
        self.added += codes;
    }

    /// Counts a skipped line.
    pub(crate) fn skip(&mut self, why: LineVerdict) {
        self.recognised += 1;
        match why {
            LineVerdict::Invalid(_) => self.invalid += 1,
            LineVerdict::DuplicateInList { .. } => self.duplicates_in_list += 1,
            LineVerdict::AlreadyInCampaign => self.already_in_campaign += 1,
            LineVerdict::HeldBy(_) => self.held_elsewhere += 1,
            // Verdicts on codes being archived or restored, never on codes being added.
            LineVerdict::NotInCampaign | LineVerdict::AlreadyArchived | LineVerdict::NotArchived => {}
        }
    }

    /// How many lines were not added.
    pub(crate) fn skipped(&self) -> u64 {
        self.recognised - self.added
    }

    /// Prints the counts, unless every line was added.
    pub(crate) fn print(&self) {
        if self.skipped() == 0 {
            return;
        }
        let rows = [
            ("recognised in the list", self.recognised),
            ("duplicates in the list", self.duplicates_in_list),
            ("already in the campaign", self.already_in_campaign),
            ("held by other campaigns", self.held_elsewhere),
            ("invalid", self.invalid),
        ];
        let row = |(what, number): (&str, u64)| vec![format!("  {what}"), print::grouped(number)];
        print::table(&["", ">"], &rows.map(row));
    }
}

/// The lines that changed nothing.
#[derive(Debug)]
pub(crate) struct Skipped {
    number: u64,
    first: Vec<SkippedLine>,
    /// For a script, the file with all lines, or why they could not be buffered. That is an output that cannot be written: it
    /// never stops a request that was begun.
    all: Option<io::Result<BufWriter<File>>>,
}

impl Skipped {
    /// No lines yet; keeps all of them if they are for a script.
    pub(crate) fn new(for_script: bool) -> Skipped {
        let all = for_script.then(|| tempfile::tempfile().map(BufWriter::new));
        Skipped { number: 0, first: Vec::new(), all }
    }

    /// Checks that all lines so far are buffered, before anything is sent.
    pub(crate) fn ensure_buffered(&mut self) -> anyhow::Result<()> {
        let buffered = match &mut self.all {
            Some(Ok(all)) => all.flush(),
            Some(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        };
        buffered.with_context(|| format!("cannot buffer the results in {}", temp_dir().display()))
    }

    /// How many lines there are.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, skip: SkippedLine) {
        if let Some(Ok(all)) = &mut self.all {
            let separated = if self.number > 0 { all.write_all(b",") } else { Ok(()) };
            if let Err(error) = separated.and_then(|()| Ok(serde_json::to_writer(all, &skip)?)) {
                self.all = Some(Err(error));
            }
        }
        self.number += 1;
        if self.first.len() < SHOWN {
            self.first.push(skip);
        }
    }

    /// Prints the first lines for people.
    pub(crate) fn print(&self, places: Option<&Places>) {
        for skip in &self.first {
            let why = match (skip.why, places) {
                (LineVerdict::DuplicateInList { of_line }, Some(places)) => format!("duplicate of {}", places.of(of_line)),
                (LineVerdict::DuplicateInList { .. }, None) => "given twice".to_owned(),
                (
                    why @ (LineVerdict::Invalid(_)
                    | LineVerdict::AlreadyInCampaign
                    | LineVerdict::HeldBy(_)
                    | LineVerdict::NotInCampaign
                    | LineVerdict::AlreadyArchived
                    | LineVerdict::NotArchived),
                    _,
                ) => why.to_string(),
            };
            match places {
                Some(places) => print::line(format_args!("  {}: {:?}: {why}", places.of(skip.line), skip.code)),
                None => print::line(format_args!("  {:?}: {why}", skip.code)),
            }
        }
        let more = self.number - self.first.len() as u64;
        if more > 0 {
            print::line(format_args!("  and {} more; --json lists all of them", print::grouped(more)));
        }
    }

    /// Prints one line of JSON: all lines as an array between two texts.
    pub(crate) fn print_json(self, before: &str, after: &str) {
        let all = self.all.unwrap_or_else(|| tempfile::tempfile().map(BufWriter::new));
        let rewound = all.and_then(|all| {
            let mut all = all.into_inner().map_err(io::IntoInnerError::into_error)?;
            all.rewind()?;
            Ok(all)
        });
        match rewound {
            Ok(mut all) => print::json_around(&format!("{before}["), &mut all, &format!("]{after}")),
            Err(error) => {
                let why = format!("the results cannot be buffered in {}: {error}", temp_dir().display());
                print::failed(io::Error::new(error.kind(), why));
            }
        }
    }
}
