//! One record at a time: what a recount takes from it, and how it may contradict the records before it.

use scrip_protocol::command::{Activation, ActivationRefunded, CodeHeld, HoldConfirmed, Refunded, ReleaseOutcome, ToppedUp};
use scrip_protocol::record::{
    AccountRecord, CampaignRecord, ClientRecord, CredentialRecord, RecordGroup, RedemptionRecord, RefusalRecord, RuleRecord,
    SettingsRecord,
};
use scrip_protocol::{CampaignId, ClientId, CredentialId, Kind, Position, Record, RequestId, wire};

use super::scope::Subject;
use super::{Credit, Recount};
use crate::accounts::Ledger;
use crate::answer::Answer;
use crate::count::{CampaignCount, Use};
use crate::difference::{Difference, Differences, Promise};

impl Recount {
    /// Counts one record, of a batch with this time.
    pub fn add(&mut self, position: Position, time_ms: u64, record: &Record) {
        if position.0 != self.position.0 + 1 {
            self.differences.note(Difference::PositionsBroken { position, after: self.position });
        }
        self.position = position;
        self.records += 1;
        if !self.covers(record) {
            return;
        }
        self.check_request(position, record);
        match record.by_group() {
            RecordGroup::Campaign(record) => self.campaign(position, record),
            RecordGroup::Redemption(record) => self.redemption(position, time_ms, record),
            RecordGroup::Refusal(record) => self.recorded_refusal(position, record),
            RecordGroup::Account(record) => self.account(position, record),
            RecordGroup::Client(ClientRecord::ClientRegistered(record)) => {
                if let Some((ledger, _)) = self.ledger_of(record.client) {
                    ledger.register(record.client);
                }
            }
            RecordGroup::Rule(record) => match record {
                RuleRecord::RuleSaved(record) => self.firings.saved(record.rule, &record.terms),
                RuleRecord::RuleSwitched(record) => self.firings.switched(record.rule, record.active),
                RuleRecord::RuleArchived(record) => self.firings.archived(record.rule),
                RuleRecord::RuleRestored(record) => self.firings.restored(record.rule),
            },
            RecordGroup::Settings(SettingsRecord::SettingsSet(_)) => self.revocations_end_holds = true,
            RecordGroup::Credential(CredentialRecord::CredentialRevoked(record)) => self.revoke(time_ms, record.credential),
            RecordGroup::Settings(SettingsRecord::SettingsApplied(_))
            | RecordGroup::Credential(CredentialRecord::CredentialAdded(_))
            | RecordGroup::Directory(_)
            | RecordGroup::Reader(_) => {}
        }
    }

    fn campaign(&mut self, position: Position, record: CampaignRecord<'_>) {
        match record {
            CampaignRecord::CampaignCreated(record) => {
                let count = CampaignCount::new(record.terms.clone(), record.codes.len() as u32);
                self.campaigns.insert(record.campaign, count);
            }
            CampaignRecord::CodesAdded(record) => {
                self.change(record.campaign, |campaign| campaign.codes += record.codes.len() as u32);
                self.answered(record.stamp.request, Answer::Codes(Box::new(record.outcome())));
            }
            CampaignRecord::CodesGenerated(record) => {
                self.change(record.campaign, |campaign| campaign.codes += record.codes.len() as u32);
            }
            CampaignRecord::CampaignSwitched(record) => {
                self.change(record.campaign, |campaign| campaign.terms.active = record.active);
            }
            CampaignRecord::CampaignUpdated(record) => {
                self.change(record.campaign, |campaign| campaign.change(record.terms.clone(), position));
            }
            CampaignRecord::CampaignArchived(record) => self.change(record.campaign, |campaign| campaign.archived = true),
            CampaignRecord::CampaignRestored(record) => self.change(record.campaign, |campaign| {
                campaign.archived = false;
                campaign.left_over = record.conflicts.iter().copied().collect();
            }),
            CampaignRecord::CodesArchived(record) => {
                self.change(record.campaign, |campaign| campaign.revoked.extend(&record.slots));
            }
            CampaignRecord::CodesRestored(record) => self.change(record.campaign, |campaign| {
                record.slots.iter().for_each(|slot| {
                    campaign.revoked.remove(slot);
                    campaign.left_over.remove(slot);
                });
            }),
        }
    }

    fn change(&mut self, campaign: CampaignId, change: impl FnOnce(&mut CampaignCount)) {
        if let Some(campaign) = self.campaigns.get_mut(&campaign) {
            change(campaign);
        }
    }

