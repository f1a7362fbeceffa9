//! Refund: an activation is undone, its use and its bonus in one record (Z2).

use std::fmt;

use crate::ids::{CampaignId, ClientId, Position};
use crate::money::Money;
use crate::record::Stamp;

/// The request to refund an activation. A gateway refunds the activations of its own credential; an operator any.
#[wire_format(serde::Deserialize)]
pub struct Refund {
    /// The activation.
    pub activation: Position,
    /// Whether to refund even if the client has spent the bonus: debits what is left and records the rest as uncollected. For
    /// operators only.
    pub force: bool,
}

/// The answer to [`Refund`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RefundOutcome {
    /// The code gets its use back, and the bonus is debited from the client.
    Refunded(Refunded) = 0,
    /// The journal begins at this position; earlier activations can no longer be refunded.
    NotKept {
        /// The first position that is kept.
        first: Position,
    } = 4,
    /// There is no such activation, or it belongs to another credential. The answer is the same for both, because activation
    /// numbers are easy to guess.
    UnknownActivation = 1,
    /// It was already refunded, under another request.
    AlreadyRefunded = 2,
    /// The client has spent some or all of the bonus. Nothing is done.
    BonusSpent {
        /// The client's bonus balance.
        balance: Money,
    } = 3,
}

/// The result of a refund.
#[wire_format(Copy, serde::Deserialize)]
pub struct Refunded {
    /// Whose bonus it was.
    pub client: ClientId,
    /// What was debited.
    pub taken: Money,
    /// What could not be collected, because it was spent.
    pub uncollected: Money,
    /// The client's bonus balance after it.
    pub balance: Money,
}

/// The record of a refund, which is the ledger's debit as well: Bonus Write-Off, executor System, origin the activation.
#[wire_format]
pub struct ActivationRefunded {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The activation.
    pub activation: Position,
    /// The campaign.
    pub campaign: CampaignId,
    /// The slot of the code that gets its use back.
    pub slot: u32,
    /// The result.
    pub refunded: Refunded,
}

impl ActivationRefunded {
    /// The reply that this record produces.
    pub fn outcome(&self) -> RefundOutcome {
        RefundOutcome::Refunded(self.refunded)
    }
}

impl fmt::Display for RefundOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefundOutcome::Refunded(Refunded { client, taken, uncollected: Money(0), balance }) => {
                write!(f, "refunded: {taken} debited from client {client}, bonus balance {balance}")
            }
            RefundOutcome::Refunded(Refunded { client, taken, uncollected, balance }) => {
                write!(f, "refunded: {taken} debited from client {client}, {uncollected} uncollected, bonus balance {balance}")
            }
            RefundOutcome::NotKept { first } => {
                write!(f, "refused: the journal begins at position {first}; earlier operations cannot be refunded")
            }
            RefundOutcome::UnknownActivation => f.write_str("refused: there is no such activation, or it is not yours"),
            RefundOutcome::AlreadyRefunded => f.write_str("refused: the activation was already refunded"),
            RefundOutcome::BonusSpent { balance } => {
                write!(f, "refused: the client has spent the bonus (bonus balance {balance}); an operator can force the refund")
            }
        }
    }
}
