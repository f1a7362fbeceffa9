//! Rules: actions that run automatically when a balance is topped up (U1 to U13).
//!
//! Formulas, conditions and push texts are sent as staff type them; the engine checks them when a rule is saved.

use std::fmt;

use crate::command::{InvalidTags, Lint, NAME_BYTES_MAX, RuleChanges};
use crate::ids::{ClubId, GroupId, RuleId};
use crate::problem::TextProblem;
use crate::record::Stamp;

/// How many rules there may be, archived ones included. The last tenth is reserved for operators.
pub const RULES_MAX: usize = 100_000;
/// The most bytes of a rule's description.
pub const DESCRIPTION_BYTES_MAX: usize = 2_000;
/// How many clubs a rule may name.
pub const CLUBS_PER_RULE_MAX: usize = 1_000;
/// How many actions a rule may have.
pub const ACTIONS_MAX: usize = 8;
/// The most characters (Unicode scalars) of a push notification's title (U13, A31).
pub const PUSH_TITLE_CHARS_MAX: usize = 40;
/// The most characters (Unicode scalars) of a push notification's body (U13, A31).
pub const PUSH_BODY_CHARS_MAX: usize = 120;

/// A rule as staff write it (U1).
#[wire_format(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTerms {
    /// 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// At most [`DESCRIPTION_BYTES_MAX`] bytes; may be empty.
    #[serde(default)]
    pub description: String,
    /// The toggle: whether it fires (U9).
    pub active: bool,
    /// The clubs whose top-ups it fires on, ascending; empty for all.
    #[serde(rename = "clubIds", default)]
    pub clubs: Vec<ClubId>,
    /// What it fires on.
    #[serde(default)]
    pub event: RuleEvent,
    /// Conditions on the top-up, such as `topupAmountMajor >= 500 AND topUpSource = CASH`; empty for none (U4).
    #[serde(default)]
    pub conditions: String,
    /// What it does: 1 to [`ACTIONS_MAX`] actions, at most one `ADD_BONUS` and one `SEND_PUSH`, each group once (U12).
    pub actions: Vec<Action>,
    /// The tags of its credits (B6), as in a [`Note`](crate::command::Note).
    #[serde(default)]
    pub tags: Vec<String>,
}

/// What a rule fires on.
#[wire_format(Copy, Hash, Default, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum RuleEvent {
    /// A top-up from any source, when it is executed (U2).
    #[default]
    BalanceToppedUp = 1,
}

/// One thing that a rule does (U12).
#[wire_format(serde::Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[repr(u8)]
pub enum Action {
    /// Credits the client's bonus balance.
    AddBonus {
        /// How much, in major units, such as `{{topupAmountMajor}} * 0.1` (U5). Rounded to whole units (U6).
        formula: String,
    } = 1,
    /// Adds the client to a group.
    AssignGroup {
        /// The group.
        group: GroupId,
    } = 2,
    /// Removes the client from a group.
    UnassignGroup {
        /// The group.
        group: GroupId,
    } = 3,
    /// Sends the client a push notification, which may contain variables (U13).
    SendPush(Push) = 4,
}

/// A push notification.
#[wire_format(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// At most [`PUSH_TITLE_CHARS_MAX`] characters.
    pub title: String,
    /// At most [`PUSH_BODY_CHARS_MAX`] characters.
    pub body: String,
}

/// A part of a push notification.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PushPart {
    /// The title.
    Title = 1,
    /// The body.
    Body = 2,
}

impl PushPart {
    /// Maximum number of characters.
    pub const fn chars_max(self) -> usize {
        match self {
            PushPart::Title => PUSH_TITLE_CHARS_MAX,
            PushPart::Body => PUSH_BODY_CHARS_MAX,
        }
    }
}

