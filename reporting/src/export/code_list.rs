//! The rows of a code list.
//!
//! One statement reads the codes of a campaign by slot, which is how their table is sorted, each with its usage and its first
//! activation. Few codes have more activations: these are looked up for each such code.
//!
//! A read model that began with a snapshot does not have earlier activations: if a code has no others, its row has the number of
//! activations, but no client, time or club.

use std::iter::Peekable;
use std::vec;

use rusqlite::{Connection, Row};
use scrip_protocol::CampaignId;

use super::columns::{Cell, Column, Kind, Rows};
use super::error::ExportError;
use super::names::{self, Names};
use super::words::{Status, Usage};
use crate::figures::code_table::status as status_of;
use crate::read_model::View;

pub(super) const COLUMNS: &[Column] = &[
    Column { name: "campaign", kind: Kind::Id },
    Column { name: "campaign_name", kind: Kind::Text },
    Column { name: "code", kind: Kind::Text },
    Column { name: "status", kind: Kind::Text },
    Column { name: "added_at", kind: Kind::Time },
    Column { name: "activations", kind: Kind::Count },
    Column { name: "activation", kind: Kind::Id },
    Column { name: "activated_at", kind: Kind::Time },
    Column { name: "client", kind: Kind::Text },
    Column { name: "client_name", kind: Kind::Text },
    Column { name: "club", kind: Kind::Id },
    Column { name: "club_name", kind: Kind::Text },
    Column { name: "amount", kind: Kind::Amount },
    Column { name: "refunded_at", kind: Kind::Time },
    Column { name: "refunded_amount", kind: Kind::Amount },
    Column { name: "as_of_position", kind: Kind::Id },
];

/// The columns of an activation in both statements, and the joins for its client and its refund.
const ACTIVATION: &str = "a.activation, a.at_ms, a.client, p.name, a.club, a.amount, r.at_ms, r.taken";
const ITS_OWN: &str = "LEFT JOIN client p ON p.client = a.client LEFT JOIN refund r ON r.activation = a.activation";

pub(super) fn write(
    view: &View<'_>,
    campaign: CampaignId,
    status: Status,
    usage: Usage,
    rows: &mut Rows<'_>,
) -> Result<(), ExportError> {
    let of = Campaign::find(view.connection, campaign)?;
    let mut codes = view.connection.prepare(&query(status, usage, of.archived))?;
    let mut again = view.connection.prepare(&again_query())?;
    let mut clubs = Names::by(view.connection, "SELECT name FROM club WHERE club = ?1")?;
    let mut added = Added::of(view.connection, campaign)?;
    let mut client = String::new();
    let mut codes = codes.query([campaign.0])?;
    while let Some(row) = codes.next()? {
        let slot: i64 = row.get(0)?;
        let archived: i64 = row.get(2)?;
        let ever: i64 = row.get::<_, Option<i64>>(4)?.unwrap_or(0);
        let code = [
            Cell::Id(campaign.0.into()),
            Cell::Text(&of.name),
            Cell::Text(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?),
            Cell::Text(status_of(archived, of.archived).word()),
            Cell::of(added.at(slot), Cell::Time),
            Cell::Count(row.get::<_, Option<i64>>(3)?.unwrap_or(0)),
        ];
        let mut found = 0;
        let as_of = rows.as_of;
        let mut put = |activation: [Cell<'_>; 9]| {
            let [a, b, c, d, e, f] = code;
            let [g, h, i, j, k, l, m, n, o] = activation;
            rows.put(slot, of.codes, &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, Cell::Id(as_of)])
        };
        match row.get::<_, Option<i64>>(5)? {
            Some(_) => {
                put(activation(row, 5, &mut client, &mut clubs)?)?;
                found += 1;
            }
            None if ever == 0 => put([Cell::Blank; 9])?,
            // Its first activation is before this history begins.
            None => {}
        }
        // Activations before this history begins: the total less those that have a row.
        let uses: (Option<i64>, Option<i64>) = (row.get(13)?, row.get(14)?);
        let mut before = if uses == (Some(0), Some(0)) { ever } else { 0 };
        if ever > 0 && before == ever {
            put([Cell::Blank; 9])?;
        } else if ever > 1 || uses.0 == Some(0) {
            let mut again = again.query([i64::from(campaign.0), slot])?;
            while let Some(row) = again.next()? {
                if found == 0 && uses.0 == Some(0) {
                    before = row.get::<_, i64>(8)? - 1;
                }
                put(activation(row, 0, &mut client, &mut clubs)?)?;
                found += 1;
            }
        }
        if before + found != ever {
            return Err(ExportError::Missing { campaign, slot, expected: ever, found });
        }
    }
    Ok(())
}

