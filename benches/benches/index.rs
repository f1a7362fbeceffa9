//! The index: looking up codes that exist and codes that do not, and checks as lanes make them.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::{NOW_MS, Organisation, add_codes, code};
use scrip_core::index::{AT_ONCE, Index, normalise};
use scrip_core::state::Lookup;
use scrip_protocol::ClubId;

const CODES: u32 = 1_000_000;

fn find(c: &mut Criterion) {
    let organisation = Organisation::with_codes(CODES);
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(1));
    let mut number = 0;
    let mut next = |prefix: &str| {
        number = (number + 611_953) % CODES;
        normalise(&format!("{prefix}{}", code(number))).expect("a code")
    };
    group.bench_function("find: a hit", |b| {
        b.iter_batched(|| next(""), |code| organisation.index.find(&code), BatchSize::SmallInput);
    });
    group.bench_function("find: a miss", |b| {
        b.iter_batched(|| next("NO-"), |code| organisation.index.find(&code), BatchSize::SmallInput);
    });
    let places: Vec<_> = (0..AT_ONCE as u32).map(|n| n * 31_013).collect();
    group.throughput(Throughput::Elements(AT_ONCE as u64));
    let mut shift = 0;
    group.bench_function("hint: 32 codes at once, hits", |b| {
        b.iter_batched(
            || {
                shift += 611_953;
                places.iter().map(|n| normalise(&code((n + shift) % CODES)).expect("a code")).collect::<Vec<_>>()
            },
            |codes| {
                organisation.index.hint_each(codes.iter().map(Some), |hint| {
                    std::hint::black_box(hint);
                })
            },
            BatchSize::SmallInput,
        );
    });
    let codes: Vec<String> = (0..8_192).map(|n| code(n * 61)).collect();
    group.throughput(Throughput::Elements(codes.len() as u64));
    group.bench_function("check: 8,192 codes", |b| {
        b.iter(|| organisation.index.check(NOW_MS, ClubId(1), codes.iter().map(String::as_str)));
    });
    group.throughput(Throughput::Elements(CODES.into()));
    group.sample_size(10);
    group.bench_function("build: from a state of 1,000,000 codes", |b| b.iter(|| Index::of(&organisation.state)));
    group.finish();
}

/// Adds codes during lookups: what the import of a campaign costs the index, growing tables included.
fn grow(c: &mut Criterion) {
    const ADDED: u32 = 1_000;
    let mut organisation = Organisation::with_codes(CODES);
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(ADDED.into()));
    let mut first = CODES;
    group.bench_function("follow: 1,000 codes added, with growth", |b| {
        b.iter_custom(|times| {
            let mut took = std::time::Duration::ZERO;
            for _ in 0..times {
                let stamp = organisation.stamp();
                let request = add_codes(first..first + ADDED);
                first += ADDED;
                let record = organisation.state.decide(NOW_MS, stamp, &request, &organisation.index);
                organisation.state.apply(NOW_MS, &record);
                let started = std::time::Instant::now();
                organisation.index.follow(&organisation.state, &record);
                took += started.elapsed();
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, find, grow);
criterion_main!(benches);
