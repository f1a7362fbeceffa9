//! Top-ups: money onto a client's gaming balance, with whatever rules fire on it, in one record (U2); and their refund (A29).

use std::fmt;

use crate::command::{InvalidNote, Note, Push};
use crate::ids::{ClientId, ClubId, GroupId, Position, RuleId};
use crate::ledger::Executor;
use crate::money::Money;
use crate::problem::FormulaFailure;
use crate::record::Stamp;
use crate::variables::{TopUpSource, Variables};

/// How many rules fire on one top-up at the most: those of the lowest numbers. A record has a size that readers can take.
pub const FIRED_MAX: usize = 4_096;

/// The request to top up a client's gaming balance. A client unknown to the organisation is registered by it.
#[wire_format(serde::Deserialize)]
pub struct TopUp {
    /// Whose balance.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// How much: more than 0.
    pub amount: Money,
    /// How it is paid.
    pub source: TopUpSource,
    /// By whom, and what they say of it.
    #[serde(default)]
    pub note: Note,
}

/// The answer to [`TopUp`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TopUpOutcome {
    /// It is done, and the rules have fired.
    ToppedUp(TopUpDone) = 0,
    /// The amount is not more than 0.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The organisation has no such club.
    UnknownClub = 3,
    /// The client's gaming balance would pass what an amount can hold.
    AmountLimit = 4,
}

/// What a top-up did.
#[wire_format(Copy, serde::Deserialize)]
pub struct TopUpDone {
    /// The top-up's id: where it stands in the journal.
    pub top_up: Position,
    /// The client's gaming balance after it.
    pub gaming: Money,
    /// The client's bonus balance after it.
    pub bonus: Money,
    /// What rules credited to the bonus balance, in all.
    pub credited: Money,
    /// How many rules fired.
    pub fired: u32,
    /// How many rules matched and failed, or were too many.
    pub failed: u32,
}

/// The record of a top-up: money, credits, groups and push notifications. One record, so that none is ever without the others.
///
/// It is also the outbox of push notifications: whoever delivers them tails the journal, and the position with the rule's number is the id of
/// a notification.
#[wire_format]
pub struct ToppedUp {
    /// The request that asked for it.
    pub stamp: Stamp,
    /// Who did it.
    pub executor: Executor,
    /// Whose balance.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The amount, the source, and what the client had before it: what the rules were decided by (A22).
    pub variables: Variables,
    /// The rules that fired, by their numbers.
    pub fired: Vec<RuleFired>,
    /// The rules that matched and failed (A20), by their numbers.
    pub failed: Vec<RuleFailed>,
    /// How many more matched than may fire at once.
    pub beyond: u32,
    /// The client's gaming balance after it.
    pub gaming: Money,
    /// The client's bonus balance after it.
    pub bonus: Money,
    /// What was said of it.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What a rule did on a top-up.
#[wire_format]
pub struct RuleFired {
    /// The rule.
    pub rule: RuleId,
    /// What its formula came to, rounded to whole major units; none where it adds no bonus. What is not more than 0 credits nothing (A20).
    pub result: Option<i64>,
    /// The groups that it put the client into, ascending.
    pub assigned: Vec<GroupId>,
    /// The groups that it took the client out of, ascending. Another rule that puts the client into one of them prevails.
    pub unassigned: Vec<GroupId>,
    /// What it sent to the client.
    pub push: Option<Push>,
    /// Whether it would have sent something that was too long once the variables stood in it (A31).
    pub push_too_long: bool,
    /// The tags of its credit (B6).
    pub tags: Vec<String>,
}

/// A rule that matched a top-up and did nothing.
#[wire_format(Copy, serde::Deserialize)]
pub struct RuleFailed {
    /// The rule.
    pub rule: RuleId,
    /// Why.
    pub why: FormulaFailure,
}

impl RuleFired {
    /// What it credited: 0 where its formula came to no more, or it has none. What does not fit an amount has failed, and not fired.
    pub fn credited(&self) -> Money {
        Money(self.result.unwrap_or(0).max(0).saturating_mul(100))
    }
}

impl ToppedUp {
    /// What rules credited in all.
    pub fn credited(&self) -> Money {
        Money(self.fired.iter().map(|fired| fired.credited().0).fold(0, i64::saturating_add))
    }

