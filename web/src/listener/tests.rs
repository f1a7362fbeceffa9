//! Listeners against peers that hold connections: silent ones, slow ones, many at once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::Response;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::slots::Slot;
use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Far longer than any test lasts.
const PATIENT: Duration = Duration::from_secs(600);

const LIMITS: ListenerLimits =
    ListenerLimits { connections_max: 8, connections_per_address_max: 3, header: PATIENT, sending: PATIENT, stalled: PATIENT };

struct Listening {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// More than the buffers of a connection have room for.
const LARGE: usize = 32 << 20;

/// Serves `/` with a word, and `/endless` with a body that never ends; `/large` and `/large-for-anybody` with a large one in one piece, of which
/// the first depends on the caller.
async fn listen(limits: ListenerLimits) -> Listening {
    let endless = || async {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 65_536])));
        Response::new(Body::from_stream(pieces))
    };
    let router = Router::new().route("/", get(async || "well\n")).route("/endless", get(endless));
    let large = Bytes::from_static(&[b'x'; LARGE]);
    let for_anybody = large.clone();
    let router = router
        .route("/large", get(async || ([(header::VARY, "authorization")], large)))
        .route("/large-for-anybody", get(async || for_anybody));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router, limits, async move { drop(stopped.await) }));
    Listening { address, _stop: stop, serving }
}

async fn connect(listening: &Listening) -> TcpStream {
    TcpStream::connect(listening.address).await.expect("it listens")
}

/// Requests a path. Returns the first bytes of the response, none if the connection is closed instead.
async fn ask(stream: &mut TcpStream, path: &str) -> Vec<u8> {
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: scrip\r\n\r\n").as_bytes()).await;
    let mut bytes = vec![0; 4096];
    let read = timeout(DEADLINE, stream.read(&mut bytes)).await.expect("an answer or the end").unwrap_or(0);
    bytes.truncate(read);
    bytes
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    matches!(timeout(DEADLINE, stream.read(&mut byte)).await.expect("it is closed in time"), Ok(0) | Err(_))
}

#[tokio::test]
async fn a_connection_without_a_whole_request_ends_by_itself() {
    let listening = listen(ListenerLimits { header: Duration::from_millis(100), ..LIMITS }).await;
    let (mut silent, mut begun, mut idle) = (connect(&listening).await, connect(&listening).await, connect(&listening).await);
    begun.write_all(b"GET / HTTP/1.1\r\nHost: sc").await.expect("it is taken");
    assert!(ask(&mut idle, "/").await.starts_with(b"HTTP/1.1 200"));
    for stream in [&mut silent, &mut begun, &mut idle] {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn a_new_connection_takes_the_slot_of_the_longest_idle() {
    let listening = listen(LIMITS).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect(&listening).await);
    }
    assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
    for stream in &mut silent[..93] {
        assert!(is_closed(stream).await);
    }
    assert!(ask(&mut silent[99], "/").await.starts_with(b"HTTP/1.1 200"), "the newest are still there");
}

#[tokio::test]
async fn a_request_in_progress_is_never_closed_for_another() {
    let listening = listen(LIMITS).await;
    let mut busy = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&listening).await;
        assert!(ask(&mut stream, "/endless").await.starts_with(b"HTTP/1.1 200"));
        busy.push(stream);
    }
    assert!(is_closed(&mut connect(&listening).await).await);
    let mut more = [0; 65_536];
    for stream in &mut busy {
        assert!(timeout(DEADLINE, stream.read(&mut more)).await.expect("it goes on").expect("it is open") > 0);
    }
}

