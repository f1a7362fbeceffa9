//! A server with its engine in this process, so that tests can observe the engine.

use std::collections::HashMap;
use std::time::Duration;

use scrip_client::{Client, Dial, Dialled};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, ArchiveCampaign, ArchiveCampaignOutcome, Check, CodeTexts, CreateCampaign, CreateCampaignOutcome,
    GenerateCodes, GenerateCodesOutcome, OnConflict, RegisterClub, RestoreCampaign, ShowClient, ShowStatus, Terms,
};
use scrip_protocol::frame::{FrameBuffer, REPLY_BYTES_MAX, push_request};
use scrip_protocol::{CampaignId, ClientId, ClubId, Command, CredentialId, Money, Refusal, RequestId, Role, Settings};

use crate::folder::{Config, Folder};
use crate::server::ServerLimits;
use crate::{Engine, Start};
use scrip_core::guard::GuardLimits;

const DEADLINE: Duration = Duration::from_secs(60);

fn engine() -> (tempfile::TempDir, Engine, Dial) {
    engine_for(Role::Operator)
}

/// An engine, and how a caller with a role connects to it.
fn engine_for(role: Role) -> (tempfile::TempDir, Engine, Dial) {
    engine_with(role, Start::default())
}

fn engine_with(role: Role, start: Start) -> (tempfile::TempDir, Engine, Dial) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Folder::at(dir.path().join("data"));
    let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
    let issued = folder.init(&config, &[]).expect("an empty folder");
    let issued = issued.into_iter().find(|issued| issued.credential.role == role).expect("one for each role");
    let engine = tokio::task::block_in_place(|| Engine::start(&folder, start, &mut |_| {})).expect("it is well");
    let authority = std::fs::read(folder.ca_path()).expect("init has made it");
    let dial = Dial::new(&engine.address().to_string(), authority, &issued.token).expect("an address");
    (dir, engine, dial)
}

async fn campaign(client: &Client, name: &str) -> CampaignId {
    let lines: CodeTexts = [format!("{name}-1")].into_iter().collect();
    let request = CreateCampaign { terms: Terms::new(name, Money(1)), lines, on_conflict: OnConflict::Reject };
    let outcome = client.create_campaign(RequestId::now(), &request).await.expect("an answer");
    let CreateCampaignOutcome::Created { campaign, .. } = outcome else { panic!("{outcome}") };
    campaign
}

/// Sends requests at once on a lane, and returns the answers in the order of the requests.
async fn ask_all<C: Command>(dial: &Dial, requests: &[(RequestId, C)]) -> Vec<Result<C::Outcome, Refusal>> {
    // The endpoint must live as long as the connection.
    let Dialled { endpoint: _endpoint, connection: _connection, mut send, mut receive, .. } =
        dial.connect().await.expect("it listens");
    let mut bytes = Vec::new();
    for (correlation, (id, request)) in (0..).zip(requests) {
        push_request(&mut bytes, correlation, *id, request);
    }
    send.write_all(&bytes).await.expect("it is taken");
    let (mut frames, mut answers, mut piece) = (FrameBuffer::default(), HashMap::new(), vec![0; 64 << 10]);
    while answers.len() < requests.len() {
        let read = tokio::time::timeout(DEADLINE, receive.read(&mut piece)).await.expect("in time");
        frames.extend(&piece[..read.expect("it is connected").expect("the lane is open")]);
        while let Some(frame) = frames.next(REPLY_BYTES_MAX).expect("frames") {
            answers.insert(frame.correlation, frame.reply::<C>().expect("a reply to it"));
        }
    }
    (0..requests.len() as u64).map(|correlation| answers.remove(&correlation).expect("one answer each")).collect()
}

