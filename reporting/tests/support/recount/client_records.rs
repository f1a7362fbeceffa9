//! Clients: names, balances, and the records that concern them (B1 to B5).

use std::collections::{BTreeSet, HashMap};

use scrip_protocol::command::{BonusChanged, BonusOperation, ConfirmOutcome, PaidFor, SpentOn};
use scrip_protocol::ledger::{Origin, entries};
use scrip_protocol::{Account, ClientId, ClubId, Executor, Label, Record, RequestId, TopUpSource};

use super::past::{Past, Recorded};

/// A client's card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) client: ClientId,
    pub(crate) name: String,
    pub(crate) registered_ms: u64,
    pub(crate) gaming: i64,
    pub(crate) bonus: i64,
    pub(crate) spent: i64,
    pub(crate) sessions: u64,
    /// Without refunded ones.
    pub(crate) activations: u64,
}

/// One movement of an account, with the balance after it.
#[derive(Debug, Clone)]
pub(crate) struct Movement {
    pub(crate) position: u64,
    /// The index among the movements of the record, from 0.
    pub(crate) nth: u32,
    pub(crate) at_ms: u64,
    pub(crate) client: ClientId,
    pub(crate) club: Option<ClubId>,
    pub(crate) account: Account,
    pub(crate) label: Label,
    pub(crate) executor: Executor,
    pub(crate) origin: Origin,
    pub(crate) amount: i64,
    pub(crate) balance: i64,
    /// The credential that requested the record, whatever executor is named.
    pub(crate) credential: u32,
    /// The comment on the record.
    pub(crate) comment: String,
    pub(crate) tags: Vec<String>,
    pub(crate) request: RequestId,
    /// The source of the money, for every effect of a top-up.
    pub(crate) source: Option<TopUpSource>,
    /// The purpose of a payment with bonuses.
    pub(crate) purpose: Option<PaidFor>,
}

impl<'a> Past<'a> {
    /// Every client ever registered, ascending.
    pub(crate) fn clients(&self) -> Vec<ClientId> {
        let all: BTreeSet<ClientId> = self.records.iter().filter_map(|recorded| registers(&recorded.record)).collect();
        all.into_iter().collect()
    }

    /// The cards of all clients.
    pub(crate) fn cards(&self) -> Vec<Client> {
        let movements = self.movements();
        let (uses, mut balances) = (self.uses(), HashMap::<(ClientId, Account), i64>::new());
        for movement in &movements {
            *balances.entry((movement.client, movement.account)).or_default() += movement.amount;
        }
        let card = |client: ClientId| {
            let of = |recorded: &&Recorded| registers(&recorded.record) == Some(client);
            let first = self.records.iter().find(of).expect("somebody who was registered");
            let name = self.records.iter().rev().find_map(|recorded| match &recorded.record {
                Record::ClientRegistered(record) if record.client == client => Some(record.name.clone()),
                _ => None,
            });
            let spent = self.records.iter().filter_map(|recorded| match &recorded.record {
                Record::Spent(record) if record.client == client => Some(record),
                _ => None,
            });
            Client {
                client,
                name: name.unwrap_or_default(),
                registered_ms: first.at_ms,
                gaming: balances.get(&(client, Account::Gaming)).copied().unwrap_or(0),
                bonus: balances.get(&(client, Account::Bonus)).copied().unwrap_or(0),
                spent: spent.clone().map(|record| record.price.0).sum(),
                sessions: spent.filter(|record| record.on == SpentOn::Session).count() as u64,
                activations: uses.iter().filter(|used| used.activation.client == client && used.stands()).count() as u64,
            }
        };
        self.clients().into_iter().map(card).collect()
    }

