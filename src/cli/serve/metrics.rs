//! The engine's metrics in the format of Prometheus, and the address on which they are served.

use std::net::SocketAddr;
use std::sync::Arc;

use scrip_engine::Vitals;
use scrip_engine::pipeline::ClockStatus;
use scrip_protocol::command::{Counted, RedeemOutcome, Status};
use scrip_web::listener::{ListenerLimits, serve};
use scrip_web::probes::{Exposition, MetricKind, Readiness, router};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::exit::MetricsAddressError;

/// How many connections wait to be accepted.
const BACKLOG: u32 = 1024;

/// The address on which an engine answers probes, for as long as this lives.
pub(super) struct Probed {
    address: SocketAddr,
    readiness: watch::Sender<Readiness>,
    serving: tokio::task::JoinHandle<()>,
}

impl Probed {
    /// Listens on the address. Connections wait until [`start`](Probed::start) answers them. A socket that is bound and does not listen
    /// would let another with `SO_REUSEADDR` listen on the same address.
    pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, MetricsAddressError> {
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of an earlier process do not keep the address.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        listen().map_err(|source| MetricsAddressError { address, source })
    }

    /// Starts to answer. Connections use at most this many file descriptors.
    pub(super) fn start(listener: TcpListener, vitals: Arc<Vitals>, descriptors: usize) -> anyhow::Result<Probed> {
        let address = listener.local_addr()?;
        let (readiness, ready) = watch::channel(Readiness::Ready);
        let clock = vitals.clone();
        let probed = move || match (ready.borrow().clone(), clock.clock_fault()) {
            (Readiness::Ready, Some(why)) => Readiness::NotReady(why),
            (readiness, _) => readiness,
        };
        let router = router(probed, move || text(&vitals.status(), &vitals.clock()));
        let serving = serve(listener, router, ListenerLimits::PROBES.within(descriptors), std::future::pending());
        Ok(Probed { address, readiness, serving: tokio::spawn(serving) })
    }

