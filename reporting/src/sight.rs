//! The records, changes and refusals that a caller may see (Z9, Z15): those that the commands of its role would show it.
//!
//! Routes admit roles; within a route that several roles share, [`Sight`] decides row by row. A row is about one [`Subject`]. A
//! credential without reasons (`scrip token add --no-reasons`) sees every refused code alike, as the engine answers it: no
//! campaign, no condition, one reason.

use scrip_protocol::command::{
    CommandTopic, ConfirmOutcome, ConfirmationRefused, HoldOutcome, HoldRefused, RedeemOutcome, RedemptionRefused,
};
use scrip_protocol::record::{OneRecord as _, RecordTopic};
use scrip_protocol::{Kind, Role};
use scrip_web::caller::Caller;
use serde_json::Value;

use crate::history::operations::{Operation, Operations};
use crate::refusals::{Attempt, Refusal};
use crate::search::{CodeFound, RequestFound};

/// The subject of a record or a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Activations, their refunds, and holds.
    Uses,
    /// Refused attempts at codes.
    CodeAttempts,
    /// Clients, top-ups, bonuses and spending, including refused attempts at them.
    Clients,
    /// Campaigns, codes, clubs, groups and rules, including refused attempts at them.
    Campaigns,
    /// Credentials, settings and journal readers, including refused attempts at them.
    Access,
}

impl Subject {
    /// Every subject.
    pub const ALL: [Subject; 5] = [Subject::Uses, Subject::CodeAttempts, Subject::Clients, Subject::Campaigns, Subject::Access];

    /// The words for it in the documentation.
    pub const fn words(self) -> &'static str {
        match self {
            Subject::Uses => "activations, holds, refunds of activations",
            Subject::CodeAttempts => "refused attempts at codes",
            Subject::Clients => "clients, top-ups, bonuses, spending",
            Subject::Campaigns => "campaigns, codes, clubs, groups, rules",
            Subject::Access => "credentials, settings, journal readers",
        }
    }

    /// The roles that see it. A gateway sees only its own requests, whatever their subject.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Subject::Uses | Subject::Campaigns => &[Role::Marketing, Role::Reporter, Role::Operator],
            Subject::CodeAttempts | Subject::Clients => &[Role::Cashier, Role::Marketing, Role::Reporter, Role::Operator],
            Subject::Access => &[Role::Reporter, Role::Operator],
        }
    }

    /// The subject of a kind of record, by its word; none for an unknown kind, and for a refused command, whose subject follows
    /// from the command.
    pub fn of_record(word: &str) -> Option<Subject> {
        match RecordTopic::of_word(word)? {
            RecordTopic::Redemption => Some(Subject::Uses),
            RecordTopic::Refusal => {
                let of_codes = [RedemptionRefused::WORD, HoldRefused::WORD, ConfirmationRefused::WORD];
                of_codes.contains(&word).then_some(Subject::CodeAttempts)
            }
            RecordTopic::Client | RecordTopic::Account => Some(Subject::Clients),
            RecordTopic::Directory | RecordTopic::Campaign | RecordTopic::Rule => Some(Subject::Campaigns),
            RecordTopic::Settings | RecordTopic::Credential | RecordTopic::Reader => Some(Subject::Access),
        }
    }

    /// The subject of refused attempts at a command, by the word of the command.
    pub fn of_command(word: &str) -> Option<Subject> {
        Some(match Kind::from_word(word)?.topic() {
            CommandTopic::Redemptions => Subject::CodeAttempts,
            CommandTopic::Clients | CommandTopic::Accounts => Subject::Clients,
            CommandTopic::Directory | CommandTopic::Campaigns | CommandTopic::Codes | CommandTopic::Rules => Subject::Campaigns,
            CommandTopic::Monitoring | CommandTopic::Credentials | CommandTopic::Journal => Subject::Access,
        })
    }
}

/// What a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The caller's credential.
    pub credential: u32,
    /// Its role.
    pub role: Role,
    /// Whether the caller learns why a code is refused.
    pub reasons: bool,
}

impl Sight {
    /// What a caller may see.
    pub fn of(caller: &Caller) -> Sight {
        Sight { credential: caller.credential, role: caller.role, reasons: caller.reasons }
    }

