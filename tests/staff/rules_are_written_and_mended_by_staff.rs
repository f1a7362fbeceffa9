//! Rules on the command line, with a marketing credential: written with options or in a file, shown, changed, switched, archived
//! and restored; lint findings are printed, and errors point at their position.

use std::fs;

use scrip_protocol::{RequestId, Role};
use serde_json::{Value, json};

use crate::support::{Ran, Server, run, scrip as alone};

/// Runs the program as marketing staff.
fn staff(server: &Server, args: &[&str]) -> Ran {
    staff_given(server, args, "")
}

fn staff_given(server: &Server, args: &[&str], stdin: &str) -> Ran {
    run(server.scrip(Role::Marketing).args(args), stdin.as_bytes())
}

/// The output of a successful command.
#[track_caller]
fn done(server: &Server, args: &[&str]) -> String {
    staff(server, args).exits(0).out
}

/// The one line of JSON that a successful command prints.
#[track_caller]
fn shown(server: &Server, args: &[&str]) -> Value {
    let mut values = staff(server, &[args, &["--json"]].concat()).exits(0).json();
    assert_eq!(values.len(), 1, "{values:?}");
    values.remove(0)
}

/// A rule's terms.
fn terms(server: &Server, rule: &str) -> Value {
    shown(server, &["rule", "show", rule])["rule"]["terms"].clone()
}

/// An engine with two clubs and two groups.
fn prepare() -> Server {
    let server = Server::start();
    for club in ["Arena North", "South"] {
        run(server.scrip(Role::Operator).args(["club", "add", club]), b"").exits(0);
    }
    for group in ["VIP", "Newcomers"] {
        done(&server, &["group", "add", group]);
    }
    server
}

/// Every setting of a rule.
const FULL: [&str; 23] = [
    "rule",
    "create",
    "--name",
    "Big cash",
    "--description",
    "For the front desk",
    "--club",
    "2",
    "--club",
    "1",
    "--when",
    "topupAmountMajor >= 1000 AND topUpSource = CASH",
    "--add-bonus",
    "{{topupAmountMajor}} * 0.05 + 50",
    "--assign-group",
    "1",
    "--unassign-group",
    "2",
    "--push-title",
    "Thank you!",
    "--push-body",
    "You have topped up {{topupAmountMajor}}.",
    "--tag=cash",
];

/// U1, U4, U5, U12, A16: a rule with every setting, as it was written.
#[test]
fn a_rule_is_written_with_options() {
    let server = prepare();
    assert_eq!(done(&server, &FULL).lines().next(), Some("created rule 1"));
    let expected = json!({
        "name": "Big cash",
        "description": "For the front desk",
        "active": true,
        "clubIds": [1, 2],
        "event": "BALANCE_TOPPED_UP",
        "conditions": "topupAmountMajor >= 1000 AND topUpSource = CASH",
        "actions": [
            { "type": "ADD_BONUS", "formula": "{{topupAmountMajor}} * 0.05 + 50" },
            { "type": "ASSIGN_GROUP", "group": 1 },
            { "type": "UNASSIGN_GROUP", "group": 2 },
            { "type": "SEND_PUSH", "title": "Thank you!", "body": "You have topped up {{topupAmountMajor}}." },
        ],
        "tags": ["cash"],
    });
    assert_eq!(terms(&server, "1"), expected);
    let card = done(&server, &["rule", "show", "1"]);
    let lines: Vec<&str> = card.lines().collect();
    assert_eq!(
        lines[..12],
        [
            "rule                 1 Big cash",
            "description          For the front desk",
            "status               active",
            "clubs                Arena North (1), South (2)",
            "event                BALANCE_TOPPED_UP",
            "conditions           topupAmountMajor >= 1000 AND topUpSource = CASH",
            "credits              {{topupAmountMajor}} * 0.05 + 50",
            "adds to groups       VIP (1)",
            "removes from groups  Newcomers (2)",
            "push title           Thank you!",
            "push body            You have topped up {{topupAmountMajor}}.",
            "tags                 cash",
        ]
    );
    assert_eq!(
        lines[14..],
        ["fired                0", "failed               0", "credited in total    0.00", "as of position       11"]
    );
    // The minimum of a rule.
    done(&server, &["rule", "create", "--name", "All", "--assign-group", "2", "--inactive"]);
    let least = terms(&server, "2");
    assert_eq!((&least["active"], &least["conditions"], &least["clubIds"]), (&json!(false), &json!(""), &json!([])));
    staff(&server, &["rule", "create", "--add-bonus", "1"]).exits(2);
    staff(&server, &["rule", "create", "--name", "x", "--push-title", "t"]).exits(2);
    assert_eq!(staff(&server, &["rule", "show", "3"]).exits(1).out, "there is no rule 3\n");
}

