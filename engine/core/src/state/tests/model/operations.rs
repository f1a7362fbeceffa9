//! Random requests of the ledger and of rules, each with the model's answer.

use scrip_protocol::command::{
    ArchiveRule, CreateRule, CreditBonus, PaidFrom, PayBonus, RecordPurchase, RecordSession, RefundBonus, RefundTopUp,
    RegisterGroup, RestoreRule, RuleChanges, SwitchRule, TopUp, UpdateRule, WriteOffBonus,
};
use scrip_protocol::{ClientId, ClubId, Money, Position, Record, RuleId, TopUpSource};

use super::commands::{some_client, some_club, some_kept_from};
use super::ledger::{some_note, some_use};
use super::{Bench, Model, encoded};
use crate::state::requests::Remembered;
use crate::state::{Mutation, RefundBonusRequest, RefundTopUpRequest};

/// How often each kind of request is drawn, out of this many.
pub(super) const SHARES: u32 = 40;

/// Rarely an unknown one.
fn some_known_client(random: &mut fastrand::Rng, number: u64) -> ClientId {
    ClientId(if random.u32(..20) == 0 { u128::MAX } else { some_client(random, number) })
}

/// An addition to a balance: rarely one that fills it, or exceeds it by one.
fn some_more(random: &mut fastrand::Rng, balance: i128) -> Money {
    let room = i64::MAX - balance as i64;
    match random.u32(..40) {
        0 => Money(room),
        1 => Money(room.saturating_add(1)),
        2..20 => Money(random.i64(1..2_000)),
        _ => Model::some_amount(random),
    }
}

/// A subtraction from a balance: often all of it, one more, or some.
fn some_less(random: &mut fastrand::Rng, balance: i128) -> Money {
    let balance = balance as i64;
    match random.u32(..16) {
        0..2 => Money(balance),
        2 => Money(balance.saturating_add(1)),
        3..6 => Money(random.i64(0..=balance)),
        6..9 => Money(random.i64(0..=balance.min(200))),
        _ => Model::some_amount(random),
    }
}

/// The amount of a refund: mostly the remainder, or part of a small amount.
fn some_part(random: &mut fastrand::Rng) -> Option<Money> {
    match random.u32(..8) {
        0..2 => None,
        2 => Some(Model::some_amount(random)),
        _ => Some(Money(random.i64(1..300))),
    }
}

/// One of these positions, mostly a recent one; or any.
pub(super) fn some_position(
    random: &mut fastrand::Rng,
    model: &Model,
    positions: impl Fn(usize) -> u64,
    count: usize,
) -> Position {
    Position(match random.u32(..12) {
        _ if count == 0 => random.u64(..model.position + 2),
        0 => random.u64(..model.position + 2),
        1..4 => positions(random.usize(..count)),
        _ => positions(random.usize(count.saturating_sub(3)..count)),
    })
}

pub(super) fn record_at(bench: &Bench, position: Position) -> Option<Record> {
    (position.0 as usize).checked_sub(1).and_then(|at| bench.records.get(at)).map(|(_, record)| record.clone())
}

