//! A backup taken while the engine runs restores exactly what was acknowledged up to its position: in full, or up to a position
//! or a time (Z3, Z4, Z11).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use scrip_client::{Client, Tailing};
use scrip_engine::Start;
use scrip_engine::folder::Folder;
use scrip_loadtest::audit::Recount;
use scrip_protocol::batch::Batch;
use scrip_protocol::command::{Redeem, RedeemOutcome, ShowCampaignOutcome, TakeSnapshotOutcome};
use scrip_protocol::{CampaignId, ClubId, Position, RequestId, Role};
use tokio::sync::watch;

use crate::support::{DEADLINE, Ran, Server, campaign, club, files, redemption, run, scrip, start_on, terms};

/// The outcomes that callers received.
type Answers = HashMap<RequestId, RedeemOutcome>;

async fn begin(server: &Server) -> (Client, ClubId) {
    let client = server.client(Role::Operator).await;
    let club = club(&client, "Arena").await;
    campaign(&client, terms("Summer", None, 200), &["SUMMER".to_owned()]).await;
    (client, club)
}

/// Redeems `count` codes at once.
async fn redeem(client: &Client, club: ClubId, count: usize, answers: &mut Answers) {
    let command = |n| (RequestId::now(), redemption(n as u128 % 7 + 1, club, "SUMMER"));
    let commands: Vec<(RequestId, Redeem)> = (0..count).map(command).collect();
    let outcomes = client.redeem_all(&commands).await;
    for ((request, _), outcome) in commands.iter().zip(outcomes) {
        answers.insert(*request, outcome.expect("the engine runs"));
    }
}

/// The outcomes at or before a position.
fn until(answers: &Answers, position: u64) -> Answers {
    let is_included = |outcome: &RedeemOutcome| matches!(outcome, RedeemOutcome::Redeemed(done) if done.activation.0 <= position);
    answers.iter().filter(|(_, outcome)| is_included(outcome)).map(|(request, outcome)| (*request, *outcome)).collect()
}

fn backup(server: &Server, to: &Path) -> Ran {
    run(server.scrip(Role::Operator).args(["backup", "--json", "--to"]).arg(to), b"")
}

fn position_of(backup: &Ran) -> u64 {
    backup.json()[0]["backup"]["position"].as_u64().expect("it prints its position")
}

fn restore(from: &Path, to: &Path, options: &[&str]) -> Ran {
    run(scrip().args(["restore", "--json", "--from"]).arg(from).arg("--data").arg(to).args(options), b"")
}

/// Starts an engine on a restored folder, recounts its journal, and compares it with the outcomes that callers received and with
/// everything the engine reports. Returns the recount.
async fn recounted(server: &Server, folder: &Path, answers: &Answers) -> Recount {
    let anywhere: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let start = Start { listen: Some(anywhere), ..Start::default() };
    let (engine, dial) = start_on(&Folder::at(folder), start, server.token(Role::Operator));
    let mut recount = Recount::of(&dial).await.expect("the journal can be tailed");
    recount.compare_answers(answers);
    let client = Client::connect(dial).await.expect("the engine runs");
    recount.compare_engine(&client, usize::MAX).await.expect("the engine replies");
    assert_eq!(recount.differences().count(), 0, "{:#?}", recount.differences().first());
    drop(client);
    engine.stop().await.expect("the engine stops");
    recount
}

fn verified(folder: &Path) -> serde_json::Value {
    run(scrip().args(["verify", "--json", "--data"]).arg(folder), b"").exits(0).json().remove(0)
}

fn paths(server: &Server) -> [PathBuf; 2] {
    ["backup", "restored"].map(|name| server.scratch().join(name))
}

