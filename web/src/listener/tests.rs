//! Listeners against peers that hold connections: silent ones, slow ones, many at once.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Waker};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::Path;
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

/// Serves `/` with a word, and `/endless` with a body that never ends, of a credential if there is one in the path; `/large` and
/// `/large-for-anybody` with a large one in one piece, of which the first depends on credential 1.
async fn listen(limits: ListenerLimits) -> Listening {
    let endless = || async {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 65_536])));
        Response::new(Body::from_stream(pieces))
    };
    let endless_of = async move |Path(credential): Path<u32>, Extension(connection): Extension<RequestConnection>| {
        connection.charge(credential);
        endless().await
    };
    let router = Router::new().route("/", get(async || "well\n")).route("/endless", get(endless));
    let router = router.route("/endless/{credential}", get(endless_of));
    let large = Bytes::from_static(&[b'x'; LARGE]);
    let for_anybody = large.clone();
    let router = router
        .route(
            "/large",
            get(async |Extension(connection): Extension<RequestConnection>| {
                connection.charge(1);
                ([(header::VARY, "authorization")], large)
            }),
        )
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

/// Opens that many connections with a request in progress.
async fn busy(listening: &Listening, path: &str, number: usize) -> Vec<TcpStream> {
    let mut busy = Vec::new();
    for _ in 0..number {
        let mut stream = connect(listening).await;
        assert!(ask(&mut stream, path).await.starts_with(b"HTTP/1.1 200"));
        busy.push(stream);
    }
    busy
}

/// Whether the bodies of connections go on, without end.
async fn go_on(streams: &mut [TcpStream]) -> bool {
    let mut more = vec![0; LARGE];
    for stream in streams {
        if timeout(DEADLINE, stream.read_exact(&mut more)).await.expect("it goes on, or ends").is_err() {
            return false;
        }
    }
    true
}

/// As long as an eighth of the connections is idle, no request in progress is cut for new ones.
#[tokio::test]
async fn new_connections_cut_no_request_beside_idle_ones() {
    let listening = listen(LIMITS).await;
    let mut streams = busy(&listening, "/endless/1", 7).await;
    for _ in 0..20 {
        assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
    }
    assert!(go_on(&mut streams).await);
}

/// Whatever callers do, a probe is answered: of all requests in progress, the longest of the credential with most of them is cut.
#[tokio::test]
async fn a_probe_is_answered_while_callers_have_every_connection() {
    let listening = listen(LIMITS).await;
    let mut others = busy(&listening, "/endless/1", 3).await;
    let mut most = busy(&listening, "/endless/2", 5).await;
    assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
    assert!(go_on(&mut others).await && go_on(&mut most[1..]).await);
    assert!(!go_on(&mut most[..1]).await, "the longest in progress");
}

/// A credential that has every connection does not keep others from theirs.
#[tokio::test]
async fn a_credential_with_every_connection_makes_room_for_others() {
    let listening = listen(LIMITS).await;
    let mut most = busy(&listening, "/endless/1", 8).await;
    let mut others = busy(&listening, "/endless/2", 3).await;
    // It asks for more itself, again and again.
    most.extend(busy(&listening, "/endless/1", 20).await);
    assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
    assert!(go_on(&mut others).await);
}

/// Nor do slow readers that always have a next request under way.
#[tokio::test]
async fn slow_readers_with_further_requests_leave_room() {
    let listening = listen(LIMITS).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&listening).await;
        assert!(ask(&mut stream, "/large").await.starts_with(b"HTTP/1.1 200"));
        stream.write_all(&b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100)).await.expect("it is sent");
        slow.push(stream);
    }
    let mut other = busy(&listening, "/endless/2", 1).await;
    assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
    assert!(go_on(&mut other).await);
}

