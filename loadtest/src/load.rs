//! A load on one engine, from its first campaign to its audit.
//!
//! It creates everything that it uses: a club, campaigns, codes, clients and rules. On an engine that others use it touches nothing of
//! theirs, and audits its own requests, campaigns, clients and rules, from the first record after it began.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use scrip_client::{Client, ClientError, Dial};
use scrip_protocol::command::{CreateRule, CreateRuleOutcome, RegisterClubOutcome, Terms};
use scrip_protocol::{CampaignId, ClubId, Money, Position, RequestId, RuleId};
use tokio::sync::watch;

use crate::answer::{Answer, Exchange, Exchanges};
use crate::audit::{AuditError, History, Recount, Scope};
use crate::control::{DriveError, OnBusy};
use crate::drive::{Drive, Driven, Offer, Storm, drive};
use crate::import::{ImportError, create_campaign};
use crate::mix::{Draft, Material, Mix, MixError, Shape};
use crate::pace::{Arrivals, TICK};
use crate::plan::{draw_codes, drawn};
use crate::ramp::{Ramp, Step, Verdict};
use crate::recorder::{Recorder, SoFar};
use crate::report::{Audit, Climb, Counts, Model, Particulars, Phase};
use crate::top_ups;
use crate::upkeep::{self, Upkeep, UpkeepError};

/// How many different codes are used up beforehand at most; the requests share them.
const SPENT_CODES_MAX: usize = 1_000;

/// How many clients the audit compares with the engine.
const CLIENTS_AUDITED: usize = 1_000;

/// How the requests of a run are offered.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Load {
    /// At most so many in flight on each connection: a slow answer delays the next request.
    Closed {
        /// Requests in flight on each connection.
        window: usize,
    },
    /// At a rate, whatever the answers do.
    Open {
        /// Requests per second over all connections.
        per_second: f64,
        /// How they are spread in time.
        arrivals: Arrivals,
    },
    /// All at once.
    Burst,
    /// At rates that rise until the objective breaks.
    Ramp(Ramp),
}

/// The options of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Configuration {
    /// How the requests are offered.
    #[serde(flatten)]
    pub load: Load,
    /// How many there are; a ramp has as many as its steps.
    pub requests: usize,
    /// Over how many connections.
    pub connections: usize,
    /// What they are.
    pub mix: Mix,
    /// How busy answers are handled.
    pub on_busy: OnBusy,
    /// Reconnects, if any.
    pub storm: Option<Storm>,
    /// The upkeep of campaigns during the load, if any.
    pub upkeep: Option<Upkeep>,
    /// How many redemptions follow one at a time.
    pub alone: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// The time inside the request ids, in milliseconds since 1970.
    pub time_ms: u64,
    /// How many codes a campaign has at most.
    pub codes_per_campaign: usize,
    /// Whether clients get ids that nobody else uses. Otherwise they are 1, 2, 3 and so on, and the audit reads the journal from its first
    /// record.
    pub own_clients: bool,
    /// The time after which nothing new is sent, in milliseconds.
    pub sending_max_ms: Option<u64>,
    /// How long due and busy requests may still be sent after that, in milliseconds.
    pub drain_max_ms: u64,
    /// A phase is aborted if nothing is answered for this long, in milliseconds.
    pub patience_ms: u64,
    /// The stretches of the time series, in milliseconds.
    pub interval_ms: u64,
}

