//! `scrip codes archive`, `scrip codes restore`: individual codes of a campaign (X2, A5, A6).

use clap::Args;
use scrip_client::{Client, ClientError};
use scrip_lists::{Part, Parts, Places, Skipped};
use scrip_protocol::command::{
    ArchiveCodes, ArchiveCodesOutcome, CodeTexts, LineVerdict, RestoreCodes, RestoreCodesOutcome, SkippedLine,
};
use scrip_protocol::{CampaignId, RequestId};
use serde::Serialize;
use serde_json::json;

use crate::cli::lists::{SomeCodes, results};
use crate::exit::{Exit, words_of};
use crate::print;
use crate::progress::Progress;
use crate::reach::{Reach, RequestArgs};

/// Archive individual codes of a campaign; they are refused at once
///
/// The campaign's other codes keep working, and existing activations remain. Other campaigns can then reuse the archived codes;
/// `scrip codes restore` restores them. The exit code is 0 if all given codes are archived now, whether by this command or before
/// it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes archive 7 SPRING-1 SPRING-2
  scrip codes archive 7 --file leaked.txt")]
pub(super) struct Archive {
    #[command(flatten)]
    named: NamedCodes,
}

/// Restore archived codes of a campaign
///
/// A code that another campaign has taken meanwhile stays archived. The exit code is 0 if none of the given codes is archived
/// now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes restore 7 SPRING-1 SPRING-2
  scrip codes restore 7 --file found.txt")]
pub(super) struct Restore {
    #[command(flatten)]
    named: NamedCodes,
}

/// Codes of a campaign to change.
#[derive(Debug, Args)]
struct NamedCodes {
    /// Number of the campaign
    campaign: CampaignId,
    #[command(flatten)]
    codes: SomeCodes,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// The outcome of a part.
enum Answer {
    /// How many codes were changed, and the lines that were not.
    Changed(u32, Vec<SkippedLine>),
    /// No code at all: the text for people and the value for scripts.
    NoCodes(String, serde_json::Value),
    /// Refused: the text for people and the value for scripts.
    Refused(String, serde_json::Value),
}

fn no_codes(outcome: &(impl Serialize + ToString)) -> Answer {
    Answer::NoCodes(outcome.to_string(), json!(outcome))
}

fn refused(outcome: &(impl Serialize + ToString)) -> Answer {
    Answer::Refused(outcome.to_string(), json!(outcome))
}

impl Archive {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let archive = async |client: &Client, request, campaign, codes| {
            Ok(match client.archive_codes(request, &ArchiveCodes { campaign, codes }).await? {
                ArchiveCodesOutcome::Archived { codes, skipped } => Answer::Changed(codes, skipped),
                other @ ArchiveCodesOutcome::CodesMissing => no_codes(&other),
                other @ (ArchiveCodesOutcome::UnknownCampaign | ArchiveCodesOutcome::TooManyLines) => refused(&other),
            })
        };
        self.named.change("archived", archive).await
    }
}

impl Restore {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let restore = async |client: &Client, request, campaign, codes| {
            Ok(match client.restore_codes(request, &RestoreCodes { campaign, codes }).await? {
                RestoreCodesOutcome::Restored { codes, skipped } => Answer::Changed(codes, skipped),
                other @ RestoreCodesOutcome::CodesMissing => no_codes(&other),
                other @ (RestoreCodesOutcome::UnknownCampaign
                | RestoreCodesOutcome::CampaignArchived
                | RestoreCodesOutcome::TooManyLines) => refused(&other),
            })
        };
        self.named.change("restored", restore).await
    }
}

impl NamedCodes {
    /// Changes the codes part by part. `done` is the past participle of the change.
    async fn change(
        &self,
        done: &'static str,
        call: impl AsyncFn(&Client, RequestId, CampaignId, CodeTexts) -> Result<Answer, ClientError>,
    ) -> anyhow::Result<Exit> {
        let request = self.request_args.id();
        let changed = self.send(request, done, call).await;
        changed.map_err(|error| self.reach.without_outcome(&self.request_args, request, error))
    }

