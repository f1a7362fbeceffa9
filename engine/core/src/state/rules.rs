//! The rules of the organisation, and the index by which a top-up finds those that may fire.

use scrip_protocol::command::{Lint, RULES_LINTED_AGAINST, RuleTerms};
use scrip_protocol::{ClubId, Money, RuleId, Variables};
use scrip_rules::{Candidates, Compiled, lint};

use super::tables::behind;

/// The rules, numbered from 1.
#[derive(Debug, Default, PartialEq)]
pub struct Rules {
    rows: Vec<Rule>,
    /// The live rules: switched on, and not archived.
    candidates: Candidates,
}

/// A rule.
#[derive(Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Rule {
    /// As staff wrote it.
    pub terms: RuleTerms,
    /// The compiled rule; none if a journal from elsewhere contains an invalid one, which never fires.
    #[rkyv(with = rkyv::with::Skip)]
    compiled: Option<Compiled>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was changed last, in milliseconds since 1970.
    pub changed_ms: u64,
    /// When it was archived, in milliseconds since 1970; none while it is not.
    pub archived_ms: Option<u64>,
    /// How many times it has fired.
    pub fired: u64,
    /// How many times it has failed.
    pub failed: u64,
    /// The total that it has credited.
    pub credited: Money,
}

impl Rule {
    fn live(&self) -> Option<&Compiled> {
        self.compiled.as_ref().filter(|_| self.terms.active && self.archived_ms.is_none())
    }
}

impl Rules {
    /// The rules of a snapshot.
    pub(super) fn over(rows: Vec<Rule>) -> Rules {
        let mut rules = Rules { rows, candidates: Candidates::default() };
        for (row, rule) in rules.rows.iter_mut().zip((1..).map(RuleId)) {
            row.compiled = Compiled::of(&row.terms);
            if let Some(compiled) = row.live() {
                rules.candidates.insert(rule, compiled);
            }
        }
        rules
    }

    /// The rules for a snapshot.
    pub(super) fn rows(&self) -> Vec<Rule> {
        let kept = |row: &Rule| Rule { terms: row.terms.clone(), compiled: None, ..*row };
        self.rows.iter().map(kept).collect()
    }

    /// A rule.
    pub fn of(&self, rule: RuleId) -> Option<&Rule> {
        self.rows.get((rule.0 as usize).checked_sub(1)?)
    }

    /// The number that the next rule gets.
    pub fn next(&self) -> RuleId {
        RuleId(self.rows.len() as u32 + 1)
    }

    /// The rules after one, with their numbers.
    pub fn after(&self, rule: RuleId) -> impl Iterator<Item = (RuleId, &Rule)> {
        behind(&self.rows, rule.0 as usize).map(|(number, row)| (RuleId(number), row))
    }

    /// The live rules that match a top-up at a club, in the order of their numbers.
    pub(super) fn matching(&self, club: ClubId, variables: &Variables) -> impl Iterator<Item = (RuleId, &Compiled)> {
        let live = |rule: RuleId| self.of(rule).and_then(Rule::live).map(|compiled| (rule, compiled));
        let candidates = self.candidates.at(club, variables).into_iter();
        candidates.filter_map(live).filter(move |(_, compiled)| compiled.matches(club, variables))
    }

    /// Whether there are fewer rules than a limit.
    pub(super) fn are_below(&self, limit: usize) -> bool {
        self.rows.len() < limit
    }

    /// Lint findings for a rule among the newest other live rules.
    pub(super) fn lint(&self, rule: RuleId, compiled: &Compiled) -> Lint {
        let newest = self.after(RuleId(self.rows.len().saturating_sub(RULES_LINTED_AGAINST) as u32));
        let others = newest.filter(|(other, _)| *other != rule);
        lint(
            rule,
            compiled,
            others.filter_map(|(other, row)| row.live().map(|compiled| (other, row.terms.name.as_str(), compiled))),
        )
    }

    pub(super) fn save(&mut self, rule: RuleId, terms: &RuleTerms, now_ms: u64) {
        if rule == self.next() {
            self.rows.push(Rule {
                terms: RuleTerms { active: false, ..terms.clone() },
                compiled: None,
                created_ms: now_ms,
                changed_ms: now_ms,
                archived_ms: None,
                fired: 0,
                failed: 0,
                credited: Money(0),
            });
        }
        self.change(rule, |row| {
            (row.compiled, row.terms, row.changed_ms) = (Compiled::of(terms), terms.clone(), now_ms);
        });
    }

    pub(super) fn switch(&mut self, rule: RuleId, active: bool) {
        self.change(rule, |row| row.terms.active = active);
    }

    pub(super) fn archive(&mut self, rule: RuleId, now_ms: u64) {
        self.change(rule, |row| row.archived_ms = Some(now_ms));
    }

    /// It is switched off after the restore (A32).
    pub(super) fn restore(&mut self, rule: RuleId) {
        self.change(rule, |row| (row.archived_ms, row.terms.active) = (None, false));
    }

    pub(super) fn count_fired(&mut self, rule: RuleId, credited: Money) {
        if let Some(row) = self.row_mut(rule) {
            row.fired += 1;
            row.credited = Money(row.credited.0.saturating_add(credited.0));
        }
    }

    pub(super) fn count_failed(&mut self, rule: RuleId) {
        if let Some(row) = self.row_mut(rule) {
            row.failed += 1;
        }
    }

    /// Changes a rule, and updates the index of live ones.
    fn change(&mut self, rule: RuleId, change: impl FnOnce(&mut Rule)) {
        let Some(row) = (rule.0 as usize).checked_sub(1).and_then(|at| self.rows.get_mut(at)) else { return };
        if let Some(compiled) = row.live() {
            self.candidates.remove(rule, compiled);
        }
        change(row);
        if let Some(compiled) = row.live() {
            self.candidates.insert(rule, compiled);
        }
    }

    fn row_mut(&mut self, rule: RuleId) -> Option<&mut Rule> {
        self.rows.get_mut((rule.0 as usize).checked_sub(1)?)
    }
}
