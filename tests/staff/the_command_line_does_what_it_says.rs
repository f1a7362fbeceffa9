//! The `scrip` program from outside: its output, its files, and its exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use scrip_protocol::command::Redeem;
use scrip_protocol::{RequestId, Role};
use serde_json::{Value, json};

use crate::support::{Ending, Ran, Running, Server, files, redemption, request, run, scrip};

/// Runs the program against an engine as an operator.
fn operate(server: &Server, args: &[&str], stdin: &[u8]) -> Ran {
    run(server.scrip(Role::Operator).args(args), stdin)
}

/// The same with `--json`; returns its one line.
fn operate_json(server: &Server, args: &[&str], stdin: &[u8], code: i32) -> Value {
    let mut values = run(server.scrip(Role::Operator).args(args).arg("--json"), stdin).exits(code).json();
    assert_eq!(values.len(), 1, "{values:?}");
    values.remove(0)
}

/// An engine with a club (1) and a campaign (1) of the codes A, B and C, each usable once.
fn prepare() -> Server {
    let server = Server::start();
    operate(&server, &["club", "add", "Arena North"], b"").exits(0);
    operate(&server, &["campaign", "create", "--name", "Spring", "--amount", "5", "--cap", "1"], b"A\nB\nC\n").exits(0);
    server
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// What no engine would start with is refused before anything is created.
#[test]
fn init_refuses_what_no_engine_starts_with() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let dir = scratch.path().join("org");
    let long = "n".repeat(201);
    for (option, value, range) in [
        ("--currency", "EUROS", "three capital letters, such as EUR (ISO 4217)"),
        ("--currency", "eur", "three capital letters, such as EUR (ISO 4217)"),
        ("--organisation", "", "a name of 1 to 200 bytes"),
        ("--organisation", &long, "a name of 1 to 200 bytes"),
    ] {
        let ran = run(scrip().arg("init").arg(&dir).args([option, value]), b"").exits(2);
        assert!(ran.err.contains(option) && ran.err.contains(range), "{}", ran.err);
        assert!(!dir.exists());
    }
}

#[test]
fn init_creates_an_organisation_once() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let dir = scratch.path().join("org");
    let args = ["--organisation", "Izi", "--currency", "KZT", "--listen", "127.0.0.1:4700"];
    let ran = run(scrip().arg("init").arg(&dir).args(args), b"").exits(0);
    for role in Role::ALL {
        assert!(ran.out.contains(&format!("scrip_{role}_")), "{}", ran.out);
    }
    let config = fs::read_to_string(dir.join("scrip.toml")).expect("init wrote it");
    assert!(["\"Izi\"", "\"KZT\"", "127.0.0.1:4700"].iter().all(|part| config.contains(part)), "{config}");
    let all = [files(&dir), files(&dir.join("tls"))].concat();
    for (path, _) in &all {
        let mode = fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{path:?}");
    }
    assert_eq!(fs::metadata(&dir).expect("it exists").permissions().mode() & 0o777, 0o700);

    let contents = || all.iter().map(|(path, _)| fs::read(path).unwrap_or_default()).collect::<Vec<_>>();
    let before = contents();
    let ran = run(scrip().arg("init").arg(&dir), b"").exits(6);
    assert!(ran.err.contains("already contains an organisation; nothing was changed"), "{}", ran.err);
    assert_eq!((ran.out.as_str(), contents() == before), ("", true));
}

#[test]
fn clubs_and_clients_are_registered_and_shown() {
    let server = Server::start();
    let ran = operate(&server, &["club", "add", "Arena North"], b"").exits(0);
    assert_eq!(ran.out, "registered as club 1\n");
    assert_eq!(operate_json(&server, &["club", "add", "South"], b"", 0)["outcome"], json!({ "registered": 2 }));
    let ran = operate(&server, &["club", "add", "South"], b"").exits(1);
    assert_eq!(ran.out, "refused: club 2 already has that name\n");
    let ran = operate(&server, &["club", "list"], b"").exits(0);
    assert_eq!(ran.out, "ID  NAME\n 1  Arena North\n 2  South\n");
    let listed = operate(&server, &["club", "list", "--json"], b"").exits(0).json();
    assert_eq!(listed, [json!({ "club": 1, "name": "Arena North" }), json!({ "club": 2, "name": "South" })]);

    let uuid = "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11";
    assert_eq!(operate(&server, &["client", "add", uuid, "--name", "Ann"], b"").exits(0).out, "registered\n");
    let again = operate_json(&server, &["client", "add", uuid, "--name", "Anna"], b"", 0);
    assert_eq!(again["outcome"], json!({ "registered": { "new": false } }));
    let ran = operate(&server, &["client", "show", uuid], b"").exits(0);
    assert_eq!(
        ran.out,
        format!(
            "client          {uuid} (Anna)\nbonus balance   0.00\ngaming balance  0.00\nspent in total  0.00\nsessions        0\n\
             groups          none\nas of position  11\n"
        )
    );
    let shown = operate_json(&server, &["client", "show", uuid], b"", 0);
    assert_eq!((&shown["client"]["client"], &shown["client"]["name"]), (&json!(uuid), &json!("Anna")));
    let ran = operate(&server, &["client", "show", "12"], b"").exits(1);
    assert_eq!(ran.out, "unknown client 12\n");
}

