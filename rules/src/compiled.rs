//! Compiled rules: the engine checks what staff wrote once, when it is saved; the rule then fires on top-ups without being parsed
//! again (U1, U12).
//!
//! [`check`] runs the checks of [`InvalidRule`] in their order of precedence; [`Compiled::of`] compiles terms that passed them
//! before, when the journal is read again. [`Compiled::matches`] and [`Compiled::fire`] evaluate one rule; [`fire_all`] evaluates
//! all that match a top-up. Each rule sees the balances before the top-up, and no effects of the others (A22), so the order of
//! rules matters only if the balance would overflow.
//!
//! This module does not change a client's balance and groups: the resulting record does.

use scrip_protocol::command::{
    ACTIONS_MAX, Action, CLUBS_PER_RULE_MAX, DESCRIPTION_BYTES_MAX, FIRED_BYTES_MAX, FIRED_MAX, InvalidRule, NAME_BYTES_MAX,
    Push, PushPart, RuleFailed, RuleFired, RuleTerms, tags_in_order,
};
use scrip_protocol::{ClubId, FormulaFailure, GroupId, Money, RuleId, TextProblem, Variables};

use crate::conditions::Conditions;
use crate::formula::Formula;
use crate::ranges::Ranges;
use crate::text::PushText;

/// A rule, ready to fire.
///
/// - Made by [`check`], or by [`Compiled::of`] of what was checked.
/// - [`Compiled::matches`] decides whether it fires on a top-up, [`Compiled::fire`] what it then does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Ascending; empty for all.
    pub(crate) clubs: Vec<ClubId>,
    pub(crate) ranges: Ranges,
    pub(crate) formula: Option<Formula>,
    pub(crate) push: Option<CompiledPush>,
    pub(crate) assigned: Vec<GroupId>,
    pub(crate) unassigned: Vec<GroupId>,
    pub(crate) tags: Vec<String>,
    /// How many of the [`FIRED_BYTES_MAX`] of a top-up it takes.
    pub(crate) weight: usize,
}

/// The texts of a push notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompiledPush {
    pub(crate) title: PushText,
    pub(crate) body: PushText,
}

/// What rules did on a top-up: a part of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The rules that fired, by their numbers.
    pub fired: Vec<RuleFired>,
    /// The rules that failed (A20), by their numbers.
    pub failed: Vec<RuleFailed>,
    /// How many more matched than can fire at once.
    pub beyond: u32,
    /// The client's bonus balance after all credits.
    pub bonus: Money,
}

/// Checks a rule that somebody wrote. Returns its terms in canonical form, with sorted lists, and the compiled rule.
///
/// # Errors
/// The first of [`InvalidRule`] that holds.
pub fn check(
    terms: &RuleTerms,
    has_club: impl Fn(ClubId) -> bool,
    has_group: impl Fn(GroupId) -> bool,
) -> Result<(RuleTerms, Compiled), InvalidRule> {
    let mut terms = terms.clone();
    terms.clubs.sort_unstable();
    terms.clubs.dedup();
    if terms.name.trim().is_empty() || terms.name.len() > NAME_BYTES_MAX {
        return Err(InvalidRule::Name);
    }
    if terms.description.len() > DESCRIPTION_BYTES_MAX {
        return Err(InvalidRule::Description);
    }
    if terms.clubs.len() > CLUBS_PER_RULE_MAX {
        return Err(InvalidRule::TooManyClubs);
    }
    if let Some(club) = terms.clubs.iter().find(|club| !has_club(**club)) {
        return Err(InvalidRule::UnknownClub(*club));
    }
    let conditions = Conditions::parse(&terms.conditions).map_err(InvalidRule::Conditions)?;
    if terms.actions.is_empty() || terms.actions.len() > ACTIONS_MAX {
        return Err(InvalidRule::Actions);
    }
    if let Some(at) = (1..terms.actions.len()).find(|at| is_second(&terms.actions, *at)) {
        return Err(InvalidRule::SecondAction(at as u32 + 1));
    }
    let mut compiled = Compiled {
        clubs: terms.clubs.clone(),
        ranges: Ranges::of(&conditions),
        formula: None,
        push: None,
        assigned: Vec::new(),
        unassigned: Vec::new(),
        tags: Vec::new(),
        weight: 0,
    };
    let mut groups = Vec::new();
    let mut push = None;
    for action in &terms.actions {
        match action {
            Action::AddBonus { formula } => {
                compiled.formula = Some(Formula::parse(formula).map_err(InvalidRule::Formula)?);
                compiled.weight += formula.len();
            }
            Action::AssignGroup { group } => {
                groups.push(*group);
                compiled.assigned.push(*group);
            }
            Action::UnassignGroup { group } => {
                groups.push(*group);
                compiled.unassigned.push(*group);
            }
            Action::SendPush(sent) => push = Some(sent),
        }
    }
    compiled.assigned.sort_unstable();
    compiled.unassigned.sort_unstable();
    if let Some(group) = groups.into_iter().find(|group| !has_group(*group)) {
        return Err(InvalidRule::UnknownGroup(group));
    }
    compiled.push = push.map(compile_push).transpose()?;
    terms.tags = tags_in_order(&terms.tags).map_err(InvalidRule::Tags)?;
    compiled.tags = terms.tags.clone();
    compiled.weight += compiled.weight_in_record();
    Ok((terms, compiled))
}

