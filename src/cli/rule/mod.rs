//! `scrip rule`: the rules that fire on top-ups.
//!
//! A rule is written as options (`rule_options.rs`) or in a file (`file.rs`). `answer.rs` prints the engine's verdict: for an
//! invalid text, a mark under the position of the error; otherwise the lint findings.

mod answer;
mod file;
mod rehearse;
mod rule_cards;
mod rule_options;
mod template;

use clap::{Args, Subcommand};
use scrip_client::{Client, ClientError};
use scrip_protocol::RuleId;
use scrip_protocol::command::{
    ArchiveRuleOutcome, CreateRuleOutcome, LintRule, LintRuleOutcome, RestoreRuleOutcome, RuleTerms, ShowRuleOutcome,
    SwitchRuleOutcome, UpdateRuleOutcome,
};
use serde::Serialize;

use crate::exit::Exit;
use crate::print;
use crate::reach::{Reach, RequestArgs};
use rule_options::{ChangedTerms, NewTerms};

/// Create, change, show, switch, archive and restore top-up rules
///
/// A rule fires on every top-up that meets its conditions: it credits bonuses, adds the client to groups, removes the client from
/// groups, and sends a push notification. Rules are independent: all that match fire, and their credits add up.
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
    List(rule_cards::List),
    Show(rule_cards::Show),
    /// Switch a rule on; it fires on the next matching top-up
    Activate(Named),
    /// Switch a rule off; it keeps its settings and does not fire until it is switched on again
    Deactivate(Named),
    /// Archive a rule; it no longer fires, but its settings and counters remain
    Archive(Named),
    /// Restore an archived rule, switched off
    Restore(Named),
    Lint(Box<Lint>),
    Rehearse(Box<rehearse::Rehearse>),
    Template(template::Template),
}

/// Create a rule
///
/// The rule applies to the next top-up unless you pass --inactive. Prints lint findings; they never prevent the rule from being
/// saved.
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
sessionsCount. Balances and sums are those before the top-up. Put variables in double braces in formulas and push texts, but not in \
conditions. Conditions: = != < <= > >= and whole numbers, joined by AND. Formulas: + - * / ( ) and numbers; the result is rounded to \
whole units.")]
struct Create {
    #[command(flatten)]
    terms: NewTerms,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Change a rule; settings that are not given stay
///
/// The change applies to the next top-up. Prints lint findings. An update can switch the rule off (in a file), but never on:
/// `scrip rule activate` does that.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip rule update 3 \\
      --when 'topupAmountMajor >= 500 AND topupAmountMajor < 1000'
  scrip rule update 3 --add-bonus '{{topupAmountMajor}} * 0.15' --club all
  scrip rule show 3 --terms > rule.json   # edit it, and then
  scrip rule update 3 --file rule.json")]
struct Update {
    /// Number of the rule
    rule: RuleId,
    #[command(flatten)]
    changes: ChangedTerms,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Lint a rule without saving it
///
/// Treats the rule as active. Reports which other rules can fire on the same top-up, conditions that exclude each other, and
/// formulas that can yield nothing. Also prints what all rules together credit, at each amount where that changes.
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
    /// Number of the rule
    rule: RuleId,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// A rule to try, not saved: a new one, or an existing one, changed or as it is.
#[derive(Debug, Args)]
struct Draft {
    /// Number of an existing rule to start from; other options override its settings
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
        let terms = self.terms.terms().map_err(|error| self.reach.unsent(&self.request_args, error))?;
        let call = async |client: &Client, request| client.create_rule(request, terms.clone()).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
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
            CreateRuleOutcome::TooManyRules => Ok(Exit::Refused),
        }
    }
}

impl Update {
    async fn run(self) -> anyhow::Result<Exit> {
        if self.changes.is_empty() {
            let why = "nothing to change: give a setting, such as --name Cash or --club all, or --file\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why).exit();
        }
        let changes = self.changes.changes().map_err(|error| self.reach.unsent(&self.request_args, error))?;
        let call = async |client: &Client, request| client.update_rule(request, self.rule, changes.clone()).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
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
                    // Only a text that was given can be invalid.
                    answer::print_place(&changes.applied_to(&rule_options::blank("")), &why);
                }
                Ok(Exit::Refused)
            }
            UpdateRuleOutcome::UnknownRule | UpdateRuleOutcome::RuleArchived | UpdateRuleOutcome::RuleInactive => {
                Ok(Exit::Refused)
            }
        }
    }
}

impl Named {
    async fn switch(self, active: bool) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.switch_rule(request, self.rule, active).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        Ok(if matches!(outcome, SwitchRuleOutcome::Switched { .. }) { Exit::Done } else { Exit::Refused })
    }

    async fn archive(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.archive_rule(request, self.rule).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        Ok(if matches!(outcome, ArchiveRuleOutcome::Archived) { Exit::Done } else { Exit::Refused })
    }

    async fn restore(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.restore_rule(request, self.rule).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
        answer_of(&self.reach, request, self.rule, &outcome);
        Ok(if matches!(outcome, RestoreRuleOutcome::Restored) { Exit::Done } else { Exit::Refused })
    }
}

impl Lint {
    async fn run(self) -> anyhow::Result<Exit> {
        self.draft.check();
        let client = self.reach.client().await?;
        let Some((terms, replaces)) = self.draft.terms(&client, &self.reach).await? else { return Ok(Exit::Refused) };
        let query = LintRule { terms, replaces };
        let outcome = client.lint_rule(&query).await?;
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
                    answer::print_place(&query.terms, &why);
                }
                Ok(Exit::Refused)
            }
            LintRuleOutcome::UnknownRule => Ok(Exit::Refused),
        }
    }
}

impl Draft {
    /// Exits the program if there is nothing to try.
    fn check(&self) {
        if self.rule.is_none() && self.changes.is_empty() {
            let why = "no rule given: pass --rule, or describe a rule with --when, --add-bonus and so on, or pass --file\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why).exit();
        }
    }

    /// The rule to try, and the one that it would replace; `None` if that does not exist, which is printed.
    async fn terms(self, client: &Client, reach: &Reach) -> anyhow::Result<Option<(RuleTerms, RuleId)>> {
        let Some(rule) = self.rule else {
            return Ok(Some((self.changes.changes()?.applied_to(&rule_options::blank("draft")), RuleId(0))));
        };
        match terms_of(client, rule).await? {
            Some(terms) => Ok(Some((self.changes.changes()?.applied_to(&terms), rule))),
            None => {
                rule_cards::print_unknown(reach, rule);
                Ok(None)
            }
        }
    }
}

/// The terms of a rule; `None` if there is no such rule.
async fn terms_of(client: &Client, rule: RuleId) -> Result<Option<RuleTerms>, ClientError> {
    Ok(match client.show_rule(rule).await? {
        ShowRuleOutcome::Rule(card) => Some(card.terms),
        ShowRuleOutcome::UnknownRule => None,
    })
}

/// Prints the outcome of a request that changes a rule.
fn answer_of(reach: &Reach, request: scrip_protocol::RequestId, rule: RuleId, outcome: &(impl Serialize + std::fmt::Display)) {
    match reach.json {
        true => reach.answer(request, outcome),
        false => print::line(format_args!("rule {rule}: {outcome}")),
    }
}
