//! The audit: the journal recounted from its first record, in the plainest way, and compared with what everybody was told.
//!
//! Shares no code with the engine's state: what it finds is a second opinion. Campaigns are counted in `count.rs`, accounts in `accounts.rs`,
//! rules in `firings.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use scrip_client::{Client, ClientError, Dial, TailError, Tailing};
use scrip_protocol::batch::Batch;
use scrip_protocol::command::{
    Activation, ActivationRefunded, AddCodesOutcome, CodeHeld, ConfirmOutcome, HoldConfirmed, HoldOutcome, RedeemOutcome,
    Refunded, ReleaseOutcome, ShowCampaignOutcome, ShowClientOutcome, ShowRule, ShowRuleOutcome, TopUpOutcome,
};
use scrip_protocol::{CampaignId, ClientId, Kind, Money, Position, Record, RequestId, RuleId, wire};

use crate::accounts::Ledger;
use crate::caller::Told;
use crate::count::{CampaignCount, Use};
use crate::difference::{AccountSums, CampaignSums, Difference, Differences, Promise, RuleSums};
use crate::drive::{Came, Outcomes};
use crate::firings::Firings;
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
    /// The outcome of each top-up, by request id.
    pub top_up_outcomes: HashMap<RequestId, TopUpOutcome>,
    holds: HashMap<Position, HoldCount>,
    campaigns: HashMap<CampaignId, CampaignCount>,
    ledger: Ledger,
    firings: Firings,
    /// The rules of the run; the engine may have others, which fire on its top-ups as well.
    run_rules: HashSet<RuleId>,
    /// How many of the run's rules fired on a top-up, and how many failed, where any did.
    run_firings: HashMap<RequestId, (u32, u32)>,
    requests: HashSet<RequestId>,
    /// The activations that were not refunded.
    activated: HashMap<Position, Credit>,
    differences: Differences,
}

#[derive(Debug)]
struct HoldCount {
    held: CodeHeld,
    ended: bool,
}

