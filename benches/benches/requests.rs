//! The idempotency window with millions of ids: new ids, known ids, and remembering.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::{NOW_MS, refusal, stamp};
use scrip_core::state::State;
use scrip_core::state::requests::Admission;
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{Kind, Settings};

const REMEMBERED: u64 = 4_000_000;

fn window(c: &mut Criterion) {
    let mut state = State::default();
    state.apply(NOW_MS, &SettingsSet::new(Settings::default()).into());
    (0..REMEMBERED).for_each(|n| {
        state.apply(NOW_MS, &refusal(stamp(n)));
    });

    let mut group = c.benchmark_group("requests");
    group.throughput(Throughput::Elements(1));
    let mut n = 0;
    let mut next = || {
        n += 1;
        n
    };
    let is_new = |state: &State, n: u64| state.admit(NOW_MS, &stamp(n), || Kind::Redeem) == Admission::New;
    group.bench_function("admit: a new id (4,000,000 remembered)", |b| {
        b.iter_batched(|| REMEMBERED + next(), |n| is_new(&state, n), BatchSize::SmallInput);
    });
    group.bench_function("admit: a repeated id (4,000,000 remembered)", |b| {
        b.iter_batched(|| next().wrapping_mul(611_953) % REMEMBERED, |n| is_new(&state, n), BatchSize::SmallInput);
    });
    group.bench_function("touch: 64 new ids at once (4,000,000 remembered)", |b| {
        let ids = |first: u64| (first..first + 64).map(|n| (stamp(n).request, scrip_protocol::ClientId(1), None));
        b.iter_batched(|| REMEMBERED + 64 * next(), |first| state.touch(ids(first)), BatchSize::SmallInput);
    });
    // The window grows meanwhile, as it does under load.
    let mut remembered = REMEMBERED;
    group.bench_function("remember: the record of a refusal, with growth", |b| {
        b.iter_batched(
            || {
                remembered += 1;
                refusal(stamp(remembered))
            },
            |record| {
                state.apply(NOW_MS, &record);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, window);
criterion_main!(benches);
