//! The subjects of a comparison: an engine or a rival, behind the same operations.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use scrip_client::{Client, Dial};
use scrip_engine::Engine;
use scrip_engine::folder::Folder;
use scrip_engine::pipeline::Limits;
use scrip_loadtest::audit::Recount;
use scrip_loadtest::burst;
use scrip_loadtest::import::create_campaign;
use scrip_loadtest::plan::Plan;
use scrip_loadtest::rival::{Answer, Offer, Rival, Terms};
use scrip_protocol::command::{RedeemOutcome, ShowClientOutcome, Terms as CampaignTerms};
use scrip_protocol::{CampaignId, ClientId, Money, RequestId};

use super::super::own;
use super::sums::{Rules, Sums};

/// The bonus of each code.
const AMOUNT: Money = Money(100);

/// How often each code can be used.
const CAP: u32 = 1;

/// The same terms, for a rival.
pub(super) const TERMS: Terms = Terms { cap: CAP, amount: AMOUNT.0 };

/// How many clients' balances are queried at once.
const QUERIES_AT_ONCE: usize = 64;

/// The result of one measurement.
pub(super) struct Run {
    pub(super) redeemed: usize,
    pub(super) exhausted: usize,
    pub(super) unknown: usize,
    pub(super) repeats_alike: usize,
    pub(super) repeats_unlike: usize,
    pub(super) elapsed: Duration,
    pub(super) latency: Histogram<u64>,
}

/// An engine of our own, in this process.
pub(super) struct Scrip {
    engine: Engine,
    dial: Dial,
    client: Client,
    campaigns: u32,
    answers: HashMap<RequestId, RedeemOutcome>,
    refused: usize,
}

/// The subject of a measurement.
pub(super) enum Subject {
    Scrip(Box<Scrip>),
    Rival { rival: Box<Rival>, answers: HashMap<RequestId, Answer> },
}

impl Subject {
    pub(super) fn scrip(scrip: Scrip) -> Subject {
        Subject::Scrip(Box::new(scrip))
    }

    pub(super) fn rival(rival: Rival) -> Subject {
        Subject::Rival { rival: Box::new(rival), answers: HashMap::new() }
    }

    /// Whether the subject can be called in this way.
    pub(super) fn takes(&self, offer: Offer) -> bool {
        match self {
            Subject::Scrip(_) => offer.per_call == 1,
            Subject::Rival { .. } => true,
        }
    }

    pub(super) async fn import(&mut self, plan: &Plan) -> anyhow::Result<()> {
        match self {
            Subject::Scrip(scrip) => scrip.import(plan).await,
            Subject::Rival { rival, .. } => Ok(rival.import(&plan.codes()).await?),
        }
    }

    pub(super) async fn run(&mut self, offer: Offer, plan: &Plan) -> anyhow::Result<Run> {
        let lists = plan.requests(offer.connections);
        match self {
            Subject::Scrip(scrip) => scrip.run(offer, lists).await,
            Subject::Rival { rival, answers } => {
                let found = rival.run(offer, lists).await?;
                let run = Run {
                    redeemed: found.with_word("redeemed"),
                    exhausted: found.with_word("code_exhausted"),
                    unknown: found.with_word("unknown_code"),
                    repeats_alike: found.repeats_alike,
                    repeats_unlike: found.repeats_unlike,
                    elapsed: found.elapsed,
                    latency: found.latency,
                };
                answers.extend(found.outcomes);
                Ok(run)
            }
        }
    }

    /// Recounts what the subject holds, and checks that the rules held in their part.
    pub(super) async fn sums(&mut self, name: &str, plan: &Plan, rules: &Run) -> anyhow::Result<Sums> {
        let rules = Rules {
            redeemed: rules.redeemed,
            exhausted: rules.exhausted,
            unknown: rules.unknown,
            repeats_alike: rules.repeats_alike,
            repeats_unlike: rules.repeats_unlike,
        };
        let rules_hold = rules == Rules::of(plan);
        let mut sums = match self {
            Subject::Scrip(scrip) => scrip.sums(plan.clients, rules).await?,
            Subject::Rival { rival, answers } => {
                let sums = rival.books().await?.sums(TERMS, answers)?;
                Sums {
                    system: name.to_owned(),
                    activations: sums.activations,
                    answered_redeemed: sums.answered_redeemed,
                    bonuses: sums.bonuses,
                    balances: sums.balances,
                    codes_over_cap: sums.codes_over_cap,
                    differences: sums.differences,
                    agree: sums.agree(),
                    rules,
                }
            }
        };
        sums.agree &= rules_hold;
        Ok(sums)
    }

