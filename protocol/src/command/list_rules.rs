//! Showing rules: lists, cards, lint findings, and rehearsals of drafts (Z12).

use std::fmt;

use crate::command::{InvalidRule, PushPart, RuleTerms};
use crate::ids::{ClubId, Position, RuleId};
use crate::money::Money;
use crate::variables::{TopUpSource, Variable, Variables};

/// Maximum number of rules in an answer to [`ListRules`].
pub const RULES_PER_PAGE: usize = 256;

/// How many rules are examined for one answer, so that a filter that few pass does not delay other requests.
pub const RULES_LOOKED_AT: usize = 8_192;

/// How many other rules, the newest ones, a rule is compared with for its [`Lint`].
pub const RULES_LINTED_AGAINST: usize = 16_384;

/// Maximum number of overlapping rules that a [`Lint`] names.
pub const OVERLAPS_NAMED_MAX: usize = 64;

/// Lint findings of a rule. They never prevent the rule from being saved.
#[wire_format(Default, serde::Deserialize)]
pub struct Lint {
    /// The findings.
    pub findings: Vec<Finding>,
    /// What all active rules credit together with this one, at amounts where that changes, for a client without balances and
    /// history. Assumes the source that credits most, among those that this rule accepts.
    pub stacked: Vec<StackedRate>,
}

/// A lint finding.
#[wire_format(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Finding {
    /// No top-up can meet all its conditions: those on this variable contradict each other.
    NeverHolds {
        /// The variable.
        variable: Variable,
    } = 1,
    /// Another active rule can fire on the same top-up; both then fire (U7, A18). One finding for each of the first
    /// [`OVERLAPS_NAMED_MAX`].
    Overlaps(Overlap) = 2,
    /// The number of further overlapping rules.
    MoreOverlaps(u32) = 3,
    /// The formula can yield 0 or less before rounding, and then credits nothing, as in this example.
    NotPositive {
        /// A top-up on which it does.
        at: Variables,
        /// Its result there, as a decimal or a fraction.
        result: String,
    } = 4,
    /// The formula can yield more than 0 but round to 0, as in this example.
    RoundsToNothing {
        /// A top-up on which it does.
        at: Variables,
        /// Its result there, as a decimal or a fraction.
        result: String,
    } = 5,
    /// The formula can divide by zero, and the rule then fails, as in this example.
    DividesByZero {
        /// A top-up on which it does.
        at: Variables,
    } = 6,
    /// A part of the push notification can be too long, and is then not sent, as in this example.
    PushTooLong {
        /// Which part.
        part: PushPart,
        /// A top-up on which it is.
        at: Variables,
        /// Its length there, in characters.
        chars: u32,
    } = 7,
}

/// Another rule that can fire on the same top-up.
#[wire_format(serde::Deserialize)]
pub struct Overlap {
    /// The rule.
    pub rule: RuleId,
    /// Its name.
    pub name: String,
    /// The least amount of a top-up on which both can fire.
    pub from: Money,
    /// The greatest such amount; none for no limit.
    pub to: Option<Money>,
}

/// What a top-up of an amount is credited in all.
#[wire_format(serde::Deserialize)]
pub struct StackedRate {
    /// The amount.
    pub amount: Money,
    /// The source that credits most; the first of several.
    pub source: TopUpSource,
    /// What all rules that fire credit together.
    pub credited: Money,
    /// How many rules fire.
    pub rules: u32,
}

/// The request to lint a rule without saving it.
#[wire_format(serde::Deserialize)]
pub struct LintRule {
    /// The rule, as if it were active.
    pub terms: RuleTerms,
    /// The rule that it would replace; 0 for none.
    #[serde(default)]
    pub replaces: RuleId,
}

/// The answer to [`LintRule`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LintRuleOutcome {
    /// The rule is valid; these are its lint findings.
    Lint {
        /// The findings.
        lint: Lint,
        /// The journal position of this result.
        as_of: Position,
    } = 0,
    /// There is no such rule to replace.
    UnknownRule = 1,
    /// The rule is invalid.
    InvalidRule(InvalidRule) = 2,
}

