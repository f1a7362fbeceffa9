//! Redeem: a client enters a code and receives the campaign's bonus, once (D1 to D6).

use std::fmt;

use crate::codes::InvalidCode;
use crate::ids::{CampaignId, ClientId, ClubId, Position};
use crate::money::Money;
use crate::network::ClientNetwork;
use crate::record::Stamp;

/// The request to redeem a code for a client at a club. It registers an unknown client.
#[wire_format(serde::Deserialize)]
pub struct Redeem {
    /// Who receives the bonus.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The code as it was typed; letter case and surrounding white space do not matter (K4, K9).
    pub code: String,
    /// The client's network, if the gateway knows it: failed attempts count against it as well (Z9).
    #[serde(default)]
    pub network: ClientNetwork,
    /// The top-up during which the code was typed, 0 for none (A12). It must be one of this client's; it is stored with the
    /// activation.
    #[serde(default)]
    pub top_up: Position,
}

impl Redeem {
    /// A redemption outside any top-up, for a client whose network is not known.
    pub fn new(client: ClientId, club: ClubId, code: impl Into<String>) -> Redeem {
        Redeem { client, club, code: code.into(), network: ClientNetwork::UNKNOWN, top_up: Position(0) }
    }
}

/// The answer to [`Redeem`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RedeemOutcome {
    /// The bonus is credited and the use of the code is recorded.
    Redeemed(Activated) = 0,
    /// The text is not a valid code.
    InvalidCode(InvalidCode) = 1,
    /// The organisation has no such club.
    UnknownClub = 2,
    /// The client has no such top-up, or the journal no longer has it (A12).
    UnknownTopUp = 15,
    /// No campaign has such a code.
    UnknownCode = 3,
    /// The code was archived by itself (X2), or stayed archived when its campaign was restored (X5).
    CodeArchived = 4,
    /// The campaign is archived (X1).
    CampaignArchived = 5,
    /// The campaign is switched off (C7).
    CampaignInactive = 6,
    /// The campaign enforces its period, which has not begun or is over (A1).
    OutsidePeriod = 7,
    /// The campaign does not run at this club (C2).
    ClubExcluded = 8,
    /// The code has no uses left (D3). Held uses count, here and below (Z1).
    CodeExhausted = 9,
    /// The client has reached the campaign's limit per client (A11).
    ClientExhausted = 10,
    /// The campaign has reached its limit of activations (Z5).
    CampaignExhausted = 11,
    /// The bonus exceeds what is left of the campaign's budget (Z5).
    BudgetExhausted = 12,
    /// The client's balance or the campaign's sum would overflow.
    AmountLimit = 13,
    /// The code is not accepted, and the caller is not given the reason (Z9): any of the refusals from
    /// [`RedeemOutcome::UnknownCode`] on. Never in a record, which has the reason.
    NotAccepted = 14,
}

/// The result of a redemption.
#[wire_format(Copy, serde::Deserialize)]
pub struct Activated {
    /// The activation's id: its position in the journal.
    pub activation: Position,
    /// The campaign that the code belongs to.
    pub campaign: CampaignId,
    /// The bonus credited.
    pub amount: Money,
    /// The client's bonus balance after it.
    pub balance: Money,
}

impl RedeemOutcome {
    /// Whether this refusal reveals something about a code, as all from [`RedeemOutcome::UnknownCode`] on do: a failed attempt
    /// (Z9). The guard and callers without reasons must not be able to tell them apart.
    pub const fn is_miss(&self) -> bool {
        match self {
            RedeemOutcome::Redeemed(_)
            | RedeemOutcome::InvalidCode(_)
            | RedeemOutcome::UnknownClub
            | RedeemOutcome::UnknownTopUp => false,
            RedeemOutcome::UnknownCode
            | RedeemOutcome::CodeArchived
            | RedeemOutcome::CampaignArchived
            | RedeemOutcome::CampaignInactive
            | RedeemOutcome::OutsidePeriod
            | RedeemOutcome::ClubExcluded
            | RedeemOutcome::CodeExhausted
            | RedeemOutcome::ClientExhausted
            | RedeemOutcome::CampaignExhausted
            | RedeemOutcome::BudgetExhausted
            | RedeemOutcome::AmountLimit
            | RedeemOutcome::NotAccepted => true,
        }
    }

    /// The same, for a caller that is not given reasons for refusals (Z9).
    pub fn without_reason(self) -> RedeemOutcome {
        if self.is_miss() { RedeemOutcome::NotAccepted } else { self }
    }

    /// The words of all outcomes, by their numbers.
    pub const WORDS: [&str; 16] = [
        "redeemed",
        "invalid_code",
        "unknown_club",
        "unknown_code",
        "code_archived",
        "campaign_archived",
        "campaign_inactive",
        "outside_period",
        "club_excluded",
        "code_exhausted",
        "client_exhausted",
        "campaign_exhausted",
        "budget_exhausted",
        "amount_limit",
        "not_accepted",
        "unknown_top_up",
    ];

