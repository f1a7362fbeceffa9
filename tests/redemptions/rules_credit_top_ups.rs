//! Top-ups under rules, with the real program: credits are made at once and are in one record with the top-up; nothing is
//! executed twice, whatever happens between request and reply; push notifications are read from the journal; a draft is
//! rehearsed.

use std::collections::HashMap;

use scrip_protocol::command::{Note, TopUp};
use scrip_protocol::{ClientId, ClubId, Money, RequestId, Role, TopUpSource};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{DEADLINE, Ran, Running, Server, run};

fn scrip(server: &Server, role: Role, args: &[&str]) -> Ran {
    run(server.scrip(role).args(args), b"")
}

/// The output of a successful command.
#[track_caller]
fn done(server: &Server, role: Role, args: &[&str]) -> String {
    scrip(server, role, args).exits(0).out
}

/// An engine with two clubs and two groups.
fn prepare() -> Server {
    let server = Server::start();
    for club in ["Arena North", "South"] {
        done(&server, Role::Operator, &["club", "add", club]);
    }
    for group in ["VIP", "Newcomers"] {
        done(&server, Role::Marketing, &["group", "add", group]);
    }
    server
}

/// Creates a rule.
#[track_caller]
fn rule(server: &Server, name: &str, options: &[&str]) {
    done(server, Role::Marketing, &[&["rule", "create", "--name", name], options].concat());
}

/// Tops up client 42, and returns the outcome.
#[track_caller]
fn top_up(server: &Server, amount: &str, club: &str, source: &str) -> Value {
    top_up_of(server, "42", amount, club, source)
}

#[track_caller]
fn top_up_of(server: &Server, client: &str, amount: &str, club: &str, source: &str) -> Value {
    let args = ["top-up", amount, "--client", client, "--club", club, "--source", source, "--json"];
    scrip(server, Role::Gateway, &args).exits(0).json()[0]["outcome"]["topped_up"].clone()
}

/// The credits of a top-up, in minor units.
fn credited(done: &Value) -> i64 {
    done["credited"].as_i64().expect("an amount")
}

/// The records of a kind.
fn records(server: &Server, word: &str) -> Vec<Value> {
    scrip(server, Role::Reporter, &["tail"]).exits(0).json().into_iter().filter(|line| line["record"] == word).collect()
}

/// U2, U3, U4, U6, U7, A19, A20, A22: every matching rule fires, once, by the client's earlier balances; their credits add up.
#[test]
fn every_matching_rule_fires() {
    let server = prepare();
    rule(
        &server,
        "Tenth",
        &["--when", "topupAmountMajor >= 500 AND topupAmountMajor < 1000", "--add-bonus", "{{topupAmountMajor}} * 0.1"],
    );
    rule(&server, "Fifth", &["--when", "topupAmountMajor >= 1000", "--add-bonus", "{{topupAmountMajor}} * 0.2"]);
    rule(&server, "Card", &["--when", "topUpSource = POS_TERMINAL", "--add-bonus", "7"]);
    rule(&server, "South", &["--club", "2", "--add-bonus", "3"]);
    let of = |amount, club, source| credited(&top_up(&server, amount, club, source));
    assert_eq!(of("499.99", "1", "CASH"), 0);
    assert_eq!(of("500", "1", "ACQUIRING"), 5_000);
    assert_eq!(of("999.99", "1", "CASH"), 10_000, "rounded to whole units");
    assert_eq!(of("1000", "1", "CASH"), 20_000, "the ranges do not overlap");
    assert_eq!(of("1000", "1", "POS_TERMINAL"), 20_700);
    assert_eq!(of("1000", "2", "POS_TERMINAL"), 21_000);
    assert_eq!(of("10", "1", "POS_TERMINAL"), 700);

    // By the client's earlier balances: they include neither this top-up nor another rule's credit.
    rule(
        &server,
        "Balance",
        &["--when", "sessionsCount >= 1", "--add-bonus", "{{gamingBalanceMajor}} + {{bonusBalanceMajor}} + {{totalSpentMajor}}"],
    );
    let before = scrip(&server, Role::Cashier, &["client", "show", "42", "--json"]).json()[0]["client"]["accounts"].clone();
    done(&server, Role::Cashier, &["spend", "session", "100", "--client", "42", "--club", "1"]);
    // The session moved 100 from the balance to the money spent. Half a unit is rounded away from zero.
    let minor = before["gaming"].as_i64().zip(before["bonus"].as_i64()).map(|(gaming, bonus)| gaming + bonus);
    assert_eq!(of("1", "1", "CASH"), (minor.expect("amounts") + 50) / 100 * 100);

    // A rule that fails does not prevent others from firing, and is counted.
    rule(&server, "Broken", &["--add-bonus", "1 / ({{topupAmountMajor}} - 20)"]);
    let failing = top_up_of(&server, "43", "20", "2", "CASH");
    assert_eq!((credited(&failing), &failing["fired"], &failing["failed"]), (300, &json!(1), &json!(1)));
    let last = records(&server, "topped_up").pop().expect("there are top-ups");
    assert_eq!(last["failed"], json!([{ "rule": 6, "why": "division_by_zero" }]));
    let list = scrip(&server, Role::Marketing, &["rule", "list", "--json"]).json();
    let counted: Vec<Value> = list.iter().map(|card| json!([card["fired"], card["failed"], card["credited"]])).collect();
    assert_eq!(counted[1..4], [json!([3, 0, 60_000]), json!([3, 0, 2_100]), json!([2, 0, 600])]);
    assert_eq!(counted[5], json!([0, 1, 0]));
}

