//! Create a rule, change, switch, archive and restore it (U9 to U11, A32).

use scrip_protocol::command::{
    ArchiveRule, ArchiveRuleOutcome, CreateRule, CreateRuleOutcome, InvalidRule, LintRule, LintRuleOutcome, RULES_MAX,
    RestoreRule, RestoreRuleOutcome, RuleArchived, RuleRestored, RuleSaved, RuleSwitched, RuleTerms, SwitchRule,
    SwitchRuleOutcome, UpdateRule, UpdateRuleOutcome,
};
use scrip_protocol::{Record, RuleId, Stamp};
use scrip_rules::{Compiled, check};

use super::{Remembered, State, encoded, refused};

/// The terms as stored, and the compiled rule.
fn checked(state: &State, terms: &RuleTerms) -> Result<(RuleTerms, Compiled), InvalidRule> {
    check(terms, |club| state.clubs.contains(club), |group| state.groups.contains(group))
}

pub(super) fn decide_create(state: &State, stamp: Stamp, request: &CreateRule) -> Record {
    let rule = state.rules.next();
    match checked(state, &request.terms) {
        Ok(_) if !state.rules.are_below(state.credentials.limit_of(stamp.credential, RULES_MAX)) => {
            refused::<CreateRule>(stamp, &CreateRuleOutcome::TooManyRules)
        }
        Ok((terms, compiled)) => RuleSaved { stamp, rule, new: true, terms, lint: state.rules.lint(rule, &compiled) }.into(),
        Err(why) => refused::<CreateRule>(stamp, &CreateRuleOutcome::InvalidRule(why)),
    }
}

pub(super) fn decide_update(state: &State, stamp: Stamp, request: &UpdateRule) -> Record {
    let refuse = |outcome| refused::<UpdateRule>(stamp, &outcome);
    let Some(row) = state.rules.of(request.rule) else { return refuse(UpdateRuleOutcome::UnknownRule) };
    if row.archived_ms.is_some() {
        return refuse(UpdateRuleOutcome::RuleArchived);
    }
    match checked(state, &request.changes.applied_to(&row.terms)) {
        // Somebody may have switched it off since the changes were written.
        Ok((terms, _)) if terms.active && !row.terms.active => refuse(UpdateRuleOutcome::RuleInactive),
        Ok((terms, compiled)) => {
            let lint = state.rules.lint(request.rule, &compiled);
            RuleSaved { stamp, rule: request.rule, new: false, terms, lint }.into()
        }
        Err(why) => refuse(UpdateRuleOutcome::InvalidRule(why)),
    }
}

pub(super) fn decide_switch(state: &State, stamp: Stamp, request: &SwitchRule) -> Record {
    let refuse = |outcome| refused::<SwitchRule>(stamp, &outcome);
    let Some(row) = state.rules.of(request.rule) else { return refuse(SwitchRuleOutcome::UnknownRule) };
    if row.archived_ms.is_some() {
        return refuse(SwitchRuleOutcome::RuleArchived);
    }
    RuleSwitched { stamp, rule: request.rule, active: request.active }.into()
}

pub(super) fn decide_archive(state: &State, stamp: Stamp, rule: RuleId) -> Record {
    let refuse = |outcome| refused::<ArchiveRule>(stamp, &outcome);
    let Some(row) = state.rules.of(rule) else { return refuse(ArchiveRuleOutcome::UnknownRule) };
    if row.archived_ms.is_some() {
        return refuse(ArchiveRuleOutcome::AlreadyArchived);
    }
    RuleArchived { stamp, rule }.into()
}

pub(super) fn decide_restore(state: &State, stamp: Stamp, rule: RuleId) -> Record {
    let refuse = |outcome| refused::<RestoreRule>(stamp, &outcome);
    let Some(row) = state.rules.of(rule) else { return refuse(RestoreRuleOutcome::UnknownRule) };
    if row.archived_ms.is_none() {
        return refuse(RestoreRuleOutcome::NotArchived);
    }
    RuleRestored { stamp, rule }.into()
}

impl State {
    /// Lints a rule without saving it (Z12).
    pub fn lint_rule(&self, request: &LintRule) -> LintRuleOutcome {
        if request.replaces != RuleId(0) && self.rules.of(request.replaces).is_none() {
            return LintRuleOutcome::UnknownRule;
        }
        match checked(self, &request.terms) {
            Ok((_, compiled)) => {
                LintRuleOutcome::Lint { lint: self.rules.lint(request.replaces, &compiled), as_of: self.position }
            }
            Err(why) => LintRuleOutcome::InvalidRule(why),
        }
    }
}

/// The answer to the request that a record comes from.
pub(super) fn reply_of(record: &RuleSaved) -> Remembered {
    let lint = record.lint.clone();
    match record.new {
        true => encoded::<CreateRule>(&CreateRuleOutcome::Created { rule: record.rule, lint }),
        false => encoded::<UpdateRule>(&UpdateRuleOutcome::Updated { lint }),
    }
}
