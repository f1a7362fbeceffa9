//! Top-up: adds money to the gaming balance and applies the rules, in one record (U2, U7).

use scrip_protocol::command::{RuleFired, TopUp, TopUpOutcome as Outcome, ToppedUp};
use scrip_protocol::{Money, Record, Stamp, Variables};
use scrip_rules::{Fired, fire_all};

use super::executor::executor;
use super::{State, refused};

pub(super) fn decide(state: &State, stamp: Stamp, request: &TopUp) -> Record {
    let refuse = |outcome| refused::<TopUp>(stamp, &outcome);
    let TopUp { client, club, amount, source, .. } = *request;
    if amount <= Money(0) {
        return refuse(Outcome::InvalidAmount);
    }
    let note = match request.note.in_order() {
        Ok(note) => note,
        Err(why) => return refuse(Outcome::InvalidNote(why)),
    };
    if !state.clubs.contains(club) {
        return refuse(Outcome::UnknownClub);
    }
    let before = state.clients.accounts(client).unwrap_or_default();
    let Some(gaming) = before.gaming.checked_add(amount) else { return refuse(Outcome::AmountLimit) };
    // Reads the client once, before anything is done, so that each rule sees the same values whatever the order (A22).
    let variables =
        Variables { amount, source, gaming: before.gaming, bonus: before.bonus, spent: before.spent, sessions: before.sessions };
    let Fired { fired, failed, beyond, bonus } = fire_all(state.rules.matching(club, &variables), &variables);
    let executor = executor(state, &stamp, note.by);
    let (comment, tags) = (note.comment, note.tags);
    ToppedUp { stamp, executor, client, club, variables, fired, failed, beyond, gaming, bonus, comment, tags }.into()
}

pub(super) fn apply(state: &mut State, record: &ToppedUp) {
    state.clients.set_balances(record.client, record.gaming, record.bonus);
    record.fired.iter().for_each(|fired| state.rules.count_fired(fired.rule, fired.credited()));
    record.failed.iter().for_each(|failed| state.rules.count_failed(failed.rule));
    // Being added to a group wins, whichever rule comes first.
    let groups_of = |of: fn(&RuleFired) -> &Vec<_>| record.fired.iter().flat_map(of).copied();
    groups_of(|fired| &fired.unassigned).for_each(|group| state.groups.unassign(record.client, group));
    groups_of(|fired| &fired.assigned).for_each(|group| state.groups.assign(record.client, group));
}
