//! A run: the machine's limits, an engine, the load, the audit.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use scrip_client::Dial;
use scrip_engine::Engine;
use scrip_engine::folder::Folder;
use scrip_engine::pipeline::Limits;
use scrip_loadtest::load::{self, Configuration, Findings, Live};
use scrip_loadtest::machine::Machine;
use scrip_loadtest::memory::Watch;
use scrip_loadtest::probe::{Floor, Probe};
use scrip_loadtest::report::{self, Report};
use tokio::sync::watch;

use super::document::Documents;
use super::options::Options;
use super::own;
use super::watch::watch as show;
use crate::exit::{Exit, InputError};
use crate::print;
use crate::reach::Reach;

/// How often the memory of the process is sampled.
const MEMORY_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn run(options: Options, documents: Documents) -> anyhow::Result<Exit> {
    let configuration =
        options.configuration().map_err(|cause| InputError { place: "the options".to_owned(), why: cause.to_string() })?;
    documents.check()?;
    let started = jiff::Timestamp::now();
    let memory = Watch::start(MEMORY_EVERY);
    let temporary = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir).with_context(|| dir.display().to_string()),
        None => tempfile::tempdir().context("cannot create a temporary folder"),
    }?;
    let floor = match options.no_floor {
        true => None,
        false => {
            documents.say("measuring the limits of this machine");
            Some(floor(&options, &configuration, temporary.path()).await?)
        }
    };
    let usual = Limits::default();
    let limits = Limits { requests_max: options.limit_requests.map_or(usual.requests_max, |limit| limit as usize), ..usual };
    let requests_limit = limits.requests_max;
    let (engine, dial) = match options.is_running_engine() {
        true => (None, running(&options)?),
        false => {
            let (engine, dial) = own::start(&Folder::at(temporary.path().join("data")), limits)?;
            (Some(engine), dial)
        }
    };
    let loaded = load(&configuration, &dial, engine.as_ref(), documents.is_quiet()).await;
    if let Some(engine) = engine {
        engine.stop().await?;
    }
    let (findings, under_way) = loaded?;
    let audit = findings.audit.as_ref().ok().cloned();
    let report = Report {
        scrip: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("SCRIP_COMMIT").map(str::to_owned),
        started,
        machine: Machine::of(temporary.path()),
        command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        configuration: serde_json::to_value(&configuration)?,
        floor,
        phases: findings.phases,
        climb: findings.climb,
        engine: under_way.map(|requests_under_way_max| report::Engine { requests_under_way_max, requests_limit }),
        audit,
        memory: memory.end(),
    };
    let exit = documents.give(&report)?;
    // The measurements are valid without an audit, but its absence is an error.
    findings.audit.context("the load was not audited")?;
    Ok(exit)
}

/// Runs the load. Returns its findings, and the most requests that were under way in an engine of our own.
async fn load(
    configuration: &Configuration,
    dial: &Dial,
    engine: Option<&Engine>,
    quiet: bool,
) -> anyhow::Result<(Findings, Option<usize>)> {
    let (stop_sender, stop) = watch::channel(false);
    let live = Arc::new(Live::default());
    let mut under_way = 0;
    let findings = tokio::select! {
        findings = load::run(configuration, dial, stop, live.clone()) => findings?,
        () = show(&live, engine, quiet, &mut under_way) => unreachable!("the display loop never ends"),
        () = interrupted(stop_sender) => unreachable!("the second interrupt ends the program"),
    };
    Ok((findings, engine.map(|_| under_way)))
}

/// Ends the sending at the first Ctrl-C, and the program at the second.
async fn interrupted(stop: watch::Sender<bool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.send_replace(true);
        print::complain("sending stopped; the audit follows (Ctrl-C again exits at once)");
        if tokio::signal::ctrl_c().await.is_ok() {
            // The exit code that a shell gives a program killed by SIGINT.
            std::process::exit(130);
        }
    }
    std::future::pending().await
}

async fn floor(options: &Options, configuration: &Configuration, dir: &Path) -> anyhow::Result<Floor> {
    let quick = Probe::quick();
    // As many frames as there will be requests, as long as that takes no noticeable time.
    let frames = quick.frames.min(configuration.requests.max(1));
    let probe = Probe { windows: vec![options.in_flight as usize], frames, ..quick };
    Ok(probe.run(dir, &mut |_| {}).await?)
}

fn running(options: &Options) -> anyhow::Result<Dial> {
    let (data, server, ca) = (options.data.clone(), options.server.clone(), options.ca.clone());
    let mut dial = Reach::of(data, server, ca, options.token_file.clone()).dial()?;
    dial.patience = Duration::from_secs(30);
    Ok(dial)
}
