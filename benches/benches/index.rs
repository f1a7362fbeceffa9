//! The index: finding codes that are there and that are not, and checks as lanes make them.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::{NOW_MS, Organisation, code};
use scrip_engine::index::{Index, normalise};
use scrip_engine::state::Lookup;
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

criterion_group!(benches, find);
criterion_main!(benches);
