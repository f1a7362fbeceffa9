//! The ledger in the model: balances in 128 bits, which only [`Model::post`] changes, so that its postings are what the entries
//! of a record must contain.

use scrip_protocol::command::{
    BonusDone, BonusOutcome, CreditBonus, InvalidNote, InvalidTags, Note, PaidFor, PaidFrom, PayBonus, RecordPurchase,
    RecordSession, RefundBonusOutcome, RefundTopUpOutcome, RegisterGroupOutcome, RuleFailed, RuleFired, SpendOutcome, TopUp,
    TopUpDone, TopUpGivenBack, TopUpOutcome, WriteOffBonus,
};
use scrip_protocol::ledger::{ExecutorKind, entries};
use scrip_protocol::{
    Account, Accounts, ClientId, ClubId, CredentialId, Executor, FormulaFailure, GroupId, Label, Money, Position, Record, Role,
    Variables,
};

use super::rules::rounded;
use super::{Bench, Model, not_kept};
use crate::state::{RefundBonusRequest, RefundTopUpRequest};

const MOST: i128 = i64::MAX as i128;

/// The balances of a client.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holdings {
    pub(super) gaming: i128,
    pub(super) bonus: i128,
    pub(super) spent: i128,
    pub(super) sessions: u32,
}

impl Holdings {
    fn accounts(&self) -> Accounts {
        Accounts { gaming: money(self.gaming), bonus: money(self.bonus), spent: money(self.spent), sessions: self.sessions }
    }
}

/// A posting, as an entry of the ledger has it.
#[derive(Debug, PartialEq)]
pub(super) struct Posted {
    client: ClientId,
    account: Account,
    label: Label,
    executor: Executor,
    amount: i128,
}

/// A top-up, with the effects of rules.
pub(super) struct ModelTopUp {
    pub(super) position: u64,
    by: u32,
    client: u128,
    amount: i128,
    credited: i128,
    given_back: i128,
    fired: Vec<RuleFired>,
    failed: Vec<RuleFailed>,
}

/// A payment with bonuses.
pub(super) struct ModelPayment {
    pub(super) position: u64,
    by: u32,
    client: u128,
    amount: i128,
    given_back: i128,
}

pub(super) fn money(amount: i128) -> Money {
    Money(i64::try_from(amount).expect("the model keeps to what an amount can hold"))
}

/// What is wrong with tags.
pub(super) fn invalid_tags(tags: &[String]) -> Option<InvalidTags> {
    for (at, tag) in (1..).zip(tags) {
        if tag.trim().is_empty() || tag.len() > 50 || tag.contains('\n') {
            return Some(InvalidTags::Tag(at));
        }
    }
    let distinct: std::collections::BTreeSet<&String> = tags.iter().collect();
    (distinct.len() > 8).then_some(InvalidTags::TooMany)
}

fn invalid_note(note: &Note) -> Option<InvalidNote> {
    if note.by.len() > 200 {
        Some(InvalidNote::By)
    } else if note.comment.len() > 500 {
        Some(InvalidNote::Comment)
    } else {
        invalid_tags(&note.tags).map(InvalidNote::Tags)
    }
}

