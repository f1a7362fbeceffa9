//! A connection: TLS, QUIC, hello.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, IdleTimeout, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use scrip_protocol::frame::{ALPN, FrameBuffer, HELLO, HELLO_BYTES_MAX, push_value};
use scrip_protocol::hello::{CloseCode, Hello, Welcome};
use scrip_protocol::wire;
use scrip_transport::endpoint;
use scrip_transport::tls;
use scrip_transport::tls::UnusablePem;

/// How long an engine may stay silent despite keep-alives before the connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long to wait for one address of a name before the next is tried as well. `localhost` often means `::1` first, where an engine
/// that listens on 127.0.0.1 never answers.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(300);

/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 16;

/// The address of an engine and the caller's authentication.
#[derive(Clone)]
pub struct Dial {
    /// Host and port. A name is looked up for each connection, because the engine may have moved.
    address: String,
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
    /// The engine's address.
    pub address: SocketAddr,
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
    /// The address is invalid, or its name was not found.
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

    /// Whether trying again may help a caller that was welcome before. Then a lack of sockets passes, and so does a name that was not
    /// found, or a handshake that failed, for example because one of the two clocks is wrong.
    pub fn is_passing_on_reconnect(&self) -> bool {
        let is_of_the_moment = matches!(
            self,
            ConnectError::Address { .. }
                | ConnectError::Socket(_)
                | ConnectError::Handshake { .. }
                | ConnectError::Certificate(_)
        );
        is_of_the_moment || self.is_passing()
    }

    /// How close the failed attempt came to an engine that accepts the caller's parameters. Of several addresses of a name, one may
    /// belong to another program, or to a family of addresses that this machine does not have.
    fn nearness(&self) -> u8 {
        match self {
            ConnectError::Closed { .. } | ConnectError::Certificate(_) | ConnectError::Protocol => 3,
            ConnectError::Handshake { .. } | ConnectError::Lost(_) => 2,
            ConnectError::Unreachable(_) => 1,
            ConnectError::Socket(_) | ConnectError::Address { .. } | ConnectError::Authority(_) | ConnectError::Identity(_) => 0,
        }
    }

    /// The error to report of two attempts: the one that came closer to an engine's answer; among equals the earlier.
    fn nearest(earlier: Option<ConnectError>, later: ConnectError) -> ConnectError {
        match earlier {
            Some(earlier) if earlier.nearness() >= later.nearness() => earlier,
            _ => later,
        }
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
    /// An engine at `address` (host and port) whose certificate is signed by `authority` (PEM). Authenticates with a token. A name
    /// is looked up for each connection.
    ///
    /// # Errors
    /// When the address is not host and port, or the authority cannot be used.
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
        let unusable = |cause: &str| ConnectError::Address { address: address.to_owned(), cause: cause.to_owned() };
        let (host, port) = address.rsplit_once(':').ok_or_else(|| unusable("it is not a host and a port, as in engine:4600"))?;
        port.parse::<u16>().map_err(|_| unusable("the port is not a number up to 65535"))?;
        let server_name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if server_name.is_empty() {
            return Err(unusable("it has no host"));
        }
        let program = concat!("scrip-protocol ", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Dial { address: address.to_owned(), server_name, token, program, patience: Duration::from_secs(10), config })
    }

    /// The engine's host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same, with another token.
    pub fn with_token(mut self, token: impl Into<String>) -> Dial {
        self.token = token.into();
        self
    }

