//! The operations of a client, newest first (B5, B8), each with its label, executor and origin (B2, B3).
//!
//! A page holds whole records: one that moved an account several times, such as a top-up on which rules fired, is never split.

use rusqlite::{CachedStatement, OptionalExtension, Row};
use scrip_protocol::ledger::TAG_PROMO_CODE;
use scrip_protocol::{ClientId, Label};
use serde::Serialize;
use utoipa::ToSchema;

use crate::read_model::{AsOf, HISTORY_BITS, View};
use crate::refusals::{self, Refusal};
use crate::shown::{self, Amount, At, Client, Json, Request};

/// The maximum number of records examined for a page.
const LOOKED_AT_MAX: usize = 16_384;

/// Every label, ordered by number.
pub const LABELS: [Label; 8] = [
    Label::TopUp,
    Label::TopUpRefund,
    Label::Session,
    Label::Purchase,
    Label::BonusCredit,
    Label::BonusPayment,
    Label::BonusWriteOff,
    Label::BonusRefund,
];

/// Selects operations.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// The kind.
    pub kind: KindFilter,
    /// Only entries with this label.
    pub label: Option<Label>,
    /// Only at this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Only before this time.
    pub end_ms: Option<i64>,
    /// Only entries of at least this amount, ignoring the sign.
    pub amount_min: Option<i64>,
    /// Only entries of at most this amount, ignoring the sign.
    pub amount_max: Option<i64>,
    /// Only operations before this position.
    pub before: Option<u64>,
    /// The maximum number; the last record may exceed it.
    pub limit: usize,
}

/// The kinds of operations to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KindFilter {
    /// Movements of an account. Payments made without an account, and refunds that found nothing to debit, have the amount 0.
    #[default]
    Ledger,
    /// Holds.
    Holds,
    /// Refused attempts.
    Refusals,
    /// All kinds.
    All,
}

/// An operation of a client.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// A movement of an account.
    Entry(Entry),
    /// A hold of a code's use.
    Hold(Hold),
    /// A refused attempt.
    Refusal(Refusal),
    /// A payment made without an account.
    Spending(Spending),
    /// A refund of an activation whose bonus was spent completely.
    Refund(Refunded),
}

/// A movement of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// The record.
    pub position: u64,
    /// The index of the entry in the record, from 0.
    pub nth: u64,
    /// When.
    pub at: At,
    /// `gaming` or `bonus`.
    pub account: String,
    /// The label, such as `Bonus Credit` (B3).
    pub label: String,
    /// Who did it (A28).
    pub executor: Executor,
    /// The origin (B2).
    pub origin: Origin,
    /// The amount: positive for a credit, negative for a debit.
    pub amount: Amount,
    /// The balance of the account after the entry.
    pub balance: Amount,
    /// The request that caused it.
    pub request: Request,
    /// The club.
    pub club: Option<u32>,
    /// The name of the club.
    pub club_name: Option<String>,
    /// The executor's comment.
    pub comment: String,
    /// Its tags (B6).
    pub tags: Vec<String>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Executor {
    /// `System` or `Administrator`.
    pub kind: String,
    /// The name; empty if it happened automatically.
    pub name: String,
    /// The credential; 0 if it happened automatically.
    pub credential: u32,
}

/// The origin of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Origin {
    /// `request`, `code`, `rule`, `activation`, `top_up` or `payment`.
    pub kind: String,
    /// The number of the campaign or rule, or the position of the activation, top-up or payment.
    pub id: Option<u64>,
    /// The name of the campaign or rule.
    pub name: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// The source of the money of a top-up, such as `CASH`; also set on what rules credited for the top-up.
    pub source: Option<String>,
    /// The purpose of a payment with bonuses: `order` or `gaming_time`.
    pub purpose: Option<String>,
}

/// A hold (Z1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hold {
    /// The hold.
    pub position: u64,
    /// When.
    pub at: At,
    /// The club.
    pub club: u32,
    /// The campaign.
    pub campaign: u32,
    /// The name of the campaign.
    pub campaign_name: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// The bonus of the held use.
    pub amount: Amount,
    /// When it expires or expired.
    pub expires_at: At,
    /// The request.
    pub request: Request,
    /// The state of the hold.
    pub state: HoldState,
    /// The record that ended the hold.
    pub ended_by: Option<u64>,
}