/// Tags, valid or not.
pub(super) fn some_tags(random: &mut fastrand::Rng) -> Vec<String> {
    let texts: &[&str] = match random.u32(..60) {
        0 => &["a", ""],
        1 => &["a\nb"],
        2 => &["1", "2", "3", "4", "5", "6", "7", "8", "9"],
        3..10 => &["b", "a", "b"],
        10..20 => &["1", "2", "3", "4", "5", "6", "7", "8", "8"],
        _ => &[],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A note, valid or not.
pub(super) fn some_note(random: &mut fastrand::Rng) -> Note {
    let by = match random.u32(..60) {
        0 => "n".repeat(201),
        1 => "n".repeat(200),
        2..10 => "Ann".to_owned(),
        _ => String::new(),
    };
    let comment = match random.u32(..60) {
        0 => "c".repeat(501),
        1 => "c".repeat(500),
        _ => String::new(),
    };
    Note { by, comment, tags: some_tags(random) }
}

impl Model {
    pub(super) fn has_club(&self, club: ClubId) -> bool {
        club.0 > 0 && club.0 as usize <= self.clubs.len()
    }

    /// The balances of a client, or zero.
    pub(super) fn holdings(&self, client: u128) -> Holdings {
        self.clients.get(&client).copied().unwrap_or_default()
    }

    /// The only function that changes a balance.
    pub(super) fn post(&mut self, client: u128, account: Account, label: Label, executor: Executor, amount: i128) {
        let has = self.clients.entry(client).or_default();
        let balance = match account {
            Account::Gaming => &mut has.gaming,
            Account::Bonus => &mut has.bonus,
        };
        *balance += amount;
        assert!((0..=MOST).contains(balance), "{balance} is no balance");
        if amount != 0 {
            self.posted.push(Posted { client: ClientId(client), account, label, executor, amount });
        }
    }

    /// The executor of a request.
    fn executor(&self, by: u32, note: &Note) -> Executor {
        let credential = self.credentials.get(by as usize - 1).map(|(grant, _)| grant);
        let is_person = credential.is_some_and(|grant| grant.role == Role::Cashier || grant.role == Role::Operator);
        let kind = if is_person { ExecutorKind::Administrator } else { ExecutorKind::System };
        let of_credential = credential.map_or(String::new(), |grant| grant.name.clone());
        let name = if note.by.is_empty() { of_credential } else { note.by.clone() };
        Executor { kind, credential: CredentialId(by), name }
    }

    pub(super) fn register_group(&mut self, name: &str) -> RegisterGroupOutcome {
        if name.is_empty() {
            return RegisterGroupOutcome::InvalidName;
        }
        if let Some(at) = self.groups.iter().position(|other| other == name) {
            return RegisterGroupOutcome::NameTaken(GroupId(at as u32 + 1));
        }
        self.groups.push(name.to_owned());
        RegisterGroupOutcome::Registered(GroupId(self.groups.len() as u32))
    }

    /// Whether a client has that top-up, or none is named.
    pub(super) fn is_top_up_of(&self, client: u128, top_up: Position) -> bool {
        let mut theirs = self.top_ups.iter().filter(|one| one.client == client);
        top_up == Position(0) || theirs.any(|one| one.position == top_up.0)
    }

    pub(super) fn top_up(&mut self, by: u32, request: &TopUp) -> TopUpOutcome {
        let TopUp { client: ClientId(client), club, amount, source, ref note } = *request;
        if amount.0 <= 0 {
            return TopUpOutcome::InvalidAmount;
        }
        if let Some(why) = invalid_note(note) {
            return TopUpOutcome::InvalidNote(why);
        }
        if !self.has_club(club) {
            return TopUpOutcome::UnknownClub;
        }
        let before = self.holdings(client);
        if before.gaming + i128::from(amount.0) > MOST {
            return TopUpOutcome::AmountLimit;
        }
        let Accounts { gaming, bonus, spent, sessions } = before.accounts();
        let variables = Variables { amount, source, gaming, bonus, spent, sessions };
        let all = self.fire(club, &variables);
        self.post(client, Account::Gaming, Label::TopUp, self.executor(by, note), amount.0.into());
        let (mut fired, mut failed, mut credited_in_all) = (Vec::new(), Vec::new(), 0);
        for (rule, done) in all {
            let credited = done.as_ref().map_or(0, |done| i128::from(done.result.unwrap_or(0).max(0)) * 100);
            let done = done.and_then(|done| match before.bonus + credited_in_all + credited > MOST {
                true => Err(FormulaFailure::Overflow),
                false => Ok(done),
            });
            self.count_fired(rule, done.is_ok().then_some(credited));
            match done {
                Ok(done) => {
                    self.post(client, Account::Bonus, Label::BonusCredit, Executor::system(), credited);
                    credited_in_all += credited;
                    fired.push(done);
                }
                Err(why) => failed.push(RuleFailed { rule, why }),
            }
        }
        for group in fired.iter().flat_map(|done| &done.unassigned) {
            self.members.remove(&(client, group.0));
        }
        for group in fired.iter().flat_map(|done| &done.assigned) {
            self.members.insert((client, group.0));
        }
        let Accounts { gaming, bonus, .. } = self.holdings(client).accounts();
        let (position, credited) = (self.position, money(credited_in_all));
        let counts = (fired.len() as u32, failed.len() as u32);
        let (amount, credited_in_all) = (amount.0.into(), credited_in_all);
        self.top_ups.push(ModelTopUp { position, by, client, amount, credited: credited_in_all, given_back: 0, fired, failed });
        let top_up = Position(position);
        TopUpOutcome::ToppedUp(TopUpDone { top_up, gaming, bonus, credited, fired: counts.0, failed: counts.1 })
    }

    pub(super) fn refund_top_up(&mut self, by: u32, request: &RefundTopUpRequest) -> RefundTopUpOutcome {
        if request.amount.is_some_and(|amount| amount.0 <= 0) {
            return RefundTopUpOutcome::InvalidAmount;
        }
        if let Some(why) = invalid_note(&request.note) {
            return RefundTopUpOutcome::InvalidNote(why);
        }
        if let Some(first) = not_kept(request.top_up, request.kept_from) {
            return RefundTopUpOutcome::NotKept { first };
        }
        let named = self.top_ups.iter().position(|top_up| top_up.position == request.top_up.0);
        let Some(at) = named.filter(|at| request.anyones || self.top_ups[*at].by == by) else {
            return RefundTopUpOutcome::UnknownTopUp;
        };
        let ModelTopUp { client, amount: whole, credited, given_back, .. } = self.top_ups[at];
        let left = whole - given_back;
        let amount = request.amount.map_or(left, |amount| amount.0.into());
        if left == 0 || amount > left {
            return RefundTopUpOutcome::MoreThanLeft { left: money(left) };
        }
        let has = self.holdings(client);
        if amount > has.gaming {
            return RefundTopUpOutcome::Overdraft { balance: money(has.gaming) };
        }
        self.top_ups[at].given_back += amount;
        let due = match request.claw_back {
            // The bonus due after it, less the bonus due before.
            true => rounded(credited * (given_back + amount), whole) - rounded(credited * given_back, whole),
            false => 0,
        };
        let clawed = due.min(has.bonus);
        self.post(client, Account::Gaming, Label::TopUpRefund, self.executor(by, &request.note), -amount);
        self.post(client, Account::Bonus, Label::BonusWriteOff, Executor::system(), -clawed);
        RefundTopUpOutcome::Refunded(TopUpGivenBack {
            amount: money(amount),
            gaming: money(has.gaming - amount),
            clawed: money(clawed),
            uncollected: money(due - clawed),
            bonus: money(has.bonus - clawed),
        })
    }

    /// What is wrong with an operation of a client, apart from its amount.
    fn refusal_of_operation(&self, client: u128, club: Option<ClubId>, note: &Note) -> Option<BonusOutcome> {
        if let Some(why) = invalid_note(note) {
            return Some(BonusOutcome::InvalidNote(why));
        }
        if club.is_some_and(|club| !self.has_club(club)) {
            return Some(BonusOutcome::UnknownClub);
        }
        (!self.clients.contains_key(&client)).then_some(BonusOutcome::UnknownClient)
    }

    /// An operation that changes the bonus balance.
    fn bonus(&mut self, by: u32, label: Label, client: u128, club: Option<ClubId>, amount: i128, note: &Note) -> BonusOutcome {
        if amount == 0 || (amount < 0) == (label == Label::BonusCredit) {
            return BonusOutcome::InvalidAmount;
        }
        if let Some(refusal) = self.refusal_of_operation(client, club, note) {
            return refusal;
        }
        let before = self.holdings(client).bonus;
        if before + amount < 0 {
            return BonusOutcome::Overdraft { balance: money(before) };
        }
        if before + amount > MOST {
            return BonusOutcome::AmountLimit;
        }
        self.post(client, Account::Bonus, label, self.executor(by, note), amount);
        let (operation, balance) = (Position(self.position), money(before + amount));
        BonusOutcome::Done(BonusDone { operation, label, amount: money(amount.abs()), balance })
    }

    pub(super) fn credit(&mut self, by: u32, request: &CreditBonus) -> BonusOutcome {
        self.bonus(by, Label::BonusCredit, request.client.0, request.club, request.amount.0.into(), &request.note)
    }

    pub(super) fn write_off(&mut self, by: u32, request: &WriteOffBonus) -> BonusOutcome {
        self.bonus(by, Label::BonusWriteOff, request.client.0, request.club, -i128::from(request.amount.0), &request.note)
    }

    pub(super) fn pay(&mut self, by: u32, request: &PayBonus) -> BonusOutcome {
        let (client, amount) = (request.client.0, i128::from(request.amount.0));
        let outcome = self.bonus(by, Label::BonusPayment, client, Some(request.club), -amount, &request.note);
        if let BonusOutcome::Done(_) = outcome {
            self.payments.push(ModelPayment { position: self.position, by, client, amount, given_back: 0 });
        }
        outcome
    }

    pub(super) fn refund_payment(&mut self, by: u32, request: &RefundBonusRequest) -> RefundBonusOutcome {
        if request.amount.is_some_and(|amount| amount.0 <= 0) {
            return RefundBonusOutcome::InvalidAmount;
        }
        if let Some(why) = invalid_note(&request.note) {
            return RefundBonusOutcome::InvalidNote(why);
        }
        if let Some(first) = not_kept(request.payment, request.kept_from) {
            return RefundBonusOutcome::NotKept { first };
        }
        let named = self.payments.iter().position(|payment| payment.position == request.payment.0);
        let Some(at) = named.filter(|at| request.anyones || self.payments[*at].by == by) else {
            return RefundBonusOutcome::UnknownPayment;
        };
        let ModelPayment { client, amount: whole, given_back, .. } = self.payments[at];
        let left = whole - given_back;
        let amount = request.amount.map_or(left, |amount| amount.0.into());
        if left == 0 || amount > left {
            return RefundBonusOutcome::MoreThanLeft { left: money(left) };
        }
        let balance = self.holdings(client).bonus + amount;
        if balance > MOST {
            return RefundBonusOutcome::AmountLimit;
        }
        self.payments[at].given_back += amount;
        let executor = Executor { kind: ExecutorKind::System, ..self.executor(by, &request.note) };
        self.post(client, Account::Bonus, Label::BonusRefund, executor, amount);
        let (operation, label) = (Position(self.position), Label::BonusRefund);
        RefundBonusOutcome::Done(BonusDone { operation, label, amount: money(amount), balance: money(balance) })
    }

    pub(super) fn session(&mut self, by: u32, request: &RecordSession) -> SpendOutcome {
        let RecordSession { client, club, price, paid_from, ref note } = *request;
        if price.0 < 0 {
            return SpendOutcome::InvalidAmount;
        }
        self.spend(by, Label::Session, client.0, club, (price, paid_from), note)
    }

    pub(super) fn purchase(&mut self, by: u32, request: &RecordPurchase) -> SpendOutcome {
        let RecordPurchase { client, club, price, paid_from, ref note } = *request;
        if price.0 <= 0 {
            return SpendOutcome::InvalidAmount;
        }
        self.spend(by, Label::Purchase, client.0, club, (price, paid_from), note)
    }

    fn spend(
        &mut self,
        by: u32,
        label: Label,
        client: u128,
        club: ClubId,
        (price, paid_from): (Money, PaidFrom),
        note: &Note,
    ) -> SpendOutcome {
        match self.refusal_of_operation(client, Some(club), note) {
            Some(BonusOutcome::InvalidNote(why)) => return SpendOutcome::InvalidNote(why),
            Some(BonusOutcome::UnknownClub) => return SpendOutcome::UnknownClub,
            Some(BonusOutcome::UnknownClient) => return SpendOutcome::UnknownClient,
            Some(other) => unreachable!("{other:?} depends on the amount"),
            None => {}
        }
        let (before, price) = (self.holdings(client), i128::from(price.0));
        let from_balance = if paid_from == PaidFrom::GamingBalance { price } else { 0 };
        if from_balance > before.gaming {
            return SpendOutcome::Overdraft { balance: money(before.gaming) };
        }
        if before.spent + price > MOST {
            return SpendOutcome::AmountLimit;
        }
        self.post(client, Account::Gaming, label, self.executor(by, note), -from_balance);
        let has = self.clients.get_mut(&client).expect("the client is known");
        has.spent += price;
        has.sessions += u32::from(label == Label::Session);
        SpendOutcome::Recorded { operation: Position(self.position), after: has.accounts() }
    }

    /// Compares a record's entries with the model's postings.
    pub(super) fn compare_record(&self, record: &Record) {
        let posted = |entry: scrip_protocol::Entry<'_>| Posted {
            client: entry.client,
            account: entry.account,
            label: entry.label,
            executor: entry.executor,
            amount: entry.amount.0.into(),
        };
        assert_eq!(entries(record).into_iter().map(posted).collect::<Vec<_>>(), self.posted);
        if let Record::ToppedUp(record) = record {
            let expected = self.top_ups.last().expect("it was just made");
            assert_eq!((&record.fired, &record.failed, record.beyond), (&expected.fired, &expected.failed, 0));
        }
    }

    /// Compares balances, groups of clients, and refunded amounts.
    pub(super) fn compare_ledger(&self, bench: &Bench) {
        let state = &bench.state;
        assert_eq!(state.clients.iter().count(), self.clients.len());
        for (client, accounts) in state.clients.iter() {
            assert_eq!(accounts, self.holdings(client.0).accounts(), "client {client}");
            assert_eq!(state.clients.accounts(client), Some(accounts));
            let groups = state.groups.of_client(client).into_owned().into_iter().map(|group| group.0);
            let expected = self.members.range((client.0, 0)..=(client.0, u32::MAX)).map(|(_, group)| *group);
            assert!(groups.eq(expected), "client {client}");
        }
        let clients_in = |group: GroupId| self.members.iter().filter(|(_, other)| *other == group.0).count() as u64;
        let numbered = (1..).map(GroupId).zip(&self.groups);
        let expected = numbered.map(|(group, name)| (group, name.as_str(), clients_in(group)));
        assert!(state.groups.after(GroupId(0)).eq(expected));
        let of_top_ups = self.top_ups.iter().map(|top_up| (top_up.position, top_up.given_back));
        let of_payments = self.payments.iter().map(|payment| (payment.position, payment.given_back));
        let expected = of_top_ups.chain(of_payments).filter(|(_, given_back)| *given_back > 0);
        let expected = expected.map(|(position, given_back)| (Position(position), money(given_back)));
        assert!(state.given_back.amounts().eq(expected.collect::<std::collections::BTreeMap<_, _>>()));
    }
}

/// What bonuses are spent on.
pub(super) fn some_use(random: &mut fastrand::Rng) -> PaidFor {
    if random.bool() { PaidFor::GamingTime } else { PaidFor::Order }
}