/// The results of a run.
#[derive(Debug)]
pub struct Findings {
    /// Its phases, in order.
    pub phases: Vec<Phase>,
    /// How a ramp rose.
    pub climb: Option<Climb>,
    /// The audit, or why there is none; the measurements are valid in either case.
    pub audit: Result<Audit, LoadError>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The shares are invalid.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// The engine could not be queried.
    #[error("the load cannot be prepared: {0}")]
    Client(#[from] ClientError),
    /// The club was refused.
    #[error("the club was {0}")]
    Club(RegisterClubOutcome),
    /// A rule was refused.
    #[error("a rule was {0}")]
    Rule(CreateRuleOutcome),
    /// The codes were refused.
    #[error("the codes cannot be imported: {0}")]
    Import(#[from] ImportError),
    /// A phase ended early.
    #[error("{phase}: {source}")]
    Drive {
        /// The phase.
        phase: String,
        /// Why.
        source: DriveError,
    },
    /// The upkeep of campaigns failed.
    #[error("the upkeep of campaigns: {0}")]
    Upkeep(#[from] UpkeepError),
    /// There was no audit.
    #[error("the audit: {0}")]
    Audit(#[from] AuditError),
}

/// The progress of a run, for a display.
#[derive(Default)]
pub struct Live(Mutex<(String, Option<Arc<Recorder>>)>);

impl Live {
    /// The current activity and, while requests are sent, their progress.
    pub fn look(&self) -> (String, Option<SoFar>) {
        let (doing, recorder) = self.0.lock().clone();
        (doing, recorder.map(|recorder| recorder.so_far()))
    }

    fn doing(&self, what: impl Into<String>) {
        *self.0.lock() = (what.into(), None);
    }

    fn recording(&self, what: &str, recorder: Arc<Recorder>) {
        *self.0.lock() = (what.to_owned(), Some(recorder));
    }
}

/// A run in progress.
pub struct Run<'a> {
    configuration: &'a Configuration,
    dial: &'a Dial,
    client: Client,
    live: Arc<Live>,
    stop: watch::Receiver<bool>,
    /// The engine as it was before.
    history: History,
    club: ClubId,
    tag: String,
    client_base: u128,
    /// How many phases were prepared.
    prepared: u64,
    campaigns: Vec<CampaignId>,
    rules: Option<Vec<RuleId>>,
    hot: Option<String>,
    capped: Option<(String, CampaignId)>,
    spent: Vec<String>,
    exchanges: Arc<Exchanges>,
    phases: Vec<Phase>,
    steps: Vec<Step>,
}

/// Runs a configuration against an engine, and audits it. `stop`, once true, ends the sending early; the audit follows anyway.
///
/// # Errors
/// When it cannot be prepared, or a connection cannot be restored.
pub async fn run(
    configuration: &Configuration,
    dial: &Dial,
    stop: watch::Receiver<bool>,
    live: Arc<Live>,
) -> Result<Findings, LoadError> {
    let mut run = Run::begin(configuration, dial, stop, live).await?;
    run.offer_all().await?;
    Ok(run.audit().await)
}

impl<'a> Run<'a> {
    /// Connects, and registers the run's club.
    ///
    /// # Errors
    /// When the engine refuses, or cannot be reached.
    pub async fn begin(
        configuration: &'a Configuration,
        dial: &'a Dial,
        stop: watch::Receiver<bool>,
        live: Arc<Live>,
    ) -> Result<Run<'a>, LoadError> {
        configuration.mix.checked()?;
        live.doing("preparing");
        let client = Client::connect(dial.clone()).await.map_err(ClientError::Connect)?;
        // Before anything of the run is created: the audit begins here.
        let history = match configuration.own_clients {
            true => History::of(&client, configuration.mix.top_ups > 0.0).await?,
            // Others may have used these clients: their sums need the whole journal, which has every rule as well.
            false => History::default(),
        };
        let mut random = drawn(configuration.seed, configuration.time_ms);
        let tag = format!("{:08x}", random.u32(..));
        let own = u128::from(random.u64(1..)) << 64;
        let club = match client.register_club(RequestId::now(), &format!("Loadtest {tag}")).await? {
            RegisterClubOutcome::Registered(club) | RegisterClubOutcome::NameTaken(club) => club,
            refused @ (RegisterClubOutcome::InvalidName | RegisterClubOutcome::TooManyClubs) => {
                return Err(LoadError::Club(refused));
            }
        };
        Ok(Run {
            configuration,
            dial,
            client,
            live,
            stop,
            history,
            club,
            tag,
            client_base: if configuration.own_clients { own } else { 0 },
            prepared: 0,
            campaigns: Vec::new(),
            rules: None,
            hot: None,
            capped: None,
            spent: Vec::new(),
            exchanges: Arc::default(),
            phases: Vec::new(),
            steps: Vec::new(),
        })
    }

    /// Offers the configured requests, the lone ones last.
    ///
    /// # Errors
    /// When something cannot be prepared, or a connection cannot be restored.
    pub async fn offer_all(&mut self) -> Result<(), LoadError> {
        let configuration = self.configuration;
        match configuration.load {
            Load::Closed { window } => {
                self.offer("closed", Model::Closed { window }, Arrivals::Even, configuration.requests).await?
            }
            Load::Open { per_second, arrivals } => {
                self.offer("open", Model::Open { per_second }, arrivals, configuration.requests).await?;
            }
            Load::Burst => self.offer("burst", Model::Burst, Arrivals::Even, configuration.requests).await?,
            Load::Ramp(ramp) => self.climb(&ramp).await?,
        }
        if configuration.alone > 0 && !*self.stop.borrow() {
            self.offer_alone(configuration.alone).await?;
        }
        Ok(())
    }

    async fn climb(&mut self, ramp: &Ramp) -> Result<(), LoadError> {
        for per_second in ramp.rates() {
            let name = format!("ramp {}", crate::numbers::rate(per_second));
            self.offer(&name, Model::Open { per_second }, Arrivals::Even, ramp.count(per_second)).await?;
            let Some(phase) = self.phases.last() else { break };
            let p99 = Duration::from_nanos(phase.latency.value_at_quantile(0.99));
            // Requests that follow holds are additional to the rate and must not make up for missing ones.
            let answered = phase.latency.len().saturating_sub(phase.particulars.followed);
            let step = ramp.judge(per_second, answered, phase.elapsed, p99);
            self.steps.push(step);
            if step.verdict != Verdict::Held || *self.stop.borrow() {
                break;
            }
        }
        Ok(())
    }

    /// Offers requests of the configured mix.
    async fn offer(&mut self, name: &str, model: Model, arrivals: Arrivals, count: usize) -> Result<(), LoadError> {
        let configuration = self.configuration;
        let how = Drive {
            on_busy: configuration.on_busy,
            storm: configuration.storm,
            sending_max: configuration.sending_max_ms.map(Duration::from_millis),
            ..self.how()
        };
        let Some(upkeep) = configuration.upkeep else {
            return self.phase(name, model, arrivals, &configuration.mix, count, configuration.connections, &how).await;
        };
        let (ended, stop) = watch::channel(false);
        // On a thread of its own: its large requests and replies would delay the measured ones within this process.
        let (dial, seed) = (self.dial.clone(), self.seed_of("upkeep"));
        let kept_up = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(UpkeepError::Runtime)?.block_on(upkeep::run(dial, upkeep, seed, stop))
        });
        self.phase(name, model, arrivals, &configuration.mix, count, configuration.connections, &how).await?;
        ended.send_replace(true);
        let done = kept_up.await.expect("upkeep does not panic")?;
        self.campaigns.extend(done.campaigns);
        if let Some(phase) = self.phases.last_mut() {
            phase.particulars.upkeep = done.steps;
        }
        Ok(())
    }

