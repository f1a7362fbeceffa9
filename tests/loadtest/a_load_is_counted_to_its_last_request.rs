//! Every load model offers what was requested, every reply is found in the journal, and planted differences are found as well.

use std::path::Path;
use std::sync::Arc;

use scrip_client::{Client, Dial};
use scrip_engine::folder::Folder;
use scrip_engine::{Engine, Start};
use scrip_journal::disk::OsDisk;
use scrip_journal::{Journal, SEGMENT_BYTES, Segments};
use scrip_loadtest::audit::Recount;
use scrip_loadtest::difference::Difference;
use scrip_loadtest::drive::Storm;
use scrip_loadtest::load::{Findings, Live, Load, Run};
use scrip_loadtest::mix::{Mix, Shape};
use scrip_loadtest::pace::Arrivals;
use scrip_loadtest::ramp::{Ramp, Verdict};
use scrip_loadtest::report::{Audit, Climb, Model};
use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};
use scrip_protocol::command::{Action, RegisterGroup, RegisterGroupOutcome, ToppedUp};
use scrip_protocol::{ClientId, Money, Position, Record, RequestId};
use tokio::sync::watch;

use crate::support::load::{run, small};
use crate::support::{engine, start_on};

/// Nothing differs, and every request of the first phase has the outcome that its shape predicts.
#[track_caller]
fn all_agree(findings: &Findings, requests: u64, holds: u64) {
    let audit = findings.audit.as_ref().expect("it was audited");
    assert_eq!(audit.differences.first(), []);
    let answers = &findings.phases[0].answers;
    let of = |word: &str| answers.get(word).copied().unwrap_or(0);
    // Each hold is followed by one request: nine of ten are confirmed.
    assert_eq!((of("confirmed"), of("released")), (holds * 9 / 10, holds / 10), "{answers:?}");
    let requests = requests + holds;
    assert_eq!(answers.values().sum::<u64>(), requests, "{answers:?}");
    assert_eq!(findings.phases[0].latency.len(), requests);
    let over_time: u64 = findings.phases[0].series.iter().map(|interval| interval.answered).sum();
    assert_eq!(over_time, requests);
    assert_eq!(
        (audit.counts.answered, audit.counts.recorded, audit.counts.unanswered),
        (audit.counts.requests, audit.counts.requests, 0)
    );
    assert!(audit.counts.activations > 0 && audit.counts.campaigns > 0 && audit.counts.clients > 0, "{audit:?}");
}

