//! The rows of an activation log.
//!
//! Activations are read in the order of their table, which is that of the journal. Those of one campaign are read from the
//! stretches that contain any. A range of time is first converted to a range of positions: the journal's time never goes
//! backwards.

use rusqlite::{Connection, OptionalExtension, Statement};
use scrip_protocol::CampaignId;

use super::columns::{Cell, Column, Kind, Rows};
use super::error::ExportError;
use super::names::{self, Names};
use crate::read_model::View;

pub(super) const COLUMNS: &[Column] = &[
    Column { name: "activation", kind: Kind::Id },
    Column { name: "activated_at", kind: Kind::Time },
    Column { name: "campaign", kind: Kind::Id },
    Column { name: "campaign_name", kind: Kind::Text },
    Column { name: "code", kind: Kind::Text },
    Column { name: "client", kind: Kind::Text },
    Column { name: "client_name", kind: Kind::Text },
    Column { name: "club", kind: Kind::Id },
    Column { name: "club_name", kind: Kind::Text },
    Column { name: "amount", kind: Kind::Amount },
    Column { name: "balance", kind: Kind::Amount },
    Column { name: "credential", kind: Kind::Id },
    Column { name: "credential_name", kind: Kind::Text },
    Column { name: "request", kind: Kind::Text },
    Column { name: "hold", kind: Kind::Id },
    Column { name: "top_up", kind: Kind::Id },
    Column { name: "refunded_at", kind: Kind::Time },
    Column { name: "refunded_amount", kind: Kind::Amount },
    Column { name: "uncollected", kind: Kind::Amount },
    Column { name: "as_of_position", kind: Kind::Id },
];

pub(super) fn write(
    view: &View<'_>,
    campaign: Option<CampaignId>,
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    rows: &mut Rows<'_>,
) -> Result<(), ExportError> {
    let connection = view.connection;
    let mut campaigns = Names::by(connection, "SELECT name FROM campaign WHERE campaign = ?1")?;
    let mut clubs = Names::by(connection, "SELECT name FROM club WHERE club = ?1")?;
    let mut credentials = Names::by(connection, "SELECT name FROM credential WHERE credential = ?1")?;
    let (mut client, mut request) = (String::new(), String::new());

    let end = rows.as_of + 1;
    let first = from_ms.map_or(Ok(1), |ms| first_since(connection, ms, end))?;
    let last = to_ms.map_or(Ok(end), |ms| first_since(connection, ms, end))? - 1;
    let mut found = connection.prepare(&query(campaign.is_some()))?;
    bind(&mut found, first, last, campaign)?;
    let mut found = found.raw_query();
    while let Some(row) = found.next()? {
        let activation = row.get(0)?;
        let (of_campaign, club, credential) = (row.get(2)?, row.get(6)?, row.get(9)?);
        let cells = [
            Cell::Id(activation),
            Cell::Time(row.get(1)?),
            Cell::Id(of_campaign),
            Cell::of(campaigns.of(of_campaign)?, Cell::Text),
            Cell::Text(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?),
            Cell::Text(names::client(row.get_ref(4)?, &mut client)?),
            Cell::of(row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?, Cell::Text),
            Cell::Id(club),
            Cell::of(clubs.of(club)?, Cell::Text),
            Cell::Amount(row.get(7)?),
            Cell::Amount(row.get(8)?),
            Cell::Id(credential),
            Cell::of(credentials.of(credential)?, Cell::Text),
            Cell::Text(names::request(row.get_ref(10)?, &mut request)?),
            Cell::of(row.get(11)?, Cell::Id),
            Cell::of(row.get(12)?, Cell::Id),
            Cell::of(row.get(13)?, Cell::Time),
            Cell::of(row.get(14)?, Cell::Amount),
            Cell::of(row.get(15)?, Cell::Amount),
            Cell::Id(rows.as_of),
        ];
        rows.put(activation - first, last + 1 - first, &cells)?;
    }
    Ok(())
}

/// A missing code leaves its cell without text, and the export fails: an inner join would omit the row silently.
pub(super) fn query(of_campaign: bool) -> String {
    let (from, between) = match of_campaign {
        false => ("activation a", "a.activation BETWEEN ?1 AND ?2"),
        // SQLite runs a cross join in the order in which it is written.
        true => (
            "campaign_stretch s CROSS JOIN activation a",
            "s.campaign = ?3 AND s.stretch BETWEEN ?1 >> 12 AND ?2 >> 12 AND a.campaign = s.campaign \
             AND a.activation BETWEEN max(s.stretch << 12, ?1) AND min((s.stretch << 12) + 4095, ?2)",
        ),
    };
    let order = if of_campaign { "s.stretch, a.activation" } else { "a.activation" };
    format!(
        "SELECT a.activation, a.at_ms, a.campaign, c.code, a.client, p.name, a.club, a.amount, a.balance, a.credential, a.request,
                a.hold, a.top_up, r.at_ms, r.taken, r.uncollected
         FROM {from}
         LEFT JOIN code c ON c.campaign = a.campaign AND c.slot = a.slot
         LEFT JOIN client p ON p.client = a.client
         LEFT JOIN refund r ON r.activation = a.activation
         WHERE {between} ORDER BY {order}"
    )
}

fn bind(statement: &mut Statement<'_>, first: i64, last: i64, campaign: Option<CampaignId>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, first)?;
    statement.raw_bind_parameter(2, last)?;
    campaign.map_or(Ok(()), |campaign| statement.raw_bind_parameter(3, campaign.0))
}

/// The first position before `end` from which on activations have this time or a later one; `end` if there is none.
fn first_since(connection: &Connection, ms: u64, end: i64) -> rusqlite::Result<i64> {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let mut next =
        connection.prepare("SELECT activation, at_ms FROM activation WHERE activation >= ?1 ORDER BY activation LIMIT 1")?;
    // All activations before `low` are older, and none from `high` on.
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = next.query_row([middle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        match found {
            Some((activation, at_ms)) if at_ms < ms => low = activation + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}
