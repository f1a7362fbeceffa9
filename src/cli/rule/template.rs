//! `scrip rule template`: a starting set of rules, derived from the average check (U14), and the safe rate (U15).
//!
//! This contacts no engine and creates nothing: the rules are printed, as commands to run or as JSON for `--file`.

use clap::Args;
use scrip_protocol::Money;
use scrip_protocol::command::{Action, RuleTerms};
use scrip_rules::Exact;
use scrip_rules::template::{Bounds, SafeRate, Tier, safe_rate, tiers};
use serde_json::json;

use crate::exit::Exit;
use crate::print;

/// Propose a starting set of rules: three tiers of top-ups, and whether you can afford them
///
/// The tiers begin at 1.3, 2.5 and 5 times the average check, and credit 5 %, 12 % and 20 % of the top-up. They are proposed
/// switched off: lint and rehearse them before they cost anything.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip rule template --average-check 400 --half-open
  scrip rule template --average-check 400 --half-open \\
      --margin 60 --gaming-share 70
  scrip rule template --average-check 400 --half-open --json \\
      | jq -c '.rules[]' > tiers.jsonl")]
pub(super) struct Template {
    /// Average check: what a client tops up on average, such as 400 or 412.50
    #[arg(long, value_name = "AMOUNT", value_parser = above_0)]
    average_check: Money,
    /// End each tier where the next begins, so that a top-up fires only one
    ///
    /// Without this, a top-up of a higher tier also fires the tiers below it, and their credits add up.
    #[arg(long)]
    half_open: bool,
    /// Margin on gaming time, in per cent; with --gaming-share, shows which rates are safe
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "gaming_share")]
    margin: Option<Money>,
    /// Share of gaming time in the average check, in per cent
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "margin")]
    gaming_share: Option<Money>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn above_0(text: &str) -> Result<Money, String> {
    match text.parse::<Money>() {
        Ok(amount) if amount > Money(0) => Ok(amount),
        Ok(_) => Err("it must be more than 0".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// A percentage, with at most two decimals like an amount.
fn percent(text: &str) -> Result<Money, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim_end().parse::<Money>().ok();
    let within = percent.filter(|percent| (Money(0)..=Money(10_000)).contains(percent));
    within.ok_or_else(|| format!("{text:?} is not a percentage from 0 to 100, such as 60 or 62.5"))
}

impl Template {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let bounds = if self.half_open { Bounds::HalfOpen } else { Bounds::Lower };
        let tiers = tiers(self.average_check);
        let rules = tiers.map(|tier| tier.terms(bounds));
        let safe = self.margin.zip(self.gaming_share).map(|(margin, share)| safe_rate(margin.into(), share.into()));
        if self.json {
            let safe_rate = safe.as_ref().map(|safe| {
                json!({
                    "ceiling_percent": safe.ceiling.to_string(),
                    "healthy_percent": [safe.healthy_from.to_string(), safe.healthy_to.to_string()],
                })
            });
            print::json(&json!({ "rules": rules, "safe_rate": safe_rate }));
            return Ok(Exit::Done);
        }
        print_tiers(&tiers, bounds, safe.as_ref());
        print::line("\nto create the rules switched off, then check and activate them:");
        rules.iter().for_each(|rule| print::line(format_args!("  {}", command(rule))));
        print::line("  scrip rule lint --rule N\n  scrip rule rehearse --rule N --from DATE\n  scrip rule activate N");
        Ok(Exit::Done)
    }
}

fn print_tiers(tiers: &[Tier], bounds: Bounds, safe: Option<&SafeRate>) {
    let mut in_all = 0;
    let rows: Vec<_> = tiers
        .iter()
        .map(|tier| {
            // A rate in hundredths is a percentage.
            let rate = tier.rate.parse::<Money>().expect("a tier's rate has two decimals").0;
            in_all = if bounds == Bounds::Lower { in_all + rate } else { rate };
            let to = match (bounds, tier.below) {
                (Bounds::HalfOpen, Some(below)) => format!("below {below}"),
                (Bounds::HalfOpen, None) | (Bounds::Lower, _) => "-".to_owned(),
            };
            let verdict = safe.map_or("", |safe| verdict(in_all, safe));
            let (from, rates) = (tier.from.to_string(), [rate, in_all].map(|rate| format!("{rate} %")));
            [vec![tier.name.to_owned(), from, to], rates.to_vec(), vec![verdict.to_owned()]].concat()
        })
        .collect();
    print::table(&["TIER", ">FROM", ">TO", ">CREDITS", ">TOTAL", if safe.is_some() { "VERDICT" } else { "" }], &rows);
    if bounds == Bounds::Lower {
        print::line("a top-up of a higher tier also fires the tiers below it; with --half-open it fires only one");
    }
    if let Some(safe) = safe {
        print::line(format_args!(
            "break-even at {}; {} to {} is healthy",
            percentage(&safe.ceiling),
            percentage(&safe.healthy_from),
            percentage(&safe.healthy_to)
        ));
    }
}

/// The verdict on a rate in per cent.
fn verdict(rate: i64, safe: &SafeRate) -> &'static str {
    let rate = Exact::from(rate);
    if rate >= safe.ceiling {
        "a loss"
    } else if rate > safe.healthy_to {
        "above healthy"
    } else if rate >= safe.healthy_from {
        "healthy"
    } else {
        "safe"
    }
}

/// Rounds to one decimal.
fn percentage(exact: &Exact) -> String {
    let tenths = (exact.clone() * Exact::from(10)).round().expect("it is between 0 and 100");
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// The command that creates a rule, for a shell.
fn command(rule: &RuleTerms) -> String {
    let formula =
        rule.actions.iter().find_map(|action| if let Action::AddBonus { formula } = action { Some(formula) } else { None });
    let formula = formula.map_or(String::new(), |formula| format!(" --add-bonus '{formula}'"));
    format!("scrip rule create --inactive --name '{}' --when '{}'{formula}", rule.name, rule.conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U15: a rate at exactly the ceiling or a bound of the healthy range gets the right verdict.
    #[test]
    fn rates_are_judged_by_the_margin() {
        let safe = safe_rate(Exact::from(60), Exact::from(70));
        let verdicts = [13, 14, 21, 22, 41, 42].map(|rate| verdict(rate, &safe));
        let expected = ["safe", "healthy", "healthy", "above healthy", "above healthy", "a loss"];
        assert_eq!(verdicts, expected);
        assert_eq!(percentage(&safe_rate(Exact::from(50), Exact::from(50)).healthy_from), "8.3 %");
    }

    #[test]
    fn percentages_are_within_bounds() {
        assert_eq!(percent("62.5%"), Ok(Money(6_250)));
        assert_eq!((percent("0"), percent("100 %")), (Ok(Money(0)), Ok(Money(10_000))));
        for text in ["", "-1", "100.01", "x", "1.234", "0,6"] {
            assert!(percent(text).is_err(), "{text}");
        }
        assert!(above_0("0").is_err() && above_0("0.01").is_ok());
    }
}
