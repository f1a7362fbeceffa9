//! Campaigns and codes on the command line, with a marketing credential: the output for people and for scripts, the refusals, and
//! that nothing else happens.

use std::fs;
use std::path::Path;

use scrip_protocol::command::{AddCodes, AddCodesOutcome, OnConflict};
use scrip_protocol::{CampaignId, RequestId, Role};
use serde_json::{Value, json};

use crate::support::{Ran, Server, campaign, run, terms};

/// Runs the program against an engine as marketing staff.
fn staff(server: &Server, args: &[&str], stdin: &str) -> Ran {
    run(server.scrip(Role::Marketing).args(args), stdin.as_bytes())
}

/// The same with `--json`; returns its one line.
#[track_caller]
fn staff_json(server: &Server, args: &[&str], stdin: &str, code: i32) -> Value {
    let mut values = run(server.scrip(Role::Marketing).args(args).arg("--json"), stdin.as_bytes()).exits(code).json();
    assert_eq!(values.len(), 1, "{values:?}");
    values.remove(0)
}

fn redeem(server: &Server, code: &str, client: &str) -> Ran {
    run(server.scrip(Role::Gateway).args(["redeem", code, "--client", client, "--club", "1"]), b"")
}

/// An engine with two clubs and a campaign (1) of the codes A, B and C, each usable once.
fn prepare() -> Server {
    let server = Server::start();
    for club in ["Arena North", "South"] {
        run(server.scrip(Role::Operator).args(["club", "add", club]), b"").exits(0);
    }
    staff(&server, &["campaign", "create", "--name", "Spring", "--amount", "5", "--cap", "1"], "A\nB\nC\n").exits(0);
    server
}

/// The position of the newest record.
fn position(server: &Server) -> u64 {
    let shown = staff_json(server, &["campaign", "show", "1"], "", 0);
    shown["campaign"]["as_of"].as_u64().expect("a position")
}

