//! The journal defines who may call: credentials, tokens and certificates alike, are added, bound to clubs and revoked while the
//! engine runs (Z15), and no crash loses a credential that a caller was already admitted with (Z4).

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use scrip_client::{Client, ClientError, ConnectError, Dial, NoOutcome};
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_engine::folder::Folder;
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, Check, Grant, HOLD_TTL_DEFAULT_MS, Hold, Redeem, RedeemOutcome, RevokeCredential,
    RevokeCredentialOutcome, Secret,
};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{ClientId, ClubId, CredentialId, Position, Refusal, RequestId, Role};
use serde_json::{Value, json};

use crate::support::{BEGUN, Ending, Lane, Ran, Server, campaign, club, redemption, request, run, scrip, terms};

fn grant(name: &str, role: Role, secret: Secret) -> Grant {
    Grant { name: name.to_owned(), role, clubs: Vec::new(), reasons: true, secret }
}

async fn added(operator: &Client, grant: Grant) -> CredentialId {
    let outcome = operator.call(RequestId::now(), &AddCredential { grant }).await.expect("a reply");
    let AddCredentialOutcome::Added(credential) = outcome else { panic!("{outcome}") };
    credential
}

async fn revoked(operator: &Client, credential: CredentialId) -> RevokeCredentialOutcome {
    operator.call(RequestId::now(), &RevokeCredential { credential }).await.expect("a reply")
}

fn dial(server: &Server, token: &str) -> Dial {
    server.dial(Role::Operator).with_token(token)
}

/// The close code and reason of a refused hello.
async fn refused_hello(dial: Dial) -> (CloseCode, String) {
    match Client::connect(dial).await.err() {
        Some(ConnectError::Closed { code, reason }) => (code, reason),
        other => panic!("{other:?}"),
    }
}

/// Z15: a credential works from the moment it is added until it is revoked, and across restarts; the journal names who did what
/// (A28).
#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_until_it_is_revoked() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let (token, other) = (new_token(Role::Gateway), new_token(Role::Reporter));
    assert_eq!(refused_hello(dial(&server, &token)).await.0, CloseCode::Unauthenticated);
    let number = added(&operator, grant("till north", Role::Gateway, secret_of_token(&token))).await;
    assert_eq!(number, CredentialId(6), "after the five initial ones");
    let reporter = added(&operator, grant("reports", Role::Reporter, secret_of_token(&other))).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", None, 500), &["A".to_owned()]).await;

    let mut till = Lane::open(&dial(&server, &token)).await.expect("the new token works at once");
    let redeemed = till.call(1, RequestId::now(), &redemption(1, arena, "A")).await.outcome::<Redeem>();
    assert!(matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))), "{redeemed:?}");
    let mut second = Lane::open(&dial(&server, &token)).await.expect("a second connection is allowed");
    let calling = Client::connect(dial(&server, &token)).await.expect("a second connection is allowed");
    let unconcerned = Client::connect(dial(&server, &other)).await.expect("the other token is valid");
    assert_eq!(revoked(&operator, number).await, RevokeCredentialOutcome::Revoked);
    for lane in [&mut till, &mut second] {
        let ending = lane.ending().await;
        assert_eq!(ending.code_and_reason(), (CloseCode::Revoked, "credential 6 was revoked"));
    }
    let expected = (CloseCode::Revoked, "credential 6 was revoked".to_owned());
    assert_eq!(refused_hello(dial(&server, &token)).await, expected);
    assert!(unconcerned.list_clubs(ClubId(0)).await.is_ok());
    // The client cannot tell whether the request was on its way when the connection was closed.
    let cut_off = calling.redeem(RequestId::now(), &redemption(1, arena, "A")).await;
    let (Err(ClientError::Connect(why)) | Err(ClientError::Unknown { cause: Some(NoOutcome::Connect(why)), .. })) = &cut_off
    else {
        panic!("{cut_off:?}")
    };
    assert!(matches!(why, ConnectError::Closed { code: CloseCode::Revoked, .. }), "{why:?}");
    assert_eq!(revoked(&operator, number).await, RevokeCredentialOutcome::AlreadyRevoked);

    // For every record the journal has the credential of the request, and the grant of that credential.
    let lines = run(server.scrip(Role::Reporter).arg("tail"), b"").exits(0).json();
    let who: HashMap<u64, &Value> = lines
        .iter()
        .filter(|line| line["record"] == "credential_added")
        .map(|line| (line["credential"].as_u64().expect("a number"), &line["grant"]))
        .collect();
    let executors = |record: &str| -> Vec<Value> {
        let of = lines.iter().filter(|line| line["record"] == record);
        let grant = of.map(|line| who[&line["stamp"]["credential"].as_u64().expect("a number")]);
        grant.map(|grant| json!([grant["name"], grant["role"]])).collect()
    };
    assert_eq!(executors("activation"), [json!(["till north", "gateway"])]);
    for record in ["credential_revoked", "club_registered", "campaign_created"] {
        assert_eq!(executors(record), [json!(["operator", "operator"])], "{record}");
    }
    let first: Vec<&Value> = lines[1..BEGUN as usize].iter().map(|line| &line["stamp"]).collect();
    assert_eq!(first, [&Value::Null; 5], "the initial credentials belong to no request");
    assert_eq!(lines[BEGUN as usize]["stamp"]["credential"], json!(5));

    // The next engine has all of it.
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(refused_hello(dial(&server, &token)).await, expected);
    let welcome = Client::connect(dial(&server, &other)).await.expect("the other token is valid").welcome().clone();
    assert_eq!((welcome.credential, welcome.role), (reporter, Role::Reporter));
    server.audited(&HashMap::new()).await;
}

