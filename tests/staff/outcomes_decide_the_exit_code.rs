//! The exit code depends on what a command did, whether or not its output can be written; and printed help is not success.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use scrip_client::Tailing;
use scrip_protocol::command::LINES_MAX;
use scrip_protocol::{Position, RequestId, Role};
use serde_json::json;

use crate::support::{DEADLINE, Ran, Running, Server, run, scrip, wait_until};

/// Where the standard output of a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// A full disk.
    Full,
    /// A pipe without a reader.
    Closed,
}

impl Output {
    fn open(self) -> Stdio {
        match self {
            Output::Full => File::options().write(true).open("/dev/full").expect("Linux has one").into(),
            Output::Closed => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                writer.into()
            }
        }
    }
}

/// Runs a command to its end with this output; what it prints there is lost.
fn run_into(command: &mut Command, output: Output) -> Ran {
    let error = tempfile::NamedTempFile::new().expect("a temporary file");
    let stderr = error.reopen().expect("it exists");
    let mut child = Running(command.stdin(Stdio::null()).stdout(output.open()).stderr(stderr).spawn().expect("it starts"));
    let status = wait_until(DEADLINE, "the program ends", || child.0.try_wait().expect("its status is available"));
    let err = fs::read_to_string(error.path()).expect("it is text");
    Ran { code: status.code().unwrap_or(-1), out: String::new(), err }
}

/// An engine with a club and a campaign of the codes A to E, each good for one bonus.
fn prepare() -> Server {
    let server = Server::start();
    operate(&server, &["club", "add", "Arena"]).exits(0);
    let create = ["campaign", "create", "--name", "Spring", "--amount", "5", "--cap", "1", "-"];
    run(server.scrip(Role::Operator).args(create), b"A\nB\nC\nD\nE\n").exits(0);
    server
}

