//! The audit: the journal recounted from its first record, in the plainest way, and compared with what everybody was told.
//!
//! Shares no code with the engine's state: what it finds is a second opinion.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use scrip_protocol::batch::Batch;
use scrip_protocol::client::{Client, ClientError, Dial, TailError, Tailing};
use scrip_protocol::command::{
    Activation, CodeHeld, ConfirmOutcome, HoldConfirmed, HoldOutcome, RedeemOutcome, Release, ReleaseOutcome,
    ShowCampaignOutcome, ShowClientOutcome, Terms,
};
use scrip_protocol::{CampaignId, ClientId, Command, Money, Position, Record, RequestId, wire};

/// How many differences are kept; the rest is counted.
const DIFFERENCES_KEPT: usize = 20;

/// What the journal says.
#[derive(Debug, Default)]
pub struct Recount {
    /// The newest record.
    pub position: Position,
    /// How many activations there are.
    pub activations: u64,
    /// The sum of all bonuses, in minor units.
    pub issued: i128,
    /// How many redemptions were refused, by the word of the outcome.
    pub refused: BTreeMap<&'static str, u64>,
    /// The outcome of each redemption, by request id.
    pub outcomes: HashMap<RequestId, RedeemOutcome>,
    /// The outcome of each hold.
    pub hold_outcomes: HashMap<RequestId, HoldOutcome>,
    /// The outcome of each confirmation.
    pub confirm_outcomes: HashMap<RequestId, ConfirmOutcome>,
    /// The outcome of each release.
    pub release_outcomes: HashMap<RequestId, ReleaseOutcome>,
    holds: HashMap<Position, HoldCount>,
    campaigns: HashMap<CampaignId, CampaignCount>,
    balances: HashMap<ClientId, i128>,
    requests: HashSet<RequestId>,
    differences: Differences,
}

#[derive(Debug)]
struct CampaignCount {
    terms: Terms,
    codes: u32,
    used: HashMap<u32, u32>,
    /// The holds of each code that have neither ended nor, at the last look, expired; by expiry.
    open: HashMap<u32, BTreeSet<(u64, Position)>>,
    activations: u64,
    issued: i128,
}

#[derive(Debug)]
struct HoldCount {
    held: CodeHeld,
    ended: bool,
}

/// What does not agree.
#[derive(Debug, Default)]
pub struct Differences {
    kept: Vec<String>,
    count: usize,
}

