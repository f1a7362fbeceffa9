//! The ledger in a recount: the sums of each client, and how much of each top-up and payment was refunded (B1, B5, A22, A29,
//! A30).
//!
//! It adds up the operations of the records and then compares the balances that they contain. It shares no code with the engine's
//! state or with the protocol's ledger entries: otherwise it would not be an independent check.
//!
//! Sums are never corrected by a record: a wrong balance is a difference at its record and at every later one of that client.

use std::collections::HashMap;

use scrip_protocol::command::{
    Activation, BonusChanged, BonusOperation, PaidFrom, Refunded, Spent, SpentOn, TopUpGivenBack, TopUpRefunded, ToppedUp,
};
use scrip_protocol::{Account, ClientId, ClubId, Money, Position};

use crate::difference::{AccountSums, Difference, Differences};

/// The accounts of all clients, by the records.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    clients: HashMap<ClientId, AccountSums>,
    top_ups: HashMap<Position, Paid>,
    payments: HashMap<Position, Paid>,
}

/// A top-up or payment that can be refunded.
#[derive(Debug)]
struct Paid {
    client: ClientId,
    club: Option<ClubId>,
    whole: i128,
    /// What rules credited with it.
    credited: i128,
    given_back: i128,
}

impl Ledger {
    pub(crate) fn register(&mut self, client: ClientId) {
        self.clients.entry(client).or_default();
    }

    /// How many clients there are.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// The sums of a client; `None` if it is not registered.
    pub(crate) fn of(&self, client: ClientId) -> Option<AccountSums> {
        self.clients.get(&client).copied()
    }

    /// A code's bonus. It registers its client.
    pub(crate) fn activation(&mut self, position: Position, record: &Activation, differences: &mut Differences) {
        let sums = self.clients.entry(record.client).or_default();
        sums.bonus += i128::from(record.amount.0);
        self.check_bonus(position, record.client, record.balance, differences);
    }

    /// A refund of a code's bonus.
    pub(crate) fn activation_refunded(&mut self, position: Position, record: &Refunded, differences: &mut Differences) {
        let sums = self.clients.entry(record.client).or_default();
        sums.bonus -= i128::from(record.taken.0);
        self.check_bonus(position, record.client, record.balance, differences);
    }

    /// A top-up, with what rules credited. It registers its client.
    pub(crate) fn topped_up(&mut self, position: Position, record: &ToppedUp, differences: &mut Differences) {
        let (client, variables) = (record.client, &record.variables);
        check_amount(position, variables.amount, 1, differences);
        let sums = self.clients.entry(client).or_default();
        let seen = AccountSums {
            gaming: variables.gaming.0.into(),
            bonus: variables.bonus.0.into(),
            spent: variables.spent.0.into(),
            sessions: variables.sessions.into(),
        };
        if seen != *sums {
            differences.note(Difference::Snapshot { position, client, recorded: seen.into(), recounted: (*sums).into() });
        }
        // A result is in whole major units, and one of 0 or less credits nothing (U6, A20).
        let results = record.fired.iter().filter_map(|fired| fired.result);
        let credited: i128 = results.filter(|result| *result > 0).map(|result| i128::from(result) * 100).sum();
        let stated = i128::from(record.bonus.0) - i128::from(variables.bonus.0);
        if stated != credited {
            differences.note(Difference::Credits { position, stated, credited });
        }
        let whole = i128::from(variables.amount.0);
        sums.gaming += whole;
        sums.bonus += credited;
        self.check_gaming(position, client, record.gaming, differences);
        self.check_bonus(position, client, record.bonus, differences);
        self.top_ups.insert(position, Paid { client, club: Some(record.club), whole, credited, given_back: 0 });
    }

    /// A refund of a top-up, in full or in part.
    pub(crate) fn top_up_refunded(&mut self, position: Position, record: &TopUpRefunded, differences: &mut Differences) {
        let TopUpGivenBack { amount, gaming, clawed, uncollected, bonus } = record.given_back;
        let (client, top_up) = (record.client, record.top_up);
        check_amount(position, amount, 1, differences);
        let sums = self.clients.entry(client).or_default();
        sums.gaming -= i128::from(amount.0);
        sums.bonus -= i128::from(clawed.0);
        self.check_gaming(position, client, gaming, differences);
        self.check_bonus(position, client, bonus, differences);
        let Some(paid) = self.top_ups.get_mut(&top_up) else {
            return differences.note(Difference::NoTopUp { position, top_up });
        };
        let before = paid.given_back;
        paid.give_back(position, top_up, (client, Some(record.club)), amount, differences);
        let taken = i128::from(clawed.0) + i128::from(uncollected.0);
        let due = share(paid.credited, paid.whole, before + i128::from(amount.0)) - share(paid.credited, paid.whole, before);
        let due = if record.claw_back { due } else { 0 };
        let negative = clawed.0 < 0 || uncollected.0 < 0;
        // The refund collects all that it can: some is uncollected only if the balance is then 0.
        if negative || taken != due || (uncollected.0 > 0 && bonus.0 != 0) {
            differences.note(Difference::ClawBack { position, top_up, taken, due });
        }
    }

