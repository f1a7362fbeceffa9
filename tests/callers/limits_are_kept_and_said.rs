//! Beyond a limit the engine refuses with a clear error and without any effect, and everything else continues (Z3, Z4).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use scrip_client::{Client, ConnectError, Dial};
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_engine::folder::Folder;
use scrip_engine::pipeline::Limits;
use scrip_engine::server::ServerLimits;
use scrip_engine::{Engine, Start};
use scrip_loadtest::audit::Recount;
use scrip_loadtest::burst;
use scrip_loadtest::plan::Plan;
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCampaignOutcome, CHECK_CODES_MAX, Check, CheckFree,
    CheckFreeOutcome, CheckOutcome, CodeChecked, CodeFree, CodeTexts, CreateCampaign, CreateCampaignOutcome, Grant, LINES_MAX,
    OnConflict, RevokeCredential, RevokeCredentialOutcome,
};
use scrip_protocol::frame::ALPN;
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{CampaignId, ClubId, Command, Position, RequestId, Role, unix_time_ms};

use crate::support::{Lane, Server, campaign, club, engine, quinn_config, terms};

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_engine_refuses_and_a_retry_succeeds() {
    let limits = Limits { requests_max: 16, ..Limits::default() };
    let (_dir, engine, dial) = engine(Start { limits, ..Start::default() });
    let client = Client::connect(dial.clone()).await.expect("it is listening");
    club(&client, "Club").await;
    let plan = Plan {
        seed: crate::support::seed(),
        time_ms: unix_time_ms(),
        codes: 4_000,
        clients: 100,
        repeats: 500,
        spent: 400,
        misses: 100,
        clubs: vec![ClubId(1)],
    };
    let campaign = campaign(&client, terms("Busy", Some(1), 100), &plan.codes()).await;
    // Far more than 16 at once, over several connections: chunks meet in the engine.
    let answers = burst::run(&dial, plan.requests(4), 1_000, &Arc::new(AtomicUsize::new(0))).await.expect("the burst completes");
    assert!(answers.busy > 0, "5,000 requests were never more than 16 at once");
    assert_eq!((answers.repeats_alike, answers.repeats_unlike.len(), answers.refused.len()), (500, 0, 0));
    assert_eq!(answers.outcomes.len(), 4_500);
    let mut recount = Recount::of(&dial).await.expect("it can be tailed");
    recount.compare_answers(&answers.outcomes);
    recount.compare_engine(&client, usize::MAX).await.expect("it replies");
    assert_eq!(recount.differences().first(), []);
    // Busy refusals left no record: every record here belongs to a reply.
    assert_eq!(recount.outcomes.len(), 4_500);
    assert_eq!(recount.activations_of(campaign), 4_000);
    drop(client);
    engine.stop().await.expect("the engine stops cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_refused_until_one_ends() {
    let server_limits = ServerLimits { connections_max: 2, ..ServerLimits::default() };
    let (_dir, engine, dial) = engine(Start { server_limits, ..Start::default() });
    let first = dial.connect().await.expect("it is writable");
    let second = Client::connect(dial.clone()).await.expect("it is writable");
    let refused = dial.connect().await.err().expect("there is no room");
    assert!(matches!(&refused, ConnectError::Lost(why) if why.contains("refused")), "{refused}");
    second.list_clubs(ClubId(0)).await.expect("existing connections are served");
    first.connection.close(0u32.into(), b"");
    // The engine may notice the end a moment later.
    let deadline = tokio::time::Instant::now() + crate::support::DEADLINE;
    while let Err(refused) = dial.connect().await {
        assert!(tokio::time::Instant::now() < deadline, "{refused}");
    }
    drop(second);
    engine.stop().await.expect("the engine stops cleanly");
}

/// The descriptors reserved for the journal suffice for all its readers at once and for what else the engine has open.
#[test]
fn the_readers_of_the_journal_leave_it_the_files_that_it_needs() {
    // Segments, snapshots, sockets and those of the runtimes: some forty.
    let others = 64;
    assert!(scrip_journal::SEALED_READS_MAX + others <= Engine::DESCRIPTORS_RESERVED);
}

/// Z15: even if a credential holds all connections that it can, an operator still gets in and revokes it; other credentials keep
/// their share.
#[tokio::test(flavor = "multi_thread")]
async fn one_credential_cannot_take_the_connections_of_others() {
    let server_limits = ServerLimits {
        connections_max: 4,
        connections_per_credential_max: 2,
        connections_for_operators: 1,
        ..ServerLimits::default()
    };
    let (_dir, engine, dial) = engine(Start { server_limits, ..Start::default() });
    let operator = Client::connect(dial.clone()).await.expect("it is writable");
    let mut gateways = Vec::new();
    for name in ["greedy", "other"] {
        let token = new_token(Role::Gateway);
        let secret = secret_of_token(&token);
        let grant = Grant { name: name.to_owned(), role: Role::Gateway, clubs: Vec::new(), reasons: true, secret };
        let outcome = operator.call(RequestId::now(), &AddCredential { grant }).await.expect("a reply");
        let AddCredentialOutcome::Added(credential) = outcome else { panic!("{outcome}") };
        gateways.push((credential, dial.clone().with_token(token)));
    }
    let [(greedy, greedy_dial), (_, other_dial)] = &gateways[..] else { unreachable!("there are two") };
    let turned_away = async |dial: &Dial| match dial.connect().await.err() {
        Some(ConnectError::Closed { code, reason }) => (code, reason),
        other => panic!("{other:?}"),
    };
    let held = [greedy_dial.connect().await.expect("it is writable"), greedy_dial.connect().await.expect("it is writable")];
    drop(operator);
    let full = (CloseCode::TooManyConnections, format!("credential {greedy} has 2 connections"));
    let deadline = tokio::time::Instant::now() + crate::support::DEADLINE;
    // The engine may notice a moment later that the operator has left.
    while turned_away(greedy_dial).await != full {
        assert!(tokio::time::Instant::now() < deadline, "the credential was never refused for its own connections");
    }
    let other = other_dial.connect().await.expect("one connection is left for it");
    let full = (CloseCode::TooManyConnections, "the connection limit is reached".to_owned());
    assert_eq!(turned_away(other_dial).await, full);
    let operator = Client::connect(dial.clone()).await.expect("a connection is reserved");
    let revoked = operator.call(RequestId::now(), &RevokeCredential { credential: *greedy }).await.expect("a reply");
    assert_eq!(revoked, RevokeCredentialOutcome::Revoked);
    for held in &held {
        crate::support::within(held.connection.closed()).await;
    }
    while let Err(refused) = other_dial.connect().await {
        assert!(tokio::time::Instant::now() < deadline, "{refused}");
    }
    drop((operator, other));
    engine.stop().await.expect("the engine stops cleanly");
}

/// Z15, Z3: connections that broke do not keep their own credential out, and no connection that is alive makes room.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_broke_do_not_keep_their_credential_out() {
    let server_limits = ServerLimits { connections_per_credential_max: 2, ..ServerLimits::default() };
    let (dir, engine, dial) = engine(Start { server_limits, ..Start::default() });
    let operator = Client::connect(dial.clone()).await.expect("it is writable");
    let token = new_token(Role::Gateway);
    let secret = secret_of_token(&token);
    let grant = Grant { name: "tills".to_owned(), role: Role::Gateway, clubs: Vec::new(), reasons: true, secret };
    let outcome = operator.call(RequestId::now(), &AddCredential { grant }).await.expect("a reply");
    assert!(matches!(outcome, AddCredentialOutcome::Added(_)), "{outcome}");
    // Without keep-alives nothing more arrives from it, as from a client whose network is gone.
    let authority = std::fs::read(Folder::at(dir.path().join("data")).ca_path()).expect("init has written it");
    let protocol = std::str::from_utf8(ALPN).expect("a name");
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    let config = quinn_config(&authority, &[protocol]);
    let connecting = endpoint.connect_with(config, engine.address(), "127.0.0.1").expect("an address");
    let connection = crate::support::within(connecting).await.expect("the engine runs");
    let mut broken = Lane::on(connection, engine.address()).await;
    broken.send_hello(&token).await;
    let dial = dial.with_token(token);
    let alive = dial.connect().await.expect("there is room for a second");
    let deadline = tokio::time::Instant::now() + crate::support::DEADLINE;
    let new = loop {
        match dial.connect().await {
            Ok(new) => break new,
            Err(ConnectError::Closed { code: CloseCode::TooManyConnections, .. }) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(tokio::time::Instant::now() < deadline, "the broken connection keeps its credential out");
    };
    assert_eq!(broken.ending().await.code_and_reason().0, CloseCode::Silent);
    let refused = dial.connect().await.err();
    let is_full = matches!(&refused, Some(ConnectError::Closed { code: CloseCode::TooManyConnections, .. }));
    assert!(is_full && alive.connection.close_reason().is_none() && new.connection.close_reason().is_none(), "{refused:?}");
    drop((operator, alive, new));
    engine.stop().await.expect("the engine stops cleanly");
}

/// Z6, Z4: the lane itself answers whether codes are free, as of every earlier reply; checks of too many codes are refused.
#[tokio::test(flavor = "multi_thread")]
async fn checks_are_consistent_with_the_lists_around_them() {
    let server = Server::start();
    let mut lane = server.lane(Role::Operator).await;
    let texts: CodeTexts = (0..9_000).map(|n| format!("LIST-{n}")).collect();
    let free = |held_by: Option<CampaignId>| vec![held_by.map_or(CodeFree::Free, CodeFree::HeldBy); texts.len()];
    let lines = texts.clone();
    let command = CreateCampaign { terms: terms("List", None, 1), lines, on_conflict: OnConflict::Reject };
    let CheckFreeOutcome::Checked { codes, .. } = call(&mut lane, &CheckFree { codes: texts.clone() }).await else {
        panic!("the check fits its limit")
    };
    assert_eq!(codes, free(None));
    let CreateCampaignOutcome::Created { campaign, .. } = call(&mut lane, &command).await else { panic!("all of them are free") };
    let CheckFreeOutcome::Checked { codes, as_of } = call(&mut lane, &CheckFree { codes: texts.clone() }).await else {
        panic!("the check fits its limit")
    };
    assert_eq!(codes, free(Some(campaign)));
    let code = texts.of(0).expect("there is one").to_owned();
    let CheckOutcome::Checked { codes, .. } = call(&mut lane, &Check::new(ClubId(0), vec![code])).await else {
        panic!("the check fits its limit")
    };
    assert!(matches!(codes[0], CodeChecked::Redeemable(_)), "{codes:?}");
    assert!(matches!(call(&mut lane, &ArchiveCampaign { campaign }).await, ArchiveCampaignOutcome::Archived { codes: 9_000 }));
    let CheckFreeOutcome::Checked { codes, as_of: later } = call(&mut lane, &CheckFree { codes: texts.clone() }).await else {
        panic!("the check fits its limit")
    };
    assert_eq!((codes, later), (free(None), Position(as_of.0 + 1)));
    let many: CodeTexts = (0..=LINES_MAX).map(|_| "x").collect();
    assert_eq!(call(&mut lane, &CheckFree { codes: many }).await, CheckFreeOutcome::TooManyLines);
    let many = vec![String::new(); CHECK_CODES_MAX + 1];
    assert_eq!(call(&mut lane, &Check::new(ClubId(0), many)).await, CheckOutcome::TooManyCodes);
}

async fn call<C: Command>(lane: &mut Lane, command: &C) -> C::Outcome {
    lane.call(1, RequestId::now(), command).await.outcome::<C>().expect("an operator may send that")
}