    /// The words of the refusals that are failed attempts ([`RedeemOutcome::is_miss`]): those that callers without reasons cannot tell apart.
    pub const FAILED_ATTEMPTS: &[&str] = Self::WORDS.split_at(15).0.split_at(3).1;

    /// The number of this outcome.
    pub const fn number(&self) -> usize {
        match self {
            RedeemOutcome::Redeemed(_) => 0,
            RedeemOutcome::InvalidCode(_) => 1,
            RedeemOutcome::UnknownClub => 2,
            RedeemOutcome::UnknownCode => 3,
            RedeemOutcome::CodeArchived => 4,
            RedeemOutcome::CampaignArchived => 5,
            RedeemOutcome::CampaignInactive => 6,
            RedeemOutcome::OutsidePeriod => 7,
            RedeemOutcome::ClubExcluded => 8,
            RedeemOutcome::CodeExhausted => 9,
            RedeemOutcome::ClientExhausted => 10,
            RedeemOutcome::CampaignExhausted => 11,
            RedeemOutcome::BudgetExhausted => 12,
            RedeemOutcome::AmountLimit => 13,
            RedeemOutcome::NotAccepted => 14,
            RedeemOutcome::UnknownTopUp => 15,
        }
    }

    /// The word of this outcome, as in reports and metrics.
    pub const fn word(&self) -> &'static str {
        Self::WORDS[self.number()]
    }
}

/// The message for an unknown top-up. Confirmations use it as well.
pub(super) const UNKNOWN_TOP_UP: &str = "refused: the client has no such top-up, or the journal no longer has it";

impl fmt::Display for RedeemOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedeemOutcome::Redeemed(done) => write!(
                f,
                "redeemed: {} credited, bonus balance {}, campaign {}, activation {}",
                done.amount, done.balance, done.campaign, done.activation
            ),
            RedeemOutcome::InvalidCode(why) => write!(f, "refused: not a valid code: {why}"),
            RedeemOutcome::UnknownClub => f.write_str("refused: the organisation has no such club"),
            RedeemOutcome::UnknownTopUp => f.write_str(UNKNOWN_TOP_UP),
            RedeemOutcome::UnknownCode => f.write_str("refused: no campaign has this code"),
            RedeemOutcome::CodeArchived => f.write_str("refused: the code is archived"),
            RedeemOutcome::CampaignArchived => f.write_str("refused: the campaign is archived"),
            RedeemOutcome::CampaignInactive => f.write_str("refused: the campaign is switched off"),
            RedeemOutcome::OutsidePeriod => f.write_str("refused: outside the campaign's period"),
            RedeemOutcome::ClubExcluded => f.write_str("refused: the campaign does not run at this club"),
            RedeemOutcome::CodeExhausted => f.write_str("refused: the code has no uses left"),
            RedeemOutcome::ClientExhausted => f.write_str("refused: the client has reached this campaign's limit per client"),
            RedeemOutcome::CampaignExhausted => f.write_str("refused: the campaign has reached its limit of activations"),
            RedeemOutcome::BudgetExhausted => f.write_str("refused: the bonus exceeds the remaining campaign budget"),
            RedeemOutcome::NotAccepted => f.write_str("refused: the code is not accepted"),
            RedeemOutcome::AmountLimit => {
                f.write_str("refused: the bonus would overflow the client's balance or the campaign's total")
            }
        }
    }
}

/// The record of an activation, which is the ledger's credit as well: Bonus Credit, executor System, origin the campaign and the
/// code (D6). It is one record, so that neither exists without the other (D4).
#[wire_format]
pub struct Activation {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// Who received the bonus.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The code's slot in the campaign.
    pub slot: u32,
    /// The bonus credited: the campaign's amount at that moment (A8), or for a confirmed hold, at the time of the hold.
    pub amount: Money,
    /// The client's bonus balance after it.
    pub balance: Money,
    /// The top-up during which the code was typed, 0 for none (A12). In the first journals, as the caller sent it, unchecked.
    pub top_up: Position,
}

impl Activation {
    /// The reply that this record at `position` produces.
    pub fn outcome(&self, position: Position) -> RedeemOutcome {
        RedeemOutcome::Redeemed(self.activated(position))
    }

    /// The result, for the record at `position`.
    pub fn activated(&self, position: Position) -> Activated {
        Activated { activation: position, campaign: self.campaign, amount: self.amount, balance: self.balance }
    }
}

/// The record of a refused redemption, kept so that a retry gets the same refusal within the idempotency window (Z3).
#[wire_format]
pub struct RedemptionRefused {
    /// The request.
    pub stamp: Stamp,
    /// Who would have received the bonus.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The normalised code; empty if the text is not a valid code.
    pub code: String,
    /// The refusal, never [`RedeemOutcome::Redeemed`].
    pub outcome: RedeemOutcome,
}
