//! `scrip loadtest`: what an engine does on this machine, beside what the machine does at best.

mod document;
mod probe;
mod versus;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use scrip_engine::folder::{Config, Folder};
use scrip_engine::{Engine, Start};
use scrip_loadtest::audit::Recount;
use scrip_loadtest::burst;
use scrip_loadtest::machine::Machine;
use scrip_loadtest::memory::Watch;
use scrip_loadtest::plan::Plan;
use scrip_loadtest::probe::Probe;
use scrip_loadtest::report::{Audit, Model, Phase, Report};
use scrip_protocol::client::{Client, Dial};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CreateCampaign, CreateCampaignOutcome, OnConflict, RedeemOutcome, Terms,
};
use scrip_protocol::{ClubId, Money, RequestId, Role, Settings, unix_time_ms};

use crate::exit::Exit;

/// Codes of one request to add some: a frame's worth.
const CODES_PER_REQUEST: usize = 50_000;

/// How often the memory of the process is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
/// What each code is good for.
const AMOUNT: Money = Money(100);

/// How often.
const CAP: u32 = 1;

/// Measure durable activations on this machine, beside its raw disk flush and raw QUIC echo
///
/// Starts an engine of its own in a temporary folder, imports codes, redeems each once, then redeems some one at a time, and audits
/// the journal. All of it runs in this process, on loopback. The rate is that of a closed loop.
#[derive(Debug, Args, serde::Serialize)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Loadtest {
    #[command(subcommand)]
    #[serde(skip)]
    part: Option<Part>,
    /// How many codes to redeem in the burst
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    codes: u32,
    /// Over how many connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// How many requests each connection has in flight
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=32_768))]
    in_flight: u32,
    /// How many redemptions to make one at a time
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    alone: u32,
    /// Where to put the temporary folder, on the disk to be measured; without it, the system's place for such
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    documents: document::Documents,
}

#[derive(Debug, Subcommand)]
enum Part {
    Probe(probe::ProbeCommand),
    Versus(versus::Versus),
}

