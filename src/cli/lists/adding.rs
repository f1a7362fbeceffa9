//! Adding a list of codes to a campaign, or creating a campaign with its list: a long list is tried as a whole, then sent part by
//! part.
//!
//! A part is added whole or not at all. To come close to that for a list of several parts, all of it is tried before any part is
//! sent. Changes by others can still stop it in the middle; the output then says how far it got. A retry under the same request
//! id retries each part under its own id: parts that have an outcome return it again, and missing parts are added. What the trial
//! predicts is not the outcome of a request that was sent before, so a retry consults the engine first.

use scrip_client::{Client, ClientError, NoOutcome};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CodeLimit, CodeTexts, CodesReport, CreateCampaign, CreateCampaignOutcome, OnConflict, SkippedLine,
    Terms,
};
use scrip_protocol::{CampaignId, Refusal, RequestId};
use serde::Serialize;
use serde_json::{Value, json};

use super::parts::{Part, Parts};
use super::progress::Progress;
use super::report::{Counts, Skipped};
use super::trial::Trial;
use super::{Conflict, Source, announce_header, past_limit};
use crate::exit::{Exit, InputError, words_of};
use crate::lists::Places;
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// The campaign that receives the codes.
pub(crate) enum Target {
    /// A campaign that is created with them.
    New(Box<Terms>),
    /// An existing campaign.
    Campaign(CampaignId),
}

/// A list to add.
pub(crate) struct Adding<'a> {
    pub(crate) reach: &'a Reach,
    pub(crate) request_args: &'a RequestArgs,
    pub(crate) source: Source,
    pub(crate) on_conflict: Conflict,
    pub(crate) target: Target,
    /// Whether only to print what would be done.
    pub(crate) dry_run: bool,
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
    No(No),
}

/// A refusal.
enum No {
    /// Because of these lines.
    Lines(Skipped),
    /// Because of the campaign's limit.
    TooMany(CodeLimit),
    /// For another reason: for people, and for scripts.
    Other(String, Value),
}

impl No {
    fn other(outcome: &(impl Serialize + ToString)) -> No {
        No::Other(outcome.to_string(), json!(outcome))
    }
}

