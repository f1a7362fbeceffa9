//! The QUIC endpoint: connections, lanes, roles and limits.
//!
//! A connection begins with a hello on its first lane; then lanes carry frames, many in flight. Invalid bytes close the
//! connection with a named code, and affect no other. [`ServerLimits`] contains every limit.
//!
//! 0-RTT is off: anybody who saw its data could replay it (RFC 9001, section 9.2).

mod closing;
mod connection;
mod door;
mod generating;
mod lane;
mod refund;
mod rehearsal;
mod snapshot_command;
mod sorting;
pub(crate) mod start_error;
mod stored;
mod tail;
#[cfg(test)]
mod tests;
mod watching;
mod weight;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, IdleTimeout, TransportConfig, VarInt};
use scrip_core::guard::Fingerprints;
use scrip_core::index::Index;
use scrip_protocol::frame::ALPN;
use scrip_protocol::hello::CloseCode;
use scrip_protocol::private;
use scrip_protocol::strangers::{LogThrottle, PeerAddress};
use scrip_transport::{endpoint, tls};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::attempts::Attempts;
use crate::certificates::CallersAuthority;
use crate::counters::Counters;
use crate::folder::Folder;

use crate::keeper::KeeperHandle;
use crate::pipeline::{EngineClock, Intake, Pipeline, ShareLimits, Totals};
use crate::vitals::Vitals;
pub use start_error::ServerError;

use door::{Arrival, Door, DoorLimits};

/// Limits for callers.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Accepted connections. Further ones are refused before their handshake.
    pub connections_max: usize,
    /// Of these, connections of one credential. A further one replaces a silent one, or is closed after its hello.
    pub connections_per_credential_max: usize,
    /// A connection is silent if nothing has arrived from it for this long. The client library sends a keep-alive each second.
    pub silent: Duration,
    /// The part of `connections_max` reserved for operators.
    pub connections_for_operators: usize,
    /// Connections that have not said hello. Beyond that the one that has waited longest is closed.
    pub handshakes_max: usize,
    /// Of these, connections from one address (an IPv6 address counts as its /64) that no known credential has recently called
    /// from.
    pub handshakes_per_address_max: usize,
    /// The part of them reserved for addresses that a known credential has recently called from.
    pub handshakes_reserved: usize,
    /// Number of waiting connections, in total or from an address, from which that address must prove itself (Retry) before it
    /// costs a handshake.
    pub handshakes_unproven_max: usize,
    /// Open lanes per connection. Opening more waits, as QUIC defines.
    pub lanes_max: u32,
    /// Unanswered requests of a lane. At the limit the lane is not read.
    pub lane_requests_max: u32,
    /// Reply bytes that a lane's caller has not received. At the limit the lane is not read.
    pub lane_reply_bytes_max: usize,
    /// Bytes of a tail or a watch that its reader has not received. At the limit nothing more is read for it.
    pub lane_stream_bytes_max: usize,
    /// Limits for the lanes of one credential, and for all together.
    pub shares: ShareLimits,
    /// Bytes in flight to the engine, per lane.
    pub lane_window_bytes: u32,
    /// Bytes in flight to the engine, per connection.
    pub connection_window_bytes: u32,
    /// Reply bytes in flight to a connection's caller.
    pub connection_send_bytes: u32,
    /// Bytes of frames above [`LARGE_FRAME_BYTES`] that are being received or wait to be decided, over all connections. At the
    /// limit a lane with another one is not read.
    pub large_frames_bytes_max: usize,
    /// Time for a large frame to arrive, from when it took its share; after that its connection is closed.
    pub large_frame: Duration,
    /// Idle time after which a connection is closed.
    pub idle: Duration,
    /// Time from the first packet to the hello; after that the connection is closed, whatever the state of its handshake.
    pub hello: Duration,
}

/// Frames from this size take a share of the memory for large frames.
pub const LARGE_FRAME_BYTES: usize = 64 << 10;

/// How long a stop waits for callers to receive their replies.
const DRAIN: Duration = Duration::from_secs(10);

/// Interval of log lines about callers that are not admitted: each costs them a packet.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// What a connection may send before its hello.
const WINDOW_BEFORE_HELLO: u32 = 16 << 10;

