//! Refused attempts, with the condition that caused the refusal (Z13).
//!
//! The record has the reason, which is the first rule that failed; the numbers come from the campaign at that position.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params};
use scrip_protocol::command::{
    AnyOutcome, ConfirmOutcome, ConfirmationRefused, HoldOutcome, HoldRefused, RedeemOutcome, RedemptionRefused, Subject, Terms,
};
use scrip_protocol::{ClubId, Kind, Money, Stamp};

use super::writing::{At, Writing};
use crate::read_model::campaign_counters::Campaign;
use crate::read_model::values::{client_value, json, number, request_bytes};

/// The part of a refusal that every record has.
struct Attempt<'a> {
    stamp: &'a Stamp,
    command: &'a str,
    client: Value,
    club: Option<u32>,
    code: Option<&'a str>,
    campaign: Option<u32>,
    operation: Option<u64>,
    reason: &'a str,
    decided: &'a str,
    reply: String,
}

impl Writing<'_> {
    pub(super) fn redemption_refused(&mut self, at: At, record: &RedemptionRefused) -> rusqlite::Result<()> {
        let held = self.looked_up(&record.code, Some(&record.outcome))?;
        let decided = self.decided(&record.outcome, record.club, held, None)?;
        self.gathered.history(record.client, at.position);
        self.refusal(
            at,
            &Attempt {
                stamp: &record.stamp,
                command: Kind::Redeem.word(),
                client: client_value(record.client),
                club: Some(record.club.0),
                code: Some(record.code.as_str()).filter(|code| !code.is_empty()),
                campaign: held.map(|(campaign, _)| campaign),
                operation: None,
                reason: record.outcome.word(),
                decided: &decided,
                reply: json(&record.outcome),
            },
        )
    }

    pub(super) fn hold_refused(&mut self, at: At, record: &HoldRefused) -> rusqlite::Result<()> {
        let reply = json(&record.outcome);
        let why = match &record.outcome {
            HoldOutcome::Refused(why) => Some(why),
            HoldOutcome::Held(_) | HoldOutcome::InvalidTtl | HoldOutcome::TooManyHolds => None,
        };
        let held = self.looked_up(&record.code, why)?;
        let (reason, decided) = match why {
            Some(why) => (why.word(), self.decided(why, record.club, held, None)?),
            None => (word_of(&reply), record.outcome.to_string()),
        };
        self.gathered.history(record.client, at.position);
        self.refusal(
            at,
            &Attempt {
                stamp: &record.stamp,
                command: Kind::Hold.word(),
                client: client_value(record.client),
                club: Some(record.club.0),
                code: Some(record.code.as_str()).filter(|code| !code.is_empty()),
                campaign: held.map(|(campaign, _)| campaign),
                operation: None,
                reason,
                decided: &decided,
                reply: reply.clone(),
            },
        )
    }

    pub(super) fn confirmation_refused(&mut self, at: At, record: &ConfirmationRefused) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT h.client, h.club, h.campaign, h.slot, c.value, h.amount FROM hold h
             LEFT JOIN code c ON c.campaign = h.campaign AND c.slot = h.slot WHERE h.hold = ?",
        )?;
        // A hold of another credential, or one that ended long ago, is unknown to the caller.
        let named = if record.outcome == ConfirmOutcome::UnknownHold { 0 } else { record.hold.0 };
        let mut rows = statement.query([number(named)])?;
        let (mut client, mut club, mut at_code, mut code, mut amount) = (Value::Null, None, None, None, None);
        if let Some(row) = rows.next()? {
            (client, club) = (row.get(0)?, row.get::<_, Option<u32>>(1)?);
            (at_code, code) = (Some((row.get(2)?, row.get(3)?)), row.get::<_, Option<String>>(4)?);
            amount = Some(Money(row.get(5)?));
        }
        let decided = match &record.outcome {
            ConfirmOutcome::Expired(why) => {
                // An expired hold is confirmed on the terms of a redemption, except for its amount.
                let since = self.decided(why, ClubId(club.unwrap_or(0)), at_code, amount)?;
                format!("the hold had expired, and then: {since}")
            }
            ConfirmOutcome::Confirmed(_)
            | ConfirmOutcome::UnknownHold
            | ConfirmOutcome::AlreadyConfirmed(_)
            | ConfirmOutcome::Released
            | ConfirmOutcome::UnknownTopUp
            | ConfirmOutcome::AmountLimit => record.outcome.to_string(),
        };
        let reply = json(&record.outcome);
        if let Some(client) = crate::read_model::values::client_of(&client) {
            self.gathered.history(client, at.position);
        }
        self.refusal(
            at,
            &Attempt {
                stamp: &record.stamp,
                command: Kind::Confirm.word(),
                client,
                club,
                code: code.as_deref(),
                campaign: at_code.map(|(campaign, _)| campaign),
                operation: Some(record.hold.0),
                reason: word_of(&reply),
                decided: &decided,
                reply: reply.clone(),
            },
        )
    }

    /// A refusal of any other command: the record contains its reply and subject.
    pub(super) fn other_refused(
        &mut self,
        at: At,
        stamp: &Stamp,
        kind: u16,
        subject: &Subject,
        reply: &[u8],
    ) -> rusqlite::Result<()> {
        let kind = Kind::from_number(kind);
        let outcome = kind.and_then(|kind| AnyOutcome::decode(kind, reply).ok());
        let mut reply =
            outcome.as_ref().map_or(serde_json::Value::Null, |of| serde_json::to_value(of).expect("an outcome is JSON"));
        super::staff::shorten(&mut reply);
        let reply = reply.to_string();
        let decided = outcome.as_ref().and_then(AnyOutcome::words).unwrap_or_default();
        let Subject { client, club, code, campaign, operation } = subject;
        let campaign = match (campaign, code) {
            (Some(campaign), _) => Some(campaign.0),
            (None, Some(code)) => self.holder(code)?.map(|(campaign, _)| campaign),
            (None, None) => None,
        };
        if let Some(client) = client {
            self.gathered.history(*client, at.position);
        }
        self.refusal(
            at,
            &Attempt {
                stamp,
                command: kind.map_or("unknown", Kind::word),
                client: client.map_or(Value::Null, client_value),
                club: club.map(|club| club.0),
                code: code.as_deref(),
                campaign,
                operation: operation.map(|operation| operation.0),
                reason: word_of(&reply),
                decided: &decided,
                reply: reply.clone(),
            },
        )
    }

    fn refusal(&mut self, at: At, attempt: &Attempt<'_>) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached("INSERT INTO refusal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        statement.execute(params![
            number(at.position.0),
            number(at.ms),
            attempt.command,
            attempt.stamp.credential.0,
            request_bytes(attempt.stamp.request),
            attempt.client,
            attempt.club,
            attempt.code,
            attempt.campaign,
            attempt.operation.map(number),
            attempt.reason,
            attempt.decided.strip_prefix("refused: ").unwrap_or(attempt.decided),
            attempt.reply,
        ])?;
        Ok(())
    }

    /// The campaign of a refused code, if the outcome depends on it. A request that is refused before its code is looked up
    /// reveals nothing about the code, and neither does its row.
    fn looked_up(&mut self, code: &str, why: Option<&RedeemOutcome>) -> rusqlite::Result<Option<(u32, u32)>> {
        if why.is_some_and(RedeemOutcome::is_miss) { self.holder(code) } else { Ok(None) }
    }

    /// The campaign that holds a code, or was the last to hold it, and the code's slot.
    fn holder(&mut self, code: &str) -> rusqlite::Result<Option<(u32, u32)>> {
        let mut statement =
            self.connection.prepare_cached("SELECT campaign, slot FROM code WHERE value = ? ORDER BY taken DESC LIMIT 1")?;
        statement.query_row([code], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    /// The condition by which a redemption was refused, with its numbers. `amount` is what it would have credited; `None` for
    /// the amount of the campaign.
    fn decided(
        &mut self,
        why: &RedeemOutcome,
        club: ClubId,
        held: Option<(u32, u32)>,
        amount: Option<Money>,
    ) -> rusqlite::Result<String> {
        let of = match held {
            Some((campaign, slot)) => {
                let uses = self.known.uses.of(self.connection, campaign, slot)?;
                self.known.campaigns.of(campaign).map(|of| (campaign, of, uses.activations))
            }
            None => None,
        };
        Ok(match of {
            Some((campaign, of, activations)) => {
                by_campaign(why, club, campaign, of, activations, amount.unwrap_or(of.terms.amount))
            }
            None => why.to_string(),
        })
    }
}

/// The condition, with the numbers of the code's campaign.
fn by_campaign(why: &RedeemOutcome, club: ClubId, campaign: u32, of: &Campaign, activations: u32, amount: Money) -> String {
    let Terms { name, clubs, starts_ms, ends_ms, activations_per_client_max, activations_max, budget, .. } = &of.terms;
    let limit = |limit: &Option<u64>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let campaign = format!("campaign {campaign} ({name})");
    match why {
        RedeemOutcome::CodeArchived => format!("the code of {campaign} is archived"),
        RedeemOutcome::CampaignArchived => format!("{campaign} is archived"),
        RedeemOutcome::CampaignInactive => format!("{campaign} is switched off"),
        RedeemOutcome::OutsidePeriod => {
            let moment = |ms: &Option<u64>| ms.map_or_else(|| "any time".to_owned(), time);
            format!("{campaign} runs from {} to {}, and enforces it", moment(starts_ms), moment(ends_ms))
        }
        RedeemOutcome::ClubExcluded => {
            let mut shown = String::new();
            for (ClubId(one), at) in clubs.iter().zip(0..12) {
                let _ = match at {
                    11 => write!(shown, ", ..."),
                    0 => write!(shown, "{one}"),
                    _ => write!(shown, ", {one}"),
                };
            }
            format!("{campaign} runs at clubs {shown}, and not at club {club}")
        }
        RedeemOutcome::CodeExhausted => {
            let cap = of.terms.activations_per_code_max.map(u64::from);
            format!("{activations} of {} activations of the code are used; held uses count as well", limit(&cap))
        }
        RedeemOutcome::ClientExhausted => {
            let limit = limit(&activations_per_client_max.map(u64::from));
            format!("the client has used codes of {campaign} as often as it allows: {limit}")
        }
        RedeemOutcome::CampaignExhausted => {
            let (so_far, limit) = (of.activations, limit(activations_max));
            format!("{so_far} of {limit} activations of {campaign} are used; held uses count as well")
        }
        RedeemOutcome::BudgetExhausted => {
            let issued = Money(of.issued);
            let budget = budget.map_or_else(|| "none".to_owned(), |budget| budget.to_string());
            format!(
                "{campaign} has credited {issued} of its budget of {budget}, and one more is {amount}; held uses count as well"
            )
        }
        RedeemOutcome::AmountLimit => format!("the client's balance or the sum of {campaign} cannot hold this bonus"),
        RedeemOutcome::Redeemed(_)
        | RedeemOutcome::InvalidCode(_)
        | RedeemOutcome::UnknownClub
        | RedeemOutcome::UnknownTopUp
        | RedeemOutcome::UnknownCode
        | RedeemOutcome::NotAccepted => why.to_string(),
    }
}

/// A time for people, in UTC.
fn time(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| format!("{ms} ms"), |moment| moment.to_string())
}

/// The word of an outcome in JSON: `"word"`, or `{"word": ...}`.
fn word_of(json: &str) -> &str {
    json.split('"').nth(1).unwrap_or("refused")
}
