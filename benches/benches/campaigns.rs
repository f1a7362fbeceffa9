//! The longest permitted lists: what an import, archiving and restoring cost the engine thread, which delays redemptions
//! meanwhile, and what preparing a list costs its lane.
//!
//! Each change is timed in its steps: decide; add the record to a batch; apply and reply; update the index.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use scrip_benches::{NOW_MS, Organisation, code};
use scrip_core::index::{normalise, trim};
use scrip_core::state::{AddCodesRequest, CodeList, CodesRequest, CreateCampaignRequest, Mutation};
use scrip_protocol::CampaignId;
use scrip_protocol::Money;
use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::command::{CodeFilter, CodeTexts, ListCodes, OnConflict, Terms, UsageFilter};

/// Codes that the organisation starts with.
const CODES: u32 = 1_000_000;

/// Codes of a list.
const LISTED: u32 = 50_000;

/// Codes of it that are in conflict.
const TAKEN: u32 = 10_000;

/// Time that each step of a change took.
#[derive(Default, Clone, Copy)]
struct Steps {
    decide: Duration,
    record: Duration,
    apply: Duration,
    follow: Duration,
}

type Took = fn(&Steps) -> Duration;

impl Steps {
    const ALL: [(&str, Took); 4] = [
        ("decide", |steps| steps.decide),
        ("record", |steps| steps.record),
        ("apply", |steps| steps.apply),
        ("index", |steps| steps.follow),
    ];
}

fn change(organisation: &mut Organisation, request: &Mutation) -> Steps {
    let stamp = organisation.stamp();
    let timed = |began: &mut Instant| {
        let took = began.elapsed();
        *began = Instant::now();
        took
    };
    let mut began = Instant::now();
    let record = organisation.state.decide(NOW_MS, stamp, request, &organisation.index);
    let decide = timed(&mut began);
    let mut batch = BatchBuilder::new(NOW_MS);
    batch.push(&record);
    let encode = timed(&mut began);
    organisation.state.apply(NOW_MS, &record);
    let apply = timed(&mut began);
    organisation.index.follow(&organisation.state, &record);
    let follow = timed(&mut began);
    std::hint::black_box(batch.len());
    Steps { decide, record: encode, apply, follow }
}

/// Measures each step of a change that is repeated.
fn steps(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut next: impl FnMut() -> Steps) {
    for (step, took) in Steps::ALL {
        group.bench_function(format!("{name}: {step}"), |b| {
            b.iter_custom(|times| (0..times).map(|_| took(&next())).sum::<Duration>());
        });
    }
}

fn texts(numbers: impl Iterator<Item = u32>) -> CodeTexts {
    numbers.map(code).collect()
}

fn list(texts: &CodeTexts) -> CodeList {
    CodeList::prepare(texts, 1, trim, normalise)
}

fn create(list: CodeList) -> Mutation {
    let terms = Terms::new("Campaign", Money(1));
    Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject }))
}

fn codes_of(campaign: CampaignId, list: &CodeList) -> Box<CodesRequest> {
    Box::new(CodesRequest { campaign, list: list.clone() })
}

fn group(c: &mut Criterion) -> BenchmarkGroup<'_, WallTime> {
    let mut group = c.benchmark_group("campaigns");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    group
}

/// In the lane.
fn prepare(c: &mut Criterion) {
    let mut group = group(c);
    let lines = texts(0..LISTED);
    group.bench_function("prepare: 50,000 codes, in the lane", |b| b.iter(|| list(&lines)));
    let repeated: CodeTexts = (0..LISTED).map(|number| code(number % 100)).collect();
    group.bench_function("prepare: 50,000 lines, nearly all duplicates, in the lane", |b| b.iter(|| list(&repeated)));
    group.finish();
}

fn add(c: &mut Criterion) {
    let mut group = group(c);
    let mut organisation = Organisation::with_codes(CODES);
    let mut first = CODES;
    // Start over before the tables grow; `index` measures that.
    let until = CODES + 8 * LISTED;
    steps(&mut group, "create with 50,000 codes", || {
        if first >= until {
            organisation = Organisation::with_codes(CODES);
            first = CODES;
        }
        let request = create(list(&texts(first..first + LISTED)));
        first += LISTED;
        change(&mut organisation, &request)
    });
    let known = list(&texts(0..LISTED));
    let add = |on_conflict| {
        Mutation::AddCodes(Box::new(AddCodesRequest { campaign: Some(CampaignId(1)), list: known.clone(), on_conflict }))
    };
    let skipped = add(OnConflict::Skip);
    steps(&mut group, "add 50,000 codes that are there: all skipped", || change(&mut organisation, &skipped));
    group.finish();
}

fn archive(c: &mut Criterion) {
    let mut group = group(c);
    let mut organisation = Organisation::with_codes(CODES);
    let all = list(&texts(CODES..CODES + LISTED));
    change(&mut organisation, &create(all.clone()));
    let campaign = CampaignId(2);
    let alone = Mutation::ArchiveCodes(codes_of(campaign, &all));
    let back = Mutation::RestoreCodes(codes_of(campaign, &all));
    steps(&mut group, "archive 50,000 codes by themselves", || {
        let took = change(&mut organisation, &alone);
        change(&mut organisation, &back);
        took
    });
    steps(&mut group, "restore 50,000 codes by themselves", || {
        change(&mut organisation, &alone);
        change(&mut organisation, &back)
    });
    let (archive, restore) = (Mutation::ArchiveCampaign(campaign), Mutation::RestoreCampaign(campaign));
    steps(&mut group, "archive a campaign of 50,000", || {
        let took = change(&mut organisation, &archive);
        change(&mut organisation, &restore);
        took
    });
    change(&mut organisation, &archive);
    change(&mut organisation, &create(list(&texts((0..TAKEN).map(|number| CODES + 5 * number)))));
    let page = |status| ListCodes { campaign, from_slot: 0, status, usage: UsageFilter::All };
    for (name, status) in [("all", CodeFilter::All), ("conflicts", CodeFilter::Conflicting)] {
        let request = page(status);
        group.bench_function(format!("a page of the codes of an archived campaign: {name}"), |b| {
            b.iter(|| organisation.state.list_codes(&request, &organisation.index));
        });
    }
    let free: Vec<String> = (0..8_192).map(|number| code(CODES + number)).collect();
    group.bench_function("check_free: 8,192 codes, in the lane", |b| {
        b.iter(|| organisation.index.check_free(free.iter().map(String::as_str)));
    });
    steps(&mut group, "restore a campaign of 50,000, 10,000 in conflict", || {
        let took = change(&mut organisation, &restore);
        change(&mut organisation, &archive);
        took
    });
    group.finish();
}

criterion_group!(benches, prepare, add, archive);
criterion_main!(benches);
