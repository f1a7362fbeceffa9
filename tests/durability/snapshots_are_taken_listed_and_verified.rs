//! Snapshots from outside: taken while redemptions continue, listed, verified; journal that is no longer needed is dropped only
//! if the settings allow it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use scrip_client::{Client, TailError, Tailing};
use scrip_core::state::State;
use scrip_engine::snapshot::Snapshot;
use scrip_journal::disk::OsDisk;
use scrip_protocol::batch::{Batch, ChainEnd};
use scrip_protocol::command::{
    KeepReaderOutcome, Note, RedeemOutcome, RefundOutcome, RefundTopUp, RefundTopUpOutcome, RehearseRule, RehearseRuleOutcome,
    TakeSnapshotOutcome, TopUpOutcome,
};
use scrip_protocol::{Position, RequestId, Role, RuleId};

use crate::support::{DEADLINE, Server, campaign, club, files, redemption, rule, run, scrip, terms, top_up};

/// This many codes of this length make more than a MiB of journal.
const CODES_OF_A_MIB: usize = 20_000;

async fn take(client: &Client) -> TakeSnapshotOutcome {
    client.take_snapshot(DEADLINE).await.expect("a reply")
}

#[track_caller]
fn position_of(outcome: &TakeSnapshotOutcome) -> Position {
    let TakeSnapshotOutcome::Taken(taken) = outcome else { panic!("{outcome}") };
    taken.position
}

fn snapshot_path(server: &Server, position: Position) -> PathBuf {
    server.dir().join(format!("snapshots/{:020}.snapshot", position.0))
}

/// The state that the journal yields up to a position, from its first record on.
async fn replayed(server: &Server, up_to: Position) -> (State, ChainEnd) {
    let mut tailing = Tailing::start(server.dial(Role::Reporter), Position(1), false).await.expect("a tail");
    let (mut state, mut end) = (State::default(), ChainEnd::default());
    while end.position < up_to {
        let bytes = crate::support::within(tailing.next()).await.expect("it continues").expect("it has not ended");
        let batch = Batch::parse(&bytes).expect("a tail checks it");
        batch.follow(&mut end).expect("a tail checks the chain");
        batch.records().for_each(|record| {
            state.apply(batch.time(), &record.expect("it is valid").1);
        });
    }
    (state, end)
}

/// Z4, Z10: snapshots taken while codes are redeemed equal the state that the journal yields, to the last record and the last
/// counter. Redemptions continue meanwhile, two snapshots are kept, and by default no journal is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_under_load_agrees_with_the_journal() {
    let server = Server::start_with(&["--segment-mib", "1"]);
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let codes: Vec<String> = (0..CODES_OF_A_MIB).map(|number| format!("A-CODE-THAT-IS-LONG-ENOUGH-{number:032}")).collect();
    campaign(&operator, terms("Spring", Some(1), 100), &codes).await;
    let (ended, redeemed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load = {
        let (ended, redeemed, client) = (ended.clone(), redeemed.clone(), server.client(Role::Gateway).await);
        tokio::spawn(async move {
            let mut outcomes = HashMap::new();
            for some in codes.chunks(20) {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let commands: Vec<_> = some.iter().map(|code| (RequestId::now(), redemption(7, arena, code))).collect();
                for ((request, _), outcome) in commands.iter().zip(client.redeem_all(&commands).await) {
                    outcomes.insert(*request, outcome.expect("it gets a reply while a snapshot is taken"));
                }
                redeemed.fetch_add(some.len() as u64, Ordering::Relaxed);
            }
            outcomes
        })
    };
    let mut taken = Vec::new();
    while taken.len() < 4 {
        let before = redeemed.load(Ordering::Relaxed);
        let outcome = take(&operator).await;
        taken.push(position_of(&outcome));
        // So that there is something new for the next one.
        crate::support::wait_until(DEADLINE, "redemptions continue", || {
            (load.is_finished() || redeemed.load(Ordering::Relaxed) > before).then_some(())
        });
        if load.is_finished() {
            break;
        }
    }
    ended.store(true, Ordering::Relaxed);
    let outcomes = load.await.expect("every redemption gets a reply");
    assert!(outcomes.values().all(|outcome| matches!(outcome, RedeemOutcome::Redeemed(_))));
    assert!(taken.len() >= 2 && taken.is_sorted(), "{taken:?}");
    let newest = &taken[taken.len() - 2..];
    assert_eq!(files(&server.dir().join("snapshots")).len(), 2, "two generations are kept");
    for position in newest {
        let snapshot = Snapshot::open(&OsDisk, &snapshot_path(&server, *position)).expect("it exists");
        snapshot.verify(&mut |_| {}).expect("it is intact");
        let (state, end) = replayed(&server, *position).await;
        assert_eq!(snapshot.header().end, end);
        assert!(snapshot.state().expect("it is intact") == state, "the snapshot up to {position} differs from the journal");
    }
    server.audited(&outcomes).await;
}

