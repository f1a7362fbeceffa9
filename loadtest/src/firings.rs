//! Rules in a recount: which are live, what each has done, and the groups to which they assigned clients (U1, U7, U9, U11, U12).
//!
//! It checks that only live rules fire, once per top-up, and that each does what its actions define. It does not evaluate conditions and
//! formulas: the tests of the rules do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use scrip_protocol::command::{Action, RuleCard, RuleFired, RuleTerms, ToppedUp};
use scrip_protocol::{ClientId, ClubId, GroupId, Position, RuleId};

use crate::difference::{Difference, Differences, RuleSums};

/// The rules, and the groups of each client.
#[derive(Debug, Default)]
pub(crate) struct Firings {
    rules: BTreeMap<RuleId, RuleCount>,
    groups: HashMap<ClientId, BTreeSet<GroupId>>,
}

#[derive(Debug)]
struct RuleCount {
    terms: RuleTerms,
    archived: bool,
    sums: RuleSums,
}

impl Firings {
    /// The rules that an engine had when a recount begins.
    pub(crate) fn of(rules: &[RuleCard]) -> Firings {
        let count = |card: &RuleCard| {
            (card.rule, RuleCount { terms: card.terms.clone(), archived: card.archived_ms.is_some(), sums: RuleSums::default() })
        };
        Firings { rules: rules.iter().map(count).collect(), ..Firings::default() }
    }

    pub(crate) fn saved(&mut self, rule: RuleId, terms: &RuleTerms) {
        let sums = self.sums_of(rule);
        self.rules.insert(rule, RuleCount { terms: terms.clone(), archived: false, sums });
    }

    pub(crate) fn switched(&mut self, rule: RuleId, active: bool) {
        if let Some(found) = self.rules.get_mut(&rule) {
            found.terms.active = active;
        }
    }

    pub(crate) fn archived(&mut self, rule: RuleId) {
        if let Some(found) = self.rules.get_mut(&rule) {
            found.archived = true;
        }
    }

    /// A restored rule is switched off (A32).
    pub(crate) fn restored(&mut self, rule: RuleId) {
        if let Some(found) = self.rules.get_mut(&rule) {
            (found.archived, found.terms.active) = (false, false);
        }
    }

    /// Adds the firings on a top-up.
    pub(crate) fn topped_up(&mut self, position: Position, record: &ToppedUp, differences: &mut Differences) {
        let mut seen = BTreeSet::new();
        let fired = record.fired.iter().map(|fired| fired.rule);
        for rule in fired.clone().chain(record.failed.iter().map(|failed| failed.rule)) {
            if !seen.insert(rule) {
                differences.note(Difference::RuleTwice { position, rule });
            }
            if !self.rules.get(&rule).is_some_and(|found| found.is_live_at(record.club)) {
                differences.note(Difference::RuleNotLive { position, rule });
            }
        }
        for fired in &record.fired {
            let Some(found) = self.rules.get_mut(&fired.rule) else { continue };
            if !fires_as_defined(fired, &found.terms) {
                differences.note(Difference::FiredUnlike { position, rule: fired.rule });
            }
            found.sums.fired += 1;
            found.sums.credited += i128::from(fired.result.unwrap_or(0).max(0)) * 100;
        }
        for failed in &record.failed {
            if let Some(found) = self.rules.get_mut(&failed.rule) {
                found.sums.failed += 1;
            }
        }
        let groups = self.groups.entry(record.client).or_default();
        // An assignment to a group prevails, in whichever order the rules fire.
        record.fired.iter().flat_map(|fired| &fired.unassigned).for_each(|group| {
            groups.remove(group);
        });
        groups.extend(record.fired.iter().flat_map(|fired| &fired.assigned));
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = RuleId> {
        self.rules.keys().copied()
    }

    pub(crate) fn sums_of(&self, rule: RuleId) -> RuleSums {
        self.rules.get(&rule).map_or(RuleSums::default(), |found| found.sums)
    }

    /// The groups of a client, ascending.
    pub(crate) fn groups_of(&self, client: ClientId) -> Vec<GroupId> {
        self.groups.get(&client).map(|groups| groups.iter().copied().collect()).unwrap_or_default()
    }
}

impl RuleCount {
    fn is_live_at(&self, club: ClubId) -> bool {
        let clubs = &self.terms.clubs;
        self.terms.active && !self.archived && (clubs.is_empty() || clubs.contains(&club))
    }
}

/// Whether a firing has the parts that its rule defines.
fn fires_as_defined(fired: &RuleFired, terms: &RuleTerms) -> bool {
    let (mut adds, mut sends) = (false, false);
    let (mut into, mut out_of) = (BTreeSet::new(), BTreeSet::new());
    for action in &terms.actions {
        match action {
            Action::AddBonus { .. } => adds = true,
            Action::AssignGroup { group } => drop(into.insert(*group)),
            Action::UnassignGroup { group } => drop(out_of.insert(*group)),
            Action::SendPush(_) => sends = true,
        }
    }
    let is_group_by_group = fired.assigned.iter().eq(&into) && fired.unassigned.iter().eq(&out_of);
    // A notification is either sent or too long (A31).
    let is_sent_or_too_long = (u8::from(fired.push.is_some()) + u8::from(fired.push_too_long)) == u8::from(sends);
    fired.result.is_some() == adds && is_group_by_group && is_sent_or_too_long && fired.tags == terms.tags
}
