//! `scrip loadtest versus`: an installed rival does the same work as an engine on the same disk, in one table.

mod findings;
mod subject;
mod sums;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use scrip_loadtest::plan::Plan;
use scrip_loadtest::probe::Probe;
use scrip_loadtest::rival::{Kind, Offer, Rival};
use scrip_protocol::{ClubId, unix_time_ms};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::print;
use findings::{Findings, Row};
use subject::{Run, Scrip, Subject};
use sums::Sums;

/// How many codes test that the rules hold: each is redeemed and retried, and half of them are tried by other clients.
const RULES_CODES: usize = 1_000;

/// Compare an installed rival with Scrip at the same work, on the same disk
///
/// Starts the rival in a temporary folder, with settings that make each reply durable, and gives it the same codes and requests
/// as a Scrip engine. For each request it does the same in one atomic step: checks for an earlier reply under the request id,
/// checks that the code exists and has a use left, then records the use, the bonus and the request.
///
/// First a burst with retries, spent codes and unknown codes tests that the rules hold; then the load is measured; then the rows
/// are recounted. Everything listens on this machine alone and ends with the run. All rates and times are those of a closed loop.
///
/// Only a program built with `--features rivals` contains the clients of the rivals.
#[derive(Debug, Args)]
pub(super) struct Versus {
    /// Rival to measure; the Debian packages are redis-server and postgresql
    #[arg(value_enum)]
    rival: Name,
    /// Number of codes to redeem with many requests in flight
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    requests: u32,
    /// Number of redemptions on each connection, one at a time
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    alone: u32,
    /// Number of connections; a single connection is measured as well
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=64))]
    connections: u32,
    /// Requests in flight on each connection, where many are in flight
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(2..=32_768))]
    in_flight: u32,
    /// Requests in each transaction of PostgreSQL, where several share one
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    per_call: u32,
    /// Maximum duration of each measurement of the rival, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Parent of the temporary folders, on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder of the rival's programs [default: PATH, and where Debian installs them]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    Redis,
    Postgres,
}

/// One measurement of the programme, which every subject goes through.
struct Part {
    offer: Offer,
    plan: Plan,
    /// For PostgreSQL alone: the part with one request per call that this part is compared with.
    beside: Option<usize>,
}

/// The measurements of each subject.
struct Programme {
    rules: Part,
    parts: Vec<Part>,
}

impl Versus {
    pub(super) async fn run(&self) -> anyhow::Result<Exit> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // When interrupted, dropping the comparison ends its processes and removes its folders.
        tokio::select! {
            ended = self.compare() => ended,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("interrupted"),
        }
    }

    async fn compare(&self) -> anyhow::Result<Exit> {
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let temporary =
            tempfile::tempdir_in(&dir).with_context(|| format!("cannot create a temporary folder in {}", dir.display()))?;
        let kind = match self.rival {
            Name::Redis => Kind::Redis,
            Name::Postgres => Kind::Postgres,
        };
        let programme = self.programme(kind);

        // The rival first: if it is not installed, the command fails at once.
        self.say("starting the rival");
        let rival = Rival::start(kind, &dir, self.programs.as_deref(), subject::TERMS).await?;
        let (name, settings) = (rival.version().to_owned(), rival.settings());
        let mut rival = Subject::rival(rival);
        let (rival_runs, rival_sums) = self.measure(&mut rival, &name, &programme).await?;
        rival.stop().await?;

        let floor = Probe::quick().run(temporary.path(), &mut |_| {}).await?;
        let mut scrip = Subject::scrip(Scrip::start(&temporary.path().join("data")).await?);
        let (scrip_runs, scrip_sums) = self.measure(&mut scrip, "Scrip", &programme).await?;
        scrip.stop().await?;

        let mut rows = Vec::new();
        for (at, (part, run)) in programme.parts.iter().zip(&rival_runs).enumerate() {
            let beside = &scrip_runs[part.beside.unwrap_or(at)];
            if part.beside.is_none() {
                rows.push(Row::of("Scrip", part.offer, beside, beside));
            }
            rows.push(Row::of(&name, part.offer, run, beside));
        }
        let findings = Findings {
            rival: name,
            settings,
            codes: programme.parts.iter().map(|part| part.plan.codes).sum::<usize>() + programme.rules.plan.codes,
            clients: programme.rules.plan.clients,
            flush_p50_us: floor.appends.first().map_or(0.0, |append| append.p50_us),
            rows,
            audits: vec![scrip_sums, rival_sums],
        };
        match self.json {
            true => print::json(&findings),
            false => findings.print(),
        }
        Ok(if findings.audits.iter().all(|sums| sums.agree) { Exit::Done } else { Exit::Mismatch })
    }

    /// Takes a subject through the programme, leaving out the parts that are PostgreSQL's alone for others.
    async fn measure(&self, subject: &mut Subject, name: &str, programme: &Programme) -> anyhow::Result<(Vec<Run>, Sums)> {
        let parts: Vec<&Part> = programme.parts.iter().filter(|part| subject.takes(part.offer)).collect();
        self.say(&format!("{name}: importing the codes"));
        // Codes of skipped parts are imported as well, so that every subject holds as many.
        for part in programme.parts.iter().chain([&programme.rules]) {
            subject.import(&part.plan).await?;
        }
        self.say(&format!("{name}: the rules"));
        let rules = subject.run(programme.rules.offer, &programme.rules.plan).await?;
        let mut runs = Vec::new();
        for part in parts {
            self.say(&format!("{name}: {}", findings::words_of(part.offer)));
            runs.push(subject.run(part.offer, &part.plan).await?);
        }
        self.say(&format!("{name}: the audit"));
        let sums = subject.sums(name, &programme.rules.plan, &rules).await?;
        Ok((runs, sums))
    }

    fn programme(&self, kind: Kind) -> Programme {
        let (requests, alone) = (self.requests as usize, self.alone as usize);
        let (connections, in_flight) = (self.connections as usize, self.in_flight as usize);
        let per_call = self.per_call as usize;
        let time_ms = unix_time_ms();
        let plan = |seed: u64, codes: usize| Plan {
            seed,
            time_ms,
            codes,
            clients: requests / 5 + 1,
            repeats: 0,
            spent: 0,
            misses: 0,
            clubs: vec![ClubId(1)],
        };
        let time_max = Duration::from_secs(self.seconds.into());
        let one_by_one = |connections, window| Offer { connections, window, per_call: 1, time_max };
        let mut parts: Vec<Part> = [
            (one_by_one(1, 1), alone),
            (one_by_one(connections, 1), alone * connections),
            (one_by_one(1, in_flight), requests),
            (one_by_one(connections, in_flight), requests),
        ]
        .into_iter()
        .zip(1..)
        .map(|((offer, codes), seed)| Part { offer, plan: plan(seed, codes), beside: None })
        .collect();
        if kind == Kind::Postgres {
            let window = (in_flight / per_call).max(1);
            for (connections, beside, seed) in [(1, 2, 5), (connections, 3, 6)] {
                let offer = Offer { connections, window, per_call, time_max };
                parts.push(Part { offer, plan: plan(seed, requests), beside: Some(beside) });
            }
        }
        let rules = Plan { repeats: RULES_CODES, spent: RULES_CODES / 2, misses: RULES_CODES / 10, ..plan(0, RULES_CODES) };
        Programme { rules: Part { offer: one_by_one(connections, in_flight), plan: rules, beside: None }, parts }
    }

    fn say(&self, text: &str) {
        if !self.json {
            print::complain(text);
        }
    }
}
