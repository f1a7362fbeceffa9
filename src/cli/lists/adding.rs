//! Printing the result of adding a list of codes to a campaign, or of creating a campaign with its list.

use scrip_client::Client;
use scrip_lists::{AddError, Added, Adding, Counts, Interrupted, ListSource, NotAdded, Places, Skipped, SoFar, Step, Target};
use scrip_protocol::command::AddCodesOutcome;
use scrip_protocol::{CampaignId, RequestId};
use serde_json::json;

use super::{Conflict, announce_header, announce_recognised, past_limit, results};
use crate::exit::{Exit, words_of};
use crate::print;
use crate::progress::Progress;
use crate::reach::{Reach, RequestArgs};

/// The addition of a list, as a subcommand's arguments describe it.
pub(crate) struct Addition<'a> {
    pub(crate) reach: &'a Reach,
    pub(crate) request_args: &'a RequestArgs,
    pub(crate) source: ListSource,
    pub(crate) on_conflict: Conflict,
    pub(crate) target: Target,
    /// Whether only to print what would be done.
    pub(crate) dry_run: bool,
}

impl Addition<'_> {
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
        let mut steps = Steps { name: self.source.name(), places: &places, progress: None };
        let added = self.adding(&client, base).run(list, &mut |step| steps.show(step)).await;
        drop(steps);
        Ok(match added.map_err(|interrupted| self.interrupted(interrupted, &places, base))? {
            Added::Done { campaign, counts, skipped } => self.report(base, &places, campaign, counts, skipped),
            Added::WouldBe { counts, skipped } => self.would_do(&places, counts, skipped),
            Added::Refused { why, so_far } => self.refuse(base, &places, why, so_far),
        })
    }

    fn adding<'a>(&'a self, client: &'a Client, request: RequestId) -> Adding<'a> {
        Adding {
            client,
            source: &self.source,
            target: &self.target,
            on_conflict: self.on_conflict.into(),
            request,
            is_retry: self.request_args.is_given(),
            dry_run: self.dry_run,
            keeps_all: self.reach.json,
        }
    }

    /// Prints what was added after the whole list was sent.
    fn report(&self, base: RequestId, places: &Places, campaign: CampaignId, counts: Counts, skipped: Skipped) -> Exit {
        let added = counts.added;
        match self.target {
            Target::New(_) => {
                let before =
                    format!(r#""request":"{base}","outcome":{{"created":{{"campaign":{campaign},"codes":{{"added":{added}"#);
                self.print(places, &format!("created campaign {campaign}: "), (&before, "}}}"), counts, skipped)
            }
            Target::Campaign(_) => {
                let before = format!(r#""request":"{base}","outcome":{{"added":{{"added":{added}"#);
                self.print(places, "", (&before, "}}"), counts, skipped)
            }
        }
    }

    /// Prints what would be added.
    fn would_do(&self, places: &Places, counts: Counts, skipped: Skipped) -> Exit {
        let before = format!(r#""dry_run":true,"outcome":{{"added":{{"added":{}"#, counts.added);
        self.print(places, "nothing was changed; the result would be: ", (&before, "}}"), counts, skipped)
    }

    fn print(&self, places: &Places, words: &str, (before, after): (&str, &str), counts: Counts, skipped: Skipped) -> Exit {
        if self.reach.json {
            let after = format!(r#"{after},"summary":{}}}"#, json!(counts));
            results::print_skipped_json(skipped, &format!(r#"{{{before},"skipped":"#), &after);
        } else {
            let (added, left_out) = (print::grouped(counts.added), print::grouped(counts.skipped()));
            print::line(format_args!("{words}added {added}, skipped {left_out}"));
            results::print_counts(&counts);
            results::print_skipped(&skipped, Some(places));
        }
        Exit::Done
    }

    /// Prints that the list, or the rest of it, was refused.
    fn refuse(&self, base: RequestId, places: &Places, why: NotAdded, before: Option<SoFar>) -> Exit {
        if self.reach.json {
            let key = if self.dry_run { r#""dry_run":true"#.to_owned() } else { format!(r#""request":"{base}""#) };
            let so_far = before.map(|done| json!({ "campaign": done.campaign, "line": done.to_line, "summary": done.counts }));
            let after = so_far.map_or("}".into(), |so_far| format!(r#","stopped_after":{so_far}}}"#));
            match why {
                NotAdded::Lines(lines) => {
                    let before = format!(r#"{{{key},"outcome":{{"conflicts":"#);
                    results::print_skipped_json(lines, &before, &format!("}}{after}"));
                }
                NotAdded::TooMany(limit) => {
                    let outcome = json!(AddCodesOutcome::TooManyCodes(limit));
                    print::line(format_args!(r#"{{{key},"outcome":{outcome}{after}"#));
                }
                NotAdded::Other { outcome, .. } => print::line(format_args!(r#"{{{key},"outcome":{outcome}{after}"#)),
            }
            return Exit::Refused;
        }
        match why {
            NotAdded::Other { words, .. } => print::line(words),
            NotAdded::TooMany(limit) => print::line(past_limit(&limit)),
            NotAdded::Lines(lines) => {
                let number = print::count(lines.number(), "line");
                print::line(format_args!("refused: {number} cannot be added"));
                results::print_skipped(&lines, Some(places));
                if before.is_none() && self.on_conflict == Conflict::Reject {
                    let nothing = if matches!(self.target, Target::Campaign(_)) { "added" } else { "created" };
                    print::line(format_args!(
                        "nothing was {nothing}; use --on-conflict skip to leave out such lines and add the others"
                    ));
                }
            }
        }
        if let Some(SoFar { campaign, to_line, counts }) = before {
            print::line(format_args!(
                "{} up to {} were added to campaign {campaign} before that, and nothing after it. To continue, correct the list and add it \
                 with `scrip codes add {campaign}`: codes that the campaign already has are skipped",
                print::count(counts.added, "code"),
                places.of(to_line)
            ));
        }
        Exit::Refused
    }

    /// The error, with what was added before it. Once a part was added, the outcome of the request is unknown.
    fn interrupted(&self, Interrupted { error, so_far }: Interrupted, places: &Places, base: RequestId) -> anyhow::Error {
        let error: anyhow::Error = match error {
            AddError::List(error) => error.into(),
            AddError::Client(error) => error.into(),
            AddError::CodeForm(error) => error.into(),
            error @ AddError::Results(_) => error.into(),
        };
        let Some(SoFar { campaign, to_line, counts }) = so_far else { return error };
        let so_far = format!(
            "the list was added up to {} ({}, campaign {campaign}); the same command with --request-id {base} adds the rest",
            places.of(to_line),
            print::count(counts.added, "code"),
        );
        self.reach.unknown(base, format!("{so_far}: {}", words_of(&error)))
    }
}

/// Shows the steps of an addition.
struct Steps<'a> {
    name: &'a str,
    places: &'a Places,
    progress: Option<Progress>,
}

impl Steps<'_> {
    fn show(&mut self, step: Step) {
        match step {
            Step::Checking { part, line } => {
                self.progress.get_or_insert_with(|| Progress::new("checking the list")).at_line(part, None, line);
            }
            Step::Recognised { codes, last_line } => {
                self.progress = None;
                announce_recognised(self.name, self.places, codes, last_line);
            }
            Step::Sending { part, of, line } => {
                if part == 0 {
                    self.progress = Some(Progress::new("sending the list"));
                }
                self.progress.get_or_insert_with(|| Progress::new("sending the list")).at_line(part, of, line);
            }
        }
    }
}
