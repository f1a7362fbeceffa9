//! The holds: uses of codes that are kept for clients while payments are taken (Z1).
//!
//! A hold is open until its expiry. That moment changes nothing by itself: whoever asks compares the time with it, and the row says so
//! a little later, when a record comes along. Until then an expired hold is counted with the open ones of its code, in the order of
//! expiry. There are never more activations and counted holds of a code than its cap permits, because whatever takes a use drops an
//! expired hold from the count where that is full; so that one look at the earliest expiry tells whether a use is free, however many
//! holds there are. Nothing is ever scanned, and no record settles more than a few holds of others.
//!
//! Invariant: which expired holds are still counted changes no answer. What is asked here depends on the records and on the time alone.

use std::collections::{BTreeMap, BTreeSet};

use scrip_protocol::command::{Activated, HOLD_KEPT_MS, HOLDS_MAX};
use scrip_protocol::{ClientId, ClubId, CredentialId, Money, Position};

use super::tables::{Campaign, Campaigns, CodeAt};

/// How many expired holds a record drops from the count, and how many ended ones it forgets. It adds at most one, so that both shrink.
const SWEPT_PER_RECORD: usize = 8;

/// How many of a code's earliest expiries are told to those who ask from outside: as many as one record may drop.
const EARLIEST: usize = SWEPT_PER_RECORD;

/// One hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hold {
    pub(super) at: CodeAt,
    pub(super) client: ClientId,
    pub(super) club: ClubId,
    /// Whose it is.
    pub(super) credential: CredentialId,
    /// What its confirmation credits.
    pub(super) amount: Money,
    /// The first moment at which it is not open any more.
    pub(super) expires_ms: u64,
    /// From when on it is unknown.
    forgotten_ms: u64,
    status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    /// It counts: it is open, or has expired and nothing has taken note of that.
    Counted,
    /// It has expired, and does not count.
    Lapsed,
    Ended(End),
}

/// How a hold ended, other than by its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    Confirmed { activation: Position, balance: Money },
    Released,
}

impl Hold {
    /// A hold as it is when it is given.
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

    /// What its confirmation did.
    pub(super) fn activated(&self, activation: Position, balance: Money) -> Activated {
        Activated { activation, campaign: self.at.campaign, amount: self.amount, balance }
    }
}

/// How many uses of a code are held, for those who cannot ask the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldUses {
    count: u32,
    /// The earliest expiries of those that count, ascending; the latest time there is where there are fewer.
    earliest: [u64; EARLIEST],
}

impl HeldUses {
    /// How many are held at a time. Where more than a few have expired that the state still counts, some of them are in it; but never
    /// so that no use seems free where one is.
    pub fn at(&self, now_ms: u64) -> u32 {
        self.count - self.earliest.partition_point(|expires_ms| *expires_ms <= now_ms) as u32
    }
}

/// The holds. Owned by the state.
#[derive(Debug, PartialEq)]
pub struct Holds {
    limit: usize,
    rows: BTreeMap<Position, Hold>,
    /// Those that count, of each code in the order of expiry.
    counted: BTreeSet<(CodeAt, u64, Position)>,
    /// How many of a code count; only codes that have some.
    count_of: BTreeMap<CodeAt, u32>,
    /// Those that count, in the order of expiry.
    expiring: BTreeSet<(u64, Position)>,
    /// The others, in the order of being forgotten.
    ended: BTreeSet<(u64, Position)>,
    /// When the next hold expires or is forgotten.
    next_ms: u64,
    /// See [`Holds::touched`].
    touched: Vec<CodeAt>,
}

impl Default for Holds {
    fn default() -> Holds {
        Holds {
            limit: HOLDS_MAX,
            rows: BTreeMap::new(),
            counted: BTreeSet::new(),
            count_of: BTreeMap::new(),
            expiring: BTreeSet::new(),
            ended: BTreeSet::new(),
            next_ms: u64::MAX,
            touched: Vec::new(),
        }
    }
}

impl Holds {
    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many uses of a code count as held; `None` for none.
    pub fn of_code(&self, at: CodeAt) -> Option<HeldUses> {
        let count = *self.count_of.get(&at)?;
        let mut earliest = [u64::MAX; EARLIEST];
        earliest.iter_mut().zip(self.expiries(at)).for_each(|(place, expires_ms)| *place = expires_ms);
        Some(HeldUses { count, earliest })
    }

    /// The codes of which holds count.
    pub fn codes(&self) -> impl Iterator<Item = CodeAt> {
        self.count_of.keys().copied()
    }

    /// The codes whose standing the newest record may have changed, of campaigns that have or had holds: at most a few.
    pub fn touched(&self) -> &[CodeAt] {
        &self.touched
    }

    /// A hold that is known at a time.
    pub(super) fn known(&self, hold: Position, now_ms: u64) -> Option<&Hold> {
        self.rows.get(&hold).filter(|hold| now_ms < hold.forgotten_ms)
    }