/// U10, A16: the output of `show` is a file that creates the same rule, here or elsewhere; an unknown identifier is an error with
/// its line and column, and nothing is saved.
#[test]
fn a_rule_is_written_in_a_file() {
    let server = prepare();
    done(&server, &FULL);
    let first = terms(&server, "1");
    let printed = done(&server, &["rule", "show", "1", "--terms"]);
    let file = server.scratch().join("rule.json");
    let path = file.to_str().expect("temporary folders have plain names");
    fs::write(&file, &printed).expect("written");
    done(&server, &["rule", "create", "--file", path]);
    assert_eq!(terms(&server, "2"), first);
    // The card, and a line of the list, in JSON.
    let card = done(&server, &["rule", "show", "1", "--json"]);
    staff_given(&server, &["rule", "create", "--file", "-"], &card).exits(0);
    let listed = done(&server, &["rule", "list", "--json"]);
    let line = listed.lines().next().expect("there are rules");
    staff_given(&server, &["rule", "create", "--file", "-"], line).exits(0);
    assert_eq!([terms(&server, "3"), terms(&server, "4")], [first.clone(), first.clone()]);
    let edited = printed.replace("Big cash", "Bigger cash").replace(">= 1000", ">= 2000").replace("true", "false");
    staff_given(&server, &["rule", "update", "2", "--file", "-"], &edited).exits(0);
    let second = terms(&server, "2");
    assert_eq!((&second["name"], &second["active"]), (&json!("Bigger cash"), &json!(false)));

    let wrong = [
        ("clubIds", "clubids", "line 5, column 3: unknown field `clubids`, expected one of `name`,"),
        ("BALANCE_TOPPED_UP", "TOPPED_UP", "unknown variant `TOPPED_UP`, expected `BALANCE_TOPPED_UP`"),
        ("ADD_BONUS", "AWARD_BONUSES", "unknown variant `AWARD_BONUSES`, expected one of `ADD_BONUS`,"),
        ("\"title\"", "\"head\"", "unknown field `head`"),
        ("{", "[", "expected `,` or `]`"),
        ("\"name\"", "\"label\"", "line 2, column 3: unknown field `label`"),
    ];
    let before = done(&server, &["rule", "list", "--json"]);
    for (from, to, words) in wrong {
        fs::write(&file, printed.replacen(from, to, 1)).expect("written");
        for args in [&["rule", "create", "--file", path][..], &["rule", "update", "1", "--file", path]] {
            let ran = staff(&server, args).exits(9);
            if to != "[" {
                assert!(ran.err.starts_with(&format!("scrip: {path}: line ")) && ran.err.contains(words), "{to}: {}", ran.err);
            }
        }
    }
    let ran = staff_given(&server, &["rule", "create", "--file", "-"], "").exits(9);
    assert!(ran.err.starts_with("scrip: standard input: line 1, column 0: EOF"), "{}", ran.err);
    let ran = staff(&server, &["rule", "create", "--file", "missing.json"]).exits(9);
    assert!(ran.err.starts_with("scrip: missing.json: "), "{}", ran.err);
    staff(&server, &["rule", "create", "--file", path, "--name", "x"]).exits(2);
    assert_eq!(done(&server, &["rule", "list", "--json"]), before);
}

