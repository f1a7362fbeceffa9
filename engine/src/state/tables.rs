//! What the organisation has: clubs, and campaigns with their codes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use scrip_protocol::command::{ArchiveCause, CodeTexts, CodesBatch, Terms};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position};

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

    /// Whether the campaign of a code holds it: neither the one nor the other is archived.
    pub fn is_live(&self, at: CodeAt) -> bool {
        self.of(at.campaign)
            .is_some_and(|campaign| (at.slot as usize) < campaign.codes.len() && campaign.freed(at.slot).is_none())
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
    /// How often each code is activated, by slot.
    pub activations_of: Vec<u32>,
    /// When the campaign was archived, and by which record; none while it is not.
    pub archived: Option<Archived>,
    /// The codes that are archived while the campaign is not: by themselves, or left over when it was restored; and those that were
    /// archived by themselves before it was.
    pub archived_codes: BTreeMap<u32, ArchivedCode>,
    /// How many codes are activated at least once.
    pub codes_activated: u32,
    /// How many of these are among the archived codes above.
    archived_activated: u32,
    /// How many codes are activated as often as they may be, or more.
    codes_exhausted: u32,
    /// How many of these are among the archived codes above.
    archived_exhausted: u32,
    /// How many activations there are.
    pub activations: u64,
    /// How many activations were refunded.
    pub refunds: u64,
    /// How many holds of its codes count: those that are open, and expired ones that the state still counts.
    pub held: u32,
    /// The sum of the amounts of these holds, in minor units.
    pub held_sum: i128,
    /// The sum of the bonuses credited, less what refunds took back.
    pub issued: Money,
    /// What refunds could not take back.
    pub uncollected: Money,
    /// How often each client has activated codes, since that was first limited.
    pub clients: Option<ClientUses>,
    /// When codes were added.
    pub added: Vec<CodesBatch>,
}

/// When a campaign was archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// The record.
    pub position: Position,
}

/// How a code is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedCode {
    /// For whose sake.
    pub cause: ArchiveCause,
    /// The record since which its value is free: that which archived it, or before it the campaign.
    pub freed: Position,
}

/// How often each client has activated codes of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientUses {
    /// From when on they are counted, in milliseconds since 1970.
    pub from_ms: u64,
    /// The record that began it: activations after it are counted.
    pub from: Position,
    /// The clients with at least one.
    pub uses: HashMap<ClientId, u32, RandomState>,
}

impl Campaign {
    pub(super) fn new(terms: Terms, created_ms: u64) -> Campaign {
        let mut campaign = Campaign {
            terms: Arc::new(terms),
            created_ms,
            codes: CodeTexts::default(),
            activations_of: Vec::new(),
            archived: None,
            archived_codes: BTreeMap::new(),
            codes_activated: 0,
            archived_activated: 0,
            codes_exhausted: 0,
            archived_exhausted: 0,
            activations: 0,
            refunds: 0,
            held: 0,
            held_sum: 0,
            issued: Money(0),
            uncollected: Money(0),
            clients: None,
            added: Vec::new(),
        };
        campaign.count_clients_from(created_ms, Position(0));
        campaign
    }

    /// Whether the campaign is archived.
    pub fn is_archived(&self) -> bool {
        self.archived.is_some()
    }

    /// Whether a code is archived though its campaign may not be.
    #[inline]
    pub fn is_code_archived(&self, slot: u32) -> bool {
        // Nearly always: nothing is looked up for a campaign without any.
        !self.archived_codes.is_empty() && self.archived_codes.contains_key(&slot)
    }

    /// Since which record a code's value is free; none while the campaign holds it.
    pub fn freed(&self, slot: u32) -> Option<Position> {
        let alone = self.archived_codes.get(&slot).map(|code| code.freed);
        alone.or(self.archived.map(|archived| archived.position))
    }

    /// How many codes are archived, by themselves or with the campaign.
    pub fn codes_archived(&self) -> u32 {
        if self.is_archived() { self.codes.len() as u32 } else { self.archived_codes.len() as u32 }
    }

    /// How many codes were never activated and are not archived (A9).
    pub fn codes_available(&self) -> u32 {
        let live = self.codes.len() as u32 - self.codes_archived();
        if self.is_archived() { 0 } else { live - (self.codes_activated - self.archived_activated) }
    }

    /// How many codes are not archived and may be activated again (A9).
    pub fn codes_redeemable(&self) -> u32 {
        let live = self.codes.len() as u32 - self.codes_archived();
        if self.is_archived() { 0 } else { live - (self.codes_exhausted - self.archived_exhausted) }
    }

    /// How often a code may still be activated, its holds aside; 0 for a code that the campaign does not have.
    pub(super) fn room(&self, slot: u32) -> u32 {
        self.activations_of.get(slot as usize).map_or(0, |activations| self.cap().saturating_sub(*activations))
    }

    /// The counter of a code has 32 bits: one without a cap ends there as well.
    fn cap(&self) -> u32 {
        self.terms.activations_per_code_max.unwrap_or(u32::MAX)
    }

    pub(super) fn add_codes(&mut self, codes: &CodeTexts, at_ms: u64, position: Position) {
        self.codes.append(codes);
        self.activations_of.resize(self.codes.len(), 0);
        if codes.is_empty() {
            return;
        }
        self.added.push(CodesBatch { at_ms, codes: codes.len() as u32, position });
    }

    /// Begins to count activations for each client, where the terms limit them and that was not begun before.
    pub(super) fn count_clients_from(&mut self, now_ms: u64, position: Position) {
        if self.terms.activations_per_client_max.is_some() && self.clients.is_none() {
            self.clients = Some(ClientUses { from_ms: now_ms, from: position, ..ClientUses::default() });
        }
    }

    /// How often a client has activated codes, as far as that was counted.
    #[inline]
    pub(super) fn client_uses(&self, client: ClientId) -> u32 {
        self.clients.as_ref().and_then(|clients| clients.uses.get(&client)).copied().unwrap_or(0)
    }

    /// Sets a code's counter. Returns whether the campaign has the code.
    pub(super) fn set_activations(&mut self, slot: u32, change: impl FnOnce(u32) -> u32) -> bool {
        let cap = self.cap();
        let Some(activations) = self.activations_of.get_mut(slot as usize) else { return false };
        let (before, after) = (*activations, change(*activations));
        *activations = after;
        let archived = self.is_code_archived(slot);
        let count = |counter: &mut u32, was: bool, is: bool| *counter = *counter + u32::from(is) - u32::from(was);
        count(&mut self.codes_activated, before > 0, after > 0);
        count(&mut self.codes_exhausted, before >= cap, after >= cap);
        if archived {
            count(&mut self.archived_activated, before > 0, after > 0);
            count(&mut self.archived_exhausted, before >= cap, after >= cap);
        }
        true
    }

    /// Counts anew what depends on the cap and on which codes are archived.
    pub(super) fn recount(&mut self) {
        let cap = self.cap();
        self.codes_exhausted = self.activations_of.iter().filter(|activations| **activations >= cap).count() as u32;
        let archived = || self.archived_codes.keys().filter_map(|slot| self.activations_of.get(*slot as usize));
        let (activated, exhausted) = (
            archived().filter(|activations| **activations > 0).count(),
            archived().filter(|activations| **activations >= cap).count(),
        );
        (self.archived_activated, self.archived_exhausted) = (activated as u32, exhausted as u32);
    }
}
