//! Keys, tokens, codes and player data are readable by their owner alone: in existing folders, whatever the umask and the
//! creator.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use scrip_protocol::Role;

use crate::support::{Server, Sidecar, run, scrip};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap_or_else(|why| panic!("{}: {why}", path.display())).mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Everything in a folder, and the folder.
fn all_of(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).expect("it is readable") {
        let path = entry.expect("it is readable").path();
        match path.is_dir() {
            true => found.extend(all_of(&path)),
            false => found.push(path),
        }
    }
    found
}

#[track_caller]
fn is_closed_to_others(dir: &Path) {
    for path in all_of(dir) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(format!("{:o}", mode(&path)), format!("{expected:o}"), "{}", path.display());
    }
}

/// A command under a umask that removes no permissions.
fn open_handed(command: &mut std::process::Command) -> &mut std::process::Command {
    let program = command.get_program().to_owned();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(program).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    *command = shell;
    command
}

#[test]
fn no_engine_starts_with_a_key_that_others_can_read() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let key = server.dir().join("tls/server.key");
    for exposed in [0o644, 0o640, 0o660] {
        set_mode(&key, exposed);
        let ran = run(scrip().args(["serve", "--data", text(&server.dir())]), b"").exits(6);
        let hint = format!(
            "its mode {exposed:04o} lets others use it; replace the secret if somebody may have read it, and run chmod 600 {}",
            key.display()
        );
        assert!(ran.err.contains(&hint), "{}", ran.err);
    }
    set_mode(&key, 0o400);
    server.restart();
}

#[test]
fn no_command_uses_a_secret_that_others_can_read() {
    let server = Server::start();
    let token = server.scratch().join("operator.token");
    fs::write(&token, server.token(Role::Operator)).expect("written");
    let prefix = server.scratch().join("till");
    let add = ["token", "add", "--name", "till", "--role", "operator", "--certificate", text(&prefix)];
    run(server.scrip(Role::Operator).args(add), b"").exits(0);
    let (certificate, key) = (server.scratch().join("till.pem"), server.scratch().join("till.key"));
    assert_eq!([mode(&certificate), mode(&key)], [0o600, 0o600]);
    let by_token = ["club", "list", "--token-file", text(&token)];
    let by_certificate = ["club", "list", "--cert", text(&certificate), "--key", text(&key)];
    for (arguments, secret) in [(&by_token[..], &token), (&by_certificate, &key)] {
        let call = || {
            let mut command = server.scrip(Role::Operator);
            run(command.env_remove("SCRIP_TOKEN").args(arguments), b"")
        };
        set_mode(secret, 0o644);
        let ran = call().exits(9);
        assert!(ran.err.contains(&format!("run chmod 600 {}", secret.display())), "{}", ran.err);
        set_mode(secret, 0o600);
        call().exits(0);
    }
    // A certificate is not secret.
    set_mode(&certificate, 0o644);
    run(server.scrip(Role::Operator).env_remove("SCRIP_TOKEN").args(by_certificate), b"").exits(0);
    // The authority's key signs nothing if others have access to it.
    set_mode(&server.dir().join("tls/ca.key"), 0o644);
    let other = server.scratch().join("other");
    let add = ["token", "add", "--name", "other", "--role", "gateway", "--certificate", text(&other)];
    let ran = run(server.scrip(Role::Operator).args(add), b"").exits(6);
    assert!(ran.err.contains("ca.key holds a secret but its mode"), "{}", ran.err);
    // A token that another program hands over is in no file.
    let mut piped = server.scrip(Role::Operator);
    let token = server.token(Role::Operator).as_bytes();
    run(piped.env_remove("SCRIP_TOKEN").args(["club", "list", "--token-file", "/dev/stdin"]), token).exits(0);
}

