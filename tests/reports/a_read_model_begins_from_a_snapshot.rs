//! A read model whose history starts from a snapshot of the engine: if the journal's beginning was dropped, the sidecar reports
//! that, and its figures from there on equal the engine's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use scrip_client::Client;
use scrip_engine::snapshot::Snapshot;
use scrip_journal::disk::OsDisk;
use scrip_protocol::command::{
    ArchiveCause, ArchiveCodes, CodeFilter, CodeRow, ConfirmOutcome, Hold, HoldOutcome, ListCodes, ListCodesOutcome,
    RedeemOutcome, RefundOutcome, RestoreCodes, ShowCampaignOutcome, ShowClientOutcome, TakeSnapshotOutcome, UpdateCampaign,
    UsageFilter,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Position, RequestId, Role};
use scrip_reporting::figures::code_table::CodeStatus;
use scrip_reporting::figures::{self, activation_list, code_table};
use scrip_reporting::history;
use scrip_reporting::read_model::{Readers, beginning};
use scrip_reporting::store::read_model_path;

use crate::support::{DEADLINE, Running, Server, campaign, club, redemption, run, terms, top_up, wait_until};

/// This many codes of this length make more than a MiB of journal: a segment.
const CODES_OF_A_MIB: usize = 20_000;

/// An engine that has dropped the beginning of its journal.
async fn dropped() -> (Server, ClubId) {
    let mut server = Server::start_with(&["--segment-mib", "1"]);
    server.terminate();
    let path = server.dir().join("scrip.toml");
    let text = std::fs::read_to_string(&path).expect("init created it");
    std::fs::write(&path, text.replace("journal = \"all\"", "journal = \"needed\"")).expect("it is writable");
    server.restart();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    for name in ["One", "Two"] {
        let codes: Vec<String> = (0..CODES_OF_A_MIB).map(|n| format!("{name}-LONG-ENOUGH-{n:048}")).collect();
        campaign(&operator, terms(name, None, 1), &codes).await;
        club(&operator, &format!("After {name}")).await;
        snapshot(&operator).await;
    }
    (server, arena)
}

async fn snapshot(operator: &Client) -> Position {
    let outcome = operator.take_snapshot(DEADLINE).await.expect("a reply");
    let TakeSnapshotOutcome::Taken(taken) = outcome else { panic!("{outcome}") };
    taken.position
}

async fn redeem(operator: &Client, client: u128, arena: ClubId, code: &str) -> Position {
    let outcome = operator.redeem(RequestId::now(), &redemption(client, arena, code)).await.expect("a reply");
    let RedeemOutcome::Redeemed(activated) = outcome else { panic!("{code}: {outcome}") };
    activated.activation
}

async fn refund(operator: &Client, activation: Position) {
    let outcome = operator.refund(RequestId::now(), activation, true).await.expect("a reply");
    assert!(matches!(outcome, RefundOutcome::Refunded(_)), "{outcome}");
}

async fn archive_codes(operator: &Client, campaign: CampaignId, codes: &[&str]) {
    let command = ArchiveCodes { campaign, codes: codes.iter().collect() };
    operator.archive_codes(RequestId::now(), &command).await.expect("a reply");
}

/// A sidecar in a folder of its own.
struct Sidecar {
    running: Running,
    address: String,
    store: PathBuf,
}

impl Sidecar {
    fn start(server: &Server, store: &Path, options: &[&str]) -> Sidecar {
        let mut command = server.scrip(Role::Reporter);
        command.args(["sidecar", "--json", "--listen", "127.0.0.1:0", "--reader", "none", "--store"]).arg(store).args(options);
        let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts"));
        let line = running.lines().recv_timeout(DEADLINE).expect("it prints its address");
        let line: serde_json::Value = serde_json::from_str(&line).expect("the first line is JSON");
        let address = line["listening"].as_str().expect("an address").to_owned();
        Sidecar { running, address, store: store.to_owned() }
    }

    /// Readers of its tables, once these have reached a position.
    fn at(&self, position: Position) -> Readers {
        let readers = Readers::new(&read_model_path(&self.store));
        wait_until(DEADLINE, "the read model reaches the engine's position", || {
            let at = readers.view(|view| Ok(view.as_of.position)).expect("it is readable");
            (at >= position).then_some(())
        });
        readers
    }

    /// The body of a response.
    fn get(&self, server: &Server, path: &str) -> serde_json::Value {
        self.problem(server, "200", path)
    }

