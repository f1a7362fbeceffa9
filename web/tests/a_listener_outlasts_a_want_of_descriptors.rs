//! A listener whose process runs out of file descriptors continues when some are free again. The test lowers the limit of its
//! process, so it runs in a process of its own.

use std::fs::File;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scrip_web::listener::{ListenerLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_listener_continues_when_descriptors_are_free_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let router = Router::new().route("/", get(async || "well\n"));
    let serving = tokio::spawn(serve(listener, router, ListenerLimits::PROBES, std::future::pending()));
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum }).expect("it may be lowered");

    let mut files = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(24), "no descriptor is left: {error}");
    // One for this side; none for the other.
    drop(files.pop());
    let mut stream = TcpStream::connect(address).await.expect("the system accepts it");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: scrip\r\nConnection: close\r\n\r\n").await.expect("it is taken");
    let mut answer = Vec::new();
    let early = tokio::time::timeout(Duration::from_millis(300), stream.read_to_end(&mut answer)).await;
    assert!(early.is_err(), "nobody could accept it");
    assert!(File::open("/dev/null").is_err(), "there are still none");

    drop(files);
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"well\n"));
    assert!(!serving.is_finished());
}
