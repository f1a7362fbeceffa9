//! Random commands against a model that is slow and obviously right: codes in lists that are walked from end to end, money in 128
//! bits, no counters and no index.
//!
//! [`campaigns`] has campaigns and their codes, [`ledger`] balances, [`rules`] a handful of rules, each beside its meaning,
//! [`readers`] the readers of the journal. [`commands`] and [`operations`] draw requests of every kind. [`seen`] counts their
//! outcomes: a random test that never reaches an outcome has not tested it. The only outcomes not reached are those that need
//! more data than this (too many holds, lines, clubs, credentials or groups).
//!
//! After every command the entries of its record must be those that the model posted, and from time to time the sums of the
//! entries of all records must be every client's balances.

mod campaigns;
mod commands;
mod ledger;
mod operations;
mod readers;
mod rules;
mod seen;

use std::collections::{BTreeSet, HashMap};

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{
    Activated, CampaignCard, ConfirmOutcome, Grant, HOLD_KEPT_MS, HOLD_TTL_MAX_MS, HOLD_TTL_MIN_MS, Held, HoldOutcome,
    ListCampaigns, RedeemOutcome, RefundOutcome, Refunded, ReleaseOutcome, Terms,
};
use scrip_protocol::ledger::entries;
use scrip_protocol::{
    Account, CampaignId, ClientId, ClubId, Command, CredentialId, Executor, Label, Money, Position, Record, Refusal, Settings,
    Stamp, wire,
};

use super::shown;
use super::{Answer, Bench, START_MS, stamp};
use crate::state::requests::Remembered;
use crate::state::{Mutation, NamedHold, RefundRequest};
use ledger::{Holdings, ModelPayment, ModelTopUp, Posted, money};
use rules::{ModelRule, without_lint};

const CODES_MAX: u32 = 6;

/// Minimum number of runs; then more until every outcome was reached, because some are rare.
const RUNS_MIN: u64 = 150;
/// An outcome that is not reached in this many runs is unreachable.
const RUNS_MAX: u64 = 1_000;

#[derive(Default)]
struct Model {
    now_ms: u64,
    position: u64,
    clubs: Vec<String>,
    campaigns: Vec<Campaign>,
    clients: HashMap<u128, Holdings>,
    /// Postings of the newest command.
    posted: Vec<Posted>,
    groups: Vec<String>,
    /// Clients with their groups.
    members: BTreeSet<(u128, u32)>,
    rules: Vec<ModelRule>,
    top_ups: Vec<ModelTopUp>,
    payments: Vec<ModelPayment>,
    holds: Vec<ModelHold>,
    activations: Vec<ModelActivation>,
    /// With whether each is revoked.
    credentials: Vec<(Grant, Option<u64>)>,
    readers: Vec<scrip_protocol::command::Reader>,
}

struct Campaign {
    terms: Terms,
    archived: bool,
    codes: Vec<Code>,
    /// The position from which clients' activations count towards their limit.
    counted_from: Option<u64>,
}

struct Code {
    /// As written and as normalised.
    text: String,
    code: String,
    archived: Archived,
    /// When its campaign last stopped holding it.
    freed: u64,
}

/// Why a code is archived, apart from its campaign.
#[derive(Clone, Copy, PartialEq)]
enum Archived {
    No,
    Alone,
    /// Left over when the campaign was restored.
    LeftOver,
}

/// A code: its campaign and its slot, both from 0.
type Place = (usize, usize);

#[derive(Clone)]
struct ModelHold {
    hold: Position,
    by: u32,
    client: u128,
    club: u32,
    at: Place,
    amount: Money,
    expires_ms: u64,
    end: Option<(u64, ModelEnd)>,
}

#[derive(Clone)]
enum ModelEnd {
    Confirmed(Activated),
    Released,
}

