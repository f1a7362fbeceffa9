//! Hold, confirm, release: one use of a code is kept for a client while the payment is taken (Z1).
//!
//! A hold counts against every limit of the code's campaign until it is confirmed, is released or expires. From its expiry on,
//! anybody can take its use; a later confirmation still gets the activation if nobody has. The engine remembers what happened to
//! a hold for [`HOLD_KEPT_MS`] after it ended. When a credential is revoked, its open holds expire.

use std::fmt;

use crate::command::redeem::UNKNOWN_TOP_UP;
use crate::command::{Activated, Activation, RedeemOutcome};
use crate::ids::{CampaignId, ClientId, ClubId, Position};
use crate::money::Money;
use crate::network::ClientNetwork;
use crate::record::Stamp;

/// The shortest time to live of a hold, in milliseconds: 1 second.
pub const HOLD_TTL_MIN_MS: u64 = 1_000;

/// The longest time to live of a hold, in milliseconds: 7 days.
pub const HOLD_TTL_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// The default time to live of a hold, in milliseconds: 15 minutes.
pub const HOLD_TTL_DEFAULT_MS: u64 = 15 * 60 * 1_000;

/// How long a hold is remembered after it was confirmed, was released or has expired, in milliseconds: 24 hours.
pub const HOLD_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// How many holds are remembered, open and ended ones together. At the limit, the holds that ended first are forgotten early, and
/// if all are open, new holds are refused. Ended holds of a credential with more than [`HOLDS_OPEN_PER_CREDENTIAL_MAX`]
/// remembered holds are forgotten first. This many take about 1.2 GiB, or about 2.2 GiB if all are open.
pub const HOLDS_MAX: usize = 5_000_000;

/// How many holds of one credential may be open, so that no credential can use up the holds of all others.
pub const HOLDS_OPEN_PER_CREDENTIAL_MAX: usize = HOLDS_MAX / 8;

/// The request to hold one use of a code for a client at a club. It credits nothing and does not register the client.
#[wire_format(serde::Deserialize)]
pub struct Hold {
    /// Who will receive the bonus.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The code as it was typed; letter case and surrounding white space do not matter (K4, K9).
    pub code: String,
    /// How long to hold it, in milliseconds: [`HOLD_TTL_MIN_MS`] to [`HOLD_TTL_MAX_MS`].
    pub ttl_ms: u64,
    /// The client's network, if the gateway knows it: failed attempts count against it as well (Z9).
    #[serde(default)]
    pub network: ClientNetwork,
}

impl Hold {
    /// A hold for a client whose network is not known.
    pub fn new(client: ClientId, club: ClubId, code: impl Into<String>, ttl_ms: u64) -> Hold {
        Hold { client, club, code: code.into(), ttl_ms, network: ClientNetwork::UNKNOWN }
    }
}

/// The answer to [`Hold`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum HoldOutcome {
    /// The use is held.
    Held(Held) = 0,
    /// The time to live is shorter than [`HOLD_TTL_MIN_MS`] or longer than [`HOLD_TTL_MAX_MS`].
    InvalidTtl = 1,
    /// A redemption would be refused, with this outcome; never [`RedeemOutcome::Redeemed`].
    Refused(RedeemOutcome) = 2,
    /// The credential has [`HOLDS_OPEN_PER_CREDENTIAL_MAX`] open holds, or there are [`HOLDS_MAX`].
    TooManyHolds = 3,
}

/// A granted hold.
#[wire_format(Copy, serde::Deserialize)]
pub struct Held {
    /// The hold's id: its position in the journal.
    pub hold: Position,
    /// The campaign that the code belongs to.
    pub campaign: CampaignId,
    /// The bonus that the confirmation will credit, even if the campaign's amount changes.
    pub amount: Money,
    /// When it expires, in milliseconds since 1970: the first moment at which the use is no longer held.
    pub expires_ms: u64,
}

/// The request to confirm a hold, which makes it an activation. A gateway confirms the holds of its own credential; an operator
/// any.
#[wire_format(serde::Deserialize)]
pub struct Confirm {
    /// The hold.
    pub hold: Position,
    /// The top-up of the hold's client during which the code was typed, 0 for none (A12), as in [`Redeem`](crate::command::Redeem).
    #[serde(default)]
    pub top_up: Position,
}

impl Confirm {
    /// A confirmation outside any top-up.
    pub fn new(hold: Position) -> Confirm {
        Confirm { hold, top_up: Position(0) }
    }
}