/// Z4: everything acknowledged before a backup began is in it, and its contents are consistent, though callers never paused.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_has_every_acknowledged_effect_up_to_its_position() {
    let server = Server::start();
    let (client, club) = begin(&server).await;
    let mut before = Answers::new();
    redeem(&client, club, 500, &mut before).await;
    let (stop, stopped) = watch::channel(false);
    let busy = tokio::spawn(async move {
        let mut answers = Answers::new();
        while !*stopped.borrow() {
            redeem(&client, club, 64, &mut answers).await;
        }
        answers
    });
    let [to, data] = paths(&server);
    let taken = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    stop.send_replace(true);
    let mut answers = busy.await.expect("the task only sends requests");
    answers.extend(&before);
    let position = position_of(&taken);
    assert_eq!(until(&before, position).len(), before.len(), "everything acknowledged before it began is in it");
    tokio::task::block_in_place(|| restore(&to, &data, &[])).exits(0);
    let expected = until(&answers, position);
    let recount = recounted(&server, &data, &expected).await;
    assert_eq!(recount.activations, expected.len() as u64, "and nothing else is in it");
}

/// A second run adds only what is new, and the result equals a backup taken at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_continues_where_the_first_ended() {
    let mut server = Server::start();
    let (client, club) = begin(&server).await;
    let mut answers = Answers::new();
    let [to, data] = paths(&server);
    let mut positions = vec![0];
    for round in 0..3 {
        redeem(&client, club, 100 * round, &mut answers).await;
        let taken = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
        positions.push(position_of(&taken));
        let added = positions[positions.len() - 1] - positions[positions.len() - 2];
        assert_eq!(taken.json()[0]["added"].as_u64(), Some(added));
    }
    let again = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    assert_eq!((again.json()[0]["added"].as_u64(), position_of(&again)), (Some(0), positions[3]));
    redeem(&client, club, 10, &mut answers).await;
    drop(client);
    server.terminate();
    // The same without a running engine.
    let offline =
        || run(scrip().args(["backup", "--json", "--offline", "--data"]).arg(server.dir()).arg("--to").arg(&to), b"").exits(0);
    let taken = tokio::task::block_in_place(offline);
    tokio::task::block_in_place(|| restore(&to, &data, &[])).exits(0);
    let (ours, theirs) = tokio::task::block_in_place(|| (verified(&server.dir()), verified(&data)));
    assert_eq!((&ours["position"], &ours["hash"]), (&theirs["position"], &theirs["hash"]));
    assert_eq!(theirs["position"].as_u64(), Some(position_of(&taken)));
    assert_eq!(recounted(&server, &data, &answers).await.activations, 310);
}

/// The batches of the journal: first position, number of records and time.
async fn batches(server: &Server) -> Vec<(u64, u32, u64)> {
    let mut tailing = Tailing::start(server.dial(Role::Operator), Position(1), false).await.expect("the engine runs");
    let mut found = Vec::new();
    while let Some(bytes) = crate::support::within(tailing.next()).await.expect("the journal is intact") {
        let batch = Batch::parse(&bytes).expect("it was checked");
        found.push((batch.first.0, batch.count, batch.time_ms));
    }
    found
}

