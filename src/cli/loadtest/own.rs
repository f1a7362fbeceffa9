//! An engine of our own, in this process and on a new data folder.

use std::time::Duration;

use anyhow::Context;
use scrip_client::Dial;
use scrip_core::guard::GuardLimits;
use scrip_engine::folder::{Config, Folder};
use scrip_engine::pipeline::{Limits, ShareLimits};
use scrip_engine::server::ServerLimits;
use scrip_engine::{Engine, Start};
use scrip_protocol::record::CODES_PER_CAMPAIGN_MAX;
use scrip_protocol::{Role, Settings};

/// How many codes one of its campaigns may hold.
pub(super) const CODES_PER_CAMPAIGN: u32 = CODES_PER_CAMPAIGN_MAX;

/// How many connections it accepts, all from one credential: each reconnect of a storm leaves one that the engine keeps until its idle
/// timeout.
const CONNECTIONS_MAX: usize = 1 << 16;

/// Starts an engine, and returns how an operator connects to it.
pub(super) fn start(folder: &Folder, limits: Limits) -> anyhow::Result<(Engine, Dial)> {
    let settings =
        Settings { organisation: "Loadtest".into(), codes_per_campaign_max: CODES_PER_CAMPAIGN, ..Settings::default() };
    let listen = ([127, 0, 0, 1], 0).into();
    let issued = folder.init(&Config::new(listen, settings, GuardLimits::OFF), &[])?;
    let operator = issued
        .into_iter()
        .find(|issued| issued.credential.role == Role::Operator)
        .context("init issues a token for each role")?;
    let server_limits = ServerLimits {
        connections_max: CONNECTIONS_MAX,
        connections_per_credential_max: CONNECTIONS_MAX,
        // One credential sends the whole load.
        shares: ShareLimits { requests_max: limits.requests_max, ..ShareLimits::default() },
        ..ServerLimits::default()
    };
    let start = Start { limits, server_limits, ..Start::default() };
    let engine = tokio::task::block_in_place(|| Engine::start(folder, start, &mut |_| {}))?;
    let mut dial = Dial::new(&engine.address().to_string(), std::fs::read(folder.ca_path())?, operator.token)?;
    dial.patience = Duration::from_secs(60);
    Ok((engine, dial))
}