#[track_caller]
fn climb(findings: &Findings) -> &Climb {
    findings.climb.as_ref().expect("it is a ramp")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_loop_answers_every_shape() {
    let (_dir, engine, dial) = engine(Start::default());
    let findings = run(&small(Load::Closed { window: 64 }, 2_000), &dial).await;
    all_agree(&findings, 2_000, 200);
    let answers = &findings.phases[0].answers;
    // Shares are exact; which requests are retried is random, so these are minima.
    assert!(answers["unknown_code"] >= 100 && answers["checked"] == 100 && answers["codes_added"] >= 10, "{answers:?}");
    assert!(answers["topped_up"] >= 200, "{answers:?}");
    assert_eq!(findings.phases[0].particulars.repeats_alike, 200);
    assert_eq!(findings.phases[1].answers, [("redeemed", 20)].into());
    engine.stop().await.expect("the engine stops cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_counts_latency_from_when_a_request_was_due() {
    let (_dir, engine, dial) = engine(Start::default());
    for arrivals in [Arrivals::Even, Arrivals::Poisson] {
        let findings = run(&small(Load::Open { per_second: 4_000.0, arrivals }, 2_000), &dial).await;
        all_agree(&findings, 2_000, 200);
        assert_eq!(findings.phases[0].model, Model::Open { per_second: 4_000.0 });
        // Nothing is sent before it is due: the last reply is no earlier than the last request's time, about half a second.
        assert!(findings.phases[0].elapsed.as_secs_f64() > 0.4, "{:?}", findings.phases[0].elapsed);
        assert!(findings.phases[0].particulars.pacing_late_us.is_some());
    }
    engine.stop().await.expect("the engine stops cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_counts_latency_from_its_start() {
    let (_dir, engine, dial) = engine(Start::default());
    let mut configuration = small(Load::Burst, 3_000);
    // The request that follows a hold is due later than the start.
    configuration.mix.holds = 0.0;
    let findings = run(&configuration, &dial).await;
    all_agree(&findings, 3_000, 0);
    let phase = &findings.phases[0];
    // Every request was due at the start: the slowest took as long as all together.
    let slowest_ns = phase.latency.max() as f64;
    assert!(slowest_ns >= 0.99 * phase.elapsed.as_nanos() as f64, "{slowest_ns} of {:?}", phase.elapsed);
    engine.stop().await.expect("the engine stops cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_ends_when_its_objective_is_missed() {
    let (_dir, engine, dial) = engine(Start::default());
    let ramp = Ramp { from: 500.0, factor: 2.0, to: 2_000.0, step_ms: 200, objective_p99_ms: 60_000.0 };
    let findings = run(&small(Load::Ramp(ramp), ramp.count(ramp.to)), &dial).await;
    assert_eq!(findings.audit.as_ref().expect("it was audited").differences.first(), []);
    let last = climb(&findings).steps.last().expect("it has steps");
    assert!(climb(&findings).steps.len() == 3 || last.verdict != Verdict::Held, "{:?}", climb(&findings).steps);
    assert_eq!(
        findings.phases.len(),
        climb(&findings).steps.len() + 1,
        "each step is a phase, and the lone requests are one more"
    );
    // No disk replies within a nanosecond.
    let hopeless = Ramp { objective_p99_ms: 1e-6, ..ramp };
    let findings = run(&small(Load::Ramp(hopeless), 100), &dial).await;
    assert_eq!((climb(&findings).steps.len(), climb(&findings).rate_held()), (1, None));
    engine.stop().await.expect("the engine stops cleanly");
}

/// A gateway whose connection breaks retries under the same id, and nothing is executed twice (Z3).
#[tokio::test(flavor = "multi_thread")]
async fn reconnect_storms_lose_nothing_and_execute_nothing_twice() {
    let (_dir, engine, dial) = engine(Start::default());
    let mut configuration = small(Load::Open { per_second: 4_000.0, arrivals: Arrivals::Even }, 4_000);
    configuration.storm = Some(Storm { every_ms: 100, share: 0.7 });
    let findings = run(&configuration, &dial).await;
    all_agree(&findings, 4_000, 400);
    assert!(findings.phases[0].particulars.reconnects > 0, "{:?}", findings.phases[0].particulars);
    engine.stop().await.expect("the engine stops cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_load_is_audited_up_to_the_interruption() {
    let (_dir, engine, dial) = engine(Start::default());
    let configuration = small(Load::Open { per_second: 1_000.0, arrivals: Arrivals::Even }, 60_000);
    let (stop_sender, stop) = watch::channel(false);
    let live = Arc::new(Live::default());
    let until_answers = async {
        loop {
            tokio::task::yield_now().await;
            if matches!(live.look(), (doing, Some(so_far)) if doing == "open" && so_far.answered > 50) {
                stop_sender.send_replace(true);
                std::future::pending::<()>().await;
            }
        }
    };
    let findings = tokio::select! {
        findings = scrip_loadtest::load::run(&configuration, &dial, stop, live.clone()) => findings.expect("the engine runs"),
        () = until_answers => unreachable!("it never completes before the run"),
    };
    let audit = findings.audit.as_ref().expect("the audit ran");
    assert_eq!(audit.differences.first(), []);
    assert!(findings.phases[0].particulars.unsent > 0 && audit.counts.answered > 50, "{audit:?}");
    engine.stop().await.expect("the engine stops cleanly");
}

/// On an engine that others use, only the load's own requests are compared.
#[tokio::test(flavor = "multi_thread")]
async fn two_loads_on_one_engine_do_not_interfere() {
    let (_dir, engine, dial) = engine(Start::default());
    let configurations = [small(Load::Burst, 1_000), small(Load::Closed { window: 16 }, 1_000)];
    let [one, other] = configurations.map(|configuration| {
        let mut configuration = configuration;
        // Seeds can coincide if the environment gives one.
        configuration.time_ms -= configuration.load.eq(&Load::Burst) as u64;
        configuration
    });
    let (one, other) = tokio::join!(run(&one, &dial), run(&other, &dial));
    all_agree(&one, 1_000, 100);
    all_agree(&other, 1_000, 100);
    engine.stop().await.expect("the engine stops cleanly");
}

/// U7: rules that the engine already has fire, or fail, on the top-ups of a load too, and are not differences; the load's own
/// rules are counted.
#[tokio::test(flavor = "multi_thread")]
async fn existing_rules_are_not_a_difference() {
    let (_dir, engine, dial) = engine(Start::default());
    let client = Client::connect(dial.clone()).await.expect("it is listening");
    crate::support::create_rule(&client, crate::support::rule("Everywhere", "", "{{topupAmountMajor}} * 0.1")).await;
    crate::support::create_rule(
        &client,
        crate::support::rule("Divides", "", "1 / ({{topupAmountMajor}} - {{topupAmountMajor}})"),
    )
    .await;
    let configuration = small(Load::Closed { window: 16 }, 1_000);
    let findings = run(&configuration, &dial).await;
    all_agree(&findings, 1_000, 100);
    assert!(findings.phases[0].answers["topped_up"] >= 100, "{:?}", findings.phases[0].answers);
    // The audit looks for the load's own rules: if it does not know them, too few fire.
    let (_stop_sender, stop) = watch::channel(false);
    let configuration = scrip_loadtest::load::Configuration { seed: configuration.seed.wrapping_add(1), ..configuration };
    let mut run = Run::begin(&configuration, &dial, stop, Arc::new(Live::default())).await.expect("it is listening");
    run.offer_all().await.expect("the engine runs");
    let mut recount = Recount::of(&dial).await.expect("it can be tailed");
    recount.compare_firings(run.exchanges(), scrip_loadtest::top_ups::firings(configuration.mix.rules));
    assert_eq!(recount.differences().by_kind().keys().copied().collect::<Vec<_>>(), ["unexpected"]);
    drop(client);
    engine.stop().await.expect("the engine stops cleanly");
}

#[test]
fn the_command_loads_its_own_engine_or_a_running_one() {
    let small = "loadtest --no-floor --json --requests 400 --alone 5 --repeats 0.1 --misses 0.1 --top-ups 0.1 --rules 4";
    let small: Vec<&str> = small.split(' ').collect();
    let server = crate::support::Server::start();
    let dir = server.dir();
    let dir = dir.to_str().expect("a plain path");
    let running = ["--data", dir, "--connections", "2", "--codes-per-campaign", "150"];
    for more in [[].as_slice(), &running] {
        for model in [["--model", "burst"].as_slice(), &["--rate", "2000", "--seconds", "1"]] {
            let mut command =
                if more.is_empty() { crate::support::scrip() } else { server.scrip(scrip_protocol::Role::Operator) };
            let ran = crate::support::run(command.args(&small).args(more).args(model), b"").exits(0);
            let [found] = ran.json().try_into().expect("one line");
            assert_eq!(found["audit"]["differences"], 0, "{found}");
            assert_eq!(found["phases"][1]["answers"]["redeemed"], 5, "{found}");
        }
    }
    // An environment that names an engine does not direct a load to it.
    let before = server.journal_files();
    let mut unawares = server.scrip(scrip_protocol::Role::Operator);
    crate::support::run(unawares.args(&small), b"").exits(0);
    assert_eq!(server.journal_files(), before);
    crate::support::run(crate::support::scrip().args(["loadtest", "--hot", "2"]), b"").exits(9);
}

/// A copy of a data folder with altered records in its journal.
fn doctored(folder: &Folder, into: &Path, doctor: impl FnOnce(&mut Vec<(u64, Record)>)) -> Folder {
    let copy = Folder::at(into);
    std::fs::create_dir_all(into.join("tls")).expect("a folder");
    for file in ["scrip.toml", "credentials.json", "tls/ca.pem", "tls/server.pem", "tls/server.key"] {
        std::fs::copy(folder.dir().join(file), into.join(file)).expect("it exists");
    }
    let open = |folder: &Folder| {
        let (disk, none) = (Arc::new(OsDisk), ChainEnd::default());
        Segments::open(disk, &folder.journal_path(), SEGMENT_BYTES, none, &mut |_, _| {}, &mut |_| {})
    };
    let whole = open(folder).expect("it is well");
    let reader = whole.reader();
    let (mut records, mut next) = (Vec::new(), 1);
    loop {
        let batches = reader.read(Position(next), 1 << 20).expect("it is readable");
        let Some(last) = batches.last() else { break };
        next = Batch::parse(last).expect("it is intact").end().position.0 + 1;
        for bytes in &batches {
            let batch = Batch::parse(bytes).expect("it is intact");
            records.extend(batch.records().map(|record| (batch.time_ms, record.expect("it is valid").1)));
        }
    }
    doctor(&mut records);
    let mut journal = open(&copy).expect("a new journal can be created");
    for batch in records.chunk_by(|(one, _), (other, _)| one == other) {
        let mut builder = BatchBuilder::new(batch[0].0);
        batch.iter().for_each(|(_, record)| builder.push(record));
        journal.append(vec![builder]).expect("the disk accepts it");
    }
    copy
}

/// A new data folder without lockouts, and the token of its operator.
fn new_folder(path: &Path) -> (Folder, String) {
    let folder = Folder::at(path);
    let settings = scrip_protocol::Settings::default();
    let config = scrip_engine::folder::Config::new(([127, 0, 0, 1], 0).into(), settings, scrip_core::guard::GuardLimits::OFF);
    let issued = folder.init(&config, &[]).expect("an empty folder");
    let token = issued.into_iter().find(|issued| issued.credential.role == scrip_protocol::Role::Operator);
    (folder, token.expect("a token for each role").token)
}

/// The run's audit of a journal.
async fn audited(run: &Run<'_>, folder: &Folder, token: &str) -> Audit {
    let (engine, dial): (Engine, Dial) = start_on(folder, Start::default(), token);
    let client = Client::connect(dial.clone()).await.expect("it is listening");
    let audit = run.audit_through(&dial, &client).await.expect("it can be tailed");
    drop(client);
    engine.stop().await.expect("the engine stops cleanly");
    audit
}

/// The index of the last activation among the records, and the activation.
fn last_activation(records: &mut [(u64, Record)]) -> (usize, &mut scrip_protocol::command::Activation) {
    let mut backwards = records.iter_mut().enumerate().rev();
    let last =
        backwards.find_map(|(at, (_, record))| if let Record::Activation(found) = record { Some((at, found)) } else { None });
    last.expect("something was redeemed")
}

/// The last top-up.
fn last_top_up(records: &mut [(u64, Record)]) -> &mut ToppedUp {
    let last = records.iter_mut().rev().find(|(_, record)| matches!(record, Record::ToppedUp(_)));
    let Some((_, Record::ToppedUp(found))) = last else { panic!("nothing was topped up") };
    found
}

/// The last confirmation of a hold.
fn last_confirmation(records: &mut [(u64, Record)]) -> &mut scrip_protocol::command::HoldConfirmed {
    let confirmations = records.iter_mut().rev().filter(|(_, record)| matches!(record, Record::HoldConfirmed(_)));
    let last = confirmations.map(|(_, record)| record).next();
    let Some(Record::HoldConfirmed(confirmed)) = last else { panic!("no hold was confirmed") };
    confirmed
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_planted_in_the_journal_or_the_replies_are_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, token) = new_folder(&dir.path().join("data"));
    let (engine, dial) = start_on(&folder, Start::default(), &token);
    let mut configuration = small(Load::Closed { window: 32 }, 500);
    // The lone requests come last, so that the newest record is an activation of a single-use code.
    configuration.mix = Mix { clients: 20, ..crate::support::load::mixed() };
    let (_stop_sender, stop) = watch::channel(false);
    let mut run = Run::begin(&configuration, &dial, stop, Arc::new(Live::default())).await.expect("it is listening");
    run.offer_all().await.expect("the engine runs");
    engine.stop().await.expect("the engine stops cleanly");

    let planted = |name: &str, doctor: fn(&mut Vec<(u64, Record)>)| doctored(&folder, &dir.path().join(name), doctor);
    let kinds = |audit: &Audit| audit.differences.by_kind().keys().copied().collect::<Vec<_>>();
    let mut newest = RequestId(0);
    let nothing = doctored(&folder, &dir.path().join("nothing"), |records| newest = last_activation(records).1.stamp.request);
    let audit = audited(&run, &nothing, &token).await;
    assert_eq!(audit.differences.first(), [], "a copy with nothing planted agrees");

    let removed = planted("removed", |records| {
        let (at, _) = last_activation(records);
        records.remove(at);
    });
    let audit = audited(&run, &removed, &token).await;
    assert_eq!(kinds(&audit), ["activations", "no_record"]);
    let named =
        audit.differences.first().iter().any(|found| matches!(found, Difference::NoRecord { request, .. } if *request == newest));
    assert!(named, "{:#?}", audit.differences);

    let doubled = planted("doubled", |records| {
        let (at, _) = last_activation(records);
        let again = records[at].clone();
        records.push(again);
    });
    let audit = audited(&run, &doubled, &token).await;
    // The same record twice: a second record of its request, a use too many, a balance that is too small.
    for kind in ["activations", "balance", "over_cap", "second_record"] {
        assert!(audit.differences.by_kind().contains_key(kind), "{kind}: {:#?}", audit.differences);
    }
    let named = audit.differences.first().iter().any(|found| matches!(found, Difference::OverCap { uses: 2, cap: 1, .. }));
    assert!(named, "{:#?}", audit.differences);

    let unbalanced = planted("unbalanced", |records| last_activation(records).1.balance.0 += 1);
    let audit = audited(&run, &unbalanced, &token).await;
    for kind in ["balance", "answered_otherwise", "engine_accounts"] {
        assert!(audit.differences.by_kind().contains_key(kind), "{kind}: {:#?}", audit.differences);
    }
    let overpaid = planted("overpaid", |records| {
        let activation = last_activation(records).1;
        activation.amount = Money(activation.amount.0 + 7);
        activation.balance = Money(activation.balance.0 + 7);
    });
    let audit = audited(&run, &overpaid, &token).await;
    assert_eq!(kinds(&audit), ["answered_otherwise", "terms"], "the sums agree with the journal, but not with the terms");

    let unheld = planted("unheld", |records| {
        let again = last_confirmation(records).clone();
        last_confirmation(records).activation.slot += 1;
        records.push((records[records.len() - 1].0, Record::HoldConfirmed(again)));
    });
    let audit = audited(&run, &unheld, &token).await;
    for kind in ["hold_broken", "hold_ended", "second_record"] {
        assert!(audit.differences.by_kind().contains_key(kind), "{kind}: {:#?}", audit.differences);
    }

    let unseen = planted("unseen", |records| last_top_up(records).variables.gaming.0 += 1);
    assert_eq!(kinds(&audited(&run, &unseen, &token).await), ["snapshot"]);
    let unfired = planted("unfired", |records| drop(last_top_up(records).fired.pop()));
    let audit = audited(&run, &unfired, &token).await;
    for kind in ["credits", "balance", "answered_otherwise"] {
        assert!(audit.differences.by_kind().contains_key(kind), "{kind}: {:#?}", audit.differences);
    }

    let request = *run.exchanges().iter().find(|(_, exchange)| exchange.shape == Shape::Hot).expect("there is one").0;
    run.exchanges_mut().get_mut(&request).expect("just found").answer = None;
    let audit = audited(&run, &nothing, &token).await;
    assert_eq!(kinds(&audit), ["activations", "answer_missing"]);
    let named = audit.differences.first().contains(&Difference::AnswerMissing { request });
    assert!(named, "{:#?}", audit.differences);
    assert_eq!(audit.counts.unanswered, 1);
}

/// An engine with a history: the audit of a run begins after it, whatever it holds, and is as strict as without.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_a_run_begins_where_the_run_began() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, token) = new_folder(&dir.path().join("data"));
    let (engine, dial) = start_on(&folder, Start::default(), &token);
    let earlier = run(&small(Load::Closed { window: 32 }, 1_000), &dial).await;
    all_agree(&earlier, 1_000, 100);
    let mut configuration = small(Load::Closed { window: 32 }, 500);
    // Seeds can coincide if the environment gives one.
    configuration.seed = configuration.seed.wrapping_add(1);
    let (_stop_sender, stop) = watch::channel(false);
    let mut run = Run::begin(&configuration, &dial, stop, Arc::new(Live::default())).await.expect("it is listening");
    run.offer_all().await.expect("the engine runs");
    engine.stop().await.expect("the engine stops cleanly");
    let before = run.began_after().0 as usize;
    assert!(before > 1_000, "{before}");

    let mut all = 0;
    let copy = |name: &str| dir.path().join(name);
    let nothing = doctored(&folder, &copy("nothing"), |records| all = records.len());
    let audit = audited(&run, &nothing, &token).await;
    assert_eq!(audit.differences.first(), []);
    // The engine that audits the copy may add a record when it starts.
    let counted = audit.counts.records as usize;
    assert!((all - before..all - before + 10).contains(&counted), "{counted} of {all} records, {before} before the run");
    // A fault in the history does not concern the run.
    let history = doctored(&folder, &copy("history"), |records| last_activation(&mut records[..before]).1.balance.0 += 1);
    assert_eq!(audited(&run, &history, &token).await.differences.first(), []);
    // The same fault in the run does.
    let fault = doctored(&folder, &copy("fault"), |records| last_activation(records).1.balance.0 += 1);
    let audit = audited(&run, &fault, &token).await;
    for kind in ["balance", "answered_otherwise", "engine_accounts"] {
        assert!(audit.differences.by_kind().contains_key(kind), "{kind}: {:#?}", audit.differences);
    }
}

/// B1, U12: what an engine reports about clients, rules and campaigns is compared with the journal, each as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_contradicts_its_journal_is_found_out() {
    let (_dir, one, dial) = engine(Start::default());
    let client = Client::connect(dial.clone()).await.expect("it is listening");
    let arena = crate::support::club(&client, "Arena").await;
    let group = client.call(RequestId::now(), &RegisterGroup { name: "Gold".into() }).await.expect("a reply");
    let RegisterGroupOutcome::Registered(group) = group else { panic!("{group}") };
    let mut terms = crate::support::rule("Tenth", "", "{{topupAmountMajor}} * 0.1");
    terms.actions.push(Action::AssignGroup { group });
    crate::support::create_rule(&client, terms).await;
    client.register_client(RequestId::now(), ClientId(1), "Ann").await.expect("a reply");
    crate::support::campaign(&client, crate::support::terms("Spring", None, 100), &["SPRING".to_owned()]).await;
    let differs = async |recount: &mut Recount, client: &Client, expected: &[&str]| {
        recount.compare_engine(client, usize::MAX).await.expect("it replies");
        assert_eq!(recount.differences().by_kind().keys().copied().collect::<Vec<_>>(), expected);
    };
    let mut recount = Recount::of(&dial).await.expect("it can be tailed");
    differs(&mut recount, &client, &[]).await;
    // Changes after the recount stand for an engine that reports something else.
    client.call(RequestId::now(), &crate::support::top_up(1, arena, 10_000)).await.expect("a reply");
    client.redeem(RequestId::now(), &crate::support::redemption(1, arena, "SPRING")).await.expect("a reply");
    differs(&mut recount, &client, &["campaign_sums", "engine_accounts", "engine_groups", "engine_rule"]).await;
    // Another engine has none of it.
    let (_other_dir, other, other_dial) = engine(Start::default());
    let stranger = Client::connect(other_dial).await.expect("it is listening");
    let mut recount = Recount::of(&dial).await.expect("it can be tailed");
    differs(&mut recount, &stranger, &["engine_lacks_campaign", "engine_lacks_client", "engine_lacks_rule"]).await;
    drop((client, stranger));
    one.stop().await.expect("the engine stops cleanly");
    other.stop().await.expect("the engine stops cleanly");
}
