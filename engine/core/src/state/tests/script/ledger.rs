//! The notation of the ledger and of the rules of top-ups.
//!
//! ```text
//! credential cashier Till                             adds a credential; they are numbered from 1, and `by=` names one
//! group VIP                                           registers a group; they are numbered from 1
//! top-up 7 100.00 CASH club=1                         tops up the gaming balance of client 7; default: at club 1
//! refund-top-up 5 amount=1.00 claw-back               of the top-up at position 5; default: the remainder;
//!                                                     by=2, operator, kept-from=9 as in `refund`
//! credit 7 1.00 club=1                                also `write-off 7 1.00`; default: at no club
//! pay 7 1.00 order                                    pays with bonuses for an order; default: for gaming time
//! refund-payment 6 amount=1.00                        like `refund-top-up`
//! session 7 1.00 directly                             also `purchase 7 1.00`; default: from the gaming balance
//! rule bonus="{{topupAmountMajor}} * 0.1" off         creates a rule; they are numbered from 1. Also name= about= clubs=1,2 tags=
//!                                                     if="topupAmountMajor >= 500" assign=1,2 unassign=3 title= body=
//! update-rule 1 bonus="50"                            changes rule 1 as a whole
//! switch-rule 1 off                                   also `archive-rule 1` and `restore-rule 1`
//! accounts 7                                          the balances and groups of client 7
//! entries 5                                           the entries of the record at position 5 in the ledger
//! fired 5                                             the effects of rules on the top-up at position 5
//! rule-card 1
//! rules active club=1                                 the numbers of rules: also present, inactive, archived
//! groups                                              with the number of clients in each
//! ```
//! On all commands that move money, name=, comment= and tags= are the note.

use scrip_protocol::command::{
    Action, AddCredential, CreateRule, CreditBonus, Grant, ListGroups, ListRules, Note, PaidFor, PaidFrom, PayBonus, Push,
    RecordPurchase, RecordSession, RegisterGroup, RuleCard, RuleChanges, RuleEvent, RuleFailed, RuleFilter, RuleFired, RuleTerms,
    Secret, ShowRule, ShowRuleOutcome, SwitchRule, TopUp, UpdateRule, WriteOffBonus,
};
use scrip_protocol::ledger::{Account, Entry, Origin, entries};
use scrip_protocol::{ClientId, ClubId, CredentialId, Executor, GroupId, Money, Position, Record, RuleId, TopUpSource};

use super::super::Bench;
use super::{Words, kept_from, parsed};
use crate::state::{Mutation, RefundBonusRequest, RefundTopUpRequest};

/// The request on a line; none if its word is not one of these.
pub(super) fn request(bench: &Bench, words: &Words) -> Option<Mutation> {
    let club = || words.number("club").unwrap_or(ClubId(1));
    let (client, amount) = (|| parsed::<ClientId>(words.at(1)), || parsed::<Money>(words.at(2)));
    let paid_from = || if words.has("directly") { PaidFrom::Directly } else { PaidFrom::GamingBalance };
    let note = note(words);
    Some(match words.at(0) {
        "credential" => Mutation::AddCredential(Box::new(AddCredential { grant: grant(bench, words) })),
        "group" => Mutation::RegisterGroup(RegisterGroup { name: words.at(1).to_owned() }),
        "top-up" => {
            let source = TopUpSource::named(words.at(3)).expect("a top-up has a source");
            Mutation::TopUp(Box::new(TopUp { client: client(), club: club(), amount: amount(), source, note }))
        }
        "refund-top-up" => Mutation::RefundTopUp(Box::new(refund_of_top_up(bench, words))),
        "credit" => {
            let request = CreditBonus { client: client(), club: words.number("club"), amount: amount(), note };
            Mutation::CreditBonus(Box::new(request))
        }
        "write-off" => {
            let request = WriteOffBonus { client: client(), club: words.number("club"), amount: amount(), note };
            Mutation::WriteOffBonus(Box::new(request))
        }
        "pay" => {
            let paid_for = if words.has("order") { PaidFor::Order } else { PaidFor::GamingTime };
            Mutation::PayBonus(Box::new(PayBonus { client: client(), club: club(), amount: amount(), paid_for, note }))
        }
        "refund-payment" => Mutation::RefundBonus(Box::new(refund_of_payment(bench, words))),
        "session" => {
            let request = RecordSession { client: client(), club: club(), price: amount(), paid_from: paid_from(), note };
            Mutation::RecordSession(Box::new(request))
        }
        "purchase" => {
            let request = RecordPurchase { client: client(), club: club(), price: amount(), paid_from: paid_from(), note };
            Mutation::RecordPurchase(Box::new(request))
        }
        "rule" => Mutation::CreateRule(Box::new(CreateRule { terms: rule_terms(words) })),
        "update-rule" => Mutation::UpdateRule(Box::new(UpdateRule { rule: parsed(words.at(1)), changes: rule_changes(words) })),
        "switch-rule" => Mutation::SwitchRule(SwitchRule { rule: parsed(words.at(1)), active: words.at(2) == "on" }),
        "archive-rule" => Mutation::ArchiveRule(parsed(words.at(1))),
        "restore-rule" => Mutation::RestoreRule(parsed(words.at(1))),
        _ => return None,
    })
}