/// Z15, Z3: a revocation in the middle of requests: each request was executed and recorded, or it was not; replies agree with
/// that.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_leaves_no_request_half_executed() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", None, 100), &["A".to_owned()]).await;
    for round in 0..5_u128 {
        let token = new_token(Role::Gateway);
        let number = added(&operator, grant("till", Role::Gateway, secret_of_token(&token))).await;
        let mut lane = Lane::open(&dial(&server, &token)).await.expect("the new token works at once");
        let ids: Vec<RequestId> = std::iter::repeat_with(RequestId::now).take(5_000).collect();
        let frames = ids.iter().zip(1..).map(|(id, n)| request(n, *id, &redemption(round, arena, "A")));
        let bytes = frames.collect::<Vec<_>>().concat();
        // The replies show whether all of it was accepted.
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        lane.write(half).await;
        let (outcome, ()) = tokio::join!(revoked(&operator, number), lane.write(rest));
        assert_eq!(outcome, RevokeCredentialOutcome::Revoked);
        let (replies, _) = lane.until_the_end().await;
        let ending = lane.ending().await;
        // The code travels in one datagram, which can be lost under such a load; the connection is then reset (RFC 9000, section
        // 10.3).
        if !matches!(ending, Ending::Closed(ConnectError::Lost(_))) {
            assert_eq!(ending.code_and_reason().0, CloseCode::Revoked);
        }
        let mut answers = HashMap::new();
        for reply in &replies {
            match reply.outcome::<Redeem>() {
                Ok(outcome) => assert!(answers.insert(ids[reply.correlation as usize - 1], outcome).is_none()),
                Err(refusal) => assert_eq!(refusal, Refusal::Revoked),
            }
        }
        let recount = server.audited(&answers).await;
        assert!(recount.outcomes.len() >= answers.len());
    }
}

