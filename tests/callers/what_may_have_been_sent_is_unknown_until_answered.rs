//! A request that may have been executed has an outcome, or its outcome is unknown: nothing else is ever reported for it (Z3).
//!
//! The client and the program meet a scripted engine that closes the connection, refuses, falls silent or sends half a reply at
//! every point of a request.

use std::io::{Seek, SeekFrom, Write};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scrip_client::{Client, ClientError, ConnectError, NoOutcome};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, ArchiveCodes, ArchiveCodesOutcome, CodesReport, LINES_MAX, LineVerdict, Redeem, RedeemOutcome,
    RegisterClub, RestoreCodes, RestoreCodesOutcome, SkippedLine, Terms, UpdateCampaign, UpdateCampaignOutcome,
};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Refusal, RequestId, Role};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::fake::Response::{Encoded, Half, Nonsense, Nothing, Outcome, Refused};
use crate::support::fake::Session::{Answers, OtherAuthority, OtherProtocol, ReadsLater, Stays, TurnsAway};
use crate::support::fake::{FakeEngine, Response, Session, encoded};
use crate::support::{DEADLINE, Ran, run, scrip};

const SPENT: RedeemOutcome = RedeemOutcome::CodeExhausted;

/// Every refusal. The compiler and `Refusal::WORDS` ensure that none is left out.
fn refusals() -> Vec<Refusal> {
    let all = vec![
        Refusal::Forbidden { role: Role::Reporter },
        Refusal::ClubForbidden { club: ClubId(1) },
        Refusal::Busy { retry_after_ms: 3_600_000 },
        Refusal::Revoked,
        Refusal::RequestTooOld { oldest_ms: 1 },
        Refusal::RequestFromFuture { now_ms: 1 },
        Refusal::RequestIdReused,
        Refusal::TooManyMisses { retry_after_ms: 3_600_000 },
    ];
    let others = Refusal::WORDS.iter().filter(|word| all.iter().all(|refusal| refusal.word() != **word));
    assert_eq!(others.collect::<Vec<_>>(), [&"request_id_invalid"], "an invalid id is never executed");
    all
}

fn busy(retry_after_ms: u32) -> Response {
    Refused(Refusal::Busy { retry_after_ms })
}

/// The connection is lost after a request was read.
fn lost() -> Session {
    Answers(vec![Nothing], CloseCode::ShuttingDown)
}

fn redemption() -> Redeem {
    Redeem::new(ClientId(42), ClubId(1), "SUMMER-25")
}

/// A client's call to an engine with this script. Returns its result, and how often the request was sent.
async fn called(script: Vec<Session>, patience: Duration, retrying: bool) -> (Result<RedeemOutcome, ClientError>, usize) {
    let engine = FakeEngine::start(script);
    let mut dial = engine.dial();
    dial.patience = patience;
    let client = Client::connect(dial).await.expect("the first connection is welcomed");
    let client = if retrying { client.retrying() } else { client };
    let request = RequestId::now();
    let ended = client.redeem(request, &redemption()).await;
    if let Err(ClientError::Unknown { request: named, .. }) = &ended {
        assert_eq!(*named, request);
    }
    let read = engine.requests();
    assert!(read.iter().all(|id| *id == request), "every attempt has the same id: {read:?}");
    (ended, read.len())
}

