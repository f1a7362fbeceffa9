//! Keeps a client connected: writes requests, returns replies, and retries unanswered requests on the next connection.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::dial::{ConnectError, Dial, Dialled};
use scrip_protocol::frame::{FrameBuffer, HEADER_BYTES, REPLY_BYTES_MAX, set_correlation};
use scrip_protocol::hello::CloseCode;

/// The pauses between reconnects: from, and up to.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// How many bytes of frames are passed to a connection at once; no further frame starts beyond that. Requests that still wait can
/// be cancelled.
const CHUNK_BYTES: usize = 256 << 10;
/// How long to wait until a connection's close has been sent, and how often to check.
const CLOSE_MAX: Duration = Duration::from_millis(100);
const CLOSE_LOOK: Duration = Duration::from_millis(1);

/// The result of a request.
#[derive(Debug)]
pub(super) struct Reply {
    /// The reply's frame, or why there will never be one.
    pub(super) frame: Result<Vec<u8>, ConnectError>,
    /// How far the request got.
    pub(super) sent: Sent,
}

/// How far a request got. Only a request that was never sent is certain not to have been executed. If it was sent on an earlier
/// connection as well, a refusal proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sent {
    /// No connection was passed a byte of it.
    Never,
    /// One connection was passed some or all of it.
    Once,
    /// Several connections were.
    Again,
}

/// The calls of a client. The client's handles add calls, and its driver completes them.
#[derive(Default)]
pub(super) struct Calls {
    table: Mutex<Table>,
    added: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// By correlation, which is the order of the calls.
    waiting: BTreeMap<u64, Waiting>,
    /// The current connection has been passed every waiting call below this correlation, and none from it on.
    unsent_from: u64,
    /// Correlations below this were passed to some connection.
    sent_below: u64,
    /// Correlations below this were passed to a connection before the current one.
    sent_before_below: u64,
    /// Why the last connection was lost.
    lost: Option<ConnectError>,
    /// Set when a retry cannot help.
    over: bool,
}

struct Waiting {
    /// Kept until the reply arrives, to be sent again on another connection.
    frame: Vec<u8>,
    done: oneshot::Sender<Reply>,
}

impl Calls {
    /// Adds a request.
    pub(super) fn add(&self, frame: Vec<u8>) -> Pending<'_> {
        let (correlation, reply) = self.table.lock().add(frame);
        self.added.notify_one();
        Pending { calls: self, correlation, reply, is_over: false }
    }

    /// Adds many at once.
    pub(super) fn add_all(&self, frames: Vec<Vec<u8>>) -> Vec<Pending<'_>> {
        let mut table = self.table.lock();
        let added: Vec<_> = frames.into_iter().map(|frame| table.add(frame)).collect();
        drop(table);
        self.added.notify_one();
        let pending = |(correlation, reply)| Pending { calls: self, correlation, reply, is_over: false };
        added.into_iter().map(pending).collect()
    }

    /// Stops waiting for a reply. A request that no connection was passed is never sent. Returns how far the request got, and why
    /// the connection was lost, if it is.
    fn give_up(&self, correlation: u64) -> (Sent, Option<ConnectError>) {
        let mut table = self.table.lock();
        table.waiting.remove(&correlation);
        (table.sent(correlation), table.lost.clone())
    }

    /// Ends the client once all unsent requests are written.
    pub(super) fn close(&self) {
        self.table.lock().over = true;
        self.added.notify_one();
    }

    /// Marks every unanswered request as unsent, in the order of the calls, under the same request ids.
    fn retry_unanswered(&self) {
        let mut table = self.table.lock();
        table.lost = None;
        table.sent_before_below = table.sent_below;
        table.unsent_from = 0;
    }

    /// Notes why the connection was lost. Returns whether to try again; if not, every call ends with the error. As the first
    /// connection was welcome, only an error that cannot pass ends the client.
    fn lose(&self, error: ConnectError) -> bool {
        let mut table = self.table.lock();
        table.over |= !error.is_passing_on_reconnect();
        if table.over {
            for (correlation, waiting) in std::mem::take(&mut table.waiting) {
                let reply = Reply { frame: Err(error.clone()), sent: table.sent(correlation) };
                // The caller may have given up meanwhile.
                let _ = waiting.done.send(reply);
            }
        }
        table.lost = Some(error);
        !table.over
    }

    fn answer(&self, frames: &mut FrameBuffer) -> Result<(), ConnectError> {
        let mut table = self.table.lock();
        let lost = |malformed: scrip_protocol::frame::Malformed| {
            ConnectError::Lost(format!("malformed reply from the engine: {malformed}"))
        };
        while let Some(frame) = frames.next(REPLY_BYTES_MAX).map_err(lost)? {
            if let Some(waiting) = table.waiting.remove(&frame.correlation) {
                let mut bytes = Vec::with_capacity(HEADER_BYTES + frame.body.len());
                scrip_protocol::frame::push_bytes(&mut bytes, frame.kind, frame.correlation, frame.body);
                let reply = Reply { frame: Ok(bytes), sent: table.sent(frame.correlation) };
                // The caller may have given up meanwhile.
                let _ = waiting.done.send(reply);
            }
        }
        Ok(())
    }
}

