//! `scrip demo`: the main job end to end, on sample data: import, burst, figures, audit, and the reporting sidecar.
//!
//! A burst is written to `demo.json` before it is sent, as every caller of an engine should do. A demo that was killed sends
//! its burst again under the same request ids, and the audit shows that nothing was lost or executed twice.

mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use scrip_client::{Client, ClientError, Dial};
use scrip_core::guard::GuardLimits;
use scrip_engine::folder::{Config, Folder};
use scrip_engine::{Engine, Start};
use scrip_loadtest::audit::Recount;
use scrip_loadtest::burst::{self, Answers};
use scrip_loadtest::plan::Plan;
use scrip_protocol::command::{CreateCampaign, CreateCampaignOutcome, OnConflict, RegisterClubOutcome, Terms};
use scrip_protocol::{CampaignId, ClubId, Money, Refusal, RequestId, Role, Settings, private, unix_time_ms};

use self::report::Report;
use super::serve::{came_to, start_engine};
use super::sidecar::store_in;
use crate::exit::Exit;
use crate::print;

/// How many clients' balances the audit compares with the engine's.
const CLIENTS_AUDITED: usize = 1_000;

/// Try Scrip on sample data: import, redeem in a burst, and audit
///
/// Imports 50,000 codes, redeems all of them in a burst, and audits the result. Everything runs in this process, in a folder of its
/// own. Kill it at any moment (kill -9) and run it again: it retries its requests, and shows that nothing was lost or executed
/// twice. Exits with 8 if the audit finds a difference.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Exit after the audit, instead of keeping the engine running
    #[arg(long)]
    once: bool,
    /// Folder of the demo
    #[arg(long, default_value = "scrip-demo", value_name = "DIR")]
    data: PathBuf,
    /// Number of codes to import and redeem
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    codes: u32,
    /// Number of connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
    /// Requests in flight on each connection
    ///
    /// 1 makes the burst long enough to be killed in the middle.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    in_flight: u32,
    /// Start although this machine's clock seems wrong
    ///
    /// Pass this once, after checking that the clock is right; the demo's engine remembers it.
    #[arg(long)]
    accept_clock: bool,
}

/// What the demo's client remembers. The token is stored nowhere else: the engine's folder holds only its hash.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Notes {
    token: String,
    /// How many bursts were started.
    bursts: u32,
    /// The burst that does not have all its replies yet.
    unfinished: Option<Plan>,
}