/// A list is not decoded before there is memory for it; earlier requests of its lane are answered meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_waits_for_memory_without_delaying_earlier_requests() {
    let (_dir, engine, dial) = engine();
    let client = Client::connect(dial.clone()).await.expect("it listens");
    let campaign = campaign(&client, "listed").await;
    let shares: Vec<_> = (1..=5).map(|credential| engine.totals().share_of(CredentialId(credential))).collect();
    let mut held = Vec::new();
    for share in &shares {
        // The shares of all credentials.
        held.extend(share.list(48 << 20).await);
    }
    let Dialled { endpoint: _endpoint, connection: _connection, mut send, mut receive, .. } =
        dial.connect().await.expect("it listens");
    let add =
        AddCodes { campaign, lines: ["NEW".to_owned()].into_iter().collect(), first_line: 1, on_conflict: OnConflict::Reject };
    let mut bytes = Vec::new();
    push_request(&mut bytes, 1, RequestId::now(), &RegisterClub { name: "first".into() });
    push_request(&mut bytes, 2, RequestId::now(), &add);
    send.write_all(&bytes).await.expect("it is taken");
    let (mut frames, mut answered, mut piece) = (FrameBuffer::default(), Vec::new(), vec![0; 64 << 10]);
    while answered.len() < 2 {
        let read = tokio::time::timeout(DEADLINE, receive.read(&mut piece)).await.expect("in time");
        frames.extend(&piece[..read.expect("it is connected").expect("the lane is open")]);
        while let Some(frame) = frames.next(REPLY_BYTES_MAX).expect("frames") {
            answered.push(frame.correlation);
        }
        if !held.is_empty() {
            assert_eq!(answered, [1]);
            held.clear();
        }
    }
    assert_eq!(answered, [1, 2]);
    drop(client);
    engine.stop().await.expect("the journal is well");
}

/// Short replies do not wait for the memory of long ones, however many requests their lane sends: only a long reply does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_replies_do_not_wait_behind_the_long_ones_of_others() {
    let (_dir, engine, dial) = engine();
    // The endpoint must live as long as the connection.
    let Dialled { endpoint: _endpoint, connection: _connection, mut send, mut receive, .. } =
        dial.connect().await.expect("it listens");
    let shares: Vec<_> = (101..=104).map(|credential| engine.totals().share_of(CredentialId(credential))).collect();
    let mut held = Vec::new();
    for share in &shares {
        held.push(share.reserve(16 << 20, true).await);
    }
    let mut bytes = Vec::new();
    let register = |name: &str| RegisterClub { name: name.into() };
    let codes = vec!["c".repeat(64); 50];
    // More than 64 KiB of replies, none of them longer than that.
    for correlation in 0..300 {
        match correlation % 3 {
            0 => push_request(&mut bytes, correlation, RequestId::now(), &ShowClient { client: ClientId(correlation.into()) }),
            1 => push_request(&mut bytes, correlation, RequestId::now(), &Check::new(ClubId(0), codes.clone())),
            _ => push_request(&mut bytes, correlation, RequestId::now(), &register(&format!("club {correlation}"))),
        }
    }
    push_request(&mut bytes, 300, RequestId::now(), &register("before"));
    push_request(&mut bytes, 301, RequestId::now(), &RestoreCampaign { campaign: CampaignId(99) });
    push_request(&mut bytes, 302, RequestId::now(), &register("after"));
    send.write_all(&bytes).await.expect("it is taken");
    let (mut frames, mut answered, mut piece) = (FrameBuffer::default(), Vec::new(), vec![0; 64 << 10]);
    while answered.len() < 303 {
        let read = tokio::time::timeout(DEADLINE, receive.read(&mut piece)).await.expect("in time");
        frames.extend(&piece[..read.expect("it is connected").expect("the lane is open")]);
        while let Some(frame) = frames.next(REPLY_BYTES_MAX).expect("frames") {
            answered.push(frame.correlation);
        }
        if answered.len() == 301 {
            assert!(!answered.contains(&301), "a long reply waits for memory");
            held.clear();
        }
    }
    engine.stop().await.expect("the journal is well");
}

/// A list whose reply has no room does not keep the memory for lists from others: it is refused after some time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_waits_for_its_reply_gives_its_memory_back() {
    let server_limits = ServerLimits { large_frame: Duration::from_millis(300), ..ServerLimits::default() };
    let (_dir, engine, dial) = engine_with(Role::Operator, Start { server_limits, ..Start::default() });
    let shares: Vec<_> = (101..=104).map(|credential| engine.totals().share_of(CredentialId(credential))).collect();
    let mut held = Vec::new();
    for share in &shares {
        held.push(share.reserve(16 << 20, true).await);
    }
    let lines = (0..2_000).map(|number| format!("C{number}")).collect();
    let add = AddCodes { campaign: CampaignId(1), lines, first_line: 1, on_conflict: OnConflict::Reject };
    let answers = ask_all(&dial, &[(RequestId::now(), add)]).await;
    assert!(matches!(answers[0], Err(Refusal::Busy { .. })), "{answers:?}");
    let mut lists = Vec::new();
    for credential in 1..=5 {
        let share = engine.totals().share_of(CredentialId(credential));
        lists.push(tokio::time::timeout(DEADLINE, share.list(48 << 20)).await.expect("the memory is free again"));
    }
    drop((held, lists));
    engine.stop().await.expect("the journal is well");
}

