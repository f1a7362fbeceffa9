//! Sessions and purchases, which provide the variables of rules (U3).

use scrip_protocol::command::{Note, PaidFrom, RecordPurchase, RecordSession, SpendOutcome as Outcome, Spent, SpentOn};
use scrip_protocol::{Accounts, ClientId, ClubId, Command, Money, Position, Record, Stamp};

use super::executor::executor;
use super::{Remembered, State, encoded, refused};

/// What both have in common.
struct Terms<'a> {
    on: SpentOn,
    client: ClientId,
    club: ClubId,
    price: Money,
    paid_from: PaidFrom,
    note: &'a Note,
}

pub(super) fn decide_session(state: &State, stamp: Stamp, request: &RecordSession) -> Record {
    let RecordSession { client, club, price, paid_from, ref note } = *request;
    decide::<RecordSession>(state, stamp, &Terms { on: SpentOn::Session, client, club, price, paid_from, note })
}

pub(super) fn decide_purchase(state: &State, stamp: Stamp, request: &RecordPurchase) -> Record {
    let RecordPurchase { client, club, price, paid_from, ref note } = *request;
    decide::<RecordPurchase>(state, stamp, &Terms { on: SpentOn::Purchase, client, club, price, paid_from, note })
}

fn decide<C: Command<Outcome = Outcome>>(state: &State, stamp: Stamp, request: &Terms<'_>) -> Record {
    let refuse = |outcome| refused::<C>(stamp, &outcome);
    let Terms { on, client, club, price, paid_from, note } = *request;
    let (least, sessions) = match on {
        SpentOn::Session => (Money(0), 1),
        SpentOn::Purchase => (Money(1), 0),
    };
    if price < least {
        return refuse(Outcome::InvalidAmount);
    }
    let note = match note.in_order() {
        Ok(note) => note,
        Err(why) => return refuse(Outcome::InvalidNote(why)),
    };
    if !state.clubs.contains(club) {
        return refuse(Outcome::UnknownClub);
    }
    let Some(before) = state.clients.accounts(client) else { return refuse(Outcome::UnknownClient) };
    let from_balance = match paid_from {
        PaidFrom::GamingBalance => price,
        PaidFrom::Directly => Money(0),
    };
    if before.gaming < from_balance {
        return refuse(Outcome::Overdraft { balance: before.gaming });
    }
    let (spent, sessions) = (before.spent.checked_add(price), before.sessions.checked_add(sessions));
    let (Some(spent), Some(sessions)) = (spent, sessions) else { return refuse(Outcome::AmountLimit) };
    let after = Accounts { gaming: Money(before.gaming.0 - from_balance.0), spent, sessions, ..before };
    let executor = executor(state, &stamp, note.by);
    let (comment, tags) = (note.comment, note.tags);
    Spent { stamp, on, executor, client, club, price, paid_from, after, comment, tags }.into()
}

pub(super) fn apply(state: &mut State, record: &Spent) {
    state.clients.set_accounts(record.client, record.after);
}

/// The answer to the request that a record comes from.
pub(super) fn reply_of(record: &Spent, position: Position) -> Remembered {
    let outcome = record.outcome(position);
    match record.on {
        SpentOn::Session => encoded::<RecordSession>(&outcome),
        SpentOn::Purchase => encoded::<RecordPurchase>(&outcome),
    }
}