    /// Every movement of every account, in order (B2).
    pub(crate) fn movements(&self) -> Vec<Movement> {
        let clubs: HashMap<u64, ClubId> = self.uses().iter().map(|used| (used.position, used.activation.club)).collect();
        let mut balances: HashMap<(ClientId, Account), i64> = HashMap::new();
        let mut movements = Vec::new();
        for recorded in self.records {
            let (club, comment) = match &recorded.record {
                Record::Activation(record) => (Some(record.club), ""),
                Record::HoldConfirmed(record) => (Some(record.activation.club), ""),
                Record::ActivationRefunded(record) => (clubs.get(&record.activation.0).copied(), ""),
                Record::ToppedUp(record) => (Some(record.club), record.comment.as_str()),
                Record::TopUpRefunded(record) => (Some(record.club), record.comment.as_str()),
                Record::BonusChanged(record) => (record.club, record.comment.as_str()),
                Record::Spent(record) => (Some(record.club), record.comment.as_str()),
                _ => (None, ""),
            };
            let source = match &recorded.record {
                Record::ToppedUp(record) => Some(record.variables.source),
                _ => None,
            };
            let purpose = match &recorded.record {
                Record::BonusChanged(BonusChanged { operation: BonusOperation::Payment(purpose), .. }) => Some(*purpose),
                _ => None,
            };
            for (nth, entry) in (0..).zip(entries(&recorded.record)) {
                let balance = balances.entry((entry.client, entry.account)).or_default();
                *balance += entry.amount.0;
                movements.push(Movement {
                    position: recorded.position,
                    nth,
                    at_ms: recorded.at_ms,
                    client: entry.client,
                    club,
                    account: entry.account,
                    label: entry.label,
                    executor: entry.executor.clone(),
                    origin: entry.origin,
                    amount: entry.amount.0,
                    balance: *balance,
                    credential: recorded.record.stamp().map_or(0, |stamp| stamp.credential.0),
                    comment: comment.to_owned(),
                    tags: entry.tags.iter().map(|tag| (*tag).to_owned()).collect(),
                    request: recorded.record.stamp().expect("it has a request").request,
                    source,
                    purpose,
                });
            }
        }
        movements
    }

    /// The records that concern a client, oldest first.
    pub(crate) fn history(&self, client: ClientId) -> Vec<u64> {
        self.concerned().into_iter().filter(|(whom, _)| *whom == client).map(|(_, position)| position).collect()
    }

    /// The client that each record concerns: activations, entries of the ledger, holds with their end, refusals and
    /// registrations.
    pub(crate) fn concerned(&self) -> Vec<(ClientId, u64)> {
        let holders: HashMap<u64, ClientId> = self.holds().iter().map(|hold| (hold.position, hold.record.client)).collect();
        let concerned = |recorded: &'a Recorded| {
            let client = match &recorded.record {
                Record::Activation(record) => record.client,
                Record::HoldConfirmed(record) => record.activation.client,
                Record::ActivationRefunded(record) => record.refunded.client,
                Record::CodeHeld(record) => record.client,
                Record::RedemptionRefused(record) => record.client,
                Record::HoldRefused(record) => record.client,
                Record::ConfirmationRefused(record) if record.outcome != ConfirmOutcome::UnknownHold => {
                    *holders.get(&record.hold.0)?
                }
                Record::RequestRefused(record) => record.subject.client?,
                Record::ClientRegistered(record) => record.client,
                Record::ToppedUp(record) => record.client,
                Record::TopUpRefunded(record) => record.client,
                Record::BonusChanged(record) => record.client,
                Record::Spent(record) => record.client,
                _ => return None,
            };
            Some((client, recorded.position))
        };
        self.records.iter().filter_map(concerned).collect()
    }
}

/// The client that a record registers, if unknown before: one that is named, receives a bonus by a code, or tops up.
fn registers(record: &Record) -> Option<ClientId> {
    match record {
        Record::ClientRegistered(record) => Some(record.client),
        Record::Activation(record) => Some(record.client),
        Record::HoldConfirmed(record) => Some(record.activation.client),
        Record::ToppedUp(record) => Some(record.client),
        _ => None,
    }
}
