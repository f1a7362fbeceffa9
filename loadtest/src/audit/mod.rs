//! The audit: an independent recount of the journal, compared with the answers that callers received and with the engine.
//!
//! It shares no code with the engine's state. `count.rs` counts campaigns, `accounts.rs` accounts, and `firings.rs` rules.
//!
//! A recount folds records as it reads them. [`Recount::of`] recounts a whole journal. [`Recount::of_run`] recounts what concerns one
//! run, from its first record: its memory grows with the run, not with the journal before or beside it. It keeps
//!
//! - the id of each request of the run that has a record;
//! - client, campaign, slot and amount of each activation, and client, amounts and refunds of each top-up, because these can be refunded;
//! - the record of each open hold, and the position of each ended one;
//! - a count for each used code, and the sums of each client;
//! - of other users, only the rules, which can fire on the top-ups of the run.
//!
//! It compares an answer when it reads the record and keeps it only if the caller received no answer, or busy.

mod fold;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use scrip_client::{Client, ClientError, Dial, TailError, Tailing};
use scrip_protocol::batch::Batch;
use scrip_protocol::command::{
    AddCodesOutcome, CodeHeld, ConfirmOutcome, HoldOutcome, ListRules, RedeemOutcome, ReleaseOutcome, RuleFilter,
    ShowCampaignOutcome, ShowClientOutcome, ShowRuleOutcome, TopUpOutcome,
};
use scrip_protocol::{CampaignId, ClientId, Money, Position, RequestId, RuleId};

pub use self::scope::{History, Scope};
use crate::accounts::Ledger;
use crate::answer::{Answer, Exchange, Exchanges};
use crate::count::{CampaignCount, Use};
use crate::difference::{AccountSums, CampaignSums, Difference, Differences, RuleSums};
use crate::firings::Firings;
use crate::mix::Shape;

/// The sums of a journal's records, and what contradicts them.
#[derive(Debug, Default)]
pub struct Recount {
    /// The newest record.
    pub position: Position,
    /// How many records were read.
    pub records: u64,
    /// How many activations there are.
    pub activations: u64,
    /// The sum of all bonuses, in minor units.
    pub issued: i128,
    /// How many redemptions were refused, by the word of the outcome.
    pub refused: BTreeMap<&'static str, u64>,
    /// The outcome of each redemption, by request id. Empty in the recount of a run.
    pub outcomes: HashMap<RequestId, RedeemOutcome>,
    /// The outcome of each hold, by request id. Empty in the recount of a run.
    pub hold_outcomes: HashMap<RequestId, HoldOutcome>,
    /// The outcome of each top-up, by request id. Empty in the recount of a run.
    pub top_up_outcomes: HashMap<RequestId, TopUpOutcome>,
    /// The run that is recounted; `None` for a whole journal.
    scope: Option<Scope>,
    open_holds: HashMap<Position, CodeHeld>,
    ended_holds: HashSet<Position>,
    /// Whether the open holds of a credential expire when it is revoked.
    revocations_end_holds: bool,
    campaigns: HashMap<CampaignId, CampaignCount>,
    ledger: Ledger,
    firings: Firings,
    /// How many of the run's rules fired on a top-up, and how many failed, if any did.
    run_firings: HashMap<RequestId, (u32, u32)>,
    /// The requests that have a record.
    recorded: HashSet<RequestId>,
    /// The recorded answers to requests of the run that received no answer, or busy.
    unmatched: HashMap<RequestId, Answer>,
    /// The activations that were not refunded.
    activated: HashMap<Position, Credit>,
    differences: Differences,
}

