//! A rule as options: for a new one, and for a changed one, where settings that are not given stay (U10).

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use scrip_protocol::command::{ActionChanges, PushChange, RuleChanges, RuleEvent, RuleTerms};
use scrip_protocol::{ClubId, GroupId, InvalidId};

use super::file;
use crate::exit::InputError;

/// A rule with nothing but a name: it matches every top-up and does nothing.
pub(super) fn blank(name: &str) -> RuleTerms {
    RuleTerms {
        name: name.to_owned(),
        description: String::new(),
        active: true,
        clubs: Vec::new(),
        event: RuleEvent::BalanceToppedUp,
        conditions: String::new(),
        actions: Vec::new(),
        tags: Vec::new(),
    }
}

/// A new rule.
#[derive(Debug, Args)]
pub(super) struct NewTerms {
    /// Name of the rule
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// Description, for your own use
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Create the rule switched off
    #[arg(long)]
    inactive: bool,
    /// Number of a club on whose top-ups it fires; can be repeated [default: every club]
    #[arg(long = "club", value_name = "CLUB")]
    clubs: Vec<ClubId>,
    /// Conditions, such as 'topupAmountMajor >= 500 AND topUpSource = CASH' [default: none]
    #[arg(long, value_name = "CONDITIONS")]
    when: Option<String>,
    /// Bonus to credit, such as '{{topupAmountMajor}} * 0.1'
    #[arg(long, value_name = "FORMULA")]
    add_bonus: Option<String>,
    /// Number of a group to add the client to; can be repeated
    #[arg(long = "assign-group", value_name = "GROUP")]
    assigned: Vec<GroupId>,
    /// Number of a group to remove the client from; can be repeated
    #[arg(long = "unassign-group", value_name = "GROUP")]
    unassigned: Vec<GroupId>,
    /// Title of the push notification to send, at most 40 characters; can contain variables
    #[arg(long, value_name = "TEXT", requires = "push_body")]
    push_title: Option<String>,
    /// Body of the push notification to send, at most 120 characters; can contain variables
    #[arg(long, value_name = "TEXT", requires = "push_title")]
    push_body: Option<String>,
    /// Tag for the rule's credits, which reports can filter by; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Read the whole rule from a JSON file, as `scrip rule show --terms` prints it; - for standard input
    #[arg(long, conflicts_with_all = [
        "name", "description", "inactive", "clubs", "when", "add_bonus", "assigned", "unassigned", "push_title", "push_body", "tags",
    ])]
    file: Option<PathBuf>,
}

impl NewTerms {
    /// The rule.
    pub(super) fn terms(self) -> Result<RuleTerms, InputError> {
        if let Some(path) = &self.file {
            return file::read(path);
        }
        let changes = ChangedTerms {
            name: self.name,
            description: self.description,
            clubs: self.clubs.into_iter().map(|club| Unless(Some(club))).collect(),
            when: self.when,
            add_bonus: self.add_bonus,
            assigned: self.assigned.into_iter().map(|group| Unless(Some(group))).collect(),
            unassigned: self.unassigned.into_iter().map(|group| Unless(Some(group))).collect(),
            push_title: self.push_title,
            push_body: self.push_body,
            no_push: false,
            tags: self.tags,
            no_tags: false,
            file: None,
        };
        let terms = changes.changes()?.applied_to(&blank(""));
        Ok(RuleTerms { active: !self.inactive, ..terms })
    }
}

/// The settings to change.
#[derive(Debug, Args)]
pub(super) struct ChangedTerms {
    /// Name of the rule
    #[arg(long)]
    name: Option<String>,
    /// Description, for your own use
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Number of a club on whose top-ups it fires, or `all`; can be repeated; replaces the current clubs
    #[arg(long = "club", value_name = "CLUB|all", value_parser = |text: &str| unless::<ClubId>("all", text))]
    clubs: Vec<Unless<ClubId>>,
    /// Conditions, such as 'topupAmountMajor >= 500 AND topUpSource = CASH'
    #[arg(long, value_name = "CONDITIONS|none")]
    when: Option<String>,
    /// Bonus to credit, such as '{{topupAmountMajor}} * 0.1'
    #[arg(long, value_name = "FORMULA|none")]
    add_bonus: Option<String>,
    /// Number of a group to add the client to; can be repeated; replaces the current groups
    #[arg(long = "assign-group", value_name = "GROUP|none", value_parser = |text: &str| unless::<GroupId>("none", text))]
    assigned: Vec<Unless<GroupId>>,
    /// Number of a group to remove the client from; can be repeated; replaces the current groups
    #[arg(long = "unassign-group", value_name = "GROUP|none", value_parser = |text: &str| unless::<GroupId>("none", text))]
    unassigned: Vec<Unless<GroupId>>,
    /// Title of the push notification to send, at most 40 characters; can contain variables
    #[arg(long, value_name = "TEXT")]
    push_title: Option<String>,
    /// Body of the push notification to send, at most 120 characters; can contain variables
    #[arg(long, value_name = "TEXT")]
    push_body: Option<String>,
    /// Send no push notification
    #[arg(long, conflicts_with_all = ["push_title", "push_body"])]
    no_push: bool,
    /// Tag for the rule's credits; can be repeated; replaces the current tags
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Remove all tags
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Read the whole rule from a JSON file, as `scrip rule show --terms` prints it; - for standard input
    #[arg(long, conflicts_with_all = [
        "name", "description", "clubs", "when", "add_bonus", "assigned", "unassigned", "push_title", "push_body", "no_push", "tags",
        "no_tags",
    ])]
    file: Option<PathBuf>,
}