/// The output for people and for scripts: taken, nothing new, listed with their contents, verified, and which of them is damaged.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_listed_and_verified_from_the_command_line() {
    let server = Server::start();
    let snapshot = |args: &[&str]| run(server.scrip(Role::Operator).arg("snapshot").args(args), b"");
    assert_eq!(snapshot(&["list"]).exits(0).out, "there are no snapshots\n");
    assert_eq!(snapshot(&["verify"]).exits(0).out, "there are no snapshots\n");
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let codes: Vec<String> = (0..1_500).map(|number| format!("CODE-{number}")).collect();
    campaign(&operator, terms("Spring", Some(1), 100), &codes).await;
    operator.redeem(RequestId::now(), &redemption(7, arena, "CODE-7")).await.expect("a reply");

    let created = snapshot(&["create"]).exits(0).out;
    assert!(created.starts_with("taken up to position 9: 1,500 codes, ") && created.contains(", in "), "{created}");
    assert_eq!(snapshot(&["create"]).exits(0).out, "nothing new since the snapshot of position 9\n");
    let again = &snapshot(&["create", "--json"]).exits(0).json()[0];
    assert_eq!(again, &serde_json::json!({ "nothing_new": { "since": 9 } }));
    club(&operator, "Belvedere").await;
    let created = &snapshot(&["create", "--json"]).exits(0).json()[0]["taken"];
    assert_eq!((created["position"].as_u64(), created["codes"].as_u64()), (Some(10), Some(1_500)));

    let listed = snapshot(&["list", "--json"]).exits(0).json();
    assert_eq!(listed.iter().map(|one| one["position"].as_u64()).collect::<Vec<_>>(), [Some(10), Some(9)]);
    let counts = serde_json::json!({ "campaigns": 1, "codes": 1_500, "clients": 1, "requests": 4 });
    assert_eq!(listed[0]["counts"], counts);
    let path = snapshot_path(&server, Position(10));
    assert_eq!(listed[0]["path"].as_str().map(Path::new), Some(path.as_path()));
    assert_eq!(listed[0]["bytes"], created["bytes"]);
    let table = snapshot(&["list"]).exits(0).out;
    let head: Vec<_> = table.lines().next().expect("a head").split_whitespace().collect();
    assert_eq!(head, ["POSITION", "TIME", "AGE", "CAMPAIGNS", "CODES", "CLIENTS", "REQUESTS", "SIZE", "HASH"]);
    let hash = listed[0]["hash"].as_str().expect("a hash");
    assert_eq!(hash.len(), 64);
    assert!(table.lines().nth(1).expect("a row").ends_with(&hash[..12]), "{table}");

    let verified = snapshot(&["verify"]).exits(0).out;
    assert_eq!(verified.lines().count(), 2);
    assert!(verified.lines().all(|line| line.starts_with("whole: ")), "{verified}");
    let one = snapshot(&["verify", path.to_str().expect("a path"), "--json"]).exits(0).json();
    assert_eq!((one.len(), &one[0]["whole"], &one[0]["position"]), (1, &true.into(), &10.into()));

    // Whichever section is changed: the file is named, and the other one is intact.
    let bytes = std::fs::read(&path).expect("it exists");
    let header = Snapshot::open(&OsDisk, &path).expect("it is intact").header().clone();
    let parts = header.sections.iter().filter(|section| section.bytes > 0);
    let ends = parts.flat_map(|section| [section.offset as usize, (section.offset + section.bytes - 1) as usize]);
    for at in std::iter::once(0).chain(ends) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        // Under another name first: the engine may be reading it in place.
        let other = server.scratch().join("changed");
        std::fs::write(&other, changed).expect("it is writable");
        std::fs::rename(&other, &path).expect("it can be renamed");
        let ran = snapshot(&["verify"]).exits(6);
        let lines: Vec<_> = ran.out.lines().collect();
        assert_eq!(lines.len(), 2, "{ran:?}");
        assert!(lines[0].starts_with("damaged: ") && lines[0].contains(path.to_str().expect("a path")), "byte {at}: {ran:?}");
        assert!(lines[1].starts_with("whole: "), "{ran:?}");
        let ran = snapshot(&["verify", "--json"]).exits(6).json();
        assert_eq!((&ran[0]["whole"], &ran[1]["whole"]), (&false.into(), &true.into()), "byte {at}: {ran:?}");
        assert!(ran[0]["why"].is_string(), "{ran:?}");
    }
    let nowhere = server.scratch().join("nowhere");
    run(server.scrip(Role::Operator).args(["snapshot", "list", "--data"]).arg(&nowhere), b"").exits(6);
    run(server.scrip(Role::Operator).args(["snapshot", "verify"]).arg(&nowhere), b"").exits(6);
    for role in [Role::Gateway, Role::Marketing, Role::Cashier, Role::Reporter] {
        run(server.scrip(role).args(["snapshot", "create"]), b"").exits(4);
    }
}

