//! Showing codes: those of a campaign (T5, X3, X4), and whether values are free (Z6).

use std::fmt;

use crate::codes::InvalidCode;
use crate::command::CodeTexts;
use crate::ids::{CampaignId, Position};

/// The request for the codes of a campaign that pass a filter, in the order of their slots. A page ends after [`CODES_PER_PAGE`]
/// codes, or after examining [`CODES_LOOKED_AT`].
#[wire_format(serde::Deserialize)]
pub struct ListCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// The slot to start from; 0 for the first.
    pub from_slot: u32,
    /// Filter by status.
    pub status: CodeFilter,
    /// Filter by usage.
    pub usage: UsageFilter,
}

/// Maximum number of codes in an answer to [`ListCodes`].
pub const CODES_PER_PAGE: usize = 4_096;

/// Maximum number of codes examined for one page, so that no page delays redemptions.
pub const CODES_LOOKED_AT: usize = 16_384;

/// Which codes are shown, by status.
#[wire_format(Copy, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CodeFilter {
    /// All.
    #[default]
    All = 0,
    /// Those that are not archived.
    Active = 1,
    /// Those that are archived, by themselves or with the campaign.
    Archived = 2,
    /// Archived codes that another campaign holds now: the conflicts of a restore (X4).
    Conflicting = 3,
}

/// Which codes are shown, by usage.
#[wire_format(Copy, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum UsageFilter {
    /// All.
    #[default]
    All = 0,
    /// Codes with activations.
    Used = 1,
    /// Codes without activations.
    Unused = 2,
}

/// The answer to [`ListCodes`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ListCodesOutcome {
    /// The page.
    Codes {
        /// The codes.
        codes: Vec<CodeRow>,
        /// The slot where the next page starts; none on the last page.
        next: Option<u32>,
        /// The journal position of this result.
        as_of: Position,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
}

/// A code of a campaign.
#[wire_format]
pub struct CodeRow {
    /// The code's slot: its number within the campaign, from 0 in the order of adding.
    pub slot: u32,
    /// The code as it was written.
    pub code: String,
    /// How often it is activated.
    pub activations: u32,
    /// Whether and how it is archived.
    pub archived: Option<ArchiveCause>,
    /// The other campaign that holds its value now, if it is archived.
    pub held_by: Option<CampaignId>,
}

/// How a code was archived (A5).
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ArchiveCause {
    /// With its campaign.
    ByCampaign = 1,
    /// By itself.
    Alone = 2,
}

impl fmt::Display for ArchiveCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ArchiveCause::ByCampaign => "with its campaign",
            ArchiveCause::Alone => "by itself",
        })
    }
}

/// The request to check whether codes are free to be added (Z6), at most [`LINES_MAX`](crate::command::LINES_MAX).
#[wire_format(serde::Deserialize)]
pub struct CheckFree {
    /// The codes.
    pub codes: CodeTexts,
}

/// The answer to [`CheckFree`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CheckFreeOutcome {
    /// One verdict for each code, in the order of the request.
    Checked {
        /// The verdicts.
        codes: Vec<CodeFree>,
        /// The journal position of the verdicts.
        as_of: Position,
    } = 0,
    /// Too many codes were given.
    TooManyLines = 1,
}

/// Whether a code is free to be added.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CodeFree {
    /// No campaign holds it.
    Free = 0,
    /// This campaign does.
    HeldBy(CampaignId) = 1,
    /// It cannot be a code.
    Invalid(InvalidCode) = 2,
}

impl fmt::Display for CodeFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodeFree::Free => f.write_str("free"),
            CodeFree::HeldBy(campaign) => write!(f, "held by campaign {campaign}"),
            CodeFree::Invalid(why) => write!(f, "invalid: {why}"),
        }
    }
}
