//! The engine under ten times the load it can carry: what is too much is refused and told when to come again, what was taken is
//! answered and kept, and afterwards all is as before (Z4).

mod support;

use std::sync::Arc;
use std::time::Duration;

use scrip_engine::pipeline::{Limits, RETRY_AFTER_MS};
use scrip_engine::server::ServerLimits;
use scrip_engine::{Engine, Start};
use scrip_loadtest::drive::OnBusy;
use scrip_loadtest::load::{Configuration, Live, Load, Run};
use scrip_loadtest::mix::Mix;
use scrip_loadtest::pace::Arrivals;
use support::engine;
use support::load::{run, small};
use tokio::sync::watch;

/// Requests under way at once.
const LIMIT: usize = 512;

/// What the generator manages beside the engine on any machine, unoptimised.
const RATE_MAX: f64 = 60_000.0;

fn plain(load: Load, requests: usize) -> Configuration {
    let mix = Mix { clients: 1_000, ..Mix::default() };
    Configuration { mix, codes_per_campaign: 50_000, connections: 4, ..small(load, requests) }
}

/// The most requests under way, of very many looks.
async fn most_under_way(engine: &Engine, most: &mut usize) {
    loop {
        *most = (*most).max(engine.requests_under_way());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_too_much_is_refused_in_good_order() {
    // Commits of one record make the disk the limit. A lane's window holds less than the limit, so that no single chunk passes it.
    let limits = Limits { requests_max: LIMIT, batch_records_max: 1, commit_batches_max: 1, ..Limits::default() };
    let server_limits = ServerLimits { lane_window_bytes: 16 << 10, ..ServerLimits::default() };
    let (_dir, engine, dial) = engine(Start { limits, server_limits, ..Start::default() });

    let measured = run(&Configuration { connections: 1, ..plain(Load::Closed { window: 64 }, 1_000) }, &dial).await;
    let capacity = 1_000.0 / measured.phases[0].elapsed.as_secs_f64();
    let per_second = (10.0 * capacity).min(RATE_MAX);
    let requests = (per_second * 1.5) as usize;
    support::say(&format!("capacity {capacity:.0}/s, offered {per_second:.0}/s"));

    let mut configuration = plain(Load::Open { per_second, arrivals: Arrivals::Even }, requests);
    configuration.on_busy = OnBusy::Refused;
    let (_stop_sender, stop) = watch::channel(false);
    let mut overload = Run::begin(&configuration, &dial, stop, Arc::new(Live::default())).await.expect("it listens");
    let mut most = 0;
    // The overload, and right after it the lone requests.
    tokio::select! {
        offered = overload.offer_all() => offered.expect("it goes on"),
        () = most_under_way(&engine, &mut most) => unreachable!("it looks for as long as the load goes on"),
    }
    let findings = overload.audit().await;
    assert_eq!(
        findings.audit.as_ref().expect("it was audited").differences.first(),
        [],
        "nothing that was taken is lost, nothing that was refused is done"
    );

    let (phase, particulars) = (&findings.phases[0], &findings.phases[0].particulars);
    let taken = phase.answers["redeemed"];
    assert_eq!(taken + phase.busy, requests as u64, "every request was answered, one way or the other");
    assert_eq!((particulars.unanswered, particulars.unsent), (0, 0));
    assert!(most <= LIMIT, "{most} requests were under way");
    if per_second < RATE_MAX {
        assert!(phase.busy > 0, "ten times too much was carried: {phase:?}");
        assert_eq!(particulars.retry_after_ms, Some((RETRY_AFTER_MS, RETRY_AFTER_MS)));
        assert_eq!(findings.audit.as_ref().expect("it was audited").refused_busy, phase.busy);
    }
    // What is taken waits for no more than the limit's number before it; a disk that does ten a second has failed otherwise.
    let slowest = Duration::from_nanos(phase.latency.max());
    assert!(slowest < Duration::from_secs(30), "{slowest:?}");
    let alone = &findings.phases[1];
    assert_eq!((alone.answers["redeemed"], alone.busy), (20, 0), "afterwards a lone request is answered at once");
    assert!(Duration::from_nanos(alone.latency.max()) < Duration::from_secs(10), "{:?}", alone.latency.max());
    engine.stop().await.expect("the journal is well");
}

/// Whoever waits as told gets everything done in the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_busy_is_done_when_it_is_asked_again() {
    let limits = Limits { requests_max: 16, batch_records_max: 4, ..Limits::default() };
    let server_limits = ServerLimits { lane_window_bytes: 4 << 10, ..ServerLimits::default() };
    let (_dir, engine, dial) = engine(Start { limits, server_limits, ..Start::default() });
    let findings = run(&plain(Load::Burst, 1_000), &dial).await;
    assert_eq!(findings.audit.as_ref().expect("it was audited").differences.first(), []);
    assert!(findings.phases[0].busy > 0, "1,000 at once were never more than 16");
    assert_eq!(findings.phases[0].answers, [("redeemed", 1_000)].into());
    assert_eq!(
        (
            findings.audit.as_ref().expect("it was audited").refused_busy,
            findings.audit.as_ref().expect("it was audited").unanswered
        ),
        (0, 0)
    );
    engine.stop().await.expect("the journal is well");
}
