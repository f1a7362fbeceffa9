//! A demo that is killed in the middle of its burst finds out the outcome of every request on its next run, and the sums agree.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use crate::support::{DEADLINE, Running, files, run, scrip, wait_until};

/// How many journal writes are observed before the demo is killed.
const WRITES_SEEN: usize = 50;

/// When the journal was last written to.
fn written(data: &Path) -> Option<SystemTime> {
    let of = |(path, _): &(PathBuf, u64)| std::fs::metadata(path).ok()?.modified().ok();
    files(&data.join("journal")).iter().filter_map(of).max()
}

/// Whether the demo has recorded a burst that is not complete.
fn is_unfinished(data: &Path) -> bool {
    let notes = std::fs::read(data.join("demo.json")).unwrap_or_default();
    let notes: Option<serde_json::Value> = serde_json::from_slice(&notes).ok();
    notes.is_some_and(|notes| notes["unfinished"].is_object())
}

#[test]
fn an_interrupted_burst_is_retried() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let data = scratch.path().join("demo");
    for kill in 1..=3 {
        // One request at a time, so that the burst lasts long enough to be killed in the middle.
        let mut command = scrip();
        command.args(["demo", "--once", "--in-flight", "1", "--connections", "1", "--codes", "20000", "--data"]).arg(&data);
        let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
        let lines = running.lines();
        let line_with = |part: &str| {
            std::iter::from_fn(|| lines.recv_timeout(DEADLINE).ok())
                .find(|line| line.contains(part))
                .unwrap_or_else(|| panic!("no line with {part:?} within the deadline"))
        };
        if kill > 1 {
            line_with("retrying its requests under the same ids");
        }
        line_with("  burst ");
        assert!(is_unfinished(&data));
        // Retries of the previous run's requests write nothing, so any write belongs to new requests.
        let mut seen = HashSet::new();
        wait_until(DEADLINE, "the journal is written to", || {
            seen.insert(written(&data));
            (seen.len() > WRITES_SEEN).then_some(())
        });
        running.0.kill().expect("it is running");
        let status = running.0.wait().expect("its status is available");
        assert!(!status.success(), "it was killed in the middle");
        assert!(is_unfinished(&data), "the burst is not over");
    }

    let ran = run(scrip().args(["demo", "--once", "--data"]).arg(&data), b"").exits(0);
    assert!(ran.out.contains("retrying its requests under the same ids"), "{}", ran.out);
    assert!(ran.out.contains("across the interruption"), "{}", ran.out);
    assert!(ran.out.contains("The sums agree: 20,000 activations in total"), "{}", ran.out);
    assert!(!is_unfinished(&data));

    let ran = run(scrip().args(["demo", "--once", "--codes", "500", "--data"]).arg(&data), b"").exits(0);
    assert!(!ran.out.contains("retrying"), "{}", ran.out);
    assert!(ran.out.contains("The sums agree: 20,500 activations in total"), "{}", ran.out);
}
