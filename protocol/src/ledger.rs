//! The ledger: what each record does to the accounts of a client (B1 to B3).
//!
//! A client has a gaming account and a bonus account. A record describes an event, and [`entries`] derives its account entries:
//! nothing is written twice, and the sum of a client's entries is its balances.

use std::fmt;

use crate::command::{BonusOperation, HoldConfirmed, PaidFrom, SpentOn};
use crate::ids::{CampaignId, ClientId, CredentialId, Position, RuleId};
use crate::money::Money;
use crate::record::{AccountRecord, Record, RecordGroup, RedemptionRecord};

/// An account of a client (B1).
#[wire_format(Copy, Hash)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Account {
    /// Money, which pays for sessions and purchases.
    Gaming = 1,
    /// Bonuses, in the same monetary units.
    Bonus = 2,
}

/// A client's balances and counters.
#[wire_format(Copy, Default, serde::Deserialize)]
pub struct Accounts {
    /// The gaming balance: never below 0.
    pub gaming: Money,
    /// The bonus balance: never below 0.
    pub bonus: Money,
    /// The total paid in money for sessions and purchases.
    pub spent: Money,
    /// The number of sessions.
    pub sessions: u32,
}

/// The label of an operation in reports (B3).
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Label {
    /// Money onto the gaming account.
    TopUp = 1,
    /// Money refunded from it.
    TopUpRefund = 2,
    /// A session paid from it.
    Session = 3,
    /// A purchase paid from it.
    Purchase = 4,
    /// Bonuses credited, by a rule, a code or by hand.
    BonusCredit = 5,
    /// Bonuses paid.
    BonusPayment = 6,
    /// Bonuses written off, by hand or because the reason for their credit was refunded.
    BonusWriteOff = 7,
    /// Bonuses refunded, of a payment.
    BonusRefund = 8,
}

impl Label {
    /// The label's text in reports.
    pub const fn words(self) -> &'static str {
        match self {
            Label::TopUp => "Top-Up",
            Label::TopUpRefund => "Top-Up Refund",
            Label::Session => "Session",
            Label::Purchase => "Purchase",
            Label::BonusCredit => "Bonus Credit",
            Label::BonusPayment => "Bonus Payment",
            Label::BonusWriteOff => "Bonus Write-Off",
            Label::BonusRefund => "Bonus Refund",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// Who performed an operation (B2, A28).
#[wire_format(Hash, serde::Deserialize)]
pub struct Executor {
    /// The kind of executor.
    pub kind: ExecutorKind,
    /// The credential that requested it; 0 if it was automatic.
    pub credential: CredentialId,
    /// The name of the person, or of the credential; empty if it was automatic.
    pub name: String,
}

/// A kind of executor.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ExecutorKind {
    /// A program: the engine itself, or a gateway for an app.
    System = 1,
    /// A person: a cashier or an operator.
    Administrator = 2,
}

impl Executor {
    /// Automatic operations.
    pub const fn system() -> Executor {
        Executor { kind: ExecutorKind::System, credential: CredentialId(0), name: String::new() }
    }
}

impl fmt::Display for ExecutorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ExecutorKind::System => "System",
            ExecutorKind::Administrator => "Administrator",
        })
    }
}

/// The event that an entry originates from (B2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The operation itself, on request.
    Request,
    /// A code of a campaign (D6, A13).
    Code {
        /// The campaign.
        campaign: CampaignId,
        /// The code's slot in the campaign.
        slot: u32,
    },
    /// A rule that fired on the top-up of the same record.
    Rule(RuleId),
    /// An activation that was refunded (Z2).
    Activation(Position),
    /// A top-up that was refunded (A29).
    TopUp(Position),
    /// A payment that was refunded, in full or in part.
    Payment(Position),
}

/// The system's tag on the credit of a code (A13, B6).
pub const TAG_PROMO_CODE: &str = "promo-code";
/// The system's tag on the write-off of a refunded activation.
pub const TAG_PROMO_CODE_REFUND: &str = "promo-code-refund";
/// The system's tag on the write-off of a claw-back.
pub const TAG_CLAW_BACK: &str = "claw-back";