/// From `init` to a backup and a restore.
#[test]
fn everything_written_is_closed_to_others_even_in_folders_that_exist() {
    let mut server = Server::start();
    let scratch = server.scratch().to_owned();
    assert!(server.terminate().success());
    // As if somebody had created the folders, and files of these names, before.
    let folders = ["org", "org/tls", "store", "restored", "backup"].map(|name| scratch.join(name));
    for folder in &folders {
        fs::create_dir(folder).expect("made");
        set_mode(folder, 0o777);
    }
    for name in ["org/credentials.json", "org/tls/ca.key", "org/tls/server.key.new", "store/lock", "store/attempts.sqlite"] {
        fs::write(scratch.join(name), "").expect("written");
        set_mode(&scratch.join(name), 0o666);
    }
    run(open_handed(scrip().args(["init", text(&folders[0])])), b"").exits(0);
    is_closed_to_others(&folders[0]);

    server.restart();
    run(server.scrip(Role::Operator).args(["club", "add", "Arena"]), b"").exits(0);
    let create = ["campaign", "create", "--name", "Spring", "--amount", "5", "-"];
    run(server.scrip(Role::Operator).args(create), b"A\nB\n").exits(0);
    let mut sidecar = Sidecar::start_on(&server, &folders[2], &[]);
    is_closed_to_others(&folders[2]);
    assert!(folders[2].join("read-model.sqlite-wal").exists(), "SQLite's own files are checked too");
    assert!(sidecar.terminate().success());
    // The read model of an earlier version, with the modes that it had.
    for path in all_of(&folders[2]).into_iter().filter(|path| path.is_file()) {
        set_mode(&path, 0o644);
    }
    set_mode(&folders[2], 0o755);
    sidecar.restart(&server, &["--rebuild"]);
    is_closed_to_others(&folders[2]);
    assert!(sidecar.terminate().success());

    let out = scratch.join("codes.csv");
    let export = ["export", "codes", "1", "--store", text(&folders[2]), "--out", text(&out)];
    run(open_handed(server.scrip(Role::Operator).args(export)), b"").exits(0);
    let generated = scratch.join("generated.txt");
    let generate = ["codes", "generate", "1", "--count", "5", "--out", text(&generated)];
    run(open_handed(server.scrip(Role::Operator).args(generate)), b"").exits(0);
    assert_eq!([mode(&out), mode(&generated)], [0o600, 0o600]);
    run(open_handed(server.scrip(Role::Operator).args(["snapshot", "create"])), b"").exits(0);
    let backup = folders[4].clone();
    run(open_handed(server.scrip(Role::Operator).args(["backup", "--to", text(&backup)])), b"").exits(0);
    is_closed_to_others(&backup);
    assert!(server.terminate().success());
    is_closed_to_others(&server.dir());
    run(open_handed(scrip().args(["restore", "--from", text(&backup), "--data", text(&folders[3])])), b"").exits(0);
    is_closed_to_others(&folders[3]);
}

#[test]
fn no_organisation_is_created_behind_a_link_or_in_a_shared_folder() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("elsewhere")).expect("made");
    symlink(at("elsewhere"), at("link")).expect("linked");
    fs::create_dir(at("shared")).expect("made");
    set_mode(&at("shared"), 0o1777);
    for (dir, why) in [("link", "symbolic link"), ("link/", "symbolic link"), ("shared", "shared by everybody")] {
        let ran = run(scrip().arg("init").arg(at(dir)), b"").exits(6);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
    assert_eq!(fs::read_dir(at("elsewhere")).expect("it exists").count(), 0);
    assert_eq!((fs::read_dir(at("shared")).expect("it exists").count(), mode(&at("shared"))), (0, 0o1777));
    fs::create_dir_all(at("org/tls")).expect("made");
    fs::write(at("victim"), "theirs").expect("written");
    symlink(at("victim"), at("org/tls/server.key")).expect("linked");
    run(scrip().arg("init").arg(at("org")), b"").exits(0);
    assert_eq!(fs::read(at("victim")).expect("it exists"), b"theirs");
    is_closed_to_others(&at("org"));
}