impl Default for ServerLimits {
    fn default() -> ServerLimits {
        ServerLimits {
            connections_max: 1024,
            connections_per_credential_max: 128,
            silent: Duration::from_secs(3),
            connections_for_operators: 16,
            handshakes_max: 512,
            handshakes_per_address_max: 128,
            handshakes_reserved: 128,
            handshakes_unproven_max: 16,
            lanes_max: 16,
            lane_requests_max: 32_768,
            lane_reply_bytes_max: 8 << 20,
            lane_stream_bytes_max: 1 << 20,
            shares: ShareLimits::default(),
            lane_window_bytes: 2 << 20,
            connection_window_bytes: 8 << 20,
            connection_send_bytes: 2 << 20,
            large_frames_bytes_max: 256 << 20,
            large_frame: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            hello: Duration::from_secs(5),
        }
    }
}

impl ServerLimits {
    fn door(&self) -> DoorLimits {
        DoorLimits {
            welcomed_max: self.connections_max,
            per_credential_max: self.connections_per_credential_max,
            silent: self.silent,
            for_operators: self.connections_for_operators.min(self.connections_max.saturating_sub(1)),
            waiting_max: self.handshakes_max,
            waiting_per_address_max: self.handshakes_per_address_max,
            reserved: self.handshakes_reserved.min(self.handshakes_max.saturating_sub(1)),
            unproven_max: self.handshakes_unproven_max,
        }
    }
}

/// A running server. Dropping it without [`Server::stop`] closes every connection at once.
pub struct Server {
    endpoint: Endpoint,
    stopping: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    #[cfg(test)]
    totals: Arc<Totals>,
}

/// Shared by all connections.
struct Shared {
    callers: CallersAuthority,
    limits: ServerLimits,
    /// Counts connections before their hello.
    door: Arc<Door>,
    /// Limits the log lines about callers that are not admitted.
    strangers: LogThrottle,
    intake: Intake,
    /// The engine's time, for checks.
    clock: EngineClock,
    index: Arc<Index>,
    /// Notifies of each revocation of a credential.
    revocations: watch::Sender<u64>,
    reader: Arc<dyn scrip_journal::JournalReader>,
    durable: watch::Receiver<scrip_protocol::Position>,
    stopping: watch::Receiver<bool>,
    /// Memory for large frames, in KiB.
    large_frames: Arc<Semaphore>,
    /// What callers have in progress.
    totals: Arc<Totals>,
    /// Rehearsals at once: one.
    rehearsals: Arc<Semaphore>,
    /// Generations of codes at once: one.
    generations: Semaphore,
    /// Concurrent reads for tails.
    tail_reads: Semaphore,
    fingerprints: Fingerprints,
    /// Builds long replies that are read from the journal: one at a time.
    stored_replies: stored::Maker,
    /// The snapshotter.
    keeper: KeeperHandle,
    counters: Arc<Counters>,
    attempts: Arc<Attempts>,
    vitals: Arc<Vitals>,
}

/// A server that has its certificates and its address, and accepts nobody yet.
pub struct Bound {
    callers: CallersAuthority,
    endpoint: Endpoint,
    limits: ServerLimits,
}

impl Bound {
    /// Reads the certificates of a folder, and takes an address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a certificate or the address cannot be used.
    pub fn new(folder: &Folder, listen: SocketAddr, limits: ServerLimits) -> Result<Bound, ServerError> {
        let callers = folder.callers_authority()?;
        let config = server_config(folder, &callers, &limits)?;
        let endpoint = endpoint::server(config, listen).map_err(|source| ServerError::Listen { address: listen, source })?;
        Ok(Bound { callers, endpoint, limits })
    }

    /// Where it will listen.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }
}