/// Z4: a connection that was admitted with a new credential stays accounted for, whenever the engine is killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_admitted_credential_survives_a_kill() {
    let mut server = Server::start();
    for round in 0..5 {
        let mut operator = server.lane(Role::Operator).await;
        let token = new_token(Role::Cashier);
        let grant = grant(&format!("till {round}"), Role::Cashier, secret_of_token(&token));
        operator.write(&request(1, RequestId::now(), &AddCredential { grant })).await;
        // The reply is not awaited: the hello itself must not be accepted too early.
        let welcome = loop {
            match Client::connect(dial(&server, &token)).await {
                Ok(client) => break client.welcome().clone(),
                Err(ConnectError::Closed { code: CloseCode::Unauthenticated, .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        server.kill();
        server.restart();
        let again = Client::connect(dial(&server, &token)).await.expect("it was admitted before").welcome().clone();
        assert_eq!((again.credential, again.role), (welcome.credential, Role::Cashier));
        assert!(welcome.durable >= Position(BEGUN + 1 + round), "{welcome:?}");
    }
    server.audited(&HashMap::new()).await;
}

fn credentials_file(server: &Server) -> PathBuf {
    server.dir().join("credentials.json")
}

/// Changes `credentials.json`, as a person would.
fn edit(server: &Server, change: impl FnOnce(&mut Vec<Value>)) {
    let file = credentials_file(server);
    let mut list: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).expect("init created it")).expect("JSON");
    change(&mut list);
    std::fs::write(&file, serde_json::to_vec(&list).expect("JSON")).expect("it is writable");
}

fn serve(server: &Server) -> Ran {
    run(scrip().arg("serve").arg("--data").arg(server.dir()), b"")
}

/// Z15: a journal without credentials gets those of the file at the next start; the file does not change existing ones.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_overrides_the_credentials_file() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(server.position(), BEGUN, "the second start adds nothing");
    assert!(server.terminate().success());

    // A credential that is added to the file is added at the next start.
    let token = new_token(Role::Gateway);
    let Secret::Token(hash) = secret_of_token(&token) else { unreachable!("it is a token's") };
    let token_hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    edit(&server, |list| list.push(json!({ "credential": 9, "name": "by hand", "role": "gateway", "token_hash": token_hash })));
    server.restart();
    let welcome = Client::connect(dial(&server, &token)).await.expect("the credential was added").welcome().clone();
    assert_eq!((welcome.credential, welcome.durable), (CredentialId(9), Position(BEGUN + 1)));
    let operator = server.client(Role::Operator).await;
    assert_eq!(revoked(&operator, CredentialId(9)).await, RevokeCredentialOutcome::Revoked);
    assert_eq!(revoked(&operator, CredentialId(1)).await, RevokeCredentialOutcome::Revoked);
    drop(operator);
    assert!(server.terminate().success());

    // Revoked stays revoked, whatever the file contains; a credential missing from the file remains.
    edit(&server, |list| list.retain(|of| of["credential"] == 9));
    server.restart();
    assert_eq!(server.position(), BEGUN + 3);
    assert_eq!(refused_hello(dial(&server, &token)).await.0, CloseCode::Revoked);
    assert_eq!(refused_hello(server.dial(Role::Gateway)).await.0, CloseCode::Revoked);
    assert!(Client::connect(server.dial(Role::Operator)).await.is_ok());
    server.audited(&HashMap::new()).await;
    assert!(server.terminate().success());

    // A file that contradicts the journal: the engine refuses to start.
    edit(&server, |list| {
        list.push(json!({ "credential": 4, "name": "reports", "role": "reporter", "token_hash": "00".repeat(32) }));
    });
    let ran = serve(&server).exits(6);
    let file = credentials_file(&server).display().to_string();
    assert!(
        ran.err.contains(&format!("{file}: credential 4 (\"reports\"): the journal has another token for it")),
        "{}",
        ran.err
    );
    edit(&server, |list| list[1]["role"] = json!("operator"));
    let ran = serve(&server).exits(6);
    assert!(ran.err.contains("the journal has another token for it"), "{}", ran.err);
    edit(&server, |list| list[1] = json!({ "credential": 12, "name": "twice", "role": "gateway", "token_hash": token_hash }));
    let ran = serve(&server).exits(6);
    assert!(ran.err.contains("credential 12 (\"twice\"): credential 9 has the same token"), "{}", ran.err);
}

/// Z15: a journal from before credentials were recorded in it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_gets_its_credentials_at_the_next_start() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    for folder in ["journal", "snapshots"] {
        std::fs::remove_dir_all(server.dir().join(folder)).expect("it exists");
    }
    let mut saved = Vec::new();
    edit(&server, |list| saved = std::mem::take(list));
    server.restart();
    assert_eq!(refused_hello(server.dial(Role::Operator)).await.0, CloseCode::Unauthenticated);
    assert!(server.terminate().success());
    edit(&server, |list| *list = saved);
    server.restart();
    assert_eq!(server.position(), 1, "only the settings were recorded");
    for role in Role::ALL {
        let welcome = server.client(role).await.welcome().clone();
        assert_eq!((welcome.role, welcome.durable), (role, Position(BEGUN)));
    }
}

