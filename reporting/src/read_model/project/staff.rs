//! Changes by staff: clubs, groups, credentials, rules, settings, and the list of all changes.

use rusqlite::params;
use scrip_protocol::codes::CodeForm;
use scrip_protocol::command::Secret;
use scrip_protocol::{CampaignId, Record, Settings};
use serde_json::Value;

use super::writing::{At, Writing};
use crate::read_model::rows::{json, number, request_bytes};

impl Writing<'_> {
    fn settings(&self, at: At, settings: &Settings, code_form: u8, is_recorded: bool) -> rusqlite::Result<()> {
        let (max, since) = (settings.codes_per_campaign_max, number(at.position.0));
        let (window, skew) = (number(settings.request_window_ms), number(settings.request_skew_ms));
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO organisation VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET name = ?1, currency = ?2, codes_per_campaign_max = ?3, code_form = ?4,
             code_form_recorded = max(code_form_recorded, ?5), since = ?6,
             request_window_max_ms = max(request_window_max_ms, ?7), request_skew_max_ms = max(request_skew_max_ms, ?8)",
        )?;
        let Settings { organisation, currency, .. } = settings;
        statement.execute(params![organisation, currency, max, code_form, is_recorded, since, window, skew]).map(drop)
    }

    /// Writes the rows of what is neither a campaign's nor a client's.
    pub(super) fn staff(&mut self, at: At, record: &Record) -> rusqlite::Result<()> {
        let ms = number(at.ms);
        let write = |sql: &str, values: &[&dyn rusqlite::ToSql]| self.connection.prepare_cached(sql)?.execute(values).map(drop);
        match record {
            Record::SettingsApplied(applied) => self.settings(at, &applied.settings, CodeForm::CaseFolded as u8, false),
            Record::SettingsSet(set) => self.settings(at, &set.settings, set.codes.form, true),
            Record::ClubRegistered(club) => write("INSERT INTO club VALUES (?, ?, ?)", params![club.club.0, club.name, ms]),
            Record::GroupRegistered(group) => {
                write("INSERT INTO client_group VALUES (?, ?, ?)", params![group.group.0, group.name, ms])
            }
            Record::CredentialAdded(added) => {
                let grant = &added.grant;
                let (kind, secret) = match &grant.secret {
                    Secret::Token(hash) => ("token", hash),
                    Secret::Certificate(hash) => ("certificate", hash),
                };
                let clubs = json(&grant.clubs);
                write(
                    "INSERT INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                    params![added.credential.0, grant.name, grant.role.word(), clubs, grant.reasons, kind, secret, ms],
                )
            }
            Record::CredentialRevoked(revoked) => {
                write("UPDATE credential SET revoked_ms = ?2 WHERE credential = ?1", params![revoked.credential.0, ms])?;
                self.holds_revoked(at, revoked.credential)
            }
            Record::RuleSaved(saved) => write(
                "INSERT INTO rule VALUES (?1, ?2, ?3, ?4, ?5, NULL)
                 ON CONFLICT DO UPDATE SET name = ?2, active = ?3, terms = ?4, saved_ms = ?5",
                params![saved.rule.0, saved.terms.name, saved.terms.active, json(&saved.terms), ms],
            ),
            Record::RuleSwitched(switched) => write(
                "UPDATE rule SET active = ?2, terms = json_set(terms, '$.active', json(?3)) WHERE rule = ?1",
                params![switched.rule.0, switched.active, if switched.active { "true" } else { "false" }],
            ),
            Record::RuleArchived(archived) => {
                write("UPDATE rule SET archived_ms = ?2 WHERE rule = ?1", params![archived.rule.0, ms])
            }
            // It comes back switched off (A32).
            Record::RuleRestored(restored) => write(
                "UPDATE rule SET archived_ms = NULL, active = 0, terms = json_set(terms, '$.active', json('false')) WHERE rule = ?1",
                params![restored.rule.0],
            ),
            // Where a reader is stands in the list of changes.
            Record::ReaderKept(_) | Record::ReaderForgotten(_) | Record::ReaderRegistered(_) => Ok(()),
            Record::Refused(_)
            | Record::RequestRefused(_)
            | Record::Activation(_)
            | Record::RedemptionRefused(_)
            | Record::CodeHeld(_)
            | Record::HoldRefused(_)
            | Record::HoldConfirmed(_)
            | Record::ConfirmationRefused(_)
            | Record::HoldReleased(_)
            | Record::ActivationRefunded(_)
            | Record::ClientRegistered(_)
            | Record::CampaignCreated(_)
            | Record::CodesAdded(_)
            | Record::CampaignSwitched(_)
            | Record::CampaignUpdated(_)
            | Record::CampaignArchived(_)
            | Record::CampaignRestored(_)
            | Record::CodesGenerated(_)
            | Record::CodesArchived(_)
            | Record::CodesRestored(_)
            | Record::ToppedUp(_)
            | Record::TopUpRefunded(_)
            | Record::BonusChanged(_)
            | Record::Spent(_) => Ok(()),
        }
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
