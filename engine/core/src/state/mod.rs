//! The state of an organisation, with its two operations: decide and apply.
//!
//! Each command that changes something has a file here with its `decide`: a pure function of the state and the request that
//! returns a record. Only [`State::apply`] changes the state; it cannot fail, and a replay of the journal calls nothing else.
//! The reply to a request is derived from its record, so that it is the same for a retry and after a replay.
//!
//! Invariant: nothing in here locks, awaits, reads a clock, draws a random number or touches a file; nothing is imported from
//! index, guard and generation. A [`Lookup`] that is passed in finds the codes.

mod add_codes;
mod archive_campaign;
mod archive_codes;
mod bonus;
mod by_client;
mod by_name;
mod by_value;
mod clients;
mod code_list;
mod confirm;
mod counted;
mod create_campaign;
mod credentials;
mod difference;
mod executor;
pub mod frozen;
mod generate_codes;
mod given_back;
mod groups;
mod hold_code;
mod holds;

mod mutation;
mod overlay;
mod precedence;
mod queries;
mod readers;
mod redeem;
mod refund;
mod refund_top_up;
mod register_client;
mod register_club;
mod release;
pub mod requests;
mod rules;
mod save_rule;
pub mod snapshot;
mod spending;
mod subject;
mod switch_campaign;
mod tables;
#[cfg(any(test, feature = "testing"))]
#[allow(dead_code, missing_docs, unreachable_pub)]
pub mod tests;
mod texts;
mod top_up;
mod update_campaign;
mod uses;

pub use add_codes::AddCodesRequest;
pub use archive_codes::CodesRequest;
pub use bonus::RefundBonusRequest;
pub use clients::Clients;
pub use code_list::CodeList;
pub use confirm::{ConfirmRequest, NamedHold};
pub use create_campaign::CreateCampaignRequest;
pub use credentials::{Credential, Credentials};
pub use difference::{Difference, first_difference};
pub use generate_codes::{Drawn, GenerateRequest, guesses_per_hit};
pub use given_back::GivenBack;
pub use groups::Groups;
pub use hold_code::HoldRequest;
pub use holds::{FreeFrom, HeldOfCampaign, HeldUses, Holds, OpenHold};
pub use mutation::{Mutation, Named, Person};
pub use precedence::{Standing, refusals_of};
pub use readers::{ForgetReaderRequest, KeepReaderRequest, ReaderRow, Readers};
pub use redeem::RedeemRequest;
pub use refund::{RefundRequest, activation_of};
pub use refund_top_up::RefundTopUpRequest;
pub use rules::{Rule, Rules};
pub use scrip_protocol::codes::NormalisedCode;
pub use tables::{Campaign, Campaigns, Clubs, CodeAt};
pub use texts::Texts;
pub use uses::ClientUses;

use std::borrow::Cow;

use requests::{Admission, ClockRange, Remembered, Requests};
use scrip_protocol::batch::BatchTime;
use scrip_protocol::codes::{CodeForm, RecordedForm};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCodes, ArchiveRule, ArchiveRuleOutcome, Confirm, ForgetReader,
    ForgetReaderOutcome, GenerateCodes, Hold, KeepReader, NAME_BYTES_MAX, Refund, RefundTopUp, RegisterClient, RegisterClub,
    RegisterGroup, Release, ReleaseOutcome, RequestRefused, RestoreCampaign, RestoreCodes, RestoreRule, RestoreRuleOutcome,
    RevokeCredential, RevokeCredentialOutcome, Subject, SwitchCampaign, SwitchRule, SwitchRuleOutcome, TopUp, UpdateCampaign,
};
use scrip_protocol::{ClientId, Command, Kind, Position, Record, Refusal, RequestId, Settings, Stamp, wire};

use crate::slot_table::prefetch;

/// Where codes are. Answers for the state as it is at the moment of asking.
pub trait Lookup {
    /// The slot of a code: in the campaign that holds it, or else in the last campaign that held it.
    fn find(&self, code: &NormalisedCode) -> Option<CodeAt>;

    /// Finds many codes, and passes on the slot of each, in order.
    fn find_all(&self, codes: &[NormalisedCode], mut give: impl FnMut(Option<CodeAt>)) {
        codes.iter().for_each(|code| give(self.find(code)));
    }
}

