//! The options of `scrip loadtest`, and what they amount to.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use scrip_loadtest::drive::{OnBusy, Storm};
use scrip_loadtest::load::{Configuration, Load};
use scrip_loadtest::mix::Mix;
use scrip_loadtest::pace::Arrivals;
use scrip_loadtest::ramp::Ramp;
use scrip_loadtest::upkeep::Upkeep;
use scrip_protocol::unix_time_ms;

use super::own::CODES_PER_CAMPAIGN;

/// How many requests a run may have: each is written down before the clock starts.
const REQUESTS_MAX: u64 = 20_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelWord {
    /// So many requests in flight on each connection: a slow answer delays the next question
    Closed,
    /// At a rate, whatever the answers do; latency counts from the time a request was due
    Open,
    /// Everything at once; latency counts from the start
    Burst,
    /// At rates that rise step by step until the objective breaks
    Ramp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ArrivalsWord {
    /// At equal distances
    Even,
    /// As a Poisson process, as independent callers would come
    Poisson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BusyWord {
    /// Send it again after the time told; its latency counts from when it was due first
    Retry,
    /// Count it as refused
    Refused,
}

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How requests are offered; `open` where there is a --rate, else `closed`
    #[arg(long, value_enum)]
    pub(super) model: Option<ModelWord>,
    /// How many requests; for `open` as many as --rate and --seconds say [default: 1000000]
    #[arg(long, alias = "codes", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=REQUESTS_MAX as i64))]
    pub(super) requests: Option<u32>,
    /// Over how many connections
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) connections: u32,
    /// closed: how many requests each connection has in flight
    #[arg(long, default_value_t = 16_384, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32_768))]
    pub(super) in_flight: u32,
    /// open: requests per second over all connections; ramp: the first rate
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(super) rate: Option<u32>,
    /// open: for how long [default: 10]; closed: nothing new is sent after so long
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) seconds: Option<u32>,
    /// open: how requests are spread in time
    #[arg(long, value_enum, default_value = "even")]
    pub(super) arrivals: ArrivalsWord,
    /// ramp: the 99th percentile that must hold
    #[arg(long, default_value_t = 10.0, value_name = "MS")]
    pub(super) objective_p99_ms: f64,
    /// ramp: by what each rate is multiplied for the next
    #[arg(long, default_value_t = 1.5, value_name = "FACTOR")]
    pub(super) ramp_factor: f64,
    /// ramp: the last rate at the most
    #[arg(long, default_value_t = 1_000_000, value_name = "PER_SECOND")]
    pub(super) rate_max: u32,
    /// ramp: for how long each rate is offered
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(super) step_seconds: u32,
    /// What becomes of a request that the engine is too busy for
    #[arg(long, value_enum, default_value = "retry")]
    pub(super) busy: BusyWord,

    /// The share of redemptions of one code without a cap (shares are parts of 1; the rest are codes that are each used once)
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) hot: f64,
    /// The share of redemptions of one code with a cap
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) capped: f64,
    /// That code's cap
    #[arg(long, default_value_t = 1_000, value_name = "N", help_heading = "Mix", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) cap: u32,
    /// The share of requests that are sent again under the same id, over another connection where there is one
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) repeats: f64,
    /// The share of redemptions of codes that do not exist
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) misses: f64,
    /// The share of redemptions of codes that were used up before
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) spent: f64,
    /// The share of holds; each brings one more request, which confirms it on its answer, or releases one in ten
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) holds: f64,
    /// The share of checks, of ten codes each
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) checks: f64,
    /// The share of imports, of a thousand new codes each
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) imports: f64,
    /// The share of top-ups, on each of which two rules fire
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Mix")]
    pub(super) top_ups: f64,
    /// How many rules are live for them
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Mix", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) rules: u32,
    /// Over how many clients the requests are spread [default: a fifth of the requests]
    #[arg(long, value_name = "N", help_heading = "Mix", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(super) clients: Option<u64>,
    /// How unevenly: the exponent of Zipf's law, 0 for evenly
    #[arg(long, default_value_t = 0.0, value_name = "S", help_heading = "Mix")]
    pub(super) zipf: f64,
    /// What everything is drawn from [default: 1 on an engine of its own, else at random]
    #[arg(long, value_name = "N", help_heading = "Mix")]
    pub(super) seed: Option<u64>,

    /// Close and reopen connections so often, in the middle of requests
    #[arg(long, value_name = "MS", help_heading = "Storms", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub(super) reconnect_ms: Option<u64>,
    /// Which share of the connections each time
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", help_heading = "Storms", requires = "reconnect_ms")]
    pub(super) reconnect_share: f64,

    /// Meanwhile create campaigns with so many codes, archive them, and restore them with a fifth of the codes in conflict, over and over,
    /// on another connection
    #[arg(long, value_name = "CODES", value_parser = clap::value_parser!(u32).range(10..=50_000))]
    pub(super) upkeep: Option<u32>,
    /// How often that begins again, if it is done by then; 0 for without a pause
    #[arg(long, default_value_t = 0, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(super) upkeep_every_ms: u32,
    /// How many redemptions to make one at a time afterwards; 0 for none
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) alone: u32,
    /// How long what is due or busy may still be sent when everything was due
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub(super) drain_seconds: u32,
    /// The stretches of the time series
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u32).range(10..=60_000))]
    pub(super) interval_ms: u32,
    /// Do not measure what this machine does at best
    #[arg(long)]
    pub(super) no_floor: bool,

    /// Where to put the temporary folder, on the disk to be measured; without it, the system's place for such
    #[arg(long, value_name = "DIR", help_heading = "An engine of its own")]
    pub(super) dir: Option<PathBuf>,
    /// How many requests may be under way in it before it says busy
    #[arg(long, value_name = "N", help_heading = "An engine of its own", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) limit_requests: Option<u32>,

    /// The running engine's data folder, on the same machine
    #[arg(long, value_name = "DIR", help_heading = "A running engine", conflicts_with_all = ["dir", "limit_requests"])]
    pub(super) data: Option<PathBuf>,
    /// Its address, instead of the data folder's (host:port, UDP)
    #[arg(long, value_name = "ADDRESS", requires = "ca", help_heading = "A running engine", conflicts_with_all = ["dir", "limit_requests"])]
    pub(super) server: Option<String>,
    /// The certificate authority to trust, instead of the data folder's (PEM)
    #[arg(long, value_name = "FILE", help_heading = "A running engine")]
    pub(super) ca: Option<PathBuf>,
    /// A file that holds an operator's token; without it, the environment's SCRIP_TOKEN is used
    #[arg(long, value_name = "FILE", help_heading = "A running engine")]
    pub(super) token_file: Option<PathBuf>,
    /// How many codes one of the run's campaigns may hold there (the engine's setting codes_per_campaign_max)
    #[arg(long, default_value_t = 50_000, value_name = "N", help_heading = "A running engine", value_parser = clap::value_parser!(u32).range(2..=50_000_000))]
    pub(super) codes_per_campaign: u32,
}

