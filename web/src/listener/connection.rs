//! One connection of a listener: requests in, responses out, with a timeout for every wait for the peer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::limits::ListenerLimits;
use super::slots::{InProgress, RequestConnection, Slot};

/// The maximum size of a connection's buffers for the head being read and the response being written, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// Serves a connection until its peer closes it, a timeout expires, its slot is needed, or the server stops.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    slot: Arc<Slot>,
    limits: ListenerLimits,
    mut stopping: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(RequestConnection::new(&slot));
        let (answer, in_progress, slot) = (service.call(request), slot.begin(), Arc::clone(&slot));
        async {
            answer.await.map(|response| {
                let sending = response.headers().contains_key(header::VARY).then_some(slot);
                response.map(|body| Response::new(body, in_progress, sending))
            })
        }
    });
    let io = TokioIo::new(Patient { stream, stalled: limits.stalled, waiting: None, slot: Arc::clone(&slot) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(io, answer);
    tokio::pin!(connection);
    // An error means that the server is gone.
    let stopped = async { drop(stopping.wait_for(|stopping| *stopping).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = slot.evicted() => return,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended");
    }
}

/// A response's body.
struct Response {
    body: Body,
    /// Of a body that is produced while it is sent: the connection is not idle meanwhile.
    _in_progress: Option<InProgress>,
    /// Of a response that depends on the caller: the connection is not idle while it is being sent, for a limited time. Other responses
    /// are for anybody, who could use up all connections by reading slowly.
    sending: Option<Arc<Slot>>,
}

impl Response {
    fn new(body: Body, in_progress: InProgress, sending: Option<Arc<Slot>>) -> Response {
        let is_complete = body.size_hint().exact().is_some();
        if is_complete && let Some(slot) = &sending {
            // Before the request ends, so that the connection is not idle in between.
            slot.begin_sending();
        }
        Response { body, _in_progress: (!is_complete).then_some(in_progress), sending }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        if let Some(slot) = &self.sending {
            slot.begin_sending();
        }
    }
}

impl HttpBody for Response {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket whose writes fail if the peer has read nothing for too long.
struct Patient {
    stream: TcpStream,
    stalled: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    slot: Arc<Slot>,
}

impl Patient {
    fn limited<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.stalled)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limited(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.limited(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() {
            // The connection is flushed when its buffer is empty.
            self.slot.end_sending();
        }
        self.limited(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