#[track_caller]
fn is_unknown(what: &str, ended: &Result<RedeemOutcome, ClientError>) -> Option<NoOutcome> {
    match ended {
        Err(ClientError::Unknown { cause, .. }) => cause.clone(),
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_that_fails_for_good_leaves_it_unknown() {
    let turned_away = [CloseCode::Unauthenticated, CloseCode::Revoked, CloseCode::HelloExpected].map(TurnsAway);
    for failing in turned_away.into_iter().chain([OtherProtocol]) {
        for first in [lost(), Answers(vec![Half], CloseCode::ShuttingDown), Answers(vec![Nothing], CloseCode::JournalFailed)] {
            let what = format!("{first:?}, {failing:?}");
            let (ended, _) = called(vec![first, failing.clone()], DEADLINE, false).await;
            let cause = is_unknown(&what, &ended);
            assert!(matches!(cause, Some(NoOutcome::Connect(_))), "{what}: {cause:?}");
        }
    }
    for code in [CloseCode::FrameLength, CloseCode::UnknownKind, CloseCode::MalformedPayload, CloseCode::Revoked] {
        let (ended, _) = called(vec![Answers(vec![Nothing], code)], DEADLINE, false).await;
        let cause = is_unknown(code.word(), &ended);
        assert!(matches!(&cause, Some(NoOutcome::Connect(ConnectError::Closed { code: why, .. })) if *why == code), "{cause:?}");
    }
}

/// A client that was welcome before tries again after errors that can pass, for as long as its calls have time.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_handshake_does_not_end_a_client_that_was_welcome() {
    let (ended, sent) = called(vec![lost(), OtherAuthority, Stays(vec![Outcome(SPENT)])], DEADLINE, false).await;
    assert_eq!((ended.expect("an outcome"), sent), (SPENT, 2));
    let script = [lost()].into_iter().chain(vec![OtherAuthority; 50]).collect();
    let (ended, _) = called(script, Duration::from_millis(500), false).await;
    let cause = is_unknown("no handshake succeeds", &ended);
    assert!(matches!(cause, Some(NoOutcome::Connect(ConnectError::Handshake { .. }))), "{cause:?}");
}

/// Set in the process that runs a test without free file descriptors: the limit holds for the whole process.
const WITHOUT_FILES: &str = "SCRIP_TEST_WITHOUT_FILES";

#[test]
fn a_lack_of_sockets_does_not_end_a_client_that_was_welcome() {
    if std::env::var_os(WITHOUT_FILES).is_none() {
        let mut again = Command::new(std::env::current_exe().expect("it has a path"));
        let (_, module) = module_path!().split_once("::").expect("this file is a module of the test program");
        let name = format!("{module}::a_lack_of_sockets_does_not_end_a_client_that_was_welcome");
        again.args(["--exact", &name]).env(WITHOUT_FILES, "");
        let ran = run(&mut again, b"").exits(0);
        assert!(ran.out.contains("1 passed"), "{}", ran.out);
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let engine = FakeEngine::start(vec![Answers(vec![Outcome(SPENT)], CloseCode::ShuttingDown), Stays(vec![Outcome(SPENT)])]);
        let client = Client::connect(engine.dial()).await.expect("the first connection is welcomed");
        // From here on no file can be opened, whichever are closed meanwhile. The open ones remain.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).expect("a lower limit is allowed");
        // After its reply the connection is closed, and the reply may be lost with it.
        let _ = client.call_within(Duration::from_millis(100), RequestId::now(), &redemption()).await;
        let began = Instant::now();
        loop {
            match client.call_within(Duration::from_millis(100), RequestId::now(), &redemption()).await {
                Err(ClientError::Connect(ConnectError::Socket(_))) => break,
                // It was given to the connection that was being closed.
                Err(ClientError::Connect(_) | ClientError::Unknown { .. }) => assert!(began.elapsed() < DEADLINE),
                other => panic!("{other:?}"),
            }
        }
        setrlimit(Resource::Nofile, limit).expect("the hard limit was not changed");
        assert_eq!(client.redeem(RequestId::now(), &redemption()).await.expect("an outcome"), SPENT);
    });
}

/// If nothing was written, the outcome is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_never_sent_is_not_unknown() {
    let engine = FakeEngine::start(vec![Answers(vec![], CloseCode::ShuttingDown), TurnsAway(CloseCode::Unauthenticated)]);
    let client = Client::connect(engine.dial()).await.expect("the first connection is welcomed");
    let began = Instant::now();
    // A call can be made before the client knows that the connection is closed.
    loop {
        match client.redeem(RequestId::now(), &redemption()).await {
            Err(ClientError::Connect(ConnectError::Closed { code: CloseCode::Unauthenticated, .. })) => break,
            Err(ClientError::Unknown { .. }) => assert!(began.elapsed() < DEADLINE),
            other => panic!("{other:?}"),
        }
    }
    let ended = client.retrying().redeem(RequestId::now(), &redemption()).await;
    is_unknown("an earlier attempt may have been executed", &ended);
    assert!(matches!(client.list_clubs(ClubId(0)).await, Err(ClientError::Connect(_))));
    let refused = Client::connect(FakeEngine::start(vec![OtherAuthority]).dial()).await.err();
    assert!(matches!(refused, Some(ConnectError::Handshake { .. })), "{refused:?}");
}