struct ModelActivation {
    position: u64,
    by: u32,
    client: u128,
    at: Place,
    amount: Money,
    refunded: bool,
    /// What could not be debited by its refund.
    uncollected: i128,
}

/// The code in a text; the texts here have no other white space or letters than these.
fn code_of(text: &str) -> Result<String, InvalidCode> {
    let code = text.trim().to_lowercase();
    match code.chars().position(|c| c == ' ') {
        _ if code.is_empty() => Err(InvalidCode::Empty),
        Some(before) => Err(InvalidCode::InnerWhiteSpace { at: before as u32 + 1 }),
        None => Ok(code),
    }
}

impl Model {
    fn code(&self, at: Place) -> &Code {
        &self.campaigns[at.0].codes[at.1]
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let codes = |campaign: usize| (0..self.campaigns[campaign].codes.len()).map(move |code| (campaign, code));
        (0..self.campaigns.len()).flat_map(codes)
    }

    fn is_live(&self, at: Place) -> bool {
        self.code(at).archived == Archived::No && !self.campaigns[at.0].archived
    }

    /// The place of a value: in the campaign that holds it, or in the one that held it last.
    fn find(&self, code: &str) -> Option<Place> {
        let mut having: Vec<Place> = self.places().filter(|at| self.code(*at).code == code).collect();
        having.sort_by_key(|at| (self.is_live(*at), self.code(*at).freed));
        having.last().copied()
    }

    /// The campaign that holds a value.
    fn holder(&self, code: &str) -> Option<usize> {
        self.find(code).filter(|at| self.is_live(*at)).map(|at| at.0)
    }

    /// Holds that were not ended and have not expired.
    fn open_holds(&self, campaign: usize) -> impl Iterator<Item = &ModelHold> {
        let open = move |hold: &&ModelHold| hold.at.0 == campaign && hold.end.is_none() && self.now_ms < hold.expires_ms;
        self.holds.iter().filter(open)
    }

    /// Activations that were not refunded.
    fn activations(&self, campaign: usize) -> impl Iterator<Item = &ModelActivation> {
        self.activations.iter().filter(move |activation| activation.at.0 == campaign && !activation.refunded)
    }

    fn activations_of(&self, at: Place) -> u32 {
        self.activations(at.0).filter(|activation| activation.at == at).count() as u32
    }

    /// What was debited again is not issued; the uncollected part is.
    fn issued(&self, campaign: usize) -> i128 {
        let issued: i128 = self.activations(campaign).map(|activation| i128::from(activation.amount.0)).sum();
        issued + self.uncollected(campaign)
    }

    fn uncollected(&self, campaign: usize) -> i128 {
        self.activations.iter().filter(|activation| activation.at.0 == campaign).map(|activation| activation.uncollected).sum()
    }