/// A response that is in the connection's buffer is in progress, until its reader has taken it.
#[tokio::test]
async fn new_connections_do_not_cut_a_response() {
    let listening = listen(LIMITS).await;
    let mut slow = connect(&listening).await;
    let begun = ask(&mut slow, "/large").await;
    assert!(begun.starts_with(b"HTTP/1.1 200"));
    let mut silent = Vec::new();
    for _ in 0..30 {
        silent.push(connect(&listening).await);
    }
    // All of these were accepted: the first ones are closed.
    assert!(is_closed(&mut silent[0]).await);
    assert!(ask(&mut silent[29], "/").await.starts_with(b"HTTP/1.1 200"));
    let head = begun.windows(4).position(|end| end == b"\r\n\r\n").expect("the head comes first") + 4;
    let mut rest = vec![0; LARGE - (begun.len() - head)];
    timeout(DEADLINE, slow.read_exact(&mut rest)).await.expect("it goes on").expect("it was cut");
    // Then it is idle, as any other.
    let mut later = Vec::new();
    for _ in 0..30 {
        later.push(connect(&listening).await);
    }
    assert!(is_closed(&mut slow).await);
}

/// Slow readers of what anybody can read hold no connections.
#[tokio::test]
async fn a_slow_reader_of_what_anybody_reads_holds_no_slot() {
    let listening = listen(LIMITS).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&listening).await;
        assert!(ask(&mut stream, "/large-for-anybody").await.starts_with(b"HTTP/1.1 200"));
        slow.push(stream);
    }
    assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
}

/// A caller with a token that reads slowly, and has sent further requests, holds connections for a limited time only.
#[tokio::test]
async fn a_slow_reader_with_a_token_holds_no_slot_for_long() {
    let limits = ListenerLimits { sending: Duration::from_millis(200), ..LIMITS };
    let listening = listen(limits).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&listening).await;
        assert!(ask(&mut stream, "/large").await.starts_with(b"HTTP/1.1 200"));
        stream.write_all(&b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100)).await.expect("it is sent");
        slow.push(stream);
    }
    let answered = async {
        // Closed at once, until a connection has been sending for long enough.
        while !ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200") {
            let mut some = [0; 2_048];
            slow[0].read_exact(&mut some).await.expect("it goes on");
        }
    };
    timeout(DEADLINE, answered).await.expect("a slot becomes free");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_loses_its_connection() {
    let limits = ListenerLimits { connections_max: 1, stalled: Duration::from_millis(200), ..LIMITS };
    let listening = listen(limits).await;
    let mut stalled = connect(&listening).await;
    assert!(ask(&mut stalled, "/endless").await.starts_with(b"HTTP/1.1 200"));
    let answered = async {
        // Closed at once, until the connection that reads nothing is closed.
        while !ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200") {}
    };
    timeout(DEADLINE, answered).await.expect("its slot becomes free");
}

/// One address cannot use up the slots of others, but a reverse proxy on this machine has no such limit.
#[tokio::test]
async fn an_address_has_its_share_of_the_slots() {
    let slots = Arc::new(Slots::new(LIMITS));
    let address = |text: &str| PeerAddress::of(text.parse::<IpAddr>().expect("an address"));
    let (flooding, other, local) = (address("203.0.113.7"), address("203.0.113.8"), address("127.0.0.1"));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(slots.take(flooding).await.expect("there is room"));
    }
    let busy: Vec<_> = held.iter().map(Slot::begin).collect();
    assert!(slots.take(flooding).await.is_none(), "all of its own are busy");
    let mut others = vec![slots.take(other).await.expect("there is room")];
    for _ in 0..4 {
        others.push(slots.take(local).await.expect("loopback may use all remaining slots"));
    }
    drop(busy);
    // Its fourth connection takes the slot of its first, which must close.
    let first = held.remove(0);
    let (next, ()) = tokio::join!(slots.take(flooding), async {
        first.evicted().await;
        drop(first);
    });
    assert!(next.is_some());
    drop((held, others, next));
    assert_eq!(slots.free.available_permits(), 8);
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once_and_streams_soon() {
    let listening = listen(LIMITS).await;
    let (mut idle, mut streaming) = (connect(&listening).await, connect(&listening).await);
    assert!(ask(&mut idle, "/").await.starts_with(b"HTTP/1.1 200"));
    assert!(ask(&mut streaming, "/endless").await.starts_with(b"HTTP/1.1 200"));
    let Listening { _stop: stop, serving, .. } = listening;
    drop(stop);
    timeout(DEADLINE, serving).await.expect("it ends in time").expect("it does not panic");
    assert!(is_closed(&mut idle).await);
}