#[test]
fn codes_are_redeemed_and_checked() {
    let server = prepare();
    let ran = operate(&server, &["redeem", " a ", "--client", "42", "--club", "1"], b"").exits(0);
    assert!(ran.out.starts_with("redeemed: 5.00 credited, bonus balance 5.00, campaign 1, activation "), "{}", ran.out);
    let ran = operate(&server, &["redeem", "A", "--client", "43", "--club", "1"], b"").exits(1);
    assert_eq!(ran.out, "refused: the code has no uses left\n");
    let outcome = |args: &[&str]| operate_json(&server, args, b"", 1)["outcome"].clone();
    assert_eq!(outcome(&["redeem", "NONE", "--client", "1", "--club", "1"]), json!("unknown_code"));
    assert_eq!(outcome(&["redeem", "B", "--client", "1", "--club", "9"]), json!("unknown_club"));
    assert_eq!(
        outcome(&["redeem", "a b", "--client", "1", "--club", "1"]),
        json!({ "invalid_code": { "inner_white_space": { "at": 2 } } })
    );

    // The same id gets the same outcome without any further effect.
    let id = RequestId::now().to_string();
    let redeem = ["redeem", "B", "--client", "42", "--club", "1", "--request-id", &id];
    let first = operate_json(&server, &redeem, b"", 0);
    assert_eq!(first["request"], json!(id));
    assert_eq!(operate_json(&server, &redeem, b"", 0), first);
    assert_eq!(
        first["outcome"]["redeemed"]["balance"],
        operate_json(&server, &["client", "show", "42"], b"", 0)["client"]["accounts"]["bonus"]
    );
    let other = ["redeem", "C", "--client", "42", "--club", "1", "--request-id", &id];
    // Whatever refuses a request with a given id, an earlier request with it may have been executed.
    let ran = operate(&server, &other, b"").exits(5);
    assert!(ran.err.contains("the request id was used for another request"), "{}", ran.err);
    let old = RequestId::from_parts(1_700_000_000_000, [1; 10]).to_string();
    let ran = operate(&server, &["redeem", "C", "--client", "1", "--club", "1", "--request-id", &old], b"").exits(5);
    assert!(ran.err.contains("older than the idempotency window"), "{}", ran.err);

    let ran = operate(&server, &["check", "c", "A", "NONE", "a b"], b"").exits(1);
    let verdicts: Vec<_> = ran.out.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        verdicts,
        ["c redeemable 1 5.00 0 of 1", "A code_exhausted 1 5.00 1 of 1", "NONE unknown_code - - -", "a b invalid_code - - -"]
    );
    let checked = operate_json(&server, &["check", "C", "--club", "1"], b"", 0);
    assert_eq!(checked["checked"]["codes"][0]["redeemable"]["activations"], json!(0));
    for args in [["redeem", "C", "--client", "ann", "--club", "1"], ["redeem", "C", "--client", "1", "--club", "x"]] {
        operate(&server, &args, b"").exits(2);
    }
}

