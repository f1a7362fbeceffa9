//! A scripted peer: on one connection after the other it does what the test specifies.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig, VarInt};
use rustls::pki_types::PrivateKeyDer;
use scrip_client::Dial;
use scrip_protocol::codes::{CodeForm, RecordedForm};
use scrip_protocol::command::{
    AttemptCounts, Durations, JournalStatus, KeepReader, KeepReaderOutcome, Load, ShowStatus, StateSizes, Status, Tail,
    TailOutcome,
};
use scrip_protocol::frame::{ALPN, FrameBuffer, HELLO, REFUSAL, REQUEST_BYTES_MAX, push_value};
use scrip_protocol::hello::{CloseCode, Welcome};
use scrip_protocol::{Command, CredentialId, Kind, Position, Refusal, RequestId, Role, wire};
use scrip_transport::{endpoint, tls};
use tokio::task::JoinHandle;

/// The time by which the peer judges request ids: in 2001, when no machine of a test is.
pub(crate) const REQUESTS_MS: u64 = 1_000_000_000_000;

/// What the peer does with one connection.
pub(crate) enum Session {
    /// It closes the connection instead of answering the hello.
    Closes(CloseCode),
    /// It answers a tail with these, and closes the connection.
    Tail(Vec<TailOutcome>, CloseCode),
    /// The same, but the connection stays open.
    Stays(Vec<TailOutcome>),
    /// It refuses the tail.
    Refuses(Refusal),
    /// It states an unknown form of codes.
    OtherForm,
    /// It answers one request for the status, and closes the connection.
    OneStatus(CloseCode),
    /// It answers requests for the status, and reports of readers with these, or refuses them.
    Reports(Vec<Result<KeepReaderOutcome, Refusal>>),
}

/// The requests that were read.
#[derive(Default)]
struct Requests {
    tails: Vec<Position>,
    reports: Vec<(String, Position)>,
    /// The times in the request ids of the reports.
    times_ms: Vec<u64>,
}

pub(crate) struct Peer {
    address: SocketAddr,
    authority: String,
    requests: Arc<Mutex<Requests>>,
    serving: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Peer {
    pub(crate) fn start(script: Vec<Session>) -> Peer {
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("it can be made");
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("it is a key");
        let tls = rustls::ServerConfig::builder_with_provider(tls::provider());
        let tls = tls.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
        let chain = vec![certified.cert.der().clone()];
        let mut tls = tls.with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3 is what QUIC needs");
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = endpoint::server(config, ([127, 0, 0, 1], 0).into()).expect("a port is free");
        let address = endpoint.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Requests::default()));
        let serving = tokio::spawn(serve(endpoint, script, requests.clone()));
        Peer { address, authority: certified.cert.pem(), requests, serving }
    }

    /// The parameters of a connection.
    pub(crate) fn dial(&self) -> Dial {
        Dial::new(&self.address.to_string(), &self.authority, "any token").expect("the address is one")
    }

    /// The positions from which tails were requested, in order.
    pub(crate) fn tails(&self) -> Vec<Position> {
        self.requests.lock().expect("no holder panics").tails.clone()
    }

    /// The reports of readers, in order.
    pub(crate) fn reports(&self) -> Vec<(String, Position)> {
        self.requests.lock().expect("no holder panics").reports.clone()
    }

    /// The times in their request ids, in milliseconds since 1970.
    pub(crate) fn report_times_ms(&self) -> Vec<u64> {
        self.requests.lock().expect("no holder panics").times_ms.clone()
    }
}

async fn serve(endpoint: Endpoint, script: Vec<Session>, requests: Arc<Mutex<Requests>>) {
    for session in script {
        let connection = endpoint.accept().await.expect("the endpoint is open").await.expect("the handshake succeeds");
        if let Session::Closes(code) = session {
            connection.close(VarInt::from_u32(code as u32), b"as scripted");
            continue;
        }
        let code = converse(&connection, session, &requests).await;
        if let Some(code) = code {
            connection.close(VarInt::from_u32(code as u32), b"as scripted");
        }
        connection.closed().await;
    }
    std::future::pending::<()>().await;
}

