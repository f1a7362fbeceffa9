//! The contents of a snapshot as the base of a state.

use std::ops::Range;
use std::sync::Arc;

use scrip_protocol::command::{ArchiveCause, CodesBatch, Terms};
use scrip_protocol::{CampaignId, Money, Position, Settings};

use super::{
    ClientRow, CountsRow, FormRow, GivenBackRow, MemberRow, NameRow, ReaderOwnerRow, RequestRow, RevokedHolderRow, UsesRow,
};
use crate::rows::Rows;
use crate::slot_table::{FixedTable, HashKey, prefetch};
use crate::state::credentials::Credential;
use crate::state::groups::GroupRow;
use crate::state::holds::Hold;
use crate::state::readers::ReaderRow;
use crate::state::requests::Forgotten;
use crate::state::rules::Rule;
use crate::state::tables::{Archived, CodeAt};

/// A snapshot's tables.
#[derive(Debug, Default)]
pub struct Base {
    /// The part that is loaded at once.
    pub small: Small,
    /// The codes of all campaigns.
    pub codes: Arc<FrozenCodes>,
    /// The clients, in the order of registration.
    pub clients: Rows<ClientRow>,
    /// The counters of each client, in the same order.
    pub counts: Rows<CountsRow>,
    /// Maps a client's id to the row.
    pub clients_index: FixedTable,
    /// The clients with a name, in the order of their ids.
    pub names: Rows<NameRow>,
    /// Their names.
    pub name_texts: Rows<u8>,
    /// The members of groups, in the order of clients and groups.
    pub members: Rows<MemberRow>,
    /// How often clients have activated codes, in the order of campaigns and clients.
    pub uses: Rows<UsesRow>,
    /// Maps campaign and client to the row.
    pub uses_index: FixedTable,
    /// The remembered requests, in the order of arrival.
    pub requests: Rows<RequestRow>,
    /// Their replies.
    pub replies: Rows<u8>,
    /// Maps a request's id to the row.
    pub requests_index: FixedTable,
    /// The times of the forgotten request ids.
    pub forgotten: Forgotten,
    /// The refunded activations, ascending.
    pub refunded: Rows<u64>,
    /// The form of codes; none if the settings do not name one.
    pub form: Option<FormRow>,
    /// Refunded amounts of top-ups and payments, in the order of their positions.
    pub given_back: Rows<GivenBackRow>,
    /// The credentials that readers belong to.
    pub reader_owners: Rows<ReaderOwnerRow>,
    /// The revoked credentials whose open holds have not all expired yet.
    pub revoked_holders: Rows<RevokedHolderRow>,
}

/// The small part of a state, however many codes and clients it has: it is loaded at once.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Small {
    /// The time of the newest record, in milliseconds since 1970.
    pub now_ms: u64,
    /// The settings.
    pub settings: Settings,
    /// The names of the clubs.
    pub clubs: Vec<String>,
    /// The campaigns.
    pub campaigns: Vec<CampaignBase>,
    /// The holds.
    pub holds: Vec<(Position, Hold)>,
    /// The groups.
    pub groups: Vec<GroupRow>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The credentials.
    pub credentials: Vec<Option<Credential>>,
    /// The readers of the journal.
    pub readers: Vec<(String, ReaderRow)>,
    /// The parameters of the idempotency window.
    pub window: WindowBase,
    /// The key of all hashes.
    pub key: HashKey,
    /// Number of home slots of each index.
    pub homes: Homes,
}

/// Number of home slots of each index of a snapshot.
#[derive(Debug, Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Homes {
    /// Of the codes.
    pub codes: u64,
    /// Of the clients.
    pub clients: u64,
    /// Of the uses of clients.
    pub uses: u64,
    /// Of the requests.
    pub requests: u64,
}