/// An activation that may be refunded.
#[derive(Debug)]
struct Credit {
    of: Use,
    amount: Money,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The journal could not be tailed.
    #[error("the journal cannot be tailed: {0}")]
    Tail(#[from] TailError),
    /// The engine could not be queried.
    #[error("the engine cannot be queried: {0}")]
    Client(#[from] ClientError),
    /// A batch contains something other than records.
    #[error("the journal contains an invalid record: {0}")]
    Record(#[from] scrip_protocol::batch::BatchError),
}

impl History {
    /// The position of an engine, and its rules if `with_rules`.
    ///
    /// # Errors
    /// When the engine cannot be queried.
    pub async fn of(client: &Client, with_rules: bool) -> Result<History, ClientError> {
        let mut history = History::default();
        // An archived rule can be restored during the run.
        for filter in [RuleFilter::Present, RuleFilter::Archived] {
            let mut after = Some(RuleId(0));
            while let Some(from) = after {
                let page = client.list_rules(&ListRules { after: from, filter, ..ListRules::default() }).await?;
                if history.position == Position(0) {
                    history.position = page.as_of;
                }
                if !with_rules {
                    return Ok(history);
                }
                history.rules.extend(page.rules);
                after = page.next;
            }
        }
        Ok(history)
    }
}

impl Recount {
    /// Recounts an engine's journal as it is now, from its first record.
    ///
    /// # Errors
    /// When the journal cannot be tailed.
    pub async fn of(dial: &Dial) -> Result<Recount, AuditError> {
        let mut recount = Recount::default();
        recount.read(dial).await?;
        Ok(recount)
    }

    /// Recounts what concerns a run, with the rules that the engine had before.
    ///
    /// # Errors
    /// When the journal cannot be tailed.
    pub async fn of_run(dial: &Dial, scope: Scope, history: &History) -> Result<Recount, AuditError> {
        let mut recount = Recount::new(scope, history);
        recount.read(dial).await?;
        Ok(recount)
    }

    fn new(scope: Scope, history: &History) -> Recount {
        let firings = Firings::of(&history.rules);
        // An engine that can be called has recorded its settings.
        Recount { position: scope.after, firings, scope: Some(scope), revocations_end_holds: true, ..Recount::default() }
    }

    /// Reads the journal after the position to its end.
    async fn read(&mut self, dial: &Dial) -> Result<(), AuditError> {
        let after = self.position;
        let mut tailing = Tailing::start(dial.clone(), Position(after.0 + 1), false).await?;
        while let Some(bytes) = tailing.next().await? {
            let batch = Batch::parse(&bytes)?;
            for item in batch.records() {
                let (position, record) = item?;
                // The first batch may begin before the position that was requested.
                if position > after {
                    self.add(position, batch.time_ms, &record);
                }
            }
        }
        Ok(())
    }

    /// The recorded answer to a request of the run that received no answer, or busy.
    pub(crate) fn unmatched(&self, request: RequestId) -> Option<&Answer> {
        self.unmatched.get(&request)
    }

    /// Compares with the outcomes that callers received: the journal must have each, and the same. For the recount of a whole journal.
    pub fn compare_answers(&mut self, answers: &HashMap<RequestId, RedeemOutcome>) {
        for (request, outcome) in answers {
            let (request, answer) = (*request, Box::new(Answer::Redeem(*outcome)));
            match self.outcomes.get(&request) {
                Some(recorded) if recorded == outcome => {}
                Some(recorded) => {
                    let recorded = Box::new(Answer::Redeem(*recorded));
                    self.differences.note(Difference::AnsweredOtherwise { request, answer, recorded });
                }
                None => self.differences.note(Difference::NoRecord { request, answer }),
            }
        }
    }

    /// Checks every request of the run: an answer that changes something has a record, a record has an answer, and the shape of the
    /// request allows the answer. Whether answer and record are the same was compared when the record was read.
    pub fn compare_run(&mut self) {
        let Some(scope) = &self.scope else { return };
        for (request, exchange) in scope.exchanges.clone().iter() {
            self.compare_exchange(*request, exchange);
        }
    }

    fn compare_exchange(&mut self, request: RequestId, exchange: &Exchange) {
        let Exchange { shape, answer, other } = exchange;
        if let (Some(answer), Some(other)) = (answer, other) {
            let (answer, other) = (Box::new(answer.clone()), other.clone());
            self.differences.note(Difference::RepeatUnlike { request, answer, other });
        }
        match (answer, self.recorded.contains(&request)) {
            (Some(answer), false) if answer.is_recorded() => {
                self.differences.note(Difference::NoRecord { request, answer: Box::new(answer.clone()) });
            }
            (Some(answer), true) if !answer.is_recorded() && !matches!(answer, Answer::Busy { uncertain: true }) => {
                self.differences.note(Difference::RefusedWithRecord { request });
            }
            (None, true) => self.differences.note(Difference::AnswerMissing { request }),
            (Some(_) | None, _) => {}
        }
        if let Some(answer) = answer
            && !is_possible(*shape, answer)
        {
            self.differences.note(Difference::Unexpected { request, shape: *shape, answer: Box::new(answer.clone()) });
        }
    }

    /// Checks that `firings` rules of the run fired on each of its top-ups. Other rules have no expected number; whether they fired
    /// rightly was checked at each top-up.
    pub fn compare_firings(&mut self, exchanges: &Exchanges, firings: u32) {
        for (request, exchange) in exchanges {
            let fired_and_failed = self.run_firings.get(request).copied().unwrap_or_default();
            if let Some(answer @ Answer::TopUp(TopUpOutcome::ToppedUp(_))) = &exchange.answer
                && fired_and_failed != (firings, 0)
            {
                let (request, answer) = (*request, Box::new(answer.clone()));
                self.differences.note(Difference::Unexpected { request, shape: exchange.shape, answer });
            }
        }
    }

    /// Compares the sums of a campaign of the run with the answers: it has as many activations as answers report, and a code with a cap
    /// was used as often as it was tried, or as its cap allows.
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

    /// Compares with what the engine reports about every campaign, every rule, and at most `clients_max` clients.
    ///
    /// # Errors
    /// When the engine cannot be queried.
    pub async fn compare_engine(&mut self, client: &Client, clients_max: usize) -> Result<(), AuditError> {
        let campaigns: Vec<_> = self.campaigns.keys().copied().collect();
        let clients: Vec<_> = self.ledger.clients().take(clients_max).collect();
        let rules: Vec<_> = self.firings.rules().collect();
        self.compare_engine_on(client, &campaigns, &clients, &rules).await
    }

    /// Compares with what the engine reports about some campaigns, clients and rules, which nobody else uses meanwhile.
    ///
    /// # Errors
    /// When the engine cannot be queried.
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
            let ShowRuleOutcome::Rule(card) = client.show_rule(*rule).await? else {
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

    /// The sums of a client by the journal; zero for one that is not registered.
    pub fn accounts_of(&self, client: ClientId) -> AccountSums {
        self.ledger.of(client).unwrap_or_default()
    }

    /// The sums of a rule by the journal.
    pub fn firings_of(&self, rule: RuleId) -> RuleSums {
        self.firings.sums_of(rule)
    }

    /// How many of some requests have a record.
    pub fn recorded_of<'a>(&self, requests: impl Iterator<Item = &'a RequestId>) -> u64 {
        requests.filter(|request| self.recorded.contains(request)).count() as u64
    }

    /// Activations of a campaign.
    pub fn activations_of(&self, campaign: CampaignId) -> u64 {
        self.campaigns.get(&campaign).map_or(0, |counted| counted.activations)
    }

    /// How often each used code of a campaign was activated, by slot.
    pub fn uses_of(&self, campaign: CampaignId) -> HashMap<u32, u32> {
        self.campaigns.get(&campaign).map(|counted| counted.used.clone()).unwrap_or_default()
    }

    /// The differences so far.
    pub fn differences(&self) -> &Differences {
        &self.differences
    }
}

/// Whether a request of a shape can have this answer.
fn is_possible(shape: Shape, answer: &Answer) -> bool {
    match answer {
        Answer::Busy { .. } => true,
        Answer::Refused(_) => shape == Shape::Any,
        Answer::Redeem(outcome) => match shape {
            Shape::Distinct | Shape::Hot => matches!(outcome, RedeemOutcome::Redeemed(_)),
            Shape::Capped => matches!(outcome, RedeemOutcome::Redeemed(_) | RedeemOutcome::CodeExhausted),
            Shape::Miss => *outcome == RedeemOutcome::UnknownCode,
            Shape::Spent => *outcome == RedeemOutcome::CodeExhausted,
            Shape::Any => true,
            Shape::Hold | Shape::Confirm | Shape::Release | Shape::Check | Shape::Import | Shape::TopUp => false,
        },
        Answer::Hold(outcome) => shape == Shape::Hold && matches!(outcome, HoldOutcome::Held(_)),
        Answer::Confirm(outcome) => shape == Shape::Confirm && matches!(outcome, ConfirmOutcome::Confirmed(_)),
        Answer::Release(outcome) => shape == Shape::Release && *outcome == ReleaseOutcome::Released,
        Answer::Codes(outcome) => shape == Shape::Import && matches!(**outcome, AddCodesOutcome::Added(_)),
        Answer::TopUp(outcome) => shape == Shape::TopUp && matches!(outcome, TopUpOutcome::ToppedUp(_)),
        Answer::Checked { .. } => shape == Shape::Check,
        Answer::TooManyChecked => false,
    }
}