/// Z15: a gateway that is bound to clubs can act only at those.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_bound_to_clubs_is_refused_at_others() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let (arena, north, south) = (club(&operator, "Arena").await, club(&operator, "North").await, club(&operator, "South").await);
    campaign(&operator, terms("Spring", None, 500), &["A".to_owned()]).await;
    let token = new_token(Role::Gateway);
    let bound = Grant { clubs: vec![north, arena], ..grant("till", Role::Gateway, secret_of_token(&token)) };
    added(&operator, bound).await;
    let till = Client::connect(dial(&server, &token)).await.expect("the new token works at once");
    let before = server.audited(&HashMap::new()).await.position;
    for other in [south, ClubId(99), ClubId(0)] {
        let hold = Hold::new(ClientId(1), other, "A", HOLD_TTL_DEFAULT_MS);
        let check = Check::new(other, vec!["A".into()]);
        let refusals = [
            till.redeem(RequestId::now(), &redemption(1, other, "A")).await.map(|_| ()),
            till.hold(RequestId::now(), &hold).await.map(|_| ()),
            till.call(RequestId(0), &check).await.map(|_| ()),
        ];
        for refusal in refusals {
            let Err(ClientError::Refused(refusal)) = refusal else { panic!("{refusal:?}") };
            assert_eq!(refusal, Refusal::ClubForbidden { club: other });
        }
    }
    assert_eq!(server.audited(&HashMap::new()).await.position, before, "the refusals left no record");
    for own in [arena, north] {
        assert!(matches!(till.redeem(RequestId::now(), &redemption(1, own, "A")).await, Ok(RedeemOutcome::Redeemed(_))));
        assert!(till.check(own, vec!["A".into()]).await.is_ok());
    }
    let mut command = server.scrip(Role::Gateway);
    let ran = run(command.env("SCRIP_TOKEN", &token).args(["redeem", "A", "--client", "1", "--club", "3"]), b"").exits(4);
    assert!(ran.err.contains("the credential is not allowed to act at club 3"), "{}", ran.err);
    let mut command = server.scrip(Role::Gateway);
    let ran = run(command.env("SCRIP_TOKEN", &token).args(["check", "A"]), b"").exits(4);
    assert!(ran.err.contains("a credential bound to clubs must name one of them"), "{}", ran.err);
}

fn operate(server: &Server, args: &[&str]) -> Ran {
    run(server.scrip(Role::Operator).args(args), b"")
}

