//! Campaigns: a set of codes with one bonus amount, and the terms on which they are redeemed (C1 to C9).

use crate::command::{CodeLimit, CodeTexts, CodesBatch, CodesReport, NAME_BYTES_MAX, OnConflict, SkippedLine};
use crate::ids::{CampaignId, ClubId, Position};
use crate::money::Money;
use crate::record::Stamp;
use std::fmt;

/// The terms of a campaign (C2).
#[derive(
    Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize,
)]
pub struct Terms {
    /// An internal label: 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The bonus for each activation: more than 0.
    pub amount: Money,
    /// The clubs where its codes are taken, ascending; empty for all.
    pub clubs: Vec<ClubId>,
    /// When the period starts, in milliseconds since 1970. The period informs; it does not stop redemption (C8).
    pub starts_ms: Option<u64>,
    /// When the period ends, in milliseconds since 1970: its last moment.
    pub ends_ms: Option<u64>,
    /// How often one code may be activated; none for no limit.
    pub activations_per_code_max: Option<u32>,
    /// The toggle: whether codes are taken (C7).
    pub active: bool,
}

/// How many clubs a campaign may name.
pub const CLUBS_PER_CAMPAIGN_MAX: usize = 10_000;

/// The request to create a campaign with its first codes.
#[derive(
    Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize,
)]
pub struct CreateCampaign {
    /// The terms.
    pub terms: Terms,
    /// One entry for each line of the list of codes. Blank ones are ignored.
    pub lines: Vec<String>,
    /// What is to become of the others when a line cannot be added.
    pub on_conflict: OnConflict,
}

/// The answer to [`CreateCampaign`], in order of precedence. Whatever is refused, nothing is created.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CreateCampaignOutcome {
    /// It is created.
    Created {
        /// Its number.
        campaign: CampaignId,
        /// What became of the codes.
        codes: CodesReport,
    } = 0,
    /// The name is missing or too long.
    InvalidName = 1,
    /// The bonus amount is not more than 0.
    InvalidAmount = 2,
    /// The limit of activations per code is 0.
    InvalidCap = 3,
    /// The period ends before it starts.
    PeriodReversed = 4,
    /// More clubs are named than a campaign may name.
    TooManyClubs = 5,
    /// The organisation has no such club.
    UnknownClub(ClubId) = 6,
    /// The list holds no code at all.
    CodesMissing = 7,
    /// Lines cannot be added, and skipping them was not asked for.
    Conflicts(Vec<SkippedLine>) = 8,
    /// The list holds more codes than a campaign may have (A2).
    TooManyCodes(CodeLimit) = 9,
}

impl fmt::Display for CreateCampaignOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateCampaignOutcome::Created { campaign, codes } => {
                write!(f, "created campaign {campaign}: added {}, skipped {}", codes.added, codes.skipped.len())
            }
            CreateCampaignOutcome::InvalidName => write!(f, "refused: a campaign's name has 1 to {NAME_BYTES_MAX} bytes"),
            CreateCampaignOutcome::InvalidAmount => f.write_str("refused: the bonus amount must be more than 0"),
            CreateCampaignOutcome::InvalidCap => f.write_str("refused: a code must be good for at least one activation"),
            CreateCampaignOutcome::PeriodReversed => f.write_str("refused: the period ends before it starts"),
            CreateCampaignOutcome::TooManyClubs => {
                write!(f, "refused: a campaign names at most {CLUBS_PER_CAMPAIGN_MAX} clubs; name none for all")
            }
            CreateCampaignOutcome::UnknownClub(club) => write!(f, "refused: the organisation has no club {club}"),
            CreateCampaignOutcome::CodesMissing => f.write_str("refused: the list holds no code"),
            CreateCampaignOutcome::Conflicts(lines) => write!(f, "refused: lines that cannot be added: {}", lines.len()),
            CreateCampaignOutcome::TooManyCodes(limit) => write!(f, "refused: {limit}"),
        }
    }
}

impl fmt::Display for crate::command::AddCodesOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::command::AddCodesOutcome as Outcome;
        match self {
            Outcome::Added(report) => write!(f, "added {}, skipped {}", report.added, report.skipped.len()),
            Outcome::UnknownCampaign => f.write_str("refused: there is no such campaign"),
            Outcome::CodesMissing => f.write_str("refused: the list holds no code"),
            Outcome::Conflicts(lines) => write!(f, "refused: lines that cannot be added: {}", lines.len()),
            Outcome::TooManyCodes(limit) => write!(f, "refused: {limit}"),
        }
    }
}

/// The record of a created campaign.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
pub struct CampaignCreated {
    /// The request that asked for it.
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
    /// The answer that this record gives.
    pub fn outcome(&self) -> CreateCampaignOutcome {
        CreateCampaignOutcome::Created {
            campaign: self.campaign,
            codes: CodesReport { added: self.codes.len() as u32, skipped: self.skipped.clone() },
        }
    }
}

/// The request to switch a campaign on or off (C7).
#[derive(
    Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize,
)]
pub struct SwitchCampaign {
    /// The campaign.
    pub campaign: CampaignId,
    /// On or off.
    pub active: bool,
}

/// The answer to [`SwitchCampaign`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SwitchCampaignOutcome {
    /// It is on or off, as asked.
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
            SwitchCampaignOutcome::Switched { active: true } => "active: its codes are taken",
            SwitchCampaignOutcome::Switched { active: false } => "inactive: its codes are refused",
            SwitchCampaignOutcome::UnknownCampaign => "refused: there is no such campaign",
        })
    }
}

/// The record of a campaign switched on or off.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
pub struct CampaignSwitched {
    /// The request that asked for it.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// Whether it is on.
    pub active: bool,
}

impl CampaignSwitched {
    /// The answer that this record gives.
    pub fn outcome(&self) -> SwitchCampaignOutcome {
        SwitchCampaignOutcome::Switched { active: self.active }
    }
}

/// The request for the campaigns after one, in the order of their numbers, [`CAMPAIGNS_PER_PAGE`] at the most.
#[derive(
    Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize,
)]
pub struct ListCampaigns {
    /// The campaign to continue after; 0 from the first.
    pub after: CampaignId,
}

/// How many campaigns an answer to [`ListCampaigns`] holds at the most.
pub const CAMPAIGNS_PER_PAGE: usize = 100;

/// The answer to [`ListCampaigns`].
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
pub struct ListCampaignsOutcome {
    /// The page.
    pub campaigns: Vec<CampaignCard>,
    /// The journal position that it is as of.
    pub as_of: Position,
}

/// The request for one campaign.
#[derive(
    Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize,
)]
pub struct ShowCampaign {
    /// The campaign.
    pub campaign: CampaignId,
}

/// The answer to [`ShowCampaign`].
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ShowCampaignOutcome {
    /// The campaign.
    Campaign(CampaignCard) = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
}

/// A campaign with its counters.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
pub struct CampaignCard {
    /// Its number.
    pub campaign: CampaignId,
    /// Its terms.
    pub terms: Terms,
    /// Whether it is switched on and within its period (C6).
    pub status_active: bool,
    /// Whether its codes are taken (A1).
    pub redeemable: bool,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// How many codes it has.
    pub codes: u32,
    /// How many of them were activated at least once (A7).
    pub codes_activated: u32,
    /// How many activations there were.
    pub activations: u64,
    /// The sum of the bonuses credited (A8).
    pub issued: Money,
    /// The latest addings of codes, newest last, 100 at the most.
    pub added: Vec<CodesBatch>,
    /// The journal position that it is as of.
    pub as_of: Position,
}