/// What is wrong with a rule, in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidRule {
    /// The name is missing or too long.
    Name = 0,
    /// The description is too long.
    Description = 1,
    /// Too many clubs are named.
    TooManyClubs = 2,
    /// The organisation has no such club.
    UnknownClub(ClubId) = 3,
    /// The conditions are invalid.
    Conditions(TextProblem) = 4,
    /// There is no action, or there are too many.
    Actions = 5,
    /// There is a second `ADD_BONUS` or `SEND_PUSH`, or a second action for the same group. Counted from 1.
    SecondAction(u32) = 6,
    /// The formula is invalid.
    Formula(TextProblem) = 7,
    /// The organisation has no such group.
    UnknownGroup(GroupId) = 8,
    /// A part of the push notification is empty.
    PushEmpty(PushPart) = 9,
    /// A part of the push notification is invalid.
    Push {
        /// Which part.
        part: PushPart,
        /// The problem.
        problem: TextProblem,
    } = 10,
    /// A part of the push notification is too long, whatever the values of its variables.
    PushTooLong {
        /// Which part.
        part: PushPart,
        /// Minimum number of characters.
        chars: u32,
    } = 11,
    /// Its tags exceed a limit.
    Tags(InvalidTags) = 12,
}

/// The request to create a rule. If it is active, it applies to the next top-up (U9).
#[wire_format(serde::Deserialize)]
pub struct CreateRule {
    /// The rule.
    pub terms: RuleTerms,
}

/// The answer to [`CreateRule`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CreateRuleOutcome {
    /// It is created.
    Created {
        /// Its number.
        rule: RuleId,
        /// Lint findings (Z12).
        lint: Lint,
    } = 0,
    /// The rule is invalid.
    InvalidRule(InvalidRule) = 1,
    /// There are [`RULES_MAX`] rules, or nine tenths of that many and the caller is no operator.
    TooManyRules = 2,
}

/// The request to change a rule (U10). The changes apply to the next top-up.
#[wire_format(serde::Deserialize)]
pub struct UpdateRule {
    /// The rule.
    pub rule: RuleId,
    /// The changes.
    pub changes: RuleChanges,
}

/// The answer to [`UpdateRule`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum UpdateRuleOutcome {
    /// It is changed.
    Updated {
        /// Lint findings (Z12).
        lint: Lint,
    } = 0,
    /// There is no such rule.
    UnknownRule = 1,
    /// It is archived; restore it first.
    RuleArchived = 2,
    /// The rule is invalid. Nothing is changed.
    InvalidRule(InvalidRule) = 3,
    /// The rule is switched off, and the changes have it switched on. Nothing is changed.
    RuleInactive = 4,
}

/// The request to switch a rule on or off (U9).
#[wire_format(serde::Deserialize)]
pub struct SwitchRule {
    /// The rule.
    pub rule: RuleId,
    /// On or off.
    pub active: bool,
}

/// The answer to [`SwitchRule`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SwitchRuleOutcome {
    /// It is on or off, as requested.
    Switched {
        /// Whether it is on.
        active: bool,
    } = 0,
    /// There is no such rule.
    UnknownRule = 1,
    /// It is archived; restore it first.
    RuleArchived = 2,
}

/// The request to archive a rule: it no longer fires, and its settings and history are kept (U11).
#[wire_format(serde::Deserialize)]
pub struct ArchiveRule {
    /// The rule.
    pub rule: RuleId,
}

/// The answer to [`ArchiveRule`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ArchiveRuleOutcome {
    /// It is archived.
    Archived = 0,
    /// There is no such rule.
    UnknownRule = 1,
    /// It is already archived.
    AlreadyArchived = 2,
}

/// The request to restore an archived rule, switched off (A32).
#[wire_format(serde::Deserialize)]
pub struct RestoreRule {
    /// The rule.
    pub rule: RuleId,
}

/// The answer to [`RestoreRule`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RestoreRuleOutcome {
    /// It is restored, switched off.
    Restored = 0,
    /// There is no such rule.
    UnknownRule = 1,
    /// It is not archived.
    NotArchived = 2,
}

/// The record of a created or changed rule.
#[wire_format]
pub struct RuleSaved {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// Its number.
    pub rule: RuleId,
    /// Whether it is new.
    pub new: bool,
    /// All its terms, with lists sorted.
    pub terms: RuleTerms,
    /// Lint findings at that time.
    pub lint: Lint,
}

/// The record of a rule switched on or off.
#[wire_format]
pub struct RuleSwitched {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The rule.
    pub rule: RuleId,
    /// Whether it is on.
    pub active: bool,
}

