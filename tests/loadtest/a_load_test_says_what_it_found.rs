//! `scrip loadtest` and `scrip loadtest probe` from outside: what they print, the documents they write, and that they leave
//! nothing else behind.

use std::fs;

use scrip_loadtest::json::Document;
use scrip_loadtest::probe::Floor;
use scrip_loadtest::report::Model;

use crate::support::{run, scrip};

#[test]
fn a_run_prints_and_writes_its_floor_and_its_audit() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (report, page, disk) = (scratch.path().join("r.json"), scratch.path().join("r.html"), scratch.path().join("disk"));
    fs::create_dir(&disk).expect("a folder");
    let args = ["loadtest", "--codes", "2000", "--connections", "2", "--in-flight", "64", "--alone", "10"];
    let mut command = scrip();
    command.args(args).arg("--dir").arg(&disk).arg("--report").arg(&report).arg("--html").arg(&page);
    let ran = run(&mut command, b"").exits(0);

    let head = ran.out.lines().next().unwrap_or_default();
    assert!(["PHASE", "RATE", "OF ECHO", "P99.9", "BY FLOOR", "BUSY"].iter().all(|name| head.contains(name)), "{ran:?}");
    assert!(ran.out.contains("records recounted: no difference"), "{ran:?}");

    let text = fs::read_to_string(&report).expect("the report is written");
    let document = Document::read(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
    let answers: Vec<u64> = document.phases.iter().map(|phase| phase.answers["redeemed"]).collect();
    assert_eq!(answers, [2_000, 10]);
    assert_eq!(document.phases[0].load, Model::Closed { window: 64 });
    for phase in &document.phases {
        let latency = phase.latency.decode().unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!((latency.len(), phase.latency.count), (phase.answers["redeemed"], phase.answers["redeemed"]));
    }
    let audit = document.audit.expect("every run is audited");
    assert_eq!((audit.differences.count(), audit.counts.activations), (0, 2_010));
    assert!(document.floor.is_some_and(|floor| floor.alone_us() > 0.0 && floor.echo.limit_per_second() > 0.0));
    assert_eq!((document.configuration["requests"].as_u64(), document.configuration["window"].as_u64()), (Some(2_000), Some(64)));
    assert!(document.command.ends_with(&["--html".to_owned(), page.display().to_string()]), "{:?}", document.command);
    assert!(document.machine.cores > 0);

    let page = fs::read_to_string(&page).expect("the page is written");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("The sums agree.") && !page.contains("<script"), "{page}");
    assert_eq!(fs::read_dir(&disk).expect("it is a folder").count(), 0, "a run leaves nothing behind");
}

#[test]
fn an_unwritable_file_is_reported_before_anything_is_measured() {
    let ran = run(scrip().args(["loadtest", "--json", "--report", "/no/such/folder/r.json"]), b"").exits(70);
    assert!(ran.err.contains("cannot write /no/such/folder/r.json"), "{ran:?}");
    assert_eq!(ran.out, "");
}

#[test]
fn a_probe_prints_the_floor_of_the_machine() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let probe = || {
        let mut command = scrip();
        command.args(["loadtest", "probe", "--rounds", "1", "--times", "3", "--frames", "200"]).arg("--dir").arg(dir.path());
        command
    };
    let found = run(probe().arg("--json"), b"").exits(0).json().remove(0);
    let floor: Floor = serde_json::from_value(found["floor"].clone()).expect("the same floor as in a run");
    let windows: Vec<usize> = floor.echo.pipelined.iter().map(|echo| echo.window).collect();
    assert_eq!(windows, [1_024, 4_096, 16_384]);
    assert_eq!(floor.appends.iter().map(|append| append.bytes).collect::<Vec<_>>(), [4_096, 65_536, 1_048_576]);
    assert_eq!(floor.commits.iter().map(|commit| commit.records).collect::<Vec<_>>(), [1, 64, 1_024, 8_192]);
    assert!(found["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{found}");

    let ran = run(&mut probe(), b"").exits(0);
    assert!(ran.out.contains("processor") && ran.out.contains("redb commit of 8,192"), "{ran:?}");
    assert_eq!(fs::read_dir(dir.path()).expect("it is a folder").count(), 0, "a probe leaves nothing behind");
    run(scrip().args(["loadtest", "--codes", "5", "probe"]), b"").exits(2);
}

/// A load of one credential may have more connections than an engine gives a credential: an engine of the load's own takes them.
#[test]
fn a_load_may_have_many_connections() {
    let mut command = scrip();
    command.args(["loadtest", "--codes", "3000", "--connections", "200", "--alone", "0", "--no-floor", "--json"]);
    let document = run(&mut command, b"").exits(0).json().remove(0);
    assert_eq!((&document["phases"][0]["connections"], &document["audit"]["differences"]), (&200.into(), &0.into()));
}
