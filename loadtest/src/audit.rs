//! The audit: the journal recounted from its first record, in the plainest way, and compared with what everybody was told.
//!
//! Shares no code with the engine's state: what it finds is a second opinion.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use scrip_protocol::batch::Batch;
use scrip_protocol::client::{Client, ClientError, Dial, TailError, Tailing};
use scrip_protocol::command::{
    Activation, ActivationRefunded, AddCodesOutcome, CodeHeld, ConfirmOutcome, HoldConfirmed, HoldOutcome, RedeemOutcome,
    Refunded, Refused, ReleaseOutcome, ShowCampaignOutcome, ShowClientOutcome, Terms,
};
use scrip_protocol::{CampaignId, ClientId, Kind, Money, Position, Record, RequestId, wire};

use crate::caller::Told;
use crate::difference::{CampaignSums, Difference, Differences, Promise};
use crate::drive::{Came, Outcomes};
use crate::mix::Shape;

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
    /// The outcome of each adding of codes, by request id.
    pub additions: HashMap<RequestId, AddCodesOutcome>,
    /// The outcome of each hold, by request id.
    pub hold_outcomes: HashMap<RequestId, HoldOutcome>,
    /// The outcome of each confirmation, by request id.
    pub confirm_outcomes: HashMap<RequestId, ConfirmOutcome>,
    /// The outcome of each release, by request id.
    pub release_outcomes: HashMap<RequestId, ReleaseOutcome>,
    holds: HashMap<Position, HoldCount>,
    campaigns: HashMap<CampaignId, CampaignCount>,
    balances: HashMap<ClientId, i128>,
    requests: HashSet<RequestId>,
    refunded: HashSet<Position>,
    differences: Differences,
}

#[derive(Debug)]
struct CampaignCount {
    terms: Terms,
    codes: u32,
    used: HashMap<u32, u32>,
    /// The holds of each code that have neither ended nor, at the last look, expired; by expiry.
    open: HashMap<u32, BTreeSet<(u64, Position)>>,
    /// Whether the campaign is archived.
    archived: bool,
    /// The codes that stayed archived when it was restored.
    left_over: HashSet<u32>,
    /// The codes that were archived by themselves.
    revoked: HashSet<u32>,
    activations: u64,
    issued: i128,
}

