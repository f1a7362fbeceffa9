//! The crates depend on one another as ARCHITECTURE.md draws it, and the core of the engine on nothing that does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What the core must never reach, by itself or through other crates.
const NOT_IN_CORE: [&str; 5] = ["quinn", "redb", "rustls", "tokio", "socket2"];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The folder of a package within the workspace; `.` for the program.
fn folder(package: &Value) -> String {
    let dir = Path::new(text(&package["manifest_path"])).parent().expect("a manifest is in a folder");
    let within = dir.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("members are in the workspace");
    match within.to_str().expect("paths are UTF-8") {
        "" => ".".into(),
        within => within.into(),
    }
}

/// The arrows of the block in ARCHITECTURE.md whose lines are `folder -> folder folder`.
fn drawn() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../../ARCHITECTURE.md");
    let arrow = |line: &str| {
        let (from, to) = line.split_once(" ->")?;
        let is_folder = |word: &str| word == "." || word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'/');
        is_folder(from.trim()).then(|| (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect()))
    };
    let (_, block) = page.split_once("```text\n").expect("the page has a block of arrows");
    let (block, _) = block.split_once("```").expect("the block ends");
    block.lines().filter_map(arrow).collect()
}

#[test]
fn crates_depend_on_one_another_as_drawn() {
    let metadata = metadata();
    let members: BTreeSet<&str> = metadata["workspace_members"].as_array().expect("a list").iter().map(text).collect();
    let packages =
        || metadata["packages"].as_array().expect("a list").iter().filter(|package| members.contains(text(&package["id"])));
    let folders: BTreeMap<&str, String> = packages().map(|package| (text(&package["name"]), folder(package))).collect();
    let mut actual: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let dependencies = package["dependencies"].as_array().expect("a list").iter();
        // Tests may use any crate.
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        let within = normal.filter_map(|dependency| folders.get(text(&dependency["name"]))).cloned();
        actual.insert(folder(package), within.collect());
    }
    assert_eq!(actual, drawn(), "left: the manifests; right: ARCHITECTURE.md");
}

#[test]
fn the_core_does_no_io() {
    let metadata = metadata();
    let core = metadata["packages"].as_array().expect("a list").iter().find(|package| package["name"] == "scrip-core");
    let core = text(&core.expect("the core is a package")["id"]);
    let nodes: BTreeMap<&str, &Value> =
        metadata["resolve"]["nodes"].as_array().expect("a list").iter().map(|node| (text(&node["id"]), node)).collect();
    let (mut reached, mut next) = (BTreeSet::new(), vec![core]);
    while let Some(id) = next.pop() {
        if !reached.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().expect("a list") {
            let is_normal = dependency["dep_kinds"].as_array().expect("a list").iter().any(|kind| kind["kind"].is_null());
            if is_normal {
                next.push(text(&dependency["pkg"]));
            }
        }
    }
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let reached: BTreeSet<&str> = reached.into_iter().map(|id| names[id]).collect();
    for name in NOT_IN_CORE {
        assert!(!reached.contains(name), "the core reaches {name}");
    }
}