/// A random request of a credential, with the model's answer.
pub(super) fn some_operation(
    random: &mut fastrand::Rng,
    model: &mut Model,
    bench: &Bench,
    by: u32,
    number: u64,
) -> (Mutation, Remembered) {
    let (client, club) = (some_known_client(random, number), ClubId(some_club(random)));
    let (has, note, anyones) = (model.holdings(client.0), some_note(random), random.bool());
    let paid_from = if random.u32(..3) == 0 { PaidFrom::Directly } else { PaidFrom::GamingBalance };
    let rule = RuleId(random.u32(..model.rules.len() as u32 + 2).max(random.u32(..2)));
    match random.u32(..SHARES) {
        0 => {
            let name = ["", "VIP", "New", "Old", "Other"][random.usize(..5)].to_owned();
            let outcome = model.register_group(&name);
            (Mutation::RegisterGroup(RegisterGroup { name }), encoded::<RegisterGroup>(&outcome))
        }
        1..10 => {
            let source = TopUpSource::ALL[random.usize(..3)];
            let client = ClientId(some_client(random, number));
            let amount = some_more(random, model.holdings(client.0).gaming);
            let request = TopUp { client, club, amount, source, note };
            let outcome = model.top_up(by, &request);
            (Mutation::TopUp(Box::new(request)), encoded::<TopUp>(&outcome))
        }
        10..14 => {
            let top_up = some_position(random, model, |at| model.top_ups[at].position, model.top_ups.len());
            let found = record_at(bench, top_up).and_then(|record| record.try_into().ok());
            let (amount, claw_back) = (some_part(random), random.u32(..3) > 0);
            let kept_from = some_kept_from(random, model);
            let request = RefundTopUpRequest { top_up, found, kept_from, anyones, amount, claw_back, note };
            let outcome = model.refund_top_up(by, &request);
            (Mutation::RefundTopUp(Box::new(request)), encoded::<RefundTopUp>(&outcome))
        }
        14..16 => {
            let club = random.bool().then_some(club);
            let request = CreditBonus { client, club, amount: some_more(random, has.bonus), note };
            let outcome = model.credit(by, &request);
            (Mutation::CreditBonus(Box::new(request)), encoded::<CreditBonus>(&outcome))
        }
        16..18 => {
            let club = random.bool().then_some(club);
            let request = WriteOffBonus { client, club, amount: some_less(random, has.bonus), note };
            let outcome = model.write_off(by, &request);
            (Mutation::WriteOffBonus(Box::new(request)), encoded::<WriteOffBonus>(&outcome))
        }
        18..22 => {
            let request = PayBonus { client, club, amount: some_less(random, has.bonus), paid_for: some_use(random), note };
            let outcome = model.pay(by, &request);
            (Mutation::PayBonus(Box::new(request)), encoded::<PayBonus>(&outcome))
        }
        22..25 => {
            let payment = some_position(random, model, |at| model.payments[at].position, model.payments.len());
            let found = record_at(bench, payment).and_then(|record| record.try_into().ok());
            let (kept_from, amount) = (some_kept_from(random, model), some_part(random));
            let request = RefundBonusRequest { payment, found, kept_from, anyones, amount, note };
            let outcome = model.refund_payment(by, &request);
            (Mutation::RefundBonus(Box::new(request)), encoded::<RefundBonus>(&outcome))
        }
        25..28 => {
            let request = RecordSession { client, club, price: some_less(random, has.gaming), paid_from, note };
            let outcome = model.session(by, &request);
            (Mutation::RecordSession(Box::new(request)), encoded::<RecordSession>(&outcome))
        }
        28..31 => {
            let request = RecordPurchase { client, club, price: some_less(random, has.gaming), paid_from, note };
            let outcome = model.purchase(by, &request);
            (Mutation::RecordPurchase(Box::new(request)), encoded::<RecordPurchase>(&outcome))
        }
        31..35 => {
            let terms = model.some_rule(random, true);
            let outcome = model.create_rule(&terms);
            (Mutation::CreateRule(Box::new(CreateRule { terms })), encoded::<CreateRule>(&outcome))
        }
        35..37 => {
            let mut changes = RuleChanges::whole(model.some_rule(random, false));
            if random.bool() {
                changes.name = changes.name.filter(|_| random.bool());
                changes.active = changes.active.filter(|_| random.bool());
                changes.clubs = changes.clubs.filter(|_| random.bool());
                changes.conditions = changes.conditions.filter(|_| random.bool());
                changes.actions = changes.actions.filter(|_| random.bool());
                changes.tags = changes.tags.filter(|_| random.bool());
            }
            let outcome = model.update_rule(rule, &changes);
            (Mutation::UpdateRule(Box::new(UpdateRule { rule, changes })), encoded::<UpdateRule>(&outcome))
        }
        37 => {
            let active = random.bool();
            let outcome = model.switch_rule(rule, active);
            (Mutation::SwitchRule(SwitchRule { rule, active }), encoded::<SwitchRule>(&outcome))
        }
        38 => {
            let outcome = model.archive_rule(rule);
            (Mutation::ArchiveRule(rule), encoded::<ArchiveRule>(&outcome))
        }
        _ => {
            let outcome = model.restore_rule(rule);
            (Mutation::RestoreRule(rule), encoded::<RestoreRule>(&outcome))
        }
    }
}
