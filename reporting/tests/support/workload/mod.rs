//! Random workloads: a real engine on loopback, with every kind of request of staff and gateways, many at once.
//!
//! The requests follow from the seed and from the replies; the order in which the engine executes concurrent requests does not.
//! So a seed reproduces the same kind of workload, but not the same journal. Tests work on the bytes of the journal:
//! [`Workload::batches`] are read with a tail, as the sidecar reads them.
//!
//! `calls.rs` has the requests, `terms.rs` their contents.

mod calls;
mod terms;

use std::collections::HashMap;
use std::pin::Pin;

use futures_util::future::join_all;
use scrip_client::{Client, ClientError, Dial, Tailing};
use scrip_core::guard::GuardLimits;
use scrip_engine::folder::{Config, Folder};
use scrip_engine::{Engine, Start};
use scrip_protocol::command::Command;
use scrip_protocol::{
    CampaignId, ClientId, ClubId, CredentialId, GroupId, Position, RequestId, Role, RuleId, Settings, unix_time_ms,
};

use tokio::time::timeout;

use super::DEADLINE;
use super::recount::Recount;

/// A request in progress.
type Call = Pin<Box<dyn Future<Output = Learned> + Send>>;

/// What is known from an answer.
enum Learned {
    Nothing,
    Club(ClubId),
    Group(GroupId),
    Campaign(CampaignId, Vec<String>),
    Codes(CampaignId, Vec<String>),
    Activation(Position),
    Hold(Position, u64),
    Payment(Position),
    TopUp(Position),
    Rule(RuleId),
    Credential(CredentialId),
}

/// What exists, as far as answers show.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) clubs: Vec<ClubId>,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) campaigns: Vec<CampaignId>,
    /// The codes of campaigns, as spelled by them.
    pub(crate) codes: Vec<(CampaignId, String)>,
    pub(crate) clients: Vec<ClientId>,
    pub(crate) activations: Vec<Position>,
    /// With their expiry times.
    pub(crate) holds: Vec<(Position, u64)>,
    pub(crate) payments: Vec<Position>,
    pub(crate) top_ups: Vec<Position>,
    pub(crate) rules: Vec<RuleId>,
    pub(crate) credentials: Vec<CredentialId>,
}

/// An engine with callers in each role.
pub(crate) struct Workload {
    random: fastrand::Rng,
    pub(crate) known: Known,
    pub(crate) operator: Client,
    gateway: Client,
    cashier: Client,
    marketing: Client,
    pub(crate) dial: Dial,
    engine: Engine,
    /// All batches tailed so far.
    pub(crate) batches: Vec<Vec<u8>>,
    pub(crate) recount: Recount,
    _dir: tempfile::TempDir,
}

impl Workload {
    /// Creates an organisation, and registers a few clubs and campaigns.
    pub(crate) async fn start(seed: u64) -> Workload {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path().join("data"));
        let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
        let issued = folder.init(&config, &[]).expect("an empty folder");
        let tokens: HashMap<Role, String> = issued.into_iter().map(|issued| (issued.credential.role, issued.token)).collect();
        let engine = tokio::task::block_in_place(|| Engine::start(&folder, Start::default(), &mut |_| {}));
        let engine = engine.expect("a folder that is well");
        let authority = std::fs::read(folder.ca_path()).expect("init has made it");
        let address = engine.address().to_string();
        let dial = |role: Role| Dial::new(&address, &authority, tokens[&role].clone()).expect("an address");
        let connect = async |role: Role| Client::connect(dial(role)).await.expect("it listens");
        let mut workload = Workload {
            random: fastrand::Rng::with_seed(seed),
            known: Known { clients: terms::clients(), ..Known::default() },
            operator: connect(Role::Operator).await,
            gateway: connect(Role::Gateway).await,
            cashier: connect(Role::Cashier).await,
            marketing: connect(Role::Marketing).await,
            dial: dial(Role::Operator),
            engine,
            batches: Vec::new(),
            recount: Recount::default(),
            _dir: dir,
        };
        for _ in 0..4 {
            let call = workload.register_club();
            workload.run(vec![call]).await;
        }
        for _ in 0..3 {
            let call = workload.create_campaign();
            workload.run(vec![call]).await;
        }
        workload
    }

    /// Sends so many groups of requests; the requests of a group are concurrent.
    pub(crate) async fn go(&mut self, groups: usize) {
        for _ in 0..groups {
            let many = [1, 1, 2, 8, 24, 60][self.random.usize(..6)];
            let calls = (0..many).map(|_| self.some_call()).collect();
            self.run(calls).await;
        }
    }

    async fn run(&mut self, calls: Vec<Call>) {
        for learned in join_all(calls).await {
            match learned {
                Learned::Nothing => {}
                Learned::Club(club) => self.known.clubs.push(club),
                Learned::Group(group) => self.known.groups.push(group),
                Learned::Campaign(campaign, codes) => {
                    self.known.campaigns.push(campaign);
                    self.known.codes.extend(codes.into_iter().map(|code| (campaign, code)));
                }
                Learned::Codes(campaign, codes) => self.known.codes.extend(codes.into_iter().map(|code| (campaign, code))),
                Learned::Activation(position) => self.known.activations.push(position),
                Learned::Hold(position, expires_ms) => self.known.holds.push((position, expires_ms)),
                Learned::Payment(position) => self.known.payments.push(position),
                Learned::TopUp(position) => self.known.top_ups.push(position),
                Learned::Rule(rule) => self.known.rules.push(rule),
                Learned::Credential(credential) => self.known.credentials.push(credential),
            }
        }
    }

    /// Tails and counts the records written since.
    pub(crate) async fn tail(&mut self) {
        let mut tailing = Tailing::start(self.dial.clone(), self.recount.end().next(), false).await.expect("it listens");
        while let Some(bytes) = timeout(DEADLINE, tailing.next()).await.expect("in time").expect("a journal that is well") {
            self.recount.read(&bytes).expect("the batch comes next");
            self.batches.push(bytes);
        }
    }

    /// Continues until every short hold has expired, and a batch was written after that.
    pub(crate) async fn until_holds_expire(&mut self) {
        let short = |hold: &&(Position, u64)| hold.1 < unix_time_ms() + 5_000;
        let last = self.known.holds.iter().filter(short).map(|(_, expires_ms)| *expires_ms).max().unwrap_or(0);
        let deadline = std::time::Instant::now() + DEADLINE;
        while self.recount.end().time_ms <= last {
            assert!(std::time::Instant::now() < deadline, "the engine's time stands still");
            let call = self.redeem();
            self.run(vec![call]).await;
            self.tail().await;
        }
    }

    /// Stops the engine.
    pub(crate) async fn stop(self) -> (Vec<Vec<u8>>, Recount) {
        self.engine.stop().await.expect("a journal that is well");
        (self.batches, self.recount)
    }
}

/// A request, and what its outcome adds to the known state.
fn ask<C>(client: &Client, command: C, learn: impl FnOnce(C::Outcome) -> Learned + Send + 'static) -> Call
where
    C: Command + Send + Sync + 'static,
{
    let client = client.clone();
    Box::pin(async move {
        match client.call(RequestId::now(), &command).await {
            Ok(outcome) => learn(outcome),
            Err(ClientError::Refused(_)) => Learned::Nothing,
            Err(error) => panic!("the engine answers on loopback: {error}"),
        }
    })
}