/// U4, U5, U13, A16, A17, A31: an invalid text is reported, with a mark under the position of the error.
#[test]
fn errors_point_at_their_position() {
    let server = prepare();
    let create = |args: &[&str]| staff(&server, &[&["rule", "create", "--name", "x"], args].concat()).exits(1).out;
    let out = create(&["--add-bonus", "{{topUpAmountMajor}} * 0.1"]);
    assert!(out.starts_with("refused: the formula, character 3: expected the name of a variable"), "{out}");
    assert!(out.ends_with("did you mean topupAmountMajor?\n  {{topUpAmountMajor}} * 0.1\n    ^\n"), "{out}");
    let out = create(&["--add-bonus", "topupAmountMajor * 0.1"]);
    assert!(out.ends_with("\n  topupAmountMajor * 0.1\n  ^\n"), "{out}");
    let out = create(&["--add-bonus", "({{topupAmountMajor}} + 1"]);
    assert!(out.ends_with("\n  ({{topupAmountMajor}} + 1\n                           ^\n"), "{out}");
    let out = create(&["--when", "topupAmountMajor >= 499.5", "--add-bonus", "1"]);
    assert!(out.starts_with("refused: the conditions, character 21: expected a whole number"), "{out}");
    assert!(out.ends_with("\n  topupAmountMajor >= 499.5\n                      ^\n"), "{out}");
    let out = create(&["--when", "topUpSource = CARD", "--add-bonus", "1"]);
    assert!(out.ends_with("\n  topUpSource = CARD\n                ^\n"), "{out}");
    let out = create(&["--push-title", "Hello {{name}}", "--push-body", "Hello"]);
    assert!(out.starts_with("refused: the push notification's title, character 9: "), "{out}");
    assert!(out.ends_with("\n  Hello {{name}}\n          ^\n"), "{out}");

    let long = "ü".repeat(41);
    assert_eq!(
        create(&["--push-title", &long, "--push-body", "Hello"]),
        "refused: the push notification's title has 41 characters; at most 40 are allowed\n"
    );
    let long = "ü".repeat(121);
    assert_eq!(
        create(&["--push-title", &long[..80], "--push-body", &long]),
        "refused: the push notification's body has 121 characters; at most 120 are allowed\n"
    );
    assert_eq!(create(&[]), "refused: a rule has 1 to 8 actions\n");
    assert_eq!(create(&["--assign-group", "7"]), "refused: the organisation has no group 7\n");
    assert_eq!(create(&["--add-bonus", "1", "--club", "7"]), "refused: the organisation has no club 7\n");
    assert!(create(&["--assign-group", "1", "--unassign-group", "1"]).contains("one action for each group"));
    // The same for a rule that is changed or only linted, and in JSON.
    done(&server, &FULL);
    let ran = staff(&server, &["rule", "update", "1", "--when", "topupAmountMajor => 5"]).exits(1);
    assert!(ran.out.starts_with("rule 1: refused: the conditions, character 18: "), "{}", ran.out);
    assert!(ran.out.ends_with("\n  topupAmountMajor => 5\n                   ^\n"), "{}", ran.out);
    let ran = staff(&server, &["rule", "lint", "--rule", "1", "--add-bonus", "2 +"]).exits(1);
    assert!(ran.out.ends_with("\n  2 +\n     ^\n"), "{}", ran.out);
    let ran = staff(&server, &["rule", "create", "--name", "x", "--add-bonus", "1 1", "--json"]).exits(1);
    let problem = &ran.json()[0]["outcome"]["invalid_rule"]["formula"];
    assert_eq!((&problem["at"], &problem["found"]), (&json!(3), &json!("1")));
}