    /// Why a client cannot use a code at a club, for a bonus. Open holds count as activations, in every limit.
    fn refusal_of(&self, at: Place, client: u128, club: u32, amount: Money) -> Option<RedeemOutcome> {
        let Campaign { terms, archived, counted_from, .. } = &self.campaigns[at.0];
        let held = |whose: &dyn Fn(&&ModelHold) -> bool| self.open_holds(at.0).filter(whose).count();
        let code_uses = self.activations_of(at) as usize + held(&|hold| hold.at == at);
        let counted = |activation: &&ModelActivation| {
            activation.client == client && counted_from.is_some_and(|from| activation.position > from)
        };
        let client_uses = self.activations(at.0).filter(counted).count() + held(&|hold| hold.client == client);
        let uses = self.activations(at.0).count() + held(&|_| true);
        let committed = self.issued(at.0) + self.open_holds(at.0).map(|hold| i128::from(hold.amount.0)).sum::<i128>();
        if self.code(at).archived != Archived::No {
            return Some(RedeemOutcome::CodeArchived);
        }
        if *archived {
            return Some(RedeemOutcome::CampaignArchived);
        }
        if !terms.active {
            return Some(RedeemOutcome::CampaignInactive);
        }
        let begun = terms.starts_ms.is_none_or(|starts_ms| starts_ms <= self.now_ms);
        let over = terms.ends_ms.is_some_and(|ends_ms| ends_ms < self.now_ms);
        if terms.enforce_period && (!begun || over) {
            return Some(RedeemOutcome::OutsidePeriod);
        }
        if !terms.clubs.is_empty() && !terms.clubs.contains(&ClubId(club)) {
            return Some(RedeemOutcome::ClubExcluded);
        }
        if terms.activations_per_code_max.is_some_and(|max| code_uses >= max as usize) {
            return Some(RedeemOutcome::CodeExhausted);
        }
        if terms.activations_per_client_max.is_some_and(|max| client_uses >= max as usize) {
            return Some(RedeemOutcome::ClientExhausted);
        }
        if terms.activations_max.is_some_and(|max| uses as u64 >= max) {
            return Some(RedeemOutcome::CampaignExhausted);
        }
        let budget = terms.budget.map(|budget| i128::from(budget.0));
        budget.is_some_and(|budget| committed + i128::from(amount.0) > budget).then_some(RedeemOutcome::BudgetExhausted)
    }

    /// A client's balance after a bonus; none if it, or the campaign's sum, would overflow.
    fn balance_after(&self, client: u128, campaign: usize, amount: Money) -> Option<Money> {
        let balance = self.holdings(client).bonus + i128::from(amount.0);
        i64::try_from(self.issued(campaign) + i128::from(amount.0)).ok()?;
        i64::try_from(balance).ok().map(Money)
    }

    /// The code and the amount of a permitted use.
    fn permitted(&self, client: u128, club: u32, text: &str, top_up: Position) -> Result<(Place, Money), RedeemOutcome> {
        let code = code_of(text).map_err(RedeemOutcome::InvalidCode)?;
        if club == 0 || club as usize > self.clubs.len() {
            return Err(RedeemOutcome::UnknownClub);
        }
        if !self.is_top_up_of(client, top_up) {
            return Err(RedeemOutcome::UnknownTopUp);
        }
        let at = self.find(&code).ok_or(RedeemOutcome::UnknownCode)?;
        let amount = self.campaigns[at.0].terms.amount;
        if let Some(refusal) = self.refusal_of(at, client, club, amount) {
            return Err(refusal);
        }
        self.balance_after(client, at.0, amount).ok_or(RedeemOutcome::AmountLimit)?;
        Ok((at, amount))
    }

    fn activate(&mut self, by: u32, client: u128, at: Place, amount: Money) -> Option<Activated> {
        let balance = self.balance_after(client, at.0, amount)?;
        self.post(client, Account::Bonus, Label::BonusCredit, Executor::system(), amount.0.into());
        let position = self.position;
        self.activations.push(ModelActivation { position, by, client, at, amount, refunded: false, uncollected: 0 });
        Some(Activated { activation: Position(self.position), campaign: CampaignId(at.0 as u32 + 1), amount, balance })
    }

    fn redeem(&mut self, by: u32, client: u128, club: u32, text: &str, top_up: Position) -> RedeemOutcome {
        match self.permitted(client, club, text, top_up) {
            Ok((at, amount)) => self.activate(by, client, at, amount).map_or(RedeemOutcome::AmountLimit, RedeemOutcome::Redeemed),
            Err(refusal) => refusal,
        }
    }

