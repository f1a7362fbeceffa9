//! Entries of the ledger, as the protocol derives them from a record, and the counters of clients.

use rusqlite::params;
use scrip_protocol::command::{PaidFor, PaidFrom, Spent, SpentOn, ToppedUp};
use scrip_protocol::ledger::{Account, Origin, entries};
use scrip_protocol::{ClubId, Money, Record, TopUpSource};

use super::writing::{At, Writing};
use crate::read_model::values::{ClientKey, json, number, request_bytes};

/// The contents of a record that all of its entries share.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Whole<'a> {
    pub(super) club: Option<ClubId>,
    pub(super) comment: &'a str,
    /// The payment method of a top-up.
    pub(super) source: Option<TopUpSource>,
    /// The purpose of a payment.
    pub(super) purpose: Option<PaidFor>,
    /// The balances after the last entry, if the record changes that account.
    pub(super) gaming: Money,
    pub(super) bonus: Money,
}

impl Writing<'_> {
    /// Writes the entries of a record other than an activation.
    pub(super) fn entries(&mut self, at: At, record: &Record, whole: Whole<'_>) -> rusqlite::Result<()> {
        let club = whole.club.map(|club| club.0);
        let entries = entries(record);
        // The record has the balances after the last entry; the earlier ones are computed backwards.
        let mut balances = Vec::with_capacity(entries.len());
        let (mut gaming, mut bonus) = (whole.gaming.0, whole.bonus.0);
        for entry in entries.iter().rev() {
            let of = match entry.account {
                Account::Gaming => &mut gaming,
                Account::Bonus => &mut bonus,
            };
            balances.push(*of);
            *of = of.saturating_sub(entry.amount.0);
        }
        let credential = record.stamp().map_or(0, |stamp| stamp.credential.0);
        let request = record.stamp().map_or([0; 16], |stamp| request_bytes(stamp.request));
        let mut statement = self
            .connection
            .prepare_cached("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for ((entry, balance), nth) in entries.iter().zip(balances.iter().rev()).zip(0..) {
            let (origin, origin_id) = origin(&entry.origin);
            let account = match entry.account {
                Account::Gaming => "gaming",
                Account::Bonus => "bonus",
            };
            statement.execute(params![
                number(at.position.0),
                nth,
                number(at.ms),
                ClientKey::of(entry.client),
                club,
                account,
                entry.label.words(),
                entry.executor.kind.to_string(),
                entry.executor.name,
                credential,
                origin,
                origin_id,
                entry.amount.0,
                balance,
                whole.comment,
                json(&entry.tags),
                request,
                whole.source.map(TopUpSource::word),
                whole.purpose.map(word_of),
            ])?;
            self.gathered.history(entry.client, at.position);
            let client = self.gathered.client(entry.client, at.ms);
            match entry.account {
                Account::Gaming => client.gaming += entry.amount.0,
                Account::Bonus => client.bonus += entry.amount.0,
            }
        }
        Ok(())
    }

    /// Writes which parts of rules failed on a top-up.
    pub(super) fn rule_failures(&mut self, at: At, record: &ToppedUp) -> rusqlite::Result<()> {
        let failed = record.failed.iter().map(|failed| (failed.rule, failed.why.word()));
        let unsent = record.fired.iter().filter(|fired| fired.push_too_long).map(|fired| (fired.rule, "push_too_long"));
        for ((rule, why), nth) in failed.chain(unsent).zip(0_u32..) {
            let mut statement = self.connection.prepare_cached("INSERT INTO rule_failure VALUES (?, ?, ?, ?, ?, ?)")?;
            let client = ClientKey::of(record.client);
            statement.execute(params![number(at.position.0), nth, number(at.ms), rule.0, client, why])?;
            self.gathered.failure(rule.0, why);
        }
        Ok(())
    }

    pub(super) fn spent(&mut self, at: At, record: &Spent) -> rusqlite::Result<()> {
        let kind = match record.on {
            SpentOn::Session => "session",
            SpentOn::Purchase => "purchase",
        };
        let paid_from = match record.paid_from {
            PaidFrom::GamingBalance => "gaming_balance",
            PaidFrom::Directly => "directly",
        };
        self.connection.prepare_cached("INSERT INTO spending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(
            params![
                number(at.position.0),
                number(at.ms),
                ClientKey::of(record.client),
                record.club.0,
                kind,
                record.price.0,
                paid_from,
                record.stamp.credential.0,
                request_bytes(record.stamp.request),
                record.executor.kind.to_string(),
                record.executor.name,
                record.comment,
                json(&record.tags),
            ],
        )?;
        self.gathered.history(record.client, at.position);
        let client = self.gathered.client(record.client, at.ms);
        client.spent += record.price.0;
        client.sessions += i64::from(record.on == SpentOn::Session);
        Ok(())
    }
}

/// The purpose of a payment, as in JSON.
fn word_of(purpose: PaidFor) -> &'static str {
    match purpose {
        PaidFor::GamingTime => "gaming_time",
        PaidFor::Order => "order",
    }
}

fn origin(origin: &Origin) -> (&'static str, Option<i64>) {
    match origin {
        Origin::Request => ("request", None),
        Origin::Code { campaign, .. } => ("code", Some(campaign.0.into())),
        Origin::Rule(rule) => ("rule", Some(rule.0.into())),
        Origin::Activation(position) => ("activation", Some(number(position.0))),
        Origin::TopUp(position) => ("top_up", Some(number(position.0))),
        Origin::Payment(position) => ("payment", Some(number(position.0))),
    }
}