    /// A bonus operation by hand, a payment, or the refund of one.
    pub(crate) fn bonus_changed(&mut self, position: Position, record: &BonusChanged, differences: &mut Differences) {
        let (client, club, amount) = (record.client, record.club, i128::from(record.amount.0));
        check_amount(position, record.amount, 1, differences);
        self.check_known(position, client, differences);
        let sums = self.clients.entry(client).or_default();
        match record.operation {
            BonusOperation::Credit => sums.bonus += amount,
            BonusOperation::WriteOff => sums.bonus -= amount,
            BonusOperation::Payment(_) => {
                sums.bonus -= amount;
                self.payments.insert(position, Paid { client, club, whole: amount, credited: 0, given_back: 0 });
            }
            BonusOperation::Refund { payment } => {
                sums.bonus += amount;
                match self.payments.get_mut(&payment) {
                    None => differences.note(Difference::NoPayment { position, payment }),
                    Some(paid) => paid.give_back(position, payment, (client, club), record.amount, differences),
                }
            }
        }
        self.check_bonus(position, client, record.balance, differences);
    }

    /// A session or a purchase.
    pub(crate) fn spent(&mut self, position: Position, record: &Spent, differences: &mut Differences) {
        let (client, price) = (record.client, i128::from(record.price.0));
        self.check_known(position, client, differences);
        let sums = self.clients.entry(client).or_default();
        match record.on {
            // A session may be free.
            SpentOn::Session => {
                check_amount(position, record.price, 0, differences);
                sums.sessions += 1;
            }
            SpentOn::Purchase => check_amount(position, record.price, 1, differences),
        }
        sums.spent += price;
        match record.paid_from {
            PaidFrom::GamingBalance => sums.gaming -= price,
            PaidFrom::Directly => {}
        }
        let (recounted, recorded) = (*sums, AccountSums::from(record.after));
        if (recorded.spent, recorded.sessions) != (recounted.spent, recounted.sessions) {
            differences.note(Difference::Spending { position, client, recorded: recorded.into(), recounted: recounted.into() });
        }
        self.check_gaming(position, client, record.after.gaming, differences);
        self.check_bonus(position, client, record.after.bonus, differences);
    }

    fn check_known(&self, position: Position, client: ClientId, differences: &mut Differences) {
        if !self.clients.contains_key(&client) {
            differences.note(Difference::NoClient { position, client });
        }
    }

    fn check_gaming(&self, position: Position, client: ClientId, recorded: Money, differences: &mut Differences) {
        let recounted = self.clients.get(&client).map_or(0, |sums| sums.gaming);
        check_balance(position, client, Account::Gaming, recorded, recounted, differences);
    }

    fn check_bonus(&self, position: Position, client: ClientId, recorded: Money, differences: &mut Differences) {
        let recounted = self.clients.get(&client).map_or(0, |sums| sums.bonus);
        check_balance(position, client, Account::Bonus, recorded, recounted, differences);
    }
}

impl Paid {
    /// Refunds some of it, to a client at a club.
    fn give_back(
        &mut self,
        position: Position,
        of: Position,
        to: (ClientId, Option<ClubId>),
        amount: Money,
        differences: &mut Differences,
    ) {
        if to != (self.client, self.club) {
            differences.note(Difference::GivenBackUnlike { position, of });
        }
        self.given_back += i128::from(amount.0);
        if self.given_back > self.whole {
            differences.note(Difference::OverGivenBack { position, of, given_back: self.given_back, whole: self.whole });
        }
    }
}

fn check_balance(
    position: Position,
    client: ClientId,
    account: Account,
    recorded: Money,
    recounted: i128,
    differences: &mut Differences,
) {
    if i128::from(recorded.0) != recounted {
        differences.note(Difference::Balance { position, client, account, recorded, recounted });
    }
    if recounted < 0 || recorded.0 < 0 {
        differences.note(Difference::BelowZero { position, client, account, recorded, recounted });
    }
}

fn check_amount(position: Position, amount: Money, least: i64, differences: &mut Differences) {
    if amount.0 < least {
        differences.note(Difference::Amount { position, amount });
    }
}

/// The share of the credit for a part of the whole, to the nearest minor unit, halves rounded up.
pub(crate) fn share(credited: i128, whole: i128, part: i128) -> i128 {
    if whole <= 0 {
        return 0;
    }
    let (exactly, over) = (credited * part / whole, credited * part % whole);
    exactly + i128::from(over * 2 >= whole)
}