/// A session or a purchase that was paid for directly, without an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Spending {
    /// The record.
    pub position: u64,
    /// When.
    pub at: At,
    /// The purpose: `Session` or `Purchase`.
    pub label: String,
    /// The amount debited from an account: 0.
    pub amount: Amount,
    /// The price.
    pub price: Amount,
    /// Who did it (A28).
    pub executor: Executor,
    /// The club.
    pub club: u32,
    /// The name of the club.
    pub club_name: Option<String>,
    /// The credential that sent the request.
    pub credential: u32,
    /// The name of the credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Request,
    /// The executor's comment.
    pub comment: String,
    /// Its tags (B6).
    pub tags: Vec<String>,
}

/// A refund that released a use, but found nothing to debit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refunded {
    /// The record.
    pub position: u64,
    /// When.
    pub at: At,
    /// The activation that was refunded.
    pub activation: u64,
    /// The campaign.
    pub campaign: u32,
    /// The name of the campaign.
    pub campaign_name: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// The amount debited: 0.
    pub amount: Amount,
    /// The amount that could not be debited because it was spent.
    pub uncollected: Amount,
    /// The credential that sent the request.
    pub credential: u32,
    /// The name of the credential.
    pub credential_name: Option<String>,
    /// The request.
    pub request: Request,
}

/// The state of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// The hold is open.
    Open,
    /// The use was activated.
    Confirmed,
    /// The use was released.
    Released,
    /// The hold expired, and the use was released.
    Expired,
}

/// A page of the operations of a client.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Operations {
    /// Newest first. Can be empty even if there is a next page.
    pub operations: Vec<Operation>,
    /// The `before` of the next page; none on the last page.
    pub next: Option<u64>,
    /// What the page is as of.
    pub as_of: AsOf,
}

/// A page of the operations of a client that match a filter; none if the client does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn list(view: &View<'_>, client: ClientId, filter: &OperationFilter) -> rusqlite::Result<Option<Operations>> {
    let is_there = view.connection.prepare_cached("SELECT 1 FROM client WHERE client = ?1")?.exists([Client(client)])?;
    if !is_there && !super::has_history(view, client)? {
        return Ok(None);
    }
    let done = |operations, next| Ok(Some(Operations { operations, next, as_of: view.now() }));
    let before = shown::bound(filter.before.unwrap_or(u64::MAX)).min(shown::bound(view.as_of.position.0).saturating_add(1));
    let mut positions = view.connection.prepare_cached(POSITIONS)?;
    let mut records = Records::new(view)?;
    let (mut operations, mut looked_at, mut last) = (Vec::new(), 0, None);
    for stretch in (0..=before >> HISTORY_BITS).rev() {
        let mut positions = positions.query((stretch, Client(client), before))?;
        while let Some(row) = positions.next()? {
            let position = shown::whole(row, 0)?;
            if operations.len() >= filter.limit || looked_at >= LOOKED_AT_MAX {
                return done(operations, last);
            }
            let found = records.of(position, client)?;
            // Earlier records in the journal are not newer.
            if found.iter().any(|operation| filter.from_ms.is_some_and(|from| shown::bound(operation.at().0) < from)) {
                return done(operations, None);
            }
            operations.extend(found.into_iter().filter(|operation| filter.passes(operation)));
            (looked_at, last) = (looked_at + 1, Some(position));
        }
    }
    done(operations, None)
}

pub(crate) const POSITIONS: &str =
    "SELECT position FROM client_history WHERE stretch = ?1 AND client = ?2 AND position < ?3 ORDER BY position DESC";

impl Operation {
    fn at(&self) -> At {
        match self {
            Operation::Entry(entry) => entry.at,
            Operation::Hold(hold) => hold.at,
            Operation::Refusal(refusal) => refusal.at,
            Operation::Spending(spending) => spending.at,
            Operation::Refund(refund) => refund.at,
        }
    }
}

impl OperationFilter {
    fn passes(&self, operation: &Operation) -> bool {
        let of_entry = self.label.is_some() || self.amount_min.is_some() || self.amount_max.is_some();
        let of_kind = match (self.kind, operation) {
            (KindFilter::All, _)
            | (KindFilter::Ledger, Operation::Entry(_) | Operation::Spending(_) | Operation::Refund(_))
            | (KindFilter::Holds, Operation::Hold(_))
            | (KindFilter::Refusals, Operation::Refusal(_)) => true,
            (KindFilter::Ledger | KindFilter::Holds | KindFilter::Refusals, _) => false,
        };
        let fits = match operation {
            Operation::Hold(_) | Operation::Refusal(_) => !of_entry,
            Operation::Entry(entry) => self.takes(&entry.label, entry.amount),
            Operation::Spending(spending) => self.takes(&spending.label, spending.amount),
            Operation::Refund(refund) => self.takes(Label::BonusWriteOff.words(), refund.amount),
        };
        of_kind && fits && self.end_ms.is_none_or(|end| shown::bound(operation.at().0) < end)
    }