/// The request to rehearse a rule on the top-ups of a past period.
#[wire_format(serde::Deserialize)]
pub struct RehearseRule {
    /// The rule, as if it had been active.
    pub terms: RuleTerms,
    /// The rule that it would replace, whose firings are excluded from the stacking; 0 for none.
    #[serde(default)]
    pub replaces: RuleId,
    /// The start of the period, in milliseconds since 1970.
    pub from_ms: u64,
    /// Its end, in milliseconds since 1970: its last moment.
    pub to_ms: u64,
}

/// The answer to [`RehearseRule`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RehearseRuleOutcome {
    /// The result.
    Rehearsed(Rehearsal) = 0,
    /// The period ends before it starts.
    PeriodReversed = 1,
    /// The rule is invalid.
    InvalidRule(InvalidRule) = 2,
    /// The period starts before the first record that is kept.
    NotKept {
        /// The first position that is kept.
        first: Position,
        /// The time of its record, in milliseconds since 1970. A period that starts after it can be rehearsed.
        first_ms: u64,
    } = 4,
    /// The journal cannot be read; see the engine's log.
    Unreadable = 3,
}

/// What a rule would have done in a period. A sum that would overflow an amount is `None`. Each top-up is evaluated with the
/// balances that the client had then; later effects of the rule's own credits are not simulated.
#[wire_format(Default, serde::Deserialize)]
pub struct Rehearsal {
    /// How many top-ups there were in the period, at any club.
    pub top_ups: u64,
    /// On how many of them it would have fired.
    pub fired: u64,
    /// How many clients made those.
    pub clients: u64,
    /// The sum of those top-ups.
    pub topped_up: Option<Money>,
    /// What it would have credited: its cost.
    pub credited: Option<Money>,
    /// How many of the firings would have credited nothing.
    pub without_credit: u64,
    /// On how many top-ups it would have failed.
    pub failed: u64,
    /// On how many of the top-ups that it would have fired on other rules fired too.
    pub stacked: u64,
    /// What these other rules credited there.
    pub stacked_credited: Option<Money>,
    /// The ten rules that it would have stacked with most often, with counts.
    pub stacked_with: Vec<StackedWith>,
    /// The ten firings that would have credited most.
    pub largest: Vec<WouldFire>,
    /// The last position that was read.
    pub as_of: Position,
}

/// A rule that fired on top-ups on which a rehearsed rule would have fired as well.
#[wire_format(serde::Deserialize)]
pub struct StackedWith {
    /// The rule.
    pub rule: RuleId,
    /// On how many top-ups.
    pub top_ups: u64,
}

/// A top-up on which a rehearsed rule would have fired.
#[wire_format(serde::Deserialize)]
pub struct WouldFire {
    /// The top-up.
    pub top_up: Position,
    /// Its amount.
    pub amount: Money,
    /// What would have been credited.
    pub credited: Money,
}

/// The request for a rule.
#[wire_format(serde::Deserialize)]
pub struct ShowRule {
    /// The rule.
    pub rule: RuleId,
}

/// The answer to [`ShowRule`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(clippy::large_enum_variant, reason = "one is created per request, and lives until it is written")]
pub enum ShowRuleOutcome {
    /// Its card.
    Rule(RuleCard) = 0,
    /// There is no such rule.
    UnknownRule = 1,
}

/// A rule's card (U10).
#[wire_format]
pub struct RuleCard {
    /// Its number.
    pub rule: RuleId,
    /// All its terms.
    pub terms: RuleTerms,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed, in milliseconds since 1970; the time of creation if never.
    pub changed_ms: u64,
    /// When it was archived, in milliseconds since 1970; none if it is not archived.
    pub archived_ms: Option<u64>,
    /// How often it has fired.
    pub fired: u64,
    /// How often it has failed.
    pub failed: u64,
    /// What it has credited in all.
    pub credited: Money,
    /// The journal position of this result.
    pub as_of: Position,
}

