//! Which records an audit covers.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use scrip_protocol::command::RuleCard;
use scrip_protocol::{CampaignId, ClientId, Position, Record, RequestId, RuleId};

use crate::answer::Exchanges;

/// What an engine had before a run began.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The newest record; the audit of the run begins with the next one.
    pub position: Position,
    /// The rules, which can fire on the top-ups of the run. Empty if the run has no top-ups.
    pub rules: Vec<RuleCard>,
}

/// The part of a journal that concerns one run: its requests, all changes of its campaigns and clients, and all rules.
///
/// Clients and campaigns that nobody used before `after` have neither balances nor uses there, so their sums need no older record.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The newest record before the first that counts.
    pub after: Position,
    /// The requests of the run with their answers.
    pub exchanges: Arc<Exchanges>,
    /// Its campaigns.
    pub campaigns: HashSet<CampaignId>,
    /// The numbers of its clients.
    pub clients: Range<u128>,
    /// Its rules.
    pub rules: HashSet<RuleId>,
}

impl Scope {
    /// Whether a request is one of the run.
    pub(crate) fn has_request(&self, request: RequestId) -> bool {
        self.exchanges.contains_key(&request)
    }

    /// Whether a client is one of the run.
    pub(crate) fn has_client(&self, client: ClientId) -> bool {
        self.clients.contains(&client.0)
    }

    /// Whether a record concerns the run. Every rule does: it can fire on the top-ups of the run. Every revocation does: it ends the
    /// holds of its credential. A release names only its hold: the caller
    /// knows the holds of the run.
    pub(crate) fn covers(&self, record: &Record, is_hold_of_run: impl Fn(Position) -> bool) -> bool {
        let subject = Subject::of(record);
        record.stamp().is_some_and(|stamp| self.has_request(stamp.request))
            || subject.campaign.is_some_and(|campaign| self.campaigns.contains(&campaign))
            || subject.client.is_some_and(|client| self.has_client(client))
            || subject.is_of_all
            || subject.hold.is_some_and(is_hold_of_run)
    }
}

/// The subject of a record. `None` if it has no subject of this kind, or only refuses a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Subject {
    campaign: Option<CampaignId>,
    pub(crate) client: Option<ClientId>,
    /// Whether it concerns every run.
    is_of_all: bool,
    hold: Option<Position>,
}

impl Subject {
    pub(crate) fn of(record: &Record) -> Subject {
        let campaign = |campaign| Subject { campaign: Some(campaign), ..Subject::default() };
        let client = |client| Subject { client: Some(client), ..Subject::default() };
        let both = |campaign, client| Subject { campaign: Some(campaign), client: Some(client), ..Subject::default() };
        match record {
            Record::CampaignCreated(record) => campaign(record.campaign),
            Record::CampaignUpdated(record) => campaign(record.campaign),
            Record::CampaignSwitched(record) => campaign(record.campaign),
            Record::CampaignArchived(record) => campaign(record.campaign),
            Record::CampaignRestored(record) => campaign(record.campaign),
            Record::CodesGenerated(record) => campaign(record.campaign),
            Record::CodesAdded(record) => campaign(record.campaign),
            Record::CodesArchived(record) => campaign(record.campaign),
            Record::CodesRestored(record) => campaign(record.campaign),
            Record::Activation(record) => both(record.campaign, record.client),
            Record::ActivationRefunded(record) => both(record.campaign, record.refunded.client),
            Record::CodeHeld(record) => both(record.campaign, record.client),
            Record::HoldConfirmed(record) => {
                Subject { hold: Some(record.hold), ..both(record.activation.campaign, record.activation.client) }
            }
            Record::HoldReleased(record) => Subject { hold: Some(record.hold), ..Subject::default() },
            Record::ClientRegistered(record) => client(record.client),
            Record::ToppedUp(record) => client(record.client),
            Record::TopUpRefunded(record) => client(record.client),
            Record::BonusChanged(record) => client(record.client),
            Record::Spent(record) => client(record.client),
            Record::RuleSaved(_)
            | Record::RuleSwitched(_)
            | Record::RuleArchived(_)
            | Record::RuleRestored(_)
            | Record::CredentialRevoked(_) => Subject { is_of_all: true, ..Subject::default() },
            Record::RedemptionRefused(_)
            | Record::HoldRefused(_)
            | Record::ConfirmationRefused(_)
            | Record::Refused(_)
            | Record::RequestRefused(_)
            | Record::SettingsApplied(_)
            | Record::SettingsSet(_)
            | Record::ClubRegistered(_)
            | Record::GroupRegistered(_)
            | Record::CredentialAdded(_)
            | Record::ReaderKept(_)
            | Record::ReaderForgotten(_)
            | Record::ReaderRegistered(_) => Subject::default(),
        }
    }
}
