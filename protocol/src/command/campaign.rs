//! Campaigns: a set of codes with one bonus amount, and the terms on which they are redeemed (C1 to C9).

use super::archive::UNKNOWN_CAMPAIGN;
use crate::command::{CodeLimit, CodeTexts, CodesReport, NAME_BYTES_MAX, OnConflict, SkippedLine};
use crate::ids::{CampaignId, ClubId};
use crate::money::Money;
use crate::record::Stamp;
use std::fmt;

/// How many campaigns there may be, archived ones included. The last tenth is reserved for operators.
pub const CAMPAIGNS_MAX: usize = 100_000;

/// The terms of a campaign (C2).
///
/// Each of the four limits is exact: however many clients compete for what is left, through whichever codes, exactly that many
/// succeed (Z5). A held use counts against each limit, with the amount of its hold, until it is confirmed, is released or expires
/// (Z1). A refund returns its use to each limit, and to the budget what it could collect (Z2). A limit may be changed at any
/// time. Lowering it below what is already used takes nothing away: further redemptions are refused until enough has been
/// refunded, but open holds can still be confirmed in time, because a hold is a promise. Raising or removing a limit takes effect
/// at once.
#[wire_format(serde::Deserialize)]
pub struct Terms {
    /// An internal label: 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The bonus for each activation: more than 0.
    pub amount: Money,
    /// The clubs where its codes are accepted, ascending; empty for all.
    pub clubs: Vec<ClubId>,
    /// When the period starts, in milliseconds since 1970. The period is informational unless it is enforced (C8, A1).
    pub starts_ms: Option<u64>,
    /// When the period ends, in milliseconds since 1970: its last moment.
    pub ends_ms: Option<u64>,
    /// Whether codes are refused outside the period (A1).
    pub enforce_period: bool,
    /// How often one code may be activated; none for no limit (D3).
    pub activations_per_code_max: Option<u32>,
    /// How often one client may activate codes of this campaign; none for no limit (A11). Counting starts when a limit is first
    /// set and goes on even if it is removed. Holds open at that moment count; earlier activations do not.
    pub activations_per_client_max: Option<u32>,
    /// How many activations there may be in all; none for no limit (Z5).
    pub activations_max: Option<u64>,
    /// How much may be credited in all; none for no limit (Z5). A redemption succeeds only if its whole bonus fits into what is
    /// left.
    pub budget: Option<Money>,
    /// The campaign is low on stock when fewer codes than this can still be activated (Z16); none for never.
    pub low_stock: Option<u32>,
    /// The toggle: whether codes are accepted (C7).
    pub active: bool,
}

impl Terms {
    /// Terms of a campaign that is switched on, in every club, without period or limits.
    pub fn new(name: impl Into<String>, amount: Money) -> Terms {
        Terms {
            name: name.into(),
            amount,
            clubs: Vec::new(),
            starts_ms: None,
            ends_ms: None,
            enforce_period: false,
            activations_per_code_max: None,
            activations_per_client_max: None,
            activations_max: None,
            budget: None,
            low_stock: None,
            active: true,
        }
    }

    /// Whether a time lies within the period; always true without one.
    pub fn is_in_period(&self, now_ms: u64) -> bool {
        self.starts_ms.is_none_or(|starts| starts <= now_ms) && self.ends_ms.is_none_or(|ends| now_ms <= ends)
    }
}

/// How many clubs a campaign may name.
pub const CLUBS_PER_CAMPAIGN_MAX: usize = 10_000;

/// What is wrong with the terms of a campaign, in order of precedence (C3).
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidTerms {
    /// The name is missing or too long.
    Name = 0,
    /// The bonus amount is not more than 0.
    Amount = 1,
    /// A limit of activations, for each code, for each client or in all, is 0.
    Cap = 2,
    /// The budget is not more than 0.
    Budget = 3,
    /// The period ends before it starts.
    PeriodReversed = 4,
    /// The period must be enforced, but there is none.
    PeriodMissing = 5,
    /// Too many clubs are named.
    TooManyClubs = 6,
    /// The organisation has no such club.
    UnknownClub(ClubId) = 7,
}

