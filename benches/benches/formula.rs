//! Rules: parsing their texts and evaluating them for a top-up. The engine thread evaluates all matching rules of an organisation
//! on every top-up.

use criterion::{Criterion, criterion_group, criterion_main};
// For the allocator alone.
use scrip_benches as _;
use scrip_protocol::{Money, TopUpSource, Variables};
use scrip_rules::{Conditions, Formula, PushText};

/// A typical top-up.
const TOP_UP: Variables = Variables {
    amount: Money(50_000),
    source: TopUpSource::Acquiring,
    gaming: Money(12_050),
    bonus: Money(3_000),
    spent: Money(234_560),
    sessions: 7,
};

/// Formulas by name: those of the documentation, and harder ones.
fn formulas() -> Vec<(&'static str, String)> {
    let texts = [
        ("10 percent", "{{topupAmountMajor}} * 0.10"),
        ("5 percent and 50", "{{topupAmountMajor}} * 0.05 + 50"),
        ("divided by a sum", "({{topupAmountMajor}} - {{bonusBalanceMajor}}) / ({{sessionsCount}} + 1) * 2.5"),
        ("past 128 bits once", "999999999999999999.5 * 999999999999999999.5 * {{topupAmountMajor}} / 999999999999999999"),
    ];
    let mut formulas: Vec<_> = texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
    // Nearly the most that one text can cost: every addition makes the numbers longer, and is reduced.
    let worst: Vec<String> = (0..45).map(|number| format!("1/{}.{number}7", 987_653 + number * 2)).collect();
    let mut worst = worst.join("+");
    worst.truncate(worst[..500].rfind('+').expect("many are added"));
    formulas.push(("500 bytes of big fractions", worst));
    formulas
}

fn formula(c: &mut Criterion) {
    let mut group = c.benchmark_group("formula");
    for (name, text) in formulas() {
        group.bench_function(format!("parse: {name}"), |b| {
            b.iter(|| Formula::parse(std::hint::black_box(&text)).expect("a formula"));
        });
        let formula = Formula::parse(&text).expect("a formula");
        group.bench_function(format!("evaluate and round: {name}"), |b| {
            b.iter(|| formula.evaluate(std::hint::black_box(&TOP_UP)).map(|exact| exact.round()));
        });
        group.bench_function(format!("print: {name}"), |b| b.iter(|| std::hint::black_box(&formula).to_string()));
    }
    group.finish();
}

fn conditions(c: &mut Criterion) {
    const TEXT: &str = "topupAmountMajor >= 500 AND topupAmountMajor < 1000 AND topUpSource = ACQUIRING";
    let mut group = c.benchmark_group("conditions");
    group.bench_function("parse three", |b| b.iter(|| Conditions::parse(std::hint::black_box(TEXT)).expect("conditions")));
    let conditions = Conditions::parse(TEXT).expect("conditions");
    group.bench_function("three that hold", |b| b.iter(|| conditions.hold(std::hint::black_box(&TOP_UP))));
    group.finish();
}

fn text(c: &mut Criterion) {
    const TEXT: &str = "You topped up {{topupAmountMajor}} ({{topUpSource}}), {{gamingBalanceMajor}} are yours to play with";
    let mut group = c.benchmark_group("push text");
    group.bench_function("parse", |b| b.iter(|| PushText::parse(std::hint::black_box(TEXT)).expect("a text")));
    let text = PushText::parse(TEXT).expect("a text");
    group.bench_function("render", |b| b.iter(|| text.render(std::hint::black_box(&TOP_UP))));
    group.finish();
}

criterion_group!(benches, formula, conditions, text);
criterion_main!(benches);