impl Options {
    /// Whether the engine runs already. An environment variable never says so: nobody shall load a shop's engine unawares.
    pub(super) fn is_running_engine(&self) -> bool {
        self.data.is_some() || self.server.is_some()
    }

    /// What the options amount to.
    pub(super) fn configuration(&self) -> anyhow::Result<Configuration> {
        let model = self.model.unwrap_or(if self.rate.is_some() { ModelWord::Open } else { ModelWord::Closed });
        let (load, requests) = match (model, self.rate) {
            (ModelWord::Closed, None) => {
                (Load::Closed { window: self.in_flight as usize }, u64::from(self.requests.unwrap_or(1_000_000)))
            }
            (ModelWord::Burst, None) => (Load::Burst, u64::from(self.requests.unwrap_or(1_000_000))),
            (ModelWord::Closed | ModelWord::Burst, Some(_)) => bail!("--rate goes with --model open or ramp"),
            (ModelWord::Open, None) => bail!("--model open needs --rate"),
            (ModelWord::Open, Some(rate)) => {
                let arrivals = match self.arrivals {
                    ArrivalsWord::Even => Arrivals::Even,
                    ArrivalsWord::Poisson => Arrivals::Poisson,
                };
                let asked = self.requests.filter(|_| self.seconds.is_none()).map(u64::from);
                let requests = asked.unwrap_or(u64::from(rate) * u64::from(self.seconds.unwrap_or(10)));
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
                    bail!("--ramp-factor is {}, and must be from 1.05 to 100", ramp.factor);
                }
                if ramp.rates().next().is_none() {
                    bail!("--rate-max {} is below the first rate, {}", ramp.to, ramp.from);
                }
                (Load::Ramp(ramp), ramp.count(ramp.to) as u64)
            }
        };
        if requests > REQUESTS_MAX {
            bail!("a load has at most {REQUESTS_MAX} requests, and this would have {requests}: lower the rate or the time");
        }
        if !(0.0..=10.0).contains(&self.zipf) {
            bail!("--zipf is {}, and must be from 0 to 10", self.zipf);
        }
        if !(0.0..=1.0).contains(&self.reconnect_share) {
            bail!("--reconnect-share is {}, and must be from 0 to 1", self.reconnect_share);
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
    fn without_options_it_is_the_closed_loop_of_a_million_codes() {
        let found = configuration("").expect("the defaults are in order");
        assert_eq!((found.load, found.requests), (Load::Closed { window: 16_384 }, 1_000_000));
        assert_eq!((found.connections, found.alone, found.mix.clients, found.seed), (1, 2_000, 200_001, 1));
        assert_eq!(configuration("--codes 5").expect("the older word for it").requests, 5);
    }

    #[test]
    fn a_rate_makes_it_an_open_loop() {
        let found = configuration("--rate 1000 --seconds 3 --arrivals poisson").expect("in order");
        assert_eq!(found.load, Load::Open { per_second: 1_000.0, arrivals: Arrivals::Poisson });
        assert_eq!((found.requests, found.sending_max_ms), (3_000, None));
    }

    #[test]
    fn what_does_not_go_together_is_named() {
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
