//! `scrip rule rehearse`: what a rule would have done with the top-ups of a past period (Z12).

use std::time::Duration;

use clap::Args;
use scrip_protocol::Money;
use scrip_protocol::command::{Rehearsal, RehearseRule, RehearseRuleOutcome, WouldFire};

use super::{Draft, answer};
use crate::cli::campaign::{ends, starts};
use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// How long to wait for the reply: the engine reads its journal from the start of the period on, at the speed of its disk.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Rehearse a rule on the top-ups of a past period: show what it would have credited
///
/// Changes nothing. Each top-up is evaluated with the balances that the client had at the time, and the rule as if it had been
/// active.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip rule rehearse --when 'topupAmountMajor >= 500' \\
      --add-bonus '{{topupAmountMajor}} * 0.1' \\
      --from 2026-10-01 --to 2026-10-31
  scrip rule rehearse --rule 3 --from 2026-10-01
  scrip rule rehearse --rule 3 \\
      --add-bonus '{{topupAmountMajor}} * 0.15' --from 2026-10-01")]
pub(super) struct Rehearse {
    #[command(flatten)]
    draft: Draft,
    /// Start of the period: a day (2026-10-01, in UTC) or a time (2026-10-01T09:00:00+01:00)
    #[arg(long, value_name = "WHEN", value_parser = starts)]
    from: u64,
    /// End of the period: a day, inclusive, or a time [default: the end of the journal]
    #[arg(long, value_name = "WHEN", value_parser = ends)]
    to: Option<u64>,
    #[command(flatten)]
    reach: Reach,
}

impl Rehearse {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        self.draft.check();
        let client = self.reach.client().await?;
        let Some((terms, replaces)) = self.draft.terms(&client, &self.reach).await? else { return Ok(Exit::Refused) };
        // The time of records may be ahead of the clock of this machine.
        let to_ms = self.to.unwrap_or(u64::MAX);
        let query = RehearseRule { terms, replaces, from_ms: self.from, to_ms };
        let outcome = client.rehearse_rule(&query, PATIENCE).await?;
        match self.reach.json {
            true => print::json(&outcome),
            false => print::line(&outcome),
        }
        match outcome {
            RehearseRuleOutcome::Rehearsed(done) => {
                if !self.reach.json {
                    print_rehearsal(&done);
                }
                Ok(Exit::Done)
            }
            RehearseRuleOutcome::InvalidRule(why) => {
                if !self.reach.json {
                    answer::print_place(&query.terms, &why);
                }
                Ok(Exit::Refused)
            }
            RehearseRuleOutcome::NotKept { first_ms, .. } => {
                if !self.reach.json {
                    print::line(format_args!("the journal begins at {}", print::time(first_ms)));
                }
                Ok(Exit::Refused)
            }
            RehearseRuleOutcome::PeriodReversed => Ok(Exit::Refused),
            RehearseRuleOutcome::Unreadable => Ok(Exit::Internal),
        }
    }
}

fn print_rehearsal(done: &Rehearsal) {
    let sum = |sum: Option<Money>| sum.map_or_else(|| format!("more than {}", Money(i64::MAX)), |sum| sum.to_string());
    let share = match (done.credited, done.topped_up) {
        (_, Some(Money(0))) | (None, _) | (_, None) => String::new(),
        (Some(credited), Some(whole)) => format!(", {} of the amount topped up", answer::percentage(credited, whole)),
    };
    let mut rows = vec![
        ("amount topped up", sum(done.topped_up)),
        ("cost", format!("{}{share}", sum(done.credited))),
        ("firings without credit", print::grouped(done.without_credit)),
        ("failures", print::grouped(done.failed)),
    ];
    if done.stacked > 0 {
        let stacked =
            format!("{}, on which others credited {}", print::count(done.stacked, "top-up"), sum(done.stacked_credited));
        rows.push(("with other rules", stacked));
        let most = done.stacked_with.iter().zip(["most often with"].into_iter().chain(std::iter::repeat("")));
        rows.extend(most.map(|(with, name)| (name, format!("rule {} ({})", with.rule, print::count(with.top_ups, "top-up")))));
    }
    rows.push(("as of position", done.as_of.to_string()));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print::table(&["", ""], &rows);
    if !done.largest.is_empty() {
        print::line("the largest:");
        let row = |one: &WouldFire| vec![one.top_up.to_string(), one.amount.to_string(), one.credited.to_string()];
        print::table(&[">TOP-UP", ">AMOUNT", ">CREDITED"], &done.largest.iter().map(row).collect::<Vec<_>>());
    }
}