/// The result of all records so far. Owned by the engine thread.
#[derive(Debug, PartialEq)]
pub struct State {
    position: Position,
    now_ms: u64,
    settings: Settings,
    /// The form of codes according to the settings; the first journals do not state it.
    recorded_form: Option<RecordedForm>,
    /// The clubs.
    pub clubs: Clubs,
    /// The clients.
    pub clients: Clients,
    /// The campaigns.
    pub campaigns: Campaigns,
    /// The uses held by holds.
    pub holds: Holds,
    /// The groups of clients.
    pub groups: Groups,
    /// The rules for top-ups.
    pub rules: Rules,
    /// Refunded amounts of activations, top-ups and payments.
    pub given_back: GivenBack,
    /// The credentials.
    pub credentials: Credentials,
    /// The readers of the journal.
    pub readers: Readers,
    /// The remembered requests.
    pub requests: Requests,
}

impl Default for State {
    fn default() -> State {
        State {
            position: Position(0),
            now_ms: 0,
            settings: Settings { organisation: String::new(), currency: String::new(), ..Settings::default() },
            recorded_form: None,
            clubs: Clubs::default(),
            clients: Clients::default(),
            campaigns: Campaigns::default(),
            holds: Holds::default(),
            groups: Groups::default(),
            rules: Rules::default(),
            given_back: GivenBack::default(),
            credentials: Credentials::default(),
            readers: Readers::default(),
            requests: Requests::default(),
        }
    }
}

impl State {
    /// The position of the newest record.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The time of the newest record, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The current settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The recorded form of codes; none in a journal with the first version of the settings, or without records.
    pub fn recorded_form(&self) -> Option<RecordedForm> {
        self.recorded_form
    }

    /// The form in which codes are compared. An organisation keeps the form that it started with.
    pub fn code_form(&self) -> CodeForm {
        match self.recorded_form {
            // An engine refuses to start if it does not know the form.
            Some(recorded) => CodeForm::from_number(recorded.form).unwrap_or(CodeForm::CURRENT),
            None if self.position == Position(0) => CodeForm::CURRENT,
            None => CodeForm::CaseFolded,
        }
    }