/// A connection that is blocked by a list holds a redemption back. Once that is reported as not executed, it is not sent when the
/// connection continues.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_given_up_unsent_is_not_sent_later() {
    let reads = Arc::new(Notify::new());
    let engine = FakeEngine::start(vec![ReadsLater(reads.clone())]);
    let client = Client::connect(engine.dial()).await.expect("welcome");
    let list = RegisterClub { name: "x".repeat(3 << 20) };
    let filling = tokio::spawn({
        let client = client.clone();
        async move { client.call_within(DEADLINE, RequestId::now(), &list).await }
    });
    let began = Instant::now();
    let given_up = loop {
        let request = RequestId::now();
        match client.call_within(Duration::from_millis(200), request, &redemption()).await {
            Err(ClientError::NoAnswer { .. }) => break request,
            // It was written before the list, or together with it.
            Err(ClientError::Unknown { .. }) => assert!(began.elapsed() < DEADLINE),
            other => panic!("{other:?}"),
        }
    };
    reads.notify_one();
    let (last, redeem) = (RequestId::now(), redemption());
    let ended = client.call_within(DEADLINE, last, &redeem);
    let read = async {
        while !engine.requests().contains(&last) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = read => {}
        ended = ended => panic!("the engine reads it within the patience: {ended:?}"),
    }
    assert!(!engine.requests().contains(&given_up), "it was reported as not executed");
    filling.abort();
}

/// The same for a call whose caller stops waiting by dropping it: one, or many at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_unsent_is_not_sent_later() {
    let reads = Arc::new(Notify::new());
    let engine = FakeEngine::start(vec![ReadsLater(reads.clone())]);
    let client = Client::connect(engine.dial()).await.expect("welcome");
    // Two lists: while the first is being written, nothing behind it is.
    let fills = |client: Client| async move {
        let list = RegisterClub { name: "x".repeat(3 << 20) };
        client.call_within(DEADLINE, RequestId::now(), &list).await
    };
    let filling = [tokio::spawn(fills(client.clone())), tokio::spawn(fills(client.clone()))];
    // That it is reported as not executed shows that the lists are in front of what follows.
    let began = Instant::now();
    loop {
        match client.call_within(Duration::from_millis(200), RequestId::now(), &redemption()).await {
            Err(ClientError::NoAnswer { .. }) => break,
            Err(ClientError::Unknown { .. }) => assert!(began.elapsed() < DEADLINE),
            other => panic!("{other:?}"),
        }
    }
    let dropped: Vec<_> = (0..10).map(|_| (RequestId::now(), redemption())).collect();
    let (id, redeem) = (RequestId::now(), redemption());
    for _ in 0..2 {
        let mut one = Box::pin(client.redeem(id, &redeem));
        assert!(goes_on(one.as_mut()), "there is no reply");
        drop(one);
        let mut many = Box::pin(client.redeem_all(&dropped));
        assert!(goes_on(many.as_mut()), "there is no reply");
        drop(many);
    }
    reads.notify_one();
    let (last, redeem) = (RequestId::now(), redemption());
    let ended = client.call_within(DEADLINE, last, &redeem);
    let read = async {
        while !engine.requests().contains(&last) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = read => {}
        ended = ended => panic!("the engine reads it within the patience: {ended:?}"),
    }
    let read = engine.requests();
    let sent: Vec<_> = dropped.iter().map(|(id, _)| id).chain([&id]).filter(|id| read.contains(id)).collect();
    assert!(sent.is_empty(), "{sent:?}");
    filling.iter().for_each(|filling| filling.abort());
}

