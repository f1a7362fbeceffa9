//! Every counter and balance can be recomputed from the journal, and is compared with a running engine and with the snapshots
//! (Z10, Z11).

use std::sync::Arc;

use scrip_core::state::State;
use scrip_engine::snapshot::{self, Pace};
use scrip_journal::disk::OsDisk;
use scrip_journal::{JournalReader, SEGMENT_BYTES, Segments};
use scrip_loadtest::load::Load;
use scrip_protocol::batch::{Batch, ChainEnd};
use scrip_protocol::{Record, Role};
use tokio::sync::watch;

use crate::support::{BEGUN, Ran, Server, campaign, club, create_rule, load, redemption, rule, run, scrip, terms, top_up};

fn live(server: &Server, role: Role) -> Ran {
    run(server.scrip(role).args(["verify", "--live", "--json"]), b"")
}

fn offline(server: &Server) -> Ran {
    run(scrip().args(["verify", "--json", "--data"]).arg(server.dir()), b"")
}

/// Z10: under traffic of every kind, the engine's replies about every campaign, code, client, group and rule equal the state that
/// its journal yields at the position of the reply. Without the engine, the journal yields the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_engine_agrees_with_its_journal() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let at = club(&client, "Arena").await;
    create_rule(&client, rule("Ten per cent", "", "{{topupAmountMajor}} * 0.1")).await;
    // More codes than fit a page.
    let codes: Vec<String> = (0..5_000).map(|n| format!("CODE-{n}")).collect();
    campaign(&client, terms("Summer", None, 200), &codes).await;
    let dial = server.dial(Role::Operator);
    load::run(&load::small(Load::Closed { window: 64 }, 3_000), &dial).await;

    let (stop, stopped) = watch::channel(false);
    let busy = tokio::spawn(async move {
        let mut sent = 0_u64;
        while !*stopped.borrow() {
            let command = |n: u64| redemption((n % 50).into(), at, &codes[n as usize % codes.len()]);
            let some: Vec<_> = (sent..sent + 32).map(|n| (scrip_protocol::RequestId::now(), command(n))).collect();
            client.redeem_all(&some).await;
            client.top_up(scrip_protocol::RequestId::now(), &top_up(sent.into(), at, 5_000)).await.expect("a reply");
            sent += 32;
        }
        sent
    });
    for role in [Role::Operator, Role::Reporter] {
        let found = tokio::task::block_in_place(|| live(&server, role)).exits(0).json().remove(0);
        assert_eq!(found["difference"], serde_json::Value::Null, "{found}");
        assert!(found["codes"].as_u64() > Some(5_000) && found["clients"].as_u64() > Some(50), "{found}");
        assert!(found["position"].as_u64() > Some(3_000), "{found}");
    }
    stop.send_replace(true);
    assert!(busy.await.expect("the task only sends requests") > 0);

    let locked = offline(&server).exits(6);
    assert!(locked.err.contains("another process has this journal open"), "{locked:?}");
    let before = tokio::task::block_in_place(|| live(&server, Role::Reporter)).exits(0).json().remove(0);
    server.terminate();
    let after = offline(&server).exits(0).json().remove(0);
    for name in ["position", "hash", "records", "batches", "campaigns", "codes", "clients"] {
        assert_eq!(before[name], after[name], "{name}");
    }
}

/// A caller that must not tail the journal cannot verify it either; and an empty folder cannot be verified.
#[test]
fn callers_without_access_to_the_journal_are_refused() {
    let mut server = Server::start();
    live(&server, Role::Gateway).exits(4);
    server.terminate();
    let found = offline(&server).exits(0).json().remove(0);
    assert_eq!(found["position"].as_u64(), Some(BEGUN), "{found}");
    let nothing = run(scrip().args(["verify", "--data"]).arg(server.scratch().join("nowhere")), b"").exits(6);
    assert!(nothing.err.contains("contains no organisation"), "{nothing:?}");
}

/// A stopped engine with a campaign of which one code was activated; its records and the ends of their batches. It wrote a
/// snapshot of its last position.
async fn stopped() -> (Server, Vec<(u64, Record)>, Vec<ChainEnd>) {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let at = club(&client, "Arena").await;
    campaign(&client, terms("Summer", None, 200), &["SUMMER".to_owned(), "AUTUMN".to_owned()]).await;
    for _ in 0..3 {
        let command = redemption(7, at, "AUTUMN");
        client.redeem(scrip_protocol::RequestId::now(), &command).await.expect("a reply");
    }
    drop(client);
    server.terminate();
    let journal = Segments::open(
        Arc::new(OsDisk),
        &server.dir().join("journal"),
        SEGMENT_BYTES,
        ChainEnd::default(),
        &mut |_, _| {},
        &mut |_| {},
    );
    let (mut records, mut ends) = (Vec::new(), Vec::new());
    let reader = scrip_journal::Journal::reader(&journal.expect("it is intact"));
    for bytes in JournalReader::read(&*reader, scrip_protocol::Position(1), usize::MAX).expect("it is intact") {
        let batch = Batch::parse(&bytes).expect("it is intact");
        records.extend(batch.records().map(|item| (batch.time_ms, item.expect("it is intact").1)));
        ends.push(batch.end());
    }
    (server, records, ends)
}

fn write_snapshot(server: &Server, records: &[(u64, Record)], end: ChainEnd) {
    let mut state = State::default();
    records.iter().take(end.position.0 as usize).for_each(|(time_ms, record)| {
        state.apply(*time_ms, record);
    });
    snapshot::write(&OsDisk, &server.dir().join("snapshots"), &state, end, Pace::Full, &mut |_, _| {}).expect("it is writable");
}

/// Z10: a wrong counter in a snapshot is named with its location, though every hash of the file is right.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_counter_in_a_snapshot_is_reported() {
    let (server, mut records, ends) = stopped().await;
    let (earlier, last) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    write_snapshot(&server, &records, earlier);
    assert_eq!(offline(&server).exits(0).json()[0]["snapshots_compared"].as_u64(), Some(2), "including the one of the stop");
    let newest = records
        .iter_mut()
        .rev()
        .find_map(|(_, record)| if let Record::Activation(activation) = record { Some(activation) } else { None });
    newest.expect("there are three").slot = 0;
    write_snapshot(&server, &records, last);
    let found = offline(&server).exits(8);
    let expected = format!(
        "at position {}, campaign 1, code in slot 0: the journal has 0 activations, the snapshot has 1 activation",
        last.position
    );
    assert_eq!(found.json()[0]["difference"]["words"], serde_json::json!(expected));
}

/// Z11: a snapshot of another history is reported, and so is one beyond the end of the journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_history_is_reported() {
    let (server, records, ends) = stopped().await;
    let last = ends[ends.len() - 1];
    write_snapshot(&server, &records, ChainEnd { hash: [7; 32], ..last });
    let found = offline(&server).exits(8).json().remove(0);
    assert!(found["difference"]["what"].as_str().is_some_and(|what| what.contains("the hash of the journal")), "{found}");
    std::fs::remove_dir_all(server.dir().join("snapshots")).expect("it exists");
    let beyond = ChainEnd { position: scrip_protocol::Position(last.position.0 + 5), ..last };
    write_snapshot(&server, &records, beyond);
    let found = offline(&server).exits(8).json().remove(0);
    assert_eq!(found["difference"]["what"], "the position of the newest record", "{found}");
}
