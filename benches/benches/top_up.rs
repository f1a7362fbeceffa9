//! A top-up in memory: admitted, decided with the matching rules, applied. The number of rules must cost next to nothing while
//! two of them match (U8), and a redemption must cost what it costs without rules.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scrip_benches::{Organisation, redeem};
use scrip_core::state::Mutation;
use scrip_protocol::command::{Action, CreateRule, Note, RuleEvent, RuleTerms, TopUp, ToppedUp};
use scrip_protocol::{ClientId, ClubId, Money, Record, TopUpSource};

const CLIENTS: u32 = 100_000;
const CODES: u32 = 1_000_000;

/// Major units between two rules.
const STEP: u32 = 10;

fn create_rule(organisation: &mut Organisation, conditions: String, formula: &str) {
    let terms = RuleTerms {
        name: "Rule".into(),
        description: String::new(),
        active: true,
        clubs: Vec::new(),
        event: RuleEvent::BalanceToppedUp,
        conditions,
        actions: vec![Action::AddBonus { formula: formula.into() }],
        tags: Vec::new(),
    };
    let record = organisation.change(&Mutation::CreateRule(Box::new(CreateRule { terms })));
    assert!(matches!(record, Record::RuleSaved(_)), "{record:?}");
}

/// Creates two rows of ranges side by side: for every amount below 10 times half the rules, one range of each row matches.
fn create_rules(organisation: &mut Organisation, rules: u32) {
    for at in 0..rules / 2 {
        let range = |from: u32| format!("topupAmountMajor >= {from} AND topupAmountMajor < {}", from + STEP);
        create_rule(organisation, range(at * STEP), "{{topupAmountMajor}} * 0.1");
        // Shifted by half, so that no two rules have the same range.
        let half = if at == 0 { 0 } else { at * STEP - STEP / 2 };
        let range = format!("topupAmountMajor >= {half} AND topupAmountMajor < {}", at * STEP + STEP / 2);
        create_rule(organisation, range, "{{topupAmountMajor}} * 0.05 + 1");
    }
}

fn top_up(number: u32, amount: i64) -> Mutation {
    let client = ClientId(u128::from(number % CLIENTS));
    Mutation::TopUp(Box::new(TopUp {
        client,
        club: ClubId(1),
        amount: Money(amount),
        source: TopUpSource::Cash,
        note: Note::default(),
    }))
}

fn top_ups(c: &mut Criterion) {
    let mut group = c.benchmark_group("top-up");
    group.throughput(Throughput::Elements(1));
    for rules in [0, 1, 10, 1_000, 10_000] {
        let mut organisation = Organisation::with_codes(1);
        match rules {
            // One rule that always matches.
            1 => create_rule(&mut organisation, String::new(), "{{topupAmountMajor}} * 0.1"),
            rules => create_rules(&mut organisation, rules),
        }
        // Below the last range of the shifted row, every amount is in one range of each row.
        let majors = (rules / 2).max(2) * STEP - STEP;
        let amount = |number: u32| i64::from(number % majors) * 100 + 37;
        let firings = match rules {
            0 => 0,
            1 => 1,
            _ => 2,
        };
        for number in (0..majors).step_by(7) {
            let record = organisation.change(&top_up(number, amount(number)));
            let fired = ToppedUp::try_from(record).expect("it is a top-up").fired.len();
            assert_eq!(fired, firings, "of {rules} rules on {}", amount(number));
        }
        let mut number = 0_u32;
        let mut next = move || {
            number = number.wrapping_add(611_953);
            top_up(number, amount(number))
        };
        group.bench_function(format!("admit, decide, apply ({rules} rules, {firings} match)"), |b| {
            b.iter_batched(&mut next, |request| organisation.change(&request), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn redemptions_beside_rules(c: &mut Criterion) {
    let mut group = c.benchmark_group("top-up");
    group.throughput(Throughput::Elements(1));
    for rules in [0, 10_000] {
        let mut organisation = Organisation::with_codes(CODES);
        create_rules(&mut organisation, rules);
        let mut number = 0;
        let mut next = move || {
            number = (number + 611_953) % CODES;
            redeem(number)
        };
        group.bench_function(format!("redeem: admit, decide, apply, index (1,000,000 codes, {rules} rules)"), |b| {
            b.iter_batched(&mut next, |request| organisation.change(&request), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, top_ups, redemptions_beside_rules);
criterion_main!(benches);