    /// The body of a response with this status.
    fn problem(&self, server: &Server, status: &str, path: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(&self.address).expect("it is listening");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        let token = server.token(Role::Operator);
        let head = format!("Host: sidecar\r\nAuthorization: Bearer {token}\r\nConnection: close");
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").expect("it is accepted");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a reply");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        let body = answer.split_once("\r\n\r\n").expect("a head and a body").1;
        // The body may be chunked, but is short enough to be one chunk.
        let json = &body[body.find('{').expect("an object")..=body.rfind('}').expect("an object")];
        serde_json::from_str(json).unwrap_or_else(|why| panic!("{why}: {answer}"))
    }
}

async fn codes_of(operator: &Client, campaign: CampaignId) -> Vec<CodeRow> {
    let query = ListCodes { campaign, from_slot: 0, status: CodeFilter::All, usage: UsageFilter::All };
    let outcome = operator.list_codes(&query).await.expect("a reply");
    let ListCodesOutcome::Codes { codes, next: None, .. } = outcome else { panic!("{outcome:?}") };
    codes
}

/// Compares the read model with the engine, which gets no other requests meanwhile.
async fn agree(server: &Server, operator: &Client, sidecar: &Sidecar, campaigns: &[CampaignId], clients: &[u128]) {
    let mut position = None;
    for id in campaigns {
        let outcome = operator.show_campaign(*id).await.expect("a reply");
        let ShowCampaignOutcome::Campaign(card) = outcome else { panic!("{outcome:?}") };
        let readers = sidecar.at(card.as_of);
        let found = readers.view_at(card.as_of_ms, |view| figures::of_campaign(view, *id));
        let found = found.expect("it is readable").expect("it exists");
        let ours = (found.codes, found.codes_archived, found.codes_activated, found.codes_available, found.codes_redeemable);
        let theirs = (card.codes, card.codes_archived, card.codes_activated, card.codes_available, card.codes_redeemable);
        let theirs = (theirs.0.into(), theirs.1.into(), theirs.2.into(), theirs.3.into(), theirs.4.into());
        assert_eq!(ours, theirs, "{id}: total codes, archived, activated, available, redeemable");
        let ours = (found.activations, found.held, found.issued, found.refunds, found.uncollected);
        let theirs = (card.activations, card.held.into(), card.issued.0, card.refunds, card.uncollected.0);
        assert_eq!(ours, theirs, "{id}: activations, held, issued, refunds, uncollected");
        assert_eq!(found.as_of.position, card.as_of);
        position = Some(card.as_of);

        let filter = code_table::CodeFilter { limit: 1_000, ..code_table::CodeFilter::default() };
        let table = readers.view(|view| code_table::list(view, *id, &filter)).expect("it is readable").expect("it exists");
        assert_eq!(table.next, None);
        let codes = table.codes.into_iter();
        let ours: Vec<_> = codes.map(|code| (code.slot, code.code, code.activations, code.status)).collect();
        let status = |row: &CodeRow| match (row.archived, card.archived_ms) {
            (None, _) => CodeStatus::Active,
            (Some(ArchiveCause::Alone), _) => CodeStatus::Archived,
            (Some(ArchiveCause::ByCampaign), Some(_)) => CodeStatus::ArchivedWithCampaign,
            (Some(ArchiveCause::ByCampaign), None) => CodeStatus::ArchivedLeftBehind,
        };
        let rows = codes_of(operator, *id).await;
        let theirs: Vec<_> =
            rows.iter().map(|row| (row.slot, row.code.clone(), u64::from(row.activations), status(row))).collect();
        assert_eq!(ours, theirs, "the codes of campaign {id}");
        // A code that another campaign now holds names that campaign.
        for row in &rows {
            let found = sidecar.get(server, &format!("/v1/codes/{}", row.code));
            let held_by = row.held_by.or(row.archived.is_none().then_some(*id)).map(|id| u64::from(id.0));
            assert_eq!(found["held_by"].as_u64(), held_by, "{found}");
        }
        // Every code is exported, whatever is known about its activations.
        let exported = run(
            crate::support::scrip().args(["export", "codes", &id.0.to_string(), "--out", "-", "--store"]).arg(&sidecar.store),
            b"",
        );
        let lines: Vec<_> = exported.exits(0).out.lines().skip(1).map(str::to_owned).collect();
        for row in &rows {
            let of_code = |line: &&String| line.split(',').nth(2) == Some(&*format!("\"{}\"", row.code));
            let activations: Vec<_> = lines.iter().filter(of_code).map(|line| line.split(',').nth(5)).collect();
            let expected = row.activations.to_string();
            assert!(
                !activations.is_empty() && activations.iter().all(|n| *n == Some(expected.as_str())),
                "{}: {lines:?}",
                row.code
            );
        }
    }
    let readers = sidecar.at(position.expect("there are campaigns"));
    for id in clients.iter().copied().map(ClientId) {
        let outcome = operator.show_client(id).await.expect("a reply");
        let ShowClientOutcome::Client(card) = outcome else { panic!("{outcome:?}") };
        let found = readers.view(|view| history::card(view, id)).expect("it is readable").expect("it exists");
        let ours = (found.name, found.gaming.0, found.bonus.0, found.spent.0, found.sessions);
        let accounts = card.accounts;
        let theirs = (card.name, accounts.gaming.0, accounts.bonus.0, accounts.spent.0, u64::from(accounts.sessions));
        assert_eq!(ours, theirs, "client {id}");
        assert_eq!(found.as_of.position, card.as_of);
    }
}