/// U9, U10, U11, A32: a rule's current settings apply to the next top-up.
#[test]
fn a_rule_fires_only_while_it_is_on() {
    let server = prepare();
    let set = |args: &[&str]| drop(done(&server, Role::Marketing, &[&["rule"], args].concat()));
    let fires = || credited(&top_up(&server, "100", "1", "CASH"));
    rule(&server, "Ten", &["--add-bonus", "10", "--inactive"]);
    assert_eq!(fires(), 0);
    set(&["activate", "1"]);
    assert_eq!(fires(), 1_000);
    set(&["update", "1", "--add-bonus", "{{topupAmountMajor}} * 0.2"]);
    assert_eq!(fires(), 2_000);
    set(&["update", "1", "--club", "2"]);
    assert_eq!(fires(), 0);
    set(&["update", "1", "--club", "all"]);
    set(&["deactivate", "1"]);
    assert_eq!(fires(), 0);
    set(&["activate", "1"]);
    set(&["archive", "1"]);
    assert_eq!(fires(), 0);
    set(&["restore", "1"]);
    assert_eq!(fires(), 0, "it is restored switched off");
    set(&["activate", "1"]);
    assert_eq!(fires(), 2_000);
    let card = scrip(&server, Role::Reporter, &["rule", "show", "1", "--json"]).json()[0]["rule"].clone();
    assert_eq!(json!([card["fired"], card["credited"]]), json!([3, 5_000]), "its history stays");
}

