//! The tables of the organisation: clubs, and campaigns with their codes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scrip_protocol::codes::{CodeForm, NormalisedCode};
use scrip_protocol::command::{ArchiveCause, CLUBS_MAX, CodeTexts, CodesBatch, Terms};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position};

use super::by_name::ByName;
use super::by_value::ByValue;
use super::frozen::{CampaignBase, FrozenCodes, Places};
use super::overlay::Overlay;
use super::texts::Texts;
use super::uses::{ClientUses, FrozenUses};

/// The rows after a number, with their numbers, of a table numbered from 1. Does not visit the rows before.
pub(super) fn behind<T>(rows: &[T], number: usize) -> impl Iterator<Item = (u32, &T)> {
    let rows = rows.get(number..).unwrap_or_default();
    rows.iter().enumerate().map(move |(index, row)| ((number + index + 1) as u32, row))
}

/// The clubs, numbered from 1.
#[derive(Debug, Default, PartialEq)]
pub struct Clubs {
    names: Vec<String>,
    by_name: ByName<ClubId>,
}

impl Clubs {
    /// The clubs of a snapshot.
    pub(super) fn over(names: Vec<String>) -> Clubs {
        let by_name = ByName::from_rows(behind(&names, 0).map(|(number, name)| (ClubId(number), name.as_str())));
        Clubs { names, by_name }
    }

    /// Whether a club with this number exists.
    pub fn contains(&self, club: ClubId) -> bool {
        club.0 >= 1 && club.0 as usize <= self.names.len()
    }

    /// The club with this name.
    pub fn named(&self, name: &str) -> Option<ClubId> {
        self.by_name.of(name)
    }

    /// The number that the next club gets.
    pub fn next(&self) -> ClubId {
        ClubId(self.names.len() as u32 + 1)
    }

    /// Whether another club can be registered.
    pub(super) fn has_room(&self) -> bool {
        self.names.len() < CLUBS_MAX
    }

    /// The clubs after one, with their numbers.
    pub fn after(&self, club: ClubId) -> impl Iterator<Item = (ClubId, &str)> {
        behind(&self.names, club.0 as usize).map(|(number, name)| (ClubId(number), name.as_str()))
    }

    pub(super) fn add(&mut self, name: &str) {
        self.by_name.add(name, self.next());
        self.names.push(name.to_owned());
    }
}

/// The place of a code: its campaign, and its slot in the campaign, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CodeAt {
    /// The campaign.
    pub campaign: CampaignId,
    /// The slot.
    pub slot: u32,
}

/// The campaigns, numbered from 1.
#[derive(Debug, Default)]
pub struct Campaigns {
    rows: Vec<Campaign>,
    base: Arc<FrozenCodes>,
    /// Campaigns with codes restored since the snapshot: where the snapshot has the values of these may be outdated.
    restored: BTreeSet<CampaignId>,
}

impl PartialEq for Campaigns {
    fn eq(&self, other: &Campaigns) -> bool {
        self.rows == other.rows
    }
}

impl Campaigns {
    /// The campaign with this number.
    pub fn of(&self, campaign: CampaignId) -> Option<&Campaign> {
        self.rows.get((campaign.0 as usize).checked_sub(1)?)
    }

    /// The number that the next campaign gets.
    pub fn next(&self) -> CampaignId {
        CampaignId(self.rows.len() as u32 + 1)
    }

    /// The campaigns after one, with their numbers.
    pub fn after(&self, campaign: CampaignId) -> impl Iterator<Item = (CampaignId, &Campaign)> {
        behind(&self.rows, campaign.0 as usize).map(|(number, row)| (CampaignId(number), row))
    }

    /// Whether a code's campaign holds it: neither of them is archived.
    pub fn is_live(&self, at: CodeAt) -> bool {
        self.of(at.campaign)
            .is_some_and(|campaign| (at.slot as usize) < campaign.codes.len() && campaign.freed(at.slot).is_none())
    }

    pub(super) fn add(&mut self, campaign: Campaign) {
        self.rows.push(campaign);
    }

    /// The campaigns of a snapshot.
    pub(super) fn over(base: Vec<CampaignBase>, codes: Arc<FrozenCodes>, uses: &Arc<FrozenUses>) -> Campaigns {
        let rows = (1..).map(CampaignId).zip(base).map(|(id, base)| Campaign::over(id, base, &codes, uses));
        Campaigns { rows: rows.collect(), base: codes, restored: BTreeSet::new() }
    }