/// Whether an action may occur once in a rule, and an earlier one is the same.
fn is_second(actions: &[Action], at: usize) -> bool {
    let group = |action: &Action| match action {
        Action::AssignGroup { group } | Action::UnassignGroup { group } => Some(*group),
        Action::AddBonus { .. } | Action::SendPush(_) => None,
    };
    let same = |earlier: &Action| match (group(earlier), group(&actions[at])) {
        (Some(earlier), Some(later)) => earlier == later,
        (None, None) => std::mem::discriminant(earlier) == std::mem::discriminant(&actions[at]),
        (Some(_), None) | (None, Some(_)) => false,
    };
    actions[..at].iter().any(same)
}

fn compile_push(push: &Push) -> Result<CompiledPush, InvalidRule> {
    let texts = [(PushPart::Title, &push.title), (PushPart::Body, &push.body)];
    if let Some((part, _)) = texts.into_iter().find(|(_, text)| text.trim().is_empty()) {
        return Err(InvalidRule::PushEmpty(part));
    }
    let invalid = |part| move |problem: TextProblem| InvalidRule::Push { part, problem };
    let compiled = CompiledPush {
        title: PushText::parse_line(&push.title).map_err(invalid(PushPart::Title))?,
        body: PushText::parse(&push.body).map_err(invalid(PushPart::Body))?,
    };
    for (part, text) in compiled.parts() {
        if text.chars_min() > part.chars_max() {
            return Err(InvalidRule::PushTooLong { part, chars: u32::try_from(text.chars_min()).unwrap_or(u32::MAX) });
        }
    }
    Ok(compiled)
}

impl CompiledPush {
    pub(crate) fn parts(&self) -> [(PushPart, &PushText); 2] {
        [(PushPart::Title, &self.title), (PushPart::Body, &self.body)]
    }

    /// The notification for a top-up; none if a part of it is then too long (A31).
    fn render(&self, variables: &Variables) -> Option<Push> {
        let fits = |part: PushPart, text: String| (text.chars().count() <= part.chars_max()).then_some(text);
        let title = fits(PushPart::Title, self.title.render(variables))?;
        Some(Push { title, body: fits(PushPart::Body, self.body.render(variables))? })
    }
}

impl Compiled {
    /// Compiles terms that were checked when they were saved. `None` for terms that do not pass [`check`], whatever clubs and
    /// groups exist: terms in a journal that this release did not write.
    pub fn of(terms: &RuleTerms) -> Option<Compiled> {
        check(terms, |_| true, |_| true).ok().map(|(_, compiled)| compiled)
    }

    /// Whether it fires on a top-up at this club.
    pub fn matches(&self, club: ClubId, variables: &Variables) -> bool {
        self.is_of(club) && self.ranges.contain(variables)
    }