/// The answer to [`Confirm`], in order of precedence.
///
/// A hold is a promise: within its time it can be confirmed even if its campaign has been switched off since, because the client
/// was promised the bonus and has paid. The confirmation credits what was promised: the amount at the time of the hold (it is
/// written into the activation's record, A8). After its time the promise has ended, and a confirmation is subject to the
/// conditions of a redemption: a campaign that was switched off meanwhile stays off.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ConfirmOutcome {
    /// The bonus is credited and the use of the code is recorded.
    Confirmed(Activated) = 0,
    /// There is no such hold, or it ended too long ago to be remembered, or it belongs to another credential. The answer is the
    /// same for all three, because hold numbers are easy to guess.
    UnknownHold = 1,
    /// It was already confirmed, under another request; this is the result.
    AlreadyConfirmed(Activated) = 2,
    /// It was released.
    Released = 3,
    /// The client has no such top-up, or the journal no longer has it (A12). The hold stays as it is.
    UnknownTopUp = 6,
    /// It has expired, and its use can no longer be redeemed. The reason is that of a redemption of its amount: the use was taken
    /// meanwhile ([`RedeemOutcome::CodeExhausted`]), another of the campaign's limits is reached, or the campaign is switched
    /// off.
    Expired(RedeemOutcome) = 4,
    /// The client's balance or the campaign's sum would overflow. The hold stays as it is.
    AmountLimit = 5,
}

/// The request to release a hold. A gateway releases the holds of its own credential; an operator any.
#[wire_format(serde::Deserialize)]
pub struct Release {
    /// The hold.
    pub hold: Position,
}

/// The answer to [`Release`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ReleaseOutcome {
    /// Its use is free, and it can no longer be confirmed. Also returned for a hold that has expired, whose use was free already.
    Released = 0,
    /// As in [`ConfirmOutcome::UnknownHold`].
    UnknownHold = 1,
    /// It was already confirmed; this is the result. Releasing does not undo an activation.
    AlreadyConfirmed(Activated) = 2,
    /// It was already released, under another request.
    AlreadyReleased = 3,
}

impl HoldOutcome {
    /// The words of all outcomes; a refusal has the word of the redemption's refusal.
    pub const WORDS: [&str; RedeemOutcome::WORDS.len() + 2] = {
        let mut words = [""; RedeemOutcome::WORDS.len() + 2];
        let mut number = 1;
        while number < RedeemOutcome::WORDS.len() {
            words[number] = RedeemOutcome::WORDS[number];
            number += 1;
        }
        (words[0], words[number], words[number + 1]) = ("held", "invalid_ttl", "too_many_holds");
        words
    };

    /// The index of this outcome's word in [`HoldOutcome::WORDS`].
    pub const fn word_number(&self) -> usize {
        match self {
            HoldOutcome::Held(_) => 0,
            HoldOutcome::Refused(why) => why.number(),
            HoldOutcome::InvalidTtl => RedeemOutcome::WORDS.len(),
            HoldOutcome::TooManyHolds => RedeemOutcome::WORDS.len() + 1,
        }
    }

    /// The word of this outcome, as in metrics.
    pub const fn word(&self) -> &'static str {
        Self::WORDS[self.word_number()]
    }

    /// Whether this refusal reveals something about a code ([`RedeemOutcome::is_miss`]).
    pub const fn is_miss(&self) -> bool {
        match self {
            HoldOutcome::Refused(why) => why.is_miss(),
            HoldOutcome::Held(_) | HoldOutcome::InvalidTtl | HoldOutcome::TooManyHolds => false,
        }
    }

    /// The same, for a caller that is not given reasons for refusals (Z9).
    pub fn without_reason(self) -> HoldOutcome {
        match self {
            HoldOutcome::Refused(why) => HoldOutcome::Refused(why.without_reason()),
            HoldOutcome::Held(_) | HoldOutcome::InvalidTtl | HoldOutcome::TooManyHolds => self,
        }
    }
}

impl ConfirmOutcome {
    /// The same, for a caller that is not given reasons for refusals (Z9).
    pub fn without_reason(self) -> ConfirmOutcome {
        match self {
            ConfirmOutcome::Expired(why) => ConfirmOutcome::Expired(why.without_reason()),
            ConfirmOutcome::Confirmed(_)
            | ConfirmOutcome::UnknownHold
            | ConfirmOutcome::AlreadyConfirmed(_)
            | ConfirmOutcome::Released
            | ConfirmOutcome::UnknownTopUp
            | ConfirmOutcome::AmountLimit => self,
        }
    }
}

