//! The codec: building, splitting, checking and reading the frame of a redemption; sealing and reading a batch of records.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::activation;
use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};
use scrip_protocol::codes::CodeForm;
use scrip_protocol::command::{Redeem, RedeemOutcome, redeem_meaning};
use scrip_protocol::frame::{Frame, REQUEST_BYTES_MAX, push_request, push_value};
use scrip_protocol::{ClientId, ClubId, Kind, Position, Record, RequestId, wire};

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let mutation = Redeem::new(ClientId(42), ClubId(1), "SUMMER-25-AB");
    let request = RequestId::from_parts(1_790_000_000_000, [7; 10]);
    let mut out = Vec::with_capacity(1024);
    group.bench_function("redeem: make the request", |b| {
        b.iter(|| {
            out.clear();
            push_request(&mut out, 7, request, &mutation);
            out.len()
        });
    });
    let frame = out.clone();
    group.bench_function("redeem: split, hash, check and read the request", |b| {
        b.iter(|| {
            let (frame, _) = Frame::split(&frame, REQUEST_BYTES_MAX).expect("well formed").expect("whole");
            let request = frame.request().expect("a known kind");
            let mutation = wire::access::<Redeem>("redeem", request.payload).expect("valid");
            let (text, form) = (mutation.code.as_str(), CodeForm::CURRENT);
            let (client, club) = (ClientId(mutation.client.0.to_native()), ClubId(mutation.club.0.to_native()));
            redeem_meaning((client, club, Position(mutation.top_up.0.to_native())), &form.normalise(text), text, form)
        });
    });
    let outcome = activation().outcome(Position(7));
    group.bench_function("redeem: make the reply", |b| {
        b.iter(|| {
            out.clear();
            push_value::<RedeemOutcome>(&mut out, Kind::Redeem as u16, 7, &outcome);
            out.len()
        });
    });
    group.finish();
}

fn batches(c: &mut Criterion) {
    const RECORDS: u64 = 8_192;
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(RECORDS));
    let record = Record::from(activation());
    let seal = || {
        let mut batch = BatchBuilder::new(1_790_000_000_000);
        (0..RECORDS).for_each(|_| batch.push(&record));
        batch.seal(&mut ChainEnd::default())
    };
    group.bench_function("write 8,192 activations and hash them", |b| b.iter(seal));
    let bytes = seal();
    group.bench_function("check and read 8,192 activations", |b| {
        b.iter(|| Batch::parse(&bytes).expect("just sealed").records().filter(Result::is_ok).count());
    });
    group.finish();
}

criterion_group!(benches, frames, batches);
criterion_main!(benches);
