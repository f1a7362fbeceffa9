//! The options of `scrip loadtest`, and the configuration that they add up to.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use scrip_loadtest::control::OnBusy;
use scrip_loadtest::drive::Storm;
use scrip_loadtest::load::{Configuration, Load};
use scrip_loadtest::mix::Mix;
use scrip_loadtest::pace::Arrivals;
use scrip_loadtest::ramp::Ramp;
use scrip_loadtest::upkeep::Upkeep;
use scrip_protocol::unix_time_ms;

use super::own::CODES_PER_CAMPAIGN;

/// The most requests of a run: each is stored before the clock starts.
const REQUESTS_MAX: u64 = 20_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelWord {
    /// A fixed number of requests in flight on each connection: a slow reply delays the next request
    Closed,
    /// At a fixed rate, whatever the replies do; latency counts from the time a request was due
    Open,
    /// Everything at once; latency counts from the start
    Burst,
    /// At rates that rise step by step until the objective is missed
    Ramp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ArrivalsWord {
    /// At equal intervals
    Even,
    /// As a Poisson process, like independent callers
    Poisson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BusyWord {
    /// Send it again after the delay that the engine returned; its latency counts from when it was first due
    Retry,
    /// Count it as refused
    Refused,
}

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Load model [default: `open` with --rate, otherwise `closed`]
    #[arg(long, value_enum)]
    pub(super) model: Option<ModelWord>,
    /// Number of requests; for `open`, --rate times --seconds [default: 1000000]
    #[arg(long, alias = "codes", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=REQUESTS_MAX as i64))]
    pub(super) requests: Option<u32>,
    /// Number of connections
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) connections: u32,
    /// closed: requests in flight on each connection
    #[arg(long, default_value_t = 16_384, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32_768))]
    pub(super) in_flight: u32,
    /// open: requests per second over all connections; ramp: the first rate
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(super) rate: Option<u32>,
    /// open: duration [default: 10]; closed: stop sending after this long
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) seconds: Option<u32>,
    /// open: how requests are spread in time
    #[arg(long, value_enum, default_value = "even")]
    pub(super) arrivals: ArrivalsWord,
    /// ramp: the p99 latency that must hold
    #[arg(long, default_value_t = 10.0, value_name = "MS")]
    pub(super) objective_p99_ms: f64,
    /// ramp: factor from each rate to the next
    #[arg(long, default_value_t = 1.5, value_name = "FACTOR")]
    pub(super) ramp_factor: f64,
    /// ramp: highest rate
    #[arg(long, default_value_t = 1_000_000, value_name = "PER_SECOND")]
    pub(super) rate_max: u32,
    /// ramp: duration of each rate
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(super) step_seconds: u32,
    /// What to do with a request that the engine is too busy for
    #[arg(long, value_enum, default_value = "retry")]
    pub(super) busy: BusyWord,

    /// Share of redemptions of one code without a cap
    ///
    /// Shares are fractions of 1. The rest are redemptions of codes that are each used once.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) hot: f64,
    /// Share of redemptions of one code with a cap
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) capped: f64,
    /// Cap of that code
    #[arg(long, default_value_t = 1_000, value_name = "N", help_heading = "Mix", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) cap: u32,
    /// Share of requests that are retried under the same id
    ///
    /// The retry goes over another connection if there is one.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) repeats: f64,
    /// Share of redemptions of codes that do not exist
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) misses: f64,
    /// Share of redemptions of codes that are already used up
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) spent: f64,
    /// Share of holds
    ///
    /// Each hold adds one request when its reply arrives: a confirmation, or for one in ten a release.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) holds: f64,
    /// Share of checks, of ten codes each
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) checks: f64,
    /// Share of imports, of a thousand new codes each
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) imports: f64,
    /// Share of top-ups; two rules fire on each
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) top_ups: f64,
    /// Number of live rules for the top-ups
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Mix", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) rules: u32,
    /// Number of clients that the requests are spread over [default: a fifth of the requests]
    #[arg(long, value_name = "N", help_heading = "Mix", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(super) clients: Option<u64>,
    /// Skew of the clients: the exponent of Zipf's law; 0 spreads evenly
    #[arg(long, default_value_t = 0.0, value_name = "S", help_heading = "Mix")]
    pub(super) zipf: f64,
    /// Seed of all random choices [default: 1 on an engine of its own, otherwise random]
    #[arg(long, value_name = "N", help_heading = "Mix")]
    pub(super) seed: Option<u64>,

    /// Close and reopen connections at this interval, in the middle of requests
    #[arg(long, value_name = "MS", help_heading = "Storms", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub(super) reconnect_ms: Option<u64>,
    /// Share of the connections that are reopened each time
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", help_heading = "Storms", requires = "reconnect_ms")]
    pub(super) reconnect_share: f64,

    /// Meanwhile create, archive and restore campaigns with this many codes
    ///
    /// Repeatedly, on another connection; each restore has a fifth of the codes in conflict.
    #[arg(long, value_name = "CODES", value_parser = clap::value_parser!(u32).range(10..=50_000))]
    pub(super) upkeep: Option<u32>,
    /// Minimum interval between repetitions of --upkeep; 0 for no pause
    #[arg(long, default_value_t = 0, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(super) upkeep_every_ms: u32,
    /// Number of redemptions made one at a time afterwards; 0 for none
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) alone: u32,
    /// How long due or busy requests may still be sent after the last one was due
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub(super) drain_seconds: u32,
    /// Resolution of the time series
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u32).range(10..=60_000))]
    pub(super) interval_ms: u32,
    /// Do not measure the limits of this machine
    #[arg(long)]
    pub(super) no_floor: bool,

    /// Parent of the temporary folder, on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", help_heading = "Own engine")]
    pub(super) dir: Option<PathBuf>,
    /// Number of requests under way before the engine replies busy
    #[arg(long, value_name = "N", help_heading = "Own engine", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) limit_requests: Option<u32>,

    /// Data folder of the running engine, on this machine
    #[arg(long, value_name = "DIR", help_heading = "Running engine", conflicts_with_all = ["dir", "limit_requests"])]
    pub(super) data: Option<PathBuf>,
    /// Engine address (host:port, UDP); overrides the data folder
    #[arg(long, value_name = "ADDRESS", requires = "ca", help_heading = "Running engine", conflicts_with_all = ["dir", "limit_requests"])]
    pub(super) server: Option<String>,
    /// Certificate authority to trust (PEM); overrides the data folder
    #[arg(long, value_name = "FILE", help_heading = "Running engine")]
    pub(super) ca: Option<PathBuf>,
    /// File with an operator's token [default: the token in SCRIP_TOKEN]
    #[arg(long, value_name = "FILE", help_heading = "Running engine")]
    pub(super) token_file: Option<PathBuf>,
    /// Codes that one of the run's campaigns may hold there (the engine's setting codes_per_campaign_max)
    #[arg(long, default_value_t = 50_000, value_name = "N", help_heading = "Running engine", value_parser = clap::value_parser!(u32).range(2..=50_000_000))]
    pub(super) codes_per_campaign: u32,
}

