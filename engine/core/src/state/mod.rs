//! The state of an organisation, and the two things that may be done with it: decide, and apply.
//!
//! Each command that changes something has a file here with its `decide`: a pure function of the state and the request,
//! which returns the record of what happens. [`State::apply`] is the only way in which the state changes; it cannot fail, and
//! replaying the journal calls nothing else. The answer to a request is read off its record, so that it is the same again when
//! the request is repeated or the journal replayed.
//!
//! Invariant: nothing in here locks, awaits, reads a clock, draws a random number or touches a file; nothing is imported from
//! the crate's other modules. Where a code is, is asked of the [`Lookup`] that is passed in.

mod add_codes;
mod archive_campaign;
mod archive_codes;
mod bonus;
mod by_client;
mod by_name;
pub(crate) mod by_time;
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
mod hold;
mod holds;
mod ladder;
mod overlay;
pub(crate) mod prefetch;
mod readers;
mod reads;
mod redeem;
mod refund;
mod refund_top_up;
mod register_client;
mod register_club;
mod release;
pub mod requests;
mod rules;
mod save_rule;
pub(crate) mod shards;
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

pub use add_codes::AskedAddCodes;
pub use archive_codes::AskedCodes;
pub use bonus::AskedRefundBonus;
pub use clients::Clients;
pub use code_list::CodeList;
pub use confirm::{AskedConfirm, NamedHold};
pub use create_campaign::AskedCreateCampaign;
pub use credentials::{Credential, Credentials};
pub use difference::{Difference, first_difference};
pub use generate_codes::{AskedGenerate, Drawn, guesses_per_hit};
pub use given_back::GivenBack;
pub use groups::Groups;
pub use hold::AskedHold;
pub use holds::{FreeFrom, HeldOfCampaign, HeldUses, Holds, OpenHold};
pub use ladder::{Standing, refusals_of};
pub use readers::{AskedForgetReader, AskedKeepReader, ReaderRow, Readers};
pub use redeem::AskedRedeem;
pub use refund::{AskedRefund, activation_of};
pub use refund_top_up::AskedRefundTopUp;
pub use rules::{Rule, Rules};
pub use scrip_protocol::codes::NormalisedCode;
pub use tables::{Campaign, Campaigns, Clubs, CodeAt};
pub use texts::Texts;
pub use uses::ClientUses;

use prefetch::prefetch;
use requests::{Admission, ClockRange, Remembered, Requests};
use scrip_protocol::batch::BatchTime;
use scrip_protocol::codes::{CodeForm, RecordedForm};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCodes, ArchiveRule, ArchiveRuleOutcome, Confirm, CreateRule,
    CreditBonus, ForgetReader, ForgetReaderOutcome, GenerateCodes, Hold, KeepReader, NAME_BYTES_MAX, PayBonus, RecordPurchase,
    RecordSession, Refund, RefundTopUp, RegisterClient, RegisterClub, RegisterGroup, Release, ReleaseOutcome, RequestRefused,
    RestoreCampaign, RestoreCodes, RestoreRule, RestoreRuleOutcome, RevokeCredential, RevokeCredentialOutcome, Subject,
    SwitchCampaign, SwitchRule, SwitchRuleOutcome, TopUp, UpdateCampaign, UpdateRule, WriteOffBonus,
};
use scrip_protocol::{CampaignId, ClientId, Command, Kind, Position, Record, Refusal, RequestId, RuleId, Settings, Stamp, wire};

/// Where codes are. Answers for the state as it is at the moment of asking.
pub trait Lookup {
    /// Where a code is: in the campaign that holds it, or where none does, in the one that held it last.
    fn find(&self, code: &NormalisedCode) -> Option<CodeAt>;

    /// Finds many, and gives the place of each, in order.
    fn find_all(&self, codes: &[NormalisedCode], mut give: impl FnMut(Option<CodeAt>)) {
        codes.iter().for_each(|code| give(self.find(code)));
    }

    /// The normalised form of a code as it was written; `None` where it cannot be one.
    fn normalised(&self, text: &str) -> Option<NormalisedCode>;
}

