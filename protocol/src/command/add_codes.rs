//! Codes of a campaign: how a list of them is added, and the verdict on each line (K3 to K9, Z7).

use std::fmt;

use crate::codes::InvalidCode;
use crate::ids::{CampaignId, Position};
use crate::record::Stamp;

/// The request to add codes to a campaign.
#[wire_format(serde::Deserialize)]
pub struct AddCodes {
    /// The campaign.
    pub campaign: CampaignId,
    /// One entry for each line of the list, or of a part of it: at most [`LINES_MAX`]. Blank ones are ignored.
    pub lines: CodeTexts,
    /// The number of the first of these lines: 1, unless a longer list is sent in parts.
    pub first_line: u32,
    /// What to do with the other lines if one cannot be added.
    pub on_conflict: OnConflict,
}

/// How many lines a request with a list of codes may carry. Send a longer list in parts; each part is added as a whole or not at
/// all.
pub const LINES_MAX: usize = 65_536;

/// The request to preview adding a list of codes (Z7): returns the answer of [`AddCodes`] and adds nothing.
#[wire_format(serde::Deserialize)]
pub struct TryCodes {
    /// The campaign; none for one that does not exist yet.
    pub campaign: Option<CampaignId>,
    /// As in [`AddCodes`].
    pub lines: CodeTexts,
    /// As in [`AddCodes`].
    pub first_line: u32,
    /// How many codes earlier parts of the list would add, if it is tried in parts: they count against the campaign's limit (A2).
    pub earlier: u32,
    /// As in [`AddCodes`].
    pub on_conflict: OnConflict,
}

/// What to do when a line holds a code that cannot be added: one that is taken (A3), or one that is invalid.
#[wire_format(Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum OnConflict {
    /// Nothing is added.
    Reject = 0,
    /// The line is skipped.
    Skip = 1,
}

/// The result of adding a list of codes.
#[wire_format(Default)]
pub struct CodesReport {
    /// How many codes were added.
    pub added: u32,
    /// The lines that added nothing, in order; blank lines are not among them.
    pub skipped: Vec<SkippedLine>,
}

/// The most characters shown of a code that could not be added or restored.
pub const SHOWN_CHARS_MAX: usize = 64;

/// A line that added no code.
#[wire_format]
pub struct SkippedLine {
    /// Its number in the list, from 1, blank lines counted.
    pub line: u32,
    /// The line's text, without surrounding white space; the first [`SHOWN_CHARS_MAX`] characters of it.
    pub code: String,
    /// Why.
    pub why: LineVerdict,
}

/// Why a line added no code.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LineVerdict {
    /// It cannot be a code.
    Invalid(InvalidCode) = 1,
    /// The list has the code already.
    DuplicateInList {
        /// The line that has it.
        of_line: u32,
    } = 2,
    /// The campaign has the code already.
    AlreadyInCampaign = 3,
    /// Another campaign holds the code (K7).
    HeldBy(CampaignId) = 4,
    /// The campaign does not have the code.
    NotInCampaign = 5,
    /// The code is archived already.
    AlreadyArchived = 6,
    /// The code is not archived.
    NotArchived = 7,
}

impl fmt::Display for LineVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineVerdict::Invalid(why) => write!(f, "invalid: {why}"),
            LineVerdict::DuplicateInList { of_line } => write!(f, "duplicate of line {of_line}"),
            LineVerdict::AlreadyInCampaign => f.write_str("already in this campaign"),
            LineVerdict::HeldBy(campaign) => write!(f, "held by campaign {campaign}"),
            LineVerdict::NotInCampaign => f.write_str("not in this campaign"),
            LineVerdict::AlreadyArchived => f.write_str("already archived"),
            LineVerdict::NotArchived => f.write_str("not archived"),
        }
    }
}

/// The answer to [`AddCodes`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AddCodesOutcome {
    /// The codes are added, except for the lines that the report lists.
    Added(CodesReport) = 0,
    /// There is no such campaign.
    UnknownCampaign = 1,
    /// The campaign is archived.
    CampaignArchived = 2,
    /// The list holds no code at all.
    CodesMissing = 3,
    /// The list has more than [`LINES_MAX`] lines.
    TooManyLines = 4,
    /// Lines cannot be added, and the request does not skip them. Nothing is added.
    Conflicts(Vec<SkippedLine>) = 5,
    /// The campaign would exceed the maximum number of codes (A2). Nothing is added.
    TooManyCodes(CodeLimit) = 6,
}

/// A limit that a list of codes would exceed.
#[wire_format(Copy)]
pub struct CodeLimit {
    /// The most codes that a campaign may hold.
    pub limit: u32,
    /// How many it holds now.
    pub current: u32,
    /// How many the list would add.
    pub would_add: u32,
}

impl fmt::Display for CodeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a campaign holds at most {} codes; this one has {} and the list would add {}",
            self.limit, self.current, self.would_add
        )
    }
}

/// Codes as they were written, or lines of a list, in one text: the code of slot `i` ends at byte `ends[i]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CodeTexts {
    /// The codes, one after the other.
    pub text: String,
    /// Where each ends, in bytes.
    pub ends: Vec<u32>,
}

/// In JSON, the list of the codes.
impl serde::Serialize for CodeTexts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl CodeTexts {
    /// Adds one.
    pub fn push(&mut self, code: &str) {
        self.text.push_str(code);
        self.ends.push(u32::try_from(self.text.len()).expect("a list of codes is within the limit of a frame"));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The one of a slot.
    pub fn of(&self, slot: usize) -> Option<&str> {
        let start = slot.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start as usize..*self.ends.get(slot)? as usize)
    }

    /// Adds those of another list, in order.
    pub fn append(&mut self, other: &CodeTexts) {
        let before = self.text.len();
        self.text.push_str(&other.text);
        let end = |end: &u32| u32::try_from(before + *end as usize).expect("the codes of a campaign have less than 4 GiB");
        self.ends.extend(other.ends.iter().map(end));
    }

    /// Whether every end lies within the text, on a character boundary, and none before its predecessor. Checked on untrusted
    /// input before use.
    pub fn is_whole(&self) -> bool {
        self.iter().count() == self.len() && self.ends.last().copied().unwrap_or(0) as usize == self.text.len()
    }

    /// The codes in order. An end outside the text ends the sequence.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map_while(|(start, end)| self.text.get(start as usize..*end as usize))
    }
}

impl<T: AsRef<str>> FromIterator<T> for CodeTexts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> CodeTexts {
        let mut list = CodeTexts::default();
        texts.into_iter().for_each(|text| list.push(text.as_ref()));
        list
    }
}

impl<'de> serde::Deserialize<'de> for CodeTexts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<CodeTexts, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// The record of codes added to a campaign, with the verdicts on the other lines.
#[wire_format]
pub struct CodesAdded {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The campaign.
    pub campaign: CampaignId,
    /// The codes added.
    pub codes: CodeTexts,
    /// The lines that added nothing.
    pub skipped: Vec<SkippedLine>,
}

impl CodesAdded {
    /// The reply that this record produces.
    pub fn outcome(&self) -> AddCodesOutcome {
        AddCodesOutcome::Added(CodesReport { added: self.codes.len() as u32, skipped: self.skipped.clone() })
    }
}

/// Where a campaign's codes came from: one entry for each addition (K9).
#[wire_format(Copy)]
pub struct CodesBatch {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many codes were added.
    pub codes: u32,
    /// The record.
    pub position: Position,
}