/// Z10, Z13, Pain 18: if the journal's beginning was dropped, a new sidecar reports that and the remedies. It can start from the
/// engine's newest snapshot, and from there on its figures equal the engine's, whatever happens to older codes and activations.
#[tokio::test(flavor = "multi_thread")]
async fn figures_continue_from_a_snapshot_as_the_engine_counts() {
    let (server, arena) = dropped().await;
    let operator = server.client(Role::Operator).await;
    let spring = campaign(&operator, terms("Spring", Some(2), 500), &["A", "B", "C", "D", "E", "F"].map(str::to_owned)).await;
    let any = campaign(&operator, terms("Any", None, 300), &["X", "Y"].map(str::to_owned)).await;
    let gone = campaign(&operator, terms("Gone", None, 200), &["G", "H", "K"].map(str::to_owned)).await;
    let (early, late) = (RequestId::now(), RequestId::now());
    operator.register_client(early, ClientId(7), "Ann").await.expect("a reply");
    operator.call(RequestId::now(), &top_up(7, arena, 10_000)).await.expect("a reply");
    redeem(&operator, 7, arena, "A").await;
    let again = redeem(&operator, 8, arena, "A").await;
    let only = redeem(&operator, 7, arena, "B").await;
    let undone = redeem(&operator, 8, arena, "C").await;
    refund(&operator, undone).await;
    redeem(&operator, 7, arena, "G").await;
    let any_one = redeem(&operator, 7, arena, "X").await;
    redeem(&operator, 8, arena, "X").await;
    archive_codes(&operator, spring, &["D"]).await;
    // Another campaign takes a code of the archived campaign, so that restoring leaves that code behind.
    operator.archive_campaign(RequestId::now(), gone).await.expect("a reply");
    let taker = campaign(&operator, terms("Taker", None, 100), &["H".to_owned()]).await;
    operator.restore_campaign(RequestId::now(), gone).await.expect("a reply");
    let past = campaign(&operator, terms("Past", Some(1), 100), &["P".to_owned(), "Q".to_owned()]).await;
    redeem(&operator, 9, arena, "P").await;
    operator.archive_campaign(RequestId::now(), past).await.expect("a reply");
    let holding = Hold::new(ClientId(9), arena, "E", 3_600_000);
    let outcome = operator.hold(RequestId::now(), &holding).await.expect("a reply");
    let HoldOutcome::Held(held) = outcome else { panic!("{outcome}") };
    let (begun, campaigns, clients) = (snapshot(&operator).await, [spring, any, gone, taker, past], [7, 8, 9]);

    let store = server.scratch().join("store");
    for options in [&[][..], &["--rebuild"]] {
        let mut sidecar = server.scrip(Role::Reporter);
        sidecar.args(["sidecar", "--listen", "127.0.0.1:0", "--store"]).arg(&store).args(options);
        let refused = run(&mut sidecar, b"").exits(1).err;
        let words = ["--from-backup FOLDER", "--from-snapshot", "the journal begins at position"];
        assert!(words.iter().all(|words| refused.contains(words)), "{refused}");
    }

    let sidecar = Sidecar::start(&server, &store, &["--from-snapshot"]);
    let readers = sidecar.at(begun);
    assert_eq!(readers.view(|view| beginning(view.connection)).expect("it is readable"), begun);
    agree(&server, &operator, &sidecar, &campaigns, &clients).await;
    let (page, card) = (sidecar.get(&server, &format!("/v1/campaigns/{spring}")), sidecar.get(&server, "/v1/clients/7"));
    assert_eq!((page["campaign"]["activations"].as_u64(), card["name"].as_str()), (Some(3), Some("Ann")), "{page} {card}");
    assert_eq!((&card["registered_at"], &card["activations"]), (&serde_json::Value::Null, &0.into()), "{card}");
    // Z3: for a request from before the snapshot, and for one that the engine may still execute, it does not claim that there is
    // none.
    for request in [early, late] {
        let problem = sidecar.problem(&server, "409", &format!("/v1/requests/{request}"));
        assert_eq!((&problem["type"], &problem["history_after"]), (&"urn:scrip:problem:not-known-here".into(), &begun.0.into()));
    }
    assert_eq!((&card["as_of"]["history_after"], card["as_of"]["history_after_time"].is_string()), (&begun.0.into(), true));
    // Its codes are there, its activations are not.
    let before = activation_list::Before { before: None, limit: 10 };
    let of_code = |slot| {
        let found = sidecar.at(begun).view(|view| activation_list::of_code(view, spring, slot, before)).expect("it is readable");
        found.expect("the code exists").activations.into_iter().map(|one| (one.activation, one.nth)).collect::<Vec<_>>()
    };
    assert_eq!(of_code(0), []);

    // Earlier activations are refunded, repeated, archived and restored.
    refund(&operator, again).await;
    refund(&operator, only).await;
    refund(&operator, any_one).await;
    let later = redeem(&operator, 9, arena, "A").await;
    let first = redeem(&operator, 9, arena, "C").await;
    let other = redeem(&operator, 9, arena, "Y").await;
    refund(&operator, other).await;
    agree(&server, &operator, &sidecar, &campaigns, &clients).await;
    assert_eq!(of_code(0), [(later.0, 3)]);
    assert_eq!(of_code(2), [(first.0, 1)]);
    let outcome = operator.confirm(RequestId::now(), held.hold).await.expect("a reply");
    assert!(matches!(outcome, ConfirmOutcome::Confirmed(_)), "{outcome}");
    archive_codes(&operator, spring, &["A", "F"]).await;
    let restored = RestoreCodes { campaign: spring, codes: ["D"].iter().collect() };
    operator.restore_codes(RequestId::now(), &restored).await.expect("a reply");
    operator.archive_campaign(RequestId::now(), taker).await.expect("a reply");
    operator.restore_campaign(RequestId::now(), gone).await.expect("a reply");
    operator.restore_campaign(RequestId::now(), past).await.expect("a reply");
    operator.archive_campaign(RequestId::now(), any).await.expect("a reply");
    redeem(&operator, 7, arena, "H").await;
    agree(&server, &operator, &sidecar, &campaigns, &clients).await;

    // A lower limit changes which codes count as exhausted. After a kill the sidecar continues where it was.
    drop(sidecar);
    let changes = UpdateCampaign { activations_per_code_max: Some(Some(1)), campaign: spring, ..UpdateCampaign::default() };
    operator.update_campaign(RequestId::now(), &changes).await.expect("a reply");
    let sidecar = Sidecar::start(&server, &store, &[]);
    agree(&server, &operator, &sidecar, &campaigns, &clients).await;
    assert_eq!(sidecar.at(begun).view(|view| beginning(view.connection)).expect("it is readable"), begun);
}