/// The record of an archived rule.
#[wire_format]
pub struct RuleArchived {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The rule.
    pub rule: RuleId,
}

/// The record of a restored rule.
#[wire_format]
pub struct RuleRestored {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The rule.
    pub rule: RuleId,
}

impl fmt::Display for PushPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PushPart::Title => "title",
            PushPart::Body => "body",
        })
    }
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidRule::Name => write!(f, "a rule's name has 1 to {NAME_BYTES_MAX} bytes"),
            InvalidRule::Description => write!(f, "a rule's description has at most {DESCRIPTION_BYTES_MAX} bytes"),
            InvalidRule::TooManyClubs => write!(f, "a rule can name at most {CLUBS_PER_RULE_MAX} clubs; leave them out for all"),
            InvalidRule::UnknownClub(club) => write!(f, "the organisation has no club {club}"),
            InvalidRule::Conditions(problem) => write!(f, "the conditions, {problem}"),
            InvalidRule::Actions => write!(f, "a rule has 1 to {ACTIONS_MAX} actions"),
            InvalidRule::SecondAction(at) => {
                write!(f, "action {at}: a rule has at most one ADD_BONUS and one SEND_PUSH, and one action for each group")
            }
            InvalidRule::Formula(problem) => write!(f, "the formula, {problem}"),
            InvalidRule::UnknownGroup(group) => write!(f, "the organisation has no group {group}"),
            InvalidRule::PushEmpty(part) => write!(f, "the push notification's {part} is empty"),
            InvalidRule::Push { part, problem } => write!(f, "the push notification's {part}, {problem}"),
            InvalidRule::PushTooLong { part, chars } => {
                write!(f, "the push notification's {part} has {chars} characters; at most {} are allowed", part.chars_max())
            }
            InvalidRule::Tags(why) => why.fmt(f),
        }
    }
}

const UNKNOWN_RULE: &str = "refused: there is no such rule";
const RULE_ARCHIVED: &str = "refused: the rule is archived; restore it first";
const RULE_INACTIVE: &str =
    "refused: the rule is inactive, and an update does not activate it; activate it first, or update it as inactive";

impl fmt::Display for CreateRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateRuleOutcome::Created { rule, .. } => write!(f, "created rule {rule}"),
            CreateRuleOutcome::InvalidRule(why) => write!(f, "refused: {why}"),
            CreateRuleOutcome::TooManyRules => {
                let reserved = "the last tenth is reserved for operators";
                write!(f, "refused: at most {RULES_MAX} rules are allowed, archived ones included; {reserved}")
            }
        }
    }
}

impl fmt::Display for UpdateRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateRuleOutcome::Updated { .. } => f.write_str("updated"),
            UpdateRuleOutcome::UnknownRule => f.write_str(UNKNOWN_RULE),
            UpdateRuleOutcome::RuleArchived => f.write_str(RULE_ARCHIVED),
            UpdateRuleOutcome::InvalidRule(why) => write!(f, "refused: {why}"),
            UpdateRuleOutcome::RuleInactive => f.write_str(RULE_INACTIVE),
        }
    }
}

impl fmt::Display for SwitchRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SwitchRuleOutcome::Switched { active: true } => "active: it fires on the next matching top-up",
            SwitchRuleOutcome::Switched { active: false } => "inactive: it does not fire",
            SwitchRuleOutcome::UnknownRule => UNKNOWN_RULE,
            SwitchRuleOutcome::RuleArchived => RULE_ARCHIVED,
        })
    }
}

impl fmt::Display for ArchiveRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ArchiveRuleOutcome::Archived => "archived: it no longer fires",
            ArchiveRuleOutcome::UnknownRule => UNKNOWN_RULE,
            ArchiveRuleOutcome::AlreadyArchived => "refused: the rule is already archived",
        })
    }
}

impl fmt::Display for RestoreRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RestoreRuleOutcome::Restored => "restored, switched off",
            RestoreRuleOutcome::UnknownRule => UNKNOWN_RULE,
            RestoreRuleOutcome::NotArchived => "refused: the rule is not archived",
        })
    }
}
