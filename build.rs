//! Which commit the program is built from: the variable SCRIP_COMMIT, for the sources of this package alone. Absent where git or its
//! history is.
//!
//! Runs again when the commit changes or a source that the program is built from does. Those rebuild the program in any case, so
//! that a "-dirty" mark is never out of date and nothing is built for its sake.

use std::path::Path;
use std::process::Command;

/// What the program is built from. Tests and documents may differ from the commit without a mark.
const SOURCES: [&str; 7] = ["src", "engine", "protocol", "loadtest", "Cargo.toml", "Cargo.lock", "build.rs"];

/// What tells that the commit has changed: where it points, and the log of that. A branch that has been packed has no file of its own.
const POINTERS: [&str; 3] = ["HEAD", "packed-refs", "logs/HEAD"];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    // Sources that were unpacked inside somebody's repository are not of its commits.
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok();
    if git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok()) != here {
        return;
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for pointer in POINTERS.into_iter().chain(branch.as_deref()) {
        // What is not there must not be watched: it would count as changed at every build.
        if let Some(path) = git(&["rev-parse", "--git-path", pointer]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let changed = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat());
    let mark = match changed.as_deref() {
        Some("") => "",
        Some(_) | None => "-dirty",
    };
    println!("cargo::rustc-env=SCRIP_COMMIT={commit}{mark}");
}

/// What git prints, or nothing where it cannot tell.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