impl Adding<'_> {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let base = self.request_args.id();
        let added = self.add(base).await;
        if added.is_ok() && !self.dry_run {
            print::outcome_of(base);
        }
        added.map_err(|error| if self.dry_run { error } else { self.reach.without_outcome(self.request_args, base, error) })
    }

    async fn add(&self, base: RequestId) -> anyhow::Result<Exit> {
        let list = self.source.open()?;
        announce_header(&list);
        let places = list.places();
        let client = self.reach.client_for(self.request_args).await?;
        let trial = Trial::of(list, &client, self.campaign(), self.on_conflict, self.dry_run, self.reach.json).await?;
        let Some(mut trial) = trial else { return self.send(&client, base, &places, None).await };
        if trial.refused.is_none() {
            self.source.announce_recognised(&places, trial.codes, trial.last_line);
        }
        match self.predicted(&mut trial) {
            None if self.dry_run => Ok(self.would_do(&places, trial)),
            None => self.send(&client, base, &places, Some(&trial)).await,
            // The trial judges by the current state. Under a given id the engine may have an earlier outcome.
            Some(_) if self.has_an_outcome(&client, base, &trial).await? => self.send(&client, base, &places, Some(&trial)).await,
            Some(no) => Ok(self.refuse(base, &places, no, None)),
        }
    }

    fn campaign(&self) -> Option<CampaignId> {
        match self.target {
            Target::New(_) => None,
            Target::Campaign(campaign) => Some(campaign),
        }
    }

    /// What the engine would refuse.
    fn predicted(&self, trial: &mut Trial) -> Option<No> {
        if let Some(outcome) = &trial.refused {
            return Some(No::other(outcome));
        }
        if self.on_conflict == Conflict::Reject && trial.conflicts.number() > 0 {
            return Some(No::Lines(std::mem::replace(&mut trial.conflicts, Skipped::new(false))));
        }
        if let Some(limit) = trial.too_many {
            return Some(No::TooMany(limit));
        }
        (trial.counts.recognised == 0).then(|| No::other(&AddCodesOutcome::CodesMissing))
    }

    /// Whether the engine already has an outcome for the list's first part under this id. If so, its outcomes decide, whatever
    /// the trial predicts now. After `false` the first part is never executed under this id, and as it is sent before all others,
    /// none of them was executed either.
    async fn has_an_outcome(&self, client: &Client, base: RequestId, trial: &Trial) -> anyhow::Result<bool> {
        if !self.request_args.is_given() || self.dry_run {
            return Ok(false);
        }
        if trial.refuses_first {
            let mut list = self.source.open()?;
            let Some(first) = Parts::of(list.lines()?).next()? else { return Ok(false) };
            let sent = self.send_part(client, base, self.campaign(), &first).await?;
            return Ok(matches!(sent, Sent::Added(..) | Sent::Nothing(_)));
        }
        // Sending the part itself would execute it. Instead, send a request that is always refused: it takes the id unless the id
        // is taken.
        let refused =
            AddCodes { campaign: CampaignId(0), lines: CodeTexts::default(), first_line: 1, on_conflict: OnConflict::Reject };
        match client.add_codes(base.of_part(0), &refused).await {
            Ok(AddCodesOutcome::UnknownCampaign) => Ok(false),
            // Ids from before the engine compared bodies: this is the outcome of the part itself.
            Ok(_) => Ok(true),
            Err(ClientError::Unknown { cause: Some(NoOutcome::Refused(Refusal::RequestIdReused)), .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the parts of the list, which must be the same as in the trial.
    async fn send(&self, client: &Client, base: RequestId, places: &Places, trial: Option<&Trial>) -> anyhow::Result<Exit> {
        let mut skipped = Skipped::new(self.reach.json);
        skipped.ensure_buffered()?;
        let mut done = Done { campaign: self.campaign(), counts: Counts::default(), skipped, to_line: None };
        let mut list = self.source.open()?;
        let mut parts = Parts::of(list.lines()?);
        let mut progress = Progress::new("sending the list", trial.map(|trial| trial.parts.len() as u64));
        while let Some(part) = parts.next().map_err(|error| self.interrupted(error.into(), &done, places, base))? {
            let is_as_tried = match trial {
                Some(trial) => trial.parts.get(part.number as usize) == Some(&part.fingerprint()),
                None => parts.is_at_end(),
            };
            if !is_as_tried {
                let place = format!("{}: {}", self.source.name(), places.of(part.first_line));
                let why = "the list changed while it was being read; nothing was sent from here on".to_owned();
                return Err(self.interrupted(InputError { place, why }.into(), &done, places, base));
            }
            if trial.is_none() {
                self.source.announce_recognised(places, part.codes(), part.last_line());
            }
            progress.at(part.number, part.first_line);
            let sent = self.send_part(client, base, done.campaign, &part).await;
            match sent.map_err(|error| self.interrupted(error.into(), &done, places, base))? {
                Sent::Added(campaign, report) => done.take(campaign, &part, report, trial),
                Sent::Nothing(lines) => done.pass(&part, lines, trial),
                Sent::Conflicts(lines) => {
                    drop(progress);
                    let mut conflicts = Skipped::new(self.reach.json);
                    lines.into_iter().for_each(|skip| conflicts.push(skip));
                    return Ok(self.refuse(base, places, No::Lines(conflicts), Some(&done)));
                }
                Sent::No(no) => {
                    drop(progress);
                    return Ok(self.refuse(base, places, no, Some(&done)));
                }
            }
        }
        drop(progress);
        Ok(match done.campaign {
            Some(campaign) => self.report(base, places, campaign, done),
            None if done.counts.recognised == 0 => self.refuse(base, places, No::other(&AddCodesOutcome::CodesMissing), None),
            None => self.refuse(base, places, No::Lines(done.skipped), None),
        })
    }

    async fn send_part(
        &self,
        client: &Client,
        base: RequestId,
        campaign: Option<CampaignId>,
        part: &Part,
    ) -> Result<Sent, ClientError> {
        let (id, on_conflict) = (base.of_part(part.number), self.on_conflict.into());
        if let (Target::New(terms), None) = (&self.target, campaign) {
            let command = CreateCampaign { terms: Terms::clone(terms), lines: part.lines.clone(), on_conflict };
            let of_list = |lines: Vec<SkippedLine>| lines.into_iter().map(|skip| part.of_list(skip)).collect();
            return Ok(match client.create_campaign(id, &command).await? {
                CreateCampaignOutcome::Created { campaign, codes } => {
                    Sent::Added(campaign, CodesReport { skipped: of_list(codes.skipped), ..codes })
                }
                CreateCampaignOutcome::Conflicts(lines) if self.on_conflict == Conflict::Skip => Sent::Nothing(of_list(lines)),
                CreateCampaignOutcome::CodesMissing => Sent::Nothing(Vec::new()),
                CreateCampaignOutcome::Conflicts(lines) => Sent::Conflicts(of_list(lines)),
                CreateCampaignOutcome::TooManyCodes(limit) => Sent::No(No::TooMany(limit)),
                other @ (CreateCampaignOutcome::InvalidTerms(_) | CreateCampaignOutcome::TooManyLines) => {
                    Sent::No(No::other(&other))
                }
            });
        }
        let campaign = campaign.or(self.campaign()).unwrap_or_default();
        let command = AddCodes { campaign, lines: part.lines.clone(), first_line: part.first_line, on_conflict };
        Ok(match client.add_codes(id, &command).await? {
            AddCodesOutcome::Added(report) => Sent::Added(campaign, report),
            AddCodesOutcome::Conflicts(lines) => Sent::Conflicts(lines),
            AddCodesOutcome::TooManyCodes(limit) => Sent::No(No::TooMany(limit)),
            AddCodesOutcome::CodesMissing if part.number > 0 => Sent::Added(campaign, CodesReport::default()),
            other @ (AddCodesOutcome::UnknownCampaign
            | AddCodesOutcome::CampaignArchived
            | AddCodesOutcome::CodesMissing
            | AddCodesOutcome::TooManyLines) => Sent::No(No::other(&other)),
        })
    }

    /// Prints what was added after the whole list was sent.
    fn report(&self, base: RequestId, places: &Places, campaign: CampaignId, done: Done) -> Exit {
        let added = done.counts.added;
        match self.target {
            Target::New(_) => {
                let before =
                    format!(r#""request":"{base}","outcome":{{"created":{{"campaign":{campaign},"codes":{{"added":{added}"#);
                self.print(places, &format!("created campaign {campaign}: "), (&before, "}}}"), done.counts, done.skipped)
            }
            Target::Campaign(_) => {
                let before = format!(r#""request":"{base}","outcome":{{"added":{{"added":{added}"#);
                self.print(places, "", (&before, "}}"), done.counts, done.skipped)
            }
        }
    }

    /// Prints what would be added.
    fn would_do(&self, places: &Places, trial: Trial) -> Exit {
        let before = format!(r#""dry_run":true,"outcome":{{"added":{{"added":{}"#, trial.counts.added);
        self.print(places, "nothing was changed; the result would be: ", (&before, "}}"), trial.counts, trial.skipped)
    }

    fn print(&self, places: &Places, words: &str, (before, after): (&str, &str), counts: Counts, skipped: Skipped) -> Exit {
        if self.reach.json {
            skipped.print_json(&format!(r#"{{{before},"skipped":"#), &format!(r#"{after},"summary":{}}}"#, json!(counts)));
        } else {
            let (added, left_out) = (print::grouped(counts.added), print::grouped(counts.skipped()));
            print::line(format_args!("{words}added {added}, skipped {left_out}"));
            counts.print();
            skipped.print(Some(places));
        }
        Exit::Done
    }

    /// Prints that the list, or the rest of it, was refused.
    fn refuse(&self, base: RequestId, places: &Places, no: No, done: Option<&Done>) -> Exit {
        let before = done.and_then(|done| Some((done, done.to_line?)));
        if self.reach.json {
            let key = if self.dry_run { r#""dry_run":true"#.to_owned() } else { format!(r#""request":"{base}""#) };
            let so_far =
                before.map(|(done, to_line)| json!({ "campaign": done.campaign, "line": to_line, "summary": done.counts }));
            let after = so_far.map_or("}".into(), |so_far| format!(r#","stopped_after":{so_far}}}"#));
            match no {
                No::Lines(lines) => {
                    lines.print_json(&format!(r#"{{{key},"outcome":{{"conflicts":"#), &format!("}}{after}"));
                }
                No::TooMany(limit) => {
                    let outcome = json!(AddCodesOutcome::TooManyCodes(limit));
                    print::line(format_args!(r#"{{{key},"outcome":{outcome}{after}"#));
                }
                No::Other(_, outcome) => print::line(format_args!(r#"{{{key},"outcome":{outcome}{after}"#)),
            }
            return Exit::Refused;
        }
        match no {
            No::Other(words, _) => print::line(words),
            No::TooMany(limit) => print::line(past_limit(&limit)),
            No::Lines(lines) => {
                let number = print::count(lines.number(), "line");
                print::line(format_args!("refused: {number} cannot be added"));
                lines.print(Some(places));
                if before.is_none() && self.on_conflict == Conflict::Reject {
                    let nothing = if self.campaign().is_some() { "added" } else { "created" };
                    print::line(format_args!(
                        "nothing was {nothing}; use --on-conflict skip to leave out such lines and add the others"
                    ));
                }
            }
        }
        if let Some((done, to_line)) = before {
            let campaign = done.campaign.unwrap_or_default();
            print::line(format_args!(
                "{} up to {} were added to campaign {campaign} before that, and nothing after it. To continue, correct the list and add it \
                 with `scrip codes add {campaign}`: codes that the campaign already has are skipped",
                print::count(done.counts.added, "code"),
                places.of(to_line)
            ));
        }
        Exit::Refused
    }

    /// An error, with what was done before it. Once one part was added, the request as a whole is neither executed nor refused.
    fn interrupted(&self, error: anyhow::Error, done: &Done, places: &Places, base: RequestId) -> anyhow::Error {
        let Some(to_line) = done.to_line else { return error };
        let so_far = format!(
            "the list was added up to {} ({}, campaign {}); the same command with --request-id {base} adds the rest",
            places.of(to_line),
            print::count(done.counts.added, "code"),
            done.campaign.unwrap_or_default(),
        );
        self.reach.unknown(base, format!("{so_far}: {}", words_of(&error)))
    }
}

impl Done {
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
