//! A load on one engine, from its first campaign to its audit.
//!
//! What it works on it makes itself: a club, campaigns, codes, clients. On an engine that others use it touches nothing of theirs, and
//! audits its own requests, its own campaigns and its own clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use scrip_client::{Client, ClientError, Dial};
use scrip_protocol::command::{CreateRule, CreateRuleOutcome, InvalidRule, RegisterClubOutcome, Terms};
use scrip_protocol::{CampaignId, ClubId, Money, Position, RequestId, RuleId};
use tokio::sync::watch;

use crate::audit::{AuditError, Recount};
use crate::caller::Told;
use crate::difference::Differences;
use crate::drive::{Came, Drive, DriveError, Driven, Offer, OnBusy, Outcomes, Storm, drive};
use crate::import::{ImportError, create_campaign};
use crate::mix::{Draft, Material, Mix, MixError, Shape};
use crate::pace::{Arrivals, TICK};
use crate::plan::{draw_codes, drawn};
use crate::ramp::{Ramp, Step, Verdict};
use crate::recorder::{Recorder, SoFar};
use crate::report::{Climb, Model, Particulars, Phase};
use crate::top_ups;
use crate::upkeep::{self, Upkeep, UpkeepError};

/// How many different codes are used up beforehand, at the most; those who try them share them.
const SPENT_CODES_MAX: usize = 1_000;

/// How many clients' balances the audit asks the engine for.
const CLIENTS_AUDITED: usize = 1_000;

/// How the requests of a run are offered.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Load {
    /// So many in flight on each connection: a slow answer delays the next question.
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

/// What a run is to do, every option with the value that it has.
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
    /// What becomes of busy answers.
    pub on_busy: OnBusy,
    /// Reconnects, if any.
    pub storm: Option<Storm>,
    /// What is done to campaigns meanwhile, if anything.
    pub upkeep: Option<Upkeep>,
    /// How many redemptions follow one at a time.
    pub alone: usize,
    /// What everything is drawn from.
    pub seed: u64,
    /// The time inside the request ids, in milliseconds since 1970.
    pub time_ms: u64,
    /// How many codes a campaign is given at the most.
    pub codes_per_campaign: usize,
    /// Whether clients get ids that nobody else will have.
    pub own_clients: bool,
    /// Nothing new is sent after so long, in milliseconds.
    pub sending_max_ms: Option<u64>,
    /// How long what is due or busy may still be sent after that, in milliseconds.
    pub drain_max_ms: u64,
    /// With nothing answered for so long, a phase is broken off, in milliseconds.
    pub patience_ms: u64,
    /// The stretches of the time series, in milliseconds.
    pub interval_ms: u64,
}

/// What the audit found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Audit {
    /// The journal's newest record.
    pub position: Position,
    /// Different requests of this run.
    pub requests: u64,
    /// Those with an answer.
    pub answered: u64,
    /// Those with a record.
    pub recorded: u64,
    /// Those that were told busy to the end.
    pub refused_busy: u64,
    /// Those without any answer.
    pub unanswered: u64,
    /// Activations of this run's campaigns.
    pub activations: u64,
    /// How many campaigns were compared with what the engine says.
    pub campaigns: usize,
    /// How many clients were.
    pub clients: usize,
    /// What does not agree.
    pub differences: Differences,
}

/// What a run found.
#[derive(Debug)]
pub struct Findings {
    /// Its phases, in order.
    pub phases: Vec<Phase>,
    /// How a ramp rose.
    pub climb: Option<Climb>,
    /// The audit, or why there is none: what was measured is there all the same.
    pub audit: Result<Audit, LoadError>,
}