    fn takes(&self, of: &str, amount: Amount) -> bool {
        let amount = amount.0.unsigned_abs();
        let at_least = |min: i64| amount >= min.max(0).unsigned_abs();
        let at_most = |max: i64| max >= 0 && amount <= max.unsigned_abs();
        self.label.is_none_or(|label| of == label.words())
            && self.amount_min.is_none_or(at_least)
            && self.amount_max.is_none_or(at_most)
    }
}

/// The rows of one record.
pub(crate) struct Records<'v> {
    now_ms: u64,
    activation: CachedStatement<'v>,
    entries: CachedStatement<'v>,
    hold: CachedStatement<'v>,
    refusal: CachedStatement<'v>,
    spending: CachedStatement<'v>,
    refund: CachedStatement<'v>,
}

pub(crate) const ACTIVATION: &str = "SELECT a.at_ms, a.club, club.name, a.campaign, campaign.name, code.code, a.amount, a.balance, a.request \
     FROM activation a \
     LEFT JOIN club ON club.club = a.club \
     LEFT JOIN campaign ON campaign.campaign = a.campaign \
     LEFT JOIN code ON code.campaign = a.campaign AND code.slot = a.slot \
     WHERE a.activation = ?1";

pub(crate) const ENTRIES: &str = "SELECT e.nth, e.at_ms, e.account, e.label, e.executor, e.executor_name, e.credential, e.origin, \
     e.origin_id, rule.name, e.amount, e.balance, e.club, club.name, e.comment, e.tags, e.request, e.source, e.purpose \
     FROM entry e \
     LEFT JOIN club ON club.club = e.club \
     LEFT JOIN rule ON e.origin = 'rule' AND rule.rule = e.origin_id \
     WHERE e.position = ?1 AND e.client = ?2 ORDER BY e.nth DESC";

pub(crate) const HOLD: &str = "SELECT h.at_ms, h.club, h.campaign, campaign.name, code.code, h.amount, h.expires_ms, h.ended, h.ended_at, h.request \
     FROM hold h \
     LEFT JOIN campaign ON campaign.campaign = h.campaign \
     LEFT JOIN code ON code.campaign = h.campaign AND code.slot = h.slot \
     WHERE h.hold = ?1";

pub(crate) const SPENDING: &str = "SELECT s.at_ms, s.kind, s.price, s.club, club.name, s.credential, credential.name, s.executor, s.executor_name, \
     s.request, s.comment, s.tags \
     FROM spending s \
     LEFT JOIN club ON club.club = s.club \
     LEFT JOIN credential ON credential.credential = s.credential \
     WHERE s.position = ?1";

pub(crate) const REFUND: &str = "SELECT r.at_ms, r.activation, r.campaign, campaign.name, code.code, r.taken, r.uncollected, \
     r.credential, credential.name, r.request \
     FROM refund r \
     LEFT JOIN campaign ON campaign.campaign = r.campaign \
     LEFT JOIN code ON code.campaign = r.campaign AND code.slot = r.slot \
     LEFT JOIN credential ON credential.credential = r.credential \
     WHERE r.refund = ?1";