/// A request that changes something, with its codes normalised.
#[derive(Debug, Clone)]
pub enum Asked {
    /// Redeem a code.
    Redeem(AskedRedeem),
    /// Hold one use of a code. Elsewhere, so that a chunk of redemptions is no larger for it.
    Hold(Box<AskedHold>),
    /// Make a hold the activation.
    Confirm(AskedConfirm),
    /// Give a held use back.
    Release(NamedHold),
    /// Register a club.
    RegisterClub(RegisterClub),
    /// Register a client.
    RegisterClient(RegisterClient),
    /// Create a campaign.
    CreateCampaign(Box<AskedCreateCampaign>),
    /// Add codes to a campaign.
    AddCodes(Box<AskedAddCodes>),
    /// Switch a campaign on or off.
    SwitchCampaign(SwitchCampaign),
    /// Change a campaign's terms.
    UpdateCampaign(Box<UpdateCampaign>),
    /// Archive a campaign.
    ArchiveCampaign(CampaignId),
    /// Restore a campaign.
    RestoreCampaign(CampaignId),
    /// Generate codes for a campaign.
    GenerateCodes(Box<AskedGenerate>),
    /// Archive single codes.
    ArchiveCodes(Box<AskedCodes>),
    /// Restore single codes.
    RestoreCodes(Box<AskedCodes>),
    /// Refund an activation.
    Refund(Box<AskedRefund>),
    /// Add a credential.
    AddCredential(Box<AddCredential>),
    /// Revoke a credential.
    RevokeCredential(RevokeCredential),
    /// Register a group of clients.
    RegisterGroup(RegisterGroup),
    /// Top up a client's gaming balance.
    TopUp(Box<TopUp>),
    /// Refund a top-up.
    RefundTopUp(Box<AskedRefundTopUp>),
    /// Credit bonuses by hand.
    CreditBonus(Box<CreditBonus>),
    /// Write bonuses off by hand.
    WriteOffBonus(Box<WriteOffBonus>),
    /// Pay with bonuses.
    PayBonus(Box<PayBonus>),
    /// Give a bonus payment back.
    RefundBonus(Box<AskedRefundBonus>),
    /// Record a session.
    RecordSession(Box<RecordSession>),
    /// Record a purchase.
    RecordPurchase(Box<RecordPurchase>),
    /// Create a rule.
    CreateRule(Box<CreateRule>),
    /// Change a rule.
    UpdateRule(Box<UpdateRule>),
    /// Switch a rule on or off.
    SwitchRule(SwitchRule),
    /// Archive a rule.
    ArchiveRule(RuleId),
    /// Restore a rule.
    RestoreRule(RuleId),
    /// Register or move a reader of the journal.
    KeepReader(Box<AskedKeepReader>),
    /// Forget a reader.
    ForgetReader(AskedForgetReader),
}

impl Asked {
    /// The command.
    pub fn kind(&self) -> Kind {
        match self {
            Asked::Redeem(_) => Kind::Redeem,
            Asked::Hold(_) => Kind::Hold,
            Asked::Confirm(_) => Kind::Confirm,
            Asked::Release(_) => Kind::Release,
            Asked::RegisterClub(_) => Kind::RegisterClub,
            Asked::RegisterClient(_) => Kind::RegisterClient,
            Asked::CreateCampaign(_) => Kind::CreateCampaign,
            Asked::AddCodes(_) => Kind::AddCodes,
            Asked::SwitchCampaign(_) => Kind::SwitchCampaign,
            Asked::UpdateCampaign(_) => Kind::UpdateCampaign,
            Asked::ArchiveCampaign(_) => Kind::ArchiveCampaign,
            Asked::RestoreCampaign(_) => Kind::RestoreCampaign,
            Asked::GenerateCodes(_) => Kind::GenerateCodes,
            Asked::ArchiveCodes(_) => Kind::ArchiveCodes,
            Asked::RestoreCodes(_) => Kind::RestoreCodes,
            Asked::Refund(_) => Kind::Refund,
            Asked::AddCredential(_) => Kind::AddCredential,
            Asked::RevokeCredential(_) => Kind::RevokeCredential,
            Asked::RegisterGroup(_) => Kind::RegisterGroup,
            Asked::TopUp(_) => Kind::TopUp,
            Asked::RefundTopUp(_) => Kind::RefundTopUp,
            Asked::CreditBonus(_) => Kind::CreditBonus,
            Asked::WriteOffBonus(_) => Kind::WriteOffBonus,
            Asked::PayBonus(_) => Kind::PayBonus,
            Asked::RefundBonus(_) => Kind::RefundBonus,
            Asked::RecordSession(_) => Kind::RecordSession,
            Asked::RecordPurchase(_) => Kind::RecordPurchase,
            Asked::CreateRule(_) => Kind::CreateRule,
            Asked::UpdateRule(_) => Kind::UpdateRule,
            Asked::SwitchRule(_) => Kind::SwitchRule,
            Asked::ArchiveRule(_) => Kind::ArchiveRule,
            Asked::RestoreRule(_) => Kind::RestoreRule,
            Asked::KeepReader(_) => Kind::KeepReader,
            Asked::ForgetReader(_) => Kind::ForgetReader,
        }
    }