/// One movement of an account.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry<'a> {
    /// Whose account.
    pub client: ClientId,
    /// Which account.
    pub account: Account,
    /// The operation's label.
    pub label: Label,
    /// Who did it.
    pub executor: Executor,
    /// Its origin.
    pub origin: Origin,
    /// How much: more than 0 for a credit, less for a debit.
    pub amount: Money,
    /// Its tags.
    pub tags: Vec<&'a str>,
}

/// The entries of a record, in order; none if it moves no account. Amounts of 0 make no entry.
pub fn entries(record: &Record) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let bonus = |client, label, origin, amount, tag| Entry {
        client,
        account: Account::Bonus,
        label,
        executor: Executor::system(),
        origin,
        amount,
        tags: vec![tag],
    };
    match record.by_group() {
        RecordGroup::Redemption(
            RedemptionRecord::Activation(activation) | RedemptionRecord::HoldConfirmed(HoldConfirmed { activation, .. }),
        ) => {
            let origin = Origin::Code { campaign: activation.campaign, slot: activation.slot };
            entries.push(bonus(activation.client, Label::BonusCredit, origin, activation.amount, TAG_PROMO_CODE));
        }
        RecordGroup::Redemption(RedemptionRecord::ActivationRefunded(record)) => {
            let (origin, done) = (Origin::Activation(record.activation), &record.refunded);
            entries.push(bonus(done.client, Label::BonusWriteOff, origin, debit(done.taken), TAG_PROMO_CODE_REFUND));
        }
        RecordGroup::Account(AccountRecord::ToppedUp(record)) => {
            entries.push(Entry {
                client: record.client,
                account: Account::Gaming,
                label: Label::TopUp,
                executor: record.executor.clone(),
                origin: Origin::Request,
                amount: record.variables.amount,
                tags: tags(&record.tags),
            });
            for fired in &record.fired {
                let origin = Origin::Rule(fired.rule);
                let entry = bonus(record.client, Label::BonusCredit, origin, fired.credited(), "");
                entries.push(Entry { tags: tags(&fired.tags), ..entry });
            }
        }
        RecordGroup::Account(AccountRecord::TopUpRefunded(record)) => {
            let done = &record.given_back;
            entries.push(Entry {
                client: record.client,
                account: Account::Gaming,
                label: Label::TopUpRefund,
                executor: record.executor.clone(),
                origin: Origin::TopUp(record.top_up),
                amount: debit(done.amount),
                tags: tags(&record.tags),
            });
            let origin = Origin::TopUp(record.top_up);
            entries.push(bonus(record.client, Label::BonusWriteOff, origin, debit(done.clawed), TAG_CLAW_BACK));
        }
        RecordGroup::Account(AccountRecord::BonusChanged(record)) => {
            let (amount, origin) = match record.operation {
                BonusOperation::Credit => (record.amount, Origin::Request),
                BonusOperation::WriteOff | BonusOperation::Payment(_) => (debit(record.amount), Origin::Request),
                BonusOperation::Refund { payment } => (record.amount, Origin::Payment(payment)),
            };
            entries.push(Entry {
                client: record.client,
                account: Account::Bonus,
                label: record.operation.label(),
                executor: record.executor.clone(),
                origin,
                amount,
                tags: tags(&record.tags),
            });
        }
        RecordGroup::Account(AccountRecord::Spent(record)) => {
            let amount = match record.paid_from {
                PaidFrom::GamingBalance => debit(record.price),
                PaidFrom::Directly => Money(0),
            };
            let label = match record.on {
                SpentOn::Session => Label::Session,
                SpentOn::Purchase => Label::Purchase,
            };
            entries.push(Entry {
                client: record.client,
                account: Account::Gaming,
                label,
                executor: record.executor.clone(),
                origin: Origin::Request,
                amount,
                tags: tags(&record.tags),
            });
        }
        RecordGroup::Redemption(RedemptionRecord::CodeHeld(_) | RedemptionRecord::HoldReleased(_))
        | RecordGroup::Settings(_)
        | RecordGroup::Refusal(_)
        | RecordGroup::Directory(_)
        | RecordGroup::Client(_)
        | RecordGroup::Campaign(_)
        | RecordGroup::Credential(_)
        | RecordGroup::Rule(_)
        | RecordGroup::Reader(_) => {}
    }
    entries.retain(|entry| entry.amount != Money(0));
    entries
}