/// Z1: a use is reserved during a payment, then credited or released.
#[test]
fn codes_are_held_confirmed_and_released() {
    let server = prepare();
    let outcome = |args: &[&str], code| operate_json(&server, args, b"", code)["outcome"].clone();
    let ran = operate(&server, &["hold", " a ", "--client", "42", "--club", "1"], b"").exits(0);
    assert!(ran.out.starts_with("held until 2"), "{}", ran.out);
    assert!(ran.out.ends_with(": 5.00 to be credited, campaign 1, hold 9\n"), "{}", ran.out);
    let ran = operate(&server, &["redeem", "A", "--client", "43", "--club", "1"], b"").exits(1);
    assert_eq!(ran.out, "refused: the code has no uses left\n");
    let ran = operate(&server, &["check", "a"], b"").exits(1);
    let verdict = ran.out.lines().nth(1).expect("a verdict").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(verdict, "a code_exhausted 1 5.00 0 of 1, 1 held");
    let ran = operate(&server, &["confirm", "9"], b"").exits(0);
    assert_eq!(ran.out, "confirmed: 5.00 credited, bonus balance 5.00, campaign 1, activation 11\n");
    let ran = operate(&server, &["confirm", "9"], b"").exits(1);
    assert!(ran.out.starts_with("refused: the hold was already confirmed: 5.00 credited"), "{}", ran.out);
    assert_eq!(outcome(&["release", "9"], 1)["already_confirmed"]["activation"], json!(11));

    let now_ms = scrip_protocol::unix_time_ms();
    let held = outcome(&["hold", "B", "--client", "42", "--club", "1", "--for", "2h"], 0)["held"].clone();
    let expires_ms = held["expires_ms"].as_u64().expect("a time");
    assert!((now_ms + 7_190_000..now_ms + 7_230_000).contains(&expires_ms), "{expires_ms} is two hours after {now_ms}");
    assert_eq!((&held["hold"], &held["amount"], &held["campaign"]), (&json!(14), &json!(500), &json!(1)));
    // Another credential's hold looks as if it did not exist; an operator may end any.
    let gateway = run(server.scrip(Role::Gateway).args(["release", "14"]), b"").exits(1);
    assert_eq!(gateway.out, "refused: there is no such hold, it ended long ago, or it is not yours\n");
    assert_eq!(operate(&server, &["release", "14"], b"").exits(0).out, "released: the code has its use back\n");
    assert_eq!(outcome(&["confirm", "14"], 1), json!("released"));
    let own = run(server.scrip(Role::Gateway).args(["hold", "B", "--client", "1", "--club", "1", "--json"]), b"").exits(0);
    let hold = own.json()[0]["outcome"]["held"]["hold"].to_string();
    run(server.scrip(Role::Gateway).args(["confirm", &hold]), b"").exits(0);

    assert_eq!(outcome(&["hold", "NONE", "--client", "1", "--club", "1"], 1), json!({ "refused": "unknown_code" }));
    assert_eq!(outcome(&["confirm", "9999"], 1), json!("unknown_hold"));
    assert_eq!(outcome(&["release", "9999"], 1), json!("unknown_hold"));
    for time in ["999ms", "8d", "15", "soon"] {
        let ran = operate(&server, &["hold", "C", "--client", "1", "--club", "1", "--for", time], b"").exits(2);
        assert!(ran.err.contains("is not a time from 1 second to 7 days, such as 90s, 15m, 2h or 7d"), "{}", ran.err);
    }

    // The same id gets the same outcome without any further effect.
    let id = RequestId::now().to_string();
    let hold = ["hold", "C", "--client", "42", "--club", "1", "--request-id", &id];
    assert_eq!(operate_json(&server, &hold, b"", 0), operate_json(&server, &hold, b"", 0));
    let lines = operate(&server, &["tail"], b"").exits(0).json();
    let words: Vec<&str> = lines[8..14].iter().filter_map(|line| line["record"].as_str()).collect();
    assert_eq!(
        words,
        ["code_held", "redemption_refused", "hold_confirmed", "confirmation_refused", "request_refused", "code_held"],
        "{lines:?}"
    );
    assert_eq!(
        json!([lines[10]["hold"], lines[10]["client"], lines[10]["amount"], lines[10]["stamp"]["credential"]]),
        json!([9, "42", 500, lines[8]["stamp"]["credential"]])
    );
    let help = operate(&server, &["hold", "--help"], b"").exits(0);
    assert!(help.out.contains("during a payment"), "{}", help.out);
}

