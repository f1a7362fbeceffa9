//! The results of a list: the counts (K5, K6, A15), and the lines that changed nothing, each with the reason.
//!
//! The first of these lines are in memory, for people. For scripts all of them are kept: as there may be as many as the list has
//! lines, they are in a temporary file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use scrip_protocol::command::{LineVerdict, SkippedLine};
use serde::Serialize;

/// How many skipped lines are held in memory.
pub const FIRST_SKIPPED: usize = 20;

/// The counts of a list that is added to a campaign: every line that is not blank is in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// How many lines are not blank.
    pub recognised: u64,
    /// How many codes were added, or would be.
    pub added: u64,
    /// How many lines repeat a code of an earlier line.
    pub duplicates_in_list: u64,
    /// How many lines have a code that the campaign already had.
    pub already_in_campaign: u64,
    /// How many lines have a code of another campaign.
    pub held_elsewhere: u64,
    /// How many lines are not valid codes.
    pub invalid: u64,
}

impl Counts {
    /// Counts added codes.
    pub fn add(&mut self, codes: u64) {
        self.recognised += codes;
        self.added += codes;
    }

    /// Counts a skipped line.
    pub fn skip(&mut self, why: LineVerdict) {
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
    pub fn skipped(&self) -> u64 {
        self.recognised - self.added
    }
}

/// The lines that changed nothing.
#[derive(Debug)]
pub struct Skipped {
    number: u64,
    first: Vec<SkippedLine>,
    /// The temporary file with all lines, if they are kept, or why they could not be buffered. Such an error never stops a
    /// request that was begun.
    all: Option<io::Result<BufWriter<File>>>,
}

impl Skipped {
    /// No lines yet. `keeps_all` sets whether to keep more lines than the first.
    pub fn new(keeps_all: bool) -> Skipped {
        let all = keeps_all.then(|| tempfile::tempfile().map(BufWriter::new));
        Skipped { number: 0, first: Vec::new(), all }
    }

    /// Checks that all lines so far are buffered. To be called before anything is sent.
    ///
    /// # Errors
    /// When the temporary file cannot be created or written.
    pub fn ensure_buffered(&mut self) -> io::Result<()> {
        match &mut self.all {
            Some(Ok(all)) => all.flush(),
            Some(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }

    /// How many lines there are.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The first [`FIRST_SKIPPED`] lines.
    pub fn first(&self) -> &[SkippedLine] {
        &self.first
    }

    /// Adds a line. If the temporary file cannot be written, [`Skipped::into_json_items`] returns the error.
    pub fn push(&mut self, skip: SkippedLine) {
        if let Some(Ok(all)) = &mut self.all {
            let separated = if self.number > 0 { all.write_all(b",") } else { Ok(()) };
            if let Err(error) = separated.and_then(|()| Ok(serde_json::to_writer(all, &skip)?)) {
                self.all = Some(Err(error));
            }
        }
        self.number += 1;
        if self.first.len() < FIRST_SKIPPED {
            self.first.push(skip);
        }
    }

    /// A file with all lines as JSON objects with commas between them, read from its beginning; empty unless all were kept.
    ///
    /// # Errors
    /// When the temporary file could not be created or written.
    pub fn into_json_items(self) -> io::Result<File> {
        let mut all = match self.all {
            Some(all) => all?.into_inner().map_err(io::IntoInnerError::into_error)?,
            None => tempfile::tempfile()?,
        };
        all.rewind()?;
        Ok(all)
    }
}
