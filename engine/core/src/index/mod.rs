//! The index: which campaign holds a code, and what a lane can know of it without the engine thread.
//!
//! An archived code stays in the index, under the campaign that held it last, until another campaign takes the value. A refusal
//! can therefore report that it is archived, and archiving a campaign of any size costs nothing here. Whether the campaign found
//! still holds the value is known from the state, and from the part of the campaign that lanes can see.
//!
//! Codes that are where the initial snapshot has them are looked up there (`snapshot_codes.rs`). Codes that were added or moved
//! since are in the map, which is searched first.
//!
//! The engine thread alone writes the index, by [`Index::follow`] for each applied record, and uses it as the state's [`Lookup`]
//! of codes. Lanes read it to answer checks.
//!
//! Invariant: [`Index::follow`] announces a record's position before it shows the record's effect. A caller that has seen an
//! effect therefore finds its position in [`Index::shown`], and can wait until that is durable before it answers (Z4).
//!
//! Invariant: a check never reports a use as free unless it was free at some instant during the check. The activations and holds
//! of a code are updated in one step. If the campaign limits all uses or bonuses (Z5), these totals are updated with it under one
//! lock, which other campaigns do not share.

mod face;
mod holders;
mod insert;
mod slot_set;
pub mod snapshot_codes;
mod spread;

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use compact_str::CompactString;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use scrip_protocol::codes::{CodeForm, InvalidCode, RecordedForm};
use scrip_protocol::command::{
    CampaignArchived, CampaignSwitched, CampaignUpdated, CheckFreeOutcome, CheckOutcome, CodeChecked, CodeFree, CodeStanding,
    CodeTexts, RedeemOutcome,
};
use scrip_protocol::record::{CampaignRecord, CredentialRecord, DirectoryRecord, RecordGroup, RedemptionRecord};
use scrip_protocol::{CampaignId, ClubId, Money, Position, Record};

use face::{Face, in_all};
pub use holders::{Holder, Holders};
pub use scrip_protocol::codes::{normalise, trim};
use slot_set::SlotSet;
pub use snapshot_codes::AT_ONCE;
use snapshot_codes::BaseCodes;
use spread::Spread;

use crate::slot_table::prefetch;
use crate::state::{Campaign, CodeAt, FreeFrom, HeldUses, Lookup, NormalisedCode, Standing, State, refusals_of};

/// Codes of a list added at once: enough that each shard gets some, and few enough that the scratch space needs no fresh memory.
const PUT_AT_ONCE: usize = 8_192;

/// More shards than processors: a growing table blocks its own shard only, and for a shorter time the fewer codes it has.
const SHARDS: usize = 1 << spread::SHARD_BITS;

/// The index, shared by the engine thread, which writes, and the lanes, which read.
pub struct Index {
    /// The form in which codes are compared.
    form: CodeForm,
    /// The codes that were added or moved since the snapshot.
    codes: DashMap<Key, CodeAt, Spread>,
    /// The other codes.
    base: BaseCodes,
    /// By number, from 1.
    campaigns: RwLock<Vec<Face>>,
    /// The codes with held uses.
    held: DashMap<CodeAt, Holding, RandomState>,
    holders: Holders,
    /// The engine's time when this was created; nothing is decided before it.
    began_ms: u64,
    clubs: AtomicU32,
    shown: AtomicU64,
    /// The number of codes added since the snapshot whose text is not a valid code of the form.
    not_codes: AtomicU64,
    /// Odd while codes are being added or removed; has another value afterwards.
    generation: AtomicU64,
    /// The number of walks over all codes.
    #[cfg(any(test, feature = "testing"))]
    walks: AtomicU64,
}

/// A normalised code as the map stores it: up to 24 bytes in place.
#[derive(PartialEq, Eq)]
struct Key(CompactString);

/// Hashes bytes, so that a lookup need not prove that they are text.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}

/// Where a code was found, and in which generation of the index: a lane looks it up so that the engine thread need not.
#[derive(Debug, Clone, Copy)]
pub struct Hint {
    generation: u64,
    at: Option<CodeAt>,
}

