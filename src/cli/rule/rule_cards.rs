//! Rules printed for people: a table of all, and the card of one.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use scrip_protocol::command::{Action, ListRules, RuleCard, RuleEvent, RuleFilter, ShowRuleOutcome};
use scrip_protocol::{ClubId, GroupId, RuleId};

use crate::cli::{campaign, group};
use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// How many characters of a rule's name, and of the names of its clubs, a table shows.
const CELL_CHARS_MAX: usize = 40;

/// Filters of the list.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Filter by status; `present` is every rule that is not archived
    #[arg(long, value_enum, default_value = "present")]
    status: Status,
    /// Only rules that fire at this club, by number
    #[arg(long, default_value = "0", hide_default_value = true)]
    club: ClubId,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Present,
    Active,
    Inactive,
    Archived,
}

impl From<Status> for RuleFilter {
    fn from(status: Status) -> RuleFilter {
        match status {
            Status::Present => RuleFilter::Present,
            Status::Active => RuleFilter::Active,
            Status::Inactive => RuleFilter::Inactive,
            Status::Archived => RuleFilter::Archived,
        }
    }
}

/// Show a rule with all its settings and counters
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Number of the rule
    rule: RuleId,
    /// Print only the terms, as JSON that you can edit and pass to --file
    #[arg(long, conflicts_with = "json")]
    terms: bool,
    #[command(flatten)]
    reach: Reach,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let client = self.reach.client().await?;
        let mut table = print::Table::new(&[">ID", "NAME", "STATUS", "CLUBS", ">FIRED", ">FAILED", ">CREDITED"]);
        let mut query = ListRules { after: RuleId(0), filter: self.status.into(), club: self.club };
        let mut clubs = None;
        let mut is_empty = true;
        loop {
            let page = client.list_rules(&query).await?;
            is_empty &= page.rules.is_empty();
            match self.reach.json {
                true => page.rules.iter().for_each(print::json),
                false if page.rules.is_empty() => {}
                false => {
                    if clubs.is_none() && page.rules.iter().any(|card| !card.terms.clubs.is_empty()) {
                        clubs = Some(campaign::club_names(&client).await?);
                    }
                    let names = clubs.as_ref();
                    table.rows(&page.rules.iter().map(|card| row(card, names)).collect::<Vec<_>>());
                }
            }
            match page.next {
                Some(next) => query.after = next,
                None => break,
            }
        }
        if is_empty && !self.reach.json {
            let is_filtered = self.status != Status::Present || self.club != ClubId(0);
            print::line(if is_filtered { "no rule matches" } else { "there are no rules" });
        }
        Ok(Exit::Done)
    }
}

fn row(card: &RuleCard, clubs: Option<&HashMap<ClubId, String>>) -> Vec<String> {
    vec![
        card.rule.to_string(),
        print::cut(&card.terms.name, CELL_CHARS_MAX),
        status(card).to_owned(),
        print::cut(&clubs_of(card, clubs), CELL_CHARS_MAX),
        print::grouped(card.fired),
        print::grouped(card.failed),
        card.credited.to_string(),
    ]
}

fn status(card: &RuleCard) -> &'static str {
    match (card.archived_ms, card.terms.active) {
        (Some(_), _) => "archived",
        (None, true) => "active",
        (None, false) => "inactive",
    }
}

fn clubs_of(card: &RuleCard, names: Option<&HashMap<ClubId, String>>) -> String {
    match card.terms.clubs.as_slice() {
        [] => "all".to_owned(),
        clubs => print::named(clubs, names.unwrap_or(&HashMap::new())),
    }
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let client = self.reach.client().await?;
        let card = match client.show_rule(self.rule).await? {
            ShowRuleOutcome::Rule(card) => card,
            ShowRuleOutcome::UnknownRule => {
                print_unknown(&self.reach, self.rule);
                return Ok(Exit::Refused);
            }
        };
        if self.reach.json {
            print::json(&ShowRuleOutcome::Rule(card));
        } else if self.terms {
            print::line(serde_json::to_string_pretty(&card.terms).expect("everything printed is serializable"));
        } else {
            let clubs = if card.terms.clubs.is_empty() { HashMap::new() } else { campaign::club_names(&client).await? };
            let has_groups = !(assigned(&card).is_empty() && unassigned(&card).is_empty());
            let groups = if has_groups { group::names(&client).await? } else { HashMap::new() };
            print_card(&card, &clubs, &groups);
        }
        Ok(Exit::Done)
    }
}

/// Prints that there is no such rule.
pub(super) fn print_unknown(reach: &Reach, rule: RuleId) {
    match reach.json {
        true => print::json(&ShowRuleOutcome::UnknownRule),
        false => print::line(format_args!("there is no rule {rule}")),
    }
}

fn assigned(card: &RuleCard) -> Vec<GroupId> {
    let group = |action: &Action| if let Action::AssignGroup { group } = action { Some(*group) } else { None };
    card.terms.actions.iter().filter_map(group).collect()
}

fn unassigned(card: &RuleCard) -> Vec<GroupId> {
    let group = |action: &Action| if let Action::UnassignGroup { group } = action { Some(*group) } else { None };
    card.terms.actions.iter().filter_map(group).collect()
}

fn print_card(card: &RuleCard, clubs: &HashMap<ClubId, String>, groups: &HashMap<GroupId, String>) {
    let terms = &card.terms;
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let event = match terms.event {
        RuleEvent::BalanceToppedUp => "BALANCE_TOPPED_UP",
    };
    let status = card.archived_ms.map_or_else(|| status(card).to_owned(), |at| format!("archived on {}", print::time(at)));
    let mut rows = vec![
        ("rule", format!("{} {}", card.rule, terms.name)),
        ("status", status),
        ("clubs", clubs_of(card, Some(clubs))),
        ("event", event.to_owned()),
        ("conditions", or_none(terms.conditions.clone())),
    ];
    if !terms.description.is_empty() {
        rows.insert(1, ("description", terms.description.clone()));
    }
    for action in &terms.actions {
        if let Action::AddBonus { formula } = action {
            rows.push(("credits", formula.clone()));
        }
    }
    for (name, of) in [("adds to groups", assigned(card)), ("removes from groups", unassigned(card))] {
        if !of.is_empty() {
            rows.push((name, print::named(&of, groups)));
        }
    }
    for action in &terms.actions {
        if let Action::SendPush(push) = action {
            rows.extend([("push title", push.title.clone()), ("push body", push.body.clone())]);
        }
    }
    rows.extend([
        ("tags", or_none(terms.tags.join(", "))),
        ("created", print::time(card.created_ms)),
        ("changed", print::time(card.changed_ms)),
        ("fired", print::grouped(card.fired)),
        ("failed", print::grouped(card.failed)),
        ("credited in total", card.credited.to_string()),
        ("as of position", card.as_of.to_string()),
    ]);
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print::table(&["", ""], &rows);
}
