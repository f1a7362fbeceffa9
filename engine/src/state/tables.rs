//! What the organisation has: clubs, clients, campaigns with their codes.

use std::collections::BTreeMap;
use std::sync::Arc;

use scrip_protocol::command::{CodeTexts, CodesBatch, Terms};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position};

use super::chunked::Chunked;
use super::prefetch::prefetch;
use super::shards::Shards;

/// The clubs, numbered from 1.
#[derive(Debug, Default, PartialEq)]
pub struct Clubs {
    names: Vec<String>,
}

impl Clubs {
    /// Whether there is a club of this number.
    pub fn contains(&self, club: ClubId) -> bool {
        club.0 >= 1 && club.0 as usize <= self.names.len()
    }

    /// The club of this name.
    pub fn named(&self, name: &str) -> Option<ClubId> {
        self.names.iter().position(|other| other == name).map(|at| ClubId(at as u32 + 1))
    }

    /// The number that the next club gets.
    pub fn next(&self) -> ClubId {
        ClubId(self.names.len() as u32 + 1)
    }

    /// The clubs after one, with their numbers.
    pub fn after(&self, club: ClubId) -> impl Iterator<Item = (ClubId, &str)> {
        (1..).map(ClubId).zip(self.names.iter().map(String::as_str)).skip(club.0 as usize)
    }

    pub(super) fn add(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }
}

/// The clients with their bonus balances.
pub struct Clients {
    rows: Chunked<ClientRow>,
    index: Shards,
    /// Only clients that have one.
    names: BTreeMap<ClientId, String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct ClientRow {
    id: ClientId,
    balance: Money,
}

impl Clients {
    pub(super) fn new() -> Clients {
        Clients { rows: Chunked::new(), index: Shards::new(), names: BTreeMap::new() }
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

    /// A client's bonus balance; `None` for an unknown client.
    pub fn balance(&self, client: ClientId) -> Option<Money> {
        self.row(client).map(|row| self.at(row).balance)
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

    /// All clients with their balances, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, Money)> {
        self.rows.iter().map(|row| (row.id, row.balance))
    }

    pub(super) fn set_name(&mut self, client: ClientId, name: &str) {
        self.row_or_new(client);
        match name {
            "" => self.names.remove(&client),
            _ => self.names.insert(client, name.to_owned()),
        };
    }

    pub(super) fn set_balance(&mut self, client: ClientId, balance: Money) {
        let row = self.row_or_new(client);
        self.rows.get_mut(row).expect("the row is there, or new").balance = balance;
    }

    fn row_or_new(&mut self, client: ClientId) -> u32 {
        self.row(client).unwrap_or_else(|| {
            let row = u32::try_from(self.rows.len()).expect("memory ends before 2^32 clients");
            self.rows.push(ClientRow { id: client, balance: Money(0) });
            self.index.insert(client.0, row);
            row
        })
    }
}

impl PartialEq for Clients {
    fn eq(&self, other: &Clients) -> bool {
        self.rows == other.rows && self.names == other.names
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Where a code is: its campaign, and its place among the campaign's codes, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeAt {
    /// The campaign.
    pub campaign: CampaignId,
    /// The place.
    pub slot: u32,
}

/// The campaigns, numbered from 1.
#[derive(Debug, Default, PartialEq)]
pub struct Campaigns {
    rows: Vec<Campaign>,
}

impl Campaigns {
    /// A campaign.
    pub fn of(&self, campaign: CampaignId) -> Option<&Campaign> {
        self.rows.get((campaign.0 as usize).checked_sub(1)?)
    }

    /// The number that the next campaign gets.
    pub fn next(&self) -> CampaignId {
        CampaignId(self.rows.len() as u32 + 1)
    }

    /// The campaigns after one, with their numbers.
    pub fn after(&self, campaign: CampaignId) -> impl Iterator<Item = (CampaignId, &Campaign)> {
        (1..).map(CampaignId).zip(&self.rows).skip(campaign.0 as usize)
    }

    pub(super) fn add(&mut self, campaign: Campaign) {
        self.rows.push(campaign);
    }

    pub(super) fn of_mut(&mut self, campaign: CampaignId) -> Option<&mut Campaign> {
        self.rows.get_mut((campaign.0 as usize).checked_sub(1)?)
    }
}

/// One campaign with its codes and counters.
#[derive(Debug, PartialEq)]
pub struct Campaign {
    /// The terms; shared with the index, and replaced whole when they change.
    pub terms: Arc<Terms>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The codes as they were written.
    pub codes: CodeTexts,
    /// How often each code was activated, by slot.
    pub activations_of: Vec<u32>,
    /// How many codes were activated at least once.
    pub codes_activated: u32,
    /// How many activations there were.
    pub activations: u64,
    /// How many holds of its codes count: those that are open, and expired ones that the state still counts.
    pub held: u32,
    /// The sum of the bonuses credited.
    pub issued: Money,
    /// When codes were added.
    pub added: Vec<CodesBatch>,
}

impl Campaign {
    pub(super) fn new(terms: Terms, created_ms: u64) -> Campaign {
        Campaign {
            terms: Arc::new(terms),
            created_ms,
            codes: CodeTexts::default(),
            activations_of: Vec::new(),
            codes_activated: 0,
            activations: 0,
            held: 0,
            issued: Money(0),
            added: Vec::new(),
        }
    }

    /// How often a code may still be activated, its holds aside; 0 for a code that the campaign does not have.
    pub(super) fn room(&self, slot: u32) -> u32 {
        // The counter has 32 bits: a code without a cap ends there as well.
        let cap = self.terms.activations_per_code_max.unwrap_or(u32::MAX);
        self.activations_of.get(slot as usize).map_or(0, |activations| cap.saturating_sub(*activations))
    }

    pub(super) fn add_codes(&mut self, codes: &CodeTexts, at_ms: u64, position: Position) {
        for code in codes.iter() {
            self.codes.push(code);
        }
        self.activations_of.resize(self.codes.len(), 0);
        if codes.is_empty() {
            return;
        }
        self.added.push(CodesBatch { at_ms, codes: codes.len() as u32, position });
    }
}