/// A completed burst, for the audit.
struct Burst<'a> {
    plan: &'a Plan,
    campaign: CampaignId,
    answers: &'a Answers,
    /// Whether an earlier, interrupted run started it.
    again: bool,
    /// How many activations the sidecar counts.
    reported: u64,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let folder = Folder::at(&self.data);
        let mut notes = self.notes(&folder)?;
        print::line(format_args!("Scrip demo, in {}", self.data.display()));
        let (engine, address) = self.start(&folder)?;
        let dial = Dial::new(&address.to_string(), std::fs::read(folder.ca_path())?, notes.token.as_str())?;
        let ended = self.show(&folder, &mut notes, &dial, &engine).await;
        let (exit, report) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                engine.stop().await?;
                return Err(error);
            }
        };
        if !self.once {
            self.invite(&folder, &notes, address, report.address());
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = engine.failed() => {}
                () = report.halted() => {}
            }
        }
        let reported = report.stop().await;
        engine.stop().await?;
        reported.map(|()| exit)
    }

    fn notes(&self, folder: &Folder) -> anyhow::Result<Notes> {
        let path = folder.dir().join("demo.json");
        if folder.exists() {
            let notes = std::fs::read_to_string(&path).with_context(|| {
                format!("{}: this folder does not belong to a demo; choose another with --data", path.display())
            })?;
            return serde_json::from_str(&notes).with_context(|| path.display().to_string());
        }
        let settings = Settings { organisation: "Demo".into(), ..Settings::default() };
        let config = Config::new(([127, 0, 0, 1], 4600).into(), settings, GuardLimits::OFF);
        let issued = folder.init(&config, &[])?;
        let operator = issued.into_iter().find(|issued| issued.credential.role == Role::Operator);
        let token = operator.context("init issues a token for each role")?.token;
        let notes = Notes { token, bursts: 0, unfinished: None };
        note(folder, &notes)?;
        Ok(notes)
    }

    fn start(&self, folder: &Folder) -> anyhow::Result<(Engine, SocketAddr)> {
        let began = Instant::now();
        let listen = folder.config()?.listen;
        // If another engine has the default port, the demo takes any.
        let listen = std::net::UdpSocket::bind(listen).map_or(([127, 0, 0, 1], 0).into(), |_| listen);
        let start = Start { listen: Some(listen), accept_clock: self.accept_clock, ..Start::default() };
        let engine = start_engine(folder, start)?;
        let (address, recovered) = (engine.address(), came_to(&engine, began.elapsed()));
        print::line(format_args!("  engine   listening on {address} (UDP), {recovered}"));
        Ok((engine, address))
    }

    async fn show(&self, folder: &Folder, notes: &mut Notes, dial: &Dial, engine: &Engine) -> anyhow::Result<(Exit, Report)> {
        let client = Client::connect(dial.clone()).await?;
        let clubs = register_clubs(&client).await?;
        let mut resumed = notes.unfinished.take();
        if let Some(plan) = &resumed {
            let age = Duration::from_millis(unix_time_ms().saturating_sub(plan.time_ms));
            if age > Duration::from_millis(Settings::default().request_window_ms) {
                print::line(
                    "  resume   the last burst was interrupted too long ago for the idempotency window: starting a new one",
                );
                resumed = None;
            } else {
                print::line(format_args!(
                    "  resume   the last burst was interrupted {age:.0?} ago: retrying its requests under the same ids"
                ));
            }
        }
        let again = resumed.is_some();
        let plan = resumed.unwrap_or_else(|| self.plan(clubs));
        notes.bursts += u32::from(!again);
        notes.unfinished = Some(plan.clone());
        note(folder, notes)?;

        let began = Instant::now();
        let campaign = import(&client, &plan, notes.bursts).await?;
        print::line(format_args!(
            "  import   campaign {campaign}: {} codes in {:.2?}, each good for one bonus of 5.00",
            print::grouped(plan.codes as u64),
            began.elapsed()
        ));
        let answers = self.burst(dial, &plan).await?;
        notes.unfinished = None;
        note(folder, notes)?;
        print_answers(&answers, &plan, self.in_flight);
        print::line(format_args!("  journal  {:.1} MiB on disk", engine.journal_bytes() as f64 / f64::from(1 << 20)));
        let position = engine.vitals().status().journal.durable;
        // After the burst, so that its speed is the engine's alone.
        let report = Report::start(folder, dial.clone()).await?;
        let reported = report.activations_of(campaign, position).await?;
        let burst = Burst { plan: &plan, campaign, answers: &answers, again, reported };
        let exit = audit(dial, &client, &burst).await?;
        Ok((exit, report))
    }

    fn plan(&self, clubs: Vec<ClubId>) -> Plan {
        let codes = self.codes as usize;
        Plan {
            seed: fastrand::u64(..),
            time_ms: unix_time_ms(),
            codes,
            clients: codes / 5 + 1,
            repeats: codes / 10,
            spent: codes / 10,
            misses: codes / 50,
            clubs,
        }
    }

    async fn burst(&self, dial: &Dial, plan: &Plan) -> anyhow::Result<Answers> {
        let lists = plan.requests(self.connections as usize);
        let count: usize = lists.iter().map(Vec::len).sum();
        print::line(format_args!(
            "  burst    {} requests over {} connections, {} in flight on each\n",
            print::grouped(count as u64),
            self.connections,
            print::grouped(self.in_flight)
        ));
        let answered = Arc::new(AtomicUsize::new(0));
        let style = ProgressStyle::with_template("  {bar:40} {human_pos} of {human_len} answered, {eta} left");
        let bar = ProgressBar::new(count as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let watch = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                bar.set_position(answered.load(Ordering::Relaxed) as u64);
            }
        };
        let answers = tokio::select! {
            answers = burst::run(dial, lists, self.in_flight as usize, &answered) => answers,
            () = watch => unreachable!("the display loop never ends"),
        };
        bar.finish_and_clear();
        Ok(answers?)
    }

    fn invite(&self, folder: &Folder, notes: &Notes, address: SocketAddr, reports: SocketAddr) {
        let program = std::env::args().next().unwrap_or_else(|| "scrip".into());
        print::line(format_args!(
            "\nThe engine and the sidecar keep running; Ctrl-C stops them. In another terminal:\n\n  \
             export SCRIP_SERVER={address} SCRIP_CA={} SCRIP_TOKEN={}\n  \
             {program} redeem TRY-ONE --client 42 --club 1\n  \
             {program} redeem try-one --client 43 --club 1      # spent: refused\n  \
             {program} check TRY-ONE TRY-TWO NO-SUCH-CODE\n  \
             {program} campaign list\n  \
             {program} tail --from 1 | head\n  \
             {program} export codes 1 --store {}\n  \
             curl -H \"Authorization: Bearer $SCRIP_TOKEN\" http://{reports}/v1/campaigns\n  \
             curl http://{reports}/openapi.json         # all routes; also /metrics, /healthz, /readyz\n\n\
             To kill it in the middle: {program} demo --once --in-flight 1, then kill -9 its process (not {}, which is\n\
             this one) from another terminal while it runs, then {program} demo --once.",
            folder.ca_path().display(),
            notes.token,
            store_in(folder).display(),
            std::process::id(),
        ));
    }
}

