//! A start that ends with exit code 6 leaves no record and no accepted clock behind.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use crate::support::{Ran, Server, files, run, scrip};

/// Z11: settings that are tried with a start that fails hold from no record on.
#[test]
fn a_start_that_cannot_serve_writes_no_record() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let dir = server.dir();
    let config = dir.join("scrip.toml");
    let text = fs::read_to_string(&config).expect("init has written it");
    let changed = text.replace("requests_max = 50000000", "requests_max = 49000000");
    assert_ne!(changed, text, "{text}");
    fs::write(&config, changed).expect("it can be written");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let (udp, tcp) = (udp.local_addr().map(|address| (udp, address)), tcp.local_addr().map(|address| (tcp, address)));
    let (udp, tcp) = (udp.expect("it is bound"), tcp.expect("it is bound"));
    let serve = |options: &[&str]| {
        let mut serve: Command = scrip();
        serve.args(["serve", "--accept-clock", "--data"]).arg(&dir).args(options);
        serve
    };
    let position = || run(scrip().args(["verify", "--json", "--data"]).arg(&dir), b"").exits(0).json()[0]["position"].clone();
    let snapshots = || files(&dir.join("snapshots"));
    let before = (position(), snapshots(), fs::read(dir.join("clock.json")).ok());
    let refused = |options: &[&str], expected: &str| {
        let ran: Ran = run(&mut serve(options), b"").exits(6);
        assert!(ran.err.contains(expected), "{ran:?}");
        assert!((position(), snapshots(), fs::read(dir.join("clock.json")).ok()) == before, "{expected}");
    };
    refused(&["--listen", &udp.1.to_string()], "(UDP)");
    refused(&["--listen", "127.0.0.1:0", "--metrics", &tcp.1.to_string()], "(TCP) for metrics");
    for name in ["tls/server.pem", "tls/server.key", "tls/ca.pem"] {
        let path = dir.join(name);
        let whole = fs::read(&path).expect("init has written it");
        fs::write(&path, "nothing").expect("it can be written");
        refused(&["--listen", "127.0.0.1:0"], name);
        fs::write(&path, whole).expect("it can be written");
    }
    // The settings were valid: a start that succeeds records them.
    server.restart();
    assert!(server.terminate().success());
    assert_ne!(position(), before.0);
}