    /// Whether to execute a request. A remembered reply is returned only to a command of the same kind.
    #[inline]
    pub fn admit(&self, clock: impl Into<ClockRange>, stamp: &Stamp, kind: impl FnOnce() -> Kind) -> Admission<'_> {
        let admission = self.requests.admit(clock, stamp);
        if let Admission::Repeated(reply) = &admission
            && reply.kind() != kind() as u16
        {
            return Admission::Refused(Refusal::RequestIdReused);
        }
        admission
    }

    /// Prefetches parts of the idempotency window, the clients and the counters of codes that some redemptions need. Their
    /// addresses are unrelated: the known ones are prefetched first, all at once, then the clients' rows, whose addresses the
    /// first ones contain.
    pub fn touch(&self, ahead: impl Iterator<Item = (RequestId, ClientId, Option<CodeAt>)> + Clone) {
        for (request, client, at) in ahead.clone() {
            self.requests.touch(request);
            self.clients.touch(client);
            let counter = at.and_then(|at| self.campaigns.of(at.campaign)?.activations_of.get(at.slot));
            counter.into_iter().for_each(|counter| prefetch(counter));
        }
        ahead.for_each(|(_, client, _)| self.clients.touch_row(client));
    }

    /// Applies the records of a batch, each like [`State::apply`]. Prefetches what groups of them need before the first of the
    /// group is applied.
    pub fn replay(&mut self, time: impl Into<BatchTime>, records: &[Record]) {
        let time = time.into();
        const AT_ONCE: usize = 64;
        let needs = |record: &Record| {
            // Only for the kinds of records that a journal has by the million.
            let activation = if let Record::Activation(activation) = record {
                activation
            } else if let Record::HoldConfirmed(confirmed) = record {
                &confirmed.activation
            } else {
                return None;
            };
            let at = CodeAt { campaign: activation.campaign, slot: activation.slot };
            Some((activation.stamp.request, activation.client, Some(at)))
        };
        for some in records.chunks(AT_ONCE) {
            self.touch(some.iter().filter_map(needs));
            for record in some {
                self.apply(time, record);
            }
        }
    }

    /// Decides an admitted request at the time of the batch that its record is for. Changes nothing.
    #[inline]
    pub fn decide(&self, now_ms: u64, stamp: Stamp, mutation: &Mutation, lookup: &impl Lookup) -> Record {
        // Returned directly, because records are expensive to copy. Refusals of this kind have a record of their own.
        if let Mutation::Redeem(mutation) = mutation {
            return redeem::decide(self, now_ms, stamp, mutation, lookup);
        }
        self.decide_other(now_ms, stamp, mutation, lookup)
    }

    /// The same for a request whose refusal is recorded with its subject.
    fn decide_other(&self, now_ms: u64, stamp: Stamp, mutation: &Mutation, lookup: &impl Lookup) -> Record {
        let mut record = self.record_of(now_ms, stamp, mutation, lookup);
        if let Record::RequestRefused(refused) = &mut record {
            refused.subject = self.subject(now_ms, &stamp, mutation);
        }
        record
    }

    #[inline]
    fn record_of(&self, now_ms: u64, stamp: Stamp, mutation: &Mutation, lookup: &impl Lookup) -> Record {
        match mutation {
            Mutation::Redeem(mutation) => redeem::decide(self, now_ms, stamp, mutation, lookup),
            Mutation::Hold(mutation) => hold_code::decide(self, now_ms, stamp, mutation, lookup),
            Mutation::Confirm(mutation) => confirm::decide(self, now_ms, stamp, mutation),
            Mutation::Release(mutation) => release::decide(self, now_ms, stamp, mutation),
            Mutation::RegisterClub(mutation) => register_club::decide(self, stamp, mutation),
            Mutation::RegisterClient(mutation) => register_client::decide(self, stamp, mutation),
            Mutation::CreateCampaign(mutation) => create_campaign::decide(self, stamp, mutation, lookup),
            Mutation::AddCodes(mutation) => add_codes::decide(self, stamp, mutation, lookup),
            Mutation::SwitchCampaign(mutation) => switch_campaign::decide(self, stamp, mutation),
            Mutation::UpdateCampaign(mutation) => update_campaign::decide(self, stamp, mutation),
            Mutation::ArchiveCampaign(campaign) => archive_campaign::decide_archive(self, stamp, *campaign),
            Mutation::RestoreCampaign(campaign) => archive_campaign::decide_restore(self, stamp, *campaign, lookup),
            Mutation::GenerateCodes(mutation) => generate_codes::decide(self, stamp, mutation, lookup),
            Mutation::ArchiveCodes(mutation) => archive_codes::decide_archive(self, stamp, mutation, lookup),
            Mutation::RestoreCodes(mutation) => archive_codes::decide_restore(self, stamp, mutation, lookup),
            Mutation::Refund(mutation) => refund::decide(self, stamp, mutation),
            Mutation::AddCredential(mutation) => credentials::decide_add(self, stamp, mutation),
            Mutation::RevokeCredential(mutation) => credentials::decide_revoke(self, stamp, mutation),
            Mutation::RegisterGroup(mutation) => groups::decide(self, stamp, mutation),
            Mutation::TopUp(mutation) => top_up::decide(self, stamp, mutation),
            Mutation::RefundTopUp(mutation) => refund_top_up::decide(self, stamp, mutation),
            Mutation::CreditBonus(mutation) => bonus::decide_credit(self, stamp, mutation),
            Mutation::WriteOffBonus(mutation) => bonus::decide_write_off(self, stamp, mutation),
            Mutation::PayBonus(mutation) => bonus::decide_payment(self, stamp, mutation),
            Mutation::RefundBonus(mutation) => bonus::decide_refund(self, stamp, mutation),
            Mutation::RecordSession(mutation) => spending::decide_session(self, stamp, mutation),
            Mutation::RecordPurchase(mutation) => spending::decide_purchase(self, stamp, mutation),
            Mutation::CreateRule(mutation) => save_rule::decide_create(self, stamp, mutation),
            Mutation::UpdateRule(mutation) => save_rule::decide_update(self, stamp, mutation),
            Mutation::SwitchRule(mutation) => save_rule::decide_switch(self, stamp, mutation),
            Mutation::ArchiveRule(rule) => save_rule::decide_archive(self, stamp, *rule),
            Mutation::RestoreRule(rule) => save_rule::decide_restore(self, stamp, *rule),
            Mutation::KeepReader(mutation) => readers::decide_keep(self, stamp, mutation),
            Mutation::ForgetReader(mutation) => readers::decide_forget(self, stamp, mutation),
        }
    }

    /// Applies the next record, of a batch with this time. `decide` ensures that records only name what exists; a record that
    /// does not is ignored, so that a journal from elsewhere cannot stop the engine. Returns the reply to the record's request,
    /// if it has one: as it is remembered, or the record itself if the reply is too long to be remembered.
    pub fn apply(&mut self, time: impl Into<BatchTime>, record: &Record) -> Option<Cow<'_, Remembered>> {
        let time = time.into();
        let time_ms = time.record_ms();
        self.position = Position(self.position.0 + 1);
        self.now_ms = time_ms;
        self.holds.begin(&mut self.campaigns, time_ms);
        match record {
            Record::SettingsApplied(record) => {
                self.requests.set(&record.settings);
                self.settings = record.settings.clone();
            }
            Record::SettingsSet(record) => {
                if self.recorded_form.is_none() && self.position > Position(1) {
                    self.requests.mean_from(time_ms, &record.settings);
                }
                self.requests.set(&record.settings);
                self.settings = record.settings.clone();
                self.recorded_form = Some(record.codes);
            }
            Record::Refused(_)
            | Record::RequestRefused(_)
            | Record::RedemptionRefused(_)
            | Record::HoldRefused(_)
            | Record::ConfirmationRefused(_) => {}
            Record::Activation(record) => redeem::apply(self, record),
            Record::CodeHeld(record) => hold_code::apply(self, record),
            Record::HoldConfirmed(record) => confirm::apply(self, record),
            Record::HoldReleased(record) => release::apply(self, record),
            Record::ClubRegistered(record) => self.clubs.add(&record.name),
            Record::ClientRegistered(record) => self.clients.set_name(record.client, &record.name),
            Record::CampaignCreated(record) => create_campaign::apply(self, record),
            Record::CodesAdded(record) => add_codes::apply(self, record),
            Record::CampaignSwitched(record) => switch_campaign::apply(self, record),
            Record::CampaignUpdated(record) => update_campaign::apply(self, record),
            Record::CampaignArchived(record) => archive_campaign::apply_archive(self, record),
            Record::CampaignRestored(record) => archive_campaign::apply_restore(self, record),
            Record::CodesGenerated(record) => generate_codes::apply(self, record),
            Record::CodesArchived(record) => archive_codes::apply_archive(self, record),
            Record::CodesRestored(record) => archive_codes::apply_restore(self, record),
            Record::ActivationRefunded(record) => refund::apply(self, record),
            Record::CredentialAdded(record) => credentials::apply_add(self, record),
            Record::CredentialRevoked(record) => credentials::apply_revoke(self, record),
            Record::GroupRegistered(record) => groups::apply(self, record),
            Record::ToppedUp(record) => top_up::apply(self, record),
            Record::TopUpRefunded(record) => refund_top_up::apply(self, record),
            Record::BonusChanged(record) => bonus::apply(self, record),
            Record::Spent(record) => spending::apply(self, record),
            Record::RuleSaved(record) => self.rules.save(record.rule, &record.terms, time_ms),
            Record::RuleSwitched(record) => self.rules.switch(record.rule, record.active),
            Record::RuleArchived(record) => self.rules.archive(record.rule, time_ms),
            Record::RuleRestored(record) => self.rules.restore(record.rule),
            Record::ReaderKept(record) => readers::apply_kept(self, record, time_ms),
            Record::ReaderForgotten(record) => readers::apply_forgotten(self, record),
            Record::ReaderRegistered(record) => readers::apply_registered(self, record, time_ms),
        }
        self.holds.finish(&self.campaigns);
        let (stamp, reply) = (record.stamp()?, reply_of(self.position, record)?);
        Some(self.requests.remember(time, stamp, reply, self.position))
    }
}