/// One step of random work on these campaigns and values, whatever the outcome.
async fn step(random: &mut fastrand::Rng, operator: &Client, arena: ClubId, campaigns: &[CampaignId], made: &mut Made) {
    let campaign = campaigns[random.usize(..campaigns.len())];
    let (code, client) = (VALUES[random.usize(..VALUES.len())], random.u128(7..10));
    let id = RequestId::now();
    match random.u32(..16) {
        0..7 => {
            let outcome = operator.redeem(id, &redemption(client, arena, code)).await.expect("a reply");
            if let RedeemOutcome::Redeemed(activated) = outcome {
                made.activations.push(activated.activation);
            }
        }
        7..9 if !made.activations.is_empty() => {
            let activation = made.activations.swap_remove(random.usize(..made.activations.len()));
            operator.refund(id, activation, true).await.expect("a reply");
        }
        9 => {
            let outcome = operator.hold(id, &Hold::new(ClientId(client), arena, code, 3_600_000)).await.expect("a reply");
            if let HoldOutcome::Held(held) = outcome {
                made.holds.push(held.hold);
            }
        }
        10 if !made.holds.is_empty() => {
            let hold = made.holds.swap_remove(random.usize(..made.holds.len()));
            match random.bool() {
                true => drop(operator.release(id, hold).await.expect("a reply")),
                false => {
                    if let ConfirmOutcome::Confirmed(activated) = operator.confirm(id, hold).await.expect("a reply") {
                        made.activations.push(activated.activation);
                    }
                }
            }
        }
        11 => archive_codes(operator, campaign, &[code]).await,
        12 => {
            let restored = RestoreCodes { campaign, codes: [code].iter().collect() };
            operator.restore_codes(id, &restored).await.expect("a reply");
        }
        13 => drop(operator.archive_campaign(id, campaign).await.expect("a reply")),
        14 => drop(operator.restore_campaign(id, campaign).await.expect("a reply")),
        _ => {
            let cap = Some(random.u32(1..5)).filter(|cap| *cap < 4);
            let amount = Some(scrip_protocol::Money(random.i64(1..900)));
            let changes = UpdateCampaign { campaign, activations_per_code_max: Some(cap), amount, ..UpdateCampaign::default() };
            operator.update_campaign(id, &changes).await.expect("a reply");
        }
    }
}