impl Hint {
    /// The place, current or outdated.
    pub fn place(&self) -> Option<CodeAt> {
        self.at
    }
}

/// The state of a code with held uses. The counters change together, so that no check sees a hold as both open and confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holding {
    activations: u32,
    held: HeldUses,
}

impl Index {
    /// The index of a state.
    pub fn of(state: &State) -> Index {
        let codes =
            state.campaigns.after(CampaignId(0)).map(|(_, campaign)| campaign.codes.len() - campaign.codes.base_len()).sum();
        let index = Index {
            form: state.code_form(),
            base: BaseCodes::of(state.campaigns.base(), state.code_form()),
            codes: DashMap::with_capacity_and_hasher_and_shard_amount(codes, Spread::default(), SHARDS),
            campaigns: RwLock::new(Vec::new()),
            held: DashMap::with_capacity_and_hasher_and_shard_amount(0, RandomState::default(), SHARDS),
            holders: Holders::of(state),
            began_ms: state.now_ms(),
            clubs: AtomicU32::new(state.clubs.next().0 - 1),
            shown: AtomicU64::new(state.position().0),
            not_codes: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            #[cfg(any(test, feature = "testing"))]
            walks: AtomicU64::new(0),
        };
        for (id, campaign) in state.campaigns.after(CampaignId(0)) {
            index.campaigns.write().push(Face::of(state, id, campaign));
        }
        index.claim_all(state);
        log_not_codes(index.not_codes(), index.form);
        state.holds.codes().for_each(|at| index.show_code(state, at, true));
        index
    }

    /// Updates the index with what a record did to the state.
    pub fn follow(&self, state: &State, record: &Record) {
        // Announce before showing; see the module's invariant. Release pairs with the Acquire in `shown`.
        self.shown.store(state.position().0, Ordering::Release);
        self.show(state, record);
        // They are in order.
        for touched in state.holds.touched().chunk_by(|one, next| one.campaign == next.campaign) {
            self.show_codes(state, touched[0].campaign, touched, true);
        }
    }