/// Records never have negative amounts, but untrusted ones might.
fn debit(amount: Money) -> Money {
    Money(amount.0.saturating_neg())
}

fn tags(tags: &[String]) -> Vec<&str> {
    tags.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Activation, ActivationRefunded, BonusChanged, ClientRegistered, PaidFor, Refunded, RuleFailed, RuleFired, Spent,
        TopUpGivenBack, TopUpRefunded, ToppedUp,
    };
    use crate::ids::{ClubId, RequestId};
    use crate::problem::FormulaFailure;
    use crate::record::Stamp;
    use crate::variables::{TopUpSource, Variables};

    const CLIENT: ClientId = ClientId(7);
    const CLUB: ClubId = ClubId(1);
    const AT: Position = Position(9);

    fn stamp() -> Stamp {
        Stamp { request: RequestId(1), body: 2, credential: CredentialId(3) }
    }

    fn cashier() -> Executor {
        Executor { kind: ExecutorKind::Administrator, credential: CredentialId(3), name: "Ann".into() }
    }

    fn tagged(tag: &str) -> Vec<String> {
        vec![tag.to_owned()]
    }

    fn activation() -> Activation {
        let (stamp, campaign, amount) = (stamp(), CampaignId(4), Money(500));
        Activation { stamp, client: CLIENT, club: CLUB, campaign, slot: 5, amount, balance: Money(500), top_up: Position(0) }
    }

    fn topped_up(fired: Vec<RuleFired>) -> ToppedUp {
        let (amount, source) = (Money(50_000), TopUpSource::Cash);
        let variables = Variables { amount, source, gaming: Money(0), bonus: Money(0), spent: Money(0), sessions: 0 };
        let failed = vec![RuleFailed { rule: RuleId(4), why: FormulaFailure::DivisionByZero }];
        let (executor, comment, tags) = (cashier(), String::new(), tagged("till"));
        let (gaming, bonus) = (amount, Money(0));
        let (stamp, client, club, beyond) = (stamp(), CLIENT, CLUB, 0);
        ToppedUp { stamp, executor, client, club, variables, fired, failed, beyond, gaming, bonus, comment, tags }
    }

    fn fired(rule: u32, result: Option<i64>, tag: &str) -> RuleFired {
        let (assigned, unassigned, push, push_too_long) = (Vec::new(), Vec::new(), None, false);
        RuleFired { rule: RuleId(rule), result, assigned, unassigned, push, push_too_long, tags: tagged(tag) }
    }

    fn changed(operation: BonusOperation) -> Record {
        let (stamp, executor, club) = (stamp(), cashier(), Some(CLUB));
        let (amount, balance, comment, tags) = (Money(300), Money(300), String::new(), tagged("by hand"));
        BonusChanged { stamp, operation, executor, client: CLIENT, club, amount, balance, comment, tags }.into()
    }

    fn spent(on: SpentOn, paid_from: PaidFrom) -> Record {
        let (price, after, comment, tags) = (Money(250), Accounts::default(), String::new(), tagged("bar"));
        let (stamp, executor, client, club) = (stamp(), cashier(), CLIENT, CLUB);
        Spent { stamp, on, executor, client, club, price, paid_from, after, comment, tags }.into()
    }

    fn given_back(clawed: i64) -> Record {
        let (amount, uncollected) = (Money(20_000), Money(50));
        let given_back = TopUpGivenBack { amount, gaming: Money(0), clawed: Money(clawed), uncollected, bonus: Money(0) };
        let (stamp, executor, client, club) = (stamp(), cashier(), CLIENT, CLUB);
        let (comment, tags) = (String::new(), tagged("till"));
        TopUpRefunded { stamp, top_up: AT, executor, client, club, claw_back: true, given_back, comment, tags }.into()
    }

    /// An entry as: account, label, amount, executor, origin, tags.
    type Row<'a> = (Account, Label, i64, &'a Executor, Origin, &'a [&'a str]);

    #[track_caller]
    fn check(record: impl Into<Record>, expected: &[Row<'_>]) {
        let record = record.into();
        let found = entries(&record);
        assert!(found.iter().all(|entry| entry.client == CLIENT), "{found:?}");
        let rows: Vec<_> = found
            .iter()
            .map(|entry| (entry.account, entry.label, entry.amount.0, &entry.executor, entry.origin, &entry.tags[..]))
            .collect();
        assert_eq!(rows, expected);
    }

    /// B2, B3, D6, A13: executor and origin follow from the event.
    #[test]
    fn bonus_operations_have_the_labels_and_executors_of_reports() {
        let (ann, system) = (&cashier(), &Executor::system());
        let bonus = Account::Bonus;
        let code = Origin::Code { campaign: CampaignId(4), slot: 5 };
        let by_code = [(bonus, Label::BonusCredit, 500, system, code, &["promo-code"][..])];
        check(activation(), &by_code);
        check(HoldConfirmed { hold: AT, activation: activation() }, &by_code);
        let refunded = Refunded { client: CLIENT, taken: Money(400), uncollected: Money(100), balance: Money(0) };
        let (stamp, campaign) = (stamp(), CampaignId(4));
        check(
            ActivationRefunded { stamp, activation: AT, campaign, slot: 5, refunded },
            &[(bonus, Label::BonusWriteOff, -400, system, Origin::Activation(AT), &["promo-code-refund"])],
        );
        let by_hand = &["by hand"][..];
        check(changed(BonusOperation::Credit), &[(bonus, Label::BonusCredit, 300, ann, Origin::Request, by_hand)]);
        check(changed(BonusOperation::WriteOff), &[(bonus, Label::BonusWriteOff, -300, ann, Origin::Request, by_hand)]);
        let payment = BonusOperation::Payment(PaidFor::Order);
        check(changed(payment), &[(bonus, Label::BonusPayment, -300, ann, Origin::Request, by_hand)]);
        let refund = BonusOperation::Refund { payment: AT };
        check(changed(refund), &[(bonus, Label::BonusRefund, 300, ann, Origin::Payment(AT), by_hand)]);
    }

    /// B1, B6, U7, A20: a top-up is one entry, plus one for each rule that credited something, under that rule's tags.
    #[test]
    fn a_top_up_has_an_entry_for_each_rule_that_credited() {
        let (ann, system) = (&cashier(), &Executor::system());
        let rules = vec![
            fired(1, Some(50), "gold"),
            fired(2, Some(0), "none"),
            fired(3, Some(-7), "none"),
            fired(5, None, "none"),
            fired(6, Some(3), "more"),
        ];
        let credit = |rule| Origin::Rule(RuleId(rule));
        check(
            topped_up(rules),
            &[
                (Account::Gaming, Label::TopUp, 50_000, ann, Origin::Request, &["till"]),
                (Account::Bonus, Label::BonusCredit, 5_000, system, credit(1), &["gold"]),
                (Account::Bonus, Label::BonusCredit, 300, system, credit(6), &["more"]),
            ],
        );
        let money = (Account::Gaming, Label::TopUpRefund, -20_000, ann, Origin::TopUp(AT), &["till"][..]);
        let bonus = (Account::Bonus, Label::BonusWriteOff, -1_950, system, Origin::TopUp(AT), &["claw-back"][..]);
        check(given_back(1_950), &[money, bonus]);
        check(given_back(0), &[money]);
    }

    /// U3: payments at the till move no account.
    #[test]
    fn what_is_paid_from_the_balance_is_an_entry_and_nothing_else_is() {
        let ann = &cashier();
        for (on, label) in [(SpentOn::Session, Label::Session), (SpentOn::Purchase, Label::Purchase)] {
            let entry = (Account::Gaming, label, -250, ann, Origin::Request, &["bar"][..]);
            check(spent(on, PaidFrom::GamingBalance), &[entry]);
            check(spent(on, PaidFrom::Directly), &[]);
        }
        check(ClientRegistered { stamp: stamp(), client: CLIENT, name: "Ann".into(), new: true }, &[]);
    }
}