/// U12, U13, B6: all four actions of a rule and the top-up are one record, from which the push notification is read.
#[test]
fn a_rules_actions_are_one_record_with_the_top_up() {
    let server = prepare();
    let all = ["--add-bonus", "{{topupAmountMajor}} / 2", "--assign-group", "1", "--unassign-group", "2", "--tag", "welcome"];
    let push =
        ["--push-title", "Thank you", "--push-body", "{{topupAmountMajor}} by {{topUpSource}}; you had {{bonusBalanceMajor}}"];
    rule(&server, "New", &["--when", "topupAmountMajor < 10", "--assign-group", "2"]);
    rule(&server, "All", &[&all[..], &push, &["--when", "topupAmountMajor >= 10"]].concat());
    rule(&server, "Two", &["--push-title", "Second", "--push-body", "one", "--when", "topupAmountMajor >= 10"]);
    top_up(&server, "5", "1", "CASH");
    let shown = || done(&server, Role::Cashier, &["client", "show", "42"]);
    assert!(shown().contains("\ngroups          Newcomers (2)\n"), "{}", shown());
    let before = scrip(&server, Role::Reporter, &["tail"]).json().len();
    let first = top_up(&server, "30.50", "1", "POS_TERMINAL");
    let lines = scrip(&server, Role::Reporter, &["tail"]).json();
    assert_eq!(lines.len(), before + 1, "one record");
    let record = &lines[before];
    let fired = json!([
        {
            "rule": 2,
            "result": 15,
            "assigned": [1],
            "unassigned": [2],
            "push": { "title": "Thank you", "body": "30.50 by POS_TERMINAL; you had 0" },
            "push_too_long": false,
            "tags": ["welcome"],
        },
        {
            "rule": 3, "result": null, "assigned": [], "unassigned": [], "push": { "title": "Second", "body": "one" },
            "push_too_long": false, "tags": [],
        },
    ]);
    assert_eq!((&record["record"], &record["fired"], &record["bonus"]), (&json!("topped_up"), &fired, &json!(1_500)));
    assert!(shown().contains("\ngroups          VIP (1)\n"), "{}", shown());

    let pushes = |args: &[&str]| scrip(&server, Role::Reporter, &[&["pushes"], args].concat()).exits(0).json();
    let number = first["top_up"].as_u64().expect("a position");
    let all = pushes(&[]);
    let expected = [
        json!({
            "id": format!("{number}-2"), "at_ms": record["at_ms"], "client": "42", "rule": 2, "title": "Thank you",
            "body": "30.50 by POS_TERMINAL; you had 0",
        }),
        json!({
            "id": format!("{number}-3"), "at_ms": record["at_ms"], "client": "42", "rule": 3, "title": "Second", "body": "one",
        }),
    ];
    assert_eq!(all, expected);
    let (first_id, second_id) = (format!("{number}-2"), format!("{number}-3"));
    assert_eq!(pushes(&["--after", &first_id]), expected[1..], "the other notification of the same top-up");
    assert_eq!(pushes(&["--after", &second_id]), [] as [Value; 0]);
    assert_eq!(pushes(&["--from", &number.to_string()]), expected);
    scrip(&server, Role::Reporter, &["pushes", "--after", "12"]).exits(2);
    scrip(&server, Role::Marketing, &["pushes"]).exits(4);

    // Followed after the last delivered one: later notifications arrive at once.
    let mut command = server.scrip(Role::Reporter);
    command.args(["pushes", "--follow", "--after", &second_id]).stdout(std::process::Stdio::piped());
    let mut following = Running(command.spawn().expect("it starts"));
    let followed = following.lines();
    let second = top_up(&server, "20", "1", "CASH");
    let next = followed.recv_timeout(DEADLINE).expect("a line within the deadline");
    let next: Value = serde_json::from_str(&next).expect("JSON");
    assert_eq!(json!([next["id"], next["body"]]), json!([format!("{}-2", second["top_up"]), "20 by CASH; you had 15"]));
}

/// Z3, Z4, pain 27: a retried top-up is paid and credited once: retried at once, at the same time, after a restart, and after the
/// engine was killed.
#[test]
fn a_retried_top_up_is_credited_once() {
    let mut server = prepare();
    rule(&server, "Tenth", &["--add-bonus", "{{topupAmountMajor}} * 0.1", "--push-title", "Hello", "--push-body", "there"]);
    let id = RequestId::now().to_string();
    let args = ["top-up", "500", "--client", "42", "--club", "1", "--source", "CASH", "--request-id", &id, "--json"];
    let first = done(&server, Role::Gateway, &args);
    assert_eq!(done(&server, Role::Gateway, &args), first);
    // The rule changes and is archived; the outcome stays.
    done(&server, Role::Marketing, &["rule", "update", "1", "--add-bonus", "{{topupAmountMajor}}"]);
    assert_eq!(done(&server, Role::Gateway, &args), first);
    done(&server, Role::Marketing, &["rule", "archive", "1"]);
    server.kill();
    server.restart();
    assert_eq!(done(&server, Role::Gateway, &args), first, "after a kill");
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(done(&server, Role::Gateway, &args), first, "after a restart");
    std::thread::scope(|scope| {
        let retries: Vec<_> = (0..4).map(|_| scope.spawn(|| done(&server, Role::Gateway, &args))).collect();
        for retry in retries {
            assert_eq!(retry.join().expect("it gets a reply"), first, "at the same time");
        }
    });
    let accounts = scrip(&server, Role::Cashier, &["client", "show", "42", "--json"]).json()[0]["client"]["accounts"].clone();
    assert_eq!(json!([accounts["gaming"], accounts["bonus"]]), json!([50_000, 5_000]));
    assert_eq!(records(&server, "topped_up").len(), 1);
    assert_eq!(scrip(&server, Role::Reporter, &["pushes"]).json().len(), 1, "and sent once");
    let card = scrip(&server, Role::Reporter, &["rule", "show", "1", "--json"]).json()[0]["rule"].clone();
    assert_eq!(json!([card["fired"], card["credited"]]), json!([1, 5_000]));
    let other = ["top-up", "501", "--client", "42", "--club", "1", "--source", "CASH", "--request-id", &id];
    let ran = scrip(&server, Role::Gateway, &other).exits(5);
    assert!(ran.err.contains("the request id was used for another request"), "{}", ran.err);
}