fn note(words: &Words) -> Note {
    let text = |key: &str| words.value(key).unwrap_or_default().to_owned();
    Note { by: text("name"), comment: text("comment"), tags: tags(words) }
}

fn tags(words: &Words) -> Vec<String> {
    words.list("tags").into_iter().map(str::to_owned).collect()
}

/// With a secret of its own.
fn grant(bench: &Bench, words: &Words) -> Grant {
    let secret = [bench.state.credentials.next().0 as u8; 32];
    let (role, name) = (parsed(words.at(1)), words.at(2).to_owned());
    Grant { name, role, clubs: Vec::new(), reasons: true, secret: Secret::Token(secret) }
}

/// The record at a position.
fn record_at(bench: &Bench, position: Position) -> Option<&Record> {
    (position.0 as usize).checked_sub(1).and_then(|at| bench.records.get(at)).map(|(_, record)| record)
}

/// With the top-up as a lane would find it in the journal.
fn refund_of_top_up(bench: &Bench, words: &Words) -> RefundTopUpRequest {
    let top_up = parsed(words.at(1));
    RefundTopUpRequest {
        top_up,
        found: record_at(bench, top_up).and_then(|record| record.clone().try_into().ok()),
        kept_from: kept_from(words),
        anyones: words.has("operator"),
        amount: words.number("amount"),
        claw_back: words.has("claw-back"),
        note: note(words),
    }
}

/// With the payment as a lane would find it in the journal.
fn refund_of_payment(bench: &Bench, words: &Words) -> RefundBonusRequest {
    let payment = parsed(words.at(1));
    RefundBonusRequest {
        payment,
        found: record_at(bench, payment).and_then(|record| record.clone().try_into().ok()),
        kept_from: kept_from(words),
        anyones: words.has("operator"),
        amount: words.number("amount"),
        note: note(words),
    }
}

fn rule_terms(words: &Words) -> RuleTerms {
    let groups = |key: &str| words.list(key).into_iter().map(parsed::<GroupId>).collect::<Vec<_>>();
    let mut actions = Vec::new();
    actions.extend(words.value("bonus").map(|formula| Action::AddBonus { formula: formula.to_owned() }));
    actions.extend(groups("assign").into_iter().map(|group| Action::AssignGroup { group }));
    actions.extend(groups("unassign").into_iter().map(|group| Action::UnassignGroup { group }));
    actions.extend(words.value("title").map(|title| {
        let body = words.value("body").unwrap_or_default().to_owned();
        Action::SendPush(Push { title: title.to_owned(), body })
    }));
    RuleTerms {
        name: words.value("name").unwrap_or("a rule").to_owned(),
        description: words.value("about").unwrap_or_default().to_owned(),
        active: !words.has("off"),
        clubs: words.list("clubs").into_iter().map(parsed).collect(),
        event: RuleEvent::BalanceToppedUp,
        conditions: words.value("if").unwrap_or_default().to_owned(),
        actions,
        tags: tags(words),
    }
}

/// The whole rule, or with `only` what is given of its name, conditions and clubs.
fn rule_changes(words: &Words) -> RuleChanges {
    if !words.has("only") {
        return RuleChanges::whole(rule_terms(words));
    }
    RuleChanges {
        name: words.value("name").map(str::to_owned),
        conditions: words.value("if").map(str::to_owned),
        clubs: words.value("clubs").map(|_| words.list("clubs").into_iter().map(parsed).collect()),
        ..RuleChanges::default()
    }
}

/// Whether a word shows something of the ledger or the rules.
pub(super) fn shows(word: &str) -> bool {
    ["accounts", "entries", "fired", "rule-card", "rules", "groups"].contains(&word)
}