    /// Notes that codes of a campaign are restored.
    pub(super) fn note_restored(&mut self, campaign: CampaignId) {
        if !self.base.is_empty() {
            self.restored.insert(campaign);
        }
    }

    /// Whether the place that the snapshot has for the value of a campaign's code may be outdated.
    pub(crate) fn was_restored(&self, campaign: CampaignId) -> bool {
        self.restored.contains(&campaign)
    }

    /// Whether there are fewer campaigns than a limit.
    pub(super) fn are_below(&self, limit: usize) -> bool {
        self.rows.len() < limit
    }

    /// The codes of the snapshot.
    pub fn base(&self) -> &Arc<FrozenCodes> {
        &self.base
    }

    pub(super) fn of_mut(&mut self, campaign: CampaignId) -> Option<&mut Campaign> {
        self.rows.get_mut((campaign.0 as usize).checked_sub(1)?)
    }
}

/// A campaign with its codes and counters.
#[derive(Debug, PartialEq)]
pub struct Campaign {
    /// The terms, shared with the index and replaced as a whole when they change.
    pub terms: Arc<Terms>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The codes as written.
    pub codes: Texts,
    /// Activations of each code, by slot.
    pub(crate) activations_of: Overlay<u32>,
    /// When and by which record the campaign was archived; none if it is not.
    pub archived: Option<Archived>,
    /// The codes that are archived while the campaign is not: by themselves, or left over from its restore; and those that were
    /// archived by themselves before it was.
    pub archived_codes: BTreeMap<u32, ArchivedCode>,
    /// The archived codes by value: the ones above, or all codes while the campaign is archived.
    archived_by_value: ByValue,
    /// Codes activated at least once.
    pub codes_activated: u32,
    /// How many of these are among the archived codes above.
    archived_activated: u32,
    /// Codes activated as often as permitted, or more.
    codes_exhausted: u32,
    /// How many of these are among the archived codes above.
    archived_exhausted: u32,
    /// Number of activations.
    pub activations: u64,
    /// Number of refunded activations.
    pub refunds: u64,
    /// Counted holds of its codes: open ones, and expired ones that the state still counts.
    pub held: u32,
    /// The sum of the amounts of these holds, in minor units.
    pub held_sum: i128,
    /// The sum of the bonuses credited, less what refunds debited.
    pub issued: Money,
    /// What refunds could not debit.
    pub uncollected: Money,
    /// Activations of each client, since they were first limited.
    pub clients: Option<ClientUses>,
    /// The additions of codes.
    pub added: Vec<CodesBatch>,
}

/// When a campaign was archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Archived {
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// The record.
    pub position: Position,
}

/// Why a code is archived, and since when its value is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedCode {
    /// The cause.
    pub cause: ArchiveCause,
    /// The record since which its value is free: the one that archived it, or an earlier one that archived the campaign.
    pub freed: Position,
}