#[test]
fn the_journal_is_printed_line_by_line() {
    let server = prepare();
    operate(&server, &["redeem", "A", "--client", "1", "--club", "1"], b"").exits(0);
    let lines = operate(&server, &["tail"], b"").exits(0).json();
    let records: Vec<_> = lines.iter().map(|line| (line["position"].clone(), line["record"].clone())).collect();
    let initial = ["settings_set"].into_iter().chain(Role::ALL.map(|_| "credential_added"));
    let words = initial.chain(["club_registered", "campaign_created", "activation"]);
    let expected: Vec<_> = (1..).zip(words).map(|(position, word)| (json!(position), json!(word))).collect();
    assert_eq!(records, expected);
    assert_eq!(lines[7]["codes"], json!(["A", "B", "C"]));
    assert!(lines.iter().all(|line| line["at_ms"].as_u64() > Some(1_700_000_000_000)), "{lines:?}");
    let later = operate(&server, &["tail", "--from", "9", "--json"], b"").exits(0).json();
    assert_eq!(later, lines[8..]);
    operate(&server, &["tail", "--from", "10"], b"").exits(0);
    let ran = operate(&server, &["tail", "--from", "11"], b"").exits(1);
    assert!(ran.err.contains("the next position is 10"), "{}", ran.err);

    // With --follow, later records are printed as well.
    let mut command = server.scrip(Role::Reporter);
    let mut following =
        Running(command.args(["tail", "--follow"]).stdout(std::process::Stdio::piped()).spawn().expect("it starts"));
    let followed = following.lines();
    let next = || -> Value {
        serde_json::from_str(&followed.recv_timeout(crate::support::DEADLINE).expect("a line within the deadline")).expect("JSON")
    };
    let so_far: Vec<_> = (0..9).map(|_| next()).collect();
    assert_eq!(so_far, lines);
    operate(&server, &["redeem", "B", "--client", "1", "--club", "1"], b"").exits(0);
    assert_eq!(next()["record"], json!("activation"));
}

#[test]
fn an_unreachable_engine_is_distinguished_from_a_missing_folder() {
    let mut server = prepare();
    assert!(server.terminate().success());
    let ran = operate(&server, &["club", "list"], b"").exits(3);
    assert!(ran.err.contains(&format!("no engine answers at {}", server.address())), "{}", ran.err);
    let missing = server.scratch().join("missing");
    let ran = run(scrip().args(["serve", "--data", text(&missing)]), b"").exits(6);
    assert!(ran.err.contains("contains no organisation; create one with `scrip init`"), "{}", ran.err);
    assert!(!missing.exists());
    let ran = run(scrip().args(["club", "list", "--data", text(&missing)]).env("SCRIP_TOKEN", "x"), b"").exits(6);
    assert!(ran.err.contains("contains no organisation"), "{}", ran.err);
}

#[test]
fn a_folder_has_one_engine() {
    let server = prepare();
    let dir = server.dir();
    let ran = run(scrip().args(["serve", "--data", text(&dir), "--listen", "127.0.0.1:0"]), b"").exits(6);
    assert!(ran.err.contains("another process has this journal open"), "{}", ran.err);
    operate(&server, &["redeem", "A", "--client", "1", "--club", "1"], b"").exits(0);
    // On another folder, with an address that is taken.
    let other = server.scratch().join("other");
    run(scrip().args(["init", text(&other), "--listen", &server.address().to_string()]), b"").exits(0);
    let ran = run(scrip().args(["serve", "--data", text(&other)]), b"").exits(6);
    assert!(ran.err.contains(&format!("cannot listen on {}", server.address())), "{}", ran.err);
}

#[test]
fn a_damaged_journal_is_named_and_not_used() {
    let mut server = prepare();
    let codes: String = (0..5_000).map(|n| format!("MORE-{n:08}\n")).collect();
    operate(&server, &["codes", "add", "1"], codes.as_bytes()).exits(0);
    assert!(server.terminate().success());
    let segment = server.journal_files().into_iter().map(|(path, _)| path).find(|path| path.extension() == Some("redb".as_ref()));
    let segment = segment.expect("there is one segment");
    let whole = fs::read(&segment).expect("it is readable");
    let at = whole.windows(13).position(|bytes| bytes == b"MORE-00004000").expect("the codes are in it");
    let mut changed = whole.clone();
    changed[at] = b'X';
    for (what, bytes) in
        [("a letter changed", changed), ("half of it", whole[..whole.len() / 2].to_vec()), ("zeros", vec![0; whole.len()])]
    {
        fs::write(&segment, &bytes).expect("written");
        let ran = run(scrip().args(["serve", "--data", text(&server.dir())]), b"").exits(6);
        assert!(ran.err.contains(text(&segment)), "{what}: {}", ran.err);
        assert!(!ran.out.contains("listening"), "{what}");
    }
    fs::write(&segment, &whole).expect("written");
    server.restart();
    operate(&server, &["redeem", "A", "--client", "1", "--club", "1"], b"").exits(0);
}

