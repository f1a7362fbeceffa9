//! The terms of a campaign as options: for a new one, and for a changed one, where `none` removes a limit.

use std::fmt::Display;
use std::str::FromStr;

use clap::{ArgAction, Args};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use scrip_protocol::command::{Terms, UpdateCampaign};
use scrip_protocol::{CampaignId, ClubId, Money};

/// The terms of a new campaign.
#[derive(Debug, Args)]
pub(super) struct NewTerms {
    /// Name, for your own use
    #[arg(long)]
    name: String,
    /// Bonus for each activation, such as 500 or 12.50
    #[arg(long)]
    amount: Money,
    /// How often each code can be activated [default: no limit]
    #[arg(long, value_name = "TIMES")]
    cap: Option<u32>,
    /// How often each client can activate codes of this campaign [default: no limit]
    ///
    /// Most campaigns want 1. Without a limit, a client can use as many codes as they can find.
    #[arg(long, value_name = "TIMES")]
    per_client: Option<u32>,
    /// Total number of activations [default: no limit]
    #[arg(long, value_name = "TIMES")]
    uses: Option<u64>,
    /// Total amount of bonuses [default: no limit]
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<Money>,
    /// Number of a club where the codes are accepted; can be repeated [default: every club]
    #[arg(long = "club", value_name = "CLUB")]
    clubs: Vec<ClubId>,
    /// Start of the period: a day (2026-12-01, in UTC) or a time (2026-12-01T09:00:00+01:00)
    ///
    /// The period is informational: codes are accepted whenever the campaign is switched on, unless you pass
    /// --enforce-period.
    #[arg(long, value_name = "WHEN", value_parser = starts)]
    starts: Option<u64>,
    /// End of the period: a day, inclusive, or a time
    #[arg(long, value_name = "WHEN", value_parser = ends)]
    ends: Option<u64>,
    /// Refuse codes outside the period
    #[arg(long)]
    enforce_period: bool,
    /// Mark the campaign as low on codes when fewer than this many can still be activated
    #[arg(long, value_name = "CODES")]
    low_stock: Option<u32>,
    /// Create the campaign switched off
    #[arg(long)]
    inactive: bool,
}

impl From<NewTerms> for Terms {
    fn from(new: NewTerms) -> Terms {
        Terms {
            clubs: new.clubs,
            starts_ms: new.starts,
            ends_ms: new.ends,
            enforce_period: new.enforce_period,
            activations_per_code_max: new.cap,
            activations_per_client_max: new.per_client,
            activations_max: new.uses,
            budget: new.budget,
            low_stock: new.low_stock,
            active: !new.inactive,
            ..Terms::new(new.name, new.amount)
        }
    }
}

/// The terms to change.
#[derive(Debug, Args)]
pub(super) struct ChangedTerms {
    /// Name, for your own use
    #[arg(long)]
    name: Option<String>,
    /// Bonus for each activation from now on, such as 500 or 12.50
    #[arg(long)]
    amount: Option<Money>,
    /// How often each code can be activated
    #[arg(long, value_name = "TIMES|none")]
    cap: Option<Limit<u32>>,
    /// How often each client can activate codes of this campaign; counted from when the limit is first set
    #[arg(long, value_name = "TIMES|none")]
    per_client: Option<Limit<u32>>,
    /// Total number of activations
    #[arg(long, value_name = "TIMES|none")]
    uses: Option<Limit<u64>>,
    /// Total amount of bonuses
    #[arg(long, value_name = "AMOUNT|none")]
    budget: Option<Limit<Money>>,
    /// Number of a club where the codes are accepted, or `all`; can be repeated; replaces the current clubs
    #[arg(long = "club", value_name = "CLUB|all")]
    clubs: Vec<ClubOrAll>,
    /// Start of the period: a day (2026-12-01, in UTC) or a time (2026-12-01T09:00:00+01:00)
    #[arg(long, value_name = "WHEN|none", value_parser = |text: &str| unless_none(text, starts))]
    starts: Option<Limit<u64>>,
    /// End of the period: a day, inclusive, or a time
    #[arg(long, value_name = "WHEN|none", value_parser = |text: &str| unless_none(text, ends))]
    ends: Option<Limit<u64>>,
    /// Whether codes are refused outside the period
    #[arg(long, value_name = "yes|no", action = ArgAction::Set, value_parser = yes_or_no)]
    enforce_period: Option<bool>,
    /// Mark the campaign as low on codes when fewer than this many can still be activated
    #[arg(long, value_name = "CODES|none")]
    low_stock: Option<Limit<u32>>,
}

