//! The holds: uses of codes set aside for clients during payments (Z1).
//!
//! A hold is open until its expiry. Expiry changes nothing by itself: readers compare the time with it, and a later record
//! updates the row. Until then an expired hold is counted with the open ones, in the order of expiry, in three scopes
//! ([`Counted`]): its code, its client in the campaign, and its campaign, there with its amount. A record that takes a use drops
//! expired holds from the count if a limit would be exceeded with them, so that the earliest expiry alone shows whether a use is
//! free, however many holds there are. No record settles more than a few holds of others.
//!
//! If a limit was lowered while holds were open, or the campaign of a budget has a larger amount, more than one hold must expire
//! before a use is free; the runs of [`Counted`] find which one. A record that takes a use then drops some of them.
//!
//! A credential may have an eighth of all holds open ([`HOLDS_OPEN_PER_CREDENTIAL_MAX`]). At the limit of remembered holds, the
//! ended holds of a credential that has more than that are forgotten first.
//!
//! The open holds of a revoked credential expire at the time of its revocation. Some are dropped from the count with its record,
//! some with each later record. Until then they use up limits and are in the totals of campaigns, but none is a promise.
//!
//! The totals of a campaign are not counted on demand: counted uses are added up by the time at which they expire, and codes with
//! all uses held by the time at which one becomes free ([`ByTime`]). A record updates this for the codes that it touched.
//!
//! Invariant: which expired holds are still counted changes no answer. Answers depend on the records and on the time alone.

mod held;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use scrip_protocol::command::{Activated, HOLD_KEPT_MS, HOLDS_MAX, HOLDS_OPEN_PER_CREDENTIAL_MAX};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position};

use super::counted::Counted;
use super::frozen::RevokedHolderRow;
use super::precedence::Standing;
use super::tables::{Campaign, Campaigns, CodeAt};
use crate::by_time::ByTime;
use held::{EARLIEST, HeldSum, Most, held, most_budget, most_uses};
pub use held::{FreeFrom, HeldOfCampaign, HeldUses};

/// Expired holds that a record drops from the count, and ended holds that it forgets. It adds at most one, so that both shrink.
const SWEPT_PER_RECORD: usize = EARLIEST;

/// Expired holds that a record drops from the count if it takes a use.
const DROPPED_PER_USE: usize = 64;

/// Open holds of revoked credentials that expire with one record: some 5 ms of work, at up to 10 µs each. All holds of a
/// credential expire with 1,221 records. The record of a revocation may expire that many of earlier ones as well.
const REVOKED_PER_RECORD: usize = 512;

/// A hold.
#[derive(Debug, Clone, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Hold {
    pub(super) at: CodeAt,
    pub(super) client: ClientId,
    pub(super) club: ClubId,
    /// The credential that requested it.
    pub(super) credential: CredentialId,
    /// The bonus that its confirmation credits.
    pub(super) amount: Money,
    /// When it expires: the first moment at which it is no longer open.
    pub(super) expires_ms: u64,
    /// When it is forgotten.
    forgotten_ms: u64,
    status: Status,
}

/// A hold that was neither confirmed nor released, possibly expired, for readers that start from a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenHold {
    /// The position of its record.
    pub hold: Position,
    /// The code.
    pub at: CodeAt,
    /// The client that may use it.
    pub client: ClientId,
    /// The club.
    pub club: ClubId,
    /// The credential that requested it.
    pub credential: CredentialId,
    /// The bonus that its confirmation credits.
    pub amount: Money,
    /// When it expires: the first moment at which it is no longer open, in milliseconds since 1970.
    pub expires_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Status {
    /// Counted: it is open, or its expiry has not been noted yet.
    Counted,
    /// Expired, and not counted.
    Lapsed,
    Ended(End),
}

/// How a hold ended, other than by expiry.
#[derive(Debug, Clone, Copy, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) enum End {
    Confirmed { activation: Position, balance: Money },
    Released,
}

impl Hold {
    /// A new hold.
    pub(super) fn given(
        at: CodeAt,
        client: ClientId,
        club: ClubId,
        credential: CredentialId,
        amount: Money,
        expires_ms: u64,
    ) -> Hold {
        let forgotten_ms = expires_ms.saturating_add(HOLD_KEPT_MS);
        Hold { at, client, club, credential, amount, expires_ms, forgotten_ms, status: Status::Counted }
    }

