//! Adding a list of codes to a campaign, or creating a campaign with its list: a long list is tried as a whole, then sent part by
//! part.
//!
//! A part is added whole or not at all. To come close to that for a list of several parts, all of it is tried before any part is
//! sent. Changes by others can still stop it in the middle; the result then says how far it got. A retry under the same request
//! id retries each part under its own id: parts that have an outcome return it again, and missing parts are added. What the trial
//! predicts is not the outcome of a request that was sent before, so a retry consults the engine first.

use std::io;

use scrip_client::{Client, ClientError, NoOutcome};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CodeLimit, CodeTexts, CodesReport, CreateCampaign, CreateCampaignOutcome, OnConflict, SkippedLine,
    Terms,
};
use scrip_protocol::{CampaignId, Refusal, RequestId};
use serde::Serialize;
use serde_json::{Value, json};

use super::List;
use super::fault::ListError;
use super::parts::{Part, Parts};
use super::results::{Counts, Skipped};
use super::source::ListSource;
use super::trial::{AddError, Step, Trial};

/// The campaign that receives the codes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A campaign that is created with them.
    New(Box<Terms>),
    /// An existing campaign.
    Campaign(CampaignId),
}

/// A list to add to a campaign.
#[derive(Clone, Copy)]
pub struct Adding<'a> {
    /// The engine; a client for retries if `is_retry` ([`Client::retrying`]).
    pub client: &'a Client,
    /// The list.
    pub source: &'a ListSource,
    /// The campaign.
    pub target: &'a Target,
    /// How to handle lines with a code of another campaign, or with an invalid code.
    pub on_conflict: OnConflict,
    /// The idempotency key. Each part has an id that follows from it.
    pub request: RequestId,
    /// Whether the request may have been sent before under this id.
    pub is_retry: bool,
    /// Whether only to find out what would be added.
    pub dry_run: bool,
    /// Whether to keep all skipped lines, and not only the first.
    pub keeps_all: bool,
}

/// The result of adding a list.
#[derive(Debug)]
pub enum Added {
    /// The whole list was sent.
    Done {
        /// The campaign.
        campaign: CampaignId,
        /// The counts.
        counts: Counts,
        /// The lines that were not added.
        skipped: Skipped,
    },
    /// Nothing was sent; this would be the result.
    WouldBe {
        /// The counts.
        counts: Counts,
        /// The lines that would not be added.
        skipped: Skipped,
    },
    /// The list, or the rest of it, was refused.
    Refused {
        /// Why.
        why: NotAdded,
        /// What was added before.
        so_far: Option<SoFar>,
    },
}

/// Why a list was refused.
#[derive(Debug)]
pub enum NotAdded {
    /// Because of these lines.
    Lines(Skipped),
    /// Because of the campaign's limit.
    TooMany(CodeLimit),
    /// For another reason.
    Other {
        /// The engine's outcome in words, for people.
        words: String,
        /// The engine's outcome, for scripts.
        outcome: Value,
    },
}

/// What was added of a list that could not be added as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoFar {
    /// The campaign.
    pub campaign: CampaignId,
    /// The last line of the list that was sent.
    pub to_line: u32,
    /// The counts up to that line.
    pub counts: Counts,
}

/// An error, with what was added before it. Once one part was added, the request as a whole is neither executed nor refused.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Interrupted {
    /// The error.
    #[source]
    pub error: AddError,
    /// What was added before it.
    pub so_far: Option<SoFar>,
}

impl From<AddError> for Interrupted {
    fn from(error: AddError) -> Interrupted {
        Interrupted { error, so_far: None }
    }
}

/// What was done so far.
struct Done {
    campaign: Option<CampaignId>,
    counts: Counts,
    skipped: Skipped,
    /// The last line of the list that was sent.
    to_line: Option<u32>,
}

