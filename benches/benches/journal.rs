//! The journal on this machine's disk: making batches durable, compared with a raw append and flush of as many bytes.

use std::io::Write;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::activation;
use scrip_journal::disk::OsDisk;
use scrip_journal::{Journal, SEGMENT_BYTES, Segments};
use scrip_protocol::Record;
use scrip_protocol::batch::{BatchBuilder, ChainEnd};

fn append(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let record = Record::from(activation());
    let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
    let mut journal = Segments::open(disk, &dir.path().join("journal"), SEGMENT_BYTES, none, &mut |_, _| {}, &mut |_| {})
        .expect("a new journal");
    let mut group = c.benchmark_group("journal");
    group.sample_size(50);
    for records in [1_u64, 64, 1_024, 8_192] {
        group.throughput(Throughput::Elements(records));
        let batch = || {
            let mut batch = BatchBuilder::new(1_790_000_000_000);
            (0..records).for_each(|_| batch.push(&record));
            batch
        };
        let bytes = vec![7; batch().len()];
        let mut raw = std::fs::File::create(dir.path().join(format!("raw-{records}"))).expect("a file");
        group.bench_function(BenchmarkId::new("raw append and flush", records), |b| {
            b.iter(|| raw.write_all(&bytes).and_then(|()| raw.sync_data()).expect("the disk takes it"));
        });
        group.bench_function(BenchmarkId::new("append", records), |b| {
            b.iter_batched(
                batch,
                |batch| journal.append(vec![batch]).expect("the disk takes it"),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
