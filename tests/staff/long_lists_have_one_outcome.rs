//! A list of several requests has one outcome: what its parts did is reported together, now and when the command is repeated (Z3,
//! Z7).

use std::fs;
use std::path::{Path, PathBuf};

use scrip_protocol::command::LINES_MAX;
use scrip_protocol::{RequestId, Role};
use serde_json::{Value, json};

use crate::support::{Ran, Server, run};

/// An organisation whose campaigns may have many codes, and one campaign.
struct Site(Server);

impl Site {
    fn new() -> Site {
        let mut server = Server::start();
        assert!(server.terminate().success());
        let path = server.dir().join("scrip.toml");
        let config = fs::read_to_string(&path).expect("init has written it");
        let changed = config.replace("codes_per_campaign_max = 50000", "codes_per_campaign_max = 200000");
        assert_ne!(changed, config);
        fs::write(&path, changed).expect("it can be written");
        server.restart();
        let site = Site(server);
        run(site.0.scrip(Role::Operator).args(["club", "add", "Arena"]), b"").exits(0);
        run(site.0.scrip(Role::Marketing).args(["campaign", "create", "--name", "Long", "--amount", "1"]), b"FIRST\n").exits(0);
        site
    }

    fn file(&self, name: &str, lines: impl Iterator<Item = String>) -> PathBuf {
        let path = self.0.scratch().join(name);
        fs::write(&path, lines.map(|line| line + "\n").collect::<String>()).expect("written");
        path
    }

    fn staff(&self, args: &[&str]) -> Ran {
        run(self.0.scrip(Role::Marketing).args(args), b"")
    }