    fn hold(&mut self, by: u32, client: u128, club: u32, text: &str, ttl_ms: u64) -> HoldOutcome {
        if !(HOLD_TTL_MIN_MS..=HOLD_TTL_MAX_MS).contains(&ttl_ms) {
            return HoldOutcome::InvalidTtl;
        }
        let (at, amount) = match self.permitted(client, club, text, Position(0)) {
            Ok(permitted) => permitted,
            Err(refusal) => return HoldOutcome::Refused(refusal),
        };
        let (hold, expires_ms) = (Position(self.position), self.now_ms + ttl_ms);
        let revoked_ms = (by as usize).checked_sub(1).and_then(|at| self.credentials.get(at)?.1);
        let until_ms = revoked_ms.map_or(expires_ms, |revoked_ms| expires_ms.min(revoked_ms));
        self.holds.push(ModelHold { hold, by, client, club, at, amount, expires_ms: until_ms, end: None });
        HoldOutcome::Held(Held { hold, campaign: CampaignId(at.0 as u32 + 1), amount, expires_ms })
    }

    /// The index of a hold that exists and that the caller may name.
    fn known(&self, by: u32, named: &NamedHold) -> Option<usize> {
        let at = self.holds.iter().position(|hold| hold.hold == named.hold)?;
        let hold = &self.holds[at];
        let ended_ms = hold.end.as_ref().map_or(hold.expires_ms, |(ended_ms, _)| *ended_ms);
        (self.now_ms < ended_ms + HOLD_KEPT_MS && (named.anyones || hold.by == by)).then_some(at)
    }

    fn confirm(&mut self, by: u32, named: &NamedHold, top_up: Position) -> ConfirmOutcome {
        let Some(nth) = self.known(by, named) else { return ConfirmOutcome::UnknownHold };
        let ModelHold { client, club, at, amount, expires_ms, end, .. } = self.holds[nth].clone();
        match end {
            Some((_, ModelEnd::Confirmed(done))) => return ConfirmOutcome::AlreadyConfirmed(done),
            Some((_, ModelEnd::Released)) => return ConfirmOutcome::Released,
            None => {}
        }
        if !self.is_top_up_of(client, top_up) {
            return ConfirmOutcome::UnknownTopUp;
        }
        if expires_ms <= self.now_ms
            && let Some(refusal) = self.refusal_of(at, client, club, amount)
        {
            return ConfirmOutcome::Expired(refusal);
        }
        let Some(done) = self.activate(by, client, at, amount) else { return ConfirmOutcome::AmountLimit };
        self.holds[nth].end = Some((self.now_ms, ModelEnd::Confirmed(done)));
        ConfirmOutcome::Confirmed(done)
    }

    fn release(&mut self, by: u32, named: &NamedHold) -> ReleaseOutcome {
        let Some(at) = self.known(by, named) else { return ReleaseOutcome::UnknownHold };
        match self.holds[at].end {
            Some((_, ModelEnd::Confirmed(done))) => ReleaseOutcome::AlreadyConfirmed(done),
            Some((_, ModelEnd::Released)) => ReleaseOutcome::AlreadyReleased,
            None => {
                self.holds[at].end = Some((self.now_ms, ModelEnd::Released));
                ReleaseOutcome::Released
            }
        }
    }

    fn refund(&mut self, by: u32, request: &RefundRequest) -> RefundOutcome {
        if let Some(first) = not_kept(request.activation, request.kept_from) {
            return RefundOutcome::NotKept { first };
        }
        let named = self.activations.iter().position(|activation| activation.position == request.activation.0);
        let Some(at) = named.filter(|at| request.anyones || self.activations[*at].by == by) else {
            return RefundOutcome::UnknownActivation;
        };
        if self.activations[at].refunded {
            return RefundOutcome::AlreadyRefunded;
        }
        let (client, amount) = (self.activations[at].client, i128::from(self.activations[at].amount.0));
        let has = self.holdings(client).bonus;
        if has < amount && !request.force {
            return RefundOutcome::BonusSpent { balance: money(has) };
        }
        let taken = has.min(amount);
        let activation = &mut self.activations[at];
        (activation.refunded, activation.uncollected) = (true, amount - taken);
        self.post(client, Account::Bonus, Label::BonusWriteOff, Executor::system(), -taken);
        let (uncollected, balance) = (money(amount - taken), money(has - taken));
        RefundOutcome::Refunded(Refunded { client: ClientId(client), taken: money(taken), uncollected, balance })
    }

