//! Unknown callers are not admitted, and known ones may do exactly what the table of commands allows their role (Z15).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint};
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use scrip_client::{Client, ConnectError, Dial};
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_protocol::command::{
    AddCodes, AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCodes, ArchiveRule, Check, CheckFree, CodeFilter,
    CodeTexts, Confirm, CreateCampaign, CreateRule, CreditBonus, ForgetReader, GenerateCodes, Grant, Hold, KeepReader,
    LiftLockouts, LintRule, ListCampaigns, ListClubs, ListCodes, ListCredentials, ListGroups, ListLockouts, ListReaders,
    ListRules, LockoutKind, Note, OnConflict, PaidFor, PaidFrom, PayBonus, RecordPurchase, RecordSession, Refund, RefundBonus,
    RefundTopUp, RegisterClient, RegisterClub, RegisterGroup, RehearseRule, Release, RestoreCampaign, RestoreCodes, RestoreRule,
    RevokeCredential, RuleChanges, RuleTerms, RunId, Secret, ShowCampaign, ShowClient, ShowRule, ShowStatus, SwitchCampaign,
    SwitchRule, Tail, TakeSnapshot, TopUp, TopUpOutcome, TryCodes, UpdateCampaign, UpdateRule, UsageFilter, WatchAttempts,
    WhichLockouts, WriteOffBonus,
};
use scrip_protocol::frame::{ALPN, Frame, REFUSAL, REQUEST_BYTES_MAX};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{
    AnyCommand, CampaignId, ClientId, ClubId, CredentialId, GroupId, Kind, Money, Position, Refusal, RequestId, Role, RuleId,
    TopUpSource, wire,
};
use tokio::time::timeout;

use crate::support::{BEGUN, DEADLINE, Lane, Server, club, redemption, request, rule, run, terms, top_up};

fn rule_terms(mark: &str) -> RuleTerms {
    rule(mark, "topupAmountMajor >= 1", "{{topupAmountMajor}} * 0.1")
}

