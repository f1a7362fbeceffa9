//! A run: the floor, an engine, the load, the audit.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use scrip_engine::folder::{Config, Folder};
use scrip_engine::pipeline::Limits;
use scrip_engine::{Engine, Start};
use scrip_loadtest::floor::{Echo, FloorError, median, raw_flush, redb_commit};
use scrip_loadtest::load::{self, Configuration, Findings, Live};
use scrip_protocol::client::Dial;
use scrip_protocol::{Role, Settings};
use tokio::sync::watch;

use super::figures::{Figures, Floor};
use super::options::{OWN_CODES_PER_CAMPAIGN, Options};
use super::watch::{Seen, watch as show};
use crate::exit::Exit;
use crate::reach::Reach;
use crate::{exit, print};

/// The payload of an echoed frame: what a redemption of a 12-character code has, with its request id.
const ECHO_PAYLOAD: usize = 56;

pub(super) async fn run(options: Options) -> anyhow::Result<Exit> {
    let configuration =
        options.configuration().map_err(|cause| exit::InputError { place: "the options".to_owned(), why: cause.to_string() })?;
    let temporary = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir).with_context(|| dir.display().to_string()),
        None => tempfile::tempdir().context("a temporary folder"),
    }?;
    let floor = match options.no_floor {
        true => None,
        false => Some(floor(&options, &configuration, temporary.path()).await?),
    };
    let (engine, dial) = match options.is_running_engine() {
        true => (None, running(&options)?),
        false => {
            let (engine, dial) = start(&Folder::at(temporary.path().join("data")), options.limit_requests)?;
            (Some(engine), dial)
        }
    };
    let loaded = load(&options, &configuration, &dial, engine.as_ref()).await;
    if let Some(engine) = engine {
        engine.stop().await?;
    }
    let (findings, seen) = loaded?;
    let differences = findings.audit.differences.count();
    let figures =
        Figures { configuration: &configuration, findings: &findings, floor, seen, limit_requests: options.limit_requests };
    match options.json {
        true => print::json(&figures.document()),
        false => figures.print(),
    }
    findings.audit.differences.first().iter().for_each(|difference| print::complain(&difference.to_string()));
    Ok(if differences == 0 { Exit::Done } else { Exit::Mismatch })
}

async fn load(
    options: &Options,
    configuration: &Configuration,
    dial: &Dial,
    engine: Option<&Engine>,
) -> anyhow::Result<(Findings, Option<Seen>)> {
    let (stop_sender, stop) = watch::channel(false);
    let live = Arc::new(Live::default());
    let mut seen = Seen::default();
    let findings = tokio::select! {
        findings = load::run(configuration, dial, stop, live.clone()) => findings?,
        () = show(&live, engine, options.json, &mut seen) => unreachable!("it watches for as long as the run goes on"),
        () = interrupted(stop_sender) => unreachable!("the second interrupt ends the program"),
    };
    Ok((findings, engine.map(|_| seen)))
}

/// Ends the sending at the first Ctrl-C, and the program at the second.
async fn interrupted(stop: watch::Sender<bool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.send_replace(true);
        print::complain("no more requests are sent; the audit follows (Ctrl-C again ends it at once)");
        if tokio::signal::ctrl_c().await.is_ok() {
            // What a shell says of a program that ended so.
            std::process::exit(130);
        }
    }
    std::future::pending().await
}

async fn floor(options: &Options, configuration: &Configuration, dir: &Path) -> anyhow::Result<Floor> {
    if !options.json {
        print::complain("measuring the floor of this machine");
    }
    let (flush, commit) =
        tokio::task::block_in_place(|| Ok::<_, FloorError>((raw_flush(dir, 1_000)?, redb_commit(dir, 200, 1_000)?)))?;
    let mut echo = Echo::start().await?;
    let alone = echo.alone(configuration.alone.max(100), ECHO_PAYLOAD).await?;
    let count = configuration.requests.clamp(500_000, 4_000_000);
    let took = echo.frames(count, ECHO_PAYLOAD, options.in_flight as usize).await?;
    echo.stop().await;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Floor {
        echo_frames_per_second: count as f64 / took.as_secs_f64(),
        echo_alone_p50_us: us(median(&alone)),
        flush_p50_us: us(median(&flush)),
        redb_commit_p50_us: us(median(&commit)),
    })
}

fn running(options: &Options) -> anyhow::Result<Dial> {
    let (data, server, ca) = (options.data.clone(), options.server.clone(), options.ca.clone());
    let mut dial = Reach::of(data, server, ca, options.token_file.clone()).dial()?;
    dial.patience = Duration::from_secs(30);
    Ok(dial)
}

fn start(folder: &Folder, limit_requests: Option<u32>) -> anyhow::Result<(Engine, Dial)> {
    let settings =
        Settings { organisation: "Loadtest".into(), codes_per_campaign_max: OWN_CODES_PER_CAMPAIGN, ..Settings::default() };
    let listen = ([127, 0, 0, 1], 0).into();
    let issued = folder.init(&Config { listen, settings }, &[])?;
    let operator = issued.into_iter().find(|issued| issued.credential.role == Role::Operator).context("a token for each role")?;
    let usual = Limits::default();
    let limits = Limits { requests_max: limit_requests.map_or(usual.requests_max, |limit| limit as usize), ..usual };
    let engine = tokio::task::block_in_place(|| Engine::start(folder, Start { limits, ..Start::default() }, &mut |_| {}))?;
    let mut dial = Dial::new(&engine.address().to_string(), std::fs::read(folder.ca_path())?, operator.token)?;
    dial.patience = Duration::from_secs(60);
    Ok((engine, dial))
}