/// U10: settings that are not given stay as they are; an unknown or archived rule is not changed.
#[test]
fn an_update_changes_only_given_settings() {
    let server = prepare();
    done(&server, &FULL);
    done(&server, &["rule", "deactivate", "1"]);
    let mut expected = terms(&server, "1");
    let mut update = |args: &[&str], change: &dyn Fn(&mut Value)| {
        let out = done(&server, &[&["rule", "update", "1"], args].concat());
        assert_eq!(out.lines().next(), Some("rule 1: updated"));
        change(&mut expected);
        assert_eq!(terms(&server, "1"), expected, "{args:?}");
    };
    update(&["--name", "Huge cash", "--description", ""], &|rule| {
        rule["name"] = json!("Huge cash");
        rule["description"] = json!("");
    });
    update(&["--when", "topupAmountMajor >= 5000"], &|rule| rule["conditions"] = json!("topupAmountMajor >= 5000"));
    update(&["--add-bonus", "100", "--club", "all"], &|rule| {
        rule["actions"][0]["formula"] = json!("100");
        rule["clubIds"] = json!([]);
    });
    update(&["--push-body", "You have {{bonusBalanceMajor}}", "--tag", "b", "--tag", "a"], &|rule| {
        rule["actions"][3]["body"] = json!("You have {{bonusBalanceMajor}}");
        rule["tags"] = json!(["a", "b"]);
    });
    update(&["--when", "none", "--assign-group", "none", "--unassign-group", "1", "--no-push", "--no-tags"], &|rule| {
        rule["conditions"] = json!("");
        rule["actions"] = json!([{ "type": "ADD_BONUS", "formula": "100" }, { "type": "UNASSIGN_GROUP", "group": 1 }]);
        rule["tags"] = json!([]);
    });
    staff(&server, &["rule", "update", "1"]).exits(2);
    let unknown = staff(&server, &["rule", "update", "9", "--name", "x"]).exits(1);
    assert_eq!(unknown.out, "rule 9: refused: there is no such rule\n");
    let unknown = staff(&server, &["rule", "update", "9", "--name", "x", "--json"]).exits(1);
    assert_eq!(unknown.json()[0]["outcome"], json!("unknown_rule"));
    done(&server, &["rule", "archive", "1"]);
    let archived = staff(&server, &["rule", "update", "1", "--name", "x"]).exits(1);
    assert_eq!(archived.out, "rule 1: refused: the rule is archived; restore it first\n");
}

/// Z3, U9, U10: an update is what was given, not what the rule was when it was sent: its retry has the same outcome whatever was
/// changed meanwhile, and changes nothing.
#[test]
fn a_retry_of_an_update_is_not_another_change() {
    let server = prepare();
    done(&server, &FULL);
    let mut printed = terms(&server, "1");
    printed["name"] = json!("From a file");
    let file = server.scratch().join("rule.json");
    fs::write(&file, printed.to_string()).expect("written");
    let path = file.to_str().expect("temporary folders have plain names");
    for change in [
        &["--name", "Renamed"][..],
        &["--add-bonus", "60", "--push-title", "Hello", "--assign-group", "none"],
        &["--club", "all", "--when", "none", "--no-tags", "--no-push"],
        &["--file", path],
    ] {
        let id = RequestId::now().to_string();
        let update = [&["rule", "update", "1", "--request-id", &id], change].concat();
        let first = done(&server, &update);
        assert_eq!(first.lines().next(), Some("rule 1: updated"));
        done(&server, &["rule", "deactivate", "1"]);
        done(&server, &["rule", "update", "1", "--description", &id]);
        let meanwhile = terms(&server, "1");
        assert_eq!(done(&server, &update), first, "{change:?}");
        assert_eq!(terms(&server, "1"), meanwhile, "{change:?}");
        done(&server, &["rule", "activate", "1"]);
    }
    // Another change under the same id is not a retry.
    let id = RequestId::now().to_string();
    done(&server, &["rule", "update", "1", "--name", "One", "--request-id", &id]);
    staff(&server, &["rule", "update", "1", "--name", "Two", "--request-id", &id]).exits(5);
    // A file that was printed before somebody switched the rule off does not switch it on again.
    done(&server, &["rule", "deactivate", "1"]);
    let before = terms(&server, "1");
    let refused = staff(&server, &["rule", "update", "1", "--file", path]).exits(1);
    assert!(refused.out.starts_with("rule 1: refused: the rule is inactive, and an update does not activate it"), "{refused:?}");
    assert_eq!(terms(&server, "1"), before);
    printed["active"] = json!(false);
    fs::write(&file, printed.to_string()).expect("written");
    done(&server, &["rule", "update", "1", "--file", path]);
    assert_eq!(terms(&server, "1"), printed);
}