impl Server {
    /// Starts to serve a pipeline, whose keeper of snapshots and vitals these are. Must be called within a tokio runtime.
    pub fn start(bound: Bound, pipeline: &Pipeline, keeper: KeeperHandle, vitals: Arc<Vitals>) -> Server {
        let Bound { callers, endpoint, limits } = bound;
        let (stopping, stopped) = watch::channel(false);
        let (index, revocations) = (pipeline.index(), watch::Sender::new(0));
        let changed = revocations.clone();
        index.holders().on_revocation(move || changed.send_modify(|count| *count += 1));
        let shared = Arc::new(Shared {
            callers,
            limits,
            door: Door::new(limits.door()),
            strangers: LogThrottle::new(LOG_PERIOD),
            intake: pipeline.intake(),
            clock: vitals.clock.clone(),
            index,
            revocations,
            reader: pipeline.reader(),
            durable: pipeline.durable(),
            stopping: stopped,
            large_frames: Arc::new(Semaphore::new(limits.large_frames_bytes_max >> 10)),
            totals: Totals::new(limits.shares),
            rehearsals: Arc::new(Semaphore::new(1)),
            generations: Semaphore::new(1),
            tail_reads: Semaphore::new(tail::READS_MAX),
            fingerprints: pipeline.fingerprints(),
            stored_replies: stored::Maker::default(),
            keeper,
            counters: pipeline.counters(),
            attempts: pipeline.attempts(),
            vitals,
        });
        #[cfg(test)]
        let totals = shared.totals.clone();
        let accepting = tokio::spawn(accept(endpoint.clone(), shared));
        Server {
            endpoint,
            stopping,
            accepting,
            #[cfg(test)]
            totals,
        }
    }

    #[cfg(test)]
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Stops: takes nothing more, answers what was taken, and closes.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        // Connections end by themselves once their lanes are drained; does not wait for callers that do not receive their
        // replies.
        let _ = tokio::time::timeout(DRAIN, self.accepting).await;
        self.endpoint.close(VarInt::from_u32(CloseCode::ShuttingDown as u32), b"the engine stops");
        self.endpoint.wait_idle().await;
    }

    /// Stops after the journal failed: closes every connection without answering.
    pub async fn fail(self, why: &str) {
        self.accepting.abort();
        self.endpoint.close(VarInt::from_u32(CloseCode::JournalFailed as u32), why.as_bytes());
        self.endpoint.wait_idle().await;
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.clone();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        let Some(incoming) = incoming else { break };
        while connections.try_join_next().is_some() {}
        let (from, counters) = (incoming.remote_address(), &shared.counters.server);
        match shared.door.arrive(Instant::now(), PeerAddress::of(from.ip()), incoming.remote_address_validated()) {
            Arrival::Refused => {
                incoming.refuse();
                counters.connections_refused.fetch_add(1, Ordering::Relaxed);
                if let Some(suppressed) = shared.strangers.admit(Instant::now()) {
                    tracing::warn!(%from, suppressed, "connection refused: connection limit reached");
                }
            }
            Arrival::Retry => {
                counters.retries.fetch_add(1, Ordering::Relaxed);
                // Retry is possible: an address that is not validated has not answered one yet.
                let _ = incoming.retry();
            }
            Arrival::Admitted(visit) => {
                counters.connections_taken.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connection::serve(incoming, visit, shared.clone()));
            }
        }
        counters.handshakes_evicted.store(shared.door.turned_away(), Ordering::Relaxed);
    }
    endpoint.set_server_config(None);
    while connections.join_next().await.is_some() {}
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    let unreadable = |cause: io::Error| ServerError::Certificate { path: path.to_owned(), cause: cause.to_string() };
    std::fs::read(path).map_err(unreadable)
}

fn server_config(folder: &Folder, callers: &CallersAuthority, limits: &ServerLimits) -> Result<quinn::ServerConfig, ServerError> {
    let wrong = |path: &Path, cause: String| ServerError::Certificate { path: path.to_owned(), cause };
    let (certificate, key) = (folder.certificate_path(), folder.key_path());
    let chain = tls::chain(&read(&certificate)?).map_err(|cause| wrong(&certificate, cause.to_string()))?;
    let key_der = tls::key(&private::read(&key)?).map_err(|cause| wrong(&key, cause.to_string()))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_client_cert_verifier(callers.verifier())
        .with_single_cert(chain, key_der)
        .map_err(|cause| wrong(&certificate, cause.to_string()))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite");
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.max_incoming(limits.handshakes_max);
    let mut transport = TransportConfig::default();
    transport
        // One lane and little memory until the hello; then `connection` increases both.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(limits.lane_window_bytes))
        .receive_window(VarInt::from_u32(WINDOW_BEFORE_HELLO))
        .send_window(u64::from(limits.connection_send_bytes))
        .max_idle_timeout(Some(IdleTimeout::try_from(limits.idle).expect("an idle time fits QUIC's number")));
    config.transport_config(Arc::new(transport));
    Ok(config)
}