    fn show(&self, state: &State, record: &Record) {
        let activated = |campaign: CampaignId, slot: u32| {
            let at = CodeAt { campaign, slot };
            // A code with current or earlier holds is among those that they touched, and is updated with these.
            if !state.holds.touched().contains(&at) {
                self.show_code(state, at, false);
            }
        };
        let added = |campaign: CampaignId, codes: &CodeTexts| {
            let Some(of) = state.campaigns.of(campaign) else { return };
            self.campaigns.write()[number_of(campaign)].reach(of);
            self.insert_all(campaign, of.codes.len() - codes.len(), codes);
        };
        match record.by_group() {
            RecordGroup::Redemption(RedemptionRecord::Activation(record)) => activated(record.campaign, record.slot),
            RecordGroup::Redemption(RedemptionRecord::HoldConfirmed(record)) => {
                activated(record.activation.campaign, record.activation.slot)
            }
            RecordGroup::Redemption(RedemptionRecord::ActivationRefunded(record)) => activated(record.campaign, record.slot),
            RecordGroup::Campaign(CampaignRecord::CampaignCreated(record)) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                self.campaigns.write().push(Face::of(state, record.campaign, campaign));
                self.insert_all(record.campaign, 0, &record.codes);
            }
            RecordGroup::Campaign(CampaignRecord::CodesAdded(record)) => added(record.campaign, &record.codes),
            RecordGroup::Campaign(CampaignRecord::CodesGenerated(record)) => added(record.campaign, &record.codes),
            RecordGroup::Campaign(
                CampaignRecord::CampaignSwitched(CampaignSwitched { campaign, .. })
                | CampaignRecord::CampaignUpdated(CampaignUpdated { campaign, .. })
                | CampaignRecord::CampaignArchived(CampaignArchived { campaign, .. }),
            ) => self.show_terms(state, *campaign),
            RecordGroup::Campaign(CampaignRecord::CodesArchived(record)) => {
                self.show_archived(state, record.campaign, &record.slots);
            }
            RecordGroup::Campaign(CampaignRecord::CampaignRestored(record)) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                self.reclaim(record.campaign, campaign, 0..campaign.codes.len() as u32);
                let archived_codes = SlotSet::of(campaign.archived_codes.keys().copied());
                let face = &mut self.campaigns.write()[number_of(record.campaign)];
                face.archived = campaign.is_archived();
                face.archived_codes = archived_codes;
            }
            RecordGroup::Campaign(CampaignRecord::CodesRestored(record)) => {
                let Some(campaign) = state.campaigns.of(record.campaign) else { return };
                self.reclaim(record.campaign, campaign, record.slots.iter().copied());
                self.show_archived(state, record.campaign, &record.slots);
            }
            RecordGroup::Directory(DirectoryRecord::ClubRegistered(record)) => self.clubs.store(record.club.0, Ordering::Release),
            RecordGroup::Credential(CredentialRecord::CredentialAdded(record)) => self.holders.add(state, record.credential),
            RecordGroup::Credential(CredentialRecord::CredentialRevoked(record)) => self.holders.revoke(state, record.credential),
            RecordGroup::Redemption(RedemptionRecord::CodeHeld(_) | RedemptionRecord::HoldReleased(_))
            | RecordGroup::Directory(DirectoryRecord::GroupRegistered(_))
            | RecordGroup::Client(_)
            | RecordGroup::Settings(_)
            | RecordGroup::Refusal(_)
            | RecordGroup::Account(_)
            | RecordGroup::Rule(_)
            | RecordGroup::Reader(_) => {}
        }
    }

    /// Shows which of some codes of a campaign are archived, all in one step. Costs as much as there are of these.
    fn show_archived(&self, state: &State, id: CampaignId, slots: &[u32]) {
        let Some(campaign) = state.campaigns.of(id) else { return };
        let archived_codes = &mut self.campaigns.write()[number_of(id)].archived_codes;
        for slot in slots {
            match campaign.is_code_archived(*slot) {
                true => archived_codes.insert(*slot),
                false => archived_codes.remove(*slot),
            }
        }
    }

    /// Shows a campaign's terms, and whether it is archived; to nobody before it is whole.
    fn show_terms(&self, state: &State, id: CampaignId) {
        let Some(campaign) = state.campaigns.of(id) else { return };
        let faces = &mut self.campaigns.write();
        let face = &mut faces[number_of(id)];
        let cap = face.terms.activations_per_code_max;
        face.terms = campaign.terms.clone();
        face.archived = campaign.is_archived();
        face.in_all = in_all(state, id, campaign);
        // The cap decides when a use is free.
        if cap != campaign.terms.activations_per_code_max {
            state.holds.codes_of(id).for_each(|at| self.show_holding(state, at, campaign));
        }
    }

    /// Updates how often a code is activated, and held if it may be, and with it the campaign's totals.
    fn show_code(&self, state: &State, at: CodeAt, may_be_held: bool) {
        self.show_codes(state, at.campaign, &[at], may_be_held);
    }

    /// The same for some codes of a campaign. How that stands is looked at once.
    fn show_codes(&self, state: &State, id: CampaignId, codes: &[CodeAt], may_be_held: bool) {
        let Some(campaign) = state.campaigns.of(id) else { return };
        let faces = self.campaigns.read();
        let face = &faces[number_of(id)];
        let in_all = face.in_all.as_ref().map(Mutex::lock);
        for at in codes {
            let Some(activations) = campaign.activations_of.get(at.slot) else { continue };
            face.set(at.slot as usize, *activations);
            // After the counter: who finds no holds of a code reads its counter next, and must find there what became of them.
            if may_be_held {
                self.show_holding(state, *at, campaign);
                face.has_holds.store(campaign.held > 0, Ordering::Release);
            }
        }
        if let Some(mut in_all) = in_all {
            *in_all = state.holds.free_from(id, campaign);
        }
    }

    /// Updates how many uses of a code are held.
    fn show_holding(&self, state: &State, at: CodeAt, campaign: &Campaign) {
        match (state.holds.of_code(at, campaign), campaign.activations_of.get(at.slot)) {
            (Some(held), Some(activations)) => {
                self.held.insert(at, Holding { activations: *activations, held });
            }
            _ => {
                self.held.remove(&at);
            }
        }
    }

    /// The newest position whose effect a reader may have seen, if called after reading.
    pub fn shown(&self) -> Position {
        Position(self.shown.load(Ordering::Acquire))
    }

    /// The holders of credentials.
    pub fn holders(&self) -> &Holders {
        &self.holders
    }

    /// The form in which codes are compared. It belongs to the organisation and never changes.
    pub fn form(&self) -> CodeForm {
        self.form
    }

    /// The number of values.
    #[cfg(any(test, feature = "testing"))]
    pub fn value_count(&self) -> usize {
        let live = self.codes.iter().filter_map(|entry| NormalisedCode::from_normalised(&entry.key().0));
        live.chain(self.base.iter()).collect::<std::collections::HashSet<_>>().len()
    }

    /// What redemptions of these codes would answer at a club, or at any club for club 0. Each verdict is true at some moment of
    /// the call; the answer may leave once the position that it names is durable. Holds that have expired at `now_ms` no longer
    /// count. That is a time by the engine's clock; the batch being filled may be behind it by the length of a flush.
    pub fn check<'a>(&self, now_ms: u64, club: ClubId, codes: impl Iterator<Item = &'a str>) -> CheckOutcome {
        let now_ms = now_ms.max(self.began_ms);
        let codes: Vec<_> = codes.map(|code| self.form.normalise(code)).collect();
        let mut places = Vec::with_capacity(codes.len());
        for group in codes.chunks(AT_ONCE) {
            self.find_each(group.iter().map(|code| code.as_ref().ok()), |at| places.push(at));
        }
        let codes = codes.iter().zip(places).map(|(code, at)| self.check_one(now_ms, club, code, at)).collect();
        CheckOutcome::Checked { codes, as_of: self.shown() }
    }

    fn check_one(
        &self,
        now_ms: u64,
        club: ClubId,
        code: &Result<NormalisedCode, InvalidCode>,
        at: Option<CodeAt>,
    ) -> CodeChecked {
        if let Err(why) = code {
            return CodeChecked::Free { outcome: RedeemOutcome::InvalidCode(*why) };
        }
        let at_club = (club != ClubId(0)).then_some(club);
        if at_club.is_some_and(|club| club.0 > self.clubs.load(Ordering::Acquire)) {
            return CodeChecked::Free { outcome: RedeemOutcome::UnknownClub };
        }
        let unknown = CodeChecked::Free { outcome: RedeemOutcome::UnknownCode };
        let Some(at) = at else { return unknown };
        let campaigns = self.campaigns.read();
        let Some(face) = campaigns.get(number_of(at.campaign)) else { return unknown };
        // Locked until the code has been read, so that both are of the same moment.
        let in_all = face.in_all.as_ref().map(Mutex::lock);
        let holding = match face.has_holds.load(Ordering::Acquire) {
            true => self.held.get(&at).map(|holding| (holding.activations, holding.held.at(now_ms))),
            false => None,
        };
        let (activations, held) = holding.unwrap_or_else(|| (face.activations(at.slot), 0));
        let in_all = in_all.map_or(FreeFrom::default(), |in_all| *in_all);
        let (has_uses, has_budget) = (in_all.uses_ms <= now_ms, in_all.budget_ms <= now_ms);
        let code = CodeStanding {
            campaign: at.campaign,
            amount: face.terms.amount,
            activations,
            held,
            activations_max: face.terms.activations_per_code_max,
        };
        let standing = Standing {
            code_archived: face.archived_codes.contains(at.slot),
            campaign_archived: face.archived,
            now_ms,
            club: at_club,
            code_uses: activations.saturating_add(held),
            // Conditions that depend on the client are not predicted.
            client_uses: 0,
            campaign_uses: if has_uses { 0 } else { u64::MAX },
            committed: if has_budget { Money(0) } else { Money(i64::MAX) },
            amount: face.terms.amount,
        };
        match refusals_of(&face.terms, &standing) {
            reasons if reasons.is_empty() => CodeChecked::Redeemable(code),
            reasons => CodeChecked::Refused { reasons, code },
        }
    }

    /// Whether codes can be added, and which campaigns hold the others (Z6).
    pub fn check_free<'a>(&self, codes: impl Iterator<Item = &'a str>) -> CheckFreeOutcome {
        let codes: Vec<_> = codes.map(|code| self.form.normalise(code)).collect();
        let mut verdicts = Vec::with_capacity(codes.len());
        for group in codes.chunks(AT_ONCE) {
            let mut request = group.iter();
            self.find_each(group.iter().map(|code| code.as_ref().ok()), |at| {
                verdicts.push(match (request.next(), at) {
                    (Some(Err(why)), _) => CodeFree::Invalid(*why),
                    (_, Some(at)) if self.is_live(at) => CodeFree::HeldBy(at.campaign),
                    (_, Some(_) | None) => CodeFree::Free,
                });
            });
        }
        CheckFreeOutcome::Checked { codes: verdicts, as_of: self.shown() }
    }

    /// The number of walks over all codes.
    #[cfg(any(test, feature = "testing"))]
    pub fn walks(&self) -> u64 {
        self.walks.load(Ordering::Relaxed)
    }

    /// An upper bound for the number of codes that campaigns hold.
    pub fn count_max(&self) -> u64 {
        (self.codes.len() + self.base.len()) as u64
    }

    /// Whether codes can be added to a campaign now: it exists and is not archived.
    pub fn takes_codes(&self, campaign: CampaignId) -> bool {
        let number = (campaign.0 as usize).checked_sub(1);
        number.is_some_and(|number| self.campaigns.read().get(number).is_some_and(|face| !face.archived))
    }

    /// Whether a campaign has more than some 1,000 codes, archived ones included.
    pub fn has_many_codes(&self, campaign: CampaignId) -> bool {
        let number = (campaign.0 as usize).checked_sub(1);
        number.is_some_and(|number| self.campaigns.read().get(number).is_some_and(Face::has_many_codes))
    }

    /// Counts the codes that campaigns hold and whose normalised text meets a condition. Visits all codes.
    pub fn count(&self, is_meant: &dyn Fn(&str) -> bool) -> u64 {
        #[cfg(any(test, feature = "testing"))]
        self.walks.fetch_add(1, Ordering::Relaxed);
        let came = self.codes.iter().filter(|entry| is_meant(&entry.key().0) && self.is_live(*entry.value())).count();
        let base = self.base.codes().filter(|(code, at)| {
            // A code that moved since is in the map and counted there.
            is_meant(code.as_str()) && self.is_live(*at) && self.find(code) == Some(*at)
        });
        (came + base.count()) as u64
    }

    fn is_live(&self, at: CodeAt) -> bool {
        let campaigns = self.campaigns.read();
        campaigns.get(number_of(at.campaign)).is_some_and(|face| !face.archived && !face.archived_codes.contains(at.slot))
    }

    /// Looks codes up ahead of time and returns a hint for each, in order, `None` for an invalid code; best with [`AT_ONCE`]
    /// codes. [`Index::with_hint`] checks whether a hint is still valid.
    pub fn hint_each<'a>(
        &self,
        codes: impl Iterator<Item = Option<&'a NormalisedCode>> + Clone,
        mut give: impl FnMut(Option<Hint>),
    ) {
        let generation = self.generation.load(Ordering::Acquire);
        let mut request = codes.clone();
        self.find_each(codes, |at| give(request.next().flatten().map(|_| Hint { generation, at })));
    }

    /// Finds codes and passes on the place of each, in order. A lookup waits for memory twice, for the map's tags and for the
    /// entry; here those of [`AT_ONCE`] codes are prefetched before the first wait.
    fn find_each<'a>(
        &self,
        codes: impl Iterator<Item = Option<&'a NormalisedCode>> + Clone,
        mut give: impl FnMut(Option<CodeAt>),
    ) {
        let mut hashes = [0; AT_ONCE];
        for (code, hash) in codes.clone().zip(&mut hashes) {
            let Some(code) = code else { continue };
            *hash = self.hash_of(code);
            let table = self.codes.shards()[self.shard_of(*hash)].read();
            // The tags start where the entries end; a search starts at the tag that the hash's lower bits select.
            let tags: *const u8 = table.data_end().as_ptr().cast_const().cast();
            prefetch(tags.wrapping_add(*hash as usize & (table.buckets() - 1)));
        }
        for (code, hash) in codes.clone().zip(&hashes) {
            if code.is_some() {
                self.codes.shards()[self.shard_of(*hash)].read().get(*hash, |entry| {
                    prefetch(entry);
                    false
                });
            }
        }
        let mut places = [None; AT_ONCE];
        for ((code, hash), place) in codes.clone().zip(&hashes).zip(&mut places) {
            *place = code.and_then(|code| self.find_live(*hash, code));
        }
        if !self.base.is_empty() {
            self.base.find_each(codes.clone().take(AT_ONCE), &mut places);
        }
        for (n, code) in codes.enumerate() {
            give(places.get(n).copied().unwrap_or_else(|| code.and_then(|code| self.find(code))));
        }
    }

    fn hash_of(&self, code: &NormalisedCode) -> u64 {
        self.codes.hash_usize(&code.as_bytes()) as u64
    }

    fn shard_of(&self, hash: u64) -> usize {
        self.codes.determine_shard(hash as usize)
    }

    /// The place of a code that was added or moved since the snapshot.
    fn find_live(&self, hash: u64, code: &NormalisedCode) -> Option<CodeAt> {
        let table = self.codes.shards()[self.shard_of(hash)].read();
        table.get(hash, |(key, _)| key.0.as_bytes() == code.as_bytes()).map(|(_, at)| *at.get())
    }

    /// The index, answering from a hint as long as no code was added or removed since the hint was taken. Only for the engine
    /// thread, which alone adds and removes codes, and only for the code of the hint.
    pub fn with_hint(&self, hint: Option<Hint>) -> Hinted<'_> {
        let generation = self.generation.load(Ordering::Relaxed);
        // A hint with an odd generation was taken while codes were being added, and is useless; now none are.
        let holding = hint.filter(|hint| hint.generation == generation);
        Hinted { index: self, hint: holding.map(|hint| hint.at) }
    }

    /// Prefetches the counters of codes that are about to be written.
    pub fn touch(&self, places: impl Iterator<Item = CodeAt>) {
        let campaigns = self.campaigns.read();
        for at in places {
            campaigns.get(number_of(at.campaign)).into_iter().for_each(|face| face.touch(at.slot));
        }
    }

    fn insert_all(&self, campaign: CampaignId, first_slot: usize, codes: &CodeTexts) {
        let slots = first_slot as u32..first_slot as u32 + codes.len() as u32;
        self.put_groups(slots.zip(codes.iter()).filter_map(|(slot, code)| {
            let at = CodeAt { campaign, slot };
            Some((self.value_of(code, at)?, at))
        }));
    }

    /// Adds the codes of a state that is being taken over, except those that are where its snapshot has them. Of a value in
    /// several campaigns, the campaign that holds it counts, or if none does, the last that did: so free values are added first,
    /// in the order in which they became free.
    fn claim_all(&self, state: &State) {
        let mut freed = Vec::new();
        for (id, campaign) in state.campaigns.after(CampaignId(0)) {
            let at = |slot| Some((campaign.freed(slot)?, CodeAt { campaign: id, slot }));
            match campaign.is_archived() {
                true => freed.extend(claimed(state, id, campaign).filter_map(at)),
                false => {
                    let claimed = claimed(state, id, campaign);
                    freed.extend(campaign.archived_codes.range(claimed).filter_map(|(slot, _)| at(*slot)));
                }
            }
        }
        freed.sort_unstable();
        let freed_at = |at: CodeAt| state.campaigns.of(at.campaign).and_then(|campaign| campaign.freed(at.slot));
        let prevails = |since: Position, code: &NormalisedCode| match self.base.find(code) {
            Some(other) => freed_at(other).is_some_and(|other| other <= since),
            None => true,
        };
        let of = |at: CodeAt| self.value_of(state.campaigns.of(at.campaign)?.codes.of(at.slot as usize)?, at);
        let freed = freed.into_iter().filter_map(|(since, at)| Some((since, of(at)?, at)));
        let freed = freed.filter(|(since, code, _)| prevails(*since, code)).map(|(_, code, at)| (code, at));
        self.put_groups(freed);
        // Each of these belongs to one campaign, so that their order does not matter: as many threads as there are processors add
        // them.
        let holding = state.campaigns.after(CampaignId(0)).filter(|(_, campaign)| !campaign.is_archived());
        let parts = holding.flat_map(|(id, campaign)| {
            let claimed = claimed(state, id, campaign);
            let part = move |first: u32| (id, campaign, first..claimed.end.min(first + PUT_AT_ONCE as u32));
            claimed.step_by(PUT_AT_ONCE).map(part)
        });
        let parts = Mutex::new(parts);
        let put = || {
            loop {
                let part = parts.lock().next();
                let Some((id, campaign, slots)) = part else { return };
                let live = slots.filter(|slot| !campaign.is_code_archived(*slot)).map(|slot| CodeAt { campaign: id, slot });
                self.put_groups(live.filter_map(|at| Some((of(at)?, at))));
            }
        };
        std::thread::scope(|threads| {
            let others = std::thread::available_parallelism().map_or(0, |processors| processors.get() - 1);
            (0..others).for_each(|_| drop(threads.spawn(put)));
            put();
        });
    }

    /// The normalised form of a stored code. Each was normalised when it was decided, so that each has one, unless this program
    /// normalises differently or the journal is from elsewhere: such a code is counted, and the first one is logged.
    fn value_of(&self, code: &str, at: CodeAt) -> Option<NormalisedCode> {
        match self.form.normalise(code) {
            Ok(value) => Some(value),
            Err(why) => {
                if self.not_codes.fetch_add(1, Ordering::Relaxed) == 0 {
                    let CodeAt { campaign, slot } = at;
                    tracing::error!(%campaign, slot, %why, form = %RecordedForm::of(self.form), "a stored code cannot be looked up");
                }
                None
            }
        }
    }

    /// The number of codes added since the snapshot that cannot be looked up, because their text is not a valid code of the form.
    pub fn not_codes(&self) -> u64 {
        self.not_codes.load(Ordering::Relaxed)
    }

    /// Adds codes, some thousands at a time.
    fn put_groups(&self, codes: impl Iterator<Item = (NormalisedCode, CodeAt)>) {
        let mut codes = codes.peekable();
        while codes.peek().is_some() {
            self.put_all(codes.by_ref().take(PUT_AT_ONCE));
        }
    }

    /// Takes the values of restored codes back from campaigns that had them meanwhile.
    fn reclaim(&self, campaign: CampaignId, of: &Campaign, slots: impl Iterator<Item = u32>) {
        let live = |slot: &u32| of.freed(*slot).is_none();
        let mut codes =
            slots.filter(live).filter_map(|slot| Some((slot, self.form.normalise(of.codes.of(slot as usize)?).ok()?)));
        let (mut group, mut lost) = (Vec::with_capacity(AT_ONCE), Vec::new());
        loop {
            group.clear();
            group.extend(codes.by_ref().take(AT_ONCE));
            if group.is_empty() {
                break;
            }
            let mut request = group.iter();
            self.find_each(group.iter().map(|(_, code)| Some(code)), |at| {
                let (slot, code) = request.next().expect("there is a place for each requested code");
                let ours = CodeAt { campaign, slot: *slot };
                if at != Some(ours) {
                    lost.push((*code, ours));
                }
            });
        }
        if !lost.is_empty() {
            self.put_all(lost.into_iter());
        }
    }

    /// Whether two indexes agree on every code and every credential.
    pub fn agrees_with(&self, other: &Index) -> bool {
        let (faces, others) = (self.campaigns.read(), other.campaigns.read());
        let holding_alike =
            || self.held.iter().all(|entry| other.held.get(entry.key()).is_some_and(|there| *there == *entry.value()));
        let alike = |code: &NormalisedCode| self.find(code) == other.find(code);
        let live_alike = |index: &Index| {
            let mut codes = index.codes.iter().filter_map(|entry| NormalisedCode::from_normalised(&entry.key().0));
            codes.all(|code| alike(&code))
        };
        live_alike(self)
            && live_alike(other)
            && self.base.iter().chain(other.base.iter()).all(|code| alike(&code))
            && faces.len() == others.len()
            && faces.iter().zip(others.iter()).all(|(ours, theirs)| ours.agrees_with(theirs))
            && self.held.len() == other.held.len()
            && holding_alike()
            && self.holders.agrees_with(&other.holders)
    }
}

