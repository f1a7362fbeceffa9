//! Manual operations of the bonus account: credits, write-offs, payments and refunds of payments (B1 to B4, B6).

use std::fmt;

use crate::command::{InvalidNote, Note};
use crate::ids::{ClientId, ClubId, Position};
use crate::ledger::{Executor, Label};
use crate::money::Money;
use crate::record::Stamp;

/// The request to credit a client's bonus balance by hand (B4).
#[wire_format(serde::Deserialize)]
pub struct CreditBonus {
    /// Whose balance.
    pub client: ClientId,
    /// Where, if anywhere.
    #[serde(default)]
    pub club: Option<ClubId>,
    /// How much: more than 0.
    pub amount: Money,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// The request to write off some of a client's bonus balance by hand (B4).
#[wire_format(serde::Deserialize)]
pub struct WriteOffBonus {
    /// Whose balance.
    pub client: ClientId,
    /// Where, if anywhere.
    #[serde(default)]
    pub club: Option<ClubId>,
    /// How much: more than 0, and at most the balance (A30).
    pub amount: Money,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// The request to pay with bonuses (B1). Sent by a gateway, it is a payment in the app; sent by a cashier, one at the till (B3).
#[wire_format(serde::Deserialize)]
pub struct PayBonus {
    /// Who pays.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// How much: more than 0, and at most the balance (A30).
    pub amount: Money,
    /// What for.
    pub paid_for: PaidFor,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// What bonuses are spent on.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PaidFor {
    /// Gaming time.
    GamingTime = 1,
    /// An order.
    Order = 2,
}

/// The answer to [`CreditBonus`], [`WriteOffBonus`] and [`PayBonus`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum BonusOutcome {
    /// It is done.
    Done(BonusDone) = 0,
    /// The amount is not more than 0.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The organisation has no such club.
    UnknownClub = 3,
    /// Unknown client.
    UnknownClient = 4,
    /// The client's balance is less than the amount (A30). Nothing is done.
    Overdraft {
        /// The client's bonus balance.
        balance: Money,
    } = 5,
    /// The client's balance would overflow.
    AmountLimit = 6,
}

/// The result of an operation on a bonus balance.
#[wire_format(Copy, serde::Deserialize)]
pub struct BonusDone {
    /// The operation's id: its position in the journal.
    pub operation: Position,
    /// Its label in reports.
    pub label: Label,
    /// How much.
    pub amount: Money,
    /// The client's bonus balance after it.
    pub balance: Money,
}

/// The request to refund a bonus payment, in full or in part. A gateway can refund payments of its own credential; cashiers and
/// operators can refund any.
#[wire_format(serde::Deserialize)]
pub struct RefundBonus {
    /// The payment.
    pub payment: Position,
    /// How much; none for what is left of it.
    #[serde(default)]
    pub amount: Option<Money>,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// The answer to [`RefundBonus`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RefundBonusOutcome {
    /// It is refunded.
    Done(BonusDone) = 0,
    /// The amount is not more than 0.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The journal begins at this position; earlier payments can no longer be refunded.
    NotKept {
        /// The first position that is kept.
        first: Position,
    } = 6,
    /// There is no such payment, or it is another credential's.
    UnknownPayment = 3,
    /// The amount exceeds what is left of the payment. Nothing is left of a payment that was refunded in full.
    MoreThanLeft {
        /// What is left of it.
        left: Money,
    } = 4,
    /// The client's balance would overflow.
    AmountLimit = 5,
}

/// What kind of bonus operation a record is.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum BonusOperation {
    /// Credited by hand.
    Credit = 1,
    /// Written off by hand.
    WriteOff = 2,
    /// Paid.
    Payment(PaidFor) = 3,
    /// Refunded, of a payment.
    Refund {
        /// The payment.
        payment: Position,
    } = 4,
}

/// The record of a bonus operation that neither a rule nor a code caused.
#[wire_format]
pub struct BonusChanged {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// What it is.
    pub operation: BonusOperation,
    /// Who did it.
    pub executor: Executor,
    /// Whose balance.
    pub client: ClientId,
    /// Where, if anywhere.
    pub club: Option<ClubId>,
    /// How much: more than 0, for credits and debits alike.
    pub amount: Money,
    /// The client's bonus balance after it.
    pub balance: Money,
    /// The comment.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl BonusOperation {
    /// Its label in reports (B3).
    pub const fn label(self) -> Label {
        match self {
            BonusOperation::Credit => Label::BonusCredit,
            BonusOperation::WriteOff => Label::BonusWriteOff,
            BonusOperation::Payment(_) => Label::BonusPayment,
            BonusOperation::Refund { .. } => Label::BonusRefund,
        }
    }
}

impl BonusChanged {
    /// The result, for the record at `position`.
    pub fn done(&self, position: Position) -> BonusDone {
        BonusDone { operation: position, label: self.operation.label(), amount: self.amount, balance: self.balance }
    }
}

impl fmt::Display for PaidFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PaidFor::GamingTime => "gaming time",
            PaidFor::Order => "an order",
        })
    }
}

impl fmt::Display for BonusDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, bonus balance {}, operation {}", self.label, self.amount, self.balance, self.operation)
    }
}

impl fmt::Display for BonusOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BonusOutcome::Done(done) => done.fmt(f),
            BonusOutcome::InvalidAmount => f.write_str("refused: the amount must be more than 0"),
            BonusOutcome::InvalidNote(why) => write!(f, "refused: {why}"),
            BonusOutcome::UnknownClub => f.write_str("refused: the organisation has no such club"),
            BonusOutcome::UnknownClient => f.write_str("refused: unknown client"),
            BonusOutcome::Overdraft { balance } => write!(f, "refused: the bonus balance is only {balance}"),
            BonusOutcome::AmountLimit => f.write_str("refused: the amount would overflow the bonus balance"),
        }
    }
}

impl fmt::Display for RefundBonusOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefundBonusOutcome::Done(done) => done.fmt(f),
            RefundBonusOutcome::InvalidAmount => f.write_str("refused: the amount must be more than 0"),
            RefundBonusOutcome::InvalidNote(why) => write!(f, "refused: {why}"),
            RefundBonusOutcome::NotKept { first } => {
                write!(f, "refused: the journal begins at position {first}; earlier operations cannot be refunded")
            }
            RefundBonusOutcome::UnknownPayment => f.write_str("refused: there is no such payment, or it is not yours"),
            RefundBonusOutcome::MoreThanLeft { left: Money(0) } => {
                f.write_str("refused: the payment was already refunded in full")
            }
            RefundBonusOutcome::MoreThanLeft { left } => write!(f, "refused: only {left} of the payment can still be refunded"),
            RefundBonusOutcome::AmountLimit => f.write_str("refused: the amount would overflow the bonus balance"),
        }
    }
}
