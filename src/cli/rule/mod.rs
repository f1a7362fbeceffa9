//! `scrip rule`: what happens by itself when a balance is topped up.
//!
//! A rule is written with options (`terms.rs`) or in a file (`file.rs`). What the engine says of it is printed by `answer.rs`: where a
//! text cannot be understood, with a mark under the place; where it can be had, with what is odd about it.

mod answer;
mod file;
mod rehearse;
mod show;
mod template;
mod terms;

use clap::{Args, Subcommand};
use scrip_protocol::RuleId;
use scrip_protocol::client::{Client, ClientError};
use scrip_protocol::command::{
    ArchiveRuleOutcome, CreateRuleOutcome, LintRule, LintRuleOutcome, RestoreRuleOutcome, RuleTerms, ShowRuleOutcome,
    SwitchRuleOutcome, UpdateRuleOutcome,
};
use serde::Serialize;

use crate::exit::Exit;
use crate::print;
use crate::reach::{Asking, Reach};
use terms::{ChangedTerms, NewTerms};

/// Create, change, show, switch, archive and restore the rules of top-ups
///
/// A rule fires by itself at the moment of a top-up, where its conditions hold: it credits bonuses, puts the client into groups and takes
/// the client out of groups, and sends a push notification. Rules know nothing of each other: all that match fire, and what they credit
/// adds up.
#[derive(Debug, Args)]
pub(crate) struct Rule {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<Create>),
    Update(Box<Update>),
    /// List the rules
    List(show::List),
    Show(show::Show),
    /// Switch a rule on: it fires on the next top-up that it matches
    Activate(Named),
    /// Switch a rule off: it does not fire until it is switched on again, and keeps its settings
    Deactivate(Named),
    /// Archive a rule: it never fires, and its settings and counters are kept
    Archive(Named),
    /// Restore an archived rule, switched off
    Restore(Named),
    Lint(Box<Lint>),
    Rehearse(Box<rehearse::Rehearse>),
    Template(template::Template),
}

/// Create a rule
///
/// Unless --inactive is given, it is live for the next top-up. What is odd about it is said, and keeps no rule from being created.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip rule create --name 'Ten per cent' \\
      --add-bonus '{{topupAmountMajor}} * 0.1'
  scrip rule create --name 'Cash from 500' \\
      --when 'topupAmountMajor >= 500 AND topUpSource = CASH' \\
      --add-bonus 50 --club 1 --tag cash
  scrip rule create --name VIP --when 'totalSpentMajor >= 10000' \\
      --assign-group 1 --push-title VIP \\
      --push-body 'Welcome to the club!'
  scrip rule create --file rule.json