/// A caller that may not send lists neither waits for their memory nor uses any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_list_takes_no_memory() {
    let (_dir, engine, dial) = engine_for(Role::Reporter);
    let shares: Vec<_> = (1..=5).map(|credential| engine.totals().share_of(CredentialId(credential))).collect();
    let mut held = Vec::new();
    for share in &shares {
        held.extend(share.list(48 << 20).await);
    }
    let lines = ["NEW".to_owned()].into_iter().collect();
    let add = AddCodes { campaign: CampaignId(1), lines, first_line: 1, on_conflict: OnConflict::Reject };
    let answers = ask_all(&dial, &[(RequestId::now(), add)]).await;
    assert!(matches!(answers[0], Err(Refusal::Forbidden { role: Role::Reporter })), "{answers:?}");
    drop(held);
    engine.stop().await.expect("the engine stops cleanly");
}

/// A status is read only once there is memory for its reply, so that statuses that wait use none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_waits_for_bytes_is_not_yet_made() {
    let (_dir, engine, dial) = engine();
    let client = Client::connect(dial.clone()).await.expect("it listens");
    let shares: Vec<_> = (101..=108).map(|credential| engine.totals().share_of(CredentialId(credential))).collect();
    let mut held = Vec::new();
    for share in &shares {
        for _ in 0..32 {
            held.push(share.reserve(64 << 10, false).await);
        }
    }
    let mut dialled = dial.connect().await.expect("it listens");
    let mut bytes = Vec::new();
    push_request(&mut bytes, 1, RequestId::now(), &RegisterClub { name: "before".into() });
    push_request(&mut bytes, 2, RequestId::now(), &ShowStatus {});
    dialled.send.write_all(&bytes).await.expect("it is taken");
    let (mut frames, mut piece) = (FrameBuffer::default(), vec![0; 64 << 10]);
    let mut read = async || {
        loop {
            if let Some(frame) = frames.next(REPLY_BYTES_MAX).expect("frames") {
                return (frame.correlation, frame.reply::<ShowStatus>().ok());
            }
            let read = tokio::time::timeout(DEADLINE, dialled.receive.read(&mut piece)).await.expect("in time");
            frames.extend(&piece[..read.expect("it is connected").expect("the lane is open")]);
        }
    };
    assert_eq!(read().await.0, 1, "what was sent before the status is answered");
    // Long enough to read it, were it read now.
    for number in 0..50 {
        client.call(RequestId::now(), &RegisterClub { name: format!("club {number}") }).await.expect("an answer");
    }
    drop(held);
    let (2, Some(Ok(status))) = read().await else { panic!("it is a status") };
    assert_eq!(status.requests.iter().find(|of| of.word == RegisterClub::KIND.word()).map(|of| of.count), Some(51));
    drop(client);
    engine.stop().await.expect("the journal is well");
}

/// A status whose reply waits for memory leaves the permits to read the journal to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_waits_for_bytes_holds_no_turn_to_read_the_journal() {
    let (_dir, engine, dial) = engine();
    let client = Client::connect(dial.clone()).await.expect("it listens");
    let shares: Vec<_> = (1..=5).map(|credential| engine.totals().share_of(CredentialId(credential))).collect();
    let mut held = Vec::new();
    for share in &shares {
        for _ in 0..32 {
            held.push(share.reserve(64 << 10, false).await);
        }
    }
    let mut lanes = Vec::new();
    for lane in 0..2 {
        let mut dialled = dial.connect().await.expect("it listens");
        let mut bytes = Vec::new();
        push_request(&mut bytes, 1, RequestId::now(), &RegisterClub { name: format!("club {lane}") });
        push_request(&mut bytes, 2, RequestId::now(), &ShowStatus {});
        dialled.send.write_all(&bytes).await.expect("it is taken");
        let mut piece = vec![0; 1 << 10];
        let read = tokio::time::timeout(DEADLINE, dialled.receive.read(&mut piece)).await.expect("in time");
        assert!(read.expect("it is connected").is_some(), "what was sent before the status is answered");
        lanes.push(dialled);
    }
    let mut turns = Vec::new();
    for share in shares[..4].iter().flat_map(|share| [share, share]) {
        turns.push(tokio::time::timeout(DEADLINE, share.lookup()).await.expect("all turns are free"));
    }
    drop((turns, held));
    for mut dialled in lanes {
        let mut piece = vec![0; 1 << 10];
        let read = tokio::time::timeout(DEADLINE, dialled.receive.read(&mut piece)).await.expect("in time");
        assert!(read.expect("it is connected").is_some(), "the status is answered");
    }
    drop(client);
    engine.stop().await.expect("the journal is well");
}

