//! HTTP listeners: accept connections, limit and time them, alike for every interface and for probes.
//!
//! Anybody who reaches the address can open connections, and each costs a file descriptor, which the process needs for its files as
//! well. So connections are limited in all and per address ([`ListenerLimits`]). At a limit the connection that has been idle for longest
//! is closed, and the new one takes its slot; where all have a request in progress, the new one is closed. Every wait for the peer ends
//! by itself: for the head of a request, between two requests, and for a peer that does not read its response.
//!
//! An accept that fails, for want of descriptors or memory, is tried again after `ACCEPT_PAUSE`: it neither spins nor stops anything.
//! [`descriptors`] raises the limit of the process, and says how many are left for connections.

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
use slots::Slots;

/// How long an accept that failed waits for descriptors to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the responses in progress may take when the server stops. Streams never end by themselves.
const DRAIN: Duration = Duration::from_secs(3);

/// How many log lines the connections of strangers may cause.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// Answers on a listener until `shutdown` resolves; then responses in progress have three seconds left.
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
                        tracing::warn!(%from, suppressed, "connection closed: there are as many as there may be, and none is idle");
                    }
                }
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                if let Some(suppressed) = failing.admit(Instant::now()) {
                    tracing::warn!(%error, suppressed, "no connection can be accepted; trying again");
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
    // The set aborts what is left.
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

/// Whether an accept failed because of the connection that was next, and of no other.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}
