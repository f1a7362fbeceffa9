//! Small loads for tests.

use std::sync::Arc;

use scrip_client::Dial;
use scrip_loadtest::control::OnBusy;
use scrip_loadtest::load::{Configuration, Findings, Live, Load};
use scrip_loadtest::mix::Mix;
use scrip_protocol::unix_time_ms;
use tokio::sync::watch;

/// Every shape at once.
pub(crate) fn mixed() -> Mix {
    Mix {
        clients: 100,
        zipf: 1.0,
        hot: 0.1,
        capped: 0.2,
        cap: 50,
        repeats: 0.1,
        misses: 0.05,
        spent: 0.05,
        holds: 0.1,
        checks: 0.05,
        imports: 0.005,
        import_codes: 20,
        top_ups: 0.1,
        rules: 6,
        ..Mix::default()
    }
}

/// A small load of every shape over three connections.
pub(crate) fn small(load: Load, requests: usize) -> Configuration {
    Configuration {
        load,
        requests,
        connections: 3,
        mix: mixed(),
        on_busy: OnBusy::Retry,
        storm: None,
        upkeep: None,
        alone: 20,
        seed: super::seed(),
        time_ms: unix_time_ms(),
        codes_per_campaign: 700,
        own_clients: true,
        sending_max_ms: None,
        drain_max_ms: 20_000,
        patience_ms: 20_000,
        interval_ms: 50,
    }
}

/// Runs a load to its end.
pub(crate) async fn run(configuration: &Configuration, dial: &Dial) -> Findings {
    let (_stop_sender, stop) = watch::channel(false);
    scrip_loadtest::load::run(configuration, dial, stop, Arc::new(Live::default())).await.expect("the engine runs")
}