/// A lane with several lists, of more memory than its credential may use for them, gets an answer to each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_beyond_the_share_of_a_credential_wait_and_are_answered() {
    let (_dir, engine, dial) = engine();
    let client = Client::connect(dial.clone()).await.expect("it listens");
    let campaign = campaign(&client, "listed").await;
    let lists = |lane: u32| -> Vec<_> {
        let list = |number: u32| {
            // Blank lines in a frame that does not count as large; every third list is short.
            let blank = if number.is_multiple_of(3) { 10 } else { 15_900 };
            let lines = std::iter::repeat_n(String::new(), blank).chain([format!("L{lane}-{number}")]).collect();
            (RequestId::now(), AddCodes { campaign, lines, first_line: 1, on_conflict: OnConflict::Reject })
        };
        (0..12).map(list).collect()
    };
    let (first, second, third) = (lists(1), lists(2), lists(3));
    let answers = tokio::join!(ask_all(&dial, &first), ask_all(&dial, &second), ask_all(&dial, &third));
    for answer in [answers.0, answers.1, answers.2].concat() {
        assert!(matches!(answer, Ok(AddCodesOutcome::Added { .. })), "{answer:?}");
    }
    drop(client);
    engine.stop().await.expect("the journal is well");
}

/// Codes are only walked for new requests about a campaign that accepts codes, and for one request of a credential at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_changes_nothing_costs_nothing() {
    let (_dir, engine, dial) = engine();
    let client = Client::connect(dial.clone()).await.expect("it listens");
    let (live, archived) = (campaign(&client, "live").await, campaign(&client, "archived").await);
    let outcome = client.call(RequestId::now(), &ArchiveCampaign { campaign: archived }).await.expect("an answer");
    assert!(matches!(outcome, ArchiveCampaignOutcome::Archived { .. }), "{outcome}");
    let of = |campaign, count| GenerateCodes { campaign, count, pattern: "****************".into(), alphabet: String::new() };
    let id = RequestId::now();
    let first = client.call(id, &of(live, 3)).await.expect("an answer");
    assert!(matches!(first, GenerateCodesOutcome::Generated { first_slot: 1, codes: 3, .. }), "{first}");
    assert_eq!(engine.index().walks(), 1);
    for (request, expected) in [
        (of(live, 3), Ok(first)),
        (of(live, 4), Err(Refusal::RequestIdReused)),
        (of(CampaignId(99), 3), Err(Refusal::RequestIdReused)),
    ] {
        assert_eq!(ask_all(&dial, &[(id, request)]).await, [expected], "a retry");
    }
    let unknown = client.call(RequestId::now(), &of(CampaignId(99), 3)).await.expect("an answer");
    assert_eq!(unknown, GenerateCodesOutcome::UnknownCampaign);
    let refused = client.call(RequestId::now(), &of(archived, 3)).await.expect("an answer");
    assert_eq!(refused, GenerateCodesOutcome::CampaignArchived);
    assert_eq!(engine.index().walks(), 1);
    // One of these is in progress at a time, and all that arrive meanwhile are `Busy`, except duplicates.
    let mut many: Vec<_> = (0..300).map(|_| (RequestId::now(), of(live, 2_000))).collect();
    many.push((id, of(live, 3)));
    let answers = ask_all(&dial, &many).await;
    let generated = answers.iter().filter(|answer| matches!(answer, Ok(GenerateCodesOutcome::Generated { .. }))).count();
    let busy = answers.iter().filter(|answer| matches!(answer, Err(Refusal::Busy { .. }))).count();
    assert_eq!((generated + busy, &answers[300]), (301, &Ok(first)));
    assert!((2..50).contains(&generated), "{generated} of 300 at once were done");
    assert_eq!(engine.index().walks(), generated as u64);
    drop(client);
    engine.stop().await.expect("the journal is well");
}