/// Z3, Z4, pain 27: top-ups under way when the engine is killed are executed once, even if another client retries them.
#[tokio::test(flavor = "multi_thread")]
async fn top_ups_under_way_at_a_kill_are_executed_once() {
    const ROUNDS: usize = 5;
    const AT_ONCE: usize = 300;
    let mut server = prepare();
    rule(&server, "Tenth", &["--add-bonus", "{{topupAmountMajor}} * 0.1"]);
    let command =
        TopUp { client: ClientId(42), club: ClubId(1), amount: Money(1_000), source: TopUpSource::Cash, note: Note::default() };
    for round in 0..ROUNDS {
        let client = server.client(Role::Gateway).await;
        let mut sending = JoinSet::new();
        let ids: Vec<RequestId> = (0..AT_ONCE).map(|_| RequestId::now()).collect();
        for id in ids.clone() {
            let (client, command) = (client.clone(), command.clone());
            sending.spawn(async move { (id, client.top_up(id, &command).await.expect("a reply in the end")) });
        }
        let mut answers = HashMap::new();
        for _ in 0..=round * AT_ONCE / ROUNDS {
            answers.extend([sending.join_next().await.expect("there are more").expect("it gets a reply")]);
        }
        server.kill();
        // The original senders are gone as well; only the ids are known.
        sending.abort_all();
        server.restart();
        let another = server.client(Role::Gateway).await;
        for id in ids {
            let again = another.top_up(id, &command).await.expect("a reply");
            assert_eq!(answers.get(&id).unwrap_or(&again), &again, "round {round}");
        }
    }
    let top_ups = records(&server, "topped_up");
    assert_eq!(top_ups.len(), ROUNDS * AT_ONCE);
    let last = top_ups.last().expect("there are some");
    let minor = (ROUNDS * AT_ONCE * 1_000) as u64;
    assert_eq!(json!([last["gaming"], last["bonus"]]), json!([minor, minor / 10]));
}

/// A29, A30: a refund leaves the bonus with the client, unless --claw-back is given: then the same share of it is debited, and a
/// spent part is recorded as uncollected.
#[test]
fn a_refund_debits_the_bonus_only_on_request() {
    let server = prepare();
    rule(&server, "Tenth", &["--add-bonus", "{{topupAmountMajor}} * 0.1"]);
    let top_up = || top_up(&server, "100", "1", "CASH")["top_up"].to_string();
    let refund = |args: &[&str]| done(&server, Role::Cashier, &[&["refund-top-up"], args].concat());
    assert_eq!(refund(&[&top_up()]), "refunded: 100.00, gaming balance 0.00, bonus balance 10.00\n");
    let second = top_up();
    assert_eq!(
        refund(&[&second, "--amount", "25", "--claw-back"]),
        "refunded: 25.00, gaming balance 75.00, 2.50 of the bonus debited, bonus balance 17.50\n"
    );
    done(&server, Role::Cashier, &["bonus", "pay", "16.50", "--client", "42", "--club", "1", "--for", "order"]);
    assert_eq!(
        refund(&[&second, "--claw-back"]),
        "refunded: 75.00, gaming balance 0.00, 1.00 of the bonus debited, 6.50 of the bonus uncollected, bonus balance 0.00\n"
    );
    let refunds = records(&server, "top_up_refunded");
    assert_eq!(refunds.iter().map(|refund| &refund["claw_back"]).collect::<Vec<_>>(), [false, true, true]);
    let last = refunds.last().expect("there were three");
    assert_eq!(json!([last["given_back"]["clawed"], last["given_back"]["uncollected"]]), json!([100, 650]));
}