/// Journal that both snapshots and every registered reader have passed is dropped, and tails, refunds, rehearsals (Z2, Z12) and
/// late readers get an error that says so. Nothing else is dropped, and a start continues from there.
#[tokio::test(flavor = "multi_thread")]
async fn journal_that_nobody_needs_is_dropped_and_reported_as_dropped() {
    let mut server = Server::start_with(&["--segment-mib", "1"]);
    server.terminate();
    let path = server.dir().join("scrip.toml");
    let text = std::fs::read_to_string(&path).expect("init created it");
    assert!(text.contains("journal = \"all\""), "{text}");
    std::fs::write(&path, text.replace("journal = \"all\"", "journal = \"needed\"")).expect("it is writable");
    server.restart();

    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let codes = |mark: &str| -> Vec<String> { (0..CODES_OF_A_MIB).map(|n| format!("{mark}-LONG-ENOUGH-{n:048}")).collect() };
    campaign(&operator, terms("Small", None, 100), &["SMALL".to_owned()]).await;
    let outcome = operator.redeem(RequestId::now(), &redemption(7, arena, "SMALL")).await.expect("a reply");
    let RedeemOutcome::Redeemed(activated) = outcome else { panic!("{outcome}") };
    let outcome = operator.call(RequestId::now(), &top_up(7, arena, 10_000)).await.expect("a reply");
    let TopUpOutcome::ToppedUp(topped_up) = outcome else { panic!("{outcome}") };
    // Each fills a segment; the record after it is the first of the next.
    campaign(&operator, terms("One", None, 1), &codes("ONE")).await;
    club(&operator, "First of the second").await;
    let one = position_of(&take(&operator).await);
    campaign(&operator, terms("Two", None, 1), &codes("TWO")).await;
    club(&operator, "First of the third").await;
    let reader = |position: Position| {
        let args = ["reader", "keep", "reports", "--position", &position.to_string()].map(str::to_owned);
        run(server.scrip(Role::Reporter).args(args), b"")
    };
    reader(activated.activation).exits(0);
    take(&operator).await;
    let tail = |from: Position| run(server.scrip(Role::Reporter).args(["tail", "--from", &from.to_string()]), b"");
    assert!(tail(Position(1)).exits(0).out.starts_with("{\"position\":1,"), "the reader has not passed the first segment");

    reader(one).exits(0);
    assert!(reader(activated.activation).exits(1).out.contains("cannot move back"));
    let listed = run(server.scrip(Role::Reporter).args(["reader", "list", "--json"]), b"").exits(0).json();
    assert_eq!((&listed[0]["readers"][0]["name"], &listed[0]["readers"][0]["position"]), (&"reports".into(), &one.0.into()));
    take(&operator).await;

    let dropped = format!("the journal begins at position {one}");
    let check = async |server: &Server| {
        let tail = |from: Position| run(server.scrip(Role::Reporter).args(["tail", "--from", &from.to_string()]), b"");
        let ran = tail(Position(1)).exits(1);
        assert!(ran.out.is_empty() && ran.err.contains(&dropped), "{ran:?}");
        let first = tail(one).exits(0);
        assert!(first.out.starts_with(&format!("{{\"position\":{one},")), "{first:?}");
        let operator = server.client(Role::Operator).await;
        let mut tailing = Tailing::start(server.dial(Role::Reporter), Position(one.0 - 1), true).await.expect("a tail");
        assert!(matches!(crate::support::within(tailing.next()).await, Err(TailError::Dropped { first }) if first == one));
        let refund = operator.refund(RequestId::now(), activated.activation, true).await.expect("a reply");
        assert_eq!(refund, RefundOutcome::NotKept { first: one });
        let command = RefundTopUp { top_up: topped_up.top_up, amount: None, claw_back: false, note: Note::default() };
        let refund = operator.call(RequestId::now(), &command).await.expect("a reply");
        assert_eq!(refund, RefundTopUpOutcome::NotKept { first: one });
        let terms = rule("Draft", "", "1");
        let query = RehearseRule { terms, replaces: RuleId(0), from_ms: 0, to_ms: u64::MAX };
        let rehearsal = operator.rehearse_rule(&query, DEADLINE).await.expect("a reply");
        let RehearseRuleOutcome::NotKept { first, first_ms } = rehearsal else { panic!("{rehearsal}") };
        assert_eq!(first, one);
        let query = RehearseRule { from_ms: first_ms + 1, ..query };
        let rehearsal = operator.rehearse_rule(&query, DEADLINE).await.expect("a reply");
        assert!(matches!(rehearsal, RehearseRuleOutcome::Rehearsed(_)), "{rehearsal}");
        let late = operator.keep_reader(RequestId::now(), "late", activated.activation).await.expect("a reply");
        assert_eq!(late, KeepReaderOutcome::NotKept { first: one });
    };
    check(&server).await;
    drop(operator);
    server.kill();
    server.restart();
    check(&server).await;
}

