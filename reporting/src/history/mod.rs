//! The history of a client (B5): the client's balances, and every operation, newest first.
//!
//! [`operations`] finds the records that concern a client by stretches of the journal, newest stretch first, and returns the
//! ledger entries, holds, refunds and refusals of each (B2, B3, A13, A28).

pub mod operations;

use rusqlite::{OptionalExtension, Row};
use scrip_protocol::ClientId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::figures::{Page, page};
use crate::read_model::{AsOf, HISTORY_BITS, View, folded};
use crate::shown::{self, Amount, At, Client};

/// The maximum number of clients examined for a page of a search by name.
const LOOKED_AT_MAX: usize = 65_536;

/// The balances and totals of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClientCard {
    /// The client.
    pub client: Client,
    /// The name; it may be empty.
    pub name: String,
    /// When the client was registered; none if that was before the read model began, or if nothing was credited to the client yet.
    pub registered_at: Option<At>,
    /// The gaming balance.
    pub gaming: Amount,
    /// The bonus balance (B5).
    pub bonus: Amount,
    /// The total paid in money for sessions and purchases.
    pub spent: Amount,
    /// The number of sessions.
    pub sessions: u64,
    /// The number of activations, without refunded ones. Excludes activations before this history begins.
    pub activations: u64,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// A page of clients found by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Clients {
    /// By id. Can be empty even if there is a next page.
    pub clients: Vec<ClientCard>,
    /// The `after` of the next page; none on the last page.
    pub next: Option<Client>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// The balances of a client; none if there is no such client. A client that was never credited has zeros.
///
/// # Errors
/// If SQLite fails.
pub fn card(view: &View<'_>, client: ClientId) -> rusqlite::Result<Option<ClientCard>> {
    let found = view
        .connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM client WHERE client = ?1"))?
        .query_row([Client(client)], |row| card_of(row, view.as_of))
        .optional()?;
    if found.is_some() || !has_history(view, client)? {
        return Ok(found);
    }
    let nothing = Amount(0);
    Ok(Some(ClientCard {
        client: Client(client),
        name: String::new(),
        registered_at: None,
        gaming: nothing,
        bonus: nothing,
        spent: nothing,
        sessions: 0,
        activations: 0,
        as_of: view.as_of,
    }))
}

/// Whether any record concerns a client: a client is registered with the first credit, but may have held codes or been refused
/// before.
pub(crate) fn has_history(view: &View<'_>, client: ClientId) -> rusqlite::Result<bool> {
    let mut of_stretch = view.connection.prepare_cached(ANY_OF_STRETCH)?;
    let (first, last) = (view.as_of.history_after.0 >> HISTORY_BITS, view.as_of.position.0 >> HISTORY_BITS);
    for stretch in (first..=last).rev() {
        if of_stretch.exists((shown::bound(stretch), Client(client)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) const ANY_OF_STRETCH: &str = "SELECT 1 FROM client_history WHERE stretch = ?1 AND client = ?2 LIMIT 1";

/// A page of the clients who have a text in their names, whatever the letter case; all clients for an empty one.
///
/// # Errors
/// If SQLite fails.
pub fn named(view: &View<'_>, name: &str, after: Option<ClientId>, limit: usize) -> rusqlite::Result<Clients> {
    let name = folded(name);
    let passes = |card: &ClientCard| folded(&card.name).contains(&name);
    let of_row = |row: &Row<'_>| {
        let card = card_of(row, view.as_of)?;
        Ok((card.client, Some(card).filter(passes)))
    };
    let (all, after_one) = (
        format!("SELECT {COLUMNS} FROM client ORDER BY client LIMIT ?1"),
        format!("SELECT {COLUMNS} FROM client WHERE client > ?2 ORDER BY client LIMIT ?1"),
    );
    let looked_at = LOOKED_AT_MAX as i64 + 1;
    let Page { rows: clients, next } = match after {
        None => page(view.connection.prepare_cached(&all)?.query_map([looked_at], of_row)?, limit, LOOKED_AT_MAX)?,
        Some(after) => {
            let mut statement = view.connection.prepare_cached(&after_one)?;
            page(statement.query_map((looked_at, Client(after)), of_row)?, limit, LOOKED_AT_MAX)?
        }
    };
    Ok(Clients { clients, next, as_of: view.as_of })
}

/// Up to `most` clients whose name contains a text, ignoring case: first those whose name begins with it, then the others, both
/// ordered by name. If few names match, all names are examined one after the other in an index, some millions a second.
///
/// # Errors
/// If SQLite fails.
pub fn with_name(view: &View<'_>, text: &str, most: usize) -> rusqlite::Result<Vec<ClientCard>> {
    let text = folded(text);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let limit = most as i64;
    let mut found: Vec<Client> = view
        .connection
        .prepare_cached(BEGINNING)?
        .query_map((&text, limit), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if found.len() < most {
        let mut within = view.connection.prepare_cached(WITHIN)?;
        let within = within.query_map((&text, limit - found.len() as i64), |row| row.get(0))?;
        found.extend(within.collect::<rusqlite::Result<Vec<Client>>>()?);
    }
    let mut cards = Vec::with_capacity(found.len());
    for Client(client) in found {
        cards.extend(card(view, client)?);
    }
    Ok(cards)
}

/// Bounded above by the text followed by the last of all characters: no text that begins with it sorts after that.
pub(crate) const BEGINNING: &str = "SELECT client FROM client INDEXED BY client_by_name \
     WHERE folded <> '' AND folded >= ?1 AND folded < ?1 || char(1114111) ORDER BY folded, client LIMIT ?2";
pub(crate) const WITHIN: &str = "SELECT client FROM client INDEXED BY client_by_name \
     WHERE folded <> '' AND instr(folded, ?1) > 1 ORDER BY folded, client LIMIT ?2";

const COLUMNS: &str = "client, name, nullif(registered_ms, 0), gaming, bonus, spent, sessions, activations";

fn card_of(row: &Row<'_>, as_of: AsOf) -> rusqlite::Result<ClientCard> {
    Ok(ClientCard {
        client: row.get(0)?,
        name: row.get(1)?,
        registered_at: row.get(2)?,
        gaming: row.get(3)?,
        bonus: row.get(4)?,
        spent: row.get(5)?,
        sessions: shown::whole(row, 6)?,
        activations: shown::whole(row, 7)?,
        as_of,
    })
}