/// A pending request. Dropping it before the reply arrives cancels it.
pub(super) struct Pending<'a> {
    calls: &'a Calls,
    correlation: u64,
    reply: oneshot::Receiver<Reply>,
    /// Whether the reply has arrived, or the request was cancelled.
    is_over: bool,
}

impl Pending<'_> {
    /// Waits for the reply until a deadline, then cancels the request and returns how far it got, and why the connection was
    /// lost, if it is.
    pub(super) async fn reply(mut self, deadline: Instant) -> Result<Reply, (Sent, Option<ConnectError>)> {
        // An error means that the driver ended without a reply, which it never does while handles exist.
        let replied = tokio::time::timeout_at(deadline, &mut self.reply).await;
        self.is_over = true;
        match replied {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(self.calls.give_up(self.correlation)),
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.calls.give_up(self.correlation);
        }
    }
}

impl Table {
    fn sent(&self, correlation: u64) -> Sent {
        match correlation {
            again if again < self.sent_before_below => Sent::Again,
            once if once < self.sent_below => Sent::Once,
            _ => Sent::Never,
        }
    }

    /// Returns the frames to write next. From then on their requests may be executed.
    fn take_unsent(&mut self) -> Vec<u8> {
        let (mut length, mut until) = (0, self.next);
        for (correlation, waiting) in self.waiting.range(self.unsent_from..) {
            if length >= CHUNK_BYTES {
                until = *correlation;
                break;
            }
            length += waiting.frame.len();
        }
        let mut bytes = Vec::with_capacity(length);
        let taken = self.waiting.range(self.unsent_from..until);
        taken.for_each(|(_, waiting)| bytes.extend_from_slice(&waiting.frame));
        self.unsent_from = until;
        self.sent_below = self.sent_below.max(until);
        bytes
    }

    fn add(&mut self, mut frame: Vec<u8>) -> (u64, oneshot::Receiver<Reply>) {
        let (done, reply) = oneshot::channel();
        let correlation = self.next;
        self.next += 1;
        match self.lost.clone() {
            Some(error) if self.over => {
                let _ = done.send(Reply { frame: Err(error), sent: Sent::Never });
            }
            _ => {
                set_correlation(&mut frame, correlation);
                self.waiting.insert(correlation, Waiting { frame, done });
            }
        }
        (correlation, reply)
    }
}

/// Runs as long as the client has handles.
pub(super) struct Driver {
    dial: Dial,
    calls: Weak<Calls>,
    /// Dropped once the connection's close was sent.
    open: Option<watch::Sender<()>>,
}

impl Driver {
    /// A driver, and the handle on the close of its connection.
    pub(super) fn new(dial: Dial, calls: Weak<Calls>) -> (Driver, Closed) {
        let (open, closed) = watch::channel(());
        (Driver { dial, calls, open: Some(open) }, Closed(closed))
    }

