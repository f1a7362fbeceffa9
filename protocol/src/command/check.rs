//! Check: what a redemption of these codes would return now, without any effect (Z6).

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
    /// The client on whose behalf the codes are checked, if any: failed attempts count against it (Z9). The client's own limits
    /// are not checked.
    #[serde(default)]
    pub client: Option<ClientId>,
    /// The client's network, if the gateway knows it: failed attempts count against it as well (Z9).
    #[serde(default)]
    pub network: ClientNetwork,
}

impl Check {
    /// A check without a client.
    pub fn new(club: ClubId, codes: Vec<String>) -> Check {
        Check { club, codes, client: None, network: ClientNetwork::UNKNOWN }
    }
}

/// The answer to [`Check`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CheckOutcome {
    /// One verdict for each code, in the order of the request.
    Checked {
        /// The verdicts.
        codes: Vec<CodeChecked>,
        /// The journal position of the verdicts.
        as_of: Position,
    } = 0,
    /// More than [`CHECK_CODES_MAX`] codes were given.
    TooManyCodes = 1,
}

/// What a redemption of one code would return.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CodeChecked {
    /// It would be redeemed.
    Redeemable(CodeStanding) = 0,
    /// A campaign has it, but it would be refused.
    Refused {
        /// The first refusal, followed by the others that apply, in order of precedence. Refusals that depend on the client are
        /// not included.
        reasons: Vec<RedeemOutcome>,
        /// The code's state.
        code: CodeStanding,
    } = 1,
    /// No campaign has it; see the refusal for the reason.
    Free {
        /// [`RedeemOutcome::UnknownCode`], an invalid code, or an unknown club.
        outcome: RedeemOutcome,
    } = 2,
    /// It would be refused, and the caller is not given the reason (Z9).
    NotAccepted = 3,
}

impl CodeChecked {
    /// Whether this verdict reveals something about a code that would be refused: a failed attempt (Z9).
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

/// The state of a code.
#[wire_format(Copy)]
pub struct CodeStanding {
    /// The campaign that has it.
    pub campaign: CampaignId,
    /// The bonus of an activation.
    pub amount: Money,
    /// How often it was activated.
    pub activations: u32,
    /// How many uses are held while payments are taken. If many holds of a code expire and nothing else happens, some of them may
    /// still be counted here; the verdict never counts them.
    pub held: u32,
    /// How often it may be activated; none for no limit.
    pub activations_max: Option<u32>,
}