    /// What it does on a top-up that it matches. A result of 0 or less credits nothing, and a push notification that is too long
    /// is not sent (A31); the other actions still run.
    ///
    /// # Errors
    /// When its formula has no result, or one that overflows an amount. Then none of its actions run (A20).
    pub fn fire(&self, rule: RuleId, variables: &Variables) -> Result<RuleFired, RuleFailed> {
        let result = self.result(variables).map_err(|why| RuleFailed { rule, why })?;
        let push = self.push.as_ref().and_then(|push| push.render(variables));
        Ok(RuleFired {
            rule,
            result,
            assigned: self.assigned.clone(),
            unassigned: self.unassigned.clone(),
            push_too_long: self.push.is_some() && push.is_none(),
            push,
            tags: self.tags.clone(),
        })
    }

    /// The result of its formula in whole major units, at least `i64::MIN`; none if it has no formula.
    pub(crate) fn result(&self, variables: &Variables) -> Result<Option<i64>, FormulaFailure> {
        let Some(formula) = &self.formula else { return Ok(None) };
        let exact = formula.evaluate(variables)?;
        let result = match exact.round() {
            Some(result) => result,
            None if exact.is_positive() => return Err(FormulaFailure::Overflow),
            // A negative result credits nothing, even below the smallest number.
            None => i64::MIN,
        };
        result.max(0).checked_mul(100).ok_or(FormulaFailure::Overflow)?;
        Ok(Some(result))
    }

    /// The most bytes that its lists and texts take in a record. A tag has a length and a position besides, of 4 bytes each.
    fn weight_in_record(&self) -> usize {
        let groups = (self.assigned.len() + self.unassigned.len()) * size_of::<GroupId>();
        let tags: usize = self.tags.iter().map(|tag| 8 + tag.len()).sum();
        let push: usize = self.push.iter().flat_map(CompiledPush::parts).map(|(_, text)| text.bytes_max()).sum();
        groups + tags + push
    }

    pub(crate) fn is_of(&self, club: ClubId) -> bool {
        self.clubs.is_empty() || self.clubs.binary_search(&club).is_ok()
    }
}

/// How much rules may still do on one top-up.
pub(crate) struct Room {
    rules: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { rules: FIRED_MAX, bytes: FIRED_BYTES_MAX }
    }
}

impl Room {
    /// Whether the next rule can fire. After the first that cannot, none can.
    pub(crate) fn takes(&mut self, next: &Compiled) -> bool {
        let (Some(rules), Some(bytes)) = (self.rules.checked_sub(1), self.bytes.checked_sub(next.weight)) else {
            self.rules = 0;
            return false;
        };
        (self.rules, self.bytes) = (rules, bytes);
        true
    }
}

/// Fires all rules that match a top-up. They must be in ascending order, as [`Candidates::at`](crate::Candidates::at) returns
/// them.
///
/// A rule fails if its credit would overflow the client's bonus balance after those before it; the others still run. Rules after
/// the first [`FIRED_MAX`], or after those whose formulas, groups, texts and tags fill [`FIRED_BYTES_MAX`], are only counted.
pub fn fire_all<'a>(matching: impl Iterator<Item = (RuleId, &'a Compiled)>, variables: &Variables) -> Fired {
    let mut all = Fired { fired: Vec::new(), failed: Vec::new(), beyond: 0, bonus: variables.bonus };
    let mut room = Room::default();
    for (rule, compiled) in matching {
        if !room.takes(compiled) {
            all.beyond = all.beyond.saturating_add(1);
            continue;
        }
        match compiled.fire(rule, variables) {
            Ok(fired) => match all.bonus.checked_add(fired.credited()) {
                Some(bonus) => {
                    all.bonus = bonus;
                    all.fired.push(fired);
                }
                None => all.failed.push(RuleFailed { rule, why: FormulaFailure::Overflow }),
            },
            Err(failed) => all.failed.push(failed),
        }
    }
    all
}

#[cfg(test)]
mod tests;