    /// Whether there is no place for another hold at a time: all that are remembered are open.
    pub(super) fn is_full(&self, now_ms: u64) -> bool {
        let all_open = self.ended.is_empty() && self.expiring.first().is_none_or(|(expires_ms, _)| now_ms < *expires_ms);
        self.rows.len() >= self.limit && all_open
    }

    /// How many uses of a code are held at a time, exact where it matters: where so many as there is `room` for would be. Below that
    /// expired ones may be among them.
    pub(super) fn held(&self, at: CodeAt, now_ms: u64, room: u32) -> u32 {
        let count = self.count_of.get(&at).copied().unwrap_or(0);
        if count < room {
            return count;
        }
        // One use is to be free: so many must have expired, and they are the earliest. It is one, as long as caps are not lowered.
        let needed = (count - room) as usize + 1;
        let expired = self.expiries(at).take(needed).take_while(|expires_ms| *expires_ms <= now_ms).count();
        count - expired as u32
    }

    fn expiries(&self, at: CodeAt) -> impl Iterator<Item = u64> {
        self.counted.range((at, 0, Position(0))..=(at, u64::MAX, Position(u64::MAX))).map(|(_, expires_ms, _)| *expires_ms)
    }

    /// Begins a record: takes note of a few holds that have expired by its time, and forgets a few that ended long ago.
    #[inline]
    pub(super) fn begin(&mut self, campaigns: &mut Campaigns, now_ms: u64) {
        self.touched.clear();
        if now_ms >= self.next_ms {
            self.sweep(campaigns, now_ms);
        }
    }

    #[cold]
    fn sweep(&mut self, campaigns: &mut Campaigns, now_ms: u64) {
        for _ in 0..SWEPT_PER_RECORD {
            match self.expiring.first() {
                Some((expires_ms, hold)) if *expires_ms <= now_ms => self.lapse(campaigns, *hold),
                Some(_) | None => break,
            }
        }
        for _ in 0..SWEPT_PER_RECORD {
            match self.ended.first() {
                Some((forgotten_ms, hold)) if *forgotten_ms <= now_ms => self.forget((*forgotten_ms, *hold)),
                Some(_) | None => break,
            }
        }
        self.set_next();
    }

    /// A use of a code is about to be taken: where only expired holds stand in the way of it, they count no longer.
    pub(super) fn make_room(&mut self, campaigns: &mut Campaigns, at: CodeAt, now_ms: u64) {
        self.touched.push(at);
        loop {
            let Some(count) = self.count_of.get(&at) else { return };
            if campaigns.of(at.campaign).is_none_or(|campaign| campaign.room(at.slot) > *count) {
                return;
            }
            match self.counted.range((at, 0, Position(0))..).next() {
                Some((_, expires_ms, hold)) if *expires_ms <= now_ms => self.lapse(campaigns, *hold),
                Some(_) | None => return,
            }
            self.set_next();
        }
    }

    /// Adds a hold. At the limit the one that is nearest to being forgotten is forgotten now.
    pub(super) fn give(&mut self, campaigns: &mut Campaigns, position: Position, hold: Hold, now_ms: u64) {
        let at = hold.at;
        self.make_room(campaigns, at, now_ms);
        let Some(campaign) = campaigns.of_mut(at.campaign) else { return };
        campaign.held += 1;
        while self.rows.len() >= self.limit.max(1) {
            match (self.ended.first(), self.expiring.first()) {
                (Some(oldest), _) => self.forget(*oldest),
                (None, Some((_, oldest))) => self.lapse(campaigns, *oldest),
                (None, None) => break,
            }
        }
        *self.count_of.entry(at).or_default() += 1;
        self.counted.insert((at, hold.expires_ms, position));
        self.expiring.insert((hold.expires_ms, position));
        self.rows.insert(position, hold);
        self.set_next();
    }

    /// Ends a hold that has not ended.
    pub(super) fn end(&mut self, campaigns: &mut Campaigns, position: Position, end: End, now_ms: u64) {
        let Some(hold) = self.rows.get(&position) else { return };
        match hold.status {
            Status::Counted => self.lapse(campaigns, position),
            Status::Lapsed => self.touched.push(hold.at),
            Status::Ended(_) => return,
        }
        let hold = self.rows.get_mut(&position).expect("it was there just now");
        self.ended.remove(&(hold.forgotten_ms, position));
        hold.status = Status::Ended(end);
        hold.forgotten_ms = now_ms.saturating_add(HOLD_KEPT_MS);
        self.ended.insert((hold.forgotten_ms, position));
        self.set_next();
    }

    /// A hold that counts does not any more.
    fn lapse(&mut self, campaigns: &mut Campaigns, position: Position) {
        let hold = self.rows.get_mut(&position).expect("what counts has a row");
        hold.status = Status::Lapsed;
        let (at, expires_ms, forgotten_ms) = (hold.at, hold.expires_ms, hold.forgotten_ms);
        self.counted.remove(&(at, expires_ms, position));
        self.expiring.remove(&(expires_ms, position));
        self.ended.insert((forgotten_ms, position));
        let count = self.count_of.get_mut(&at).expect("its code has a count");
        *count -= 1;
        if *count == 0 {
            self.count_of.remove(&at);
        }
        let campaign: &mut Campaign = campaigns.of_mut(at.campaign).expect("a hold was given on its campaign, which stays");
        campaign.held -= 1;
        self.touched.push(at);
    }

