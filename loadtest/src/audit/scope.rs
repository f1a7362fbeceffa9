//! Which records an audit covers.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use scrip_protocol::command::RuleCard;
use scrip_protocol::record::{AccountRecord, CampaignRecord, ClientRecord, CredentialRecord, RecordGroup, RedemptionRecord};
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
        let of_all = Subject { is_of_all: true, ..Subject::default() };
        match record.by_group() {
            RecordGroup::Campaign(record) => campaign(match record {
                CampaignRecord::CampaignCreated(record) => record.campaign,
                CampaignRecord::CampaignUpdated(record) => record.campaign,
                CampaignRecord::CampaignSwitched(record) => record.campaign,
                CampaignRecord::CampaignArchived(record) => record.campaign,
                CampaignRecord::CampaignRestored(record) => record.campaign,
                CampaignRecord::CodesGenerated(record) => record.campaign,
                CampaignRecord::CodesAdded(record) => record.campaign,
                CampaignRecord::CodesArchived(record) => record.campaign,
                CampaignRecord::CodesRestored(record) => record.campaign,
            }),
            RecordGroup::Redemption(record) => match record {
                RedemptionRecord::Activation(record) => both(record.campaign, record.client),
                RedemptionRecord::ActivationRefunded(record) => both(record.campaign, record.refunded.client),
                RedemptionRecord::CodeHeld(record) => both(record.campaign, record.client),
                RedemptionRecord::HoldConfirmed(record) => {
                    Subject { hold: Some(record.hold), ..both(record.activation.campaign, record.activation.client) }
                }
                RedemptionRecord::HoldReleased(record) => Subject { hold: Some(record.hold), ..Subject::default() },
            },
            RecordGroup::Client(ClientRecord::ClientRegistered(record)) => client(record.client),
            RecordGroup::Account(record) => client(match record {
                AccountRecord::ToppedUp(record) => record.client,
                AccountRecord::TopUpRefunded(record) => record.client,
                AccountRecord::BonusChanged(record) => record.client,
                AccountRecord::Spent(record) => record.client,
            }),
            RecordGroup::Rule(_) | RecordGroup::Credential(CredentialRecord::CredentialRevoked(_)) => of_all,
            RecordGroup::Credential(CredentialRecord::CredentialAdded(_))
            | RecordGroup::Refusal(_)
            | RecordGroup::Settings(_)
            | RecordGroup::Directory(_)
            | RecordGroup::Reader(_) => Subject::default(),
        }
    }
}