/// Polls a future once. Returns whether it goes on.
fn goes_on<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_only_for_a_request_that_was_sent_once() {
    for refusal in refusals() {
        let what = refusal.word();
        let (ended, sent) = called(vec![Stays(vec![Refused(refusal)])], DEADLINE, false).await;
        assert!(matches!(&ended, Err(ClientError::Refused(why)) if *why == refusal), "{what}: {ended:?}");
        assert_eq!(sent, 1, "{what}");

        let (ended, sent) = called(vec![lost(), Stays(vec![Refused(refusal)])], Duration::from_secs(20), false).await;
        let cause = is_unknown(what, &ended);
        assert!(matches!(cause, Some(NoOutcome::Refused(why)) if why == refusal), "{what}: {cause:?}");
        assert_eq!(sent, 2, "{what}: a delay beyond the patience is not waited for");

        let (ended, _) = called(vec![Stays(vec![Refused(refusal)])], DEADLINE, true).await;
        is_unknown(what, &ended);
    }
    for retrying in [false, true] {
        let (ended, _) = called(vec![Stays(vec![Refused(Refusal::RequestIdInvalid)])], DEADLINE, retrying).await;
        assert!(matches!(ended, Err(ClientError::Refused(Refusal::RequestIdInvalid))), "{ended:?}");
    }
}

/// The engine may be busy without having looked up the first attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_at_a_busy_engine_continues_until_there_is_an_outcome() {
    let (ended, sent) = called(vec![lost(), Stays(vec![busy(1), busy(5), Outcome(SPENT)])], DEADLINE, false).await;
    assert_eq!((ended.expect("an outcome"), sent), (SPENT, 4));
    let (ended, sent) = called(vec![Stays(vec![busy(1), Outcome(SPENT)])], DEADLINE, true).await;
    assert_eq!((ended.expect("an outcome"), sent), (SPENT, 2));
    // Lost again while it is retried.
    let again = Answers(vec![busy(1), Nothing], CloseCode::ShuttingDown);
    let (ended, sent) = called(vec![lost(), again, Stays(vec![Outcome(SPENT)])], DEADLINE, false).await;
    assert_eq!((ended.expect("an outcome"), sent), (SPENT, 4));
    let (ended, sent) = called(vec![lost(), Stays(vec![busy(50); 1_000])], Duration::from_millis(700), false).await;
    let cause = is_unknown("busy to the end", &ended);
    assert!(matches!(cause, None | Some(NoOutcome::Refused(Refusal::Busy { .. }))), "{cause:?}");
    assert!(sent > 2, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_missing_and_malformed_replies_are_not_outcomes() {
    let half = Answers(vec![Half], CloseCode::ShuttingDown);
    let (ended, sent) = called(vec![half, Stays(vec![Outcome(SPENT)])], DEADLINE, false).await;
    assert_eq!((ended.expect("an outcome"), sent), (SPENT, 2));
    let (ended, _) = called(vec![Stays(vec![Nothing])], Duration::from_millis(200), false).await;
    assert!(is_unknown("silence", &ended).is_none());
    let (ended, _) = called(vec![Stays(vec![Nonsense])], DEADLINE, false).await;
    assert!(matches!(is_unknown("nonsense", &ended), Some(NoOutcome::Reply(_))));
}

/// A command that changes nothing can be sent again by anybody: its outcome is never unknown.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_changes_nothing_is_never_unknown() {
    for failing in [TurnsAway(CloseCode::Unauthenticated), OtherProtocol] {
        let engine = FakeEngine::start(vec![lost(), failing]);
        let client = Client::connect(engine.dial()).await.expect("the first connection is welcomed");
        let ended = client.retrying().list_clubs(ClubId(0)).await;
        assert!(matches!(ended, Err(ClientError::Connect(_))), "{ended:?}");
    }
    let engine = FakeEngine::start(vec![lost(), Stays(vec![busy(1)])]);
    let client = Client::connect(engine.dial()).await.expect("the first connection is welcomed");
    let ended = client.list_clubs(ClubId(0)).await;
    assert!(matches!(ended, Err(ClientError::Refused(Refusal::Busy { .. }))), "{ended:?}");
    let engine = FakeEngine::start(vec![Stays(vec![Nothing])]);
    let mut dial = engine.dial();
    dial.patience = Duration::from_millis(200);
    let ended = Client::connect(dial).await.expect("welcome").list_clubs(ClubId(0)).await;
    assert!(matches!(ended, Err(ClientError::NoAnswer { .. })), "{ended:?}");
}