impl<'v> Records<'v> {
    pub(crate) fn new(view: &View<'v>) -> rusqlite::Result<Records<'v>> {
        Ok(Records {
            now_ms: view.now_ms,
            activation: view.connection.prepare_cached(ACTIVATION)?,
            entries: view.connection.prepare_cached(ENTRIES)?,
            hold: view.connection.prepare_cached(HOLD)?,
            refusal: view.connection.prepare_cached(&refusals::select(refusals::ONE))?,
            spending: view.connection.prepare_cached(SPENDING)?,
            refund: view.connection.prepare_cached(REFUND)?,
        })
    }

    /// The operations of a record on a client, newest first. Most are activations.
    pub(crate) fn of(&mut self, position: u64, client: ClientId) -> rusqlite::Result<Vec<Operation>> {
        let at = shown::bound(position);
        if let Some(entry) = self.activation.query_row([at], |row| credited(row, position)).optional()? {
            return Ok(vec![Operation::Entry(entry)]);
        }
        let entries = self.entries.query_map((at, Client(client)), |row| entry(row, position).map(Operation::Entry))?;
        let entries = entries.collect::<rusqlite::Result<Vec<_>>>()?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        let now_ms = self.now_ms;
        if let Some(hold) = self.hold.query_row([at], |row| hold(row, position, now_ms)).optional()? {
            return Ok(vec![Operation::Hold(hold)]);
        }
        if let Some(refusal) = self.refusal.query_row([at], refusals::of_row).optional()? {
            return Ok(vec![Operation::Refusal(refusal)]);
        }
        if let Some(spending) = self.spending.query_row([at], |row| spending(row, position)).optional()? {
            return Ok(vec![Operation::Spending(spending)]);
        }
        let refund = self.refund.query_row([at], |row| refunded(row, position)).optional()?;
        Ok(refund.map(Operation::Refund).into_iter().collect())
    }
}

/// D6, A13: the ledger entry of an activation.
fn credited(row: &Row<'_>, position: u64) -> rusqlite::Result<Entry> {
    Ok(Entry {
        position,
        nth: 0,
        at: row.get(0)?,
        account: "bonus".to_owned(),
        label: Label::BonusCredit.words().to_owned(),
        executor: Executor { kind: "System".to_owned(), name: String::new(), credential: 0 },
        origin: Origin {
            kind: "code".to_owned(),
            id: Some(shown::whole(row, 3)?),
            name: row.get(4)?,
            code: row.get(5)?,
            source: None,
            purpose: None,
        },
        amount: row.get(6)?,
        balance: row.get(7)?,
        request: row.get(8)?,
        club: row.get(1)?,
        club_name: row.get(2)?,
        comment: String::new(),
        tags: vec![TAG_PROMO_CODE.to_owned()],
    })
}

fn entry(row: &Row<'_>, position: u64) -> rusqlite::Result<Entry> {
    let Json(tags) = row.get(15)?;
    Ok(Entry {
        position,
        nth: shown::whole(row, 0)?,
        at: row.get(1)?,
        account: row.get(2)?,
        label: row.get(3)?,
        executor: Executor { kind: row.get(4)?, name: row.get(5)?, credential: row.get(6)? },
        origin: Origin {
            kind: row.get(7)?,
            id: shown::whole_or_none(row, 8)?,
            name: row.get(9)?,
            code: None,
            source: row.get(17)?,
            purpose: row.get(18)?,
        },
        amount: row.get(10)?,
        balance: row.get(11)?,
        request: row.get(16)?,
        club: row.get(12)?,
        club_name: row.get(13)?,
        comment: row.get(14)?,
        tags,
    })
}

fn spending(row: &Row<'_>, position: u64) -> rusqlite::Result<Spending> {
    let kind: String = row.get(1)?;
    let label = if kind == "session" { Label::Session } else { Label::Purchase };
    let Json(tags) = row.get(11)?;
    Ok(Spending {
        position,
        at: row.get(0)?,
        label: label.words().to_owned(),
        amount: Amount(0),
        price: row.get(2)?,
        executor: Executor { kind: row.get(7)?, name: row.get(8)?, credential: row.get(5)? },
        club: row.get(3)?,
        club_name: row.get(4)?,
        credential: row.get(5)?,
        credential_name: row.get(6)?,
        request: row.get(9)?,
        comment: row.get(10)?,
        tags,
    })
}

fn refunded(row: &Row<'_>, position: u64) -> rusqlite::Result<Refunded> {
    Ok(Refunded {
        position,
        at: row.get(0)?,
        activation: shown::whole(row, 1)?,
        campaign: row.get(2)?,
        campaign_name: row.get(3)?,
        code: row.get(4)?,
        amount: row.get(5)?,
        uncollected: row.get(6)?,
        credential: row.get(7)?,
        credential_name: row.get(8)?,
        request: row.get(9)?,
    })
}

fn hold(row: &Row<'_>, position: u64, now_ms: u64) -> rusqlite::Result<Hold> {
    let expires_at: At = row.get(6)?;
    let ended: Option<String> = row.get(7)?;
    let state = match ended.as_deref() {
        Some("confirmed") => HoldState::Confirmed,
        Some(_) => HoldState::Released,
        None if expires_at.0 <= now_ms => HoldState::Expired,
        None => HoldState::Open,
    };
    Ok(Hold {
        position,
        at: row.get(0)?,
        club: row.get(1)?,
        campaign: row.get(2)?,
        campaign_name: row.get(3)?,
        code: row.get(4)?,
        amount: row.get(5)?,
        expires_at,
        state,
        ended_by: shown::whole_or_none(row, 8)?,
        request: row.get(9)?,
    })
}