impl Loadtest {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.part {
            Some(Part::Probe(probe)) => probe.run().await,
            Some(Part::Versus(versus)) => versus.run().await,
            None => self.measure().await,
        }
    }

    async fn measure(self) -> anyhow::Result<Exit> {
        self.documents.check()?;
        let started = jiff::Timestamp::now();
        let memory = Watch::start(MEMORY_EVERY);
        let temporary = match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir),
            None => tempfile::tempdir(),
        };
        let temporary = temporary.context("a temporary folder")?;
        let say = |text: &str| self.documents.say(text);

        say("measuring the floor of this machine");
        let window = self.in_flight as usize;
        // As many frames as there will be requests, as far as that takes no time worth mentioning.
        let frames = Probe::quick().frames.min(self.codes as usize);
        let floor = Probe { windows: vec![window], frames, ..Probe::quick() }.run(temporary.path(), &mut |_| {}).await?;

        let folder = Folder::at(temporary.path().join("data"));
        let (engine, dial) = Loadtest::start(&folder)?;
        say("importing the codes");
        let client = Client::connect(dial.clone()).await?;
        client.register_club(RequestId::now(), "Loadtest").await?;
        let plan = self.plan(1, self.codes);
        import(&client, &plan).await?;
        let lone = self.plan(2, self.alone);
        import(&client, &lone).await?;

        let lists = plan.requests(self.connections as usize);
        say("the burst");
        let answers = burst::run(&dial, lists, window, &Arc::new(AtomicUsize::new(0))).await?;
        say("one at a time");
        let alone = burst::run(&dial, lone.requests(1), 1, &Arc::new(AtomicUsize::new(0))).await?;
        say("the audit");
        let mut recount = Recount::of(&dial).await?;
        recount.compare_answers(&answers.outcomes);
        recount.compare_answers(&alone.outcomes);
        recount.compare_engine(&client, 1_000).await?;
        let mut audit = Audit::of(&recount);
        let is_redeemed = |outcome: &&RedeemOutcome| matches!(outcome, RedeemOutcome::Redeemed(_));
        let redeemed = answers.outcomes.values().chain(alone.outcomes.values()).filter(is_redeemed).count() as u64;
        let asked = u64::from(self.codes) + u64::from(self.alone);
        for (what, count) in [("answered so", redeemed), ("in the journal", recount.activations)] {
            if count != asked {
                audit.note(format!("{asked} codes were to be redeemed once each, and {count} redemptions are {what}"));
            }
        }
        engine.stop().await?;

        let report = Report {
            scrip: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SCRIP_COMMIT").map(str::to_owned),
            started,
            machine: Machine::of(temporary.path()),
            command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            configuration: serde_json::to_value(&self)?,
            floor: Some(floor),
            phases: vec![
                phase("pipelined", Model::Closed { window }, self.connections as usize, answers),
                phase("one at a time", Model::Closed { window: 1 }, 1, alone),
            ],
            audit: Some(audit),
            memory: memory.end(),
        };
        self.documents.give(&report)
    }

    fn start(folder: &Folder) -> anyhow::Result<(Engine, Dial)> {
        let settings = Settings { organisation: "Loadtest".into(), codes_per_campaign_max: 20_000_000, ..Settings::default() };
        let listen = ([127, 0, 0, 1], 0).into();
        let issued = folder.init(&Config { listen, settings }, &[])?;
        let operator =
            issued.into_iter().find(|issued| issued.credential.role == Role::Operator).context("a token for each role")?;
        let engine = tokio::task::block_in_place(|| Engine::start(folder, Start::default(), &mut |_| {}))?;
        let mut dial = Dial::new(&engine.address().to_string(), std::fs::read(folder.ca_path())?, operator.token)?;
        dial.patience = Duration::from_secs(60);
        Ok((engine, dial))
    }

    fn plan(&self, seed: u64, codes: u32) -> Plan {
        let codes = codes as usize;
        let clients = codes / 5 + 1;
        Plan { seed, time_ms: unix_time_ms(), codes, clients, repeats: 0, spent: 0, misses: 0, clubs: vec![ClubId(1)] }
    }
}

async fn import(client: &Client, plan: &Plan) -> anyhow::Result<()> {
    let codes = plan.codes();
    let mut parts = codes.chunks(CODES_PER_REQUEST);
    let terms = Terms {
        name: "Loadtest".into(),
        amount: AMOUNT,
        clubs: Vec::new(),
        starts_ms: None,
        ends_ms: None,
        activations_per_code_max: Some(CAP),
        active: true,
    };
    let lines = parts.next().unwrap_or_default().to_vec();
    let asked = CreateCampaign { terms, lines, on_conflict: OnConflict::Skip };
    let outcome = client.create_campaign(RequestId::now(), &asked).await?;
    let CreateCampaignOutcome::Created { campaign, .. } = outcome else { bail!("the import was not taken: {outcome}") };
    for lines in parts {
        let asked = AddCodes { campaign, lines: lines.to_vec(), on_conflict: OnConflict::Skip };
        let outcome = client.add_codes(RequestId::now(), &asked).await?;
        if !matches!(outcome, AddCodesOutcome::Added(_)) {
            bail!("the import was not taken: {outcome}");
        }
    }
    Ok(())
}

/// What a burst was answered, as a part of the findings.
fn phase(name: &str, model: Model, connections: usize, answers: burst::Answers) -> Phase {
    let by_word: BTreeMap<&'static str, u64> = answers.by_word().into_iter().map(|(word, count)| (word, count as u64)).collect();
    Phase {
        name: name.to_owned(),
        model,
        connections,
        sent: (answers.answered() + answers.refused.len()) as u64,
        answers: by_word,
        busy: answers.busy as u64,
        elapsed: answers.elapsed,
        latency: answers.latency,
        series: Vec::new(),
    }
}