/// A valid request of each kind, whose names and codes carry a mark of their own.
fn request_of(kind: Kind, mark: &str) -> Vec<u8> {
    let (id, campaign, client, club) = (RequestId::now(), CampaignId(1), ClientId(1), ClubId(1));
    let (lines, on_conflict) = (vec![format!("CODE-{mark}")], OnConflict::Reject);
    let list: CodeTexts = lines.iter().collect();
    let (amount, paid_from) = (Money(100), PaidFrom::Directly);
    let note = Note { comment: mark.into(), ..Note::default() };
    match kind {
        Kind::Redeem => request(1, id, &redemption(1, club, mark)),
        Kind::Hold => request(1, id, &Hold::new(client, club, mark, 1_000)),
        Kind::Confirm => request(1, id, &Confirm::new(Position(1))),
        Kind::Release => request(1, id, &Release { hold: Position(1) }),
        Kind::Check => request(1, id, &Check::new(club, lines)),
        Kind::RegisterClub => request(1, id, &RegisterClub { name: format!("Club {mark}") }),
        Kind::ListClubs => request(1, id, &ListClubs { after: ClubId(0) }),
        Kind::RegisterClient => request(1, id, &RegisterClient { client, name: mark.into() }),
        Kind::ShowClient => request(1, id, &ShowClient { client }),
        Kind::CreateCampaign => request(1, id, &CreateCampaign { terms: terms(mark, None, 1), lines: list, on_conflict }),
        Kind::AddCodes => request(1, id, &AddCodes { campaign, lines: list, first_line: 1, on_conflict }),
        Kind::SwitchCampaign => request(1, id, &SwitchCampaign { campaign, active: false }),
        Kind::ListCampaigns => request(1, id, &ListCampaigns::default()),
        Kind::ShowCampaign => request(1, id, &ShowCampaign { campaign }),
        Kind::UpdateCampaign => {
            request(1, id, &UpdateCampaign { campaign, name: Some(mark.into()), ..UpdateCampaign::default() })
        }
        Kind::ArchiveCampaign => request(1, id, &ArchiveCampaign { campaign }),
        Kind::RestoreCampaign => request(1, id, &RestoreCampaign { campaign }),
        Kind::TryCodes => {
            request(1, id, &TryCodes { campaign: Some(campaign), lines: list, first_line: 1, earlier: 0, on_conflict })
        }
        Kind::GenerateCodes => {
            let (pattern, alphabet) = (format!("{mark}-************"), String::new());
            request(1, id, &GenerateCodes { campaign, count: 1, pattern, alphabet })
        }
        Kind::ArchiveCodes => request(1, id, &ArchiveCodes { campaign, codes: list }),
        Kind::RestoreCodes => request(1, id, &RestoreCodes { campaign, codes: list }),
        Kind::ListCodes => {
            let (status, usage) = (CodeFilter::All, UsageFilter::All);
            request(1, id, &ListCodes { campaign, from_slot: 0, status, usage })
        }
        Kind::CheckFree => request(1, id, &CheckFree { codes: list }),
        Kind::Refund => request(1, id, &Refund { activation: Position(1), force: false }),
        Kind::AddCredential => {
            let secret = Secret::Token(*blake3::hash(mark.as_bytes()).as_bytes());
            let grant = Grant { name: mark.into(), role: Role::Reporter, clubs: Vec::new(), reasons: true, secret };
            request(1, id, &AddCredential { grant })
        }
        Kind::RevokeCredential => request(1, id, &RevokeCredential { credential: CredentialId(1_000_000) }),
        Kind::ListCredentials => request(1, id, &ListCredentials { after: CredentialId(0) }),
        Kind::Tail => request(1, id, &Tail { from: Position(1), follow: false }),
        Kind::RegisterGroup => request(1, id, &RegisterGroup { name: format!("Group {mark}") }),
        Kind::ListGroups => request(1, id, &ListGroups { after: GroupId(0) }),
        Kind::TopUp => request(1, id, &TopUp { client, club, amount, source: TopUpSource::Cash, note }),
        Kind::RefundTopUp => request(1, id, &RefundTopUp { top_up: Position(1), amount: None, claw_back: true, note }),
        Kind::CreditBonus => request(1, id, &CreditBonus { client, club: None, amount, note }),
        Kind::WriteOffBonus => request(1, id, &WriteOffBonus { client, club: Some(club), amount, note }),
        Kind::PayBonus => request(1, id, &PayBonus { client, club, amount, paid_for: PaidFor::Order, note }),
        Kind::RefundBonus => request(1, id, &RefundBonus { payment: Position(1), amount: None, note }),
        Kind::RecordSession => request(1, id, &RecordSession { client, club, price: amount, paid_from, note }),
        Kind::RecordPurchase => request(1, id, &RecordPurchase { client, club, price: amount, paid_from, note }),
        Kind::CreateRule => request(1, id, &CreateRule { terms: rule_terms(mark) }),
        Kind::UpdateRule => request(1, id, &UpdateRule { rule: RuleId(1), changes: RuleChanges::whole(rule_terms(mark)) }),
        Kind::SwitchRule => request(1, id, &SwitchRule { rule: RuleId(1), active: true }),
        Kind::ArchiveRule => request(1, id, &ArchiveRule { rule: RuleId(1) }),
        Kind::RestoreRule => request(1, id, &RestoreRule { rule: RuleId(1) }),
        Kind::ListRules => request(1, id, &ListRules::default()),
        Kind::ShowRule => request(1, id, &ShowRule { rule: RuleId(1) }),
        Kind::LintRule => request(1, id, &LintRule { terms: rule_terms(mark), replaces: RuleId(0) }),
        Kind::RehearseRule => {
            request(1, id, &RehearseRule { terms: rule_terms(mark), replaces: RuleId(0), from_ms: 0, to_ms: u64::MAX })
        }
        Kind::ListLockouts => request(1, id, &ListLockouts { kind: None }),
        Kind::LiftLockouts => request(1, id, &LiftLockouts { which: WhichLockouts::AllOf(LockoutKind::Client) }),
        Kind::TakeSnapshot => request(1, id, &TakeSnapshot {}),
        Kind::KeepReader => request(1, id, &KeepReader { name: mark.into(), position: Position(1) }),
        Kind::ForgetReader => request(1, id, &ForgetReader { name: mark.into() }),
        Kind::ListReaders => request(1, id, &ListReaders {}),
        Kind::ShowStatus => request(1, id, &ShowStatus {}),
        Kind::WatchAttempts => request(1, id, &WatchAttempts { after: 0, run: RunId::default(), follow: false }),
    }
}