impl Campaign {
    pub(super) fn new(terms: Terms, created_ms: u64) -> Campaign {
        let mut campaign = Campaign {
            terms: Arc::new(terms),
            created_ms,
            codes: Texts::default(),
            activations_of: Overlay::default(),
            archived: None,
            archived_codes: BTreeMap::new(),
            archived_by_value: ByValue::default(),
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

    fn over(id: CampaignId, base: CampaignBase, codes: &Arc<FrozenCodes>, uses: &Arc<FrozenUses>) -> Campaign {
        let archived = base.archived_codes.into_iter().map(|(slot, cause, freed)| (slot, ArchivedCode { cause, freed }));
        let clients = base
            .clients
            .map(|(from_ms, from, (first, end))| ClientUses::over(uses, id, (from_ms, from), first as usize..end as usize));
        Campaign {
            terms: Arc::new(base.terms),
            created_ms: base.created_ms,
            codes: Texts::over(codes, &base.places),
            activations_of: Overlay::over(codes.activations.part(base.places.rows())),
            archived: base.archived,
            archived_codes: archived.collect(),
            archived_by_value: ByValue::default(),
            codes_activated: base.codes_activated,
            archived_activated: base.archived_activated,
            codes_exhausted: base.codes_exhausted,
            archived_exhausted: base.archived_exhausted,
            activations: base.activations,
            refunds: base.refunds,
            held: 0,
            held_sum: 0,
            issued: base.issued,
            uncollected: base.uncollected,
            clients,
            added: base.added,
        }
    }

    /// The campaign for a snapshot, which has its codes and clients at these places and its holds elsewhere.
    pub(super) fn base(&self, places: Places, clients: (u64, u64)) -> CampaignBase {
        CampaignBase {
            terms: Terms::clone(&self.terms),
            created_ms: self.created_ms,
            places,
            archived: self.archived,
            archived_codes: self.archived_codes.iter().map(|(slot, code)| (*slot, code.cause, code.freed)).collect(),
            codes_activated: self.codes_activated,
            archived_activated: self.archived_activated,
            codes_exhausted: self.codes_exhausted,
            archived_exhausted: self.archived_exhausted,
            activations: self.activations,
            refunds: self.refunds,
            issued: self.issued,
            uncollected: self.uncollected,
            clients: self.clients.as_ref().map(|uses| (uses.from_ms, uses.from, clients)),
            added: self.added.clone(),
        }
    }

    /// Whether the campaign is archived.
    pub fn is_archived(&self) -> bool {
        self.archived.is_some()
    }

    /// Whether a code is archived by itself.
    #[inline]
    pub fn is_code_archived(&self, slot: u32) -> bool {
        // The usual case: a campaign without archived codes needs no lookup.
        !self.archived_codes.is_empty() && self.archived_codes.contains_key(&slot)
    }

    /// The record since which a code's value is free; none while the campaign holds it.
    pub fn freed(&self, slot: u32) -> Option<Position> {
        let alone = self.archived_codes.get(&slot).map(|code| code.freed);
        alone.or(self.archived.map(|archived| archived.position))
    }

    /// Number of archived codes, by themselves or with the campaign.
    pub fn codes_archived(&self) -> u32 {
        if self.is_archived() { self.codes.len() as u32 } else { self.archived_codes.len() as u32 }
    }

    /// Number of codes that were never activated and are not archived (A9).
    pub fn codes_available(&self) -> u32 {
        let live = self.codes.len() as u32 - self.codes_archived();
        if self.is_archived() { 0 } else { less(live, less(self.codes_activated, self.archived_activated)) }
    }

    /// Number of codes that are not archived and were activated less often than permitted. Ignores holds.
    pub fn codes_not_exhausted(&self) -> u32 {
        let live = self.codes.len() as u32 - self.codes_archived();
        if self.is_archived() { 0 } else { less(live, less(self.codes_exhausted, self.archived_exhausted)) }
    }

    /// Remaining activations of a code, ignoring holds; 0 for a code that the campaign does not have.
    pub(super) fn room(&self, slot: u32) -> u32 {
        self.activations_of.get(slot).map_or(0, |activations| self.cap().saturating_sub(*activations))
    }

    /// The counter of a code has 32 bits, which limits a code without a cap as well.
    fn cap(&self) -> u32 {
        self.terms.activations_per_code_max.unwrap_or(u32::MAX)
    }

    /// The text of a code.
    pub(super) fn text_of(&self, slot: u32) -> Option<&str> {
        self.codes.of(slot as usize)
    }

    /// Activations of each code, in the order of slots.
    pub fn activations_by_slot(&self) -> impl Iterator<Item = u32> {
        self.activations_of.iter().copied()
    }

    /// Activations of a code; 0 for one that the campaign does not have.
    pub fn activations_at(&self, slot: u32) -> u32 {
        self.activations_of.get(slot).copied().unwrap_or(0)
    }

    /// The codes of [`Campaign::archived_codes`], by slot.
    pub(super) fn archived_slots(&self) -> impl Iterator<Item = (u32, ArchivedCode)> {
        self.archived_codes.iter().map(|(slot, code)| (*slot, *code))
    }

    /// The slot of an archived code by its value.
    pub(super) fn archived_slot(
        &self,
        value: &NormalisedCode,
        normalise: &dyn Fn(&str) -> Option<NormalisedCode>,
    ) -> Option<u32> {
        if !self.is_archived() && self.archived_codes.is_empty() {
            return None;
        }
        let all = || if self.is_archived() { self.codes.len() as u32 } else { 0 };
        let alone = || if self.is_archived() { None } else { Some(self.archived_codes.keys().copied()) };
        let slots = || (0..all()).chain(alone().into_iter().flatten());
        let slot = self.archived_by_value.find(value, &self.codes, slots, normalise);
        slot.filter(|slot| self.freed(*slot).is_some())
    }

    /// Notes that codes of the campaign were archived by themselves.
    pub(super) fn note_archived(&mut self, slots: &[u32], form: CodeForm) {
        // While the campaign is archived, all of its codes are indexed by value already.
        if !self.is_archived() {
            self.archived_by_value.add(&self.codes, slots.iter().copied(), &|code| form.normalise(code).ok());
        }
    }

    /// Notes that the campaign was archived or restored.
    pub(super) fn note_switched(&mut self) {
        self.archived_by_value.clear();
    }

    /// The counted activations of clients, in any order.
    pub(super) fn uses_of_clients(&self) -> impl Iterator<Item = (ClientId, u32)> {
        self.clients.iter().flat_map(|clients| clients.iter())
    }

    pub(super) fn add_codes(&mut self, codes: &CodeTexts, at_ms: u64, position: Position) {
        self.codes.append(codes);
        self.activations_of.push_zeros(codes.len());
        if self.is_archived() {
            // No command adds codes to an archived campaign, but a journal from elsewhere may.
            self.archived_by_value.clear();
        }
        if codes.is_empty() {
            return;
        }
        self.added.push(CodesBatch { at_ms, codes: codes.len() as u32, position });
    }

    /// Starts to count activations per client, if the terms limit them and counting has not started.
    pub(super) fn count_clients_from(&mut self, now_ms: u64, position: Position) {
        if self.terms.activations_per_client_max.is_some() && self.clients.is_none() {
            self.clients = Some(ClientUses::from(now_ms, position));
        }
    }

    /// Counted activations of a client.
    #[inline]
    pub(super) fn client_uses(&self, client: ClientId) -> u32 {
        self.clients.as_ref().map_or(0, |clients| clients.of(client))
    }

    /// Changes a code's counter. Returns whether the campaign has the code.
    pub(super) fn set_activations(&mut self, slot: u32, change: impl FnOnce(u32) -> u32) -> bool {
        let cap = self.cap();
        let Some(activations) = self.activations_of.get_mut(slot) else { return false };
        let (before, after) = (*activations, change(*activations));
        *activations = after;
        let archived = self.is_code_archived(slot);
        let count = |counter: &mut u32, was: bool, is: bool| *counter = less(*counter + u32::from(is), u32::from(was));
        count(&mut self.codes_activated, before > 0, after > 0);
        count(&mut self.codes_exhausted, before >= cap, after >= cap);
        if archived {
            count(&mut self.archived_activated, before > 0, after > 0);
            count(&mut self.archived_exhausted, before >= cap, after >= cap);
        }
        true
    }

    /// Archives a code by itself, at a position from which its value is free if it was not before. Costs the same however many are archived.
    pub(super) fn archive_code(&mut self, slot: u32, position: Position) {
        let freed = self.freed(slot).unwrap_or(position);
        let before = self.archived_codes.insert(slot, ArchivedCode { cause: ArchiveCause::Alone, freed });
        if before.is_none() {
            let [activated, exhausted] = self.counts_of(slot);
            self.archived_activated += activated;
            self.archived_exhausted += exhausted;
        }
    }

    /// The same for a code that is restored.
    pub(super) fn restore_code(&mut self, slot: u32) {
        if self.archived_codes.remove(&slot).is_some() {
            let [activated, exhausted] = self.counts_of(slot);
            self.archived_activated = less(self.archived_activated, activated);
            self.archived_exhausted = less(self.archived_exhausted, exhausted);
        }
    }

    /// Whether a code is activated, and whether as often as it may be: 1 for yes.
    fn counts_of(&self, slot: u32) -> [u32; 2] {
        let activations = self.activations_of.get(slot).copied();
        [activations.is_some_and(|count| count > 0).into(), activations.is_some_and(|count| count >= self.cap()).into()]
    }

    /// Recounts what depends on the cap and on which codes are archived, through all codes of the campaign.
    pub(super) fn recount(&mut self) {
        #[cfg(test)]
        RECOUNTS.set(RECOUNTS.get() + 1);
        let cap = self.cap();
        self.codes_exhausted = self.activations_of.iter().filter(|activations| **activations >= cap).count() as u32;
        let archived = || self.archived_codes.keys().filter_map(|slot| self.activations_of.get(*slot));
        let (activated, exhausted) = (
            archived().filter(|activations| **activations > 0).count(),
            archived().filter(|activations| **activations >= cap).count(),
        );
        (self.archived_activated, self.archived_exhausted) = (activated as u32, exhausted as u32);
    }
}

#[cfg(test)]
thread_local! {
    /// How often the codes of a campaign were recounted.
    pub(super) static RECOUNTS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One count less another that is a part of it. The counters of codes may stand in a snapshot that is damaged and not yet verified, and then
/// contradict these sums: that is for its verification to say.
fn less(all: u32, part: u32) -> u32 {
    all.saturating_sub(part)
}
