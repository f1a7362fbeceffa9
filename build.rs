//! Sets SCRIP_COMMIT, the commit that the program is built from, for this package only. Unset without git or its history.
//!
//! Runs again when the commit or a source of the program changes. These changes rebuild the program anyway, so the "-dirty" mark
//! is always current and causes no extra builds.

use std::path::Path;
use std::process::Command;

/// Files that change with the commit: HEAD, its log, and the packed refs, because a packed branch has no file of its own.
const POINTERS: [&str; 3] = ["HEAD", "packed-refs", "logs/HEAD"];

fn main() {
    let sources = sources();
    for source in &sources {
        println!("cargo::rerun-if-changed={source}");
    }
    // Sources unpacked inside another repository do not belong to its commits.
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok();
    if git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok()) != here {
        return;
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for pointer in POINTERS.into_iter().chain(branch.as_deref()) {
        // Cargo treats a missing file as changed in every build, so watch only existing ones.
        if let Some(path) = git(&["rev-parse", "--git-path", pointer]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let changed = git(&["status", "--porcelain", "--"].into_iter().chain(sources.iter().map(String::as_str)).collect::<Vec<_>>());
    let mark = match changed.as_deref() {
        Some("") => "",
        Some(_) | None => "-dirty",
    };
    println!("cargo::rustc-env=SCRIP_COMMIT={commit}{mark}");
}

/// The manifests and `src` folders of every crate that git tracks, and the lock file. Changes to tests and documents do not set the mark.
fn sources() -> Vec<String> {
    let mut sources: Vec<String> = ["src", "Cargo.toml", "Cargo.lock", "build.rs"].map(str::to_owned).into();
    let manifests = git(&["ls-files", "--", "*/Cargo.toml"]).unwrap_or_default();
    for folder in manifests.lines().filter_map(|manifest| manifest.strip_suffix("/Cargo.toml")) {
        sources.extend([format!("{folder}/Cargo.toml"), format!("{folder}/src")]);
    }
    sources
}

/// Returns git's output, or `None` if git fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