/// Logs the number of stored codes that cannot be looked up, if there are any.
pub fn log_not_codes(count: u64, form: CodeForm) {
    if count > 0 {
        let form = RecordedForm::of(form);
        tracing::error!(
            codes = count,
            %form,
            "stored codes cannot be looked up, because their texts are no codes in this form: nobody can redeem them"
        );
    }
}

/// The slots of a campaign whose codes are not, or may not be, where the snapshot has them.
fn claimed(state: &State, id: CampaignId, campaign: &Campaign) -> Range<u32> {
    let first = if state.campaigns.was_restored(id) { 0 } else { campaign.codes.base_len() };
    first as u32..campaign.codes.len() as u32
}

/// An index with a hint for the one code being looked up.
pub struct Hinted<'a> {
    index: &'a Index,
    /// What the index would return; unknown if the hint is outdated.
    hint: Option<Option<CodeAt>>,
}

impl Lookup for Hinted<'_> {
    fn find(&self, code: &NormalisedCode) -> Option<CodeAt> {
        match self.hint {
            Some(at) => at,
            None => self.index.find(code),
        }
    }

    fn find_all(&self, codes: &[NormalisedCode], give: impl FnMut(Option<CodeAt>)) {
        self.index.find_all(codes, give);
    }
}

/// The index of a campaign's face.
fn number_of(campaign: CampaignId) -> usize {
    campaign.0 as usize - 1
}