    fn forget(&mut self, oldest: (u64, Position)) {
        self.ended.remove(&oldest);
        self.rows.remove(&oldest.1);
    }

    fn set_next(&mut self) {
        let first = |holds: &BTreeSet<(u64, Position)>| holds.first().map_or(u64::MAX, |(at_ms, _)| *at_ms);
        self.next_ms = first(&self.expiring).min(first(&self.ended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_protocol::CampaignId;
    use scrip_protocol::command::{CodeTexts, Terms};

    const AT: CodeAt = CodeAt { campaign: CampaignId(1), slot: 0 };

    fn campaigns(cap: Option<u32>) -> Campaigns {
        let terms = Terms { activations_per_code_max: cap, ..Terms::new("a campaign", Money(1)) };
        let (mut campaign, mut codes) = (Campaign::new(terms, 0), CodeTexts::default());
        codes.push("A");
        campaign.add_codes(&codes, 0, Position(1));
        let mut campaigns = Campaigns::default();
        campaigns.add(campaign);
        campaigns
    }

    /// A record of a hold.
    fn give(holds: &mut Holds, campaigns: &mut Campaigns, position: u64, now_ms: u64, expires_ms: u64) {
        holds.begin(campaigns, now_ms);
        let hold = Hold::given(AT, ClientId(1), ClubId(1), CredentialId(1), Money(1), expires_ms);
        holds.give(campaigns, Position(position), hold, now_ms);
    }

    #[test]
    fn at_the_limit_the_first_to_have_ended_is_forgotten_and_never_an_open_one() {
        let (mut campaigns, mut holds) = (campaigns(None), Holds { limit: 3, ..Holds::default() });
        for (position, expires_ms) in [(1, 5_000), (2, 2_000), (3, 9_000)] {
            assert!(!holds.is_full(0));
            give(&mut holds, &mut campaigns, position, 0, expires_ms);
        }
        assert!(holds.is_full(1_999) && !holds.is_full(2_000), "one has expired");
        holds.end(&mut campaigns, Position(3), End::Released, 1_000);
        assert!(!holds.is_full(1_000), "one was released");
        give(&mut holds, &mut campaigns, 4, 1_000, 9_000);
        let known = |holds: &Holds| [1, 2, 3, 4, 5].map(|hold| holds.known(Position(hold), 1_000).is_some());
        assert_eq!(known(&holds), [true, true, false, true, false]);
        assert!(holds.is_full(1_999));
        give(&mut holds, &mut campaigns, 5, 2_000, 9_000);
        assert_eq!(known(&holds), [true, false, false, true, true]);
        assert_eq!((holds.len(), campaigns.of(AT.campaign).map(|campaign| campaign.held)), (3, Some(3)));
    }

    #[test]
    fn a_record_takes_note_of_a_few_expired_holds_and_all_are_gone_in_the_end() {
        let (mut campaigns, mut holds) = (campaigns(None), Holds::default());
        let given = 5 * SWEPT_PER_RECORD;
        (1..=given as u64).for_each(|position| give(&mut holds, &mut campaigns, position, 0, 1_000));
        let held = |campaigns: &Campaigns| campaigns.of(AT.campaign).map_or(0, |campaign| campaign.held as usize);
        holds.begin(&mut campaigns, 999);
        assert_eq!((held(&campaigns), holds.touched()), (given, [].as_slice()));
        for records in 1..=5 {
            holds.begin(&mut campaigns, 1_000);
            assert_eq!(held(&campaigns), given - records * SWEPT_PER_RECORD);
        }
        assert_eq!((holds.of_code(AT), holds.codes().count(), holds.len()), (None, 0, given));
        for _ in 0..5 {
            holds.begin(&mut campaigns, 1_000 + HOLD_KEPT_MS);
        }
        assert_eq!(holds, Holds { touched: Vec::new(), ..Holds::default() });
    }

    #[test]
    fn the_uses_of_a_code_are_exact_whatever_is_still_counted() {
        let (mut campaigns, mut holds) = (campaigns(Some(40)), Holds::default());
        (1..=40).for_each(|position| give(&mut holds, &mut campaigns, position, 0, 1_000 + position));
        // At no time is more expired than it is, and a use is free as soon as one is.
        assert_eq!(holds.held(AT, 1_000, 40), 40);
        assert_eq!(holds.held(AT, 1_001, 40), 39);
        let told = holds.of_code(AT).expect("there are some");
        assert_eq!([1_000, 1_001, 1_005].map(|now_ms| told.at(now_ms)), [40, 39, 35]);
        // The forty-first takes the place of the earliest, and of no other.
        give(&mut holds, &mut campaigns, 41, 1_001, 5_000);
        assert_eq!(holds.held(AT, 1_001, 40), 40);
        assert_eq!(holds.of_code(AT).map(|held| held.at(1_001)), Some(40));
    }
}