/// Answers the frames of a connection. Returns the code to close it with; none if the caller closes it.
async fn converse(connection: &Connection, session: Session, requests: &Mutex<Requests>) -> Option<CloseCode> {
    let (mut send, mut receive) = connection.accept_bi().await.ok()?;
    let mut frames = FrameBuffer::default();
    let mut reply = Vec::new();
    next(&mut frames, &mut receive).await?;
    let mut welcome = Welcome {
        credential: CredentialId(1),
        role: Role::Reporter,
        now_ms: 1,
        durable: Position(1),
        lane_requests_max: 1_000,
        codes: RecordedForm::of(CodeForm::CURRENT),
    };
    if let Session::OtherForm = session {
        welcome.codes.form = 200;
    }
    push_value(&mut reply, HELLO, 0, &welcome);
    send.write_all(&reply).await.ok()?;
    let mut outcomes = if let Session::Reports(outcomes) = &session { outcomes.clone() } else { Vec::new() }.into_iter();
    loop {
        let (kind, correlation, payload) = next(&mut frames, &mut receive).await?;
        let mut reply = Vec::new();
        match (Kind::from_number(kind).expect("our client sends commands"), &session) {
            (Kind::Tail, session) => {
                let tail: Tail = wire::decode("tail", &payload).expect("our client sends whole commands");
                requests.lock().expect("no holder panics").tails.push(tail.from);
                let (outcomes, code) = match session {
                    Session::Tail(outcomes, code) => (outcomes.as_slice(), Some(*code)),
                    Session::Stays(outcomes) => (outcomes.as_slice(), None),
                    Session::Refuses(refusal) => {
                        push_value(&mut reply, REFUSAL, correlation, refusal);
                        (&[][..], None)
                    }
                    Session::Closes(_) | Session::OtherForm | Session::OneStatus(_) | Session::Reports(_) => (&[][..], None),
                };
                for outcome in outcomes {
                    push_value(&mut reply, kind, correlation, outcome);
                }
                send.write_all(&reply).await.ok()?;
                if code.is_some() {
                    // The replies must arrive first: the close would overtake them.
                    finish(&mut send).await;
                    return code;
                }
            }
            (Kind::KeepReader, _) => {
                // The request id is before the command.
                let (id, command) = payload.split_at(16);
                let id = RequestId(u128::from_be_bytes(id.try_into().expect("it has 16 bytes")));
                let command: KeepReader = wire::decode("report", command).expect("our client sends whole commands");
                {
                    let mut requests = requests.lock().expect("no holder panics");
                    requests.reports.push((command.name, command.position));
                    requests.times_ms.push(id.time_ms());
                }
                match outcomes.next().expect("no more reports than scripted") {
                    Ok(outcome) => push_value(&mut reply, kind, correlation, &outcome),
                    Err(refusal) => push_value(&mut reply, REFUSAL, correlation, &refusal),
                }
                send.write_all(&reply).await.ok()?;
            }
            (Kind::ShowStatus, session) => {
                push_value(&mut reply, ShowStatus::KIND as u16, correlation, &status());
                send.write_all(&reply).await.ok()?;
                if let Session::OneStatus(code) = session {
                    finish(&mut send).await;
                    return Some(*code);
                }
            }
            (kind, _) => panic!("the script has no reply to {kind:?}"),
        }
    }
}

async fn finish(send: &mut SendStream) {
    let _ = send.finish();
    let _ = send.stopped().await;
}

/// The next frame: its kind, its correlation and what follows.
async fn next(frames: &mut FrameBuffer, receive: &mut RecvStream) -> Option<(u16, u64, Vec<u8>)> {
    let mut piece = vec![0; 64 << 10];
    loop {
        if let Some(frame) = frames.next(REQUEST_BYTES_MAX).expect("our client sends whole frames") {
            return Some((frame.kind, frame.correlation, frame.body.to_vec()));
        }
        let length = receive.read(&mut piece).await.ok()??;
        frames.extend(&piece[..length]);
    }
}

/// A status whose newest durable record is 7.
fn status() -> Status {
    let flushes = Durations { steps: Vec::new(), longer: 0, sum_us: 0 };
    let (first, durable) = (Position(1), Position(7));
    Status {
        now_ms: 1,
        requests_ms: REQUESTS_MS,
        started_ms: 1,
        journal: JournalStatus { first, durable, time_ms: 1, disk_bytes: 0, batches: 0, records: 0, bytes: 0, flushes },
        snapshot: None,
        readers: Vec::new(),
        sizes: StateSizes::default(),
        requests: Vec::new(),
        redemptions: Vec::new(),
        holds: Vec::new(),
        refusals: Vec::new(),
        repeated: 0,
        lockouts: 0,
        rule_failures: Vec::new(),
        pushes_too_long: 0,
        load: Load::default(),
        attempts: AttemptCounts::default(),
    }
}
