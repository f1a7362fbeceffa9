//! A trial of a whole list: the outcome of adding it, before any of it is added (Z7).
//!
//! The parts are tried one after the other. The engine sees one part at a time, so this module remembers the codes of earlier
//! parts: a line that repeats one is a duplicate of the first line with that code, whatever else the engine reports for it. The
//! total of all parts is compared with the campaign's limit (A2). For that, the hash and first line of each code are kept, for up
//! to [`CODES_MAX`] codes, and a hash of each part, to notice if the file changes before it is sent.

use std::collections::HashMap;
use std::env::temp_dir;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use scrip_client::{Client, ClientError};
use scrip_protocol::CampaignId;
use scrip_protocol::codes::{CodeForm, UnknownForm};
use scrip_protocol::command::{AddCodesOutcome, CodeLimit, CodesReport, LineVerdict, OnConflict, SkippedLine, TryCodes};

use super::List;
use super::fault::ListError;
use super::parts::{Part, Parts};
use super::results::{Counts, Skipped};

/// How many codes have their first line remembered: some 100 MB, and far more than a campaign can hold. Beyond that, a code
/// counts as new.
const CODES_MAX: usize = 1 << 22;

/// How many characters of a line are shown.
const SHOWN_CHARS: usize = 64;

/// Why a list could not be tried or added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The list is unusable.
    #[error(transparent)]
    List(#[from] ListError),
    /// A request has no outcome.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The engine compares codes in a form that this program does not know.
    #[error(transparent)]
    CodeForm(#[from] UnknownForm),
    /// The temporary file for the results cannot be created or written. Nothing was sent.
    #[error("cannot buffer the results in {dir}: {0}", dir = temp_dir().display())]
    Results(#[from] io::Error),
}

/// What is being done with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A part of the list is tried.
    Checking {
        /// The number of the part, from 0.
        part: u64,
        /// Its first line.
        line: u32,
    },
    /// The whole list was read, and nothing of it was sent.
    Recognised {
        /// How many lines are not blank.
        codes: u64,
        /// The last line.
        last_line: u32,
    },
    /// A part of the list is sent.
    Sending {
        /// The number of the part, from 0.
        part: u64,
        /// How many parts there are, if the list was tried.
        of: Option<u64>,
        /// Its first line.
        line: u32,
    },
}

/// The result of a trial.
pub(crate) struct Trial {
    /// The fingerprint of each part.
    pub(crate) parts: Vec<u64>,
    /// The counts, if the list were added.
    pub(crate) counts: Counts,
    /// The lines that would not be added.
    pub(crate) skipped: Skipped,
    /// Those of them that prevent adding anything, unless they are skipped.
    pub(crate) conflicts: Skipped,
    /// The campaign's limit, if the list would exceed it.
    pub(crate) too_many: Option<CodeLimit>,
    /// Why nothing can be added.
    pub(crate) refused: Option<AddCodesOutcome>,
    /// Whether the engine would refuse the first part on its own.
    pub(crate) refuses_first: bool,
    /// How many lines are not blank.
    pub(crate) codes: u64,
    /// The last line.
    pub(crate) last_line: u32,
    /// The form in which the organisation compares codes.
    form: CodeForm,
    /// The first line of each code, by the hash of the code.
    first_line: HashMap<u64, u32>,
    /// The limit as the engine reported it.
    limit: Option<CodeLimit>,
}

impl Trial {
    /// Tries a list. A list of one part is not tried unless `always` is set: it is added whole or not at all anyway.
    pub(crate) async fn of(
        mut list: List,
        client: &Client,
        campaign: Option<CampaignId>,
        on_conflict: OnConflict,
        always: bool,
        keeps_all: bool,
        notify: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Option<Trial>, AddError> {
        let mut parts = Parts::of(list.lines()?);
        let mut trial = Trial {
            parts: Vec::new(),
            counts: Counts::default(),
            skipped: Skipped::new(keeps_all),
            conflicts: Skipped::new(keeps_all),
            too_many: None,
            refused: None,
            refuses_first: false,
            codes: 0,
            last_line: 0,
            form: client.welcome().codes.known()?,
            first_line: HashMap::new(),
            limit: None,
        };
        while let Some(part) = parts.next().transpose()? {
            if part.number == 0 && parts.is_at_end() && !always {
                return Ok(None);
            }
            notify(Step::Checking { part: part.number, line: part.first_line });
            trial.parts.push(part.fingerprint());
            trial.codes += part.codes();
            trial.last_line = part.last_line();
            // After a refusal the other parts are still counted and their codes remembered: a retry may send them.
            match trial.refused {
                None => trial.part(client, campaign, &part, on_conflict).await?,
                Some(_) => {
                    trial.remember(&part);
                }
            }
            if part.number == 0 {
                let has_conflicts = on_conflict == OnConflict::Reject && trial.conflicts.number() > 0;
                let makes_no_campaign = campaign.is_none() && trial.counts.added == 0;
                trial.refuses_first = trial.refused.is_some() || trial.too_many.is_some() || has_conflicts || makes_no_campaign;
            }
        }
        trial.skipped.ensure_buffered()?;
        trial.conflicts.ensure_buffered()?;
        Ok(Some(trial))
    }

    async fn part(
        &mut self,
        client: &Client,
        campaign: Option<CampaignId>,
        part: &Part,
        on_conflict: OnConflict,
    ) -> Result<(), AddError> {
        let query = |earlier: u64, on_conflict| TryCodes {
            campaign,
            lines: part.lines.clone(),
            first_line: part.first_line,
            earlier: u32::try_from(earlier).unwrap_or(u32::MAX),
            on_conflict,
        };
        // Skip what cannot be added, so that the counts are returned in any case.
        let mut outcome = client.try_codes(&query(self.counts.added, OnConflict::Skip)).await?;
        if let AddCodesOutcome::TooManyCodes(limit) = outcome
            && self.counts.added > 0
        {
            // The part may only repeat codes of earlier ones.
            self.limit = Some(limit);
            outcome = client.try_codes(&query(0, OnConflict::Skip)).await?;
        }
        match outcome {
            AddCodesOutcome::Added(report) => self.take(part, report),
            AddCodesOutcome::TooManyCodes(limit) => {
                let fresh = self.remember(part);
                self.counts.add(u64::from(limit.would_add).min(fresh));
                let would_add = u32::try_from(self.counts.added).unwrap_or(u32::MAX);
                self.too_many = Some(CodeLimit { would_add, ..limit });
                // Conflicts are reported before the limit.
                if on_conflict == OnConflict::Reject
                    && let AddCodesOutcome::Conflicts(lines) = client.try_codes(&query(0, OnConflict::Reject)).await?
                {
                    lines.into_iter().for_each(|skip| self.conflicts.push(skip));
                }
            }
            AddCodesOutcome::CodesMissing => {}
            // None of its codes can be added, and alone it would not create a campaign.
            AddCodesOutcome::Conflicts(skipped) => self.take(part, CodesReport { added: 0, skipped }),
            AddCodesOutcome::UnknownCampaign | AddCodesOutcome::CampaignArchived | AddCodesOutcome::TooManyLines => {
                self.remember(part);
                self.refused = Some(outcome);
            }
        }
        Ok(())
    }

    fn take(&mut self, part: &Part, report: CodesReport) {
        let mut skipped = report.skipped.into_iter().peekable();
        for (number, text) in (part.first_line..).zip(part.lines.iter()) {
            let hash = hash_of(text, self.form);
            let earlier = hash.and_then(|hash| self.first(hash, number)).filter(|first| *first < number);
            let repeated = earlier.map(|of_line| LineVerdict::DuplicateInList { of_line });
            let skip = match (skipped.next_if(|skip| skip.line == number), repeated) {
                (Some(skip), why) => SkippedLine { why: why.unwrap_or(skip.why), ..skip },
                (None, Some(why)) => SkippedLine { line: number, code: self.shown(text), why },
                (None, None) => {
                    self.counts.add(u64::from(hash.is_some()));
                    continue;
                }
            };
            self.counts.skip(skip.why);
            if matches!(skip.why, LineVerdict::Invalid(_) | LineVerdict::HeldBy(_)) {
                self.conflicts.push(skip.clone());
            }
            self.skipped.push(skip);
        }
        let limit =
            self.too_many.or(self.limit.filter(|limit| u64::from(limit.current) + self.counts.added > u64::from(limit.limit)));
        let would_add = u32::try_from(self.counts.added).unwrap_or(u32::MAX);
        self.too_many = limit.map(|limit| CodeLimit { would_add, ..limit });
    }

    /// Remembers the codes of a part. Returns how many of them no earlier part has.
    fn remember(&mut self, part: &Part) -> u64 {
        let mut fresh = 0;
        for (number, text) in (part.first_line..).zip(part.lines.iter()) {
            let first = hash_of(text, self.form).map(|hash| self.first(hash, number));
            fresh += u64::from(first.is_some_and(|first| first.is_none_or(|first| first == number)));
        }
        fresh
    }

    /// The first line with a code, which is this one if there was none before; `None` beyond [`CODES_MAX`].
    fn first(&mut self, hash: u64, number: u32) -> Option<u32> {
        let known = self.first_line.get(&hash).copied();
        if known.is_none() && self.first_line.len() < CODES_MAX {
            self.first_line.insert(hash, number);
            return Some(number);
        }
        known
    }

    /// Corrects a verdict of the engine on a line of a part: the engine does not know the parts before it.
    pub(crate) fn of_list(&self, part: &Part, skip: SkippedLine) -> SkippedLine {
        let text = skip.line.checked_sub(part.first_line).and_then(|at| part.lines.of(at as usize));
        let first = text.and_then(|text| self.first_line.get(&hash_of(text, self.form)?).copied());
        match first.filter(|first| *first < skip.line) {
            Some(of_line) => SkippedLine { why: LineVerdict::DuplicateInList { of_line }, ..skip },
            None => skip,
        }
    }

    /// A line as verdicts show it.
    fn shown(&self, text: &str) -> String {
        self.form.trim(text).chars().take(SHOWN_CHARS).collect()
    }
}

/// The hash of a code, however it is written; `None` if the text is not a code.
fn hash_of(text: &str, form: CodeForm) -> Option<u64> {
    let code = form.normalise(text).ok()?;
    let mut hasher = DefaultHasher::new();
    code.as_str().hash(&mut hasher);
    Some(hasher.finish())
}