impl ChangedTerms {
    /// The request that makes the change.
    pub(super) fn of(self, campaign: CampaignId) -> UpdateCampaign {
        let is_all = self.clubs.iter().any(|club| matches!(club, ClubOrAll::All));
        let numbers = self.clubs.iter().filter_map(|club| if let ClubOrAll::Club(club) = club { Some(*club) } else { None });
        let clubs: Vec<ClubId> = if is_all { Vec::new() } else { numbers.collect() };
        UpdateCampaign {
            campaign,
            name: self.name,
            amount: self.amount,
            clubs: (!self.clubs.is_empty()).then_some(clubs),
            starts_ms: self.starts.map(|limit| limit.0),
            ends_ms: self.ends.map(|limit| limit.0),
            enforce_period: self.enforce_period,
            activations_per_code_max: self.cap.map(|limit| limit.0),
            activations_per_client_max: self.per_client.map(|limit| limit.0),
            activations_max: self.uses.map(|limit| limit.0),
            budget: self.budget.map(|limit| limit.0),
            low_stock: self.low_stock.map(|limit| limit.0),
        }
    }
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit<T>(Option<T>);

impl<T: FromStr<Err: Display>> FromStr for Limit<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Limit<T>, String> {
        unless_none(text, |text| text.parse().map_err(|why| format!("expected a limit ({why}) or `none`")))
    }
}

fn unless_none<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Limit<T>, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => parse(text).map(|value| Limit(Some(value))),
    }
}

/// A club, or all of them.
#[derive(Debug, Clone, Copy)]
enum ClubOrAll {
    All,
    Club(ClubId),
}

impl FromStr for ClubOrAll {
    type Err = String;
    fn from_str(text: &str) -> Result<ClubOrAll, String> {
        match text {
            "all" => Ok(ClubOrAll::All),
            text => text.parse().map(ClubOrAll::Club).map_err(|why: scrip_protocol::InvalidId| format!("{why} or `all`")),
        }
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?}: expected yes or no")),
    }
}

/// The start of a period: a day begins with its first moment.
pub(in crate::cli) fn starts(text: &str) -> Result<u64, String> {
    moment(text, |day| day.to_zoned(TimeZone::UTC).map(|start| start.timestamp()))
}

/// The end of a period: a day ends with its last millisecond.
pub(in crate::cli) fn ends(text: &str) -> Result<u64, String> {
    moment(text, |day| day.tomorrow()?.to_zoned(TimeZone::UTC)?.timestamp().checked_sub(1.millisecond()))
}

fn moment(text: &str, of_day: impl Fn(Date) -> Result<Timestamp, jiff::Error>) -> Result<u64, String> {
    let wrong = || format!("{text:?}: expected a day, such as 2026-12-31, or a time, such as 2026-12-31T18:00:00+01:00");
    let moment = match text.parse::<Timestamp>() {
        Ok(moment) => moment,
        Err(_) => of_day(text.parse().map_err(|_| wrong())?).map_err(|_| wrong())?,
    };
    u64::try_from(moment.as_millisecond()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pain 21: an end date includes its day.
    #[test]
    fn the_last_day_is_part_of_the_period() {
        assert_eq!(starts("2026-12-31"), Ok(1_798_675_200_000));
        assert_eq!(ends("2026-12-31"), Ok(1_798_675_200_000 + 86_400_000 - 1));
        assert_eq!(ends("2026-12-31T00:00:00Z"), Ok(1_798_675_200_000));
        assert_eq!(starts("2026-12-31T01:00:00+01:00"), Ok(1_798_675_200_000));
        for text in ["", "tomorrow", "2026-13-01", "31.12.2026", "1900-01-01"] {
            assert!(starts(text).is_err(), "{text}");
        }
    }

    #[test]
    fn none_removes_a_limit() {
        assert_eq!("none".parse(), Ok(Limit::<u32>(None)));
        assert_eq!("3".parse(), Ok(Limit(Some(3_u32))));
        assert_eq!("12.50".parse(), Ok(Limit(Some(Money(1_250)))));
        for text in ["", "None", "-1", "x"] {
            assert!(text.parse::<Limit<u32>>().is_err(), "{text}");
        }
    }
}