    /// Compares everything visible of the state.
    fn compare(&self, bench: &Bench) {
        let state = &bench.state;
        assert_eq!(state.position(), Position(self.position));
        self.compare_ledger(bench);
        self.compare_rules(bench);
        self.compare_readers(bench);
        assert_eq!(state.campaigns.next(), CampaignId(self.campaigns.len() as u32 + 1));
        let values: BTreeSet<&str> = self.places().map(|at| self.code(at).code.as_str()).collect();
        assert_eq!(bench.index.value_count(), values.len());
        let refunded: BTreeSet<u64> = self.activations.iter().filter(|one| one.refunded).map(|one| one.position).collect();
        assert_eq!(state.given_back.refunded().map(|position| position.0).collect::<BTreeSet<u64>>(), refunded);
        let all = ListCampaigns { status: scrip_protocol::command::CampaignFilter::All, ..ListCampaigns::default() };
        let mut activations_of: HashMap<Place, u32> = HashMap::new();
        let activations = self.activations.iter().filter(|activation| !activation.refunded);
        activations.for_each(|activation| *activations_of.entry(activation.at).or_default() += 1);
        for card in state.list_campaigns(bench.now_ms, &all).campaigns {
            self.compare_campaign(&card, bench, &activations_of);
        }
        let credentials = state.credentials.after(CredentialId(0));
        let credentials: Vec<_> = credentials.map(|(_, of)| (of.grant.clone(), of.revoked_ms)).collect();
        assert_eq!(credentials, self.credentials);
    }

    fn compare_campaign(&self, card: &CampaignCard, bench: &Bench, activations_of: &HashMap<Place, u32>) {
        let at = card.campaign.0 as usize - 1;
        let campaign = &self.campaigns[at];
        assert_eq!(card.terms, campaign.terms);
        assert_eq!(card.archived_ms.is_some(), campaign.archived, "campaign {}", card.campaign);
        assert_eq!(card.activations, self.activations(at).count() as u64);
        assert_eq!(i128::from(card.issued.0), self.issued(at));
        assert_eq!(i128::from(card.uncollected.0), self.uncollected(at));
        assert_eq!(card.refunds, self.activations.iter().filter(|one| one.at.0 == at && one.refunded).count() as u64);
        assert_eq!(card.clients_counted_from_ms.is_some(), campaign.counted_from.is_some());
        assert_eq!(card.added.iter().map(|batch| batch.codes as usize).sum::<usize>(), campaign.codes.len());
        let of_state = bench.state.campaigns.of(card.campaign).expect("it has a card");
        let texts: Vec<&str> = of_state.codes.iter().collect();
        assert_eq!(texts, campaign.codes.iter().map(|code| code.text.as_str()).collect::<Vec<_>>());
        for (nth, code) in campaign.codes.iter().enumerate() {
            let slot = nth as u32;
            let activations = activations_of.get(&(at, nth)).copied().unwrap_or(0);
            assert_eq!(of_state.activations_of.get(nth as u32), Some(&activations), "{}", code.text);
            assert_eq!(of_state.is_code_archived(slot), code.archived != Archived::No, "{}", code.text);
            assert_eq!(of_state.freed(slot).is_none(), self.is_live((at, nth)), "{}", code.text);
            let found = crate::state::Lookup::find(&bench.index, &crate::index::normalise(&code.code).expect("a code"));
            let expected = self.find(&code.code).map(|(campaign, slot)| (campaign as u32 + 1, slot as u32));
            assert_eq!(found.map(|at| (at.campaign.0, at.slot)), expected, "{}", code.text);
        }
    }
}

/// The first retained position, if that is after a position that existed.
fn not_kept(position: Position, kept_from: Position) -> Option<Position> {
    (1..kept_from.0).contains(&position.0).then_some(kept_from)
}