/// Restores the state at a position, even inside a batch, and at a time. Later records are gone, and are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_to_a_position_and_to_a_time() {
    let server = Server::start();
    let (client, club) = begin(&server).await;
    let mut answers = Answers::new();
    let began = std::time::Instant::now();
    let all = loop {
        redeem(&client, club, 300, &mut answers).await;
        let all = batches(&server).await;
        // Batches of several records, at no fewer than three different times.
        let times: std::collections::BTreeSet<u64> = all.iter().map(|(_, _, time_ms)| *time_ms).collect();
        if all.iter().any(|(first, count, _)| *count > 2 && *first > 10) && times.len() > 3 {
            break all;
        }
        assert!(began.elapsed() < DEADLINE, "requests that arrive together share batches");
    };
    let [to, _] = paths(&server);
    let taken = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    let last = position_of(&taken);

    let within = all.iter().find(|(first, count, _)| *count > 2 && *first > 10).expect("it was waited for");
    let ends = all.iter().rev().nth(1).expect("there are several");
    let time_ms = all[all.len() / 2].2;
    let at_time = all.iter().filter(|(_, _, at)| *at <= time_ms).map(|(first, count, _)| first + u64::from(*count) - 1).max();
    let rfc3339 = |ms: u64| jiff::Timestamp::from_millisecond(ms as i64).expect("a time of today").to_string();
    let cases = [
        (vec!["--to-position".to_owned(), (within.0 + 1).to_string()], within.0 + 1, Some(within.0)),
        (vec!["--to-position".to_owned(), (ends.0 + u64::from(ends.1) - 1).to_string()], ends.0 + u64::from(ends.1) - 1, None),
        (vec!["--to-time".to_owned(), rfc3339(time_ms)], at_time.expect("one is of that time"), None),
        (vec!["--to-position".to_owned(), last.to_string()], last, None),
    ];
    for (nth, (options, position, resealed)) in cases.into_iter().enumerate() {
        let data = server.scratch().join(format!("restored-{nth}"));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let done = tokio::task::block_in_place(|| restore(&to, &data, &options)).exits(0).json().remove(0);
        assert_eq!(done["position"].as_u64(), Some(position), "{options:?}: {done}");
        assert_eq!(done["left_out"].as_u64(), Some(last - position), "{options:?}: {done}");
        assert_eq!(done["resealed"].as_u64(), resealed, "{options:?}: {done}");
        assert_eq!(tokio::task::block_in_place(|| verified(&data))["position"].as_u64(), Some(position));
        let expected = until(&answers, position);
        assert_eq!(recounted(&server, &data, &expected).await.activations, expected.len() as u64, "{options:?}");
    }
    let too_far = ["--to-position".to_owned(), (last + 1).to_string()];
    let too_far: Vec<&str> = too_far.iter().map(String::as_str).collect();
    let refused = tokio::task::block_in_place(|| restore(&to, &server.scratch().join("too-far"), &too_far)).exits(1);
    assert!(refused.err.contains(&format!("the backup ends at position {last}")), "{refused:?}");
    let too_early = ["--to-time", "2001-01-01T00:00:00Z"];
    let refused = tokio::task::block_in_place(|| restore(&to, &server.scratch().join("too-early"), &too_early)).exits(1);
    assert!(refused.err.contains("the backup begins with position 1"), "{refused:?}");
}

/// Z11: a backup is only continued from the journal it was taken of: neither another organisation's nor another history of this
/// one is appended, and its contents stay unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_another_organisation_or_history_is_refused() {
    let server = Server::start();
    let (client, club) = begin(&server).await;
    let mut answers = Answers::new();
    redeem(&client, club, 50, &mut answers).await;
    let [to, data] = paths(&server);
    tokio::task::block_in_place(|| backup(&server, &to)).exits(0);

    let other = Server::start();
    let (client, club) = begin(&other).await;
    let shorter = tokio::task::block_in_place(|| backup(&other, &to)).exits(1);
    assert!(shorter.err.contains("its newest records are missing, or it belongs to another organisation"), "{shorter:?}");
    redeem(&client, club, 100, &mut Answers::new()).await;
    let refused = tokio::task::block_in_place(|| backup(&other, &to)).exits(1);
    assert!(refused.err.contains("another organisation, or of another history of this one"), "{refused:?}");

    // The same organisation as it was before, continued from there.
    tokio::task::block_in_place(|| restore(&to, &data, &["--to-position", "20"])).exits(0);
    let start = Start { listen: Some((Ipv4Addr::LOCALHOST, 0).into()), ..Start::default() };
    let (engine, dial) = start_on(&Folder::at(&data), start, server.token(Role::Operator));
    let client = Client::connect(dial).await.expect("the engine runs");
    redeem(&client, ClubId(1), 100, &mut Answers::new()).await;
    drop(client);
    engine.stop().await.expect("the engine stops");
    let fork = || run(scrip().args(["backup", "--offline", "--data"]).arg(&data).arg("--to").arg(&to), b"");
    let refused = tokio::task::block_in_place(fork).exits(1);
    assert!(refused.err.contains("another history of this one"), "{refused:?}");

    redeem(&server.client(Role::Operator).await, ClubId(1), 5, &mut answers).await;
    let taken = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    assert_eq!(taken.json()[0]["added"].as_u64(), Some(5), "the refused backups left nothing behind");
}