    /// How it ended; `None` if it is open or has expired.
    pub(super) fn end(&self) -> Option<End> {
        match self.status {
            Status::Counted | Status::Lapsed => None,
            Status::Ended(end) => Some(end),
        }
    }

    /// Its status in words.
    pub(super) fn standing(&self) -> String {
        match self.status {
            Status::Counted => "counted".to_owned(),
            Status::Lapsed => "lapsed".to_owned(),
            Status::Ended(End::Released) => format!("released, and forgotten at {}", self.forgotten_ms),
            Status::Ended(End::Confirmed { activation, balance }) => {
                format!(
                    "confirmed by activation {activation} with a balance of {balance}, and forgotten at {}",
                    self.forgotten_ms
                )
            }
        }
    }

    /// The outcome of its confirmation.
    pub(super) fn activated(&self, activation: Position, balance: Money) -> Activated {
        Activated { activation, campaign: self.at.campaign, amount: self.amount, balance }
    }
}

#[cfg(test)]
thread_local! {
    /// How often [`Holds::free_from`] was called.
    pub(super) static FREE_FROMS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The holds. Owned by the state.
#[derive(Debug)]
pub struct Holds {
    limit: usize,
    /// How many of these one credential may have open.
    share: usize,
    rows: BTreeMap<Position, Hold>,
    /// The counted holds by code.
    of_code: Counted<CodeAt, ()>,
    /// By client and campaign.
    of_client: Counted<(CampaignId, ClientId), ()>,
    /// By campaign, with their amounts.
    of_campaign: Counted<CampaignId, Money>,
    /// Full codes: codes that are not archived and have uses left by their activations, all of which are held. With the time at
    /// which a use becomes free.
    full_codes: BTreeMap<CodeAt, u64>,
    /// Counted holds and full codes by campaign, added up by time.
    by_time: BTreeMap<CampaignId, ByTime<HeldSum>>,
    /// The counted holds in the order of expiry.
    expiring: BTreeSet<(u64, Position)>,
    /// The other holds in the order in which they are forgotten.
    ended: BTreeSet<(u64, Position)>,
    /// The counted holds by credential.
    of_credential: Counted<CredentialId, ()>,
    /// The other holds by credential, in the order in which they are forgotten.
    ended_of: Counted<CredentialId, ()>,
    /// The credentials with more remembered holds than may be open.
    over: BTreeSet<CredentialId>,
    /// The revoked credentials with counted holds, and the times of their revocation.
    revoked: BTreeMap<CredentialId, u64>,
    /// When the next hold expires or is forgotten; 0 if one of a revoked credential must expire.
    next_ms: u64,
    /// See [`Holds::touched`].
    touched: Vec<CodeAt>,
    /// The codes that the newest record examined.
    #[cfg(test)]
    pub(super) looked_at: Vec<CodeAt>,
}

/// What the newest record touched is for observers, and not part of the state.
impl PartialEq for Holds {
    fn eq(&self, other: &Holds) -> bool {
        self.limit == other.limit
            && self.rows == other.rows
            && self.of_code == other.of_code
            && self.of_client == other.of_client
            && self.of_campaign == other.of_campaign
            && self.full_codes == other.full_codes
            && self.by_time == other.by_time
            && self.expiring == other.expiring
            && self.ended == other.ended
            && self.of_credential == other.of_credential
            && self.ended_of == other.ended_of
            && self.over == other.over
            && self.revoked == other.revoked
            && self.next_ms == other.next_ms
    }
}

impl Default for Holds {
    fn default() -> Holds {
        Holds {
            limit: HOLDS_MAX,
            share: HOLDS_OPEN_PER_CREDENTIAL_MAX,
            rows: BTreeMap::new(),
            of_code: Counted::default(),
            of_client: Counted::default(),
            of_campaign: Counted::default(),
            full_codes: BTreeMap::new(),
            by_time: BTreeMap::new(),
            expiring: BTreeSet::new(),
            ended: BTreeSet::new(),
            of_credential: Counted::default(),
            ended_of: Counted::default(),
            over: BTreeSet::new(),
            revoked: BTreeMap::new(),
            next_ms: u64::MAX,
            touched: Vec::new(),
            #[cfg(test)]
            looked_at: Vec::new(),
        }
    }
}

impl Holds {
    /// The holds of a snapshot whose campaigns are loaded.
    pub(super) fn over(rows: Vec<(Position, Hold)>, campaigns: &mut Campaigns, revoked: &[RevokedHolderRow]) -> Holds {
        let mut holds = Holds::default();
        for (position, hold) in rows {
            match hold.status {
                Status::Counted => holds.count(campaigns, position, &hold),
                Status::Lapsed | Status::Ended(_) => holds.remember_ended(hold.credential, hold.forgotten_ms, position),
            }
            holds.weigh(hold.credential);
            holds.rows.insert(position, hold);
        }
        let codes: Vec<CodeAt> = holds.codes().collect();
        codes.into_iter().for_each(|at| holds.see_whether_full(campaigns, at));
        for RevokedHolderRow { credential, revoked_ms } in revoked {
            let credential = CredentialId(*credential as u32);
            if holds.of_credential.count(credential).is_some() {
                holds.revoked.insert(credential, *revoked_ms);
            }
        }
        holds.set_next();
        holds
    }

    /// The revoked credentials with open holds that have not all expired yet.
    pub(crate) fn revoked_rows(&self) -> impl Iterator<Item = RevokedHolderRow> {
        self.revoked.iter().map(|(credential, at_ms)| RevokedHolderRow { credential: credential.0.into(), revoked_ms: *at_ms })
    }

    /// All remembered holds in the order of their creation.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Position, &Hold)> {
        self.rows.iter().map(|(position, hold)| (*position, hold))
    }

    /// The holds that were neither confirmed nor released, in the same order.
    pub fn open(&self) -> impl Iterator<Item = OpenHold> {
        self.rows().filter(|(_, row)| row.end().is_none()).map(|(hold, row)| {
            let Hold { at, client, club, credential, amount, .. } = *row;
            OpenHold { hold, at, client, club, credential, amount, expires_ms: self.expires_ms(row) }
        })
    }

    /// The number of remembered holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no hold is remembered.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many uses of a campaign's code count as held; `None` for none.
    pub fn of_code(&self, at: CodeAt, campaign: &Campaign) -> Option<HeldUses> {
        let count = self.of_code.count(at)?;
        let room = campaign.room(at.slot);
        let mut earliest = [u64::MAX; EARLIEST];
        earliest.iter_mut().zip(self.of_code.expiries(at)).for_each(|(place, expires_ms)| *place = expires_ms);
        let free_from_ms = self.of_code.at_most_from(at, count.into(), i128::from(room) - 1, |()| 1);
        Some(HeldUses { count, room, free_from_ms, earliest })
    }

    /// When one more use fits the campaign-wide limits.
    pub fn free_from(&self, id: CampaignId, campaign: &Campaign) -> FreeFrom {
        #[cfg(test)]
        FREE_FROMS.set(FREE_FROMS.get() + 1);
        let uses = most_uses(campaign).map_or(0, |most| self.uses_free_from(id, campaign, most));
        let budget = most_budget(campaign, campaign.terms.amount).map_or(0, |most| self.budget_free_from(id, campaign, most));
        FreeFrom { uses_ms: uses, budget_ms: budget }
    }

    fn uses_free_from(&self, id: CampaignId, campaign: &Campaign, most: i128) -> u64 {
        self.of_campaign.at_most_from(id, campaign.held.into(), most, |_| 1)
    }

    fn budget_free_from(&self, id: CampaignId, campaign: &Campaign, most: i128) -> u64 {
        self.of_campaign.at_most_from(id, campaign.held_sum, most, |amount| amount.0.into())
    }

    /// Totals of a campaign's holds at a time. Takes constant time.
    pub fn of_campaign(&self, id: CampaignId, now_ms: u64) -> HeldOfCampaign {
        let HeldSum { uses, sum, codes_full } = self.by_time.get(&id).map_or(HeldSum::default(), |sums| sums.after(now_ms));
        HeldOfCampaign { uses, sum, codes_full }
    }

    /// The full codes, with the time at which a use becomes free.
    pub(super) fn full_codes(&self) -> impl Iterator<Item = (CodeAt, u64)> {
        self.full_codes.iter().map(|(at, free_from_ms)| (*at, *free_from_ms))
    }

    /// The sums by time of each campaign.
    pub(super) fn sums(&self) -> impl Iterator<Item = (CampaignId, &ByTime<HeldSum>)> {
        self.by_time.iter().map(|(id, sums)| (*id, sums))
    }

    /// The codes with counted holds.
    pub fn codes(&self) -> impl Iterator<Item = CodeAt> {
        self.of_code.scopes().keys().copied()
    }

    /// The codes of a campaign with counted holds.
    pub fn codes_of(&self, campaign: CampaignId) -> impl Iterator<Item = CodeAt> {
        let slots = CodeAt { campaign, slot: 0 }..=CodeAt { campaign, slot: u32::MAX };
        self.of_code.scopes().range(slots).map(|(at, _)| *at)
    }

    /// The codes whose status the newest record may have changed, in campaigns that have or had holds: at most a few, unless a
    /// limit was lowered.
    pub fn touched(&self) -> &[CodeAt] {
        &self.touched
    }

    /// Notes that a code's counter has changed.
    pub(super) fn touch(&mut self, at: CodeAt) {
        self.touched.push(at);
    }

    /// A hold that is known at a time.
    pub(super) fn known(&self, hold: Position, now_ms: u64) -> Option<&Hold> {
        self.rows.get(&hold).filter(|hold| now_ms < self.forgotten_ms(hold))
    }

    /// When a hold expires: at the revocation of its credential at the latest, also if that has not been noted yet.
    pub(super) fn expires_ms(&self, hold: &Hold) -> u64 {
        // A credential is listed while it has counted holds. The rows of its other holds have the earlier time.
        self.revoked.get(&hold.credential).map_or(hold.expires_ms, |revoked_ms| hold.expires_ms.min(*revoked_ms))
    }

    /// When a hold is forgotten.
    fn forgotten_ms(&self, hold: &Hold) -> u64 {
        match hold.status {
            Status::Counted => self.expires_ms(hold).saturating_add(HOLD_KEPT_MS),
            Status::Lapsed | Status::Ended(_) => hold.forgotten_ms,
        }
    }

    /// Whether a credential can open no further hold at a time: it has reached its share of open holds, or all remembered holds
    /// are open.
    pub(super) fn is_full(&self, credential: CredentialId, now_ms: u64) -> bool {
        let is_counted = self.of_credential.count(credential).is_some_and(|count| count as usize >= self.share);
        // Expired holds count until the sweep reaches them, so the open ones decide.
        if is_counted {
            let count = self.of_credential.count(credential).map_or(0, i128::from);
            let free_from_ms = self.of_credential.at_most_from(credential, count, self.share as i128 - 1, |()| 1);
            if now_ms < free_from_ms {
                return true;
            }
        }
        let all_open = self.ended.is_empty() && self.expiring.first().is_none_or(|(expires_ms, _)| now_ms < *expires_ms);
        self.rows.len() >= self.limit && all_open
    }

    /// Adds the held uses at a time to the standing of a code for a client: to the limits that exist, and exactly if that decides
    /// whether they are reached. Not inlined, so that a redemption in a campaign without holds does not pay for it.
    #[inline(never)]
    pub(super) fn add_to(&self, standing: &mut Standing, at: CodeAt, client: ClientId, campaign: &Campaign) {
        self.add(standing, at, client, campaign, (0, 0));
    }

    /// The same for the confirmation of an expired hold, without the hold.
    pub(super) fn add_others_to(&self, standing: &mut Standing, campaign: &Campaign, hold: &Hold) {
        // A counted hold weighs until its own expiry, also if the revocation of its credential ended it earlier.
        let own = match hold.status == Status::Counted && standing.now_ms < hold.expires_ms {
            true => (1, hold.amount.0.into()),
            false => (0, 0),
        };
        self.add(standing, hold.at, hold.client, campaign, own);
    }

    /// Adds the held uses, except for an open one of this code and client: its use and its amount.
    #[inline]
    fn add(
        &self,
        standing: &mut Standing,
        at: CodeAt,
        client: ClientId,
        campaign: &Campaign,
        (own_use, own_amount): (i128, i128),
    ) {
        // Of the others at most `most` may be open: of all, so much more.
        let most = Most::of(campaign, at.slot, client, standing.amount);
        let now_ms = standing.now_ms;
        if let Some(count) = self.of_code.count(at) {
            let free_from_ms = self.of_code.at_most_from(at, count.into(), most.code + own_use, |()| 1);
            let held = held(count.into(), most.code + own_use, free_from_ms, now_ms) - own_use;
            standing.code_uses = standing.code_uses.saturating_add(held as u32);
        }
        let of_client = (at.campaign, client);
        if let Some(most) = most.client
            && let Some(count) = self.of_client.count(of_client)
        {
            let free_from_ms = self.of_client.at_most_from(of_client, count.into(), most + own_use, |()| 1);
            let held = held(count.into(), most + own_use, free_from_ms, now_ms) - own_use;
            standing.client_uses = standing.client_uses.saturating_add(held as u32);
        }
        if let Some(most) = most.uses {
            let free_from_ms = self.uses_free_from(at.campaign, campaign, most + own_use);
            let held = held(campaign.held.into(), most + own_use, free_from_ms, now_ms) - own_use;
            standing.campaign_uses = standing.campaign_uses.saturating_add(held as u64);
        }
        if let Some(most) = most.budget {
            let free_from_ms = self.budget_free_from(at.campaign, campaign, most + own_amount);
            let held = held(campaign.held_sum, most + own_amount, free_from_ms, now_ms) - own_amount;
            // A sum that does not fit an amount exceeds any budget, with the bonus added to it.
            let committed = i64::try_from(i128::from(standing.committed.0) + held).unwrap_or(i64::MAX);
            standing.committed = Money(committed);
        }
    }

    /// Begins a record: notes a few holds that have expired by its time, and forgets a few that ended long ago.
    #[inline]
    pub(super) fn begin(&mut self, campaigns: &mut Campaigns, now_ms: u64) {
        self.touched.clear();
        #[cfg(test)]
        self.looked_at.clear();
        if now_ms >= self.next_ms {
            self.sweep(campaigns, now_ms);
        }
    }

    /// Ends a record: updates which of the touched codes are full.
    #[inline]
    pub(super) fn finish(&mut self, campaigns: &Campaigns) {
        // Thousands of holds of one code may expire at once.
        self.touched.sort_unstable();
        self.touched.dedup();
        for at in 0..self.touched.len() {
            self.see_whether_full(campaigns, self.touched[at]);
        }
    }

    /// After a change of a campaign's cap: updates which of its codes are full. The cost depends on the number of codes with held
    /// uses.
    pub(super) fn recount(&mut self, campaigns: &Campaigns, id: CampaignId) {
        let codes: Vec<CodeAt> = self.codes_of(id).collect();
        codes.into_iter().for_each(|at| self.see_whether_full(campaigns, at));
    }

    /// After codes of a campaign were archived or restored: updates which of them are full.
    pub(super) fn recount_codes(&mut self, campaigns: &Campaigns, id: CampaignId, slots: impl Iterator<Item = u32>) {
        if campaigns.of(id).is_some_and(|campaign| campaign.held > 0) {
            slots.for_each(|slot| self.see_whether_full(campaigns, CodeAt { campaign: id, slot }));
        }
    }

    fn see_whether_full(&mut self, campaigns: &Campaigns, at: CodeAt) {
        #[cfg(test)]
        self.looked_at.push(at);
        let (was, is) = (self.full_codes.get(&at).copied(), self.full_until(campaigns, at));
        if was == is {
            return;
        }
        let sums = self.by_time.entry(at.campaign).or_default();
        if let Some(free_from_ms) = was {
            sums.take(free_from_ms, HeldSum::CODE);
            self.full_codes.remove(&at);
        }
        if let Some(free_from_ms) = is {
            sums.add(free_from_ms, HeldSum::CODE);
            self.full_codes.insert(at, free_from_ms);
        }
        if sums.is_empty() {
            self.by_time.remove(&at.campaign);
        }
    }

    /// When a use of a code becomes free; `None` if that does not depend on its holds.
    fn full_until(&self, campaigns: &Campaigns, at: CodeAt) -> Option<u64> {
        let count = i128::from(self.of_code.count(at)?);
        let campaign = campaigns.of(at.campaign)?;
        let room = i128::from(campaign.room(at.slot));
        let is_full = 0 < room && room <= count && !campaign.is_code_archived(at.slot);
        is_full.then(|| self.of_code.at_most_from(at, count, room - 1, |()| 1))
    }

    #[cold]
    fn sweep(&mut self, campaigns: &mut Campaigns, now_ms: u64) {
        for _ in 0..SWEPT_PER_RECORD {
            match self.expiring.first() {
                Some((expires_ms, hold)) if *expires_ms <= now_ms => self.lapse(campaigns, *hold),
                Some(_) | None => break,
            }
        }
        for _ in 0..REVOKED_PER_RECORD {
            let Some(credential) = self.revoked.keys().next().copied() else { break };
            let Some((_, hold)) = self.of_credential.first(credential) else { break };
            self.lapse(campaigns, hold);
        }
        for _ in 0..SWEPT_PER_RECORD {
            match self.ended.first() {
                Some((forgotten_ms, hold)) if *forgotten_ms <= now_ms => self.forget((*forgotten_ms, *hold)),
                Some(_) | None => break,
            }
        }
        self.set_next();
    }

    /// After the revocation of a credential: releases its holds.
    pub(super) fn revoke(&mut self, campaigns: &mut Campaigns, credential: CredentialId, revoked_ms: u64, now_ms: u64) {
        if self.of_credential.count(credential).is_some() {
            self.revoked.insert(credential, revoked_ms);
            self.sweep(campaigns, now_ms);
        }
    }

    /// Before a client takes a use of a code: if only expired holds prevent it, drops some of them from the count.
    pub(super) fn make_room(&mut self, campaigns: &mut Campaigns, at: CodeAt, client: ClientId, amount: Money, now_ms: u64) {
        self.touched.push(at);
        let Some(campaign) = campaigns.of(at.campaign) else { return };
        let most = Most::of(campaign, at.slot, client, amount);
        for _ in 0..DROPPED_PER_USE {
            let first = self.in_the_way(campaigns, &most, at, client).filter(|(expires_ms, _)| *expires_ms <= now_ms);
            let Some((_, first)) = first else { break };
            self.lapse(campaigns, first);
            self.set_next();
        }
    }

    /// The counted hold of an exceeded limit that expires first. If it has not expired, no other one has.
    fn in_the_way(&self, campaigns: &Campaigns, most: &Most, at: CodeAt, client: ClientId) -> Option<(u64, Position)> {
        let campaign = campaigns.of(at.campaign).filter(|campaign| campaign.held > 0)?;
        let of_client = (at.campaign, client);
        let is_over = |count: Option<u32>, most: i128| count.is_some_and(|count| i128::from(count) > most);
        let of_code = is_over(self.of_code.count(at), most.code).then(|| self.of_code.first(at));
        let of_client =
            most.client.filter(|most| is_over(self.of_client.count(of_client), *most)).map(|_| self.of_client.first(of_client));
        let is_full = most.uses.is_some_and(|most| i128::from(campaign.held) > most);
        let is_spent = most.budget.is_some_and(|most| campaign.held_sum > most);
        let of_campaign = (is_full || is_spent).then(|| self.of_campaign.first(at.campaign));
        // The first of all: that of one limit may be open while that of another has expired.
        [of_code, of_client, of_campaign].into_iter().flatten().flatten().min()
    }

    /// Adds a hold. At the limit it forgets the hold that would be forgotten next, preferably of a credential that exceeds its
    /// share.
    pub(super) fn give(&mut self, campaigns: &mut Campaigns, position: Position, hold: Hold, now_ms: u64) {
        self.make_room(campaigns, hold.at, hold.client, hold.amount, now_ms);
        if campaigns.of(hold.at.campaign).is_none() {
            return;
        }
        while self.rows.len() >= self.limit.max(1) {
            let oldest_of = |credential: &CredentialId| self.ended_of.first(*credential);
            let oldest = self.over.iter().filter_map(oldest_of).min().or_else(|| self.ended.first().copied());
            match (oldest, self.expiring.first()) {
                (Some(oldest), _) => self.forget(oldest),
                (None, Some((_, oldest))) => self.lapse(campaigns, *oldest),
                (None, None) => break,
            }
        }
        self.count(campaigns, position, &hold);
        self.weigh(hold.credential);
        self.rows.insert(position, hold);
        self.set_next();
    }

    /// Updates whether a credential has more remembered holds than may be open.
    fn weigh(&mut self, credential: CredentialId) {
        let remembered = [&self.of_credential, &self.ended_of].map(|holds| holds.count(credential).unwrap_or(0) as usize);
        match remembered[0] + remembered[1] > self.share {
            true => self.over.insert(credential),
            false => self.over.remove(&credential),
        };
    }

    fn remember_ended(&mut self, credential: CredentialId, forgotten_ms: u64, position: Position) {
        self.ended.insert((forgotten_ms, position));
        self.ended_of.insert(credential, forgotten_ms, position, ());
    }

    fn leave_ended(&mut self, credential: CredentialId, forgotten_ms: u64, position: Position) {
        self.ended.remove(&(forgotten_ms, position));
        self.ended_of.remove(credential, forgotten_ms, position);
    }

    /// Starts to count a hold.
    fn count(&mut self, campaigns: &mut Campaigns, position: Position, hold: &Hold) {
        let (at, client) = (hold.at, (hold.at.campaign, hold.client));
        let Some(campaign) = campaigns.of_mut(at.campaign) else { return };
        campaign.held += 1;
        campaign.held_sum += i128::from(hold.amount.0);
        self.of_code.insert(at, hold.expires_ms, position, ());
        self.of_client.insert(client, hold.expires_ms, position, ());
        self.of_campaign.insert(at.campaign, hold.expires_ms, position, hold.amount);
        self.by_time.entry(at.campaign).or_default().add(hold.expires_ms, HeldSum::of(hold.amount));
        self.of_credential.insert(hold.credential, hold.expires_ms, position, ());
        self.expiring.insert((hold.expires_ms, position));
    }

    /// Ends a hold that has not ended.
    pub(super) fn end(&mut self, campaigns: &mut Campaigns, position: Position, end: End, now_ms: u64) {
        let Some(hold) = self.rows.get(&position) else { return };
        let (at, credential, before_ms) = (hold.at, hold.credential, hold.forgotten_ms);
        match hold.status {
            Status::Counted => self.uncount(campaigns, position),
            Status::Lapsed => {
                self.touched.push(at);
                self.leave_ended(credential, before_ms, position);
            }
            Status::Ended(_) => return,
        }
        let hold = self.rows.get_mut(&position).expect("it existed above");
        hold.status = Status::Ended(end);
        hold.forgotten_ms = now_ms.saturating_add(HOLD_KEPT_MS);
        let forgotten_ms = hold.forgotten_ms;
        self.remember_ended(credential, forgotten_ms, position);
        self.set_next();
    }

    /// Stops counting a hold that has expired, or whose credential is revoked.
    fn lapse(&mut self, campaigns: &mut Campaigns, position: Position) {
        self.uncount(campaigns, position);
        let hold = self.rows.get(&position).expect("a hold that was counted has a row");
        let (credential, forgotten_ms) = (hold.credential, hold.forgotten_ms);
        self.remember_ended(credential, forgotten_ms, position);
    }

    /// Removes a hold from the count. The caller adds it to the ended holds.
    fn uncount(&mut self, campaigns: &mut Campaigns, position: Position) {
        let hold = self.rows.get(&position).expect("what counts has a row");
        let (at, client, amount) = (hold.at, (hold.at.campaign, hold.client), hold.amount);
        let (credential, expires_ms) = (hold.credential, hold.expires_ms);
        // Before the credential leaves the list of revoked ones.
        let (expired_ms, forgotten_ms) = (self.expires_ms(hold), self.forgotten_ms(hold));
        let hold = self.rows.get_mut(&position).expect("it existed above");
        (hold.status, hold.expires_ms, hold.forgotten_ms) = (Status::Lapsed, expired_ms, forgotten_ms);
        self.of_code.remove(at, expires_ms, position);
        self.of_client.remove(client, expires_ms, position);
        self.of_campaign.remove(at.campaign, expires_ms, position);
        let sums = self.by_time.get_mut(&at.campaign).expect("a campaign with a counted hold has sums");
        sums.take(expires_ms, HeldSum::of(amount));
        if sums.is_empty() {
            self.by_time.remove(&at.campaign);
        }
        self.of_credential.remove(credential, expires_ms, position);
        if self.of_credential.count(credential).is_none() {
            self.revoked.remove(&credential);
        }
        self.expiring.remove(&(expires_ms, position));
        let campaign: &mut Campaign = campaigns.of_mut(at.campaign).expect("campaigns are never removed");
        campaign.held -= 1;
        campaign.held_sum -= i128::from(amount.0);
        self.touched.push(at);
    }

    fn forget(&mut self, (forgotten_ms, position): (u64, Position)) {
        let Some(hold) = self.rows.remove(&position) else { return };
        self.leave_ended(hold.credential, forgotten_ms, position);
        self.weigh(hold.credential);
    }

    fn set_next(&mut self) {
        let first = |holds: &BTreeSet<(u64, Position)>| holds.first().map_or(u64::MAX, |(at_ms, _)| *at_ms);
        let next_ms = first(&self.expiring).min(first(&self.ended));
        self.next_ms = if self.revoked.is_empty() { next_ms } else { 0 };
    }
}
