//! Callers that keep connections busy, on a listener with few of them.

use std::net::SocketAddr;

use scrip_web::listener::{ListenerLimits, serve};
use scrip_web::probes::{self, Readiness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const CONNECTIONS: usize = 8;

/// A server with [`CONNECTIONS`], and its address.
async fn listening() -> (Server, SocketAddr) {
    let server = Server::new(sample::fill);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let probes = probes::router(|| Readiness::Ready, String::new);
    let limits = ListenerLimits { connections_max: CONNECTIONS, ..ListenerLimits::PROBES };
    tokio::spawn(serve(listener, server.router.clone().merge(probes), limits, std::future::pending()));
    (server, address)
}

/// Sends requests on a new connection.
async fn sent(address: SocketAddr, token: &str, path: &str, times: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: sidecar\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.repeat(times).as_bytes()).await.expect("it is taken");
    stream
}

/// The beginning of what arrives on a connection; empty if it is closed instead.
async fn beginning(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4_096];
    let read = timeout(DEADLINE, stream.read(&mut bytes)).await.expect("an answer or the end").unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// A wait for a position that is never reached, with further requests behind it.
const WAIT: &str = "/v1/campaigns?wait_for=9000000000&wait_ms=30000";

/// Lets a credential wait on that many connections.
async fn wait(server: &Server, address: SocketAddr, token: &str, connections: usize) -> Vec<TcpStream> {
    let mut waiting = Vec::new();
    for _ in 0..connections {
        let before = server.api.waiting.taken();
        waiting.push(sent(address, token, WAIT, 50).await);
        // The new one waits once it has replaced another one, if no connection was free.
        let begun = async {
            while server.api.waiting.taken() < (before + 1).min(CONNECTIONS) {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, begun).await.expect("it waits");
    }
    waiting
}

/// Whether the server answers a probe and a caller's query.
async fn answers(address: SocketAddr, token: &str) -> bool {
    let health = beginning(&mut sent(address, "none", "/healthz", 1).await).await;
    let query = beginning(&mut sent(address, token, "/v1/campaigns", 1).await).await;
    health.starts_with("HTTP/1.1 200") && query.starts_with("HTTP/1.1 200")
}

#[tokio::test]
async fn waits_of_one_credential_stop_neither_probes_nor_others() {
    let (server, address) = listening().await;
    let mut stream = sent(address, "operator", "/v1/campaigns/1/live", 1).await;
    assert!(beginning(&mut stream).await.starts_with("HTTP/1.1 200"));
    let _waiting = wait(&server, address, "marketing", CONNECTIONS - 1).await;
    for _ in 0..20 {
        assert!(answers(address, "operator").await);
    }
    assert_eq!(server.api.streams.taken(), 1, "the connections of others are not cut");
}

#[tokio::test]
async fn waits_of_several_credentials_stop_no_probes() {
    let (server, address) = listening().await;
    let mut waiting = Vec::new();
    for token in ["marketing", "operator", "reporter", "marketing", "operator", "reporter"] {
        waiting.extend(wait(&server, address, token, 2).await);
    }
    for _ in 0..20 {
        assert!(answers(address, "operator").await);
    }
}

#[tokio::test]
async fn live_streams_stop_neither_probes_nor_others() {
    let (_server, address) = listening().await;
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = sent(address, "marketing", "/v1/campaigns/1/live", 1).await;
        assert!(beginning(&mut stream).await.starts_with("HTTP/1.1 200"));
        streams.push(stream);
    }
    for _ in 0..20 {
        assert!(answers(address, "operator").await);
    }
}

/// Other requests of a credential are cut before its exports.
#[tokio::test]
async fn an_export_goes_on_beside_waits_of_its_credential() {
    let (server, address) = listening().await;
    let marketing = 2;
    let held = server.api.downloads.turn(marketing).await.expect("no other export is in progress");
    let mut export = sent(address, "marketing", "/v1/campaigns/1/codes/export", 1).await;
    let begun = async {
        while server.api.downloads.places.taken() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, begun).await.expect("the export waits for its turn");
    let _waiting = wait(&server, address, "marketing", CONNECTIONS - 1).await;
    for _ in 0..20 {
        assert!(answers(address, "operator").await);
    }
    drop(held);
    assert!(beginning(&mut export).await.starts_with("HTTP/1.1 200"));
}
