//! The engine under ten times the load it can carry: excess requests are refused with a time to retry, accepted ones are answered
//! and durable, and afterwards everything is back to normal (Z4).

use std::sync::Arc;
use std::time::Duration;

use scrip_engine::pipeline::{Limits, RETRY_AFTER_MS};
use scrip_engine::server::ServerLimits;
use scrip_engine::{Engine, Start};
use scrip_loadtest::control::OnBusy;
use scrip_loadtest::load::{Configuration, Live, Load, Run};
use scrip_loadtest::mix::Mix;
use scrip_loadtest::pace::Arrivals;
use tokio::sync::watch;

use crate::support::engine;
use crate::support::load::{run, small};

/// Limit of requests under way.
const LIMIT: usize = 512;

/// A rate that the generator reaches beside the engine on any machine, unoptimised.
const RATE_MAX: f64 = 60_000.0;

fn plain(load: Load, requests: usize) -> Configuration {
    let mix = Mix { clients: 1_000, ..Mix::default() };
    Configuration { mix, codes_per_campaign: 50_000, connections: 4, ..small(load, requests) }
}

/// The highest number of requests under way, sampled very often.
async fn most_under_way(engine: &Engine, most: &mut usize) {
    loop {
        *most = (*most).max(engine.requests_under_way());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn excess_requests_are_refused_in_an_orderly_way() {
    // Commits of one record make the disk the bottleneck. A lane's window is below the limit, so that no single chunk exceeds it.
    let limits = Limits { requests_max: LIMIT, batch_records_max: 1, commit_batches_max: 1, ..Limits::default() };
    let server_limits = ServerLimits { lane_window_bytes: 16 << 10, ..ServerLimits::default() };
    let (_dir, engine, dial) = engine(Start { limits, server_limits, ..Start::default() });

    let measured = run(&Configuration { connections: 1, ..plain(Load::Closed { window: 64 }, 1_000) }, &dial).await;
    let capacity = 1_000.0 / measured.phases[0].elapsed.as_secs_f64();
    let per_second = (10.0 * capacity).min(RATE_MAX);
    let requests = (per_second * 1.5) as usize;
    crate::support::say(&format!("capacity {capacity:.0}/s, offered {per_second:.0}/s"));

    let mut configuration = plain(Load::Open { per_second, arrivals: Arrivals::Even }, requests);
    configuration.on_busy = OnBusy::Refused;
    let (_stop_sender, stop) = watch::channel(false);
    let mut overload = Run::begin(&configuration, &dial, stop, Arc::new(Live::default())).await.expect("it is listening");
    let mut most = 0;
    // The overload, and right after it the lone requests.
    tokio::select! {
        offered = overload.offer_all() => offered.expect("the load runs"),
        () = most_under_way(&engine, &mut most) => unreachable!("the sampling never ends"),
    }
    let findings = overload.audit().await;
    let audit = findings.audit.as_ref().expect("the audit ran");
    assert_eq!(audit.differences.first(), [], "nothing accepted is lost, nothing refused is executed");

    let (phase, particulars) = (&findings.phases[0], &findings.phases[0].particulars);
    let taken = phase.answers["redeemed"];
    assert_eq!(taken + phase.busy, requests as u64, "every request was answered, one way or the other");
    assert_eq!((particulars.unanswered, particulars.unsent), (0, 0));
    assert!(most <= LIMIT, "{most} requests were under way");
    if per_second < RATE_MAX {
        assert!(phase.busy > 0, "the engine carried ten times its capacity: {phase:?}");
        assert_eq!(particulars.retry_after_ms, Some((RETRY_AFTER_MS, RETRY_AFTER_MS)));
        assert_eq!(findings.audit.as_ref().expect("it was audited").counts.refused_busy, phase.busy);
    }
    // An accepted request waits at most for the requests before it, up to the limit; a disk that does only ten a second has
    // failed.
    let slowest = Duration::from_nanos(phase.latency.max());
    assert!(slowest < Duration::from_secs(30), "{slowest:?}");
    let alone = &findings.phases[1];
    assert_eq!((alone.answers["redeemed"], alone.busy), (20, 0), "afterwards a lone request is answered at once");
    assert!(Duration::from_nanos(alone.latency.max()) < Duration::from_secs(10), "{:?}", alone.latency.max());
    engine.stop().await.expect("the engine stops cleanly");
}

/// A client that waits as long as Busy says gets everything done in the end.
#[tokio::test(flavor = "multi_thread")]
async fn busy_requests_succeed_when_retried() {
    let limits = Limits { requests_max: 16, batch_records_max: 4, ..Limits::default() };
    let server_limits = ServerLimits { lane_window_bytes: 4 << 10, ..ServerLimits::default() };
    let (_dir, engine, dial) = engine(Start { limits, server_limits, ..Start::default() });
    let findings = run(&plain(Load::Burst, 1_000), &dial).await;
    assert_eq!(findings.audit.as_ref().expect("it was audited").differences.first(), []);
    assert!(findings.phases[0].busy > 0, "1,000 at once were never more than 16");
    assert_eq!(findings.phases[0].answers, [("redeemed", 1_000)].into());
    let audit = findings.audit.as_ref().expect("the audit ran");
    assert_eq!((audit.counts.refused_busy, audit.counts.unanswered), (0, 0));
    engine.stop().await.expect("the engine stops cleanly");
}
