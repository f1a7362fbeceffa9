//! Decide and apply in memory: redemptions that are new, refused or retried, and holds while many are open.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::{NOW_MS, Organisation, code, hold, redeem};
use scrip_core::index::normalise;
use scrip_core::state::{Mutation, NamedHold, RedeemRequest};
use scrip_protocol::command::Terms;
use scrip_protocol::{ClientId, ClubId, Kind, Money, Position};

const CODES: u32 = 1_000_000;

fn decide_and_apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("state");
    group.throughput(Throughput::Elements(1));
    let mut organisation = Organisation::with_codes(CODES);
    let mut number = 0;
    let mut next = move || {
        number = (number + 611_953) % CODES;
        redeem(number)
    };
    group.bench_function("redeem: admit, decide, apply, index (1,000,000 codes)", |b| {
        b.iter_batched(&mut next, |request| organisation.change(&request), BatchSize::SmallInput);
    });
    let miss = Mutation::Redeem(RedeemRequest {
        client: ClientId(1),
        club: ClubId(1),
        code: normalise("NO-SUCH-CODE"),
        top_up: Position(0),
        is_their_top_up: true,
    });
    group.bench_function("redeem: unknown code", |b| b.iter(|| organisation.change(&miss)));
    let seen = organisation.stamp();
    let record = organisation.state.decide(NOW_MS, seen, &redeem(0), &organisation.index);
    organisation.state.apply(NOW_MS, &record);
    group.bench_function("admit: a repeated request", |b| {
        b.iter(|| organisation.state.admit(NOW_MS, &seen, || Kind::Redeem) == scrip_core::state::requests::Admission::New)
    });
    let text = code(7);
    group.bench_function("normalise: 12 letters of ASCII", |b| b.iter(|| normalise(std::hint::black_box(&text))));
    group.bench_function("normalise: 12 letters of Cyrillic", |b| b.iter(|| normalise(std::hint::black_box("ЛЕТО-ЗИМА-25"))));
    group.finish();
}

/// Limits that are never reached but are checked all the same.
fn limited() -> Terms {
    Terms {
        activations_per_code_max: Some(u32::MAX - 1),
        activations_per_client_max: Some(u32::MAX),
        activations_max: Some(u64::MAX),
        budget: Some(Money(i64::MAX)),
        ..Terms::new("Campaign", Money(1))
    }
}

fn under_limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("state");
    group.throughput(Throughput::Elements(1));
    let mut organisation = Organisation::with_terms(CODES, limited());
    let mut number = 0;
    let mut next = move || {
        number = (number + 611_953) % CODES;
        redeem(number)
    };
    group.bench_function("redeem under every limit (1,000,000 codes)", |b| {
        b.iter_batched(&mut next, |request| organisation.change(&request), BatchSize::SmallInput);
    });
    group.finish();
}

fn among_holds(c: &mut Criterion) {
    among_holds_of(c, Terms::new("Campaign", Money(1)), "1,000,000 open holds");
    among_holds_of(c, limited(), "1,000,000 open holds, every limit");
}

/// A million holds stay open: they must slow down neither redemptions nor each other.
fn among_holds_of(c: &mut Criterion, terms: Terms, what: &str) {
    let mut group = c.benchmark_group("state");
    group.throughput(Throughput::Elements(1));
    let mut organisation = Organisation::with_terms(CODES, terms);
    for number in 0..CODES {
        organisation.change(&hold(number));
    }
    let mut number = 0;
    let mut next = move || {
        number = (number + 611_953) % CODES;
        number
    };
    group.bench_function(format!("hold and confirm ({what})"), |b| {
        b.iter_batched(
            || hold(next()),
            |request| {
                organisation.change(&request);
                let named = NamedHold { hold: organisation.state.position(), anyones: false };
                organisation.change(&Mutation::Confirm(named.into()))
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function(format!("redeem a code that is held ({what})"), |b| {
        b.iter_batched(|| redeem(next()), |request| organisation.change(&request), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, decide_and_apply, under_limits, among_holds);
criterion_main!(benches);