/// If no engine runs, --offline takes the snapshot that a stop would have left. A damaged one does not remain beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_taken_without_an_engine() {
    let mut server = Server::start();
    let create = |server: &Server| run(scrip().args(["snapshot", "create", "--offline", "--data"]).arg(server.dir()), b"");
    let locked = create(&server).exits(6);
    assert!(locked.err.contains("another process has this journal open"), "{locked:?}");
    let operator = server.client(Role::Operator).await;
    campaign(&operator, terms("Spring", Some(1), 100), &["CODE".to_owned()]).await;
    server.kill();
    let created = create(&server).exits(0).out;
    assert!(created.starts_with("taken up to position 7: 1 code, "), "{created}");
    assert_eq!(create(&server).exits(0).out, "nothing new since the snapshot of position 7\n");
    let snapshot = Snapshot::open(&OsDisk, &snapshot_path(&server, Position(7))).expect("it exists");
    server.restart();
    assert_eq!(server.position(), 7);
    let (state, end) = replayed(&server, Position(7)).await;
    assert!(snapshot.header().end == end && snapshot.state().expect("it is intact") == state);

    let operator = server.client(Role::Operator).await;
    club(&operator, "Arena").await;
    server.kill();
    let path = snapshot_path(&server, Position(7));
    let mut bytes = std::fs::read(&path).expect("it exists");
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).expect("it is writable");
    let created = create(&server).exits(0);
    assert!(
        created.out.starts_with("taken up to position 8: ") && created.err.contains("removing a damaged snapshot"),
        "{created:?}"
    );
    assert_eq!(files(&server.dir().join("snapshots")).len(), 1);
    let verified = run(scrip().args(["verify", "--json", "--data"]).arg(server.dir()), b"").exits(0).json();
    assert_eq!((&verified[0]["snapshots_compared"], &verified[0]["difference"]), (&1.into(), &serde_json::Value::Null));
    let nowhere = server.scratch().join("nowhere");
    run(scrip().args(["snapshot", "create", "--offline", "--data"]).arg(&nowhere), b"").exits(6);
}
