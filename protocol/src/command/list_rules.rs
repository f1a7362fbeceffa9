//! Looking at rules: lists, cards, what is odd about one, and what a draft would have done (Z12).

use std::fmt;

use crate::command::{InvalidRule, PushPart, RuleTerms};
use crate::ids::{ClubId, Position, RuleId};
use crate::money::Money;
use crate::variables::{TopUpSource, Variable, Variables};

/// How many rules an answer to [`ListRules`] holds at the most.
pub const RULES_PER_PAGE: usize = 256;

/// How many rules are looked at for one answer, so that a filter that few pass does not hold up other requests.
pub const RULES_LOOKED_AT: usize = 8_192;

/// With how many other rules a rule is compared for its [`Lint`], the newest ones.
pub const RULES_LINTED_AGAINST: usize = 16_384;

/// How many overlapping rules a [`Lint`] names at the most.
pub const OVERLAPS_NAMED_MAX: usize = 64;

/// What is odd about a rule. None of it keeps a rule from being saved.
#[wire_format(Default, serde::Deserialize)]
pub struct Lint {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What all active rules credit together with this one, at amounts where something changes: of a client without balances and history,
    /// by whichever source that this rule takes makes most of it.
    pub stacked: Vec<StackedRate>,
}

/// One thing that is odd about a rule.
#[wire_format(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Finding {
    /// No top-up can meet all its conditions: those on this variable exclude each other.
    NeverHolds {
        /// The variable.
        variable: Variable,
    } = 1,
    /// Another active rule can fire on the same top-up, and both then do (U7, A18). For each of the first [`OVERLAPS_NAMED_MAX`].
    Overlaps(Overlap) = 2,
    /// There are so many more of them.
    MoreOverlaps(u32) = 3,
    /// The formula can come to 0 or less before it is rounded, and then credits nothing: for instance here.
    NotPositive {
        /// A top-up on which it does.
        at: Variables,
        /// What it comes to there, as a decimal or a fraction.
        result: String,
    } = 4,
    /// The formula can come to more than 0 that is rounded to nothing: for instance here.
    RoundsToNothing {
        /// A top-up on which it does.
        at: Variables,
        /// What it comes to there, as a decimal or a fraction.
        result: String,
    } = 5,
    /// The formula can divide by zero, and the rule then fails: for instance here.
    DividesByZero {
        /// A top-up on which it does.
        at: Variables,
    } = 6,
    /// A part of the push notification can be too long, and is then not sent: for instance here.
    PushTooLong {
        /// Which.
        part: PushPart,
        /// A top-up on which it is.
        at: Variables,
        /// How many characters it has there.
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
    /// The greatest; none for no limit.
    pub to: Option<Money>,
}

/// What a top-up of an amount is credited in all.
#[wire_format(serde::Deserialize)]
pub struct StackedRate {
    /// The amount.
    pub amount: Money,
    /// The source by which most is credited; of several, the first.
    pub source: TopUpSource,
    /// What all rules that fire credit together.
    pub credited: Money,
    /// How many rules fire.
    pub rules: u32,
}

/// The request to say what is odd about a rule, without saving it.
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
    /// It can be had; this is odd about it.
    Lint {
        /// What is odd about it.
        lint: Lint,
        /// The journal position that it is as of.
        as_of: Position,
    } = 0,
    /// There is no such rule to replace.
    UnknownRule = 1,
    /// It cannot be had.
    InvalidRule(InvalidRule) = 2,
}

/// The request to say what a rule would have done to the top-ups of a past period.
#[wire_format(serde::Deserialize)]
pub struct RehearseRule {
    /// The rule, as if it had been active.
    pub terms: RuleTerms,
    /// The rule that it would replace, whose firings are left out of what it would have stacked with; 0 for none.
    #[serde(default)]
    pub replaces: RuleId,
    /// The begin of the period, in milliseconds since 1970.
    pub from_ms: u64,
    /// Its end, in milliseconds since 1970: its last moment.
    pub to_ms: u64,
}

/// The answer to [`RehearseRule`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RehearseRuleOutcome {
    /// This is what it would have done.
    Rehearsed(Rehearsal) = 0,
    /// The period ends before it begins.
    PeriodReversed = 1,
    /// It cannot be had.
    InvalidRule(InvalidRule) = 2,
    /// The period begins before what is kept of the journal.
    NotKept {
        /// The first position that is kept.
        first: Position,
        /// The time of its record, in milliseconds since 1970. A period that begins after it can be had.
        first_ms: u64,
    } = 4,
    /// The journal cannot be read; the engine's log says why.
    Unreadable = 3,
}

/// What a rule would have done in a period. A sum that is more than an amount can hold is none. Each top-up is taken as it was, with the balances that the client had: what the rule's own
/// credits would have changed later is not followed.
#[wire_format(Default, serde::Deserialize)]
pub struct Rehearsal {
    /// How many top-ups there were in the period, at any club.
    pub top_ups: u64,
    /// On how many of them it would have fired.
    pub fired: u64,
    /// Of how many clients these are.
    pub clients: u64,
    /// What was topped up with them.
    pub topped_up: Option<Money>,
    /// What it would have credited: its cost.
    pub credited: Option<Money>,
    /// How many of the firings would have credited nothing.
    pub without_credit: u64,
    /// On how many top-ups it would have failed.
    pub failed: u64,
    /// On how many of those that it would have fired on other rules fired too.
    pub stacked: u64,
    /// What these other rules credited there.
    pub stacked_credited: Option<Money>,
    /// The rules that it would have stacked with most often, with how often; the first ten.
    pub stacked_with: Vec<StackedWith>,
    /// The firings that would have credited most; the first ten.
    pub largest: Vec<WouldFire>,
    /// The last position that was looked at.
    pub as_of: Position,
}

/// A rule that fired on top-ups on which a rehearsed one would have fired as well.
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
    /// How much it was.
    pub amount: Money,
    /// What would have been credited.
    pub credited: Money,
}

/// The request for a rule.
#[wire_format(serde::Deserialize)]
pub struct ShowRule {
    /// Which.
    pub rule: RuleId,
}

/// The answer to [`ShowRule`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(clippy::large_enum_variant, reason = "one is made for each question, and lives until it is written")]
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
    /// All of it.
    pub terms: RuleTerms,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was changed last, in milliseconds since 1970; as it was created where it never was.
    pub changed_ms: u64,
    /// When it was archived, in milliseconds since 1970; none while it is not.
    pub archived_ms: Option<u64>,
    /// How often it has fired.
    pub fired: u64,
    /// How often it has failed.
    pub failed: u64,
    /// What it has credited in all.
    pub credited: Money,
    /// The journal position that it is as of.
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

/// The request for the rules after one that pass a filter, in the order of their numbers. A page ends after [`RULES_PER_PAGE`] of them, or
/// after [`RULES_LOOKED_AT`] were looked at.
#[wire_format(Default, serde::Deserialize)]
pub struct ListRules {
    /// The rule to continue after; 0 from the first.
    pub after: RuleId,
    /// Which.
    pub filter: RuleFilter,
    /// Only those that fire at this club; 0 for any.
    pub club: ClubId,
}

/// The answer to [`ListRules`].
#[wire_format]
pub struct ListRulesOutcome {
    /// The page. It may have fewer than the most, or none, and not be the last.
    pub rules: Vec<RuleCard>,
    /// The rule to continue after; none where there are no more.
    pub next: Option<RuleId>,
    /// The journal position that it is as of.
    pub as_of: Position,
}

/// A top-up in a few words, for people.
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
