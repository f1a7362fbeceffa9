//! Check: what a redemption of these codes would answer now, without any effect (Z6).

use crate::command::RedeemOutcome;
use crate::ids::{CampaignId, ClientId, ClubId, Position};
use crate::money::Money;
use crate::network::ClientNetwork;

/// How many codes one [`Check`] may carry.
pub const CHECK_CODES_MAX: usize = 8_192;

/// The request to check codes.
#[wire_format(serde::Deserialize)]
pub struct Check {
    /// The club where they would be redeemed; 0 for any.
    pub club: ClubId,
    /// The codes: at most [`CHECK_CODES_MAX`].
    pub codes: Vec<String>,
    /// The client who asks, where it is one: misses are counted of it (Z9). What the client may do is not looked at.
    #[serde(default)]
    pub client: Option<ClientId>,
    /// The network that the client calls from, as far as the gateway knows it: misses are counted of it as well (Z9).
    #[serde(default)]
    pub network: ClientNetwork,
}

impl Check {
    /// A check on behalf of nobody in particular.
    pub fn new(club: ClubId, codes: Vec<String>) -> Check {
        Check { club, codes, client: None, network: ClientNetwork::UNKNOWN }
    }
}

/// The answer to [`Check`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CheckOutcome {
    /// One verdict for each code, in the order of asking.
    Checked {
        /// The verdicts.
        codes: Vec<CodeChecked>,
        /// The journal position that they are as of.
        as_of: Position,
    } = 0,
    /// More than [`CHECK_CODES_MAX`] codes were given.
    TooManyCodes = 1,
}

/// What a redemption of one code would answer.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CodeChecked {
    /// It would be redeemed.
    Redeemable(CodeStanding) = 0,
    /// A campaign has it, but it would be refused.
    Refused {
        /// With the first of these; the others stand in its way as well, in order of precedence. What depends on the client is not
        /// among them.
        reasons: Vec<RedeemOutcome>,
        /// How it stands.
        code: CodeStanding,
    } = 1,
    /// No campaign has it; the refusal says more.
    Free {
        /// [`RedeemOutcome::UnknownCode`], or that it cannot be a code, or that there is no such club.
        outcome: RedeemOutcome,
    } = 2,
    /// It would be refused, and the caller is not told why (Z9).
    NotAccepted = 3,
}

impl CodeChecked {
    /// Whether this is a verdict that says something about a code that would be refused: a failed attempt (Z9).
    pub const fn is_miss(&self) -> bool {
        match self {
            CodeChecked::Redeemable(_) => false,
            CodeChecked::Refused { .. } | CodeChecked::NotAccepted => true,
            CodeChecked::Free { outcome } => outcome.is_miss(),
        }
    }

    /// Whether no campaign has the code: a guess (Z9).
    pub const fn is_unknown(&self) -> bool {
        matches!(self, CodeChecked::Free { outcome: RedeemOutcome::UnknownCode })
    }
}

/// How a code stands.
#[wire_format(Copy)]
pub struct CodeStanding {
    /// The campaign that has it.
    pub campaign: CampaignId,
    /// The bonus of an activation.
    pub amount: Money,
    /// How often it was activated.
    pub activations: u32,
    /// How many uses are held while payments are taken. Where many holds of a code expire and nothing else happens since, some of them
    /// may still be counted here; the verdict counts none of them.
    pub held: u32,
    /// How often it may be activated; none for no limit.
    pub activations_max: Option<u32>,
}
