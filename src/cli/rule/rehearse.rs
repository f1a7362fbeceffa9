//! `scrip rule rehearse`: what a rule would have done to the top-ups of a past period (Z12).

use std::time::Duration;

use clap::Args;
use scrip_protocol::command::{Rehearsal, RehearseRule, RehearseRuleOutcome, WouldFire};
use scrip_protocol::{Money, unix_time_ms};

use super::{Draft, answer};
use crate::cli::campaign::{ends, starts};
use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// How long an answer is waited for: the engine reads its journal from the begin of the period on, which takes the time that its disk takes.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Say what a rule would have done to the top-ups of a past period
///
/// Each top-up is taken as it was, with the balances that the client had. Nothing is changed. The rule is taken as if it had been active.
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
    /// When the period begins: a day (2026-10-01, in UTC) or a moment (2026-10-01T09:00:00+01:00)
    #[arg(long, value_name = "WHEN", value_parser = starts)]
    from: u64,
    /// When it ends: a day, which belongs to it, or a moment; without it, now
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
        let to_ms = self.to.unwrap_or_else(unix_time_ms);
        let asked = RehearseRule { terms, replaces, from_ms: self.from, to_ms };
        let outcome = client.rehearse_rule(&asked, PATIENCE).await?;
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
                    answer::print_place(&asked.terms, &why);
                }
                Ok(Exit::Refused)
            }
            RehearseRuleOutcome::NotKept { first_ms, .. } => {
                if !self.reach.json {
                    print::line(format_args!("what is kept begins at {}", print::time(first_ms)));
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
        (Some(credited), Some(whole)) => format!(", {} of what was topped up there", answer::percentage(credited, whole)),
    };
    let mut rows = vec![
        ("topped up there", sum(done.topped_up)),
        ("its cost", format!("{}{share}", sum(done.credited))),
        ("firings without credit", print::grouped(done.without_credit)),
        ("failures", print::grouped(done.failed)),
    ];
    if done.stacked > 0 {
        let stacked = format!("{}, which credited {} as well", print::count(done.stacked, "top-up"), sum(done.stacked_credited));
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
