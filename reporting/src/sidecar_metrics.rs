//! The sidecar's metrics for Prometheus: the progress of the read model.

use scrip_web::probes::{Exposition, MetricKind, Readiness};
use std::path::Path;

use crate::standing::{Following, Standing};

/// The maximum age of a missing record at which the sidecar is ready, in milliseconds.
pub(crate) const READY_LAG_MS: u64 = 10_000;

/// Whether answers are up to date.
pub(crate) fn readiness(standing: &Standing) -> Readiness {
    match (&standing.following, standing.lag()) {
        (Following::Halted(why), _) => Readiness::NotReady(format!("halted: {why}")),
        (Following::Apart(why), _) => Readiness::NotReady(format!("no connection to the engine: {why}")),
        (Following::Tailing, _) if standing.applied.0 == 0 => {
            Readiness::NotReady("no records received from the engine yet".to_owned())
        }
        (Following::Tailing, Some(lag)) if lag.milliseconds > READY_LAG_MS => {
            Readiness::NotReady(format!("{} records behind, the oldest of them for {} ms", lag.records, lag.milliseconds))
        }
        (Following::Tailing, Some(_) | None) => Readiness::Ready,
    }
}

/// The metrics that need no token, as text.
pub(crate) fn text(standing: &Standing) -> String {
    let mut text = Exposition::default();
    let gauge = MetricKind::Gauge;
    text.one("scrip_sidecar_position", gauge, "The newest record in the read model.", standing.applied);
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let help = "The time of the newest record in the read model, since 1970.";
    text.one("scrip_sidecar_time_seconds", gauge, help, seconds(standing.applied_ms));
    let tailing = i32::from(standing.following == Following::Tailing);
    text.one("scrip_sidecar_tailing", gauge, "Whether the journal is being followed.", tailing);
    if let Some(newest) = standing.newest {
        let help = "The newest durable record of the engine, as last reported.";
        text.one("scrip_sidecar_engine_position", gauge, help, newest.position);
    }
    if let Some(lag) = standing.lag() {
        let help = "Durable records that are not in the read model yet.";
        text.one("scrip_sidecar_lag_records", gauge, help, lag.records);
        let help = "Maximum age of the oldest of these; 0 if there is none.";
        text.one("scrip_sidecar_lag_seconds", gauge, help, seconds(lag.milliseconds));
    }
    text.into_text()
}

/// The size of the read model as text. It shows why codes were refused: a refusal takes more or fewer bytes depending on its reason.
pub(crate) fn size_text(file: &Path) -> String {
    let (mut text, gauge) = (Exposition::default(), MetricKind::Gauge);
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |of| of.len());
    let mut family = text.family("scrip_sidecar_read_model_bytes", gauge, "Size of the read model on disk.");
    family.sample(&[("file", "main")], bytes(file)).sample(&[("file", "log")], bytes(Path::new(&log)));
    text.into_text()
}