impl Options {
    /// Whether the engine already runs. Environment variables never select one: nobody should load a production engine unawares.
    pub(super) fn is_running_engine(&self) -> bool {
        self.data.is_some() || self.server.is_some()
    }

    /// The configuration that the options add up to.
    pub(super) fn configuration(&self) -> anyhow::Result<Configuration> {
        let model = self.model.unwrap_or(if self.rate.is_some() { ModelWord::Open } else { ModelWord::Closed });
        let (load, requests) = match (model, self.rate) {
            (ModelWord::Closed, None) => {
                (Load::Closed { window: self.in_flight as usize }, u64::from(self.requests.unwrap_or(1_000_000)))
            }
            (ModelWord::Burst, None) => (Load::Burst, u64::from(self.requests.unwrap_or(1_000_000))),
            (ModelWord::Closed | ModelWord::Burst, Some(_)) => bail!("--rate requires --model open or ramp"),
            (ModelWord::Open, None) => bail!("--model open requires --rate"),
            (ModelWord::Open, Some(rate)) => {
                let arrivals = match self.arrivals {
                    ArrivalsWord::Even => Arrivals::Even,
                    ArrivalsWord::Poisson => Arrivals::Poisson,
                };
                let given = self.requests.filter(|_| self.seconds.is_none()).map(u64::from);
                let requests = given.unwrap_or(u64::from(rate) * u64::from(self.seconds.unwrap_or(10)));
                (Load::Open { per_second: rate.into(), arrivals }, requests)
            }
            (ModelWord::Ramp, rate) => {
                let ramp = Ramp {
                    from: rate.unwrap_or(10_000).into(),
                    factor: self.ramp_factor,
                    to: self.rate_max.into(),
                    step_ms: u64::from(self.step_seconds) * 1_000,
                    objective_p99_ms: self.objective_p99_ms,
                };
                if !(1.05..=100.0).contains(&ramp.factor) {
                    bail!("--ramp-factor is {}; it must be from 1.05 to 100", ramp.factor);
                }
                if ramp.rates().next().is_none() {
                    bail!("--rate-max {} is below the first rate, {}", ramp.to, ramp.from);
                }
                (Load::Ramp(ramp), ramp.count(ramp.to) as u64)
            }
        };
        if requests > REQUESTS_MAX {
            bail!("a load has at most {REQUESTS_MAX} requests; this one would have {requests}: lower the rate or the duration");
        }
        if !(0.0..=10.0).contains(&self.zipf) {
            bail!("--zipf is {}; it must be from 0 to 10", self.zipf);
        }
        if !(0.0..=1.0).contains(&self.reconnect_share) {
            bail!("--reconnect-share is {}; it must be from 0 to 1", self.reconnect_share);
        }
        let sending_max_ms = match model {
            ModelWord::Closed => self.seconds.map(|seconds| u64::from(seconds) * 1_000),
            ModelWord::Open | ModelWord::Burst | ModelWord::Ramp => None,
        };
        let mix = Mix {
            clients: self.clients.unwrap_or(requests / 5 + 1),
            zipf: self.zipf,
            hot: self.hot,
            capped: self.capped,
            cap: self.cap,
            repeats: self.repeats,
            misses: self.misses,
            spent: self.spent,
            holds: self.holds,
            checks: self.checks,
            imports: self.imports,
            top_ups: self.top_ups,
            rules: self.rules,
            ..Mix::default()
        };
        mix.checked()?;
        let own = !self.is_running_engine();
        Ok(Configuration {
            load,
            requests: requests as usize,
            connections: self.connections as usize,
            mix,
            on_busy: match self.busy {
                BusyWord::Retry => OnBusy::Retry,
                BusyWord::Refused => OnBusy::Refused,
            },
            storm: self.reconnect_ms.map(|every_ms| Storm { every_ms, share: self.reconnect_share }),
            upkeep: self.upkeep.map(|codes| Upkeep { codes, conflicts: codes / 5, every_ms: self.upkeep_every_ms.into() }),
            alone: self.alone as usize,
            seed: self.seed.unwrap_or_else(|| if own { 1 } else { fastrand::u64(..) }),
            time_ms: unix_time_ms(),
            codes_per_campaign: if own { CODES_PER_CAMPAIGN } else { self.codes_per_campaign } as usize,
            own_clients: !own,
            sending_max_ms,
            drain_max_ms: u64::from(self.drain_seconds) * 1_000,
            patience_ms: 30_000,
            interval_ms: self.interval_ms.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn configuration(line: &str) -> anyhow::Result<Configuration> {
        Line::try_parse_from(std::iter::once("loadtest").chain(line.split_whitespace()))?.options.configuration()
    }

    #[test]
    fn the_default_is_a_closed_loop_of_a_million_codes() {
        let found = configuration("").expect("the defaults are valid");
        assert_eq!((found.load, found.requests), (Load::Closed { window: 16_384 }, 1_000_000));
        assert_eq!((found.connections, found.alone, found.mix.clients, found.seed), (1, 2_000, 200_001, 1));
        assert_eq!(configuration("--codes 5").expect("the older name of --requests").requests, 5);
    }

    #[test]
    fn a_rate_selects_the_open_loop() {
        let found = configuration("--rate 1000 --seconds 3 --arrivals poisson").expect("the options are valid");
        assert_eq!(found.load, Load::Open { per_second: 1_000.0, arrivals: Arrivals::Poisson });
        assert_eq!((found.requests, found.sending_max_ms), (3_000, None));
    }

    #[test]
    fn incompatible_options_are_named() {
        for (line, word) in [
            ("--model closed --rate 5", "--rate"),
            ("--model open", "--rate"),
            ("--rate 1000000 --seconds 3600", "20000000"),
            ("--hot 0.7 --misses 0.7", "add up"),
            ("--model ramp --rate 5000 --rate-max 100", "--rate-max"),
            ("--zipf 11", "--zipf"),
            ("--data shop --limit-requests 5", "--limit-requests"),
        ] {
            let error = configuration(line).expect_err(line).to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