/// The command line for credentials.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_adds_lists_and_revokes() {
    let server = Server::start();
    operate(&server, &["club", "add", "Arena"]).exits(0);
    let ran =
        operate(&server, &["token", "add", "--name", "till north", "--role", "gateway", "--club", "1", "--no-reasons"]).exits(0);
    assert!(ran.out.starts_with("added as credential 6. Its token, shown only once:\n\nscrip_gateway_"), "{}", ran.out);
    let token = ran.out.lines().last().expect("the token").to_owned();
    let json = operate(&server, &["token", "add", "--name", "reports", "--role", "reporter", "--json"]).exits(0).json();
    assert_eq!(json[0]["credential"], json!(7));
    let reporter = json[0]["token"].as_str().expect("a token").to_owned();
    for (token, role) in [(&token, Role::Gateway), (&reporter, Role::Reporter)] {
        assert_eq!(Client::connect(dial(&server, token)).await.expect("the new token works at once").welcome().role, role);
    }
    for (args, why) in [
        (["--name", "x", "--role", "cashier", "--club", "1"], "refused: only gateways can be bound to clubs\n"),
        (["--name", "x", "--role", "gateway", "--club", "7"], "refused: the organisation has no club 7\n"),
        (["--name", " ", "--role", "gateway", "--club", "1"], "refused: a credential's name has 1 to 200 bytes\n"),
    ] {
        assert_eq!(operate(&server, &[&["token", "add"], args.as_slice()].concat()).exits(1).out, why);
    }
    assert!(operate(&server, &["token", "add", "--name", "x", "--role", "boss"]).exits(2).err.contains("a role: gateway"));

    let ran = operate(&server, &["token", "revoke", "7"]).exits(0);
    assert_eq!(ran.out, "revoked\n");
    assert_eq!(operate(&server, &["token", "revoke", "7"]).exits(1).out, "refused: it is already revoked\n");
    assert_eq!(operate(&server, &["token", "revoke", "70"]).exits(1).out, "refused: there is no such credential\n");
    let last = operate(&server, &["token", "revoke", "5"]).exits(1);
    assert_eq!(last.out, "refused: this is the last operator credential; add another one first\n");
    let list = operate(&server, &["token", "list"]).exits(0).out;
    let words: Vec<Vec<&str>> =
        list.lines().map(|line| line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect()).collect();
    assert_eq!(words[0], ["NUMBER", "NAME", "ROLE", "CLUBS", "REASONS", "KIND", "ADDED", "REVOKED"]);
    assert_eq!(words[6][..6], ["6", "till north", "gateway", "1", "hidden", "token"]);
    assert_eq!(words[7][..6], ["7", "reports", "reporter", "all", "shown", "token"]);
    assert!(words[6][7] == "-" && words[7][7].ends_with(" UTC"), "{list}");
    let json = operate(&server, &["token", "list", "--json"]).exits(0).json();
    assert_eq!(json.len(), 7);
    assert_eq!(json!([json[5]["name"], json[5]["clubs"], json[5]["reasons"]]), json!(["till north", [1], false]));
    assert!(!list.contains(&token) && !server.log().contains(&token));

    let ran = run(server.scrip(Role::Operator).env("SCRIP_TOKEN", &reporter).args(["club", "list"]), b"").exits(4);
    assert!(ran.err.contains("credential 7 was revoked (revoked)"), "{}", ran.err);
    let ran = run(server.scrip(Role::Marketing).args(["token", "list"]), b"").exits(4);
    assert!(ran.err.contains("credentials with the role marketing are not allowed to do this"), "{}", ran.err);
    let help = operate(&server, &["token", "add", "--help"]).exits(0).out;
    assert!(help.contains("printed once and stored nowhere"), "{help}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is plain")
}

/// A certificate that the organisation's authority signed, in two files.
fn issued(server: &Server, name: &str, from: Duration, until: Duration) -> (Secret, PathBuf, PathBuf) {
    let issued = Folder::at(server.dir()).issue_certificate(name, from, until).expect("the authority's key is there");
    let [certificate, key] = ["pem", "key"].map(|ending| server.scratch().join(format!("{name}.{ending}")));
    std::fs::write(&certificate, &issued.certificate).expect("it is writable");
    scrip_protocol::private::write(&key, issued.key.as_bytes()).expect("it is writable");
    (issued.secret, certificate, key)
}

fn certified(server: &Server, certificate: &Path, key: &Path) -> Dial {
    let read = |path: &Path| std::fs::read(path).expect("it was written");
    Dial::certified(&server.address().to_string(), server.authority(), read(certificate), read(key)).expect("they are readable")
}

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().expect("this machine's clock is set")
}

