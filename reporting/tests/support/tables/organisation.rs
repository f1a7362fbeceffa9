//! The organisation: its settings, clubs, groups, credentials and rules, and changes by staff.

#![expect(clippy::wildcard_enum_match_arm, reason = "each table is of a few kinds of records")]

use std::collections::BTreeMap;

use rusqlite::types::Value;
use scrip_protocol::codes::CodeForm;
use scrip_protocol::command::Secret;
use scrip_protocol::record::{CampaignRecord, RecordGroup};
use scrip_protocol::{CampaignId, CredentialId, Record, RuleId};

use super::expected::{Row, Table, json, number, optional, request, text};
use crate::support::recount::Past;

pub(super) fn tables(past: &Past<'_>) -> Vec<Table> {
    let table = |name, rows| Table { name, rows };
    vec![
        table(
            "cursor",
            vec![vec![number(1), number(past.end.position.0), Value::Blob(past.end.hash.to_vec()), number(past.end.time_ms)]],
        ),
        // The journal is read from its first record.
        table("beginning", vec![vec![number(1), number(0), number(0), number(0)]]),
        table("organisation", organisation(past)),
        table("club", clubs(past)),
        table("client_group", groups(past)),
        table("credential", credentials(past)),
        table("rule", rules(past)),
        table("change", changes(past)),
    ]
}

fn organisation(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut window, mut skew) = (0, 0);
    let mut is_form_recorded = false;
    for recorded in past.records {
        let (of, form) = match &recorded.record {
            Record::SettingsApplied(record) => (&record.settings, CodeForm::CaseFolded as u8),
            Record::SettingsSet(record) => (&record.settings, record.codes.form),
            _ => continue,
        };
        is_form_recorded |= matches!(recorded.record, Record::SettingsSet(_));
        (window, skew) = (of.request_window_ms.max(window), of.request_skew_ms.max(skew));
        let (name, currency) = (text(of.organisation.clone()), text(of.currency.clone()));
        let (codes, since) = (number(of.codes_per_campaign_max), number(recorded.position));
        let (form, form_recorded) = (number(form), number(u8::from(is_form_recorded)));
        rows = vec![vec![number(1), name, currency, codes, form, form_recorded, since, number(window), number(skew)]];
    }
    rows
}

fn clubs(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for recorded in past.records {
        if let Record::ClubRegistered(record) = &recorded.record {
            rows.push(vec![number(record.club.0), text(record.name.clone()), number(recorded.at_ms)]);
        }
    }
    rows
}

fn groups(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for recorded in past.records {
        if let Record::GroupRegistered(record) = &recorded.record {
            rows.push(vec![number(record.group.0), text(record.name.clone()), number(recorded.at_ms)]);
        }
    }
    rows
}

fn credentials(past: &Past<'_>) -> Vec<Row> {
    let revoked = |credential: CredentialId| {
        past.records.iter().find_map(|recorded| match &recorded.record {
            Record::CredentialRevoked(record) if record.credential == credential => Some(recorded.at_ms),
            _ => None,
        })
    };
    let mut rows = Vec::new();
    for recorded in past.records {
        let Record::CredentialAdded(record) = &recorded.record else { continue };
        let (kind, secret) = match record.grant.secret {
            Secret::Token(hash) => ("token", hash),
            Secret::Certificate(hash) => ("certificate", hash),
        };
        rows.push(vec![
            number(record.credential.0),
            text(record.grant.name.clone()),
            text(record.grant.role.word()),
            json(&record.grant.clubs),
            number(u8::from(record.grant.reasons)),
            text(kind),
            Value::Blob(secret.to_vec()),
            number(recorded.at_ms),
            optional(revoked(record.credential)),
        ]);
    }
    rows
}

fn rules(past: &Past<'_>) -> Vec<Row> {
    let mut rules = BTreeMap::<RuleId, (scrip_protocol::command::RuleTerms, u64, Option<u64>)>::new();
    for recorded in past.records {
        match &recorded.record {
            Record::RuleSaved(record) => {
                rules.insert(record.rule, (record.terms.clone(), recorded.at_ms, None));
            }
            Record::RuleSwitched(record) => {
                rules.get_mut(&record.rule).expect("it was saved").0.active = record.active;
            }
            Record::RuleArchived(record) => {
                rules.get_mut(&record.rule).expect("it was saved").2 = Some(recorded.at_ms);
            }
            // A32: it is restored disabled.
            Record::RuleRestored(record) => {
                let rule = rules.get_mut(&record.rule).expect("it was saved");
                (rule.0.active, rule.2) = (false, None);
            }
            _ => {}
        }
    }
    let row = |(rule, (terms, saved_ms, archived_ms)): (RuleId, (scrip_protocol::command::RuleTerms, u64, Option<u64>))| {
        let (name, active, json) = (text(terms.name.clone()), number(u8::from(terms.active)), json(&terms));
        vec![number(rule.0), name, active, json, number(saved_ms), optional(archived_ms)]
    };
    rules.into_iter().map(row).collect()
}

/// Changes by staff. Texts are only compared for presence.
fn changes(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for recorded in past.records {
        let campaign = match recorded.record.by_group() {
            RecordGroup::Campaign(record) => Some(match record {
                CampaignRecord::CampaignCreated(record) => record.campaign,
                CampaignRecord::CodesAdded(record) => record.campaign,
                CampaignRecord::CampaignSwitched(record) => record.campaign,
                CampaignRecord::CampaignUpdated(record) => record.campaign,
                CampaignRecord::CampaignArchived(record) => record.campaign,
                CampaignRecord::CampaignRestored(record) => record.campaign,
                CampaignRecord::CodesGenerated(record) => record.campaign,
                CampaignRecord::CodesArchived(record) => record.campaign,
                CampaignRecord::CodesRestored(record) => record.campaign,
            }),
            RecordGroup::Settings(_)
            | RecordGroup::Directory(_)
            | RecordGroup::Credential(_)
            | RecordGroup::Rule(_)
            | RecordGroup::Reader(_) => None,
            RecordGroup::Redemption(_) | RecordGroup::Refusal(_) | RecordGroup::Client(_) | RecordGroup::Account(_) => continue,
        };
        let json = serde_json::to_value(&recorded.record).expect("a record can be JSON");
        let stamp = recorded.record.stamp();
        rows.push(vec![
            number(recorded.position),
            number(recorded.at_ms),
            text(json["record"].as_str().expect("a record has a word")),
            number(stamp.map_or(0, |stamp| stamp.credential.0)),
            stamp.map_or(Value::Null, request),
            optional(campaign.map(|CampaignId(campaign)| campaign)),
            text("said"),
        ]);
    }
    rows
}