    /// Whether the role sees a subject. An unknown subject is visible only to roles that see everything.
    pub fn sees(self, subject: Option<Subject>) -> bool {
        subject.unwrap_or(Subject::Access).roles().contains(&self.role)
    }

    /// Whether the role sees the codes and activations of campaigns.
    pub fn sees_codes(self) -> bool {
        self.sees(Some(Subject::Campaigns)) && self.sees(Some(Subject::Uses))
    }

    /// A refusal as the caller sees it; none if hidden.
    pub fn refusal(self, refusal: Refusal) -> Option<Refusal> {
        if !self.sees(Subject::of_command(&refusal.command)) {
            return None;
        }
        let refusal = match self.names_campaign(&refusal.command, &refusal.reason) {
            true => refusal,
            false => Refusal { campaign: None, campaign_name: None, ..refusal },
        };
        Some(match self.hides(&refusal.command, &refusal.reason) {
            None => refusal,
            Some(Uniform { reason, decided, reply }) => Refusal { reason, decided, reply, ..refusal },
        })
    }

    /// The visible refusals, as the caller sees them.
    pub fn refusals(self, refusals: Vec<Refusal>) -> Vec<Refusal> {
        refusals.into_iter().filter_map(|refusal| self.refusal(refusal)).collect()
    }

    /// The visible attempts without a record, as the caller sees them.
    pub fn attempts(self, attempts: Vec<Attempt>) -> Vec<Attempt> {
        let seen = attempts.into_iter().filter(|attempt| self.sees(Subject::of_command(&attempt.command)));
        let shown = seen.map(|attempt| {
            let campaign = attempt.campaign.filter(|_| self.names_campaign(&attempt.command, &attempt.reason));
            match self.hides(&attempt.command, &attempt.reason) {
                None => Attempt { campaign, ..attempt },
                Some(Uniform { reason, decided, .. }) => Attempt { campaign, reason, decided, ..attempt },
            }
        });
        shown.collect()
    }

    /// The operations of a client as the caller sees them: all of them (B5), without reasons if the credential has none.
    pub fn operations(self, page: Operations) -> Operations {
        let seen = page.operations.into_iter().filter_map(|operation| match operation {
            Operation::Refusal(refusal) => self.refusal(refusal).map(Operation::Refusal),
            Operation::Entry(_) | Operation::Hold(_) | Operation::Spending(_) | Operation::Refund(_) => Some(operation),
        });
        Operations { operations: seen.collect(), ..page }
    }

    /// The history of a code as the caller sees it; none if all of it is hidden.
    pub fn code(self, found: CodeFound) -> Option<CodeFound> {
        let found = CodeFound { refusals: self.refusals(found.refusals), ..found };
        (!found.campaigns.is_empty() || !found.refusals.is_empty()).then_some(found)
    }

    /// The history of a request as the caller sees it; none if the caller may not see the request.
    pub fn request(self, mut found: RequestFound) -> Option<RequestFound> {
        let text = |did: &crate::search::Did, name: &str| did.fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let refused = found.did.iter().find(|did| did.what == "refusal").and_then(|did| text(did, "command"));
        let subject = match &refused {
            Some(command) => Subject::of_command(command),
            None => Subject::of_record(&found.record),
        };
        let is_seen = match self.role {
            Role::Gateway => found.credential == self.credential,
            Role::Cashier | Role::Marketing | Role::Reporter | Role::Operator => self.sees(subject),
        };
        if !is_seen {
            return None;
        }
        for did in &mut found.did {
            let (hidden, names_campaign) = match (did.what.as_str(), text(did, "command"), text(did, "reason")) {
                ("refusal", Some(command), Some(reason)) => {
                    (self.hides(&command, &reason), self.names_campaign(&command, &reason))
                }
                _ => (None, true),
            };
            let Some(fields) = did.fields.as_object_mut() else { continue };
            if self.role == Role::Gateway {
                // The reply to a gateway has neither the slot of a code nor how often it was used.
                fields.retain(|name, _| name != "slot" && name != "nth");
            }
            if !names_campaign {
                fields.insert("campaign".into(), Value::Null);
            }
            if let Some(Uniform { reason, decided, reply }) = hidden {
                fields.insert("reason".into(), reason.into());
                fields.insert("decided".into(), decided.into());
                fields.insert("reply".into(), reply);
            }
        }
        Some(found)
    }

