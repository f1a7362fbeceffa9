//! Shared code of the read model's tests: an independent recount of the journal, random workloads that write one, and the
//! comparison of the read model with the recount.
//!
//! - [`recount`]: the figures, recounted from the list of all records for each question; it is slow, and stores no sums.
//! - [`workload`]: a real engine on loopback, driven at random. [`synthetic`]: journals of extreme values, without an engine.
//! - [`tables`]: compares each table with the recount; [`compare_answers`]: compares each answer with it.
//! - [`model_files`]: applies batches, and dumps the database.
//!
//! Nothing here sleeps to synchronise: every wait is for a condition, with a deadline.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod compare_answers;
pub(crate) mod model_files;
pub(crate) mod recount;
pub(crate) mod synthetic;
pub(crate) mod tables;
pub(crate) mod workload;

use std::time::{Duration, Instant};

/// A deadline for anything that must happen, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until a condition holds, and returns its value.
pub(crate) fn wait_until<T>(deadline: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain for this: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The seed of a random test: SCRIP_SEED in the environment, or a new one. It is printed, so that a failure can be reproduced.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SCRIP_SEED").ok().map(|text| text.parse().expect("SCRIP_SEED is a whole number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("SCRIP_SEED={seed} repeats this"));
    seed
}

/// Prints on standard error, which a test's harness shows when the test fails.
#[expect(clippy::print_stderr, reason = "what a failed test did is to be seen")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