    pub(super) async fn run(mut self, first: Dialled) {
        let mut dialled = Some(first);
        let mut backoff = BACKOFF;
        loop {
            let error = match dialled.take() {
                Some(connection) => {
                    backoff.reset();
                    match self.drive(connection).await {
                        Some(error) => error,
                        None => return,
                    }
                }
                None => match self.dial.connect().await {
                    Ok(connection) => {
                        let Some(calls) = self.calls.upgrade() else { return };
                        calls.retry_unanswered();
                        dialled = Some(connection);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            match self.calls.upgrade() {
                Some(calls) if calls.lose(error) => {}
                Some(_) | None => return,
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// Uses a connection until it ends. Returns why it ended, or `None` when the client has no handles left.
    async fn drive(&mut self, dialled: Dialled) -> Option<ConnectError> {
        let Dialled { connection, address, send, receive, endpoint, .. } = dialled;
        let ended = tokio::select! {
            ended = self.write(send) => ended,
            ended = self.read(receive) => ended,
            error = connection.closed() => Some(ConnectError::of(&error, address)),
        };
        if ended.is_none() {
            close(&connection).await;
            self.open = None;
            endpoint.wait_idle().await;
            return None;
        }
        // If the stream failed because the connection did, the connection has the reason.
        let lost = connection.close_reason().map(|error| ConnectError::of(&error, address));
        connection.close(VarInt::from_u32(CloseCode::Done as u32), b"");
        lost.or(ended)
    }

    async fn write(&self, mut send: SendStream) -> Option<ConnectError> {
        loop {
            let calls = self.calls.upgrade()?;
            let (unsent, over) = {
                let mut table = calls.table.lock();
                (table.take_unsent(), table.over)
            };
            if unsent.is_empty() {
                if over {
                    return None;
                }
                calls.added.notified().await;
                continue;
            }
            drop(calls);
            if let Err(error) = send.write_chunk(Bytes::from(unsent)).await {
                return Some(ConnectError::Lost(error.to_string()));
            }
        }
    }

    async fn read(&self, mut receive: RecvStream) -> Option<ConnectError> {
        let mut frames = FrameBuffer::default();
        let mut pieces = vec![Bytes::new(); 256];
        loop {
            match receive.read_chunks(&mut pieces).await {
                Ok(Some(count)) => {
                    pieces[..count].iter_mut().for_each(|piece| frames.extend(&std::mem::take(piece)));
                    if let Err(error) = self.calls.upgrade()?.answer(&mut frames) {
                        return Some(error);
                    }
                }
                Ok(None) => return Some(ConnectError::Lost("the engine ended the lane".into())),
                Err(error) => return Some(ConnectError::Lost(error.to_string())),
            }
        }
    }
}

/// Closes a connection and waits until the close was sent. If the process ended earlier, the engine would keep the connection
/// until the idle timeout.
async fn close(connection: &Connection) {
    let sent_before = connection.stats().udp_tx.datagrams;
    connection.close(VarInt::from_u32(CloseCode::Done as u32), b"");
    let sent = async {
        while connection.stats().udp_tx.datagrams == sent_before {
            tokio::time::sleep(CLOSE_LOOK).await;
        }
    };
    // What is not sent by then is never sent.
    let _ = tokio::time::timeout(CLOSE_MAX, sent).await;
}

/// The end of a client's connection, after its last handle was dropped.
#[derive(Debug, Clone)]
pub struct Closed(watch::Receiver<()>);

impl Closed {
    /// Waits until the connection's close was sent, or cannot be sent.
    pub async fn wait(mut self) {
        // Nothing is ever sent on this channel: an error marks the end.
        while self.0.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_protocol::frame::{push_bytes, set_correlation};

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        push_bytes(&mut frame, 1, 0, body);
        frame
    }

    fn numbered(correlation: u64, body: &[u8]) -> Vec<u8> {
        let mut frame = frame(body);
        set_correlation(&mut frame, correlation);
        frame
    }

    /// Adds a request that is never cancelled.
    fn add(calls: &Calls, body: &[u8]) -> (u64, oneshot::Receiver<Reply>) {
        calls.table.lock().add(frame(body))
    }

    #[test]
    fn a_request_that_was_given_up_unsent_is_never_sent() {
        let calls = Calls::default();
        let (first, _first) = add(&calls, b"first");
        assert_eq!(calls.table.lock().take_unsent(), numbered(first, b"first"));
        let (second, _second) = add(&calls, b"second");
        let (third, _third) = add(&calls, b"third");
        assert_eq!(calls.give_up(second).0, Sent::Never);
        assert_eq!(calls.table.lock().take_unsent(), numbered(third, b"third"));
        assert_eq!(calls.table.lock().take_unsent(), b"");
        // The next connection is passed the requests that are still pending, and nothing else.
        let (fourth, _fourth) = add(&calls, b"fourth");
        let (fifth, _fifth) = add(&calls, b"fifth");
        assert_eq!(calls.give_up(fourth).0, Sent::Never);
        assert_eq!(calls.give_up(first).0, Sent::Once);
        calls.retry_unanswered();
        assert_eq!(calls.table.lock().take_unsent(), [numbered(third, b"third"), numbered(fifth, b"fifth")].concat());
        assert_eq!([calls.give_up(third).0, calls.give_up(fifth).0], [Sent::Again, Sent::Once]);
    }

    /// What kept a client from reconnecting may be over a second later.
    #[test]
    fn only_an_error_that_cannot_pass_ends_a_client() {
        let closed = |code| ConnectError::Closed { code, reason: String::new() };
        let handshake = ConnectError::Handshake { address: ([127, 0, 0, 1], 1).into(), cause: String::new() };
        let passing = [
            ConnectError::Socket(String::new()),
            ConnectError::Certificate("it has expired, or is not valid yet"),
            handshake,
            ConnectError::Lost(String::new()),
            closed(CloseCode::ShuttingDown),
        ];
        let calls = Calls::default();
        let (_, mut reply) = add(&calls, b"first");
        for error in passing {
            assert!(calls.lose(error.clone()), "{error}");
            assert!(reply.try_recv().is_err(), "{error}");
        }
        for code in [CloseCode::Unauthenticated, CloseCode::Revoked, CloseCode::MalformedPayload] {
            assert!(!Calls::default().lose(closed(code)), "{code:?}");
        }
        assert!(!calls.lose(ConnectError::Protocol));
        assert!(matches!(reply.try_recv(), Ok(Reply { frame: Err(ConnectError::Protocol), .. })));
    }

    #[test]
    fn a_request_whose_caller_is_gone_is_neither_sent_nor_kept() {
        let calls = Calls::default();
        let first = calls.add(frame(b"first"));
        drop(calls.add(frame(b"second")));
        let mut many = calls.add_all(vec![frame(b"third"), frame(b"fourth")]);
        drop(many.pop());
        let (first, third) = (numbered(first.correlation, b"first"), numbered(many[0].correlation, b"third"));
        assert_eq!(calls.table.lock().take_unsent(), [first, third].concat());
        drop(many);
        assert_eq!(calls.table.lock().waiting.len(), 1);
    }

    /// A request behind a large frame can be cancelled while that is being written, and requests written earlier stay marked as
    /// sent.
    #[test]
    fn frames_are_given_to_a_connection_a_chunk_at_a_time() {
        let calls = Calls::default();
        let large = vec![7; CHUNK_BYTES];
        let (first, _first) = add(&calls, &large);
        let (second, _second) = add(&calls, b"second");
        let (third, _third) = add(&calls, b"third");
        assert_eq!(calls.table.lock().take_unsent(), numbered(first, &large));
        assert_eq!(calls.give_up(second).0, Sent::Never);
        assert_eq!(calls.table.lock().take_unsent(), numbered(third, b"third"));
        calls.retry_unanswered();
        assert_eq!(calls.table.lock().take_unsent(), numbered(first, &large));
        calls.retry_unanswered();
        assert_eq!(calls.give_up(third).0, Sent::Again, "the connection before the last was given it");
    }
}