pub(super) fn shown(bench: &Bench, words: &Words) -> String {
    let joined = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join("; ") };
    match words.at(0) {
        "accounts" => accounts(bench, parsed(words.at(1))),
        "entries" => {
            let record = record_at(bench, parsed(words.at(1))).expect("there is a record");
            joined(entries(record).iter().map(entry).collect())
        }
        "fired" => {
            let Some(Record::ToppedUp(record)) = record_at(bench, parsed(words.at(1))) else { return "no top-up".to_owned() };
            let beyond = (record.beyond > 0).then(|| format!("{} more", record.beyond));
            joined(record.fired.iter().map(fired).chain(record.failed.iter().map(failed)).chain(beyond).collect())
        }
        "rule-card" => match bench.state.show_rule(&ShowRule { rule: parsed(words.at(1)) }) {
            ShowRuleOutcome::Rule(card) => rule_card(&card),
            ShowRuleOutcome::UnknownRule => "unknown".to_owned(),
        },
        "rules" => {
            let filter = match words.at(1) {
                "active" => RuleFilter::Active,
                "inactive" => RuleFilter::Inactive,
                "archived" => RuleFilter::Archived,
                _ => RuleFilter::Present,
            };
            let request = ListRules { after: RuleId(0), filter, club: words.number("club").unwrap_or(ClubId(0)) };
            joined(bench.state.list_rules(&request).rules.iter().map(|card| card.rule.to_string()).collect())
        }
        "groups" => {
            let groups = bench.state.list_groups(&ListGroups { after: GroupId(0) }).groups;
            joined(groups.iter().map(|group| format!("{} {} has {}", group.group, group.name, group.clients)).collect())
        }
        other => panic!("the notation has no {other:?}"),
    }
}

fn accounts(bench: &Bench, client: ClientId) -> String {
    let Some(has) = bench.state.clients.accounts(client) else { return "unknown".to_owned() };
    let groups = bench.state.groups.of_client(client);
    let groups: Vec<String> = groups.iter().map(|group| format!(", in group {group}")).collect();
    format!("gaming {}, bonus {}, {} spent, sessions {}{}", has.gaming, has.bonus, has.spent, has.sessions, groups.concat())
}

/// The label and the executor as reports have them (B3).
fn entry(entry: &Entry<'_>) -> String {
    let account = match entry.account {
        Account::Gaming => "gaming",
        Account::Bonus => "bonus",
    };
    let origin = match entry.origin {
        Origin::Request => String::new(),
        Origin::Code { campaign, slot } => format!(", of code {slot} of campaign {campaign}"),
        Origin::Rule(rule) => format!(", of rule {rule}"),
        Origin::Activation(position) => format!(", of activation {position}"),
        Origin::TopUp(position) => format!(", of top-up {position}"),
        Origin::Payment(position) => format!(", of payment {position}"),
    };
    let Executor { kind, credential, name } = &entry.executor;
    let credential = if *credential == CredentialId(0) { String::new() } else { format!(" {credential}") };
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    let tags: Vec<String> = entry.tags.iter().map(|tag| format!(" #{tag}")).collect();
    let (client, amount, label) = (entry.client, entry.amount, entry.label);
    format!("{client} {account} {amount}: {label} / {kind}{credential}{name}{origin}{}", tags.concat())
}

fn fired(fired: &RuleFired) -> String {
    let result = fired.result.map(|result| format!(" {result}")).unwrap_or_default();
    let of_groups =
        |word: &str, groups: &[GroupId]| -> String { groups.iter().map(|group| format!(", {word} {group}")).collect() };
    let push = fired.push.as_ref().map(|push| format!(", push {:?} {:?}", push.title, push.body)).unwrap_or_default();
    let too_long = if fired.push_too_long { ", push too long" } else { "" };
    let (assigned, unassigned) = (of_groups("assigned", &fired.assigned), of_groups("unassigned", &fired.unassigned));
    format!("rule {}:{result}{assigned}{unassigned}{push}{too_long}", fired.rule)
}

fn failed(failed: &RuleFailed) -> String {
    format!("rule {} failed: {}", failed.rule, failed.why.word())
}

fn rule_card(card: &RuleCard) -> String {
    let terms = &card.terms;
    let status = match (card.archived_ms.is_some(), terms.active) {
        (true, _) => "archived",
        (false, true) => "active",
        (false, false) => "inactive",
    };
    let clubs: Vec<String> = terms.clubs.iter().map(ClubId::to_string).collect();
    let clubs = if clubs.is_empty() { "all clubs".to_owned() } else { format!("clubs {}", clubs.join(" ")) };
    format!("{:?} {status}, {clubs}, fired {}, failed {}, {} credited", terms.name, card.fired, card.failed, card.credited)
}