/// The program, set to call the engine.
fn program(engine: &FakeEngine) -> Command {
    let mut command = scrip();
    command.env("SCRIP_TOKEN", "any token").env("SCRIP_SERVER", engine.address().to_string());
    command.env("SCRIP_CA", engine.folder.ca_path());
    command
}

fn redeemed(script: Vec<Session>, arguments: &[&str]) -> Ran {
    let engine = FakeEngine::start(script);
    let redeem = ["redeem", "SUMMER-25", "--client", "42", "--club", "1"];
    tokio::task::block_in_place(|| run(program(&engine).args(redeem).args(arguments), b""))
}

/// Checks that a run reports a request as unknown, for people and in JSON. Returns the request's id.
#[track_caller]
fn reports_unknown(ran: &Ran, is_json: bool) -> String {
    assert_eq!(ran.code, 5, "{ran:#?}");
    let named = ran.err.split("--request-id ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let named = named.unwrap_or_else(|| panic!("{ran:#?}")).to_owned();
    assert!(ran.err.contains(&format!("the outcome of request {named} is unknown")), "{ran:#?}");
    match is_json {
        false => assert_eq!(ran.out, ""),
        true => {
            let [line] = &ran.json()[..] else { panic!("{ran:#?}") };
            assert_eq!([&line["request"], &line["outcome"]], [&json!(named), &json!("unknown")], "{ran:#?}");
            assert!(matches!(&line["error"], Value::String(why) if !why.is_empty()), "{ran:#?}");
        }
    }
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_names_a_request_with_an_unknown_outcome() {
    for arguments in [&[][..], &["--json"]] {
        for after in [TurnsAway(CloseCode::Unauthenticated), OtherProtocol, Stays(vec![Refused(Refusal::Revoked)])] {
            reports_unknown(&redeemed(vec![lost(), after], arguments), !arguments.is_empty());
        }
        reports_unknown(&redeemed(vec![Stays(vec![Nonsense])], arguments), !arguments.is_empty());
    }
    redeemed(vec![Stays(vec![Refused(Refusal::Revoked)])], &[]).exits(4);
    redeemed(vec![Stays(vec![busy(1)])], &[]).exits(3);
    redeemed(vec![OtherProtocol], &[]).exits(3);
    let spent = redeemed(vec![lost(), Stays(vec![busy(1), Outcome(SPENT)])], &["--json"]).exits(1);
    assert_eq!(spent.json()[0]["outcome"], json!("code_exhausted"));
}

/// A caller that gives the request's id may have sent it before.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_id_is_given_has_an_outcome_or_is_unknown() {
    let id = RequestId::now().to_string();
    for arguments in [&["--request-id", &id][..], &["--request-id", &id, "--json"]] {
        let is_json = arguments.len() > 2;
        for refusal in refusals() {
            assert_eq!(reports_unknown(&redeemed(vec![Stays(vec![Refused(refusal)])], arguments), is_json), id);
        }
        for meets in [TurnsAway(CloseCode::Unauthenticated), OtherAuthority, OtherProtocol] {
            assert_eq!(reports_unknown(&redeemed(vec![meets], arguments), is_json), id);
        }
        let spent = redeemed(vec![Stays(vec![busy(1), Outcome(SPENT)])], arguments).exits(1);
        assert!(spent.out.contains(if is_json { "code_exhausted" } else { "the code has no uses left" }), "{spent:?}");
    }
    // Without a token, and without an engine.
    let engine = FakeEngine::start(vec![]);
    let redeem = ["redeem", "SUMMER-25", "--client", "42", "--club", "1"];
    let ran = |command: &mut Command| tokio::task::block_in_place(|| run(command.args(redeem), b""));
    ran(program(&engine).env_remove("SCRIP_TOKEN")).exits(4);
    let given = |command: &mut Command| {
        tokio::task::block_in_place(|| run(command.args(redeem).args(["--request-id", &id, "--json"]), b""))
    };
    assert_eq!(reports_unknown(&given(program(&engine).env_remove("SCRIP_TOKEN")), true), id);
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port that nobody has");
    assert_eq!(reports_unknown(&given(program(&engine).env("SCRIP_SERVER", gone.to_string())), true), id);
}

/// A list of two parts, the second longer than what is read ahead.
fn long_list(engine: &FakeEngine) -> std::path::PathBuf {
    let path = engine.folder.dir().join("long.txt");
    let lines = (1..=LINES_MAX + 2_000).map(|n| format!("LONG-CODE-{n}\n")).collect::<String>();
    std::fs::write(&path, lines).expect("written");
    path
}

fn added(added: u32) -> Vec<u8> {
    encoded::<AddCodes>(&AddCodesOutcome::Added(CodesReport { added, skipped: Vec::new() }))
}

/// After its first part was executed, a list that becomes unreadable is neither executed nor refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_becomes_unreadable_after_a_part_was_sent_is_unknown() {
    let archived = encoded::<ArchiveCodes>(&ArchiveCodesOutcome::Archived { codes: 9, skipped: Vec::new() });
    let restored = encoded::<RestoreCodes>(&RestoreCodesOutcome::Restored { codes: 9, skipped: Vec::new() });
    let first = LINES_MAX as u32;
    for (arguments, tried, sent, so_far) in [
        (&["codes", "archive", "7", "--file"][..], Vec::new(), archived, "9 codes archived before the error"),
        (&["codes", "restore", "7", "--file"], Vec::new(), restored, "9 codes restored before the error"),
        (&["codes", "add", "7"], vec![added(first), added(2_000)], added(first), "the list was added up to line 65536"),
    ] {
        let allowed = Arc::new(Notify::new());
        let later = Response::Later(allowed.clone(), sent);
        let tried_parts = tried.len();
        let responses = tried.into_iter().map(Encoded).chain([later]).collect();
        let engine = FakeEngine::start(vec![Stays(responses)]);
        let list = long_list(&engine);
        let mut command = program(&engine);
        command.args(arguments).arg(&list).arg("--json");
        let running = tokio::task::spawn_blocking(move || run(&mut command, b""));
        let read = async {
            while engine.requests().len() <= tried_parts {
                tokio::task::yield_now().await;
            }
        };
        crate::support::within(read).await;
        let mut file = std::fs::File::options().write(true).open(&list).expect("it exists");
        file.seek(SeekFrom::End(-2)).and_then(|_| file.write_all(b"\xfc")).expect("it is writable");
        allowed.notify_one();
        let ran = running.await.expect("it does not panic");
        reports_unknown(&ran, true);
        assert!(ran.err.contains(so_far) && ran.err.contains("this is not UTF-8"), "{ran:#?}");
    }
}

/// For ids of an earlier version, the engine answers a different request under the same id with the first outcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_retried_list_whose_first_part_was_added_is_continued() {
    let held = SkippedLine { line: 65_537, code: "LONG-CODE-65537".into(), why: LineVerdict::HeldBy(CampaignId(8)) };
    let conflicts = encoded::<AddCodes>(&AddCodesOutcome::Conflicts(vec![held.clone()]));
    let tried = encoded::<AddCodes>(&AddCodesOutcome::Added(CodesReport { added: 1_999, skipped: vec![held] }));
    let first = LINES_MAX as u32;
    let responses = vec![added(first), tried, added(first), added(first), conflicts].into_iter().map(Encoded).collect();
    let engine = FakeEngine::start(vec![Stays(responses)]);
    let list = long_list(&engine);
    let id = RequestId::now();
    let mut command = program(&engine);
    command.args(["codes", "add", "7", "--on-conflict", "reject", "--json", "--request-id", &id.to_string()]).arg(list);
    let ran = tokio::task::block_in_place(|| run(&mut command, b"")).exits(1);
    let refused = &ran.json()[0];
    assert_eq!(refused["outcome"]["conflicts"][0]["line"], json!(65_537), "{refused}");
    assert_eq!((&refused["stopped_after"]["line"], &refused["stopped_after"]["campaign"]), (&json!(LINES_MAX), &json!(7)));
    assert_eq!(engine.requests()[2..], [id.of_part(0), id.of_part(0), id.of_part(1)]);
}

