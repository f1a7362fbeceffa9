//! What the tests share: a data folder with the real `scrip serve` on it, a `scrip sidecar` beside it, single runs of the `scrip`
//! program, raw lanes.
//!
//! Nothing here sleeps to synchronise: tests wait for conditions, with a deadline. Every process started here ends when its owner
//! is dropped.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod fake;
mod inside;
mod lane;
pub(crate) mod load;
pub(crate) mod metrics;
mod port;
pub(crate) mod sidecar;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use scrip_client::{Client, Dial};
use scrip_loadtest::audit::Recount;
use scrip_protocol::command::{
    Action, CreateCampaign, CreateCampaignOutcome, CreateRule, CreateRuleOutcome, Note, OnConflict, Redeem, RegisterClubOutcome,
    RuleEvent, RuleTerms, ShowClientOutcome, Terms, TopUp,
};
use scrip_protocol::{Accounts, CampaignId, ClientId, ClubId, Money, RequestId, Role, RuleId, TopUpSource};
use tempfile::TempDir;

#[allow(unused_imports, reason = "each test uses a part of it")]
pub(crate) use inside::{engine, start_on};
#[allow(unused_imports, reason = "each test uses a part of it")]
pub(crate) use lane::{Ending, Lane, Reply, quinn_config, request, tls_config};
use port::Port;
#[allow(unused_imports, reason = "each test uses a part of it")]
pub(crate) use sidecar::{Answer, Sidecar, http, sidecar};

/// How long anything that must happen may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until a condition holds, and returns its value.
pub(crate) fn wait_until<T>(deadline: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < deadline, "timed out after {deadline:?} waiting for this: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Awaits a future, and panics after the deadline.
#[track_caller]
pub(crate) fn within<F: Future>(what: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move { tokio::time::timeout(DEADLINE, what).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} at {caller}")) }
}

/// The seed of a random test: SCRIP_SEED, or a new one. It is printed, so that a failure can be reproduced.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SCRIP_SEED").ok().map(|text| text.parse().expect("SCRIP_SEED is a whole number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("SCRIP_SEED={seed} repeats this"));
    seed
}

/// Prints on standard error, which the harness shows if the test fails.
#[expect(clippy::print_stderr, reason = "shows what a failed test did")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The program, in an environment without any of our variables.
pub(crate) fn scrip() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
    for name in ["SCRIP_DATA", "SCRIP_SERVER", "SCRIP_CA", "SCRIP_TOKEN", "SCRIP_CERT", "SCRIP_KEY", "SCRIP_LOG", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output as JSON, one value per line.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let value = |line: &str| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why} in {line:?}; all: {self:?}"));
        self.out.lines().map(value).collect()
    }

    /// Checks the exit code, and returns the rest.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// Runs a command to its end, within the deadline.
pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    let mut child =
        Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut input = child.0.stdin.take().expect("it is piped");
    // The program may not read its input to the end, so a failed write is fine.
    let _ = input.write_all(stdin);
    drop(input);
    let out = gather(child.0.stdout.take().expect("it is piped"));
    let err = gather(child.0.stderr.take().expect("it is piped"));
    let status =
        wait_until(Duration::from_secs(120), "the program ends", || child.0.try_wait().expect("its status is available"));
    let text = |gathered: std::thread::JoinHandle<String>| gathered.join().expect("the reader does not panic");
    Ran { code: status.code().unwrap_or(-1), out: text(out), err: text(err) }
}

fn gather(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A process that is killed when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status();
        assert!(status.expect("there is a kill program").success(), "no signal {name}");
    }

    /// The lines of standard output, as they are printed.
    pub(crate) fn lines(&mut self) -> mpsc::Receiver<String> {
        let out = self.0.stdout.take().expect("standard output is piped, and requested once");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // Keep reading when nobody listens: the process must not find its output closed.
                let _ = sender.send(line);
            }
        });
        lines
    }
}

/// The position of the last record that a first start writes: the settings, and a credential for each role.
pub(crate) const BEGUN: u64 = 1 + Role::ALL.len() as u64;

/// An organisation in a temporary folder, and the engine that serves it.
pub(crate) struct Server {
    folder: TempDir,
    tokens: HashMap<Role, String>,
    port: Port,
    options: Vec<String>,
    running: Option<Running>,
    position: u64,
    metrics: Option<SocketAddr>,
    files: Option<FileLimit>,
}

