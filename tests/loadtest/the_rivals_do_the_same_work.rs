//! A comparison is only meaningful if both sides do the same work: the rivals are really started, enforce the same rules, and
//! their rows are recounted (Z3, Z5). They must be installed: `tests/run` does that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Running, run, scrip, wait_until};

/// For the first measurement; for the second, over four connections; for each with many in flight.
const ACTIVATIONS: [u64; 4] = [50, 200, 2_000, 2_000];
const RULES_CODES: u64 = 1_000;

fn versus(rival: &str, dir: &Path) -> Command {
    let mut command = scrip();
    command.args(["loadtest", "versus", rival, "--requests", "2000", "--alone", "50", "--connections", "4"]);
    command.args(["--in-flight", "64", "--per-call", "32", "--seconds", "60", "--json", "--dir"]).arg(dir);
    command
}

/// Runs a comparison, checks what both rivals have in common, and returns it.
fn compared(rival: &str, name: &str, rows_expected: &[(&str, u64, u64)]) -> Value {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut values = run(&mut versus(rival, dir.path()), b"").exits(0).json();
    let found = values.remove(0);
    assert!(values.is_empty());
    assert!(found["rival"].as_str().is_some_and(|version| version.starts_with(name)), "{found}");
    assert_eq!(fs::read_dir(dir.path()).expect("it exists").count(), 0, "its folders are removed");

    let rows = found["rows"].as_array().expect("a row for each offer");
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let system = row["system"].as_str().map_or("", |system| system.split(' ').next().unwrap_or(""));
            (system, row["per_call"].as_u64().unwrap_or(0), row["activations"].as_u64().unwrap_or(0))
        })
        .collect();
    assert_eq!(seen, rows_expected, "{found}");
    for row in rows {
        let figure = |name: &str| row[name].as_f64().unwrap_or(0.0);
        assert!(figure("per_second") > 0.0 && figure("of_scrip") > 0.0 && figure("p50_of_scrip") > 0.0, "{row}");
        assert!(figure("p50_us") > 0.0 && figure("p50_us") <= figure("p99_us"), "{row}");
    }

    let audits = found["audits"].as_array().expect("an audit of each");
    assert_eq!(audits.len(), 2);
    for audit in audits {
        let of_system = rows.iter().filter(|row| row["system"] == audit["system"]);
        let activations = RULES_CODES + of_system.filter_map(|row| row["activations"].as_u64()).sum::<u64>();
        for (what, expected) in [
            ("agree", json!(true)),
            ("activations", json!(activations)),
            ("answered_redeemed", json!(activations)),
            ("bonuses", json!(activations * 100)),
            ("balances", json!(activations * 100)),
            ("codes_over_cap", json!(0)),
            ("differences", json!(0)),
        ] {
            assert_eq!(audit[what], expected, "{what} of {audit}");
        }
        // Each code is redeemed once, though half of them were tried by a second client; each id gets two replies, the same.
        let rules = json!({
            "redeemed": RULES_CODES, "exhausted": RULES_CODES / 2, "unknown": RULES_CODES / 10,
            "repeats_alike": RULES_CODES, "repeats_unlike": 0,
        });
        assert_eq!(audit["rules"], rules, "{audit}");
    }
    found
}

#[test]
fn redis_enforces_caps_and_retries_like_an_engine() {
    let rows: Vec<_> = ACTIVATIONS.iter().flat_map(|count| [("Scrip", 1, *count), ("Redis", 1, *count)]).collect();
    let found = compared("redis", "Redis ", &rows);
    let settings = found["settings"].as_array().expect("its settings");
    let always = settings.windows(2).any(|pair| pair == [json!("--appendfsync"), json!("always")]);
    assert!(always, "every reply is durable: {settings:?}");
}

#[test]
fn postgres_enforces_caps_and_retries_like_an_engine() {
    let rows: Vec<_> = ACTIVATIONS.iter().flat_map(|count| [("Scrip", 1, *count), ("PostgreSQL", 1, *count)]).collect();
    // And at its own best: many requests in one transaction.
    let batched = [("PostgreSQL", 32, 2_000), ("PostgreSQL", 32, 2_000)];
    let found = compared("postgres", "PostgreSQL ", &[rows.as_slice(), &batched].concat());
    let settings = found["settings"].as_array().expect("its settings");
    assert!(settings.contains(&json!("synchronous_commit=on")) && settings.contains(&json!("fsync=on")), "{settings:?}");
}

#[test]
fn a_rival_that_is_not_installed_is_named_with_its_package() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (rival, program, package) in [("redis", "redis-server", "redis-server"), ("postgres", "postgres", "postgresql")] {
        let ran = run(versus(rival, dir.path()).arg("--programs").arg(dir.path()), b"").exits(3);
        let expected = format!("scrip: {program} is not installed");
        assert!(ran.err.contains(&expected) && ran.err.contains(&format!("apt-get install {package}")), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    // An empty folder stays empty.
    assert_eq!(fs::read_dir(dir.path()).expect("it exists").count(), 0);
}

#[test]
fn a_rival_that_does_not_start_is_quoted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Another process writes it: a child that a neighbouring test forks now would inherit the open file, and nobody can execute
    // a file that is open for writing.
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(dir.path().join("redis-server"));
    run(&mut shell, b"#!/bin/sh\necho no room for a dinosaur\nexit 7\n").exits(0);
    let ran = run(versus("redis", dir.path()).arg("--programs").arg(dir.path()), b"").exits(3);
    assert!(ran.err.contains("no room for a dinosaur") && ran.err.contains("exit status: 7"), "{}", ran.err);
}

#[test]
fn no_rival_outlives_a_load_test_that_was_killed() {
    for (rival, program) in [("redis", "redis-server"), ("postgres", "postgres")] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = scrip();
        command.args(["loadtest", "versus", rival, "--requests", "2000000", "--dir"]).arg(dir.path());
        let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
        let there = || Some(processes_in(dir.path(), program)).filter(|found| !found.is_empty());
        // The server writes a log; the creation of a new database before it does not.
        let logs = || fs::read_dir(dir.path()).expect("it exists").flatten().any(|entry| entry.path().join("log").exists());
        let found = wait_until(Duration::from_secs(60), "the rival runs", || there().filter(|_| logs()));
        running.0.kill().expect("it is still running");
        running.0.wait().expect("it is ours");
        wait_until(Duration::from_secs(60), &format!("{program} {found:?} ends"), || there().is_none().then_some(()));
    }
}

/// The processes of a program that were started in a folder within `dir`.
fn processes_in(dir: &Path, program: &str) -> Vec<PathBuf> {
    let dir = dir.canonicalize().expect("it exists");
    let processes = fs::read_dir("/proc").expect("there is one").flatten().map(|entry| entry.path());
    let is_there = |process: &PathBuf| {
        let named = fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim() == program);
        named && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&dir))
    };
    processes.filter(is_there).collect()
}
