//! A real `scrip sidecar` beside the engine, and plain HTTP: bytes over TCP.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use scrip_protocol::Role;

use super::{DEADLINE, Running, Server, wait_until};

/// A sidecar with a folder of its own, and its process.
pub(crate) struct Sidecar {
    store: PathBuf,
    token: String,
    address: SocketAddr,
    running: Option<Running>,
    log: PathBuf,
}

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as a text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}\n{}", self.head, self.text());
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// The program as a sidecar of this engine, not yet started.
pub(crate) fn sidecar(server: &Server, role: Role, store: &Path) -> Command {
    let mut command = server.scrip(role);
    command.env("SCRIP_LOG", "warn").args(["sidecar", "--json", "--listen", "127.0.0.1:0", "--store"]).arg(store);
    command
}

impl Sidecar {
    /// Starts a sidecar that reads with the reporter's token; tests query it with the operator's.
    pub(crate) fn start(server: &Server) -> Sidecar {
        Sidecar::start_on(server, &server.scratch().join("reporting"), &[])
    }

    /// The same, on this folder and with further options.
    pub(crate) fn start_on(server: &Server, store: &Path, options: &[&str]) -> Sidecar {
        let mut sidecar = Sidecar {
            store: store.to_owned(),
            token: server.token(Role::Operator).to_owned(),
            address: ([127, 0, 0, 1], 0).into(),
            running: None,
            log: server.scratch().join("sidecar.log"),
        };
        sidecar.restart(server, options);
        sidecar
    }

    /// Restarts it on the same folder, on any free port.
    pub(crate) fn restart(&mut self, server: &Server, options: &[&str]) {
        assert!(self.running.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut command = sidecar(server, Role::Reporter, &self.store);
        let mut running = Running(command.args(options).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts"));
        let first = running.lines().recv_timeout(DEADLINE);
        let first = first.unwrap_or_else(|why| panic!("the sidecar does not print its address ({why}):\n{}", self.log()));
        let line: serde_json::Value = serde_json::from_str(&first).expect("the first line is JSON");
        self.address = line["listening"].as_str().and_then(|address| address.parse().ok()).expect("an address");
        self.running = Some(running);
    }

    /// Its HTTP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder.
    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Everything it has logged on standard error, over all its runs.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The running process.
    pub(crate) fn process(&self) -> &Running {
        self.running.as_ref().expect("it is running")
    }

    /// Kills it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        drop(self.running.take().expect("it is running"));
    }

    /// Stops it with SIGTERM, and waits until it has stopped.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.process().signal("TERM");
        self.ended()
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("it is running");
        wait_until(DEADLINE, "the sidecar ends", || running.0.try_wait().expect("its status is available"))
    }

    /// Sends GET without a token.
    pub(crate) fn get_openly(&self, path: &str) -> Answer {
        http(self.address, path, "")
    }

    /// Sends GET with the operator's token.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_as(&self.token, path)
    }

    /// Sends GET with this token.
    pub(crate) fn get_as(&self, token: &str, path: &str) -> Answer {
        http(self.address, path, &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Waits until it is ready.
    pub(crate) fn ready(&self) {
        wait_until(DEADLINE, "the sidecar is ready", || (self.get_openly("/readyz").status == 200).then_some(()));
    }
}

/// Sends GET, and reads the response to its end: chunked, or of the length in its head.
pub(crate) fn http(address: SocketAddr, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it is listening");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").expect("it is accepted");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a reply");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head and a body");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("heads are texts").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = &bytes[end + 4..];
    let body = if head.contains("\r\ntransfer-encoding: chunked") { unchunked(body) } else { body.to_vec() };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    assert!(length.is_none_or(|length: usize| length == body.len()), "the body does not have the length in its head: {head}");
    Answer { status, head, body }
}

/// The chunked body, whose last chunk is empty (RFC 9112, section 7.1).
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk has a length");
        let length = std::str::from_utf8(&rest[..end]).expect("lengths are texts");
        let length = usize::from_str_radix(length, 16).expect("lengths are hexadecimal");
        if length == 0 {
            return body;
        }
        rest = &rest[end + 2..];
        body.extend_from_slice(rest.get(..length).expect("the answer was broken off"));
        rest = rest.get(length + 2..).expect("the answer was broken off");
    }
}