impl Lookup for Index {
    fn find(&self, code: &NormalisedCode) -> Option<CodeAt> {
        self.find_live(self.hash_of(code), code).or_else(|| self.base.find(code))
    }

    fn find_all(&self, codes: &[NormalisedCode], mut give: impl FnMut(Option<CodeAt>)) {
        codes.chunks(AT_ONCE).for_each(|group| self.find_each(group.iter().map(Some), &mut give));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_index_knows_no_code() {
        let index = Index::of(&State::default());
        let checked = index.check(0, ClubId(0), ["a", " ", "a b"].into_iter());
        let free = |outcome| CodeChecked::Free { outcome };
        let codes = vec![
            free(RedeemOutcome::UnknownCode),
            free(RedeemOutcome::InvalidCode(InvalidCode::Empty)),
            free(RedeemOutcome::InvalidCode(InvalidCode::InnerWhiteSpace { at: 2 })),
        ];
        assert_eq!(checked, CheckOutcome::Checked { codes, as_of: Position(0) });
    }

    #[test]
    fn a_hint_is_valid_until_codes_are_added() {
        let index = Index::of(&State::default());
        let code = normalise("code").expect("a code");
        let codes = |text: &str| {
            let mut codes = CodeTexts::default();
            codes.push(text);
            codes
        };
        let (campaign, other) = (CampaignId(1), CampaignId(2));
        let hint = |code| {
            let mut hints = Vec::new();
            index.hint_each([Some(code)].into_iter(), |hint| hints.push(hint));
            hints[0].expect("one code was looked up")
        };
        let unknown = hint(&code);
        assert_eq!(index.with_hint(Some(unknown)).find(&code), None);
        index.insert_all(campaign, 0, &codes("CODE"));
        let at = Some(CodeAt { campaign, slot: 0 });
        assert_eq!(index.with_hint(Some(unknown)).find(&code), at, "an outdated hint is not believed");
        let known = hint(&code);
        index.codes.remove(&Key(CompactString::new(code.as_str())));
        assert_eq!(index.with_hint(Some(known)).find(&code), at, "a hint that holds is, without looking");
        index.insert_all(other, 7, &codes("CODE"));
        assert_eq!(index.with_hint(Some(known)).find(&code), Some(CodeAt { campaign: other, slot: 7 }));
        assert_eq!(index.with_hint(None).find(&code), Some(CodeAt { campaign: other, slot: 7 }));
    }
}
