//! Changes by staff: clubs, groups, credentials, rules, settings, and the list of all changes.

use rusqlite::params;
use scrip_protocol::codes::CodeForm;
use scrip_protocol::command::Secret;
use scrip_protocol::record::{CredentialRecord, DirectoryRecord, RuleRecord, SettingsRecord};
use scrip_protocol::{CampaignId, Record, Settings};
use serde_json::Value;

use super::writing::{At, Writing};
use crate::read_model::values::{json, number, request_bytes};

impl Writing<'_> {
    pub(super) fn settings(&self, at: At, changed: SettingsRecord<'_>) -> rusqlite::Result<()> {
        let (settings, code_form, is_recorded) = match changed {
            SettingsRecord::SettingsApplied(applied) => (&applied.settings, CodeForm::CaseFolded as u8, false),
            SettingsRecord::SettingsSet(set) => (&set.settings, set.codes.form, true),
        };
        let (max, since) = (settings.codes_per_campaign_max, number(at.position.0));
        let (window, skew) = (number(settings.request_window_ms), number(settings.request_skew_ms));
        let Settings { organisation, currency, .. } = settings;
        self.write(
            "INSERT INTO organisation VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET name = ?1, currency = ?2, codes_per_campaign_max = ?3, code_form = ?4,
             code_form_recorded = max(code_form_recorded, ?5), since = ?6,
             request_window_max_ms = max(request_window_max_ms, ?7), request_skew_max_ms = max(request_skew_max_ms, ?8)",
            params![organisation, currency, max, code_form, is_recorded, since, window, skew],
        )
    }

    pub(super) fn directory(&self, at: At, registered: DirectoryRecord<'_>) -> rusqlite::Result<()> {
        let ms = number(at.ms);
        match registered {
            DirectoryRecord::ClubRegistered(club) => {
                self.write("INSERT INTO club VALUES (?, ?, ?)", params![club.club.0, club.name, ms])
            }
            DirectoryRecord::GroupRegistered(group) => {
                self.write("INSERT INTO client_group VALUES (?, ?, ?)", params![group.group.0, group.name, ms])
            }
        }
    }

    pub(super) fn credential(&mut self, at: At, changed: CredentialRecord<'_>) -> rusqlite::Result<()> {
        let ms = number(at.ms);
        match changed {
            CredentialRecord::CredentialAdded(added) => {
                let grant = &added.grant;
                let (kind, secret) = match &grant.secret {
                    Secret::Token(hash) => ("token", hash),
                    Secret::Certificate(hash) => ("certificate", hash),
                };
                let clubs = json(&grant.clubs);
                self.write(
                    "INSERT INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                    params![added.credential.0, grant.name, grant.role.word(), clubs, grant.reasons, kind, secret, ms],
                )
            }
            CredentialRecord::CredentialRevoked(revoked) => {
                self.write("UPDATE credential SET revoked_ms = ?2 WHERE credential = ?1", params![revoked.credential.0, ms])?;
                self.holds_revoked(at, revoked.credential)
            }
        }
    }

    pub(super) fn rule(&self, at: At, changed: RuleRecord<'_>) -> rusqlite::Result<()> {
        let ms = number(at.ms);
        match changed {
            RuleRecord::RuleSaved(saved) => self.write(
                "INSERT INTO rule VALUES (?1, ?2, ?3, ?4, ?5, NULL)
                 ON CONFLICT DO UPDATE SET name = ?2, active = ?3, terms = ?4, saved_ms = ?5",
                params![saved.rule.0, saved.terms.name, saved.terms.active, json(&saved.terms), ms],
            ),
            RuleRecord::RuleSwitched(switched) => self.write(
                "UPDATE rule SET active = ?2, terms = json_set(terms, '$.active', json(?3)) WHERE rule = ?1",
                params![switched.rule.0, switched.active, if switched.active { "true" } else { "false" }],
            ),
            RuleRecord::RuleArchived(archived) => {
                self.write("UPDATE rule SET archived_ms = ?2 WHERE rule = ?1", params![archived.rule.0, ms])
            }
            // It comes back switched off (A32).
            RuleRecord::RuleRestored(restored) => self.write(
                "UPDATE rule SET archived_ms = NULL, active = 0, terms = json_set(terms, '$.active', json('false')) WHERE rule = ?1",
                params![restored.rule.0],
            ),
        }
    }

    fn write(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// Writes a record into the list of changes. Of lists of codes there is their length; of a credential's secret nothing.
    pub(super) fn change(&mut self, at: At, record: &Record, campaign: Option<CampaignId>) -> rusqlite::Result<()> {
        let mut body = serde_json::to_value(record).expect("a record is JSON");
        let kind = body.as_object_mut().and_then(|fields| {
            fields.remove("stamp");
            fields.remove("record")
        });
        shorten(&mut body);
        let (credential, request) = match record.stamp() {
            Some(stamp) => (stamp.credential.0, Some(request_bytes(stamp.request))),
            None => (0, None),
        };
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        let mut statement = self.connection.prepare_cached("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        let campaign = campaign.map(|campaign| campaign.0);
        statement.execute(params![
            number(at.position.0),
            number(at.ms),
            kind,
            credential,
            request,
            campaign,
            body.to_string(),
        ])?;
        Ok(())
    }
}

/// The possibly long lists in a record, of which only the length is stored.
const LISTS: [&str; 5] = ["codes", "slots", "skipped", "conflicts", "first"];

/// Replaces long lists by their lengths.
pub(super) fn shorten(body: &mut Value) {
    let Some(fields) = body.as_object_mut() else { return };
    for (name, value) in fields {
        match value {
            Value::Array(list) if LISTS.contains(&name.as_str()) => *value = list.len().into(),
            Value::Object(grant) if name == "grant" => drop(grant.remove("secret")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
}