/// A folder with an organisation, or with anything else in it, stays unchanged; an interrupted restore is started over. If the
/// backup has no keys, the command names the files to put back.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_overwrites_nothing() {
    let server = Server::start();
    let (client, club) = begin(&server).await;
    redeem(&client, club, 50, &mut Answers::new()).await;
    let [to, data] = paths(&server);
    let none = restore(&to, &data, &[]).exits(6);
    assert!(none.err.contains("there is no finished backup here"), "{none:?}");
    let taken = || run(server.scrip(Role::Operator).args(["backup", "--without-keys", "--to"]).arg(&to), b"").exits(0);
    tokio::task::block_in_place(taken);
    assert!(files(&to.join("tls")).iter().all(|(path, _)| path.extension().is_some_and(|of| of == "pem")));

    let there = restore(&to, &server.dir(), &[]).exits(6);
    assert!(there.err.contains("already contains an organisation"), "{there:?}");
    std::fs::create_dir(&data).and_then(|()| std::fs::write(data.join("letter.txt"), "Dear all")).expect("it is writable");
    let there = restore(&to, &data, &[]).exits(6);
    assert!(there.err.contains("the folder is not empty"), "{there:?}");
    assert_eq!(files(&data).len(), 1);

    // The state that a killed restore leaves behind.
    std::fs::remove_file(data.join("letter.txt")).expect("it was just written");
    restore(&to, &data, &[]).exits(0);
    std::fs::rename(data.join("scrip.toml"), data.join("restoring")).expect("it exists");
    let refused = run(scrip().args(["serve", "--data"]).arg(&data), b"").exits(6);
    assert!(refused.err.contains("contains no organisation"), "{refused:?}");
    let done = restore(&to, &data, &[]).exits(0).json().remove(0);
    assert_eq!(done["missing"], serde_json::json!(["tls/server.key"]));
    verified(&data);
    assert!(!data.join("restoring").exists());
}

/// Writes more than a MiB of journal.
async fn fill(client: &Client, name: &str) {
    let codes: Vec<String> = (0..20_000).map(|n| format!("{name}-LONG-ENOUGH-{n:048}")).collect();
    campaign(client, terms(name, None, 1), &codes).await;
    club(client, name).await;
}