pub(super) fn query(status: Status, usage: Usage, campaign_archived: bool) -> String {
    let status = match (status, campaign_archived) {
        (Status::All, _) | (Status::Archived, true) => "",
        (Status::Active, false) => "AND code.archived = 0",
        (Status::Archived, false) => "AND code.archived <> 0",
        (Status::Active, true) => "AND FALSE",
    };
    let usage = match usage {
        Usage::All => "",
        Usage::Used => "AND u.activations > 0",
        Usage::Unused => "AND ifnull(u.activations, 0) = 0",
    };
    format!(
        "SELECT code.slot, code.code, code.archived, u.activations, u.ever, {ACTIVATION}, u.first_activation, u.last_activation
         FROM code LEFT JOIN code_use u ON u.campaign = code.campaign AND u.slot = code.slot
         LEFT JOIN activation a ON a.activation = u.first_activation {ITS_OWN}
         WHERE code.campaign = ?1 {status} {usage} ORDER BY code.slot"
    )
}

pub(super) fn again_query() -> String {
    format!(
        "SELECT {ACTIVATION}, a.nth FROM activation a INDEXED BY activation_again {ITS_OWN}
         WHERE a.campaign = ?1 AND a.slot = ?2 AND a.nth > 1 ORDER BY a.activation"
    )
}

/// The cells of an activation whose columns begin at an index of the row.
fn activation<'r>(
    row: &'r Row<'_>,
    from: usize,
    client: &'r mut String,
    clubs: &'r mut Names<'_>,
) -> rusqlite::Result<[Cell<'r>; 9]> {
    let club = row.get(from + 4)?;
    Ok([
        Cell::Id(row.get(from)?),
        Cell::Time(row.get(from + 1)?),
        Cell::Text(names::client(row.get_ref(from + 2)?, client)?),
        Cell::of(row.get_ref(from + 3)?.as_str_or_null()?, Cell::Text),
        Cell::Id(club),
        Cell::of(clubs.of(club)?, Cell::Text),
        Cell::Amount(row.get(from + 5)?),
        Cell::of(row.get(from + 6)?, Cell::Time),
        Cell::of(row.get(from + 7)?, Cell::Amount),
    ])
}

/// The columns of the campaign.
struct Campaign {
    name: String,
    archived: bool,
    codes: i64,
}

impl Campaign {
    fn find(connection: &Connection, campaign: CampaignId) -> rusqlite::Result<Campaign> {
        let query = "SELECT name, archived_ms IS NOT NULL, codes FROM campaign WHERE campaign = ?1";
        let read = |row: &Row<'_>| Ok(Campaign { name: row.get(0)?, archived: row.get(1)?, codes: row.get(2)? });
        connection.query_row(query, [campaign.0], read)
    }
}

/// When codes were added, by slot: one entry per addition, read in order.
struct Added {
    /// The slot after the last one of each addition, and the time of the addition.
    additions: Peekable<vec::IntoIter<(i64, i64)>>,
}

impl Added {
    fn of(connection: &Connection, campaign: CampaignId) -> rusqlite::Result<Added> {
        let query = "SELECT first_slot + codes, at_ms FROM codes_added WHERE campaign = ?1 ORDER BY first_slot";
        let mut found = connection.prepare(query)?;
        let found = found.query_map([campaign.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Added { additions: found.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().peekable() })
    }

    fn at(&mut self, slot: i64) -> Option<i64> {
        while self.additions.next_if(|(end, _)| *end <= slot).is_some() {}
        self.additions.peek().map(|(_, at_ms)| *at_ms)
    }
}
