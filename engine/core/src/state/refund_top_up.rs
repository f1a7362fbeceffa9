//! Refund of a top-up, in full or in part; the bonus of its rules is clawed back only on request (A29).

use scrip_protocol::command::{Note, RefundTopUp, RefundTopUpOutcome as Outcome, TopUpGivenBack, TopUpRefunded, ToppedUp};
use scrip_protocol::{Money, Position, Record, Stamp};

use super::executor::executor;
use super::refund::is_dropped;
use super::{State, refused};

/// A request to refund a top-up, with the top-up as the journal has it.
#[derive(Debug, Clone)]
pub struct RefundTopUpRequest {
    /// The position of the top-up in the request.
    pub top_up: Position,
    /// The top-up at that position, if there is one.
    pub found: Option<ToppedUp>,
    /// The first position that the journal retains: earlier records are no longer known.
    pub kept_from: Position,
    /// Whether the top-up may be of any credential, or only the caller's own.
    pub anyones: bool,
    /// The amount; none for the remainder.
    pub amount: Option<Money>,
    /// Whether to claw back the bonus.
    pub claw_back: bool,
    /// Who did it, and their comment.
    pub note: Note,
}

pub(super) fn decide(state: &State, stamp: Stamp, request: &RefundTopUpRequest) -> Record {
    let refuse = |outcome| refused::<RefundTopUp>(stamp, &outcome);
    if request.amount.is_some_and(|amount| amount <= Money(0)) {
        return refuse(Outcome::InvalidAmount);
    }
    let note = match request.note.in_order() {
        Ok(note) => note,
        Err(why) => return refuse(Outcome::InvalidNote(why)),
    };
    if is_dropped(request.top_up, request.kept_from) {
        return refuse(Outcome::NotKept { first: request.kept_from });
    }
    let own = request.found.as_ref().filter(|found| request.anyones || found.stamp.credential == stamp.credential);
    let Some(found) = own else { return refuse(Outcome::UnknownTopUp) };
    let whole = found.variables.amount;
    // Other amounts occur only in a damaged snapshot that is not verified yet.
    let before = state.given_back.of(request.top_up).clamp(Money(0), whole.max(Money(0)));
    let left = Money(whole.0.saturating_sub(before.0));
    let amount = request.amount.unwrap_or(left);
    if amount > left || left <= Money(0) {
        return refuse(Outcome::MoreThanLeft { left });
    }
    let accounts = state.clients.accounts(found.client).unwrap_or_default();
    if accounts.gaming < amount {
        return refuse(Outcome::Overdraft { balance: accounts.gaming });
    }
    let due = if request.claw_back { share_of(found.credited(), whole, before, amount) } else { Money(0) };
    let clawed = due.min(accounts.bonus).max(Money(0));
    let given_back = TopUpGivenBack {
        amount,
        gaming: Money(accounts.gaming.0 - amount.0),
        clawed,
        uncollected: Money(due.0 - clawed.0),
        bonus: Money(accounts.bonus.0.saturating_sub(clawed.0)),
    };
    TopUpRefunded {
        stamp,
        top_up: request.top_up,
        executor: executor(state, &stamp, note.by),
        client: found.client,
        club: found.club,
        claw_back: request.claw_back,
        given_back,
        comment: note.comment,
        tags: note.tags,
    }
    .into()
}

/// The share of a top-up's bonus that corresponds to a part of the top-up, after earlier refunds of `before`. The shares add up
/// to the bonus, however it is divided, because each is the difference of two rounded sums.
fn share_of(credited: Money, whole: Money, before: Money, amount: Money) -> Money {
    let up_to = |part: i64| {
        let (credited, whole) = (i128::from(credited.0), i128::from(whole.0));
        (2 * credited * i128::from(part) + whole) / (2 * whole)
    };
    let share = up_to(before.0 + amount.0) - up_to(before.0);
    Money(i64::try_from(share).expect("a share is at most the whole"))
}

pub(super) fn apply(state: &mut State, record: &TopUpRefunded) {
    let TopUpGivenBack { amount, gaming, bonus, .. } = record.given_back;
    state.clients.set_balances(record.client, gaming, bonus);
    state.given_back.give_back(record.top_up, amount);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A29, pain 28: the shares are of whole minor units, and add up to the bonus.
    #[test]
    fn shares_of_a_bonus_add_up_to_it() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let (credited, whole) = (random.i64(0..i64::MAX), random.i64(1..i64::MAX));
            let (mut given, mut clawed) = (0, 0);
            while given < whole {
                let part = random.i64(1..=(whole - given).min(whole / 3 + 1));
                let share = share_of(Money(credited), Money(whole), Money(given), Money(part));
                assert!(share >= Money(0), "seed {seed}");
                given += part;
                clawed += share.0;
            }
            assert_eq!(clawed, credited, "seed {seed}");
        }
    }
}