/// Z4, Z11: a backup of a journal whose first records were dropped begins with a snapshot and continues after it; it can be
/// verified and restored. An earlier backup can be continued as long as the journal still has the next records, and stays
/// unchanged otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_journal_without_its_beginning_starts_with_a_snapshot() {
    let mut server = Server::start_with(&["--segment-mib", "1"]);
    server.terminate();
    let path = server.dir().join("scrip.toml");
    let text = std::fs::read_to_string(&path).expect("init created it");
    std::fs::write(&path, text.replace("journal = \"all\"", "journal = \"needed\"")).expect("it is writable");
    server.restart();
    let (client, arena) = begin(&server).await;
    let [to, data] = paths(&server);
    let old = server.scratch().join("old");
    tokio::task::block_in_place(|| backup(&server, &old)).exits(0);
    let mut segments = Vec::new();
    for name in ["ONE", "TWO", "SIX"] {
        fill(&client, name).await;
        let taken = client.take_snapshot(DEADLINE).await.expect("a reply");
        assert!(matches!(taken, TakeSnapshotOutcome::Taken(_)), "{taken}");
        segments = files(&server.dir().join("journal")).into_iter().map(|(path, _)| path).collect();
    }
    assert!(
        !segments.iter().any(|path| path.ends_with("00000000000000000001.redb")),
        "the first segment was dropped: {segments:?}"
    );
    let live = |server: &Server| run(server.scrip(Role::Operator).args(["verify", "--live", "--json"]), b"");
    let found = tokio::task::block_in_place(|| live(&server)).exits(0).json().remove(0);
    assert!(found["began_after"].as_u64() > Some(0) && found["difference"].is_null(), "{found}");

    let before = files(&old.join("journal"));
    let refused = tokio::task::block_in_place(|| backup(&server, &old)).exits(1);
    assert!(refused.err.contains("the records between were dropped; take a new backup"), "{refused:?}");
    assert_eq!(files(&old.join("journal")), before);

    let taken = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    let begins_after = taken.json()[0]["backup"]["begins_after"].as_u64();
    assert!(begins_after > Some(0), "{taken:?}");
    // A first run that was cut short leaves no manifest, and what it had copied by then.
    let manifest = to.join("backup.toml");
    std::fs::remove_file(&manifest).expect("it was just written");
    let continued = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    assert_eq!(continued.json()[0]["backup"]["begins_after"].as_u64(), begins_after);
    assert!(position_of(&continued) >= position_of(&taken));
    let taken = continued;
    for left in ["", "lock", "00000000000000000009.redb.new"] {
        let cut = server.scratch().join(format!("cut-{left}"));
        std::fs::create_dir_all(cut.join("journal")).expect("it is writable");
        if !left.is_empty() {
            std::fs::write(cut.join("journal").join(left), "").expect("it is writable");
        }
        let done = tokio::task::block_in_place(|| backup(&server, &cut)).exits(0);
        assert_eq!(done.json()[0]["backup"]["begins_after"].as_u64(), begins_after, "after {left}");
    }
    let early = server.scratch().join("early");
    let done = tokio::task::block_in_place(|| restore(&to, &early, &[])).exits(0).json().remove(0);
    assert_eq!(done["position"].as_u64(), Some(position_of(&taken)), "{done}");
    assert_eq!(tokio::task::block_in_place(|| verified(&early))["position"], done["position"]);

    let mut answers = Answers::new();
    redeem(&client, arena, 200, &mut answers).await;
    let again = tokio::task::block_in_place(|| backup(&server, &to)).exits(0);
    assert_eq!(
        (again.json()[0]["added"].as_u64(), &again.json()[0]["backup"]["begins_after"]),
        (Some(200), &begins_after.into())
    );
    drop(client);
    server.terminate();
    let offline = |folder: &Path| {
        run(scrip().args(["backup", "--offline", "--json", "--data"]).arg(server.dir()).arg("--to").arg(folder), b"")
    };
    let fresh = server.scratch().join("fresh");
    for folder in [&to, &fresh] {
        let taken = tokio::task::block_in_place(|| offline(folder)).exits(0);
        assert_eq!(position_of(&taken), position_of(&again));
    }
    tokio::task::block_in_place(|| offline(&old)).exits(1);
    let ours = tokio::task::block_in_place(|| verified(&server.dir()));
    for (nth, folder) in [&to, &fresh].into_iter().enumerate() {
        let data = data.with_extension(nth.to_string());
        tokio::task::block_in_place(|| restore(folder, &data, &[])).exits(0);
        let theirs = tokio::task::block_in_place(|| verified(&data));
        assert_eq!((&ours["position"], &ours["hash"]), (&theirs["position"], &theirs["hash"]));
        let start = Start { listen: Some((Ipv4Addr::LOCALHOST, 0).into()), ..Start::default() };
        let (engine, dial) = start_on(&Folder::at(&data), start, server.token(Role::Operator));
        let client = Client::connect(dial).await.expect("the engine runs");
        let shown = client.show_campaign(CampaignId(1)).await.expect("a reply");
        let ShowCampaignOutcome::Campaign(card) = shown else { panic!("{shown:?}") };
        assert_eq!(card.activations, answers.len() as u64);
        drop(client);
        engine.stop().await.expect("the engine stops");
    }
    // With only one snapshot and no records after it: the snapshot is restored.
    let (only, again) = (server.scratch().join("only"), server.scratch().join("again"));
    let mut snapshots = files(&server.dir().join("snapshots"));
    snapshots.sort();
    std::fs::remove_file(&snapshots[0].0).expect("it exists");
    let taken = tokio::task::block_in_place(|| offline(&only)).exits(0);
    assert_eq!((&taken.json()[0]["added"], &taken.json()[0]["backup"]["begins_after"]), (&0.into(), &ours["position"]));
    let done = tokio::task::block_in_place(|| restore(&only, &again, &[])).exits(0).json().remove(0);
    assert_eq!((&done["position"], &done["snapshot"]), (&ours["position"], &ours["position"]));
    assert_eq!(tokio::task::block_in_place(|| verified(&again))["hash"], ours["hash"]);
    // Nothing can be restored to a time or a position before the snapshot that it begins with.
    let refused = tokio::task::block_in_place(|| restore(&to, &data, &["--to-position", "5"])).exits(1);
    assert!(refused.err.contains("the requested point is before it"), "{refused:?}");
}
