//! Everything that a snapshot holds, as a state takes it over.

use std::ops::Range;
use std::sync::Arc;

use scrip_protocol::command::{ArchiveCause, CodesBatch, Terms};
use scrip_protocol::{CampaignId, Money, Position, Settings};

use super::{
    ClientRow, CountsRow, FormRow, Frozen, GivenBackRow, HashKey, MemberRow, NameRow, ReaderOwnerRow, RequestRow,
    RevokedHolderRow, Rows, UsesRow,
};
use crate::state::credentials::Credential;
use crate::state::groups::GroupRow;
use crate::state::holds::Hold;
use crate::state::prefetch::prefetch;
use crate::state::readers::ReaderRow;
use crate::state::requests::Forgotten;
use crate::state::rules::Rule;
use crate::state::tables::{Archived, CodeAt};

/// A snapshot's tables.
#[derive(Debug, Default)]
pub struct Base {
    /// What is loaded at once.
    pub small: Small,
    /// The codes of all campaigns.
    pub codes: Arc<FrozenCodes>,
    /// The clients, in the order of registration.
    pub clients: Rows<ClientRow>,
    /// What is counted of each of them.
    pub counts: Rows<CountsRow>,
    /// From a client's id to the row.
    pub clients_index: Frozen,
    /// The clients that have a name, in the order of their ids.
    pub names: Rows<NameRow>,
    /// Their names.
    pub name_texts: Rows<u8>,
    /// Who is in which group, in the order of clients and groups.
    pub members: Rows<MemberRow>,
    /// How often clients have activated codes, in the order of campaigns and clients.
    pub uses: Rows<UsesRow>,
    /// From campaign and client to the row.
    pub uses_index: Frozen,
    /// The remembered requests, in the order of arrival.
    pub requests: Rows<RequestRow>,
    /// Their replies.
    pub replies: Rows<u8>,
    /// From a request's id to the row.
    pub requests_index: Frozen,
    /// The times of the request ids that were forgotten.
    pub forgotten: Forgotten,
    /// The activations that were refunded, ascending.
    pub refunded: Rows<u64>,
    /// The form of codes; none where the settings do not name one.
    pub form: Option<FormRow>,
    /// What was given back of top-ups and payments, in the order of their positions.
    pub given_back: Rows<GivenBackRow>,
    /// The credentials that readers belong to.
    pub reader_owners: Rows<ReaderOwnerRow>,
    /// The revoked credentials whose open holds have not all expired yet.
    pub revoked_holders: Rows<RevokedHolderRow>,
}

/// What of a state is little, however many codes and clients there are: it is loaded at once.
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
    /// How requests are remembered.
    pub window: WindowBase,
    /// The key of all hashes.
    pub key: HashKey,
    /// How many homes each index has.
    pub homes: Homes,
}

/// How many homes each index of a snapshot has.
#[derive(Debug, Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Homes {
    /// That of the codes.
    pub codes: u64,
    /// That of the clients.
    pub clients: u64,
    /// That of what clients have activated.
    pub uses: u64,
    /// That of the requests.
    pub requests: u64,
}

/// The window of remembered requests, its rows aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct WindowBase {
    /// For how long an id is remembered.
    pub window_ms: u64,
    /// How far ahead an id's time may be.
    pub skew_ms: u64,
    /// How many are remembered.
    pub limit: u64,
    /// In version 1, ids before this time were forgotten; 0 since.
    pub horizon_ms: u64,
    /// The latest time of a remembered id.
    pub newest_ms: u64,
}

/// A campaign, but for its codes and its clients.
#[derive(Debug, Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CampaignBase {
    /// The terms.
    pub terms: Terms,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Where its codes stand.
    pub places: Places,
    /// When it was archived.
    pub archived: Option<Archived>,
    /// Which of its codes are archived by themselves.
    pub archived_codes: Vec<(u32, ArchiveCause, Position)>,
    /// See [`Campaign`](crate::state::Campaign), here and below.
    pub codes_activated: u32,
    /// How many of these are archived by themselves.
    pub archived_activated: u32,
    /// How many codes are activated as often as they may be.
    pub codes_exhausted: u32,
    /// How many of these are archived by themselves.
    pub archived_exhausted: u32,
    /// How many activations there are.
    pub activations: u64,
    /// How many were refunded.
    pub refunds: u64,
    /// The sum of the bonuses credited.
    pub issued: Money,
    /// What refunds could not take back.
    pub uncollected: Money,
    /// Since when, and since which record, activations of each client are counted, and where the rows of those stand.
    pub clients: Option<(u64, Position, (u64, u64))>,
    /// When codes were added.
    pub added: Vec<CodesBatch>,
}

/// Where the codes of a campaign stand among those of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Places {
    /// The row of the first.
    pub first: u32,
    /// How many there are.
    pub count: u32,
    /// Where the text of the first begins, in bytes.
    pub text: u64,
    /// How many bytes their texts have.
    pub text_bytes: u64,
}

impl Places {
    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// The codes of all campaigns of a snapshot, one campaign after the other.
#[derive(Debug, Default)]
pub struct FrozenCodes {
    /// The texts of all, as they were written.
    pub texts: Rows<u8>,
    /// Where the text of each ends, counted from where its campaign's begin.
    pub ends: Rows<u32>,
    /// How often each was activated.
    pub activations: Rows<u32>,
    /// From the normalised text to the row of the campaign that holds the code, or held it last.
    pub index: Frozen,
    /// Where the codes of each campaign stand, from campaign 1.
    pub places: Vec<Places>,
}

impl FrozenCodes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a row, and where it is.
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
        // Of campaigns without codes, which begin where the next one does, the last is found.
        let places = self.places.get(after.checked_sub(1)?).filter(|places| row - places.first < places.count)?;
        Some((places, CodeAt { campaign: CampaignId(after as u32), slot: row - places.first }))
    }

    /// Fetches where the text of a row ends into the processor's cache.
    pub fn touch_end(&self, row: u32) {
        self.ends.get(row as usize).into_iter().for_each(|end| prefetch(end));
    }

    /// Fetches the text of a row.
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