fn encoded<C: Command>(outcome: &C::Outcome) -> Remembered {
    let mut bytes = Vec::new();
    wire::encode(outcome, &mut bytes);
    Remembered::Other(Box::new((C::KIND as u16, bytes)))
}

/// The sums of the entries of all records so far (B1, B5, Z10).
#[derive(Default)]
struct Sums {
    of: HashMap<(ClientId, Account), i128>,
}

impl Sums {
    fn add(&mut self, record: &Record) {
        for entry in entries(record) {
            *self.of.entry((entry.client, entry.account)).or_default() += i128::from(entry.amount.0);
        }
    }

    fn compare(&self, bench: &Bench) {
        for (client, has) in bench.state.clients.iter() {
            let sum = |account| self.of.get(&(client, account)).copied().unwrap_or(0);
            let sums = (sum(Account::Gaming), sum(Account::Bonus));
            assert_eq!(sums, (has.gaming.0.into(), has.bonus.0.into()), "the balances of client {client}");
            assert!(sums.0 >= 0 && sums.1 >= 0, "client {client}");
        }
    }
}

/// B1, B5, D4, D5, A22, A29, A30, Z1 to Z5, Z10; pains 1, 10, 25, 27, 28.
#[test]
fn random_commands_do_what_the_model_does() {
    let first_seed = fastrand::u64(..);
    println!("seeds from {first_seed}");
    let mut seen = seen::Seen::default();
    for (seed, runs) in (0..RUNS_MAX).map(|more| (first_seed.wrapping_add(more), more)) {
        if runs >= RUNS_MIN && seen.is_complete() {
            break;
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new(Settings { codes_per_campaign_max: CODES_MAX, ..Settings::default() });
        let mut model = Model { position: 1, ..Model::default() };
        let (mut sums, mut sent) = (Sums::default(), Vec::<(Stamp, Mutation, Remembered)>::new());
        for number in 0..random.u64(20..2_400) {
            bench.now_ms += random.u64(..60);
            if random.u32(..400) == 0 {
                // Some holds are forgotten at about that time; so are the ids of the requests so far.
                bench.now_ms += HOLD_KEPT_MS - random.u64(..3_000);
                sent.clear();
            }
            model.now_ms = bench.now_ms;
            if random.u32(..200) == 0 {
                bench.restart_from_snapshot();
            }
            if !sent.is_empty() && random.u32(..10) == 0 {
                let (stamp, request, reply) = &sent[random.usize(..sent.len())];
                assert_eq!(bench.run(*stamp, request), Answer::Again(reply.clone()), "seed {seed}, command {number}");
                let other = Stamp { body: u64::MAX, ..*stamp };
                let refused = bench.run(other, request);
                assert_eq!(refused, Answer::Refused(Refusal::RequestIdReused), "seed {seed}, command {number}");
                continue;
            }
            let by = random.u32(1..3);
            let (request, reply) = commands::some_request(&mut random, &mut model, &bench, by, number);
            let stamp = Stamp { credential: CredentialId(by), ..stamp(bench.now_ms, number, number) };
            let found = bench.run(stamp, &request);
            let Answer::New(found) = found else { panic!("seed {seed}, command {number}: {found:?} to {request:?}") };
            assert_eq!(without_lint(found.clone()), reply, "seed {seed}, command {number}: {request:?}");
            let (_, record) = bench.records.last().expect("a request leaves a record");
            model.compare_record(record);
            sums.add(record);
            seen.count(&reply);
            sent.push((stamp, request, found));
            if number % 8 == 0 {
                model.compare(&bench);
                sums.compare(&bench);
            }
            if number % 16 == 0 {
                shown::recount(&bench);
            }
        }
        model.compare(&bench);
        sums.compare(&bench);
        bench.compare_with_replay();
    }
    seen.check();
}
