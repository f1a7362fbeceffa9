//! A scripted engine: on each connection it does what the test specifies, so that a client meets every way in which a connection
//! can end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig, VarInt};
use scrip_client::Dial;
use scrip_core::guard::GuardLimits;
use scrip_engine::folder::{Config, Folder};
use scrip_protocol::command::{Redeem, RedeemOutcome};
use scrip_protocol::frame::{ALPN, Frame, FrameBuffer, HELLO, REFUSAL, REQUEST_BYTES_MAX, push_bytes, push_value};
use scrip_protocol::hello::{CloseCode, Welcome};
use scrip_protocol::{Command, CredentialId, Position, Refusal, RequestId, Role, Settings, unix_time_ms, wire};
use scrip_transport::tls;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the engine does with one connection.
#[derive(Debug, Clone)]
pub(crate) enum Session {
    /// The engine shows a certificate of another authority.
    OtherAuthority,
    /// It speaks another protocol.
    OtherProtocol,
    /// It welcomes the caller, states an unknown form of codes, and continues with the next connection.
    OtherForm,
    /// It closes the connection instead of answering the hello.
    TurnsAway(CloseCode),
    /// It welcomes the caller, sends a response to one request each, and closes the connection.
    Answers(Vec<Response>, CloseCode),
    /// The same, but the connection stays open.
    Stays(Vec<Response>),
    /// It welcomes the caller and reads nothing until it is notified. Then it reads requests without replying.
    ReadsLater(Arc<Notify>),
}

/// What the engine does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Response {
    /// None; the engine only reads the request.
    Nothing,
    /// The first half of an outcome.
    Half,
    /// Bytes that are not an outcome.
    Nonsense,
    /// A refusal.
    Refused(Refusal),
    /// The outcome of a redemption.
    Outcome(RedeemOutcome),
    /// The outcome of any command, encoded.
    Encoded(Vec<u8>),
    /// The same, once the test allows it.
    Later(Arc<Notify>, Vec<u8>),
}

/// The bytes of an outcome.
pub(crate) fn encoded<C: Command>(outcome: &C::Outcome) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(outcome, &mut bytes);
    bytes
}

/// The engine, and the data folder of the organisation whose certificates it uses.
pub(crate) struct FakeEngine {
    pub(crate) folder: Folder,
    address: SocketAddr,
    requests: Arc<Mutex<Vec<RequestId>>>,
    serving: JoinHandle<()>,
    _dirs: [TempDir; 2],
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn organisation() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = Folder::at(dir.path().join("data"));
    let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
    folder.init(&config, &[]).expect("an empty folder");
    (dir, folder)
}

fn config(folder: &Folder, protocol: &[u8]) -> ServerConfig {
    let read = |path: PathBuf| std::fs::read(path).expect("init created it");
    let chain = tls::chain(&read(folder.certificate_path())).expect("init created it");
    let key = tls::key(&read(folder.key_path())).expect("init created it");
    let builder = rustls::ServerConfig::builder_with_provider(tls::provider());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
    let mut server = builder.with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
    server.alpn_protocols = vec![protocol.to_vec()];
    ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).expect("TLS 1.3 is what QUIC needs")))
}