/// The reply to a request, derived from its record; `None` for a record without a request.
pub fn reply_of(position: Position, record: &Record) -> Option<Remembered> {
    Some(match record {
        Record::SettingsApplied(_) | Record::SettingsSet(_) => return None,
        Record::Refused(record) => Remembered::Other(Box::new((record.kind, record.reply.clone()))),
        Record::RequestRefused(record) => Remembered::Other(Box::new((record.kind, record.reply.clone()))),
        Record::Activation(record) => Remembered::Redeem(record.outcome(position)),
        Record::RedemptionRefused(record) => Remembered::Redeem(record.outcome),
        Record::CodeHeld(record) => encoded::<Hold>(&record.outcome(position)),
        Record::HoldRefused(record) => encoded::<Hold>(&record.outcome),
        Record::HoldConfirmed(record) => encoded::<Confirm>(&record.outcome(position)),
        Record::ConfirmationRefused(record) => encoded::<Confirm>(&record.outcome),
        Record::HoldReleased(_) => encoded::<Release>(&ReleaseOutcome::Released),
        Record::ClubRegistered(record) => encoded::<RegisterClub>(&record.outcome()),
        Record::ClientRegistered(record) => encoded::<RegisterClient>(&record.outcome()),
        Record::CampaignCreated(record) => encoded::<scrip_protocol::command::CreateCampaign>(&record.outcome()),
        Record::CodesAdded(record) => encoded::<scrip_protocol::command::AddCodes>(&record.outcome()),
        Record::CampaignSwitched(record) => encoded::<SwitchCampaign>(&record.outcome()),
        Record::CampaignUpdated(record) => encoded::<UpdateCampaign>(&record.outcome()),
        Record::CampaignArchived(record) => encoded::<ArchiveCampaign>(&record.outcome()),
        Record::CampaignRestored(record) => encoded::<RestoreCampaign>(&record.outcome()),
        Record::CodesGenerated(record) => encoded::<GenerateCodes>(&record.outcome()),
        Record::CodesArchived(record) => encoded::<ArchiveCodes>(&record.outcome()),
        Record::CodesRestored(record) => encoded::<RestoreCodes>(&record.outcome()),
        Record::ActivationRefunded(record) => encoded::<Refund>(&record.outcome()),
        Record::CredentialAdded(record) => {
            record.stamp?;
            encoded::<AddCredential>(&AddCredentialOutcome::Added(record.credential))
        }
        Record::CredentialRevoked(_) => encoded::<RevokeCredential>(&RevokeCredentialOutcome::Revoked),
        Record::GroupRegistered(record) => encoded::<RegisterGroup>(&record.outcome()),
        Record::ToppedUp(record) => encoded::<TopUp>(&record.outcome(position)),
        Record::TopUpRefunded(record) => encoded::<RefundTopUp>(&record.outcome()),
        Record::BonusChanged(record) => bonus::reply_of(record, position),
        Record::Spent(record) => spending::reply_of(record, position),
        Record::RuleSaved(record) => save_rule::reply_of(record),
        Record::RuleSwitched(record) => encoded::<SwitchRule>(&SwitchRuleOutcome::Switched { active: record.active }),
        Record::RuleArchived(_) => encoded::<ArchiveRule>(&ArchiveRuleOutcome::Archived),
        Record::RuleRestored(_) => encoded::<RestoreRule>(&RestoreRuleOutcome::Restored),
        Record::ReaderKept(record) => encoded::<KeepReader>(&record.outcome()),
        Record::ReaderForgotten(_) => encoded::<ForgetReader>(&ForgetReaderOutcome::Forgotten),
        Record::ReaderRegistered(record) => encoded::<KeepReader>(&record.outcome()),
    })
}

fn encoded<C: Command>(outcome: &C::Outcome) -> Remembered {
    let mut bytes = Vec::new();
    wire::encode(outcome, &mut bytes);
    Remembered::Other(Box::new((C::KIND as u16, bytes)))
}

/// The record of a refused command whose refusals have no record of their own. [`State::decide`] adds the subject of the
/// request.
fn refused<C: Command>(stamp: Stamp, outcome: &C::Outcome) -> Record {
    let own_record = [Kind::Redeem, Kind::Hold, Kind::Confirm];
    debug_assert!(!own_record.contains(&C::KIND), "a refusal of this command has a record of its own");
    let mut reply = Vec::new();
    wire::encode(outcome, &mut reply);
    RequestRefused { stamp, kind: C::KIND as u16, subject: Subject::default(), reply }.into()
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX
}
