//! Activations of each client in a campaign: those of a snapshot, and the changes since.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use scrip_protocol::{CampaignId, ClientId, Position};

use super::by_client::ByClient;
use super::frozen::UsesRow;
use super::given_back::merged;
use crate::rows::Rows;
use crate::slot_table::{FixedTable, HashKey};

/// The rows of a snapshot, for all campaigns.
#[derive(Debug, Default)]
pub(super) struct FrozenUses {
    pub(super) rows: Rows<UsesRow>,
    pub(super) index: FixedTable,
}

/// Activations of each client in a campaign.
#[derive(Debug, Default)]
pub struct ClientUses {
    /// When counting started, in milliseconds since 1970.
    pub from_ms: u64,
    /// The record that started it: activations after it are counted.
    pub from: Position,
    campaign: CampaignId,
    base: Arc<FrozenUses>,
    /// The rows of this campaign in the snapshot.
    range: Range<usize>,
    /// Changes since the snapshot; 0 for clients without activations.
    changed: ByClient<u32>,
}

impl ClientUses {
    pub(super) fn from(now_ms: u64, position: Position) -> ClientUses {
        ClientUses { from_ms: now_ms, from: position, ..ClientUses::default() }
    }

    pub(super) fn over(
        base: &Arc<FrozenUses>,
        campaign: CampaignId,
        (from_ms, from): (u64, Position),
        range: Range<usize>,
    ) -> ClientUses {
        ClientUses { from_ms, from, campaign, base: base.clone(), range, changed: ByClient::default() }
    }

    /// Activations of a client.
    #[inline]
    pub fn of(&self, client: ClientId) -> u32 {
        match self.changed.get(&client) {
            Some(uses) => *uses,
            None if self.range.is_empty() => 0,
            None => self.in_base(client),
        }
    }

    fn in_base(&self, client: ClientId) -> u32 {
        let is = |row: u32| self.base.rows.get(row as usize).is_some_and(|row| is_of(row, self.campaign, client));
        let hash = hash_of(self.base.index.key, self.campaign, client);
        let row = self.base.index.find(hash, is);
        row.and_then(|row| self.base.rows.get(row as usize)).map_or(0, |row| row.uses)
    }

    pub(super) fn change(&mut self, client: ClientId, change: impl FnOnce(u32) -> u32) {
        let uses = change(self.of(client));
        match uses {
            0 if self.range.is_empty() => self.changed.remove(&client),
            uses => self.changed.insert(client, uses),
        };
    }

    /// The clients with at least one, in the order of their ids, for a snapshot.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (ClientId, u32)> {
        let changed: BTreeMap<_, _> = self.changed.iter().collect();
        let changed = changed.into_iter().map(|(client, uses)| (*client, *uses));
        merged(self.base_rows(), changed, |(client, _)| *client).filter(|(_, uses)| *uses > 0)
    }

    fn base_rows(&self) -> impl Iterator<Item = (ClientId, u32)> {
        self.base.rows.get(self.range.clone()).unwrap_or_default().iter().map(|row| (ClientId(row.client), row.uses))
    }

    /// The clients with at least one, in any order.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, u32)> {
        let unchanged = self.base_rows().filter(|(client, _)| !self.changed.contains_key(client));
        unchanged.chain(self.changed.iter().map(|(client, uses)| (*client, *uses)).filter(|(_, uses)| *uses > 0))
    }
}

fn is_of(row: &UsesRow, campaign: CampaignId, client: ClientId) -> bool {
    row.client == client.0 && row.campaign == campaign.0
}

/// The hash of a client in a campaign.
pub(super) fn hash_of(key: HashKey, campaign: CampaignId, client: ClientId) -> u64 {
    key.hash_id(client.0 ^ u128::from(campaign.0).rotate_right(32))
}

impl PartialEq for ClientUses {
    fn eq(&self, other: &ClientUses) -> bool {
        let all = |uses: &ClientUses| uses.iter().collect::<BTreeMap<_, _>>();
        (self.from_ms, self.from) == (other.from_ms, other.from) && all(self) == all(other)
    }
}