    /// Looks up the address, connects and sends the hello. Gives up after [`Dial::patience`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self) -> Result<Dialled, ConnectError> {
        let deadline = Instant::now() + self.patience;
        let unusable = |cause: String| ConnectError::Address { address: self.address.clone(), cause };
        let found = match tokio::time::timeout_at(deadline, tokio::net::lookup_host(&self.address)).await {
            Ok(found) => found.map_err(|cause| unusable(cause.to_string()))?,
            Err(_) => return Err(unusable("the name server does not answer".into())),
        };
        let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        match addresses.first() {
            Some(first) => self.connect_to_one(&addresses, *first, deadline).await,
            None => Err(unusable("it has no address".into())),
        }
    }

    /// Tries one address after the other, each a moment after the one before has not answered or at once if that failed, and returns
    /// the first connection. If there is none, returns the error closest to an engine's answer ([`ConnectError::nearness`]); among
    /// equals the first.
    async fn connect_to_one(
        &self,
        addresses: &[SocketAddr],
        first: SocketAddr,
        deadline: Instant,
    ) -> Result<Dialled, ConnectError> {
        let mut attempts = JoinSet::new();
        let mut rest = addresses.iter().copied();
        let mut silent = Vec::new();
        let mut failed: Option<ConnectError> = None;
        loop {
            match rest.next() {
                Some(address) => {
                    let dial = self.clone();
                    silent.push(address);
                    attempts.spawn(async move { (address, dial.connect_at(address).await) });
                }
                None if attempts.is_empty() => return Err(failed.unwrap_or(ConnectError::Unreachable(first))),
                None => {}
            }
            let next_at = if rest.len() > 0 { deadline.min(Instant::now() + NEXT_ADDRESS_AFTER) } else { deadline };
            match tokio::time::timeout_at(next_at, attempts.join_next()).await {
                Ok(Some(Ok((_, Ok(dialled))))) => return Ok(dialled),
                Ok(Some(Ok((address, Err(error))))) => {
                    silent.retain(|other| *other != address);
                    failed = Some(ConnectError::nearest(failed, error));
                }
                Ok(Some(Err(panic))) => std::panic::resume_unwind(panic.into_panic()),
                Ok(None) => {}
                Err(_) if Instant::now() >= deadline => {
                    let silent = silent.first().copied().unwrap_or(first);
                    return Err(ConnectError::nearest(failed, ConnectError::Unreachable(silent)));
                }
                Err(_) => {}
            }
        }
    }

    async fn connect_at(&self, address: SocketAddr) -> Result<Dialled, ConnectError> {
        let any: SocketAddr = if address.is_ipv6() {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
        };
        let endpoint = endpoint::client(any).map_err(|cause| ConnectError::Socket(cause.to_string()))?;
        let failed = |error: ConnectionError| ConnectError::of(&error, address);
        let connecting = endpoint
            .connect_with(self.config.clone(), address, &self.server_name)
            .map_err(|cause| ConnectError::Handshake { address, cause: cause.to_string() })?;
        let connection = connecting.await.map_err(failed)?;
        let (mut send, mut receive) = connection.open_bi().await.map_err(failed)?;
        let mut bytes = Vec::new();
        push_value(&mut bytes, HELLO, 0, &Hello { token: self.token.clone(), program: self.program.clone() });
        // If this fails, the engine has closed the connection; reading returns the reason.
        let _ = send.write_all(&bytes).await;
        match read_welcome(&mut receive).await {
            Some(welcome) => Ok(Dialled { endpoint, connection, address, welcome, send, receive }),
            None => Err(ConnectError::of(&connection.closed().await, address)),
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use quinn::ServerConfig;
    use quinn::crypto::rustls::QuicServerConfig;
    use scrip_protocol::codes::{CodeForm, RecordedForm};
    use scrip_protocol::{CredentialId, Position, Role};

    use super::*;

    fn welcome() -> Welcome {
        Welcome {
            credential: CredentialId(1),
            role: Role::Operator,
            now_ms: 1,
            durable: Position(1),
            lane_requests_max: 1,
            codes: RecordedForm::of(CodeForm::CURRENT),
        }
    }

    /// An engine that answers every hello with these bytes, or closes the connection for want of them. Returns its address, and the
    /// parameters of connections to `localhost`.
    fn engine(answer: Result<Vec<u8>, CloseCode>) -> (SocketAddr, Dial) {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("it can be made");
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("it is a key");
        let tls = rustls::ServerConfig::builder_with_provider(tls::provider());
        let tls = tls.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3").with_no_client_auth();
        let mut tls = tls.with_single_cert(vec![certified.cert.der().clone()], key).expect("they belong together");
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3 is what QUIC needs");
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = endpoint::server(config, ([127, 0, 0, 1], 0).into()).expect("a port is free");
        let address = endpoint.local_addr().expect("it has an address");
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Some(incoming) = endpoint.accept().await {
                let Ok(connection) = incoming.await else { continue };
                let Ok((mut send, receive)) = connection.accept_bi().await else { continue };
                match &answer {
                    Ok(bytes) => send.write_all(bytes).await.expect("the caller reads"),
                    Err(code) => connection.close(VarInt::from_u32(*code as u32), b"turned away"),
                }
                open.push((connection, send, receive));
            }
        });
        let dial = Dial::new(&format!("localhost:{}", address.port()), certified.cert.pem(), "a token").expect("an address");
        (address, dial)
    }

    fn welcoming() -> (SocketAddr, Dial) {
        let mut bytes = Vec::new();
        push_value(&mut bytes, HELLO, 0, &welcome());
        engine(Ok(bytes))
    }

    /// Tries addresses in turn, within the patience of a caller.
    async fn connect_to(dial: &Dial, addresses: &[SocketAddr]) -> Result<Dialled, ConnectError> {
        dial.connect_to_one(addresses, addresses[0], Instant::now() + dial.patience).await
    }

    /// Pain 40: a name that has an address where nobody answers before the engine's, as `localhost` has `::1`, is no reason to wait
    /// for long.
    #[tokio::test]
    async fn an_engine_at_a_later_address_of_its_name_is_found_at_once() {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let silent = silent.local_addr().expect("it has an address");
        let (address, dial) = welcoming();
        let began = Instant::now();
        let dialled = connect_to(&dial, &[silent, address]).await.expect("the engine is there");
        assert!(began.elapsed() < SILENCE_MAX, "the first address was waited for: {:?}", began.elapsed());
        assert_eq!((dialled.address, dialled.welcome.role), (address, Role::Operator));
        let by_name = dial.connect().await.expect("localhost is this machine");
        assert_eq!(by_name.address, address);
    }

    /// The answer of the right engine is reported, whatever other programs do at the other addresses of its name, and in whatever
    /// order they are tried: the caller decides by it whether to give up.
    #[tokio::test]
    async fn the_answer_of_the_right_engine_hides_behind_no_other_failure() {
        let (other, _) = welcoming();
        let (address, dial) = engine(Err(CloseCode::Unauthenticated));
        for addresses in [[other, address], [address, other]] {
            let refused = connect_to(&dial, &addresses).await.err();
            assert!(matches!(refused, Some(ConnectError::Closed { code: CloseCode::Unauthenticated, .. })), "{refused:?}");
        }
        let unsigned = connect_to(&dial, &[other]).await.err();
        assert!(matches!(unsigned, Some(ConnectError::Handshake { address, .. }) if address == other), "{unsigned:?}");
    }

    /// An address that this machine cannot use, as IPv6 on a kernel without it, does not hide that no engine answers at another.
    #[test]
    fn a_silent_address_is_reported_rather_than_a_socket_that_cannot_be_opened() {
        let silent = ConnectError::Unreachable(([127, 0, 0, 1], 4600).into());
        let no_socket = ConnectError::Socket("address family not supported".into());
        for (earlier, later) in [(&silent, &no_socket), (&no_socket, &silent)] {
            let reported = ConnectError::nearest(Some(earlier.clone()), later.clone());
            assert!(matches!(reported, ConnectError::Unreachable(_)), "{reported:?}");
        }
    }

    /// What an engine says at one address says more than the silence of another, in either order.
    #[tokio::test]
    async fn the_error_of_an_engine_that_answers_is_reported() {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let silent = silent.local_addr().expect("it has an address");
        let (address, mut dial) = engine(Err(CloseCode::Unauthenticated));
        dial.patience = Duration::from_secs(2);
        for addresses in [[silent, address], [address, silent]] {
            let refused = connect_to(&dial, &addresses).await.err();
            assert!(matches!(refused, Some(ConnectError::Closed { code: CloseCode::Unauthenticated, .. })), "{refused:?}");
        }
        let nobody = connect_to(&dial, &[silent]).await.err();
        assert!(matches!(nobody, Some(ConnectError::Unreachable(address)) if address == silent), "{nobody:?}");
    }

    /// A name is looked up when a connection is made, so that an engine that has moved is found again, and a name server that fails
    /// for a while ends no client.
    #[tokio::test]
    async fn a_name_is_looked_up_for_each_connection() {
        let (_, dial) = welcoming();
        // No label of a name is that long: nobody is asked for it.
        let unknown = Dial { address: format!("{}:4600", "x".repeat(64)), ..dial };
        let error = unknown.connect().await.err().expect("there is no such name");
        assert!(matches!(&error, ConnectError::Address { address, .. } if *address == unknown.address), "{error:?}");
        assert!(error.is_passing_on_reconnect() && !error.is_passing());
        let config = || unknown.config.clone();
        assert!(Dial::to(&unknown.address, config(), String::new()).is_ok(), "nothing is looked up before a connection");
        for unusable in ["engine", "engine:", "engine:65536", "engine:a", ":4600", "[]:4600"] {
            assert!(matches!(Dial::to(unusable, config(), String::new()), Err(ConnectError::Address { .. })), "{unusable}");
        }
    }
}
