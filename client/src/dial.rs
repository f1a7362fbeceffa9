//! A connection: TLS, QUIC, hello.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, IdleTimeout, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use scrip_protocol::frame::{ALPN, FrameBuffer, HELLO, HELLO_BYTES_MAX, push_value};
use scrip_protocol::hello::{CloseCode, Hello, Welcome};
use scrip_protocol::wire;
use scrip_transport::endpoint;
use scrip_transport::tls;
use scrip_transport::tls::UnusablePem;

/// How long an engine may stay silent despite keep-alives before the connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The address of an engine and the caller's authentication.
#[derive(Clone)]
pub struct Dial {
    address: SocketAddr,
    server_name: String,
    token: String,
    /// The caller's name in the engine's log.
    pub program: String,
    /// How long to wait for a reply, across reconnects.
    pub patience: Duration,
    config: ClientConfig,
}

/// A connection after the hello.
pub struct Dialled {
    /// The endpoint, which must live as long as the connection.
    pub endpoint: Endpoint,
    /// The connection.
    pub connection: Connection,
    /// The answer to the hello.
    pub welcome: Welcome,
    /// The first lane's sending side, ready for requests.
    pub send: SendStream,
    /// Its receiving side.
    pub receive: RecvStream,
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The address is invalid.
    #[error("{address:?} is not a usable address: {cause}")]
    Address {
        /// The address given.
        address: String,
        /// Why.
        cause: String,
    },
    /// The certificate authority's file contains no usable certificate.
    #[error("the certificate authority is unusable: {0}")]
    Authority(UnusablePem),
    /// The caller's own certificate or key is unusable.
    #[error("the client certificate is unusable: {0}")]
    Identity(String),
    /// No socket could be opened.
    #[error("cannot open a UDP socket: {0}")]
    Socket(String),
    /// Nobody answers.
    #[error("no engine answers at {0} (UDP)")]
    Unreachable(SocketAddr),
    /// The other side does not speak this version of the protocol.
    #[error("the engine does not speak {}", String::from_utf8_lossy(ALPN))]
    Protocol,
    /// The handshake failed, most often because of the certificate.
    #[error("the handshake with {address} failed: {cause}")]
    Handshake {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: String,
    },
    /// The engine rejects the caller's own certificate.
    #[error("the engine rejected the certificate: {0}")]
    Certificate(&'static str),
    /// The engine closed the connection with a reason.
    #[error("the engine closed the connection: {reason} ({})", .code.word())]
    Closed {
        /// The code.
        code: CloseCode,
        /// The reason.
        reason: String,
    },
    /// The connection was lost.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

impl ConnectError {
    /// Whether a retry may help.
    pub fn is_passing(&self) -> bool {
        match self {
            ConnectError::Unreachable(_) | ConnectError::Lost(_) => true,
            ConnectError::Closed { code, .. } => match code {
                CloseCode::Done
                | CloseCode::ShuttingDown
                | CloseCode::JournalFailed
                | CloseCode::HelloTimeout
                | CloseCode::FrameTimeout
                | CloseCode::TooManyConnections
                | CloseCode::Silent => true,
                CloseCode::HelloExpected
                | CloseCode::Unauthenticated
                | CloseCode::Revoked
                | CloseCode::FrameLength
                | CloseCode::FrameTruncated
                | CloseCode::UnknownKind
                | CloseCode::MalformedPayload => false,
            },
            ConnectError::Address { .. }
            | ConnectError::Authority(_)
            | ConnectError::Identity(_)
            | ConnectError::Socket(_)
            | ConnectError::Protocol
            | ConnectError::Handshake { .. }
            | ConnectError::Certificate(_) => false,
        }
    }

    /// Whether trying again may help a caller that was welcome before. Then a lack of sockets passes, and so does a handshake that
    /// failed, for example because one of the two clocks is wrong.
    pub fn is_passing_on_reconnect(&self) -> bool {
        let is_of_the_moment =
            matches!(self, ConnectError::Socket(_) | ConnectError::Handshake { .. } | ConnectError::Certificate(_));
        is_of_the_moment || self.is_passing()
    }

    /// What the end of a connection to an address means.
    pub fn of(error: &ConnectionError, address: SocketAddr) -> ConnectError {
        /// TLS alert 120 (RFC 7301), as QUIC carries it (RFC 9001, section 4.8).
        const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;
        match error {
            ConnectionError::TimedOut => ConnectError::Unreachable(address),
            ConnectionError::ApplicationClosed(close) => match CloseCode::from_number(close.error_code.into_inner()) {
                Some(code) => ConnectError::Closed { code, reason: String::from_utf8_lossy(&close.reason).into_owned() },
                None => ConnectError::Lost(error.to_string()),
            },
            ConnectionError::ConnectionClosed(close) if u64::from(close.error_code) == NO_APPLICATION_PROTOCOL => {
                ConnectError::Protocol
            }
            ConnectionError::ConnectionClosed(close) => match refused_certificate(close.error_code.into()) {
                Some(why) => ConnectError::Certificate(why),
                None => ConnectError::Lost(error.to_string()),
            },
            ConnectionError::TransportError(cause) if u64::from(cause.code) == NO_APPLICATION_PROTOCOL => ConnectError::Protocol,
            ConnectionError::TransportError(cause) if u64::from(cause.code) >= 0x100 => {
                ConnectError::Handshake { address, cause: cause.reason.clone() }
            }
            ConnectionError::TransportError(_)
            | ConnectionError::VersionMismatch
            | ConnectionError::Reset
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => ConnectError::Lost(error.to_string()),
        }
    }
}

impl Dial {
    /// An engine at `address` (host and port) whose certificate is signed by `authority` (PEM). Authenticates with a token.
    ///
    /// # Errors
    /// When the address or the authority cannot be used.
    pub fn new(address: &str, authority: impl AsRef<[u8]>, token: impl Into<String>) -> Result<Dial, ConnectError> {
        Dial::to(address, client_config(authority.as_ref())?, token.into())
    }

    /// The same, but authenticates with a certificate signed by the authority, and its private key (both PEM).
    ///
    /// # Errors
    /// When the address, the authority, the certificate or the key cannot be used.
    pub fn certified(
        address: &str,
        authority: impl AsRef<[u8]>,
        certificate: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Dial, ConnectError> {
        let unusable = |cause: UnusablePem| ConnectError::Identity(cause.to_string());
        let chain = tls::chain(certificate.as_ref()).map_err(unusable)?;
        let key = tls::key(key.as_ref()).map_err(unusable)?;
        Dial::to(address, config_of(authority.as_ref(), Some((chain, key)))?, String::new())
    }

    fn to(address: &str, config: ClientConfig, token: String) -> Result<Dial, ConnectError> {
        let cannot = |cause: String| ConnectError::Address { address: address.to_owned(), cause };
        let resolved = address.to_socket_addrs().map_err(|cause| cannot(cause.to_string()))?.next();
        let resolved = resolved.ok_or_else(|| cannot("it has no address".into()))?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let server_name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let program = concat!("scrip-protocol ", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Dial { address: resolved, server_name, token, program, patience: Duration::from_secs(10), config })
    }

    /// The engine's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, with another token.
    pub fn with_token(mut self, token: impl Into<String>) -> Dial {
        self.token = token.into();
        self
    }

    /// Connects and sends the hello. Gives up after [`Dial::patience`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self) -> Result<Dialled, ConnectError> {
        let connecting = tokio::time::timeout(self.patience, self.connect_to_the_end());
        connecting.await.unwrap_or(Err(ConnectError::Unreachable(self.address)))
    }

    async fn connect_to_the_end(&self) -> Result<Dialled, ConnectError> {
        let any: SocketAddr = if self.address.is_ipv6() {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
        };
        let endpoint = endpoint::client(any).map_err(|cause| ConnectError::Socket(cause.to_string()))?;
        let failed = |error: ConnectionError| ConnectError::of(&error, self.address);
        let connecting = endpoint
            .connect_with(self.config.clone(), self.address, &self.server_name)
            .map_err(|cause| ConnectError::Handshake { address: self.address, cause: cause.to_string() })?;
        let connection = connecting.await.map_err(failed)?;
        let (mut send, mut receive) = connection.open_bi().await.map_err(failed)?;
        let mut bytes = Vec::new();
        push_value(&mut bytes, HELLO, 0, &Hello { token: self.token.clone(), program: self.program.clone() });
        // If this fails, the engine has closed the connection; reading returns the reason.
        let _ = send.write_all(&bytes).await;
        match read_welcome(&mut receive).await {
            Some(welcome) => Ok(Dialled { endpoint, connection, welcome, send, receive }),
            None => Err(ConnectError::of(&connection.closed().await, self.address)),
        }
    }
}

/// The meaning for the caller's certificate of a TLS alert (RFC 8446, section 6), as QUIC carries it; `None` if there is none.
fn refused_certificate(code: u64) -> Option<&'static str> {
    match code.checked_sub(0x100)? {
        45 => Some("it has expired, or is not valid yet"),
        48 | 51 => Some("it was not issued by this organisation's authority"),
        42 | 43 | 46 | 49 => Some("it is not a certificate for callers"),
        44 => Some("it is revoked"),
        _ => None,
    }
}

/// The answer to the hello; `None` if the connection ends without one.
async fn read_welcome(receive: &mut RecvStream) -> Option<Welcome> {
    let mut frames = FrameBuffer::default();
    let mut piece = [0; 512];
    loop {
        if let Some(frame) = frames.next(HELLO_BYTES_MAX).ok()? {
            return wire::decode("welcome", frame.body).ok();
        }
        let length = receive.read(&mut piece).await.ok()??;
        frames.extend(&piece[..length]);
    }
}

/// QUIC and TLS configuration of a client, for an engine whose certificate is signed by `authority` (PEM).
///
/// # Errors
/// When the authority cannot be used.
pub fn client_config(authority: &[u8]) -> Result<ClientConfig, ConnectError> {
    config_of(authority, None)
}

/// The same, with client authentication.
fn config_of(
    authority: &[u8],
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, ConnectError> {
    let roots = tls::authorities(authority).map_err(ConnectError::Authority)?;
    let tls = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_root_certificates(roots);
    let mut tls = match identity {
        None => tls.with_no_client_auth(),
        Some((chain, key)) => tls.with_client_auth_cert(chain, key).map_err(|cause| ConnectError::Identity(cause.to_string()))?,
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite");
    let mut config = ClientConfig::new(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    transport
        // A killed engine sends nothing, so its silence must be noticed well within a caller's patience.
        .max_idle_timeout(Some(IdleTimeout::try_from(SILENCE_MAX).expect("it fits QUIC's number")))
        .keep_alive_interval(Some(SILENCE_MAX / 5))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(8 << 20))
        .receive_window(VarInt::from_u32(16 << 20))
        .send_window(8 << 20);
    config.transport_config(Arc::new(transport));
    Ok(config)
}
