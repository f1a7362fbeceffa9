//! Refused attempts with a record (Z13).

use std::collections::HashMap;

use scrip_protocol::command::{AnyOutcome, ConfirmOutcome};
use scrip_protocol::{CampaignId, ClientId, ClubId, Kind, Record, Stamp};

use super::past::Past;

/// A refused attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal<'a> {
    pub(crate) position: u64,
    pub(crate) at_ms: u64,
    /// The command's word.
    pub(crate) command: &'static str,
    pub(crate) stamp: &'a Stamp,
    pub(crate) client: Option<ClientId>,
    pub(crate) club: Option<ClubId>,
    /// In the form used for comparison; none if the text cannot be a code.
    pub(crate) code: Option<String>,
    /// The campaign that has the code, or was the last to have it.
    pub(crate) campaign: Option<CampaignId>,
    /// The operation or hold that the request named.
    pub(crate) operation: Option<u64>,
    /// The reply, in JSON.
    pub(crate) reply: serde_json::Value,
}

impl Refusal<'_> {
    /// The outcome's word: the innermost one, if the refusal is that of a redemption.
    pub(crate) fn reason(&self) -> String {
        fn word(reply: &serde_json::Value) -> String {
            match reply {
                serde_json::Value::String(word) => word.clone(),
                serde_json::Value::Object(fields) => fields.keys().next().expect("an outcome has a word").clone(),
                other => panic!("an outcome is no {other}"),
            }
        }
        let outer = word(&self.reply);
        match (outer.as_str(), &self.reply[&outer]) {
            ("refused", inner) => word(inner),
            _ => outer,
        }
    }
}

impl<'a> Past<'a> {
    /// Every refused attempt, in order.
    pub(crate) fn refusals(&self) -> Vec<Refusal<'a>> {
        let holds: HashMap<_, _> = self.holds().into_iter().map(|hold| (hold.position, hold.record)).collect();
        let mut refusals = Vec::new();
        for (at, recorded) in self.records.iter().enumerate() {
            let holder = |code: &str| Past { records: &self.records[..at], ..*self }.holder(code);
            let (position, at_ms) = (recorded.position, recorded.at_ms);
            let some = |code: &String| (!code.is_empty()).then(|| code.clone());
            refusals.push(match &recorded.record {
                Record::RedemptionRefused(record) => Refusal {
                    position,
                    at_ms,
                    command: Kind::Redeem.word(),
                    stamp: &record.stamp,
                    client: Some(record.client),
                    club: Some(record.club),
                    code: some(&record.code),
                    campaign: holder(&record.code).filter(|_| depends_on_a_code(&json(&record.outcome))),
                    operation: None,
                    reply: json(&record.outcome),
                },
                Record::HoldRefused(record) => Refusal {
                    position,
                    at_ms,
                    command: Kind::Hold.word(),
                    stamp: &record.stamp,
                    client: Some(record.client),
                    club: Some(record.club),
                    code: some(&record.code),
                    campaign: holder(&record.code).filter(|_| depends_on_a_code(&json(&record.outcome))),
                    operation: None,
                    reply: json(&record.outcome),
                },
                Record::ConfirmationRefused(record) => {
                    let hold = holds.get(&record.hold.0).filter(|_| record.outcome != ConfirmOutcome::UnknownHold);
                    Refusal {
                        position,
                        at_ms,
                        command: Kind::Confirm.word(),
                        stamp: &record.stamp,
                        client: hold.map(|hold| hold.client),
                        club: hold.map(|hold| hold.club),
                        code: hold.map(|hold| self.value(hold.campaign, hold.slot)),
                        campaign: hold.map(|hold| hold.campaign),
                        operation: Some(record.hold.0),
                        reply: json(&record.outcome),
                    }
                }
                // Journals of older versions do not record the subject of such a request.
                Record::Refused(record) => {
                    let kind = Kind::from_number(record.kind).expect("a command that there is");
                    let reply = reply_of(kind, &record.reply);
                    let (stamp, command) = (&record.stamp, kind.word());
                    let (client, club, code, campaign, operation) = (None, None, None, None, None);
                    Refusal { position, at_ms, command, stamp, client, club, code, campaign, operation, reply }
                }
                Record::RequestRefused(record) => {
                    let kind = Kind::from_number(record.kind).expect("a command that there is");
                    let of = &record.subject;
                    Refusal {
                        position,
                        at_ms,
                        command: kind.word(),
                        stamp: &record.stamp,
                        client: of.client,
                        club: of.club,
                        code: of.code.clone(),
                        campaign: of.campaign.or_else(|| of.code.as_deref().and_then(holder)),
                        operation: of.operation.map(|operation| operation.0),
                        reply: reply_of(kind, &record.reply),
                    }
                }
                _ => continue,
            });
        }
        refusals
    }
}

fn json(outcome: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(outcome).expect("an outcome can be JSON")
}

/// Whether a redemption or hold was refused because of its code. Other refusals do not depend on the code.
fn depends_on_a_code(reply: &serde_json::Value) -> bool {
    let text = reply.to_string();
    !["invalid_code", "unknown_club", "unknown_top_up", "invalid_ttl", "too_many_holds"].iter().any(|word| text.contains(word))
}

/// The outcome decoded from a refusal's bytes, with the number of its lines instead of the lines.
fn reply_of(kind: Kind, bytes: &[u8]) -> serde_json::Value {
    let mut reply = json(&AnyOutcome::decode(kind, bytes).expect("the outcome's bytes"));
    if let Some(lines) = reply.get("conflicts").and_then(|lines| lines.as_array()).map(Vec::len) {
        reply["conflicts"] = lines.into();
    }
    reply
}
