//! Manual changes of the bonus balance, and payments with it: credits, write-offs, payments and their refunds (B3, B4, A30).

use scrip_protocol::command::{
    BonusChanged, BonusDone, BonusOperation, BonusOutcome as Outcome, CreditBonus, Note, PayBonus, RefundBonus,
    RefundBonusOutcome, WriteOffBonus,
};
use scrip_protocol::ledger::ExecutorKind;
use scrip_protocol::{ClientId, ClubId, Command, Executor, Money, Position, Record, Stamp};

use super::executor::executor;
use super::refund::is_dropped;
use super::{State, refused};

/// A request to refund a bonus payment, with the payment as the journal has it.
#[derive(Debug, Clone)]
pub struct RefundBonusRequest {
    /// The position of the payment in the request.
    pub payment: Position,
    /// The payment at that position, if there is one.
    pub found: Option<BonusChanged>,
    /// The first position that the journal retains: earlier records are no longer known.
    pub kept_from: Position,
    /// Whether the payment may be of any credential, or only the caller's own.
    pub anyones: bool,
    /// The amount; none for the remainder.
    pub amount: Option<Money>,
    /// Who did it, and their comment.
    pub note: Note,
}

/// What credits, write-offs and payments have in common.
struct Terms<'a> {
    operation: BonusOperation,
    client: ClientId,
    club: Option<ClubId>,
    amount: Money,
    note: &'a Note,
}

pub(super) fn decide_credit(state: &State, stamp: Stamp, request: &CreditBonus) -> Record {
    let CreditBonus { client, club, amount, note } = request;
    let request = Terms { operation: BonusOperation::Credit, client: *client, club: *club, amount: *amount, note };
    decide::<CreditBonus>(state, stamp, &request)
}

pub(super) fn decide_write_off(state: &State, stamp: Stamp, request: &WriteOffBonus) -> Record {
    let WriteOffBonus { client, club, amount, note } = request;
    let request = Terms { operation: BonusOperation::WriteOff, client: *client, club: *club, amount: *amount, note };
    decide::<WriteOffBonus>(state, stamp, &request)
}

pub(super) fn decide_payment(state: &State, stamp: Stamp, request: &PayBonus) -> Record {
    let PayBonus { client, club, amount, paid_for, note } = request;
    let operation = BonusOperation::Payment(*paid_for);
    let request = Terms { operation, client: *client, club: Some(*club), amount: *amount, note };
    decide::<PayBonus>(state, stamp, &request)
}

fn decide<C: Command<Outcome = Outcome>>(state: &State, stamp: Stamp, request: &Terms<'_>) -> Record {
    let refuse = |outcome| refused::<C>(stamp, &outcome);
    let Terms { operation, client, club, amount, note } = *request;
    if amount <= Money(0) {
        return refuse(Outcome::InvalidAmount);
    }
    let note = match note.in_order() {
        Ok(note) => note,
        Err(why) => return refuse(Outcome::InvalidNote(why)),
    };
    if club.is_some_and(|club| !state.clubs.contains(club)) {
        return refuse(Outcome::UnknownClub);
    }
    let Some(before) = state.clients.bonus(client) else { return refuse(Outcome::UnknownClient) };
    let balance = match operation {
        BonusOperation::Credit | BonusOperation::Refund { .. } => match before.checked_add(amount) {
            Some(balance) => balance,
            None => return refuse(Outcome::AmountLimit),
        },
        BonusOperation::WriteOff | BonusOperation::Payment(_) if before < amount => {
            return refuse(Outcome::Overdraft { balance: before });
        }
        BonusOperation::WriteOff | BonusOperation::Payment(_) => Money(before.0 - amount.0),
    };
    let executor = executor(state, &stamp, note.by);
    let (comment, tags) = (note.comment, note.tags);
    BonusChanged { stamp, operation, executor, client, club, amount, balance, comment, tags }.into()
}

pub(super) fn decide_refund(state: &State, stamp: Stamp, request: &RefundBonusRequest) -> Record {
    let refuse = |outcome| refused::<RefundBonus>(stamp, &outcome);
    if request.amount.is_some_and(|amount| amount <= Money(0)) {
        return refuse(RefundBonusOutcome::InvalidAmount);
    }
    let note = match request.note.in_order() {
        Ok(note) => note,
        Err(why) => return refuse(RefundBonusOutcome::InvalidNote(why)),
    };
    if is_dropped(request.payment, request.kept_from) {
        return refuse(RefundBonusOutcome::NotKept { first: request.kept_from });
    }
    let own = request.found.as_ref().filter(|found| request.anyones || found.stamp.credential == stamp.credential);
    let payment = own.filter(|found| matches!(found.operation, BonusOperation::Payment(_)));
    let Some(payment) = payment else { return refuse(RefundBonusOutcome::UnknownPayment) };
    let before = state.given_back.of(request.payment);
    let left = Money(payment.amount.0.saturating_sub(before.0));
    let amount = request.amount.unwrap_or(left);
    if amount > left || left <= Money(0) {
        return refuse(RefundBonusOutcome::MoreThanLeft { left });
    }
    let balance = state.clients.bonus(payment.client).unwrap_or(Money(0)).checked_add(amount);
    let Some(balance) = balance else { return refuse(RefundBonusOutcome::AmountLimit) };
    BonusChanged {
        stamp,
        operation: BonusOperation::Refund { payment: request.payment },
        // Reports list it as the system's, regardless of the caller (B3).
        executor: Executor { kind: ExecutorKind::System, ..executor(state, &stamp, note.by) },
        client: payment.client,
        club: payment.club,
        amount,
        balance,
        comment: note.comment,
        tags: note.tags,
    }
    .into()
}

pub(super) fn apply(state: &mut State, record: &BonusChanged) {
    state.clients.set_bonus(record.client, record.balance);
    if let BonusOperation::Refund { payment } = record.operation {
        state.given_back.give_back(payment, record.amount);
    }
}

/// The answer to the request that a record comes from.
pub(super) fn reply_of(record: &BonusChanged, position: Position) -> super::Remembered {
    let done: BonusDone = record.done(position);
    match record.operation {
        BonusOperation::Credit => super::encoded::<CreditBonus>(&Outcome::Done(done)),
        BonusOperation::WriteOff => super::encoded::<WriteOffBonus>(&Outcome::Done(done)),
        BonusOperation::Payment(_) => super::encoded::<PayBonus>(&Outcome::Done(done)),
        BonusOperation::Refund { .. } => super::encoded::<RefundBonus>(&RefundBonusOutcome::Done(done)),
    }
}