    /// Whether the caller sees the campaign of a refusal. The campaign reveals whether the code exists: only callers with reasons
    /// see it, and only if the engine looked the code up and counted a failed attempt.
    fn names_campaign(self, command: &str, reason: &str) -> bool {
        match Kind::from_word(command) {
            Some(Kind::Redeem | Kind::Hold | Kind::Check) => self.reasons && RedeemOutcome::FAILED_ATTEMPTS.contains(&reason),
            // The hold, and so its campaign, is the caller's own.
            Some(Kind::Confirm) => self.reasons,
            Some(_) | None => true,
        }
    }

    /// What the caller sees instead of a reason that is hidden.
    fn hides(self, command: &str, reason: &str) -> Option<Uniform> {
        if self.reasons { None } else { Uniform::of(command, reason) }
    }
}

/// A refused code as a caller without reasons sees it: as the engine replied.
struct Uniform {
    reason: String,
    decided: String,
    reply: Value,
}

impl Uniform {
    /// The uniform reply to a command, if the reason reveals something about a code.
    fn of(command: &str, reason: &str) -> Option<Uniform> {
        const NOT: RedeemOutcome = RedeemOutcome::NotAccepted;
        // The other outcomes reveal nothing about a code: it was accepted, or the request did not get as far as a code.
        let about_a_code = RedeemOutcome::FAILED_ATTEMPTS.contains(&reason);
        let kind = Kind::from_word(command);
        let (reason, words, reply) = match kind {
            Some(Kind::Confirm) if reason == "expired" => {
                let outcome = ConfirmOutcome::Expired(NOT);
                (reason, outcome.to_string(), serde_json::to_value(outcome))
            }
            Some(Kind::Hold) if about_a_code => {
                let outcome = HoldOutcome::Refused(NOT);
                (NOT.word(), outcome.to_string(), serde_json::to_value(outcome))
            }
            Some(Kind::Redeem | Kind::Check) if about_a_code => (NOT.word(), NOT.to_string(), serde_json::to_value(NOT)),
            _ => return None,
        };
        let decided = words.strip_prefix("refused: ").unwrap_or(&words).to_owned();
        Some(Uniform { reason: reason.to_owned(), decided, reply: reply.expect("an outcome is JSON") })
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::Record;

    use super::*;

    /// Z15: every kind of record has a subject, so that no new kind is hidden by oversight.
    #[test]
    fn every_record_has_a_subject() {
        for word in (0..u16::MAX).filter_map(Record::word_of).filter(|word| !["refused", "request-refused"].contains(word)) {
            assert!(Subject::of_record(word).is_some(), "{word}");
        }
        assert!(Kind::ALL.iter().all(|kind| Subject::of_command(kind.word()).is_some()));
    }

    /// Z15: a role sees refused attempts at each command that it may send.
    #[test]
    fn a_role_sees_what_its_commands_are_about() {
        for role in [Role::Cashier, Role::Marketing, Role::Reporter, Role::Operator] {
            let sight = Sight { credential: 1, role, reasons: true };
            for kind in Kind::ALL.iter().filter(|kind| kind.roles().contains(&role)) {
                // Every role can list clubs and groups, but not see their changes.
                let is_list = matches!(kind, Kind::ListClubs | Kind::ListGroups);
                assert!(is_list || sight.sees(Subject::of_command(kind.word())), "{role} {}", kind.word());
            }
        }
    }

    /// Z9: a caller without reasons sees the same for every reason, but does see its own mistakes.
    #[test]
    fn reasons_about_a_code_look_alike() {
        for command in ["redeem", "hold", "check"] {
            let seen: Vec<_> = RedeemOutcome::FAILED_ATTEMPTS
                .iter()
                .map(|reason| {
                    let Uniform { reason, decided, reply } = Uniform::of(command, reason).expect("it is about a code");
                    (reason, decided, reply)
                })
                .collect();
            assert!(seen.iter().all(|one| *one == seen[0]) && seen[0].0 == "not_accepted", "{seen:?}");
            for own in ["invalid_code", "unknown_club", "unknown_top_up", "invalid_ttl", "too_many_holds"] {
                assert!(Uniform::of(command, own).is_none());
            }
        }
        assert!(Uniform::of("confirm", "expired").is_some());
    }
}
