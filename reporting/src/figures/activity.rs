//! What was activated when, by days, and where, by clubs.
//!
//! The tables count by quarters of an hour, and a day is made of those that begin in it: every offset of a time zone in use is a multiple
//! of a quarter. Days are the caller's (pain 21): from its midnight to the next, be that 23 or 25 hours later.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use scrip_protocol::CampaignId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Page, page};
use crate::read_model::{AsOf, UNKNOWN_CLUB, View};
use crate::shown::{self, Amount, At};

/// How many milliseconds a quarter of an hour has.
const QUARTER_MS: i64 = 900_000;

/// How many days are told at once.
pub const DAYS_MAX: u16 = 400;

/// Which days.
#[derive(Debug, Clone)]
pub struct Days {
    /// Whose days.
    pub zone: TimeZone,
    /// The last of them; none for today.
    pub last: Option<Date>,
    /// How many, up to [`DAYS_MAX`].
    pub days: u16,
}

/// What was activated on each day. One on which nothing was is there as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activity {
    /// In order.
    pub days: Vec<Day>,
    /// What this is as of.
    pub as_of: AsOf,
}

/// What was activated on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Day {
    /// The day.
    #[serde(serialize_with = "date")]
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// What happened on it.
    pub happened: Happened,
    /// Whether the history in here has the day from its beginning; otherwise more may have happened on it.
    pub is_whole: bool,
}

/// Activations and refunds of a time or a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Happened {
    /// How many activations there were, whatever was refunded later.
    pub activations: u64,
    /// The bonuses credited by them.
    pub issued: Amount,
    /// How many refunds there were, of whatever activations.
    pub refunds: u64,
    /// The bonuses that they took back.
    pub taken_back: Amount,
}

/// What was activated at each club.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Clubs {
    /// By number; clubs at which nothing was ever activated are left out. One without a number, on the first page, stands for clubs that are
    /// not known here: there are the refunds of activations from before the history in here begins.
    pub clubs: Vec<Club>,
    /// The next page is of those after this number; none where this is the last.
    pub next: Option<u32>,
    /// What this is as of.
    pub as_of: AsOf,
}

/// What was activated at a club.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Club {
    /// The club; none for those that are not known here.
    pub club: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// What happened there; refunds are of activations there.
    pub happened: Happened,
}

fn date<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// When days begin, in milliseconds. What lies outside the years that can be named is cut off there.
pub(crate) fn beginning_ms(date: Date, zone: &TimeZone) -> i64 {
    match date.to_zoned(zone.clone()) {
        Ok(midnight) => midnight.timestamp().as_millisecond(),
        Err(_) if date.year() < 0 => Timestamp::MIN.as_millisecond(),
        Err(_) => Timestamp::MAX.as_millisecond(),
    }
}

/// When a day is over: when the next begins.
pub(crate) fn end_ms(date: Date, zone: &TimeZone) -> i64 {
    date.tomorrow().map_or_else(|_| Timestamp::MAX.as_millisecond(), |next| beginning_ms(next, zone))
}

/// What was activated on each of the days; none where there is no such campaign.
///
/// # Errors
/// When SQLite fails.
pub fn by_day(view: &View<'_>, campaign: CampaignId, asked: &Days) -> rusqlite::Result<Option<Activity>> {
    if !exists(view, campaign)? {
        return Ok(None);
    }
    let now = Timestamp::from_millisecond(shown::bound(view.now_ms)).unwrap_or(Timestamp::MAX);
    let last = asked.last.unwrap_or_else(|| now.to_zoned(asked.zone.clone()).date());
    let days = asked.days.clamp(1, DAYS_MAX);
    let first = last.saturating_sub(Span::new().days(i64::from(days) - 1));
    let nothing = Happened { activations: 0, issued: Amount(0), refunds: 0, taken_back: Amount(0) };
    let begins_after = view.as_of.history_after_time.map(|At(time_ms)| shown::bound(time_ms));
    let day = |date| {
        let is_whole = begins_after.is_none_or(|after| beginning_ms(date, &asked.zone) > after);
        Day { date, happened: nothing, is_whole }
    };
    let mut days: Vec<Day> = first.series(Span::new().days(1)).take_while(|date| *date <= last).map(day).collect();
    // The first quarter that begins on each day or after it.
    let begins: Vec<i64> = days.iter().map(|day| quarter(beginning_ms(day.date, &asked.zone))).collect();
    let (from, end) = (quarter(beginning_ms(first, &asked.zone)), quarter(end_ms(last, &asked.zone)));
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

/// What was activated at each club; none where there is no such campaign.
///
/// # Errors
/// When SQLite fails.
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

/// Whether there is such a campaign.
pub(crate) fn exists(view: &View<'_>, campaign: CampaignId) -> rusqlite::Result<bool> {
    view.connection.prepare_cached("SELECT 1 FROM campaign WHERE campaign = ?1")?.exists([campaign.0])
}
