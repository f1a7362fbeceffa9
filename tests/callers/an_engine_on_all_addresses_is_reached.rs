//! An engine that listens on all addresses is reached by the commands on its own machine (pain 40).

use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;

use scrip_protocol::Role;

use crate::support::{DEADLINE, Running, Server, run, scrip};

/// The commands that read the address from the data folder dial the loopback address of the family.
#[test]
fn commands_reach_an_engine_on_all_addresses() {
    for (all, loopback) in [("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")] {
        if UdpSocket::bind(format!("{loopback}:0")).is_err() {
            crate::support::say(&format!("this machine has no {loopback}"));
            continue;
        }
        let mut server = Server::start();
        assert!(server.terminate().success());
        let path = server.dir().join("scrip.toml");
        let config = fs::read_to_string(&path).expect("init has written it");
        let listen = format!("{all}:{}", server.address().port());
        let changed = config.replace(&server.address().to_string(), &listen);
        assert_ne!(changed, config);
        fs::write(&path, changed).expect("it can be written");
        let mut serve = scrip();
        serve.args(["serve", "--json", "--data"]).arg(server.dir()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut engine = Running(serve.spawn().expect("it runs"));
        let first = engine.lines().recv_timeout(DEADLINE).expect("it listens");
        assert!(first.contains(&listen), "{first}");
        run(server.scrip(Role::Operator).args(["club", "add", "Arena"]), b"").exits(0);
        let backup = server.scratch().join("backup");
        run(server.scrip(Role::Operator).args(["backup", "--to"]).arg(backup), b"").exits(0);
    }
}

/// The name `localhost` may mean `::1` first, where an engine that listens on 127.0.0.1 does not answer: its commands do not wait for
/// that (pain 40).
#[test]
fn localhost_is_the_engine_on_this_machine() {
    let server = Server::start();
    let mut program = server.scrip(Role::Operator);
    let named = format!("localhost:{}", server.address().port());
    program.args(["club", "add", "Arena", "--server", &named, "--ca"]).arg(server.dir().join("tls/ca.pem"));
    run(&mut program, b"").exits(0);
}