/// Requests of strangers are cut like those of a credential.
#[tokio::test]
async fn requests_without_a_credential_leave_room() {
    let listening = listen(LIMITS).await;
    let mut other = busy(&listening, "/endless/1", 1).await;
    let _strangers = busy(&listening, "/endless", 20).await;
    assert!(ask(&mut connect(&listening).await, "/").await.starts_with(b"HTTP/1.1 200"));
    assert!(go_on(&mut other).await);
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

/// Whether a connection has to close.
fn must_close(slot: &Slot) -> bool {
    std::pin::pin!(slot.evicted()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A response being sent keeps its connection from being idle for a limited time.
#[tokio::test]
async fn a_slow_reader_with_a_token_is_not_busy_for_long() {
    for (sending, is_idle) in [(PATIENT, false), (Duration::ZERO, true)] {
        let slots = Arc::new(Slots::new(ListenerLimits { sending, ..LIMITS }));
        let local = PeerAddress::of(IpAddr::from([127, 0, 0, 1]));
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(slots.take(local).await.expect("there is room"));
        }
        held[0].begin_sending();
        slots.close_longest_idle();
        assert_eq!([must_close(&held[0]), must_close(&held[1])], [is_idle, !is_idle]);
    }
}

/// A credential's exports are cut after its other requests, and only while no other credential has as many connections.
#[tokio::test]
async fn exports_are_cut_last() {
    let slots = Arc::new(Slots::new(LIMITS));
    let local = PeerAddress::of(IpAddr::from([127, 0, 0, 1]));
    let mut held = Vec::new();
    // Three exports, two other requests of the same credential, three of another one.
    for (credential, is_export) in [(1, true), (1, true), (1, true), (1, false), (2, false), (1, false), (2, false), (2, false)] {
        let slot = slots.take(local).await.expect("there is room");
        let (request, connection) = (slot.begin(), RequestConnection::new(&slot));
        connection.charge(credential);
        if is_export {
            connection.spare();
        }
        held.push((slot, request));
    }
    let mut cut = Vec::new();
    while cut.len() < 8 {
        assert!(slots.make_room(None));
        cut.extend(held.iter().position(|(slot, _)| must_close(slot)));
    }
    assert_eq!(cut, [3, 5, 4, 0, 6, 1, 7, 2], "of as many, the longest in progress that is not an export");
}

/// An eighth of the connections is not busy: beyond that, a busy one is cut although another one is idle.
#[tokio::test]
async fn busy_connections_keep_seven_eighths() {
    let slots = Arc::new(Slots::new(ListenerLimits { connections_max: 16, ..LIMITS }));
    let local = PeerAddress::of(IpAddr::from([127, 0, 0, 1]));
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(slots.take(local).await.expect("there is room"));
    }
    let _requests: Vec<_> = held[2..].iter().map(Slot::begin).collect();
    assert!(slots.make_room(None) && must_close(&held[0]), "two are idle");
    assert!(slots.make_room(None) && must_close(&held[2]), "one is idle");
    assert!(!must_close(&held[1]));
}

/// Of connections without a credential the one that was opened first is cut: a stranger stays in front of a caller who is about to be
/// authenticated, however often the stranger sends a further request.
#[tokio::test]
async fn further_requests_of_strangers_do_not_cut_a_new_caller() {
    let slots = Arc::new(Slots::new(ListenerLimits { connections_max: 2, ..LIMITS }));
    let local = PeerAddress::of(IpAddr::from([127, 0, 0, 1]));
    let [stranger, caller] = [slots.take(local).await, slots.take(local).await].map(|slot| slot.expect("there is room"));
    let (refused, _request) = (stranger.begin(), caller.begin());
    drop(refused);
    let _further = stranger.begin();
    assert!(slots.make_room(None));
    assert_eq!([must_close(&stranger), must_close(&caller)], [true, false]);
}

/// A request after an export is not one.
#[tokio::test]
async fn a_request_after_an_export_is_like_any_other() {
    let slots = Arc::new(Slots::new(LIMITS));
    let local = PeerAddress::of(IpAddr::from([127, 0, 0, 1]));
    let [first, second] = [slots.take(local).await, slots.take(local).await].map(|slot| slot.expect("there is room"));
    let (export, connection) = (first.begin(), RequestConnection::new(&first));
    connection.spare();
    drop(export);
    let _requests = [first.begin(), second.begin()];
    assert!(slots.make_room(None));
    assert_eq!([&first, &second].map(|slot| must_close(slot)), [true, false]);
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
    let mut others = vec![slots.take(other).await.expect("there is room")];
    for _ in 0..4 {
        others.push(slots.take(local).await.expect("loopback may use all remaining slots"));
    }
    // Its fourth connection takes the slot of its first, which must close.
    let first = held.remove(0);
    let (next, ()) = tokio::join!(slots.take(flooding), async {
        first.evicted().await;
        drop(first);
    });
    assert!(next.is_some());
    held.extend(next);
    // If all of them are busy, the longest in progress of those closes.
    let busy: Vec<_> = held.iter().map(Slot::begin).collect();
    assert!(slots.make_room(Some(flooding)) && must_close(&held[0]));
    drop((busy, held, others));
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
