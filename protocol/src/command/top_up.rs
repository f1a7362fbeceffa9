//! Top-ups: money onto a client's gaming balance, with the rules that fire on it, in one record (U2); and their refunds (A29).

use std::fmt;

use crate::command::{InvalidNote, Note, Push};
use crate::ids::{ClientId, ClubId, GroupId, Position, RuleId};
use crate::ledger::Executor;
use crate::money::Money;
use crate::problem::FormulaFailure;
use crate::record::Stamp;
use crate::variables::{TopUpSource, Variables};

/// How many rules can fire on one top-up: those with the lowest numbers, as far as [`FIRED_BYTES_MAX`] allows. Together they bound
/// the size of the record, and the work that a top-up is: it is decided between redemptions.
pub const FIRED_MAX: usize = 1_024;

/// How many bytes the formulas, groups, push texts and tags of the rules that fire on one top-up can have.
pub const FIRED_BYTES_MAX: usize = 64 << 10;

/// The request to top up a client's gaming balance. It registers an unknown client.
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
    /// By whom, and their comment.
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
    /// The client's gaming balance would overflow.
    AmountLimit = 4,
}

/// The result of a top-up.
#[wire_format(Copy, serde::Deserialize)]
pub struct TopUpDone {
    /// The top-up's id: its position in the journal.
    pub top_up: Position,
    /// The client's gaming balance after it.
    pub gaming: Money,
    /// The client's bonus balance after it.
    pub bonus: Money,
    /// What rules credited to the bonus balance, in all.
    pub credited: Money,
    /// How many rules fired.
    pub fired: u32,
    /// How many rules matched but failed, or exceeded what can fire at once.
    pub failed: u32,
}

/// The record of a top-up: money, credits, groups and push notifications. It is one record, so that none exists without the
/// others.
///
/// It is also the outbox of push notifications: the program that delivers them tails the journal, and the position with the
/// rule's number is a notification's id.
#[wire_format]
pub struct ToppedUp {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// Who did it.
    pub executor: Executor,
    /// Whose balance.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The amount, the source, and what the client had before it: the input of the rules (A22).
    pub variables: Variables,
    /// The rules that fired, by their numbers.
    pub fired: Vec<RuleFired>,
    /// The rules that matched and failed (A20), by their numbers.
    pub failed: Vec<RuleFailed>,
    /// How many matching rules exceeded what can fire at once: [`FIRED_MAX`], [`FIRED_BYTES_MAX`].
    pub beyond: u32,
    /// The client's gaming balance after it.
    pub gaming: Money,
    /// The client's bonus balance after it.
    pub bonus: Money,
    /// The comment.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What a rule did on a top-up.
#[wire_format]
pub struct RuleFired {
    /// The rule.
    pub rule: RuleId,
    /// The result of its formula, rounded to whole major units; none if it adds no bonus. A result of 0 or less credits nothing
    /// (A20).
    pub result: Option<i64>,
    /// The groups that it added the client to, ascending.
    pub assigned: Vec<GroupId>,
    /// The groups that it removed the client from, ascending. Another rule that adds the client to one of them prevails.
    pub unassigned: Vec<GroupId>,
    /// The notification that it sent to the client.
    pub push: Option<Push>,
    /// Whether its notification was not sent because it was too long once the variables were filled in (A31).
    pub push_too_long: bool,
    /// The tags of its credit (B6).
    pub tags: Vec<String>,
}

/// A rule that matched a top-up but failed.
#[wire_format(Copy, serde::Deserialize)]
pub struct RuleFailed {
    /// The rule.
    pub rule: RuleId,
    /// Why.
    pub why: FormulaFailure,
}

impl RuleFired {
    /// What it credited: 0 if its result is not above 0, or it has no formula. A result that overflows an amount makes the rule
    /// fail instead.
    pub fn credited(&self) -> Money {
        Money(self.result.unwrap_or(0).max(0).saturating_mul(100))
    }
}

impl ToppedUp {
    /// What rules credited in all.
    pub fn credited(&self) -> Money {
        Money(self.fired.iter().map(|fired| fired.credited().0).fold(0, i64::saturating_add))
    }

    /// The reply that this record at `position` produces.
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

/// The request to refund a top-up, in full or in part. A gateway can refund top-ups of its own credential; cashiers and operators
/// can refund any.
#[wire_format(serde::Deserialize)]
pub struct RefundTopUp {
    /// The top-up.
    pub top_up: Position,
    /// How much; none for what is left of it.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Whether to claw back the same share of the bonus that rules credited for it (A29): debits what the client still has of
    /// that share and records the rest as uncollected.
    #[serde(default)]
    pub claw_back: bool,
    /// By whom, and their comment.
    #[serde(default)]
    pub note: Note,
}

/// The answer to [`RefundTopUp`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RefundTopUpOutcome {
    /// It is refunded.
    Refunded(TopUpGivenBack) = 0,
    /// The amount is not more than 0.
    InvalidAmount = 1,
    /// The note passes a limit.
    InvalidNote(InvalidNote) = 2,
    /// The journal begins at this position; earlier top-ups can no longer be refunded.
    NotKept {
        /// The first position that is kept.
        first: Position,
    } = 6,
    /// There is no such top-up, or it is another credential's.
    UnknownTopUp = 3,
    /// The amount exceeds what is left of the top-up. Nothing is left of a top-up that was refunded in full.
    MoreThanLeft {
        /// What is left of it.
        left: Money,
    } = 4,
    /// The client's gaming balance is less than the amount (A30). Nothing is done.
    Overdraft {
        /// The client's gaming balance.
        balance: Money,
    } = 5,
}

/// The result of a top-up's refund.
#[wire_format(Copy, serde::Deserialize)]
pub struct TopUpGivenBack {
    /// How much of the top-up was refunded.
    pub amount: Money,
    /// The client's gaming balance after it.
    pub gaming: Money,
    /// The bonus that was clawed back.
    pub clawed: Money,
    /// The bonus that could not be clawed back, because it was spent.
    pub uncollected: Money,
    /// The client's bonus balance after it.
    pub bonus: Money,
}

/// The record of a top-up's refund. If bonus was clawed back, also the ledger's debit: Bonus Write-Off, executor System.
#[wire_format]
pub struct TopUpRefunded {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The top-up.
    pub top_up: Position,
    /// Who did it.
    pub executor: Executor,
    /// Whose balance.
    pub client: ClientId,
    /// Where the top-up was.
    pub club: ClubId,
    /// Whether to claw back its share of the bonus.
    pub claw_back: bool,
    /// The result.
    pub given_back: TopUpGivenBack,
    /// The comment.
    pub comment: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl TopUpRefunded {
    /// The reply that this record produces.
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