/// U7, U9, U11, A32: rules are switched, archived and restored (switched off), and listed by their status and their clubs.
#[test]
fn rules_are_switched_archived_restored_and_listed() {
    let server = prepare();
    assert_eq!(done(&server, &["rule", "list"]), "there are no rules\n");
    for (name, options) in [("North", &["--club", "1"][..]), ("Both", &["--club", "1", "--club", "2"]), ("All", &["--inactive"])]
    {
        done(&server, &[&["rule", "create", "--name", name, "--add-bonus", "1"], options].concat());
    }
    assert_eq!(
        done(&server, &["rule", "list"]),
        "ID  NAME   STATUS    CLUBS                       FIRED  FAILED  CREDITED\n 1  North  active    Arena North (1)                 0       0      \
         0.00\n 2  Both   active    Arena North (1), South (2)      0       0      0.00\n 3  All    inactive  all                             \
         0       0      0.00\n"
    );
    let names = |args: &[&str]| -> Vec<String> {
        let cards = staff(&server, &[&["rule", "list", "--json"], args].concat()).exits(0).json();
        cards.iter().map(|card| card["terms"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["--club", "2"]), ["Both", "All"]);
    assert_eq!(names(&["--club", "1", "--status", "active"]), ["North", "Both"]);
    assert_eq!(names(&["--status", "inactive"]), ["All"]);
    let act = |word: &str, rule: &str| staff(&server, &["rule", word, rule]);
    assert_eq!(act("archive", "1").exits(0).out, "rule 1: archived: it no longer fires\n");
    assert_eq!(act("archive", "1").exits(1).out, "rule 1: refused: the rule is already archived\n");
    assert_eq!(act("activate", "1").exits(1).out, "rule 1: refused: the rule is archived; restore it first\n");
    assert_eq!((names(&[]), names(&["--status", "archived"])), (vec!["Both".into(), "All".into()], vec!["North".into()]));
    let card = done(&server, &["rule", "show", "1"]);
    assert!(card.contains("\nstatus             archived on 2"), "{card}");
    assert_eq!(act("restore", "1").exits(0).out, "rule 1: restored, switched off\n");
    assert_eq!(act("restore", "1").exits(1).out, "rule 1: refused: the rule is not archived\n");
    assert_eq!(names(&["--status", "inactive"]), ["North", "All"]);
    assert_eq!(act("activate", "1").exits(0).out, "rule 1: active: it fires on the next matching top-up\n");
    assert_eq!(act("deactivate", "2").exits(0).out, "rule 2: inactive: it does not fire\n");
    assert_eq!(names(&["--status", "active"]), ["North"]);
    assert_eq!(act("archive", "9").exits(1).out, "rule 9: refused: there is no such rule\n");
    assert_eq!(done(&server, &["rule", "list", "--status", "archived"]), "no rule matches\n");
}

/// Z12, A18: lint findings are printed when a rule is saved and on request, and never prevent it from being saved.
#[test]
fn lint_findings_are_printed() {
    let server = prepare();
    let tenth =
        ["rule", "create", "--name", "Tenth", "--when", "topupAmountMajor >= 500", "--add-bonus", "{{topupAmountMajor}} * 0.1"];
    let out = done(&server, &tenth);
    assert!(out.starts_with("created rule 1\ncredits of all active rules together"), "{out}");
    assert!(!out.contains("\n-"), "{out}");
    let fifth = ["--when", "topupAmountMajor >= 1000", "--add-bonus", "{{topupAmountMajor}} * 0.2"];
    let overlap = "\n- rule 1 (Tenth) can fire on the same top-up: both fire from 1000.00 on\n";
    let words =
        "credits of all active rules together for a new client at this rule's first club, from the source that yields most:\n";
    let out = done(&server, &[&["rule", "lint"], &fifth[..]].concat());
    assert!(out.starts_with("lint findings: 1\n"), "{out}");
    let check = |out: &str| {
        let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(out.contains(overlap) && out.contains(words), "{out}");
        assert!(lines.contains(&vec!["AMOUNT", "SOURCE", "CREDITED", "RATE", "RULES"]), "{out}");
        assert!(lines.contains(&vec!["1000.00", "ACQUIRING", "300.00", "30.0", "%", "2"]), "{out}");
    };
    check(&out);
    assert_eq!(done(&server, &["rule", "list", "--json"]).lines().count(), 1, "nothing was saved");
    check(&done(&server, &[&["rule", "create", "--name", "Fifth"], &fifth[..]].concat()));
    // A changed rule does not overlap with its previous version; half-open ranges do not overlap at all.
    let out = done(&server, &["rule", "update", "1", "--when", "topupAmountMajor >= 500 AND topupAmountMajor < 1000"]);
    assert!(!out.contains("can fire on the same top-up"), "{out}");
    assert_eq!(done(&server, &["rule", "lint", "--rule", "2"]).lines().next(), Some("no lint findings"));
    let never = ["rule", "lint", "--when", "topupAmountMajor >= 500 AND topupAmountMajor < 500", "--add-bonus", "1"];
    assert_eq!(
        done(&server, &never),
        "lint findings: 1\n- the rule can never fire: the conditions on topupAmountMajor exclude each other\n"
    );
    let found = shown(&server, &["rule", "lint", "--rule", "2", "--when", "topupAmountMajor >= 700"]);
    let overlap = json!({ "overlaps": { "rule": 1, "name": "Tenth", "from": 70_000, "to": 99_999 } });
    assert_eq!(found["lint"]["lint"]["findings"], json!([overlap]));
    staff(&server, &["rule", "lint"]).exits(2);
    assert_eq!(staff(&server, &["rule", "lint", "--rule", "9"]).exits(1).out, "there is no rule 9\n");
}

/// U14, U15, A18, A19: the tiers of an average check, and which rates are safe. The proposed rules can be created as they are.
#[test]
fn a_starting_set_of_rules_is_proposed() {
    let template = |args: &[&str]| run(alone().args(["rule", "template", "--average-check", "400"]).args(args), b"").exits(0);
    let out = template(&["--half-open", "--margin", "60", "--gaming-share", "70"]).out;
    let table = "TIER             FROM          TO  CREDITS  TOTAL  VERDICT\n\
                 Tier 1            520  below 1000      5 %    5 %  safe\n\
                 Tier 2 (anchor)  1000  below 2000     12 %   12 %  safe\n\
                 Tier 3 (large)   2000           -     20 %   20 %  healthy\n\
                 break-even at 42.0 %; 14.0 % to 21.0 % is healthy\n";
    assert!(out.starts_with(table), "{out}");
    let out = template(&[]).out;
    assert!(out.contains("Tier 3 (large)   2000   -     20 %   37 %\n"), "{out}");
    assert!(
        out.contains("a top-up of a higher tier also fires the tiers below it; with --half-open it fires only one\n"),
        "{out}"
    );
    run(alone().args(["rule", "template", "--average-check", "0"]), b"").exits(2);
    run(alone().args(["rule", "template", "--average-check", "400", "--margin", "60"]), b"").exits(2);

    let server = prepare();
    let proposed = template(&["--half-open", "--json"]).json().remove(0);
    for rule in proposed["rules"].as_array().expect("they are three") {
        staff_given(&server, &["rule", "create", "--file", "-"], &rule.to_string()).exits(0);
    }
    let names = done(&server, &["rule", "list", "--status", "inactive", "--json"]);
    assert_eq!(names.lines().count(), 3);
    assert_eq!(terms(&server, "2")["conditions"], json!("topupAmountMajor >= 1000 AND topupAmountMajor < 2000"));
}