/// Z15: mutual TLS, from issuing a certificate to revoking it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_as_good_as_a_token_until_it_is_revoked() {
    let server = Server::start();
    let prefix = server.scratch().join("till.north");
    let add = ["token", "add", "--name", "till north", "--role", "gateway", "--certificate", text(&prefix)];
    let ran = operate(&server, &add).exits(0);
    assert!(ran.out.starts_with("added as credential 6. Certificate:"), "{}", ran.out);
    let (certificate, key) = (server.scratch().join("till.north.pem"), server.scratch().join("till.north.key"));
    for file in [&certificate, &key] {
        let mode = std::fs::metadata(file).expect("it was created").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let before = std::fs::read(&key).expect("it was created");
    let ran = operate(&server, &add).exits(9);
    assert!(ran.err.contains("till.north.key: File exists"), "{}", ran.err);
    assert_eq!(std::fs::read(&key).expect("it exists"), before, "no key is overwritten");

    let client = Client::connect(certified(&server, &certificate, &key)).await.expect("the new token works at once");
    assert_eq!((client.welcome().credential, client.welcome().role), (CredentialId(6), Role::Gateway));
    let mut command = server.scrip(Role::Operator);
    command.env_remove("SCRIP_TOKEN").args(["club", "list", "--cert", text(&certificate), "--key", text(&key)]);
    run(&mut command, b"").exits(0);
    let mut command = server.scrip(Role::Operator);
    command.env_remove("SCRIP_TOKEN").env("SCRIP_CERT", &certificate).env("SCRIP_KEY", &key).args(["club", "add", "North"]);
    let ran = run(&mut command, b"").exits(4);
    assert!(ran.err.contains("credentials with the role gateway are not allowed to do this"), "{}", ran.err);

    let lane = Lane::open(&certified(&server, &certificate, &key)).await.expect("a second connection is allowed");
    operate(&server, &["token", "revoke", "6"]).exits(0);
    assert_eq!(lane.ending().await.code_and_reason(), (CloseCode::Revoked, "credential 6 was revoked"));
    let again = refused_hello(certified(&server, &certificate, &key)).await;
    assert_eq!(again, (CloseCode::Revoked, "credential 6 was revoked".to_owned()));

    // If the credential is refused, its files are removed.
    let refused = server.scratch().join("refused");
    operate(&server, &["token", "add", "--name", " ", "--role", "gateway", "--certificate", text(&refused)]).exits(1);
    assert!(!server.scratch().join("refused.pem").exists() && !server.scratch().join("refused.key").exists());
    // The authority's key is elsewhere, as it should be.
    std::fs::remove_file(server.dir().join("tls/ca.key")).expect("it exists");
    let ran = operate(&server, &["token", "add", "--name", "x", "--role", "gateway", "--certificate", text(&refused)]).exits(6);
    assert!(ran.err.contains("tls/ca.key"), "{}", ran.err);
    let list = operate(&server, &["token", "list", "--json"]).exits(0).json();
    assert_eq!(json!([list.len(), list[5]["certificate"], list[0]["certificate"]]), json!([6, true, false]));
}

/// Z15: a certificate of another authority, an expired one, an unregistered one, and one whose key belongs to another credential.
#[tokio::test(flavor = "multi_thread")]
async fn invalid_certificates_are_refused_with_the_reason() {
    let (server, other) = (Server::start(), Server::start());
    let operator = server.client(Role::Operator).await;
    let (_, certificate, key) = issued(&server, "unregistered", now() - DAY, now() + DAY);
    let (secret, expired, expired_key) = issued(&server, "expired", now() - 2 * DAY, now() - DAY);
    added(&operator, grant("expired", Role::Operator, secret)).await;
    let (secret, foreign, foreign_key) = issued(&other, "foreign", now() - DAY, now() + DAY);
    added(&operator, grant("foreign", Role::Operator, secret)).await;

    let reason = "the certificate does not belong to this organisation".to_owned();
    let unregistered = refused_hello(certified(&server, &certificate, &key)).await;
    assert_eq!(unregistered, (CloseCode::Unauthenticated, reason));
    for (certificate, key, why) in [
        (&expired, &expired_key, "it has expired, or is not valid yet"),
        (&foreign, &foreign_key, "it was not issued by this organisation's authority"),
    ] {
        let error = Client::connect(certified(&server, certificate, key)).await.err();
        let Some(ConnectError::Certificate(reason)) = error else { panic!("{error:?}") };
        assert_eq!(reason, why);
        let mut command = server.scrip(Role::Operator);
        let ran = run(command.args(["club", "list", "--cert", text(certificate), "--key", text(key)]), b"").exits(4);
        assert!(ran.err.contains(&format!("the engine rejected the certificate: {why}")), "{}", ran.err);
    }
    let mut command = server.scrip(Role::Operator);
    let ran = run(command.args(["club", "list", "--cert", text(&certificate), "--key", text(&expired_key)]), b"").exits(9);
    assert!(ran.err.contains("the client certificate is unusable"), "{}", ran.err);
    let mut command = server.scrip(Role::Operator);
    run(command.args(["club", "list", "--cert", text(&certificate)]), b"").exits(2);
    // A token is valid even beside an unregistered certificate.
    let beside = certified(&server, &certificate, &key).with_token(server.token(Role::Reporter));
    assert_eq!(Client::connect(beside).await.expect("the token counts").welcome().role, Role::Reporter);
}