/// How many files a process may open: the soft limit of `ulimit -S -n`, and the hard one if it is lowered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileLimit {
    pub(crate) soft: u32,
    pub(crate) hard: Option<u32>,
}

impl FileLimit {
    /// A program that starts under this limit.
    pub(crate) fn wrap(self, program: &Command) -> Command {
        let hard = self.hard.map(|hard| format!("ulimit -H -n {hard}; ")).unwrap_or_default();
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -S -n {}; {hard}exec \"$0\" \"$@\"", self.soft));
        command.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl Server {
    /// Creates an organisation and starts its engine with the guard off: most tests make many failed attempts.
    pub(crate) fn start() -> Server {
        Server::start_with(&[])
    }

    /// Like [`Server::start`], with further options for `serve`.
    pub(crate) fn start_with(options: &[&str]) -> Server {
        let off = "misses_per_minute = 0";
        Server::begin(options, &format!("[guard]\nclient.{off}\nnetwork.{off}\ncredential.{off}\n"))
    }

    /// Like [`Server::start`], with the guard on: with these settings in `scrip.toml`, or as `init` writes them if this is empty.
    pub(crate) fn guarded(guard: &str) -> Server {
        Server::begin(&[], guard)
    }

    fn begin(options: &[&str], guard: &str) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = Port::reserve();
        let listen = port.address().to_string();
        let ran = run(scrip().arg("init").arg(folder.path().join("data")).args(["--json", "--listen", &listen]), b"").exits(0);
        if !guard.is_empty() {
            let path = folder.path().join("data/scrip.toml");
            let text = std::fs::read_to_string(&path).expect("init created it");
            let rest = &text[..text.find("[guard").expect("init writes the guard's limits last")];
            std::fs::write(&path, format!("{rest}{guard}")).expect("it is writable");
        }
        let tokens = &ran.json()[0]["tokens"];
        let token = |role: &Role| (*role, tokens[role.word()].as_str().expect("init prints a token for each role").to_owned());
        let tokens = Role::ALL.iter().map(token).collect();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Server { folder, tokens, port, options, running: None, position: 0, metrics: None, files: None };
        server.restart();
        server
    }

    /// Restarts the engine with other options for `serve`.
    pub(crate) fn restart_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self.restart();
    }

    /// Restarts the engine with this limit of open files.
    pub(crate) fn restart_with_files(&mut self, files: FileLimit) {
        self.files = Some(files);
        self.restart();
    }

    /// Restarts the engine on the same folder and address.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = scrip();
        command.env("SCRIP_LOG", "warn").arg("serve").arg("--json").arg("--data").arg(self.dir()).args(&self.options);
        if let Some(files) = self.files {
            command = files.wrap(&command);
        }
        let mut running = Running(command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts"));
        let first = running.lines().recv_timeout(DEADLINE);
        let first = first.unwrap_or_else(|why| panic!("the engine does not print its address ({why}):\n{}", self.log()));
        let line: serde_json::Value = serde_json::from_str(&first).expect("the first line is JSON");
        assert_eq!(line["listening"], self.address().to_string(), "{first}");
        self.position = line["position"].as_u64().expect("a position");
        self.metrics = line["metrics"].as_str().and_then(|address| address.parse().ok());
        self.running = Some(running);
    }

    /// The data folder.
    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for a test's own files.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("serve.log")
    }

    /// Everything the engine has logged on standard error, over all its runs.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The engine's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The address of its probes.
    pub(crate) fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The position that the last start replayed the journal to.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The running process.
    pub(crate) fn process(&self) -> &Running {
        self.running.as_ref().expect("it is running")
    }

    /// The process's memory that is held in RAM, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process().0.id())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux reports it");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// Kills it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        drop(self.running.take().expect("it is running"));
    }

    /// Stops it with SIGTERM, and waits until it has stopped.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("it is running");
        running.signal("TERM");
        wait_until(DEADLINE, "the engine stops", || running.0.try_wait().expect("its status is available"))
    }

    /// Every file of the journal with its size.
    pub(crate) fn journal_files(&self) -> Vec<(PathBuf, u64)> {
        files(&self.dir().join("journal"))
    }

    /// A role's token.
    pub(crate) fn token(&self, role: Role) -> &str {
        &self.tokens[&role]
    }

    /// The certificate authority (PEM).
    pub(crate) fn authority(&self) -> Vec<u8> {
        std::fs::read(self.dir().join("tls/ca.pem")).expect("init created it")
    }

    /// The parameters to connect in a role.
    pub(crate) fn dial(&self, role: Role) -> Dial {
        Dial::new(&self.address().to_string(), self.authority(), self.token(role)).expect("the address is one")
    }

    /// A client in a role.
    pub(crate) async fn client(&self, role: Role) -> Client {
        Client::connect(self.dial(role)).await.expect("the engine runs")
    }

    /// A raw lane in a role.
    pub(crate) async fn lane(&self, role: Role) -> Lane {
        Lane::open(&self.dial(role)).await.expect("the engine runs")
    }

    /// The program, set to call this engine in a role.
    pub(crate) fn scrip(&self, role: Role) -> Command {
        let mut command = scrip();
        command.env("SCRIP_DATA", self.dir()).env("SCRIP_TOKEN", self.token(role));
        command
    }

    /// Recounts the journal and compares it with the engine's replies. Nothing may differ.
    pub(crate) async fn audited(&self, answers: &HashMap<RequestId, scrip_protocol::command::RedeemOutcome>) -> Recount {
        let mut recount = Recount::of(&self.dial(Role::Operator)).await.expect("the journal can be tailed");
        recount.compare_answers(answers);
        let client = self.client(Role::Operator).await;
        recount.compare_engine(&client, usize::MAX).await.expect("the engine replies");
        let differences = recount.differences();
        assert_eq!(differences.count(), 0, "{:#?}", differences.first());
        recount
    }
}