    async fn send(
        &self,
        request: RequestId,
        done: &'static str,
        call: impl AsyncFn(&Client, RequestId, CampaignId, CodeTexts) -> Result<Answer, ClientError>,
    ) -> anyhow::Result<Exit> {
        let mut given = self.codes.open()?;
        let places = given.places();
        let client = self.reach.client_for(&self.request_args).await?;
        let mut change = Change::new(&self.reach, done)?;
        let mut parts = Parts::of(given.lines()?);
        while let Some(part) = parts.next().transpose().map_err(|error| change.interrupted(error.into(), request))? {
            let answer = call(&client, request.of_part(part.number), self.campaign, part.lines.clone()).await;
            let answer = answer.map_err(|error| change.interrupted(error.into(), request))?;
            if !change.take(&part, answer) {
                break;
            }
        }
        Ok(change.print(places.as_ref(), request))
    }
}

/// The changes made so far.
struct Change<'a> {
    reach: &'a Reach,
    /// `archived` or `restored`.
    done: &'static str,
    codes: u64,
    /// The last line of the newest part that was executed.
    to_line: Option<u32>,
    skipped: Skipped,
    /// Whether a code is not in the requested status.
    is_incomplete: bool,
    /// The answer to parts without any code.
    no_codes: Option<(String, serde_json::Value)>,
    refused: Option<(String, serde_json::Value)>,
    progress: Progress,
}

impl Change<'_> {
    fn new<'a>(reach: &'a Reach, done: &'static str) -> anyhow::Result<Change<'a>> {
        let (mut skipped, progress) = (Skipped::new(reach.json), Progress::new("sending the list"));
        skipped.ensure_buffered()?;
        let is_incomplete = false;
        Ok(Change { reach, done, codes: 0, to_line: None, skipped, is_incomplete, no_codes: None, refused: None, progress })
    }

    /// Counts a part. Returns whether to go on.
    fn take(&mut self, part: &Part, answer: Answer) -> bool {
        let (codes, skipped) = match answer {
            Answer::Changed(codes, skipped) => (codes, skipped),
            Answer::NoCodes(words, outcome) => {
                self.no_codes = Some((words, outcome));
                return true;
            }
            Answer::Refused(words, outcome) => {
                self.refused = Some((words, outcome));
                return false;
            }
        };
        self.codes += u64::from(codes);
        self.to_line = Some(part.last_line());
        self.progress.at_line(part.number, None, part.last_line());
        for skip in skipped {
            self.is_incomplete |= match skip.why {
                LineVerdict::DuplicateInList { .. } | LineVerdict::AlreadyArchived | LineVerdict::NotArchived => false,
                LineVerdict::Invalid(_)
                | LineVerdict::AlreadyInCampaign
                | LineVerdict::HeldBy(_)
                | LineVerdict::NotInCampaign => true,
            };
            self.skipped.push(part.of_list(skip));
        }
        true
    }

    fn print(self, places: Option<&Places>, request: RequestId) -> Exit {
        drop(self.progress);
        print::outcome_of(request);
        let refused = self.refused.or(self.no_codes.filter(|_| self.to_line.is_none()));
        if let Some((words, outcome)) = refused {
            let mut answer = json!({ "request": request, "outcome": outcome });
            if let Some(line) = self.to_line {
                answer["stopped_after"] = json!({ "line": line, "codes": self.codes, "skipped": self.skipped.number() });
            }
            if self.reach.json {
                print::json(&answer);
                return Exit::Refused;
            }
            print::line(words);
            if let Some(line) = self.to_line {
                let place = places.map_or_else(|| format!("code {line}"), |places| places.of(line).to_string());
                let codes = print::count(self.codes, "code");
                let left_out = print::grouped(self.skipped.number());
                print::line(format_args!("{} {codes} up to {place} before that, skipped {left_out}", self.done));
                results::print_skipped(&self.skipped, places);
            }
            return Exit::Refused;
        }
        if self.reach.json {
            let before = format!(r#"{{"request":"{request}","outcome":{{"{}":{{"codes":{},"skipped":"#, self.done, self.codes);
            results::print_skipped_json(self.skipped, &before, "}}}");
        } else {
            let left_out = print::grouped(self.skipped.number());
            print::line(format_args!("{} {}, skipped {left_out}", self.done, print::grouped(self.codes)));
            results::print_skipped(&self.skipped, places);
        }
        if self.is_incomplete { Exit::Refused } else { Exit::Done }
    }

    /// An error, with what was done before it. Once one part was changed, the request as a whole is neither executed nor refused.
    fn interrupted(&self, error: anyhow::Error, request: RequestId) -> anyhow::Error {
        if self.to_line.is_none() {
            return error;
        }
        let so_far = print::count(self.codes, "code");
        let rest = format!("the same command with --request-id {request} completes it");
        self.reach.unknown(request, format!("{so_far} {} before the error; {rest}: {}", self.done, words_of(&error)))
    }
}
