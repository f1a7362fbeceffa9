//! A command that has ended holds none of the connections that its credential may have.

use scrip_protocol::Role;

use crate::support::{Server, metrics, run};

/// Each command closes its connection. Otherwise the engine would keep it for seconds, and refuse a credential
/// that calls often.
#[test]
fn commands_close_their_connections() {
    let server = Server::start_with(&["--metrics", "127.0.0.1:0"]);
    let address = server.metrics().expect("--metrics was passed");
    let calls: &[&[&str]] = &[&["club", "list"], &["campaign", "show", "99"]];
    for at in 0..60 {
        let mut command = server.scrip(Role::Operator);
        command.args(calls[at % calls.len()]);
        run(&mut command, b"");
    }
    let open = metrics::samples(address)["scrip_engine_connections"];
    assert!(open <= 2.0, "{open} connections of 60 commands are open");
}