    fn redemption(&mut self, position: Position, time_ms: u64, record: RedemptionRecord<'_>) {
        match record {
            RedemptionRecord::Activation(record) => {
                self.answered(record.stamp.request, Answer::Redeem(record.outcome(position)));
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
            RedemptionRecord::CodeHeld(record) => self.hold(position, time_ms, record),
            RedemptionRecord::HoldConfirmed(record) => self.confirmation(position, time_ms, record),
            RedemptionRecord::HoldReleased(record) => {
                self.answered(record.stamp.request, Answer::Release(ReleaseOutcome::Released));
                self.end_hold(position, record.hold);
            }
            RedemptionRecord::ActivationRefunded(record) => self.refund(position, record),
        }
    }

    fn recorded_refusal(&mut self, position: Position, record: RefusalRecord<'_>) {
        match record {
            RefusalRecord::RedemptionRefused(record) => {
                *self.refused.entry(record.outcome.word()).or_default() += 1;
                self.answered(record.stamp.request, Answer::Redeem(record.outcome));
            }
            RefusalRecord::HoldRefused(record) => self.answered(record.stamp.request, Answer::Hold(record.outcome)),
            RefusalRecord::ConfirmationRefused(record) => self.answered(record.stamp.request, Answer::Confirm(record.outcome)),
            RefusalRecord::Refused(record) => self.refusal(position, record.stamp.request, record.kind, &record.reply),
            RefusalRecord::RequestRefused(record) => self.refusal(position, record.stamp.request, record.kind, &record.reply),
        }
    }

    fn account(&mut self, position: Position, record: AccountRecord<'_>) {
        match record {
            AccountRecord::ToppedUp(record) => self.top_up(position, record),
            AccountRecord::TopUpRefunded(record) => {
                if let Some((ledger, differences)) = self.ledger_of(record.client) {
                    ledger.top_up_refunded(position, record, differences);
                }
            }
            AccountRecord::BonusChanged(record) => {
                if let Some((ledger, differences)) = self.ledger_of(record.client) {
                    ledger.bonus_changed(position, record, differences);
                }
            }
            AccountRecord::Spent(record) => {
                if let Some((ledger, differences)) = self.ledger_of(record.client) {
                    ledger.spent(position, record, differences);
                }
            }
        }
    }

    fn hold(&mut self, position: Position, time_ms: u64, record: &CodeHeld) {
        self.answered(record.stamp.request, Answer::Hold(record.outcome(position)));
        self.open_holds.insert(position, record.clone());
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
        self.answered(activation.stamp.request, Answer::Confirm(record.outcome(position)));
        let mut is_late = false;
        if let Some(held) = self.end_hold(position, hold) {
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
        // In time, it uses only what the hold has set aside.
        if is_late {
            self.check_limits(position, time_ms, use_of(activation));
        }
    }

    /// Ends a hold that is open, and returns it.
    fn end_hold(&mut self, position: Position, hold: Position) -> Option<CodeHeld> {
        let Some(held) = self.open_holds.remove(&hold) else {
            let difference = match self.ended_holds.contains(&hold) {
                true => Difference::HoldEnded { position, hold },
                false => Difference::NoHold { position, hold },
            };
            self.differences.note(difference);
            return None;
        };
        self.ended_holds.insert(hold);
        if let Some(campaign) = self.campaigns.get_mut(&held.campaign) {
            campaign.end_hold(hold, &held);
        }
        Some(held)
    }

    /// Lets the open holds of a revoked credential expire. In the first journals, before the first `SettingsSet`, they stay open.
    fn revoke(&mut self, time_ms: u64, credential: CredentialId) {
        if !self.revocations_end_holds {
            return;
        }
        let of_it = |held: &CodeHeld| held.stamp.credential == credential && time_ms < held.expires_ms;
        for (hold, held) in self.open_holds.iter_mut().filter(|(_, held)| of_it(held)) {
            if let Some(campaign) = self.campaigns.get_mut(&held.campaign) {
                campaign.end_hold(*hold, held);
            }
            held.expires_ms = time_ms;
        }
    }

    /// Checks that a new use is of an existing code and within every limit.
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
        if let Some((ledger, differences)) = self.ledger_of(client) {
            ledger.activation_refunded(position, &record.refunded, differences);
        }
        self.issued -= i128::from(taken.0);
        let Some(Credit { of, amount }) = self.activated.remove(&activation) else {
            return self.differences.note(Difference::SecondRefund { position, activation });
        };
        let is_its = (of.client, of.campaign, of.slot) == (client, record.campaign, record.slot);
        let is_whole = taken.0 >= 0 && uncollected.0 >= 0 && taken.checked_add(uncollected) == Some(amount);
        // The refund takes all that it can: some is uncollected only if the balance is then 0.
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
        if let Some((ledger, differences)) = self.ledger_of(record.client) {
            ledger.activation(position, record, differences);
        }
        self.activated.insert(position, Credit { of: use_of(record), amount: record.amount });
        if let Some(campaign) = self.campaigns.get_mut(&record.campaign) {
            campaign.activate(use_of(record), record.amount.0);
        }
    }

    /// Compares the reply in a recorded refusal.
    fn refusal(&mut self, position: Position, request: RequestId, kind: u16, reply: &[u8]) {
        let answer = if kind == Kind::AddCodes as u16 {
            wire::decode(Kind::AddCodes.word(), reply).map(|outcome| Answer::Codes(Box::new(outcome)))
        } else if kind == Kind::Release as u16 {
            wire::decode(Kind::Release.word(), reply).map(Answer::Release)
        } else if kind == Kind::TopUp as u16 {
            wire::decode(Kind::TopUp.word(), reply).map(Answer::TopUp)
        } else {
            return self.lacks_answer(request);
        };
        match answer {
            Ok(answer) => self.answered(request, answer),
            Err(cause) => self.differences.note(Difference::ReplyUnreadable { position, cause }),
        }
    }

    fn top_up(&mut self, position: Position, record: &ToppedUp) {
        let request = record.stamp.request;
        self.answered(request, Answer::TopUp(record.outcome(position)));
        if let Some((ledger, differences)) = self.ledger_of(record.client) {
            ledger.topped_up(position, record, differences);
        }
        self.firings.topped_up(position, record, &mut self.differences);
        if let Some(scope) = &self.scope {
            let fired = record.fired.iter().filter(|fired| scope.rules.contains(&fired.rule)).count() as u32;
            let failed = record.failed.iter().filter(|failed| scope.rules.contains(&failed.rule)).count() as u32;
            if (fired, failed) != (0, 0) {
                self.run_firings.insert(request, (fired, failed));
            }
        }
    }

    fn covers(&self, record: &Record) -> bool {
        let is_hold = |hold| self.open_holds.contains_key(&hold) || self.ended_holds.contains(&hold);
        self.scope.as_ref().is_none_or(|scope| scope.covers(record, is_hold))
    }

    /// Checks that a request has one record, of its own kind, and that a request of the run is recorded for a client of the run.
    fn check_request(&mut self, position: Position, record: &Record) {
        let Some(request) = record.stamp().map(|stamp| stamp.request) else { return };
        if !self.recorded.insert(request) {
            self.differences.note(Difference::SecondRecord { position, request });
        }
        let Some(scope) = &self.scope else { return };
        if !scope.has_request(request) {
            return;
        }
        if let Some(client) = Subject::of(record).client.filter(|client| !scope.has_client(*client)) {
            self.differences.note(Difference::ForeignClient { position, client, request });
        }
        if !has_answer(record) {
            self.lacks_answer(request);
        }
    }

    /// The accounts, for a client whose entries are all covered.
    fn ledger_of(&mut self, client: ClientId) -> Option<(&mut Ledger, &mut Differences)> {
        let is_covered = self.scope.as_ref().is_none_or(|scope| scope.has_client(client));
        is_covered.then_some((&mut self.ledger, &mut self.differences))
    }

    /// Compares a recorded answer with the one that the caller received. If the caller received none, or busy, the answer is kept. The
    /// recount of a whole journal keeps outcomes instead.
    fn answered(&mut self, request: RequestId, recorded: Answer) {
        let Some(scope) = &self.scope else {
            match recorded {
                Answer::Redeem(outcome) => drop(self.outcomes.insert(request, outcome)),
                Answer::Hold(outcome) => drop(self.hold_outcomes.insert(request, outcome)),
                Answer::TopUp(outcome) => drop(self.top_up_outcomes.insert(request, outcome)),
                Answer::Confirm(_) | Answer::Release(_) | Answer::Codes(_) => {}
                Answer::Checked { .. } | Answer::TooManyChecked | Answer::Refused(_) | Answer::Busy { .. } => {}
            }
            return;
        };
        let Some(exchange) = scope.exchanges.get(&request) else { return };
        match &exchange.answer {
            Some(answer) if !answer.is_recorded() => drop(self.unmatched.insert(request, recorded)),
            None => drop(self.unmatched.insert(request, recorded)),
            Some(answer) if *answer == recorded => {}
            Some(answer) => {
                let (answer, recorded) = (Box::new(answer.clone()), Box::new(recorded));
                self.differences.note(Difference::AnsweredOtherwise { request, answer, recorded });
            }
        }
    }

    /// Notes that a record of a request of the run does not contain the answer that the caller received.
    fn lacks_answer(&mut self, request: RequestId) {
        let exchange = self.scope.as_ref().and_then(|scope| scope.exchanges.get(&request));
        if let Some(answer) = exchange.and_then(|exchange| exchange.answer.as_ref()).filter(|answer| answer.is_recorded()) {
            self.differences.note(Difference::NoRecord { request, answer: Box::new(answer.clone()) });
        }
    }
}

/// Whether a record contains an answer to a request of a load.
fn has_answer(record: &Record) -> bool {
    match record.by_group() {
        RecordGroup::Refusal(_) => true,
        RecordGroup::Redemption(record) => !matches!(record, RedemptionRecord::ActivationRefunded(_)),
        RecordGroup::Campaign(record) => matches!(record, CampaignRecord::CodesAdded(_)),
        RecordGroup::Account(record) => matches!(record, AccountRecord::ToppedUp(_)),
        RecordGroup::Settings(_)
        | RecordGroup::Directory(_)
        | RecordGroup::Client(_)
        | RecordGroup::Credential(_)
        | RecordGroup::Rule(_)
        | RecordGroup::Reader(_) => false,
    }
}

fn use_of(activation: &Activation) -> Use {
    Use { campaign: activation.campaign, slot: activation.slot, client: activation.client }
}