    /// The answer that this record gives, standing at `position`.
    pub fn outcome(&self, position: Position) -> TopUpOutcome {
        TopUpOutcome::ToppedUp(TopUpDone {
            top_up: position,
            gaming: self.gaming,
            bonus: self.bonus,
            credited: self.credited(),
            fired: self.fired.len() as u32,
            failed: self.failed.len() as u32 + self.beyond,
        })
    }
}

/// The request to give a top-up back, or some of it. A gateway gives back top-ups of its own credential; a cashier or an operator any.
#[wire_format(serde::Deserialize)]
pub struct RefundTopUp {
    /// The top-up.
    pub top_up: Position,
    /// How much; none for what is left of it.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Whether to take back of the bonus that rules credited for it the same share (A29): what the client still has of that share; the
    /// rest is recorded as uncollected.
    #[serde(default)]
    pub claw_back: bool,
    /// By whom, and what they say of it.
    #[serde(default)]
    pub note: Note,
}

/// The answer to [`RefundTopUp`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RefundTopUpOutcome {
    /// It is given back.
    Refunded(TopUpGivenBack) = 0,
    /// The amount is not more than 0.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The journal is kept from this position on only, so that what stood before it cannot be given back any more.
    NotKept {
        /// The first position that is kept.
        first: Position,
    } = 6,
    /// There is no such top-up, or it is another credential's.
    UnknownTopUp = 3,
    /// That is more than is left of the top-up, which is nothing where all of it was given back.
    MoreThanLeft {
        /// What is left of it.
        left: Money,
    } = 4,
    /// The client has less than that on the gaming balance (A30). Nothing is done.
    Overdraft {
        /// The client's gaming balance.
        balance: Money,
    } = 5,
}

/// What the refund of a top-up did.
#[wire_format(Copy, serde::Deserialize)]
pub struct TopUpGivenBack {
    /// How much of the top-up.
    pub amount: Money,
    /// The client's gaming balance after it.
    pub gaming: Money,
    /// What was taken back of the bonus.
    pub clawed: Money,
    /// What was to be taken back of the bonus, and could not be, because it was spent.
    pub uncollected: Money,
    /// The client's bonus balance after it.
    pub bonus: Money,
}

/// The record of a top-up's refund; where bonus was clawed back, the ledger's debit as well: Bonus Write-Off, executor System.
#[wire_format]
pub struct TopUpRefunded {
    /// The request that asked for it.
    pub stamp: Stamp,
    /// The top-up.
    pub top_up: Position,
    /// Who did it.
    pub executor: Executor,
    /// Whose it was.
    pub client: ClientId,
    /// Where it was.
    pub club: ClubId,
    /// Whether its share of the bonus was to be taken back.
    pub claw_back: bool,
    /// What was done.
    pub given_back: TopUpGivenBack,
    /// What was said of it.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl TopUpRefunded {
    /// The answer that this record gives.
    pub fn outcome(&self) -> RefundTopUpOutcome {
        RefundTopUpOutcome::Refunded(self.given_back)
    }
}

impl fmt::Display for TopUpOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopUpOutcome::ToppedUp(done) => {
                write!(f, "topped up: gaming balance {}", done.gaming)?;
                if done.credited > Money(0) {
                    write!(f, ", {} credited", done.credited)?;
                }
                write!(f, ", bonus balance {}, rules fired {}", done.bonus, done.fired)?;
                if done.failed > 0 {
                    write!(f, ", failed {}", done.failed)?;
                }
                write!(f, ", top-up {}", done.top_up)
            }
            TopUpOutcome::InvalidAmount => f.write_str("refused: the amount must be more than 0"),
            TopUpOutcome::InvalidNote(why) => write!(f, "refused: {why}"),
            TopUpOutcome::UnknownClub => f.write_str("refused: the organisation has no such club"),
            TopUpOutcome::AmountLimit => f.write_str("refused: the amount would overflow the gaming balance"),
        }
    }
}

impl fmt::Display for RefundTopUpOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefundTopUpOutcome::Refunded(done) => {
                write!(f, "refunded: {}, gaming balance {}", done.amount, done.gaming)?;
                if done.clawed > Money(0) {
                    write!(f, ", {} of the bonus debited", done.clawed)?;
                }
                if done.uncollected > Money(0) {
                    write!(f, ", {} of the bonus uncollected", done.uncollected)?;
                }
                write!(f, ", bonus balance {}", done.bonus)
            }
            RefundTopUpOutcome::InvalidAmount => f.write_str("refused: the amount must be more than 0"),
            RefundTopUpOutcome::InvalidNote(why) => write!(f, "refused: {why}"),
            RefundTopUpOutcome::NotKept { first } => {
                write!(f, "refused: the journal begins at position {first}; earlier operations cannot be refunded")
            }
            RefundTopUpOutcome::UnknownTopUp => f.write_str("refused: there is no such top-up, or it is not yours"),
            RefundTopUpOutcome::MoreThanLeft { left: Money(0) } => {
                f.write_str("refused: the top-up was already refunded in full")
            }
            RefundTopUpOutcome::MoreThanLeft { left } => write!(f, "refused: only {left} of the top-up can still be refunded"),
            RefundTopUpOutcome::Overdraft { balance } => write!(f, "refused: the gaming balance is only {balance}"),
        }
    }
}