#[derive(Debug)]
struct HoldCount {
    held: CodeHeld,
    ended: bool,
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
            self.differences.note(Difference::PositionsBroken { position, after: self.position });
        }
        self.position = position;
        if let Some(stamp) = record.stamp()
            && !self.requests.insert(stamp.request)
        {
            self.differences.note(Difference::SecondRecord { position, request: stamp.request });
        }
        match record {
            Record::CampaignCreated(record) => {
                let count = CampaignCount {
                    terms: record.terms.clone(),
                    codes: record.codes.len() as u32,
                    used: HashMap::new(),
                    open: HashMap::new(),
                    archived: false,
                    left_over: HashSet::new(),
                    revoked: HashSet::new(),
                    activations: 0,
                    issued: 0,
                };
                self.campaigns.insert(record.campaign, count);
            }
            Record::CodesGenerated(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.codes += record.codes.len() as u32;
                }
            }
            Record::CampaignUpdated(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.terms = record.terms.clone();
                }
            }
            Record::CampaignArchived(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.archived = true;
                }
            }
            Record::CampaignRestored(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.archived = false;
                    campaign.left_over = record.conflicts.iter().copied().collect();
                }
            }
            Record::CodesArchived(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.revoked.extend(&record.slots);
                }
            }
            Record::CodesRestored(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    record.slots.iter().for_each(|slot| {
                        campaign.revoked.remove(slot);
                        campaign.left_over.remove(slot);
                    });
                }
            }
            Record::ActivationRefunded(record) => self.refund(position, record),
            Record::CodesAdded(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.codes += record.codes.len() as u32;
                }
                self.additions.insert(record.stamp.request, record.outcome());
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
                let wrong = |campaign: &CampaignCount| {
                    let archived =
                        campaign.archived || campaign.revoked.contains(&record.slot) || campaign.left_over.contains(&record.slot);
                    archived || !campaign.terms.active || record.amount != campaign.terms.amount
                };
                if campaign.is_some_and(wrong) {
                    self.differences.note(Difference::Terms { position, campaign: record.campaign });
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
            Record::RedemptionRefused(record) => {
                *self.refused.entry(record.outcome.word()).or_default() += 1;
                self.outcomes.insert(record.stamp.request, record.outcome);
            }
            Record::Refused(record) => self.refusal(position, record),
            Record::SettingsApplied(_)
            | Record::ClubRegistered(_)
            | Record::ClientRegistered(_)
            | Record::CredentialAdded(_)
            | Record::CredentialRevoked(_) => {}
        }
    }

    fn hold(&mut self, position: Position, time_ms: u64, record: &CodeHeld) {
        self.hold_outcomes.insert(record.stamp.request, record.outcome(position));
        self.holds.insert(position, HoldCount { held: record.clone(), ended: false });
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            if !campaign.terms.active || record.amount != campaign.terms.amount {
                self.differences.note(Difference::HoldTerms { position, campaign: record.campaign });
            }
            campaign.open.entry(record.slot).or_default().insert((record.expires_ms, position));
        }
        self.check_cap(position, time_ms, record.campaign, record.slot);
    }

    fn confirmation(&mut self, position: Position, time_ms: u64, record: &HoldConfirmed) {
        let (hold, activation) = (record.hold, &record.activation);
        self.confirm_outcomes.insert(activation.stamp.request, record.outcome(position));
        self.end_hold(position, hold);
        if let Some(HoldCount { held, .. }) = self.holds.get(&hold) {
            let promised =
                Promise { client: held.client, club: held.club, campaign: held.campaign, slot: held.slot, amount: held.amount };
            let done = Promise {
                client: activation.client,
                club: activation.club,
                campaign: activation.campaign,
                slot: activation.slot,
                amount: activation.amount,
            };
            if promised != done {
                self.differences.note(Difference::HoldBroken { position, hold, promised: promised.into(), done: done.into() });
            }
            let active = self.campaigns.get(&held.campaign).is_some_and(|campaign| campaign.terms.active);
            if held.expires_ms <= time_ms && !active {
                self.differences.note(Difference::HoldExpired { position, hold });
            }
        }
        self.activation(position, time_ms, activation);
    }

    fn end_hold(&mut self, position: Position, hold: Position) {
        let Some(found) = self.holds.get_mut(&hold) else {
            return self.differences.note(Difference::NoHold { position, hold });
        };
        if std::mem::replace(&mut found.ended, true) {
            self.differences.note(Difference::HoldEnded { position, hold });
        }
        let open = self.campaigns.get_mut(&found.held.campaign).and_then(|campaign| campaign.open.get_mut(&found.held.slot));
        if let Some(open) = open {
            open.remove(&(found.held.expires_ms, hold));
        }
    }

    /// Activations and open holds of a code are never more than its cap.
    fn check_cap(&mut self, position: Position, time_ms: u64, campaign: CampaignId, slot: u32) {
        let Some(count) = self.campaigns.get_mut(&campaign) else {
            return self.differences.note(Difference::NoCampaign { position, campaign });
        };
        let mut uses = u64::from(count.used.get(&slot).copied().unwrap_or(0));
        if let Some(open) = count.open.get_mut(&slot) {
            while open.first().is_some_and(|(expires_ms, _)| *expires_ms <= time_ms) {
                open.pop_first();
            }
            uses += open.len() as u64;
        }
        if let Some(cap) = count.terms.activations_per_code_max
            && uses > u64::from(cap)
        {
            self.differences.note(Difference::OverCap { position, campaign, slot, uses, cap });
        }
        if slot >= count.codes {
            self.differences.note(Difference::NoCode { position, campaign, slot });
        }
    }

    fn refund(&mut self, position: Position, record: &ActivationRefunded) {
        let Refunded { client, taken, balance: recorded, .. } = record.refunded;
        if record.activation >= position || !self.refunded.insert(record.activation) {
            self.differences.note(Difference::SecondRefund { position, activation: record.activation });
        }
        self.issued -= i128::from(taken.0);
        let balance = self.balances.entry(client).or_default();
        *balance -= i128::from(taken.0);
        if *balance != i128::from(recorded.0) {
            let recounted = *balance;
            self.differences.note(Difference::Balance { position, client, recorded, recounted });
        }
        let Some(count) = self.campaigns.get_mut(&record.campaign) else {
            return self.differences.note(Difference::NoCampaign { position, campaign: record.campaign });
        };
        match count.used.get_mut(&record.slot) {
            Some(used) if *used > 1 => *used -= 1,
            Some(_) => {
                count.used.remove(&record.slot);
            }
            None => {
                let activation = record.activation;
                self.differences.note(Difference::SecondRefund { position, activation });
            }
        }
        count.activations -= 1;
        count.issued -= i128::from(taken.0);
        self.activations -= 1;
    }

    fn activation(&mut self, position: Position, time_ms: u64, record: &Activation) {
        self.activations += 1;
        self.issued += i128::from(record.amount.0);
        let balance = self.balances.entry(record.client).or_default();
        *balance += i128::from(record.amount.0);
        if *balance != i128::from(record.balance.0) {
            let recounted = *balance;
            self.differences.note(Difference::Balance { position, client: record.client, recorded: record.balance, recounted });
        }
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            campaign.activations += 1;
            campaign.issued += i128::from(record.amount.0);
            *campaign.used.entry(record.slot).or_default() += 1;
        }
        self.check_cap(position, time_ms, record.campaign, record.slot);
    }

    fn refusal(&mut self, position: Position, record: &Refused) {
        let (request, reply) = (record.stamp.request, &record.reply);
        let read = if record.kind == Kind::AddCodes as u16 {
            wire::decode(Kind::AddCodes.word(), reply).map(|outcome| {
                self.additions.insert(request, outcome);
            })
        } else if record.kind == Kind::Release as u16 {
            wire::decode(Kind::Release.word(), reply).map(|outcome| {
                self.release_outcomes.insert(request, outcome);
            })
        } else {
            Ok(())
        };
        if let Err(cause) = read {
            self.differences.note(Difference::ReplyUnreadable { position, cause });
        }
    }

    /// What a request's record says that it was told.
    pub(crate) fn recorded(&self, request: RequestId) -> Option<Told> {
        let redeemed = self.outcomes.get(&request).map(|outcome| Told::Redeem(*outcome));
        redeemed
            .or_else(|| self.hold_outcomes.get(&request).map(|outcome| Told::Hold(*outcome)))
            .or_else(|| self.confirm_outcomes.get(&request).map(|outcome| Told::Confirm(*outcome)))
            .or_else(|| self.release_outcomes.get(&request).map(|outcome| Told::Release(*outcome)))
            .or_else(|| self.additions.get(&request).map(|outcome| Told::Codes(Box::new(outcome.clone()))))
    }

    /// Compares with what callers were answered: every answer must stand in the journal, just so.
    pub fn compare_answers(&mut self, answers: &HashMap<RequestId, RedeemOutcome>) {
        for (request, answer) in answers {
            let told = Told::Redeem(*answer);
            self.compare_answer(*request, &told);
        }
    }

    fn compare_answer(&mut self, request: RequestId, told: &Told) {
        match self.recorded(request) {
            Some(recorded) if recorded == *told => {}
            Some(recorded) => {
                let (told, recorded) = (Box::new(told.clone()), Box::new(recorded));
                self.differences.note(Difference::AnsweredOtherwise { request, told, recorded });
            }
            None => self.differences.note(Difference::NoRecord { request, told: Box::new(told.clone()) }),
        }
    }

    /// Compares with what came of every request of a run: each answer must stand in the journal, just so; each record must have been
    /// answered; and each answer must be one that its request can have.
    pub fn compare_run(&mut self, outcomes: &Outcomes) {
        for (request, came) in outcomes {
            self.compare_came(*request, came);
        }
    }

    fn compare_came(&mut self, request: RequestId, came: &Came) {
        if let (Some(told), Some(otherwise)) = (&came.told, &came.otherwise) {
            let (told, otherwise) = (Box::new(told.clone()), otherwise.clone());
            self.differences.note(Difference::RepeatUnlike { request, told, otherwise });
        }
        let has_record = self.requests.contains(&request);
        match &came.told {
            Some(told @ (Told::Redeem(_) | Told::Hold(_) | Told::Confirm(_) | Told::Release(_) | Told::Codes(_))) => {
                self.compare_answer(request, told)
            }
            Some(Told::Checked { .. } | Told::TooManyChecked | Told::Refused(_)) if has_record => {
                self.differences.note(Difference::RefusedWithRecord { request });
            }
            Some(Told::Busy { uncertain: false }) if has_record => {
                self.differences.note(Difference::RefusedWithRecord { request });
            }
            None if has_record => self.differences.note(Difference::AnswerMissing { request }),
            Some(Told::Checked { .. } | Told::TooManyChecked | Told::Refused(_) | Told::Busy { .. }) | None => {}
        }
        if let Some(told) = &came.told
            && !may_be_told(came.shape, told)
        {
            self.differences.note(Difference::Unexpected { request, shape: came.shape, told: Box::new(told.clone()) });
        }
    }

    /// Compares the sums of a campaign that nobody else uses with what came of a run: its activations are the answers that say so, and
    /// a code with a cap was used as often as it was tried, or as its cap allows.
    pub fn compare_campaign(&mut self, campaign: CampaignId, answered: u64, tried: Option<u64>) {
        let Some(count) = self.campaigns.get(&campaign) else {
            let position = self.position;
            return self.differences.note(Difference::NoCampaign { position, campaign });
        };
        let recorded = count.activations;
        if recorded != answered {
            self.differences.note(Difference::Activations { campaign, answered, recorded });
        }
        if let (Some(tried), Some(cap)) = (tried, count.terms.activations_per_code_max) {
            let expected = tried.min(cap.into());
            if recorded != expected {
                self.differences.note(Difference::CapNotMet { campaign, expected, recorded });
            }
        }
    }

    /// Compares with what the engine says of every campaign, and of every client or so many of them.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn compare_engine(&mut self, client: &Client, clients_max: usize) -> Result<(), AuditError> {
        let campaigns: Vec<_> = self.campaigns.keys().copied().collect();
        let clients: Vec<_> = self.balances.keys().take(clients_max).copied().collect();
        self.compare_engine_on(client, &campaigns, &clients).await
    }

    /// Compares with what the engine says of some campaigns and clients: of those that nobody else uses meanwhile.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn compare_engine_on(
        &mut self,
        client: &Client,
        campaigns: &[CampaignId],
        clients: &[ClientId],
    ) -> Result<(), AuditError> {
        for campaign in campaigns {
            let ShowCampaignOutcome::Campaign(card) = client.show_campaign(*campaign).await? else {
                self.differences.note(Difference::EngineLacksCampaign { campaign: *campaign });
                continue;
            };
            let engine = CampaignSums {
                codes: card.codes,
                codes_activated: card.codes_activated,
                activations: card.activations,
                issued: card.issued.0.into(),
            };
            let journal = self.sums_of(*campaign);
            if engine != journal {
                self.differences.note(Difference::CampaignSums { campaign: *campaign, engine, journal });
            }
        }
        for id in clients {
            let engine = match client.show_client(*id).await? {
                ShowClientOutcome::Client(card) => card.balance,
                ShowClientOutcome::UnknownClient => Money(0),
            };
            let journal = self.balances.get(id).copied().unwrap_or(0);
            if i128::from(engine.0) != journal {
                self.differences.note(Difference::EngineBalance { client: *id, engine, journal });
            }
        }
        Ok(())
    }

    fn sums_of(&self, campaign: CampaignId) -> CampaignSums {
        self.campaigns.get(&campaign).map_or(CampaignSums::default(), |count| CampaignSums {
            codes: count.codes,
            codes_activated: count.used.len() as u32,
            activations: count.activations,
            issued: count.issued,
        })
    }

    /// How many clients have received a bonus.
    pub fn clients(&self) -> usize {
        self.balances.len()
    }

    /// The clients who have received a bonus and whose number is in a range.
    pub fn clients_in(&self, range: std::ops::Range<u128>) -> Vec<ClientId> {
        self.balances.keys().filter(|client| range.contains(&client.0)).copied().collect()
    }

    /// How many of some requests have a record.
    pub fn recorded_of<'a>(&self, requests: impl Iterator<Item = &'a RequestId>) -> u64 {
        requests.filter(|request| self.requests.contains(request)).count() as u64
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

/// Whether a request of a shape can be told this.
fn may_be_told(shape: Shape, told: &Told) -> bool {
    match told {
        Told::Busy { .. } => true,
        Told::Refused(_) => shape == Shape::Any,
        Told::Redeem(outcome) => match shape {
            Shape::Distinct | Shape::Hot => matches!(outcome, RedeemOutcome::Redeemed(_)),
            Shape::Capped => matches!(outcome, RedeemOutcome::Redeemed(_) | RedeemOutcome::CodeExhausted),
            Shape::Miss => *outcome == RedeemOutcome::UnknownCode,
            Shape::Spent => *outcome == RedeemOutcome::CodeExhausted,
            Shape::Any => true,
            Shape::Hold | Shape::Confirm | Shape::Release | Shape::Check | Shape::Import => false,
        },
        Told::Hold(outcome) => shape == Shape::Hold && matches!(outcome, HoldOutcome::Held(_)),
        Told::Confirm(outcome) => shape == Shape::Confirm && matches!(outcome, ConfirmOutcome::Confirmed(_)),
        Told::Release(outcome) => shape == Shape::Release && *outcome == ReleaseOutcome::Released,
        Told::Codes(outcome) => shape == Shape::Import && matches!(**outcome, AddCodesOutcome::Added(_)),
        Told::Checked { .. } => shape == Shape::Check,
        Told::TooManyChecked => false,
    }
}