/// Recounts the journal and compares it with the replies, with the engine and with the sidecar.
async fn audit(dial: &Dial, client: &Client, burst: &Burst<'_>) -> anyhow::Result<Exit> {
    let Burst { plan, campaign, answers, again, reported } = *burst;
    let mut recount = Recount::of(dial).await?;
    recount.compare_answers(&answers.outcomes);
    recount.compare_engine(client, CLIENTS_AUDITED).await?;
    let words = answers.by_word();
    let found = |word: &str| words.get(word).copied().unwrap_or(0);
    let uses = recount.uses_of(campaign);
    let checks = [
        ("every code activated", plan.codes, uses.len()),
        ("activations of those codes", plan.codes, recount.activations_of(campaign) as usize),
        ("activations in the sidecar", plan.codes, reported as usize),
        ("outcomes: redeemed", plan.codes, found("redeemed")),
        ("outcomes: code exhausted", plan.spent, found("code_exhausted")),
        ("outcomes: unknown code", plan.misses, found("unknown_code")),
        ("retries with the same outcome", plan.repeats, answers.repeats_alike),
        ("retries with another outcome", 0, answers.repeats_unlike.len()),
        ("refused without an outcome", 0, answers.refused.len()),
        ("differences in the recount", 0, recount.differences().count()),
    ];
    let row = |(what, expected, found): &(&str, usize, usize)| {
        let verdict = if expected == found { "ok" } else { "WRONG" };
        vec![format!("  {what}"), print::grouped(*expected as u64), print::grouped(*found as u64), verdict.to_owned()]
    };
    print::line(format_args!(
        "\n  audit    the journal recounted from its first record to position {}{}\n",
        print::grouped(recount.position.0),
        if again { ", across the interruption" } else { "" },
    ));
    print::table(&["  CHECK", ">EXPECTED", ">FOUND", ""], &checks.iter().map(row).collect::<Vec<_>>());
    recount.differences().first().iter().for_each(|difference| print::line(format_args!("  difference: {difference}")));
    if checks.iter().any(|(_, expected, found)| expected != found) {
        print::line("\n  The sums do NOT agree.");
        return Ok(Exit::Mismatch);
    }
    print::line(format_args!(
        "\n  The sums agree: {} activations in total, {} credited to {} clients, nothing lost, nothing executed twice.",
        print::grouped(recount.activations),
        Money(i64::try_from(recount.issued).unwrap_or(i64::MAX)),
        print::grouped(recount.clients() as u64),
    ));
    Ok(Exit::Done)
}

