//! HTTP listeners: accept connections, with the same limits and timeouts for every interface and for probes.
//!
//! Anybody who reaches the address can open connections, and each uses a file descriptor, which the process also needs for its
//! files. So connections are limited in total and per address ([`ListenerLimits`]). At a limit, the connection that has been idle
//! for longest is closed, and the new one takes its slot; if fewer than an eighth are idle, a busy one of the credential with
//! most of them is closed. Every wait for the peer has a timeout: for the head of a request, between two requests, and for a peer
//! that does not read its response.
//!
//! An accept that fails for lack of descriptors or memory is retried after `ACCEPT_PAUSE`: it neither spins nor stops anything.
//! [`descriptors`] raises the limit of the process, and returns how many descriptors are left for connections.

mod connection;
pub mod descriptors;
mod limits;
mod slots;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use scrip_protocol::strangers::{LogThrottle, PeerAddress};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use limits::ListenerLimits;
pub use slots::RequestConnection;
use slots::Slots;

/// How long a failed accept waits for descriptors to become free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long responses in progress may take when the server stops. Streams never end by themselves.
const DRAIN: Duration = Duration::from_secs(3);

/// Limits the log lines that the connections of strangers cause.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// Serves a listener until `shutdown` resolves; then responses in progress have three seconds left.
pub async fn serve(listener: TcpListener, router: Router, limits: ListenerLimits, shutdown: impl Future<Output = ()> + Send) {
    let slots = Arc::new(Slots::new(limits));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let (crowded, failing) = (LogThrottle::new(LOG_PERIOD), LogThrottle::new(LOG_PERIOD));
    tokio::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, from)) => match slots.take(PeerAddress::of(from.ip())).await {
                Some(slot) => {
                    connections.spawn(connection::serve(stream, router.clone(), slot, limits, stopping.clone()));
                }
                None => {
                    if let Some(suppressed) = crowded.admit(Instant::now()) {
                        tracing::warn!(%from, suppressed, "connection closed: the connection limit is reached");
                    }
                }
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                if let Some(suppressed) = failing.admit(Instant::now()) {
                    tracing::warn!(%error, suppressed, "accepting a connection failed; retrying");
                }
                slots.close_longest_idle();
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    () = &mut shutdown => break,
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Dropping the set aborts the remaining connections.
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

/// Whether an accept failed only because of the connection to accept.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}