/// Every file of a folder with its size, except those that vanish meanwhile.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len()))).collect()
}

/// A campaign's terms: every club, no period, switched on.
pub(crate) fn terms(name: &str, cap: Option<u32>, amount: i64) -> Terms {
    Terms { activations_per_code_max: cap, ..Terms::new(name, Money(amount)) }
}

/// Creates a campaign.
pub(crate) async fn campaign(client: &Client, terms: Terms, codes: &[String]) -> CampaignId {
    let command = CreateCampaign { terms, lines: codes.iter().collect(), on_conflict: OnConflict::Reject };
    let outcome = client.create_campaign(RequestId::now(), &command).await.expect("a reply");
    let CreateCampaignOutcome::Created { campaign, .. } = outcome else { panic!("{outcome}") };
    campaign
}

/// Registers a club.
pub(crate) async fn club(client: &Client, name: &str) -> ClubId {
    let outcome = client.register_club(RequestId::now(), name).await.expect("a reply");
    let RegisterClubOutcome::Registered(club) = outcome else { panic!("{outcome}") };
    club
}

/// A client's bonus balance.
pub(crate) async fn balance(client: &Client, of: ClientId) -> Money {
    accounts(client, of).await.bonus
}

/// A rule that is live at every club and credits the result of its formula.
pub(crate) fn rule(name: &str, conditions: &str, formula: &str) -> RuleTerms {
    RuleTerms {
        name: name.to_owned(),
        description: String::new(),
        active: true,
        clubs: Vec::new(),
        event: RuleEvent::BalanceToppedUp,
        conditions: conditions.to_owned(),
        actions: vec![Action::AddBonus { formula: formula.to_owned() }],
        tags: Vec::new(),
    }
}

/// Creates a rule.
pub(crate) async fn create_rule(client: &Client, terms: RuleTerms) -> RuleId {
    let outcome = client.call(RequestId::now(), &CreateRule { terms }).await.expect("a reply");
    let CreateRuleOutcome::Created { rule, .. } = outcome else { panic!("{outcome}") };
    rule
}

/// A client's accounts; empty if the client is unknown.
pub(crate) async fn accounts(client: &Client, of: ClientId) -> Accounts {
    match client.show_client(of).await.expect("a reply") {
        ShowClientOutcome::Client(card) => card.accounts,
        ShowClientOutcome::UnknownClient => Accounts::default(),
    }
}

/// A top-up in cash.
pub(crate) fn top_up(client: u128, club: ClubId, minor: i64) -> TopUp {
    TopUp { client: ClientId(client), club, amount: Money(minor), source: TopUpSource::Cash, note: Note::default() }
}

/// A redemption.
pub(crate) fn redemption(client: u128, club: ClubId, code: &str) -> Redeem {
    Redeem::new(ClientId(client), club, code)
}