Variables: topupAmountMajor, topUpSource (ACQUIRING, POS_TERMINAL or CASH), gamingBalanceMajor, bonusBalanceMajor, totalSpentMajor, \
sessionsCount; balances and sums are those before the top-up. In formulas and push texts they stand in double braces, in conditions \
they do not. Conditions: = != < <= > >= and whole numbers, joined by AND. Formulas: + - * / ( ) and numbers; the result is rounded to \
whole units.")]
struct Create {
    #[command(flatten)]
    terms: NewTerms,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// Change a rule; what is not named stays
///
/// The next top-up goes by what it is then. What is odd about it is said.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip rule update 3 \\
      --when 'topupAmountMajor >= 500 AND topupAmountMajor < 1000'
  scrip rule update 3 --add-bonus '{{topupAmountMajor}} * 0.15' --club all
  scrip rule show 3 --terms > rule.json   # edit it, and then
  scrip rule update 3 --file rule.json")]
struct Update {
    /// The rule's number
    rule: RuleId,
    #[command(flatten)]
    changes: ChangedTerms,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// Say what is odd about a rule, without saving it
///
/// It is looked at as if it were active: which other rules can fire on the same top-up, conditions that exclude each other, formulas that
/// can come to nothing; and what all rules together credit at the amounts where something changes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip rule lint --when 'topupAmountMajor >= 500' \\
      --add-bonus '{{topupAmountMajor}} * 0.1'
  scrip rule lint --rule 3
  scrip rule lint --rule 3 --when 'topupAmountMajor >= 300'")]
struct Lint {
    #[command(flatten)]
    draft: Draft,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct Named {
    /// The rule's number
    rule: RuleId,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// A rule that is tried, not saved: a new one, or one that exists, changed or as it is.
#[derive(Debug, Args)]
struct Draft {
    /// A rule that exists, by its number: it is taken as it is, but for what is named besides
    #[arg(long, value_name = "RULE")]
    rule: Option<RuleId>,
    #[command(flatten)]
    changes: ChangedTerms,
}

impl Rule {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Create(create) => create.run().await,
            Command::Update(update) => update.run().await,
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Activate(named) => named.switch(true).await,
            Command::Deactivate(named) => named.switch(false).await,
            Command::Archive(named) => named.archive().await,
            Command::Restore(named) => named.restore().await,
            Command::Lint(lint) => lint.run().await,
            Command::Rehearse(rehearse) => rehearse.run().await,
            Command::Template(template) => template.run(),
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<Exit> {
        let terms = self.terms.terms()?;
        let call = async |client: &Client, request| client.create_rule(request, terms.clone()).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        match outcome {
            CreateRuleOutcome::Created { lint, .. } => {
                if !self.reach.json {
                    answer::print_lint(&lint);
                }
                Ok(Exit::Done)
            }
            CreateRuleOutcome::InvalidRule(why) => {
                if !self.reach.json {
                    answer::print_place(&terms, &why);
                }
                Ok(Exit::Refused)
            }
        }
    }
}

impl Update {
    async fn run(self) -> anyhow::Result<Exit> {
        if self.changes.is_empty() {
            let why = "nothing is to be changed: name something, as in --name Cash or --club all, or give --file\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why).exit();
        }
        let call = async |client: &Client, request| {
            // The engine refuses the update of a rule that it does not know. A lookup is no outcome of the request.
            let terms = terms_of(client, self.rule).await?.unwrap_or_else(|| terms::blank("unknown"));
            let terms = self.changes.applied_to(terms)?;
            let outcome = client.update_rule(request, self.rule, terms.clone()).await?;
            Ok::<_, anyhow::Error>((terms, outcome))
        };
        let (request, (terms, outcome)) = self.reach.change(&self.asking, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        match outcome {
            UpdateRuleOutcome::Updated { lint } => {
                if !self.reach.json {
                    answer::print_lint(&lint);
                }
                Ok(Exit::Done)
            }
            UpdateRuleOutcome::InvalidRule(why) => {
                if !self.reach.json {
                    answer::print_place(&terms, &why);
                }
                Ok(Exit::Refused)
            }
            UpdateRuleOutcome::UnknownRule | UpdateRuleOutcome::RuleArchived => Ok(Exit::Refused),
        }
    }
}

impl Named {
    async fn switch(self, active: bool) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.switch_rule(request, self.rule, active).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        Ok(if matches!(outcome, SwitchRuleOutcome::Switched { .. }) { Exit::Done } else { Exit::Refused })
    }

    async fn archive(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.archive_rule(request, self.rule).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        Ok(if matches!(outcome, ArchiveRuleOutcome::Archived) { Exit::Done } else { Exit::Refused })
    }

    async fn restore(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.restore_rule(request, self.rule).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        Ok(if matches!(outcome, RestoreRuleOutcome::Restored) { Exit::Done } else { Exit::Refused })
    }
}

impl Lint {
    async fn run(self) -> anyhow::Result<Exit> {
        self.draft.check();
        let client = self.reach.client().await?;
        let Some((terms, replaces)) = self.draft.terms(&client, &self.reach).await? else { return Ok(Exit::Refused) };
        let asked = LintRule { terms, replaces };
        let outcome = client.lint_rule(&asked).await?;
        match self.reach.json {
            true => print::json(&outcome),
            false => print::line(&outcome),
        }
        match outcome {
            LintRuleOutcome::Lint { lint, .. } => {
                if !self.reach.json {
                    answer::print_lint(&lint);
                }
                Ok(Exit::Done)
            }
            LintRuleOutcome::InvalidRule(why) => {
                if !self.reach.json {
                    answer::print_place(&asked.terms, &why);
                }
                Ok(Exit::Refused)
            }
            LintRuleOutcome::UnknownRule => Ok(Exit::Refused),
        }
    }
}

impl Draft {
    /// Ends the program where there is nothing to try.
    fn check(&self) {
        if self.rule.is_none() && self.changes.is_empty() {
            let why = "no rule is given: name one with --rule, or write one with --when, --add-bonus and so on, or give --file\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why).exit();
        }
    }

    /// The rule to try, and the one that it would replace; none where that does not exist, which is said.
    async fn terms(self, client: &Client, reach: &Reach) -> anyhow::Result<Option<(RuleTerms, RuleId)>> {
        let Some(rule) = self.rule else {
            return Ok(Some((self.changes.applied_to(terms::blank("draft"))?, RuleId(0))));
        };
        match terms_of(client, rule).await? {
            Some(terms) => Ok(Some((self.changes.applied_to(terms)?, rule))),
            None => {
                show::print_unknown(reach, rule);
                Ok(None)
            }
        }
    }
}

/// A rule as it is; none where there is no such rule.
async fn terms_of(client: &Client, rule: RuleId) -> Result<Option<RuleTerms>, ClientError> {
    Ok(match client.show_rule(rule).await? {
        ShowRuleOutcome::Rule(card) => Some(card.terms),
        ShowRuleOutcome::UnknownRule => None,
    })
}

/// Prints the answer to a request that changes a rule.
fn answer_of(reach: &Reach, request: scrip_protocol::RequestId, rule: RuleId, outcome: &(impl Serialize + std::fmt::Display)) {
    match reach.json {
        true => reach.answer(request, outcome),
        false => print::line(format_args!("rule {rule}: {outcome}")),
    }
}