/// Z12: what a draft would have cost on past top-ups, and which rules it would have stacked with; nothing is changed.
#[test]
fn a_rule_is_rehearsed_over_real_top_ups() {
    let server = prepare();
    rule(&server, "Card", &["--when", "topUpSource = POS_TERMINAL", "--add-bonus", "5"]);
    for (client, amount, source) in [
        ("1", "100", "CASH"),
        ("1", "600", "CASH"),
        ("2", "1000", "POS_TERMINAL"),
        ("3", "500", "ACQUIRING"),
        ("3", "499", "CASH"),
    ] {
        top_up_of(&server, client, amount, "1", source);
    }
    let before = scrip(&server, Role::Reporter, &["tail"]).json().len();
    let from = ["--from", "2020-01-01"];
    let draft = ["rule", "rehearse", "--when", "topupAmountMajor >= 500", "--add-bonus", "{{topupAmountMajor}} * 0.1"];
    let out = done(&server, Role::Marketing, &[&draft[..], &from].concat());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "would have fired on 3 of 5 top-ups (clients: 3) and credited 210.00");
    let has = |line: &str| assert!(lines.contains(&line), "{line} in {out}");
    has("amount topped up        2100.00");
    has("cost                    210.00, 10.0 % of the amount topped up");
    has("with other rules        1 top-up, on which others credited 5.00");
    has("most often with         rule 1 (1 top-up)");
    assert_eq!(lines[lines.len() - 5], "the largest:");
    assert!(lines[lines.len() - 3].ends_with("  1000.00    100.00"), "{out}");

    let json = |args: &[&str]| {
        let ran = scrip(&server, Role::Marketing, &[&["rule", "rehearse", "--json"], args].concat()).exits(0);
        ran.json()[0]["rehearsed"].clone()
    };
    let rehearsal = json(&[&draft[2..], &from].concat());
    assert_eq!(
        json!([rehearsal["top_ups"], rehearsal["fired"], rehearsal["clients"], rehearsal["credited"]]),
        json!([5, 3, 3, 21_000])
    );
    assert_eq!(rehearsal["stacked_with"], json!([{ "rule": 1, "top_ups": 1 }]));
    // An existing rule, as it is and changed: it does not stack with its own firings.
    let rehearsal = json(&[&["--rule", "1"], &from[..]].concat());
    assert_eq!(json!([rehearsal["fired"], rehearsal["credited"], rehearsal["stacked"]]), json!([1, 500, 0]));
    let rehearsal = json(&[&["--rule", "1", "--when", "none"], &from[..]].concat());
    assert_eq!(json!([rehearsal["fired"], rehearsal["credited"], rehearsal["stacked"]]), json!([5, 2_500, 0]));
    // A period without top-ups, and one that ends before it begins.
    let rehearsal = json(&[&["--rule", "1"], &from[..], &["--to", "2020-12-31"]].concat());
    assert_eq!(json!([rehearsal["top_ups"], rehearsal["fired"]]), json!([0, 0]));
    let reversed = [&draft[..], &["--from", "2026-02-01", "--to", "2026-01-01"]].concat();
    let ran = scrip(&server, Role::Marketing, &reversed).exits(1);
    assert_eq!(ran.out, "refused: the period ends before it begins\n");
    let ran = scrip(&server, Role::Marketing, &[&["rule", "rehearse", "--add-bonus", "1 +"], &from[..]].concat()).exits(1);
    assert!(ran.out.ends_with("\n  1 +\n     ^\n"), "{}", ran.out);
    scrip(&server, Role::Marketing, &draft).exits(2);
    scrip(&server, Role::Marketing, &[&["rule", "rehearse"], &from[..]].concat()).exits(2);
    let none = scrip(&server, Role::Marketing, &[&["rule", "rehearse", "--rule", "9"], &from[..]].concat()).exits(1);
    assert_eq!(none.out, "there is no rule 9\n");
    scrip(&server, Role::Gateway, &[&draft[..], &from].concat()).exits(4);
    assert_eq!(scrip(&server, Role::Reporter, &["tail"]).json().len(), before, "nothing was recorded");
    assert_eq!(done(&server, Role::Marketing, &["rule", "list", "--json"]).lines().count(), 1);
}
