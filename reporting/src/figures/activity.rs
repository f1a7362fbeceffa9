//! Activations by day and by club.
//!
//! The tables count by quarter of an hour, and a day consists of the quarters that begin in it: the offset of every time zone in
//! use is a multiple of a quarter. Days are those of the caller's time zone (pain 21), from midnight to midnight, 23 to 25 hours.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use scrip_protocol::CampaignId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Page, page};
use crate::read_model::{AsOf, UNKNOWN_CLUB, View};
use crate::shown::{self, Amount, At};

/// Milliseconds in a quarter of an hour.
const QUARTER_MS: i64 = 900_000;

/// The maximum number of days in an answer.
pub const DAYS_MAX: u16 = 400;

/// Selects days.
#[derive(Debug, Clone)]
pub struct Days {
    /// The time zone.
    pub zone: TimeZone,
    /// The last day; none for today.
    pub last: Option<Date>,
    /// The number of days, up to [`DAYS_MAX`].
    pub days: u16,
}

/// Activations by day, including days without any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activity {
    /// In order.
    pub days: Vec<Day>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// The activations of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Day {
    /// The day.
    #[serde(serialize_with = "date")]
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// Activations and refunds on the day.
    pub happened: Happened,
    /// Whether this history covers the day from its beginning; if not, counts may be too low.
    pub is_whole: bool,
}

/// Activations and refunds on a day or at a club.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Happened {
    /// The number of activations, including those that were refunded later.
    pub activations: u64,
    /// The bonuses credited by these activations.
    pub issued: Amount,
    /// The number of refunds, of any activations.
    pub refunds: u64,
    /// The bonuses debited by these refunds.
    pub taken_back: Amount,
}

/// Activations by club.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Clubs {
    /// By number, without clubs that never had an activation. An item without a number, on the first page, stands for unknown
    /// clubs: it has the refunds of activations from before this history begins.
    pub clubs: Vec<Club>,
    /// The `after` of the next page; none on the last page.
    pub next: Option<u32>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// The activations at a club.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Club {
    /// The club; none for unknown clubs.
    pub club: Option<u32>,
    /// The name of the club.
    pub name: Option<String>,
    /// Activations at the club, and refunds of activations at the club.
    pub happened: Happened,
}

fn date<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// When a day begins, in milliseconds since 1970, clamped to the supported range of years.
pub(crate) fn beginning_ms(date: Date, zone: &TimeZone) -> i64 {
    match date.to_zoned(zone.clone()) {
        Ok(midnight) => midnight.timestamp().as_millisecond(),
        Err(_) if date.year() < 0 => Timestamp::MIN.as_millisecond(),
        Err(_) => Timestamp::MAX.as_millisecond(),
    }
}

/// When a day ends: when the next begins.
pub(crate) fn end_ms(date: Date, zone: &TimeZone) -> i64 {
    date.tomorrow().map_or_else(|_| Timestamp::MAX.as_millisecond(), |next| beginning_ms(next, zone))
}

/// The activations of a campaign by day; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn by_day(view: &View<'_>, campaign: CampaignId, query: &Days) -> rusqlite::Result<Option<Activity>> {
    if !exists(view, campaign)? {
        return Ok(None);
    }
    let now = Timestamp::from_millisecond(shown::bound(view.now_ms)).unwrap_or(Timestamp::MAX);
    let last = query.last.unwrap_or_else(|| now.to_zoned(query.zone.clone()).date());
    let days = query.days.clamp(1, DAYS_MAX);
    let first = last.saturating_sub(Span::new().days(i64::from(days) - 1));
    let nothing = Happened { activations: 0, issued: Amount(0), refunds: 0, taken_back: Amount(0) };
    let begins_after = view.as_of.history_after_time.map(|At(time_ms)| shown::bound(time_ms));
    let day = |date| {
        let is_whole = begins_after.is_none_or(|after| beginning_ms(date, &query.zone) > after);
        Day { date, happened: nothing, is_whole }
    };
    let mut days: Vec<Day> = first.series(Span::new().days(1)).take_while(|date| *date <= last).map(day).collect();
    // The first quarter that begins on each day or after it.
    let begins: Vec<i64> = days.iter().map(|day| quarter(beginning_ms(day.date, &query.zone))).collect();
    let (from, end) = (quarter(beginning_ms(first, &query.zone)), quarter(end_ms(last, &query.zone)));
    let mut statement = view.connection.prepare_cached(BY_QUARTER)?;
    let mut rows = statement.query((campaign.0, from, end))?;
    while let Some(row) = rows.next()? {
        let quarter: i64 = row.get(0)?;
        let happened = happened(row, 1)?;
        let Some(day) = begins.partition_point(|begins| *begins <= quarter).checked_sub(1).and_then(|at| days.get_mut(at)) else {
            continue;
        };
        day.happened = Happened {
            activations: day.happened.activations + happened.activations,
            issued: Amount(day.happened.issued.0.saturating_add(happened.issued.0)),
            refunds: day.happened.refunds + happened.refunds,
            taken_back: Amount(day.happened.taken_back.0.saturating_add(happened.taken_back.0)),
        };
    }
    Ok(Some(Activity { days, as_of: view.now() }))
}

pub(super) const BY_QUARTER: &str = "SELECT quarter, activations, issued, refunds, taken_back \
     FROM activity WHERE campaign = ?1 AND quarter >= ?2 AND quarter < ?3";

fn quarter(ms: i64) -> i64 {
    ms.div_euclid(QUARTER_MS) + i64::from(ms.rem_euclid(QUARTER_MS) > 0)
}

/// The activations of a campaign by club; none if the campaign does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn by_club(view: &View<'_>, campaign: CampaignId, after: Option<u32>, limit: usize) -> rusqlite::Result<Option<Clubs>> {
    if !exists(view, campaign)? {
        return Ok(None);
    }
    let mut statement = view.connection.prepare_cached(BY_CLUB)?;
    let from = after.map_or(0, |after| i64::from(after) + 1);
    let rows = statement.query_map((campaign.0, from), |row| {
        let number: u32 = row.get(0)?;
        let club = Some(number).filter(|number| *number != UNKNOWN_CLUB);
        Ok((number, Some(Club { club, name: row.get(1)?, happened: happened(row, 2)? })))
    })?;
    let Page { rows: clubs, next } = page(rows, limit, usize::MAX)?;
    Ok(Some(Clubs { clubs, next, as_of: view.as_of }))
}

pub(super) const BY_CLUB: &str = "SELECT campaign_club.club, name, activations, issued, refunds, taken_back \
     FROM campaign_club LEFT JOIN club ON club.club = campaign_club.club \
     WHERE campaign = ?1 AND campaign_club.club >= ?2 ORDER BY campaign_club.club";

fn happened(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Happened> {
    Ok(Happened {
        activations: shown::whole(row, at)?,
        issued: row.get(at + 1)?,
        refunds: shown::whole(row, at + 2)?,
        taken_back: row.get(at + 3)?,
    })
}

/// Whether a campaign exists.
pub(crate) fn exists(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<bool> {
    view.connection.prepare_cached("SELECT 1 FROM campaign WHERE campaign = ?1")?.exists([campaign.0])
}
