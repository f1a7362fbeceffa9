//! Changes to a rule: what is given replaces that part of the rule, and everything else stays (U10).
//!
//! A request carries the changes and not the whole rule, so that two changes of different parts do not undo each other, and a
//! retry means the same whatever was changed in between.

use super::{ACTIONS_MAX, Action, Push, RuleEvent, RuleTerms};
use crate::ids::{ClubId, GroupId};

/// Changes to a rule. `None` leaves a part as it is.
#[wire_format(Default, serde::Deserialize)]
pub struct RuleChanges {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The status. `false` switches the rule off; `true` never switches it on, but is refused if the rule is off.
    pub active: Option<bool>,
    /// The clubs; empty for all.
    pub clubs: Option<Vec<ClubId>>,
    /// The event.
    pub event: Option<RuleEvent>,
    /// The conditions; empty for none.
    pub conditions: Option<String>,
    /// The actions.
    pub actions: Option<ActionChanges>,
    /// The tags.
    pub tags: Option<Vec<String>>,
}

/// Changes to the actions of a rule.
#[wire_format(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ActionChanges {
    /// Replaces all actions.
    All(Vec<Action>) = 0,
    /// Replaces the actions of some kinds, in place; appends those of a kind that the rule does not have.
    Some {
        /// The formula of the bonus; `Some(None)` removes it.
        bonus: Option<Option<String>>,
        /// The groups to add the client to.
        assigned: Option<Vec<GroupId>>,
        /// The groups to remove the client from.
        unassigned: Option<Vec<GroupId>>,
        /// The push notification.
        push: Option<PushChange>,
    } = 1,
}

/// A change to the push notification of a rule.
#[wire_format(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PushChange {
    /// Sends none.
    Remove = 0,
    /// Replaces the given parts.
    Replace {
        /// The title.
        title: Option<String>,
        /// The body.
        body: Option<String>,
    } = 1,
}

impl RuleChanges {
    /// Replaces every part.
    pub fn whole(terms: RuleTerms) -> RuleChanges {
        let RuleTerms { name, description, active, clubs, event, conditions, actions, tags } = terms;
        RuleChanges {
            name: Some(name),
            description: Some(description),
            active: Some(active),
            clubs: Some(clubs),
            event: Some(event),
            conditions: Some(conditions),
            actions: Some(ActionChanges::All(actions)),
            tags: Some(tags),
        }
    }

    /// The rule with these changes.
    pub fn applied_to(&self, before: &RuleTerms) -> RuleTerms {
        RuleTerms {
            name: self.name.as_ref().unwrap_or(&before.name).clone(),
            description: self.description.as_ref().unwrap_or(&before.description).clone(),
            active: self.active.unwrap_or(before.active),
            clubs: self.clubs.as_ref().unwrap_or(&before.clubs).clone(),
            event: self.event.unwrap_or(before.event),
            conditions: self.conditions.as_ref().unwrap_or(&before.conditions).clone(),
            actions: self.actions.as_ref().map_or_else(|| before.actions.clone(), |changes| changes.applied_to(&before.actions)),
            tags: self.tags.as_ref().unwrap_or(&before.tags).clone(),
        }
    }
}

impl ActionChanges {
    fn applied_to(&self, before: &[Action]) -> Vec<Action> {
        let (bonus, assigned, unassigned, push) = match self {
            ActionChanges::All(actions) => return actions.clone(),
            ActionChanges::Some { bonus, assigned, unassigned, push } => (bonus, assigned, unassigned, push),
        };
        let mut actions = before.to_vec();
        if let Some(bonus) = bonus {
            let new = bonus.iter().map(|formula| Action::AddBonus { formula: formula.clone() });
            replace(&mut actions, |action| matches!(action, Action::AddBonus { .. }), new);
        }
        if let Some(groups) = assigned {
            let new = groups.iter().map(|group| Action::AssignGroup { group: *group });
            replace(&mut actions, |action| matches!(action, Action::AssignGroup { .. }), new);
        }
        if let Some(groups) = unassigned {
            let new = groups.iter().map(|group| Action::UnassignGroup { group: *group });
            replace(&mut actions, |action| matches!(action, Action::UnassignGroup { .. }), new);
        }
        if let Some(change) = push {
            let of = |action: &Action| if let Action::SendPush(push) = action { Some(push.clone()) } else { None };
            let new = change.applied_to(actions.iter().find_map(of)).map(Action::SendPush);
            replace(&mut actions, |action| matches!(action, Action::SendPush(_)), new);
        }
        actions
    }
}