fn operate(server: &Server, arguments: &[&str]) -> Ran {
    run(server.scrip(Role::Operator).args(arguments), b"")
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_refusal_is_a_refusal_wherever_it_is_printed() {
    let server = prepare();
    for output in [Output::Full, Output::Closed] {
        for is_json in [false, true] {
            let code = |line: &str, expected| {
                let mut command = server.scrip(Role::Operator);
                command.args(words(line)).args(is_json.then_some("--json"));
                let ran = run_into(&mut command, output);
                assert_eq!(ran.code, expected, "{line} into {output:?}, JSON: {is_json}: {ran:?}");
                assert_eq!(ran.err.contains("standard output cannot be written"), output == Output::Full, "{ran:?}");
                ran
            };
            for line in [
                "redeem NO-SUCH --client 1 --club 1",
                "hold NO-SUCH --client 1 --club 1",
                "confirm 999",
                "release 999",
                "refund 999",
                "check NO-SUCH",
                "check A NO-SUCH",
                "codes check A",
                "club add Arena",
                "client show 999",
                "campaign show 999",
                "campaign archive 999",
                "codes archive 1 NO-SUCH",
                "codes list 999",
                "bonus write-off 5 --client 1",
                "token revoke 999",
                "rule show 999",
                "rule update 999 --name Cash",
                "reader forget nobody",
            ] {
                code(line, 1);
            }
            let done = if output == Output::Full { 11 } else { 0 };
            for line in ["check A", "club list", "campaign list", "campaign show 1", "codes list 1", "tail", "token list"] {
                code(line, done);
            }
        }
    }
}

/// The bonus is credited, but the exit code is not 0: nobody has read the amount.
#[test]
fn a_redemption_whose_output_is_lost_names_its_request() {
    let server = prepare();
    let mut command = server.scrip(Role::Gateway);
    let ran = run_into(command.args(words("redeem A --client 42 --club 1")), Output::Full).exits(11);
    let id = ran.err.split("--request-id ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("the id is named");
    let again = run(server.scrip(Role::Gateway).args(words("redeem A --client 42 --club 1 --request-id")).arg(id), b"").exits(0);
    assert!(again.out.starts_with("redeemed: 5.00 credited, bonus balance 5.00"), "{}", again.out);
    let mut command = server.scrip(Role::Gateway);
    run_into(command.args(words("redeem B --client 42 --club 1")), Output::Closed).exits(0);
    let shown = operate(&server, &["client", "show", "42"]).exits(0).out;
    assert!(shown.contains("bonus balance   10.00"), "each was credited once: {shown}");
}

/// A job that repeats while the engine is busy and stops when it is denied treats tails and requests alike.
#[test]
fn a_tail_that_is_refused_exits_as_a_request_does() {
    let server = prepare();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut tails = Vec::new();
    for _ in 0..24 {
        let tailing = runtime.block_on(Tailing::start(server.dial(Role::Reporter), Position(1), true));
        let mut tailing = tailing.expect("the engine runs");
        runtime.block_on(crate::support::within(tailing.next())).expect("the credential may have so many");
        tails.push(tailing);
    }
    let to = server.scratch().join("backup");
    let to = to.to_str().expect("temporary folders have plain names");
    for arguments in [&["tail"][..], &["tail", "--attempts"], &["backup", "--to", to]] {
        let ran = run(server.scrip(Role::Reporter).args(arguments), b"").exits(3);
        assert!(ran.err.contains("refused: the engine is busy; try again in "), "{arguments:?}: {ran:?}");
    }
    for arguments in [&["tail"][..], &["tail", "--attempts"]] {
        let ran = run(server.scrip(Role::Gateway).args(arguments), b"").exits(4);
        assert!(ran.err.contains("are not allowed to do this"), "{arguments:?}: {ran:?}");
    }
}

/// For example, nobody can confirm or release a hold without its id.
#[test]
fn every_change_whose_output_is_lost_names_its_request() {
    let server = prepare();
    let list = server.scratch().join("codes.txt");
    fs::write(&list, "F\nG\n").expect("written");
    let list = list.to_str().expect("temporary folders have plain names");
    for line in [
        "hold A --client 42 --club 1",
        "client add 42 --name Ann",
        "group add VIP",
        "top-up 500 --client 42 --club 1 --source cash",
        "bonus credit 5 --client 42",
        "campaign update 1 --amount 6",
        "campaign deactivate 1",
        "campaign activate 1",
        "codes archive 1 E",
        "codes restore 1 E",
        &format!("codes add 1 {list}"),
        "campaign archive 1",
        "campaign restore 1",
        "rule create --name Cash --add-bonus 5",
        "rule update 1 --name Card",
        "rule deactivate 1",
        "rule activate 1",
        "rule archive 1",
        "rule restore 1",
        "reader keep mine --position 1",
        "reader forget mine",
    ] {
        for json in [None, Some("--json")] {
            let mut command = server.scrip(Role::Operator);
            let lost = run_into(command.args(words(line)).args(json), Output::Full);
            assert!(lost.code == 11 || json.is_some() && lost.code == 1, "{line}: {lost:?}");
            let hints: Vec<_> = lost.err.match_indices("the same command with --request-id ").collect();
            assert_eq!(hints.len(), 1, "{line}: {lost:?}");
            let id = lost.err.split("--request-id ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an id");
            let mut command = server.scrip(Role::Operator);
            let again = run(command.args(words(line)).args(json).args(["--request-id", id]), b"");
            assert_eq!(again.code, if lost.code == 11 { 0 } else { 1 }, "{line}: {again:?}");
            assert!(!again.out.is_empty());
        }
    }
    let mut command = server.scrip(Role::Operator);
    let dry = run_into(command.args(words(&format!("codes add 1 --dry-run {list}"))), Output::Full).exits(11);
    assert!(!dry.err.contains("--request-id"), "no request was sent: {dry:?}");
}

/// A program that cannot write more than some KiB to any file.
fn with_full_disk(program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg("trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"");
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The lines that a list did not change are buffered in a temporary file, which is part of the output.
#[test]
fn a_list_whose_results_cannot_be_buffered_is_executed_and_names_its_request() {
    let server = prepare();
    let list = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        let path = server.scratch().join(name);
        fs::write(&path, lines.map(|line| line + "\n").collect::<String>()).expect("written");
        path.to_str().expect("temporary folders have plain names").to_owned()
    };
    let codes = || (0..3_000).map(|n| format!("DUP-{n}"));
    let twice = list("twice.txt", &mut codes().chain(codes()));
    // Two parts; only the second has a code of the campaign.
    let long = list("long.txt", &mut (0..LINES_MAX).map(|n| format!("NONE-{n}")).chain(["A".to_owned()]));
    for (line, code) in [
        (format!("campaign create --name Twice --amount 5 {twice}"), 11),
        (format!("codes add 1 {}", list("more.txt", &mut codes().chain(codes()).map(|code| code + "-MORE"))), 11),
        (format!("codes archive 1 --file {long}"), 1),
    ] {
        let mut command = server.scrip(Role::Operator);
        let lost = run(&mut with_full_disk(command.args(words(&line)).arg("--json")), b"");
        assert_eq!((lost.code, lost.out.as_str()), (code, ""), "{line}: {lost:?}");
        assert!(lost.err.contains("the results cannot be buffered in "), "{line}: {lost:?}");
        let id = lost.err.split("the same command with --request-id ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let mut command = server.scrip(Role::Operator);
        let id = id.unwrap_or_else(|| panic!("{line}: {lost:?}"));
        let again = run(command.args(words(&line)).args(["--json", "--request-id", id]), b"");
        assert_eq!(again.code, if code == 11 { 0 } else { code }, "{line}: {again:?}");
    }
    let campaigns = operate(&server, &["campaign", "list", "--json"]).exits(0).json();
    let counts: Vec<_> = campaigns.iter().map(|card| card["codes"].clone()).collect();
    assert_eq!(counts, [json!(3_005), json!(3_000)], "each request was executed once");
    let archived = operate(&server, &["codes", "list", "1", "--status", "archived", "--json"]).exits(0).json();
    assert_eq!(archived.iter().map(|row| &row["code"]).collect::<Vec<_>>(), [&json!("A")]);
    // A trial sends nothing, so that its results can be refused before anything is executed.
    let conflicts = list("conflicts.txt", &mut (0..=LINES_MAX).map(|n| format!("DUP-{}", n % 3_000)));
    let mut command = server.scrip(Role::Operator);
    let ran = run(&mut with_full_disk(command.args(["codes", "add", "1", "--json", &conflicts])), b"").exits(70);
    assert!(ran.err.contains("cannot buffer the results in "), "{ran:?}");
}

/// The engine refuses the update of an unknown rule, which uses up the id: a retry has the same outcome.
#[test]
fn an_update_of_an_unknown_rule_is_refused_by_the_engine() {
    let server = prepare();
    let id = RequestId::now().to_string();
    let update = ["rule", "update", "1", "--name", "Card", "--request-id", &id];
    for _ in 0..2 {
        let refused = operate(&server, &update).exits(1).out;
        assert_eq!(refused, "rule 1: refused: there is no such rule\n");
    }
    operate(&server, &["rule", "create", "--name", "Cash", "--add-bonus", "5"]).exits(0);
    let again = operate(&server, &update).exits(1).out;
    assert_eq!(again, "rule 1: refused: there is no such rule\n");
    assert!(operate(&server, &["rule", "show", "1"]).exits(0).out.contains("Cash"));
}

#[test]
fn damage_decides_the_exit_code_even_if_it_cannot_be_printed() {
    let mut server = prepare();
    assert!(server.terminate().success());
    let mut files = server.journal_files().into_iter().map(|(path, _)| path);
    let segment = files.find(|path| path.extension() == Some("redb".as_ref())).expect("there is one segment");
    let whole = fs::read(&segment).expect("it is readable");
    fs::write(&segment, &whole[..whole.len() / 2]).expect("written");
    let snapshot = crate::support::files(&server.dir().join("snapshots"))
        .into_iter()
        .map(|(path, _)| path)
        .next()
        .expect("a stop takes one");
    let bytes = fs::read(&snapshot).expect("it is readable");
    fs::write(&snapshot, &bytes[..bytes.len() / 2]).expect("written");
    let text = |path: &Path| path.to_str().expect("temporary folders have plain names").to_owned();
    let (dir, snapshot) = (text(&server.dir()), text(&snapshot));
    for arguments in [
        vec!["inspect", "journal", &dir],
        vec!["inspect", "journal", &dir, "--json"],
        vec!["inspect", "journal", &dir, "--records"],
        vec!["inspect", "snapshot", &snapshot],
        vec!["inspect", "snapshot", &snapshot, "--json"],
        vec!["snapshot", "list", "--data", &dir],
        vec!["snapshot", "verify", "--data", &dir],
    ] {
        for output in [Output::Full, Output::Closed] {
            let ran = run_into(scrip().args(&arguments), output);
            assert_eq!(ran.code, 6, "{arguments:?} into {output:?}: {ran:?}");
        }
    }
}

/// An engine does more than print.
#[test]
fn an_engine_whose_output_is_lost_keeps_serving() {
    for (output, expected) in [(Output::Full, 11), (Output::Closed, 0)] {
        let mut server = prepare();
        assert!(server.terminate().success());
        let mut command = scrip();
        command.arg("serve").arg("--data").arg(server.dir()).stdout(output.open()).stderr(Stdio::null());
        let mut engine = Running(command.spawn().expect("it starts"));
        wait_until(DEADLINE, "the engine answers", || {
            assert_eq!(engine.0.try_wait().expect("its status is available"), None, "it keeps running, {output:?}");
            (operate(&server, &["check", "A"]).code == 0).then_some(())
        });
        engine.signal("TERM");
        let status = wait_until(DEADLINE, "it ends", || engine.0.try_wait().expect("its status is available"));
        assert_eq!(status.code(), Some(expected), "{output:?}");
    }
}

/// Secrets are shown once; a secret that could not be printed is not created.
#[test]
fn an_organisation_whose_tokens_cannot_be_printed_is_not_created() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let dir = scratch.path().join("org");
    for output in [Output::Full, Output::Closed] {
        for is_json in [false, true] {
            let mut command = scrip();
            let ran = run_into(command.arg("init").arg(&dir).args(is_json.then_some("--json")), output).exits(11);
            assert!(ran.err.contains("the tokens could not be printed, so no organisation was created"), "{ran:?}");
            assert!(!dir.exists());
        }
    }
    run(scrip().arg("init").arg(&dir), b"").exits(0);
}

#[test]
fn a_token_that_cannot_be_printed_is_revoked() {
    let server = prepare();
    for (output, name) in [(Output::Full, "full"), (Output::Closed, "closed")] {
        let mut command = server.scrip(Role::Operator);
        let ran = run_into(command.args(["token", "add", "--name", name, "--role", "gateway"]), output).exits(11);
        let listed = operate(&server, &["token", "list", "--json"]).exits(0).json();
        let card = listed.iter().find(|card| card["name"] == *name).expect("the journal has it");
        assert!(card["revoked_ms"].is_u64(), "{card}");
        let number = &card["credential"];
        assert!(ran.err.contains(&format!("the token could not be printed, so credential {number} was revoked")), "{ran:?}");
    }
}

#[test]
fn codes_that_cannot_be_printed_are_printed_by_a_retry() {
    let server = prepare();
    for output in [Output::Full, Output::Closed] {
        let id = RequestId::now().to_string();
        let generate = ["codes", "generate", "1", "--count", "3", "--request-id", &id];
        let ran = run_into(server.scrip(Role::Marketing).args(generate), output).exits(11);
        assert!(ran.err.contains(&format!("the same command with --request-id {id} prints the same codes again")), "{ran:?}");
        let codes = run(server.scrip(Role::Marketing).args(generate), b"").exits(0).out;
        assert_eq!(codes.lines().count(), 3);
    }
    let listed = operate(&server, &["codes", "list", "1", "--json"]).exits(0).json();
    assert_eq!(listed.len(), 5 + 6, "each request generated its codes once");
}

/// `scrip check "$CODE" && grant`, and a player types `-h`.
#[test]
fn help_instead_of_an_outcome_is_not_success() {
    for line in [
        "redeem -h --client 1 --club 1",
        "redeem --help --client 1 --club 1",
        "redeem --client 1 --club 1 -h",
        "hold -h --client 1 --club 1",
        "check -h",
        "check --help",
        "check -h --club 1",
        "check help -h",
        "confirm -h",
        "release --help",
        "refund -h",
        "refund -h --force",
        "campaign archive -h 1",
        "campaign archive -h",
        "refund-top-up -h",
        "client show -h",
        "--version redeem A --client 1 --club 1",
    ] {
        let ran = run(scrip().args(words(line)), b"").exits(2);
        assert!(ran.err.contains("the command was not run"), "{line}: {}", ran.err);
    }
    for line in [
        "--help",
        "-h",
        "--version",
        "help redeem",
        "help check",
        "redeem --help",
        "hold -h",
        "campaign --help",
        "campaign create -h",
        "campaign archive --help",
    ] {
        let ran = run(scrip().args(words(line)), b"").exits(0);
        assert!(!ran.out.is_empty() && ran.err.is_empty(), "{line}: {ran:?}");
    }
    run_into(scrip().arg("--help"), Output::Full).exits(11);
    run_into(scrip().arg("--help"), Output::Closed).exits(0);
    run(&mut scrip(), b"").exits(2);
}

/// A script repeats what was unreachable (3), and must not repeat what it reads from a file that is missing or damaged (9).
#[test]
fn an_unusable_file_of_a_connection_is_unusable_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (junk, missing) = (folder.path().join("junk.pem"), folder.path().join("missing.pem"));
    fs::write(&junk, "not a certificate").expect("it is writable");
    fs::set_permissions(&junk, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let server = Server::start();
    let authority = folder.path().join("ca.pem");
    fs::write(&authority, server.authority()).expect("it is writable");
    for file in [&junk, &missing] {
        let called = |arguments: &[(&str, &Path)]| {
            let mut command = scrip();
            command.args(["club", "list", "--server", "127.0.0.1:9"]).env("SCRIP_TOKEN", "any");
            for (option, path) in arguments {
                command.arg(option).arg(path);
            }
            let ran = run(&mut command, b"").exits(9);
            assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        };
        called(&[("--ca", file)]);
        called(&[("--ca", &authority), ("--cert", file), ("--key", &junk)]);
    }
    let mut command = scrip();
    let without_token = command.args(["club", "list", "--server", "127.0.0.1:9", "--ca"]).arg(&authority).arg("--token-file");
    run(without_token.arg(&missing), b"").exits(9);
}

#[test]
fn codes_that_begin_with_a_hyphen_are_codes() {
    let server = prepare();
    for code in ["-5OFF", "-hX", "--SUMMER", "-"] {
        for command in ["redeem", "hold"] {
            let ran = operate(&server, &[command, code, "--client", "1", "--club", "1", "--json"]).exits(1);
            let expected = if command == "redeem" { json!("unknown_code") } else { json!({ "refused": "unknown_code" }) };
            assert_eq!(ran.json()[0]["outcome"], expected, "{code}");
        }
    }
    let checked = operate(&server, &["check", "--json", "--", "-h", "-5OFF", "A"]).exits(1).json();
    let codes = checked[0]["checked"]["codes"].as_array().expect("a verdict for each");
    assert_eq!(codes.iter().filter(|code| code["redeemable"].is_object()).count(), 1, "{checked:?}");
    operate(&server, &["redeem", "--client", "1", "--club", "1", "--", "-h"]).exits(1);
    operate(&server, &["check", "-5OFF"]).exits(2);
}