/// Which rules are listed (U11).
#[wire_format(Copy, Hash, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RuleFilter {
    /// Those that are not archived.
    #[default]
    Present = 0,
    /// Those that are switched on.
    Active = 1,
    /// Those that are switched off, and not archived.
    Inactive = 2,
    /// Those that are archived.
    Archived = 3,
}

/// The request for a page of the rules that pass a filter, in the order of their numbers. A page ends after [`RULES_PER_PAGE`]
/// rules, or after examining [`RULES_LOOKED_AT`].
#[wire_format(Default, serde::Deserialize)]
pub struct ListRules {
    /// The rule to continue after; 0 to start from the first.
    pub after: RuleId,
    /// Filter by status.
    pub filter: RuleFilter,
    /// Only those that fire at this club; 0 for any.
    pub club: ClubId,
}

/// The answer to [`ListRules`].
#[wire_format]
pub struct ListRulesOutcome {
    /// The page. It may be short, or empty, without being the last.
    pub rules: Vec<RuleCard>,
    /// The rule to continue after; none on the last page.
    pub next: Option<RuleId>,
    /// The journal position of this result.
    pub as_of: Position,
}

/// A short description of a top-up, for people.
struct Words<'a>(&'a Variables);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Variables { amount, source, gaming, bonus, spent, sessions } = self.0;
        write!(f, "a top-up of {amount} by {source} from a client with gaming balance {gaming}, bonus balance {bonus}, ")?;
        write!(f, "{spent} spent in total, sessions {sessions}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NeverHolds { variable } => {
                write!(f, "the rule can never fire: the conditions on {variable} exclude each other")
            }
            Finding::Overlaps(Overlap { rule, name, from, to: None }) => {
                write!(f, "rule {rule} ({name}) can fire on the same top-up: both fire from {from} on")
            }
            Finding::Overlaps(Overlap { rule, name, from, to: Some(to) }) => {
                write!(f, "rule {rule} ({name}) can fire on the same top-up: both fire from {from} to {to}")
            }
            Finding::MoreOverlaps(more) => write!(f, "{more} more rules can fire on the same top-up"),
            Finding::NotPositive { at, result } => {
                write!(f, "the formula can yield no bonus: it is {result} for {}", Words(at))
            }
            Finding::RoundsToNothing { at, result } => {
                write!(f, "the formula can round to zero: it is {result} for {}", Words(at))
            }
            Finding::DividesByZero { at } => write!(f, "the formula can divide by zero: it does for {}", Words(at)),
            Finding::PushTooLong { part, at, chars } => {
                write!(f, "the push notification's {part} can be too long: it has {chars} characters for {}", Words(at))
            }
        }
    }
}

impl fmt::Display for LintRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LintRuleOutcome::Lint { lint, .. } if lint.findings.is_empty() => f.write_str("no lint findings"),
            LintRuleOutcome::Lint { lint, .. } => write!(f, "lint findings: {}", lint.findings.len()),
            LintRuleOutcome::UnknownRule => f.write_str("refused: there is no such rule"),
            LintRuleOutcome::InvalidRule(why) => write!(f, "refused: {why}"),
        }
    }
}

impl fmt::Display for RehearseRuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RehearseRuleOutcome::Rehearsed(done) => {
                write!(f, "would have fired on {} of {} top-ups (clients: {}) ", done.fired, done.top_ups, done.clients)?;
                match done.credited {
                    Some(credited) => write!(f, "and credited {credited}"),
                    None => write!(f, "and credited more than {}", Money(i64::MAX)),
                }
            }
            RehearseRuleOutcome::PeriodReversed => f.write_str("refused: the period ends before it begins"),
            RehearseRuleOutcome::InvalidRule(why) => write!(f, "refused: {why}"),
            RehearseRuleOutcome::NotKept { first, .. } => {
                write!(f, "refused: the journal begins at position {first}, after the start of the period")
            }
            RehearseRuleOutcome::Unreadable => f.write_str("refused: the journal cannot be read; see the engine's log"),
        }
    }
}