    /// The redemption that this is, or may become: what is about one code and one client.
    pub fn redemption(&self) -> Option<&AskedRedeem> {
        match self {
            Asked::Redeem(asked) => Some(asked),
            Asked::Hold(asked) => Some(&asked.redeem),
            Asked::Confirm(_)
            | Asked::Release(_)
            | Asked::RegisterClub(_)
            | Asked::RegisterClient(_)
            | Asked::CreateCampaign(_)
            | Asked::AddCodes(_)
            | Asked::SwitchCampaign(_)
            | Asked::UpdateCampaign(_)
            | Asked::ArchiveCampaign(_)
            | Asked::RestoreCampaign(_)
            | Asked::GenerateCodes(_)
            | Asked::ArchiveCodes(_)
            | Asked::RestoreCodes(_)
            | Asked::Refund(_)
            | Asked::AddCredential(_)
            | Asked::RevokeCredential(_)
            | Asked::RegisterGroup(_)
            | Asked::TopUp(_)
            | Asked::RefundTopUp(_)
            | Asked::CreditBonus(_)
            | Asked::WriteOffBonus(_)
            | Asked::PayBonus(_)
            | Asked::RefundBonus(_)
            | Asked::RecordSession(_)
            | Asked::RecordPurchase(_)
            | Asked::CreateRule(_)
            | Asked::UpdateRule(_)
            | Asked::SwitchRule(_)
            | Asked::ArchiveRule(_)
            | Asked::RestoreRule(_)
            | Asked::KeepReader(_)
            | Asked::ForgetReader(_) => None,
        }
    }
}

/// Everything that the records so far amount to. Owned by the engine thread.
#[derive(Debug, PartialEq)]
pub struct State {
    position: Position,
    now_ms: u64,
    settings: Settings,
    /// The form of codes as the settings name it; those of the first journals do not.
    recorded_form: Option<RecordedForm>,
    /// The clubs.
    pub clubs: Clubs,
    /// The clients.
    pub clients: Clients,
    /// The campaigns.
    pub campaigns: Campaigns,
    /// The uses that are held.
    pub holds: Holds,
    /// The groups of clients.
    pub groups: Groups,
    /// The rules of top-ups.
    pub rules: Rules,
    /// What was given back of activations, top-ups and payments.
    pub given_back: GivenBack,
    /// The credentials.
    pub credentials: Credentials,
    /// The readers of the journal.
    pub readers: Readers,
    /// The requests that are remembered.
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

    /// The settings that hold.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The form of codes as it is recorded; none in a journal of the first version of the settings, or without records.
    pub fn recorded_form(&self) -> Option<RecordedForm> {
        self.recorded_form
    }

    /// The form in which codes are compared. An organisation keeps the one that it began with.
    pub fn code_form(&self) -> CodeForm {
        match self.recorded_form {
            // An engine does not start on a form that it does not know.
            Some(recorded) => CodeForm::from_number(recorded.form).unwrap_or(CodeForm::CURRENT),
            None if self.position == Position(0) => CodeForm::CURRENT,
            None => CodeForm::CaseFolded,
        }
    }

    /// Whether a request is to be executed at all. What is remembered is the answer to a command of its own kind only: no other is
    /// answered with it.
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

    /// Fetches what some redemptions will need of the request window, of their clients and of their codes' counters into the processor's
    /// cache. Their places in memory have nothing to do with one another: first those that are known are asked for, all at once,
    /// then the clients' rows, which those tell.
    pub fn touch(&self, ahead: impl Iterator<Item = (RequestId, ClientId, Option<CodeAt>)> + Clone) {
        for (request, client, at) in ahead.clone() {
            self.requests.touch(request);
            self.clients.touch(client);
            let counter = at.and_then(|at| self.campaigns.of(at.campaign)?.activations_of.get(at.slot));
            counter.into_iter().for_each(|counter| prefetch(counter));
        }
        ahead.for_each(|(_, client, _)| self.clients.touch_row(client));
    }

    /// Applies the records of a batch, as [`State::apply`] each; what some of them will need of memory is fetched before the first of these
    /// is applied.
    pub fn replay(&mut self, time: impl Into<BatchTime>, records: &[Record]) {
        let time = time.into();
        const AT_ONCE: usize = 64;
        let needs = |record: &Record| {
            // Those that come by the million are fetched for, and no others.
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
            some.iter().for_each(|record| self.apply(time, record));
        }
    }

    /// Decides an admitted request, at the time of the batch that its record is for. Changes nothing.
    #[inline]
    pub fn decide(&self, now_ms: u64, stamp: Stamp, asked: &Asked, lookup: &impl Lookup) -> Record {
        // Returned as it is made, because a record is long to copy. Its refusals have a record of their own.
        if let Asked::Redeem(asked) = asked {
            return redeem::decide(self, now_ms, stamp, asked, lookup);
        }
        self.decide_other(now_ms, stamp, asked, lookup)
    }