impl fmt::Display for InvalidTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidTerms::Name => write!(f, "a campaign's name has 1 to {NAME_BYTES_MAX} bytes"),
            InvalidTerms::Amount => f.write_str("the bonus amount must be more than 0"),
            InvalidTerms::Cap => f.write_str("a limit of activations must be at least 1; leave it out for no limit"),
            InvalidTerms::Budget => f.write_str("the budget must be more than 0; leave it out for no limit"),
            InvalidTerms::PeriodReversed => f.write_str("the period ends before it starts"),
            InvalidTerms::PeriodMissing => f.write_str("there is no period to enforce: set a start, an end, or both"),
            InvalidTerms::TooManyClubs => {
                write!(f, "a campaign can name at most {CLUBS_PER_CAMPAIGN_MAX} clubs; leave them out for all")
            }
            InvalidTerms::UnknownClub(club) => write!(f, "the organisation has no club {club}"),
        }
    }
}

/// The request to create a campaign with its first codes.
#[wire_format(serde::Deserialize)]
pub struct CreateCampaign {
    /// The terms.
    pub terms: Terms,
    /// One entry for each line of the list of codes, at most [`LINES_MAX`](crate::command::LINES_MAX). Blank ones are ignored.
    pub lines: CodeTexts,
    /// What to do with the other lines if one cannot be added.
    pub on_conflict: OnConflict,
}

/// The answer to [`CreateCampaign`], in order of precedence. A refusal creates nothing.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CreateCampaignOutcome {
    /// It is created.
    Created {
        /// Its number.
        campaign: CampaignId,
        /// The report on the codes.
        codes: CodesReport,
    } = 0,
    /// The terms are invalid.
    InvalidTerms(InvalidTerms) = 1,
    /// The list holds no code at all (C3).
    CodesMissing = 2,
    /// The list has more than [`LINES_MAX`](crate::command::LINES_MAX) lines.
    TooManyLines = 3,
    /// Lines cannot be added, and the request does not skip them (A3).
    Conflicts(Vec<SkippedLine>) = 4,
    /// The list holds more codes than a campaign may have (A2).
    TooManyCodes(CodeLimit) = 5,
    /// There are [`CAMPAIGNS_MAX`] campaigns, or nine tenths of that many and the caller is no operator.
    TooManyCampaigns = 6,
}

impl fmt::Display for CreateCampaignOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateCampaignOutcome::Created { campaign, codes } => {
                write!(f, "created campaign {campaign}: added {}, skipped {}", codes.added, codes.skipped.len())
            }
            CreateCampaignOutcome::InvalidTerms(why) => write!(f, "refused: {why}"),
            CreateCampaignOutcome::CodesMissing => f.write_str("refused: the list has no codes"),
            CreateCampaignOutcome::TooManyLines => f.write_str(TOO_MANY_LINES),
            CreateCampaignOutcome::Conflicts(lines) => write!(f, "refused: lines that cannot be added: {}", lines.len()),
            CreateCampaignOutcome::TooManyCodes(limit) => write!(f, "refused: {limit}"),
            CreateCampaignOutcome::TooManyCampaigns => {
                let reserved = "the last tenth is reserved for operators";
                write!(f, "refused: at most {CAMPAIGNS_MAX} campaigns are allowed, archived ones included; {reserved}")
            }
        }
    }
}

impl fmt::Display for crate::command::AddCodesOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::command::AddCodesOutcome as Outcome;
        match self {
            Outcome::Added(report) => write!(f, "added {}, skipped {}", report.added, report.skipped.len()),
            Outcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            Outcome::CampaignArchived => f.write_str("refused: the campaign is archived"),
            Outcome::CodesMissing => f.write_str("refused: the list has no codes"),
            Outcome::TooManyLines => f.write_str(TOO_MANY_LINES),
            Outcome::Conflicts(lines) => write!(f, "refused: lines that cannot be added: {}", lines.len()),
            Outcome::TooManyCodes(limit) => write!(f, "refused: {limit}"),
        }
    }
}

const TOO_MANY_LINES: &str = "refused: the list is too long for one request; send it in parts";

/// The record of a created campaign.
#[wire_format]
pub struct CampaignCreated {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The number given.
    pub campaign: CampaignId,
    /// Its terms.
    pub terms: Terms,
    /// Its first codes.
    pub codes: CodeTexts,
    /// The lines that added nothing.
    pub skipped: Vec<SkippedLine>,
}