impl FakeEngine {
    /// Starts an engine that treats one connection after the other like this, and then accepts no more.
    pub(crate) fn start(script: Vec<Session>) -> FakeEngine {
        let ((dir, folder), (other_dir, other)) = (organisation(), organisation());
        let configs = [config(&folder, ALPN), config(&other, ALPN), config(&folder, b"other/1")];
        let endpoint = Endpoint::server(configs[0].clone(), ([127, 0, 0, 1], 0).into()).expect("a port is free");
        let address = endpoint.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let serving = tokio::spawn(serve(endpoint, configs, script, requests.clone()));
        FakeEngine { folder, address, requests, serving, _dirs: [dir, other_dir] }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The parameters of a connection.
    pub(crate) fn dial(&self) -> Dial {
        let authority = std::fs::read(self.folder.ca_path()).expect("init created it");
        Dial::new(&self.address.to_string(), authority, "any token").expect("the address is one")
    }

    /// The ids of the requests that it has read, in order.
    pub(crate) fn requests(&self) -> Vec<RequestId> {
        self.requests.lock().expect("no holder panics").clone()
    }
}

async fn serve(endpoint: Endpoint, configs: [ServerConfig; 3], script: Vec<Session>, requests: Arc<Mutex<Vec<RequestId>>>) {
    let mut open = Vec::new();
    for meets in script {
        let config = match &meets {
            Session::OtherAuthority => &configs[1],
            Session::OtherProtocol => &configs[2],
            Session::OtherForm | Session::TurnsAway(_) | Session::Answers(..) | Session::Stays(_) | Session::ReadsLater(_) => {
                &configs[0]
            }
        };
        let Some(incoming) = endpoint.accept().await else { return };
        // If the client ends the handshake, the next one begins.
        let Ok(connecting) = incoming.accept_with(Arc::new(config.clone())) else { continue };
        let Ok(connection) = connecting.await else { continue };
        let mut welcome = welcome();
        let mut wait = None;
        let (responses, code) = match meets {
            Session::OtherAuthority | Session::OtherProtocol => {
                connection.closed().await;
                continue;
            }
            Session::TurnsAway(code) => {
                connection.close(VarInt::from_u32(code as u32), b"turned away");
                continue;
            }
            Session::OtherForm => {
                welcome.codes.form = 200;
                (Vec::new(), None)
            }
            Session::Answers(responses, code) => (responses, Some(code)),
            Session::Stays(responses) => (responses, None),
            Session::ReadsLater(notified) => {
                wait = Some(notified);
                (Vec::new(), None)
            }
        };
        let Ok((mut send, mut receive)) = connection.accept_bi().await else { continue };
        let (mut frames, mut piece) = (FrameBuffer::default(), vec![0; 64 << 10]);
        let is_awaited = responses.last().is_none_or(|last| matches!(last, Response::Half | Response::Encoded(_)));
        let mut responses = responses.into_iter();
        let mut is_welcome = false;
        loop {
            let mut reply = Vec::new();
            if let Some(frame) = frames.next(REQUEST_BYTES_MAX).expect("our client sends whole frames") {
                match is_welcome {
                    false => push_value(&mut reply, HELLO, 0, &welcome),
                    true => {
                        let request = frame.request().expect("a request");
                        requests.lock().expect("no holder panics").push(request.request.unwrap_or(RequestId(0)));
                        // A request beyond the script is read without a reply.
                        let response = responses.next().unwrap_or(Response::Nothing);
                        if let Response::Later(allowed, _) = &response {
                            allowed.notified().await;
                        }
                        answer(&frame, response, &mut reply);
                    }
                }
                is_welcome = true;
                if send.write_all(&reply).await.is_err() {
                    break;
                }
                if let Some(wait) = wait.take() {
                    wait.notified().await;
                }
                if responses.len() == 0 && (code.is_some() || welcome.codes.supported().is_none()) {
                    break;
                }
                continue;
            }
            match receive.read(&mut piece).await {
                Ok(Some(length)) => frames.extend(&piece[..length]),
                Ok(None) | Err(_) => break,
            }
        }
        if let Some(code) = code {
            // The last reply must arrive first: the close would overtake it.
            if is_awaited {
                let _ = send.finish();
                let _ = send.stopped().await;
            }
            connection.close(VarInt::from_u32(code as u32), b"as scripted");
        }
        open.push(connection);
    }
    std::future::pending::<()>().await;
}

fn welcome() -> Welcome {
    Welcome {
        credential: CredentialId(1),
        role: Role::Operator,
        now_ms: unix_time_ms(),
        durable: Position(1),
        lane_requests_max: 1_000,
        codes: scrip_protocol::codes::RecordedForm::of(scrip_protocol::codes::CodeForm::CURRENT),
    }
}

fn answer(frame: &Frame<'_>, response: Response, reply: &mut Vec<u8>) {
    let redeem = Redeem::KIND as u16;
    match response {
        Response::Nothing => {}
        Response::Nonsense => push_bytes(reply, redeem, frame.correlation, b"?"),
        Response::Refused(refusal) => push_value(reply, REFUSAL, frame.correlation, &refusal),
        Response::Outcome(outcome) => push_value(reply, redeem, frame.correlation, &outcome),
        Response::Encoded(bytes) | Response::Later(_, bytes) => push_bytes(reply, frame.kind, frame.correlation, &bytes),
        Response::Half => {
            push_value(reply, redeem, frame.correlation, &RedeemOutcome::UnknownCode);
            reply.truncate(reply.len() / 2);
        }
    }
}