/// The idempotency window without its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct WindowBase {
    /// How long an id is remembered.
    pub window_ms: u64,
    /// How far an id's time may be ahead.
    pub skew_ms: u64,
    /// Maximum number of remembered ids.
    pub limit: u64,
    /// In version 1, ids before this time were forgotten; 0 in later versions.
    pub horizon_ms: u64,
    /// The latest time of a remembered id.
    pub newest_ms: u64,
}

/// A campaign without its codes and clients.
#[derive(Debug, Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CampaignBase {
    /// The terms.
    pub terms: Terms,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The location of its codes.
    pub places: Places,
    /// When it was archived.
    pub archived: Option<Archived>,
    /// The codes that are archived by themselves.
    pub archived_codes: Vec<(u32, ArchiveCause, Position)>,
    /// See [`Campaign`](crate::state::Campaign), here and below.
    pub codes_activated: u32,
    /// How many of these are archived by themselves.
    pub archived_activated: u32,
    /// Codes that are activated as often as permitted.
    pub codes_exhausted: u32,
    /// How many of these are archived by themselves.
    pub archived_exhausted: u32,
    /// How many activations there are.
    pub activations: u64,
    /// How many were refunded.
    pub refunds: u64,
    /// The sum of the bonuses credited.
    pub issued: Money,
    /// What refunds could not debit.
    pub uncollected: Money,
    /// Since when, and since which record, activations are counted per client, and the range of their rows.
    pub clients: Option<(u64, Position, (u64, u64))>,
    /// When codes were added.
    pub added: Vec<CodesBatch>,
}

/// The location of a campaign's codes among those of all campaigns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Places {
    /// The row of the first code.
    pub first: u32,
    /// The number of codes.
    pub count: u32,
    /// Where the text of the first code begins, in bytes.
    pub text: u64,
    /// The size of their texts, in bytes.
    pub text_bytes: u64,
}

impl Places {
    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// The codes of all campaigns of a snapshot, campaign by campaign.
#[derive(Debug, Default)]
pub struct FrozenCodes {
    /// The texts of all codes, as written.
    pub texts: Rows<u8>,
    /// The end of each text, relative to the start of its campaign's texts.
    pub ends: Rows<u32>,
    /// How often each was activated.
    pub activations: Rows<u32>,
    /// Maps the normalised text to the row in the campaign that holds the code, or held it last.
    pub index: FixedTable,
    /// The location of each campaign's codes, from campaign 1.
    pub places: Vec<Places>,
}

impl FrozenCodes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a row, and its place.
    pub fn at(&self, row: u32) -> Option<(&str, CodeAt)> {
        let (places, at) = self.place_of(row)?;
        let slot = (row - places.first) as usize;
        let ends = self.ends.get(places.rows())?;
        let start = slot.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
        let (from, to) = (places.text + u64::from(start), places.text + u64::from(*ends.get(slot)?));
        let text = self.texts.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?;
        Some((std::str::from_utf8(text).ok()?, at))
    }

    fn place_of(&self, row: u32) -> Option<(&Places, CodeAt)> {
        let after = self.places.partition_point(|places| places.first <= row);
        // A campaign without codes begins where the next one does: the last one is found.
        let places = self.places.get(after.checked_sub(1)?).filter(|places| row - places.first < places.count)?;
        Some((places, CodeAt { campaign: CampaignId(after as u32), slot: row - places.first }))
    }

    /// Prefetches the end of a row's text.
    pub fn touch_end(&self, row: u32) {
        self.ends.get(row as usize).into_iter().for_each(|end| prefetch(end));
    }

    /// Prefetches a row's text.
    pub fn touch_text(&self, row: u32) {
        let start = || {
            let (places, at) = self.place_of(row)?;
            let start = match at.slot {
                0 => 0,
                _ => *self.ends.get(row as usize - 1)?,
            };
            self.texts.get(usize::try_from(places.text + u64::from(start)).ok()?)
        };
        start().into_iter().for_each(|text| prefetch(text));
    }
}