impl Differences {
    fn note(&mut self, difference: impl FnOnce() -> String) {
        self.count += 1;
        if self.kept.len() < DIFFERENCES_KEPT {
            self.kept.push(difference());
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first of them.
    pub fn first(&self) -> &[String] {
        &self.kept
    }
}

/// Why no audit could be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The journal could not be tailed.
    #[error("the journal cannot be tailed: {0}")]
    Tail(#[from] TailError),
    /// The engine could not be asked.
    #[error("the engine cannot be asked: {0}")]
    Client(#[from] ClientError),
    /// A batch is not made of records.
    #[error("the journal holds what is no record: {0}")]
    Record(#[from] scrip_protocol::batch::BatchError),
}

impl Recount {
    /// Recounts an engine's journal as it is now.
    ///
    /// # Errors
    /// When the journal cannot be tailed.
    pub async fn of(dial: &Dial) -> Result<Recount, AuditError> {
        let mut recount = Recount::default();
        let mut tailing = Tailing::start(dial.clone(), Position(1), false).await?;
        while let Some(bytes) = tailing.next().await? {
            let batch = Batch::parse(&bytes)?;
            for item in batch.records() {
                let (position, record) = item?;
                recount.add(position, batch.time_ms, &record);
            }
        }
        Ok(recount)
    }

    /// Counts one record, of a batch of this time.
    pub fn add(&mut self, position: Position, time_ms: u64, record: &Record) {
        if position.0 != self.position.0 + 1 {
            self.differences.note(|| format!("position {position} follows position {}", self.position));
        }
        self.position = position;
        if let Some(stamp) = record.stamp()
            && !self.requests.insert(stamp.request)
        {
            self.differences.note(|| format!("position {position}: request {} has a second record", stamp.request));
        }
        match record {
            Record::CampaignCreated(record) => {
                let count = CampaignCount {
                    terms: record.terms.clone(),
                    codes: record.codes.len() as u32,
                    used: HashMap::new(),
                    open: HashMap::new(),
                    activations: 0,
                    issued: 0,
                };
                self.campaigns.insert(record.campaign, count);
            }
            Record::CodesAdded(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.codes += record.codes.len() as u32;
                }
            }
            Record::CampaignSwitched(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.terms.active = record.active;
                }
            }
            Record::Activation(record) => {
                self.outcomes.insert(record.stamp.request, record.outcome(position));
                self.activation(position, time_ms, record);
                let campaign = self.campaigns.get(&record.campaign);
                if campaign.is_some_and(|campaign| !campaign.terms.active || record.amount != campaign.terms.amount) {
                    self.differences.note(|| {
                        format!("position {position}: this activation is not on the terms of campaign {}", record.campaign)
                    });
                }
            }
            Record::CodeHeld(record) => self.hold(position, time_ms, record),
            Record::HoldRefused(record) => {
                self.hold_outcomes.insert(record.stamp.request, record.outcome);
            }
            Record::HoldConfirmed(record) => self.confirmation(position, time_ms, record),
            Record::ConfirmationRefused(record) => {
                self.confirm_outcomes.insert(record.stamp.request, record.outcome);
            }
            Record::HoldReleased(record) => {
                self.release_outcomes.insert(record.stamp.request, ReleaseOutcome::Released);
                self.end_hold(position, record.hold);
            }
            Record::Refused(record) if record.kind == Release::KIND as u16 => {
                match wire::decode(Release::KIND.word(), &record.reply) {
                    Ok(outcome) => {
                        self.release_outcomes.insert(record.stamp.request, outcome);
                    }
                    Err(why) => self.differences.note(|| format!("position {position}: {why}")),
                }
            }
            Record::RedemptionRefused(record) => {
                *self.refused.entry(record.outcome.word()).or_default() += 1;
                self.outcomes.insert(record.stamp.request, record.outcome);
            }
            Record::SettingsApplied(_) | Record::Refused(_) | Record::ClubRegistered(_) | Record::ClientRegistered(_) => {}
        }
    }

    fn hold(&mut self, position: Position, time_ms: u64, record: &CodeHeld) {
        self.hold_outcomes.insert(record.stamp.request, record.outcome(position));
        self.holds.insert(position, HoldCount { held: record.clone(), ended: false });
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            if !campaign.terms.active || record.amount != campaign.terms.amount {
                self.differences
                    .note(|| format!("position {position}: this hold is not on the terms of campaign {}", record.campaign));
            }
            campaign.open.entry(record.slot).or_default().insert((record.expires_ms, position));
        }
        self.check_cap(position, time_ms, record.campaign, record.slot);
    }

    fn confirmation(&mut self, position: Position, time_ms: u64, record: &HoldConfirmed) {
        let activation = &record.activation;
        self.confirm_outcomes.insert(activation.stamp.request, record.outcome(position));
        self.end_hold(position, record.hold);
        if let Some(HoldCount { held, .. }) = self.holds.get(&record.hold) {
            let promised = (held.client, held.club, held.campaign, held.slot, held.amount);
            let done = (activation.client, activation.club, activation.campaign, activation.slot, activation.amount);
            if promised != done {
                self.differences.note(|| format!("position {position}: hold {} was {promised:?}, not {done:?}", record.hold));
            }
            let active = self.campaigns.get(&held.campaign).is_some_and(|campaign| campaign.terms.active);
            if held.expires_ms <= time_ms && !active {
                self.differences
                    .note(|| format!("position {position}: hold {} had expired, and its campaign was off", record.hold));
            }
        }
        self.activation(position, time_ms, activation);
    }

    fn end_hold(&mut self, position: Position, hold: Position) {
        let Some(found) = self.holds.get_mut(&hold) else {
            return self.differences.note(|| format!("position {position}: there is no hold {hold}"));
        };
        if std::mem::replace(&mut found.ended, true) {
            self.differences.note(|| format!("position {position}: hold {hold} had ended before"));
        }
        let open = self.campaigns.get_mut(&found.held.campaign).and_then(|campaign| campaign.open.get_mut(&found.held.slot));
        if let Some(open) = open {
            open.remove(&(found.held.expires_ms, hold));
        }
    }

    /// Activations and open holds of a code are never more than its cap.
    fn check_cap(&mut self, position: Position, time_ms: u64, campaign: CampaignId, slot: u32) {
        let Some(count) = self.campaigns.get_mut(&campaign) else {
            return self.differences.note(|| format!("position {position}: there is no campaign {campaign}"));
        };
        let mut uses = u64::from(count.used.get(&slot).copied().unwrap_or(0));
        if let Some(open) = count.open.get_mut(&slot) {
            while open.first().is_some_and(|(expires_ms, _)| *expires_ms <= time_ms) {
                open.pop_first();
            }
            uses += open.len() as u64;
        }
        if count.terms.activations_per_code_max.is_some_and(|max| uses > u64::from(max)) {
            self.differences.note(|| format!("position {position}: code {slot} of campaign {campaign} is over its cap"));
        }
        if slot >= count.codes {
            self.differences.note(|| format!("position {position}: campaign {campaign} has no code {slot}"));
        }
    }

    fn activation(&mut self, position: Position, time_ms: u64, record: &Activation) {
        self.activations += 1;
        self.issued += i128::from(record.amount.0);
        let balance = self.balances.entry(record.client).or_default();
        *balance += i128::from(record.amount.0);
        if *balance != i128::from(record.balance.0) {
            self.differences.note(|| {
                format!(
                    "position {position}: the balance of client {} is {balance}, and {} is recorded",
                    record.client, record.balance.0
                )
            });
        }
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            campaign.activations += 1;
            campaign.issued += i128::from(record.amount.0);
            *campaign.used.entry(record.slot).or_default() += 1;
        }
        self.check_cap(position, time_ms, record.campaign, record.slot);
    }

