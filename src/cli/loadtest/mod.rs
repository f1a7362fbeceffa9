//! `scrip loadtest`: what an engine does on this machine, beside what the machine does at best.

mod versus;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use scrip_engine::folder::{Config, Folder};
use scrip_engine::{Engine, Start};
use scrip_loadtest::audit::Recount;
use scrip_loadtest::burst;
use scrip_loadtest::floor::{Echo, median, raw_flush, redb_commit};
use scrip_loadtest::plan::Plan;
use scrip_protocol::client::{Client, Dial};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CreateCampaign, CreateCampaignOutcome, OnConflict, RedeemOutcome, Terms,
};
use scrip_protocol::{ClubId, Money, RequestId, Role, Settings, unix_time_ms};

use crate::exit::Exit;
use crate::print;

/// Codes of one request to add some: a frame's worth.
const CODES_PER_REQUEST: usize = 50_000;

/// What each code is good for.
const AMOUNT: Money = Money(100);

/// How often.
const CAP: u32 = 1;

/// The payload of an echoed frame: what a redemption of a 12-character code has, with its request id.
const ECHO_PAYLOAD: usize = 56;

/// Measure durable activations on this machine, beside its raw disk flush and raw QUIC echo
///
/// Starts an engine of its own in a temporary folder, imports codes, redeems each once, then redeems some one at a time, and audits
/// the journal. All of it runs in this process, on loopback. The rate is that of a closed loop.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Loadtest {
    #[command(subcommand)]
    command: Option<Command>,
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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Versus(versus::Versus),
}

/// The figures, in the units that their names say.
#[derive(Debug, serde::Serialize)]
struct Figures {
    codes: u32,
    connections: u32,
    in_flight: u32,
    activations_per_second: f64,
    echo_frames_per_second: f64,
    alone_p50_us: f64,
    alone_p99_us: f64,
    echo_alone_p50_us: f64,
    flush_p50_us: f64,
    redb_commit_p50_us: f64,
    busy: usize,
    differences: usize,
}

impl Loadtest {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match &self.command {
            Some(Command::Versus(versus)) => return versus.run().await,
            None => {}
        }
        let temporary = match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir),
            None => tempfile::tempdir(),
        };
        let temporary = temporary.context("a temporary folder")?;
        let say = |text: &str| match self.json {
            true => {}
            false => print::complain(text),
        };

        say("measuring the floor of this machine");
        let (flush, commit) = tokio::task::block_in_place(|| {
            Ok::<_, scrip_loadtest::floor::FloorError>((
                raw_flush(temporary.path(), 1_000)?,
                redb_commit(temporary.path(), 200, 1_000)?,
            ))
        })?;
        let mut echo = Echo::start().await?;
        let echo_alone = echo.alone(self.alone as usize, ECHO_PAYLOAD).await?;
        let echo_count = (self.codes as usize).clamp(500_000, 4_000_000);
        let echo_took = echo.frames(echo_count, ECHO_PAYLOAD, self.in_flight as usize).await?;
        echo.stop().await;

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
        let answers = burst::run(&dial, lists, self.in_flight as usize, &Arc::new(AtomicUsize::new(0))).await?;
        say("one at a time");
        let alone = burst::run(&dial, lone.requests(1), 1, &Arc::new(AtomicUsize::new(0))).await?;
        say("the audit");
        let mut recount = Recount::of(&dial).await?;
        recount.compare_answers(&answers.outcomes);
        recount.compare_answers(&alone.outcomes);
        recount.compare_engine(&client, 1_000).await?;
        let redeemed = answers
            .outcomes
            .values()
            .chain(alone.outcomes.values())
            .filter(|outcome| matches!(outcome, RedeemOutcome::Redeemed(_)));
        let redeemed = redeemed.count();
        let asked = self.codes as usize + self.alone as usize;
        let differences =
            recount.differences().count() + usize::from(redeemed != asked) + usize::from(recount.activations as usize != asked);
        engine.stop().await?;

        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let figures = Figures {
            codes: self.codes,
            connections: self.connections,
            in_flight: self.in_flight,
            activations_per_second: f64::from(self.codes) / answers.elapsed.as_secs_f64(),
            echo_frames_per_second: echo_count as f64 / echo_took.as_secs_f64(),
            alone_p50_us: alone.latency.value_at_quantile(0.5) as f64 / 1e3,
            alone_p99_us: alone.latency.value_at_quantile(0.99) as f64 / 1e3,
            echo_alone_p50_us: us(median(&echo_alone)),
            flush_p50_us: us(median(&flush)),
            redb_commit_p50_us: us(median(&commit)),
            busy: answers.busy,
            differences,
        };
        match self.json {
            true => print::json(&figures),
            false => figures.print(),
        }
        recount.differences().first().iter().for_each(|difference| print::complain(difference));
        Ok(if differences == 0 { Exit::Done } else { Exit::Mismatch })
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

impl Figures {
    fn print(&self) {
        let floor_us = self.echo_alone_p50_us + self.redb_commit_p50_us;
        let rate = |rate: f64| print::grouped(rate as u64);
        let row = |what: &str, figure: String, of: String| vec![what.to_owned(), figure, of];
        let rows = [
            row("raw QUIC echo, pipelined", format!("{}/s", rate(self.echo_frames_per_second)), String::new()),
            row(
                "durable activations, pipelined",
                format!("{}/s", rate(self.activations_per_second)),
                format!("{:.2} of the echo", self.activations_per_second / self.echo_frames_per_second),
            ),
            row("raw flush (4 KiB, fdatasync), p50", format!("{:.0} us", self.flush_p50_us), String::new()),
            row("redb commit of one row, p50", format!("{:.0} us", self.redb_commit_p50_us), String::new()),
            row("raw QUIC echo alone, p50", format!("{:.0} us", self.echo_alone_p50_us), String::new()),
            row(
                "redemption alone, p50",
                format!("{:.0} us", self.alone_p50_us),
                format!("{:.2} of echo + commit", self.alone_p50_us / floor_us),
            ),
            row("redemption alone, p99", format!("{:.0} us", self.alone_p99_us), String::new()),
        ];
        print::table(&["", ">FIGURE", "SHARE"], &rows);
        print::line(format_args!(
            "{} codes over {} connections, {} in flight on each; {} told busy; {} differences in the audit",
            print::grouped(self.codes),
            self.connections,
            print::grouped(self.in_flight),
            self.busy,
            self.differences
        ));
    }
}