impl fmt::Display for HoldOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HoldOutcome::Held(held) => write!(
                f,
                "held: {} to be credited, campaign {}, hold {}, expires at {} (milliseconds since 1970)",
                held.amount, held.campaign, held.hold, held.expires_ms
            ),
            HoldOutcome::InvalidTtl => f.write_str("refused: a hold lasts at least 1 second and at most 7 days"),
            HoldOutcome::Refused(why) => fmt::Display::fmt(why, f),
            HoldOutcome::TooManyHolds => {
                write!(
                    f,
                    "refused: the limit of {HOLDS_OPEN_PER_CREDENTIAL_MAX} open holds per credential, or {HOLDS_MAX} in all, is reached"
                )
            }
        }
    }
}

impl fmt::Display for ConfirmOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfirmOutcome::Confirmed(done) => write!(
                f,
                "confirmed: {} credited, bonus balance {}, campaign {}, activation {}",
                done.amount, done.balance, done.campaign, done.activation
            ),
            ConfirmOutcome::UnknownHold => f.write_str(UNKNOWN_HOLD),
            ConfirmOutcome::AlreadyConfirmed(done) => already_confirmed(f, done),
            ConfirmOutcome::Released => f.write_str("refused: the hold was released"),
            ConfirmOutcome::UnknownTopUp => f.write_str(UNKNOWN_TOP_UP),
            ConfirmOutcome::Expired(RedeemOutcome::CodeExhausted) => {
                f.write_str("refused: the hold has expired, and its use was taken meanwhile")
            }
            ConfirmOutcome::Expired(RedeemOutcome::NotAccepted) => {
                f.write_str("refused: the hold has expired and can no longer be confirmed")
            }
            ConfirmOutcome::Expired(why) => {
                let why = why.to_string();
                let reason = why.strip_prefix("refused: ").unwrap_or(&why);
                write!(f, "refused: the hold has expired, and the code can no longer be redeemed: {reason}")
            }
            ConfirmOutcome::AmountLimit => fmt::Display::fmt(&RedeemOutcome::AmountLimit, f),
        }
    }
}

impl fmt::Display for ReleaseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReleaseOutcome::Released => f.write_str("released: the code has its use back"),
            ReleaseOutcome::UnknownHold => f.write_str(UNKNOWN_HOLD),
            ReleaseOutcome::AlreadyConfirmed(done) => already_confirmed(f, done),
            ReleaseOutcome::AlreadyReleased => f.write_str("refused: the hold was already released"),
        }
    }
}

const UNKNOWN_HOLD: &str = "refused: there is no such hold, it ended long ago, or it is not yours";

fn already_confirmed(f: &mut fmt::Formatter<'_>, done: &Activated) -> fmt::Result {
    write!(
        f,
        "refused: the hold was already confirmed: {} credited, bonus balance {} at the time, campaign {}, activation {}",
        done.amount, done.balance, done.campaign, done.activation
    )
}

/// The record of a hold. Its position is the hold's id.
#[wire_format]
pub struct CodeHeld {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// For whom.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The code's slot in the campaign.
    pub slot: u32,
    /// The bonus that the confirmation will credit: the campaign's amount at the time of the hold.
    pub amount: Money,
    /// The first moment at which the use is no longer held, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl CodeHeld {
    /// The reply that this record at `position` produces.
    pub fn outcome(&self, position: Position) -> HoldOutcome {
        HoldOutcome::Held(Held { hold: position, campaign: self.campaign, amount: self.amount, expires_ms: self.expires_ms })
    }
}

/// The record of a refused hold, which can be searched by its code and its client (Z13).
#[wire_format]
pub struct HoldRefused {
    /// The request.
    pub stamp: Stamp,
    /// For whom.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// The normalised code; empty if the text is not a valid code.
    pub code: String,
    /// The refusal, never [`HoldOutcome::Held`].
    pub outcome: HoldOutcome,
}

/// The record of a confirmed hold: the activation, with everything that an [`Activation`] does, and the hold that it ends.
#[wire_format]
pub struct HoldConfirmed {
    /// The hold.
    pub hold: Position,
    /// The activation. Its amount is the hold's.
    #[serde(flatten)]
    pub activation: Activation,
}

impl HoldConfirmed {
    /// The reply that this record at `position` produces.
    pub fn outcome(&self, position: Position) -> ConfirmOutcome {
        ConfirmOutcome::Confirmed(self.activation.activated(position))
    }
}

/// The record of a refused confirmation, kept because the client may have paid.
#[wire_format]
pub struct ConfirmationRefused {
    /// The request.
    pub stamp: Stamp,
    /// The requested hold.
    pub hold: Position,
    /// The refusal, never [`ConfirmOutcome::Confirmed`].
    pub outcome: ConfirmOutcome,
}

/// The record of a hold that was released.
#[wire_format]
pub struct HoldReleased {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The hold.
    pub hold: Position,
}