#[test]
fn serve_prints_its_address_and_that_it_has_stopped() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let dir = scratch.path().join("org");
    run(scrip().arg("init").arg(&dir), b"").exits(0);
    // A stop leaves a snapshot.
    for (signal, how) in [("TERM", "a new journal"), ("INT", "6 records: 6 from a snapshot, 0 replayed, in ")] {
        let mut command = scrip();
        command.args(["serve", "--data", text(&dir), "--listen", "127.0.0.1:0"]).stdout(std::process::Stdio::piped());
        let mut running = Running(command.spawn().expect("it starts"));
        let lines = running.lines();
        let line = || lines.recv_timeout(crate::support::DEADLINE).expect("a line within the deadline");
        let first = line();
        assert!(first.starts_with("listening on 127.0.0.1:") && first.contains(&format!("(UDP); {how}")), "{first}");
        running.signal(signal);
        assert_eq!(line(), "stopped; every accepted request was answered");
        let status = crate::support::wait_until(crate::support::DEADLINE, "it ends", || {
            running.0.try_wait().expect("its status is available")
        });
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_every_accepted_request() {
    let mut server = prepare();
    let mut replied = std::collections::HashMap::new();
    for round in 0..5 {
        let ids: Vec<_> = (0..3_000).map(|_| RequestId::now()).collect();
        let mut lane = server.lane(Role::Gateway).await;
        let bytes =
            ids.iter().zip(0..).flat_map(|(id, n)| request(n, *id, &redemption(u128::from(n), scrip_protocol::ClubId(1), "C")));
        lane.write(&bytes.collect::<Vec<u8>>()).await;
        // Some have replies, some are under way, some may not have been read.
        let first = lane.next().await.expect("a reply");
        assert!(server.terminate().success(), "round {round}");
        let (mut replies, ending) = lane.until_the_end().await;
        replies.push(first);
        match ending {
            Ending::Finished => {}
            Ending::Closed(error) => assert!(error.is_passing(), "{error}"),
        }
        let answers =
            replies.iter().map(|reply| (ids[reply.correlation as usize], reply.outcome::<Redeem>().expect("an outcome")));
        replied.extend(answers);
        server.restart();
        let recount = server.audited(&replied).await;
        assert_eq!(recount.outcomes.len(), replied.len(), "every accepted request has a reply, and no other was executed");
    }
}

#[test]
fn the_demo_runs_twice_on_its_folder() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let data = scratch.path().join("demo");
    for activations in ["2,000", "4,000"] {
        let ran = run(scrip().args(["demo", "--once", "--codes", "2000", "--data", text(&data)]), b"").exits(0);
        assert!(ran.out.contains(&format!("The sums agree: {activations} activations in total")), "{}", ran.out);
        assert!(!ran.out.contains("WRONG"), "{}", ran.out);
    }
}

/// Help is read on terminals of 80 columns: what is longer than a line is wrapped, and only a word that is longer than that may pass it.
#[test]
fn help_is_wrapped_to_the_terminal() {
    let page = |path: &[&str]| run(scrip().env("COLUMNS", "80").args(path).arg("--help"), b"").out;
    let names = |help: &str| -> Vec<String> {
        let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
        let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
    };
    let mut paths: Vec<Vec<String>> = vec![Vec::new()];
    let mut pages = 0;
    while let Some(path) = paths.pop() {
        let help = page(&path.iter().map(String::as_str).collect::<Vec<_>>());
        // The usage of a command is one line, however long.
        for line in help.lines().filter(|line| line.chars().count() > 80 && !line.starts_with("Usage: ")) {
            assert_eq!(line.split_whitespace().count(), 1, "{path:?}: {line}");
        }
        let mut goes_on = false;
        for line in help.lines().skip_while(|line| !line.starts_with("Example")).skip(1).take_while(|line| !line.is_empty()) {
            assert!(goes_on || line.starts_with("  scrip "), "{path:?}: an example can be copied: {line}");
            goes_on = line.ends_with(" \\");
        }
        paths.extend(names(&help).into_iter().map(|name| [&path[..], &[name]].concat()));
        pages += 1;
    }
    assert!(pages > 60, "{pages}");
}
