//! The clients and their balances (B1).
//!
//! The id and the balances, which a redemption touches, are a row of 32 bytes within one cache line; counters are stored
//! elsewhere under the same number.

use std::collections::BTreeMap;

use scrip_protocol::{Accounts, ClientId, Money};

use super::frozen::{ClientRow, CountsRow, NameRow};
use super::given_back::merged;
use super::overlay::Overlay;
use crate::rows::Rows;
use crate::slot_table::{FixedTable, GrowingTable, prefetch};

/// The clients and their accounts.
#[derive(Default)]
pub struct Clients {
    rows: Overlay<ClientRow>,
    counts: Overlay<CountsRow>,
    /// Indexes the clients of the snapshot, which never leave.
    frozen: FixedTable,
    /// Indexes the clients that were added since.
    index: GrowingTable,
    base_names: Names,
    /// Only clients that have, or had, a name.
    names: BTreeMap<ClientId, String>,
}

/// The names in a snapshot.
#[derive(Default)]
struct Names {
    rows: Rows<NameRow>,
    texts: Rows<u8>,
}

impl Names {
    fn text(&self, row: &NameRow) -> &str {
        let text = || {
            let start = usize::try_from(row.start).ok()?;
            self.texts.get(start..start.checked_add(usize::try_from(row.bytes).ok()?)?)
        };
        text().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    fn of(&self, client: ClientId) -> &str {
        self.rows.binary_search_by_key(&client.0, |row| row.client).map_or("", |at| self.text(&self.rows[at]))
    }
}

impl Clients {
    /// The clients of a snapshot.
    pub(super) fn over(
        rows: Rows<ClientRow>,
        counts: Rows<CountsRow>,
        frozen: FixedTable,
        names: Rows<NameRow>,
        texts: Rows<u8>,
    ) -> Clients {
        let (rows, counts) = (Overlay::over(rows), Overlay::over(counts));
        Clients { rows, counts, frozen, base_names: Names { rows: names, texts }, ..Clients::default() }
    }

    fn row(&self, client: ClientId) -> Option<u32> {
        // The snapshot is authoritative for its clients: nobody leaves.
        let is = |row: u32| self.rows.get(row).is_some_and(|row| row.id == client.0);
        let frozen = || self.frozen.find(self.frozen.key.hash_id(client.0), is);
        let in_base = if self.rows.base().is_empty() { None } else { frozen() };
        in_base.or_else(|| self.index.find(client.0, |row| self.at(row).id))
    }

    fn at(&self, row: u32) -> &ClientRow {
        self.rows.get(row).expect("the index names rows that are there")
    }

    /// Prefetches the start of a search for a client.
    pub(super) fn touch(&self, client: ClientId) {
        if !self.rows.base().is_empty() {
            self.frozen.touch(self.frozen.key.hash_id(client.0));
        }
        self.index.touch(client.0);
    }

    /// Prefetches the row that is probably the client's.
    pub(super) fn touch_row(&self, client: ClientId) {
        let frozen = || self.frozen.likely(self.frozen.key.hash_id(client.0));
        let in_base = if self.rows.base().is_empty() { None } else { frozen() };
        let row = in_base.or_else(|| self.index.likely(client.0));
        row.and_then(|row| self.rows.get(row)).into_iter().for_each(|row| prefetch(row));
    }

    /// Whether a client is registered.
    pub fn contains(&self, client: ClientId) -> bool {
        self.row(client).is_some()
    }

    /// A client's bonus balance; `None` for an unknown client.
    pub fn bonus(&self, client: ClientId) -> Option<Money> {
        self.row(client).map(|row| Money(self.at(row).bonus))
    }

    /// A client's balances; `None` for an unknown client.
    pub fn accounts(&self, client: ClientId) -> Option<Accounts> {
        self.row(client).map(|row| self.accounts_at(row))
    }

    fn accounts_at(&self, row: u32) -> Accounts {
        let (ClientRow { bonus, gaming, .. }, counts) = (*self.at(row), self.counts.get(row).copied().unwrap_or_default());
        Accounts { gaming: Money(gaming), bonus: Money(bonus), spent: Money(counts.spent), sessions: counts.sessions as u32 }
    }

    /// A client's name, empty for none.
    pub fn name(&self, client: ClientId) -> &str {
        self.names.get(&client).map_or_else(|| self.base_names.of(client), String::as_str)
    }

    /// The number of clients.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// All clients with their balances, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, Accounts)> {
        (0..).zip(self.rows.iter()).map(|(row, client)| (ClientId(client.id), self.accounts_at(row)))
    }

    /// The rows of all clients, in the order of registration.
    pub fn rows(&self) -> impl Iterator<Item = &ClientRow> {
        self.rows.iter()
    }

    /// The counters of all clients, in the same order.
    pub fn counts(&self) -> impl Iterator<Item = &CountsRow> {
        self.counts.iter()
    }

    /// The clients that have a name, in the order of their ids.
    pub fn names(&self) -> impl Iterator<Item = (ClientId, &str)> {
        let base = self.base_names.rows.iter().map(|row| (ClientId(row.client), self.base_names.text(row)));
        let changed = self.names.iter().map(|(client, name)| (*client, name.as_str()));
        merged(base, changed, |(client, _)| *client).filter(|(_, name)| !name.is_empty())
    }

    pub(super) fn set_name(&mut self, client: ClientId, name: &str) {
        self.row_or_new(client);
        match name {
            "" if self.base_names.of(client).is_empty() => self.names.remove(&client),
            _ => self.names.insert(client, name.to_owned()),
        };
    }

    pub(super) fn set_bonus(&mut self, client: ClientId, bonus: Money) {
        self.row_mut(client).bonus = bonus.0;
    }

    pub(super) fn set_balances(&mut self, client: ClientId, gaming: Money, bonus: Money) {
        let row = self.row_mut(client);
        (row.gaming, row.bonus) = (gaming.0, bonus.0);
    }

    pub(super) fn set_accounts(&mut self, client: ClientId, accounts: Accounts) {
        let at = self.row_or_new(client);
        let row = self.rows.get_mut(at).expect("the row is there, or new");
        (row.gaming, row.bonus) = (accounts.gaming.0, accounts.bonus.0);
        let counts = self.counts.get_mut(at).expect("a client has both rows");
        *counts = CountsRow { spent: accounts.spent.0, sessions: accounts.sessions.into() };
    }

    fn row_mut(&mut self, client: ClientId) -> &mut ClientRow {
        let row = self.row_or_new(client);
        self.rows.get_mut(row).expect("the row is there, or new")
    }

    fn row_or_new(&mut self, client: ClientId) -> u32 {
        self.row(client).unwrap_or_else(|| {
            let row = u32::try_from(self.rows.len()).expect("memory ends before 2^32 clients");
            self.rows.push(ClientRow { id: client.0, bonus: 0, gaming: 0 });
            self.counts.push(CountsRow::default());
            self.index.insert(client.0, row);
            row
        })
    }
}

impl PartialEq for Clients {
    fn eq(&self, other: &Clients) -> bool {
        self.rows == other.rows && self.counts == other.counts && self.names().eq(other.names())
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
