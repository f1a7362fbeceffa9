//! SIGTERM and SIGINT end a process that is still starting, however long that takes.

use std::fs::{self, OpenOptions};
use std::net::UdpSocket;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use scrip_protocol::Role;

use crate::support::{DEADLINE, Running, Server, scrip, wait_until};

/// `O_NONBLOCK` of Linux: a pipe that nobody reads cannot be opened to write.
const NONBLOCK: i32 = 0o4000;

#[track_caller]
fn ends_well(mut process: Running, signal: &str) {
    process.signal(signal);
    let ended = wait_until(DEADLINE, "it ends", || process.0.try_wait().expect("it can be waited for"));
    assert_eq!(ended.code(), Some(0), "{signal}: {ended}");
}

/// An engine that reads for long at its start ends at once: it has changed nothing.
#[test]
fn an_engine_that_is_starting_stops() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    // A configuration that never ends takes as long as a long journal.
    let path = server.dir().join("scrip.toml");
    fs::remove_file(&path).expect("init has written it");
    assert!(Command::new("mkfifo").arg(&path).status().expect("there is a mkfifo").success());
    for signal in ["TERM", "INT"] {
        let mut serve = scrip();
        serve.args(["serve", "--data"]).arg(server.dir()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(serve.spawn().expect("it runs"));
        let open = || OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&path).ok();
        let _pipe = wait_until(DEADLINE, "the configuration is read", open);
        ends_well(process, signal);
    }
}

/// So does a sidecar that builds its tables.
#[test]
fn a_sidecar_that_is_starting_stops() {
    let server = Server::start();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    silent.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
    let address = silent.local_addr().expect("it is bound").to_string();
    for signal in ["TERM", "INT"] {
        let mut sidecar = scrip();
        sidecar.env("SCRIP_TOKEN", server.token(Role::Reporter)).args(["sidecar", "--rebuild", "--server", &address, "--ca"]);
        sidecar.arg(server.dir().join("tls/ca.pem")).arg("--store").arg(server.scratch().join("store"));
        let process = Running(sidecar.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs"));
        silent.recv(&mut [0; 2_048]).expect("it calls the engine");
        ends_well(process, signal);
        // What it sent meanwhile is not the next one's.
        silent.set_nonblocking(true).expect("it can be set");
        while silent.recv(&mut [0; 2_048]).is_ok() {}
        silent.set_nonblocking(false).expect("it can be set");
    }
}