fn note(folder: &Folder, notes: &Notes) -> anyhow::Result<()> {
    Ok(private::write(&folder.dir().join("demo.json"), serde_json::to_string(notes)?.as_bytes())?)
}

async fn register_clubs(client: &Client) -> anyhow::Result<Vec<ClubId>> {
    let mut clubs = Vec::new();
    for name in ["Arena North", "Arena South"] {
        match client.register_club(RequestId::now(), name).await? {
            RegisterClubOutcome::Registered(club) | RegisterClubOutcome::NameTaken(club) => clubs.push(club),
            refused @ (RegisterClubOutcome::InvalidName | RegisterClubOutcome::TooManyClubs) => {
                bail!("the club {name:?} was {refused}")
            }
        }
    }
    Ok(clubs)
}

/// Creates the burst's campaign, and a small one for the user to try.
async fn import(client: &Client, plan: &Plan, burst: u32) -> anyhow::Result<CampaignId> {
    let terms = |name: String| Terms { activations_per_code_max: Some(1), ..Terms::new(name, Money(500)) };
    let command = CreateCampaign {
        terms: terms(format!("Demo {burst}")),
        lines: plan.codes().iter().collect(),
        on_conflict: OnConflict::Reject,
    };
    let campaign = match client.create_campaign(plan.request_id(u64::MAX), &command).await {
        Ok(CreateCampaignOutcome::Created { campaign, .. }) => campaign,
        Ok(other) => bail!("the import was refused: {other}"),
        Err(ClientError::Refused(Refusal::RequestTooOld { .. })) => {
            bail!("the interrupted burst is too old to be retried; delete the folder to start over")
        }
        Err(error) => return Err(error.into()),
    };
    let lines = ["TRY-ONE", "TRY-TWO", "TRY-THREE"].into_iter().collect();
    let try_it = CreateCampaign { terms: terms("Try it yourself".into()), lines, on_conflict: OnConflict::Reject };
    let outcome = client.create_campaign(RequestId::now(), &try_it).await?;
    // Conflicts: an earlier run created it.
    if !matches!(outcome, CreateCampaignOutcome::Created { .. } | CreateCampaignOutcome::Conflicts(_)) {
        bail!("the second campaign was refused: {outcome}");
    }
    Ok(campaign)
}

fn print_answers(answers: &Answers, plan: &Plan, in_flight: u32) {
    let rows: Vec<_> = answers
        .by_word()
        .into_iter()
        .map(|(word, count)| vec![format!("  {}", word.replace('_', " ")), print::grouped(count as u64)])
        .chain([vec!["  retried, same outcome".to_owned(), print::grouped(answers.repeats_alike as u64)]])
        .collect();
    print::table(&["  OUTCOME", ">REQUESTS"], &rows);
    let seconds = answers.elapsed.as_secs_f64().max(1e-9);
    let percentile = |at: f64| Duration::from_nanos(answers.latency.value_at_quantile(at));
    print::line(format_args!(
        "\n  speed    {} durable activations/s, {} answers/s, in {:.2?}",
        print::grouped((plan.codes as f64 / seconds) as u64),
        print::grouped((answers.answered() as f64 / seconds) as u64),
        answers.elapsed,
    ));
    print::line(format_args!(
        "  latency  p50 {:.2?}, p99 {:.2?} (closed loop, {} in flight per connection; `loadtest` also measures one at a time)",
        percentile(0.5),
        percentile(0.99),
        print::grouped(in_flight),
    ));
}