/// The outcome of a part.
enum Sent {
    /// The part was added.
    Added(CampaignId, CodesReport),
    /// The part has no code that a campaign could be created with.
    Nothing(Vec<SkippedLine>),
    /// The engine refused the part because of these lines.
    Conflicts(Vec<SkippedLine>),
    /// The engine refused the part for another reason.
    Refused(NotAdded),
}

impl NotAdded {
    /// An earlier attempt under the same request id was refused.
    fn before() -> NotAdded {
        let words = "refused: an earlier attempt with this request id was refused, and nothing was added; to try again, use a new \
                     request id";
        NotAdded::Other { words: words.to_owned(), outcome: json!("refused_before") }
    }

    fn other(outcome: &(impl Serialize + ToString)) -> NotAdded {
        NotAdded::Other { words: outcome.to_string(), outcome: json!(outcome) }
    }
}

impl Adding<'_> {
    /// Adds the list, which was opened from its source. `notify` receives each step. The files are read on the polling thread.
    ///
    /// # Errors
    /// When the list is unusable, or a request has no outcome.
    pub async fn run(&self, list: List, notify: &mut (dyn FnMut(Step) + Send)) -> Result<Added, Interrupted> {
        let trial = Trial::of(list, self.client, self.campaign(), self.on_conflict, self.dry_run, self.keeps_all, notify).await?;
        let Some(mut trial) = trial else { return self.send(None, notify).await };
        if trial.refused.is_none() {
            notify(Step::Recognised { codes: trial.codes, last_line: trial.last_line });
        }
        match self.predicted(&mut trial) {
            None if self.dry_run => Ok(Added::WouldBe { counts: trial.counts, skipped: trial.skipped }),
            None => self.send(Some(&trial), notify).await,
            // The trial judges by the current state. Under a given id the engine may have an earlier outcome.
            Some(_) if self.has_an_outcome(&trial).await? => self.send(Some(&trial), notify).await,
            Some(why) => Ok(Added::Refused { why, so_far: None }),
        }
    }

    fn campaign(&self) -> Option<CampaignId> {
        match self.target {
            Target::New(_) => None,
            Target::Campaign(campaign) => Some(*campaign),
        }
    }

    /// What the engine would refuse.
    fn predicted(&self, trial: &mut Trial) -> Option<NotAdded> {
        if let Some(outcome) = &trial.refused {
            return Some(NotAdded::other(outcome));
        }
        if self.on_conflict == OnConflict::Reject && trial.conflicts.number() > 0 {
            return Some(NotAdded::Lines(std::mem::replace(&mut trial.conflicts, Skipped::new(false))));
        }
        if let Some(limit) = trial.too_many {
            return Some(NotAdded::TooMany(limit));
        }
        (trial.counts.recognised == 0).then(|| NotAdded::other(&AddCodesOutcome::CodesMissing))
    }

    /// Whether the engine already has an outcome for the list's first part under this id. If so, its outcomes decide, whatever
    /// the trial predicts now. After `false` the first part is never executed under this id, and as it is sent before all others,
    /// none of them was executed either.
    async fn has_an_outcome(&self, trial: &Trial) -> Result<bool, AddError> {
        if !self.is_retry || self.dry_run {
            return Ok(false);
        }
        if trial.refuses_first {
            let mut list = self.source.open()?;
            let Some(first) = Parts::of(list.lines()?).next().transpose()? else { return Ok(false) };
            return match self.send_part(self.campaign(), &first).await {
                Ok(Sent::Added(..)) => Ok(true),
                // It may be sent for the first time here. An earlier attempt went on to the next part.
                Ok(Sent::Nothing(_)) => Ok(trial.parts.len() > 1 && !self.take_id(1).await?),
                Ok(Sent::Conflicts(_) | Sent::Refused(_)) => Ok(false),
                // An earlier command took the id when it refused the list.
                Err(error) if is_reused(&error) && self.take_id(0).await? => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        Ok(!self.take_id(0).await?)
    }

    /// Sends a request that is always refused under the id of a part, which is then never executed under this id. Returns false if
    /// the id was taken by another request.
    async fn take_id(&self, part: u64) -> Result<bool, ClientError> {
        let refused =
            AddCodes { campaign: CampaignId(0), lines: CodeTexts::default(), first_line: 1, on_conflict: OnConflict::Reject };
        match self.client.add_codes(self.request.of_part(part), &refused).await {
            Ok(AddCodesOutcome::UnknownCampaign) => Ok(true),
            // Ids from before the engine compared bodies: this is the outcome of the part itself.
            Ok(_) => Ok(false),
            Err(error) if is_reused(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends the list, which must be the same as in the trial.
    async fn send(&self, trial: Option<&Trial>, notify: &mut (dyn FnMut(Step) + Send)) -> Result<Added, Interrupted> {
        let mut done = Done::new(self.campaign(), self.keeps_all).map_err(AddError::from)?;
        let refused = self.send_parts(trial, &mut done, notify).await;
        let so_far = done.so_far();
        let why = match (refused.map_err(|error| Interrupted { error, so_far })?, done.campaign) {
            (Some(why), _) => why,
            (None, Some(campaign)) => return Ok(Added::Done { campaign, counts: done.counts, skipped: done.skipped }),
            (None, None) if done.counts.recognised == 0 => NotAdded::other(&AddCodesOutcome::CodesMissing),
            (None, None) => NotAdded::Lines(done.skipped),
        };
        Ok(Added::Refused { why, so_far })
    }

    /// Sends the parts of the list until one is refused. Returns why.
    async fn send_parts(
        &self,
        trial: Option<&Trial>,
        done: &mut Done,
        notify: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Option<NotAdded>, AddError> {
        let mut list = self.source.open()?;
        let places = list.places();
        let mut parts = Parts::of(list.lines()?);
        while let Some(part) = parts.next().transpose()? {
            let is_as_tried = match trial {
                Some(trial) => trial.parts.get(part.number as usize) == Some(&part.fingerprint()),
                None => parts.is_at_end(),
            };
            if !is_as_tried {
                let why = "the list changed while it was being read; nothing was sent from here on".to_owned();
                let location = Some(places.of(part.first_line));
                return Err(ListError { file: self.source.name().to_owned(), location, why }.into());
            }
            if trial.is_none() {
                notify(Step::Recognised { codes: part.codes(), last_line: part.last_line() });
            }
            let of = trial.map(|trial| trial.parts.len() as u64);
            notify(Step::Sending { part: part.number, of, line: part.first_line });
            let sent = self.send_part(done.campaign, &part).await;
            if let Err(error) = &sent
                && done.to_line.is_none()
                && self.is_retry
                && is_reused(error)
                && self.take_id(part.number).await?
            {
                // An earlier command took the id when it refused the list. That holds for a retry, whatever would be possible now.
                return Ok(Some(NotAdded::before()));
            }
            match sent? {
                Sent::Added(campaign, report) => done.take(campaign, &part, report, trial),
                Sent::Nothing(lines) => done.pass(&part, lines, trial),
                Sent::Conflicts(lines) => {
                    let mut conflicts = Skipped::new(self.keeps_all);
                    lines.into_iter().for_each(|skip| conflicts.push(skip));
                    return Ok(Some(NotAdded::Lines(conflicts)));
                }
                Sent::Refused(why) => return Ok(Some(why)),
            }
        }
        Ok(None)
    }

    async fn send_part(&self, campaign: Option<CampaignId>, part: &Part) -> Result<Sent, ClientError> {
        let (client, id, on_conflict) = (self.client, self.request.of_part(part.number), self.on_conflict);
        if let (Target::New(terms), None) = (&self.target, campaign) {
            let command = CreateCampaign { terms: Terms::clone(terms), lines: part.lines.clone(), on_conflict };
            let of_list = |lines: Vec<SkippedLine>| lines.into_iter().map(|skip| part.of_list(skip)).collect();
            return Ok(match client.create_campaign(id, &command).await? {
                CreateCampaignOutcome::Created { campaign, codes } => {
                    Sent::Added(campaign, CodesReport { skipped: of_list(codes.skipped), ..codes })
                }
                CreateCampaignOutcome::Conflicts(lines) if self.on_conflict == OnConflict::Skip => Sent::Nothing(of_list(lines)),
                CreateCampaignOutcome::CodesMissing => Sent::Nothing(Vec::new()),
                CreateCampaignOutcome::Conflicts(lines) => Sent::Conflicts(of_list(lines)),
                CreateCampaignOutcome::TooManyCodes(limit) => Sent::Refused(NotAdded::TooMany(limit)),
                other @ (CreateCampaignOutcome::InvalidTerms(_)
                | CreateCampaignOutcome::TooManyLines
                | CreateCampaignOutcome::TooManyCampaigns) => Sent::Refused(NotAdded::other(&other)),
            });
        }
        let campaign = campaign.or(self.campaign()).unwrap_or_default();
        let command = AddCodes { campaign, lines: part.lines.clone(), first_line: part.first_line, on_conflict };
        Ok(match client.add_codes(id, &command).await? {
            AddCodesOutcome::Added(report) => Sent::Added(campaign, report),
            AddCodesOutcome::Conflicts(lines) => Sent::Conflicts(lines),
            AddCodesOutcome::TooManyCodes(limit) => Sent::Refused(NotAdded::TooMany(limit)),
            AddCodesOutcome::CodesMissing if part.number > 0 => Sent::Added(campaign, CodesReport::default()),
            other @ (AddCodesOutcome::UnknownCampaign
            | AddCodesOutcome::CampaignArchived
            | AddCodesOutcome::CodesMissing
            | AddCodesOutcome::TooManyLines) => Sent::Refused(NotAdded::other(&other)),
        })
    }
}

/// Whether the engine executed another request under this id.
fn is_reused(error: &ClientError) -> bool {
    matches!(error, ClientError::Unknown { cause: Some(NoOutcome::Refused(Refusal::RequestIdReused)), .. })
}

impl Done {
    fn new(campaign: Option<CampaignId>, keeps_all: bool) -> io::Result<Done> {
        let mut skipped = Skipped::new(keeps_all);
        skipped.ensure_buffered()?;
        Ok(Done { campaign, counts: Counts::default(), skipped, to_line: None })
    }

    /// What was added, if anything was.
    fn so_far(&self) -> Option<SoFar> {
        Some(SoFar { campaign: self.campaign?, to_line: self.to_line?, counts: self.counts })
    }

    /// Counts a part that was added.
    fn take(&mut self, campaign: CampaignId, part: &Part, report: CodesReport, trial: Option<&Trial>) {
        self.campaign = Some(campaign);
        self.to_line = Some(part.last_line());
        self.counts.add(u64::from(report.added));
        for skip in report.skipped {
            self.skip(part, skip, trial);
        }
    }

    /// Counts a part none of whose codes can be added.
    fn pass(&mut self, part: &Part, lines: Vec<SkippedLine>, trial: Option<&Trial>) {
        lines.into_iter().for_each(|skip| self.skip(part, skip, trial));
    }

    fn skip(&mut self, part: &Part, skip: SkippedLine, trial: Option<&Trial>) {
        let skip = match trial {
            Some(trial) => trial.of_list(part, skip),
            None => skip,
        };
        self.counts.skip(skip.why);
        self.skipped.push(skip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server can add a list in a task: the future moves between threads.
    #[test]
    fn adding_can_run_in_a_task() {
        fn in_a_task(_: impl Future<Output = Result<Added, Interrupted>> + Send) {}
        let _never_called = |adding: Adding<'_>, list: List| in_a_task(adding.run(list, &mut |_| {}));
    }
}