impl ChangedTerms {
    /// Whether no option is given.
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.name, &self.description, &self.when, &self.add_bonus, &self.push_title, &self.push_body];
        let is_named = texts.iter().any(|text| text.is_some())
            || !(self.clubs.is_empty() && self.assigned.is_empty() && self.unassigned.is_empty() && self.tags.is_empty())
            || self.no_push
            || self.no_tags
            || self.file.is_some();
        !is_named
    }

    /// The changes, as the engine applies them.
    pub(super) fn changes(self) -> Result<RuleChanges, InputError> {
        if let Some(path) = &self.file {
            return file::read(path).map(RuleChanges::whole);
        }
        let is_push_given = self.push_title.is_some() || self.push_body.is_some();
        let push = match self.no_push {
            true => Some(PushChange::Remove),
            false => is_push_given.then_some(PushChange::Replace { title: self.push_title, body: self.push_body }),
        };
        let bonus = self.add_bonus.map(|formula| (formula != NONE).then_some(formula));
        let (assigned, unassigned) = (given(&self.assigned), given(&self.unassigned));
        let is_acting = bonus.is_some() || assigned.is_some() || unassigned.is_some() || push.is_some();
        Ok(RuleChanges {
            name: self.name,
            description: self.description,
            clubs: given(&self.clubs),
            conditions: self.when.map(|when| if when == NONE { String::new() } else { when }),
            actions: is_acting.then_some(ActionChanges::Some { bonus, assigned, unassigned, push }),
            tags: (self.no_tags || !self.tags.is_empty()).then_some(self.tags),
            ..RuleChanges::default()
        })
    }
}

/// The word that removes conditions, a formula or groups.
const NONE: &str = "none";

/// A number, or `None` for a word that stands for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unless<T>(Option<T>);

fn unless<T: FromStr<Err = InvalidId>>(word: &str, text: &str) -> Result<Unless<T>, String> {
    match text == word {
        true => Ok(Unless(None)),
        false => text.parse().map(|id| Unless(Some(id))).map_err(|why| format!("{why} or `{word}`")),
    }
}

/// The numbers, if any was given; empty if the word was among them.
fn given<T: Copy>(of: &[Unless<T>]) -> Option<Vec<T>> {
    (!of.is_empty()).then(|| of.iter().map(|unless| unless.0).collect::<Option<_>>().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use scrip_protocol::command::{Action, Push};

    use super::*;

    #[derive(Parser)]
    struct Changing {
        #[command(flatten)]
        changes: ChangedTerms,
    }

    fn changed(terms: &RuleTerms, args: &[&str]) -> RuleTerms {
        let args = [&["scrip"], args].concat();
        let changing = Changing::try_parse_from(&args).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(changing.changes.is_empty(), args.len() == 1);
        changing.changes.changes().expect("no file is read").applied_to(terms)
    }

    fn full() -> RuleTerms {
        let push = Push { title: "Thanks".into(), body: "50 for you".into() };
        RuleTerms {
            description: "For cash".into(),
            active: false,
            clubs: vec![ClubId(1), ClubId(2)],
            conditions: "topUpSource = CASH".into(),
            actions: vec![
                Action::AssignGroup { group: GroupId(1) },
                Action::AddBonus { formula: "50".into() },
                Action::UnassignGroup { group: GroupId(2) },
                Action::SendPush(push),
            ],
            tags: vec!["cash".into()],
            ..blank("Cash")
        }
    }

    /// U10: settings that are not given stay, including the switch and the order of actions.
    #[test]
    fn only_given_settings_are_changed() {
        let before = full();
        assert_eq!(changed(&before, &[]), before);
        let named = changed(&before, &["--name", "Coins", "--description", ""]);
        assert_eq!(named, RuleTerms { name: "Coins".into(), description: String::new(), ..before.clone() });
        let elsewhere = changed(&before, &["--club", "7", "--when", "sessionsCount > 3", "--tag", "b"]);
        let expected = RuleTerms {
            clubs: vec![ClubId(7)],
            conditions: "sessionsCount > 3".into(),
            tags: vec!["b".into()],
            ..before.clone()
        };
        assert_eq!(elsewhere, expected);
        let acting = changed(&before, &["--add-bonus", "60", "--assign-group", "3", "--assign-group", "4", "--push-body", "60!"]);
        let expected = vec![
            Action::AssignGroup { group: GroupId(3) },
            Action::AssignGroup { group: GroupId(4) },
            Action::AddBonus { formula: "60".into() },
            Action::UnassignGroup { group: GroupId(2) },
            Action::SendPush(Push { title: "Thanks".into(), body: "60!".into() }),
        ];
        assert_eq!(acting, RuleTerms { actions: expected, ..before });
    }

    #[test]
    fn none_removes_a_setting() {
        let args = ["--club", "all", "--when", "none", "--add-bonus", "none", "--assign-group", "none", "--no-push", "--no-tags"];
        let before = full();
        let after = changed(&before, &args);
        let expected = RuleTerms {
            clubs: Vec::new(),
            conditions: String::new(),
            actions: vec![Action::UnassignGroup { group: GroupId(2) }],
            tags: Vec::new(),
            ..before
        };
        assert_eq!(after, expected);
        assert!(Changing::try_parse_from(["scrip", "--assign-group", "VIP"]).is_err());
        assert!(Changing::try_parse_from(["scrip", "--file", "x", "--name", "y"]).is_err());
    }
}
