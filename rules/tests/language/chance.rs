//! Random cases: generators and a runner.

#![expect(clippy::print_stdout, reason = "a random test prints its seed")]

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};
use scrip_protocol::{Money, TopUpSource, Variables};

/// Runs so many random cases. Prints the seed; PROPTEST_RNG_SEED repeats a run.
pub(crate) fn run<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let mut config = Config { cases, failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(fastrand::u64(..));
    }
    println!("seed {}", config.rng_seed);
    if let Err(failure) = TestRunner::new(config).run(&strategy, test) {
        panic!("{failure}");
    }
}

/// Possible variables of a top-up: everyday amounts, small ones that coincide, and extreme amounts.
pub(crate) fn variables() -> impl Strategy<Value = Variables> {
    let money = || {
        prop_oneof![
            4 => (-100_000_i64..1_000_000).prop_map(Money),
            2 => (-3_i64..=3).prop_map(|major| Money(major * 100)),
            1 => prop_oneof![Just(Money(i64::MAX)), Just(Money(i64::MIN)), any::<i64>().prop_map(Money)],
        ]
    };
    let sessions = prop_oneof![0_u32..5, any::<u32>()];
    (money(), source(), money(), money(), money(), sessions)
        .prop_map(|(amount, source, gaming, bonus, spent, sessions)| Variables { amount, source, gaming, bonus, spent, sessions })
}

/// Any source.
pub(crate) fn source() -> impl Strategy<Value = TopUpSource> {
    prop::sample::select(TopUpSource::ALL.as_slice())
}

/// White space, which has no meaning.
pub(crate) fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just(""), 2 => Just(" "), 1 => prop::sample::select(["  ", "\t", "\n", "\u{a0}"].as_slice())]
}