    /// Compares with what callers were answered: every answer must stand in the journal, just so.
    pub fn compare_answers(&mut self, answers: &HashMap<RequestId, RedeemOutcome>) {
        for (request, answer) in answers {
            match self.outcomes.get(request) {
                Some(outcome) if outcome == answer => {}
                Some(outcome) => {
                    self.differences.note(|| format!("request {request} was answered {answer:?}, and {outcome:?} is recorded"))
                }
                None => self.differences.note(|| format!("request {request} was answered {answer:?}, and nothing is recorded")),
            }
        }
    }

    /// Compares with what the engine says of every campaign, and of every client or so many of them.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn compare_engine(&mut self, client: &Client, clients_max: usize) -> Result<(), AuditError> {
        for (id, counted) in &self.campaigns {
            let ShowCampaignOutcome::Campaign(card) = client.show_campaign(*id).await? else {
                self.differences.note(|| format!("the engine does not know campaign {id}"));
                continue;
            };
            let told = (card.codes, card.codes_activated as usize, card.activations, i128::from(card.issued.0));
            let found = (counted.codes, counted.used.len(), counted.activations, counted.issued);
            if told != found {
                self.differences.note(|| {
                    format!(
                        "campaign {id}: the engine says {told:?}, the journal {found:?} (codes, activated, activations, issued)"
                    )
                });
            }
        }
        for (id, balance) in self.balances.iter().take(clients_max) {
            let told = match client.show_client(*id).await? {
                ShowClientOutcome::Client(card) => card.balance,
                ShowClientOutcome::UnknownClient => Money(0),
            };
            if i128::from(told.0) != *balance {
                self.differences.note(|| format!("client {id}: the engine says {}, the journal {balance}", told.0));
            }
        }
        Ok(())
    }

    /// How many clients have received a bonus.
    pub fn clients(&self) -> usize {
        self.balances.len()
    }

    /// Activations of a campaign.
    pub fn activations_of(&self, campaign: CampaignId) -> u64 {
        self.campaigns.get(&campaign).map_or(0, |counted| counted.activations)
    }

    /// How often each used code of a campaign was activated, by slot.
    pub fn uses_of(&self, campaign: CampaignId) -> HashMap<u32, u32> {
        self.campaigns.get(&campaign).map(|counted| counted.used.clone()).unwrap_or_default()
    }

    /// What did not agree so far.
    pub fn differences(&self) -> &Differences {
        &self.differences
    }
}
