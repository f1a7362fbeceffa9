//! The floor: what this machine's disk and network stack do at best, without any engine. One measurement each; [`crate::probe`] makes
//! all of them.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use redb::{Database, TableDefinition};
use rustls::pki_types::PrivateKeyDer;
use scrip_client::client_config;
use scrip_protocol::frame::{ALPN, push_bytes};
use scrip_transport::endpoint;

use crate::lane::{LaneError, pump};

/// Why the floor could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The disk.
    #[error("the disk: {0}")]
    Disk(#[from] io::Error),
    /// redb.
    #[error("redb: {0}")]
    Redb(#[from] redb::Error),
    /// The echo's certificate.
    #[error("the echo's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The echo's TLS.
    #[error("the echo's TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The echo's connection.
    #[error("the echo's connection: {0}")]
    Connection(String),
    /// The measurement of the disk did not complete.
    #[error("the disk's measurement ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
    /// The echo's lane.
    #[error("the echo: {0}")]
    Lane(#[from] LaneError),
}

/// redb's cache, as the engine's journal sets it.
const CACHE_BYTES: usize = 16 << 20;

/// Appends a block of so many bytes and flushes it (`fdatasync`), so many times, or fewer if `within` ends before.
/// Returns how long each took, sorted.
///
/// # Errors
/// When the disk refuses.
pub fn raw_append(dir: &Path, bytes: usize, times: usize, within: Duration) -> Result<Vec<Duration>, FloorError> {
    let mut file = File::create(dir.join("append"))?;
    let block = vec![7; bytes];
    timed(times, within, || {
        file.write_all(&block)?;
        Ok(file.sync_data()?)
    })
}

/// Commits a row of `bytes` to redb, so many times, or fewer if `within` ends before. With the settings of the engine's
/// journal: one flush each, in one phase. Returns how long each took, sorted.
///
/// # Errors
/// When redb refuses.
pub fn redb_commit(dir: &Path, bytes: usize, times: usize, within: Duration) -> Result<Vec<Duration>, FloorError> {
    const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(dir.join("commit.redb")).map_err(redb::Error::from)?;
    let row = vec![7; bytes];
    let mut key = 0;
    let mut commit = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?.insert(key, row.as_slice())?;
        key += 1;
        Ok(transaction.commit()?)
    };
    timed(times, within, || Ok(commit()?))
}

fn timed(times: usize, within: Duration, mut step: impl FnMut() -> Result<(), FloorError>) -> Result<Vec<Duration>, FloorError> {
    let mut took = Vec::with_capacity(times);
    let began = Instant::now();
    while took.len() < times && (took.is_empty() || began.elapsed() < within) {
        let started = Instant::now();
        step()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

/// A lane to an echo on this machine, with the TLS, the QUIC and the client that an engine is called with.
pub struct Echo {
    client: Endpoint,
    server: Endpoint,
    send: SendStream,
    receive: RecvStream,
}

impl Echo {
    /// Starts an echo on a free port of 127.0.0.1 and connects to it.
    ///
    /// # Errors
    /// When that fails.
    pub async fn start() -> Result<Echo, FloorError> {
        let lost = |cause: &dyn std::fmt::Display| FloorError::Connection(cause.to_string());
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).map_err(|cause| lost(&cause))?;
        let mut tls = rustls::ServerConfig::builder_with_provider(scrip_transport::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(tls).map_err(|cause| lost(&cause))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(2 << 20)).receive_window(VarInt::from_u32(8 << 20)).send_window(8 << 20);
        config.transport_config(Arc::new(transport));
        let any = || ([127, 0, 0, 1], 0).into();
        let server = endpoint::server(config, any())?;
        tokio::spawn(echo(server.clone()));
        let client = endpoint::client(any())?;
        let config = client_config(certified.cert.pem().as_bytes()).map_err(|cause| lost(&cause))?;
        let connecting = client.connect_with(config, server.local_addr()?, "127.0.0.1").map_err(|cause| lost(&cause))?;
        let connection = connecting.await.map_err(|cause| lost(&cause))?;
        let (send, receive) = connection.open_bi().await.map_err(|cause| lost(&cause))?;
        Ok(Echo { client, server, send, receive })
    }

    /// Sends frames of `payload` bytes with so many in flight. Returns how long all took together.
    ///
    /// # Errors
    /// When the lane ends.
    pub async fn frames(&mut self, count: usize, payload: usize, window: usize) -> Result<Duration, FloorError> {
        let body = vec![7; payload];
        let started = Instant::now();
        let make = |n: usize, frames: &mut Vec<u8>| push_bytes(frames, 1, n as u64, &body);
        pump(&mut self.send, &mut self.receive, count, window, make, |_, _| Ok(())).await?;
        Ok(started.elapsed())
    }

    /// Sends frames one at a time. Returns how long each took, sorted.
    ///
    /// # Errors
    /// When the lane ends.
    pub async fn alone(&mut self, count: usize, payload: usize) -> Result<Vec<Duration>, FloorError> {
        let body = vec![7; payload];
        let mut took = Vec::with_capacity(count);
        let make = |n: usize, frames: &mut Vec<u8>| push_bytes(frames, 1, n as u64, &body);
        pump(&mut self.send, &mut self.receive, count, 1, make, |_, time| {
            took.push(time);
            Ok(())
        })
        .await?;
        took.sort_unstable();
        Ok(took)
    }

    /// Ends it.
    pub async fn stop(self) {
        self.client.close(VarInt::from_u32(0), b"");
        self.client.wait_idle().await;
        self.server.close(VarInt::from_u32(0), b"");
    }
}

async fn echo(server: Endpoint) {
    let Some(incoming) = server.accept().await else { return };
    let Ok(connection) = incoming.await else { return };
    let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
    let mut pieces = vec![Bytes::new(); 256];
    while let Ok(Some(count)) = receive.read_chunks(&mut pieces).await {
        if send.write_all_chunks(&mut pieces[..count]).await.is_err() {
            return;
        }
    }
}