impl PushChange {
    fn applied_to(&self, before: Option<Push>) -> Option<Push> {
        let PushChange::Replace { title, body } = self else { return None };
        let before = before.unwrap_or(Push { title: String::new(), body: String::new() });
        Some(Push { title: title.clone().unwrap_or(before.title), body: body.clone().unwrap_or(before.body) })
    }
}

/// Replaces the actions of a kind, in place; if there are none, appends the new ones. Of more than a rule can have, the rest is
/// left out: such a rule is invalid anyway.
fn replace(actions: &mut Vec<Action>, is_of_kind: impl Fn(&Action) -> bool, new: impl IntoIterator<Item = Action>) {
    let at = actions.iter().position(&is_of_kind).unwrap_or(actions.len());
    actions.retain(|action| !is_of_kind(action));
    actions.splice(at..at, new.into_iter().take(ACTIONS_MAX + 1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> RuleTerms {
        RuleTerms {
            name: "Cash".into(),
            description: "For cash".into(),
            active: false,
            clubs: vec![ClubId(1), ClubId(2)],
            event: RuleEvent::BalanceToppedUp,
            conditions: "topUpSource = CASH".into(),
            actions: vec![
                Action::AssignGroup { group: GroupId(1) },
                Action::AddBonus { formula: "50".into() },
                Action::UnassignGroup { group: GroupId(2) },
                Action::SendPush(Push { title: "Thanks".into(), body: "50 for you".into() }),
            ],
            tags: vec!["cash".into()],
        }
    }

    /// U10: parts that are not given stay, including the status and the order of actions.
    #[test]
    fn only_given_parts_are_changed() {
        let before = full();
        assert_eq!(RuleChanges::default().applied_to(&before), before);
        let named = RuleChanges { name: Some("Coins".into()), description: Some(String::new()), ..RuleChanges::default() };
        assert_eq!(named.applied_to(&before), RuleTerms { name: "Coins".into(), description: String::new(), ..before.clone() });
        let elsewhere = RuleChanges {
            clubs: Some(vec![ClubId(7)]),
            conditions: Some("sessionsCount > 3".into()),
            tags: Some(vec!["b".into()]),
            ..RuleChanges::default()
        };
        let expected = RuleTerms {
            clubs: vec![ClubId(7)],
            conditions: "sessionsCount > 3".into(),
            tags: vec!["b".into()],
            ..before.clone()
        };
        assert_eq!(elsewhere.applied_to(&before), expected);
        let other = RuleTerms { name: "Other".into(), active: true, actions: Vec::new(), ..before.clone() };
        assert_eq!(RuleChanges::whole(other.clone()).applied_to(&before), other);
    }

    fn changed(change: ActionChanges) -> Vec<Action> {
        RuleChanges { actions: Some(change), ..RuleChanges::default() }.applied_to(&full()).actions
    }

    #[test]
    fn actions_are_replaced_in_place() {
        let acting = changed(ActionChanges::Some {
            bonus: Some(Some("60".into())),
            assigned: Some(vec![GroupId(3), GroupId(4)]),
            unassigned: None,
            push: Some(PushChange::Replace { title: None, body: Some("60!".into()) }),
        });
        let expected = [
            Action::AssignGroup { group: GroupId(3) },
            Action::AssignGroup { group: GroupId(4) },
            Action::AddBonus { formula: "60".into() },
            Action::UnassignGroup { group: GroupId(2) },
            Action::SendPush(Push { title: "Thanks".into(), body: "60!".into() }),
        ];
        assert_eq!(acting, expected);
        let removing = ActionChanges::Some {
            bonus: Some(None),
            assigned: Some(Vec::new()),
            unassigned: None,
            push: Some(PushChange::Remove),
        };
        assert_eq!(changed(removing), [Action::UnassignGroup { group: GroupId(2) }]);
    }

    /// However many groups a request names, no more actions are made of them than make the rule invalid.
    #[test]
    fn a_change_makes_a_bounded_number_of_actions() {
        let many = || Some(vec![GroupId(1); 1_000]);
        let actions = changed(ActionChanges::Some { bonus: None, assigned: many(), unassigned: many(), push: None });
        assert!((ACTIONS_MAX + 1..=2 * ACTIONS_MAX + 4).contains(&actions.len()), "{}", actions.len());
    }
}