    async fn offer_alone(&mut self, count: usize) -> Result<(), LoadError> {
        let mix = Mix { clients: self.configuration.mix.clients, ..Mix::default() };
        let how = self.how();
        self.phase("alone", Model::Closed { window: 1 }, Arrivals::Even, &mix, count, 1, &how).await
    }

    fn how(&self) -> Drive {
        Drive {
            seed: self.seed_of("drive"),
            drain_max: Duration::from_millis(self.configuration.drain_max_ms),
            patience: Duration::from_millis(self.configuration.patience_ms),
            stop: self.stop.clone(),
            ..Drive::new()
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a phase is all of these")]
    async fn phase(
        &mut self,
        name: &str,
        model: Model,
        arrivals: Arrivals,
        mix: &Mix,
        count: usize,
        connections: usize,
        how: &Drive,
    ) -> Result<(), LoadError> {
        self.live.doing(format!("preparing {name}"));
        self.prepared += 1;
        let run_length = match model {
            Model::Open { per_second } => (per_second * TICK.as_secs_f64()) as usize,
            Model::Closed { .. } | Model::Burst => 1,
        };
        let seed = self.seed_of("draft");
        let draft = Draft::new(mix, seed, self.configuration.time_ms, count, connections, run_length);
        let material = self.material(&draft, mix).await?;
        let (offer, last_due) = match model {
            Model::Closed { window } => (Offer::Window(window), None),
            Model::Open { per_second } => {
                let times = arrivals.times(per_second, count, seed);
                let last = times.last().copied().unwrap_or(0);
                (spread(&draft, connections, times), Some(last))
            }
            Model::Burst => (spread(&draft, connections, vec![0; count]), Some(0)),
        };
        let scripts = draft.write(&material);
        drop((draft, material));
        let driven = self.drive(name, scripts, offer, how).await?;
        let us = |ns: u64| ns as f64 / 1e3;
        let particulars = Particulars {
            unsent: driven.unsent as u64,
            followed: driven.followed,
            unanswered: driven.unanswered as u64,
            refused_busy: refused_busy(&driven.exchanges),
            retry_after_ms: driven.retry_after_ms,
            reconnects: driven.reconnects,
            resent: driven.resent,
            repeats_alike: driven.repeats_alike as u64,
            pacing_late_us: last_due.map(|_| (us(driven.pacing.value_at_quantile(0.99)), us(driven.pacing.max()))),
            upkeep: Vec::new(),
            drained_ms: last_due.map(|last| (driven.elapsed.as_secs_f64() - last as f64 / 1e9).max(0.0) * 1e3),
        };
        self.phases.push(driven.phase(name, model, connections, particulars));
        self.keep(driven);
        Ok(())
    }

    async fn drive(&self, name: &str, scripts: Vec<crate::mix::Script>, offer: Offer, how: &Drive) -> Result<Driven, LoadError> {
        let interval = Duration::from_millis(self.configuration.interval_ms);
        let begin = || {
            let recorder = Arc::new(Recorder::new(interval));
            self.live.recording(name, recorder.clone());
            recorder
        };
        drive(self.dial, scripts, offer, how, begin).await.map_err(|source| LoadError::Drive { phase: name.to_owned(), source })
    }

    fn keep(&mut self, driven: Driven) {
        let exchanges = Arc::make_mut(&mut self.exchanges);
        match exchanges.is_empty() {
            true => *exchanges = driven.exchanges,
            false => exchanges.extend(driven.exchanges),
        }
    }

    /// The seed for a purpose in the phase that is being prepared.
    fn seed_of(&self, purpose: &str) -> u64 {
        let purpose = purpose.bytes().fold(self.prepared, |sum, byte| sum.wrapping_mul(257).wrapping_add(byte.into()));
        drawn(self.configuration.seed ^ self.configuration.time_ms.rotate_left(17), purpose).u64(..)
    }

    /// Makes the campaigns and codes that a draft needs.
    async fn material(&mut self, draft: &Draft, mix: &Mix) -> Result<Material, LoadError> {
        let mut material = Material { club: self.club, client_base: self.client_base, ..Material::default() };
        material.distinct = draw_codes(self.seed_of("distinct"), draft.count(Shape::Distinct));
        material.held = draw_codes(self.seed_of("held"), draft.count(Shape::Hold));
        for (what, codes) in [("codes", &material.distinct), ("codes to hold", &material.held)] {
            let mut order: Vec<&String> = codes.iter().collect();
            // The order of import is not that of redemption.
            fastrand::Rng::with_seed(self.seed_of("order")).shuffle(&mut order);
            for part in order.chunks(self.configuration.codes_per_campaign.max(1)) {
                let codes: Vec<String> = part.iter().map(|code| (*code).clone()).collect();
                self.create(what, Some(1), &codes).await?;
            }
        }
        if draft.count(Shape::Hot) > 0 {
            if self.hot.is_none() {
                let code = draw_codes(self.seed_of("hot"), 1);
                self.create("one hot code", None, &code).await?;
                self.hot = code.into_iter().next();
            }
            material.hot = self.hot.clone().unwrap_or_default();
        }
        if draft.count(Shape::Capped) > 0 {
            if self.capped.is_none() {
                let code = draw_codes(self.seed_of("capped"), 1);
                let campaign = self.create("one code with a cap", Some(mix.cap), &code).await?;
                self.capped = code.into_iter().next().map(|code| (code, campaign));
            }
            material.capped = self.capped.as_ref().map(|(code, _)| code.clone()).unwrap_or_default();
        }
        if draft.count(Shape::Spent) > 0 {
            if self.spent.is_empty() {
                let codes = draw_codes(self.seed_of("spent"), draft.count(Shape::Spent).min(SPENT_CODES_MAX));
                self.create("codes used up", Some(1), &codes).await?;
                self.spend(&codes, mix).await?;
                self.spent = codes;
            }
            material.spent = self.spent.clone();
        }
        if draft.count(Shape::TopUp) > 0 && self.rules.is_none() {
            self.rules = Some(self.create_rules(mix.rules).await?);
        }
        let imports = draft.count(Shape::Import);
        material.imports = draw_codes(self.seed_of("imports"), imports * mix.import_codes);
        let each = ((self.configuration.codes_per_campaign - 1) / mix.import_codes.max(1)).max(1);
        for (n, count) in (0..imports).step_by(each).map(|from| each.min(imports - from)).enumerate() {
            // A campaign begins with a code.
            let code = draw_codes(self.seed_of("import into").wrapping_add(n as u64), 1);
            let campaign = self.create("import", Some(1), &code).await?;
            material.import_into.extend(std::iter::repeat_n(campaign, count));
        }
        Ok(material)
    }

    /// Creates the rules of the run, which fire at its club alone.
    async fn create_rules(&self, count: u32) -> Result<Vec<RuleId>, LoadError> {
        let mut rules = Vec::new();
        for terms in top_ups::rules(count, self.club, &format!("Loadtest {}", self.tag)) {
            match self.client.call(RequestId::now(), &CreateRule { terms }).await? {
                CreateRuleOutcome::Created { rule, .. } => rules.push(rule),
                refused @ (CreateRuleOutcome::InvalidRule(_) | CreateRuleOutcome::TooManyRules) => {
                    return Err(LoadError::Rule(refused));
                }
            }
        }
        Ok(rules)
    }

    /// Redeems codes before the clock starts, so that they are used up when it does.
    async fn spend(&mut self, codes: &[String], mix: &Mix) -> Result<(), LoadError> {
        let mix = Mix { clients: mix.clients, ..Mix::default() };
        let draft = Draft::new(&mix, self.seed_of("spend"), self.configuration.time_ms, codes.len(), 1, 1);
        let material =
            Material { club: self.club, client_base: self.client_base, distinct: codes.to_vec(), ..Material::default() };
        let driven = self.drive("using codes up", draft.write(&material), Offer::Window(256), &self.how()).await?;
        self.keep(driven);
        Ok(())
    }

    /// Creates a campaign of the run.
    async fn create(&mut self, what: &str, cap: Option<u32>, codes: &[String]) -> Result<CampaignId, LoadError> {
        let name = format!("Loadtest {} {}: {what}", self.tag, self.campaigns.len() + 1);
        let terms = Terms { clubs: vec![self.club], activations_per_code_max: cap, ..Terms::new(name, Money(100)) };
        let campaign = create_campaign(&self.client, terms, codes).await?;
        self.campaigns.push(campaign);
        Ok(campaign)
    }

    /// Audits, and ends.
    pub async fn audit(self) -> Findings {
        self.live.doing("the audit");
        let audit = self.audit_through(self.dial, &self.client).await;
        let climb = (!self.steps.is_empty()).then_some(Climb { steps: self.steps });
        Findings { phases: self.phases, climb, audit }
    }

    /// Recounts what a journal has of the run, and compares it with the answers so far and with what its engine reports.
    ///
    /// # Errors
    /// When the journal cannot be tailed, or the engine cannot be queried.
    pub async fn audit_through(&self, dial: &Dial, client: &Client) -> Result<Audit, LoadError> {
        let mut recount = Recount::of_run(dial, self.scope(), &self.history).await?;
        recount.compare_run();
        recount.compare_firings(&self.exchanges, top_ups::firings(self.configuration.mix.rules));
        let mut answered: HashMap<CampaignId, u64> = HashMap::new();
        for (request, exchange) in self.exchanges.iter() {
            let recorded = match &exchange.answer {
                // Only the journal has the outcome.
                Some(Answer::Busy { uncertain: true }) => recount.unmatched(*request),
                Some(_) | None => None,
            };
            if let Some(activated) = recorded.or(exchange.answer.as_ref()).and_then(Answer::activated) {
                *answered.entry(activated.campaign).or_default() += 1;
            }
        }
        let capped = self.capped.as_ref().map(|(_, campaign)| *campaign);
        let tried = self.exchanges.iter().filter(|(_, exchange)| exchange.shape == Shape::Capped).map(|(request, _)| request);
        let tried = recount.recorded_of(tried);
        for campaign in &self.campaigns {
            let tried = (capped == Some(*campaign)).then_some(tried);
            recount.compare_campaign(*campaign, answered.get(campaign).copied().unwrap_or(0), tried);
        }
        let mut clients = recount.clients_in(self.clients());
        clients.truncate(CLIENTS_AUDITED);
        recount.compare_engine_on(client, &self.campaigns, &clients, self.rules.as_deref().unwrap_or_default()).await?;
        let mutating = self.exchanges.values().filter(|exchange| exchange.shape != Shape::Check);
        let is_answered = |exchange: &&Exchange| matches!(&exchange.answer, Some(answer) if answer.word().is_some());
        let counts = Counts {
            records: recount.records,
            requests: mutating.clone().count() as u64,
            answered: mutating.clone().filter(is_answered).count() as u64,
            recorded: recount.recorded_of(self.exchanges.keys()),
            refused_busy: refused_busy(&self.exchanges),
            unanswered: mutating.clone().filter(|exchange| exchange.answer.is_none()).count() as u64,
            activations: self.campaigns.iter().map(|campaign| recount.activations_of(*campaign)).sum(),
            campaigns: self.campaigns.len() as u64,
            clients: clients.len() as u64,
        };
        Ok(Audit { counts, differences: recount.differences().clone() })
    }

    /// The part of a journal that concerns the run so far.
    fn scope(&self) -> Scope {
        Scope {
            after: self.history.position,
            exchanges: self.exchanges.clone(),
            campaigns: self.campaigns.iter().copied().collect(),
            clients: self.clients(),
            rules: self.rules.iter().flatten().copied().collect(),
        }
    }

    /// The numbers of the clients.
    fn clients(&self) -> Range<u128> {
        self.client_base..self.client_base + u128::from(self.configuration.mix.clients) + 1
    }

    /// The position of the engine before the run; the audit begins with the next record.
    pub fn began_after(&self) -> Position {
        self.history.position
    }

    /// The exchange of each request so far.
    pub fn exchanges(&self) -> &Exchanges {
        &self.exchanges
    }

    /// The same, to test the audit with altered answers.
    pub fn exchanges_mut(&mut self) -> &mut Exchanges {
        Arc::make_mut(&mut self.exchanges)
    }

    /// The phases so far.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }
}

fn refused_busy(exchanges: &Exchanges) -> u64 {
    exchanges.values().filter(|exchange| matches!(exchange.answer, Some(Answer::Busy { .. }))).count() as u64
}

/// Gives each connection the times of its requests.
fn spread(draft: &Draft, connections: usize, times: Vec<u64>) -> Offer {
    let mut lists = vec![Vec::with_capacity(times.len() / connections.max(1) + 1); connections];
    for (at, time) in times.into_iter().enumerate() {
        lists[draft.connection_of(at)].push(time);
    }
    Offer::Due(lists)
}