    fn staff_json(&self, args: &[&str], code: i32) -> Value {
        self.staff(&[args, &["--json"]].concat()).exits(code).json().remove(0)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Z3, X2: codes that a part restored or archived are reported, though a later part is refused.
#[test]
fn a_change_of_many_codes_that_is_stopped_says_what_it_did() {
    let site = Site::new();
    let codes = |number: usize| (1..=number).map(|n| format!("LONG-{n}"));
    let (all, first) = (site.file("all.txt", codes(LINES_MAX + 3)), site.file("first.txt", codes(LINES_MAX)));
    site.staff(&["codes", "add", "1", text(&all)]).exits(0);
    site.staff(&["codes", "archive", "1", "--file", text(&all)]).exits(0);
    let id = RequestId::now().to_string();
    site.staff(&["codes", "restore", "1", "--file", text(&first), "--request-id", &id]).exits(0);
    site.staff(&["campaign", "archive", "1"]).exits(0);
    let restore = ["codes", "restore", "1", "--file", text(&all), "--request-id", &id];
    let stopped = site.staff_json(&restore, 1);
    let expected = json!({ "request": id, "outcome": "campaign_archived",
                           "stopped_after": { "line": LINES_MAX, "codes": LINES_MAX, "skipped": 0 } });
    assert_eq!(stopped, expected);
    let ran = site.staff(&restore).exits(1);
    assert!(ran.out.ends_with("restored 65,536 codes up to line 65536 before that, skipped 0\n"), "{}", ran.out);
    // If the first part is refused, nothing was changed.
    let refused = site.staff_json(&["codes", "restore", "1", "--file", text(&all)], 1);
    assert_eq!((&refused["outcome"], refused.get("stopped_after")), (&json!("campaign_archived"), None));
}

/// Z3, X2: a text is read to its end before its first part is sent. A part is read with one line of the next.
#[test]
fn a_list_that_cannot_be_read_to_its_end_changes_nothing() {
    let site = Site::new();
    let list = site.file("list.txt", ["FIRST".to_owned()].into_iter().chain((1..=LINES_MAX).map(|n| format!("LONG-{n}"))));
    let mut text_of_list = fs::read(&list).expect("written");
    text_of_list.extend_from_slice(b"T\xfcr\n");
    fs::write(&list, text_of_list).expect("written");
    let codes = || site.staff(&["codes", "list", "1", "--json"]).exits(0).out;
    for command in ["archive", "restore"] {
        if command == "restore" {
            site.staff(&["codes", "archive", "1", "FIRST"]).exits(0);
        }
        let before = codes();
        for json in [None, Some("--json")] {
            let arguments: Vec<&str> = ["codes", command, "1", "--file", text(&list)].into_iter().chain(json).collect();
            let ran = site.staff(&arguments).exits(9);
            assert!(ran.err.contains("list.txt: line 65538, byte 2: this is not UTF-8"), "{ran:?}");
            assert_eq!((ran.out.as_str(), codes()), ("", before.clone()), "{command}");
        }
        // Under a given id an earlier attempt, with a list that could be read, may have been executed.
        let id = RequestId::now().to_string();
        let unknown = site.staff_json(&["codes", command, "1", "--file", text(&list), "--request-id", &id], 5);
        assert_eq!((&unknown["request"], &unknown["outcome"]), (&json!(id), &json!("unknown")));
        assert_eq!(codes(), before, "{command}");
    }
}

/// K9, X2: a part without any code changes nothing about the others, whichever it is.
#[test]
fn parts_without_codes_are_passed_over() {
    let site = Site::new();
    let invisible = || (0..LINES_MAX).map(|_| "\u{200b}".to_owned());
    let code = || ["FIRST".to_owned()].into_iter();
    for (name, lines) in [
        ("before.txt", Box::new(invisible().chain(code())) as Box<dyn Iterator<Item = String>>),
        ("after.txt", Box::new(code().chain(invisible()))),
    ] {
        let list = site.file(name, lines);
        for (command, done) in [("archive", "archived"), ("restore", "restored")] {
            let changed = site.staff_json(&["codes", command, "1", "--file", text(&list)], 0);
            assert_eq!(changed["outcome"][done]["codes"], json!(1), "{name}: {changed}");
        }
    }
    let list = site.file("none.txt", invisible().chain(invisible()));
    assert_eq!(site.staff_json(&["codes", "archive", "1", "--file", text(&list)], 1)["outcome"], json!("codes_missing"));
}

/// Z3, Z7: a list that was refused because of a later part stays refused under its request id, and the output shows it, after the
/// obstacle is gone.
#[test]
fn a_list_that_was_refused_stays_refused_under_its_request_id() {
    let site = Site::new();
    let last = site.file("last.txt", ["LONG-70000".to_owned()].into_iter());
    let list = site.file("long.txt", (1..=70_000).map(|n| format!("LONG-{n}")));
    let create = |list, name| ["campaign", "create", "--name", name, "--amount", "1", list];
    site.staff(&create(text(&last), "Obstacle")).exits(0);
    let id = RequestId::now().to_string();
    let other = RequestId::now().to_string();
    let reject = ["--on-conflict", "reject", "--request-id"];
    let add = [&["codes", "add", "1", text(&list)], &reject[..], &[id.as_str()]].concat();
    let made = [&create(text(&list), "New")[..], &reject, &[other.as_str()]].concat();
    for command in [&add, &made] {
        let refused = site.staff_json(command, 1);
        let line = &refused["outcome"]["conflicts"][0];
        assert_eq!((&line["line"], &line["code"]), (&json!(70_000), &json!("LONG-70000")), "{refused}");
    }
    site.staff(&["campaign", "archive", "2"]).exits(0);
    for (command, id) in [(&add, &id), (&made, &other)] {
        for _ in 0..2 {
            assert_eq!(site.staff_json(command, 1), json!({ "request": id, "outcome": "refused_before" }));
        }
        let refused = site.staff(command).exits(1);
        assert!(refused.out.starts_with("refused: an earlier attempt with this request id was refused, and nothing was added"));
    }
    // A new id adds the list, and its retry is not mistaken for a refused one.
    let first = id;
    let id = RequestId::now().to_string();
    let add = ["codes", "add", "1", "--request-id", &id, text(&list)];
    let added = site.staff_json(&add, 0);
    assert_eq!(added["summary"]["added"], json!(70_000));
    assert_eq!(site.staff_json(&add, 0), added);
    // The first part would be refused as well by now: nothing was added under the first id.
    site.staff(&["campaign", "archive", "1"]).exits(0);
    let refused = [&["codes", "add", "1", text(&list)], &reject[..], &[first.as_str()]].concat();
    for _ in 0..2 {
        assert_eq!(site.staff_json(&refused, 1)["request"], json!(first));
    }
}

/// Z3: a refused list whose first part adds nothing stays refused under its request id, whatever would be possible later.
#[test]
fn a_list_that_was_refused_behind_a_part_without_codes_stays_refused() {
    let site = Site::new();
    let of_other = || (1..=40_000).map(|n| format!("OTHER-{n}"));
    let other = site.file("other.txt", of_other());
    site.staff(&["campaign", "create", "--name", "Other", "--amount", "1", text(&other)]).exits(0);
    // The first part has codes of the other campaign only; the rest are more than a campaign can have.
    let list = site.file("long.txt", of_other().chain(of_other()).chain((1..=200_500).map(|n| format!("NEW-{n}"))));
    let id = RequestId::now().to_string();
    let create =
        ["campaign", "create", "--name", "New", "--amount", "1", "--on-conflict", "skip", "--request-id", &id, text(&list)];
    site.staff(&create).exits(1);
    site.staff(&create).exits(1);
    site.staff(&["campaign", "archive", "2"]).exits(0);
    for _ in 0..2 {
        site.staff(&create).exits(1);
    }
}

/// K5, K6, Z3: the sums of a list are the same when the command is repeated, though the campaign takes no codes any longer.
#[test]
fn the_sums_of_a_list_are_the_same_when_it_is_repeated() {
    let site = Site::new();
    let codes = || (1..=70_000).map(|n| format!("LONG-{n}"));
    // Three parts: codes of the first and of the second are in the third again.
    let list = site.file("twice.txt", codes().chain(codes()));
    let id = RequestId::now().to_string();
    let add = ["codes", "add", "1", "--request-id", &id, text(&list)];
    let added = site.staff_json(&add, 0);
    assert_eq!((&added["summary"]["added"], &added["summary"]["duplicates_in_list"]), (&json!(70_000), &json!(70_000)));
    site.staff(&["campaign", "archive", "1"]).exits(0);
    let again = site.staff_json(&add, 0);
    assert_eq!(again, added);
}
