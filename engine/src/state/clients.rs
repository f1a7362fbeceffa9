//! The clients, with what they have (B1).
//!
//! What a redemption touches, the id and the balances, is a row of 32 bytes, which no line of the processor's cache divides; what is only counted
//! stands elsewhere under the same number.

use std::collections::BTreeMap;

use scrip_protocol::{Accounts, ClientId, Money};

use super::chunked::Chunked;
use super::prefetch::prefetch;
use super::shards::Shards;

/// The clients with their accounts.
pub struct Clients {
    rows: Chunked<ClientRow>,
    counts: Chunked<Counts>,
    index: Shards,
    /// Only clients that have one.
    names: BTreeMap<ClientId, String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct ClientRow {
    id: ClientId,
    bonus: Money,
    gaming: Money,
}

/// What is counted of a client in all time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Counts {
    spent: Money,
    sessions: u32,
}

impl Clients {
    pub(super) fn new() -> Clients {
        Clients { rows: Chunked::new(), counts: Chunked::new(), index: Shards::new(), names: BTreeMap::new() }
    }

    fn row(&self, client: ClientId) -> Option<u32> {
        self.index.find(client.0, |row| self.at(row).id.0)
    }

    fn at(&self, row: u32) -> &ClientRow {
        self.rows.get(row).expect("the index names rows that are there")
    }

    /// Fetches where a search for a client starts.
    pub(super) fn touch(&self, client: ClientId) {
        self.index.touch(client.0);
    }

    /// Fetches the row that is likely the client's.
    pub(super) fn touch_row(&self, client: ClientId) {
        self.index.likely(client.0).and_then(|row| self.rows.get(row)).into_iter().for_each(|row| prefetch(row));
    }

    /// Whether a client is registered.
    pub fn contains(&self, client: ClientId) -> bool {
        self.row(client).is_some()
    }

    /// A client's bonus balance; `None` for an unknown client.
    pub fn bonus(&self, client: ClientId) -> Option<Money> {
        self.row(client).map(|row| self.at(row).bonus)
    }

    /// What a client has; `None` for an unknown client.
    pub fn accounts(&self, client: ClientId) -> Option<Accounts> {
        self.row(client).map(|row| self.accounts_at(row))
    }

    fn accounts_at(&self, row: u32) -> Accounts {
        let (ClientRow { bonus, gaming, .. }, counts) = (*self.at(row), self.counts.get(row).copied().unwrap_or_default());
        Accounts { gaming, bonus, spent: counts.spent, sessions: counts.sessions }
    }

    /// A client's name, empty for none.
    pub fn name(&self, client: ClientId) -> &str {
        self.names.get(&client).map_or("", String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// All clients with what they have, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, Accounts)> {
        (0..).zip(self.rows.iter()).map(|(row, client)| (client.id, self.accounts_at(row)))
    }

    pub(super) fn set_name(&mut self, client: ClientId, name: &str) {
        self.row_or_new(client);
        match name {
            "" => self.names.remove(&client),
            _ => self.names.insert(client, name.to_owned()),
        };
    }

    pub(super) fn set_bonus(&mut self, client: ClientId, bonus: Money) {
        self.row_mut(client).bonus = bonus;
    }

    pub(super) fn set_balances(&mut self, client: ClientId, gaming: Money, bonus: Money) {
        let row = self.row_mut(client);
        (row.gaming, row.bonus) = (gaming, bonus);
    }

    pub(super) fn set_accounts(&mut self, client: ClientId, accounts: Accounts) {
        let at = self.row_or_new(client);
        let row = self.rows.get_mut(at).expect("the row is there, or new");
        (row.gaming, row.bonus) = (accounts.gaming, accounts.bonus);
        let counts = self.counts.get_mut(at).expect("a client has both rows");
        *counts = Counts { spent: accounts.spent, sessions: accounts.sessions };
    }

    fn row_mut(&mut self, client: ClientId) -> &mut ClientRow {
        let row = self.row_or_new(client);
        self.rows.get_mut(row).expect("the row is there, or new")
    }

    fn row_or_new(&mut self, client: ClientId) -> u32 {
        self.row(client).unwrap_or_else(|| {
            let row = u32::try_from(self.rows.len()).expect("memory ends before 2^32 clients");
            self.rows.push(ClientRow { id: client, bonus: Money(0), gaming: Money(0) });
            self.counts.push(Counts::default());
            self.index.insert(client.0, row);
            row
        })
    }
}

impl PartialEq for Clients {
    fn eq(&self, other: &Clients) -> bool {
        self.rows == other.rows && self.counts == other.counts && self.names == other.names
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