/// The values of the codes used by the random work.
const VALUES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

/// Earlier operations that later steps can refer to.
#[derive(Default)]
struct Made {
    activations: Vec<Position>,
    holds: Vec<Position>,
}

/// Z10: started at any moment of the random work, and whichever campaigns share a value, the figures equal the engine's, then and
/// after more work.
#[tokio::test(flavor = "multi_thread")]
async fn random_work_continues_from_a_snapshot() {
    let mut random = fastrand::Rng::with_seed(crate::support::seed());
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let mut campaigns = Vec::new();
    for (name, codes) in [("One", &VALUES[..6]), ("Two", &VALUES[3..]), ("Three", &VALUES[1..5])] {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        campaigns.push(campaign(&operator, terms(name, Some(3), 500), &codes).await);
        operator.archive_campaign(RequestId::now(), campaigns[campaigns.len() - 1]).await.expect("a reply");
    }
    for client in 7..10 {
        operator.register_client(RequestId::now(), ClientId(client), "").await.expect("a reply");
    }
    operator.restore_campaign(RequestId::now(), campaigns[0]).await.expect("a reply");
    let mut made = Made::default();
    for round in 0..4 {
        for _ in 0..random.u32(40..100) {
            step(&mut random, &operator, arena, &campaigns, &mut made).await;
        }
        let begun = snapshot(&operator).await;
        let store = server.scratch().join(format!("store-{round}"));
        let sidecar = Sidecar::start(&server, &store, &["--from-snapshot"]);
        agree(&server, &operator, &sidecar, &campaigns, &[7, 8, 9]).await;
        for _ in 0..3 {
            for _ in 0..random.u32(10..60) {
                step(&mut random, &operator, arena, &campaigns, &mut made).await;
            }
            agree(&server, &operator, &sidecar, &campaigns, &[7, 8, 9]).await;
        }
        assert_eq!(sidecar.at(begun).view(|view| beginning(view.connection)).expect("it is readable"), begun);
    }
}

/// Pain 18: a damaged snapshot is refused by name, and existing tables stay; of several snapshots, the newest valid one is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_not_used() {
    let server = Server::start();
    let (operator, store) = (server.client(Role::Operator).await, server.scratch().join("store"));
    let sidecar = |options: &[&Path]| {
        let mut command = server.scrip(Role::Reporter);
        command.args(["sidecar", "--listen", "127.0.0.1:0", "--from-snapshot"]).args(options).arg("--store").arg(&store);
        command
    };
    let none = run(&mut sidecar(&[]), b"").exits(6);
    assert!(none.err.contains("no snapshot found here"), "{none:?}");

    let spring = campaign(&operator, terms("Spring", None, 500), &["A".to_owned()]).await;
    let whole = snapshot(&operator).await;
    club(&operator, "Arena").await;
    let newer = snapshot(&operator).await;
    let path = server.dir().join(format!("snapshots/{:020}.snapshot", newer.0));
    let mut bytes = std::fs::read(&path).expect("it exists");
    let header = Snapshot::open(&OsDisk, &path).expect("it is intact").header().clone();
    let codes = header.sections.iter().find(|section| section.name == "code-texts").expect("it has that section");
    bytes[codes.offset as usize] ^= 1;
    let other = server.scratch().join("changed");
    std::fs::write(&other, &bytes).expect("it is writable");
    let refused = run(&mut sidecar(&[&other]), b"").exits(6);
    assert!(refused.err.contains(other.to_str().expect("a path")) && refused.err.contains("damaged"), "{refused:?}");
    assert!(!read_model_path(&store).exists());

    std::fs::rename(&other, &path).expect("it can be renamed");
    let sidecar = Sidecar::start(&server, &store, &["--from-snapshot"]);
    let readers = sidecar.at(newer);
    assert_eq!(readers.view(|view| beginning(view.connection)).expect("it is readable"), whole);
    agree(&server, &operator, &sidecar, &[spring], &[]).await;
    sidecar.running.signal("TERM");
}