impl CampaignCreated {
    /// The reply that this record produces.
    pub fn outcome(&self) -> CreateCampaignOutcome {
        CreateCampaignOutcome::Created {
            campaign: self.campaign,
            codes: CodesReport { added: self.codes.len() as u32, skipped: self.skipped.clone() },
        }
    }
}

/// The request to switch a campaign on or off (C7).
#[wire_format(serde::Deserialize)]
pub struct SwitchCampaign {
    /// The campaign.
    pub campaign: CampaignId,
    /// On or off.
    pub active: bool,
}

/// The answer to [`SwitchCampaign`].
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SwitchCampaignOutcome {
    /// It is on or off, as requested.
    Switched {
        /// Whether it is on.
        active: bool,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
}

impl fmt::Display for SwitchCampaignOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SwitchCampaignOutcome::Switched { active: true } => "active: its codes are accepted",
            SwitchCampaignOutcome::Switched { active: false } => "inactive: its codes are refused",
            SwitchCampaignOutcome::UnknownCampaign => UNKNOWN_CAMPAIGN,
        })
    }
}

/// The record of a campaign switched on or off.
#[wire_format]
pub struct CampaignSwitched {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// Whether it is on.
    pub active: bool,
}

impl CampaignSwitched {
    /// The reply that this record produces.
    pub fn outcome(&self) -> SwitchCampaignOutcome {
        SwitchCampaignOutcome::Switched { active: self.active }
    }
}

/// The request to change some of a campaign's terms. `None` leaves a term as it is; `Some(None)` removes a limit. Changes apply
/// to later activations only (A8).
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct UpdateCampaign {
    /// The campaign.
    pub campaign: CampaignId,
    /// Each as in [`Terms`].
    pub name: Option<String>,
    /// As above.
    pub amount: Option<Money>,
    /// As above.
    pub clubs: Option<Vec<ClubId>>,
    /// As above.
    pub starts_ms: Option<Option<u64>>,
    /// As above.
    pub ends_ms: Option<Option<u64>>,
    /// As above.
    pub enforce_period: Option<bool>,
    /// As above.
    pub activations_per_code_max: Option<Option<u32>>,
    /// As above.
    pub activations_per_client_max: Option<Option<u32>>,
    /// As above.
    pub activations_max: Option<Option<u64>>,
    /// As above.
    pub budget: Option<Option<Money>>,
    /// As above.
    pub low_stock: Option<Option<u32>>,
}

impl UpdateCampaign {
    /// The terms after the change.
    pub fn applied_to(&self, terms: &Terms) -> Terms {
        fn either<T: Clone>(changed: &Option<T>, kept: &T) -> T {
            changed.as_ref().unwrap_or(kept).clone()
        }
        Terms {
            name: either(&self.name, &terms.name),
            amount: either(&self.amount, &terms.amount),
            clubs: either(&self.clubs, &terms.clubs),
            starts_ms: either(&self.starts_ms, &terms.starts_ms),
            ends_ms: either(&self.ends_ms, &terms.ends_ms),
            enforce_period: either(&self.enforce_period, &terms.enforce_period),
            activations_per_code_max: either(&self.activations_per_code_max, &terms.activations_per_code_max),
            activations_per_client_max: either(&self.activations_per_client_max, &terms.activations_per_client_max),
            activations_max: either(&self.activations_max, &terms.activations_max),
            budget: either(&self.budget, &terms.budget),
            low_stock: either(&self.low_stock, &terms.low_stock),
            active: terms.active,
        }
    }
}

/// The answer to [`UpdateCampaign`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum UpdateCampaignOutcome {
    /// The terms now.
    Updated(Terms) = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// The resulting terms are invalid. Nothing is changed.
    InvalidTerms(InvalidTerms) = 2,
}

impl fmt::Display for UpdateCampaignOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateCampaignOutcome::Updated(_) => f.write_str("updated"),
            UpdateCampaignOutcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            UpdateCampaignOutcome::InvalidTerms(why) => write!(f, "refused: {why}"),
        }
    }
}

/// The record of a campaign's changed terms.
#[wire_format]
pub struct CampaignUpdated {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// All its terms after the change.
    pub terms: Terms,
}

impl CampaignUpdated {
    /// The reply that this record produces.
    pub fn outcome(&self) -> UpdateCampaignOutcome {
        UpdateCampaignOutcome::Updated(self.terms.clone())
    }
}