async fn position(server: &Server) -> Position {
    server.audited(&HashMap::new()).await.position
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_may_do_exactly_what_the_table_allows() {
    let server = Server::start();
    let (mut permitted, mut refused) = (0, 0);
    for role in Role::ALL {
        for kind in Kind::ALL {
            let before = position(&server).await;
            let mut lane = server.lane(role).await;
            lane.write(&request_of(*kind, &format!("{}-{role}", kind.word()))).await;
            let reply = lane.next().await.expect("a reply");
            let after = position(&server).await;
            let what = format!("{} as {role}", kind.word());
            if kind.permits(role) {
                assert_eq!(reply.kind, *kind as u16, "{what}");
                assert_eq!(after.0 - before.0, u64::from(kind.mutates()), "{what}: every change is recorded once");
                permitted += 1;
            } else {
                assert_eq!(reply.kind, REFUSAL, "{what}");
                let refusal: Refusal = wire::decode("refusal", &reply.body).expect("it is a refusal");
                assert_eq!(refusal, Refusal::Forbidden { role }, "{what}");
                assert_eq!(after, before, "{what}: nothing is executed");
                refused += 1;
            }
            assert!(lane.connection.close_reason().is_none(), "{what}: the connection stays open");
        }
    }
    assert_eq!(permitted + refused, Kind::ALL.len() * Role::ALL.len());
    assert!(refused > permitted / 2, "{refused} refused, {permitted} permitted");
}

/// Z15: a gateway that is bound to clubs can act only at those, whatever the request: top-ups, payments, sessions and purchases
/// as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_bound_to_clubs_is_refused_at_others_for_every_command() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let (elsewhere, own) = (club(&operator, "Elsewhere").await, club(&operator, "Own").await);
    assert_eq!(elsewhere, ClubId(1), "the club of every request here");
    let token = new_token(Role::Gateway);
    let secret = secret_of_token(&token);
    let grant = Grant { name: "till".into(), role: Role::Gateway, clubs: vec![own], reasons: true, secret };
    let added = operator.call(RequestId::now(), &AddCredential { grant }).await.expect("a reply");
    assert!(matches!(added, AddCredentialOutcome::Added(_)), "{added}");
    let before = position(&server).await;
    let mut lane = Lane::open(&server.dial(Role::Gateway).with_token(&token)).await.expect("the new token works at once");
    let mut of_a_club = Vec::new();
    for kind in Kind::ALL.iter().filter(|kind| kind.permits(Role::Gateway)) {
        let bytes = request_of(*kind, kind.word());
        let (frame, _) = Frame::split(&bytes, REQUEST_BYTES_MAX).expect("well formed").expect("whole");
        let parsed = frame.request().expect("a known kind");
        let names = AnyCommand::decode(parsed.kind, parsed.payload).expect("valid").club_and_client();
        let Some((named, _)) = names else { continue };
        assert_eq!(named, elsewhere, "{}", kind.word());
        of_a_club.push(*kind);
        lane.write(&bytes).await;
        let reply = lane.next().await.expect("a reply");
        assert_eq!(reply.kind, REFUSAL, "{}", kind.word());
        let refusal: Refusal = wire::decode("refusal", &reply.body).expect("it is a refusal");
        assert_eq!(refusal, Refusal::ClubForbidden { club: elsewhere }, "{}", kind.word());
    }
    let expected =
        [Kind::Redeem, Kind::Check, Kind::Hold, Kind::TopUp, Kind::PayBonus, Kind::RecordSession, Kind::RecordPurchase];
    assert_eq!(of_a_club, expected);
    assert_eq!(position(&server).await, before, "the refusals left no record");
    let outcome = lane.call(1, RequestId::now(), &top_up(1, own, 100)).await.outcome::<TopUp>();
    assert!(matches!(outcome, Ok(TopUpOutcome::ToppedUp(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_requests_are_not_even_decoded() {
    let server = Server::start();
    let mut lane = server.lane(Role::Reporter).await;
    for kind in Kind::ALL.iter().filter(|kind| !kind.permits(Role::Reporter)) {
        let mut bytes = Vec::new();
        scrip_protocol::frame::push_bytes(&mut bytes, *kind as u16, 9, &[0xff; 40]);
        lane.write(&bytes).await;
        let reply = lane.next().await.expect("a reply");
        let frame = Frame { kind: reply.kind, correlation: reply.correlation, body: &reply.body };
        assert_eq!((frame.kind, frame.correlation), (REFUSAL, 9), "{}", kind.word());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_token_of_this_organisation_are_refused() {
    let (server, other) = (Server::start(), Server::start());
    let right = server.token(Role::Operator);
    let almost = format!("{}{}", &right[..right.len() - 1], if right.ends_with('0') { '1' } else { '0' });
    let tokens = [
        "",
        "scrip_operator_",
        &right[1..],
        &right[..right.len() - 1],
        &almost,
        &right.to_uppercase(),
        other.token(Role::Operator),
    ];
    for token in tokens {
        let error = Client::connect(server.dial(Role::Operator).with_token(token)).await.err();
        let Some(ConnectError::Closed { code: CloseCode::Unauthenticated, reason }) = error else {
            panic!("{token:?}: {error:?}")
        };
        assert_eq!(reason, "the token does not belong to this organisation");
    }
    // No hello at all: another frame is first.
    for kind in Kind::ALL {
        let mut lane = Lane::open_silent(server.address(), &server.authority()).await;
        lane.write(&request_of(*kind, "nobody")).await;
        let ending = lane.ending().await;
        let reason = format!("the first frame has kind {}, and a hello has kind 65520", *kind as u16);
        assert_eq!(ending.code_and_reason(), (CloseCode::HelloExpected, reason.as_str()));
    }
    assert_eq!(position(&server).await, Position(BEGUN), "only what an engine begins with is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_of_another_authority_is_not_trusted() {
    let (server, other) = (Server::start(), Server::start());
    let address = server.address().to_string();
    let wrong = Dial::new(&address, other.authority(), server.token(Role::Operator)).expect("an address");
    let error = Client::connect(wrong).await.err();
    assert!(matches!(&error, Some(ConnectError::Handshake { cause, .. }) if cause.contains("certificate")), "{error:?}");

    let mut command = server.scrip(Role::Operator);
    command.env("SCRIP_CA", other.dir().join("tls/ca.pem")).args(["club", "list"]);
    let ran = run(&mut command, b"").exits(3);
    assert!(ran.err.contains("certificate"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reports_who_is_refused_and_why() {
    let server = Server::start();
    let mut command = server.scrip(Role::Operator);
    let ran = run(command.env("SCRIP_TOKEN", "scrip_operator_00").args(["club", "list"]), b"").exits(4);
    assert!(ran.err.contains("the token does not belong to this organisation (unauthenticated)"), "{}", ran.err);
    assert_eq!(ran.out, "");
    for (role, args) in [
        (Role::Gateway, ["campaign", "list"].as_slice()),
        (Role::Marketing, &["redeem", "A", "--client", "1", "--club", "1"]),
        (Role::Cashier, &["club", "add", "North"]),
        (Role::Reporter, &["campaign", "activate", "1"]),
        (Role::Gateway, &["tail"]),
    ] {
        let ran = run(server.scrip(role).args(args), b"").exits(4);
        let expected = format!("credentials with the role {role} are not allowed to do this");
        assert!(ran.err.contains(&expected), "{args:?}: {}", ran.err);
    }
    let ran = run(server.scrip(Role::Operator).env_remove("SCRIP_TOKEN").args(["club", "list"]), b"");
    assert!(ran.code != 0 && ran.err.contains("SCRIP_TOKEN"), "{ran:?}");
    assert_eq!(position(&server).await, Position(BEGUN));
}

/// Stores session tickets, and records how much early data each allows.
#[derive(Debug)]
struct Tickets {
    cache: ClientSessionMemoryCache,
    early_data_max: Mutex<Vec<u32>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: rustls::NamedGroup) {
        self.cache.set_kx_hint(server, group);
    }
    fn kx_hint(&self, server: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        self.cache.kx_hint(server)
    }
    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(server, value);
    }
    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(server)
    }
    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.cache.remove_tls12_session(server);
    }
    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.early_data_max.lock().expect("no holder panics").push(value.max_early_data_size());
        self.cache.insert_tls13_ticket(server, value);
    }
    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(server)
    }
}

/// Makes a first connection, which gets a ticket, and returns whether a second one can send before its handshake is complete.
async fn sends_early(address: std::net::SocketAddr, authority: &[u8], first: impl AsyncFnOnce(quinn::Connection)) -> bool {
    let tickets = Arc::new(Tickets { cache: ClientSessionMemoryCache::new(8), early_data_max: Mutex::default() });
    let mut tls = crate::support::tls_config(authority, &[std::str::from_utf8(ALPN).expect("it is ASCII")]);
    tls.enable_early_data = true;
    tls.resumption = rustls::client::Resumption::store(tickets.clone());
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3 is what QUIC needs")));
    let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    let connect = || endpoint.connect_with(config.clone(), address, "127.0.0.1").expect("an address");

    let connection = timeout(DEADLINE, connect()).await.expect("in time").expect("a connection");
    first(connection.clone()).await;
    // The ticket follows the handshake, and by now a reply has followed the ticket.
    let early_data_max = tickets.early_data_max.lock().expect("no holder panics").clone();
    assert!(!early_data_max.is_empty(), "the server gives tickets");
    connection.close(0_u32.into(), b"");
    match connect().into_0rtt() {
        Err(_) => {
            assert!(early_data_max.iter().all(|max| *max == 0), "{early_data_max:?}");
            false
        }
        Ok((_, accepted)) => timeout(DEADLINE, accepted).await.expect("in time"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_before_the_handshake_is_complete() {
    let server = Server::start();
    let token = server.token(Role::Operator);
    let (address, authority) = (server.address(), server.authority());
    let first = async |connection| Lane::on(connection, address).await.send_hello(token).await;
    assert!(!sends_early(address, &authority, first).await, "an observer could replay early data");

    // The same client against a server that accepts early data, to show that this test would notice.
    let chain = vec![CertificateDer::from_pem_file(server.dir().join("tls/server.pem")).expect("init created it")];
    let key = PrivateKeyDer::from_pem_file(server.dir().join("tls/server.key")).expect("init created it");
    let mut tls = rustls::ServerConfig::builder_with_provider(scrip_transport::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key belongs to the certificate");
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = u32::MAX;
    let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3 is what QUIC needs");
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let careless = Endpoint::server(config, ([127, 0, 0, 1], 0).into()).expect("a socket");
    let address = careless.local_addr().expect("it is bound");
    let echo = tokio::spawn(async move {
        while let Some(incoming) = careless.accept().await {
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
                let _ = receive.read(&mut [0; 1]).await;
                let _ = send.write_all(b"x").await;
                connection.closed().await;
            });
        }
    });
    let first = async |connection: quinn::Connection| {
        let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
        send.write_all(b"x").await.expect("it is accepted");
        let answer = timeout(DEADLINE, receive.read(&mut [0; 1])).await.expect("in time");
        assert!(matches!(answer, Ok(Some(1))), "{answer:?}");
    };
    assert!(sends_early(address, &authority, first).await);
    echo.abort();
}