/// What a command shows after its outcome does not decide how it ended.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_campaign_cannot_be_shown_is_done() {
    let updated = || Encoded(encoded::<UpdateCampaign>(&UpdateCampaignOutcome::Updated(Terms::new("Spring", Money(500)))));
    for script in [
        vec![Answers(vec![updated()], CloseCode::ShuttingDown), TurnsAway(CloseCode::Revoked)],
        vec![Stays(vec![updated(), busy(1)])],
    ] {
        let engine = FakeEngine::start(script);
        let mut command = program(&engine);
        command.args(["campaign", "update", "7", "--amount", "5"]);
        let ran = tokio::task::block_in_place(|| run(&mut command, b"")).exits(0);
        assert_eq!(ran.out, "campaign 7: updated\n");
        assert!(ran.err.contains("scrip: the campaign cannot be shown: "), "{ran:#?}");
    }
}

/// Every command that takes an id conforms: the same list is derived from `--help`.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_with_a_request_id_conforms() {
    let id = RequestId::now().to_string();
    let engine = FakeEngine::start(vec![TurnsAway(CloseCode::Unauthenticated); 100]);
    let list = engine.folder.dir().join("codes.txt");
    std::fs::write(&list, "A\nB\n").expect("written");
    let list = list.to_str().expect("temporary folders have plain names");
    let commands = [
        "redeem A --client 1 --club 1",
        "hold A --client 1 --club 1",
        "confirm 1",
        "release 1",
        "refund 1",
        "top-up 5 --client 1 --club 1 --source cash",
        "refund-top-up 1",
        "bonus credit 5 --client 1",
        "bonus write-off 5 --client 1",
        "bonus pay 5 --client 1 --club 1 --for order",
        "bonus refund 1",
        "spend session 5 --client 1 --club 1",
        "spend purchase 5 --client 1 --club 1",
        "club add Arena",
        "client add 1 --name Ann",
        "group add VIP",
        "campaign create --name Spring --amount 5 LIST",
        "campaign update 1 --amount 5",
        "campaign activate 1",
        "campaign deactivate 1",
        "campaign archive 1",
        "campaign restore 1",
        "codes add 1 LIST",
        "codes generate 1 --count 5",
        "codes archive 1 A",
        "codes restore 1 A",
        "rule create --name Cash --add-bonus 5",
        "rule update 1 --name Cash",
        "rule activate 1",
        "rule deactivate 1",
        "rule archive 1",
        "rule restore 1",
        "token revoke 1",
        "reader keep mine --position 1",
        "reader forget mine",
    ];
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').map(|word| if word == "LIST" { list } else { word }).collect();
        let mut with_id = program(&engine);
        with_id.args(&arguments).args(["--request-id", &id, "--json"]);
        let ran = tokio::task::block_in_place(|| run(&mut with_id, b""));
        assert_eq!(ran.code, 5, "{command}: {ran:#?}");
        assert_eq!(reports_unknown(&ran, true), id, "{command}");
        let ran = tokio::task::block_in_place(|| run(program(&engine).args(&arguments).arg("--json"), b""));
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{command}: {ran:#?}");
    }
    let help = |names: &[&str]| run(scrip().args(names).arg("--help"), b"").exits(0).out;
    let names = |help: &str| -> Vec<String> {
        let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
        let names = lines.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
    };
    let mut with_id = Vec::new();
    for name in names(&help(&[])) {
        // The help of these exits with another code: see `help.rs`.
        let page = run(scrip().args([name.as_str(), "--help"]), b"").out;
        for (path, page) in match names(&page) {
            inner if inner.is_empty() => vec![(name.clone(), page)],
            inner => inner
                .iter()
                .map(|inner| (format!("{name} {inner}"), run(scrip().args([&name, inner]).arg("--help"), b"").out))
                .collect(),
        } {
            if page.contains("--request-id") {
                with_id.push(path);
            }
        }
    }
    let without: Vec<_> = with_id.iter().filter(|path| !commands.iter().any(|command| command.starts_with(*path))).collect();
    assert!(with_id.len() == commands.len() && without.is_empty(), "{without:?} of {with_id:?}");
}