/// Why a run has no findings.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The shares cannot be kept.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// The engine could not be asked.
    #[error("the load cannot be prepared: {0}")]
    Client(#[from] ClientError),
    /// The club was not taken.
    #[error("the club was not taken: {0}")]
    Club(RegisterClubOutcome),
    /// A rule was not taken.
    #[error("a rule was not taken: {0}")]
    Rule(InvalidRule),
    /// The codes were not taken.
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
    /// What was to be done to campaigns meanwhile could not be.
    #[error("the upkeep of campaigns: {0}")]
    Upkeep(#[from] UpkeepError),
    /// There was no audit.
    #[error("the audit: {0}")]
    Audit(#[from] AuditError),
}

/// How far a run is, for whoever watches.
#[derive(Default)]
pub struct Live(Mutex<(String, Option<Arc<Recorder>>)>);

impl Live {
    /// What is being done, and, while requests are sent, how far that is.
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

/// A run under way.
pub struct Run<'a> {
    configuration: &'a Configuration,
    dial: &'a Dial,
    client: Client,
    live: Arc<Live>,
    stop: watch::Receiver<bool>,
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
    outcomes: Outcomes,
    phases: Vec<Phase>,
    steps: Vec<Step>,
}

/// Runs a configuration against an engine, and audits it. `stop`, once true, ends the sending early; the audit follows all the same.
///
/// # Errors
/// When it cannot be prepared, or a connection is lost for good.
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
        let mut random = drawn(configuration.seed, configuration.time_ms);
        let tag = format!("{:08x}", random.u32(..));
        let own = u128::from(random.u64(1..)) << 64;
        let club = match client.register_club(RequestId::now(), &format!("Loadtest {tag}")).await? {
            RegisterClubOutcome::Registered(club) | RegisterClubOutcome::NameTaken(club) => club,
            refused @ RegisterClubOutcome::InvalidName => return Err(LoadError::Club(refused)),
        };
        Ok(Run {
            configuration,
            dial,
            client,
            live,
            stop,
            club,
            tag,
            client_base: if configuration.own_clients { own } else { 0 },
            prepared: 0,
            campaigns: Vec::new(),
            rules: None,
            hot: None,
            capped: None,
            spent: Vec::new(),
            outcomes: HashMap::new(),
            phases: Vec::new(),
            steps: Vec::new(),
        })
    }

    /// Offers everything that the configuration says, the lone requests last.
    ///
    /// # Errors
    /// When something cannot be prepared, or a connection is lost for good.
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
            let name = format!("ramp {}", crate::words::rate(per_second));
            self.offer(&name, Model::Open { per_second }, Arrivals::Even, ramp.count(per_second)).await?;
            let Some(phase) = self.phases.last() else { break };
            let p99 = Duration::from_nanos(phase.latency.value_at_quantile(0.99));
            // What follows holds comes on top of the rate, and must not stand in for what is missing from it.
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
        // On a thread of its own: what it writes and reads at once would hold up the measured requests on their way through this process.
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
            refused_busy: refused_busy(&driven.outcomes),
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
        match self.outcomes.is_empty() {
            true => self.outcomes = driven.outcomes,
            false => self.outcomes.extend(driven.outcomes),
        }
    }

    /// What is drawn for a purpose, in the phase that is being prepared.
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
                CreateRuleOutcome::InvalidRule(why) => return Err(LoadError::Rule(why)),
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

    /// Recounts a journal and compares it with what came of the requests so far, and with what its engine says.
    ///
    /// # Errors
    /// When the journal cannot be tailed, or the engine not asked.
    pub async fn audit_through(&self, dial: &Dial, client: &Client) -> Result<Audit, LoadError> {
        let mut recount = Recount::of_run(dial, self.rules.as_deref().unwrap_or_default()).await?;
        recount.compare_run(&self.outcomes);
        recount.compare_firings(&self.outcomes, top_ups::firings(self.configuration.mix.rules));
        let mut answered: HashMap<CampaignId, u64> = HashMap::new();
        for (request, came) in &self.outcomes {
            let recorded = match &came.told {
                // Whether it was done only the journal can tell.
                Some(Told::Busy { uncertain: true }) => recount.recorded(*request),
                Some(_) | None => None,
            };
            if let Some(activated) = recorded.as_ref().or(came.told.as_ref()).and_then(Told::activated) {
                *answered.entry(activated.campaign).or_default() += 1;
            }
        }
        let capped = self.capped.as_ref().map(|(_, campaign)| *campaign);
        let tried = self.outcomes.iter().filter(|(_, came)| came.shape == Shape::Capped).map(|(request, _)| request);
        let tried = recount.recorded_of(tried);
        for campaign in &self.campaigns {
            let tried = (capped == Some(*campaign)).then_some(tried);
            recount.compare_campaign(*campaign, answered.get(campaign).copied().unwrap_or(0), tried);
        }
        let mut clients = recount.clients_in(self.client_base..self.client_base + u128::from(self.configuration.mix.clients) + 1);
        clients.truncate(CLIENTS_AUDITED);
        recount.compare_engine_on(client, &self.campaigns, &clients, self.rules.as_deref().unwrap_or_default()).await?;
        let mutating = self.outcomes.values().filter(|came| came.shape != Shape::Check);
        let told = |came: &&Came| matches!(&came.told, Some(told) if told.word().is_some());
        Ok(Audit {
            position: recount.position,
            requests: mutating.clone().count() as u64,
            answered: mutating.clone().filter(told).count() as u64,
            recorded: recount.recorded_of(self.outcomes.keys()),
            refused_busy: refused_busy(&self.outcomes),
            unanswered: mutating.clone().filter(|came| came.told.is_none()).count() as u64,
            activations: self.campaigns.iter().map(|campaign| recount.activations_of(*campaign)).sum(),
            campaigns: self.campaigns.len(),
            clients: clients.len(),
            differences: recount.differences().clone(),
        })
    }

    /// What came of each request so far.
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// The same, for those who want to see what the audit makes of something else.
    pub fn outcomes_mut(&mut self) -> &mut Outcomes {
        &mut self.outcomes
    }

    /// The phases so far.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }
}

fn refused_busy(outcomes: &Outcomes) -> u64 {
    outcomes.values().filter(|came| matches!(came.told, Some(Told::Busy { .. }))).count() as u64
}

/// Gives each connection the times of its requests.
fn spread(draft: &Draft, connections: usize, times: Vec<u64>) -> Offer {
    let mut lists = vec![Vec::with_capacity(times.len() / connections.max(1) + 1); connections];
    for (at, time) in times.into_iter().enumerate() {
        lists[draft.connection_of(at)].push(time);
    }
    Offer::Due(lists)
}
