//! Clients, the ledger, the history of clients, and refusals.

use rusqlite::types::Value;
use scrip_protocol::command::{PaidFrom, SpentOn};
use scrip_protocol::ledger::Origin;
use scrip_protocol::{Account, Record};

use super::expected::{Row, Table, client, credential, json, number, optional, request, text};
use crate::support::recount::{Movement, Past};

pub(super) fn tables(past: &Past<'_>) -> Vec<Table> {
    let table = |name, rows| Table { name, rows };
    let movements = past.movements();
    let entries = movements.iter().filter(|movement| !is_by_code(movement));
    // One more column: the slot of the code.
    let ledger = |movement: &Movement| {
        let mut row = entry(movement);
        let slot = match movement.origin {
            Origin::Code { slot, .. } => number(slot),
            Origin::Request | Origin::Rule(_) | Origin::Activation(_) | Origin::TopUp(_) | Origin::Payment(_) => Value::Null,
        };
        row.insert(12, slot);
        row
    };
    vec![
        table("client", cards(past)),
        table("entry", entries.map(entry).collect()),
        table("ledger", movements.iter().map(ledger).collect()),
        table("spending", spending(past)),
        table("rule_failure", rule_failures(past)),
        table("rule_failure_count", rule_failure_counts(past)),
        table("client_history", client_history(past)),
        table("request", requests(past)),
        table("refusal", refusals(past)),
    ]
}

fn cards(past: &Past<'_>) -> Vec<Row> {
    let row = |card: crate::support::recount::Client| {
        vec![
            client(card.client),
            text(card.name.clone()),
            number(card.registered_ms),
            number(card.gaming),
            number(card.bonus),
            number(card.spent),
            number(card.sessions),
            number(card.activations),
            text(card.name.to_lowercase()),
        ]
    };
    past.cards().into_iter().map(row).collect()
}

fn is_by_code(movement: &Movement) -> bool {
    matches!(movement.origin, Origin::Code { .. })
}

fn entry(movement: &Movement) -> Row {
    let (origin, which) = match movement.origin {
        Origin::Request => ("request", None),
        Origin::Code { campaign, .. } => ("code", Some(campaign.0.into())),
        Origin::Rule(rule) => ("rule", Some(rule.0.into())),
        Origin::Activation(activation) => ("activation", Some(activation.0)),
        Origin::TopUp(top_up) => ("top_up", Some(top_up.0)),
        Origin::Payment(payment) => ("payment", Some(payment.0)),
    };
    let account = match movement.account {
        Account::Gaming => "gaming",
        Account::Bonus => "bonus",
    };
    vec![
        number(movement.position),
        number(movement.nth),
        number(movement.at_ms),
        client(movement.client),
        optional(movement.club.map(|club| club.0)),
        text(account),
        text(movement.label.words()),
        text(movement.executor.kind.to_string()),
        text(movement.executor.name.clone()),
        number(movement.credential),
        text(origin),
        optional::<u64>(which),
        number(movement.amount),
        number(movement.balance),
        text(movement.comment.clone()),
        json(&movement.tags),
        Value::Blob(movement.request.0.to_be_bytes().to_vec()),
        movement.source.map_or(Value::Null, word),
        movement.purpose.map_or(Value::Null, word),
    ]
}

/// The word for a value in JSON.
fn word(of: impl serde::Serialize) -> Value {
    let word = serde_json::to_value(of).expect("it has a form in JSON");
    text(word.as_str().expect("it is a word").to_owned())
}

fn spending(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for recorded in past.records {
        let Record::Spent(record) = &recorded.record else { continue };
        let kind = match record.on {
            SpentOn::Session => "session",
            SpentOn::Purchase => "purchase",
        };
        let paid_from = match record.paid_from {
            PaidFrom::GamingBalance => "gaming_balance",
            PaidFrom::Directly => "directly",
        };
        rows.push(vec![
            number(recorded.position),
            number(recorded.at_ms),
            client(record.client),
            number(record.club.0),
            text(kind),
            number(record.price.0),
            text(paid_from),
            credential(&record.stamp),
            request(&record.stamp),
            text(record.executor.kind.to_string()),
            text(record.executor.name.clone()),
            text(record.comment.clone()),
            json(&record.tags),
        ]);
    }
    rows
}

/// A20, A31: rules that matched and failed come before those whose push notification was too long.
fn rule_failures(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for recorded in past.records {
        let Record::ToppedUp(record) = &recorded.record else { continue };
        let mut failures: Vec<_> = record.failed.iter().map(|failed| (failed.rule, word(failed.why))).collect();
        for fired in &record.fired {
            failures.extend(fired.push_too_long.then(|| (fired.rule, text("push_too_long"))));
        }
        for ((rule, why), nth) in failures.into_iter().zip(0_u32..) {
            let of = [number(recorded.position), number(nth), number(recorded.at_ms), number(rule.0)];
            rows.push(of.into_iter().chain([client(record.client), why]).collect());
        }
    }
    rows
}

fn rule_failure_counts(past: &Past<'_>) -> Vec<Row> {
    let mut counts: Vec<Row> = Vec::new();
    for row in rule_failures(past) {
        let key = [row[3].clone(), row[5].clone()];
        match counts.iter_mut().find(|counted| counted[..2] == key) {
            Some(counted) => {
                let Value::Integer(count) = &mut counted[2] else { panic!("{counted:?}") };
                *count += 1;
            }
            None => counts.push(key.into_iter().chain([number(1)]).collect()),
        }
    }
    counts
}

fn client_history(past: &Past<'_>) -> Vec<Row> {
    let row = |(whom, position)| vec![number(position >> 17), client(whom), number(position)];
    past.concerned().into_iter().map(row).collect()
}

fn requests(past: &Past<'_>) -> Vec<Row> {
    let row = |recorded: &crate::support::recount::Recorded| {
        let kind = number(recorded.record.kind());
        recorded.record.stamp().map(|stamp| vec![request(stamp), number(recorded.position), kind, credential(stamp)])
    };
    past.records.iter().filter_map(row).collect()
}

fn refusals(past: &Past<'_>) -> Vec<Row> {
    let refusals = past.refusals();
    let row = |refusal: &crate::support::recount::Refusal<'_>| {
        vec![
            number(refusal.position),
            number(refusal.at_ms),
            text(refusal.command),
            credential(refusal.stamp),
            request(refusal.stamp),
            refusal.client.map_or(Value::Null, client),
            optional(refusal.club.map(|club| club.0)),
            refusal.code.clone().map_or(Value::Null, text),
            optional(refusal.campaign.map(|campaign| campaign.0)),
            optional(refusal.operation),
            text(refusal.reason()),
            text("said"),
            json(&refusal.reply),
        ]
    };
    refusals.iter().map(row).collect()
}
