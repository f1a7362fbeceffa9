//! Archive and restore, of campaigns and of single codes (X1 to X6, A4 to A6).
//!
//! An archived code cannot be redeemed, and its value is free for other campaigns. A code is archived with its campaign or by
//! itself. Restoring the campaign restores only the codes archived with it, and of these only the ones whose value no other
//! campaign has taken meanwhile. The others stay archived; restore the campaign again once their values are free.

use std::fmt;

use crate::command::{CodeTexts, SkippedLine};
use crate::ids::CampaignId;
use crate::record::Stamp;

/// The request to archive a campaign with all its codes.
#[wire_format(serde::Deserialize)]
pub struct ArchiveCampaign {
    /// The campaign.
    pub campaign: CampaignId,
}

/// The answer to [`ArchiveCampaign`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ArchiveCampaignOutcome {
    /// It is archived.
    Archived {
        /// How many codes this archived.
        codes: u32,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// It is archived already.
    AlreadyArchived = 2,
}

/// The record of an archived campaign.
#[wire_format]
pub struct CampaignArchived {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// How many codes this archived.
    pub codes: u32,
}

impl CampaignArchived {
    /// The reply that this record produces.
    pub fn outcome(&self) -> ArchiveCampaignOutcome {
        ArchiveCampaignOutcome::Archived { codes: self.codes }
    }
}

/// The request to restore an archived campaign, or the codes that an earlier restore left archived (A6).
#[wire_format(serde::Deserialize)]
pub struct RestoreCampaign {
    /// The campaign.
    pub campaign: CampaignId,
}

/// How many conflicts an answer to [`RestoreCampaign`] lists. [`ListCodes`](crate::command::ListCodes) lists all of them.
pub const CONFLICTS_SHOWN: usize = 1_000;

/// The answer to [`RestoreCampaign`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RestoreCampaignOutcome {
    /// It is no longer archived, except for the codes in conflict (X5).
    Restored {
        /// How many codes were restored.
        restored: u32,
        /// How many stay archived, because another campaign holds them.
        conflicts: u32,
        /// The first [`CONFLICTS_SHOWN`] of them (X4).
        first: Vec<CodeConflict>,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// Neither the campaign nor any code archived with it is archived.
    NotArchived = 2,
    /// An earlier restore left codes archived, and other campaigns still hold all of them. [`ListCodes`](crate::command::ListCodes)
    /// lists them.
    StillHeld {
        /// How many.
        codes: u32,
    } = 3,
}

/// A code that cannot be restored because another campaign holds it.
#[wire_format]
pub struct CodeConflict {
    /// Which of the campaign's codes, counted from 0 in the order of adding.
    pub slot: u32,
    /// The code as it was written; the first [`SHOWN_CHARS_MAX`](super::SHOWN_CHARS_MAX) characters of it.
    pub code: String,
    /// The campaign that holds it.
    pub held_by: CampaignId,
}

/// The record of a restored campaign.
#[wire_format]
pub struct CampaignRestored {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// How many codes are restored: those archived with the campaign, except the ones in conflict.
    pub restored: u32,
    /// The codes that stay archived: their slots, ascending.
    pub conflicts: Vec<u32>,
    /// The first of them, as answered.
    pub first: Vec<CodeConflict>,
}

impl CampaignRestored {
    /// The reply that this record produces.
    pub fn outcome(&self) -> RestoreCampaignOutcome {
        let conflicts = self.conflicts.len() as u32;
        RestoreCampaignOutcome::Restored { restored: self.restored, conflicts, first: self.first.clone() }
    }
}

/// The request to archive single codes of a campaign (X2). Restoring the campaign does not restore them (A5).
#[wire_format(serde::Deserialize)]
pub struct ArchiveCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// The codes as they are typed, at most [`LINES_MAX`](crate::command::LINES_MAX). Blank ones are ignored.
    pub codes: CodeTexts,
}

/// The request to restore single codes of a campaign (A6), whether they were archived by themselves or with the campaign.
#[wire_format(serde::Deserialize)]
pub struct RestoreCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// As in [`ArchiveCodes`].
    pub codes: CodeTexts,
}