/// An activation that may be refunded.
#[derive(Debug)]
struct Credit {
    of: Use,
    amount: Money,
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
        Recount::of_run(dial, &[]).await
    }

    /// The same, for a run that has rules of its own ([`Recount::compare_firings`]).
    ///
    /// # Errors
    /// When the journal cannot be tailed.
    pub async fn of_run(dial: &Dial, rules: &[RuleId]) -> Result<Recount, AuditError> {
        let mut recount = Recount { run_rules: rules.iter().copied().collect(), ..Recount::default() };
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
                let count = CampaignCount::new(record.terms.clone(), record.codes.len() as u32);
                self.campaigns.insert(record.campaign, count);
            }
            Record::CodesGenerated(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.codes += record.codes.len() as u32;
                }
            }
            Record::CampaignUpdated(record) => {
                if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
                    campaign.change(record.terms.clone(), position);
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
                self.activation(position, record);
                self.check_limits(position, time_ms, use_of(record));
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
            Record::Refused(record) => self.refusal(position, record.stamp.request, record.kind, &record.reply),
            Record::RequestRefused(record) => self.refusal(position, record.stamp.request, record.kind, &record.reply),
            Record::ClientRegistered(record) => self.ledger.register(record.client),
            Record::ToppedUp(record) => {
                self.top_up_outcomes.insert(record.stamp.request, record.outcome(position));
                self.ledger.topped_up(position, record, &mut self.differences);
                self.firings.topped_up(position, record, &mut self.differences);
                let fired = record.fired.iter().filter(|fired| self.run_rules.contains(&fired.rule)).count() as u32;
                let failed = record.failed.iter().filter(|failed| self.run_rules.contains(&failed.rule)).count() as u32;
                if (fired, failed) != (0, 0) {
                    self.run_firings.insert(record.stamp.request, (fired, failed));
                }
            }
            Record::TopUpRefunded(record) => self.ledger.top_up_refunded(position, record, &mut self.differences),
            Record::BonusChanged(record) => self.ledger.bonus_changed(position, record, &mut self.differences),
            Record::Spent(record) => self.ledger.spent(position, record, &mut self.differences),
            Record::RuleSaved(record) => self.firings.saved(record.rule, &record.terms),
            Record::RuleSwitched(record) => self.firings.switched(record.rule, record.active),
            Record::RuleArchived(record) => self.firings.archived(record.rule),
            Record::RuleRestored(record) => self.firings.restored(record.rule),
            Record::SettingsApplied(_)
            | Record::SettingsSet(_)
            | Record::ClubRegistered(_)
            | Record::GroupRegistered(_)
            | Record::CredentialAdded(_)
            | Record::CredentialRevoked(_)
            | Record::ReaderKept(_)
            | Record::ReaderForgotten(_)
            | Record::ReaderRegistered(_) => {}
        }
    }

    fn hold(&mut self, position: Position, time_ms: u64, record: &CodeHeld) {
        self.hold_outcomes.insert(record.stamp.request, record.outcome(position));
        self.holds.insert(position, HoldCount { held: record.clone(), ended: false });
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            if !campaign.terms.active || record.amount != campaign.terms.amount {
                self.differences.note(Difference::HoldTerms { position, campaign: record.campaign });
            }
            campaign.hold(position, record);
        }
        self.check_limits(position, time_ms, Use { campaign: record.campaign, slot: record.slot, client: record.client });
    }

    fn confirmation(&mut self, position: Position, time_ms: u64, record: &HoldConfirmed) {
        let (hold, activation) = (record.hold, &record.activation);
        self.confirm_outcomes.insert(activation.stamp.request, record.outcome(position));
        self.end_hold(position, hold);
        let mut is_late = false;
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
            is_late = held.expires_ms <= time_ms;
            if is_late && !active {
                self.differences.note(Difference::HoldExpired { position, hold });
            }
        }
        self.activation(position, activation);
        // Within its time it takes nothing that was not held already.
        if is_late {
            self.check_limits(position, time_ms, use_of(activation));
        }
    }

    fn end_hold(&mut self, position: Position, hold: Position) {
        let Some(found) = self.holds.get_mut(&hold) else {
            return self.differences.note(Difference::NoHold { position, hold });
        };
        if std::mem::replace(&mut found.ended, true) {
            self.differences.note(Difference::HoldEnded { position, hold });
        }
        if let Some(campaign) = self.campaigns.get_mut(&found.held.campaign) {
            campaign.end_hold(hold, &found.held);
        }
    }

    /// What is new is of a code that there is, and within every limit.
    fn check_limits(&mut self, position: Position, time_ms: u64, of: Use) {
        let Some(count) = self.campaigns.get_mut(&of.campaign) else {
            return self.differences.note(Difference::NoCampaign { position, campaign: of.campaign });
        };
        count.check_limits(position, time_ms, of, &mut self.differences);
        if of.slot >= count.codes {
            self.differences.note(Difference::NoCode { position, campaign: of.campaign, slot: of.slot });
        }
    }

    fn refund(&mut self, position: Position, record: &ActivationRefunded) {
        let Refunded { client, taken, uncollected, balance: recorded } = record.refunded;
        let activation = record.activation;
        self.ledger.activation_refunded(position, &record.refunded, &mut self.differences);
        self.issued -= i128::from(taken.0);
        let Some(Credit { of, amount }) = self.activated.remove(&activation) else {
            return self.differences.note(Difference::SecondRefund { position, activation });
        };
        let is_its = (of.client, of.campaign, of.slot) == (client, record.campaign, record.slot);
        let is_whole = taken.0 >= 0 && uncollected.0 >= 0 && taken.checked_add(uncollected) == Some(amount);
        // What is there is taken: something is missing only where nothing is left.
        if !is_its || !is_whole || (uncollected.0 > 0 && recorded.0 != 0) {
            self.differences.note(Difference::RefundUnlike { position, activation });
        }
        self.activations -= 1;
        if let Some(count) = self.campaigns.get_mut(&of.campaign) {
            count.refund(activation, of, &record.refunded);
        }
    }

    fn activation(&mut self, position: Position, record: &Activation) {
        self.activations += 1;
        self.issued += i128::from(record.amount.0);
        self.ledger.activation(position, record, &mut self.differences);
        self.activated.insert(position, Credit { of: use_of(record), amount: record.amount });
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            campaign.activate(use_of(record), record.amount.0);
        }
    }

    fn refusal(&mut self, position: Position, request: RequestId, kind: u16, reply: &[u8]) {
        let read = if kind == Kind::AddCodes as u16 {
            wire::decode(Kind::AddCodes.word(), reply).map(|outcome| {
                self.additions.insert(request, outcome);
            })
        } else if kind == Kind::Release as u16 {
            wire::decode(Kind::Release.word(), reply).map(|outcome| {
                self.release_outcomes.insert(request, outcome);
            })
        } else if kind == Kind::TopUp as u16 {
            wire::decode(Kind::TopUp.word(), reply).map(|outcome| {
                self.top_up_outcomes.insert(request, outcome);
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
            .or_else(|| self.top_up_outcomes.get(&request).map(|outcome| Told::TopUp(*outcome)))
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
            Some(
                told @ (Told::Redeem(_) | Told::Hold(_) | Told::Confirm(_) | Told::Release(_) | Told::Codes(_) | Told::TopUp(_)),
            ) => self.compare_answer(request, told),
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

    /// Compares the top-ups of a run with its rules: so many of them fire on each. What other rules of the engine did is not compared with
    /// a number; that it was right is checked as of every top-up.
    pub fn compare_firings(&mut self, outcomes: &Outcomes, firings: u32) {
        for (request, came) in outcomes {
            let fired_and_failed = self.run_firings.get(request).copied().unwrap_or_default();
            if let Some(told @ Told::TopUp(TopUpOutcome::ToppedUp(_))) = &came.told
                && fired_and_failed != (firings, 0)
            {
                let (request, told) = (*request, Box::new(told.clone()));
                self.differences.note(Difference::Unexpected { request, shape: came.shape, told });
            }
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

    /// Compares with what the engine says of every campaign, of every rule, and of every client or so many of them.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn compare_engine(&mut self, client: &Client, clients_max: usize) -> Result<(), AuditError> {
        let campaigns: Vec<_> = self.campaigns.keys().copied().collect();
        let clients: Vec<_> = self.ledger.clients().take(clients_max).collect();
        let rules: Vec<_> = self.firings.rules().collect();
        self.compare_engine_on(client, &campaigns, &clients, &rules).await
    }

    /// Compares with what the engine says of some campaigns, clients and rules: of those that nobody else uses meanwhile.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn compare_engine_on(
        &mut self,
        client: &Client,
        campaigns: &[CampaignId],
        clients: &[ClientId],
        rules: &[RuleId],
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
                refunds: card.refunds,
                uncollected: card.uncollected.0.into(),
            };
            let journal = self.sums_of(*campaign);
            if engine != journal {
                self.differences.note(Difference::CampaignSums { campaign: *campaign, engine, journal });
            }
        }
        for id in clients {
            let ShowClientOutcome::Client(card) = client.show_client(*id).await? else {
                self.differences.note(Difference::EngineLacksClient { client: *id });
                continue;
            };
            let (engine, journal) = (AccountSums::from(card.accounts), self.ledger.of(*id).unwrap_or_default());
            if engine != journal {
                self.differences.note(Difference::EngineAccounts { client: *id, engine: engine.into(), journal: journal.into() });
            }
            let (engine, journal) = (card.groups, self.firings.groups_of(*id));
            if engine != journal {
                self.differences.note(Difference::EngineGroups { client: *id, engine, journal });
            }
        }
        for rule in rules {
            let asked = ShowRule { rule: *rule };
            let ShowRuleOutcome::Rule(card) = client.call(RequestId(0), &asked).await? else {
                self.differences.note(Difference::EngineLacksRule { rule: *rule });
                continue;
            };
            let engine = RuleSums { fired: card.fired, failed: card.failed, credited: card.credited.0.into() };
            let journal = self.firings.sums_of(*rule);
            if engine != journal {
                self.differences.note(Difference::EngineRule { rule: *rule, engine, journal });
            }
        }
        Ok(())
    }

    fn sums_of(&self, campaign: CampaignId) -> CampaignSums {
        self.campaigns.get(&campaign).map_or(CampaignSums::default(), CampaignCount::sums)
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.ledger.len()
    }

    /// The clients whose number is in a range.
    pub fn clients_in(&self, range: std::ops::Range<u128>) -> Vec<ClientId> {
        self.ledger.clients().filter(|client| range.contains(&client.0)).collect()
    }

    /// What a client has by the journal; nothing of one that nobody has registered.
    pub fn accounts_of(&self, client: ClientId) -> AccountSums {
        self.ledger.of(client).unwrap_or_default()
    }

    /// What a rule has done by the journal.
    pub fn firings_of(&self, rule: RuleId) -> RuleSums {
        self.firings.sums_of(rule)
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

fn use_of(activation: &Activation) -> Use {
    Use { campaign: activation.campaign, slot: activation.slot, client: activation.client }
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
            Shape::Hold | Shape::Confirm | Shape::Release | Shape::Check | Shape::Import | Shape::TopUp => false,
        },
        Told::Hold(outcome) => shape == Shape::Hold && matches!(outcome, HoldOutcome::Held(_)),
        Told::Confirm(outcome) => shape == Shape::Confirm && matches!(outcome, ConfirmOutcome::Confirmed(_)),
        Told::Release(outcome) => shape == Shape::Release && *outcome == ReleaseOutcome::Released,
        Told::Codes(outcome) => shape == Shape::Import && matches!(**outcome, AddCodesOutcome::Added(_)),
        Told::TopUp(outcome) => shape == Shape::TopUp && matches!(outcome, TopUpOutcome::ToppedUp(_)),
        Told::Checked { .. } => shape == Shape::Check,
        Told::TooManyChecked => false,
    }
}