    /// The address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reports from now on that the engine no longer serves.
    pub(super) fn not_ready(&self, why: &str) {
        self.readiness.send_replace(Readiness::NotReady(why.to_owned()));
    }
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// The status as text.
fn text(status: &Status, clock: &ClockStatus) -> String {
    let mut text = Exposition::default();
    journal(&mut text, status);
    machine_clock(&mut text, clock);
    requests(&mut text, status);
    readers(&mut text, status);
    sizes(&mut text, status);
    load(&mut text, status);
    text.into_text()
}

fn journal(text: &mut Exposition, status: &Status) {
    use MetricKind::{Counter, Gauge, Histogram};
    let Status { journal, snapshot, .. } = status;
    let started = "Time at which the process started to serve, in seconds since 1970.";
    text.one("scrip_engine_start_time_seconds", Gauge, started, seconds(status.started_ms));
    text.one("scrip_engine_time_seconds", Gauge, "The engine's time, in seconds since 1970.", seconds(status.now_ms));
    text.one("scrip_engine_journal_first_position", Gauge, "First position in the journal.", journal.first);
    text.one("scrip_engine_journal_position", Gauge, "Newest durable position.", journal.durable);
    text.one("scrip_engine_journal_disk_bytes", Gauge, "Size of the journal's files on disk.", journal.disk_bytes);
    text.one("scrip_engine_journal_batches_total", Counter, "Batches made durable.", journal.batches);
    text.one("scrip_engine_journal_records_total", Counter, "Records made durable.", journal.records);
    text.one("scrip_engine_journal_bytes_total", Counter, "Bytes of batches made durable.", journal.bytes);
    let steps = journal.flushes.steps.iter().map(|step| (f64::from(step.us_max) / 1e6, step.count));
    let help = "Time to make a commit durable.";
    let mut flushes = text.family("scrip_engine_journal_flush_duration_seconds", Histogram, help);
    flushes.histogram(&[], steps, journal.flushes.longer, journal.flushes.sum_us as f64 / 1e6);
    if let Some(snapshot) = snapshot {
        text.one(
            "scrip_engine_snapshot_position",
            Gauge,
            "Position of the newest record in the newest snapshot.",
            snapshot.position,
        );
        let age = status.now_ms.saturating_sub(snapshot.time_ms);
        text.one("scrip_engine_snapshot_age_seconds", Gauge, "Age of the newest record in the newest snapshot.", seconds(age));
    }
}

fn machine_clock(text: &mut Exposition, clock: &ClockStatus) {
    use MetricKind::{Counter, Gauge};
    let lead_ms = clock.record_ms as f64 - clock.wall_ms as f64;
    let help = "How far the time of records is ahead of the machine's clock; negative if the clock is not followed.";
    text.one("scrip_engine_clock_lead_seconds", Gauge, help, lead_ms / 1_000.0);
    let help = "Whether the machine's clock is followed.";
    text.one("scrip_engine_clock_followed", Gauge, help, u8::from(clock.is_followed));
    let help = "Steps of the machine's clock by more than a second.";
    let mut family = text.family("scrip_engine_clock_steps_total", Counter, help);
    family.sample(&[("direction", "forward")], clock.steps_forward);
    family.sample(&[("direction", "back")], clock.steps_back);
}

fn requests(text: &mut Exposition, status: &Status) {
    let mut counted = |name: &str, label: &str, help: &str, counts: &[Counted]| {
        let mut family = text.family(name, MetricKind::Counter, help);
        for Counted { word, count } in counts {
            family.sample(&[(label, word)], count);
        }
    };
    counted("scrip_engine_requests_total", "command", "Requests received.", &status.requests);
    counted("scrip_engine_redemptions_total", "outcome", "Redemptions decided.", &without_reasons(&status.redemptions));
    counted("scrip_engine_holds_total", "outcome", "Holds decided.", &without_reasons(&status.holds));
    counted("scrip_engine_refusals_total", "reason", "Requests not executed.", &status.refusals);
    let help = "Rules that matched a top-up but failed.";
    counted("scrip_engine_rule_failures_total", "reason", help, &status.rule_failures);
    let Status { repeated, lockouts, attempts, pushes_too_long, .. } = status;
    for (name, help, count) in [
        (
            "scrip_engine_repeated_requests_total",
            "Retries answered with the outcome of an earlier request with the same id.",
            repeated,
        ),
        ("scrip_engine_pushes_too_long_total", "Push notifications not sent because they were too long.", pushes_too_long),
        ("scrip_engine_guard_lockouts_total", "Lockouts started by the guard.", lockouts),
        ("scrip_engine_attempts_total", "Refused attempts that left no record.", &attempts.all),
        (
            "scrip_engine_attempts_lost_total",
            "Refused attempts that were not kept because too many arrived at once.",
            &attempts.lost,
        ),
    ] {
        text.one(name, MetricKind::Counter, help, count);
    }
}

/// Counts of outcomes, with all failed attempts at codes under one word: everybody who can reach this address sees them,
/// including callers without reasons (Z9). The status and the reporting sidecar have the reasons, for authorised callers.
fn without_reasons(counts: &[Counted]) -> Vec<Counted> {
    let is_reason = |word: &str| RedeemOutcome::FAILED_ATTEMPTS.contains(&word);
    let (reasons, others): (Vec<&Counted>, Vec<&Counted>) = counts.iter().partition(|counted| is_reason(&counted.word));
    let failed: u64 = reasons.iter().map(|counted| counted.count).sum();
    let failed = (failed > 0).then(|| Counted { word: RedeemOutcome::NotAccepted.word().to_owned(), count: failed });
    others.into_iter().cloned().chain(failed).collect()
}

/// The lag of each reader, and of the slowest.
fn readers(text: &mut Exposition, status: &Status) {
    let readers = &status.readers;
    let help = "Durable records that a registered reader has not read.";
    let mut family = text.family("scrip_engine_reader_lag_records", MetricKind::Gauge, help);
    for reader in readers {
        family.sample(&[("reader", &reader.name)], reader.lag_records);
    }
    let help = "Age of the oldest record that a registered reader has not read, if known.";
    let mut family = text.family("scrip_engine_reader_lag_seconds", MetricKind::Gauge, help);
    for reader in readers {
        if let Some(lag_ms) = reader.lag_ms {
            family.sample(&[("reader", &reader.name)], seconds(lag_ms));
        }
    }
    if let Some(slowest) = readers.iter().max_by_key(|reader| reader.lag_records) {
        let help = "Durable records that the slowest registered reader has not read.";
        text.one("scrip_engine_slowest_reader_lag_records", MetricKind::Gauge, help, slowest.lag_records);
        if let Some(lag_ms) = slowest.lag_ms {
            let help = "Age of the oldest record that the slowest registered reader has not read.";
            text.one("scrip_engine_slowest_reader_lag_seconds", MetricKind::Gauge, help, seconds(lag_ms));
        }
    }
}

fn sizes(text: &mut Exposition, status: &Status) {
    let sizes = &status.sizes;
    for (name, help, size) in [
        ("scrip_engine_clients", "Clients in the state.", sizes.clients),
        ("scrip_engine_campaigns", "Campaigns, including archived ones.", sizes.campaigns),
        ("scrip_engine_codes", "Codes of all campaigns, including archived ones.", sizes.codes),
        ("scrip_engine_holds", "Holds remembered, open or ended.", sizes.holds),
        ("scrip_engine_request_ids", "Request ids remembered.", sizes.requests),
        ("scrip_engine_guarded", "Clients, networks and credentials with failed attempts remembered.", sizes.guarded),
    ] {
        text.one(name, MetricKind::Gauge, help, size);
    }
}

fn load(text: &mut Exposition, status: &Status) {
    let load = &status.load;
    for (name, help, now) in [
        ("scrip_engine_connections", "Connections.", load.connections),
        ("scrip_engine_connections_limit", "Maximum number of connections.", load.connections_max),
        ("scrip_engine_lanes", "Lanes of all connections.", load.lanes),
        ("scrip_engine_tails", "Tails of the journal.", load.tails),
        ("scrip_engine_watchers", "Watchers of refused attempts.", load.watchers),
        (
            "scrip_engine_requests_under_way",
            "Requests handed to the engine thread and not yet answered.",
            load.requests_under_way,
        ),
        ("scrip_engine_requests_under_way_limit", "Maximum number of requests under way.", load.requests_under_way_max),
    ] {
        text.one(name, MetricKind::Gauge, help, now);
    }
    for (name, help, count) in [
        ("scrip_engine_connections_taken_total", "Connections accepted.", load.connections_taken),
        ("scrip_engine_connections_refused_total", "Connections refused because there were too many.", load.connections_refused),
        ("scrip_engine_handshakes_evicted_total", "Connections closed before their hello to make room.", load.handshakes_evicted),
        ("scrip_engine_retries_total", "Connections that had to validate their address first.", load.retries),
    ] {
        text.one(name, MetricKind::Counter, help, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that starts while the engine replays its journal cannot take the address, even with `SO_REUSEADDR`.
    #[tokio::test]
    async fn the_address_is_taken_before_the_engine_starts() {
        let listener = Probed::listen(([127, 0, 0, 1], 0).into()).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let error = Probed::listen(address).expect_err("the address is in use");
        assert_eq!((error.address, error.source.kind()), (address, std::io::ErrorKind::AddrInUse));
        let other = TcpSocket::new_v4().expect("a socket");
        other.set_reuseaddr(true).expect("it is an option of sockets");
        assert!(other.bind(address).and_then(|()| other.listen(1)).is_err());
        drop(listener);
        Probed::listen(address).expect("the address is free again");
    }
}
