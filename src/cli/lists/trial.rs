//! A list that is tried as a whole: what adding it would answer, before any of it is added (Z7).
//!
//! Its parts are tried one after the other. A code that an earlier part would add already is counted as a duplicate, and the sum of all
//! parts is held against the campaign's limit (A2). For that a hash of each code that would be added is kept, and of each part, to notice
//! when the file is changed before it is sent: at the most some twenty bytes for each code that the campaign can hold, whatever the
//! list's length.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use scrip_engine::index::normalise;
use scrip_protocol::CampaignId;
use scrip_protocol::client::Client;
use scrip_protocol::command::{AddCodesOutcome, CodeLimit, CodesReport, LineVerdict, OnConflict, TryCodes};

use super::Conflict;
use super::parts::{Part, Parts};
use super::progress::Progress;
use super::report::{Counts, Skipped};
use crate::lists::List;

/// What was found.
pub(crate) struct Trial {
    /// What the parts are told by.
    pub(crate) parts: Vec<u64>,
    /// The sums, if it were added.
    pub(crate) counts: Counts,
    /// The lines that would not be added.
    pub(crate) skipped: Skipped,
    /// Those of them for which nothing is added, unless they are to be skipped.
    pub(crate) conflicts: Skipped,
    /// The campaign's limit, if the list would pass it.
    pub(crate) too_many: Option<CodeLimit>,
    /// Why no list at all can be added.
    pub(crate) refused: Option<AddCodesOutcome>,
    /// Whether no code of the first part would be added: as it is where a campaign was created with it before.
    pub(crate) first_adds_nothing: bool,
    /// How many lines are not blank.
    pub(crate) codes: u64,
    /// The last line.
    pub(crate) last_line: u32,
    /// The hashes of the codes that would be added.
    would_add: HashSet<u64>,
    /// The limit as the engine has said it.
    limit: Option<CodeLimit>,
}

impl Trial {
    /// Tries a list. A list of one part is not tried, unless this is `asked` for: it is added whole or not at all by itself.
    pub(crate) async fn of(
        mut list: List,
        client: &Client,
        campaign: Option<CampaignId>,
        on_conflict: Conflict,
        asked: bool,
        for_script: bool,
    ) -> anyhow::Result<Option<Trial>> {
        let mut parts = Parts::of(list.lines()?);
        let mut trial = Trial {
            parts: Vec::new(),
            counts: Counts::default(),
            skipped: Skipped::new(for_script)?,
            conflicts: Skipped::new(for_script)?,
            too_many: None,
            refused: None,
            first_adds_nothing: false,
            codes: 0,
            last_line: 0,
            would_add: HashSet::new(),
            limit: None,
        };
        let mut progress = Progress::new("looking at the list", None);
        while let Some(part) = parts.next()? {
            if part.number == 0 && parts.is_at_end() && !asked {
                return Ok(None);
            }
            progress.at(part.number, part.first_line);
            trial.parts.push(part.fingerprint());
            trial.codes += part.codes();
            trial.last_line = part.last_line();
            trial.part(client, campaign, &part, on_conflict).await?;
            if trial.refused.is_some() {
                break;
            }
            trial.first_adds_nothing |= part.number == 0 && trial.counts.added == 0;
        }
        Ok(Some(trial))
    }

    async fn part(
        &mut self,
        client: &Client,
        campaign: Option<CampaignId>,
        part: &Part,
        on_conflict: Conflict,
    ) -> anyhow::Result<()> {
        let asked = |earlier: u64, on_conflict| TryCodes {
            campaign,
            lines: part.lines.clone(),
            first_line: part.first_line,
            earlier: u32::try_from(earlier).unwrap_or(u32::MAX),
            on_conflict,
        };
        // What cannot be added is skipped, so that the sums are told in any case.
        let mut outcome = client.try_codes(&asked(self.counts.added, OnConflict::Skip)).await?;
        if let AddCodesOutcome::TooManyCodes(limit) = outcome
            && self.counts.added > 0
        {
            // It may be that the part only repeats what earlier ones have.
            self.limit = Some(limit);
            outcome = client.try_codes(&asked(0, OnConflict::Skip)).await?;
        }
        match outcome {
            AddCodesOutcome::Added(report) => self.take(part, report)?,
            AddCodesOutcome::TooManyCodes(limit) => {
                let would_add = limit.would_add.saturating_add(u32::try_from(self.counts.added).unwrap_or(u32::MAX));
                self.counts.add(u64::from(limit.would_add));
                self.too_many = Some(CodeLimit { would_add, ..limit });
                // What stands in the way for another reason is said first.
                if on_conflict == Conflict::Reject
                    && let AddCodesOutcome::Conflicts(lines) = client.try_codes(&asked(0, OnConflict::Reject)).await?
                {
                    lines.into_iter().try_for_each(|skip| self.conflicts.push(skip))?;
                }
            }
            AddCodesOutcome::CodesMissing => {}
            // No code of it can be added, and alone it would make no campaign.
            AddCodesOutcome::Conflicts(skipped) => self.take(part, CodesReport { added: 0, skipped })?,
            AddCodesOutcome::UnknownCampaign | AddCodesOutcome::CampaignArchived | AddCodesOutcome::TooManyLines => {
                self.refused = Some(outcome);
            }
        }
        Ok(())
    }

    fn take(&mut self, part: &Part, report: CodesReport) -> anyhow::Result<()> {
        let mut skipped = report.skipped.into_iter().peekable();
        for (number, text) in (part.first_line..).zip(part.lines.iter()) {
            if let Some(skip) = skipped.next_if(|skip| skip.line == number) {
                self.counts.skip(skip.why);
                if matches!(skip.why, LineVerdict::Invalid(_) | LineVerdict::HeldBy(_)) {
                    self.conflicts.push(skip.clone())?;
                }
                self.skipped.push(skip)?;
            } else if let Some(hash) = hash_of(text) {
                // Past the limit no more of them are kept: the list is not added.
                match self.too_many.is_some() || self.would_add.insert(hash) {
                    true => self.counts.add(1),
                    false => self.counts.skip(LineVerdict::DuplicateInList { of_line: 0 }),
                }
            }
        }
        let limit =
            self.too_many.or(self.limit.filter(|limit| u64::from(limit.current) + self.counts.added > u64::from(limit.limit)));
        let would_add = u32::try_from(self.counts.added).unwrap_or(u32::MAX);
        self.too_many = limit.map(|limit| CodeLimit { would_add, ..limit });
        Ok(())
    }

    /// Whether this line's code would be added by the list itself: then the campaign has it from an earlier part.
    pub(crate) fn would_add(&self, code: &str) -> bool {
        hash_of(code).is_some_and(|hash| self.would_add.contains(&hash))
    }
}

/// The hash of a code, whatever its letter case; none of what is no code.
fn hash_of(text: &str) -> Option<u64> {
    let code = normalise(text).ok()?;
    let mut hasher = DefaultHasher::new();
    code.as_str().hash(&mut hasher);
    Some(hasher.finish())
}
