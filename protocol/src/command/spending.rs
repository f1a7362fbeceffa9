//! Sessions and purchases: what clients spend money on. They feed the variables of rules (U3), and fire none.

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
    /// Money at the till or a card: no account of the client moves.
    Directly = 2,
}

/// The request to record a session that a client has had.
#[wire_format(serde::Deserialize)]
pub struct RecordSession {
    /// Who played.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// What it cost in money: 0 or more. What of it was paid with bonuses is a bonus payment, and none of this.
    pub price: Money,
    /// What that was paid from.
    pub paid_from: PaidFrom,
    /// By whom, and what they say of it.
    #[serde(default)]
    pub note: Note,
}

/// The request to record what a client has bought.
#[wire_format(serde::Deserialize)]
pub struct RecordPurchase {
    /// Who bought it.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// What it cost in money: more than 0. What of it was paid with bonuses is a bonus payment, and none of this.
    pub price: Money,
    /// What that was paid from.
    pub paid_from: PaidFrom,
    /// By whom, and what they say of it.
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
        /// Its id: where it stands in the journal.
        operation: Position,
        /// What the client has after it.
        after: Accounts,
    } = 0,
    /// The price of a session is less than 0, or that of a purchase not more.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The organisation has no such club.
    UnknownClub = 3,
    /// Nobody of that id is registered.
    UnknownClient = 4,
    /// The gaming balance is less than that (A30). Nothing is done.
    Overdraft {
        /// The client's gaming balance.
        balance: Money,
    } = 5,
    /// What the client has spent in all would pass what an amount can hold.
    AmountLimit = 6,
}

/// The record of a session or a purchase.
#[wire_format]
pub struct Spent {
    /// The request that asked for it.
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
    /// What the client has after it.
    pub after: Accounts,
    /// What was said of it.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Spent {
    /// The answer that this record gives, standing at `position`.
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
