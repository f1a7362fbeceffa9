//! Raw lanes: the test decides what is written, byte by byte, and gets replies as bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use scrip_client::{ConnectError, Dial, Dialled, client_config};
use scrip_protocol::command::Command;
use scrip_protocol::frame::{Frame, FrameBuffer, HELLO, Malformed, REPLY_BYTES_MAX, push_request, push_value};
use scrip_protocol::hello::{CloseCode, Hello};
use scrip_protocol::{Refusal, RequestId};
use tokio::time::timeout;

use super::DEADLINE;

/// A stream and its connection.
pub(crate) struct Lane {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    receive: RecvStream,
    frames: FrameBuffer,
    address: SocketAddr,
    /// Must live as long as the connection, unless another owner ensures that.
    endpoint: Option<Endpoint>,
}

/// A reply as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: u16,
    pub(crate) correlation: u64,
    pub(crate) body: Vec<u8>,
}

/// Why no more replies arrive.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// The engine has finished the lane.
    Finished,
    /// The connection was closed, or lost.
    Closed(ConnectError),
}

impl Ending {
    /// The code and the reason that the engine closed the connection with.
    #[track_caller]
    pub(crate) fn code_and_reason(&self) -> (CloseCode, &str) {
        let Ending::Closed(ConnectError::Closed { code, reason }) = self else {
            panic!("the engine has not closed the connection with a code: {self:?}")
        };
        (*code, reason)
    }
}

impl Reply {
    /// The outcome in the reply.
    pub(crate) fn outcome<C: Command>(&self) -> Result<C::Outcome, Refusal> {
        let frame = Frame { kind: self.kind, correlation: self.correlation, body: &self.body };
        frame.reply::<C>().unwrap_or_else(|why| panic!("this is not a reply to {}: {why}", C::KIND.word()))
    }

    /// Everything but the correlation number, which the caller chose.
    pub(crate) fn bytes(&self) -> (u16, &[u8]) {
        (self.kind, &self.body)
    }
}

/// A request's frame.
pub(crate) fn request<C: Command>(correlation: u64, id: RequestId, command: &C) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_request(&mut bytes, correlation, id, command);
    bytes
}

/// TLS as our clients use it, except for the names of the protocol that it offers.
pub(crate) fn tls_config(authority: &[u8], protocols: &[&str]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let builder = rustls::ClientConfig::builder_with_provider(scrip_transport::tls::provider());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
    let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    tls
}

/// The same, for a connection.
pub(crate) fn quinn_config(authority: &[u8], protocols: &[&str]) -> ClientConfig {
    let crypto = QuicClientConfig::try_from(tls_config(authority, protocols)).expect("TLS 1.3 is what QUIC needs");
    ClientConfig::new(Arc::new(crypto))
}

impl Lane {
    /// Connects and sends the hello.
    pub(crate) async fn open(dial: &Dial) -> Result<Lane, ConnectError> {
        let Dialled { endpoint, connection, address, send, receive, .. } = dial.connect().await?;
        Ok(Lane { connection, send, receive, frames: FrameBuffer::default(), address, endpoint: Some(endpoint) })
    }

    /// Connects without a hello.
    pub(crate) async fn open_silent(address: SocketAddr, authority: &[u8]) -> Lane {
        let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
        Lane::open_silent_on(&endpoint, address, authority).await
    }

    /// Like [`Lane::open_silent`], for many connections that share a socket.
    pub(crate) async fn open_silent_on(endpoint: &Endpoint, address: SocketAddr, authority: &[u8]) -> Lane {
        let config = client_config(authority).expect("the authority is valid");
        let connecting = endpoint.connect_with(config, address, "127.0.0.1").expect("an address");
        let connection = timeout(DEADLINE, connecting).await.expect("in time").expect("the engine runs");
        Lane { endpoint: Some(endpoint.clone()), ..Lane::on(connection, address).await }
    }

    /// The first lane of a connection, before the hello.
    pub(crate) async fn on(connection: Connection, address: SocketAddr) -> Lane {
        let (send, receive) = connection.open_bi().await.expect("one lane is allowed");
        Lane { connection, send, receive, frames: FrameBuffer::default(), address, endpoint: None }
    }

    /// Sends the hello on a silent connection.
    pub(crate) async fn send_hello(&mut self, token: &str) {
        let mut bytes = Vec::new();
        push_value(&mut bytes, HELLO, 0, &Hello { token: token.to_owned(), program: "test".to_owned() });
        self.write(&bytes).await;
        assert_eq!(self.next().await.expect("a welcome").kind, HELLO);
    }

    /// Another lane of the same connection.
    pub(crate) async fn another(&self) -> Lane {
        let (send, receive) = timeout(DEADLINE, self.connection.open_bi()).await.expect("in time").expect("connected");
        let (connection, endpoint) = (self.connection.clone(), self.endpoint.clone());
        Lane { connection, send, receive, frames: FrameBuffer::default(), address: self.address, endpoint }
    }

    /// Writes bytes. Reading shows whether that was possible.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(DEADLINE, self.send.write_all(bytes)).await.expect("bytes are accepted within the deadline");
    }

    /// Ends the sending side.
    pub(crate) fn finish(&mut self) {
        // It fails if the connection is closed, which reading shows.
        let _ = self.send.finish();
    }

    /// Tells the engine that no reply will be read.
    pub(crate) fn stop(&mut self) {
        // It fails if the stream has ended, which is fine too.
        let _ = self.receive.stop(1_u32.into());
    }

    /// The next reply.
    pub(crate) async fn next(&mut self) -> Result<Reply, Ending> {
        timeout(DEADLINE, self.read()).await.expect("a reply, or the end, arrives within the deadline")
    }

    async fn read(&mut self) -> Result<Reply, Ending> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let frame = self.frames.next(REPLY_BYTES_MAX).unwrap_or_else(|why: Malformed| panic!("no reply: {why}"));
            if let Some(frame) = frame {
                return Ok(Reply { kind: frame.kind, correlation: frame.correlation, body: frame.body.to_vec() });
            }
            match self.receive.read(&mut piece).await {
                Ok(Some(length)) => self.frames.extend(&piece[..length]),
                Ok(None) => return Err(Ending::Finished),
                Err(_) => return Err(self.ending().await),
            }
        }
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ending(&self) -> Ending {
        let error = timeout(DEADLINE, self.connection.closed()).await.expect("the connection ends within the deadline");
        Ending::Closed(ConnectError::of(&error, self.address))
    }

    /// Sends a request and returns its reply.
    pub(crate) async fn call<C: Command>(&mut self, correlation: u64, id: RequestId, command: &C) -> Reply {
        self.write(&request(correlation, id, command)).await;
        let reply = self.next().await.expect("a reply");
        assert_eq!(reply.correlation, correlation);
        reply
    }

    /// The next `count` replies.
    pub(crate) async fn replies(&mut self, count: usize) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(count);
        for _ in 0..count {
            replies.push(self.next().await.expect("a reply"));
        }
        replies
    }

    /// Every reply until the end, and the end.
    pub(crate) async fn until_the_end(&mut self) -> (Vec<Reply>, Ending) {
        let mut replies = Vec::new();
        loop {
            match self.next().await {
                Ok(reply) => replies.push(reply),
                Err(ending) => return (replies, ending),
            }
        }
    }
}
