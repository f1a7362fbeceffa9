//! Rules in the model: a handful of formulas and conditions, each beside its meaning in plain fractions of 128 bits; and what is
//! wrong with an invalid rule.

use scrip_protocol::command::{
    ACTIONS_MAX, Action, ActionChanges, ArchiveRuleOutcome, CreateRule, CreateRuleOutcome, DESCRIPTION_BYTES_MAX, InvalidRule,
    Lint, Push, PushPart, RestoreRuleOutcome, RuleChanges, RuleEvent, RuleFired, RuleTerms, ShowRule, ShowRuleOutcome,
    SwitchRuleOutcome, UpdateRule, UpdateRuleOutcome,
};
use scrip_protocol::{ClubId, FormulaFailure, GroupId, Kind, RuleId, TopUpSource, Variables, wire};
use scrip_rules::{Conditions, Formula, PushText};

use super::commands::some_clubs;
use super::ledger::{invalid_tags, some_tags};
use super::{Bench, Model, encoded};
use crate::state::requests::Remembered;

/// Enough rules to stack.
const RULES_MAX: usize = 12;

/// A formula and its result: numerator and denominator, in major units; none for a division by zero.
type Worked = (&'static str, fn(&Variables) -> Option<(i128, i128)>);

/// Amounts count in minor units here.
const FORMULAS: [Worked; 13] = [
    ("{{topupAmountMajor}} * 0.1", |of| Some((i128::from(of.amount.0), 1_000))),
    ("{{topupAmountMajor}} * 0.05 + 50", |of| Some((i128::from(of.amount.0) * 5 + 500_000, 10_000))),
    ("{{topupAmountMajor}} * 0.15", |of| Some((i128::from(of.amount.0) * 15, 10_000))),
    ("2.5", |_| Some((5, 2))),
    ("0.49", |_| Some((49, 100))),
    ("({{topupAmountMajor}} - 5) / 2", |of| Some((i128::from(of.amount.0) - 500, 200))),
    ("-{{topupAmountMajor}} / 3 + {{sessionsCount}}", |of| Some((i128::from(of.sessions) * 300 - i128::from(of.amount.0), 300))),
    ("{{totalSpentMajor}} / {{sessionsCount}}", |of| {
        (of.sessions > 0).then_some((i128::from(of.spent.0), i128::from(of.sessions) * 100))
    }),
    ("100 / ({{bonusBalanceMajor}} - {{gamingBalanceMajor}})", |of| {
        (of.bonus != of.gaming).then_some((10_000, i128::from(of.bonus.0) - i128::from(of.gaming.0)))
    }),
    ("{{topupAmountMajor}} * {{topupAmountMajor}}", |of| Some((i128::from(of.amount.0) * i128::from(of.amount.0), 10_000))),
    ("{{bonusBalanceMajor}} * 1.5", |of| Some((i128::from(of.bonus.0) * 3, 200))),
    ("{{topupAmountMajor}} * 100000000000000000", |of| Some((i128::from(of.amount.0) * 1_000_000_000_000_000, 1))),
    ("-100000000000 * {{topupAmountMajor}}", |of| Some((i128::from(of.amount.0) * -1_000_000_000, 1))),
];

const NO_FORMULA: &str = "topupAmountMajor * 2";

/// Conditions, and whether they hold.
type Held = (&'static str, fn(&Variables) -> bool);

const CONDITIONS: [Held; 9] = [
    ("", |_| true),
    ("topupAmountMajor >= 5", |of| of.amount.0 >= 500),
    ("topupAmountMajor >= 2 AND topupAmountMajor < 4", |of| (200..400).contains(&of.amount.0)),
    ("topUpSource = CASH", |of| of.source == TopUpSource::Cash),
    ("topUpSource != ACQUIRING AND topupAmountMajor <= 3", |of| of.source != TopUpSource::Acquiring && of.amount.0 <= 300),
    ("bonusBalanceMajor = 0", |of| of.bonus.0 == 0),
    ("gamingBalanceMajor != 0 AND totalSpentMajor > 3", |of| of.gaming.0 != 0 && of.spent.0 > 300),
    ("sessionsCount >= 2", |of| of.sessions >= 2),
    ("topupAmountMajor > 5 AND topupAmountMajor < 5", |_| false),
];

const NO_CONDITIONS: &str = "topupAmountMajor > 1.5";

const NO_TEXT: &str = "for {{nobody}}";

/// A rule of the model.
pub(super) struct ModelRule {
    terms: RuleTerms,
    archived: bool,
    fired: u64,
    failed: u64,
    credited: i128,
}

/// The nearest whole number to a fraction, with ties away from zero.
pub(super) fn rounded(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let further = rest.unsigned_abs() * 2 >= denominator.unsigned_abs();
    whole + if further { numerator.signum() * denominator.signum() } else { 0 }
}

impl ModelRule {
    fn fires_on(&self, club: ClubId, variables: &Variables) -> bool {
        let (_, hold) = CONDITIONS.iter().find(|(text, _)| *text == self.terms.conditions).expect("it was drawn from these");
        let at_club = self.terms.clubs.is_empty() || self.terms.clubs.contains(&club);
        self.terms.active && !self.archived && at_club && hold(variables)
    }

    /// The result of its formula; none without one.
    fn result(&self, variables: &Variables) -> Result<Option<i64>, FormulaFailure> {
        let formula = self.terms.actions.iter().find_map(|action| match action {
            Action::AddBonus { formula } => FORMULAS.iter().find(|(text, _)| text == formula),
            Action::AssignGroup { .. } | Action::UnassignGroup { .. } | Action::SendPush(_) => None,
        });
        let Some((_, work_out)) = formula else { return Ok(None) };
        let (numerator, denominator) = work_out(variables).ok_or(FormulaFailure::DivisionByZero)?;
        let result = i64::try_from(rounded(numerator, denominator).max(i64::MIN.into())).map_err(|_| FormulaFailure::Overflow)?;
        if i128::from(result) * 100 > i128::from(i64::MAX) { Err(FormulaFailure::Overflow) } else { Ok(Some(result)) }
    }

    /// Its effects.
    fn fire(&self, rule: RuleId, variables: &Variables) -> Result<RuleFired, FormulaFailure> {
        let result = self.result(variables)?;
        let (mut assigned, mut unassigned, mut sent) = (Vec::new(), Vec::new(), None);
        for action in &self.terms.actions {
            match action {
                Action::AddBonus { .. } => {}
                Action::AssignGroup { group } => assigned.push(*group),
                Action::UnassignGroup { group } => unassigned.push(*group),
                Action::SendPush(push) => sent = Some(push),
            }
        }
        assigned.sort();
        unassigned.sort();
        let major = variables.amount.to_string();
        let amount = major.strip_suffix(".00").unwrap_or(&major);
        let filled = sent.map(|push| Push {
            title: push.title.replace("{{topupAmountMajor}}", amount),
            body: push.body.replace("{{topUpSource}}", variables.source.word()),
        });
        let fits = |push: &Push| push.title.chars().count() <= 40 && push.body.chars().count() <= 120;
        let push_too_long = filled.as_ref().is_some_and(|push| !fits(push));
        Ok(RuleFired {
            rule,
            result,
            assigned,
            unassigned,
            push: filled.filter(|_| !push_too_long),
            push_too_long,
            tags: self.terms.tags.clone(),
        })
    }
}

impl Model {
    /// The effects of each rule on a top-up, or why it fails, as if it were alone.
    pub(super) fn fire(&self, club: ClubId, variables: &Variables) -> Vec<(RuleId, Result<RuleFired, FormulaFailure>)> {
        let live = (1..).map(RuleId).zip(&self.rules).filter(|(_, rule)| rule.fires_on(club, variables));
        live.map(|(id, rule)| (id, rule.fire(id, variables))).collect()
    }

    pub(super) fn count_fired(&mut self, rule: RuleId, credited: Option<i128>) {
        let rule = &mut self.rules[rule.0 as usize - 1];
        match credited {
            Some(credited) => (rule.fired, rule.credited) = (rule.fired + 1, rule.credited + credited),
            None => rule.failed += 1,
        }
    }

    fn known_rule(&self, rule: RuleId) -> Option<usize> {
        (rule.0 as usize).checked_sub(1).filter(|at| *at < self.rules.len())
    }

    /// What is wrong with a rule; otherwise its lists are put in order.
    fn invalid_rule(&self, terms: &mut RuleTerms) -> Option<InvalidRule> {
        terms.clubs.sort();
        terms.clubs.dedup();
        if terms.name.is_empty() {
            return Some(InvalidRule::Name);
        }
        if terms.description.len() > DESCRIPTION_BYTES_MAX {
            return Some(InvalidRule::Description);
        }
        if let Some(club) = terms.clubs.iter().find(|club| !self.has_club(**club)) {
            return Some(InvalidRule::UnknownClub(*club));
        }
        if terms.conditions == NO_CONDITIONS {
            return Conditions::parse(NO_CONDITIONS).err().map(InvalidRule::Conditions);
        }
        let actions = &terms.actions;
        if actions.is_empty() || actions.len() > ACTIONS_MAX {
            return Some(InvalidRule::Actions);
        }
        // What must be unique per action.
        let only = |action: &Action| match action {
            Action::AddBonus { .. } => (1, 0),
            Action::SendPush(_) => (2, 0),
            Action::AssignGroup { group } | Action::UnassignGroup { group } => (3, group.0),
        };
        if let Some(at) = (0..actions.len()).find(|at| actions[..*at].iter().any(|earlier| only(earlier) == only(&actions[*at])))
        {
            return Some(InvalidRule::SecondAction(at as u32 + 1));
        }
        if actions.contains(&Action::AddBonus { formula: NO_FORMULA.to_owned() }) {
            return Formula::parse(NO_FORMULA).err().map(InvalidRule::Formula);
        }
        for action in actions {
            if let Action::AssignGroup { group } | Action::UnassignGroup { group } = action
                && (group.0 == 0 || group.0 as usize > self.groups.len())
            {
                return Some(InvalidRule::UnknownGroup(*group));
            }
        }
        for action in actions {
            let Action::SendPush(push) = action else { continue };
            let parts = [(PushPart::Title, &push.title), (PushPart::Body, &push.body)];
            if let Some((part, _)) = parts.iter().find(|(_, text)| text.trim().is_empty()) {
                return Some(InvalidRule::PushEmpty(*part));
            }
            if let Some((part, _)) = parts.iter().find(|(_, text)| *text == NO_TEXT) {
                let problem = PushText::parse(NO_TEXT).expect_err("there is no such variable");
                return Some(InvalidRule::Push { part: *part, problem });
            }
            // A number has at least one character; only a title can be drawn too long.
            let chars = push.title.replace("{{topupAmountMajor}}", "1").chars().count();
            if chars > 40 {
                return Some(InvalidRule::PushTooLong { part: PushPart::Title, chars: chars as u32 });
            }
        }
        if let Some(why) = invalid_tags(&terms.tags) {
            return Some(InvalidRule::Tags(why));
        }
        terms.tags.sort();
        terms.tags.dedup();
        None
    }

    pub(super) fn create_rule(&mut self, terms: &RuleTerms) -> CreateRuleOutcome {
        let mut terms = terms.clone();
        if let Some(why) = self.invalid_rule(&mut terms) {
            return CreateRuleOutcome::InvalidRule(why);
        }
        self.rules.push(ModelRule { terms, archived: false, fired: 0, failed: 0, credited: 0 });
        CreateRuleOutcome::Created { rule: RuleId(self.rules.len() as u32), lint: Lint::default() }
    }

    pub(super) fn update_rule(&mut self, rule: RuleId, changes: &RuleChanges) -> UpdateRuleOutcome {
        let Some(at) = self.known_rule(rule) else { return UpdateRuleOutcome::UnknownRule };
        if self.rules[at].archived {
            return UpdateRuleOutcome::RuleArchived;
        }
        let mut terms = self.rules[at].terms.clone();
        let was_active = terms.active;
        let RuleChanges { name, description, active, clubs, event: _, conditions, actions, tags } = changes.clone();
        name.into_iter().for_each(|name| terms.name = name);
        description.into_iter().for_each(|description| terms.description = description);
        active.into_iter().for_each(|active| terms.active = active);
        clubs.into_iter().for_each(|clubs| terms.clubs = clubs);
        conditions.into_iter().for_each(|conditions| terms.conditions = conditions);
        tags.into_iter().for_each(|tags| terms.tags = tags);
        if let Some(actions) = actions {
            let ActionChanges::All(actions) = actions else { panic!("the model's requests replace all actions or none") };
            terms.actions = actions;
        }
        if let Some(why) = self.invalid_rule(&mut terms) {
            return UpdateRuleOutcome::InvalidRule(why);
        }
        if terms.active && !was_active {
            return UpdateRuleOutcome::RuleInactive;
        }
        self.rules[at].terms = terms;
        UpdateRuleOutcome::Updated { lint: Lint::default() }
    }

    pub(super) fn switch_rule(&mut self, rule: RuleId, active: bool) -> SwitchRuleOutcome {
        match self.known_rule(rule) {
            None => SwitchRuleOutcome::UnknownRule,
            Some(at) if self.rules[at].archived => SwitchRuleOutcome::RuleArchived,
            Some(at) => {
                self.rules[at].terms.active = active;
                SwitchRuleOutcome::Switched { active }
            }
        }
    }

    pub(super) fn archive_rule(&mut self, rule: RuleId) -> ArchiveRuleOutcome {
        match self.known_rule(rule) {
            None => ArchiveRuleOutcome::UnknownRule,
            Some(at) if self.rules[at].archived => ArchiveRuleOutcome::AlreadyArchived,
            Some(at) => {
                self.rules[at].archived = true;
                ArchiveRuleOutcome::Archived
            }
        }
    }

    pub(super) fn restore_rule(&mut self, rule: RuleId) -> RestoreRuleOutcome {
        match self.known_rule(rule) {
            None => RestoreRuleOutcome::UnknownRule,
            Some(at) if !self.rules[at].archived => RestoreRuleOutcome::NotArchived,
            Some(at) => {
                (self.rules[at].archived, self.rules[at].terms.active) = (false, false);
                RestoreRuleOutcome::Restored
            }
        }
    }

    /// Compares the cards of the rules.
    pub(super) fn compare_rules(&self, bench: &Bench) {
        assert_eq!(bench.state.rules.next(), RuleId(self.rules.len() as u32 + 1));
        for (rule, expected) in (1..).map(RuleId).zip(&self.rules) {
            let ShowRuleOutcome::Rule(card) = bench.state.show_rule(&ShowRule { rule }) else { panic!("there is rule {rule}") };
            assert_eq!(card.terms, expected.terms);
            assert_eq!(card.archived_ms.is_some(), expected.archived, "rule {rule}");
            assert_eq!((card.fired, card.failed), (expected.fired, expected.failed), "rule {rule}");
            // A sum that would overflow stays at the maximum.
            assert_eq!(i128::from(card.credited.0), expected.credited.min(i64::MAX.into()), "rule {rule}");
        }
    }

    /// A rule, valid or not.
    pub(super) fn some_rule(&self, random: &mut fastrand::Rng, is_new: bool) -> RuleTerms {
        let mut actions = Vec::new();
        for _ in 0..[1, 1, 1, 1, 1, 1, 0, 2][random.usize(..8)] {
            let formula = if random.u32(..30) == 0 { NO_FORMULA } else { FORMULAS[random.usize(..FORMULAS.len())].0 };
            actions.push(Action::AddBonus { formula: formula.to_owned() });
        }
        for _ in 0..[0, 0, 1, 2, 3][random.usize(..5)] {
            // Mostly an existing one.
            let group = GroupId(random.u32(..self.groups.len() as u32 + 2).max(random.u32(..2)));
            actions.push(if random.bool() { Action::AssignGroup { group } } else { Action::UnassignGroup { group } });
        }
        for _ in 0..[0, 0, 0, 0, 0, 0, 1, 1, 1, 2][random.usize(..10)] {
            actions.push(Action::SendPush(some_push(random)));
        }
        random.shuffle(&mut actions);
        if random.u32(..60) == 0 {
            actions.extend((0..9).map(|group| Action::AssignGroup { group: GroupId(group) }));
        }
        let enough = is_new && self.rules.len() >= RULES_MAX;
        RuleTerms {
            name: if enough || random.u32(..25) == 0 { "" } else { "a rule" }.to_owned(),
            description: if random.u32(..40) == 0 { "d".repeat(DESCRIPTION_BYTES_MAX + 1) } else { String::new() },
            active: random.u32(..4) > 0,
            clubs: if random.bool() { Vec::new() } else { some_clubs(random) },
            event: RuleEvent::BalanceToppedUp,
            conditions: match random.usize(..CONDITIONS.len() * 3) {
                0 => NO_CONDITIONS,
                at => CONDITIONS[at % CONDITIONS.len()].0,
            }
            .to_owned(),
            actions,
            tags: some_tags(random),
        }
    }
}

fn some_push(random: &mut fastrand::Rng) -> Push {
    let title = match random.u32(..8) {
        0 => " ".to_owned(),
        1 => NO_TEXT.to_owned(),
        2 => "t".repeat(41),
        // Too long from an amount of 100.00 on, or with minor units.
        3 | 4 => format!("{}{{{{topupAmountMajor}}}}", "t".repeat(37)),
        _ => "Hello".to_owned(),
    };
    let body = ["", NO_TEXT, "by {{topUpSource}}", "by {{topUpSource}}", "there", "there"][random.usize(..6)].to_owned();
    Push { title, body }
}

/// A reply without lint findings, which the model does not have.
pub(super) fn without_lint(reply: Remembered) -> Remembered {
    let Remembered::Other(other) = &reply else { return reply };
    match Kind::from_number(other.0) {
        Some(Kind::CreateRule) => {
            let outcome: CreateRuleOutcome = wire::decode("create-rule", &other.1).expect("the reply was just encoded");
            encoded::<CreateRule>(&match outcome {
                CreateRuleOutcome::Created { rule, .. } => CreateRuleOutcome::Created { rule, lint: Lint::default() },
                other @ (CreateRuleOutcome::InvalidRule(_) | CreateRuleOutcome::TooManyRules) => other,
            })
        }
        Some(Kind::UpdateRule) => {
            let outcome: UpdateRuleOutcome = wire::decode("update-rule", &other.1).expect("the reply was just encoded");
            encoded::<UpdateRule>(&match outcome {
                UpdateRuleOutcome::Updated { .. } => UpdateRuleOutcome::Updated { lint: Lint::default() },
                refused @ (UpdateRuleOutcome::UnknownRule
                | UpdateRuleOutcome::RuleArchived
                | UpdateRuleOutcome::RuleInactive
                | UpdateRuleOutcome::InvalidRule(_)) => refused,
            })
        }
        Some(_) | None => reply,
    }
}