    /// Stops the subject.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Subject::Scrip(scrip) => drop(scrip.engine.stop().await?),
            Subject::Rival { rival, .. } => tokio::task::block_in_place(|| drop(rival)),
        }
        Ok(())
    }
}

impl Scrip {
    /// Starts an engine on a new data folder, with a club.
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Scrip> {
        let (engine, dial) = own::start(&Folder::at(dir), Limits::default())?;
        let client = Client::connect(dial.clone()).await?;
        client.register_club(RequestId::now(), "Loadtest").await?;
        Ok(Scrip { engine, dial, client, campaigns: 0, answers: HashMap::new(), refused: 0 })
    }

    async fn import(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let terms = CampaignTerms { activations_per_code_max: Some(CAP), ..CampaignTerms::new("Loadtest", AMOUNT) };
        create_campaign(&self.client, terms, &plan.codes()).await?;
        self.campaigns += 1;
        Ok(())
    }

    async fn run(&mut self, offer: Offer, lists: Vec<Vec<scrip_loadtest::plan::Planned>>) -> anyhow::Result<Run> {
        let found = burst::run(&self.dial, lists, offer.window, &Arc::new(AtomicUsize::new(0))).await?;
        let words = found.by_word();
        let with = |word: &str| words.get(word).copied().unwrap_or(0);
        let run = Run {
            redeemed: with("redeemed"),
            exhausted: with("code_exhausted"),
            unknown: with("unknown_code"),
            repeats_alike: found.repeats_alike,
            repeats_unlike: found.repeats_unlike.len(),
            elapsed: found.elapsed,
            latency: found.latency,
        };
        self.refused += found.refused.len();
        self.answers.extend(found.outcomes);
        Ok(run)
    }

    async fn sums(&self, clients: usize, rules: Rules) -> anyhow::Result<Sums> {
        let mut recount = Recount::of(&self.dial).await?;
        recount.compare_answers(&self.answers);
        // No balances here: all of them are queried below.
        recount.compare_engine(&self.client, 0).await?;
        let answered = self.answers.values().filter(|outcome| matches!(outcome, RedeemOutcome::Redeemed(_))).count() as u64;
        let uses = (1..=self.campaigns).flat_map(|campaign| recount.uses_of(CampaignId(campaign)).into_values());
        let codes_over_cap = uses.filter(|uses| *uses > CAP).count();
        let balances = self.balances(clients).await?;
        let differences = recount.differences().count() + self.refused;
        let agree = recount.activations == answered && recount.issued == balances && codes_over_cap == 0 && differences == 0;
        Ok(Sums {
            system: "Scrip".to_owned(),
            activations: recount.activations,
            answered_redeemed: answered,
            bonuses: recount.issued,
            balances,
            codes_over_cap,
            differences,
            agree,
            rules,
        })
    }

    /// The sum of all balances that the engine reports.
    async fn balances(&self, clients: usize) -> anyhow::Result<i128> {
        let mut tasks = tokio::task::JoinSet::new();
        for first in 0..QUERIES_AT_ONCE {
            let client = self.client.clone();
            tasks.spawn(async move {
                let mut sum = 0;
                for id in (1..=clients).skip(first).step_by(QUERIES_AT_ONCE) {
                    if let ShowClientOutcome::Client(card) = client.show_client(ClientId(id as u128)).await? {
                        sum += i128::from(card.accounts.bonus.0);
                    }
                }
                Ok::<_, scrip_client::ClientError>(sum)
            });
        }
        let mut sum = 0;
        while let Some(queried) = tasks.join_next().await {
            sum += queried.context("a task that queries balances")??;
        }
        Ok(sum)
    }
}