/// The answer to [`ArchiveCodes`], in order of precedence. Codes that cannot be archived are skipped; the others are archived.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ArchiveCodesOutcome {
    /// Every code that could be archived is archived.
    Archived {
        /// How many codes.
        codes: u32,
        /// The codes that were skipped, with the reason; lines number the codes of the request from 1.
        skipped: Vec<SkippedLine>,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// No code was given.
    CodesMissing = 2,
    /// More than [`LINES_MAX`](crate::command::LINES_MAX) codes were given.
    TooManyLines = 3,
}

/// The answer to [`RestoreCodes`], in order of precedence. Codes that cannot be restored are skipped; the others are restored.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RestoreCodesOutcome {
    /// Every code that could be restored is restored.
    Restored {
        /// How many codes.
        codes: u32,
        /// The codes that were skipped, with the reason; lines number the codes of the request from 1.
        skipped: Vec<SkippedLine>,
    } = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// The campaign is archived; restore it first.
    CampaignArchived = 2,
    /// No code was given.
    CodesMissing = 3,
    /// More than [`LINES_MAX`](crate::command::LINES_MAX) codes were given.
    TooManyLines = 4,
}

/// The record of codes that were archived by themselves.
#[wire_format]
pub struct CodesArchived {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// The archived codes' slots, ascending.
    pub slots: Vec<u32>,
    /// The codes that were skipped.
    pub skipped: Vec<SkippedLine>,
}

impl CodesArchived {
    /// The reply that this record produces.
    pub fn outcome(&self) -> ArchiveCodesOutcome {
        ArchiveCodesOutcome::Archived { codes: self.slots.len() as u32, skipped: self.skipped.clone() }
    }
}

/// The record of codes that were restored by themselves.
#[wire_format]
pub struct CodesRestored {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// The restored codes' slots, ascending.
    pub slots: Vec<u32>,
    /// The codes that were skipped.
    pub skipped: Vec<SkippedLine>,
}

impl CodesRestored {
    /// The reply that this record produces.
    pub fn outcome(&self) -> RestoreCodesOutcome {
        RestoreCodesOutcome::Restored { codes: self.slots.len() as u32, skipped: self.skipped.clone() }
    }
}

pub(super) const UNKNOWN_CAMPAIGN: &str = "refused: there is no such campaign";
const CODES_MISSING: &str = "refused: no code was given";
const TOO_MANY: &str = "refused: too many codes for one request";

impl fmt::Display for ArchiveCampaignOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveCampaignOutcome::Archived { codes } => write!(f, "archived with {codes} codes"),
            ArchiveCampaignOutcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            ArchiveCampaignOutcome::AlreadyArchived => f.write_str("refused: the campaign is already archived"),
        }
    }
}

impl fmt::Display for RestoreCampaignOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreCampaignOutcome::Restored { restored, conflicts: 0, .. } => write!(f, "restored with {restored} codes"),
            RestoreCampaignOutcome::Restored { restored, conflicts, .. } => {
                write!(f, "restored with {restored} codes; {conflicts} stay archived, because other campaigns hold them")
            }
            RestoreCampaignOutcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            RestoreCampaignOutcome::NotArchived => f.write_str("refused: the campaign is not archived"),
            RestoreCampaignOutcome::StillHeld { codes } => {
                write!(f, "refused: other campaigns still hold the codes that stay archived: {codes}")
            }
        }
    }
}

impl fmt::Display for ArchiveCodesOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveCodesOutcome::Archived { codes, skipped } => write!(f, "archived {codes}, skipped {}", skipped.len()),
            ArchiveCodesOutcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            ArchiveCodesOutcome::CodesMissing => f.write_str(CODES_MISSING),
            ArchiveCodesOutcome::TooManyLines => f.write_str(TOO_MANY),
        }
    }
}

impl fmt::Display for RestoreCodesOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreCodesOutcome::Restored { codes, skipped } => write!(f, "restored {codes}, skipped {}", skipped.len()),
            RestoreCodesOutcome::UnknownCampaign => f.write_str(UNKNOWN_CAMPAIGN),
            RestoreCodesOutcome::CampaignArchived => f.write_str("refused: the campaign is archived; restore it first"),
            RestoreCodesOutcome::CodesMissing => f.write_str(CODES_MISSING),
            RestoreCodesOutcome::TooManyLines => f.write_str(TOO_MANY),
        }
    }
}
