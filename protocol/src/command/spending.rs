//! Sessions and purchases: what clients spend money on. They feed the variables of rules (U3) but do not fire rules.

use std::fmt;

use crate::command::{InvalidNote, Note};
use crate::ids::{ClientId, ClubId, Position};
use crate::ledger::{Accounts, Executor};
use crate::money::Money;
use crate::record::Stamp;

/// What a price is paid from.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PaidFrom {
    /// The client's gaming balance.
    GamingBalance = 1,
    /// Cash or a card at the till: no account of the client changes.
    Directly = 2,
}

/// The request to record a client's session.
#[wire_format(serde::Deserialize)]
pub struct RecordSession {
    /// Who played.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// Its price in money: 0 or more. Excludes payments made with bonuses, which are recorded as bonus payments.
    pub price: Money,
    /// What the money was paid from.
    pub paid_from: PaidFrom,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// The request to record a client's purchase.
#[wire_format(serde::Deserialize)]
pub struct RecordPurchase {
    /// Who bought it.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// Its price in money: more than 0. Excludes payments made with bonuses, which are recorded as bonus payments.
    pub price: Money,
    /// What the money was paid from.
    pub paid_from: PaidFrom,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// What was spent on.
#[wire_format(Copy, Hash)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SpentOn {
    /// A session.
    Session = 1,
    /// Something else.
    Purchase = 2,
}

/// The answer to [`RecordSession`] and [`RecordPurchase`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SpendOutcome {
    /// It is recorded.
    Recorded {
        /// Its id: its position in the journal.
        operation: Position,
        /// The client's balances and counters after it.
        after: Accounts,
    } = 0,
    /// The price of a session is below 0, or that of a purchase is not above 0.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The organisation has no such club.
    UnknownClub = 3,
    /// Unknown client.
    UnknownClient = 4,
    /// The gaming balance is less than the price (A30). Nothing is done.
    Overdraft {
        /// The client's gaming balance.
        balance: Money,
    } = 5,
    /// The client's total spending would overflow.
    AmountLimit = 6,
}

/// The record of a session or a purchase.
#[wire_format]
pub struct Spent {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// On what.
    pub on: SpentOn,
    /// Who recorded it.
    pub executor: Executor,
    /// Who spent it.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// How much.
    pub price: Money,
    /// From what.
    pub paid_from: PaidFrom,
    /// The client's balances and counters after it.
    pub after: Accounts,
    /// The comment.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Spent {
    /// The reply that this record at `position` produces.
    pub fn outcome(&self, position: Position) -> SpendOutcome {
        SpendOutcome::Recorded { operation: position, after: self.after }
    }
}

impl fmt::Display for SpendOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpendOutcome::Recorded { operation, after } => write!(
                f,
                "recorded: gaming balance {}, {} spent in total, sessions {}, operation {operation}",
                after.gaming, after.spent, after.sessions
            ),
            SpendOutcome::InvalidAmount => {
                f.write_str("refused: the price of a purchase must be more than 0; a session can be free")
            }
            SpendOutcome::InvalidNote(why) => write!(f, "refused: {why}"),
            SpendOutcome::UnknownClub => f.write_str("refused: the organisation has no such club"),
            SpendOutcome::UnknownClient => f.write_str("refused: unknown client"),
            SpendOutcome::Overdraft { balance } => write!(f, "refused: the gaming balance is only {balance}"),
            SpendOutcome::AmountLimit => f.write_str("refused: the amount would overflow the client's total spending"),
        }
    }
}