    /// The same, of a request that may be refused with a record that says what it was about.
    fn decide_other(&self, now_ms: u64, stamp: Stamp, asked: &Asked, lookup: &impl Lookup) -> Record {
        let mut record = self.record_of(now_ms, stamp, asked, lookup);
        if let Record::RequestRefused(refused) = &mut record {
            refused.subject = self.subject(now_ms, &stamp, asked, lookup);
        }
        record
    }

    #[inline]
    fn record_of(&self, now_ms: u64, stamp: Stamp, asked: &Asked, lookup: &impl Lookup) -> Record {
        match asked {
            Asked::Redeem(asked) => redeem::decide(self, now_ms, stamp, asked, lookup),
            Asked::Hold(asked) => hold::decide(self, now_ms, stamp, asked, lookup),
            Asked::Confirm(asked) => confirm::decide(self, now_ms, stamp, asked),
            Asked::Release(asked) => release::decide(self, now_ms, stamp, asked),
            Asked::RegisterClub(asked) => register_club::decide(self, stamp, asked),
            Asked::RegisterClient(asked) => register_client::decide(self, stamp, asked),
            Asked::CreateCampaign(asked) => create_campaign::decide(self, stamp, asked, lookup),
            Asked::AddCodes(asked) => add_codes::decide(self, stamp, asked, lookup),
            Asked::SwitchCampaign(asked) => switch_campaign::decide(self, stamp, asked),
            Asked::UpdateCampaign(asked) => update_campaign::decide(self, stamp, asked),
            Asked::ArchiveCampaign(campaign) => archive_campaign::decide_archive(self, stamp, *campaign),
            Asked::RestoreCampaign(campaign) => archive_campaign::decide_restore(self, stamp, *campaign, lookup),
            Asked::GenerateCodes(asked) => generate_codes::decide(self, stamp, asked, lookup),
            Asked::ArchiveCodes(asked) => archive_codes::decide_archive(self, stamp, asked, lookup),
            Asked::RestoreCodes(asked) => archive_codes::decide_restore(self, stamp, asked, lookup),
            Asked::Refund(asked) => refund::decide(self, stamp, asked),
            Asked::AddCredential(asked) => credentials::decide_add(self, stamp, asked),
            Asked::RevokeCredential(asked) => credentials::decide_revoke(self, stamp, asked),
            Asked::RegisterGroup(asked) => groups::decide(self, stamp, asked),
            Asked::TopUp(asked) => top_up::decide(self, stamp, asked),
            Asked::RefundTopUp(asked) => refund_top_up::decide(self, stamp, asked),
            Asked::CreditBonus(asked) => bonus::decide_credit(self, stamp, asked),
            Asked::WriteOffBonus(asked) => bonus::decide_write_off(self, stamp, asked),
            Asked::PayBonus(asked) => bonus::decide_payment(self, stamp, asked),
            Asked::RefundBonus(asked) => bonus::decide_refund(self, stamp, asked),
            Asked::RecordSession(asked) => spending::decide_session(self, stamp, asked),
            Asked::RecordPurchase(asked) => spending::decide_purchase(self, stamp, asked),
            Asked::CreateRule(asked) => save_rule::decide_create(self, stamp, asked),
            Asked::UpdateRule(asked) => save_rule::decide_update(self, stamp, asked),
            Asked::SwitchRule(asked) => save_rule::decide_switch(self, stamp, asked),
            Asked::ArchiveRule(rule) => save_rule::decide_archive(self, stamp, *rule),
            Asked::RestoreRule(rule) => save_rule::decide_restore(self, stamp, *rule),
            Asked::KeepReader(asked) => readers::decide_keep(self, stamp, asked),
            Asked::ForgetReader(asked) => readers::decide_forget(self, stamp, asked),
        }
    }

    /// Applies the next record, of a batch of this time. Records name only what exists, as `decide` saw to; one that does not
    /// is without effect, so that a journal from elsewhere cannot stop the engine.
    pub fn apply(&mut self, time: impl Into<BatchTime>, record: &Record) {
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
            Record::CodeHeld(record) => hold::apply(self, record),
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
        if let (Some(stamp), Some(reply)) = (record.stamp(), reply_of(self.position, record)) {
            self.requests.remember(time, stamp, reply, self.position);
        }
    }
}

/// What a request is answered, read off the record that it made; `None` for a record that no request made.
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

/// The record of a refused command whose refusals have no record of their own. [`State::decide`] adds what the request was about.
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