fn card(server: &Server, campaign: &str) -> Value {
    staff_json(server, &["campaign", "show", campaign], "", 0)["campaign"].clone()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// C3, C5, K3 to K7, K9, A3, A15, Z7, Z14, pains 12, 13, 14 and 17: a list as people have it, and the result of each of its
/// lines.
#[test]
fn lists_of_codes_are_accepted_as_people_have_them() {
    let server = Server::start();
    let list = server.scratch().join("codes.txt");
    // A byte order mark, both kinds of line ends, blank lines, duplicates in another case, white space around codes.
    fs::write(&list, "\u{feff}SPRING-1\r\n\r\n  spring-2\t\nSpring-1\r\nСКИДКА\nскидка\n").expect("written");
    let create = ["campaign", "create", "--name", "Spring", "--amount", "12.50", text(&list)];
    let ran = staff(&server, &create, "").exits(0);
    assert_eq!(
        ran.out,
        "created campaign 1: added 3, skipped 2\n  recognised in the list   5\n  duplicates in the list   2\n  \
         already in the campaign  0\n  held by other campaigns  0\n  invalid                  0\n  \
         line 4: \"Spring-1\": duplicate of line 1\n  line 6: \"скидка\": duplicate of line 5\n"
    );
    // From standard input; codes of another campaign are conflicts, listed with their line and their holder.
    let second = ["campaign", "create", "--name", "Summer", "--amount", "1", "--cap", "3"];
    let ran = staff(&server, &second, "SUMMER-1\nSPRING-2\nno good\n").exits(1);
    assert_eq!(
        ran.out,
        "refused: 2 lines cannot be added\n  line 2: \"SPRING-2\": held by campaign 1\n  \
         line 3: \"no good\": invalid: character 3 is white space\n\
         nothing was created; use --on-conflict skip to leave out such lines and add the others\n"
    );
    let refused = staff_json(&server, &second, "SUMMER-1\nSPRING-2\n", 1);
    assert_eq!(refused["outcome"], json!({ "conflicts": [{ "line": 2, "code": "SPRING-2", "why": { "held_by": 1 } }] }));
    let skipping = [second.as_slice(), &["--on-conflict", "skip", "-"]].concat();
    let created = staff_json(&server, &skipping, "SUMMER-1\nSPRING-2\n", 0);
    let skipped = json!([{ "line": 2, "code": "SPRING-2", "why": { "held_by": 1 } }]);
    assert_eq!(created["outcome"], json!({ "created": { "campaign": 2, "codes": { "added": 1, "skipped": skipped } } }));
    assert_eq!(created["summary"]["held_elsewhere"], json!(1));
    assert_eq!(staff(&server, &second, "\n \n").exits(1).out, "refused: the list has no codes\n");
    let unnamed = staff(&server, &["campaign", "create", "--amount", "1"], "X\n").exits(2);
    assert!(unnamed.err.contains("--name"), "{}", unnamed.err);
    for terms in [["--name", " ", "--amount", "1"], ["--name", "X", "--amount", "0"]] {
        staff(&server, &[&["campaign", "create"], terms.as_slice()].concat(), "X\n").exits(1);
    }

    let ran = staff(&server, &["codes", "add", "2"], "summer-1\nSUMMER-2\nspring-1\nSUMMER-3\n").exits(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "added 2, skipped 2");
    assert_eq!(lines[6..], ["  line 1: \"summer-1\": already in this campaign", "  line 3: \"spring-1\": held by campaign 1"]);
    let added = staff_json(&server, &["codes", "add", "2"], "SUMMER-4\nSUMMER-4\n", 0);
    let skipped = json!([{ "line": 2, "code": "SUMMER-4", "why": { "duplicate_in_list": { "of_line": 1 } } }]);
    assert_eq!(added["outcome"], json!({ "added": { "added": 1, "skipped": skipped } }));
    let sums = json!({ "recognised": 2, "added": 1, "duplicates_in_list": 1, "already_in_campaign": 0, "held_elsewhere": 0, "invalid": 0 });
    assert_eq!(added["summary"], sums);
    assert!(added["request"].as_str().is_some_and(|id| id.parse::<RequestId>().is_ok()), "{added}");
    let ran = staff(&server, &["codes", "add", "2", "--on-conflict", "reject"], "NEW\nspring-1\n").exits(1);
    assert!(ran.out.starts_with("refused: 1 line cannot be added\n") && ran.out.contains("nothing was added;"), "{}", ran.out);
    assert_eq!(staff(&server, &["codes", "add", "9"], "X").exits(1).out, "refused: there is no such campaign\n");
    // People see 20 lines, scripts all of them.
    let many: String = (0..25).map(|n| format!("no good {n}\n")).collect();
    let ran = staff(&server, &["codes", "add", "2"], &many).exits(0);
    assert!(
        ran.out.ends_with(
            "  line 20: \"no good 19\": invalid: character 3 is white space\n  and 5 more; --json lists all of them\n"
        )
    );
    let all = staff_json(&server, &["codes", "add", "2"], &many, 0);
    assert_eq!(all["outcome"]["added"]["skipped"].as_array().map(Vec::len), Some(25));

    fs::write(&list, b"GOOD\nBAD\xff\n").expect("written");
    let ran = staff(&server, &["codes", "add", "2", text(&list)], "").exits(9);
    assert!(ran.err.contains(&format!("{}: line 2, byte 4: this is not UTF-8", list.display())), "{}", ran.err);
    let ran = staff(&server, &["codes", "add", "2", "no-such-file"], "").exits(9);
    assert!(ran.err.contains("no-such-file"), "{}", ran.err);
    // With a given request id, an earlier attempt may have been executed.
    let id = RequestId::now().to_string();
    let ran = staff(&server, &["codes", "add", "2", "no-such-file", "--request-id", &id], "").exits(5);
    assert!(ran.out.is_empty() && ran.err.contains("unknown"), "{ran:?}");
    run(server.scrip(Role::Gateway).args(["codes", "add", "2"]), b"X\n").exits(4);
}

/// C2, C4, C8, A1, A8: every term is set, shown, changed and removed.
#[test]
fn campaigns_are_created_and_changed_in_every_term() {
    let server = prepare();
    let create = [
        ["--name", "Easter"],
        ["--amount", "12.50"],
        ["--cap", "2"],
        ["--per-client", "1"],
        ["--uses", "100"],
        ["--budget", "1000"],
        ["--club", "2"],
        ["--club", "1"],
        ["--starts", "2020-01-01"],
        ["--ends", "2020-01-31"],
        ["--low-stock", "5"],
    ];
    staff(&server, &[&["campaign", "create"], create.as_flattened()].concat(), "E-1\nE-2\n").exits(0);
    let all = json!({
        "name": "Easter", "amount": 1250, "clubs": [1, 2], "starts_ms": 1_577_836_800_000_u64, "ends_ms": 1_580_515_199_999_u64,
        "enforce_period": false, "activations_per_code_max": 2, "activations_per_client_max": 1, "activations_max": 100,
        "budget": 100_000, "low_stock": 5, "active": true,
    });
    assert_eq!(card(&server, "2")["terms"], all);
    let ran = staff(&server, &["campaign", "show", "2"], "").exits(0);
    for line in [
        "campaign           2 Easter",
        "status             inactive (ended, codes still accepted)",
        "codes accepted     yes",
        "limit per code     2",
        "limit per client   1",
        "limit in total     100",
        "budget             1000.00",
        "clubs              Arena North (1), South (2)",
        "period             2020-01-01 to 2020-01-31 (for information)",
        "available          2 (until 2020-01-31)",
        "can be activated   2 (low: fewer than 5)",
    ] {
        assert!(ran.out.lines().any(|found| found == line), "{line:?} in {}", ran.out);
    }
    redeem(&server, "e-1", "42").exits(0);

    let ran = staff(&server, &["campaign", "update", "2", "--enforce-period", "yes", "--amount", "3"], "").exits(0);
    assert!(
        ran.out.starts_with("campaign 2: updated\n") && ran.out.contains("\nstatus             inactive (ended)\n"),
        "{}",
        ran.out
    );
    assert_eq!(redeem(&server, "E-2", "43").exits(1).out, "refused: outside the campaign's period\n");
    let none = ["--cap", "--per-client", "--uses", "--budget", "--starts", "--ends", "--low-stock"].map(|term| [term, "none"]);
    let changes = [none.as_flattened(), &["--club", "all", "--enforce-period", "no", "--name", "Whitsun"]].concat();
    let updated = staff_json(&server, &[&["campaign", "update", "2"], changes.as_slice()].concat(), "", 0);
    assert_eq!(
        updated["outcome"]["updated"],
        json!({
            "name": "Whitsun", "amount": 300, "clubs": [], "starts_ms": null, "ends_ms": null, "enforce_period": false,
            "activations_per_code_max": null, "activations_per_client_max": null, "activations_max": null, "budget": null,
            "low_stock": null, "active": true,
        })
    );
    // Earlier credits stay as they were (A8).
    redeem(&server, "E-1", "42").exits(0);
    assert_eq!(card(&server, "2")["issued"], json!(1550));
    staff(&server, &["campaign", "update", "2", "--club", "2"], "").exits(0);
    assert_eq!(redeem(&server, "E-1", "42").exits(1).out, "refused: the campaign does not run at this club\n");

    let update = |args: &[&str], code| staff(&server, &[&["campaign", "update"], args].concat(), "").exits(code);
    assert_eq!(update(&["9", "--cap", "1"], 1).out, "campaign 9: refused: there is no such campaign\n");
    assert!(update(&["2", "--cap", "0"], 1).out.contains("at least 1"));
    assert!(update(&["2", "--enforce-period", "yes"], 1).out.contains("there is no period to enforce"));
    assert!(update(&["2"], 2).err.contains("nothing to change"));
    for wrong in [["--cap", "x"], ["--ends", "soon"], ["--club", "x"], ["--enforce-period", "maybe"]] {
        update(&["2", wrong[0], wrong[1]], 2);
    }
}

/// C1, C6, C7, C9, A1: the organisation's list of campaigns, by its filters, over more than one page.
#[tokio::test(flavor = "multi_thread")]
async fn campaigns_are_listed_by_their_filters() {
    let server = Server::start();
    assert_eq!(staff(&server, &["campaign", "list"], "").exits(0).out, "there are no campaigns\n");
    run(server.scrip(Role::Operator).args(["club", "add", "Arena North"]), b"").exits(0);
    run(server.scrip(Role::Operator).args(["club", "add", "South"]), b"").exits(0);
    let create =
        |args: &[&str], codes| staff(&server, &[&["campaign", "create", "--amount", "5"], args].concat(), codes).exits(0);
    create(&["--name", "Spring", "--cap", "1"], "A\nB\nC\n");
    create(&["--name", "Ended", "--starts", "2020-01-01", "--ends", "2020-12-31", "--club", "2"], "OLD\n");
    create(&["--name", "Off", "--inactive", "--low-stock", "2"], "OFF\n");
    create(&["--name", "Gone"], "GONE\n");
    staff(&server, &["campaign", "archive", "4"], "").exits(0);
    redeem(&server, "A", "1").exits(0);
    let ran = staff(&server, &["campaign", "list", "--status", "all"], "").exits(0);
    assert_eq!(
        ran.out,
        "ID  NAME    STATUS                                  AMOUNT  CODES  ACTIVATED  AVAILABLE  ACTIVATIONS  ISSUED\n \
         1  Spring  active                                    5.00      3          1          2            1    5.00\n \
         2  Ended   inactive (ended, codes still accepted)    5.00      1          0          1            0    0.00\n \
         3  Off     inactive, low on codes                    5.00      1          0          1            0    0.00\n \
         4  Gone    archived                                  5.00      1          0          0            0    0.00\n"
    );
    let listed = |args: &[&str]| -> Vec<u64> {
        let ran = staff(&server, &[&["campaign", "list", "--json"], args].concat(), "").exits(0);
        ran.json().iter().filter_map(|card| card["campaign"].as_u64()).collect()
    };
    assert_eq!(listed(&[]), [1, 2, 3]);
    assert_eq!(listed(&["--status", "active"]), [1]);
    assert_eq!(listed(&["--status", "inactive"]), [2, 3]);
    assert_eq!(listed(&["--status", "archived"]), [4]);
    assert_eq!(listed(&["--text", "SPR"]), [1]);
    assert_eq!(listed(&["--club", "1"]), [1, 3]);
    assert_eq!(listed(&["--low-stock"]), [3]);
    assert_eq!(staff(&server, &["campaign", "list", "--text", "x"], "").exits(0).out, "no campaign matches\n");

    let ran = staff(&server, &["campaign", "deactivate", "1"], "").exits(0);
    assert_eq!(ran.out, "campaign 1: inactive: its codes are refused\n");
    assert_eq!(redeem(&server, "B", "1").exits(1).out, "refused: the campaign is switched off\n");
    let switched = staff_json(&server, &["campaign", "activate", "1"], "", 0);
    assert_eq!(switched["outcome"], json!({ "switched": { "active": true } }));
    redeem(&server, "B", "1").exits(0);
    staff(&server, &["campaign", "activate", "7"], "").exits(1);

    let client = server.client(Role::Marketing).await;
    for n in 5..=205 {
        campaign(&client, terms(&format!("No. {n}"), None, 100), &[format!("CODE-{n}")]).await;
    }
    assert_eq!(listed(&["--status", "all"]), (1..=205).collect::<Vec<_>>());
    let ran = staff(&server, &["campaign", "list", "--text", "no. "], "").exits(0);
    assert_eq!(ran.out.lines().count(), 202, "a head and 201 rows: {}", ran.out);
}

/// T1 to T3, K9, A7, A9, A10, Z16: the counters, each by its name.
#[test]
fn a_campaign_shows_its_counters() {
    let server = prepare();
    redeem(&server, "A", "1").exits(0);
    staff(&server, &["codes", "archive", "1", "B"], "").exits(0);
    staff(&server, &["codes", "add", "1"], "D\n").exits(0);
    let ran = staff(&server, &["campaign", "show", "1"], "").exits(0);
    for line in [
        "total codes        4 of at most 50,000 (last added 20",
        "activated          1 (25.00 %)",
        "available          2",
        "archived codes     1",
        "can be activated   2",
        "activations        1",
        "bonus amount       5.00",
        "refunded           0 activations",
        "codes added        1 on 20",
        "                   3 on 20",
    ] {
        assert!(ran.out.lines().any(|found| found.starts_with(line)), "{line:?} in {}", ran.out);
    }
    let card = card(&server, "1");
    let names =
        ["codes", "codes_activated", "codes_available", "codes_archived", "codes_redeemable", "activations", "held", "refunds"];
    assert_eq!(json!(names.map(|name| card[name].clone())), json!([4, 1, 2, 1, 2, 1, 0, 0]));
    assert_eq!(card["added"].as_array().map(Vec::len), Some(2));
    assert_eq!(staff(&server, &["campaign", "show", "7"], "").exits(1).out, "there is no campaign 7\n");
    assert_eq!(staff_json(&server, &["campaign", "show", "7"], "", 1), json!("unknown_campaign"));
    staff(&server, &["campaign", "show", "seven"], "").exits(2);
}

/// X1, X3 to X6, A5, A6, K7, K8: an archived campaign frees its codes, and restoring it names each one that was taken meanwhile.
#[test]
fn a_campaign_is_archived_and_restored_around_conflicts() {
    let server = prepare();
    redeem(&server, "A", "1").exits(0);
    staff(&server, &["codes", "archive", "1", "C"], "").exits(0);
    assert_eq!(staff(&server, &["campaign", "archive", "1"], "").exits(0).out, "campaign 1: archived with 2 codes\n");
    let ran = staff(&server, &["campaign", "archive", "1"], "").exits(1);
    assert_eq!(ran.out, "campaign 1: refused: the campaign is already archived\n");
    assert_eq!(redeem(&server, "B", "1").exits(1).out, "refused: the campaign is archived\n");
    assert!(staff(&server, &["campaign", "show", "1"], "").exits(0).out.contains("\nstatus             archived on 20"));
    staff(&server, &["campaign", "create", "--name", "Summer", "--amount", "1"], "a\n").exits(0);

    let ran = staff(&server, &["campaign", "restore", "1"], "").exits(0);
    assert_eq!(
        ran.out,
        "campaign 1: restored with 1 code\n1 code stays archived, because another campaign holds it:\n  CODE  HELD BY CAMPAIGN\n  \
         A     2 Summer\nTo restore it, archive it there (`scrip codes archive 2 CODE`) and restore campaign 1 again\n"
    );
    let codes = |status: &str| -> Vec<Value> {
        let ran = staff(&server, &["codes", "list", "1", "--status", status, "--json"], "").exits(0);
        ran.json().iter().map(|row| json!([row["code"], row["activations"], row["archived"], row["held_by"]])).collect()
    };
    assert_eq!(codes("conflicting"), [json!(["A", 1, "by_campaign", 2])]);
    assert_eq!(codes("archived"), [json!(["A", 1, "by_campaign", 2]), json!(["C", 0, "alone", null])]);
    assert_eq!(codes("active"), [json!(["B", 0, null, null])]);
    let ran = staff(&server, &["campaign", "restore", "1"], "").exits(1);
    assert_eq!(
        ran.out,
        "campaign 1: refused: other campaigns still hold the codes that stay archived: 1\n`scrip codes list 1 --status \
         conflicting` lists them\n"
    );
    let refused = staff_json(&server, &["campaign", "restore", "1"], "", 1);
    assert_eq!(refused["outcome"], json!({ "still_held": { "codes": 1 } }));
    // Archived there, the code is restored; a code that was archived individually is not (A5).
    staff(&server, &["codes", "archive", "2", "A"], "").exits(0);
    let restored = staff_json(&server, &["campaign", "restore", "1"], "", 0);
    assert_eq!(restored["outcome"], json!({ "restored": { "restored": 1, "conflicts": 0, "first": [] } }));
    assert_eq!(codes("archived"), [json!(["C", 0, "alone", null])]);
    let ran = staff(&server, &["campaign", "restore", "1"], "").exits(1);
    assert_eq!(ran.out, "campaign 1: refused: the campaign is not archived\n");
    staff(&server, &["campaign", "restore", "9"], "").exits(1);

    // More conflicts than are shown: the output names the command that lists all.
    let many: String = (0..30).map(|n| format!("MANY-{n:02}\n")).collect();
    staff(&server, &["campaign", "create", "--name", "Many", "--amount", "1"], &many).exits(0);
    staff(&server, &["campaign", "archive", "3"], "").exits(0);
    staff(&server, &["campaign", "create", "--name", "Again", "--amount", "1"], &many).exits(0);
    let ran = staff(&server, &["campaign", "restore", "3"], "").exits(0);
    assert!(ran.out.contains("30 codes stay archived, because other campaigns hold them:\n"), "{}", ran.out);
    assert!(
        ran.out.contains("  MANY-19  4 Again\n  and 10 more; `scrip codes list 3 --status conflicting` lists all\n"),
        "{}",
        ran.out
    );
    let listed = staff(&server, &["codes", "list", "3", "--status", "conflicting"], "").exits(0);
    assert_eq!(listed.out.lines().count(), 31);
}

/// X2, X3, A6, T5: individual codes, from arguments or a list, and how they are listed.
#[test]
fn individual_codes_are_archived_restored_and_listed() {
    let server = prepare();
    redeem(&server, "a", "1").exits(0);
    let ran = staff(&server, &["codes", "archive", "1", "b", "B", "nope", "no good"], "").exits(1);
    assert_eq!(
        ran.out,
        "archived 1, skipped 3\n  \"B\": given twice\n  \"nope\": not in this campaign\n  \
         \"no good\": invalid: character 3 is white space\n"
    );
    assert_eq!(redeem(&server, "B", "1").exits(1).out, "refused: the code is archived\n");
    redeem(&server, "C", "1").exits(0);
    let ran = staff(&server, &["codes", "list", "1"], "").exits(0);
    assert_eq!(
        ran.out,
        "CODE  STATUS              ACTIVATIONS  HELD BY\nA     active                        1  -\n\
         B     archived by itself            0  -\nC     active                        1  -\n"
    );
    let listed = |args: &[&str]| -> Vec<String> {
        let ran = staff(&server, &[&["codes", "list", "1", "--json"], args].concat(), "").exits(0);
        ran.json().iter().filter_map(|row| row["code"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(listed(&["--usage", "used"]), ["A", "C"]);
    assert_eq!(listed(&["--usage", "unused", "--status", "archived"]), ["B"]);
    assert!(listed(&["--usage", "unused", "--status", "active"]).is_empty());
    let ran = staff(&server, &["codes", "list", "1", "--usage", "used", "--status", "archived"], "").exits(0);
    assert_eq!(ran.out, "campaign 1 has no matching codes\n");
    assert_eq!(staff(&server, &["codes", "list", "9"], "").exits(1).out, "there is no campaign 9\n");

    let list = server.scratch().join("some.txt");
    fs::write(&list, "Code\n\nb\nc\nzzz\n").expect("written");
    let ran = staff(&server, &["codes", "restore", "1", "--file", text(&list)], "").exits(1);
    assert_eq!(ran.out, "restored 1, skipped 2\n  line 4: \"c\": not archived\n  line 5: \"zzz\": not in this campaign\n");
    assert!(ran.err.contains("line 1: \"Code\" is read as a header"), "{}", ran.err);
    let again = staff_json(&server, &["codes", "restore", "1", "b"], "", 0);
    let skipped = json!([{ "line": 1, "code": "b", "why": "not_archived" }]);
    assert_eq!(again["outcome"], json!({ "restored": { "codes": 0, "skipped": skipped } }));
    let archived = staff_json(&server, &["codes", "archive", "1", "--file", "-"], "\n\nB\n", 0);
    assert_eq!(archived["outcome"], json!({ "archived": { "codes": 1, "skipped": [] } }));
    staff(&server, &["campaign", "archive", "1"], "").exits(0);
    let ran = staff(&server, &["codes", "restore", "1", "B"], "").exits(1);
    assert_eq!(ran.out, "refused: the campaign is archived; restore it first\n");
    assert_eq!(staff_json(&server, &["codes", "archive", "9", "B"], "", 1)["outcome"], json!("unknown_campaign"));
    staff(&server, &["codes", "archive", "1"], "").exits(2);
    staff(&server, &["codes", "archive", "1", "B", "--file", "-"], "").exits(2);
}

/// Z8, K1, Z3, pains 15 and 16: codes are generated, and printed or written once; a retry of the request prints the same ones.
#[test]
fn codes_are_generated() {
    let server = prepare();
    let generate = |args: &[&str], code| staff(&server, &[&["codes", "generate", "1"], args].concat(), "").exits(code);
    let ran = generate(&["--count", "5000"], 0);
    let codes: Vec<&str> = ran.out.lines().collect();
    assert_eq!(codes.len(), 5_000);
    let is_plain = |code: &&str| code.len() == 16 && code.bytes().all(|sign| b"23456789ABCDEFGHJKMNPQRSTUVWXYZ".contains(&sign));
    assert!(codes.iter().all(is_plain), "{codes:?}");
    assert_eq!(ran.err, "generated 5,000 codes; guessing one takes more than 10^19 attempts on average\n");
    redeem(&server, codes[4_999], "1").exits(0);
    let ran =
        generate(&["--count", "3", "--prefix", "A*", "--suffix", "#", "--length", "10", "--alphabet", "0123456789ABCDEF"], 0);
    let fits = |code: &str| code.len() == 13 && code.starts_with("A*") && code.ends_with('#');
    assert!(ran.out.lines().count() == 3 && ran.out.lines().all(fits), "{}", ran.out);
    assert!(ran.err.ends_with(" attempts on average\n") && !ran.err.contains("10^19"), "{}", ran.err);
    let ran = generate(&["--count", "1", "--pattern", "X-##########-@@"], 0);
    assert!(ran.out.starts_with("X-") && ran.out.trim().len() == 15, "{}", ran.out);

    let (id, out) = (RequestId::now().to_string(), server.scratch().join("codes.txt"));
    let ran = generate(&["--count", "2", "--request-id", &id, "--out", text(&out)], 0);
    let written = fs::read_to_string(&out).expect("it was written");
    assert!(
        ran.out.starts_with("generated 2 codes; ") && ran.out.ends_with(&format!("written to {}\n", out.display())),
        "{}",
        ran.out
    );
    let before = position(&server);
    let again = staff_json(&server, &["codes", "generate", "1", "--count", "2", "--request-id", &id], "", 0);
    assert_eq!(again["codes"], json!(written.lines().collect::<Vec<_>>()));
    assert_eq!(again["outcome"]["generated"]["first_slot"], json!(5_007));
    let ran = generate(&["--count", "2", "--out", text(&out)], 9);
    assert!(ran.err.contains("this file exists and will not be overwritten"), "{}", ran.err);
    assert_eq!((position(&server), fs::read_to_string(&out).expect("it exists")), (before, written));

    let missing = server.scratch().join("none/codes.txt");
    generate(&["--count", "2", "--out", text(&missing)], 9);
    assert!(generate(&["--count", "9", "--length", "4"], 1).out.starts_with("refused: the pattern allows too few codes: "));
    let ran = generate(&["--count", "50000"], 1);
    assert_eq!(
        ran.out,
        "refused: a campaign holds at most 50,000 codes, archived ones included; this one has 5,009, and the list would add 50,000\n"
    );
    assert!(generate(&["--count", "1", "--pattern", "AB"], 1).out.contains("at least one *, # or @"));
    for wrong in [["--count", "0"], ["--count", "65537"]] {
        generate(&wrong, 2);
    }
    generate(&["--count", "1", "--pattern", "****", "--prefix", "A"], 2);
}

/// Z6, K7: which codes are free, and which campaigns hold the others.
#[test]
fn codes_are_looked_up_before_they_are_added() {
    let server = prepare();
    let ran = staff(&server, &["codes", "check", "a", "FREE", "no good"], "").exits(1);
    assert_eq!(
        ran.out,
        "CODE     VERDICT\na        held by campaign 1\nFREE     free\nno good  invalid: character 3 is white space\n"
    );
    staff(&server, &["codes", "check", "FREE"], "").exits(0);
    let ran = staff(&server, &["codes", "check", "--file", "-"], "FREE\n\nB\n").exits(1);
    assert_eq!(ran.out, "free 1, not free 1\n  PLACE   CODE  VERDICT\n  line 3  B     held by campaign 1\n");
    let all = staff(&server, &["codes", "check", "--file", "-", "--json"], "FREE\n\nB\n").exits(1).json();
    assert_eq!(
        all,
        [json!({ "line": 1, "code": "FREE", "verdict": "free" }), json!({ "line": 3, "code": "B", "verdict": { "held_by": 1 } })]
    );
}

/// Z2: an activation is refunded once, and by force if the bonus was spent.
#[test]
fn an_activation_is_refunded() {
    let server = prepare();
    let redeemed = run(server.scrip(Role::Gateway).args(["redeem", "A", "--client", "7", "--club", "1", "--json"]), b"").exits(0);
    let activation = redeemed.json()[0]["outcome"]["redeemed"]["activation"].to_string();
    let refund = |role, args: &[&str], code| run(server.scrip(role).arg("refund").args(args), b"").exits(code);
    refund(Role::Marketing, &[&activation], 4);
    let ran = refund(Role::Gateway, &[&activation], 0);
    assert_eq!(ran.out, "refunded: 5.00 debited from client 7, bonus balance 0.00\n");
    let ran = refund(Role::Operator, &[&activation, "--force"], 1);
    assert_eq!(ran.out, "refused: the activation was already refunded\n");
    let unknown = refund(Role::Operator, &["1", "--json"], 1).json();
    assert_eq!(unknown[0]["outcome"], json!("unknown_activation"));
    refund(Role::Operator, &["x"], 2);
    redeem(&server, "A", "8").exits(0);
    assert!(staff(&server, &["campaign", "show", "1"], "").exits(0).out.contains("\nrefunded           1 activation\n"));
}

/// Z7: a dry run returns the result of adding, and changes nothing.
#[test]
fn a_dry_run_changes_nothing() {
    let server = prepare();
    staff(&server, &["campaign", "create", "--name", "Other", "--amount", "1"], "X\n").exits(0);
    let before = position(&server);
    let list = "D\nd\nA\nX\nno good\n";
    let ran = staff(&server, &["codes", "add", "1", "--dry-run"], list).exits(0);
    assert!(ran.out.starts_with("nothing was changed; the result would be: added 1, skipped 4\n"), "{}", ran.out);
    let tried = staff_json(&server, &["codes", "add", "1", "--dry-run"], list, 0);
    assert_eq!(tried["dry_run"], json!(true));
    let refused = staff_json(&server, &["codes", "add", "1", "--dry-run", "--on-conflict", "reject"], list, 1);
    assert_eq!(refused["outcome"]["conflicts"].as_array().map(Vec::len), Some(2));
    for (campaign, list) in [("9", "D\n"), ("1", "\n")] {
        staff(&server, &["codes", "add", campaign, "--dry-run"], list).exits(1);
    }
    assert_eq!((position(&server), card(&server, "1")["codes"].clone()), (before, json!(3)));
    // Adding gives the predicted result.
    let added = staff_json(&server, &["codes", "add", "1"], list, 0);
    assert_eq!((&added["outcome"], &added["summary"]), (&tried["outcome"], &tried["summary"]));
}

/// K2: the help of commands that take codes names the organisation's limit.
#[test]
fn the_help_names_the_limit_of_codes_per_campaign() {
    let mut server = prepare();
    let help = |server: &Server, command: [&str; 2]| {
        let ran = staff(server, &[command[0], command[1], "--help"], "").exits(0);
        ran.out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for command in [["codes", "add"], ["campaign", "create"]] {
        assert!(help(&server, command).contains("A campaign holds at most 50,000 codes, archived ones included"));
    }
    with_codes_max(&mut server, 1_234_567);
    assert!(help(&server, ["codes", "add"]).contains("at most 1,234,567 codes"));
    let elsewhere = run(crate::support::scrip().args(["codes", "add", "--help"]).current_dir(server.scratch()), b"").exits(0);
    let elsewhere = elsewhere.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(elsewhere.contains("at most 50,000 codes (the organisation may set another limit)"), "{elsewhere}");
}

/// Starts the engine with another limit of codes per campaign.
fn with_codes_max(server: &mut Server, max: u32) {
    assert!(server.terminate().success());
    let path = server.dir().join("scrip.toml");
    let config = fs::read_to_string(&path).expect("init wrote it");
    let changed = config.replace("codes_per_campaign_max = 50000", &format!("codes_per_campaign_max = {max}"));
    assert_ne!(changed, config);
    fs::write(&path, changed).expect("it is writable");
    server.restart();
}

/// How many lines a request carries.
const LINES_MAX: usize = scrip_protocol::command::LINES_MAX;

/// K5, K6: a line is a duplicate of the first line with its code, wherever that is in the list, and whatever else is wrong with
/// the code.
#[test]
fn duplicates_are_counted_across_a_long_list() {
    let server = prepare();
    let list = server.scratch().join("repeated.txt");
    // Each of 20,000 codes four times, each time in another letter case: two parts.
    let lines: String =
        (0..80_000).map(|n| format!("{}-{}\n", ["CAFÉ", "café", "CAFE\u{301}", "ＣＡＦÉ"][n / 20_000], n % 20_000)).collect();
    fs::write(&list, lines).expect("written");
    let counts = |added: u32, already: u32, held: u32| {
        json!({ "recognised": 80_000, "added": added, "duplicates_in_list": 60_000, "already_in_campaign": already,
                "held_elsewhere": held, "invalid": 0 })
    };
    let create = ["campaign", "create", "--name", "Long", "--amount", "1", text(&list)];
    let dry_run = ["codes", "add", "1", "--dry-run", text(&list)];
    let dry = staff_json(&server, &dry_run, "", 0);
    assert_eq!(dry["summary"], counts(20_000, 0, 0));
    assert_eq!(staff_json(&server, &create, "", 0)["summary"], counts(20_000, 0, 0));
    let again = staff_json(&server, &["codes", "add", "2", text(&list)], "", 0);
    assert_eq!(again["summary"], counts(0, 20_000, 0));
    let elsewhere = staff_json(&server, &dry_run, "", 0);
    assert_eq!(elsewhere["summary"], counts(0, 0, 20_000));
    // Each is listed with the first line that had its code.
    let skipped = again["outcome"]["added"]["skipped"].as_array().expect("all of them are listed");
    assert_eq!(skipped.len(), 80_000);
    for skip in skipped {
        let line = skip["line"].as_u64().expect("a line");
        match line {
            1..=20_000 => assert_eq!(skip["why"], json!("already_in_campaign"), "{skip}"),
            _ => assert_eq!(skip["why"]["duplicate_in_list"]["of_line"], json!((line - 1) % 20_000 + 1), "{skip}"),
        }
    }
}

/// K1, K5, A2, A3, Z3, Z7, pains 15, 16 and 17: a list of more lines than a request carries is tried as a whole, sent in parts,
/// and not added twice when the command is repeated.
#[test]
fn a_list_can_be_longer_than_a_request() {
    let mut server = prepare();
    with_codes_max(&mut server, 70_000);
    let list = server.scratch().join("long.txt");
    // Two parts. The second has a duplicate of the first, a duplicate of its own, and an invalid line.
    let mut lines: Vec<String> = (1..=LINES_MAX).map(|n| format!("LONG-{n}")).collect();
    lines.extend(["long-7", "LAST-1", "", "LAST-2", "last-1"].map(str::to_owned));
    fs::write(&list, lines.join("\n")).expect("written");
    let id = RequestId::now().to_string();
    let create = ["campaign", "create", "--name", "Long", "--amount", "1", "--request-id", &id, text(&list)];
    let ran = staff(&server, &create, "").exits(0);
    let expected = "created campaign 2: added 65,538, skipped 2\n  recognised in the list   65,540\n  duplicates in the list        2\n  \
                    already in the campaign       0\n  held by other campaigns       0\n  invalid                       0\n  \
                    line 65537: \"long-7\": duplicate of line 7\n  line 65541: \"last-1\": duplicate of line 65538\n";
    assert_eq!(ran.out, expected);
    let before = position(&server);
    let again = staff_json(&server, &create, "", 0);
    let created = &again["outcome"]["created"];
    assert_eq!((&created["campaign"], &created["codes"]["added"]), (&json!(2), &json!(65_538)));
    assert_eq!((position(&server), card(&server, "2")["codes"].clone()), (before, json!(65_538)));

    // Under another id its codes are taken already, and nothing is created; nor is anything added beyond the limit.
    let ran = staff(&server, &["campaign", "create", "--name", "Twice", "--amount", "1", text(&list)], "").exits(1);
    assert!(
        ran.out.starts_with("refused: 65,538 lines cannot be added\n  line 1: \"LONG-1\": held by campaign 2\n"),
        "{}",
        ran.out
    );
    let more: String = (1..=LINES_MAX + 1).map(|n| format!("MORE-{n}\n")).collect();
    fs::write(&list, &more).expect("written");
    let refused = staff_json(&server, &["codes", "add", "2", text(&list)], "", 1);
    assert_eq!(refused["outcome"], json!({ "too_many_codes": { "limit": 70_000, "current": 65_538, "would_add": 65_537 } }));
    // The same list twice over has as many codes as once: in this campaign that would be 65,540 of 70,000.
    fs::write(&list, format!("{more}{more}")).expect("written");
    let tried = staff_json(&server, &["codes", "add", "1", "--dry-run", text(&list)], "", 0);
    assert_eq!((&tried["summary"]["added"], &tried["summary"]["duplicates_in_list"]), (&json!(65_537), &json!(65_537)));
    assert_eq!(position(&server), before);
}

/// K5, A2: a list adds as many codes as it has different ones, even if each of its parts exceeds the limit on its own.
#[test]
fn repeated_codes_count_once_towards_a_limit_that_each_part_exceeds() {
    let mut server = prepare();
    with_codes_max(&mut server, 5);
    let list = server.scratch().join("repeated.txt");
    // Two parts with the same codes.
    fs::write(&list, format!("D\nE\nF\n{}d\ne\nf\n", "\n".repeat(LINES_MAX))).expect("written");
    let refused = staff_json(&server, &["codes", "add", "1", "--dry-run", text(&list)], "", 1);
    assert_eq!(refused["outcome"], json!({ "too_many_codes": { "limit": 5, "current": 3, "would_add": 3 } }));
}

/// Z3, Z7, A3: a conflict that arises between the trial and the adding is reported with what was added so far, and how to
/// continue.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_long_list_reports_how_far_it_got() {
    let mut server = prepare();
    with_codes_max(&mut server, 200_000);
    let lines: String = (1..=LINES_MAX).map(|n| format!("LONG-{n}\n")).chain(["LATE\n".to_owned()]).collect();
    let list = server.scratch().join("long.txt");
    fs::write(&list, &lines).expect("written");
    // As if another campaign had the code at that moment only: the engine refused the second part before, and returns that
    // outcome.
    staff(&server, &["campaign", "create", "--name", "Other", "--amount", "1"], "LATE\n").exits(0);
    let base = RequestId::now();
    let client = server.client(Role::Marketing).await;
    let part = |line: &str| AddCodes {
        campaign: CampaignId(1),
        lines: [line].into_iter().collect(),
        first_line: LINES_MAX as u32 + 1,
        on_conflict: OnConflict::Reject,
    };
    let outcome = client.add_codes(base.of_part(1), &part("LATE")).await.expect("a reply");
    assert!(matches!(outcome, AddCodesOutcome::Conflicts(_)), "{outcome}");
    staff(&server, &["codes", "archive", "2", "LATE"], "").exits(0);
    let add = |id: RequestId, json: bool| {
        let id = id.to_string();
        let mut args = vec!["codes", "add", "1", "--on-conflict", "reject", "--request-id", &id, text(&list)];
        args.extend(json.then_some("--json"));
        staff(&server, &args, "")
    };
    let ran = add(base, false).exits(1);
    assert_eq!(
        ran.out,
        "refused: 1 line cannot be added\n  line 65537: \"LATE\": held by campaign 2\n\
         65,536 codes up to line 65536 were added to campaign 1 before that, and nothing after it. To continue, correct the list and add it \
         with `scrip codes add 1`: codes that the campaign already has are skipped\n"
    );
    let stopped = add(base, true).exits(1).json().remove(0);
    assert_eq!(stopped["outcome"], json!({ "conflicts": [{ "line": 65_537, "code": "LATE", "why": { "held_by": 2 } }] }));
    let after = &stopped["stopped_after"];
    assert_eq!(json!([after["campaign"], after["line"], after["summary"]["added"]]), json!([1, 65_536, 65_536]));

    // An error in the middle reports the same, and the id to continue with.
    let other = RequestId::now();
    client.add_codes(other.of_part(1), &part("SOMETHING ELSE")).await.expect("a reply");
    let ran = add(other, false).exits(5);
    let progress =
        format!("the list was added up to line 65536 (0 codes, campaign 1); the same command with --request-id {other} adds");
    assert!(ran.err.contains(&progress) && ran.err.contains("was used for another request"), "{}", ran.err);
    // The next attempt adds the rest.
    let ran = staff(&server, &["codes", "add", "1", text(&list)], "").exits(0);
    assert!(ran.out.starts_with("added 1, skipped 65,536\n"), "{}", ran.out);
}

/// Z3, Z7: the trial of a long list judges by the current state. A retry gets the outcome of the first attempt, whatever has
/// changed since.
#[test]
fn a_long_list_that_was_added_is_never_reported_as_refused() {
    let mut server = prepare();
    with_codes_max(&mut server, 200_000);
    let list = server.scratch().join("long.txt");
    let lines: String = (1..=LINES_MAX).map(|n| format!("LONG-{n}\n")).chain(["LATE\n".to_owned()]).collect();
    fs::write(&list, lines).expect("written");
    let (id, of_add) = (RequestId::now().to_string(), RequestId::now().to_string());
    let create = ["campaign", "create", "--name", "Long", "--amount", "1", "--request-id", &id, text(&list)];
    staff(&server, &create, "").exits(0);
    staff(&server, &["campaign", "archive", "2"], "").exits(0);
    // The first part is free, and the second part is another campaign's.
    staff(&server, &["campaign", "create", "--name", "Late", "--amount", "1"], "LATE\n").exits(0);
    let before = position(&server);
    let again = staff_json(&server, &create, "", 0);
    assert_eq!(again["outcome"]["created"]["codes"]["added"], json!(65_537));
    assert_eq!(position(&server), before);

    // A campaign that no longer accepts codes.
    staff(&server, &["campaign", "archive", "3"], "").exits(0);
    let add = ["codes", "add", "1", "--on-conflict", "reject", "--request-id", &of_add, text(&list)];
    staff(&server, &add, "").exits(0);
    staff(&server, &["campaign", "archive", "1"], "").exits(0);
    assert_eq!(staff_json(&server, &add, "", 0)["outcome"]["added"]["added"], json!(65_537));

    // A request that was never executed is refused for good, and adds nothing.
    staff(&server, &["campaign", "create", "--name", "Late again", "--amount", "1"], "LATE\n").exits(0);
    let other = RequestId::now().to_string();
    let create = ["campaign", "create", "--name", "Other", "--amount", "1", "--request-id", &other, text(&list)];
    for _ in 0..2 {
        let refused = staff_json(&server, &create, "", 1);
        assert_eq!(refused["outcome"], json!({ "conflicts": [{ "line": 65_537, "code": "LATE", "why": { "held_by": 4 } }] }));
    }
    let listed = run(server.scrip(Role::Marketing).args(["campaign", "list", "--json"]), b"").exits(0).json();
    assert!(!listed.iter().any(|card| card["terms"]["name"] == "Other"), "{listed:?}");
}

/// Z3: a retry of a long list whose first part was refused gets the same refusal, even if nothing prevents the addition any
/// longer.
#[test]
fn a_long_list_that_was_refused_stays_refused_under_its_id() {
    let server = prepare();
    let list = server.scratch().join("long.txt");
    // Two parts of one code each.
    fs::write(&list, format!("D\n{}E\n", "\n".repeat(LINES_MAX))).expect("written");
    let id = RequestId::now().to_string();
    let add = ["codes", "add", "1", "--request-id", &id, text(&list)];
    staff(&server, &["campaign", "archive", "1"], "").exits(0);
    assert_eq!(staff_json(&server, &add, "", 1)["outcome"], json!("campaign_archived"));
    staff(&server, &["campaign", "restore", "1"], "").exits(0);
    assert_eq!(staff_json(&server, &add, "", 1)["outcome"], json!("campaign_archived"));
    assert_eq!(card(&server, "1")["codes"], json!(3), "nothing was added");
}

/// C10: delivery is up to another program. It reads the codes to hand out with a reporter credential, and can change nothing.
#[test]
fn a_delivery_program_can_read_codes() {
    let server = prepare();
    redeem(&server, "b", "1").exits(0);
    let reporter = |args: &[&str]| run(server.scrip(Role::Reporter).args(args), b"");
    let list = ["codes", "list", "1", "--status", "active", "--usage", "unused", "--json"];
    let codes: Vec<Value> = reporter(&list).exits(0).json().into_iter().map(|row| row["code"].clone()).collect();
    assert_eq!(codes, [json!("A"), json!("C")]);
    let ran = reporter(&["campaign", "archive", "1"]).exits(4);
    assert!(ran.err.contains("reporter"), "{}", ran.err);
}
